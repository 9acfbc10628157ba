// SPDX-License-Identifier: ISC
// The way of a recipient from the store or a submission to its group: whose mailbox it is, where it
// goes, or why it goes nowhere.
#include "queue/queue_internal.h"

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
static bool is_too_large(struct queue *q, struct item *i, const struct directory_entry *e)
{
	char where[POLICY_WHERE_MAX], text[2][UNIT_TEXT_MAX];
	uint64_t size = i->mail->envelope.size;
	uint64_t most = policy_local_size(q->config, e->name, e->groups, where);
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

static void on_account(void *arg, const struct directory_entry *e)
{
	struct item *i = arg;
	struct queue *q = i->mail->queue;
	list_remove(&i->link);
	i->place = ITEM_TRYING;
	if (was_stopped(q, i))
		return;
	bool role = queue_is_role_address(q->config, i->address, i->domain);
	if (e->err == ERR_NOT_FOUND) {
		has_no_account(q, i, role);
		return;
	}
	if (e->err) {
		queue_item_give_back(q, i, QUEUE_RETURN_MS);
		return;
	}
	if (is_too_large(q, i, e))
		return;
	if (!str_equal(e->name, queue_item_target(i)))
		set_target(i, e->name);
	i->quota = e->quota;
	struct str domain = i->target ? i->target_domain : i->domain;
	struct route r = queue_route_for(q->config, domain);
	if (r.kind != ROUTE_HOST)
		r = (struct route){.kind = ROUTE_LOCAL};
	queue_group_join(q, i, &r, domain);
}

static void ask_directory(struct queue *q, struct item *i, struct str domain)
{
	char key[SMTP_ADDRESS_MAX];
	if (!queue_address_key(queue_item_target(i), domain, key)) {
		has_no_account(q, i, false);
		return;
	}
	list_add_last(&q->routing, &i->link);
	i->place = ITEM_ROUTING;
	queue_directory_address(q->directory, str_from(key), on_account, i);
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
	if (role || r.kind == ROUTE_LOCAL)
		ask_directory(q, i, domain);
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
	i->mapped = false;
	find_way(q, i);
}
