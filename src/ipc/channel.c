// SPDX-License-Identifier: ISC
// Frames over a Unix stream socket. libuv tells when the socket is ready; reading and writing is
// our own recvmsg and sendmsg, because libuv does not pass descriptors.
//
// A frame: u32 length of the body, u16 type, u8 has_fd, u8 0; then the body. A descriptor travels
// with the first octet of its frame (a sendmsg of its own begins there), so that a reader who takes
// one frame at a time never receives the descriptor of a later one.
#include "ipc/channel.h"

#include "base/file.h"
#include "base/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#define HEADER_SIZE   8
#define INPUT_SIZE    ((size_t)128 * 1024) // read at once; also what a channel keeps
#define FLUSH_SIZE    ((size_t)128 * 1024) // more than this does not wait for the end of the turn
#define OUTPUT_KEPT   ((size_t)512 * 1024)
#define READS_A_TURN  8	 // then other handles get their turn
#define INPUT_FDS_MAX 16 // received and not yet matched to a frame
#define CMSG_FDS_MAX  4	 // in one recvmsg; a well-behaved peer sends one
#define REFS_RETRY_MS 5	 // ETOOMANYREFS: too many descriptors of this user are in flight
#define EVENT_WAIT_MS 20 // an event goes with the next frame that somebody waits for, or then

struct output_fd {
	uint64_t at; // octet of the stream where its frame begins
	int fd;
};

// In the order of their frames; -1: this process had no number left for it.
struct received_fds {
	int fds[INPUT_FDS_MAX];
	size_t count;
};

struct ipc_channel {
	uv_poll_t poll;
	uv_idle_t turn; // active while there is something to flush or to deliver
	uv_timer_t retry;
	uv_timer_t later; // active while only events wait to be sent
	int fd;
	int polled; // what the poll handle waits for now
	unsigned open_handles;
	ipc_on_frame on_frame;
	ipc_on_close on_close;
	void *arg;

	struct buf out;
	uint64_t sent; // octets of the stream that left out
	struct output_fd *out_fds;
	size_t out_fd_count, out_fd_size;

	char *in;
	size_t in_start, in_end, in_size;
	struct received_fds in_fds;

	bool paused;
	bool blocked;	   // the socket takes no more; waiting for it
	bool write_closed; // the peer reads no more; what it sent is still read
	bool ended;	   // descriptor closed
	bool released;	   // ipc_channel_close was called
	bool out_secret;   // what waits, and what left before it, is to be wiped
	bool in_secret;	   // such messages came: so is what is left of them
};

static const uint8_t *input_at(const struct ipc_channel *ch)
{
	return (const uint8_t *)ch->in + ch->in_start;
}

// ---- the end
static void close_fds(struct received_fds *r)
{
	for (size_t i = 0; i < r->count; i++)
		fd_close(&r->fds[i]);
	r->count = 0;
}

// What was sent is still there up to where the next octets go.
static void release_output(struct ipc_channel *ch)
{
	if (ch->out_secret && ch->out.data)
		mem_wipe(ch->out.data, ch->out.size);
	ch->out_secret = false;
	buf_release(&ch->out);
}

static void free_when_unused(struct ipc_channel *ch)
{
	if (!ch->released || ch->open_handles > 0)
		return;
	mem_free(ch->out_fds);
	release_output(ch);
	if (ch->in_secret && ch->in)
		mem_wipe(ch->in, ch->in_size);
	mem_free(ch->in);
	mem_free(ch);
}

static void handle_closed(uv_handle_t *handle)
{
	struct ipc_channel *ch = handle->data;

	ch->open_handles--;
	free_when_unused(ch);
}

