// SPDX-License-Identifier: ISC
#include "deliver/agent.h"

#include "base/file.h"
#include "base/text.h"
#include "deliver/copy.h"
#include "deliver/maildir.h"
#include "deliver/mbox.h"
#include "deliver/result.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>

#define LOCK_WAIT_MS 30000

static bool is_system_user(const struct agent *a)
{
	return a->home[0] != '\0';
}

// ---- Maildir

static struct maildir_options maildir_options(const struct agent *a, const char *pattern)
{
	// Names of settings end with a NUL behind them.
	return (struct maildir_options){.pattern = pattern, .home = is_system_user(a) ? a->home : NULL,
		.hostname = a->config->hostname.data, .known = a->known, .quota = a->quota};
}

static void into_maildir(const struct agent *a, const char *pattern, struct deliver_job *job,
	struct deliver_recipient *r)
{
	struct maildir_options o = maildir_options(a, pattern);
	maildir_deliver(&o, job, r);
}

static bool add_literally(struct buf *pattern, struct str path)
{
	for (size_t i = 0; i < path.len; i++)
		if ((path.data[i] == '%' && buf_add_char(pattern, '%')) || buf_add_char(pattern, path.data[i]))
			return false;
	return true;
}

static void into_maildir_at(const struct agent *a, const char *path, struct deliver_job *job,
	struct deliver_recipient *r)
{
	struct buf pattern = {.limit = 2 * PATH_MAX};
	struct str name = str_from(path);
	struct error err = {0};
	while (name.len > 1 && name.data[name.len - 1] == '/')
		name.len--;
	if (safe_folders(&a->owner, path, &err) && err.code != ERR_NOT_FOUND)
		deliver_set_format(r, SMTP_TEMPORARY, 451, "4.2.0",
			TEXT("mailbox of %s: unsafe-mailbox: %s"), r->address, err.text);
	else if (add_literally(&pattern, name))
		into_maildir(a, buf_cstr(&pattern), job, r);
	buf_finish(&pattern);
}

// ---- mbox

// configured: it is the one that the configuration gives him. The group of the mailboxes makes that one and
// its lock, and nothing that a user names: "/var/mail/lee", or "/var/mail/lee.lock".
static void into_mbox(const struct agent *a, const char *path, bool configured, struct deliver_job *job,
	struct deliver_recipient *r)
{
	const struct mbox_options o = {.owner = a->owner, .quota = a->quota,
		.lock_wait_ms = LOCK_WAIT_MS, .uses_group = configured, .makes_folders = !is_system_user(a)};
	mbox_deliver(&o, path, job, r);
}

static int expand_path(const struct agent *a, const char *pattern, const char *address, struct buf *out)
{
	struct str whole = str_from(address), rest = str_from(pattern);
	ptrdiff_t at = str_find_last(whole, '@');
	struct str local = str_slice(whole, 0, at < 0 ? whole.len : (size_t)at);
	struct str domain = at < 0 ? STR_EMPTY : str_skip(whole, (size_t)at + 1);
	int err = 0;
	while (rest.len && !err) {
		char c = rest.len > 1 && rest.data[0] == '%' ? rest.data[1] : '\0';
		if (c == 'h')
			err = buf_add_text(out, a->home);
		else if (c == 'u' || c == 'd')
			err = file_name_encode(c == 'u' ? local : domain, out);
		else
			err = buf_add_char(out, rest.data[0]);
		rest = str_skip(rest, c ? 2 : 1);
	}
	return err;
}

static void into_mbox_of(const struct agent *a, struct str pattern, struct deliver_job *job,
	struct deliver_recipient *r)
{
	struct buf path = {.limit = PATH_MAX - 1};
	if (expand_path(a, pattern.data, r->address, &path))
		deliver_set_result(r, SMTP_PERMANENT, 553, "5.1.3",
			TEXT("the address makes no mailbox name"));
	else
		into_mbox(a, buf_cstr(&path), true, job, r);
	buf_finish(&path);
}

static bool is_configured_mbox(const struct agent *a, const char *path, const struct deliver_recipient *r)
{
	struct buf own = {.limit = PATH_MAX - 1};
	struct config_delivery d =
		config_delivery_for(a->config, str_from(r->domain), r->kind == IPC_TARGET_USER);
	bool same = r->kind == IPC_TARGET_USER && d.kind == CONFIG_DELIVER_MBOX &&
		!expand_path(a, d.path.data, r->address, &own) && !strcmp(path, buf_cstr(&own));
	buf_finish(&own);
	return same;
}

// ---- which

void agent_into_file(const struct agent *a, const char *path, struct deliver_job *job,
	struct deliver_recipient *r)
{
	size_t len = strlen(path);
	if (len > 1 && path[len - 1] == '/')
		into_maildir_at(a, path, job, r);
	else
		into_mbox(a, path, is_configured_mbox(a, path, r), job, r);
}

