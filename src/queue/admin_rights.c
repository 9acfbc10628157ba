// SPDX-License-Identifier: ISC
// What an account may do: "account set", and the groups that say it for several.
#include "queue/admin_internal.h"
#include "queue/queue_internal.h"
#include "queue/rights.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/memory.h"
#include "base/netlist.h"
#include "base/text.h"

#include <stdarg.h>
#include <stdio.h>

#define GROUP_NAME_MAX	64
#define LOCK_REASON_MAX 100

// ---------------------------------------------------------------- rows

static void set_right(json_t *row, const struct store_account *a, const char *name, uint32_t right)
{
	char who[80], key[24];
	bool has = queue_right(a, right, who);
	json_object_set_new(row, name, json_string(has ? "yes" : "no"));
	snprintf(key, sizeof key, "%s_by", name);
	json_object_set_new(row, key, json_string(who));
}

// [{"by":"group staff","words":"192.0.2.0/24"}]
static json_t *limits_of(const struct store_account *a, bool servers)
{
	struct buf lines = BUF_INIT;
	json_t *list = json_array();
	queue_limits(a, servers, &lines);
	struct str rest = buf_str(&lines), line, who;
	while (rest.len && str_split(&rest, '\n', &line)) {
		(void)str_split(&line, '\t', &who);
		json_array_append_new(list, json_pack("{s:o, s:o}", "by", queue_json_text(who), "words",
			queue_json_text(line)));
	}
	buf_finish(&lines);
	return list;
}

static const char *state_of(const struct store_account *a)
{
	if (!a->enabled)
		return "disabled";
	if (a->locked)
		return "locked";
	return a->expires_ms && a->expires_ms <= clock_wall_ms() ? "expired" : "enabled";
}

void queue_admin_add_rights(json_t *row, const struct store_account *a)
{
	uint32_t rights = queue_rights(a);
	json_object_set_new(row, "state", json_string(state_of(a)));
	json_object_set_new(row, "rights", json_string(rights == ACCOUNT_RIGHTS_ALL ? "submit relay" :
		rights == ACCOUNT_MAY_SUBMIT ? "submit" : rights == ACCOUNT_MAY_RELAY ? "relay" : ""));
	set_right(row, a, "submit", ACCOUNT_MAY_SUBMIT);
	set_right(row, a, "relay", ACCOUNT_MAY_RELAY);
	json_object_set_new(row, "from", limits_of(a, false));
	json_object_set_new(row, "servers", limits_of(a, true));
	json_object_set_new(row, "groups", queue_json_text(a->group_names));
	json_object_set_new(row, "act_as", queue_json_text(a->act_as));
	json_object_set_new(row, "send_as", queue_json_text(a->send_as));
	json_object_set_new(row, "expires", queue_json_number(a->expires_ms));
	json_object_set_new(row, "lock", a->locked ? queue_json_text(a->lock_reason) : json_null());
}

// ---------------------------------------------------------------- arguments

// What a call wants to change; its texts live in arena.
struct wish {
	struct control_call *call;
	const struct config *config;
	struct arena arena;
	struct store_account values; // a group takes of it what it has
	unsigned fields;
	bool wrong; // the call was failed
};

__attribute__((format(printf, 2, 3))) static bool fail(struct wish *w, const char *format, ...)
{
	char words[400];
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(words, sizeof words, format, arguments);
	va_end(arguments);
	control_fail(w->call, "syntax", "%s", words);
	w->wrong = true;
	return false;
}

static struct str keep(struct wish *w, const struct buf *text)
{
	return arena_str(&w->arena, buf_str(text));
}

static bool take_right(struct wish *w, struct str value, uint32_t bit)
{
	bool yes = str_equal(value, STR("yes"));
	if (!yes && !str_equal(value, STR("no")) && !str_equal(value, STR("default")))
		return fail(w, TEXT("\"%.*s\" is neither yes, no nor default"), STR_ARG(str_slice(value, 0, 200)));
	w->values.rights |= yes ? bit : 0;
	w->values.stated |= str_equal(value, STR("default")) ? 0 : bit;
	return true;
}

