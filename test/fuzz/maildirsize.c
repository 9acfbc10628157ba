// SPDX-License-Identifier: ISC
// maildirsize as anybody may have left it: what is accepted holds no sum below zero, and what is
// written anew for it is read back to the same.
#include "deliver/quota_maildir.h"

#include "base/error.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str text = exact_copy(str_make(data, size));
	struct maildirsize m, again;
	struct buf out = BUF_INIT;

	if (maildirsize_parse(text, &m) == 0) {
		struct quota_limits l = {.octets = m.octets_limit, .messages = m.messages_limit};
		CHECK(m.lines >= 1);
		CHECK(m.sum.octets <= INT64_MAX && m.sum.messages <= INT64_MAX);
		CHECK(l.octets <= INT64_MAX && l.messages <= INT64_MAX);
		CHECK(maildirsize_render(&l, &m.sum, &out) == 0);
		CHECK(maildirsize_parse(buf_str(&out), &again) == 0);
		CHECK(again.octets_limit == m.octets_limit && again.messages_limit == m.messages_limit);
		CHECK(again.sum.octets == m.sum.octets && again.sum.messages == m.sum.messages);
		CHECK(again.lines == 1);
		(void)quota_judge(&l, &m.sum, m.sum.octets);
	}
	buf_finish(&out);
	free((void *)text.data);
	return 0;
}
