// SPDX-License-Identifier: ISC
// Who sends, and what they do: states in memory, read when somebody sends again, written at most once
// a minute each.
#include "queue/guard.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/event.h"
#include "base/memory.h"
#include "store/guards.h"

#include <stdio.h>

#define SUBJECTS_MAX  2000    // in memory, about 11 KiB each
#define WRITE_MS      60000   // a state is written at most that often
#define WRITE_MOST    50      // in one batch
#define EARLY_MAX     (64 * 1024) // octets of events that wait for a state
#define RECIPIENTS_MAX 1000   // of one message that are looked at one by one
#define OWN_OCTETS    32

// An event of a subject whose state is not there yet; recipients follow.
struct early {
	uint64_t now_ms, network, digest;
	uint32_t recipient_count;
};

struct guard_wait {
	struct list link;
	guard_found done;
	void *arg;
};

bool guard_is_on(const struct guard *g)
{
	return g && g->queue->config->guard.action != CONFIG_GUARD_OFF;
}

// ---------------------------------------------------------------- settings

struct guard_settings guard_settings_of(const struct guard_subject *s)
{
	static const enum guard_action most[] = {[CONFIG_GUARD_OFF] = GUARD_NONE,
		[CONFIG_GUARD_REPORT] = GUARD_HOLD, [CONFIG_GUARD_SLOW] = GUARD_SLOW,
		[CONFIG_GUARD_HOLD] = GUARD_HOLD, [CONFIG_GUARD_SUSPEND] = GUARD_SUSPEND};
	const struct guard *g = s->guard;
	const struct config *c = g->queue->config;
	uint64_t until = g->installed_ms + c->guard.learn;
	return (struct guard_settings){
		.most = most[c->guard.action],
		.profile = s->profile,
		.client = str_starts(s->name, STR(STORE_SUBJECT_CLIENT)),
		.messages = (uint32_t)c->guard.messages,
		.recipients = (uint32_t)c->guard.recipients,
		.learn_until_ms = until > g->learn_until_ms ? until : g->learn_until_ms,
		.created_ms = s->created_ms,
	};
}

enum guard_action guard_in_force(const struct guard_subject *s)
{
	static const enum guard_action most[] = {[CONFIG_GUARD_OFF] = GUARD_NONE,
		[CONFIG_GUARD_REPORT] = GUARD_NONE, [CONFIG_GUARD_SLOW] = GUARD_SLOW,
		[CONFIG_GUARD_HOLD] = GUARD_HOLD, [CONFIG_GUARD_SUSPEND] = GUARD_SUSPEND};
	enum guard_action limit = most[s->guard->queue->config->guard.action];
	return s->state.action < limit ? s->state.action : limit;
}

uint64_t guard_hash(const struct guard *g, struct str address, struct str domain)
{
	char key[SMTP_ADDRESS_MAX];
	uint64_t hash = queue_address_key(address, domain, key) ?
		hash_octets_keyed(g->key, key, strlen(key)) :
		hash_octets_keyed(g->key, address.data, address.len);
	return config_is_local_domain(g->queue->config, domain) ? hash | GUARD_OURS :
		hash & ~(uint64_t)GUARD_OURS;
}

// ---------------------------------------------------------------- subjects in memory

static void forget(struct guard_subject *s)
{
	(void)map_remove(&s->guard->subjects, s->name);
	list_remove(&s->link);
	list_remove(&s->dirty);
	buf_finish(&s->early);
	mem_free(s);
}

static void write_some(struct guard *g, bool all);

// The one that was not seen for longest goes; not one that is held, which must be known at once.
static void make_room(struct guard *g)
{
	unsigned looked = 0;
	for (struct list *at = g->used.prev; at != &g->used && looked < 100; looked++) {
		struct guard_subject *s = LIST_ENTRY(at, struct guard_subject, link);
		at = at->prev;
		if (!s->loaded || s->users || !list_empty(&s->dirty) || s->state.action >= GUARD_HOLD)
			continue;
		forget(s);
		return;
	}
	write_some(g, true); // all of them changed: the next ones will find room
}

