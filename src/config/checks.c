// SPDX-License-Identifier: ISC
// What is wrong though every single value is right: labels, blocks, and the
// configuration as a whole.
#include "config/config_internal.h"

#include "base/domain.h"
#include "base/text.h"

// ---- labels

int config_open_server(struct config_parser *p, const struct config_token *t, struct str *out)
{
	*out = t->text;
	if (t->text.len && t->text.len <= 32 &&
		str_only(t->text,
			"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_."))
		return 0;
	const struct config_setting words = {.name = "server"};
	config_report_expected(p, &words, t, TEXT("a name of letters, digits, - and _"));
	return ERR_SYNTAX;
}

int config_open_pattern(struct config_parser *p, const struct config_token *t, struct str *out)
{
	char name[DOMAIN_MAX + 1];
	struct str domain = t->text;
	bool below = str_starts(domain, STR("*.")) || str_starts(domain, STR("."));
	*out = STR_EMPTY;
	if (str_equal(domain, STR("*"))) {
		*out = domain;
		return 0;
	}
	if (below)
		domain = str_skip(domain, domain.data[0] == '*' ? 2 : 1);
	if (domain_normalise(domain, name) == 0) {
		*out = str_from(arena_format(&p->scratch, "%s%s", below ? "*." : "", name));
		return 0;
	}
	const struct config_setting words = {.name = TEXT("pattern")};
	config_report_expected(p, &words, t, TEXT("a domain, \"*.DOMAIN\" or \"*\""));
	return ERR_SYNTAX;
}

// ---- tls: reads certificates and keys, now that it is known where the keys are

static void load_certificate(struct config_parser *p, struct config_certificate *c)
{
	bool own_key = c->key.path.len > 0;
	int err = config_read_file(p, c->certificate.path,
		own_key ? CONFIG_READ_PEM : CONFIG_READ_SECRET, c->where, &c->certificate.content);
	if (err == 0 && own_key)
		err = config_read_file(
			p, c->key.path, CONFIG_READ_SECRET, c->where, &c->key.content);
	if (err == 0 && c->pass_phrase.path.len)
		err = config_read_file(p, c->pass_phrase.path, CONFIG_READ_SECRET_LINE, c->where,
			&c->pass_phrase.content);
	if (err == 0)
		config_check_pair(p, c);
}

void config_tls_close(struct config_parser *p, const struct config_frame *f)
{
	struct config_tls *tls = (struct config_tls *)f->base;
	for (size_t i = 0; i < tls->certificate_count; i++)
		load_certificate(p, &tls->certificates[i]);
	struct config_place place = config_place_of(f, "client-certificate");
	if (tls->client_key.path.len && !tls->client_certificate.path.len)
		config_report(p, 'E', config_place_of(f, "client-key"),
			TEXT("client-key: expected client-certificate as well"));
	else if (tls->client_certificate.content.len &&
		 (!tls->client_key.path.len || tls->client_key.content.len))
		config_check_pair(
			p, &(struct config_certificate){.certificate = tls->client_certificate,
				   .key = tls->client_key,
				   .where = place});
}

// ---- server

void config_server_close(struct config_parser *p, const struct config_frame *f)
{
	const struct config_server *s = (const struct config_server *)f->base;
	const struct config *c = p->config;
	bool any_plain = false;
	bool no_listen = s->listen_count == 0 && p->findings->errors == f->errors;
	for (size_t i = 0; i + 1 < c->server_count; i++)
		if (s->name.len && str_equal(c->servers[i].name, s->name))
			config_report(p, 'E', s->where,
				TEXT("server \"%.*s\" is there already in %s"), STR_ARG(s->name),
				config_place_words(p, c->servers[i].where));
	if (no_listen) // and no misspelt one
		config_report(p, 'E', s->where,
			TEXT("server \"%.*s\": expected listen, like listen \"*:25\""),
			STR_ARG(s->name));
	for (size_t i = 0; i < s->listen_count; i++)
		any_plain = any_plain || s->listens[i].tls == CONFIG_LISTEN_NO_TLS;
	if (s->require_tls && any_plain)
		config_report(p, 'E', s->where,
			TEXT("server \"%.*s\" requires TLS and has a listener with tls off"),
			STR_ARG(s->name));
	else if (s->require_auth && any_plain && !s->auth_without_tls)
		config_report(p, 'E', s->where,
			TEXT("server \"%.*s\" requires AUTH and has a listener with tls off, where "
			     "nobody can "
			     "log in: expected auth-without-tls yes"),
			STR_ARG(s->name));
}

