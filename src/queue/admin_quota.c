// SPDX-License-Identifier: ISC
// Quotas of accounts and domains, and how full mailboxes are.
#include "queue/admin_internal.h"
#include "queue/queue_internal.h"

#include "base/error.h"
#include "base/memory.h"
#include "base/text.h"
#include "base/unit.h"
#include "store/mailboxes.h"

#define PAGE 500
#define DOMAIN_PREFIX STR("domain:")

// One call, from its first question to its end.
struct quota_call {
	struct control_call *call;
	struct queue_admin *admin;
	char name[SMTP_ADDRESS_MAX]; // of an account, or of a domain; "" : all
	char after[SMTP_ADDRESS_MAX];
	bool domain;
	unsigned page;
	uint64_t count;
	struct store_mailbox box;    // being counted; its name is in after
};

// ---------------------------------------------------------------- rows

static const char *who_says(const struct store_mailbox *m, const struct config *c)
{
	if (m->own.octets)
		return "account";
	if (m->domain.octets)
		return "domain";
	return c->deliver.quota.octets ? "default" : "";
}

static struct quota_limits in_force(const struct store_mailbox *m, const struct config *c)
{
	struct quota_limits l = m->own;
	quota_inherit(&l, &m->domain);
	return queue_quota_in_force(c, &l);
}

static void add_limits(json_t *row, const struct quota_limits *l)
{
	json_object_set_new(row, "quota", queue_json_number(l->octets));
	json_object_set_new(row, "quota_soft", queue_json_number(l->octets_soft));
	json_object_set_new(row, "quota_messages", queue_json_number(l->messages));
	json_object_set_new(row, "quota_messages_soft", queue_json_number(l->messages_soft));
}

static const char *state_of(const struct quota_limits *l, const struct quota_usage *usage)
{
	if (quota_judge(l, usage, 1) == QUOTA_OVER_HARD)
		return "full";
	return quota_judge(l, usage, 0) == QUOTA_OVER_SOFT ? "soft" : "";
}

static json_t *row_of(const struct store_mailbox *m, const struct config *c)
{
	struct quota_limits l = in_force(m, c);
	json_t *row = json_object();
	json_object_set_new(row, "name", queue_json_text(m->name));
	add_limits(row, &l);
	json_object_set_new(row, "said", json_string(who_says(m, c)));
	json_object_set_new(row, "octets", queue_json_number(m->usage.octets));
	json_object_set_new(row, "messages", queue_json_number(m->usage.messages));
	json_object_set_new(row, "counted", queue_json_number(m->counted_ms));
	json_object_set_new(row, "warned", queue_json_number(m->warned_ms));
	json_object_set_new(row, "state", json_string(state_of(&l, &m->usage)));
	return row;
}

static json_t *row_of_domain(struct str name, const struct quota_limits *said)
{
	struct quota_limits l = *said;
	json_t *row = json_object();
	quota_resolve(&l);
	json_object_set_new(row, "domain", queue_json_text(name));
	add_limits(row, &l);
	return row;
}

// ---------------------------------------------------------------- arguments

static bool take_domain(struct quota_call *q, struct str name)
{
	const struct config *c = q->admin->config;
	char domain[DOMAIN_MAX + 1];
	if (domain_normalise(name, domain) || !config_is_local_domain(c, str_from(domain))) {
		control_fail(q->call, "syntax", TEXT("%.*s is not a domain of this server"),
			STR_ARG(str_slice(name, 0, 300)));
		return false;
	}
	q->domain = true;
	return str_copy(str_from(domain), q->name, sizeof q->name);
}

// all: the name may be missing.
static struct quota_call *begin(struct control_call *call, const json_t *arguments, void *arg, bool all)
{
	struct quota_call *q = mem_alloc(sizeof *q);
	struct str name;
	bool good;
	q->call = call;
	q->admin = arg;
	if (queue_json_argument(arguments, "name", &name)) {
		control_fail(call, "syntax", "%s", TEXT("an argument is no text"));
		good = false;
	} else if (all && !name.len) {
		good = true;
	} else if (str_starts(name, DOMAIN_PREFIX)) {
		good = take_domain(q, str_skip(name, DOMAIN_PREFIX.len));
	} else {
		good = queue_admin_take_name(call, arguments, q->admin->config, q->name);
	}
	if (good)
		return q;
	mem_free(q);
	return NULL;
}

