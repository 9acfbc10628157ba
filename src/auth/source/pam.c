// SPDX-License-Identifier: ISC
// Users of the machine, by PAM. libpam is only in the module, which is loaded before confinement.
#include "auth/source/pam.h"

#include "auth/module.h"
#include "auth/source/kinds.h"
#include "base/text.h"

#include <stdio.h>
#include <unistd.h>

#define USUAL_SERVICE "smtp"

static unsigned gives(const struct config_source *s)
{
	(void)s;
	return AUTH_GIVES_VERIFY;
}

static int prepare(const struct config_source *s, void **state, struct error *err)
{
	const struct auth_pam_calls *calls = auth_module_symbol("pam", "auth_pam_calls", err);

	(void)s;
	*state = (void *)(uintptr_t)calls; // read only
	return calls ? 0 : err ? err->code : ERR_NOT_FOUND;
}

static void check(const struct config_source *s, void *state, const struct auth_question *q,
	struct auth_answer *out)
{
	const struct auth_pam_calls *calls = state;

	if (!calls)
		auth_answer_set(out, AUTH_CANNOT, TEXT("pabal-pam.so is not loaded"));
	else if (q->ask != AUTH_ASK_PASSWORD)
		auth_answer_set(out, AUTH_CANNOT, TEXT("PAM only checks passwords"));
	else if (!auth_question_sound(q))
		auth_answer_set(out, AUTH_NO, TEXT("no name or password, or one with a NUL"));
	else
		calls->check(s, q, out);
}

// Without a file of its own a service is "other", which usually lets everybody or nobody in.
static void advise(const struct config_source *s, struct config_findings *findings)
{
	static const char *const folders[] = {"/etc/pam.d", "/usr/lib/pam.d", "/usr/share/pam.d"};
	struct str service = s->service.len ? s->service : STR(USUAL_SERVICE);
	char path[4096];

	for (size_t i = 0; i < ARRAY_SIZE(folders); i++) {
		snprintf(path, sizeof path, "%s/%.*s", folders[i], STR_ARG(service));
		if (access(path, F_OK) == 0)
			return;
	}
	config_findings_add(findings, 'W', s->where.file, s->where.line, s->where.column,
		TEXT("/etc/pam.d/%.*s is not there: PAM goes by /etc/pam.d/other, which refuses or "
		     "admits whom nobody expects"),
		STR_ARG(service));
}

const struct auth_source_kind auth_source_pam = {
	.name = "pam",
	.where = AUTH_IN_CHECKER,
	.module = "pam",
	.gives = gives,
	.prepare = prepare,
	.check = check,
	.advise = advise,
};
