// SPDX-License-Identifier: ISC
// load [-k] [-t] [-u USER -w PASSWORD] [-c CONNECTIONS] [-n MESSAGES] [-l OCTETS] ADDRESS:PORT
// A load generator for what smtp-source cannot do: STARTTLS (-t) and AUTH PLAIN (-u, -w). One
// thread a connection, so it never waits for itself; one message a connection, or with -k all
// over one. The envelope goes out as mail programs do it, in one piece (PIPELINING). Message
// number N goes to N@remote.example. Prints CLOCK_REALTIME at its first and last step, and how
// many messages were answered 250; the first error goes to standard error, and it goes on.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { MOST_CONNECTIONS = 1000, MOST_OCTETS = 1 << 20 };

static struct {
	bool keep, tls;
	char auth[512]; // "AUTH PLAIN ..." line, or empty
	long connections, messages, octets;
	struct sockaddr_in to;
	char *body;
	size_t body_len;
	SSL_CTX *context;
} plan = {.connections = 50, .messages = 1000, .octets = 4096};
static atomic_long next_message, accepted, complaints;

struct connection {
	int fd;
	SSL *ssl;
	size_t len;
	char in[4096];
};

static bool send_all(struct connection *c, const char *data, size_t len)
{
	if (c->ssl)
		return SSL_write(c->ssl, data, (int)len) == (int)len;
	return send(c->fd, data, len, MSG_NOSIGNAL) == (ssize_t)len; // blocking: all or an error
}

static ssize_t receive(struct connection *c)
{
	size_t room = sizeof(c->in) - 1 - c->len;
	if (!room)
		return -1;
	return c->ssl ? SSL_read(c->ssl, c->in + c->len, (int)room)
		      : recv(c->fd, c->in + c->len, room, 0);
}

// One whole reply; true when its code begins with `wanted`.
static bool reply(struct connection *c, char wanted)
{
	for (;;) {
		char *newline;
		while ((newline = memchr(c->in, '\n', c->len)) != NULL) {
			bool last = newline - c->in > 3 && c->in[3] != '-', good = c->in[0] == wanted;
			if (!good && atomic_fetch_add(&complaints, 1) == 0)
				fprintf(stderr, "load: %.*s\n", (int)(newline - c->in), c->in);
			c->len -= (size_t)(newline + 1 - c->in);
			memmove(c->in, newline + 1, c->len);
			if (last || !good)
				return good;
		}
		ssize_t got = receive(c);
		if (got <= 0) {
			if (atomic_fetch_add(&complaints, 1) == 0)
				fputs("load: the server closed the connection\n", stderr);
			return false;
		}
		c->len += (size_t)got;
	}
}

static bool ask(struct connection *c, const char *line, char wanted)
{
	return send_all(c, line, strlen(line)) && reply(c, wanted);
}

static bool secure(struct connection *c)
{
	if (!ask(c, "STARTTLS\r\n", '2'))
		return false;
	c->ssl = SSL_new(plan.context);
	return c->ssl && SSL_set_fd(c->ssl, c->fd) == 1 && SSL_connect(c->ssl) == 1;
}

static bool open_connection(struct connection *c)
{
	int one = 1;
	c->len = 0;
	c->ssl = NULL;
	c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (connect(c->fd, (struct sockaddr *)&plan.to, sizeof(plan.to)) < 0) {
		if (atomic_fetch_add(&complaints, 1) == 0)
			perror("load: connect");
		return false;
	}
	return reply(c, '2') && ask(c, "EHLO client.example\r\n", '2')
		&& (!plan.tls || (secure(c) && ask(c, "EHLO client.example\r\n", '2')))
		&& (!plan.auth[0] || ask(c, plan.auth, '2'));
}

static void close_connection(struct connection *c, bool polite)
{
	if (polite && ask(c, "QUIT\r\n", '2') && c->ssl)
		SSL_shutdown(c->ssl);
	SSL_free(c->ssl);
	close(c->fd);
}

static bool send_message(struct connection *c, long number)
{
	char envelope[256];
	snprintf(envelope, sizeof(envelope),
		"MAIL FROM:<kim@example.kr>\r\nRCPT TO:<%ld@remote.example>\r\nDATA\r\n", number);
	return send_all(c, envelope, strlen(envelope)) && reply(c, '2') && reply(c, '2')
		&& reply(c, '3') && send_all(c, plan.body, plan.body_len) && reply(c, '2');
}

