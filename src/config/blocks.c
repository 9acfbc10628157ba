// SPDX-License-Identifier: ISC
// The table of blocks: where each may stand, what its label is, who may see it. The settings in them
// are in settings.c.
#include "config/config_internal.h"
#include "config/role_words.h"

#include "base/text.h"

// clang-format off

#define SINGLE(type, member) .offset = offsetof(struct type, member)
#define ITEMS(type, list, number, item) .items = offsetof(struct type, list), \
	.count = offsetof(struct type, number), .item_size = sizeof(struct item), \
	.where = offsetof(struct item, where)

// Blocks with offset 0 have rows that count from struct config itself.
const struct config_block config_blocks[CONFIG_BLOCK_COUNT] = {
	[CONFIG_BLOCK_TOP] = {.settings = CONFIG_BLOCK_TOP, .roles = ALL},
	[CONFIG_BLOCK_TLS] = {"tls", CONFIG_BLOCK_TOP, CONFIG_BLOCK_TLS, SINGLE(config, tls),
		.roles = MASTER | SMTPD | SENDER | SOURCE, .close = config_tls_close,
		.help = TEXT_MARK("Certificates and trust of every server that has no tls block of its own, "
		"and of connections to other servers.")},
	[CONFIG_BLOCK_SERVER] = {"server", CONFIG_BLOCK_TOP, CONFIG_BLOCK_SERVER,
		ITEMS(config, servers, server_count, config_server), .most = 256, .reload = 's',
		.roles = MASTER | SMTPD | SENDER | AUTH | QUEUE, .label = TEXT_MARK("a name in quotes"), .open = config_open_server,
		.close = config_server_close,
		.help = TEXT_MARK("A service: where it listens and what it asks of clients. Without any, "
		"there are three: mx on port 25, submission on 587 (requires TLS and AUTH) and submissions "
		"on 465 (TLS at once, requires AUTH).")},
	[CONFIG_BLOCK_SERVER_TLS] = {"tls", CONFIG_BLOCK_SERVER, CONFIG_BLOCK_TLS,
		SINGLE(config_server, tls), .present = offsetof(struct config_server, has_tls),
		.roles = MASTER | SMTPD, .close = config_tls_close,
		.help = TEXT_MARK("As the global tls block; what is not set here is taken from there.")},
	[CONFIG_BLOCK_AUTH] = {"auth", CONFIG_BLOCK_TOP, CONFIG_BLOCK_AUTH, .roles = ALL,
		.help = TEXT_MARK("Who may log in.")},
	[CONFIG_BLOCK_EXTERNAL] = {"external", CONFIG_BLOCK_AUTH, CONFIG_BLOCK_EXTERNAL, .roles = ALL,
		.help = TEXT_MARK("The mechanism EXTERNAL: logging in with a client certificate that an "
		"authority in ca-file signed (with request-client-certificate).")},
	[CONFIG_BLOCK_GSSAPI] = {"gssapi", CONFIG_BLOCK_AUTH, CONFIG_BLOCK_GSSAPI, .roles = ALL,
		.help = TEXT_MARK("The mechanisms GSSAPI and GSS-SPNEGO: logging in with Kerberos.")},
	[CONFIG_BLOCK_WINBIND] = {"winbind", CONFIG_BLOCK_AUTH, CONFIG_BLOCK_WINBIND, .roles = ALL,
		.help = TEXT_MARK("The mechanisms NTLM and GSS-SPNEGO for the users of a Windows domain that "
		"this machine has joined (Active Directory): Samba's winbindd is asked.")},
	[CONFIG_BLOCK_SOURCE] = {"source", CONFIG_BLOCK_AUTH, CONFIG_BLOCK_SOURCE,
		ITEMS(config, auth.sources, auth.source_count, config_source),
		.most = CONFIG_SOURCES_MAX, .bare = true, .reload = 'l', .roles = FOREIGN,
		.label = TEXT_MARK("a kind of source in quotes"), .open = config_open_source,
		.close = config_source_close, .takes = config_source_takes,
		.kinds = config_source_kinds,
		.help = TEXT_MARK("Where passwords are checked; several are asked in the order written: who "
		"does not know a name passes on to the next. The braces may be left out. The label is the "
		"kind: accounts (those of pabal account; the default), pam, saslauthd, checkpassword, "
		"poppasswd, vpopmail, sql, ldap, dovecot, oauth.")},
	[CONFIG_BLOCK_GUESS] = {"guess", CONFIG_BLOCK_AUTH, CONFIG_BLOCK_GUESS, .roles = ALL,
		.help = TEXT_MARK("When failed logins are taken for guessing; then passwords are not looked at for a "
		"while. `pabal auth blocks list` shows who is meant.")},
	[CONFIG_BLOCK_DELIVER] = {"deliver", CONFIG_BLOCK_TOP, CONFIG_BLOCK_DELIVER, .roles = ALL,
		.help = TEXT_MARK("Mailboxes of this machine. One of maildir, mbox and program.")},
	[CONFIG_BLOCK_MAILBOXES] = {"mailboxes", CONFIG_BLOCK_TOP, CONFIG_BLOCK_MAILBOXES,
		ITEMS(config, mailboxes, mailboxes_count, config_mailboxes), .most = 1000000,
		.reload = 'l', .roles = MASTER | SMTPD | QUEUE | LOCAL,
		.label = TEXT_MARK("a domain in quotes, \"*.DOMAIN\" or \"*\""), .open = config_open_pattern,
		.close = config_mailboxes_close,
		.help = TEXT_MARK("What differs from deliver for the mailboxes of a domain; chosen as "
		"routes are.")},
	[CONFIG_BLOCK_ROUTE] = {"route", CONFIG_BLOCK_TOP, CONFIG_BLOCK_ROUTE,
		ITEMS(config, routes, route_count, config_route), .most = 1000000, .reload = 'l',
		.roles = MASTER | SMTPD | QUEUE | SENDER | SOURCE,
		.label = TEXT_MARK("a domain in quotes, \"*.DOMAIN\" or \"*\""),
		.open = config_open_pattern, .close = config_route_close,
		.help = TEXT_MARK("Where mail for a domain goes instead of its MX. The domain itself wins "
		"over the longest \"*.domain\", that over \"*\". One of smtp, lmtp, local and refuse.")},
	[CONFIG_BLOCK_DESTINATION] = {"destination", CONFIG_BLOCK_TOP, CONFIG_BLOCK_DESTINATION,
		ITEMS(config, destinations, destination_count, config_destination), .most = 1000000,
		.reload = 'l', .roles = MASTER | QUEUE | SENDER,
		.label = TEXT_MARK("a domain in quotes, \"*.DOMAIN\" or \"*\""), .open = config_open_pattern,
		.help = TEXT_MARK("The pace toward a host; chosen as routes are. \"*\" is for all others.")},
	[CONFIG_BLOCK_RESOLVER] = {"resolver", CONFIG_BLOCK_TOP, CONFIG_BLOCK_RESOLVER, .roles = ALL,
		.help = TEXT_MARK("Questions to the DNS.")},
	[CONFIG_BLOCK_LOG] = {"log", CONFIG_BLOCK_TOP, CONFIG_BLOCK_LOG, .roles = ALL,
		.help = TEXT_MARK("Events and their history.")},
	[CONFIG_BLOCK_QUEUE] = {"queue", CONFIG_BLOCK_TOP, CONFIG_BLOCK_QUEUE, .roles = ALL,
		.help = TEXT_MARK("How long and how often delivery is tried.")},
	[CONFIG_BLOCK_LIMITS] = {"limits", CONFIG_BLOCK_TOP, CONFIG_BLOCK_LIMITS, .roles = ALL,
		.help = TEXT_MARK("Bounds of the whole server. connections, connections-address, "
		"connections-network and header-size are the same as in limit \"everywhere\".")},
	[CONFIG_BLOCK_LIMIT] = {"limit", CONFIG_BLOCK_TOP, CONFIG_BLOCK_LIMIT,
		ITEMS(config, limit_blocks, limit_block_count, config_limit), .most = 100000, .reload = 'l',
		.roles = MASTER | SMTPD | QUEUE,
		.label = TEXT_MARK("\"everywhere\", or server, network, domain, group or account and its name "
		"in quotes"), .open = config_open_limit, .close = config_limit_close,
		.help = TEXT_MARK("Limits for some: the label is \"account NAME\", \"group NAME\", \"domain "
		"NAME\" (of the account), \"network 192.0.2.0/24\" (of the client), \"server NAME\" or "
		"\"everywhere\". Of each value the most specific one is in force, in this order; of networks "
		"the longest prefix, of several groups the smallest. max-recipients and the like in a server "
		"are the same as limit \"server NAME\", outside of blocks as limit \"everywhere\". `pabal "
		"limits` shows what is in force for whom.")},
	[CONFIG_BLOCK_GUARD] = {"guard", CONFIG_BLOCK_TOP, CONFIG_BLOCK_GUARD, .roles = ALL,
		.help = TEXT_MARK("What is done when an account, or a client that may relay, sends as it "
		"never did: its password may be stolen. `pabal guard list` shows who is meant.")},
};

// clang-format on
