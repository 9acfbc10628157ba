// SPDX-License-Identifier: ISC
// What the files of this room share: the session itself, its states, one handler a verb.
#ifndef PABAL_SESSION_INTERNAL_H
#define PABAL_SESSION_INTERNAL_H

#include "policy/limits.h"
#include "session/body.h"
#include "session/replies.h"
#include "session/session.h"
#include "session/transaction.h"
#include "smtp/command.h"
#include "smtp/line.h"

// The only phase of the dialogue. TLS and login are facts beside it.
enum session_state {
	SESSION_OPENING, // nothing said yet: TLS at once, or the verdict on the client is awaited
	SESSION_GREETED, // the banner was said
	SESSION_READY,   // HELO or EHLO was said
	SESSION_SASL,    // a challenge was sent
	SESSION_MAIL,    // a sender was accepted
	SESSION_RCPT,    // and a recipient
	SESSION_BDAT,    // between two chunks
	SESSION_CHUNK,   // inside a chunk
	SESSION_DATA,    // inside a body
	SESSION_CLOSED,  // the last word was said
	SESSION_STATES
};

#define SESSION_IN(state) (1u << (state))
#define SESSION_IN_TRANSACTION \
	(SESSION_IN(SESSION_MAIL) | SESSION_IN(SESSION_RCPT) | SESSION_IN(SESSION_BDAT))

// What was asked of the host and not answered.
enum session_wait {
	SESSION_WAIT_NONE,
	SESSION_WAIT_FACTS,
	SESSION_WAIT_DELAY,
	SESSION_WAIT_AUTH,
	SESSION_WAIT_TLS,
	SESSION_WAIT_SPOOL,
	SESSION_WAIT_SYNC,
	SESSION_WAIT_SUBMIT,
};

enum question {
	QUESTION_CONNECT,
	QUESTION_HELLO,
	QUESTION_MAIL,
	QUESTION_RCPT,
	QUESTION_DATA,
	QUESTION_BDAT,
	QUESTION_BODY,
	QUESTIONS
};

// A chunk whose octets are being read: of the message, or to be thrown away.
struct session_chunk {
	uint64_t left;
	bool last;
	enum reply refusal;       // REPLY_NONE: it belongs to the message, or s->verdict refuses it
};

// An idle session is this struct and the name of HELO, nothing more.
struct session {
	const struct session_host *host;
	void *arg;
	struct policy_facts facts;        // config, server, client and what was found out
	struct session_tls *tls;          // NULL: plain
	char *helo;                       // NULL before HELO
	char *account;                    // NULL before AUTH
	struct session_client *client;    // what facts.client_rule points to; NULL: no rule
	struct ipaddr proxy;              // who said whose connection it is; family 0: nobody
	char *client_name;                // checked; NULL: none, or not known
	uint64_t tables;                  // generation that the rule is of
	char *limits;                     // octets of facts.account_networks and the like; NULL: none
	struct policy_limits *in_force;   // what facts.limits points to
	struct transaction *transaction;  // NULL outside of one
	struct policy_verdict *verdict;   // kept for session_delayed or the end of a refused chunk
	const struct policy_verdict *decided; // what is being carried out now; borrowed
	void (*seen)(void *arg, const struct session_seen *seen); // NULL: nobody watches
	struct buf output;
	struct smtp_line line;
	struct session_chunk chunk;
	struct str detail;                // what a reply is about; borrowed for one command
	struct str tried;                 // the name of a login that is being refused; borrowed
	uint64_t id;
	uint16_t client_port, local_port;
	uint8_t state;                    // enum session_state
	uint8_t wait;                     // enum session_wait
	uint8_t question;                 // enum question, while WAIT_FACTS or WAIT_DELAY
	uint8_t verb;                     // enum smtp_verb being run, for events
	uint8_t asked;                    // POLICY_FACT_* asked for this question
	uint8_t depth;                    // calls of the host's on the stack
	bool esmtp, implicit_tls, no_tls, early, rehearsal;
	bool draining;                    // 421 at the next command boundary
	bool begun, connect_told;         // the client was looked at; its event was written
	bool close_told, reported;
	bool limits_stale;                // those in force are the ones the message under way began with
	unsigned errors, deferred, idle_verbs, auth_failures, commands;
	unsigned accepted;                // messages
};

// ---- limits.c: those that are in force, and what is said when one is reached
void session_find_limits(struct session *s); // anew: somebody logged in, or something was changed
void session_forget_limits(struct session *s);
// Why something was refused, for its event. limit 0: it was no limit.
struct session_cause {
	const char *rule, *where;
	uint64_t count, limit;
	char text[POLICY_WHERE_MAX]; // of where
};
void session_cause_of(const struct session *s, enum reply reply, const char *rule, struct session_cause *c);
void session_cause_limit(const struct session *s, enum config_limit_id id, uint64_t count,
	struct session_cause *c);
