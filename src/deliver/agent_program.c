// SPDX-License-Identifier: ISC
// What a program for one recipient is told: its arguments, never read by a shell, and an environment as
// sendmail, procmail and qmail-command(8) have it.
#include "deliver/agent.h"

#include "base/memory.h"
#include "base/text.h"
#include "deliver/copy.h"
#include "deliver/pipe.h"
#include "deliver/result.h"
#include "message/trace.h"

#include <stdio.h>

#define WORDS_MAX 64
#define SPACE_MAX 32768

// Texts in a row, and pointers to them.
struct words {
	struct buf space;
	size_t offsets[WORDS_MAX];
	char *pointers[WORDS_MAX + 1];
	unsigned count;
	bool full;
};

static void finish_words(struct words *w)
{
	buf_finish(&w->space);
}

static bool begin_word(struct words *w)
{
	w->full = w->full || w->count == WORDS_MAX;
	if (!w->full)
		w->offsets[w->count++] = buf_len(&w->space);
	return !w->full;
}

static void add_octet(struct words *w, char c)
{
	w->full = w->full || buf_add_char(&w->space, c);
}

static char *const *list_of(struct words *w)
{
	for (unsigned i = 0; i < w->count; i++)
		w->pointers[i] = w->space.data + w->space.start + w->offsets[i];
	w->pointers[w->count] = NULL;
	return w->pointers;
}

// ---- the parts of an address

struct parts {
	struct str local, domain;
};

static struct parts split(const char *address)
{
	struct str whole = str_from(address);
	ptrdiff_t at = str_find_last(whole, '@');
	return (struct parts){str_slice(whole, 0, at < 0 ? whole.len : (size_t)at),
		at < 0 ? STR_EMPTY : str_skip(whole, (size_t)at + 1)};
}

// ---- environment

// What a careless script may hand to a shell: nothing in an address may mean something there.
static bool is_harmless(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
		(unsigned char)c >= 0x80 || (c && strchr("!@%-_=+:,./#", c));
}

enum care { CARE_NONE, CARE_WORD };

static void set(struct words *w, const char *name, struct str value, enum care care)
{
	if (!begin_word(w))
		return;
	for (const char *p = name; *p; p++)
		add_octet(w, *p);
	add_octet(w, '=');
	for (size_t i = 0; i < value.len; i++)
		if (value.data[i])
			add_octet(w, care == CARE_WORD && !is_harmless(value.data[i]) ? '_' :
				value.data[i]);
	add_octet(w, '\0');
}

// A whole field with a line end of the system.
static void set_field(struct words *w, const char *name, const struct buf *field)
{
	struct buf line = {.limit = 4096};
	struct str s = buf_str(field);
	for (size_t i = 0; i < s.len; i++)
		if (s.data[i] != '\r')
			(void)buf_add_char(&line, s.data[i]);
	set(w, name, buf_str(&line), CARE_NONE);
	buf_finish(&line);
}

static void set_fields(struct words *w, const struct deliver_job *job, const struct deliver_recipient *r)
{
	struct buf path = {.limit = 4096}, to = {.limit = 4096};
	char from[600];
	if (!trace_add_return_path(&path, str_from(job->sender)))
		set_field(w, "RPLINE", &path);
	if (!trace_add_delivered_to(&to, str_from(deliver_shown_address(r))))
		set_field(w, "DTLINE", &to);
	deliver_from_line(job->sender, from, sizeof from);
	set(w, "UFLINE", str_from(from), CARE_NONE);
	buf_finish(&path);
	buf_finish(&to);
}

// HOST2 is HOST before its last dot, HOST3 before the last but one; EXT2 is EXT behind its first dash.
static void set_rests(struct words *w, struct str host, struct str extension)
{
	static const char *const hosts[] = {"HOST2", "HOST3", "HOST4"};
	static const char *const extensions[] = {"EXT2", "EXT3", "EXT4"};
	for (size_t i = 0; i < ARRAY_SIZE(hosts); i++) {
		ptrdiff_t dot = str_find_last(host, '.'), dash = str_find(extension, '-');
		host = dot < 0 ? STR_EMPTY : str_slice(host, 0, (size_t)dot);
		extension = dash < 0 ? STR_EMPTY : str_skip(extension, (size_t)dash + 1);
		set(w, hosts[i], host, CARE_WORD);
		set(w, extensions[i], extension, CARE_WORD);
	}
}

