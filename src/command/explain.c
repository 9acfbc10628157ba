// SPDX-License-Identifier: ISC
// pabal explain: what would a client be told, step by step, by which rule, and what would change it?
// The running server is asked; nothing is decided here.
#include "base/memory.h"
#include "base/text.h"
#include "base/unit.h"
#include "command/caller.h"
#include "command/command.h"
#include "command/explain_internal.h"
#include "command/rows.h"
#include "policy/advice.h"
#include "smtp/address.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// ---- steps
static bool is_answer(const json_t *step, const char *answer)
{
	return !strcmp(row_word(step, "answer"), answer);
}

static bool is_refused(const json_t *step)
{
	return is_answer(step, "refuse") || is_answer(step, "drop");
}

static bool lets_pass(const json_t *step)
{
	return !is_refused(step) && !is_answer(step, "defer");
}

static unsigned login_port(const struct config *c)
{
	for (size_t i = 0; i < c->server_count; i++)
		if (c->servers[i].require_auth && c->servers[i].listen_count)
			return c->servers[i].listens[0].port;
	for (size_t i = 0; i < c->server_count; i++)
		if (c->servers[i].offer_auth && c->servers[i].listen_count)
			return c->servers[i].listens[0].port;
	return 0;
}

static void add_advice(const struct explain *e, json_t *step, const json_t *seen)
{
	const json_t *facts = json_object_get(seen, "facts");
	json_t *list = json_object_get(step, "advice");
	struct buf lines = {.limit = 8192};
	struct policy_situation s = {
		.client = str_from(row_word(facts, "client")),
		.server = str_from(row_word(facts, "server")),
		.account = str_from(row_word(facts, "account")),
		.sender = str_from(row_word(facts, "sender")),
		.recipient = str_from(row_word(facts, "recipient")),
		.domain = str_from(row_word(facts, "domain")),
		.where = str_from(row_word(seen, "where")),
		.configuration = str_from(e->config_path),
		.login_port = login_port(e->config),
		.server_requires_auth = json_is_true(json_object_get(facts, "require_auth")),
		.account_may_relay = json_is_true(json_object_get(facts, "may_relay")),
	};
	(void)policy_advise(row_word(seen, "rule"), &s, &lines);
	struct str rest = buf_str(&lines), line;
	while (str_split(&rest, '\n', &line))
		if (line.len)
			json_array_append_new(list, json_stringn(line.data, line.len));
	buf_finish(&lines);
}

json_t *explain_add_step(struct explain *e, const char *name, const char *recipient, const json_t *seen)
{
	static const char *const copied[] = {"rule", "where", "code", "status", "text", "delay_ms"};
	json_t *step = json_pack("{s:s, s:s?, s:s, s:[], s:[]}", "step", name, "recipient", recipient,
		"answer", seen ? row_word(seen, "kind") : "allow", "notes", "advice");
	if (!step)
		fatal("out of memory");
	for (size_t i = 0; i < ARRAY_SIZE(copied); i++) {
		json_t *value = json_object_get(seen, copied[i]);
		if (value)
			json_object_set(step, copied[i], value);
	}
	json_t *facts = json_object_get(seen, "facts");
	if (facts)
		json_object_set(step, "facts", facts);
	if (seen && !lets_pass(step))
		add_advice(e, step, seen);
	json_array_append_new(e->steps, step);
	return step;
}

void explain_note(json_t *step, const char *format, ...)
{
	struct buf words = BUF_INIT;
	va_list args;
	va_start(args, format);
	(void)buf_add_vformat(&words, format, args);
	va_end(args);
	json_array_append_new(json_object_get(step, "notes"), json_string(buf_cstr(&words)));
	buf_finish(&words);
}

// The step of a command: what refused it may be named more finely than the command.
static json_t *add_command(struct explain *e, const char *name, const char *recipient, const json_t *seen)
{
	const char *kind = row_word(seen, "kind");
	bool may_differ = strcmp(kind, "allow") && (!strcmp(name, "mail") || !strcmp(name, "rcpt"));
	const char *finer = may_differ ? policy_advice_step(row_word(seen, "rule")) : NULL;
	json_t *step = explain_add_step(e, finer && strcmp(finer, "command") ? finer : name, recipient, seen);
	json_object_set_new(step, "command", json_string(name));
	return step;
}