// The recipient that was accepted now takes so much; is the body too large for every one of them?
// Then it was refused, and the transaction is gone.
void session_note_local_size(struct session *s);
bool session_refuse_local_size(struct session *s);

// ---- session.c
void session_end_in_time(struct session *s, enum reply reply);
// Every function that the host calls begins and ends with these; the last one out tells the
// host of output or of the end.
void session_enter(struct session *s);
void session_leave(struct session *s);
// Ends the dialogue: cancels what is open, reports why. Output still goes out.
void session_close(struct session *s, const char *why);
// Back to READY; a transaction is given up.
void session_reset(struct session *s);

// ---- answer.c: the one place where replies are written, reported and counted
void session_answer(struct session *s, enum reply reply);
void session_answer_detail(struct session *s, enum reply reply, struct str detail);
void session_answer_verdict(struct session *s, const struct policy_verdict *v);
void session_answer_stage(struct session *s, const struct stage_result *r);
void session_answer_lines(struct session *s, struct str lines); // good news of several lines
void session_challenge(struct session *s, struct str challenge); // 334

// ---- rehearsal.c
void session_rehearse(struct session *s, const struct session_rehearsal *how); // before session_begin
// Every reply comes by here; it costs nothing when nobody watches.
void session_show_observer(struct session *s, const struct smtp_reply *r, const char *rule,
	const char *rule_text);
static inline void session_show(struct session *s, const struct smtp_reply *r, const char *rule,
	const char *rule_text)
{
	if (s->seen)
		session_show_observer(s, r, rule, rule_text);
}

// ---- report.c
void session_report_connect(struct session *s);
void session_report_refusal(struct session *s, const struct smtp_reply *r,
	const struct session_cause *why);
void session_report_auth(struct session *s, const struct smtp_reply *r, const char *rule,
	struct str reason);
void session_report_accept(struct session *s, uint64_t message_id, const char *rule);
void session_report_disconnect(struct session *s, const char *reason);

// ---- question.c
// Asks policy, fetching facts as it needs; the question's own function goes on from there.
enum reply session_ask(struct session *s, enum question question);
void session_decided_hello(struct session *s, const struct policy_verdict *v);
void session_decided_connect(struct session *s, const struct policy_verdict *v);
void session_decided_mail(struct session *s, const struct policy_verdict *v);
void session_decided_rcpt(struct session *s, const struct policy_verdict *v);
void session_decided_data(struct session *s, const struct policy_verdict *v);
void session_decided_bdat(struct session *s, const struct policy_verdict *v);
void session_decided_body(struct session *s, const struct policy_verdict *v);

// ---- client.c: the rule for the client, as it is in force
void session_look_up_client(struct session *s);
void session_renew_client(struct session *s); // when the tables have changed since
void session_set_client_name(struct session *s, struct str name);
void session_forget_client(struct session *s);

// ---- one handler a verb. argument is borrowed from the input.
enum reply session_helo(struct session *s, struct str argument);
enum reply session_ehlo(struct session *s, struct str argument);
enum reply session_starttls(struct session *s, struct str argument);
enum reply session_auth_begin(struct session *s, struct str argument);
enum reply session_mail(struct session *s, struct str argument);
enum reply session_rcpt(struct session *s, struct str argument);
enum reply session_data(struct session *s, struct str argument);
enum reply session_bdat(struct session *s, struct str argument);
enum reply session_rset(struct session *s, struct str argument);
enum reply session_noop(struct session *s, struct str argument);
enum reply session_vrfy(struct session *s, struct str argument);
enum reply session_expn(struct session *s, struct str argument);
enum reply session_help(struct session *s, struct str argument);
enum reply session_quit(struct session *s, struct str argument);
enum reply session_lhlo(struct session *s, struct str argument);
enum reply session_etrn(struct session *s, struct str argument);
enum reply session_unknown(struct session *s, struct str line);

// ---- readers of the states that are not command lines; return the octets used
size_t session_read_sasl(struct session *s, struct str octets);
size_t session_read_data(struct session *s, struct str octets);
size_t session_read_chunk(struct session *s, struct str octets);
struct smtp_limits session_limits(const struct session *s);

// ---- helpers of verbs
bool session_tls_offered(const struct session *s);
bool session_auth_offered(const struct session *s, const char **out_mechanisms);
// Where the account may be used, copied; NULL: everywhere.
void session_set_limits(struct session *s, const struct policy_facts *from);
void session_forget_login(struct session *s);
void session_auth_abort(struct session *s); // an exchange that is under way
// A transaction has ended with this reply.
void session_transaction_done(struct session *s, enum reply reply);
enum reply session_command_fault(enum smtp_fault fault, enum reply address);

#endif