void agent_into_mailbox(const struct agent *a, const struct config_delivery *d, struct deliver_job *job,
	struct deliver_recipient *r)
{
	if (d->kind == CONFIG_DELIVER_PROGRAM)
		agent_program(a, &d->program, job, r);
	else if (d->kind == CONFIG_DELIVER_MBOX)
		into_mbox_of(a, d->path, job, r);
	else
		into_maildir(a, d->path.len ? d->path.data : a->state_maildir, job, r);
}

// ---- how full

static int mbox_usage(const struct agent *a, const char *pattern, const char *address,
	const struct quota_limits *l, struct quota_usage *out)
{
	struct buf path = {.limit = PATH_MAX - 1};
	int err = expand_path(a, pattern, address, &path);
	int fd = err ? -1 : open(buf_cstr(&path), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd >= 0)
		err = quota_count(a->quota, l, QUOTA_MBOX, fd, out);
	else if (!err)
		err = errno == ENOENT ? 0 : ERR_SYSTEM;
	fd_close(&fd);
	buf_finish(&path);
	return err;
}

int agent_usage(const struct agent *a, const char *address, const struct quota_limits *l, bool anew,
	struct quota_usage *out)
{
	const char *at = strrchr(address, '@');
	struct config_delivery d = config_delivery_for(a->config, str_from(at ? at + 1 : ""), false);
	struct maildir_options o = maildir_options(a, d.path.len ? d.path.data : a->state_maildir);
	*out = (struct quota_usage){0};
	if (d.kind == CONFIG_DELIVER_MAILDIR)
		return maildir_usage(&o, address, l, anew, out);
	return d.kind == CONFIG_DELIVER_MBOX ? mbox_usage(a, d.path.data, address, l, out) : 0;
}

// ---- one recipient

static bool has_home(const struct agent *a, struct deliver_recipient *r)
{
	struct stat st;
	if (!is_system_user(a) || (stat(a->home, &st) == 0 && S_ISDIR(st.st_mode)))
		return true;
	deliver_set_format(r, SMTP_TEMPORARY, 451, "4.2.0",
		TEXT("mailbox of %s: no-home: the folder %s is not there"), r->address, a->home);
	return false;
}

static void to_mailbox(const struct agent *a, struct deliver_job *job, struct deliver_recipient *r)
{
	struct config_delivery d =
		config_delivery_for(a->config, str_from(r->domain), r->kind == IPC_TARGET_USER);
	if (!has_home(a, r))
		return;
	if (d.forward != CONFIG_FORWARD_NONE && is_system_user(a) && agent_forward(a, &d, job, r))
		return;
	if (d.kind == CONFIG_DELIVER_PROGRAM && deliver_has_passed(job, deliver_shown_address(r)))
		deliver_set_format(r, SMTP_PERMANENT, 554, "5.4.6",
			TEXT("mail-loop: the message has been delivered to %s before"), r->address);
	else
		agent_into_mailbox(a, &d, job, r);
}

// The queue says of what kind a recipient is, and may have been taken over: what is a command, or for a
// user, is nothing in the rights of the mailboxes.
static bool is_for(const struct agent *a, const struct deliver_recipient *r)
{
	switch (r->kind) {
	case IPC_TARGET_MAILBOX:
		return !a->does_aliases && !is_system_user(a);
	case IPC_TARGET_USER:
		return is_system_user(a);
	case IPC_TARGET_PROGRAM:
		return a->does_aliases && a->config->aliases_programs && r->address[0] == '|';
	case IPC_TARGET_FILE:
		return a->does_aliases && a->config->aliases_programs && r->address[0] == '/';
	}
	return false;
}

void agent_deliver(const struct agent *a, struct deliver_job *job, struct deliver_recipient *r)
{
	bool of_alias = r->kind == IPC_TARGET_PROGRAM || r->kind == IPC_TARGET_FILE;
	if (!is_for(a, r))
		deliver_set_result(r, SMTP_TEMPORARY, 451, "4.3.0",
			TEXT("the queue gave a job for somebody else"));
	else if (!of_alias)
		to_mailbox(a, job, r);
	else if (deliver_has_passed(job, deliver_shown_address(r)))
		deliver_set_format(r, SMTP_PERMANENT, 554, "5.4.6",
			TEXT("mail-loop: the message has been delivered to %s before"), r->original);
	else if (r->kind == IPC_TARGET_FILE)
		agent_into_file(a, r->address, job, r);
	else
		agent_command(a, r->address + 1, AGENT_SENDMAIL, STR_EMPTY, job, r, NULL);
}
