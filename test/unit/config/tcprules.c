// SPDX-License-Identifier: ISC
// Rules text and .cdb: which records come out, and what is said about odd lines. That it is what
// tcprules makes of the same text is shown by test_tcprules.py.
#include "config/tcprules.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

static bool on_record(void *arg, struct str key, struct str data, unsigned line)
{
	struct buf *out = arg;
	buf_add_format(out, "%u %.*s|", line, STR_ARG(key));
	for (size_t i = 0; i < data.len; i++)
		buf_add_char(out, data.data[i] ? data.data[i] : '.');
	buf_add_char(out, '\n');
	return buf_len(out) < 4000;
}

static void on_tell(void *arg, char severity, unsigned line, const char *words)
{
	assert_true(strlen(words) > 10);
	buf_add_format(arg, "%u %c\n", line, severity);
}

static const struct {
	const char *text, *records;
} rows[] = {
	{"", ""},
	{"# c\n\n \t\n", ""},
	{"1.2.3.4:allow", "1 1.2.3.4|\n"},
	{"1.2.3.4:deny \t\r\n", "1 1.2.3.4|D.\n"},
	{"a:allow,B=\"c\",D=/e f/\n", "1 a|+B=c.+D=e f.\n"},
	{"a:deny,B=xcx\n", "1 a|D.+B=c.\n"},
	{"a:allow,B=\"\"\n", "1 a|+B=.\n"},
	{"a:allow,=\"x\"\n", "1 a|+=x.\n"},
	{"a:allow,B=\"c\n", "1 E\n"},
	{"a:allow,B\n", "1 E\n"},
	{"a:allow,\n", "1 E\n"},
	{"a:allow,B=\n", "1 E\n"},
	{"a:allow,B=\"c\"d\n", "1 E\n"},
	{"a:allow ,B=\"c\"\n", "1 E\n"},
	{"a: allow\n", "1 E\n"},
	{"a:Allow\nb:deny\n", "1 E\n2 b|D.\n"}, // every error is told
	{"::allow\n", "1 E\n"},
	{"1.2.3.4\n", "1 W\n"},
	{":allow\n", "1 |\n"},
	// ranges
	{"1.2.3.8-10:deny\n", "1 1.2.3.8|D.\n1 1.2.3.9|D.\n1 1.2.3.10|D.\n"},
	{"1.2-3.:allow\n", "1 1.2.|\n1 1.3.|\n"},
	{"1.2-3.4-5:allow\n", "1 1.2.4-5|\n1 1.3.4-5|\n"}, // the first one only
	{"1.2.3.254-999:allow\n", "1 1.2.3.254|\n1 1.2.3.255|\n"},
	{"1.2.3.9-8:allow\n", ""},
	{"1.2.3.-1:allow\n", "1 1.2.3.0|\n1 1.2.3.1|\n"},
	{"1.2.3.01-2:allow\n", "1 1.2.3.1|\n1 1.2.3.2|\n"},
	{"1.2.3.18446744073709551620-18446744073709551621:allow\n", "1 1.2.3.4|\n1 1.2.3.5|\n"},
	{"1.2.3.a-5:allow\n", "1 E\n"},
	{"1.2.3.4--5:allow\n", "1 E\n"},
	{"=a-b.kr:allow\n", "1 =a-b.kr|\n"},
	{"kim@1.2.3.4-5:allow\n", "1 kim@1.2.3.4-5|\n"},
	// ours
	{"2001:db8::/32:allow,B=\":deny\"\n", "1 2001:db8::/32|+B=:deny.\n"},
	{"[::1]:deny\n", "1 [::1]|D.\n"},
	{"[2001:db8::]/32:deny\n", "1 [2001:db8::]/32|D.\n"},
	{"10.0.0.0/8:allow\n", "1 10.0.0.0/8|\n"},
};

static void test_text(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct buf out = BUF_INIT;
		struct tcprules_sink sink = {&out, on_record, on_tell};
		tcprules_text(str_from(rows[i].text), &sink);
		if (!str_equal(buf_str(&out), str_from(rows[i].records)))
			fail_msg("%s gives\n%s", rows[i].text, buf_cstr(&out));
		buf_finish(&out);
	}
}

