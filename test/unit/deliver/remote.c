// SPDX-License-Identifier: ISC
#include "deliver/remote.h"
#include "world.h"

#include <stddef.h>
#include <sys/mman.h>

static const struct zone_row zone[] = {
	{"example.org", DNS_MX, "10 mx1.example.org", 0},
	{"example.org", DNS_MX, "20 mx2.example.org", 0},
	{"mx1.example.org", DNS_A, "127.0.0.1", 0},
	{"mx2.example.org", DNS_A, "127.0.0.2", 0},
	{"one.example", DNS_MX, "10 mx1.example.org", 0},
	{"null.example", DNS_MX, "0 ", 0},
	{"unreachable.example", DNS_A, "127.0.0.6", 0}, // nobody listens
	{"smart.example", DNS_A, "127.0.0.3", 0},
	{"host.example", DNS_A, "127.0.0.1", 0},
	{0},
};

static struct buf certificate, key;
static struct tls_server *tls_server;

struct bench {
	struct world w;
	struct config config;
	struct config_route routes[2];
	struct config_destination pace;
	struct remote *remote;
	struct deliver_job *done[64];
	unsigned done_count;
	bool inside;              // of remote_deliver
	uint64_t socket_request;
	unsigned socket_route, socket_asks;
	uint64_t connect_ms;
	int socket_fd;            // given when asked; -1: nothing
	const char *socket_why;
};

static void on_done(void *arg, struct deliver_job *job)
{
	struct bench *b = arg;
	assert_false(b->inside);
	assert_true(b->done_count < ARRAY_SIZE(b->done));
	b->done[b->done_count++] = job;
}

static void on_connect(void *arg, uint64_t request, unsigned route_index)
{
	struct bench *b = arg;
	b->socket_asks++;
	b->socket_request = request;
	b->socket_route = route_index;
	if (b->socket_fd >= 0 || b->socket_why) {
		int fd = b->socket_fd;
		b->socket_fd = -1;
		remote_connected(b->remote, request, fd, b->socket_why);
	}
}

static void bench_open(struct bench *b, unsigned hosts)
{
	memset(b, 0, sizeof *b);
	b->socket_fd = -1;
	world_open(&b->w, zone);
	for (unsigned i = 0; i < hosts; i++)
		world_host(&b->w, i)->tls = tls_server;
	b->pace = (struct config_destination){.pattern = STR("*"), .connections = 4, .messages = 100};
	b->config = (struct config){.hostname = STR("mail.pabal.example"), .destinations = &b->pace,
		.destination_count = 1, .routes = b->routes};
	b->config.tls.min = CONFIG_TLS_1_2;
}

static void bench_start(struct bench *b)
{
	struct remote_options o = {.loop = &b->w.loop, .wheel = b->w.wheel, .dns = b->w.dns,
		.config = &b->config, .connect = on_connect, .done = on_done, .arg = b, .port = b->w.port,
		.connect_ms = b->connect_ms};
	b->remote = remote_create(&o);
}

static void bench_close(struct bench *b)
{
	remote_destroy(b->remote);
	for (unsigned i = 0; i < b->done_count; i++)
		deliver_job_destroy(b->done[i]);
	world_close(&b->w);
}

static void deliver(struct bench *b, const struct job_words *words)
{
	struct deliver_job *job = job_make(words);
	b->inside = true;
	remote_deliver(b->remote, job);
	b->inside = false;
}

// Delivers and waits for the result.
static const struct deliver_job *send_job(struct bench *b, const struct job_words *words)
{
	unsigned before = b->done_count;
	deliver(b, words);
	WORLD_UNTIL(&b->w, b->done_count > before);
	assert_int_equal(b->done_count, before + 1);
	return b->done[before];
}

#define SIMPLE {.recipients = {"kim@example.org"}, .headers = "Received: here\r\n", \
	.body = STR("Subject: hi\r\n\r\nwords\r\n.dot\r\n")}

static const struct smtp_result *only(const struct deliver_job *job)
{
	assert_int_equal(job->recipient_count, 1);
	return &job->recipients[0].result;
}

static void assert_result(const struct smtp_result *r, enum smtp_outcome outcome, unsigned code,
	const char *enhanced, const char *words)
{
	if (r->outcome != outcome || r->code != code || strcmp(r->enhanced, enhanced) != 0 ||
		!strstr(r->text, words))
		fail_msg("got %d %u %s %s", r->outcome, r->code, r->enhanced, r->text);
}

// ---- the plain way
static void test_delivers(void **state)
{
	struct bench b;
	struct job_words words = SIMPLE;
	(void)state;
	bench_open(&b, 2);
	bench_start(&b);
	const struct deliver_job *job = send_job(&b, &words);
	struct host *h = &b.w.hosts[0];
	assert_result(only(job), SMTP_DELIVERED, 250, "2.0.0", "taken");
	assert_string_equal(job->remote, "mx1.example.org [127.0.0.1]");
	assert_string_equal(job->tls, "");
	assert_int_equal(job->blame, 0);
	assert_false(job->recipients[0].relayed_dsn);
	assert_string_equal(buf_cstr(&h->talk), "EHLO mail.pabal.example|MAIL FROM:<from@sender.example>|"
		"RCPT TO:<kim@example.org>|DATA|");
	assert_string_equal(buf_cstr(&h->body), "Received: here\r\nSubject: hi\r\n\r\nwords\r\n..dot\r\n.\r\n");
	assert_int_equal(b.w.hosts[1].connections, 0);
	assert_int_equal(remote_connections(b.remote), 1);
	bench_close(&b);
	assert_int_equal(b.w.hosts[0].connections, 1);
}

