// SPDX-License-Identifier: ISC
// pabal serve: the server in the foreground.
#include "command/command.h"
#include "command/options.h"
#include "role/master.h"

int command_serve(int argc, char **argv)
{
	struct options o;
	if (!options_parse(argc, argv, NULL, 0, &o) || !options_no_words(&o, argv[0]))
		return COMMAND_USAGE;
	return master_run(o.config_path);
}
