// SPDX-License-Identifier: ISC
// How full mailboxes are, as far as deliverers told: remembered in memory and, so that a restart does
// not forget it, in the store. Whoever is about to be turned away at RCPT is turned away only after
// role local has counted again. What waits for room is tried when there is some, and an owner above
// the soft quota is warned.
#include "queue/queue_internal.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/event.h"
#include "base/memory.h"
#include "base/text.h"
#include "message/digest.h"
#include "message/warning.h"
#include "smtp/address.h"
#include "store/mailboxes.h"

#include <stdio.h>

#define ENTRIES_MAX 10000
#define FRESH_MS    2000     // a count this young is not asked for again
#define ANSWER_MS   2000     // of a client that waits at RCPT; then it is taken
#define COUNT_MS    (10 * 60000) // of an administrator who wants it counted
#define LOOK_MS     30000    // between looks at a mailbox for which mail waits
#define LOOKS_MAX   10       // begun in a second
#define FLUSH_BEATS 5
#define WARN_MS     (24ULL * 3600 * 1000)
#define WAKE_MAX    64       // mailboxes of one look through the queue
#define WARNING_MAX 8192
#define FIELDS_MAX  2000

struct entry {
	struct list link;          // in mailboxes.used, the one asked last first
	struct list askers;
	struct quota_limits limits; // in force when it was looked at last
	struct quota_usage usage;
	uint64_t counted_ms;       // wall clock; 0: never
	uint64_t warned_ms;        // wall clock
	uint64_t looked_ms;        // monotonic, when usage was heard or asked for
	uint64_t waits_for;        // octets of the smallest message that found no room; 0: none waits
	uint64_t request;          // of a count under way; 0: none
	bool fetched, fetching;    // what the store remembers
	bool dirty;                // differs from it
	bool wake;                 // what waits is to be tried
	bool of_user;              // of the system: only a delivery to it can look
	char name[];
};

struct asker {
	struct answer answer;      // in entry.askers, then in queue.answers: who asks may ask anew
	uint64_t octets;           // of RCPT
	uint64_t until_ms;         // monotonic
	queue_room_known room;     // or
	queue_usage_known usage;
	void *arg;
	// what it is told
	int err;
	bool full;
	struct quota_usage found;
};

struct mailboxes {
	struct map entries;        // by name
	struct list used;
	uint64_t last_request;
	unsigned askers, requests; // requests: of the store
	unsigned beats;
	bool waking;
};

// A look through the queue for what waits.
struct waker {
	struct queue *queue;
	struct store_batch *batch;
	struct store_filter filter;
	char *names[WAKE_MAX];
	unsigned count;
};

struct quota_limits queue_quota_in_force(const struct config *c, const struct quota_limits *said)
{
	struct quota_limits l = *said;
	quota_inherit(&l, &c->deliver.quota);
	quota_resolve(&l);
	return l;
}

// ---------------------------------------------------------------- memory

struct mailboxes *queue_mailboxes_create(void)
{
	struct mailboxes *m = mem_alloc(sizeof *m);
	list_init(&m->used);
	return m;
}

static void forget(struct mailboxes *m, struct entry *e)
{
	(void)map_remove(&m->entries, str_from(e->name));
	list_remove(&e->link);
	mem_free(e);
}

void queue_mailboxes_destroy(struct mailboxes *m)
{
	if (!m)
		return;
	while (!list_empty(&m->used)) {
		struct entry *e = LIST_ENTRY(m->used.next, struct entry, link);
		while (!list_empty(&e->askers)) {
			struct asker *a = LIST_ENTRY(e->askers.next, struct asker, answer.link);
			list_remove(&a->answer.link);
			mem_free(a);
		}
		forget(m, e);
	}
	map_finish(&m->entries);
	mem_free(m);
}

bool queue_mailboxes_asking(const struct mailboxes *m)
{
	return m->askers || m->requests || m->waking;
}

static bool may_be_forgotten(const struct entry *e)
{
	return list_empty(&e->askers) && !e->fetching && !e->request && !e->dirty && !e->wake;
}

static bool make_room(struct mailboxes *m)
{
	if (m->entries.count < ENTRIES_MAX)
		return true;
	for (struct list *at = m->used.prev; at != &m->used; at = at->prev) {
		struct entry *e = LIST_ENTRY(at, struct entry, link);
		if (!may_be_forgotten(e))
			continue;
		forget(m, e);
		return true;
	}
	return false;
}

