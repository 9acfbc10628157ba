// SPDX-License-Identifier: ISC
// The guard's model: what it counts, when it acts, what ends that, and its octets.
#include "policy/guard.h"

#include "base/error.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#define SECOND ((uint64_t)1000)
#define MINUTE (60 * SECOND)
#define HOUR   (60 * MINUTE)
#define DAY    (24 * HOUR)
#define BEGIN  (20000 * DAY + 10 * HOUR)

struct scene {
	struct guard_state state;
	struct guard_settings settings;
	struct guard_verdict verdict;
	uint64_t now_ms, next, network;
};

static void begin(struct scene *s)
{
	*s = (struct scene){.settings = {.most = GUARD_SUSPEND, .messages = 1000, .recipients = 200},
		.now_ms = BEGIN, .next = 1000};
	s->network = UINT64_C(4) << 56 | 0xc00002;
	s->settings.created_ms = BEGIN - 100 * DAY;
}

static uint64_t person(uint64_t number)
{
	return number * UINT64_C(0x9e3779b97f4a7c15) & ~(uint64_t)GUARD_OURS;
}

static enum guard_action submit(struct scene *s, const uint64_t *to, uint32_t count)
{
	struct guard_message m = {.now_ms = s->now_ms, .network = s->network, .digest = s->next,
		.recipients = to, .recipient_count = count};

	guard_submit(&s->state, &m, &s->settings, &s->verdict);
	return s->verdict.action;
}

static enum guard_action to_stranger(struct scene *s)
{
	uint64_t to = person(s->next++);

	return submit(s, &to, 1);
}

static enum guard_action to_friend(struct scene *s, unsigned number)
{
	uint64_t to = person(number);

	s->next++;
	return submit(s, &to, 1);
}

// Days of a quiet person: eight messages to five friends, one stranger, in office hours.
static void live(struct scene *s, unsigned days)
{
	for (unsigned day = 0; day < days; day++) {
		for (unsigned n = 0; n < 8; n++) {
			s->now_ms += 50 * MINUTE;
			assert_int_equal(to_friend(s, n % 5), GUARD_NONE);
		}
		assert_int_equal(to_stranger(s), GUARD_NONE);
		s->now_ms = BEGIN + (s->now_ms - BEGIN) / DAY * DAY + DAY;
	}
}

static bool has_reason(const struct scene *s, enum guard_signal signal)
{
	for (unsigned n = 0; n < s->verdict.reason_count; n++)
		if (s->verdict.reasons[n].signal == signal)
			return true;
	return false;
}

// ---------------------------------------------------------------- acting

static void test_burst_is_slowed_held_and_suspended(void **state)
{
	struct scene s;
	unsigned slowed = 0, held = 0, suspended = 0, count = 0;

	begin(&s);
	live(&s, 20);
	while (!suspended && count < 2000) {
		enum guard_action a = to_stranger(&s);

		count++;
		s.now_ms += 100;
		slowed = slowed ? slowed : a == GUARD_SLOW ? count : 0;
		held = held ? held : a == GUARD_HOLD ? count : 0;
		suspended = a == GUARD_SUSPEND ? count : 0;
	}
	assert_in_range(slowed, 5, 25);
	assert_in_range(held, slowed + 1, 50);
	assert_in_range(suspended, held + 1, 420);
	assert_true(has_reason(&s, GUARD_SIGNAL_FRESH));
	assert_true(has_reason(&s, GUARD_SIGNAL_VOLUME));
}

static void test_many_recipients_of_one_message(void **state)
{
	uint64_t to[100];
	struct scene s;

	begin(&s);
	live(&s, 20);
	for (unsigned n = 0; n < 100; n++)
		to[n] = person(5000 + n);
	assert_int_equal(submit(&s, to, 100), GUARD_HOLD); // none of them goes
	begin(&s);
	live(&s, 20);
	assert_true(submit(&s, to, 30) < GUARD_HOLD); // an invitation
}

static void test_friends_are_no_reason(void **state)
{
	struct scene s;

	begin(&s);
	live(&s, 20);
	for (unsigned n = 0; n < 100; n++) {
		s.now_ms += SECOND;
		assert_true(to_friend(&s, n % 5) < GUARD_HOLD);
	}
	assert_false(has_reason(&s, GUARD_SIGNAL_FRESH));
}

