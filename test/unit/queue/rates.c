// SPDX-License-Identifier: ISC
// Counting, against a model that does it the slow way; then clocks, restarts and what is written.
#include "queue/rates.h"

#include "base/error.h"
#include "config/limits.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define DAY    86400000ull
#define HOUR   3600000ull
#define MINUTE 60000ull
#define START  (20000 * DAY + 12 * HOUR + 34 * MINUTE + 56789)

static struct rates *r;
static struct rates_time now;

static void begin(void)
{
	now = (struct rates_time){START, 1000000};
	r = rates_create();
	rates_loaded(r);
}

static void end(void)
{
	rates_destroy(r);
}

static void wait_ms(uint64_t ms)
{
	now.wall_ms += ms;
	now.steady_ms += ms;
}

static void add(struct buf *list, const char *key, enum config_rate_period period,
	enum config_rate_action action, uint64_t most, uint32_t amount)
{
	struct ipc_rate one = {.key = str_from(key), .period = (uint8_t)period, .action = (uint8_t)action,
		.most = most, .amount = amount, .words = STR("words"), .where = STR("where")};
	assert_int_equal(ipc_list_add_rate(list, &one), 0);
}

static const char *const periods[] = {"minute", "hour", "day"};

static struct str one(struct buf *list, enum config_rate_period period, enum config_rate_action action,
	uint64_t most, uint32_t amount)
{
	char key[100];
	snprintf(key, sizeof key, "account kim@example.kr recipients %s", periods[period]);
	buf_clear(list);
	add(list, key, period, action, most, amount);
	return buf_str(list);
}

static int reserve(uint64_t session, enum config_rate_period period, uint64_t most, uint32_t amount)
{
	struct buf list = BUF_INIT;
	struct rates_full full;
	int err = rates_reserve(r, now, 1, session, one(&list, period, CONFIG_RATE_DEFER, most, amount), &full);
	buf_finish(&list);
	return err;
}

static int take(uint64_t session, enum config_rate_period period, uint64_t most, uint32_t amount)
{
	struct buf list = BUF_INIT;
	struct rates_taken *taken = NULL;
	int err = rates_take(r, now, session, one(&list, period, CONFIG_RATE_DEFER, most, amount), &taken);
	rates_taken_end(r, taken, true);
	buf_finish(&list);
	return err;
}

static uint64_t count(enum config_rate_period period)
{
	char key[100];
	snprintf(key, sizeof key, "account kim@example.kr recipients %s", periods[period]);
	return rates_peek(r, now, str_from(key));
}

// ---- against a model

#define KEYS     4
#define SESSIONS 6
#define WORKERS  2

static const uint64_t lengths[] = {MINUTE, HOUR, DAY};
static const struct {
	const char *key;
	enum config_rate_period period;
	uint64_t most;
} keys[KEYS] = {
	{"account a@b.kr recipients minute", CONFIG_RATE_MINUTE, 7},
	{"client 192.0.2.1 recipients hour", CONFIG_RATE_HOUR, 12},
	{"domain b.kr messages day", CONFIG_RATE_DAY, 20},
	{"account a@b.kr recipients day", CONFIG_RATE_DAY, 15},
};

struct model {
	uint64_t used[KEYS], window[KEYS], last_wall;
	uint32_t held[SESSIONS][KEYS];
	struct rates_taken *open[SESSIONS];  // messages on their way to the disk
	uint32_t amounts[SESSIONS][KEYS];    // of them
	uint64_t windows[SESSIONS][KEYS];
	uint64_t seed;
	unsigned refused, accepted;
};

static unsigned dice(struct model *m, unsigned sides)
{
	m->seed = m->seed * 6364136223846793005u + 1442695040888963407u;
	return (unsigned)(m->seed >> 33) % sides;
}

static void turn(struct model *m)
{
	for (unsigned k = 0; k < KEYS; k++) {
		uint64_t window = now.wall_ms / lengths[keys[k].period] * lengths[keys[k].period];
		if (window > m->window[k]) {
			m->window[k] = window;
			m->used[k] = 0;
		}
	}
}

static uint64_t stands(const struct model *m, unsigned k)
{
	uint64_t sum = m->used[k];
	for (unsigned s = 0; s < SESSIONS; s++)
		sum += m->held[s][k];
	return sum;
}

static unsigned choose(struct model *m, struct buf *list, unsigned chosen[KEYS], uint32_t amounts[KEYS])
{
	unsigned n = 0;
	for (unsigned k = 0; k < KEYS; k++)
		if (dice(m, 3)) {
			amounts[n] = dice(m, 4);
			chosen[n++] = k;
			add(list, keys[k].key, keys[k].period, CONFIG_RATE_DEFER, keys[k].most, amounts[n - 1]);
		}
	return n;
}

