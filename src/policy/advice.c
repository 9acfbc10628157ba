// SPDX-License-Identifier: ISC
#include "policy/advice.h"

#include "base/error.h"
#include "base/text.h"

#include <stdio.h>

enum {
	ALWAYS = 0,
	LOGGED_IN = 1,
	NOT_LOGGED_IN = 2,
	LOGIN_THERE = 4,  // there is a port on which one can log in
	BY_ADDRESS = 8,   // the server may relay by address
	NO_RELAY = 16,    // the account has not the right
};

// In the order of enum policy_rule, then what the dialogue itself refuses. Words in capitals behind $
// are filled in.
static const struct advice {
	const char *rule, *step;
	unsigned when;
	const char *words;
} advices[] = {
	{"client-denied", "connect", ALWAYS, TEXT_MARK("take out or change the rule at $WHERE, or put a "
		"longer one for $CLIENT beside it (allow)")},
	{"max-connections-address", "connect", ALWAYS, TEXT_MARK("close connections of $CLIENT, or raise it where it is said ($WHERE), or write "
		"`limit \"network $CLIENT\" { connections-address N }` into $CONFIGURATION")},
	{"max-connections-network", "connect", ALWAYS, TEXT_MARK("close connections from the network of $CLIENT, or raise it where it is said ($WHERE), or write "
		"`limit \"network $CLIENT\" { connections-network N }` into $CONFIGURATION")},
	{"max-connections", "connect", ALWAYS, TEXT_MARK("wait, or raise it where it is said ($WHERE), or write "
		"`limit \"everywhere\" { connections N }` into $CONFIGURATION")},
	{"max-connections-minute", "connect", ALWAYS, TEXT_MARK("wait a minute, or raise it where it is said ($WHERE), or write "
		"`limit \"network $CLIENT\" { connections-per-minute N }` into $CONFIGURATION")},
	{"max-connections-minute-network", "connect", ALWAYS, TEXT_MARK("wait a minute, or raise it where it is said ($WHERE), or write "
		"`limit \"network $CLIENT\" { connections-per-minute-network N }` into $CONFIGURATION")},
	{"max-connections-minute-all", "connect", ALWAYS, TEXT_MARK("wait a minute, or raise it where it is said ($WHERE), or write "
		"`limit \"everywhere\" { connections-per-minute-all N }` into $CONFIGURATION")},
	{"auth-not-offered", "auth", LOGIN_THERE, TEXT_MARK("log in on port $PORT")},
	{"auth-not-offered", "auth", ALWAYS, TEXT_MARK("write `auth offer` into server \"$SERVER\" of "
		"$CONFIGURATION")},
	{"auth-needs-tls", "auth", ALWAYS, TEXT_MARK("begin TLS first (--tls)")},
	{"require-tls", "mail", ALWAYS, TEXT_MARK("begin TLS first (--tls)")},
	{"require-auth", "mail", ALWAYS, TEXT_MARK("log in first (--auth ACCOUNT)")},
	{"max-messages", "rate", ALWAYS, TEXT_MARK("open a new connection, or raise it where it is said ($WHERE), or write "
		"`limit \"server $SERVER\" { messages N }` into $CONFIGURATION")},
	{"max-message-size", "size", ALWAYS, TEXT_MARK("raise it where it is said ($WHERE), or write "
		"`limit \"server $SERVER\" { message-size N }` into $CONFIGURATION")},
	{"account-disabled", "mail", ALWAYS, TEXT_MARK("`pabal account enable $ACCOUNT`")},
	{"account-locked", "mail", ALWAYS, TEXT_MARK("`pabal account set $ACCOUNT --unlock`")},
	{"account-expired", "mail", ALWAYS, TEXT_MARK("`pabal account set $ACCOUNT --expires never`, or a "
		"later date")},
	{"account-removed", "mail", ALWAYS, TEXT_MARK("`pabal account add $ACCOUNT`; check the spelling of "
		"the name")},
	{"account-uncertain", "mail", ALWAYS, TEXT_MARK("ask again; `pabal status` shows whether role "
		"queue runs")},
	{"account-from-networks", "mail", ALWAYS, TEXT_MARK("send from an allowed network, or `pabal "
		"account set $ACCOUNT --from …`; it is said by: $WHERE")},
	{"account-servers", "mail", ALWAYS, TEXT_MARK("send through an allowed server, or `pabal account set "
		"$ACCOUNT --servers …`; it is said by: $WHERE")},
	{"submit-denied", "mail", ALWAYS, TEXT_MARK("`pabal account set $ACCOUNT --submit yes`, or its "
		"group's right")},
	{"sender-without-domain", "mail", ALWAYS, TEXT_MARK("give the sender a domain")},
	{"sender-not-yours", "mail", ALWAYS, TEXT_MARK("`pabal account send-as $ACCOUNT add $SENDER`, or "
		"`senders` of server \"$SERVER\" in $CONFIGURATION")},
	{"sender-domain", "mail", ALWAYS, TEXT_MARK("send from a domain that the rule at $WHERE names, or add "
		"the domain there")},
	{"sender-uncertain", "mail", ALWAYS, TEXT_MARK("ask again; `pabal status` shows whether role queue "
		"runs")},
	{"null-sender", "mail", ALWAYS, TEXT_MARK("`pabal account send-as $ACCOUNT add \"<>\"`")},
	{"guard-suspended", "mail", ALWAYS, TEXT_MARK("`pabal guard list` shows why it was stopped; change "
		"the password, then `pabal guard allow`")},
	{"store-full", "mail", ALWAYS, TEXT_MARK("make room on the disk of the state folder, or lower "
		"min-free in queue { }")},
	{"max-recipients", "rate", ALWAYS, TEXT_MARK("send the rest in another message, or raise it where it is said ($WHERE), or write "
		"`limit \"server $SERVER\" { recipients N }` into $CONFIGURATION")},
	{"rbl-text", "rcpt", ALWAYS, TEXT_MARK("take RBLSMTPD out of the rule for $CLIENT at $WHERE")},
	{"max-local-size", "size", ALWAYS, TEXT_MARK("raise it where it is said ($WHERE), or write "
		"`limit \"account $RECIPIENT\" { local-size N }` into $CONFIGURATION")},
	{"rate", "rate", ALWAYS, TEXT_MARK("wait until there is room again, or raise the rate where it is "
		"said ($WHERE)")},
	{"rate-uncertain", "rate", ALWAYS, TEXT_MARK("ask again; `pabal status` shows whether role queue "
		"runs")},
	{"recipient-empty", "rcpt", ALWAYS, TEXT_MARK("name a recipient")},
	{"literal-local", "rcpt", ALWAYS, TEXT_MARK("write the recipient with a domain of this server")},
	{"hidden-route", "rcpt", ALWAYS, TEXT_MARK("write the recipient's own address, without %, ! or a "
		"second @")},
	{"unknown-recipient", "rcpt", ALWAYS, TEXT_MARK("`pabal account add $RECIPIENT`, or an alias of "
		"that name; check the spelling")},
	{"recipient-nowhere", "rcpt", ALWAYS, TEXT_MARK("`pabal address explain $RECIPIENT` shows where it goes "
		"round, or whom it names that is not there")},
	{"recipient-uncertain", "rcpt", ALWAYS, TEXT_MARK("ask again; `pabal status` shows whether role "
		"queue runs")},
	{"mailbox-full", "quota", ALWAYS, TEXT_MARK("delete mail of $RECIPIENT, or raise its quota (`pabal "
		"quota set`)")},
	{"relay-denied", "rcpt", NOT_LOGGED_IN | LOGIN_THERE, TEXT_MARK("log in on port $PORT")},
	{"relay-denied", "rcpt", LOGGED_IN | NO_RELAY, TEXT_MARK("`pabal account set $ACCOUNT --relay yes`, "
		"or its group's right")},
	{"relay-denied", "rcpt", BY_ADDRESS, TEXT_MARK("a rule for $CLIENT with relay in clients { } of "
		"$CONFIGURATION")},
	{"relay-denied", "rcpt", ALWAYS, TEXT_MARK("if mail for $DOMAIN is to be taken here: add it to "
		"domains { } of $CONFIGURATION")},
	{"route-refused", "route", ALWAYS, TEXT_MARK("change the route for $DOMAIN in $CONFIGURATION")},
	// ---- of the dialogue
	{"syntax", "command", ALWAYS, TEXT_MARK("write the address as in RFC 5321: <name@domain>")},
	{"sequence", "command", ALWAYS, TEXT_MARK("send the commands in their order")},
	{"unavailable", "command", ALWAYS, TEXT_MARK("ask again; `pabal status` shows which role does not "
		"answer")},
	{"line-length", "command", ALWAYS, TEXT_MARK("send a shorter line")},
	{"bare-line-end", "command", ALWAYS, TEXT_MARK("end lines with CRLF and nothing else")},
	{"shutdown", "command", ALWAYS, TEXT_MARK("ask again when the server has been started")},
};

