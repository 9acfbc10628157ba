// SPDX-License-Identifier: ISC
// The password sources of auth: which kinds there are, what each takes and needs, and the kinds of
// values that only they have.
#include "config/config_internal.h"

#include "base/ipaddr.h"
#include "base/text.h"

#define WORDS(...) ((const char *const[]){__VA_ARGS__, NULL})
#define SQL_WORDS                                                                                  \
	"engine", "path", "host", "port", "database", "login", "password-file", "tls", "ca-file"

struct source_kind {
	const char *name;
	const char *const *takes; // besides what every foreign source takes
	const char *const *needs; // all of them
	const char *const *one_of; // at least one; NULL: nothing
};

// clang-format off
static const struct source_kind kinds[] = {
	{"accounts", WORDS(NULL), WORDS(NULL), NULL},
	{"pam", WORDS("user", "service"), WORDS(NULL), NULL},
	{"saslauthd", WORDS("path", "service", "realm"), WORDS(NULL), NULL},
	{"checkpassword", WORDS("command", "user", "memory", "cram"), WORDS("command"), NULL},
	{"poppasswd", WORDS("path", "user", "cram"), WORDS("path"), NULL},
	{"vpopmail", WORDS(SQL_WORDS, "user", "table-per-domain", "cram"), WORDS(NULL),
		WORDS("path", "engine")},
	{"sql", WORDS(SQL_WORDS, "query"), WORDS("engine", "query"), WORDS("path", "database")},
	{"ldap", WORDS("uris", "login", "password-file", "tls", "ca-file", "base", "scope", "filter",
		"bind-dn", "account-attribute", "group-base", "group-filter", "submit-group",
		"relay-group"), WORDS("uris"), WORDS("base", "bind-dn")},
	{"dovecot", WORDS("path", "service"), WORDS("path"), NULL},
	{"oauth", WORDS("issuer", "audience", "introspection", "login", "password-file", "jwks",
		"jwks-file", "account-claim", "ca-file"), WORDS(NULL),
		WORDS("introspection", "jwks", "jwks-file")},
};
// clang-format on

static const char *const of_all[] = {"name", "on-failure", NULL};
static const char *const of_foreign[] = {"timeout", "cache", "connections", NULL};

static bool is_one(const char *const *words, const char *word)
{
	for (; words && *words; words++)
		if (strcmp(*words, word) == 0)
			return true;
	return false;
}

static const struct source_kind *find_kind(struct str name)
{
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		if (str_equal(str_from(kinds[i].name), name))
			return &kinds[i];
	return NULL;
}

static bool kind_takes(const struct source_kind *k, const char *setting)
{
	bool foreign = strcmp(k->name, "accounts") != 0;
	return is_one(of_all, setting) || (foreign && is_one(of_foreign, setting)) ||
	       is_one(k->takes, setting);
}

bool config_source_takes(const struct config_setting *s, const void *item)
{
	const struct config_source *source = item;
	const struct source_kind *k = find_kind(source->kind);
	return !k || kind_takes(k, s->name);
}

void config_source_kinds(const struct config_setting *s, struct buf *out)
{
	bool any = false;
	if (is_one(of_all, s->name) || is_one(of_foreign, s->name))
		return;
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		if (kind_takes(&kinds[i], s->name)) {
			buf_add_format(out, "%s%s", any ? ", " : "", kinds[i].name);
			any = true;
		}
}

// ---- the label

int config_open_source(struct config_parser *p, const struct config_token *t, struct str *out)
{
	const char *words[ARRAY_SIZE(kinds) + 1] = {NULL};
	*out = t->text;
	if (find_kind(t->text))
		return 0;
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		words[i] = kinds[i].name;
	const struct config_setting setting = {
		.name = "source", .type = &config_type_choice, .words = words};
	config_report_expected(p, &setting, t, NULL);
	return ERR_SYNTAX;
}

// ---- the end of a block

static struct str or_else(struct str value, const char *standard)
{
	return value.len ? value : str_from(standard);
}

static void apply_kind(struct config_source *s)
{
	s->name = s->name.len ? s->name : s->kind;
	if (str_equal(s->kind, STR("pam")) || str_equal(s->kind, STR("saslauthd")) ||
		str_equal(s->kind, STR("dovecot")))
		s->service = or_else(s->service, "smtp");
	if (str_equal(s->kind, STR("saslauthd")))
		s->path = or_else(s->path, "/run/saslauthd/mux");
	if (str_equal(s->kind, STR("ldap")))
		s->scope = or_else(s->scope, "sub");
	if (str_equal(s->kind, STR("oauth")))
		s->account_claim = or_else(s->account_claim, "email");
}

