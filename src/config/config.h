// SPDX-License-Identifier: ISC
// The configuration as the product uses it: one immutable struct a generation.
// It is filled from the table in settings.c and from nothing else.
#ifndef PABAL_CONFIG_CONFIG_H
#define PABAL_CONFIG_CONFIG_H

#include "base/arena.h"
#include "base/error.h"
#include "base/ipaddr.h"
#include "base/quota.h"
#include "base/str.h"
#include "config/tables.h"

#include <sys/types.h>

struct buf;          // base/buf.h
struct config_limit; // config/limits.h

// Where something was written. Filled by config_build, zero after config_decode.
struct config_place {
	struct str file;
	unsigned line, column; // 1-based; 0: not written
};

// A list of strings as written: "a" "b" or several lines of the setting.
struct config_list {
	struct str *items;
	size_t count;
};

// A file named in the configuration and its content at the time of this
// generation. Roles in an empty root see content only; path is for words.
struct config_file {
	struct str path;    // empty: not set
	struct str content; // NUL-terminated behind len
};

struct config_certificate {
	struct config_file certificate; // PEM chain, leaf first
	struct config_file key;         // PEM; when not set: in the certificate's file
	struct config_file pass_phrase;
	struct config_place where;
};

enum config_tls_version { CONFIG_TLS_1_0, CONFIG_TLS_1_1, CONFIG_TLS_1_2, CONFIG_TLS_1_3 };

struct config_tls {
	struct config_certificate *certificates; // several: ECDSA + RSA, SNI
	size_t certificate_count;
	struct config_file ca_file;              // whom to trust as clients or servers
	struct str ca_path;
	struct config_file client_certificate;   // shown to other servers
	struct config_file client_key;
	enum config_tls_version min;
	bool request_client_certificate;
};

enum config_listen_tls { CONFIG_LISTEN_STARTTLS, CONFIG_LISTEN_IMPLICIT, CONFIG_LISTEN_NO_TLS };

struct config_listen {
	struct ipaddr address; // family 0: every address, IPv4 and IPv6
	uint16_t port;
	enum config_listen_tls tls;
	struct config_place where;
};

// Whether somebody who logged in may send only as himself: in MAIL FROM, and in From: and Sender:.
enum config_senders { CONFIG_SENDERS_ANY, CONFIG_SENDERS_ENVELOPE, CONFIG_SENDERS_RELAXED, CONFIG_SENDERS_STRICT };

enum config_help { CONFIG_HELP_PLAIN, CONFIG_HELP_SENDMAIL }; // 214 2.0.0, or 502 5.3.0 HELP not implemented

struct config_server {
	struct str name;
	struct config_listen *listens;
	size_t listen_count;
	bool require_tls;       // before AUTH and MAIL
	bool require_auth;      // a submission server: MAIL only after AUTH; never relays by address
	bool offer_auth;        // `auth offer` on a server without require auth
	bool auth_without_tls;  // `auth-without-tls yes`: named, warned about
	bool has_tls;           // has its own tls block; else the global one is used
	struct config_tls tls;
	struct config_list sources;    // names of sources, in auth's order all the same; none: all
	struct config_list mechanisms; // upper case; none: what the sources can serve
	struct config_list trust_mechanisms; // that give the right to relay; none: all but ANONYMOUS
	struct config_list proxies;    // networks whose connections begin with a PROXY header
	struct str banner;      // "" : HOSTNAME ESMTP
	enum config_help help;
	bool auth_equals;           // compat auth-equals: 250-AUTH=LOGIN PLAIN, too
	bool qmail_words;           // compat qmail: its words when relaying is denied
	enum config_senders senders; // of those who logged in
	uint64_t max_message_size;  // octets
	uint64_t max_recipients;    // a message
	uint64_t max_messages;      // a connection
	uint64_t max_errors;        // a session, then 421
	uint64_t command_timeout;   // ms
	uint64_t data_timeout;      // ms
	uint64_t session_timeout;   // ms
	uint32_t limits_by_block;   // bits of enum config_limit_id: such values are of a limit block
	struct config_place where;
};

enum config_client_action { CONFIG_CLIENT_RELAY, CONFIG_CLIENT_DENY, CONFIG_CLIENT_ALLOW };

// One line of clients { }. Table order: longest prefix first, deny first at equal length.
struct config_client {
	struct ipnet network;
	enum config_client_action action;
	struct str text;   // of a deny
	struct str senders; // domains that senders must have, one space between; "" : any
	struct str name;   // "192.168.2.0/24"
	unsigned line;     // where it was written, for the rule's name
	struct str file;
};

