// SPDX-License-Identifier: ISC
// PLAIN and LOGIN, and the table of all mechanisms.
#include "auth/mechanism_rows.h"

#include "auth/winbind.h"
#include "base/memory.h"

#define NAME_MAX_OCTETS 1024

// ---- PLAIN, RFC 4616: [authzid] NUL name NUL password
static void plain_step(struct authentication *x, void *state, struct str response)
{
	struct str authzid, name, rest = response;

	(void)state;
	if (!response.data)
		authentication_challenge(x, STR_EMPTY);
	else if (!str_split(&rest, '\0', &authzid) || !rest.data ||
		 !str_split(&rest, '\0', &name) || !rest.data || name.len == 0 || rest.len == 0 ||
		 str_find(rest, '\0') >= 0)
		authentication_malformed(x);
	else
		authentication_check(x, authzid, name, rest);
}

// ---- LOGIN: two questions that never became a standard. The words are those that clients look
// for.
struct login {
	enum { LOGIN_BEGIN, LOGIN_NAME, LOGIN_PASSWORD } asked;
	char name[NAME_MAX_OCTETS];
	size_t len;
};

static void *login_create(struct authentication *x)
{
	(void)x;
	return mem_alloc(sizeof(struct login));
}

static void login_dispose(void *state)
{
	mem_free(state);
}

static void login_step(struct authentication *x, void *state, struct str response)
{
	struct login *l = state;

	if (l->asked == LOGIN_PASSWORD) {
		authentication_check(x, STR_EMPTY, str_make(l->name, l->len), response);
	} else if (l->asked == LOGIN_BEGIN && response.len == 0) {
		l->asked = LOGIN_NAME;
		authentication_challenge(x, STR("Username:"));
	} else if (response.len == 0 || response.len > sizeof l->name) {
		authentication_malformed(x);
	} else {
		memcpy(l->name, response.data, response.len);
		l->len = response.len;
		l->asked = LOGIN_PASSWORD;
		authentication_challenge(x, STR("Password:"));
	}
}

static const struct auth_mechanism plain = {
	.name = "PLAIN", .plaintext = true, .needs = AUTH_GIVES_VERIFY, .step = plain_step};
static const struct auth_mechanism login = {.name = "LOGIN",
	.plaintext = true,
	.needs = AUTH_GIVES_VERIFY,
	.create = login_create,
	.step = login_step,
	.dispose = login_dispose};

const struct auth_mechanism *const auth_mechanisms[] = {
	&auth_mechanism_external,
	&auth_mechanism_gssapi,
	&auth_mechanism_gss_spnego,
	&auth_mechanism_scram_512_plus,
	&auth_mechanism_scram_512,
	&auth_mechanism_scram_256_plus,
	&auth_mechanism_scram_256,
	&auth_mechanism_scram_1_plus,
	&auth_mechanism_scram_1,
	&auth_mechanism_otp,
	&auth_mechanism_digest_md5,
	&auth_mechanism_cram_md5,
	&auth_mechanism_ntlm,
	&auth_mechanism_oauthbearer,
	&auth_mechanism_xoauth2,
	&plain,
	&login,
	&auth_mechanism_anonymous,
};
const size_t auth_mechanism_count = ARRAY_SIZE(auth_mechanisms);

const struct auth_mechanism *auth_mechanism_find(const char *name)
{
	for (size_t i = 0; i < auth_mechanism_count; i++)
		if (str_equal_nocase(str_from(auth_mechanisms[i]->name), str_from(name)))
			return auth_mechanisms[i];
	return NULL;
}

const struct auth_mechanism *auth_mechanism_as_configured(
	const struct auth_mechanism *m, const struct config *c)
{
	return m->by_winbind && auth_winbind_configured(c) ? m->by_winbind : m;
}
