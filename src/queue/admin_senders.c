// SPDX-License-Identifier: ISC
// Domain aliases, what an address becomes, and as whom an account may send.
#include "queue/admin_address.h"

#include "queue/address.h"
#include "queue/queue_internal.h"

#include "base/error.h"
#include "base/text.h"
#include "policy/senders.h"

// ---------------------------------------------------------------- domain aliases

static bool take_domain_argument(
	struct address_call *r, const json_t *arguments, const char *key, char out[DOMAIN_MAX + 1])
{
	struct str word;
	if (!queue_json_argument(arguments, key, &word) && !domain_normalise(word, out))
		return true;
	return admin_address_fail(
		r, "syntax", TEXT("\"%.*s\" is no domain"), STR_ARG(str_slice(word, 0, 200)));
}

static void on_domain(void *arg, int err)
{
	struct address_call *r = arg;
	if (err == ERR_EXISTS)
		admin_address_fail(r, "exists", "%s",
			TEXT("an alias of a domain leads to the domain itself, not to another "
			     "alias"));
	else if (err == ERR_NOT_FOUND)
		admin_address_fail(r, "not-found", TEXT("%s is an alias of no domain"), r->name);
	else if (err)
		queue_admin_fail(r->call, err);
	else
		admin_address_done(r);
	admin_address_destroy(r);
}

void queue_admin_domain_add(struct control_call *call, const json_t *arguments, void *arg)
{
	struct address_call *r = admin_address_create(call, arg, "domain alias add");
	char other[DOMAIN_MAX + 1];
	if (!take_domain_argument(r, arguments, "name", r->name) ||
		!take_domain_argument(r, arguments, "of", other) ||
		!admin_address_is_ours(r, str_from(r->name)) ||
		!admin_address_is_ours(r, str_from(other))) {
		admin_address_destroy(r);
		return;
	}
	if (!strcmp(r->name, other)) {
		admin_address_fail(r, "syntax", "%s", TEXT("a domain is no alias of itself"));
		admin_address_destroy(r);
		return;
	}
	store_domain_alias_put(r->admin->store,
		&(struct store_alias){.name = str_from(r->name), .targets = str_from(other)},
		on_domain, r);
}

void queue_admin_domain_remove(struct control_call *call, const json_t *arguments, void *arg)
{
	struct address_call *r = admin_address_create(call, arg, "domain alias remove");
	if (take_domain_argument(r, arguments, "name", r->name))
		store_domain_alias_remove(r->admin->store, str_from(r->name), on_domain, r);
	else
		admin_address_destroy(r);
}

void queue_admin_domain_list(struct control_call *call, const json_t *arguments, void *arg)
{
	(void)arguments;
	admin_address_list(call, arg, "domain alias list", store_domain_alias_list);
}

// ---------------------------------------------------------------- explain

static const char *const kinds[] = {
	[ADDRESS_MAILBOX] = "mailbox",
	[ADDRESS_USER] = "user",
	[ADDRESS_PROGRAM] = "program",
	[ADDRESS_FILE] = "file",
	[ADDRESS_HOST] = "host",
	[ADDRESS_FOREIGN] = "elsewhere",
	[ADDRESS_POSTMASTER] = "postmaster",
	[ADDRESS_ERROR] = "error",
};

static json_t *step_row(const struct address_step *s)
{
	return json_pack("{s:i, s:o, s:s, s:o, s:o}", "depth", (int)s->depth, "address",
		queue_json_text(s->address), "step", s->what, "to", queue_json_text(s->to), "where",
		queue_json_text(s->where));
}

static json_t *end_row(const struct address_call *r, const struct address_end *e)
{
	bool error = e->kind == ADDRESS_ERROR;
	return json_pack("{s:s, s:o, s:o, s:o, s:s, s:o}", "end", kinds[e->kind], "address",
		queue_json_text(
			e->kind == ADDRESS_POSTMASTER ? r->admin->config->postmaster : e->address),
		"detail", queue_json_text(e->detail), "owner", queue_json_text(e->owner), "status",
		error ? e->status : "", "words", queue_json_text(error ? e->words : STR_EMPTY));
}

static void on_explained(void *arg, const struct address_answer *a)
{
	struct address_call *r = arg;
	if (a->err) {
		queue_admin_fail(r->call, a->err);
		admin_address_destroy(r);
		return;
	}
	for (unsigned i = 0; i < a->step_count; i++)
		control_row(r->call, step_row(&a->steps[i]));
	for (unsigned i = 0; i < a->end_count; i++)
		control_row(r->call, end_row(r, &a->ends[i]));
	control_done(r->call, json_pack("{s:i, s:i, s:b, s:b}", "ends", (int)a->end_count, "loops",
				      (int)a->loops, "too_many", (int)a->too_many, "unread", (int)a->unread));
	admin_address_destroy(r);
}

void queue_admin_address_explain(struct control_call *call, const json_t *arguments, void *arg)
{
	struct address_call *r = admin_address_create(call, arg, "address explain");
	struct smtp_address address;
	struct str name;
	if (queue_json_argument(arguments, "name", &name))
		name = STR_EMPTY;
	if (!r->admin->queue)
		admin_address_fail(r, "stopped", "%s", TEXT("the server must run for this"));
	else if (smtp_address_parse(name, &address))
		admin_address_fail(r, "syntax", TEXT("\"%.*s\" is no address"),
			STR_ARG(str_slice(name, 0, 200)));
	else {
		queue_address_resolve(r->admin->queue, str_from(address.text),
			str_from(address.domain), ADDRESS_STEPS | ADDRESS_OWNERS, on_explained, r);
		return;
	}
	admin_address_destroy(r);
}

// ---------------------------------------------------------------- send-as

static void on_send_as(void *arg, int err)
{
	struct address_call *r = arg;
	if (err == ERR_NOT_FOUND)
		admin_address_fail(r, "not-found", TEXT("there is no account %s"), r->name);
	else if (err == ERR_EXISTS)
		admin_address_fail(r, "exists", TEXT("%s may send so already"), r->name);
	else if (err == ERR_DENIED)
		admin_address_fail(r, "not-found", TEXT("that was not granted to %s"), r->name);
	else if (err == ERR_LIMIT)
		admin_address_fail(r, "limit",
			TEXT("%s has too many grants; grant a domain or a group"), r->name);
	else if (err)
		queue_admin_fail(r->call, err);
	else
		admin_address_done(r);
	admin_address_destroy(r);
}

void queue_admin_account_send_as(struct control_call *call, const json_t *arguments, void *arg)
{
	struct address_call *r = admin_address_create(call, arg, "account send-as");
	char kept[POLICY_SEND_AS_MAX];
	struct str word;
	struct store_account values = {0};
	bool adds = json_object_get(arguments, "add") != NULL;
	if (!queue_admin_take_name(call, arguments, r->admin->config, r->name)) {
		admin_address_destroy(r);
		return;
	}
	if (queue_json_argument(arguments, adds ? "add" : "remove", &word) ||
		!policy_send_as_parse(word, kept)) {
		admin_address_fail(r, "syntax",
			TEXT("as whom? write an address, \"@example.kr\", \"group:NAME\" or "
			     "\"<>\""));
		admin_address_destroy(r);
		return;
	}
	values.name = str_from(r->name);
	values.send_as = str_from(kept);
	store_account_set(r->admin->store, &values, adds ? STORE_ADD_SEND_AS : STORE_REMOVE_SEND_AS,
		on_send_as, r);
}
