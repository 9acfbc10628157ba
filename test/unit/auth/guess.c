// SPDX-License-Identifier: ISC
#include "auth/guess.h"

#include "base/memory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define WINDOW 600000
#define BLOCK  300000

static const struct auth_guess_limits usual = {WINDOW, BLOCK,
	{[AUTH_GUESS_PAIR] = 3, [AUTH_GUESS_ADDRESS] = 6, [AUTH_GUESS_NAMES_ADDRESS] = 4,
		[AUTH_GUESS_NETWORK] = 12, [AUTH_GUESS_NAMES_NETWORK] = 9, [AUTH_GUESS_ACCOUNT] = 8}};

static struct auth_guess guess;
static struct auth_guess_refusal why;
static uint64_t next_password;

static int set_up(void **state)
{
	auth_guess_init(&guess, &usual);
	return 0;
}

static int tear_down(void **state)
{
	auth_guess_finish(&guess);
	return 0;
}

static struct ipaddr address(const char *text)
{
	struct ipaddr a = {0};

	if (text[0])
		assert_int_equal(ipaddr_parse(str_from(text), &a), 0);
	return a;
}

static bool ask(struct auth_guess_attempt *a, const char *name, const char *client, uint64_t password,
	bool known, uint64_t now)
{
	struct ipaddr from = address(client);

	return auth_guess_ask(&guess, a, str_from(name), &from, password, known, now, &why);
}

// Whether it would be looked at; leaves no trace.
static bool may(const char *name, const char *client, bool known, uint64_t now)
{
	struct auth_guess_attempt a;
	bool yes = ask(&a, name, client, ++next_password, known, now);

	auth_guess_dropped(&guess, &a);
	return yes;
}

static bool wrong_with(const char *name, const char *client, uint64_t password, uint64_t now)
{
	struct auth_guess_attempt a;

	if (!ask(&a, name, client, password, false, now))
		return false;
	(void)auth_guess_failed(&guess, &a, now);
	return true;
}

static bool wrong(const char *name, const char *client, uint64_t now)
{
	return wrong_with(name, client, ++next_password, now);
}

static void right(const char *name, const char *client, bool known, uint64_t now)
{
	struct auth_guess_attempt a;

	assert_true(ask(&a, name, client, 1 << 30, known, now));
	auth_guess_succeeded(&guess, &a);
}

// The number in place of "%u", where there is one.
static const char *text(const char *format, unsigned n)
{
	static char out[4][48];
	static unsigned at;
	const char *place = strstr(format, "%u");

	if (!place)
		return format;
	at = (at + 1) % 4;
	snprintf(out[at], sizeof out[at], "%.*s%u%s", (int)(place - format), format, n, place + 2);
	return out[at];
}

// ---- limits
// How many of a kind are looked at, and what stops the next.
static void each_limit_holds(void **state)
{
	static const struct {
		const char *name, *client; // with the attempt's number
		enum auth_guess_scope scope;
		unsigned most;
	} rows[] = {
		{"kim", "192.0.2.1", AUTH_GUESS_PAIR, 3},
		{"kim%u", "192.0.2.1", AUTH_GUESS_NAMES_ADDRESS, 4},
		{"kim%u", "192.0.2.%u", AUTH_GUESS_NAMES_NETWORK, 9},
		{"kim", "192.0.%u.1", AUTH_GUESS_ACCOUNT, 8},
		{"kim", "2001:db8::%u", AUTH_GUESS_PAIR, 3}, // a /64 is one customer
		{"kim%u", "2001:db8::%u", AUTH_GUESS_NAMES_ADDRESS, 4},
		{"kim", "2001:db8:0:%u::1", AUTH_GUESS_ACCOUNT, 8},
		{"kim", "", AUTH_GUESS_ACCOUNT, 8}, // where the address is not told
		{"", "192.0.2.1", AUTH_GUESS_ADDRESS, 6},
	};

	for (size_t r = 0; r < ARRAY_SIZE(rows); r++) {
		unsigned n = 0;
		while (n < 50 && wrong(text(rows[r].name, n), text(rows[r].client, n), 1000))
			n++;
		assert_int_equal(n, rows[r].most);
		assert_int_equal(why.scope, rows[r].scope);
		assert_int_equal(why.count, rows[r].most);
		assert_int_equal(why.left_ms, BLOCK);
		auth_guess_clear(&guess, NULL, NULL, 1000);
	}
}