static void test_says_quit_when_idle(void **state)
{
	struct bench b;
	struct job_words words = SIMPLE;
	(void)state;
	bench_open(&b, 1);
	bench_start(&b);
	send_job(&b, &words);
	WORLD_UNTIL(&b.w, b.w.hosts[0].quits == 1); // 5 s later
	assert_int_equal(remote_connections(b.remote), 0);
	bench_close(&b);
}

static void test_dsn_is_passed_on(void **state)
{
	struct bench b;
	struct job_words words = SIMPLE;
	(void)state;
	words.notify = SMTP_NOTIFY_SUCCESS | SMTP_NOTIFY_FAILURE;
	bench_open(&b, 1);
	bench_start(&b);
	b.w.hosts[0].ehlo = "250-PIPELINING\r\n250-SIZE 100000\r\n250 DSN\r\n";
	const struct deliver_job *job = send_job(&b, &words);
	assert_true(job->recipients[0].relayed_dsn);
	assert_non_null(strstr(buf_cstr(&b.w.hosts[0].talk), "NOTIFY=SUCCESS,FAILURE"));
	assert_non_null(strstr(buf_cstr(&b.w.hosts[0].talk), "SIZE=44"));
	bench_close(&b);
}

static void test_each_recipient_has_its_result(void **state)
{
	struct bench b;
	struct job_words words = SIMPLE;
	(void)state;
	words.recipients[1] = "lee@example.org";
	words.recipients[2] = "park@example.org";
	bench_open(&b, 2);
	bench_start(&b);
	b.w.hosts[0].sayings[0] = (struct saying){"RCPT TO:<lee", "550 5.1.1 who is that", 0};
	b.w.hosts[0].sayings[1] = (struct saying){"RCPT TO:<park", "450 4.2.1 later", 0};
	const struct deliver_job *job = send_job(&b, &words);
	assert_result(&job->recipients[0].result, SMTP_DELIVERED, 250, "2.0.0", "taken");
	assert_result(&job->recipients[1].result, SMTP_PERMANENT, 550, "5.1.1", "who is that");
	assert_result(&job->recipients[2].result, SMTP_TEMPORARY, 450, "4.2.1", "later");
	assert_int_equal(job->blame, 0);
	assert_int_equal(b.w.hosts[1].connections, 0); // the answer was about the recipient
	bench_close(&b);
}

static void test_smtputf8_needs_the_extension(void **state)
{
	struct bench b;
	struct job_words words = SIMPLE;
	(void)state;
	words.smtputf8 = true;
	bench_open(&b, 1);
	bench_start(&b);
	const struct deliver_job *job = send_job(&b, &words);
	assert_result(only(job), SMTP_PERMANENT, 0, "5.6.7", "");
	assert_null(strstr(buf_cstr(&b.w.hosts[0].talk), "MAIL"));
	bench_close(&b);
}

// ---- bodies
static void test_body_from_file(void **state)
{
	struct bench b;
	struct job_words words = {.recipients = {"kim@example.org"}, .headers = "X: y\r\n"};
	struct buf content = BUF_INIT, wire = BUF_INIT;
	(void)state;
	while (buf_len(&content) < 3000000) {
		buf_add_text(&content, ".a line that begins with a dot and goes on for a while\r\n");
		buf_add_text(&wire, "..a line that begins with a dot and goes on for a while\r\n");
	}
	words.fd = memfd_create("spool", MFD_CLOEXEC);
	words.size = buf_len(&content);
	assert_int_equal(fd_write_all(words.fd, content.data, buf_len(&content)), 0);
	bench_open(&b, 1);
	bench_start(&b);
	const struct deliver_job *job = send_job(&b, &words);
	assert_result(only(job), SMTP_DELIVERED, 250, "2.0.0", "taken");
	struct str got = buf_str(&b.w.hosts[0].body);
	assert_int_equal(got.len, 6 + buf_len(&wire) + 3);
	assert_memory_equal(got.data + 6, wire.data, buf_len(&wire));
	bench_close(&b);
	buf_finish(&content);
	buf_finish(&wire);
}

static void test_edits_are_applied(void **state)
{
	struct bench b;
	struct job_words words = SIMPLE;
	struct buf edits = BUF_INIT;
	(void)state;
	assert_int_equal(edit_add(&edits, &(struct edit){.offset = 9, .remove = 2, .insert = STR("ho")}), 0);
	words.edits = buf_str(&edits);
	bench_open(&b, 1);
	bench_start(&b);
	send_job(&b, &words);
	assert_non_null(strstr(buf_cstr(&b.w.hosts[0].body), "Subject: ho\r\n"));
	bench_close(&b);
	buf_finish(&edits);
}

