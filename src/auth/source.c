// SPDX-License-Identifier: ISC
#include "auth/source.h"

#include "auth/source/kinds.h"

#include <stdarg.h>
#include <stdio.h>

const struct auth_source_kind *const auth_source_kinds[] = {
	&auth_source_checkpassword,
	&auth_source_dovecot,
	&auth_source_ldap,
	&auth_source_oauth,
	&auth_source_pam,
	&auth_source_poppasswd,
	&auth_source_saslauthd,
	&auth_source_sql,
	&auth_source_vpopmail,
	&auth_source_vpopmail_sql,
	NULL,
};
const size_t auth_source_kind_count = sizeof auth_source_kinds / sizeof *auth_source_kinds - 1;

const struct auth_source_kind *auth_source_kind_find(struct str name)
{
	for (size_t i = 0; i < auth_source_kind_count; i++)
		if (str_equal(name, str_from(auth_source_kinds[i]->name)))
			return auth_source_kinds[i];
	return NULL;
}

const struct auth_source_kind *auth_source_kind_of(const struct config_source *s)
{
	if (str_equal(s->kind, STR("vpopmail")) && s->engine.len)
		return auth_source_kind_find(STR("vpopmail-sql"));
	return auth_source_kind_find(s->kind);
}

struct str auth_question_bare(const struct auth_question *q)
{
	ptrdiff_t at = str_find_last(q->name, '@');

	if (at < 0 || !q->default_domain.len ||
		!str_equal_nocase(str_skip(q->name, (size_t)at + 1), q->default_domain))
		return q->name;
	return str_slice(q->name, 0, (size_t)at);
}

bool auth_question_sound(const struct auth_question *q)
{
	return q->name.len && q->secret.len && str_find(q->name, '\0') < 0 &&
	       str_find(q->secret, '\0') < 0;
}

void auth_answer_set(struct auth_answer *a, enum auth_verdict verdict, const char *format, ...)
{
	va_list arguments;

	a->verdict = verdict;
	va_start(arguments, format);
	vsnprintf(a->reason, sizeof a->reason, format, arguments);
	va_end(arguments);
}