static void test_strange_networks(void **state)
{
	struct scene s;
	unsigned count = 0;

	begin(&s);
	live(&s, 30);
	while (to_stranger(&s) < GUARD_HOLD && count++ < 50) {
		s.network = UINT64_C(4) << 56 | (0x0a0000 + count * 0x10100);
		s.now_ms += MINUTE;
	}
	assert_in_range(count, 3, 12);
	assert_true(has_reason(&s, GUARD_SIGNAL_NETWORKS));
	assert_true(has_reason(&s, GUARD_SIGNAL_FOREIGN));
}

static void test_refused_recipients(void **state)
{
	struct scene s;

	begin(&s);
	live(&s, 20);
	for (unsigned n = 0; n < 20; n++) {
		s.now_ms += 5 * MINUTE;
		(void)to_friend(&s, n % 5);
		guard_outcome(&s.state, s.now_ms, n % 2, 1 - n % 2, &s.settings, &s.verdict);
	}
	assert_true(has_reason(&s, GUARD_SIGNAL_REFUSED));
	assert_true(s.state.action >= GUARD_SLOW);
}

// A little more each day, under all limits of a day.
static void test_trickle_adds_up(void **state)
{
	struct scene s;
	unsigned out = 0;

	begin(&s);
	live(&s, 25);
	for (; out < 1000; out++) {
		s.now_ms += DAY / 28;
		if (to_stranger(&s) >= GUARD_HOLD)
			break;
	}
	assert_in_range(out, 60, 300);
	assert_true(has_reason(&s, GUARD_SIGNAL_CREEP));
}

// Whoever goes up slowly enough to be learned still meets the limits that do not grow.
static void test_learning_is_bounded(void **state)
{
	struct scene s;
	unsigned held = 0;

	begin(&s);
	live(&s, 20);
	for (unsigned day = 0; day < 60; day++) {
		for (unsigned n = 0; n < 3 + day / 10; n++)
			(void)to_stranger(&s);
		s.now_ms += DAY;
	}
	assert_true(s.state.usual.fresh_ten <= 9);
	while (held < 100 && to_stranger(&s) < GUARD_HOLD)
		held++;
	assert_in_range(held, 10, 50);
}

static void test_held_mail_teaches_nothing(void **state)
{
	struct scene s;
	uint64_t to;

	begin(&s);
	live(&s, 20);
	while (to_stranger(&s) < GUARD_HOLD)
		;
	struct guard_peaks before = s.state.usual;
	to = person(s.next);
	for (unsigned n = 0; n < 300; n++)
		(void)to_stranger(&s);
	assert_false(guard_knows(&s.state, to));
	s.now_ms += 2 * DAY;
	(void)to_friend(&s, 1);
	assert_true(s.state.usual.fresh_day <= before.fresh_day);
	assert_true(s.state.action >= GUARD_HOLD); // until an administrator says so
}

// ---------------------------------------------------------------- caps, learning, profiles

static void test_new_installation_only_looks_on(void **state)
{
	struct scene s;
	unsigned slowed = 0, held = 0, count = 0;

	begin(&s);
	s.settings.learn_until_ms = BEGIN + 14 * DAY;
	for (; !held && count < 5000; count++) {
		enum guard_action a = to_stranger(&s);

		s.now_ms += SECOND;
		slowed = slowed ? slowed : a == GUARD_SLOW ? count : 0;
		held = a == GUARD_HOLD ? count : 0;
		assert_true(a < GUARD_SUSPEND);
	}
	assert_true(slowed && slowed < held);
	assert_int_equal(held, 2 * 1000 - 1);
	assert_true(s.verdict.learning);
	assert_false(has_reason(&s, GUARD_SIGNAL_FRESH));
}

static void test_new_account_has_less(void **state)
{
	struct scene s;
	unsigned count = 0;

	begin(&s);
	s.settings.created_ms = BEGIN;
	while (count < 1000 && to_stranger(&s) < GUARD_HOLD) {
		count++;
		s.now_ms += 12 * MINUTE; // slow enough for everything but the day
	}
	assert_in_range(count, 25, 80);
}