// What cannot be sent is never ended with a dot: the host must not take half of it.
static void test_unsendable_bodies(void **state)
{
	struct bench b;
	struct job_words words = SIMPLE;
	struct job_words lost = {.recipients = {"kim@example.org"}, .headers = "X: y\r\n", .size = 5000};
	struct job_words damaged = SIMPLE;
	(void)state;
	words.body = STR("Subject: hi\r\n\r\nbare\nline\r\n");
	lost.fd = memfd_create("spool", MFD_CLOEXEC);
	damaged.edits = STR("rubbish");
	bench_open(&b, 2);
	bench_start(&b);
	assert_result(only(send_job(&b, &words)), SMTP_PERMANENT, 554, "5.6.0", "bare CR or LF");
	assert_result(only(send_job(&b, &lost)), SMTP_TEMPORARY, 451, "4.3.0", "cannot be read");
	assert_result(only(send_job(&b, &damaged)), SMTP_TEMPORARY, 451, "4.3.0", "damaged");
	WORLD_UNTIL(&b.w, b.w.hosts[0].open == 0);
	assert_int_equal(b.w.hosts[0].messages, 0);
	assert_int_equal(b.w.hosts[1].connections, 0);
	bench_close(&b);
}

// ---- other hosts
static void test_next_host(void **state)
{
	static const struct {
		const char *command, *answer;
	} cases[] = {
		{"banner", "421 4.3.2 going down"},
		{"banner", "554 5.3.2 no mail here"},
		{"banner", CLOSE},
		{"EHLO", "451 4.3.0 not now"},
		{"EHLO", CLOSE},
		{"MAIL", "451 4.3.0 overloaded"},
		{"MAIL", "421 4.3.2 going down"},
		{"RCPT", CLOSE},
		{"DATA", CLOSE},
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct bench b;
		struct job_words words = SIMPLE;
		bench_open(&b, 2);
		bench_start(&b);
		b.w.hosts[0].sayings[0] = (struct saying){cases[i].command, cases[i].answer, 0};
		const struct deliver_job *job = send_job(&b, &words);
		assert_result(only(job), SMTP_DELIVERED, 250, "2.0.0", "taken");
		assert_string_equal(job->remote, "mx2.example.org [127.0.0.2]");
		assert_int_equal(b.w.hosts[0].messages, 0);
		assert_int_equal(b.w.hosts[1].messages, 1);
		assert_int_equal(job->blame, 0);
		bench_close(&b);
	}
}

static void test_no_host_is_left(void **state)
{
	static const struct {
		const char *command, *answer;
		enum smtp_outcome outcome;
		unsigned code;
		const char *enhanced, *words;
		unsigned blame;
	} cases[] = {
		{"banner", "421 4.3.2 going down", SMTP_TEMPORARY, 421, "4.3.2", "going down", 1},
		{"banner", "554 5.3.2 no mail here", SMTP_PERMANENT, 554, "5.3.2", "no mail here", 1},
		{"MAIL", "451 4.3.0 overloaded", SMTP_TEMPORARY, 451, "4.3.0", "overloaded", 0},
		{"MAIL", "550 5.7.1 not from you", SMTP_PERMANENT, 550, "5.7.1", "not from you", 0},
		{"RCPT", "550 5.1.1 who", SMTP_PERMANENT, 550, "5.1.1", "who", 0},
		{"DATA", CLOSE, SMTP_TEMPORARY, 0, "4.4.2", "closed", 1},
		{".", "554 5.7.1 spam", SMTP_PERMANENT, 554, "5.7.1", "spam", 0},
		{".", "452 4.3.1 full", SMTP_TEMPORARY, 452, "4.3.1", "full", 0},
		{".", CLOSE, SMTP_TEMPORARY, 0, "4.4.2", "closed", 1},
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct bench b;
		struct job_words words = SIMPLE;
		words.destination = "one.example";
		bench_open(&b, 1);
		bench_start(&b);
		b.w.hosts[0].sayings[0] = (struct saying){cases[i].command, cases[i].answer, 0};
		const struct deliver_job *job = send_job(&b, &words);
		assert_result(only(job), cases[i].outcome, cases[i].code, cases[i].enhanced, cases[i].words);
		assert_string_equal(job->remote, "mx1.example.org [127.0.0.1]");
		if (job->blame != cases[i].blame)
			fail_msg("%s %s: blame %u", cases[i].command, cases[i].answer, job->blame);
		assert_int_equal(b.w.hosts[0].connections, 1);
		bench_close(&b);
	}
}

// One host refuses for good, another one cannot be asked now: there is hope.
static void test_temporary_outweighs_permanent(void **state)
{
	struct bench b;
	struct job_words words = SIMPLE;
	(void)state;
	bench_open(&b, 2);
	bench_start(&b);
	b.w.hosts[0].sayings[0] = (struct saying){"banner", "554 5.3.2 no mail here", 0};
	b.w.hosts[1].sayings[0] = (struct saying){"banner", CLOSE, 0};
	const struct deliver_job *job = send_job(&b, &words);
	assert_result(only(job), SMTP_TEMPORARY, 0, "4.4.2", "closed");
	assert_string_equal(job->remote, "mx2.example.org [127.0.0.2]");
	bench_close(&b);
}

