// SPDX-License-Identifier: ISC
#include "net/dns.h"

#include "base/error.h"
#include "base/memory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

// ---- a resolver of our own at the other end of a channel
struct world {
	uv_loop_t loop;
	struct dns_client *client;
	struct ipc_channel *ours, *resolver;
	unsigned asked;
	uint64_t last_request;
	char last_name[256];
	bool silent;
	enum dns_status status;
};

struct asker {
	unsigned answers;
	struct dns_answer last;
	struct dns_client *client;
	bool ask_again;
	struct asker *cancel;
	struct dns_question *question;
};

static void answer(struct world *w, uint64_t request)
{
	struct ipc_resolved m = {
		.request = request, .status = (uint8_t)w->status, .secure = 1, .ttl = 60};
	struct ipc_record r = {.rdata = STR("\177\0\0\1")};
	struct buf list = BUF_INIT;

	ipc_list_add_record(&list, &r);
	m.records = buf_str(&list);
	assert_int_equal(ipc_send_resolved(w->resolver, &m), 0);
	buf_finish(&list);
}

static void resolver_frame(
	struct ipc_channel *ch, void *arg, unsigned type, struct str body, int fd)
{
	struct world *w = arg;
	struct ipc_resolve m;

	assert_int_equal(type, IPC_TYPE_resolve);
	assert_int_equal(ipc_decode_resolve(body, &m), 0);
	w->asked++;
	w->last_request = m.request;
	str_copy(m.name, w->last_name, sizeof(w->last_name));
	if (!w->silent)
		answer(w, m.request);
}

static void our_frame(struct ipc_channel *ch, void *arg, unsigned type, struct str body, int fd)
{
	struct world *w = arg;

	assert_int_equal(type, IPC_TYPE_resolved);
	dns_client_resolved(w->client, body);
}

static void channel_closed(struct ipc_channel *ch, void *arg)
{
}

static void start_resolver(struct world *w)
{
	int ends[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
	w->ours = ipc_channel_open(&w->loop, ends[0], our_frame, channel_closed, w);
	w->resolver = ipc_channel_open(&w->loop, ends[1], resolver_frame, channel_closed, w);
	dns_client_set_channel(w->client, w->ours);
}

static void stop_resolver(struct world *w)
{
	dns_client_set_channel(w->client, NULL);
	ipc_channel_close(w->ours);
	ipc_channel_close(w->resolver);
	w->ours = w->resolver = NULL;
}

static void open_world(struct world *w)
{
	memset(w, 0, sizeof(*w));
	assert_int_equal(uv_loop_init(&w->loop), 0);
	w->client = dns_client_create(&w->loop);
}

static void close_world(struct world *w)
{
	dns_client_destroy(w->client);
	ipc_channel_close(w->ours);
	ipc_channel_close(w->resolver);
	uv_run(&w->loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&w->loop), 0);
}

static void on_answer(void *arg, const struct dns_answer *a)
{
	struct asker *asker = arg;

	asker->answers++;
	asker->last = *a;
	asker->question = NULL;
	if (asker->cancel) {
		dns_cancel(asker->cancel->question);
		asker->cancel->question = NULL;
	}
	if (asker->ask_again) {
		asker->ask_again = false;
		asker->question = dns_ask(asker->client, "again.test", DNS_A, on_answer, asker);
	}
}

static void ask(struct world *w, struct asker *asker, const char *name)
{
	asker->client = w->client;
	asker->question = dns_ask(w->client, name, DNS_A, on_answer, asker);
	assert_int_equal(asker->answers, 0); // never before the call returns
}

static void run_until(struct world *w, const unsigned *value, unsigned wanted)
{
	while (*value < wanted)
		uv_run(&w->loop, UV_RUN_ONCE);
	assert_int_equal(*value, wanted);
}

