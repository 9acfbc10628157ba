// SPDX-License-Identifier: ISC
// Bearer tokens by libcurl: the issuer is asked about each (introspection), or its public keys are
// fetched now and then and the token's signature is looked at here.
#include "auth/source/driver.h"

#include "auth/source/claims.h"
#include "auth/source/connections.h"
#include "base/clock.h"
#include "base/memory.h"
#include "base/text.h"

#include <curl/curl.h>
#include <openssl/sha.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

#define ANSWER_OCTETS	AUTH_JWK_SET_OCTETS
#define KEYS_LIFE_MS	(60 * 60 * 1000ULL)	 // then they are fetched anew
#define KEYS_STALE_MS	(24 * 60 * 60 * 1000ULL) // so long they serve when that fails
#define KEYS_AGAIN_MS	(60 * 1000ULL)		 // a token with a new key has them fetched so often
#define KEYS_RETRY_MS	(5 * 1000ULL)		 // while there are none
#define REMEMBERED	1024			 // tokens

extern const struct auth_source_driver auth_source_driver;

struct keys {
	atomic_uint users;
	struct auth_jwk_set *set;
};

struct remembered {
	unsigned char hash[SHA256_DIGEST_LENGTH]; // of the token
	uint64_t until_ms;			  // wall clock; 0: none
	char account[320 + 2];
};

struct oauth_state {
	const struct config_source *source;
	char *introspection, *jwks, *id, *secret;
	bool fixed; // the keys are those of jwks-file
	struct auth_connections *handles;
	pthread_mutex_t fetching; // who has it fetches keys
	pthread_mutex_t lock;	  // of what follows
	struct keys *keys;	  // NULL: none yet
	uint64_t fetched_ms, tried_ms;
	uint64_t wanted_ms;	   // a token with an unknown key had them fetched
	char why[CURL_ERROR_SIZE]; // the last try failed
	struct remembered *remembered;
};

struct turn { // one check
	struct oauth_state *state;
	struct str token;
	uint64_t deadline;
	struct auth_claims_rule rule;
	struct auth_answer *out;
};

// ---- requests
struct answer {
	struct buf body;
	bool too_long;
};

static size_t on_body(char *data, size_t size, size_t count, void *arg)
{
	struct answer *a = arg;

	if (buf_add(&a->body, data, size * count) == 0)
		return size * count;
	a->too_long = true;
	return 0;
}

static void close_handle(void *handle)
{
	curl_easy_cleanup(handle);
}

static bool set_trust(CURL *h, const struct config_source *s)
{
	struct curl_blob blob = {(void *)s->ca_file.content.data, s->ca_file.content.len,
		CURL_BLOB_COPY};

	if (!s->ca_file.path.len)
		return true; // the system's
	return curl_easy_setopt(h, CURLOPT_CAINFO, NULL) == CURLE_OK &&
	       curl_easy_setopt(h, CURLOPT_CAPATH, NULL) == CURLE_OK &&
	       curl_easy_setopt(h, CURLOPT_CAINFO_BLOB, &blob) == CURLE_OK;
}

// Nothing of the environment or of home folders counts, and an answer that sends us elsewhere is
// none: the address of the configuration is the one that is trusted.
static bool set_usual(CURL *h, const struct config_source *s, const char *url, struct answer *a)
{
	const char *protocols = strncmp(url, "http:", 5) == 0 ? "http" : "https";

	return curl_easy_setopt(h, CURLOPT_URL, url) == CURLE_OK &&
	       curl_easy_setopt(h, CURLOPT_PROTOCOLS_STR, protocols) == CURLE_OK &&
	       curl_easy_setopt(h, CURLOPT_FOLLOWLOCATION, 0L) == CURLE_OK &&
	       curl_easy_setopt(h, CURLOPT_PROXY, "") == CURLE_OK &&
	       curl_easy_setopt(h, CURLOPT_NOSIGNAL, 1L) == CURLE_OK &&
	       curl_easy_setopt(h, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1) == CURLE_OK &&
	       curl_easy_setopt(h, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2) == CURLE_OK &&
	       curl_easy_setopt(h, CURLOPT_MAXFILESIZE, (long)ANSWER_OCTETS) == CURLE_OK &&
	       curl_easy_setopt(h, CURLOPT_WRITEFUNCTION, on_body) == CURLE_OK &&
	       curl_easy_setopt(h, CURLOPT_WRITEDATA, a) == CURLE_OK && set_trust(h, s);
}

