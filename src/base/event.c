// SPDX-License-Identifier: ISC
// Events to lines. A line is one write of at most PIPE_BUF octets, so that
// lines of several processes in one pipe never mix.
#include "base/event.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/id.h"

#include <unistr.h>

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <poll.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define LINE_MAX_OCTETS PIPE_BUF
#define LINE_END	64	 // kept free for what ends a line
#define FACILITY_MAIL	(2 << 3) // RFC 3164 4.1.1

// The one sink. Until event_setup, warnings go to stderr.
static struct {
	int fd;
	int own_fd; // a second, non-blocking way into the pipe fd, or -1
	bool is_socket;
	bool never_waits; // no poll() is needed before a write
	enum event_sink sink;
	enum event_format format;
	enum event_level least;
	char process[48];
	void (*tap)(const struct event *e, void *arg);
	void *tap_arg;
} out = {.fd = STDERR_FILENO, .own_fd = -1, .least = EVENT_WARNING, .process = "pabal"};

static atomic_ulong dropped;	 // lines since the last one that got through
static atomic_bool line_is_open; // a line was written in part only

static const struct {
	const char *name;
	int severity; // of RFC 3164 4.1.1
} levels[] = {
	[EVENT_DEBUG] = {"debug", 7},
	[EVENT_INFO] = {"info", 6},
	[EVENT_WARNING] = {"warning", 4},
	[EVENT_ERROR] = {"error", 3},
};

const char *event_level_name(enum event_level level)
{
	return (unsigned)level < ARRAY_SIZE(levels) ? levels[level].name : "error";
}

// ---- filling

void event_begin(struct event *e, enum event_level level, const char *name, uint64_t id)
{
	// Not the whole struct: clearing space would cost more than the rest.
	e->level = level;
	e->name = name;
	e->wall_ms = clock_wall_ms();
	e->id = id;
	e->count = 0;
	e->used = 0;
}

void event_str(struct event *e, const char *key, struct str value)
{
	size_t len = value.len;

	if (len == 0)
		return;
	if (e->count == EVENT_FIELDS_MAX) {
		e->used = EVENT_SPACE; // which says that something is missing
		return;
	}
	if (len > EVENT_SPACE - e->used) {
		len = EVENT_SPACE - e->used;
		// Not in the middle of a character.
		while (len && ((unsigned char)value.data[len] & 0xc0) == 0x80)
			len--;
	}
	if (len) {
		memcpy(e->space + e->used, value.data, len);
		e->fields[e->count].key = key;
		e->fields[e->count].offset = (uint16_t)e->used;
		e->fields[e->count].len = (uint16_t)len;
		e->count++;
	}
	e->used = len < value.len ? EVENT_SPACE : e->used + len;
}

void event_text(struct event *e, const char *key, const char *value)
{
	event_str(e, key, str_from(value));
}

void event_u64(struct event *e, const char *key, uint64_t value)
{
	char text[24];

	snprintf(text, sizeof(text), "%" PRIu64, value);
	event_text(e, key, text);
}

void event_addr(struct event *e, const char *key, const struct ipaddr *addr)
{
	char text[IPADDR_TEXT_MAX];

	event_text(e, key, ipaddr_format(addr, text));
}

void event_id(struct event *e, const char *key, uint64_t id)
{
	char text[ID_TEXT_MAX];

	if (id)
		event_text(e, key, id_format(id, text));
}

static void add_format(struct event *e, const char *key, const char *format, va_list args)
	__attribute__((format(printf, 3, 0)));

static void add_format(struct event *e, const char *key, const char *format, va_list args)
{
	char text[EVENT_SPACE + 1];
	int len = vsnprintf(text, sizeof(text), format, args);

	if (len > EVENT_SPACE)
		len = EVENT_SPACE;
	if (len > 0)
		event_str(e, key, str_make(text, (size_t)len));
}

void event_format(struct event *e, const char *key, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	add_format(e, key, format, args);
	va_end(args);
}

void event_report(enum event_level level, const char *name, const char *format, ...)
{
	struct event e;
	va_list args;

	event_begin(&e, level, name, 0);
	va_start(args, format);
	add_format(&e, "reason", format, args);
	va_end(args);
	event_emit(&e);
}

