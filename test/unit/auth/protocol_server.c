// SPDX-License-Identifier: ISC
// The server's end against a bare socket, whole and octet by octet.
#include "world.h"

#include "auth/protocol.h"
#include "auth/sasl.h"

#include <errno.h>
#include <sys/socket.h>

#define HELLO "VERSION\t1\t2\nCPID\t4711\n"
#define GOOD "AGtpbQBjb3JyZWN0IGhvcnNl"  // \0kim\0correct horse
#define BAD "AGtpbQB3cm9uZw=="            // \0kim\0wrong

struct server {
	struct world *w;
	struct auth_server *server;
	int fd;
	struct buf got;
	bool closed;
};

static void on_closed(struct auth_server *server, void *arg)
{
	struct server *s = arg;

	s->closed = true;
	s->server = NULL;
	auth_server_destroy(server);
}

static void begin(struct server *s, struct world *w, bool trusted)
{
	int pair[2];
	struct auth_server_options o = {.loop = &w->loop, .authenticator = w->authenticator,
		.trusted = trusted, .closed = on_closed, .arg = s};

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
	*s = (struct server){.w = w, .fd = pair[0]};
	s->server = auth_server_create(&o, pair[1]);
}

static void end(struct server *s)
{
	auth_server_destroy(s->server);
	close(s->fd);
	buf_finish(&s->got);
}

// Reads what is there. False at the end.
static bool take(struct server *s)
{
	char octets[4096];
	ssize_t n = read(s->fd, octets, sizeof octets);

	if (n > 0)
		buf_add(&s->got, octets, (size_t)n);
	return n > 0 || (n < 0 && errno == EAGAIN);
}

// The next line, into a static buffer; NULL: the server closed.
static const char *line(struct server *s)
{
	static char out[4096];
	ptrdiff_t at;
	bool open = true;

	WAIT(s->w, (at = str_find(buf_str(&s->got), '\n')) >= 0 || !(open = take(s)));
	if (!open && (at = str_find(buf_str(&s->got), '\n')) < 0)
		return NULL;
	snprintf(out, sizeof out, "%.*s", (int)at, buf_str(&s->got).data);
	buf_consume(&s->got, (size_t)at + 1);
	return out;
}

static void say(struct server *s, struct str text, bool slowly)
{
	for (size_t i = 0; i < text.len;) {
		ssize_t n = send(s->fd, text.data + i, slowly ? 1 : text.len - i, MSG_NOSIGNAL);
		if (n < 0 && errno != EAGAIN)
			return; // it has closed: the test sees it
		i += n > 0 ? (size_t)n : 0;
		uv_run(&s->w->loop, UV_RUN_NOWAIT);
		uv_run(&s->w->loop, UV_RUN_NOWAIT);
	}
}

static void skip_greeting(struct server *s)
{
	const char *l;

	while ((l = line(s)) && strcmp(l, "DONE") != 0)
		;
	assert_non_null(l);
}

static void greeting(void **state)
{
	struct server s;

	begin(&s, *state, false);
	assert_string_equal(line(&s), "VERSION\t1\t2");
	assert_string_equal(line(&s), "MECH\tPLAIN\tplaintext");
	assert_string_equal(line(&s), "MECH\tLOGIN\tplaintext");
	assert_int_equal(strncmp(line(&s), "SPID\t", 5), 0);
	assert_int_equal(strncmp(line(&s), "CUID\t", 5), 0);
	const char *cookie = line(&s);
	assert_int_equal(strncmp(cookie, "COOKIE\t", 7), 0);
	assert_int_equal(strlen(cookie), 7 + 32);
	assert_string_equal(line(&s), "DONE");
	end(&s);
}

