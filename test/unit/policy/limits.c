// SPDX-License-Identifier: ISC
// Every limit in every scope: which one is in force, who says so, and what is refused then.
#include "policy/limits.h"

#include "policy/policy_internal.h"

#include "base/buf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define START                                                                                      \
	"hostname \"mail.example.kr\"\npostmaster \"kim@example.kr\"\ndomains \"example.kr\"\n"    \
	"server \"mx\" { listen \"*:25\" senders any }\nserver \"other\" { listen \"*:2525\" }\n"

static int read_text(void *arg, const char *path, bool secret, struct buf *out, struct error *err)
{
	(void)secret;
	if (strcmp(path, "/pabal.conf") != 0)
		return error_set(err, ERR_NOT_FOUND, "no %s", path);
	return buf_add_text(out, arg);
}

// NULL with the findings in out when it is wrong.
static struct config *try_config(const char *more, struct buf *out)
{
	char text[8192];
	struct config_findings findings = {0};
	struct config_reader reader = {read_text, text};
	snprintf(text, sizeof text, "%s%s", START, more);
	struct config *c = config_build("/pabal.conf", &reader, &findings);
	config_findings_print(&findings, out);
	config_findings_finish(&findings);
	return c;
}

static struct config *make_config(const char *more)
{
	struct buf out = BUF_INIT;
	struct config *c = try_config(more, &out);
	if (!c)
		fail_msg("%s\n%s", more, buf_cstr(&out));
	buf_finish(&out);
	return c;
}

// lee of the group staff, from 192.0.2.7, at server mx.
static struct policy_facts facts_of(const struct config *c)
{
	return (struct policy_facts){.config = c, .server = &c->servers[0],
		.client = {4, {192, 0, 2, 7}}, .account = STR("lee@example.kr"),
		.account_groups = STR("crew staff")};
}

static const char *const labels[CONFIG_SCOPES] = {"everywhere", "server mx", "network 192.0.2.0/24",
	"domain example.kr", "group staff", "account lee@example.kr"};

static uint64_t value_of(enum config_limit_id id, unsigned scope)
{
	return config_limit_kinds[id].least + scope;
}

static void add_block(char *text, size_t size, enum config_limit_id id, unsigned scope)
{
	size_t at = strlen(text);
	const char *unit = config_limit_kinds[id].unit == CONFIG_UNIT_duration ? "ms" : "";
	snprintf(text + at, size - at, "limit \"%s\" {\n%s %llu%s\n}\n", labels[scope],
		config_limit_kinds[id].name, (unsigned long long)value_of(id, scope), unit);
}

static void expect(const struct policy_facts *f, enum config_limit_id id, uint64_t value, const char *label)
{
	char where[POLICY_WHERE_MAX], start[100];
	const struct config_limit_kind *k = &config_limit_kinds[id];
	if (policy_limit(f, id) != value)
		fail_msg("%s is %llu, not %llu", k->name, (unsigned long long)policy_limit(f, id),
			(unsigned long long)value);
	policy_limit_where(f, id, where);
	if (!label) {
		assert_string_equal(where, "default");
		return;
	}
	snprintf(start, sizeof start, "limit %s /pabal.conf:", label);
	if (strncmp(where, start, strlen(start)) != 0)
		fail_msg("%s: %s, not %s", k->name, where, start);
}

