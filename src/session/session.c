// SPDX-License-Identifier: ISC
// The dispatcher: which verb is allowed when, which reader takes the octets, and how a
// session begins and ends. What a verb does is in the file of its name.
#include "session/session_internal.h"

#include "base/memory.h"

#define OUTPUT_HIGH 16384 // the host is told before we go on
#define OUTPUT_MAX  65536 // nothing more is read before some was taken
#define IDLE_VERBS_MAX 100 // NOOP and the like between two messages; each more is an error

enum {
	NO_ARGUMENT = 1,
	NEEDS_ARGUMENT = 2,
	IDLE = 4, // does nothing for a message: counted
	EARNEST = 8, // not in a rehearsal
};

#define ANY (~0u)
#define COMMANDS (SESSION_IN(SESSION_GREETED) | SESSION_IN(SESSION_READY) | SESSION_IN_TRANSACTION)

// A verb out of its states gets HELO_FIRST before HELO, else the reply of its row.
// BDAT is allowed everywhere: its octets have to be taken before anything is answered.
static const struct verb {
	enum reply (*run)(struct session *s, struct str argument);
	unsigned states;
	unsigned flags;
	enum reply out_of_order;
} verbs[SMTP_VERBS] = {
	[SMTP_UNKNOWN] = {session_unknown, ANY, 0},
	[SMTP_HELO] = {session_helo, ANY, NEEDS_ARGUMENT | IDLE},
	[SMTP_EHLO] = {session_ehlo, ANY, NEEDS_ARGUMENT | IDLE},
	[SMTP_LHLO] = {session_lhlo, ANY, 0},
	[SMTP_STARTTLS] = {session_starttls, SESSION_IN(SESSION_GREETED) | SESSION_IN(SESSION_READY),
		NO_ARGUMENT | EARNEST, REPLY_IN_TRANSACTION},
	[SMTP_AUTH] = {session_auth_begin, SESSION_IN(SESSION_READY),
		NEEDS_ARGUMENT | EARNEST, REPLY_IN_TRANSACTION},
	[SMTP_MAIL] = {session_mail, SESSION_IN(SESSION_READY), NEEDS_ARGUMENT, REPLY_MAIL_TWICE},
	[SMTP_RCPT] = {session_rcpt, SESSION_IN(SESSION_MAIL) | SESSION_IN(SESSION_RCPT),
		NEEDS_ARGUMENT, REPLY_MAIL_FIRST},
	[SMTP_DATA] = {session_data, SESSION_IN_TRANSACTION, NO_ARGUMENT | EARNEST, REPLY_RCPT_FIRST},
	[SMTP_BDAT] = {session_bdat, ANY, 0},
	[SMTP_RSET] = {session_rset, ANY, NO_ARGUMENT | IDLE},
	[SMTP_NOOP] = {session_noop, ANY, IDLE},
	[SMTP_VRFY] = {session_vrfy, ANY, NEEDS_ARGUMENT | IDLE},
	[SMTP_EXPN] = {session_expn, ANY, 0},
	[SMTP_HELP] = {session_help, ANY, IDLE},
	[SMTP_QUIT] = {session_quit, ANY, NO_ARGUMENT},
	[SMTP_ETRN] = {session_etrn, ANY, 0},
};

// What forbids the verb now, or REPLY_NONE.
static enum reply check_order(const struct session *s, const struct verb *verb, struct str argument)
{
	if (s->rehearsal && (verb->flags & EARNEST))
		return REPLY_REHEARSAL;
	if (!(verb->states & SESSION_IN(s->state))) {
		if (s->state == SESSION_GREETED)
			return REPLY_HELO_FIRST;
		if (s->state == SESSION_BDAT && verb->out_of_order == REPLY_MAIL_FIRST)
			return REPLY_CHUNKS_BEGUN;
		return verb->out_of_order;
	}
	if ((verb->flags & NO_ARGUMENT) && argument.len)
		return REPLY_TAKES_NO_ARGUMENT;
	if ((verb->flags & NEEDS_ARGUMENT) && !argument.len)
		return REPLY_NEEDS_ARGUMENT;
	return REPLY_NONE;
}

static bool is_one_too_many(struct session *s)
{
	uint64_t most = session_limit(s, CONFIG_LIMIT_COMMANDS);

	if (s->rehearsal || ++s->commands <= most || !most)
		return false;
	session_answer(s, REPLY_TOO_MANY_COMMANDS);
	return true;
}

