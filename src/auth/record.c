// SPDX-License-Identifier: ISC
#include "auth/record.h"

#include <string.h>

void auth_record_make(struct auth_record *r, const struct auth_answer *answer)
{
	memset(r, 0, sizeof *r);
	r->verdict = (uint32_t)answer->verdict;
	r->has_rights = answer->has_rights;
	r->rights = answer->rights;
	memcpy(r->account, answer->account, sizeof r->account);
	memcpy(r->reason, answer->reason, sizeof r->reason);
	memcpy(r->clear, answer->clear, sizeof r->clear);
	memcpy(r->scram, answer->scram, sizeof r->scram);
}

static bool ends(const char *s, size_t size)
{
	return memchr(s, '\0', size) != NULL;
}

int auth_record_read(const struct auth_record *r, struct auth_answer *out)
{
	bool whole = ends(r->account, sizeof r->account) && ends(r->reason, sizeof r->reason) &&
		     ends(r->clear, sizeof r->clear);

	for (size_t i = 0; i < ARRAY_SIZE(r->scram); i++)
		whole = whole && ends(r->scram[i], sizeof r->scram[i]);
	if (!whole || r->verdict > AUTH_CANNOT || r->has_rights > 1)
		return ERR_CORRUPT;
	out->verdict = (enum auth_verdict)r->verdict;
	out->has_rights = r->has_rights;
	out->rights = r->rights;
	memcpy(out->account, r->account, sizeof out->account);
	memcpy(out->reason, r->reason, sizeof out->reason);
	memcpy(out->clear, r->clear, sizeof out->clear);
	memcpy(out->scram, r->scram, sizeof out->scram);
	return 0;
}
