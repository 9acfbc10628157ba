// SPDX-License-Identifier: ISC
#include "role/winbind.h"

#include "auth/winbind.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/event.h"
#include "base/memory.h"
#include "base/text.h"
#include "role/confine.h"

#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define EVICT_MS  5000   // a client that was silent for so long gives its helper to another
#define CLIENT_MS 120000 // and after so long in any case
#define WORDS_MAX 32

enum state { IDLE, ASKED, CLIENT }; // waits for nobody, for its answer, for its client

struct helper {
	struct list link; // of winbind; none: it is being closed
	struct winbind *winbind;
	bool spnego;
	enum state state;
	struct ipc_channel *from;
	uint64_t dialogue;
	uint64_t since_ms;
	struct wheel_timer timer;
	struct buf line;
	uv_process_t process;
	uv_pipe_t in, out;
	unsigned open; // handles
	bool spawned;
};

struct write {
	uv_write_t request;
	struct buf octets;
};

struct winbind {
	struct role_context *context;
	struct wheel *wheel;
	struct list helpers; // longest unused first
	unsigned count;
};

// ---- answers
static void answer(const struct helper *h, const struct ipc_negotiated *m)
{
	if (h->from)
		(void)ipc_send_negotiated(h->from, m);
}

static void answer_cannot(struct ipc_channel *from, uint64_t dialogue, const char *why)
{
	struct ipc_negotiated m = {.dialogue = dialogue,
		.outcome = AUTH_WINBIND_CANNOT,
		.reason = str_from(why)};

	if (from)
		(void)ipc_send_negotiated(from, &m);
}

// ---- the end of a helper
static void on_handle_closed(uv_handle_t *handle)
{
	struct helper *h = handle->data;

	if (--h->open)
		return;
	buf_finish_wipe(&h->line);
	mem_free(h);
}

static void close_handle(struct helper *h, uv_handle_t *handle)
{
	handle->data = h;
	uv_close(handle, on_handle_closed);
}

// why: to whoever waits for it; NULL: nobody does.
static void helper_end(struct helper *h, const char *why)
{
	if (why && h->state != IDLE)
		answer_cannot(h->from, h->dialogue, why);
	wheel_clear(h->winbind->wheel, &h->timer);
	list_remove(&h->link);
	h->winbind->count--;
	if (h->spawned)
		(void)uv_process_kill(&h->process, SIGKILL);
	close_handle(h, (uv_handle_t *)&h->process);
	close_handle(h, (uv_handle_t *)&h->in);
	close_handle(h, (uv_handle_t *)&h->out);
}

static void helper_failed(struct helper *h, const char *why)
{
	event_report(EVENT_ERROR, "auth", "winbind's helper %s; it was ended", why);
	helper_end(h, why);
}

static void on_exit(uv_process_t *process, int64_t status, int signal)
{
	struct helper *h = process->data;
	char why[100];

	h->spawned = false; // the number may be another's soon
	if (uv_is_closing((uv_handle_t *)process))
		return;
	snprintf(why, sizeof why, "ended with %lld, signal %d", (long long)status, signal);
	helper_failed(h, why);
}

static void on_timeout(struct wheel_timer *timer)
{
	struct helper *h = LIST_ENTRY(timer, struct helper, timer);

	if (h->state == ASKED)
		helper_failed(h, "does not answer in time");
	else
		helper_end(h, NULL); // its client never came back
}

// ---- its lines
static void set_state(struct helper *h, enum state state, uint64_t ms)
{
	h->state = state;
	h->since_ms = clock_monotonic_ms();
	if (state == IDLE)
		wheel_clear(h->winbind->wheel, &h->timer);
	else
		wheel_set(h->winbind->wheel, &h->timer, ms);
	list_remove(&h->link);
	list_add_last(&h->winbind->helpers, &h->link);
}

