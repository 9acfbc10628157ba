// SPDX-License-Identifier: ISC
// From the end of a body to its reply: the stages' word, the trace field, the commit.
// 250 is said after the host has said that the message is on stable storage, never before.
#include "session/body_internal.h"

#include "base/id.h"
#include "message/trace.h"

#define HEADERS_MAX 262144

static int write_headers(struct session *s, const struct stage_result *result)
{
	struct transaction *t = s->transaction;
	struct body *b = t->body;
	struct trace_received received = {
		.helo = str_from(s->helo),
		.reverse = s->facts.client_name,
		.client = s->facts.client,
		.hostname = s->facts.config->hostname,
		.esmtp = s->esmtp,
		.tls = s->tls != NULL,
		.auth = s->account != NULL,
		.utf8 = t->mail.smtputf8,
		.tls_version = str_from(s->tls ? s->tls->version : ""),
		.tls_cipher = str_from(s->tls ? s->tls->cipher : ""),
		.tls_bits = s->tls ? (unsigned)s->tls->bits : 0,
		.id = s->id,
		.recipient = t->count == 1 ? t->recipients[0].address : STR_EMPTY,
		.wall_ms = b->received_ms,
	};
	int err;

	b->headers.limit = HEADERS_MAX;
	err = trace_add_received(&b->headers, &received);
	return err ? err : buf_add_str(&b->headers, buf_str(&result->fields));
}

static void fill_envelope(struct session *s, const struct stage_result *result)
{
	struct transaction *t = s->transaction;
	struct body *b = t->body;

	b->envelope = (struct envelope){
		.sender = str_from(t->sender.text),
		.account = str_from(s->account),
		.client = str_from(ipaddr_format(&s->facts.client, b->client)),
		.server = s->facts.server->name,
		.helo = str_from(s->helo),
		.envid = str_from(t->mail.envid),
		.ret = (uint8_t)t->mail.ret,
		.smtputf8 = t->mail.smtputf8,
		.eightbit = b->eightbit,
		.session = s->id,
		.received_ms = b->received_ms,
		.size = b->size,
		.headers = buf_str(&b->headers),
		.edits = buf_str(&result->edits),
		.labels = str_from(t->labels),
	};
	digest_result(b->digest, b->envelope.digest);
	b->submission = (struct session_submission){
		.envelope = &b->envelope,
		.recipients = t->recipients,
		.recipient_count = t->count,
		.body = b->spool_state == SPOOL_OPEN ? STR_EMPTY : buf_str(&b->memory),
		.spool = b->spool,
		.by_rule = !s->account && policy_is_guarded(&s->facts),
		.facts = &s->facts,
	};
}

static void accept_message(struct session *s, uint64_t message_id, const char *rule)
{
	char text[ID_TEXT_MAX] = "";

	s->accepted++;
	s->idle_verbs = 0;
	session_report_accept(s, message_id, rule);
	if (message_id)
		id_format(message_id, text);
	session_answer_detail(s, REPLY_ACCEPTED, str_from(text));
	session_reset(s);
}

static void submit(struct session *s)
{
	struct body *b = s->transaction->body;

	if (b->spool_state == SPOOL_OPEN)
		b->spool_state = SPOOL_HANDED_OVER;
	s->wait = SESSION_WAIT_SUBMIT;
	s->transaction->reserved = false; // goes with it
	s->host->submit(s->arg, &b->submission);
}

// A relay in front of us that passed such line ends on may have seen another end than we did:
// then what follows was a part of the message and is no command (SMTP smuggling).
static bool end_is_unsure(const struct body *b)
{
	return !b->chunked &&
		(b->data.fault == SMTP_BODY_BARE || b->data.fault == SMTP_BODY_NUL);
}

static void refuse(struct session *s, const struct body *b)
{
	bool unsure = end_is_unsure(b);

	session_transaction_done(s, body_fault(b));
	if (unsure)
		session_answer(s, REPLY_BODY_END_UNSURE);
}

// The sender of MAIL was looked at; mostly it is the one author, too.
static bool is_known_author(const struct transaction *t, const struct stage_result *result)
{
	struct str rest = buf_str(&result->authors), author;

	while (rest.len && str_split(&rest, '\n', &author))
		if (!str_equal(author, str_from(t->sender.text)))
			return false;
	return true;
}

// Nothing is left to be said against it.
static void keep_message(struct session *s)
{
	struct transaction *t = s->transaction;
	struct body *b = t->body;
	const struct stage_result *result = b->result;

	if (result->hold || t->hold_reason[0])
		transaction_hold_all(t, t->hold_reason[0] ? t->hold_reason : result->hold_reason);
	if (write_headers(s, result)) {
		session_transaction_done(s, REPLY_UNAVAILABLE);
		return;
	}
	fill_envelope(s, result);
	if (b->spool_state != SPOOL_OPEN) {
		submit(s);
		return;
	}
	s->wait = SESSION_WAIT_SYNC;
	s->host->spool_sync(s->arg);
}

void body_finish(struct session *s)
{
	struct transaction *t = s->transaction;
	struct body *b = t->body;
	const struct stage_result *result;

	if (body_fault(b)) {
		refuse(s, b);
		return;
	}
	result = stage_run_end(b->stages);
	if (result->code) {
		session_answer_stage(s, result);
		session_reset(s);
		return;
	}
	if (t->discard || !t->count) {
		accept_message(s, 0, t->rule);
		return;
	}
	if (session_refuse_local_size(s))
		return;
	b->result = result;
	if (is_known_author(t, result)) {
		keep_message(s);
		return;
	}
	s->facts.authors = buf_str(&result->authors);
	s->facts.author_count = result->author_count;
	s->facts.known &= ~(unsigned)POLICY_FACT_SENDER;
	(void)session_ask(s, QUESTION_BODY);
}

void session_decided_body(struct session *s, const struct policy_verdict *v)
{
	if (v->kind == POLICY_ALLOW) {
		keep_message(s);
		return;
	}
	session_answer_verdict(s, v);
	session_reset(s);
}

static enum reply failure_reply(int err)
{
	return err == ERR_FULL ? REPLY_FULL : REPLY_UNAVAILABLE;
}

void session_spool_synced(struct session *s, int err)
{
	if (s->wait != SESSION_WAIT_SYNC)
		return;
	session_enter(s);
	s->wait = SESSION_WAIT_NONE;
	if (err)
		session_transaction_done(s, failure_reply(err));
	else
		submit(s);
	session_leave(s);
}

void session_submitted(struct session *s, int err, uint64_t message_id)
{
	if (s->wait != SESSION_WAIT_SUBMIT)
		return;
	session_enter(s);
	s->wait = SESSION_WAIT_NONE;
	if (err)
		session_transaction_done(s, failure_reply(err));
	else
		accept_message(s, message_id, NULL);
	session_leave(s);
}
