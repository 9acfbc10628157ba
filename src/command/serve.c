// SPDX-License-Identifier: ISC
// pabal serve: the server in the foreground.
#include "command/command.h"
#include "command/options.h"
#include "role/master.h"

int command_serve(int argc, char **argv)
{
	struct options o;
	if (!options_parse(argc, argv, NULL, 0, &o) || o.word_count)
		return COMMAND_USAGE;
	return master_run(o.config_path);
}
