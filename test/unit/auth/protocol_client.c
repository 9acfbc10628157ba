// SPDX-License-Identifier: ISC
// The client's end: against our server with every octet on its own, and against a bare socket that
// behaves as Dovecot or as nothing should.
#include "world.h"

#include "auth/protocol.h"

#include <errno.h>
#include <sys/socket.h>

#define GREETING "VERSION\t1\t2\nMECH\tPLAIN\tplaintext\nSPID\t1\nCUID\t2\nCOOKIE\t00\nDONE\n"

struct client {
	struct world *w;
	struct auth_client *client;
	int fd;                  // our end of its connection; -1: none
	struct buf got;
	unsigned asked;
	bool refuse;
	struct auth_server *server; // or a real one
	int relay[2];            // between the two, octet by octet
};

struct answer {
	unsigned count;
	enum auth_outcome outcome;
	char data[64], account[64], reason[100];
	bool may_submit, may_relay;
};

static void on_connect(void *arg)
{
	struct client *c = arg;

	c->asked++;
}

static void on_answer(void *arg, const struct auth_reply *r)
{
	struct answer *a = arg;

	a->count++;
	a->outcome = r->outcome;
	a->may_submit = r->may_submit;
	a->may_relay = r->may_relay;
	assert_true(str_copy(r->data, a->data, sizeof a->data));
	assert_true(str_copy(r->account, a->account, sizeof a->account));
	assert_true(str_copy(r->reason, a->reason, sizeof a->reason));
}

static void begin(struct client *c, struct world *w, bool trusted)
{
	struct auth_client_options o = {.loop = &w->loop, .connect = on_connect, .arg = c, .trusted = trusted};

	*c = (struct client){.w = w, .fd = -1, .relay = {-1, -1}};
	c->client = auth_client_create(&o);
	assert_int_equal(c->asked, 1);
}

static void connect_bare(struct client *c)
{
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
	if (c->fd >= 0)
		close(c->fd);
	c->fd = pair[0];
	buf_clear(&c->got);
	auth_client_connected(c->client, pair[1]);
}

static void say(struct client *c, const char *text)
{
	assert_int_equal(write(c->fd, text, strlen(text)), strlen(text));
}

static const char *line(struct client *c)
{
	static char out[4096];
	ptrdiff_t at;

	for (;;) {
		char octets[4096];
		ssize_t n;
		WAIT(c->w, (n = read(c->fd, octets, sizeof octets)) >= 0 || errno != EAGAIN ||
			str_find(buf_str(&c->got), '\n') >= 0);
		if (n > 0)
			buf_add(&c->got, octets, (size_t)n);
		if ((at = str_find(buf_str(&c->got), '\n')) >= 0)
			break;
		if (n <= 0)
			return NULL;
	}
	snprintf(out, sizeof out, "%.*s", (int)at, buf_str(&c->got).data);
	buf_consume(&c->got, (size_t)at + 1);
	return out;
}

static void greet(struct client *c)
{
	connect_bare(c);
	assert_string_equal(line(c), "VERSION\t1\t2");
	assert_int_equal(strncmp(line(c), "CPID\t", 5), 0);
	say(c, GREETING);
	WAIT(c->w, auth_client_mechanisms(c->client, true, false)[0]);
}

static void end(struct client *c)
{
	auth_client_destroy(c->client);
	auth_server_destroy(c->server);
	if (c->fd >= 0)
		close(c->fd);
	for (int i = 0; i < 2; i++)
		if (c->relay[i] >= 0)
			close(c->relay[i]);
	buf_finish(&c->got);
}

static struct auth_exchange *start(struct client *c, const char *mechanism, struct str initial,
	struct answer *a)
{
	struct auth_request r = {.mechanism = mechanism, .initial = initial, .secured = true,
		.client = c->w->client, .server = STR("submission"), .session = 0};

	*a = (struct answer){0};
	return auth_client_start(c->client, &r, on_answer, a);
}

// ---- with our own server
static void on_closed(struct auth_server *s, void *arg)
{
	struct client *c = arg;

	c->server = NULL;
	auth_server_destroy(s);
}

static void connect_server(struct client *c, bool trusted)
{
	int client[2], server[2];
	struct auth_server_options o = {.loop = &c->w->loop, .authenticator = c->w->authenticator,
		.trusted = trusted, .closed = on_closed, .arg = c};

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, client), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, server), 0);
	c->relay[0] = client[0];
	c->relay[1] = server[0];
	c->server = auth_server_create(&o, server[1]);
	auth_client_connected(c->client, client[1]);
}

// One octet in each direction.
static void relay(struct client *c)
{
	char octet;

	for (int i = 0; i < 2; i++)
		if (read(c->relay[i], &octet, 1) == 1)
			assert_int_equal(write(c->relay[!i], &octet, 1), 1);
}

