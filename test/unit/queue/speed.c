// SPDX-License-Identifier: ISC
// The way of a message through the queue, many times: submitted, committed, tried, committed. As a
// test it is short; PABAL_SPEED=100000 measures.
#include "help.h"

#define AT_ONCE 50 // clients that wait for their 250; PABAL_CLIENTS says another number

static struct env *e;

struct client {
	unsigned waiting;
	unsigned left, accepted;
	struct buf list;
	char body[4096];
	uint8_t digest[MESSAGE_DIGEST_SIZE];
};

static void submit_one(struct client *c);

static void on_accepted(void *arg, int err, uint64_t message)
{
	struct client *c = arg;
	assert_int_equal(err, 0);
	assert_int_not_equal(message, 0);
	c->accepted++;
	if (c->left)
		submit_one(c);
}

static void submit_one(struct client *c)
{
	struct ipc_submit m = {.session = 77, .sender = STR("lee@example.kr"),
		.received_ms = clock_wall_ms(), .size = sizeof c->body,
		.digest = str_make(c->digest, sizeof c->digest),
		.headers = STR("Received: from test by mail.example.kr; some date\r\n"),
		.recipients = buf_str(&c->list), .body = str_make(c->body, sizeof c->body)};
	c->left--;
	queue_submit(e->q, &m, -1, on_accepted, c);
}

static void every_message_goes_through(void **state)
{
	const char *wanted = getenv("PABAL_SPEED");
	unsigned count = wanted ? (unsigned)atoi(wanted) : 2000;
	unsigned at_once = getenv("PABAL_CLIENTS") ? (unsigned)atoi(getenv("PABAL_CLIENTS")) : AT_ONCE;
	struct client c = {.left = count};
	struct ipc_recipient r = {.address = STR("someone@there.example"), .domain = STR("there.example")};
	(void)state;
	e = make_env("");
	event_set_tap(NULL, NULL);
	assert_int_equal(ipc_list_add_recipient(&c.list, &r), 0);
	memset(c.body, 'x', sizeof c.body);
	memcpy(c.body + sizeof c.body - 2, "\r\n", 2);
	digest_of(str_make(c.body, sizeof c.body), c.digest);
	e->always = &delivered;
	uint64_t start = clock_monotonic_ms();
	for (unsigned n = 0; n < at_once; n++)
		submit_one(&c);
	WAIT(e, c.accepted == count);
	settle_down(e);
	uint64_t ms = clock_monotonic_ms() - start + 1;
	assert_int_equal(e->job_count, count);
	assert_int_equal(totals(e).messages, 0);
	print_message("%u messages in %llu ms: %llu/s\n", count, (unsigned long long)ms,
		(unsigned long long)count * 1000 / ms);
	buf_finish(&c.list);
	free_env(e);
}

// The same by way of the store: accepted while the queue is on hold, read again afterwards.
static void what_waited_goes_through(void **state)
{
	const char *wanted = getenv("PABAL_SPEED");
	unsigned count = wanted ? (unsigned)atoi(wanted) : 2000;
	struct client c = {.left = count};
	struct ipc_recipient r = {.address = STR("someone@there.example"), .domain = STR("there.example")};
	(void)state;
	e = make_env("queue { hold yes }\n");
	event_set_tap(NULL, NULL);
	assert_int_equal(ipc_list_add_recipient(&c.list, &r), 0);
	memset(c.body, 'x', sizeof c.body);
	memcpy(c.body + sizeof c.body - 2, "\r\n", 2);
	digest_of(str_make(c.body, sizeof c.body), c.digest);
	uint64_t start = clock_monotonic_ms();
	for (unsigned n = 0; n < AT_ONCE; n++)
		submit_one(&c);
	WAIT(e, c.accepted == count);
	uint64_t accepted = clock_monotonic_ms() - start + 1;
	assert_int_equal(totals(e).held, count);
	e->always = &delivered;
	start = clock_monotonic_ms();
	use_config(e, "");
	WAIT(e, e->job_count == count);
	settle_down(e);
	uint64_t delivered_in = clock_monotonic_ms() - start + 1;
	assert_int_equal(totals(e).messages, 0);
	print_message("%u messages: accepted %llu/s, released and delivered %llu/s\n", count,
		(unsigned long long)count * 1000 / accepted,
		(unsigned long long)count * 1000 / delivered_in);
	buf_finish(&c.list);
	free_env(e);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(every_message_goes_through),
		cmocka_unit_test(what_waited_goes_through)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
