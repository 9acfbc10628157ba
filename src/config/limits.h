// SPDX-License-Identifier: ISC
// Limits: the one table of what `limit "SCOPE" { … }` can say. The settings, the manual page,
// policy_limits(), `pabal limits` and doc/manual/limits.md are made from it or checked against it.
#ifndef PABAL_CONFIG_LIMITS_H
#define PABAL_CONFIG_LIMITS_H

#include "config/config.h"

// Whom a limit is for, the weakest first: of each value the strongest scope that says it wins.
enum config_scope {
	CONFIG_SCOPE_EVERYWHERE,
	CONFIG_SCOPE_SERVER,
	CONFIG_SCOPE_NETWORK, // the longest prefix wins
	CONFIG_SCOPE_DOMAIN,  // of the account
	CONFIG_SCOPE_GROUP,   // of several groups of an account the smallest value wins
	CONFIG_SCOPE_ACCOUNT,
	CONFIG_SCOPES
};
const char *config_scope_name(enum config_scope scope); // "everywhere", "server"…

#define CONFIG_SCOPES_ALL     ((1u << CONFIG_SCOPES) - 1)
#define CONFIG_SCOPES_CLIENT /* known before anybody has logged in */                              \
	(1u << CONFIG_SCOPE_EVERYWHERE | 1u << CONFIG_SCOPE_SERVER | 1u << CONFIG_SCOPE_NETWORK)
#define CONFIG_SCOPES_MAILBOX /* of the recipient */                                               \
	(1u << CONFIG_SCOPE_EVERYWHERE | 1u << CONFIG_SCOPE_DOMAIN | 1u << CONFIG_SCOPE_GROUP |    \
		1u << CONFIG_SCOPE_ACCOUNT)

#define CONFIG_LIMIT_NONE UINT64_MAX // "none" was written

// L(id, name, unit, scopes, older spelling in server { } and outside of blocks or in limits { },
// least, most, default (0: none), whether "none" may be written, rule and reply when it is reached (code
// 0: nobody is told), help)
#define CONFIG_LIMIT_LIST(L) \
	L(MESSAGE_SIZE, "message-size", size, ALL, "max-message-size", 1024, 1ull << 32, 50ull << 20, false, \
		"max-message-size", 552, "5.3.4", \
		"The largest message that may be sent.") \
	L(LOCAL_SIZE, "local-size", size, MAILBOX, NULL, 1024, 1ull << 32, 0, true, \
		"max-local-size", 552, "5.2.3", \
		"The largest message that a mailbox of this machine takes; the scope is that of " \
		"the recipient.") \
	L(RECIPIENTS, "recipients", number, ALL, "max-recipients", 1, 100000, 100, false, \
		"max-recipients", 452, "4.5.3", \
		"Recipients of one message.") \
	L(MESSAGES, "messages", number, ALL, "max-messages", 1, 1000000, 100, false, \
		"max-messages", 421, "4.7.0", \
		"Messages over one connection.") \
	L(CONNECTIONS, "connections", number, CLIENT, "connections", 1, 10000000, 10000, false, \
		"max-connections", 421, "4.7.0", \
		"Connections of all clients at once.") \
	L(CONNECTIONS_ADDRESS, "connections-address", number, CLIENT, "connections-address", 1, 10000000, 20, false, \
		"max-connections-address", 421, "4.7.0", \
		"Connections from one address at once.") \
	L(CONNECTIONS_NETWORK, "connections-network", number, CLIENT, "connections-network", 1, 10000000, 100, false, \
		"max-connections-network", 421, "4.7.0", \
		"Connections from one network (IPv4 /24, IPv6 /64) at once.") \
	L(MINUTE_ADDRESS, "connections-per-minute", number, CLIENT, NULL, 1, 10000000, 0, true, \
		"max-connections-minute", 421, "4.7.0", \
		"Connections that one address may begin in a minute.") \
	L(MINUTE_NETWORK, "connections-per-minute-network", number, CLIENT, NULL, 1, 10000000, 0, true, \
		"max-connections-minute-network", 421, "4.7.0", \
		"Connections that one network (IPv4 /24, IPv6 /64) may begin in a minute.") \
	L(MINUTE_ALL, "connections-per-minute-all", number, CLIENT, NULL, 1, 10000000, 0, true, \
		"max-connections-minute-all", 421, "4.7.0", \
		"Connections that all clients together may begin in a minute.") \
	L(COMMANDS, "commands", number, ALL, NULL, 10, 10000000, 0, true, \
		"max-commands", 421, "4.7.0", \
		"Commands of one session, then it is closed with 421.") \
	L(ERRORS, "errors", number, ALL, "max-errors", 1, 100000, 20, false, \
		"max-errors", 421, "4.7.0", \
		"Refused commands of one session, then it is closed with 421.") \
	L(SESSION_TIMEOUT, "session-timeout", duration, ALL, "session-timeout", 100, 604800000, 1800000, false, \
		"session-timeout", 421, "4.4.2", \
		"How long a session may last in all.") \
	L(BODY_MEMORY, "body-memory", size, ALL, NULL, 1024, 65536, 65536, false, \
		"", 0, "", \
		"How much of a message a session keeps in memory; larger ones go to a file.") \
	L(HEADER_FIELDS, "header-fields", number, ALL, NULL, 10, 1000000, 10000, false, \
		"header-fields", 552, "5.3.4", \
		"Fields in the header of a message.") \
	L(HEADER_SIZE, "header-size", size, ALL, "header-size", 1024, 64ull << 20, 256ull << 10, false, \
		"header-size", 552, "5.3.4", \
		"All header fields of a message together.")

