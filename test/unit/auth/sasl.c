// SPDX-License-Identifier: ISC
// Whole dialogues with a foreign client (GNU SASL, and libsasl2's own where that has none), against
// accounts that the test keeps.
#include "auth/sasl.h"

#include "auth/mechanism_rows.h"
#include "auth/name.h"
#include "auth/otp.h"
#include "auth/sasl_keys.h"
#include "base/clock.h"
#include "base/memory.h"

#include <fcntl.h>
#include <gsasl.h>
#include <sasl/sasl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#define KIM	     "kim@example.kr"
#define KIM_PASSWORD "correct horse"

extern const struct auth_sasl_library auth_sasl_cyrus;

// ---- what stands in for the authenticator
enum said { NOTHING, CHALLENGE, PROVED, REFUTED, MALFORMED, UNAVAILABLE };

struct authentication {
	struct authentication_facts facts;
	const struct auth_mechanism *mechanism;
	void *state;
	enum said said;
	char octets[4096]; // of the challenge
	size_t len;
	char name[1024], authzid[1024], reason[200];
	unsigned lookups;
};

static uv_loop_t loop;
static struct config config = {.hostname = {"mail.example.kr", 15},
	.auth = {.default_domain = {"example.kr", 10}}};
static bool hold_lookups, offer_bindings;
static bool scram_only; // the store has keys and no password
static char otp_state[AUTH_OTP_TEXT]; // of kim; "" : none
static bool otp_full;		      // the store takes nothing
static const unsigned char secret[AUTH_SASL_SECRET] = "secret of the test";

const struct authentication_facts *authentication_facts(const struct authentication *x)
{
	return &x->facts;
}

const struct config *authentication_config(const struct authentication *x)
{
	(void)x;
	return &config;
}

bool auth_mechanism_offers_binding(const struct authentication *x)
{
	(void)x;
	return offer_bindings;
}

void authentication_challenge(struct authentication *x, struct str challenge)
{
	assert_true(challenge.len < sizeof x->octets);
	memcpy(x->octets, challenge.data, challenge.len);
	x->octets[challenge.len] = '\0';
	x->len = challenge.len;
	x->said = CHALLENGE;
}

void authentication_proved(
	struct authentication *x, struct str authzid, struct str name, struct str last)
{
	assert_true(str_copy(name, x->name, sizeof x->name));
	assert_true(str_copy(authzid, x->authzid, sizeof x->authzid));
	authentication_challenge(x, last);
	x->said = PROVED;
}

void authentication_refuted(struct authentication *x, struct str name, const char *reason)
{
	assert_true(str_copy(name, x->name, sizeof x->name));
	snprintf(x->reason, sizeof x->reason, "%s", reason);
	x->said = REFUTED;
}

bool authentication_may_try(struct authentication *x, struct str name)
{
	(void)x;
	(void)name;
	return true;
}

struct auth_winbind *authentication_winbind(const struct authentication *x)
{
	(void)x;
	return NULL;
}

int authentication_replace_otp(struct authentication *x, const char *was, const char *next)
{
	(void)x;
	if (otp_full)
		return ERR_FULL;
	if (strcmp(was, otp_state) != 0)
		return ERR_NOT_FOUND;
	return str_copy(str_from(next), otp_state, sizeof otp_state) ? 0 : ERR_LIMIT;
}

void authentication_malformed(struct authentication *x)
{
	x->said = MALFORMED;
}

void authentication_unavailable(struct authentication *x, const char *reason)
{
	(void)reason;
	x->said = UNAVAILABLE;
}

void authentication_lookup(struct authentication *x, struct str name, unsigned gives)
{
	struct auth_answer found = {.verdict = AUTH_UNKNOWN};
	char key[AUTH_NAME_MAX + 1];
	static const char *const hashes[] = {"SHA-1", "SHA-256", "SHA-512"};

	x->lookups++;
	if (hold_lookups)
		return;
	if (auth_name_key(name, config.auth.default_domain, key) == 0 && !strcmp(key, KIM) &&
		gives == AUTH_GIVES_OTP) {
		memcpy(found.otp, otp_state, sizeof found.otp);
		if (otp_state[0])
			strcpy(found.account, KIM);
	} else if (auth_name_key(name, config.auth.default_domain, key) == 0 && !strcmp(key, KIM)) {
		strcpy(found.account, KIM);
		if (gives & AUTH_GIVES_SCRAM && scram_only)
			for (size_t i = 0; i < 3; i++)
				assert_int_equal(auth_sasl_keys_make(hashes[i], STR(KIM_PASSWORD),
							 STR("any"), secret, found.scram[i],
							 sizeof found.scram[i]),
					0);
		else
			strcpy(found.clear, KIM_PASSWORD);
	}
	x->mechanism->looked_up(x, x->state, &found);
}

