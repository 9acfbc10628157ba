// SPDX-License-Identifier: ISC
#include "base/event.h"

#include "base/error.h"
#include "base/id.h"

#include <jansson.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka wants the four above
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define TIME_MS UINT64_C(1795309200123)
#define TIME	"2026-11-22T01:00:00.123Z"

static int ends[2]; // a pipe, or a pair of datagram sockets: read, write

static int open_pipe(void **state)
{
	return pipe2(ends, O_NONBLOCK);
}

static int close_ends(void **state)
{
	event_set_tap(NULL, NULL);
	event_setup("", -1, EVENT_SINK_LINES, EVENT_KEY_VALUE, EVENT_INFO);
	close(ends[0]);
	close(ends[1]);
	return 0;
}

static const char *next_line(void)
{
	static char line[65536];
	ssize_t n = read(ends[0], line, sizeof(line) - 1);

	line[n > 0 ? n : 0] = '\0';
	return line;
}

static void begin(struct event *e, enum event_level level, const char *name, uint64_t id)
{
	event_begin(e, level, name, id);
	e->wall_ms = TIME_MS;
}

static void test_key_value(void **state)
{
	struct event e;
	struct ipaddr addr;

	event_setup("smtpd[1]", ends[1], EVENT_SINK_LINES, EVENT_KEY_VALUE, EVENT_DEBUG);
	begin(&e, EVENT_INFO, "connect", 0);
	event_emit(&e);
	assert_string_equal(next_line(), TIME " info smtpd[1] connect\n");

	ipaddr_parse(STR("::ffff:192.0.2.1"), &addr);
	begin(&e, EVENT_WARNING, "accept", 33);
	event_addr(&e, "client", &addr);
	event_text(&e, "from", "a@example.kr");
	event_text(&e, "nothing", NULL);
	event_text(&e, "empty", "");
	event_str(&e, "subject", STR("two words"));
	event_u64(&e, "size", UINT64_MAX);
	event_id(&e, "session", 34);
	event_id(&e, "none", 0);
	event_format(&e, "reason", "%d of %s", 3, "a=b");
	assert_true(str_equal(event_get(&e, "client"), STR("192.0.2.1")));
	assert_true(str_equal(event_get(&e, "reason"), STR("3 of a=b")));
	assert_true(str_equal(event_get(&e, "none"), STR_EMPTY));
	event_emit(&e);
	assert_string_equal(next_line(),
		TIME " warning smtpd[1] accept id=0000000000011"
		     " client=192.0.2.1 from=a@example.kr subject=\"two words\""
		     " size=18446744073709551615 session=0000000000012 reason=\"3 of a=b\"\n");
}

static void test_json(void **state)
{
	struct event e;

	event_setup("queue", ends[1], EVENT_SINK_LINES, EVENT_JSON, EVENT_DEBUG);
	begin(&e, EVENT_ERROR, "bounce", 33);
	event_text(&e, "to", "a \"b\" <c@example.kr>");
	event_u64(&e, "code", 550);
	event_emit(&e);
	assert_string_equal(next_line(),
		"{\"time\":\"" TIME "\",\"level\":\"error\","
		"\"process\":\"queue\",\"event\":\"bounce\",\"id\":\"0000000000011\","
		"\"to\":\"a \\\"b\\\" <c@example.kr>\",\"code\":\"550\"}\n");
}

static void test_render_json(void **state)
{
	struct buf b = {.limit = 150};
	struct event e;

	event_setup("queue", ends[1], EVENT_SINK_SYSLOG, EVENT_KEY_VALUE, EVENT_ERROR);
	begin(&e, EVENT_INFO, "defer", 33);
	event_text(&e, "to", "c@example.kr");
	assert_int_equal(event_render_json(&e, &b), 0);
	assert_string_equal(buf_cstr(&b),
		"{\"time\":\"" TIME "\",\"level\":\"info\","
		"\"process\":\"queue\",\"event\":\"defer\",\"id\":\"0000000000011\","
		"\"to\":\"c@example.kr\"}");
	assert_int_equal(event_render_json(&e, &b), ERR_LIMIT);
	assert_string_equal(next_line(), "");
	buf_finish(&b);
}

