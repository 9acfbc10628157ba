// SPDX-License-Identifier: ISC
// pabal account: making and keeping accounts. Passwords come from the terminal or from standard
// input, never from an argument that everybody can see.
#include "base/id.h"
#include "base/memory.h"
#include "base/text.h"
#include "base/unit.h"
#include "command/caller.h"
#include "command/command.h"
#include "command/rows.h"
#include "command/table.h"
#include "smtp/address.h"

#include <stdio.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#define PASSWORD_MAX 1024

// ---- passwords
static bool read_line(char *out, size_t size)
{
	if (!fgets(out, (int)size, stdin))
		return false;
	size_t len = strlen(out);
	if (len && out[len - 1] == '\n')
		out[--len] = '\0';
	if (len && out[len - 1] == '\r')
		out[--len] = '\0';
	return len > 0;
}

static bool ask_hidden(const char *prompt, char *out, size_t size)
{
	struct termios before, hidden;
	if (tcgetattr(STDIN_FILENO, &before) < 0)
		return false;
	hidden = before;
	hidden.c_lflag &= ~(tcflag_t)ECHO;
	fputs(prompt, stderr);
	tcsetattr(STDIN_FILENO, TCSAFLUSH, &hidden);
	bool good = read_line(out, size);
	tcsetattr(STDIN_FILENO, TCSAFLUSH, &before);
	fputc('\n', stderr);
	return good;
}

static bool read_password(char out[PASSWORD_MAX + 2])
{
	char again[PASSWORD_MAX + 2];
	if (!isatty(STDIN_FILENO)) {
		if (read_line(out, PASSWORD_MAX + 2))
			return true;
		fputs(TEXT("pabal: no password came on standard input\n"), stderr);
		return false;
	}
	bool good = ask_hidden(TEXT("Password: "), out, PASSWORD_MAX + 2) &&
		ask_hidden(TEXT("Once more: "), again, sizeof again);
	if (!good)
		fputs(TEXT("pabal: a password is needed\n"), stderr);
	else if (strcmp(out, again)) {
		fputs(TEXT("pabal: the two are not the same\n"), stderr);
		good = false;
	}
	mem_wipe(again, sizeof again);
	return good;
}

// ---- the steps
static int call(const struct config *c, const char *command, const char *name, struct error *err)
{
	json_t *arguments = json_pack("{s:s}", "name", name);
	int result = caller_run(c, command, arguments, NULL, NULL, NULL, err);
	json_decref(arguments);
	return result;
}

static int set_secret(const struct config *c, const char *name, const char *password, struct error *err)
{
	json_t *arguments = json_pack("{s:s, s:s}", "name", name, "password", password);
	if (!arguments)
		return error_set(err, ERR_SYNTAX, TEXT("the password must be UTF-8"));
	int result = caller_run(c, "secret set", arguments, NULL, NULL, NULL, err);
	json_decref(arguments);
	return result;
}

static void find_name(const json_t *row, void *found)
{
	(void)row;
	*(bool *)found = true;
}

static bool account_exists(const struct config *c, const char *name)
{
	bool found = false;
	json_t *arguments = json_pack("{s:s}", "name", name);
	struct error err;
	(void)caller_run(c, "account show", arguments, find_name, &found, NULL, &err);
	json_decref(arguments);
	return found;
}

// The secret before the directory row: an account that can be seen can also log in.
static int add(const struct config *c, const char *name, struct error *err)
{
	char password[PASSWORD_MAX + 2];
	if (account_exists(c, name))
		return error_set(err, ERR_EXISTS,
			TEXT("the account %s exists; `pabal account passwd %s` changes its password"), name,
			name);
	if (!read_password(password))
		return error_set(err, ERR_SYNTAX, TEXT("no account was made"));
	int result = set_secret(c, name, password, err);
	mem_wipe(password, sizeof password);
	if (!result)
		result = call(c, "account add", name, err);
	if (!result)
		printf(TEXT("account %s made\n"), name);
	return result;
}

static int passwd(const struct config *c, const char *name, struct error *err)
{
	char password[PASSWORD_MAX + 2];
	if (!account_exists(c, name))
		return error_set(err, ERR_NOT_FOUND, TEXT("there is no account %s"), name);
	if (!read_password(password))
		return error_set(err, ERR_SYNTAX, TEXT("the password stays as it was"));
	int result = set_secret(c, name, password, err);
	mem_wipe(password, sizeof password);
	if (!result)
		printf(TEXT("password of %s changed\n"), name);
	return result;
}

