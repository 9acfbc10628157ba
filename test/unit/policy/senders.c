// SPDX-License-Identifier: ISC
// Who may send as whom: address forms, grants, From: and Sender:, clients bound to domains.
#include "facts.h"

#define KIM "kim@example.org"

// ---------------------------------------------------------------- ownership

struct question {
	const char *account, *send_as, *address, *target, *groups;
	bool by_rest;
	enum policy_owner wanted;
};

#define NO POLICY_OWNER_NO
#define SELF POLICY_OWNER_SELF
#define GRANTED POLICY_OWNER_GRANTED

static const struct question questions[] = {
	// its name, in every form of it
	{KIM, "", KIM, "", "", false, SELF},
	{KIM, "", "KIM@Example.ORG", "", "", false, SELF},
	{KIM, "", "kim@example.org.", "", "", false, SELF},
	{KIM, "", "\"kim\"@example.org", "", "", false, SELF},
	{KIM, "", "\"k\\im\"@example.org", "", "", false, SELF},
	{"kim@xn--bcher-kva.example", "", "kim@b\xc3\xbc" "cher.example", "", "", false, SELF},
	{"kim", "", KIM, "", "", false, SELF}, // of a source that knows bare names
	{"kim", "", "kim@elsewhere.example", "", "", false, NO},
	{"Kim@Example.org", "", KIM, "", "", false, SELF},
	// what is not its name
	{KIM, "", "kim@example.com", "", "", false, NO},
	{KIM, "", "kimm@example.org", "", "", false, NO},
	{KIM, "", "ki@example.org", "", "", false, NO},
	{KIM, "", "kim@sub.example.org", "", "", false, NO},
	{KIM, "", "\"kim \"@example.org", "", "", false, NO},
	{KIM, "", "\"kim@example.org\"@other.example", "", "", false, NO},
	{KIM, "", "kim@[192.0.2.1]", "", "", false, NO},
	{KIM, "", "kim%example.org@other.example", "", "", false, NO},
	{"", "", KIM, "", "", false, NO},
	// aliases, domain aliases and subaddresses: what leads to it, and to it alone
	{KIM, "", "kim.lee@example.org", KIM, "", false, SELF},
	{KIM, "", "sales@example.org", "", "", false, NO},
	{KIM, "", "sales@example.org", "lee@example.org", "staff", false, NO},
	{KIM, "", "anything@example.org", KIM, "", true, NO}, // by a catch-all
	// grants
	{KIM, "sales@example.org", "sales@example.org", "", "", false, GRANTED},
	{KIM, "sales@example.org", "SALES@example.ORG", "", "", false, GRANTED},
	{KIM, "sales@example.org", "sales@example.com", "", "", false, NO},
	{KIM, "a@b.example sales@example.org", "sales@example.org", "", "", false, GRANTED},
	{KIM, "sales@example.org", "xsales@example.org", "", "", false, NO},
	{KIM, "@example.com", "any@example.com", "", "", false, GRANTED},
	{KIM, "@example.com", "any@sub.example.com", "", "", false, NO},
	{KIM, "@example.com", "any@xexample.com", "", "", false, NO},
	{KIM, "@example.com", "any@[192.0.2.1]", "", "", false, NO},
	{KIM, "group:staff", "lee@example.org", "lee@example.org", "night staff", false, GRANTED},
	{KIM, "group:staff", "lee@example.org", "lee@example.org", "staffers", false, NO},
	{KIM, "group:staff", "lee@example.org", "lee@example.org", "", false, NO},
	{KIM, "group:staff", "any@example.org", "lee@example.org", "staff", true, NO},
	// <>
	{KIM, "", "", "", "", false, NO},
	{KIM, "@example.org group:staff", "", "", "", false, NO},
	{KIM, "x@y.example <>", "", "", "", false, GRANTED},
	{KIM, "<>", "x@y.example", "", "", false, NO},
};

static void test_ownership(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(questions); i++) {
		const struct question *q = &questions[i];
		struct smtp_address address = {.null = true};
		struct policy_author author = {.address = &address, .target = str_from(q->target),
			.groups = str_from(q->groups), .by_rest = q->by_rest};

		if (q->address[0])
			assert_int_equal(smtp_address_parse(str_from(q->address), &address), 0);
		if (policy_owner_of(str_from(q->account), STR("example.org"), str_from(q->send_as), &author) !=
			q->wanted)
			fail_msg("%s with \"%s\" as <%s> (leads to %s)", q->account, q->send_as, q->address,
				q->target);
	}
}