// The whole product: with each further scope that says something, that one wins; for somebody to whom
// a scope does not apply the next one does.
static void test_every_limit_in_every_scope(void **state)
{
	for (enum config_limit_id id = 0; id < CONFIG_LIMITS; id++) {
		const struct config_limit_kind *k = &config_limit_kinds[id];
		char text[4096] = "";
		unsigned widest = CONFIG_SCOPES;
		for (unsigned scope = 0; scope < CONFIG_SCOPES; scope++) {
			if (!(k->scopes & 1u << scope))
				continue;
			widest = widest == CONFIG_SCOPES ? scope : widest;
			add_block(text, sizeof text, id, scope);
			struct config *c = make_config(text);
			struct policy_facts f = facts_of(c);
			expect(&f, id, value_of(id, scope), labels[scope]);
			struct policy_facts stranger = {.config = c, .server = &c->servers[1],
				.client = {4, {203, 0, 113, 7}}};
			expect(&stranger, id, value_of(id, widest), labels[widest]);
			config_destroy(c);
		}
		struct config *c = make_config("");
		struct policy_facts f = facts_of(c);
		expect(&f, id, k->standard, NULL);
		config_destroy(c);
	}
}

// A scope in which a limit cannot be kept is an error that names those in which it can.
static void test_scopes_that_are_not_known_in_time(void **state)
{
	unsigned refused = 0;
	for (enum config_limit_id id = 0; id < CONFIG_LIMITS; id++)
		for (unsigned scope = 0; scope < CONFIG_SCOPES; scope++) {
			char text[4096] = "";
			struct buf out = BUF_INIT;
			if (config_limit_kinds[id].scopes & 1u << scope)
				continue;
			add_block(text, sizeof text, id, scope);
			assert_null(try_config(text, &out));
			assert_non_null(strstr(buf_cstr(&out), "cannot be limited for one"));
			assert_non_null(strstr(buf_cstr(&out), "everywhere"));
			buf_finish(&out);
			refused++;
		}
	assert_int_equal(refused, 6 * 3 + 2);
}

// One snapshot later everything is the same, the line too.
static void test_snapshots(void **state)
{
	struct config *c = make_config("max-errors 7\nlimit \"account lee\" { recipients 4\n"
				       "rate account recipients 9 per hour hold }\n");
	for (unsigned role = CONFIG_FOR_SMTPD; role; role = role == CONFIG_FOR_SMTPD ? CONFIG_FOR_QUEUE : 0) {
		struct buf octets = BUF_INIT;
		struct config *back;
		char where[POLICY_WHERE_MAX];
		struct policy_limits l;
		assert_int_equal(config_encode(c, role, &octets), 0);
		assert_int_equal(config_decode(buf_str(&octets), &back), 0);
		struct policy_facts f = facts_of(back);
		expect(&f, CONFIG_LIMIT_RECIPIENTS, 4, labels[CONFIG_SCOPE_ACCOUNT]);
		expect(&f, CONFIG_LIMIT_ERRORS, 7, "everywhere");
		policy_limits(&f, &l);
		assert_int_equal(l.rate_count, 1);
		assert_string_equal(policy_rate_where(&l.rates[0], where),
			"limit account lee@example.kr /pabal.conf:8");
		config_destroy(back);
		buf_finish(&octets);
	}
	config_destroy(c);
}

// max-recipients and the like are other words for the same: they win over wider blocks, lose against
// narrower ones, and two words for one thing are an error.
static void test_spellings(void **state)
{
	struct config *c = make_config("max-errors 7\nlimits { header-size 9K }\n"
		"limit \"everywhere\" { messages 8  connections 77 }\n"
		"limit \"server other\" { recipients 3 }\n"
		"server \"third\" { listen \"*:3\"  max-messages 6 }\n");
	struct policy_facts f = {.config = c, .server = &c->servers[2]};
	expect(&f, CONFIG_LIMIT_MESSAGES, 6, "server third");
	expect(&f, CONFIG_LIMIT_ERRORS, 7, "everywhere");
	expect(&f, CONFIG_LIMIT_HEADER_SIZE, 9 << 10, "everywhere");
	f.server = &c->servers[1];
	expect(&f, CONFIG_LIMIT_RECIPIENTS, 3, "server other");
	expect(&f, CONFIG_LIMIT_MESSAGES, 8, "everywhere");
	// Who looks at the server alone sees the same.
	assert_int_equal(c->servers[0].max_messages, 8);
	assert_int_equal(c->servers[1].max_recipients, 3);
	assert_int_equal(c->servers[2].max_messages, 6);
	assert_int_equal(c->limits.connections, 77);
	config_destroy(c);
}

