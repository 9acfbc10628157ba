// SPDX-License-Identifier: ISC
// The channel to queue: requests, answers, and what happens when it is gone.
#include "role/smtpd_internal.h"

#include "base/file.h"
#include "ipc/channel.h"

uint64_t connection_ask(struct connection *c)
{
	c->request = ++c->smtpd->last_request;
	map_set(&c->smtpd->requests, smtpd_key(&c->request), c);
	return c->request;
}

struct connection *smtpd_answered(struct smtpd *s, uint64_t request)
{
	struct connection *c = map_remove(&s->requests, smtpd_key(&request));
	if (c)
		c->request = 0;
	return c;
}

void connection_forget_request(struct connection *c)
{
	if (c->request)
		(void)map_remove(&c->smtpd->requests, smtpd_key(&c->request));
	c->request = 0;
}

static void on_store_state(void *arg, struct str body, int fd)
{
	struct smtpd *s = arg;
	struct ipc_store_state m;
	fd_close(&fd);
	if (!ipc_decode_store_state(body, &m))
		s->store_full = m.full;
}

static const ipc_handler from_queue[IPC_TYPES] = {
	[IPC_TYPE_client_counts] = smtpd_client_counts,
	[IPC_TYPE_account_answer] = smtpd_account_answer,
	[IPC_TYPE_recipient_answer] = smtpd_recipient_answer,
	[IPC_TYPE_rate_answer] = smtpd_rate_answer,
	[IPC_TYPE_sender_answer] = smtpd_sender_answer,
	[IPC_TYPE_spool_file] = smtpd_spool_file,
	[IPC_TYPE_submitted] = smtpd_submitted,
	[IPC_TYPE_store_state] = on_store_state,
	[IPC_TYPE_guard_state] = smtpd_guard_state,
	[IPC_TYPE_account_changed] = NULL, // asked anew at every MAIL
};

static void on_queue_frame(struct ipc_channel *ch, void *arg, unsigned type, struct str body, int fd)
{
	(void)ch;
	if (type == IPC_TYPE_account_changed)
		fd_close(&fd);
	else
		(void)ipc_dispatch(from_queue, arg, type, body, fd);
}

// The queue died: whatever was asked of it cannot be answered now. A message that was on its way may
// or may not be committed; the client is told to try again, which loses nothing.
static void answer_unavailable(struct connection *c)
{
	bool facts = c->facts != NULL;
	if (!facts && !c->request)
		return;
	connection_forget_request(c);
	if (facts) {
		if (c->facts_need & POLICY_FACT_CONNECTIONS) {
			c->counted = false;
			(void)map_remove(&c->smtpd->sessions, smtpd_key(&c->id));
		}
		connection_ask_next_fact(c); // without a channel every one is answered at once
	} else if (c->spool || !session_wants_input(c->session)) {
		// Either a spool file or the commit was awaited: session ignores the wrong one.
		ANSWER(c, (session_spool(c->session, ERR_UNAVAILABLE, 0),
			session_submitted(c->session, ERR_UNAVAILABLE, 0)));
	}
}

static void on_queue_gone(struct ipc_channel *ch, void *arg)
{
	struct smtpd *s = arg;
	ipc_channel_close(ch);
	if (s->queue != ch)
		return;
	s->queue = NULL;
	role_set_history(s->context, NULL);
	LIST_EACH(link, &s->connections)
		answer_unavailable(LIST_ENTRY(link, struct connection, link));
}

// A new queue counts from zero: it is told of every connection that is open.
static void recount(struct smtpd *s)
{
	char text[IPADDR_TEXT_MAX];
	LIST_EACH(link, &s->connections) {
		struct connection *c = LIST_ENTRY(link, struct connection, link);
		if (c->rehearsal)
			continue;
		struct ipc_client_open m = {.session = c->id,
			.address = str_from(ipaddr_format(&c->client, text)), .again = true};
		map_set(&s->sessions, smtpd_key(&c->id), c);
		c->counted = true;
		(void)ipc_send_client_open(s->queue, &m);
	}
}

void smtpd_queue_open(struct smtpd *s, int fd)
{
	if (s->queue)
		on_queue_gone(s->queue, s);
	smtpd_guard_forget(s);
	s->queue = ipc_channel_open(s->context->loop, fd, on_queue_frame, on_queue_gone, s);
	role_set_history(s->context, s->queue);
	recount(s);
}
