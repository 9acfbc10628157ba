// SPDX-License-Identifier: ISC
// "limits": what is in force for an account, a client, a server, and how much of each rate is used;
// without any of them every count there is. "limits reset": a count back to nothing. With the server
// stopped the counts are read from the store into rates of our own.
#include "queue/admin_internal.h"

#include "base/memory.h"
#include "base/text.h"
#include "policy/limits.h"
#include "queue/queue_internal.h"

#define ROWS_MAX 10000 // counts in one answer

struct view {
	struct control_call *call;
	struct queue_admin *admin;
	struct policy_facts facts;
	struct client_rule rule;
	struct rates *rates;   // of the queue, or our own
	bool own_rates, everything;
	char account[SMTP_ADDRESS_MAX];
	char groups[STORE_WORDS_MAX + 1];
	char reset[POLICY_RATE_KEY_MAX]; // "" : show
	uint64_t count;
};

static void release(struct view *v)
{
	if (v->own_rates)
		rates_destroy(v->rates);
	mem_free(v);
}

static void finish(struct view *v)
{
	control_done(v->call, json_pack("{s:o}", "count", queue_json_number(v->count)));
	release(v);
}

// ---- rows

static const char *unit_of(enum config_limit_id id)
{
	static const char *const units[] = {[CONFIG_UNIT_number] = "number",
		[CONFIG_UNIT_size] = "octets", [CONFIG_UNIT_duration] = "ms"};
	return units[config_limit_kinds[id].unit];
}

static void add_limit(struct view *v, enum config_limit_id id)
{
	char where[POLICY_WHERE_MAX];
	const char *name = config_limit_kinds[id].name;
	uint64_t value = policy_limit(&v->facts, id);
	(void)policy_limit_where(&v->facts, id, where);
	control_row(v->call, json_pack("{s:s, s:o, s:s, s:o}", "limit", name, "value",
		value ? queue_json_number(value) : json_null(), "unit", unit_of(id), "where",
		queue_json_text(str_from(where))));
	v->count++;
}

struct wanted {
	const char *key;
	struct rates_row row;
	bool found;
};

static void find_row(void *arg, const struct rates_row *row)
{
	struct wanted *w = arg;
	if (w->found || !str_equal(row->key, str_from(w->key)))
		return;
	w->row = *row;
	w->found = true;
}

static void add_rate(struct view *v, const struct policy_rate *r)
{
	char key[POLICY_RATE_KEY_MAX], where[POLICY_WHERE_MAX], words[CONFIG_RATE_TEXT_MAX];
	if (!policy_rate_key(&v->facts, r->rate, key))
		return; // it would count nobody
	struct wanted w = {.key = key};
	rates_each(v->rates, rates_now(), find_row, &w);
	control_row(v->call, json_pack("{s:s, s:s, s:s, s:o, s:o, s:o, s:o, s:o}", "rate",
		config_rate_text(r->rate, words), "action", config_rate_action_word(r->rate->action), "where",
		policy_rate_where(r, where), "key", queue_json_text(str_from(key)), "most",
		queue_json_number(r->rate->most), "used", queue_json_number(w.row.used), "reserved",
		queue_json_number(w.row.reserved), "left_ms", queue_json_number(w.row.left_ms)));
	v->count++;
}

static void add_count(void *arg, const struct rates_row *row)
{
	struct view *v = arg;
	if (v->count++ >= ROWS_MAX)
		return;
	control_row(v->call, json_pack("{s:o, s:o, s:o, s:o}", "key", queue_json_text(row->key), "used",
		queue_json_number(row->used), "reserved", queue_json_number(row->reserved), "left_ms",
		queue_json_number(row->left_ms)));
}

static void show(struct view *v)
{
	struct policy_limits all;
	if (v->everything) {
		rates_each(v->rates, rates_now(), add_count, v);
		finish(v);
		return;
	}
	policy_limits(&v->facts, &all);
	v->facts.limits = &all;
	for (unsigned id = 0; id < CONFIG_LIMITS; id++)
		add_limit(v, (enum config_limit_id)id);
	for (unsigned i = 0; i < all.rate_count; i++)
		add_rate(v, &all.rates[i]);
	finish(v);
}

// ---- reset

static void on_written(void *arg, int err)
{
	struct view *v = arg;
	if (err && !v->own_rates)
		rates_unwritten(v->rates);
	if (err) {
		queue_admin_fail(v->call, err);
		release(v);
		return;
	}
	queue_admin_event(v->call, "limits reset", str_from(v->reset), 1);
	v->count = 1;
	finish(v);
}

