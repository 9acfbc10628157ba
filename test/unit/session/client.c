// SPDX-License-Identifier: ISC
// Tables that are replaced under a session: what it is told at its next MAIL, and that nothing of the
// old ones is used once they are gone.
#include "run.h"

static const char *rules_text;

static int read_rules(void *arg, const char *path, bool secret, struct buf *out, struct error *err)
{
	return buf_add_text(out, rules_text);
}

struct made {
	struct tables *tables;
	char *octets; // in memory of their own, so that a read behind their life is seen
};

static struct made make_tables(const char *text)
{
	static struct str names[] = {LIT("/etc/tcp.smtp")};
	struct config named = {.domains = host_config.domains, .rules = {names, 1}};
	struct config_reader reader = {.read = read_rules};
	struct config_findings findings = {0};
	struct buf out = BUF_INIT;
	struct made m;

	rules_text = text;
	assert_int_equal(tables_build(&named, &reader, &out, &findings), 0);
	m.octets = mem_alloc(buf_len(&out));
	memcpy(m.octets, buf_str(&out).data, buf_len(&out));
	assert_int_equal(tables_open(str_make(m.octets, buf_len(&out)), &m.tables), 0);
	buf_finish(&out);
	config_findings_finish(&findings);
	return m;
}

static void use(struct made *now, const char *text)
{
	struct made old = *now;

	*now = text ? make_tables(text) : (struct made){0};
	config_use_tables(&host_config, now->tables);
	host_config.tables_generation++;
	tables_close(old.tables);
	mem_free(old.octets);
}

static void says(struct host *h, const char *words)
{
	if (str_search(buf_str(&h->said), str_from(words)) < 0)
		fail_msg("\"%s\" is not in\n%.*s", words, STR_ARG(buf_str(&h->said)));
	buf_clear(&h->said);
}

static void say(struct host *h, const char *line, const char *answer)
{
	host_send(h, str_from(line));
	says(h, answer);
}

static void rules_of_now_hold_from_the_next_mail(void **state)
{
	struct host h = {.connections = 1};
	struct made tables = {0};

	use(&tables, "203.0.113.7:allow,RELAYCLIENT=\"\"\n");
	begin_run(&h, SERVER_MX, 0);
	say(&h, "EHLO c\r\n", "250 HELP");
	say(&h, "MAIL FROM:<a@b.example>\r\n", "250 2.1.0");
	// taken away within a transaction: it holds until this ends
	use(&tables, "203.0.113.8:allow,RELAYCLIENT=\"\"\n");
	say(&h, "RCPT TO:<x@elsewhere.example>\r\n", "250 2.1.5");
	say(&h, "RSET\r\n", "250 2.0.0");
	say(&h, "MAIL FROM:<a@b.example>\r\nRCPT TO:<x@elsewhere.example>\r\n", "550 5.7.1 relay-denied");
	say(&h, "RSET\r\n", "250 2.0.0");
	use(&tables, "203.0.113.7:deny\n");
	say(&h, "NOOP\r\n", "250 2.0.0");
	say(&h, "MAIL FROM:<a@b.example>\r\n", "550 5.7.1 client-denied: your address may not use this");
	assert_false(h.closed);
	use(&tables, NULL);
	say(&h, "MAIL FROM:<a@b.example>\r\n", "250 2.1.0");
	say(&h, "QUIT\r\n", "221 2.0.0");
	host_finish(&h);
}

static void a_name_is_asked_for_once_and_kept(void **state)
{
	struct host h = {.connections = 1, .client_name = "mail.good.example"};
	struct made tables = {0};

	use(&tables, "=.good.example:allow,RELAYCLIENT=\"\"\n");
	begin_run(&h, SERVER_MX, 0);
	assert_int_equal(h.need, POLICY_FACT_HOSTNAME);
	h.client_name = NULL; // now or never
	say(&h, "EHLO c\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<x@elsewhere.example>\r\n", "250 2.1.5");
	use(&tables, "=mail.good.example:deny\n");
	say(&h, "RSET\r\nMAIL FROM:<a@b.example>\r\n", "550 5.7.1 client-denied");
	use(&tables, NULL);
	host_finish(&h);
}

// Rules by name that come later ask at MAIL.
static void a_name_that_matters_later(void **state)
{
	struct host h = {.connections = 1, .client_name = "bad.example"};
	struct made tables = {0};

	begin_run(&h, SERVER_MX, 0);
	say(&h, "EHLO c\r\nMAIL FROM:<a@b.example>\r\n", "250 2.1.0");
	use(&tables, "=bad.example:deny\n");
	say(&h, "RSET\r\nMAIL FROM:<a@b.example>\r\n", "550 5.7.1 client-denied");
	use(&tables, NULL);
	host_finish(&h);
}

// As qmail-smtpd: behind the whole address, before anything is decided about it.
static void a_value_of_relayclient(void **state)
{
	static const struct {
		const char *suffix, *recipient, *stored; // NULL: refused
	} rows[] = {
		{"", "x@elsewhere.example", "x@elsewhere.example"},
		{"@fixme.example", "x@elsewhere.example", "\"x@elsewhere.example\"@fixme.example"},
		{".fixme.example", "x@elsewhere", "x@elsewhere.fixme.example"},
		{"@fixme.example", "\"a b\"@c.example", "\"a b@c.example\"@fixme.example"},
		{"@fixme.example", "postmaster", "postmaster"},
		{"@", "x@elsewhere.example", NULL},
		{"@not a domain", "x@elsewhere.example", NULL},
		{"@fixme.example", "x@0123456789012345678901234567890123456789012345678901234567890.example", NULL},
	};
	struct made tables = {0};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct host h = {.connections = 1};
		char text[200], line[400];

		snprintf(text, sizeof text, "203.0.113.7:allow,RELAYCLIENT=\"%s\"\n", rows[i].suffix);
		use(&tables, text);
		begin_run(&h, SERVER_MX, 0);
		snprintf(line, sizeof line, "EHLO c\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<%s>\r\n",
			rows[i].recipient);
		say(&h, line, rows[i].stored ? "250 2.1.5" : "501 5.1.3 this is no recipient address: @");
		if (rows[i].stored) {
			say(&h, "DATA\r\n", "354");
			say(&h, "a: b\r\n\r\nc\r\n.\r\n", "250 2.0.0");
			assert_string_equal(buf_cstr(&h.messages[0].recipients), rows[i].stored);
		}
		host_finish(&h);
	}
	use(&tables, NULL);
}

int main(void)
{
	host_init_limits();
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rules_of_now_hold_from_the_next_mail),
		cmocka_unit_test(a_name_is_asked_for_once_and_kept),
		cmocka_unit_test(a_name_that_matters_later),
		cmocka_unit_test(a_value_of_relayclient),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