static void questions_are_answered(void **state)
{
	static const enum dns_status all[] = {
		DNS_FOUND, DNS_NO_DATA, DNS_NO_NAME, DNS_FAILED, DNS_BOGUS};
	struct world w;

	open_world(&w);
	start_resolver(&w);
	for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
		struct asker asker = {0};
		w.status = all[i];
		ask(&w, &asker, "mail.example.kr");
		run_until(&w, &asker.answers, 1);
		assert_int_equal(asker.last.status, all[i]);
		assert_true(asker.last.secure);
		assert_int_equal(asker.last.records.len > 0, all[i] == DNS_FOUND);
		assert_string_equal(w.last_name, "mail.example.kr");
	}
	w.status = 77; // no such status: temporary
	struct asker odd = {0};
	ask(&w, &odd, "x.test");
	run_until(&w, &odd.answers, 1);
	assert_int_equal(odd.last.status, DNS_FAILED);
	close_world(&w);
}

static void questions_wait_for_a_resolver_and_survive_its_restart(void **state)
{
	struct asker asker = {0};
	struct world w;

	open_world(&w);
	w.silent = true;
	ask(&w, &asker, "mail.example.kr");
	start_resolver(&w);
	run_until(&w, &w.asked, 1);
	stop_resolver(&w);
	uv_run(&w.loop, UV_RUN_NOWAIT);
	w.silent = false;
	start_resolver(&w);
	run_until(&w, &asker.answers, 1);
	assert_int_equal(w.asked, 2);
	assert_int_equal(asker.last.status, DNS_FOUND);
	close_world(&w);
}

static void cancelled_questions_are_not_answered(void **state)
{
	struct asker asker = {0}, first = {.cancel = &asker}, late = {0};
	struct world w;

	open_world(&w);
	start_resolver(&w);
	ask(&w, &first, "first.test");
	ask(&w, &asker, "cancelled.test");
	run_until(&w, &first.answers, 1);
	ask(&w, &late, "late.test");
	run_until(&w, &late.answers, 1);
	assert_int_equal(asker.answers, 0);
	dns_cancel(NULL);
	close_world(&w);
}

static void answers_twice_or_for_nobody_are_dropped(void **state)
{
	struct asker asker = {0};
	struct world w;

	open_world(&w);
	start_resolver(&w);
	w.silent = true;
	ask(&w, &asker, "mail.example.kr");
	run_until(&w, &w.asked, 1);
	answer(&w, 999);
	answer(&w, w.last_request);
	answer(&w, w.last_request);
	run_until(&w, &asker.answers, 1);
	dns_client_resolved(w.client, STR("garbage"));
	close_world(&w);
	assert_int_equal(asker.answers, 1);
}

static void destroying_answers_what_is_open(void **state)
{
	struct asker asker = {.ask_again = true}, other = {0};
	struct world w;

	open_world(&w);
	ask(&w, &asker, "one.test");
	ask(&w, &other, "two.test");
	close_world(&w);
	assert_int_equal(asker.answers, 2); // the one asked in the callback too
	assert_int_equal(asker.last.status, DNS_FAILED);
	assert_int_equal(other.answers, 1);
}

// ---- records
static struct str list_of(struct buf *list, const struct str *rdata, size_t count)
{
	buf_clear(list);
	for (size_t i = 0; i < count; i++)
		assert_int_equal(
			ipc_list_add_record(list, &(struct ipc_record){.rdata = rdata[i]}), 0);
	return buf_str(list);
}

static void mail_exchangers_are_read(void **state)
{
	const struct str rdata[] = {
		STR("\0\012\4Mail\7example\2kr\0"),
		STR("\0\0\0"), // null MX
		STR("\0"),     // broken from here
		STR("\0\012"),
		STR("\0\012\4mai"),
		STR("\0\012\4mail"),
		STR("\0\012\4mail\0x"),
		STR("\0\012\4ma.l\0"),
		STR("\0\012\4ma\0l\0"),
		STR("\0\012\300\014"), // compressed
		STR("\1\2\1x\0"),
	};
	struct buf list = BUF_INIT;
	struct str records = list_of(&list, rdata, ARRAY_SIZE(rdata));
	struct dns_mx mx;

	assert_true(dns_next_mx(&records, &mx));
	assert_string_equal(mx.host, "mail.example.kr");
	assert_int_equal(mx.preference, 10);
	assert_true(dns_next_mx(&records, &mx));
	assert_string_equal(mx.host, "");
	assert_int_equal(mx.preference, 0);
	assert_true(dns_next_mx(&records, &mx));
	assert_string_equal(mx.host, "x");
	assert_int_equal(mx.preference, 258);
	assert_false(dns_next_mx(&records, &mx));
	buf_finish(&list);
}