static void test_words(void **state)
{
	static const char *const good[][2] = {{"Sales@Example.ORG", "sales@example.org"},
		{"@B\xc3\xbc" "cher.example", "@xn--bcher-kva.example"}, {"group:staff", "group:staff"}, {"<>", "<>"}};
	static const char *const bad[] = {"", "sales", "@", "@exa mple.org", "group:", "group:a b", "group:A",
		"<sales@example.org>", "a@[192.0.2.1]", "\"a b\"@example.org", "a@b c@d", "*"};
	char out[POLICY_SEND_AS_MAX];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		assert_true(policy_send_as_parse(str_from(good[i][0]), out));
		assert_string_equal(out, good[i][1]);
	}
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		if (policy_send_as_parse(str_from(bad[i]), out))
			fail_msg("\"%s\" was taken", bad[i]);
}

// ---------------------------------------------------------------- MAIL and the body

static struct policy_facts logged_in(enum config_senders senders)
{
	struct policy_facts f = house_facts(SERVER_SUBMISSION, NULL);

	house_servers[SERVER_SUBMISSION].senders = senders;
	f.account = STR(KIM);
	f.account_state = POLICY_ACCOUNT_ENABLED;
	f.account_may_submit = f.account_may_relay = true;
	f.known = POLICY_FACT_ACCOUNT | POLICY_FACT_SPACE | POLICY_FACT_SENDER | POLICY_FACT_GUARD |
		POLICY_FACT_RATE | POLICY_FACT_HOSTNAME;
	return f;
}

static void expect(const struct policy_verdict *v, const char *rule, const char *words, const char *what)
{
	if (strcmp(v->rule, rule) != 0)
		fail_msg("%s: %s (%s), not %s", what, v->rule, v->reply.text, rule);
	if (words && !strstr(v->reply.text, words))
		fail_msg("%s: \"%s\" does not say %s", what, v->reply.text, words);
}

static void test_mail(void **state)
{
	struct smtp_address ceo, null = {.null = true};
	struct policy_verdict v;

	(void)state;
	assert_int_equal(smtp_address_parse(STR("ceo@example.org"), &ceo), 0);
	for (int senders = CONFIG_SENDERS_ENVELOPE; senders <= CONFIG_SENDERS_STRICT; senders++) {
		struct policy_facts f = logged_in((enum config_senders)senders);

		f.sender = &ceo;
		f.owners = STR("n");
		policy_mail(&f, &v);
		expect(&v, "sender-not-yours", "<ceo@example.org>", "another's");
		expect(&v, "sender-not-yours", "send-as " KIM " add ceo@example.org", "another's");
		assert_int_equal(v.reply.code, 553);
		assert_string_equal(v.reply.enhanced, "5.7.1");
		f.owners = STR("s");
		policy_mail(&f, &v);
		expect(&v, "allow", NULL, "own");
		f.owners = STR("g");
		policy_mail(&f, &v);
		expect(&v, "allow", NULL, "granted");
		f.owners = STR("?");
		policy_mail(&f, &v);
		expect(&v, "sender-uncertain", NULL, "not known");
		f.owners = STR_EMPTY;
		policy_mail(&f, &v);
		expect(&v, "sender-uncertain", NULL, "no answer");
		f.sender = &null;
		f.owners = STR("n");
		policy_mail(&f, &v);
		expect(&v, "null-sender", "add \"<>\"", "null");
		f.known &= ~(unsigned)POLICY_FACT_SENDER;
		policy_mail(&f, &v);
		assert_int_equal(v.kind, POLICY_NEED);
		assert_int_equal(v.need, POLICY_FACT_SENDER);
	}
	struct policy_facts f = logged_in(CONFIG_SENDERS_ANY);
	f.sender = &ceo;
	f.known &= ~(unsigned)POLICY_FACT_SENDER;
	policy_mail(&f, &v);
	expect(&v, "allow", NULL, "any");
}

