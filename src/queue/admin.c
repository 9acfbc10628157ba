// SPDX-License-Identifier: ISC
// The table of what the queue answers, and what its handlers share: arguments in, rows out.
#include "queue/admin_internal.h"

#include "base/clock.h"
#include "base/domain.h"
#include "base/event.h"
#include "base/memory.h"
#include "base/text.h"

const struct control_handler queue_admin_handlers[] = {
	{"queue list", queue_admin_list},
	{"queue show", queue_admin_show},
	{"queue retry", queue_admin_retry},
	{"queue hold", queue_admin_hold},
	{"queue release", queue_admin_release},
	{"queue delete", queue_admin_delete},
	{"queue status", queue_admin_status},
	{"queue explain", queue_admin_explain},
	{"account list", queue_admin_account_list},
	{"account show", queue_admin_account_show},
	{"account add", queue_admin_account_add},
	{"account enable", queue_admin_account_enable},
	{"account disable", queue_admin_account_disable},
	{"account remove", queue_admin_account_remove},
	{"account set", queue_admin_account_set},
	{"account send-as", queue_admin_account_send_as},
	{"address add", queue_admin_address_add},
	{"address remove", queue_admin_address_remove},
	{"address list", queue_admin_address_list},
	{"address show", queue_admin_address_show},
	{"address explain", queue_admin_address_explain},
	{"domain alias add", queue_admin_domain_add},
	{"domain alias remove", queue_admin_domain_remove},
	{"domain alias list", queue_admin_domain_list},
	{"account group add", queue_admin_group_add},
	{"account group set", queue_admin_group_set},
	{"account group remove", queue_admin_group_remove},
	{"account group list", queue_admin_group_list},
	{"quota list", queue_admin_quota_list},
	{"quota show", queue_admin_quota_show},
	{"quota set", queue_admin_quota_set},
	{"quota recount", queue_admin_quota_recount},
	{"guard list", queue_admin_guard_list},
	{"guard show", queue_admin_guard_show},
	{"guard release", queue_admin_guard_release},
	{"guard discard", queue_admin_guard_discard},
	{"guard allow", queue_admin_guard_allow},
	{"guard learn", queue_admin_guard_learn},
	{"guard profile", queue_admin_guard_profile},
	{"guard seed", queue_admin_guard_seed},
	{"limits", queue_admin_limits},
	{"limits reset", queue_admin_limits_reset},
	{"trace", queue_admin_trace},
};
const size_t queue_admin_handler_count = ARRAY_SIZE(queue_admin_handlers);

// ---------------------------------------------------------------- JSON

json_t *queue_json_text(struct str s)
{
	json_t *text = str_is_utf8(s) ? json_stringn(s.len ? s.data : "", s.len) : NULL;
	if (text)
		return text;
	char *safe = mem_alloc(s.len + 1);
	for (size_t i = 0; i < s.len; i++)
		safe[i] = s.data[i] & 0x80 ? '?' : s.data[i];
	text = json_stringn(safe, s.len);
	mem_free(safe);
	return text;
}

json_t *queue_json_id(uint64_t id)
{
	char text[ID_TEXT_MAX];
	return json_string(id ? id_format(id, text) : "");
}

json_t *queue_json_number(uint64_t n)
{
	return json_integer(n > INT64_MAX ? INT64_MAX : (json_int_t)n);
}

int queue_json_argument(const json_t *arguments, const char *key, struct str *out)
{
	const json_t *value = json_object_get(arguments, key);
	*out = STR_EMPTY;
	if (!value || json_is_null(value))
		return 0;
	if (!json_is_string(value))
		return ERR_SYNTAX;
	*out = str_make(json_string_value(value), json_string_length(value));
	return 0;
}

int queue_json_argument_number(const json_t *arguments, const char *key, uint64_t standard, uint64_t *out)
{
	const json_t *value = json_object_get(arguments, key);
	*out = standard;
	if (!value || json_is_null(value))
		return 0;
	if (json_is_string(value))
		return str_to_u64(str_from(json_string_value(value)), out);
	if (!json_is_integer(value) || json_integer_value(value) < 0)
		return ERR_SYNTAX;
	*out = (uint64_t)json_integer_value(value);
	return 0;
}

// ---------------------------------------------------------------- which recipients

static const struct {
	const char *name;
	enum recipient_state state;
} states[] = {{"due", RECIPIENT_DUE}, {"claimed", RECIPIENT_CLAIMED}, {"held", RECIPIENT_HELD}};

const char *queue_admin_state(enum recipient_state state)
{
	for (size_t i = 0; i < ARRAY_SIZE(states); i++)
		if (states[i].state == state)
			return states[i].name;
	return "?";
}

