// SPDX-License-Identifier: ISC
#include "deliver/token.h"

#include "base/memory.h"
#include "base/text.h"
#include "deliver/login.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

static void drop(char **text)
{
	if (*text)
		mem_wipe(*text, strlen(*text));
	mem_free(*text);
	*text = NULL;
}

static void set(char **field, const char *text)
{
	char *copy = str_dup(str_from(text));

	drop(field);
	*field = copy;
}

void token_finish(struct token *t)
{
	drop(&t->access);
	drop(&t->refresh);
	drop(&t->client_id);
	drop(&t->client_secret);
	drop(&t->endpoint);
	drop(&t->scope);
	json_decref(t->file);
	*t = (struct token){0};
}

// Printable ASCII without blanks (RFC 6750 2.1, RFC 6749 A): nothing else ends up in a SASL message.
static bool is_token(const char *text)
{
	for (const char *p = text; *p; p++)
		if (*p <= ' ' || *p > '~')
			return false;
	return strlen(text) <= LOGIN_TOKEN_OCTETS;
}

// ---- the file
static const struct {
	const char *name, *other;
	size_t offset;
	bool token;
} members[] = {
	{"access_token", NULL, offsetof(struct token, access), true},
	{"refresh_token", NULL, offsetof(struct token, refresh), true},
	{"client_id", NULL, offsetof(struct token, client_id), false},
	{"client_secret", NULL, offsetof(struct token, client_secret), false},
	{"token_endpoint", "token_uri", offsetof(struct token, endpoint), false},
	{"scope", NULL, offsetof(struct token, scope), false},
};

static uint64_t seconds_to_ms(const json_t *value)
{
	json_int_t seconds = json_is_real(value) ? (json_int_t)json_real_value(value) : json_integer_value(value);

	return seconds > 0 && seconds < (json_int_t)1 << 40 ? (uint64_t)seconds * 1000 : 0;
}

static int read_members(struct token *t, struct error *err)
{
	for (size_t i = 0; i < ARRAY_SIZE(members); i++) {
		const json_t *value = json_object_get(t->file, members[i].name);
		char **field = (char **)((char *)t + members[i].offset);

		if (!value && members[i].other)
			value = json_object_get(t->file, members[i].other);
		if (value && !json_is_string(value) && !json_is_null(value))
			return error_set(err, ERR_SYNTAX, TEXT("\"%s\" is no text"), members[i].name);
		set(field, json_is_string(value) ? json_string_value(value) : "");
		if (members[i].token && !is_token(*field))
			return error_set(err, ERR_SYNTAX, TEXT("\"%s\" is too long or no token"),
				members[i].name);
	}
	t->expires_ms = seconds_to_ms(json_object_get(t->file, "expires_at"));
	if (*t->endpoint && !str_starts_nocase(str_from(t->endpoint), STR("https://")))
		return error_set(err, ERR_SYNTAX, TEXT("\"token_endpoint\" does not begin with https://"));
	return 0;
}

int token_parse(struct str json, struct token *out, struct error *err)
{
	json_error_t why;
	int result;

	*out = (struct token){0};
	if (json.len > TOKEN_FILE_OCTETS)
		return error_set(err, ERR_LIMIT, TEXT("more than %d octets"), TOKEN_FILE_OCTETS);
	out->file = json_loadb(json.data, json.len, JSON_REJECT_DUPLICATES, &why);
	if (!json_is_object((json_t *)out->file)) // the library's words may quote the secret
		result = error_set(err, ERR_SYNTAX, TEXT("no JSON object (near line %d)"),
			out->file ? 1 : why.line);
	else
		result = read_members(out, err);
	if (result)
		token_finish(out);
	return result;
}

void token_render(const struct token *t, struct buf *out)
{
	char *text = json_dumps(t->file, JSON_INDENT(2));

	if (!text)
		fatal("out of memory");
	(void)buf_reserve(out, strlen(text) + 2);
	buf_add_text(out, text);
	buf_add_char(out, '\n');
	mem_wipe(text, strlen(text));
	free(text);
}

// ---- renewing
bool token_is_fresh(const struct token *t, uint64_t now_ms)
{
	return t->access && *t->access && (!t->expires_ms || t->expires_ms > now_ms + TOKEN_EARLY_MS);
}

bool token_can_renew(const struct token *t)
{
	return t->refresh && *t->refresh && *t->endpoint;
}

// application/x-www-form-urlencoded
static void add_field(struct buf *out, const char *name, const char *value)
{
	static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";

	if (!*value)
		return;
	buf_add_format(out, "%s%s=", buf_len(out) ? "&" : "", name);
	for (; *value; value++)
		if (strchr(plain, *value))
			buf_add_char(out, *value);
		else
			buf_add_format(out, "%%%02X", (unsigned char)*value);
}

void token_make_question(const struct token *t, struct buf *out)
{
	(void)buf_reserve(out, 256 + 3 * (strlen(t->refresh) + strlen(t->client_id) +
		strlen(t->client_secret) + strlen(t->scope))); // never moved: wiped where it lies
	add_field(out, "grant_type", "refresh_token");
	add_field(out, "refresh_token", t->refresh);
	add_field(out, "client_id", t->client_id);
	add_field(out, "client_secret", t->client_secret);
	add_field(out, "scope", t->scope);
}

// Words of the endpoint, for the log: short, printable.
static void copy_words(const json_t *value, char *out, size_t size)
{
	const char *text = json_is_string(value) ? json_string_value(value) : "";
	size_t used = 0;

	for (; *text && used + 1 < size; text++)
		out[used++] = *text < ' ' || *text > '~' ? ' ' : *text;
	out[used] = '\0';
}

static int refused(const struct token *t, const json_t *answer, unsigned status, struct error *err)
{
	char error[64], words[160];

	copy_words(json_object_get(answer, "error"), error, sizeof error);
	copy_words(json_object_get(answer, "error_description"), words, sizeof words);
	if ((*t->refresh && strstr(words, t->refresh)) ||
		(*t->client_secret && strstr(words, t->client_secret)))
		words[0] = '\0';
	return error_set(err, ERR_DENIED, TEXT("the token endpoint said %u%s%s%s%s"), status,
		*error ? " " : "", error, *words ? ": " : "", words);
}

static void keep_member(struct token *t, const char *name, char **field, const char *value)
{
	set(field, value);
	json_object_set_new(t->file, name, json_string(value));
}

int token_take_answer(struct token *t, unsigned status, struct str body, uint64_t now_ms,
	struct error *err)
{
	json_t *answer = body.len <= TOKEN_ANSWER_OCTETS ? json_loadb(body.data, body.len, 0, NULL) : NULL;
	const char *access = json_string_value(json_object_get(answer, "access_token"));
	const char *refresh = json_string_value(json_object_get(answer, "refresh_token"));
	uint64_t life = seconds_to_ms(json_object_get(answer, "expires_in"));
	int result = 0;

	if (status != 200) {
		result = refused(t, answer, status, err);
	} else if (!access || !*access || !is_token(access) || (refresh && !is_token(refresh))) {
		result = error_set(err, ERR_SYNTAX, TEXT("the token endpoint gave no access token"));
	} else {
		keep_member(t, "access_token", &t->access, access);
		if (refresh && *refresh)
			keep_member(t, "refresh_token", &t->refresh, refresh);
		t->expires_ms = life ? now_ms + life : 0;
		json_object_del(t->file, "expires_at");
		if (life)
			json_object_set_new(t->file, "expires_at",
				json_integer((json_int_t)(t->expires_ms / 1000)));
	}
	json_decref(answer);
	return result;
}
