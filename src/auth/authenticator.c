// SPDX-License-Identifier: ISC
// One step of a dialogue that brought a proof goes through: stop guessers, ask the chain of
// sources, ask for the account's state, answer. Every way through costs the same but the answer to
// success and to guessers.
#include "auth/authenticator.h"

#include "auth/account.h"
#include "auth/name.h"
#include "auth/sasl.h"
#include "base/arena.h"
#include "base/clock.h"
#include "base/event.h"
#include "base/list.h"
#include "base/map.h"
#include "base/memory.h"

#include <stdio.h>

#define DELAYED_MAX	    4000 // refusals that wait for their time
#define DELAYED_ADDRESS_MAX 8	 // of one client address

struct authenticator {
	const struct config *config;
	struct authenticator_host host;
	struct secrets *secrets;
	struct auth_chain *chain;
	struct auth_guard *guard;
	struct auth_winbind *winbind;
	struct wheel *wheel;
	struct list dialogues; // struct authentication
	struct list delayed;   // struct authentication, by delayed_link
	size_t delayed_count;
	struct map requests; // 8 octets -> struct authentication
	uint64_t last_request;
	char mechanisms[512];
};

enum stage { IDLE, STEPPING, DELAYED, CHECKING, ASKING };

// What the chain is asked.
struct attempt {
	struct auth_question question;
	unsigned gives; // of LOOKUP
};

struct authentication {
	struct authenticator *authenticator; // NULL: it is gone
	const struct auth_mechanism *mechanism;
	void *state; // of the mechanism
	struct authentication_facts facts;
	struct arena arena; // of their strings
	struct list link;
	enum stage stage;
	authenticator_done done; // of the open step
	void *arg;
	char name[AUTH_NAME_MAX + 1]; // key form, or what was tried, cut; "" : none yet
	char account[AUTH_NAME_MAX + 1]; // who a source said it is; "" : nobody yet
	char authzid[AUTH_NAME_MAX + 1]; // key form; "" : none, "?" : one that cannot be a name
	char login[AUTH_NAME_MAX + 1];	 // of who acts as another: who has logged in; "" : nobody does
	bool own;			 // the account is of `accounts`
	bool has_rights;		 // a foreign source gave these
	uint32_t rights;
	unsigned char key[AUTH_CACHE_KEY]; // of the attempt
	struct auth_guess_attempt guess;
	char refusal[AUTH_REASON_OCTETS]; // while that is delayed
	struct buf last;		   // challenge that goes with the OK
	char refused[AUTH_REASON_OCTETS];  // the client was told and may say a last word; "" : not so
	bool foreign;			   // no account of ours has that name
	struct list delayed_link;
	struct wheel_timer timer;
	struct auth_chain_ask ask;
	uint64_t request;
};

static struct str request_key(const uint64_t *request)
{
	return str_make(request, sizeof *request);
}

// ---- the end of a step
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
	auth_chain_cancel(&x->ask);
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

static void end_with(
	struct authentication *x, enum authenticator_outcome outcome, const char *reason)
{
	char name[sizeof x->name], why[AUTH_REASON_OCTETS];

	// Neither may lie in what the owner destroys.
	memcpy(name, x->name, sizeof name);
	(void)str_copy(str_slice(str_from(reason), 0, sizeof why - 1), why, sizeof why);
	reply(x, &(struct authenticator_reply){
			 .outcome = outcome, .account = str_from(name), .reason = why});
}

static struct auth_guard_try try_of(const struct authentication *x)
{
	return (struct auth_guard_try){&x->facts, str_from(x->name), x->mechanism->name};
}

static void unavailable(struct authentication *x, const char *reason)
{
	auth_guard_dropped(x->authenticator->guard, &x->guess);
	end_with(x, AUTHENTICATOR_UNAVAILABLE, reason);
}

// The client is told in the mechanism's own words first; whatever it answers, it has failed.
static void tell_failure(struct authentication *x, const char *reason)
{
	snprintf(x->refused, sizeof x->refused, "%s", reason);
	reply(x, &(struct authenticator_reply){.outcome = AUTHENTICATOR_CONTINUE,
			 .challenge = str_from(x->mechanism->failure)});
}

