// SPDX-License-Identifier: ISC
// The session of the client: banner, EHLO, STARTTLS, QUIT, and the one place
// where replies are read. The transaction is in client_message.c.
#include "smtp/client.h"

#include "base/memory.h"
#include "base/text.h"
#include "smtp/client_internal.h"

#include <stdarg.h>
#include <stdio.h>

static unsigned reply_class(const struct smtp_client *c)
{
	return c->reader.reply.code / 100;
}

// Several lines to one; what would upset a log or a header becomes '?'.
static void one_line(struct str text, char *out, size_t out_size)
{
	size_t len = text.len < out_size ? text.len : out_size - 1;

	for (size_t i = 0; i < len; i++) {
		unsigned char u = (unsigned char)text.data[i];

		out[i] = u == '\n' || u == '\t' ? ' ' : u < 0x20 || u == 0x7f ? '?' : text.data[i];
	}
	out[len] = '\0';
}

void smtp_client_send(struct smtp_client *c, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	buf_add_vformat(&c->output, format, args); // has no bound
	va_end(args);
	buf_add_text(&c->output, "\r\n");
}

void smtp_client_judge(const struct smtp_client *c, struct smtp_result *out)
{
	const struct smtp_server_reply *r = &c->reader.reply;
	unsigned class = reply_class(c);

	memset(out, 0, sizeof(*out));
	out->outcome = class == 2 ? SMTP_DELIVERED : class == 5 ? SMTP_PERMANENT : SMTP_TEMPORARY;
	out->code = r->code;
	if (r->enhanced[0])
		memcpy(out->enhanced, r->enhanced, sizeof(out->enhanced));
	else
		snprintf(out->enhanced, sizeof(out->enhanced), "%c.0.0",
			class == 2 || class == 5 ? (int)('0' + class) : '4');
	one_line(buf_str(&r->text), out->text, sizeof(out->text));
}

void smtp_client_fail(struct smtp_client *c, const struct smtp_result *r, bool try_next)
{
	if (c->phase == PHASE_CLOSED)
		return;
	if (c->message || c->phase < PHASE_READY)
		c->try_next = try_next;
	c->failure = *r;
	c->failure_try_next = try_next;
	c->phase = PHASE_CLOSED;
	smtp_client_auth_wipe(c);
	if (c->message) {
		smtp_client_settle_all(c, r);
		smtp_client_end_transaction(c);
	}
}

void smtp_client_fail_text(
	struct smtp_client *c, const char *enhanced, const char *why, bool try_next)
{
	struct smtp_result r = {.outcome = SMTP_TEMPORARY};

	str_copy(str_from(enhanced), r.enhanced, sizeof(r.enhanced));
	one_line(str_from(why), r.text, sizeof(r.text));
	smtp_client_fail(c, &r, try_next);
}

void smtp_client_fail_unexpected(struct smtp_client *c)
{
	smtp_client_fail_text(c, "4.5.0", TEXT("the server sent a reply that does not fit here"),
		c->phase != PHASE_FINAL);
}

// The server refused to go on with the session; it is still in step, so say QUIT.
static void refused(struct smtp_client *c)
{
	struct smtp_result r;

	if (reply_class(c) == 3) {
		smtp_client_fail_unexpected(c);
		return;
	}
	smtp_client_judge(c, &r);
	smtp_client_send(c, "QUIT");
	smtp_client_fail(c, &r, true);
}

// ---- EHLO

static void say_hello(struct smtp_client *c)
{
	c->has = 0;
	c->mechanisms[0] = '\0';
	c->auth_stage = SMTP_AUTH_BEGIN;
	c->size_limit = 0;
	smtp_client_send(c, "%s %s", c->options.lmtp ? "LHLO" : "EHLO", c->helo);
	c->phase = PHASE_EHLO;
}

static void read_size(struct smtp_client *c, struct str arguments)
{
	if (str_to_u64(str_trim(arguments), &c->size_limit) < 0)
		c->size_limit = 0;
}

// "AUTH PLAIN LOGIN"
static void read_mechanisms(struct smtp_client *c, struct str arguments)
{
	static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
	size_t used = strlen(c->mechanisms);
	struct str name;

	while (str_split(&arguments, ' ', &name)) {
		// RFC 4422 3.1; what does not fit is nothing we know.
		if (!name.len || name.len > 20 || !str_only(name, letters) ||
			used + name.len + 2 > sizeof(c->mechanisms))
			continue;
		if (used)
			c->mechanisms[used++] = ' ';
		for (size_t i = 0; i < name.len; i++) {
			char letter = char_lower(name.data[i]);

			c->mechanisms[used++] =
				letter >= 'a' && letter <= 'z' ? (char)(letter - 'a' + 'A') : letter;
		}
		c->mechanisms[used] = '\0';
	}
}

