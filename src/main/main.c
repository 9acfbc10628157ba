// SPDX-License-Identifier: ISC
// One executable: what it is called and its first word choose what it does.
#include "command/command.h"
#include "role/master.h"
#include "role/role.h"

#include <string.h>

int main(int argc, char **argv)
{
	// The two that only master starts; they are no commands for people.
	if (argc > 1 && !strcmp(argv[1], "role"))
		return role_main(argc - 1, argv + 1);
	if (argc > 1 && !strcmp(argv[1], "builder"))
		return builder_main(argc - 1, argv + 1);
	return command_main(argc, argv);
}
