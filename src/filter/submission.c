// SPDX-License-Identifier: ISC
// What a submission server mends (RFC 6409 8): a missing From, Date and Message-ID, blind copies that
// must not be seen, and the empty line behind the header section. Nothing is done to mail
// that others submitted.
#include "filter/filter_internal.h"

#include "message/edit.h"
#include "message/headers.h"
#include "message/trace.h"

#include "base/memory.h"
#include "base/text.h"

struct stage {
	const struct stage_facts *facts;
	struct headers_reader reader;
	struct edit removal; // fields next to each other leave in one edit
	uint64_t octets;     // of the body so far
	bool has_date;
	bool has_from;
	bool has_message_id;
	struct stage_result *result; // during octets and end
};

static struct stage *submission_begin(const struct stage_facts *facts)
{
	struct stage *s;

	if (!facts->submission)
		return NULL;
	s = mem_alloc(sizeof(*s));
	s->facts = facts;
	headers_reader_init(&s->reader, STAGE_FIELD_MAX);
	return s;
}

static void add_edit(struct stage *s, const struct edit *e)
{
	if (edit_add(&s->result->edits, e) != 0)
		stage_refuse(s->result, 552, "5.3.4", "header-size",
			TEXT("the message has too many Bcc fields"));
}

static void flush_removal(struct stage *s)
{
	if (s->removal.remove > 0)
		add_edit(s, &s->removal);
	s->removal = (struct edit){0};
}

static void remove_field(struct stage *s, uint64_t offset, uint64_t length)
{
	if (s->removal.remove > 0 && s->removal.offset + s->removal.remove == offset) {
		s->removal.remove += length;
		return;
	}
	flush_removal(s);
	s->removal = (struct edit){.offset = offset, .remove = length};
}

static void see_field(
	void *arg, struct str name, struct str value, uint64_t offset, uint64_t length)
{
	struct stage *s = arg;

	if (str_equal_nocase(name, STR("Bcc")) || str_equal_nocase(name, STR("Resent-Bcc")))
		remove_field(s, offset, length);
	else if (str_equal_nocase(name, STR("Date")))
		s->has_date = true;
	else if (str_equal_nocase(name, STR("From")))
		s->has_from = true;
	else if (str_equal_nocase(name, STR("Message-ID")))
		s->has_message_id = true;
}

static void submission_octets(struct stage *s, struct str octets, struct stage_result *result)
{
	s->octets += octets.len;
	if (s->reader.done)
		return;
	s->result = result;
	headers_reader_feed(&s->reader, octets, see_field, s);
}

static void add_missing(struct stage *s)
{
	const struct stage_facts *f = s->facts;
	int err = 0;

	// It was looked at as the sender already.
	if (!s->has_from && f->sender.len)
		err = buf_add_format(&s->result->fields, "From: <%.*s>\r\n", STR_ARG(f->sender));
	if (!err && !s->has_date)
		err = trace_add_date(&s->result->fields, f->wall_ms);
	if (!err && !s->has_message_id)
		err = trace_add_message_id(&s->result->fields, f->id, f->config->hostname);
	if (err)
		stage_refuse(s->result, 451, "4.3.0", "submission",
			TEXT("the message has too many added fields"));
}

static void submission_end(struct stage *s, struct stage_result *result)
{
	s->result = result;
	headers_reader_end(&s->reader, see_field, s);
	flush_removal(s);
	// Without the empty line our fields and the text would be read as one.
	if (!s->reader.separated && s->reader.offset < s->octets)
		add_edit(s, &(struct edit){.offset = s->reader.offset, .insert = STR("\r\n")});
	add_missing(s);
}

static void submission_destroy(struct stage *s)
{
	if (!s)
		return;
	headers_reader_finish(&s->reader);
	mem_free(s);
}

const struct stage_class stage_submission = {
	"submission",
	submission_begin,
	submission_octets,
	submission_end,
	submission_destroy,
};