// Closes everything the channel holds but the struct itself.
static void end(struct ipc_channel *ch)
{
	if (ch->ended)
		return;
	ch->ended = true;
	uv_close((uv_handle_t *)&ch->poll, handle_closed);
	uv_close((uv_handle_t *)&ch->turn, handle_closed);
	uv_close((uv_handle_t *)&ch->retry, handle_closed);
	uv_close((uv_handle_t *)&ch->later, handle_closed);
	fd_close(&ch->fd);
	for (size_t i = 0; i < ch->out_fd_count; i++)
		fd_close(&ch->out_fds[i].fd);
	ch->out_fd_count = 0;
	close_fds(&ch->in_fds);
	release_output(ch);
}

// From the loop only: the owner may close the channel in here. The struct stays until the loop
// has closed its handles, so that the caller may go on looking at it.
static void end_and_tell(struct ipc_channel *ch)
{
	if (ch->ended)
		return;
	end(ch);
	if (!ch->released)
		ch->on_close(ch, ch->arg);
}

void ipc_channel_close(struct ipc_channel *ch)
{
	if (!ch)
		return;
	BUG_ON(ch->released);
	ch->released = true;
	end(ch);
	free_when_unused(ch);
}

// ---- waiting for the socket
static void socket_ready(uv_poll_t *handle, int status, int events);
static void run_turn(uv_idle_t *handle);

static void update_poll(struct ipc_channel *ch)
{
	if (ch->ended)
		return;
	int wanted = (ch->paused ? 0 : UV_READABLE) | (ch->blocked ? UV_WRITABLE : 0);
	if (wanted == ch->polled)
		return;
	ch->polled = wanted;
	if (wanted)
		uv_poll_start(&ch->poll, wanted, socket_ready);
	else
		uv_poll_stop(&ch->poll);
}

// ---- sending
static ssize_t send_once(int socket, const char *data, size_t len, int fd)
{
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(sizeof(int))];
	} control;
	struct iovec part = {.iov_base = (char *)data, .iov_len = len};
	struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
	ssize_t n;

	if (fd >= 0) {
		memset(&control, 0, sizeof(control));
		message.msg_control = control.space;
		message.msg_controllen = sizeof(control.space);
		struct cmsghdr *c = CMSG_FIRSTHDR(&message);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(c), &fd, sizeof(int));
	}
	do
		n = sendmsg(socket, &message, MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	return n;
}

static void drop_output(struct ipc_channel *ch)
{
	ch->write_closed = true;
	ch->blocked = false;
	for (size_t i = 0; i < ch->out_fd_count; i++)
		fd_close(&ch->out_fds[i].fd);
	ch->out_fd_count = 0;
	release_output(ch);
}

static void flush_soon(uv_timer_t *timer)
{
	struct ipc_channel *ch = timer->data;

	uv_idle_start(&ch->turn, run_turn);
}

// Sends from the start of the buffer up to where the next descriptor has to begin.
static ssize_t flush_part(struct ipc_channel *ch)
{
	struct output_fd *first = ch->out_fd_count > 0 ? ch->out_fds : NULL;
	size_t len = buf_len(&ch->out);
	int fd = -1;

	if (first && first->at == ch->sent) {
		fd = first->fd;
		first = ch->out_fd_count > 1 ? first + 1 : NULL;
	}
	if (first && first->at - ch->sent < len)
		len = (size_t)(first->at - ch->sent);
	ssize_t n = send_once(ch->fd, buf_str(&ch->out).data, len, fd);
	if (n <= 0)
		return n;
	if (fd >= 0) {
		close(fd);
		ch->out_fd_count--;
		memmove(ch->out_fds, ch->out_fds + 1, ch->out_fd_count * sizeof(ch->out_fds[0]));
	}
	ch->sent += (size_t)n;
	if (ch->out_secret)
		mem_wipe(ch->out.data + ch->out.start, (size_t)n);
	if ((size_t)n == buf_len(&ch->out))
		ch->out_secret = false;
	if ((size_t)n == buf_len(&ch->out) && ch->out.size <= OUTPUT_KEPT)
		buf_clear(&ch->out); // a busy channel keeps its buffer
	else
		buf_consume(&ch->out, (size_t)n);
	return n;
}

