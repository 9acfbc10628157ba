// SPDX-License-Identifier: ISC
// Connections of proxies that the configuration names: before anything else, TLS included, they say
// in a PROXY header whom they speak for. It is read off the bare socket and not an octet more, so
// that what follows, a ClientHello perhaps, is where everybody else's is.
#include "role/smtpd_internal.h"

#include "base/clock.h"
#include "base/event.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"
#include "net/proxy.h"

#include <errno.h>

#define HEADER_TIME_MS 5000
#define GATEWAY_TOLD_MS (3600ull * 1000)

// A connection whose header has not come yet. It counts as one.
struct proxied {
	struct list link;
	struct smtpd *smtpd;
	unsigned server, listen;
	int fd;
	uv_poll_t poll;
	struct wheel_timer timer;
	struct ipaddr peer;
	uint16_t port;
	struct buf seen;          // of the header, taken off the socket
};

bool smtpd_is_proxy(const struct config_server *server, const struct ipaddr *peer)
{
	struct ipnet net;
	for (size_t i = 0; i < server->proxies.count; i++)
		if (!ipnet_parse(server->proxies.items[i], &net) && ipnet_contains(&net, peer))
			return true;
	return false;
}

static void free_proxied(uv_handle_t *poll)
{
	mem_free(poll->data);
}

// The descriptor is the caller's again.
static void forget(struct proxied *p)
{
	struct smtpd *s = p->smtpd;
	wheel_clear(s->wheel, &p->timer);
	list_remove(&p->link);
	s->connection_count--;
	buf_finish(&p->seen);
	uv_poll_stop(&p->poll);
	uv_close((uv_handle_t *)&p->poll, free_proxied);
}

static void end(struct proxied *p)
{
	struct smtpd *s = p->smtpd;
	int fd = p->fd;
	forget(p);
	fd_close(&fd);
	smtpd_exit_when_drained(s);
}

static void refuse(struct proxied *p, const char *why)
{
	const struct config *config = p->smtpd->context->config;
	struct event e;
	event_begin(&e, EVENT_WARNING, "proxy", 0);
	event_addr(&e, "client", &p->peer);
	event_str(&e, "server", config->servers[p->server].name);
	event_text(&e, "rule", "proxies");
	event_format(&e, "reason", "closed, as it stands in proxies and sent no good PROXY header (%s): "
		"switch the header on there (HAProxy: send-proxy-v2), or take the address out of proxies",
		why);
	event_emit(&e);
	end(p);
}

static void begin(struct proxied *p, const struct proxy_header *header)
{
	struct smtpd *s = p->smtpd;
	struct arrival a = {.smtpd = s, .server = p->server, .listen = p->listen, .client = p->peer,
		.client_port = p->port};
	int fd = p->fd;
	if (!header->local) {
		a.proxy = p->peer;
		a.client = header->client;
		a.client_port = header->client_port;
		a.local = header->server;
		a.local_port = header->server_port;
	}
	forget(p);
	connection_arrive(&a, fd);
}

static bool take_off(int fd, char *octets, size_t len)
{
	return recv(fd, octets, len, 0) == (ssize_t)len; // they were seen to be there
}

// Looks without taking: what is no part of the header stays on the socket.
static void on_readable(uv_poll_t *poll, int status, int events)
{
	struct proxied *p = poll->data;
	struct proxy_header header;
	size_t before = buf_len(&p->seen), used;
	(void)events;
	char *space = buf_reserve(&p->seen, PROXY_HEADER_MAX);
	ssize_t n = status < 0 || !space ? 0 : recv(p->fd, space, PROXY_HEADER_MAX, MSG_PEEK);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) { // who only looks whether the port is open has nothing to say
		if (before)
			refuse(p, TEXT("the connection ended within it"));
		else
			end(p);
		return;
	}
	int result = proxy_parse(str_make(p->seen.data + p->seen.start, before + (size_t)n), &header, &used);
	if (result == ERR_NOT_FOUND) {
		if (take_off(p->fd, space, (size_t)n))
			buf_commit(&p->seen, (size_t)n);
		else
			end(p);
	} else if (result) {
		refuse(p, header.why);
	} else if (take_off(p->fd, space, used - before)) {
		begin(p, &header);
	} else {
		end(p);
	}
}

