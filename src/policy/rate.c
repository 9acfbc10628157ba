// SPDX-License-Identifier: ISC
// Rates: how much an account, a client or a domain sends in a minute, an hour, a day. Who counts is
// queue (queue/rates.h); here it is only said what follows.
#include "policy/policy_internal.h"

#include "base/text.h"
#include "base/unit.h"

#include <inttypes.h>

static void say_full(const struct policy_facts *f, struct policy_verdict *v)
{
	const struct config_rate *r = f->rate_full.rate;
	bool refuse = r->action == CONFIG_RATE_REFUSE;
	const char *whose = r->subject == CONFIG_RATE_ACCOUNT ? TEXT("your account") :
		r->subject == CONFIG_RATE_DOMAIN ? TEXT("your domain") : TEXT("your address");
	const char *what = r->what == CONFIG_RATE_MESSAGES ? TEXT("messages") : TEXT("recipients");
	char left[UNIT_TEXT_MAX];

	policy_verdict_set(v, refuse ? POLICY_RULE_RATE_REFUSE : POLICY_RULE_RATE_DEFER,
		TEXT("%s may have %" PRIu64 " %s per %s; there is room again in %s"), whose, r->most, what,
		config_rate_period_word(r->period), unit_format_duration_short(f->rate_left_ms, left));
	(void)policy_rate_where(&f->rate_full, v->rule_text);
	v->count = f->rate_count;
	v->limit = r->most;
}

bool policy_rate_refused(const struct policy_facts *f, enum config_rate_what what, struct policy_verdict *v)
{
	if (!policy_rate_asks(f, what))
		return false;
	if (!(f->known & POLICY_FACT_RATE))
		policy_verdict_need(v, POLICY_FACT_RATE);
	else if (f->rate_uncertain)
		policy_verdict_set(v, POLICY_RULE_RATE_UNCERTAIN,
			TEXT("how much you sent cannot be looked up now; try again"));
	else if (f->rate_full.rate)
		say_full(f, v);
	else
		return false;
	return true;
}
