// SPDX-License-Identifier: ISC
// The mechanisms that a SASL library carries out. A step runs on a thread; when the library asks
// what is stored for a name, the thread hands the question to the loop and waits. For SCRAM, which is
// on offer everywhere, the name is read beforehand: no thread waits while a guesser is slowed.
#include "auth/mechanism_rows.h"

#include "auth/name.h"
#include "auth/otp.h"
#include "auth/pool.h"
#include "auth/sasl.h"
#include "auth/sasl_keys.h"
#include "auth/sasl_message.h"
#include "base/memory.h"

#include <stdio.h>
#include <stdlib.h>

#define WAIT_NS	     (20 * 1000000000ull) // a thread for the loop's answer
#define RESPONSE_MAX 16384

struct talk {
	struct authentication *x; // of the loop
	const struct kind *kind;
	struct auth_sasl_dialogue *dialogue;
	struct auth_job job;
	struct auth_sasl_call call;
	struct auth_sasl_orphan orphan;
	bool begun, running; // the job is the pool's
	char *response;	     // NULL: none
	size_t response_len;
	enum auth_sasl_outcome outcome;
	struct str out; // of the dialogue
	char binding_name[32];

	// Between the thread and the loop.
	uv_mutex_t lock;
	uv_cond_t told;
	bool abandoned, asked, answered;
	char name[AUTH_NAME_OCTETS];
	char asked_name[AUTH_NAME_OCTETS]; // as accounts are called, without "DOMAIN\\"
	char stable[AUTH_NAME_OCTETS]; // the same, in one form however it was written
	struct auth_answer found;      // account "" : nobody, or without what is needed
	char otp[AUTH_OTP_TEXT];       // that the library wants to be stored; "" : nothing
};

struct kind {
	const char *name;
	const char *hash; // of SCRAM
	bool plus;
	bool client_first;
	bool by_name; // looks a name up
	unsigned gives;
};

// ---- on a thread
static bool tell(struct talk *t, struct auth_sasl_credentials *out)
{
	const struct auth_answer *f = &t->found;
	const unsigned char *secret = auth_sasl_secret();
	struct str name = str_from(t->stable), clear = str_from(f->clear);
	char want[32];
	int err = 0;

	memset(out, 0, sizeof *out);
	if (t->kind->gives == AUTH_GIVES_OTP) {
		if (f->account[0])
			return str_copy(str_from(f->otp), out->otp, sizeof out->otp);
		auth_sasl_otp_derive(name, secret, out->otp);
		return true;
	}
	if (!t->kind->hash) {
		if (clear.len)
			(void)str_copy(clear, out->clear, sizeof out->clear);
		else
			auth_sasl_password_derive(name, secret, out->clear, sizeof out->clear);
		return true;
	}
	snprintf(want, sizeof want, "SCRAM-%s$", t->kind->hash);
	for (size_t i = 0; i < ARRAY_SIZE(f->scram); i++)
		if (f->account[0] && str_starts(str_from(f->scram[i]), str_from(want)))
			return str_copy(str_from(f->scram[i]), out->scram, sizeof out->scram);
	if (f->account[0] && clear.len)
		err = auth_sasl_keys_make(
			t->kind->hash, clear, name, secret, out->scram, sizeof out->scram);
	else
		err = auth_sasl_keys_derive(
			t->kind->hash, name, secret, out->scram, sizeof out->scram);
	return err == 0;
}

static bool on_lookup(void *arg, struct str name, struct auth_sasl_credentials *out)
{
	struct talk *t = arg;
	bool known = true, ask = false;

	uv_mutex_lock(&t->lock);
	if (!t->asked) {
		ask = t->asked = auth_domain_name_read(name, STR_EMPTY, t->asked_name) == 0 &&
				 str_copy(name, t->name, sizeof t->name);
		known = ask;
	} else {
		known = str_equal(name, str_from(t->name)); // a dialogue is about one name
	}
	if (ask && !t->abandoned)
		auth_sasl_call_on_loop(&t->call);
	while (known && !t->answered && !t->abandoned)
		known = uv_cond_timedwait(&t->told, &t->lock, WAIT_NS) == 0;
	known = known && t->answered && !t->abandoned;
	uv_mutex_unlock(&t->lock);
	return known && tell(t, out);
}

// Kept until the loop knows how the step ended: what comes in its middle is a lock, for which a
// client that goes away would keep its account from others.
static bool on_store(void *arg, struct str name, const char *otp)
{
	struct talk *t = arg;

	return str_equal(name, str_from(t->name)) && str_copy(str_from(otp), t->otp, sizeof t->otp);
}

