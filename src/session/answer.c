// SPDX-License-Identifier: ISC
// The one place where replies are written, reported and counted. The error that reaches
// the server's max-errors is answered, then the session ends.
#include "session/session_internal.h"

#include "base/text.h"

#define DETAIL_MAX 120 // octets of the client's own words in a reply
// Replies of 4yz in a session, as to recipients that are too many for one message. They are no
// errors of the client, but each is an event in the log: beyond this they count.
#define DEFERRED_MAX 1000

struct spoken {
	const struct session_cause *why;
	struct str reason;  // for the log only
	bool close, is_auth;
};

static void say(struct session *s, const struct smtp_reply *r, const struct spoken *how)
{
	const struct session_cause *why = how->why;
	uint64_t max_errors = session_limit(s, CONFIG_LIMIT_ERRORS);

	if (s->state == SESSION_CLOSED)
		return;
	if (r->code) // else it is closed without a word
		smtp_reply_write(&s->output, r);
	session_show(s, r, why->rule, why->where);
	if (how->is_auth)
		session_report_auth(s, r, why->rule, how->reason);
	else if (!r->code || r->code >= 400)
		session_report_refusal(s, r, why);
	if (!s->rehearsal && (r->code >= 500 || (r->code >= 400 && ++s->deferred > DEFERRED_MAX)))
		s->errors++;
	if (how->close)
		session_close(s, why->rule ? why->rule : "quit");
	else if (max_errors && s->errors >= max_errors && r->code >= 400)
		session_answer(s, REPLY_TOO_MANY_ERRORS);
}

void session_answer_detail(struct session *s, enum reply reply, struct str detail)
{
	const struct reply_text *text = reply_text(reply);
	struct session_cause why;
	struct spoken how = {&why, STR_EMPTY, text->close, text->is_auth};
	struct smtp_reply r;

	session_cause_of(s, reply, text->rule, &why);
	detail = str_slice(detail, 0, DETAIL_MAX);
	if (text->is_auth) { // a login's detail is for the log
		how.reason = detail;
		detail = STR_EMPTY;
	}
	smtp_reply_set(&r, text->code, text->enhanced, "%s%s%.*s", text_lookup(text->text),
		detail.len ? ": " : "", STR_ARG(detail));
	say(s, &r, &how);
}

void session_answer(struct session *s, enum reply reply)
{
	session_answer_detail(s, reply, STR_EMPTY);
}

void session_answer_verdict(struct session *s, const struct policy_verdict *v)
{
	struct session_cause why = {v->rule, v->rule_text, v->count, v->limit, ""};
	struct spoken how = {&why, STR_EMPTY, v->kind == POLICY_DROP, false};

	say(s, &v->reply, &how);
}

void session_answer_stage(struct session *s, const struct stage_result *result)
{
	struct session_cause why = {result->rule, "", 0, 0, ""};
	struct spoken how = {&why, STR_EMPTY, false, false};
	struct smtp_reply r;

	if (result->is_limit)
		session_cause_limit(s, result->limit_id, result->count, &why);
	smtp_reply_set(&r, result->code, result->enhanced, "%s", result->text);
	say(s, &r, &how);
}

void session_answer_lines(struct session *s, struct str lines)
{
	static const struct smtp_reply good = {.code = 250};

	buf_add_str(&s->output, lines);
	session_show(s, &good, NULL, NULL);
}

void session_challenge(struct session *s, struct str challenge)
{
	buf_add_text(&s->output, "334 ");
	buf_add_base64(&s->output, challenge);
	buf_add_text(&s->output, "\r\n");
}
