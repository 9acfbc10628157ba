// SPDX-License-Identifier: ISC
// Logins against a directory by libldap: a search for the user's entry and a bind as that entry, or
// a bind at once. One handle is used by one thread at a time; every wait has an end.
#include "auth/source/driver.h"

#include "auth/source/ca_file.h"
#include "auth/source/connections.h"
#include "auth/source/ldap_text.h"
#include "base/clock.h"
#include "base/memory.h"
#include "base/text.h"
#include "auth/authenticator.h"

#include <ldap.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/time.h>

extern const struct auth_source_driver auth_source_driver;

struct ldap_state {
	const struct config_source *source;
	char *login, *password, *base, *account_attribute, *group_base;
	char **uris;
	size_t uri_count;
	atomic_size_t good;		    // the URI that answered last
	struct auth_connections *searching; // bound as login
	struct auth_connections *binding;   // bound as whoever came last
	struct auth_ca_file ca;
};

struct turn { // one check
	struct ldap_state *state;
	const struct auth_question *q;
	uint64_t deadline;
	struct auth_ldap_names names;
	struct auth_answer *out;
};

// ---- results
static struct timeval left(uint64_t deadline)
{
	uint64_t now = clock_monotonic_ms(), ms = now < deadline ? deadline - now : 0;

	return (struct timeval){(time_t)(ms / 1000), (suseconds_t)(ms % 1000) * 1000};
}

static bool is_late(uint64_t deadline)
{
	return clock_monotonic_ms() >= deadline;
}

// The connection is of no more use; a new one may do better.
static bool is_gone(int code)
{
	return code == LDAP_SERVER_DOWN || code == LDAP_CONNECT_ERROR || code == LDAP_UNAVAILABLE ||
	       code == LDAP_TIMEOUT || code == LDAP_LOCAL_ERROR || code == LDAP_ENCODING_ERROR ||
	       code == LDAP_DECODING_ERROR;
}

static void cannot(struct turn *t, LDAP *ld, const char *what, int code)
{
	char *more = NULL;

	if (ld)
		ldap_get_option(ld, LDAP_OPT_DIAGNOSTIC_MESSAGE, &more);
	auth_answer_set(t->out, AUTH_CANNOT, "%s: %s%s%.120s", what, ldap_err2string(code),
		more && *more ? ": " : "", more ? more : "");
	ldap_memfree(more);
}

// ---- connections
static void close_handle(void *ld)
{
	ldap_unbind_ext(ld, NULL, NULL);
}

static int set_options(LDAP *ld, const struct ldap_state *s, uint64_t deadline)
{
	const int version = LDAP_VERSION3, demand = LDAP_OPT_X_TLS_DEMAND, client = 0;
	unsigned silence = (unsigned)s->source->timeout;
	struct timeval limit = left(deadline);
	int failed = 0;

	failed |= ldap_set_option(ld, LDAP_OPT_PROTOCOL_VERSION, &version);
	failed |= ldap_set_option(ld, LDAP_OPT_REFERRALS, LDAP_OPT_OFF);
	failed |= ldap_set_option(ld, LDAP_OPT_RESTART, LDAP_OPT_ON);
	failed |= ldap_set_option(ld, LDAP_OPT_NETWORK_TIMEOUT, &limit);
	failed |= ldap_set_option(ld, LDAP_OPT_TIMEOUT, &limit);
	(void)ldap_set_option(ld, LDAP_OPT_TCP_USER_TIMEOUT, &silence);
	failed |= ldap_set_option(ld, LDAP_OPT_X_TLS_REQUIRE_CERT, &demand);
	failed |= ldap_set_option(ld, LDAP_OPT_X_TLS_CACERTFILE, s->ca.path);
	failed |= ldap_set_option(ld, LDAP_OPT_X_TLS_NEWCTX, &client);
	return failed ? LDAP_LOCAL_ERROR : LDAP_SUCCESS;
}

