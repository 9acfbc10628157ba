// SPDX-License-Identifier: ISC
// The plain kinds of values: numbers, choices, strings, lists of strings, files.
// For each: how it is read, printed and carried.
#include "config/config_internal.h"

#include "base/domain.h"
#include "base/memory.h"
#include "base/text.h"
#include "base/unit.h"

// ---- words about what is expected

static void add_range_end(const struct config_setting *s, uint64_t value, struct buf *out)
{
	char text[UNIT_TEXT_MAX];
	if (s->type == &config_type_size || s->type == &config_type_limit_size)
		buf_add_text(out, unit_format_size(value, text));
	else if (s->type == &config_type_duration || s->type == &config_type_limit_duration)
		buf_add_text(out, unit_format_duration(value, text));
	else
		buf_add_format(out, "%llu", (unsigned long long)value);
}

void config_expected(const struct config_setting *s, struct buf *out)
{
	if (s->words && s->type->what == NULL) {
		buf_add_text(out, TEXT("one of "));
		for (size_t i = 0; s->words[i]; i++)
			buf_add_format(out, "%s\"%s\"", i ? ", " : "", s->words[i]);
		return;
	}
	buf_add_text(out, TEXT(s->type->what));
	if (s->least == 0 && s->most == 0)
		return;
	buf_add_text(out, TEXT(" from "));
	add_range_end(s, s->least, out);
	buf_add_text(out, TEXT(" to "));
	add_range_end(s, s->most, out);
}

// ---- numbers, sizes, times

static int parse_amount(const struct config_setting *s, struct str text, uint64_t *out)
{
	int err;
	if (s->type == &config_type_size)
		err = unit_parse_size(text, out);
	else if (s->type == &config_type_duration)
		err = unit_parse_duration(text, out);
	else
		err = str_to_u64(text, out);
	if (err < 0)
		return err;
	return *out < s->least || *out > s->most ? ERR_LIMIT : 0;
}

static void parse_integer(struct config_parser *p, const struct config_setting *s, void *base)
{
	struct config_token t;
	uint64_t value = 0;
	if (!config_take_value(p, s, true, &t))
		return;
	if (parse_amount(s, t.text, &value) < 0)
		config_report_expected(p, s, &t, NULL);
	else
		*(uint64_t *)config_field(s, base) = value;
}

static void show_integer(
	const struct config_setting *s, const void *base, unsigned depth, struct buf *out)
{
	config_show_setting(s, depth, out);
	add_range_end(s, *(const uint64_t *)config_field(s, base), out);
	buf_add_char(out, '\n');
}

static void carry_integer(struct config_codec *c, const struct config_setting *s, void *base)
{
	config_carry_u64(c, config_field(s, base), s->least, s->most);
}

const struct config_type config_type_number = {
	TEXT_MARK("a number"), "NUMBER", false, parse_integer, show_integer, carry_integer, NULL};
const struct config_type config_type_size = {TEXT_MARK("a size like 50M"), "SIZE", false,
	parse_integer, show_integer, carry_integer, NULL};
const struct config_type config_type_duration = {TEXT_MARK("a time like 90s, 5m, 4h or 3d"), "TIME",
	false, parse_integer, show_integer, carry_integer, NULL};

// ---- choices: the index of a word, in a bool, an enum or a uint64_t

static uint64_t choice_get(const struct config_setting *s, const void *base)
{
	const void *field = config_field(s, base);
	if (s->size == sizeof(bool))
		return *(const bool *)field;
	if (s->size == sizeof(unsigned))
		return *(const unsigned *)field;
	return *(const uint64_t *)field;
}

static void choice_set(const struct config_setting *s, void *base, uint64_t value)
{
	void *field = config_field(s, base);
	if (s->size == sizeof(bool))
		*(bool *)field = value != 0;
	else if (s->size == sizeof(unsigned))
		*(unsigned *)field = (unsigned)value;
	else
		*(uint64_t *)field = value;
}

