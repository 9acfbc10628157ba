// SPDX-License-Identifier: ISC
#include "fixture.h"

#include "base/clock.h"
#include "base/error.h"
#include "net/stream.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

// ---- one side of a connection, recording what happens to it
struct side {
	struct stream *s;
	struct buf got;	    // what was used
	size_t use_at_most; // an input callback uses no more; SIZE_MAX: all
	unsigned inputs, sents, secureds, connecteds, ends;
	int end_err;
	char why[300];
	size_t last_offer;
	const char *answer; // written for every input
	bool close_in_input, close_after_in_input, count_only, pause_in_input;
	SSL *tls_in_input; // started as a server in the next input callback
	size_t total;
};

struct world {
	uv_loop_t loop;
	struct wheel *wheel;
	struct side a, b; // a under test; b the peer, a stream too
	int raw;	  // or a bare socket
};

static struct fixture_identity identity;
static struct tls_server *server;
static struct tls_client *client;

static size_t on_input(struct stream *s, void *arg, struct str octets)
{
	struct side *side = arg;
	size_t use = octets.len < side->use_at_most ? octets.len : side->use_at_most;

	assert_ptr_equal(s, side->s);
	assert_true(octets.len > 0);
	side->inputs++;
	side->last_offer = octets.len;
	side->total += use;
	if (!side->count_only)
		buf_add(&side->got, octets.data, use);
	if (side->answer) {
		buf_add_text(stream_output(s), side->answer);
		stream_flush(s);
	}
	if (side->pause_in_input)
		stream_pause(s, true);
	if (side->tls_in_input) {
		SSL *ssl = side->tls_in_input;
		side->tls_in_input = NULL;
		assert_int_equal(stream_start_tls(s, ssl, true), 0);
		assert_int_not_equal(octets.data[octets.len - 1], 0); // still there
	}
	if (side->close_in_input || side->close_after_in_input) {
		side->s = NULL;
		if (side->close_in_input)
			stream_close(s);
		else
			stream_close_after_send(s);
	}
	return use;
}

static void on_sent(struct stream *s, void *arg)
{
	((struct side *)arg)->sents++;
	assert_int_equal(stream_unsent(s), 0);
}

static void on_secured(struct stream *s, void *arg)
{
	((struct side *)arg)->secureds++;
	assert_true(stream_is_tls(s));
}

static void on_connected(struct stream *s, void *arg)
{
	((struct side *)arg)->connecteds++;
}

static void on_ended(struct stream *s, void *arg, int err, const char *why)
{
	struct side *side = arg;

	assert_ptr_equal(s, side->s);
	side->ends++;
	side->end_err = err;
	snprintf(side->why, sizeof(side->why), "%s", why);
}

static const struct stream_events events = {.input = on_input,
	.sent = on_sent,
	.secured = on_secured,
	.connected = on_connected,
	.ended = on_ended};

static void init_world(struct world *w)
{
	memset(w, 0, sizeof(*w));
	assert_int_equal(uv_loop_init(&w->loop), 0);
	w->wheel = wheel_create(&w->loop);
	w->raw = -1;
	w->a.use_at_most = w->b.use_at_most = SIZE_MAX;
}

static void close_side(struct side *side)
{
	stream_close(side->s);
	buf_finish(&side->got);
}

static void close_world(struct world *w)
{
	close_side(&w->a);
	close_side(&w->b);
	if (w->raw >= 0)
		close(w->raw);
	wheel_destroy(w->wheel);
	uv_run(&w->loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&w->loop), 0);
}

static void tcp_pair(int out[2])
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(at);
	int listening = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(bind(listening, (struct sockaddr *)&at, sizeof(at)), 0);
	assert_int_equal(listen(listening, 1), 0);
	getsockname(listening, (struct sockaddr *)&at, &len);
	out[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(out[0], (struct sockaddr *)&at, sizeof(at)), 0);
	out[1] = accept4(listening, NULL, NULL, SOCK_CLOEXEC);
	assert_true(out[1] >= 0);
	close(listening);
}

