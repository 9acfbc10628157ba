// SPDX-License-Identifier: ISC
#include "deliver/copy.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/file.h"
#include "message/headers.h"
#include "message/trace.h"

#include <errno.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#define COPY_SIZE   65536
#define FIELDS_MAX  4096
#define HEADERS_MAX ((size_t)256 * 1024)

struct copier {
	const struct deliver_copy *how;
	struct buf out;
	bool cr;
	// of quoting: what may be the beginning of a line that has to be quoted is kept back
	bool at_start;     // of a line, or behind > at its start
	size_t angles;     // kept back
	char begun[16];    // the same behind them
	size_t begun_len;
	bool ends_line;    // the last octet was a line end
};

static int flush(struct copier *c)
{
	struct str s = buf_str(&c->out);
	int err = s.len ? c->how->write(c->how->arg, s.data, s.len) : 0;
	buf_clear(&c->out);
	return err;
}

// ---- quoting

static void give_back(struct copier *c, bool quoted)
{
	for (size_t n = c->angles + quoted; n; n--)
		buf_add_char(&c->out, '>');
	buf_add(&c->out, c->begun, c->begun_len);
	c->angles = c->begun_len = 0;
	c->at_start = false;
}

// What is kept back with this octet: 1 it is a line to quote, 0 it may become one, -1 it is none.
static int judge(struct copier *c, char octet)
{
	static const char *const marks[] = {"From ", DELIVER_COPY_TORN};
	c->begun[c->begun_len++] = octet;
	for (size_t i = 0; i < ARRAY_SIZE(marks); i++)
		if (!strncmp(marks[i], c->begun, c->begun_len))
			return marks[i][c->begun_len] == '\0';
	return -1;
}

static int put_quoted(struct copier *c, struct str s)
{
	for (size_t i = 0; i < s.len; i++) {
		char octet = s.data[i];
		if (c->at_start && octet == '>' && !c->begun_len) {
			c->angles++;
			continue;
		}
		if (c->at_start) {
			int found = judge(c, octet);
			if (found)
				give_back(c, found > 0);
		} else {
			buf_add_char(&c->out, octet);
		}
		if (octet == '\n')
			c->at_start = true;
		if (buf_len(&c->out) >= COPY_SIZE && flush(c))
			return ERR_SYSTEM;
	}
	return 0;
}

// ---- line ends

static int put(struct copier *c, struct str s)
{
	if (s.len)
		c->ends_line = s.data[s.len - 1] == '\n';
	if (c->how->quote)
		return put_quoted(c, s);
	buf_add(&c->out, s.data, s.len);
	return buf_len(&c->out) >= COPY_SIZE ? flush(c) : 0;
}

static int copy(struct copier *c, struct str octets)
{
	int err = 0;
	while (octets.len && !err) {
		if (c->cr && octets.data[0] != '\n')
			err = put(c, STR("\r"));
		c->cr = false;
		ptrdiff_t cr = str_find(octets, '\r');
		size_t run = cr < 0 ? octets.len : (size_t)cr;
		if (!err)
			err = put(c, str_slice(octets, 0, run));
		c->cr = cr >= 0;
		octets = str_skip(octets, run + (cr >= 0));
	}
	return err;
}

// ---- the message

static int copy_body(struct copier *c, const struct deliver_job *job, uint64_t offset, uint64_t len)
{
	char space[COPY_SIZE];
	if (job->body_fd < 0)
		return copy(c, str_slice(job->body, offset, offset + len));
	while (len) {
		size_t want = len > sizeof space ? sizeof space : (size_t)len;
		ssize_t n = pread(job->body_fd, space, want, (off_t)offset);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			errno = n < 0 ? errno : EIO; // shorter than it was when it was committed
			return ERR_SYSTEM;
		}
		if (copy(c, str_make(space, (size_t)n)))
			return ERR_SYSTEM;
		offset += (uint64_t)n;
		len -= (uint64_t)n;
	}
	return 0;
}