static size_t choice_count(const struct config_setting *s)
{
	size_t n = 0;
	while (s->words[n])
		n++;
	return n;
}

int config_choice_of(const struct config_setting *s, struct str word)
{
	for (int i = 0; s->words[i]; i++)
		if (str_equal(str_from(s->words[i]), word))
			return i;
	return -1;
}

static void parse_choice(struct config_parser *p, const struct config_setting *s, void *base)
{
	struct config_token t;
	if (!config_take_value(p, s, true, &t))
		return;
	int found = config_choice_of(s, t.text);
	if (found < 0)
		config_report_expected(p, s, &t, NULL);
	else
		choice_set(s, base, (uint64_t)found);
}

static void show_choice(
	const struct config_setting *s, const void *base, unsigned depth, struct buf *out)
{
	config_show_setting(s, depth, out);
	buf_add_format(out, "%s\n", s->words[choice_get(s, base)]);
}

static void carry_choice(struct config_codec *c, const struct config_setting *s, void *base)
{
	uint64_t value = choice_get(s, base);
	config_carry_u64(c, &value, 0, choice_count(s) - 1);
	if (c->mode == CONFIG_DECODE)
		choice_set(s, base, value);
}

const struct config_type config_type_choice = {
	NULL, "WORD", false, parse_choice, show_choice, carry_choice, NULL};

// The tls of a route has a meaning only toward a host.
static void show_route_tls(
	const struct config_setting *s, const void *base, unsigned depth, struct buf *out)
{
	const struct config_route *r = base;
	if (r->kind == CONFIG_ROUTE_SMTP || r->kind == CONFIG_ROUTE_LMTP_HOST)
		show_choice(s, base, depth, out);
}

static void show_route_recipients(
	const struct config_setting *s, const void *base, unsigned depth, struct buf *out)
{
	const struct config_route *r = base;
	if (r->kind != CONFIG_ROUTE_LOCAL && r->kind != CONFIG_ROUTE_REFUSE)
		show_choice(s, base, depth, out);
}

// A server that requires AUTH offers it; "auth off" beside that would only confuse.
static void show_offer(
	const struct config_setting *s, const void *base, unsigned depth, struct buf *out)
{
	const struct config_server *server = base;
	if (!server->require_auth)
		show_choice(s, base, depth, out);
}

const struct config_type config_type_offer = {
	NULL, "WORD", false, parse_choice, show_offer, carry_choice, NULL};
const struct config_type config_type_route_recipients = {
	NULL, "WORD", false, parse_choice, show_route_recipients, carry_choice, NULL};
const struct config_type config_type_route_tls = {
	NULL, "WORD", false, parse_choice, show_route_tls, carry_choice, NULL};

// ---- strings: the types differ in what they make of the text

static void parse_string(struct config_parser *p, const struct config_setting *s, void *base)
{
	struct config_token t;
	struct str value;
	if (!config_take_value(p, s, false, &t))
		return;
	if (s->type->normalise(p, s, &t, &value) == 0)
		*(struct str *)config_field(s, base) = config_keep(p, value);
}

static void show_str(
	const struct config_setting *s, const void *base, unsigned depth, struct buf *out)
{
	const struct str *value = config_field(s, base);
	// An empty path that is not the default says "none".
	if (value->len == 0 && !(s->derived && s->type == &config_type_path))
		return;
	config_show_setting(s, depth, out);
	config_show_string(*value, out);
	buf_add_char(out, '\n');
}

static void carry_string(struct config_codec *c, const struct config_setting *s, void *base)
{
	config_carry_str(c, config_field(s, base));
}

static int expect(struct config_parser *p, const struct config_setting *s,
	const struct config_token *t, bool ok)
{
	if (!ok)
		config_report_expected(p, s, t, NULL);
	return ok ? 0 : ERR_SYNTAX;
}

static bool is_printable(struct str s)
{
	for (size_t i = 0; i < s.len; i++)
		if (s.data[i] < ' ' || s.data[i] > '~')
			return false;
	return true;
}