static int enable(const struct config *c, const char *name, struct error *err)
{
	int result = call(c, "account enable", name, err);
	if (!result)
		printf(TEXT("account %s enabled\n"), name);
	return result;
}

static int disable(const struct config *c, const char *name, struct error *err)
{
	int result = call(c, "account disable", name, err);
	if (!result)
		printf(TEXT("account %s disabled; it cannot log in, its mail is still taken\n"), name);
	return result;
}

// The directory row before the secret, for the same reason.
static int remove_account(const struct config *c, const char *name, struct error *err)
{
	int result = call(c, "account remove", name, err);
	if (!result)
		result = call(c, "secret remove", name, err);
	if (!result || result == ERR_NOT_FOUND)
		printf(TEXT("account %s removed; its mailbox is left as it is\n"), name);
	return result == ERR_NOT_FOUND && !account_exists(c, name) ? 0 : result;
}

// ---- listing
static void add_row(const json_t *row, void *arg)
{
	struct table *t = arg;
	table_add(t, row_word(row, "name"));
	table_add(t, json_is_true(json_object_get(row, "enabled")) ? TEXT("enabled") : TEXT("disabled"));
	table_add(t, row_word(row, "rights"));
}

static int list(const struct config *c, const char *name, bool json, struct error *err)
{
	struct table t;
	const char *const titles[] = {TEXT("ACCOUNT"), TEXT("STATE"), TEXT("RIGHTS")};
	table_init(&t, 3, titles);
	json_t *arguments = name ? json_pack("{s:s}", "name", name) : json_object();
	int result = caller_run(c, name ? "account show" : "account list", arguments,
		json ? caller_print_json : add_row, &t, NULL, err);
	json_decref(arguments);
	if (!result && !json)
		table_print(&t);
	if (!result && !json && !t.count)
		puts(TEXT("no accounts yet: `pabal account add NAME@DOMAIN` makes one"));
	table_finish(&t);
	return result;
}

// ---- names
// A bare name belongs to the only domain there is, or to the default one.
static bool full_name(const struct config *c, const char *given, char out[SMTP_ADDRESS_MAX])
{
	char text[SMTP_ADDRESS_MAX];
	struct str domain = c->auth.default_domain;
	struct smtp_address address;
	if (!domain.len && c->domains.count == 1)
		domain = c->domains.items[0];
	if (!strchr(given, '@') && domain.len)
		snprintf(text, sizeof text, "%s@%.*s", given, STR_ARG(domain));
	else
		snprintf(text, sizeof text, "%s", given);
	if (smtp_address_parse(str_from(text), &address) || address.literal) {
		fprintf(stderr, TEXT("pabal: \"%s\" is no account name; write it as NAME@DOMAIN\n"), given);
		return false;
	}
	if (!config_is_local_domain(c, str_from(address.domain))) {
		fprintf(stderr, TEXT("pabal: %s is not a domain of this server; add it to `domains` first\n"),
			address.domain);
		return false;
	}
	smtp_address_key(&address, out);
	return true;
}

static const struct {
	const char *name;
	int (*run)(const struct config *c, const char *name, struct error *err);
} actions[] = {
	{"add", add}, {"passwd", passwd}, {"enable", enable}, {"disable", disable},
	{"remove", remove_account},
};

static int run(const struct config *c, const struct options *o, struct error *err)
{
	char name[SMTP_ADDRESS_MAX] = "";
	const char *action = o->words[0];
	if (o->word_count > 1 && !full_name(c, o->words[1], name))
		return error_set(err, ERR_SYNTAX, TEXT("nothing was changed"));
	if (!strcmp(action, "list") || (!strcmp(action, "show") && name[0]))
		return list(c, name[0] ? name : NULL, o->json, err);
	for (size_t i = 0; i < ARRAY_SIZE(actions); i++)
		if (!strcmp(actions[i].name, action) && name[0])
			return actions[i].run(c, name, err);
	(void)command_usage("account");
	return error_set(err, ERR_SYNTAX, TEXT("an action and a name are needed"));
}

int command_account(int argc, char **argv)
{
	struct options o;
	struct error err = {0};
	if (!options_parse(argc, argv, NULL, 0, &o))
		return COMMAND_USAGE;
	if (!o.word_count || o.word_count > 2)
		return command_usage("account");
	struct config *c = options_config(&o);
	if (!c)
		return COMMAND_CONFIGURATION;
	int result = run(c, &o, &err);
	config_destroy(c);
	return result ? caller_failed(&err) : COMMAND_OK;
}
