// SPDX-License-Identifier: ISC
#include "command/command.h"

#include "base/str.h"
#include "base/text.h"
#include "config/config.h"

#include <locale.h>
#include <stdio.h>
#include <string.h>

const struct command commands[] = {
	{"serve", "", TEXT_MARK("run the server in the foreground"), command_serve},
	{"check", "[--show]\n--relay [--json]",
		TEXT_MARK("check the configuration, show what is in effect; ask whether it is an open relay"), command_check},
	{"status", "[--json]", TEXT_MARK("how the server is doing and what to do next"), command_status},
	{"reload", "", TEXT_MARK("read the configuration again without dropping a connection"),
		command_reload},
	{"stop", "", TEXT_MARK("stop the server"), command_stop},
	{"account",
		"add|passwd NAME [--hash-stdin]\n"
		"list [--json]\n"
		"show NAME [--json]\n"
		"enable|disable|remove NAME\n"
		"set NAME [RIGHTS] [--groups GROUP,…|none] [--expires DATE|never] [--lock REASON|--unlock] "
		"[--legacy on|off] [--act-as NAME,…|none]\n"
		"send-as NAME add|remove ADDRESS|@DOMAIN|group:GROUP|\"<>\"\n"
		"send-as NAME list\n"
		"group add|set NAME [RIGHTS]\n"
		"group remove NAME\n"
		"group list [--json]\n"
		"app-password add NAME --label LABEL [--from NETWORK,…] [--expires DATE|never]\n"
		"app-password list NAME [--json]\n"
		"app-password remove NAME --label LABEL\n"
		"RIGHTS: --submit yes|no|default --relay yes|no|default --from NETWORK,…|any|default "
		"--servers SERVER,…|default",
		TEXT_MARK("accounts that log in and receive mail"), command_account},
	{"address",
		"add ADDRESS|@DOMAIN TARGET... [--json]\n"
		"remove ADDRESS|@DOMAIN [TARGET...] [--json]\n"
		"list [--json]\n"
		"show ADDRESS|@DOMAIN [--json]\n"
		"explain ADDRESS [--json]",
		TEXT_MARK("aliases, and what an address becomes"), command_address},
	{"domain",
		"alias add DOMAIN OTHER [--json]\n"
		"alias remove DOMAIN [--json]\n"
		"alias list [--json]",
		TEXT_MARK("domains that are another name of one of ours"), command_domain},
	{"auth", "blocks list [--json]\nblocks clear [ADDRESS|NETWORK|NAME] [--json]",
		TEXT_MARK("who is taken for a guesser of passwords"), command_auth},
	{"queue",
		"list [SELECTION] [--limit N] [--json]\n"
		"show ID [--json]\n"
		"retry|hold|release ID|SELECTION|--all [--json]\n"
		"delete ID|SELECTION [--json]\n"
		"SELECTION: --sender A --recipient A --domain D --account A --state due|claimed|held",
		TEXT_MARK("mail that waits"), command_queue},
	{"quota",
		"list [--json]\n"
		"show NAME|domain:DOMAIN [--json]\n"
		"set NAME|domain:DOMAIN [--hard SIZE] [--soft SIZE] [--messages N] [--messages-soft N]\n"
		"recount NAME|--all [--json]\n"
		"SIZE and N: none, or default for what the domain and the configuration say",
		TEXT_MARK("how full mailboxes may be and are"), command_quota},
	{"guard",
		"list [--all] [--json]\n"
		"show WHO [--json]\n"
		"release WHO [--json]\n"
		"discard WHO [--return] [--json]\n"
		"allow WHO [--for TIME] [--json]\n"
		"learn WHO|--all [--for TIME] [--json]\n"
		"profile WHO normal|bulk|off [--json]\n"
		"seed [WHO] LOG|MAIL|FOLDER... [--json]\n"
		"WHO: an account, or the address of a client that may relay",
		TEXT_MARK("who sends unusual mail, and what becomes of it"), command_guard},
	{"limits", "[--account NAME] [--client ADDRESS] [--server NAME] [--json]\nreset COUNT",
		TEXT_MARK("what is in force for whom, and how much was sent"), command_limits},
	{"trace", "ID|ADDRESS|CLIENT [--since TIME] [--json]",
		TEXT_MARK("the story of a message, an address or a client"), command_trace},
	{"explain",
		"--from-ip ADDRESS [--server NAME] [--tls] [--auth ACCOUNT] --mail-from A --rcpt B "
		"[--rcpt C …] [--size N] [--json]",
		TEXT_MARK("what a client would be told, by which rule, and what would change it"),
		command_explain},
	{"manual", "settings|limits", TEXT_MARK("print the reference of the configuration"), command_manual},
};
const size_t command_count = ARRAY_SIZE(commands);