static bool take_submit(struct wish *w, struct str value)
{
	return take_right(w, value, ACCOUNT_MAY_SUBMIT);
}

static bool take_relay(struct wish *w, struct str value)
{
	return take_right(w, value, ACCOUNT_MAY_RELAY);
}

static bool take_networks(struct wish *w, struct str value)
{
	struct buf list = BUF_INIT;
	struct str bad = STR_EMPTY;
	int err = str_equal(value, STR("default")) ? 0 : netlist_parse(value, &list, &bad);
	if (!err)
		w->values.networks = keep(w, &list);
	bool fits = buf_len(&list) <= STORE_WORDS_MAX;
	buf_finish(&list);
	if (err)
		return fail(w, TEXT("\"%.*s\" is no network; write it as 192.0.2.0/24"), STR_ARG(str_slice(bad, 0, 200)));
	return fits || fail(w, "%s", TEXT("too many networks"));
}

// The running queue is not given the servers: then the command has looked.
static bool is_server(struct wish *w, struct str word)
{
	if (!w->config->server_count)
		return true;
	for (size_t i = 0; i < w->config->server_count; i++)
		if (str_equal(w->config->servers[i].name, word))
			return true;
	return fail(w, TEXT("there is no server \"%.*s\" in the configuration"), STR_ARG(str_slice(word, 0, 200)));
}

// A group's name is a word that needs no quotes anywhere.
static bool is_group_name(struct wish *w, struct str word)
{
	if (word.len && word.len <= GROUP_NAME_MAX && word.data[0] != '-' &&
		str_only(word, "abcdefghijklmnopqrstuvwxyz0123456789._-"))
		return true;
	return fail(w, TEXT("\"%.*s\" is no name of a group: small letters, digits, dot, dash, line"), STR_ARG(str_slice(word, 0, 200)));
}

static bool is_account_name(struct wish *w, struct str word)
{
	ptrdiff_t at = str_find_last(word, '@');
	if (at > 0 && (size_t)at + 1 < word.len)
		return true;
	return fail(w, TEXT("\"%.*s\" is no account name; write it as NAME@DOMAIN"), STR_ARG(str_slice(word, 0, 200)));
}

static bool has_control(struct str s)
{
	for (size_t i = 0; i < s.len; i++)
		if ((unsigned char)s.data[i] < ' ' || s.data[i] == 0x7f)
			return true;
	return false;
}

// Words parted by blanks or commas; none: an empty list.
static bool take_words(struct wish *w, struct str value, bool (*is)(struct wish *w, struct str word),
	unsigned most, struct str *out)
{
	struct buf list = BUF_INIT;
	unsigned count = 0;
	bool good = true;
	if (str_equal(value, STR("none")) || str_equal(value, STR("default")))
		value = STR_EMPTY;
	while (value.len && good) {
		size_t n = 0;
		while (n < value.len && value.data[n] != ' ' && value.data[n] != ',')
			n++;
		struct str word = str_slice(value, 0, n);
		value = str_skip(value, n < value.len ? n + 1 : n);
		if (!word.len)
			continue;
		if (buf_len(&list))
			buf_add_char(&list, ' ');
		buf_add_str(&list, word);
		good = !has_control(word) && str_is_utf8(word) ? is(w, word) :
			fail(w, "%s", TEXT("a word has control characters"));
		if (good && (++count > most || buf_len(&list) > STORE_WORDS_MAX))
			good = fail(w, TEXT("\"%.*s\" is one too many"), STR_ARG(str_slice(word, 0, 200)));
	}
	*out = keep(w, &list);
	buf_finish(&list);
	return good;
}

static bool take_servers(struct wish *w, struct str value)
{
	return take_words(w, value, is_server, 100, &w->values.servers);
}

