// SPDX-License-Identifier: ISC
#include "auth/protocol_internal.h"

#include "base/error.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static void lines(void **state)
{
	(void)state;
	struct str rest = STR("one\n\ntwo\tx\nthr"), line;
	static char big[AUTH_LINE_MAX + 2];

	assert_int_equal(auth_line_take(&rest, &line), 1);
	assert_true(str_equal(line, STR("one")));
	assert_int_equal(auth_line_take(&rest, &line), 1);
	assert_int_equal(line.len, 0);
	assert_int_equal(auth_line_take(&rest, &line), 1);
	assert_true(str_equal(line, STR("two\tx")));
	assert_int_equal(auth_line_take(&rest, &line), 0);
	assert_true(str_equal(rest, STR("thr")));

	memset(big, 'x', sizeof big);
	rest = str_make(big, AUTH_LINE_MAX);
	assert_int_equal(auth_line_take(&rest, &line), 0); // its end may still come
	big[AUTH_LINE_MAX] = '\n';
	rest = str_make(big, AUTH_LINE_MAX + 1);
	assert_int_equal(auth_line_take(&rest, &line), 1);
	assert_int_equal(line.len, AUTH_LINE_MAX);
	big[AUTH_LINE_MAX] = 'x';
	big[AUTH_LINE_MAX + 1] = '\n';
	rest = str_make(big, AUTH_LINE_MAX + 2);
	assert_int_equal(auth_line_take(&rest, &line), ERR_LIMIT);
}

static void values(void **state)
{
	(void)state;
	static const struct {
		const char *wire;
		int err;
		const char *value;
	} rows[] = {
		{"kim@example.kr", 0, "kim@example.kr"}, {"", 0, ""}, {"a b=c", 0, "a b=c"},
		{"a\0011b", ERR_SYNTAX, ""},             // control octets are no part of a name
		{"a\001tb", ERR_SYNTAX, ""}, {"a\001nb", ERR_SYNTAX, ""}, {"a\0010b", ERR_SYNTAX, ""},
		{"a\001x", ERR_SYNTAX, ""}, {"a\001", ERR_SYNTAX, ""}, {"a\rb", ERR_SYNTAX, ""},
		{"12345678901234567890", ERR_LIMIT, ""},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		char out[20];
		assert_int_equal(auth_value_read(str_from(rows[i].wire), out, sizeof out), rows[i].err);
		assert_string_equal(out, rows[i].value);
	}
	struct buf b = BUF_INIT;
	assert_int_equal(auth_value_add(&b, STR("a\tb\nc\001d\0e\rf")), 0);
	assert_true(str_equal(buf_str(&b), STR("a\001tb\001nc\0011d\0010e\001rf")));
	buf_finish(&b);
}

