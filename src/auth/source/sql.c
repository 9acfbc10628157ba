// SPDX-License-Identifier: ISC
// The kinds "sql" (the administrator's query) and "vpopmail-sql" (vpopmail's own tables).
#include "auth/source/sql.h"

#include "auth/module.h"
#include "auth/source/ca_file.h"
#include "auth/source/connections.h"
#include "auth/source/kinds.h"
#include "auth/source/sql_row.h"
#include "base/clock.h"
#include "base/memory.h"
#include "base/text.h"

#include <stdio.h>

struct sql_state {
	const struct auth_sql_engine *engine;
	struct auth_connections *connections;
	struct auth_sql_target target;
	struct auth_ca_file ca;
	struct auth_sql_query query; // text has a %s in it where a table is a domain's
	bool table_per_domain;
	char *strings[5]; // of target
};

static const struct engine_row {
	const char *name, *module;
	const struct auth_sql_engine *engine;
} engines[] = {
	{"sqlite", NULL, &auth_sql_sqlite},
	{"postgresql", "postgresql", NULL},
	{"mysql", "mysql", NULL},
};

uint64_t auth_sql_left(uint64_t deadline)
{
	uint64_t now = clock_monotonic_ms();

	return now < deadline ? deadline - now : 0;
}

// ---- what it can serve
// A column that the query names is taken to be filled for everybody.
static unsigned gives(const struct config_source *s)
{
	unsigned can = AUTH_GIVES_VERIFY;

	if (auth_sql_query_names(s->query, STR("scram")))
		can |= AUTH_GIVES_SCRAM;
	if (auth_sql_query_names(s->query, STR("clear")))
		can |= AUTH_GIVES_CLEAR;
	return can;
}

static unsigned vpopmail_gives(const struct config_source *s)
{
	return AUTH_GIVES_VERIFY | (s->cram ? AUTH_GIVES_CLEAR : 0);
}

// ---- before confinement
static int find_engine(struct str name, const struct auth_sql_engine **out, struct error *err)
{
	for (size_t i = 0; i < ARRAY_SIZE(engines); i++) {
		if (!str_equal(name, str_from(engines[i].name)))
			continue;
		*out = engines[i].engine;
		if (engines[i].module)
			*out = auth_module_symbol(engines[i].module, AUTH_SQL_SYMBOL, err);
		return *out ? 0 : ERR_NOT_FOUND;
	}
	return error_set(err, ERR_UNSUPPORTED, TEXT("engine \"%.*s\" is not known"), STR_ARG(name));
}

static int set_target(struct sql_state *state, const struct config_source *s, struct error *err)
{
	const struct str from[] = {s->host, s->path, s->database, s->login, STR_EMPTY};
	struct auth_sql_target *t = &state->target;
	struct str rest = s->password_file.content, line = STR_EMPTY;

	for (size_t i = 0; i < ARRAY_SIZE(from) - 1; i++)
		state->strings[i] = str_dup(from[i]);
	(void)str_split(&rest, '\n', &line);
	if (str_ends_nocase(line, STR("\r")))
		line.len--;
	state->strings[4] = str_dup(line);
	*t = (struct auth_sql_target){state->strings[0], state->strings[1], state->strings[2],
		state->strings[3], state->strings[4], "", s->port, s->tls, s->timeout};
	if (!s->tls)
		return 0;
	int result = auth_ca_file_init(&state->ca, &s->ca_file, err);
	t->ca_file = state->ca.path;
	return result;
}

static void finish(void *arg)
{
	struct sql_state *state = arg;

	if (!state)
		return;
	auth_connections_destroy(state->connections);
	auth_sql_query_finish(&state->query);
	auth_ca_file_finish(&state->ca);
	if (state->strings[4])
		mem_wipe(state->strings[4], strlen(state->strings[4]));
	for (size_t i = 0; i < ARRAY_SIZE(state->strings); i++)
		mem_free(state->strings[i]);
	mem_free(state);
}

static int prepare_query(
	const struct config_source *s, struct str query, void **out, struct error *err)
{
	struct sql_state *state = mem_alloc(sizeof *state);
	int result;

	state->ca.fd = -1;
	result = find_engine(s->engine, &state->engine, err);
	if (!result)
		result = auth_sql_query_make(query, state->engine->style, &state->query, err);
	if (!result)
		result = set_target(state, s, err);
	if (!result && state->engine->prepare)
		result = state->engine->prepare(&state->target, err);
	if (result) {
		finish(state);
		return result;
	}
	state->connections = auth_connections_create(s->connections, state->engine->close);
	*out = state;
	return 0;
}

