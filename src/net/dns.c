// SPDX-License-Identifier: ISC
// The asking side of DNS: questions wait here for role resolver's answers, over its restarts. No
// packets are made or read; records come in wire form.
#include "net/dns.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/list.h"
#include "base/map.h"
#include "base/memory.h"

#include <stdio.h>

#define DOMAIN_TEXT_MAX 253

struct dns_client {
	uv_timer_t timer;	// runs while a question is open
	struct ipc_channel *ch; // NULL: no resolver now; borrowed
	struct list questions;	// oldest first: all wait equally long
	struct map by_id;
	uint64_t last_id;
	bool destroyed;
};

struct dns_question {
	struct list link;
	struct dns_client *client;
	uint64_t id;
	uint64_t due_ms;
	uint32_t rrtype;
	bool sent;
	dns_done done;
	void *arg;
	char *name;
};

static struct str key_of(const uint64_t *id)
{
	return str_make(id, sizeof(*id));
}

static void free_question(struct dns_question *q)
{
	struct dns_client *d = q->client;

	map_remove(&d->by_id, key_of(&q->id));
	list_remove(&q->link);
	if (list_empty(&d->questions) && !d->destroyed)
		uv_timer_stop(&d->timer);
	mem_free(q->name);
	mem_free(q);
}

static void answer(struct dns_question *q, const struct dns_answer *a)
{
	dns_done done = q->done;
	void *arg = q->arg;

	free_question(q);
	done(arg, a);
}

static void fail(struct dns_question *q)
{
	answer(q, &(struct dns_answer){.status = DNS_FAILED, .records = STR_EMPTY});
}

static void send_question(struct dns_question *q)
{
	struct ipc_resolve m = {.request = q->id, .name = str_from(q->name), .rrtype = q->rrtype};

	q->sent = q->client->ch && ipc_send_resolve(q->client->ch, &m) == 0;
}

static void tick(uv_timer_t *timer)
{
	struct dns_client *d = timer->data;
	uint64_t now = clock_monotonic_ms();

	while (!d->destroyed && !list_empty(&d->questions)) { // a callback may ask, cancel, destroy
		struct dns_question *q = LIST_ENTRY(d->questions.next, struct dns_question, link);
		if (q->due_ms > now)
			break;
		fail(q);
	}
	if (d->destroyed)
		return;
	LIST_EACH(item, &d->questions)
	{
		struct dns_question *q = LIST_ENTRY(item, struct dns_question, link);
		if (!q->sent)
			send_question(q);
	}
}

struct dns_client *dns_client_create(uv_loop_t *loop)
{
	struct dns_client *d = mem_alloc(sizeof(*d));

	uv_timer_init(loop, &d->timer);
	d->timer.data = d;
	list_init(&d->questions);
	return d;
}

static void timer_closed(uv_handle_t *handle)
{
	mem_free(handle->data);
}

void dns_client_destroy(struct dns_client *d)
{
	if (!d || d->destroyed)
		return;
	d->destroyed = true; // what a callback still asks fails in the loop below
	d->ch = NULL;
	while (!list_empty(&d->questions))
		fail(LIST_ENTRY(d->questions.next, struct dns_question, link));
	map_finish(&d->by_id);
	uv_close((uv_handle_t *)&d->timer, timer_closed);
}

void dns_client_set_channel(struct dns_client *d, struct ipc_channel *ch)
{
	d->ch = ch;
	LIST_EACH(item, &d->questions)
	send_question(LIST_ENTRY(item, struct dns_question, link));
}

void dns_client_resolved(struct dns_client *d, struct str frame_body)
{
	struct ipc_resolved m;

	if (ipc_decode_resolved(frame_body, &m) != 0)
		return;
	struct dns_question *q = map_get(&d->by_id, key_of(&m.request));
	if (!q)
		return; // cancelled, or answered by the resolver before this one
	struct dns_answer a = {
		.status = m.status, .secure = m.secure != 0, .ttl = m.ttl, .records = m.records};
	if (m.status > DNS_BOGUS)
		a.status = DNS_FAILED;
	if (a.status == DNS_FOUND && a.records.len == 0)
		a.status = DNS_NO_DATA;
	if (a.status != DNS_FOUND)
		a.records = STR_EMPTY;
	answer(q, &a);
}

