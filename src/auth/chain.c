// SPDX-License-Identifier: ISC
// A question goes from source to source. Each leaves it, by done, with a verdict; what they add up
// to is in take() and conclude(), and nowhere else.
#include "auth/chain.h"

#include "auth/cram.h"
#include "auth/wire.h"
#include "base/clock.h"
#include "base/event.h"
#include "base/memory.h"

#include <stdio.h>

#define NONE 0xffU // no source

// A source as configured, and how it does.
struct chain_source {
	char name[64];
	bool own;     // `accounts`
	bool checker; // else role source
	bool served;  // this program knows the kind
	bool continue_on_no;
	unsigned gives;
	uint64_t timeout, cache;
	struct auth_cache remembered;
	uint64_t skip_until_ms; // 0: not too slow
	bool tried;		// by one request, after that time
	bool failing;		// and that was said
};

// The sources of one configuration; lives as long as somebody asks them.
struct auth_chain_generation {
	unsigned users;
	size_t count;
	struct chain_source sources[CONFIG_SOURCES_MAX];
};

struct auth_chain {
	const struct config *config;
	struct auth_chain_generation *generation;
	struct auth_chain_host host;
	struct auth_checks *checks;
	struct secrets *secrets;
	struct wheel *wheel;
	struct list asks;
	struct map requests; // 8 octets -> struct auth_chain_ask
	uint64_t last_request;
};

// What is remembered of a yes beside the key.
struct note {
	bool has_rights;
	uint32_t rights;
	char account[AUTH_NAME_MAX + 1];
};

static void go_on(struct auth_chain_ask *a);

static struct str request_key(const uint64_t *request)
{
	return str_make(request, sizeof *request);
}

// ---- generations
static void source_init(
	struct chain_source *s, const struct config_source *from, uint64_t cache_of_own)
{
	const struct auth_source_kind *kind = auth_source_kind_of(from);

	(void)str_copy(str_slice(from->name, 0, sizeof s->name - 1), s->name, sizeof s->name);
	s->own = str_equal(from->kind, STR("accounts"));
	s->served = s->own || kind;
	s->checker = kind && kind->where == AUTH_IN_CHECKER;
	s->continue_on_no = from->continue_on_no;
	s->gives = kind && kind->gives ? kind->gives(from) : AUTH_GIVES_VERIFY;
	s->timeout = from->timeout;
	s->cache = s->own ? cache_of_own : from->cache;
	auth_cache_init(&s->remembered);
}

static struct auth_chain_generation *generation_create(const struct config *config)
{
	// A configuration that was not read from a file names none.
	static const struct config_source accounts = {.kind = {"accounts", 8}, .name = {"accounts", 8}};
	struct auth_chain_generation *g = mem_alloc(sizeof *g);

	g->users = 1;
	if (config->auth.source_count == 0)
		source_init(&g->sources[g->count++], &accounts, config->auth.cache);
	for (size_t i = 0; i < config->auth.source_count && i < CONFIG_SOURCES_MAX; i++)
		source_init(
			&g->sources[g->count++], &config->auth.sources[i], config->auth.cache);
	return g;
}

static void generation_drop(struct auth_chain_generation *g)
{
	if (--g->users)
		return;
	for (size_t i = 0; i < g->count; i++)
		auth_cache_finish(&g->sources[i].remembered);
	mem_free(g);
}

// The sources of a server, by bit.
static uint32_t sources_of(const struct auth_chain *c, struct str server)
{
	const struct auth_chain_generation *g = c->generation;
	uint32_t all = (uint32_t)((1ULL << g->count) - 1), named = 0;

	for (size_t i = 0; i < c->config->server_count; i++) {
		const struct config_server *s = &c->config->servers[i];
		if (!str_equal(s->name, server) || s->sources.count == 0)
			continue;
		for (size_t j = 0; j < s->sources.count; j++)
			for (size_t k = 0; k < g->count; k++)
				if (str_equal(s->sources.items[j], str_from(g->sources[k].name)))
					named |= 1U << k;
		return named;
	}
	return all;
}

static struct chain_source *source_of(const struct auth_chain_ask *a)
{
	return &a->generation->sources[a->source];
}

