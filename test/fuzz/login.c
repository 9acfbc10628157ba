// SPDX-License-Identifier: ISC
// A login against a host that challenges with anything, and token files and answers of endpoints.
// The input is a choice, then challenges, a NUL behind each. No secret leaves without TLS, and no
// SCRAM is content with a host that cannot know the password.
#include "deliver/login.h"
#include "deliver/token.h"
#include "fuzz.h"

static const char *const offers[] = {"SCRAM-SHA-256-PLUS SCRAM-SHA-256", "SCRAM-SHA-256", "SCRAM-SHA-1",
	"SCRAM-SHA-512", "CRAM-MD5", "PLAIN", "LOGIN", "OAUTHBEARER", "XOAUTH2", "EXTERNAL"};

static void log_in(unsigned choice, struct str input)
{
	static const char nonce[] = "rOprNGfwEbeRWgbNEkqO";
	const struct str external = str_from("EXTERNAL");
	const char *offered = offers[choice % ARRAY_SIZE(offers)];
	struct login_options o = {.user = "user", .password = STR("pencil"), .has_token = true,
		.certificate = true, .host = "smart.example", .port = 587, .nonce = nonce};
	struct buf out = BUF_INIT;
	struct error err = {0};
	struct str challenge;

	if (!strcmp(offered, "EXTERNAL")) {
		o.wanted = &external;
		o.wanted_count = 1;
	}
	struct login *l = login_create(&o);
	if (choice & 0x80)
		login_set_secured(l, "tls-exporter", choice & 0x40 ? STR("binding") : STR_EMPTY);
	const char *name = login_choose(l, offered, &err);
	CHECK(name || err.text[0]);
	if (!name)
		goto out;
	CHECK(choice & 0x80 || !strncmp(name, "SCRAM", 5) || !strcmp(name, "CRAM-MD5"));
	if (login_needs_token(l))
		login_set_token(l, STR("token"));
	login_start(l, &out);
	while (str_split(&input, '\0', &challenge)) {
		struct str piece = exact_copy(challenge);
		buf_clear(&out);
		int result = login_answer(l, piece, &out, &err);
		free((char *)piece.data);
		CHECK(!result || err.text[0]);
		CHECK(!has_control(str_from(err.text)));
		CHECK(buf_len(&out) < 32768);
		if (result)
			break;
	}
	// Only by the signature of RFC 7677 3 could it be.
	if (!strncmp(name, "SCRAM", 5) && login_accepted(l, &err) == 0)
		CHECK(!strcmp(name, "SCRAM-SHA-256"));
	(void)login_refused(l, 535);
out:
	login_destroy(l);
	buf_finish(&out);
}

static void read_token(struct str json)
{
	static const char known[] = "{\"refresh_token\":\"r\",\"token_endpoint\":\"https://x/\"}";
	struct token t;
	struct error err = {0};
	struct buf out = BUF_INIT;

	if (!token_parse(json, &t, &err)) {
		if (token_can_renew(&t))
			token_make_question(&t, &out);
		token_render(&t, &out);
		token_finish(&t);
	} else {
		CHECK(err.text[0] && !has_control(str_from(err.text)));
	}
	CHECK(!token_parse(str_from(known), &t, &err));
	if (token_take_answer(&t, json.len % 2 ? 200 : 400, json, 1, &err))
		CHECK(!has_control(str_from(err.text)));
	else
		CHECK(token_is_fresh(&t, 0) || t.expires_ms);
	token_finish(&t);
	buf_finish(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (!size)
		return 0;
	if (data[0] == 0xff)
		read_token(str_make(data + 1, size - 1));
	else
		log_in(data[0], str_make(data + 1, size - 1));
	return 0;
}