// Two streams joined by TCP over loopback.
static void open_streams(struct world *w)
{
	int ends[2];

	init_world(w);
	tcp_pair(ends);
	w->a.s = stream_open(&w->loop, w->wheel, ends[0], &events, &w->a);
	w->b.s = stream_open(&w->loop, w->wheel, ends[1], &events, &w->b);
}

// One stream; the test has the bare other end.
static void open_raw(struct world *w, bool tcp)
{
	int ends[2];

	init_world(w);
	if (tcp)
		tcp_pair(ends);
	else
		assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
	w->a.s = stream_open(&w->loop, w->wheel, ends[0], &events, &w->a);
	w->raw = ends[1];
}

#define RUN_UNTIL(w, condition)                                                                    \
	do {                                                                                       \
		for (unsigned turns_ = 0; turns_ < 200000 && !(condition); turns_++)               \
			uv_run(&(w)->loop, UV_RUN_ONCE);                                           \
		assert_true(condition);                                                            \
	} while (0)

static void turn(struct world *w, unsigned times)
{
	for (unsigned i = 0; i < times; i++)
		uv_run(&w->loop, UV_RUN_NOWAIT);
}

static void say(struct side *side, const char *text)
{
	buf_add_text(stream_output(side->s), text);
	stream_flush(side->s);
}

static void secure(struct world *w)
{
	stream_start_tls(w->a.s, tls_server_session(server), true);
	stream_start_tls(w->b.s, tls_client_session(client, "mail.example.kr", true), false);
	RUN_UNTIL(w, w->a.secureds && w->b.secureds);
}

static void write_raw(struct world *w, const char *text)
{
	assert_int_equal(write(w->raw, text, strlen(text)), strlen(text));
}

static bool got(struct side *side, const char *text)
{
	return str_equal(buf_str(&side->got), str_from(text));
}

// ---- plain
static void octets_go_both_ways(void **state)
{
	struct world w;
	struct ipaddr addr;
	uint16_t port;

	open_streams(&w);
	say(&w.a, "220 mail\r\n");
	say(&w.b, "EHLO you\r\n");
	RUN_UNTIL(&w, got(&w.a, "EHLO you\r\n") && got(&w.b, "220 mail\r\n"));
	RUN_UNTIL(&w, w.a.sents == 1);
	stream_get_peer(w.a.s, &addr, &port);
	assert_true(ipaddr_is_loopback(&addr));
	assert_int_not_equal(port, 0);
	stream_get_local(w.b.s, &addr, &port);
	assert_true(ipaddr_is_loopback(&addr));
	assert_false(stream_is_tls(w.a.s));
	assert_null(stream_ssl(w.a.s));
	close_world(&w);
}

static void output_without_a_flush_leaves_with_the_turn(void **state)
{
	struct world w;

	open_streams(&w);
	buf_add_text(stream_output(w.a.s), "one ");
	buf_add_text(stream_output(w.a.s), "two");
	RUN_UNTIL(&w, got(&w.b, "one two"));
	assert_int_equal(w.b.inputs, 1);
	close_world(&w);
}

static void what_is_left_comes_again_with_more(void **state)
{
	struct world w;

	open_raw(&w, false);
	w.a.use_at_most = 0;
	write_raw(&w, "EH");
	RUN_UNTIL(&w, w.a.inputs == 1);
	assert_int_equal(w.a.last_offer, 2);
	write_raw(&w, "LO");
	RUN_UNTIL(&w, w.a.inputs == 2);
	assert_int_equal(w.a.last_offer, 4);
	w.a.use_at_most = 3;
	write_raw(&w, " you");
	RUN_UNTIL(&w, w.a.inputs == 3);
	assert_int_equal(w.a.last_offer, 8);
	stream_resume_input(w.a.s);
	assert_int_equal(w.a.inputs, 3); // not from inside the call
	RUN_UNTIL(&w, w.a.inputs == 4);
	assert_int_equal(w.a.last_offer, 5);
	assert_true(got(&w.a, "EHLO y"));
	assert_true(stream_has_input(w.a.s));
	close_world(&w);
}

