// SPDX-License-Identifier: ISC
// Domain names to their one form, and patterns of them.
#include "base/domain.h"

#include "base/error.h"

#include <idn2.h>

#define LABEL_MAX	63
#define NAME_MAX_OCTETS 253
#define UNICODE_MAX	1024 // more UTF-8 than this cannot become 253 octets

// One label: letters, digits, '_', and '-' inside.
static bool label_is_valid(struct str label)
{
	if (label.len == 0 || label.len > LABEL_MAX)
		return false;
	if (label.data[0] == '-' || label.data[label.len - 1] == '-')
		return false;
	return str_only(label, "abcdefghijklmnopqrstuvwxyz0123456789-_");
}

// The ASCII form: lower case, one trailing dot dropped, checked.
static int normalise_ascii(struct str name, char out[DOMAIN_MAX + 1])
{
	struct str rest;
	struct str label;

	if (name.len && name.data[name.len - 1] == '.')
		name.len--;
	if (name.len == 0 || name.len > NAME_MAX_OCTETS || !str_copy(name, out, DOMAIN_MAX + 1))
		goto refuse;
	str_lower(out, name.len);
	rest = str_make(out, name.len);
	while (str_split(&rest, '.', &label))
		if (!label_is_valid(label))
			goto refuse;
	return 0;
refuse:
	out[0] = '\0';
	return ERR_SYNTAX;
}

int domain_normalise(struct str domain, char out[DOMAIN_MAX + 1])
{
	char unicode[UNICODE_MAX + 1];
	char *ascii = NULL;
	int err;

	out[0] = '\0';
	if (str_is_ascii(domain))
		return normalise_ascii(domain, out);
	if (!str_is_utf8(domain) || !str_copy(domain, unicode, sizeof(unicode)))
		return ERR_SYNTAX;
	err = idn2_to_ascii_8z(unicode, &ascii, IDN2_NFC_INPUT | IDN2_NONTRANSITIONAL);
	if (err == IDN2_MALLOC)
		fatal("out of memory (a domain name)");
	if (err != IDN2_OK)
		return ERR_SYNTAX;
	// Mapping may have made octets that no host name has, such as '/'.
	err = normalise_ascii(str_from(ascii), out);
	idn2_free(ascii);
	return err;
}

bool domain_matches(struct str pattern, struct str domain)
{
	if (str_equal(pattern, STR("*")))
		return true;
	if (str_starts(pattern, STR("*.")))
		pattern = str_skip(pattern, 1);
	if (!str_starts(pattern, STR(".")))
		return str_equal(pattern, domain);
	return domain.len > pattern.len &&
	       str_equal(str_skip(domain, domain.len - pattern.len), pattern);
}