static void test_profiles(void **state)
{
	enum guard_profile p;
	struct scene s;

	begin(&s);
	live(&s, 20);
	s.settings.profile = GUARD_PROFILE_BULK;
	for (unsigned n = 0; n < 3000; n++) {
		s.now_ms += 100;
		assert_int_equal(to_stranger(&s), GUARD_NONE);
	}
	s.settings.profile = GUARD_PROFILE_OFF;
	for (unsigned n = 0; n < 60000; n++)
		assert_int_equal(to_stranger(&s), GUARD_NONE);
	assert_true(guard_profile_parse(STR("bulk"), &p) && p == GUARD_PROFILE_BULK);
	assert_true(guard_profile_parse(STR_EMPTY, &p) && p == GUARD_PROFILE_NORMAL);
	assert_false(guard_profile_parse(STR("large"), &p));
}

// A client may carry the mail of a whole house: until its numbers are known nothing is done.
static void test_client_is_learned_first(void **state)
{
	struct scene s;

	begin(&s);
	s.settings.client = true;
	s.network = 0;
	s.settings.learn_until_ms = BEGIN + 14 * DAY;
	for (unsigned day = 0; day < 14; day++) {
		for (unsigned n = 0; n < 5000; n++) {
			s.now_ms += 10 * SECOND;
			assert_int_equal(to_stranger(&s), GUARD_NONE);
		}
		s.now_ms = BEGIN + (day + 1) * DAY;
	}
	assert_true(s.state.usual.messages >= 1000);
}

static void test_settings_bound_what_is_done(void **state)
{
	struct scene s;

	begin(&s);
	live(&s, 20);
	s.settings.most = GUARD_SLOW;
	for (unsigned n = 0; n < 3000; n++)
		assert_true(to_stranger(&s) <= GUARD_SLOW);
	s.settings.most = GUARD_NONE;
	assert_int_equal(to_stranger(&s), GUARD_NONE);
}

static void test_allow_and_learn(void **state)
{
	struct scene s;

	begin(&s);
	live(&s, 20);
	while (to_stranger(&s) < GUARD_HOLD)
		;
	guard_allow(&s.state, s.now_ms, s.now_ms + DAY);
	for (unsigned n = 0; n < 500; n++)
		assert_int_equal(to_stranger(&s), GUARD_NONE);
	guard_add_contact(&s.state, person(77));
	assert_true(guard_knows(&s.state, person(77)));
	s.now_ms += 3 * DAY;
	guard_learn(&s.state, s.now_ms, s.now_ms + 14 * DAY);
	for (unsigned n = 0; n < 60; n++) {
		s.now_ms += MINUTE;
		assert_true(to_stranger(&s) < GUARD_HOLD);
	}
	assert_true(s.verdict.learning);
}

static void test_slowness_ends_by_itself(void **state)
{
	struct scene s;

	begin(&s);
	live(&s, 20);
	while (to_stranger(&s) < GUARD_SLOW)
		;
	s.now_ms += 26 * HOUR;
	assert_int_equal(to_friend(&s, 1), GUARD_NONE);
}

static void test_clock_goes_back(void **state)
{
	struct scene s;

	begin(&s);
	live(&s, 20);
	s.now_ms -= HOUR;
	assert_int_equal(to_friend(&s, 1), GUARD_NONE);
	s.now_ms -= 100 * DAY;
	assert_int_equal(to_friend(&s, 1), GUARD_NONE);
	s.now_ms += 30000 * DAY;
	assert_int_equal(to_friend(&s, 1), GUARD_NONE);
	s.now_ms = 0;
	assert_int_equal(to_friend(&s, 1), GUARD_NONE);
}

// ---------------------------------------------------------------- contacts and octets