static void fail(struct authentication *x, const char *reason)
{
	struct auth_guard_try t = try_of(x);

	auth_guard_failed(x->authenticator->guard, &x->guess, &t, reason);
	if (x->mechanism->failure)
		tell_failure(x, reason);
	else
		end_with(x, AUTHENTICATOR_FAILED, reason);
}

// ---- rights
static const struct config_server *server_of(const struct authentication *x)
{
	const struct config *c = x->authenticator->config;

	for (size_t i = 0; i < c->server_count; i++)
		if (str_equal(c->servers[i].name, x->facts.server))
			return &c->servers[i];
	return &c->server_defaults;
}

static bool is_anonymous(const struct authentication *x)
{
	return !strcmp(x->mechanism->name, "ANONYMOUS");
}

// Whether the mechanism proves enough for mail to everywhere (trust-mechanisms).
static bool is_trusted(const struct authentication *x)
{
	const struct config_list *trusted = &server_of(x)->trust_mechanisms;

	for (size_t i = 0; i < trusted->count; i++)
		if (str_equal_nocase(trusted->items[i], str_from(x->mechanism->name)))
			return !is_anonymous(x);
	return trusted->count == 0 && !is_anonymous(x);
}

// Beside the line of the session, which knows only whose mail it is.
static void report_acting(const struct authentication *x, const char *account)
{
	struct event e;

	event_begin(&e, EVENT_INFO, "auth", 0);
	event_str(&e, "server", x->facts.server);
	if (x->facts.client.family)
		event_addr(&e, "client", &x->facts.client);
	event_str(&e, "session", x->facts.session);
	event_text(&e, "account", account);
	event_text(&e, "login", x->login);
	event_text(&e, "mechanism", x->mechanism->name);
	event_text(&e, "status", "acts as");
	event_emit(&e);
}

static void succeed(struct authentication *x, uint32_t rights, struct str account)
{
	struct authenticator *a = x->authenticator;
	char name[AUTH_NAME_MAX + 1];
	const struct buf none = BUF_INIT;
	struct buf last = x->last;

	struct auth_guard_try t = try_of(x);

	auth_guard_succeeded(a->guard, &x->guess, &t);
	if (account.len == 0 || !str_copy(account, name, sizeof name))
		memcpy(name, x->account, sizeof name);
	if (x->own)
		auth_checks_note_login(
			auth_chain_checks(a->chain), str_from(name), &x->facts.client);
	if (x->login[0])
		report_acting(x, name);
	if (!is_trusted(x))
		rights &= ~(uint32_t)AUTHENTICATOR_RELAY;
	x->last = none;
	reply(x, &(struct authenticator_reply){.outcome = AUTHENTICATOR_OK,
			 .challenge = buf_str(&last),
			 .account = str_from(name),
			 .rights = rights,
			 .foreign = x->foreign});
	buf_finish_wipe(&last);
}

// ---- the account's state: asked at every success, so that disabling holds at once
static void ask_account(struct authentication *x)
{
	struct authenticator *a = x->authenticator;

	x->stage = ASKING;
	x->request = ++a->last_request;
	map_set(&a->requests, request_key(&x->request), x);
	a->host.account(a->host.arg, x->request, str_from(x->account));
}

// Who has proved who it is may act as itself, and as others that it was granted.
static bool acts_as_another(const struct authentication *x)
{
	return x->authzid[0] && strcmp(x->authzid, x->name) != 0 &&
	       strcmp(x->authzid, x->account) != 0;
}

static void settle(struct authentication *x)
{
	ask_account(x);
}

static void fail_with(struct authentication *x, const char *words, struct str detail)
{
	char reason[AUTH_REASON_OCTETS];

	snprintf(reason, sizeof reason, "%s%s%.*s", words, detail.len ? ": " : "",
		STR_ARG(str_slice(detail, 0, 120)));
	fail(x, reason);
}

