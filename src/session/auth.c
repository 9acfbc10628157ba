// SPDX-License-Identifier: ISC
// AUTH (RFC 4954): carries base64 between the client and the host, and counts failures.
// What a mechanism says is the business of role auth.
#include "session/session_internal.h"

#include "base/memory.h"

#define FAILURES_MAX 5 // of one session

bool session_auth_offered(const struct session *s, const char **out_mechanisms)
{
	struct policy_verdict v;

	policy_auth(&s->facts, &v);
	if (v.kind != POLICY_ALLOW || s->account)
		return false;
	*out_mechanisms = s->host->mechanisms(s->arg, s->tls);
	return *out_mechanisms[0];
}

void session_set_limits(struct session *s, const struct policy_facts *from)
{
	struct str *to[] = {&s->facts.account_networks, &s->facts.account_servers,
		&s->facts.account_reason, &s->facts.account_groups};
	const struct str *texts[] = {from ? &from->account_networks : &STR_EMPTY,
		from ? &from->account_servers : &STR_EMPTY, from ? &from->account_reason : &STR_EMPTY,
		from ? &from->account_groups : &STR_EMPTY};
	bool other_groups = from && !str_equal(from->account_groups, s->facts.account_groups);
	size_t len = 0, at = 0;

	for (size_t i = 0; i < ARRAY_SIZE(to); i++)
		len += texts[i]->len;
	char *octets = len ? mem_alloc(len) : NULL;
	for (size_t i = 0; i < ARRAY_SIZE(to); i++) {
		if (texts[i]->len)
			memcpy(octets + at, texts[i]->data, texts[i]->len);
		*to[i] = texts[i]->len ? str_make(octets + at, texts[i]->len) : STR_EMPTY;
		at += texts[i]->len;
	}
	mem_free(s->limits);
	s->limits = octets;
	if (other_groups)
		session_find_limits(s);
}

void session_forget_login(struct session *s)
{
	mem_free(s->account);
	s->account = NULL;
	session_set_limits(s, NULL);
	s->facts.account = STR_EMPTY;
	s->facts.account_may_submit = s->facts.account_may_relay = false;
	s->facts.login_untrusted = false;
	s->facts.account_state = POLICY_ACCOUNT_NONE;
	s->facts.known &= ~(unsigned)POLICY_FACT_ACCOUNT;
}

void session_auth_abort(struct session *s)
{
	bool open = s->wait == SESSION_WAIT_AUTH || s->state == SESSION_SASL;

	if (!open)
		return;
	s->wait = SESSION_WAIT_NONE;
	s->state = SESSION_READY;
	s->host->auth_cancel(s->arg);
}

static bool is_offered(struct str mechanisms, const char *mechanism)
{
	struct str one;

	while (str_split(&mechanisms, ' ', &one))
		if (one.len && str_equal_nocase(one, str_from(mechanism)))
			return true;
	return false;
}

// Those in which the server speaks first (RFC 4954 4). LOGIN is none of them: clients may send the
// name along.
static bool is_begun_by_server(const char *mechanism)
{
	static const struct str all[] = {{"CRAM-MD5", 8}, {"DIGEST-MD5", 10}};

	for (size_t i = 0; i < ARRAY_SIZE(all); i++)
		if (str_equal_nocase(all[i], str_from(mechanism)))
			return true;
	return false;
}

static enum reply start(struct session *s, const char *mechanism, struct str initial)
{
	struct buf decoded = BUF_INIT;
	struct str response = {NULL, 0};
	const char *mechanisms = s->host->mechanisms(s->arg, s->tls);