static void a_consumer_that_uses_nothing_is_ended_at_the_bound(void **state)
{
	char block[8192] = "";
	struct world w;

	open_raw(&w, true);
	fcntl(w.raw, F_SETFL, O_NONBLOCK);
	w.a.use_at_most = 0;
	for (unsigned i = 0; i < 100000 && !w.a.ends; i++) {
		if (write(w.raw, block, sizeof(block)) < 0)
			assert_int_equal(errno, EAGAIN);
		uv_run(&w.loop, UV_RUN_NOWAIT);
	}
	assert_int_equal(w.a.end_err, ERR_LIMIT);
	assert_true(w.a.last_offer <= STREAM_INPUT_MAX);
	close_world(&w);
}

static void a_large_transfer_arrives_whole(void **state)
{
	const size_t total = 64 * 1024 * 1024, piece = 100000;
	char *block = mem_alloc(piece);

	for (unsigned tls = 0; tls < 2; tls++) {
		struct world w;
		uint64_t begin = clock_monotonic_ms();
		size_t sent = 0;
		open_streams(&w);
		w.b.count_only = true;
		if (tls)
			secure(&w);
		while (w.b.total < total) {
			while (sent < total && stream_unsent(w.a.s) < 4 * piece) {
				size_t len = total - sent < piece ? total - sent : piece;
				buf_add(stream_output(w.a.s), block, len);
				stream_flush(w.a.s);
				sent += len;
			}
			uv_run(&w.loop, UV_RUN_ONCE);
		}
		assert_int_equal(w.b.total, total);
		print_message("%s: 64 MiB in %u ms, both ends in one thread\n",
			tls ? "TLS" : "plain", (unsigned)(clock_monotonic_ms() - begin));
		close_world(&w);
	}
	mem_free(block);
}

static void order_holds_when_the_socket_is_full(void **state)
{
	for (unsigned tls = 0; tls < 2; tls++) {
		struct world w;
		uint32_t expected = 0;
		open_streams(&w);
		if (tls)
			secure(&w);
		stream_pause(w.b.s, true);
		for (uint32_t i = 0; i < 2000000; i++)
			buf_add(stream_output(w.a.s), &i, sizeof(i));
		stream_flush(w.a.s);
		turn(&w, 50);
		assert_true(stream_unsent(w.a.s) > 0);
		assert_int_equal(w.b.inputs, 0);
		assert_int_equal(w.a.sents, 0);
		stream_pause(w.b.s, false);
		RUN_UNTIL(&w, buf_len(&w.b.got) == 8000000);
		for (struct str s = buf_str(&w.b.got); s.len; s = str_skip(s, 4), expected++)
			assert_memory_equal(s.data, &expected, 4);
		RUN_UNTIL(&w, w.a.sents == 1);
		close_world(&w);
	}
}

static void paused_streams_do_not_spin_and_lose_nothing(void **state)
{
	struct world w;

	open_raw(&w, true);
	stream_pause(w.a.s, true);
	write_raw(&w, "early");
	for (unsigned i = 0; i < 1000 && !stream_has_input(w.a.s); i++)
		turn(&w, 1);
	assert_true(stream_has_input(w.a.s));
	assert_int_equal(w.a.inputs, 0);
	shutdown(w.raw, SHUT_WR);
	turn(&w, 20);
	assert_int_equal(w.a.ends, 0);
	assert_int_equal(uv_backend_timeout(&w.loop), 0); // no handle is active: nothing polls
	stream_pause(w.a.s, false);
	RUN_UNTIL(&w, w.a.ends == 1);
	assert_true(got(&w.a, "early"));
	assert_int_equal(w.a.end_err, ERR_CLOSED);
	close_world(&w);
}