// What one host said of a recipient for good is not asked of the next one.
static void test_next_host_gets_the_open_recipients(void **state)
{
	struct bench b;
	struct job_words words = SIMPLE;
	(void)state;
	words.recipients[1] = "lee@example.org";
	bench_open(&b, 2);
	bench_start(&b);
	b.w.hosts[0].ehlo = "250 ENHANCEDSTATUSCODES\r\n"; // one by one
	b.w.hosts[0].sayings[0] = (struct saying){"RCPT TO:<kim", "550 5.1.1 who is that", 0};
	b.w.hosts[0].sayings[1] = (struct saying){"RCPT TO:<lee", CLOSE, 0};
	const struct deliver_job *job = send_job(&b, &words);
	assert_result(&job->recipients[0].result, SMTP_PERMANENT, 550, "5.1.1", "who is that");
	assert_result(&job->recipients[1].result, SMTP_DELIVERED, 250, "2.0.0", "taken");
	assert_null(strstr(buf_cstr(&b.w.hosts[1].talk), "kim"));
	bench_close(&b);
}

static void test_dead_hosts_are_remembered(void **state)
{
	struct bench b;
	struct job_words words = SIMPLE;
	(void)state;
	bench_open(&b, 2);
	bench_start(&b);
	b.pace.messages = 1; // every message has its own connection
	b.w.hosts[0].sayings[0] = (struct saying){"banner", "421 4.3.2 going down", 0};
	for (unsigned i = 0; i < 5; i++)
		assert_result(only(send_job(&b, &words)), SMTP_DELIVERED, 250, "2.0.0", "taken");
	assert_int_equal(b.w.hosts[0].connections, 1);
	assert_int_equal(b.w.hosts[1].connections, 5);
	bench_close(&b);
}

static void test_refused_connection(void **state)
{
	struct bench b;
	struct job_words words = SIMPLE;
	(void)state;
	words.destination = "unreachable.example";
	bench_open(&b, 1);
	bench_start(&b);
	const struct deliver_job *job = send_job(&b, &words);
	assert_result(only(job), SMTP_TEMPORARY, 0, "4.4.1", "cannot connect: Connection refused");
	assert_string_equal(job->remote, "unreachable.example [127.0.0.6]");
	assert_int_equal(job->blame, 1);
	assert_int_equal(remote_connections(b.remote), 0);
	bench_close(&b);
}

// A listener whose queue is full answers no more: as behind a firewall that drops.
static int full_listener(uint16_t port, int fillers[4])
{
	struct sockaddr_storage to;
	struct ipaddr address = {.family = 4, .octets = {127, 0, 0, 6}};
	socklen_t len = ipaddr_to_sockaddr(&address, port, &to);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&to, len), 0);
	assert_int_equal(listen(fd, 0), 0);
	for (unsigned i = 0; i < 4; i++) {
		fillers[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
		(void)connect(fillers[i], (struct sockaddr *)&to, len);
	}
	return fd;
}

// Nobody is blamed when the way to port 25 seems closed.
static void test_no_way(void **state)
{
	struct bench b;
	struct job_words words = SIMPLE;
	int fillers[4];
	(void)state;
	words.destination = "unreachable.example";
	bench_open(&b, 1);
	b.connect_ms = 300;
	bench_start(&b);
	int fd = full_listener(b.w.port, fillers);
	const struct deliver_job *job = send_job(&b, &words);
	assert_result(only(job), SMTP_TEMPORARY, 0, "4.4.1", "cannot connect: no answer");
	assert_int_equal(job->blame, 2);
	for (unsigned i = 0; i < 4; i++)
		fd_close(&fillers[i]);
	fd_close(&fd);
	bench_close(&b);
}

static void test_no_dns(void **state)
{
	static const struct zone_row dead[] = {{"example.org", DNS_MX, NULL, DNS_FAILED}, {0}};
	struct bench b;
	struct job_words words = SIMPLE, null = SIMPLE;
	(void)state;
	null.destination = "null.example";
	bench_open(&b, 1);
	bench_start(&b);
	assert_result(only(send_job(&b, &null)), SMTP_PERMANENT, 556, "5.1.10", "null MX");
	b.w.zone = dead;
	const struct deliver_job *job = send_job(&b, &words);
	assert_result(only(job), SMTP_TEMPORARY, 451, "4.4.3", "no answer");
	assert_int_equal(job->blame, 2);
	bench_close(&b);
}

static void test_ourselves(void **state)
{
	static const struct zone_row rows[] = {
		{"example.org", DNS_MX, "10 mail.pabal.example", 0},
		{"mail.pabal.example", DNS_A, "127.0.0.1", 0}, {0}};
	struct bench b;
	struct job_words words = SIMPLE;
	(void)state;
	bench_open(&b, 1);
	bench_start(&b);
	b.w.zone = rows;
	assert_result(only(send_job(&b, &words)), SMTP_PERMANENT, 554, "5.4.6", "is not in `domains`");
	assert_int_equal(b.w.hosts[0].connections, 0);
	bench_close(&b);
}

static void test_domain_literal(void **state)
{
	struct bench b;
	struct job_words words = SIMPLE;
	(void)state;
	words.destination = "[127.0.0.2]";
	words.recipients[0] = "kim@[127.0.0.2]";
	bench_open(&b, 2);
	bench_start(&b);
	const struct deliver_job *job = send_job(&b, &words);
	assert_result(only(job), SMTP_DELIVERED, 250, "2.0.0", "taken");
	assert_int_equal(b.w.questions, 0);
	assert_int_equal(b.w.hosts[1].messages, 1);
	bench_close(&b);
}

