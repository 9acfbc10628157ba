// SPDX-License-Identifier: ISC
// The steps besides relaying: who may connect, log in and begin a message, and which facts
// each step asks for.
#include "facts.h"

#include "policy/limits.h"

#include "policy/guard.h"

#include <stdint.h>

static void expect(const struct policy_verdict *v, enum policy_kind kind, const char *rule,
	unsigned code, const char *enhanced)
{
	assert_string_equal(v->rule, rule);
	assert_int_equal(v->kind, kind);
	assert_int_equal(v->reply.code, code);
	assert_string_equal(v->reply.enhanced, enhanced);
}

static void test_connect_denied(void **state)
{
	struct client_rule deny = {.action = CLIENT_DENY, .text = STR("no robots, please"),
		.place = {STR("pabal.conf"), 7}};
	struct policy_facts f = house_facts(SERVER_MX, NULL);
	struct policy_verdict v;

	f.client_rule = &deny;
	policy_connect(&f, &v); // needs no facts
	expect(&v, POLICY_DROP, "client-denied", 554, "5.7.1");
	assert_string_equal(v.reply.text, "client-denied: no robots, please");
	assert_string_equal(v.rule_text, "clients pabal.conf:7");
	deny.text = STR_EMPTY; // as tcpserver does
	policy_connect(&f, &v);
	expect(&v, POLICY_DROP, "client-denied", 0, ""); // closed without a word
	assert_string_equal(v.rule_text, "clients pabal.conf:7");
	deny.foreign = true;
	deny.place = (struct tables_place){STR("/etc/tcp.smtp.cdb"), 0};
	deny.name = STR("1.2.3.");
	policy_connect(&f, &v);
	assert_string_equal(v.rule_text, "rules /etc/tcp.smtp.cdb, rule \"1.2.3.\"");
}

// Where its name could change the answer it is asked for, but only of those who may stay.
static void test_connect_name(void **state)
{
	struct client_rule deny = {.action = CLIENT_DENY, .text = STR_EMPTY};
	struct policy_facts f = house_facts(SERVER_MX, NULL);
	struct policy_verdict v;

	house.limits.connections_address = 20;
	f.client_rule = &deny;
	f.client_by_name = true;
	policy_connect(&f, &v);
	assert_int_equal(v.need, POLICY_FACT_CONNECTIONS);
	f.known = POLICY_FACT_CONNECTIONS;
	f.connections_address = 21;
	policy_connect(&f, &v);
	assert_string_equal(v.rule, "max-connections-address");
	f.connections_address = 1;
	policy_connect(&f, &v);
	assert_int_equal(v.need, POLICY_FACT_HOSTNAME);
	f.known |= POLICY_FACT_HOSTNAME;
	f.client_by_name = false;
	policy_connect(&f, &v);
	assert_string_equal(v.rule, "client-denied");
	f.client_rule = NULL;
	policy_connect(&f, &v);
	assert_int_equal(v.kind, POLICY_ALLOW);
}

// A deny that came into force since the client connected refuses the next message.
static void test_mail_denied(void **state)
{
	struct client_rule deny = {.action = CLIENT_DENY, .text = STR_EMPTY, .foreign = true,
		.place = {STR("/etc/tcp.smtp"), 4}};
	struct policy_facts f = house_facts(SERVER_MX, NULL);
	struct policy_verdict v;

	f.client_by_name = true;
	policy_mail(&f, &v);
	assert_int_equal(v.need, POLICY_FACT_HOSTNAME);
	f.client_by_name = false;
	f.client_rule = &deny;
	policy_mail(&f, &v);
	expect(&v, POLICY_REFUSE, "client-denied", 550, "5.7.1");
	assert_string_equal(v.rule_text, "rules /etc/tcp.smtp:4");
}