static void pausing_in_the_callback_keeps_the_rest(void **state)
{
	for (unsigned tls = 0; tls < 2; tls++) {
		struct world w;
		open_streams(&w);
		if (tls)
			secure(&w);
		w.a.pause_in_input = true;
		w.a.use_at_most = 4;
		say(&w.b, "onetwothree!");
		RUN_UNTIL(&w, w.a.inputs == 1);
		w.a.pause_in_input = false;
		for (unsigned i = 2; i <= 3; i++) {
			stream_pause(w.a.s, false);
			stream_resume_input(w.a.s);
			RUN_UNTIL(&w, w.a.inputs == i);
		}
		assert_true(got(&w.a, "onetwothree!"));
		close_world(&w);
	}
}

// ---- ends
static void a_peer_that_closes_is_noticed_after_its_octets(void **state)
{
	for (unsigned tls = 0; tls < 2; tls++) {
		struct world w;
		open_streams(&w);
		if (tls)
			secure(&w);
		say(&w.b, "QUIT\r\n");
		stream_close_after_send(w.b.s);
		w.b.s = NULL;
		RUN_UNTIL(&w, w.a.ends == 1);
		assert_int_equal(w.a.end_err, ERR_CLOSED);
		assert_true(got(&w.a, "QUIT\r\n"));
		assert_non_null(strstr(w.a.why, "closed the connection"));
		turn(&w, 10);
		assert_int_equal(w.a.ends, 1);
		close_world(&w);
	}
}

