// SPDX-License-Identifier: ISC
#include "command/check_auth.h"

#include "auth/offers.h"
#include "auth/source.h"
#include "base/buf.h"
#include "base/text.h"
#include "command/caller.h"
#include "command/rows.h"
#include "command/table.h"

#include <stdio.h>
#include <string.h>

#define NAMES_ASKED 200 // of accounts without SCRAM keys, whether they are enabled
#define NAMES_SHOWN 20

static bool is_own(const struct config_source *s)
{
	return str_equal(s->kind, STR("accounts"));
}

static struct str name_of(const struct config_source *s)
{
	return s->name.len ? s->name : s->kind;
}

// Of those that have no place in the file: what is built in.
static void add(struct config_findings *findings, char severity, const struct config_place *at,
	const char *text)
{
	struct str file = at ? at->file : STR_EMPTY;
	config_findings_add(findings, severity, file, at && file.len ? at->line : 0,
		at && file.len ? at->column : 0, "%s", text);
}

// ---- sources
static void check_sources(const struct config *c, struct config_findings *findings)
{
	for (size_t i = 0; i < c->auth.source_count; i++) {
		const struct config_source *s = &c->auth.sources[i];
		const struct auth_source_kind *kind = auth_source_kind_of(s);
		if (is_own(s))
			continue;
		if (!kind)
			config_findings_add(findings, 'E', s->where.file, s->where.line, s->where.column,
				TEXT("source \"%.*s\": this program was built without it"), STR_ARG(s->kind));
		else if (kind->advise)
			kind->advise(s, findings);
	}
}

// ---- accounts without SCRAM keys
struct lacking {
	const struct config *config;
	json_t *names; // that have none, whoever they are
	struct buf shown;
	uint64_t enabled;
};

static void take_name(const json_t *row, void *arg)
{
	struct lacking *l = arg;
	if (json_array_size(l->names) < NAMES_ASKED)
		json_array_append_new(l->names, json_string(row_word(row, "name")));
}

static void take_account(const json_t *row, void *arg)
{
	struct lacking *l = arg;
	if (strcmp(row_word(row, "state"), "enabled") != 0)
		return;
	if (l->enabled++ < NAMES_SHOWN)
		buf_add_format(&l->shown, "%s%s", l->enabled > 1 ? " " : "", row_word(row, "name"));
}

static void ask_names(struct lacking *l)
{
	struct error unused = {0};
	size_t i;
	json_t *name;
	json_array_foreach(l->names, i, name) {
		json_t *arguments = json_pack("{s:O}", "name", name);
		(void)caller_run(l->config, "account show", arguments, take_account, l, NULL, &unused);
		json_decref(arguments);
	}
}

static bool uses_accounts(const struct config *c)
{
	for (size_t i = 0; i < c->auth.source_count; i++)
		if (is_own(&c->auth.sources[i]))
			return true;
	return c->auth.source_count == 0;
}

// True: there are such. Whom nobody can ask about the store is told so by the check of postmaster.
static bool check_lacking(const struct config *c, struct config_findings *findings)
{
	struct lacking l = {.config = c, .names = json_array()};
	struct error unused = {0};
	char text[64 + NAMES_SHOWN * 330];
	if (caller_has_store(c) && uses_accounts(c) &&
		caller_run(c, "secret lacking", NULL, take_name, &l, NULL, &unused) == 0)
		ask_names(&l);
	if (l.enabled) {
		snprintf(text, sizeof text, TEXT("these accounts have no SCRAM keys, made at their next "
			"login with PLAIN; until then SCRAM is offered to nobody: %s%s"),
			buf_cstr(&l.shown), l.enabled > NAMES_SHOWN ? " …" : "");
		add(findings, 'N', NULL, text);
	}
	buf_finish_wipe(&l.shown);
	json_decref(l.names);
	return l.enabled > 0;
}

// ---- mechanisms that clients may miss
struct left_out {
	const struct config_server *server;
	struct config_findings *findings;
};

static void add_left_out(void *arg, const char *mechanism, const char *why)
{
	const struct left_out *l = arg;
	char text[700];
	snprintf(text, sizeof text, TEXT("server \"%.*s\" does not offer %s: %s"),
		STR_ARG(str_slice(l->server->name, 0, 100)), mechanism, why);
	add(l->findings, 'N', &l->server->where, text);
}

static bool logs_in(const struct config_server *s)
{
	return s->require_auth || s->offer_auth;
}

