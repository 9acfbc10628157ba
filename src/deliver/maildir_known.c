// SPDX-License-Identifier: ISC
#include "deliver/maildir_known.h"

#include "base/error.h"
#include "base/map.h"
#include "base/memory.h"

#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <sys/stat.h>

#define PLACES 8192

// Without padding: hashed and compared as octets. All zero: an empty place.
struct folder {
	uint64_t device, inode, made_s, made_ns;
};

struct maildir_known {
	pthread_mutex_t lock;
	struct folder places[PLACES]; // by hash; a newer one takes the place of an older one
};

struct maildir_known *maildir_known_create(void)
{
	struct maildir_known *k = mem_alloc(sizeof *k);
	if (pthread_mutex_init(&k->lock, NULL))
		fatal("cannot make a lock");
	return k;
}

void maildir_known_destroy(struct maildir_known *k)
{
	if (!k)
		return;
	pthread_mutex_destroy(&k->lock);
	mem_free(k);
}

static bool look_at(int folder, struct folder *out)
{
	struct statx st;
	unsigned want = STATX_INO | STATX_BTIME;
	if (statx(folder, "", AT_EMPTY_PATH, want, &st) < 0 || (st.stx_mask & want) != want)
		return false;
	*out = (struct folder){(uint64_t)st.stx_dev_major << 32 | st.stx_dev_minor, st.stx_ino,
		(uint64_t)st.stx_btime.tv_sec, st.stx_btime.tv_nsec};
	return true;
}

static struct folder *place_of(struct maildir_known *k, const struct folder *f)
{
	return &k->places[hash_octets(f, sizeof *f) % PLACES];
}

bool maildir_known_has(struct maildir_known *k, int folder)
{
	struct folder f;
	if (!look_at(folder, &f))
		return false;
	pthread_mutex_lock(&k->lock);
	bool known = memcmp(place_of(k, &f), &f, sizeof f) == 0;
	pthread_mutex_unlock(&k->lock);
	return known;
}

void maildir_known_add(struct maildir_known *k, int folder)
{
	struct folder f;
	if (!look_at(folder, &f))
		return;
	pthread_mutex_lock(&k->lock);
	*place_of(k, &f) = f;
	pthread_mutex_unlock(&k->lock);
}