static void dialogues(void **state)
{
	struct world *w = *state;
	static const struct {
		bool trusted;
		const char *say[4], *answer[4]; // in turn
	} rows[] = {
		{false, {"AUTH\t1\tPLAIN\tservice=smtp\tsecured\tresp=" GOOD "\n"}, {"OK\t1\tuser=" KIM}},
		{true, {"AUTH\t1\tPLAIN\tservice=smtp\tresp=" GOOD "\n"},
			{"OK\t1\tuser=" KIM "\trights=submit"}},
		{false, {"AUTH\t1\tPLAIN\tsecured\n", "CONT\t1\t" GOOD "\n"}, {"CONT\t1\t", "OK\t1\tuser=" KIM}},
		{false, {"AUTH\t2\tLOGIN\tsecured\n", "CONT\t2\ta2lt\n", "CONT\t2\tY29ycmVjdCBob3JzZQ==\n"},
			{"CONT\t2\tVXNlcm5hbWU6", "CONT\t2\tUGFzc3dvcmQ6", "OK\t2\tuser=" KIM}},
		{false, {"AUTH\t2\tLOGIN\tsecured\tresp=a2lt\n", "CONT\t2\tY29ycmVjdCBob3JzZQ==\n"},
			{"CONT\t2\tUGFzc3dvcmQ6", "OK\t2\tuser=" KIM}},
		// Strangers are not told why, our own smtpd is.
		{false, {"AUTH\t1\tPLAIN\tsecured\tresp=" BAD "\n"}, {"FAIL\t1\tuser=" KIM}},
		{true, {"AUTH\t1\tPLAIN\tresp=" BAD "\n"}, {"FAIL\t1\tuser=" KIM "\treason=wrong password"}},
		{false, {"AUTH\t1\tPLAIN\tsecured\tresp=AGxlZQBh\n"}, {"FAIL\t1\tuser=lee@example.kr"}},
		{false, {"AUTH\t1\tPLAIN\tresp=" GOOD "\n"},
			{"FAIL\t1\treason=plaintext passwords need a secured connection"}},
		{false, {"AUTH\t1\tEXTERNAL\tsecured\tresp=\n"}, {"FAIL\t1\treason=no such mechanism"}},
		{false, {"AUTH\t1\tPLAIN\tsecured\tresp=***\n"}, {"FAIL\t1\treason=response is not base64"}},
		{false, {"AUTH\t1\tLOGIN\tsecured\n", "CONT\t1\t*\n"},
			{"CONT\t1\tVXNlcm5hbWU6", "FAIL\t1\treason=response is not base64"}},
		{false, {"CONT\t9\t\n"}, {"FAIL\t9\treason=no such exchange"}},
		{false, {"AUTH\t1\tLOGIN\tsecured\n", "CANCEL\t1\nCONT\t1\ta2lt\n"},
			{"CONT\t1\tVXNlcm5hbWU6", "FAIL\t1\treason=no such exchange"}},
		{false, {"CANCEL\t1\nCANCEL\t\nCANCEL\nNEWS\tof later\tversions\n\nAUTH\t1\tLOGIN\tsecured\n"},
			{"CONT\t1\tVXNlcm5hbWU6"}},
		// An id may be used again when its exchange has ended.
		{false, {"AUTH\t1\tPLAIN\tsecured\tresp=" BAD "\n", "AUTH\t1\tPLAIN\tsecured\tresp=" GOOD "\n"},
			{"FAIL\t1\tuser=" KIM, "OK\t1\tuser=" KIM}},
	};

	for (size_t i = 0; i < 2 * ARRAY_SIZE(rows); i++) {
		size_t row = i / 2;
		struct server s;
		begin(&s, w, rows[row].trusted);
		skip_greeting(&s);
		say(&s, STR(HELLO), i % 2);
		for (size_t k = 0; k < 4 && rows[row].say[k]; k++) {
			say(&s, str_from(rows[row].say[k]), i % 2);
			assert_string_equal(line(&s), rows[row].answer[k]);
		}
		end(&s);
	}
}

static void disabled_accounts(void **state)
{
	struct world *w = *state;
	struct server s;

	w->state = 2;
	begin(&s, w, true);
	skip_greeting(&s);
	say(&s, STR(HELLO "AUTH\t1\tPLAIN\tresp=" GOOD "\n"), false);
	assert_string_equal(line(&s),
		"FAIL\t1\tuser=" KIM "\treason=disabled\tuser_disabled\tcode=user_disabled");
	end(&s);
	begin(&s, w, false);
	skip_greeting(&s);
	say(&s, STR(HELLO "AUTH\t1\tPLAIN\tsecured\tresp=" GOOD "\n"), false);
	assert_string_equal(line(&s), "FAIL\t1\tuser=" KIM);
	w->state = 3;
	say(&s, STR("AUTH\t1\tPLAIN\tsecured\tresp=" GOOD "\n"), false);
	assert_string_equal(line(&s), "FAIL\t1\tuser=" KIM "\ttemp\tcode=temp_fail");
	end(&s);
}

