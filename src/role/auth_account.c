// SPDX-License-Identifier: ISC
#include "role/auth_account.h"

#include "auth/application.h"
#include "auth/otp.h"
#include "auth/password.h"
#include "base/clock.h"
#include "base/memory.h"
#include "base/netlist.h"
#include "base/text.h"

// ---- show
static const struct {
	const char *start, *name;
} kinds[] = {{"$y$", "yescrypt"}, {"$argon2id$", "argon2id"}, {"$6$", "sha512crypt"},
	{"$5$", "sha256crypt"}, {"$2", "bcrypt"}, {"$7$", "scrypt"}, {"$gy$", "gost-yescrypt"},
	{"$1$", "md5crypt"}, {"", "other"}};

static const char *kind_of(const char *hash)
{
	size_t i = 0;

	if (!hash[0])
		return "none";
	while (!str_starts(str_from(hash), str_from(kinds[i].start)))
		i++;
	return kinds[i].name;
}

static json_t *number(uint64_t n)
{
	return json_integer(n > INT64_MAX ? INT64_MAX : (json_int_t)n);
}

static void add_use(struct secrets *s, json_t *row, const char *name, const char *label)
{
	char client[IPADDR_TEXT_MAX] = "";
	uint64_t when = 0;

	(void)secrets_last_use(s, str_from(name), str_from(label), &when, client); // 0: never
	json_object_set_new(row, "last_use", number(when));
	json_object_set_new(row, "last_client", json_string(client));
}

static void add_application(void *arg, const struct secret_application *a)
{
	json_array_append_new(arg, json_pack("{s:s, s:s, s:o, s:o}", "label", a->label, "from",
					   a->networks, "created", number(a->created_ms), "expires",
					   number(a->expires_ms)));
}

// NULL: they cannot be read.
static json_t *applications_of(struct secrets *s, const char *name)
{
	json_t *list = json_array(), *row;
	size_t i;

	if (secrets_application_each(s, str_from(name), add_application, list)) {
		json_decref(list);
		return NULL;
	}
	json_array_foreach(list, i, row)
		add_use(s, row, name, json_string_value(json_object_get(row, "label")));
	return list;
}

static void write_uses(const struct auth_admin *admin)
{
	if (admin->authenticator)
		auth_checks_write_uses(auth_chain_checks(authenticator_chain(admin->authenticator)));
}

// How many are left; without any, the row says nothing of them.
static void add_otp(struct secrets *s, json_t *row, const char *name)
{
	char state[SECRETS_OTP];
	struct auth_otp otp;

	if (secrets_otp_get(s, str_from(name), state) == 0 && auth_otp_read(state, &otp) == 0) {
		json_object_set_new(row, "otp", json_string(otp.algorithm));
		json_object_set_new(row, "otp_left", json_integer(auth_otp_left(&otp)));
	}
	mem_wipe(state, sizeof state);
	mem_wipe(&otp, sizeof otp);
}

void auth_account_show(struct control_call *call, const json_t *arguments, void *arg)
{
	struct auth_admin *admin = arg;
	char name[AUTH_NAME_MAX + 1];
	struct secret secret = {0};

	if (!auth_admin_take_name(call, arguments, name))
		return;
	write_uses(admin);
	int err = secrets_get(admin->secrets, str_from(name), &secret);
	if (err && err != ERR_NOT_FOUND) { // of another source: nothing is stored here
		auth_admin_fail(call, err);
		return;
	}
	json_t *row = json_pack("{s:s, s:s, s:b, s:b, s:o}", "name", name, "password",
		kind_of(secret.hash), "scram", secret.scram[0] != '\0', "legacy",
		secret.sealed_len != 0, "password_changed", number(secret.changed_ms));
	mem_wipe(&secret, sizeof secret);
	add_otp(admin->secrets, row, name);
	add_use(admin->secrets, row, name, "");
	json_t *list = applications_of(admin->secrets, name);
	json_object_set_new(row, "applications", list ? list : json_array());
	control_row(call, row);
	control_done(call, NULL);
}

