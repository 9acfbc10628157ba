// SPDX-License-Identifier: ISC
// What holds for all stages together.
#include "filter/stage.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static struct config config;

// After a refusal nothing more is looked at or added.
static void test_refusal_ends(void **state)
{
	struct stage_facts facts = {.config = &config, .submission = true};
	struct stage_run *r = stage_run_create(&facts);
	const struct stage_result *result;

	stage_run_octets(r, STR("Received: a\r\nReceived: b\r\n\r\n"));
	stage_run_octets(r, STR("text\r\n"));
	result = stage_run_end(r);
	assert_int_equal(result->code, 554);
	assert_string_equal(result->rule, "hops");
	assert_int_equal(buf_len(&result->fields), 0);
	assert_int_equal(buf_len(&result->edits), 0);
	stage_run_destroy(r);
}

// The facts may be gone after the start; a run given up half way leaves nothing.
static void test_given_up(void **state)
{
	struct stage_facts facts = {.config = &config, .submission = true};
	struct stage_run *r = stage_run_create(&facts);

	memset(&facts, 0xff, sizeof(facts));
	stage_run_octets(r, STR("Subject: x\r\nBcc: y\r\nRec"));
	stage_run_octets(r, STR("eived: a\r\n"));
	stage_run_destroy(r);
	stage_run_destroy(NULL);
}

static int setup(void **state)
{
	config.hostname = STR("mail.example.kr");
	config.limits.header_size = 1000;
	config.limits.hops = 1;
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_refusal_ends),
		cmocka_unit_test(test_given_up),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
