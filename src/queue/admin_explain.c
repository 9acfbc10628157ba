// SPDX-License-Identifier: ISC
// Where a recipient would go that was taken now, for `pabal explain`: what its address becomes
// (address.h), and for each end the route that it takes.
#include "queue/admin_internal.h"

#include "base/error.h"
#include "base/memory.h"
#include "base/text.h"
#include "queue/address.h"
#include "queue/queue_internal.h"

struct inquiry {
	struct control_call *call;
	struct queue *queue;
	bool mapped;         // to postmaster
	char postmaster[SMTP_ADDRESS_MAX];
};

// How the route of an end is told.
static const char *const kinds[] = {[ROUTE_MX] = "mx", [ROUTE_HOST] = "host", [ROUTE_LOCAL] = "mailbox",
	[ROUTE_REFUSE] = "refuse", [ROUTE_USER] = "user"};

static void add_row(struct inquiry *i, const char *kind, const struct address_end *e, const struct route *r)
{
	static const struct address_end none = {.status = ""};
	const struct config_route *c = r ? r->config : NULL;
	if (!e)
		e = &none;
	control_row(i->call, json_pack("{s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:i, s:b, s:o, s:s, s:o}",
		"kind", kind, "target", queue_json_text(e->address), "domain", queue_json_text(e->domain),
		"detail", queue_json_text(e->detail), "owner", queue_json_text(e->owner), "pattern",
		queue_json_text(c ? c->pattern : STR_EMPTY), "host",
		queue_json_text(c ? c->host : STR_EMPTY), "port", c ? (int)c->port : 0, "lmtp",
		c && (c->kind == CONFIG_ROUTE_LMTP_SOCKET || c->kind == CONFIG_ROUTE_LMTP_HOST), "text",
		queue_json_text(c ? c->text : STR_EMPTY), "status", e->status ? e->status : "", "words",
		queue_json_text(e->words)));
}

static void add_routed(struct inquiry *i, const struct address_end *e)
{
	struct route r = queue_route_for(i->queue->config, e->domain);
	// Mailboxes that another host has, too, are known here.
	if (e->kind == ADDRESS_MAILBOX && r.kind != ROUTE_HOST)
		r = (struct route){.kind = ROUTE_LOCAL};
	add_row(i, kinds[r.kind], e, &r);
}

static void resolve(struct inquiry *i, struct str address, struct str domain);

// Once: of a postmaster that is nobody it is told.
static bool go_on_with_postmaster(struct inquiry *i)
{
	struct smtp_address parsed;
	if (i->mapped || !str_copy(i->queue->config->postmaster, i->postmaster, sizeof i->postmaster) ||
		smtp_address_parse(str_from(i->postmaster), &parsed))
		return false;
	i->mapped = true;
	resolve(i, str_from(parsed.text), str_from(parsed.domain));
	return true;
}

static void add_end(struct inquiry *i, const struct address_end *e)
{
	switch (e->kind) {
	case ADDRESS_MAILBOX:
	case ADDRESS_HOST:
	case ADDRESS_FOREIGN:
		add_routed(i, e);
		break;
	case ADDRESS_USER:
		add_row(i, "user", e, NULL);
		break;
	case ADDRESS_PROGRAM:
		add_row(i, "program", e, NULL);
		break;
	case ADDRESS_FILE:
		add_row(i, "file", e, NULL);
		break;
	case ADDRESS_POSTMASTER:
	case ADDRESS_ERROR:
		add_row(i, e->status && e->status[0] == '4' ? "uncertain" : "none", e, NULL);
		break;
	}
}

static void on_resolved(void *arg, const struct address_answer *a)
{
	struct inquiry *i = arg;
	for (unsigned n = 0; n < a->step_count; n++)
		control_row(i->call, json_pack("{s:s, s:o, s:o, s:o}", "step", a->steps[n].what, "address",
			queue_json_text(a->steps[n].address), "to", queue_json_text(a->steps[n].to), "where",
			queue_json_text(a->steps[n].where)));
	if (a->end_count == 1 && a->ends[0].kind == ADDRESS_POSTMASTER && go_on_with_postmaster(i))
		return;
	for (unsigned n = 0; n < a->end_count; n++)
		add_end(i, &a->ends[n]);
	if (a->err || a->unread)
		add_row(i, "uncertain", NULL, NULL);
	else if (!a->end_count)
		add_row(i, "none", NULL, NULL); // it leads to itself, or to too much
	control_done(i->call, json_pack("{s:i, s:i, s:b}", "ends", (int)a->end_count, "loops", (int)a->loops,
		"too_many", (int)a->too_many));
	mem_free(i);
}

static void resolve(struct inquiry *i, struct str address, struct str domain)
{
	queue_address_resolve(i->queue, address, domain, ADDRESS_STEPS | ADDRESS_OWNERS, on_resolved, i);
}

void queue_admin_explain(struct control_call *call, const json_t *arguments, void *arg)
{
	struct queue_admin *a = arg;
	struct smtp_address parsed = {0};
	struct str recipient;
	if (!a->queue) {
		control_fail(call, "busy", "%s", TEXT("only a running server can tell"));
		return;
	}
	if (queue_json_argument(arguments, "recipient", &recipient))
		recipient = STR_EMPTY;
	bool bare = str_equal_nocase(recipient, STR("postmaster"));
	if (!bare && smtp_address_parse(recipient, &parsed)) {
		control_fail(call, "syntax", TEXT("\"%.*s\" is no address"), STR_ARG(str_slice(recipient, 0, 200)));
		return;
	}
	struct inquiry *i = mem_alloc(sizeof *i);
	i->call = call;
	i->queue = a->queue;
	resolve(i, bare ? STR("postmaster") : str_from(parsed.text), str_from(parsed.domain));
}