// ---- route

static void expect_none(
	struct config_parser *p, const struct config_frame *f, const char *name, const char *action)
{
	struct config_place place = config_place_of(f, name);
	if (place.line)
		config_report(p, 'E', place, TEXT("%s has no meaning in a route that says %s"),
			name, action);
}

static bool lists(const struct config_list *l, struct str name)
{
	for (size_t i = 0; i < l->count; i++)
		if (str_equal_nocase(l->items[i], name))
			return true;
	return false;
}

// What the client can (deliver/login.c).
static void check_mechanisms(
	struct config_parser *p, const struct config_route *r, struct config_place place)
{
	static const char *const known[] = {"SCRAM-SHA-512-PLUS", "SCRAM-SHA-256-PLUS",
		"SCRAM-SHA-1-PLUS", "SCRAM-SHA-512", "SCRAM-SHA-256", "SCRAM-SHA-1", "EXTERNAL",
		"OAUTHBEARER", "XOAUTH2", "CRAM-MD5", "PLAIN", "LOGIN"};
	for (size_t i = 0; i < r->mechanisms.count; i++) {
		struct str name = r->mechanisms.items[i];
		bool found = false;
		for (size_t k = 0; k < ARRAY_SIZE(known); k++)
			found = found || str_equal_nocase(name, str_from(known[k]));
		if (!found)
			config_report(p, 'E', place, TEXT("mechanisms: %.*s cannot be used to log in"),
				STR_ARG(name));
	}
}

static void check_next_hop(
	struct config_parser *p, const struct config_frame *f, struct config_route *r)
{
	struct config_place user = config_place_of(f, "user"),
			    password = config_place_of(f, "password-file"),
			    token = config_place_of(f, "token-file"),
			    mechanisms = config_place_of(f, "mechanisms");
	bool external = lists(&r->mechanisms, STR("EXTERNAL"));
	bool secret = user.line || external;
	// The default must not send a password in the clear.
	if (config_place_of(f, "tls").line == 0)
		r->tls = r->port == 465 && r->kind == CONFIG_ROUTE_SMTP ? CONFIG_ROUTE_TLS_IMPLICIT
			 : secret					? CONFIG_ROUTE_TLS_REQUIRED
									: CONFIG_ROUTE_TLS_OPTIONAL;
	if (user.line && !password.line && !token.line && !external)
		config_report(p, 'E', user, TEXT("user: expected password-file or token-file as well"));
	if (password.line && !user.line)
		config_report(p, 'E', password, TEXT("password-file: expected user as well"));
	if (token.line && !user.line)
		config_report(p, 'E', token, TEXT("token-file: expected user as well"));
	if (token.line && password.line)
		config_report(p, 'E', token, TEXT("token-file and password-file: expected one of them"));
	if (mechanisms.line && !user.line && !external)
		config_report(p, 'E', mechanisms, TEXT("mechanisms: expected user as well"));
	if (mechanisms.line)
		check_mechanisms(p, r, mechanisms);
	if (secret && (r->tls == CONFIG_ROUTE_TLS_OPTIONAL || r->tls == CONFIG_ROUTE_TLS_NEVER))
		config_report(p, 'E', config_place_of(f, "tls"),
			TEXT("tls: the password could be sent without TLS; expected required or "
			     "implicit"));
}