// RFC 6749 2.3.1: both are encoded before they are joined.
static bool set_login(CURL *h, const struct oauth_state *s)
{
	char *id, *secret;
	bool set;

	if (!s->id[0])
		return true;
	id = curl_easy_escape(h, s->id, 0);
	secret = curl_easy_escape(h, s->secret, 0);
	set = id && secret &&
	      curl_easy_setopt(h, CURLOPT_HTTPAUTH, (long)CURLAUTH_BASIC) == CURLE_OK &&
	      curl_easy_setopt(h, CURLOPT_USERNAME, id) == CURLE_OK &&
	      curl_easy_setopt(h, CURLOPT_PASSWORD, secret) == CURLE_OK;
	if (secret)
		mem_wipe(secret, strlen(secret));
	curl_free(secret);
	curl_free(id);
	return set;
}

static int set_failure(CURLcode code, long status, const struct answer *a, const char *details,
	struct error *err)
{
	if (a->too_long || code == CURLE_FILESIZE_EXCEEDED)
		return error_set(err, ERR_LIMIT, TEXT("the answer is too long"));
	if (code == CURLE_OPERATION_TIMEDOUT)
		return error_set(err, ERR_TIMEOUT, TEXT("no answer in time"));
	if (code != CURLE_OK)
		return error_set(err, ERR_UNAVAILABLE, "%.200s",
			details[0] ? details : curl_easy_strerror(code));
	if (status == 401 || status == 403)
		return error_set(err, ERR_DENIED,
			TEXT("it refuses our login and password-file (%ld)"), status);
	if (status >= 300 && status < 400)
		return error_set(err, ERR_UNAVAILABLE,
			TEXT("it sends us to another address (%ld), which is not followed"), status);
	return error_set(err, ERR_UNAVAILABLE, TEXT("it answers with status %ld"), status);
}

static int perform(CURL *h, uint64_t deadline, const struct answer *a, struct error *err)
{
	uint64_t now = clock_monotonic_ms();
	char details[CURL_ERROR_SIZE] = "";
	long status = 0;
	CURLcode code = CURLE_OPERATION_TIMEDOUT;

	if (now < deadline &&
		curl_easy_setopt(h, CURLOPT_TIMEOUT_MS, (long)(deadline - now)) == CURLE_OK &&
		curl_easy_setopt(h, CURLOPT_CONNECTTIMEOUT_MS, (long)(deadline - now)) == CURLE_OK &&
		curl_easy_setopt(h, CURLOPT_ERRORBUFFER, details) == CURLE_OK)
		code = curl_easy_perform(h);
	curl_easy_setopt(h, CURLOPT_ERRORBUFFER, NULL);
	if (code == CURLE_OK)
		curl_easy_getinfo(h, CURLINFO_RESPONSE_CODE, &status);
	return code == CURLE_OK && status == 200 ? 0 : set_failure(code, status, a, details, err);
}

static bool set_post(CURL *h, const struct oauth_state *s, struct str form)
{
	return curl_easy_setopt(h, CURLOPT_POSTFIELDSIZE, (long)form.len) == CURLE_OK &&
	       curl_easy_setopt(h, CURLOPT_COPYPOSTFIELDS, form.data) == CURLE_OK && set_login(h, s);
}

