// SPDX-License-Identifier: ISC
// The kinds of settings of servers: listeners, certificates, what is required.
#include "config/config_internal.h"

#include "base/text.h"

// ---- listen "ADDRESS:PORT" [tls starttls|implicit|off]

static const char *const listen_tls[] = {"starttls", "implicit", "off", NULL};

static int parse_listen_address(struct str s, struct config_listen *out)
{
	struct str host;
	if (config_split_port(s, &host, &out->port) < 0 || out->port == 0)
		return ERR_SYNTAX;
	return str_equal(host, STR("*")) ? 0 : ipaddr_parse(host, &out->address);
}

// "tls {" is the server's block, not an option of the listener.
static bool option_follows(const struct config_parser *p)
{
	struct config_tokenizer ahead = p->tokenizer;
	struct config_token after;
	if (!config_next_is(p, "tls"))
		return false;
	config_tokenizer_next(&ahead, &after);
	return after.kind != CONFIG_TOKEN_OPEN;
}

static void parse_listen(struct config_parser *p, const struct config_setting *s, void *base)
{
	const struct config_setting option = {
		.name = TEXT_MARK("tls"), .type = &config_type_choice, .words = listen_tls};
	struct config_server *server = base;
	struct config_listen listen = {.where = config_here(p)};
	struct config_token t;
	if (!config_take_value(p, s, false, &t))
		return;
	bool good = parse_listen_address(t.text, &listen) == 0;
	if (!good)
		config_report_expected(p, s, &t, NULL);
	if (option_follows(p)) {
		config_advance(p);
		if (!config_take_value(p, &option, true, &t))
			return;
		int found = config_choice_of(&option, t.text);
		if (found < 0)
			config_report_expected(p, &option, &t, NULL);
		else
			listen.tls = (enum config_listen_tls)found;
	}
	if (server->listen_count >= 64) {
		config_report(p, 'E', listen.where, TEXT("listen: at most 64 in a server"));
		return;
	}
	if (good)
		*(struct config_listen *)config_array_add(&p->config->arena, &server->listens,
			&server->listen_count, sizeof listen) = listen;
}

static void show_listen(
	const struct config_setting *s, const void *base, unsigned depth, struct buf *out)
{
	const struct config_server *server = base;
	for (size_t i = 0; i < server->listen_count; i++) {
		const struct config_listen *l = &server->listens[i];
		char text[IPADDR_TEXT_MAX];
		const char *host = l->address.family ? ipaddr_format(&l->address, text) : "*";
		bool six = l->address.family == 6;
		config_show_setting(s, depth, out);
		buf_add_format(out, "\"%s%s%s:%u\" tls %s\n", six ? "[" : "", host, six ? "]" : "",
			l->port, listen_tls[l->tls]);
	}
}

static void carry_listen(struct config_codec *c, const struct config_setting *s, void *base)
{
	struct config_server *server = base;
	config_carry_array(c, &server->listens, &server->listen_count, sizeof *server->listens);
	for (size_t i = 0; i < server->listen_count && !c->corrupt; i++) {
		config_carry_ipaddr(c, &server->listens[i].address);
		config_carry_u16(c, &server->listens[i].port);
		config_carry_enum(c, &server->listens[i].tls, CONFIG_LISTEN_NO_TLS);
	}
}

const struct config_type config_type_listen = {
	TEXT_MARK("\"*:PORT\", \"ADDRESS:PORT\" or \"[IPV6]:PORT\""),
	"\"ADDRESS:PORT\" [tls starttls|implicit|off]", true, parse_listen, show_listen,
	carry_listen, NULL};

// ---- certificate "PATH" [key "PATH"] [pass-phrase-file "PATH"]: three settings;
// key and pass phrase belong to the certificate written last. The files are read
// at the end of the block, when it is known where the key is.

