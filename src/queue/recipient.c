// SPDX-License-Identifier: ISC
// What smtpd asks about addresses: does a recipient exist, and whose are these senders.
#include "base/memory.h"
#include "policy/limits.h"
#include "policy/senders.h"
#include "queue/address.h"
#include "queue/queue_internal.h"

// ---------------------------------------------------------------- recipients

enum { EXISTS_NO, EXISTS_YES, EXISTS_UNKNOWN, EXISTS_NOWHERE };

struct question {
	struct answer answer;
	struct queue *queue;
	bool later;            // the call that asked has not returned yet
	queue_recipient_known done;
	void *arg;
	uint64_t octets;       // of the message
	struct queue_recipient found;
	char account[SMTP_ADDRESS_MAX], where[POLICY_WHERE_MAX]; // texts of found
};

static void give(struct queue *q, struct answer *a)
{
	struct question *x = LIST_ENTRY(a, struct question, answer);
	(void)q;
	x->found.account = str_from(x->account);
	x->found.local_size_where = x->where;
	x->done(x->arg, &x->found);
	mem_free(x);
}

static uint8_t existence(const struct address_answer *a)
{
	if (a->err || a->unread)
		return EXISTS_UNKNOWN;
	if (!a->is_alias && a->end_count && a->ends[0].kind == ADDRESS_FOREIGN)
		return EXISTS_NO; // of a domain that is not ours
	for (unsigned i = 0; i < a->end_count; i++)
		if (a->ends[i].kind != ADDRESS_ERROR)
			return EXISTS_YES;
	return a->is_alias || a->end_count == 0 ? EXISTS_NOWHERE : EXISTS_NO;
}

// Whose mailbox it is, as far as that is known here.
static struct str name_of(const struct queue *q, const struct address_end *e)
{
	if (e->kind == ADDRESS_POSTMASTER)
		return q->config->postmaster;
	return e->kind == ADDRESS_MAILBOX || e->kind == ADDRESS_HOST ? e->address : STR_EMPTY;
}

static void finish(struct question *x)
{
	if (x->later)
		x->later = false; // what the memory knew, at once
	else
		give(NULL, &x->answer);
}

static void on_room_known(void *arg, bool full)
{
	struct question *x = arg;
	x->found.full = full;
	finish(x);
}

// Only of mailboxes that are here, and only when there is a limit.
static bool ask_room(struct question *x, const struct address_end *e)
{
	const struct config *c = x->queue->config;
	struct quota_limits l = queue_quota_in_force(c, &e->quota);
	if (e->kind != ADDRESS_MAILBOX || (!l.octets && !l.messages) ||
		queue_route_for(c, e->domain).kind == ROUTE_HOST)
		return false;
	if (!c->deliver.quota_counts_postmaster && str_equal_nocase(e->address, c->postmaster))
		return false;
	queue_mailbox_room(x->queue, str_from(x->account), &l, x->octets, on_room_known, x);
	return true;
}

static void on_recipient(void *arg, const struct address_answer *a)
{
	struct question *x = arg;
	bool one = a->end_count == 1;
	x->found.exists = existence(a);
	one = one && x->found.exists == EXISTS_YES;
	if (one)
		str_copy(name_of(x->queue, &a->ends[0]), x->account, sizeof x->account);
	if (one && a->ends[0].kind == ADDRESS_MAILBOX)
		x->found.local_size = policy_local_size(x->queue->config, a->ends[0].address,
			a->ends[0].groups, x->where);
	if (!one || !ask_room(x, &a->ends[0]))
		finish(x);
}

static struct str domain_of(struct str key)
{
	ptrdiff_t at = str_find_last(key, '@');
	return at < 0 ? STR_EMPTY : str_skip(key, (size_t)at + 1);
}

void queue_recipient(struct queue *q, struct str key, uint64_t octets, queue_recipient_known done,
	void *arg)
{
	struct question *x = mem_alloc(sizeof *x);
	x->answer.give = give;
	x->queue = q;
	x->octets = octets;
	x->done = done;
	x->arg = arg;
	x->later = true;
	queue_address_resolve(q, key, domain_of(key), ADDRESS_UNTIL_TWO | ADDRESS_KEY, on_recipient, x);
	if (!x->later)
		queue_answer_later(q, &x->answer);
	x->later = false;
}

