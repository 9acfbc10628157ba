// SPDX-License-Identifier: ISC
// Who is told what became of a message (RFC 3461), and the report that tells it. A report is
// committed with the end of the recipients it is about.
#include "queue/queue_internal.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/event.h"
#include "base/memory.h"
#include "base/text.h"
#include "message/digest.h"
#include "message/report.h"
#include "smtp/parameters.h"

#include <stdio.h>

// ---- is there something to tell
static bool wants_failure(const struct item *i)
{
	if (i->notify & SMTP_NOTIFY_NEVER)
		return false;
	return i->notify == 0 || (i->notify & SMTP_NOTIFY_FAILURE);
}

// RFC 3461 4.1: a delivery is told only to who asked, and not when the next host does it (5.2.2).
static bool wants_success(const struct item *i)
{
	return (i->notify & SMTP_NOTIFY_SUCCESS) && !(i->notify & SMTP_NOTIFY_NEVER) &&
		queue_item_sender(i).len && !i->outcome->relayed_dsn;
}

static bool is_told(const struct item *i)
{
	if (i->deleted)
		return false;
	switch (i->result) {
	case TRY_PERMANENT:
		return wants_failure(i);
	case TRY_TEMPORARY:
		return i->warn;
	case TRY_DELIVERED:
	case TRY_EXPANDED:
		return wants_success(i);
	case TRY_NONE:
	case TRY_RETURNED:
	case TRY_HELD:
		break;
	}
	return false;
}

// ---- to whom
// What was for the postmaster already cannot go there again. The target alone does not tell: it is
// another address of the same account when the directory says so.
static bool is_for_postmaster(const struct queue *q, const struct item *i)
{
	// Of a report that went to an alias: it may be the postmaster's own.
	return i->mapped || (i->mail->envelope.bounce && i->depth) || str_equal_nocase(i->address, q->config->postmaster) ||
		str_equal_nocase(queue_item_target(i), q->config->postmaster);
}

// The sender; the postmaster for what has none: a report of ours or of somebody else.
static bool has_reader(const struct queue *q, const struct item *i)
{
	return queue_item_sender(i).len ||
		(q->config->postmaster.len && !is_for_postmaster(q, i));
}

bool queue_bounce_is_stuck(const struct queue *q, const struct item *i)
{
	return i->result == TRY_PERMANENT && is_told(i) && !has_reader(q, i);
}

bool queue_bounce_wanted(struct queue *q, struct job *j)
{
	bool wanted = false;
	LIST_EACH(link, &j->items) {
		const struct item *i = LIST_ENTRY(link, struct item, link);
		if (is_told(i) && has_reader(q, i))
			wanted = true;
	}
	return wanted;
}

// ---- the words
static enum report_action action_of(const struct queue *q, const struct item *i)
{
	if (i->result == TRY_PERMANENT)
		return REPORT_FAILED;
	if (i->result == TRY_TEMPORARY)
		return REPORT_DELAYED;
	if (i->result == TRY_EXPANDED)
		return REPORT_EXPANDED;
	// A mailbox, ours or behind LMTP, is the end of the way; another SMTP host is not.
	struct route r = queue_route_for(q->config, i->target ? i->target_domain : i->domain);
	bool final = r.kind == ROUTE_LOCAL ||
		(r.kind == ROUTE_HOST && r.config->kind != CONFIG_ROUTE_SMTP);
	return final ? REPORT_DELIVERED : REPORT_RELAYED;
}

static const char *status_of(const struct item *i)
{
	if (!i->expired)
		return i->outcome->status;
	return strcmp(i->outcome->status, "4.2.2") == 0 ? "5.2.2" : "4.4.7";
}

// "550 5.1.1 no such user", or our own words.
static struct str diagnostic_of(const struct item *i, struct buf *words)
{
	const struct outcome *o = i->outcome;
	buf_clear(words);
	if (i->expired)
		(void)buf_add_text(words, "it could not be delivered in time; the last try ended with: ");
	if (o->code && !i->expired)
		(void)buf_add_format(words, "%u %s %s", o->code, o->status, o->text);
	else if (o->code)
		(void)buf_add_format(words, "%u %s", o->code, o->text);
	else
		(void)buf_add_text(words, o->text);
	return buf_str(words);
}

// "host" of "host [address]".
static struct str host_of(const struct outcome *o)
{
	struct str rest = str_from(o->remote), host;
	return str_split(&rest, ' ', &host) ? host : STR_EMPTY;
}

static unsigned collect(struct queue *q, struct job *j, struct report_recipient *out,
	struct item **items, struct buf *words, char (*addresses)[SMTP_ADDRESS_MAX])
{
	uint64_t now = clock_wall_ms();
	unsigned count = 0;
	LIST_EACH(link, &j->items) {
		struct item *i = LIST_ENTRY(link, struct item, link);
		if (!is_told(i) || !has_reader(q, i))
			continue;
		items[count] = i;
		out[count] = (struct report_recipient){
			.address = queue_item_words(i, addresses[count]),
			.orcpt = queue_item_orcpt(i),
			.action = action_of(q, i),
			.status = str_from(status_of(i)),
			.remote = host_of(i->outcome),
			.diagnostic = diagnostic_of(i, &words[count]),
			.last_try_ms = now,
			.will_retry_until_ms = queue_retry_expiry(q->config, &i->mail->envelope),
		};
		count++;
	}
	return count;
}