static void test_mistakes(void **state)
{
	static const struct {
		const char *text, *words;
	} rows[] = {
		{"max-errors 7\nlimit \"everywhere\" { errors 8 }", "max-errors says the same as limit"},
		{"limit \"server mx\" { recipients 8 }\nserver \"x\" { listen \"*:9\" }\n"
		 "limit \"server mx\" { errors 3 }", "is there already in line"},
		{"limit \"server nowhere\" { recipients 8 }", "there is no server"},
		{"limit \"accounts kim\" { recipients 8 }", "expected everywhere, or one of"},
		{"limit \"account\" { recipients 8 }", "the name of an account behind it"},
		{"limit \"account a b@example.kr\" { recipients 8 }", "the name of an account"},
		{"limit \"everywhere else\" { recipients 8 }", "nothing behind it"},
		{"limit \"network 192.0.2\" { recipients 8 }", "a network like"},
		{"limit \"domain a..b\" { recipients 8 }", "a domain behind it"},
		{"limit \"everywhere\" { recipients 0 }", "a number from 1 to 100000"},
		{"limit \"everywhere\" { recipients none }", "a number from 1 to 100000"},
		{"limit \"everywhere\" { local-size 5 }", "from 1K to 4G, or none"},
		{"limit \"everywhere\" { recipients 3 recipients 4 }", "recipients is set already"},
		{"limit \"everywhere\" { rate recipients 3 per day }", "one of \"account\""},
		{"limit \"everywhere\" { rate account recipients 0 per day }", "a number from 1"},
		{"limit \"everywhere\" { rate account recipients 5 each day }", "one of \"per\""},
		{"limit \"everywhere\" { rate account recipients 5 per week }", "one of \"minute\""},
		{"limit \"everywhere\" { rate account recipients 5 per day hold\n"
		 "rate account recipients 6 per day }", "this rate is set already"},
	};
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct buf out = BUF_INIT;
		struct config *c = try_config(rows[i].text, &out);
		if (c || !strstr(buf_cstr(&out), rows[i].words))
			fail_msg("%s: %s", rows[i].text, buf_cstr(&out));
		buf_finish(&out);
	}
}

// What is shown parses back to the same.
static void test_shown(void **state)
{
	struct config *c = make_config("limit \"account Kim@EXAMPLE.kr\" { local-size none rate client "
		"messages 5 per minute refuse\nrate domain recipients none per day }\n"
		"limit \"network 2001:db8::1\" { session-timeout 90s }\n");
	struct buf shown = BUF_INIT, again = BUF_INIT, names = BUF_INIT;
	config_show(c, &shown);
	assert_non_null(strstr(buf_cstr(&shown), "limit \"account kim@example.kr\" {"));
	assert_non_null(strstr(buf_cstr(&shown), "\tlocal-size none\n"));
	assert_non_null(strstr(buf_cstr(&shown), "\trate client messages 5 per minute refuse\n"));
	assert_non_null(strstr(buf_cstr(&shown), "\trate domain recipients none per day\n"));
	assert_non_null(strstr(buf_cstr(&shown), "limit \"network 2001:db8::1/128\" {"));
	struct config_findings findings = {0};
	struct config_reader reader = {read_text, (void *)buf_cstr(&shown)};
	struct config *back = config_build("/pabal.conf", &reader, &findings);
	assert_non_null(back);
	config_show(back, &again);
	assert_string_equal(buf_cstr(&shown), buf_cstr(&again));
	assert_int_equal(config_diff(c, back, &names), 0); // other lines are no difference
	config_findings_finish(&findings);
	config_destroy(back);
	config_destroy(c);
	buf_finish(&shown);
	buf_finish(&again);
	buf_finish(&names);
}