static void parse_certificate(struct config_parser *p, const struct config_setting *s, void *base)
{
	struct config_tls *tls = base;
	struct config_place where = config_here(p);
	struct config_token t;
	if (!config_take_value(p, s, false, &t))
		return;
	if (t.text.len == 0 || tls->certificate_count >= 1000) {
		config_report_expected(p, s, &t, NULL);
		return;
	}
	struct config_certificate *c = config_array_add(
		&p->config->arena, &tls->certificates, &tls->certificate_count, sizeof *c);
	c->certificate.path = config_keep(p, config_resolve_path(p, t.text));
	c->where = where;
}

static void parse_of_certificate(
	struct config_parser *p, const struct config_setting *s, void *base)
{
	struct config_tls *tls = base;
	struct config_token t;
	if (!config_take_value(p, s, false, &t))
		return;
	if (t.text.len == 0) {
		config_report_expected(p, s, &t, NULL);
		return;
	}
	struct config_certificate *last =
		tls->certificate_count ? &tls->certificates[tls->certificate_count - 1] : NULL;
	if (!last) {
		config_report(p, 'E', p->name,
			TEXT("%s: expected behind the certificate it belongs to"), s->name);
		return;
	}
	struct config_file *file = s->type == &config_type_key ? &last->key : &last->pass_phrase;
	if (file->path.len)
		config_report(
			p, 'E', p->name, TEXT("%s: this certificate has one already"), s->name);
	file->path = config_keep(p, config_resolve_path(p, t.text));
}

static void show_path(const char *name, struct str path, struct buf *out)
{
	if (path.len == 0)
		return;
	buf_add_format(out, " %s ", name);
	config_show_string(path, out);
}

static void show_certificate(
	const struct config_setting *s, const void *base, unsigned depth, struct buf *out)
{
	const struct config_tls *tls = base;
	for (size_t i = 0; i < tls->certificate_count; i++) {
		const struct config_certificate *c = &tls->certificates[i];
		config_show_setting(s, depth, out);
		config_show_string(c->certificate.path, out);
		show_path("key", c->key.path, out);
		show_path("pass-phrase-file", c->pass_phrase.path, out);
		buf_add_char(out, '\n');
	}
}

// The certificates of a PEM text without the keys in it, for words about them.
static void strip_keys(struct str pem, struct buf *out)
{
	const struct str begin = STR("-----BEGIN CERTIFICATE-----"),
			 end = STR("-----END CERTIFICATE-----");
	for (;;) {
		ptrdiff_t from = str_search(pem, begin);
		pem = str_skip(pem, from < 0 ? pem.len : (size_t)from);
		ptrdiff_t to = str_search(pem, end);
		struct str one = str_slice(pem, 0, to < 0 ? 0 : (size_t)to + end.len);
		// A key can only be inside if the text is damaged.
		if (one.len == 0)
			return;
		if (str_search(one, STR("PRIVATE KEY")) < 0) {
			buf_add_str(out, one);
			buf_add_char(out, '\n');
		}
		pem = str_skip(pem, one.len);
	}
}

static void carry_public_part(struct config_codec *c, const struct config_certificate *own)
{
	struct buf pem = BUF_INIT;
	strip_keys(own->certificate.content, &pem);
	struct config_file certificate = {own->certificate.path, buf_str(&pem)};
	config_carry_file(c, &certificate, true);
	buf_finish(&pem);
}

static void carry_certificate(struct config_codec *c, const struct config_setting *s, void *base)
{
	struct config_tls *tls = base;
	bool visible = (s->secret_for & c->roles) != 0;
	config_carry_array(
		c, &tls->certificates, &tls->certificate_count, sizeof *tls->certificates);
	for (size_t i = 0; i < tls->certificate_count && !c->corrupt; i++) {
		if (c->mode == CONFIG_ENCODE && !visible)
			carry_public_part(c, &tls->certificates[i]);
		else
			config_carry_file(c, &tls->certificates[i].certificate, visible);
		config_carry_file(c, &tls->certificates[i].key, visible);
		config_carry_file(c, &tls->certificates[i].pass_phrase, visible);
	}
}

const struct config_type config_type_certificate = {TEXT_MARK("the path of a PEM file in quotes"),
	"\"PATH\"", true, parse_certificate, show_certificate, carry_certificate, NULL};