// ---- the end of a question
static void wipe_string(char **s, size_t len)
{
	if (*s)
		mem_wipe(*s, len);
	mem_free(*s);
	*s = NULL;
}

// Takes it out of where it waits; what was asked is answered to nobody.
static void stop_waiting(struct auth_chain_ask *a)
{
	auth_check_cancel(&a->asker);
	wheel_clear(a->chain->wheel, &a->timer);
	if (a->request)
		(void)map_remove(&a->chain->requests, request_key(&a->request));
	a->request = 0;
	if (a->trying)
		source_of(a)->tried = false;
	a->trying = false;
}

void auth_chain_cancel(struct auth_chain_ask *a)
{
	if (!a->chain)
		return;
	stop_waiting(a);
	list_remove(&a->link);
	generation_drop(a->generation);
	wipe_string(&a->secret, a->secret_len);
	mem_free(a->name);
	mem_free(a->challenge);
	mem_free(a->server);
	a->name = a->challenge = a->server = NULL;
	a->chain = NULL;
}

static void finish(struct auth_chain_ask *a, struct auth_chain_result *r)
{
	auth_chain_cancel(a);
	a->done(a, r);
	mem_wipe(r, sizeof *r);
}

static void finish_without(struct auth_chain_ask *a, enum auth_verdict verdict)
{
	struct auth_chain_result r = {.answer.verdict = verdict};

	memcpy(r.answer.reason, a->reason, sizeof r.answer.reason);
	finish(a, &r);
}

static uint32_t own_bits(const struct auth_chain_generation *g)
{
	uint32_t bits = 0;

	for (size_t i = 0; i < g->count; i++)
		bits |= g->sources[i].own ? 1U << i : 0;
	return bits;
}

// A no of another source before `accounts` was asked must not be told apart by its haste from the
// no of one who is unknown.
static bool spend(struct auth_chain_ask *a)
{
	struct str secret = str_make(a->secret, a->secret_len);
	unsigned char key[AUTH_CACHE_KEY];

	if (a->ending || a->asks != AUTH_ASK_PASSWORD || !(a->left & own_bits(a->generation)))
		return false;
	a->ending = true;
	auth_checks_key(a->chain->checks, STR_EMPTY, secret, key);
	return auth_check_start(a->chain->checks, key, STR_EMPTY, secret, &a->asker) ==
	       AUTH_CHECK_PENDING;
}

// The sources have said what they say, and none said yes.
static void conclude(struct auth_chain_ask *a)
{
	if (a->cannot)
		finish_without(a, AUTH_CANNOT);
	else if (spend(a))
		return;
	else if (a->refused)
		finish_without(a, AUTH_NO);
	else
		finish_without(a, AUTH_UNKNOWN);
}

// ---- what one source says
static void keep_reason(struct auth_chain_ask *a, bool own, const char *reason)
{
	if (a->reason[0])
		return;
	snprintf(a->reason, sizeof a->reason, "%s%s%.200s", own ? "" : source_of(a)->name,
		own ? "" : ": ", reason);
}

static void note_health(struct auth_chain_ask *a, enum auth_verdict verdict, const char *reason)
{
	struct chain_source *s = source_of(a);

	if (verdict == AUTH_CANNOT && !s->failing)
		event_report(EVENT_WARNING, "auth", "password source \"%s\" cannot answer: %s",
			s->name, reason);
	else if (verdict != AUTH_CANNOT && s->failing)
		event_report(EVENT_INFO, "auth", "password source \"%s\" answers again", s->name);
	s->failing = verdict == AUTH_CANNOT;
}

// YES: who it is, in key form. A source that leaves that to the name must have been asked by the
// only spelling of it.
static bool name_account(const struct auth_chain_ask *a, struct auth_answer *answer)
{
	char key[AUTH_NAME_MAX + 1];
	struct str account = str_from(answer->account[0] ? answer->account : a->name);

	if (auth_name_key(account, a->chain->config->auth.default_domain, key))
		return false;
	if (!source_of(a)->own && !answer->account[0] && !auth_name_is_usual(str_from(key)))
		return false;
	memcpy(answer->account, key, sizeof key);
	return true;
}