// ---- kept connections
static void test_reuses_connections(void **state)
{
	struct bench b;
	struct job_words words = SIMPLE;
	(void)state;
	bench_open(&b, 1);
	b.pace.messages = 5;
	bench_start(&b);
	for (unsigned i = 0; i < 12; i++)
		assert_result(only(send_job(&b, &words)), SMTP_DELIVERED, 250, "2.0.0", "taken");
	assert_int_equal(b.w.hosts[0].messages, 12);
	assert_int_equal(b.w.hosts[0].connections, 3);
	WORLD_UNTIL(&b.w, b.w.hosts[0].quits == 2);
	assert_int_equal(b.w.questions, 1 + 4); // asked once: MX, and addresses of two hosts
	bench_close(&b);
}

static void test_jobs_at_once_share_a_lookup(void **state)
{
	struct bench b;
	struct job_words words = SIMPLE;
	(void)state;
	bench_open(&b, 1);
	bench_start(&b);
	for (unsigned i = 0; i < 6; i++)
		deliver(&b, &words);
	WORLD_UNTIL(&b.w, b.done_count == 6);
	assert_int_equal(b.w.questions, 1 + 4);
	assert_int_equal(b.w.hosts[0].messages, 6);
	WORLD_UNTIL(&b.w, b.w.hosts[0].quits == 2); // four are kept (`connections` of the destination)
	assert_int_equal(remote_connections(b.remote), 4);
	bench_close(&b);
}

// The host may close a connection that is kept at any moment: that is no failure of a mail.
static void test_kept_connection_that_died(void **state)
{
	static const struct {
		const char *command, *answer;
	} cases[] = {{"MAIL", CLOSE}, {"MAIL", "421 4.4.2 idle for too long"}};
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct bench b;
		struct job_words words = SIMPLE;
		words.destination = "one.example";
		bench_open(&b, 1);
		bench_start(&b);
		send_job(&b, &words);
		b.w.hosts[0].sayings[0] = (struct saying){cases[i].command, cases[i].answer, 1};
		const struct deliver_job *job = send_job(&b, &words);
		assert_result(only(job), SMTP_DELIVERED, 250, "2.0.0", "taken");
		assert_int_equal(b.w.hosts[0].connections, 2);
		assert_int_equal(b.w.hosts[0].messages, 2);
		bench_close(&b);
	}
}

static void test_kept_connection_closed_by_the_host(void **state)
{
	struct bench b;
	struct job_words words = SIMPLE;
	(void)state;
	bench_open(&b, 1);
	bench_start(&b);
	send_job(&b, &words);
	struct visit *v = LIST_ENTRY(b.w.visits.next, struct visit, link);
	stream_close_after_send(v->s);
	visit_end(v);
	WORLD_UNTIL(&b.w, remote_connections(b.remote) == 0);
	assert_result(only(send_job(&b, &words)), SMTP_DELIVERED, 250, "2.0.0", "taken");
	assert_int_equal(b.w.hosts[0].connections, 2);
	bench_close(&b);
}

// A host that says "later" over a kept connection is not asked once more at once.
static void test_temporary_over_kept_connection(void **state)
{
	struct bench b;
	struct job_words words = SIMPLE;
	(void)state;
	words.destination = "one.example";
	bench_open(&b, 1);
	bench_start(&b);
	send_job(&b, &words);
	b.w.hosts[0].sayings[0] = (struct saying){"MAIL", "451 4.7.1 grey", 0};
	const struct deliver_job *job = send_job(&b, &words);
	assert_result(only(job), SMTP_TEMPORARY, 451, "4.7.1", "grey");
	assert_int_equal(b.w.hosts[0].connections, 1);
	assert_string_equal(job->remote, "mx1.example.org [127.0.0.1]");
	bench_close(&b);
}

static void test_new_configuration_closes_kept_connections(void **state)
{
	struct bench b;
	struct job_words words = SIMPLE;
	struct config other;
	(void)state;
	bench_open(&b, 1);
	bench_start(&b);
	send_job(&b, &words);
	other = b.config;
	other.hostname = STR("new.pabal.example");
	remote_set_config(b.remote, &other);
	assert_int_equal(remote_connections(b.remote), 0);
	send_job(&b, &words);
	assert_non_null(strstr(buf_cstr(&b.w.hosts[0].talk), "EHLO new.pabal.example"));
	bench_close(&b);
}

// ---- TLS
static const char with_tls[] = "250-PIPELINING\r\n250-AUTH PLAIN LOGIN\r\n250 STARTTLS\r\n";

static void test_tls_when_offered(void **state)
{
	struct bench b;
	struct job_words words = SIMPLE;
	(void)state;
	bench_open(&b, 1);
	bench_start(&b);
	b.w.hosts[0].ehlo = with_tls;
	const struct deliver_job *job = send_job(&b, &words); // nobody knows the certificate
	assert_result(only(job), SMTP_DELIVERED, 250, "2.0.0", "taken");
	assert_string_equal(job->tls, "TLSv1.3 TLS_AES_256_GCM_SHA384");
	assert_string_equal(buf_cstr(&b.w.hosts[0].talk), "EHLO mail.pabal.example|STARTTLS|"
		"EHLO mail.pabal.example|MAIL FROM:<from@sender.example>|RCPT TO:<kim@example.org>|DATA|");
	bench_close(&b);
}

