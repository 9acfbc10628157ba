// SPDX-License-Identifier: ISC
// Chains of sources whose answers the test gives in place of the roles.
#include "world.h"

#include "auth/chain.h"

#define ASKED_MAX 64

struct asked {
	uint64_t request;
	char source[32], name[64], secret[64];
	enum auth_ask ask;
	bool checker;
};

struct chain_world {
	struct world *w;
	struct wheel *wheel;
	struct auth_chain *chain;
	struct config_source sources[6];
	struct config_server server;
	struct str server_sources[4];
	struct asked asked[ASKED_MAX];
	unsigned asked_count;
	struct ipaddr client;
	bool dead;
};

struct heard {
	struct auth_chain_ask ask;
	unsigned count;
	struct auth_chain_result result;
};

static int note_question(void *arg, bool to_checker, const struct ipc_check *m)
{
	struct chain_world *c = arg;
	struct asked *q = &c->asked[c->asked_count++];

	assert_true(c->asked_count < ASKED_MAX);
	q->request = m->request;
	q->ask = (enum auth_ask)m->ask;
	q->checker = to_checker;
	assert_true(str_copy(m->source, q->source, sizeof q->source));
	assert_true(str_copy(m->name, q->name, sizeof q->name));
	assert_true(str_copy(m->secret, q->secret, sizeof q->secret));
	return c->dead ? ERR_CLOSED : 0;
}

static void on_done(struct auth_chain_ask *ask, const struct auth_chain_result *r)
{
	struct heard *h = LIST_ENTRY(ask, struct heard, ask);

	h->count++;
	h->result = *r;
}

static void ask(struct chain_world *c, struct heard *h, const char *name, const char *password)
{
	struct auth_question q = {.name = str_from(name), .secret = str_from(password),
		.server = STR("staff"), .client = c->client};

	*h = (struct heard){.ask.done = on_done};
	auth_chain_start(c->chain, &h->ask, &q, 0);
}

static void say(struct chain_world *c, unsigned which, enum auth_verdict verdict)
{
	struct ipc_checked m = {.request = c->asked[which].request, .verdict = (uint8_t)verdict,
		.reason = STR("so it says")};

	auth_chain_answer(c->chain, &m);
}

#define ASKED(c, number, what) \
	do { \
		WAIT((c)->w, (c)->asked_count == (number)); \
		assert_string_equal((c)->asked[(number)-1].source, what); \
	} while (0)
#define HEARD(c, h, what) \
	do { \
		WAIT((c)->w, (h)->count); \
		assert_int_equal((h)->count, 1); \
		assert_int_equal((h)->result.answer.verdict, what); \
	} while (0)

// "*" before a name: on-failure continue. kinds and names are the same.
static void use(struct chain_world *c, const char *names)
{
	struct str rest = str_from(names), name;
	struct config *config = &c->w->config;

	config->auth.sources = c->sources;
	config->auth.source_count = 0;
	while (str_split(&rest, ' ', &name)) {
		bool more = str_starts(name, STR("*"));
		name = str_skip(name, more);
		c->sources[config->auth.source_count++] = (struct config_source){.kind = name,
			.name = name, .continue_on_no = more, .timeout = 100, .cache = 60000,
			.connections = 4};
	}
	auth_chain_set_config(c->chain, config);
}

static int setup(void **state)
{
	struct chain_world *c = mem_alloc(sizeof *c);
	struct auth_chain_host host = {note_question, c};

	world_make((void **)&c->w);
	c->wheel = wheel_create(&c->w->loop);
	c->chain = auth_chain_create(&c->w->loop, c->wheel, &c->w->config, c->w->secrets, &host);
	*state = c;
	return 0;
}

static int teardown(void **state)
{
	struct chain_world *c = *state;

	auth_chain_destroy(c->chain);
	wheel_destroy(c->wheel);
	world_end((void **)&c->w);
	mem_free(c);
	return 0;
}

