// SPDX-License-Identifier: ISC
#include "ipc/channel.h"

#include "base/file.h"
#include "base/memory.h"

#include <dirent.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

// One end under test; what arrives is counted and the last frame kept.
struct end {
	struct ipc_channel *ch;
	unsigned frames, closes;
	unsigned last_type;
	struct buf last;
	int fds[300];
	unsigned fd_count;
	unsigned close_at; // closes itself in this frame
	unsigned pause_at;
	bool check_numbers; // bodies begin with the number of the frame
	size_t octets;
};

struct pair {
	uv_loop_t loop;
	struct end a, b;
	int sockets[2];
	unsigned open_before;
};

static unsigned count_open(void)
{
	DIR *dir = opendir("/proc/self/fd");
	unsigned count = 0;

	assert_non_null(dir);
	while (readdir(dir))
		count++;
	closedir(dir);
	return count;
}

static void on_frame(struct ipc_channel *ch, void *arg, unsigned type, struct str body, int fd)
{
	struct end *e = arg;
	uint32_t number;

	assert_ptr_equal(ipc_channel_arg(ch), e);
	assert_ptr_equal(ch, e->ch);
	if (e->check_numbers) {
		assert_true(body.len >= 4);
		memcpy(&number, body.data, 4);
		assert_int_equal(number, e->frames);
	}
	e->frames++;
	e->octets += body.len;
	e->last_type = type;
	buf_clear(&e->last);
	buf_add_str(&e->last, body);
	if (fd >= 0) {
		assert_true(e->fd_count < ARRAY_SIZE(e->fds));
		e->fds[e->fd_count++] = fd;
	}
	if (e->frames == e->pause_at)
		ipc_channel_pause(ch, true);
	if (e->frames == e->close_at) {
		ipc_channel_close(ch);
		e->ch = NULL;
	}
}

static void on_close(struct ipc_channel *ch, void *arg)
{
	struct end *e = arg;

	e->closes++;
	assert_int_equal(ipc_channel_send(ch, 1, STR("late"), -1), ERR_CLOSED);
}

static void open_pair(struct pair *p)
{
	memset(p, 0, sizeof(*p));
	assert_int_equal(uv_loop_init(&p->loop), 0);
	p->open_before = count_open();
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, p->sockets), 0);
	p->a.ch = ipc_channel_open(&p->loop, p->sockets[0], on_frame, on_close, &p->a);
	p->b.ch = ipc_channel_open(&p->loop, p->sockets[1], on_frame, on_close, &p->b);
}

// The other end is a bare socket, to speak badly.
static void open_half(struct pair *p)
{
	memset(p, 0, sizeof(*p));
	assert_int_equal(uv_loop_init(&p->loop), 0);
	p->open_before = count_open();
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, p->sockets), 0);
	p->a.ch = ipc_channel_open(&p->loop, p->sockets[0], on_frame, on_close, &p->a);
}

static void close_end(struct end *e)
{
	ipc_channel_close(e->ch);
	for (unsigned i = 0; i < e->fd_count; i++)
		close(e->fds[i]);
	buf_finish(&e->last);
}

static void close_pair(struct pair *p)
{
	close_end(&p->a);
	close_end(&p->b);
	uv_run(&p->loop, UV_RUN_DEFAULT);
	assert_int_equal(count_open(), p->open_before);
	assert_int_equal(uv_loop_close(&p->loop), 0);
}

static void run_until(struct pair *p, const unsigned *value, unsigned wanted)
{
	for (unsigned i = 0; i < 100000 && *value < wanted; i++)
		uv_run(&p->loop, UV_RUN_ONCE);
	assert_int_equal(*value, wanted);
}

