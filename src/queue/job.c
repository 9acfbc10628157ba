// SPDX-License-Identifier: ISC
// Jobs: what a deliverer is asked to do, and its answer, exactly one each. What a deliverer that
// went away did not answer is due again.
#include "queue/address.h"
#include "queue/queue_internal.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/event.h"
#include "base/memory.h"
#include "base/text.h"
#include "smtp/client.h"

#include <stdio.h>

// ---------------------------------------------------------------- numbers of jobs

static unsigned take_slot(struct queue *q)
{
	if (!q->free_count) {
		unsigned old = q->slot_count;
		q->slot_count = old ? old * 2 : 64;
		BUG_ON(q->slot_count > 65536); // more jobs than all deliverers may have
		q->slots = mem_resize(q->slots, q->slot_count * sizeof(struct job *));
		q->free_slots = mem_resize(q->free_slots, q->slot_count * sizeof *q->free_slots);
		for (unsigned n = q->slot_count; n > old; n--) {
			q->slots[n - 1] = NULL;
			q->free_slots[q->free_count++] = (uint16_t)(n - 1);
		}
	}
	return q->free_slots[--q->free_count];
}

static void number(struct queue *q, struct job *j)
{
	unsigned slot = take_slot(q);
	q->slots[slot] = j;
	j->id = ++q->last_job << 16 | slot;
}

static void release_number(struct queue *q, struct job *j)
{
	unsigned slot = j->id & 0xffff;
	if (!j->id)
		return;
	q->slots[slot] = NULL;
	q->free_slots[q->free_count++] = (uint16_t)slot;
	j->id = 0;
}

struct job *queue_job_find(struct queue *q, uint64_t id)
{
	unsigned slot = id & 0xffff;
	struct job *j = slot < q->slot_count ? q->slots[slot] : NULL;
	return j && j->id == id ? j : NULL;
}

// ---------------------------------------------------------------- making and ending

static struct job *create(struct queue *q, struct mail *m)
{
	struct job *j = mem_alloc(sizeof *j);
	list_init(&j->link);
	list_init(&j->items);
	j->queue = q;
	j->mail = m;
	m->references++;
	return j;
}

static void add_item(struct job *j, struct item *i)
{
	list_add_last(&j->items, &i->link);
	i->job = j;
	i->place = ITEM_TRYING;
	j->count++;
}

// Of a job without items.
static void release(struct queue *q, struct job *j)
{
	release_number(q, j);
	list_remove(&j->link);
	queue_body_leave_file(j);
	queue_mail_unref(j->mail);
	mem_free(j->reports);
	mem_free(j);
}

void queue_job_destroy(struct queue *q, struct job *j)
{
	while (!list_empty(&j->items))
		queue_item_destroy(q, LIST_ENTRY(j->items.next, struct item, link));
	for (unsigned n = 0; n < j->report_count; n++)
		queue_item_destroy(q, j->reports[n]);
	release(q, j);
}

struct job *queue_job_take(struct queue *q, struct group *g)
{
	struct item *first = LIST_ENTRY(g->items.next, struct item, link);
	struct job *j = create(q, first->mail);
	struct str sender = queue_item_sender(first);
	// A worker of a user that took too long is ended, and what it had done of its job is done again.
	unsigned most = g->kind == ROUTE_USER ? 1 : QUEUE_JOB_RECIPIENTS;
	// Recipients of one message came together and so stand together.
	LIST_EACH(link, &g->items) {
		struct item *i = LIST_ENTRY(link, struct item, link);
		if (i->mail != j->mail || j->count == most ||
			(i != first && !str_equal(queue_item_sender(i), sender)))
			break;
		queue_group_remove(g, i);
		add_item(j, i);
	}
	return j;
}

// The deliverer has no longer to do with it.
static void leave(struct queue *q, struct job *j, enum group_answer answer)
{
	struct deliverer *d = j->deliverer;
	struct group *g = j->group;
	release_number(q, j);
	j->deliverer = NULL;
	j->group = NULL;
	if (d) {
		d->jobs--;
		queue_deliverer_relieved(q, d);
	}
	if (g)
		queue_group_ended(q, g, answer);
}

