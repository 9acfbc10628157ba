// SPDX-License-Identifier: ISC
// An authenticator with a store of passwords and a directory of accounts that the test keeps.
#ifndef PABAL_TEST_AUTH_WORLD_H
#define PABAL_TEST_AUTH_WORLD_H

#include "auth/authenticator.h"
#include "auth/password.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/event.h"
#include "base/memory.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#define KIM "kim@example.kr"
#define KIM_PASSWORD "correct horse"

struct world {
	uv_loop_t loop;
	struct config config;
	char folder[64], path[96];
	struct secrets *secrets;
	struct authenticator *authenticator;
	struct ipaddr client;
	// the directory
	int state;             // of kim: as in authenticator_account
	uint32_t rights;
	bool hold;             // questions are not answered
	unsigned questions;
	uint64_t last_question;
};

// What came of one step.
struct seen {
	unsigned count;
	enum authenticator_outcome outcome;
	char challenge[64], account[400], reason[100];
	uint32_t rights;
	struct authentication *destroy; // in the callback
};

static void world_account(void *arg, uint64_t request, struct str name)
{
	struct world *w = arg;

	w->questions++;
	w->last_question = request;
	if (!w->hold)
		authenticator_account(w->authenticator, request, str_equal(name, STR(KIM)) ? w->state : 0,
			w->rights, STR_EMPTY);
}

__attribute__((unused)) static void world_set_password(struct world *w, const char *name, const char *password)
{
	struct secret secret;
	struct error err = {0};

	if (password_make(str_from(password), &secret, &err))
		fail_msg("%s", err.text);
	assert_int_equal(secrets_set(w->secrets, str_from(name), &secret), 0);
}

__attribute__((unused)) static int world_make(void **state)
{
	struct world *w = mem_alloc(sizeof *w);
	struct authenticator_host host = {world_account, w};
	struct error err = {0};

	event_setup("test", open("/dev/null", O_WRONLY), EVENT_SINK_LINES, EVENT_KEY_VALUE, EVENT_ERROR);
	assert_int_equal(uv_loop_init(&w->loop), 0);
	strcpy(w->folder, "/tmp/pabal-auth-XXXXXX");
	assert_non_null(mkdtemp(w->folder));
	snprintf(w->path, sizeof w->path, "%s/secrets.db", w->folder);
	if (secrets_open(w->path, true, &w->secrets, &err))
		fail_msg("%s", err.text);
	w->config.auth.default_domain = STR("example.kr");
	w->config.auth.cache = 60000;
	w->config.auth.workers = 2;
	w->state = 1;
	w->rights = AUTHENTICATOR_SUBMIT;
	w->authenticator = authenticator_create(&w->loop, &w->config, w->secrets, &host);
	world_set_password(w, KIM, KIM_PASSWORD);
	*state = w;
	return 0;
}

__attribute__((unused)) static int world_end(void **state)
{
	struct world *w = *state;
	char command[128];

	authenticator_destroy(w->authenticator);
	uv_run(&w->loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&w->loop), 0); // nothing was left open
	secrets_close(w->secrets);
	snprintf(command, sizeof command, "rm -r %s", w->folder);
	assert_int_equal(system(command), 0);
	mem_free(w);
	return 0;
}

// Runs the loop until the condition holds; a test that waits for what does not come fails.
#define WAIT(w, condition) \
	do { \
		uint64_t end_ = clock_monotonic_ms() + 20000; \
		while (!(condition)) { \
			assert_true(clock_monotonic_ms() < end_); \
			uv_run(&(w)->loop, UV_RUN_NOWAIT); \
			usleep(200); \
		} \
	} while (0)

__attribute__((unused)) static void world_done(void *arg, const struct authenticator_reply *r)
{
	struct seen *s = arg;

	s->count++;
	s->outcome = r->outcome;
	s->rights = r->rights;
	assert_true(str_copy(r->challenge, s->challenge, sizeof s->challenge));
	assert_true(str_copy(r->account, s->account, sizeof s->account));
	snprintf(s->reason, sizeof s->reason, "%s", r->reason ? r->reason : "");
	authentication_destroy(s->destroy);
}

static inline struct str plain(struct buf *b, const char *authzid, const char *name, const char *password)
{
	buf_clear(b);
	buf_add_text(b, authzid);
	buf_add_char(b, '\0');
	buf_add_text(b, name);
	buf_add_char(b, '\0');
	buf_add_text(b, password);
	return buf_str(b);
}

// Starts one PLAIN attempt; the answer comes into seen, which also ends the dialogue.
__attribute__((unused)) static struct authentication *world_try(struct world *w, const char *name,
	const char *password, struct seen *seen)
{
	struct buf b = BUF_INIT;
	struct authentication *x = authentication_create(w->authenticator, "PLAIN", &(struct authentication_facts){.client = w->client, .secured = true});

	*seen = (struct seen){.destroy = x};
	authentication_step(x, plain(&b, "", name, password), world_done, seen);
	buf_finish(&b);
	return x;
}

__attribute__((unused)) static enum authenticator_outcome world_login(struct world *w, const char *name,
	const char *password, struct seen *seen)
{
	struct seen mine;

	seen = seen ? seen : &mine;
	world_try(w, name, password, seen);
	WAIT(w, seen->count == 1);
	return seen->outcome;
}

#endif