// Foreign sources are told server and address and may answer by them. For a name of our own account
// another source may have a no that a server without that source never hears.
static void make_place_key(const struct chain_source *s, const unsigned char key[AUTH_CACHE_KEY],
	struct str server, const struct ipaddr *client, unsigned char out[AUTH_CACHE_KEY])
{
	char octets[AUTH_CACHE_KEY + IPADDR_TEXT_MAX] = "";

	memcpy(octets, key, AUTH_CACHE_KEY);
	if (!s->own && client->family)
		(void)ipaddr_format(client, octets + AUTH_CACHE_KEY);
	auth_cache_key(&s->remembered, server, str_make(octets, sizeof octets), out);
	mem_wipe(octets, sizeof octets);
}

static void remember(struct auth_chain_ask *a, const struct auth_answer *answer)
{
	struct chain_source *s = source_of(a);
	struct note note = {.has_rights = answer->has_rights, .rights = answer->rights};
	unsigned char key[AUTH_CACHE_KEY];

	if (a->asks != AUTH_ASK_PASSWORD || !s->cache)
		return;
	memcpy(note.account, answer->account, sizeof note.account);
	make_place_key(s, a->key, str_from(a->server), &a->client, key);
	auth_cache_add_note(&s->remembered, key, str_from(answer->account),
		clock_monotonic_ms(), str_make(&note, sizeof note));
	mem_wipe(key, sizeof key);
}

// True: the question is answered and gone.
static bool take(struct auth_chain_ask *a, struct auth_chain_result *r)
{
	struct chain_source *s = source_of(a);

	if (r->answer.verdict == AUTH_YES && !name_account(a, &r->answer))
		auth_answer_set(&r->answer, AUTH_NO, "it says yes to a name that can be none of an account");
	r->own = s->own;
	switch (r->answer.verdict) {
	case AUTH_YES:
		remember(a, &r->answer);
		finish(a, r);
		return true;
	case AUTH_NO:
		if (!a->cannot)
			keep_reason(a, s->own, r->answer.reason);
		a->refused = true;
		if (s->continue_on_no)
			return false;
		conclude(a);
		return true;
	case AUTH_CANNOT:
		if (!a->cannot)
			a->reason[0] = '\0';
		keep_reason(a, s->own, r->answer.reason);
		a->cannot = true;
		return false;
	default:
		// Whose token it is nobody can say before: why none took it is the only reason there is.
		if (a->asks == AUTH_ASK_TOKEN && s->gives & AUTH_GIVES_TOKEN)
			keep_reason(a, s->own, r->answer.reason);
		return false;
	}
}

static void said(struct auth_chain_ask *a, struct auth_chain_result *r)
{
	if (!take(a, r))
		go_on(a);
	mem_wipe(r, sizeof *r);
}

// ---- `accounts`
static void own_verdict(enum auth_check_result result, const char *note, struct auth_answer *out)
{
	if (result == AUTH_CHECK_RIGHT)
		auth_answer_set(out, AUTH_YES, "%s", "");
	else if (result == AUTH_CHECK_UNAVAILABLE)
		auth_answer_set(out, AUTH_CANNOT, "the password cannot be checked now");
	else if (result == AUTH_CHECK_WRONG)
		auth_answer_set(out, AUTH_NO, "wrong password%s%s", note[0] ? "; " : "", note);
	else
		auth_answer_set(out, AUTH_UNKNOWN, "unknown name");
}

static void on_own_checked(struct auth_asker *asker, enum auth_check_result result)
{
	struct auth_chain_ask *a = LIST_ENTRY(asker, struct auth_chain_ask, asker);
	struct auth_chain_result r = {0};

	if (a->ending) {
		conclude(a);
		return;
	}
	own_verdict(result, asker->note, &r.answer);
	said(a, &r);
}

static void cram_verdict(const struct auth_chain_ask *a, struct auth_answer *answer)
{
	bool right = auth_cram_matches(str_from(answer->clear), str_from(a->challenge),
		str_make(a->secret, a->secret_len));

	if (answer->verdict == AUTH_YES && !right)
		auth_answer_set(answer, AUTH_NO, "wrong password");
	mem_wipe(answer->clear, sizeof answer->clear);
}

