// SPDX-License-Identifier: ISC
// Reads paths and mailboxes. What comes out is in one form only: the local part
// unquoted, the domain as A-labels, and a text that reads back to the same.
#include "smtp/address.h"

#include <stdio.h>

#define DOMAIN_INPUT_MAX 1024 // octets of a domain before conversion to A-labels

// atext of RFC 5322 3.2.3 with UTF-8 (RFC 6531 3.3).
static bool is_atext(char c)
{
	unsigned char u = (unsigned char)c;

	return u >= 0x80 || (u >= '0' && u <= '9') || (u >= 'a' && u <= 'z') ||
	       (u >= 'A' && u <= 'Z') || (u && strchr("!#$%&'*+-/=?^_`{|}~", c));
}

static bool is_printable(char c)
{
	unsigned char u = (unsigned char)c;

	return u >= 0x20 && u != 0x7f;
}

// UTF-8 without the C1 controls, which some terminals obey.
static bool is_clean_utf8(struct str s)
{
	for (size_t i = 0; i + 1 < s.len; i++)
		if ((unsigned char)s.data[i] == 0xc2 && (unsigned char)s.data[i + 1] < 0xa0)
			return false;
	return str_is_utf8(s);
}

// True when local can stand without quotes (Dot-string).
static bool is_dot_string(struct str local)
{
	bool atom = false;

	for (size_t i = 0; i < local.len; i++) {
		if (local.data[i] == '.' ? !atom : !is_atext(local.data[i]))
			return false;
		atom = local.data[i] != '.';
	}
	return atom;
}

static int add_local(struct smtp_address *a, size_t *len, char c)
{
	if (*len == SMTP_LOCAL_MAX)
		return ERR_LIMIT;
	a->local[(*len)++] = c;
	return 0;
}

// Quoted-string of RFC 5321 4.1.2, s starts behind its first quote.
static int parse_quoted(struct str s, struct smtp_address *a, size_t *out_used)
{
	size_t len = 0;
	int err = 0;

	for (size_t i = 0; i < s.len && !err; i++) {
		char c = s.data[i];

		if (c == '"') {
			*out_used = i + 1;
			return len ? 0 : ERR_SYNTAX;
		}
		if (c == '\\') {
			if (++i == s.len || !is_printable(s.data[i]) ||
				(unsigned char)s.data[i] >= 0x80)
				return ERR_SYNTAX;
			c = s.data[i];
		}
		err = is_printable(c) ? add_local(a, &len, c) : ERR_SYNTAX;
	}
	return err ? err : ERR_SYNTAX;
}

static int parse_dot_string(struct str s, struct smtp_address *a, size_t *out_used)
{
	size_t len = 0;

	while (len < s.len && (s.data[len] == '.' || is_atext(s.data[len])))
		len++;
	*out_used = len;
	if (!is_dot_string(str_slice(s, 0, len)))
		return ERR_SYNTAX;
	return str_copy(str_slice(s, 0, len), a->local, sizeof(a->local)) ? 0 : ERR_LIMIT;
}

static int parse_local(struct str s, struct smtp_address *a, size_t *out_used)
{
	size_t used = 0;
	int err;

	if (s.len && s.data[0] == '"') {
		err = parse_quoted(str_skip(s, 1), a, &used);
		used++;
	} else {
		err = parse_dot_string(s, a, &used);
	}
	if (err)
		return err;
	*out_used = used;
	if (str_is_ascii(str_from(a->local)))
		return 0;
	a->utf8 = true;
	return is_clean_utf8(str_from(a->local)) ? 0 : ERR_SYNTAX;
}

// "[192.0.2.1]" or "[IPv6:2001:db8::1]" (RFC 5321 4.1.3). Other tags are not in use.
static int parse_literal(struct str s, struct smtp_address *a)
{
	char text[IPADDR_TEXT_MAX + 8];
	struct str inner = str_slice(s, 1, s.len - 1);
	bool v6 = str_starts_nocase(inner, STR("IPv6:"));

	if (v6)
		inner = str_skip(inner, 5);
	if ((str_find(inner, ':') >= 0) != v6 || ipaddr_parse(inner, &a->ip) < 0)
		return ERR_SYNTAX;
	a->literal = true;
	ipaddr_format_literal(&a->ip, text);
	return str_copy(str_from(text), a->domain, sizeof(a->domain)) ? 0 : ERR_LIMIT;
}

// Domain or literal that fills s.
static int parse_domain(struct str s, struct smtp_address *a)
{
	if (s.len > DOMAIN_INPUT_MAX)
		return ERR_LIMIT;
	if (s.len > 2 && s.data[0] == '[' && s.data[s.len - 1] == ']')
		return parse_literal(s, a);
	for (size_t i = 0; i < s.len; i++)
		if (!is_printable(s.data[i]) || s.data[i] == ' ')
			return ERR_SYNTAX;
	if (!str_is_ascii(s)) {
		a->utf8 = true;
		if (!is_clean_utf8(s))
			return ERR_SYNTAX;
	}
	return domain_normalise(s, a->domain);
}