// ---- the server's end
static const struct auth_mechanism *const all[] = {
	&auth_mechanism_scram_512_plus, &auth_mechanism_scram_512, &auth_mechanism_scram_256_plus,
	&auth_mechanism_scram_256, &auth_mechanism_scram_1_plus, &auth_mechanism_scram_1,
	&auth_mechanism_digest_md5, &auth_mechanism_ntlm, &auth_mechanism_otp,
	&auth_mechanism_gssapi, &auth_mechanism_gss_spnego};

static struct authentication *begin(const char *mechanism)
{
	struct authentication *x = mem_alloc(sizeof *x);

	x->facts = (struct authentication_facts){.secured = true,
		.trusted = true,
		.binding_exporter = STR("exporter octets of this connect"),
		.binding_end_point = STR("digest of the certificate"),
		.binding_unique = STR_EMPTY};
	for (size_t i = 0; i < ARRAY_SIZE(all); i++)
		if (!strcmp(all[i]->name, mechanism))
			x->mechanism = all[i];
	assert_non_null(x->mechanism);
	x->state = x->mechanism->create(x);
	return x;
}

static void end(struct authentication *x)
{
	x->mechanism->dispose(x->state);
	mem_free(x);
}

static void take_step(struct authentication *x, struct str response)
{
	uint64_t until = clock_monotonic_ms() + 60000;

	x->said = NOTHING;
	x->mechanism->step(x, x->state, response);
	while (x->said == NOTHING) {
		assert_true(clock_monotonic_ms() < until);
		uv_run(&loop, UV_RUN_NOWAIT);
		usleep(200);
	}
}

// ---- clients
struct client {
	const char *mechanism, *name, *password, *authzid;
	const char *binding_name; // of libsasl2's; GNU SASL chooses itself
	const char *binding;	  // octets the client thinks the connection has
	bool stripped;		  // knows of a binding, but not that the server does
};

static int gsasl_property(Gsasl *g, Gsasl_session *s, Gsasl_property property)
{
	const struct client *c = gsasl_callback_hook_get(g);
	char octets[100];
	size_t len;
	char *base64 = NULL;

	switch (property) {
	case GSASL_AUTHID:
		return gsasl_property_set(s, property, c->name);
	case GSASL_AUTHZID:
		return c->authzid ? gsasl_property_set(s, property, c->authzid)
				  : GSASL_NO_CALLBACK;
	case GSASL_PASSWORD:
		return gsasl_property_set(s, property, c->password);
	case GSASL_SERVICE:
		return gsasl_property_set(s, property, "smtp");
	case GSASL_HOSTNAME:
		return gsasl_property_set(s, property, "mail.example.kr");
	case GSASL_REALM:
		return GSASL_NO_CALLBACK;
	case GSASL_CB_TLS_EXPORTER:
		if (!c->binding)
			return GSASL_NO_CALLBACK;
		len = strlen(c->binding);
		memcpy(octets, c->binding, len);
		assert_int_equal(gsasl_base64_to(octets, len, &base64, NULL), GSASL_OK);
		(void)gsasl_property_set(s, property, base64);
		free(base64);
		return GSASL_OK;
	default:
		return GSASL_NO_CALLBACK;
	}
}

static bool server_first(const char *mechanism)
{
	return !strcmp(mechanism, "DIGEST-MD5");
}

