// SPDX-License-Identifier: ISC
#include "role/auth_sources.h"

#include "role/auth_admin.h"

static void give(void *arg, const char *source, uint64_t left_ms)
{
	json_t *name = json_string(source);

	control_row(arg, json_pack("{s:s, s:o, s:I}", "kind", "skipped-source", "source",
		name ? name : json_string("?"), "left_ms", (json_int_t)left_ms));
}

void auth_sources_list(struct control_call *call, const json_t *arguments, void *arg)
{
	const struct auth_admin *admin = arg;

	(void)arguments;
	if (admin->authenticator)
		auth_chain_skipped(authenticator_chain(admin->authenticator), give, call);
	control_done(call, NULL);
}