static const struct command *find(const char *name)
{
	for (size_t i = 0; i < command_count; i++)
		if (!strcmp(commands[i].name, name))
			return &commands[i];
	return NULL;
}

// A line for each form; one with a colon explains the others.
static void print_usage(FILE *out, const struct command *c)
{
	struct str rest = str_from(c->arguments), line;
	const char *lead = TEXT("usage:");
	while (str_split(&rest, '\n', &line)) {
		if (str_find(line, ':') > 0)
			fprintf(out, "       %.*s\n", STR_ARG(line));
		else
			fprintf(out, "%-6s pabal %s%s%.*s [-c FILE]\n", lead, c->name, line.len ? " " : "",
				STR_ARG(line));
		lead = "";
	}
}

int command_usage(const char *name)
{
	const struct command *c = find(name);
	if (c)
		print_usage(stderr, c);
	return COMMAND_USAGE;
}

static int help(FILE *out)
{
	fprintf(out, TEXT("Pabal %s, mail submission and relay\n\n"), PABAL_VERSION);
	for (size_t i = 0; i < command_count; i++)
		fprintf(out, "  pabal %-8s  %s\n", commands[i].name, TEXT(commands[i].help));
	fputs(TEXT("\nThe configuration is /etc/pabal/pabal.conf, or FILE after -c. `pabal help COMMAND` "
		"tells more,\npabal(8) and pabal.conf(5) tell all.\n"), out);
	return out == stdout ? COMMAND_OK : COMMAND_USAGE;
}

static int unknown(const char *name)
{
	const char *names[ARRAY_SIZE(commands)];
	for (size_t i = 0; i < command_count; i++)
		names[i] = commands[i].name;
	const char *near = config_nearest(str_from(name), names, command_count);
	if (near)
		fprintf(stderr, TEXT("pabal: there is no command \"%s\"; did you mean \"%s\"?\n\n"), name,
			near);
	else
		fprintf(stderr, TEXT("pabal: there is no command \"%s\"\n\n"), name);
	return help(stderr);
}

static int help_for(const char *name)
{
	const struct command *c = find(name);
	if (!c)
		return unknown(name);
	printf(TEXT("pabal %s: %s\n\n"), c->name, TEXT(c->help));
	print_usage(stdout, c);
	return COMMAND_OK;
}

static bool is_help(const char *word)
{
	return !strcmp(word, "--help") || !strcmp(word, "-h");
}

// "pabal queue list --help"; what follows "--" is for the command.
static bool wants_help(char **argv)
{
	while (*argv && strcmp(*argv, "--") && strcmp(*argv, "--help"))
		argv++;
	return *argv && !strcmp(*argv, "--help");
}

int command_main(int argc, char **argv)
{
	setlocale(LC_CTYPE, "");
	if (argc < 2)
		return help(stderr);
	if (is_help(argv[1]) || !strcmp(argv[1], "help"))
		return argc > 2 && argv[2][0] != '-' ? help_for(argv[2]) : help(stdout);
	if (!strcmp(argv[1], "--version") || !strcmp(argv[1], "version")) {
		puts("pabal " PABAL_VERSION);
		return COMMAND_OK;
	}
	const struct command *c = find(argv[1]);
	if (!c || wants_help(argv + 2))
		return help_for(argv[1]);
	return c->run(argc - 1, argv + 1);
}