static void try_reserve(struct model *m, unsigned s)
{
	struct buf list = BUF_INIT;
	struct rates_full full;
	unsigned chosen[KEYS];
	uint32_t amounts[KEYS];
	unsigned n = choose(m, &list, chosen, amounts);
	int expected = 0;
	unsigned which = 0;
	for (unsigned i = 0; i < n && !expected; i++)
		if (stands(m, chosen[i]) + (amounts[i] ? amounts[i] : 1) > keys[chosen[i]].most) {
			expected = ERR_LIMIT;
			which = i;
		}
	assert_int_equal(rates_reserve(r, now, s % WORKERS, s + 1, buf_str(&list), &full), expected);
	if (expected) {
		assert_int_equal(full.index, which);
		m->refused++;
	}
	for (unsigned i = 0; i < n && !expected; i++)
		m->held[s][chosen[i]] += amounts[i];
	buf_finish(&list);
}

static void try_take(struct model *m, unsigned s)
{
	struct buf list = BUF_INIT;
	unsigned chosen[KEYS];
	uint32_t amounts[KEYS];
	if (m->open[s])
		return;
	unsigned n = choose(m, &list, chosen, amounts);
	bool fits = true;
	for (unsigned i = 0; i < n; i++) {
		unsigned k = chosen[i];
		uint32_t more = amounts[i] > m->held[s][k] ? amounts[i] - m->held[s][k] : 0;
		fits = fits && (!more || stands(m, k) + more <= keys[k].most);
	}
	memset(m->held[s], 0, sizeof m->held[s]);
	memset(m->amounts[s], 0, sizeof m->amounts[s]);
	assert_int_equal(rates_take(r, now, s + 1, buf_str(&list), &m->open[s]), fits ? 0 : ERR_UNAVAILABLE);
	for (unsigned i = 0; i < n && fits; i++) {
		m->used[chosen[i]] += amounts[i];
		m->amounts[s][chosen[i]] = amounts[i];
		m->windows[s][chosen[i]] = m->window[chosen[i]];
	}
	m->accepted += fits;
	buf_finish(&list);
}

static void end_take(struct model *m, unsigned s)
{
	bool committed = dice(m, 3);
	if (!m->open[s])
		return;
	rates_taken_end(r, m->open[s], committed);
	m->open[s] = NULL;
	for (unsigned k = 0; k < KEYS && !committed; k++)
		if (m->windows[s][k] == m->window[k])
			m->used[k] -= m->amounts[s][k];
}

static void gone(struct model *m, unsigned worker)
{
	rates_worker_gone(r, worker);
	for (unsigned s = worker; s < SESSIONS; s += WORKERS)
		memset(m->held[s], 0, sizeof m->held[s]);
}

static void write_some(struct model *m)
{
	struct store_batch *b = store_batch_create();
	if (dice(m, 2))
		rates_write(r, b);
	else
		(void)rates_sweep(r, now, b);
	store_batch_destroy(b);
}

static void step(struct model *m)
{
	unsigned s = dice(m, SESSIONS);
	switch (dice(m, 12)) {
	case 0: case 1: case 2: case 3: case 4:
		try_reserve(m, s);
		break;
	case 5: case 6:
		try_take(m, s);
		break;
	case 7: case 8:
		end_take(m, s);
		break;
	case 9:
		rates_release(r, s + 1);
		memset(m->held[s], 0, sizeof m->held[s]);
		break;
	case 10:
		if (!dice(m, 5))
			gone(m, s % WORKERS);
		else
			write_some(m);
		break;
	default:
		wait_ms(dice(m, 20) ? dice(m, 10000) : dice(m, 2 * HOUR));
		turn(m);
	}
}

static void as_the_model_says(void **state)
{
	for (uint64_t seed = 1; seed <= 40; seed++) {
		struct model m = {.seed = seed};
		begin();
		turn(&m);
		for (unsigned n = 0; n < 2000; n++) {
			step(&m);
			for (unsigned k = 0; k < KEYS; k++) {
				assert_int_equal(rates_peek(r, now, str_from(keys[k].key)), stands(&m, k));
				assert_true(stands(&m, k) <= keys[k].most);
			}
		}
		assert_true(m.refused > 100 && m.accepted > 50);
		for (unsigned s = 0; s < SESSIONS; s++)
			rates_taken_end(r, m.open[s], true);
		end();
	}
}

