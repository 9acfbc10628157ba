// SPDX-License-Identifier: ISC
// One step of a dialogue that brought a password goes through: wait for guessers, check the
// password, ask for the account's state, answer. Every way through costs the same but the answer to
// success.
#include "auth/authenticator.h"

#include "auth/check.h"
#include "auth/guess.h"
#include "auth/mechanism.h"
#include "auth/name.h"
#include "base/clock.h"
#include "base/list.h"
#include "base/map.h"
#include "base/memory.h"
#include "net/wheel.h"

#define DELAYED_MAX	    4000 // attempts that wait for their time
#define DELAYED_ADDRESS_MAX 8	 // of one client address

struct authenticator {
	const struct config *config;
	struct authenticator_host host;
	struct auth_checks *checks;
	struct auth_guess guess;
	struct wheel *wheel;
	struct list dialogues; // struct authentication
	struct list delayed;   // struct authentication, by delayed_link
	size_t delayed_count;
	struct map requests; // 8 octets -> struct authentication
	uint64_t last_request;
	char mechanisms[256];
};

enum stage { IDLE, STEPPING, DELAYED, CHECKING, ASKING };

struct authentication {
	struct authenticator *authenticator; // NULL: it is gone
	const struct auth_mechanism *mechanism;
	void *state; // of the mechanism
	struct ipaddr client;
	struct list link;
	enum stage stage;
	authenticator_done done; // of the open step
	void *arg;
	char name[AUTH_NAME_MAX + 1]; // key form, or what was tried, cut
	bool name_valid;
	bool authzid_differs;
	unsigned char key[AUTH_CACHE_KEY];
	struct str password; // while it is delayed; own memory
	struct list delayed_link;
	struct wheel_timer timer;
	struct auth_asker asker;
	uint64_t request;
};

static struct str request_key(const uint64_t *request)
{
	return str_make(request, sizeof *request);
}

// ---- the end of a step
static void forget_password(struct authentication *x)
{
	mem_wipe((char *)x->password.data, x->password.len);
	mem_free((char *)x->password.data);
	x->password = (struct str){NULL, 0};
}

// Takes the step out of wherever it waits.
static void withdraw(struct authentication *x)
{
	struct authenticator *a = x->authenticator;

	if (x->stage == DELAYED) {
		wheel_clear(a->wheel, &x->timer);
		list_remove(&x->delayed_link);
		a->delayed_count--;
	}
	if (x->stage == ASKING)
		(void)map_remove(&a->requests, request_key(&x->request));
	auth_check_cancel(&x->asker);
	forget_password(x);
	x->stage = IDLE;
}

// The last thing that is done with x: its owner may destroy it now.
static void reply(struct authentication *x, const struct authenticator_reply *r)
{
	authenticator_done done = x->done;

	withdraw(x);
	x->done = NULL;
	done(x->arg, r);
}

static void unavailable(struct authentication *x, const char *reason)
{
	char name[sizeof x->name];

	memcpy(name, x->name, sizeof name);
	reply(x, &(struct authenticator_reply){.outcome = AUTHENTICATOR_UNAVAILABLE,
			 .account = str_from(name),
			 .reason = reason});
}

static void fail(struct authentication *x, const char *reason)
{
	char name[sizeof x->name];
	uint64_t attempt;

	memcpy(name, x->name, sizeof name);
	memcpy(&attempt, x->key, sizeof attempt);
	if (name[0])
		auth_guess_failed(&x->authenticator->guess, str_from(name), &x->client, attempt,
			clock_monotonic_ms());
	reply(x, &(struct authenticator_reply){.outcome = AUTHENTICATOR_FAILED,
			 .account = str_from(name),
			 .reason = reason});
}

// ---- the account's state: asked at every success, so that disabling holds at once
static void ask_account(struct authentication *x)
{
	struct authenticator *a = x->authenticator;

	x->stage = ASKING;
	x->request = ++a->last_request;
	map_set(&a->requests, request_key(&x->request), x);
	a->host.account(a->host.arg, x->request, str_from(x->name));
}

static void enabled(struct authentication *x, uint32_t rights, struct str name)
{
	char account[AUTH_NAME_MAX + 1];

	auth_guess_succeeded(&x->authenticator->guess, str_from(x->name), &x->client);
	if (name.len == 0 || !str_copy(name, account, sizeof account))
		memcpy(account, x->name, sizeof account);
	reply(x, &(struct authenticator_reply){.outcome = AUTHENTICATOR_OK,
			 .account = str_from(account),
			 .rights = rights});
}

