// SPDX-License-Identifier: ISC
#include "auth/source/poppasswd.h"

#include "auth/password.h"
#include "auth/source/kinds.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

// ---- the stored form
void auth_poppasswd_value_read(struct str value, struct auth_poppasswd *out)
{
	struct str hash = {NULL, 0};

	out->clear = (struct str){NULL, 0};
	out->hash[0] = '\0';
	out->locked = value.len == 0 || value.data[0] == '!' || value.data[0] == '*';
	if (str_starts_nocase(value, STR("{CRYPT}")))
		hash = str_skip(value, 7);
	else if (str_starts_nocase(value, STR("{PLAIN}")))
		out->clear = str_skip(value, 7);
	else if (str_starts(value, STR("$")))
		hash = value;
	else
		out->clear = value;
	if (hash.data && !str_copy(hash, out->hash, sizeof out->hash))
		out->locked = true;
	if (!hash.len && !out->clear.len)
		out->locked = true;
}

int auth_poppasswd_check(const struct auth_poppasswd *stored, struct str secret)
{
	if (stored->hash[0]) {
		int result = password_check(secret, stored->hash);
		return !stored->found ? ERR_NOT_FOUND : stored->locked ? ERR_DENIED : result;
	}
	if (!stored->found)
		return ERR_NOT_FOUND;
	if (stored->locked || !stored->clear.len || stored->clear.len != secret.len)
		return ERR_DENIED;
	return mem_equal_secret(stored->clear.data, secret.data, secret.len) ? 0 : ERR_DENIED;
}

// ---- the file
static bool take_line(struct str *rest, struct str *name, struct str *value)
{
	struct str line;

	while (str_split(rest, '\n', &line)) {
		ptrdiff_t colon = str_find(line, ':');
		if (line.len && line.data[line.len - 1] == '\r')
			line.len--;
		if (colon <= 0 || line.len > AUTH_POPPASSWD_LINE || line.data[0] == '#' ||
			str_find(line, '\0') >= 0)
			continue;
		*name = str_slice(line, 0, (size_t)colon);
		*value = str_skip(line, (size_t)colon + 1);
		return true;
	}
	return false;
}

void auth_poppasswd_find(
	struct str file, struct str name, struct str bare, struct auth_poppasswd *out)
{
	struct str who, value, any = {NULL, 0};

	memset(out, 0, sizeof *out);
	while (take_line(&file, &who, &value)) {
		if (str_equal(who, name) || str_equal(who, bare)) {
			auth_poppasswd_value_read(value, out);
			out->found = true;
			return;
		}
		if (!any.data && str_starts(value, STR("$")))
			any = value;
	}
	if (any.data)
		auth_poppasswd_value_read(any, out);
}

static int open_file(struct str path, int *fd, struct error *err)
{
	char name[4096];
	struct stat st;

	if (!str_copy(path, name, sizeof name))
		return error_set(err, ERR_LIMIT, TEXT("the path is too long"));
	*fd = open(name, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (*fd < 0)
		return error_system(err, TEXT("cannot open %s"), name);
	if (fstat(*fd, &st) < 0)
		return error_system(err, TEXT("cannot look at %s"), name);
	if (!S_ISREG(st.st_mode))
		return error_set(err, ERR_DENIED, TEXT("%s is no file"), name);
	if (st.st_mode & (S_IRWXO | S_IWGRP))
		return error_set(err, ERR_DENIED,
			TEXT("others can read or write %s: chmod 600 (or 640 for a group) makes it "
			     "usable"),
			name);
	return 0;
}

static int read_file(struct str path, struct buf *out, struct error *err)
{
	int fd = -1, result = open_file(path, &fd, err);

	if (!result) {
		result = fd_read_all(fd, out, AUTH_POPPASSWD_OCTETS);
		if (result)
			error_set(err, result, TEXT("cannot read the file: %s"), err_text(result));
	}
	fd_close(&fd);
	return result;
}

// ---- the source
static unsigned gives(const struct config_source *s)
{
	return AUTH_GIVES_VERIFY | (s->cram ? AUTH_GIVES_CLEAR : 0);
}

static void answer_check(
	const struct auth_poppasswd *stored, struct str secret, struct auth_answer *out)
{
	int result = auth_poppasswd_check(stored, secret);

	if (result == 0)
		auth_answer_set(out, AUTH_YES, "%s", "");
	else if (result == ERR_NOT_FOUND)
		auth_answer_set(out, AUTH_UNKNOWN, TEXT("no such name in the file"));
	else if (result == ERR_UNSUPPORTED)
		auth_answer_set(
			out, AUTH_CANNOT, TEXT("this machine does not know the kind of hash"));
	else
		auth_answer_set(out, AUTH_NO, "%s",
			stored->locked ? TEXT("the account is locked") : TEXT("wrong password"));
}

static void answer_lookup(const struct auth_poppasswd *stored, struct auth_answer *out)
{
	if (!stored->found)
		auth_answer_set(out, AUTH_UNKNOWN, TEXT("no such name in the file"));
	else if (stored->locked)
		auth_answer_set(out, AUTH_NO, TEXT("the account is locked"));
	else if (!stored->clear.data || !str_copy(stored->clear, out->clear, sizeof out->clear))
		auth_answer_set(out, AUTH_NO, TEXT("the file has a hash, not the password itself"));
	else
		auth_answer_set(out, AUTH_YES, "%s", "");
}

static void check(const struct config_source *s, void *state, const struct auth_question *q,
	struct auth_answer *out)
{
	struct auth_poppasswd stored;
	struct buf file = BUF_INIT;
	struct error err;

	(void)state;
	if (q->ask != AUTH_ASK_PASSWORD && q->ask != AUTH_ASK_LOOKUP) {
		auth_answer_set(out, AUTH_CANNOT, TEXT("a file has nothing for this mechanism"));
		return;
	}
	if (read_file(s->path, &file, &err)) {
		auth_answer_set(out, AUTH_CANNOT, "%s", err.text);
	} else {
		auth_poppasswd_find(buf_str(&file), q->name, auth_question_bare(q), &stored);
		if (q->ask == AUTH_ASK_LOOKUP)
			answer_lookup(&stored, out);
		else
			answer_check(&stored, q->secret, out);
		mem_wipe(&stored, sizeof stored);
	}
	buf_finish_wipe(&file);
}

static void advise(const struct config_source *s, struct config_findings *findings)
{
	struct error err;
	int fd = -1;

	if (open_file(s->path, &fd, &err))
		config_findings_add(findings, 'W', s->where.file, s->where.line, s->where.column,
			"%s", err.text);
	fd_close(&fd);
}

const struct auth_source_kind auth_source_poppasswd = {
	.name = "poppasswd",
	.where = AUTH_IN_CHECKER,
	.gives = gives,
	.check = check,
	.advise = advise,
};