// ---- one after the other

static void exactly_so_many(void **state)
{
	begin();
	for (uint64_t session = 1; session <= 8; session++) // sessions in turn, one recipient each time
		assert_int_equal(reserve(session, CONFIG_RATE_DAY, 20, 2), 0);
	for (unsigned n = 0; n < 4; n++)
		assert_int_equal(reserve(n + 1, CONFIG_RATE_DAY, 20, 1), 0);
	assert_int_equal(reserve(7, CONFIG_RATE_DAY, 20, 1), ERR_LIMIT);
	assert_int_equal(reserve(7, CONFIG_RATE_DAY, 20, 0), ERR_LIMIT); // only looks
	rates_release(r, 8);
	assert_int_equal(reserve(7, CONFIG_RATE_DAY, 20, 0), 0);
	assert_int_equal(count(CONFIG_RATE_DAY), 18);
	assert_int_equal(take(1, CONFIG_RATE_DAY, 20, 3), 0);
	rates_worker_gone(r, 1);
	assert_int_equal(count(CONFIG_RATE_DAY), 3); // what was accepted stays
	end();
}

static void windows_begin_with_the_clock(void **state)
{
	struct buf list = BUF_INIT;
	struct rates_full full;
	begin();
	for (enum config_rate_period p = 0; p < CONFIG_RATE_PERIODS; p++)
		assert_int_equal(take(1, p, 1, 1), 0);
	assert_int_equal(rates_reserve(r, now, 1, 2, one(&list, CONFIG_RATE_MINUTE, CONFIG_RATE_DEFER, 1, 1),
		&full), ERR_LIMIT);
	assert_int_equal(full.left_ms, MINUTE - START % MINUTE);
	assert_int_equal(full.count, 2);
	wait_ms(full.left_ms);
	assert_int_equal(count(CONFIG_RATE_MINUTE), 0);
	assert_int_equal(count(CONFIG_RATE_HOUR), 1);
	wait_ms(HOUR);
	assert_int_equal(count(CONFIG_RATE_HOUR), 0);
	assert_int_equal(count(CONFIG_RATE_DAY), 1);
	assert_int_equal(reserve(3, CONFIG_RATE_DAY, 5, 4), 0);
	wait_ms(DAY);
	assert_int_equal(count(CONFIG_RATE_DAY), 4); // what is open counts when it is sent
	assert_int_equal(take(3, CONFIG_RATE_DAY, 5, 4), 0);
	assert_int_equal(reserve(3, CONFIG_RATE_DAY, 5, 2), ERR_LIMIT);
	buf_finish(&list);
	end();
}

static void a_clock_that_jumps_takes_nothing_away(void **state)
{
	static const int64_t jumps[] = {-(int64_t)(3 * DAY), 5 * DAY, 1500, -1500, 400 * (int64_t)DAY, -3000};
	begin();
	for (enum config_rate_period p = 0; p < CONFIG_RATE_PERIODS; p++)
		assert_int_equal(take(1, p, 9, 5), 0);
	for (size_t i = 0; i < ARRAY_SIZE(jumps); i++) {
		now.wall_ms = (uint64_t)((int64_t)now.wall_ms + jumps[i]);
		wait_ms(1); // the steady clock sees that no time passed
		for (enum config_rate_period p = 0; p < CONFIG_RATE_PERIODS; p++)
			assert_int_equal(count(p), 5);
	}
	wait_ms(DAY); // a sleep of the machine is time that passed
	assert_int_equal(count(CONFIG_RATE_DAY), 0);
	end();
}

// ---- the store

static const char row[] = "rate account kim@example.kr recipients day";

static void counts_are_read_again(void **state)
{
	uint64_t today = START / DAY * DAY;
	r = rates_create();
	now = (struct rates_time){START, 5};
	assert_int_equal(reserve(1, CONFIG_RATE_DAY, 5, 1), ERR_UNAVAILABLE); // nobody knows yet
	assert_int_equal(take(1, CONFIG_RATE_DAY, 5, 1), ERR_UNAVAILABLE);
	rates_load(r, now, str_from(row), today - DAY, 50); // yesterday's
	rates_load(r, now, str_from(row), today, 3);
	rates_load(r, now, STR("rate account kim@example.kr recipients hour"), START / HOUR * HOUR - HOUR, 7);
	rates_load(r, now, STR("something else"), today, 9);
	rates_load(r, now, STR("rate of no period"), today, 9);
	rates_loaded(r);
	assert_int_equal(count(CONFIG_RATE_DAY), 3);
	assert_int_equal(count(CONFIG_RATE_HOUR), 0);
	assert_int_equal(reserve(1, CONFIG_RATE_DAY, 5, 3), ERR_LIMIT);
	assert_int_equal(reserve(1, CONFIG_RATE_DAY, 5, 2), 0);
	end();
	r = rates_create(); // the clock was set back while nothing ran
	rates_load(r, now, str_from(row), today + 30 * DAY, 4);
	rates_loaded(r);
	assert_int_equal(count(CONFIG_RATE_DAY), 4);
	wait_ms(DAY);
	assert_int_equal(count(CONFIG_RATE_DAY), 0);
	end();
}