// ---- what answers add up to
static void verdicts_add_up(void **state)
{
	struct chain_world *c = *state;
	static const struct {
		const char *sources, *says; // y n u c; what is not asked any more has no letter
		enum auth_verdict verdict;
	} rows[] = {
		{"dovecot", "y", AUTH_YES}, {"dovecot", "n", AUTH_NO}, {"dovecot", "u", AUTH_UNKNOWN},
		{"dovecot", "c", AUTH_CANNOT}, {"dovecot saslauthd", "y", AUTH_YES},
		{"dovecot saslauthd", "n", AUTH_NO}, {"dovecot saslauthd", "uy", AUTH_YES},
		{"dovecot saslauthd", "un", AUTH_NO}, {"dovecot saslauthd", "uu", AUTH_UNKNOWN},
		{"dovecot saslauthd", "cy", AUTH_YES}, {"dovecot saslauthd", "cn", AUTH_CANNOT},
		{"dovecot saslauthd", "cu", AUTH_CANNOT}, {"dovecot saslauthd", "uc", AUTH_CANNOT},
		{"*dovecot saslauthd", "ny", AUTH_YES}, {"*dovecot saslauthd", "nn", AUTH_NO},
		{"*dovecot saslauthd", "nu", AUTH_NO}, {"*dovecot saslauthd", "nc", AUTH_CANNOT},
		{"*dovecot", "n", AUTH_NO},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		static const char letters[] = "ynuc";
		struct heard h;
		c->asked_count = 0;
		use(c, rows[i].sources);
		ask(c, &h, "kim", "x");
		for (unsigned j = 0; rows[i].says[j]; j++) {
			assert_int_equal(c->asked_count, j + 1);
			assert_int_equal(h.count, 0);
			say(c, j, (enum auth_verdict)(strchr(letters, rows[i].says[j]) - letters));
		}
		if (h.count != 1 || h.result.answer.verdict != rows[i].verdict)
			fail_msg("%s: %s: %d", rows[i].sources, rows[i].says, h.result.answer.verdict);
		if (h.result.answer.verdict == AUTH_YES)
			assert_string_equal(h.result.answer.account, KIM);
		assert_false(h.result.own);
	}
}

static void accounts_have_their_place(void **state)
{
	struct chain_world *c = *state;
	struct heard h;

	use(c, "accounts dovecot");
	ask(c, &h, "kim", KIM_PASSWORD);
	HEARD(c, &h, AUTH_YES);
	assert_true(h.result.own);
	ask(c, &h, "kim", "wrong");
	HEARD(c, &h, AUTH_NO);
	assert_string_equal(h.result.answer.reason, "wrong password");
	assert_int_equal(c->asked_count, 0);
	ask(c, &h, "Lee", "x");
	ASKED(c, 1, "dovecot");
	assert_string_equal(c->asked[0].name, "Lee@example.kr"); // as sent
	say(c, 0, AUTH_NO);
	HEARD(c, &h, AUTH_NO);
	assert_string_equal(h.result.answer.reason, "dovecot: so it says");

	// Who moves from one to the other has two passwords for a while.
	use(c, "*accounts dovecot");
	ask(c, &h, "kim", "old");
	ASKED(c, 2, "dovecot");
	say(c, 1, AUTH_YES);
	HEARD(c, &h, AUTH_YES);
	assert_string_equal(h.result.answer.account, KIM);
}

static void unknown_costs_what_known_costs(void **state)
{
	struct chain_world *c = *state;
	struct heard h;
	unsigned long before, cost[2];

	use(c, "dovecot accounts");
	for (int i = 0; i < 2; i++) {
		c->asked_count = 0;
		before = password_operations();
		ask(c, &h, "lee", "x");
		say(c, 0, i ? AUTH_NO : AUTH_UNKNOWN);
		HEARD(c, &h, i ? AUTH_NO : AUTH_UNKNOWN);
		cost[i] = password_operations() - before;
	}
	assert_int_equal(cost[0], cost[1]);
	assert_true(cost[0] > 0);
}

static void a_server_names_its_sources(void **state)
{
	struct chain_world *c = *state;
	struct heard h;

	c->server_sources[0] = STR("dovecot");
	c->server = (struct config_server){.name = STR("staff"), .sources = {c->server_sources, 1}};
	c->w->config.servers = &c->server;
	c->w->config.server_count = 1;
	use(c, "accounts saslauthd dovecot");
	ask(c, &h, "kim", KIM_PASSWORD);
	ASKED(c, 1, "dovecot");
	say(c, 0, AUTH_UNKNOWN);
	HEARD(c, &h, AUTH_UNKNOWN);
}

