// SPDX-License-Identifier: ISC
// Bodies: one message in is one message kept, whatever line ends a smuggler thinks of; small
// ones stay in memory, large ones go to the spool, and every fault is told at the end.
#include "run.h"

#define OPENING "EHLO c\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<kim@example.org>\r\n"
#define OPENED "220 250 250/2.1.0 250/2.1.5 "
#define SMUGGLED "MAIL FROM:<evil@b.example>\r\nRCPT TO:<kim2@example.org>\r\nDATA\r\nevil\r\n"

// What servers have taken for the end of a body, or changed into it on the way.
static const struct {
	struct str octets;
	bool clean; // allowed in a body
} ends[] = {
	{LIT("\n.\n"), false}, {LIT("\n.\r\n"), false}, {LIT("\r.\r"), false}, {LIT("\r\n.\n"), false},
	{LIT("\r\n.\r"), false}, {LIT("\r.\r\n"), false}, {LIT("\r\r\n"), false}, {LIT("\r\r\n.\r\n"), false},
	{LIT("\n\r\n.\r\n"), false}, {LIT("\r\n\r.\r\n"), false}, {LIT("\r\n.\r\r\n"), false},
	{LIT("\r\n.\n\r\n"), false}, {LIT("\r\n..\n"), false}, {LIT("\n..\r\n"), false},
	{LIT("\n.."), false}, {LIT("\r\n\0.\r\n"), false}, {LIT("\r\n.\0\r\n"), false}, {LIT("\0"), false},
	{LIT("\r\0\n.\r\0\n"), false}, {LIT("\n\n.\n\n"), false},
	{LIT("\r\n..\r\n"), true}, {LIT("\r\n.x\r\n"), true}, {LIT("\r\n. \r\n"), true},
	{LIT("\xc2\x85.\xc2\x85"), true}, {LIT("\xe2\x80\xa8.\xe2\x80\xa8"), true}, {LIT("\x0b.\x0b"), true},
	{LIT("\x1a\r\n"), true}, {LIT("\xff\xfe\r\n"), true}, {LIT("\x8d\x8a.\x8d\x8a"), true},
};

// Ways to cut octets into pieces.
static void send_cut(struct host *h, struct str octets, size_t first)
{
	host_send(h, str_slice(octets, 0, first));
	host_send(h, str_skip(octets, first));
}

static void check_smuggling(size_t i, size_t cut, bool later)
{
	struct host h = {.later = later, .connections = 1};
	struct buf body = BUF_INIT;

	buf_add_text(&body, "Subject: x\r\n\r\nfirst");
	buf_add_str(&body, ends[i].octets);
	buf_add_text(&body, SMUGGLED ".\r\n");
	host_connect(&h, SERVER_MX);
	session_begin(h.session, false);
	while (host_answer(&h))
		;
	host_send(&h, STR(OPENING "DATA\r\n"));
	send_cut(&h, buf_str(&body), cut);
	// Behind a message with such marks nothing is a command, not even after a true end.
	expect_replies(&h, ends[i].clean ? OPENED "354 250/2.0.0" :
		OPENED "354 554/5.6.0 421/4.7.0");
	assert_int_equal(h.closed, !ends[i].clean);
	assert_int_equal(h.count, ends[i].clean);
	for (unsigned m = 0; m < h.count; m++)
		assert_string_equal(buf_cstr(&h.messages[m].recipients), "kim@example.org");
	buf_finish(&body);
	host_finish(&h);
}

static void test_smuggling_data(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(ends); i++)
		for (size_t cut = 0; cut < 40; cut++) {
			check_smuggling(i, cut, false);
			check_smuggling(i, cut, true);
		}
}

static void check_chunks(size_t i, size_t chunk, unsigned how)
{
	struct host h = {0};
	struct buf body = BUF_INIT;
	struct str rest;

	buf_add_text(&body, "Subject: x\r\n\r\nfirst");
	buf_add_str(&body, ends[i].octets);
	buf_add_text(&body, SMUGGLED);
	begin_run(&h, SERVER_MX, how);
	host_send(&h, STR(OPENING));
	for (rest = buf_str(&body); rest.len;) {
		struct str piece = str_slice(rest, 0, chunk);
		struct buf line = BUF_INIT;

		rest = str_skip(rest, piece.len);
		buf_add_format(&line, "BDAT %zu%s\r\n", piece.len, rest.len ? "" : " LAST");
		buf_add_str(&line, piece);
		host_send(&h, buf_str(&line));
		buf_finish(&line);
	}
	assert_int_equal(h.count, ends[i].clean);
	if (ends[i].clean) // no dots in here: what was in the chunks is what is kept
		assert_true(str_equal(buf_str(&h.messages[0].body), buf_str(&body)));
	else
		said_has(&h, "554 5.6.0");
	assert_true(str_search(buf_str(&h.said), STR("354")) < 0); // nothing of it was obeyed
	buf_finish(&body);
	host_finish(&h);
}