// Our own smtpd looks at the place at each MAIL, and says so; for others it is said here. Who acts
// as another must be in its own place as well.
static void account_enabled(struct authentication *x, const struct auth_account *found)
{
	bool other = acts_as_another(x);
	struct str who;

	if ((other || !x->facts.trusted) &&
		!auth_account_fits(found, &x->facts.client, x->facts.server, &who)) {
		fail_with(x, "may not be used from there or through this server", who);
	} else if (!other) {
		succeed(x, found->rights, found->name);
	} else if (!auth_account_may_act_as(found, str_from(x->authzid))) {
		fail(x, "authzid differs");
	} else { // that account must be usable, too
		memcpy(x->login, x->account, sizeof x->login);
		memcpy(x->account, x->authzid, sizeof x->account);
		x->own = true;
		(void)map_remove(&x->authenticator->requests, request_key(&x->request));
		ask_account(x);
	}
}

static bool is_of_our_domains(const struct authentication *x)
{
	struct str name = str_from(x->name);
	ptrdiff_t at = str_find_last(name, '@');

	return at >= 0 && config_is_local_domain(x->authenticator->config,
				  str_slice(name, (size_t)at + 1, name.len));
}

// Known to a foreign source alone, whose word is all there is. An issuer of tokens may know the
// whole world: of those only who has an address of ours.
static void foreign_enabled(struct authentication *x)
{
	if (x->ask.asks == AUTH_ASK_TOKEN && !is_of_our_domains(x)) {
		fail(x, "a token of somebody who is not of our domains");
		return;
	}
	x->foreign = true;
	succeed(x, x->has_rights ? x->rights : AUTHENTICATOR_SUBMIT | AUTHENTICATOR_RELAY,
		STR_EMPTY);
}

void authenticator_account_found(
	struct authenticator *a, uint64_t request, const struct auth_account *found)
{
	struct authentication *x = map_get(&a->requests, request_key(&request));

	if (!x)
		return; // cancelled in the meantime
	if (found->state == AUTH_ACCOUNT_ENABLED)
		account_enabled(x, found);
	else if (found->state == AUTH_ACCOUNT_DISABLED)
		fail(x, "disabled");
	else if (found->state == AUTH_ACCOUNT_LOCKED)
		fail_with(x, "locked", found->reason);
	else if (found->state == AUTH_ACCOUNT_EXPIRED)
		fail(x, "expired");
	else if (found->state != AUTH_ACCOUNT_NONE)
		unavailable(x, "the accounts cannot be read now");
	else if (acts_as_another(x))
		fail(x, "authzid differs");
	else if (!x->own)
		foreign_enabled(x);
	else
		fail(x, "unknown name");
}