// Runs the dialogue to its end; true: the client is content with the server, too.
static bool talk(const struct client *c, struct authentication *x)
{
	Gsasl *g;
	Gsasl_session *s;
	char *out = NULL;
	size_t len = 0;
	bool content = false;
	int code = GSASL_NEEDS_MORE;

	assert_int_equal(gsasl_init(&g), GSASL_OK);
	gsasl_callback_set(g, gsasl_property);
	gsasl_callback_hook_set(g, (void *)c);
	assert_int_equal(gsasl_client_start(g, c->mechanism, &s), GSASL_OK);
	if (server_first(c->mechanism))
		take_step(x, (struct str){NULL, 0});
	while (x->said == NOTHING || x->said == CHALLENGE) {
		code = gsasl_step(s, x->octets, x->len, &out, &len);
		if (code != GSASL_OK && code != GSASL_NEEDS_MORE)
			break;
		take_step(x, str_make(out ? out : "", len));
		gsasl_free(out);
		out = NULL;
	}
	if (x->said == PROVED && x->len) {
		code = gsasl_step(s, x->octets, x->len, &out, &len);
		gsasl_free(out);
	}
	content = x->said == PROVED && code == GSASL_OK;
	gsasl_finish(s);
	gsasl_done(g);
	return content;
}

// ---- libsasl2's client: for what GNU SASL has not
static int cyrus_name(void *context, int id, const char **result, unsigned *len)
{
	const struct client *c = context;

	*result = id == SASL_CB_AUTHNAME ? c->name : c->authzid ? c->authzid : "";
	if (len)
		*len = (unsigned)strlen(*result);
	return SASL_OK;
}

static int cyrus_password(sasl_conn_t *conn, void *context, int id, sasl_secret_t **out)
{
	static _Alignas(sasl_secret_t) char space[sizeof(sasl_secret_t) + 200];
	const struct client *c = context;

	(void)conn;
	(void)id;
	*out = (sasl_secret_t *)space;
	(*out)->len = strlen(c->password);
	memcpy((*out)->data, c->password, (*out)->len + 1);
	return SASL_OK;
}

#define CALL(function) ((int (*)(void))(void (*)(void))(function))

static bool talk_cyrus(const struct client *c, struct authentication *x)
{
	sasl_callback_t calls[] = {{SASL_CB_USER, CALL(cyrus_name), (void *)c},
		{SASL_CB_AUTHNAME, CALL(cyrus_name), (void *)c},
		{SASL_CB_PASS, CALL(cyrus_password), (void *)c}, {SASL_CB_LIST_END, NULL, NULL}};
	sasl_channel_binding_t binding = {.name = c->binding_name, .critical = !c->stripped};
	sasl_conn_t *conn = NULL;
	const char *out = NULL, *chosen;
	unsigned len = 0;
	int code;
	sasl_security_properties_t security = {.max_ssf = 0};

	assert_int_equal(sasl_client_new("smtp", "mail.example.kr", NULL, NULL, calls, 0, &conn),
		SASL_OK);
	assert_int_equal(sasl_setprop(conn, SASL_SEC_PROPS, &security), SASL_OK);
	if (c->binding) {
		binding.data = (const unsigned char *)c->binding;
		binding.len = strlen(c->binding);
		assert_int_equal(sasl_setprop(conn, SASL_CHANNEL_BINDING, &binding), SASL_OK);
	}
	code = sasl_client_start(conn, c->mechanism, NULL, &out, &len, &chosen);
	assert_true(code == SASL_CONTINUE || code == SASL_OK);
	take_step(x, out ? str_make(out, len) : (struct str){NULL, 0});
	while (x->said == CHALLENGE) {
		code = sasl_client_step(conn, x->octets, (unsigned)x->len, NULL, &out, &len);
		if (code != SASL_CONTINUE && code != SASL_OK)
			break;
		take_step(x, str_make(out ? out : "", len));
	}
	if (x->said == PROVED && x->len)
		code = sasl_client_step(conn, x->octets, (unsigned)x->len, NULL, &out, &len);
	sasl_dispose(&conn);
	return x->said == PROVED && code == SASL_OK;
}

// The plugin of GS2 leaks when it is loaded.
static int cyrus_file(void *context, const char *file, sasl_verify_type_t type)
{
	(void)context;
	return type == SASL_VRFY_PLUGIN && strstr(file, "libgs2.so") ? SASL_CONTINUE : SASL_OK;
}

