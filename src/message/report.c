// SPDX-License-Identifier: ISC
// A report in three parts: words for the sender, fields for programs, and the message
// (or its header section) that it is about. Everything from outside goes through fold.h.
#include "message/report.h"

#include "message/explain.h"
#include "message/fold.h"
#include "message/returned.h"
#include "message/trace.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/memory.h"
#include "smtp/parameters.h"

#include <stdio.h>

#define BOUNDARY_MAX 40

// One report being written. The first error stands; nothing is added after it.
struct writer {
	const struct report *report;
	struct buf *out;
	struct returned returned;
	char boundary[BOUNDARY_MAX];
	bool utf8;	// RFC 6533 forms
	bool to_sender; // else a postmaster reads it
	int err;
};

// What each action is called and told as. subject: to the sender, to a postmaster.
static const struct {
	const char *name;
	const char *subject[2];
	const char *happened;
} actions[] = {
	[REPORT_FAILED] = {"failed",
		{"Your message was not delivered", "A message was not delivered"},
		"The message was not delivered to this address, and no more tries will be made."},
	[REPORT_DELAYED] = {"delayed", {"Your message is delayed", "A message is delayed"},
		"The message has not been delivered to this address yet."},
	[REPORT_DELIVERED] = {"delivered",
		{"Your message was delivered", "A message was delivered"},
		"The message was delivered to this address."},
	[REPORT_RELAYED] = {"relayed", {"Your message was passed on", "A message was passed on"},
		"The message was passed on to a mail system that sends no reports of success. You "
		"will hear of it again only if it fails there."},
	[REPORT_EXPANDED] = {"expanded", {"Your message was passed on", "A message was passed on"},
		"The message was passed on to the several addresses behind this one. No reports of "
		"success will come from there."},
};

static void line(struct writer *w, const char *text)
{
	if (!w->err)
		w->err = buf_add_format(w->out, "%s\r\n", text);
}

static void end(struct writer *w, struct fold *f)
{
	int err = fold_end(f);

	if (!w->err)
		w->err = err;
}

// "Name: text", folded.
static void field(struct writer *w, const char *name, struct str text)
{
	struct fold f;

	fold_field(&f, w->out, name, w->utf8);
	fold_text(&f, text);
	end(w, &f);
}

static void date_field(struct writer *w, const char *name, uint64_t wall_ms)
{
	char date[CLOCK_DATE_MAX];

	field(w, name, str_from(clock_format_rfc5322(wall_ms, date)));
}

// "Name: type; text".
static void typed_field(struct writer *w, const char *name, struct str type, struct str text)
{
	char atom[FOLD_ATOM_MAX];
	struct fold f;

	fold_field(&f, w->out, name, w->utf8);
	fold_format(&f, "%.*s;", STR_ARG(fold_atom(type, atom)));
	fold_text(&f, text);
	end(w, &f);
}

// "Name: type; address"; blanks of a quoted local part stay as they are.
static void address_field(struct writer *w, const char *name, struct str type, struct str address)
{
	char atom[FOLD_ATOM_MAX];
	struct fold f;

	fold_field(&f, w->out, name, w->utf8);
	fold_format(&f, "%.*s;", STR_ARG(fold_atom(type, atom)));
	fold_word(&f, address);
	end(w, &f);
}

static void paragraph(struct writer *w, const char *indent, const char *lead, struct str text)
{
	struct fold f;

	fold_paragraph(&f, w->out, indent, w->utf8);
	fold_text(&f, str_from(lead));
	fold_text(&f, text);
	end(w, &f);
}

static void part(struct writer *w, const char *type, bool eightbit)
{
	if (!w->err)
		w->err = buf_add_format(w->out,
			"\r\n--%s\r\nContent-Type: %s\r\nContent-Transfer-Encoding: %s\r\n\r\n",
			w->boundary, type, eightbit ? "8bit" : "7bit");
}

// The action that the whole report is named after: the worst.
static enum report_action worst_action(const struct report *r)
{
	enum report_action worst = REPORT_EXPANDED;

	for (unsigned i = 0; i < r->recipient_count; i++)
		if (r->recipients[i].action < worst)
			worst = r->recipients[i].action;
	return worst;
}