// What a rule of tcprules says beside allow and deny.
static void test_rule_variables(void **state)
{
	struct client_rule rule = {.action = CLIENT_RELAY, .has_databytes = true, .databytes = 500,
		.has_maxrcpt = true, .maxrcpt = 2, .foreign = true, .name = STR("192.0.2."),
		.place = {STR("/etc/tcp.smtp.cdb"), 0}};
	struct smtp_mail_parameters mail = {.has_size = true, .size = 501};
	struct smtp_address to;
	struct policy_facts f = house_facts(SERVER_MX, &to);
	struct policy_verdict v;

	assert_int_equal(smtp_address_parse(STR("a@elsewhere.example"), &to), 0);
	f.client_rule = &rule;
	f.mail = &mail;
	policy_mail(&f, &v);
	expect(&v, POLICY_REFUSE, "max-message-size", 552, "5.3.4");
	assert_string_equal(v.rule_text, "rules /etc/tcp.smtp.cdb, rule \"192.0.2.\"");
	rule.databytes = 0; // no limit, also where the server has one
	mail.size = 20000;
	f.known = POLICY_FACT_SPACE | POLICY_FACT_GUARD;
	policy_mail(&f, &v);
	assert_int_equal(v.kind, POLICY_ALLOW);
	assert_int_equal(policy_limit(&f, CONFIG_LIMIT_MESSAGE_SIZE), (uint64_t)4 << 30);
	f.recipients_so_far = 2;
	policy_rcpt(&f, &v);
	expect(&v, POLICY_DEFER, "max-recipients", 452, "4.5.3");
	rule.maxrcpt = 0;
	f.recipients_so_far = 200;
	policy_rcpt(&f, &v);
	assert_int_equal(v.kind, POLICY_ALLOW);
}

static void test_rblsmtpd(void **state)
{
	struct client_rule rule = {.action = CLIENT_RELAY, .has_rblsmtpd = true,
		.rblsmtpd = STR("http://rbl.example/7"), .place = {STR("/etc/tcp.smtp"), 9}};
	struct smtp_address to;
	struct policy_facts f = house_facts(SERVER_MX, &to);
	struct policy_verdict v;

	assert_int_equal(smtp_address_parse(STR("postmaster@example.org"), &to), 0);
	f.client_rule = &rule;
	policy_rcpt(&f, &v);
	expect(&v, POLICY_DEFER, "rbl-text", 451, "4.7.1");
	assert_string_equal(v.reply.text, "http://rbl.example/7");
	assert_string_equal(v.rule_text, "clients /etc/tcp.smtp:9");
	rule.rblsmtpd = STR("-go away");
	policy_rcpt(&f, &v);
	expect(&v, POLICY_REFUSE, "rbl-text", 553, "5.7.1");
	assert_string_equal(v.reply.text, "go away");
	rule.rblsmtpd = STR_EMPTY; // not looked up in lists, nothing more
	policy_rcpt(&f, &v);
	assert_int_equal(v.kind, POLICY_ALLOW);
}

static void test_connect_counts(void **state)
{
	static const struct {
		uint32_t address, network, all;
		const char *rule; // NULL: allowed
	} rows[] = {
		{1, 1, 1, NULL},
		{20, 100, 1000, NULL},
		{21, 21, 21, "max-connections-address"},
		{1, 101, 101, "max-connections-network"},
		{1, 1, 1001, "max-connections"},
		{UINT32_MAX, UINT32_MAX, UINT32_MAX, "max-connections-address"},
	};
	struct policy_facts f = house_facts(SERVER_MX, NULL);
	struct policy_verdict v;

	policy_connect(&f, &v);
	assert_int_equal(v.kind, POLICY_NEED);
	assert_int_equal(v.need, POLICY_FACT_CONNECTIONS);
	house.limits.connections_address = 20;
	house.limits.connections_network = 100;
	house.limits.connections = 1000;
	f.known = POLICY_FACT_CONNECTIONS;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		f.connections_address = rows[i].address;
		f.connections_network = rows[i].network;
		f.connections_all = rows[i].all;
		policy_connect(&f, &v);
		if (rows[i].rule)
			expect(&v, POLICY_DROP, rows[i].rule, 421, "4.7.0");
		else
			assert_int_equal(v.kind, POLICY_ALLOW);
	}
}