// Answers at once, or true: it comes.
static bool ask_own(struct auth_chain_ask *a, struct auth_answer *out)
{
	struct str name = a->name_valid ? str_from(a->key_name) : STR_EMPTY;
	enum auth_check_result result;

	if (a->asks == AUTH_ASK_TOKEN) {
		auth_answer_set(out, AUTH_UNKNOWN, "accounts have no tokens");
		return false;
	}
	if (a->asks != AUTH_ASK_PASSWORD) {
		auth_accounts_lookup(a->chain->secrets, name,
			a->asks == AUTH_ASK_CRAM ? AUTH_GIVES_CLEAR : a->gives, out);
		if (a->asks == AUTH_ASK_CRAM)
			cram_verdict(a, out);
		return false;
	}
	a->asker.client = a->client;
	result = auth_check_start(
		a->chain->checks, a->key, name, str_make(a->secret, a->secret_len), &a->asker);
	if (result == AUTH_CHECK_PENDING)
		return true;
	own_verdict(result, a->asker.note, out);
	return false;
}

// ---- foreign sources
static bool can_serve(const struct auth_chain_ask *a, const struct chain_source *s)
{
	switch (a->asks) {
	case AUTH_ASK_PASSWORD:
		return a->name_valid && s->gives & AUTH_GIVES_VERIFY;
	case AUTH_ASK_LOOKUP:
		return a->name_valid && s->gives & a->gives;
	case AUTH_ASK_CRAM:
		return a->name_valid && s->gives & (AUTH_GIVES_CRAM | AUTH_GIVES_CLEAR);
	default:
		return s->gives & AUTH_GIVES_TOKEN;
	}
}

// Past its limit: nobody asks it for a while, then one does.
static bool is_skipped(struct auth_chain_ask *a, struct chain_source *s)
{
	if (s->skip_until_ms == 0)
		return false;
	if (clock_monotonic_ms() < s->skip_until_ms || s->tried)
		return true;
	s->tried = a->trying = true;
	return false;
}

static void is_slow(struct chain_source *s)
{
	s->skip_until_ms = clock_monotonic_ms() + AUTH_CHAIN_SKIP_MS;
}

static int send_question(struct auth_chain_ask *a, const struct chain_source *s)
{
	char client[IPADDR_TEXT_MAX] = "";
	struct ipc_check m = {.request = a->request,
		.source = str_from(s->name),
		.ask = (uint8_t)a->asks,
		.name = str_from(a->name),
		.secret = str_make(a->secret, a->secret_len),
		.challenge = str_from(a->challenge),
		.server = str_from(a->server)};

	if (a->client.family)
		m.client = str_from(ipaddr_format(&a->client, client));
	// A source that knows the password itself is asked for it.
	if (a->asks == AUTH_ASK_CRAM && !(s->gives & AUTH_GIVES_CRAM)) {
		m.ask = AUTH_ASK_LOOKUP;
		m.secret = m.challenge = STR_EMPTY;
	}
	return a->chain->host.send(a->chain->host.arg, s->checker, &m);
}

static bool ask_foreign(struct auth_chain_ask *a, struct auth_answer *out)
{
	struct auth_chain *c = a->chain;
	struct chain_source *s = source_of(a);

	if (!s->served)
		auth_answer_set(out, AUTH_CANNOT, "this program was built without it");
	else if (!can_serve(a, s))
		auth_answer_set(out, AUTH_UNKNOWN, "it cannot serve that");
	else if (c->requests.count >= AUTH_CHAIN_FOREIGN_MAX)
		auth_answer_set(out, AUTH_CANNOT, "too many questions wait");
	else if (is_skipped(a, s))
		auth_answer_set(out, AUTH_CANNOT, "it was too slow a moment ago");
	else {
		a->request = ++c->last_request;
		a->asked_ms = clock_monotonic_ms();
		map_set(&c->requests, request_key(&a->request), a);
		wheel_set(c->wheel, &a->timer, s->timeout + AUTH_CHAIN_GRACE_MS);
		if (send_question(a, s) == 0)
			return true;
		stop_waiting(a);
		auth_answer_set(out, AUTH_CANNOT, "role %s is not there",
			s->checker ? "checker" : "source");
	}
	if (out->verdict == AUTH_CANNOT && !s->skip_until_ms)
		note_health(a, AUTH_CANNOT, out->reason);
	return false;
}