void authenticator_account(
	struct authenticator *a, uint64_t request, int state, uint32_t rights, struct str name)
{
	authenticator_account_found(a, request,
		&(struct auth_account){.state = state, .rights = rights, .name = name});
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

// ---- what the chain says
static void take_account(struct authentication *x, const struct auth_chain_result *r)
{
	(void)str_copy(str_from(r->answer.account), x->account, sizeof x->account);
	x->own = r->own;
	x->has_rights = r->answer.has_rights;
	x->rights = r->answer.rights;
	if (!x->name[0])
		memcpy(x->name, x->account, sizeof x->name);
}

// Not found: the mechanism goes on as if it was, and fails at the end.
static void looked_up(struct authentication *x, const struct auth_chain_result *r)
{
	struct auth_answer found = {.verdict = r->answer.verdict};

	if (r->answer.verdict == AUTH_YES) {
		take_account(x, r);
		found = r->answer;
	}
	memcpy(found.reason, r->answer.reason, sizeof found.reason);
	x->stage = STEPPING;
	x->mechanism->looked_up(x, x->state, &found);
	mem_wipe(&found, sizeof found);
}

static void on_answered(struct auth_chain_ask *ask, const struct auth_chain_result *r)
{
	struct authentication *x = LIST_ENTRY(ask, struct authentication, ask);
	const char *reason = r->answer.reason;

	if (r->answer.verdict == AUTH_CANNOT) {
		unavailable(x, reason);
	} else if (ask->asks == AUTH_ASK_LOOKUP) {
		looked_up(x, r);
	} else if (r->answer.verdict == AUTH_YES) {
		take_account(x, r);
		if (ask->asks == AUTH_ASK_TOKEN) // the token says who it is, the client only wishes
			memcpy(x->name, x->account, sizeof x->name);
		settle(x);
	} else {
		bool told = r->answer.verdict == AUTH_NO || ask->asks == AUTH_ASK_TOKEN;
		fail(x, told && reason[0] ? reason : "unknown name");
	}
}

static void ask_chain(struct authentication *x, const struct attempt *t)
{
	x->stage = CHECKING;
	auth_chain_start(x->authenticator->chain, &x->ask, &t->question, t->gives);
}

// ---- guessers are answered and not looked at
static bool may_delay(const struct authenticator *a, const struct ipaddr *client)
{
	unsigned same = 0;

	LIST_EACH(link, &a->delayed)
		same += ipaddr_equal(
			&LIST_ENTRY(link, struct authentication, delayed_link)->facts.client,
			client);
	return a->delayed_count < DELAYED_MAX && same < DELAYED_ADDRESS_MAX;
}

static void on_delay_over(struct wheel_timer *timer)
{
	struct authentication *x = LIST_ENTRY(timer, struct authentication, timer);

	end_with(x, AUTHENTICATOR_FAILED, x->refusal);
}

// Whoever connects to the public socket has no way to end its client's session, and may pass a
// refusal on as one of the password: then it is at least slow.
static void refuse(struct authentication *x)
{
	struct authenticator *a = x->authenticator;
	bool drops = x->facts.trusted && !a->config->auth.guess.delays;

	if (drops || !may_delay(a, &x->facts.client)) {
		end_with(x, x->facts.trusted ? AUTHENTICATOR_BLOCKED : AUTHENTICATOR_FAILED,
			x->refusal);
		return;
	}
	x->stage = DELAYED;
	list_add_last(&a->delayed, &x->delayed_link);
	a->delayed_count++;
	wheel_set(a->wheel, &x->timer, a->config->auth.guess.delay);
}

static bool may_try(struct authentication *x)
{
	struct auth_guard_try t = try_of(x);

	auth_guard_dropped(x->authenticator->guard, &x->guess); // an earlier one of this dialogue
	return auth_guard_ask(x->authenticator->guard, &x->guess, &t, x->key, x->refusal,
		sizeof x->refusal);
}

static void try_it(struct authentication *x, const struct attempt *t)
{
	if (may_try(x))
		ask_chain(x, t);
	else
		refuse(x);
}

// ---- what mechanisms say
const struct authentication_facts *authentication_facts(const struct authentication *x)
{
	return &x->facts;
}

const struct config *authentication_config(const struct authentication *x)
{
	return x->authenticator->config;
}

struct auth_winbind *authentication_winbind(const struct authentication *x)
{
	return x->authenticator->winbind;
}

void authentication_challenge(struct authentication *x, struct str challenge)
{
	reply(x, &(struct authenticator_reply){
			 .outcome = AUTHENTICATOR_CONTINUE, .challenge = challenge});
}

void authentication_malformed(struct authentication *x)
{
	fail(x, "malformed response");
}

void authentication_unavailable(struct authentication *x, const char *reason)
{
	unavailable(x, reason);
}

// The key form, or what was sent, cut.
static void take_key(
	const struct authentication *x, struct str sent, char out[AUTH_NAME_MAX + 1])
{
	struct str cut = str_slice(sent, 0, AUTH_NAME_MAX);

	if (sent.len == 0)
		out[0] = '\0';
	else if (auth_name_key(sent, x->authenticator->config->auth.default_domain, out) &&
		 !str_copy(cut, out, AUTH_NAME_MAX + 1))
		strcpy(out, "?"); // holds a NUL
}

static void take_names(struct authentication *x, struct str authzid, struct str name)
{
	take_key(x, authzid, x->authzid);
	take_key(x, name, x->name);
	x->account[0] = '\0';
	x->has_rights = x->own = false;
}

static struct attempt attempt_make(
	const struct authentication *x, enum auth_ask ask, struct str name, struct str secret)
{
	return (struct attempt){.question = {.ask = ask,
					.name = name,
					.secret = secret,
					.client = x->facts.client,
					.server = x->facts.server,
					.default_domain =
						x->authenticator->config->auth.default_domain}};
}

void authentication_check(
	struct authentication *x, struct str authzid, struct str name, struct str password)
{
	struct attempt t = attempt_make(x, AUTH_ASK_PASSWORD, name, password);
	struct auth_chain *chain = x->authenticator->chain;
	struct auth_chain_result remembered;

