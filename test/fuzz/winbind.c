// SPDX-License-Identifier: ISC
// What clients and helpers of a Windows domain say, and keytabs: nothing is read outside, names are
// bounded, hold no controls and become nobody's account by themselves.
#include "fuzz.h"
#include "auth/keytab.h"
#include "auth/winbind.h"

static void check_name(struct str message)
{
	char name[AUTH_NAME_OCTETS], account[AUTH_NAME_OCTETS];
	const struct config none = {0};

	if (auth_ntlm_name_read(message, name))
		return;
	CHECK(name[0] && strlen(name) < sizeof name);
	for (const char *c = name; *c; c++)
		CHECK((unsigned char)*c >= ' ' && *c != 0x7f);
	CHECK(auth_winbind_account(&none, str_from(name), account) != 0);
}

static void check_line(struct str line, bool spnego)
{
	struct auth_winbind_reply r;

	if (auth_winbind_reply_read(line, spnego, &r))
		return;
	CHECK((r.outcome == AUTH_WINBIND_PROVED) == (r.name.len > 0));
	CHECK(r.outcome != AUTH_WINBIND_CHALLENGE || r.token.len);
	CHECK(str_find(r.name, '\0') < 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str octets = exact_copy(str_make(data, size));

	check_name(octets);
	check_line(octets, false);
	check_line(octets, true);
	(void)auth_keytab_has(octets, STR("smtp"), STR("mail.example.kr"));
	free((char *)octets.data);
	return 0;
}