static void flush(struct ipc_channel *ch)
{
	uv_timer_stop(&ch->later);
	while (buf_len(&ch->out) > 0 && !ch->blocked && !uv_is_active((uv_handle_t *)&ch->retry)) {
		if (flush_part(ch) >= 0)
			continue;
		if (errno == EAGAIN || errno == EWOULDBLOCK)
			ch->blocked = true;
		else if (errno == ETOOMANYREFS)
			uv_timer_start(&ch->retry, flush_soon, REFS_RETRY_MS, 0);
		else
			drop_output(
				ch); // what the peer sent before is still read, then it is the end
	}
	update_poll(ch);
}

static int hold_fd(struct ipc_channel *ch, int fd, uint64_t at)
{
	int copy = fcntl(fd, F_DUPFD_CLOEXEC, 3);

	if (copy < 0)
		return ERR_SYSTEM;
	if (ch->out_fd_count == ch->out_fd_size) {
		ch->out_fd_size = ch->out_fd_size ? ch->out_fd_size * 2 : 8;
		ch->out_fds = mem_resize(ch->out_fds, ch->out_fd_size * sizeof(ch->out_fds[0]));
	}
	ch->out_fds[ch->out_fd_count++] = (struct output_fd){.at = at, .fd = copy};
	return 0;
}

static void put_header(char *at, size_t len, unsigned type, bool has_fd)
{
	const uint8_t header[HEADER_SIZE] = {(uint8_t)len, (uint8_t)(len >> 8),
		(uint8_t)(len >> 16), (uint8_t)(len >> 24), (uint8_t)type, (uint8_t)(type >> 8),
		has_fd, 0};

	memcpy(at, header, sizeof(header));
}

// Room for a header; the body is appended to ch->out by the caller, then frame_end.
static int frame_begin(struct ipc_channel *ch, size_t *out_before)
{
	static const char zeros[HEADER_SIZE];

	if (ch->ended || ch->released || ch->write_closed)
		return ERR_CLOSED;
	*out_before = buf_len(&ch->out);
	if (*out_before > IPC_UNSENT_MAX)
		return ERR_FULL;
	return buf_add(&ch->out, zeros, sizeof(zeros));
}

// Nobody waits for an event: a system call of its own, and one of the reader, would be all it costs.
static void flush_in_time(struct ipc_channel *ch, unsigned type)
{
	if (type != IPC_TYPE_event)
		uv_idle_start(&ch->turn, run_turn);
	else if (!uv_is_active((uv_handle_t *)&ch->later))
		uv_timer_start(&ch->later, flush_soon, EVENT_WAIT_MS, 0);
}

// err is that of the body's encoder; the frame is taken back when there is one.
static int frame_end(struct ipc_channel *ch, size_t before, unsigned type, int fd, int err)
{
	size_t len = buf_len(&ch->out) - before - HEADER_SIZE;

	if (!err && (len > IPC_FRAME_MAX || type > UINT16_MAX))
		err = ERR_LIMIT;
	if (!err && fd >= 0)
		err = hold_fd(ch, fd, ch->sent + before);
	if (ipc_type_is_secret(type))
		ch->out_secret = true;
	if (err) {
		if (ipc_type_is_secret(type))
			mem_wipe(ch->out.data + ch->out.start + before, HEADER_SIZE + len);
		ch->out.end = ch->out.start + before;
		return err;
	}
	put_header(ch->out.data + ch->out.start + before, len, type, fd >= 0);
	if (buf_len(&ch->out) > FLUSH_SIZE)
		flush(ch);
	else if (!ch->blocked && !uv_is_active((uv_handle_t *)&ch->turn))
		flush_in_time(ch, type);
	return 0;
}

