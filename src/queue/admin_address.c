// SPDX-License-Identifier: ISC
// Aliases of the store: made, changed, listed.
#include "queue/admin_address.h"

#include "queue/address.h"
#include "queue/queue_internal.h"
#include "queue/targets.h"

#include "base/error.h"
#include "base/memory.h"
#include "base/text.h"

#include <stdarg.h>
#include <stdio.h>

struct address_call *admin_address_create(
	struct control_call *call, void *admin, const char *command)
{
	struct address_call *r = mem_alloc(sizeof *r);
	r->call = call;
	r->admin = admin;
	r->command = command;
	r->targets.limit = STORE_TARGETS_MAX;
	return r;
}

void admin_address_destroy(struct address_call *r)
{
	buf_finish(&r->targets);
	json_decref(r->wanted);
	mem_free(r);
}

bool admin_address_fail(struct address_call *r, const char *code, const char *format, ...)
{
	char words[500];
	va_list args;
	va_start(args, format);
	vsnprintf(words, sizeof words, format, args);
	va_end(args);
	control_fail(r->call, code, "%s", words);
	return false;
}

void admin_address_done(struct address_call *r)
{
	if (r->admin->queue)
		queue_account_changed(r->admin->queue, STR_EMPTY);
	queue_admin_event(r->call, r->command, str_from(r->name), 1);
	control_done(r->call, json_pack("{s:o}", "name", queue_json_text(str_from(r->name))));
}

// ---------------------------------------------------------------- names and targets

bool admin_address_is_ours(struct address_call *r, struct str domain)
{
	if (config_is_local_domain(r->admin->config, domain))
		return true;
	return admin_address_fail(r, "syntax",
		TEXT("%.*s is not a domain of this server; add it to `domains` first"),
		STR_ARG(domain));
}

// "LOCAL@DOMAIN", a bare name of the default domain, "@DOMAIN".
static bool take_name(struct address_call *r, const json_t *arguments)
{
	struct str name;
	char domain[DOMAIN_MAX + 1];
	if (queue_json_argument(arguments, "name", &name) || !name.len)
		return admin_address_fail(r, "syntax", "%s", TEXT("the address is needed"));
	if (name.data[0] == '@') {
		if (domain_normalise(str_skip(name, 1), domain))
			return admin_address_fail(r, "syntax", TEXT("\"%.*s\" is no domain"),
				STR_ARG(str_slice(name, 0, 200)));
		snprintf(r->name, sizeof r->name, "@%s", domain);
		return admin_address_is_ours(r, str_from(domain));
	}
	if (!queue_admin_take_name(r->call, arguments, r->admin->config, r->name))
		return false;
	return admin_address_is_ours(r, str_from(strrchr(r->name, '@') + 1));
}

// One part as it is kept: in quotes where a comma or a quote would end it.
static int add_part(struct buf *list, const char *lead, struct str text)
{
	bool quoted =
		str_find(text, ',') >= 0 || str_find(text, '"') >= 0 || str_find(text, ' ') >= 0;
	int err = buf_len(list) ? buf_add_text(list, ", ") : 0;
	if (!err && quoted)
		err = buf_add_char(list, '"');
	err = err ? err : buf_add_text(list, lead);
	for (size_t i = 0; i < text.len && !err; i++) {
		if (quoted && (text.data[i] == '"' || text.data[i] == '\\'))
			err = buf_add_char(list, '\\');
		err = err ? err : buf_add_char(list, text.data[i]);
	}
	return err || !quoted ? err : buf_add_char(list, '"');
}

// An address in the one form in which it is compared later.
static bool take_address(struct address_call *r, const struct target *t, struct buf *list)
{
	char text[TARGET_MAX + DOMAIN_MAX + 2];
	struct smtp_address a;
	bool bare = str_find(t->text, '@') < 0;
	snprintf(text, sizeof text, "%.*s%s", STR_ARG(t->text), bare ? strrchr(r->name, '@') : "");
	if (smtp_address_parse(str_from(text), &a))
		return admin_address_fail(r, "syntax", TEXT("\"%.*s\" is no address"),
			STR_ARG(str_slice(t->text, 0, 200)));
	// A quoted local part keeps its own quotes, which are none of the list.
	int err = buf_len(list) ? buf_add_text(list, ", ") : 0;
	err = err ? err : buf_add_format(list, "%s%s", t->kind == TARGET_PLAIN ? "\\" : "", a.text);
	return !err || admin_address_fail(r, "limit", "%s", TEXT("the alias has too many targets"));
}

