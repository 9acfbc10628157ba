// SPDX-License-Identifier: ISC
// May this session begin a message with this sender?
#include "policy/policy_internal.h"

#include "base/text.h"

#include <inttypes.h>

// What can be said without asking anybody. True when v was set.
static bool limit_passed(const struct policy_facts *f, struct policy_verdict *v)
{
	const struct config_server *server = f->server;

	if (server->max_messages && f->messages_so_far >= server->max_messages) {
		policy_verdict_set(v, POLICY_RULE_MAX_MESSAGES,
			TEXT("a connection may carry %" PRIu64 " messages; open a new one"),
			server->max_messages);
		return true;
	}
	if (f->mail && f->mail->has_size && server->max_message_size &&
		f->mail->size > server->max_message_size) {
		policy_verdict_set(v, POLICY_RULE_MAX_SIZE,
			TEXT("a message may have %" PRIu64 " octets, yours has %" PRIu64),
			server->max_message_size, f->mail->size);
		return true;
	}
	return false;
}

void policy_mail(const struct policy_facts *f, struct policy_verdict *v)
{
	unsigned need;

	if (policy_session_refused(f, v) || limit_passed(f, v))
		return;
	if (f->sender && f->sender->postmaster) { // RFC 5321 4.1.2: without domain only at RCPT
		policy_verdict_set(v, POLICY_RULE_SENDER_BAD,
			TEXT("the sender needs a domain, as in postmaster@example.org"));
		return;
	}
	need = (POLICY_FACT_SPACE | (f->account.len ? POLICY_FACT_ACCOUNT : 0u)) & ~f->known;
	if (need) {
		policy_verdict_need(v, need);
		return;
	}
	if (policy_account_refused(f, v))
		return;
	if (f->store_full)
		policy_verdict_set(v, POLICY_RULE_STORE_FULL,
			TEXT("this server is short of disk space and takes no mail now; try again later"));
	else
		policy_verdict_set(v, POLICY_RULE_ALLOW, NULL);
}

void policy_data(const struct policy_facts *f, struct policy_verdict *v)
{
	if (policy_session_refused(f, v))
		return;
	policy_verdict_set(v, POLICY_RULE_ALLOW, NULL);
}
