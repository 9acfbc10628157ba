// SPDX-License-Identifier: ISC
// Role resolver: every DNS question of the family, through one validating, caching libunbound
// context. Which servers it asks, and whether they can be believed, is found out by a probe and
// looked at again every ten minutes.
#include "role/roles.h"

#include "base/event.h"
#include "base/file.h"
#include "base/list.h"
#include "base/memory.h"
#include "net/dns.h"
#include "role/hosts.h"

#include <stdio.h>
#include <stdlib.h>
#include <unbound.h>
#include <unistd.h>

#define ROOT_KEY "/usr/share/dns/root.key"
#define PROBE_EVERY_MS (10 * 60 * 1000)
#define PROBE_TIME_MS 4000
#define QUESTIONS_MAX 4000   // open at once; more are answered with DNS_FAILED

// How answers are come by, from the best to the last resort.
enum mode { MODE_FORWARD_VALIDATED, MODE_RECURSION, MODE_FORWARD, MODES };

// A libunbound context on the loop. Contexts that are replaced live on until their questions
// are answered.
struct context {
	struct list link;
	struct resolver *resolver;
	struct ub_ctx *ub;
	uv_poll_t poll;
	enum mode mode;
	unsigned open;       // questions
	bool retired;
	uv_timer_t timer;    // of the probe
	bool probing;
	int probe_id;
};

struct resolver {
	struct role_context *context;
	struct list clients;         // struct client
	struct list contexts;        // struct context
	struct context *current;
	struct context *candidate;   // being probed
	struct ipc_channel *queue;
	uv_timer_t probe_timer;
	struct hosts hosts;
	unsigned open;
	bool warned;
};

struct client {
	struct list link;
	struct resolver *resolver;
	struct ipc_channel *channel;
	unsigned open;
	bool gone;           // freed with its last answer
};

struct question {
	struct client *client;
	struct context *context;
	uint64_t request;
	bool probe;
};

// ---- answers
static void send_answer(struct client *c, uint64_t request, enum dns_status status, bool secure,
	uint32_t ttl, struct str records)
{
	struct ipc_resolved m = {.request = request, .status = (uint8_t)status, .secure = secure,
		.ttl = ttl, .records = records};
	if (!c->gone)
		(void)ipc_send_resolved(c->channel, &m);
}

static enum dns_status status_of(int err, const struct ub_result *r)
{
	if (err || !r)
		return DNS_FAILED;
	if (r->bogus) // has data and rcode 0 all the same: it is looked at first
		return DNS_BOGUS;
	if (r->rcode == 3)
		return DNS_NO_NAME;
	if (r->rcode != 0)
		return DNS_FAILED;
	return r->havedata ? DNS_FOUND : DNS_NO_DATA;
}

static void give_result(struct question *q, int err, const struct ub_result *r)
{
	enum dns_status status = status_of(err, r);
	struct buf records = {.limit = 60000};
	if (status == DNS_FOUND)
		for (size_t i = 0; r->data[i]; i++) {
			struct ipc_record one = {.rdata = str_make(r->data[i], (size_t)r->len[i])};
			if (ipc_list_add_record(&records, &one))
				break; // more addresses than anybody can try
		}
	send_answer(q->client, q->request, status, r && r->secure, r ? (uint32_t)r->ttl : 0,
		buf_str(&records));
	buf_finish(&records);
}

static void client_release(struct client *c)
{
	if (c->gone && c->open == 0)
		mem_free(c);
}

static void context_release(struct context *x);
static void probe_result(struct context *x, int err, const struct ub_result *r);

static void on_answer(void *arg, int err, struct ub_result *r)
{
	struct question *q = arg;
	struct context *x = q->context;
	x->open--;
	if (q->probe) {
		probe_result(x, err, r);
	} else {
		give_result(q, err, r);
		x->resolver->open--;
		q->client->open--;
		client_release(q->client);
	}
	ub_resolve_free(r);
	mem_free(q);
	context_release(x);
}

static int start_question(struct context *x, const char *name, int type, struct question *q, int *out_id)
{
	q->context = x;
	int err = ub_resolve_async(x->ub, name, type, 1, q, on_answer, out_id);
	if (!err)
		x->open++;
	return err;
}

