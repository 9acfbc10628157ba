// SPDX-License-Identifier: ISC
// MySQL and MariaDB by libmariadb. Its calls block, each at most as long as the source may take, in
// whole seconds.
#include "auth/source/sql.h"

#include "base/clock.h"
#include "base/memory.h"
#include "base/text.h"

#include <mysql.h>
#include <errmsg.h>
#include <mysqld_error.h>

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

extern const struct auth_sql_engine auth_sql_engine;

#define COLUMNS_MAX 64
// MYSQL_CLIENT_AUTHENTICATION_PLUGIN; the header that has it includes what is not installed.
#define AUTHENTICATION_PLUGIN 2

// ---- before confinement
// Once, before there are threads: a reload prepares again while others may read the environment.
static void clear_environment(void)
{
	static const char *const variables[] = {"MYSQL_HOST", "MYSQL_TCP_PORT", "MYSQL_UNIX_PORT",
		"MYSQL_PWD", "MYSQL_HOME", "MARIADB_HOME", "LIBMYSQL_PLUGINS", "MARIADB_PLUGIN_DIR",
		"MYSQL_PLUGIN_DIR", "LIBMYSQL_PLUGIN_DIR", "MARIADB_TLS_DISABLE_PEER_VERIFICATION"};

	for (size_t i = 0; i < ARRAY_SIZE(variables); i++)
		unsetenv(variables[i]);
}

// What a server may ask for is loaded now; the library would do it in the middle of a login.
static int prepare(const struct auth_sql_target *target, struct error *err)
{
	static const char *const plugins[] = {
		"caching_sha2_password", "sha256_password", "client_ed25519"};
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	MYSQL *db;

	(void)target;
	pthread_once(&once, clear_environment);
	if (mysql_library_init(0, NULL, NULL) || !mysql_thread_safe())
		return error_set(err, ERR_UNSUPPORTED, TEXT("libmariadb cannot be used"));
	db = mysql_init(NULL);
	if (!db)
		fatal("out of memory (a database connection)");
	for (size_t i = 0; i < ARRAY_SIZE(plugins); i++)
		(void)mysql_client_find_plugin(db, plugins[i], AUTHENTICATION_PLUGIN);
	mysql_close(db);
	return 0;
}

// ---- opening
static unsigned seconds(uint64_t ms)
{
	return ms < 1000 ? 1 : (unsigned)(ms / 1000);
}

static const char *or_null(const char *text)
{
	return *text ? text : NULL;
}

static void set_options(MYSQL *db, const struct auth_sql_target *t, uint64_t deadline)
{
	unsigned connect = seconds(auth_sql_left(deadline)), talk = seconds(t->timeout), no = 0;
	my_bool tls = t->tls;

	mysql_options(db, MYSQL_OPT_CONNECT_TIMEOUT, &connect);
	mysql_options(db, MYSQL_OPT_READ_TIMEOUT, &talk);
	mysql_options(db, MYSQL_OPT_WRITE_TIMEOUT, &talk);
	mysql_options(db, MYSQL_OPT_LOCAL_INFILE, &no); // a server could ask for our files
	mysql_options(db, MYSQL_SET_CHARSET_NAME, "utf8mb4");
	mysql_options(db, MYSQL_OPT_SSL_VERIFY_SERVER_CERT, &tls);
	if (t->tls) {
		mysql_options(db, MYSQL_OPT_SSL_ENFORCE, &tls);
		mysql_options(db, MYSQL_OPT_SSL_CA, t->ca_file);
	}
}

static int failure(unsigned code, const char *words, struct error *err)
{
	int result = ERR_UNAVAILABLE;

	if (code == CR_SERVER_GONE_ERROR || code == CR_SERVER_LOST || code == ER_SERVER_SHUTDOWN ||
		code == CR_CONNECTION_ERROR || code == CR_CONN_HOST_ERROR ||
		code == ER_CONNECTION_KILLED)
		result = ERR_CLOSED;
	else if (code == ER_NO_SUCH_TABLE)
		result = ERR_NOT_FOUND;
	else if (code == ER_STATEMENT_TIMEOUT)
		result = ERR_TIMEOUT;
	return error_set(err, result, TEXT("MySQL: %s (%u)"), words, code);
}

// The server's own limit; one that does not know the word goes without.
static void limit_statements(MYSQL *db, uint64_t ms)
{
	char text[80];

	if (strstr(mysql_get_server_info(db), "MariaDB"))
		snprintf(text, sizeof text, "SET SESSION max_statement_time=%u", seconds(ms));
	else
		snprintf(text, sizeof text, "SET SESSION max_execution_time=%llu",
			(unsigned long long)ms);
	(void)mysql_query(db, text);
}

static void limit_silence(MYSQL *db, uint64_t ms)
{
	int fd = (int)mysql_get_socket(db), on = 1;
	unsigned limit = (unsigned)ms;

	// Fails on a Unix socket, where nothing gets lost.
	(void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
	(void)setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &limit, sizeof limit);
}