static void a_reset_is_noticed_also_when_paused_and_writing(void **state)
{
	for (unsigned paused = 0; paused < 2; paused++) {
		struct linger hard = {.l_onoff = 1};
		struct world w;
		open_raw(&w, true);
		stream_pause(w.a.s, paused);
		turn(&w, 2);
		setsockopt(w.raw, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
		close(w.raw);
		w.raw = -1;
		if (paused)
			for (unsigned i = 0; i < 200 && !w.a.ends; i++) {
				say(&w.a, "450 later\r\n");
				turn(&w, 1);
			}
		RUN_UNTIL(&w, w.a.ends == 1);
		assert_int_equal(w.a.end_err, ERR_CLOSED);
		assert_non_null(strstr(w.a.why, "reset"));
		say(&w.a, "more"); // allowed until the stream is closed
		turn(&w, 3);
		close_world(&w);
	}
}

static void the_last_words_of_a_peer_are_read_although_writing_fails(void **state)
{
	struct world w;

	open_raw(&w, false);
	write_raw(&w, "421 going down\r\n");
	close(w.raw);
	w.raw = -1;
	for (unsigned i = 0; i < 200; i++)
		buf_add_text(stream_output(w.a.s), "MAIL FROM:<kim@example.kr>\r\n");
	stream_flush(w.a.s);
	RUN_UNTIL(&w, w.a.ends == 1);
	assert_true(got(&w.a, "421 going down\r\n"));
	assert_int_equal(w.a.end_err, ERR_CLOSED);
	close_world(&w);
}

static void our_last_words_arrive_although_the_peer_still_talks(void **state)
{
	for (unsigned tls = 0; tls < 2; tls++) {
		struct world w;
		open_streams(&w);
		if (tls)
			secure(&w);
		stream_pause(w.a.s, true);
		for (unsigned i = 0; i < 2000; i++)
			buf_add_text(stream_output(w.b.s), "RCPT TO:<kim@example.kr>\r\n");
		stream_flush(w.b.s);
		turn(&w, 5);
		say(&w.a, "421 4.3.2 too many errors\r\n");
		stream_close_after_send(w.a.s); // with unread octets in the socket
		w.a.s = NULL;
		RUN_UNTIL(&w, w.b.ends == 1);
		assert_int_equal(w.b.end_err, ERR_CLOSED);
		assert_true(got(&w.b, "421 4.3.2 too many errors\r\n"));
		close_world(&w);
	}
}

static void lingering_is_bounded(void **state)
{
	struct world w;
	uint64_t begin = clock_monotonic_ms();
	int ends[2];

	// The peer neither reads nor closes.
	open_raw(&w, true);
	stream_close_after_send(w.a.s);
	tcp_pair(ends);
	w.a.s = stream_open(&w.loop, w.wheel, ends[0], &events, &w.a);
	for (unsigned i = 0; i < 1000000; i++)
		buf_add_text(stream_output(w.a.s), "0123456789");
	stream_close_after_send(w.a.s);
	w.a.s = NULL;
	uv_run(&w.loop, UV_RUN_DEFAULT); // ends when both are gone
	assert_true(clock_monotonic_ms() - begin >= 4900);
	assert_true(clock_monotonic_ms() - begin < 8000);
	close(ends[1]);
	close_world(&w);
}

static void a_wheel_that_goes_takes_the_lingering_along(void **state)
{
	struct world w;

	open_raw(&w, true);
	stream_close_after_send(w.a.s);
	w.a.s = NULL;
	close_world(&w); // the loop ends at once
}

static void closing_inside_callbacks_is_allowed(void **state)
{
	for (unsigned tls = 0; tls < 2; tls++)
		for (unsigned after = 0; after < 2; after++) {
			struct world w;
			open_streams(&w);
			if (tls)
				secure(&w);
			w.a.close_in_input = !after;
			w.a.close_after_in_input = after;
			w.a.answer = "221 bye\r\n";
			w.a.use_at_most = 3;
			say(&w.b, "QUIT\r\nmore");
			RUN_UNTIL(&w, w.b.ends == 1);
			if (after)
				assert_true(got(&w.b, "221 bye\r\n"));
			assert_int_equal(w.a.ends, 0);
			close_world(&w);
		}
}

static void silence_is_ended(void **state)
{
	uint64_t begin = clock_monotonic_ms();
	struct world w;

	open_raw(&w, false);
	stream_set_timeout(w.a.s, 300);
	RUN_UNTIL(&w, w.a.ends == 1);
	assert_int_equal(w.a.end_err, ERR_TIMEOUT);
	assert_true(clock_monotonic_ms() - begin >= 300);
	close_world(&w);
}

static void activity_and_zero_move_the_limit(void **state)
{
	uint64_t begin = clock_monotonic_ms();
	struct world w;

	open_raw(&w, false);
	stream_set_timeout(w.a.s, 10000);
	stream_set_timeout(w.a.s, 400);
	while (clock_monotonic_ms() - begin < 600) {
		write_raw(&w, "x");
		unsigned before = w.a.inputs;
		RUN_UNTIL(&w, w.a.inputs > before);
	}
	assert_int_equal(w.a.ends, 0);
	stream_set_timeout(w.a.s, 0);
	assert_false(uv_backend_timeout(&w.loop) > 0); // no timer left
	close_world(&w);
}

// ---- TLS
static void tls_carries_octets_both_ways(void **state)
{
	struct tls_facts facts;
	struct world w;

	open_streams(&w);
	secure(&w);
	assert_true(stream_is_tls(w.a.s));
	tls_get_facts(stream_ssl(w.b.s), &facts);
	assert_true(facts.verified);
	say(&w.a, "250 ok\r\n");
	say(&w.b, "EHLO you\r\n");
	RUN_UNTIL(&w, got(&w.a, "EHLO you\r\n") && got(&w.b, "250 ok\r\n"));
	close_world(&w);
}

static void octets_before_tls_are_dropped(void **state)
{
	struct world w;

	// Left by the consumer, then TLS: counted.
	open_streams(&w);
	w.a.use_at_most = 10;
	say(&w.b, "STARTTLS\r\nMAIL FROM:<>\r\n");
	RUN_UNTIL(&w, w.a.inputs == 1);
	assert_int_equal(stream_start_tls(w.a.s, tls_server_session(server), true), 14);
	stream_start_tls(w.b.s, tls_client_session(client, "mail.example.kr", true), false);
	w.a.use_at_most = SIZE_MAX;
	RUN_UNTIL(&w, w.a.secureds && w.b.secureds);
	say(&w.b, "EHLO you\r\n");
	RUN_UNTIL(&w, w.a.inputs == 2);
	assert_true(got(&w.a, "STARTTLS\r\nEHLO you\r\n"));
	close_world(&w);

	// TLS begun inside the callback, which leaves octets behind.
	open_streams(&w);
	w.a.use_at_most = 10;
	w.a.tls_in_input = tls_server_session(server);
	say(&w.b, "STARTTLS\r\nMAIL FROM:<>\r\n");
	RUN_UNTIL(&w, w.a.inputs == 1);
	assert_false(stream_has_input(w.a.s));
	stream_start_tls(w.b.s, tls_client_session(client, "mail.example.kr", true), false);
	w.a.use_at_most = SIZE_MAX;
	RUN_UNTIL(&w, w.a.secureds && w.b.secureds);
	say(&w.b, "NOOP\r\n");
	RUN_UNTIL(&w, w.a.inputs == 2);
	assert_true(got(&w.a, "STARTTLS\r\nNOOP\r\n"));
	close_world(&w);
}

static void the_answer_before_tls_is_plain_and_what_follows_is_not(void **state)
{
	struct world w;

	open_streams(&w);
	buf_add_text(stream_output(w.a.s), "220 go ahead\r\n");
	stream_start_tls(w.a.s, tls_server_session(server), true);
	buf_add_text(stream_output(w.a.s), "secret");
	RUN_UNTIL(&w, got(&w.b, "220 go ahead\r\n"));
	turn(&w, 20);
	assert_true(got(&w.b, "220 go ahead\r\n"));
	stream_start_tls(w.b.s, tls_client_session(client, "mail.example.kr", true), false);
	RUN_UNTIL(&w, got(&w.b, "220 go ahead\r\nsecret"));
	close_world(&w);
}

static void a_blocked_answer_delays_the_handshake(void **state)
{
	struct world w;

	open_streams(&w);
	stream_pause(w.b.s, true);
	for (unsigned i = 0; i < 1000000; i++)
		buf_add_text(stream_output(w.a.s), "0123456789");
	stream_start_tls(w.a.s, tls_server_session(server), true);
	turn(&w, 20);
	w.b.count_only = true;
	stream_pause(w.b.s, false);
	RUN_UNTIL(&w, w.b.total == 10000000);
	stream_start_tls(w.b.s, tls_client_session(client, "mail.example.kr", true), false);
	RUN_UNTIL(&w, w.a.secureds && w.b.secureds);
	close_world(&w);
}

static void failed_handshakes_say_why(void **state)
{
	struct world w;

	open_raw(&w, true);
	stream_start_tls(w.a.s, tls_server_session(server), true);
	write_raw(&w, "EHLO plain.example.kr\r\n");
	RUN_UNTIL(&w, w.a.ends == 1);
	assert_int_equal(w.a.end_err, ERR_TLS);
	assert_non_null(strstr(w.a.why, "plain text"));
	assert_int_equal(w.a.inputs, 0);
	close_world(&w);

	open_raw(&w, true);
	stream_start_tls(w.a.s, tls_client_session(client, "mail.example.kr", true), false);
	turn(&w, 3);
	shutdown(w.raw, SHUT_WR);
	RUN_UNTIL(&w, w.a.ends == 1);
	assert_int_equal(w.a.end_err, ERR_TLS);
	assert_non_null(strstr(w.a.why, "closed the connection"));
	close_world(&w);

	open_streams(&w);
	stream_start_tls(w.a.s, tls_server_session(server), true);
	stream_start_tls(w.b.s, tls_client_session(client, "other.example.kr", true), false);
	RUN_UNTIL(&w, w.b.ends == 1);
	assert_int_equal(w.b.end_err, ERR_TLS);
	assert_non_null(strstr(w.b.why, "the certificate is not good"));
	close_world(&w);
}

static void a_handshake_that_stalls_is_ended(void **state)
{
	struct world w;

	open_raw(&w, true);
	stream_set_timeout(w.a.s, 300);
	stream_start_tls(w.a.s, tls_server_session(server), true);
	RUN_UNTIL(&w, w.a.ends == 1);
	assert_int_equal(w.a.end_err, ERR_TIMEOUT);
	assert_non_null(strstr(w.a.why, "handshake"));
	close_world(&w);
}

static void tls_dropped_in_the_middle_is_the_end(void **state)
{
	struct world w;

	open_streams(&w);
	secure(&w);
	shutdown(SSL_get_fd(stream_ssl(w.b.s)), SHUT_RDWR); // no close_notify
	RUN_UNTIL(&w, w.a.ends == 1);
	assert_int_equal(w.a.end_err, ERR_CLOSED);
	close_world(&w);
}

static void octets_held_by_tls_are_not_forgotten(void **state)
{
	struct world w;

	open_streams(&w);
	secure(&w);
	w.a.use_at_most = 0; // the stream's own buffer fills, then a record does not fit any more
	for (unsigned i = 0; i < 12900; i++)
		buf_add_text(stream_output(w.b.s), "0123456789");
	stream_flush(w.b.s);
	RUN_UNTIL(&w, w.a.last_offer == 129000);
	stream_pause(w.a.s, true);
	for (unsigned i = 0; i < 1000; i++)
		buf_add_text(stream_output(w.b.s), "0123456789");
	stream_flush(w.b.s);
	turn(&w, 10);
	w.a.use_at_most = SIZE_MAX;
	stream_pause(w.a.s, false);
	RUN_UNTIL(&w, buf_len(&w.a.got) == 139000);
	close_world(&w);
}

// ---- connecting
static void connect_to(
	struct world *w, uint16_t port, const char *address, const char *source, uint64_t timeout)
{
	struct ipaddr to, from = {0};

	assert_int_equal(ipaddr_parse(str_from(address), &to), 0);
	if (source)
		assert_int_equal(ipaddr_parse(str_from(source), &from), 0);
	w->a.s = stream_connect(&w->loop, w->wheel, &to, port, &from, timeout, &events, &w->a);
}

static void connecting(void **state)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int listening = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_in from;
	socklen_t len = sizeof(at);
	struct ipaddr addr;
	struct world w;
	uint16_t port;

	assert_int_equal(bind(listening, (struct sockaddr *)&at, sizeof(at)), 0);
	assert_int_equal(listen(listening, 5), 0);
	getsockname(listening, (struct sockaddr *)&at, &len);
	init_world(&w);
	connect_to(&w, ntohs(at.sin_port), "127.0.0.1", "127.0.0.2", 5000);
	buf_add_text(stream_output(w.a.s), "EHLO me\r\n"); // before it is connected
	assert_int_equal(w.a.connecteds, 0);
	RUN_UNTIL(&w, w.a.connecteds == 1);
	w.raw = accept(listening, (struct sockaddr *)&from, &len);
	assert_int_equal(ntohl(from.sin_addr.s_addr), 0x7f000002);
	stream_get_peer(w.a.s, &addr, &port);
	assert_int_equal(port, ntohs(at.sin_port));
	write_raw(&w, "220 hello\r\n");
	RUN_UNTIL(&w, got(&w.a, "220 hello\r\n") && w.a.sents == 1);
	close_world(&w);

	close(listening);
	init_world(&w);
	connect_to(&w, ntohs(at.sin_port), "127.0.0.1", NULL, 5000);
	assert_int_equal(w.a.ends, 0);
	RUN_UNTIL(&w, w.a.ends == 1);
	assert_int_equal(w.a.end_err, ERR_SYSTEM);
	assert_string_equal(w.a.why, "Connection refused");
	close_world(&w);

	init_world(&w); // no such source address here
	connect_to(&w, ntohs(at.sin_port), "127.0.0.1", "192.0.2.77", 5000);
	assert_int_equal(w.a.ends, 0);
	RUN_UNTIL(&w, w.a.ends == 1);
	assert_int_equal(w.a.end_err, ERR_SYSTEM);
	close_world(&w);

	init_world(&w); // closed before anything happened
	connect_to(&w, ntohs(at.sin_port), "127.0.0.1", NULL, 5000);
	stream_close_after_send(w.a.s);
	w.a.s = NULL;
	close_world(&w);
}

