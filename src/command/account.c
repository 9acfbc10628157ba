// SPDX-License-Identifier: ISC
// pabal account: making and keeping accounts.
#include "base/memory.h"
#include "base/text.h"
#include "command/account_internal.h"
#include "command/caller.h"
#include "command/command.h"
#include "command/rows.h"
#include "command/table.h"
#include "smtp/address.h"

#include <stdio.h>
#include <string.h>

// ---- the steps
int account_call(const struct config *c, const char *command, const char *name, struct error *err)
{
	json_t *arguments = json_pack("{s:s}", "name", name);
	int result = caller_run(c, command, arguments, NULL, NULL, NULL, err);
	json_decref(arguments);
	return result;
}

int account_send_secret(const struct config *c, const char *command, const char *key, const char *name,
	struct error *err)
{
	char password[ACCOUNT_PASSWORD_MAX + 1];
	int result = account_read_password(password, err);
	json_t *arguments = result ? NULL : json_pack("{s:s, s:s}", "name", name, key, password);
	if (!result && !arguments)
		result = error_set(err, ERR_SYNTAX, TEXT("the password must be UTF-8"));
	if (!result)
		result = caller_run(c, command, arguments, NULL, NULL, NULL, err);
	control_wipe(arguments);
	json_decref(arguments);
	mem_wipe(password, sizeof password);
	return result;
}

static int set_secret(const struct config *c, const char *name, bool hash, struct error *err)
{
	return hash ? account_send_secret(c, "secret hash", "hash", name, err) :
		account_send_secret(c, "secret set", "password", name, err);
}

// The secret before the directory row: an account that can be seen can also log in.
static int add(const struct config *c, const char *name, const struct account_words *w, struct error *err)
{
	(void)w;
	int result = account_call(c, "account show", name, err);
	if (!result)
		return error_set(err, ERR_EXISTS,
			TEXT("the account %s exists; `pabal account passwd %s` changes its password"), name,
			name);
	if (result != ERR_NOT_FOUND)
		return result;
	result = set_secret(c, name, w->hash, err);
	if (!result)
		result = account_call(c, "account add", name, err);
	if (!result)
		printf(TEXT("account %s made\n"), name);
	return result;
}

static int passwd(const struct config *c, const char *name, const struct account_words *w, struct error *err)
{
	(void)w;
	int result = account_call(c, "account show", name, err);
	if (!result)
		result = set_secret(c, name, w->hash, err);
	if (!result)
		printf(TEXT("password of %s changed\n"), name);
	return result;
}

static int enable(const struct config *c, const char *name, const struct account_words *w, struct error *err)
{
	(void)w;
	int result = account_call(c, "account enable", name, err);
	if (!result)
		printf(TEXT("account %s enabled\n"), name);
	return result;
}

static int disable(const struct config *c, const char *name, const struct account_words *w, struct error *err)
{
	(void)w;
	int result = account_call(c, "account disable", name, err);
	if (!result)
		printf(TEXT("account %s disabled; it cannot log in, its mail is still taken\n"), name);
	return result;
}

// The directory row before the secret, for the same reason. A secret that an earlier attempt left
// behind goes as well.
static int remove_account(const struct config *c, const char *name, const struct account_words *w, struct error *err)
{
	struct error unused;
	(void)w;
	int result = account_call(c, "account remove", name, err);
	if (result == ERR_NOT_FOUND) {
		(void)account_call(c, "secret remove", name, &unused);
		return result;
	}
	if (!result && (result = account_call(c, "secret remove", name, err)) == ERR_NOT_FOUND)
		result = 0;
	if (!result)
		printf(TEXT("account %s removed; its mailbox is left as it is\n"), name);
	return result;
}

// ---- listing
static void add_row(const json_t *row, void *arg)
{
	struct table *t = arg;
	table_add(t, row_word(row, "name"));
	table_add(t, TEXT(row_word(row, "state")));
	table_add(t, row_word(row, "rights"));
}

static int list(const struct config *c, const char *name, const struct account_words *w, struct error *err)
{
	struct table t;
	const char *const titles[] = {TEXT("ACCOUNT"), TEXT("STATE"), TEXT("RIGHTS")};
	(void)name;
	table_init(&t, 3, titles);
	json_t *arguments = json_object();
	int result = caller_run(c, "account list", arguments, w->json ? caller_print_json : add_row, &t,
		NULL, err);
	json_decref(arguments);
	if (!result && !w->json)
		table_print(&t);
	if (!result && !w->json && !t.count)
		puts(TEXT("no accounts yet: `pabal account add NAME@DOMAIN` makes one"));
	table_finish(&t);
	return result;
}

