// SPDX-License-Identifier: ISC
// The kinds of settings that have a form of their own, outside servers and
// client rules: log target, DNS servers, route target, include.
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
		if (str_to_u64(str_skip(s, (size_t)colon + 1), &port) < 0 || port < 1 ||
			port > 65535)
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

static void show_log_to(
	const struct config_setting *s, const void *base, unsigned depth, struct buf *out)
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
	config_carry_enum(c, &config->log.to, CONFIG_LOG_SYSLOG);
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

static void parse_resolver_servers(
	struct config_parser *p, const struct config_setting *s, void *base)
{
	struct config *c = base;
	if (config_next_is(p, "auto"))
		c->resolver.mode = CONFIG_RESOLVER_AUTO;
	else if (config_next_is(p, "recursion"))
		c->resolver.mode = CONFIG_RESOLVER_RECURSION;
	else {
		config_take_list(p, s, add_dns_server, base);
		return;
	}
	config_advance(p);
}

static void show_resolver_servers(
	const struct config_setting *s, const void *base, unsigned depth, struct buf *out)
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

static void carry_resolver_servers(
	struct config_codec *c, const struct config_setting *s, void *base)
{
	struct config *config = base;
	config_carry_enum(c, &config->resolver.mode, CONFIG_RESOLVER_RECURSION);
	config_carry_list(c, &config->resolver.servers);
}

const struct config_type config_type_resolver_servers = {
	TEXT_MARK(
		"auto, recursion, or addresses in quotes like \"192.0.2.1\" or \"192.0.2.1:5353\""),
	"auto|recursion|\"ADDRESS[:PORT]\"...", false, parse_resolver_servers,
	show_resolver_servers, carry_resolver_servers, NULL};

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
		r->host = str_from(
			arena_format(&p->config->arena, "[%s]", ipaddr_format(&address, text)));
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
			config_report_expected(p, s, &t,
				smtp ? NULL
				     : TEXT("\"/path/of/socket\", \"HOST:PORT\" or \"HOST\""));
		else if (r->port == 0)
			r->port = smtp ? 25 : 24;
	}
}

static void show_route(
	const struct config_setting *s, const void *base, unsigned depth, struct buf *out)
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
	config_carry_enum(c, &r->kind, CONFIG_ROUTE_REFUSE);
	config_carry_str(c, &r->host);
	config_carry_u16(c, &r->port);
	config_carry_str(c, &r->text);
}

const struct config_type config_type_route = {TEXT_MARK("\"HOST:PORT\" or \"HOST\""),
	"\"HOST[:PORT]\"", false, parse_route, show_route, carry_route, NULL};
const struct config_type config_type_route_other = {
	TEXT_MARK("a text in quotes, of at most 400 ASCII characters"), "\"...\"", false,
	parse_route, NULL, NULL, NULL};

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

const struct config_type config_type_include = {TEXT_MARK("the path of a file in quotes"),
	"\"PATH\"", true, parse_include, NULL, NULL, NULL};
