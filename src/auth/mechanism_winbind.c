// SPDX-License-Identifier: ISC
// NTLM and GSS-SPNEGO where a Windows domain proves them: this side only carries tokens between the
// client and winbind's helper, and makes accounts of the names that come back.
#include "auth/mechanism_rows.h"

#include "auth/winbind.h"
#include "base/memory.h"

struct talk {
	struct authentication *x;
	bool spnego;
	bool asked;		     // whether a guesser may be listened to
	char name[AUTH_NAME_OCTETS]; // who it says it is, as it said so; "" : not yet
	struct auth_winbind_talk talk;
};

// The account, or the name itself where it is nobody's here.
static struct str shown(const struct talk *t, struct str name, char out[AUTH_NAME_OCTETS])
{
	return auth_winbind_account(authentication_config(t->x), name, out) ? name : str_from(out);
}

static void proved(struct talk *t, const struct ipc_negotiated *m)
{
	char account[AUTH_NAME_OCTETS];

	if (auth_winbind_account(authentication_config(t->x), m->name, account))
		authentication_refuted(t->x, m->name, "a user of a domain that map does not have");
	else
		authentication_proved(t->x, STR_EMPTY, str_from(account), m->token);
}

static void on_answered(struct auth_winbind_talk *w, const struct ipc_negotiated *m)
{
	struct talk *t = LIST_ENTRY(w, struct talk, talk);
	char reason[AUTH_REASON_OCTETS], account[AUTH_NAME_OCTETS];

	(void)str_copy(str_slice(m->reason, 0, sizeof reason - 1), reason, sizeof reason);
	switch (m->outcome) {
	case AUTH_WINBIND_CHALLENGE:
		authentication_challenge(t->x, m->token);
		break;
	case AUTH_WINBIND_PROVED:
		proved(t, m);
		break;
	case AUTH_WINBIND_REFUTED:
		authentication_refuted(t->x, shown(t, str_from(t->name), account),
			reason[0] ? reason : "winbind says no");
		break;
	default:
		authentication_unavailable(t->x, reason[0] ? reason : "winbind cannot tell now");
	}
}

// Before the helper sees a proof. SPNEGO hides the name, so it is the address alone that counts.
static bool may_go_on(struct talk *t, struct str response)
{
	char account[AUTH_NAME_OCTETS];
	bool proof = !t->spnego && auth_ntlm_name_read(response, t->name) == 0;

	if (t->asked && !proof)
		return true;
	t->asked = true;
	return authentication_may_try(t->x, shown(t, str_from(t->name), account));
}

static void talk_step(struct authentication *x, void *state, struct str response)
{
	struct talk *t = state;

	if (!response.data && !t->asked)
		authentication_challenge(x, STR_EMPTY);
	else if (response.len == 0 || response.len > AUTH_WINBIND_TOKEN)
		authentication_malformed(x);
	else if (may_go_on(t, response) &&
		 !auth_winbind_ask(authentication_winbind(x), &t->talk, t->spnego, response))
		authentication_unavailable(x, "role checker, which runs winbind's helper, is not there");
}

static void *talk_create(struct authentication *x, bool spnego)
{
	struct talk *t = mem_alloc(sizeof *t);

	t->x = x;
	t->spnego = spnego;
	t->talk.answered = on_answered;
	list_init(&t->talk.link);
	return t;
}

static void *ntlm_create(struct authentication *x)
{
	return talk_create(x, false);
}

static void *spnego_create(struct authentication *x)
{
	return talk_create(x, true);
}

static void talk_dispose(void *state)
{
	struct talk *t = state;

	auth_winbind_end(&t->talk);
	mem_wipe(t, sizeof *t);
	mem_free(t);
}

const struct auth_mechanism auth_mechanism_winbind_ntlm = {.name = "NTLM",
	.on_request = true,
	.create = ntlm_create,
	.step = talk_step,
	.dispose = talk_dispose};
const struct auth_mechanism auth_mechanism_winbind_spnego = {.name = "GSS-SPNEGO",
	.on_request = true,
	.create = spnego_create,
	.step = talk_step,
	.dispose = talk_dispose};
