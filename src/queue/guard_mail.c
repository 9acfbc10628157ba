// SPDX-License-Identifier: ISC
// The mails of the guard: to the postmaster and the owner of the account, one for each step of an
// incident. They are messages like others, from the postmaster with the null sender; the owner's goes to
// the mailbox here, which takes mail whatever is done about sending.
#include "queue/guard.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/event.h"
#include "base/memory.h"
#include "base/text.h"
#include "message/digest.h"
#include "store/guards.h"

#define SLOW_PAUSE_MS ((uint64_t)7 * 24 * 3600 * 1000) // slowness is told once in that time

static const char *const done[] = {
	[GUARD_NONE] = TEXT_MARK("Nothing was done; only this is told."),
	[GUARD_SLOW] = TEXT_MARK("Its messages wait some seconds each. That ends by itself when the "
		"sending becomes usual again."),
	[GUARD_HOLD] = TEXT_MARK("Its mail is taken, but stays in the queue until somebody decides."),
	[GUARD_SUSPEND] = TEXT_MARK("It cannot send any more. What it had sent and was not yet delivered "
		"stays in the queue until somebody decides."),
};
static const char *const titles[] = {
	[GUARD_NONE] = TEXT_MARK("unusual sending"),
	[GUARD_SLOW] = TEXT_MARK("unusual sending, slowed"),
	[GUARD_HOLD] = TEXT_MARK("unusual sending, mail is held"),
	[GUARD_SUSPEND] = TEXT_MARK("unusual sending, stopped"),
};

struct letter {
	struct guard_subject *subject;
	const struct guard_verdict *verdict;
	struct str to;
	bool owner;
	uint64_t id, now_ms;
	struct buf text;
};

// "kim@example.org" of "account kim@example.org".
static struct str who(const struct guard_subject *s)
{
	ptrdiff_t at = str_find(s->name, ' ');
	return str_skip(s->name, (size_t)at + 1);
}

