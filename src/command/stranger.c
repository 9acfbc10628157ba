// SPDX-License-Identifier: ISC
#include "command/stranger.h"

#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"
#include "session/outside.h"
#include "smtp/reply.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define ANSWER_TIME_MS 30000
#define CLIENT_PORT    40000
#define ANSWER_MAX     ((size_t)1 << 20)

struct stranger {
	int fd;
	struct buf in;
	struct smtp_reply_reader reader;
	json_t *seen;
};

// ---- the header
static int add_u16(struct buf *out, size_t n)
{
	char octets[2] = {(char)(n >> 8), (char)n};
	return buf_add(out, octets, 2);
}

static int add_tlv(struct buf *out, uint8_t type, struct str value)
{
	if (value.len > 1000)
		return ERR_LIMIT;
	if (buf_add_char(out, (char)type) || add_u16(out, value.len) || buf_add_str(out, value))
		return ERR_LIMIT;
	return 0;
}

static int add_wishes(const struct stranger_wish *w, struct buf *out)
{
	int result = add_tlv(out, OUTSIDE_TLV_EXPLAIN, w->brief ? STR("brief") : STR_EMPTY);
	if (!result && w->server.len)
		result = add_tlv(out, OUTSIDE_TLV_SERVER, w->server);
	if (!result && w->tls)
		result = add_tlv(out, OUTSIDE_TLV_TLS, STR_EMPTY);
	if (!result && w->account.len)
		result = add_tlv(out, OUTSIDE_TLV_ACCOUNT, w->account);
	if (!result && w->vouched)
		result = add_tlv(out, OUTSIDE_TLV_VOUCHED, STR_EMPTY);
	return result;
}

// An IPv4 address of ours and an IPv6 client cannot stand in one header: then ours is the first one of
// the server block.
int stranger_header(const struct stranger_wish *w, struct buf *out)
{
	static const char start[] = "\r\n\r\n\0\r\nQUIT\n\x21"; // version 2, PROXY
	size_t size = w->client.family == 4 ? 4 : 16;
	static const struct ipaddr none;
	const struct ipaddr *local = w->local.family == w->client.family ? &w->local : &none;
	struct buf body = BUF_INIT;
	int result = buf_add(&body, w->client.octets, size) || buf_add(&body, local->octets, size) ||
		add_u16(&body, CLIENT_PORT) || add_u16(&body, 0);
	if (!result)
		result = add_wishes(w, &body);
	if (!result)
		result = buf_add(out, start, sizeof start - 1) ||
			buf_add_char(out, w->client.family == 4 ? 0x11 : 0x21) ||
			add_u16(out, buf_len(&body)) || buf_add_str(out, buf_str(&body));
	buf_finish(&body);
	return result ? ERR_LIMIT : 0;
}

// ---- octets
static int connect_there(const struct config *c, struct error *err)
{
	struct sockaddr_un to = {.sun_family = AF_UNIX};
	int n = snprintf(to.sun_path, sizeof to.sun_path, "%.*s/" OUTSIDE_SOCKET, STR_ARG(c->run_folder));
	if (n < 0 || (size_t)n >= sizeof to.sun_path)
		return error_set(err, ERR_LIMIT, TEXT("the run folder's name is too long for a socket"));
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return error_system(err, TEXT("cannot make a socket"));
	if (connect(fd, (struct sockaddr *)&to, sizeof to) == 0)
		return fd;
	int why = errno;
	close(fd);
	if (why == ENOENT || why == ECONNREFUSED)
		return error_set(err, ERR_CLOSED,
			TEXT("the server is not running (nobody answers on %s); it has to be asked"),
			to.sun_path);
	if (why == EACCES || why == EPERM)
		return error_set(err, ERR_DENIED, TEXT("%s is for root and the members of the group "
			"pabal-admin"), to.sun_path);
	errno = why;
	return error_system(err, TEXT("cannot reach the server on %s"), to.sun_path);
}

int stranger_send(struct stranger *o, struct str lines, struct error *err)
{
	while (lines.len) {
		ssize_t n = send(o->fd, lines.data, lines.len, MSG_NOSIGNAL);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && (errno == EPIPE || errno == ECONNRESET))
			return 0; // it has said why, that can still be read
		if (n < 0)
			return error_system(err, TEXT("cannot send to the server"));
		lines = str_skip(lines, (size_t)n);
	}
	return 0;
}