static void requests(void **state)
{
	(void)state;
	static const struct {
		const char *fields;
		int err;
		struct auth_line_request r;
		const char *response; // NULL: none
		const char *client, *local;
	} rows[] = {
		{"1\tPLAIN\tservice=smtp\tresp=AGtpbQBh", 0, {.id = 1, .mechanism = "PLAIN"}, "AGtpbQBh", "", ""},
		{"4294967295\tlogin\tservice=smtp", 0, {.id = 4294967295U, .mechanism = "LOGIN"}, NULL, "", ""},
		// As Postfix sends it.
		{"2\tPLAIN\tservice=smtp\tnologin\tlip=127.0.0.1\trip=192.0.2.7\tsecured\tresp=AGE=", 0,
			{.id = 2, .mechanism = "PLAIN", .secured = true}, "AGE=", "192.0.2.7", "127.0.0.1"},
		// As Exim and Dovecot's own programs do.
		{"3\tSCRAM-SHA-256\tservice=smtp\tsecured=tls\trip=2001:db8::1\tlip=::ffff:192.0.2.9\trport=4711"
			"\tlport=587\tsession=ab\001tc\tunknown=x\tresp=", 0,
			{.id = 3, .mechanism = "SCRAM-SHA-256", .secured = true, .client_port = 4711,
				.local_port = 587}, NULL, "2001:db8::1", "192.0.2.9"},
		{"5\tPLAIN\tserver=submission\tsession=0123456789abc", 0,
			{.id = 5, .mechanism = "PLAIN", .server = "submission", .session = "0123456789abc"},
			NULL, "", ""},
		{"5\tPLAIN\trip=nonsense\trport=99999\tresp", 0, {.id = 5, .mechanism = "PLAIN"}, NULL, "", ""},
		{"5\tPLAIN\tresp==", 0, {.id = 5, .mechanism = "PLAIN"}, "", "", ""},
		{"5\tPLAIN\tresp=A\tsecured", 0, {.id = 5, .mechanism = "PLAIN"}, "A", "", ""},
		{"5\tPLAIN", 0, {.id = 5, .mechanism = "PLAIN"}, NULL, "", ""},
		{"5\tPLAIN\tsecuredx\tresponse=a", 0, {.id = 5, .mechanism = "PLAIN"}, NULL, "", ""},
		{"", ERR_SYNTAX}, {"5", ERR_SYNTAX}, {"x\tPLAIN", ERR_SYNTAX}, {"-1\tPLAIN", ERR_SYNTAX},
		{"4294967296\tPLAIN", ERR_SYNTAX}, {"5\t", ERR_SYNTAX}, {"5\tPL AIN", ERR_SYNTAX},
		{"5\tA234567890123456789012", ERR_SYNTAX}, {"\t5\tPLAIN", ERR_SYNTAX},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct auth_line_request r;
		char text[IPADDR_TEXT_MAX];
		assert_int_equal(auth_line_request_read(str_from(rows[i].fields), &r), rows[i].err);
		if (rows[i].err)
			continue;
		assert_int_equal(r.id, rows[i].r.id);
		assert_string_equal(r.mechanism, rows[i].r.mechanism);
		assert_int_equal(r.secured, rows[i].r.secured);
		assert_int_equal(r.client_port, rows[i].r.client_port);
		assert_int_equal(r.local_port, rows[i].r.local_port);
		assert_string_equal(r.server, rows[i].r.server);
		assert_string_equal(r.session, rows[i].r.session);
		assert_string_equal(r.client.family ? ipaddr_format(&r.client, text) : "", rows[i].client);
		assert_string_equal(r.local.family ? ipaddr_format(&r.local, text) : "", rows[i].local);
		assert_int_equal(r.has_response, rows[i].response != NULL);
		if (rows[i].response)
			assert_true(r.response.data && str_equal(r.response, str_from(rows[i].response)));
	}
}

static void requests_as_we_write_them(void **state)
{
	(void)state;
	struct auth_line_request r = {.id = 7, .mechanism = "PLAIN", .secured = true, .client_port = 4711,
		.local_port = 587, .server = "sub\tmission", .session = "abc", .has_response = true};
	struct buf b = BUF_INIT;
	static char big[AUTH_LINE_MAX];

	ipaddr_parse(STR("192.0.2.7"), &r.client);
	ipaddr_parse(STR("2001:db8::1"), &r.local);
	assert_int_equal(auth_line_request_add(&b, &r, STR("\0kim\0a"), true), 0);
	assert_string_equal(buf_cstr(&b),
		"AUTH\t7\tPLAIN\tservice=smtp\tnologin\tsecured\tlip=2001:db8::1\tlport=587\trip=192.0.2.7"
		"\trport=4711\tserver=sub\001tmission\tsession=abc\tresp=AGtpbQBh\n");
	buf_clear(&b);
	r = (struct auth_line_request){.id = 8, .mechanism = "LOGIN", .server = "s", .session = "x"};
	assert_int_equal(auth_line_request_add(&b, &r, STR_EMPTY, false), 0);
	assert_string_equal(buf_cstr(&b), "AUTH\t8\tLOGIN\tservice=smtp\tnologin\n");
	buf_clear(&b);
	r.has_response = true;
	assert_int_equal(auth_line_request_add(&b, &r, STR_EMPTY, false), 0);
	assert_string_equal(buf_cstr(&b), "AUTH\t8\tLOGIN\tservice=smtp\tnologin\tresp==\n");
	buf_clear(&b);
	assert_int_equal(auth_line_request_add(&b, &r, str_make(big, sizeof big), false), ERR_LIMIT);
	assert_int_equal(buf_len(&b), 0);
	buf_finish(&b);
}

