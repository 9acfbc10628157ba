// SPDX-License-Identifier: ISC
// What the tests of this folder share: a folder that goes away, requests that wait.
#ifndef PABAL_TEST_STORE_HELP_H
#define PABAL_TEST_STORE_HELP_H

#include "base/clock.h"
#include "base/error.h"
#include "base/id.h"
#include "message/digest.h"
#include "store/store.h"

#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define HELP __attribute__((unused)) static

// ---- folders

HELP char *make_folder(void)
{
	char *path = strdup("/tmp/pabal-store-XXXXXX");

	assert_non_null(mkdtemp(path));
	return path;
}

HELP int remove_entry(const char *path, const struct stat *st, int kind, struct FTW *walk)
{
	return remove(path);
}

HELP void remove_folder(char *path)
{
	nftw(path, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
	free(path);
}

HELP const char *in_folder(const char *folder, const char *name)
{
	static char path[4][300];
	static int turn;
	char *out = path[turn++ % 4];

	snprintf(out, sizeof(path[0]), "%s/%s", folder, name);
	return out;
}

HELP bool file_exists(const char *path)
{
	return access(path, F_OK) == 0;
}

// ---- store

HELP int try_open(const char *folder, struct store **out, struct error *err)
{
	return store_open(NULL,
		&(struct store_options){.folder = folder, .node = 1, .create = true}, out, err);
}

HELP struct store *open_store(const char *folder)
{
	struct store *s = NULL;
	struct error err = {.text = ""};
	int code = try_open(folder, &s, &err);

	if (code < 0)
		print_error("%s\n", err.text);
	assert_int_equal(code, 0);
	return s;
}

HELP void note_err(void *arg, int err)
{
	*(int *)arg = err;
}

HELP int apply(struct store *s, struct store_batch *b)
{
	int err = 12345;

	store_apply(s, b, note_err, &err);
	assert_int_equal(err, 12345); // never inside the call
	store_wait(s);
	return err;
}

// ---- messages. Everything about one follows from its number.

HELP struct str body_of(uint64_t number)
{
	static char text[300];
	int len = snprintf(text, sizeof(text), "Subject: number %llu\r\n\r\nText of %llu.\r\n",
		(unsigned long long)number, (unsigned long long)number);

	return str_make(text, (size_t)len);
}

HELP void fill_envelope(struct envelope *e, uint64_t number, struct str body)
{
	*e = (struct envelope){
		.id = number,
		.sender = STR("Sender@example.com"),
		.account = STR("kim@example.kr"),
		.client = STR("192.0.2.1"),
		.server = STR("submission"),
		.helo = STR("client.example.com"),
		.envid = STR("env+2Bid"),
		.ret = 2,
		.smtputf8 = true,
		.session = 77,
		.received_ms = 1000000 + number,
		.size = body.len,
		.headers = STR("Received: from here\r\n"),
		.edits = STR("\x01\x00\x02"),
		.labels = STR("a,b"),
	};
	digest_of(body, e->digest);
}

struct to {
	uint64_t id;
	const char *address, *domain;
	bool claimed, hold;
	uint64_t next_try_ms;
};

HELP void fill_recipient(
	struct envelope_recipient *r, struct store_new_recipient *n, const struct to *to)
{
	*r = (struct envelope_recipient){
		.address = str_from(to->address ? to->address : "kim@example.kr"),
		.domain = str_from(to->domain ? to->domain : "example.kr"),
		.orcpt = STR("rfc822;kim@example.kr"),
		.notify = 3,
		.hold = to->hold,
		.hold_reason = to->hold ? STR("checked by hand") : STR_EMPTY,
	};
	*n = (struct store_new_recipient){.recipient = r,
		.id = to->id,
		.claimed = to->claimed,
		.next_try_ms = to->next_try_ms};
}

HELP void add_message_with(struct store_batch *b, uint64_t number, const struct store_body *body,
	struct str octets, const struct to *to, unsigned count)
{
	struct envelope_recipient recipients[8];
	struct store_new_recipient given[8];
	struct envelope e;

	fill_envelope(&e, number, octets);
	for (unsigned i = 0; i < count; i++)
		fill_recipient(&recipients[i], &given[i], &to[i]);
	store_batch_add_message(b, &e, 99000000, body, given, count);
}

HELP void add_message(struct store_batch *b, uint64_t number, const struct to *to, unsigned count)
{
	struct str octets = body_of(number);

	add_message_with(b, number, &(struct store_body){.octets = octets}, octets, to, count);
}

// One message with one recipient, due since ever.
HELP int put(struct store *s, uint64_t number, uint64_t recipient)
{
	struct store_batch *b = store_batch_create();

	add_message(b, number, &(struct to){.id = recipient}, 1);
	return apply(s, b);
}

// ---- reading

#define SEEN_MAX 64
struct seen {
	unsigned count;
	uint64_t ids[SEEN_MAX], messages[SEEN_MAX];
	struct store_recipient last;
	char text[400]; // of the last one: address|domain|status|reply|remote|hold_reason
	int err;
	unsigned told;
	uint64_t next_ms, last_id;
};

HELP void see(void *arg, const struct store_message *m, const struct store_recipient *r)
{
	struct seen *seen = arg;

	assert_int_equal(m->envelope.id, r->message);
	if (seen->count < SEEN_MAX) {
		seen->ids[seen->count] = r->id;
		seen->messages[seen->count] = m->envelope.id;
	}
	seen->count++;
	seen->last = *r;
	snprintf(seen->text, sizeof(seen->text), "%.*s|%.*s|%.*s|%.*s|%.*s|%.*s",
		STR_ARG(r->address), STR_ARG(r->domain), STR_ARG(r->status), STR_ARG(r->reply),
		STR_ARG(r->remote), STR_ARG(r->hold_reason));
}

HELP void claim_done(void *arg, int err, unsigned count, uint64_t next_ms)
{
	struct seen *seen = arg;

	seen->err = err;
	seen->told = count;
	seen->next_ms = next_ms;
	assert_int_equal(count, seen->count);
}

HELP struct seen claim(struct store *s, uint64_t now_ms, unsigned limit)
{
	struct seen seen = {.err = 12345};

	store_claim_due(s, now_ms, limit, see, claim_done, &seen);
	store_wait(s);
	assert_int_equal(seen.err, 0);
	return seen;
}

HELP void list_done(void *arg, int err, unsigned count, uint64_t last)
{
	struct seen *seen = arg;

	seen->err = err;
	seen->told = count;
	seen->last_id = last;
	assert_int_equal(count, seen->count);
}

HELP struct seen list(struct store *s, const struct store_filter *f)
{
	struct seen seen = {.err = 12345};

	store_list(s, f, see, list_done, &seen);
	store_wait(s);
	assert_int_equal(seen.err, 0);
	return seen;
}

// The one recipient of that id; count 0 when there is none.
HELP struct seen look(struct store *s, uint64_t recipient)
{
	return list(s, &(struct store_filter){.message = recipient, .any_state = true});
}

struct read_body {
	int err, fd;
	char octets[400];
	size_t len;
};

HELP void note_body(void *arg, int err, struct str octets, int fd)
{
	struct read_body *b = arg;

	b->err = err;
	b->fd = fd;
	b->len = octets.len;
	memcpy(b->octets, octets.data,
		octets.len < sizeof(b->octets) ? octets.len : sizeof(b->octets));
}

HELP struct read_body read_body(struct store *s, uint64_t message)
{
	struct read_body b = {.err = 12345, .fd = -2};

	store_read_body(s, message, note_body, &b);
	store_wait(s);
	return b;
}

HELP void note_totals(void *arg, int err, const struct store_totals *t)
{
	assert_int_equal(err, 0);
	*(struct store_totals *)arg = *t;
}

HELP struct store_totals totals(struct store *s)
{
	struct store_totals t;

	store_count(s, note_totals, &t);
	store_wait(s);
	return t;
}

#endif