static void test_tls_failure_then_plain(void **state)
{
	struct bench b;
	struct job_words words = SIMPLE;
	(void)state;
	bench_open(&b, 2);
	bench_start(&b);
	b.w.hosts[0].ehlo = with_tls;
	b.w.hosts[0].tls_broken = true;
	const struct deliver_job *job = send_job(&b, &words);
	assert_result(only(job), SMTP_DELIVERED, 250, "2.0.0", "taken");
	assert_string_equal(job->tls, "");
	assert_string_equal(job->remote, "mx1.example.org [127.0.0.1]");
	assert_int_equal(b.w.hosts[0].connections, 2);
	assert_int_equal(b.w.hosts[1].connections, 0);
	bench_close(&b);
}

static void route(struct bench *b, struct config_route r)
{
	b->routes[b->config.route_count++] = r;
}

static void use_authority(struct bench *b)
{
	b->config.tls.ca_file = (struct config_file){STR("/ca.pem"), buf_str(&certificate)};
}

static void test_required_tls(void **state)
{
	static const struct {
		const char *host;  // the certificate is for host.example
		bool trusted, offered, implicit;
		const char *enhanced, *words; // NULL: delivered
	} cases[] = {
		{"host.example", true, true, false, NULL, NULL},
		{"host.example", true, true, true, NULL, NULL},
		{"host.example", true, false, false, "4.7.4", "does not offer STARTTLS"},
		{"host.example", false, true, false, "4.7.5", "TLS handshake failed"},
		{"host.example", false, true, true, "4.7.5", "TLS handshake failed"},
		{"mx1.example.org", true, true, false, "4.7.5", "TLS handshake failed"},
		{"[127.0.0.1]", true, true, false, "4.7.5", "TLS handshake failed"},
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct bench b;
		struct job_words words = SIMPLE;
		words.destination = "*";
		words.route = 1;
		bench_open(&b, 1);
		if (cases[i].trusted)
			use_authority(&b);
		b.w.hosts[0].ehlo = cases[i].offered ? with_tls : NULL;
		b.w.hosts[0].tls_first = cases[i].implicit;
		route(&b, (struct config_route){.pattern = STR("*"), .kind = CONFIG_ROUTE_SMTP,
			.host = str_from(cases[i].host), .port = b.w.port,
			.tls = cases[i].implicit ? CONFIG_ROUTE_TLS_IMPLICIT : CONFIG_ROUTE_TLS_REQUIRED});
		bench_start(&b);
		const struct deliver_job *job = send_job(&b, &words);
		if (cases[i].enhanced) {
			assert_result(only(job), SMTP_TEMPORARY, 0, cases[i].enhanced, cases[i].words);
			assert_int_equal(job->blame, 1);
			assert_int_equal(b.w.hosts[0].messages, 0);
			assert_int_equal(b.w.hosts[0].connections, 1);
		} else {
			assert_result(only(job), SMTP_DELIVERED, 250, "2.0.0", "taken");
		}
		bench_close(&b);
	}
}

// ---- routes
static void test_smart_host_with_password(void **state)
{
	struct bench b;
	struct job_words words = SIMPLE;
	(void)state;
	words.destination = "*";
	words.route = 1;
	bench_open(&b, 3);
	use_authority(&b);
	b.w.hosts[0].ehlo = with_tls;
	route(&b, (struct config_route){.pattern = STR("*"), .kind = CONFIG_ROUTE_SMTP,
		.host = STR("host.example"), .port = b.w.port, .tls = CONFIG_ROUTE_TLS_REQUIRED,
		.user = STR("me"), .password_file = {STR("/secret"), STR("pass\r\nnot this\n")},
		.helo = STR("out.pabal.example"), .source = {.family = 4, .octets = {127, 0, 0, 5}}});
	bench_start(&b);
	assert_result(only(send_job(&b, &words)), SMTP_DELIVERED, 250, "2.0.0", "taken");
	const char *talk = buf_cstr(&b.w.hosts[0].talk);
	assert_non_null(strstr(talk, "EHLO out.pabal.example|AUTH PLAIN AG1lAHBhc3M=|MAIL"));
	struct visit *v = LIST_ENTRY(b.w.visits.next, struct visit, link);
	struct ipaddr from;
	uint16_t port;
	stream_get_peer(v->s, &from, &port);
	assert_int_equal(from.octets[3], 5);
	assert_string_equal(buf_cstr(&b.w.asked), "host.example/1+hosts host.example/28+hosts ");
	bench_close(&b);
}

static void test_password_is_not_sent_in_plain(void **state)
{
	struct bench b;
	struct job_words words = SIMPLE;
	(void)state;
	words.destination = "*";
	words.route = 1;
	bench_open(&b, 1);
	b.w.hosts[0].ehlo = "250 AUTH PLAIN\r\n";
	route(&b, (struct config_route){.pattern = STR("*"), .kind = CONFIG_ROUTE_SMTP,
		.host = STR("[127.0.0.1]"), .port = b.w.port, .user = STR("me"),
		.password_file = {STR("/secret"), STR("pass")}});
	bench_start(&b);
	assert_result(only(send_job(&b, &words)), SMTP_TEMPORARY, 0, "4.7.11", "without TLS");
	assert_null(strstr(buf_cstr(&b.w.hosts[0].talk), "AUTH"));
	bench_close(&b);
}

