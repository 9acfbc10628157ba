// SPDX-License-Identifier: ISC
// Cyrus libsasl2 behind sasl.h, in a module of its own. Nothing is read from /etc/sasl2: options are
// answered here, and what is stored for a name comes from whoever asked, by an auxprop plugin in the
// process.
#include "auth/sasl.h"

#include "base/memory.h"
#include "base/text.h"

#include <sasl/sasl.h>
#include <sasl/saslplug.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define PLUGIN "pabal"

struct auth_sasl_dialogue {
	struct auth_sasl_request request; // mechanism is without -PLUS
	char mechanism[24];
	sasl_conn_t *conn;
	sasl_channel_binding_t binding; // the library keeps a pointer to it
	sasl_callback_t callbacks[4];
	bool begun;
	bool cannot; // a question was not answered
	char reason[200];
	char name[AUTH_NAME_OCTETS], authzid[AUTH_NAME_OCTETS];
};

// One a process, as the library's own state. mechanisms and keytab are written once, by start.
static char wanted[512], keytab[1024];
// The dialogue whose step runs on this thread: the library calls back from inside it only.
static _Thread_local struct auth_sasl_dialogue *stepping;

// ---- what the library asks of its application
static const struct option {
	const char *name, *value;
} options[] = {
	{"auxprop_plugin", PLUGIN},
	{"pwcheck_method", "auxprop"},
	{"canon_user_plugin", "INTERNAL"},
	{"auto_transition", "no"},
	{"reauth_timeout", "0"}, // DIGEST-MD5 would remember clients
	{"log_level", "1"},
	{"mech_list", wanted},
	{"keytab", keytab},
};

static int on_option(
	void *context, const char *plugin, const char *name, const char **result, unsigned *len)
{
	(void)context;
	(void)plugin;
	for (size_t i = 0; i < ARRAY_SIZE(options); i++)
		if (!strcmp(name, options[i].name) && options[i].value[0]) {
			*result = options[i].value;
			if (len)
				*len = (unsigned)strlen(*result);
			return SASL_OK;
		}
	return SASL_FAIL;
}

// Its words may hold what a client sent; they are kept for the one line of the event.
static int on_log(void *context, int level, const char *message)
{
	struct auth_sasl_dialogue *d = context ? context : stepping;

	if (!d || level > SASL_LOG_WARN || !message)
		return SASL_OK;
	snprintf(d->reason, sizeof d->reason, "%s", message);
	for (char *c = d->reason; *c; c++)
		if ((unsigned char)*c < ' ' || *c == 0x7f)
			*c = '?';
	return SASL_OK;
}

// Only the plugins of mechanisms that are wanted: what is not loaded cannot be attacked.
static const struct {
	const char *file, *mechanisms;
} plugins[] = {
	{"/libscram.", "SCRAM-"},
	{"/libdigestmd5.", "DIGEST-MD5"},
	{"/libcrammd5.", "CRAM-MD5"},
	{"/libntlm.", "NTLM"},
	{"/libotp.", "OTP"},
	{"/libgssapiv2.", "GSS"},
};

static int on_file(void *context, const char *file, sasl_verify_type_t type)
{
	(void)context;
	if (type != SASL_VRFY_PLUGIN || !strstr(file, ".so"))
		return type == SASL_VRFY_CONF ? SASL_CONTINUE : SASL_OK;
	for (size_t i = 0; i < ARRAY_SIZE(plugins); i++)
		if (strstr(file, plugins[i].file) && strstr(wanted, plugins[i].mechanisms))
			return SASL_OK;
	return SASL_CONTINUE;
}

// Whom an account may act for is decided by whoever asked us.
static int on_authorize(sasl_conn_t *conn, void *context, const char *user, unsigned user_len,
	const char *auth, unsigned auth_len, const char *realm, unsigned realm_len,
	struct propctx *properties)
{
	(void)conn, (void)context, (void)user, (void)user_len, (void)auth, (void)auth_len;
	(void)realm, (void)realm_len, (void)properties;
	return SASL_OK;
}

typedef int (*callback)(void);
#define CALL(function) ((callback)(void (*)(void))(function))

static const sasl_callback_t global_callbacks[] = {
	{SASL_CB_GETOPT, CALL(on_option), NULL},
	{SASL_CB_LOG, CALL(on_log), NULL},
	{SASL_CB_VERIFYFILE, CALL(on_file), NULL},
	{SASL_CB_LIST_END, NULL, NULL},
};

// ---- properties of names
static bool property_is(const char *property, const char *name)
{
	return !strcmp(property[0] == '*' ? property + 1 : property, name);
}

