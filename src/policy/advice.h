// SPDX-License-Identifier: ISC
// What would change the answer: for each rule that can refuse, the step it belongs to and words for
// the administrator. One table, so that no rule is without.
#ifndef PABAL_POLICY_ADVICE_H
#define PABAL_POLICY_ADVICE_H

#include "base/buf.h"

// What an advice speaks of. Strings may be empty.
struct policy_situation {
	struct str client, server, account, sender, recipient, domain; // domain: of the recipient
	struct str where;        // as in policy_verdict.rule_text
	struct str configuration; // path of the file
	unsigned login_port;     // of the first server on which one can log in; 0: none
	bool server_requires_auth, account_may_relay;
};

// The step a rule belongs to, which may be finer than the command that was refused: "connect", "auth",
// "mail", "size", "rate", "rcpt", "quota", "route", "sender"; NULL: a rule that is not known.
const char *policy_advice_step(const char *rule);
// Appends the advices that fit, each a line with "\n". None for rules that let pass and unknown ones.
// ERR_LIMIT when out is full.
int policy_advise(const char *rule, const struct policy_situation *s, struct buf *out);

#endif
