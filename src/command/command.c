// SPDX-License-Identifier: ISC
#include "command/command.h"

#include "base/str.h"
#include "base/text.h"

#include <locale.h>
#include <stdio.h>
#include <string.h>

const struct command commands[] = {
	{"serve", "[-c FILE]", TEXT_MARK("run the server in the foreground"), command_serve},
	{"check", "[-c FILE] [--show]", TEXT_MARK("check the configuration, show what is in effect"),
		command_check},
	{"status", "[-c FILE] [--json]", TEXT_MARK("how the server is doing and what to do next"),
		command_status},
	{"reload", "[-c FILE]", TEXT_MARK("read the configuration again without dropping a connection"),
		command_reload},
	{"stop", "[-c FILE]", TEXT_MARK("stop the server"), command_stop},
	{"account", "add|passwd|list|show|enable|disable|remove [NAME] [-c FILE] [--json]",
		TEXT_MARK("accounts that log in and receive mail"), command_account},
	{"queue", "list|show|retry|hold|release|delete [ID] [--sender A] [--recipient A] [--domain D] "
		"[--state S] [--limit N] [--all] [--json] [-c FILE]",
		TEXT_MARK("mail that waits"), command_queue},
	{"trace", "ID|ADDRESS [--since TIME] [--json] [-c FILE]",
		TEXT_MARK("the story of a message, an account or a client"), command_trace},
	{"manual", "settings", TEXT_MARK("print the reference of the configuration"), command_manual},
};
const size_t command_count = ARRAY_SIZE(commands);

int command_usage(const char *name)
{
	for (size_t i = 0; i < command_count; i++)
		if (!strcmp(commands[i].name, name))
			fprintf(stderr, TEXT("usage: pabal %s %s\n"), name, commands[i].arguments);
	return COMMAND_USAGE;
}

static int help(FILE *out)
{
	fprintf(out, TEXT("Pabal %s, mail submission and relay\n\n"), PABAL_VERSION);
	for (size_t i = 0; i < command_count; i++)
		fprintf(out, "  pabal %-8s  %s\n", commands[i].name, TEXT(commands[i].help));
	fputs(TEXT("\nThe configuration is /etc/pabal/pabal.conf, or FILE after -c.\n"), out);
	return out == stdout ? COMMAND_OK : COMMAND_USAGE;
}

int command_main(int argc, char **argv)
{
	setlocale(LC_CTYPE, "");
	if (argc < 2)
		return help(stderr);
	if (!strcmp(argv[1], "help") || !strcmp(argv[1], "--help") || !strcmp(argv[1], "-h"))
		return help(stdout);
	if (!strcmp(argv[1], "--version") || !strcmp(argv[1], "version")) {
		puts("pabal " PABAL_VERSION);
		return COMMAND_OK;
	}
	for (size_t i = 0; i < command_count; i++)
		if (!strcmp(commands[i].name, argv[1]))
			return commands[i].run(argc - 1, argv + 1);
	fprintf(stderr, TEXT("pabal: there is no command \"%s\"\n\n"), argv[1]);
	return help(stderr);
}
