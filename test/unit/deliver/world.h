// SPDX-License-Identifier: ISC
// A small outside world on one loop: a DNS (a channel that answers from a table) and mail hosts on
// 127.0.0.x that say what a test tells them to.
#ifndef PABAL_TEST_DELIVER_WORLD_H
#define PABAL_TEST_DELIVER_WORLD_H

#include "base/error.h"
#include "base/file.h"
#include "base/memory.h"
#include "job.h"
#include "net/dns.h"
#include "net/listener.h"
#include "net/stream.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

// ---- DNS
struct zone_row {
	const char *name;
	uint32_t type;
	const char *data;          // "10 mx.example.org", "127.0.0.1", "::1"; NULL: status
	enum dns_status status;
};

#define HOSTS_IN_WORLD 6
#define SILENT "silent"  // no answer ever
#define CLOSE "close"    // the connection, at once

// The answer to commands that begin with `command`; "banner", "." for the end of the body.
struct saying {
	const char *command, *answer;
	unsigned times;            // 0: always
};

struct visit; // one connection to a host
struct host {
	struct world *w;
	int fd;
	struct listener *listener;
	struct saying sayings[8];
	const char *ehlo;          // lines behind the first, "250-PIPELINING\r\n250 SIZE\r\n"
	bool lmtp, tls_first;
	struct tls_server *tls;
	bool tls_broken;           // answers a handshake with nonsense
	// what came
	unsigned connections, messages, open, quits;
	struct buf talk;           // commands, "|" between them
	struct buf body;           // of the last message, as on the wire
};

struct world {
	uv_loop_t loop;
	struct wheel *wheel;
	struct dns_client *dns;
	struct ipc_channel *asking, *answering;
	const struct zone_row *zone;
	unsigned questions;
	struct buf asked;          // "name/type " of each question
	bool dns_dead;             // says nothing
	uint16_t port;
	struct host hosts[HOSTS_IN_WORLD]; // [i] is 127.0.0.(1 + i)
	struct list visits;
	uv_timer_t guard;
};

struct visit {
	struct list link;
	struct host *h;
	struct stream *s;
	bool data, mail, nonsense;
	unsigned accepted;
};

static inline void world_wire_name(struct buf *out, const char *name)
{
	struct str rest = str_from(name), label;
	while (rest.len && str_split(&rest, '.', &label)) {
		buf_add_char(out, (char)label.len);
		buf_add_str(out, label);
	}
	buf_add_char(out, 0);
}

static inline void world_record(struct buf *list, const struct zone_row *row)
{
	struct buf rdata = BUF_INIT;
	struct ipaddr address;
	if (row->type == DNS_MX) {
		char *end;
		unsigned long preference = strtoul(row->data, &end, 10);
		buf_add_char(&rdata, (char)(preference >> 8));
		buf_add_char(&rdata, (char)preference);
		world_wire_name(&rdata, *end ? end + 1 : "");
	} else {
		assert_int_equal(ipaddr_parse(str_from(row->data), &address), 0);
		buf_add(&rdata, address.octets, address.family == 6 ? 16 : 4);
	}
	struct ipc_record r = {.rdata = buf_str(&rdata)};
	ipc_list_add_record(list, &r);
	buf_finish(&rdata);
}

static inline void world_question(struct ipc_channel *ch, void *arg, unsigned type, struct str body, int fd)
{
	struct world *w = arg;
	struct ipc_resolve q;
	struct buf records = BUF_INIT;
	enum dns_status status = DNS_NO_NAME;
	assert_int_equal(type, IPC_TYPE_resolve);
	assert_int_equal(fd, -1);
	assert_int_equal(ipc_decode_resolve(body, &q), 0);
	w->questions++;
	buf_add_format(&w->asked, "%.*s/%u%s ", STR_ARG(q.name), q.rrtype & 0xffff,
		q.rrtype & DNS_FROM_HOSTS ? "+hosts" : "");
	for (const struct zone_row *row = w->zone; row && row->name; row++) {
		if (!str_equal(str_from(row->name), q.name))
			continue;
		if (status == DNS_NO_NAME)
			status = DNS_NO_DATA;
		if (row->type != (q.rrtype & 0xffff))
			continue;
		status = row->data ? DNS_FOUND : row->status;
		if (row->data)
			world_record(&records, row);
	}
	struct ipc_resolved a = {.request = q.request, .status = (uint8_t)status, .ttl = 300,
		.records = buf_str(&records)};
	if (!w->dns_dead)
		assert_int_equal(ipc_send_resolved(ch, &a), 0);
	buf_finish(&records);
}