// ---- questions
static bool answer_from_hosts(struct client *c, const struct ipc_resolve *m, unsigned type)
{
	struct buf records = {.limit = 4096};
	hosts_refresh(&c->resolver->hosts);
	bool found = hosts_lookup(&c->resolver->hosts, m->name, type == DNS_AAAA ? 6 : 4, &records);
	if (found)
		send_answer(c, m->request, buf_len(&records) ? DNS_FOUND : DNS_NO_DATA, false, 60,
			buf_str(&records));
	buf_finish(&records);
	return found;
}

static void on_resolve(void *arg, struct str body, int fd)
{
	struct client *c = arg;
	struct resolver *r = c->resolver;
	struct ipc_resolve m;
	char name[256];
	fd_close(&fd);
	if (ipc_decode_resolve(body, &m))
		return;
	unsigned type = m.rrtype & 0xffff;
	if ((m.rrtype & DNS_FROM_HOSTS) && (type == DNS_A || type == DNS_AAAA) &&
		answer_from_hosts(c, &m, type))
		return;
	struct question *q = NULL;
	if (str_copy(m.name, name, sizeof name) && r->current && r->open < QUESTIONS_MAX) {
		q = mem_alloc(sizeof *q);
		q->client = c;
		q->request = m.request;
	}
	if (!q || start_question(r->current, name, (int)type, q, NULL)) {
		mem_free(q);
		send_answer(c, m.request, DNS_FAILED, false, 0, STR_EMPTY);
		return;
	}
	c->open++;
	r->open++;
}

static const ipc_handler from_client[IPC_TYPES] = {[IPC_TYPE_resolve] = on_resolve};

static void on_client_frame(struct ipc_channel *ch, void *arg, unsigned type, struct str body, int fd)
{
	(void)ch;
	(void)ipc_dispatch(from_client, arg, type, body, fd);
}

static void on_client_gone(struct ipc_channel *ch, void *arg)
{
	struct client *c = arg;
	ipc_channel_close(ch);
	c->gone = true;
	list_remove(&c->link);
	client_release(c);
}

// ---- contexts
static void on_readable(uv_poll_t *poll, int status, int events)
{
	struct context *x = poll->data;
	(void)status;
	(void)events;
	(void)ub_process(x->ub);
}

static void free_context(uv_handle_t *poll)
{
	struct context *x = poll->data;
	ub_ctx_delete(x->ub);
	mem_free(x);
}

static void close_poll(uv_handle_t *timer)
{
	struct context *x = timer->data;
	uv_close((uv_handle_t *)&x->poll, free_context);
}

static void context_release(struct context *x)
{
	if (!x->retired || x->open || x->probing)
		return;
	x->retired = false;
	list_remove(&x->link);
	uv_close((uv_handle_t *)&x->timer, close_poll);
}

static void retire(struct context *x)
{
	if (!x)
		return;
	x->retired = true;
	context_release(x);
}

static int add_anchors(struct ub_ctx *ub, const struct config *config)
{
	char anchor[2048];
	int err = 0;
	if (config->resolver.trust_anchors.count == 0)
		return access(ROOT_KEY, R_OK) ? UB_READFILE : ub_ctx_add_ta_file(ub, ROOT_KEY);
	for (size_t i = 0; i < config->resolver.trust_anchors.count && !err; i++) {
		if (!str_copy(config->resolver.trust_anchors.items[i], anchor, sizeof anchor))
			return UB_SYNTAX;
		err = ub_ctx_add_ta(ub, anchor);
	}
	return err;
}

// "127.0.0.1:15353" or "[::1]:53" as libunbound wants it: "127.0.0.1@15353".
static int add_server(struct ub_ctx *ub, struct str server)
{
	char text[80], *colon;
	if (!str_copy(server, text, sizeof text))
		return UB_SYNTAX;
	char *start = text;
	if (text[0] == '[') {
		char *bracket = strchr(text, ']');
		if (!bracket)
			return UB_SYNTAX;
		start = text + 1;
		*bracket = '\0';
		if (bracket[1] == ':') {
			memmove(bracket + 1, bracket + 2, strlen(bracket + 2) + 1);
			*bracket = '@';
		}
	} else if ((colon = strchr(text, ':')) && !strchr(colon + 1, ':')) {
		*colon = '@';
	}
	return ub_ctx_set_fwd(ub, start);
}