static bool take_domain(struct address_call *r, const struct target *t, struct buf *list)
{
	char domain[DOMAIN_MAX + 1];
	if (r->name[0] != '@')
		return admin_address_fail(r, "syntax",
			TEXT("@%.*s: only what gets everything of a domain can lead to a "
			     "whole domain"),
			STR_ARG(str_slice(t->text, 0, 200)));
	if (domain_normalise(t->text, domain))
		return admin_address_fail(r, "syntax", TEXT("\"%.*s\" is no domain"),
			STR_ARG(str_slice(t->text, 0, 200)));
	return !add_part(list, "@", str_from(domain)) ||
	       admin_address_fail(r, "limit", "%s", TEXT("the alias has too many targets"));
}

static bool take_special(struct address_call *r, const struct target *t, struct buf *list)
{
	bool program = t->kind == TARGET_PROGRAM;
	if (!r->admin->config->aliases_programs)
		return admin_address_fail(r, "denied",
			TEXT("programs and files are not allowed as targets; the setting "
			     "aliases-programs yes allows them"));
	for (size_t i = 0; i < t->text.len; i++)
		if ((unsigned char)t->text.data[i] < ' ')
			return admin_address_fail(
				r, "syntax", "%s", TEXT("a target has control characters"));
	return !add_part(list, program ? "|" : "", t->text) ||
	       admin_address_fail(r, "limit", "%s", TEXT("the alias has too many targets"));
}

// Adds the target to the list, checked. False: the call was failed.
static bool take_target(struct address_call *r, const struct target *t, struct buf *list)
{
	switch (t->kind) {
	case TARGET_ADDRESS:
	case TARGET_PLAIN:
		return take_address(r, t, list);
	case TARGET_DOMAIN:
		return take_domain(r, t, list);
	case TARGET_PROGRAM:
	case TARGET_FILE:
		return take_special(r, t, list);
	case TARGET_INCLUDE:
		return admin_address_fail(r, "syntax", "%s",
			TEXT(":include: stands in aliases files only (setting aliases)"));
	case TARGET_WRONG:
		break;
	}
	return admin_address_fail(
		r, "syntax", TEXT("\"%.*s\" is no target"), STR_ARG(str_slice(t->text, 0, 200)));
}

// All that was asked for, in the form in which it is kept.
static bool take_targets(struct address_call *r, struct buf *list)
{
	size_t i;
	const json_t *one;
	json_array_foreach(r->wanted, i, one)
	{
		struct buf quoted = BUF_INIT;
		struct target t;
		struct str rest = str_make(json_string_value(one) ? json_string_value(one) : "",
			json_string_length(one));
		bool good = true;
		// A whole command is one target, whatever commas it has.
		if (rest.len && (rest.data[0] == '|' || rest.data[0] == '/')) {
			add_part(&quoted, "", rest);
			rest = buf_str(&quoted);
		}
		while (good && queue_target_next(&rest, &t))
			good = take_target(r, &t, list);
		buf_finish(&quoted);
		if (!good)
			return false;
	}
	return true;
}

// ---------------------------------------------------------------- add and remove

static bool has_part(struct str list, struct str part)
{
	struct target one, wanted;
	struct str rest = part;
	if (!queue_target_next(&rest, &wanted))
		return false;
	while (queue_target_next(&list, &one))
		if (one.kind == wanted.kind && str_equal(one.text, wanted.text))
			return true;
	return false;
}

// The parts of a that are not in b, behind what out has.
static int add_missing(struct buf *out, struct str a, struct str b)
{
	struct target t;
	int err = 0;
	while (!err && a.len) {
		struct str before = a, part;
		if (!queue_target_next(&a, &t))
			break;
		part = str_trim(str_slice(before, 0, before.len - a.len));
		while (part.len &&
			(part.data[part.len - 1] == ',' || part.data[part.len - 1] == ' '))
			part.len--;
		while (part.len && (part.data[0] == ',' || part.data[0] == ' '))
			part = str_skip(part, 1);
		if (!has_part(b, part))
			err = buf_add_format(
				out, "%s%.*s", buf_len(out) ? ", " : "", STR_ARG(part));
	}
	return err;
}

static unsigned count_parts(struct str list)
{
	struct target t;
	unsigned count = 0;
	while (queue_target_next(&list, &t))
		count++;
	return count;
}

static void on_put(void *arg, int err)
{
	struct address_call *r = arg;
	if (err == ERR_EXISTS)
		admin_address_fail(r, "exists",
			TEXT("%s is an account; its mail goes to its mailbox"), r->name);
	else if (err == ERR_NOT_FOUND)
		admin_address_fail(r, "not-found", TEXT("there is no alias %s"), r->name);
	else if (err)
		queue_admin_fail(r->call, err);
	else
		admin_address_done(r);
	admin_address_destroy(r);
}

