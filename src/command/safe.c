// SPDX-License-Identifier: ISC
#include "command/safe.h"

#include "base/buf.h"
#include "base/memory.h"

#include <stdio.h>

// Octets of the character at p when it must not be shown, else 0: C0 and C1 controls (the second
// as UTF-8), DEL, and what turns the direction of writing.
static size_t forbidden(const unsigned char *p)
{
	if (*p < ' ' || *p == 0x7f)
		return 1;
	if (p[0] == 0xc2 && p[1] >= 0x80 && p[1] <= 0x9f)
		return 2;
	if (p[0] == 0xe2 && p[1] == 0x80 && p[2] >= 0xaa && p[2] <= 0xae)
		return 3;
	if (p[0] == 0xe2 && p[1] == 0x81 && p[2] >= 0xa6 && p[2] <= 0xa9)
		return 3;
	return 0;
}

static bool stays(const unsigned char *p)
{
	return *p == '\n' || *p == '\t' || (*p == '\r' && p[1] == '\n');
}

char *safe_text(const char *text, bool lines)
{
	struct buf out = BUF_INIT;
	for (const unsigned char *p = (const unsigned char *)text; *p;) {
		size_t skip = forbidden(p);
		if (lines && stays(p)) {
			if (*p != '\r')
				(void)buf_add_char(&out, (char)*p);
			p++;
		} else {
			(void)buf_add_char(&out, skip ? '?' : (char)*p);
			p += skip ? skip : 1;
		}
	}
	char *copy = str_dup(buf_str(&out));
	buf_finish(&out);
	return copy;
}

void safe_print(const char *text)
{
	char *safe = safe_text(text, false);
	fputs(safe, stdout);
	mem_free(safe);
}