// NULL: too many of them are busy.
static struct entry *get(struct mailboxes *m, struct str name)
{
	struct entry *e = map_get(&m->entries, name);
	if (e) {
		list_remove(&e->link);
	} else {
		if (!name.len || name.len >= SMTP_ADDRESS_MAX || !make_room(m))
			return NULL;
		e = mem_alloc(sizeof *e + name.len + 1);
		memcpy(e->name, name.data, name.len);
		list_init(&e->askers);
		map_set(&m->entries, name, e);
	}
	list_add_first(&m->used, &e->link);
	return e;
}

static void remember(struct entry *e, const struct quota_usage *usage)
{
	e->dirty |= !e->counted_ms || e->usage.octets != usage->octets ||
		e->usage.messages != usage->messages;
	e->usage = *usage;
	e->counted_ms = clock_wall_ms();
	e->looked_ms = clock_monotonic_ms();
}

// ---------------------------------------------------------------- what the store remembers

static void on_put(void *arg, int err)
{
	struct queue *q = arg;
	(void)err; // the next delivery tells it again
	q->mailboxes->requests--;
}

static struct store_mailbox row_of(const struct entry *e)
{
	return (struct store_mailbox){.name = str_from(e->name), .usage = e->usage,
		.counted_ms = e->counted_ms, .warned_ms = e->warned_ms};
}

void queue_mailboxes_flush(struct queue *q)
{
	struct mailboxes *m = q->mailboxes;
	struct store_mailbox *rows = mem_array(STORE_MAILBOXES_MAX, sizeof *rows);
	unsigned count = 0;
	LIST_EACH(link, &m->used) {
		struct entry *e = LIST_ENTRY(link, struct entry, link);
		if (!e->dirty || !e->fetched || count == STORE_MAILBOXES_MAX)
			continue;
		rows[count++] = row_of(e);
		e->dirty = false;
	}
	if (count) {
		m->requests++;
		store_mailbox_put(q->store, rows, count, on_put, q);
	}
	mem_free(rows);
}

static void go_on(struct queue *q, struct entry *e);

struct fetch {
	struct queue *queue;
	struct entry *entry;
};

static void on_fetched(void *arg, int err, const struct store_mailbox *row)
{
	struct fetch *f = arg;
	struct entry *e = f->entry;
	struct queue *q = f->queue;
	mem_free(f);
	q->mailboxes->requests--;
	e->fetching = false;
	e->fetched = !err || err == ERR_NOT_FOUND; // else asked again with the next message
	if (e->fetched)
		e->warned_ms = row->warned_ms;
	if (e->fetched && !e->counted_ms && row->counted_ms) {
		e->usage = row->usage;
		e->counted_ms = row->counted_ms;
		e->waits_for = quota_judge(&e->limits, &e->usage, 1) == QUOTA_OVER_HARD;
	}
	go_on(q, e);
}

static void fetch(struct queue *q, struct entry *e)
{
	if (e->fetched || e->fetching || q->stopping)
		return;
	struct fetch *f = mem_alloc(sizeof *f);
	*f = (struct fetch){q, e};
	e->fetching = true;
	q->mailboxes->requests++;
	store_mailbox_get(q->store, str_from(e->name), on_fetched, f);
}

// ---------------------------------------------------------------- the warning

static bool is_above_soft(const struct entry *e)
{
	struct quota_limits soft = e->limits;
	soft.octets = soft.messages = 0;
	return quota_judge(&soft, &e->usage, 0) != QUOTA_FITS;
}

static void on_warning_stored(void *arg, int err, uint64_t message)
{
	struct queue *q = arg;
	(void)message;
	q->mailboxes->requests--;
	if (err)
		event_report(EVENT_WARNING, "queue", "a quota warning cannot be stored: %s", err_text(err));
}