static void fail(struct quota_call *q, int err)
{
	if (err == ERR_NOT_FOUND)
		control_fail(q->call, "not-found", TEXT("there is no account %s"), q->name);
	else
		queue_admin_fail(q->call, err);
	mem_free(q);
}

// ---------------------------------------------------------------- list and show

static void list_row(void *arg, const struct store_mailbox *m)
{
	struct quota_call *q = arg;
	q->page++;
	q->count++;
	str_copy(m->name, q->after, sizeof q->after);
	control_row(q->call, row_of(m, q->admin->config));
}

static void list_domain(void *arg, const struct store_mailbox *m)
{
	struct quota_call *q = arg;
	q->page++;
	str_copy(m->name, q->after, sizeof q->after);
	control_row(q->call, row_of_domain(m->name, &m->domain));
}

static void on_listed(void *arg, int err)
{
	struct quota_call *q = arg;
	if (err) {
		fail(q, err);
	} else if (q->page == PAGE) {
		q->page = 0;
		store_mailbox_list(q->admin->store, str_from(q->after), PAGE, list_row, on_listed, q);
	} else {
		control_done(q->call, json_pack("{s:o}", "count", queue_json_number(q->count)));
		mem_free(q);
	}
}

static void on_domains_listed(void *arg, int err)
{
	struct quota_call *q = arg;
	if (err) {
		fail(q, err);
		return;
	}
	if (q->page == PAGE) {
		q->page = 0;
		store_domain_quota_list(q->admin->store, str_from(q->after), PAGE, list_domain,
			on_domains_listed, q);
		return;
	}
	q->page = 0;
	q->after[0] = '\0';
	store_mailbox_list(q->admin->store, STR_EMPTY, PAGE, list_row, on_listed, q);
}

void queue_admin_quota_list(struct control_call *call, const json_t *arguments, void *arg)
{
	struct quota_call *q = begin(call, arguments, arg, true);
	if (!q)
		return;
	if (q->admin->queue)
		queue_mailboxes_flush(q->admin->queue);
	store_domain_quota_list(q->admin->store, STR_EMPTY, PAGE, list_domain, on_domains_listed, q);
}

static void on_shown(void *arg, int err, const struct store_mailbox *m)
{
	struct quota_call *q = arg;
	if (err) {
		fail(q, err);
		return;
	}
	control_row(q->call, row_of(m, q->admin->config));
	control_done(q->call, NULL);
	mem_free(q);
}

static void show_domain(void *arg, const struct store_mailbox *m)
{
	struct quota_call *q = arg;
	if (str_equal(m->name, str_from(q->name)))
		control_row(q->call, row_of_domain(m->name, &m->domain));
}

static void on_domain_shown(void *arg, int err)
{
	struct quota_call *q = arg;
	if (err) {
		fail(q, err);
		return;
	}
	control_done(q->call, NULL);
	mem_free(q);
}

void queue_admin_quota_show(struct control_call *call, const json_t *arguments, void *arg)
{
	struct quota_call *q = begin(call, arguments, arg, false);
	if (!q)
		return;
	if (q->admin->queue)
		queue_mailboxes_flush(q->admin->queue);
	if (q->domain)
		store_domain_quota_list(q->admin->store, STR_EMPTY, 0, show_domain, on_domain_shown, q);
	else
		store_mailbox_get(q->admin->store, str_from(q->name), on_shown, q);
}

// ---------------------------------------------------------------- set

// "1G", "none", "default" (as less special places say).
static int parse_value(const json_t *arguments, const char *key, bool octets, uint64_t *out)
{
	struct str word;
	if (queue_json_argument(arguments, key, &word))
		return ERR_SYNTAX;
	if (str_equal(word, STR("default"))) {
		*out = 0;
		return 0;
	}
	*out = QUOTA_NONE;
	if (str_equal(word, STR("none")))
		return 0;
	int err = octets ? unit_parse_size(word, out) : str_to_u64(word, out);
	if (!err && *out >= QUOTA_NONE)
		err = ERR_LIMIT;
	if (!err && *out == 0)
		*out = QUOTA_NONE;
	return err;
}