// ---------------------------------------------------------------- sending

// Nobody was asked. A damaged body is for a human; everything else may be better later.
static void not_tried(struct queue *q, struct job *j, int err)
{
	LIST_EACH(link, &j->items) {
		struct item *i = LIST_ENTRY(link, struct item, link);
		i->next_ms = clock_wall_ms() + QUEUE_RETURN_MS;
		if (err == ERR_NOT_FOUND) {
			i->deleted = true;
			i->result = TRY_RETURNED;
		} else if (err == ERR_CORRUPT) {
			queue_item_set_result(i, TRY_HELD, "4.3.0", "%s",
				TEXT("the stored body is missing or damaged"));
		} else {
			i->result = TRY_RETURNED;
		}
	}
	leave(q, j, GROUP_UNKNOWN);
	queue_settle(q, j);
}

// The postmaster is reached as long as there is room on the disk; so is the owner by our warning.
static bool passes_quota(const struct queue *q, const struct item *i)
{
	if (i->mail->passes_quota)
		return true;
	return !q->config->deliver.quota_counts_postmaster &&
		(queue_is_role_address(q->config, i->address, i->domain) ||
			str_equal_nocase(queue_item_target(i), q->config->postmaster));
}

static void add_quota(const struct queue *q, const struct item *i, struct ipc_recipient *r)
{
	struct quota_limits l = queue_quota_in_force(q->config, &i->quota);
	r->quota = l.octets;
	r->quota_soft = l.octets_soft;
	r->quota_messages = l.messages;
	r->quota_messages_soft = l.messages_soft;
	r->quota_pass = passes_quota(q, i);
}

static int add_recipients(const struct job *j, struct buf *list)
{
	char words[SMTP_ADDRESS_MAX];
	int err = 0;
	LIST_EACH(link, &j->items) {
		const struct item *i = LIST_ENTRY(link, struct item, link);
		struct ipc_recipient r = {
			.id = i->id,
			.address = queue_item_target(i),
			.domain = i->target ? i->target_domain : i->domain,
			.orcpt = queue_item_orcpt(i),
			.notify = i->notify,
			.kind = i->kind,
			.detail = str_from(i->detail),
			.original = i->target ? queue_item_words(i, words) : STR_EMPTY,
		};
		if (j->deliverer->kind == QUEUE_LOCAL)
			add_quota(j->queue, i, &r);
		err = err ? err : ipc_list_add_recipient(list, &r);
	}
	return err;
}

// Of all its items: queue_job_take puts none together that have different ones.
static struct str sender_of(const struct job *j)
{
	return queue_item_sender(LIST_ENTRY(j->items.next, struct item, link));
}

static void hand_over(struct queue *q, struct job *j)
{
	const struct mail *m = j->mail;
	const struct envelope *e = &m->envelope;
	struct buf recipients = BUF_INIT;
	struct str sender = sender_of(j);
	bool list = !str_equal(sender, e->sender);
	if (add_recipients(j, &recipients))
		fatal("out of memory");
	struct ipc_try t = {
		.job = j->id,
		.message = e->id,
		.destination = j->group->domain,
		.route = j->group->route,
		.sender = sender,
		.envid = list ? STR_EMPTY : e->envid,
		.ret = list ? 0 : e->ret,
		.smtputf8 = e->smtputf8,
		.eightbit = e->eightbit,
		.size = e->size,
		.digest = str_make(e->digest, sizeof e->digest),
		.headers = e->headers,
		.edits = e->edits,
		.recipients = buf_str(&recipients),
		.spool = m->spool != 0,
		.body = m->spool ? STR_EMPTY : m->body,
	};
	j->state = JOB_SENT;
	int err = q->o.try(q->o.arg, j->deliverer->kind, j->deliverer->index, &t, m->spool ? m->fd : -1);
	buf_finish(&recipients);
	if (err)
		not_tried(q, j, ERR_UNAVAILABLE);
}

void queue_job_give(struct queue *q, struct job *j, struct group *g, struct deliverer *d)
{
	number(q, j);
	j->group = g;
	j->deliverer = d;
	g->in_flight++;
	d->jobs++;
	queue_body_use_file(j);
	if (queue_body_ready(j->mail)) {
		hand_over(q, j);
		return;
	}
	j->state = JOB_READING;
	queue_body_read(q, j);
}