static void what_ends_the_connection(void **state)
{
	static const char *const rows[] = {
		"AUTH\t1\tPLAIN\n",
		"VERSION\t1\t2\nAUTH\t1\tLOGIN\tsecured\n",
		"CPID\t1\nAUTH\t1\tLOGIN\tsecured\n",
		"VERSION\t2\t0\n",
		"VERSION\n",
		"VERSION\tone\n",
		"VERSION\t1\t2\nVERSION\t1\t2\n",
		"CPID\n",
		"CPID\tx\n",
		HELLO "CPID\t1\n",
		HELLO "AUTH\n",
		HELLO "AUTH\t1\n",
		HELLO "AUTH\tx\tPLAIN\n",
		HELLO "AUTH\t1\tPL AIN\n",
		HELLO "CONT\n",
		HELLO "CONT\tx\t\n",
		HELLO "AUTH\t1\tLOGIN\tsecured\nAUTH\t1\tLOGIN\tsecured\n",
		HELLO "AUTH\t1\tPLAIN\tsecured\tresp=" GOOD "\nCONT\t1\t" GOOD "\n", // it was not asked
	};

	for (size_t i = 0; i < 2 * ARRAY_SIZE(rows); i++) {
		struct server s;
		const char *last = "", *l;
		begin(&s, *state, false);
		skip_greeting(&s);
		say(&s, str_from(rows[i / 2]), i % 2);
		while ((l = line(&s)))
			last = l;
		assert_true(s.closed);
		assert_int_not_equal(strncmp(last, "OK", 2), 0);
		end(&s);
	}
}

static void a_line_without_end(void **state)
{
	struct server s;
	static char big[20000];

	memset(big, 'x', sizeof big);
	begin(&s, *state, true);
	skip_greeting(&s);
	say(&s, STR(HELLO), false);
	say(&s, str_make(big, sizeof big), false);
	assert_null(line(&s));
	end(&s);
}

static void the_peer_leaves_while_it_is_hashed(void **state)
{
	struct world *w = *state;
	struct server s;

	begin(&s, w, false);
	skip_greeting(&s);
	say(&s, STR(HELLO "AUTH\t1\tPLAIN\tsecured\tresp=" GOOD "\nAUTH\t2\tLOGIN\tsecured\n"), false);
	shutdown(s.fd, SHUT_RDWR);
	WAIT(w, s.closed);
	end(&s);
}

static void a_peer_that_does_not_read(void **state)
{
	struct world *w = *state;
	struct server s;
	char request[64];
	uint64_t give_up = clock_monotonic_ms() + 20000;

	begin(&s, w, false);
	say(&s, STR(HELLO), false);
	for (unsigned i = 1; !s.closed; i++) {
		int len = snprintf(request, sizeof request, "AUTH\t%u\tNONE\n", i);
		if (send(s.fd, request, (size_t)len, MSG_NOSIGNAL) < 0 && errno != EAGAIN)
			break;
		uv_run(&w->loop, UV_RUN_NOWAIT);
		assert_true(clock_monotonic_ms() < give_up);
	}
	WAIT(w, s.closed);
	end(&s);
}

static void many_at_once(void **state)
{
	struct world *w = *state;
	struct server s;
	bool seen[201] = {false};
	char request[100];

	begin(&s, w, true);
	skip_greeting(&s);
	say(&s, STR(HELLO), false);
	for (unsigned i = 1; i <= 200; i++) {
		snprintf(request, sizeof request, "AUTH\t%u\tPLAIN\tresp=%s\n", i, i % 2 ? GOOD : BAD);
		say(&s, str_from(request), false);
	}
	for (unsigned i = 1; i <= 200; i++) {
		char word[8];
		unsigned id;
		assert_int_equal(sscanf(line(&s), "%7s %u", word, &id), 2);
		assert_true(id >= 1 && id <= 200 && !seen[id]);
		seen[id] = true;
		assert_string_equal(word, id % 2 ? "OK" : "FAIL");
	}
	end(&s);
}

// ---- a success with a last challenge: a library that believes everybody
static int library_start(const struct auth_sasl_settings *settings, struct error *err)
{
	(void)settings;
	(void)err;
	return 0;
}

static bool library_has(const char *mechanism)
{
	return !strcmp(mechanism, "GSSAPI");
}

static struct auth_sasl_dialogue *library_create(const struct auth_sasl_request *r)
{
	(void)r;
	return mem_alloc(1);
}

static enum auth_sasl_outcome library_step(
	struct auth_sasl_dialogue *d, struct str response, struct str *out)
{
	(void)d;
	*out = str_equal(response, STR("kim")) ? STR("last") : STR_EMPTY;
	return AUTH_SASL_PROVED;
}

static void library_properties(const struct auth_sasl_dialogue *d, struct str *out_name,
	struct str *out_authzid, const char **out_reason)
{
	(void)d;
	*out_name = STR("kim");
	*out_authzid = STR_EMPTY;
	*out_reason = NULL;
}

