// SPDX-License-Identifier: ISC
// sink ADDRESS:PORT
// The far end of the bench: takes all mail as smtp-sink does (EHLO, PIPELINING), keeps nothing,
// and knows each message by the number that its first recipient's name begins with, so that
// lost and doubled ones are seen. Answers on standard output, one line for one on standard input:
//   ?      messages distinct doubled last_ns   (CLOCK_REALTIME of the last message)
//   zero   forgets them
// Ends with its standard input. Only for a network of one's own: input is trusted.
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { MOST_NUMBERS = 1 << 27, MOST_FDS = 65536, INPUT = 32768, OUTPUT = 8192 };

struct client {
	size_t in_len, out_len;
	uint64_t number;  // of the message, from RCPT
	unsigned dot;     // how much of "\r\n.\r\n" was seen
	bool in_data, quit;
	char in[INPUT], out[OUTPUT];
};

static struct {
	uint64_t messages, distinct, doubled, last_ns;
	uint8_t *seen; // one bit a number
} count;
static struct client *clients[MOST_FDS];
static int epoll;

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static void zero(void)
{
	free(count.seen);
	memset(&count, 0, sizeof(count));
	count.seen = calloc(1, MOST_NUMBERS / 8); // pages come when they are used
	if (!count.seen)
		die("calloc");
}

static void count_message(uint64_t number)
{
	struct timespec now;
	clock_gettime(CLOCK_REALTIME, &now);
	count.last_ns = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
	count.messages++;
	if (number >= MOST_NUMBERS)
		return;
	uint8_t bit = (uint8_t)(1u << (number & 7));
	if (count.seen[number >> 3] & bit) {
		count.doubled++;
		return;
	}
	count.seen[number >> 3] |= bit;
	count.distinct++;
}

static void say(struct client *c, const char *words)
{
	size_t len = strlen(words);
	if (c->out_len + len > OUTPUT)
		die("too many commands at once");
	memcpy(c->out + c->out_len, words, len);
	c->out_len += len;
}

static void take_command(struct client *c, const char *line, size_t len)
{
	if (!strncasecmp(line, "RCPT", 4)) {
		const char *at = memchr(line, '<', len);
		if (at && c->number == UINT64_MAX)
			c->number = strtoull(at + 1, NULL, 10);
		say(c, "250 2.1.5 Ok\r\n");
	} else if (!strncasecmp(line, "MAIL", 4)) {
		c->number = UINT64_MAX;
		say(c, "250 2.1.0 Ok\r\n");
	} else if (!strncasecmp(line, "DATA", 4)) {
		c->in_data = true;
		c->dot = 2;
		say(c, "354 End with .\r\n");
	} else if (!strncasecmp(line, "EHLO", 4)) {
		say(c, "250-sink.example\r\n250-PIPELINING\r\n250-8BITMIME\r\n250 ENHANCEDSTATUSCODES\r\n");
	} else if (!strncasecmp(line, "QUIT", 4)) {
		c->quit = true;
		say(c, "221 2.0.0 Bye\r\n");
	} else {
		say(c, "250 2.0.0 Ok\r\n");
	}
}

// Returns how much was used; the rest is an unfinished line.
static size_t take_input(struct client *c)
{
	static const char end[] = "\r\n.\r\n";
	size_t used = 0;
	while (used < c->in_len) {
		char *from = c->in + used;
		if (!c->in_data) {
			char *newline = memchr(from, '\n', c->in_len - used);
			if (!newline)
				break;
			take_command(c, from, (size_t)(newline - from));
			used = (size_t)(newline - c->in) + 1;
			continue;
		}
		if (c->dot == 0) { // most octets go by here
			char *cr = memchr(from, '\r', c->in_len - used);
			if (!cr)
				return c->in_len;
			used = (size_t)(cr - c->in) + 1;
			c->dot = 1;
			continue;
		}
		used++;
		c->dot = *from == end[c->dot] ? c->dot + 1 : *from == '\r' ? 1 : 0;
		if (c->dot == 5) {
			c->in_data = false;
			count_message(c->number);
			say(c, "250 2.0.0 Ok\r\n");
		}
	}
	return used;
}

static void drop(int fd)
{
	free(clients[fd]);
	clients[fd] = NULL;
	close(fd);
}

static void serve(int fd)
{
	struct client *c = clients[fd];
	ssize_t got = read(fd, c->in + c->in_len, INPUT - c->in_len);
	if (got < 0 && errno == EAGAIN)
		return;
	if (got <= 0) {
		drop(fd);
		return;
	}
	c->in_len += (size_t)got;
	size_t used = take_input(c);
	memmove(c->in, c->in + used, c->in_len - used);
	c->in_len -= used;
	if (c->out_len && write(fd, c->out, c->out_len) != (ssize_t)c->out_len) {
		drop(fd);
		return;
	}
	c->out_len = 0;
	if (c->quit)
		drop(fd);
}

static void watch(int fd)
{
	struct epoll_event e = {.events = EPOLLIN, .data.fd = fd};
	if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &e) < 0)
		die("epoll_ctl");
}

static void take_clients(int listener)
{
	for (;;) {
		int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd < 0)
			return;
		int one = 1;
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
		if (fd >= MOST_FDS || !(clients[fd] = calloc(1, sizeof(struct client))))
			die("too many connections");
		watch(fd);
		say(clients[fd], "220 sink.example ESMTP\r\n");
		if (write(fd, clients[fd]->out, clients[fd]->out_len) < 0)
			drop(fd);
		else
			clients[fd]->out_len = 0;
	}
}

static void answer_question(void)
{
	char line[64];
	ssize_t got = read(0, line, sizeof(line));
	if (got <= 0)
		exit(0);
	if (line[0] == 'z')
		zero();
	printf("%llu %llu %llu %llu\n", (unsigned long long)count.messages,
		(unsigned long long)count.distinct, (unsigned long long)count.doubled,
		(unsigned long long)count.last_ns);
	fflush(stdout);
}

static int open_listener(char *where)
{
	char *port = strrchr(where, ':');
	if (!port) {
		fputs("usage: sink ADDRESS:PORT\n", stderr);
		exit(2);
	}
	*port++ = 0;
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port))};
	int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	if (fd < 0 || inet_pton(AF_INET, where, &a.sin_addr) != 1)
		die("address");
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0 || listen(fd, 4096) < 0)
		die("listen");
	return fd;
}

int main(int argc, char **argv)
{
	int listener = open_listener(argc > 1 ? argv[1] : (char[]){""});
	zero();
	epoll = epoll_create1(EPOLL_CLOEXEC);
	watch(listener);
	watch(0);
	for (;;) {
		struct epoll_event events[64];
		int n = epoll_wait(epoll, events, 64, -1);
		for (int i = 0; i < n; i++) {
			int fd = events[i].data.fd;
			if (fd == listener)
				take_clients(listener);
			else if (fd == 0)
				answer_question();
			else
				serve(fd);
		}
	}
}
