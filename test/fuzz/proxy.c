// SPDX-License-Identifier: ISC
// The header of the PROXY protocol: read whole and octet by octet it says the same, and what it
// gives lies inside of it.
#include "base/error.h"
#include "fuzz.h"
#include "net/proxy.h"

static void check_good(struct str input, const struct proxy_header *h, size_t used)
{
	struct str rest = h->tlvs, value;
	size_t walked = 0;
	uint8_t type;

	CHECK(used && used <= input.len && used <= PROXY_HEADER_MAX);
	CHECK(h->version == 1 || h->version == 2);
	CHECK((h->client.family == 0) == h->local && (h->server.family == 0) == h->local);
	while (proxy_next_tlv(&rest, &type, &value)) {
		CHECK(value.data >= input.data && value.data + value.len <= input.data + used);
		walked += 3 + value.len;
	}
	CHECK(walked == h->tlvs.len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str input = str_make(data, size);
	struct proxy_header h, part;
	size_t used, some;
	int whole = proxy_parse(input, &h, &used), pieces = ERR_NOT_FOUND;

	if (whole == 0)
		check_good(input, &h, used);
	else
		CHECK(used == 0 || whole == ERR_SYNTAX);
	for (size_t len = 0; len <= size && pieces == ERR_NOT_FOUND; len++) {
		struct str copy = exact_copy(str_slice(input, 0, len));
		pieces = proxy_parse(copy, &part, &some);
		CHECK(pieces != 0 || len == used);
		free((char *)copy.data);
	}
	CHECK(pieces == whole);
	return 0;
}
