// SPDX-License-Identifier: ISC
// vpopmail without a database: `path` is the folder of its domains, each with vpasswd.cdb or
// vpasswd. Where a domain lies and what it is an alias of is in qmail's users/cdb; without it,
// domains are the folders of `path`, and aliases are links there.
#include "auth/password.h"
#include "auth/source/kinds.h"
#include "auth/source/vpopmail.h"
#include "base/cdb.h"
#include "base/domain.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define USUAL_FOLDER "/home/vpopmail/domains"
#define USUAL_ASSIGN "/var/qmail/users/cdb"
#define FILE_MAX     (16 << 20) // of a vpasswd

// Where the users of a domain are.
struct place {
	char folder[PATH_MAX];
	char domain[DOMAIN_MAX + 1]; // of which the one asked for may be an alias
};

static unsigned gives(const struct config_source *s)
{
	return AUTH_GIVES_VERIFY | (s->cram ? AUTH_GIVES_CLEAR : 0);
}

// ---- the domain
static bool is_domain(struct str domain)
{
	return domain.len && domain.len <= DOMAIN_MAX && domain.data[0] != '.' &&
	       str_only(domain, "abcdefghijklmnopqrstuvwxyz0123456789.-_");
}

// The record of "!DOMAIN-": domain, uid, gid, folder and more, each ended by a NUL.
static int read_assign(struct str value, struct place *out)
{
	struct str field;

	for (int i = 0; i < 4; i++) {
		if (!str_split(&value, '\0', &field))
			return ERR_CORRUPT;
		if (i == 0 &&
			(!is_domain(field) || !str_copy(field, out->domain, sizeof out->domain)))
			return ERR_CORRUPT;
	}
	return str_starts(field, STR("/")) && str_copy(field, out->folder, sizeof out->folder)
		       ? 0
		       : ERR_CORRUPT;
}

static int find_assigned(const char *path, struct str domain, struct place *out, struct error *err)
{
	struct buf key = BUF_INIT, value = BUF_INIT;
	struct cdb cdb;
	int result = cdb_open(&cdb, AT_FDCWD, path);

	if (!result) {
		result = buf_add_format(&key, "!%.*s-", STR_ARG(domain));
		if (!result)
			result = cdb_find(&cdb, buf_str(&key), AUTH_VPOPMAIL_LINE, &value);
		if (!result)
			result = read_assign(buf_str(&value), out);
		cdb_close(&cdb);
	}
	buf_finish(&key);
	buf_finish(&value);
	if (result && result != ERR_NOT_FOUND)
		error_set(err, result, TEXT("cannot read %s: %s"), path, err_text(result));
	return result;
}

// The name behind the last slash of what a link of an alias leads to is its domain.
static int find_folder(struct str parent, struct str domain, struct place *out, struct error *err)
{
	char real[PATH_MAX], *slash;
	int n = snprintf(
		out->folder, sizeof out->folder, "%.*s/%.*s", STR_ARG(parent), STR_ARG(domain));

	if (n < 0 || (size_t)n >= sizeof out->folder)
		return error_set(err, ERR_LIMIT, TEXT("the path is too long"));
	if (!realpath(out->folder, real))
		return errno == ENOENT ? ERR_NOT_FOUND
				       : error_system(err, TEXT("cannot look at %s"), out->folder);
	slash = strrchr(real, '/');
	if (!slash || !is_domain(str_from(slash + 1)) ||
		!str_copy(str_from(slash + 1), out->domain, sizeof out->domain))
		return error_set(err, ERR_CORRUPT, TEXT("%s leads to no domain"), out->folder);
	return 0;
}

// A broken installation is not a name that nobody has.
static int check_parent(const struct config_source *s, struct error *err)
{
	char path[PATH_MAX];
	struct stat st;

	if (!str_copy(s->path.len ? s->path : STR(USUAL_FOLDER), path, sizeof path))
		return error_set(err, ERR_LIMIT, TEXT("the path is too long"));
	if (stat(path, &st) < 0 || access(path, X_OK) < 0) {
		error_system(err, TEXT("cannot use %s"), path);
		return ERR_UNAVAILABLE;
	}
	return 0;
}

static int find_domain(
	const struct config_source *s, struct str domain, struct place *out, struct error *err)
{
	char assign[PATH_MAX];
	struct str parent = s->path.len ? s->path : STR(USUAL_FOLDER);
	int result;

	if (!is_domain(domain))
		return ERR_NOT_FOUND;
	if (!str_copy(s->database.len ? s->database : STR(USUAL_ASSIGN), assign, sizeof assign))
		return error_set(err, ERR_LIMIT, TEXT("the path is too long"));
	result = find_assigned(assign, domain, out, err);
	if (result == ERR_NOT_FOUND)
		result = check_parent(s, err);
	else
		return result;
	return result ? result : find_folder(parent, domain, out, err);
}

// ---- the user
static bool newer(const struct stat *a, const struct stat *b)
{
	return a->st_mtim.tv_sec != b->st_mtim.tv_sec ? a->st_mtim.tv_sec > b->st_mtim.tv_sec
						      : a->st_mtim.tv_nsec > b->st_mtim.tv_nsec;
}

// vpasswd.cdb is made of vpasswd; one that was not made again after an edit is not asked.
static bool cdb_is_current(int folder)
{
	struct stat text, made;

	if (fstatat(folder, "vpasswd.cdb", &made, 0) < 0)
		return false;
	return fstatat(folder, "vpasswd", &text, 0) < 0 || !newer(&text, &made);
}