static void five_at_once(void **state)
{
	struct chain_world *c = *state;
	static const char *const names[] = {"dovecot", "saslauthd", "pam", "poppasswd", "checkpassword"};
	struct heard h[5];

	use(c, "dovecot saslauthd pam poppasswd checkpassword");
	for (unsigned user = 0; user < 5; user++) {
		c->asked_count = 0;
		ask(c, &h[user], names[user], "x");
		for (unsigned i = 0; i < user; i++) {
			assert_string_equal(c->asked[i].source, names[i]);
			assert_int_equal(c->asked[i].checker, i >= 2);
			say(c, i, AUTH_UNKNOWN);
		}
		say(c, user, AUTH_YES);
		HEARD(c, &h[user], AUTH_YES);
		assert_int_equal(c->asked_count, user + 1);
	}
}

// A directory finds kim by other spellings as well; who is disabled must not come back as one.
static void another_spelling_is_nobody(void **state)
{
	static const struct {
		const char *name, *account;
		enum auth_verdict verdict;
	} rows[] = {
		{"KIM", "", AUTH_YES}, {"kim ", "", AUTH_NO}, {"\xef\xbd\x8bim@example.kr", "", AUTH_NO},
		{"kim ", KIM, AUTH_YES}, // it says itself who that is
	};
	struct chain_world *c = *state;

	use(c, "dovecot");
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct heard h;
		ask(c, &h, rows[i].name, "x");
		auth_chain_answer(c->chain, &(struct ipc_checked){
			.request = c->asked[i].request, .account = str_from(rows[i].account)});
		HEARD(c, &h, rows[i].verdict);
		if (rows[i].verdict == AUTH_YES)
			assert_string_equal(h.result.answer.account, KIM);
	}
}

// ---- sources that fail
static void a_hanging_source_is_passed_over(void **state)
{
	struct chain_world *c = *state;
	struct heard h, other;

	use(c, "dovecot saslauthd");
	ask(c, &h, "kim", "x");
	ask(c, &other, "lee", "x"); // began before it was known
	ASKED(c, 4, "saslauthd");
	say(c, 2, AUTH_YES);
	HEARD(c, &h, AUTH_YES);
	say(c, 3, AUTH_UNKNOWN);
	HEARD(c, &other, AUTH_CANNOT);
	assert_non_null(strstr(other.result.answer.reason, "dovecot: no answer within 100 ms"));

	// From now on the second is asked at once.
	c->asked_count = 0;
	ask(c, &h, "park", "x");
	assert_int_equal(c->asked_count, 1);
	assert_string_equal(c->asked[0].source, "saslauthd");
	say(c, 0, AUTH_YES);
	HEARD(c, &h, AUTH_YES);
}

static void a_dead_role_is_no_wait(void **state)
{
	struct chain_world *c = *state;
	struct heard h;

	use(c, "dovecot");
	c->dead = true;
	ask(c, &h, "kim", "x");
	assert_int_equal(h.count, 1);
	assert_int_equal(h.result.answer.verdict, AUTH_CANNOT);

	c->dead = false;
	ask(c, &h, "kim", "x");
	assert_int_equal(h.count, 0);
	auth_chain_lost(c->chain, true); // not the one that it waits for
	assert_int_equal(h.count, 0);
	auth_chain_lost(c->chain, false);
	HEARD(c, &h, AUTH_CANNOT);
	say(c, 1, AUTH_YES); // nobody listens
	assert_int_equal(h.count, 1);
}

static void cancelled_anywhere(void **state)
{
	struct chain_world *c = *state;
	struct heard h;

	use(c, "dovecot accounts");
	ask(c, &h, "kim", "x");
	auth_chain_cancel(&h.ask);
	say(c, 0, AUTH_YES);
	ask(c, &h, "kim", "x");
	say(c, 1, AUTH_UNKNOWN); // now it is hashed
	auth_chain_cancel(&h.ask);
	auth_chain_cancel(&h.ask);
	ask(c, &h, "kim", "x");
	use(c, "saslauthd"); // a reload does not end it
	say(c, 2, AUTH_YES);
	HEARD(c, &h, AUTH_YES);
}

