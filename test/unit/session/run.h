// SPDX-License-Identifier: ISC
// Runs one conversation in every way it can arrive: whole or octet by octet, answers at once or
// later. The client must not see a difference.
#ifndef PABAL_TEST_SESSION_RUN_H
#define PABAL_TEST_SESSION_RUN_H

#include "host.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define HOW 4 // ways to run

static inline void begin_run(struct host *h, int server, unsigned how)
{
	h->step = how & 1;
	h->later = how & 2;
	if (!h->connections)
		h->connections = 1;
	host_connect(h, server);
	session_begin(h->session, false);
	while (host_answer(h))
		;
}

// What is sent in one go ends at each "\x01".
static inline void send_script(struct host *h, struct str script)
{
	struct str part;

	while (str_split(&script, '\x01', &part))
		host_send(h, part);
}

static inline void expect_replies(const struct host *h, const char *expected)
{
	struct buf replies = BUF_INIT;

	host_replies(h, &replies);
	if (strcmp(buf_cstr(&replies), expected))
		fail_msg("\nreplies  %s\nexpected %s\n%.*s", buf_cstr(&replies), expected,
			STR_ARG(buf_str(&h->said)));
	buf_finish(&replies);
}

// with: what is different from a host where nothing goes wrong.
static inline void run_script(int server, struct str script, const char *expected, unsigned messages,
	void (*with)(struct host *h))
{
	for (unsigned how = 0; how < HOW; how++) {
		struct host h = {.account_state = POLICY_ACCOUNT_ENABLED, .may_relay = true};

		if (with)
			with(&h);
		begin_run(&h, server, how);
		send_script(&h, script);
		expect_replies(&h, expected);
		assert_int_equal(h.count, messages);
		host_finish(&h);
	}
}

static inline void said_has(const struct host *h, const char *text)
{
	if (str_search(buf_str(&h->said), str_from(text)) < 0)
		fail_msg("not said: %s\n%.*s", text, STR_ARG(buf_str(&h->said)));
}

#endif