static int open_connection(
	const struct auth_sql_target *t, uint64_t deadline, void **out, struct error *err)
{
	const unsigned tcp = MYSQL_PROTOCOL_TCP;
	bool folder = t->host[0] == '/';
	char path[256] = "";
	MYSQL *db = mysql_init(NULL);

	if (!db)
		fatal("out of memory (a database connection)");
	if (folder) // the socket itself, or its folder
		snprintf(path, sizeof path, "%s%s", t->host,
			strstr(t->host, ".sock") ? "" : "/mysqld.sock");
	else if (!*t->host)
		snprintf(path, sizeof path, "/run/mysqld/mysqld.sock");
	else // "localhost" would be the socket
		mysql_options(db, MYSQL_OPT_PROTOCOL, &tcp);
	set_options(db, t, deadline);
	if (!mysql_real_connect(db, path[0] ? NULL : or_null(t->host), or_null(t->login),
		    or_null(t->password), or_null(t->database), t->port, or_null(path), 0)) {
		int result = failure(mysql_errno(db), mysql_error(db), err);
		mysql_close(db);
		return result;
	}
	if (t->tls && !mysql_get_ssl_cipher(db)) {
		mysql_close(db);
		return error_set(err, ERR_TLS, TEXT("MySQL: the server has no TLS"));
	}
	limit_silence(db, t->timeout);
	limit_statements(db, t->timeout);
	*out = db;
	return 0;
}

static void close_connection(void *connection)
{
	mysql_close(connection);
}

// ---- asking
struct result {
	MYSQL_RES *columns;
	unsigned count;
	MYSQL_BIND binds[COLUMNS_MAX];
	unsigned long lengths[COLUMNS_MAX];
	my_bool nulls[COLUMNS_MAX];
	char values[COLUMNS_MAX][AUTH_NAME_OCTETS];
};

static int statement_failure(MYSQL_STMT *s, struct error *err)
{
	return failure(mysql_stmt_errno(s), mysql_stmt_error(s), err);
}

static int run(MYSQL_STMT *s, const char *text, const struct str *values, unsigned count,
	struct error *err)
{
	MYSQL_BIND binds[AUTH_SQL_VALUES_MAX] = {0};

	for (unsigned i = 0; i < count; i++) {
		binds[i].buffer_type = MYSQL_TYPE_STRING;
		binds[i].buffer = (char *)values[i].data;
		binds[i].buffer_length = values[i].len;
	}
	if (mysql_stmt_prepare(s, text, strlen(text)))
		return statement_failure(s, err);
	if (mysql_stmt_param_count(s) != count)
		return error_set(err, ERR_UNAVAILABLE,
			TEXT("query: the server sees other parameters in it than we do"));
	if ((count && mysql_stmt_bind_param(s, binds)) || mysql_stmt_execute(s))
		return statement_failure(s, err);
	return 0;
}

static int bind_columns(MYSQL_STMT *s, struct result *r, struct error *err)
{
	r->columns = mysql_stmt_result_metadata(s);
	r->count = r->columns ? mysql_num_fields(r->columns) : 0;
	if (!r->count || r->count > COLUMNS_MAX)
		return error_set(err, ERR_UNAVAILABLE, TEXT("query: 1 to %d columns are expected"),
			COLUMNS_MAX);
	for (unsigned i = 0; i < r->count; i++) {
		r->binds[i].buffer_type = MYSQL_TYPE_STRING;
		r->binds[i].buffer = r->values[i];
		r->binds[i].buffer_length = sizeof r->values[i];
		r->binds[i].length = &r->lengths[i];
		r->binds[i].is_null = &r->nulls[i];
	}
	return mysql_stmt_bind_result(s, r->binds) ? statement_failure(s, err) : 0;
}

static void keep(const struct result *r, struct auth_sql_row *row)
{
	MYSQL_FIELD *fields = mysql_fetch_fields(r->columns);

	for (unsigned i = 0; i < r->count; i++) {
		struct str value = {NULL, 0};
		if (!r->nulls[i])
			value = str_make(r->values[i], r->lengths[i]);
		if (value.len >= sizeof r->values[i]) { // is longer than what we have of it
			value.len = sizeof r->values[i];
			memset((char *)r->values[i], 'x', sizeof r->values[i]);
		}
		auth_sql_row_set(row, str_from(fields[i].name), value);
	}
}

static int fetch(MYSQL_STMT *s, struct result *r, struct auth_sql_row *row, struct error *err)
{
	int rows = 0, step = 0;

	while (rows < 2 && (step = mysql_stmt_fetch(s)) != MYSQL_NO_DATA) {
		if (step && step != MYSQL_DATA_TRUNCATED)
			return statement_failure(s, err);
		if (++rows == 1)
			keep(r, row);
	}
	return rows;
}

static int ask(void *connection, const char *text, const struct str *values, unsigned count,
	uint64_t deadline, struct auth_sql_row *row, struct error *err)
{
	MYSQL_STMT *s = mysql_stmt_init(connection);
	struct result *r = mem_alloc(sizeof *r);
	int result;

	if (!s)
		fatal("out of memory (a database query)");
	result = run(s, text, values, count, err);
	if (!result)
		result = bind_columns(s, r, err);
	if (!result)
		result = fetch(s, r, row, err);
	if (r->columns)
		mysql_free_result(r->columns);
	mysql_stmt_close(s);
	mem_wipe(r, sizeof *r);
	mem_free(r);
	// Whether the connection went or the time did, the library does not say.
	if (result == ERR_CLOSED && !auth_sql_left(deadline))
		return error_set(err, ERR_TIMEOUT, TEXT("MySQL: no answer in time"));
	return result;
}

const struct auth_sql_engine auth_sql_engine = {
	.style = AUTH_SQL_POSITION,
	.prepare = prepare,
	.open = open_connection,
	.ask = ask,
	.close = close_connection,
};