// ---- several at once

static void test_networks_and_groups(void **state)
{
	struct config *c = make_config("limit \"network 192.0.0.0/16\" { errors 9 recipients 9 }\n"
		"limit \"network 192.0.2.0/24\" { recipients 8 }\nlimit \"network 192.0.2.7\" { messages 3 }\n"
		"limit \"group staff\" { commands 50 header-fields 60\nrate account messages 7 per day hold }\n"
		"limit \"group crew\" { commands 40 header-fields 70\nrate account messages none per day }\n");
	struct policy_facts f = facts_of(c);
	struct policy_limits l;
	expect(&f, CONFIG_LIMIT_MESSAGES, 3, "network 192.0.2.7/32");
	expect(&f, CONFIG_LIMIT_RECIPIENTS, 8, "network 192.0.2.0/24");
	expect(&f, CONFIG_LIMIT_ERRORS, 9, "network 192.0.0.0/16");
	expect(&f, CONFIG_LIMIT_COMMANDS, 40, "group crew"); // of several groups the smallest
	expect(&f, CONFIG_LIMIT_HEADER_FIELDS, 60, "group staff");
	policy_limits(&f, &l);
	assert_int_equal(l.rate_count, 1);
	assert_int_equal(l.rates[0].rate->most, 7);
	config_destroy(c);
}

// DATABYTES and MAXRCPT count as the network's; our own `limit "network …"` goes before them.
static void test_client_rule(void **state)
{
	struct client_rule rule = {.action = CLIENT_ALLOW, .foreign = true, .has_databytes = true,
		.databytes = 5000, .has_maxrcpt = true, .maxrcpt = 0, .place = {STR("tcp.smtp"), 4}};
	struct config *c = make_config("limit \"server mx\" { message-size 9K }\n"
		"limit \"network 203.0.113.0/24\" { message-size 8K }\nlimit \"account lee\" { recipients 6 }\n");
	struct policy_facts f = facts_of(c);
	char where[POLICY_WHERE_MAX];
	f.client_rule = &rule;
	assert_int_equal(policy_limit(&f, CONFIG_LIMIT_MESSAGE_SIZE), 5000);
	assert_string_equal(policy_limit_where(&f, CONFIG_LIMIT_MESSAGE_SIZE, where), "rules tcp.smtp:4");
	expect(&f, CONFIG_LIMIT_RECIPIENTS, 6, labels[CONFIG_SCOPE_ACCOUNT]);
	f.account = STR_EMPTY;
	assert_int_equal(policy_limit(&f, CONFIG_LIMIT_RECIPIENTS), 100000); // 0 there: none; here bounded
	f.client = (struct ipaddr){4, {203, 0, 113, 1}};
	expect(&f, CONFIG_LIMIT_MESSAGE_SIZE, 8 << 10, "network 203.0.113.0/24");
	config_destroy(c);
}

static void test_none_lifts(void **state)
{
	struct config *c = make_config("limit \"everywhere\" { commands 20 local-size 9K\n"
		"rate account recipients 5 per day\nrate client messages 6 per hour\n"
		"rate domain messages 7 per minute }\n"
		"limit \"account lee\" { commands none local-size none\nrate account recipients none per day\n"
		"rate client messages 60 per hour refuse }\n");
	struct policy_facts f = facts_of(c);
	struct policy_limits l;
	char text[CONFIG_RATE_TEXT_MAX], key[POLICY_RATE_KEY_MAX];
	policy_limits(&f, &l);
	assert_int_equal(l.value[CONFIG_LIMIT_COMMANDS], 0);
	assert_int_equal(policy_local_size(c, STR("lee@example.kr"), STR_EMPTY, NULL), 0);
	assert_int_equal(policy_local_size(c, STR("kim@example.kr"), STR_EMPTY, NULL), 9 << 10);
	assert_int_equal(l.rate_count, 2);
	for (unsigned i = 0; i < l.rate_count; i++) {
		config_rate_text(l.rates[i].rate, text);
		assert_true(policy_rate_key(&f, l.rates[i].rate, key));
		bool client = l.rates[i].rate->subject == CONFIG_RATE_CLIENT;
		assert_string_equal(text, client ? "rate client messages 60 per hour" :
			"rate domain messages 7 per minute");
		assert_string_equal(key, client ? "client 192.0.2.7 messages hour" :
			"domain example.kr messages minute");
	}
	f.client = (struct ipaddr){6, {0x20, 1, 0xd, 0xb8, 0, 1, 0, 2, 9, 9}};
	assert_true(policy_rate_key(&f, l.rates[0].rate, key));
	assert_true(l.rates[0].rate->subject != CONFIG_RATE_CLIENT ||
		!strcmp(key, "client 2001:db8:1:2::/64 messages hour"));
	config_destroy(c);
}

