// SPDX-License-Identifier: ISC
// The open relay table: every form of a recipient that is known to be tried (nmap's
// smtp-open-relay and more), on every kind of server, with every kind of client and account,
// over IPv4 and IPv6. Nothing but the right to relay takes mail out of the house.
#include "facts.h"

#include "base/buf.h"

enum kind {
	SYNTAX,  // is no address
	OURS,    // an existing recipient of ours
	ROLE,    // postmaster and abuse
	MISSING, // ours, but nobody is there
	HIDDEN,  // ours by its domain, names another one in its local part
	LITERAL, // somebody at the address of this host
	REMOTE,  // somebody else's
};

static const struct form {
	const char *path;
	enum kind kind;
} forms[] = {
	// what is ours
	{"<kim@example.org>", OURS},
	{"<KIM@EXAMPLE.ORG>", OURS},
	{"<kim@example.org.>", OURS},
	{"<\"kim\"@example.org>", OURS},
	{"<kim@xn--bcher-kva.example>", OURS},
	{"<kim@b\303\274cher.example>", OURS},
	{"<kim@B\303\234CHER.example>", OURS},
	{"<@example.org:kim@example.org>", OURS},
	{"<@elsewhere.example,@relay.example:kim@example.org>", OURS},
	{"<postmaster>", ROLE},
	{"<Postmaster>", ROLE},
	{"<postmaster@example.org>", ROLE},
	{"<PostMaster@Example.Org>", ROLE},
	{"<abuse@example.org>", ROLE},
	{"<abuse@xn--bcher-kva.example>", ROLE},
	{"<postmaster@[192.0.2.1]>", ROLE},
	{"<postmaster@[127.0.0.1]>", ROLE},
	{"<postmaster@[IPv6:::1]>", ROLE},
	{"<nobody@example.org>", MISSING},
	{"<100%@example.org>", MISSING},
	{"<kim+x@example.org>", MISSING},
	// plain
	{"<user@elsewhere.example>", REMOTE},
	{"<\"user\"@elsewhere.example>", REMOTE},
	{"<user@elsewhere.example.>", REMOTE},
	{"<kim@sub.example.org>", REMOTE},
	{"<kim@notexample.org>", REMOTE},
	{"<kim@example.org.elsewhere.example>", REMOTE},
	{"<kim@mail.example.org>", REMOTE},
	{"<postmaster@elsewhere.example>", REMOTE},
	{"<abuse@elsewhere.example>", REMOTE},
	{"<kim@localhost>", REMOTE},
	{"<user%example.org@elsewhere.example>", REMOTE},
	{"<example.org!user@elsewhere.example>", REMOTE},
	{"<\"user@example.org\"@elsewhere.example>", REMOTE},
	// percent
	{"<user%elsewhere.example@example.org>", HIDDEN},
	{"<user%elsewhere.example%other.example@example.org>", HIDDEN},
	{"<user%elsewhere.example.@example.org>", SYNTAX},
	{"<\"user%elsewhere.example.\"@example.org>", HIDDEN},
	{"<user%[198.51.100.1]@example.org>", SYNTAX},
	{"<\"user%[198.51.100.1]\"@example.org>", HIDDEN},
	{"<kim%example.org@example.org>", HIDDEN},
	{"<user%elsewhere.example@[192.0.2.1]>", LITERAL},
	{"<user%elsewhere.example@mail.example.org>", REMOTE},
	{"<user%elsewhere.example>", SYNTAX},
	// bang
	{"<elsewhere.example!user@example.org>", HIDDEN},
	{"<one.example!two.example!user@example.org>", HIDDEN},
	{"<elsewhere.example!user@[192.0.2.1]>", LITERAL},
	{"<elsewhere.example!user@mail.example.org>", REMOTE},
	{"<elsewhere.example!user>", SYNTAX},
	{"<elsewhere.example!user%other.example@example.org>", HIDDEN},
	// quoted and nested
	{"<\"user@elsewhere.example\"@example.org>", HIDDEN},
	{"<\"user@elsewhere.example\">", SYNTAX},
	{"<\"user%elsewhere.example\">", SYNTAX},
	{"<\"user@elsewhere.example\"@[192.0.2.1]>", LITERAL},
	{"<\"user%elsewhere.example\"@example.org>", HIDDEN},
	{"<\"elsewhere.example!user\"@example.org>", HIDDEN},
	{"<\"\\\"user@elsewhere.example\\\"\"@example.org>", HIDDEN},
	{"<\"\\\"user\\\"@elsewhere.example\"@example.org>", HIDDEN},
	{"<\"<user@elsewhere.example>\"@example.org>", HIDDEN},
	{"<\"user@elsewhere.example \"@example.org>", HIDDEN},
	{"<\"@relay.example:user@elsewhere.example\"@example.org>", HIDDEN},
	{"<\"user\"@elsewhere.example@example.org>", SYNTAX},
	{"<user@elsewhere.example@example.org>", SYNTAX},
	{"<user@elsewhere.example@[192.0.2.1]>", SYNTAX},
	{"<user@elsewhere.example@mail.example.org>", SYNTAX},
	// source routes lead to the last address
	{"<@example.org:user@elsewhere.example>", REMOTE},
	{"<@[192.0.2.1]:user@elsewhere.example>", REMOTE},
	{"<@mail.example.org:user@elsewhere.example>", REMOTE},
	{"<@example.org,@mail.example.org:user@elsewhere.example>", REMOTE},
	{"<@elsewhere.example@example.org>", SYNTAX},
	{"<@example.org:@elsewhere.example:user>", SYNTAX},
	// literals
	{"<user@[192.0.2.1]>", LITERAL},
	{"<kim@[192.0.2.1]>", LITERAL},
	{"<abuse@[192.0.2.1]>", LITERAL},
	{"<user@[192.0.2.25]>", LITERAL},
	{"<user@[127.0.0.1]>", LITERAL},
	{"<user@[127.1.2.3]>", LITERAL},
	{"<user@[0.0.0.0]>", LITERAL},
	{"<user@[IPv6:::]>", LITERAL},
	{"<user@[IPv6:::1]>", LITERAL},
	{"<user@[IPv6:::ffff:192.0.2.1]>", LITERAL},
	{"<user@[198.51.100.1]>", REMOTE},
	{"<postmaster@[198.51.100.1]>", REMOTE},
	{"<user@[IPv6:2001:db8::9]>", REMOTE},
	{"<user@[3221225985]>", SYNTAX},
	{"<user@[example.org]>", SYNTAX},
	{"<user@192.0.2.1>", REMOTE},
	// look-alikes
	{"<kim@\321\225xample.org>", REMOTE},         // Cyrillic letter
	{"<kim@\357\275\205xample.org>", OURS},       // full-width letter: the same name (IDNA)
	{"<kim@example\343\200\202org>", OURS},       // ideographic full stop: the same name
	{"<kim@ex\302\255ample.org>", OURS},          // soft hyphen is nothing
	{"<user\357\274\240elsewhere.example@example.org>", MISSING}, // full-width @ stays local
	{"<user\357\274\205elsewhere.example@example.org>", MISSING}, // full-width % too
	// broken
	{"<>", SYNTAX},
	{"<kim>", SYNTAX},
	{"<@example.org>", SYNTAX},
	{"<kim@>", SYNTAX},
	{"<kim@example.org\n>", SYNTAX},
	{"<kim@example.org user@elsewhere.example>", SYNTAX},
	{"<kim@example.org,user@elsewhere.example>", SYNTAX},
	{"<kim@example.org;user@elsewhere.example>", SYNTAX},
};

