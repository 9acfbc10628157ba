// SPDX-License-Identifier: ISC
// A user's name in a filter or a DN is one value: what a directory would read back is the name.
#include "auth/source/ldap_text.h"
#include "fuzz.h"

static int hex(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

// Reads an escaped value back; no octet of specials may stand in it by itself.
static void reads_back(struct str escaped, struct str value, const char *specials)
{
	size_t at = 0;

	for (size_t i = 0; i < escaped.len; i++) {
		char c = escaped.data[i];
		if (c == '\\') {
			CHECK(i + 2 < escaped.len);
			int high = hex(escaped.data[i + 1]), low = hex(escaped.data[i + 2]);
			CHECK(high >= 0 && low >= 0);
			c = (char)(high << 4 | low);
			i += 2;
		} else {
			CHECK(c && !strchr(specials, c));
		}
		CHECK(at < value.len && value.data[at++] == c);
	}
	CHECK(at == value.len);
}

static void one_value(struct str name)
{
	struct buf filter = BUF_INIT, dn = BUF_INIT;

	CHECK(auth_ldap_escape_filter(&filter, name) == 0);
	reads_back(buf_str(&filter), name, "*()\\");
	CHECK(auth_ldap_escape_dn(&dn, name) == 0);
	struct str s = buf_str(&dn);
	reads_back(s, name, "\"+,;<>=\\");
	CHECK(!s.len || (s.data[0] != ' ' && s.data[0] != '#' && s.data[s.len - 1] != ' '));
	buf_finish(&filter);
	buf_finish(&dn);
}

// The first line is a template, the rest a name.
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str rest = exact_copy(str_make(data, size)), template, all = rest;
	struct buf out = {.limit = AUTH_LDAP_TEXT_MAX};
	struct auth_ldap_names names;
	struct error err;

	one_value(all);
	if (str_split(&rest, '\n', &template)) {
		auth_ldap_names_set(&names, rest.len ? rest : STR_EMPTY);
		CHECK(names.name.len + names.domain.len <= names.user.len);
		names.dn = STR("uid=a*b,dc=kr");
		if (auth_ldap_template_check(template, "undD", &err) == 0 &&
			auth_ldap_template_fill(template, &names, auth_ldap_escape_filter, &out) ==
				0)
			CHECK(auth_ldap_template_has(template, "undD%") ||
				str_equal(buf_str(&out), template));
	}
	buf_finish(&out);
	free((char *)all.data);
	return 0;
}