// Waits for the one answer to a request. LDAP_TIMEOUT when none comes in time.
static int await(LDAP *ld, int id, int all, uint64_t deadline, LDAPMessage **out)
{
	struct timeval limit = left(deadline);
	int kind, code = LDAP_SERVER_DOWN;

	*out = NULL;
	kind = ldap_result(ld, id, all, &limit, out);
	if (kind > 0)
		return LDAP_SUCCESS;
	if (kind == 0)
		return LDAP_TIMEOUT;
	ldap_get_option(ld, LDAP_OPT_RESULT_CODE, &code);
	return code ? code : LDAP_SERVER_DOWN;
}

static int bind_as(LDAP *ld, const char *dn, struct str password, uint64_t deadline)
{
	struct berval secret = {password.len, (char *)password.data};
	LDAPMessage *answer;
	int id, code, parsed = LDAP_SUCCESS;

	code = ldap_sasl_bind(ld, dn, LDAP_SASL_SIMPLE, &secret, NULL, NULL, &id);
	if (code == LDAP_SUCCESS)
		code = await(ld, id, LDAP_MSG_ALL, deadline, &answer);
	if (code != LDAP_SUCCESS)
		return code;
	parsed = ldap_parse_result(ld, answer, &code, NULL, NULL, NULL, NULL, 1);
	return parsed == LDAP_SUCCESS ? code : parsed;
}

static int open_uri(
	struct ldap_state *s, const char *uri, bool searching, uint64_t deadline, LDAP **out)
{
	LDAP *ld = NULL;
	int code = ldap_initialize(&ld, uri);

	if (code == LDAP_SUCCESS)
		code = set_options(ld, s, deadline);
	if (code == LDAP_SUCCESS && s->source->tls && strncmp(uri, "ldap:", 5) == 0)
		code = ldap_start_tls_s(ld, NULL, NULL);
	// Without a bind nothing is sent: whether anybody is there is seen now.
	if (code == LDAP_SUCCESS && searching)
		code = bind_as(ld, s->login, str_from(s->password), deadline);
	else if (code == LDAP_SUCCESS)
		code = ldap_connect(ld);
	*out = ld;
	return code;
}

// The URI that answered last comes first; each gets its part of the time that is left.
static LDAP *open_handle(struct turn *t, bool searching)
{
	struct ldap_state *s = t->state;
	size_t first = atomic_load(&s->good);

	for (size_t i = 0; i < s->uri_count; i++) {
		size_t at = (first + i) % s->uri_count;
		uint64_t now = clock_monotonic_ms(),
			 rest = t->deadline > now ? t->deadline - now : 0;
		LDAP *ld = NULL;
		int code =
			open_uri(s, s->uris[at], searching, now + rest / (s->uri_count - i), &ld);
		if (code == LDAP_SUCCESS) {
			atomic_store(&s->good, at);
			return ld;
		}
		cannot(t, ld, s->uris[at], code);
		if (ld)
			close_handle(ld);
	}
	return NULL;
}

// work: 0, or the LDAP code with which the connection ended; it answers in t->out itself otherwise.
static void with_connection(struct turn *t, struct auth_connections *pool,
	int (*work)(struct turn *t, LDAP *ld, void *arg), void *arg)
{
	bool searching = pool == t->state->searching;
	int code = LDAP_SERVER_DOWN;
	void *ld;

	if (!auth_connections_take(pool, t->deadline, &ld)) {
		auth_answer_set(t->out, AUTH_CANNOT, TEXT("all its connections are busy"));
		return;
	}
	if (ld) { // kept: the server may have ended it
		code = work(t, ld, arg);
		if (code) {
			close_handle(ld);
			ld = NULL;
			auth_connections_forget(pool);
		}
	}
	if (code && !is_late(t->deadline)) {
		ld = open_handle(t, searching);
		code = ld ? work(t, ld, arg) : 0;
		if (code) {
			cannot(t, ld, TEXT("the directory"), code);
			close_handle(ld);
			ld = NULL;
		}
	} else if (code) {
		cannot(t, NULL, TEXT("the directory"), LDAP_TIMEOUT);
	}
	auth_connections_give(pool, ld);
}