struct dns_question *dns_ask(
	struct dns_client *d, const char *name, uint32_t rrtype, dns_done done, void *arg)
{
	struct dns_question *q = mem_alloc(sizeof(*q));

	*q = (struct dns_question){.client = d,
		.id = ++d->last_id,
		.rrtype = rrtype,
		.done = done,
		.arg = arg,
		.due_ms = clock_monotonic_ms() + DNS_ANSWER_MS,
		.name = str_dup(str_from(name))};
	if (list_empty(&d->questions) && !d->destroyed)
		uv_timer_start(&d->timer, tick, DNS_TICK_MS, DNS_TICK_MS);
	list_add_last(&d->questions, &q->link);
	map_set(&d->by_id, key_of(&q->id), q);
	send_question(q);
	return q;
}

void dns_cancel(struct dns_question *q)
{
	if (q)
		free_question(q);
}

// ---- reading records
// A name in uncompressed wire form (RFC 1035 3.1) to text. False when it is broken, or when a label
// holds what no name of a host or service holds.
static bool read_name(struct str wire, char out[256])
{
	const uint8_t *p = (const uint8_t *)wire.data;
	size_t left = wire.len, used = 0;

	while (left > 0 && *p != 0) {
		size_t len = *p;
		if (len > 63 || len >= left || used + len + (used > 0) > DOMAIN_TEXT_MAX)
			return false;
		if (used > 0)
			out[used++] = '.';
		for (size_t i = 1; i <= len; i++) {
			if (p[i] <= ' ' || p[i] >= 0x7f || p[i] == '.' || p[i] == '\\')
				return false;
			out[used++] = char_lower((char)p[i]);
		}
		p += len + 1;
		left -= len + 1;
	}
	out[used] = '\0';
	return left == 1; // the root label, and nothing after it
}

bool dns_next_mx(struct str *records, struct dns_mx *out)
{
	struct ipc_record r;

	while (ipc_next_record(records, &r, NULL)) {
		const uint8_t *p = (const uint8_t *)r.rdata.data;
		if (r.rdata.len < 3 || !read_name(str_skip(r.rdata, 2), out->host))
			continue;
		out->preference = (uint16_t)(p[0] << 8 | p[1]);
		return true;
	}
	return false;
}

bool dns_next_address(struct str *records, struct ipaddr *out)
{
	struct ipc_record r;

	while (ipc_next_record(records, &r, NULL)) {
		if (r.rdata.len != 4 && r.rdata.len != 16)
			continue;
		struct sockaddr_in6 six = {.sin6_family = AF_INET6};
		memset(out, 0, sizeof(*out));
		out->family = 4;
		memcpy(out->octets, r.rdata.data, r.rdata.len);
		if (r.rdata.len == 16) { // a mapped address becomes IPv4 there
			memcpy(&six.sin6_addr, r.rdata.data, 16);
			ipaddr_from_sockaddr((struct sockaddr *)&six, out, NULL);
		}
		return true;
	}
	return false;
}

bool dns_next_name(struct str *records, char out[256])
{
	struct ipc_record r;

	while (ipc_next_record(records, &r, NULL))
		if (read_name(r.rdata, out))
			return true;
	return false;
}

const char *dns_reverse_name(const struct ipaddr *a, char out[DNS_REVERSE_MAX])
{
	static const char digits[] = "0123456789abcdef";
	char *to = out;

	if (a->family == 4) {
		snprintf(out, DNS_REVERSE_MAX, "%u.%u.%u.%u.in-addr.arpa", a->octets[3], a->octets[2],
			a->octets[1], a->octets[0]);
		return out;
	}
	for (size_t i = 16; i-- > 0;) {
		*to++ = digits[a->octets[i] & 15];
		*to++ = '.';
		*to++ = digits[a->octets[i] >> 4];
		*to++ = '.';
	}
	memcpy(to, "ip6.arpa", sizeof "ip6.arpa");
	return out;
}