struct str event_get(const struct event *e, const char *key)
{
	for (unsigned i = 0; i < e->count; i++)
		if (strcmp(e->fields[i].key, key) == 0)
			return str_make(e->space + e->fields[i].offset, e->fields[i].len);
	return STR_EMPTY;
}

// ---- writing

struct line {
	bool json;
	bool syslog;
	size_t len;
	bool cut; // something did not fit
	char data[LINE_MAX_OCTETS];
};

// Adds all of it or, once something did not fit, nothing any more.
static void put(struct line *l, const char *data, size_t len)
{
	size_t end = LINE_MAX_OCTETS - LINE_END;

	if (l->cut || l->len > end || len > end - l->len) {
		l->cut = true;
		return;
	}
	memcpy(l->data + l->len, data, len);
	l->len += len;
}

static void put_text(struct line *l, const char *text)
{
	put(l, text, strlen(text));
}

// What ends a value or the line may use the space kept for that.
static void put_end(struct line *l, const char *text)
{
	size_t len = strlen(text);

	BUG_ON(len > LINE_MAX_OCTETS - l->len);
	memcpy(l->data + l->len, text, len);
	l->len += len;
}

// Characters that would let a peer draw on the reader's terminal: C0 and C1
// controls, line separators, and the ones that turn the direction of writing.
static bool is_unsafe(ucs4_t c)
{
	return c < 0x20 || (c >= 0x7f && c <= 0x9f) || c == 0x061c ||
	       (c >= 0x200e && c <= 0x200f) || (c >= 0x2028 && c <= 0x202e) ||
	       (c >= 0x2066 && c <= 0x2069);
}

// Adds the character (or octet that is no character) at the start of s in
// escaped form and returns how many octets of s it took.
static size_t put_escaped(struct line *l, struct str s)
{
	ucs4_t c;
	int len = u8_mbtoucr(&c, (const uint8_t *)s.data, s.len);
	char text[16];

	if (len <= 0) {
		snprintf(text, sizeof(text), l->json ? "\\ufffd" : "\\x%02x",
			(unsigned char)s.data[0]);
		put_text(l, text);
		return 1;
	}
	if (c == '"' || c == '\\')
		snprintf(text, sizeof(text), "\\%c", (char)c);
	else if (c == '\n' || c == '\r' || c == '\t')
		snprintf(text, sizeof(text), "\\%c", c == '\n' ? 'n' : c == '\r' ? 'r' : 't');
	else if (is_unsafe(c))
		snprintf(text, sizeof(text), l->json || c > 0xff ? "\\u%04x" : "\\x%02x",
			(unsigned)c);
	else {
		put(l, s.data, (size_t)len);
		return (size_t)len;
	}
	put_text(l, text);
	return (size_t)len;
}

// False when not even the quote fits; a value that is cut still gets its end.
static bool put_quoted(struct line *l, struct str s)
{
	put_text(l, "\"");
	if (l->cut)
		return false;
	while (s.len && !l->cut)
		s = str_skip(s, put_escaped(l, s));
	put_end(l, "\"");
	return true;
}

// Values of visible ASCII without '"', '=' and '\' need no quotes.
static bool is_plain(struct str s)
{
	for (size_t i = 0; i < s.len; i++) {
		char c = s.data[i];
		if (c <= ' ' || c >= 0x7f || c == '"' || c == '=' || c == '\\')
			return false;
	}
	return s.len > 0;
}

static void put_field(struct line *l, const char *key, struct str value)
{
	size_t start = l->len;

	if (l->cut)
		return;
	put_text(l, l->json ? ",\"" : " ");
	put_text(l, key);
	put_text(l, l->json ? "\":" : "=");
	if (!l->cut && !l->json && is_plain(value) &&
		l->len + value.len <= LINE_MAX_OCTETS - LINE_END)
		put(l, value.data, value.len);
	else if (!put_quoted(l, value))
		l->len = start; // a key without its value would be worse than neither
}

static void put_head(struct line *l, const struct event *e)
{
	const char *level = event_level_name(e->level);
	char date[CLOCK_DATE_MAX];
	char text[256];

	clock_format_rfc3339(e->wall_ms, date);
	if (l->json) {
		snprintf(text, sizeof(text), "{\"time\":\"%s\",\"level\":\"%s\"", date, level);
		put_text(l, text);
		put_field(l, "process", str_from(out.process));
		put_field(l, "event", str_from(e->name));
		return;
	}
	if (!l->syslog) { // syslog has a time of its own
		put_text(l, date);
		put_text(l, " ");
	}
	snprintf(text, sizeof(text), "%s %s %s", level, out.process, e->name);
	put_text(l, text);
}