static void test_contacts_rotate(void **state)
{
	struct scene s;
	unsigned wrong = 0;

	begin(&s);
	for (unsigned n = 0; n < 3 * GUARD_CONTACTS_MOST; n++)
		guard_add_contact(&s.state, person(n));
	for (unsigned n = 0; n < GUARD_CONTACTS_MOST; n++)
		assert_true(guard_knows(&s.state, person(3 * GUARD_CONTACTS_MOST - 1 - n)));
	for (unsigned n = 0; n < 10000; n++)
		wrong += guard_knows(&s.state, person(1000000 + n));
	assert_true(wrong < 500); // one stranger in twenty at the very worst
}

static void test_octets(void **state)
{
	struct guard_state again;
	struct buf octets = {.limit = GUARD_STATE_MAX}, twice = {.limit = GUARD_STATE_MAX};
	struct scene s;

	begin(&s);
	live(&s, 20);
	while (to_stranger(&s) < GUARD_HOLD)
		;
	assert_int_equal(guard_encode(&s.state, &octets), 0);
	assert_int_equal(guard_decode(buf_str(&octets), &again), 0);
	assert_int_equal(again.action, GUARD_HOLD);
	assert_true(guard_knows(&again, person(3)));
	assert_int_equal(guard_encode(&again, &twice), 0);
	assert_true(str_equal(buf_str(&octets), buf_str(&twice)));
	assert_true(buf_len(&octets) < 4000); // most of it is empty
	for (size_t n = 0; n < buf_len(&octets); n++)
		assert_int_not_equal(guard_decode(str_slice(buf_str(&octets), 0, n), &again), 0);
	assert_int_equal(again.first_ms, 0);
	octets.data[octets.start] = 2;
	assert_int_equal(guard_decode(buf_str(&octets), &again), ERR_UNSUPPORTED);
	buf_finish(&octets);
	buf_finish(&twice);
}

static void test_full_state_fits(void **state)
{
	struct buf octets = {.limit = GUARD_STATE_MAX};
	struct guard_state again;
	struct scene s;

	begin(&s);
	live(&s, 2);
	memset(s.state.contacts, 0x55, sizeof(s.state.contacts));
	assert_int_equal(guard_encode(&s.state, &octets), 0);
	assert_int_equal(guard_decode(buf_str(&octets), &again), 0);
	for (size_t n = 0; n < sizeof(s.state.contacts[0]); n++) // the worst to write: every other one empty
		s.state.contacts[0][n] = n % 2 ? 0 : 1;
	buf_clear(&octets);
	assert_int_equal(guard_encode(&s.state, &octets), 0);
	assert_int_equal(guard_decode(buf_str(&octets), &again), 0);
	buf_finish(&octets);
}

static void test_networks_as_text(void **state)
{
	static const char *const rows[][2] = {{"192.0.2.7", "192.0.2.0/24"}, {"2001:db8:1:2::3", "2001:db8:1::/48"}};
	char text[IPADDR_TEXT_MAX + 4];
	struct ipaddr a;

	for (unsigned n = 0; n < ARRAY_SIZE(rows); n++) {
		assert_int_equal(ipaddr_parse(str_from(rows[n][0]), &a), 0);
		assert_string_equal(guard_network_format(guard_network_of(&a), text), rows[n][1]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_burst_is_slowed_held_and_suspended),
		cmocka_unit_test(test_many_recipients_of_one_message),
		cmocka_unit_test(test_friends_are_no_reason),
		cmocka_unit_test(test_strange_networks),
		cmocka_unit_test(test_refused_recipients),
		cmocka_unit_test(test_trickle_adds_up),
		cmocka_unit_test(test_learning_is_bounded),
		cmocka_unit_test(test_held_mail_teaches_nothing),
		cmocka_unit_test(test_new_installation_only_looks_on),
		cmocka_unit_test(test_new_account_has_less),
		cmocka_unit_test(test_profiles),
		cmocka_unit_test(test_client_is_learned_first),
		cmocka_unit_test(test_settings_bound_what_is_done),
		cmocka_unit_test(test_allow_and_learn),
		cmocka_unit_test(test_slowness_ends_by_itself),
		cmocka_unit_test(test_clock_goes_back),
		cmocka_unit_test(test_contacts_rotate),
		cmocka_unit_test(test_octets),
		cmocka_unit_test(test_full_state_fits),
		cmocka_unit_test(test_networks_as_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
