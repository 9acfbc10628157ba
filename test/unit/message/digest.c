// SPDX-License-Identifier: ISC
#include "message/digest.h"

#include "base/buf.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void expect_hex(const uint8_t digest[MESSAGE_DIGEST_SIZE], const char *hex)
{
	struct buf text = BUF_INIT;

	buf_add_hex(&text, str_make(digest, MESSAGE_DIGEST_SIZE));
	assert_string_equal(buf_cstr(&text), hex);
	buf_finish(&text);
}

// FIPS 180-4 examples.
static const struct {
	const char *text;
	const char *hex;
} cases[] = {
	{"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
	{"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
	{"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
		"248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
};

static void test_known(void **state)
{
	uint8_t out[MESSAGE_DIGEST_SIZE];

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		digest_of(str_from(cases[i].text), out);
		expect_hex(out, cases[i].hex);
	}
	digest_of((struct str){NULL, 0}, out);
	expect_hex(out, cases[0].hex);
}

static void test_stream(void **state)
{
	struct digest *d = digest_create();
	uint8_t out[MESSAGE_DIGEST_SIZE];

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		if (i > 0)
			digest_restart(d);
		for (const char *p = cases[i].text; *p; p++)
			digest_update(d, str_make(p, 1));
		digest_update(d, STR_EMPTY);
		digest_result(d, out);
		expect_hex(out, cases[i].hex);
	}
	// A body given up half way leaves nothing behind.
	digest_restart(d);
	digest_update(d, STR("half of another body"));
	digest_restart(d);
	digest_update(d, STR("abc"));
	digest_result(d, out);
	expect_hex(out, cases[1].hex);
	digest_destroy(d);
	digest_destroy(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_known),
		cmocka_unit_test(test_stream),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