static const struct {
	const char *keyword;
	unsigned has;
	void (*read)(struct smtp_client *c, struct str arguments);
} extensions[] = {
	{"PIPELINING", SMTP_HAS_PIPELINING, NULL},
	{"SIZE", SMTP_HAS_SIZE, read_size},
	{"8BITMIME", SMTP_HAS_8BITMIME, NULL},
	{"SMTPUTF8", SMTP_HAS_SMTPUTF8, NULL},
	{"DSN", SMTP_HAS_DSN, NULL},
	{"CHUNKING", SMTP_HAS_CHUNKING, NULL},
	{"STARTTLS", SMTP_HAS_STARTTLS, NULL},
	{"AUTH", SMTP_HAS_AUTH, read_mechanisms},
	{"ENHANCEDSTATUSCODES", SMTP_HAS_ENHANCED, NULL},
};

static void read_extension(struct smtp_client *c, struct str line)
{
	struct str keyword;

	if (str_starts_nocase(line, STR("AUTH="))) { // an old form, still seen
		read_mechanisms(c, str_skip(line, 5));
		c->has |= SMTP_HAS_AUTH;
		return;
	}
	if (!str_split(&line, ' ', &keyword))
		return;
	for (size_t i = 0; i < ARRAY_SIZE(extensions); i++) {
		if (!str_equal_nocase(keyword, str_from(extensions[i].keyword)))
			continue;
		c->has |= extensions[i].has;
		if (extensions[i].read && line.len)
			extensions[i].read(c, line);
	}
}

// Both EHLO and HELO are done: what comes before mail?
static void after_hello(struct smtp_client *c)
{
	bool starttls = !c->tls && !c->tls_refused && c->has & SMTP_HAS_STARTTLS;

	if (starttls && c->options.tls != SMTP_TLS_NEVER) {
		smtp_client_send(c, "STARTTLS");
		c->phase = PHASE_STARTTLS;
	} else if (!c->tls && c->options.tls == SMTP_TLS_REQUIRED) {
		smtp_client_send(c, "QUIT");
		smtp_client_fail_text(c, "4.7.4",
			c->tls_refused
				? TEXT("TLS is required, but the server refused STARTTLS")
				: TEXT("TLS is required, but the server does not offer STARTTLS"),
			true);
	} else if (c->options.authenticate) {
		c->phase = PHASE_AUTH_WAIT;
	} else {
		c->phase = PHASE_READY;
	}
}

static void on_ehlo(struct smtp_client *c)
{
	struct str rest = buf_str(&c->reader.reply.text), line;

	if (reply_class(c) == 5 && !c->options.lmtp) { // RFC 5321 3.2: the older HELO then
		smtp_client_send(c, "HELO %s", c->helo);
		c->phase = PHASE_HELO;
		return;
	}
	if (reply_class(c) != 2) {
		refused(c);
		return;
	}
	c->has = SMTP_HAS_ESMTP;
	str_split(&rest, '\n', &line); // the greeting
	while (str_split(&rest, '\n', &line))
		read_extension(c, str_trim(line));
	after_hello(c);
}

static void on_helo(struct smtp_client *c)
{
	if (reply_class(c) == 2)
		after_hello(c);
	else
		refused(c);
}

// ---- the other replies of the session

static void on_banner(struct smtp_client *c)
{
	struct str rest = buf_str(&c->reader.reply.text), line, name;

	if (str_split(&rest, '\n', &line) && str_split(&line, ' ', &name) &&
		str_find(name, '.') > 0 && name.len < sizeof(c->server))
		one_line(name, c->server, sizeof(c->server));
	if (reply_class(c) == 2)
		say_hello(c);
	else
		refused(c);
}

static void on_starttls(struct smtp_client *c)
{
	if (c->reader.reply.code == 220) {
		c->phase = PHASE_TLS;
	} else if (reply_class(c) == 4 || reply_class(c) == 5) {
		c->tls_refused = true;
		after_hello(c);
	} else {
		smtp_client_fail_unexpected(c);
	}
}

static void on_quit(struct smtp_client *c)
{
	c->phase = PHASE_CLOSED;
}

static const struct {
	enum smtp_client_want want;
	void (*on_reply)(struct smtp_client *c);
	bool lockstep; // one command was sent, nothing may come before it is gone
} phases[PHASES] = {
	[PHASE_BANNER] = {SMTP_WANT_REPLY, on_banner, true},
	[PHASE_EHLO] = {SMTP_WANT_REPLY, on_ehlo, true},
	[PHASE_HELO] = {SMTP_WANT_REPLY, on_helo, true},
	[PHASE_STARTTLS] = {SMTP_WANT_REPLY, on_starttls, true},
	[PHASE_TLS] = {SMTP_WANT_TLS, NULL, false},
	[PHASE_AUTH_WAIT] = {SMTP_WANT_AUTH, smtp_client_fail_unexpected, false},
	[PHASE_AUTH] = {SMTP_WANT_REPLY, smtp_client_on_auth, true},
	[PHASE_READY] = {SMTP_WANT_READY, smtp_client_fail_unexpected, false},
	[PHASE_MAIL] = {SMTP_WANT_REPLY, smtp_client_on_mail, true},
	[PHASE_RCPT] = {SMTP_WANT_REPLY, smtp_client_on_rcpt, true},
	[PHASE_DATA] = {SMTP_WANT_REPLY, smtp_client_on_data, true},
	[PHASE_BODY] = {SMTP_WANT_BODY, smtp_client_on_body, false},
	[PHASE_FINAL] = {SMTP_WANT_REPLY, smtp_client_on_final, false},
	[PHASE_LONE_DOT] = {SMTP_WANT_REPLY, smtp_client_on_lone_dot, true},
	[PHASE_RSET] = {SMTP_WANT_REPLY, smtp_client_on_rset, true},
	[PHASE_QUIT] = {SMTP_WANT_REPLY, on_quit, false},
	[PHASE_CLOSED] = {SMTP_WANT_CLOSE, NULL, false},
};