void authenticator_account(
	struct authenticator *a, uint64_t request, int state, uint32_t rights, struct str name)
{
	struct authentication *x = map_get(&a->requests, request_key(&request));

	if (!x)
		return; // cancelled in the meantime
	if (state == 1)
		enabled(x, rights, name);
	else if (state == 2)
		fail(x, "disabled");
	else if (state == 0)
		fail(x, "unknown name");
	else
		unavailable(x, "the accounts cannot be read now");
}

static struct authentication *first_in(struct authenticator *a, bool (*is)(enum stage stage))
{
	LIST_EACH(link, &a->dialogues) {
		struct authentication *x = LIST_ENTRY(link, struct authentication, link);
		if (is(x->stage))
			return x;
	}
	return NULL;
}

static bool is_asking(enum stage stage)
{
	return stage == ASKING;
}

static bool is_open(enum stage stage)
{
	return stage != IDLE;
}

void authenticator_accounts_lost(struct authenticator *a)
{
	uint64_t last = a->last_request; // an answer may cause the next question
	struct authentication *x;

	while ((x = first_in(a, is_asking)) && x->request <= last)
		authenticator_account(a, x->request, 3, 0, STR_EMPTY);
}

// ---- the password
static void on_checked(struct auth_asker *asker, enum auth_check_result result)
{
	struct authentication *x = LIST_ENTRY(asker, struct authentication, asker);

	if (result == AUTH_CHECK_RIGHT && x->name_valid)
		ask_account(x);
	else if (result == AUTH_CHECK_UNAVAILABLE)
		unavailable(x, "the password cannot be checked now");
	else
		fail(x, result == AUTH_CHECK_WRONG ? "wrong password" : "unknown name");
}

static void check(struct authentication *x, struct str password)
{
	struct str name = x->name_valid ? str_from(x->name) : STR_EMPTY;
	enum auth_check_result result;

	x->stage = CHECKING;
	result = auth_check_start(x->authenticator->checks, x->key, name, password, &x->asker);
	if (result != AUTH_CHECK_PENDING)
		on_checked(&x->asker, result);
}

// ---- guessers wait, without a thread
static bool may_delay(const struct authenticator *a, const struct ipaddr *client)
{
	unsigned same = 0;

	LIST_EACH(link, &a->delayed)
		same += ipaddr_equal(
			&LIST_ENTRY(link, struct authentication, delayed_link)->client, client);
	return a->delayed_count < DELAYED_MAX && same < DELAYED_ADDRESS_MAX;
}

static void on_delay_over(struct wheel_timer *timer)
{
	struct authentication *x = LIST_ENTRY(timer, struct authentication, timer);
	struct str password = x->password;

	x->password = (struct str){NULL, 0};
	withdraw(x);
	check(x, password); // copied by it; x may be gone after
	mem_wipe((char *)password.data, password.len);
	mem_free((char *)password.data);
}

static void delay(struct authentication *x, uint64_t ms, struct str password)
{
	struct authenticator *a = x->authenticator;

	if (!may_delay(a, &x->client)) {
		unavailable(x, "too many attempts wait after failures");
		return;
	}
	x->stage = DELAYED;
	x->password = str_make(str_dup(password), password.len);
	list_add_last(&a->delayed, &x->delayed_link);
	a->delayed_count++;
	wheel_set(a->wheel, &x->timer, ms);
}

// ---- what mechanisms say
void authentication_challenge(struct authentication *x, struct str challenge)
{
	reply(x, &(struct authenticator_reply){
			 .outcome = AUTHENTICATOR_CONTINUE, .challenge = challenge});
}

void authentication_malformed(struct authentication *x)
{
	fail(x, "malformed response");
}

static bool same_account(const struct authentication *x, struct str authzid)
{
	char key[AUTH_NAME_MAX + 1];

	return authzid.len == 0 ||
	       (x->name_valid &&
		       auth_name_key(authzid, x->authenticator->config->auth.default_domain, key) ==
			       0 &&
		       !strcmp(key, x->name));
}