static void what_tls_says_crosses_the_private_socket(void **state)
{
	struct auth_line_request r = {.id = 9, .mechanism = "EXTERNAL", .secured = true, .verified = true,
		.subject = "CN=K\xc3\xa4thi,O=a=b", .mailboxes = "kim@example.kr lee@example.kr",
		.fingerprint = "00ff", .exporter = {"\0ex\n\t", 6}, .unique = {"u", 1},
		.has_response = true}, read;
	struct buf b = BUF_INIT;

	(void)state;
	memset(r.end_point.data, 'e', sizeof r.end_point.data);
	r.end_point.len = sizeof r.end_point.data;
	assert_int_equal(auth_line_request_add(&b, &r, STR("kim"), true), 0);
	assert_int_equal(auth_line_request_read(str_slice(buf_str(&b), 5, buf_len(&b) - 1), &read), 0);
	assert_true(read.verified);
	assert_string_equal(read.subject, r.subject);
	assert_string_equal(read.mailboxes, r.mailboxes);
	assert_string_equal(read.fingerprint, r.fingerprint);
	assert_memory_equal(&read.exporter, &r.exporter, sizeof r.exporter);
	assert_memory_equal(&read.unique, &r.unique, sizeof r.unique);
	assert_memory_equal(&read.end_point, &r.end_point, sizeof r.end_point);
	buf_clear(&b);
	assert_int_equal(auth_line_request_add(&b, &r, STR_EMPTY, false), 0);
	assert_string_equal(buf_cstr(&b), "AUTH\t9\tEXTERNAL\tservice=smtp\tnologin\tsecured\tresp==\n");
	buf_finish(&b);
	// Too long, or not base64: as if it were not there.
	assert_int_equal(auth_line_request_read(STR("1\tPLAIN\tx-exporter=%\tx-unique="
		"eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHg="),
		&read), 0);
	assert_int_equal(read.exporter.len, 0);
	assert_int_equal(read.unique.len, 0);
}

static void replies(void **state)
{
	(void)state;
	static const struct {
		const char *line;
		int err;
		struct auth_line_reply r;
		const char *data;
	} rows[] = {
		{"OK\t1\tuser=kim@example.kr", 0, {AUTH_LINE_OK, 1, "kim@example.kr"}, ""},
		{"OK\t1\tuser=kim\trights=submit,relay", 0,
			{AUTH_LINE_OK, 1, "kim", .has_rights = true, .rights = 3}, ""},
		{"OK\t1\tuser=kim\trights=relay,other", 0,
			{AUTH_LINE_OK, 1, "kim", .has_rights = true, .rights = AUTH_LINE_RELAY}, ""},
		{"OK\t1\tuser=kim\trights=", 0, {AUTH_LINE_OK, 1, "kim", .has_rights = true}, ""},
		{"OK\t1\tuser=kim\tresp=abc\tproxy", 0, {AUTH_LINE_OK, 1, "kim"}, ""},
		{"FAIL\t2", 0, {AUTH_LINE_FAIL, 2}, ""},
		{"FAIL\t2\tuser=kim\treason=wrong password", 0,
			{AUTH_LINE_FAIL, 2, "kim", "wrong password"}, ""},
		{"FAIL\t2\ttemp", 0, {AUTH_LINE_FAIL, 2, .temporary = true}, ""},
		{"FAIL\t2\tcode=temp_fail", 0, {AUTH_LINE_FAIL, 2, .temporary = true}, ""},
		{"FAIL\t2\tauthz\tuser_disabled\tpass_expired", 0,
			{AUTH_LINE_FAIL, 2, .authz = true, .disabled = true, .expired = true}, ""},
		{"FAIL\t2\treason=bad\001", 0, {AUTH_LINE_FAIL, 2}, ""},
		{"FAIL\t2\tuser=a\001nb\treason=r", 0, {AUTH_LINE_FAIL, 2, "", "r"}, ""},
		{"FAIL\t2\tuser=kim\tx-blocked", 0, {AUTH_LINE_FAIL, 2, "kim", .blocked = true}, ""},
		{"CONT\t3\tVXNlcm5hbWU6", 0, {AUTH_LINE_CONT, 3}, "VXNlcm5hbWU6"},
		{"CONT\t3\t", 0, {AUTH_LINE_CONT, 3}, ""},
		{"CONT\t3", 0, {AUTH_LINE_CONT, 3}, ""},
		{"OK\t1", ERR_SYNTAX}, {"OK\t1\tuser=", ERR_SYNTAX}, {"OK\t1\tuser=a\001tb", ERR_SYNTAX},
		{"OK", ERR_SYNTAX}, {"FAIL\t", ERR_SYNTAX}, {"CONT\tx\ta", ERR_SYNTAX},
		{"", ERR_UNSUPPORTED}, {"SPID\t1", ERR_UNSUPPORTED}, {"ok\t1", ERR_UNSUPPORTED},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct auth_line_reply r;
		assert_int_equal(auth_line_reply_read(str_from(rows[i].line), &r), rows[i].err);
		if (rows[i].err)
			continue;
		assert_int_equal(r.outcome, rows[i].r.outcome);
		assert_int_equal(r.id, rows[i].r.id);
		assert_string_equal(r.user, rows[i].r.user);
		assert_string_equal(r.reason, rows[i].r.reason);
		assert_int_equal(r.has_rights, rows[i].r.has_rights);
		assert_int_equal(r.rights, rows[i].r.rights);
		assert_int_equal(r.temporary, rows[i].r.temporary);
		assert_int_equal(r.authz, rows[i].r.authz);
		assert_int_equal(r.disabled, rows[i].r.disabled);
		assert_int_equal(r.expired, rows[i].r.expired);
		assert_true(str_equal(r.data, str_from(rows[i].data)));
	}
}

