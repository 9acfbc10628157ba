// SPDX-License-Identifier: ISC
// Bodies that do not fit in memory, and the commit of a message.
#include "role/smtpd_internal.h"

#include "base/file.h"

// ---- bodies that do not fit in memory
static void on_spool_synced(void *arg, int err)
{
	struct connection *c = arg;
	ANSWER(c, session_spool_synced(c->session, err));
}

static void on_spool_relieved(void *arg)
{
	struct connection *c = arg;
	struct stream *stream = c->stream;
	connection_leave(c);
	stream_resume_input(stream);
}

void connection_spool_open(void *arg)
{
	struct connection *c = arg;
	if (!c->smtpd->queue) {
		ANSWER(c, session_spool(c->session, ERR_UNAVAILABLE, 0));
		return;
	}
	struct ipc_spool_open m = {.request = connection_ask(c)};
	(void)ipc_send_spool_open(c->smtpd->queue, &m);
}

void smtpd_spool_file(void *arg, struct str body, int fd)
{
	struct smtpd *s = arg;
	struct ipc_spool_file m;
	if (ipc_decode_spool_file(body, &m)) {
		fd_close(&fd);
		return;
	}
	struct connection *c = smtpd_answered(s, m.request);
	if (!c) {
		fd_close(&fd);
		return;
	}
	int err = m.err ? -(int)m.err : fd < 0 ? ERR_SYSTEM : 0;
	if (!err) {
		c->spool = spool_writer_create(s->context->loop, fd, on_spool_synced,
			on_spool_relieved, c);
		c->spool_id = m.spool;
	}
	ANSWER(c, session_spool(c->session, err, m.spool));
}

void connection_spool_write(void *arg, struct str octets)
{
	struct connection *c = arg;
	if (c->spool)
		spool_writer_add(c->spool, octets);
}

void connection_spool_sync(void *arg)
{
	struct connection *c = arg;
	if (c->spool)
		spool_writer_sync(c->spool);
	else
		ANSWER(c, session_spool_synced(c->session, ERR_UNAVAILABLE));
}

void connection_spool_abort(void *arg)
{
	struct connection *c = arg;
	connection_forget_request(c);
	spool_writer_destroy(c->spool);
	c->spool = NULL;
}

// ---- commit
static int add_recipients(struct buf *list, const struct session_submission *sub)
{
	for (unsigned i = 0; i < sub->recipient_count; i++) {
		const struct envelope_recipient *r = &sub->recipients[i];
		struct ipc_recipient one = {
			.address = r->address,
			.domain = r->domain,
			.orcpt = r->orcpt,
			.notify = r->notify,
			.hold = r->hold,
			.hold_reason = r->hold_reason,
		};
		int err = ipc_list_add_recipient(list, &one);
		if (err)
			return err;
	}
	return 0;
}

static int send_submission(struct connection *c, const struct session_submission *sub)
{
	const struct envelope *e = sub->envelope;
	struct buf recipients = BUF_INIT, rates = BUF_INIT;
	int err = add_recipients(&recipients, sub);
	if (!err)
		err = smtpd_add_rates(&rates, sub->facts);
	struct ipc_submit m = {
		.request = connection_ask(c),
		.session = c->id,
		.sender = e->sender,
		.account = e->account,
		.client = e->client,
		.server = e->server,
		.helo = e->helo,
		.envid = e->envid,
		.ret = e->ret,
		.smtputf8 = e->smtputf8,
		.eightbit = e->eightbit,
		.received_ms = e->received_ms,
		.by_rule = sub->by_rule,
		.size = e->size,
		.digest = str_make(e->digest, sizeof e->digest),
		.headers = e->headers,
		.edits = e->edits,
		.labels = e->labels,
		.recipients = buf_str(&recipients),
		.rates = buf_str(&rates),
		.spool = sub->spool,
		.body = sub->spool ? STR_EMPTY : sub->body,
	};
	if (!err)
		err = ipc_send_submit_fd(c->smtpd->queue, &m, sub->spool ? spool_writer_fd(c->spool) : -1);
	buf_finish(&recipients);
	buf_finish(&rates);
	return err;
}

void connection_submit(void *arg, const struct session_submission *sub)
{
	struct connection *c = arg;
	int err = ERR_UNAVAILABLE;
	if (c->smtpd->queue && (!sub->spool || c->spool))
		err = send_submission(c, sub);
	spool_writer_destroy(c->spool);
	c->spool = NULL;
	if (err) {
		connection_forget_request(c);
		ANSWER(c, session_submitted(c->session, err, 0));
	}
}

void smtpd_submitted(void *arg, struct str body, int fd)
{
	struct ipc_submitted m;
	fd_close(&fd);
	if (ipc_decode_submitted(body, &m))
		return;
	struct connection *c = smtpd_answered(arg, m.request);
	if (c)
		ANSWER(c, session_submitted(c->session, -(int)m.err, m.message));
}
