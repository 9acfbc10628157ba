// SPDX-License-Identifier: ISC
// One table of parameters for MAIL and one for RCPT; each row checks its value.
#include "smtp/parameters.h"

struct parameter {
	const char *keyword;
	int (*set)(struct str value, void *out); // value.data is NULL without "="
};

// ---- xtext (RFC 3461 4)

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

// Octets used by the xtext character at i, 0 when it is none; *out is what it means.
static size_t xtext_octet(struct str s, size_t i, char *out)
{
	char c = s.data[i];

	if (c != '+') {
		*out = c;
		return c >= '!' && c <= '~' && c != '=' ? 1 : 0;
	}
	if (s.len - i < 3 || hex_digit(s.data[i + 1]) < 0 || hex_digit(s.data[i + 2]) < 0)
		return 0;
	*out = (char)(hex_digit(s.data[i + 1]) << 4 | hex_digit(s.data[i + 2]));
	return 3;
}

bool smtp_xtext_valid(struct str s)
{
	char c;

	for (size_t i = 0, n; i < s.len; i += n)
		if (!(n = xtext_octet(s, i, &c)))
			return false;
	return true;
}

int smtp_xtext_encode(struct str s, char *out, size_t out_size)
{
	static const char hex[] = "0123456789ABCDEF";
	size_t len = 0;

	for (size_t i = 0; i < s.len; i++) {
		unsigned char c = (unsigned char)s.data[i];
		bool plain = c >= '!' && c <= '~' && c != '+' && c != '=';

		if (len + (plain ? 1 : 3) >= out_size)
			return ERR_LIMIT;
		if (plain) {
			out[len++] = (char)c;
			continue;
		}
		out[len++] = '+';
		out[len++] = hex[c >> 4];
		out[len++] = hex[c & 15];
	}
	if (!out_size)
		return ERR_LIMIT;
	out[len] = '\0';
	return 0;
}

int smtp_xtext_decode(struct str s, char *out, size_t out_size)
{
	size_t len = 0;
	char c;

	for (size_t i = 0, n; i < s.len; i += n) {
		n = xtext_octet(s, i, &c);
		if (!n || !c) // a NUL would cut the text short
			return ERR_SYNTAX;
		if (len + 1 >= out_size)
			return ERR_LIMIT;
		out[len++] = c;
	}
	if (!out_size)
		return ERR_LIMIT;
	out[len] = '\0';
	return 0;
}

// ---- values of MAIL

// RFC 1870 6: up to 20 digits. What 64 bits cannot hold is over every bound.
static int set_size(struct str value, void *out)
{
	struct smtp_mail_parameters *p = out;

	if (!value.len || value.len > 20 || !str_only(value, "0123456789"))
		return ERR_SYNTAX;
	p->has_size = true;
	if (str_to_u64(value, &p->size) < 0)
		p->size = UINT64_MAX;
	return 0;
}

static int choose(struct str value, const char *const *words, int *out)
{
	for (int i = 0; words[i]; i++) {
		if (str_equal_nocase(value, str_from(words[i]))) {
			*out = i;
			return 0;
		}
	}
	return ERR_SYNTAX;
}

// RFC 6152 2, RFC 3030 3.
static int set_body(struct str value, void *out)
{
	static const char *const words[] = {"7BIT", "8BITMIME", "BINARYMIME", NULL};
	int chosen = 0, err = choose(value, words, &chosen);

	((struct smtp_mail_parameters *)out)->body = (enum smtp_body)chosen;
	return err;
}

// RFC 6531 3.4: no value.
static int set_smtputf8(struct str value, void *out)
{
	((struct smtp_mail_parameters *)out)->smtputf8 = true;
	return value.data ? ERR_SYNTAX : 0;
}

// RFC 3461 4.3.
static int set_ret(struct str value, void *out)
{
	static const char *const words[] = {"FULL", "HDRS", NULL};
	int chosen = 0, err = choose(value, words, &chosen);

	((struct smtp_mail_parameters *)out)->ret = chosen ? SMTP_RET_HDRS : SMTP_RET_FULL;
	return err;
}

// RFC 3461 4.4: printable ASCII once decoded.
static int set_envid(struct str value, void *out)
{
	struct smtp_mail_parameters *p = out;
	char text[SMTP_ENVID_MAX + 1];

	if (value.len > SMTP_ENVID_MAX)
		return ERR_LIMIT;
	if (!value.len || smtp_xtext_decode(value, text, sizeof(text)) < 0)
		return ERR_SYNTAX;
	for (const char *c = text; *c; c++)
		if (*c < ' ' || *c > '~')
			return ERR_SYNTAX;
	str_copy(value, p->envid, sizeof(p->envid));
	return 0;
}