void config_route_close(struct config_parser *p, const struct config_frame *f)
{
	static const char *const of_hosts[] = {
		"tls", "source", "helo", "user", "password-file", "token-file", "mechanisms"};
	struct config_route *r = (struct config_route *)f->base;
	bool socket = r->kind == CONFIG_ROUTE_LMTP_SOCKET;
	bool host = r->kind == CONFIG_ROUTE_SMTP || r->kind == CONFIG_ROUTE_LMTP_HOST;
	bool said = config_place_of(f, "smtp").line || config_place_of(f, "lmtp").line ||
		    config_place_of(f, "local").line || config_place_of(f, "refuse").line;
	if (!said && p->findings->errors > f->errors)
		return;
	if (!said) {
		config_report(p, 'E', r->where,
			TEXT("route \"%.*s\": expected smtp, lmtp, local or refuse"),
			STR_ARG(r->pattern));
		return;
	}
	if (host) {
		check_next_hop(p, f, r);
		return;
	}
	if (!socket)
		expect_none(p, f, "recipients", r->kind == CONFIG_ROUTE_LOCAL ? "local" : "refuse");
	r->tls = socket ? CONFIG_ROUTE_TLS_NEVER : CONFIG_ROUTE_TLS_OPTIONAL;
	for (size_t i = 0; i < ARRAY_SIZE(of_hosts); i++)
		if (!socket || strcmp(of_hosts[i], "helo") != 0)
			expect_none(p, f, of_hosts[i],
				socket				? TEXT("lmtp with a socket")
				: r->kind == CONFIG_ROUTE_LOCAL ? "local"
								: "refuse");
}

// ---- all together

static bool listens_meet(const struct config_listen *a, const struct config_listen *b)
{
	static const struct ipaddr any4 = {.family = 4}, any6 = {.family = 6};
	if (a->port != b->port)
		return false;
	if (a->address.family == 0 || b->address.family == 0)
		return true;
	if (a->address.family != b->address.family)
		return false;
	const struct ipaddr *any = a->address.family == 4 ? &any4 : &any6;
	return ipaddr_equal(&a->address, &b->address) || ipaddr_equal(&a->address, any) ||
	       ipaddr_equal(&b->address, any);
}

// Against all listeners before it.
static void check_listen(struct config_parser *p, size_t server, size_t listen)
{
	const struct config *c = p->config;
	const struct config_listen *own = &c->servers[server].listens[listen];
	for (size_t i = 0; i <= server; i++) {
		size_t end = i == server ? listen : c->servers[i].listen_count;
		for (size_t j = 0; j < end; j++) {
			const struct config_listen *other = &c->servers[i].listens[j];
			if (!listens_meet(own, other))
				continue;
			config_report(p, 'E', own->where,
				TEXT("listen: port %u of this address is taken by server \"%.*s\" "
				     "in %s"),
				own->port, STR_ARG(c->servers[i].name),
				config_place_words(p, other->where));
			return;
		}
	}
}

static bool covers_hostname(const struct config *c, const struct config_tls *tls)
{
	for (size_t i = 0; i < tls->certificate_count; i++)
		if (config_certificate_covers(
			    tls->certificates[i].certificate.content, c->hostname))
			return true;
	return tls->certificate_count == 0;
}

static void check_certificates(struct config_parser *p)
{
	const struct config *c = p->config;
	struct config_place place = p->single[CONFIG_BLOCK_TLS].where;
	if (place.line == 0)
		place.file = p->main_file;
	if (config_needs_certificate(c))
		config_report(p, 'W', place,
			TEXT("no certificate: a self-signed one for \"%.*s\" is made at the first "
			     "start, which mail "
			     "programs warn about; set tls { certificate \"PATH\" }"),
			STR_ARG(c->hostname));
	else if (p->findings->errors == 0 && !covers_hostname(c, &c->tls))
		config_report(p, 'N', c->tls.certificates[0].where,
			TEXT("no certificate of the global tls block names \"%.*s\""),
			STR_ARG(c->hostname));
}

static void check_clients(struct config_parser *p)
{
	const struct config *c = p->config;
	for (size_t i = 1; i < c->client_count; i++) {
		const struct config_client *a = &c->clients[i - 1], *b = &c->clients[i];
		if (a->action != b->action && a->network.prefix == b->network.prefix &&
			ipaddr_equal(&a->network.addr, &b->network.addr))
			config_report(p, 'W', (struct config_place){b->file, b->line, 1},
				TEXT("another rule for this network, in %s, wins over this one"),
				config_place_words(p, (struct config_place){a->file, a->line, 1}));
	}
}

// Two bad labels are both empty, and reported.
static bool same_pattern(struct str a, struct str b)
{
	return a.len && str_equal(a, b);
}

