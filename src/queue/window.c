// SPDX-License-Identifier: ISC
// The window: the messages and recipients that are in memory because they are claimed. Its bounds
// are what keeps a queue of millions small.
#include "queue/queue_internal.h"

#include "base/error.h"
#include "base/file.h"
#include "base/memory.h"
#include "smtp/parameters.h"

#include <stdarg.h>
#include <stdio.h>

bool queue_window_has_room(const struct queue *q, unsigned items, size_t octets)
{
	return q->item_count + items <= QUEUE_WINDOW_ITEMS && q->octets + octets <= QUEUE_WINDOW_OCTETS;
}

unsigned queue_window_claimable(const struct queue *q)
{
	if (q->octets > QUEUE_WINDOW_OCTETS / 2 * 3 ||
		q->item_count + QUEUE_CLAIM_ITEMS / 10 > QUEUE_WINDOW_ITEMS)
		return 0;
	size_t room = QUEUE_WINDOW_ITEMS - q->item_count;
	return room < QUEUE_CLAIM_ITEMS ? (unsigned)room : QUEUE_CLAIM_ITEMS;
}

// ---- copying strings behind a struct
struct copier {
	char *at;
};

static struct str copy(struct copier *c, struct str s)
{
	struct str kept = {c->at, s.len};
	if (s.len)
		memcpy(c->at, s.data, s.len);
	c->at += s.len;
	return kept;
}

// ---- messages
struct mail *queue_mail_create(struct queue *q, const struct envelope *e, uint64_t spool,
	struct str body)
{
	size_t size = sizeof(struct mail) + e->sender.len + e->account.len + e->client.len +
		e->envid.len + e->headers.len + e->edits.len + (body.data ? body.len : 0);
	struct mail *m = mem_alloc(size);
	struct copier c = {(char *)(m + 1)};
	m->envelope = *e;
	m->envelope.sender = copy(&c, e->sender);
	m->envelope.account = copy(&c, e->account);
	m->envelope.client = copy(&c, e->client);
	m->envelope.envid = copy(&c, e->envid);
	m->envelope.headers = copy(&c, e->headers);
	m->envelope.edits = copy(&c, e->edits);
	m->passes_quota = str_equal(e->labels, STR(QUEUE_WARNING_LABEL));
	m->envelope.server = m->envelope.helo = m->envelope.labels = STR_EMPTY; // the store has them
	if (body.data)
		m->body = copy(&c, body);
	m->spool = spool;
	m->fd = -1;
	m->references = 1;
	m->octets = size;
	m->queue = q;
	list_init(&m->readers);
	q->octets += size;
	q->mails++;
	return m;
}

void queue_mail_unref(struct mail *m)
{
	if (!m || --m->references)
		return;
	m->queue->octets -= m->octets;
	m->queue->mails--;
	fd_close(&m->fd);
	mem_free(m->loaded);
	map_finish(&m->reached);
	mem_free(m);
}

// ---- recipients
struct item *queue_item_create(struct queue *q, struct mail *m, const struct envelope_recipient *r,
	uint64_t id)
{
	struct item *i = mem_alloc(sizeof *i + r->address.len + r->domain.len + r->orcpt.len +
		r->hold_reason.len);
	struct copier c = {(char *)(i + 1)};
	list_init(&i->link);
	i->mail = m;
	m->references++;
	i->id = id;
	i->address = copy(&c, r->address);
	i->domain = copy(&c, r->domain);
	i->orcpt = copy(&c, r->orcpt);
	i->hold_reason = copy(&c, r->hold_reason);
	i->notify = r->notify;
	i->hold = r->hold;
	i->place = ITEM_TRYING;
	map_set(&q->items, str_make(&i->id, sizeof i->id), i);
	q->item_count++;
	return i;
}

static void outcome_destroy(struct queue *q, struct outcome *o)
{
	if (!o)
		return;
	for (unsigned n = 0; n < o->child_count; n++)
		queue_item_destroy(q, o->children[n]);
	mem_free(o->children);
	mem_free(o);
}

void queue_item_destroy(struct queue *q, struct item *i)
{
	if (!i)
		return;
	if (i->group)
		queue_group_remove(i->group, i);
	list_remove(&i->link);
	(void)map_remove(&q->items, str_make(&i->id, sizeof i->id));
	q->item_count--;
	outcome_destroy(q, i->outcome);
	queue_mail_unref(i->mail);
	mem_free(i->target);
	mem_free(i->detail);
	mem_free(i);
}

struct item *queue_item_find(struct queue *q, uint64_t id)
{
	return map_get(&q->items, str_make(&id, sizeof id));
}

// A member of a list with an owner has the owner's address in place of an ORCPT, "<owner-x@y>",
// which no client can give: a list's members are told nothing of the original's facts, and what
// fails comes back to the owner (RFC 3461 5.2.7.3).
struct str queue_item_sender(const struct item *i)
{
	if (i->orcpt.len < 2 || i->orcpt.data[0] != '<')
		return i->mail->envelope.sender;
	return str_slice(i->orcpt, 1, i->orcpt.len - 1);
}

struct str queue_item_orcpt(const struct item *i)
{
	return i->orcpt.len && i->orcpt.data[0] == '<' ? STR_EMPTY : i->orcpt;
}

struct str queue_item_words(const struct item *i, char space[SMTP_ADDRESS_MAX])
{
	struct str a = i->address, from = queue_item_orcpt(i), type;
	if (str_starts(a, STR("\\")))
		return str_skip(a, 1);
	if (i->domain.len || !a.len || (a.data[0] != '|' && a.data[0] != '/'))
		return a;
	if (!str_split(&from, ';', &type) || smtp_xtext_decode(from, space, SMTP_ADDRESS_MAX))
		return str_slice(a, 0, 1);
	return str_from(space);
}

struct outcome *queue_item_outcome(struct item *i)
{
	if (!i->outcome)
		i->outcome = mem_alloc(sizeof *i->outcome);
	return i->outcome;
}

void queue_item_set_result(struct item *i, enum try_kind kind, const char *status,
	const char *format, ...)
{
	struct outcome *o = queue_item_outcome(i);
	va_list args;
	i->result = kind;
	snprintf(o->status, sizeof o->status, "%s", status);
	va_start(args, format);
	vsnprintf(o->text, sizeof o->text, format, args);
	va_end(args);
}

// ---- what an administrator does meanwhile
void queue_item_was_held(struct queue *q, uint64_t id)
{
	struct item *i = queue_item_find(q, id);
	if (!i)
		return;
	i->held = true;
	if (i->place != ITEM_WAITING)
		return; // being tried: its end finds the flag in the row; being routed: see queue_item_enter
	queue_group_remove(i->group, i);
	i->result = TRY_RETURNED;
	queue_job_settle_item(q, i);
}

void queue_item_was_deleted(struct queue *q, uint64_t id)
{
	struct item *i = queue_item_find(q, id);
	if (!i)
		return;
	i->deleted = true;
	if (i->place != ITEM_WAITING)
		return;
	queue_item_destroy(q, i);
	queue_claim_freed(q);
}