static void frames_of_one_turn_arrive_in_order(void **state)
{
	struct pair p;

	open_pair(&p);
	p.b.check_numbers = true;
	for (uint32_t i = 0; i < 1000; i++)
		assert_int_equal(ipc_channel_send(p.a.ch, 7, str_make(&i, sizeof(i)), -1), 0);
	assert_true(ipc_channel_unsent(p.a.ch) > 0); // nothing left before the loop turned
	run_until(&p, &p.b.frames, 1000);
	assert_int_equal(p.b.last_type, 7);
	assert_int_equal(ipc_channel_unsent(p.a.ch), 0);
	assert_int_equal(ipc_channel_send(p.b.ch, 8, STR_EMPTY, -1), 0);
	run_until(&p, &p.a.frames, 1);
	assert_int_equal(p.a.last_type, 8);
	assert_int_equal(buf_len(&p.a.last), 0);
	close_pair(&p);
}

static void generated_senders_are_understood(void **state)
{
	struct ipc_submitted m = {.request = 9, .err = 2, .message = 77}, got;
	struct pair p;

	open_pair(&p);
	assert_int_equal(ipc_send_submitted(p.a.ch, &m), 0);
	run_until(&p, &p.b.frames, 1);
	assert_int_equal(p.b.last_type, IPC_TYPE_submitted);
	assert_int_equal(ipc_decode_submitted(buf_str(&p.b.last), &got), 0);
	assert_int_equal(got.message, 77);
	close_pair(&p);
}

static void frames_of_all_sizes_survive_a_full_socket(void **state)
{
	static const size_t sizes[] = {4, 100, 4096, 65536, 131064, 131065, 300000, IPC_FRAME_MAX};
	char *body = mem_alloc(IPC_FRAME_MAX + 1);
	uint32_t number = 0;
	struct pair p;

	open_pair(&p);
	p.b.check_numbers = true;
	for (unsigned round = 0; round < 3; round++)
		for (size_t i = 0; i < ARRAY_SIZE(sizes); i++, number++) {
			memcpy(body, &number, sizeof(number));
			assert_int_equal(
				ipc_channel_send(p.a.ch, 1, str_make(body, sizes[i]), -1), 0);
		}
	assert_int_equal(
		ipc_channel_send(p.a.ch, 1, str_make(body, IPC_FRAME_MAX + 1), -1), ERR_LIMIT);
	run_until(&p, &p.b.frames, number);
	assert_int_equal(buf_len(&p.b.last), IPC_FRAME_MAX);
	mem_free(body);
	close_pair(&p);
}

static void descriptors_arrive_with_their_frames(void **state)
{
	struct pair p;
	char name[2] = "";
	int ends[2];

	open_pair(&p);
	for (uint32_t i = 0; i < 200; i++) {
		assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
		assert_int_equal(write(ends[1], &(char){(char)i}, 1), 1);
		assert_int_equal(
			ipc_channel_send(p.a.ch, 1, str_make(&i, sizeof(i)), i % 3 ? -1 : ends[0]),
			0);
		close(ends[0]);
		close(ends[1]);
	}
	p.b.check_numbers = true;
	run_until(&p, &p.b.frames, 200);
	assert_int_equal(p.b.fd_count, 67);
	for (unsigned i = 0; i < p.b.fd_count; i++) {
		assert_int_equal(read(p.b.fds[i], name, 1), 1);
		assert_int_equal((unsigned char)name[0], i * 3);
		assert_true(fcntl(p.b.fds[i], F_GETFD) & FD_CLOEXEC);
	}
	close_pair(&p);
}

static void a_large_frame_brings_its_descriptor_once(void **state)
{
	char *body = mem_alloc(IPC_FRAME_MAX);
	struct pair p;

	open_pair(&p);
	for (unsigned i = 0; i < 5; i++)
		assert_int_equal(
			ipc_channel_send(p.a.ch, 1, str_make(body, IPC_FRAME_MAX), p.sockets[0]),
			0);
	run_until(&p, &p.b.frames, 5);
	assert_int_equal(p.b.fd_count, 5);
	mem_free(body);
	close_pair(&p);
}

static void descriptors_in_flight_are_closed_with_the_channel(void **state)
{
	char *body = mem_alloc(IPC_FRAME_MAX);
	struct pair p;

	open_pair(&p);
	ipc_channel_pause(p.b.ch, true);
	for (unsigned i = 0; i < 8; i++)
		assert_int_equal(ipc_channel_send(p.a.ch, 1, str_make(body, IPC_FRAME_MAX), 0), 0);
	uv_run(&p.loop, UV_RUN_NOWAIT);
	mem_free(body);
	close_pair(&p); // counts the open descriptors
}

