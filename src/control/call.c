// SPDX-License-Identifier: ISC
// What handlers say, as the lines of the protocol.
#include "control/control_internal.h"

#include "base/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static json_t *line_of(const char *key, json_t *value)
{
	json_t *line = json_object();
	if (!line || json_object_set_new(line, key, value ? value : json_object()))
		fatal("out of memory");
	return line;
}

void control_row(struct control_call *call, json_t *row)
{
	call->give(call, line_of("row", row), false);
}

void control_done(struct control_call *call, json_t *summary)
{
	call->give(call, line_of("done", summary), true);
}

void control_fail(struct control_call *call, const char *code, const char *format, ...)
{
	char text[4096];
	va_list args;
	va_start(args, format);
	vsnprintf(text, sizeof text, format, args);
	va_end(args);
	json_t *words = json_string(text);
	if (!words) // not UTF-8: the code has to do
		words = json_string(code);
	call->give(call, line_of("error", json_pack("{s:s, s:o}", "code", code, "text", words)), true);
}

unsigned control_peer_uid(const struct control_call *call)
{
	return call->uid;
}

void control_run(struct control_call *call, const struct control_handler *handlers, size_t count,
	void *handler_arg, const char *command, const json_t *arguments)
{
	for (size_t i = 0; i < count; i++)
		if (!strcmp(handlers[i].name, command)) {
			handlers[i].run(call, arguments, handler_arg);
			return;
		}
	control_fail(call, "unknown", TEXT("nobody here knows the command \"%s\""), command);
}