static void test_wrong_password_keeps_the_mail(void **state)
{
	struct bench b;
	struct job_words words = SIMPLE;
	(void)state;
	words.destination = "*";
	words.route = 1;
	bench_open(&b, 1);
	use_authority(&b);
	b.w.hosts[0].ehlo = with_tls;
	b.w.hosts[0].sayings[0] = (struct saying){"AUTH", "535 5.7.8 wrong", 0};
	route(&b, (struct config_route){.pattern = STR("*"), .kind = CONFIG_ROUTE_SMTP,
		.host = STR("host.example"), .port = b.w.port, .tls = CONFIG_ROUTE_TLS_REQUIRED,
		.user = STR("me"), .password_file = {STR("/secret"), STR("pass")}});
	bench_start(&b);
	const struct deliver_job *job = send_job(&b, &words);
	assert_result(only(job), SMTP_TEMPORARY, 535, "4.7.8", "wrong");
	assert_int_equal(job->blame, 1);
	bench_close(&b);
}

static void test_route_that_is_gone(void **state)
{
	struct bench b;
	struct job_words words = SIMPLE;
	(void)state;
	words.destination = "old.example";
	words.route = 2;
	bench_open(&b, 1);
	route(&b, (struct config_route){.pattern = STR("*"), .kind = CONFIG_ROUTE_SMTP,
		.host = STR("[127.0.0.1]"), .port = b.w.port});
	bench_start(&b);
	assert_result(only(send_job(&b, &words)), SMTP_TEMPORARY, 451, "4.3.5", "no more");
	// The same pattern at another place of the table is the same route.
	words.destination = "*";
	assert_result(only(send_job(&b, &words)), SMTP_DELIVERED, 250, "2.0.0", "taken");
	bench_close(&b);
}

// ---- LMTP
static void lmtp_route(struct bench *b)
{
	route(b, (struct config_route){.pattern = STR("other.example"), .kind = CONFIG_ROUTE_SMTP,
		.host = STR("[127.0.0.6]"), .port = 1});
	route(b, (struct config_route){.pattern = STR("example.org"), .kind = CONFIG_ROUTE_LMTP_SOCKET,
		.host = STR("/run/lmtp"), .tls = CONFIG_ROUTE_TLS_NEVER});
	b->w.hosts[0].lmtp = true;
	b->w.hosts[0].w = &b->w;
}

static void test_lmtp_over_a_socket(void **state)
{
	struct bench b;
	struct job_words words = SIMPLE;
	int pair[2], again[2];
	(void)state;
	words.route = 2;
	words.recipients[1] = "lee@example.org";
	words.recipients[2] = "park@example.org";
	bench_open(&b, 1);
	lmtp_route(&b);
	bench_start(&b);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	host_accepted(&b.w.hosts[0], pair[1], NULL, 0);
	b.socket_fd = pair[0];
	b.w.hosts[0].sayings[0] = (struct saying){"RCPT TO:<lee", "550 5.1.1 who", 1};
	b.w.hosts[0].sayings[1] = (struct saying){".", "250 2.0.0 first", 1};
	b.w.hosts[0].sayings[2] = (struct saying){".", "452 4.2.2 over quota", 1};
	const struct deliver_job *job = send_job(&b, &words);
	assert_result(&job->recipients[0].result, SMTP_DELIVERED, 250, "2.0.0", "first");
	assert_result(&job->recipients[1].result, SMTP_PERMANENT, 550, "5.1.1", "who");
	assert_result(&job->recipients[2].result, SMTP_TEMPORARY, 452, "4.2.2", "over quota");
	assert_string_equal(job->remote, "/run/lmtp");
	assert_int_equal(b.socket_route, 1); // index, as master knows it
	assert_non_null(strstr(buf_cstr(&b.w.hosts[0].talk), "LHLO mail.pabal.example|"));
	assert_int_equal(b.w.questions, 0);
	send_job(&b, &words); // over the same connection
	assert_int_equal(b.socket_asks, 1);
	// One that died meanwhile is asked for again.
	b.w.hosts[0].sayings[0] = (struct saying){"MAIL", CLOSE, 1};
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, again), 0);
	host_accepted(&b.w.hosts[0], again[1], NULL, 0);
	b.socket_fd = again[0];
	job = send_job(&b, &words);
	assert_result(&job->recipients[0].result, SMTP_DELIVERED, 250, "2.0.0", "taken");
	assert_int_equal(b.socket_asks, 2);
	bench_close(&b);
}

static void test_lmtp_socket_that_nobody_serves(void **state)
{
	struct bench b;
	struct job_words words = SIMPLE;
	int pair[2];
	(void)state;
	words.route = 2;
	bench_open(&b, 0);
	lmtp_route(&b);
	bench_start(&b);
	b.socket_why = "No such file or directory";
	const struct deliver_job *job = send_job(&b, &words);
	assert_result(only(job), SMTP_TEMPORARY, 0, "4.4.1", "cannot connect: No such file");
	assert_string_equal(job->remote, "/run/lmtp");
	assert_int_equal(job->blame, 1);
	// An answer that nobody waits for is closed.
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	remote_connected(b.remote, 12345, pair[0], NULL);
	char octet;
	assert_int_equal(read(pair[1], &octet, 1), 0);
	close(pair[1]);
	bench_close(&b);
}

