// SPDX-License-Identifier: ISC
// What a system user wrote about his mail: ~/.forward or dot-qmail. Everything is read first; then
// programs, files and the mailbox are done one after the other, and only when all of them are done do
// addresses become recipients of their own: what is tried again was not forwarded yet.
#include "deliver/agent.h"

#include "base/memory.h"
#include "base/text.h"
#include "deliver/copy.h"
#include "deliver/dotqmail.h"
#include "deliver/forward.h"
#include "deliver/result.h"
#include "smtp/address.h"
#include "smtp/parameters.h"

#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>

#define FILE_LIMIT  65536
#define STEPS_MAX   100
#define CHILDREN_MAX 1000
#define INCLUDES_MAX 5

enum step_kind { STEP_COMMAND, STEP_FILE, STEP_MAILBOX };

struct plan {
	const struct agent *agent;
	struct deliver_job *job;
	struct deliver_recipient *recipient;
	struct {
		enum step_kind kind;
		char *text;
		size_t children;   // octets of the addresses before it
	} steps[STEPS_MAX];
	unsigned step_count;
	unsigned child_count;
	unsigned includes;         // open now
	struct str rest;           // DEFAULT of dot-qmail
	bool only_forwards;        // of dot-qmail
	bool refused;              // the recipient has its result
	char path[PATH_MAX];       // of the forward file
};

static void refuse(struct plan *p, const char *rule, const char *path, const char *why)
{
	p->refused = true;
	deliver_set_format(p->recipient, SMTP_TEMPORARY, 451, "4.3.5",
		TEXT("forward file of %s: %s: %.200s: %s"), p->recipient->address, rule, path, why);
}

static void finish(struct plan *p)
{
	for (unsigned i = 0; i < p->step_count; i++)
		mem_free(p->steps[i].text);
}

// ---- what is to be done

static void add_step(struct plan *p, enum step_kind kind, const char *text)
{
	const struct agent *a = p->agent;
	if (kind != STEP_MAILBOX && (!a->config->deliver.forward_commands || !a->has_shell)) {
		refuse(p, "forward-not-allowed", p->path,
			TEXT("programs and files are not allowed (forward-commands, /etc/shells)"));
	} else if (p->step_count == STEPS_MAX) {
		refuse(p, "forward-too-long", p->path, TEXT("too many programs and files"));
	} else {
		p->steps[p->step_count].kind = kind;
		p->steps[p->step_count].children = buf_len(&p->recipient->children);
		p->steps[p->step_count++].text = str_dup(str_from(text));
	}
}

static bool is_own(const struct plan *p, const struct smtp_address *parsed)
{
	const struct deliver_recipient *r = p->recipient;
	return str_equal_nocase(str_from(parsed->text), str_from(r->address)) ||
		str_equal_nocase(str_from(parsed->text), str_from(r->original));
}

// RFC 3461 5.2.7.3: what the sender wants to hear goes with it.
static bool child_orcpt(const struct deliver_recipient *r, char *out, size_t size)
{
	memcpy(out, "rfc822;", 8);
	return !smtp_xtext_encode(str_from(r->original), out + 7, size - 7);
}

static void add_child(struct plan *p, const struct smtp_address *parsed)
{
	struct deliver_recipient *r = p->recipient;
	char orcpt[SMTP_ORCPT_MAX + 1];
	struct ipc_child child = {.address = str_from(parsed->text),
		.domain = str_from(parsed->domain), .orcpt = str_from(r->orcpt), .notify = (uint8_t)r->notify};
	if (!child.orcpt.len && child_orcpt(r, orcpt, sizeof orcpt))
		child.orcpt = str_from(orcpt);
	if (p->child_count++ == CHILDREN_MAX || ipc_list_add_child(&r->children, &child))
		refuse(p, "forward-too-long", p->path, TEXT("too many addresses"));
}

// A bare name is one of the recipient's own domain. keep: "\kim" is the mailbox.
static void add_address(struct plan *p, const char *text, bool keep)
{
	char whole[SMTP_ADDRESS_MAX + DOMAIN_MAX];
	struct smtp_address parsed;
	snprintf(whole, sizeof whole, "%s%s%s", text, strchr(text, '@') ? "" : "@",
		strchr(text, '@') ? "" : p->recipient->domain);
	if (strlen(text) >= SMTP_ADDRESS_MAX || smtp_address_parse(str_from(whole), &parsed) || parsed.null)
		refuse(p, "forward-broken", p->path, TEXT("an address in it is none"));
	else if (is_own(p, &parsed) || (keep && str_equal_nocase(str_from(parsed.local),
		str_from(p->agent->user))))
		add_step(p, STEP_MAILBOX, "");
	else
		add_child(p, &parsed);
}

