// SPDX-License-Identifier: ISC
#include "deliver/login_internal.h"

#include "base/memory.h"
#include "base/text.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>

#define CHALLENGE_OCTETS 1024 // of CRAM-MD5

static int unasked(struct error *err)
{
	return error_set(err, ERR_SYNTAX, TEXT("the host asks without end"));
}

// ---- PLAIN (RFC 4616)
static bool plain_start(struct login *l, struct buf *out)
{
	(void)buf_reserve(out, strlen(l->user) + buf_len(&l->password) + 2);
	buf_add_char(out, '\0');
	buf_add_text(out, l->user);
	buf_add_char(out, '\0');
	buf_add_str(out, buf_str(&l->password));
	return true;
}

// Asked by servers that know no initial response.
static int plain_answer(struct login *l, struct str challenge, struct buf *out, struct error *err)
{
	(void)challenge;
	if (l->step++ > 0)
		return unasked(err);
	plain_start(l, out);
	return 0;
}

// ---- LOGIN: two prompts, whatever their words
static bool no_start(struct login *l, struct buf *out)
{
	(void)l;
	(void)out;
	return false;
}

static int login_login_answer(struct login *l, struct str challenge, struct buf *out, struct error *err)
{
	(void)challenge;
	if (l->step > 1)
		return unasked(err);
	buf_add_str(out, l->step++ ? buf_str(&l->password) : str_from(l->user));
	return 0;
}

// ---- CRAM-MD5 (RFC 2195)
static int cram_answer(struct login *l, struct str challenge, struct buf *out, struct error *err)
{
	unsigned char digest[EVP_MAX_MD_SIZE];
	unsigned len = 0;
	struct str key = buf_str(&l->password);

	if (l->step++ > 0)
		return unasked(err);
	if (!challenge.len || challenge.len > CHALLENGE_OCTETS)
		return error_set(err, ERR_SYNTAX, TEXT("the host's challenge is empty or too long"));
	if (!HMAC(EVP_md5(), key.data, (int)key.len, (const unsigned char *)challenge.data,
		    challenge.len, digest, &len))
		return error_set(err, ERR_UNSUPPORTED, TEXT("this OpenSSL refuses %s"), "MD5");
	buf_add_format(out, "%s ", l->user);
	buf_add_hex(out, str_make(digest, len));
	return 0;
}

// ---- EXTERNAL (RFC 4422 A): the certificate of TLS; the user is who to act as
static bool external_start(struct login *l, struct buf *out)
{
	buf_add_text(out, l->user);
	return true;
}

static int external_answer(struct login *l, struct str challenge, struct buf *out, struct error *err)
{
	(void)challenge;
	if (l->step++ > 0)
		return unasked(err);
	external_start(l, out);
	return 0;
}

// ---- OAUTHBEARER (RFC 7628), XOAUTH2 (of Google and Microsoft)
// RFC 5801 4: saslname
static void add_authzid(struct buf *out, const char *name)
{
	for (; *name; name++)
		if (*name == '=' || *name == ',')
			buf_add_text(out, *name == '=' ? "=3D" : "=2C");
		else
			buf_add_char(out, *name);
}

static bool bearer_start(struct login *l, struct buf *out)
{
	(void)buf_reserve(out, 256 + 3 * strlen(l->user) + strlen(l->host) + buf_len(&l->token));
	buf_add_text(out, "n,a=");
	add_authzid(out, l->user);
	buf_add_format(out, ",\001host=%s\001port=%u\001auth=Bearer ", l->host, l->port);
	buf_add_str(out, buf_str(&l->token));
	buf_add_text(out, "\001\001");
	return true;
}

static bool xoauth2_start(struct login *l, struct buf *out)
{
	(void)buf_reserve(out, 64 + strlen(l->user) + buf_len(&l->token));
	buf_add_format(out, "user=%s\001auth=Bearer ", l->user);
	buf_add_str(out, buf_str(&l->token));
	buf_add_text(out, "\001\001");
	return true;
}

// A challenge is how the host says no ({"status":"401",…}); it wants an empty answer, then refuses.
// An empty one asks for the first response.
static int token_answer(struct login *l, struct str challenge, struct buf *out, struct error *err)
{
	bool first = l->step++ == 0;

	if (first && !challenge.len) {
		l->mechanism->start(l, out);
		return 0;
	}
	if (l->token_refused)
		return unasked(err);
	l->token_refused = true;
	if (l->mechanism->start == bearer_start)
		buf_add_char(out, '\001'); // RFC 7628 3.2.3
	return 0;
}