#define RELAY_UNTIL(c, condition) \
	do { \
		uint64_t end_ = clock_monotonic_ms() + 20000; \
		while (!(condition)) { \
			assert_true(clock_monotonic_ms() < end_); \
			relay(c); \
			uv_run(&(c)->w->loop, UV_RUN_NOWAIT); \
		} \
	} while (0)

static void both_ends_octet_by_octet(void **state)
{
	struct world *w = *state;
	struct client c;
	struct answer a, b;

	for (int trusted = 0; trusted < 2; trusted++) {
		begin(&c, w, trusted);
		connect_server(&c, trusted);
		assert_string_equal(auth_client_mechanisms(c.client, true, true), "");
		RELAY_UNTIL(&c, auth_client_mechanisms(c.client, true, false)[0]);
		assert_string_equal(auth_client_mechanisms(c.client, true, false), "PLAIN LOGIN");
		assert_string_equal(auth_client_mechanisms(c.client, false, true), "PLAIN LOGIN");
		assert_string_equal(auth_client_mechanisms(c.client, false, false), "");

		start(&c, "PLAIN", STR("\0kim\0" KIM_PASSWORD), &a);
		struct auth_exchange *x = start(&c, "LOGIN", (struct str){NULL, 0}, &b);
		RELAY_UNTIL(&c, a.count && b.count);
		assert_int_equal(a.outcome, AUTH_OK);
		assert_string_equal(a.account, KIM);
		assert_true(a.may_submit);
		assert_int_equal(a.may_relay, !trusted); // our rights reach our own smtpd only
		assert_int_equal(b.outcome, AUTH_CONTINUE);
		assert_string_equal(b.data, "Username:");
		auth_client_continue(x, STR("kim"));
		RELAY_UNTIL(&c, b.count == 2);
		assert_string_equal(b.data, "Password:");
		auth_client_continue(x, STR("wrong"));
		RELAY_UNTIL(&c, b.count == 3);
		assert_int_equal(b.outcome, AUTH_FAILED);
		assert_string_equal(b.account, KIM);
		assert_string_equal(b.reason, trusted ? "wrong password" : "");

		x = start(&c, "PLAIN", (struct str){NULL, 0}, &a);
		RELAY_UNTIL(&c, a.count);
		assert_int_equal(a.outcome, AUTH_CONTINUE);
		assert_string_equal(a.data, "");
		auth_client_cancel(x);
		start(&c, "PLAIN", STR("\0kim\0" KIM_PASSWORD), &b);
		RELAY_UNTIL(&c, b.count);
		assert_int_equal(b.outcome, AUTH_OK);
		assert_int_equal(a.count, 1);
		end(&c);
	}
}

// ---- with others
static void what_a_dovecot_says(void **state)
{
	static const struct {
		const char *answer;
		enum auth_outcome outcome;
		const char *account, *reason;
		bool may_relay;
	} rows[] = {
		{"OK\t1\tuser=kim@example.kr\n", AUTH_OK, "kim@example.kr", "", true},
		{"OK\t1\tuser=kim\trights=submit\n", AUTH_OK, "kim", "", false},
		{"OK\t1\tuser=kim\thost=x\tnologin\n", AUTH_OK, "kim", "", true},
		{"FAIL\t1\n", AUTH_FAILED, "", "", false},
		{"FAIL\t1\tuser=kim\n", AUTH_FAILED, "kim", "", false},
		{"FAIL\t1\tuser=kim\tuser_disabled\n", AUTH_FAILED, "kim", "disabled", false},
		{"FAIL\t1\tcode=pass_expired\n", AUTH_FAILED, "", "password expired", false},
		{"FAIL\t1\tuser=kim\ttemp\n", AUTH_UNAVAILABLE, "kim",
			"the authentication service cannot tell now", false},
		{"FAIL\t1\treason=because\n", AUTH_FAILED, "", "because", false},
		{"FAIL\t2\nOK\t3\tuser=lee\nFAIL\t1\n", AUTH_FAILED, "", "", false}, // of nobody
		{"CONT\t1\t***\n", AUTH_UNAVAILABLE, "", "the authentication service sent a broken challenge", false},
	};
	struct client c;
	struct answer a;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		begin(&c, *state, false);
		greet(&c);
		start(&c, "PLAIN", STR("\0kim\0a"), &a);
		assert_string_equal(line(&c), "AUTH\t1\tPLAIN\tservice=smtp\tnologin\tsecured\tresp=AGtpbQBh");
		say(&c, rows[i].answer);
		WAIT(c.w, a.count);
		assert_int_equal(a.outcome, rows[i].outcome);
		assert_string_equal(a.account, rows[i].account);
		assert_string_equal(a.reason, rows[i].reason);
		if (a.outcome == AUTH_OK)
			assert_int_equal(a.may_relay, rows[i].may_relay);
		end(&c);
	}
}