static void check_needs(
	struct config_parser *p, const struct config_frame *f, const struct source_kind *k)
{
	struct buf choices = BUF_INIT;
	bool found = !k->one_of;
	for (const char *const *word = k->needs; *word; word++)
		if (config_place_of(f, *word).line == 0)
			config_report(p, 'E', f->where, TEXT("source \"%s\": expected %s as well"),
				k->name, *word);
	for (const char *const *word = k->one_of; word && *word; word++) {
		found = found || config_place_of(f, *word).line;
		buf_add_format(&choices, "%s%s", word == k->one_of ? "" : TEXT(" or "), *word);
	}
	if (!found)
		config_report(p, 'E', f->where, TEXT("source \"%s\": expected %s as well"), k->name,
			buf_cstr(&choices));
	buf_finish(&choices);
}

static bool is_engine(const struct config_source *s, const char *engine)
{
	return str_equal(s->engine, str_from(engine));
}

static void check_engine(
	struct config_parser *p, const struct config_frame *f, const struct config_source *s)
{
	struct config_place engine = config_place_of(f, "engine");
	if (s->engine.len == 0)
		return;
	if (str_equal(s->kind, STR("vpopmail")) && !is_engine(s, "mysql"))
		config_report(p, 'E', engine, TEXT("engine: vpopmail keeps its tables in mysql"));
	else if (is_engine(s, "sqlite") && s->path.len == 0)
		config_report(p, 'E', engine, TEXT("engine sqlite: expected path as well"));
	else if (!is_engine(s, "sqlite") && s->database.len == 0)
		config_report(p, 'E', engine, TEXT("engine %.*s: expected database as well"),
			STR_ARG(s->engine));
}

// ---- oauth: addresses that a token or its keys may go over
static bool is_loopback_host(struct str rest)
{
	struct ipaddr address;
	ptrdiff_t end = -1;
	if (str_starts(rest, STR("["))) {
		rest = str_skip(rest, 1);
		end = str_find(rest, ']');
	} else {
		for (size_t i = 0; i < rest.len && end < 0; i++)
			end = rest.data[i] == ':' || rest.data[i] == '/' ? (ptrdiff_t)i : -1;
		end = end < 0 ? (ptrdiff_t)rest.len : end;
	}
	return end > 0 && ipaddr_parse(str_slice(rest, 0, (size_t)end), &address) == 0 &&
	       ipaddr_is_loopback(&address);
}

static void check_address(struct config_parser *p, const struct config_frame *f, const char *name,
	struct str address)
{
	const struct str secure = STR("https://"), plain = STR("http://");
	bool sound = address.len < 2048 && str_find(address, '@') < 0 && str_find(address, '#') < 0;
	for (size_t i = 0; i < address.len; i++)
		sound = sound && address.data[i] > ' ' && address.data[i] < 127;
	if (str_starts(address, secure))
		sound = sound && address.len > secure.len;
	else
		sound = sound && str_starts(address, plain) &&
			is_loopback_host(str_skip(address, plain.len));
	if (address.len && !sound)
		config_report(p, 'E', config_place_of(f, name),
			TEXT("%s: expected an https:// address (http:// for 127.0.0.1 and [::1] only), "
			     "not \"%.*s\""),
			name, STR_ARG(address));
}

// The keys of an issuer sign for everybody it knows and for every service.
static void check_oauth(
	struct config_parser *p, const struct config_frame *f, const struct config_source *s)
{
	const char *jwks = s->jwks.len ? "jwks" : s->jwks_file.path.len ? "jwks-file" : NULL;
	check_address(p, f, "introspection", s->introspection);
	check_address(p, f, "jwks", s->jwks);
	if (s->jwks.len && s->jwks_file.path.len)
		config_report(p, 'E', config_place_of(f, "jwks-file"),
			TEXT("jwks-file: jwks names keys already; one of them is enough"));
	if (jwks && (!s->issuer.len || !s->audience.len))
		config_report(p, 'E', config_place_of(f, jwks),
			TEXT("%s: expected issuer and audience as well, or a token made for any other "
			     "service logs in here"),
			jwks);
}