static void addresses_are_read(void **state)
{
	const struct str rdata[] = {
		STR("\300\0\2\1"),
		STR("abc"),
		STR("\40\1\15\270\0\0\0\0\0\0\0\0\0\0\0\1"),
		STR("\0\0\0\0\0\0\0\0\0\0\377\377\300\0\2\2"),
	};
	static const char *const expected[] = {"192.0.2.1", "2001:db8::1", "192.0.2.2"};
	struct buf list = BUF_INIT;
	struct str records = list_of(&list, rdata, ARRAY_SIZE(rdata));
	char text[IPADDR_TEXT_MAX];
	struct ipaddr addr;

	for (size_t i = 0; i < ARRAY_SIZE(expected); i++) {
		assert_true(dns_next_address(&records, &addr));
		assert_string_equal(ipaddr_format(&addr, text), expected[i]);
	}
	assert_false(dns_next_address(&records, &addr));
	buf_finish(&list);
}

static void names_are_read_up_to_their_bound(void **state)
{
	char wire[300];
	struct str rdata[3];
	struct buf list = BUF_INIT;
	char name[256];

	for (unsigned i = 0; i < 4; i++) {
		wire[i * 64] = i < 3 ? 63 : 61;
		memset(wire + i * 64 + 1, 'A', 63);
	}
	wire[3 * 64 + 62] = 0;
	rdata[0] = str_make(wire, 3 * 64 + 63); // 255 octets, the longest
	char longer[300];
	memcpy(longer, wire, sizeof(wire));
	longer[3 * 64] = 62;
	longer[3 * 64 + 62] = 'A';
	longer[3 * 64 + 63] = 0;
	rdata[1] = str_make(longer, 3 * 64 + 64);
	rdata[2] = STR("\1b\0");
	struct str records = list_of(&list, rdata, 3);
	assert_true(dns_next_name(&records, name));
	assert_int_equal(strlen(name), 253);
	assert_int_equal(name[0], 'a');
	assert_true(dns_next_name(&records, name));
	assert_string_equal(name, "b");
	assert_false(dns_next_name(&records, name));
	buf_finish(&list);
}

static void addresses_have_names_to_ask(void **state)
{
	static const struct {
		const char *address, *name;
	} rows[] = {
		{"192.0.2.1", "1.2.0.192.in-addr.arpa"},
		{"255.255.255.255", "255.255.255.255.in-addr.arpa"},
		{"2001:db8::567:89ab",
			"b.a.9.8.7.6.5.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa"},
	};
	char name[DNS_REVERSE_MAX];
	struct ipaddr a;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		assert_int_equal(ipaddr_parse(str_from(rows[i].address), &a), 0);
		assert_string_equal(dns_reverse_name(&a, name), rows[i].name);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(addresses_have_names_to_ask),
		cmocka_unit_test(questions_are_answered),
		cmocka_unit_test(questions_wait_for_a_resolver_and_survive_its_restart),
		cmocka_unit_test(cancelled_questions_are_not_answered),
		cmocka_unit_test(answers_twice_or_for_nobody_are_dropped),
		cmocka_unit_test(destroying_answers_what_is_open),
		cmocka_unit_test(mail_exchangers_are_read),
		cmocka_unit_test(addresses_are_read),
		cmocka_unit_test(names_are_read_up_to_their_bound),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
