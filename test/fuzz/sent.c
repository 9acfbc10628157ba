// SPDX-License-Identifier: ISC
// Mail and logs of other servers: every address that is told parses, and comes out the same whatever
// follows. First octet: mail or log.
#include "message/sent.h"
#include "fuzz.h"

#include "smtp/address.h"

static void check(void *arg, struct str from, struct str to)
{
	struct smtp_address address;

	(void)arg;
	CHECK(from.len == 0 || smtp_address_parse(from, &address) == 0);
	CHECK(smtp_address_parse(to, &address) == 0);
	CHECK(!has_control(from) && !has_control(to));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct sent_log *log;
	struct str all, rest, line;

	if (size < 1)
		return 0;
	all = rest = exact_copy(str_make(data + 1, size - 1));
	if (data[0] & 1) {
		sent_read_mail(all, check, NULL);
	} else {
		log = sent_log_create();
		while (rest.len && str_split(&rest, '\n', &line))
			sent_log_line(log, line, check, NULL);
		sent_log_destroy(log);
	}
	free((void *)(uintptr_t)all.data);
	return 0;
}
