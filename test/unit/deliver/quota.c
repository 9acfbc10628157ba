// SPDX-License-Identifier: ISC
#include "deliver/quota.h"
#include "quota_place.h"

#include <pthread.h>
#include <stdatomic.h>

static const struct quota_limits ten = {.octets = 1000, .messages = 10};

static void test_admission_of_a_maildir(void **state)
{
	struct place *p = *state;
	struct quota *q = quota_create();
	struct quota_usage now;
	char text[20000];
	put(p, "new/1.a,S=900", "");
	assert_int_equal(quota_look(q, &ten, QUOTA_MAILDIR, p->fd, 101, &now), QUOTA_OVER_HARD);
	assert_int_equal(quota_admit(q, &ten, QUOTA_MAILDIR, p->fd, 60, &now), QUOTA_FITS);
	assert_int_equal(now.octets, 960);
	assert_int_equal(now.messages, 2);
	put(p, "new/2.a,S=60", "");
	quota_ended(q, QUOTA_MAILDIR, p->fd, 60, true);
	assert_int_equal(quota_admit(q, &ten, QUOTA_MAILDIR, p->fd, 41, &now), QUOTA_OVER_HARD);
	assert_int_equal(now.octets, 960);
	// Counted anew on the way, and nothing was added.
	assert_string_equal(get(p, "maildirsize", text), "1000S,10C\n         960            2\n");
	// One that could not be written is taken back.
	assert_int_equal(quota_admit(q, &ten, QUOTA_MAILDIR, p->fd, 40, &now), QUOTA_FITS);
	quota_ended(q, QUOTA_MAILDIR, p->fd, 40, false);
	assert_int_equal(quota_look(q, &ten, QUOTA_MAILDIR, p->fd, 40, &now), QUOTA_FITS);
	assert_int_equal(now.octets, 960);
	const struct quota_limits pass = {.octets = 1000, .messages = 10, .pass = true};
	assert_int_equal(quota_admit(q, &pass, QUOTA_MAILDIR, p->fd, 5000, &now), QUOTA_OVER_SOFT);
	quota_ended(q, QUOTA_MAILDIR, p->fd, 5000, true);
	quota_destroy(q);
}

static void test_without_limit_the_file_of_others_is_kept_right(void **state)
{
	struct place *p = *state;
	struct quota *q = quota_create();
	const struct quota_limits none = {0};
	struct quota_usage now;
	char text[20000];
	assert_int_equal(quota_admit(q, &none, QUOTA_MAILDIR, p->fd, 60, &now), QUOTA_FITS);
	quota_ended(q, QUOTA_MAILDIR, p->fd, 60, true);
	assert_string_equal(get(p, "maildirsize", text), "");
	put(p, "maildirsize", "5S\n1 1\n");
	assert_int_equal(quota_admit(q, &none, QUOTA_MAILDIR, p->fd, 60, &now), QUOTA_FITS);
	quota_ended(q, QUOTA_MAILDIR, p->fd, 60, true);
	assert_string_equal(get(p, "maildirsize", text), "5S\n1 1\n          60            1\n");
	quota_destroy(q);
}

// ---------------------------------------------------------------- many at once

struct filler {
	pthread_t thread;
	struct place *place;
	struct quota *quota;
	unsigned number;
	atomic_uint *delivered;
	bool counts; // counts anew all the time
};

#define TRIES 60

