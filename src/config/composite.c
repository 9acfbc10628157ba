// SPDX-License-Identifier: ISC
// The kinds of settings that have a form of their own: listeners, certificates,
// client rules, route targets and a few more.
#include "config/config_internal.h"

#include "base/domain.h"
#include "base/text.h"

int config_split_port(struct str s, struct str *out_host, uint16_t *out_port)
{
	ptrdiff_t colon = str_find_last(s, ':');
	ptrdiff_t bracket = str_find_last(s, ']');
	uint64_t port = 0;
	*out_host = s;
	if (colon > bracket) {
		*out_host = str_slice(s, 0, (size_t)colon);
		if (str_to_u64(str_skip(s, (size_t)colon + 1), &port) < 0 || port < 1 || port > 65535)
			return ERR_SYNTAX;
	}
	*out_port = (uint16_t)port;
	if (str_starts(*out_host, STR("["))) {
		if (out_host->len < 3 || out_host->data[out_host->len - 1] != ']')
			return ERR_SYNTAX;
		*out_host = str_slice(*out_host, 1, out_host->len - 1);
		return 0;
	}
	// An IPv6 address needs brackets, or its end would be taken for a port.
	return out_host->len == 0 || str_find(*out_host, ':') >= 0 ? ERR_SYNTAX : 0;
}

static void carry_u16(struct config_codec *c, uint16_t *value)
{
	uint64_t wide = *value;
	config_carry_u64(c, &wide, 0, 65535);
	*value = (uint16_t)wide;
}

static void carry_bool(struct config_codec *c, bool *value)
{
	uint64_t wide = *value;
	config_carry_u64(c, &wide, 0, 1);
	*value = wide != 0;
}

// Enums that are not the choice of a setting. most: the last value.
static void carry_enum(struct config_codec *c, void *value, unsigned most)
{
	unsigned narrow;
	memcpy(&narrow, value, sizeof narrow);
	uint64_t wide = narrow;
	config_carry_u64(c, &wide, 0, most);
	narrow = (unsigned)wide;
	memcpy(value, &narrow, sizeof narrow);
}

static bool next_is_word(const struct config_parser *p, const char *word)
{
	return p->token.kind == CONFIG_TOKEN_WORD && str_equal(p->token.text, str_from(word));
}

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
	if (!next_is_word(p, "tls"))
		return false;
	config_tokenizer_next(&ahead, &after);
	return after.kind != CONFIG_TOKEN_OPEN;
}

static void parse_listen(struct config_parser *p, const struct config_setting *s, void *base)
{
	const struct config_setting option = {.name = TEXT_MARK("tls"), .type = &config_type_choice,
		.words = listen_tls};
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

static void show_listen(const struct config_setting *s, const void *base, unsigned depth,
	struct buf *out)
{
	const struct config_server *server = base;
	for (size_t i = 0; i < server->listen_count; i++) {
		const struct config_listen *l = &server->listens[i];
		char text[IPADDR_TEXT_MAX];
		const char *host = l->address.family ? ipaddr_format(&l->address, text) : "*";
		bool six = l->address.family == 6;
		config_show_setting(s, depth, out);
		buf_add_format(out, "\"%s%s%s:%u\" tls %s\n", six ? "[" : "", host, six ? "]" : "", l->port,
			listen_tls[l->tls]);
	}
}

static void carry_listen(struct config_codec *c, const struct config_setting *s, void *base)
{
	struct config_server *server = base;
	config_carry_array(c, &server->listens, &server->listen_count, sizeof *server->listens);
	for (size_t i = 0; i < server->listen_count && !c->corrupt; i++) {
		config_carry_ipaddr(c, &server->listens[i].address);
		carry_u16(c, &server->listens[i].port);
		carry_enum(c, &server->listens[i].tls, CONFIG_LISTEN_NO_TLS);
	}
}

const struct config_type config_type_listen = {
	TEXT_MARK("\"*:PORT\", \"ADDRESS:PORT\" or \"[IPV6]:PORT\""),
	"\"ADDRESS:PORT\" [tls starttls|implicit|off]", true, parse_listen, show_listen, carry_listen,
	NULL};

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
	struct config_certificate *c = config_array_add(&p->config->arena, &tls->certificates,
		&tls->certificate_count, sizeof *c);
	c->certificate.path = config_keep(p, config_resolve_path(p, t.text));
	c->where = where;
}

