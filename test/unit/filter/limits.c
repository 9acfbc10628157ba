// SPDX-License-Identifier: ISC
#include "filter/stage.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define HEADER_SIZE 200

static struct config config;
static uint64_t header_size, header_fields; // of who sends it
static struct str domains[1];
static struct envelope_recipient recipients[2];

// Runs one body in pieces of step octets.
static void run(struct str body, size_t step, unsigned code, const char *rule, const char *words)
{
	struct stage_facts facts = {.config = &config,
		.header_size = header_size,
		.header_fields = header_fields,
		.recipients = recipients,
		.recipient_count = ARRAY_SIZE(recipients)};
	struct stage_run *r = stage_run_create(&facts);
	const struct stage_result *result;

	for (size_t at = 0; at < body.len; at += step)
		stage_run_octets(r, str_slice(body, at, at + step));
	result = stage_run_end(r);
	assert_int_equal(result->code, code);
	if (code) {
		assert_string_equal(result->rule, rule);
		assert_non_null(strstr(result->text, words));
		assert_string_equal(result->enhanced, code == 552 ? "5.3.4" : "5.4.6");
	}
	assert_int_equal(buf_len(&result->edits), 0);
	assert_int_equal(buf_len(&result->fields), 0);
	stage_run_destroy(r);
}

static void expect(const char *body, unsigned code, const char *rule, const char *words)
{
	struct str s = str_from(body);

	run(s, 1, code, rule, words);
	run(s, 7, code, rule, words);
	run(s, s.len + 1, code, rule, words);
}

static void test_header_size(void **state)
{
	struct buf body = BUF_INIT;

	for (int i = 0; i < 20; i++)
		buf_add_text(&body, "X-A: 678\r\n"); // 10 octets
	buf_add_text(&body, "\r\n");
	for (int i = 0; i < 100; i++)
		buf_add_text(&body, "the text does not count\r\n");
	expect(buf_cstr(&body), 0, NULL, NULL);

	buf_clear(&body);
	for (int i = 0; i < 20; i++)
		buf_add_text(&body, "X-A: 678\r\n");
	buf_add_text(&body, " \r\n\r\ntext\r\n");
	expect(buf_cstr(&body), 552, "header-size", "larger than 200");

	// A long first line that is no field is text.
	buf_clear(&body);
	for (int i = 0; i < 100; i++)
		buf_add_text(&body, "no field ");
	buf_add_text(&body, "\r\n");
	expect(buf_cstr(&body), 0, NULL, NULL);
	buf_finish(&body);
}

// What is in force for who sends it goes before what the configuration says for everybody.
static void test_of_the_sender(void **state)
{
	header_fields = 3;
	expect("A: b\r\nA: b\r\nA: b\r\n c\r\n\r\nA: b\r\n", 0, NULL, NULL);
	expect("A: b\r\nA: b\r\nA: b\r\nA: b\r\n\r\n", 552, "header-fields", "more than 3 fields");
	header_fields = 0;
	header_size = 20;
	expect("A: b\r\nA: b\r\nA: b\r\nA: b\r\n\r\n", 552, "header-size", "larger than 20");
	header_size = 0;
}

static void test_hops(void **state)
{
	expect("Received: a\r\nRECEIVED: b\r\nreceived: c\r\n\r\n", 0, NULL, NULL);
	expect("Received: a\r\nRECEIVED: b\r\nreceived: c\r\n\r\nReceived: d\r\n", 0, NULL, NULL);
	expect("Received: a\r\nRECEIVED: b\r\nreceived: c\r\nReceived :d\r\n\r\n", 554, "hops",
		"more than 3");
	expect("Received: a\r\nReceived: b\r\nReceived: c\r\nReceived: d", 554, "hops", "3");
	expect("X-Received: a\r\nReceived-SPF: b\r\nReceived: c\r\nReceived: d\r\nReceived: e\r\n",
		0, NULL, NULL);
}

static void test_loop(void **state)
{
	expect("Delivered-To: kim@example.kr\r\n\r\n", 554, "loop", "kim@example.kr");
	expect("Subject: x\r\ndelivered-to:\r\n KIM@Example.KR \r\n\r\n", 554, "loop",
		"kim@example.kr");
	expect("Delivered-To: park@example.kr\r\nDelivered-To: kim@example.kr\r\n\r\n", 554, "loop",
		"kim@example.kr");
	// Somebody else at our domain, a recipient elsewhere, text that is no address, no field.
	expect("Delivered-To: park@example.kr\r\n\r\n", 0, NULL, NULL);
	expect("Delivered-To: lee@example.org\r\n\r\n", 0, NULL, NULL);
	expect("Delivered-To: Mailing list kim\r\nDelivered-To:\r\n\r\n", 0, NULL, NULL);
	expect("Subject: x\r\n\r\nDelivered-To: kim@example.kr\r\n", 0, NULL, NULL);
}

// The first refusal stands.
static void test_first(void **state)
{
	expect("Delivered-To: kim@example.kr\r\nReceived: a\r\nReceived: b\r\nReceived: c\r\n"
	       "Received: d\r\n\r\n",
		554, "loop", "kim");
}

static int setup(void **state)
{
	domains[0] = STR("example.kr");
	config.domains = (struct config_list){domains, 1};
	recipients[0].address = STR("kim@example.kr");
	recipients[0].domain = STR("example.kr");
	recipients[1].address = STR("lee@example.org");
	recipients[1].domain = STR("example.org");
	config.limits.header_size = HEADER_SIZE;
	config.limits.hops = 3;
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_header_size),
		cmocka_unit_test(test_of_the_sender),
		cmocka_unit_test(test_hops),
		cmocka_unit_test(test_loop),
		cmocka_unit_test(test_first),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