static int submit_warning(struct queue *q, struct str to, struct str octets)
{
	struct smtp_address address;
	struct buf list = BUF_INIT;
	uint8_t digest[MESSAGE_DIGEST_SIZE];
	int err = smtp_address_parse(to, &address);
	struct ipc_recipient r = {.address = to, .domain = str_from(address.domain)};
	if (!err)
		err = ipc_list_add_recipient(&list, &r);
	if (!err) {
		digest_of(octets, digest);
		struct ipc_submit m = {.smtputf8 = address.utf8, .eightbit = !str_is_ascii(octets),
			.received_ms = clock_wall_ms(), .size = octets.len,
			.digest = str_make(digest, sizeof digest), .labels = STR(QUEUE_WARNING_LABEL),
			.recipients = buf_str(&list), .body = octets};
		q->mailboxes->requests++;
		queue_submit(q, &m, -1, on_warning_stored, q);
	}
	buf_finish(&list);
	return err;
}

static void log_warning(const struct entry *e)
{
	struct event event;
	event_begin(&event, EVENT_INFO, "quota-warning", 0);
	event_text(&event, "to", e->name);
	event_u64(&event, "octets", e->usage.octets);
	event_u64(&event, "messages", e->usage.messages);
	event_emit(&event);
}

static void write_warning(struct queue *q, const struct entry *e)
{
	const struct config *c = q->config;
	struct buf octets = {.limit = WARNING_MAX};
	struct warning w = {.to = str_from(e->name), .from = c->postmaster, .hostname = c->hostname,
		.limits = e->limits, .usage = e->usage, .id = id_next(q->ids),
		.wall_ms = clock_wall_ms()};
	if (warning_write(&octets, &w) || submit_warning(q, w.to, buf_str(&octets)))
		event_report(EVENT_WARNING, "queue", "a quota warning to <%s> cannot be written", e->name);
	else
		log_warning(e);
	buf_finish(&octets);
}

// That it was warned is on the disk before it is: a restart does not repeat it.
static void on_warned(void *arg, int err)
{
	struct fetch *f = arg;
	struct entry *e = f->entry;
	struct queue *q = f->queue;
	mem_free(f);
	q->mailboxes->requests--;
	e->fetching = false;
	if (!err && !q->stopping)
		write_warning(q, e);
	go_on(q, e);
}

static void warn(struct queue *q, struct entry *e)
{
	uint64_t now = clock_wall_ms();
	if (!is_above_soft(e) || q->stopping || !q->config->postmaster.len)
		return;
	fetch(q, e);
	// A clock that was set back must not silence it for long.
	if (!e->fetched || e->fetching || (e->warned_ms <= now && now - e->warned_ms < WARN_MS))
		return;
	struct fetch *f = mem_alloc(sizeof *f);
	*f = (struct fetch){q, e};
	e->warned_ms = now;
	e->dirty = false;
	e->fetching = true;
	struct store_mailbox row = row_of(e);
	q->mailboxes->requests++;
	store_mailbox_put(q->store, &row, 1, on_warned, f);
}

// ---------------------------------------------------------------- what waits is tried

static bool is_meant(const struct waker *w, const struct store_recipient *r)
{
	if (!str_equal(r->status, STR("4.2.2")))
		return false;
	for (unsigned n = 0; n < w->count; n++)
		if (str_search(r->reply, str_from(w->names[n])) >= 0)
			return true; // it tells the mailbox, also of what came by an alias
	return false;
}

static void wake_one(void *arg, const struct store_message *m, const struct store_recipient *r)
{
	struct waker *w = arg;
	(void)m;
	if (!is_meant(w, r))
		return;
	if (!w->batch)
		w->batch = store_batch_create();
	store_batch_release_recipient(w->batch, r->id, clock_wall_ms());
}

static void on_released(void *arg, int err)
{
	struct queue *q = arg;
	q->mailboxes->requests--;
	if (!err)
		queue_claim_due(q, clock_wall_ms());
}

static void wake_all(struct queue *q);

static void on_page(void *arg, int err, unsigned count, uint64_t last_recipient)
{
	struct waker *w = arg;
	struct queue *q = w->queue;
	if (w->batch) {
		q->mailboxes->requests++;
		store_apply(q->store, w->batch, on_released, q);
		w->batch = NULL;
	}
	if (!err && count && !q->stopping) {
		w->filter.after = last_recipient;
		store_list(q->store, &w->filter, wake_one, on_page, w);
		return;
	}
	for (unsigned n = 0; n < w->count; n++)
		mem_free(w->names[n]);
	mem_free(w);
	q->mailboxes->waking = false;
	wake_all(q);
}

