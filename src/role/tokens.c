// SPDX-License-Identifier: ISC
// One account a route. Its file and endpoint are touched by one thread at a time; meanwhile who asks
// waits. The file wins whenever it was changed by somebody else.
#include "role/tokens.h"

#include "auth/http.h"
#include "auth/pool.h"
#include "base/clock.h"
#include "base/event.h"
#include "base/file.h"
#include "base/list.h"
#include "base/map.h"
#include "base/memory.h"
#include "base/text.h"
#include "deliver/token.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define THREADS     2
#define WAITING_MAX 1000
#define ENDPOINT_MS 30000
#define PAUSE_MS    10000 // after a failure the same answer is given for so long

struct waiting {
	struct list link;
	struct ipc_channel *from;
	uint64_t request, refused;
};

struct file_id { // of the file as we know it
	struct timespec changed;
	ino_t inode;
	off_t size;
};

struct account {
	struct tokens *owner;
	char *pattern, *path;
	bool removed;           // the configuration has it no more; goes when nothing runs
	struct list waiting;
	unsigned waiting_count;
	// what a thread works on while running, else the loop's
	bool running, force;    // force: even a token that looks fresh is renewed
	struct auth_job job;
	struct token token;
	struct file_id file;
	bool from_endpoint;     // the token is what the endpoint gave last
	struct error unwritten; // why the file could not be written; code 0: it was
	bool warned;            // of that
	uint64_t serial;        // of the token; 0: none
	uint64_t renewed_ms, failed_ms; // monotonic; 0: never
	struct error why;       // of the last failure; code 0: none
	char *ca, *ca_path;     // copies for the thread
	size_t ca_len;
};

struct tokens {
	struct role_context *context;
	const struct auth_http *http; // NULL: not loaded
	struct error http_why;
	struct auth_pool *pool;
	struct map accounts;          // by pattern
	uint64_t last_serial;
	unsigned running;
	void (*idle)(void *arg);
	void *arg;
};

bool tokens_needed(const struct config *c)
{
	for (size_t i = 0; i < c->route_count; i++)
		if (c->routes[i].token_file.len)
			return true;
	return false;
}

// ---- the file, on a thread
static struct file_id id_of(const struct stat *st)
{
	return (struct file_id){.changed = st->st_mtim, .inode = st->st_ino, .size = st->st_size};
}

static bool same_file(const struct file_id *a, const struct file_id *b)
{
	return a->changed.tv_sec == b->changed.tv_sec && a->changed.tv_nsec == b->changed.tv_nsec &&
		a->inode == b->inode && a->size == b->size;
}

static int read_open(struct account *a, int fd, const struct stat *st)
{
	struct buf content = BUF_INIT;
	struct token token;
	struct error why = {0};
	int result;

	(void)buf_reserve(&content, (size_t)st->st_size + 1);
	result = fd_read_all(fd, &content, TOKEN_FILE_OCTETS);
	if (result)
		result = error_set(&a->why, result, TEXT("%s: %s"), a->path, err_text(result));
	else if (token_parse(buf_str(&content), &token, &why))
		result = error_set(&a->why, why.code, TEXT("%s: %s"), a->path, why.text);
	buf_finish_wipe(&content);
	if (result)
		return result;
	token_finish(&a->token);
	a->token = token;
	a->file = id_of(st);
	a->from_endpoint = false;
	a->serial = 0; // a new one
	return 0;
}

// Again only when somebody has changed it.
static int read_file(struct account *a)
{
	int fd = open(a->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY), result;
	struct stat st;
	struct file_id id;

	if (fd < 0 || fstat(fd, &st) < 0) {
		result = error_system(&a->why, "%s", a->path);
		fd_close(&fd);
		return result;
	}
	id = id_of(&st);
	if (!S_ISREG(st.st_mode) || st.st_size > TOKEN_FILE_OCTETS)
		result = error_set(&a->why, ERR_LIMIT, TEXT("%s: no file, or too large"), a->path);
	else if (st.st_mode & 077)
		result = error_set(&a->why, ERR_DENIED,
			TEXT("%s: others may read it: chmod 600 %s"), a->path, a->path);
	else
		result = a->token.file && same_file(&a->file, &id) ? 0 : read_open(a, fd, &st);
	fd_close(&fd);
	return result;
}

static void write_file(struct account *a)
{
	struct buf content = BUF_INIT;
	struct stat st;

	a->unwritten.code = 0;
	token_render(&a->token, &content);
	if (!file_replace(a->path, buf_str(&content), 0600, &a->unwritten) && stat(a->path, &st) == 0)
		a->file = id_of(&st);
	buf_finish_wipe(&content);
}

