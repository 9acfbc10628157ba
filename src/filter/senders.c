// SPDX-License-Identifier: ISC
// Gathers who a message says it is from: the addresses of From: and Sender:. Whose they are is
// policy's question, asked when the body has ended; here a field is refused that cannot be read,
// since nobody could say what the reader of the mail will see.
#include "filter/filter_internal.h"

#include "message/headers.h"
#include "message/mailboxes.h"

#include "base/memory.h"
#include "base/text.h"

#define AUTHORS_FIELD_MAX 32768 // octets of one From: or Sender:

struct stage {
	struct headers_reader reader;
	uint64_t octets;     // of the body so far
	bool mended;         // an empty line will be put behind the header section where it ends
	struct buf senders;  // those of Sender:, an LF between
	unsigned addresses;
	unsigned in_field;
	struct buf *to;      // while a field is read
	struct stage_result *result; // during octets and end
};

static struct stage *senders_begin(const struct stage_facts *facts)
{
	struct stage *s;

	if (!facts->authors)
		return NULL;
	s = mem_alloc(sizeof(*s));
	s->mended = facts->submission;
	headers_reader_init(&s->reader, AUTHORS_FIELD_MAX);
	return s;
}

static void add_address(void *arg, const struct smtp_address *address)
{
	struct stage *s = arg;

	s->in_field++;
	if (++s->addresses > STAGE_AUTHORS_MAX) {
		stage_refuse(s->result, 550, "5.6.0", "header-from",
			TEXT("header-from: From: and Sender: name more than %d addresses"), STAGE_AUTHORS_MAX);
		return;
	}
	if (buf_len(s->to))
		buf_add_char(s->to, '\n');
	buf_add_text(s->to, address->text);
}

static void see_field(
	void *arg, struct str name, struct str value, uint64_t offset, uint64_t length)
{
	struct stage *s = arg;
	bool from = str_equal_nocase(name, STR("From"));
	const char *word = from ? "From" : "Sender";

	if (!from && !str_equal_nocase(name, STR("Sender")))
		return;
	s->to = from ? &s->result->authors : &s->senders;
	s->in_field = 0;
	if (s->reader.truncated || mailboxes_parse(value, add_address, s))
		stage_refuse(s->result, 550, "5.6.0", "header-from",
			TEXT("header-from: the field %s: is no list of addresses (RFC 5322 3.4); write it as "
			     "Name <name@example.org>"), word);
	else if (!s->in_field)
		stage_refuse(s->result, 550, "5.6.0", "header-from",
			TEXT("header-from: the field %s: names no address"), word);
	if (from)
		s->result->author_count += s->in_field;
}

static void senders_octets(struct stage *s, struct str octets, struct stage_result *result)
{
	s->octets += octets.len;
	if (s->reader.done)
		return;
	s->result = result;
	headers_reader_feed(&s->reader, octets, see_field, s);
}

static void senders_end(struct stage *s, struct stage_result *result)
{
	s->result = result;
	headers_reader_end(&s->reader, see_field, s);
	// Some readers pass over such a line and take a From: behind it for the author.
	if (!s->mended && !s->reader.separated && s->reader.offset < s->octets)
		stage_refuse(result, 550, "5.6.0", "header-from",
			TEXT("header-from: a line of the header is no field (RFC 5322 2.2); put an empty line "
			     "behind the header"));
	if (buf_len(&s->senders) && buf_len(&result->authors))
		buf_add_char(&result->authors, '\n');
	buf_add_str(&result->authors, buf_str(&s->senders));
}

static void senders_destroy(struct stage *s)
{
	if (!s)
		return;
	headers_reader_finish(&s->reader);
	buf_finish(&s->senders);
	mem_free(s);
}

const struct stage_class stage_senders = {
	"senders",
	senders_begin,
	senders_octets,
	senders_end,
	senders_destroy,
};
