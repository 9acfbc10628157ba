// SPDX-License-Identifier: ISC
// What handlers say, as the lines of the protocol.
#include "control/control_internal.h"

#include "base/buf.h"
#include "base/event.h"
#include "base/memory.h"
#include "base/text.h"

#include <stdarg.h>
#include <string.h>

static json_t *line_of(const char *key, json_t *value)
{
	json_t *line = json_object();
	if (!line || json_object_set_new(line, key, value ? value : json_object()))
		fatal("out of memory");
	return line;
}

// Findings may hold names of files, and these any octets.
static json_t *text_of(const char *text)
{
	json_t *value = json_string(text);
	if (value)
		return value;
	char *safe = str_dup(str_from(text));
	for (char *p = safe; *p; p++)
		if (*p & 0x80)
			*p = '?';
	value = json_string(safe);
	mem_free(safe);
	return value;
}

json_t *control_line_error(const char *code, const char *text)
{
	return line_of("error", json_pack("{s:s, s:o}", "code", code, "text", text_of(text)));
}

void control_row(struct control_call *call, json_t *row)
{
	call->way->give(call, line_of("row", row), false);
}

void control_done(struct control_call *call, json_t *summary)
{
	call->way->give(call, line_of("done", summary), true);
}

void control_fail(struct control_call *call, const char *code, const char *format, ...)
{
	struct buf text = BUF_INIT;
	va_list args;
	va_start(args, format);
	(void)buf_add_vformat(&text, format, args);
	va_end(args);
	json_t *line = control_line_error(code, buf_cstr(&text));
	buf_finish(&text);
	call->way->give(call, line, true);
}

void control_when_read(struct control_call *call, void (*go_on)(void *arg), void *arg)
{
	call->way->when_read(call, go_on, arg);
}

bool control_is_gone(const struct control_call *call)
{
	return call->way->is_gone(call);
}

unsigned control_peer_uid(const struct control_call *call)
{
	return call->uid;
}

// What is not in the table is for those who may do everything.
static bool is_allowed(struct control_call *call, const char *command)
{
	const struct control_command *known = control_command_find(command);
	if (call->right >= (known ? known->right : CONTROL_ADMIN))
		return true;
	event_report(EVENT_WARNING, "admin", "user %u may not give the command \"%s\"", call->uid,
		known ? command : "?");
	control_fail(call, "denied", TEXT("user %u may not give this command: it is for root, the user of "
		"the server and the members of the group %s"), call->uid, CONTROL_GROUP);
	return false;
}

void control_run(struct control_call *call, const struct control_handler *handlers, size_t count,
	void *handler_arg, const char *command, const json_t *arguments)
{
	if (!is_allowed(call, command))
		return;
	for (size_t i = 0; i < count; i++)
		if (!strcmp(handlers[i].name, command)) {
			handlers[i].run(call, arguments, handler_arg);
			return;
		}
	control_fail(call, "unknown", TEXT("nobody here knows the command \"%s\""), command);
}

void control_wipe(json_t *value)
{
	const char *key;
	json_t *item;
	size_t i;
	if (json_is_string(value))
		mem_wipe((char *)json_string_value(value), json_string_length(value));
	json_object_foreach(value, key, item)
		control_wipe(item);
	json_array_foreach(value, i, item)
		control_wipe(item);
}
