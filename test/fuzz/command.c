// SPDX-License-Identifier: ISC
// A stream of command lines: the same lines come out however it is cut, and what
// the parsers of arguments take is what they promise.
#include "fuzz.h"
#include "smtp/command.h"
#include "smtp/line.h"

#define LIMIT 600

static void check_path(const struct smtp_address *a)
{
	CHECK(a->null == !a->text[0]);
	CHECK(a->null || a->postmaster || a->domain[0]);
	CHECK(!has_control(str_from(a->text)));
}

static void check_mail(struct str argument)
{
	struct smtp_mail_parameters p;
	struct smtp_address a;
	struct str offending;

	if (smtp_command_parse_mail(argument, &a, &p, &offending) == SMTP_FAULT_NONE) {
		check_path(&a);
		CHECK(smtp_xtext_valid(str_from(p.envid)));
	}
	CHECK(offending.len <= argument.len);
}

static void check_rcpt(struct str argument)
{
	struct smtp_rcpt_parameters p;
	struct smtp_address a;
	struct str offending;

	if (smtp_command_parse_rcpt(argument, &a, &p, &offending) == SMTP_FAULT_NONE) {
		check_path(&a);
		CHECK(!a.null);
		CHECK(!(p.notify & SMTP_NOTIFY_NEVER) || p.notify == SMTP_NOTIFY_NEVER);
	}
	CHECK(offending.len <= argument.len);
}

static void check_bdat(struct str argument)
{
	uint64_t size;
	bool last;

	if (smtp_command_parse_bdat(argument, &size, &last) == SMTP_FAULT_NONE) {
		char again[40];
		uint64_t size_again;
		bool last_again;

		snprintf(again, sizeof(again), "%llu%s", (unsigned long long)size,
			last ? " LAST" : "");
		CHECK(!smtp_command_parse_bdat(str_from(again), &size_again, &last_again));
		CHECK(size_again == size && last_again == last);
	}
}

static void check_auth(struct str argument)
{
	char mechanism[21];
	struct str initial;

	if (smtp_command_parse_auth(argument, mechanism, &initial) == SMTP_FAULT_NONE) {
		CHECK(mechanism[0] && strlen(mechanism) <= 20);
		CHECK(!has_control(initial));
	}
}

static void check_helo(struct str argument)
{
	struct str name;

	if (smtp_command_parse_helo(argument, &name) == SMTP_FAULT_NONE)
		CHECK(name.len && name.len <= 255 && !has_control(name) && str_is_ascii(name));
}

static void (*const checks[SMTP_VERBS])(struct str argument) = {
	[SMTP_HELO] = check_helo,
	[SMTP_EHLO] = check_helo,
	[SMTP_LHLO] = check_helo,
	[SMTP_MAIL] = check_mail,
	[SMTP_RCPT] = check_rcpt,
	[SMTP_BDAT] = check_bdat,
	[SMTP_AUTH] = check_auth,
};

static void check_line(struct str line)
{
	struct str copy = exact_copy(line);
	struct smtp_command c;

	CHECK(!has_bare_line_end(copy) && str_search(copy, STR("\r\n")) < 0);
	CHECK(str_find(copy, '\0') < 0);
	smtp_command_parse(copy, &c);
	CHECK(c.verb >= SMTP_UNKNOWN && c.verb < SMTP_VERBS);
	CHECK(c.argument.len <= copy.len);
	if (checks[c.verb])
		checks[c.verb](c.argument);
	free((char *)copy.data);
}

// Writes what comes out of the stream, cut into pieces of step octets, to trace.
static void read_lines(struct str input, size_t step, struct buf *trace)
{
	struct smtp_line l = {0};
	size_t from = 0, to = 0, used;
	struct str line;

	while (to < input.len) {
		enum smtp_line_status status = SMTP_LINE_READY;

		to = input.len - to < step ? input.len : to + step;
		while (status != SMTP_LINE_MORE) {
			struct str rest = str_slice(input, from, to);

			status = smtp_line_take(&l, rest, LIMIT, &line, &used);
			CHECK(used <= rest.len);
			CHECK(status == SMTP_LINE_MORE || used >= 1);
			from += used;
			if (status == SMTP_LINE_READY) {
				CHECK(line.len + 2 == used && used <= LIMIT);
				check_line(line);
				buf_add_str(trace, line);
			}
			buf_add_format(trace, "|%d ", status == SMTP_LINE_MORE ? 0 : status);
			if (status == SMTP_LINE_MORE)
				trace->end -= 3; // how often we had to wait is not compared
		}
		CHECK(to - from < LIMIT);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str input = str_make(data, size);
	struct buf whole = BUF_INIT, pieces = BUF_INIT;

	read_lines(input, size ? size : 1, &whole);
	read_lines(input, 1, &pieces);
	CHECK(str_equal(buf_str(&whole), buf_str(&pieces)));
	check_mail(input);
	check_rcpt(input);
	buf_finish(&whole);
	buf_finish(&pieces);
	return 0;
}