// ---- tests
#define END_POINT "digest of the certificate"
#define EXPORTER  "exporter octets of this connect"

static void right_and_wrong(void **state)
{
	static const struct {
		struct client client;
		bool cyrus;
		enum said said;
		bool clear; // needs the password itself
	} rows[] = {
		{{"SCRAM-SHA-256", "kim", KIM_PASSWORD}, false, PROVED},
		{{"SCRAM-SHA-256", KIM, KIM_PASSWORD}, false, PROVED},
		{{"SCRAM-SHA-256", "Kim@Example.KR", KIM_PASSWORD}, false, PROVED},
		{{"SCRAM-SHA-256", "kim", "wrong"}, false, REFUTED},
		{{"SCRAM-SHA-256", "lee", KIM_PASSWORD}, false, REFUTED},
		{{"SCRAM-SHA-256", "le,e=", KIM_PASSWORD}, false, REFUTED},
		{{"DIGEST-MD5", "kim", KIM_PASSWORD}, false, PROVED, true},
		{{"DIGEST-MD5", "kim", "wrong"}, false, REFUTED, true},
		{{"DIGEST-MD5", "lee", "wrong"}, false, REFUTED, true},
		{{"NTLM", "kim", KIM_PASSWORD}, true, PROVED, true},
		{{"NTLM", "kim", "wrong"}, true, REFUTED, true},
		{{"NTLM", "lee", "wrong"}, true, REFUTED, true},
		{{"SCRAM-SHA-1", "kim", KIM_PASSWORD}, false, PROVED},
		{{"SCRAM-SHA-1", "kim", "wrong"}, false, REFUTED},
		{{"SCRAM-SHA-512", "kim", KIM_PASSWORD}, true, PROVED},
		{{"SCRAM-SHA-512", "kim", "wrong"}, true, REFUTED},
		{{"SCRAM-SHA-512", "lee", "wrong"}, true, REFUTED},
		{{"SCRAM-SHA-256-PLUS", "kim", KIM_PASSWORD, .binding = EXPORTER}, false, PROVED},
		{{"SCRAM-SHA-256-PLUS", "kim", "wrong", .binding = EXPORTER}, false, REFUTED},
		{{"SCRAM-SHA-256-PLUS", "kim", KIM_PASSWORD, .binding = "another connection"}, false,
			REFUTED},
		{{"SCRAM-SHA-1-PLUS", "kim", KIM_PASSWORD, .binding = EXPORTER}, false, PROVED},
		{{"SCRAM-SHA-512-PLUS", "kim", KIM_PASSWORD, .binding_name = "tls-exporter",
			 .binding = EXPORTER},
			true, PROVED},
		{{"SCRAM-SHA-256-PLUS", "kim", KIM_PASSWORD,
			 .binding_name = "tls-server-end-point", .binding = END_POINT},
			true, PROVED},
		{{"SCRAM-SHA-256-PLUS", "kim", KIM_PASSWORD,
			 .binding_name = "tls-server-end-point", .binding = EXPORTER},
			true, REFUTED},
		{{"SCRAM-SHA-256-PLUS", "kim", KIM_PASSWORD, .binding_name = "tls-unique",
			 .binding = EXPORTER},
			true, REFUTED},
	};

	(void)state;
	for (int keys = 0; keys < 2; keys++) {
		scram_only = keys;
		for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
			const struct client *c = &rows[i].client;
			if (rows[i].clear && scram_only)
				continue;
			struct authentication *x = begin(c->mechanism);
			bool content = rows[i].cyrus ? talk_cyrus(c, x) : talk(c, x);
			if (x->said != rows[i].said)
				fail_msg("row %zu: %d, %s", i, x->said, x->reason);
			assert_int_equal(content, x->said == PROVED);
			if (x->said == PROVED)
				assert_string_equal(x->name, KIM);
			assert_in_range(x->lookups, x->said == PROVED, 1);
			end(x);
		}
	}
	scram_only = false;
}

// One SCRAM-SHA-256 client-first-message; the answer.
static struct authentication *first(const char *mechanism, const char *message)
{
	struct authentication *x = begin(mechanism);

	take_step(x, str_from(message));
	return x;
}

