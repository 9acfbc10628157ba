// SPDX-License-Identifier: ISC
// What an administrator asks for on the private socket: read whole and octet by octet it is the same,
// and a login is only taken for granted where nothing but an explanation is wanted.
#include "base/error.h"
#include "fuzz.h"
#include "role/outside_wish.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str input = str_make(data, size);
	struct outside_wish w, part;
	const char *why = NULL;
	size_t used = 0, some = 0;
	int whole = outside_wish_read(input, &w, &used, &why), pieces = ERR_NOT_FOUND;

	if (whole == 0) {
		CHECK(used && used <= size && w.header.version == 2 && w.header.client.family);
		CHECK(!w.logged_in || (w.explain && w.account.len && w.account.len < 320));
		CHECK(!w.account.len || !memchr(w.account.data, 0, w.account.len));
	} else {
		CHECK(whole == ERR_NOT_FOUND || why);
	}
	for (size_t len = 0; len <= size && pieces == ERR_NOT_FOUND; len++) {
		struct str copy = exact_copy(str_slice(input, 0, len));
		pieces = outside_wish_read(copy, &part, &some, &why);
		CHECK(pieces != 0 || some == used);
		free((char *)copy.data);
	}
	CHECK(whole != 0 || pieces == 0);
	return 0;
}