// ---- what is refused: the table says the rule and the code that the verdict has

static void verdict_is(const struct policy_verdict *v, enum config_limit_id id, uint64_t count,
	uint64_t limit)
{
	const struct config_limit_kind *k = &config_limit_kinds[id];
	assert_string_equal(v->rule, k->rule);
	assert_int_equal(v->reply.code, k->code);
	assert_string_equal(v->reply.enhanced, k->enhanced);
	assert_int_equal(v->count, count);
	assert_int_equal(v->limit, limit);
	assert_non_null(strstr(v->rule_text, "limit "));
}

static void test_verdicts(void **state)
{
	struct config *c = make_config("limit \"everywhere\" { messages 2 recipients 3 message-size 5K\n"
		"connections 6 connections-address 7 connections-network 8 connections-per-minute 9\n"
		"connections-per-minute-network 10 connections-per-minute-all 11 local-size 2K }\n");
	struct smtp_mail_parameters mail = {.has_size = true, .size = 5121};
	struct policy_facts f = {.config = c, .server = &c->servers[0], .client = {4, {192, 0, 2, 1}},
		.known = POLICY_FACT_CONNECTIONS | POLICY_FACT_SPACE | POLICY_FACT_RECIPIENT};
	static const struct {
		size_t field;
		enum config_limit_id id;
		uint32_t limit;
	} counts[] = {
		{offsetof(struct policy_facts, connections_all), CONFIG_LIMIT_CONNECTIONS, 6},
		{offsetof(struct policy_facts, connections_address), CONFIG_LIMIT_CONNECTIONS_ADDRESS, 7},
		{offsetof(struct policy_facts, connections_network), CONFIG_LIMIT_CONNECTIONS_NETWORK, 8},
		{offsetof(struct policy_facts, minute_address), CONFIG_LIMIT_MINUTE_ADDRESS, 9},
		{offsetof(struct policy_facts, minute_network), CONFIG_LIMIT_MINUTE_NETWORK, 10},
		{offsetof(struct policy_facts, minute_all), CONFIG_LIMIT_MINUTE_ALL, 11},
	};
	struct policy_verdict v;
	for (size_t i = 0; i < ARRAY_SIZE(counts); i++) {
		uint32_t *field = (uint32_t *)((char *)&f + counts[i].field);
		*field = counts[i].limit;
		policy_connect(&f, &v);
		assert_int_equal(v.kind, POLICY_ALLOW);
		++*field;
		policy_connect(&f, &v);
		verdict_is(&v, counts[i].id, counts[i].limit + 1, counts[i].limit);
		*field = 0;
	}
	f.mail = &mail;
	policy_mail(&f, &v);
	verdict_is(&v, CONFIG_LIMIT_MESSAGE_SIZE, 5121, 5120);
	mail.size = 2049;
	f.messages_so_far = 2;
	policy_mail(&f, &v);
	verdict_is(&v, CONFIG_LIMIT_MESSAGES, 3, 2);
	struct smtp_address to;
	assert_int_equal(smtp_address_parse(STR("kim@example.kr"), &to), 0);
	f.recipient = &to;
	f.recipient_exists = POLICY_EXISTS_YES;
	f.local_size = 2048;
	f.local_size_where = STR("limit everywhere /pabal.conf:9");
	policy_rcpt(&f, &v);
	verdict_is(&v, CONFIG_LIMIT_LOCAL_SIZE, 2049, 2048);
	mail.size = 2048;
	policy_rcpt(&f, &v);
	assert_int_equal(v.kind, POLICY_ALLOW);
	f.recipients_so_far = 3;
	policy_rcpt(&f, &v);
	verdict_is(&v, CONFIG_LIMIT_RECIPIENTS, 4, 3);
	config_destroy(c);
}

