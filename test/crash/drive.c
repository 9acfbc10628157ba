// SPDX-License-Identifier: ISC
#include "drive.h"

#include "base/error.h"
#include "base/memory.h"
#include "disk.h"
#include "message/digest.h"
#include "record.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define WINDOW	24    // requests under way at once
#define MANY	50    // recipients; more are not added
#define LARGE	70000 // octets: a spool file
#define CLAIM	5     // recipients at once
#define FUTURE	(UINT64_C(1) << 40)
#define LAST_MS 1000000 // all tries are due before

static _Noreturn void give_up(const char *what, int err)
{
	fprintf(stderr, "drive: %s: error %d\n", what, err);
	abort();
}

struct driver {
	struct store *s;
	struct history *h;
	struct truth now; // without claims: they are known when they are done
	uint64_t seed;
	unsigned left;
};

struct step {
	struct driver *d;
	struct ask *ask;
	int expected;
};

static unsigned pick(struct driver *d, unsigned below)
{
	return (unsigned)(disk_random(&d->seed) >> 20) % below;
}

static void ask_next(struct driver *d);

static void on_done(void *arg, int err)
{
	struct step *step = arg;
	struct driver *d = step->d;

	if (err != step->expected)
		give_up("a request ended otherwise than it should", err);
	step->ask->err = err;
	step->ask->done = record_moment();
	mem_free(step);
	ask_next(d);
}

// ---------------------------------------------------------------- batches

static void fill_body(struct driver *d, struct str octets, struct store_body *out)
{
	int fd, err;

	*out = (struct store_body){.octets = octets};
	if (octets.len <= STORE_INLINE_BODY_MAX)
		return;
	err = store_spool_create(d->s, &out->spool, &fd, NULL);
	if (err == 0 && write(fd, octets.data, octets.len) != (ssize_t)octets.len)
		err = ERR_SYSTEM;
	if (err == 0 && fsync(fd) < 0)
		err = ERR_SYSTEM;
	if (err == 0)
		err = store_spool_link(d->s, out->spool, fd, NULL);
	if (err < 0)
		give_up("a spool file", err);
	close(fd);
}

static void fill_recipients(
	const struct ask *a, struct envelope_recipient *envelope, struct store_new_recipient *given)
{
	for (unsigned i = 0; i < a->count; i++) {
		bool held = a->begin[i] == RECIPIENT_HELD;

		envelope[i] = (struct envelope_recipient){
			.address = STR("kim@example.kr"),
			.domain = STR("example.kr"),
			.hold = held,
			.hold_reason = held ? STR("by hand") : STR_EMPTY,
		};
		given[i] = (struct store_new_recipient){
			.recipient = &envelope[i],
			.id = truth_recipient_id(a->first + i),
			.claimed = a->begin[i] == RECIPIENT_CLAIMED,
			.next_try_ms = a->when,
		};
	}
}

static void add_message(struct driver *d, struct store_batch *b, const struct ask *a)
{
	struct envelope_recipient envelope[TRUTH_TOGETHER];
	struct store_new_recipient given[TRUTH_TOGETHER];
	struct str octets = truth_body(a->message, a->size);
	struct store_body body;
	struct envelope e = {
		.id = truth_message_id(a->message),
		.sender = STR("lee@example.kr"),
		.received_ms = 1000 + a->message,
		.size = octets.len,
		.headers = STR("Received: from here\r\n"),
	};

	digest_of(octets, e.digest);
	fill_body(d, octets, &body);
	fill_recipients(a, envelope, given);
	store_batch_add_message(b, &e, FUTURE, &body, given, a->count);
}

static void add_children(struct store_batch *b, const struct ask *a)
{
	struct envelope_recipient envelope[TRUTH_TOGETHER];
	struct store_new_recipient given[TRUTH_TOGETHER];

	fill_recipients(a, envelope, given);
	for (unsigned i = 0; i < a->count; i++)
		store_batch_add_recipient(b, truth_message_id(a->message), &given[i]);
}