// ---- the dialogue
static int say(struct stranger *o, struct stranger_answer *a, struct error *err, const char *format, ...)
	__attribute__((format(printf, 4, 5)));
static int say(struct stranger *o, struct stranger_answer *a, struct error *err, const char *format, ...)
{
	struct buf line = BUF_INIT;
	va_list args;
	va_start(args, format);
	(void)buf_add_vformat(&line, format, args);
	va_end(args);
	(void)buf_add_text(&line, "\r\n");
	int result = stranger_send(o, buf_str(&line), err);
	if (!result)
		result = stranger_read(o, a, err);
	buf_finish(&line);
	return result;
}

// "a@b", "<a@b>" or "<>" as a path; in brackets once.
static const char *path_of(const char *given, char out[1100])
{
	snprintf(out, 1100, given[0] == '<' ? "%s" : "<%s>", given);
	return out;
}

static bool needs_utf8(const struct explain *e)
{
	bool ascii = str_is_ascii(str_from(e->sender));
	for (unsigned i = 0; i < e->recipients.count; i++)
		ascii &= str_is_ascii(str_from(e->recipients.items[i]));
	return !ascii;
}

static int ask_mail(struct explain *e, struct stranger *o, bool *out_good, struct error *err)
{
	struct stranger_answer a;
	char path[1100], size[40] = "";
	if (e->size)
		snprintf(size, sizeof size, " SIZE=%s", e->size);
	int result = say(o, &a, err, "MAIL FROM:%s%s%s", path_of(e->sender, path), size,
		needs_utf8(e) ? " SMTPUTF8" : "");
	if (result)
		return result;
	json_t *step = add_command(e, "mail", NULL, a.seen);
	*out_good = lets_pass(step);
	if (!*out_good)
		return 0;
	explain_size(e, a.seen);
	explain_rates(e, a.seen, NULL);
	return 0;
}

static int ask_recipient(struct explain *e, struct stranger *o, const char *recipient, struct error *err)
{
	struct stranger_answer a;
	char path[1100];
	int result = say(o, &a, err, "RCPT TO:%s", path_of(recipient, path));
	if (result)
		return result;
	json_t *step = add_command(e, "rcpt", recipient, a.seen);
	if (!lets_pass(step))
		return 0;
	explain_quota(e, a.seen, recipient);
	explain_route(e, a.seen, recipient);
	return 0;
}

static int ask_hello(struct explain *e, struct stranger *o, bool *out_good, struct error *err)
{
	struct stranger_answer a;
	int result = say(o, &a, err, "EHLO explain.invalid");
	if (result)
		return result;
	*out_good = lets_pass(add_command(e, "hello", NULL, a.seen));
	json_t *login = json_object_get(a.seen, "login");
	if (*out_good && login) {
		json_object_set(login, "facts", json_object_get(a.seen, "facts"));
		*out_good = lets_pass(add_command(e, "auth", NULL, login));
	}
	return 0;
}

static int ask(struct explain *e, struct error *err)
{
	struct stranger *o = NULL;
	struct stranger_answer banner;
	bool good = false;
	int result = stranger_open(e->config, &e->wish, &o, &banner, err);
	if (result)
		return result;
	const json_t *facts = json_object_get(banner.seen, "facts");
	json_object_set(e->report, "server", json_object_get(facts, "server"));
	json_object_set(e->report, "port", json_object_get(facts, "port"));
	json_object_set(e->report, "tls", json_object_get(facts, "tls"));
	good = lets_pass(add_command(e, "connect", NULL, banner.seen));
	if (good)
		result = ask_hello(e, o, &good, err);
	if (!result && good)
		result = ask_mail(e, o, &good, err);
	for (unsigned i = 0; !result && good && i < e->recipients.count; i++)
		result = ask_recipient(e, o, e->recipients.items[i], err);
	stranger_close(o);
	return result;
}

// ---- the answer of all steps: refused before deferred before accepted
static int finish(struct explain *e)
{
	bool refused = false, deferred = false;
	size_t i;
	json_t *step;
	json_array_foreach(e->steps, i, step) {
		refused |= is_refused(step);
		deferred |= is_answer(step, "defer");
	}
	json_object_set_new(e->report, "answer",
		json_string(refused ? "refuse" : deferred ? "defer" : "allow"));
	return refused ? COMMAND_FAILED : deferred ? COMMAND_DEFERRED : COMMAND_OK;
}