static int prepare(const struct config_source *s, void **state, struct error *err)
{
	return prepare_query(s, s->query, state, err);
}

static int vpopmail_prepare(const struct config_source *s, void **state, struct error *err)
{
	struct str one =
		STR("SELECT pw_passwd AS password, pw_clear_passwd AS clear, pw_gid AS gid "
		    "FROM vpopmail WHERE pw_name = :name AND pw_domain = :domain");
	struct str each = STR("SELECT pw_passwd AS password, pw_clear_passwd AS clear, "
			      "pw_gid AS gid FROM `%s` WHERE pw_name = :name");
	int result = prepare_query(s, s->table_per_domain ? each : one, state, err);

	if (!result)
		((struct sql_state *)*state)->table_per_domain = s->table_per_domain;
	return result;
}

// ---- asking
struct values {
	char client[IPADDR_TEXT_MAX];
	struct str by_kind[AUTH_SQL_PARAMETERS], in_order[AUTH_SQL_VALUES_MAX];
};

static bool has_control(struct str s)
{
	for (size_t i = 0; i < s.len; i++)
		if ((unsigned char)s.data[i] < ' ' || s.data[i] == 0x7f)
			return true;
	return false;
}

// False: a name that no database takes; it is nobody's.
static bool set_values(
	const struct auth_sql_query *query, const struct auth_question *q, struct values *v)
{
	ptrdiff_t at = str_find_last(q->name, '@');
	struct str local = at < 0 ? q->name : str_slice(q->name, 0, (size_t)at);

	if (!q->name.len || q->name.len >= AUTH_NAME_OCTETS || has_control(q->name) ||
		!str_is_utf8(q->name))
		return false;
	ipaddr_format(&q->client, v->client);
	v->by_kind[AUTH_SQL_USER] = q->name;
	v->by_kind[AUTH_SQL_NAME] = local;
	v->by_kind[AUTH_SQL_DOMAIN] = at < 0 ? STR_EMPTY : str_skip(q->name, (size_t)at + 1);
	v->by_kind[AUTH_SQL_CLIENT] = str_from(v->client);
	v->by_kind[AUTH_SQL_SERVER] = q->server.len ? q->server : STR_EMPTY;
	for (unsigned i = 0; i < query->count; i++)
		v->in_order[i] = v->by_kind[query->order[i]];
	return true;
}

// vpopmail names a domain's table after it. The only name that is ever put into a text: nothing
// but letters, digits and "_" gets through. NULL: no domain has that name.
static char *text_for_domain(const char *text, struct str domain)
{
	char table[64 + 1], *out;
	size_t size;

	if (!domain.len || domain.len >= sizeof table)
		return NULL;
	for (size_t i = 0; i < domain.len; i++) {
		char c = char_lower(domain.data[i]);
		bool plain = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
		if (!plain && c != '.' && c != '-')
			return NULL;
		table[i] = plain ? c : '_';
	}
	table[domain.len] = '\0';
	ptrdiff_t hole = str_search(str_from(text), STR("%s"));
	BUG_ON(hole < 0);
	size = strlen(text) + domain.len;
	out = mem_alloc(size);
	snprintf(out, size, "%.*s%s%s", (int)hole, text, table, text + hole + 2);
	return out;
}

struct turn {
	struct sql_state *state;
	const char *text;
	const struct values *values;
	uint64_t deadline;
	struct auth_sql_row *row;
};

// One try on *connection (NULL: a new one). Afterwards it is NULL when it is gone.
static int ask_once(const struct turn *t, void **connection, struct error *err)
{
	const struct auth_sql_engine *e = t->state->engine;
	int result = 0;

	if (!*connection)
		result = e->open(&t->state->target, t->deadline, connection, err);
	if (result < 0)
		return result;
	mem_wipe(t->row, sizeof *t->row);
	result = e->ask(*connection, t->text, t->values->in_order, t->state->query.count,
		t->deadline, t->row, err);
	if (result < 0) {
		e->close(*connection);
		*connection = NULL;
	}
	return result;
}

