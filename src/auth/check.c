// SPDX-License-Identifier: ISC
// One struct check a name and password, from the first asker until the hash is made.
#include "auth/check.h"

#include "auth/password.h"
#include "auth/pool.h"
#include "base/clock.h"
#include "base/event.h"
#include "base/memory.h"

struct auth_checks {
	struct auth_pool *pool;
	struct secrets *secrets;
	struct auth_cache cache;
	struct map by_key; // struct check
	struct list all;
	size_t count, askers;
};

// Belongs to auth_checks. Its thread reads password and hash and writes result, nothing else.
struct check {
	struct list link;
	struct auth_job job;
	struct auth_checks *checks;
	struct list askers; // struct auth_asker; empty: nobody wants to know any more
	unsigned char key[AUTH_CACHE_KEY];
	struct str name, password;		     // in memory of their own
	char hash[sizeof((struct secret *)0)->hash]; // "" : no such name
	int result;				     // of password_check
	bool stale;				     // the account changed in the meantime
};

static struct str key_str(const unsigned char *key)
{
	return str_make(key, AUTH_CACHE_KEY);
}

// ---- on a thread
static void run(struct auth_job *job)
{
	struct check *k = LIST_ENTRY(job, struct check, job);

	if (k->hash[0]) {
		k->result = password_check(k->password, k->hash);
		if (k->result != ERR_UNSUPPORTED)
			return;
	}
	password_check_dummy(k->password);
}

// ---- on the loop
static void check_destroy(struct check *k)
{
	(void)map_remove(&k->checks->by_key, key_str(k->key));
	list_remove(&k->link);
	k->checks->count--;
	mem_wipe((char *)k->password.data, k->password.len);
	mem_free((char *)k->password.data);
	mem_free((char *)k->name.data);
	mem_wipe(k->hash, sizeof k->hash);
	mem_free(k);
}

static int read_hash(struct check *k)
{
	struct secret secret = {0};
	int err = secrets_get(k->checks->secrets, k->name, &secret);

	memcpy(k->hash, secret.hash, sizeof k->hash);
	mem_wipe(&secret, sizeof secret);
	return err == ERR_NOT_FOUND ? 0 : err;
}

static enum auth_check_result result_of(const struct check *k)
{
	if (!k->hash[0])
		return AUTH_CHECK_UNKNOWN;
	if (k->result == ERR_UNSUPPORTED)
		event_report(EVENT_WARNING, "auth",
			"the stored password of %.*s has a form that cannot be checked",
			STR_ARG(k->name));
	return k->result ? AUTH_CHECK_WRONG : AUTH_CHECK_RIGHT;
}

static void answer(struct check *k, enum auth_check_result result)
{
	struct list askers;

	// The check is gone before anybody hears of it: an asker may start the same one again.
	list_init(&askers);
	LIST_EACH(link, &k->askers) {
		LIST_ENTRY(link, struct auth_asker, link)->check = NULL;
		k->checks->askers--;
		list_remove(link);
		list_add_last(&askers, link);
	}
	check_destroy(k);
	while (!list_empty(&askers)) {
		struct auth_asker *asker = LIST_ENTRY(askers.next, struct auth_asker, link);
		list_remove(&asker->link);
		asker->done(asker, result);
	}
}

static void done(struct auth_job *job)
{
	struct check *k = LIST_ENTRY(job, struct check, job);

	if (!k->stale) {
		enum auth_check_result result = result_of(k);
		if (result == AUTH_CHECK_RIGHT)
			auth_cache_add(&k->checks->cache, k->key, k->name, clock_monotonic_ms());
		answer(k, result);
	} else if (list_empty(&k->askers)) {
		check_destroy(k);
	} else {
		k->stale = false;
		if (read_hash(k))
			answer(k, AUTH_CHECK_UNAVAILABLE);
		else
			auth_pool_add(k->checks->pool, job);
	}
}

static struct check *check_create(struct auth_checks *c, const unsigned char key[AUTH_CACHE_KEY],
	struct str name, struct str password)
{
	struct check *k = mem_alloc(sizeof *k);

	k->checks = c;
	k->job.run = run;
	k->job.done = done;
	list_init(&k->job.link);
	list_init(&k->askers);
	memcpy(k->key, key, AUTH_CACHE_KEY);
	k->name = str_make(str_dup(name), name.len);
	k->password = str_make(str_dup(password), password.len);
	map_set(&c->by_key, key_str(k->key), k);
	list_add_last(&c->all, &k->link);
	c->count++;
	return k;
}

enum auth_check_result auth_check_start(struct auth_checks *c,
	const unsigned char key[AUTH_CACHE_KEY], struct str name, struct str password,
	struct auth_asker *asker)
{
	struct check *k = map_get(&c->by_key, key_str(key));

	if (c->askers >= AUTH_ASKERS_MAX || (!k && c->count >= AUTH_CHECKS_MAX))
		return AUTH_CHECK_UNAVAILABLE;
	if (!k) {
		k = check_create(c, key, name, password);
		if (read_hash(k)) {
			event_report(EVENT_ERROR, "auth", "the stored passwords cannot be read");
			check_destroy(k);
			return AUTH_CHECK_UNAVAILABLE;
		}
		auth_pool_add(c->pool, &k->job);
	}
	asker->check = k;
	list_add_last(&k->askers, &asker->link);
	c->askers++;
	return AUTH_CHECK_PENDING;
}

void auth_check_cancel(struct auth_asker *asker)
{
	struct check *k = asker->check;

	if (!k) {
		list_remove(&asker->link); // it may be on its way to be called
		return;
	}
	asker->check = NULL;
	list_remove(&asker->link);
	k->checks->askers--;
	if (list_empty(&k->askers) && auth_pool_take_back(k->checks->pool, &k->job))
		check_destroy(k);
}

void auth_checks_key(const struct auth_checks *c, struct str name, struct str password,
	unsigned char out[AUTH_CACHE_KEY])
{
	auth_cache_key(&c->cache, name, password, out);
}

bool auth_checks_remembered(
	struct auth_checks *c, const unsigned char key[AUTH_CACHE_KEY], uint64_t life_ms)
{
	return auth_cache_has(&c->cache, key, clock_monotonic_ms(), life_ms);
}

void auth_checks_forget(struct auth_checks *c, struct str name)
{
	auth_cache_forget(&c->cache, name);
	LIST_EACH(link, &c->all) {
		struct check *k = LIST_ENTRY(link, struct check, link);
		if (name.len == 0 || str_equal(k->name, name))
			k->stale = true;
	}
}

void auth_checks_set_threads(struct auth_checks *c, unsigned threads)
{
	auth_pool_set_threads(c->pool, threads);
}

struct auth_checks *auth_checks_create(uv_loop_t *loop, struct secrets *secrets, unsigned threads)
{
	struct auth_checks *c = mem_alloc(sizeof *c);

	c->secrets = secrets;
	list_init(&c->all);
	auth_cache_init(&c->cache);
	c->pool = auth_pool_create(loop, threads);
	return c;
}

void auth_checks_destroy(struct auth_checks *c)
{
	if (!c)
		return;
	auth_pool_destroy(c->pool); // no thread looks at a check after this
	LIST_EACH(link, &c->all) {
		struct check *k = LIST_ENTRY(link, struct check, link);
		LIST_EACH(a, &k->askers) {
			LIST_ENTRY(a, struct auth_asker, link)->check = NULL;
			list_remove(a);
		}
		check_destroy(k);
	}
	map_finish(&c->by_key);
	auth_cache_finish(&c->cache);
	mem_free(c);
}
