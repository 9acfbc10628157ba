// SPDX-License-Identifier: ISC
// Counters by key, and who has reserved of them. A counter is of one window; when its time is over
// it begins anew where it stands.
#include "queue/rates.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/list.h"
#include "base/map.h"
#include "base/memory.h"
#include "config/limits.h"

#include <time.h>

#define KEY_MAX        400
#define CLIENTS_MAX    200000 // counters of addresses; the one unused for longest goes
#define JUMP_MS        2000   // a clock that is off by more, and one in 500, has jumped

struct counter {
	struct list link;          // in rates.clients (least recent first) or rates.others
	struct list dirty;         // in rates.dirty when its row has to be written
	uint64_t used, reserved;
	uint64_t window;           // when it began, wall clock
	uint64_t stored;           // window of its row in the store; 0: none
	unsigned references;       // of holds and of messages under way
	uint8_t period;            // enum config_rate_period
	bool is_client;
	uint16_t key_len;
	char key[];
};

struct hold {
	struct counter *counter;
	uint32_t amount;
};

// What one transaction has reserved.
struct holder {
	struct list link;          // in rates.holders
	uint64_t session;
	unsigned worker;
	unsigned count;
	struct hold holds[CONFIG_RATES];
};

// A row whose counter is gone.
struct removed {
	struct removed *next;
	uint64_t window;
	size_t len;
	char name[];
};

struct rates {
	struct map counters;       // key -> struct counter
	struct map sessions;       // 8 octets -> struct holder
	struct list clients, others, dirty, holders;
	size_t client_count;
	struct removed *removed;
	struct rates_time last;
	bool loaded;
};

