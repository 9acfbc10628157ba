// SPDX-License-Identifier: ISC
// pabal account: making and keeping accounts. Passwords come from the terminal or from standard
// input, never from an argument that everybody can see.
#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"
#include "command/caller.h"
#include "command/command.h"
#include "command/rows.h"
#include "command/table.h"
#include "smtp/address.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <termios.h>
#include <unistd.h>

#define PASSWORD_MAX 1024

// ---- passwords
// A line of standard input without its end. Not by stdio: what it buffers is not wiped.
static int read_line(char out[PASSWORD_MAX + 1], struct error *err)
{
	size_t len = 0;
	char c = '\0';
	ssize_t n;
	while ((n = read(STDIN_FILENO, &c, 1)) == 1 && c != '\n') {
		if (len == PASSWORD_MAX)
			return error_set(err, ERR_LIMIT, TEXT("a password has at most %d octets"), PASSWORD_MAX);
		if (c == '\0')
			return error_set(err, ERR_SYNTAX, TEXT("a password has no control characters"));
		out[len++] = c;
	}
	if (n < 0)
		return error_system(err, TEXT("cannot read standard input"));
	if (len && out[len - 1] == '\r')
		len--;
	out[len] = '\0';
	return len ? 0 : error_set(err, ERR_SYNTAX, TEXT("a password is needed"));
}

// True when there is something to read, false when a signal came that has to end us.
static bool wait_for_line(const sigset_t *ending)
{
	int signals = signalfd(-1, ending, SFD_CLOEXEC);
	struct pollfd waits[] = {{.fd = STDIN_FILENO, .events = POLLIN}, {.fd = signals, .events = POLLIN}};
	while (poll(waits, 2, -1) < 0 && errno == EINTR)
		;
	fd_close(&signals);
	return !waits[1].revents;
}

// The terminal shows again what is typed, however this ends.
static int ask_hidden(const char *prompt, char out[PASSWORD_MAX + 1], struct error *err)
{
	static const int numbers[] = {SIGINT, SIGTERM, SIGQUIT, SIGHUP};
	struct termios before, hidden;
	sigset_t ending, old;
	if (tcgetattr(STDIN_FILENO, &before) < 0)
		return error_system(err, TEXT("cannot use the terminal"));
	sigemptyset(&ending);
	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++)
		sigaddset(&ending, numbers[i]);
	sigprocmask(SIG_BLOCK, &ending, &old);
	hidden = before;
	hidden.c_lflag &= ~(tcflag_t)ECHO;
	tcsetattr(STDIN_FILENO, TCSAFLUSH, &hidden); // before the prompt: who sees it may type
	fputs(prompt, stderr);
	int result = wait_for_line(&ending) ? read_line(out, err) :
		error_set(err, ERR_SYNTAX, TEXT("a password is needed"));
	tcsetattr(STDIN_FILENO, TCSAFLUSH, &before);
	fputc('\n', stderr);
	sigprocmask(SIG_SETMASK, &old, NULL); // what came is delivered here
	return result;
}

static int read_password(char out[PASSWORD_MAX + 1], struct error *err)
{
	char again[PASSWORD_MAX + 1];
	if (!isatty(STDIN_FILENO))
		return read_line(out, err);
	int result = ask_hidden(TEXT("Password: "), out, err);
	if (!result)
		result = ask_hidden(TEXT("Once more: "), again, err);
	if (!result && strcmp(out, again))
		result = error_set(err, ERR_SYNTAX, TEXT("the two are not the same"));
	mem_wipe(again, sizeof again);
	return result;
}

// ---- the steps
static int call(const struct config *c, const char *command, const char *name, struct error *err)
{
	json_t *arguments = json_pack("{s:s}", "name", name);
	int result = caller_run(c, command, arguments, NULL, NULL, NULL, err);
	json_decref(arguments);
	return result;
}

static int set_secret(const struct config *c, const char *name, struct error *err)
{
	char password[PASSWORD_MAX + 1];
	int result = read_password(password, err);
	json_t *arguments = result ? NULL : json_pack("{s:s, s:s}", "name", name, "password", password);
	if (!result && !arguments)
		result = error_set(err, ERR_SYNTAX, TEXT("the password must be UTF-8"));
	if (!result)
		result = caller_run(c, "secret set", arguments, NULL, NULL, NULL, err);
	control_wipe(arguments);
	json_decref(arguments);
	mem_wipe(password, sizeof password);
	return result;
}