static struct guard_subject *add(struct guard *g, struct str name)
{
	struct guard_subject *s;
	if (g->subjects.count >= SUBJECTS_MAX)
		make_room(g);
	s = mem_alloc(sizeof *s + name.len);
	list_init(&s->link);
	list_init(&s->dirty);
	list_init(&s->waiting);
	s->guard = g;
	s->early = (struct buf){.limit = EARLY_MAX};
	memcpy(s + 1, name.data, name.len);
	s->name = str_make((char *)(s + 1), name.len);
	map_set(&g->subjects, s->name, s);
	list_add_first(&g->used, &s->link);
	return s;
}

struct guard_subject *guard_get(struct guard *g, struct str name)
{
	struct guard_subject *s = map_get(&g->subjects, name);
	if (s && g->used.next != &s->link) {
		list_remove(&s->link);
		list_add_first(&g->used, &s->link);
	}
	return s;
}

void guard_mark(struct guard_subject *s)
{
	if (list_empty(&s->dirty))
		list_add_last(&s->guard->dirty, &s->dirty);
}

// ---------------------------------------------------------------- reading

static void take_state(struct guard_subject *s, const struct store_guard *kept)
{
	struct guard_state *state = &s->state;
	enum guard_profile profile;
	if (kept->state.len && guard_decode(kept->state, state))
		event_report(EVENT_WARNING, "guard", "what was known of %.*s cannot be read: it is learned "
			"anew", STR_ARG(s->name));
	s->is_account = kept->is_account;
	s->created_ms = kept->created_ms;
	s->profile = state->profile;
	if (kept->is_account && guard_profile_parse(kept->profile, &profile))
		s->profile = profile;
	s->loaded = true;
}

static void replay(struct guard_subject *s)
{
	struct str rest = buf_str(&s->early);
	struct guard_settings settings = guard_settings_of(s);
	struct guard_verdict v;
	struct early e;
	while (rest.len >= sizeof e) {
		memcpy(&e, rest.data, sizeof e);
		rest = str_skip(rest, sizeof e);
		uint64_t *recipients = mem_array(e.recipient_count + 1, sizeof *recipients);
		memcpy(recipients, rest.data, e.recipient_count * sizeof *recipients);
		rest = str_skip(rest, e.recipient_count * sizeof *recipients);
		struct guard_message m = {.now_ms = e.now_ms, .network = e.network, .digest = e.digest,
			.recipients = recipients, .recipient_count = e.recipient_count};
		guard_submit(&s->state, &m, &settings, &v);
		guard_act(s, &v);
		mem_free(recipients);
	}
	buf_finish(&s->early);
}

static void answer_waiting(struct guard_subject *s, int err)
{
	while (!list_empty(&s->waiting)) {
		struct guard_wait *w = LIST_ENTRY(s->waiting.next, struct guard_wait, link);
		list_remove(&w->link);
		s->users--;
		w->done(w->arg, err ? NULL : s);
		mem_free(w);
	}
}

static void on_read(void *arg, int err, const struct store_guard *kept)
{
	struct guard_subject *s = arg;
	if (!err) {
		take_state(s, kept);
		replay(s);
		guard_tell_state(s);
	}
	answer_waiting(s, err);
	if (err)
		forget(s);
}

static struct guard_subject *get_or_read(struct guard *g, struct str name)
{
	struct guard_subject *s = guard_get(g, name);
	if (s)
		return s;
	s = add(g, name);
	store_guard_get(g->queue->store, s->name, on_read, s);
	return s;
}

void guard_find(struct guard *g, struct str name, guard_found done, void *arg)
{
	struct guard_subject *s = get_or_read(g, name);
	if (s->loaded) {
		done(arg, s);
		return;
	}
	struct guard_wait *w = mem_alloc(sizeof *w);
	w->done = done;
	w->arg = arg;
	s->users++;
	list_add_last(&s->waiting, &w->link);
}

// ---------------------------------------------------------------- writing

static void on_written(void *arg, int err)
{
	struct guard *g = arg;
	g->writing--;
	if (err) // the next change writes it again
		event_report(EVENT_WARNING, "guard", "what was learned cannot be stored: %s", err_text(err));
}