static int add_servers(struct ub_ctx *ub, const struct config *config)
{
	int err = 0;
	if (config->resolver.mode != CONFIG_RESOLVER_SERVERS)
		return ub_ctx_resolvconf(ub, NULL);
	for (size_t i = 0; i < config->resolver.servers.count && !err; i++)
		err = add_server(ub, config->resolver.servers.items[i]);
	return err;
}

static int set_up(struct ub_ctx *ub, const struct config *config, enum mode mode)
{
	int err = ub_ctx_async(ub, 1);
	if (!err)
		err = ub_ctx_set_option(ub, "do-not-query-localhost:", "no");
	if (!err)
		err = ub_ctx_set_option(ub, "unblock-lan-zones:", "yes");
	if (!err)
		err = ub_ctx_set_option(ub, "cache-max-negative-ttl:", "60");
	if (!err && mode != MODE_RECURSION)
		err = add_servers(ub, config);
	if (!err && mode != MODE_FORWARD)
		err = add_anchors(ub, config);
	// Names of test and internal networks are answered by the servers, not by built-in zones.
	// This finalises the context, so it is the last step.
	if (!err)
		err = ub_ctx_zone_remove(ub, "test.");
	return err;
}

static struct context *context_create(struct resolver *r, enum mode mode)
{
	struct context *x = mem_alloc(sizeof *x);
	x->resolver = r;
	x->mode = mode;
	x->ub = ub_ctx_create();
	int err = x->ub ? set_up(x->ub, r->context->config, mode) : UB_NOMEM;
	if (err || uv_poll_init(r->context->loop, &x->poll, ub_fd(x->ub))) {
		event_report(EVENT_WARNING, "dns", "cannot set up the resolver: %s", ub_strerror(err));
		if (x->ub)
			ub_ctx_delete(x->ub);
		mem_free(x);
		return NULL;
	}
	x->poll.data = x;
	uv_timer_init(r->context->loop, &x->timer);
	x->timer.data = x;
	uv_poll_start(&x->poll, UV_READABLE, on_readable);
	list_add_last(&r->contexts, &x->link);
	return x;
}

// ---- the mode
static void describe(const struct resolver *r, enum mode mode, char *out, size_t size)
{
	const char *who = r->context->config->resolver.mode == CONFIG_RESOLVER_SERVERS ?
		"the configured servers" : "the servers of resolv.conf";
	if (mode == MODE_RECURSION)
		snprintf(out, size, "full recursion, validated");
	else
		snprintf(out, size, "%s, %s", who,
			mode == MODE_FORWARD_VALIDATED ? "validated" : "not validated");
}

static void use(struct resolver *r, struct context *x)
{
	char words[64];
	bool changed = !r->current || r->current->mode != x->mode;
	retire(r->current);
	r->current = x;
	describe(r, x->mode, words, sizeof words);
	if (changed)
		event_report(EVENT_INFO, "dns", "questions go to %s", words);
	if (x->mode == MODE_FORWARD && !r->warned) {
		r->warned = true;
		event_report(EVENT_WARNING, "dns",
			"answers are not protected by DNSSEC: neither the servers nor full recursion "
			"gave validated answers");
	}
	struct ipc_dns_mode m = {.mode = str_from(words)};
	if (r->context->master)
		(void)ipc_send_dns_mode(r->context->master, &m);
}

static void try_mode(struct resolver *r, enum mode mode);

static void probe_failed(struct context *x)
{
	struct resolver *r = x->resolver;
	enum mode next = x->mode + 1;
	if (r->candidate != x)
		return; // overtaken
	r->candidate = NULL;
	retire(x);
	// Named servers are asked and nobody else; full recursion would go around them.
	if (next == MODE_RECURSION && r->context->config->resolver.mode == CONFIG_RESOLVER_SERVERS)
		next = MODE_FORWARD;
	if (next < MODES)
		try_mode(r, next);
}

static void end_probe(struct context *x)
{
	x->probing = false;
	uv_timer_stop(&x->timer);
}

static void probe_result(struct context *x, int err, const struct ub_result *r)
{
	if (!x->probing)
		return; // the time was over
	end_probe(x);
	if (err || !r || !r->secure) {
		probe_failed(x);
		return;
	}
	struct resolver *resolver = x->resolver;
	if (resolver->candidate == x) {
		resolver->candidate = NULL;
		use(resolver, x);
	}
}