static void a_paused_channel_pushes_back_and_loses_nothing(void **state)
{
	char body[4096] = "";
	uint32_t number = 0;
	struct pair p;

	open_pair(&p);
	p.b.pause_at = 10;
	p.b.check_numbers = true;
	for (; number < 5000; number++) {
		memcpy(body, &number, sizeof(number));
		assert_int_equal(ipc_channel_send(p.a.ch, 1, str_make(body, sizeof(body)), -1), 0);
	}
	run_until(&p, &p.b.frames, 10);
	for (unsigned i = 0; i < 20; i++)
		uv_run(&p.loop, UV_RUN_NOWAIT);
	assert_int_equal(p.b.frames, 10);
	assert_true(ipc_channel_unsent(p.a.ch) > 0);
	ipc_channel_pause(p.b.ch, false);
	assert_int_equal(p.b.frames, 10); // never from inside the call
	run_until(&p, &p.b.frames, 5000);
	close_pair(&p);
}

static void a_peer_that_never_reads_is_bounded(void **state)
{
	struct str body = {mem_alloc(IPC_FRAME_MAX), IPC_FRAME_MAX};
	struct pair p;
	int err = 0;

	open_pair(&p);
	ipc_channel_pause(p.b.ch, true);
	for (unsigned i = 0; i < 200 && !err; i++)
		err = ipc_channel_send(p.a.ch, 1, body, -1);
	assert_int_equal(err, ERR_FULL);
	assert_true(ipc_channel_unsent(p.a.ch) < IPC_UNSENT_MAX + 2 * IPC_FRAME_MAX);
	mem_free((void *)body.data);
	close_pair(&p);
}

static void the_last_words_of_a_dying_peer_are_heard(void **state)
{
	struct pair p;

	open_half(&p);
	assert_int_equal(ipc_send_blocking(p.sockets[1], IPC_TYPE_failed, STR("why"), -1), 0);
	close(p.sockets[1]);
	assert_int_equal(ipc_channel_send(p.a.ch, 1, STR("into the void"), -1), 0);
	run_until(&p, &p.a.closes, 1);
	assert_int_equal(p.a.frames, 1);
	assert_true(str_equal(buf_str(&p.a.last), STR("why")));
	assert_int_equal(ipc_channel_send(p.a.ch, 1, STR("x"), -1), ERR_CLOSED);
	close_pair(&p);
}

static void a_peer_that_closes_with_our_octets_unread_is_heard(void **state)
{
	struct pair p;

	open_half(&p);
	assert_int_equal(ipc_send_blocking(p.sockets[1], IPC_TYPE_failed, STR("why"), -1), 0);
	assert_int_equal(ipc_send_blocking(p.sockets[0], 1, STR("unread"), -1), 0);
	close(p.sockets[1]);
	run_until(&p, &p.a.closes, 1);
	assert_int_equal(p.a.frames, 1);
	close_pair(&p);
}

static void closing_inside_a_callback_is_allowed(void **state)
{
	struct pair p;

	open_pair(&p);
	p.b.close_at = 3;
	for (unsigned i = 0; i < 10; i++)
		ipc_channel_send(p.a.ch, 1, STR("x"), -1);
	run_until(&p, &p.a.closes, 1);
	assert_int_equal(p.b.frames, 3);
	assert_int_equal(p.b.closes, 0); // it closed itself
	close_pair(&p);
}