// ---- searching
static int search(LDAP *ld, const char *base, int scope, const char *filter, const char *attribute,
	int most, uint64_t deadline, LDAPMessage **out)
{
	char *attributes[] = {(char *)(*attribute ? attribute : LDAP_NO_ATTRS), NULL};
	struct timeval limit = left(deadline);
	int id, code, parsed;

	*out = NULL;
	if (limit.tv_sec == 0)
		limit.tv_sec = 1; // the server counts in seconds, and 0 is for ever
	code = ldap_search_ext(
		ld, base, scope, filter, attributes, 0, NULL, NULL, &limit, most, &id);
	if (code == LDAP_SUCCESS)
		code = await(ld, id, LDAP_MSG_ALL, deadline, out);
	if (code != LDAP_SUCCESS)
		return code;
	parsed = ldap_parse_result(ld, *out, &code, NULL, NULL, NULL, NULL, 0);
	return parsed == LDAP_SUCCESS ? code : parsed;
}

struct entry {
	char *dn; // of ldap_get_dn; NULL: none found
};

static bool read_account(struct turn *t, LDAP *ld, LDAPMessage *entry)
{
	const char *attribute = t->state->account_attribute;
	struct berval **values = *attribute ? ldap_get_values_len(ld, entry, attribute) : NULL;
	bool fits = true;

	if (values && values[0])
		fits = str_copy(str_make(values[0]->bv_val, values[0]->bv_len), t->out->account,
			sizeof t->out->account);
	ldap_value_free_len(values);
	if (!*attribute || (t->out->account[0] && fits))
		return true;
	auth_answer_set(t->out, AUTH_NO, TEXT("the entry has no usable %s"), attribute);
	return false;
}

// AUTH_YES in out: exactly one entry.
static void read_entry(struct turn *t, LDAP *ld, LDAPMessage *found, struct entry *e)
{
	int count = ldap_count_entries(ld, found);

	if (count == 0) {
		auth_answer_set(t->out, AUTH_UNKNOWN, TEXT("no entry"));
		return;
	}
	if (count > 1) {
		auth_answer_set(t->out, AUTH_CANNOT, TEXT("the filter finds more than one entry"));
		return;
	}
	auth_answer_set(t->out, AUTH_YES, "%s", "");
	if (!read_account(t, ld, ldap_first_entry(ld, found)))
		return;
	e->dn = ldap_get_dn(ld, ldap_first_entry(ld, found));
	// A bind with an empty DN is nobody's, whatever the password.
	if (!e->dn || !*e->dn)
		auth_answer_set(t->out, AUTH_CANNOT, TEXT("the entry that was found has no name"));
}

static int find_entry(struct turn *t, LDAP *ld, void *arg)
{
	const struct config_source *s = t->state->source;
	struct buf filter = {.limit = AUTH_LDAP_TEXT_MAX};
	struct entry *e = arg;
	LDAPMessage *found = NULL;
	int code = LDAP_FILTER_ERROR;

	if (!auth_ldap_template_fill(s->filter, &t->names, auth_ldap_escape_filter, &filter))
		code = search(ld, t->state->base,
			str_equal(s->scope, STR("one")) ? LDAP_SCOPE_ONELEVEL : LDAP_SCOPE_SUBTREE,
			buf_cstr(&filter), t->state->account_attribute, 2, t->deadline, &found);
	buf_finish(&filter);
	if (code == LDAP_SUCCESS || (code == LDAP_SIZELIMIT_EXCEEDED && found))
		read_entry(t, ld, found, e);
	else if (!is_gone(code))
		cannot(t, ld, TEXT("search"), code);
	ldap_msgfree(found);
	return is_gone(code) ? code : 0;
}

