// SPDX-License-Identifier: ISC
// Accounts in the directory: who exists and may do what. Their secrets belong to role auth.
#include "queue/admin_internal.h"
#include "queue/guard.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/memory.h"
#include "base/text.h"
#include "base/unit.h"
#include "smtp/address.h"

#include <stdio.h>

#define PAGE 500

// ---------------------------------------------------------------- rows and arguments

static const struct {
	const char *name;
	uint32_t bit;
} rights[] = {{"submit", ACCOUNT_MAY_SUBMIT}, {"relay", ACCOUNT_MAY_RELAY}};

static json_t *row_of(const struct store_account *a)
{
	json_t *row = json_object();
	json_object_set_new(row, "id", queue_json_id(a->id));
	json_object_set_new(row, "name", queue_json_text(a->name));
	json_object_set_new(row, "enabled", json_boolean(a->enabled));
	json_object_set_new(row, "quota", queue_json_number(a->quota));
	json_object_set_new(row, "created", queue_json_number(a->created_ms));
	json_object_set_new(row, "changed", queue_json_number(a->changed_ms));
	queue_admin_add_rights(row, a);
	return row;
}

// "submit relay", "submit,relay", "none"; "" : as everybody.
static int parse_rights(struct str words, uint32_t *out, uint32_t *out_stated)
{
	*out_stated = words.len ? ACCOUNT_RIGHTS_ALL : 0;
	*out = words.len ? 0 : ACCOUNT_RIGHTS_ALL;
	if (str_equal(words, STR("none")))
		return 0;
	while (words.len) {
		size_t n = 0, found = ARRAY_SIZE(rights);
		while (n < words.len && words.data[n] != ' ' && words.data[n] != ',')
			n++;
		struct str word = str_slice(words, 0, n);
		for (size_t i = 0; i < ARRAY_SIZE(rights); i++)
			if (str_equal_nocase(word, str_from(rights[i].name)))
				found = i;
		if (word.len && found == ARRAY_SIZE(rights))
			return ERR_SYNTAX;
		if (word.len)
			*out |= rights[found].bit;
		words = str_skip(words, n < words.len ? n + 1 : n);
	}
	return 0;
}

static int parse_quota(const json_t *arguments, uint64_t *out)
{
	const json_t *value = json_object_get(arguments, "quota");
	if (json_is_string(value))
		return unit_parse_size(str_from(json_string_value(value)), out);
	return queue_json_argument_number(arguments, "quota", 0, out);
}

bool queue_admin_take_name(struct control_call *call, const json_t *arguments, const struct config *c,
	char out[SMTP_ADDRESS_MAX])
{
	struct str name;
	char text[2 * SMTP_ADDRESS_MAX];
	struct smtp_address address;
	if (queue_json_argument(arguments, "name", &name) || !name.len) {
		control_fail(call, "syntax", "%s", TEXT("the name of an account is needed"));
		return false;
	}
	if (str_find(name, '@') < 0 && c->auth.default_domain.len)
		snprintf(text, sizeof text, "%.*s@%.*s", STR_ARG(str_slice(name, 0, SMTP_ADDRESS_MAX)),
			STR_ARG(c->auth.default_domain));
	else
		snprintf(text, sizeof text, "%.*s", STR_ARG(name));
	if (smtp_address_parse(str_from(text), &address) || address.literal) {
		control_fail(call, "syntax", TEXT("\"%.*s\" is no account name; write it as NAME@DOMAIN"),
			STR_ARG(name));
		return false;
	}
	smtp_address_key(&address, out);
	return true;
}

// ---------------------------------------------------------------- list and show

struct listing {
	struct control_call *call;
	struct queue_admin *admin;
	char after[SMTP_ADDRESS_MAX];
	unsigned page;
	uint64_t count;
};

static void list_row(void *arg, const struct store_account *a)
{
	struct listing *l = arg;
	l->page++;
	l->count++;
	str_copy(a->name, l->after, sizeof l->after);
	control_row(l->call, row_of(a));
}

static void on_listed(void *arg, int err)
{
	struct listing *l = arg;
	if (!err && l->page == PAGE) {
		l->page = 0;
		store_account_list(l->admin->store, str_from(l->after), PAGE, list_row, on_listed, l);
		return;
	}
	if (err)
		queue_admin_fail(l->call, err);
	else
		control_done(l->call, json_pack("{s:o}", "count", queue_json_number(l->count)));
	mem_free(l);
}