static void merge_targets(void *arg, const struct store_alias *a)
{
	struct address_call *r = arg;
	struct buf merged = {.limit = STORE_TARGETS_MAX};
	int err;
	r->found = true;
	if (r->removes) {
		err = add_missing(&merged, a->targets, buf_str(&r->targets));
	} else {
		err = buf_add_str(&merged, a->targets);
		err = err ? err : add_missing(&merged, buf_str(&r->targets), a->targets);
	}
	buf_finish(&r->targets);
	r->targets = merged;
	r->count = err ? QUEUE_TARGETS_MAX + 1 : count_parts(buf_str(&merged));
}

static void on_merged(void *arg, int err)
{
	struct address_call *r = arg;
	struct store_alias a = {.name = str_from(r->name), .targets = buf_str(&r->targets)};
	if (err)
		queue_admin_fail(r->call, err);
	else if (r->removes && !r->found)
		admin_address_fail(r, "not-found", TEXT("there is no alias %s"), r->name);
	else if (r->count > QUEUE_TARGETS_MAX || count_parts(a.targets) > QUEUE_TARGETS_MAX)
		admin_address_fail(r, "limit",
			TEXT("an alias leads to at most %d addresses; make one of several aliases"),
			QUEUE_TARGETS_MAX);
	else {
		if (r->removes && !a.targets.len)
			store_alias_remove(r->admin->store, a.name, on_put, r);
		else
			store_alias_put(r->admin->store, &a, on_put, r);
		return;
	}
	admin_address_destroy(r);
}

static void change(struct control_call *call, const json_t *arguments, void *arg, bool removes)
{
	struct address_call *r =
		admin_address_create(call, arg, removes ? "address remove" : "address add");
	r->removes = removes;
	r->wanted = json_incref(json_object_get(arguments, "targets"));
	if (!take_name(r, arguments) || !take_targets(r, &r->targets)) {
		admin_address_destroy(r);
		return;
	}
	if (!removes && !buf_len(&r->targets)) {
		admin_address_fail(
			r, "syntax", "%s", TEXT("where does it lead? name at least one address"));
		admin_address_destroy(r);
	} else if (removes && !json_array_size(r->wanted)) {
		store_alias_remove(r->admin->store, str_from(r->name), on_put, r);
	} else {
		store_alias_get(r->admin->store, str_from(r->name), merge_targets, on_merged, r);
	}
}

void queue_admin_address_add(struct control_call *call, const json_t *arguments, void *arg)
{
	change(call, arguments, arg, false);
}

void queue_admin_address_remove(struct control_call *call, const json_t *arguments, void *arg)
{
	change(call, arguments, arg, true);
}

// ---------------------------------------------------------------- listing

static void add_row(void *arg, const struct store_alias *a)
{
	struct address_call *r = arg;
	r->page++;
	r->count++;
	str_copy(a->name, r->after, sizeof r->after);
	control_row(r->call,
		json_pack("{s:o, s:o, s:o}", "name", queue_json_text(a->name), "targets",
			queue_json_text(a->targets), "changed", queue_json_number(a->changed_ms)));
}

static void on_page(void *arg, int err)
{
	struct address_call *r = arg;
	if (!err && r->page == ADMIN_PAGE) {
		r->page = 0;
		r->list(r->admin->store, str_from(r->after), ADMIN_PAGE, add_row, on_page, r);
		return;
	}
	if (err)
		queue_admin_fail(r->call, err);
	else
		control_done(r->call, json_pack("{s:o}", "count", queue_json_number(r->count)));
	admin_address_destroy(r);
}

void admin_address_list(struct control_call *call, void *admin, const char *command, admin_lister list)
{
	struct address_call *r = admin_address_create(call, admin, command);
	r->list = list;
	list(r->admin->store, STR_EMPTY, ADMIN_PAGE, add_row, on_page, r);
}

void queue_admin_address_list(struct control_call *call, const json_t *arguments, void *arg)
{
	(void)arguments;
	admin_address_list(call, arg, "address list", store_alias_list);
}

static void on_shown(void *arg, int err)
{
	struct address_call *r = arg;
	if (err)
		queue_admin_fail(r->call, err);
	else if (!r->count)
		admin_address_fail(r, "not-found",
			TEXT("there is no alias %s; `pabal address explain %s` tells what becomes "
			     "of it"),
			r->name, r->name);
	else
		control_done(r->call, NULL);
	admin_address_destroy(r);
}

void queue_admin_address_show(struct control_call *call, const json_t *arguments, void *arg)
{
	struct address_call *r = admin_address_create(call, arg, "address show");
	if (take_name(r, arguments))
		store_alias_get(r->admin->store, str_from(r->name), add_row, on_shown, r);
	else
		admin_address_destroy(r);
}