// ---- binding as the user
// Active Directory says in words why a right password does not help.
static const char *denial(LDAP *ld, int code, char words[160])
{
	char *more = NULL;

	ldap_get_option(ld, LDAP_OPT_DIAGNOSTIC_MESSAGE, &more);
	snprintf(words, 160, "%s%s%.100s",
		code == LDAP_INVALID_CREDENTIALS ? TEXT("wrong password") : ldap_err2string(code),
		more && *more ? ": " : "", more ? more : "");
	ldap_memfree(more);
	return words;
}

static int bind_user(struct turn *t, LDAP *ld, void *arg)
{
	const char *dn = arg;
	char words[160];
	int code = bind_as(ld, dn, t->q->secret, t->deadline);

	switch (code) {
	case LDAP_SUCCESS:
		auth_answer_set(t->out, AUTH_YES, "%s", "");
		return 0;
	case LDAP_INVALID_CREDENTIALS:
	case LDAP_INAPPROPRIATE_AUTH:	// no password is stored
	case LDAP_UNWILLING_TO_PERFORM: // what 389 Directory Server says of a disabled account
	case LDAP_CONSTRAINT_VIOLATION: // too many tries
		auth_answer_set(t->out, AUTH_NO, "%s", denial(ld, code, words));
		return 0;
	case LDAP_NO_SUCH_OBJECT:
	case LDAP_INVALID_DN_SYNTAX:
		auth_answer_set(t->out, AUTH_UNKNOWN, TEXT("no entry"));
		return 0;
	default:
		if (is_gone(code))
			return code;
		cannot(t, ld, TEXT("bind"), code);
		return 0;
	}
}

// ---- groups
// A group is named by its cn or its whole DN.
static bool is_group(LDAP *ld, LDAPMessage *entry, struct str group)
{
	struct berval **names = ldap_get_values_len(ld, entry, "cn");
	char *dn = ldap_get_dn(ld, entry);
	bool found = dn && str_equal_nocase(str_from(dn), group);

	for (size_t i = 0; names && names[i] && !found; i++)
		found = str_equal_nocase(str_make(names[i]->bv_val, names[i]->bv_len), group);
	ldap_memfree(dn);
	ldap_value_free_len(names);
	return found;
}

static uint32_t right(LDAP *ld, LDAPMessage *found, struct str group, uint32_t gives)
{
	LDAPMessage *entry = ldap_first_entry(ld, found);

	if (!group.len)
		return gives;
	for (; entry; entry = ldap_next_entry(ld, entry))
		if (is_group(ld, entry, group))
			return gives;
	return 0;
}

static int find_groups(struct turn *t, LDAP *ld, void *arg)
{
	const struct config_source *s = t->state->source;
	struct buf filter = {.limit = AUTH_LDAP_TEXT_MAX};
	LDAPMessage *found = NULL;
	int code = LDAP_FILTER_ERROR;

	(void)arg;
	if (!auth_ldap_template_fill(s->group_filter, &t->names, auth_ldap_escape_filter, &filter))
		code = search(ld, t->state->group_base, LDAP_SCOPE_SUBTREE, buf_cstr(&filter), "cn",
			0, t->deadline, &found);
	buf_finish(&filter);
	if (code == LDAP_SUCCESS) {
		auth_answer_set(t->out, AUTH_YES, "%s", ""); // after what an earlier URI said
		t->out->has_rights = true;
		t->out->rights = right(ld, found, s->submit_group, AUTHENTICATOR_SUBMIT) |
				 right(ld, found, s->relay_group, AUTHENTICATOR_RELAY);
	} else if (!is_gone(code)) {
		cannot(t, ld, TEXT("search for groups"), code);
	}
	ldap_msgfree(found);
	return is_gone(code) ? code : 0;
}

// ---- the check
static void bind_and_read_rights(struct turn *t, const char *dn)
{
	t->names.dn = str_from(dn);
	with_connection(t, t->state->binding, bind_user, (void *)dn);
	if (t->out->verdict == AUTH_YES && t->state->group_base[0])
		with_connection(t, t->state->searching, find_groups, NULL);
}