static int read_more(struct stranger *o, struct error *err)
{
	struct pollfd wait = {.fd = o->fd, .events = POLLIN};
	char *space = buf_reserve(&o->in, 65536);
	if (!space)
		return error_set(err, ERR_LIMIT, TEXT("an answer of the server is too long"));
	int ready = poll(&wait, 1, ANSWER_TIME_MS);
	if (ready == 0)
		return error_set(err, ERR_TIMEOUT, TEXT("the server does not answer"));
	ssize_t n = ready < 0 ? -1 : read(o->fd, space, 65536);
	if (n < 0 && errno == EINTR)
		return 0;
	if (n <= 0)
		return error_set(err, ERR_UNAVAILABLE, TEXT("the server ended the dialogue"));
	buf_commit(&o->in, (size_t)n);
	return 0;
}

// ---- answers
// Each 1 when it is there, 0 when more octets are needed, or an error.
static int take_reply(struct stranger *o, struct error *err)
{
	size_t used = 0;
	if (buf_len(&o->in) && buf_str(&o->in).data[0] == '{')
		return 1; // no reply at all
	enum smtp_reply_status status =
		smtp_reply_read(&o->reader, buf_str(&o->in), &smtp_limits_default, &used);
	buf_consume(&o->in, used);
	if (status == SMTP_REPLY_BROKEN)
		return error_set(err, ERR_SYNTAX, TEXT("the server's answer is no SMTP"));
	return status == SMTP_REPLY_READY;
}

static int take_seen(struct stranger *o, struct error *err)
{
	ptrdiff_t end = str_find(buf_str(&o->in), '\n');
	if (end < 0)
		return 0;
	o->seen = json_loadb(buf_str(&o->in).data, (size_t)end, 0, NULL);
	buf_consume(&o->in, (size_t)end + 1);
	if (!json_is_object(o->seen))
		return error_set(err, ERR_SYNTAX, TEXT("the server's answer is not understood"));
	return 1;
}

int stranger_read(struct stranger *o, struct stranger_answer *out, struct error *err)
{
	bool replied = false;
	int result = 0;
	json_decref(o->seen);
	o->seen = NULL;
	*out = (struct stranger_answer){0};
	while (!o->seen && result >= 0) {
		result = replied ? take_seen(o, err) : take_reply(o, err);
		if (result > 0)
			replied = true;
		else if (result == 0)
			result = read_more(o, err);
	}
	if (result == ERR_UNAVAILABLE && replied) // a header that it does not take is answered alone
		return error_set(err, ERR_DENIED, "%s", buf_cstr(&o->reader.reply.text));
	if (result < 0)
		return result;
	out->seen = o->seen;
	out->code = (unsigned)json_integer_value(json_object_get(o->seen, "code"));
	return 0;
}

int stranger_open(const struct config *c, const struct stranger_wish *w, struct stranger **out,
	struct stranger_answer *banner, struct error *err)
{
	struct buf header = BUF_INIT;
	struct stranger *o = mem_alloc(sizeof *o);
	int result;
	*out = NULL;
	o->in.limit = ANSWER_MAX;
	o->fd = connect_there(c, err);
	result = o->fd < 0 ? o->fd : 0;
	if (!result && stranger_header(w, &header))
		result = error_set(err, ERR_LIMIT, TEXT("a name is too long"));
	if (!result)
		result = stranger_send(o, buf_str(&header), err);
	if (!result)
		result = stranger_read(o, banner, err);
	if (result == ERR_UNAVAILABLE) // who may not ask gets no word
		result = error_set(err, ERR_DENIED, TEXT("the server does not answer this user, or has "
			"too many such questions at once; it answers root and the group pabal-admin"));
	buf_finish(&header);
	if (result)
		stranger_close(o);
	else
		*out = o;
	return result;
}

void stranger_close(struct stranger *o)
{
	if (!o)
		return;
	fd_close(&o->fd);
	buf_finish(&o->in);
	smtp_reply_reader_finish(&o->reader);
	json_decref(o->seen);
	mem_free(o);
}