// A connection that was kept may have ended since: a new one is asked once more.
static int ask(const struct turn *t, struct error *err)
{
	struct auth_connections *connections = t->state->connections;
	void *connection;
	int result;

	if (!auth_connections_take(connections, t->deadline, &connection))
		return error_set(err, ERR_TIMEOUT, TEXT("all its connections are busy"));
	bool kept = connection != NULL;
	result = ask_once(t, &connection, err);
	if (result == ERR_CLOSED && kept) {
		auth_connections_forget(connections);
		result = ask_once(t, &connection, err);
	}
	auth_connections_give(connections, connection);
	return result;
}

// Where the query does not look at the domain, kim of one domain would be kim of every other one; a
// column account says who it is.
static bool is_of_another_domain(
	const struct turn *t, const struct auth_question *q, const struct auth_answer *a)
{
	for (unsigned i = 0; i < t->state->query.count; i++)
		if (t->state->query.order[i] == AUTH_SQL_USER ||
			t->state->query.order[i] == AUTH_SQL_DOMAIN)
			return false;
	return !a->account[0] && !t->state->table_per_domain &&
	       str_find(auth_question_bare(q), '@') >= 0;
}

static void judge(int result, const struct turn *t, const struct auth_question *q,
	const struct error *err, struct auth_answer *out)
{
	if (result == 1)
		auth_sql_row_judge(t->row, q, out);
	else if (result == 0)
		auth_answer_set(out, AUTH_UNKNOWN, TEXT("no row"));
	else if (result > 1)
		auth_answer_set(out, AUTH_CANNOT, TEXT("the query gives more than one row"));
	else if (result == ERR_SYNTAX)
		auth_answer_set(out, AUTH_UNKNOWN, TEXT("no such value: %s"), err->text);
	else if (result == ERR_NOT_FOUND && t->state->table_per_domain)
		auth_answer_set(out, AUTH_UNKNOWN, TEXT("the domain has no table"));
	else
		auth_answer_set(out, AUTH_CANNOT, "%s", err->text);
	if (out->verdict == AUTH_YES && is_of_another_domain(t, q, out))
		auth_answer_set(out, AUTH_UNKNOWN,
			TEXT("without :user or :domain it is for names of default-domain only"));
}

static void check(const struct config_source *s, void *arg, const struct auth_question *q,
	struct auth_answer *out)
{
	struct sql_state *state = arg;
	struct error err = {0};
	struct values values;
	char *of_domain = NULL;

	if (q->ask != AUTH_ASK_PASSWORD && q->ask != AUTH_ASK_LOOKUP) {
		auth_answer_set(out, AUTH_CANNOT, TEXT("a database checks passwords only"));
		return;
	}
	if (!set_values(&state->query, q, &values)) {
		auth_answer_set(out, AUTH_UNKNOWN, TEXT("the name cannot be in a database"));
		return;
	}
	if (state->table_per_domain) {
		of_domain = text_for_domain(state->query.text, values.by_kind[AUTH_SQL_DOMAIN]);
		if (!of_domain) {
			auth_answer_set(out, AUTH_UNKNOWN, TEXT("no domain has that name"));
			return;
		}
	}
	struct turn turn = {state, of_domain ? of_domain : state->query.text, &values,
		clock_monotonic_ms() + s->timeout, mem_alloc(sizeof *turn.row)};
	judge(ask(&turn, &err), &turn, q, &err, out);
	mem_wipe(turn.row, sizeof *turn.row);
	mem_free(turn.row);
	mem_free(of_domain);
}

// ---- pabal check
static void advise(const struct config_source *s, struct config_findings *findings)
{
	bool local = !s->host.len || s->host.data[0] == '/' ||
		     str_equal(s->host, STR("localhost")) || str_equal(s->host, STR("127.0.0.1")) ||
		     str_equal(s->host, STR("::1"));

	if (!s->tls && !local && !str_equal(s->engine, STR("sqlite")))
		config_findings_add(findings, 'W', s->where.file, s->where.line, s->where.column,
			TEXT("source \"%.*s\": passwords cross the network without TLS (tls yes)"),
			STR_ARG(s->name));
}

const struct auth_source_kind auth_source_sql = {
	.name = "sql",
	.where = AUTH_IN_SOURCE,
	.gives = gives,
	.prepare = prepare,
	.finish = finish,
	.check = check,
	.advise = advise,
};

const struct auth_source_kind auth_source_vpopmail_sql = {
	.name = "vpopmail-sql",
	.where = AUTH_IN_SOURCE,
	.gives = vpopmail_gives,
	.prepare = vpopmail_prepare,
	.finish = finish,
	.check = check,
	.advise = advise,
};
