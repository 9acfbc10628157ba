// SPDX-License-Identifier: ISC
#include "message/warning.h"

#include "base/clock.h"
#include "base/id.h"
#include "base/text.h"
#include "base/unit.h"
#include "message/fold.h"

#include <inttypes.h>
#include <stdio.h>

#define WORDS_MAX 400

struct writer {
	struct buf *out;
	bool utf8; // the addresses are (RFC 6532)
	int err;   // the first one
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

// "Name: words <address>"; without words or without address what there is.
static void field(struct writer *w, const char *name, const char *words, struct str address)
{
	struct fold f;

	fold_field(&f, w->out, name, w->utf8);
	fold_text(&f, str_from(words));
	if (address.len)
		fold_format(&f, "<%.*s>", STR_ARG(address));
	end(w, &f);
}

// What is not ASCII becomes an encoded word (RFC 2047), which is short enough to be one.
static void subject(struct writer *w, const char *words)
{
	if (str_is_ascii(str_from(words))) {
		field(w, "Subject", words, STR_EMPTY);
		return;
	}
	if (!w->err)
		w->err = buf_add_text(w->out, "Subject: =?utf-8?B?");
	if (!w->err)
		w->err = buf_add_base64(w->out, str_from(words));
	line(w, "?=");
}

static void paragraph(struct writer *w, const char *words)
{
	struct fold f;

	line(w, "");
	fold_paragraph(&f, w->out, "", true);
	fold_text(&f, str_from(words));
	end(w, &f);
}

static void header(struct writer *w, const struct warning *m)
{
	char date[CLOCK_DATE_MAX], id[ID_TEXT_MAX], words[FOLD_ATOM_MAX];

	field(w, "Date", clock_format_rfc5322(m->wall_ms, date), STR_EMPTY);
	field(w, "From", "Mail system", m->from);
	field(w, "To", "", m->to);
	subject(w, TEXT("Your mailbox is nearly full"));
	snprintf(words, sizeof(words), "%s@%.*s", id_format(m->id, id), STR_ARG(m->hostname));
	field(w, "Message-ID", "", str_from(words));
	line(w, "Auto-Submitted: auto-generated");
	line(w, "MIME-Version: 1.0");
	line(w, "Content-Type: text/plain; charset=utf-8");
	line(w, "Content-Transfer-Encoding: 8bit");
}

// "930M of 1G", or without a limit what there is.
static const char *amount(uint64_t used, uint64_t most, bool octets, char out[WORDS_MAX])
{
	char a[UNIT_TEXT_MAX], b[UNIT_TEXT_MAX];

	if (!octets && most)
		snprintf(out, WORDS_MAX, TEXT("%" PRIu64 " messages of %" PRIu64 "."), used, most);
	else if (!octets)
		snprintf(out, WORDS_MAX, TEXT("%" PRIu64 " messages."), used);
	else if (most)
		snprintf(out, WORDS_MAX, TEXT("%s of %s."), unit_format_size_short(used, a),
			unit_format_size_short(most, b));
	else
		snprintf(out, WORDS_MAX, "%s.", unit_format_size_short(used, a));
	return out;
}

static void body(struct writer *w, const struct warning *m)
{
	const struct quota_limits *l = &m->limits;
	char words[WORDS_MAX], used[WORDS_MAX];

	snprintf(words, sizeof(words), TEXT("Your mailbox %.*s is nearly full. It holds:"),
		STR_ARG(str_slice(m->to, 0, 300)));
	paragraph(w, words);
	line(w, "");
	if (l->octets || l->octets_soft) {
		snprintf(words, sizeof(words), "    %s", amount(m->usage.octets, l->octets, true, used));
		line(w, words);
	}
	if (l->messages || l->messages_soft) {
		snprintf(words, sizeof(words), "    %s",
			amount(m->usage.messages, l->messages, false, used));
		line(w, words);
	}
	if (l->octets || l->messages)
		paragraph(w, TEXT("When it is full, new mail to you waits at the mail server and "
				  "goes back to its senders after some days."));
	paragraph(w, TEXT("Please delete mail that you no longer need, or move it to folders on your "
			  "own computer; mail in the folder Trash counts until it is gone from there. "
			  "If you need more room, ask your postmaster."));
	paragraph(w, TEXT("You are told at most once a day."));
}

int warning_write(struct buf *out, const struct warning *m)
{
	size_t before = buf_len(out);
	struct writer w = {.out = out, .utf8 = !str_is_ascii(m->to) || !str_is_ascii(m->from)};

	header(&w, m);
	body(&w, m);
	if (w.err)
		out->end = out->start + before;
	return w.err;
}