static inline void world_resolved(struct ipc_channel *ch, void *arg, unsigned type, struct str body, int fd)
{
	struct world *w = arg;
	(void)ch;
	(void)fd;
	assert_int_equal(type, IPC_TYPE_resolved);
	dns_client_resolved(w->dns, body);
}

static inline void world_channel_closed(struct ipc_channel *ch, void *arg)
{
	(void)ch;
	(void)arg;
}

// ---- mail hosts
static inline void visit_end(struct visit *v)
{
	v->h->open--;
	list_remove(&v->link);
	mem_free(v);
}

static inline const char *host_saying(struct host *h, struct str command)
{
	for (unsigned i = 0; i < ARRAY_SIZE(h->sayings) && h->sayings[i].command; i++) {
		struct saying *s = &h->sayings[i];
		if (!str_starts_nocase(command, str_from(s->command)) || !s->answer)
			continue;
		const char *answer = s->answer;
		if (s->times && --s->times == 0)
			s->answer = NULL;
		return answer;
	}
	return NULL;
}

// False: the connection is gone.
static inline bool visit_say(struct visit *v, const char *answer)
{
	if (!strcmp(answer, SILENT))
		return true;
	if (!strcmp(answer, CLOSE) || !strncmp(answer, "421", 3)) {
		if (answer[0] == '4')
			buf_add_format(stream_output(v->s), "%s\r\n", answer);
		stream_close_after_send(v->s);
		visit_end(v);
		return false;
	}
	buf_add_format(stream_output(v->s), "%s\r\n", answer);
	stream_flush(v->s);
	return true;
}

static inline bool visit_body_done(struct visit *v)
{
	const char *said = host_saying(v->h, STR("."));
	unsigned answers = v->h->lmtp ? v->accepted : 1;
	v->data = false;
	v->h->messages++;
	for (unsigned i = 0; i < answers; i++) {
		if (i > 0)
			said = host_saying(v->h, STR("."));
		if (!visit_say(v, said ? said : "250 2.0.0 taken"))
			return false;
	}
	return true;
}

static inline bool visit_ehlo(struct visit *v)
{
	const struct host *h = v->h;
	buf_add_format(stream_output(v->s), "250-host.example\r\n%s",
		h->ehlo ? h->ehlo : "250-PIPELINING\r\n250-8BITMIME\r\n250 ENHANCEDSTATUSCODES\r\n");
	stream_flush(v->s);
	return true;
}

static inline bool visit_command(struct visit *v, struct str line)
{
	struct host *h = v->h;
	buf_add_str(&h->talk, line);
	buf_add_char(&h->talk, '|');
	const char *said = host_saying(h, line);
	if (str_starts(line, STR("MAIL"))) {
		v->mail = !said || said[0] == '2';
		v->accepted = 0;
	}
	if (str_starts(line, STR("RCPT")) && !v->mail)
		return visit_say(v, "503 5.5.1 no sender");
	if (said) {
		if (str_starts(line, STR("RCPT")) && said[0] == '2')
			v->accepted++;
		return visit_say(v, said);
	}
	if (str_starts(line, STR("EHLO")) || str_starts(line, STR("LHLO")))
		return visit_ehlo(v);
	if (str_starts(line, STR("RCPT")))
		v->accepted++;
	if (str_starts(line, STR("DATA"))) {
		v->data = v->accepted > 0;
		buf_clear(&h->body);
		return visit_say(v, v->data ? "354 go on" : "554 5.5.1 no recipients");
	}
	if (str_starts(line, STR("STARTTLS"))) {
		visit_say(v, "220 2.0.0 go on");
		v->nonsense = h->tls_broken;
		if (!h->tls_broken)
			stream_start_tls(v->s, tls_server_session(h->tls), true);
		return true;
	}
	if (str_starts(line, STR("QUIT"))) {
		h->quits++;
		buf_add_text(stream_output(v->s), "221 2.0.0 bye\r\n");
		stream_close_after_send(v->s);
		visit_end(v);
		return false;
	}
	return visit_say(v, str_starts(line, STR("AUTH")) ? "235 2.7.0 welcome" : "250 2.0.0 ok");
}

