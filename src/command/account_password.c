// SPDX-License-Identifier: ISC
// Passwords come from the terminal or from standard input, never from an argument that everybody
// can see.
#include "command/account_internal.h"

#include "base/file.h"
#include "base/memory.h"
#include "base/str.h"
#include "base/text.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <termios.h>
#include <unistd.h>

// A line of standard input without its end. Not by stdio: what it buffers is not wiped.
static int read_line(char out[ACCOUNT_PASSWORD_MAX + 1], struct error *err)
{
	size_t len = 0;
	char c = '\0';
	ssize_t n;
	while ((n = read(STDIN_FILENO, &c, 1)) == 1 && c != '\n') {
		if (len == ACCOUNT_PASSWORD_MAX)
			return error_set(err, ERR_LIMIT, TEXT("a password has at most %d octets"), ACCOUNT_PASSWORD_MAX);
		if (c == '\0')
			return error_set(err, ERR_SYNTAX, TEXT("a password has no control characters"));
		out[len++] = c;
	}
	if (n < 0)
		return error_system(err, TEXT("cannot read standard input"));
	if (len && out[len - 1] == '\r')
		len--;
	out[len] = '\0';
	return len ? 0 : error_set(err, ERR_SYNTAX, TEXT("a password is needed"));
}

// True when there is something to read, false when a signal came that has to end us.
static bool wait_for_line(const sigset_t *ending)
{
	int signals = signalfd(-1, ending, SFD_CLOEXEC);
	struct pollfd waits[] = {{.fd = STDIN_FILENO, .events = POLLIN}, {.fd = signals, .events = POLLIN}};
	while (poll(waits, 2, -1) < 0 && errno == EINTR)
		;
	fd_close(&signals);
	return !waits[1].revents;
}

// The terminal shows again what is typed, however this ends.
static int ask_hidden(const char *prompt, char out[ACCOUNT_PASSWORD_MAX + 1], struct error *err)
{
	static const int numbers[] = {SIGINT, SIGTERM, SIGQUIT, SIGHUP};
	struct termios before, hidden;
	sigset_t ending, old;
	if (tcgetattr(STDIN_FILENO, &before) < 0)
		return error_system(err, TEXT("cannot use the terminal"));
	sigemptyset(&ending);
	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++)
		sigaddset(&ending, numbers[i]);
	sigprocmask(SIG_BLOCK, &ending, &old);
	hidden = before;
	hidden.c_lflag &= ~(tcflag_t)ECHO;
	tcsetattr(STDIN_FILENO, TCSAFLUSH, &hidden); // before the prompt: who sees it may type
	fputs(prompt, stderr);
	int result = wait_for_line(&ending) ? read_line(out, err) :
		error_set(err, ERR_SYNTAX, TEXT("a password is needed"));
	tcsetattr(STDIN_FILENO, TCSAFLUSH, &before);
	fputc('\n', stderr);
	sigprocmask(SIG_SETMASK, &old, NULL); // what came is delivered here
	return result;
}

int account_read_password(char out[ACCOUNT_PASSWORD_MAX + 1], struct error *err)
{
	char again[ACCOUNT_PASSWORD_MAX + 1];
	if (!isatty(STDIN_FILENO))
		return read_line(out, err);
	int result = ask_hidden(TEXT("Password: "), out, err);
	if (!result)
		result = ask_hidden(TEXT("Once more: "), again, err);
	if (!result && strcmp(out, again))
		result = error_set(err, ERR_SYNTAX, TEXT("the two are not the same"));
	mem_wipe(again, sizeof again);
	return result;
}