int ipc_channel_send(struct ipc_channel *ch, unsigned type, struct str body, int fd)
{
	size_t before;
	int err = frame_begin(ch, &before);

	if (err)
		return err;
	err = body.len > IPC_FRAME_MAX ? ERR_LIMIT : buf_add_str(&ch->out, body);
	return frame_end(ch, before, type, fd, err);
}

#define SEND(name)                                                                                 \
	int ipc_send_##name##_fd(struct ipc_channel *ch, const struct ipc_##name *m, int fd)       \
	{                                                                                          \
		size_t before;                                                                     \
		int err = frame_begin(ch, &before);                                                \
		if (err)                                                                           \
			return err;                                                                \
		return frame_end(ch, before, IPC_TYPE_##name, fd, ipc_encode_##name(&ch->out, m)); \
	}                                                                                          \
	int ipc_send_##name(struct ipc_channel *ch, const struct ipc_##name *m)                    \
	{                                                                                          \
		return ipc_send_##name##_fd(ch, m, -1);                                            \
	}
IPC_MESSAGES(SEND)

void ipc_channel_flush(struct ipc_channel *ch)
{
	if (!ch->ended)
		flush(ch);
}

size_t ipc_channel_unsent(const struct ipc_channel *ch)
{
	return buf_len(&ch->out);
}

// ---- receiving
// Takes the descriptors of one received message. False when there are more than a peer of ours
// sends. The frame of a lost one is delivered without it.
static bool take_fds(struct msghdr *message, struct received_fds *r)
{
	bool cut = message->msg_flags & MSG_CTRUNC;
	size_t before = r->count;
	bool fits = true;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c; c = CMSG_NXTHDR(message, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < n; i++) {
			int fd;
			memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(int));
			if (r->count < INPUT_FDS_MAX) {
				r->fds[r->count++] = fd;
			} else {
				close(fd);
				fits = false;
			}
		}
	}
	if (cut && r->count == before && before < INPUT_FDS_MAX)
		r->fds[r->count++] = -1;
	else if (cut)
		fits = false;
	return fits;
}

// As recv; ERR_CORRUPT in *err when descriptors came that have no place.
static ssize_t receive_once(int socket, void *to, size_t len, struct received_fds *fds, int *err)
{
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(CMSG_FDS_MAX * sizeof(int))];
	} control;
	struct iovec part = {.iov_base = to, .iov_len = len};
	struct msghdr message = {.msg_iov = &part,
		.msg_iovlen = 1,
		.msg_control = control.space,
		.msg_controllen = sizeof(control.space)};
	ssize_t n;

	do
		n = recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	*err = n >= 0 && !take_fds(&message, fds) ? ERR_CORRUPT : 0;
	return n;
}

struct header {
	size_t len;
	unsigned type;
	bool has_fd;
};

static int read_header(const uint8_t *p, struct header *out)
{
	out->len = (size_t)p[0] | (size_t)p[1] << 8 | (size_t)p[2] << 16 | (size_t)p[3] << 24;
	out->type = (unsigned)p[4] | (unsigned)p[5] << 8;
	out->has_fd = p[6] == 1;
	if (out->len > IPC_FRAME_MAX)
		return ERR_LIMIT;
	return p[6] > 1 || p[7] != 0 ? ERR_CORRUPT : 0;
}

// Gives one whole frame to the owner. Returns false when there is none yet.
static bool deliver_frame(struct ipc_channel *ch, int *err)
{
	size_t have = ch->in_end - ch->in_start;
	struct header header;
	int fd = -1;

	if (have < HEADER_SIZE)
		return false;
	*err = read_header(input_at(ch), &header);
	if (*err || have - HEADER_SIZE < header.len)
		return false;
	if (header.has_fd && ch->in_fds.count == 0) {
		*err = ERR_CORRUPT;
		return false;
	}
	if (header.has_fd) {
		struct received_fds *r = &ch->in_fds;
		fd = r->fds[0];
		r->count--;
		memmove(r->fds, r->fds + 1, r->count * sizeof(r->fds[0]));
	}
	struct str body = str_make(input_at(ch) + HEADER_SIZE, header.len);
	ch->in_start += HEADER_SIZE + header.len;
	ch->in_secret = ch->in_secret || ipc_type_is_secret(header.type);
	ch->on_frame(ch, ch->arg, header.type, body, fd);
	// Also when the callee has closed the channel: its memory is given back by the loop.
	if (ipc_type_is_secret(header.type))
		mem_wipe((char *)body.data, body.len);
	return true;
}

