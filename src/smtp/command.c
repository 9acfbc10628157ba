// SPDX-License-Identifier: ISC
// Verbs and their arguments; the grammar of RFC 5321 4.1.1 with its extensions.
#include "smtp/command.h"

// What the extensions add to the line of MAIL (SIZE, BODY, SMTPUTF8, RET, ENVID,
// AUTH) and of RCPT (NOTIFY, ORCPT), octets.
#define MAIL_EXTRA 690
#define RCPT_EXTRA 540

static const char *const verb_names[SMTP_VERBS] = {
	[SMTP_UNKNOWN] = "UNKNOWN",
	[SMTP_HELO] = "HELO",
	[SMTP_EHLO] = "EHLO",
	[SMTP_LHLO] = "LHLO",
	[SMTP_STARTTLS] = "STARTTLS",
	[SMTP_AUTH] = "AUTH",
	[SMTP_MAIL] = "MAIL",
	[SMTP_RCPT] = "RCPT",
	[SMTP_DATA] = "DATA",
	[SMTP_BDAT] = "BDAT",
	[SMTP_RSET] = "RSET",
	[SMTP_NOOP] = "NOOP",
	[SMTP_VRFY] = "VRFY",
	[SMTP_EXPN] = "EXPN",
	[SMTP_HELP] = "HELP",
	[SMTP_QUIT] = "QUIT",
	[SMTP_ETRN] = "ETRN",
};

const char *smtp_verb_name(enum smtp_verb verb)
{
	return verb_names[verb];
}

size_t smtp_command_line_limit(struct str input, const struct smtp_limits *limits)
{
	if (str_starts_nocase(input, STR("MAIL ")))
		return limits->command_line + MAIL_EXTRA;
	if (str_starts_nocase(input, STR("RCPT ")))
		return limits->command_line + RCPT_EXTRA;
	return limits->command_line;
}

static void trim_end(struct str *s)
{
	while (s->len && (s->data[s->len - 1] == ' ' || s->data[s->len - 1] == '\t'))
		s->len--;
}

void smtp_command_parse(struct str line, struct smtp_command *out)
{
	ptrdiff_t space = str_find(line, ' ');
	size_t len = space < 0 ? line.len : (size_t)space;

	out->argument = str_skip(line, len);
	while (out->argument.len && out->argument.data[0] == ' ')
		out->argument = str_skip(out->argument, 1);
	trim_end(&out->argument);
	line = str_slice(line, 0, len);
	trim_end(&line);
	out->verb = SMTP_UNKNOWN;
	for (int i = SMTP_UNKNOWN + 1; i < SMTP_VERBS; i++)
		if (str_equal_nocase(line, str_from(verb_names[i])))
			out->verb = (enum smtp_verb)i;
}

// "FROM:<path>": what is behind the path goes to *out_rest.
static enum smtp_fault parse_path(struct str argument, struct str keyword, struct smtp_address *out,
	struct str *out_rest, struct str *out_offending)
{
	struct str s = argument;
	size_t used;

	memset(out, 0, sizeof(*out));
	*out_offending = argument;
	if (!str_starts_nocase(s, keyword))
		return SMTP_FAULT_SYNTAX;
	s = str_skip(s, keyword.len);
	while (s.len && s.data[0] == ' ') // not in the grammar, but common
		s = str_skip(s, 1);
	*out_offending = s;

	int err = smtp_address_parse_path(s, out, &used);

	if (err)
		return err == ERR_LIMIT ? SMTP_FAULT_TOO_LONG : SMTP_FAULT_ADDRESS;
	*out_rest = str_skip(s, used);
	*out_offending = str_slice(s, 0, used);
	if (!out_rest->len || out_rest->data[0] == ' ')
		return SMTP_FAULT_NONE;
	*out_offending = *out_rest;
	return SMTP_FAULT_SYNTAX;
}