static void the_first_message_is_judged(void **state)
{
	static const struct {
		const char *mechanism, *message;
		bool offered; // bindings are
		enum said said;
	} rows[] = {
		{"SCRAM-SHA-256", "n,,n=kim,r=abc", true, CHALLENGE},
		{"SCRAM-SHA-256", "n,a=kim,n=kim,r=abc", true, CHALLENGE},
		{"SCRAM-SHA-256", "y,,n=kim,r=abc", false, CHALLENGE},
		{"SCRAM-SHA-256", "y,,n=kim,r=abc", true, REFUTED}, // -PLUS was stripped
		{"SCRAM-SHA-256", "p=tls-exporter,,n=kim,r=abc", true, REFUTED},
		{"SCRAM-SHA-256-PLUS", "p=tls-exporter,,n=kim,r=abc", true, CHALLENGE},
		{"SCRAM-SHA-256-PLUS", "p=tls-server-end-point,,n=kim,r=abc", true, CHALLENGE},
		{"SCRAM-SHA-256-PLUS", "p=tls-unique,,n=kim,r=abc", true, REFUTED},
		{"SCRAM-SHA-256-PLUS", "p=tls-telepathy,,n=kim,r=abc", true, REFUTED},
		{"SCRAM-SHA-256-PLUS", "n,,n=kim,r=abc", true, REFUTED},
		{"SCRAM-SHA-256-PLUS", "y,,n=kim,r=abc", true, REFUTED},
		{"SCRAM-SHA-256", "", true, MALFORMED},
		{"SCRAM-SHA-256", "n", true, MALFORMED},
		{"SCRAM-SHA-256", "n,,n=,r=abc", true, MALFORMED},
		{"SCRAM-SHA-256", "n,,n=kim", true, MALFORMED},
		{"SCRAM-SHA-256", "n,,m=x,n=kim,r=abc", true, MALFORMED},
		{"SCRAM-SHA-256", "n,,n=k=im,r=abc", true, MALFORMED},
		{"SCRAM-SHA-256", "n,,n=k=4Dim,r=abc", true, MALFORMED},
		{"SCRAM-SHA-256", "x,,n=kim,r=abc", true, MALFORMED},
		{"SCRAM-SHA-256", "n,kim,n=kim,r=abc", true, MALFORMED},
		{"DIGEST-MD5", "early", true, MALFORMED},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		offer_bindings = rows[i].offered;
		struct authentication *x = first(rows[i].mechanism, rows[i].message);
		if (x->said != rows[i].said)
			fail_msg("row %zu: %d, %s", i, x->said, x->reason);
		end(x);
	}
	offer_bindings = false;
}

static void salt_of(const char *name, char out[200])
{
	char message[100];

	snprintf(message, sizeof message, "n,,n=%s,r=abc", name);
	struct authentication *x = first("SCRAM-SHA-256", message);
	assert_int_equal(x->said, CHALLENGE);
	assert_non_null(strstr(x->octets, ",s="));
	snprintf(out, 200, "%s", strstr(x->octets, ",s="));
	end(x);
}

static void names_cannot_be_told_apart(void **state)
{
	char kim[200], again[200], lee[200], other[200];

	(void)state;
	salt_of("kim", kim);
	salt_of("Kim", again);
	assert_string_equal(kim, again);
	salt_of("lee", lee);
	salt_of("LEE", again);
	assert_string_equal(lee, again);
	salt_of("park", other);
	assert_string_not_equal(lee, other);
	assert_string_not_equal(lee, kim);
	assert_int_equal(strlen(lee), strlen(kim));
}

// ---- one-time passwords
#define PHRASE "a phrase of the test"

static void set_otp(const char *algorithm)
{
	struct auth_otp otp;
	struct error err;

	assert_int_equal(auth_otp_make(algorithm, STR(PHRASE), &otp, &err), 0);
	auth_otp_format(&otp, otp_state);
}

static unsigned otp_sequence(void)
{
	struct auth_otp otp;

	assert_int_equal(auth_otp_read(otp_state, &otp), 0);
	return otp.sequence;
}

static enum said log_in_once(const char *name, const char *phrase)
{
	const struct client c = {"OTP", name, phrase};
	struct authentication *x = begin("OTP");
	enum said said;

