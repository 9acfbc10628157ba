// SPDX-License-Identifier: ISC
#include "auth/keytab.h"

#include "base/str.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define SMTP "\0\2\0\5R.ORG\0\4smtp\0\x8mail.org\0\0\0\1\0\0\0\0\1\0\x12\0\2kk" // 40 octets
#define HOST "\0\2\0\5R.ORG\0\4host\0\x8mail.org\0\0\0\1\0\0\0\0\1\0\x12\0\2kk"
#define USER "\0\1\0\5R.ORG\0\4smtp\0\0\0\1\0\0\0\0\1\0\x12\0\2kk" // 
#define LONG "\0\0\0\x28"

static void who_has_keys(void **state)
{
	(void)state;
	static const struct {
		const char *octets;
		size_t len;
		bool has;
	} rows[] = {
#define ROW(text, has) {text, sizeof(text) - 1, has}
		ROW("", false),
		ROW("\5", false),
		ROW("\5\2", false),
		ROW("\5\2" LONG SMTP, true),
		ROW("\5\1" LONG SMTP, false), // an old version, in the machine's order
		ROW("\5\2" LONG HOST, false),
		ROW("\5\2" LONG HOST LONG SMTP, true),
		ROW("\5\2\0\0\0\x1e" USER, false),
		ROW("\5\2\xff\xff\xff\xd8" SMTP, false), // taken out: its place is a hole
		ROW("\5\2\xff\xff\xff\xd8" SMTP LONG SMTP, true),
		ROW("\5\2\0\0\0\x29" SMTP, false), // longer than the file
		ROW("\5\2\0\0\0\x06\0\2\0\5R." LONG SMTP, true), // broken, but its length is good
		ROW("\5\2\x80\0\0\0", false),
		ROW("\5\2\0\0\0\0" LONG SMTP, false),
#undef ROW
	};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct str octets = str_make(rows[i].octets, rows[i].len);
		assert_int_equal(auth_keytab_has(octets, STR("smtp"), STR("Mail.ORG")), rows[i].has);
		assert_false(auth_keytab_has(octets, STR("smtp"), STR("mail.or")));
		assert_false(auth_keytab_has(octets, STR("imap"), STR("mail.org")));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(who_has_keys)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