static void run(struct auth_job *job)
{
	struct talk *t = LIST_ENTRY(job, struct talk, job);
	struct str response = {NULL, 0};

	if (t->response)
		response = str_make(t->response, t->response_len);
	t->outcome = auth_sasl_library()->step(t->dialogue, response, &t->out);
}

// ---- on the loop
static void forget_response(struct talk *t)
{
	mem_wipe(t->response, t->response_len);
	mem_free(t->response);
	t->response = NULL;
	t->response_len = 0;
}

static void talk_free(struct talk *t)
{
	if (t->dialogue)
		auth_sasl_library()->dispose(t->dialogue);
	forget_response(t);
	uv_cond_destroy(&t->told);
	uv_mutex_destroy(&t->lock);
	mem_wipe(t, sizeof *t);
	mem_free(t);
}

static void free_orphan(struct auth_sasl_orphan *o)
{
	talk_free(LIST_ENTRY(o, struct talk, orphan));
}

static void go_on(struct talk *t)
{
	t->running = true;
	auth_pool_add(auth_sasl_pool(), &t->job);
}

static void on_question(struct auth_sasl_call *c)
{
	struct talk *t = LIST_ENTRY(c, struct talk, call);

	authentication_lookup(t->x, str_from(t->asked_name), t->kind->gives);
}

static void on_looked_up(struct authentication *x, void *state, const struct auth_answer *found)
{
	struct talk *t = state;

	uv_mutex_lock(&t->lock);
	t->found = *found;
	if (found->account[0])
		memcpy(t->stable, found->account, sizeof t->stable);
	else if (auth_name_key(str_from(t->name), authentication_config(x)->auth.default_domain,
			 t->stable))
		memcpy(t->stable, t->name, sizeof t->stable);
	t->answered = true;
	uv_cond_signal(&t->told);
	uv_mutex_unlock(&t->lock);
	if (!t->running)
		go_on(t);
}

// Of Kerberos: a name without a realm is of ours. Others' users are not ours, whatever their realm
// is called.
static void proved_by_ticket(struct talk *t, struct str name, struct str authzid)
{
	const struct config *c = authentication_config(t->x);
	struct str domain = c->auth.realm_domain.len ? c->auth.realm_domain : c->auth.default_domain;
	ptrdiff_t at = str_find_last(name, '@');
	char account[AUTH_NAME_OCTETS];

	if (at >= 0 && !str_equal(str_skip(name, (size_t)at + 1), c->auth.realm))
		authentication_refuted(t->x, name, "a realm that is not ours");
	else if (auth_domain_name_read(str_slice(name, 0, at < 0 ? name.len : (size_t)at), domain,
			 account))
		authentication_refuted(t->x, name, "the name is too long");
	else // whom it acts for is its own name again in most clients
		authentication_proved(t->x, str_equal(authzid, name) ? STR_EMPTY : authzid,
			str_from(account), t->out);
}

// A one-time password must not work twice, whatever happens next: it is used up first.
static void proved_once(struct talk *t, struct str authzid)
{
	struct auth_otp was, next;
	char text[AUTH_OTP_TEXT];
	int err = auth_otp_read(t->found.otp, &was) || auth_otp_read(t->otp, &next)
			  ? ERR_SYNTAX
			  : 0;

	if (err || !auth_otp_follows(&was, &next)) {
		authentication_refuted(t->x, str_from(t->name), "what shall follow could be used twice");
		return;
	}
	auth_otp_format(&next, text);
	err = authentication_replace_otp(t->x, t->found.otp, text);
	mem_wipe(text, sizeof text);
	if (err == ERR_NOT_FOUND)
		authentication_refuted(t->x, str_from(t->name), "this one-time password was used already");
	else if (err)
		authentication_unavailable(t->x, "the one-time passwords cannot be written");
	else
		authentication_proved(t->x, authzid, str_from(t->found.account), t->out);
}

static void proved(struct talk *t)
{
	struct authentication *x = t->x;
	struct str name, authzid;
	const char *reason;

	auth_sasl_library()->properties(t->dialogue, &name, &authzid, &reason);
	if (!t->kind->by_name)
		proved_by_ticket(t, name, authzid);
	else if (t->kind->gives == AUTH_GIVES_OTP && t->answered && t->found.account[0])
		proved_once(t, authzid);
	else if (t->answered && t->found.account[0])
		authentication_proved(x, authzid, str_from(t->found.account), t->out);
	else // derived credentials: nobody has them
		authentication_refuted(x, str_from(t->name), "unknown name");
}