static void only_what_it_lists_is_offered(void **state)
{
	struct client c;

	begin(&c, *state, false);
	connect_bare(&c);
	say(&c, "VERSION\t1\t2\nMECH\tPLAIN\tplaintext\nMECH\tLOGIN\nMECH\tSCRAM-SHA-256\tmutual-auth\n"
		"MECH\tSCRAM-SHA-256-PLUS\tmutual-auth\nMECH\tEXTERNAL\nMECH\tANONYMOUS\tanonymous\n"
		"MECH\tTOKEN\tprivate\nMECH\tA B\nMECH\nMECH\tCRAM-MD5\tdictionary\tactive\nDONE\n");
	WAIT(c.w, auth_client_mechanisms(c.client, true, false)[0]);
	assert_string_equal(auth_client_mechanisms(c.client, true, false), "PLAIN LOGIN SCRAM-SHA-256 CRAM-MD5");
	assert_string_equal(auth_client_mechanisms(c.client, false, false), "SCRAM-SHA-256 CRAM-MD5");
	end(&c);
}

static void a_lost_connection_is_made_again(void **state)
{
	struct client c;
	struct answer a, b;

	begin(&c, *state, false);
	start(&c, "PLAIN", STR("\0kim\0a"), &a);
	assert_int_equal(a.count, 0); // never from inside the call
	WAIT(c.w, a.count);
	assert_int_equal(a.outcome, AUTH_UNAVAILABLE);

	auth_client_connected(c.client, -1);
	WAIT(c.w, c.asked == 2);
	greet(&c);
	start(&c, "PLAIN", STR("\0kim\0a"), &a);
	struct auth_exchange *x = start(&c, "PLAIN", STR("\0lee\0a"), &b);
	assert_non_null(line(&c));
	close(c.fd);
	c.fd = -1;
	WAIT(c.w, a.count && b.count);
	assert_int_equal(a.outcome, AUTH_UNAVAILABLE);
	assert_int_equal(b.outcome, AUTH_UNAVAILABLE);
	assert_string_equal(auth_client_mechanisms(c.client, true, true), "");
	(void)x;
	WAIT(c.w, c.asked == 3);
	greet(&c);
	start(&c, "PLAIN", STR("\0kim\0a"), &a);
	assert_non_null(line(&c));
	say(&c, "OK\t1\tuser=kim\n");
	WAIT(c.w, a.count);
	assert_int_equal(a.outcome, AUTH_OK);
	end(&c);
}

// A connection that was just made is not doubted.
static void grow_old(struct client *c)
{
	uint64_t begin = clock_monotonic_ms();

	WAIT(c->w, clock_monotonic_ms() - begin > 1100);
}

// As a server that was restarted and left its old process to us.
static void a_new_connection_replaces_the_old(void **state)
{
	struct client c;
	struct answer open, a, b;
	int old;

	begin(&c, *state, false);
	greet(&c);
	struct auth_exchange *x = start(&c, "LOGIN", (struct str){NULL, 0}, &open);
	start(&c, "PLAIN", STR("\0kim\0a"), &a);
	assert_string_equal(line(&c), "AUTH\t1\tLOGIN\tservice=smtp\tnologin\tsecured");
	assert_non_null(line(&c));
	grow_old(&c);
	say(&c, "CONT\t1\t\nFAIL\t2\ttemp\n");
	WAIT(c.w, a.count && open.count);
	WAIT(c.w, c.asked == 2); // it cannot tell: perhaps another can
	old = c.fd;
	c.fd = -1;
	connect_bare(&c);
	assert_non_null(line(&c)); // not greeted yet: the old one is used
	assert_string_equal(auth_client_mechanisms(c.client, true, false), "PLAIN");
	say(&c, "VERSION\t1\t2\nMECH\tLOGIN\tplaintext\nDONE\n");
	WAIT(c.w, !strcmp(auth_client_mechanisms(c.client, true, false), "LOGIN"));

	start(&c, "PLAIN", STR("\0kim\0a"), &b);
	assert_int_equal(strncmp(line(&c), "CPID\t", 5), 0);
	assert_int_equal(strncmp(line(&c), "AUTH\t1\tPLAIN", 12), 0);
	say(&c, "OK\t1\tuser=kim\n");
	WAIT(c.w, b.count);
	assert_int_equal(b.outcome, AUTH_OK);

	// What was begun on the old one ends there, and then it is closed.
	auth_client_continue(x, STR("kim"));
	int new = c.fd;
	c.fd = old;
	assert_string_equal(line(&c), "CONT\t1\ta2lt");
	say(&c, "OK\t1\tuser=lee\n");
	WAIT(c.w, open.count == 2);
	assert_string_equal(open.account, "lee");
	assert_null(line(&c));
	close(old);
	c.fd = new;
	assert_string_equal(auth_client_mechanisms(c.client, true, false), "LOGIN");
	end(&c);
}