// ---- the table, strongest first
#define SCRAM(name, hash, plus) \
	{name, LOGIN_BY_PASSWORD, false, false, hash, plus, login_scram_start, login_scram_answer}

static const struct login_mechanism mechanisms[] = {
	SCRAM("SCRAM-SHA-512-PLUS", "SHA512", true),
	SCRAM("SCRAM-SHA-256-PLUS", "SHA256", true),
	SCRAM("SCRAM-SHA-1-PLUS", "SHA1", true),
	SCRAM("SCRAM-SHA-512", "SHA512", false),
	SCRAM("SCRAM-SHA-256", "SHA256", false),
	SCRAM("SCRAM-SHA-1", "SHA1", false),
	{"EXTERNAL", LOGIN_BY_CERTIFICATE, true, true, NULL, false, external_start, external_answer},
	{"OAUTHBEARER", LOGIN_BY_TOKEN, true, false, NULL, false, bearer_start, token_answer},
	{"XOAUTH2", LOGIN_BY_TOKEN, true, false, NULL, false, xoauth2_start, token_answer},
	{"CRAM-MD5", LOGIN_BY_PASSWORD, false, false, NULL, false, no_start, cram_answer},
	{"PLAIN", LOGIN_BY_PASSWORD, true, false, NULL, false, plain_start, plain_answer},
	{"LOGIN", LOGIN_BY_PASSWORD, true, false, NULL, false, no_start, login_login_answer},
};

static size_t position_of(const struct login_mechanism *m)
{
	return (size_t)(m - mechanisms);
}

static bool is_wanted(const struct login *l, const struct login_mechanism *m)
{
	if (!l->wanted_count)
		return !m->when_wanted;
	for (size_t i = 0; i < l->wanted_count; i++)
		if (str_equal_nocase(l->wanted[i], str_from(m->name)))
			return true;
	return false;
}

bool login_may_bind(const struct login *l)
{
	for (size_t i = 0; i < ARRAY_SIZE(mechanisms); i++)
		if (mechanisms[i].plus && !strcmp(mechanisms[i].hash, l->mechanism->hash))
			return l->binding_name[0] && is_wanted(l, &mechanisms[i]);
	return false;
}

static bool is_offered(const char *offered, const char *name)
{
	struct str rest = str_from(offered), one;

	while (str_split(&rest, ' ', &one))
		if (str_equal_nocase(one, str_from(name)))
			return true;
	return false;
}

static bool is_able(const struct login *l, const struct login_mechanism *m)
{
	bool known = (m->by == LOGIN_BY_PASSWORD && buf_len(&l->password)) ||
		(m->by == LOGIN_BY_TOKEN && l->has_token) ||
		(m->by == LOGIN_BY_CERTIFICATE && l->certificate);

	return known && (l->secured || (!m->bare && !m->plus)) && (!m->plus || l->binding_name[0]);
}

static const struct login_mechanism *find(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(mechanisms); i++)
		if (str_equal_nocase(str_from(name), str_from(mechanisms[i].name)))
			return &mechanisms[i];
	return NULL;
}

static bool fits(const struct login *l, const struct login_mechanism *m, const char *offered)
{
	return m && !(l->refused & 1u << position_of(m)) && is_able(l, m) && is_wanted(l, m) &&
		is_offered(offered, m->name);
}

static const struct login_mechanism *choose(const struct login *l, const char *offered)
{
	char name[64];

	for (size_t i = 0; i < l->wanted_count; i++)
		if (str_copy(l->wanted[i], name, sizeof name) && fits(l, find(name), offered))
			return find(name);
	for (size_t i = 0; !l->wanted_count && i < ARRAY_SIZE(mechanisms); i++)
		if (fits(l, &mechanisms[i], offered))
			return &mechanisms[i];
	return NULL;
}

// What is able and wanted, for words.
static void list_ours(const struct login *l, char *out, size_t size)
{
	size_t used = 0;

	out[0] = '\0';
	for (size_t i = 0; i < ARRAY_SIZE(mechanisms); i++)
		if (is_able(l, &mechanisms[i]) && is_wanted(l, &mechanisms[i]) && used + 24 < size)
			used += (size_t)snprintf(
				out + used, size - used, "%s%s", used ? " " : "", mechanisms[i].name);
}