// ---------------------------------------------------------------- senders

struct senders {
	struct answer answer;
	struct queue *queue;
	queue_senders_known done;
	void *arg;
	char *authors;          // LF between
	struct str rest;        // not yet asked about
	char *account, *send_as;
	struct smtp_address author;
	bool running, answered, asked;
	unsigned count;
	char owners[POLICY_AUTHORS_MAX];
};

static void run(struct senders *s);

static void give_senders(struct queue *q, struct answer *a)
{
	struct senders *s = LIST_ENTRY(a, struct senders, answer);
	(void)q;
	s->done(s->arg, str_make(s->owners, s->count));
	mem_free(s->authors);
	mem_free(s->account);
	mem_free(s->send_as);
	mem_free(s);
}

static void judge(struct senders *s, const struct policy_author *author)
{
	s->owners[s->count++] = (char)policy_owner_of(str_from(s->account),
		s->queue->config->auth.default_domain, str_from(s->send_as), author);
}

static void answered(struct senders *s)
{
	s->answered = true;
	if (!s->running)
		run(s);
}

// Whose it is when nobody else gets what is sent there. A name that is known to a foreign source of
// passwords only has no mailbox here, and still is the account's own when an alias leads to it.
static struct str target_of(const struct queue *q, const struct address_end *e)
{
	if (e->kind == ADDRESS_POSTMASTER)
		return q->config->postmaster;
	return e->kind == ADDRESS_ERROR && e->reached.len ? e->reached : e->address;
}

static void on_author(void *arg, const struct address_answer *a)
{
	struct senders *s = arg;
	struct policy_author author = {.address = &s->author, .target = STR_EMPTY, .groups = STR_EMPTY};
	if (a->err || a->unread) {
		s->owners[s->count++] = POLICY_OWNER_UNKNOWN;
	} else {
		if (a->end_count == 1) {
			const struct address_end *e = &a->ends[0];
			author.target = target_of(s->queue, e);
			author.groups = e->groups;
			author.by_rest = e->by_rest;
		}
		judge(s, &author);
	}
	answered(s);
}

static void on_account(void *arg, const struct directory_entry *e)
{
	struct senders *s = arg;
	s->send_as = str_dup(e->err ? STR_EMPTY : e->send_as);
	s->asked = true;
	answered(s);
}

static void ask_author(struct senders *s, struct str text)
{
	struct policy_author none = {.address = &s->author, .target = STR_EMPTY, .groups = STR_EMPTY};
	memset(&s->author, 0, sizeof s->author);
	s->author.null = text.len == 0;
	if (s->author.null || smtp_address_parse(text, &s->author)) {
		if (s->author.null)
			judge(s, &none);
		else
			s->owners[s->count++] = POLICY_OWNER_NO;
		answered(s);
		return;
	}
	queue_address_resolve(s->queue, str_from(s->author.text), str_from(s->author.domain),
		ADDRESS_UNTIL_TWO, on_author, s);
}

// The account first, then one author after the other.
static void run(struct senders *s)
{
	struct str text;
	s->running = true;
	while (s->answered) {
		s->answered = false;
		if (!s->asked)
			queue_directory_account(s->queue->directory, str_from(s->account), on_account, s);
		else if (s->count < POLICY_AUTHORS_MAX && str_split(&s->rest, '\n', &text))
			ask_author(s, text);
		else {
			queue_answer_later(s->queue, &s->answer);
			return;
		}
	}
	s->running = false;
}

void queue_senders(struct queue *q, struct str account, struct str authors, queue_senders_known done,
	void *arg)
{
	struct senders *s = mem_alloc(sizeof *s);
	s->queue = q;
	s->done = done;
	s->arg = arg;
	s->answer.give = give_senders;
	s->account = str_dup(account);
	s->authors = str_dup(authors);
	s->rest = str_make(s->authors, authors.len);
	s->answered = true;
	run(s);
}
