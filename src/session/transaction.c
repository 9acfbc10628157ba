// SPDX-License-Identifier: ISC
// Recipients of a message and what they point to.
#include "session/transaction.h"

#include "base/error.h"
#include "base/memory.h"

struct transaction *transaction_create(size_t arena_limit)
{
	struct transaction *t = mem_alloc(sizeof(*t));

	t->arena.limit = arena_limit;
	return t;
}

void transaction_destroy(struct transaction *t)
{
	if (!t)
		return;
	BUG_ON(t->body);
	mem_free(t->recipients);
	arena_finish(&t->arena);
	mem_free(t);
}

static struct str keep(struct transaction *t, const char *text)
{
	return text[0] ? arena_str(&t->arena, str_from(text)) : STR_EMPTY;
}

// Only the host of a mailbox knows whether Kim and kim are one (RFC 5321 2.4); domains are in small
// letters here.
#define COMPARED_MAX 1000 // recipients: beyond that it would cost more than a second copy

static bool is_there(const struct transaction *t)
{
	if (t->count > COMPARED_MAX)
		return false;
	for (unsigned i = 0; i < t->count; i++) {
		const struct envelope_recipient *r = &t->recipients[i];
		if (str_equal(r->address, str_from(t->recipient.text)) &&
			r->notify == t->rcpt.notify && str_equal(r->orcpt, str_from(t->rcpt.orcpt)))
			return true;
	}
	return false;
}

int transaction_add_recipient(struct transaction *t, bool hold, const char *hold_reason)
{
	struct envelope_recipient r;

	if (is_there(t))
		return 0;
	r = (struct envelope_recipient){
		.address = keep(t, t->recipient.text),
		.domain = keep(t, t->recipient.domain),
		.orcpt = keep(t, t->rcpt.orcpt),
		.notify = (uint8_t)t->rcpt.notify,
		.hold = hold,
		.hold_reason = keep(t, hold_reason),
	};

	if (!r.address.data || !r.domain.data || !r.orcpt.data || !r.hold_reason.data)
		return ERR_LIMIT;
	if (t->count == t->size) {
		t->size = t->size ? t->size * 2 : 4;
		t->recipients = mem_resize(t->recipients, t->size * sizeof(r));
	}
	t->recipients[t->count++] = r;
	return 0;
}

void transaction_hold_all(struct transaction *t, const char *reason)
{
	struct str kept = keep(t, reason);

	for (unsigned i = 0; i < t->count; i++) {
		t->recipients[i].hold = true;
		if (!t->recipients[i].hold_reason.len && kept.data)
			t->recipients[i].hold_reason = kept;
	}
}