enum login { NOBODY, WITH_RIGHT, WITHOUT_RIGHT, DISABLED, REMOVED, UNCERTAIN, LOGINS };

struct setting {
	int server;
	enum login login;
	const struct client_rule *rule;
	bool v6;
};

static void set_login(struct policy_facts *f, enum login login)
{
	static const enum policy_account states[LOGINS] = {
		[WITH_RIGHT] = POLICY_ACCOUNT_ENABLED, [WITHOUT_RIGHT] = POLICY_ACCOUNT_ENABLED,
		[DISABLED] = POLICY_ACCOUNT_DISABLED, [REMOVED] = POLICY_ACCOUNT_NONE,
		[UNCERTAIN] = POLICY_ACCOUNT_UNKNOWN,
	};

	if (login == NOBODY)
		return;
	f->account = STR("kim@example.org");
	f->account_state = states[login];
	f->account_may_submit = true;
	f->account_may_relay = login != WITHOUT_RIGHT; // a stale right must not count
	f->known |= POLICY_FACT_ACCOUNT;
}

// What must come out, said in the words of the issue and not in those of the code.
static bool expect_accepted(const struct setting *x, enum kind kind)
{
	bool by_account = x->login == WITH_RIGHT;
	bool by_address = x->server != SERVER_SUBMISSION && x->rule &&
		x->rule->action == CLIENT_RELAY;

	if (x->server == SERVER_SUBMISSION && x->login == NOBODY)
		return false;
	if (x->login == DISABLED || x->login == REMOVED || x->login == UNCERTAIN)
		return false;
	if (kind == OURS || kind == ROLE)
		return true;
	return kind == REMOTE && (by_account || by_address);
}