// ---- the message
// With the whole body where it was asked for and fits beside the rest, else with less of it.
static int write_report(struct buf *out, struct report *r)
{
	static const struct {
		size_t most;
		bool whole;
	} amounts[] = {{STORE_INLINE_BODY_MAX, true}, {STORE_INLINE_BODY_MAX, false}, {16384, false},
		{0, false}};
	struct str body = r->original_body;
	bool whole = r->body_complete;
	int err = ERR_LIMIT;
	out->limit = STORE_INLINE_BODY_MAX;
	for (size_t n = 0; n < ARRAY_SIZE(amounts) && err; n++) {
		r->original_body = str_slice(body, 0, amounts[n].most);
		r->body_complete = whole && amounts[n].whole;
		err = report_write(out, r);
	}
	return err;
}

static struct item *make_item(struct queue *q, const struct mail *original, const struct report *r,
	struct str octets)
{
	struct smtp_address address;
	struct envelope e = {
		.id = r->id,
		.smtputf8 = original->envelope.smtputf8 && !str_is_ascii(octets),
		.eightbit = !str_is_ascii(octets),
		.bounce = true,
		.session = original->envelope.session,
		.received_ms = r->wall_ms,
		.size = octets.len,
	};
	if (smtp_address_parse(r->to, &address))
		return NULL;
	if (address.utf8)
		e.smtputf8 = true;
	digest_of(octets, e.digest);
	struct envelope_recipient to = {.address = str_from(address.text),
		.domain = str_from(address.domain), .hold = queue_is_on_hold(q),
		.hold_reason = queue_is_on_hold(q) ? STR(QUEUE_HOLD_REASON) : STR_EMPTY};
	struct mail *m = queue_mail_create(q, &e, 0, octets);
	struct item *i = queue_item_create(q, m, &to, id_next(q->ids));
	queue_mail_unref(m);
	return i;
}

// Only an administrator may throw away what nobody can be told of.
static void hold_untold(struct item *i)
{
	char why[SMTP_REPLY_TEXT_MAX];
	if (i->result != TRY_PERMANENT)
		return;
	snprintf(why, sizeof why, "%s", i->outcome->text);
	queue_item_set_result(i, TRY_HELD, "5.0.0",
		TEXT("it failed, and no report can be written about it: %s"), why);
	queue_log_hold(i->mail, i, str_from(i->outcome->text));
}

// One report about the first of the recipients that fit. Returns how many.
static unsigned add_report(struct queue *q, struct job *j, const struct report *about,
	struct item *const *items, unsigned from)
{
	struct report r = *about;
	struct buf octets = BUF_INIT;
	r.id = id_next(q->ids);
	r.recipients = about->recipients + from;
	r.recipient_count = about->recipient_count - from;
	int err;
	while ((err = write_report(&octets, &r)) && r.recipient_count > 1)
		r.recipient_count = (r.recipient_count + 1) / 2;
	struct item *i = err ? NULL : make_item(q, j->mail, &r, buf_str(&octets));
	if (i)
		j->reports[j->report_count++] = i;
	for (unsigned n = from; !i && n < from + r.recipient_count; n++)
		hold_untold(items[n]);
	if (!i)
		event_report(EVENT_ERROR, "queue", "no report can be written to <%.*s>", STR_ARG(r.to));
	buf_finish(&octets);
	return r.recipient_count;
}

// The sender, unless it is none that one could write to.
static struct str reader_of(const struct queue *q, struct str sender)
{
	struct smtp_address address;
	return sender.len && !smtp_address_parse(sender, &address) ? sender : q->config->postmaster;
}

void queue_bounce_make(struct queue *q, struct job *j, struct str body, bool whole)
{
	struct str sender = queue_item_sender(LIST_ENTRY(j->items.next, struct item, link));
	struct envelope original = j->mail->envelope;
	char (*addresses)[SMTP_ADDRESS_MAX] = mem_array(j->count, sizeof *addresses);
	struct report_recipient *recipients = mem_array(j->count, sizeof *recipients);
	struct item **items = mem_array(j->count, sizeof(struct item *));
	struct buf *words = mem_array(j->count, sizeof *words);
	struct report r = {
		.original = &original,
		.original_body = body,
		.body_complete = whole,
		.recipients = recipients,
		.hostname = q->config->hostname,
		.to = reader_of(q, sender),
		.wall_ms = clock_wall_ms(),
	};
	if (!str_equal(sender, original.sender)) { // of a list: its owner asked for nothing
		original.envid = STR_EMPTY;
		original.ret = 0;
	}
	r.recipient_count = collect(q, j, recipients, items, words, addresses);
	j->reports = mem_array(j->count, sizeof(struct item *));
	for (unsigned from = 0; from < r.recipient_count;)
		from += add_report(q, j, &r, items, from);
	// What is on hold is not ours to try; and memory is for what can go.
	j->reports_claimed = !queue_is_on_hold(q) && !q->stopping && queue_window_has_room(q, 0, 0);
	for (unsigned n = 0; n < j->count; n++)
		buf_finish(&words[n]);
	mem_free(words);
	mem_free(addresses);
	mem_free(items);
	mem_free(recipients);
}