// ---- names
// A bare name belongs to the default domain.
static int full_name(const struct config *c, const char *given, char out[SMTP_ADDRESS_MAX],
	struct error *err)
{
	char text[2 * SMTP_ADDRESS_MAX];
	struct str domain = strchr(given, '@') ? STR_EMPTY : c->auth.default_domain;
	struct smtp_address address;
	int n = snprintf(text, sizeof text, "%s%s%.*s", given, domain.len ? "@" : "", STR_ARG(domain));
	if ((size_t)n >= sizeof text || smtp_address_parse(str_from(text), &address) || address.literal)
		return error_set(err, ERR_SYNTAX,
			TEXT("\"%s\" is no account name; write it as NAME@DOMAIN"), given);
	smtp_address_key(&address, out);
	return 0;
}

// What is left of a domain that is gone can still be looked at and removed.
static int check_domain(const struct config *c, const char *name, struct error *err)
{
	struct str domain = str_from(strrchr(name, '@') + 1);
	if (config_is_local_domain(c, domain))
		return 0;
	return error_set(err, ERR_SYNTAX,
		TEXT("%.*s is not a domain of this server; add it to `domains` first"), STR_ARG(domain));
}

// ---- actions
enum { FIRST_NAME = 1, LATER_NAME = 2 }; // which word names the account
static const struct action {
	const char *name;
	unsigned names;      // 0: no account is named
	bool needs_name;
	bool makes;          // only for our domains
	bool takes_password;
	bool has_action;     // a word of its own comes next
	int (*run)(const struct config *c, const char *name, const struct account_words *w,
		struct error *err);
} actions[] = {
	{"add", FIRST_NAME, true, true, true, false, add},
	{"passwd", FIRST_NAME, true, false, true, false, passwd},
	{"list", 0, false, false, false, false, list},
	{"show", FIRST_NAME, true, false, false, false, account_show},
	{"enable", FIRST_NAME, true, false, false, false, enable},
	{"disable", FIRST_NAME, true, false, false, false, disable},
	{"set", FIRST_NAME, true, false, true, false, account_set},
	{"group", 0, false, false, false, true, account_group},
	{"send-as", FIRST_NAME, true, false, false, true, account_send_as},
	{"app-password", LATER_NAME, true, false, false, true, account_application},
	{"remove", FIRST_NAME, true, false, false, false, remove_account},
};

static const struct action *find_action(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(actions); i++)
		if (!strcmp(actions[i].name, name))
			return &actions[i];
	return NULL;
}

static int run(const struct config *c, const struct action *action, const char *given,
	const struct account_words *w, struct error *err)
{
	char name[SMTP_ADDRESS_MAX] = "";
	int result = given ? full_name(c, given, name, err) : 0;
	if (!result && action->makes)
		result = check_domain(c, name, err);
	return result ? result : action->run(c, name[0] ? name : NULL, w, err);
}

// The words behind the action; false: too many, or one is missing.
static bool take_words(const struct action *action, const struct options *o, struct account_words *w,
	const char **out_name)
{
	unsigned at = 1;
	if (action->has_action && action->names == FIRST_NAME && at < o->word_count)
		*out_name = o->words[at++];
	if (action->has_action)
		w->action = at < o->word_count ? o->words[at++] : NULL;
	if (action->has_action && !w->action)
		return false;
	if (action->names && !*out_name && at < o->word_count)
		*out_name = o->words[at++];
	else if (action->has_action && at < o->word_count)
		w->group = o->words[at++];
	return at >= o->word_count && (*out_name || !action->needs_name);
}

int command_account(int argc, char **argv)
{
	struct account_words w = {0};
	const struct option_row rows[] = {{"--submit", &w.submit, NULL}, {"--relay", &w.relay, NULL},
		{"--from", &w.from, NULL}, {"--servers", &w.servers, NULL}, {"--groups", &w.groups, NULL},
		{"--expires", &w.expires, NULL}, {"--lock", &w.lock, NULL}, {"--unlock", NULL, &w.unlock},
		{"--legacy", &w.legacy, NULL}, {"--act-as", &w.act_as, NULL}, {"--label", &w.label, NULL},
		{"--otp", &w.otp, NULL},
		{"--hash-stdin", NULL, &w.hash}};
	struct options o;
	struct error err = {0};
	const char *name = NULL;
	if (!options_parse(argc, argv, rows, ARRAY_SIZE(rows), &o))
		return COMMAND_USAGE;
	const struct action *action = o.word_count ? find_action(o.words[0]) : NULL;
	if (action && action->takes_password && o.word_count > 2)
		fputs(TEXT("pabal: a password is never an argument, as everybody could see it: it is read from "
			"the terminal or from standard input\n"), stderr);
	if (!action || !take_words(action, &o, &w, &name))
		return command_usage("account");
	struct config *c = options_config(&o);
	if (!c)
		return COMMAND_CONFIGURATION;
	w.json = o.json;
	int result = run(c, action, name, &w, &err);
	config_destroy(c);
	return result ? caller_failed(&err) : COMMAND_OK;
}