// "@a,@b:" in front of a mailbox: checked and dropped.
static int skip_route(struct str *s)
{
	struct smtp_address hop;

	while (s->len && s->data[0] == '@') {
		size_t end = 1;
		bool literal = s->len > 1 && s->data[1] == '[';

		// The colons of an IPv6 literal end nothing.
		while (end < s->len && s->data[end] != ',' && (literal || s->data[end] != ':')) {
			if (s->data[end] == ']')
				literal = false;
			end++;
		}
		if (end == s->len)
			return ERR_SYNTAX;
		memset(&hop, 0, sizeof(hop));
		int err = parse_domain(str_slice(*s, 1, end), &hop);
		if (err)
			return err;

		bool last = s->data[end] == ':';

		*s = str_skip(*s, end + 1);
		if (last)
			return 0;
	}
	return ERR_SYNTAX;
}

// Writes a->text from local and domain.
static int write_text(struct smtp_address *a)
{
	struct str local = str_from(a->local);
	char quoted[2 * SMTP_LOCAL_MAX + 3];
	size_t len = 0;

	if (!is_dot_string(local)) {
		quoted[len++] = '"';
		for (size_t i = 0; i < local.len; i++) {
			if (local.data[i] == '"' || local.data[i] == '\\')
				quoted[len++] = '\\';
			quoted[len++] = local.data[i];
		}
		quoted[len++] = '"';
		local = str_make(quoted, len);
	}
	int n = snprintf(a->text, sizeof(a->text), "%.*s@%s", STR_ARG(local), a->domain);

	return n > 0 && (size_t)n < sizeof(a->text) ? 0 : ERR_LIMIT;
}

// Mailbox at the start of s up to an octet of stop (0: up to the end).
static int parse_mailbox(struct str s, char stop, struct smtp_address *a, size_t *out_used)
{
	size_t used = 0;
	int err = parse_local(s, a, &used);

	if (err)
		return err;
	if (stop && used < s.len && s.data[used] == stop && s.data[0] != '"' &&
		str_equal_nocase(str_from(a->local), STR("postmaster"))) {
		a->postmaster = true;
		memcpy(a->local, "postmaster", sizeof("postmaster"));
		memcpy(a->text, "postmaster", sizeof("postmaster"));
		*out_used = used;
		return 0;
	}
	if (used == s.len || s.data[used] != '@')
		return ERR_SYNTAX;

	struct str domain = str_skip(s, used + 1);
	ptrdiff_t end = stop ? str_find(domain, stop) : (ptrdiff_t)domain.len;

	if (end < 0)
		return ERR_SYNTAX;
	*out_used = used + 1 + (size_t)end;
	err = parse_domain(str_slice(domain, 0, (size_t)end), a);
	return err ? err : write_text(a);
}

// A failed parse leaves nothing behind that could be taken for an address.
static int done(struct smtp_address *a, int err)
{
	if (err)
		memset(a, 0, sizeof(*a));
	return err;
}

int smtp_address_parse_path(struct str s, struct smtp_address *out, size_t *out_used)
{
	struct str rest = str_skip(s, 1);
	size_t used = 0;
	int err = 0;

	memset(out, 0, sizeof(*out));
	*out_used = 0;
	if (!s.len || s.data[0] != '<')
		return ERR_SYNTAX;
	if (rest.len && rest.data[0] == '>') {
		out->null = true;
		*out_used = 2;
		return 0;
	}
	if (rest.len && rest.data[0] == '@')
		err = skip_route(&rest);
	if (!err)
		err = parse_mailbox(rest, '>', out, &used);
	if (!err && out->postmaster && rest.data != s.data + 1)
		err = ERR_SYNTAX; // a route to no domain
	if (!err)
		*out_used = (size_t)(rest.data - s.data) + used + 1;
	return done(out, err);
}

int smtp_address_parse(struct str s, struct smtp_address *out)
{
	size_t used = 0;

	memset(out, 0, sizeof(*out));
	return done(out, parse_mailbox(s, 0, out, &used));
}

const char *smtp_address_key(const struct smtp_address *a, char out[SMTP_ADDRESS_MAX])
{
	snprintf(out, SMTP_ADDRESS_MAX, "%.64s%s%.253s", a->local, a->domain[0] ? "@" : "",
		a->domain);
	str_lower(out, strlen(a->local));
	return out;
}

bool smtp_address_hidden_domain(const struct smtp_address *a, struct str *out_domain)
{
	struct str s = str_from(a->local);
	struct str found = STR_EMPTY;
	ptrdiff_t at;

	// Quotes inside the quotes, spaces and brackets are peeled off by naive relays too.
	while (s.len && strchr("\"<> ", s.data[0]))
		s = str_skip(s, 1);
	while (s.len && strchr("\"<> ", s.data[s.len - 1]))
		s.len--;
	if (s.len && s.data[0] == '@') {
		size_t end = 1;

		while (end < s.len && s.data[end] != ',' && s.data[end] != ':' &&
			s.data[end] != '@')
			end++;
		found = str_slice(s, 1, end);
	}
	if (!found.len && (at = str_find_last(s, '@')) >= 0)
		found = str_skip(s, (size_t)at + 1);
	if (!found.len && (at = str_find(s, '!')) >= 0)
		found = str_slice(s, 0, (size_t)at);
	if (!found.len && (at = str_find_last(s, '%')) >= 0)
		found = str_skip(s, (size_t)at + 1);
	while (found.len && strchr("\"<> .", found.data[found.len - 1]))
		found.len--;
	*out_domain = found;
	return found.len > 0;
}