// ---- sendmail

static void read_forward(struct plan *p, struct str text);

static void include(struct plan *p, const char *path)
{
	struct buf text = BUF_INIT;
	struct error err = {0};
	int result;
	if (p->includes == INCLUDES_MAX) {
		refuse(p, "forward-too-long", path, TEXT("files include each other"));
		return;
	}
	result = safe_read(&p->agent->owner, path, FILE_LIMIT, &text, NULL, &err);
	if (result) {
		refuse(p, "unsafe-forward", path, err.text[0] ? err.text : TEXT("there is no such file"));
	} else {
		p->includes++;
		read_forward(p, buf_str(&text));
		p->includes--;
	}
	buf_finish(&text);
}

static void read_forward(struct plan *p, struct str text)
{
	struct forward_entry e;
	while (!p->refused && forward_next(&text, &e)) {
		if (e.kind == FORWARD_WRONG)
			refuse(p, "forward-broken", p->path, TEXT("a line in it cannot be read"));
		else if (e.kind == FORWARD_INCLUDE)
			include(p, e.text);
		else if (e.kind == FORWARD_COMMAND || e.kind == FORWARD_FILE)
			add_step(p, e.kind == FORWARD_COMMAND ? STEP_COMMAND : STEP_FILE, e.text);
		else
			add_address(p, e.text, e.kind == FORWARD_KEEP);
	}
}

// 0: read (or refused). ERR_NOT_FOUND: there is none.
static int open_forward(struct plan *p, const char *name, struct buf *text, mode_t *mode)
{
	struct error err = {0};
	int n = snprintf(p->path, sizeof p->path, "%s/%s", p->agent->home, name);
	if (n < 0 || (size_t)n >= sizeof p->path)
		return ERR_NOT_FOUND;
	int result = safe_read(&p->agent->owner, p->path, FILE_LIMIT, text, mode, &err);
	if (result == ERR_NOT_FOUND)
		return result;
	if (result)
		refuse(p, "unsafe-forward", p->path, err.text);
	return 0;
}

static int plan_forward(struct plan *p)
{
	struct buf text = BUF_INIT;
	const char *detail = p->recipient->detail;
	char name[300];
	int result = ERR_NOT_FOUND;
	snprintf(name, sizeof name, ".forward+%s", detail);
	if (*detail && strlen(detail) < 200 && !strchr(detail, '/'))
		result = open_forward(p, name, &text, NULL);
	if (result)
		result = open_forward(p, ".forward", &text, NULL);
	if (!result && !p->refused)
		read_forward(p, buf_str(&text));
	buf_finish(&text);
	return result;
}

// ---- qmail

static void read_dotqmail(struct plan *p, struct str text)
{
	struct dotqmail_line line;
	bool first = true;
	char path[PATH_MAX];
	while (!p->refused && dotqmail_next(&text, &first, &line)) {
		bool local = line.kind == DOTQMAIL_COMMAND || line.kind == DOTQMAIL_MBOX ||
			line.kind == DOTQMAIL_MAILDIR;
		p->only_forwards = p->only_forwards || line.kind == DOTQMAIL_LIST;
		if (line.kind == DOTQMAIL_WRONG)
			refuse(p, "forward-broken", p->path, TEXT("a line in it cannot be read"));
		else if (local && p->only_forwards)
			refuse(p, "forward-not-allowed", p->path,
				TEXT("a program or file where only addresses may be (x bit, +list)"));
		else if (line.kind == DOTQMAIL_COMMAND)
			add_step(p, STEP_COMMAND, line.text);
		else if (line.kind == DOTQMAIL_FORWARD)
			add_address(p, line.text, false);
		else if (local) {
			bool home = line.text[0] == '.';
			snprintf(path, sizeof path, "%s%s%s", home ? p->agent->home : "", home ? "/" : "",
				line.text);
			add_step(p, STEP_FILE, path);
		}
	}
}

