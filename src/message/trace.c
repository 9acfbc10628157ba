// SPDX-License-Identifier: ISC
// Trace fields. What a peer said is told as a clause that a reader of the field can neither
// mistake for ours nor be led astray by.
#include "message/trace.h"

#include "message/fold.h"

#include "base/clock.h"
#include "base/id.h"
#include "base/memory.h"

// RFC 3848 and RFC 6531 4.3. Without ESMTP there is neither STARTTLS nor AUTH to tell of.
static const char *protocol_name(const struct trace_received *t)
{
	static const char *const names[] = {
		"ESMTP",
		"ESMTPS",
		"ESMTPA",
		"ESMTPSA",
		"UTF8SMTP",
		"UTF8SMTPS",
		"UTF8SMTPA",
		"UTF8SMTPSA",
	};

	if (!t->esmtp)
		return "SMTP";
	return names[(t->utf8 ? 4 : 0) + (t->auth ? 2 : 0) + (t->tls ? 1 : 0)];
}

// Takes back what was added when the bound was reached, so that no half field stays.
static int complete(struct buf *out, size_t before, int err)
{
	if (err)
		out->end = out->start + before;
	return err;
}

static void add_client(struct fold *f, const struct trace_received *t)
{
	char atom[FOLD_ATOM_MAX];
	char literal[IPADDR_TEXT_MAX + 8];

	fold_word(f, STR("from"));
	fold_word(f, fold_atom(t->helo, atom));
	if (t->client.family == 0)
		return;
	ipaddr_format_literal(&t->client, literal);
	if (t->reverse.len > 0) {
		fold_format(f, "(%.*s", STR_ARG(fold_atom(t->reverse, atom)));
		fold_format(f, "%s)", literal);
	} else {
		fold_format(f, "(%s)", literal);
	}
}

static void add_tls(struct fold *f, const struct trace_received *t)
{
	char atom[FOLD_ATOM_MAX];

	fold_break(f);
	fold_format(f, "(using %.*s", STR_ARG(fold_atom(t->tls_version, atom)));
	fold_format(f, "with cipher %.*s", STR_ARG(fold_atom(t->tls_cipher, atom)));
	fold_format(f, "(%u bits))", t->tls_bits);
}

int trace_add_received(struct buf *out, const struct trace_received *t)
{
	size_t before = buf_len(out);
	char atom[FOLD_ATOM_MAX], id[ID_TEXT_MAX], date[CLOCK_DATE_MAX];
	struct fold f;

	fold_field(&f, out, "Received", t->utf8);
	add_client(&f, t);
	if (t->tls)
		add_tls(&f, t);
	fold_break(&f);
	fold_word(&f, STR("by"));
	fold_word(&f, fold_atom(t->hostname, atom));
	fold_format(&f, "with %s", protocol_name(t));
	fold_format(&f, "id %s%s", id_format(t->id, id), t->recipient.len > 0 ? "" : ";");
	fold_break(&f);
	if (t->recipient.len > 0) {
		fold_word(&f, STR("for"));
		fold_format(&f, "<%.*s>;", STR_ARG(t->recipient));
	}
	fold_word(&f, str_from(clock_format_rfc5322(t->wall_ms, date)));
	return complete(out, before, fold_end(&f));
}

int trace_add_date(struct buf *out, uint64_t wall_ms)
{
	size_t before = buf_len(out);
	char date[CLOCK_DATE_MAX];
	struct fold f;

	fold_field(&f, out, "Date", false);
	fold_text(&f, str_from(clock_format_rfc5322(wall_ms, date)));
	return complete(out, before, fold_end(&f));
}

int trace_add_message_id(struct buf *out, uint64_t id, struct str hostname)
{
	size_t before = buf_len(out);
	char text[ID_TEXT_MAX], atom[FOLD_ATOM_MAX];
	uint32_t random;
	struct fold f;

	mem_random(&random, sizeof(random));
	fold_field(&f, out, "Message-ID", false);
	fold_format(&f, "<%s.%08x@%.*s>", id_format(id, text), (unsigned)random,
		STR_ARG(fold_atom(hostname, atom)));
	return complete(out, before, fold_end(&f));
}

int trace_add_delivered_to(struct buf *out, struct str address)
{
	size_t before = buf_len(out);
	struct fold f;

	fold_field(&f, out, "Delivered-To", true);
	fold_word(&f, address);
	return complete(out, before, fold_end(&f));
}

int trace_add_return_path(struct buf *out, struct str sender)
{
	size_t before = buf_len(out);
	struct fold f;

	fold_field(&f, out, "Return-Path", true);
	fold_format(&f, "<%.*s>", STR_ARG(sender));
	return complete(out, before, fold_end(&f));
}
