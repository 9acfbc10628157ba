// SPDX-License-Identifier: ISC
// Lists of addresses: each address that is given reads back to the same, alone and between others,
// and what is put behind the list in a comment changes nothing.
#include "fuzz.h"

#include "message/mailboxes.h"

struct seen {
	struct buf list, once;
	unsigned count;
};

static void take_once(void *arg, const struct smtp_address *a)
{
	struct seen *s = arg;

	s->count++;
	CHECK(str_equal(buf_str(&s->once), str_from(a->text)));
}

static void take(void *arg, const struct smtp_address *a)
{
	struct seen *s = arg;
	struct seen again = {0};

	CHECK(!a->null && !a->postmaster && a->text[0] && a->domain[0]);
	CHECK(strlen(a->local) <= SMTP_LOCAL_MAX);
	buf_add_text(&again.once, a->text);
	CHECK(mailboxes_parse(buf_str(&again.once), take_once, &again) == 0 && again.count == 1);
	buf_finish(&again.once);
	s->count++;
	buf_add_text(&s->list, a->text);
	buf_add_text(&s->list, ", ");
}

static void count(void *arg, const struct smtp_address *a)
{
	(void)a;
	++*(unsigned *)arg;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str value = str_make(data, size);
	struct seen s = {0};
	struct buf more = BUF_INIT;
	unsigned again = 0, commented = 0;

	if (mailboxes_parse(value, take, &s) == 0) {
		CHECK(mailboxes_parse(buf_str(&s.list), count, &again) == 0 && again == s.count);
		buf_add_str(&more, value);
		buf_add_text(&more, " (ceo@example.kr)\r\n ");
		if (size < 60000)
			CHECK(mailboxes_parse(buf_str(&more), count, &commented) == 0 && commented == s.count);
	}
	CHECK(s.count <= MAILBOXES_MAX + 1);
	buf_finish(&more);
	buf_finish(&s.list);
	return 0;
}