static void deliver(struct ipc_channel *ch)
{
	int err = 0;

	while (!ch->ended && !ch->paused && deliver_frame(ch, &err))
		;
	if (err)
		end_and_tell(ch);
}

// Makes room for reading behind what is kept: at least the rest of the frame that has begun.
static void prepare_input(struct ipc_channel *ch)
{
	size_t kept = ch->in_end - ch->in_start;
	size_t size = INPUT_SIZE;
	struct header header;

	if (kept >= HEADER_SIZE && read_header(input_at(ch), &header) == 0 &&
		header.len + HEADER_SIZE > size)
		size = header.len + HEADER_SIZE;
	if (kept >= HEADER_SIZE && ipc_type_is_secret(header.type))
		ch->in_secret = true;
	if (ch->in_start > 0 && kept > 0)
		memmove(ch->in, ch->in + ch->in_start, kept);
	if (ch->in_secret && ch->in && ch->in_start > 0)
		mem_wipe(ch->in + kept, ch->in_end - kept); // the beginning of one, where it was before
	ch->in_start = 0;
	ch->in_end = kept;
	if (size != ch->in_size && kept <= size) {
		ch->in = mem_resize(ch->in, size);
		ch->in_size = size;
	}
}

// Returns false when nothing more can be read now.
static bool read_more(struct ipc_channel *ch)
{
	int err;

	prepare_input(ch);
	size_t space = ch->in_size - ch->in_end;
	ssize_t n = receive_once(ch->fd, ch->in + ch->in_end, space, &ch->in_fds, &err);
	if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
		return false;
	if (n <= 0 || err) {
		end_and_tell(ch);
		return false;
	}
	ch->in_end += (size_t)n;
	deliver(ch);
	return (size_t)n == space || ch->in_fds.count > 0;
}

static void socket_ready(uv_poll_t *handle, int status, int events)
{
	struct ipc_channel *ch = handle->data;

	if (status < 0) { // libuv has stopped the handle: find out by trying
		ch->polled = 0;
		events = UV_READABLE | UV_WRITABLE;
	}
	if (events & UV_WRITABLE) {
		ch->blocked = false;
		flush(ch);
	}
	for (unsigned i = 0; i < READS_A_TURN && (events & UV_READABLE); i++)
		if (ch->ended || ch->paused || !read_more(ch))
			break;
	update_poll(ch);
}

// Before the loop waits: sends what the turn has gathered, gives what a pause held back. An idle
// handle, because one that is started while others of its kind run keeps the loop from waiting.
static void run_turn(uv_idle_t *handle)
{
	struct ipc_channel *ch = handle->data;

	uv_idle_stop(handle);
	flush(ch);
	if (!ch->paused && ch->in_end > ch->in_start)
		deliver(ch);
}

void ipc_channel_pause(struct ipc_channel *ch, bool paused)
{
	if (ch->paused == paused || ch->ended)
		return;
	ch->paused = paused;
	if (!paused && !uv_is_active((uv_handle_t *)&ch->turn))
		uv_idle_start(&ch->turn, run_turn);
	update_poll(ch);
}