static bool wants_anything(const struct propval *p)
{
	for (; p && p->name; p++)
		if (property_is(p->name, SASL_AUX_PASSWORD_PROP) ||
			property_is(p->name, "authPassword") ||
			property_is(p->name, "cmusaslsecretOTP"))
			return true;
	return false;
}

static void give(sasl_server_params_t *params, const char *name, const char *value)
{
	if (value[0])
		(void)params->utils->prop_set(
			params->propctx, name, value, (int)strlen(value));
}

static int on_lookup(void *context, sasl_server_params_t *params, unsigned flags, const char *user,
	unsigned len)
{
	struct auth_sasl_dialogue *d = stepping;
	const struct propval *wanted_properties = params->utils->prop_get(params->propctx);
	struct auth_sasl_credentials found;

	(void)context;
	// The look at whom somebody acts for must find everybody, or good proofs fail.
	if (flags & SASL_AUXPROP_AUTHZID || !wants_anything(wanted_properties))
		return SASL_OK;
	if (!d || !d->request.lookup(d->request.arg, str_make(user, len), &found)) {
		if (d)
			d->cannot = true;
		return SASL_UNAVAIL;
	}
	for (const struct propval *p = wanted_properties; p && p->name; p++)
		if (property_is(p->name, SASL_AUX_PASSWORD_PROP))
			give(params, p->name, found.clear);
		else if (property_is(p->name, "authPassword"))
			give(params, p->name, found.scram);
		else if (property_is(p->name, "cmusaslsecretOTP"))
			give(params, p->name, found.otp);
	mem_wipe(&found, sizeof found);
	return SASL_OK;
}

static int on_store(void *context, sasl_server_params_t *params, struct propctx *properties,
	const char *user, unsigned len)
{
	struct auth_sasl_dialogue *d = stepping;

	(void)context;
	if (!properties) // only whether it could
		return d && d->request.store ? SASL_OK : SASL_FAIL;
	for (const struct propval *p = params->utils->prop_get(properties); p && p->name; p++)
		if (property_is(p->name, "cmusaslsecretOTP") && p->values && p->values[0])
			return d && d->request.store &&
					       d->request.store(d->request.arg, str_make(user, len),
						       p->values[0])
				       ? SASL_OK
				       : SASL_FAIL;
	return SASL_FAIL;
}

static int on_plugin(const sasl_utils_t *utils, int most, int *out_version,
	sasl_auxprop_plug_t **out_plugin, const char *name)
{
	static char plugin_name[] = PLUGIN;
	static sasl_auxprop_plug_t plugin = {
		.auxprop_lookup = on_lookup, .name = plugin_name, .auxprop_store = on_store};

	(void)utils;
	(void)name;
	if (most < SASL_AUXPROP_PLUG_VERSION)
		return SASL_BADVERS;
	*out_version = SASL_AUXPROP_PLUG_VERSION;
	*out_plugin = &plugin;
	return SASL_OK;
}

// ---- locks
static void *lock_make(void)
{
	pthread_mutex_t *m = mem_alloc(sizeof *m);

	if (pthread_mutex_init(m, NULL))
		fatal("cannot make a lock");
	return m;
}

static int lock_take(void *m)
{
	return pthread_mutex_lock(m) ? SASL_FAIL : SASL_OK;
}

static int lock_give(void *m)
{
	return pthread_mutex_unlock(m) ? SASL_FAIL : SASL_OK;
}

static void lock_free(void *m)
{
	if (m)
		pthread_mutex_destroy(m);
	mem_free(m);
}

// ---- the interface
static bool has(const char *mechanism)
{
	const char **all = sasl_global_listmech();
	struct str name = str_from(mechanism);

	// The forms with a channel binding are not listed: they are there with the others.
	if (str_ends_nocase(name, STR("-PLUS")))
		name = str_slice(name, 0, name.len - strlen("-PLUS"));
	for (size_t i = 0; all && all[i]; i++)
		if (str_equal_nocase(str_from(all[i]), name))
			return true;
	return false;
}

static int start(const struct auth_sasl_settings *settings, struct error *err)
{
	static char no_path[] = "";
	int code;

	if (!str_copy(str_from(settings->mechanisms), wanted, sizeof wanted) ||
		!str_copy(str_from(settings->keytab), keytab, sizeof keytab))
		return error_set(err, ERR_LIMIT, TEXT("too many mechanisms"));
	sasl_set_mutex(lock_make, lock_take, lock_give, lock_free);
	code = sasl_set_path(SASL_PATH_TYPE_CONFIG, no_path);
	if (code == SASL_OK)
		code = sasl_auxprop_add_plugin(PLUGIN, on_plugin);
	if (code == SASL_OK)
		code = sasl_server_init(global_callbacks, "pabal");
	if (code != SASL_OK)
		return error_set(err, ERR_UNAVAILABLE, TEXT("libsasl2 does not start: %s"),
			sasl_errstring(code, NULL, NULL));
	return 0;
}