static void an_address_and_a_network_have_limits_of_their_own(void **state)
{
	// Two names, three times each: no pair over its limit before the address is.
	for (unsigned n = 0; n < 6; n++)
		assert_true(wrong(text("kim%u", n % 2), "192.0.2.1", 1));
	assert_false(may("lee", "192.0.2.1", false, 1));
	assert_int_equal(why.scope, AUTH_GUESS_ADDRESS);
	assert_true(may("lee", "192.0.2.2", false, 1));
	for (unsigned n = 0; n < 6; n++)
		assert_true(wrong(text("kim%u", n % 2), text("192.0.2.%u", 10 + n), 1));
	assert_false(may("lee", "192.0.2.2", false, 1));
	assert_int_equal(why.scope, AUTH_GUESS_NETWORK);
	assert_true(may("lee", "192.0.3.2", false, 1));
}

static void a_limit_of_0_is_none(void **state)
{
	guess.limits = (struct auth_guess_limits){.window_ms = WINDOW, .block_ms = BLOCK};
	for (unsigned n = 0; n < 1000; n++)
		assert_true(wrong(n % 2 ? "kim" : text("kim%u", n), "192.0.2.1", 1));
	assert_int_equal(auth_guess_each(&guess, 1, NULL, NULL), 0);
}

// ---- time
static void blocks_end_and_begin_anew(void **state)
{
	for (unsigned n = 0; n < 3; n++)
		assert_true(wrong("kim", "192.0.2.1", 1000));
	assert_false(wrong("kim", "192.0.2.1", 1000 + BLOCK - 1)); // trying on does not prolong it
	assert_int_equal(why.left_ms, 1);
	for (unsigned n = 0; n < 3; n++)
		assert_true(wrong("kim", "192.0.2.1", 1000 + BLOCK));
	assert_false(wrong("kim", "192.0.2.1", 1000 + BLOCK));
}

static void failures_are_counted_within_a_window(void **state)
{
	assert_true(wrong("kim", "192.0.2.1", 1));
	assert_true(wrong("kim", "192.0.2.1", 1 + WINDOW));
	assert_true(wrong("kim", "192.0.2.1", 2 + WINDOW)); // the first of another one
	assert_true(wrong("kim", "192.0.2.1", 3 + WINDOW));
	assert_true(wrong("kim", "192.0.2.1", 2 + 2 * WINDOW));
	assert_false(wrong("kim", "192.0.2.1", 2 + 2 * WINDOW));
}

// ---- what counts
static void the_same_wrong_password_counts_once(void **state)
{
	struct auth_guess_attempt a;

	for (unsigned n = 0; n < 100; n++) // two programs with old passwords
		assert_true(wrong_with("kim", "192.0.2.1", 7 + n % 2, 1));
	assert_true(ask(&a, "kim", "192.0.2.1", 7, false, 1));
	assert_int_equal(auth_guess_failed(&guess, &a, 1), 2); // of the address
	assert_true(wrong_with("kim", "192.0.2.1", 9, 1));
	assert_false(wrong_with("kim", "192.0.2.1", 7, 1));
	assert_true(wrong_with("lee", "192.0.2.1", 7, 1)); // the same for another name is a guess
}

static void what_is_under_way_counts(void **state)
{
	struct auth_guess_attempt a[8], same[100];

	for (unsigned n = 0; n < 3; n++)
		assert_true(ask(&a[n], "kim", "192.0.2.1", 10 + n, false, 1));
	assert_false(ask(&a[3], "kim", "192.0.2.1", 13, false, 1));
	for (unsigned n = 0; n < 100; n++) // one program with many connections
		assert_true(ask(&same[n], "lee", "192.0.2.2", 5, false, 1));
	for (unsigned n = 0; n < 100; n++)
		auth_guess_succeeded(&guess, &same[n]);
	auth_guess_dropped(&guess, &a[0]); // could not be looked at after all
	assert_true(ask(&a[3], "kim", "192.0.2.1", 10, false, 1));
	for (unsigned n = 1; n < 4; n++)
		(void)auth_guess_failed(&guess, &a[n], 1);
	assert_false(may("kim", "192.0.2.1", false, 1));
}