// Texts end up in replies, which are ASCII (RFC 5321 4.2).
static int normalise_text(struct config_parser *p, const struct config_setting *s,
	const struct config_token *t, struct str *out)
{
	*out = t->text;
	return expect(p, s, t, is_printable(t->text) && t->text.len <= 400);
}

static int normalise_name(struct config_parser *p, const struct config_setting *s,
	const struct config_token *t, struct str *out)
{
	*out = t->text;
	return expect(p, s, t,
		is_printable(t->text) && str_find(t->text, ' ') < 0 && str_find(t->text, '/') < 0 &&
			t->text.len <= 32);
}

static bool has_control(struct str s)
{
	for (size_t i = 0; i < s.len; i++)
		if ((unsigned char)s.data[i] < ' ')
			return true;
	return false;
}

static int normalise_path(struct config_parser *p, const struct config_setting *s,
	const struct config_token *t, struct str *out)
{
	*out = config_resolve_path(p, t->text);
	return expect(p, s, t, !has_control(t->text) && out->len < 4096);
}

static int normalise_maildir(struct config_parser *p, const struct config_setting *s,
	const struct config_token *t, struct str *out)
{
	bool home = str_starts(t->text, STR("%h/")); // no path of ours
	*out = t->text;
	if (!home && normalise_path(p, s, t, out) < 0)
		return ERR_SYNTAX;
	bool user = home;
	for (size_t i = 0; i < t->text.len; i++) {
		if (t->text.data[i] != '%')
			continue;
		char c = ++i < t->text.len ? t->text.data[i] : '\0';
		user = user || c == 'u';
		if (c != 'u' && c != 'd' && c != '%' && !(home && i == 1))
			return expect(p, s, t, false);
	}
	return expect(p, s, t, user && !has_control(t->text) && out->len < 1024);
}

static int normalise_hostname(struct config_parser *p, const struct config_setting *s,
	const struct config_token *t, struct str *out)
{
	char name[DOMAIN_MAX + 1];
	int err = domain_normalise(t->text, name);
	if (err == 0)
		*out = arena_str(&p->scratch, str_from(name));
	return expect(p, s, t, err == 0);
}

// RFC 5321 4.1.2 Dot-string, with octets over 127 as RFC 6531 allows.
static bool is_dot_string(struct str s)
{
	bool after_dot = true;
	for (size_t i = 0; i < s.len; i++) {
		unsigned char c = (unsigned char)s.data[i];
		bool is_dot = c == '.';
		if (is_dot ? after_dot
			   : c <= ' ' || c == 0x7f || strchr("()<>[]:;@\\,\"", c) != NULL)
			return false;
		after_dot = is_dot;
	}
	return s.len > 0 && s.len <= 64 && !after_dot;
}

static int normalise_mailbox(struct config_parser *p, const struct config_setting *s,
	const struct config_token *t, struct str *out)
{
	char domain[DOMAIN_MAX + 1];
	ptrdiff_t at = str_find_last(t->text, '@');
	struct str local = str_slice(t->text, 0, at < 0 ? 0 : (size_t)at);
	if (at < 0 || !is_dot_string(local) ||
		domain_normalise(str_skip(t->text, (size_t)at + 1), domain) < 0)
		return expect(p, s, t, false);
	char *text = arena_format(&p->scratch, "%.*s@%s", STR_ARG(local), domain);
	str_lower(text, local.len);
	*out = str_from(text);
	return 0;
}

// What is handed to another program or service as it is. No control octets but the line breaks and
// tabs of a long query.
static int normalise_phrase(struct config_parser *p, const struct config_setting *s,
	const struct config_token *t, struct str *out)
{
	bool good = str_is_utf8(t->text) && t->text.len <= 4096;
	for (size_t i = 0; i < t->text.len; i++)
		good = good && ((unsigned char)t->text.data[i] >= ' ' ||
				       strchr("\n\t", t->text.data[i])) && t->text.data[i];
	*out = t->text;
	return expect(p, s, t, good);
}

