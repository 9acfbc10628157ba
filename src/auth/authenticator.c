// SPDX-License-Identifier: ISC
// The dialogues, what mechanisms may say in them, and the authenticator that holds all together. What
// becomes of a proof is in attempt.c.
#include "auth/authenticator.h"

#include "auth/attempt.h"
#include "auth/name.h"
#include "auth/sasl.h"
#include "base/clock.h"
#include "base/event.h"
#include "base/memory.h"

#include <stdio.h>

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
	attempt_reply(x, &(struct authenticator_reply){
			 .outcome = AUTHENTICATOR_CONTINUE, .challenge = challenge});
}

void authentication_malformed(struct authentication *x)
{
	attempt_fail(x, "malformed response");
}

void authentication_unavailable(struct authentication *x, const char *reason)
{
	attempt_unavailable(x, reason);
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
	if (!attempt_allowed(x)) {
		attempt_refuse(x);
	} else if (auth_chain_remembered(chain, &t.question, &remembered)) {
		attempt_take_account(x, &remembered);
		attempt_settle(x);
	} else {
		attempt_ask(x, &t);
	}
}

void authentication_check_token(
	struct authentication *x, struct str authzid, struct str name, struct str token)
{
	struct attempt t = attempt_make(x, AUTH_ASK_TOKEN, name, token);

	take_names(x, authzid, name);
	auth_chain_key(x->authenticator->chain, name, token, x->key);
	attempt_begin(x, &t);
}

void authentication_check_cram(
	struct authentication *x, struct str name, struct str digest, struct str challenge)
{
	struct attempt t = attempt_make(x, AUTH_ASK_CRAM, name, digest);

	t.question.challenge = challenge;
	take_names(x, STR_EMPTY, name);
	mem_random(x->key, sizeof x->key);
	attempt_begin(x, &t);
}

void authentication_lookup(struct authentication *x, struct str name, unsigned gives)
{
	struct attempt t = attempt_make(x, AUTH_ASK_LOOKUP, name, STR_EMPTY);

	t.gives = gives;
	take_names(x, STR_EMPTY, name);
	mem_random(x->key, sizeof x->key);
	attempt_begin(x, &t);
}

bool authentication_may_try(struct authentication *x, struct str name)
{
	take_names(x, STR_EMPTY, name);
	mem_random(x->key, sizeof x->key);
	if (attempt_allowed(x))
		return true;
	attempt_refuse(x);
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
	if (!attempt_is_anonymous(x)) {
		attempt_settle(x);
		return;
	}
	x->own = false;
	x->foreign = true; // nobody looks for an account that is called so
	attempt_succeed(x, AUTHENTICATOR_SUBMIT, STR_EMPTY);
}

int authentication_replace_otp(struct authentication *x, const char *was, const char *next)
{
	return secrets_otp_replace(x->authenticator->secrets, str_from(x->account), was, next);
}

void authentication_refuted(struct authentication *x, struct str name, const char *reason)
{
	if (name.len)
		take_key(x, name, x->name);
	attempt_fail(x, reason);
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
	x->ask.done = attempt_answered;
	mem_random(x->key, sizeof x->key);
	wheel_timer_init(&x->timer, attempt_delay_over);
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
		attempt_end(x, AUTHENTICATOR_FAILED, reason);
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
		attempt_withdraw(x);
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
	while ((x = attempt_first(a, attempt_is_open)))
		attempt_unavailable(x, "shutting down");
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
