// SPDX-License-Identifier: ISC
#include "auth/offers.h"

#include "auth/keytab.h"
#include "auth/mechanism_rows.h"
#include "base/text.h"

#include <stdio.h>

// What is wished when nothing is named. A row that is on_request is not, whatever the sources can.
static const char *const wish[] = {"SCRAM-SHA-256-PLUS", "SCRAM-SHA-256", "OAUTHBEARER", "XOAUTH2",
	"PLAIN", "LOGIN"};

// ---- lists of names
static void add(char out[AUTH_OFFER_MAX], const char *name)
{
	size_t used = strlen(out);

	if (used + strlen(name) + 2 <= AUTH_OFFER_MAX)
		snprintf(out + used, AUTH_OFFER_MAX - used, "%s%s", used ? " " : "", name);
}

bool auth_offers_have(const char *list, const char *mechanism)
{
	struct str rest = str_from(list), one;

	while (str_split(&rest, ' ', &one))
		if (one.len && str_equal_nocase(one, str_from(mechanism)))
			return true;
	return false;
}

bool auth_offers_binding(const char *list)
{
	struct str rest = str_from(list), one;

	while (str_split(&rest, ' ', &one))
		if (str_ends_nocase(one, STR("-PLUS")))
			return true;
	return false;
}

static bool list_has(const struct config_list *l, const char *name)
{
	for (size_t i = 0; i < l->count; i++)
		if (str_equal_nocase(l->items[i], str_from(name)))
			return true;
	return false;
}

static bool is_named(const struct config_server *s, const struct auth_mechanism *m)
{
	return s && list_has(&s->mechanisms, m->name);
}

static bool is_wished(const struct config_server *s, const struct auth_mechanism *m)
{
	if (s && s->mechanisms.count)
		return is_named(s, m);
	for (size_t i = 0; i < ARRAY_SIZE(wish); i++)
		if (!strcmp(wish[i], m->name))
			return true;
	return false;
}

// ---- sources
static bool is_asked(const struct config_server *s, const struct config_source *source)
{
	if (!s || s->sources.count == 0)
		return true;
	for (size_t i = 0; i < s->sources.count; i++)
		if (str_equal(s->sources.items[i], source->name))
			return true;
	return false;
}

// sure: for every name that it knows; else for some.
static unsigned gives(
	const struct config_source *source, const struct auth_offer_facts *f, bool sure)
{
	const struct auth_source_kind *kind = auth_source_kind_of(source);

	if (!str_equal(source->kind, STR("accounts")))
		return kind && kind->gives ? kind->gives(source) : 0;
	if (sure)
		return AUTH_GIVES_VERIFY | (f->scram_missing ? 0 : AUTH_GIVES_SCRAM);
	return AUTH_GIVES_VERIFY | AUTH_GIVES_SCRAM | AUTH_GIVES_CLEAR | AUTH_GIVES_OTP;
}

static bool is_for_tokens(const struct auth_mechanism *m)
{
	return m->needs == AUTH_GIVES_TOKEN;
}

static bool has_tokens(
	const struct config *c, const struct config_server *s, const struct auth_offer_facts *f)
{
	for (size_t i = 0; i < c->auth.source_count; i++)
		if (is_asked(s, &c->auth.sources[i]) &&
			gives(&c->auth.sources[i], f, true) & AUTH_GIVES_TOKEN)
			return true;
	return false;
}

// The first source that cannot serve it; NULL: all can. any: one that can is enough. A source of
// tokens alone has no say in what is done with passwords, unless there is no other.
static const struct config_source *find_unable(const struct config *c,
	const struct config_server *s, const struct auth_offer_facts *f,
	const struct auth_mechanism *m, bool any)
{
	const struct config_source *unable = NULL, *tokens_only = NULL;
	bool judged = false;

	for (size_t i = 0; i < c->auth.source_count && m->needs; i++) {
		const struct config_source *source = &c->auth.sources[i];
		if (!is_asked(s, source))
			continue;
		unsigned given = gives(source, f, !any);
		if (given == AUTH_GIVES_TOKEN) {
			tokens_only = tokens_only ? tokens_only : source;
			continue;
		}
		bool can = given & m->needs;
		judged = true;
		if (any && can)
			return NULL;
		if (!can && !unable)
			unable = source;
	}
	return judged ? unable : tokens_only;
}

// NULL: it is offered. Else why not, with the source that is the reason.
static const char *why_not(const struct config *c, const struct config_server *s,
	const struct auth_offer_facts *f, const struct auth_mechanism *m,
	const struct config_source **out_source)
{
	*out_source = NULL;
	m = auth_mechanism_as_configured(m, c);
	if (m->by_ticket && !c->auth.keytab.content.len)
		return TEXT_MARK("there are no Kerberos keys: auth { gssapi { keytab } } names none");
	if (m->by_ticket && !auth_keytab_has(c->auth.keytab.content, STR("smtp"), c->hostname))
		return TEXT_MARK("the Kerberos keytab has no key of smtp/HOSTNAME");
	if (f->available && m->by_library && !f->available(m->name))
		return TEXT_MARK("libsasl2 has no plugin for it on this machine");
	if (is_for_tokens(m))
		return has_tokens(c, s, f) ? NULL : TEXT_MARK("no source takes tokens (oauth)");
	*out_source = find_unable(c, s, f, m, is_named(s, m));
	if (!*out_source)
		return NULL;
	if (str_equal((*out_source)->kind, STR("accounts")) && m->needs & AUTH_GIVES_SCRAM)
		return TEXT_MARK("some accounts have no SCRAM keys yet; they are made at the next "
				 "login with PLAIN");
	return TEXT_MARK("a source cannot serve it");
}