void queue_admin_account_list(struct control_call *call, const json_t *arguments, void *arg)
{
	struct listing *l = mem_alloc(sizeof *l);
	(void)arguments;
	l->call = call;
	l->admin = arg;
	store_account_list(l->admin->store, STR_EMPTY, PAGE, list_row, on_listed, l);
}

// ---------------------------------------------------------------- one account

struct change {
	struct control_call *call;
	struct queue_admin *admin;
	const char *command;
	char name[SMTP_ADDRESS_MAX];
};

static struct change *change_create(struct control_call *call, const json_t *arguments, void *admin,
	const char *command)
{
	struct change *c = mem_alloc(sizeof *c);
	c->call = call;
	c->admin = admin;
	c->command = command;
	if (queue_admin_take_name(call, arguments, c->admin->config, c->name))
		return c;
	mem_free(c);
	return NULL;
}

static void fail_by_name(const struct change *c, int err)
{
	if (err == ERR_NOT_FOUND)
		control_fail(c->call, "not-found", TEXT("there is no account %s"), c->name);
	else if (err == ERR_EXISTS)
		control_fail(c->call, "exists", TEXT("the account %s exists"), c->name);
	else
		queue_admin_fail(c->call, err);
}

static void on_changed(void *arg, int err)
{
	struct change *c = arg;
	if (err) {
		fail_by_name(c, err);
	} else {
		if (c->admin->queue && !strcmp(c->command, "account remove"))
			guard_drop(c->admin->queue->guard, str_from(c->name));
		if (c->admin->queue)
			queue_account_changed(c->admin->queue, str_from(c->name));
		queue_admin_event(c->call, c->command, str_from(c->name), 1);
		control_done(c->call, json_pack("{s:o}", "name", queue_json_text(str_from(c->name))));
	}
	mem_free(c);
}

static void on_shown(void *arg, int err, const struct store_account *a)
{
	struct change *c = arg;
	if (err) {
		fail_by_name(c, err);
	} else {
		control_row(c->call, row_of(a));
		control_done(c->call, NULL);
	}
	mem_free(c);
}

void queue_admin_account_show(struct control_call *call, const json_t *arguments, void *arg)
{
	struct change *c = change_create(call, arguments, arg, "account show");
	if (c)
		store_account_get(c->admin->store, str_from(c->name), on_shown, c);
}

// With the server stopped nobody else makes ids in slot 1 of this node.
static uint64_t new_id(const struct queue_admin *admin)
{
	struct id_source own;
	if (admin->queue)
		return id_next(admin->queue->ids);
	id_source_init(&own, 0, 1);
	return id_next(&own);
}

void queue_admin_account_add(struct control_call *call, const json_t *arguments, void *arg)
{
	struct change *c = change_create(call, arguments, arg, "account add");
	struct str words, name;
	struct store_account a = {.enabled = true, .created_ms = clock_wall_ms()};
	if (!c)
		return;
	name = str_from(c->name);
	a.id = new_id(c->admin);
	a.name = name;
	a.changed_ms = a.created_ms;
	struct str domain = str_skip(name, (size_t)str_find_last(name, '@') + 1);
	if (queue_json_argument(arguments, "rights", &words) || parse_rights(words, &a.rights, &a.stated)) {
		control_fail(call, "syntax", "%s", TEXT("rights are submit and relay, or none"));
	} else if (parse_quota(arguments, &a.quota)) {
		control_fail(call, "syntax", "%s", TEXT("a quota is a size like 1G"));
	} else if (!config_is_local_domain(c->admin->config, domain)) {
		control_fail(call, "syntax",
			TEXT("%.*s is not a domain of this server; add it to `domains` first"),
			STR_ARG(domain));
	} else {
		store_account_add(c->admin->store, &a, on_changed, c);
		return;
	}
	mem_free(c);
}

void queue_admin_account_enable(struct control_call *call, const json_t *arguments, void *arg)
{
	struct change *c = change_create(call, arguments, arg, "account enable");
	if (c)
		store_account_set_enabled(c->admin->store, str_from(c->name), true, on_changed, c);
}

void queue_admin_account_disable(struct control_call *call, const json_t *arguments, void *arg)
{
	struct change *c = change_create(call, arguments, arg, "account disable");
	if (c)
		store_account_set_enabled(c->admin->store, str_from(c->name), false, on_changed, c);
}

void queue_admin_account_remove(struct control_call *call, const json_t *arguments, void *arg)
{
	struct change *c = change_create(call, arguments, arg, "account remove");
	if (c)
		store_account_remove(c->admin->store, str_from(c->name), on_changed, c);
}