static void check_at_once(struct turn *t)
{
	struct buf dn = {.limit = AUTH_LDAP_TEXT_MAX};

	if (auth_ldap_template_fill(t->state->source->bind_dn, &t->names, auth_ldap_escape_dn, &dn))
		auth_answer_set(t->out, AUTH_UNKNOWN, TEXT("the name is too long"));
	else
		bind_and_read_rights(t, buf_cstr(&dn));
	buf_finish(&dn);
}

static void check_by_search(struct turn *t)
{
	struct entry e = {0};

	with_connection(t, t->state->searching, find_entry, &e);
	if (t->out->verdict == AUTH_YES)
		bind_and_read_rights(t, e.dn);
	ldap_memfree(e.dn);
}

static void check(const struct config_source *s, void *state, const struct auth_question *q,
	struct auth_answer *out)
{
	struct turn t = {
		.state = state, .q = q, .deadline = clock_monotonic_ms() + s->timeout, .out = out};

	auth_ldap_names_set(&t.names, q->name);
	auth_answer_set(out, AUTH_CANNOT, "%s", "");
	if (s->bind_dn.len)
		check_at_once(&t);
	else
		check_by_search(&t);
}

// ---- before confinement
static void finish(void *arg)
{
	struct ldap_state *s = arg;

	auth_connections_destroy(s->searching);
	auth_connections_destroy(s->binding);
	auth_ca_file_finish(&s->ca);
	for (size_t i = 0; i < s->uri_count; i++)
		mem_free(s->uris[i]);
	mem_free(s->uris);
	mem_wipe(s->password, strlen(s->password));
	mem_free(s->password);
	mem_free(s->login);
	mem_free(s->base);
	mem_free(s->account_attribute);
	mem_free(s->group_base);
	mem_free(s);
}

static bool needs_ca(const struct config_source *s)
{
	for (size_t i = 0; i < s->uris.count; i++)
		if (str_starts(s->uris.items[i], STR("ldaps:")))
			return true;
	return s->tls;
}

// Once, before there are threads: a reload prepares again while others may read the environment.
static void set_environment(void)
{
	if (setenv("LDAPNOINIT", "1", 1) < 0)
		fatal("cannot set the environment");
}

// libldap reads ldap.conf, .ldaprc and LDAP… when it is first used, except when told not to.
static int prepare_library(struct error *err)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	LDAPAPIInfo info = {.ldapai_info_version = LDAP_API_INFO_VERSION};

	pthread_once(&once, set_environment);
	if (ldap_get_option(NULL, LDAP_OPT_API_INFO, &info) != LDAP_OPT_SUCCESS)
		return error_set(err, ERR_UNSUPPORTED, TEXT("libldap cannot be used"));
	ldap_memfree(info.ldapai_vendor_name);
	ber_memvfree((void **)info.ldapai_extensions);
	return 0;
}

static int prepare(const struct config_source *s, void **out, struct error *err)
{
	struct ldap_state *state;
	struct str rest = s->password_file.content, line = STR_EMPTY;
	int result = prepare_library(err);

	if (result)
		return result;
	state = mem_alloc(sizeof *state);
	state->source = s;
	state->ca.fd = -1;
	(void)str_split(&rest, '\n', &line);
	if (str_ends_nocase(line, STR("\r")))
		line.len--;
	state->password = str_dup(line);
	state->login = str_dup(s->login);
	state->base = str_dup(s->base);
	state->account_attribute = str_dup(s->account_attribute);
	state->group_base = str_dup(s->group_base);
	state->uri_count = s->uris.count;
	state->uris = mem_array(s->uris.count + 1, sizeof *state->uris);
	for (size_t i = 0; i < s->uris.count; i++)
		state->uris[i] = str_dup(s->uris.items[i]);
	state->searching = auth_connections_create(s->connections, close_handle);
	state->binding = auth_connections_create(s->connections, close_handle);
	if (needs_ca(s))
		result = auth_ca_file_init(&state->ca, &s->ca_file, err);
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