static void on_line(struct helper *h, struct str line)
{
	struct auth_winbind_reply r;
	struct buf token = BUF_INIT;

	if (h->state != ASKED || auth_winbind_reply_read(line, h->spnego, &r) ||
		buf_add_base64_decoded(&token, r.token) || buf_str(&token).len > AUTH_WINBIND_TOKEN) {
		buf_finish_wipe(&token);
		helper_failed(h, "says what is not of its protocol");
		return;
	}
	struct ipc_negotiated m = {.dialogue = h->dialogue,
		.outcome = (uint8_t)r.outcome,
		.token = buf_str(&token),
		.name = r.name,
		.reason = str_slice(r.reason, 0, AUTH_REASON_OCTETS - 1)};
	answer(h, &m);
	if (r.outcome == AUTH_WINBIND_CHALLENGE)
		set_state(h, CLIENT, CLIENT_MS);
	else
		set_state(h, IDLE, 0);
	buf_finish_wipe(&token);
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *out)
{
	static char octets[4096]; // of the one read that is under way

	(void)handle;
	(void)suggested;
	*out = uv_buf_init(octets, sizeof octets);
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *octets)
{
	struct helper *h = stream->data;
	struct str all;
	ptrdiff_t end;

	if (n < 0) {
		helper_failed(h, "has closed its output");
		return;
	}
	buf_add_str(&h->line, str_make(octets->base, (size_t)n));
	all = buf_str(&h->line);
	end = str_find(all, '\n');
	// It says one line for each of ours, so nothing follows it.
	if (all.len > AUTH_WINBIND_LINE || (end >= 0 && (size_t)end + 1 != all.len)) {
		helper_failed(h, "says too much");
		return;
	}
	if (end < 0)
		return;
	struct buf line = h->line;
	h->line = BUF_INIT;
	on_line(h, str_trim(buf_str(&line)));
	buf_finish_wipe(&line);
}

static void on_written(uv_write_t *request, int status)
{
	struct write *w = LIST_ENTRY(request, struct write, request);

	(void)status; // its end is seen at its output
	buf_finish_wipe(&w->octets);
	mem_free(w);
}

static void say(struct helper *h, bool first, struct str token)
{
	struct write *w = mem_alloc(sizeof *w);
	struct str all;

	buf_add_str(&w->octets, first ? STR("YR ") : STR("KK "));
	(void)buf_add_base64(&w->octets, token);
	buf_add_str(&w->octets, STR("\n"));
	all = buf_str(&w->octets);
	uv_buf_t octets = uv_buf_init((char *)all.data, (unsigned)all.len);
	set_state(h, ASKED, h->winbind->context->config->auth.winbind.timeout);
	if (uv_write(&w->request, (uv_stream_t *)&h->in, &octets, 1, on_written)) {
		on_written(&w->request, UV_EPIPE);
		helper_failed(h, "cannot be written to");
	}
}

// ---- its beginning
static bool who(const struct config *c, uv_process_options_t *o, struct error *err)
{
	struct confine_user user;
	const struct group *group;
	char name[64];

	if (geteuid() != 0)
		return true;
	if (!str_copy(c->auth.winbind.user, name, sizeof name))
		return false;
	if (confine_find_user(name, &user, err))
		return false;
	o->flags |= UV_PROCESS_SETUID | UV_PROCESS_SETGID;
	o->uid = user.uid;
	o->gid = user.gid;
	if (!str_copy(c->auth.winbind.group, name, sizeof name))
		return false;
	group = getgrnam(name);
	if (!group)
		return !error_set(err, ERR_NOT_FOUND, TEXT("the system has no group \"%s\""), name);
	o->gid = group->gr_gid;
	return true;
}

static bool helper_spawn(struct helper *h, struct error *err)
{
	const struct config *c = h->winbind->context->config;
	const struct config_list *helper = &c->auth.winbind.helper;
	char *words[WORDS_MAX + 2] = {NULL};
	char environment[] = "PATH=/usr/bin:/bin", language[] = "LC_ALL=C", *all[] = {environment, language, NULL};
	char protocol[] = "--helper-protocol=squid-2.5-ntlmssp", spnego[] = "--helper-protocol=gss-spnego";
	uv_stdio_container_t stdio[] = {
		{.flags = UV_CREATE_PIPE | UV_READABLE_PIPE, .data.stream = (uv_stream_t *)&h->in},
		{.flags = UV_CREATE_PIPE | UV_WRITABLE_PIPE, .data.stream = (uv_stream_t *)&h->out},
		{.flags = UV_IGNORE}};
	uv_process_options_t o = {.exit_cb = on_exit,
		.args = words, .env = all, .cwd = "/", .stdio = stdio, .stdio_count = 3};
	size_t count = 0;
	int code;

	if (!who(c, &o, err))
		return false;
	for (; count < helper->count && count < WORDS_MAX; count++)
		words[count] = str_dup(helper->items[count]);
	words[count] = h->spnego ? spnego : protocol;
	o.file = words[0];
	code = uv_spawn(h->winbind->context->loop, &h->process, &o);
	if (code)
		(void)error_set(err, ERR_UNAVAILABLE, "%s: %s", words[0], uv_strerror(code));
	while (count > 0)
		mem_free(words[--count]);
	return code == 0;
}

static struct helper *helper_start(struct winbind *w, bool spnego, struct error *err)
{
	struct helper *h = mem_alloc(sizeof *h);