static void test_auth(void **state)
{
	static const struct {
		int server;
		bool tls, without_tls;
		unsigned code; // 0: allowed
		const char *rule;
	} rows[] = {
		{SERVER_MX, true, false, 502, "auth-not-offered"},
		{SERVER_MX, false, true, 502, "auth-not-offered"},
		{SERVER_OFFERING, true, false, 0, NULL},
		{SERVER_OFFERING, false, false, 538, "auth-needs-tls"},
		{SERVER_OFFERING, false, true, 0, NULL},
		{SERVER_SUBMISSION, true, false, 0, NULL},
		{SERVER_SUBMISSION, false, false, 530, "require-tls"},
		{SERVER_SUBMISSION, false, true, 530, "require-tls"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct policy_facts f = house_facts(rows[i].server, NULL);
		struct policy_verdict v;

		house_servers[rows[i].server].auth_without_tls = rows[i].without_tls;
		f.tls = rows[i].tls;
		policy_auth(&f, &v);
		house_servers[rows[i].server].auth_without_tls = false;
		assert_int_equal(v.kind, rows[i].code ? POLICY_REFUSE : POLICY_ALLOW);
		assert_int_equal(v.reply.code, rows[i].code);
		if (rows[i].rule)
			assert_string_equal(v.rule, rows[i].rule);
	}
}

struct mail_case {
	struct policy_facts f;
	struct smtp_address sender;
	struct smtp_mail_parameters mail;
	struct policy_verdict v;
};

static void begin(struct mail_case *c, int server, const char *sender)
{
	size_t used;

	*c = (struct mail_case){.f = house_facts(server, NULL)};
	c->f.known = POLICY_FACT_SPACE;
	assert_int_equal(smtp_address_parse_path(str_from(sender), &c->sender, &used), 0);
	c->f.sender = &c->sender;
	c->f.mail = &c->mail;
}

static void log_in(struct mail_case *c, enum policy_account account)
{
	c->f.account = STR("kim@example.org");
	c->f.known |= POLICY_FACT_ACCOUNT | POLICY_FACT_GUARD;
	c->f.account_state = account;
	c->f.account_may_submit = true;
}

static void test_mail_needs_tls_and_login(void **state)
{
	struct mail_case c;

	begin(&c, SERVER_SUBMISSION, "<kim@example.org>");
	c.f.tls = false;
	log_in(&c, POLICY_ACCOUNT_ENABLED);
	policy_mail(&c.f, &c.v);
	expect(&c.v, POLICY_REFUSE, "require-tls", 530, "5.7.0");
	assert_string_equal(c.v.reply.text, "Must issue a STARTTLS command first");
	begin(&c, SERVER_SUBMISSION, "<kim@example.org>");
	policy_mail(&c.f, &c.v);
	expect(&c.v, POLICY_REFUSE, "require-auth", 530, "5.7.0");
	assert_string_equal(c.v.reply.text, "Authentication required");
	begin(&c, SERVER_MX, "<kim@example.org>");
	c.f.tls = false;
	policy_mail(&c.f, &c.v);
	assert_int_equal(c.v.kind, POLICY_ALLOW);
	begin(&c, SERVER_MX, "<>");
	policy_mail(&c.f, &c.v);
	assert_int_equal(c.v.kind, POLICY_ALLOW);
}

static void test_mail_limits(void **state)
{
	struct mail_case c;

	begin(&c, SERVER_MX, "<kim@example.org>");
	c.mail.has_size = true;
	c.mail.size = 10000;
	policy_mail(&c.f, &c.v);
	assert_int_equal(c.v.kind, POLICY_ALLOW);
	c.mail.size = 10001;
	policy_mail(&c.f, &c.v);
	expect(&c.v, POLICY_REFUSE, "max-message-size", 552, "5.3.4");
	c.mail.size = UINT64_MAX;
	policy_mail(&c.f, &c.v);
	expect(&c.v, POLICY_REFUSE, "max-message-size", 552, "5.3.4");
	begin(&c, SERVER_MX, "<kim@example.org>");
	c.f.messages_so_far = 100;
	policy_mail(&c.f, &c.v);
	expect(&c.v, POLICY_DROP, "max-messages", 421, "4.7.0");
	begin(&c, SERVER_MX, "<postmaster>");
	policy_mail(&c.f, &c.v);
	expect(&c.v, POLICY_REFUSE, "sender-without-domain", 553, "5.1.7");
}

static void test_mail_store_full(void **state)
{
	struct mail_case c;

	begin(&c, SERVER_MX, "<kim@example.org>");
	c.f.known = 0;
	policy_mail(&c.f, &c.v);
	assert_int_equal(c.v.kind, POLICY_NEED);
	assert_int_equal(c.v.need, POLICY_FACT_SPACE);
	c.f.account = STR("kim@example.org"); // all that is missing is fetched at once
	policy_mail(&c.f, &c.v);
	assert_int_equal(c.v.need, POLICY_FACT_SPACE | POLICY_FACT_ACCOUNT | POLICY_FACT_GUARD);
	c.f.account = STR_EMPTY;
	c.f.known = POLICY_FACT_SPACE;
	c.f.store_full = true;
	policy_mail(&c.f, &c.v);
	expect(&c.v, POLICY_DEFER, "store-full", 452, "4.3.1");
}

static void test_mail_account(void **state)
{
	struct mail_case c;

	begin(&c, SERVER_SUBMISSION, "<kim@example.org>");
	c.f.account = STR("kim@example.org");
	policy_mail(&c.f, &c.v);
	assert_int_equal(c.v.kind, POLICY_NEED);
	assert_int_equal(c.v.need, POLICY_FACT_ACCOUNT | POLICY_FACT_GUARD);
	log_in(&c, POLICY_ACCOUNT_ENABLED);
	policy_mail(&c.f, &c.v);
	assert_int_equal(c.v.kind, POLICY_ALLOW);
	c.f.account_may_submit = false;
	policy_mail(&c.f, &c.v);
	expect(&c.v, POLICY_REFUSE, "submit-denied", 550, "5.7.1");
	log_in(&c, POLICY_ACCOUNT_DISABLED);
	policy_mail(&c.f, &c.v);
	expect(&c.v, POLICY_REFUSE, "account-disabled", 550, "5.7.1");
	log_in(&c, POLICY_ACCOUNT_NONE);
	policy_mail(&c.f, &c.v);
	expect(&c.v, POLICY_REFUSE, "account-removed", 550, "5.7.1");
	log_in(&c, POLICY_ACCOUNT_UNKNOWN);
	policy_mail(&c.f, &c.v);
	expect(&c.v, POLICY_DEFER, "account-uncertain", 451, "4.3.0");
	c.f.account_state = POLICY_ACCOUNT_LOCKED;
	c.f.account_reason = STR("stolen telephone");
	policy_mail(&c.f, &c.v);
	expect(&c.v, POLICY_REFUSE, "account-locked", 550, "5.7.1");
	assert_null(strstr(c.v.reply.text, "stolen")); // the log's, not the client's
	assert_string_equal(c.v.rule_text, "lock: stolen telephone");
	c.f.account_state = POLICY_ACCOUNT_EXPIRED;
	policy_mail(&c.f, &c.v);
	expect(&c.v, POLICY_REFUSE, "account-expired", 550, "5.7.1");
}

// What the guard does: an account waits, or is refused; a client only where its address gives it rights.
static void test_mail_guard(void **state)
{
	const struct client_rule rule = {.action = CLIENT_RELAY};
	struct mail_case c;

	begin(&c, SERVER_SUBMISSION, "<kim@example.org>");
	log_in(&c, POLICY_ACCOUNT_ENABLED);
	c.f.guard_action = GUARD_SLOW;
	c.f.guard_slow_ms = 5000;
	policy_mail(&c.f, &c.v);
	assert_int_equal(c.v.kind, POLICY_ALLOW);
	assert_int_equal(c.v.delay_ms, 5000);
	c.f.guard_action = GUARD_HOLD; // queue does that
	policy_mail(&c.f, &c.v);
	assert_int_equal(c.v.delay_ms, 0);
	c.f.guard_action = GUARD_SUSPEND;
	policy_mail(&c.f, &c.v);
	expect(&c.v, POLICY_REFUSE, "guard-suspended", 550, "5.7.1");
	begin(&c, SERVER_MX, "<kim@example.org>");
	assert_false(policy_is_guarded(&c.f));
	c.f.client_rule = &rule;
	assert_true(policy_is_guarded(&c.f));
	policy_mail(&c.f, &c.v);
	assert_int_equal(c.v.need, POLICY_FACT_GUARD);
	begin(&c, SERVER_SUBMISSION, "<kim@example.org>");
	c.f.client_rule = &rule;
	assert_false(policy_is_guarded(&c.f));
}

// From where and through which port an account may send, and who says so.
static void test_mail_places(void **state)
{
	static const struct {
		const char *networks, *servers;
		const char *rule, *who; // rule NULL: allowed
	} rows[] = {
		{"", "", NULL},
		{"account\t203.0.113.0/24", "", NULL},
		{"account\t192.0.2.0/24 10.0.0.0/8", "", "account-from-networks", "account"},
		{"group staff\t203.0.113.7\ngroup night\t10.0.0.0/8", "", "account-from-networks",
			"group night"},
		{"group staff\t203.0.113.7\ngroup night\t0.0.0.0/0 ::/0", "", NULL},
		{"rubbish", "", "account-from-networks", "rubbish"},
		{"", "account\tmx submission", NULL},
		{"", "group staff\tmx", "account-servers", "group staff"},
		{"account\t203.0.113.7", "account\tsub", "account-servers", "account"},
	};
	struct mail_case c;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		begin(&c, SERVER_SUBMISSION, "<kim@example.org>");
		log_in(&c, POLICY_ACCOUNT_ENABLED);
		c.f.account_networks = str_from(rows[i].networks);
		c.f.account_servers = str_from(rows[i].servers);
		policy_mail(&c.f, &c.v);
		if (!rows[i].rule) {
			assert_int_equal(c.v.kind, POLICY_ALLOW);
			continue;
		}
		expect(&c.v, POLICY_REFUSE, rows[i].rule, 550, "5.7.1");
		assert_string_equal(c.v.rule_text, rows[i].who);
		assert_non_null(strstr(c.v.reply.text, "kim@example.org may not send"));
	}
	c.f.account_networks = STR("account\t10.0.0.0/8");
	policy_mail(&c.f, &c.v);
	assert_string_equal(c.v.reply.text, "account-from-networks: account kim@example.org may not "
		"send from 203.0.113.7; ask the administrator");
}

