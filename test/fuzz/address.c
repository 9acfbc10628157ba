// SPDX-License-Identifier: ISC
// Whatever is taken as an address has one form that reads back to the same.
#include "fuzz.h"
#include "smtp/address.h"

static void check_again(struct str input, const struct smtp_address *a, bool path)
{
	char key[SMTP_ADDRESS_MAX], key_again[SMTP_ADDRESS_MAX];
	struct smtp_address again;
	size_t used;

	if (path)
		CHECK(smtp_address_parse_path(input, &again, &used) == 0 && used == input.len);
	else
		CHECK(smtp_address_parse(input, &again) == 0);
	CHECK(!strcmp(a->text, again.text) && !strcmp(a->local, again.local));
	CHECK(!strcmp(a->domain, again.domain) && a->literal == again.literal);
	CHECK(a->null == again.null && a->postmaster == again.postmaster);
	smtp_address_key(a, key);
	smtp_address_key(&again, key_again);
	CHECK(!strcmp(key, key_again));
}

static void check_facts(const struct smtp_address *a)
{
	struct str domain = str_from(a->domain), text = str_from(a->text), hidden;
	char normalised[DOMAIN_MAX + 1];

	CHECK(!has_control(text) && str_is_utf8(text));
	CHECK(strlen(a->local) <= SMTP_LOCAL_MAX);
	CHECK(str_is_ascii(domain));
	CHECK(a->null ? !text.len && !a->local[0] : a->local[0] != '\0');
	CHECK(a->literal == str_starts(domain, STR("[")));
	CHECK(!a->literal || a->ip.family);
	if (domain.len) {
		CHECK(str_ends_nocase(text, domain));
		// Nothing but the local part is in front of the last "@".
		CHECK((size_t)str_find_last(text, '@') + 1 + domain.len == text.len);
	}
	if (domain.len && !a->literal) {
		CHECK(domain_normalise(domain, normalised) == 0);
		CHECK(!strcmp(normalised, a->domain));
	}
	if (smtp_address_hidden_domain(a, &hidden)) {
		CHECK(hidden.len && hidden.data >= a->local);
		CHECK(hidden.data + hidden.len <= a->local + strlen(a->local));
	} else {
		CHECK(!hidden.len);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str input = exact_copy(str_make(data, size));
	char bracketed[SMTP_ADDRESS_MAX + 2];
	struct smtp_address a;
	size_t used;

	if (smtp_address_parse_path(input, &a, &used) == 0) {
		CHECK(used >= 2 && used <= size && data[used - 1] == '>');
		check_facts(&a);
		check_again(str_slice(input, 0, used), &a, true);
		snprintf(bracketed, sizeof(bracketed), "<%s>", a.text);
		check_again(str_from(bracketed), &a, true);
		if (a.domain[0])
			check_again(str_from(a.text), &a, false);
	} else {
		CHECK(!used && !a.text[0] && !a.null);
	}
	if (smtp_address_parse(input, &a) == 0) {
		CHECK(a.domain[0]);
		check_facts(&a);
		check_again(str_from(a.text), &a, false);
	}
	free((char *)input.data);
	return 0;
}
