// SPDX-License-Identifier: ISC
// The kind "oauth": what of it is in the program. The work is in oauth_driver.c.
#include "auth/source/driver.h"
#include "auth/source/jwk.h"
#include "auth/source/kinds.h"
#include "base/text.h"

static unsigned gives(const struct config_source *s)
{
	return AUTH_GIVES_TOKEN;
}

static int prepare(const struct config_source *s, void **state, struct error *err)
{
	return auth_driver_prepare("oauth", s, state, err);
}

static bool is_visible(struct str text)
{
	for (size_t i = 0; i < text.len; i++)
		if (text.data[i] <= ' ' || text.data[i] > '~')
			return false;
	return true;
}

static void check(const struct config_source *s, void *state, const struct auth_question *q,
	struct auth_answer *out)
{
	if (q->ask != AUTH_ASK_TOKEN)
		auth_answer_set(out, AUTH_UNKNOWN, "%s", TEXT("an issuer of tokens knows no passwords"));
	else if (!q->secret.len || !is_visible(q->secret)) // RFC 6750 2.1
		auth_answer_set(out, AUTH_NO, "%s", TEXT("the token is malformed"));
	else
		auth_driver_check(s, state, q, out);
}

// ---- pabal check
static void warn(
	const struct config_source *s, struct config_findings *findings, const char *words)
{
	config_findings_add(findings, 'W', s->where.file, s->where.line, s->where.column,
		TEXT("source \"%.*s\": %s"), STR_ARG(s->name), words);
}

static void advise(const struct config_source *s, struct config_findings *findings)
{
	struct auth_jwk_set *set = NULL;
	struct error err;

	if (str_starts_nocase(s->introspection, STR("http:")))
		warn(s, findings, TEXT("introspection: tokens are sent without TLS (http)"));
	if (str_starts_nocase(s->jwks, STR("http:")))
		warn(s, findings, TEXT("jwks: whoever changes the answer on its way makes tokens (http)"));
	if (s->introspection.len && !s->login.len)
		warn(s, findings,
			TEXT("introspection without login: most endpoints answer only those they know"));
	if (s->introspection.len && !s->audience.len)
		warn(s, findings,
			TEXT("without audience, a token that was made for any other service of the "
			     "issuer logs in here"));
	if (s->jwks_file.path.len && auth_jwk_set_read(s->jwks_file.content, &set, &err))
		config_findings_add(findings, 'E', s->where.file, s->where.line, s->where.column,
			TEXT("source \"%.*s\": jwks-file: %s"), STR_ARG(s->name), err.text);
	auth_jwk_set_destroy(set);
}

const struct auth_source_kind auth_source_oauth = {
	.name = "oauth",
	.where = AUTH_IN_SOURCE,
	.module = "oauth",
	.gives = gives,
	.prepare = prepare,
	.finish = auth_driver_finish,
	.check = check,
	.advise = advise,
};