static void finish(struct driver *d, struct store_batch *b, const struct ask *a)
{
	unsigned message = d->now.recipients[a->recipient].message;

	store_batch_finish_recipient(
		b, truth_message_id(message), truth_recipient_id(a->recipient));
}

static void give_batch(struct driver *d, struct ask *a, struct step *step)
{
	struct store_batch *b = store_batch_create();
	uint64_t id = truth_recipient_id(a->recipient);
	struct store_retry retry = {
		.next_try_ms = a->when,
		.tries = (uint32_t)(a->when % 1000) + 1,
		.status = STR("4.4.1"),
		.reply = STR("try again"),
	};

	if (a->kind == ASK_ADD || a->kind == ASK_CLASH || a->kind == ASK_BOUNCE)
		add_message(d, b, a);
	if (a->kind == ASK_EXPAND)
		add_children(b, a);
	if (a->kind == ASK_FINISH || a->kind == ASK_BOUNCE || a->kind == ASK_EXPAND)
		finish(d, b, a);
	if (a->kind == ASK_RETRY)
		store_batch_retry_recipient(b, id, &retry);
	if (a->kind == ASK_RETURN)
		store_batch_return_recipient(b, id, a->when);
	if (a->kind == ASK_HOLD)
		store_batch_hold_recipient(b, id, STR("by hand"));
	if (a->kind == ASK_RELEASE)
		store_batch_release_recipient(b, id, a->when);
	store_batch_set_counter(b, STR("asked"), 1, d->h->count);
	store_apply(d->s, b, on_done, step);
}

// ---------------------------------------------------------------- other requests

static void on_claimed(void *arg, const struct store_message *m, const struct store_recipient *r)
{
	struct ask *a = ((struct step *)arg)->ask;

	a->claimed[a->claimed_count++] = truth_recipient_of(r->id);
}

static void on_claim_done(void *arg, int err, unsigned count, uint64_t next_ms)
{
	on_done(arg, err);
}

static void give_claim(struct driver *d, struct ask *a, struct step *step)
{
	store_claim_due(d->s, LAST_MS, CLAIM, on_claimed, on_claim_done, step);
}

static void give_account(struct driver *d, struct ask *a, struct step *step)
{
	struct str name = truth_account_name(a->account);

	if (a->kind == ASK_ACCOUNT_ADD)
		store_account_add(d->s,
			&(struct store_account){.id = d->h->count, .name = name, .enabled = true},
			on_done, step);
	else if (a->kind == ASK_ACCOUNT_REMOVE)
		store_account_remove(d->s, name, on_done, step);
	else
		store_account_set_enabled(d->s, name, a->kind == ASK_ACCOUNT_ENABLE, on_done, step);
}

// ---------------------------------------------------------------- what next

static unsigned count_recipients(const struct driver *d)
{
	unsigned count = 0;

	for (unsigned i = 0; i < d->h->recipients; i++)
		count += d->now.recipients[i].there;
	return count;
}

static unsigned pick_recipient(struct driver *d)
{
	unsigned i = pick(d, d->h->recipients);

	while (!d->now.recipients[i].there)
		i = (i + 1) % d->h->recipients;
	return i;
}

static enum ask_kind pick_kind(struct driver *d)
{
	static const enum ask_kind mixture[] = {ASK_ADD, ASK_ADD, ASK_ADD, ASK_ADD, ASK_ADD,
		ASK_CLASH, ASK_FINISH, ASK_FINISH, ASK_FINISH, ASK_FINISH, ASK_FINISH, ASK_BOUNCE,
		ASK_BOUNCE, ASK_EXPAND, ASK_RETRY, ASK_RETRY, ASK_RETRY, ASK_RETURN, ASK_HOLD,
		ASK_RELEASE, ASK_CLAIM, ASK_CLAIM, ASK_CLAIM, ASK_ACCOUNT_ADD, ASK_ACCOUNT_ADD,
		ASK_ACCOUNT_ENABLE, ASK_ACCOUNT_DISABLE, ASK_ACCOUNT_REMOVE};
	enum ask_kind kind = mixture[pick(d, ARRAY_SIZE(mixture))];
	unsigned count = count_recipients(d);