static void test_rcpt_facts_and_limits(void **state)
{
	struct smtp_address to;
	struct policy_facts f = house_facts(SERVER_MX, &to);
	struct policy_verdict v;

	smtp_address_parse(STR("kim@example.org"), &to);
	policy_rcpt(&f, &v);
	assert_int_equal(v.kind, POLICY_NEED);
	assert_int_equal(v.need, POLICY_FACT_RECIPIENT);
	f.known = POLICY_FACT_RECIPIENT;
	f.recipient_exists = POLICY_EXISTS_UNKNOWN;
	policy_rcpt(&f, &v);
	expect(&v, POLICY_DEFER, "recipient-uncertain", 451, "4.3.0");
	f.recipient_exists = POLICY_EXISTS_YES;
	f.recipients_so_far = 99;
	policy_rcpt(&f, &v);
	assert_int_equal(v.kind, POLICY_ALLOW);
	assert_true(v.local);
	f.recipients_so_far = 100;
	policy_rcpt(&f, &v);
	expect(&v, POLICY_DEFER, "max-recipients", 452, "4.5.3");
}

static void test_route_refused(void **state)
{
	static struct config_route routes[] = {
		{.pattern = LIT("closed.example"), .kind = CONFIG_ROUTE_REFUSE, .text = LIT("we do not write to them")},
	};
	struct client_rule relay = {.action = CLIENT_RELAY};
	struct smtp_address to;
	struct policy_facts f = house_facts(SERVER_MX, &to);
	struct policy_verdict v;

	house.routes = routes;
	house.route_count = 1;
	assert_int_equal(smtp_address_parse(STR("a@closed.example"), &to), 0);
	// Who may not relay at all learns that, and nothing about routes.
	policy_rcpt(&f, &v);
	expect(&v, POLICY_REFUSE, "relay-denied", 550, "5.7.1");
	f.client_rule = &relay;
	policy_rcpt(&f, &v);
	expect(&v, POLICY_REFUSE, "route-refused", 550, "5.7.1");
	assert_string_equal(v.reply.text, "route-refused: we do not write to them");
	assert_int_equal(smtp_address_parse(STR("a@open.example"), &to), 0);
	policy_rcpt(&f, &v);
	assert_int_equal(v.kind, POLICY_ALLOW);
	house.route_count = 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_connect_denied),
		cmocka_unit_test(test_connect_name),
		cmocka_unit_test(test_mail_denied),
		cmocka_unit_test(test_rule_variables),
		cmocka_unit_test(test_rblsmtpd),
		cmocka_unit_test(test_connect_counts),
		cmocka_unit_test(test_auth),
		cmocka_unit_test(test_mail_needs_tls_and_login),
		cmocka_unit_test(test_mail_limits),
		cmocka_unit_test(test_mail_store_full),
		cmocka_unit_test(test_mail_account),
		cmocka_unit_test(test_mail_guard),
		cmocka_unit_test(test_mail_places),
		cmocka_unit_test(test_rcpt_facts_and_limits),
		cmocka_unit_test(test_route_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