static void take_name(struct authentication *x, struct str name)
{
	struct str cut = str_slice(name, 0, sizeof x->name - 1);

	x->name_valid =
		auth_name_key(name, x->authenticator->config->auth.default_domain, x->name) == 0;
	if (!x->name_valid && !str_copy(cut, x->name, sizeof x->name))
		strcpy(x->name, "?"); // holds a NUL
}

void authentication_check(
	struct authentication *x, struct str authzid, struct str name, struct str password)
{
	struct authenticator *a = x->authenticator;
	uint64_t ms;

	take_name(x, name);
	auth_checks_key(a->checks, str_from(x->name), password, x->key);
	ms = auth_guess_delay(&a->guess, str_from(x->name), &x->client, clock_monotonic_ms());
	if (!same_account(x, authzid))
		fail(x, "authzid differs");
	else if (auth_checks_remembered(a->checks, x->key, a->config->auth.cache))
		ask_account(x);
	else if (ms)
		delay(x, ms, password);
	else
		check(x, password);
}

// ---- dialogues
struct authentication *authentication_create(
	struct authenticator *a, const char *mechanism, const struct authentication_facts *facts)
{
	const struct auth_mechanism *m = auth_mechanism_find(mechanism);

	if (!m)
		return NULL;
	struct authentication *x = mem_alloc(sizeof *x);
	x->authenticator = a;
	x->mechanism = m;
	x->client = facts->client;
	x->state = m->create ? m->create(x) : NULL;
	list_init(&x->delayed_link);
	list_init(&x->asker.link);
	x->asker.done = on_checked;
	wheel_timer_init(&x->timer, on_delay_over);
	list_add_last(&a->dialogues, &x->link);
	return x;
}

void authentication_step(
	struct authentication *x, struct str response, authenticator_done done, void *arg)
{
	BUG_ON(x->stage != IDLE);
	x->done = done;
	x->arg = arg;
	if (!x->authenticator) {
		done(arg, &(struct authenticator_reply){
				  .outcome = AUTHENTICATOR_UNAVAILABLE, .reason = "shutting down"});
		return;
	}
	x->stage = STEPPING;
	x->mechanism->step(x, x->state, response);
}

void authentication_destroy(struct authentication *x)
{
	if (!x)
		return;
	if (x->authenticator)
		withdraw(x);
	if (x->mechanism->dispose)
		x->mechanism->dispose(x->state);
	list_remove(&x->link);
	mem_wipe(x->key, sizeof x->key);
	mem_free(x);
}

// ---- the authenticator
static void list_mechanisms(struct authenticator *a)
{
	for (size_t i = 0; i < auth_mechanism_count; i++) {
		if (i)
			strcat(a->mechanisms, " ");
		strcat(a->mechanisms, auth_mechanisms[i]->name);
	}
}

const char *authenticator_mechanisms(const struct authenticator *a)
{
	return a->mechanisms;
}

bool authenticator_mechanism_plaintext(const char *name)
{
	const struct auth_mechanism *m = auth_mechanism_find(name);

	return m && m->plaintext;
}

struct authenticator *authenticator_create(uv_loop_t *loop, const struct config *config,
	struct secrets *secrets, const struct authenticator_host *host)
{
	struct authenticator *a = mem_alloc(sizeof *a);

	a->config = config;
	a->host = *host;
	a->wheel = wheel_create(loop);
	a->checks = auth_checks_create(loop, secrets, (unsigned)config->auth.workers);
	auth_guess_init(&a->guess);
	list_init(&a->dialogues);
	list_init(&a->delayed);
	list_mechanisms(a);
	return a;
}

void authenticator_destroy(struct authenticator *a)
{
	struct authentication *x;

	if (!a)
		return;
	while ((x = first_in(a, is_open)))
		unavailable(x, "shutting down");
	LIST_EACH(link, &a->dialogues) {
		LIST_ENTRY(link, struct authentication, link)->authenticator = NULL;
		list_remove(link);
	}
	auth_checks_destroy(a->checks);
	auth_guess_finish(&a->guess);
	wheel_destroy(a->wheel);
	map_finish(&a->requests);
	mem_free(a);
}

void authenticator_set_config(struct authenticator *a, const struct config *config)
{
	a->config = config;
	auth_checks_set_threads(a->checks, (unsigned)config->auth.workers);
}

void authenticator_forget(struct authenticator *a, struct str name)
{
	auth_checks_forget(a->checks, name);
}