#define STRING_TYPE(what, syntax, normalise)                                                       \
	{                                                                                          \
		what, syntax, false, parse_string, show_str, carry_string, normalise               \
	}

const struct config_type config_type_text = STRING_TYPE(
	TEXT_MARK("a text in quotes, of at most 400 ASCII characters"), "\"TEXT\"", normalise_text);
const struct config_type config_type_phrase = STRING_TYPE(
	TEXT_MARK("a text in quotes, of at most 4096 octets"), "\"TEXT\"", normalise_phrase);
const struct config_type config_type_name =
	STRING_TYPE(TEXT_MARK("a short name in quotes"), "\"NAME\"", normalise_name);
const struct config_type config_type_path =
	STRING_TYPE(TEXT_MARK("a path in quotes"), "\"PATH\"", normalise_path);
const struct config_type config_type_maildir = STRING_TYPE(
	TEXT_MARK("a path in quotes, with %u (local part) and perhaps %d (domain) in it, or one that "
		"begins with %h/"),
	"\"PATH\"", normalise_maildir);
const struct config_type config_type_hostname =
	STRING_TYPE(TEXT_MARK("a host name in quotes, like \"mail.example.kr\""), "\"NAME\"",
		normalise_hostname);
const struct config_type config_type_mailbox =
	STRING_TYPE(TEXT_MARK("an address in quotes, like \"kim@example.kr\""), "\"ADDRESS\"",
		normalise_mailbox);

// ---- one of a few words, kept as it is

static void parse_word(struct config_parser *p, const struct config_setting *s, void *base)
{
	struct config_token t;
	if (!config_take_value(p, s, true, &t))
		return;
	if (config_choice_of(s, t.text) < 0)
		config_report_expected(p, s, &t, NULL);
	else
		*(struct str *)config_field(s, base) = config_keep(p, t.text);
}

static void show_word(
	const struct config_setting *s, const void *base, unsigned depth, struct buf *out)
{
	const struct str *value = config_field(s, base);
	if (value->len == 0)
		return;
	config_show_setting(s, depth, out);
	buf_add_format(out, "%.*s\n", STR_ARG(*value));
}

const struct config_type config_type_word = {
	NULL, "WORD", false, parse_word, show_word, carry_string, NULL};

// ---- ports

static void parse_port(struct config_parser *p, const struct config_setting *s, void *base)
{
	struct config_token t;
	uint64_t value;
	if (!config_take_value(p, s, true, &t))
		return;
	if (str_to_u64(t.text, &value) < 0 || value < 1 || value > 65535)
		config_report_expected(p, s, &t, NULL);
	else
		*(uint16_t *)config_field(s, base) = (uint16_t)value;
}

static void show_port(
	const struct config_setting *s, const void *base, unsigned depth, struct buf *out)
{
	uint16_t port = *(const uint16_t *)config_field(s, base);
	if (port == 0)
		return;
	config_show_setting(s, depth, out);
	buf_add_format(out, "%u\n", port);
}

static void carry_port(struct config_codec *c, const struct config_setting *s, void *base)
{
	config_carry_u16(c, config_field(s, base));
}

const struct config_type config_type_port = {TEXT_MARK("a port from 1 to 65535"), "NUMBER", false,
	parse_port, show_port, carry_port, NULL};

// ---- lists of strings

static void add_item(struct config_parser *p, const struct config_setting *s,
	const struct config_token *t, void *base)
{
	struct config_list *list = config_field(s, base);
	struct str value;
	if (s->type->normalise(p, s, t, &value) < 0)
		return;
	struct str *item =
		config_array_add(&p->config->arena, &list->items, &list->count, sizeof *item);
	*item = config_keep(p, value);
}

static void parse_list(struct config_parser *p, const struct config_setting *s, void *base)
{
	config_take_list(p, s, add_item, base);
}