static bool take_groups(struct wish *w, struct str value)
{
	return take_words(w, value, is_group_name, STORE_GROUPS_MAX, &w->values.group_names);
}

static bool take_act_as(struct wish *w, struct str value)
{
	bool good = take_words(w, value, is_account_name, 100, &w->values.act_as);
	str_lower((char *)w->values.act_as.data, w->values.act_as.len); // key form
	return good;
}

static bool take_expires(struct wish *w, struct str value)
{
	if (str_equal(value, STR("never")))
		w->values.expires_ms = 0;
	else if (clock_parse_date(value, clock_wall_ms(), &w->values.expires_ms))
		return fail(w, TEXT("\"%.*s\" is no date; write it as 2026-12-31, 2026-12-31T18:00, 30d or never"),
			STR_ARG(str_slice(value, 0, 200)));
	return true;
}

static bool take_lock(struct wish *w, struct str value)
{
	if (value.len > LOCK_REASON_MAX || !str_is_utf8(value) || has_control(value))
		return fail(w, TEXT("\"%.*s\" is no reason: one line of at most 100 octets"), STR_ARG(str_slice(value, 0, 200)));
	w->values.locked = true;
	w->values.lock_reason = arena_str(&w->arena, value);
	return true;
}

static bool take_unlock(struct wish *w, struct str value)
{
	(void)value;
	w->values.locked = false;
	w->values.lock_reason = STR_EMPTY;
	return true;
}

static const struct {
	const char *name;
	unsigned field;
	bool of_group;
	bool (*take)(struct wish *w, struct str value);
} fields[] = {
	{"submit", STORE_SET_SUBMIT, true, take_submit},
	{"relay", STORE_SET_RELAY, true, take_relay},
	{"from", STORE_SET_NETWORKS, true, take_networks},
	{"servers", STORE_SET_SERVERS, true, take_servers},
	{"groups", STORE_SET_GROUPS, false, take_groups},
	{"expires", STORE_SET_EXPIRES, false, take_expires},
	{"lock", STORE_SET_LOCK, false, take_lock},
	{"unlock", STORE_SET_LOCK, false, take_unlock},
	{"act_as", STORE_SET_ACT_AS, false, take_act_as},
};

// False: the call was failed.
static bool take_wish(struct wish *w, const json_t *arguments, bool group)
{
	for (size_t i = 0; i < ARRAY_SIZE(fields) && !w->wrong; i++) {
		struct str value;
		if (!json_object_get(arguments, fields[i].name) || (group && !fields[i].of_group))
			continue;
		if (queue_json_argument(arguments, fields[i].name, &value))
			fail(w, TEXT("%s wants a text"), fields[i].name);
		else if (fields[i].take(w, value))
			w->fields |= fields[i].field;
	}
	return !w->wrong;
}

// ---------------------------------------------------------------- changing

struct change {
	struct queue_admin *admin;
	struct wish wish;
	const char *command;
	bool group;
	char name[SMTP_ADDRESS_MAX];
};

static void change_destroy(struct change *c)
{
	arena_finish(&c->wish.arena);
	mem_free(c);
}

static void on_changed(void *arg, int err)
{
	struct change *c = arg;
	struct control_call *call = c->wish.call;
	if (err == ERR_NOT_FOUND)
		control_fail(call, "not-found",
			c->group ? TEXT("there is no group %s") : TEXT("there is no account %s"), c->name);
	else if (err == ERR_EXISTS)
		control_fail(call, "exists", TEXT("the group %s exists"), c->name);
	else if (err == ERR_UNSUPPORTED)
		control_fail(call, "not-found", TEXT("not all of these groups exist (%.*s); `pabal account "
			"group add NAME` makes one"), STR_ARG(c->wish.values.group_names));
	else if (err == ERR_DENIED)
		control_fail(call, "used", TEXT("accounts are in the group %s; take them out first"), c->name);
	else if (err)
		queue_admin_fail(call, err);
	if (!err) {
		if (c->admin->queue)
			queue_account_changed(c->admin->queue, c->group ? STR_EMPTY : str_from(c->name));
		queue_admin_event(call, c->command, str_from(c->name), 1);
		control_done(call, json_pack("{s:o}", "name", queue_json_text(str_from(c->name))));
	}
	change_destroy(c);
}