static void stop(void)
{
	sasl_done();
}

static bool random_works(void)
{
	// The library seeds each dialogue from here, and from the clock when it cannot: a nonce that
	// can be guessed is worse than no dialogue.
	int fd = open("/dev/urandom", O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return false;
	close(fd);
	return true;
}

static void dispose(struct auth_sasl_dialogue *d)
{
	if (!d)
		return;
	if (d->conn)
		sasl_dispose(&d->conn);
	mem_wipe(d, sizeof *d);
	mem_free(d);
}

static struct auth_sasl_dialogue *create(const struct auth_sasl_request *r)
{
	struct auth_sasl_dialogue *d;

	if (!random_works())
		return NULL;
	d = mem_alloc(sizeof *d);
	d->request = *r;
	(void)str_copy(str_from(r->mechanism), d->mechanism, sizeof d->mechanism);
	d->callbacks[0] = (sasl_callback_t){SASL_CB_PROXY_POLICY, CALL(on_authorize), d};
	d->callbacks[1] = (sasl_callback_t){SASL_CB_LOG, CALL(on_log), d};
	d->callbacks[2] = (sasl_callback_t){SASL_CB_LIST_END, NULL, NULL};
	int code = sasl_server_new("smtp", r->hostname, NULL, NULL, NULL, d->callbacks, 0, &d->conn);
	if (code == SASL_OK && r->binding.len) {
		d->binding = (sasl_channel_binding_t){.name = r->binding_name,
			.critical = 0,
			.len = r->binding.len,
			.data = (const unsigned char *)r->binding.data};
		code = sasl_setprop(d->conn, SASL_CHANNEL_BINDING, &d->binding);
	}
	// No security layers: there is TLS for that.
	sasl_security_properties_t security = {.max_ssf = 0, .maxbufsize = 0};
	if (code == SASL_OK)
		code = sasl_setprop(d->conn, SASL_SEC_PROPS, &security);
	if (code == SASL_OK)
		return d;
	dispose(d);
	return NULL;
}

static void read_property(sasl_conn_t *conn, int property, char out[AUTH_NAME_OCTETS])
{
	const void *value = NULL;

	out[0] = '\0';
	if (sasl_getprop(conn, property, &value) == SASL_OK && value)
		(void)str_copy(str_from(value), out, AUTH_NAME_OCTETS);
}

static enum auth_sasl_outcome take_result(struct auth_sasl_dialogue *d, int code)
{
	if (d->cannot)
		return AUTH_SASL_CANNOT;
	if (code == SASL_CONTINUE)
		return AUTH_SASL_CHALLENGE;
	if (code != SASL_OK) {
		if (!d->reason[0])
			snprintf(d->reason, sizeof d->reason, "%s",
				sasl_errstring(code, NULL, NULL));
		return code == SASL_NOMEM || code == SASL_UNAVAIL ? AUTH_SASL_CANNOT
								  : AUTH_SASL_REFUTED;
	}
	read_property(d->conn, SASL_AUTHUSER, d->name);
	read_property(d->conn, SASL_USERNAME, d->authzid);
	if (!d->name[0])
		return AUTH_SASL_REFUTED;
	if (!strcmp(d->name, d->authzid))
		d->authzid[0] = '\0';
	return AUTH_SASL_PROVED;
}

static enum auth_sasl_outcome step(
	struct auth_sasl_dialogue *d, struct str response, struct str *out)
{
	const char *data = NULL;
	unsigned len = 0;
	int code;

	stepping = d;
	if (!d->begun)
		code = sasl_server_start(d->conn, d->mechanism, response.data,
			(unsigned)response.len, &data, &len);
	else
		code = sasl_server_step(
			d->conn, response.data, (unsigned)response.len, &data, &len);
	d->begun = true;
	stepping = NULL;
	*out = str_make(data ? data : "", data ? len : 0);
	return take_result(d, code);
}

static void properties(const struct auth_sasl_dialogue *d, struct str *out_name,
	struct str *out_authzid, const char **out_reason)
{
	*out_name = str_from(d->name);
	*out_authzid = str_from(d->authzid);
	*out_reason = d->reason[0] ? d->reason : NULL;
}

extern const struct auth_sasl_library auth_sasl_cyrus;
const struct auth_sasl_library auth_sasl_cyrus = {
	.start = start,
	.stop = stop,
	.has = has,
	.create = create,
	.step = step,
	.properties = properties,
	.dispose = dispose,
};