static void judge(const struct setting *x, const struct form *form)
{
	struct smtp_address to;
	struct policy_facts f = house_facts(x->server, &to);
	struct policy_verdict v;
	char key[SMTP_ADDRESS_MAX];
	size_t used;
	bool parsed = !smtp_address_parse_path(str_from(form->path), &to, &used) &&
		used == strlen(form->path) && !to.null;

	if (parsed != (form->kind != SYNTAX))
		fail_msg("%s is %san address", form->path, parsed ? "" : "not ");
	if (!parsed)
		return;
	smtp_address_key(&to, key);
	f.client_rule = x->rule;
	if (x->v6) {
		ipaddr_parse(STR("2001:db8::7"), &f.client);
		ipaddr_parse(STR("2001:db8::1"), &f.local);
		house_listens[3].address = (struct ipaddr){4, {192, 0, 2, 1}};
		house_listens[0].address = (struct ipaddr){4, {192, 0, 2, 25}};
	}
	set_login(&f, x->login);
	f.known |= POLICY_FACT_RECIPIENT;
	f.recipient_exists = !strcmp(key, "kim@example.org") ||
			!strcmp(key, "kim@xn--bcher-kva.example") ? POLICY_EXISTS_YES : POLICY_EXISTS_NO;
	policy_rcpt(&f, &v);
	house_listens[0].address = (struct ipaddr){0};
	house_listens[3].address = (struct ipaddr){4, {192, 0, 2, 25}};
	if ((v.kind == POLICY_ALLOW) != expect_accepted(x, form->kind))
		fail_msg("%s on %s, login %d: verdict %d by %s", form->path, f.server->name.data, x->login,
			v.kind, v.rule);
	if (v.kind == POLICY_ALLOW)
		return;
	assert_true(v.kind == POLICY_REFUSE || v.kind == POLICY_DEFER);
	assert_true(v.reply.code >= 400 && v.reply.text[0] && v.rule[0]);
	if (form->kind == REMOTE && x->login == NOBODY && x->server != SERVER_SUBMISSION) {
		assert_string_equal(v.rule, "relay-denied");
		assert_int_equal(v.reply.code, 550);
		assert_string_equal(v.reply.enhanced, "5.7.1");
	}
}

static void test_table(void **state)
{
	const struct client_rule relay = {.action = CLIENT_RELAY, .place = {STR("pabal.conf"), 3}};
	const struct client_rule allow = {.action = CLIENT_ALLOW, .place = {STR("pabal.conf"), 4}};
	const struct client_rule *rules[] = {NULL, &relay, &allow};

	for (int server = 0; server < SERVERS; server++)
		for (int login = 0; login < LOGINS; login++)
			for (size_t r = 0; r < ARRAY_SIZE(rules) * 2; r++) {
				struct setting x = {server, (enum login)login, rules[r / 2], r % 2};
				for (size_t i = 0; i < ARRAY_SIZE(forms); i++)
					judge(&x, &forms[i]);
			}
}

static void expect_rule(int server, const char *path, const char *rule, const char *words)
{
	struct smtp_address to;
	struct policy_facts f = house_facts(server, &to);
	struct policy_verdict v;
	size_t used;

	assert_int_equal(smtp_address_parse_path(str_from(path), &to, &used), 0);
	f.known = POLICY_FACT_RECIPIENT;
	policy_rcpt(&f, &v);
	assert_string_equal(v.rule, rule);
	assert_string_equal(v.reply.text, words);
}