	(void)talk_cyrus(&c, x);
	said = x->said;
	end(x);
	return said;
}

static void one_time_passwords_count_down(void **state)
{
	static const char *const algorithms[] = {"sha1", "md5"};
	char before[AUTH_OTP_TEXT];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(algorithms); i++) {
		set_otp(algorithms[i]);
		for (unsigned n = 1; n <= 3; n++) {
			assert_int_equal(log_in_once("kim", PHRASE), PROVED);
			assert_int_equal(otp_sequence(), AUTH_OTP_FIRST - n);
		}
		memcpy(before, otp_state, sizeof before);
		assert_int_equal(log_in_once("kim", "another phrase of it"), REFUTED);
		assert_int_equal(log_in_once("lee", PHRASE), REFUTED);
		assert_string_equal(otp_state, before); // nothing is used up, nothing locked
		otp_full = true;
		assert_int_equal(log_in_once("kim", PHRASE), UNAVAILABLE);
		otp_full = false;
		assert_int_equal(log_in_once("kim", PHRASE), PROVED);
	}
	otp_state[0] = '\0';
	assert_int_equal(log_in_once("kim", PHRASE), REFUTED);
}

// libsasl2's client starts anew by itself when it comes below 490.
static void a_client_may_start_with_another_seed(void **state)
{
	struct auth_otp was, next;

	(void)state;
	set_otp("sha1");
	for (unsigned n = 0; n < 15; n++) {
		assert_int_equal(auth_otp_read(otp_state, &was), 0);
		assert_int_equal(log_in_once("kim", PHRASE), PROVED);
	}
	assert_int_equal(auth_otp_read(otp_state, &next), 0);
	assert_true(next.sequence > 490);
	otp_state[0] = '\0';
}

static struct authentication *ask_otp(char challenge[200])
{
	struct authentication *x = begin("OTP");

	take_step(x, str_make("\0kim", 4));
	assert_int_equal(x->said, CHALLENGE);
	assert_true(str_copy(str_make(x->octets, x->len), challenge, 200));
	return x;
}

static void answer_otp(struct authentication *x, const char *more)
{
	struct auth_otp otp;
	unsigned char octets[AUTH_OTP_HASH];
	char response[200] = "";
	size_t used;

	assert_int_equal(auth_otp_read(otp_state, &otp), 0);
	assert_int_equal(auth_otp_compute(otp.algorithm, str_from(otp.seed), STR(PHRASE),
				 otp.sequence - 1, octets),
		0);
	used = (size_t)snprintf(response, sizeof response, "%shex:", more[0] ? "init-" : "");
	for (size_t i = 0; i < sizeof octets; i++)
		used += (size_t)snprintf(response + used, sizeof response - used, "%02x", octets[i]);
	snprintf(response + used, sizeof response - used, "%s", more);
	take_step(x, str_from(response));
}

static void a_one_time_password_works_once(void **state)
{
	char challenge[200], again[200], more[200], used[AUTH_OTP_TEXT];
	struct authentication *first_one, *second;
	struct auth_otp otp;

	(void)state;
	set_otp("sha1");
	first_one = ask_otp(challenge);
	second = ask_otp(again); // both are asked for the same, and no one keeps the other out
	assert_string_equal(challenge, again);
	memcpy(used, otp_state, sizeof used);
	answer_otp(first_one, "");
	assert_int_equal(first_one->said, PROVED);
	char now[AUTH_OTP_TEXT];
	struct auth_otp before;
	memcpy(now, otp_state, sizeof now);
	assert_int_equal(auth_otp_read(used, &before), 0);
	// The same password in the other dialogue.
	unsigned char octets[AUTH_OTP_HASH];
	assert_int_equal(auth_otp_compute("sha1", str_from(before.seed), STR(PHRASE),
				 before.sequence - 1, octets),
		0);
	char response[64] = "hex:";
	for (size_t i = 0; i < sizeof octets; i++)
		snprintf(response + 4 + 2 * i, 3, "%02X", octets[i]);
	take_step(second, str_from(response));
	assert_int_equal(second->said, REFUTED);
	assert_non_null(strstr(second->reason, "used already"));
	assert_string_equal(otp_state, now);
	end(first_one);
	end(second);
	// A start with the same seed would make used ones good again.
	assert_int_equal(auth_otp_read(otp_state, &otp), 0);
	snprintf(more, sizeof more, ":sha1 0499 %s:0011223344556677", otp.seed);
	second = ask_otp(challenge);
	answer_otp(second, more);
	assert_int_equal(second->said, REFUTED);
	assert_string_equal(otp_state, now);
	end(second);
	otp_state[0] = '\0';
}

