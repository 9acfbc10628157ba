// SPDX-License-Identifier: ISC
// Where a recipient would go that was taken now, for `pabal explain`: the way of way.c without an item.
#include "queue/admin_internal.h"

#include "base/error.h"
#include "base/memory.h"
#include "base/text.h"
#include "queue/queue_internal.h"

struct inquiry {
	struct control_call *call;
	struct queue *queue;
	struct smtp_address target;
	bool role;           // postmaster or abuse
};

// Of enum route_kind as it is told.
static const char *const kinds[] = {[ROUTE_MX] = "mx", [ROUTE_HOST] = "host", [ROUTE_LOCAL] = "mailbox",
	[ROUTE_REFUSE] = "refuse", [ROUTE_USER] = "user"};

static void finish(struct inquiry *i, const char *kind, const struct route *r)
{
	const struct config_route *c = r ? r->config : NULL;
	json_t *row = json_object();
	json_object_set_new(row, "kind", json_string(kind));
	json_object_set_new(row, "target", queue_json_text(str_from(i->target.text)));
	json_object_set_new(row, "domain", queue_json_text(str_from(i->target.domain)));
	json_object_set_new(row, "pattern", queue_json_text(c ? c->pattern : STR_EMPTY));
	json_object_set_new(row, "host", queue_json_text(c ? c->host : STR_EMPTY));
	json_object_set_new(row, "port", json_integer(c ? c->port : 0));
	json_object_set_new(row, "lmtp", json_boolean(c && (c->kind == CONFIG_ROUTE_LMTP_SOCKET ||
		c->kind == CONFIG_ROUTE_LMTP_HOST)));
	json_object_set_new(row, "text", queue_json_text(c ? c->text : STR_EMPTY));
	control_row(i->call, row);
	control_done(i->call, NULL);
	mem_free(i);
}

static bool set_target(struct inquiry *i, struct str address)
{
	return smtp_address_parse(address, &i->target) == 0;
}

static void on_account(void *arg, const struct directory_entry *e)
{
	struct inquiry *i = arg;
	if (e->err == ERR_NOT_FOUND) {
		finish(i, "none", NULL);
		return;
	}
	if (e->err || !set_target(i, e->name)) {
		finish(i, "uncertain", NULL);
		return;
	}
	struct route r = queue_route_for(i->queue->config, str_from(i->target.domain));
	if (r.kind != ROUTE_HOST)
		r = (struct route){.kind = ROUTE_LOCAL};
	finish(i, kinds[r.kind], &r);
}

static void find_way(struct inquiry *i)
{
	const struct config *c = i->queue->config;
	char key[SMTP_ADDRESS_MAX];
	struct route r = queue_route_for(c, str_from(i->target.domain));
	if (!i->role && r.kind != ROUTE_LOCAL)
		finish(i, kinds[r.kind], &r);
	else
		queue_directory_address(i->queue->directory, str_from(smtp_address_key(&i->target, key)),
			on_account, i);
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