// ---- renewing, on a thread
static int ask_endpoint(struct account *a, const struct auth_http *http, unsigned *status,
	struct buf *answer)
{
	struct buf question = BUF_INIT;
	struct error why = {0};
	struct auth_http_question q = {.url = a->token.endpoint, .post = true,
		.ca = str_make(a->ca, a->ca_len), .ca_path = a->ca_path, .timeout_ms = ENDPOINT_MS,
		.limit = TOKEN_ANSWER_OCTETS};
	int result;

	token_make_question(&a->token, &question);
	q.body = buf_str(&question);
	result = http->ask(&q, status, answer, &why);
	buf_finish_wipe(&question);
	if (result)
		error_set(&a->why, result, TEXT("the token endpoint %.100s: %s"), a->token.endpoint, why.text);
	return result;
}

static int renew(struct account *a)
{
	struct tokens *t = a->owner;
	struct buf answer = BUF_INIT;
	struct error why = {0};
	unsigned status = 0;
	int result;

	if (!t->http)
		return error_set(&a->why, t->http_why.code, "%s", t->http_why.text);
	result = ask_endpoint(a, t->http, &status, &answer);
	if (!result) {
		result = token_take_answer(&a->token, status, buf_str(&answer), clock_wall_ms(), &why);
		if (result)
			error_set(&a->why, result, TEXT("%s: %s"), a->path, why.text);
	}
	buf_finish_wipe(&answer);
	if (result)
		return result;
	a->serial = 0;
	a->from_endpoint = true;
	a->renewed_ms = clock_monotonic_ms();
	write_file(a);
	return 0;
}

static void work(struct auth_job *job)
{
	struct account *a = LIST_ENTRY(job, struct account, job);
	uint64_t known = a->serial;

	a->why = (struct error){0};
	if (read_file(a))
		return;
	bool changed = a->serial != known; // by somebody else: what was refused was another token
	if (token_is_fresh(&a->token, clock_wall_ms()) && (changed || !a->force))
		return;
	if (token_can_renew(&a->token))
		(void)renew(a);
	else if (a->force)
		error_set(&a->why, ERR_DENIED,
			TEXT("%s: the host refuses the access token, and without refresh_token and "
			     "token_endpoint there is no other"), a->path);
	else
		error_set(&a->why, ERR_NOT_FOUND,
			TEXT("%s: no access token that is good, and no refresh_token and token_endpoint "
			     "to get one"), a->path);
}

// ---- answers
static void answer(struct account *a, const struct waiting *w)
{
	struct ipc_token_given m = {.request = w->request};

	if (a->why.code) {
		m.text = str_from(a->why.text);
	} else {
		m.token = str_from(a->token.access);
		m.serial = a->serial;
	}
	(void)ipc_send_token_given(w->from, &m);
}

static void refuse(struct ipc_channel *from, uint64_t request, const char *why)
{
	struct ipc_token_given m = {.request = request, .text = str_from(why)};

	(void)ipc_send_token_given(from, &m);
}

static void account_destroy(struct account *a)
{
	while (!list_empty(&a->waiting)) {
		struct waiting *w = LIST_ENTRY(a->waiting.next, struct waiting, link);

		refuse(w->from, w->request, TEXT("the route is no more in the configuration"));
		list_remove(&w->link);
		mem_free(w);
	}
	token_finish(&a->token);
	mem_free(a->pattern);
	mem_free(a->path);
	mem_free(a->ca);
	mem_free(a->ca_path);
	mem_free(a);
}

static void report(struct account *a)
{
	if (a->why.code)
		event_report(EVENT_WARNING, "auth", TEXT("route \"%s\": no token: %s"), a->pattern,
			a->why.text);
	else if (a->from_endpoint && !a->serial)
		event_report(EVENT_INFO, "auth", TEXT("route \"%s\": the token was renewed"), a->pattern);
	if (a->unwritten.code && !a->warned)
		event_report(EVENT_WARNING, "auth",
			TEXT("route \"%s\": the renewed token stays in memory only: %s; a token-file in a "
			     "folder that pabal-source may write to outlives a restart"), a->pattern,
			a->unwritten.text);
	a->warned = a->unwritten.code != 0;
}

static void finished(struct auth_job *job)
{
	struct account *a = LIST_ENTRY(job, struct account, job);

	a->running = false;
	a->owner->running--;
	report(a);
	if (a->why.code)
		a->failed_ms = clock_monotonic_ms();
	else if (!a->serial)
		a->serial = ++a->owner->last_serial;
	while (!list_empty(&a->waiting)) {
		struct waiting *w = LIST_ENTRY(a->waiting.next, struct waiting, link);

		answer(a, w);
		list_remove(&w->link);
		mem_free(w);
	}
	a->waiting_count = 0;
	struct tokens *t = a->owner;
	if (a->removed)
		account_destroy(a);
	if (!t->running)
		t->idle(t->arg);
}