static int take_state(struct str word, struct store_filter *out)
{
	out->any_state = word.len == 0 || str_equal(word, STR("all"));
	for (size_t i = 0; i < ARRAY_SIZE(states) && !out->any_state; i++)
		if (str_equal(word, str_from(states[i].name))) {
			out->state = states[i].state;
			return 0;
		}
	return out->any_state ? 0 : ERR_SYNTAX;
}

static int take_domain(struct str word, struct arena *arena, struct store_filter *out)
{
	char domain[DOMAIN_MAX + 1];
	if (!word.len)
		return 0;
	if (word.data[0] == '[')
		out->domain = word; // an address literal
	else if (domain_normalise(word, domain))
		return ERR_SYNTAX;
	else
		out->domain = str_from(domain);
	out->domain = arena_str(arena, out->domain);
	return 0;
}

static int take_string(const json_t *arguments, const char *key, struct arena *arena, struct str *out)
{
	struct str word;
	if (queue_json_argument(arguments, key, &word))
		return ERR_SYNTAX;
	*out = arena_str(arena, word);
	return 0;
}

bool queue_admin_filter(struct control_call *call, const json_t *arguments, struct arena *arena,
	struct store_filter *out)
{
	struct str id, state, domain;
	*out = (struct store_filter){.limit = 1000};
	if (queue_json_argument(arguments, "id", &id) || (id.len && id_parse(id, &out->message)))
		control_fail(call, "syntax", TEXT("\"%.*s\" is no id"), STR_ARG(id));
	else if (queue_json_argument(arguments, "state", &state) || take_state(state, out))
		control_fail(call, "syntax", "%s", TEXT("a state is due, claimed, held or all"));
	else if (queue_json_argument(arguments, "domain", &domain) || take_domain(domain, arena, out))
		control_fail(call, "syntax", TEXT("\"%.*s\" is no domain"), STR_ARG(domain));
	else if (take_string(arguments, "sender", arena, &out->sender) ||
		take_string(arguments, "recipient", arena, &out->recipient) ||
		take_string(arguments, "account", arena, &out->account))
		control_fail(call, "syntax", "%s", TEXT("an argument is no text"));
	else
		return true;
	return false;
}

bool queue_admin_filter_is_empty(const struct store_filter *f)
{
	return !f->message && !f->sender.len && !f->recipient.len && !f->domain.len && !f->account.len;
}

// ---------------------------------------------------------------- rows

json_t *queue_admin_row(const struct store_message *m, const struct store_recipient *r)
{
	const struct envelope *e = &m->envelope;
	uint64_t now = clock_wall_ms();
	json_t *row = json_object();
	json_object_set_new(row, "id", queue_json_id(r->id));
	json_object_set_new(row, "message", queue_json_id(r->message));
	json_object_set_new(row, "session", queue_json_id(e->session));
	json_object_set_new(row, "sender", queue_json_text(e->sender));
	json_object_set_new(row, "recipient", queue_json_text(r->address));
	json_object_set_new(row, "domain", queue_json_text(r->domain));
	json_object_set_new(row, "account", queue_json_text(e->account));
	json_object_set_new(row, "client", queue_json_text(e->client));
	json_object_set_new(row, "state", json_string(queue_admin_state(r->state)));
	json_object_set_new(row, "hold_reason", queue_json_text(r->hold_reason));
	json_object_set_new(row, "next_try", queue_json_number(r->next_try_ms));
	json_object_set_new(row, "tries", queue_json_number(r->tries));
	json_object_set_new(row, "depth", queue_json_number(r->depth));
	json_object_set_new(row, "status", queue_json_text(r->status));
	json_object_set_new(row, "reply", queue_json_text(r->reply));
	json_object_set_new(row, "remote", queue_json_text(r->remote));
	json_object_set_new(row, "size", queue_json_number(e->size));
	json_object_set_new(row, "received", queue_json_number(e->received_ms));
	json_object_set_new(row, "age", queue_json_number(now > e->received_ms ? now - e->received_ms : 0));
	json_object_set_new(row, "bounce", json_boolean(e->bounce));
	return row;
}

void queue_admin_fail(struct control_call *call, int err)
{
	const char *code = err == ERR_NOT_FOUND ? "not-found" : err == ERR_EXISTS ? "exists" :
		err == ERR_FULL ? "full" : "failed";
	control_fail(call, code, "%s", err_text(err));
}

void queue_admin_event(struct control_call *call, const char *command, struct str what, uint64_t count)
{
	struct event e;
	event_begin(&e, EVENT_INFO, "admin", 0);
	event_text(&e, "command", command);
	event_str(&e, "what", what);
	event_u64(&e, "count", count);
	event_u64(&e, "uid", control_peer_uid(call));
	event_emit(&e);
}