static void parse_of_certificate(struct config_parser *p, const struct config_setting *s, void *base)
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
		config_report(p, 'E', p->name, TEXT("%s: expected behind the certificate it belongs to"),
			s->name);
		return;
	}
	struct config_file *file = s->type == &config_type_key ? &last->key : &last->pass_phrase;
	if (file->path.len)
		config_report(p, 'E', p->name, TEXT("%s: this certificate has one already"), s->name);
	file->path = config_keep(p, config_resolve_path(p, t.text));
}

static void show_path(const char *name, struct str path, struct buf *out)
{
	if (path.len == 0)
		return;
	buf_add_format(out, " %s ", name);
	config_show_string(path, out);
}

static void show_certificate(const struct config_setting *s, const void *base, unsigned depth,
	struct buf *out)
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

static void carry_certificate(struct config_codec *c, const struct config_setting *s, void *base)
{
	struct config_tls *tls = base;
	bool visible = (s->secret_for & c->roles) != 0;
	config_carry_array(c, &tls->certificates, &tls->certificate_count, sizeof *tls->certificates);
	for (size_t i = 0; i < tls->certificate_count && !c->corrupt; i++) {
		config_carry_file(c, &tls->certificates[i].certificate, visible);
		config_carry_file(c, &tls->certificates[i].key, visible);
		config_carry_file(c, &tls->certificates[i].pass_phrase, visible);
	}
}

const struct config_type config_type_certificate = {TEXT_MARK("the path of a PEM file in quotes"),
	"\"PATH\"", true, parse_certificate, show_certificate, carry_certificate, NULL};
const struct config_type config_type_key = {TEXT_MARK("the path of a PEM file in quotes"), "\"PATH\"",
	true, parse_of_certificate, NULL, NULL, NULL};
const struct config_type config_type_pass_phrase = {TEXT_MARK("the path of a file in quotes"),
	"\"PATH\"", true, parse_of_certificate, NULL, NULL, NULL};

// ---- require { tls auth }, compat { help-not-implemented }: sets of words

static const char *const require_words[] = {"tls", "auth", NULL};
static const char *const compat_words[] = {"help-not-implemented", NULL};

static bool is_end_of_values(const struct config_parser *p)
{
	return p->token.kind == CONFIG_TOKEN_EOF || p->token.kind == CONFIG_TOKEN_CLOSE;
}

