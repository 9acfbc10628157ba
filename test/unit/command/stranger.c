// SPDX-License-Identifier: ISC
// What the command asks for is what smtpd reads.
#include "command/stranger.h"

#include "command/check_relay.h"
#include "role/outside_wish.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static void read_back(const struct stranger_wish *asked, struct buf *octets, struct outside_wish *out)
{
	const char *why = NULL;
	size_t used = 0;

	assert_int_equal(stranger_header(asked, octets), 0);
	assert_int_equal(outside_wish_read(buf_str(octets), out, &used, &why), 0);
	assert_int_equal(used, buf_len(octets));
	assert_true(out->explain);
	assert_true(ipaddr_equal(&out->header.client, &asked->client));
}

static void everything_arrives(void **state)
{
	struct stranger_wish asked = {.server = STR("mx"), .account = STR("kim@example.kr"), .tls = true,
		.vouched = true, .brief = true};
	struct buf octets = BUF_INIT;
	struct outside_wish got;

	assert_int_equal(ipaddr_parse(STR("2001:db8::7"), &asked.client), 0);
	assert_int_equal(ipaddr_parse(STR("::1"), &asked.local), 0);
	read_back(&asked, &octets, &got);
	assert_true(got.tls && got.vouched && got.brief && got.named && got.logged_in);
	assert_true(str_equal(got.server, asked.server));
	assert_true(str_equal(got.account, asked.account));
	assert_true(ipaddr_equal(&got.header.server, &asked.local));
	buf_finish(&octets);
}

static void nothing_more_than_asked(void **state)
{
	struct stranger_wish asked = {0};
	struct buf octets = BUF_INIT;
	struct outside_wish got;

	assert_int_equal(ipaddr_parse(STR("192.0.2.7"), &asked.client), 0);
	assert_int_equal(ipaddr_parse(STR("::1"), &asked.local), 0); // of the other family: left out
	read_back(&asked, &octets, &got);
	assert_false(got.tls || got.vouched || got.brief || got.named || got.logged_in);
	assert_int_equal(got.header.server.octets[0], 0);
	assert_int_equal(got.header.server_port, 0);
	buf_finish(&octets);
}

static void forms_are_filled(void **state)
{
	const struct check_relay_names names = {"[127.0.0.1]", "mail.example.kr", "example.kr"};
	char out[CHECK_RELAY_FORM_MAX];
	char long_name[256];
	struct check_relay_names long_names = names;

	assert_string_equal(check_relay_fill("<relay%$out@$ours>", &names, out),
		"<relay%outside.invalid@example.kr>");
	assert_string_equal(check_relay_fill("<@$own,@$name:x@$out.$>", &names, out),
		"<@[127.0.0.1],@mail.example.kr:x@outside.invalid.$>");
	memset(long_name, 'x', sizeof(long_name) - 1);
	long_name[sizeof(long_name) - 1] = '\0';
	memcpy(long_names.ours, long_name, sizeof(long_name));
	assert_int_equal(strlen(check_relay_fill("<$ours@$ours>", &long_names, out)),
		CHECK_RELAY_FORM_MAX - 1);
	for (size_t i = 0; i < check_relay_form_count; i++) {
		check_relay_fill(check_relay_forms[i], &names, out);
		assert_null(strpbrk(out, "\r\n$"));
		assert_true(str_is_utf8(str_from(out)));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(everything_arrives),
		cmocka_unit_test(nothing_more_than_asked),
		cmocka_unit_test(forms_are_filled),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