static void foreign_said(struct auth_chain_ask *a, struct auth_chain_result *r)
{
	struct chain_source *s = source_of(a);
	bool late = clock_monotonic_ms() - a->asked_ms >= s->timeout;

	stop_waiting(a);
	if (r->answer.verdict == AUTH_CANNOT && late)
		is_slow(s);
	else
		s->skip_until_ms = 0;
	note_health(a, r->answer.verdict, r->answer.reason);
	if (a->asks == AUTH_ASK_CRAM && !(s->gives & AUTH_GIVES_CRAM))
		cram_verdict(a, &r->answer);
	said(a, r);
}

static void on_timer(struct wheel_timer *timer)
{
	struct auth_chain_ask *a = LIST_ENTRY(timer, struct auth_chain_ask, timer);
	struct auth_chain_result r = {0};

	auth_answer_set(&r.answer, AUTH_CANNOT, "no answer within %llu ms",
		(unsigned long long)source_of(a)->timeout);
	foreign_said(a, &r);
}

void auth_chain_answer(struct auth_chain *c, const struct ipc_checked *m)
{
	struct auth_chain_ask *a = map_get(&c->requests, request_key(&m->request));
	struct auth_chain_result r = {0};

	if (!a)
		return; // too late, or cancelled
	if (auth_wire_answer(m, &r.answer))
		auth_answer_set(&r.answer, AUTH_CANNOT, "its answer is broken");
	foreign_said(a, &r);
}

void auth_chain_lost(struct auth_chain *c, bool checker)
{
	uint64_t last = c->last_request; // an answer may cause the next question
	struct auth_chain_ask *lost;

	do {
		lost = NULL;
		LIST_EACH(link, &c->asks) {
			struct auth_chain_ask *a = LIST_ENTRY(link, struct auth_chain_ask, link);
			if (a->request && a->request <= last && source_of(a)->checker == checker)
				lost = a;
		}
		if (lost) {
			struct auth_chain_result r = {0};
			auth_answer_set(&r.answer, AUTH_CANNOT, "role %s ended",
				checker ? "checker" : "source");
			foreign_said(lost, &r);
		}
	} while (lost);
}

// ---- the way through
static void go_on(struct auth_chain_ask *a)
{
	while (a->left) {
		struct auth_chain_result r = {0};
		bool waits;

		a->source = (unsigned)__builtin_ctz(a->left);
		a->left &= a->left - 1;
		waits = source_of(a)->own ? ask_own(a, &r.answer) : ask_foreign(a, &r.answer);
		if (waits || take(a, &r))
			return;
		mem_wipe(&r, sizeof r);
	}
	conclude(a);
}

// As the client sent it, with the default domain where it has none.
static char *whole_name(const struct auth_chain *c, struct str name)
{
	struct str domain = c->config->auth.default_domain;
	struct buf b = BUF_INIT;
	char *whole;

	buf_add_str(&b, str_slice(name, 0, AUTH_NAME_OCTETS / 2));
	if (name.len && str_find(name, '@') < 0 && domain.len)
		buf_add_format(&b, "@%.*s", STR_ARG(domain));
	whole = str_dup(buf_str(&b));
	buf_finish(&b);
	return whole;
}

void auth_chain_start(struct auth_chain *c, struct auth_chain_ask *a,
	const struct auth_question *q, unsigned gives)
{
	void (*done)(struct auth_chain_ask *, const struct auth_chain_result *) = a->done;

	*a = (struct auth_chain_ask){.done = done,
		.chain = c,
		.generation = c->generation,
		.gives = gives,
		.asks = q->ask,
		.client = q->client,
		.source = NONE};
	a->generation->users++;
	list_init(&a->asker.link);
	a->asker.done = on_own_checked;
	wheel_timer_init(&a->timer, on_timer);
	list_add_last(&c->asks, &a->link);
	a->name_valid =
		auth_name_key(q->name, c->config->auth.default_domain, a->key_name) == 0;
	a->name = whole_name(c, q->name);
	a->secret = str_dup(q->secret);
	a->secret_len = q->secret.len;
	a->challenge = str_dup(q->challenge);
	a->server = str_dup(q->server);
	auth_chain_key(c, q->name, q->secret, a->key);
	a->left = sources_of(c, q->server);
	if (q->ask != AUTH_ASK_PASSWORD || q->secret.len <= AUTH_SECRET_OCTETS)
		go_on(a);
	else
		conclude(a);
}