	take_names(x, authzid, name);
	auth_chain_key(chain, name, password, x->key);
	// Before what is remembered, too: a quick yes would tell a guesser as much as a slow one.
	if (!may_try(x)) {
		refuse(x);
	} else if (auth_chain_remembered(chain, &t.question, &remembered)) {
		take_account(x, &remembered);
		settle(x);
	} else {
		ask_chain(x, &t);
	}
}

void authentication_check_token(
	struct authentication *x, struct str authzid, struct str name, struct str token)
{
	struct attempt t = attempt_make(x, AUTH_ASK_TOKEN, name, token);

	take_names(x, authzid, name);
	auth_chain_key(x->authenticator->chain, name, token, x->key);
	try_it(x, &t);
}

void authentication_check_cram(
	struct authentication *x, struct str name, struct str digest, struct str challenge)
{
	struct attempt t = attempt_make(x, AUTH_ASK_CRAM, name, digest);

	t.question.challenge = challenge;
	take_names(x, STR_EMPTY, name);
	mem_random(x->key, sizeof x->key);
	try_it(x, &t);
}

void authentication_lookup(struct authentication *x, struct str name, unsigned gives)
{
	struct attempt t = attempt_make(x, AUTH_ASK_LOOKUP, name, STR_EMPTY);

	t.gives = gives;
	take_names(x, STR_EMPTY, name);
	mem_random(x->key, sizeof x->key);
	try_it(x, &t);
}

bool authentication_may_try(struct authentication *x, struct str name)
{
	take_names(x, STR_EMPTY, name);
	mem_random(x->key, sizeof x->key);
	if (may_try(x))
		return true;
	refuse(x);
	return false;
}

void authentication_proved(
	struct authentication *x, struct str authzid, struct str name, struct str last)
{
	char before[AUTH_NAME_MAX + 1], key[AUTH_NAME_MAX + 1];

	buf_clear(&x->last);
	buf_add_str(&x->last, last);
	memcpy(before, x->name, sizeof before);
	take_key(x, name, key);
	// What a lookup of the same name found of it still holds, be it that it is another's account.
	if (!x->account[0] || (strcmp(before, key) != 0 && strcmp(x->account, key) != 0)) {
		take_names(x, authzid, name);
		memcpy(x->account, x->name, sizeof x->account);
		x->own = true;
	}
	take_key(x, authzid, x->authzid);
	if (!is_anonymous(x)) {
		settle(x);
		return;
	}
	x->own = false;
	x->foreign = true; // nobody looks for an account that is called so
	succeed(x, AUTHENTICATOR_SUBMIT, STR_EMPTY);
}

int authentication_replace_otp(struct authentication *x, const char *was, const char *next)
{
	return secrets_otp_replace(x->authenticator->secrets, str_from(x->account), was, next);
}

void authentication_refuted(struct authentication *x, struct str name, const char *reason)
{
	if (name.len)
		take_key(x, name, x->name);
	fail(x, reason);
}

// ---- dialogues
static void copy_facts(struct authentication *x, const struct authentication_facts *facts)
{
	struct authentication_facts *f = &x->facts;
	struct str *const strings[] = {&f->server, &f->session, &f->binding_exporter, &f->binding_end_point,
		&f->binding_unique, &f->certificate_subject, &f->certificate_names,
		&f->certificate_fingerprint};

	*f = *facts;
	for (size_t i = 0; i < ARRAY_SIZE(strings); i++)
		if (strings[i]->len)
			*strings[i] = arena_str(&x->arena, *strings[i]);
}

struct authentication *authentication_create(
	struct authenticator *a, const char *mechanism, const struct authentication_facts *facts)
{
	const struct auth_mechanism *m = auth_mechanism_find(mechanism);