void queue_job_send(struct queue *q, struct job *j, int body_err)
{
	if (body_err)
		not_tried(q, j, body_err);
	else
		hand_over(q, j);
}

void queue_job_settle_item(struct queue *q, struct item *i)
{
	struct job *j = create(q, i->mail);
	if (!i->next_ms)
		i->next_ms = clock_wall_ms();
	add_item(j, i);
	queue_settle(q, j);
}

// ---------------------------------------------------------------- answers

static void take_outcome(struct item *i, const struct ipc_outcome *from, const struct ipc_tried *t)
{
	static const enum try_kind kinds[] = {[SMTP_DELIVERED] = TRY_DELIVERED,
		[SMTP_TEMPORARY] = TRY_TEMPORARY, [SMTP_PERMANENT] = TRY_PERMANENT};
	static const char *const statuses[] = {[SMTP_DELIVERED] = "2.0.0", [SMTP_TEMPORARY] = "4.0.0",
		[SMTP_PERMANENT] = "5.0.0"};
	unsigned kind = from->outcome < ARRAY_SIZE(kinds) ? from->outcome : SMTP_TEMPORARY;
	struct outcome *o = queue_item_outcome(i);
	i->result = kinds[kind];
	o->code = from->code;
	if (!from->enhanced.len || !str_copy(from->enhanced, o->status, sizeof o->status))
		snprintf(o->status, sizeof o->status, "%s", statuses[kind]);
	snprintf(o->text, sizeof o->text, "%.*s", STR_ARG(from->text));
	snprintf(o->remote, sizeof o->remote, "%.*s", STR_ARG(t->remote));
	o->relayed_dsn = from->relayed_dsn;
	o->own_network = t->blame == 2;
}

// Broken or endless lists are a fault of ours: nothing is expanded, and it is tried again.
static void take_children(struct queue *q, struct item *i, struct str list)
{
	struct queue_child children[QUEUE_CHILDREN_MAX];
	struct ipc_child c;
	unsigned count = 0;
	int err = 0;
	while (ipc_next_child(&list, &c, &err) && count < QUEUE_CHILDREN_MAX)
		children[count++] = (struct queue_child){.address = c.address, .domain = c.domain,
			.orcpt = c.orcpt, .notify = c.notify};
	if (err || list.len)
		queue_item_set_result(i, TRY_TEMPORARY, "4.3.0", "%s",
			TEXT("the deliverer told no result"));
	else
		queue_job_expand(q, i, children, count);
}

static void take_outcomes(struct queue *q, struct job *j, const struct ipc_tried *t)
{
	struct str list = t->outcomes;
	struct ipc_outcome one;
	int err = 0;
	while (ipc_next_outcome(&list, &one, &err)) {
		struct item *i = queue_item_find(q, one.id);
		if (!i || i->job != j || i->result != TRY_NONE)
			continue;
		if (one.children.len)
			take_children(q, i, one.children);
		else
			take_outcome(i, &one, t);
		if (one.counted && j->deliverer->kind == QUEUE_LOCAL)
			queue_mailbox_told(q, i, &one);
	}
	LIST_EACH(link, &j->items) {
		struct item *i = LIST_ENTRY(link, struct item, link);
		if (i->result == TRY_NONE) // unknown is temporary
			queue_item_set_result(i, TRY_TEMPORARY, "4.3.0", "%s",
				TEXT("the deliverer told no result"));
	}
}

static const struct outcome *first_outcome(const struct job *j)
{
	return LIST_ENTRY(j->items.next, struct item, link)->outcome;
}

static void remember_trouble(struct group *g, const struct outcome *o)
{
	if (!o)
		return;
	snprintf(g->trouble, sizeof g->trouble, "%s", o->text);
	memcpy(g->trouble_status, o->status, sizeof g->trouble_status);
	memcpy(g->trouble_remote, o->remote, sizeof g->trouble_remote);
}

