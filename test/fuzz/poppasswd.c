// SPDX-License-Identifier: ISC
// The file of poppasswd: the first line is the name that is looked for. What is found stands in the
// file, and a hash is never taken for a password.
#include "fuzz.h"
#include "auth/source/poppasswd.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str input = exact_copy(str_make(data, size)), rest = input, name = STR_EMPTY;
	struct auth_poppasswd found;

	str_split(&rest, '\n', &name);
	if (!rest.data)
		rest = STR_EMPTY;
	auth_poppasswd_find(rest, name, name, &found);
	CHECK(!found.found || (name.len && str_find(name, ':') < 0 && str_search(rest, name) >= 0));
	CHECK(!found.clear.data || str_find(found.clear, '\n') < 0);
	CHECK(!found.clear.data || !found.hash[0]);
	CHECK(memchr(found.hash, '\0', sizeof found.hash));
	if (found.found && !found.hash[0] && !found.locked) {
		struct str wrong = str_slice(found.clear, 0, found.clear.len - 1);
		CHECK(found.clear.len);
		CHECK(auth_poppasswd_check(&found, found.clear) == 0);
		CHECK(auth_poppasswd_check(&found, wrong) == ERR_DENIED);
	}
	if (!found.found && !found.hash[0])
		CHECK(auth_poppasswd_check(&found, name) == ERR_NOT_FOUND);
	free((char *)input.data);
	return 0;
}
