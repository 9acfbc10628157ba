// SPDX-License-Identifier: ISC
// Bearer tokens (RFC 6750): OAUTHBEARER (RFC 7628) and XOAUTH2, its forerunner.
#include "auth/bearer.h"
#include "auth/mechanism_rows.h"

// RFC 7628 3.2.2: what a client is told before it has failed. The scope is the one whose tokens name
// a mailbox.
#define FAILURE(status) "{\"status\":\"" status "\",\"schemes\":\"bearer\",\"scope\":\"openid email\"}"

static void step_with(struct authentication *x, struct str response,
	int (*read)(struct str message, struct auth_bearer *out))
{
	struct auth_bearer b;

	if (!response.data)
		authentication_challenge(x, STR_EMPTY);
	else if (read(response, &b))
		authentication_malformed(x);
	else
		authentication_check_token(x, str_from(b.user), str_from(b.user), b.token);
}

static void oauthbearer_step(struct authentication *x, void *state, struct str response)
{
	(void)state;
	step_with(x, response, auth_bearer_read);
}

static void xoauth2_step(struct authentication *x, void *state, struct str response)
{
	(void)state;
	step_with(x, response, auth_bearer_read_old);
}

const struct auth_mechanism auth_mechanism_oauthbearer = {.name = "OAUTHBEARER",
	.plaintext = true,
	.needs = AUTH_GIVES_TOKEN,
	.failure = FAILURE("invalid_token"),
	.step = oauthbearer_step};
const struct auth_mechanism auth_mechanism_xoauth2 = {.name = "XOAUTH2",
	.plaintext = true,
	.needs = AUTH_GIVES_TOKEN,
	.failure = FAILURE("401"),
	.step = xoauth2_step};