static void reset(struct view *v)
{
	if (!rates_reset(v->rates, str_from(v->reset))) {
		control_fail(v->call, "not-found", TEXT("nothing is counted as \"%s\"; `pabal limits` lists what is"),
			v->reset);
		release(v);
		return;
	}
	struct store_batch *b = store_batch_create();
	rates_write(v->rates, b);
	store_apply(v->admin->store, b, on_written, v);
}

// ---- whose

static void go_on(struct view *v)
{
	if (v->reset[0])
		reset(v);
	else
		show(v);
}

static void on_row(void *arg, struct str name, uint64_t window, uint64_t value)
{
	struct view *v = arg;
	rates_load(v->rates, rates_now(), name, window, value);
}

static void on_rows(void *arg, int err)
{
	struct view *v = arg;
	if (!err) {
		rates_loaded(v->rates);
		go_on(v);
		return;
	}
	queue_admin_fail(v->call, err);
	release(v);
}

static void take_rates(struct view *v)
{
	if (v->admin->queue) {
		v->rates = v->admin->queue->rates;
		go_on(v);
		return;
	}
	v->own_rates = true;
	v->rates = rates_create();
	store_counter_list(v->admin->store, on_row, on_rows, v);
}

static void on_account(void *arg, int err, const struct store_account *a)
{
	struct view *v = arg;
	if (err == ERR_NOT_FOUND) {
		control_fail(v->call, "not-found", TEXT("there is no account %s"), v->account);
		release(v);
		return;
	}
	if (err) {
		queue_admin_fail(v->call, err);
		release(v);
		return;
	}
	str_copy(str_slice(a->group_names, 0, sizeof v->groups - 1), v->groups, sizeof v->groups);
	v->facts.account_groups = str_from(v->groups);
	take_rates(v);
}

static bool take_client(struct view *v, struct str text)
{
	bool by_name;
	struct str unknown = {NULL, 0};
	if (!text.len)
		return true;
	if (ipaddr_parse(text, &v->facts.client)) {
		control_fail(v->call, "syntax", TEXT("\"%.*s\" is no address"), STR_ARG(text));
		return false;
	}
	if (config_client_rule(v->admin->config, &v->facts.client, unknown, &v->rule, &by_name))
		v->facts.client_rule = &v->rule;
	return true;
}

static bool take_server(struct view *v, struct str name)
{
	const struct config *c = v->admin->config;
	for (size_t i = 0; i < c->server_count; i++)
		if (str_equal(c->servers[i].name, name))
			v->facts.server = &c->servers[i];
	if (!name.len || v->facts.server)
		return true;
	control_fail(v->call, "not-found", TEXT("there is no server \"%.*s\""), STR_ARG(name));
	return false;
}

void queue_admin_limits(struct control_call *call, const json_t *arguments, void *arg)
{
	struct view *v = mem_alloc(sizeof *v);
	struct str name, client, server;
	*v = (struct view){.call = call, .admin = arg};
	v->facts.config = v->admin->config;
	bool good = !queue_json_argument(arguments, "name", &name) &&
		!queue_json_argument(arguments, "client", &client) &&
		!queue_json_argument(arguments, "server", &server);
	if (!good)
		control_fail(call, "syntax", "%s", TEXT("an argument is no text"));
	if (!good || !take_client(v, client) || !take_server(v, server) ||
		(name.len && !queue_admin_take_name(call, arguments, v->admin->config, v->account))) {
		mem_free(v);
		return;
	}
	v->everything = !name.len && !client.len && !server.len;
	v->facts.account = str_from(v->account);
	if (name.len)
		store_account_get(v->admin->store, v->facts.account, on_account, v);
	else
		take_rates(v);
}

void queue_admin_limits_reset(struct control_call *call, const json_t *arguments, void *arg)
{
	struct str key;
	if (queue_json_argument(arguments, "key", &key) || !key.len || key.len >= POLICY_RATE_KEY_MAX) {
		control_fail(call, "syntax", "%s",
			TEXT("say which count, like \"account kim@example.kr recipients day\""));
		return;
	}
	struct view *v = mem_alloc(sizeof *v);
	*v = (struct view){.call = call, .admin = arg};
	str_copy(key, v->reset, sizeof v->reset);
	take_rates(v);
}
