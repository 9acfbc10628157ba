// SPDX-License-Identifier: ISC
// One step of a dialogue that brought a proof goes through: stop guessers, ask the chain of
// sources, ask for the account's state, answer. Every way through costs the same but the answer to
// success and to guessers.
#include "auth/attempt.h"

#include "base/clock.h"
#include "base/event.h"
#include "base/memory.h"

#define DELAYED_MAX	    4000 // refusals that wait for their time
#define DELAYED_ADDRESS_MAX 8	 // of one client address

static struct str request_key(const uint64_t *request)
{
	return str_make(request, sizeof *request);
}

// ---- the end of a step
// Takes the step out of wherever it waits.
void attempt_withdraw(struct authentication *x)
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
void attempt_reply(struct authentication *x, const struct authenticator_reply *r)
{
	authenticator_done done = x->done;

	attempt_withdraw(x);
	x->done = NULL;
	done(x->arg, r);
}

void attempt_end(
	struct authentication *x, enum authenticator_outcome outcome, const char *reason)
{
	char name[sizeof x->name], why[AUTH_REASON_OCTETS];

	// Neither may lie in what the owner destroys.
	memcpy(name, x->name, sizeof name);
	(void)str_copy(str_slice(str_from(reason), 0, sizeof why - 1), why, sizeof why);
	attempt_reply(x, &(struct authenticator_reply){
			 .outcome = outcome, .account = str_from(name), .reason = why});
}

static struct auth_guard_try try_of(const struct authentication *x)
{
	return (struct auth_guard_try){&x->facts, str_from(x->name), x->mechanism->name};
}

void attempt_unavailable(struct authentication *x, const char *reason)
{
	auth_guard_dropped(x->authenticator->guard, &x->guess);
	attempt_end(x, AUTHENTICATOR_UNAVAILABLE, reason);
}

// The client is told in the mechanism's own words first; whatever it answers, it has failed.
static void tell_failure(struct authentication *x, const char *reason)
{
	snprintf(x->refused, sizeof x->refused, "%s", reason);
	attempt_reply(x, &(struct authenticator_reply){.outcome = AUTHENTICATOR_CONTINUE,
			 .challenge = str_from(x->mechanism->failure)});
}