static void broken_peers_are_closed(void **state)
{
	static const struct {
		const char *octets;
		size_t len;
	} rows[] = {
		{"\1\0\x10\0\1\0\0\0", 8},				  // a body over the bound
		{"\xff\xff\xff\xff\1\0\0\0", 8}, {"\0\0\0\0\1\0\1\0", 8}, // promises a descriptor
		{"\0\0\0\0\1\0\2\0", 8}, {"\0\0\0\0\1\0\0\1", 8},	  // reserved octet
		{"\0\0\0\0\1\0\0\0\5\0", 10}, // ends inside a header, after one good frame
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct pair p;
		open_half(&p);
		assert_int_equal(write(p.sockets[1], rows[i].octets, rows[i].len), rows[i].len);
		shutdown(p.sockets[1], SHUT_WR);
		run_until(&p, &p.a.closes, 1);
		assert_int_equal(p.a.frames, i == ARRAY_SIZE(rows) - 1);
		close(p.sockets[1]);
		close_pair(&p);
	}
}

static void a_flood_of_descriptors_closes_the_channel(void **state)
{
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(40 * sizeof(int))];
	} control;
	struct iovec part = {.iov_base = (char[]){5, 0}, .iov_len = 2};
	struct msghdr message = {.msg_iov = &part,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control)};
	struct pair p;

	open_half(&p);
	memset(&control, 0, sizeof(control));
	struct cmsghdr *c = CMSG_FIRSTHDR(&message);
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(40 * sizeof(int));
	assert_int_equal(sendmsg(p.sockets[1], &message, 0), 2);
	run_until(&p, &p.a.closes, 1);
	close(p.sockets[1]);
	close_pair(&p);
}

static void a_descriptor_that_does_not_fit_is_missing_not_fatal(void **state)
{
	struct rlimit old, low;
	struct pair p;
	int probe;

	open_half(&p);
	assert_int_equal(ipc_send_blocking(p.sockets[1], 1, STR("without"), 0), 0);
	assert_int_equal(ipc_send_blocking(p.sockets[1], 2, STR("with"), 0), 0);
	probe = dup(0);
	close(probe);
	getrlimit(RLIMIT_NOFILE, &old);
	low = old;
	low.rlim_cur = (rlim_t)probe;
	setrlimit(RLIMIT_NOFILE, &low);
	p.a.pause_at = 1;
	run_until(&p, &p.a.frames, 1);
	setrlimit(RLIMIT_NOFILE, &old);
	assert_int_equal(p.a.fd_count, 0);
	ipc_channel_pause(p.a.ch, false);
	run_until(&p, &p.a.frames, 2);
	assert_int_equal(p.a.fd_count, 1);
	close(p.sockets[1]);
	run_until(&p, &p.a.closes, 1);
	close_pair(&p);
}

static void octet_by_octet_is_the_same(void **state)
{
	static const char frame[] = "\5\0\0\0\x2a\0\0\0"
				    "hello";
	struct pair p;

	open_half(&p);
	for (unsigned round = 0; round < 3; round++)
		for (size_t i = 0; i < sizeof(frame) - 1; i++) {
			assert_int_equal(p.a.frames, round);
			assert_int_equal(write(p.sockets[1], frame + i, 1), 1);
			uv_run(&p.loop, UV_RUN_ONCE);
		}
	assert_int_equal(p.a.frames, 3);
	assert_int_equal(p.a.last_type, 42);
	assert_true(str_equal(buf_str(&p.a.last), STR("hello")));
	close(p.sockets[1]);
	run_until(&p, &p.a.closes, 1);
	close_pair(&p);
}

static void blocking_helpers_take_one_frame_and_its_descriptor(void **state)
{
	struct buf body = BUF_INIT;
	struct pair p;
	unsigned type;
	int fd;

	open_half(&p);
	assert_int_equal(ipc_channel_send(p.a.ch, 1, STR("first"), -1), 0);
	assert_int_equal(ipc_channel_send(p.a.ch, 2, STR("second"), 0), 0);
	assert_int_equal(ipc_channel_send(p.a.ch, 3, STR_EMPTY, 0), 0);
	assert_int_equal(ipc_channel_send(p.a.ch, 4, STR("last"), -1), 0);
	uv_run(&p.loop, UV_RUN_NOWAIT);
	for (unsigned i = 1; i <= 4; i++) {
		assert_int_equal(ipc_receive_blocking(p.sockets[1], &type, &body, &fd), 0);
		assert_int_equal(type, i);
		assert_int_equal(fd >= 0, i == 2 || i == 3);
		fd_close(&fd);
	}
	assert_true(str_equal(buf_str(&body), STR("last")));
	assert_int_equal(ipc_send_blocking(p.sockets[1], 9, STR("answer"), 0), 0);
	run_until(&p, &p.a.frames, 1);
	assert_int_equal(p.a.fd_count, 1);
	ipc_channel_close(p.a.ch);
	p.a.ch = NULL;
	assert_int_equal(ipc_receive_blocking(p.sockets[1], &type, &body, &fd), ERR_CLOSED);
	assert_int_equal(ipc_send_blocking(p.sockets[1], 9, STR("answer"), -1), ERR_CLOSED);
	buf_finish(&body);
	close(p.sockets[1]);
	close_pair(&p);
}