	if (!mechanisms[0])
		return REPLY_AUTH_UNAVAILABLE;
	if (!is_offered(str_from(mechanisms), mechanism))
		return REPLY_AUTH_MECHANISM;
	if (initial.data && is_begun_by_server(mechanism))
		return REPLY_AUTH_UNASKED;
	if (initial.data) {
		response = STR_EMPTY;
		if (!str_equal(initial, STR("=")) && initial.len) {
			if (buf_add_base64_decoded(&decoded, initial)) {
				buf_finish_wipe(&decoded);
				return REPLY_AUTH_NOT_BASE64;
			}
			response = buf_str(&decoded);
		}
	}
	s->wait = SESSION_WAIT_AUTH;
	s->host->auth_start(s->arg, mechanism, response);
	buf_finish_wipe(&decoded);
	return REPLY_NONE;
}

enum reply session_auth_begin(struct session *s, struct str argument)
{
	char mechanism[21];
	struct str initial;
	struct policy_verdict v;

	if (s->account)
		return REPLY_AUTH_TWICE;
	policy_auth(&s->facts, &v);
	if (v.kind != POLICY_ALLOW) {
		session_answer_verdict(s, &v);
		return REPLY_NONE;
	}
	if (smtp_command_parse_auth(argument, mechanism, &initial))
		return REPLY_SYNTAX;
	return start(s, mechanism, initial);
}

static void take_response(struct session *s, struct str line)
{
	struct buf decoded = BUF_INIT;
	enum reply reply = REPLY_NONE;

	if (str_equal(line, STR("*")))
		reply = REPLY_AUTH_CANCELLED;
	else if (line.len && buf_add_base64_decoded(&decoded, line))
		reply = REPLY_AUTH_NOT_BASE64;
	if (reply) {
		session_auth_abort(s);
		session_answer(s, reply);
	} else {
		s->wait = SESSION_WAIT_AUTH;
		s->host->auth_continue(s->arg, buf_str(&decoded));
	}
	buf_finish_wipe(&decoded);
}

size_t session_read_sasl(struct session *s, struct str octets)
{
	struct smtp_limits limits = session_limits(s);
	struct str line;
	size_t used;

	switch (smtp_line_take(&s->line, octets, limits.auth_line, &line, &used)) {
	case SMTP_LINE_MORE:
		break;
	case SMTP_LINE_READY:
		take_response(s, line);
		break;
	case SMTP_LINE_TOO_LONG:
	case SMTP_LINE_BARE:
		session_auth_abort(s);
		session_answer(s, REPLY_AUTH_LINE_LONG);
		break;
	}
	return used;
}

static void take_account(struct session *s, struct str account)
{
	session_forget_login(s);
	s->account = str_dup(account);
	s->facts.account = str_from(s->account);
	session_find_limits(s);
}

void session_auth(struct session *s, enum session_auth_result result, struct str data_or_account,
	const char *reason)
{
	if (s->wait != SESSION_WAIT_AUTH)
		return;
	session_enter(s);
	s->wait = SESSION_WAIT_NONE;
	s->state = SESSION_READY;
	s->tried = result == SESSION_AUTH_CONTINUE ? STR_EMPTY : data_or_account;
	switch (result) {
	case SESSION_AUTH_CONTINUE:
		s->state = SESSION_SASL;
		session_challenge(s, data_or_account);
		break;
	case SESSION_AUTH_OK:
		take_account(s, data_or_account);
		session_answer_detail(s, REPLY_AUTH_OK, str_from(reason));
		break;
	case SESSION_AUTH_UNAVAILABLE:
		session_answer_detail(s, REPLY_AUTH_UNAVAILABLE, str_from(reason));
		break;
	case SESSION_AUTH_BLOCKED:
		session_answer_detail(s, REPLY_AUTH_BLOCKED, str_from(reason));
		break;
	case SESSION_AUTH_FAILED:
		session_answer_detail(s, REPLY_AUTH_FAILED, str_from(reason));
		if (++s->auth_failures >= FAILURES_MAX)
			session_answer(s, REPLY_AUTH_TOO_MANY);
		break;
	}
	s->tried = STR_EMPTY;
	session_leave(s);
}