static void test_long_lines_and_enough(void **state)
{
	struct buf text = BUF_INIT, out = BUF_INIT;
	struct tcprules_sink sink = {&out, on_record, on_tell};
	for (int i = 0; i < 70000; i++)
		buf_add_char(&text, 'x');
	buf_add_text(&text, ":deny\na:allow\n");
	tcprules_text(buf_str(&text), &sink);
	assert_string_equal(buf_cstr(&out), "1 E\n2 a|\n");
	buf_clear(&out);
	buf_clear(&text);
	for (int i = 0; i < 1000; i++)
		buf_add_text(&text, "1.2.3.0-255:deny\n");
	tcprules_text(buf_str(&text), &sink); // the sink has enough after 4000 octets
	assert_in_range(buf_len(&out), 4000, 4020);
	buf_finish(&out);
	buf_finish(&text);
}

static void test_keys(void **state)
{
	static const struct {
		const char *key;
		enum tcprules_kind kind;
		const char *network; // first address; length in prefix
		unsigned prefix;
	} keys[] = {
		{"1.2.3.4", TCPRULES_NETWORK, "1.2.3.4", 32},
		{"1.2.3.", TCPRULES_NETWORK, "1.2.3.0", 24},
		{"0.", TCPRULES_NETWORK, "0.0.0.0", 8},
		{"255.255.", TCPRULES_NETWORK, "255.255.0.0", 16},
		{"10.9.0.0/9", TCPRULES_NETWORK, "10.0.0.0", 9},
		{"2001:db8::1", TCPRULES_NETWORK, "2001:db8::1", 128},
		{"::ffff:1.2.3.4", TCPRULES_NETWORK, "1.2.3.4", 32},
		{"[2001:db8::1]/64", TCPRULES_NETWORK, "2001:db8::", 64},
		{"", TCPRULES_NAME}, {"=", TCPRULES_NAME}, {"=a@b", TCPRULES_NAME},
		{"kim@1.2.3.4", TCPRULES_IDENT}, {"@", TCPRULES_IDENT},
		{"1.2.3", TCPRULES_NEVER}, {"1.2.3.4.", TCPRULES_NEVER}, {"01.", TCPRULES_NEVER},
		{"1.2.3.256", TCPRULES_NEVER}, {"1..", TCPRULES_NEVER}, {".", TCPRULES_NEVER},
		{" 1.2.3.4", TCPRULES_NEVER}, {"1.2.3.4/33", TCPRULES_NEVER}, {"a.b", TCPRULES_NEVER},
		{"[]", TCPRULES_NEVER}, {"[1.2.3.4]", TCPRULES_NEVER},
	};
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		struct ipnet n;
		char text[IPADDR_TEXT_MAX];
		enum tcprules_kind kind = tcprules_key(str_from(keys[i].key), &n);
		if (kind != keys[i].kind)
			fail_msg("\"%s\" is %d", keys[i].key, kind);
		if (kind != TCPRULES_NETWORK)
			continue;
		assert_string_equal(ipaddr_format(&n.addr, text), keys[i].network);
		assert_int_equal(n.prefix, keys[i].prefix);
	}
}

static void test_data(void **state)
{
	struct str data = STR("x\0+A=b\0+C\0D\0+=\0+D=e=f\0+G=h"), name, value;
	assert_true(tcprules_denies(data));
	assert_false(tcprules_denies(STR("+D=D\0D")));
	struct buf out = BUF_INIT;
	while (tcprules_next(&data, &name, &value))
		buf_add_format(&out, "%.*s:%.*s\n", STR_ARG(name), STR_ARG(value));
	assert_string_equal(buf_cstr(&out), "A:b\n:\nD:e=f\n");
	buf_finish(&out);
}

static void test_cdb_is_not_trusted(void **state)
{
	struct buf out = BUF_INIT;
	struct tcprules_sink sink = {&out, on_record, on_tell};
	char octets[2048 + 8] = {0};
	assert_int_equal(tcprules_cdb(STR(""), &sink), ERR_CORRUPT);
	assert_int_equal(tcprules_cdb(str_make(octets, 2047), &sink), ERR_CORRUPT);
	assert_int_equal(tcprules_cdb(str_make(octets, 2048), &sink), 0); // empty
	octets[0] = 1;
	octets[4] = 1; // a table inside the header
	assert_int_equal(tcprules_cdb(str_make(octets, 2048), &sink), ERR_CORRUPT);
	memset(octets, 0, sizeof octets);
	octets[2048] = 100; // a key longer than the file
	assert_int_equal(tcprules_cdb(str_make(octets, sizeof octets), &sink), ERR_CORRUPT);
	assert_int_equal(buf_len(&out), 0);
	buf_finish(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_text),
		cmocka_unit_test(test_long_lines_and_enough),
		cmocka_unit_test(test_keys),
		cmocka_unit_test(test_data),
		cmocka_unit_test(test_cdb_is_not_trusted),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