static void library_dispose(struct auth_sasl_dialogue *d)
{
	mem_free(d);
}

static void a_last_challenge_is_taken_before_success(void **state)
{
	static const struct auth_sasl_library library = {.start = library_start, .has = library_has,
		.create = library_create, .step = library_step, .properties = library_properties,
		.dispose = library_dispose};
	static const unsigned char secret[AUTH_SASL_SECRET] = {1};
	static const struct {
		const char *say[3], *answer[3];
	} rows[] = {
		{{"AUTH\t1\tGSSAPI\tresp=a2lt\n", "CONT\t1\t\n"},
			{"CONT\t1\tbGFzdA==", "OK\t1\tuser=" KIM "\trights=submit"}},
		{{"AUTH\t1\tGSSAPI\tresp=a2lt\n", "CONT\t1\n"},
			{"CONT\t1\tbGFzdA==", "OK\t1\tuser=" KIM "\trights=submit"}},
		{{"AUTH\t1\tGSSAPI\tresp=a2lt\n", "CONT\t1\ta2lt\n"}, // it has nothing left to say
			{"CONT\t1\tbGFzdA==", "FAIL\t1\treason=malformed response"}},
		{{"AUTH\t1\tGSSAPI\tresp=a2lt\n", "CANCEL\t1\nCONT\t1\t\n"},
			{"CONT\t1\tbGFzdA==", "FAIL\t1\treason=no such exchange"}},
		{{"AUTH\t1\tGSSAPI\tresp=bGVl\n"}, {"OK\t1\tuser=" KIM "\trights=submit"}},
	};
	struct auth_sasl_settings settings = {"GSSAPI", ""};
	struct world *w = *state;
	struct error err;

	assert_int_equal(auth_sasl_start(&library, &settings, &err), 0);
	auth_sasl_open(&w->loop, 1, secret);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct server s;
		begin(&s, w, true);
		skip_greeting(&s);
		say(&s, STR(HELLO), false);
		for (size_t k = 0; k < 3 && rows[i].say[k]; k++) {
			say(&s, str_from(rows[i].say[k]), false);
			assert_string_equal(line(&s), rows[i].answer[k]);
		}
		end(&s);
	}
	struct server s; // one that is open when its peer goes
	begin(&s, w, true);
	skip_greeting(&s);
	say(&s, STR(HELLO "AUTH\t1\tGSSAPI\tresp=a2lt\n"), false);
	assert_string_equal(line(&s), "CONT\t1\tbGFzdA==");
	end(&s);
	auth_sasl_close();
}

// ---- what only our own smtpd may say of the connection
#define PRINT "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"

static void private_fields_are_for_our_own(void **state)
{
#define CERTIFICATE "\tx-mailboxes=" KIM "\tx-fingerprint=" PRINT
	static const struct {
		bool trusted;
		const char *say, *answer;
	} rows[] = {
		{true, "secured\tx-verified" CERTIFICATE "\tresp==\n", "OK\t1\tuser=" KIM "\trights=submit"},
		{true, "secured\tx-verified" CERTIFICATE "\tresp=a2lt\n",
			"OK\t1\tuser=" KIM "\trights=submit"},
		{true, "secured" CERTIFICATE "\tresp==\n",
			"FAIL\t1\treason=no authority of ours vouches for the certificate"},
		{true, "secured\tx-verified\tresp==\n", "FAIL\t1\treason=no client certificate"},
		{true, "x-verified" CERTIFICATE "\tresp==\n", "FAIL\t1\treason=no client certificate"},
		{false, "secured\tx-verified" CERTIFICATE "\tresp==\n",
			"FAIL\t1\treason=no such mechanism"},
	};
	struct world *w = *state;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		char request[600];
		struct server s;
		begin(&s, w, rows[i].trusted);
		skip_greeting(&s);
		snprintf(request, sizeof request, HELLO "AUTH\t1\tEXTERNAL\t%s", rows[i].say);
		say(&s, str_from(request), i % 2);
		assert_string_equal(line(&s), rows[i].answer);
		end(&s);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, world_make, world_end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(greeting),
		TEST(dialogues),
		TEST(disabled_accounts),
		TEST(what_ends_the_connection),
		TEST(a_line_without_end),
		TEST(the_peer_leaves_while_it_is_hashed),
		TEST(a_peer_that_does_not_read),
		TEST(many_at_once),
		TEST(private_fields_are_for_our_own),
		TEST(a_last_challenge_is_taken_before_success), // keeps its library
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