static enum smtp_fault parameter_fault(int err)
{
	if (!err)
		return SMTP_FAULT_NONE;
	if (err == ERR_UNSUPPORTED)
		return SMTP_FAULT_PARAMETER_UNKNOWN;
	return err == ERR_LIMIT ? SMTP_FAULT_TOO_LONG : SMTP_FAULT_PARAMETER_VALUE;
}

enum smtp_fault smtp_command_parse_mail(struct str argument, struct smtp_address *out_sender,
	struct smtp_mail_parameters *out, struct str *out_offending)
{
	struct str rest;
	enum smtp_fault fault =
		parse_path(argument, STR("FROM:"), out_sender, &rest, out_offending);

	memset(out, 0, sizeof(*out));
	if (fault)
		return fault;
	if (out_sender->postmaster) // Reverse-path has no such form
		return SMTP_FAULT_ADDRESS;
	return parameter_fault(smtp_mail_parameters_parse(rest, out, out_offending));
}

enum smtp_fault smtp_command_parse_rcpt(struct str argument, struct smtp_address *out_recipient,
	struct smtp_rcpt_parameters *out, struct str *out_offending)
{
	struct str rest;
	enum smtp_fault fault =
		parse_path(argument, STR("TO:"), out_recipient, &rest, out_offending);

	memset(out, 0, sizeof(*out));
	if (fault)
		return fault;
	if (out_recipient->null)
		return SMTP_FAULT_ADDRESS;
	return parameter_fault(smtp_rcpt_parameters_parse(rest, out, out_offending));
}

enum smtp_fault smtp_command_parse_bdat(struct str argument, uint64_t *out_size, bool *out_last)
{
	struct str rest = argument, size;

	*out_size = 0;
	*out_last = false;
	if (!str_split(&rest, ' ', &size) || !size.len || !str_only(size, "0123456789"))
		return SMTP_FAULT_SYNTAX;
	rest = str_trim(rest);
	*out_last = str_equal_nocase(rest, STR("LAST"));
	if (rest.len && !*out_last)
		return SMTP_FAULT_SYNTAX;
	// 20 digits at most (RFC 3030 2); more octets than 64 bits count are never sent.
	return size.len > 20 || str_to_u64(size, out_size) < 0 ? SMTP_FAULT_TOO_LONG
							       : SMTP_FAULT_NONE;
}

enum smtp_fault smtp_command_parse_auth(
	struct str argument, char out_mechanism[21], struct str *out_initial)
{
	struct str rest = argument, mechanism;

	*out_initial = (struct str){0};
	out_mechanism[0] = '\0';
	if (!str_split(&rest, ' ', &mechanism) || !mechanism.len)
		return SMTP_FAULT_SYNTAX;
	if (mechanism.len > 20) // RFC 4422 3.1
		return SMTP_FAULT_TOO_LONG;
	if (!str_only(mechanism, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
				 "0123456789-_"))
		return SMTP_FAULT_SYNTAX;
	for (size_t i = 0; i < mechanism.len; i++) {
		char c = mechanism.data[i];

		out_mechanism[i] = c >= 'a' && c <= 'z' ? (char)(c - 'a' + 'A') : c;
	}
	out_mechanism[mechanism.len] = '\0';
	rest = str_trim(rest);
	if (!rest.len)
		return SMTP_FAULT_NONE;
	if (!str_only(rest, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/="))
		return SMTP_FAULT_SYNTAX;
	*out_initial = str_equal(rest, STR("=")) ? STR_EMPTY : rest;
	return SMTP_FAULT_NONE;
}

enum smtp_fault smtp_command_parse_helo(struct str argument, struct str *out_name)
{
	*out_name = argument;
	if (!argument.len)
		return SMTP_FAULT_SYNTAX;
	if (argument.len > DOMAIN_MAX)
		return SMTP_FAULT_TOO_LONG;
	for (size_t i = 0; i < argument.len; i++)
		if (argument.data[i] <= ' ' || argument.data[i] > '~')
			return SMTP_FAULT_SYNTAX;
	return SMTP_FAULT_NONE;
}