// RFC 4954 5: checked for its form only.
static int set_auth(struct str value, void *out)
{
	((struct smtp_mail_parameters *)out)->has_auth = true;
	return value.len && smtp_xtext_valid(value) ? 0 : ERR_SYNTAX;
}

// ---- values of RCPT

// RFC 3461 4.1.
static int set_notify(struct str value, void *out)
{
	static const char *const words[] = {"NEVER", "SUCCESS", "FAILURE", "DELAY", NULL};
	struct smtp_rcpt_parameters *p = out;
	struct str rest = value, part;
	int chosen = 0;

	if (!value.len || value.data[value.len - 1] == ',')
		return ERR_SYNTAX;
	while (str_split(&rest, ',', &part)) {
		if (choose(part, words, &chosen) < 0)
			return ERR_SYNTAX;
		p->notify |= 1U << chosen;
	}
	return p->notify & SMTP_NOTIFY_NEVER && p->notify != SMTP_NOTIFY_NEVER ? ERR_SYNTAX : 0;
}

// RFC 3461 4.2, and "utf-8" of RFC 6533 3 whose text may hold UTF-8.
static int set_orcpt(struct str value, void *out)
{
	struct smtp_rcpt_parameters *p = out;
	ptrdiff_t semicolon = str_find(value, ';');

	if (value.len > SMTP_ORCPT_MAX)
		return ERR_LIMIT;
	if (semicolon <= 0 || (size_t)semicolon + 1 == value.len)
		return ERR_SYNTAX;

	struct str type = str_slice(value, 0, (size_t)semicolon);
	struct str text = str_skip(value, (size_t)semicolon + 1);

	for (size_t i = 0; i < type.len; i++) {
		char c = char_lower(type.data[i]);

		if (!(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9') && c != '-')
			return ERR_SYNTAX;
	}
	if (!str_equal_nocase(type, STR("utf-8")) ? !smtp_xtext_valid(text) : !str_is_utf8(text))
		return ERR_SYNTAX;
	str_copy(value, p->orcpt, sizeof(p->orcpt));
	return 0;
}

// ---- the tables

static const struct parameter mail_parameters[] = {
	{"SIZE", set_size},
	{"BODY", set_body},
	{"SMTPUTF8", set_smtputf8},
	{"RET", set_ret},
	{"ENVID", set_envid},
	{"AUTH", set_auth},
	{NULL, NULL},
};

static const struct parameter rcpt_parameters[] = {
	{"NOTIFY", set_notify},
	{"ORCPT", set_orcpt},
	{NULL, NULL},
};

// esmtp-keyword and esmtp-value of RFC 5321 4.1.2.
static bool well_formed(struct str keyword, struct str value)
{
	for (size_t i = 0; i < keyword.len; i++) {
		char c = char_lower(keyword.data[i]);

		if (!(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9') && (c != '-' || !i))
			return false;
	}
	for (size_t i = 0; i < value.len; i++) {
		unsigned char c = (unsigned char)value.data[i];

		if (c <= ' ' || c == '=' || c == 0x7f)
			return false;
	}
	return keyword.len > 0 && (!value.data || value.len > 0);
}

static int set_one(struct str word, const struct parameter *table, unsigned *seen, void *out)
{
	ptrdiff_t equals = str_find(word, '=');
	struct str value = equals < 0 ? (struct str){0} : str_skip(word, (size_t)equals + 1);
	struct str keyword = equals < 0 ? word : str_slice(word, 0, (size_t)equals);

	if (!well_formed(keyword, value))
		return ERR_SYNTAX;
	for (unsigned i = 0; table[i].keyword; i++) {
		if (!str_equal_nocase(keyword, str_from(table[i].keyword)))
			continue;
		if (*seen & 1U << i)
			return ERR_EXISTS;
		*seen |= 1U << i;
		return table[i].set(value, out);
	}
	return ERR_UNSUPPORTED;
}

static int parse(struct str s, const struct parameter *table, void *out, struct str *out_offending)
{
	unsigned seen = 0;
	struct str word;

	*out_offending = STR_EMPTY;
	if (s.len && s.data[0] != ' ')
		return ERR_SYNTAX;
	while (str_split(&s, ' ', &word)) {
		int err = word.len ? set_one(word, table, &seen, out) : 0;

		if (err) {
			ptrdiff_t equals = str_find(word, '=');

			*out_offending = equals < 0 ? word : str_slice(word, 0, (size_t)equals);
			return err;
		}
	}
	return 0;
}

int smtp_mail_parameters_parse(
	struct str s, struct smtp_mail_parameters *out, struct str *out_offending)
{
	memset(out, 0, sizeof(*out));
	return parse(s, mail_parameters, out, out_offending);
}

int smtp_rcpt_parameters_parse(
	struct str s, struct smtp_rcpt_parameters *out, struct str *out_offending)
{
	memset(out, 0, sizeof(*out));
	return parse(s, rcpt_parameters, out, out_offending);
}
