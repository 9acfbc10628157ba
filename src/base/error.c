// SPDX-License-Identifier: ISC
// Error numbers in words, and the two ways a process ends early.
#include "base/error.h"

#include "base/str.h"
#include "base/text.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define FATAL_EXIT 70 // EX_SOFTWARE of sysexits.h

static const char *const texts[] = {
	[-ERR_OK] = TEXT_MARK("no error"),
	[-ERR_SYSTEM] = TEXT_MARK("a system call failed"),
	[-ERR_MEMORY] = TEXT_MARK("not enough memory"),
	[-ERR_SYNTAX] = TEXT_MARK("wrong syntax"),
	[-ERR_LIMIT] = TEXT_MARK("over a limit"),
	[-ERR_NOT_FOUND] = TEXT_MARK("not found"),
	[-ERR_EXISTS] = TEXT_MARK("already exists"),
	[-ERR_DENIED] = TEXT_MARK("not allowed"),
	[-ERR_CLOSED] = TEXT_MARK("the other end closed the connection"),
	[-ERR_TIMEOUT] = TEXT_MARK("timed out"),
	[-ERR_CORRUPT] = TEXT_MARK("stored data is damaged"),
	[-ERR_UNAVAILABLE] = TEXT_MARK("not available now"),
	[-ERR_FULL] = TEXT_MARK("no space left"),
	[-ERR_UNSUPPORTED] = TEXT_MARK("not supported"),
	[-ERR_TLS] = TEXT_MARK("TLS failed"),
};

const char *err_text(int err)
{
	// Compared before negating: -INT_MIN does not exist.
	if (err > 0 || err <= -(int)ARRAY_SIZE(texts) || !texts[-err])
		return TEXT("unknown error");
	return text_lookup(texts[-err]);
}

int err_from_errno(int number)
{
	switch (number) {
	case ENOSPC:
	case EDQUOT:
		return ERR_FULL;
	case EACCES:
	case EPERM:
		return ERR_DENIED;
	case ENOENT:
		return ERR_NOT_FOUND;
	default:
		return ERR_SYSTEM;
	}
}

// Moves len back to the end of the last whole UTF-8 character in text.
static size_t whole_characters(const char *text, size_t len)
{
	size_t start = len;
	size_t tail;
	unsigned char lead;

	while (start > 0 && len - start < 3 && ((unsigned char)text[start - 1] & 0xc0) == 0x80)
		start--;
	if (start == 0)
		return len;
	lead = (unsigned char)text[start - 1];
	tail = lead >= 0xf0 ? 3 : lead >= 0xe0 ? 2 : lead >= 0xc0 ? 1 : 0;
	return tail > len - start ? start - 1 : len;
}

static size_t format_line(char text[ERROR_TEXT_MAX], const char *format, va_list args)
	__attribute__((format(printf, 2, 0)));

// Formats into text, which may also be among the arguments; returns the length.
static size_t format_line(char text[ERROR_TEXT_MAX], const char *format, va_list args)
{
	char line[ERROR_TEXT_MAX];
	int wanted = vsnprintf(line, sizeof(line), format, args);
	size_t len = wanted < 0 ? 0 : (size_t)wanted;

	if (len >= sizeof(line))
		len = whole_characters(line, sizeof(line) - 1);
	for (size_t i = 0; i < len; i++)
		text[i] = line[i] == '\n' || line[i] == '\r' ? ' ' : line[i];
	text[len] = '\0';
	return len;
}

int error_set(struct error *err, int code, const char *format, ...)
{
	va_list args;

	if (!err)
		return code;
	va_start(args, format);
	format_line(err->text, format, args);
	va_end(args);
	err->code = code;
	return code;
}

int error_system(struct error *err, const char *format, ...)
{
	int number = errno;
	int code = err_from_errno(number);
	char words[128];
	va_list args;
	size_t len;

	if (!err)
		return code;
	va_start(args, format);
	len = format_line(err->text, format, args);
	va_end(args);
	snprintf(err->text + len, sizeof(err->text) - len, ": %s",
		strerror_r(number, words, sizeof(words)));
	err->code = code;
	errno = number;
	return code;
}

void bug(const char *file, int line, const char *what)
{
	fprintf(stderr, "pabal: bug at %s:%d: %s\n", file, line, what);
	fflush(stderr);
	abort();
}

void fatal(const char *format, ...)
{
	char text[ERROR_TEXT_MAX];
	va_list args;

	va_start(args, format);
	format_line(text, format, args);
	va_end(args);
	fprintf(stderr, "pabal: %s\n", text);
	fflush(stderr);
	// Not exit(): handlers registered before a fork belong to the parent.
	_exit(FATAL_EXIT);
}
