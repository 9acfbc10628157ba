// SPDX-License-Identifier: ISC
#include "deliver/login_drive.h"

#include "base/memory.h"
#include "base/text.h"

#include <stdio.h>

#define ENHANCED "4.7.8"

// What the administrator can do about it.
static const char *advice(const struct login_drive *d)
{
	if (login_needs_token(d->login))
		return TEXT("check user and token-file of the route, and what its scope allows");
	if (!strcmp(login_mechanism(d->login), "EXTERNAL"))
		return TEXT("check client-certificate, and what the host knows it for");
	return TEXT("check user and password-file of the route");
}

static void fail(struct login_drive *d, struct smtp_client *c, const char *enhanced, const char *why)
{
	char text[SMTP_REPLY_TEXT_MAX];
	const char *mechanism = login_mechanism(d->login);

	snprintf(text, sizeof text, TEXT("route \"%.100s\": login%s%s failed: %.250s"), d->route,
		*mechanism ? " " : "", mechanism, why);
	smtp_client_auth_fail(c, enhanced, text);
}

static void fail_refused(struct login_drive *d, struct smtp_client *c)
{
	const char *said = smtp_client_last_reply(c);
	char text[SMTP_REPLY_TEXT_MAX];

	if (login_is_secret(d->login, str_from(said)))
		said = TEXT("the host said no, and the password in its words");
	bool ours = smtp_client_auth_code(c) / 100 == 5; // not one that cannot tell now
	snprintf(text, sizeof text, TEXT("route \"%.60s\": login %s failed; %.200s%s%s"), d->route,
		login_mechanism(d->login), said, ours ? "; " : "", ours ? advice(d) : "");
	smtp_client_auth_fail(c, ENHANCED, text);
}

// ---- the steps
static void start(struct login_drive *d, struct smtp_client *c)
{
	struct buf first = BUF_INIT;
	bool has = login_start(d->login, &first);
	struct str initial = buf_str(&first);

	if (!has)
		initial.data = NULL;
	smtp_client_auth_start(c, login_mechanism(d->login), initial);
	buf_finish_wipe(&first);
}

static bool begin(struct login_drive *d, struct smtp_client *c)
{
	struct error err = {0};

	if (!login_choose(d->login, smtp_client_auth_mechanisms(c), &err)) {
		fail(d, c, err.code == ERR_DENIED ? "4.7.11" : "4.7.0", err.text);
		return false;
	}
	d->waits = login_needs_token(d->login);
	if (!d->waits)
		start(d, c);
	return d->waits;
}

static bool answer(struct login_drive *d, struct smtp_client *c)
{
	struct error err = {0};
	struct buf response = BUF_INIT;

	if (!login_answer(d->login, smtp_client_auth_challenge(c), &response, &err)) {
		smtp_client_auth_answer(c, buf_str(&response));
	} else {
		d->given_up = err; // what the host says to it does not matter
		smtp_client_auth_cancel(c);
	}
	buf_finish_wipe(&response);
	return false;
}

static bool accepted(struct login_drive *d, struct smtp_client *c)
{
	struct error err = {0};

	if (login_accepted(d->login, &err))
		fail(d, c, ENHANCED, err.text);
	else
		smtp_client_auth_done(c);
	return false;
}

static bool refused(struct login_drive *d, struct smtp_client *c)
{
	struct error err = {0};

	if (d->given_up.code) {
		fail(d, c, ENHANCED, d->given_up.text);
		return false;
	}
	switch (login_refused(d->login, smtp_client_auth_code(c))) {
	case LOGIN_NEW_TOKEN:
		d->waits = true;
		break;
	case LOGIN_NEXT:
		if (login_choose(d->login, smtp_client_auth_mechanisms(c), &err))
			start(d, c);
		else
			fail_refused(d, c);
		break;
	case LOGIN_GIVE_UP:
		fail_refused(d, c);
		break;
	}
	return d->waits;
}

static bool (*const steps[])(struct login_drive *d, struct smtp_client *c) = {
	[SMTP_AUTH_BEGIN] = begin,
	[SMTP_AUTH_CHALLENGE] = answer,
	[SMTP_AUTH_ACCEPTED] = accepted,
	[SMTP_AUTH_REFUSED] = refused,
};

bool login_drive_step(struct login_drive *d, struct smtp_client *c)
{
	return !d->waits && steps[smtp_client_auth_stage(c)](d, c);
}

void login_drive_token(struct login_drive *d, struct smtp_client *c, struct str token, uint64_t serial,
	const char *why)
{
	if (!d->waits)
		return;
	d->waits = false;
	if (serial && serial != d->serial && token.len && token.len <= LOGIN_TOKEN_OCTETS) {
		d->serial = serial;
		login_set_token(d->login, token);
		start(d, c);
	} else if (d->serial && smtp_client_auth_stage(c) == SMTP_AUTH_REFUSED && serial) {
		fail_refused(d, c);
	} else {
		fail(d, c, ENHANCED, why);
	}
}

// ---- life
void login_drive_init(struct login_drive *d, const struct login_options *options, const char *route)
{
	*d = (struct login_drive){.login = login_create(options), .route = str_dup(str_from(route))};
}

void login_drive_finish(struct login_drive *d)
{
	login_destroy(d->login);
	mem_free(d->route);
	*d = (struct login_drive){0};
}
