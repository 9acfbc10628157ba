// SPDX-License-Identifier: ISC
#include "auth/source/ldap_text.h"

#include "base/text.h"

static int add_hex(struct buf *out, char c)
{
	return buf_add_format(out, "\\%02x", (unsigned char)c);
}

static bool is_control(char c)
{
	return (unsigned char)c < ' ' || c == 0x7f;
}

int auth_ldap_escape_filter(struct buf *out, struct str value)
{
	int result = 0;

	for (size_t i = 0; i < value.len && !result; i++) {
		char c = value.data[i];
		bool special = c == '*' || c == '(' || c == ')' || c == '\\' || is_control(c);
		result = special ? add_hex(out, c) : buf_add_char(out, c);
	}
	return result;
}

int auth_ldap_escape_dn(struct buf *out, struct str value)
{
	int result = 0;

	for (size_t i = 0; i < value.len && !result; i++) {
		char c = value.data[i];
		bool at_end = i == 0 || i + 1 == value.len;
		bool special = (c && strchr("\"+,;<>=\\", c)) || is_control(c) ||
			       (at_end && (c == ' ' || c == '#'));
		result = special ? add_hex(out, c) : buf_add_char(out, c);
	}
	return result;
}

void auth_ldap_names_set(struct auth_ldap_names *n, struct str user)
{
	ptrdiff_t at = str_find_last(user, '@');

	*n = (struct auth_ldap_names){
		.user = user, .name = user, .domain = STR_EMPTY, .dn = STR_EMPTY};
	if (at >= 0) {
		n->name = str_slice(user, 0, (size_t)at);
		n->domain = str_skip(user, (size_t)at + 1);
	}
}

int auth_ldap_template_check(struct str template, const char *letters, struct error *err)
{
	for (size_t i = 0; i < template.len; i++) {
		if (template.data[i] != '%')
			continue;
		char c = ++i < template.len ? template.data[i] : '\0';
		if (!c || (c != '%' && !strchr(letters, c)))
			return error_set(err, ERR_SYNTAX,
				TEXT("\"%.*s\": behind %% stands one of %s and %%"),
				STR_ARG(template), letters);
	}
	return 0;
}

bool auth_ldap_template_has(struct str template, const char *letters)
{
	for (size_t i = 0; i + 1 < template.len; i++) {
		if (template.data[i] != '%')
			continue;
		if (strchr(letters, template.data[++i]))
			return true;
	}
	return false;
}

static struct str value_of(const struct auth_ldap_names *names, char letter)
{
	switch (letter) {
	case 'u':
		return names->user;
	case 'n':
		return names->name;
	case 'd':
		return names->domain;
	case 'D':
		return names->dn;
	default:
		return STR_EMPTY;
	}
}

int auth_ldap_template_fill(struct str template, const struct auth_ldap_names *names,
	int (*escape)(struct buf *out, struct str value), struct buf *out)
{
	int result = 0;

	for (size_t i = 0; i < template.len && !result; i++) {
		char c = template.data[i], letter;
		if (c != '%' || i + 1 == template.len) {
			result = buf_add_char(out, c);
			continue;
		}
		letter = template.data[++i];
		result = letter == '%' ? buf_add_char(out, '%')
				       : escape(out, value_of(names, letter));
	}
	return result;
}