// Everything but what starts and ends a line in its sink.
static void put_event(struct line *l, const struct event *e, unsigned long lost)
{
	char text[ID_TEXT_MAX + 32];

	put_head(l, e);
	if (e->id)
		put_field(l, "id", str_from(id_format(e->id, text)));
	for (unsigned i = 0; i < e->count; i++)
		put_field(l, e->fields[i].key,
			str_make(e->space + e->fields[i].offset, e->fields[i].len));
	if (lost) {
		snprintf(text, sizeof(text), l->json ? ",\"dropped\":\"%lu\"" : " dropped=%lu",
			lost);
		put_end(l, text);
	}
	if (l->cut || e->used == EVENT_SPACE)
		put_end(l, l->json ? ",\"cut\":\"yes\"" : " cut=yes");
	if (l->json)
		put_end(l, "}");
}

static void format_line(struct line *l, const struct event *e, unsigned long lost)
{
	char text[64];

	l->json = out.format == EVENT_JSON;
	l->syslog = out.sink == EVENT_SINK_SYSLOG;
	l->len = 0;
	l->cut = false;
	if (l->syslog) {
		snprintf(text, sizeof(text),
			"<%d>pabal[%ld]: ", FACILITY_MAIL | levels[e->level].severity,
			(long)getpid());
		put_text(l, text);
	} else if (atomic_exchange(&line_is_open, false)) {
		put_text(l, "\n");
	}
	put_event(l, e, lost);
	if (!l->syslog)
		put_end(l, "\n");
}

int event_render_json(const struct event *e, struct buf *to)
{
	struct line line;

	line.json = true;
	line.syslog = false;
	line.len = 0;
	line.cut = false;
	put_event(&line, e, 0);
	return buf_add(to, line.data, line.len);
}

// The whole line or nothing, at once.
static bool write_line(const struct line *l)
{
	int fd = out.own_fd >= 0 ? out.own_fd : out.fd;
	struct pollfd ready = {.fd = fd, .events = POLLOUT};
	ssize_t n;

	if (out.is_socket)
		return send(fd, l->data, l->len, MSG_DONTWAIT | MSG_NOSIGNAL) == (ssize_t)l->len;
	if (!out.never_waits && (poll(&ready, 1, 0) != 1 || !(ready.revents & POLLOUT)))
		return false;
	n = write(fd, l->data, l->len);
	if (n > 0 && (size_t)n < l->len)
		atomic_store(&line_is_open, true);
	return n == (ssize_t)l->len;
}

void event_emit(struct event *e)
{
	int number = errno;
	unsigned long lost;
	struct line line;

	if (out.tap && e->level >= EVENT_INFO)
		out.tap(e, out.tap_arg);
	if (e->level < out.least || out.fd < 0)
		return;
	lost = atomic_exchange(&dropped, 0);
	format_line(&line, e, lost);
	if (!write_line(&line))
		atomic_fetch_add(&dropped, lost + 1);
	errno = number;
}

// O_NONBLOCK belongs to the open pipe, which other programs may share; so a
// pipe is opened once more. Where that is not allowed, poll() goes before each
// write, and only two writers at the same moment could make one wait.
static int open_again(int fd)
{
	struct stat st;
	char path[40];

	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISFIFO(st.st_mode))
		return -1;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
}

void event_setup(const char *process, int fd, enum event_sink sink, enum event_format format,
	enum event_level least)
{
	struct stat st;

	if (out.own_fd >= 0)
		close(out.own_fd);
	atomic_store(&line_is_open, false);
	out.fd = fd;
	out.own_fd = open_again(fd);
	bool known = fd >= 0 && fstat(fd, &st) == 0;
	out.is_socket = known && S_ISSOCK(st.st_mode);
	// A file takes every write at once, as far as poll() could tell.
	out.never_waits = out.own_fd >= 0 || (known && S_ISREG(st.st_mode));
	out.sink = sink;
	out.format = format;
	out.least = least;
	snprintf(out.process, sizeof(out.process), "%s", process);
}

void event_set_tap(void (*tap)(const struct event *e, void *arg), void *arg)
{
	out.tap = tap;
	out.tap_arg = arg;
}