static void write_some(struct guard *g, bool all)
{
	uint64_t now = clock_monotonic_ms();
	struct store_batch *b = NULL;
	unsigned count = 0;
	LIST_EACH(link, &g->dirty) {
		struct guard_subject *s = LIST_ENTRY(link, struct guard_subject, dirty);
		struct buf octets = {.limit = GUARD_STATE_MAX};
		if (!s->loaded || (!all && (s->written_ms + WRITE_MS > now || count == WRITE_MOST)))
			continue;
		list_remove(&s->dirty);
		s->written_ms = now;
		s->state.profile = s->profile;
		b = b ? b : store_batch_create();
		if (!guard_encode(&s->state, &octets))
			store_batch_put_guard(b, s->name, clock_wall_ms(), buf_str(&octets));
		buf_finish(&octets);
		count++;
	}
	if (!b)
		return;
	g->writing++;
	store_apply(g->queue->store, b, on_written, g);
}

void guard_write_all(struct guard *g)
{
	if (g)
		write_some(g, true);
}

void guard_beat(struct guard *g)
{
	if (!g)
		return;
	write_some(g, false);
	guard_sweeps_go_on(g);
}

// ---------------------------------------------------------------- events

#define NAME_MAX_OCTETS (SMTP_ADDRESS_MAX + 16)

// "account NAME" or "client ADDRESS"; false: nobody that is watched.
static bool name_of(struct str account, struct str client, bool by_rule, char space[NAME_MAX_OCTETS],
	struct str *out)
{
	struct str kind = account.len ? STR(STORE_SUBJECT_ACCOUNT) : STR(STORE_SUBJECT_CLIENT);
	struct str who = account.len ? account : client;
	if ((!account.len && !by_rule) || !who.len || kind.len + who.len > NAME_MAX_OCTETS)
		return false;
	memcpy(space, kind.data, kind.len);
	memcpy(space + kind.len, who.data, who.len);
	*out = str_make(space, kind.len + who.len);
	return true;
}

static void keep_example(struct guard_subject *s, struct str address)
{
	char *place = s->examples[s->next_example++ % GUARD_EXAMPLES];
	(void)str_copy(str_slice(address, 0, GUARD_EXAMPLE_MAX), place, GUARD_EXAMPLE_MAX + 1);
}

static void keep_early(struct guard_subject *s, const struct guard_message *m)
{
	struct early e = {m->now_ms, m->network, m->digest, m->recipient_count};
	size_t len = m->recipient_count * sizeof *m->recipients;
	if (buf_len(&s->early) + sizeof e + len > EARLY_MAX)
		return;
	(void)buf_add(&s->early, &e, sizeof e);
	(void)buf_add(&s->early, m->recipients, len);
}

static bool decide(struct guard_subject *s, const struct guard_message *m)
{
	struct guard_settings settings = guard_settings_of(s);
	struct guard_verdict v;
	if (!s->loaded) {
		keep_early(s, m);
		return false;
	}
	guard_submit(&s->state, m, &settings, &v);
	guard_mark(s);
	guard_act(s, &v);
	return guard_in_force(s) >= GUARD_HOLD;
}

bool guard_take_submission(struct guard *g, const struct ipc_submit *m,
	const struct envelope_recipient *recipients, unsigned count)
{
	uint64_t few[16], *hashes = few;
	struct guard_subject *s;
	struct ipaddr address;
	struct str name;
	bool hold;
	char space[NAME_MAX_OCTETS];
	if (!guard_is_on(g) || !name_of(m->account, m->client, m->by_rule, space, &name))
		return false;
	s = get_or_read(g, name);
	if (s->profile == GUARD_PROFILE_OFF && s->loaded)
		return guard_in_force(s) >= GUARD_HOLD;
	unsigned looked = count < RECIPIENTS_MAX ? count : RECIPIENTS_MAX;
	if (looked > ARRAY_SIZE(few))
		hashes = mem_array(looked, sizeof *hashes);
	for (unsigned n = 0; n < looked; n++)
		hashes[n] = guard_hash(g, recipients[n].address, recipients[n].domain);
	struct guard_message event = {.now_ms = clock_wall_ms(), .recipients = hashes,
		.recipient_count = looked};
	if (m->account.len && !ipaddr_parse(m->client, &address))
		event.network = guard_network_of(&address);
	memcpy(&event.digest, m->digest.data, sizeof event.digest);
	keep_example(s, recipients[0].address);
	hold = decide(s, &event);
	if (hashes != few)
		mem_free(hashes);
	return hold;
}