static void check_values(
	struct config_parser *p, const struct config_frame *f, const struct config_source *s)
{
	struct config_place login = config_place_of(f, "login"),
			    password = config_place_of(f, "password-file");
	if (password.line && !login.line)
		config_report(p, 'E', password, TEXT("password-file: expected login as well"));
	if (s->command.count && s->command.items[0].data[0] != '/')
		config_report(p, 'E', config_place_of(f, "command"),
			TEXT("command: expected the program with its whole path, not \"%.*s\""),
			STR_ARG(s->command.items[0]));
	if (s->bind_dn.len && str_find(s->bind_dn, '%') < 0)
		config_report(p, 'E', config_place_of(f, "bind-dn"),
			TEXT("bind-dn: expected %%u or %%n in it, or everybody is one user"));
	if (s->filter.len && str_find(s->filter, '%') < 0)
		config_report(p, 'E', config_place_of(f, "filter"),
			TEXT("filter: expected %%u or %%n in it, or everybody is one user"));
	for (size_t i = 0; i < s->uris.count; i++)
		if (!str_starts(s->uris.items[i], STR("ldap://")) &&
			!str_starts(s->uris.items[i], STR("ldaps://")) &&
			!str_starts(s->uris.items[i], STR("ldapi://")))
			config_report(p, 'E', config_place_of(f, "uris"),
				TEXT("uris: expected ldap://, ldaps:// or ldapi://, not \"%.*s\""),
				STR_ARG(s->uris.items[i]));
	check_engine(p, f, s);
	check_oauth(p, f, s);
}

static void check_name(
	struct config_parser *p, const struct config_frame *f, const struct config_source *s)
{
	const struct config *c = p->config;
	for (size_t i = 0; i + 1 < c->auth.source_count; i++)
		if (str_equal(c->auth.sources[i].name, s->name)) {
			config_report(p, 'E', f->where,
				TEXT("source \"%.*s\" is there already in %s: expected another "
				     "name"),
				STR_ARG(s->name), config_place_words(p, c->auth.sources[i].where));
			return;
		}
}

void config_source_close(struct config_parser *p, const struct config_frame *f)
{
	struct config_source *s = (struct config_source *)f->base;
	const struct source_kind *k = find_kind(s->kind);
	for (size_t i = 0; i < f->setting_count; i++)
		if (k && f->places[i].line && !kind_takes(k, f->settings[i].name))
			config_report(p, 'E', f->places[i],
				TEXT("%s has no meaning in source \"%s\""), f->settings[i].name,
				k->name);
	if (k && p->findings->errors == f->errors) {
		check_needs(p, f, k);
		check_values(p, f, s);
	}
	apply_kind(s);
	check_name(p, f, s);
}

// ---- Kerberos and Windows domains
// The realm says whose users have accounts; a keytab alone would let nobody in.
static void check_gssapi(struct config_parser *p)
{
	struct config_place keytab = config_place_of(&p->single[CONFIG_BLOCK_GSSAPI], "keytab");
	if (keytab.line && p->config->auth.realm.len == 0)
		config_report(p, 'E', keytab, TEXT("gssapi: expected realm \"EXAMPLE.KR\" as well"));
}

// Without the pairs, users of every domain that trusts ours would be users of ours.
static void check_winbind(struct config_parser *p)
{
	const struct config_frame *f = &p->single[CONFIG_BLOCK_WINBIND];
	struct config_place helper = config_place_of(f, "helper"), map = config_place_of(f, "map");
	if (helper.line && !map.line)
		config_report(p, 'E', helper,
			TEXT("winbind: expected map \"DOMAIN-OF-WINDOWS\" \"DOMAIN-OF-ACCOUNTS\""));
	if (map.line && !helper.line)
		config_report(p, 'E', map, TEXT("winbind: expected helper \"/usr/bin/ntlm_auth\""));
}

// ---- what servers name

static void check_sources_of(
	struct config_parser *p, const struct config_server *s, struct config_place place)
{
	const char *names[CONFIG_SOURCES_MAX];
	const struct config *c = p->config;
	size_t count = 0;
	for (size_t i = 0; i < c->auth.source_count && count < ARRAY_SIZE(names); i++)
		names[count++] = c->auth.sources[i].name.data;
	for (size_t i = 0; i < s->sources.count; i++) {
		bool known = false;
		for (size_t j = 0; j < count; j++)
			known = known || str_equal(str_from(names[j]), s->sources.items[i]);
		const char *near =
			known ? NULL : config_nearest(s->sources.items[i], names, count);
		if (near)
			config_report(p, 'E', place,
				TEXT("sources: auth has no source \"%.*s\"; did you mean \"%s\"?"),
				STR_ARG(s->sources.items[i]), near);
		else if (!known)
			config_report(p, 'E', place, TEXT("sources: auth has no source \"%.*s\""),
				STR_ARG(s->sources.items[i]));
	}
}

void config_check_sources(struct config_parser *p)
{
	check_gssapi(p);
	check_winbind(p);
	for (size_t i = 0; i < p->config->server_count; i++)
		check_sources_of(p, &p->config->servers[i],
			config_place_of(&p->servers[i], "sources"));
}