// ---- the end
static void test_destroy_ends_open_jobs(void **state)
{
	struct bench b;
	struct job_words words = SIMPLE, waiting = SIMPLE, socket = SIMPLE;
	(void)state;
	waiting.destination = "waiting.example";
	socket.route = 2;
	bench_open(&b, 2);
	lmtp_route(&b);
	bench_start(&b);
	b.w.hosts[0].sayings[0] = (struct saying){"DATA", SILENT, 0};
	deliver(&b, &words);
	WORLD_UNTIL(&b.w, buf_len(&b.w.hosts[0].talk) && strstr(buf_cstr(&b.w.hosts[0].talk), "DATA"));
	b.w.dns_dead = true;
	deliver(&b, &waiting);
	deliver(&b, &waiting);
	deliver(&b, &socket);
	remote_destroy(b.remote);
	b.remote = NULL;
	assert_int_equal(b.done_count, 4);
	for (unsigned i = 0; i < 4; i++)
		assert_result(only(b.done[i]), SMTP_TEMPORARY, 451, "4.3.2", "stopped");
	bench_close(&b);
}

// ---- speed: many messages over kept connections cost no connection each
static void test_many(void **state)
{
	struct bench b;
	struct job_words words = SIMPLE;
	(void)state;
	bench_open(&b, 1);
	b.pace.messages = 1000000;
	bench_start(&b);
	for (unsigned round = 0; round < 500; round++) {
		for (unsigned i = 0; i < 4; i++)
			deliver(&b, &words);
		WORLD_UNTIL(&b.w, b.done_count == 4);
		while (b.done_count)
			deliver_job_destroy(b.done[--b.done_count]);
	}
	assert_int_equal(b.w.hosts[0].messages, 2000);
	assert_int_equal(b.w.hosts[0].connections, 4);
	bench_close(&b);
}

static int make_certificate(void **state)
{
	struct error err;
	struct config_certificate own = {0};
	struct config_tls tls = {.certificates = &own, .certificate_count = 1, .min = CONFIG_TLS_1_2};
	struct tls_tickets tickets = {0};
	(void)state;
	if (tls_make_self_signed(STR("host.example"), 10, &certificate, &key, &err))
		return -1;
	buf_cstr(&certificate);
	buf_cstr(&key);
	own.certificate = (struct config_file){STR("/cert.pem"), buf_str(&certificate)};
	own.key = (struct config_file){STR("/key.pem"), buf_str(&key)};
	return tls_server_create(&tls, STR("test"), &tickets, &tls_server, &err);
}

static int drop_certificate(void **state)
{
	(void)state;
	tls_server_destroy(tls_server);
	buf_finish(&certificate);
	buf_finish(&key);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_delivers),
		cmocka_unit_test(test_says_quit_when_idle),
		cmocka_unit_test(test_dsn_is_passed_on),
		cmocka_unit_test(test_each_recipient_has_its_result),
		cmocka_unit_test(test_smtputf8_needs_the_extension),
		cmocka_unit_test(test_body_from_file),
		cmocka_unit_test(test_edits_are_applied),
		cmocka_unit_test(test_unsendable_bodies),
		cmocka_unit_test(test_next_host),
		cmocka_unit_test(test_no_host_is_left),
		cmocka_unit_test(test_temporary_outweighs_permanent),
		cmocka_unit_test(test_next_host_gets_the_open_recipients),
		cmocka_unit_test(test_dead_hosts_are_remembered),
		cmocka_unit_test(test_refused_connection),
		cmocka_unit_test(test_no_way),
		cmocka_unit_test(test_no_dns),
		cmocka_unit_test(test_ourselves),
		cmocka_unit_test(test_domain_literal),
		cmocka_unit_test(test_reuses_connections),
		cmocka_unit_test(test_jobs_at_once_share_a_lookup),
		cmocka_unit_test(test_kept_connection_that_died),
		cmocka_unit_test(test_kept_connection_closed_by_the_host),
		cmocka_unit_test(test_temporary_over_kept_connection),
		cmocka_unit_test(test_new_configuration_closes_kept_connections),
		cmocka_unit_test(test_tls_when_offered),
		cmocka_unit_test(test_tls_failure_then_plain),
		cmocka_unit_test(test_required_tls),
		cmocka_unit_test(test_smart_host_with_password),
		cmocka_unit_test(test_password_is_not_sent_in_plain),
		cmocka_unit_test(test_wrong_password_keeps_the_mail),
		cmocka_unit_test(test_route_that_is_gone),
		cmocka_unit_test(test_lmtp_over_a_socket),
		cmocka_unit_test(test_lmtp_socket_that_nobody_serves),
		cmocka_unit_test(test_destroy_ends_open_jobs),
		cmocka_unit_test(test_many),
	};
	return cmocka_run_group_tests(tests, make_certificate, drop_certificate);
}
