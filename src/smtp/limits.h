// SPDX-License-Identifier: ISC
// The bounds every parser of this room is given; no configuration in here.
#ifndef PABAL_SMTP_LIMITS_H
#define PABAL_SMTP_LIMITS_H

#include <stddef.h>
#include <stdint.h>

struct smtp_limits {
	size_t command_line;  // octets with CRLF (512; RFC 5321 4.5.3.1.4 plus extensions)
	size_t auth_line;     // octets with CRLF during AUTH (12288; RFC 4954 4)
	size_t body_line;     // octets without CRLF accepted in a body (65536)
	uint64_t message_size;// octets of a body; 0: no bound
	unsigned reply_lines; // lines of one reply of a server (128)
	size_t reply_line;    // octets of one such line (2048)
};

extern const struct smtp_limits smtp_limits_default;

#endif