// Addresses, owners, how many of them of From:, the rule when strict, and when relaxed.
static const struct {
	const char *authors, *owners;
	unsigned from;
	const char *strict, *relaxed, *words;
} bodies[] = {
	{"kim@e.org", "s", 1, "allow", "allow", NULL},
	{"ceo@e.org", "n", 1, "sender-not-yours", "sender-not-yours", "From: <ceo@e.org>"},
	{"sales@e.org", "g", 1, "allow", "allow", NULL},
	{"kim@e.org\nceo@e.org", "sn", 2, "sender-not-yours", "sender-not-yours", "From: <ceo@e.org>"},
	{"ceo@e.org\nkim@e.org", "ns", 2, "sender-not-yours", "sender-not-yours", "From: <ceo@e.org>"},
	{"kim@e.org\nceo@e.org\nkim@e.org", "sns", 2, "sender-not-yours", "allow", "From: <ceo@e.org>"},
	{"kim@e.org\nceo@e.org\nlee@e.org", "snn", 2, "sender-not-yours", "sender-not-yours", "<ceo@e.org>"},
	{"ceo@e.org\nlee@e.org\nkim@e.org", "nns", 2, "sender-not-yours", "sender-not-yours", "<ceo@e.org>"},
	{"ceo@e.org\nkim@e.org", "ns", 1, "sender-not-yours", "sender-not-yours", "From: <ceo@e.org>"},
	{"kim@e.org\nceo@e.org", "sn", 1, "sender-not-yours", "sender-not-yours", "Sender: <ceo@e.org>"},
	{"kim@e.org\nkim@e.org", "ss", 1, "allow", "allow", NULL},
	{"kim@e.org\nceo@e.org\nkim@e.org\nx@e.org", "snsn", 2, "sender-not-yours", "sender-not-yours", NULL},
	{"kim@e.org\nceo@e.org", "s?", 2, "sender-uncertain", "sender-uncertain", NULL},
	{"kim@e.org\nceo@e.org", "s", 2, "sender-uncertain", "sender-uncertain", NULL},
	{"kim@e.org\nceo@e.org", "", 2, "sender-uncertain", "sender-uncertain", NULL},
};

static void test_body(void **state)
{
	struct policy_verdict v;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bodies); i++) {
		struct policy_facts f = logged_in(CONFIG_SENDERS_STRICT);

		assert_true(policy_wants_authors(&f));
		f.authors = str_from(bodies[i].authors);
		f.owners = str_from(bodies[i].owners);
		f.author_count = bodies[i].from;
		policy_body(&f, &v);
		expect(&v, bodies[i].strict, bodies[i].words, bodies[i].authors);
		house_servers[SERVER_SUBMISSION].senders = CONFIG_SENDERS_RELAXED;
		policy_body(&f, &v);
		expect(&v, bodies[i].relaxed, NULL, bodies[i].authors);
	}
	struct policy_facts f = logged_in(CONFIG_SENDERS_ENVELOPE);
	assert_false(policy_wants_authors(&f));
	f = logged_in(CONFIG_SENDERS_STRICT);
	f.known &= ~(unsigned)POLICY_FACT_SENDER;
	policy_body(&f, &v);
	assert_int_equal(v.need, POLICY_FACT_SENDER);
	f = house_facts(SERVER_MX, NULL);
	assert_false(policy_wants_authors(&f));
}

// ---------------------------------------------------------------- clients bound to domains

static void test_bound_clients(void **state)
{
	static const struct client_rule rule = {.action = CLIENT_RELAY,
		.senders = LIT("example.org *.branch.example"), .name = LIT("192.0.2.0/24"),
		.place = {LIT("pabal.conf"), 7}};
	static const struct {
		const char *sender, *rule;
	} cases[] = {{"a@example.org", "allow"}, {"", "allow"}, {"a@example.com", "sender-domain"},
		{"a@sub.example.org", "sender-domain"}, {"a@x.branch.example", "allow"},
		{"a@branch.example", "sender-domain"}, {"a@[192.0.2.1]", "sender-domain"}};
	struct policy_verdict v;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct policy_facts f = house_facts(SERVER_MX, NULL);
		struct smtp_address sender = {.null = true};

		if (cases[i].sender[0])
			assert_int_equal(smtp_address_parse(str_from(cases[i].sender), &sender), 0);
		f.client_rule = &rule;
		f.sender = &sender;
		f.known = ~(unsigned)POLICY_FACT_SENDER; // nobody has to be asked
		policy_mail(&f, &v);
		expect(&v, cases[i].rule, NULL, cases[i].sender);
		if (v.kind != POLICY_ALLOW)
			assert_string_equal(v.rule_text, "clients pabal.conf:7");
		assert_true(policy_wants_authors(&f));
		if (!cases[i].sender[0])
			continue;
		f.authors = str_from(cases[i].sender);
		f.author_count = 1;
		policy_body(&f, &v);
		expect(&v, cases[i].rule, NULL, cases[i].sender);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ownership),
		cmocka_unit_test(test_words),
		cmocka_unit_test(test_mail),
		cmocka_unit_test(test_body),
		cmocka_unit_test(test_bound_clients),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