enum config_route_kind { CONFIG_ROUTE_SMTP, CONFIG_ROUTE_LMTP_SOCKET, CONFIG_ROUTE_LMTP_HOST,
	CONFIG_ROUTE_LOCAL, CONFIG_ROUTE_REFUSE };
enum config_route_tls { CONFIG_ROUTE_TLS_OPTIONAL, CONFIG_ROUTE_TLS_REQUIRED, CONFIG_ROUTE_TLS_IMPLICIT,
	CONFIG_ROUTE_TLS_NEVER };

enum config_recipients { CONFIG_RECIPIENTS_ACCOUNTS, CONFIG_RECIPIENTS_ANY };

// route "pattern" { }: pattern is a domain, "*.domain" or "*". First match wins:
// exact, then longest wildcard, then "*".
struct config_route {
	struct str pattern;
	enum config_route_kind kind;
	struct str host;          // host name, "[address]", or path of a socket
	uint16_t port;
	enum config_route_tls tls;
	struct ipaddr source;     // family 0: the kernel's choice
	struct str helo;          // "" : hostname
	struct str user;          // smart host: "" for none
	struct config_file password_file; // first line
	struct str token_file;    // JSON, read and written by role source
	struct config_list mechanisms; // upper case, in the order of preference; none: strongest first
	struct str text;          // of refuse
	enum config_recipients recipients; // of a domain of ours: who exists
	struct config_place where;
};

struct config_destination { // destination "pattern" { }: the pace toward a host
	struct str pattern;
	uint64_t connections;   // at once
	uint64_t messages;      // a connection
	struct config_place where;
};

// How mail gets into mailboxes. At most one of maildir, mbox and program is written.
struct config_way {
	struct str maildir, mbox;    // patterns: %u %d %h %%
	struct config_list program;  // and its arguments, the same in them and %a %s %t
	struct str system_users;     // "yes", "no"; "" : not written
	struct str forward_files;    // "forward", "qmail", "none"; "" : not written
};

struct config_mailboxes { // mailboxes "pattern" { }: what differs from deliver for a domain
	struct str pattern;
	struct config_way way;
	struct config_place where;
};

enum config_delivery_kind { CONFIG_DELIVER_MAILDIR, CONFIG_DELIVER_MBOX, CONFIG_DELIVER_PROGRAM };
enum config_forward { CONFIG_FORWARD_NONE, CONFIG_FORWARD_SENDMAIL, CONFIG_FORWARD_QMAIL };

// What is in force for one mailbox. Borrowed from the configuration.
struct config_delivery {
	enum config_delivery_kind kind;
	struct str path;             // pattern, of maildir and mbox; "" : STATE/mail/%d/%u/Maildir
	struct config_list program;
	enum config_forward forward; // of a system user
};

// source "KIND" of auth { }, in the order asked. What a kind does not use is its default or empty.
#define CONFIG_SOURCES_MAX 32
struct config_source {
	struct str kind;
	struct str name;            // for `sources` of a server and the log; KIND when not written
	bool continue_on_no;        // on-failure continue: a no goes on to the next
	uint64_t timeout;           // ms for one check
	uint64_t cache;             // ms a yes is remembered; 0: off
	uint64_t connections;       // at once: pooled connections, or children
	struct str user;            // Unix user that a child runs as; "" : root or the server's own
	struct str service;         // pam, saslauthd
	struct str realm;           // saslauthd
	struct str path;            // saslauthd, dovecot: socket; poppasswd: file; vpopmail: folder of
	                            // the domains; sql: file of SQLite
	struct config_list command; // checkpassword: program, subprogram, arguments
	bool cram;                  // checkpassword: takes CRAM-MD5 digests (cmd5checkpw)
	uint64_t memory;            // checkpassword: octets a child may take
	struct str engine;          // sql, vpopmail: "sqlite", "postgresql", "mysql"; "" : files
	struct str host;            // sql: host, address or folder of the socket
	uint16_t port;
	struct str database;
	struct str login;           // sql: user; ldap: DN that searches; "" : none
	struct config_file password_file; // of login; first line
	struct str query;           // sql: with :user :name :domain :client :server
	bool table_per_domain;      // vpopmail in MySQL
	bool tls;                   // sql: required; ldap: StartTLS
	struct config_file ca_file; // "" : the system's
	struct config_list uris;    // ldap
	struct str base;            // ldap: search below
	struct str scope;           // "one", "sub" (default)
	struct str filter;          // with %u %n %d, escaped when filled in
	struct str bind_dn;         // bind as user at once: DN with %u %n %d
	struct str account_attribute; // whose value is the account's name
	struct str group_base, group_filter; // of the rights
	struct str submit_group, relay_group; // names of groups; "" : everybody
	struct str issuer, audience; // oauth
	struct str introspection;   // oauth: address (RFC 7662)
	struct str jwks;            // oauth: address of a key set
	struct config_file jwks_file;
	struct str account_claim;   // default "email"
	struct config_place where;
};