static void refuted(struct talk *t)
{
	struct str name, authzid;
	const char *reason = NULL;

	auth_sasl_library()->properties(t->dialogue, &name, &authzid, &reason);
	if (t->answered && !t->found.account[0])
		reason = t->found.reason[0]
				 ? t->found.reason
				 : "unknown name, or nothing stored that this mechanism can use";
	authentication_refuted(
		t->x, str_from(t->name), reason ? reason : "the mechanism's proof is wrong");
}

static void on_done(struct auth_job *job)
{
	struct talk *t = LIST_ENTRY(job, struct talk, job);

	t->running = false;
	forget_response(t);
	if (t->abandoned) {
		list_remove(&t->orphan.link);
		talk_free(t);
	} else if (t->outcome == AUTH_SASL_CHALLENGE) {
		authentication_challenge(t->x, t->out);
	} else if (t->outcome == AUTH_SASL_PROVED) {
		proved(t);
	} else if (t->outcome == AUTH_SASL_REFUTED) {
		refuted(t);
	} else {
		authentication_unavailable(t->x, "the SASL library cannot tell now");
	}
}

static void talk_dispose(void *state)
{
	struct talk *t = state;

	if (!t)
		return;
	if (t->running && auth_pool_take_back(auth_sasl_pool(), &t->job))
		t->running = false;
	if (!t->running) {
		talk_free(t);
		return;
	}
	uv_mutex_lock(&t->lock);
	t->abandoned = true;
	t->x = NULL;
	uv_cond_signal(&t->told);
	uv_mutex_unlock(&t->lock);
	auth_sasl_take_back(&t->call);
	auth_sasl_leave(&t->orphan);
}

// ---- the first step
static struct str binding_of(const struct authentication_facts *f, const char *name)
{
	return !strcmp(name, "tls-exporter")	       ? f->binding_exporter
	       : !strcmp(name, "tls-server-end-point") ? f->binding_end_point
	       : !strcmp(name, "tls-unique")	       ? f->binding_unique
						       : STR_EMPTY;
}

// What goes to the library as binding; "" : none. *why: the dialogue must not go on.
static const char *choose_binding(const struct talk *t, const struct authentication_facts *f,
	const struct auth_scram_first *first, const char **why)
{
	static const char *const all[] = {"tls-exporter", "tls-unique", "tls-server-end-point"};

	*why = NULL;
	if ((first->binding == 'p') != t->kind->plus) {
		*why = "mechanism and channel binding do not belong together";
	} else if (first->binding == 'p') {
		if (binding_of(f, first->binding_name).len)
			return first->binding_name;
		*why = "a channel binding that this connection does not have";
	} else if (first->binding == 'y' && auth_mechanism_offers_binding(t->x)) {
		// It can bind and believes that we cannot: somebody changed our list (RFC 5802 6).
		*why = "the offer of a channel binding was taken out on the way";
	} else if (first->binding == 'n') {
		for (size_t i = 0; i < ARRAY_SIZE(all); i++)
			if (binding_of(f, all[i]).len)
				return all[i];
	}
	return "";
}

static bool open_dialogue(struct talk *t, const char *binding_name)
{
	const struct authentication_facts *f = authentication_facts(t->x);
	char *hostname = str_dup(authentication_config(t->x)->hostname);

	(void)str_copy(str_from(binding_name), t->binding_name, sizeof t->binding_name);
	struct auth_sasl_request r = {
		.mechanism = t->kind->name,
		.hostname = hostname,
		.binding_name = t->binding_name,
		.binding = binding_of(f, t->binding_name),
		.lookup = on_lookup,
		.store = t->kind->gives == AUTH_GIVES_OTP ? on_store : NULL,
		.arg = t,
	};
	t->dialogue = auth_sasl_library()->create(&r);
	mem_free(hostname);
	return t->dialogue != NULL;
}

// Reads what SCRAM says first; true: the rest may go on.
static bool begin_scram(struct talk *t, struct str response)
{
	struct auth_scram_first first;
	const char *binding, *why;

	if (auth_scram_first_read(response, &first)) {
		authentication_malformed(t->x);
		return false;
	}
	(void)str_copy(str_from(first.name), t->name, sizeof t->name);
	binding = choose_binding(t, authentication_facts(t->x), &first, &why);
	if (why) {
		authentication_refuted(t->x, str_from(t->name), why);
		return false;
	}
	if (!open_dialogue(t, binding)) {
		authentication_unavailable(t->x, "the SASL library cannot begin");
		return false;
	}
	t->asked = true;
	return true;
}