static void dispatch(struct session *s, struct str line)
{
	struct smtp_command command;
	const struct verb *verb;
	enum reply reply;

	smtp_command_parse(line, &command);
	verb = &verbs[command.verb];
	s->verb = (uint8_t)command.verb;
	s->detail = STR_EMPTY;
	if (is_one_too_many(s))
		return;
	if ((verb->flags & IDLE) && !s->rehearsal && ++s->idle_verbs > IDLE_VERBS_MAX)
		s->errors++;
	reply = check_order(s, verb, command.argument);
	if (!reply)
		reply = verb->run(s, command.verb == SMTP_UNKNOWN ? line : command.argument);
	if (reply)
		session_answer_detail(s, reply, s->detail);
	s->detail = STR_EMPTY;
	if (s->idle_verbs > IDLE_VERBS_MAX && s->errors >= session_limit(s, CONFIG_LIMIT_ERRORS) &&
		session_limit(s, CONFIG_LIMIT_ERRORS) && s->wait == SESSION_WAIT_NONE)
		session_answer(s, REPLY_TOO_MANY_ERRORS); // a good reply does not look at this
}

// RFC 5321 4.5.3.1.4 and what the extensions add to it (RFC 1870, 3461, 4954, 6152, 6531).
static size_t line_limit(const struct smtp_limits *limits, struct str octets)
{
	static const struct {
		struct str verb;
		size_t more;
	} longer[] = {
		{{"MAIL ", 5}, 26 + 17 + 10 + 500 + 120 + 460},
		{{"RCPT ", 5}, 28 + 20 + 514 + 460},
	};

	if (str_starts_nocase(octets, STR("AUTH ")))
		return limits->auth_line;
	for (size_t i = 0; i < ARRAY_SIZE(longer); i++)
		if (str_starts_nocase(octets, longer[i].verb))
			return limits->command_line + longer[i].more;
	return limits->command_line;
}

static size_t read_command(struct session *s, struct str octets)
{
	struct smtp_limits limits = session_limits(s);
	struct str line;
	size_t used;

	s->verb = SMTP_UNKNOWN;
	switch (smtp_line_take(&s->line, octets, line_limit(&limits, octets), &line, &used)) {
	case SMTP_LINE_MORE:
		break;
	case SMTP_LINE_READY:
		dispatch(s, line);
		break;
	case SMTP_LINE_TOO_LONG:
		session_answer(s, REPLY_LINE_LONG);
		break;
	case SMTP_LINE_BARE:
		session_answer(s, REPLY_LINE_BARE);
		break;
	}
	return used;
}

static size_t (*const readers[SESSION_STATES])(struct session *s, struct str octets) = {
	[SESSION_GREETED] = read_command,
	[SESSION_READY] = read_command,
	[SESSION_SASL] = session_read_sasl,
	[SESSION_MAIL] = read_command,
	[SESSION_RCPT] = read_command,
	[SESSION_BDAT] = read_command,
	[SESSION_CHUNK] = session_read_chunk,
	[SESSION_DATA] = session_read_data,
};

struct smtp_limits session_limits(const struct session *s)
{
	struct smtp_limits limits = smtp_limits_default;

	limits.message_size = session_limit(s, CONFIG_LIMIT_MESSAGE_SIZE);
	if (s->facts.config->limits.body_line)
		limits.body_line = s->facts.config->limits.body_line;
	return limits;
}

static bool at_boundary(const struct session *s)
{
	return s->wait == SESSION_WAIT_NONE && (COMMANDS & SESSION_IN(s->state));
}

bool session_wants_input(const struct session *s)
{
	return s->wait == SESSION_WAIT_NONE && readers[s->state] && buf_len(&s->output) < OUTPUT_MAX &&
		!(s->draining && at_boundary(s));
}

size_t session_input(struct session *s, struct str octets)
{
	size_t used = 0;

	if (s->state == SESSION_CLOSED)
		return octets.len; // nobody reads it any more
	session_enter(s);
	while (used < octets.len && session_wants_input(s)) {
		size_t n = readers[s->state](s, str_skip(octets, used));

		if (!n)
			break;
		used += n;
		if (buf_len(&s->output) >= OUTPUT_HIGH)
			s->host->output(s->arg);
	}
	session_leave(s);
	return s->state == SESSION_CLOSED && !s->depth ? octets.len : used;
}

struct buf *session_output(struct session *s)
{
	return &s->output;
}

void session_enter(struct session *s)
{
	s->depth++;
}

