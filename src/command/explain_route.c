// SPDX-License-Identifier: ISC
// The last steps of pabal explain: what becomes of a recipient that was taken. Role queue is asked,
// which would route it; the lines of routes are known here.
#include "base/text.h"
#include "command/caller.h"
#include "command/explain_internal.h"
#include "command/rows.h"

#include <stdio.h>
#include <string.h>

struct targets {
	struct explain *e;
	const char *recipient;
};

// File and line of the route with this pattern; "" when none is written.
static void place_of(const struct config *c, const char *pattern, char *out, size_t size)
{
	out[0] = '\0';
	for (size_t i = 0; i < c->route_count; i++)
		if (pattern[0] && str_equal(c->routes[i].pattern, str_from(pattern)))
			snprintf(out, size, "route %.*s:%u", STR_ARG(c->routes[i].where.file),
				c->routes[i].where.line);
}

// A pattern with the mailbox put in; the server escapes what is unusual in names, which here stands as
// it is.
static void add_pattern(const struct config *c, struct str pattern, const char *target, struct buf *out)
{
	struct str address = str_from(target);
	ptrdiff_t at = str_find_last(address, '@');
	struct str local = str_slice(address, 0, at < 0 ? address.len : (size_t)at);
	if (!pattern.len)
		(void)buf_add_format(out, "%.*s/mail/%.*s/%.*s/Maildir", STR_ARG(c->state_folder),
			STR_ARG(str_skip(address, local.len + 1)), STR_ARG(local));
	for (size_t i = 0; i < pattern.len; i++) {
		char next = i + 1 < pattern.len ? pattern.data[i + 1] : '\0';
		bool known = pattern.data[i] == '%' && (next == 'u' || next == 'd' || next == '%');
		if (!known)
			(void)buf_add_char(out, pattern.data[i]);
		else
			(void)buf_add_str(out, next == 'u' ? local : next == '%' ? STR("%") :
				str_skip(address, local.len + 1));
		i += known;
	}
}

static void add_mailbox(const struct config *c, const json_t *row, struct buf *out)
{
	struct config_delivery how = config_delivery_for(c, str_from(row_word(row, "domain")),
		!strcmp(row_word(row, "kind"), "user"));
	if (how.kind == CONFIG_DELIVER_PROGRAM) {
		(void)buf_add_format(out, TEXT("program %.*s"),
			STR_ARG(how.program.count ? how.program.items[0] : STR_EMPTY));
		return;
	}
	(void)buf_add_text(out, how.kind == CONFIG_DELIVER_MBOX ? TEXT("mbox ") : TEXT("Maildir "));
	add_pattern(c, how.path, row_word(row, "target"), out);
}

static void words_of(const struct explain *e, const json_t *row, struct buf *out)
{
	const char *kind = row_word(row, "kind"), *target = row_word(row, "target");
	long long port = row_number(row, "port");
	if (!strcmp(kind, "mailbox") || !strcmp(kind, "user")) {
		add_mailbox(e->config, row, out);
	} else if (!strcmp(kind, "program") || !strcmp(kind, "file")) {
		(void)buf_add_text(out, target);
	} else if (!strcmp(kind, "mx")) {
		(void)buf_add_format(out, TEXT("to the mail hosts (MX) of %s"), row_word(row, "domain"));
	} else if (!strcmp(kind, "host")) {
		(void)buf_add_format(out, json_is_true(json_object_get(row, "lmtp")) ?
			TEXT("to %s by LMTP") : TEXT("to %s by SMTP"), row_word(row, "host"));
		if (port)
			(void)buf_add_format(out, TEXT(", port %lld"), port);
	} else if (!strcmp(kind, "refuse")) {
		(void)buf_add_format(out, TEXT("refused by its route: %s"), row_word(row, "text"));
	} else if (row_word(row, "words")[0]) {
		(void)buf_add_text(out, row_word(row, "words"));
	} else if (!strcmp(kind, "none")) {
		(void)buf_add_text(out, TEXT("nobody would get it: it would be returned"));
	} else {
		(void)buf_add_text(out, TEXT("cannot be told now"));
	}
}

static const char *answer_of(const char *kind)
{
	if (!strcmp(kind, "none") || !strcmp(kind, "refuse"))
		return "refuse";
	return !strcmp(kind, "uncertain") ? "defer" : "allow";
}

static const char *route_words(const char *kind, const char *where)
{
	static const struct {
		const char *kind, *words;
	} all[] = {
		{"mailbox", TEXT_MARK("a mailbox of this machine")},
		{"user", TEXT_MARK("a user of this system")},
		{"program", TEXT_MARK("a program, by an alias")},
		{"file", TEXT_MARK("a file, by an alias")},
		{"mx", TEXT_MARK("no route is written for it")},
	};
	for (size_t i = 0; i < ARRAY_SIZE(all) && !where[0]; i++)
		if (!strcmp(all[i].kind, kind))
			return TEXT(all[i].words);
	return where;
}

// One end of the way of a recipient: how it goes there, and what is there.
static void add_way(struct explain *e, const char *recipient, const json_t *row)
{
	char where[1100];
	struct buf words = BUF_INIT;
	json_t *step = explain_add_step(e, "route", recipient, NULL);
	const char *kind = row_word(row, "kind"), *target = row_word(row, "target");
	place_of(e->config, row_word(row, "pattern"), where, sizeof where);
	json_object_set_new(step, "rule", json_string(kind));
	json_object_set_new(step, "where", json_string(where));
	if (target[0] && strcmp(target, recipient))
		explain_note(step, "%s: %s", target, route_words(kind, where));
	else
		explain_note(step, "%s", route_words(kind, where));
	step = explain_add_step(e, "delivery", recipient, NULL);
	words_of(e, row, &words);
	explain_note(step, "%s", buf_cstr(&words));
	json_object_set_new(step, "answer", json_string(answer_of(kind)));
	json_object_set(step, "way", (json_t *)row);
	buf_finish(&words);
}

// What an alias makes of it, on the way.
static void add_alias(struct explain *e, const char *recipient, const json_t *row)
{
	const char *to = row_word(row, "to"), *where = row_word(row, "where");
	if (!to[0] || !strcmp(to, row_word(row, "address")))
		return; // an end: a row of its own tells of it
	json_t *step = explain_add_step(e, "alias", recipient, NULL);
	json_object_set_new(step, "rule", json_string(row_word(row, "step")));
	json_object_set_new(step, "where", json_string(where));
	explain_note(step, "%s -> %s", row_word(row, "address"), to);
	explain_note(step, "%s%s%s", row_word(row, "step"), where[0] ? ", " : "", where);
}

static void take_row(const json_t *row, void *arg)
{
	struct targets *t = arg;
	if (json_object_get(row, "kind"))
		add_way(t->e, t->recipient, row);
	else
		add_alias(t->e, t->recipient, row);
}

void explain_route(struct explain *e, const json_t *rcpt, const char *recipient)
{
	struct targets t = {e, recipient};
	struct error err = {0};
	json_t *arguments = json_pack("{s:s}", "recipient",
		row_word(json_object_get(rcpt, "facts"), "recipient"));
	if (arguments && caller_run(e->config, "queue explain", arguments, take_row, &t, NULL, &err) == 0) {
		json_decref(arguments);
		return;
	}
	json_t *step = explain_add_step(e, "route", recipient, NULL);
	json_object_set_new(step, "answer", json_string("defer"));
	json_object_set_new(step, "text", json_string(err.text));
	json_decref(arguments);
}