// One length of prefix among the client rules; private to lookup.c.
struct config_client_group {
	uint8_t family, prefix;
	size_t first, count;
};

enum config_guard_action { CONFIG_GUARD_OFF, CONFIG_GUARD_REPORT, CONFIG_GUARD_SLOW, CONFIG_GUARD_HOLD,
	CONFIG_GUARD_SUSPEND };
enum config_guard_notify { CONFIG_GUARD_TELL_NOBODY, CONFIG_GUARD_TELL_ADMINISTRATOR,
	CONFIG_GUARD_TELL_EVERYBODY };
enum config_resolver_mode { CONFIG_RESOLVER_AUTO, CONFIG_RESOLVER_SERVERS, CONFIG_RESOLVER_RECURSION };
enum config_log_to { CONFIG_LOG_STDERR, CONFIG_LOG_FILE, CONFIG_LOG_SYSLOG };

struct config {
	uint64_t generation;
	uint64_t tables_generation; // of what config_use_tables set: tables are replaced by themselves
	struct arena arena;        // owns everything below, unless loaded from a snapshot's mapping

	struct str hostname;       // A-labels
	struct config_list domains;// normalised local domains
	struct config_list domain_files; // more of them; read by tables_build, as those below
	struct config_list relay_domains;// accepted from everybody and passed on; ".domain": below it
	struct config_list relay_domain_files;
	struct config_list rules;        // files of tcprules, text or .cdb
	struct config_list aliases;      // files in the format of /etc/aliases
	struct str postmaster;     // address key form
	bool aliases_programs;     // aliases may lead to programs and files
	struct config_place postmaster_where;
	struct str state_folder;   // databases and spool
	struct str run_folder;     // sockets

	struct config_tls tls;
	struct config_server server_defaults; // limits written outside a server block
	struct config_server *servers;
	size_t server_count;
	struct config_client *clients;
	size_t client_count;
	struct config_route *routes;
	size_t route_count;
	struct config_destination *destinations;
	size_t destination_count;

	struct {
		struct config_source *sources; // in the order they are asked; at least one
		size_t source_count;
		struct str socket;            // a foreign Dovecot auth socket used by smtpd instead
		struct str public_socket;     // "" : none; default RUN_FOLDER/auth-client
		struct str public_group;      // group of the public socket
		struct str default_domain;    // bare user names become user@default-domain
		uint64_t cache;               // ms a success is remembered; 0: off
		uint64_t workers;             // hashing threads
		struct config_list external;  // EXTERNAL, in pairs: "email VALUE" (or fingerprint,
		                              // subject), then the account
		struct config_file keytab;    // GSSAPI; "" : it is not offered
		struct str realm, realm_domain; // user@REALM is user@DOMAIN here
		struct {
			struct config_list helper; // ntlm_auth and its first arguments; none: off
			struct config_list map;    // in pairs: domain of Windows, domain of accounts
			struct str user, group;    // whom the helper runs as, when we are root
			uint64_t helpers;          // at once
			uint64_t timeout;          // ms for one answer
		} winbind;
		struct {                      // failed logins; counts of 0: no limit
			uint64_t window, block; // ms: counted together; not looked at
			bool delays;            // answer delay: 535 after a while; else 421
			uint64_t delay;         // ms
			uint64_t account_address, address, names, network, network_names, account;
		} guess;
	} auth;

	struct {
		struct config_way way;        // of every domain that mailboxes does not name
		struct quota_limits quota;    // of mailboxes for which nothing else is said
		bool quota_refuse;            // quota-over refuse: 552 at RCPT; else 452
		bool quota_counts_postmaster; // quota-postmaster count: nobody passes it
		struct str separator;         // of subaddresses: each of these octets; "" : none
		uint64_t system_users_from;   // the lowest number of a user that gets mail
		bool forward_commands;        // forward files may run programs and name files
		struct str alias_user;        // in whose rights targets of the aliases file are done
		struct str mailbox_group;     // that may write the folder of the mboxes; "" : none
		uint64_t program_timeout;     // ms
		uint64_t program_memory;      // octets a program may take
	} deliver;
	struct config_mailboxes *mailboxes;
	size_t mailboxes_count;

