// SPDX-License-Identifier: ISC
#include "world.h"

#include "base/memory.h"

#define CALLS_MAX 64
#define REQUEST "{\"version\":1,\"command\":\"%s\",\"arguments\":{}}\n"

static struct control_call *kept;
static unsigned pages, ended;

// ---- what the server can do
static void run_rows(struct control_call *call, const json_t *arguments, void *arg)
{
	(void)arg;
	(void)arguments;
	for (int i = 1; i <= 3; i++)
		control_row(call, json_pack("{s:i}", "n", i));
	control_done(call, json_pack("{s:i}", "count", 3));
}

static void run_echo(struct control_call *call, const json_t *arguments, void *arg)
{
	(void)arg;
	control_row(call, json_deep_copy(arguments));
	control_done(call, NULL);
}

static void run_fail(struct control_call *call, const json_t *arguments, void *arg)
{
	(void)arg;
	const char *text = json_string_value(json_object_get(arguments, "text"));
	control_fail(call, "not-found", "no %s there", text ? text : "\xff\xfe thing");
}

static void run_keep(struct control_call *call, const json_t *arguments, void *arg)
{
	(void)arg;
	(void)arguments;
	kept = call;
}

static void run_who(struct control_call *call, const json_t *arguments, void *arg)
{
	(void)arg;
	(void)arguments;
	control_done(call, json_pack("{s:I}", "uid", (json_int_t)control_peer_uid(call)));
}

static json_t *long_row(void)
{
	char text[1001];
	memset(text, 'x', 1000);
	text[1000] = '\0';
	return json_pack("{s:s}", "text", text);
}

// 40 MB without a look at who reads them.
static void run_flood(struct control_call *call, const json_t *arguments, void *arg)
{
	(void)arg;
	(void)arguments;
	for (int i = 0; i < 40000; i++)
		control_row(call, long_row());
	control_done(call, NULL);
}

struct pager {
	struct control_call *call;
	unsigned left;
};

static void give_page(void *arg)
{
	struct pager *p = arg;
	if (p->left == 0 || control_is_gone(p->call)) {
		control_done(p->call, NULL);
		mem_free(p);
		ended++;
		return;
	}
	p->left--;
	pages++;
	for (int i = 0; i < 1000; i++)
		control_row(p->call, long_row());
	control_when_read(p->call, give_page, p);
}

// 40 MB, a page of 1 MB after the other.
static void run_pages(struct control_call *call, const json_t *arguments, void *arg)
{
	(void)arg;
	(void)arguments;
	struct pager *p = mem_alloc(sizeof *p);
	p->call = call;
	p->left = 40;
	pages = ended = 0;
	give_page(p);
}

static const struct control_handler handlers[] = {{"rows", run_rows}, {"echo", run_echo},
	{"fail", run_fail}, {"keep", run_keep}, {"who", run_who}, {"flood", run_flood},
	{"pages", run_pages}};

static int setup(void **state)
{
	static struct world w;
	world_open(&w, handlers, ARRAY_SIZE(handlers));
	*state = &w;
	kept = NULL;
	return 0;
}

static int teardown(void **state)
{
	world_close(*state);
	return 0;
}

static int start(struct world *w, const char *command)
{
	char request[128];
	snprintf(request, sizeof request, REQUEST, command);
	int fd = call_open(w);
	call_say(w, fd, request);
	return fd;
}

static int start_kept(struct world *w)
{
	kept = NULL;
	int fd = start(w, "keep");
	for (unsigned i = 0; i < TURNS_MAX && !kept; i++)
		turn(w);
	assert_non_null(kept);
	return fd;
}

// ---- answers
static void rows_then_done(void **state)
{
	struct buf out = BUF_INIT;
	const char *wanted = "{\"row\":{\"n\":1}}\n{\"row\":{\"n\":2}}\n{\"row\":{\"n\":3}}\n"
			     "{\"done\":{\"count\":3}}\n";
	assert_string_equal(call_end(*state, start(*state, "rows"), &out), wanted);
	buf_finish(&out);
}

static void arguments_reach_the_handler(void **state)
{
	struct buf out = BUF_INIT;
	char uid[64];
	assert_string_equal(ask(*state, "{\"version\":1,\"command\":\"echo\",\"arguments\":{\"name\":"
					"\"김@예.kr\",\"n\":[1,2]}}\n", &out),
		"{\"row\":{\"name\":\"김@예.kr\",\"n\":[1,2]}}\n{\"done\":{}}\n");
	snprintf(uid, sizeof uid, "{\"done\":{\"uid\":%u}}\n", (unsigned)getuid());
	assert_string_equal(ask(*state, "{\"version\":1,\"command\":\"who\"}\n", &out), uid);
	buf_finish(&out);
}