static void check_patterns(struct config_parser *p)
{
	const struct config *c = p->config;
	for (size_t i = 1; i < c->route_count; i++)
		if (same_pattern(c->routes[i - 1].pattern, c->routes[i].pattern))
			config_report(p, 'E', c->routes[i].where,
				TEXT("route \"%.*s\" is there already in %s"),
				STR_ARG(c->routes[i].pattern),
				config_place_words(p, c->routes[i - 1].where));
	for (size_t i = 1; i < c->destination_count; i++)
		if (same_pattern(c->destinations[i - 1].pattern, c->destinations[i].pattern))
			config_report(p, 'E', c->destinations[i].where,
				TEXT("destination \"%.*s\" is there already in %s"),
				STR_ARG(c->destinations[i].pattern),
				config_place_words(p, c->destinations[i - 1].where));
}

// One way into a mailbox: the second that is written is meant by nobody.
void config_mailboxes_close(struct config_parser *p, const struct config_frame *f)
{
	static const char *const ways[] = {"maildir", "mbox", "program"};
	struct config_place first = {0};
	for (size_t i = 0; i < ARRAY_SIZE(ways); i++) {
		struct config_place place = config_place_of(f, ways[i]);
		if (place.line && first.line)
			config_report(p, 'E', place,
				TEXT("%s: one of maildir, mbox and program; another stands in %s"),
				ways[i], config_place_words(p, first));
		else if (place.line)
			first = place;
	}
}

static void check_mailboxes(struct config_parser *p)
{
	const struct config *c = p->config;
	config_mailboxes_close(p, &p->single[CONFIG_BLOCK_DELIVER]);
	for (size_t i = 1; i < c->mailboxes_count; i++)
		if (same_pattern(c->mailboxes[i - 1].pattern, c->mailboxes[i].pattern))
			config_report(p, 'E', c->mailboxes[i].where,
				TEXT("mailboxes \"%.*s\" is there already in %s"),
				STR_ARG(c->mailboxes[i].pattern),
				config_place_words(p, c->mailboxes[i - 1].where));
}

static void check_recipients(struct config_parser *p)
{
	const struct config *c = p->config;
	for (size_t i = 0; i < c->route_count; i++) {
		const struct config_route *r = &c->routes[i];
		bool host = r->kind != CONFIG_ROUTE_LOCAL && r->kind != CONFIG_ROUTE_REFUSE;
		if (host && r->recipients == CONFIG_RECIPIENTS_ANY && r->pattern.len &&
			!config_is_local_domain(c, r->pattern) && c->domain_files.count == 0)
			config_report(p, 'E', r->where,
				TEXT("route \"%.*s\": recipients any is for one of domains"),
				STR_ARG(r->pattern));
	}
}

static void check_times(struct config_parser *p)
{
	const struct config *c = p->config;
	const struct config_frame *f = &p->single[CONFIG_BLOCK_QUEUE];
	// None of them can be 0, unless it was wrong and reported.
	if (!c->queue.life || !c->queue.first_retry || !c->queue.max_retry)
		return;
	if (c->queue.first_retry > c->queue.max_retry)
		config_report(p, 'E',
			config_place_of(f, config_place_of(f, "first-retry").line ? "first-retry"
										  : "max-retry"),
			TEXT("first-retry is longer than max-retry"));
	if (c->queue.delay_warning && c->queue.delay_warning >= c->queue.life)
		config_report(p, 'W',
			config_place_of(f, config_place_of(f, "delay-warning").line
						   ? "delay-warning"
						   : "life"),
			TEXT("delay-warning is not shorter than life: nobody will be warned"));
}

void config_check_all(struct config_parser *p)
{
	const struct config *c = p->config;
	for (size_t i = 0; i < c->server_count; i++)
		for (size_t j = 0; j < c->servers[i].listen_count; j++)
			check_listen(p, i, j);
	check_certificates(p);
	check_clients(p);
	check_patterns(p);
	check_recipients(p);
	check_mailboxes(p);
	check_times(p);
	config_check_sources(p);
	if (c->domains.count == 0 &&
		config_place_of(&p->single[CONFIG_BLOCK_TOP], "domains").line == 0)
		config_report(p, 'W', (struct config_place){p->main_file, 0, 0},
			TEXT("domains is not set: no mail is delivered here"));
}
