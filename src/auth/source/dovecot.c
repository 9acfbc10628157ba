// SPDX-License-Identifier: ISC
// The authentication socket of a Dovecot, asked with PLAIN on a connection of its own. Dovecot does
// not tell an unknown name from a wrong password: both are a no.
#include "auth/protocol_internal.h"
#include "auth/source/kinds.h"
#include "auth/source/socket.h"
#include "base/text.h"

#include <unistd.h>

#define SOURCE_USER  "pabal-source"
#define GREETING_MAX 65536 // octets

struct greeting {
	bool version, plain, done;
};

static unsigned gives(const struct config_source *s)
{
	(void)s;
	return AUTH_GIVES_VERIFY;
}

static int read_line(struct auth_socket *s, struct buf *in, struct str *line, struct error *err)
{
	for (;;) {
		struct str rest = buf_str(in);
		int got = auth_line_take(&rest, line);
		if (got == 1)
			return 0; // consumed by the caller, line points into it
		if (got < 0)
			return error_set(err, got, TEXT("a line is too long"));
		got = auth_socket_read(s, in, err);
		if (got)
			return got;
	}
}

static int take_greeting(struct str line, struct greeting *g, struct error *err)
{
	struct auth_line_mechanism m;
	struct str word = STR_EMPTY, major = STR_EMPTY;
	uint32_t number;

	auth_field_take(&line, &word);
	if (str_equal(word, STR("VERSION"))) {
		if (!auth_field_take(&line, &major) || auth_number_read(major, &number) ||
			number != AUTH_VERSION_MAJOR)
			return error_set(err, ERR_UNSUPPORTED, TEXT("it speaks another version"));
		g->version = true;
	} else if (str_equal(word, STR("MECH")) && line.data) {
		g->plain |= auth_line_mechanism_read(line, &m) == 0 && strcmp(m.name, "PLAIN") == 0;
	} else if (str_equal(word, STR("DONE"))) {
		g->done = true;
	}
	return 0;
}

static int greet(struct auth_socket *s, struct buf *in, struct error *err)
{
	struct greeting g = {0};
	struct buf hello = BUF_INIT;
	size_t seen = 0;
	int result = buf_add_format(&hello, "VERSION\t%d\t%d\nCPID\t%ld\n", AUTH_VERSION_MAJOR,
		AUTH_VERSION_MINOR, (long)getpid());

	if (!result)
		result = auth_socket_write(s, buf_str(&hello), err);
	buf_finish(&hello);
	while (!result && !g.done) {
		struct str line;
		result = read_line(s, in, &line, err);
		if (result)
			break;
		seen += line.len + 1;
		result = seen > GREETING_MAX
				 ? error_set(err, ERR_LIMIT, TEXT("it greets without end"))
				 : take_greeting(line, &g, err);
		buf_consume(in, line.len + 1);
	}
	if (!result && !g.version)
		result = error_set(err, ERR_SYNTAX, TEXT("it is not the authentication protocol"));
	if (!result && !g.plain)
		result = error_set(err, ERR_UNSUPPORTED, TEXT("it does not offer PLAIN"));
	return result;
}

// no-penalty: Dovecot would make all of an address wait that failed a few times, longer than a
// source may take. Guessing is slowed before a source is asked.
static int make_request(
	const struct config_source *s, const struct auth_question *q, struct buf *out)
{
	struct buf response = {.limit = AUTH_LINE_MAX};
	char address[IPADDR_TEXT_MAX];
	int err = buf_add_text(out, "AUTH\t1\tPLAIN\tservice=");

	if (!err)
		err = auth_value_add(out, s->service.len ? s->service : STR("smtp"));
	if (!err)
		err = buf_add_text(out, "\tnologin\tsecured\tno-penalty");
	if (!err && q->client.family)
		err = buf_add_format(out, "\trip=%s", ipaddr_format(&q->client, address));
	if (!err)
		err = buf_add_text(out, "\tresp=");
	if (!err)
		err = buf_add_char(&response, '\0');
	if (!err)
		err = buf_add_str(&response, q->name);
	if (!err)
		err = buf_add_char(&response, '\0');
	if (!err)
		err = buf_add_str(&response, q->secret);
	if (!err)
		err = buf_add_base64(out, buf_str(&response));
	buf_finish_wipe(&response);
	return err ? err : buf_add_char(out, '\n');
}