static void make_environment(struct words *w, const struct agent *a, struct str rest,
	const struct deliver_job *job, const struct deliver_recipient *r)
{
	struct parts to = split(r->original);
	struct str sender = str_from(job->sender), detail = str_from(r->detail);
	w->space.limit = SPACE_MAX;
	set(w, "PATH", STR("/usr/local/bin:/usr/bin:/bin"), CARE_NONE);
	set(w, "SHELL", STR("/bin/sh"), CARE_NONE);
	set(w, "LANG", STR("C"), CARE_NONE);
	set(w, "HOME", str_from(a->home[0] ? a->home : "/"), CARE_NONE);
	set(w, "USER", str_from(a->user), CARE_NONE);
	set(w, "LOGNAME", str_from(a->user), CARE_NONE);
	set(w, "SENDER", sender, CARE_WORD);
	set(w, "NEWSENDER", sender, CARE_WORD);
	set(w, "RECIPIENT", str_from(r->original), CARE_WORD);
	set(w, "ORIGINAL_RECIPIENT", str_from(r->original), CARE_WORD);
	set(w, "LOCAL", to.local, CARE_WORD);
	set(w, "HOST", to.domain, CARE_WORD);
	set(w, "DOMAIN", to.domain, CARE_WORD);
	set(w, "EXT", detail, CARE_WORD);
	set(w, "EXTENSION", detail, CARE_WORD);
	set(w, "DEFAULT", rest, CARE_WORD);
	set_rests(w, to.domain, detail);
	set_fields(w, job, r);
}

// ---- arguments

static struct str value_of(char letter, const struct agent *a, const struct deliver_job *job,
	const struct deliver_recipient *r)
{
	struct parts to = split(r->address);
	switch (letter) {
	case 'u':
		return to.local;
	case 'd':
		return to.domain;
	case 'a':
		return str_from(r->address);
	case 'h':
		return str_from(a->home);
	case 's':
		return job->sender[0] ? str_from(job->sender) : STR("MAILER-DAEMON");
	case 't':
		return str_from(r->detail);
	default:
		return STR("%");
	}
}

// False: it would be taken for an option, which only the configuration may give.
static bool add_argument(struct words *w, struct str pattern, const struct agent *a,
	const struct deliver_job *job, const struct deliver_recipient *r)
{
	bool written = pattern.len && pattern.data[0] == '-';
	size_t start = buf_len(&w->space);
	if (!begin_word(w))
		return true;
	while (pattern.len) {
		char c = pattern.len > 1 && pattern.data[0] == '%' ? pattern.data[1] : '\0';
		struct str value = c ? value_of(c, a, job, r) : str_slice(pattern, 0, 1);
		for (size_t i = 0; i < value.len; i++)
			add_octet(w, value.data[i]);
		pattern = str_skip(pattern, c ? 2 : 1);
	}
	add_octet(w, '\0');
	return w->full || written || w->space.data[w->space.start + start] != '-';
}

static void run(const struct agent *a, struct pipe_program *p, struct words *arguments, struct str rest,
	struct deliver_job *job, struct deliver_recipient *r, bool *out_stop)
{
	struct words environment = {.count = 0};
	make_environment(&environment, a, rest, job, r);
	if (arguments->full || environment.full) {
		deliver_set_result(r, SMTP_PERMANENT, 554, "5.3.5",
			TEXT("the arguments of the program are too long"));
	} else {
		p->argv = list_of(arguments);
		p->envp = list_of(&environment);
		p->folder = a->home[0] ? a->home : "/";
		p->timeout_ms = a->config->deliver.program_timeout;
		p->memory = a->config->deliver.program_memory;
		pipe_deliver(p, job, r, out_stop);
	}
	finish_words(&environment);
}

void agent_command(const struct agent *a, const char *command, enum agent_style style, struct str rest,
	struct deliver_job *job, struct deliver_recipient *r, bool *out_stop)
{
	struct words arguments = {.space.limit = SPACE_MAX};
	// qmail gives the message as it is; preline adds the fields where they are wanted.
	struct pipe_program p = {.qmail = style == AGENT_QMAIL, .seekable = style == AGENT_QMAIL,
		.from_line = style == AGENT_SENDMAIL,
		.address = style == AGENT_SENDMAIL ? deliver_shown_address(r) : NULL};
	const char *const words[] = {"/bin/sh", "-c", command};
	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		if (!begin_word(&arguments))
			break;
		for (const char *c = words[i]; *c; c++)
			add_octet(&arguments, *c);
		add_octet(&arguments, '\0');
	}
	run(a, &p, &arguments, rest, job, r, out_stop);
	finish_words(&arguments);
}

void agent_program(const struct agent *a, const struct config_list *program, struct deliver_job *job,
	struct deliver_recipient *r)
{
	struct words arguments = {.space.limit = SPACE_MAX};
	struct pipe_program p = {.address = deliver_shown_address(r), .from_line = true};
	bool good = true;
	for (size_t i = 0; i < program->count && good; i++)
		good = add_argument(&arguments, program->items[i], a, job, r);
	if (good)
		run(a, &p, &arguments, STR_EMPTY, job, r, NULL);
	else
		deliver_set_result(r, SMTP_PERMANENT, 553, "5.1.3",
			TEXT("bad-argument: an address that begins with - is no argument of a program"));
	finish_words(&arguments);
}