// qmail-local(8): a home that is being changed, or that others may change, says nothing now.
static bool home_is_fit(struct plan *p)
{
	struct stat st;
	if (stat(p->agent->home, &st) < 0)
		refuse(p, "no-home", p->agent->home, TEXT("it is not there"));
	else if (st.st_mode & S_IWOTH)
		refuse(p, "unsafe-forward", p->agent->home, TEXT("it is writable by everybody"));
	else if (st.st_mode & S_ISVTX)
		refuse(p, "forward-not-now", p->agent->home,
			TEXT("its sticky bit says that forward files are being edited"));
	return !p->refused;
}

static int find_dotqmail(struct plan *p, struct buf *text, mode_t *mode)
{
	struct str extension = str_from(p->recipient->detail);
	char name[300];
	int result = ERR_NOT_FOUND;
	for (unsigned n = 0; result == ERR_NOT_FOUND &&
		dotqmail_name(extension, n, name, sizeof name, &p->rest); n++)
		result = open_forward(p, name, text, mode);
	return result;
}

// 0: planned, refused, or there is no such mailbox. ERR_NOT_FOUND: the usual delivery.
static int plan_dotqmail(struct plan *p)
{
	struct buf text = BUF_INIT;
	mode_t mode = 0;
	if (!home_is_fit(p))
		return 0;
	int result = find_dotqmail(p, &text, &mode);
	if (result && p->recipient->detail[0]) {
		p->refused = true;
		deliver_set_format(p->recipient, SMTP_PERMANENT, 550, "5.1.1",
			TEXT("there is no mailbox %s here"), p->recipient->original);
		result = 0;
	} else if (!result && !p->refused && !buf_len(&text)) {
		result = ERR_NOT_FOUND; // an empty one says nothing
	} else if (!result && !p->refused) {
		p->only_forwards = mode & S_IXUSR;
		read_dotqmail(p, buf_str(&text));
	}
	buf_finish(&text);
	return result;
}

// ---- doing it

static void do_step(struct plan *p, unsigned i, const struct config_delivery *d, bool *stop)
{
	const char *text = p->steps[i].text;
	enum agent_style style = d->forward == CONFIG_FORWARD_QMAIL ? AGENT_QMAIL : AGENT_SENDMAIL;
	if (p->steps[i].kind == STEP_COMMAND)
		agent_command(p->agent, text, style, p->rest, p->job, p->recipient, stop);
	else if (p->steps[i].kind == STEP_FILE)
		agent_into_file(p->agent, text, p->job, p->recipient);
	else
		agent_into_mailbox(p->agent, d, p->job, p->recipient);
}

static void do_all(struct plan *p, const struct config_delivery *d)
{
	struct buf *children = &p->recipient->children;
	bool stop = false, kept = false, good = true;
	deliver_set_result(p->recipient, SMTP_DELIVERED, 250, "2.1.5",
		TEXT("done as the forward file says"));
	for (unsigned i = 0; i < p->step_count && good && !stop; i++) {
		if (p->steps[i].kind == STEP_MAILBOX && kept)
			continue;
		kept = kept || p->steps[i].kind == STEP_MAILBOX;
		do_step(p, i, d, &stop);
		good = p->recipient->result.outcome == SMTP_DELIVERED;
		if (stop) // what stands before it is done, addresses included
			children->end = children->start + p->steps[i].children;
	}
	if (!good)
		buf_finish(children);
}

bool agent_forward(const struct agent *a, const struct config_delivery *d, struct deliver_job *job,
	struct deliver_recipient *r)
{
	struct plan p = {.agent = a, .job = job, .recipient = r};
	int result = d->forward == CONFIG_FORWARD_QMAIL ? plan_dotqmail(&p) : plan_forward(&p);
	// One that is empty, or has only comments: sendmail takes it for none, qmail throws the mail away.
	if (!result && !p.refused && d->forward == CONFIG_FORWARD_SENDMAIL && !p.step_count && !p.child_count)
		result = ERR_NOT_FOUND;
	if (!result && !p.refused && deliver_has_passed(job, deliver_shown_address(r))) {
		deliver_set_format(r, SMTP_PERMANENT, 554, "5.4.6",
			TEXT("mail-loop: the message has been delivered to %s before"), r->address);
		p.refused = true;
	}
	if (!result && !p.refused)
		do_all(&p, d);
	if (p.refused)
		buf_finish(&r->children);
	finish(&p);
	return !result;
}