// ---- questions
static void copy_trust(struct account *a)
{
	const struct config_tls *tls = &a->owner->context->config->tls;

	mem_free(a->ca);
	mem_free(a->ca_path);
	a->ca = str_dup(tls->ca_file.content);
	a->ca_len = tls->ca_file.content.len;
	a->ca_path = tls->ca_path.len ? str_dup(tls->ca_path) : NULL;
}

static bool file_unchanged(const struct account *a)
{
	struct stat st;
	struct file_id id;

	if (!a->token.file || stat(a->path, &st) < 0)
		return false;
	id = id_of(&st);
	return same_file(&a->file, &id);
}

// Another token was given to somebody since, or the one refused is so new that another would be no
// better.
static bool may_answer(const struct account *a, uint64_t refused)
{
	if (!file_unchanged(a))
		return false;
	if (a->why.code)
		return clock_monotonic_ms() < a->failed_ms + PAUSE_MS;
	if (!a->serial || !token_is_fresh(&a->token, clock_wall_ms()))
		return false;
	return a->serial != refused ||
		(a->from_endpoint && clock_monotonic_ms() < a->renewed_ms + PAUSE_MS);
}

static void start(struct account *a)
{
	a->running = true;
	a->owner->running++;
	copy_trust(a);
	auth_pool_add(a->owner->pool, &a->job);
}

void tokens_ask(struct tokens *t, struct ipc_channel *from, struct str body)
{
	struct ipc_token_wanted m;
	struct waiting now = {.from = from};

	if (ipc_decode_token_wanted(body, &m))
		return;
	struct account *a = map_get(&t->accounts, m.pattern);
	now.request = m.request;
	now.refused = m.refused;
	if (!a || a->waiting_count >= WAITING_MAX) {
		refuse(from, m.request, a ? TEXT("too many wait for a token")
					  : TEXT("the route has no token-file"));
	} else if (!a->running && may_answer(a, m.refused)) {
		answer(a, &now);
	} else {
		struct waiting *w = mem_alloc(sizeof *w);

		*w = now;
		list_add_last(&a->waiting, &w->link);
		a->waiting_count++;
		if (a->running)
			return;
		a->force = m.refused && m.refused == a->serial;
		start(a);
	}
}

struct lost {
	const struct ipc_channel *from;
};

static void forget_waiting(struct str key, void *value, void *arg)
{
	struct account *a = value;
	const struct lost *l = arg;

	(void)key;
	LIST_EACH(link, &a->waiting) {
		struct waiting *w = LIST_ENTRY(link, struct waiting, link);

		if (w->from != l->from)
			continue;
		list_remove(&w->link);
		mem_free(w);
		a->waiting_count--;
	}
}

void tokens_lost(struct tokens *t, const struct ipc_channel *from)
{
	struct lost l = {from};

	map_each(&t->accounts, forget_waiting, &l);
}

unsigned tokens_running(const struct tokens *t)
{
	return t->running;
}

// ---- configuration
static void remove_account(struct str key, void *value, void *arg)
{
	struct account *a = value;
	struct tokens *t = arg;
	const struct config *c = t->context->config;

	for (size_t i = 0; i < c->route_count; i++)
		if (str_equal(c->routes[i].pattern, key) &&
			str_equal(c->routes[i].token_file, str_from(a->path)))
			return;
	map_remove(&t->accounts, key);
	if (a->running)
		a->removed = true;
	else
		account_destroy(a);
}

static void add_account(struct tokens *t, const struct config_route *route)
{
	struct account *a;

	if (!route->token_file.len || map_get(&t->accounts, route->pattern))
		return;
	a = mem_alloc(sizeof *a);
	a->owner = t;
	a->pattern = str_dup(route->pattern);
	a->path = str_dup(route->token_file);
	a->job.run = work;
	a->job.done = finished;
	list_init(&a->waiting);
	list_init(&a->job.link);
	map_set(&t->accounts, route->pattern, a);
}

void tokens_configure(struct tokens *t)
{
	const struct config *c = t->context->config;

	map_each(&t->accounts, remove_account, t);
	for (size_t i = 0; i < c->route_count; i++)
		add_account(t, &c->routes[i]);
	if (!tokens_needed(c))
		return;
	if (!t->http)
		t->http = auth_http_load(&t->http_why);
	if (!t->pool)
		t->pool = auth_pool_create(t->context->loop, THREADS, 0);
}

struct tokens *tokens_create(
	struct role_context *context, void (*idle)(void *arg), void *arg)
{
	struct tokens *t = mem_alloc(sizeof *t);

	t->context = context;
	t->idle = idle;
	t->arg = arg;
	// Of a role before us somebody may still hold one.
	t->last_serial = clock_wall_ms();
	return t;
}
