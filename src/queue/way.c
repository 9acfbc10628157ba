// SPDX-License-Identifier: ISC
// The way of a recipient from the store or a submission to its group: whose mailbox it is, where it
// goes, or why it goes nowhere.
#include "base/arena.h"
#include "queue/address.h"
#include "queue/queue_internal.h"
#include "smtp/parameters.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/memory.h"
#include "base/text.h"
#include "base/unit.h"
#include "policy/limits.h"

void queue_item_give_back(struct queue *q, struct item *i, uint64_t after_ms)
{
	i->result = TRY_RETURNED;
	i->next_ms = clock_wall_ms() + after_ms;
	queue_job_settle_item(q, i);
}

static void set_target(struct item *i, struct str address)
{
	ptrdiff_t at = str_find_last(address, '@');
	mem_free(i->target);
	i->target = str_dup(address);
	i->target_domain = str_from(i->target + (at < 0 ? 0 : at + 1));
}

static void find_way(struct queue *q, struct item *i);

static void map_to_postmaster(struct queue *q, struct item *i)
{
	if (!q->config->postmaster.len) {
		queue_item_set_result(i, TRY_TEMPORARY, "4.3.5", "%s",
			TEXT("the setting postmaster is missing"));
		queue_job_settle_item(q, i);
		return;
	}
	i->mapped = true;
	set_target(i, q->config->postmaster);
	find_way(q, i);
}

static void has_no_account(struct queue *q, struct item *i, bool role)
{
	if (role && !i->mapped) {
		map_to_postmaster(q, i);
		return;
	}
	if (i->mapped) // a mistake of ours, which can be mended while the mail waits
		queue_item_set_result(i, TRY_TEMPORARY, "4.3.5",
			TEXT("the setting postmaster names %s, which does not exist"), i->target);
	else
		queue_item_set_result(i, TRY_PERMANENT, "5.1.1", TEXT("there is no %.*s here"),
			STR_ARG(i->address));
	queue_job_settle_item(q, i);
}

// What happened to it while it was on its way and nobody could touch it. True: it is gone.
static bool was_stopped(struct queue *q, struct item *i)
{
	if (i->deleted) {
		queue_item_destroy(q, i);
		queue_claim_freed(q);
	} else if (i->held || q->stopping) {
		queue_item_give_back(q, i, 0);
	} else {
		return false;
	}
	return true;
}

// More than this mailbox takes of one message (limit local-size): told to the sender now, as no later
// try would change it.
static bool is_too_large(struct queue *q, struct item *i, const struct address_end *e)
{
	char where[POLICY_WHERE_MAX], text[2][UNIT_TEXT_MAX];
	uint64_t size = i->mail->envelope.size;
	uint64_t most = policy_local_size(q->config, e->address, e->groups, where);
	if (!most || size <= most)
		return false;
	queue_log_limit(i, "max-local-size", where, size, most);
	queue_item_set_result(i, TRY_PERMANENT, "5.2.3",
		TEXT("the mailbox takes messages of up to %s, this one has %s"),
		unit_format_size_short(most, text[0]), unit_format_size_short(size, text[1]));
	queue_item_outcome(i)->code = 552;
	queue_job_settle_item(q, i);
	return true;
}

// ---- what the address became

// A program, a file: domain is no domain, whatever the command line looks like.
static void set_special(struct item *i, struct str text)
{
	mem_free(i->target);
	i->target = str_dup(text);
	i->target_domain = STR_EMPTY;
}

static void set_detail(struct item *i, struct str detail)
{
	mem_free(i->detail);
	i->detail = detail.len ? str_dup(detail) : NULL;
}

// A mailbox of ours, or behind a host that has it: that one parts names and details itself.
static void join_mailbox(struct queue *q, struct item *i, const struct address_end *e, bool is_alias)
{
	struct route r = queue_route_for(q->config, e->domain);
	if (is_too_large(q, i, e))
		return;
	struct str address = r.kind == ROUTE_HOST && !is_alias && e->reached.len ? e->reached : e->address;
	char key[SMTP_ADDRESS_MAX];
	if (r.kind != ROUTE_HOST)
		r = (struct route){.kind = ROUTE_LOCAL};
	bool same = str_equal(address, queue_item_target(i)) || (r.kind == ROUTE_HOST && !is_alias &&
		queue_address_key(queue_item_target(i), i->target ? i->target_domain : i->domain, key) &&
		str_equal(address, str_from(key)));
	if (!same)
		set_target(i, address);
	i->kind = IPC_TARGET_MAILBOX;
	i->quota = e->quota;
	set_detail(i, e->detail);
	queue_group_join(q, i, &r, i->target ? i->target_domain : i->domain);
}