	if (!m)
		return NULL;
	m = auth_mechanism_as_configured(m, a->config);
	struct authentication *x = mem_alloc(sizeof *x);
	x->authenticator = a;
	x->mechanism = m;
	copy_facts(x, facts);
	list_init(&x->delayed_link);
	x->ask.done = on_answered;
	mem_random(x->key, sizeof x->key);
	wheel_timer_init(&x->timer, on_delay_over);
	list_add_last(&a->dialogues, &x->link);
	x->state = m->create ? m->create(x) : NULL;
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
	if (x->refused[0]) {
		char reason[sizeof x->refused];
		memcpy(reason, x->refused, sizeof reason);
		x->refused[0] = '\0';
		end_with(x, AUTHENTICATOR_FAILED, reason);
		return;
	}
	x->stage = STEPPING;
	x->mechanism->step(x, x->state, response);
}

// Who was refused and then gives up instead of saying its last word was refused all the same.
static void report_given_up(const struct authentication *x)
{
	struct event e;

	event_begin(&e, EVENT_INFO, "auth", 0);
	event_str(&e, "server", x->facts.server);
	if (x->facts.client.family)
		event_addr(&e, "client", &x->facts.client);
	event_text(&e, "account", x->name);
	event_text(&e, "status", "failed");
	event_text(&e, "reason", x->refused);
	event_emit(&e);
}

void authentication_destroy(struct authentication *x)
{
	if (!x)
		return;
	if (x->refused[0])
		report_given_up(x);
	if (x->authenticator) {
		withdraw(x);
		auth_guard_dropped(x->authenticator->guard, &x->guess);
	}
	if (x->mechanism->dispose)
		x->mechanism->dispose(x->state);
	list_remove(&x->link);
	buf_finish_wipe(&x->last);
	arena_finish(&x->arena);
	mem_wipe(x->key, sizeof x->key);
	mem_free(x);
}

// ---- the authenticator
// Those that anybody may use who cannot say more of the connection.
static void list_mechanisms(struct authenticator *a)
{
	size_t used = 0;

	for (size_t i = 0; i < auth_mechanism_count; i++) {
		const struct auth_mechanism *m = auth_mechanisms[i];
		if (m->on_request || m->needs_tls || m->needs == AUTH_GIVES_TOKEN ||
			(m->by_library && !auth_sasl_has(m->name)))
			continue;
		if (used + strlen(m->name) + 2 <= sizeof a->mechanisms)
			used += (size_t)snprintf(a->mechanisms + used,
				sizeof a->mechanisms - used, "%s%s", used ? " " : "", m->name);
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

static int send_question(void *arg, bool to_checker, const struct ipc_check *m)
{
	struct authenticator *a = arg;

	return a->host.send ? a->host.send(a->host.arg, to_checker, m) : ERR_CLOSED;
}

struct authenticator *authenticator_create(uv_loop_t *loop, const struct config *config,
	struct secrets *secrets, const struct authenticator_host *host)
{
	struct authenticator *a = mem_alloc(sizeof *a);
	struct auth_chain_host chain_host = {.send = send_question, .arg = a};

	a->config = config;
	a->host = *host;
	a->secrets = secrets;
	a->wheel = wheel_create(loop);
	a->winbind = auth_winbind_create(&host->winbind);
	a->chain = auth_chain_create(loop, a->wheel, config, secrets, &chain_host);
	a->guard = auth_guard_create(loop, config, secrets);
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
	auth_chain_destroy(a->chain);
	auth_winbind_destroy(a->winbind);
	auth_guard_destroy(a->guard);
	wheel_destroy(a->wheel);
	map_finish(&a->requests);
	mem_free(a);
}

void authenticator_set_config(struct authenticator *a, const struct config *config)
{
	a->config = config;
	auth_chain_set_config(a->chain, config);
	auth_guard_set_config(a->guard, config);
}

struct str authenticator_domain(const struct authenticator *a)
{
	return a->config->auth.default_domain;
}

struct auth_guard *authenticator_guard(struct authenticator *a)
{
	return a->guard;
}

struct auth_winbind *authenticator_winbind(struct authenticator *a)
{
	return a->winbind;
}

struct auth_chain *authenticator_chain(struct authenticator *a)
{
	return a->chain;
}

void authenticator_forget(struct authenticator *a, struct str name)
{
	auth_chain_forget(a->chain, name);
}