static void wake_all(struct queue *q)
{
	struct mailboxes *m = q->mailboxes;
	struct waker *w;
	if (m->waking || q->stopping)
		return;
	w = mem_alloc(sizeof *w);
	LIST_EACH(link, &m->used) {
		struct entry *e = LIST_ENTRY(link, struct entry, link);
		if (!e->wake || w->count == WAKE_MAX)
			continue;
		e->wake = false;
		w->names[w->count++] = str_dup(str_from(e->name));
	}
	if (!w->count) {
		mem_free(w);
		return;
	}
	w->queue = q;
	w->filter = (struct store_filter){.state = RECIPIENT_DUE, .limit = 1000};
	m->waking = true;
	store_list(q->store, &w->filter, wake_one, on_page, w);
}

static void wake_if_room(struct queue *q, struct entry *e)
{
	if (!e->waits_for || quota_judge(&e->limits, &e->usage, e->waits_for) == QUOTA_OVER_HARD)
		return;
	e->waits_for = 0;
	e->wake = true;
	wake_all(q);
}

void queue_mailboxes_changed(struct queue *q)
{
	LIST_EACH(link, &q->mailboxes->used) {
		struct entry *e = LIST_ENTRY(link, struct entry, link);
		e->wake |= e->waits_for != 0;
		e->waits_for = 0;
	}
	wake_all(q);
}

void queue_mailbox_wake(struct queue *q, struct str name)
{
	struct entry *e = get(q->mailboxes, name);
	if (!e || (e->counted_ms && quota_judge(&e->limits, &e->usage, 1) == QUOTA_OVER_HARD))
		return;
	e->waits_for = 0;
	e->wake = true;
	wake_all(q);
}

void queue_quota_changed(struct queue *q, struct str name)
{
	struct entry *e = map_get(&q->mailboxes->entries, name);
	if (e)
		e->limits = (struct quota_limits){0}; // what holds now is told with the next question
	queue_directory_clear(q->directory);
	queue_mailboxes_changed(q);
	if (name.len)
		queue_mailbox_wake(q, name);
}

// ---------------------------------------------------------------- counting

static int ask_local(struct queue *q, struct entry *e, bool anew)
{
	struct ipc_usage_query m = {.request = q->mailboxes->last_request + 1, .anew = anew,
		.address = str_from(e->name), .quota = e->limits.octets,
		.quota_soft = e->limits.octets_soft, .quota_messages = e->limits.messages,
		.quota_messages_soft = e->limits.messages_soft};
	int err = !q->o.ask_usage || q->stopping ? ERR_UNAVAILABLE : q->o.ask_usage(q->o.arg, &m);
	if (!err)
		e->request = ++q->mailboxes->last_request;
	return err;
}

static void give_answer(struct queue *q, struct answer *answer)
{
	struct asker *a = LIST_ENTRY(answer, struct asker, answer);
	q->mailboxes->askers--;
	if (a->room)
		a->room(a->arg, a->full);
	else
		a->usage(a->arg, a->err, &a->found);
	mem_free(a);
}

static void tell(struct queue *q, struct entry *e, struct asker *a, int err)
{
	a->err = err;
	a->found = e->usage;
	a->full = !err && e->counted_ms &&
		quota_judge(&e->limits, &e->usage, a->octets) == QUOTA_OVER_HARD;
	list_remove(&a->answer.link);
	queue_answer_later(q, &a->answer);
}

// until_ms 0: all; else those who will not wait longer.
static void tell_askers(struct queue *q, struct entry *e, int err, uint64_t until_ms)
{
	LIST_EACH(link, &e->askers) {
		struct asker *a = LIST_ENTRY(link, struct asker, answer.link);
		if (!until_ms || a->until_ms <= until_ms)
			tell(q, e, a, err);
	}
}

static bool needs_count(const struct entry *e, const struct asker *a)
{
	if (a->usage)
		return true;
	return e->counted_ms && quota_judge(&e->limits, &e->usage, a->octets) == QUOTA_OVER_HARD &&
		(!e->looked_ms || clock_monotonic_ms() - e->looked_ms >= FRESH_MS);
}

// After the store has told what it remembers, or something changed.
static void go_on(struct queue *q, struct entry *e)
{
	if (e->fetching || e->request)
		return;
	bool count = false;
	LIST_EACH(link, &e->askers)
		count |= needs_count(e, LIST_ENTRY(link, struct asker, answer.link));
	if (!count)
		tell_askers(q, e, 0, 0);
	else if (ask_local(q, e, true))
		tell_askers(q, e, ERR_UNAVAILABLE, 0);
}

