// SPDX-License-Identifier: ISC
// What is read of foreign mechanisms' messages before the library sees them: no name is longer than
// its place, none holds a NUL, and what is written again reads back to the same.
#include "fuzz.h"
#include "auth/sasl_message.h"
#include "base/error.h"

static void check_scram(struct str message)
{
	struct auth_scram_first first;

	if (auth_scram_first_read(message, &first))
		return;
	CHECK(first.name[0] && strlen(first.name) < sizeof first.name);
	CHECK(first.binding == 'n' || first.binding == 'y' || first.binding == 'p');
	CHECK((first.binding == 'p') == (first.binding_name[0] != '\0'));
	CHECK(str_find(message, ',') >= 0);
}

static void check_cram(struct str response)
{
	struct str name;
	char digest[AUTH_CRAM_DIGEST + 1];

	if (auth_cram_response_read(response, &name, digest))
		return;
	CHECK(name.len + 1 + AUTH_CRAM_DIGEST == response.len);
	CHECK(strlen(digest) == AUTH_CRAM_DIGEST);
	CHECK(str_find(name, '\0') < 0);
}

static void check_domain_name(struct str name)
{
	char out[AUTH_NAME_OCTETS], again[AUTH_NAME_OCTETS];

	if (auth_domain_name_read(name, STR("example.kr"), out))
		return;
	CHECK(strlen(out) < sizeof out);
	if (str_find(str_from(out), '@') >= 0 && str_find(str_from(out), '\\') < 0) {
		CHECK(auth_domain_name_read(str_from(out), STR("example.kr"), again) == 0);
		CHECK(!strcmp(out, again));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str octets = exact_copy(str_make(data, size));

	check_scram(octets);
	check_cram(octets);
	check_domain_name(octets);
	free((char *)octets.data);
	return 0;
}