// Asked last, and only where something could be refused.
static void test_rates_are_asked(void **state)
{
	struct config *c = make_config("limit \"everywhere\" { rate client recipients 5 per day refuse\n"
		"rate client messages 5 per day hold\nrate account messages 4 per hour }\n");
	struct policy_facts f = {.config = c, .server = &c->servers[0], .client = {4, {192, 0, 2, 1}},
		.known = POLICY_FACT_SPACE | POLICY_FACT_RECIPIENT | POLICY_FACT_GUARD};
	struct policy_limits l;
	struct smtp_address to;
	struct policy_verdict v;
	policy_limits(&f, &l);
	f.limits = &l;
	policy_mail(&f, &v);
	assert_int_equal(v.kind, POLICY_ALLOW); // it would only hold, and nobody has logged in
	assert_int_equal(smtp_address_parse(STR("kim@example.kr"), &to), 0);
	f.recipient = &to;
	f.recipient_exists = POLICY_EXISTS_NO;
	policy_rcpt(&f, &v);
	assert_string_equal(v.rule, "unknown-recipient"); // nothing is reserved for it
	f.recipient_exists = POLICY_EXISTS_YES;
	policy_rcpt(&f, &v);
	assert_int_equal(v.need, POLICY_FACT_RATE);
	f.known |= POLICY_FACT_RATE;
	policy_rcpt(&f, &v);
	assert_int_equal(v.kind, POLICY_ALLOW);
	f.rate_full = l.rates[0];
	f.rate_count = 6;
	f.rate_left_ms = 3600000;
	policy_rcpt(&f, &v);
	assert_int_equal(v.reply.code, 550);
	assert_string_equal(v.reply.enhanced, "5.7.1");
	assert_string_equal(v.rule, "rate");
	assert_int_equal(v.count, 6);
	assert_int_equal(v.limit, 5);
	f.rate_uncertain = true;
	policy_rcpt(&f, &v);
	assert_int_equal(v.kind, POLICY_DEFER);
	assert_string_equal(v.rule, "rate-uncertain");
	f.account = STR("lee@example.kr");
	f.known = POLICY_FACT_SPACE | POLICY_FACT_ACCOUNT | POLICY_FACT_GUARD | POLICY_FACT_SENDER;
	f.account_state = POLICY_ACCOUNT_ENABLED;
	f.account_may_submit = true;
	f.recipient = NULL;
	policy_mail(&f, &v);
	assert_int_equal(v.kind, POLICY_NEED);
	assert_true(v.need & POLICY_FACT_RATE);
	config_destroy(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_limit_in_every_scope),
		cmocka_unit_test(test_scopes_that_are_not_known_in_time),
		cmocka_unit_test(test_snapshots),
		cmocka_unit_test(test_spellings),
		cmocka_unit_test(test_mistakes),
		cmocka_unit_test(test_shown),
		cmocka_unit_test(test_networks_and_groups),
		cmocka_unit_test(test_client_rule),
		cmocka_unit_test(test_none_lifts),
		cmocka_unit_test(test_verdicts),
		cmocka_unit_test(test_rates_are_asked),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
