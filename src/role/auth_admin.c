// SPDX-License-Identifier: ISC
// Setting and forgetting passwords.
#include "role/auth_admin.h"

#include "auth/password.h"
#include "auth/seal.h"
#include "base/event.h"
#include "base/memory.h"
#include "base/text.h"
#include "role/auth_account.h"
#include "role/auth_blocks.h"
#include "role/auth_lacking.h"
#include "role/auth_sources.h"

// A password on its way to be hashed.
struct change {
	uv_work_t work;
	struct auth_admin *admin;
	struct control_call *call;
	char name[AUTH_NAME_MAX + 1];
	struct str password; // own memory
	struct secret old; // as it was; changed_ms 0: there was none
	struct secret secret;
	bool seal_only; // the password stays; it is stored so that it can be read again
	struct error err;
	int result;
};

// ---- arguments
struct str auth_admin_argument(const json_t *arguments, const char *name)
{
	const json_t *value = json_object_get(arguments, name);

	return str_make(
		json_is_string(value) ? json_string_value(value) : "", json_string_length(value));
}

bool auth_admin_take_name(
	struct control_call *call, const json_t *arguments, char out[AUTH_NAME_MAX + 1])
{
	struct str name = auth_admin_argument(arguments, "name");

	if (auth_name_key(name, STR_EMPTY, out) == 0)
		return true;
	control_fail(call, "syntax", TEXT("\"%.*s\" is no account name"), STR_ARG(name));
	return false;
}

void auth_admin_fail(struct control_call *call, int err)
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

void auth_admin_changed(const struct auth_admin *admin, struct control_call *call, const char *name,
	const char *what)
{
	if (admin->authenticator)
		authenticator_forget(admin->authenticator, str_from(name));
	report(call, name, what);
}

// ---- set
static void hash(uv_work_t *work)
{
	struct change *c = work->data;

	if (!c->seal_only) {
		c->result = password_make(c->password, &c->secret, &c->err);
		return;
	}
	c->secret = c->old;
	if (password_check(c->password, c->old.hash))
		c->result = error_set(&c->err, ERR_DENIED,
			TEXT("this is not the password of %s; `pabal account passwd %s` sets a new one"),
			c->name, c->name);
}

// Who had a recoverable password has one after a change, too.
static int seal(struct change *c)
{
	if (!c->seal_only && !c->old.sealed_len)
		return 0;
	return auth_seal_put(c->admin->secrets, str_from(c->name), c->password, &c->secret, &c->err);
}

static void store(struct change *c)
{
	int err = secrets_set(c->admin->secrets, str_from(c->name), &c->secret);

	if (err) {
		auth_admin_fail(c->call, err);
		return;
	}
	auth_admin_changed(c->admin, c->call, c->name, c->seal_only ? "recoverable password stored" : "password set");
	control_done(c->call, NULL);
}

static void hashed(uv_work_t *work, int status)
{
	struct change *c = work->data;

	(void)status;
	if (!c->result)
		c->result = seal(c);
	if (c->result)
		control_fail(
			c->call, c->result == ERR_SYSTEM ? "failed" : c->result == ERR_DENIED ? "denied" :
			"syntax", "%s", c->err.text);
	else
		store(c);
	mem_wipe((char *)c->password.data, c->password.len);
	mem_free((char *)c->password.data);
	mem_wipe(&c->old, sizeof c->old);
	mem_wipe(&c->secret, sizeof c->secret);
	mem_free(c);
}

static void start(struct control_call *call, const json_t *arguments, struct auth_admin *admin,
	bool seal_only)
{
	struct str password = auth_admin_argument(arguments, "password");
	char name[AUTH_NAME_MAX + 1];

	if (!auth_admin_take_name(call, arguments, name))
		return;
	struct change *c = mem_alloc(sizeof *c);
	int err = secrets_get(admin->secrets, str_from(name), &c->old);
	if (err && (err != ERR_NOT_FOUND || seal_only)) {
		auth_admin_fail(call, err);
		mem_free(c);
		return;
	}
	c->work.data = c;
	c->admin = admin;
	c->call = call;
	c->seal_only = seal_only;
	memcpy(c->name, name, sizeof name);
	c->password = str_make(str_dup(password), password.len);
	if (admin->loop && uv_queue_work(admin->loop, &c->work, hash, hashed) == 0)
		return;
	hash(&c->work);
	hashed(&c->work, 0);
}

static void secret_set(struct control_call *call, const json_t *arguments, void *arg)
{
	start(call, arguments, arg, false);
}

static void secret_seal(struct control_call *call, const json_t *arguments, void *arg)
{
	start(call, arguments, arg, true);
}

// ---- remove
static void secret_remove(struct control_call *call, const json_t *arguments, void *arg)
{
	struct auth_admin *admin = arg;
	char name[AUTH_NAME_MAX + 1];

	if (!auth_admin_take_name(call, arguments, name))
		return;
	int err = secrets_remove(admin->secrets, str_from(name));
	if (err) {
		auth_admin_fail(call, err);
		return;
	}
	auth_admin_changed(admin, call, name, "password removed");
	control_done(call, NULL);
}

const struct control_handler auth_admin_handlers[] = {
	{"secret set", secret_set},
	{"secret remove", secret_remove},
	{"secret seal", secret_seal},
	{"secret unseal", auth_account_unseal},
	{"secret otp", auth_account_otp},
	{"secret otp remove", auth_account_otp_remove},
	{"secret hash", auth_account_hash},
	{"secret show", auth_account_show},
	{"secret lacking", auth_lacking_list},
	{"application add", auth_application_add},
	{"application list", auth_application_list},
	{"application remove", auth_application_remove},
	{"auth sources", auth_sources_list},
	{"auth blocks list", auth_blocks_list},
	{"auth blocks clear", auth_blocks_clear},
};
const size_t auth_admin_handler_count = ARRAY_SIZE(auth_admin_handlers);