static void a_failure_has_a_code_and_words(void **state)
{
	struct buf out = BUF_INIT;
	assert_string_equal(ask(*state, "{\"version\":1,\"command\":\"fail\",\"arguments\":"
					"{\"text\":\"\\\"계정\\\"\"}}\n", &out),
		"{\"error\":{\"code\":\"not-found\",\"text\":\"no \\\"계정\\\" there\"}}\n");
	// Names of files may hold any octet.
	assert_string_equal(call_end(*state, start(*state, "fail"), &out),
		"{\"error\":{\"code\":\"not-found\",\"text\":\"no ?? thing there\"}}\n");
	buf_finish(&out);
}

static void long_words_are_whole(void **state)
{
	struct buf request = BUF_INIT, out = BUF_INIT;
	size_t rows;
	char last[16];
	buf_add_text(&request, "{\"version\":1,\"command\":\"fail\",\"arguments\":{\"text\":\"");
	for (int i = 0; i < 3000; i++)
		buf_add_text(&request, "설정");
	buf_add_text(&request, "\"}}\n");
	const char *text = ask(*state, buf_cstr(&request), &out);
	check_lines(&out, &rows, last);
	assert_string_equal(last, "error");
	assert_non_null(strstr(text, "설정 there"));
	assert_true(buf_len(&out) > 18000);
	buf_finish(&request);
	buf_finish(&out);
}

// ---- requests
static void what_is_no_request_is_told_so(void **state)
{
	static const struct {
		const char *request, *words;
	} rows[] = {
		{"\n", "\"syntax\""},
		{"nonsense\n", "\"syntax\""},
		{"{\"version\":1,\"command\":\"rows\"\n", "\"syntax\""},
		{"[]\n", "\"syntax\""},
		{"null\n", "\"syntax\""},
		{"{}\n", "\"syntax\""},
		{"{\"version\":1}\n", "\"syntax\""},
		{"{\"command\":\"rows\"}\n", "\"syntax\""},
		{"{\"version\":\"1\",\"command\":\"rows\"}\n", "\"syntax\""},
		{"{\"version\":1,\"command\":7}\n", "\"syntax\""},
		{"{\"version\":1,\"command\":\"\\u0000\"}\n", "\"syntax\""},
		{"{\"version\":1,\"command\":\"\xff\"}\n", "\"syntax\""},
		{"{\"version\":2,\"command\":\"rows\"}\n", "version 1"},
		{"{\"version\":1,\"command\":\"\"}\n", "nobody here knows"},
		{"{\"version\":1,\"command\":\"queue eat\"}\n", "\\\"queue eat\\\""},
	};
	struct buf out = BUF_INIT;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const char *answer = ask(*state, rows[i].request, &out);
		if (strncmp(answer, "{\"error\":", 9) || !strstr(answer, rows[i].words) ||
			strchr(answer, '\n') != answer + strlen(answer) - 1)
			fail_msg("row %zu: %s", i, answer);
	}
	buf_finish(&out);
}

static void nested_without_end(void **state)
{
	struct buf request = BUF_INIT, out = BUF_INIT;
	for (int i = 0; i < 30000; i++)
		buf_add_text(&request, "[");
	buf_add_text(&request, "\n");
	assert_non_null(strstr(ask(*state, buf_cstr(&request), &out), "\"syntax\""));
	buf_finish(&request);
	buf_finish(&out);
}

static void octet_by_octet(void **state)
{
	static const char request[] = "{\"version\":1,\"command\":\"echo\",\"arguments\":{\"a\":\"b\"}}\n";
	struct buf out = BUF_INIT;
	int fd = call_open(*state);
	for (size_t i = 0; i + 1 < sizeof request; i++)
		assert_true(call_send(*state, fd, request + i, 1));
	assert_string_equal(call_end(*state, fd, &out), "{\"row\":{\"a\":\"b\"}}\n{\"done\":{}}\n");
	buf_finish(&out);
}

// A request of so many octets, its newline included (or without any).
static const char *ask_sized(struct world *w, size_t size, bool newline, struct buf *out)
{
	static const char head[] = "{\"version\":1,\"command\":\"rows\",\"arguments\":{\"a\":\"",
			  tail[] = "\"}}\n";
	struct buf request = BUF_INIT;
	buf_add_text(&request, head);
	while (buf_len(&request) + sizeof tail - 1 < size)
		buf_add_char(&request, 'a');
	buf_add_text(&request, newline ? tail : "aaaa");
	int fd = call_open(w);
	(void)call_send(w, fd, buf_str(&request).data, buf_len(&request));
	buf_finish(&request);
	return call_end(w, fd, out);
}

