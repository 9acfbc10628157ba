// SPDX-License-Identifier: ISC
#include "auth/keytab.h"

// All numbers are big-endian. What is read lies behind what was.
static bool take(struct str *s, size_t len, struct str *out)
{
	if (s->len < len)
		return false;
	*out = str_slice(*s, 0, len);
	*s = str_skip(*s, len);
	return true;
}

static bool take_number(struct str *s, size_t len, uint32_t *out)
{
	struct str octets;

	*out = 0;
	if (!take(s, len, &octets))
		return false;
	for (size_t i = 0; i < len; i++)
		*out = *out << 8 | (unsigned char)octets.data[i];
	return true;
}

static bool take_counted(struct str *s, struct str *out)
{
	uint32_t len;

	return take_number(s, 2, &len) && take(s, len, out);
}

// count, realm, components, and more that nobody asks for.
static bool is_of(struct str entry, struct str service, struct str host)
{
	struct str realm, first, second;
	uint32_t count;

	return take_number(&entry, 2, &count) && count == 2 && take_counted(&entry, &realm) &&
	       take_counted(&entry, &first) && take_counted(&entry, &second) &&
	       str_equal(first, service) && str_equal_nocase(second, host);
}

bool auth_keytab_has(struct str content, struct str service, struct str host)
{
	struct str rest = content, entry;
	uint32_t version, size;

	if (!take_number(&rest, 2, &version) || version != 0x502)
		return false;
	while (take_number(&rest, 4, &size) && size) {
		bool hole = size >> 31; // an entry that was taken out
		if (!take(&rest, hole ? 0u - size : size, &entry))
			return false;
		if (!hole && is_of(entry, service, host))
			return true;
	}
	return false;
}