static int copy_fields(struct copier *c, const struct deliver_job *job)
{
	struct buf fields = {.limit = FIELDS_MAX};
	int err = trace_add_return_path(&fields, str_from(job->sender));
	if (!err)
		err = trace_add_delivered_to(&fields, str_from(c->how->address));
	if (!err)
		err = copy(c, buf_str(&fields));
	buf_finish(&fields);
	return err;
}

static int copy_message(struct copier *c, const struct deliver_job *job)
{
	struct render render;
	struct str literal;
	uint64_t offset, len;
	int err = render_init(&render, job->headers, job->edits, job->size);
	while (!err && render_next(&render, &literal, &offset, &len)) {
		err = copy(c, literal);
		if (!err && len)
			err = copy_body(c, job, offset, len);
		render_advance(&render, len);
	}
	return err;
}

// What was kept back, and what ends a message in an mbox.
static int finish(struct copier *c)
{
	int err = c->cr ? put(c, STR("\r")) : 0;
	if (!err && c->how->quote && !c->ends_line)
		err = put(c, STR("\n"));
	if (!err && c->how->quote)
		err = put(c, STR("\n"));
	if (!err && c->how->quote)
		give_back(c, false);
	return err ? err : flush(c);
}

int deliver_copy(const struct deliver_copy *how, const struct deliver_job *job)
{
	struct copier c = {.how = how, .at_start = true};
	int err = how->from_line ? buf_add_text(&c.out, how->from_line) : 0;
	if (!err && how->address)
		err = copy_fields(&c, job);
	if (!err)
		err = copy_message(&c, job);
	if (!err)
		err = finish(&c);
	int why = err == ERR_CORRUPT || err == ERR_LIMIT ? EBADMSG : errno;
	buf_finish(&c.out);
	errno = why;
	return err;
}

int deliver_copy_to_fd(void *arg, const void *data, size_t len)
{
	return fd_write_all(*(int *)arg, data, len);
}

void deliver_from_line(const char *sender, char *out, size_t size)
{
	char who[512], when[32];
	time_t now = (time_t)(clock_wall_ms() / 1000);
	struct tm tm;
	size_t n = 0;
	for (const char *p = *sender ? sender : "MAILER-DAEMON"; *p && n + 1 < sizeof who; p++)
		who[n++] = (unsigned char)*p <= ' ' || *p == 0x7f ? '-' : *p;
	who[n] = '\0';
	gmtime_r(&now, &tm);
	strftime(when, sizeof when, "%a %b %e %H:%M:%S %Y", &tm); // in the C locale, as asctime
	snprintf(out, size, "From %s %s\n", who, when);
}

// ---- loops

struct search {
	struct str address;
	bool found;
};

static void look_at(void *arg, struct str name, struct str value, uint64_t offset, uint64_t length)
{
	struct search *s = arg;
	struct buf plain = {.limit = 2048};
	(void)offset;
	(void)length;
	if (s->found || !str_equal_nocase(name, STR("Delivered-To")))
		return;
	if (!headers_unfold(value, &plain))
		s->found = str_equal_nocase(buf_str(&plain), s->address);
	buf_finish(&plain);
}

bool deliver_has_passed(const struct deliver_job *job, const char *address)
{
	struct search s = {.address = str_from(address)};
	struct headers_reader reader;
	char space[COPY_SIZE];
	headers_reader_init(&reader, 2048);
	if (job->body_fd < 0)
		headers_reader_feed(&reader, str_slice(job->body, 0, HEADERS_MAX), look_at, &s);
	for (size_t at = 0; job->body_fd >= 0 && at < HEADERS_MAX && !reader.done;) {
		ssize_t n = pread(job->body_fd, space, sizeof space, (off_t)at);
		if (n <= 0)
			break;
		headers_reader_feed(&reader, str_make(space, (size_t)n), look_at, &s);
		at += (size_t)n;
	}
	headers_reader_end(&reader, look_at, &s);
	headers_reader_finish(&reader);
	return s.found;
}
