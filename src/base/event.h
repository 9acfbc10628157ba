// SPDX-License-Identifier: ISC
// One structured event for each thing that happens: a line in the log
// (key=value or JSON) and, through the tap, a row in the searchable history.
#ifndef PABAL_BASE_EVENT_H
#define PABAL_BASE_EVENT_H

#include "base/buf.h"
#include "base/ipaddr.h"
#include "base/str.h"

enum event_level { EVENT_DEBUG, EVENT_INFO, EVENT_WARNING, EVENT_ERROR };
enum event_format { EVENT_KEY_VALUE, EVENT_JSON };
enum event_sink { EVENT_SINK_LINES, EVENT_SINK_SYSLOG }; // a file or pipe; a /dev/log datagram socket

#define EVENT_FIELDS_MAX 32
#define EVENT_SPACE 3072 // octets of all values; longer ones are cut

// Lives on the stack of the one who reports; event_emit ends it.
// Names used as first argument of event_begin: connect disconnect auth refuse
// accept try result bounce defer expire hold release role config tables proxy tls dns queue
// admin limit. Keys: id (the session or message id), session, client, server,
// account, from, to, code, status, rule, reason, host, tls, size, delay.
struct event {
	enum event_level level;
	const char *name;
	uint64_t wall_ms;
	uint64_t id;        // what `pabal trace` finds it by; 0: none
	unsigned count;
	struct {
		const char *key; // a literal
		uint16_t offset;
		uint16_t len;
	} fields[EVENT_FIELDS_MAX];
	size_t used;
	char space[EVENT_SPACE];
};

void event_begin(struct event *e, enum event_level level, const char *name, uint64_t id);
void event_str(struct event *e, const char *key, struct str value); // skipped when empty
void event_text(struct event *e, const char *key, const char *value); // NULL is skipped
void event_u64(struct event *e, const char *key, uint64_t value);
void event_addr(struct event *e, const char *key, const struct ipaddr *addr);
void event_id(struct event *e, const char *key, uint64_t id);
void event_format(struct event *e, const char *key, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
// Writes one line. Control octets, quotes and newlines from the wire are
// escaped. Never blocks: a line that cannot be written at once is counted and
// dropped (the next one that gets through says how many).
void event_emit(struct event *e);
// Shorthand for an event with only a reason.
void event_report(enum event_level level, const char *name, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

// Adds the event as one JSON object (all values are strings, at most PIPE_BUF
// octets, no newline), as the JSON log has it. ERR_LIMIT: b is full.
int event_render_json(const struct event *e, struct buf *b);

// One sink a process. fd is borrowed. process names the writer ("smtpd[1]").
void event_setup(const char *process, int fd, enum event_sink sink, enum event_format format,
	enum event_level least);
// Every emitted event at INFO or above also goes to the tap (history). NULL: none.
void event_set_tap(void (*tap)(const struct event *e, void *arg), void *arg);
// The value of a field, or an empty string.
struct str event_get(const struct event *e, const char *key);
const char *event_level_name(enum event_level level);

#endif
