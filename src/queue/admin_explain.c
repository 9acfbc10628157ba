// SPDX-License-Identifier: ISC
// Where a recipient would go that was taken now, for `pabal explain`: the way of way.c without an item.
#include "queue/admin_internal.h"

#include "base/error.h"
#include "base/memory.h"
#include "base/text.h"
#include "queue/address.h"
#include "queue/queue_internal.h"

#define ENDS_SHOWN 20

struct inquiry {
	struct control_call *call;
	struct queue *queue;
	struct smtp_address target;
	bool role;           // postmaster or abuse
};

// Of enum route_kind as it is told.
static const char *const kinds[] = {[ROUTE_MX] = "mx", [ROUTE_HOST] = "host", [ROUTE_LOCAL] = "mailbox",
	[ROUTE_REFUSE] = "refuse", [ROUTE_USER] = "user"};

static void add_row(struct inquiry *i, const char *kind, const struct route *r, struct str target,
	struct str text)
{
	const struct config_route *c = r ? r->config : NULL;
	ptrdiff_t at = str_find_last(target, '@');
	json_t *row = json_object();
	json_object_set_new(row, "kind", json_string(kind));
	json_object_set_new(row, "target", queue_json_text(target));
	json_object_set_new(row, "domain", queue_json_text(str_skip(target, at < 0 ? target.len : (size_t)at + 1)));
	json_object_set_new(row, "pattern", queue_json_text(c ? c->pattern : STR_EMPTY));
	json_object_set_new(row, "host", queue_json_text(c ? c->host : STR_EMPTY));
	json_object_set_new(row, "port", json_integer(c ? c->port : 0));
	json_object_set_new(row, "lmtp", json_boolean(c && (c->kind == CONFIG_ROUTE_LMTP_SOCKET ||
		c->kind == CONFIG_ROUTE_LMTP_HOST)));
	json_object_set_new(row, "text", queue_json_text(c && c->text.len ? c->text : text));
	control_row(i->call, row);
}

static void finish(struct inquiry *i)
{
	control_done(i->call, NULL);
	mem_free(i);
}

static bool set_target(struct inquiry *i, struct str address)
{
	return smtp_address_parse(address, &i->target) == 0;
}

// A mailbox of ours, or of the host of its route.
static void add_mailbox(struct inquiry *i, const struct address_end *e)
{
	struct route r = queue_route_for(i->queue->config, e->domain);
	if (r.kind != ROUTE_HOST)
		r = (struct route){.kind = e->kind == ADDRESS_USER ? ROUTE_USER : ROUTE_LOCAL};
	add_row(i, kinds[r.kind], &r, e->address, STR_EMPTY);
}

static void add_end(struct inquiry *i, const struct address_end *e)
{
	struct route r;
	switch (e->kind) {
	case ADDRESS_MAILBOX:
	case ADDRESS_USER:
		add_mailbox(i, e);
		break;
	case ADDRESS_PROGRAM:
	case ADDRESS_FILE:
		add_row(i, e->kind == ADDRESS_FILE ? "file" : "program", NULL, e->address, STR_EMPTY);
		break;
	case ADDRESS_HOST:
	case ADDRESS_FOREIGN:
		r = queue_route_for(i->queue->config, e->domain);
		add_row(i, kinds[r.kind], &r, e->address, STR_EMPTY);
		break;
	case ADDRESS_POSTMASTER:
		add_row(i, "none", NULL, e->address, STR_EMPTY); // the setting names one that is not there
		break;
	case ADDRESS_ERROR:
		add_row(i, strcmp(e->status, "5.1.1") ? "refuse" : "none", NULL, e->address, e->words);
		break;
	}
}

static void on_resolved(void *arg, const struct address_answer *a)
{
	struct inquiry *i = arg;
	if (a->err)
		add_row(i, "uncertain", NULL, str_from(i->target.text), STR_EMPTY);
	else if (!a->end_count)
		add_row(i, "refuse", NULL, str_from(i->target.text), str_from(a->too_many ?
			TEXT("it leads to too many addresses, or over too many aliases") :
			TEXT("it leads to itself, or to nobody")));
	for (unsigned n = 0; n < a->end_count && n < ENDS_SHOWN; n++)
		add_end(i, &a->ends[n]);
	finish(i);
}

static void find_way(struct inquiry *i)
{
	struct route r = queue_route_for(i->queue->config, str_from(i->target.domain));
	if (!i->role && r.kind == ROUTE_REFUSE) {
		add_row(i, kinds[r.kind], &r, str_from(i->target.text), STR_EMPTY);
		finish(i);
		return;
	}
	queue_address_resolve(i->queue, str_from(i->target.text), str_from(i->target.domain), 0, on_resolved, i);
}

// Postmaster is somebody, also where no account has that name.
static bool take_role(struct inquiry *i, struct str address)
{
	const struct config *c = i->queue->config;
	ptrdiff_t at = str_find_last(address, '@');
	struct str domain = at < 0 ? STR_EMPTY : str_skip(address, (size_t)at + 1);
	if (!queue_is_role_address(c, address, domain))
		return set_target(i, address);
	i->role = true;
	return set_target(i, c->postmaster);
}

void queue_admin_explain(struct control_call *call, const json_t *arguments, void *arg)
{
	struct queue_admin *a = arg;
	struct str recipient;
	struct inquiry *i;
	if (!a->queue) {
		control_fail(call, "busy", "%s", TEXT("only a running server can tell"));
		return;
	}
	if (queue_json_argument(arguments, "recipient", &recipient) || !recipient.len) {
		control_fail(call, "syntax", "%s", TEXT("which recipient?"));
		return;
	}
	i = mem_alloc(sizeof *i);
	i->call = call;
	i->queue = a->queue;
	if (take_role(i, recipient)) {
		find_way(i);
		return;
	}
	control_fail(call, "syntax", TEXT("\"%.*s\" is no address"), STR_ARG(recipient));
	mem_free(i);
}
