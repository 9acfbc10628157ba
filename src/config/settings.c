// SPDX-License-Identifier: ISC
// THE table of settings. The parser, the defaults, `pabal check --show`, the
// comparison at a reload, the snapshots of the roles and the manual page are
// made from it. A new setting is a row here and a field in config.h; the blocks
// they stand in are in blocks.c.
#include "config/config_internal.h"
#include "config/role_words.h"

#include "base/event.h"
#include "base/text.h"

#define FIELD(type, member) offsetof(struct type, member), sizeof(((struct type *)0)->member)
#define NO_FIELD	    0, 0
#define COMPAT_SIZE /* all its fields */ \
	(offsetof(struct config_server, qmail_words) + sizeof(bool) - \
		offsetof(struct config_server, help))

#define KIB    ((uint64_t)1024)
#define MIB    (1024 * KIB)
#define GIB    (1024 * MIB)
#define SECOND ((uint64_t)1000)
#define HOUR   (3600 * SECOND)
#define DAY    (24 * HOUR)

static const char *const no_yes[] = {"no", "yes", NULL};
static const char *const off_offer[] = {"off", "offer", NULL};
static const char *const tls_versions[] = {"1.0", "1.1", "1.2", "1.3", NULL};
static const char *const route_tls[] = {"optional", "required", "implicit", "never", NULL};
static const char *const route_recipients[] = {"accounts", "any", NULL};
static const char *const quota_over[] = {"defer", "refuse", NULL};
static const char *const quota_postmaster[] = {"pass", "count", NULL};
static const char *const sender_rules[] = {"any", "envelope", "relaxed", "strict", NULL};
static const char *const log_formats[] = {"key-value", "json", NULL};
static const char *const log_levels[] = {"debug", "info", "warning", "error", NULL};
static const char *const guard_actions[] = {"off", "report", "slow", "hold", "suspend", NULL};
static const char *const guard_notify[] = {"nobody", "administrator", "everybody", NULL};
static const char *const stop_continue[] = {"stop", "continue", NULL};
static const char *const drop_delay[] = {"drop", "delay", NULL};
static const char *const forward_files[] = {"none", "forward", "qmail", NULL};
static const char *const sql_engines[] = {"sqlite", "postgresql", "mysql", NULL};
static const char *const ldap_scopes[] = {"one", "sub", NULL};

_Static_assert(EVENT_DEBUG == 0 && EVENT_ERROR == 3, "log_levels follows enum event_level");

// ---- checks of single values
static void check_tls_min(struct config_parser *p, const struct config_setting *s, const void *base)
{
	const struct config_tls *tls = base;
	if (tls->min < CONFIG_TLS_1_2)
		config_report(p, 'W', p->name,
			TEXT("min %s: TLS before 1.2 is broken; only for clients that know nothing "
			     "newer"),
			tls_versions[tls->min]);
}

static void check_auth_without_tls(
	struct config_parser *p, const struct config_setting *s, const void *base)
{
	const struct config_server *server = base;
	if (server->auth_without_tls)
		config_report(p, 'W', p->name,
			TEXT("auth-without-tls: passwords can be read by everyone on the way"));
}

static void check_hostname(
	struct config_parser *p, const struct config_setting *s, const void *base)
{
	const struct config *c = base;
	if (c->hostname.len && str_find(c->hostname, '.') < 0)
		config_report(p, 'W', p->name,
			TEXT("hostname \"%.*s\" has no dot: many servers refuse mail from such a "
			     "name"),
			STR_ARG(c->hostname));
}

static void check_separator(
	struct config_parser *p, const struct config_setting *s, const void *base)
{
	const struct config *c = base;
	if (!str_only(c->deliver.separator, "+-_.=#~"))
		config_report(p, 'E', p->name,
			TEXT("separator \"%.*s\": expected one or several of + - _ . = # ~"),
			STR_ARG(c->deliver.separator));
}

static void check_external_map(
	struct config_parser *p, const struct config_setting *s, const void *base)
{
	static const char *const by[] = {"email ", "subject ", "fingerprint "};
	const struct config *c = base;
	const struct config_list *map = &c->auth.external;
	for (size_t i = 0; i < map->count; i += 2) {
		bool known = false;
		for (size_t k = 0; k < ARRAY_SIZE(by); k++)
			known = known || str_starts(map->items[i], str_from(by[k]));
		if (!known)
			config_report(p, 'E', p->name,
				TEXT("map: \"%.*s\" does not begin with email, subject or "
				     "fingerprint"),
				STR_ARG(map->items[i]));
	}
	if (map->count % 2)
		config_report(p, 'E', p->name, TEXT("map: the account of \"%.*s\" is missing"),
			STR_ARG(map->items[map->count - 1]));
}

static void check_winbind_helper(
	struct config_parser *p, const struct config_setting *s, const void *base)
{
	const struct config *c = base;
	const struct config_list *helper = &c->auth.winbind.helper;
	if (helper->count && !str_starts(helper->items[0], STR("/")))
		config_report(p, 'E', p->name, TEXT("helper: expected a program with its whole path"));
}

static void check_program(struct config_parser *p, const struct config_setting *s, const void *base)
{
	const struct config_list *program = config_field(s, base);
	if (program->count && !str_starts(program->items[0], STR("/")))
		config_report(p, 'E', p->name, TEXT("program: expected a program with its whole path"));
}

static void check_winbind_map(
	struct config_parser *p, const struct config_setting *s, const void *base)
{
	const struct config *c = base;
	const struct config_list *map = &c->auth.winbind.map;
	if (map->count % 2)
		config_report(p, 'E', p->name,
			TEXT("map: the domain of the accounts of \"%.*s\" is missing"),
			STR_ARG(map->items[map->count - 1]));
}