static void connecting_ends_in_time(void **state)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int listening = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), filler[4];
	socklen_t len = sizeof(at);
	struct world w;

	// A full backlog: the kernel answers no further attempt.
	assert_int_equal(bind(listening, (struct sockaddr *)&at, sizeof(at)), 0);
	assert_int_equal(listen(listening, 0), 0);
	getsockname(listening, (struct sockaddr *)&at, &len);
	for (size_t i = 0; i < ARRAY_SIZE(filler); i++) {
		filler[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
		connect(filler[i], (struct sockaddr *)&at, sizeof(at));
	}
	init_world(&w);
	connect_to(&w, ntohs(at.sin_port), "127.0.0.1", NULL, 300);
	stream_set_timeout(w.a.s, 60000); // is for later
	RUN_UNTIL(&w, w.a.ends == 1);
	assert_int_equal(w.a.end_err, ERR_TIMEOUT);
	close_world(&w);
	for (size_t i = 0; i < ARRAY_SIZE(filler); i++)
		close(filler[i]);
	close(listening);
}

static int set_up(void **state)
{
	static struct config_certificate c;
	struct config_tls server_tls = {
		.certificates = &c, .certificate_count = 1, .min = CONFIG_TLS_1_2};
	struct config_tls client_tls = {.min = CONFIG_TLS_1_2};
	struct tls_tickets tickets = {{1}, {2}};
	struct error err = {0};

	identity = fixture_make("EC", "mail.example.kr", "DNS:mail.example.kr", NULL, 30);
	c = fixture_configured(&identity);
	client_tls.ca_file = c.certificate;
	if (tls_server_create(&server_tls, STR("test"), &tickets, &server, &err) != 0 ||
		tls_client_create(&client_tls, &client, &err) != 0)
		fail_msg("%s", err.text);
	return 0;
}

