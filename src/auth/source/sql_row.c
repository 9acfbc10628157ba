// SPDX-License-Identifier: ISC
#include "auth/source/sql_row.h"

#include "auth/source/stored.h"
#include "base/memory.h"
#include "base/text.h"
#include "auth/authenticator.h"

enum { PASSWORD, SCRAM, CLEAR, ENABLED, RIGHTS, SUBMIT, RELAY, ACCOUNT, GID, COLUMNS };
static const char *const names[COLUMNS] = {[PASSWORD] = "password",
	[SCRAM] = "scram",
	[CLEAR] = "clear",
	[ENABLED] = "enabled",
	[RIGHTS] = "rights",
	[SUBMIT] = "submit",
	[RELAY] = "relay",
	[ACCOUNT] = "account",
	[GID] = "gid"};
_Static_assert(COLUMNS <= AUTH_SQL_COLUMNS, "there is room for each");

// The flags of pw_gid in vpopmail's tables.
#define VPOPMAIL_NO_RELAY 0x20
#define VPOPMAIL_NO_SMTP  0x800

void auth_sql_row_set(struct auth_sql_row *row, struct str column, struct str value)
{
	for (size_t i = 0; i < COLUMNS; i++) {
		if (!str_equal_nocase(column, str_from(names[i])))
			continue;
		row->columns[i].is_there = true;
		row->columns[i].is_null = !value.data;
		if (value.data &&
			!str_copy(value, row->columns[i].value, sizeof row->columns[i].value))
			row->cut = true;
		return;
	}
}

static struct str value(const struct auth_sql_row *row, int column)
{
	return str_from(row->columns[column].value);
}

static bool has(const struct auth_sql_row *row, int column)
{
	return row->columns[column].is_there;
}

// 0, 1, or -1: neither.
static int truth(struct str s)
{
	static const char *const no[] = {"", "0", "f", "false", "n", "no", "off", "disabled"};
	static const char *const yes[] = {"1", "t", "true", "y", "yes", "on", "enabled"};

	if (s.len == 1 && (s.data[0] == '\0' || s.data[0] == '\1')) // BIT(1)
		return s.data[0];
	for (size_t i = 0; i < ARRAY_SIZE(no); i++)
		if (str_equal_nocase(s, str_from(no[i])))
			return 0;
	for (size_t i = 0; i < ARRAY_SIZE(yes); i++)
		if (str_equal_nocase(s, str_from(yes[i])))
			return 1;
	return -1;
}

static bool read_truth(const struct auth_sql_row *row, int column, bool *out, struct auth_answer *a)
{
	int found = truth(value(row, column));

	*out = found == 1;
	if (found >= 0)
		return true;
	auth_answer_set(a, AUTH_CANNOT, TEXT("column %s is neither 0 nor 1"), names[column]);
	return false;
}

// ---- rights
static bool add_right(struct str word, uint32_t *rights)
{
	if (str_equal_nocase(word, STR("submit")))
		*rights |= AUTHENTICATOR_SUBMIT;
	else if (str_equal_nocase(word, STR("relay")))
		*rights |= AUTHENTICATOR_RELAY;
	else
		return !word.len;
	return true;
}

static bool read_words(const struct auth_sql_row *row, struct auth_answer *a)
{
	struct str rest = value(row, RIGHTS);

	while (rest.len) {
		size_t end = 0;
		while (end < rest.len && rest.data[end] != ' ' && rest.data[end] != ',')
			end++;
		if (!add_right(str_slice(rest, 0, end), &a->rights)) {
			auth_answer_set(a, AUTH_CANNOT,
				TEXT("column rights: \"submit\" and \"relay\" are expected"));
			return false;
		}
		rest = str_skip(rest, end + 1);
	}
	return true;
}

static bool read_rights(const struct auth_sql_row *row, struct auth_answer *a)
{
	bool submit = false, relay = false;

	a->has_rights = has(row, RIGHTS) || has(row, SUBMIT) || has(row, RELAY);
	if (has(row, SUBMIT) && !read_truth(row, SUBMIT, &submit, a))
		return false;
	if (has(row, RELAY) && !read_truth(row, RELAY, &relay, a))
		return false;
	a->rights = (submit ? AUTHENTICATOR_SUBMIT : 0) | (relay ? AUTHENTICATOR_RELAY : 0);
	return read_words(row, a);
}