// Of many who log in at once from one address none has failed yet.
static void many_at_once_are_no_guessers(void **state)
{
	static struct auth_guess_attempt a[500];

	for (unsigned n = 0; n < ARRAY_SIZE(a); n++)
		assert_true(ask(&a[n], text("user%u", n), "192.0.2.1", n, false, 1));
	for (unsigned n = 0; n < ARRAY_SIZE(a); n++)
		auth_guess_succeeded(&guess, &a[n]);
	for (unsigned kind = 0; kind < AUTH_GUESS_KINDS; kind++)
		assert_int_equal(guess.tables[kind].entries.count, 0); // nothing is kept of them
}

static void success_forgives_the_pair_and_one_of_the_address(void **state)
{
	assert_true(wrong("kim", "192.0.2.1", 1));
	assert_true(wrong("kim", "192.0.2.1", 1));
	right("kim", "192.0.2.1", false, 1);
	for (unsigned n = 0; n < 3; n++)
		assert_true(wrong("kim", "192.0.2.1", 1));
	assert_false(may("kim", "192.0.2.1", false, 1));
	// 5 failures and a success: two are left of the limit of 6.
	assert_true(wrong("lee", "192.0.2.1", 1));
	assert_true(wrong("lee", "192.0.2.1", 1));
	assert_false(may("park", "192.0.2.1", false, 1));
	assert_int_equal(why.scope, AUTH_GUESS_ADDRESS);
}

static void a_failure_that_was_not_asked_for_counts(void **state)
{
	for (unsigned n = 0; n < 3; n++) {
		struct auth_guess_attempt a = {.client = address("192.0.2.1"), .name = "kim"};
		assert_int_equal(auth_guess_failed(&guess, &a, 1), n + 1);
	}
	assert_false(may("kim", "192.0.2.1", false, 1));
}

// ---- known addresses
static void a_known_address_is_let_in_while_others_guess(void **state)
{
	for (unsigned n = 0; n < 8; n++)
		assert_true(wrong("kim", text("192.0.%u.1", n), 1));
	assert_false(may("kim", "192.0.99.1", false, 1));
	assert_int_equal(why.scope, AUTH_GUESS_ACCOUNT);
	assert_true(may("kim", "192.0.99.1", true, 1));
	right("kim", "192.0.99.1", true, 1);
	assert_false(may("kim", "192.0.98.1", false, 1)); // which helps no guesser
	// Who guesses from there is stopped as everywhere.
	struct auth_guess_attempt a;
	for (unsigned n = 0; n < 3; n++) {
		assert_true(ask(&a, "kim", "192.0.99.1", 100 + n, true, 1));
		(void)auth_guess_failed(&guess, &a, 1);
	}
	assert_false(may("kim", "192.0.99.1", true, 1));
	assert_int_equal(why.scope, AUTH_GUESS_PAIR);
}

static void a_spray_beside_somebody_known(void **state)
{
	struct auth_guess_attempt a;

	for (unsigned n = 0; n < 4; n++)
		assert_true(wrong(text("name%u", n), "192.0.2.1", 1));
	assert_false(may("lee", "192.0.2.1", false, 1));
	assert_int_equal(why.scope, AUTH_GUESS_NAMES_ADDRESS);
	assert_true(may("kim", "192.0.2.1", true, 1)); // at home behind the same address
	assert_true(may("lee", "192.0.2.2", false, 1));
	// What those mistype who are at home there is no spray, but has an end.
	auth_guess_clear(&guess, NULL, NULL, 1);
	for (unsigned n = 0; n < 6; n++) {
		assert_true(ask(&a, text("home%u", n), "192.0.2.1", n, true, 1));
		(void)auth_guess_failed(&guess, &a, 1);
	}
	assert_false(may("home", "192.0.2.1", true, 1));
	assert_int_equal(why.scope, AUTH_GUESS_ADDRESS);
}

