// SPDX-License-Identifier: ISC
// vpopmail's vpasswd, its records and .qmailadmin-limits: the first line is the name that is looked
// for, the rest the file.
#include "fuzz.h"
#include "auth/source/vpopmail.h"

static void check_user(struct str fields)
{
	struct str copy = exact_copy(fields);
	struct auth_vpopmail_user u;
	struct auth_answer answer = {0};

	if (auth_vpopmail_user_read(copy, &u) == 0) {
		CHECK(str_starts(copy, str_from(u.hash)));
		CHECK(!u.clear[0] || str_search(copy, str_from(u.clear)) >= 0);
		u.hash[u.hash[0] ? 1 : 0] = '\0'; // nothing that takes long
		auth_vpopmail_user_lookup(&u, 0, &answer);
		CHECK(answer.verdict != AUTH_YES || !(u.flags & AUTH_VPOPMAIL_NO_SMTP));
		CHECK(answer.verdict != AUTH_YES || !strcmp(answer.clear, u.clear));
		auth_vpopmail_user_lookup(&u, AUTH_VPOPMAIL_NO_SMTP, &answer);
		CHECK(answer.verdict != AUTH_YES || u.flags & AUTH_VPOPMAIL_OVERRIDE);
	}
	free((char *)copy.data);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str input = exact_copy(str_make(data, size)), rest = input, name = STR_EMPTY;
	struct str fields, any;

	str_split(&rest, '\n', &name);
	if (!rest.data)
		rest = STR_EMPTY;
	check_user(rest);
	if (auth_vpopmail_find(rest, name, &fields, &any) == 0) {
		CHECK(name.len && str_find(fields, '\n') < 0);
		check_user(fields);
	} else {
		CHECK(!fields.data);
	}
	if (any.data)
		check_user(any);
	CHECK((auth_vpopmail_limits_read(rest) &
		      ~(uint32_t)(AUTH_VPOPMAIL_NO_SMTP | AUTH_VPOPMAIL_NO_RELAY)) == 0);
	free((char *)input.data);
	return 0;
}
