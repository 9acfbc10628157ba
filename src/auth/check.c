// SPDX-License-Identifier: ISC
// One struct check a name and password, from the first asker until the hash is made.
#include "auth/check.h"

#include "auth/application.h"
#include "auth/otp.h"
#include "auth/password.h"
#include "auth/pool.h"
#include "auth/seal.h"
#include "auth/uses.h"
#include "base/clock.h"
#include "base/event.h"
#include "base/memory.h"

#define HASHING_NICE 10 // who logs in waits, nobody's dialogue does

struct auth_checks {
	struct auth_pool *pool;
	struct secrets *secrets;
	struct auth_uses *uses;
	struct auth_cache cache;
	struct map by_key; // struct check
	struct list all;
	size_t count, askers;
};

// Belongs to auth_checks. Its thread reads password and hash and writes result and scram.
struct check {
	struct list link;
	struct auth_job job;
	struct auth_checks *checks;
	struct list askers; // struct auth_asker; empty: nobody wants to know any more
	unsigned char key[AUTH_CACHE_KEY];
	struct str name, password;		     // in memory of their own
	char hash[sizeof((struct secret *)0)->hash]; // "" : no such name
	bool needs_scram;			     // there are no keys yet
	char scram[sizeof((struct secret *)0)->scram]; // made of the right password
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
		if (k->result == 0 && k->needs_scram)
			(void)password_make_scram(k->password, k->scram, sizeof k->scram);
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
	mem_wipe(k->scram, sizeof k->scram);
	mem_free(k);
}

static int read_hash(struct check *k)
{
	struct secret secret = {0};
	int err = secrets_get(k->checks->secrets, k->name, &secret);

	memcpy(k->hash, secret.hash, sizeof k->hash);
	k->needs_scram = err == 0 && !secret.scram[0];
	k->scram[0] = '\0';
	mem_wipe(&secret, sizeof secret);
	return err == ERR_NOT_FOUND ? 0 : err;
}

