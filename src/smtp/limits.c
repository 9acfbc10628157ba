// SPDX-License-Identifier: ISC
// The bounds used where nobody configured others.
#include "smtp/limits.h"

const struct smtp_limits smtp_limits_default = {
	.command_line = 512,
	.auth_line = 12288,
	.body_line = 65536,
	.message_size = 50ULL << 20,
	.reply_lines = 128,
	.reply_line = 2048,
};