// In the rights of a user of the system, or of alias-user.
static void join_user(struct queue *q, struct item *i, const struct address_end *e)
{
	struct route r = queue_route_of_user();
	ptrdiff_t at = str_find_last(e->address, '@');
	bool user = e->kind == ADDRESS_USER;
	i->kind = user ? IPC_TARGET_USER : e->kind == ADDRESS_PROGRAM ? IPC_TARGET_PROGRAM : IPC_TARGET_FILE;
	if (user)
		set_target(i, e->address);
	else
		set_special(i, e->address);
	set_detail(i, e->detail);
	queue_group_join(q, i, &r, user && at > 0 ? str_slice(e->address, 0, (size_t)at) : STR_EMPTY);
}

static void join_elsewhere(struct queue *q, struct item *i, const struct address_end *e)
{
	struct route r = queue_route_for(q->config, e->domain);
	if (!str_equal(e->address, queue_item_target(i)))
		set_target(i, e->address);
	queue_group_join(q, i, &r, i->target ? i->target_domain : i->domain);
}

static void fail(struct queue *q, struct item *i, const struct address_end *e)
{
	if (i->mapped) {
		has_no_account(q, i, false);
		return;
	}
	queue_item_set_result(i, TRY_PERMANENT, e->status, "%.*s", STR_ARG(e->words));
	queue_job_settle_item(q, i);
}

static void go_on(struct queue *q, struct item *i, const struct address_end *e, bool is_alias)
{
	switch (e->kind) {
	case ADDRESS_MAILBOX:
		join_mailbox(q, i, e, is_alias);
		break;
	case ADDRESS_USER:
	case ADDRESS_PROGRAM:
	case ADDRESS_FILE:
		join_user(q, i, e);
		break;
	case ADDRESS_HOST:
	case ADDRESS_FOREIGN:
		join_elsewhere(q, i, e);
		break;
	case ADDRESS_POSTMASTER:
		has_no_account(q, i, true);
		break;
	case ADDRESS_ERROR:
		fail(q, i, e);
		break;
	}
}

// ---- several ends: each becomes a recipient of its own

// RFC 3461 5.2.7.2: the alias itself tells of success; members of a list with an owner have no part
// in what was asked of the list.
static void fill_child(const struct item *i, const struct address_end *e, struct arena *arena,
	struct queue_child *out)
{
	char text[1200], orcpt[SMTP_ORCPT_MAX] = "rfc822;", words[SMTP_ADDRESS_MAX];
	uint8_t notify = i->notify & (uint8_t)~SMTP_NOTIFY_SUCCESS;
	struct str original = queue_item_orcpt(i);
	out->address = arena_str(arena, queue_address_child(e, text));
	out->domain = arena_str(arena, e->domain);
	out->notify = i->notify && !notify ? SMTP_NOTIFY_NEVER : notify;
	if (e->owner.len && queue_item_sender(i).len) {
		out->notify = 0;
		out->orcpt = str_from(arena_format(arena, "<%.*s>", STR_ARG(e->owner)));
	} else if (i->orcpt.len) {
		out->orcpt = arena_str(arena, i->orcpt);
	} else {
		if (smtp_xtext_encode(queue_item_words(i, words), orcpt + 7, sizeof orcpt - 7))
			orcpt[0] = '\0';
		out->orcpt = original.len ? original : arena_str(arena, str_from(orcpt));
	}
}

// Under which a child is known to the message's other recipients.
static struct str reached_key(struct arena *arena, struct str address, struct str orcpt)
{
	return str_from(arena_format(arena, "%.*s %.*s", STR_ARG(address),
		STR_ARG(orcpt.len && orcpt.data[0] == '<' ? orcpt : STR_EMPTY)));
}

// What mail->reached has for an address: some recipient is on its way there, or was, and became others.
static char on_its_way, became_others;

void queue_item_became_others(struct item *i)
{
	struct arena arena = {0};
	struct str key = reached_key(&arena, i->address, i->orcpt);
	if (map_get(&i->mail->reached, key))
		map_set(&i->mail->reached, key, &became_others);
	arena_finish(&arena);
}

