// SPDX-License-Identifier: ISC
// Steps of pabal explain that are no command of their own: what was looked at while MAIL or RCPT was
// answered, and let it pass.
#include "base/text.h"
#include "base/unit.h"
#include "command/caller.h"
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

// ---- how much of a rate is used: `pabal limits` knows
static void take_count(const json_t *row, void *arg)
{
	json_t *rates = arg, *rate;
	size_t i;
	json_array_foreach(rates, i, rate) {
		if (strcmp(row_word(rate, "key"), row_word(row, "key")))
			continue;
		json_object_set_new(rate, "count",
			json_integer(row_number(row, "used") + row_number(row, "reserved")));
	}
}

static void add_counts(const struct explain *e, const json_t *seen, json_t *rates)
{
	const json_t *facts = facts_of(seen);
	const char *account = row_word(facts, "account");
	json_t *arguments = json_pack("{s:s, s:s}", "client", row_word(facts, "client"), "server",
		row_word(facts, "server"));
	struct error err = {0};
	if (account[0])
		json_object_set_new(arguments, "name", json_string(account));
	(void)caller_run(e->config, "limits", arguments, take_count, rates, NULL, &err);
	json_decref(arguments);
}

// What is counted by messages is looked at when MAIL is answered, by recipients at RCPT; shown together.
void explain_rates(struct explain *e, const json_t *seen, const char *recipient)
{
	json_t *rates = json_deep_copy(json_object_get(facts_of(seen), "rates"));
	json_t *step = explain_add_step(e, "rate", recipient, NULL), *rate;
	size_t i;
	if (json_array_size(rates))
		add_counts(e, seen, rates);
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
	json_object_set_new(step, "rates", rates ? rates : json_array());
}

void explain_quota(struct explain *e, const json_t *rcpt, const char *recipient)
{
	const json_t *facts = facts_of(rcpt);
	long long most = row_number(facts, "mailbox_max_size");
	char text[UNIT_TEXT_MAX];
	json_t *step;
	if (!json_is_true(json_object_get(facts, "local_domain")))
		return; // not ours to count
	step = explain_add_step(e, "quota", recipient, NULL);
	explain_note(step, "%s", TEXT("there is room in what it leads to"));
	if (most)
		explain_note(step, TEXT("in force: local-size %s, from %s"),
			unit_format_size((uint64_t)most, text), row_word(facts, "mailbox_max_size_where"));
}