// ---- what is remembered
void auth_chain_key(const struct auth_chain *c, struct str name, struct str secret,
	unsigned char out[AUTH_CACHE_KEY])
{
	char key[AUTH_NAME_MAX + 1];
	bool valid = auth_name_key(name, c->config->auth.default_domain, key) == 0;

	auth_checks_key(c->checks, valid ? str_from(key) : name, secret, out);
}

static bool source_remembers(struct chain_source *s, const unsigned char *key,
	struct auth_chain_result *out)
{
	struct str octets;
	struct note note;

	if (!auth_cache_has(&s->remembered, key, clock_monotonic_ms(), s->cache))
		return false;
	octets = auth_cache_note(&s->remembered, key);
	BUG_ON(octets.len != sizeof note);
	memcpy(&note, octets.data, sizeof note);
	out->own = s->own;
	out->answer.has_rights = note.has_rights;
	out->answer.rights = note.rights;
	memcpy(out->answer.account, note.account, sizeof note.account);
	return true;
}

bool auth_chain_remembered(
	struct auth_chain *c, const struct auth_question *q, struct auth_chain_result *out)
{
	uint32_t left = sources_of(c, q->server);
	unsigned char key[AUTH_CACHE_KEY], place[AUTH_CACHE_KEY];
	bool found = false;

	*out = (struct auth_chain_result){.answer.verdict = AUTH_YES};
	auth_chain_key(c, q->name, q->secret, key);
	for (; left && !found; left &= left - 1) {
		struct chain_source *s = &c->generation->sources[__builtin_ctz(left)];
		if (s->own && !auth_checks_remembered(c->checks, key, c->config->auth.cache))
			continue;
		make_place_key(s, key, q->server, &q->client, place);
		found = source_remembers(s, place, out);
	}
	mem_wipe(place, sizeof place);
	mem_wipe(key, sizeof key);
	return found;
}

void auth_chain_forget(struct auth_chain *c, struct str name)
{
	auth_checks_forget(c->checks, name);
	for (size_t i = 0; i < c->generation->count; i++)
		auth_cache_forget(&c->generation->sources[i].remembered, name);
}

void auth_chain_skipped(const struct auth_chain *c,
	void (*each)(void *arg, const char *source, uint64_t left_ms), void *arg)
{
	uint64_t now_ms = clock_monotonic_ms();

	for (size_t i = 0; i < c->generation->count; i++) {
		const struct chain_source *s = &c->generation->sources[i];
		if (s->skip_until_ms)
			each(arg, s->name, s->skip_until_ms > now_ms ? s->skip_until_ms - now_ms : 0);
	}
}

// ---- the chain
struct auth_chain *auth_chain_create(uv_loop_t *loop, struct wheel *wheel,
	const struct config *config, struct secrets *secrets, const struct auth_chain_host *host)
{
	struct auth_chain *c = mem_alloc(sizeof *c);

	c->config = config;
	c->host = *host;
	c->secrets = secrets;
	c->wheel = wheel;
	c->checks = auth_checks_create(loop, secrets, (unsigned)config->auth.workers);
	c->generation = generation_create(config);
	list_init(&c->asks);
	return c;
}

void auth_chain_set_config(struct auth_chain *c, const struct config *config)
{
	c->config = config;
	generation_drop(c->generation);
	c->generation = generation_create(config);
	auth_checks_set_threads(c->checks, (unsigned)config->auth.workers);
}

struct auth_checks *auth_chain_checks(struct auth_chain *c)
{
	return c->checks;
}

void auth_chain_destroy(struct auth_chain *c)
{
	if (!c)
		return;
	LIST_EACH(link, &c->asks)
		auth_chain_cancel(LIST_ENTRY(link, struct auth_chain_ask, link));
	generation_drop(c->generation);
	auth_checks_destroy(c->checks);
	map_finish(&c->requests);
	mem_free(c);
}