// form.len 0: GET. The body is the caller's to finish.
static int request(struct turn *t, const char *url, struct str form, struct buf *out,
	struct error *err)
{
	struct curl_slist *headers = curl_slist_append(NULL, "Accept: application/json");
	struct answer a = {.body.limit = ANSWER_OCTETS};
	void *h = NULL;
	int result = ERR_TIMEOUT;

	if (!auth_connections_take(t->state->handles, t->deadline, &h)) {
		error_set(err, result, TEXT("all its connections are busy"));
	} else {
		h = h ? h : curl_easy_init();
		if (headers && h && set_usual(h, t->state->source, url, &a) &&
			curl_easy_setopt(h, CURLOPT_HTTPHEADER, headers) == CURLE_OK &&
			(!form.len || set_post(h, t->state, form)))
			result = perform(h, t->deadline, &a, err);
		else
			result = error_set(err, ERR_UNSUPPORTED, TEXT("libcurl cannot be used so"));
		if (h)
			curl_easy_reset(h); // forgets the form, keeps the connection
		auth_connections_give(t->state->handles, h);
	}
	curl_slist_free_all(headers);
	if (result)
		buf_finish_wipe(&a.body);
	*out = a.body;
	return result;
}

// ---- keys
static struct keys *keys_make(struct auth_jwk_set *set)
{
	struct keys *k = mem_alloc(sizeof *k);

	atomic_init(&k->users, 1);
	k->set = set;
	return k;
}

static void keys_drop(struct keys *k)
{
	if (!k || atomic_fetch_sub(&k->users, 1) != 1)
		return;
	auth_jwk_set_destroy(k->set);
	mem_free(k);
}

static int fetch_keys(struct turn *t, struct keys **out, struct error *err)
{
	struct auth_jwk_set *set;
	struct buf body;
	int result = request(t, t->state->jwks, STR_EMPTY, &body, err);

	if (result)
		return result;
	result = auth_jwk_set_read(buf_str(&body), &set, err);
	buf_finish(&body);
	if (!result)
		*out = keys_make(set);
	return result;
}

static bool is_past(uint64_t since_ms, uint64_t pause_ms, uint64_t now_ms)
{
	return since_ms == 0 || now_ms - since_ms >= pause_ms;
}

// Whether they should be fetched now; under the lock. Strangers may name as many keys as they like.
static bool is_due(const struct oauth_state *s, bool wants_newer, uint64_t now)
{
	if (s->fixed)
		return false;
	if (!s->keys)
		return is_past(s->tried_ms, KEYS_RETRY_MS, now);
	if (wants_newer)
		return is_past(s->wanted_ms, KEYS_AGAIN_MS, now);
	return is_past(s->fetched_ms, KEYS_LIFE_MS, now) && is_past(s->tried_ms, KEYS_AGAIN_MS, now);
}

// What was fetched, or that nothing was, is known to all.
static void renew(struct turn *t, bool wants_newer)
{
	struct oauth_state *s = t->state;
	struct keys *fresh = NULL, *old = NULL;
	struct error err = {0};
	int result = fetch_keys(t, &fresh, &err);

	pthread_mutex_lock(&s->lock);
	s->tried_ms = clock_monotonic_ms();
	s->wanted_ms = wants_newer ? s->tried_ms : s->wanted_ms;
	s->why[0] = '\0';
	if (result) {
		snprintf(s->why, sizeof s->why, "%.200s", err.text);
	} else {
		old = s->keys;
		s->keys = fresh;
		s->fetched_ms = s->tried_ms;
	}
	pthread_mutex_unlock(&s->lock);
	keys_drop(old);
}

static bool lock_until(pthread_mutex_t *mutex, uint64_t deadline)
{
	struct timespec end = {.tv_sec = (time_t)(deadline / 1000),
		.tv_nsec = (long)(deadline % 1000) * 1000000};

	return pthread_mutex_clocklock(mutex, CLOCK_MONOTONIC, &end) == 0;
}