// ---- bounds
static void memory_is_bounded(void **state)
{
	static char client[32], name[AUTH_NAME_MAX + 100];

	for (unsigned n = 0; n < 8; n++) // guessed from elsewhere, before and meanwhile
		assert_true(wrong("kim", text("198.51.%u.1", n), 1));
	for (unsigned n = 0; n < 1000000; n++) {
		snprintf(client, sizeof client, "10.%u.%u.%u", n >> 16, n >> 8 & 255, n & 255);
		if (n % 1000 == 0)
			assert_false(wrong("kim", client, 2));
		if (n % 4 == 0)
			(void)wrong("lee", client, 2);
		else
			(void)wrong(text("name%u", n), client, 2);
		if (n % 100000 == 0)
			for (unsigned kind = 0; kind < AUTH_GUESS_KINDS; kind++)
				assert_true(guess.tables[kind].entries.count <= AUTH_GUESS_ENTRIES);
	}
	assert_false(may("lee", "203.0.113.1", false, 2));
	assert_true(may("park", "203.0.113.1", false, 2));
	memset(name, 'x', sizeof name - 1); // longer than any name is
	assert_true(wrong(name, "203.0.113.1", 2));
}

// ---- what is shown and cleared
static char seen[400];

static void note(void *arg, const struct auth_guess_block *b)
{
	char from[IPADDR_TEXT_MAX] = "";
	size_t used = strlen(seen);

	if (b->network.addr.family)
		ipaddr_format(&b->network.addr, from);
	snprintf(seen + used, sizeof seen - used, "%s:%.*s:%s/%u:%u ", auth_guess_scope_name(b->scope),
		STR_ARG(b->name), from, b->network.prefix, (unsigned)b->count);
	assert_true(b->left_ms > 0 && b->left_ms <= BLOCK);
}

static const char *blocks(uint64_t now)
{
	seen[0] = '\0';
	auth_guess_each(&guess, now, note, NULL);
	return seen;
}

static uint64_t clear(const char *name, const char *network)
{
	struct str n = str_from(name);
	struct ipnet net;

	if (network[0])
		assert_int_equal(ipnet_parse(str_from(network), &net), 0);
	return auth_guess_clear(&guess, name[0] ? &n : NULL, network[0] ? &net : NULL, 1);
}

static void blocks_are_listed_and_cleared(void **state)
{
	for (unsigned n = 0; n < 3; n++)
		assert_true(wrong("kim", "192.0.2.1", 1));
	for (unsigned n = 0; n < 4; n++)
		assert_true(wrong(text("name%u", n), "2001:db8::1", 1));
	assert_string_equal(blocks(1), "account-address:kim:192.0.2.1/32:3 names::2001:db8::/64:4 ");
	assert_string_equal(blocks(1 + BLOCK), "");
	assert_int_equal(clear("lee", ""), 0);
	assert_int_equal(clear("", "192.0.3.0/24"), 0);
	assert_false(may("kim", "192.0.2.1", false, 1));
	assert_int_equal(clear("kim", ""), 1);
	assert_true(may("kim", "192.0.2.1", false, 1));
	assert_int_equal(clear("", "2001:db8::/32"), 1);
	assert_string_equal(blocks(1), "");
	for (unsigned n = 0; n < 2; n++)
		assert_true(wrong("kim", "192.0.2.1", 1));
	assert_int_equal(clear("", "192.0.2.0/24"), 0); // counts that are no block yet go, too
	for (unsigned n = 0; n < 3; n++)
		assert_true(wrong("kim", "192.0.2.1", 1));
	assert_int_equal(clear("", ""), 1);
	assert_true(may("kim", "192.0.2.1", false, 1));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(each_limit_holds),
		TEST(an_address_and_a_network_have_limits_of_their_own),
		TEST(a_limit_of_0_is_none),
		TEST(blocks_end_and_begin_anew),
		TEST(failures_are_counted_within_a_window),
		TEST(the_same_wrong_password_counts_once),
		TEST(what_is_under_way_counts),
		TEST(many_at_once_are_no_guessers),
		TEST(success_forgives_the_pair_and_one_of_the_address),
		TEST(a_failure_that_was_not_asked_for_counts),
		TEST(a_known_address_is_let_in_while_others_guess),
		TEST(a_spray_beside_somebody_known),
		TEST(memory_is_bounded),
		TEST(blocks_are_listed_and_cleared),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