// ---- what was asked
static bool is_line(const char *words)
{
	return words && strlen(words) <= 1000 && !strpbrk(words, "\r\n");
}

static bool is_askable(const struct explain *e)
{
	uint64_t size;
	for (unsigned i = 0; i < e->recipients.count; i++)
		if (!is_line(e->recipients.items[i]))
			return false;
	if (e->size && str_to_u64(str_from(e->size), &size)) {
		fprintf(stderr, TEXT("pabal: --size takes a number of octets\n"));
		return false;
	}
	return is_line(e->sender) && e->recipients.count > 0;
}

// As AUTH would name it; a bare name belongs to the default domain.
static bool take_account(const struct config *c, const char *given, char out[SMTP_ADDRESS_MAX])
{
	struct smtp_address address;
	char name[SMTP_ADDRESS_MAX];
	snprintf(name, sizeof name, strchr(given, '@') ? "%s" : "%s@%.*s", given,
		STR_ARG(c->auth.default_domain));
	if (smtp_address_parse(str_from(name), &address)) {
		fprintf(stderr, TEXT("pabal: \"%s\" is no name of an account\n"), given);
		return false;
	}
	(void)smtp_address_key(&address, out);
	return true;
}

static bool have_other_sources(const struct config *c)
{
	for (size_t i = 0; i < c->auth.source_count; i++)
		if (!str_equal(c->auth.sources[i].kind, STR("accounts")))
			return true;
	return c->auth.socket.len > 0;
}

static bool is_server(const struct config *c, const char *name)
{
	for (size_t i = 0; i < c->server_count; i++)
		if (!name || str_equal(c->servers[i].name, str_from(name)))
			return true;
	fprintf(stderr, TEXT("pabal: there is no server \"%s\"; there are:"), name ? name : "");
	for (size_t i = 0; i < c->server_count; i++)
		fprintf(stderr, " %.*s", STR_ARG(c->servers[i].name));
	fputc('\n', stderr);
	return false;
}

static int run(struct explain *e, bool json)
{
	char address[IPADDR_TEXT_MAX];
	struct error err = {0};
	e->report = json_pack("{s:s, s:s, s:b, s:s, s:s, s:[]}", "client",
		ipaddr_format(&e->wish.client, address), "server", "", "tls", e->wish.tls, "account", "",
		"sender", "", "steps");
	if (!e->report)
		fatal("out of memory");
	e->steps = json_object_get(e->report, "steps");
	json_object_set_new(e->report, "account", json_stringn(e->wish.account.data, e->wish.account.len));
	json_object_set_new(e->report, "sender", json_string(e->sender));
	int result = ask(e, &err);
	if (result) {
		json_decref(e->report);
		(void)caller_failed(&err);
		return COMMAND_UNAVAILABLE; // 1 would say that mail is refused
	}
	int status = finish(e);
	if (json)
		caller_print_json(e->report, NULL);
	else
		explain_print(e);
	json_decref(e->report);
	return status;
}

int command_explain(int argc, char **argv)
{
	const char *from = NULL, *server = NULL, *account = NULL;
	char name[SMTP_ADDRESS_MAX];
	struct explain e = {0};
	struct options o;
	const struct option_row rows[] = {{"--from-ip", &from, NULL}, {"--server", &server, NULL},
		{"--tls", NULL, &e.wish.tls}, {"--auth", &account, NULL}, {"--mail-from", &e.sender, NULL},
		{"--rcpt", NULL, NULL, &e.recipients}, {"--size", &e.size, NULL}};
	if (!options_parse(argc, argv, rows, ARRAY_SIZE(rows), &o) || !options_no_words(&o, argv[0]))
		return COMMAND_USAGE;
	if (!from || !is_askable(&e))
		return command_usage("explain");
	if (ipaddr_parse(str_from(from), &e.wish.client)) {
		fprintf(stderr, TEXT("pabal: \"%s\" is no address of a client\n"), from);
		return COMMAND_USAGE;
	}
	struct config *c = options_config(&o);
	if (!c)
		return COMMAND_CONFIGURATION;
	int status = COMMAND_USAGE;
	if (is_server(c, server) && (!account || take_account(c, account, name))) {
		e.config = c;
		e.config_path = o.config_path;
		e.wish.server = str_from(server);
		e.wish.account = str_from(account ? name : "");
		e.wish.vouched = account && have_other_sources(c);
		status = run(&e, o.json);
	}
	config_destroy(c);
	return status;
}
