// SPDX-License-Identifier: ISC
#include "truth.h"

#include "base/error.h"

#include <stdio.h>
#include <stdlib.h>

#define MESSAGE_IDS   (UINT64_C(1) << 40)
#define RECIPIENT_IDS (UINT64_C(1) << 41)

uint64_t truth_message_id(unsigned message)
{
	return MESSAGE_IDS + message;
}

uint64_t truth_recipient_id(unsigned recipient)
{
	return RECIPIENT_IDS + recipient;
}

unsigned truth_message_of(uint64_t id)
{
	return (unsigned)(id - MESSAGE_IDS);
}

unsigned truth_recipient_of(uint64_t id)
{
	return (unsigned)(id - RECIPIENT_IDS);
}

struct str truth_account_name(unsigned account)
{
	static char name[40];

	snprintf(name, sizeof(name), "user%u@example.kr", account);
	return str_from(name);
}

// No two sectors of any two bodies are the same.
struct str truth_body(unsigned message, size_t size)
{
	static char *octets;
	static size_t room;

	if (room < size + sizeof(uint64_t)) {
		room = size + sizeof(uint64_t);
		octets = realloc(octets, room);
		if (!octets)
			abort();
	}
	for (size_t at = 0; at < size; at += sizeof(uint64_t)) {
		uint64_t word = (uint64_t)message << 32 | at;

		memcpy(octets + at, &word, sizeof(word));
	}
	return str_make(octets, size);
}

// ---------------------------------------------------------------- what requests do

static void add_recipients(struct truth *t, const struct ask *a)
{
	for (unsigned i = 0; i < a->count; i++)
		t->recipients[a->first + i] = (struct truth_recipient){
			.there = true,
			.message = a->message,
			.state = a->begin[i],
			.hold = a->begin[i] == RECIPIENT_HELD,
			.any_time = a->begin[i] == RECIPIENT_CLAIMED,
			.next_ms = a->when,
		};
}

static void end_message(struct truth *t, unsigned message)
{
	for (unsigned i = 0; i < TRUTH_RECIPIENTS; i++) {
		if (t->recipients[i].there && t->recipients[i].message == message)
			return;
	}
	t->sizes[message] = 0;
}

static void apply_add(struct truth *t, const struct ask *a)
{
	t->sizes[a->message] = a->size;
	add_recipients(t, a);
}

static void apply_clash(struct truth *t, const struct ask *a)
{
}

static void apply_finish(struct truth *t, const struct ask *a)
{
	t->recipients[a->recipient].there = false;
	end_message(t, t->recipients[a->recipient].message);
}

static void apply_bounce(struct truth *t, const struct ask *a)
{
	apply_finish(t, a);
	apply_add(t, a);
}

static void apply_expand(struct truth *t, const struct ask *a)
{
	add_recipients(t, a);
	apply_finish(t, a);
}

static bool give_back(struct truth_recipient *r, uint64_t when)
{
	if (!r->there || r->state != RECIPIENT_CLAIMED)
		return false;
	r->state = r->hold ? RECIPIENT_HELD : RECIPIENT_DUE;
	r->next_ms = when;
	r->any_time = false;
	return true;
}

static void apply_retry(struct truth *t, const struct ask *a)
{
	struct truth_recipient *r = &t->recipients[a->recipient];

	if (give_back(r, a->when))
		r->tries = (unsigned)(a->when % 1000) + 1;
}

static void apply_return(struct truth *t, const struct ask *a)
{
	give_back(&t->recipients[a->recipient], a->when);
}

static void apply_hold(struct truth *t, const struct ask *a)
{
	struct truth_recipient *r = &t->recipients[a->recipient];

	r->hold = true;
	if (r->state == RECIPIENT_DUE)
		r->state = RECIPIENT_HELD;
}

static void apply_release(struct truth *t, const struct ask *a)
{
	struct truth_recipient *r = &t->recipients[a->recipient];

	r->hold = false;
	if (r->state == RECIPIENT_CLAIMED)
		return;
	r->state = RECIPIENT_DUE;
	r->next_ms = a->when;
	r->any_time = false;
}

static void apply_claim(struct truth *t, const struct ask *a)
{
	for (unsigned i = 0; i < a->claimed_count; i++) {
		t->recipients[a->claimed[i]].state = RECIPIENT_CLAIMED;
		t->recipients[a->claimed[i]].any_time = true;
	}
}

static void apply_account_add(struct truth *t, const struct ask *a)
{
	if (t->accounts[a->account] == ACCOUNT_NONE)
		t->accounts[a->account] = ACCOUNT_ENABLED;
}

static void apply_account_enable(struct truth *t, const struct ask *a)
{
	if (t->accounts[a->account] != ACCOUNT_NONE)
		t->accounts[a->account] = ACCOUNT_ENABLED;
}

static void apply_account_disable(struct truth *t, const struct ask *a)
{
	if (t->accounts[a->account] != ACCOUNT_NONE)
		t->accounts[a->account] = ACCOUNT_DISABLED;
}

static void apply_account_remove(struct truth *t, const struct ask *a)
{
	t->accounts[a->account] = ACCOUNT_NONE;
}

static void apply_restart(struct truth *t, const struct ask *a)
{
	for (unsigned i = 0; i < TRUTH_RECIPIENTS; i++) {
		give_back(&t->recipients[i], 0);
		t->recipients[i].any_time |= t->recipients[i].next_ms == 0;
	}
}

static void (*const effects[])(struct truth *t, const struct ask *a) = {
	[ASK_ADD] = apply_add,
	[ASK_CLASH] = apply_clash,
	[ASK_FINISH] = apply_finish,
	[ASK_BOUNCE] = apply_bounce,
	[ASK_EXPAND] = apply_expand,
	[ASK_RETRY] = apply_retry,
	[ASK_RETURN] = apply_return,
	[ASK_HOLD] = apply_hold,
	[ASK_RELEASE] = apply_release,
	[ASK_CLAIM] = apply_claim,
	[ASK_ACCOUNT_ADD] = apply_account_add,
	[ASK_ACCOUNT_ENABLE] = apply_account_enable,
	[ASK_ACCOUNT_DISABLE] = apply_account_disable,
	[ASK_ACCOUNT_REMOVE] = apply_account_remove,
	[ASK_RESTART] = apply_restart,
};

void truth_apply(struct truth *t, const struct ask *a)
{
	effects[a->kind](t, a);
}

void truth_after(struct truth *t, const struct history *h, unsigned count)
{
	memset(t, 0, sizeof(*t));
	for (unsigned i = 0; i < count; i++)
		truth_apply(t, &h->asks[i]);
	truth_apply(t, &(struct ask){.kind = ASK_RESTART});
}

bool ask_is_counted(const struct ask *a)
{
	return a->kind <= ASK_RELEASE && a->kind != ASK_CLASH;
}

int ask_expected(const struct truth *before, const struct ask *a)
{
	bool known = before->accounts[a->account] != ACCOUNT_NONE;

	if (a->kind == ASK_CLASH || (a->kind == ASK_ACCOUNT_ADD && known))
		return ERR_EXISTS;
	if (a->kind > ASK_ACCOUNT_ADD && a->kind <= ASK_ACCOUNT_REMOVE && !known)
		return ERR_NOT_FOUND;
	return 0;
}