const char *policy_advice_step(const char *rule)
{
	for (size_t i = 0; i < ARRAY_SIZE(advices); i++)
		if (!strcmp(advices[i].rule, rule))
			return advices[i].step;
	return NULL;
}

static unsigned conditions(const struct policy_situation *s)
{
	return (s->account.len ? LOGGED_IN : NOT_LOGGED_IN) | (s->login_port ? LOGIN_THERE : 0u) |
		(s->server_requires_auth ? 0u : BY_ADDRESS) | (s->account_may_relay ? 0u : NO_RELAY);
}

static int add_filled(struct buf *out, const char *words, const struct policy_situation *s)
{
	char port[12];
	const struct {
		struct str name, value;
	} names[] = {
		{STR("CLIENT"), s->client}, {STR("SERVER"), s->server}, {STR("ACCOUNT"), s->account},
		{STR("SENDER"), s->sender}, {STR("RECIPIENT"), s->recipient}, {STR("DOMAIN"), s->domain},
		{STR("WHERE"), s->where}, {STR("CONFIGURATION"), s->configuration},
		{STR("PORT"), str_make(port, (size_t)snprintf(port, sizeof(port), "%u", s->login_port))},
	};
	struct str rest = str_from(words);
	ptrdiff_t at;

	while ((at = str_find(rest, '$')) >= 0) {
		size_t i = 0;

		if (buf_add_str(out, str_slice(rest, 0, (size_t)at)))
			return ERR_LIMIT;
		rest = str_skip(rest, (size_t)at + 1);
		while (i < ARRAY_SIZE(names) && !str_starts(rest, names[i].name))
			i++;
		if (i == ARRAY_SIZE(names))
			continue;
		if (buf_add_str(out, names[i].value.len ? names[i].value : STR("-")))
			return ERR_LIMIT;
		rest = str_skip(rest, names[i].name.len);
	}
	return buf_add_str(out, rest) || buf_add_char(out, '\n') ? ERR_LIMIT : 0;
}

int policy_advise(const char *rule, const struct policy_situation *s, struct buf *out)
{
	unsigned now = conditions(s);

	for (size_t i = 0; i < ARRAY_SIZE(advices); i++) {
		const struct advice *a = &advices[i];

		if (strcmp(a->rule, rule) || (a->when & ~now))
			continue;
		if (add_filled(out, TEXT(a->words), s))
			return ERR_LIMIT;
	}
	return 0;
}
