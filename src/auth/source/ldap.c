// SPDX-License-Identifier: ISC
// The kind "ldap": what of it is in the program. The work is in ldap_driver.c.
#include "auth/source/driver.h"
#include "auth/source/kinds.h"
#include "auth/source/ldap_text.h"
#include "base/text.h"

// A directory proves a password by a bind and shows none.
static unsigned gives(const struct config_source *s)
{
	return AUTH_GIVES_VERIFY;
}

static int check_templates(const struct config_source *s, struct error *err)
{
	int result = auth_ldap_template_check(s->bind_dn, "und", err);

	if (!result)
		result = auth_ldap_template_check(s->filter, "und", err);
	return result ? result : auth_ldap_template_check(s->group_filter, "undD", err);
}

static int prepare(const struct config_source *s, void **state, struct error *err)
{
	int result = check_templates(s, err);

	return result ? result : auth_driver_prepare("ldap", s, state, err);
}

// Where neither template has the domain, kim of one domain would be kim of every other one. A bare
// name is what is left of one of the default domain.
static bool is_of_another_domain(const struct config_source *s, const struct auth_question *q)
{
	struct str template = s->bind_dn.len ? s->bind_dn : s->filter;

	if (auth_ldap_template_has(template, "ud") || (!s->bind_dn.len && s->account_attribute.len))
		return false;
	return str_find(auth_question_bare(q), '@') >= 0;
}

static void check(const struct config_source *s, void *state, const struct auth_question *q,
	struct auth_answer *out)
{
	if (q->ask != AUTH_ASK_PASSWORD)
		auth_answer_set(out, AUTH_CANNOT, TEXT("a directory checks passwords only"));
	else if (!q->secret.len) // RFC 4513 5.1.2: a bind without a password succeeds for anybody
		auth_answer_set(out, AUTH_NO, TEXT("an empty password"));
	else if (!q->name.len || !str_is_utf8(q->name) || str_find(q->name, '\0') >= 0)
		auth_answer_set(out, AUTH_UNKNOWN, TEXT("the name cannot be in a directory"));
	else if (is_of_another_domain(s, q))
		auth_answer_set(out, AUTH_UNKNOWN,
			TEXT("without %%u or %%d it is for names of default-domain only"));
	else
		auth_driver_check(s, state, q, out);
}

static void advise(const struct config_source *s, struct config_findings *findings)
{
	struct error err;

	if (check_templates(s, &err))
		config_findings_add(findings, 'E', s->where.file, s->where.line, s->where.column,
			"%s", err.text);
	for (size_t i = 0; i < s->uris.count && !s->tls; i++)
		if (str_starts_nocase(s->uris.items[i], STR("ldap://")) &&
			str_search(s->uris.items[i], STR("//localhost")) < 0 &&
			str_search(s->uris.items[i], STR("//127.")) < 0 &&
			str_search(s->uris.items[i], STR("//[::1]")) < 0)
			config_findings_add(findings, 'W', s->where.file, s->where.line,
				s->where.column,
				TEXT("source \"%.*s\": passwords cross the network without TLS "
				     "(tls yes, or ldaps)"),
				STR_ARG(s->name));
}

const struct auth_source_kind auth_source_ldap = {
	.name = "ldap",
	.where = AUTH_IN_SOURCE,
	.module = "ldap",
	.gives = gives,
	.prepare = prepare,
	.finish = auth_driver_finish,
	.check = check,
	.advise = advise,
};