static int find_in_cdb(int folder, struct str name, struct buf *fields, struct buf *any)
{
	struct buf key = BUF_INIT;
	struct cdb cdb;
	uint64_t position = 0;
	int result = cdb_open(&cdb, folder, "vpasswd.cdb");

	if (result)
		return result == ERR_NOT_FOUND ? ERR_CORRUPT : result;
	result = cdb_find(&cdb, name, AUTH_VPOPMAIL_LINE, fields);
	if (result == ERR_NOT_FOUND)
		(void)cdb_next(&cdb, &position, AUTH_VPOPMAIL_LINE, &key, any);
	cdb_close(&cdb);
	buf_finish(&key);
	return result;
}

static int find_in_text(int folder, struct str name, struct buf *fields, struct buf *any)
{
	struct buf file = BUF_INIT;
	struct str found, other;
	int fd = openat(folder, "vpasswd", O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY), result;

	if (fd < 0)
		return errno == ENOENT ? ERR_CORRUPT : err_from_errno(errno);
	result = fd_read_all(fd, &file, FILE_MAX);
	fd_close(&fd);
	if (!result)
		result = auth_vpopmail_find(buf_str(&file), name, &found, &other);
	if (!result)
		result = buf_add_str(fields, found);
	else if (result == ERR_NOT_FOUND && other.data)
		(void)buf_add_str(any, other);
	buf_finish_wipe(&file);
	return result;
}

static uint32_t read_limits(int folder)
{
	struct buf text = BUF_INIT;
	uint32_t flags = 0;
	int fd = openat(folder, ".qmailadmin-limits", O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

	if (fd >= 0 && fd_read_all(fd, &text, 65536) == 0)
		flags = auth_vpopmail_limits_read(buf_str(&text));
	fd_close(&fd);
	buf_finish(&text);
	return flags;
}

// ERR_NOT_FOUND: no such user; what a check would have cost was spent then.
static int find_user(const struct place *p, struct str name, struct str secret,
	struct auth_vpopmail_user *out, uint32_t *limits)
{
	struct buf fields = BUF_INIT, any = BUF_INIT;
	int folder = open(p->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int result;

	if (folder < 0)
		return errno == ENOENT ? ERR_CORRUPT : err_from_errno(errno);
	*limits = read_limits(folder);
	result = cdb_is_current(folder) ? find_in_cdb(folder, name, &fields, &any)
					: find_in_text(folder, name, &fields, &any);
	if (!result)
		result = auth_vpopmail_user_read(buf_str(&fields), out);
	else if (result == ERR_NOT_FOUND && secret.len &&
		 auth_vpopmail_user_read(buf_str(&any), out) == 0 && out->hash[0])
		(void)password_check(secret, out->hash);
	fd_close(&folder);
	buf_finish_wipe(&fields);
	buf_finish_wipe(&any);
	return result;
}

// ---- the source
static void ask(const struct config_source *s, const struct auth_question *q, char *name,
	struct auth_answer *out)
{
	struct auth_vpopmail_user user;
	struct place place;
	struct error err = {0};
	uint32_t limits = 0;
	ptrdiff_t at;
	int result;

	str_lower(name, q->name.len);
	at = str_find_last(str_make(name, q->name.len), '@');
	if (at <= 0 || str_find(str_make(name, (size_t)at), ':') >= 0) {
		auth_answer_set(out, AUTH_UNKNOWN, TEXT("not a name with a domain"));
		return;
	}
	struct str local = str_make(name, (size_t)at), domain = str_from(name + at + 1);
	result = find_domain(s, domain, &place, &err);
	if (result) {
		auth_answer_set(out, result == ERR_NOT_FOUND ? AUTH_UNKNOWN : AUTH_CANNOT, "%s",
			result == ERR_NOT_FOUND ? TEXT("not a domain of vpopmail") : err.text);
		return;
	}
	result = find_user(&place, local, q->secret, &user, &limits);
	if (result == ERR_NOT_FOUND)
		auth_answer_set(out, AUTH_UNKNOWN, TEXT("no such user of vpopmail"));
	else if (result)
		auth_answer_set(out, AUTH_CANNOT, TEXT("cannot read the users in %s: %s"),
			place.folder, err_text(result));
	else if (q->ask == AUTH_ASK_LOOKUP)
		auth_vpopmail_user_lookup(&user, limits, out);
	else
		auth_vpopmail_user_check(&user, limits, q->secret, out);
	if (out->verdict == AUTH_YES)
		snprintf(
			out->account, sizeof out->account, "%.*s@%s", STR_ARG(local), place.domain);
	mem_wipe(&user, sizeof user);
}

static void check(const struct config_source *s, void *state, const struct auth_question *q,
	struct auth_answer *out)
{
	char name[AUTH_NAME_OCTETS];

	(void)state;
	if (q->ask != AUTH_ASK_PASSWORD && q->ask != AUTH_ASK_LOOKUP)
		auth_answer_set(out, AUTH_CANNOT, TEXT("vpopmail has nothing for this mechanism"));
	else if (q->ask == AUTH_ASK_PASSWORD && !auth_question_sound(q))
		auth_answer_set(out, AUTH_NO, TEXT("no name or password, or one with a NUL"));
	else if (!str_copy(q->name, name, sizeof name))
		auth_answer_set(out, AUTH_UNKNOWN, TEXT("not a name of vpopmail"));
	else
		ask(s, q, name, out);
}

static void advise(const struct config_source *s, struct config_findings *findings)
{
	struct error err;

	if (check_parent(s, &err))
		config_findings_add(findings, 'W', s->where.file, s->where.line, s->where.column,
			"%s", err.text);
}

const struct auth_source_kind auth_source_vpopmail = {
	.name = "vpopmail",
	.where = AUTH_IN_CHECKER,
	.gives = gives,
	.check = check,
	.advise = advise,
};
