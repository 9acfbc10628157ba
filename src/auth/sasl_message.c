// SPDX-License-Identifier: ISC
#include "auth/sasl_message.h"

#include <stdio.h>

// ---- SCRAM
static int hex_comma_equals(struct str escaped, char *out) // what follows a "="
{
	if (str_starts_nocase(escaped, STR("2C")))
		*out = ',';
	else if (str_starts_nocase(escaped, STR("3D")))
		*out = '=';
	else
		return ERR_SYNTAX;
	return 0;
}

static int unescape(struct str name, char out[AUTH_NAME_OCTETS])
{
	size_t used = 0;

	for (size_t i = 0; i < name.len; i++) {
		char c = name.data[i];
		if (c == '\0')
			return ERR_SYNTAX;
		if (c == '=') {
			if (hex_comma_equals(str_skip(name, i + 1), &c))
				return ERR_SYNTAX;
			i += 2;
		}
		if (used + 1 >= AUTH_NAME_OCTETS)
			return ERR_LIMIT;
		out[used++] = c;
	}
	out[used] = '\0';
	return 0;
}

static int read_binding(struct str flag, struct auth_scram_first *out)
{
	out->binding = flag.len ? flag.data[0] : '\0';
	if (out->binding == 'p')
		return str_starts(flag, STR("p=")) && flag.len > 2 &&
				       str_copy(str_skip(flag, 2), out->binding_name,
					       sizeof out->binding_name)
			       ? 0
			       : ERR_SYNTAX;
	return flag.len == 1 && (out->binding == 'n' || out->binding == 'y') ? 0 : ERR_SYNTAX;
}

int auth_scram_first_read(struct str message, struct auth_scram_first *out)
{
	struct str flag, authzid, name;

	*out = (struct auth_scram_first){0};
	if (!str_split(&message, ',', &flag) || !str_split(&message, ',', &authzid) ||
		!str_split(&message, ',', &name) || !message.data)
		return ERR_SYNTAX;
	if (read_binding(flag, out))
		return ERR_SYNTAX;
	if (authzid.len && !str_starts(authzid, STR("a=")))
		return ERR_SYNTAX;
	if (!str_starts(name, STR("n=")) || name.len == 2)
		return ERR_SYNTAX; // also "m=", which must be refused (RFC 5802 5.1)
	int err = unescape(str_skip(authzid, 2), out->authzid);
	return err ? err : unescape(str_skip(name, 2), out->name);
}

// ---- CRAM-MD5
int auth_cram_response_read(
	struct str response, struct str *out_name, char out_digest[AUTH_CRAM_DIGEST + 1])
{
	ptrdiff_t blank = str_find_last(response, ' '); // names may have blanks

	if (blank <= 0 || str_find(response, '\0') >= 0)
		return ERR_SYNTAX;
	struct str digest = str_skip(response, (size_t)blank + 1);
	if (digest.len != AUTH_CRAM_DIGEST || !str_only(digest, "0123456789abcdefABCDEF"))
		return ERR_SYNTAX;
	*out_name = str_slice(response, 0, (size_t)blank);
	(void)str_copy(digest, out_digest, AUTH_CRAM_DIGEST + 1);
	str_lower(out_digest, AUTH_CRAM_DIGEST);
	return 0;
}

// ---- names with domains
static int compose(struct str local, struct str domain, char out[AUTH_NAME_OCTETS])
{
	int n = snprintf(out, AUTH_NAME_OCTETS, "%.*s%s%.*s", STR_ARG(local), domain.len ? "@" : "",
		STR_ARG(domain));

	return n > 0 && n < AUTH_NAME_OCTETS ? 0 : ERR_LIMIT;
}

int auth_domain_name_read(struct str name, struct str domain, char out[AUTH_NAME_OCTETS])
{
	ptrdiff_t slash = str_find(name, '\\');

	if (slash >= 0) {
		struct str before = str_slice(name, 0, (size_t)slash);
		name = str_skip(name, (size_t)slash + 1);
		domain = str_find(before, '.') >= 0 ? before : domain;
	}
	return compose(name, str_find(name, '@') >= 0 ? STR_EMPTY : domain, out);
}
