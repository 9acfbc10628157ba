// SPDX-License-Identifier: ISC
// pabal-pam.so: authentication and account phase of PAM, in a child of its own each.
#include "auth/source/pam.h"

#include "base/memory.h"
#include "base/text.h"

#include <errno.h>
#include <pwd.h>
#include <security/pam_appl.h>
#include <shadow.h>
#include <stdio.h>
#include <stdlib.h>

struct asked {
	const char *password;
	bool account; // the second phase: nothing is told any more
};

// ---- conversation
// Only one thing is ever told: the password, where something is asked for without echo. Modules
// that stand one behind the other may each ask for it.
static int answer_one(
	struct asked *asked, const struct pam_message *message, struct pam_response *response)
{
	if (message->msg_style == PAM_ERROR_MSG || message->msg_style == PAM_TEXT_INFO)
		return PAM_SUCCESS;
	if (message->msg_style != PAM_PROMPT_ECHO_OFF || asked->account)
		return PAM_CONV_ERR;
	response->resp = strdup(asked->password);
	return response->resp ? PAM_SUCCESS : PAM_BUF_ERR;
}

static int converse(int count, const struct pam_message **messages,
	struct pam_response **out_responses, void *arg)
{
	struct asked *asked = arg;
	struct pam_response *responses;
	int result = PAM_SUCCESS;

	*out_responses = NULL;
	if (count <= 0 || count > PAM_MAX_NUM_MSG)
		return PAM_CONV_ERR;
	responses = calloc((size_t)count, sizeof *responses); // freed by the module that asked
	if (!responses)
		return PAM_BUF_ERR;
	for (int i = 0; i < count && result == PAM_SUCCESS; i++)
		result = answer_one(asked, messages[i], &responses[i]);
	if (result != PAM_SUCCESS) {
		for (int i = 0; i < count; i++)
			if (responses[i].resp) {
				mem_wipe(responses[i].resp, strlen(responses[i].resp));
				free(responses[i].resp);
			}
		free(responses);
		return result;
	}
	*out_responses = responses;
	return PAM_SUCCESS;
}

// We delay those who guess ourselves, and without a process that waits.
static void no_delay(int result, unsigned microseconds, void *arg)
{
	(void)result;
	(void)microseconds;
	(void)arg;
}

// ---- what a result means
struct meaning {
	int result;
	enum auth_verdict verdict;
	const char *words;
};

static const struct meaning meanings[] = {
	{PAM_AUTH_ERR, AUTH_NO, TEXT_MARK("wrong password")},
	{PAM_CRED_INSUFFICIENT, AUTH_CANNOT,
		TEXT_MARK("PAM has not the rights to look: it wants root")},
	{PAM_MAXTRIES, AUTH_NO, TEXT_MARK("locked: too many tries")},
	{PAM_ACCT_EXPIRED, AUTH_NO, TEXT_MARK("the account has expired")},
	{PAM_NEW_AUTHTOK_REQD, AUTH_NO, TEXT_MARK("the password has expired")},
	{PAM_AUTHTOK_EXPIRED, AUTH_NO, TEXT_MARK("the password has expired")},
	{PAM_CRED_EXPIRED, AUTH_NO, TEXT_MARK("the credentials have expired")},
	{PAM_PERM_DENIED, AUTH_NO, TEXT_MARK("not allowed: locked, or not at this time or place")},
	{PAM_USER_UNKNOWN, AUTH_UNKNOWN, TEXT_MARK("no such user of this machine")},
	{PAM_CONV_ERR, AUTH_CANNOT, TEXT_MARK("PAM asks for more than a password")},
	{PAM_AUTHINFO_UNAVAIL, AUTH_CANNOT, TEXT_MARK("PAM's source cannot be reached")},
};

static void answer(pam_handle_t *pam, const char *phase, int result, struct auth_answer *out)
{
	for (size_t i = 0; i < ARRAY_SIZE(meanings); i++)
		if (meanings[i].result == result) {
			auth_answer_set(out, meanings[i].verdict, "%s", TEXT(meanings[i].words));
			return;
		}
	auth_answer_set(out, AUTH_CANNOT, "PAM (%s): %s", phase, pam_strerror(pam, result));
}