static void test_smuggling_chunks(void **state)
{
	static const size_t chunks[] = {7, 19, 20, 21, 22, 1000};

	for (size_t i = 0; i < ARRAY_SIZE(ends); i++)
		for (size_t c = 0; c < ARRAY_SIZE(chunks); c++)
			for (unsigned how = 0; how < HOW; how++)
				check_chunks(i, chunks[c], how);
}

static struct buf lines_of(size_t size)
{
	struct buf b = BUF_INIT;

	buf_add_text(&b, "x: y\r\n\r\n");
	while (buf_len(&b) + 50 <= size)
		buf_add_text(&b, "012345678901234567890123456789012345678901234567\r\n");
	while (buf_len(&b) + 2 < size)
		buf_add_char(&b, 'z');
	buf_add_text(&b, "\r\n");
	return b;
}

static void send_body(struct host *h, struct str body, bool chunked)
{
	struct buf line = BUF_INIT;

	if (chunked) {
		buf_add_format(&line, "BDAT %zu\r\n", body.len / 2);
		buf_add_str(&line, str_slice(body, 0, body.len / 2));
		buf_add_format(&line, "BDAT %zu LAST\r\n", body.len - body.len / 2);
		buf_add_str(&line, str_skip(body, body.len / 2));
		host_send(h, buf_str(&line));
	} else {
		host_send(h, STR("DATA\r\n"));
		host_send(h, body);
		host_send(h, STR(".\r\n"));
	}
	buf_finish(&line);
}

// Sizes around what stays in memory and what is read at once.
static void test_sizes(void **state)
{
	static const size_t sizes[] = {16383, 16384, 16385, 65535, 65536, 65537, 81920, 200000, 999999, 1000000};

	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++)
		for (unsigned how = 0; how < 8; how++) {
			struct host h = {.later = how & 1, .step = how & 2 ? 4099 : 0, .connections = 1};
			struct buf body = lines_of(sizes[i]);

			host_connect(&h, SERVER_MX);
			session_begin(h.session, false);
			while (host_answer(&h))
				;
			host_send(&h, STR(OPENING));
			send_body(&h, buf_str(&body), how & 4);
			assert_int_equal(h.count, 1);
			assert_true(str_equal(buf_str(&h.messages[0].body), buf_str(&body)));
			assert_int_equal(h.spool_opens, sizes[i] > 65536);
			assert_int_equal(h.spool_aborts, 0);
			buf_finish(&body);
			host_finish(&h);
		}
}

struct trouble {
	const char *what;
	size_t size;
	int spool_error, sync_error, submit_error;
	const char *data, *chunks;
	unsigned aborts;
};

static const struct trouble troubles[] = {
	{"over the limit", 1000001, 0, 0, 0, "354 552/5.3.4", "250/2.0.0 552/5.3.4", 1},
	{"spool full", 100000, ERR_FULL, 0, 0, "354 452/4.3.1", "250/2.0.0 452/4.3.1", 0},
	{"spool gone", 100000, ERR_UNAVAILABLE, 0, 0, "354 451/4.3.0", "250/2.0.0 451/4.3.0", 0},
	{"sync fails", 100000, 0, ERR_SYSTEM, 0, "354 451/4.3.0", "250/2.0.0 451/4.3.0", 1},
	{"sync finds the disk full", 100000, 0, ERR_FULL, 0, "354 452/4.3.1", "250/2.0.0 452/4.3.1", 1},
	{"commit fails", 100000, 0, 0, ERR_UNAVAILABLE, "354 451/4.3.0", "250/2.0.0 451/4.3.0", 0},
	{"commit of a small one fails", 100, 0, 0, ERR_SYSTEM, "354 451/4.3.0", "250/2.0.0 451/4.3.0", 0},
};