static void unknown_names_have_one_time_passwords_too(void **state)
{
	char kim[200], lee[200], again[200];
	struct authentication *x;
	static const char *const names[] = {"lee", "Lee@example.kr"};

	(void)state;
	set_otp("sha1");
	end(ask_otp(kim));
	for (size_t i = 0; i < 2; i++) {
		char message[64] = "";
		snprintf(message + 1, sizeof message - 1, "%s", names[i]);
		x = begin("OTP");
		take_step(x, str_make(message, 1 + strlen(names[i])));
		assert_int_equal(x->said, CHALLENGE);
		assert_true(str_copy(str_make(x->octets, x->len), i ? again : lee, 200));
		end(x);
	}
	assert_string_equal(lee, again);
	assert_int_equal(strlen(lee), strlen(kim));
	assert_string_not_equal(lee, kim);
	otp_state[0] = '\0';
}

// A dialogue that ends while its thread waits for the loop, and one whose answer comes late.
static void a_dialogue_may_end_while_a_name_is_looked_up(void **state)
{
	uint64_t until = clock_monotonic_ms() + 60000;
	struct authentication *x = begin("DIGEST-MD5");

	(void)state;
	hold_lookups = true;
	take_step(x, (struct str){NULL, 0});
	assert_int_equal(x->said, CHALLENGE);
	const char *nonce = strstr(x->octets, "nonce=\"");
	char response[600];
	assert_non_null(nonce);
	nonce += 7;
	snprintf(response, sizeof response,
		"username=\"kim\",realm=\"mail.example.kr\",nonce=\"%.*s\",cnonce=\"abc\",nc=00000001,"
		"qop=auth,digest-uri=\"smtp/mail.example.kr\","
		"response=00000000000000000000000000000000",
		(int)strcspn(nonce, "\""), nonce);
	x->mechanism->step(x, x->state, str_from(response));
	while (x->lookups == 0) {
		assert_true(clock_monotonic_ms() < until);
		uv_run(&loop, UV_RUN_NOWAIT);
	}
	end(x);
	hold_lookups = false;
	x = first("SCRAM-SHA-256", "n,,n=kim,r=abc"); // threads are free
	assert_int_equal(x->said, CHALLENGE);
	end(x);
}

static int set_up(void **state)
{
	struct auth_sasl_settings settings = {
		"SCRAM-SHA-512 SCRAM-SHA-256 SCRAM-SHA-1 DIGEST-MD5 CRAM-MD5 NTLM OTP GSSAPI "
		"GSS-SPNEGO", ""};
	static const sasl_callback_t calls[] = {
		{SASL_CB_VERIFYFILE, CALL(cyrus_file), NULL}, {SASL_CB_LIST_END, NULL, NULL}};
	struct error err = {0};

	(void)state;
	if (auth_sasl_start(&auth_sasl_cyrus, &settings, &err))
		fail_msg("%s", err.text);
	assert_int_equal(sasl_client_init(calls), SASL_OK);
	assert_int_equal(uv_loop_init(&loop), 0);
	auth_sasl_open(&loop, 3, secret);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	auth_sasl_close();
	uv_run(&loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&loop), 0);
	auth_sasl_cyrus.stop();
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(right_and_wrong),
		cmocka_unit_test(the_first_message_is_judged),
		cmocka_unit_test(names_cannot_be_told_apart),
		cmocka_unit_test(one_time_passwords_count_down),
		cmocka_unit_test(a_client_may_start_with_another_seed),
		cmocka_unit_test(a_one_time_password_works_once),
		cmocka_unit_test(unknown_names_have_one_time_passwords_too),
		cmocka_unit_test(a_dialogue_may_end_while_a_name_is_looked_up),
	};
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