static void add_asker(struct queue *q, struct str name, const struct quota_limits *limits,
	const struct asker *asker)
{
	struct entry *e = get(q->mailboxes, name);
	struct asker *a = mem_alloc(sizeof *a);
	*a = *asker;
	a->answer.give = give_answer;
	list_init(&a->answer.link);
	q->mailboxes->askers++;
	if (!e) {
		a->err = ERR_UNAVAILABLE;
		queue_answer_later(q, &a->answer);
		return;
	}
	e->limits = *limits;
	list_add_last(&e->askers, &a->answer.link);
	fetch(q, e);
	go_on(q, e);
}

void queue_mailbox_room(struct queue *q, struct str name, const struct quota_limits *limits,
	uint64_t octets, queue_room_known done, void *arg)
{
	struct asker a = {.octets = octets ? octets : 1, .room = done, .arg = arg,
		.until_ms = clock_monotonic_ms() + ANSWER_MS};
	add_asker(q, name, limits, &a);
}

void queue_mailbox_count(struct queue *q, struct str name, const struct quota_limits *limits,
	queue_usage_known done, void *arg)
{
	struct asker a = {.usage = done, .arg = arg, .until_ms = clock_monotonic_ms() + COUNT_MS};
	add_asker(q, name, limits, &a);
}

void queue_usage_answered(struct queue *q, const struct ipc_usage_answer *m)
{
	struct quota_usage usage = {m->octets, m->messages};
	LIST_EACH(link, &q->mailboxes->used) {
		struct entry *e = LIST_ENTRY(link, struct entry, link);
		if (!m->request || e->request != m->request)
			continue;
		e->request = 0;
		if (!m->err)
			remember(e, &usage);
		tell_askers(q, e, m->err ? -(int)m->err : 0, 0);
		if (!m->err)
			wake_if_room(q, e);
		return;
	}
}

void queue_mailboxes_lost(struct queue *q)
{
	LIST_EACH(link, &q->mailboxes->used) {
		struct entry *e = LIST_ENTRY(link, struct entry, link);
		e->request = 0;
		tell_askers(q, e, ERR_UNAVAILABLE, 0);
	}
}

// ---------------------------------------------------------------- what deliverers tell

void queue_mailbox_told(struct queue *q, const struct item *i, const struct ipc_outcome *from)
{
	struct quota_usage usage = {from->octets, from->messages};
	struct entry *e = from->counted ? get(q->mailboxes, queue_item_target(i)) : NULL;
	// As much as it can be with the fields that are added; rather too much, so that it is not tried
	// again and again for the few octets that are missing.
	uint64_t size = i->mail->envelope.size + i->mail->envelope.headers.len + FIELDS_MAX;
	if (!e)
		return;
	e->limits = queue_quota_in_force(q->config, &i->quota);
	remember(e, &usage);
	fetch(q, e);
	e->of_user = i->job->group && i->job->group->kind == ROUTE_USER;
	bool full = i->result == TRY_TEMPORARY && // and not for another reason
		quota_judge(&e->limits, &e->usage, size) == QUOTA_OVER_HARD;
	if (full && (!e->waits_for || size < e->waits_for))
		e->waits_for = size;
	else if (i->result == TRY_DELIVERED)
		wake_if_room(q, e);
	warn(q, e);
}

void queue_mailboxes_beat(struct queue *q)
{
	struct mailboxes *m = q->mailboxes;
	uint64_t now = clock_monotonic_ms();
	unsigned looks = 0;
	if (++m->beats % FLUSH_BEATS == 0)
		queue_mailboxes_flush(q);
	LIST_EACH(link, &m->used) {
		struct entry *e = LIST_ENTRY(link, struct entry, link);
		tell_askers(q, e, ERR_TIMEOUT, now);
		if (!e->waits_for || e->of_user || e->request || looks == LOOKS_MAX ||
			now - e->looked_ms < LOOK_MS)
			continue;
		e->looked_ms = now;
		looks += !ask_local(q, e, false);
	}
}

void queue_mailboxes_stop(struct queue *q)
{
	queue_mailboxes_flush(q);
	queue_mailboxes_lost(q);
}
