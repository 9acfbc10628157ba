// SPDX-License-Identifier: ISC
// What addresses become: the order, loops, limits, random graphs of aliases against a simple model,
// and what delivery makes of several ends.
#include "help.h"
#include "queue/address.h"

static struct env *e;

static int set_up(void **state)
{
	(void)state;
	e = make_env("domains \"example.org\" \"box.example\"\n"
		"deliver { separator \"+-\" }\n"
		"route \"box.example\" { lmtp \"127.0.0.1:24\" recipients any }\n"
		"route \"closed.example\" { refuse \"we do not write to them\" }\n");
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	free_env(e);
	return 0;
}

static void add(const char *name, const char *targets)
{
	command(e, "address add", json_pack("{s:s, s:[s]}", "name", name, "targets", targets));
}

// ---------------------------------------------------------------- one answer as text

struct told {
	bool done;
	char text[8192];
	unsigned loops;
	bool too_many;
};

static const char *const kinds[] = {"mailbox", "user", "program", "file", "host", "elsewhere",
	"postmaster", "error"};

static int compare_lines(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static void tell(void *arg, const struct address_answer *a)
{
	struct told *t = arg;
	char *lines[1200];
	size_t len = 0;
	assert_false(t->done);
	assert_int_equal(a->err, 0);
	assert_true(a->end_count <= ARRAY_SIZE(lines));
	for (unsigned n = 0; n < a->end_count; n++) {
		const struct address_end *end = &a->ends[n];
		struct buf line = BUF_INIT;
		buf_add_format(&line, "%s %.*s", kinds[end->kind], STR_ARG(end->address));
		if (end->detail.len)
			buf_add_format(&line, " +%.*s", STR_ARG(end->detail));
		if (end->owner.len)
			buf_add_format(&line, " owner %.*s", STR_ARG(end->owner));
		if (end->kind == ADDRESS_ERROR)
			buf_add_format(&line, " %s", end->status);
		lines[n] = str_dup(buf_str(&line));
		buf_finish(&line);
	}
	qsort(lines, a->end_count, sizeof *lines, compare_lines);
	t->text[0] = '\0';
	for (unsigned n = 0; n < a->end_count; n++) {
		len += (size_t)snprintf(t->text + len, len < sizeof t->text ? sizeof t->text - len : 0, "%s%s",
			n ? "; " : "", lines[n]);
		mem_free(lines[n]);
	}
	t->loops = a->loops;
	t->too_many = a->too_many;
	t->done = true;
}

static const char *resolve_with(const char *address, unsigned flags)
{
	static struct told t;
	const char *at = strrchr(address, '@');
	t = (struct told){0};
	queue_address_resolve(e->q, str_from(address), str_from(at ? at + 1 : ""), flags, tell, &t);
	WAIT(e, t.done);
	return t.too_many ? "too many" : t.text[0] ? t.text : "nowhere";
}

static const char *resolve(const char *address)
{
	return resolve_with(address, 0);
}

static void is(const char *address, const char *wanted)
{
	for (int twice = 0; twice < 2; twice++) // from the store, from memory
		assert_string_equal(resolve(address), wanted);
}

// ---------------------------------------------------------------- the order

static void plain_addresses(void **state)
{
	(void)state;
	is("kim@example.kr", "mailbox kim@example.kr");
	is("KIM@example.kr", "mailbox kim@example.kr");
	is("nobody@example.kr", "error nobody@example.kr 5.1.1");
	is("postmaster@example.kr", "postmaster postmaster@example.kr");
	is("postmaster", "postmaster postmaster");
	is("a@there.example", "elsewhere a@there.example");
	is("a@closed.example", "error a@closed.example 5.7.1");
	is("any@box.example", "host any@box.example");
	is("|id@example.kr", "error |id@example.kr 5.1.1"); // no program: it has a domain
	is("/etc/passwd@there.example", "elsewhere /etc/passwd@there.example");
}

static void details(void **state)
{
	(void)state;
	is("kim+news@example.kr", "mailbox kim@example.kr +news");
	is("kim-news@example.kr", "mailbox kim@example.kr +news");
	is("Kim+News+x@example.kr", "mailbox kim@example.kr +news+x");
	is("kim+@example.kr", "mailbox kim@example.kr");
	is("+kim@example.kr", "error +kim@example.kr 5.1.1");
	is("nobody+x@example.kr", "error nobody+x@example.kr 5.1.1");
	add_account(e, "kim-lee@example.kr");
	is("kim-lee@example.kr", "mailbox kim-lee@example.kr"); // exact first
	is("kim-lee-x@example.kr", "mailbox kim-lee@example.kr +x"); // the longest name
	is("kim-x-lee@example.kr", "mailbox kim@example.kr +x-lee");
	is("a-b-c-d-e-f-g-h-i-j-k@example.kr", "error a-b-c-d-e-f-g-h-i-j-k@example.kr 5.1.1");
}

static void aliases(void **state)
{
	(void)state;
	add("sales@example.kr", "kim");
	is("sales@example.kr", "mailbox kim@example.kr");
	is("sales+x@example.kr", "mailbox kim@example.kr");
	add("sales@example.kr", "lee@example.kr, a@there.example");
	is("sales@example.kr", "elsewhere a@there.example; mailbox kim@example.kr; mailbox lee@example.kr");
	add("both@example.kr", "sales, kim, sales@example.kr");
	is("both@example.kr", "elsewhere a@there.example; mailbox kim@example.kr; mailbox lee@example.kr");
	command(e, "address remove", json_pack("{s:s, s:[s]}", "name", "sales@example.kr", "targets", "kim"));
	is("sales@example.kr", "elsewhere a@there.example; mailbox lee@example.kr");
	command(e, "address remove", json_pack("{s:s}", "name", "sales@example.kr"));
	is("sales@example.kr", "error sales@example.kr 5.1.1");
	is("both@example.kr", "error sales@example.kr 5.1.1; mailbox kim@example.kr");
	add("hidden@example.kr", "any@closed.example");
	is("hidden@example.kr", "error any@closed.example 5.7.1");
}

static void catch_all(void **state)
{
	(void)state;
	add("@example.kr", "lee");
	is("whoever@example.kr", "mailbox lee@example.kr");
	is("kim@example.kr", "mailbox kim@example.kr");
	is("kim+x@example.kr", "mailbox kim@example.kr +x"); // without its detail comes before
	is("postmaster@example.kr", "postmaster postmaster@example.kr");
	is("whoever@example.org", "error whoever@example.org 5.1.1");
	add("@example.org", "@example.kr");
	is("kim@example.org", "mailbox kim@example.kr");
	is("whoever@example.org", "mailbox lee@example.kr");
	add("@box.example", "kim@example.kr");
	is("x@box.example", "host x@box.example"); // its host knows
}

static void domain_aliases(void **state)
{
	(void)state;
	command(e, "domain alias add", json_pack("{s:s, s:s}", "name", "example.org", "of", "example.kr"));
	add("sales@example.kr", "kim, lee@example.org");
	is("kim@example.org", "mailbox kim@example.kr");
	is("Kim+x@example.org", "mailbox kim@example.kr +x");
	is("sales@example.org", "mailbox kim@example.kr; mailbox lee@example.kr");
	is("no@example.org", "error no@example.org 5.1.1");
	struct called c = call(e, "domain alias add", json_pack("{s:s, s:s}", "name", "example.kr", "of", "box.example"));
	assert_int_not_equal(c.result, 0); // it has an alias
	called_finish(&c);
	command(e, "domain alias remove", json_pack("{s:s}", "name", "example.org"));
	is("kim@example.org", "error kim@example.org 5.1.1");
}

// ---------------------------------------------------------------- round and round

static void loops(void **state)
{
	(void)state;
	add("a@example.kr", "b");
	add("b@example.kr", "c");
	add("c@example.kr", "a");
	is("a@example.kr", "nowhere");
	add("c@example.kr", "kim");
	is("a@example.kr", "mailbox kim@example.kr");
	is("b@example.kr", "mailbox kim@example.kr");
	add("self@example.kr", "self, lee");
	is("self@example.kr", "error self@example.kr 5.1.1; mailbox lee@example.kr");
	add("@example.org", "ghost@example.org");
	is("x@example.org", "nowhere");
}

static void limits(void **state)
{
	char name[40], target[40];
	(void)state;
	for (int n = 0; n < 12; n++) {
		snprintf(name, sizeof name, "step%d@example.kr", n);
		snprintf(target, sizeof target, n < 11 ? "step%d@example.kr" : "kim@example.kr", n + 1);
		add(name, target);
	}
	is("step2@example.kr", "mailbox kim@example.kr");
	is("step0@example.kr", "too many");
	json_t *many = json_array();
	for (int n = 0; n < 1000; n++) {
		snprintf(target, sizeof target, "u%d@there.example", n);
		json_array_append_new(many, json_string(target));
	}
	command(e, "address add", json_pack("{s:s, s:O}", "name", "many@example.kr", "targets", many));
	struct told t = {0};
	queue_address_resolve(e->q, STR("many@example.kr"), STR("example.kr"), 0, tell, &t);
	WAIT(e, t.done);
	assert_false(t.too_many);
	json_array_append_new(many, json_string("one@more.example"));
	struct called c = call(e, "address add", json_pack("{s:s, s:o}", "name", "more@example.kr", "targets", many));
	assert_int_not_equal(c.result, 0);
	called_finish(&c);
}

static void programs(void **state)
{
	(void)state;
	struct called c = call(e, "address add", json_pack("{s:s, s:[s]}", "name", "p@example.kr", "targets", "|id"));
	assert_int_not_equal(c.result, 0);
	assert_non_null(strstr(c.err.text, "aliases-programs"));
	called_finish(&c);
	use_config(e, "aliases-programs yes\n");
	add("p@example.kr", "|/usr/bin/id -u, \"x\"");
	add("f@example.kr", "/var/mail/archive");
	is("p@example.kr", "program |/usr/bin/id -u, \"x\"");
	is("f@example.kr", "file /var/mail/archive");
	use_config(e, "");
	is("p@example.kr", "error |/usr/bin/id -u, \"x\" 5.7.1");
	is("f@example.kr", "error /var/mail/archive 5.7.1");
}

static void owners(void **state)
{
	(void)state;
	add("list@example.kr", "kim, a@there.example, inner");
	add("inner@example.kr", "lee");
	assert_string_equal(resolve_with("list@example.kr", ADDRESS_OWNERS),
		"elsewhere a@there.example; mailbox kim@example.kr; mailbox lee@example.kr");
	add("owner-list@example.kr", "kim");
	assert_string_equal(resolve_with("list@example.kr", ADDRESS_OWNERS),
		"elsewhere a@there.example owner owner-list@example.kr; "
		"mailbox kim@example.kr owner owner-list@example.kr; "
		"mailbox lee@example.kr owner owner-list@example.kr");
	add("owner-inner@example.kr", "lee");
	assert_string_equal(resolve_with("inner@example.kr", ADDRESS_OWNERS),
		"mailbox lee@example.kr owner owner-inner@example.kr");
	assert_string_equal(resolve_with("owner-list@example.kr", ADDRESS_OWNERS), "mailbox kim@example.kr");
}

// ---------------------------------------------------------------- random graphs against a model

#define NAMES 9

// Where a target leads: an alias (0..NAMES-1), an account, somebody elsewhere, nobody.
enum { TO_KIM = NAMES, TO_LEE, TO_THERE, TO_NOBODY, TO_COUNT };
static const char *const to_words[] = {[TO_KIM] = "kim", [TO_LEE] = "lee@example.kr",
	[TO_THERE] = "x@there.example", [TO_NOBODY] = "nobody"};
static const char *const to_ends[] = {[TO_KIM] = "mailbox kim@example.kr",
	[TO_LEE] = "mailbox lee@example.kr", [TO_THERE] = "elsewhere x@there.example",
	[TO_NOBODY] = "error nobody@example.kr 5.1.1"};

static unsigned reach(const unsigned graph[NAMES], unsigned from, unsigned *seen)
{
	unsigned found = graph[from] >> NAMES;
	*seen |= 1u << from;
	for (unsigned n = 0; n < NAMES; n++)
		if (graph[from] >> n & 1 && !(*seen >> n & 1))
			found |= reach(graph, n, seen);
	return found;
}

// Names itself only: then it is the mailbox behind it, which there is not.
static bool names_itself(const unsigned graph[NAMES], unsigned from)
{
	return graph[from] >> from & 1;
}

static void random_graphs(void **state)
{
	unsigned seed = getenv("PABAL_GRAPH_SEED") ? (unsigned)atoi(getenv("PABAL_GRAPH_SEED")) : 4711;
	(void)state;
	for (int round = 0; round < 40; round++) {
		unsigned graph[NAMES];
		for (unsigned n = 0; n < NAMES; n++) {
			char name[40], targets[400] = "";
			graph[n] = 0;
			for (unsigned t = 0; t < TO_COUNT; t++) {
				seed = seed * 1103515245 + 12345;
				if (t == n || (seed >> 16) % (t < NAMES ? 4 : 6))
					continue;
				graph[n] |= 1u << t;
				if (t < NAMES)
					snprintf(name, sizeof name, "n%u", t);
				else
					snprintf(name, sizeof name, "%s", to_words[t]);
				if (targets[0])
					strcat(targets, ", ");
				strcat(targets, name);
			}
			snprintf(name, sizeof name, "n%u@example.kr", n);
			if (graph[n]) {
				add(name, targets);
			} else {
				graph[n] = 1u << TO_NOBODY;
				add(name, "nobody");
			}
		}
		for (unsigned n = 0; n < NAMES; n++) {
			unsigned seen = 0, found = reach(graph, n, &seen);
			char name[40], wanted[400] = "";
			static const unsigned order[] = {TO_THERE, TO_NOBODY, TO_KIM, TO_LEE}; // as sorted
			assert_false(names_itself(graph, n));
			for (size_t k = 0; k < ARRAY_SIZE(order); k++)
				if (found >> (order[k] - NAMES) & 1)
					snprintf(wanted + strlen(wanted), sizeof wanted - strlen(wanted), "%s%s",
						wanted[0] ? "; " : "", to_ends[order[k]]);
			snprintf(name, sizeof name, "n%u@example.kr", n);
			assert_string_equal(resolve(name), wanted[0] ? wanted : "nowhere");
		}
		for (unsigned n = 0; n < NAMES; n++) {
			char name[40];
			snprintf(name, sizeof name, "n%u@example.kr", n);
			command(e, "address remove", json_pack("{s:s}", "name", name));
		}
	}
}

// ---------------------------------------------------------------- delivery

// The addresses of the jobs that are open, sorted, with their senders; all are answered.
static const char *deliveries(const struct said *said)
{
	static char text[4000];
	char *lines[100];
	unsigned count = 0;
	settle_down(e);
	while (first_job(e)) {
		struct played *p = first_job(e);
		for (unsigned n = 0; n < p->count; n++) {
			struct buf line = BUF_INIT;
			buf_add_format(&line, "%s<%s", p->addresses[n], p->sender);
			lines[count++] = str_dup(buf_str(&line));
			buf_finish(&line);
		}
		answer(e, p, said);
	}
	settle_down(e);
	qsort(lines, count, sizeof *lines, compare_lines);
	text[0] = '\0';
	for (unsigned n = 0; n < count; n++) {
		snprintf(text + strlen(text), sizeof text - strlen(text), "%s%s", n ? " " : "", lines[n]);
		mem_free(lines[n]);
	}
	return text;
}

#define A "a@there.example"

static void one_end_needs_no_child(void **state)
{
	(void)state;
	add("sales@example.kr", "kim");
	add("gone@example.kr", "x@there.example");
	submit(e, A, "sales@example.kr");
	assert_string_equal(deliveries(&delivered), "kim@example.kr<" A);
	submit(e, A, "gone@example.kr");
	settle_down(e);
	assert_int_equal(look(e), 1);
	assert_string_equal(rows.all[0].address, "gone@example.kr");
	assert_string_equal(deliveries(&delivered), "x@there.example<" A);
	assert_int_equal(look(e), 0);
}

static void several_ends_become_children(void **state)
{
	(void)state;
	add("sales@example.kr", "kim, lee, x@there.example");
	add("all@example.kr", "sales, kim");
	struct to to[] = {{.address = "sales@example.kr"}, {.address = "all@example.kr"}};
	submit_mail(e, &(struct mail_of){.sender = A}, to, 2);
	settle_down(e);
	assert_int_equal(look(e), 3);
	assert_int_equal(rows.all[0].depth, 1);
	assert_string_equal(deliveries(&delivered), "kim@example.kr<" A " lee@example.kr<" A " x@there.example<" A);
	assert_int_equal(look(e), 0);
}

static void members_of_a_list_report_to_its_owner(void **state)
{
	(void)state;
	add("list@example.kr", "kim, x@there.example");
	add("owner-list@example.kr", "lee");
	struct to to = {.address = "list@example.kr", .notify = SMTP_NOTIFY_NEVER, .orcpt = "rfc822;list@example.kr"};
	submit_mail(e, &(struct mail_of){.sender = A, .envid = "QQ"}, &to, 1);
	settle_down(e);
	struct played *p = first_job(e);
	assert_non_null(p);
	assert_string_equal(p->envid, "");
	assert_int_equal(p->notify[0], 0);
	assert_string_equal(deliveries(&permanent),
		"kim@example.kr<owner-list@example.kr x@there.example<owner-list@example.kr");
	// two reports, to who keeps the list
	assert_string_equal(deliveries(&delivered), "lee@example.kr< lee@example.kr<");
	// A report keeps its null sender.
	submit(e, "", "list@example.kr");
	assert_string_equal(deliveries(&delivered), "kim@example.kr< x@there.example<");
	assert_int_equal(look(e), 0);
}

static void a_loop_is_reported(void **state)
{
	(void)state;
	add("a@example.kr", "b");
	add("b@example.kr", "a");
	submit(e, "lee@example.kr", "a@example.kr");
	settle_down(e);
	struct played *p = first_job(e);
	assert_non_null(p);
	assert_string_equal(p->addresses[0], "lee@example.kr");
	assert_true(has(p, "Status: 5.4.6"));
	assert_true(has(p, "Final-Recipient: rfc822; a@example.kr"));
	answer(e, p, &delivered);
	settle_down(e);
	assert_int_equal(look(e), 0);
}

// What comes of one that makes nothing is not taken for reached.
static void one_that_fails_takes_nobody_with_it(void **state)
{
	(void)state;
	add("first@example.kr", "kim, lee");
	add("second@example.kr", "kim, lee");
	struct to to[] = {{.address = "first@example.kr", .notify = SMTP_NOTIFY_NEVER},
		{.address = "second@example.kr", .notify = SMTP_NOTIFY_NEVER}};
	submit_mail(e, &(struct mail_of){.sender = A}, to, 2);
	WAIT(e, !list_empty(&e->q->routing));
	struct item *i = LIST_ENTRY(e->q->routing.next, struct item, link);
	assert_true(str_equal(i->address, STR("first@example.kr")));
	i->depth = QUEUE_DEPTH_MAX; // as if it came over many forward files
	settle_down(e);
	assert_string_equal(deliveries(&delivered), "kim@example.kr<" A " lee@example.kr<" A);
	assert_int_equal(look(e), 0);
}

// Each member's forward file names the list again.
static void members_that_all_forward_to_the_list_are_reported(void **state)
{
	const struct queue_child back = {.address = STR("list@example.kr"), .domain = STR("example.kr")};
	unsigned members = 0;
	(void)state;
	add("list@example.kr", "kim, lee");
	submit(e, A, "list@example.kr");
	while (members < 2) {
		WAIT(e, first_job(e));
		struct job *j = queue_job_find(e->q, first_job(e)->job);
		assert_non_null(j);
		LIST_EACH(link, &j->items) {
			queue_job_expand(e->q, LIST_ENTRY(link, struct item, link), &back, 1);
			members++;
		}
		drop(e, first_job(e));
		queue_job_ended(e->q, j, GROUP_ANSWERED);
	}
	WAIT(e, first_job(e));
	assert_string_equal(first_job(e)->addresses[0], A);
	assert_true(has(first_job(e), "Status: 5.4.6"));
	e->always = &delivered;
	settle_down(e);
	assert_int_equal(look(e), 0);
}

static void an_unknown_member_is_reported(void **state)
{
	(void)state;
	add("list@example.kr", "kim, nobody");
	struct to to = {.address = "list@example.kr", .notify = SMTP_NOTIFY_SUCCESS | SMTP_NOTIFY_FAILURE};
	submit_mail(e, &(struct mail_of){.sender = "lee@example.kr"}, &to, 1);
	settle_down(e);
	unsigned expanded = 0, failed = 0;
	while (first_job(e)) {
		struct played *p = first_job(e);
		expanded += has(p, "Action: expanded");
		failed += has(p, "Action: failed") && has(p, "Final-Recipient: rfc822; nobody@example.kr") &&
			has(p, "Original-Recipient: rfc822; list@example.kr");
		answer(e, p, &delivered);
		settle_down(e);
	}
	assert_int_equal(expanded, 1);
	assert_int_equal(failed, 1);
	assert_int_equal(look(e), 0);
}

static void a_program_is_no_address(void **state)
{
	(void)state;
	use_config(e, "aliases-programs yes\n");
	add("p@example.kr", "|/usr/bin/id");
	add("p@example.kr", "lee");
	submit(e, "lee@example.kr", "p@example.kr");
	settle_down(e);
	assert_string_equal(deliveries(&permanent), "lee@example.kr<lee@example.kr |/usr/bin/id<lee@example.kr");
	// The reports say the alias, not the command.
	settle_down(e);
	while (first_job(e)) {
		assert_false(has(first_job(e), "usr/bin/id"));
		answer(e, first_job(e), &delivered);
		settle_down(e);
	}
	// Nobody can ask for a program.
	struct submitted s;
	struct to forged = {.address = "|/usr/bin/id"};
	submit_later(e, &(struct mail_of){.sender = A}, &forged, 1, &s);
	WAIT(e, s.done);
	assert_int_equal(s.err, ERR_CORRUPT);
	forged = (struct to){.address = "x@there.example", .orcpt = "<kim@example.kr>"};
	submit_later(e, &(struct mail_of){.sender = A}, &forged, 1, &s);
	WAIT(e, s.done);
	assert_int_equal(s.err, ERR_CORRUPT);
}

// What takes too long is ended and done again: nothing else is done again with it.
static void each_program_is_a_job(void **state)
{
	(void)state;
	use_config(e, "aliases-programs yes\n");
	add("p@example.kr", "|/usr/bin/id");
	add("p@example.kr", "|/usr/bin/who");
	submit(e, "lee@example.kr", "p@example.kr");
	settle_down(e);
	assert_int_equal(e->open, 2);
	LIST_EACH(link, &e->jobs)
		assert_int_equal(LIST_ENTRY(link, struct played, link)->count, 1);
	(void)deliveries(&delivered);
}

// ---------------------------------------------------------------- questions of smtpd

struct known {
	bool done;
	int exists;
	char account[SMTP_ADDRESS_MAX];
};

static void on_known(void *arg, const struct queue_recipient *r)
{
	struct known *k = arg;
	k->done = true;
	k->exists = r->exists;
	str_copy(r->account, k->account, sizeof k->account);
}

static struct known recipient(const char *key)
{
	struct known k = {0};
	queue_recipient(e->q, str_from(key), 0, on_known, &k);
	WAIT(e, k.done);
	return k;
}

static void recipients_at_rcpt(void **state)
{
	(void)state;
	add("sales@example.kr", "kim");
	add("both@example.kr", "kim, lee");
	add("a@example.kr", "b");
	add("b@example.kr", "a");
	add("half@example.kr", "nobody, kim");
	add("none@example.kr", "nobody");
	assert_int_equal(recipient("kim+x@example.kr").exists, 1);
	assert_string_equal(recipient("kim+x@example.kr").account, "kim@example.kr");
	assert_string_equal(recipient("sales@example.kr").account, "kim@example.kr");
	assert_int_equal(recipient("both@example.kr").exists, 1);
	assert_string_equal(recipient("both@example.kr").account, "");
	assert_int_equal(recipient("half@example.kr").exists, 1);
	assert_int_equal(recipient("none@example.kr").exists, 3);
	assert_int_equal(recipient("a@example.kr").exists, 3);
	assert_int_equal(recipient("x@example.kr").exists, 0);
	assert_int_equal(recipient("x@there.example").exists, 0);
}

static void on_owners(void *arg, struct str owners)
{
	str_copy(owners, arg, 200);
}

static const char *owners_of(const char *account, const char *authors)
{
	static char owners[200];
	snprintf(owners, sizeof owners, "-");
	queue_senders(e->q, str_from(account), str_from(authors), on_owners, owners);
	WAIT(e, owners[0] != '-');
	return owners;
}

#define KIM "kim@example.kr"

static void whose_addresses(void **state)
{
	char many[4000] = KIM;
	(void)state;
	add("kim.lee@example.kr", "kim");
	add("staff@example.kr", "kim, lee");
	add("far@example.kr", "kim2@example.kr");
	add("kim2@example.kr", "kim.lee");
	add("@example.org", "kim@example.kr");
	add("away@example.kr", "x@there.example");
	assert_string_equal(owners_of(KIM, KIM), "s");
	assert_string_equal(owners_of(KIM, "kim+news@example.kr\nkim.lee@example.kr\nfar@example.kr"), "sss");
	assert_string_equal(owners_of(KIM, "staff@example.kr\nlee@example.kr\nno@example.kr"), "nnn");
	assert_string_equal(owners_of(KIM, "any@example.org\naway@example.kr\nx@there.example"), "nnn");
	assert_string_equal(owners_of(KIM, ""), "n");
	assert_string_equal(owners_of(KIM, "no address\n" KIM), "ns");
	command(e, "account send-as", json_pack("{s:s, s:s}", "name", KIM, "add", "staff@example.kr"));
	command(e, "account send-as", json_pack("{s:s, s:s}", "name", KIM, "add", "@There.example"));
	command(e, "account send-as", json_pack("{s:s, s:s}", "name", KIM, "add", "<>"));
	command(e, "account send-as", json_pack("{s:s, s:s}", "name", KIM, "add", "group:board"));
	assert_string_equal(owners_of(KIM, "staff@example.kr\nx@there.example\nlee@example.kr"), "ggn");
	assert_string_equal(owners_of(KIM, ""), "g");
	command(e, "account group add", json_pack("{s:s}", "group", "board"));
	command(e, "account set", json_pack("{s:s, s:s}", "name", "lee@example.kr", "groups", "board"));
	assert_string_equal(owners_of(KIM, "lee@example.kr\nlee+x@example.kr"), "gg");
	command(e, "account send-as", json_pack("{s:s, s:s}", "name", KIM, "remove", "group:board"));
	assert_string_equal(owners_of(KIM, "lee@example.kr"), "n");
	struct called c = call(e, "account send-as", json_pack("{s:s, s:s}", "name", KIM, "add", "<>"));
	assert_int_not_equal(c.result, 0); // twice
	called_finish(&c);
	command(e, "domain alias add", json_pack("{s:s, s:s}", "name", "example.org", "of", "example.kr"));
	assert_string_equal(owners_of(KIM, "kim@example.org\nkim+x@example.org\nlee@example.org"), "ssn");
	// Of a source without rows here: its own name, and what leads to it.
	add("boss@example.kr", "park@example.kr");
	assert_string_equal(owners_of("park@example.kr", "park@example.kr\nboss@example.kr\n" KIM), "ssn");
	add("boxed@example.kr", "kim@box.example");
	assert_string_equal(owners_of("kim@box.example", "kim@box.example\nboxed@example.kr"), "ss");
	assert_string_equal(owners_of(KIM, "boxed@example.kr\npostmaster@example.kr"), "ns");
	assert_string_equal(owners_of("lee@example.kr", "postmaster@example.kr"), "n");
	for (int n = 0; n < 120; n++)
		strcat(many, "\n" KIM);
	assert_int_equal(strlen(owners_of(KIM, many)), 100);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(plain_addresses), TEST(details), TEST(aliases), TEST(catch_all), TEST(domain_aliases),
		TEST(loops), TEST(limits), TEST(programs), TEST(owners), TEST(random_graphs),
		TEST(one_end_needs_no_child), TEST(several_ends_become_children),
		TEST(members_of_a_list_report_to_its_owner), TEST(a_loop_is_reported),
		TEST(one_that_fails_takes_nobody_with_it),
		TEST(members_that_all_forward_to_the_list_are_reported),
		TEST(an_unknown_member_is_reported), TEST(a_program_is_no_address), TEST(each_program_is_a_job),
		TEST(recipients_at_rcpt), TEST(whose_addresses),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