static void test_syslog(void **state)
{
	static const struct {
		enum event_level level;
		int pri;
	} rows[] = {
		{EVENT_DEBUG, 23},
		{EVENT_INFO, 22},
		{EVENT_WARNING, 20},
		{EVENT_ERROR, 19},
	};
	struct event e;
	char wanted[200];

	event_setup("queue", ends[1], EVENT_SINK_SYSLOG, EVENT_KEY_VALUE, EVENT_DEBUG);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		begin(&e, rows[i].level, "defer", 0);
		event_text(&e, "reason", "a\nb");
		event_emit(&e);
		snprintf(wanted, sizeof(wanted), "<%d>pabal[%ld]: %s queue defer reason=\"a\\nb\"",
			rows[i].pri, (long)getpid(), event_level_name(rows[i].level));
		assert_string_equal(next_line(), wanted);
	}
	event_setup("queue", ends[1], EVENT_SINK_SYSLOG, EVENT_JSON, EVENT_DEBUG);
	begin(&e, EVENT_INFO, "defer", 0);
	event_emit(&e);
	snprintf(wanted, sizeof(wanted),
		"<22>pabal[%ld]: {\"time\":\"" TIME "\",\"level\":"
		"\"info\",\"process\":\"queue\",\"event\":\"defer\"}",
		(long)getpid());
	assert_string_equal(next_line(), wanted);
}

static int open_datagrams(void **state)
{
	int pair[2];
	int err = socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0, pair);

	ends[0] = pair[0];
	ends[1] = pair[1];
	return err;
}