static const char *fail_choice(const struct login *l, const char *offered, struct error *err)
{
	char ours[256];

	list_ours(l, ours, sizeof ours);
	if (!*offered)
		error_set(err, ERR_UNSUPPORTED, TEXT("the host does not offer authentication"));
	else if (!l->secured)
		error_set(err, ERR_DENIED, TEXT("passwords and tokens are not sent without TLS"));
	else
		error_set(err, ERR_UNSUPPORTED,
			TEXT("the host offers %.200s; with these settings of the route it can be %s"),
			offered, ours[0] ? ours : TEXT("none"));
	return NULL;
}

const char *login_choose(struct login *l, const char *offered, struct error *err)
{
	char plus[64];

	const struct login_mechanism *chosen = choose(l, offered);

	if (!chosen)
		return fail_choice(l, offered, err);
	l->mechanism = chosen;
	snprintf(plus, sizeof plus, "%s-PLUS", l->mechanism->name);
	l->plus_offered = is_offered(offered, plus);
	return l->mechanism->name;
}

bool login_needs_token(const struct login *l)
{
	return l->mechanism && l->mechanism->by == LOGIN_BY_TOKEN;
}

void login_set_token(struct login *l, struct str token)
{
	buf_finish_wipe(&l->token);
	(void)buf_reserve(&l->token, token.len + 1);
	buf_add_str(&l->token, token);
}

bool login_start(struct login *l, struct buf *out)
{
	l->step = 0;
	l->token_refused = false;
	return l->mechanism->start(l, out);
}

int login_answer(struct login *l, struct str challenge, struct buf *out, struct error *err)
{
	return l->mechanism->answer(l, challenge, out, err);
}

int login_accepted(const struct login *l, struct error *err)
{
	if (l->mechanism->hash && !l->scram.proved)
		return error_set(err, ERR_DENIED,
			TEXT("the host says yes and has not proved that it knows the password"));
	return 0;
}

// 504 and 534: not this mechanism. 535: not this secret, or not by this mechanism.
enum login_next login_refused(struct login *l, unsigned code)
{
	if (!l->mechanism)
		return LOGIN_GIVE_UP;
	if (login_needs_token(l) && !l->token_renewed && code == 535) {
		l->token_renewed = true;
		return LOGIN_NEW_TOKEN;
	}
	l->refused |= 1u << position_of(l->mechanism);
	// A weaker one only where the configuration lists it: whoever took the stronger one's place
	// must not be handed the password.
	return l->wanted_count && (code == 535 || code == 534 || code == 504) ? LOGIN_NEXT : LOGIN_GIVE_UP;
}

const char *login_mechanism(const struct login *l)
{
	return l->mechanism ? l->mechanism->name : "";
}

bool login_is_secret(const struct login *l, struct str text)
{
	struct str password = buf_str(&l->password), token = buf_str(&l->token);

	return (password.len && str_search(text, password) >= 0) ||
		(token.len && str_search(text, token) >= 0);
}

// ---- life
static void keep(struct buf *b, struct str s)
{
	(void)buf_reserve(b, s.len + 1); // never moved: wiped where it lies
	buf_add_str(b, s);
}

struct login *login_create(const struct login_options *o)
{
	struct login *l = mem_alloc(sizeof *l);

	l->user = str_dup(str_from(o->user));
	l->host = str_dup(str_from(o->host));
	keep(&l->password, o->password);
	if (o->nonce)
		snprintf(l->nonce, sizeof l->nonce, "%s", o->nonce);
	l->port = o->port;
	l->has_token = o->has_token;
	l->certificate = o->certificate;
	l->wanted_count = o->wanted_count;
	l->wanted = mem_array(o->wanted_count ? o->wanted_count : 1, sizeof *l->wanted);
	for (size_t i = 0; i < o->wanted_count; i++)
		l->wanted[i] = str_make(str_dup(o->wanted[i]), o->wanted[i].len);
	return l;
}

void login_set_secured(struct login *l, const char *name, struct str binding)
{
	l->secured = true;
	l->binding_name[0] = '\0';
	buf_finish_wipe(&l->binding);
	if (!binding.len)
		return;
	keep(&l->binding, binding);
	snprintf(l->binding_name, sizeof l->binding_name, "%s", name);
}

void login_destroy(struct login *l)
{
	if (!l)
		return;
	login_scram_finish(l);
	buf_finish_wipe(&l->password);
	buf_finish_wipe(&l->token);
	buf_finish_wipe(&l->binding);
	for (size_t i = 0; i < l->wanted_count; i++)
		mem_free((char *)l->wanted[i].data);
	mem_free(l->wanted);
	mem_free(l->user);
	mem_free(l->host);
	mem_free(l);
}