static void replies_as_we_write_them(void **state)
{
	(void)state;
	static const struct {
		struct auth_line_reply r;
		const char *challenge, *line;
	} rows[] = {
		{{AUTH_LINE_OK, 1, "kim@example.kr"}, "", "OK\t1\tuser=kim@example.kr\n"},
		{{AUTH_LINE_OK, 1, "kim", .has_rights = true, .rights = 3}, "",
			"OK\t1\tuser=kim\trights=submit,relay\n"},
		{{AUTH_LINE_OK, 1, "kim", .has_rights = true}, "", "OK\t1\tuser=kim\trights=\n"},
		{{AUTH_LINE_CONT, 2}, "Username:", "CONT\t2\tVXNlcm5hbWU6\n"},
		{{AUTH_LINE_CONT, 2}, "", "CONT\t2\t\n"},
		{{AUTH_LINE_FAIL, 3}, "", "FAIL\t3\n"},
		{{AUTH_LINE_FAIL, 3, "a\tb", "why\nnot"}, "", "FAIL\t3\tuser=a\001tb\treason=why\001nnot\n"},
		{{AUTH_LINE_FAIL, 3, .temporary = true}, "", "FAIL\t3\ttemp\tcode=temp_fail\n"},
		{{AUTH_LINE_FAIL, 3, .blocked = true}, "", "FAIL\t3\tx-blocked\n"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct buf b = BUF_INIT;
		assert_int_equal(auth_line_reply_add(&b, &rows[i].r, str_from(rows[i].challenge)), 0);
		assert_string_equal(buf_cstr(&b), rows[i].line);
		buf_finish(&b);
	}
}

static void mechanisms(void **state)
{
	(void)state;
	struct auth_line_mechanism m;

	assert_int_equal(auth_line_mechanism_read(STR("PLAIN\tplaintext"), &m), 0);
	assert_true(!strcmp(m.name, "PLAIN") && m.plaintext && !m.anonymous);
	assert_int_equal(auth_line_mechanism_read(STR("ANONYMOUS\tanonymous"), &m), 0);
	assert_true(m.anonymous && !m.plaintext);
	assert_int_equal(auth_line_mechanism_read(STR("DOVECOT-TOKEN\tprivate\tmutual-auth"), &m), 0);
	assert_true(m.private_);
	assert_int_equal(auth_line_mechanism_read(STR(""), &m), ERR_SYNTAX);
	assert_int_equal(auth_line_mechanism_read(STR("A B"), &m), ERR_SYNTAX);
	assert_int_equal(auth_line_mechanism_read(STR("A\r\n250 B"), &m), ERR_SYNTAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lines),
		cmocka_unit_test(values),
		cmocka_unit_test(requests),
		cmocka_unit_test(requests_as_we_write_them),
		cmocka_unit_test(what_tls_says_crosses_the_private_socket), cmocka_unit_test(replies),
		cmocka_unit_test(replies_as_we_write_them),
		cmocka_unit_test(mechanisms),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