	h->winbind = w;
	h->spnego = spnego;
	h->open = 3;
	h->process.data = h->in.data = h->out.data = h;
	wheel_timer_init(&h->timer, on_timeout);
	if (uv_pipe_init(w->context->loop, &h->in, 0) || uv_pipe_init(w->context->loop, &h->out, 0))
		fatal("cannot make a pipe");
	list_add_last(&w->helpers, &h->link);
	w->count++;
	h->spawned = helper_spawn(h, err);
	h->process.data = h;
	if (h->spawned && uv_read_start((uv_stream_t *)&h->out, on_alloc, on_read) == 0)
		return h;
	if (!h->spawned && h->process.type != UV_PROCESS) { // not even its handle was made
		h->open--;
		wheel_clear(w->wheel, &h->timer);
		list_remove(&h->link);
		w->count--;
		close_handle(h, (uv_handle_t *)&h->in);
		close_handle(h, (uv_handle_t *)&h->out);
		return NULL;
	}
	helper_end(h, NULL);
	return NULL;
}

// ---- dialogues
static struct helper *find_dialogue(struct winbind *w, uint64_t dialogue)
{
	LIST_EACH(link, &w->helpers) {
		struct helper *h = LIST_ENTRY(link, struct helper, link);
		if (h->state != IDLE && h->dialogue == dialogue)
			return h;
	}
	return NULL;
}

static struct helper *find_state(struct winbind *w, enum state state, bool any, bool spnego)
{
	LIST_EACH(link, &w->helpers) {
		struct helper *h = LIST_ENTRY(link, struct helper, link);
		if (h->state == state && (any || h->spnego == spnego))
			return h;
	}
	return NULL;
}

// Place for one more, at the cost of one of the other kind or of a client that says nothing.
static bool make_place(struct winbind *w)
{
	uint64_t most = w->context->config->auth.winbind.helpers;
	struct helper *h;

	if (w->count < most)
		return true;
	h = find_state(w, IDLE, true, false);
	if (!h) {
		h = find_state(w, CLIENT, true, false); // the one that waits longest stands first
		if (!h || clock_monotonic_ms() - h->since_ms < EVICT_MS)
			return false;
	}
	helper_end(h, NULL);
	return true;
}

static void begin(struct winbind *w, struct ipc_channel *from, const struct ipc_negotiate *m)
{
	struct error err = {0};
	struct helper *h = find_state(w, IDLE, false, m->spnego);

	if (!h && !make_place(w)) {
		answer_cannot(from, m->dialogue, "all of winbind's helpers are busy");
		return;
	}
	if (!h)
		h = helper_start(w, m->spnego, &err);
	if (!h) {
		event_report(EVENT_ERROR, "auth", "winbind's helper cannot be started: %s", err.text);
		answer_cannot(from, m->dialogue, "winbind's helper cannot be started");
		return;
	}
	h->from = from;
	h->dialogue = m->dialogue;
	say(h, true, m->token);
}

void winbind_ask(struct winbind *w, struct ipc_channel *from, struct str body)
{
	struct ipc_negotiate m;

	if (ipc_decode_negotiate(body, &m))
		return;
	if (m.first) {
		begin(w, from, &m);
		return;
	}
	struct helper *h = find_dialogue(w, m.dialogue);
	if (h && h->state == CLIENT)
		say(h, false, m.token);
	else
		answer_cannot(from, m.dialogue, "winbind's helper was ended or given to another");
}

// What the helper has begun it forgets with the next beginning; one that works is not waited for.
void winbind_end(struct winbind *w, struct str body)
{
	struct ipc_negotiate_end m;
	struct helper *h;

	if (ipc_decode_negotiate_end(body, &m) || !(h = find_dialogue(w, m.dialogue)))
		return;
	if (h->state == CLIENT)
		set_state(h, IDLE, 0);
	else
		helper_end(h, NULL);
}

void winbind_lost(struct winbind *w)
{
	LIST_EACH(link, &w->helpers) {
		struct helper *h = LIST_ENTRY(link, struct helper, link);
		if (h->state != IDLE)
			helper_end(h, NULL);
	}
}

struct winbind *winbind_create(struct role_context *context, struct wheel *wheel)
{
	struct winbind *w = mem_alloc(sizeof *w);

	w->context = context;
	w->wheel = wheel;
	list_init(&w->helpers);
	return w;
}

void winbind_destroy(struct winbind *w)
{
	if (!w)
		return;
	LIST_EACH(link, &w->helpers)
		helper_end(LIST_ENTRY(link, struct helper, link), NULL);
	mem_free(w);
}