	struct {
		enum config_resolver_mode mode;
		struct config_list servers;   // "127.0.0.1:15353"
		struct config_list trust_anchors;
	} resolver;

	struct {
		enum config_log_to to;
		struct str file;
		bool json;
		uint64_t level;               // enum event_level
		uint64_t history_age;         // ms
		uint64_t history_size;        // octets
	} log;

	struct {
		uint64_t life;                // ms a message is tried
		uint64_t delay_warning;       // ms
		uint64_t first_retry;         // ms
		uint64_t max_retry;           // ms
		uint64_t min_free_percent;    // of the store's disk
		uint64_t min_free_size;       // octets
		uint64_t senders;             // processes; 0: cores
		bool hold;                    // accept, deliver nothing (bench, maintenance)
	} queue;

	struct {
		uint64_t connections;         // in all
		uint64_t connections_address; // one address
		uint64_t connections_network; // a /24 or /64
		uint64_t hops;                // Received: fields
		uint64_t header_size;         // octets of all headers
		uint64_t body_line;           // octets
		uint64_t workers;             // smtpd processes; 0: cores
	} limits;

	struct {                          // unusual sending: policy/guard.h
		uint64_t action;              // enum config_guard_action: the most that is done
		uint64_t messages;            // caps a day of an account; 0: none
		uint64_t recipients;          // new ones
		uint64_t learn;               // ms
		uint64_t delay;               // ms, of slow
		uint64_t notify;              // enum config_guard_notify
	} guard;
	// limit "SCOPE" { }, and what max-recipients and the like say, one value each. Where both a server
	// (or nothing) and a block say a value, the fields above hold what is in force for everybody.
	struct config_limit *limit_blocks;
	size_t limit_block_count;
	struct config_limit *limit_spelled;
	size_t limit_spelled_count;

	// ---- private to config/
	struct config_list sources;   // every file that was read, sorted
	struct config_client_group *client_groups; // longest prefix first in a family
	size_t client_group_count;
	const struct tables *tables;  // of config_use_tables
	struct config_client_group *limit_groups;  // of networks, the same way
	size_t limit_group_count;
	size_t limit_first[8];        // of limit_blocks: where each scope begins
	uint64_t limit_most[24];      // the largest value of each
	uint32_t limit_values;        // bits of what any of them says
	bool mapped;                  // strings live in somebody's octets
	bool faulty;                  // of config_build_anyway: there were errors
};

// ---- from text
// What kind of file a reader opens for tables_build, which says who may own it.
enum config_table {
	CONFIG_TABLE_LIST,    // rules and domains: text or .cdb
	CONFIG_TABLE_ALIASES, // names programs and other files: only of root or the server's user
	CONFIG_TABLE_INCLUDE, // of an aliases file
};
struct config_look {
	int64_t modified_ns; // since 1970; 0: not known
	bool foreign;	     // others than root and the server's user may write it
};

// What a build needs from outside; the reader may be in another process (root
// opens, a child without rights parses).
struct config_reader {
	// Content of a file into out. secret: refuse it when others can read it.
	int (*read)(void *arg, const char *path, bool secret, struct buf *out, struct error *err);
	void *arg;
	// A file of tables, which may be larger. out NULL: only look. NULL: they are read by read, as
	// files of root's.
	int (*read_table)(void *arg, const char *path, enum config_table kind, struct buf *out,
		struct config_look *look, struct error *err);
};


// The rest of a read_table once the file is open, for readers that open in their own way; fd stays
// the caller's. server: the user of the server.
int config_read_table_fd(int fd, const char *path, uid_t server, struct buf *out,
	struct config_look *look, struct error *err);

// One finding of the checker. severity 'E' error, 'W' warning, 'N' note.
struct config_finding {
	char severity;
	struct str file;
	unsigned line, column; // 1-based; 0: none
	struct str text;       // what was expected, the nearest known word
};

struct config_findings {
	struct arena arena;
	struct config_finding *items;
	size_t count, size;
	size_t errors;
};
void config_findings_finish(struct config_findings *f);
void config_findings_add(struct config_findings *f, char severity, struct str file, unsigned line,
	unsigned column, const char *format, ...) __attribute__((format(printf, 6, 7)));