static void a_request_has_a_bound(void **state)
{
	static const struct {
		size_t size;
		bool newline, good;
	} rows[] = {{1000, true, true}, {65536, true, true}, {65537, true, false}, {80000, true, false},
		{65536, false, false}, {500000, false, false}};
	struct buf out = BUF_INIT;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const char *answer = ask_sized(*state, rows[i].size, rows[i].newline, &out);
		if (!strstr(answer, rows[i].good ? "\"done\"" : "\"limit\""))
			fail_msg("row %zu: %s", i, answer);
	}
	buf_finish(&out);
}

static void one_request_a_connection(void **state)
{
	struct buf out = BUF_INIT;
	assert_string_equal(ask(*state, "{\"version\":1,\"command\":\"echo\",\"arguments\":{}}\n"
					"{\"version\":1,\"command\":\"rows\",\"arguments\":{}}\n", &out),
		"{\"row\":{}}\n{\"done\":{}}\n");
	int fd = start_kept(*state);
	call_say(*state, fd, "{\"version\":1,\"command\":\"rows\",\"arguments\":{}}\n");
	control_done(kept, NULL);
	assert_string_equal(call_end(*state, fd, &out), "{\"done\":{}}\n");
	buf_finish(&out);
}

// As `printf … | nc -N -U` does.
static void a_caller_that_closed_its_half_gets_the_answer(void **state)
{
	struct buf out = BUF_INIT;
	int fd = start_kept(*state);
	assert_int_equal(shutdown(fd, SHUT_WR), 0);
	for (int i = 0; i < 5; i++)
		turn(*state);
	control_row(kept, json_pack("{s:i}", "n", 1));
	control_done(kept, NULL);
	assert_string_equal(call_end(*state, fd, &out), "{\"row\":{\"n\":1}}\n{\"done\":{}}\n");
	buf_finish(&out);
}

// ---- callers that leave
static void the_peer_leaves_while_the_handler_runs(void **state)
{
	struct buf out = BUF_INIT;
	for (unsigned i = 0; i < 2 * CALLS_MAX; i++) { // each gives its place back
		close(start_kept(*state));
		turn(*state);
		control_row(kept, json_pack("{s:i}", "n", 1));
		for (int t = 0; t < 3; t++)
			turn(*state);
		assert_true(control_is_gone(kept));
		control_row(kept, json_pack("{s:i}", "n", 2));
		if (i % 2)
			control_done(kept, NULL);
		else
			control_fail(kept, "failed", "too late");
	}
	assert_non_null(strstr(call_end(*state, start(*state, "rows"), &out), "\"done\""));
	buf_finish(&out);
}

static void the_peer_leaves_before_it_asked(void **state)
{
	struct buf out = BUF_INIT;
	for (unsigned i = 0; i < 2 * CALLS_MAX; i++) {
		int fd = call_open(*state);
		call_say(*state, fd, i % 2 ? "{\"version\":" : "");
		turn(*state);
		close(fd);
		turn(*state);
	}
	assert_non_null(strstr(call_end(*state, start(*state, "rows"), &out), "\"done\""));
	buf_finish(&out);
}

static void sixty_four_at_once(void **state)
{
	struct world *w = *state;
	int fds[CALLS_MAX];
	struct buf out = BUF_INIT;
	for (unsigned i = 0; i < CALLS_MAX; i++) {
		fds[i] = call_open(w);
		turn(w);
	}
	assert_string_equal(call_end(w, start(w, "rows"), &out),
		"{\"error\":{\"code\":\"busy\",\"text\":\"too many callers at once; try again\"}}\n");
	close(fds[0]);
	turn(w);
	assert_non_null(strstr(call_end(w, start(w, "rows"), &out), "\"done\""));
	for (unsigned i = 1; i < CALLS_MAX; i++) {
		call_say(w, fds[i], "{\"version\":1,\"command\":\"rows\"}\n");
		assert_non_null(strstr(call_end(w, fds[i], &out), "\"done\""));
	}
	buf_finish(&out);
}

// ---- long answers
static void a_flood_is_cut_at_its_bound(void **state)
{
	struct world *w = *state;
	struct buf out = BUF_INIT;
	size_t rows;
	char last[16];
	int slow = start(w, "flood");
	for (int i = 0; i < 20; i++) // others are served meanwhile
		assert_non_null(strstr(call_end(w, start(w, "rows"), &out), "\"done\""));
	buf_clear(&out);
	call_end(w, slow, &out);
	check_lines(&out, &rows, last);
	assert_string_equal(last, "error");
	assert_true(rows > 1000 && rows < 20000);
	assert_non_null(strstr(buf_cstr(&out) + buf_len(&out) - 200, "\"limit\""));
	buf_finish(&out);
}

static void a_long_answer_waits_for_its_reader(void **state)
{
	struct world *w = *state;
	struct buf out = BUF_INIT;
	size_t rows;
	char last[16];
	int slow = start(w, "pages");
	for (int i = 0; i < 100; i++)
		turn(w);
	assert_in_range(pages, 1, 4);
	assert_non_null(strstr(call_end(w, start(w, "rows"), &out), "\"done\""));
	buf_clear(&out);
	call_end(w, slow, &out);
	check_lines(&out, &rows, last);
	assert_string_equal(last, "done");
	assert_int_equal(rows, 40000);
	buf_finish(&out);
}

