// SPDX-License-Identifier: ISC
// The client's name, where a rule goes by names: what its address is called, believed only when
// that name leads back to the address. No name and no answer in time are the same: none.
#include "role/smtpd_internal.h"

#include "base/domain.h"
#include "base/event.h"
#include "base/file.h"
#include "base/memory.h"

#define NAMES_MAX     10   // that one address may have; more are not looked at
#define NAMES_TIME_MS 5000 // for all questions together

enum name_state { NAME_ASKED, NAME_LEADS_BACK, NAME_LEADS_ELSEWHERE };

struct one_name {
	struct names *names;
	struct dns_question *question;
	enum name_state state;
	char text[DOMAIN_MAX + 1];
};

struct names {
	struct connection *connection;
	struct dns_question *reverse;
	struct wheel_timer timer;
	struct one_name items[NAMES_MAX];
	size_t count;
	bool failed;               // somebody could not answer now
};

void connection_names_cancel(struct connection *c)
{
	struct names *n = c->names;
	if (!n)
		return;
	c->names = NULL;
	wheel_clear(c->smtpd->wheel, &n->timer);
	if (n->reverse)
		dns_cancel(n->reverse);
	for (size_t i = 0; i < n->count; i++)
		if (n->items[i].question)
			dns_cancel(n->items[i].question);
	mem_free(n);
}

static void tell_failure(struct connection *c)
{
	struct event e;
	event_begin(&e, EVENT_WARNING, "dns", c->id);
	event_id(&e, "session", c->id);
	event_addr(&e, "client", &c->client);
	event_text(&e, "reason", "the client's name cannot be looked up now: rules that go by names do "
		"not count for it");
	event_emit(&e);
}

static void finish(struct names *n, const char *found)
{
	struct connection *c = n->connection;
	if (!found && n->failed)
		tell_failure(c);
	mem_free(c->name);
	c->name = found ? str_dup(str_from(found)) : NULL;
	connection_names_cancel(c);
	c->facts->client_name = str_from(c->name);
	connection_fact_known(c, POLICY_FACT_HOSTNAME);
}

// The first that leads back, in the order they came; none before it may be open, unless time is over.
static void look(struct names *n, bool time_over)
{
	for (size_t i = 0; i < n->count; i++) {
		if (n->items[i].state == NAME_LEADS_BACK) {
			finish(n, n->items[i].text);
			return;
		}
		if (n->items[i].state == NAME_ASKED && !time_over)
			return;
	}
	finish(n, NULL);
}

static bool is_temporary(const struct dns_answer *a)
{
	return a->status == DNS_FAILED || a->status == DNS_BOGUS;
}

static void on_address(void *arg, const struct dns_answer *answer)
{
	struct one_name *one = arg;
	struct names *n = one->names;
	struct str records = answer->records;
	struct ipaddr address;
	one->question = NULL;
	one->state = NAME_LEADS_ELSEWHERE;
	n->failed |= is_temporary(answer);
	while (answer->status == DNS_FOUND && dns_next_address(&records, &address))
		if (ipaddr_equal(&address, &n->connection->client))
			one->state = NAME_LEADS_BACK;
	look(n, false);
}

static void ask_back(struct names *n, const char *name)
{
	struct one_name *one = &n->items[n->count];
	if (domain_normalise(str_from(name), one->text))
		return; // is no host's name
	n->count++;
	one->names = n;
	one->question = dns_ask(n->connection->smtpd->dns, one->text,
		n->connection->client.family == 4 ? DNS_A : DNS_AAAA, on_address, one);
}

static void on_reverse(void *arg, const struct dns_answer *answer)
{
	struct names *n = arg;
	struct str records = answer->records;
	char name[256];
	n->reverse = NULL;
	n->failed = is_temporary(answer);
	while (answer->status == DNS_FOUND && n->count < NAMES_MAX && dns_next_name(&records, name))
		ask_back(n, name);
	look(n, false);
}

static void on_time(struct wheel_timer *t)
{
	struct names *n = LIST_ENTRY(t, struct names, timer);
	n->failed = true;
	look(n, true);
}

void connection_ask_name(struct connection *c)
{
	struct smtpd *s = c->smtpd;
	char reverse[DNS_REVERSE_MAX];
	if (c->names)
		return; // the queue went away meanwhile, the question did not
	struct names *n = mem_alloc(sizeof *n);
	n->connection = c;
	c->names = n;
	wheel_timer_init(&n->timer, on_time);
	wheel_set(s->wheel, &n->timer, NAMES_TIME_MS);
	n->reverse = dns_ask(s->dns, dns_reverse_name(&c->client, reverse), DNS_PTR, on_reverse, n);
}

// ---- the channel to resolver
static void on_resolver_frame(struct ipc_channel *ch, void *arg, unsigned type, struct str body, int fd)
{
	struct smtpd *s = arg;
	(void)ch;
	fd_close(&fd);
	if (type == IPC_TYPE_resolved)
		dns_client_resolved(s->dns, body);
}

static void on_resolver_gone(struct ipc_channel *ch, void *arg)
{
	struct smtpd *s = arg;
	ipc_channel_close(ch);
	if (s->resolver != ch)
		return;
	s->resolver = NULL;
	dns_client_set_channel(s->dns, NULL);
}

void smtpd_resolver_open(struct smtpd *s, int fd)
{
	ipc_channel_close(s->resolver);
	s->resolver = ipc_channel_open(s->context->loop, fd, on_resolver_frame, on_resolver_gone, s);
	dns_client_set_channel(s->dns, s->resolver);
}