// Many stacks answer "wrong" for names that do not exist: the usual pam_deny at their end does. A
// name that neither the machine nor its name services know is unknown, so that the next source is
// asked; users that only PAM knows have their wrong passwords answered as unknown, too.
static void refine(const char *user, struct auth_answer *out)
{
	struct passwd *pw;
	struct spwd *shadow;

	errno = 0;
	pw = getpwnam(user);
	if (!pw) {
		if (errno == 0 || errno == ENOENT)
			auth_answer_set(out, AUTH_UNKNOWN, TEXT("no such user of this machine"));
		return;
	}
	shadow = getspnam(user); // only root may
	if (shadow && shadow->sp_pwdp && (shadow->sp_pwdp[0] == '!' || shadow->sp_pwdp[0] == '*'))
		auth_answer_set(out, AUTH_NO, TEXT("the account is locked, or has no password"));
}

// ---- the check
static int set_items(pam_handle_t *pam, const struct auth_question *q)
{
	void (*delay)(int, unsigned, void *) = no_delay;
	char client[IPADDR_TEXT_MAX];
	int result = PAM_SUCCESS;

	if (q->client.family)
		result = pam_set_item(pam, PAM_RHOST, ipaddr_format(&q->client, client));
	if (result == PAM_SUCCESS)
		result = pam_set_item(pam, PAM_TTY, "smtp"); // pam_time and others want one
	if (result == PAM_SUCCESS)
		result = pam_set_item(pam, PAM_FAIL_DELAY, (const void *)(uintptr_t)delay);
	return result;
}

static int run(pam_handle_t *pam, const struct auth_question *q, const char *user,
	struct asked *asked, struct auth_answer *out)
{
	int result = set_items(pam, q);

	if (result != PAM_SUCCESS) {
		answer(pam, "items", result, out);
		return result;
	}
	result = pam_authenticate(pam, PAM_SILENT | PAM_DISALLOW_NULL_AUTHTOK);
	if (result != PAM_SUCCESS) {
		answer(pam, "authentication", result, out);
		if (result == PAM_AUTH_ERR)
			refine(user, out);
		return result;
	}
	asked->account = true;
	result = pam_acct_mgmt(pam, PAM_SILENT | PAM_DISALLOW_NULL_AUTHTOK);
	if (result == PAM_AUTH_ERR) // what a plain refusal is here: pam_deny, pam_listfile
		auth_answer_set(out, AUTH_NO, TEXT("PAM does not let this account in"));
	else if (result != PAM_SUCCESS)
		answer(pam, "account", result, out);
	else
		auth_answer_set(out, AUTH_YES, "%s", "");
	return result;
}

static void check(
	const struct config_source *s, const struct auth_question *q, struct auth_answer *out)
{
	char service[256], user[AUTH_NAME_OCTETS], password[AUTH_SECRET_OCTETS + 1];
	struct asked asked = {password, false};
	struct pam_conv conversation = {converse, &asked};
	pam_handle_t *pam = NULL;
	int result;

	if (!str_copy(auth_question_bare(q), user, sizeof user) ||
		!str_copy(q->secret, password, sizeof password) ||
		!str_copy(s->service.len ? s->service : STR("smtp"), service, sizeof service)) {
		auth_answer_set(out, AUTH_NO, TEXT("a name or password that PAM cannot take"));
		return;
	}
	result = pam_start(service, user, &conversation, &pam);
	if (result != PAM_SUCCESS)
		auth_answer_set(out, AUTH_CANNOT, "PAM: %s", pam_strerror(pam, result));
	else
		result = run(pam, q, user, &asked, out);
	if (pam)
		(void)pam_end(pam, result | PAM_DATA_SILENT);
	mem_wipe(password, sizeof password);
}

const struct auth_pam_calls auth_pam_calls = {check};