// ---- the lists
void auth_offers(const struct config *c, const struct config_server *s,
	const struct auth_offer_facts *f, bool tls, char out[AUTH_OFFER_MAX])
{
	const struct config_source *source;

	out[0] = '\0';
	if (!tls && !s->auth_without_tls)
		return;
	for (size_t i = 0; i < auth_mechanism_count; i++) {
		const struct auth_mechanism *m = auth_mechanisms[i];
		if (is_wished(s, m) && (tls || !m->needs_tls) && !why_not(c, s, f, m, &source))
			add(out, m->name);
	}
}

void auth_offers_public(
	const struct config *c, const struct auth_offer_facts *f, char out[AUTH_OFFER_MAX])
{
	const struct config_source *source;

	out[0] = '\0';
	for (size_t i = 0; i < auth_mechanism_count; i++) {
		const struct auth_mechanism *m = auth_mechanisms[i];
		bool wished = is_wished(NULL, m);
		for (size_t k = 0; k < c->server_count; k++)
			wished = wished || is_named(&c->servers[k], m);
		if (wished && !m->needs_tls && !m->private_only &&
			!why_not(c, NULL, f, m, &source))
			add(out, m->name);
	}
}

static const struct config_server *find_server(const struct config *c, struct str name)
{
	for (size_t i = 0; i < c->server_count; i++)
		if (str_equal(c->servers[i].name, name))
			return &c->servers[i];
	return NULL;
}

void auth_offers_for(const struct auth_offer_state *state, struct str server, bool tls,
	char out[AUTH_OFFER_MAX])
{
	const struct config_server *s =
		server.len ? find_server(state->config, server) : NULL;

	if (s)
		auth_offers(state->config, s, &state->facts, tls, out);
	else
		auth_offers_public(state->config, &state->facts, out);
}

// The facts that are not looked at here never turn an offered SCRAM into one with less bindings.
bool auth_mechanism_offers_binding(const struct authentication *x)
{
	const struct authentication_facts *f = authentication_facts(x);
	const struct auth_offer_state state = {authentication_config(x), {0}};
	char list[AUTH_OFFER_MAX];

	if (!f->trusted)
		return false;
	auth_offers_for(&state, f->server, f->secured, list);
	return auth_offers_binding(list);
}

void auth_offers_explain(const struct config *c, const struct config_server *s,
	const struct auth_offer_facts *f,
	void (*each)(void *arg, const char *mechanism, const char *why), void *arg)
{
	const struct config_source *source;
	char words[400], name[32];

	for (size_t i = 0; s && i < s->mechanisms.count; i++)
		if (str_copy(s->mechanisms.items[i], name, sizeof name) &&
			!auth_mechanism_find(name))
			each(arg, name, TEXT("this version of Pabal does not have it"));
	for (size_t i = 0; i < auth_mechanism_count; i++) {
		const struct auth_mechanism *m = auth_mechanisms[i];
		const char *why = is_wished(s, m) ? why_not(c, s, f, m, &source) : NULL;
		if (!why || (is_for_tokens(m) && !is_named(s, m)))
			continue; // who has no issuer of tokens misses nothing
		if (source)
			snprintf(words, sizeof words, "%s (%.*s)", TEXT(why),
				STR_ARG(source->name.len ? source->name : source->kind));
		else
			snprintf(words, sizeof words, "%s", TEXT(why));
		each(arg, m->name, words);
	}
}

// The library knows both forms by the one without -PLUS.
static void add_base(char out[AUTH_OFFER_MAX], const char *name)
{
	char base[32];
	struct str plus = STR("-PLUS"), s = str_from(name);

	if (str_ends_nocase(s, plus))
		s = str_slice(s, 0, s.len - plus.len);
	if (str_copy(s, base, sizeof base) && !auth_offers_have(out, base))
		add(out, base);
}

void auth_offers_of_library(const struct config *c, char out[AUTH_OFFER_MAX])
{
	const struct auth_offer_facts facts = {0};
	const struct config_source *source;

	out[0] = '\0';
	for (size_t i = 0; i < auth_mechanism_count; i++) {
		const struct auth_mechanism *m = auth_mechanisms[i];
		bool wished = false;
		bool by_library = auth_mechanism_as_configured(m, c)->by_library;
		for (size_t k = 0; k < c->server_count && by_library; k++)
			wished = wished || (is_wished(&c->servers[k], m) &&
						   !why_not(c, &c->servers[k], &facts, m, &source));
		if (wished)
			add_base(out, m->name);
	}
}