// "FILE:LINE:COLUMN: error: text\n" for each.
void config_findings_print(const struct config_findings *f, struct buf *out);
// The candidate nearest to word, or NULL when none is near.
const char *config_nearest(struct str word, const char *const *candidates, size_t count);

// Parses, includes, fills defaults, checks each value and all together. Returns
// NULL when there was an error (all of them are in findings, not only the first).
struct config *config_build(const char *path, const struct config_reader *reader,
	struct config_findings *findings);
// For commands that look for a server, which may run on an older file: what is good of a
// configuration; what is wrong is empty or 0. NULL: the file cannot be read.
struct config *config_build_anyway(const char *path, const struct config_reader *reader,
	struct config_findings *findings);
void config_destroy(struct config *c); // NULL is fine; wipes secrets
// The paths of every file that was read, for the watcher; valid as long as c.
struct config_list config_sources(const struct config *c);
// The reader that opens files in this process.
struct config_reader config_reader_local(void);

// ---- effective configuration as text that parses back to the same
int config_show(const struct config *c, struct buf *out);
// Names of the settings that differ ("hostname,log.level,server.listen"; a block
// alone when one was added or removed), and the strongest reload class among
// them ('l' live, 's' session, 'r' restart, 0 none).
char config_diff(const struct config *a, const struct config *b, struct buf *out_names);

// ---- snapshots: one role's part as octets, and back. Roles are bits so that the
// table can say who may see a setting.
enum {
	CONFIG_FOR_MASTER = 1, CONFIG_FOR_SMTPD = 2, CONFIG_FOR_AUTH = 4, CONFIG_FOR_QUEUE = 8,
	CONFIG_FOR_SENDER = 16, CONFIG_FOR_RESOLVER = 32, CONFIG_FOR_LOCAL = 64,
	CONFIG_FOR_SOURCE = 128, CONFIG_FOR_CHECKER = 256, CONFIG_FOR_ALL = 511
};
int config_encode(const struct config *c, unsigned for_role, struct buf *out);
// Strings point into octets, which must outlive the result. ERR_CORRUPT.
int config_decode(struct str octets, struct config **out);

// ---- questions everybody asks
// From here on domains and clients are looked up in these tables, which hold what c says too. t stays
// the caller's and must outlive c or the next call; NULL: only c's own arrays are asked.
void config_use_tables(struct config *c, const struct tables *t);
const struct tables *config_tables(const struct config *c); // NULL: none
// Whether it names files of which tables have to be made.
bool config_names_tables(const struct config *c);
bool config_is_local_domain(const struct config *c, struct str normalised_domain);
// Not local, but accepted from everybody and passed on.
bool config_is_relay_domain(const struct config *c, struct str normalised_domain);
// Which it is, and where that was written; out_place and out_entry may be NULL.
enum tables_domain config_domain(const struct config *c, struct str normalised_domain,
	struct tables_place *out_place, struct str *out_entry);
// The rule for a client, as tables_client_rule says it. False: none names it.
bool config_client_rule(const struct config *c, const struct ipaddr *address, struct str host,
	struct client_rule *out, bool *out_needs_host);
const struct config_route *config_route_for(const struct config *c, struct str normalised_domain);
// How mail for a mailbox of the domain is delivered: mailboxes of the domain (found as routes are),
// then deliver, then a Maildir in STATE, or in the home folder of a system user.
struct config_delivery config_delivery_for(const struct config *c, struct str normalised_domain,
	bool of_system_user);
// Do users of the system have their mail in this domain?
bool config_has_system_users(const struct config *c, struct str normalised_domain);
// Is there anything that is delivered in the rights of others than pabal-mail: system users of some
// domain, programs and files of aliases?
bool config_delivers_as_users(const struct config *c);
// The pace toward a host: as routes are found; "*" always exists. NULL only for
// a role that may not see it.
const struct config_destination *config_destination_for(const struct config *c,
	struct str normalised_host);
const struct config_tls *config_server_tls(const struct config *c, const struct config_server *s);
// True when a listener speaks TLS and its server has no certificate.
bool config_needs_certificate(const struct config *c);
// Gives every tls block without a certificate this one (PEM, key and chain in
// one); copies.
void config_fill_certificate(struct config *c, struct str path, struct str pem);

// ---- the manual page pabal.conf(5) as scdoc source, made from the table
int config_manual(struct buf *out);

#endif