bool check_auth(const struct config *c, struct config_findings *findings)
{
	struct auth_offer_facts facts = {0};
	check_sources(c, findings);
	if (c->auth.socket.len)
		return false; // what that program offers, it knows
	facts.scram_missing = check_lacking(c, findings);
	for (size_t i = 0; i < c->server_count; i++) {
		struct left_out l = {&c->servers[i], findings};
		if (logs_in(&c->servers[i]))
			auth_offers_explain(c, &c->servers[i], &facts, add_left_out, &l);
	}
	return facts.scram_missing;
}

// ---- the tables
static const struct {
	unsigned bit;
	const char *words;
} served[] = {
	{AUTH_GIVES_VERIFY, TEXT_MARK("passwords")},
	{AUTH_GIVES_SCRAM, TEXT_MARK("SCRAM keys")},
	{AUTH_GIVES_CLEAR, TEXT_MARK("recoverable passwords")},
	{AUTH_GIVES_CRAM, TEXT_MARK("CRAM-MD5")},
	{AUTH_GIVES_TOKEN, TEXT_MARK("tokens")},
};

static void add_served(struct table *t, unsigned gives)
{
	char text[200] = "";
	size_t len = 0;
	for (size_t i = 0; i < ARRAY_SIZE(served); i++)
		if (gives & served[i].bit && len < sizeof text)
			len += (size_t)snprintf(text + len, sizeof text - len, "%s%s", len ? ", " : "",
				TEXT(served[i].words));
	table_add(t, text);
}

static void add_source(struct table *t, const struct config_source *s)
{
	const struct auth_source_kind *kind = auth_source_kind_of(s);
	char text[128];
	snprintf(text, sizeof text, "%.*s", STR_ARG(str_slice(name_of(s), 0, 100)));
	table_add(t, text);
	snprintf(text, sizeof text, "%.*s", STR_ARG(str_slice(s->kind, 0, 100)));
	table_add(t, text);
	if (is_own(s)) {
		add_served(t, AUTH_GIVES_VERIFY | AUTH_GIVES_SCRAM | AUTH_GIVES_CLEAR);
		table_add(t, "auth");
		return;
	}
	add_served(t, kind && kind->gives ? kind->gives(s) : 0);
	bool as = kind && kind->where == AUTH_IN_CHECKER && s->user.len;
	if (as)
		snprintf(text, sizeof text, TEXT("checker, as %.*s"), STR_ARG(str_slice(s->user, 0, 64)));
	table_add(t, as ? text : kind && kind->where == AUTH_IN_CHECKER ? "checker" : "source");
}

static void print_sources(const struct config *c)
{
	static const struct config_source accounts = {.kind = {"accounts", 8}};
	const char *const titles[] = {TEXT("PASSWORD SOURCE"), TEXT("KIND"), TEXT("SERVES"), TEXT("ROLE")};
	struct table t;
	table_init(&t, ARRAY_SIZE(titles), titles);
	if (c->auth.source_count == 0)
		add_source(&t, &accounts);
	for (size_t i = 0; i < c->auth.source_count; i++)
		add_source(&t, &c->auth.sources[i]);
	table_print(&t);
	table_finish(&t);
}

static void print_servers(const struct config *c, bool lacking)
{
	const struct auth_offer_facts facts = {.scram_missing = lacking};
	const char *const titles[] = {TEXT("SERVER"), TEXT("OFFERS BEFORE TLS"), TEXT("OFFERS AFTER TLS")};
	char name[128], list[AUTH_OFFER_MAX];
	struct table t;
	table_init(&t, ARRAY_SIZE(titles), titles);
	for (size_t i = 0; i < c->server_count; i++) {
		const struct config_server *s = &c->servers[i];
		if (!logs_in(s))
			continue;
		snprintf(name, sizeof name, "%.*s", STR_ARG(str_slice(s->name, 0, 100)));
		table_add(&t, name);
		auth_offers(c, s, &facts, false, list);
		table_add(&t, list);
		auth_offers(c, s, &facts, true, list);
		table_add(&t, list);
	}
	if (t.count)
		putchar('\n');
	table_print(&t);
	if (t.count)
		putchar('\n');
	table_finish(&t);
}

void check_auth_print(const struct config *c, bool lacking)
{
	if (c->auth.socket.len)
		return;
	print_sources(c);
	print_servers(c, lacking);
}