static unsigned handled;

static void handle_ready(void *arg, struct str body, int fd)
{
	struct ipc_ready m;

	assert_int_equal(ipc_decode_ready(body, &m), 0);
	handled++;
	fd_close(&fd);
}

static void dispatch_refuses_what_has_no_handler(void **state)
{
	static const ipc_handler table[IPC_TYPES] = {[IPC_TYPE_ready] = handle_ready};
	unsigned before = count_open();

	handled = 0;
	assert_int_equal(ipc_dispatch(table, NULL, IPC_TYPE_ready, STR("12345678"), dup(0)), 0);
	assert_int_equal(
		ipc_dispatch(table, NULL, IPC_TYPE_ready, STR("1234567"), dup(0)), ERR_CORRUPT);
	assert_int_equal(
		ipc_dispatch(table, NULL, IPC_TYPE_start, STR_EMPTY, dup(0)), ERR_UNSUPPORTED);
	assert_int_equal(ipc_dispatch(table, NULL, 60000, STR_EMPTY, dup(0)), ERR_UNSUPPORTED);
	assert_int_equal(handled, 1);
	assert_int_equal(count_open(), before);
}

static void many_frames_a_second(void **state)
{
	char body[4096] = "";
	const unsigned total = 100000;
	uint64_t begin = uv_hrtime();
	unsigned number = 0;
	struct pair p;

	open_pair(&p);
	while (p.b.frames < total) {
		for (unsigned i = 0; i < 64 && number < total; i++, number++)
			assert_int_equal(
				ipc_channel_send(p.a.ch, 1, str_make(body, sizeof(body)), -1), 0);
		uv_run(&p.loop, number < total ? UV_RUN_NOWAIT : UV_RUN_ONCE);
	}
	print_message("%u frames of 4 KiB in %u ms, both ends in one thread\n", total,
		(unsigned)((uv_hrtime() - begin) / 1000000));
	close_pair(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(frames_of_one_turn_arrive_in_order),
		cmocka_unit_test(generated_senders_are_understood),
		cmocka_unit_test(frames_of_all_sizes_survive_a_full_socket),
		cmocka_unit_test(descriptors_arrive_with_their_frames),
		cmocka_unit_test(a_large_frame_brings_its_descriptor_once),
		cmocka_unit_test(descriptors_in_flight_are_closed_with_the_channel),
		cmocka_unit_test(a_paused_channel_pushes_back_and_loses_nothing),
		cmocka_unit_test(a_peer_that_never_reads_is_bounded),
		cmocka_unit_test(the_last_words_of_a_dying_peer_are_heard),
		cmocka_unit_test(a_peer_that_closes_with_our_octets_unread_is_heard),
		cmocka_unit_test(closing_inside_a_callback_is_allowed),
		cmocka_unit_test(broken_peers_are_closed),
		cmocka_unit_test(a_flood_of_descriptors_closes_the_channel),
		cmocka_unit_test(a_descriptor_that_does_not_fit_is_missing_not_fatal),
		cmocka_unit_test(octet_by_octet_is_the_same),
		cmocka_unit_test(blocking_helpers_take_one_frame_and_its_descriptor),
		cmocka_unit_test(dispatch_refuses_what_has_no_handler),
		cmocka_unit_test(many_frames_a_second),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