static void check_trouble(const struct trouble *t, unsigned how)
{
	bool chunked = how & 4;
	struct host h = {.later = how & 1, .step = how & 2 ? 4099 : 0, .connections = 1,
		.spool_error = t->spool_error, .sync_error = t->sync_error,
		.submit_error = t->submit_error};
	struct buf body = lines_of(t->size);
	char expected[200];

	host_connect(&h, SERVER_MX);
	session_begin(h.session, false);
	while (host_answer(&h))
		;
	host_send(&h, STR(OPENING));
	send_body(&h, buf_str(&body), chunked);
	snprintf(expected, sizeof(expected), OPENED "%s", chunked ? t->chunks : t->data);
	expect_replies(&h, expected);
	assert_int_equal(h.spool_aborts, t->aborts);
	assert_false(h.spool_open);
	// The next message is taken as if nothing had been.
	h.spool_error = h.sync_error = h.submit_error = 0;
	host_send(&h, STR("MAIL FROM:<>\r\nRCPT TO:<kim2@example.org>\r\nDATA\r\n.\r\n"));
	assert_int_equal(h.count, 1);
	assert_string_equal(buf_cstr(&h.messages[0].recipients), "kim2@example.org");
	assert_int_equal(buf_len(&h.messages[0].body), 0);
	buf_finish(&body);
	host_finish(&h);
}

static void test_troubles(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(troubles); i++)
		for (unsigned how = 0; how < 8; how++)
			check_trouble(&troubles[i], how);
}

// A client that sends for ever is sent away.
static void test_endless(void **state)
{
	struct host h = {0};
	struct buf piece = lines_of(100000);

	begin_run(&h, SERVER_MX, 0);
	host_send(&h, STR(OPENING "DATA\r\n"));
	for (int i = 0; i < 60 && !h.closed; i++)
		host_send(&h, buf_str(&piece));
	expect_replies(&h, OPENED "354 552/5.3.4");
	assert_true(h.closed);
	buf_finish(&piece);
	host_finish(&h);
}

static void test_long_lines(void **state)
{
	for (unsigned how = 0; how < HOW; how++) {
		struct host h = {0};
		struct buf line = BUF_INIT;

		for (size_t i = 0; i < 65537; i++)
			buf_add_char(&line, 'x');
		begin_run(&h, SERVER_MX, how);
		host_send(&h, STR(OPENING "DATA\r\n"));
		host_send(&h, str_slice(buf_str(&line), 0, 65536));
		host_send(&h, STR("\r\n.\r\nMAIL FROM:<>\r\nRCPT TO:<kim@example.org>\r\nDATA\r\n"));
		host_send(&h, buf_str(&line));
		host_send(&h, STR("\r\n.\r\n"));
		expect_replies(&h, OPENED "354 250/2.0.0 250/2.1.0 250/2.1.5 354 554/5.6.0");
		buf_clear(&h.said);
		host_send(&h, buf_str(&line)); // as a command
		host_send(&h, STR("\r\nNOOP\r\n"));
		expect_replies(&h, "500/5.5.6 250/2.0.0");
		buf_finish(&line);
		host_finish(&h);
	}
}

// The longest commands that the extensions allow, and one octet more.
static void test_command_lengths(void **state)
{
	static const struct {
		const char *start;
		size_t most; // octets with CRLF
	} rows[] = {{"NOOP ", 512}, {"MAIL ", 1645}, {"RCPT ", 1534}, {"AUTH ", 12288}};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		for (unsigned over = 0; over < 2; over++)
			for (unsigned how = 0; how < HOW; how++) {
				struct host h = {0};
				struct buf line = BUF_INIT;
				bool long_reply;

				buf_add_text(&line, rows[i].start);
				while (buf_len(&line) + 2 < rows[i].most + over)
					buf_add_char(&line, 'x');
				buf_add_text(&line, "\r\n");
				begin_run(&h, SERVER_MX, how);
				buf_clear(&h.said);
				host_send(&h, buf_str(&line));
				long_reply = str_starts(buf_str(&h.said), STR("500 5.5.6"));
				assert_int_equal(long_reply, over);
				buf_finish(&line);
				host_finish(&h);
			}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_smuggling_data),
		cmocka_unit_test(test_smuggling_chunks),
		cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_troubles),
		cmocka_unit_test(test_endless),
		cmocka_unit_test(test_long_lines),
		cmocka_unit_test(test_command_lengths),
	};

	host_init_limits();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