static bool read_flags(const struct auth_sql_row *row, struct auth_answer *a)
{
	uint64_t flags;

	if (!has(row, GID))
		return true;
	if (str_to_u64(value(row, GID), &flags)) {
		auth_answer_set(a, AUTH_CANNOT, TEXT("column pw_gid is no number"));
		return false;
	}
	if (flags & VPOPMAIL_NO_SMTP) {
		auth_answer_set(a, AUTH_NO, TEXT("pw_gid forbids SMTP (flag no_smtp)"));
		return false;
	}
	a->has_rights = true;
	a->rights = AUTHENTICATOR_SUBMIT | (flags & VPOPMAIL_NO_RELAY ? 0 : AUTHENTICATOR_RELAY);
	return true;
}

// ---- the password
static int check_clear(struct str stored, struct str password)
{
	char with_scheme[AUTH_NAME_OCTETS + 8] = "{PLAIN}";
	int result;

	memcpy(with_scheme + 7, stored.data, stored.len);
	result = auth_stored_check(str_make(with_scheme, stored.len + 7), password);
	mem_wipe(with_scheme, sizeof with_scheme);
	return result;
}

static void check_password(
	const struct auth_sql_row *row, const struct auth_question *q, struct auth_answer *a)
{
	struct str stored = value(row, value(row, PASSWORD).len ? PASSWORD : SCRAM);
	int (*check)(struct str, struct str) = auth_stored_check;

	if (!stored.len) { // vpopmail's tables may hold the password alone
		stored = value(row, CLEAR);
		check = check_clear;
	}
	if (!stored.len) {
		auth_answer_set(a, AUTH_NO, TEXT("no password is stored"));
		return;
	}
	switch (check(stored, q->secret)) {
	case 0:
		auth_answer_set(a, AUTH_YES, "%s", "");
		return;
	case ERR_DENIED:
		auth_answer_set(a, AUTH_NO, TEXT("wrong password"));
		return;
	default:
		auth_answer_set(
			a, AUTH_CANNOT, TEXT("the stored password has a form that is not known"));
	}
}

static void look_up(const struct auth_sql_row *row, struct auth_answer *a)
{
	static const int order[] = {PASSWORD, SCRAM};
	bool given = false;

	for (size_t i = 0; i < ARRAY_SIZE(order); i++)
		if (value(row, order[i]).len)
			given |= auth_stored_give(value(row, order[i]), a);
	if (value(row, CLEAR).len)
		given |= str_copy(value(row, CLEAR), a->clear, sizeof a->clear);
	if (given)
		auth_answer_set(a, AUTH_YES, "%s", "");
	else
		auth_answer_set(
			a, AUTH_NO, TEXT("neither SCRAM keys nor the password itself are stored"));
}

void auth_sql_row_judge(
	const struct auth_sql_row *row, const struct auth_question *q, struct auth_answer *out)
{
	bool enabled = true;

	if (row->cut) {
		auth_answer_set(out, AUTH_CANNOT, TEXT("a column is longer than %d octets"),
			AUTH_NAME_OCTETS - 1);
		return;
	}
	if (!has(row, PASSWORD) && !has(row, SCRAM) && !has(row, CLEAR)) {
		auth_answer_set(out, AUTH_CANNOT, TEXT("the query gives no column named password"));
		return;
	}
	if (has(row, ENABLED) && !read_truth(row, ENABLED, &enabled, out))
		return;
	if (!enabled) {
		auth_answer_set(out, AUTH_NO, TEXT("disabled"));
		return;
	}
	if (!read_rights(row, out) || !read_flags(row, out))
		return;
	if (q->ask == AUTH_ASK_LOOKUP)
		look_up(row, out);
	else
		check_password(row, q, out);
	if (out->verdict == AUTH_YES &&
		!str_copy(value(row, ACCOUNT), out->account, sizeof out->account))
		auth_answer_set(out, AUTH_CANNOT, TEXT("column account is too long"));
}