static bool asks_for_keys(struct oauth_state *s, bool wants_newer)
{
	bool due;

	pthread_mutex_lock(&s->lock);
	due = is_due(s, wants_newer, clock_monotonic_ms());
	pthread_mutex_unlock(&s->lock);
	return due;
}

// One thread fetches, the others wait for it. Those it holds are good for this check. NULL: none.
static struct keys *keys_take(struct turn *t, bool wants_newer)
{
	struct oauth_state *s = t->state;
	struct keys *found = NULL;

	if (asks_for_keys(s, wants_newer) && lock_until(&s->fetching, t->deadline)) {
		if (asks_for_keys(s, wants_newer))
			renew(t, wants_newer);
		pthread_mutex_unlock(&s->fetching);
	}
	pthread_mutex_lock(&s->lock);
	if (s->keys && (s->fixed || clock_monotonic_ms() - s->fetched_ms < KEYS_STALE_MS)) {
		found = s->keys;
		atomic_fetch_add(&found->users, 1);
	} else {
		auth_answer_set(t->out, AUTH_CANNOT, TEXT("the issuer's keys: %s"),
			s->why[0] ? s->why : TEXT("not there yet"));
	}
	pthread_mutex_unlock(&s->lock);
	return found;
}

// ---- by signature
static bool verify(struct turn *t, const struct auth_jwt *token, bool wants_newer, int *result)
{
	struct keys *k = keys_take(t, wants_newer);
	struct error err = {0};

	if (!k)
		return false;
	*result = auth_jwt_verify(token, k->set, &err);
	if (*result)
		auth_answer_set(t->out, *result == ERR_NOT_FOUND ? AUTH_UNKNOWN : AUTH_NO, "%s",
			err.text);
	keys_drop(k);
	return true;
}

static void check_signed(struct turn *t, const struct auth_jwt *token)
{
	int result = ERR_NOT_FOUND;

	if (auth_claims_of_another(token, &t->rule, t->out))
		return;
	if (verify(t, token, false, &result) && result == ERR_NOT_FOUND)
		(void)verify(t, token, true, &result); // the issuer may have a new key
	if (result == 0)
		auth_claims_of_token(token, &t->rule, t->out);
}

// ---- by introspection
static struct remembered *slot_of(
	struct oauth_state *s, struct str token, unsigned char hash[SHA256_DIGEST_LENGTH])
{
	SHA256((const unsigned char *)token.data, token.len, hash);
	return &s->remembered[(hash[0] | (unsigned)hash[1] << 8) % REMEMBERED];
}

static bool recall(struct turn *t)
{
	unsigned char hash[SHA256_DIGEST_LENGTH];
	struct remembered *r = slot_of(t->state, t->token, hash);
	bool found;

	pthread_mutex_lock(&t->state->lock);
	found = r->until_ms > clock_wall_ms() && memcmp(r->hash, hash, sizeof hash) == 0;
	if (found) {
		auth_answer_set(t->out, AUTH_YES, "%s", "");
		memcpy(t->out->account, r->account, sizeof r->account);
	}
	pthread_mutex_unlock(&t->state->lock);
	return found;
}

static void remember(struct turn *t, uint64_t end_s)
{
	unsigned char hash[SHA256_DIGEST_LENGTH];
	struct remembered *r = slot_of(t->state, t->token, hash);
	uint64_t until = clock_wall_ms() + t->state->source->cache;

	if (!t->state->source->cache || strlen(t->out->account) >= sizeof r->account)
		return;
	pthread_mutex_lock(&t->state->lock);
	memcpy(r->hash, hash, sizeof hash);
	memcpy(r->account, t->out->account, sizeof r->account);
	r->until_ms = end_s && end_s * 1000 < until ? end_s * 1000 : until;
	pthread_mutex_unlock(&t->state->lock);
}