static void on_time(struct wheel_timer *t)
{
	struct proxied *p = LIST_ENTRY(t, struct proxied, timer);
	refuse(p, buf_len(&p->seen) ? TEXT("it did not come whole within 5 seconds") :
		TEXT("nothing came within 5 seconds"));
}

void smtpd_proxied(const struct arrival *a, int fd)
{
	struct smtpd *s = a->smtpd;
	struct proxied *p = mem_alloc(sizeof *p);
	p->smtpd = s;
	p->server = a->server;
	p->listen = a->listen;
	p->fd = fd;
	p->peer = a->client;
	p->port = a->client_port;
	p->seen.limit = 2 * PROXY_HEADER_MAX;
	p->poll.data = p;
	if (uv_poll_init(s->context->loop, &p->poll, fd)) {
		fd_close(&fd);
		mem_free(p);
		return;
	}
	wheel_timer_init(&p->timer, on_time);
	wheel_set(s->wheel, &p->timer, HEADER_TIME_MS);
	list_add_last(&s->proxied, &p->link);
	s->connection_count++;
	uv_poll_start(&p->poll, UV_READABLE, on_readable);
}

// ---- the configuration changes, or the end comes
static bool same_listen(const struct config_listen *a, const struct config_listen *b)
{
	return a->port == b->port && a->tls == b->tls && a->address.family == b->address.family &&
		(!a->address.family || ipaddr_equal(&a->address, &b->address));
}

// Where the same listener is now. False: it is gone.
static bool find_again(struct proxied *p, const struct config *old, const struct config *now)
{
	const struct config_server *was = &old->servers[p->server];
	for (size_t i = 0; i < now->server_count; i++) {
		const struct config_server *is = &now->servers[i];
		if (!str_equal(is->name, was->name))
			continue;
		for (size_t j = 0; j < is->listen_count; j++)
			if (same_listen(&is->listens[j], &was->listens[p->listen])) {
				p->server = (unsigned)i;
				p->listen = (unsigned)j;
				return true;
			}
	}
	return false;
}

void smtpd_proxied_configured(struct smtpd *s, const struct config *old)
{
	LIST_EACH(link, &s->proxied) {
		struct proxied *p = LIST_ENTRY(link, struct proxied, link);
		if (!find_again(p, old, s->context->config))
			end(p);
	}
}

void smtpd_proxied_end(struct smtpd *s)
{
	LIST_EACH(link, &s->proxied)
		end(LIST_ENTRY(link, struct proxied, link));
}

// ---- clients that hide behind a gateway which is no named proxy
void smtpd_look_for_gateway(struct smtpd *s, const struct ipaddr *client)
{
	struct client_rule rule;
	bool by_name;
	struct event e;
	if (!gateways_has_default(&s->gateways, client))
		return;
	uint64_t now = clock_monotonic_ms();
	if (s->gateway_told_ms && now - s->gateway_told_ms < GATEWAY_TOLD_MS)
		return;
	if (!config_client_rule(s->context->config, client, STR_EMPTY, &rule, &by_name) ||
		rule.action != CLIENT_RELAY)
		return;
	s->gateway_told_ms = now;
	event_begin(&e, EVENT_WARNING, "proxy", 0);
	event_addr(&e, "client", client);
	event_text(&e, "rule", "gateway-trusted");
	event_format(&e, "where", "%s %.*s:%u", rule.foreign ? "rules" : "clients",
		STR_ARG(rule.place.file), rule.place.line);
	event_text(&e, "reason", "this client is our own default gateway, and a rule lets it relay: the "
		"real clients are hidden behind it, everybody may relay. Let the gateway or a proxy on it "
		"speak the PROXY protocol (setting proxies), or take the right away");
	event_emit(&e);
}
