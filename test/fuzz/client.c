// SPDX-License-Identifier: ISC
// The client against a server that says anything. The input is options, then what
// the server says; a NUL ends what comes in one piece. Fed whole or octet by octet the
// client says the same; it sends no bare CR or LF and leaves no recipient without result.
#include "fuzz.h"
#include "smtp/client.h"

#define RECIPIENTS 3
#define UNSET	   0x5a5a

struct run {
	struct smtp_client *c;
	struct smtp_client_message message;
	struct smtp_client_recipient recipients[RECIPIENTS];
	unsigned messages;
	bool initial;
	struct buf said;
};

static void start_message(struct run *r)
{
	static const char *const addresses[] = {
		"a@example.org", "\"b c\"@example.org", "김@example.org"};

	r->message = (struct smtp_client_message){.sender = "kim@example.kr",
		.size = 100,
		.eightbit = true,
		.envid = "E1",
		.recipients = r->recipients,
		.recipient_count = 2 + r->messages % 2,
		.ret = SMTP_RET_FULL};
	for (unsigned i = 0; i < RECIPIENTS; i++) {
		r->recipients[i] = (struct smtp_client_recipient){
			.address = addresses[i], .notify = SMTP_NOTIFY_DELAY, .orcpt = "rfc822;x"};
		r->recipients[i].result.code = UNSET;
	}
	smtp_client_message(r->c, &r->message);
	r->messages++;
}

static void check_results(struct run *r)
{
	for (unsigned i = 0; i < r->message.recipient_count; i++) {
		const struct smtp_result *result = &r->recipients[i].result;

		CHECK(result->code != UNSET);
		CHECK(result->outcome != SMTP_DELIVERED || result->code / 100 == 2);
		CHECK(result->outcome != SMTP_PERMANENT || result->code / 100 == 5 ||
			!result->code);
		CHECK(result->enhanced[0] == "245"[result->outcome]);
		CHECK(!has_control(str_from(result->text)));
	}
}

static void take_output(struct run *r)
{
	struct buf *out = smtp_client_output(r->c);

	CHECK(!has_bare_line_end(buf_str(out)));
	buf_add_str(&r->said, buf_str(out));
	buf_consume(out, buf_len(out));
}

static void drive_auth(struct run *r)
{
	switch (smtp_client_auth_stage(r->c)) {
	case SMTP_AUTH_BEGIN:
		CHECK(!has_control(str_from(smtp_client_auth_mechanisms(r->c))));
		smtp_client_auth_start(r->c, "PLAIN", r->initial ? STR("\0kim\0secret") : (struct str){0});
		break;
	case SMTP_AUTH_CHALLENGE:
		if (smtp_client_auth_challenge(r->c).len % 2)
			smtp_client_auth_cancel(r->c);
		else
			smtp_client_auth_answer(r->c, STR("answer"));
		break;
	case SMTP_AUTH_ACCEPTED:
		smtp_client_auth_done(r->c);
		break;
	case SMTP_AUTH_REFUSED:
		smtp_client_auth_fail(r->c, "4.7.8", "words");
		break;
	}
}

// What a driver does once nothing more comes in.
static void drive(struct run *r)
{
	take_output(r);
	switch (smtp_client_want(r->c)) {
	case SMTP_WANT_TLS:
		smtp_client_tls_done(r->c, false);
		break;
	case SMTP_WANT_AUTH:
		drive_auth(r);
		break;
	case SMTP_WANT_READY:
		check_results(r);
		if (r->messages < 3)
			start_message(r);
		else
			smtp_client_quit(r->c);
		break;
	case SMTP_WANT_BODY:
		smtp_client_body_sent(r->c);
		break;
	case SMTP_WANT_CLOSE:
	case SMTP_WANT_REPLY:
		break;
	}
	take_output(r);
}

static void feed(struct run *r, struct str octets, bool trickle)
{
	size_t len = trickle && octets.len ? 1 : octets.len;

	while (len <= octets.len && octets.len) {
		struct str piece = exact_copy(str_slice(octets, 0, len));
		size_t used = smtp_client_input(r->c, piece);

		free((char *)piece.data);
		CHECK(used <= len);
		octets = str_skip(octets, used);
		len = len - used + (trickle ? 1 : octets.len + 1);
	}
}

static void run(unsigned flags, struct str input, bool trickle, struct buf *trace)
{
	struct smtp_client_options options = {.lmtp = flags & 1,
		.authenticate = flags & 2,
		.tls = (enum smtp_client_tls)(flags >> 2 & 3),
		.helo = "me.example.kr",
		.limits = smtp_limits_default};
	struct run r = {.initial = flags & 16};
	struct str burst;

	r.c = smtp_client_create(&options);
	while (str_split(&input, '\0', &burst)) {
		feed(&r, burst, trickle);
		drive(&r);
	}
	smtp_client_broken(r.c, "4.4.2", "lost");
	CHECK(smtp_client_want(r.c) == SMTP_WANT_CLOSE);
	if (!r.messages)
		start_message(&r);
	check_results(&r);
	take_output(&r);
	buf_add_str(trace, buf_str(&r.said));
	for (unsigned i = 0; i < r.message.recipient_count; i++)
		buf_add_format(trace, "%d %u %s %s\n", r.recipients[i].result.outcome,
			r.recipients[i].result.code, r.recipients[i].result.enhanced,
			r.recipients[i].result.text);
	buf_add_format(trace, "%d %s", smtp_client_try_next_host(r.c), smtp_client_last_reply(r.c));
	smtp_client_destroy(r.c);
	buf_finish(&r.said);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buf whole = BUF_INIT, pieces = BUF_INIT;

	if (!size)
		return 0;
	run(data[0], str_make(data + 1, size - 1), false, &whole);
	run(data[0], str_make(data + 1, size - 1), true, &pieces);
	CHECK(str_equal(buf_str(&whole), buf_str(&pieces)));
	buf_finish(&whole);
	buf_finish(&pieces);
	return 0;
}