void config_show_list(const struct config_setting *s, const struct config_list *list,
	unsigned depth, struct buf *out)
{
	if (list->count == 0)
		return;
	config_show_setting(s, depth, out);
	buf_add_char(out, '{');
	for (size_t i = 0; i < list->count; i++) {
		if (list->count > 1) {
			buf_add_char(out, '\n');
			config_show_indent(depth + 1, out);
		} else {
			buf_add_char(out, ' ');
		}
		config_show_string(list->items[i], out);
	}
	if (list->count > 1) {
		buf_add_char(out, '\n');
		config_show_indent(depth, out);
	} else {
		buf_add_char(out, ' ');
	}
	buf_add_text(out, "}\n");
}

static void show_list(
	const struct config_setting *s, const void *base, unsigned depth, struct buf *out)
{
	config_show_list(s, config_field(s, base), depth, out);
}

static void carry_list(struct config_codec *c, const struct config_setting *s, void *base)
{
	config_carry_list(c, config_field(s, base));
}

// Everybody is no proxy: whoever may name another client's address may be anybody.
static int normalise_network(struct config_parser *p, const struct config_setting *s,
	const struct config_token *t, struct str *out)
{
	char text[IPADDR_TEXT_MAX];
	struct ipnet net;
	*out = t->text;
	if (expect(p, s, t, ipnet_parse(t->text, &net) == 0 && net.prefix > 0))
		return ERR_SYNTAX;
	bool single = net.prefix == (net.addr.family == 4 ? 32 : 128);
	ipaddr_format(&net.addr, text);
	*out = str_from(single ? arena_format(&p->scratch, "%s", text) :
		arena_format(&p->scratch, "%s/%u", text, net.prefix));
	return 0;
}

static int normalise_argument(struct config_parser *p, const struct config_setting *s,
	const struct config_token *t, struct str *out)
{
	*out = t->text;
	return expect(p, s, t, !has_control(t->text) && t->text.len <= 4096);
}

// RFC 4422 3.1. That somebody serves it is seen where the mechanisms are (`pabal check`).
static int normalise_mechanism(struct config_parser *p, const struct config_setting *s,
	const struct config_token *t, struct str *out)
{
	static const char *const known[] = {"SCRAM-SHA-512-PLUS", "SCRAM-SHA-512",
		"SCRAM-SHA-256-PLUS", "SCRAM-SHA-256", "SCRAM-SHA-1-PLUS", "SCRAM-SHA-1", "PLAIN",
		"LOGIN", "EXTERNAL", "ANONYMOUS", "OAUTHBEARER", "XOAUTH2", "CRAM-MD5",
		"DIGEST-MD5", "NTLM", "GSSAPI", "GSS-SPNEGO", "OTP", NULL};
	const struct config_setting words = {
		.name = s->name, .type = &config_type_choice, .words = known};
	char *name = arena_format(&p->scratch, "%.*s", STR_ARG(t->text));
	for (char *c = name; *c; c++)
		*c = *c >= 'a' && *c <= 'z' ? (char)(*c - 'a' + 'A') : *c;
	*out = str_from(name);
	if (config_choice_of(&words, *out) >= 0)
		return 0;
	if (str_equal(*out, STR("KERBEROS_V4")))
		config_report(p, 'E', (struct config_place){p->file, t->line, t->column},
			TEXT("%s: no library carries KERBEROS_V4 any more; use GSSAPI"), s->name);
	else
		config_report_expected(p, &words, t, NULL);
	return ERR_SYNTAX;
}

static int normalise_anchor(struct config_parser *p, const struct config_setting *s,
	const struct config_token *t, struct str *out)
{
	*out = t->text;
	return expect(p, s, t,
		str_is_ascii(t->text) && (str_search(t->text, STR(" DS ")) > 0 ||
						 str_search(t->text, STR(" DNSKEY ")) > 0));
}

#define LIST_TYPE(what, syntax, normalise)                                                         \
	{                                                                                          \
		what, syntax, true, parse_list, show_list, carry_list, normalise                   \
	}

const struct config_type config_type_networks =
	LIST_TYPE(TEXT_MARK("addresses or networks in quotes, like \"10.0.0.5\""), "\"NETWORK\"...",
		normalise_network);