// *out_others: some of the ends have it by another recipient.
static unsigned make_children(struct item *i, const struct address_answer *a, struct arena *arena,
	struct queue_child *out, bool *out_others)
{
	unsigned count = 0;
	*out_others = false;
	for (unsigned n = 0; n < a->end_count; n++) {
		struct queue_child *c = &out[count];
		fill_child(i, &a->ends[n], arena, c);
		struct str key = reached_key(arena, c->address, c->orcpt);
		const char *before = map_get(&i->mail->reached, key);
		if (!before) {
			map_set(&i->mail->reached, key, &on_its_way);
			count++;
		} else if (before == &on_its_way) {
			*out_others = true;
		}
	}
	return count;
}

static void leads_nowhere(struct queue *q, struct item *i, bool too_many)
{
	queue_item_set_result(i, TRY_PERMANENT, "5.4.6", too_many ?
		TEXT("%.*s is an alias that leads to too many addresses, or over too many aliases") :
		TEXT("%.*s is an alias that leads to itself, or to nobody"), STR_ARG(i->address));
	queue_job_settle_item(q, i);
}

static void expand(struct queue *q, struct item *i, const struct address_answer *a)
{
	struct arena arena = {0};
	struct queue_child *children = mem_array(a->end_count, sizeof *children);
	bool others;
	unsigned count = make_children(i, a, &arena, children, &others);
	if (!count && !others) { // each became others, and these led here: nobody would get it
		leads_nowhere(q, i, false);
		goto out;
	}
	if (!count)
		queue_item_set_result(i, TRY_EXPANDED, "2.0.0", "%s", "");
	else
		queue_job_expand(q, i, children, count);
	// Nothing was made: other recipients that lead there have to go there themselves.
	for (unsigned n = 0; n < count && i->result != TRY_EXPANDED; n++)
		(void)map_remove(&i->mail->reached,
			reached_key(&arena, children[n].address, children[n].orcpt));
	queue_job_settle_item(q, i);
out:
	mem_free(children);
	arena_finish(&arena);
}

static void wait_for_list(struct queue *q, struct item *i)
{
	queue_item_set_result(i, TRY_TEMPORARY, "4.2.4",
		TEXT("%.*s is an alias with a file (:include:) that cannot be read now"), STR_ARG(i->address));
	queue_job_settle_item(q, i);
}

static void on_resolved(void *arg, const struct address_answer *a)
{
	struct item *i = arg;
	struct queue *q = i->mail->queue;
	list_remove(&i->link);
	i->place = ITEM_TRYING;
	if (was_stopped(q, i))
		return;
	if (a->err)
		queue_item_give_back(q, i, QUEUE_RETURN_MS);
	else if (a->unread)
		wait_for_list(q, i);
	else if (!a->end_count)
		leads_nowhere(q, i, a->too_many);
	else if (a->end_count == 1 && (!a->ends[0].owner.len || !queue_item_sender(i).len))
		go_on(q, i, &a->ends[0], a->is_alias);
	else
		expand(q, i, a);
}

static void resolve(struct queue *q, struct item *i, struct str domain)
{
	list_add_last(&q->routing, &i->link);
	i->place = ITEM_ROUTING;
	queue_address_resolve(q, queue_item_target(i), domain, ADDRESS_OWNERS, on_resolved, i);
}

static void refuse(struct queue *q, struct item *i, const struct config_route *route)
{
	queue_item_set_result(i, TRY_PERMANENT, "5.7.1", "%.*s",
		STR_ARG(route->text.len ? route->text : STR("mail to this domain is refused")));
	queue_job_settle_item(q, i);
}

static void find_way(struct queue *q, struct item *i)
{
	struct str domain = i->target ? i->target_domain : i->domain;
	bool role = !i->mapped && queue_is_role_address(q->config, i->address, i->domain);
	if (role && !config_is_local_domain(q->config, i->domain)) {
		map_to_postmaster(q, i); // <postmaster>, or at an address literal
		return;
	}
	struct route r = queue_route_for(q->config, domain);
	if (role || r.kind == ROUTE_LOCAL || queue_address_is_made(queue_item_target(i), domain) ||
		config_is_local_domain(q->config, domain))
		resolve(q, i, domain);
	else if (r.kind == ROUTE_REFUSE)
		refuse(q, i, r.config);
	else
		queue_group_join(q, i, &r, domain);
}

void queue_item_enter(struct queue *q, struct item *i)
{
	list_remove(&i->link);
	i->place = ITEM_TRYING;
	if (was_stopped(q, i))
		return;
	mem_free(i->target);
	i->target = NULL;
	set_detail(i, STR_EMPTY);
	i->kind = IPC_TARGET_MAILBOX;
	i->mapped = false;
	find_way(q, i);
}