static int tear_down(void **state)
{
	tls_server_destroy(server);
	tls_client_destroy(client);
	fixture_finish(&identity);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(octets_go_both_ways),
		cmocka_unit_test(output_without_a_flush_leaves_with_the_turn),
		cmocka_unit_test(what_is_left_comes_again_with_more),
		cmocka_unit_test(a_consumer_that_uses_nothing_is_ended_at_the_bound),
		cmocka_unit_test(a_large_transfer_arrives_whole),
		cmocka_unit_test(order_holds_when_the_socket_is_full),
		cmocka_unit_test(paused_streams_do_not_spin_and_lose_nothing),
		cmocka_unit_test(pausing_in_the_callback_keeps_the_rest),
		cmocka_unit_test(a_peer_that_closes_is_noticed_after_its_octets),
		cmocka_unit_test(a_reset_is_noticed_also_when_paused_and_writing),
		cmocka_unit_test(the_last_words_of_a_peer_are_read_although_writing_fails),
		cmocka_unit_test(our_last_words_arrive_although_the_peer_still_talks),
		cmocka_unit_test(lingering_is_bounded),
		cmocka_unit_test(a_wheel_that_goes_takes_the_lingering_along),
		cmocka_unit_test(closing_inside_callbacks_is_allowed),
		cmocka_unit_test(silence_is_ended),
		cmocka_unit_test(activity_and_zero_move_the_limit),
		cmocka_unit_test(tls_carries_octets_both_ways),
		cmocka_unit_test(octets_before_tls_are_dropped),
		cmocka_unit_test(the_answer_before_tls_is_plain_and_what_follows_is_not),
		cmocka_unit_test(a_blocked_answer_delays_the_handshake),
		cmocka_unit_test(failed_handshakes_say_why),
		cmocka_unit_test(a_handshake_that_stalls_is_ended),
		cmocka_unit_test(tls_dropped_in_the_middle_is_the_end),
		cmocka_unit_test(octets_held_by_tls_are_not_forgotten),
		cmocka_unit_test(connecting),
		cmocka_unit_test(connecting_ends_in_time),
	};
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