void attempt_fail(struct authentication *x, const char *reason)
{
	struct auth_guard_try t = try_of(x);

	auth_guard_failed(x->authenticator->guard, &x->guess, &t, reason);
	if (x->mechanism->failure)
		tell_failure(x, reason);
	else
		attempt_end(x, AUTHENTICATOR_FAILED, reason);
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

bool attempt_is_anonymous(const struct authentication *x)
{
	return !strcmp(x->mechanism->name, "ANONYMOUS");
}

// Whether the mechanism proves enough for mail to everywhere (trust-mechanisms).
static bool is_trusted(const struct authentication *x)
{
	const struct config_list *trusted = &server_of(x)->trust_mechanisms;

	for (size_t i = 0; i < trusted->count; i++)
		if (str_equal_nocase(trusted->items[i], str_from(x->mechanism->name)))
			return !attempt_is_anonymous(x);
	return trusted->count == 0 && !attempt_is_anonymous(x);
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

void attempt_succeed(struct authentication *x, uint32_t rights, struct str account)
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
	attempt_reply(x, &(struct authenticator_reply){.outcome = AUTHENTICATOR_OK,
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

void attempt_settle(struct authentication *x)
{
	ask_account(x);
}

static void fail_with(struct authentication *x, const char *words, struct str detail)
{
	char reason[AUTH_REASON_OCTETS];

	snprintf(reason, sizeof reason, "%s%s%.*s", words, detail.len ? ": " : "",
		STR_ARG(str_slice(detail, 0, 120)));
	attempt_fail(x, reason);
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
		attempt_succeed(x, found->rights, found->name);
	} else if (!auth_account_may_act_as(found, str_from(x->authzid))) {
		attempt_fail(x, "authzid differs");
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
		attempt_fail(x, "a token of somebody who is not of our domains");
		return;
	}
	x->foreign = true;
	attempt_succeed(x, x->has_rights ? x->rights : AUTHENTICATOR_SUBMIT | AUTHENTICATOR_RELAY,
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
		attempt_fail(x, "disabled");
	else if (found->state == AUTH_ACCOUNT_LOCKED)
		fail_with(x, "locked", found->reason);
	else if (found->state == AUTH_ACCOUNT_EXPIRED)
		attempt_fail(x, "expired");
	else if (found->state != AUTH_ACCOUNT_NONE)
		attempt_unavailable(x, "the accounts cannot be read now");
	else if (acts_as_another(x))
		attempt_fail(x, "authzid differs");
	else if (!x->own)
		foreign_enabled(x);
	else
		attempt_fail(x, "unknown name");
}

void authenticator_account(
	struct authenticator *a, uint64_t request, int state, uint32_t rights, struct str name)
{
	authenticator_account_found(a, request,
		&(struct auth_account){.state = state, .rights = rights, .name = name});
}

struct authentication *attempt_first(struct authenticator *a, bool (*is)(enum stage stage))
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

bool attempt_is_open(enum stage stage)
{
	return stage != IDLE;
}

void authenticator_accounts_lost(struct authenticator *a)
{
	uint64_t last = a->last_request; // an answer may cause the next question
	struct authentication *x;

	while ((x = attempt_first(a, is_asking)) && x->request <= last)
		authenticator_account(a, x->request, 3, 0, STR_EMPTY);
}

// ---- what the chain says
void attempt_take_account(struct authentication *x, const struct auth_chain_result *r)
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
		attempt_take_account(x, r);
		found = r->answer;
	}
	memcpy(found.reason, r->answer.reason, sizeof found.reason);
	x->stage = STEPPING;
	x->mechanism->looked_up(x, x->state, &found);
	mem_wipe(&found, sizeof found);
}

void attempt_answered(struct auth_chain_ask *ask, const struct auth_chain_result *r)
{
	struct authentication *x = LIST_ENTRY(ask, struct authentication, ask);
	const char *reason = r->answer.reason;

	if (r->answer.verdict == AUTH_CANNOT) {
		attempt_unavailable(x, reason);
	} else if (ask->asks == AUTH_ASK_LOOKUP) {
		looked_up(x, r);
	} else if (r->answer.verdict == AUTH_YES) {
		attempt_take_account(x, r);
		if (ask->asks == AUTH_ASK_TOKEN) // the token says who it is, the client only wishes
			memcpy(x->name, x->account, sizeof x->name);
		attempt_settle(x);
	} else {
		bool told = r->answer.verdict == AUTH_NO || ask->asks == AUTH_ASK_TOKEN;
		attempt_fail(x, told && reason[0] ? reason : "unknown name");
	}
}

void attempt_ask(struct authentication *x, const struct attempt *t)
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

void attempt_delay_over(struct wheel_timer *timer)
{
	struct authentication *x = LIST_ENTRY(timer, struct authentication, timer);

	attempt_end(x, AUTHENTICATOR_FAILED, x->refusal);
}

// Whoever connects to the public socket has no way to end its client's session, and may pass a
// refusal on as one of the password: then it is at least slow.
void attempt_refuse(struct authentication *x)
{
	struct authenticator *a = x->authenticator;
	bool drops = x->facts.trusted && !a->config->auth.guess.delays;

	if (drops || !may_delay(a, &x->facts.client)) {
		attempt_end(x, x->facts.trusted ? AUTHENTICATOR_BLOCKED : AUTHENTICATOR_FAILED,
			x->refusal);
		return;
	}
	x->stage = DELAYED;
	list_add_last(&a->delayed, &x->delayed_link);
	a->delayed_count++;
	wheel_set(a->wheel, &x->timer, a->config->auth.guess.delay);
}

bool attempt_allowed(struct authentication *x)
{
	struct auth_guard_try t = try_of(x);

	auth_guard_dropped(x->authenticator->guard, &x->guess); // an earlier one of this dialogue
	return auth_guard_ask(x->authenticator->guard, &x->guess, &t, x->key, x->refusal,
		sizeof x->refusal);
}

void attempt_begin(struct authentication *x, const struct attempt *t)
{
	if (attempt_allowed(x))
		attempt_ask(x, t);
	else
		attempt_refuse(x);
}