static void a_long_answer_ends_with_its_reader(void **state)
{
	struct world *w = *state;
	int slow = start(w, "pages");
	for (int i = 0; i < 20; i++)
		turn(w);
	close(slow);
	for (unsigned i = 0; i < TURNS_MAX && !ended; i++)
		turn(w);
	assert_int_equal(ended, 1);
	assert_in_range(pages, 1, 4);
}

// ---- the end of the server
static void open_calls_are_told_of_the_end(void **state)
{
	static const char goodbye[] =
		"{\"error\":{\"code\":\"busy\",\"text\":\"the server is shutting down\"}}\n";
	struct world *w = *state;
	struct buf out = BUF_INIT;
	int asked = start_kept(w), silent = call_open(w), half = call_open(w), slow = start(w, "pages");
	control_row(kept, json_pack("{s:i}", "n", 1));
	call_say(w, half, "{\"version\":1,");
	for (int i = 0; i < 10; i++)
		turn(w);
	control_server_destroy(w->server);
	w->server = NULL;
	assert_int_equal(ended, 1);
	call_end(w, asked, &out);
	assert_string_equal(buf_cstr(&out) + strlen("{\"row\":{\"n\":1}}\n"), goodbye);
	assert_string_equal(call_end(w, silent, &out), goodbye);
	assert_string_equal(call_end(w, half, &out), goodbye);
	close(slow);
	// The handler ends the call as if nothing had happened.
	assert_true(control_is_gone(kept));
	control_row(kept, json_pack("{s:i}", "n", 2));
	control_done(kept, NULL);
	buf_finish(&out);
}

static void an_unused_server_ends(void **state)
{
	struct world *w = *state;
	turn(w);
	control_server_destroy(w->server);
	w->server = NULL;
	control_server_destroy(NULL);
}

// ---- anything
static uint64_t seed = 20251121;

static unsigned any(unsigned below)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (unsigned)(seed % below);
}

// A request with some octets changed, or octets from nowhere.
static void make_input(struct buf *out)
{
	static const char *const seeds[] = {"{\"version\":1,\"command\":\"echo\",\"arguments\":{\"a\":[1,{}]}}",
		"{\"version\":1,\"command\":\"rows\",\"arguments\":{\"name\":\"kim@example.kr\"}}", ""};
	buf_clear(out);
	buf_add_text(out, seeds[any(ARRAY_SIZE(seeds))]);
	unsigned more = any(3) ? any(8) : any(3000);
	for (unsigned i = 0; i < more; i++)
		buf_add_char(out, (char)any(256));
	for (unsigned i = any(6); i > 0 && buf_len(out); i--)
		out->data[out->start + any((unsigned)buf_len(out))] = (char)any(256);
	if (any(8))
		buf_add_char(out, '\n');
}

static void any_octets(void **state)
{
	struct world *w = *state;
	struct buf input = BUF_INIT, out = BUF_INIT;
	for (unsigned i = 0; i < 3000; i++) {
		make_input(&input);
		bool line = str_find(buf_str(&input), '\n') >= 0;
		int fd = call_open(w);
		(void)call_send(w, fd, buf_str(&input).data, buf_len(&input));
		if (!line) {
			close(fd);
			turn(w);
			continue;
		}
		size_t rows;
		char last[16];
		call_end(w, fd, &out);
		check_lines(&out, &rows, last);
		if (strcmp(last, "done") && strcmp(last, "error"))
			fail_msg("input %u has no end: %s", i, buf_cstr(&out));
	}
	assert_non_null(strstr(call_end(w, start(w, "rows"), &out), "\"done\""));
	buf_finish(&input);
	buf_finish(&out);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(rows_then_done),
		TEST(arguments_reach_the_handler),
		TEST(a_failure_has_a_code_and_words),
		TEST(long_words_are_whole),
		TEST(what_is_no_request_is_told_so),
		TEST(nested_without_end),
		TEST(octet_by_octet),
		TEST(a_request_has_a_bound),
		TEST(one_request_a_connection),
		TEST(a_caller_that_closed_its_half_gets_the_answer),
		TEST(the_peer_leaves_while_the_handler_runs),
		TEST(the_peer_leaves_before_it_asked),
		TEST(sixty_four_at_once),
		TEST(a_flood_is_cut_at_its_bound),
		TEST(a_long_answer_waits_for_its_reader),
		TEST(a_long_answer_ends_with_its_reader),
		TEST(open_calls_are_told_of_the_end),
		TEST(an_unused_server_ends),
		TEST(any_octets),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
