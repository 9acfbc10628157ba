// SPDX-License-Identifier: ISC
// Steps of pabal explain that are no command of their own: what was looked at while MAIL or RCPT was
// answered, and let it pass.
#include "base/text.h"
#include "base/unit.h"
#include "command/explain_internal.h"
#include "command/rows.h"

#include <string.h>

static const json_t *facts_of(const json_t *seen)
{
	return json_object_get(seen, "facts");
}

static const json_t *limit_of(const json_t *seen, const char *name)
{
	return json_object_get(json_object_get(facts_of(seen), "limits"), name);
}

// "50M, from limit account kim@example.kr pabal.conf:12"
static void note_limit(json_t *step, const json_t *seen, const char *name, const char *none)
{
	const json_t *limit = limit_of(seen, name);
	long long value = row_number(limit, "value");
	char text[UNIT_TEXT_MAX];
	if (!value) {
		explain_note(step, "%s", none);
		return;
	}
	if (strstr(name, "size"))
		unit_format_size((uint64_t)value, text);
	else
		snprintf(text, sizeof text, "%lld", value);
	explain_note(step, TEXT("in force: %s %s, from %s"), name, text, row_word(limit, "where"));
}

void explain_size(struct explain *e, const json_t *mail)
{
	json_t *step = explain_add_step(e, "size", NULL, NULL);
	if (e->size)
		explain_note(step, TEXT("%s octets are said"), e->size);
	else
		explain_note(step, "%s", TEXT("no size is said (--size)"));
	note_limit(step, mail, "message-size", TEXT("no limit"));
	json_object_set_new(step, "limit", json_incref((json_t *)limit_of(mail, "message-size")));
}

// Rates that this step looks at: of messages at MAIL, of recipients at RCPT.
void explain_rates(struct explain *e, const json_t *seen, const char *recipient)
{
	const json_t *rates = json_object_get(facts_of(seen), "rates");
	json_t *step = explain_add_step(e, "rate", recipient, NULL), *rate;
	size_t i;
	json_array_foreach(rates, i, rate) {
		if (json_object_get(rate, "count"))
			explain_note(step, TEXT("in force: %s, %lld so far, from %s"), row_word(rate, "text"),
				row_number(rate, "count"), row_word(rate, "where"));
		else
			explain_note(step, TEXT("in force: %s, from %s"), row_word(rate, "text"),
				row_word(rate, "where"));
	}
	if (!json_array_size(rates))
		explain_note(step, "%s", TEXT("no rate is limited"));
	note_limit(step, seen, "recipients", TEXT("any number of recipients a message"));
	if (rates)
		json_object_set(step, "rates", (json_t *)rates);
}

void explain_quota(struct explain *e, const json_t *rcpt, const char *recipient)
{
	const json_t *facts = facts_of(rcpt);
	json_t *step;
	if (!json_is_true(json_object_get(facts, "local_domain")))
		return; // not ours to count
	step = explain_add_step(e, "quota", recipient, NULL);
	explain_note(step, "%s", TEXT("its mailbox has room"));
}