static void a_service_that_takes_no_connections_is_gone(void **state)
{
	struct client c;
	struct answer a;

	begin(&c, *state, false);
	greet(&c);
	start(&c, "PLAIN", STR("\0kim\0a"), &a);
	assert_non_null(line(&c));
	grow_old(&c);
	say(&c, "FAIL\t1\ttemp\n");
	WAIT(c.w, c.asked == 2);
	auth_client_connected(c.client, -1);
	assert_string_equal(auth_client_mechanisms(c.client, true, false), "PLAIN"); // once is none
	WAIT(c.w, c.asked == 3);
	auth_client_connected(c.client, -1);
	assert_string_equal(auth_client_mechanisms(c.client, true, false), "");
	assert_null(line(&c));
	WAIT(c.w, c.asked == 4);
	greet(&c);
	end(&c);
}

// Our own auth is given to us anew when it was restarted.
static void our_own_service_needs_no_asking(void **state)
{
	struct client c;
	struct answer a;

	begin(&c, *state, true);
	greet(&c);
	start(&c, "PLAIN", (struct str){NULL, 0}, &a);
	say(&c, "CONT\t1\t\n");
	WAIT(c.w, a.count);
	greet(&c); // the old one closes
	WAIT(c.w, a.count == 2);
	assert_int_equal(a.outcome, AUTH_UNAVAILABLE);
	assert_int_equal(c.asked, 1);
	end(&c);
}

static void pauses_grow(void **state)
{
	struct client c;
	uint64_t times[5];

	begin(&c, *state, false);
	for (unsigned i = 0; i < ARRAY_SIZE(times); i++) {
		auth_client_connected(c.client, -1);
		times[i] = clock_monotonic_ms();
		WAIT(c.w, c.asked == i + 2);
		times[i] = clock_monotonic_ms() - times[i];
	}
	assert_true(times[0] < 500);
	assert_true(times[4] > 1000 && times[4] > times[0] * 3);
	end(&c);
}

static void what_ends_the_connection(void **state)
{
	static const char *const rows[] = {
		"DONE\n",
		"VERSION\t2\t0\n",
		"VERSION\n",
		"VERSION\t1\t2\nOK\t1\tuser=kim\n",
		GREETING "OK\t1\n",
		GREETING "FAIL\n",
		GREETING "CONT\tx\t\n",
	};
	struct client c;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		begin(&c, *state, false);
		connect_bare(&c);
		say(&c, rows[i]);
		WAIT(c.w, c.asked == 2);
		assert_string_equal(auth_client_mechanisms(c.client, true, true), "");
		end(&c);
	}
}

static void a_response_that_fits_in_no_line(void **state)
{
	struct client c;
	struct answer a;
	static char big[20000];

	begin(&c, *state, false);
	greet(&c);
	start(&c, "PLAIN", str_make(big, sizeof big), &a);
	assert_int_equal(a.count, 0);
	WAIT(c.w, a.count);
	assert_int_equal(a.outcome, AUTH_FAILED);
	struct auth_exchange *x = start(&c, "LOGIN", (struct str){NULL, 0}, &a);
	assert_string_equal(line(&c), "AUTH\t2\tLOGIN\tservice=smtp\tnologin\tsecured");
	say(&c, "CONT\t2\t\n");
	WAIT(c.w, a.count == 1);
	auth_client_continue(x, str_make(big, sizeof big));
	WAIT(c.w, a.count == 2);
	assert_int_equal(a.outcome, AUTH_FAILED);
	assert_string_equal(line(&c), "CANCEL\t2");
	end(&c);
}

static void the_end_answers_what_is_open(void **state)
{
	struct client c;
	struct answer a;

	begin(&c, *state, false);
	greet(&c);
	start(&c, "PLAIN", STR("\0kim\0a"), &a);
	end(&c);
	assert_int_equal(a.count, 1);
	assert_int_equal(a.outcome, AUTH_UNAVAILABLE);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, world_make, world_end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(both_ends_octet_by_octet),
		TEST(what_a_dovecot_says),
		TEST(only_what_it_lists_is_offered),
		TEST(a_lost_connection_is_made_again),
		TEST(a_new_connection_replaces_the_old),
		TEST(a_service_that_takes_no_connections_is_gone),
		TEST(our_own_service_needs_no_asking),
		TEST(pauses_grow),
		TEST(what_ends_the_connection),
		TEST(a_response_that_fits_in_no_line),
		TEST(the_end_answers_what_is_open),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