static void take_outcome(struct guard *g, struct str account, struct str client, uint32_t refused,
	uint32_t delivered)
{
	struct guard_subject *s;
	struct guard_verdict v;
	struct str name;
	char space[NAME_MAX_OCTETS];
	if (!guard_is_on(g) || !g->subjects.count || !name_of(account, client, client.len != 0, space, &name))
		return;
	s = map_get(&g->subjects, name);
	if (!s || !s->loaded)
		return;
	struct guard_settings settings = guard_settings_of(s);
	guard_outcome(&s->state, clock_wall_ms(), refused, delivered, &settings, &v);
	guard_mark(s);
	guard_act(s, &v);
}

void guard_take_result(struct guard *g, const struct item *i)
{
	const struct envelope *e = &i->mail->envelope;
	bool refused = i->result == TRY_PERMANENT && !i->expired;
	if (!e->bounce && (refused || i->result == TRY_DELIVERED))
		take_outcome(g, e->account, e->client, refused, !refused);
}

void guard_take_refusal(struct guard *g, struct str account, struct str client)
{
	take_outcome(g, account, client, 1, 0);
}

// Its row went with the account.
void guard_drop(struct guard *g, struct str account)
{
	char space[NAME_MAX_OCTETS];
	struct guard_subject *s;
	struct str name;
	if (!g || !name_of(account, STR_EMPTY, false, space, &name) || !(s = map_get(&g->subjects, name)))
		return;
	if (!s->loaded || s->users)
		return;
	s->state = (struct guard_state){0};
	s->profile = GUARD_PROFILE_NORMAL;
	if (s->incident)
		guard_end_incident(s);
	guard_tell_state(s);
	forget(s);
}

// ---------------------------------------------------------------- begin and end

void guard_write_own(struct guard *g)
{
	char octets[OWN_OCTETS];
	struct store_batch *b = store_batch_create();
	memcpy(octets, &g->installed_ms, 8);
	memcpy(octets + 8, &g->learn_until_ms, 8);
	memcpy(octets + 16, g->key, sizeof g->key);
	store_batch_put_guard(b, STR_EMPTY, clock_wall_ms(), str_make(octets, sizeof octets));
	g->writing++;
	store_apply(g->queue->store, b, on_written, g);
}

// The guard's own row: when it first ran, the key of its hashes, until when everybody is learned.
static void on_own(void *arg, int err, const struct store_guard *kept)
{
	struct guard *g = arg;
	if (err) {
		event_report(EVENT_ERROR, "guard", "what it knows cannot be read: %s", err_text(err));
		return;
	}
	if (kept->state.len == OWN_OCTETS) {
		memcpy(&g->installed_ms, kept->state.data, 8);
		memcpy(&g->learn_until_ms, kept->state.data + 8, 8);
		memcpy(g->key, kept->state.data + 16, sizeof g->key);
		return;
	}
	g->installed_ms = clock_wall_ms();
	mem_random(g->key, sizeof g->key);
	guard_write_own(g);
}

static void on_incident(void *arg, const struct store_incident *i)
{
	struct guard *g = arg;
	struct guard_subject *s = get_or_read(g, i->subject);
	s->incident = i->id;
	s->incident_ms = i->started_ms;
	s->incident_most = (enum guard_action)(i->action <= GUARD_SUSPEND ? i->action : GUARD_SUSPEND);
	for (unsigned n = 0; n <= s->incident_most; n++)
		s->reported_ms[n] = i->started_ms;
}

static void on_incidents(void *arg, int err)
{
	(void)arg;
	if (err)
		event_report(EVENT_ERROR, "guard", "incidents cannot be read: %s", err_text(err));
}

struct guard *guard_create(struct queue *q)
{
	struct guard *g = mem_alloc(sizeof *g);
	g->queue = q;
	list_init(&g->used);
	list_init(&g->dirty);
	list_init(&g->sweeps);
	store_guard_get(q->store, STR_EMPTY, on_own, g);
	store_incident_list(q->store, STR_EMPTY, true, SUBJECTS_MAX / 2, on_incident, on_incidents, g);
	store_wait(q->store);
	return g;
}

void guard_destroy(struct guard *g)
{
	if (!g)
		return;
	guard_sweeps_end(g);
	while (!list_empty(&g->used))
		forget(LIST_ENTRY(g->used.next, struct guard_subject, link));
	map_finish(&g->subjects);
	mem_free(g);
}

void guard_configured(struct guard *g)
{
	if (!g)
		return;
	LIST_EACH(link, &g->used)
		guard_tell_state(LIST_ENTRY(link, struct guard_subject, link));
}