// ---- the beginning
struct ipc_channel *ipc_channel_open(
	uv_loop_t *loop, int fd, ipc_on_frame on_frame, ipc_on_close on_close, void *arg)
{
	struct ipc_channel *ch = mem_alloc(sizeof(*ch));
	int size = 1024 * 1024; // the kernel cuts it to its own bound

	*ch = (struct ipc_channel){.fd = fd,
		.on_frame = on_frame,
		.on_close = on_close,
		.arg = arg,
		.open_handles = 4};
	setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	fd_set_cloexec(fd, true);
	if (uv_poll_init(loop, &ch->poll, fd) != 0)
		fatal("cannot watch the channel descriptor %d", fd);
	uv_idle_init(loop, &ch->turn);
	uv_timer_init(loop, &ch->retry);
	uv_timer_init(loop, &ch->later);
	ch->poll.data = ch->turn.data = ch->retry.data = ch->later.data = ch;
	update_poll(ch);
	return ch;
}

void *ipc_channel_arg(const struct ipc_channel *ch)
{
	return ch->arg;
}

int ipc_dispatch(
	const ipc_handler table[IPC_TYPES], void *arg, unsigned type, struct str body, int fd)
{
	int err = type < IPC_TYPES && table[type] ? ipc_check(type, body) : ERR_UNSUPPORTED;

	if (err) {
		fd_close(&fd);
		return err;
	}
	table[type](arg, body, fd);
	return 0;
}

// ---- without a loop
static int wait_for(int socket, short events)
{
	struct pollfd p = {.fd = socket, .events = events};

	while (poll(&p, 1, -1) < 0)
		if (errno != EINTR)
			return ERR_SYSTEM;
	return 0;
}

static int receive_exactly(int socket, char *to, size_t len, struct received_fds *fds)
{
	while (len > 0) {
		int err;
		ssize_t n = receive_once(socket, to, len, fds, &err);
		if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
			n = 0, err = wait_for(socket, POLLIN);
		else if (n <= 0)
			return n == 0 || errno == ECONNRESET ? ERR_CLOSED : ERR_SYSTEM;
		if (err)
			return err;
		to += n;
		len -= (size_t)n;
	}
	return 0;
}

int ipc_receive_blocking(int socket, unsigned *out_type, struct buf *body, int *out_fd)
{
	uint8_t octets[HEADER_SIZE];
	struct received_fds fds = {.count = 0};
	struct header header = {0};

	*out_fd = -1;
	buf_clear(body);
	int err = receive_exactly(socket, (char *)octets, sizeof(octets), &fds);
	if (!err)
		err = read_header(octets, &header);
	if (!err && header.len > 0) {
		char *to = buf_reserve(body, header.len);
		err = to ? receive_exactly(socket, to, header.len, &fds) : ERR_LIMIT;
		if (!err)
			buf_commit(body, header.len);
	}
	if (!err && fds.count != header.has_fd)
		err = ERR_CORRUPT;
	if (err) {
		close_fds(&fds);
		return err;
	}
	*out_type = header.type;
	*out_fd = fds.count > 0 ? fds.fds[0] : -1;
	return 0;
}

int ipc_send_blocking(int socket, unsigned type, struct str body, int fd)
{
	struct buf frame = BUF_INIT;
	char header[HEADER_SIZE];
	int err = 0;

	if (body.len > IPC_FRAME_MAX || type > UINT16_MAX)
		return ERR_LIMIT;
	put_header(header, body.len, type, fd >= 0);
	buf_add(&frame, header, sizeof(header));
	buf_add_str(&frame, body);
	while (!err && buf_len(&frame) > 0) {
		struct str rest = buf_str(&frame);
		ssize_t n = send_once(socket, rest.data, rest.len, fd);
		if (n > 0) {
			fd = -1; // it went with the first octet
			buf_consume(&frame, (size_t)n);
		} else if (errno == EAGAIN || errno == EWOULDBLOCK) {
			err = wait_for(socket, POLLOUT);
		} else {
			err = errno == EPIPE || errno == ECONNRESET ? ERR_CLOSED : ERR_SYSTEM;
		}
	}
	buf_finish(&frame);
	return err;
}
