// SPDX-License-Identifier: ISC
// pabal reload and pabal stop.
#include "base/text.h"
#include "command/caller.h"
#include "command/command.h"

#include <stdio.h>

static int run(int argc, char **argv, const char *command, json_t **out_done)
{
	struct options o;
	struct error err = {0};
	if (!options_parse(argc, argv, NULL, 0, &o) || o.word_count)
		return COMMAND_USAGE;
	struct config *c = options_config(&o);
	if (!c)
		return COMMAND_CONFIGURATION;
	int result = caller_run(c, command, NULL, NULL, NULL, out_done, &err);
	config_destroy(c);
	return result ? caller_failed(&err) : COMMAND_OK;
}

int command_reload(int argc, char **argv)
{
	json_t *done = NULL;
	int status = run(argc, argv, "reload", &done);
	if (status == COMMAND_OK)
		printf(TEXT("configuration generation %lld is in force\n"),
			(long long)json_integer_value(json_object_get(done, "generation")));
	json_decref(done);
	return status;
}

int command_stop(int argc, char **argv)
{
	return run(argc, argv, "stop", NULL);
}
