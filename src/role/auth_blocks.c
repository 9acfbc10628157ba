// SPDX-License-Identifier: ISC
#include "role/auth_blocks.h"

#include "auth/guard.h"
#include "auth/name.h"
#include "base/event.h"
#include "base/text.h"
#include "role/auth_admin.h"

#include <stdio.h>

#define ROWS_MAX 10000 // of an answer; the summary counts all

struct listing {
	struct control_call *call;
	unsigned rows;
};

static void format_network(const struct ipnet *n, char out[IPADDR_TEXT_MAX + 5])
{
	char text[IPADDR_TEXT_MAX];
	bool is_host = n->addr.family == 4 && n->prefix == 32;

	out[0] = '\0';
	if (n->addr.family)
		snprintf(out, IPADDR_TEXT_MAX + 5, is_host ? "%s" : "%s/%u",
			ipaddr_format(&n->addr, text), (unsigned)n->prefix);
}

static void on_block(void *arg, const struct auth_guess_block *b)
{
	struct listing *l = arg;
	char network[IPADDR_TEXT_MAX + 5];
	json_t *name = json_stringn(b->name.data, b->name.len);

	format_network(&b->network, network);
	if (l->rows++ < ROWS_MAX)
		control_row(l->call,
			json_pack("{s:s, s:o, s:s, s:I, s:I}", "scope",
				auth_guess_scope_name(b->scope), "account",
				name ? name : json_string("?"), "network", network, "count",
				(json_int_t)b->count, "left_ms", (json_int_t)b->left_ms));
	else
		json_decref(name);
}

void auth_blocks_list(struct control_call *call, const json_t *arguments, void *arg)
{
	const struct auth_admin *admin = arg;
	struct listing l = {.call = call};
	bool count_only = json_is_true(json_object_get(arguments, "count"));
	uint64_t count = 0;

	if (admin->authenticator)
		count = auth_guard_each(authenticator_guard(admin->authenticator),
			count_only ? NULL : on_block, &l);
	control_done(call, json_pack("{s:I}", "count", (json_int_t)count));
}

static void report(const struct control_call *call, struct str which, uint64_t count)
{
	struct event e;

	event_begin(&e, EVENT_INFO, "admin", 0);
	event_u64(&e, "uid", control_peer_uid(call));
	event_text(&e, "reason", "blocks of logins cleared");
	event_str(&e, "which", which);
	event_u64(&e, "count", count);
	event_emit(&e);
}

// What was tried is counted under its key, or as it was sent where it cannot be one.
static uint64_t clear_name(struct auth_guard *guard, struct str name, struct str default_domain)
{
	char key[AUTH_NAME_MAX + 1];
	struct str form = auth_name_key(name, default_domain, key) ? name : str_from(key);

	return auth_guard_clear(guard, &form, NULL);
}

void auth_blocks_clear(struct control_call *call, const json_t *arguments, void *arg)
{
	const struct auth_admin *admin = arg;
	const json_t *value = json_object_get(arguments, "which");
	struct str which = str_make(json_is_string(value) ? json_string_value(value) : "",
		json_string_length(value));
	struct auth_guard *guard;
	struct ipnet network;
	uint64_t count;

	if (!admin->authenticator) {
		control_fail(call, "failed", TEXT("the server is stopped: nothing is blocked"));
		return;
	}
	guard = authenticator_guard(admin->authenticator);
	if (which.len == 0)
		count = auth_guard_clear(guard, NULL, NULL);
	else if (ipnet_parse(which, &network) == 0)
		count = auth_guard_clear(guard, NULL, &network);
	else
		count = clear_name(guard, which, authenticator_domain(admin->authenticator));
	report(call, which, count);
	control_done(call, json_pack("{s:I}", "count", (json_int_t)count));
}