static struct change *create(struct control_call *call, struct queue_admin *admin, const char *command,
	bool group)
{
	struct change *c = mem_alloc(sizeof *c);
	c->admin = admin;
	c->command = command;
	c->group = group;
	c->wish.call = call;
	c->wish.config = admin->config;
	return c;
}

void queue_admin_account_set(struct control_call *call, const json_t *arguments, void *arg)
{
	struct change *c = create(call, arg, "account set", false);
	if (!queue_admin_take_name(call, arguments, c->admin->config, c->name) ||
		!take_wish(&c->wish, arguments, false)) {
		change_destroy(c);
		return;
	}
	c->wish.values.name = str_from(c->name);
	store_account_set(c->admin->store, &c->wish.values, c->wish.fields, on_changed, c);
}

static struct change *create_group(struct control_call *call, const json_t *arguments, void *arg,
	const char *command)
{
	struct change *c = create(call, arg, command, true);
	struct str name;
	if (queue_json_argument(arguments, "group", &name))
		name = STR_EMPTY;
	if (is_group_name(&c->wish, name) && take_wish(&c->wish, arguments, true)) {
		str_copy(name, c->name, sizeof c->name);
		return c;
	}
	change_destroy(c);
	return NULL;
}

static struct store_group group_of(const struct change *c)
{
	const struct store_account *v = &c->wish.values;
	return (struct store_group){.name = str_from(c->name), .rights = v->rights, .stated = v->stated,
		.networks = v->networks, .servers = v->servers};
}

void queue_admin_group_add(struct control_call *call, const json_t *arguments, void *arg)
{
	struct change *c = create_group(call, arguments, arg, "account group add");
	if (!c)
		return;
	struct store_group g = group_of(c);
	store_group_add(c->admin->store, &g, on_changed, c);
}

void queue_admin_group_set(struct control_call *call, const json_t *arguments, void *arg)
{
	struct change *c = create_group(call, arguments, arg, "account group set");
	if (!c)
		return;
	struct store_group g = group_of(c);
	store_group_set(c->admin->store, &g, c->wish.fields, on_changed, c);
}

void queue_admin_group_remove(struct control_call *call, const json_t *arguments, void *arg)
{
	struct change *c = create_group(call, arguments, arg, "account group remove");
	if (c)
		store_group_remove(c->admin->store, str_from(c->name), on_changed, c);
}

// ---------------------------------------------------------------- listing groups

static const char *stated(const struct store_group *g, uint32_t right)
{
	return !(g->stated & right) ? "default" : g->rights & right ? "yes" : "no";
}

static void group_row(void *arg, const struct store_group *g)
{
	struct change *c = arg;
	control_row(c->wish.call, json_pack("{s:o, s:s, s:s, s:o, s:o}", "group", queue_json_text(g->name),
		"submit", stated(g, ACCOUNT_MAY_SUBMIT), "relay", stated(g, ACCOUNT_MAY_RELAY), "from",
		queue_json_text(g->networks), "servers", queue_json_text(g->servers)));
}

static void on_groups(void *arg, int err)
{
	struct change *c = arg;
	if (err)
		queue_admin_fail(c->wish.call, err);
	else
		control_done(c->wish.call, NULL);
	change_destroy(c);
}

void queue_admin_group_list(struct control_call *call, const json_t *arguments, void *arg)
{
	struct change *c = create(call, arg, "account group list", true);
	(void)arguments;
	store_group_list(c->admin->store, group_row, on_groups, c);
}