static bool parse_values(struct quota_call *q, const json_t *arguments, struct quota_limits *l,
	unsigned *out_which)
{
	const struct {
		const char *key;
		unsigned bit;
		bool octets;
		uint64_t *value;
	} rows[] = {{"hard", STORE_QUOTA_OCTETS, true, &l->octets},
		{"soft", STORE_QUOTA_SOFT, true, &l->octets_soft},
		{"messages", STORE_QUOTA_MESSAGES, false, &l->messages},
		{"messages_soft", STORE_QUOTA_MESSAGES_SOFT, false, &l->messages_soft}};
	*out_which = 0;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		if (!json_object_get(arguments, rows[i].key))
			continue;
		if (parse_value(arguments, rows[i].key, rows[i].octets, rows[i].value)) {
			control_fail(q->call, "syntax", rows[i].octets ?
				TEXT("a quota is a size like 1G, none or default") :
				TEXT("a quota of messages is a number, none or default"));
			return false;
		}
		*out_which |= rows[i].bit;
	}
	if (*out_which)
		return true;
	control_fail(q->call, "syntax", "%s", TEXT("nothing to set"));
	return false;
}

static void on_set(void *arg, int err)
{
	struct quota_call *q = arg;
	if (err) {
		fail(q, err);
		return;
	}
	if (q->admin->queue)
		queue_quota_changed(q->admin->queue, q->domain ? STR_EMPTY : str_from(q->name));
	queue_admin_event(q->call, "quota set", str_from(q->name), 1);
	control_done(q->call, json_pack("{s:o}", "name", queue_json_text(str_from(q->name))));
	mem_free(q);
}

void queue_admin_quota_set(struct control_call *call, const json_t *arguments, void *arg)
{
	struct quota_call *q = begin(call, arguments, arg, false);
	struct quota_limits l = {0};
	unsigned which;
	if (!q)
		return;
	if (!parse_values(q, arguments, &l, &which))
		mem_free(q);
	else if (q->domain)
		store_domain_set_quota(q->admin->store, str_from(q->name), &l, which, on_set, q);
	else
		store_account_set_quota(q->admin->store, str_from(q->name), &l, which, on_set, q);
}

// ---------------------------------------------------------------- recount

static void count_next(struct quota_call *q);

static void on_counted(void *arg, int err, const struct quota_usage *usage)
{
	struct quota_call *q = arg;
	struct store_mailbox *m = &q->box;
	json_t *row;
	m->name = str_from(q->after);
	m->usage = *usage;
	row = row_of(m, q->admin->config);
	if (err)
		json_object_set_new(row, "error", json_string(err_text(err)));
	else
		queue_mailbox_wake(q->admin->queue, m->name);
	control_row(q->call, row);
	q->count += !err;
	if (q->name[0] && err) {
		fail(q, err);
	} else if (q->name[0] || control_is_gone(q->call)) {
		control_done(q->call, json_pack("{s:o}", "count", queue_json_number(q->count)));
		mem_free(q);
	} else {
		count_next(q);
	}
}

static void count(struct quota_call *q, const struct store_mailbox *m)
{
	struct quota_limits l = in_force(m, q->admin->config);
	str_copy(m->name, q->after, sizeof q->after);
	q->box = *m;
	queue_mailbox_count(q->admin->queue, str_from(q->after), &l, on_counted, q);
}

static void on_found(void *arg, int err, const struct store_mailbox *m)
{
	struct quota_call *q = arg;
	if (err)
		fail(q, err);
	else
		count(q, m);
}

static void take_next(void *arg, const struct store_mailbox *m)
{
	struct quota_call *q = arg;
	q->page++;
	count(q, m);
}

static void on_next_listed(void *arg, int err)
{
	struct quota_call *q = arg;
	if (err) {
		fail(q, err);
	} else if (!q->page) {
		control_done(q->call, json_pack("{s:o}", "count", queue_json_number(q->count)));
		mem_free(q);
	}
}

// One after the other: it is a look at every file of every mailbox.
static void count_next(struct quota_call *q)
{
	q->page = 0;
	store_mailbox_list(q->admin->store, str_from(q->after), 1, take_next, on_next_listed, q);
}

void queue_admin_quota_recount(struct control_call *call, const json_t *arguments, void *arg)
{
	struct quota_call *q = begin(call, arguments, arg, true);
	if (!q)
		return;
	if (q->domain || !q->admin->queue) {
		control_fail(call, "syntax", "%s", TEXT("mailboxes are counted by the running server, "
			"one account or all of them"));
		mem_free(q);
	} else if (q->name[0]) {
		store_mailbox_get(q->admin->store, str_from(q->name), on_found, q);
	} else {
		count_next(q);
	}
}