	if (count == 0 && kind < ASK_CLAIM)
		return ASK_ADD;
	return count > MANY && kind == ASK_ADD ? ASK_FINISH : kind;
}

static size_t pick_size(struct driver *d)
{
	unsigned kind = pick(d, 10);

	return kind < 3	  ? LARGE + pick(d, LARGE)
	       : kind < 5 ? 10000 + pick(d, 40000)
			  : 100 + pick(d, 3000);
}

static void fill_new(struct driver *d, struct ask *a)
{
	a->size = pick_size(d);
	a->count = a->kind == ASK_BOUNCE ? 1 : 1 + pick(d, 4);
	a->first = d->h->recipients;
	d->h->recipients += a->count;
	for (unsigned i = 0; i < a->count; i++) {
		unsigned begin = pick(d, 8);
		a->begin[i] = begin == 0  ? RECIPIENT_HELD
			      : begin < 4 ? RECIPIENT_CLAIMED
					  : RECIPIENT_DUE;
	}
	if (d->h->recipients > TRUTH_RECIPIENTS || d->h->messages + 1 > TRUTH_MESSAGES)
		give_up("too many", 0);
}

static void fill_ask(struct driver *d, struct ask *a)
{
	a->when = 1 + pick(d, LAST_MS - 1);
	a->account = pick(d, TRUTH_ACCOUNTS);
	if (a->kind < ASK_CLAIM && a->kind != ASK_ADD) {
		a->recipient = pick_recipient(d);
		a->message = d->now.recipients[a->recipient].message;
	}
	if (a->kind == ASK_ADD || a->kind == ASK_CLASH || a->kind == ASK_BOUNCE ||
		a->kind == ASK_EXPAND)
		fill_new(d, a);
	if (a->kind == ASK_ADD || a->kind == ASK_BOUNCE)
		a->message = d->h->messages++;
}

static void ask_next(struct driver *d)
{
	struct ask *a = &d->h->asks[d->h->count];
	struct step *step;

	if (d->left == 0)
		return;
	if (d->h->count == TRUTH_ASKS)
		give_up("too many requests", 0);
	d->left--;
	d->h->count++;
	*a = (struct ask){.kind = pick_kind(d), .asked = record_moment()};
	fill_ask(d, a);
	step = mem_alloc(sizeof(*step));
	*step = (struct step){d, a, ask_expected(&d->now, a)};
	if (a->kind < ASK_CLAIM)
		give_batch(d, a, step);
	else if (a->kind == ASK_CLAIM)
		give_claim(d, a, step);
	else
		give_account(d, a, step);
	truth_apply(&d->now, a);
}

// Sometimes one after the other, sometimes many in one group.
static void run(struct driver *d, unsigned asks)
{
	while (asks) {
		unsigned window = pick(d, 3) ? 1 + pick(d, WINDOW) : 1, burst = 1 + pick(d, 40);

		d->left = burst < asks ? burst : asks;
		asks -= d->left;
		for (unsigned i = 0; i < window; i++)
			ask_next(d);
		store_wait(d->s);
	}
}

void drive(struct history *h, const char *folder, unsigned starts, unsigned asks, uint64_t seed)
{
	struct driver *d = mem_alloc(sizeof(*d));

	d->h = h;
	d->seed = seed;
	truth_after(&d->now, h, h->count);
	for (unsigned i = 0; i < starts; i++) {
		struct error err = {.text = ""};
		int code;

		h->asks[h->count++] = (struct ask){.kind = ASK_RESTART, .asked = record_moment()};
		code = store_open(NULL,
			&(struct store_options){.folder = folder, .node = 1, .create = true}, &d->s,
			&err);
		if (code < 0)
			give_up(err.text, code);
		run(d, asks / starts);
		store_close(d->s);
	}
	mem_free(d);
}