static void test_escapes(void **state)
{
	static const struct {
		struct str value;
		const char *key_value;
		const char *json; // within the quotes
	} rows[] = {
		{{"plain.-_@+/:<>,", 15}, "plain.-_@+/:<>,", "plain.-_@+/:<>,"},
		{{"a b", 3}, "\"a b\"", "a b"},
		{{"a=b", 3}, "\"a=b\"", "a=b"},
		{{"a\"b", 3}, "\"a\\\"b\"", "a\\\"b"},
		{{"a\\b", 3}, "\"a\\\\b\"", "a\\\\b"},
		{{"a\r\n\tb", 5}, "\"a\\r\\n\\tb\"", "a\\r\\n\\tb"},
		{{"\0\x1b[2J", 5}, "\"\\x00\\x1b[2J\"", "\\u0000\\u001b[2J"},
		{{"\x7f", 1}, "\"\\x7f\"", "\\u007f"},
		{{"\xc2\x9b"
		  "2J",
			 4},
			"\"\\x9b2J\"", "\\u009b2J"}, // C1: CSI
		{{"\xed\x95\x9c", 3}, "\"\xed\x95\x9c\"", "\xed\x95\x9c"},
		{{"\xe2\x80\xa8", 3}, "\"\\u2028\"", "\\u2028"},
		{{"a\xe2\x80\xae"
		  "b",
			 5},
			"\"a\\u202eb\"", "a\\u202eb"}, // right to left
		{{"\xe2\x81\xa6", 3}, "\"\\u2066\"", "\\u2066"},
		{{"a\xff"
		  "b",
			 3},
			"\"a\\xffb\"", "a\\ufffdb"},
		{{"\xed\x95", 2}, "\"\\xed\\x95\"", "\\ufffd\\ufffd"},
		{{"\xf0\x9f\x93\xa7", 4}, "\"\xf0\x9f\x93\xa7\"", "\xf0\x9f\x93\xa7"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct event e;
		char wanted[200];

		event_setup("p", ends[1], EVENT_SINK_LINES, EVENT_KEY_VALUE, EVENT_DEBUG);
		begin(&e, EVENT_INFO, "try", 0);
		event_str(&e, "k", rows[i].value);
		event_emit(&e);
		snprintf(wanted, sizeof(wanted), TIME " info p try k=%s\n", rows[i].key_value);
		assert_string_equal(next_line(), wanted);
		event_setup("p", ends[1], EVENT_SINK_LINES, EVENT_JSON, EVENT_DEBUG);
		event_emit(&e);
		snprintf(wanted, sizeof(wanted),
			"{\"time\":\"" TIME "\",\"level\":\"info\","
			"\"process\":\"p\",\"event\":\"try\",\"k\":\"%s\"}\n",
			rows[i].json);
		assert_string_equal(next_line(), wanted);
	}
}

// Whatever a peer sends, a line stays one line, is cut at PIPE_BUF and can be read.
static void check_key_value(const char *line)
{
	size_t len = strlen(line);
	bool quoted = false;
	unsigned fields = 0;

	assert_true(len > 0 && len <= PIPE_BUF);
	assert_int_equal(line[len - 1], '\n');
	assert_true(str_is_utf8(str_from(line)));
	for (size_t i = 0; i + 1 < len; i++) {
		assert_true((unsigned char)line[i] >= ' ' && line[i] != 0x7f);
		if (quoted && line[i] == '\\')
			i++;
		else if (line[i] == '"')
			quoted = !quoted;
		else if (!quoted && line[i] == ' ') // time, level, process, name, then k=v
			assert_true(++fields < 4 ||
				    strcspn(line + i + 1, "=") < strcspn(line + i + 1, " \n"));
	}
	assert_false(quoted);
}

// The same walk in every run (a linear congruence).
static uint32_t random_u32(uint64_t *seed)
{
	*seed = *seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (uint32_t)(*seed >> 32);
}

static void test_any_content(void **state)
{
	uint64_t seed = 1;
	unsigned cut = 0;

	for (int round = 0; round < 2000; round++) {
		static char value[5000];
		struct event e;
		json_t *object;
		const char *line;

		begin(&e, EVENT_INFO, "try", 1);
		for (int field = 0; field < round % 40; field++) {
			size_t len = random_u32(&seed) % (round % 7 ? 60 : 3500);
			// Every third round is control octets, which grow most.
			for (size_t i = 0; i < len; i++)
				value[i] = (char)(random_u32(&seed) & (round % 3 ? 0xff : 0x1f));
			event_str(&e, "key", str_make(value, len));
		}
		event_setup("p", ends[1], EVENT_SINK_LINES, EVENT_KEY_VALUE, EVENT_DEBUG);
		event_emit(&e);
		line = next_line();
		check_key_value(line);
		cut += strstr(line, " cut=yes\n") != NULL;
		event_setup("p", ends[1], EVENT_SINK_LINES, EVENT_JSON, EVENT_DEBUG);
		event_emit(&e);
		line = next_line();
		assert_true(strlen(line) <= PIPE_BUF);
		assert_int_equal(strchr(line, '\n') - line, strlen(line) - 1);
		object = json_loads(line, JSON_ALLOW_NUL, NULL);
		assert_non_null(object);
		json_decref(object);
	}
	assert_true(cut > 50);
}

// Every length around the place where the line is full.
static void test_line_boundary(void **state)
{
	for (unsigned sink = 0; sink < 2; sink++) {
		for (size_t len = 1900; len < 2200; len++) {
			static char first[3000], second[3000];
			struct event e;

			memset(first, 'a', len);
			memset(second, '"', 1000); // each becomes two octets
			begin(&e, EVENT_INFO, "try", 0);
			event_str(&e, "a", str_make(first, len));
			event_str(&e, "b", str_make(second, 950));
			event_text(&e, "a-longer-key", "d");
			event_setup("p", ends[1], EVENT_SINK_LINES,
				sink ? EVENT_JSON : EVENT_KEY_VALUE, EVENT_DEBUG);
			event_emit(&e);
			check_key_value(next_line());
			begin(&e, EVENT_INFO, "try", 0);
			event_str(&e, "a", str_make(second, len - 1100));
			event_str(&e, "b", str_make(second, 1000));
			event_text(&e, "c", "d");
			event_emit(&e);
			check_key_value(next_line());
		}
	}
}

static void test_cut(void **state)
{
	static char text[10000];
	struct event e;
	const char *line;

	event_setup("p", ends[1], EVENT_SINK_LINES, EVENT_KEY_VALUE, EVENT_DEBUG);
	for (size_t i = 0; i + 3 <= sizeof(text); i += 3)
		memcpy(text + i, "\xed\x95\x9c", 3);
	for (size_t before = 0; before < 4; before++) {
		begin(&e, EVENT_INFO, "try", 0);
		event_str(&e, "x", str_make("xxxx", before));
		event_str(&e, "k", str_make(text, 9999));
		assert_true(str_is_utf8(event_get(&e, "k")));
		assert_true(event_get(&e, "k").len > EVENT_SPACE - 8);
		event_text(&e, "late", "no room");
		assert_int_equal(event_get(&e, "late").len, 0);
		event_emit(&e);
		line = next_line();
		check_key_value(line);
		assert_non_null(strstr(line, "\" cut=yes\n"));
		assert_null(strstr(line, "\\x")); // no half character
	}
	memset(text, 'a', sizeof(text));
	text[9999] = '\0';
	begin(&e, EVENT_INFO, "try", 0);
	event_format(&e, "k", "%s", text);
	assert_int_equal(event_get(&e, "k").len, EVENT_SPACE);

	begin(&e, EVENT_INFO, "try", 0);
	for (unsigned i = 0; i < EVENT_FIELDS_MAX + 1; i++)
		event_u64(&e, "k", i);
	event_emit(&e);
	assert_non_null(strstr(next_line(), " k=31 cut=yes\n"));
}

static void count_tap(const struct event *e, void *arg)
{
	++*(int *)arg;
	assert_string_equal(e->name, "config");
}

static void test_levels(void **state)
{
	int tapped = 0;

	event_setup("p", ends[1], EVENT_SINK_LINES, EVENT_KEY_VALUE, EVENT_WARNING);
	event_set_tap(count_tap, &tapped);
	event_report(EVENT_DEBUG, "config", "one");
	assert_int_equal(tapped, 0);
	event_report(EVENT_INFO, "config", "two");
	assert_int_equal(tapped, 1); // also what the log leaves out
	assert_string_equal(next_line(), "");
	event_report(EVENT_WARNING, "config", "line %d", 3);
	assert_int_equal(tapped, 2);
	assert_non_null(strstr(next_line(), " warning p config reason=\"line 3\"\n"));
	event_setup("p", -1, EVENT_SINK_LINES, EVENT_KEY_VALUE, EVENT_DEBUG);
	event_report(EVENT_ERROR, "config", "no sink");
	assert_int_equal(tapped, 3);
}

static void test_never_blocks(void **state)
{
	static char all[2000000];
	size_t len = 0;
	unsigned sent = 5000, lines = 0;
	ssize_t n;

	// The writer's end blocks here, as a pipe from elsewhere would.
	assert_int_equal(fcntl(ends[1], F_SETFL, 0), 0);
	event_setup("p", ends[1], EVENT_SINK_LINES, EVENT_KEY_VALUE, EVENT_DEBUG);
	errno = EDOM;
	for (unsigned i = 0; i < sent; i++)
		event_report(EVENT_INFO, "try", "%060u", i);
	assert_int_equal(errno, EDOM);
	while ((n = read(ends[0], all + len, sizeof(all) - len)) > 0)
		len += (size_t)n;
	for (size_t i = 0; i < len; i++)
		lines += all[i] == '\n';
	assert_true(lines > 100 && lines < sent);
	assert_int_equal(all[len - 1], '\n'); // none in part
	event_report(EVENT_INFO, "try", "after");
	snprintf(all, sizeof(all), " reason=after dropped=%u\n", sent - lines);
	assert_non_null(strstr(next_line(), all));
	event_report(EVENT_INFO, "try", "then");
	assert_non_null(strstr(next_line(), " reason=then\n"));
	// The flags of the pipe itself are not ours to change.
	assert_int_equal(fcntl(ends[1], F_GETFL) & O_NONBLOCK, 0);
}

static void test_socket_never_blocks(void **state)
{
	assert_int_equal(fcntl(ends[1], F_SETFL, 0), 0);
	event_setup("p", ends[1], EVENT_SINK_SYSLOG, EVENT_KEY_VALUE, EVENT_DEBUG);
	for (int i = 0; i < 5000; i++)
		event_report(EVENT_INFO, "try", "%d", i);
	while (next_line()[0])
		;
	event_report(EVENT_INFO, "try", "after");
	assert_non_null(strstr(next_line(), " reason=after dropped="));
	// Nobody there: dropped, and no signal.
	close(ends[0]);
	event_report(EVENT_INFO, "try", "nobody");
	ends[0] = dup(ends[1]);
}

// A device that takes only part of a line: the next line starts on its own.
static void test_partial_write(void **state)
{
	char path[] = "/tmp/pabal-event-XXXXXX";
	int fd = mkstemp(path);
	struct rlimit was, small;
	char text[1000] = "";
	struct event e;

	assert_true(fd >= 0);
	unlink(path);
	event_setup("p", ends[1], EVENT_SINK_LINES, EVENT_KEY_VALUE, EVENT_DEBUG);
	event_report(EVENT_INFO, "try", "takes the count of earlier tests");
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &was), 0);
	small = was;
	small.rlim_cur = 10;
	event_setup("p", fd, EVENT_SINK_LINES, EVENT_KEY_VALUE, EVENT_DEBUG);
	begin(&e, EVENT_INFO, "try", 0);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
	event_emit(&e);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &was), 0);
	event_emit(&e);
	event_emit(&e);
	assert_true(pread(fd, text, sizeof(text) - 1, 0) > 0);
	assert_string_equal(
		text, "2026-11-22\n" TIME " info p try dropped=1\n" TIME " info p try\n");
	close(fd);
}

int main(void)
{
#define WITH_PIPE(test)	     cmocka_unit_test_setup_teardown(test, open_pipe, close_ends)
#define WITH_DATAGRAMS(test) cmocka_unit_test_setup_teardown(test, open_datagrams, close_ends)
	const struct CMUnitTest tests[] = {
		WITH_PIPE(test_key_value),
		WITH_PIPE(test_json),
		WITH_PIPE(test_render_json),
		WITH_DATAGRAMS(test_syslog),
		WITH_PIPE(test_escapes),
		WITH_PIPE(test_any_content),
		WITH_PIPE(test_line_boundary),
		WITH_PIPE(test_cut),
		WITH_PIPE(test_levels),
		WITH_PIPE(test_never_blocks),
		WITH_DATAGRAMS(test_socket_never_blocks),
		WITH_PIPE(test_partial_write),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
