// SPDX-License-Identifier: ISC
// A stored state of the guard: what decodes encodes to the same, and no event after it breaks anything.
#include "policy/guard.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct guard_settings settings = {.most = GUARD_SUSPEND, .messages = 1000, .recipients = 200};
	const uint64_t steps[] = {0, 1000, 3600 * 1000, UINT64_C(86400) * 1000 * 9};
	static struct guard_state s;
	struct buf octets = {.limit = GUARD_STATE_MAX};
	struct guard_verdict v;
	uint64_t to[3] = {2, 5, 1234567};

	if (guard_decode(str_make(data, size), &s))
		return 0;
	CHECK(guard_encode(&s, &octets) == 0);
	buf_finish(&octets);
	for (size_t n = 0; n < sizeof(steps) / sizeof(steps[0]); n++) {
		struct guard_message m = {.now_ms = s.now_ms + steps[n], .network = n ? UINT64_C(4) << 56 | n : 0,
			.digest = n, .recipients = to, .recipient_count = 3};

		if (m.now_ms < s.now_ms)
			break;
		guard_submit(&s, &m, &settings, &v);
		CHECK(v.action <= GUARD_SUSPEND && v.reason_count <= GUARD_SIGNALS);
		guard_outcome(&s, m.now_ms, 1, 1, &settings, &v);
		CHECK(guard_encode(&s, &octets) == 0);
		CHECK(guard_decode(buf_str(&octets), &s) == 0);
		buf_finish(&octets);
	}
	return 0;
}