static inline size_t visit_input(struct stream *s, void *arg, struct str octets)
{
	struct visit *v = arg;
	size_t used = 0;
	if (v->nonsense) {
		buf_add_text(stream_output(s), "this is no handshake at all\r\n");
		return octets.len;
	}
	while (used < octets.len) {
		struct str rest = str_skip(octets, used);
		ptrdiff_t lf = str_find(rest, '\n');
		if (lf < 0)
			break;
		struct str line = str_slice(rest, 0, (size_t)lf + 1);
		used += line.len;
		assert_true(line.len >= 2 && line.data[line.len - 2] == '\r');
		if (v->data) {
			buf_add_str(&v->h->body, line);
			if (str_equal(line, STR(".\r\n")) && !visit_body_done(v))
				return octets.len;
		} else if (!visit_command(v, str_trim(line))) {
			return octets.len;
		}
	}
	return used;
}

static inline void visit_ended(struct stream *s, void *arg, int err, const char *why)
{
	(void)err;
	(void)why;
	stream_close(s);
	visit_end(arg);
}

static inline void visit_secured(struct stream *s, void *arg)
{
	struct visit *v = arg;
	if (v->h->tls_first)
		visit_say(v, "220 host.example ready");
	(void)s;
}

static const struct stream_events visit_events = {.input = visit_input, .ended = visit_ended,
	.secured = visit_secured};

static inline void host_accepted(void *arg, int fd, const struct ipaddr *peer, uint16_t port)
{
	struct host *h = arg;
	struct visit *v = mem_alloc(sizeof *v);
	(void)peer;
	(void)port;
	v->h = h;
	h->connections++;
	h->open++;
	list_add_last(&h->w->visits, &v->link);
	v->s = stream_open(&h->w->loop, h->w->wheel, fd, &visit_events, v);
	if (h->tls_first) {
		stream_start_tls(v->s, tls_server_session(h->tls), true);
		return;
	}
	const char *said = host_saying(h, STR("banner"));
	visit_say(v, said ? said : "220 host.example ready");
}

// Host i at 127.0.0.(1 + i), all on one port.
static inline struct host *world_host(struct world *w, unsigned i)
{
	struct host *h = &w->hosts[i];
	struct ipaddr address = {.family = 4, .octets = {127, 0, 0, (uint8_t)(1 + i)}};
	struct sockaddr_storage at;
	socklen_t len = sizeof at;
	struct error err;
	h->w = w;
	if (listener_open(&address, w->port, &h->fd, &err))
		fail_msg("%s", err.text);
	getsockname(h->fd, (struct sockaddr *)&at, &len);
	w->port = ntohs(((struct sockaddr_in *)&at)->sin_port);
	h->listener = listener_start(&w->loop, h->fd, host_accepted, h);
	return h;
}

// ---- life
static inline void world_too_long(uv_timer_t *t)
{
	(void)t;
	fail_msg("nothing happened for too long");
}

static inline void world_open(struct world *w, const struct zone_row *zone)
{
	int pair[2];
	memset(w, 0, sizeof *w);
	assert_int_equal(uv_loop_init(&w->loop), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	w->wheel = wheel_create(&w->loop);
	w->dns = dns_client_create(&w->loop);
	w->zone = zone;
	w->asking = ipc_channel_open(&w->loop, pair[0], world_resolved, world_channel_closed, w);
	w->answering = ipc_channel_open(&w->loop, pair[1], world_question, world_channel_closed, w);
	dns_client_set_channel(w->dns, w->asking);
	list_init(&w->visits);
	for (unsigned i = 0; i < HOSTS_IN_WORLD; i++)
		w->hosts[i].fd = -1;
	uv_timer_init(&w->loop, &w->guard);
	uv_timer_start(&w->guard, world_too_long, 60 * 1000, 0);
}

// Turns the loop until the condition holds.
#define WORLD_UNTIL(w, condition)                                                                  \
	while (!(condition))                                                                       \
	uv_run(&(w)->loop, UV_RUN_ONCE)

static inline void world_close(struct world *w)
{
	while (!list_empty(&w->visits)) {
		struct visit *v = LIST_ENTRY(w->visits.next, struct visit, link);
		stream_close(v->s);
		visit_end(v);
	}
	for (unsigned i = 0; i < HOSTS_IN_WORLD; i++) {
		struct host *h = &w->hosts[i];
		if (h->listener)
			listener_stop(h->listener);
		fd_close(&h->fd);
		buf_finish(&h->talk);
		buf_finish(&h->body);
	}
	dns_client_destroy(w->dns);
	ipc_channel_close(w->asking);
	ipc_channel_close(w->answering);
	wheel_destroy(w->wheel);
	buf_finish(&w->asked);
	uv_close((uv_handle_t *)&w->guard, NULL);
	uv_run(&w->loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&w->loop), 0);
}

#endif
