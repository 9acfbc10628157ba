// SPDX-License-Identifier: ISC
// Jobs as the queue sends them, for tests.
#ifndef PABAL_TEST_DELIVER_JOB_H
#define PABAL_TEST_DELIVER_JOB_H

#include "base/error.h"
#include "base/memory.h"
#include "deliver/deliver.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

struct job_words {
	const char *destination;   // "" : example.org
	unsigned route;
	const char *sender;
	const char *recipients[8]; // up to the first NULL
	const char *headers;
	struct str body, edits;
	int fd;                    // spool file when over 0
	uint64_t size;             // of the spool file
	bool smtputf8, eightbit;
	unsigned notify;
};

static inline int job_encode(const struct job_words *w, struct buf *out)
{
	struct buf recipients = BUF_INIT;
	struct ipc_try t = {.job = 7, .message = 99, .route = w->route,
		.destination = str_from(w->destination ? w->destination : "example.org"),
		.sender = str_from(w->sender ? w->sender : "from@sender.example"),
		.headers = str_from(w->headers), .edits = w->edits, .body = w->body,
		.size = w->fd > 0 ? w->size : w->body.len, .spool = w->fd > 0, .smtputf8 = w->smtputf8,
		.eightbit = w->eightbit};
	for (unsigned i = 0; w->recipients[i]; i++) {
		struct str address = str_from(w->recipients[i]);
		ptrdiff_t at = str_find_last(address, '@');
		struct ipc_recipient r = {.id = 100 + i, .address = address, .notify = (uint8_t)w->notify,
			.domain = str_skip(address, (size_t)(at + 1)), .orcpt = STR_EMPTY};
		assert_int_equal(ipc_list_add_recipient(&recipients, &r), 0);
	}
	t.recipients = buf_str(&recipients);
	int err = ipc_encode_try(out, &t);
	buf_finish(&recipients);
	return err;
}

static inline struct deliver_job *job_make(const struct job_words *w)
{
	struct deliver_job *job = NULL;
	struct buf frame = BUF_INIT;
	assert_int_equal(job_encode(w, &frame), 0);
	assert_int_equal(deliver_job_create(buf_str(&frame), w->fd > 0 ? w->fd : -1, &job), 0);
	buf_finish(&frame); // the job has its own copy
	return job;
}

#endif