// ---- the header section
static void add_addresses(struct writer *w)
{
	const struct report *r = w->report;
	char host[FOLD_ATOM_MAX];
	struct str hostname = fold_atom(r->hostname, host);
	bool bare = str_find_last(r->to, '@') < 0;
	struct fold f;

	fold_field(&f, w->out, "From", w->utf8);
	fold_text(&f, STR("Mail Delivery System"));
	fold_format(&f, "<postmaster@%.*s>", STR_ARG(hostname));
	end(w, &f);
	fold_field(&f, w->out, "To", w->utf8);
	if (bare)
		fold_format(&f, "<%.*s@%.*s>", STR_ARG(r->to), STR_ARG(hostname));
	else
		fold_format(&f, "<%.*s>", STR_ARG(r->to));
	end(w, &f);
}

static void add_header(struct writer *w)
{
	const struct report *r = w->report;
	struct str about = buf_str(&w->returned.message_id);

	add_addresses(w);
	field(w, "Subject", str_from(actions[worst_action(r)].subject[w->to_sender ? 0 : 1]));
	date_field(w, "Date", r->wall_ms);
	if (!w->err)
		w->err = trace_add_message_id(w->out, r->id, r->hostname);
	if (about.len > 0) {
		field(w, "In-Reply-To", about);
		field(w, "References", about);
	}
	line(w, "Auto-Submitted: auto-replied"); // RFC 3834 5
	line(w, "MIME-Version: 1.0");
	line(w, "Content-Type: multipart/report; report-type=delivery-status;");
	if (!w->err)
		w->err = buf_add_format(w->out, "\tboundary=\"%s\"\r\n", w->boundary);
	line(w, w->utf8 || w->returned.eightbit ? "Content-Transfer-Encoding: 8bit"
						: "Content-Transfer-Encoding: 7bit");
	line(w, "");
	line(w, "This is a delivery report in MIME format.");
}

// ---- the part for people
static bool is_smtp_reply(struct str s)
{
	return s.len >= 3 && s.data[0] >= '2' && s.data[0] <= '5' && s.data[1] >= '0' &&
	       s.data[1] <= '9' && s.data[2] >= '0' && s.data[2] <= '9';
}

static void explain_reason(struct writer *w, const struct report_recipient *p)
{
	const struct explanation *e = explain_status(p->status);
	char atom[FOLD_ATOM_MAX];
	struct fold f;

	line(w, "");
	fold_paragraph(&f, w->out, "    ", w->utf8);
	if (p->remote.len > 0) {
		fold_text(&f, STR("The mail server"));
		fold_word(&f, fold_atom(p->remote, atom));
		fold_text(&f, is_smtp_reply(p->diagnostic) ? STR("said:") : STR("was tried:"));
	} else {
		fold_text(&f, STR("The reason:"));
	}
	end(w, &f);
	if (p->diagnostic.len > 0)
		paragraph(w, "        ", "", p->diagnostic);
	else
		paragraph(w, "        ", "no words were given, only the status", p->status);
	line(w, "");
	paragraph(w, "    ", "What this means:", str_from(e->what));
	if (p->action == REPORT_FAILED)
		paragraph(w, "    ", "What you can do:", str_from(e->advice));
}

static void explain_delay(struct writer *w, const struct report_recipient *p)
{
	char date[CLOCK_DATE_MAX];

	if (p->will_retry_until_ms > 0)
		paragraph(w, "    ", "You need not send it again: it will be tried until",
			str_from(clock_format_rfc5322(p->will_retry_until_ms, date)));
	else
		line(w, "    You need not send it again: it will be tried further.");
}

static void explain_recipient(struct writer *w, const struct report_recipient *p)
{
	struct fold f;

	line(w, "");
	fold_paragraph(&f, w->out, "", w->utf8);
	fold_format(&f, "<%.*s>", STR_ARG(p->address));
	end(w, &f);
	paragraph(w, "    ", "", str_from(actions[p->action].happened));
	if (p->action == REPORT_DELAYED)
		explain_delay(w, p);
	if (p->action == REPORT_FAILED || p->action == REPORT_DELAYED)
		explain_reason(w, p);
}

static void add_human_part(struct writer *w)
{
	const struct report *r = w->report;
	char date[CLOCK_DATE_MAX], when[CLOCK_DATE_MAX + 1], atom[FOLD_ATOM_MAX];
	struct fold f;

	part(w, w->utf8 ? "text/plain; charset=utf-8" : "text/plain; charset=us-ascii", w->utf8);
	fold_paragraph(&f, w->out, "", w->utf8);
	fold_text(&f, STR("This is the mail system at"));
	fold_format(&f, "%.*s.", STR_ARG(fold_atom(r->hostname, atom)));
	if (w->to_sender) {
		fold_text(&f, STR("It reports on the message that you sent"));
	} else {
		fold_text(&f, STR("It reports on a message from"));
		fold_format(&f, "<%.*s>,", STR_ARG(r->original->sender));
		fold_text(&f, STR("which came"));
	}
	fold_text(&f, STR("on"));
	snprintf(when, sizeof(when), "%s.", clock_format_rfc5322(r->original->received_ms, date));
	fold_text(&f, str_from(when));
	end(w, &f);
	if (buf_len(&w->returned.subject) > 0)
		paragraph(w, "", "Its subject is:", buf_str(&w->returned.subject));
	for (unsigned i = 0; i < r->recipient_count; i++)
		explain_recipient(w, &r->recipients[i]);
	line(w, "");
	if (buf_len(&w->returned.octets) > 0)
		line(w, w->returned.whole ? "The message is attached."
					  : "The header section of the message is attached.");
	line(w, "If you need help, send this report to your postmaster.");
}

