// SPDX-License-Identifier: ISC
// The key form of account names. It must agree with the key form of addresses.
#include "auth/name.h"

#include "base/error.h"

#include <stdlib.h>
#include <unicase.h>
#include <uninorm.h>

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

static bool has_stray_blank(struct str s)
{
	for (size_t i = 0; i < s.len; i++)
		if (s.data[i] == ' ' && (i == 0 || i + 1 == s.len || s.data[i + 1] == ' '))
			return true;
	return false;
}

static bool is_ascii(struct str s)
{
	for (size_t i = 0; i < s.len; i++)
		if ((unsigned char)s.data[i] >= 0x80)
			return false;
	return true;
}

bool auth_name_is_usual(struct str key)
{
	ptrdiff_t at = str_find_last(key, '@');
	struct str local = at < 0 ? key : str_slice(key, 0, (size_t)at);
	size_t len = 0;

	if (has_stray_blank(local))
		return false;
	if (is_ascii(local))
		return true;
	uint8_t *plain = u8_tolower(
		(const uint8_t *)local.data, local.len, NULL, UNINORM_NFKC, NULL, &len);
	bool same = plain && str_equal(str_make(plain, len), local);
	free(plain);
	return same;
}