void session_leave(struct session *s)
{
	if (s->depth > 1) {
		s->depth--;
		return;
	}
	if (s->draining && at_boundary(s))
		session_answer(s, REPLY_SHUT_DOWN);
	s->depth = 0;
	if (s->wait == SESSION_WAIT_NONE)
		s->verb = SMTP_UNKNOWN;
	if (buf_len(&s->output) && !s->close_told)
		s->host->output(s->arg);
	if (s->state != SESSION_CLOSED) {
		if (!buf_len(&s->output))
			buf_release(&s->output); // an idle session keeps nothing
	} else if (!s->close_told) {
		s->close_told = true;
		s->host->close(s->arg);
	}
}

_Static_assert(sizeof(struct session) < 1024, "an idle session is small");

struct session *session_create(const struct session_options *o)
{
	struct session *s = mem_alloc(sizeof(*s));

	s->host = o->host;
	s->arg = o->arg;
	s->id = o->id;
	s->client_port = o->client_port;
	s->local_port = o->local_port;
	s->implicit_tls = o->implicit_tls;
	s->no_tls = o->no_tls;
	s->state = SESSION_OPENING;
	s->facts.config = o->config;
	s->facts.server = o->server;
	s->facts.client = o->client;
	s->facts.local = o->local;
	s->proxy = o->proxy;
	s->facts.account = STR_EMPTY;
	s->facts.client_name = STR_EMPTY;
	s->facts.account_groups = STR_EMPTY;
	if (o->rehearsal)
		session_rehearse(s, o->rehearsal);
	session_look_up_client(s);
	return s;
}

void session_destroy(struct session *s)
{
	if (!s)
		return;
	s->close_told = true;
	session_close(s, "closed");
	session_forget_client(s);
	session_forget_limits(s);
	mem_free(s->tls);
	buf_finish(&s->output);
	mem_free(s);
}

void session_reset(struct session *s)
{
	struct transaction *t = s->transaction;

	if (t) {
		if (t->reserved && !s->rehearsal)
			s->host->rates_release(s->arg);
		body_destroy(s, t->body);
		t->body = NULL;
		transaction_destroy(t);
		s->transaction = NULL;
	}
	s->facts.sender = NULL;
	s->facts.mail = NULL;
	s->facts.recipient = NULL;
	s->facts.recipients_so_far = 0;
	s->facts.known &= ~(unsigned)(POLICY_FACT_RECIPIENT | POLICY_FACT_RATE);
	s->facts.local_size_where = STR_EMPTY;
	if (s->limits_stale && s->state != SESSION_CLOSED) {
		s->limits_stale = false;
		session_find_limits(s);
	}
	if (s->state != SESSION_CLOSED)
		s->state = s->helo ? SESSION_READY : SESSION_GREETED;
}

void session_transaction_done(struct session *s, enum reply reply)
{
	session_answer(s, reply);
	session_reset(s);
}

void session_close(struct session *s, const char *why)
{
	session_report_disconnect(s, why);
	session_auth_abort(s);
	s->state = SESSION_CLOSED;
	session_reset(s);
	session_forget_login(s);
	mem_free(s->helo);
	s->helo = NULL;
	mem_free(s->verdict);
	s->verdict = NULL;
	s->wait = SESSION_WAIT_NONE;
}

void session_end_in_time(struct session *s, enum reply reply)
{
	if (s->state == SESSION_CLOSED)
		return;
	session_enter(s);
	// A commit that is on its way is answered first: else the client sends the message again.
	// In a TLS handshake nothing can be said.
	if (s->wait == SESSION_WAIT_SUBMIT || s->wait == SESSION_WAIT_SYNC)
		s->draining = true;
	else if (s->wait == SESSION_WAIT_TLS || (s->implicit_tls && !s->tls))
		session_close(s, reply_text(reply)->rule);
	else
		session_answer(s, reply);
	session_leave(s);
}

void session_timed_out(struct session *s)
{
	session_end_in_time(s, REPLY_TIMED_OUT);
}

void session_shut_down(struct session *s)
{
	if (s->state == SESSION_CLOSED)
		return;
	session_enter(s);
	s->draining = true;
	session_leave(s);
}

void session_peer_gone(struct session *s, const char *why)
{
	if (s->state == SESSION_CLOSED)
		return;
	s->close_told = true; // it knows
	session_close(s, why);
}

uint64_t session_silence_limit(const struct session *s)
{
	if (s->wait != SESSION_WAIT_NONE && s->wait != SESSION_WAIT_TLS)
		return 0;
	if (s->state == SESSION_DATA || s->state == SESSION_CHUNK)
		return s->facts.server->data_timeout;
	return s->facts.server->command_timeout;
}

void session_reconfigure(struct session *s, const struct config *config,
	const struct config_server *server)
{
	s->facts.config = config;
	s->facts.server = server;
	s->limits_stale = s->transaction != NULL;
	session_look_up_client(s);
}