static void on_reply(struct smtp_client *c)
{
	const struct smtp_server_reply *r = &c->reader.reply;
	char text[SMTP_REPLY_TEXT_MAX];
	struct smtp_result result;

	one_line(buf_str(&r->text), text, sizeof(text));
	snprintf(c->last, sizeof(c->last), "%s said: %u%s%s %s",
		c->server[0] ? c->server : "server", r->code, r->enhanced[0] ? " " : "",
		r->enhanced, text);
	if (r->code == 421 && c->phase != PHASE_QUIT) { // RFC 5321 3.8: at any time
		smtp_client_judge(c, &result);
		smtp_client_fail(c, &result, true);
		return;
	}
	phases[c->phase].on_reply(c);
}

// What was sent is not at the server yet, so this cannot be an answer to it.
static bool spoke_early(const struct smtp_client *c)
{
	bool group = c->pipelined && c->phase >= PHASE_MAIL && c->phase <= PHASE_DATA;

	return phases[c->phase].lockstep && !group && buf_len(&c->output);
}

size_t smtp_client_input(struct smtp_client *c, struct str octets)
{
	enum smtp_reply_status status = SMTP_REPLY_READY;
	size_t used = 0, n;

	while (used < octets.len && status == SMTP_REPLY_READY && c->phase != PHASE_TLS &&
		c->phase != PHASE_CLOSED) {
		if (spoke_early(c)) {
			smtp_client_fail_text(
				c, "4.5.0", TEXT("the server spoke before it was asked"), true);
			break;
		}
		status =
			smtp_reply_read(&c->reader, str_skip(octets, used), &c->options.limits, &n);
		used += n;
		if (status == SMTP_REPLY_READY)
			on_reply(c);
		if (status == SMTP_REPLY_BROKEN)
			smtp_client_fail_text(c, "4.5.0",
				TEXT("what the server sent is no SMTP reply"),
				c->phase != PHASE_FINAL);
	}
	if (c->phase == PHASE_TLS && used < octets.len)
		smtp_client_fail_text(c, "4.7.0",
			TEXT("the server sent plain text behind its answer to STARTTLS"), true);
	return c->phase == PHASE_CLOSED ? octets.len : used;
}

// ---- the driver's side

struct smtp_client *smtp_client_create(const struct smtp_client_options *options)
{
	struct smtp_client *c = mem_alloc(sizeof(*c));

	c->options = *options;
	c->helo = str_dup(str_from(options->helo));
	c->options.helo = c->helo;
	c->tls = options->tls == SMTP_TLS_IMPLICIT;
	return c;
}

void smtp_client_destroy(struct smtp_client *c)
{
	if (!c)
		return;
	smtp_client_end_transaction(c);
	smtp_client_auth_wipe(c);
	smtp_reply_reader_finish(&c->reader);
	buf_finish_wipe(&c->output);
	mem_free(c->helo);
	mem_free(c);
}

struct buf *smtp_client_output(struct smtp_client *c)
{
	return &c->output;
}

enum smtp_client_want smtp_client_want(const struct smtp_client *c)
{
	return phases[c->phase].want;
}

void smtp_client_tls_done(struct smtp_client *c, bool verified)
{
	(void)verified; // the driver has decided by now
	if (c->phase != PHASE_TLS)
		return;
	c->tls = true;
	say_hello(c); // RFC 3207 4.2: what was offered in plain is forgotten
}

void smtp_client_quit(struct smtp_client *c)
{
	if (c->phase != PHASE_READY && c->phase != PHASE_AUTH_WAIT)
		return;
	smtp_client_send(c, "QUIT");
	c->phase = PHASE_QUIT;
}

void smtp_client_broken(struct smtp_client *c, const char *enhanced, const char *why)
{
	smtp_client_fail_text(c, enhanced, why, c->phase != PHASE_FINAL);
}

unsigned smtp_client_has(const struct smtp_client *c)
{
	return c->has;
}

uint64_t smtp_client_size_limit(const struct smtp_client *c)
{
	return c->size_limit;
}

bool smtp_client_tls_active(const struct smtp_client *c)
{
	return c->tls;
}

const struct smtp_result *smtp_client_failure(const struct smtp_client *c)
{
	return &c->failure;
}

bool smtp_client_try_next_host(const struct smtp_client *c)
{
	return c->try_next;
}

const char *smtp_client_last_reply(const struct smtp_client *c)
{
	return c->last;
}
