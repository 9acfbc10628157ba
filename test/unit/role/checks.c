// SPDX-License-Identifier: ISC
// Questions to foreign sources while configurations and askers come and go.
#include "role/checks.h"

#include "base/buf.h"
#include "ipc/messages.h"

#include <setjmp.h>
#include <stdarg.h>
#include <sys/socket.h>

#include <cmocka.h>

#define STARTED_MAX 8

struct world {
	uv_loop_t loop;
	struct config *config;
	struct role_context context;
	struct checks *checks;
	struct check_task *started[STARTED_MAX];
	unsigned count;
};

static int read_text(void *arg, const char *path, bool secret, struct buf *out, struct error *err)
{
	(void)arg;
	(void)path;
	(void)secret;
	(void)err;
	return buf_add_text(out,
		"hostname \"mail.example.kr\"\ndomains { \"example.kr\" }\n"
		"postmaster \"kim@example.kr\"\nserver \"mx\" { listen \"127.0.0.1:2525\" }\n"
		"auth { source \"saslauthd\" { connections 1 } }\n");
}

static void on_start(void *arg, struct check_task *t)
{
	struct world *w = arg;

	assert_true(w->count < STARTED_MAX);
	w->started[w->count++] = t;
}

static void on_frame(struct ipc_channel *ch, void *arg, unsigned type, struct str body, int fd)
{
	(void)ch;
	(void)arg;
	(void)type;
	(void)body;
	(void)fd;
}

static void on_gone(struct ipc_channel *ch, void *arg)
{
	(void)arg;
	ipc_channel_close(ch);
}

static struct ipc_channel *open_channel(struct world *w, int *other)
{
	int ends[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
	*other = ends[1];
	return ipc_channel_open(&w->loop, ends[0], on_frame, on_gone, NULL);
}

static void ask(struct world *w, struct ipc_channel *from, uint64_t request)
{
	struct ipc_check m = {.request = request, .source = STR("saslauthd"), .ask = AUTH_ASK_PASSWORD,
		.name = STR("kim@example.kr"), .secret = STR("x"), .server = STR("mx")};
	struct buf body = BUF_INIT;

	assert_int_equal(ipc_encode_check(&body, &m), 0);
	checks_ask(w->checks, from, buf_str(&body));
	buf_finish(&body);
}

static void begin(struct world *w)
{
	struct config_reader reader = {read_text, NULL};
	struct config_findings findings = {0};
	struct checks_options o = {.context = &w->context, .start = on_start, .arg = w};

	*w = (struct world){0};
	assert_int_equal(uv_loop_init(&w->loop), 0);
	w->config = config_build("/etc/pabal.conf", &reader, &findings);
	assert_non_null(w->config);
	config_findings_finish(&findings);
	w->context = (struct role_context){.role = role_find("source"), .config = w->config};
	w->checks = checks_create(&o);
}

static void turn(struct world *w)
{
	for (int i = 0; i < 5; i++)
		uv_run(&w->loop, UV_RUN_NOWAIT);
}

// Role auth is started again while questions wait that came before a reload.
static void who_is_gone_is_not_answered(void **state)
{
	static struct world w; // the checks live as long as the program
	int auth, next;

	(void)state;
	begin(&w);
	struct ipc_channel *channel = open_channel(&w, &auth);
	ask(&w, channel, 1);
	ask(&w, channel, 2); // waits for the first
	assert_int_equal(w.count, 1);
	checks_configure(w.checks);
	ask(&w, channel, 3); // of the next configuration, which has its own share
	ask(&w, channel, 4);
	assert_int_equal(w.count, 2);

	checks_lost(w.checks, channel);
	ipc_channel_close(channel);
	turn(&w);
	close(auth);
	checks_done(w.started[0]);
	checks_done(w.started[1]);
	assert_int_equal(w.count, 2); // nobody waits for the others
	assert_int_equal(checks_running(w.checks), 0);

	channel = open_channel(&w, &next);
	ask(&w, channel, 5);
	assert_int_equal(w.count, 3);
	checks_lost(w.checks, channel);
	ipc_channel_close(channel);
	checks_done(w.started[2]);
	close(next);
	turn(&w);
	config_destroy(w.config);
	assert_int_equal(uv_loop_close(&w.loop), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(who_is_gone_is_not_answered)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
