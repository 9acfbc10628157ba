// SPDX-License-Identifier: ISC
// The key form of account names. It must agree with the key form of addresses.
#include "auth/name.h"

#include "base/error.h"

#define LOCAL_MAX 64 // RFC 5321 4.5.3.1.1

static bool has_control(struct str s)
{
	for (size_t i = 0; i < s.len; i++)
		if ((unsigned char)s.data[i] < ' ' || s.data[i] == 0x7f)
			return true;
	return false;
}

int auth_name_key(struct str name, struct str default_domain, char out[AUTH_NAME_MAX + 1])
{
	ptrdiff_t at = str_find_last(name, '@');
	struct str local = at < 0 ? name : str_slice(name, 0, (size_t)at);
	struct str domain = at < 0 ? default_domain : str_skip(name, (size_t)at + 1);

	out[0] = '\0';
	if (local.len == 0 || local.len > LOCAL_MAX || has_control(local) || !str_is_utf8(local))
		return ERR_SYNTAX;
	char *end = out + local.len;
	char normal[DOMAIN_MAX + 1] = "";
	if ((at >= 0 || domain.len) && domain_normalise(domain, normal))
		return ERR_SYNTAX;
	memcpy(out, local.data, local.len);
	str_lower(out, local.len);
	*end = '\0';
	if (normal[0]) {
		*end = '@';
		strcpy(end + 1, normal);
	}
	return 0;
}