static void *fill(void *arg)
{
	struct filler *f = arg;
	const struct quota_limits l = {.octets = 10 * 150, .messages = 150};
	struct quota_usage now;
	for (unsigned n = 0; n < TRIES; n++) {
		char name[100];
		int over;
		if (f->counts) {
			if (quota_count(f->quota, &l, QUOTA_MAILDIR, f->place->fd, &now) ||
				now.messages > 150)
				atomic_fetch_add(f->delivered, 1000000);
			continue;
		}
		over = quota_admit(f->quota, &l, QUOTA_MAILDIR, f->place->fd, 10, &now);
		if (over < 0 || over == QUOTA_OVER_HARD)
			continue;
		snprintf(name, sizeof name, "new/%u.%u,S=10", f->number, n);
		bool good = n % 7 != 0; // some fail
		if (good) {
			put(f->place, name, "");
			atomic_fetch_add(f->delivered, 1);
		}
		quota_ended(f->quota, QUOTA_MAILDIR, f->place->fd, 10, good);
	}
	return NULL;
}

static void test_threads_never_pass_the_limit(void **state)
{
	struct place *p = *state;
	struct quota *q = quota_create();
	struct filler fillers[6];
	atomic_uint delivered = 0;
	struct quota_usage now;
	const struct quota_limits l = {.octets = 10 * 150, .messages = 150};
	for (unsigned i = 0; i < ARRAY_SIZE(fillers); i++) {
		fillers[i] = (struct filler){.place = p, .quota = q, .number = i,
			.delivered = &delivered, .counts = i == 5};
		assert_int_equal(pthread_create(&fillers[i].thread, NULL, fill, &fillers[i]), 0);
	}
	for (unsigned i = 0; i < ARRAY_SIZE(fillers); i++)
		pthread_join(fillers[i].thread, NULL);
	assert_true(delivered <= 150);
	assert_true(delivered >= 140); // full, but for those that failed at the end
	// The file agrees with a fresh count, though it was counted while others delivered.
	assert_int_equal(quota_look(q, &l, QUOTA_MAILDIR, p->fd, 0, &now), QUOTA_FITS);
	assert_int_equal(now.messages, delivered);
	assert_int_equal(quota_count(q, &l, QUOTA_MAILDIR, p->fd, &now), 0);
	assert_int_equal(now.messages, delivered);
	assert_int_equal(now.octets, delivered * 10);
	quota_destroy(q);
}

// ---------------------------------------------------------------- mbox

static void test_admission_of_an_mbox(void **state)
{
	struct place *p = *state;
	struct quota *q = quota_create();
	const struct quota_limits l = {.octets = 100, .messages = 3};
	struct quota_usage now;
	char path[300];
	snprintf(path, sizeof path, "%s/mbox", p->folder);
	put(p, "mbox", "From a\n\nFrom here\n>From x\n\nFromage\n");
	int fd = open(path, O_RDWR | O_APPEND | O_CLOEXEC);
	assert_int_equal(quota_admit(q, &l, QUOTA_MBOX, fd, 30, &now), QUOTA_FITS);
	assert_int_equal(now.messages, 3);
	assert_int_equal(now.octets, 35 + 30);
	assert_int_equal(write(fd, "From b\n\nthirty octets of text\n", 30), 30);
	quota_ended(q, QUOTA_MBOX, fd, 30, true);
	assert_int_equal(quota_admit(q, &l, QUOTA_MBOX, fd, 1, &now), QUOTA_OVER_HARD);
	assert_int_equal(now.messages, 3);
	// Somebody else takes all out.
	assert_int_equal(ftruncate(fd, 0), 0);
	assert_int_equal(quota_look(q, &l, QUOTA_MBOX, fd, 101, &now), QUOTA_OVER_HARD);
	assert_int_equal(quota_look(q, &l, QUOTA_MBOX, fd, 100, &now), QUOTA_FITS);
	assert_int_equal(now.messages, 0);
	close(fd);
	quota_destroy(q);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_admission_of_a_maildir, make_place, drop_place),
		cmocka_unit_test_setup_teardown(
			test_without_limit_the_file_of_others_is_kept_right, make_place, drop_place),
		cmocka_unit_test_setup_teardown(test_threads_never_pass_the_limit, make_place, drop_place),
		cmocka_unit_test_setup_teardown(test_admission_of_an_mbox, make_place, drop_place),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