static void keep_response(struct talk *t, struct str response)
{
	forget_response(t);
	if (!response.data)
		return;
	t->response = mem_alloc(response.len + 1);
	memcpy(t->response, response.data, response.len);
	t->response_len = response.len;
}

static void first_step(struct talk *t, struct str response)
{
	if (t->kind->client_first && !response.data) {
		authentication_challenge(t->x, STR_EMPTY);
		return;
	}
	t->begun = true;
	if (!t->kind->client_first && response.len) {
		authentication_malformed(t->x); // the server speaks first
		return;
	}
	if (!t->kind->client_first)
		response = (struct str){NULL, 0};
	keep_response(t, response);
	if (t->kind->hash) {
		if (begin_scram(t, response))
			authentication_lookup(t->x, str_from(t->name), t->kind->gives);
	} else if (!open_dialogue(t, "")) {
		authentication_unavailable(t->x, "the SASL library cannot begin");
	} else {
		go_on(t);
	}
}

static void talk_step(struct authentication *x, void *state, struct str response)
{
	struct talk *t = state;

	if (!t) {
		authentication_unavailable(x, "the SASL library is not loaded");
	} else if (response.len > RESPONSE_MAX) {
		authentication_malformed(x);
	} else if (!t->begun) {
		first_step(t, response);
	} else {
		keep_response(t, response.data ? response : STR_EMPTY);
		go_on(t);
	}
}

static void *talk_create(struct authentication *x, const struct kind *kind)
{
	if (!auth_sasl_pool() || !auth_sasl_has(kind->name))
		return NULL;
	struct talk *t = mem_alloc(sizeof *t);
	t->x = x;
	t->kind = kind;
	t->job.run = run;
	t->job.done = on_done;
	list_init(&t->job.link);
	t->call.call = on_question;
	list_init(&t->call.link);
	t->orphan.free = free_orphan;
	list_init(&t->orphan.link);
	if (uv_mutex_init(&t->lock) || uv_cond_init(&t->told))
		fatal("cannot make a lock");
	return t;
}

// ---- the rows
#define KEYS  (AUTH_GIVES_SCRAM | AUTH_GIVES_CLEAR)
#define CLEAR AUTH_GIVES_CLEAR

#define MECHANISM(id, wire_name, what_needs, what, ...) \
	static const struct kind kind_##id = what; \
	static void *create_##id(struct authentication *x) \
	{ \
		return talk_create(x, &kind_##id); \
	} \
	const struct auth_mechanism auth_mechanism_##id = {.name = wire_name, \
		.needs = what_needs, \
		.by_library = true, \
		.create = create_##id, \
		.step = talk_step, \
		.looked_up = on_looked_up, \
		.dispose = talk_dispose, \
		__VA_ARGS__}
#define KIND(...) {__VA_ARGS__}
#define SCRAM(id, hash_) \
	MECHANISM(id, "SCRAM-" hash_, KEYS, \
		KIND("SCRAM-" hash_, hash_, .client_first = true, .by_name = true, .gives = KEYS)); \
	MECHANISM(id##_plus, "SCRAM-" hash_ "-PLUS", KEYS, \
		KIND("SCRAM-" hash_ "-PLUS", hash_, .plus = true, .client_first = true, \
			.by_name = true, .gives = KEYS), \
		.needs_tls = true, .private_only = true)

SCRAM(scram_512, "SHA-512");
SCRAM(scram_256, "SHA-256");
SCRAM(scram_1, "SHA-1");
MECHANISM(digest_md5, "DIGEST-MD5", CLEAR,
	KIND("DIGEST-MD5", .by_name = true, .gives = CLEAR), .on_request = true);
MECHANISM(ntlm, "NTLM", CLEAR,
	KIND("NTLM", .client_first = true, .by_name = true, .gives = CLEAR), .on_request = true,
	.by_winbind = &auth_mechanism_winbind_ntlm);
MECHANISM(otp, "OTP", AUTH_GIVES_OTP,
	KIND("OTP", .client_first = true, .by_name = true, .gives = AUTH_GIVES_OTP), .on_request = true);
MECHANISM(gssapi, "GSSAPI", 0, KIND("GSSAPI", .client_first = true), .on_request = true,
	.by_ticket = true);
MECHANISM(gss_spnego, "GSS-SPNEGO", 0, KIND("GSS-SPNEGO", .client_first = true),
	.on_request = true, .by_ticket = true, .by_winbind = &auth_mechanism_winbind_spnego);