static void line(struct letter *l, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void line(struct letter *l, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	(void)buf_add_vformat(&l->text, format, args);
	va_end(args);
	(void)buf_add_text(&l->text, "\r\n");
}

// ---------------------------------------------------------------- parts

static void add_head(struct letter *l)
{
	const struct config *c = l->subject->guard->queue->config;
	char date[CLOCK_DATE_MAX], id[ID_TEXT_MAX];
	line(l, "Date: %s", clock_format_rfc5322(l->now_ms, date));
	line(l, "From: Pabal <%.*s>", STR_ARG(c->postmaster));
	line(l, "To: <%.*s>", STR_ARG(l->to));
	line(l, "Subject: %.*s: %s", STR_ARG(who(l->subject)), TEXT(titles[guard_in_force(l->subject)]));
	line(l, "Message-ID: <%s.guard@%.*s>", id_format(l->id, id), STR_ARG(c->hostname));
	line(l, "Auto-Submitted: auto-generated");
	line(l, "MIME-Version: 1.0");
	line(l, "Content-Type: text/plain; charset=utf-8");
	line(l, "Content-Transfer-Encoding: 8bit");
	line(l, "%s", "");
}

static void add_reasons(struct letter *l)
{
	const struct guard_verdict *v = l->verdict;
	line(l, "%s", TEXT("What was seen:"));
	for (unsigned n = 0; n < v->reason_count; n++) {
		const struct guard_reason *r = &v->reasons[n];
		if (r->minutes)
			line(l, TEXT("  %u %s, in %u minutes (usual: up to %u; limit: %u)"), r->count,
				TEXT(guard_signal_words(r->signal)), r->minutes, r->usual, r->limit);
		else
			line(l, TEXT("  %u %s (usual: up to %u; limit: %u)"), r->count,
				TEXT(guard_signal_words(r->signal)), r->usual, r->limit);
	}
	line(l, "%s", "");
}

static void add_networks(struct letter *l)
{
	const struct guard_state *state = &l->subject->state;
	char text[IPADDR_TEXT_MAX + 4];
	unsigned shown = 0;
	for (unsigned n = 0; n < GUARD_NETWORKS && shown < 10; n++) {
		const struct guard_network *w = &state->networks[n];
		if (!w->network || state->hour - w->last_hour >= 24)
			continue;
		if (!shown++)
			line(l, "%s", TEXT("Used from, in the last day:"));
		line(l, "  %s, %u %s%s", guard_network_format(w->network, text), w->messages,
			TEXT("messages"), state->hour - w->first_hour < 24 ?
			TEXT(", never used before") : "");
	}
	if (shown)
		line(l, "%s", "");
}

static void add_examples(struct letter *l)
{
	bool any = false;
	for (unsigned n = 0; n < GUARD_EXAMPLES; n++) {
		struct str a = str_from(l->subject->examples[n]);
		if (!a.len || !str_is_utf8(a))
			continue;
		if (!any)
			line(l, "%s", TEXT("Some recipients, lately:"));
		any = true;
		line(l, "  %.*s", STR_ARG(a));
	}
	if (any)
		line(l, "%s", "");
}

static void add_commands(struct letter *l)
{
	struct str name = who(l->subject);
	line(l, "%s", TEXT("What to do:"));
	line(l, "  pabal guard show %.*s", STR_ARG(name));
	line(l, "      %s", TEXT("all of it, as it is now"));
	if (l->subject->is_account)
		line(l, "  pabal queue list --account %.*s --state held", STR_ARG(name));
	else
		line(l, "  pabal queue list --state held");
	line(l, "      %s", TEXT("the mail that is held"));
	line(l, "  pabal guard release %.*s", STR_ARG(name));
	line(l, "      %s", TEXT("it was all right: what is held goes out, and it may send again"));
	line(l, "  pabal guard discard %.*s", STR_ARG(name));
	line(l, "      %s", TEXT("it was not: what is held is thrown away (with --return: back to the sender)"));
	if (l->subject->is_account)
		line(l, "  pabal account passwd %.*s", STR_ARG(name));
	if (l->subject->is_account)
		line(l, "      %s", TEXT("a new password, before anything else, when it was stolen"));
	line(l, "  pabal guard allow %.*s", STR_ARG(name));
	line(l, "      %s", TEXT("it may send again; what is held stays"));
}

static void add_owner(struct letter *l)
{
	line(l, "%s", TEXT("If this was you, tell your administrator. If not, somebody knows your password:"));
	line(l, "%s", TEXT("change it now, everywhere where you use the same, and look for programs on your"));
	line(l, "%s", TEXT("computer that should not be there."));
}

static void write_letter(struct letter *l)
{
	struct guard_subject *s = l->subject;
	char date[CLOCK_DATE_MAX];
	add_head(l);
	line(l, s->is_account || l->owner ? TEXT("The account %.*s sends mail as it never did before. Its password "
		"may be stolen.") : TEXT("%.*s sends mail as it never did before. There may be a worm in it, or "
		"its passwords are stolen."), STR_ARG(who(s)));
	line(l, "%s", "");
	line(l, "%s, %s", clock_format_rfc5322(l->now_ms, date), TEXT("what was done:"));
	line(l, "  %s", TEXT(done[guard_in_force(s)]));
	line(l, "%s", "");
	add_reasons(l);
	add_networks(l);
	if (!l->owner)
		add_examples(l);
	if (l->owner)
		add_owner(l);
	else
		add_commands(l);
}

// ---------------------------------------------------------------- into the queue

static void on_stored(void *arg, int err)
{
	struct queue *q = arg;
	if (err)
		event_report(EVENT_ERROR, "guard", "a report cannot be stored: %s", err_text(err));
	else
		queue_claim_due(q, clock_wall_ms());
}

static void submit(struct letter *l)
{
	struct queue *q = l->subject->guard->queue;
	struct str octets = buf_str(&l->text);
	struct smtp_address address;
	struct envelope e = {.id = l->id, .smtputf8 = false, .eightbit = !str_is_ascii(octets),
		.bounce = true, .received_ms = l->now_ms, .size = octets.len};
	if (smtp_address_parse(l->to, &address) || octets.len > STORE_INLINE_BODY_MAX)
		return;
	e.smtputf8 = address.utf8;
	digest_of(octets, e.digest);
	struct envelope_recipient to = {.id = id_next(q->ids), .address = str_from(address.text),
		.domain = str_from(address.domain), .hold = queue_is_on_hold(q),
		.hold_reason = queue_is_on_hold(q) ? STR(QUEUE_HOLD_REASON) : STR_EMPTY};
	struct store_new_recipient row = {.recipient = &to, .id = to.id, .next_try_ms = l->now_ms};
	struct store_body body = {.octets = octets};
	struct store_batch *b = store_batch_create();
	store_batch_add_message(b, &e, queue_retry_expiry(q->config, &e), &body, &row, 1);
	store_apply(q->store, b, on_stored, q);
}

static void tell(struct guard_subject *s, const struct guard_verdict *v, struct str to, bool owner)
{
	struct letter l = {.subject = s, .verdict = v, .to = to, .owner = owner,
		.id = id_next(s->guard->queue->ids), .now_ms = clock_wall_ms(),
		.text = {.limit = STORE_INLINE_BODY_MAX}};
	write_letter(&l);
	submit(&l);
	buf_finish(&l.text);
}

void guard_report(struct guard_subject *s, const struct guard_verdict *v)
{
	const struct config *c = s->guard->queue->config;
	uint64_t now = clock_wall_ms(), *last = &s->reported_ms[v->action];
	struct str name = who(s);
	bool told = v->action == GUARD_SLOW ? *last && now - *last < SLOW_PAUSE_MS : *last >= s->incident_ms;
	if (told || c->guard.notify == CONFIG_GUARD_TELL_NOBODY)
		return;
	*last = now;
	if (c->postmaster.len)
		tell(s, v, c->postmaster, false);
	if (v->action < GUARD_HOLD || c->guard.notify != CONFIG_GUARD_TELL_EVERYBODY || !s->is_account ||
		str_equal(name, c->postmaster))
		return;
	tell(s, v, name, true);
}
