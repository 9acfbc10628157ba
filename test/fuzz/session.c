// SPDX-License-Identifier: ISC
// A whole server session: pipelining, BDAT, STARTTLS, AUTH, with octets in pieces and answers of
// the host early, late and unkind. Input: server and troubles, seed of the pieces, then what
// the client sends. Whatever it sends: replies are well formed, nothing leaves the house without
// the right, and how the octets were cut makes no difference.
#include "fuzz.h"

#include "../unit/session/host.h"
#include "smtp/address.h"

enum { LATER = 4, UNKIND = 8, RELAY = 16, CLIENT_ENDS = 32, REHEARSAL = 64 };

static uint32_t state;

static uint32_t roll(uint32_t below)
{
	state = state * 1664525 + 1013904223;
	return (state >> 8) % below;
}

static void check_replies(const struct host *h)
{
	struct str rest = buf_str(&h->said), line;

	CHECK(!has_bare_line_end(rest));
	while (str_split(&rest, '\n', &line)) {
		if (!line.len && !rest.len)
			break;
		CHECK(line.len >= 4 && line.len <= 512);
		CHECK(line.data[0] >= '2' && line.data[0] <= '5' && line.data[0] != '\0');
		CHECK(line.data[3] == ' ' || line.data[3] == '-');
		CHECK(line.data[line.len - 1] == '\r');
		CHECK(!has_control(str_slice(line, 0, line.len - 1)));
	}
}

static bool is_ours(struct str address)
{
	struct smtp_address a;

	if (str_equal(address, STR("postmaster")))
		return true;
	CHECK(smtp_address_parse(address, &a) == 0);
	if (a.literal)
		return !strcmp(a.local, "postmaster") || str_equal_nocase(str_from(a.local), STR("postmaster"));
	return !strcmp(a.domain, "example.org");
}

static void check_message(const struct host *h, const struct host_message *m, int server)
{
	struct str rest = buf_str(&m->recipients), one;
	struct str body = buf_str(&m->body);
	bool right = h->may_relay && buf_len(&m->account);

	CHECK(rest.len && buf_len(&m->headers));
	CHECK(!body.len || str_ends_nocase(body, STR("\r\n")));
	CHECK(!has_bare_line_end(body) && !memchr(body.len ? body.data : "x", 0, body.len));
	CHECK(!has_bare_line_end(buf_str(&m->headers)));
	CHECK(server != SERVER_SUBMISSION || buf_len(&m->account));
	CHECK(server == SERVER_SUBMISSION || server == SERVER_OFFERING || !buf_len(&m->account));
	while (!right && str_split(&rest, '\n', &one))
		CHECK(is_ours(one));
}

static void be_unkind(struct host *h)
{
	static const int errors[] = {0, 0, 0, ERR_FULL, ERR_UNAVAILABLE};

	h->spool_error = errors[roll(5)];
	h->sync_error = errors[roll(5)];
	h->submit_error = errors[roll(5)];
	h->no_facts = !roll(20);
	h->auth_down = !roll(10);
	h->no_mechanisms = !roll(10);
	h->store_full = !roll(20);
	h->account_state = (enum policy_account)roll(4);
}

static void end_early(struct host *h)
{
	switch (roll(40)) {
	case 0:
		session_timed_out(h->session);
		break;
	case 1:
		session_shut_down(h->session);
		break;
	case 2:
		session_reconfigure(h->session, &host_config, h->facts.server ? h->facts.server :
			&host_servers[SERVER_MX]);
		break;
	}
}

// What is said behind each reply may be long; what counts is that it is looked at.
static void look(void *arg, const struct session_seen *seen)
{
	CHECK(seen->step && seen->rule && seen->rule_text);
	CHECK(seen->kind != POLICY_NEED && (seen->reply->code < 200 || seen->reply->code >= 400) == (seen->kind == POLICY_DEFER ||
		seen->kind == POLICY_REFUSE || seen->kind == POLICY_DROP));
}

static void run(struct host *h, int server, unsigned flags, struct str octets, size_t piece)
{
	static const struct session_rehearsal rehearsals[] = {{.seen = look},
		{.tls = true, .account = LIT("kim@example.org"), .seen = look}};

	h->rehearsal = flags & REHEARSAL ? &rehearsals[!!(flags & RELAY)] : NULL;
	h->connections = 1;
	h->separator = '\n';
	h->may_relay = flags & RELAY;
	h->later = flags & LATER;
	if (!(flags & UNKIND))
		h->account_state = POLICY_ACCOUNT_ENABLED;
	host_connect(h, server);
	session_begin(h->session, false);
	while (octets.len && !h->closed) {
		size_t n = piece ? piece : 1 + roll(roll(4) ? 40 : 30000);

		if (flags & UNKIND) {
			be_unkind(h);
			h->freeze_at = roll(3) ? 0 : h->asks + 1;
		}
		if (flags & CLIENT_ENDS)
			end_early(h);
		host_send(h, str_slice(octets, 0, n));
		octets = str_skip(octets, n);
	}
	h->freeze_at = 0;
	if (!h->closed)
		host_send(h, STR_EMPTY);
	while (host_answer(h) && !h->closed)
		host_send(h, STR_EMPTY);
}

static void check(struct host *h, int server)
{
	check_replies(h);
	if (h->rehearsal)
		CHECK(!h->count && !h->start_tls && !h->spool_opens && !h->exchange && !h->submission);
	for (unsigned i = 0; i < h->count && i < MESSAGES_MAX; i++)
		if (h->count <= MESSAGES_MAX)
			check_message(h, &h->messages[i], server);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct host first = {0}, second = {0};
	struct str octets;
	unsigned flags;
	int server;

	if (size < 2)
		return 0;
	host_init_limits();
	server = data[0] % SERVERS;
	flags = data[0];
	state = data[1];
	octets = exact_copy(str_make(data + 2, size - 2));
	run(&first, server, flags, octets, 0);
	check(&first, server);
	if (!(flags & (UNKIND | CLIENT_ENDS))) { // cut otherwise, answered otherwise: the same
		run(&second, server, flags ^ LATER, octets, 1);
		check(&second, server);
		if (!first.start_tls && !second.start_tls) { // octets behind STARTTLS depend on time
			CHECK(first.count == second.count);
			CHECK(str_equal(buf_str(&first.said), buf_str(&second.said)));
		}
		host_finish(&second);
	}
	host_finish(&first);
	free((char *)octets.data);
	return 0;
}