// clang-format off
// Rows of one block lie together; config_blocks below says what each block is.
static const struct config_setting settings[] = {
	// ---- the file itself
	{CONFIG_BLOCK_TOP, "hostname", &config_type_hostname, FIELD(config, hostname), NULL, 's', ALL,
		TEXT_MARK("The name of this machine as other servers see it: in the banner, in HELO, "
		"in Received fields and message identifiers."),
		.derived = TEXT_MARK("the machine's own name when that has a dot"), .check = check_hostname},
	{CONFIG_BLOCK_TOP, "domains", &config_type_domains, FIELD(config, domains), NULL, 'l', ALL,
		TEXT_MARK("The domains whose mailboxes are here. Mail for every other domain is relayed "
		"only for accounts and networks that may. from \"PATH\" reads more of them from a list, a "
		"domain a line, as qmail's rcpthosts and locals: .example.kr is every name below it; a path "
		"that ends in .cdb is a morercpthosts.cdb. A changed list is in force at once.")},
	{CONFIG_BLOCK_TOP, "relay-domains", &config_type_relay_domains, FIELD(config, relay_domains), NULL,
		'l', MASTER | SMTPD | QUEUE,
		TEXT_MARK("Domains that are not here but for which mail is taken from everybody and passed on, "
		"by their route or MX (a backup MX, a gateway before another server): what qmail has in "
		"rcpthosts and not in locals. Which addresses exist there is not known here. from \"PATH\" "
		"as in domains; a name that is in both is one of domains.")},
	{CONFIG_BLOCK_TOP, "postmaster", &config_type_mailbox, FIELD(config, postmaster), NULL, 'l', ALL,
		TEXT_MARK("Who gets mail to postmaster and abuse of each local domain, and bounces that "
		"cannot be delivered. Must be set.")},
	{CONFIG_BLOCK_TOP, "aliases-programs", &config_type_choice, FIELD(config, aliases_programs), "no",
		'l', MASTER | QUEUE | LOCAL,
		TEXT_MARK("Whether an alias may lead to a program (\"|/usr/bin/program\") or a file "
		"(/var/mail/archive). What is in the way of such an alias is refused otherwise."),
		.words = no_yes},
	{CONFIG_BLOCK_TOP, "clients", &config_type_clients, FIELD(config, clients), NULL, 'l',
		MASTER | SMTPD,
		TEXT_MARK("What an address may do: relay (send to any domain without an account), deny "
		"with a text, or allow (nothing special: an exception from a wider rule). The longest "
		"prefix wins; at equal length deny goes first. A deny without a text closes the connection "
		"without a word. senders { \"DOMAIN\"... } behind relay or allow binds the network to senders "
		"of these domains.")},
	{CONFIG_BLOCK_TOP, "relay-from", &config_type_relay_from, NO_FIELD, NULL, 'l', MASTER | SMTPD,
		TEXT_MARK("Short for clients { \"NETWORK\" relay }.")},
	{CONFIG_BLOCK_TOP, "rules", &config_type_paths, FIELD(config, rules), NULL, 'l', MASTER,
		TEXT_MARK("Client rules as tcpserver has them: the text for tcprules (/etc/tcp.smtp), or, when "
		"the path ends in .cdb, what tcprules made of it. They form one table with clients: of rules "
		"for the same clients a deny goes first, then clients, then the files as written. RELAYCLIENT, "
		"DATABYTES, RBLSMTPD and MAXRCPT are known. IPv6 and ADDRESS/LENGTH may stand there as well. A "
		"changed file is in force at once; one with an error leaves the rules as they were.")},
	{CONFIG_BLOCK_TOP, "aliases", &config_type_paths, FIELD(config, aliases), NULL, 'l', MASTER,
		TEXT_MARK("Files in the format of /etc/aliases: NAME: TARGET, TARGET... Of a name that is there "
		"twice the first counts. A changed file is in force at once, without newaliases.")},
	{CONFIG_BLOCK_TOP, "include", &config_type_include, NO_FIELD, NULL, 'l', MASTER,
		TEXT_MARK("Reads another file as if it stood here. A path that does not begin with / "
		"starts at the folder of this file; the same holds for every path.")},
	{CONFIG_BLOCK_TOP, "state-folder", &config_type_path, FIELD(config, state_folder),
		"\"/var/lib/pabal\"", 'r', ALL, TEXT_MARK("Databases, spool and mailboxes.")},
	{CONFIG_BLOCK_TOP, "run-folder", &config_type_path, FIELD(config, run_folder),
		"\"/run/pabal\"", 'r', ALL, TEXT_MARK("Sockets.")},
	{CONFIG_BLOCK_TOP, "proxies", &config_type_networks, FIELD(config, server_defaults.proxies), NULL,
		's', MASTER | SMTPD,
		TEXT_MARK("Networks of proxies (HAProxy, a load balancer, a container gateway) that put the "
		"PROXY protocol, version 1 or 2, before each connection: they must, nobody else may. The "
		"address they name is the client's from then on.")},
	{CONFIG_BLOCK_TOP, "banner", &config_type_text, FIELD(config, server_defaults.banner), NULL,
		's', MASTER | SMTPD, TEXT_MARK("The banner of servers that name none.")},
	{CONFIG_BLOCK_TOP, "compat", &config_type_compat,
		offsetof(struct config, server_defaults.help), COMPAT_SIZE, NULL,
		's', MASTER | SMTPD, TEXT_MARK("As in server, for servers that do not say.")},
	{CONFIG_BLOCK_TOP, "max-message-size", &config_type_size,
		FIELD(config, server_defaults.max_message_size), "50M", 's', ALL,
		TEXT_MARK("The largest message that servers take."), .least = KIB, .most = 4 * GIB},
	{CONFIG_BLOCK_TOP, "max-recipients", &config_type_number,
		FIELD(config, server_defaults.max_recipients), "100", 's', MASTER | SMTPD,
		TEXT_MARK("Recipients of one message."), .least = 1, .most = 100000},
	{CONFIG_BLOCK_TOP, "max-messages", &config_type_number,
		FIELD(config, server_defaults.max_messages), "100", 's', MASTER | SMTPD,
		TEXT_MARK("Messages over one connection."), .least = 1, .most = 1000000},
	{CONFIG_BLOCK_TOP, "max-errors", &config_type_number,
		FIELD(config, server_defaults.max_errors), "20", 's', MASTER | SMTPD,
		TEXT_MARK("Refused commands of one session, then it is closed with 421."),
		.least = 1, .most = 100000},
	{CONFIG_BLOCK_TOP, "senders", &config_type_choice, FIELD(config, server_defaults.senders),
		"strict", 's', MASTER | SMTPD, TEXT_MARK("As in server, for servers that do not say."),
		.words = sender_rules},
	{CONFIG_BLOCK_TOP, "command-timeout", &config_type_duration,
		FIELD(config, server_defaults.command_timeout), "5m", 's', MASTER | SMTPD,
		TEXT_MARK("How long a server waits for a command."), .least = 100, .most = DAY},
	{CONFIG_BLOCK_TOP, "data-timeout", &config_type_duration,
		FIELD(config, server_defaults.data_timeout), "3m", 's', MASTER | SMTPD,
		TEXT_MARK("How long a server waits for the next part of a message."),
		.least = 100, .most = DAY},
	{CONFIG_BLOCK_TOP, "session-timeout", &config_type_duration,
		FIELD(config, server_defaults.session_timeout), "30m", 's', MASTER | SMTPD,
		TEXT_MARK("How long a session may last in all."), .least = 100, .most = 7 * DAY},
	{CONFIG_BLOCK_TOP, "mechanisms", &config_type_mechanisms,
		FIELD(config, server_defaults.mechanisms), NULL, 's', MASTER | SMTPD | AUTH,
		TEXT_MARK("As in server, for servers that do not say and for public-socket."),
		.derived = TEXT_MARK("what every source can serve")},
	{CONFIG_BLOCK_TOP, "trust-mechanisms", &config_type_mechanisms,
		FIELD(config, server_defaults.trust_mechanisms), NULL, 's', MASTER | SMTPD | AUTH,
		TEXT_MARK("As in server, for servers that do not say."),
		.derived = TEXT_MARK("all but ANONYMOUS")},

	// ---- tls { }, global and in a server
	{CONFIG_BLOCK_TLS, "certificate", &config_type_certificate, FIELD(config_tls, certificates),
		NULL, 's', MASTER | SMTPD,
		TEXT_MARK("A certificate and its chain, PEM, own certificate first. Written again for "
		"further names or kinds of key (ECDSA and RSA); the client's name (SNI) and abilities "
		"choose. Without one a self-signed certificate is made at the first start."),
		.secret_for = SMTPD},
	{CONFIG_BLOCK_TLS, "key", &config_type_key, NO_FIELD, NULL, 's', SMTPD,
		TEXT_MARK("The private key of the certificate written before it; when left out, it is in "
		"the certificate's file. The file must belong to root or the server's user, with mode "
		"0600 or 0640.")},
	{CONFIG_BLOCK_TLS, "pass-phrase-file", &config_type_pass_phrase, NO_FIELD, NULL, 's', SMTPD,
		TEXT_MARK("A file whose first line opens the private key written before it.")},
	{CONFIG_BLOCK_TLS, "ca-file", &config_type_authorities, FIELD(config_tls, ca_file), NULL, 's',
		MASTER | SMTPD | SENDER | SOURCE,
		TEXT_MARK("The certificate authorities that are trusted, PEM, instead of the system's.")},
	{CONFIG_BLOCK_TLS, "ca-path", &config_type_path, FIELD(config_tls, ca_path), NULL, 's',
		MASTER | SMTPD | SENDER | SOURCE,
		TEXT_MARK("A folder of trusted authorities with hashed names (openssl rehash).")},
	{CONFIG_BLOCK_TLS, "client-certificate", &config_type_pem,
		FIELD(config_tls, client_certificate), NULL, 'l', MASTER | SENDER,
		TEXT_MARK("Shown to other servers that ask for one."), .secret_for = SENDER},
	{CONFIG_BLOCK_TLS, "client-key", &config_type_secret_file, FIELD(config_tls, client_key), NULL,
		'l', MASTER | SENDER,
		TEXT_MARK("The private key of client-certificate; when left out, it is in its file."),
		.secret_for = SENDER},
	{CONFIG_BLOCK_TLS, "min", &config_type_choice, FIELD(config_tls, min), "1.2", 's',
		MASTER | SMTPD | SENDER, TEXT_MARK("The lowest version of TLS."),
		.words = tls_versions, .check = check_tls_min},
	{CONFIG_BLOCK_TLS, "request-client-certificate", &config_type_choice,
		FIELD(config_tls, request_client_certificate), "no", 's', MASTER | SMTPD,
		TEXT_MARK("Ask clients for a certificate; those without one are served all the same."),
		.words = no_yes},

	// ---- server "name" { }
	{CONFIG_BLOCK_SERVER, "listen", &config_type_listen, FIELD(config_server, listens), NULL, 's',
		MASTER | SMTPD | SENDER,
		TEXT_MARK("Where the server listens: \"*:PORT\" is every IPv4 and IPv6 address, "
		"\"ADDRESS:PORT\" one (IPv6 in brackets). tls says how TLS begins: starttls (the "
		"default), implicit (at once), or off. May be written several times.")},
	{CONFIG_BLOCK_SERVER, "require", &config_type_require, NO_FIELD, NULL, 's', MASTER | SMTPD,
		TEXT_MARK("tls: nothing but STARTTLS before it. auth: no mail before AUTH; such a server "
		"never relays because of an address.")},
	{CONFIG_BLOCK_SERVER, "auth", &config_type_offer, FIELD(config_server, offer_auth), "off", 's',
		MASTER | SMTPD,
		TEXT_MARK("offer: accounts may log in on a server that does not require it."),
		.words = off_offer},
	{CONFIG_BLOCK_SERVER, "auth-without-tls", &config_type_choice,
		FIELD(config_server, auth_without_tls), "no", 's', MASTER | SMTPD | AUTH,
		TEXT_MARK("Take passwords over connections without TLS. Not safe outside a machine."),
		.words = no_yes, .check = check_auth_without_tls},
	{CONFIG_BLOCK_SERVER, "sources", &config_type_names, FIELD(config_server, sources), NULL, 's',
		MASTER | SMTPD | AUTH,
		TEXT_MARK("Names of the sources of auth that are asked for clients of this server, in "
		"auth's order."), .derived = TEXT_MARK("all")},
	{CONFIG_BLOCK_SERVER, "mechanisms", &config_type_mechanisms, FIELD(config_server, mechanisms),
		NULL, 's', MASTER | SMTPD | AUTH,
		TEXT_MARK("SASL mechanisms that are offered, in place of those that every source can "
		"serve: \"SCRAM-SHA-256\" \"PLAIN\"."), .inherits = true,
		.derived = TEXT_MARK("what every source can serve")},
	{CONFIG_BLOCK_SERVER, "trust-mechanisms", &config_type_mechanisms,
		FIELD(config_server, trust_mechanisms), NULL, 's', MASTER | SMTPD | AUTH,
		TEXT_MARK("Mechanisms that give the right to relay to those who have it; who logs in "
		"by another one has not. ANONYMOUS never gives it."), .inherits = true,
		.derived = TEXT_MARK("all but ANONYMOUS")},
	{CONFIG_BLOCK_SERVER, "senders", &config_type_choice, FIELD(config_server, senders), "strict", 's',
		MASTER | SMTPD,
		TEXT_MARK("As whom those may send who logged in. strict: the sender of MAIL, each address of "
		"From: and that of Sender: must be theirs, or granted (pabal account send-as). relaxed: of "
		"several authors one must be theirs, when Sender: is. envelope: only the sender of MAIL is "
		"looked at. any: nothing is."), .words = sender_rules, .inherits = true},
	{CONFIG_BLOCK_SERVER, "proxies", &config_type_networks, FIELD(config_server, proxies), NULL, 's',
		MASTER | SMTPD,
		TEXT_MARK("Networks of proxies whose connections to this server begin with the PROXY "
		"protocol; \"proxies { }\" for none."), .inherits = true,
		.derived = TEXT_MARK("as outside of the block")},
	{CONFIG_BLOCK_SERVER, "banner", &config_type_text, FIELD(config_server, banner), NULL, 's',
		MASTER | SMTPD, TEXT_MARK("The text after the host name in the first reply."),
		.inherits = true, .derived = TEXT_MARK("the host name and ESMTP")},
	{CONFIG_BLOCK_SERVER, "compat", &config_type_compat,
		offsetof(struct config_server, help), COMPAT_SIZE, NULL, 's',
		MASTER | SMTPD,
		TEXT_MARK("Ways of other servers: help-not-implemented answers HELP with 502 5.3.0 "
		"instead of 214 2.0.0; auth-equals adds a line AUTH=LOGIN PLAIN to EHLO for programs "
		"older than the standard; qmail answers 553 \"sorry, that domain isn't in my list of allowed "
		"rcpthosts (#5.7.1)\" when relaying is denied."), .inherits = true},
	{CONFIG_BLOCK_SERVER, "max-message-size", &config_type_size,
		FIELD(config_server, max_message_size), "50M", 's', MASTER | SMTPD,
		TEXT_MARK("The largest message."), .least = KIB, .most = 4 * GIB, .inherits = true},
	{CONFIG_BLOCK_SERVER, "max-recipients", &config_type_number,
		FIELD(config_server, max_recipients), "100", 's', MASTER | SMTPD,
		TEXT_MARK("Recipients of one message."), .least = 1, .most = 100000, .inherits = true},
	{CONFIG_BLOCK_SERVER, "max-messages", &config_type_number, FIELD(config_server, max_messages),
		"100", 's', MASTER | SMTPD, TEXT_MARK("Messages over one connection."), .least = 1,
		.most = 1000000, .inherits = true},
	{CONFIG_BLOCK_SERVER, "max-errors", &config_type_number, FIELD(config_server, max_errors), "20",
		's', MASTER | SMTPD,
		TEXT_MARK("Refused commands of one session, then it is closed with 421."), .least = 1,
		.most = 100000, .inherits = true},
	{CONFIG_BLOCK_SERVER, "command-timeout", &config_type_duration,
		FIELD(config_server, command_timeout), "5m", 's', MASTER | SMTPD,
		TEXT_MARK("How long to wait for a command."), .least = 100, .most = DAY, .inherits = true},
	{CONFIG_BLOCK_SERVER, "data-timeout", &config_type_duration, FIELD(config_server, data_timeout),
		"3m", 's', MASTER | SMTPD, TEXT_MARK("How long to wait for the next part of a message."),
		.least = 100, .most = DAY, .inherits = true},
	{CONFIG_BLOCK_SERVER, "session-timeout", &config_type_duration,
		FIELD(config_server, session_timeout), "30m", 's', MASTER | SMTPD,
		TEXT_MARK("How long a session may last in all."), .least = 100, .most = 7 * DAY,
		.inherits = true},

	// ---- auth { }
	{CONFIG_BLOCK_AUTH, "socket", &config_type_path, FIELD(config, auth.socket), NULL, 's',
		MASTER | SMTPD,
		TEXT_MARK("The authentication socket of a Dovecot that is asked instead.")},
	{CONFIG_BLOCK_AUTH, "public-socket", &config_type_path, FIELD(config, auth.public_socket), NULL,
		'l', MASTER | AUTH,
		TEXT_MARK("Where other programs (Postfix, Exim) may check passwords of our accounts; "
		"\"\" for nowhere."), .derived = TEXT_MARK("RUN-FOLDER/auth-client")},
	{CONFIG_BLOCK_AUTH, "public-group", &config_type_name, FIELD(config, auth.public_group), NULL,
		'l', MASTER | AUTH, TEXT_MARK("The Unix group that may use public-socket.")},
	{CONFIG_BLOCK_AUTH, "default-domain", &config_type_hostname, FIELD(config, auth.default_domain),
		NULL, 'l', MASTER | SMTPD | AUTH | QUEUE | SOURCE | CHECKER,
		TEXT_MARK("A user who logs in as NAME is NAME@DEFAULT-DOMAIN."),
		.derived = TEXT_MARK("the first of domains")},
	{CONFIG_BLOCK_AUTH, "cache", &config_type_duration, FIELD(config, auth.cache), "1m", 'l',
		MASTER | AUTH, TEXT_MARK("How long a right password is remembered (hashed); 0: not."),
		.least = 0, .most = HOUR},
	{CONFIG_BLOCK_AUTH, "workers", &config_type_number, FIELD(config, auth.workers), "0", 'r',
		MASTER | AUTH, TEXT_MARK("Passwords hashed at the same time; 0: as many as half of the "
		"processors."), .least = 0, .most = 64},

	// ---- external { } in auth
	{CONFIG_BLOCK_EXTERNAL, "map", &config_type_words, FIELD(config, auth.external), NULL, 'l',
		MASTER | AUTH,
		TEXT_MARK("Which account a client certificate stands for, in pairs of texts: \"email "
		"ADDRESS\", \"subject CN=...\" (RFC 4514) or \"fingerprint SHA-256\", then the account. "
		"The first that fits counts."), .check = check_external_map,
		.derived = TEXT_MARK("the e-mail address in the certificate is the account")},

	// ---- gssapi { } in auth
	{CONFIG_BLOCK_GSSAPI, "keytab", &config_type_secret_file, FIELD(config, auth.keytab), NULL, 'r',
		MASTER | AUTH, TEXT_MARK("The keys of smtp/HOSTNAME (kadmin: ktadd -k FILE smtp/HOSTNAME); only the "
		"server may read the file. Without them GSSAPI is not offered."),
		.secret_for = AUTH},
	{CONFIG_BLOCK_GSSAPI, "realm", &config_type_phrase, FIELD(config, auth.realm), NULL, 'l',
		MASTER | AUTH, TEXT_MARK("The Kerberos realm whose users have accounts here.")},
	{CONFIG_BLOCK_GSSAPI, "domain", &config_type_hostname, FIELD(config, auth.realm_domain), NULL,
		'l', MASTER | AUTH, TEXT_MARK("USER@REALM is the account USER@DOMAIN."),
		.derived = TEXT_MARK("default-domain")},

	// ---- guess { } in auth
	{CONFIG_BLOCK_GUESS, "window", &config_type_duration, FIELD(config, auth.guess.window), "10m", 'l',
		MASTER | AUTH, TEXT_MARK("How long failures are counted together."), .least = SECOND, .most = DAY},
	{CONFIG_BLOCK_GUESS, "block", &config_type_duration, FIELD(config, auth.guess.block), "10m", 'l',
		MASTER | AUTH, TEXT_MARK("How long no password is looked at once a limit is reached."),
		.least = SECOND, .most = 7 * DAY},
	{CONFIG_BLOCK_GUESS, "answer", &config_type_choice, FIELD(config, auth.guess.delays), "drop", 'l',
		MASTER | AUTH, TEXT_MARK("What is said meanwhile: drop answers 421 4.7.0 and closes; delay answers "
		"535 5.7.8 after delay, as to a wrong password."), .words = drop_delay},
	{CONFIG_BLOCK_GUESS, "delay", &config_type_duration, FIELD(config, auth.guess.delay), "10s", 'l',
		MASTER | AUTH, TEXT_MARK("How long answer delay, and every answer to programs on public-socket, "
		"takes then."), .least = 0, .most = 50 * SECOND},
	{CONFIG_BLOCK_GUESS, "account-address", &config_type_number,
		FIELD(config, auth.guess.account_address), "10", 'l', MASTER | AUTH,
		TEXT_MARK("Failures of one account from one address (IPv6: /64), 0: no limit. The same wrong "
		"password again counts once."), .least = 0, .most = 1000000},
	{CONFIG_BLOCK_GUESS, "address", &config_type_number, FIELD(config, auth.guess.address), "30", 'l',
		MASTER | AUTH, TEXT_MARK("Failures from one address (IPv6: /64), 0: no limit. A login that succeeds "
		"takes one away."), .least = 0, .most = 1000000},
	{CONFIG_BLOCK_GUESS, "names", &config_type_number, FIELD(config, auth.guess.names), "10", 'l',
		MASTER | AUTH, TEXT_MARK("Different names that failed from one address, 0: no limit. Accounts that "
		"have logged in from there before are not counted, and are still let in."),
		.least = 0, .most = 64},
	{CONFIG_BLOCK_GUESS, "network", &config_type_number, FIELD(config, auth.guess.network), "100", 'l',
		MASTER | AUTH, TEXT_MARK("Failures from one network (IPv4 /24), 0: no limit; again but for accounts "
		"that have logged in from the same address before."), .least = 0, .most = 1000000},
	{CONFIG_BLOCK_GUESS, "network-names", &config_type_number, FIELD(config, auth.guess.network_names),
		"30", 'l', MASTER | AUTH, TEXT_MARK("Different names that failed from one network, 0: no limit; "
		"likewise."), .least = 0, .most = 64},
	{CONFIG_BLOCK_GUESS, "account", &config_type_number, FIELD(config, auth.guess.account), "50", 'l',
		MASTER | AUTH, TEXT_MARK("Failures of one account from everywhere, 0: no limit. The addresses it has "
		"logged in from before, its last 16, are still let in."), .least = 0, .most = 1000000},

	// ---- winbind { } in auth
	{CONFIG_BLOCK_WINBIND, "helper", &config_type_words, FIELD(config, auth.winbind.helper), NULL, 'r',
		MASTER | AUTH | CHECKER,
		TEXT_MARK("Samba's program that asks winbindd, with its whole path: \"/usr/bin/ntlm_auth\", and "
		"arguments of your own (\"--require-membership-of=EXAMPLE\\\\mail\"). With it, NTLM and "
		"GSS-SPNEGO are of the Windows domain and no longer of passwords here; name them in "
		"mechanisms."), .check = check_winbind_helper},
	{CONFIG_BLOCK_WINBIND, "map", &config_type_words, FIELD(config, auth.winbind.map), NULL, 'l',
		MASTER | AUTH,
		TEXT_MARK("In pairs: a domain of Windows (its short name, or its realm) and the domain of its "
		"users' accounts here: \"EXAMPLE\" \"example.kr\" makes EXAMPLE\\kim the account "
		"kim@example.kr. Users of other domains are refused, though winbindd knows them. A name "
		"that winbindd gives without a domain counts as one of the first pair."),
		.check = check_winbind_map},
	{CONFIG_BLOCK_WINBIND, "user", &config_type_name, FIELD(config, auth.winbind.user), "\"pabal-source\"", 'r',
		MASTER | AUTH | CHECKER, TEXT_MARK("The Unix user that the helper runs as.")},
	{CONFIG_BLOCK_WINBIND, "group", &config_type_name, FIELD(config, auth.winbind.group), "\"winbindd_priv\"", 'r',
		MASTER | AUTH | CHECKER,
		TEXT_MARK("Its group: the one that may reach winbindd's privileged pipe.")},
	{CONFIG_BLOCK_WINBIND, "helpers", &config_type_number, FIELD(config, auth.winbind.helpers), "16", 'l',
		MASTER | AUTH | CHECKER,
		TEXT_MARK("How many run at the same time; each serves one login, then the next."),
		.least = 1, .most = 256},
	{CONFIG_BLOCK_WINBIND, "timeout", &config_type_duration, FIELD(config, auth.winbind.timeout), "10s", 'l',
		MASTER | AUTH | CHECKER,
		TEXT_MARK("How long one answer may take; a helper that takes longer is ended."),
		.least = 100, .most = 300 * SECOND},

	// ---- source "KIND" { } in auth; which kind takes what is in source_types.c
	{CONFIG_BLOCK_SOURCE, "name", &config_type_name, FIELD(config_source, name), NULL, 'l',
		FOREIGN, TEXT_MARK("What servers and the log call it; needed where there are two of a kind."),
		.derived = TEXT_MARK("its kind")},
	{CONFIG_BLOCK_SOURCE, "on-failure", &config_type_choice, FIELD(config_source, continue_on_no), "stop", 'l',
		FOREIGN, TEXT_MARK("continue: where this source knows the name and refuses the password, the next one "
		"is asked all the same; for the time of a move from one to the other."),
		.words = stop_continue},
	{CONFIG_BLOCK_SOURCE, "timeout", &config_type_duration, FIELD(config_source, timeout), "10s", 'l',
		FOREIGN, TEXT_MARK("How long one check may take. A source that takes longer cannot answer, and is "
		"passed over for 10 s."), .least = 100, .most = 300 * SECOND},
	{CONFIG_BLOCK_SOURCE, "cache", &config_type_duration, FIELD(config_source, cache), "1m", 'l',
		FOREIGN, TEXT_MARK("How long a right password is remembered (hashed); 0: not."), .least = 0, .most = HOUR},
	{CONFIG_BLOCK_SOURCE, "connections", &config_type_number, FIELD(config_source, connections), "4", 'l',
		FOREIGN, TEXT_MARK("Checks at the same time; the others wait."), .least = 1, .most = 64},
	{CONFIG_BLOCK_SOURCE, "user", &config_type_name, FIELD(config_source, user), NULL, 'l',
		FOREIGN, TEXT_MARK("The Unix user the check runs as."),
		.derived = TEXT_MARK("root; the server's own user where it runs without root")},
	{CONFIG_BLOCK_SOURCE, "service", &config_type_name, FIELD(config_source, service), NULL, 'l',
		FOREIGN, TEXT_MARK("The service that is told to PAM (a file of /etc/pam.d), saslauthd or Dovecot."),
		.derived = "smtp"},
	{CONFIG_BLOCK_SOURCE, "realm", &config_type_phrase, FIELD(config_source, realm), NULL, 'l',
		FOREIGN, TEXT_MARK("The realm that is told to saslauthd.")},
	{CONFIG_BLOCK_SOURCE, "path", &config_type_path, FIELD(config_source, path), NULL, 'l',
		FOREIGN, TEXT_MARK("The socket (saslauthd, dovecot), the file (poppasswd, sql with engine sqlite) or the "
		"folder of the domains (vpopmail)."),
		.derived = TEXT_MARK("/run/saslauthd/mux for saslauthd")},
	{CONFIG_BLOCK_SOURCE, "command", &config_type_words, FIELD(config_source, command), NULL, 'l',
		FOREIGN, TEXT_MARK("The program with its whole path, the program it starts, and their arguments.")},
	{CONFIG_BLOCK_SOURCE, "cram", &config_type_choice, FIELD(config_source, cram), "no", 'l',
		FOREIGN, TEXT_MARK("checkpassword: the program takes CRAM-MD5 digests too, as cmd5checkpw does. "
		"poppasswd, vpopmail: the passwords themselves are stored, not only hashes, so that "
		"mechanisms that need them can be offered."), .words = no_yes},
	{CONFIG_BLOCK_SOURCE, "memory", &config_type_size, FIELD(config_source, memory), "256M", 'l',
		FOREIGN, TEXT_MARK("The memory the program may take."), .least = 8 * MIB, .most = 64 * GIB},
	{CONFIG_BLOCK_SOURCE, "engine", &config_type_word, FIELD(config_source, engine), NULL, 'l',
		FOREIGN, TEXT_MARK("The kind of database."), .words = sql_engines},
	{CONFIG_BLOCK_SOURCE, "host", &config_type_phrase, FIELD(config_source, host), NULL, 'l',
		FOREIGN, TEXT_MARK("The name or address of the database's machine, or the folder of its socket."),
		.derived = TEXT_MARK("the socket on this machine")},
	{CONFIG_BLOCK_SOURCE, "port", &config_type_port, FIELD(config_source, port), NULL, 'l',
		FOREIGN, TEXT_MARK("The port of the database."),
		.derived = TEXT_MARK("the usual one")},
	{CONFIG_BLOCK_SOURCE, "database", &config_type_phrase, FIELD(config_source, database), NULL, 'l',
		FOREIGN, TEXT_MARK("The name of the database; of vpopmail with files: qmail's users/cdb.")},
	{CONFIG_BLOCK_SOURCE, "login", &config_type_phrase, FIELD(config_source, login), NULL, 'l',
		FOREIGN, TEXT_MARK("Whom to log in to the database or directory as (ldap: a DN; oauth: the client).")},
	{CONFIG_BLOCK_SOURCE, "password-file", &config_type_secret_line, FIELD(config_source, password_file), NULL, 'l',
		MASTER | SOURCE, TEXT_MARK("A file whose first line is the password of login; only the server may read it."),
		.secret_for = SOURCE},
	{CONFIG_BLOCK_SOURCE, "query", &config_type_phrase, FIELD(config_source, query), NULL, 'l',
		FOREIGN, TEXT_MARK("One SELECT with :user (as sent), :name, :domain, :client or :server in it; they are "
		"handed to the database apart from the text. Its columns by name: password, and perhaps "
		"enabled, rights, account, clear.")},
	{CONFIG_BLOCK_SOURCE, "table-per-domain", &config_type_choice, FIELD(config_source, table_per_domain), "no", 'l',
		FOREIGN, TEXT_MARK("Each domain has a table of its own."), .words = no_yes},
	{CONFIG_BLOCK_SOURCE, "tls", &config_type_choice, FIELD(config_source, tls), "no", 'l',
		FOREIGN, TEXT_MARK("Require TLS (ldap: StartTLS)."), .words = no_yes},
	{CONFIG_BLOCK_SOURCE, "ca-file", &config_type_authorities, FIELD(config_source, ca_file), NULL, 'l',
		MASTER | SOURCE, TEXT_MARK("The certificate authorities that are trusted, PEM."),
		.derived = TEXT_MARK("the system's")},
	{CONFIG_BLOCK_SOURCE, "uris", &config_type_words, FIELD(config_source, uris), NULL, 'l',
		FOREIGN, TEXT_MARK("The servers of the directory, asked in this order: \"ldaps://ldap.example.kr\".")},
	{CONFIG_BLOCK_SOURCE, "base", &config_type_phrase, FIELD(config_source, base), NULL, 'l',
		FOREIGN, TEXT_MARK("The entry below which users are searched.")},
	{CONFIG_BLOCK_SOURCE, "scope", &config_type_word, FIELD(config_source, scope), NULL, 'l',
		FOREIGN, TEXT_MARK("one: right below base; sub: at any depth."), .words = ldap_scopes, .derived = "sub"},
	{CONFIG_BLOCK_SOURCE, "filter", &config_type_phrase, FIELD(config_source, filter), NULL, 'l',
		FOREIGN, TEXT_MARK("What finds a user: %u is the name as sent, %n its local part, %d its domain.")},
	{CONFIG_BLOCK_SOURCE, "bind-dn", &config_type_phrase, FIELD(config_source, bind_dn), NULL, 'l',
		FOREIGN, TEXT_MARK("The DN of a user, with %u, %n or %d in it, where nothing has to be searched.")},
	{CONFIG_BLOCK_SOURCE, "account-attribute", &config_type_name, FIELD(config_source, account_attribute), NULL, 'l',
		FOREIGN, TEXT_MARK("The attribute whose value is the name of the account.")},
	{CONFIG_BLOCK_SOURCE, "group-base", &config_type_phrase, FIELD(config_source, group_base), NULL, 'l',
		FOREIGN, TEXT_MARK("The entry below which groups are searched.")},
	{CONFIG_BLOCK_SOURCE, "group-filter", &config_type_phrase, FIELD(config_source, group_filter), NULL, 'l',
		FOREIGN, TEXT_MARK("What finds the groups of a user.")},
	{CONFIG_BLOCK_SOURCE, "submit-group", &config_type_phrase, FIELD(config_source, submit_group), NULL, 'l',
		FOREIGN, TEXT_MARK("The group whose members may submit."), .derived = TEXT_MARK("everybody may")},
	{CONFIG_BLOCK_SOURCE, "relay-group", &config_type_phrase, FIELD(config_source, relay_group), NULL, 'l',
		FOREIGN, TEXT_MARK("The group whose members may relay."), .derived = TEXT_MARK("everybody may")},
	{CONFIG_BLOCK_SOURCE, "issuer", &config_type_phrase, FIELD(config_source, issuer), NULL, 'l',
		FOREIGN, TEXT_MARK("Who must have made the token (its iss, exactly so); needed with jwks and jwks-file.")},
	{CONFIG_BLOCK_SOURCE, "audience", &config_type_phrase, FIELD(config_source, audience), NULL, 'l',
		FOREIGN, TEXT_MARK("Whom the token must be for (one of its aud, exactly so); needed with jwks and "
		"jwks-file.")},
	{CONFIG_BLOCK_SOURCE, "introspection", &config_type_phrase, FIELD(config_source, introspection), NULL, 'l',
		FOREIGN, TEXT_MARK("The https address that is asked about a token (RFC 7662), with login and "
		"password-file as the client's name and secret. With jwks as well: about those tokens that "
		"are no signed JWT.")},
	{CONFIG_BLOCK_SOURCE, "jwks", &config_type_phrase, FIELD(config_source, jwks), NULL, 'l',
		FOREIGN, TEXT_MARK("The https address of the keys that sign tokens (RFC 7517); read once an hour, and "
		"when a token names a key that is not known, at most once a minute.")},
	{CONFIG_BLOCK_SOURCE, "jwks-file", &config_type_file, FIELD(config_source, jwks_file), NULL, 'l',
		MASTER | SOURCE, TEXT_MARK("A file with the keys that sign tokens (RFC 7517).")},
	{CONFIG_BLOCK_SOURCE, "account-claim", &config_type_name, FIELD(config_source, account_claim), NULL, 'l',
		FOREIGN, TEXT_MARK("The claim whose value is the name of the account. One that users can "
		"choose themselves (often username) lets them be anybody."),
		.derived = TEXT_MARK("email")},

	// ---- deliver { }
	{CONFIG_BLOCK_DELIVER, "maildir", &config_type_maildir, FIELD(config, deliver.way.maildir), NULL,
		'l', MASTER | QUEUE | LOCAL,
		TEXT_MARK("The Maildir of a mailbox: %u is the local part (of a system user its name), %d the "
		"domain, %h at the beginning the home folder of a system user, %% a percent sign. With %h it is for "
		"system users only."), .derived = TEXT_MARK("STATE-FOLDER/mail/%d/%u/Maildir; of a system user %h/Maildir")},
	{CONFIG_BLOCK_DELIVER, "mbox", &config_type_maildir, FIELD(config, deliver.way.mbox), NULL,
		'l', MASTER | QUEUE | LOCAL,
		TEXT_MARK("In place of maildir: the mbox of a mailbox, as \"/var/mail/%u\".")},
	{CONFIG_BLOCK_DELIVER, "program", &config_type_words, FIELD(config, deliver.way.program), NULL,
		'l', MASTER | QUEUE | LOCAL,
		TEXT_MARK("In place of maildir: the program that gets each message, with its arguments; no "
		"shell reads them. In an argument %u is the local part or the user, %d the domain, %a the "
		"address, %h the home folder, %s the sender, %t the detail of a subaddress, %% a percent "
		"sign."), .check = check_program},
	{CONFIG_BLOCK_DELIVER, "system-users", &config_type_word, FIELD(config, deliver.way.system_users), NULL,
		'l', MASTER | SMTPD | QUEUE | LOCAL, TEXT_MARK("Users of the system (/etc/passwd and what else the machine asks) get mail at the "
		"local domains, in their own rights; they come before accounts of the same name."), .words = no_yes,
		.derived = TEXT_MARK("no")},
	{CONFIG_BLOCK_DELIVER, "forward-files", &config_type_word, FIELD(config, deliver.way.forward_files), NULL,
		'l', MASTER | QUEUE | LOCAL, TEXT_MARK("What a system user may write to say where the mail goes. forward: ~/.forward, as "
		"sendmail reads it. qmail: ~/.qmail, ~/.qmail-EXTENSION, ~/.qmail-default, as qmail-local does. "
		"none: nothing."), .words = forward_files,
		.derived = TEXT_MARK("forward")},
	{CONFIG_BLOCK_DELIVER, "forward-commands", &config_type_choice,
		FIELD(config, deliver.forward_commands), "yes", 'l', MASTER | LOCAL,
		TEXT_MARK("Whether forward files may run programs and name files. Only users whose shell "
		"stands in /etc/shells may in any case."), .words = no_yes},
	{CONFIG_BLOCK_DELIVER, "system-users-from", &config_type_number,
		FIELD(config, deliver.system_users_from), "1000", 'l', MASTER | LOCAL,
		TEXT_MARK("The lowest user number that gets mail. Never 0: root's mail needs an alias."),
		.least = 1, .most = 4294967293},
	{CONFIG_BLOCK_DELIVER, "alias-user", &config_type_name, FIELD(config, deliver.alias_user),
		"\"nobody\"", 'l', MASTER | LOCAL,
		TEXT_MARK("In whose rights programs and files of the aliases file are used.")},
	{CONFIG_BLOCK_DELIVER, "mailbox-group", &config_type_name, FIELD(config, deliver.mailbox_group),
		NULL, 'l', MASTER | LOCAL,
		TEXT_MARK("The group that may write to the folder of the mboxes, as \"mail\" for /var/mail on "
		"Debian: the delivery to a system user has it while it makes an mbox or its lock. Empty: none.")},
	{CONFIG_BLOCK_DELIVER, "program-timeout", &config_type_duration,
		FIELD(config, deliver.program_timeout), "5m", 'l', MASTER | LOCAL,
		TEXT_MARK("How long a program may take; then it is ended and the message is tried again."),
		.least = SECOND, .most = HOUR},
	{CONFIG_BLOCK_DELIVER, "program-memory", &config_type_size,
		FIELD(config, deliver.program_memory), "1G", 'l', MASTER | LOCAL,
		TEXT_MARK("How much memory each of its processes may take."), .least = 16 * MIB,
		.most = 1024 * GIB},
	{CONFIG_BLOCK_DELIVER, "quota", &config_type_size, FIELD(config, deliver.quota.octets), "0", 'l',
		MASTER | QUEUE,
		TEXT_MARK("How large a mailbox may become for which pabal quota says nothing else; 0: as "
		"large as it likes. What has no room waits in the queue and is tried again."),
		.least = 0, .most = 1024 * 1024 * GIB},
	{CONFIG_BLOCK_DELIVER, "quota-soft", &config_type_size, FIELD(config, deliver.quota.octets_soft),
		"0", 'l', MASTER | QUEUE,
		TEXT_MARK("Above this size mail is still delivered, and the owner is warned by mail, once a "
		"day; 0: never."), .least = 0, .most = 1024 * 1024 * GIB},
	{CONFIG_BLOCK_DELIVER, "quota-messages", &config_type_number,
		FIELD(config, deliver.quota.messages), "0", 'l', MASTER | QUEUE,
		TEXT_MARK("The same as quota as a number of messages."), .least = 0, .most = 1000000000},
	{CONFIG_BLOCK_DELIVER, "quota-messages-soft", &config_type_number,
		FIELD(config, deliver.quota.messages_soft), "0", 'l', MASTER | QUEUE,
		TEXT_MARK("The same as quota-soft as a number of messages."), .least = 0,
		.most = 1000000000},
	{CONFIG_BLOCK_DELIVER, "quota-over", &config_type_choice, FIELD(config, deliver.quota_refuse),
		"defer", 'l', MASTER | SMTPD | QUEUE,
		TEXT_MARK("What a sender hears at RCPT when the mailbox is full. defer: 452 4.2.2, try "
		"again later. refuse: 552 5.2.2, the mail goes back at once."), .words = quota_over},
	{CONFIG_BLOCK_DELIVER, "quota-postmaster", &config_type_choice,
		FIELD(config, deliver.quota_counts_postmaster), "pass", 'l', MASTER | QUEUE,
		TEXT_MARK("Whether mail to the postmaster is delivered over the quota of his mailbox (pass) "
		"or waits like all other (count)."), .words = quota_postmaster},
	{CONFIG_BLOCK_DELIVER, "separator", &config_type_name, FIELD(config, deliver.separator), NULL,
		'l', MASTER | SMTPD | QUEUE | LOCAL,
		TEXT_MARK("What parts the name of a mailbox from a detail, as + in kim+list@; of several "
		"characters (\"+-\") each does. Empty: none."), .check = check_separator},

	// ---- mailboxes "pattern" { }
	{CONFIG_BLOCK_MAILBOXES, "maildir", &config_type_maildir, FIELD(config_mailboxes, way.maildir), NULL,
		'l', MASTER | QUEUE | LOCAL,
		TEXT_MARK("As in deliver.")},
	{CONFIG_BLOCK_MAILBOXES, "mbox", &config_type_maildir, FIELD(config_mailboxes, way.mbox), NULL,
		'l', MASTER | QUEUE | LOCAL,
		TEXT_MARK("As in deliver.")},
	{CONFIG_BLOCK_MAILBOXES, "program", &config_type_words, FIELD(config_mailboxes, way.program), NULL,
		'l', MASTER | QUEUE | LOCAL,
		TEXT_MARK("As in deliver."), .check = check_program},
	{CONFIG_BLOCK_MAILBOXES, "system-users", &config_type_word, FIELD(config_mailboxes, way.system_users), NULL,
		'l', MASTER | SMTPD | QUEUE | LOCAL, TEXT_MARK("As in deliver."), .words = no_yes,
		.derived = TEXT_MARK("as in deliver")},
	{CONFIG_BLOCK_MAILBOXES, "forward-files", &config_type_word, FIELD(config_mailboxes, way.forward_files), NULL,
		'l', MASTER | QUEUE | LOCAL, TEXT_MARK("As in deliver."), .words = forward_files,
		.derived = TEXT_MARK("as in deliver")},

	// ---- route "pattern" { }
	{CONFIG_BLOCK_ROUTE, "smtp", &config_type_route, NO_FIELD, NULL, 'l',
		MASTER | SMTPD | QUEUE | SENDER,
		TEXT_MARK("Hand over to this host (smart host): \"HOST:PORT\", port 25 when left out. No "
		"MX is looked up.")},
	{CONFIG_BLOCK_ROUTE, "lmtp", &config_type_route_other, NO_FIELD, NULL, 'l',
		MASTER | QUEUE | SENDER,
		TEXT_MARK("Hand over by LMTP: \"/path/of/socket\" or \"HOST:PORT\", port 24 when left out.")},
	{CONFIG_BLOCK_ROUTE, "local", &config_type_route_other, NO_FIELD, NULL, 'l',
		MASTER | QUEUE | SENDER, TEXT_MARK("Deliver to mailboxes of this machine.")},
	{CONFIG_BLOCK_ROUTE, "refuse", &config_type_route_other, NO_FIELD, NULL, 'l',
		MASTER | SMTPD | QUEUE | SENDER, TEXT_MARK("Refuse with this text.")},
	{CONFIG_BLOCK_ROUTE, "tls", &config_type_route_tls, FIELD(config_route, tls), "optional", 'l',
		MASTER | QUEUE | SENDER,
		TEXT_MARK("optional: when the host offers it. required: else try later. implicit: at "
		"once, as on port 465. never."), .words = route_tls,
		.derived = TEXT_MARK("implicit for port 465, required with user, else optional")},
	{CONFIG_BLOCK_ROUTE, "source", &config_type_ipaddr, FIELD(config_route, source), NULL, 'l',
		MASTER | QUEUE | SENDER, TEXT_MARK("The address of ours to connect from.")},
	{CONFIG_BLOCK_ROUTE, "helo", &config_type_hostname, FIELD(config_route, helo), NULL, 'l',
		MASTER | QUEUE | SENDER, TEXT_MARK("The name to greet with."),
		.derived = TEXT_MARK("hostname")},
	{CONFIG_BLOCK_ROUTE, "user", &config_type_text, FIELD(config_route, user), NULL, 'l',
		MASTER | SENDER, TEXT_MARK("Log in as this user.")},
	{CONFIG_BLOCK_ROUTE, "password-file", &config_type_secret_line,
		FIELD(config_route, password_file), NULL, 'l', MASTER | SENDER,
		TEXT_MARK("A file whose first line is the password of user; only the server may read it."),
		.secret_for = SENDER},
	{CONFIG_BLOCK_ROUTE, "token-file", &config_type_path, FIELD(config_route, token_file), NULL,
		'l', MASTER | SENDER | SOURCE,
		TEXT_MARK("In place of a password: a JSON file with the access token of user (OAUTHBEARER, "
		"XOAUTH2) and what renews it: access_token, refresh_token, client_id, client_secret, "
		"token_endpoint (https), scope, expires_at (seconds since 1970). It belongs to the user "
		"pabal-source with mode 0600; in a folder that pabal-source may write to, a renewed token "
		"is written back to it. Trust in the endpoint is that of tls.")},
	{CONFIG_BLOCK_ROUTE, "mechanisms", &config_type_mechanisms, FIELD(config_route, mechanisms),
		NULL, 'l', MASTER | SENDER,
		TEXT_MARK("How to log in, in the order of preference; one that the host refuses is followed "
		"by the next. EXTERNAL (client-certificate of tls) only when it stands here."),
		.derived = TEXT_MARK("the strongest that the host offers, and no other if that is refused: "
		"SCRAM-SHA-512-PLUS, SCRAM-SHA-256-PLUS, SCRAM-SHA-1-PLUS, the same without -PLUS, "
		"OAUTHBEARER, XOAUTH2, CRAM-MD5, PLAIN, LOGIN")},

	{CONFIG_BLOCK_ROUTE, "recipients", &config_type_route_recipients,
		FIELD(config_route, recipients), "accounts", 'l', MASTER | QUEUE,
		TEXT_MARK("In a route for one of domains: which addresses of it are taken. accounts: those "
		"that have an account here. any: all; what the host does not know goes back to the "
		"sender in a report, which for spam means to somebody else."), .words = route_recipients},

	// ---- destination "pattern" { }
	{CONFIG_BLOCK_DESTINATION, "connections", &config_type_number,
		FIELD(config_destination, connections), "20", 'l', MASTER | QUEUE | SENDER,
		TEXT_MARK("Connections to one host at the same time."), .least = 1, .most = 10000},
	{CONFIG_BLOCK_DESTINATION, "messages", &config_type_number,
		FIELD(config_destination, messages), "100", 'l', MASTER | QUEUE | SENDER,
		TEXT_MARK("Messages over one connection."), .least = 1, .most = 1000000},

	// ---- resolver { }
	{CONFIG_BLOCK_RESOLVER, "servers", &config_type_resolver_servers, NO_FIELD, "auto", 'l',
		MASTER | RESOLVER,
		TEXT_MARK("auto: those of /etc/resolv.conf if they pass on DNSSEC, else full recursion. "
		"recursion: ask the name servers of the world. Or a list of servers.")},
	{CONFIG_BLOCK_RESOLVER, "trust-anchor", &config_type_anchors,
		FIELD(config, resolver.trust_anchors), NULL, 'l', MASTER | RESOLVER,
		TEXT_MARK("A DS or DNSKEY record of a zone that is trusted besides the root.")},

	// ---- log { }
	{CONFIG_BLOCK_LOG, "to", &config_type_log_to, NO_FIELD, "stderr", 'r', ALL,
		TEXT_MARK("Where events are written: stderr (the journal, under systemd), syslog, or a "
		"file.")},
	{CONFIG_BLOCK_LOG, "format", &config_type_choice, FIELD(config, log.json), "key-value", 'l', ALL,
		TEXT_MARK("How an event is written."), .words = log_formats},
	{CONFIG_BLOCK_LOG, "level", &config_type_choice, FIELD(config, log.level), "info", 'l', ALL,
		TEXT_MARK("The least important events that are written."), .words = log_levels},
	{CONFIG_BLOCK_LOG, "history-age", &config_type_duration, FIELD(config, log.history_age), "30d",
		'l', MASTER | QUEUE, TEXT_MARK("How long the searchable history keeps an event."),
		.least = 0, .most = 3660 * DAY},
	{CONFIG_BLOCK_LOG, "history-size", &config_type_size, FIELD(config, log.history_size), "1G",
		'l', MASTER | QUEUE, TEXT_MARK("How large the history may grow."), .least = 0,
		.most = 1024 * GIB},

	// ---- queue { }
	{CONFIG_BLOCK_QUEUE, "life", &config_type_duration, FIELD(config, queue.life), "5d", 'l',
		MASTER | QUEUE, TEXT_MARK("How long delivery is tried before the sender is told it failed."),
		.least = SECOND, .most = 100 * DAY},
	{CONFIG_BLOCK_QUEUE, "delay-warning", &config_type_duration,
		FIELD(config, queue.delay_warning), "4h", 'l', MASTER | QUEUE,
		TEXT_MARK("When the sender is told that a message is late; 0: never."), .least = 0,
		.most = 100 * DAY},
	{CONFIG_BLOCK_QUEUE, "first-retry", &config_type_duration, FIELD(config, queue.first_retry),
		"5m", 'l', MASTER | QUEUE,
		TEXT_MARK("The pause after the first try, scattered by a fifth; it doubles each time."),
		.least = SECOND, .most = DAY},
	{CONFIG_BLOCK_QUEUE, "max-retry", &config_type_duration, FIELD(config, queue.max_retry), "4h",
		'l', MASTER | QUEUE, TEXT_MARK("The longest pause."), .least = SECOND, .most = 7 * DAY},
	{CONFIG_BLOCK_QUEUE, "min-free-percent", &config_type_number,
		FIELD(config, queue.min_free_percent), "5", 'l', MASTER | QUEUE,
		TEXT_MARK("Below this much free space on the store's disk no new mail is taken (452 4.3.1)."),
		.least = 0, .most = 99},
	{CONFIG_BLOCK_QUEUE, "min-free-size", &config_type_size, FIELD(config, queue.min_free_size),
		"1G", 'l', MASTER | QUEUE, TEXT_MARK("The same as a size."), .least = 0,
		.most = 1024 * GIB},
	{CONFIG_BLOCK_QUEUE, "hold", &config_type_choice, FIELD(config, queue.hold), "no", 'l',
		MASTER | QUEUE, TEXT_MARK("Accept mail and deliver nothing, for maintenance."),
		.words = no_yes},
	{CONFIG_BLOCK_QUEUE, "senders", &config_type_number, FIELD(config, queue.senders), "0", 'r',
		MASTER | QUEUE, TEXT_MARK("Processes that send mail; 0: as many as processors."),
		.least = 0, .most = 256},

	// ---- limits { }
	{CONFIG_BLOCK_LIMITS, "connections", &config_type_number, FIELD(config, limits.connections),
		"10000", 'l', MASTER | SMTPD | QUEUE, TEXT_MARK("Connections of clients in all."), .least = 1,
		.most = 10000000},
	{CONFIG_BLOCK_LIMITS, "connections-address", &config_type_number,
		FIELD(config, limits.connections_address), "20", 'l', MASTER | SMTPD | QUEUE,
		TEXT_MARK("Connections from one address."), .least = 1, .most = 10000000},
	{CONFIG_BLOCK_LIMITS, "connections-network", &config_type_number,
		FIELD(config, limits.connections_network), "100", 'l', MASTER | SMTPD | QUEUE,
		TEXT_MARK("Connections from one network (IPv4 /24, IPv6 /64)."), .least = 1,
		.most = 10000000},
	{CONFIG_BLOCK_LIMITS, "hops", &config_type_number, FIELD(config, limits.hops), "50", 'l', ALL,
		TEXT_MARK("Received fields after which a message is taken for a loop."), .least = 1,
		.most = 1000},
	{CONFIG_BLOCK_LIMITS, "header-size", &config_type_size, FIELD(config, limits.header_size),
		"256K", 'l', ALL, TEXT_MARK("All header fields of a message together."), .least = KIB,
		.most = 64 * MIB},
	{CONFIG_BLOCK_LIMITS, "body-line", &config_type_size, FIELD(config, limits.body_line), "64K",
		'l', ALL, TEXT_MARK("The longest line of a message (554 5.6.0 above)."), .least = 998,
		.most = 64 * MIB},
	{CONFIG_BLOCK_LIMITS, "workers", &config_type_number, FIELD(config, limits.workers), "0", 'r',
		MASTER | SMTPD | QUEUE,
		TEXT_MARK("Processes that serve clients; 0: as many as processors."), .least = 0,
		.most = 256},

	// ---- guard { }
	{CONFIG_BLOCK_GUARD, "action", &config_type_choice, FIELD(config, guard.action), "suspend", 'l',
		MASTER | QUEUE, TEXT_MARK("The most that is done about unusual sending. off: nothing, and "
		"nothing is learned. report: only told. slow: the next messages wait. hold: they are "
		"taken and stay in the queue. suspend: the account is locked, the client refused."),
		.words = guard_actions},
	{CONFIG_BLOCK_GUARD, "messages", &config_type_number, FIELD(config, guard.messages), "1000", 'l',
		MASTER | QUEUE, TEXT_MARK("Messages that an account may send in a day before it is held; it "
		"is slowed from four fifths of that on, and suspended from twice of it. An account "
		"that is new begins with a third. 0: any number."), .least = 0, .most = 10000000},
	{CONFIG_BLOCK_GUARD, "new-recipients", &config_type_number, FIELD(config, guard.recipients), "200",
		'l', MASTER | QUEUE, TEXT_MARK("The same for recipients that it never wrote to before."),
		.least = 0, .most = 10000000},
	{CONFIG_BLOCK_GUARD, "learn", &config_type_duration, FIELD(config, guard.learn), "14d", 'l',
		MASTER | QUEUE, TEXT_MARK("How long a new installation only looks on: no recipient counts as "
		"new, and at most an account is slowed; it is held from twice the messages on."),
		.least = 0, .most = 365 * DAY},
	{CONFIG_BLOCK_GUARD, "delay", &config_type_duration, FIELD(config, guard.delay), "5s", 'l',
		MASTER | QUEUE, TEXT_MARK("How long each message waits of who is slowed."),
		.least = 0, .most = 120 * SECOND},
	{CONFIG_BLOCK_GUARD, "notify", &config_type_choice, FIELD(config, guard.notify), "everybody", 'l',
		MASTER | QUEUE, TEXT_MARK("Who is told by mail: the postmaster (administrator), also the "
		"owner of the account (everybody), or nobody."), .words = guard_notify},
	// ---- limit "SCOPE" { }: the table is config/limits.h
#define LIMIT_ROW(id, name, unit, scopes, spelled, lowest, highest, standard, none, rule, code, enhanced, help) \
	{CONFIG_BLOCK_LIMIT, name, &config_type_limit_##unit, \
		FIELD(config_limit, value[CONFIG_LIMIT_##id]), NULL, 'l', MASTER | SMTPD | QUEUE, \
		TEXT_MARK(help), .least = lowest, .most = highest, \
		.derived = TEXT_MARK("what the next wider scope says")},
	CONFIG_LIMIT_LIST(LIMIT_ROW)
#undef LIMIT_ROW
	{CONFIG_BLOCK_LIMIT, "rate", &config_type_rate, FIELD(config_limit, rates), NULL, 'l',
		MASTER | SMTPD | QUEUE,
		TEXT_MARK("How many messages or recipients an account, a client (its address; IPv6: its "
		"/64) or all accounts of a domain may send in a minute, an hour or a day (UTC, from the "
		"full minute, hour or midnight on). Above it: defer (451 4.7.1, the default), refuse (550 "
		"5.7.1), or hold (the message is taken and waits for an administrator). none lifts what a "
		"wider scope says. May be written several times.")},
};

// clang-format on

const struct config_setting *config_settings_of(enum config_block_id block, size_t *out_count)
{
	enum config_block_id owner = config_blocks[block].settings;
	size_t first = 0;
	while (first < ARRAY_SIZE(settings) && settings[first].block != owner)
		first++;
	size_t end = first;
	while (end < ARRAY_SIZE(settings) && settings[end].block == owner)
		end++;
	*out_count = end - first;
	return settings + first;
}

const struct config_setting *config_setting_find(enum config_block_id block, struct str name)
{
	size_t count;
	const struct config_setting *s = config_settings_of(block, &count);
	for (size_t i = 0; i < count; i++)
		if (str_equal(str_from(s[i].name), name))
			return &s[i];
	return NULL;
}