// ---- hashes made elsewhere
void auth_account_hash(struct control_call *call, const json_t *arguments, void *arg)
{
	struct auth_admin *admin = arg;
	struct str hash = auth_admin_argument(arguments, "hash");
	char name[AUTH_NAME_MAX + 1];
	struct secret secret = {.changed_ms = clock_wall_ms()};

	if (!auth_admin_take_name(call, arguments, name))
		return;
	if (!str_copy(hash, secret.hash, sizeof secret.hash) || !password_hash_known(secret.hash)) {
		control_fail(call, "syntax", "%s",
			TEXT("this is no password hash that can be checked here; crypt(3) forms "
			     "($6$…, $y$…, $2b$…) and $argon2id$ are"));
	} else {
		int err = secrets_set(admin->secrets, str_from(name), &secret);
		if (err) {
			auth_admin_fail(call, err);
		} else {
			auth_admin_changed(admin, call, name, "password hash set");
			control_done(call, NULL);
		}
	}
	mem_wipe(&secret, sizeof secret);
}

// ---- recoverable passwords
void auth_account_unseal(struct control_call *call, const json_t *arguments, void *arg)
{
	struct auth_admin *admin = arg;
	char name[AUTH_NAME_MAX + 1];
	struct secret secret;

	if (!auth_admin_take_name(call, arguments, name))
		return;
	int err = secrets_get(admin->secrets, str_from(name), &secret);
	if (!err) {
		mem_wipe(secret.sealed, sizeof secret.sealed);
		secret.sealed_len = 0;
		err = secrets_set(admin->secrets, str_from(name), &secret);
	}
	mem_wipe(&secret, sizeof secret);
	if (err) {
		auth_admin_fail(call, err);
		return;
	}
	auth_admin_changed(admin, call, name, "recoverable password removed");
	control_done(call, NULL);
}

// ---- one-time passwords
static void answer_change(const struct auth_admin *admin, struct control_call *call, const char *name,
	int err, const char *what)
{
	if (err) {
		auth_admin_fail(call, err);
		return;
	}
	auth_admin_changed(admin, call, name, what);
	control_done(call, NULL);
}

// The pass phrase comes under the name of its algorithm.
void auth_account_otp(struct control_call *call, const json_t *arguments, void *arg)
{
	struct auth_admin *admin = arg;
	const char *algorithm = json_object_get(arguments, "md5") ? "md5" : "sha1";
	char name[AUTH_NAME_MAX + 1], state[AUTH_OTP_TEXT];
	struct auth_otp otp;
	struct error err;

	if (!auth_admin_take_name(call, arguments, name))
		return;
	if (auth_otp_make(algorithm, auth_admin_argument(arguments, algorithm), &otp, &err)) {
		control_fail(call, "syntax", "%s", err.text);
		return;
	}
	auth_otp_format(&otp, state);
	answer_change(admin, call, name, secrets_otp_set(admin->secrets, str_from(name), state),
		"one-time passwords made");
	mem_wipe(state, sizeof state);
	mem_wipe(&otp, sizeof otp);
}

void auth_account_otp_remove(struct control_call *call, const json_t *arguments, void *arg)
{
	struct auth_admin *admin = arg;
	char name[AUTH_NAME_MAX + 1];

	if (!auth_admin_take_name(call, arguments, name))
		return;
	int err = secrets_otp_remove(admin->secrets, str_from(name));
	answer_change(admin, call, name, err == ERR_NOT_FOUND ? 0 : err, "one-time passwords removed");
}

// ---- application passwords
static bool take_label(struct control_call *call, const json_t *arguments, char out[SECRETS_LABEL_MAX + 1])
{
	struct str label = str_trim(auth_admin_argument(arguments, "label"));
	bool control = false;

	for (size_t i = 0; i < label.len; i++)
		control = control || (unsigned char)label.data[i] < ' ' || label.data[i] == 0x7f;
	if (label.len && !control && str_copy(label, out, SECRETS_LABEL_MAX + 1))
		return true;
	control_fail(call, "syntax", TEXT("a label of 1 to %d octets is needed, as --label telephone"),
		SECRETS_LABEL_MAX);
	return false;
}

