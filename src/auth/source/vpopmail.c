// SPDX-License-Identifier: ISC
// Users as vpopmail stores them: reading and judging. Where they are is not decided here.
#include "auth/source/vpopmail.h"

#include "auth/authenticator.h"
#include "auth/password.h"
#include "base/memory.h"
#include "base/text.h"

enum { FIELD_HASH, FIELD_UID, FIELD_FLAGS, FIELD_GECOS, FIELD_FOLDER, FIELD_QUOTA, FIELD_CLEAR };

static int read_flags(struct str text, uint32_t *out)
{
	uint64_t value = 0;

	if (text.len && (str_to_u64(text, &value) || value > UINT32_MAX))
		return ERR_SYNTAX;
	*out = (uint32_t)value;
	return 0;
}

int auth_vpopmail_user_read(struct str fields, struct auth_vpopmail_user *out)
{
	struct str field;
	int err = fields.len > AUTH_VPOPMAIL_LINE ? ERR_SYNTAX : 0;

	memset(out, 0, sizeof *out);
	for (int i = FIELD_HASH; !err && i < FIELD_CLEAR; i++) {
		if (!str_split(&fields, ':', &field))
			return i > FIELD_FLAGS ? 0 : ERR_SYNTAX;
		if (i == FIELD_HASH && !str_copy(field, out->hash, sizeof out->hash))
			err = ERR_SYNTAX;
		if (i == FIELD_FLAGS)
			err = read_flags(field, &out->flags);
	}
	// The last field: a password may have colons of its own.
	if (!err && fields.data && !str_copy(fields, out->clear, sizeof out->clear))
		err = ERR_SYNTAX;
	return err;
}

int auth_vpopmail_find(
	struct str file, struct str name, struct str *out_fields, struct str *out_any)
{
	struct str line;

	*out_any = *out_fields = (struct str){NULL, 0};
	while (str_split(&file, '\n', &line)) {
		ptrdiff_t colon = str_find(line, ':');
		if (colon <= 0 || line.len > AUTH_VPOPMAIL_LINE)
			continue;
		if (line.data[line.len - 1] == '\r')
			line.len--;
		*out_fields = str_skip(line, (size_t)colon + 1);
		if (str_equal_nocase(str_slice(line, 0, (size_t)colon), name))
			return 0;
		if (!out_any->data && str_starts(*out_fields, STR("$")))
			*out_any = *out_fields;
	}
	*out_fields = (struct str){NULL, 0};
	return ERR_NOT_FOUND;
}

uint32_t auth_vpopmail_limits_read(struct str text)
{
	struct str line;
	uint32_t flags = 0;

	while (str_split(&text, '\n', &line)) {
		size_t end = 0;
		line = str_trim(line);
		while (end < line.len && !strchr(" \t:", line.data[end]))
			end++;
		struct str word = str_slice(line, 0, end);
		if (str_equal(word, STR("disable_smtp")))
			flags |= AUTH_VPOPMAIL_NO_SMTP;
		else if (str_equal(word, STR("disable_relay")) ||
			 str_equal(word, STR("disable_external_relay")))
			flags |= AUTH_VPOPMAIL_NO_RELAY;
	}
	return flags;
}

static uint32_t flags_of(const struct auth_vpopmail_user *u, uint32_t limits)
{
	return u->flags & AUTH_VPOPMAIL_OVERRIDE ? u->flags : u->flags | limits;
}

void auth_vpopmail_user_check(const struct auth_vpopmail_user *u, uint32_t limits,
	struct str secret, struct auth_answer *out)
{
	uint32_t flags = flags_of(u, limits);
	struct str clear = str_from(u->clear);
	int result = u->hash[0] ? password_check(secret, u->hash) : ERR_DENIED;

	if (result == ERR_UNSUPPORTED && clear.len)
		result = clear.len == secret.len &&
					 mem_equal_secret(clear.data, secret.data, clear.len)
				 ? 0
				 : ERR_DENIED;
	if (result == ERR_UNSUPPORTED) {
		auth_answer_set(
			out, AUTH_CANNOT, TEXT("this machine does not know the kind of hash"));
	} else if (result) {
		auth_answer_set(out, AUTH_NO, "%s",
			u->hash[0] ? TEXT("wrong password")
				   : TEXT("vpopmail has no password for it"));
	} else if (flags & AUTH_VPOPMAIL_NO_SMTP) {
		auth_answer_set(out, AUTH_NO, TEXT("vpopmail forbids it SMTP (NO_SMTP)"));
	} else {
		auth_answer_set(out, AUTH_YES, "%s", "");
		out->has_rights = true;
		out->rights = AUTHENTICATOR_SUBMIT |
			      (flags & AUTH_VPOPMAIL_NO_RELAY ? 0 : AUTHENTICATOR_RELAY);
	}
}

void auth_vpopmail_user_lookup(
	const struct auth_vpopmail_user *u, uint32_t limits, struct auth_answer *out)
{
	uint32_t flags = flags_of(u, limits);

	if (!u->hash[0])
		auth_answer_set(out, AUTH_NO, TEXT("vpopmail has no password for it"));
	else if (flags & AUTH_VPOPMAIL_NO_SMTP)
		auth_answer_set(out, AUTH_NO, TEXT("vpopmail forbids it SMTP (NO_SMTP)"));
	else if (!u->clear[0] || !str_copy(str_from(u->clear), out->clear, sizeof out->clear))
		auth_answer_set(out, AUTH_NO, TEXT("vpopmail has a hash, not the password itself"));
	else {
		auth_answer_set(out, AUTH_YES, "%s", "");
		out->has_rights = true;
		out->rights = AUTHENTICATOR_SUBMIT |
			      (flags & AUTH_VPOPMAIL_NO_RELAY ? 0 : AUTHENTICATOR_RELAY);
	}
}
