// SPDX-License-Identifier: ISC
#include "deliver/deliver.h"

#include "base/arena.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/memory.h"

#include <stdarg.h>
#include <stdio.h>

// The job and what its strings point to.
struct owned_job {
	struct deliver_job job; // first
	struct arena arena;
};

static unsigned count_recipients(struct str list, int *err)
{
	struct ipc_recipient r;
	unsigned n = 0;
	while (n <= DELIVER_RECIPIENTS_MAX && ipc_next_recipient(&list, &r, err))
		n++;
	return n;
}

static int take_recipients(struct owned_job *o, struct str list)
{
	struct deliver_job *j = &o->job;
	struct ipc_recipient r;
	int err = 0;
	j->recipient_count = count_recipients(list, &err);
	if (err || j->recipient_count == 0 || j->recipient_count > DELIVER_RECIPIENTS_MAX)
		return ERR_CORRUPT;
	j->recipients = arena_alloc(&o->arena, j->recipient_count * sizeof *j->recipients);
	for (unsigned i = 0; i < j->recipient_count && ipc_next_recipient(&list, &r, &err); i++) {
		j->recipients[i].id = r.id;
		j->recipients[i].address = arena_str(&o->arena, r.address).data;
		j->recipients[i].domain = arena_str(&o->arena, r.domain).data;
		j->recipients[i].orcpt = arena_str(&o->arena, r.orcpt).data;
		j->recipients[i].notify = r.notify;
		j->recipients[i].quota = (struct quota_limits){.octets = r.quota,
			.octets_soft = r.quota_soft, .messages = r.quota_messages,
			.messages_soft = r.quota_messages_soft, .pass = r.quota_pass};
		j->recipients[i].kind = r.kind <= IPC_TARGET_FILE ? r.kind : IPC_TARGET_MAILBOX;
		j->recipients[i].detail = arena_str(&o->arena, r.detail).data;
		j->recipients[i].original = arena_str(&o->arena, r.original.len ? r.original : r.address).data;
		// Until somebody says otherwise it has to be tried again.
		j->recipients[i].result.outcome = SMTP_TEMPORARY;
	}
	return err;
}

static int fill(struct owned_job *o, struct str frame_body, int fd)
{
	struct deliver_job *j = &o->job;
	struct ipc_try t;
	struct str frame = arena_str(&o->arena, frame_body);
	if (ipc_decode_try(frame, &t) || (t.spool != 0) != (fd >= 0) ||
		(!t.spool && t.body.len != t.size))
		return ERR_CORRUPT;
	j->job = t.job;
	j->message = t.message;
	j->destination = arena_str(&o->arena, t.destination).data;
	j->route = t.route;
	j->sender = arena_str(&o->arena, t.sender).data;
	j->envid = arena_str(&o->arena, t.envid).data;
	j->ret = t.ret;
	j->smtputf8 = t.smtputf8;
	j->eightbit = t.eightbit;
	j->headers = t.headers;
	j->edits = t.edits;
	j->size = t.size;
	j->body = t.body;
	j->started_ms = clock_monotonic_ms();
	return take_recipients(o, t.recipients);
}

int deliver_job_create(struct str frame_body, int fd, struct deliver_job **out)
{
	struct owned_job *o = mem_alloc(sizeof *o);
	o->job.body_fd = fd;
	int err = fill(o, frame_body, fd);
	if (err) {
		deliver_job_destroy(&o->job);
		return ERR_CORRUPT;
	}
	*out = &o->job;
	return 0;
}

void deliver_job_refuse(struct str frame_body, struct ipc_tried *out)
{
	struct ipc_try t;
	(void)ipc_decode_try(frame_body, &t); // its number comes first
	*out = (struct ipc_tried){.job = t.job};
}

void deliver_job_destroy(struct deliver_job *j)
{
	if (!j)
		return;
	struct owned_job *o = (struct owned_job *)j;
	fd_close(&j->body_fd);
	for (unsigned i = 0; j->recipients && i < j->recipient_count; i++)
		buf_finish(&j->recipients[i].children);
	arena_finish(&o->arena);
	mem_free(o);
}

static bool has_result(const struct smtp_result *r)
{
	return r->code || r->enhanced[0] || r->outcome != SMTP_TEMPORARY;
}

void deliver_job_fail(struct deliver_job *j, enum smtp_outcome outcome, unsigned code,
	const char *enhanced, const char *format, ...)
{
	char text[SMTP_REPLY_TEXT_MAX];
	va_list args;
	va_start(args, format);
	vsnprintf(text, sizeof text, format, args);
	va_end(args);
	for (unsigned i = 0; i < j->recipient_count; i++) {
		struct smtp_result *r = &j->recipients[i].result;
		if (has_result(r))
			continue;
		r->outcome = outcome;
		r->code = code;
		snprintf(r->enhanced, sizeof r->enhanced, "%s", enhanced);
		memcpy(r->text, text, sizeof r->text);
	}
}

int deliver_job_result(const struct deliver_job *j, struct ipc_tried *out, struct buf *outcomes)
{
	for (unsigned i = 0; i < j->recipient_count; i++) {
		const struct deliver_recipient *r = &j->recipients[i];
		struct ipc_outcome one = {
			.id = r->id,
			.outcome = (uint8_t)r->result.outcome,
			.code = r->result.code,
			.enhanced = str_from(r->result.enhanced),
			.text = str_from(r->result.text),
			.relayed_dsn = r->relayed_dsn,
			.counted = r->counted,
			.octets = r->usage.octets,
			.messages = r->usage.messages,
			.children = buf_str(&r->children),
		};
		int err = ipc_list_add_outcome(outcomes, &one);
		if (err)
			return err;
	}
	*out = (struct ipc_tried){
		.job = j->job,
		.remote = str_from(j->remote),
		.tls = str_from(j->tls),
		.ms = (uint32_t)(clock_monotonic_ms() - j->started_ms),
		.outcomes = buf_str(outcomes),
		.blame = (uint8_t)j->blame,
	};
	return 0;
}