static enum group_answer judge(struct queue *q, struct job *j, unsigned blame)
{
	static const enum group_answer answers[] = {GROUP_ANSWERED, GROUP_FAILED, GROUP_UNKNOWN};
	struct group *g = j->group;
	if (blame == 1)
		remember_trouble(g, first_outcome(j));
	if (g->kind == ROUTE_MX && blame == 2)
		queue_port25_failed(q, g->domain, first_outcome(j));
	else if (g->kind == ROUTE_MX && blame == 0 && first_outcome(j) && first_outcome(j)->remote[0])
		queue_port25_answered(q);
	return blame < ARRAY_SIZE(answers) ? answers[blame] : GROUP_UNKNOWN;
}

void queue_job_ended(struct queue *q, struct job *j, enum group_answer answer)
{
	leave(q, j, answer);
	queue_settle(q, j);
}

void queue_tried(struct queue *q, enum queue_deliverer kind, unsigned index, struct str frame_body)
{
	struct ipc_tried t;
	if (ipc_decode_tried(frame_body, &t)) {
		event_report(EVENT_ERROR, "queue", "a deliverer sent a broken result");
		return;
	}
	struct job *j = queue_job_find(q, t.job);
	// One that was given back, or somebody else's.
	if (!j || j->state != JOB_SENT || j->deliverer != &q->deliverers[kind][index])
		return;
	j->ms = t.ms;
	str_copy(str_slice(t.tls, 0, sizeof j->tls - 1), j->tls, sizeof j->tls);
	take_outcomes(q, j, &t);
	queue_job_ended(q, j, judge(q, j, t.blame));
}

// ---------------------------------------------------------------- expansion

void queue_job_expand(struct queue *q, struct item *i, const struct queue_child *children,
	unsigned count)
{
	if (i->depth + 1 > QUEUE_DEPTH_MAX || !count) {
		queue_item_set_result(i, TRY_PERMANENT, "5.4.6", "%s",
			TEXT("the address leads to itself, or to nobody"));
		return;
	}
	// Forward files that name each other's details multiply at each step. Who leads to one other
	// address does not count, however many others did.
	if (count > 1 && i->mail->grown + count > QUEUE_EXPANSION_MAX) {
		queue_item_set_result(i, TRY_PERMANENT, "5.4.6", "%s",
			TEXT("the address leads to too many others"));
		return;
	}
	i->mail->grown += count - 1;
	queue_item_became_others(i);
	queue_item_set_result(i, TRY_EXPANDED, "2.0.0", "%s", "");
	i->outcome->children = mem_array(count, sizeof(struct item *));
	for (unsigned n = 0; n < count; n++) {
		struct envelope_recipient r = {
			.address = children[n].address,
			.domain = children[n].domain,
			.orcpt = children[n].orcpt,
			.notify = children[n].notify,
		};
		struct item *child = queue_item_create(q, i->mail, &r, id_next(q->ids));
		child->parent = i->id;
		child->depth = i->depth + 1;
		i->outcome->children[i->outcome->child_count++] = child;
	}
}

// ---------------------------------------------------------------- deliverers that go away

// Due again at once; but an item over which deliverers end takes a pause like a failed try.
static void try_again(struct queue *q, struct item *i)
{
	list_remove(&i->link);
	i->job = NULL;
	i->result = TRY_NONE;
	if (i->crashes < QUEUE_CRASHES_MAX)
		i->crashes++;
	if (i->crashes == QUEUE_CRASHES_MAX && !q->stopping) {
		queue_item_set_result(i, TRY_TEMPORARY, "4.3.0", "%s",
			TEXT("the process that delivers ended while this was tried"));
		queue_job_settle_item(q, i);
		return;
	}
	queue_item_enter(q, i);
}

static void give_back(struct queue *q, struct job *j)
{
	leave(q, j, GROUP_UNKNOWN);
	while (!list_empty(&j->items))
		try_again(q, LIST_ENTRY(j->items.next, struct item, link));
	release(q, j);
}

void queue_jobs_give_back(struct queue *q, struct deliverer *d)
{
	for (unsigned slot = 0; slot < q->slot_count; slot++) {
		struct job *j = q->slots[slot];
		if (j && (!d || j->deliverer == d))
			give_back(q, j);
	}
}