const struct config_type config_type_names =
	LIST_TYPE(TEXT_MARK("short names in quotes"), "\"NAME\"...", normalise_name);
const struct config_type config_type_mechanisms = LIST_TYPE(
	TEXT_MARK("SASL mechanisms in quotes"), "\"MECHANISM\"...", normalise_mechanism);
const struct config_type config_type_words =
	LIST_TYPE(TEXT_MARK("texts in quotes"), "\"TEXT\"...", normalise_argument);
const struct config_type config_type_anchors =
	LIST_TYPE(TEXT_MARK("a record in quotes, like \"example.kr. IN DS 12345 13 2 ...\""),
		"\"RECORD\"", normalise_anchor);

// ---- files whose content belongs to the configuration

static void parse_file(struct config_parser *p, const struct config_setting *s, void *base)
{
	struct config_file *file = config_field(s, base);
	enum config_read how = s->type == &config_type_pem	     ? CONFIG_READ_PEM
			       : s->type == &config_type_secret_file ? CONFIG_READ_SECRET
			       : s->type == &config_type_secret_line ? CONFIG_READ_SECRET_LINE
								     : CONFIG_READ_PLAIN;
	struct config_token t;
	struct str path;
	if (!config_take_value(p, s, false, &t) || normalise_path(p, s, &t, &path) < 0)
		return;
	if (t.text.len == 0) {
		config_report_expected(p, s, &t, NULL);
		return;
	}
	file->path = config_keep(p, path);
	struct config_place place = {p->file, t.line, t.column};
	if (config_read_file(p, file->path, how, place, &file->content) < 0)
		file->content = STR_EMPTY;
	else if (s->type == &config_type_authorities)
		config_check_authorities(p, file->content, place);
}

static void show_file(
	const struct config_setting *s, const void *base, unsigned depth, struct buf *out)
{
	const struct config_file *file = config_field(s, base);
	if (file->path.len == 0)
		return;
	config_show_setting(s, depth, out);
	config_show_string(file->path, out);
	buf_add_char(out, '\n');
}

static void carry_file(struct config_codec *c, const struct config_setting *s, void *base)
{
	config_carry_file(c, config_field(s, base), !s->secret_for || (s->secret_for & c->roles));
}

#define FILE_TYPE(what)                                                                            \
	{                                                                                          \
		what, "\"PATH\"", false, parse_file, show_file, carry_file, NULL                   \
	}

const struct config_type config_type_file = FILE_TYPE(TEXT_MARK("a path in quotes"));
const struct config_type config_type_authorities = FILE_TYPE(TEXT_MARK("a path in quotes"));
const struct config_type config_type_pem = FILE_TYPE(TEXT_MARK("a path in quotes"));
const struct config_type config_type_secret_file =
	FILE_TYPE(TEXT_MARK("the path of a file that only the server may read"));
const struct config_type config_type_secret_line =
	FILE_TYPE(TEXT_MARK("the path of a file that only the server may read"));

// ---- one address

static void parse_ipaddr(struct config_parser *p, const struct config_setting *s, void *base)
{
	struct config_token t;
	if (config_take_value(p, s, false, &t) && ipaddr_parse(t.text, config_field(s, base)) < 0)
		config_report_expected(p, s, &t, NULL);
}

static void show_ipaddr(
	const struct config_setting *s, const void *base, unsigned depth, struct buf *out)
{
	const struct ipaddr *a = config_field(s, base);
	char text[IPADDR_TEXT_MAX];
	if (a->family == 0)
		return;
	config_show_setting(s, depth, out);
	buf_add_format(out, "\"%s\"\n", ipaddr_format(a, text));
}

static void carry_ipaddr(struct config_codec *c, const struct config_setting *s, void *base)
{
	config_carry_ipaddr(c, config_field(s, base));
}

const struct config_type config_type_ipaddr = {TEXT_MARK("an IP address in quotes"), "\"ADDRESS\"",
	false, parse_ipaddr, show_ipaddr, carry_ipaddr, NULL};