static int send_request(const struct config_source *c, struct auth_socket *s,
	const struct auth_question *q, struct error *err)
{
	struct buf line = {.limit = AUTH_LINE_MAX + 1};
	int result = make_request(c, q, &line);

	result = result ? error_set(err, result, TEXT("the question is too long"))
			: auth_socket_write(s, buf_str(&line), err);
	buf_finish_wipe(&line);
	return result;
}

// Lines that are no reply to us (a mechanism that comes later) are passed over.
static int read_reply(
	struct auth_socket *s, struct buf *in, struct auth_line_reply *r, struct error *err)
{
	for (;;) {
		struct str line;
		int result = read_line(s, in, &line, err);
		if (result)
			return result;
		result = auth_line_reply_read(line, r);
		buf_consume(in, line.len + 1);
		if (result == ERR_SYNTAX || (!result && r->outcome == AUTH_LINE_CONT))
			return error_set(err, ERR_SYNTAX, TEXT("what it answered is no answer"));
		if (!result && r->id == 1)
			return 0;
	}
}

static void take_reply(const struct auth_line_reply *r, struct auth_answer *out)
{
	const char *why = r->temporary	? TEXT("a temporary failure")
			  : r->disabled ? TEXT("the account is disabled")
			  : r->expired	? TEXT("the password has expired")
			  : r->authz	? TEXT("not authorised")
					: TEXT("Dovecot says no");

	if (r->outcome == AUTH_LINE_OK) {
		auth_answer_set(out, AUTH_YES, "%s", "");
		if (!str_copy(str_from(r->user), out->account, sizeof out->account))
			auth_answer_set(out, AUTH_CANNOT, TEXT("the account's name is too long"));
	} else if (r->reason[0]) {
		auth_answer_set(
			out, r->temporary ? AUTH_CANNOT : AUTH_NO, "%s: %s", why, r->reason);
	} else {
		auth_answer_set(out, r->temporary ? AUTH_CANNOT : AUTH_NO, "%s", why);
	}
}

static int ask(const struct config_source *s, const struct auth_question *q,
	struct auth_line_reply *reply, struct error *err)
{
	struct buf in = {.limit = AUTH_LINE_MAX + 1};
	struct auth_socket socket;
	char path[4096];
	int result;

	if (!str_copy(s->path, path, sizeof path))
		return error_set(err, ERR_LIMIT, TEXT("the path is too long"));
	result = auth_socket_open(&socket, path, s->timeout, err);
	if (result)
		return result;
	result = greet(&socket, &in, err);
	if (!result)
		result = send_request(s, &socket, q, err);
	if (!result)
		result = read_reply(&socket, &in, reply, err);
	auth_socket_close(&socket);
	buf_finish(&in);
	return result;
}

static void check(const struct config_source *s, void *state, const struct auth_question *q,
	struct auth_answer *out)
{
	struct auth_line_reply reply;
	struct error err;

	(void)state;
	if (q->ask != AUTH_ASK_PASSWORD)
		auth_answer_set(out, AUTH_CANNOT, TEXT("Dovecot is only asked for passwords"));
	else if (!auth_question_sound(q))
		auth_answer_set(out, AUTH_NO, TEXT("no name or password, or one with a NUL"));
	else if (ask(s, q, &reply, &err))
		auth_answer_set(out, AUTH_CANNOT, "Dovecot: %s", err.text);
	else
		take_reply(&reply, out);
}

static void advise(const struct config_source *s, struct config_findings *findings)
{
	char path[4096];

	if (str_copy(s->path, path, sizeof path))
		auth_socket_advise(s, path, SOURCE_USER, findings);
}

const struct auth_source_kind auth_source_dovecot = {
	.name = "dovecot",
	.where = AUTH_IN_SOURCE,
	.gives = gives,
	.check = check,
	.advise = advise,
};