static void on_probe_time(uv_timer_t *timer)
{
	struct context *x = timer->data;
	if (!x->probing)
		return;
	end_probe(x);
	probe_failed(x);
}

// What must be secure when the trust anchor is one that the configuration names: its own zone.
static void probe_name(const struct config *config, char *out, size_t size)
{
	snprintf(out, size, ".");
	if (config->resolver.trust_anchors.count) {
		struct str anchor = config->resolver.trust_anchors.items[0], name = anchor;
		ptrdiff_t blank = str_find(anchor, ' ');
		if (blank > 0)
			name = str_slice(anchor, 0, (size_t)blank);
		str_copy(name, out, size);
	}
}

static void try_mode(struct resolver *r, enum mode mode)
{
	struct context *x = context_create(r, mode);
	if (!x) {
		if (mode + 1 < MODES)
			try_mode(r, mode + 1);
		return;
	}
	if (mode == MODE_FORWARD) {
		use(r, x);
		return;
	}
	char name[256];
	struct question *q = mem_alloc(sizeof *q);
	q->probe = true;
	probe_name(r->context->config, name, sizeof name);
	r->candidate = x;
	x->probing = true;
	if (start_question(x, name, 48 /* DNSKEY */, q, NULL)) {
		mem_free(q);
		end_probe(x);
		probe_failed(x);
		return;
	}
	uv_timer_start(&x->timer, on_probe_time, PROBE_TIME_MS, 0);
}

static void choose_mode(struct resolver *r)
{
	if (r->candidate)
		return; // a probe is running
	try_mode(r, r->context->config->resolver.mode == CONFIG_RESOLVER_RECURSION ?
		MODE_RECURSION : MODE_FORWARD_VALIDATED);
}

static void on_probe_again(uv_timer_t *timer)
{
	choose_mode(timer->data);
}

// ---- what master gives
static struct resolver *state_of(struct role_context *c)
{
	if (!c->state) {
		struct resolver *r = mem_alloc(sizeof *r);
		r->context = c;
		list_init(&r->clients);
		list_init(&r->contexts);
		c->state = r;
	}
	return c->state;
}

int role_resolver_prepare(struct role_context *c, struct error *err)
{
	(void)err;
	(void)state_of(c);
	return 0;
}

static void on_queue_frame(struct ipc_channel *ch, void *arg, unsigned type, struct str body, int fd)
{
	(void)ch;
	(void)arg;
	(void)type;
	(void)body;
	fd_close(&fd);
}

static void on_queue_gone(struct ipc_channel *ch, void *arg)
{
	struct resolver *r = arg;
	ipc_channel_close(ch);
	if (r->queue == ch) {
		r->queue = NULL;
		role_set_history(r->context, NULL);
	}
}

void role_resolver_peer(struct role_context *c, const char *peer, unsigned index, int fd)
{
	struct resolver *r = state_of(c);
	(void)index;
	if (!strcmp(peer, "queue")) {
		ipc_channel_close(r->queue);
		r->queue = ipc_channel_open(c->loop, fd, on_queue_frame, on_queue_gone, r);
		role_set_history(c, r->queue);
		return;
	}
	struct client *client = mem_alloc(sizeof *client);
	client->resolver = r;
	client->channel = ipc_channel_open(c->loop, fd, on_client_frame, on_client_gone, client);
	list_add_last(&r->clients, &client->link);
}

int role_resolver_start(struct role_context *c, struct error *err)
{
	struct resolver *r = state_of(c);
	(void)err;
	// Questions may come before the probe has ended; they get the last resort until then.
	r->current = context_create(r, c->config->resolver.mode == CONFIG_RESOLVER_RECURSION ?
		MODE_RECURSION : MODE_FORWARD);
	uv_timer_init(c->loop, &r->probe_timer);
	r->probe_timer.data = r;
	uv_timer_start(&r->probe_timer, on_probe_again, PROBE_EVERY_MS, PROBE_EVERY_MS);
	choose_mode(r);
	return 0;
}

void role_resolver_configured(struct role_context *c, const struct config *old)
{
	struct resolver *r = c->state;
	(void)old;
	r->candidate = NULL; // one that is being probed was made from the old servers
	r->warned = false;
	choose_mode(r);
}

void role_resolver_drain(struct role_context *c, uint64_t within_ms)
{
	(void)within_ms;
	role_exit(c);
}