static void *work(void *unused)
{
	struct connection c;
	bool is_open = false;
	(void)unused;
	for (;;) {
		long number = atomic_fetch_add(&next_message, 1);
		if (number >= plan.messages || atomic_load(&complaints) > 1000)
			break;
		bool good = is_open || open_connection(&c);
		is_open = true;
		good = good && send_message(&c, number);
		if (good)
			atomic_fetch_add(&accepted, 1);
		if (!good || !plan.keep) {
			close_connection(&c, good);
			is_open = false;
		}
	}
	if (is_open)
		close_connection(&c, true);
	return NULL;
}

static void make_body(void)
{
	static const char head[] = "From: <kim@example.kr>\r\nTo: <someone@remote.example>\r\n"
				   "Subject: load\r\nDate: Thu, 1 Jan 2026 00:00:00 +0000\r\n"
				   "Message-ID: <load@example.kr>\r\n\r\n";
	static const char row[] =
		"0123456789 abcdefghijklmnopqrstuvwxyz ABCDEFGHIJKLMNOPQRSTUVWXYZ 0123456789\r\n";
	plan.body = malloc(sizeof(head) + (size_t)plan.octets + sizeof(row) + 8);
	if (!plan.body)
		exit(1);
	char *at = stpcpy(plan.body, head);
	for (long done = 0; done < plan.octets; done += (long)sizeof(row) - 1)
		at = stpcpy(at, row);
	at = stpcpy(at, ".\r\n");
	plan.body_len = (size_t)(at - plan.body);
}

static void make_auth(const char *user, const char *password)
{
	unsigned char plain[256], base64[400];
	int len = snprintf((char *)plain, sizeof(plain), "%c%s%c%s", 0, user, 0, password);
	if (len <= 0 || (size_t)len >= sizeof(plain))
		exit(2);
	EVP_EncodeBlock(base64, plain, len);
	snprintf(plan.auth, sizeof(plan.auth), "AUTH PLAIN %s\r\n", base64);
}

static bool read_options(int argc, char **argv)
{
	const char *user = NULL, *password = NULL;
	int letter;
	while ((letter = getopt(argc, argv, "ktu:w:c:n:l:")) != -1) {
		switch (letter) {
		case 'k': plan.keep = true; break;
		case 't': plan.tls = true; break;
		case 'u': user = optarg; break;
		case 'w': password = optarg; break;
		case 'c': plan.connections = atol(optarg); break;
		case 'n': plan.messages = atol(optarg); break;
		case 'l': plan.octets = atol(optarg); break;
		default: return false;
		}
	}
	char *port = optind < argc ? strrchr(argv[optind], ':') : NULL;
	if (!port || plan.connections < 1 || plan.connections > MOST_CONNECTIONS ||
		plan.octets > MOST_OCTETS || !user != !password)
		return false;
	*port++ = 0;
	plan.to.sin_family = AF_INET;
	plan.to.sin_port = htons((uint16_t)atoi(port));
	if (user)
		make_auth(user, password);
	return inet_pton(AF_INET, argv[optind], &plan.to.sin_addr) == 1;
}

static long long now_ns(void)
{
	struct timespec now;
	clock_gettime(CLOCK_REALTIME, &now);
	return now.tv_sec * 1000000000ll + now.tv_nsec;
}

int main(int argc, char **argv)
{
	static pthread_t threads[MOST_CONNECTIONS];
	if (!read_options(argc, argv)) {
		fputs("usage: load [-k] [-t] [-u USER -w PASSWORD] [-c CONNECTIONS] [-n MESSAGES] "
		      "[-l OCTETS] ADDRESS:PORT\n", stderr);
		return 2;
	}
	make_body();
	plan.context = SSL_CTX_new(TLS_client_method()); // trusts anyone: the certificate is not the question
	if (!plan.context)
		return 1;
	long long start = now_ns();
	for (long i = 0; i < plan.connections; i++)
		if (pthread_create(&threads[i], NULL, work, NULL))
			return 1;
	for (long i = 0; i < plan.connections; i++)
		pthread_join(threads[i], NULL);
	printf("%lld %lld %ld\n", start, now_ns(), atomic_load(&accepted));
	return 0;
}
