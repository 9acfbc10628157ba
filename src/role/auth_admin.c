// SPDX-License-Identifier: ISC
// Setting and forgetting passwords.
#include "role/auth_admin.h"

#include "auth/name.h"
#include "auth/password.h"
#include "base/event.h"
#include "base/memory.h"
#include "base/text.h"

// A password on its way to be hashed.
struct change {
	uv_work_t work;
	struct auth_admin *admin;
	struct control_call *call;
	char name[AUTH_NAME_MAX + 1];
	struct str password; // own memory
	struct secret secret;
	struct error err;
	int result;
};

// ---- arguments
static struct str argument(const json_t *arguments, const char *name)
{
	const json_t *value = json_object_get(arguments, name);

	return str_make(
		json_is_string(value) ? json_string_value(value) : "", json_string_length(value));
}

static bool take_name(
	struct control_call *call, const json_t *arguments, char out[AUTH_NAME_MAX + 1])
{
	struct str name = argument(arguments, "name");

	if (auth_name_key(name, STR_EMPTY, out) == 0)
		return true;
	control_fail(call, "syntax", TEXT("\"%.*s\" is no account name"), STR_ARG(name));
	return false;
}

static void fail(struct control_call *call, int err)
{
	const char *code = err == ERR_NOT_FOUND ? "not-found" : err == ERR_FULL ? "full" : "failed";

	control_fail(call, code, TEXT("the store of passwords: %s"), err_text(err));
}

static void report(const struct control_call *call, const char *name, const char *what)
{
	struct event e;

	event_begin(&e, EVENT_INFO, "admin", 0);
	event_text(&e, "account", name);
	event_u64(&e, "uid", control_peer_uid(call));
	event_text(&e, "reason", what);
	event_emit(&e);
}

// ---- set
static void hash(uv_work_t *work)
{
	struct change *c = work->data;

	c->result = password_make(c->password, &c->secret, &c->err);
}

static void store(struct change *c)
{
	int err = secrets_set(c->admin->secrets, str_from(c->name), &c->secret);

	if (err) {
		fail(c->call, err);
		return;
	}
	if (c->admin->authenticator)
		authenticator_forget(c->admin->authenticator, str_from(c->name));
	report(c->call, c->name, "password set");
	control_done(c->call, NULL);
}

static void hashed(uv_work_t *work, int status)
{
	struct change *c = work->data;

	(void)status;
	if (c->result)
		control_fail(
			c->call, c->result == ERR_SYSTEM ? "failed" : "syntax", "%s", c->err.text);
	else
		store(c);
	mem_wipe((char *)c->password.data, c->password.len);
	mem_free((char *)c->password.data);
	mem_wipe(&c->secret, sizeof c->secret);
	mem_free(c);
}

static void secret_set(struct control_call *call, const json_t *arguments, void *arg)
{
	struct auth_admin *admin = arg;
	struct str password = argument(arguments, "password");
	char name[AUTH_NAME_MAX + 1];

	if (!take_name(call, arguments, name))
		return;
	struct change *c = mem_alloc(sizeof *c);
	c->work.data = c;
	c->admin = admin;
	c->call = call;
	memcpy(c->name, name, sizeof name);
	c->password = str_make(str_dup(password), password.len);
	if (admin->loop && uv_queue_work(admin->loop, &c->work, hash, hashed) == 0)
		return;
	hash(&c->work);
	hashed(&c->work, 0);
}

// ---- remove
static void secret_remove(struct control_call *call, const json_t *arguments, void *arg)
{
	struct auth_admin *admin = arg;
	char name[AUTH_NAME_MAX + 1];

	if (!take_name(call, arguments, name))
		return;
	int err = secrets_remove(admin->secrets, str_from(name));
	if (err) {
		fail(call, err);
		return;
	}
	if (admin->authenticator)
		authenticator_forget(admin->authenticator, str_from(name));
	report(call, name, "password removed");
	control_done(call, NULL);
}

const struct control_handler auth_admin_handlers[] = {
	{"secret set", secret_set},
	{"secret remove", secret_remove},
};
const size_t auth_admin_handler_count = ARRAY_SIZE(auth_admin_handlers);