// A reservation of the process before this one is not known any more: there must be room now.
static void what_was_not_reserved_must_fit(void **state)
{
	begin();
	assert_int_equal(take(1, CONFIG_RATE_DAY, 5, 4), 0);
	assert_int_equal(take(2, CONFIG_RATE_DAY, 5, 2), ERR_UNAVAILABLE);
	assert_int_equal(count(CONFIG_RATE_DAY), 4);
	assert_int_equal(reserve(3, CONFIG_RATE_DAY, 5, 1), 0);
	assert_int_equal(take(3, CONFIG_RATE_DAY, 5, 2), ERR_UNAVAILABLE);
	assert_int_equal(count(CONFIG_RATE_DAY), 4); // and nothing stays reserved
	end();
}

static void hold_judges_the_message(void **state)
{
	struct buf list = BUF_INIT;
	struct rates_taken *taken;
	static const bool held[] = {false, true, true};
	begin();
	for (size_t i = 0; i < ARRAY_SIZE(held); i++) {
		assert_int_equal(rates_take(r, now, 1, one(&list, CONFIG_RATE_DAY, CONFIG_RATE_HOLD, 3, 2),
			&taken), 0);
		assert_int_equal(taken->held.key.len != 0, held[i]);
		if (held[i])
			assert_int_equal(taken->held_count, 2 * (i + 1));
		rates_taken_end(r, taken, i < 2);
	}
	assert_int_equal(count(CONFIG_RATE_DAY), 4); // the third was not committed
	buf_finish(&list);
	end();
}

static void nonsense(void **state)
{
	struct buf list = BUF_INIT;
	struct rates_full full;
	begin();
	assert_int_equal(rates_reserve(r, now, 1, 1, STR("no list"), &full), ERR_CORRUPT);
	add(&list, "a day", (enum config_rate_period)3, CONFIG_RATE_DEFER, 1, 1);
	assert_int_equal(rates_reserve(r, now, 1, 1, buf_str(&list), &full), ERR_CORRUPT);
	buf_clear(&list);
	for (unsigned n = 0; n <= CONFIG_RATES; n++)
		add(&list, "a day", CONFIG_RATE_DAY, CONFIG_RATE_DEFER, 1, 1);
	assert_int_equal(rates_reserve(r, now, 1, 1, buf_str(&list), &full), ERR_CORRUPT);
	rates_release(r, 77);
	assert_false(rates_reset(r, STR("nobody")));
	buf_finish(&list);
	end();
}

// Addresses are free to choose: those of one hour must not fill the memory.
static void addresses_are_bounded(void **state)
{
	struct buf list = BUF_INIT;
	struct rates_full full;
	begin();
	assert_int_equal(take(1, CONFIG_RATE_DAY, 5, 4), 0);
	for (unsigned n = 0; n < 200100; n++) {
		char key[60];
		snprintf(key, sizeof key, "client 2001:db8:%x:%x::/64 messages hour", n >> 16, n & 0xffff);
		buf_clear(&list);
		add(&list, key, CONFIG_RATE_HOUR, CONFIG_RATE_DEFER, 1, 1);
		assert_int_equal(rates_reserve(r, now, 1, 5, buf_str(&list), &full), 0);
		rates_release(r, 5);
	}
	assert_int_equal(count(CONFIG_RATE_DAY), 4); // of accounts none is lost
	buf_finish(&list);
	end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(as_the_model_says),
		cmocka_unit_test(exactly_so_many),
		cmocka_unit_test(windows_begin_with_the_clock),
		cmocka_unit_test(a_clock_that_jumps_takes_nothing_away),
		cmocka_unit_test(counts_are_read_again),
		cmocka_unit_test(what_was_not_reserved_must_fit),
		cmocka_unit_test(hold_judges_the_message),
		cmocka_unit_test(nonsense),
		cmocka_unit_test(addresses_are_bounded),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