// ---- the part for programs (RFC 3464 2)
// "type;xtext" as ORCPT had it, decoded (RFC 3461 6.3).
static void add_original_recipient(struct writer *w, struct str orcpt)
{
	char address[SMTP_ORCPT_MAX + 1];
	struct str rest = orcpt, type;

	if (orcpt.len == 0 || !str_split(&rest, ';', &type) || !rest.data)
		return;
	if (smtp_xtext_decode(rest, address, sizeof(address)) >= 0)
		address_field(w, "Original-Recipient", type, str_from(address));
}

static void add_recipient_fields(struct writer *w, const struct report_recipient *p)
{
	line(w, "");
	add_original_recipient(w, p->orcpt);
	address_field(w, "Final-Recipient", str_is_ascii(p->address) ? STR("rfc822") : STR("utf-8"),
		p->address);
	field(w, "Action", str_from(actions[p->action].name));
	field(w, "Status", p->status);
	if (p->remote.len > 0)
		typed_field(w, "Remote-MTA", STR("dns"), p->remote);
	if (p->diagnostic.len > 0)
		typed_field(w, "Diagnostic-Code",
			is_smtp_reply(p->diagnostic) ? STR("smtp") : STR("X-Local"), p->diagnostic);
	if (p->last_try_ms > 0)
		date_field(w, "Last-Attempt-Date", p->last_try_ms);
	if (p->action == REPORT_DELAYED && p->will_retry_until_ms > 0)
		date_field(w, "Will-Retry-Until", p->will_retry_until_ms);
}

static void add_machine_part(struct writer *w)
{
	const struct report *r = w->report;
	char envid[SMTP_ENVID_MAX + 1];

	part(w, w->utf8 ? "message/global-delivery-status" : "message/delivery-status", w->utf8);
	if (r->original->envid.len > 0 &&
		smtp_xtext_decode(r->original->envid, envid, sizeof(envid)) >= 0)
		field(w, "Original-Envelope-Id", str_from(envid));
	typed_field(w, "Reporting-MTA", STR("dns"), r->hostname);
	if (r->original->received_ms > 0)
		date_field(w, "Arrival-Date", r->original->received_ms);
	for (unsigned i = 0; i < r->recipient_count; i++)
		add_recipient_fields(w, &r->recipients[i]);
}

// ---- the message that it is about
static void add_returned(struct writer *w)
{
	static const char *const types[2][2] = {
		{"text/rfc822-headers", "message/rfc822"},
		{"message/global-headers", "message/global"},
	};

	if (buf_len(&w->returned.octets) == 0)
		return;
	part(w, types[w->utf8 ? 1 : 0][w->returned.whole ? 1 : 0], w->returned.eightbit);
	if (!w->err)
		w->err = buf_add_str(w->out, buf_str(&w->returned.octets));
}

int report_write(struct buf *out, const struct report *r)
{
	static const char digits[] = "0123456789abcdef";
	size_t before = buf_len(out);
	struct writer w = {.report = r, .out = out, .utf8 = r->original->smtputf8};
	uint8_t random[12];

	// Random, so that no message can contain it.
	mem_random(random, sizeof(random));
	for (size_t i = 0; i < sizeof(random); i++) {
		w.boundary[2 * i] = digits[random[i] >> 4];
		w.boundary[2 * i + 1] = digits[random[i] & 15];
	}
	w.to_sender = r->original->sender.len > 0 && str_equal_nocase(r->to, r->original->sender);
	returned_init(&w.returned, r, worst_action(r) == REPORT_FAILED);
	add_header(&w);
	add_human_part(&w);
	add_machine_part(&w);
	add_returned(&w);
	if (!w.err)
		w.err = buf_add_format(out, "\r\n--%s--\r\n", w.boundary);
	returned_finish(&w.returned);
	if (w.err)
		out->end = out->start + before;
	return w.err;
}
