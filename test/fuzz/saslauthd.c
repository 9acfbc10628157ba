// SPDX-License-Identifier: ISC
// What saslauthd answers: the same verdict however it comes in pieces, and none from half an
// answer.
#include "fuzz.h"
#include "auth/source/saslauthd.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str whole = str_make(data, size);
	enum auth_verdict verdict = AUTH_CANNOT, last = AUTH_CANNOT;
	int got = 0;

	for (size_t n = 0; n <= size && n < 2000; n++) {
		struct str copy = exact_copy(str_slice(whole, 0, n));
		int now = auth_saslauthd_reply_read(copy, &verdict);
		CHECK(now == 0 || now == 1 || now == ERR_SYNTAX);
		CHECK(now != 1 || verdict == AUTH_YES || verdict == AUTH_NO);
		CHECK(now != 1 || copy.len >= 4);
		CHECK(got == 0 || (now == got && verdict == last)); // what is decided stays
		got = now;
		last = verdict;
		free((char *)copy.data);
	}
	return 0;
}
