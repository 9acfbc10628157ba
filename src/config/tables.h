// SPDX-License-Identifier: ISC
// What the configuration names but does not hold: client rules (tcprules), lists of domains and
// aliases, as one run of octets. It is made by the builder, handed on as a sealed memfd and used
// where it lies, by every role, without being decoded.
#ifndef PABAL_CONFIG_TABLES_H
#define PABAL_CONFIG_TABLES_H

#include "base/error.h"
#include "base/ipaddr.h"
#include "base/str.h"

struct buf;		  // base/buf.h
struct config;		  // config/config.h
struct config_findings;
struct config_reader;
struct tables;

#define TABLES_SIZE_MAX	     ((size_t)1 << 30) // octets of all tables together
#define TABLES_RULES_MAX     1000000
#define TABLES_DOMAINS_MAX   20000000
#define TABLES_ALIASES_MAX   5000000
#define TABLES_TARGETS_MAX   65536 // octets of one alias's targets
#define TABLES_INCLUDE_DEPTH 3	   // of :include: in :include:
#define TABLES_INCLUDES_MAX  10000
#define TABLES_FILES_MAX     20000

// ---- building

// Reads every file that c names (rules, domains from, relay-domains from, aliases and what these
// include) and appends the octets. c is the configuration in force; a snapshot for
// CONFIG_FOR_MASTER has all of it that is needed. ERR_SYNTAX when a file has an error (each is in
// findings with file, line and what was expected): nothing is appended and the tables before stay
// in force. ERR_LIMIT when they would be larger than TABLES_SIZE_MAX.
int tables_build(const struct config *c, const struct config_reader *reader, struct buf *out,
	struct config_findings *findings);

// ---- opening
// mapped must stay where it is, unchanged and aligned to 8 octets, until tables_close. Its bounds
// are checked: ERR_CORRUPT. Every string that comes out of tables points into mapped.
int tables_open(struct str mapped, struct tables **out);
void tables_close(struct tables *t); // NULL is fine; mapped stays the caller's

// ---- where something was written
struct tables_place {
	struct str file; // "" : the configuration does not say where
	unsigned line;	 // 0: none (a .cdb has no lines)
};

// ---- client rules
enum client_action { CLIENT_ALLOW, CLIENT_RELAY, CLIENT_DENY };

// One rule with all it says. A client without a rule is allowed and may not relay.
struct client_rule {
	enum client_action action; // RELAY: allowed, and may send to any domain
	bool foreign;		   // of a `rules` file; else of clients { }
	struct str text;	   // of a deny in clients { }; "" : closed without a word
	struct str relay_suffix;   // of RELAY: value of RELAYCLIENT, put behind each recipient
	bool has_databytes;
	uint64_t databytes;	   // DATABYTES: octets of a message, 0: no limit
	bool has_rblsmtpd;
	struct str rblsmtpd;	   // RBLSMTPD: text of the refusal, "-TEXT": permanent (553, else 451);
				   // "" : this client is not looked up in block lists
	bool has_maxrcpt;
	uint64_t maxrcpt;	   // MAXRCPT: recipients of a message, 0: no limit
	struct str senders;	   // domains that senders must have, one space between; "" : any
	struct str name;	   // the rule as one would write it: "192.168.2.0/24", "1.2.3.", "=.example.kr",
				   // "=" (any checked name), "" (everybody else)
	struct ipnet network;	   // family 0: it goes by name, or is the rule for everybody else
	struct tables_place place;
};

// The one order of all rules: exact address; "=HOST"; networks, longest prefix first; "=.SUFFIX",
// longest first; "="; the rule for everybody else. Of rules with the same key in one file the
// first counts; among clients { } and several files a deny comes first, then clients { }, then the
// files as written. False: no rule, the client is allowed.
// host: the client's checked name in lower case; "" : it has none; data NULL: not known yet. Then
// *out_needs_host says whether the name could change the answer; the answer is that for no name.
bool tables_client_rule(const struct tables *t, const struct ipaddr *a, struct str host,
	struct client_rule *out, bool *out_needs_host);
// All of them, in no order that means something: false past the last.
bool tables_client_at(const struct tables *t, size_t index, struct client_rule *out);

// ---- domains
enum tables_domain {
	TABLES_DOMAIN_NONE,
	TABLES_DOMAIN_LOCAL, // its mailboxes are here
	TABLES_DOMAIN_RELAY, // accepted from everybody, passed on by route or MX
};
// The domain itself, then its ".suffix" entries, longest first. A name that is both local and
// relay is local. domain: normalised. out_place and out_entry (the entry as listed) may be NULL.
enum tables_domain tables_domain(const struct tables *t, struct str domain,
	struct tables_place *out_place, struct str *out_entry);
size_t tables_domain_count(const struct tables *t);

// ---- aliases
struct tables_alias {
	struct str name;    // lower case, without quotes
	struct str targets; // as written, on one line: parts with ", " between, contents of :include: put in
	struct tables_place place;
};
// key: lower case; a local part or an address, as the file has them. False: there is none.
bool tables_alias(const struct tables *t, struct str key, struct tables_alias *out);
bool tables_alias_at(const struct tables *t, size_t index, struct tables_alias *out);
size_t tables_alias_count(const struct tables *t);

// ---- what was read
// Every file that was opened for them or was looked for and missed (a .cdb beside a text), for the
// watcher. False past the last.
bool tables_file_at(const struct tables *t, size_t index, struct str *out_path);

#endif