static void introspect(struct turn *t)
{
	char *escaped = curl_easy_escape(NULL, t->token.data, (int)t->token.len);
	struct buf form = BUF_INIT, body = BUF_INIT;
	struct error err = {0};
	uint64_t end_s;

	(void)buf_reserve(&form, 3 * t->token.len + 64); // no copy is left behind by growing
	buf_add_format(&form, "token=%s&token_type_hint=access_token", escaped ? escaped : "");
	if (request(t, t->state->introspection, buf_str(&form), &body, &err)) {
		auth_answer_set(t->out, AUTH_CANNOT, TEXT("the introspection endpoint: %s"), err.text);
	} else {
		auth_claims_introspected(buf_str(&body), &t->rule, t->out, &end_s);
		if (t->out->verdict == AUTH_YES)
			remember(t, end_s);
	}
	if (escaped)
		mem_wipe(escaped, strlen(escaped));
	curl_free(escaped);
	buf_finish_wipe(&form);
	buf_finish_wipe(&body);
}

// A token that we can read is checked by its signature, any other one by asking.
static void check(const struct config_source *s, void *state, const struct auth_question *q,
	struct auth_answer *out)
{
	struct turn t = {.state = state,
		.token = q->secret,
		.deadline = clock_monotonic_ms() + s->timeout,
		.rule = {s->issuer, s->audience, s->account_claim, clock_wall_ms() / 1000},
		.out = out};
	bool by_signature = t.state->fixed || t.state->jwks[0], asks = t.state->introspection[0];
	struct auth_jwt token;
	struct error err = {0};
	int result = by_signature ? auth_jwt_read(q->secret, &token, &err) : ERR_SYNTAX;

	if (result == 0) {
		check_signed(&t, &token);
		auth_jwt_finish(&token);
	} else if (!asks) {
		auth_answer_set(out, result == ERR_SYNTAX ? AUTH_UNKNOWN : AUTH_NO, "%s", err.text);
	} else if (!recall(&t)) {
		introspect(&t);
	}
}

// ---- before confinement
static void finish(void *arg)
{
	struct oauth_state *s = arg;

	auth_connections_destroy(s->handles);
	keys_drop(s->keys);
	pthread_mutex_destroy(&s->lock);
	pthread_mutex_destroy(&s->fetching);
	mem_wipe(s->secret, strlen(s->secret));
	mem_free(s->secret);
	mem_free(s->id);
	mem_free(s->introspection);
	mem_free(s->jwks);
	mem_free(s->remembered);
	mem_free(s);
}

static struct str first_line(struct str content)
{
	struct str line = STR_EMPTY;

	(void)str_split(&content, '\n', &line);
	if (str_ends_nocase(line, STR("\r")))
		line.len--;
	return line;
}

static int take_file(struct oauth_state *s, struct error *err)
{
	struct auth_jwk_set *set;
	struct error why = {0};
	int result;

	if (!s->source->jwks_file.path.len)
		return 0;
	result = auth_jwk_set_read(s->source->jwks_file.content, &set, &why);
	if (result)
		return error_set(err, result, "jwks-file: %s", why.text);
	s->keys = keys_make(set);
	s->fixed = true;
	return 0;
}

static int prepare(const struct config_source *s, void **out, struct error *err)
{
	struct oauth_state *state;
	int result;

	if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
		return error_set(err, ERR_UNSUPPORTED, TEXT("libcurl cannot be used"));
	state = mem_alloc(sizeof *state);
	state->source = s;
	state->introspection = str_dup(s->introspection);
	state->jwks = str_dup(s->jwks);
	state->id = str_dup(s->login);
	state->secret = str_dup(first_line(s->password_file.content));
	state->handles = auth_connections_create(s->connections, close_handle);
	state->remembered = mem_array(REMEMBERED, sizeof *state->remembered);
	pthread_mutex_init(&state->lock, NULL);
	pthread_mutex_init(&state->fetching, NULL);
	result = take_file(state, err);
	if (result)
		finish(state);
	else
		*out = state;
	return result;
}

const struct auth_source_driver auth_source_driver = {
	.prepare = prepare,
	.finish = finish,
	.check = check,
};