enum config_limit_id {
#define CONFIG_LIMIT_ENUM(id, ...) CONFIG_LIMIT_##id,
	CONFIG_LIMIT_LIST(CONFIG_LIMIT_ENUM) CONFIG_LIMITS
#undef CONFIG_LIMIT_ENUM
};

enum config_limit_unit { CONFIG_UNIT_number, CONFIG_UNIT_size, CONFIG_UNIT_duration };

struct config_limit_kind {
	const char *name;
	enum config_limit_unit unit; // octets, milliseconds
	unsigned scopes;             // bits
	const char *spelled;         // NULL: there is no older spelling
	uint64_t least, most, standard;
	bool may_be_none;
	const char *rule;            // of the event
	unsigned code;
	const char *enhanced;
	const char *help;            // TEXT_MARK
};
extern const struct config_limit_kind config_limit_kinds[CONFIG_LIMITS];
// The table as Markdown, for doc/manual/limits.md.
int config_limit_manual(struct buf *out);

// ---- rate SUBJECT WHAT COUNT per PERIOD [ACTION]
enum config_rate_subject { CONFIG_RATE_ACCOUNT, CONFIG_RATE_CLIENT, CONFIG_RATE_DOMAIN, CONFIG_RATE_SUBJECTS };
enum config_rate_what { CONFIG_RATE_MESSAGES, CONFIG_RATE_RECIPIENTS, CONFIG_RATE_WHATS };
enum config_rate_period { CONFIG_RATE_MINUTE, CONFIG_RATE_HOUR, CONFIG_RATE_DAY, CONFIG_RATE_PERIODS };
enum config_rate_action { CONFIG_RATE_DEFER, CONFIG_RATE_REFUSE, CONFIG_RATE_HOLD, CONFIG_RATE_ACTIONS };
// Two rates are the same value when subject, what and period are; so many can be in force.
#define CONFIG_RATES (CONFIG_RATE_SUBJECTS * CONFIG_RATE_WHATS * CONFIG_RATE_PERIODS)

struct config_rate {
	enum config_rate_subject subject;
	enum config_rate_what what;
	enum config_rate_period period;
	enum config_rate_action action;
	uint64_t most;  // CONFIG_LIMIT_NONE: a wider scope's rate is lifted
	uint32_t line;
};
unsigned config_rate_index(const struct config_rate *r); // below CONFIG_RATES, the same for the same value
const char *config_rate_word(enum config_rate_subject s); // "account"…
const char *config_rate_what_word(enum config_rate_what w);
const char *config_rate_period_word(enum config_rate_period p);
uint64_t config_rate_period_ms(enum config_rate_period p);
const char *config_rate_action_word(enum config_rate_action a);
#define CONFIG_RATE_TEXT_MAX 80
// "rate account recipients 1000 per day"; returns out.
const char *config_rate_text(const struct config_rate *r, char out[CONFIG_RATE_TEXT_MAX]);

// One block, or (with a single value) what an older spelling says.
struct config_limit {
	struct str label;                  // "account kim@example.kr", "everywhere"
	uint64_t value[CONFIG_LIMITS];     // 0: not said
	struct config_rate *rates;
	size_t rate_count;
	struct str file;
	uint32_t line[CONFIG_LIMITS];      // of each value
	// made of label
	enum config_scope scope;
	struct str key;                    // "kim@example.kr"; "" of everywhere
	struct ipnet network;
	struct config_place where;
};

// ---- who says something, weakest first
// The block for this name in a scope that has names (not network); NULL: there is none.
const struct config_limit *config_limit_find(const struct config *c, enum config_scope scope,
	struct str key);
// The networks that hold this address, longest prefix first; *state begins as 0. NULL: no more.
const struct config_limit *config_limit_next_network(const struct config *c,
	const struct ipaddr *address, size_t *state);
// Whether any block (not an older spelling) has this scope, or says this value.
bool config_limit_has_scope(const struct config *c, enum config_scope scope);
bool config_limit_has_value(const struct config *c, enum config_limit_id id);
bool config_limit_has_rates(const struct config *c);
// The largest value that anybody may get: for bounds of a whole process.
uint64_t config_limit_most(const struct config *c, enum config_limit_id id);

#endif