static bool take_networks(struct control_call *call, const json_t *arguments, struct secret_application *a)
{
	struct buf list = BUF_INIT;
	struct str bad = STR_EMPTY;
	int err = netlist_parse(auth_admin_argument(arguments, "from"), &list, &bad);
	bool fits = !err && str_copy(buf_str(&list), a->networks, sizeof a->networks);

	buf_finish(&list);
	if (err)
		control_fail(call, "syntax", TEXT("\"%.*s\" is no network; write it as 192.0.2.0/24"),
			STR_ARG(bad));
	else if (!fits)
		control_fail(call, "syntax", "%s", TEXT("too many networks"));
	return fits;
}

static bool take_expires(struct control_call *call, const json_t *arguments, struct secret_application *a)
{
	struct str text = auth_admin_argument(arguments, "expires");

	if (!text.len || str_equal(text, STR("never")) ||
		!clock_parse_date(text, a->created_ms, &a->expires_ms))
		return true;
	control_fail(call, "syntax",
		TEXT("\"%.*s\" is no date; write it as 2026-12-31, 2026-12-31T18:00, 30d or never"),
		STR_ARG(text));
	return false;
}

static void add(struct auth_admin *admin, struct control_call *call, const char *name,
	struct secret_application *a)
{
	char text[AUTH_APPLICATION_TEXT];
	int err = auth_application_make(admin->secrets, str_from(name), text, a->hash);

	if (!err)
		err = secrets_application_add(admin->secrets, str_from(name), a);
	if (err == ERR_EXISTS) {
		control_fail(call, "exists",
			TEXT("%s has an application password \"%s\"; remove it first, or take another "
			     "label"),
			name, a->label);
	} else if (err) {
		auth_admin_fail(call, err);
	} else {
		auth_admin_changed(admin, call, name, "application password made");
		control_done(call, json_pack("{s:s, s:s}", "label", a->label, "password", text));
	}
	mem_wipe(text, sizeof text);
	mem_wipe(a->hash, sizeof a->hash);
}

void auth_application_add(struct control_call *call, const json_t *arguments, void *arg)
{
	struct secret_application a = {.created_ms = clock_wall_ms()};
	char name[AUTH_NAME_MAX + 1];

	if (auth_admin_take_name(call, arguments, name) && take_label(call, arguments, a.label) &&
		take_networks(call, arguments, &a) && take_expires(call, arguments, &a))
		add(arg, call, name, &a);
}

void auth_application_list(struct control_call *call, const json_t *arguments, void *arg)
{
	struct auth_admin *admin = arg;
	char name[AUTH_NAME_MAX + 1];
	json_t *list, *row;
	size_t i;

	if (!auth_admin_take_name(call, arguments, name))
		return;
	write_uses(admin);
	list = applications_of(admin->secrets, name);
	if (!list) {
		auth_admin_fail(call, ERR_CORRUPT);
		return;
	}
	json_array_foreach(list, i, row)
		control_row(call, json_incref(row));
	json_decref(list);
	control_done(call, NULL);
}

void auth_application_remove(struct control_call *call, const json_t *arguments, void *arg)
{
	struct auth_admin *admin = arg;
	char name[AUTH_NAME_MAX + 1], label[SECRETS_LABEL_MAX + 1];

	if (!auth_admin_take_name(call, arguments, name) || !take_label(call, arguments, label))
		return;
	int err = secrets_application_remove(admin->secrets, str_from(name), str_from(label));
	if (err == ERR_NOT_FOUND) {
		control_fail(call, "not-found", TEXT("%s has no application password \"%s\""), name, label);
	} else if (err) {
		auth_admin_fail(call, err);
	} else {
		auth_admin_changed(admin, call, name, "application password removed");
		control_done(call, NULL);
	}
}