// The secret before the directory row: an account that can be seen can also log in.
static int add(const struct config *c, const char *name, bool json, struct error *err)
{
	(void)json;
	int result = call(c, "account show", name, err);
	if (!result)
		return error_set(err, ERR_EXISTS,
			TEXT("the account %s exists; `pabal account passwd %s` changes its password"), name,
			name);
	if (result != ERR_NOT_FOUND)
		return result;
	result = set_secret(c, name, err);
	if (!result)
		result = call(c, "account add", name, err);
	if (!result)
		printf(TEXT("account %s made\n"), name);
	return result;
}

static int passwd(const struct config *c, const char *name, bool json, struct error *err)
{
	(void)json;
	int result = call(c, "account show", name, err);
	if (!result)
		result = set_secret(c, name, err);
	if (!result)
		printf(TEXT("password of %s changed\n"), name);
	return result;
}

static int enable(const struct config *c, const char *name, bool json, struct error *err)
{
	(void)json;
	int result = call(c, "account enable", name, err);
	if (!result)
		printf(TEXT("account %s enabled\n"), name);
	return result;
}

static int disable(const struct config *c, const char *name, bool json, struct error *err)
{
	(void)json;
	int result = call(c, "account disable", name, err);
	if (!result)
		printf(TEXT("account %s disabled; it cannot log in, its mail is still taken\n"), name);
	return result;
}

// The directory row before the secret, for the same reason. A secret that an earlier attempt left
// behind goes as well.
static int remove_account(const struct config *c, const char *name, bool json, struct error *err)
{
	struct error unused;
	(void)json;
	int result = call(c, "account remove", name, err);
	if (result == ERR_NOT_FOUND) {
		(void)call(c, "secret remove", name, &unused);
		return result;
	}
	if (!result && (result = call(c, "secret remove", name, err)) == ERR_NOT_FOUND)
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
	table_add(t, json_is_true(json_object_get(row, "enabled")) ? TEXT("enabled") : TEXT("disabled"));
	table_add(t, row_word(row, "rights"));
}

// One account, or all without a name.
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
static const struct action {
	const char *name;
	bool needs_name;
	bool makes;         // only for our domains
	bool takes_password;
	int (*run)(const struct config *c, const char *name, bool json, struct error *err);
} actions[] = {
	{"add", true, true, true, add},
	{"passwd", true, false, true, passwd},
	{"list", false, false, false, list},
	{"show", true, false, false, list},
	{"enable", true, false, false, enable},
	{"disable", true, false, false, disable},
	{"remove", true, false, false, remove_account},
};

static const struct action *find_action(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(actions); i++)
		if (!strcmp(actions[i].name, name))
			return &actions[i];
	return NULL;
}

static int run(const struct config *c, const struct action *action, const struct options *o,
	struct error *err)
{
	char name[SMTP_ADDRESS_MAX] = "";
	int result = o->word_count > 1 ? full_name(c, o->words[1], name, err) : 0;
	if (!result && action->makes)
		result = check_domain(c, name, err);
	return result ? result : action->run(c, name[0] ? name : NULL, o->json, err);
}

int command_account(int argc, char **argv)
{
	struct options o;
	struct error err = {0};
	if (!options_parse(argc, argv, NULL, 0, &o))
		return COMMAND_USAGE;
	const struct action *action = o.word_count ? find_action(o.words[0]) : NULL;
	if (action && action->takes_password && o.word_count > 2)
		fputs(TEXT("pabal: a password is never an argument, as everybody could see it: it is read from "
			"the terminal or from standard input\n"), stderr);
	if (!action || o.word_count > 2 || (action->needs_name && o.word_count < 2))
		return command_usage("account");
	struct config *c = options_config(&o);
	if (!c)
		return COMMAND_CONFIGURATION;
	int result = run(c, action, &o, &err);
	config_destroy(c);
	return result ? caller_failed(&err) : COMMAND_OK;
}