const struct config_type config_type_key = {TEXT_MARK("the path of a PEM file in quotes"),
	"\"PATH\"", true, parse_of_certificate, NULL, NULL, NULL};
const struct config_type config_type_pass_phrase = {TEXT_MARK("the path of a file in quotes"),
	"\"PATH\"", true, parse_of_certificate, NULL, NULL, NULL};

// ---- require { tls auth }, compat { help-not-implemented auth-equals qmail }: sets of words

static const char *const require_words[] = {"tls", "auth", NULL};
static const char *const compat_words[] = {"help-not-implemented", "auth-equals", "qmail", NULL};

// Bits of the words in braces, or of one word without.
static unsigned take_set(
	struct config_parser *p, const struct config_setting *s, const char *const *words)
{
	struct config_setting choice = *s;
	struct config_token t;
	bool braces = p->token.kind == CONFIG_TOKEN_OPEN;
	unsigned set = 0;
	choice.words = words;
	if (braces)
		config_advance(p);
	while (!braces || !config_at_end(p)) {
		if (braces && p->token.kind == CONFIG_TOKEN_END) {
			config_advance(p);
			continue;
		}
		if (!config_take_value(p, &choice, true, &t)) {
			if (!braces)
				break;
			config_advance(p);
			continue;
		}
		int found = config_choice_of(&choice, t.text);
		if (found < 0)
			config_report_expected(p, &choice, &t, NULL);
		else
			set |= 1u << found;
		if (!braces)
			break;
	}
	if (braces && p->token.kind == CONFIG_TOKEN_CLOSE)
		config_advance(p);
	return set;
}

static void parse_require(struct config_parser *p, const struct config_setting *s, void *base)
{
	struct config_server *server = base;
	unsigned set = take_set(p, s, require_words);
	server->require_tls = set & 1;
	server->require_auth = set & 2;
}

static void show_require(
	const struct config_setting *s, const void *base, unsigned depth, struct buf *out)
{
	const struct config_server *server = base;
	if (!server->require_tls && !server->require_auth)
		return;
	config_show_setting(s, depth, out);
	buf_add_format(out, "{%s%s }\n", server->require_tls ? " tls" : "",
		server->require_auth ? " auth" : "");
}

static void carry_require(struct config_codec *c, const struct config_setting *s, void *base)
{
	struct config_server *server = base;
	config_carry_bool(c, &server->require_tls);
	config_carry_bool(c, &server->require_auth);
}

// The row names the first of two fields, in a server or in what servers begin with.
static struct config_server *compat_of(const struct config_setting *s, const void *base)
{
	return (struct config_server *)((char *)config_field(s, (void *)base) -
					offsetof(struct config_server, help));
}

static void parse_compat(struct config_parser *p, const struct config_setting *s, void *base)
{
	unsigned set = take_set(p, s, compat_words);
	struct config_server *server = compat_of(s, base);
	server->help = set & 1 ? CONFIG_HELP_SENDMAIL : CONFIG_HELP_PLAIN;
	server->auth_equals = set & 2;
	server->qmail_words = set & 4;
}

static void show_compat(
	const struct config_setting *s, const void *base, unsigned depth, struct buf *out)
{
	const struct config_server *server = compat_of(s, base);
	config_show_setting(s, depth, out);
	buf_add_format(out, "{%s%s%s }\n",
		server->help == CONFIG_HELP_SENDMAIL ? " help-not-implemented" : "",
		server->auth_equals ? " auth-equals" : "", server->qmail_words ? " qmail" : "");
}

static void carry_compat(struct config_codec *c, const struct config_setting *s, void *base)
{
	struct config_server *server = compat_of(s, base);
	config_carry_enum(c, &server->help, CONFIG_HELP_SENDMAIL);
	config_carry_bool(c, &server->auth_equals);
	config_carry_bool(c, &server->qmail_words);
}

const struct config_type config_type_require = {
	NULL, "{ tls auth }", false, parse_require, show_require, carry_require, NULL};
const struct config_type config_type_compat = {
	NULL, "{ help-not-implemented auth-equals qmail }", false, parse_compat, show_compat, carry_compat, NULL};