// Bits of the words in braces, or of one word without.
static unsigned take_set(struct config_parser *p, const struct config_setting *s,
	const char *const *words)
{
	struct config_setting choice = *s;
	struct config_token t;
	bool braces = p->token.kind == CONFIG_TOKEN_OPEN;
	unsigned set = 0;
	choice.words = words;
	if (braces)
		config_advance(p);
	while (!braces || !is_end_of_values(p)) {
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

static void show_require(const struct config_setting *s, const void *base, unsigned depth,
	struct buf *out)
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
	carry_bool(c, &server->require_tls);
	carry_bool(c, &server->require_auth);
}

static void parse_compat(struct config_parser *p, const struct config_setting *s, void *base)
{
	unsigned set = take_set(p, s, compat_words);
	*(enum config_help *)config_field(s, base) = set & 1 ? CONFIG_HELP_SENDMAIL : CONFIG_HELP_PLAIN;
}

static void show_compat(const struct config_setting *s, const void *base, unsigned depth,
	struct buf *out)
{
	enum config_help help = *(const enum config_help *)config_field(s, base);
	config_show_setting(s, depth, out);
	buf_add_text(out, help == CONFIG_HELP_SENDMAIL ? "{ help-not-implemented }\n" : "{ }\n");
}

static void carry_compat(struct config_codec *c, const struct config_setting *s, void *base)
{
	carry_enum(c, config_field(s, base), CONFIG_HELP_SENDMAIL);
}

const struct config_type config_type_require = {NULL, "{ tls auth }", false, parse_require,
	show_require, carry_require, NULL};
const struct config_type config_type_compat = {NULL, "{ help-not-implemented }", false, parse_compat,
	show_compat, carry_compat, NULL};

// ---- log { to stderr|syslog|file "PATH" }

static const char *const log_to[] = {"stderr", "file", "syslog", NULL};

static void parse_log_to(struct config_parser *p, const struct config_setting *s, void *base)
{
	struct config *c = base;
	struct config_setting choice = *s;
	struct config_token t;
	choice.words = log_to;
	if (!config_take_value(p, &choice, true, &t))
		return;
	int found = config_choice_of(&choice, t.text);
	if (found < 0) {
		config_report_expected(p, &choice, &t, NULL);
		return;
	}
	c->log.to = (enum config_log_to)found;
	if (c->log.to != CONFIG_LOG_FILE || !config_take_value(p, s, false, &t))
		return;
	if (t.text.len == 0)
		config_report_expected(p, s, &t, TEXT("the path of a file in quotes"));
	c->log.file = config_keep(p, config_resolve_path(p, t.text));
}

static void show_log_to(const struct config_setting *s, const void *base, unsigned depth,
	struct buf *out)
{
	const struct config *c = base;
	config_show_setting(s, depth, out);
	buf_add_text(out, log_to[c->log.to]);
	if (c->log.to == CONFIG_LOG_FILE) {
		buf_add_char(out, ' ');
		config_show_string(c->log.file, out);
	}
	buf_add_char(out, '\n');
}

static void carry_log_to(struct config_codec *c, const struct config_setting *s, void *base)
{
	struct config *config = base;
	carry_enum(c, &config->log.to, CONFIG_LOG_SYSLOG);
	config_carry_str(c, &config->log.file);
}

const struct config_type config_type_log_to = {TEXT_MARK("stderr, syslog or file \"PATH\""),
	"stderr|syslog|file \"PATH\"", false, parse_log_to, show_log_to, carry_log_to, NULL};

// ---- resolver { servers auto|recursion|"ADDRESS:PORT"... }

static void add_dns_server(struct config_parser *p, const struct config_setting *s,
	const struct config_token *t, void *base)
{
	struct config *c = base;
	struct ipaddr address;
	struct str host;
	uint16_t port;
	char text[IPADDR_TEXT_MAX];
	bool plain = ipaddr_parse(t->text, &address) == 0;
	if (plain)
		port = 0;
	else if (config_split_port(t->text, &host, &port) < 0 || ipaddr_parse(host, &address) < 0) {
		config_report_expected(p, s, t, NULL);
		return;
	}
	bool six = address.family == 6;
	char *out = arena_format(&p->config->arena, "%s%s%s:%u", six ? "[" : "",
		ipaddr_format(&address, text), six ? "]" : "", port ? port : 53u);
	struct str *item = config_array_add(&p->config->arena, &c->resolver.servers.items,
		&c->resolver.servers.count, sizeof *item);
	*item = str_from(out);
	c->resolver.mode = CONFIG_RESOLVER_SERVERS;
}

static void parse_resolver_servers(struct config_parser *p, const struct config_setting *s, void *base)
{
	struct config *c = base;
	if (next_is_word(p, "auto"))
		c->resolver.mode = CONFIG_RESOLVER_AUTO;
	else if (next_is_word(p, "recursion"))
		c->resolver.mode = CONFIG_RESOLVER_RECURSION;
	else {
		config_take_list(p, s, add_dns_server, base);
		return;
	}
	config_advance(p);
}

static void show_resolver_servers(const struct config_setting *s, const void *base, unsigned depth,
	struct buf *out)
{
	const struct config *c = base;
	config_show_setting(s, depth, out);
	if (c->resolver.mode == CONFIG_RESOLVER_AUTO)
		buf_add_text(out, "auto");
	else if (c->resolver.mode == CONFIG_RESOLVER_RECURSION)
		buf_add_text(out, "recursion");
	for (size_t i = 0; i < c->resolver.servers.count; i++) {
		buf_add_text(out, i ? " " : "");
		config_show_string(c->resolver.servers.items[i], out);
	}
	buf_add_char(out, '\n');
}

static void carry_resolver_servers(struct config_codec *c, const struct config_setting *s, void *base)
{
	struct config *config = base;
	carry_enum(c, &config->resolver.mode, CONFIG_RESOLVER_RECURSION);
	config_carry_list(c, &config->resolver.servers);
}

const struct config_type config_type_resolver_servers = {
	TEXT_MARK("auto, recursion, or addresses in quotes like \"192.0.2.1\" or \"192.0.2.1:5353\""),
	"auto|recursion|\"ADDRESS[:PORT]\"...", false, parse_resolver_servers, show_resolver_servers,
	carry_resolver_servers, NULL};

// ---- route: smtp "HOST:PORT" | lmtp "/SOCKET" | lmtp "HOST:PORT" | local | refuse "TEXT"

static int parse_route_host(struct config_parser *p, struct str s, struct config_route *r)
{
	struct ipaddr address;
	struct str host;
	char name[DOMAIN_MAX + 1];
	bool bare = ipaddr_parse(s, &address) == 0;
	uint16_t port = 0;
	if (bare)
		host = s;
	else if (config_split_port(s, &host, &port) < 0)
		return ERR_SYNTAX;
	if (bare || ipaddr_parse(host, &address) == 0) {
		char text[IPADDR_TEXT_MAX];
		r->host = str_from(arena_format(&p->config->arena, "[%s]", ipaddr_format(&address, text)));
	} else if (domain_normalise(host, name) == 0) {
		r->host = config_keep(p, str_from(name));
	} else {
		return ERR_SYNTAX;
	}
	r->port = port;
	return 0;
}

static void parse_route(struct config_parser *p, const struct config_setting *s, void *base)
{
	static const char *const actions[] = {"smtp", "lmtp", "local", "refuse"};
	struct config_route *r = base;
	struct config_token t;
	for (size_t i = 0; i < ARRAY_SIZE(actions); i++) {
		struct config_place other = config_place_of(p->frame, actions[i]);
		if (other.line && strcmp(actions[i], s->name) != 0)
			config_report(p, 'E', p->name, TEXT("%s: this route says %s already in %s"),
				s->name, actions[i], config_place_words(p, other));
	}
	if (strcmp(s->name, "local") == 0) {
		r->kind = CONFIG_ROUTE_LOCAL;
		return;
	}
	if (!config_take_value(p, s, false, &t))
		return;
	bool smtp = strcmp(s->name, "smtp") == 0;
	if (strcmp(s->name, "refuse") == 0) {
		r->kind = CONFIG_ROUTE_REFUSE;
		struct str text;
		if (config_type_text.normalise(p, s, &t, &text) == 0)
			r->text = config_keep(p, text);
	} else if (!smtp && str_starts(t.text, STR("/"))) {
		r->kind = CONFIG_ROUTE_LMTP_SOCKET;
		r->host = config_keep(p, t.text);
	} else {
		r->kind = smtp ? CONFIG_ROUTE_SMTP : CONFIG_ROUTE_LMTP_HOST;
		if (parse_route_host(p, t.text, r) < 0)
			config_report_expected(p, s, &t, smtp ? NULL :
				TEXT("\"/path/of/socket\", \"HOST:PORT\" or \"HOST\""));
		else if (r->port == 0)
			r->port = smtp ? 25 : 24;
	}
}

static void show_route(const struct config_setting *s, const void *base, unsigned depth,
	struct buf *out)
{
	const struct config_route *r = base;
	static const char *const names[] = {"smtp", "lmtp", "lmtp", "local", "refuse"};
	config_show_indent(depth, out);
	buf_add_text(out, names[r->kind]);
	if (r->kind == CONFIG_ROUTE_SMTP || r->kind == CONFIG_ROUTE_LMTP_HOST)
		buf_add_format(out, " \"%.*s:%u\"", STR_ARG(r->host), r->port);
	else if (r->kind != CONFIG_ROUTE_LOCAL) {
		buf_add_char(out, ' ');
		config_show_string(r->kind == CONFIG_ROUTE_REFUSE ? r->text : r->host, out);
	}
	buf_add_char(out, '\n');
}

static void carry_route(struct config_codec *c, const struct config_setting *s, void *base)
{
	struct config_route *r = base;
	carry_enum(c, &r->kind, CONFIG_ROUTE_REFUSE);
	config_carry_str(c, &r->host);
	carry_u16(c, &r->port);
	config_carry_str(c, &r->text);
}

const struct config_type config_type_route = {TEXT_MARK("\"HOST:PORT\" or \"HOST\""),
	"\"HOST[:PORT]\"", false, parse_route, show_route, carry_route, NULL};
const struct config_type config_type_route_other = {
	TEXT_MARK("a text in quotes, of at most 400 ASCII characters"), "\"...\"", false, parse_route,
	NULL, NULL, NULL};

// ---- clients { "NETWORK" relay|allow|deny ["TEXT"] ... }, relay-from "NETWORK"...

static const char *const client_actions[] = {"relay", "deny", "allow", NULL};

static bool is_range(const struct ipnet *n, const char *text)
{
	struct ipnet range;
	return ipnet_parse(str_from(text), &range) == 0 && range.prefix == n->prefix &&
		ipaddr_equal(&range.addr, &n->addr);
}

// A single private address that ends in .1 or .254 is mostly a router or a
// container bridge, behind which everybody looks the same.
static bool looks_like_gateway(const struct ipnet *n)
{
	const uint8_t *o = n->addr.octets;
	bool private_net = o[0] == 10 || (o[0] == 172 && (o[1] & 0xf0) == 16) ||
		(o[0] == 192 && o[1] == 168);
	return n->addr.family == 4 && n->prefix == 32 && private_net && (o[3] == 1 || o[3] == 254);
}

static void check_relay(struct config_parser *p, const struct config_token *t, const struct ipnet *n)
{
	struct config_place place = {p->file, t->line, t->column};
	if (n->prefix == 0) {
		config_report(p, 'E', place,
			TEXT("relay for \"%.*s\" makes an open relay: expected your own networks"),
			STR_ARG(t->text));
	} else if (n->prefix < (n->addr.family == 4 ? 8 : 16)) {
		config_report(p, 'W', place, TEXT("relay for \"%.*s\": this is a large part of the Internet"),
			STR_ARG(t->text));
	} else if (is_range(n, "10.0.0.0/8") || is_range(n, "172.16.0.0/12") ||
		is_range(n, "192.168.0.0/16") || is_range(n, "fc00::/7")) {
		config_report(p, 'W', place,
			TEXT("relay for the whole private range \"%.*s\": name only the networks you know"),
			STR_ARG(t->text));
	} else if (looks_like_gateway(n)) {
		config_report(p, 'W', place,
			TEXT("relay for \"%.*s\": if this is a gateway, a proxy or a container bridge, "
			"everyone behind it may relay"), STR_ARG(t->text));
	}
}

static bool parse_network(struct config_parser *p, const struct config_setting *s,
	const struct config_token *t, struct ipnet *out)
{
	if (ipnet_parse(t->text, out) == 0)
		return true;
	config_report_expected(p, s, t, TEXT("a network in quotes, like \"192.168.2.0/24\""));
	return false;
}

static struct config_client *add_client(struct config_parser *p, const struct config_token *t,
	const struct ipnet *network)
{
	struct config *c = p->config;
	struct config_client *client = config_array_add(&c->arena, &c->clients, &c->client_count,
		sizeof *client);
	client->network = *network;
	client->file = p->file;
	client->line = t->line;
	client->text = STR_EMPTY;
	return client;
}

static void add_relay(struct config_parser *p, const struct config_setting *s,
	const struct config_token *t, void *base)
{
	struct ipnet network;
	if (!parse_network(p, s, t, &network))
		return;
	check_relay(p, t, &network);
	add_client(p, t, &network)->action = CONFIG_CLIENT_RELAY;
}

static void parse_relay_from(struct config_parser *p, const struct config_setting *s, void *base)
{
	config_take_list(p, s, add_relay, base);
}

// One rule; the parser stands at its network.
static void parse_client(struct config_parser *p, const struct config_setting *s)
{
	const struct config_setting action = {.name = s->name, .type = &config_type_choice,
		.words = client_actions};
	const struct config_setting text = {.name = "deny", .type = &config_type_text};
	struct config_token net, word, reason;
	struct ipnet network;
	if (!config_take_value(p, s, false, &net)) {
		config_advance(p);
		return;
	}
	bool good = parse_network(p, s, &net, &network);
	if (!config_take_value(p, &action, true, &word))
		return;
	int found = config_choice_of(&action, word.text);
	if (found < 0)
		config_report_expected(p, &action, &word, NULL);
	struct str denied = STR_EMPTY;
	// A string here is the text of a deny, unless an action follows it.
	if (found == CONFIG_CLIENT_DENY && p->token.kind == CONFIG_TOKEN_STRING) {
		struct config_tokenizer ahead = p->tokenizer;
		config_tokenizer_next(&ahead, &reason);
		if (reason.kind != CONFIG_TOKEN_WORD && config_take_value(p, &text, false, &reason))
			if (config_type_text.normalise(p, &text, &reason, &denied) < 0)
				good = false;
	}
	if (!good || found < 0)
		return;
	if (found == CONFIG_CLIENT_RELAY)
		check_relay(p, &net, &network);
	struct config_client *client = add_client(p, &net, &network);
	client->action = (enum config_client_action)found;
	client->text = config_keep(p, denied);
}

static void parse_clients(struct config_parser *p, const struct config_setting *s, void *base)
{
	if (p->token.kind != CONFIG_TOKEN_OPEN) {
		config_report_expected(p, s, &p->token, TEXT("{ and rules like \"192.168.2.0/24\" relay"));
		return;
	}
	config_advance(p);
	while (!is_end_of_values(p)) {
		if (p->token.kind == CONFIG_TOKEN_END)
			config_advance(p);
		else
			parse_client(p, s);
	}
	if (p->token.kind == CONFIG_TOKEN_CLOSE)
		config_advance(p);
	else
		config_report_expected(p, s, &p->token, "}");
}

static void show_clients(const struct config_setting *s, const void *base, unsigned depth,
	struct buf *out)
{
	const struct config *c = base;
	char text[IPADDR_TEXT_MAX];
	if (c->client_count == 0)
		return;
	config_show_setting(s, depth, out);
	buf_add_text(out, "{\n");
	for (size_t i = 0; i < c->client_count; i++) {
		const struct config_client *client = &c->clients[i];
		config_show_indent(depth + 1, out);
		buf_add_format(out, "\"%s/%u\" %s", ipaddr_format(&client->network.addr, text),
			client->network.prefix, client_actions[client->action]);
		if (client->text.len) {
			buf_add_char(out, ' ');
			config_show_string(client->text, out);
		}
		buf_add_char(out, '\n');
	}
	config_show_indent(depth, out);
	buf_add_text(out, "}\n");
}

static void carry_clients(struct config_codec *c, const struct config_setting *s, void *base)
{
	struct config *config = base;
	config_carry_array(c, &config->clients, &config->client_count, sizeof *config->clients);
	for (size_t i = 0; i < config->client_count && !c->corrupt; i++) {
		struct config_client *client = &config->clients[i];
		uint64_t prefix = client->network.prefix, line = client->line;
		config_carry_ipaddr(c, &client->network.addr);
		config_carry_u64(c, &prefix, 0, client->network.addr.family == 4 ? 32 : 128);
		carry_enum(c, &client->action, CONFIG_CLIENT_ALLOW);
		config_carry_str(c, &client->text);
		config_carry_str(c, &client->file);
		config_carry_u64(c, &line, 0, UINT32_MAX);
		client->network.prefix = (uint8_t)prefix;
		client->line = (unsigned)line;
		c->corrupt = c->corrupt || client->network.addr.family == 0;
	}
}

const struct config_type config_type_clients = {
	TEXT_MARK("a network in quotes, like \"192.168.2.0/24\""),
	"{ \"NETWORK\" relay|allow|deny [\"TEXT\"] ... }", true, parse_clients, show_clients,
	carry_clients, NULL};
const struct config_type config_type_relay_from = {
	TEXT_MARK("networks in quotes, like \"192.168.2.0/24\""), "\"NETWORK\"...", true,
	parse_relay_from, NULL, NULL, NULL};

// ---- include "PATH"

static void parse_include(struct config_parser *p, const struct config_setting *s, void *base)
{
	struct config_token t;
	if (!config_take_value(p, s, false, &t))
		return;
	if (t.text.len == 0)
		config_report_expected(p, s, &t, NULL);
	else
		config_include(p, config_resolve_path(p, t.text));
}

const struct config_type config_type_include = {TEXT_MARK("the path of a file in quotes"), "\"PATH\"",
	true, parse_include, NULL, NULL, NULL};