// Unless the password was changed meanwhile.
static void store_scram(const struct check *k)
{
	struct secret secret = {0};
	int err = secrets_get(k->checks->secrets, k->name, &secret);

	if (err == 0 && !secret.scram[0] && !strcmp(secret.hash, k->hash)) {
		memcpy(secret.scram, k->scram, sizeof secret.scram);
		err = secrets_set(k->checks->secrets, k->name, &secret);
	}
	mem_wipe(&secret, sizeof secret);
	if (err && err != ERR_NOT_FOUND)
		event_report(EVENT_WARNING, "auth", "the SCRAM keys of %.*s cannot be stored: %s",
			STR_ARG(k->name), err_text(err));
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
		if (result == AUTH_CHECK_RIGHT && k->scram[0])
			store_scram(k);
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

// What is one, but must not be used, goes on to cost what a wrong password costs.
static bool is_application(
	struct auth_checks *c, struct str name, struct str password, struct auth_asker *asker)
{
	char label[SECRETS_LABEL_MAX + 1];
	enum auth_application_result result = auth_application_check(c->secrets, name, password,
		&asker->client, clock_wall_ms(), label, asker->note, sizeof asker->note);

	if (result == AUTH_APPLICATION_RIGHT)
		auth_uses_note(c->uses, name, str_from(label), &asker->client);
	return result == AUTH_APPLICATION_RIGHT;
}

enum auth_check_result auth_check_start(struct auth_checks *c,
	const unsigned char key[AUTH_CACHE_KEY], struct str name, struct str password,
	struct auth_asker *asker)
{
	struct check *k = map_get(&c->by_key, key_str(key));

	asker->note[0] = '\0';
	if (is_application(c, name, password, asker))
		return AUTH_CHECK_RIGHT;
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

static bool exists(struct auth_checks *c, struct str name)
{
	struct secret secret;
	int err = secrets_get(c->secrets, name, &secret);

	mem_wipe(&secret, sizeof secret);
	return err != ERR_NOT_FOUND;
}

void auth_checks_forget(struct auth_checks *c, struct str name)
{
	auth_cache_forget(&c->cache, name);
	if (name.len && !exists(c, name))
		auth_uses_forget(c->uses, name);
	LIST_EACH(link, &c->all) {
		struct check *k = LIST_ENTRY(link, struct check, link);
		if (name.len == 0 || str_equal(k->name, name))
			k->stale = true;
	}
}

// Half of the processors at most, unless the administrator says a number.
static unsigned hashing_threads(unsigned configured)
{
	unsigned processors = uv_available_parallelism();

	if (configured)
		return configured;
	return processors > 1 ? processors / 2 : 1;
}

void auth_checks_set_threads(struct auth_checks *c, unsigned threads)
{
	auth_pool_set_threads(c->pool, hashing_threads(threads));
}

struct auth_checks *auth_checks_create(uv_loop_t *loop, struct secrets *secrets, unsigned threads)
{
	struct auth_checks *c = mem_alloc(sizeof *c);

	c->secrets = secrets;
	list_init(&c->all);
	auth_cache_init(&c->cache);
	c->pool = auth_pool_create(loop, hashing_threads(threads), HASHING_NICE);
	c->uses = auth_uses_create(loop, secrets);
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
	auth_uses_destroy(c->uses);
	map_finish(&c->by_key);
	auth_cache_finish(&c->cache);
	mem_free(c);
}

// ---- last uses
void auth_checks_note_login(struct auth_checks *c, struct str name, const struct ipaddr *client)
{
	auth_uses_note(c->uses, name, STR_EMPTY, client);
}

void auth_checks_write_uses(struct auth_checks *c)
{
	auth_uses_write(c->uses);
}

// ---- what is stored
static void take_clear(
	struct secrets *secrets, struct str name, const struct secret *secret, struct auth_answer *out)
{
	char clear[AUTH_PASSWORD_MAX + 1];
	struct error err;
	int code = auth_seal_take(secrets, name, secret, clear, &err);

	_Static_assert(sizeof clear <= sizeof out->clear, "the longest password fits");
	if (code == 0)
		memcpy(out->clear, clear, sizeof clear);
	else if (code != ERR_NOT_FOUND)
		event_report(EVENT_ERROR, "auth", "%.*s: %s", STR_ARG(name), err.text);
	mem_wipe(clear, sizeof clear);
}

static void lookup_otp(struct secrets *secrets, struct str name, struct auth_answer *out)
{
	struct auth_otp otp;
	int code = secrets_otp_get(secrets, name, out->otp);

	_Static_assert(sizeof out->otp == SECRETS_OTP && SECRETS_OTP == AUTH_OTP_TEXT, "a state fits");
	if (code == ERR_NOT_FOUND)
		auth_answer_set(out, AUTH_NO, "it has no one-time passwords; `pabal account set %.*s "
					      "--otp on` makes them",
			STR_ARG(str_slice(name, 0, 100)));
	else if (code || auth_otp_read(out->otp, &otp))
		auth_answer_set(out, AUTH_CANNOT, "the one-time passwords cannot be read");
	else if (auth_otp_left(&otp) == 0)
		auth_answer_set(out, AUTH_NO, "its one-time passwords are used up; `pabal account set "
					      "%.*s --otp on` makes new ones",
			STR_ARG(str_slice(name, 0, 100)));
	else
		out->verdict = AUTH_YES;
	if (out->verdict != AUTH_YES)
		mem_wipe(out->otp, sizeof out->otp);
}

void auth_accounts_lookup(
	struct secrets *secrets, struct str name, unsigned gives, struct auth_answer *out)
{
	struct secret secret = {0};
	int code = secrets_get(secrets, name, &secret);

	memset(out, 0, sizeof *out);
	if (gives & AUTH_GIVES_OTP) {
		mem_wipe(&secret, sizeof secret);
		lookup_otp(secrets, name, out);
		return;
	}
	if (code == 0 && gives & AUTH_GIVES_CLEAR)
		take_clear(secrets, name, &secret, out);
	if (code == 0 && gives & AUTH_GIVES_SCRAM)
		memcpy(out->scram[0], secret.scram, sizeof out->scram[0]);
	mem_wipe(&secret, sizeof secret);
	if (code == ERR_NOT_FOUND)
		auth_answer_set(out, AUTH_UNKNOWN, "unknown name");
	else if (code)
		auth_answer_set(out, AUTH_CANNOT, "the stored passwords cannot be read");
	else if (out->clear[0] || out->scram[0][0])
		out->verdict = AUTH_YES;
	else if (gives & AUTH_GIVES_SCRAM)
		auth_answer_set(out, AUTH_NO,
			"no SCRAM keys are stored; a login with PLAIN, or `pabal account passwd`, "
			"makes them");
	else
		auth_answer_set(out, AUTH_NO,
			"no recoverable password is stored; `pabal account set %.*s --legacy on` "
			"stores one",
			STR_ARG(str_slice(name, 0, 100)));
}