// ---- memory
static bool remembered_by(
	struct chain_world *c, const char *server, const char *name, const char *password)
{
	struct auth_question q = {.name = str_from(name), .secret = str_from(password),
		.server = str_from(server), .client = c->client};
	struct auth_chain_result r;
	bool found = auth_chain_remembered(c->chain, &q, &r);

	if (found)
		assert_string_equal(r.answer.account, KIM);
	return found;
}

static bool remembered(struct chain_world *c, const char *name, const char *password)
{
	return remembered_by(c, "staff", name, password);
}

static void a_yes_is_remembered(void **state)
{
	struct chain_world *c = *state;
	struct heard h;

	use(c, "dovecot");
	for (int forgets = 0; forgets < 3; forgets++) {
		c->asked_count = 0;
		assert_false(remembered(c, "kim", "x"));
		ask(c, &h, "kim", "x");
		say(c, 0, AUTH_YES);
		HEARD(c, &h, AUTH_YES);
		assert_true(remembered(c, "KIM@example.kr", "x"));
		assert_false(remembered(c, "kim", "y"));
		assert_false(remembered(c, "lee", "x"));
		if (forgets == 0)
			auth_chain_forget(c->chain, STR(KIM));
		else if (forgets == 1)
			auth_chain_set_config(c->chain, &c->w->config);
		else
			auth_chain_forget(c->chain, STR_EMPTY);
	}
	c->sources[0].cache = 0;
	auth_chain_set_config(c->chain, &c->w->config);
	c->asked_count = 0;
	ask(c, &h, "kim", "x");
	say(c, 0, AUTH_YES);
	assert_false(remembered(c, "kim", "x"));
}

// Sources are told server and address, and may answer by them.
static void a_yes_is_one_to_a_place(void **state)
{
	struct chain_world *c = *state;
	struct heard h;

	use(c, "dovecot");
	assert_int_equal(ipaddr_parse(STR("192.0.2.1"), &c->client), 0);
	ask(c, &h, "kim", "x");
	say(c, 0, AUTH_YES);
	HEARD(c, &h, AUTH_YES);
	assert_true(remembered(c, "kim", "x"));
	assert_false(remembered_by(c, "guests", "kim", "x"));
	assert_int_equal(ipaddr_parse(STR("198.51.100.1"), &c->client), 0);
	assert_false(remembered(c, "kim", "x"));
}

// Where another source comes first, its no counts, whatever a server without it was told.
static void a_yes_is_one_of_an_order(void **state)
{
	struct chain_world *c = *state;
	struct heard h;

	c->server_sources[0] = STR("accounts");
	c->server = (struct config_server){.name = STR("staff"), .sources = {c->server_sources, 1}};
	c->w->config.servers = &c->server;
	c->w->config.server_count = 1;
	use(c, "dovecot accounts");
	ask(c, &h, "kim", KIM_PASSWORD);
	HEARD(c, &h, AUTH_YES);
	assert_int_equal(c->asked_count, 0);
	assert_true(remembered(c, "kim", KIM_PASSWORD));
	assert_false(remembered_by(c, "guests", "kim", KIM_PASSWORD));

	c->server.name = STR("other");
	ask(c, &h, "kim", KIM_PASSWORD); // now of both
	say(c, 0, AUTH_UNKNOWN);
	HEARD(c, &h, AUTH_YES);
	assert_true(remembered(c, "kim", KIM_PASSWORD));
	assert_false(remembered_by(c, "guests", "kim", KIM_PASSWORD));
	auth_chain_forget(c->chain, STR(KIM));
	assert_false(remembered(c, "kim", KIM_PASSWORD));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(verdicts_add_up),
		TEST(accounts_have_their_place),
		TEST(unknown_costs_what_known_costs),
		TEST(a_server_names_its_sources),
		TEST(five_at_once),
		TEST(another_spelling_is_nobody),
		TEST(a_hanging_source_is_passed_over),
		TEST(a_dead_role_is_no_wait),
		TEST(cancelled_anywhere),
		TEST(a_yes_is_remembered),
		TEST(a_yes_is_one_to_a_place),
		TEST(a_yes_is_one_of_an_order),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
