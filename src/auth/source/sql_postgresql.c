// SPDX-License-Identifier: ISC
// PostgreSQL by libpq, without blocking so that every step ends in time. Nothing is prepared on the
// server: one round trip a question, and a PgBouncer in between changes nothing.
#include "auth/source/sql.h"

#include "base/clock.h"
#include "base/memory.h"
#include "base/text.h"

#include <libpq-fe.h>

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

extern char **environ;

extern const struct auth_sql_engine auth_sql_engine;

// libpq's words end in newlines and may be several lines.
static int say(struct error *err, int code, const char *words)
{
	char line[ERROR_TEXT_MAX];
	size_t used = 0;

	for (const char *p = words; *p && used < sizeof line - 1; p++)
		line[used++] = (unsigned char)*p < ' ' ? ' ' : *p;
	while (used && line[used - 1] == ' ')
		used--;
	line[used] = '\0';
	return error_set(err, code, TEXT("PostgreSQL: %s"), line);
}

// False: the deadline is past.
static bool wait_for(PGconn *db, short events, uint64_t deadline)
{
	struct pollfd p = {.fd = PQsocket(db), .events = events};
	uint64_t left;

	while ((left = auth_sql_left(deadline)) > 0) {
		int ready = poll(&p, 1, (int)left);
		if (ready > 0)
			return true;
		if (ready < 0 && errno != EINTR)
			return false;
	}
	return false;
}

// ---- before confinement: libpq would take what PG… says where we say nothing
// Once, before there are threads: a reload prepares again while others may read the environment.
static void clear_environment(void)
{
	char name[256];

	for (char **e = environ; *e;) {
		size_t len = strcspn(*e, "=");
		if (strncmp(*e, "PG", 2) != 0 || len >= sizeof name) {
			e++;
			continue;
		}
		memcpy(name, *e, len);
		name[len] = '\0';
		if (unsetenv(name) < 0)
			fatal("cannot clear the environment");
		e = environ; // it moved
	}
}

static int prepare(const struct auth_sql_target *target, struct error *err)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	(void)target;
	pthread_once(&once, clear_environment);
	if (!PQisthreadsafe())
		return error_set(err, ERR_UNSUPPORTED, TEXT("this libpq is not made for threads"));
	return 0;
}

// ---- opening
// A PgBouncer may take no options; then the limit is ours alone.
static atomic_bool without_options;

static PGconn *start(const struct auth_sql_target *t)
{
	char port[8] = "", limit[24], options[64];
	const char *pairs[][2] = {
		{"host", t->host},
		{"port", port},
		{"dbname", t->database},
		{"user", t->login},
		{"password", t->password},
		{"options", options},
		{"client_encoding", "UTF8"},
		{"application_name", "pabal"},
		{"sslmode", t->tls ? "verify-full" : "prefer"},
		{"gssencmode", "disable"},
		{"tcp_user_timeout", limit},
		{"keepalives_idle", "60"},
		// Files in a home folder are nobody's business.
		{"passfile", "/dev/null"},
		{"sslrootcert", t->tls ? t->ca_file : "/nonexistent/root.crt"},
		{"sslcert", "/nonexistent/postgresql.crt"},
		{"sslkey", "/nonexistent/postgresql.key"},
		{"sslcrl", "/nonexistent/root.crl"},
	};
	const char *keys[ARRAY_SIZE(pairs) + 1] = {NULL}, *values[ARRAY_SIZE(pairs) + 1] = {NULL};

	if (t->port)
		snprintf(port, sizeof port, "%u", t->port);
	snprintf(limit, sizeof limit, "%llu", (unsigned long long)t->timeout);
	snprintf(options, sizeof options, "-c statement_timeout=%llu",
		(unsigned long long)t->timeout);
	if (atomic_load(&without_options))
		options[0] = '\0';
	for (size_t i = 0; i < ARRAY_SIZE(pairs); i++) {
		keys[i] = pairs[i][0];
		values[i] = pairs[i][1];
	}
	return PQconnectStartParams(keys, values, 0);
}

static int open_once(
	const struct auth_sql_target *target, uint64_t deadline, PGconn **out, struct error *err)
{
	PostgresPollingStatusType next = PGRES_POLLING_WRITING;
	PGconn *db = start(target);

	if (!db)
		fatal("out of memory (a database connection)");
	if (PQstatus(db) == CONNECTION_BAD)
		next = PGRES_POLLING_FAILED;
	while (next == PGRES_POLLING_READING || next == PGRES_POLLING_WRITING) {
		if (!wait_for(db, next == PGRES_POLLING_READING ? POLLIN : POLLOUT, deadline)) {
			PQfinish(db);
			return error_set(
				err, ERR_TIMEOUT, TEXT("PostgreSQL: no connection in time"));
		}
		next = PQconnectPoll(db);
	}
	if (next == PGRES_POLLING_OK) {
		*out = db;
		return 0;
	}
	bool no_options = strstr(PQerrorMessage(db), "startup parameter") &&
			  !atomic_exchange(&without_options, true);
	say(err, no_options ? ERR_UNSUPPORTED : ERR_CLOSED, PQerrorMessage(db));
	PQfinish(db);
	return no_options ? ERR_UNSUPPORTED : ERR_CLOSED;
}