struct rates_time rates_now(void)
{
	struct timespec t;
	if (clock_gettime(CLOCK_BOOTTIME, &t))
		return (struct rates_time){clock_wall_ms(), clock_monotonic_ms()};
	return (struct rates_time){clock_wall_ms(), (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000};
}

struct rates *rates_create(void)
{
	struct rates *r = mem_alloc(sizeof *r);
	list_init(&r->clients);
	list_init(&r->others);
	list_init(&r->dirty);
	list_init(&r->holders);
	return r;
}

// ---- windows

static uint64_t window_of(uint64_t wall_ms, unsigned period)
{
	uint64_t length = config_rate_period_ms((enum config_rate_period)period);
	return wall_ms / length * length;
}

static uint64_t left_of(const struct counter *c, struct rates_time t)
{
	uint64_t end = c->window + config_rate_period_ms((enum config_rate_period)c->period);
	return end > t.wall_ms ? end - t.wall_ms : 0;
}

static void mark(struct rates *r, struct counter *c)
{
	if (list_empty(&c->dirty))
		list_add_last(&r->dirty, &c->dirty);
}

static void move_windows(struct rates *r, struct list *all, uint64_t from_ms, uint64_t to_ms)
{
	LIST_EACH(link, all) {
		struct counter *c = LIST_ENTRY(link, struct counter, link);
		if (c->window != window_of(from_ms, c->period))
			continue;
		c->window = window_of(to_ms, c->period);
		mark(r, c);
	}
}

// Somebody set the clock: what was counted in the windows of the old time counts in those of the new.
static void look_at_clock(struct rates *r, struct rates_time t)
{
	uint64_t passed = t.steady_ms - r->last.steady_ms, expected = r->last.wall_ms + passed;
	uint64_t off = t.wall_ms > expected ? t.wall_ms - expected : expected - t.wall_ms;
	if (r->last.steady_ms && off > JUMP_MS + passed / 500) {
		move_windows(r, &r->clients, expected, t.wall_ms);
		move_windows(r, &r->others, expected, t.wall_ms);
	}
	r->last = t;
}

// A step of the clock that is no jump may go back over a boundary: the later window stays.
static void turn(struct rates *r, struct counter *c, struct rates_time t)
{
	uint64_t window = window_of(t.wall_ms, c->period);
	if (window <= c->window)
		return;
	c->window = window;
	c->used = 0;
	if (c->stored)
		mark(r, c);
}

// ---- counters

// To be removed from the store with the next commit.
static void remember_row(struct rates *r, struct str key, uint64_t window)
{
	struct removed *gone = mem_alloc(sizeof *gone + key.len);
	*gone = (struct removed){.next = r->removed, .window = window, .len = key.len};
	memcpy(gone->name, key.data, key.len);
	r->removed = gone;
}

static void drop(struct rates *r, struct counter *c)
{
	if (c->stored)
		remember_row(r, str_make(c->key, c->key_len), c->stored);
	(void)map_remove(&r->counters, str_make(c->key, c->key_len));
	list_remove(&c->link);
	list_remove(&c->dirty);
	r->client_count -= c->is_client;
	mem_free(c);
}

static void make_room(struct rates *r)
{
	LIST_EACH(link, &r->clients) {
		struct counter *c = LIST_ENTRY(link, struct counter, link);
		if (r->client_count < CLIENTS_MAX)
			return;
		if (!c->references)
			drop(r, c);
	}
}

static struct counter *create(struct rates *r, struct str key, unsigned period)
{
	struct counter *c = mem_alloc(sizeof *c + key.len);
	c->period = (uint8_t)period;
	c->is_client = str_starts(key, STR("client "));
	c->key_len = (uint16_t)key.len;
	memcpy(c->key, key.data, key.len);
	list_init(&c->dirty);
	if (c->is_client)
		make_room(r);
	r->client_count += c->is_client;
	list_add_last(c->is_client ? &r->clients : &r->others, &c->link);
	map_set(&r->counters, str_make(c->key, c->key_len), c);
	return c;
}

static struct counter *find(struct rates *r, struct rates_time t, struct str key, unsigned period)
{
	struct counter *c = map_get(&r->counters, key);
	if (!c) {
		c = create(r, key, period);
		c->window = window_of(t.wall_ms, period);
	}
	turn(r, c, t);
	if (c->is_client) {
		list_remove(&c->link);
		list_add_last(&r->clients, &c->link);
	}
	return c;
}

// ---- loading

// The period is the last word of a key.
static bool read_period(struct str key, unsigned *out)
{
	ptrdiff_t at = str_find_last(key, ' ');
	for (unsigned p = 0; at > 0 && p < CONFIG_RATE_PERIODS; p++) {
		*out = p;
		if (str_equal(str_skip(key, (size_t)at + 1),
			str_from(config_rate_period_word((enum config_rate_period)p))))
			return true;
	}
	return false;
}

static bool read_name(struct str name, struct str *key, unsigned *period)
{
	*key = str_skip(name, sizeof RATES_ROW_PREFIX - 1);
	return str_starts(name, STR(RATES_ROW_PREFIX)) && key->len <= KEY_MAX && read_period(*key, period);
}

void rates_load(struct rates *r, struct rates_time t, struct str name, uint64_t window, uint64_t value)
{
	unsigned period;
	struct str key;
	if (!read_name(name, &key, &period))
		return;
	struct counter *c = map_get(&r->counters, key);
	if (!c)
		c = create(r, key, period);
	if (c->stored) { // two windows of one count: the later one is right
		remember_row(r, key, window < c->stored ? window : c->stored);
		if (window < c->stored)
			return;
	}
	c->stored = c->window = window;
	c->used = value;
	if (window > window_of(t.wall_ms, period)) { // the clock was set back while nobody looked
		c->window = window_of(t.wall_ms, period);
		mark(r, c);
	}
	turn(r, c, t);
}

void rates_loaded(struct rates *r)
{
	r->loaded = true;
}

bool rates_is_loaded(const struct rates *r)
{
	return r->loaded;
}

bool rates_read_row(struct rates_time t, struct str name, uint64_t window, uint64_t value,
	struct rates_row *out)
{
	unsigned period;
	struct str key;
	if (!read_name(name, &key, &period) || window < window_of(t.wall_ms, period))
		return false;
	uint64_t end = window + config_rate_period_ms((enum config_rate_period)period);
	*out = (struct rates_row){.key = key, .used = value, .window = window,
		.left_ms = end > t.wall_ms ? end - t.wall_ms : 0};
	return true;
}

// ---- reading what is asked

struct asked {
	unsigned count;
	struct ipc_rate rates[CONFIG_RATES];
};

static int read_list(struct str list, struct asked *out)
{
	struct ipc_rate one;
	int err = 0;
	out->count = 0;
	while (ipc_next_rate(&list, &one, &err)) {
		if (out->count == CONFIG_RATES || one.key.len == 0 || one.key.len > KEY_MAX ||
			one.period >= CONFIG_RATE_PERIODS)
			return ERR_CORRUPT;
		out->rates[out->count++] = one;
	}
	return err ? ERR_CORRUPT : 0;
}

// ---- reservations

static struct str key_of(const uint64_t *session)
{
	return str_make(session, sizeof *session);
}

static struct holder *holder_of(struct rates *r, unsigned worker, uint64_t session)
{
	struct holder *h = map_get(&r->sessions, key_of(&session));
	if (h)
		return h;
	h = mem_alloc(sizeof *h);
	h->session = session;
	h->worker = worker;
	map_set(&r->sessions, key_of(&h->session), h);
	list_add_last(&r->holders, &h->link);
	return h;
}

static struct hold *hold_of(struct holder *h, const struct counter *c)
{
	for (unsigned i = 0; h && i < h->count; i++)
		if (h->holds[i].counter == c)
			return &h->holds[i];
	return NULL;
}

static void hold_more(struct holder *h, struct counter *c, uint32_t amount)
{
	struct hold *one = hold_of(h, c);
	if (!one && h->count == CONFIG_RATES)
		return; // more kinds than there are: the configuration changed; counted with the message
	if (!one) {
		one = &h->holds[h->count++];
		*one = (struct hold){.counter = c};
		c->references++;
	}
	one->amount += amount;
	c->reserved += amount;
}

static void release(struct rates *r, struct holder *h)
{
	for (unsigned i = 0; i < h->count; i++) {
		h->holds[i].counter->reserved -= h->holds[i].amount;
		h->holds[i].counter->references--;
	}
	(void)map_remove(&r->sessions, key_of(&h->session));
	list_remove(&h->link);
	mem_free(h);
}

void rates_release(struct rates *r, uint64_t session)
{
	if (list_empty(&r->holders))
		return;
	struct holder *h = map_get(&r->sessions, key_of(&session));
	if (h)
		release(r, h);
}

void rates_worker_gone(struct rates *r, unsigned worker)
{
	LIST_EACH(link, &r->holders) {
		struct holder *h = LIST_ENTRY(link, struct holder, link);
		if (h->worker == worker)
			release(r, h);
	}
}

int rates_reserve(struct rates *r, struct rates_time t, unsigned worker, uint64_t session,
	struct str list, struct rates_full *full)
{
	struct counter *counters[CONFIG_RATES];
	struct asked asked;
	bool any = false;
	if (!r->loaded)
		return ERR_UNAVAILABLE;
	if (read_list(list, &asked))
		return ERR_CORRUPT;
	look_at_clock(r, t);
	for (unsigned i = 0; i < asked.count; i++) {
		const struct ipc_rate *a = &asked.rates[i];
		struct counter *c = counters[i] = find(r, t, a->key, a->period);
		uint64_t count = c->used + c->reserved + (a->amount ? a->amount : 1);
		if (count > a->most) {
			*full = (struct rates_full){.index = i, .count = count, .left_ms = left_of(c, t)};
			return ERR_LIMIT;
		}
		any = any || a->amount;
	}
	struct holder *h = any ? holder_of(r, worker, session) : NULL;
	for (unsigned i = 0; i < asked.count; i++)
		if (asked.rates[i].amount)
			hold_more(h, counters[i], asked.rates[i].amount);
	return 0;
}

// ---- messages

// What is missing of a reservation has to fit now.
static bool fits(const struct holder *h, const struct counter *c, const struct ipc_rate *a)
{
	const struct hold *held = hold_of((struct holder *)h, c);
	uint32_t reserved = held ? held->amount : 0;
	uint32_t more = a->amount > reserved ? a->amount - reserved : 0;
	return a->action == CONFIG_RATE_HOLD || !more || c->used + c->reserved + more <= a->most;
}

static void judge_hold(struct rates_taken *taken, const struct counter *c, const struct ipc_rate *a)
{
	if (a->action != CONFIG_RATE_HOLD || taken->held.key.len || c->used + c->reserved <= a->most)
		return;
	taken->held = *a;
	taken->held_count = c->used + c->reserved;
}

static void take_one(struct rates *r, struct rates_taken *taken, struct counter *c, const struct ipc_rate *a)
{
	c->used += a->amount;
	c->references++;
	mark(r, c);
	judge_hold(taken, c, a);
	taken->items[taken->count++] = (struct rates_item){c, c->window, a->amount};
}

int rates_take(struct rates *r, struct rates_time t, uint64_t session, struct str list,
	struct rates_taken **out)
{
	struct counter *counters[CONFIG_RATES];
	struct asked asked;
	int err = r->loaded ? read_list(list, &asked) : ERR_UNAVAILABLE;
	struct holder *h = map_get(&r->sessions, key_of(&session));
	if (!err)
		look_at_clock(r, t);
	for (unsigned i = 0; !err && i < asked.count; i++) {
		counters[i] = find(r, t, asked.rates[i].key, asked.rates[i].period);
		if (!fits(h, counters[i], &asked.rates[i]))
			err = ERR_UNAVAILABLE;
	}
	if (h)
		release(r, h);
	if (err)
		return err;
	*out = mem_alloc(sizeof **out + asked.count * sizeof (*out)->items[0]);
	for (unsigned i = 0; i < asked.count; i++)
		take_one(r, *out, counters[i], &asked.rates[i]);
	return 0;
}

static void mark_all(struct rates *r, struct list *all)
{
	LIST_EACH(link, all)
		mark(r, LIST_ENTRY(link, struct counter, link));
}

void rates_unwritten(struct rates *r)
{
	mark_all(r, &r->clients);
	mark_all(r, &r->others);
}

void rates_taken_end(struct rates *r, struct rates_taken *taken, bool committed)
{
	if (taken && !committed)
		rates_unwritten(r);
	for (unsigned i = 0; taken && i < taken->count; i++) {
		struct rates_item *item = &taken->items[i];
		struct counter *c = item->counter;
		c->references--;
		if (committed)
			continue;
		if (item->window == c->window && c->used >= item->amount)
			c->used -= item->amount;
	}
	mem_free(taken);
}

// ---- the store

static void write_row(struct store_batch *b, struct str key, uint64_t window, uint64_t value)
{
	char name[sizeof RATES_ROW_PREFIX + KEY_MAX] = RATES_ROW_PREFIX;
	size_t at = sizeof RATES_ROW_PREFIX - 1;
	memcpy(name + at, key.data, key.len);
	store_batch_set_counter(b, str_make(name, at + key.len), window, value);
}

void rates_write(struct rates *r, struct store_batch *b)
{
	while (r->removed) {
		struct removed *gone = r->removed;
		r->removed = gone->next;
		write_row(b, str_make(gone->name, gone->len), gone->window, 0);
		mem_free(gone);
	}
	while (!list_empty(&r->dirty)) {
		struct counter *c = LIST_ENTRY(r->dirty.next, struct counter, dirty);
		struct str key = str_make(c->key, c->key_len);
		list_remove(&c->dirty);
		if (c->stored && c->stored != c->window)
			write_row(b, key, c->stored, 0);
		if (c->used || c->stored == c->window)
			write_row(b, key, c->window, c->used);
		c->stored = c->used ? c->window : 0;
	}
}

static void sweep(struct rates *r, struct rates_time t, struct list *all)
{
	LIST_EACH(link, all) {
		struct counter *c = LIST_ENTRY(link, struct counter, link);
		turn(r, c, t);
		if (!c->references && !c->used)
			drop(r, c);
	}
}

bool rates_sweep(struct rates *r, struct rates_time t, struct store_batch *b)
{
	if (!r->loaded)
		return false;
	look_at_clock(r, t);
	sweep(r, t, &r->clients);
	sweep(r, t, &r->others);
	bool any = r->removed || !list_empty(&r->dirty);
	rates_write(r, b);
	return any;
}

// ---- for administrators

static void show(struct list *all, struct rates *r, struct rates_time t,
	void (*each)(void *arg, const struct rates_row *row), void *arg)
{
	LIST_EACH(link, all) {
		struct counter *c = LIST_ENTRY(link, struct counter, link);
		turn(r, c, t);
		struct rates_row row = {.key = str_make(c->key, c->key_len), .used = c->used,
			.reserved = c->reserved, .window = c->window, .left_ms = left_of(c, t)};
		if (row.used || row.reserved)
			each(arg, &row);
	}
}

void rates_each(struct rates *r, struct rates_time t, void (*each)(void *arg, const struct rates_row *row),
	void *arg)
{
	look_at_clock(r, t);
	show(&r->others, r, t, each, arg);
	show(&r->clients, r, t, each, arg);
}

uint64_t rates_peek(struct rates *r, struct rates_time t, struct str key)
{
	struct counter *c = map_get(&r->counters, key);
	if (!c)
		return 0;
	look_at_clock(r, t);
	turn(r, c, t);
	return c->used + c->reserved;
}

bool rates_reset(struct rates *r, struct str key)
{
	struct counter *c = map_get(&r->counters, key);
	if (!c)
		return false;
	c->used = 0;
	mark(r, c);
	return true;
}

void rates_destroy(struct rates *r)
{
	if (!r)
		return;
	while (!list_empty(&r->holders))
		release(r, LIST_ENTRY(r->holders.next, struct holder, link));
	LIST_EACH(link, &r->clients)
		drop(r, LIST_ENTRY(link, struct counter, link));
	LIST_EACH(link, &r->others)
		drop(r, LIST_ENTRY(link, struct counter, link));
	while (r->removed) {
		struct removed *gone = r->removed;
		r->removed = gone->next;
		mem_free(gone);
	}
	map_finish(&r->counters);
	map_finish(&r->sessions);
	mem_free(r);
}
