// SPDX-License-Identifier: ISC
// Parameters that are taken can be written again and read back to the same; xtext
// turns into octets and back.
#include "fuzz.h"
#include "smtp/parameters.h"

static const char *const bodies[] = {"7BIT", "8BITMIME", "BINARYMIME"};
static const char *const rets[] = {"", " RET=FULL", " RET=HDRS"};
static const char *const notifies[] = {"NEVER", "SUCCESS", "FAILURE", "DELAY"};

static void check_mail(struct str input)
{
	struct smtp_mail_parameters p, again;
	struct buf text = BUF_INIT;
	struct str offending;

	if (smtp_mail_parameters_parse(input, &p, &offending) == 0) {
		CHECK(!offending.len);
		if (p.has_size)
			buf_add_format(&text, " SIZE=%llu", (unsigned long long)p.size);
		buf_add_format(&text, " BODY=%s%s%s", bodies[p.body], rets[p.ret],
			p.smtputf8 ? " SMTPUTF8" : "");
		if (p.envid[0])
			buf_add_format(&text, " ENVID=%s", p.envid);
		if (p.has_auth)
			buf_add_text(&text, " AUTH=<>");
		CHECK(!has_control(buf_str(&text)));
		CHECK(smtp_mail_parameters_parse(buf_str(&text), &again, &offending) == 0);
		CHECK(p.has_size == again.has_size && p.size == again.size && p.body == again.body);
		CHECK(p.smtputf8 == again.smtputf8 && p.ret == again.ret);
		CHECK(p.has_auth == again.has_auth && !strcmp(p.envid, again.envid));
	}
	buf_finish(&text);
}

static void check_rcpt(struct str input)
{
	struct smtp_rcpt_parameters p, again;
	struct buf text = BUF_INIT;
	struct str offending;

	if (smtp_rcpt_parameters_parse(input, &p, &offending) == 0) {
		for (unsigned i = 0; i < 4; i++)
			if (p.notify & 1U << i)
				buf_add_format(&text, "%s%s",
					buf_len(&text) ? "," : " NOTIFY=", notifies[i]);
		if (p.orcpt[0])
			buf_add_format(&text, " ORCPT=%s", p.orcpt);
		CHECK(!has_control(buf_str(&text)) && str_is_utf8(buf_str(&text)));
		CHECK(smtp_rcpt_parameters_parse(buf_str(&text), &again, &offending) == 0);
		CHECK(p.notify == again.notify && !strcmp(p.orcpt, again.orcpt));
	}
	buf_finish(&text);
}

static void check_xtext(struct str input)
{
	size_t size = 3 * input.len + 1;
	char *text = malloc(size), *back = malloc(size);

	if (smtp_xtext_decode(input, text, size) == 0) {
		CHECK(smtp_xtext_valid(input) && strlen(text) <= input.len);
		CHECK(smtp_xtext_encode(str_from(text), back, size) == 0);
		CHECK(strlen(back) <= 3 * input.len);
	}
	CHECK(smtp_xtext_encode(input, text, size) == 0);
	CHECK(smtp_xtext_valid(str_from(text)) && !has_control(str_from(text)));
	if (str_find(input, '\0') < 0) {
		CHECK(smtp_xtext_decode(str_from(text), back, size) == 0);
		CHECK(str_equal(str_from(back), input));
	}
	free(text);
	free(back);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str input = exact_copy(str_make(data, size));

	check_mail(input);
	check_rcpt(input);
	check_xtext(input);
	free((char *)input.data);
	return 0;
}