static int open_connection(
	const struct auth_sql_target *target, uint64_t deadline, void **out, struct error *err)
{
	PGconn *db = NULL;
	int result = open_once(target, deadline, &db, err);

	if (result == ERR_UNSUPPORTED)
		result = open_once(target, deadline, &db, err);
	if (result)
		return result;
	PQsetnonblocking(db, 1);
	*out = db;
	return 0;
}

static void close_connection(void *connection)
{
	PQfinish(connection);
}

// ---- asking
static int send_query(PGconn *db, const char *text, const struct str *values, unsigned count)
{
	const char *texts[AUTH_SQL_VALUES_MAX] = {NULL};
	char *copies[AUTH_SQL_VALUES_MAX];
	int sent;

	for (unsigned i = 0; i < count; i++)
		texts[i] = copies[i] = str_dup(values[i]);
	sent = PQsendQueryParams(db, text, (int)count, NULL, texts, NULL, NULL, 0);
	for (unsigned i = 0; i < count; i++)
		mem_free(copies[i]);
	return sent;
}

static int read_all(PGconn *db, uint64_t deadline, struct error *err)
{
	for (;;) {
		int left = PQflush(db);
		if (left < 0)
			return say(err, ERR_CLOSED, PQerrorMessage(db));
		if (!left && !PQisBusy(db))
			return 0;
		if (!wait_for(db, (short)(left ? POLLIN | POLLOUT : POLLIN), deadline))
			return error_set(err, ERR_TIMEOUT, TEXT("PostgreSQL: no answer in time"));
		if (!PQconsumeInput(db))
			return say(err, ERR_CLOSED, PQerrorMessage(db));
	}
}

// SQLSTATE: class 22 is a value the column's type does not take; 57P.. a server that stops or is
// not up yet; 57014 its time limit.
static int failure(PGconn *db, const PGresult *r, struct error *err)
{
	const char *state = PQresultErrorField(r, PG_DIAG_SQLSTATE);

	state = state ? state : "";
	if (PQstatus(db) == CONNECTION_BAD || !strncmp(state, "57P", 3))
		return say(err, ERR_CLOSED, PQresultErrorMessage(r));
	if (!strncmp(state, "22", 2))
		return say(err, ERR_SYNTAX, PQresultErrorMessage(r));
	if (!strcmp(state, "57014"))
		return say(err, ERR_TIMEOUT, PQresultErrorMessage(r));
	return say(err, strcmp(state, "42P01") ? ERR_UNAVAILABLE : ERR_NOT_FOUND,
		PQresultErrorMessage(r));
}

static int keep(const PGresult *r, struct auth_sql_row *row)
{
	for (int i = 0; i < PQnfields(r) && PQntuples(r); i++) {
		struct str value = {NULL, 0};
		if (!PQgetisnull(r, 0, i))
			value = str_make(PQgetvalue(r, 0, i), (size_t)PQgetlength(r, 0, i));
		auth_sql_row_set(row, str_from(PQfname(r, i)), value);
	}
	return PQntuples(r) > 1 ? 2 : PQntuples(r);
}

static int take_result(PGconn *db, PGresult *r, struct auth_sql_row *row, struct error *err)
{
	switch (PQresultStatus(r)) {
	case PGRES_TUPLES_OK:
		return keep(r, row);
	case PGRES_COMMAND_OK:
		return error_set(err, ERR_UNAVAILABLE, TEXT("query: it gives no rows"));
	default:
		return failure(db, r, err);
	}
}

static int ask(void *connection, const char *text, const struct str *values, unsigned count,
	uint64_t deadline, struct auth_sql_row *row, struct error *err)
{
	PGconn *db = connection;
	PGresult *r;
	int rows = 0, result;

	if (!send_query(db, text, values, count))
		return say(err, ERR_CLOSED, PQerrorMessage(db));
	for (;;) {
		result = read_all(db, deadline, err);
		if (result)
			return result;
		r = PQgetResult(db);
		if (!r)
			return rows;
		if (rows >= 0)
			rows = take_result(db, r, row, err);
		PQclear(r);
		if (rows < 0)
			return rows; // the connection is closed: no need of the rest
	}
}

const struct auth_sql_engine auth_sql_engine = {
	.style = AUTH_SQL_DOLLAR,
	.prepare = prepare,
	.open = open_connection,
	.ask = ask,
	.close = close_connection,
};