// Who is refused reads which rule it was and what to do.
static void test_words(void **state)
{
	expect_rule(SERVER_MX, "<a@elsewhere.example>", "relay-denied",
		"relay-denied: elsewhere.example is not a domain of this server; log in on port 587 to send "
		"mail to other hosts");
	expect_rule(SERVER_OFFERING, "<a@elsewhere.example>", "relay-denied",
		"relay-denied: elsewhere.example is not a domain of this server; log in to send mail to "
		"other hosts");
	expect_rule(SERVER_MX, "<a%elsewhere.example@example.org>", "hidden-route",
		"hidden-route: the part before the last @ names another destination (elsewhere.example); "
		"write the recipient's own address");
	expect_rule(SERVER_MX, "<nobody@example.org>", "unknown-recipient",
		"unknown-recipient: there is no nobody@example.org here; check the spelling");
	expect_rule(SERVER_MX, "<kim@[192.0.2.1]>", "literal-local",
		"literal-local: only postmaster is reached by the address of this host; use a domain");
	expect_rule(SERVER_SUBMISSION, "<kim@example.org>", "require-auth", "Authentication required");
}

// The log tells the line of the configuration that gave the right.
static void test_cites_client_rule(void **state)
{
	struct client_rule relay = {.action = CLIENT_RELAY, .place = {STR("pabal.conf"), 12}};
	struct smtp_address to;
	struct policy_facts f = house_facts(SERVER_MX, &to);
	struct policy_verdict v;

	smtp_address_parse(STR("a@elsewhere.example"), &to);
	f.client_rule = &relay;
	policy_rcpt(&f, &v);
	assert_int_equal(v.kind, POLICY_ALLOW);
	assert_string_equal(v.rule, "relay-client");
	assert_string_equal(v.rule_text, "clients pabal.conf:12");
	assert_false(v.local);
}

static void expect_at(struct policy_facts *f, const char *path, enum policy_kind kind,
	const char *rule, const char *where)
{
	struct policy_verdict v;
	size_t used;

	assert_int_equal(smtp_address_parse_path(str_from(path), (struct smtp_address *)f->recipient, &used), 0);
	policy_rcpt(f, &v);
	assert_int_equal(v.kind, kind);
	assert_string_equal(v.rule, rule);
	assert_string_equal(v.rule_text, where);
	assert_false(v.local);
}

// Taken from everybody and passed on, but not as a route to somewhere else.
static void test_relay_domains(void **state)
{
	static struct str domains[] = {LIT(".below.example"), LIT("backup.example")};
	struct smtp_address to;
	struct policy_facts f = house_facts(SERVER_MX, &to);

	house.relay_domains = (struct config_list){domains, ARRAY_SIZE(domains)};
	expect_at(&f, "<a@backup.example>", POLICY_ALLOW, "relay-domain",
		"relay-domains \"backup.example\"");
	expect_at(&f, "<a@x.y.below.example>", POLICY_ALLOW, "relay-domain",
		"relay-domains \".below.example\"");
	expect_at(&f, "<a@below.example>", POLICY_REFUSE, "relay-denied", "");
	expect_at(&f, "<a@x.backup.example>", POLICY_REFUSE, "relay-denied", "");
	expect_at(&f, "<a%elsewhere.example@backup.example>", POLICY_REFUSE, "hidden-route", "");
	house.relay_domains = (struct config_list){NULL, 0};
}

static void test_words_of_qmail(void **state)
{
	struct smtp_address to;
	struct policy_facts f = house_facts(SERVER_MX, &to);
	struct policy_verdict v;
	struct buf line = BUF_INIT;

	house_servers[SERVER_MX].qmail_words = true;
	assert_int_equal(smtp_address_parse(STR("a@elsewhere.example"), &to), 0);
	policy_rcpt(&f, &v);
	assert_string_equal(v.rule, "relay-denied");
	smtp_reply_write(&line, &v.reply);
	assert_string_equal(buf_cstr(&line),
		"553 sorry, that domain isn't in my list of allowed rcpthosts (#5.7.1)\r\n");
	buf_finish(&line);
	house_servers[SERVER_MX].qmail_words = false;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_table),
		cmocka_unit_test(test_words),
		cmocka_unit_test(test_cites_client_rule),
		cmocka_unit_test(test_relay_domains),
		cmocka_unit_test(test_words_of_qmail),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
