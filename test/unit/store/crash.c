// SPDX-License-Identifier: ISC
// kill -9 in the middle of a group, many times: what was told to be stored is there, whole; what
// is there is whole; every batch happened or did not. (Power cuts are another test.)
#include "help.h"

#include "store/store_internal.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>

#define ROUNDS	40
#define BATCHES 4000   // at most, a round
#define WINDOW	40     // batches under way at once
#define LARGE	100000 // octets of a large body; each 8th message has one
#define SHIFT	20     // message number n of round r is (r + 1) << SHIFT | n + 1

// What the child promised: written by the child after the completion, read when it is dead.
struct promises {
	volatile unsigned char stored[BATCHES];	  // batch n was completed without error
	volatile unsigned char replaced[BATCHES]; // so was the batch that ends message n
};
static struct promises *promises;
static char *folder;

static uint64_t message_id(unsigned round, unsigned n)
{
	return (uint64_t)(round + 1) << SHIFT | (uint64_t)(n + 1);
}

// Of message n: two recipients. The message that replaces it has an id of its own.
static uint64_t recipient_id(unsigned round, unsigned n, unsigned which)
{
	return UINT64_C(1) << 50 | message_id(round, n) << 1 | which;
}

static uint64_t successor_id(unsigned round, unsigned n)
{
	return UINT64_C(1) << 51 | message_id(round, n);
}

static bool is_large(unsigned n)
{
	return n % 8 == 7;
}

static struct str octets_of(unsigned n)
{
	static char octets[LARGE];
	size_t len = is_large(n) ? LARGE : 500 + n % 5000;

	memset(octets, 'a' + (int)(n % 26), len);
	return str_make(octets, len);
}

// ---------------------------------------------------------------- the child

struct child {
	struct store *s;
	unsigned round, given;
};
struct step {
	struct child *child;
	unsigned n;
};
static void give_more(struct child *child);

static void on_replaced(void *arg, int err)
{
	struct step *step = arg;

	if (err == 0)
		promises->replaced[step->n] = 1;
	give_more(step->child);
	free(step);
}

// Ends both recipients of message n and puts another in its place: one batch.
static void replace(struct step *step)
{
	struct child *c = step->child;
	struct store_batch *b = store_batch_create();

	store_batch_finish_recipient(
		b, message_id(c->round, step->n), recipient_id(c->round, step->n, 0));
	add_message(b, successor_id(c->round, step->n),
		&(struct to){.id = successor_id(c->round, step->n) + (UINT64_C(1) << 52)}, 1);
	store_batch_finish_recipient(
		b, message_id(c->round, step->n), recipient_id(c->round, step->n, 1));
	store_apply(c->s, b, on_replaced, step);
}

static void on_stored(void *arg, int err)
{
	struct step *step = arg;

	if (err == 0)
		promises->stored[step->n] = 1;
	if (step->n % 3 == 0) {
		replace(step);
		return;
	}
	give_more(step->child);
	free(step);
}

static void fill_body(struct child *c, struct store_body *body, struct str octets, bool large)
{
	int fd;

	*body = (struct store_body){.octets = octets};
	if (!large)
		return;
	if (store_spool_create(c->s, &body->spool, &fd, NULL) < 0 ||
		write(fd, octets.data, octets.len) != (ssize_t)octets.len || fsync(fd) < 0 ||
		store_spool_link(c->s, body->spool, fd, NULL) < 0)
		_exit(3);
	close(fd);
}

static void give_more(struct child *c)
{
	unsigned n = c->given;
	struct str octets = octets_of(n);
	struct store_batch *b;
	struct store_body body;
	struct step *step;
	struct to to[] = {
		{.id = recipient_id(c->round, n, 0)}, {.id = recipient_id(c->round, n, 1)}};

	if (n == BATCHES)
		return;
	c->given++;
	fill_body(c, &body, octets, is_large(n));
	b = store_batch_create();
	add_message_with(b, message_id(c->round, n), &body, octets, to, 2);
	step = malloc(sizeof(*step));
	*step = (struct step){c, n};
	store_apply(c->s, b, on_stored, step);
}

static void run_child(unsigned round)
{
	struct child c = {.round = round};

	if (try_open(folder, &c.s, NULL) < 0)
		_exit(2);
	for (unsigned i = 0; i < WINDOW; i++)
		give_more(&c);
	store_wait(c.s);
	_exit(0); // all done before the signal came
}

// ---------------------------------------------------------------- the check

struct check {
	struct store *s;
	unsigned recipients[BATCHES];
	bool successors[BATCHES];
	unsigned round, wrong;
	unsigned page; // rows in the last one
	uint64_t after;
};

static void count_row(void *arg, const struct store_message *m, const struct store_recipient *r)
{
	struct check *check = arg;
	uint64_t id = r->message & ~(UINT64_C(1) << 51);
	unsigned n = (unsigned)(id & ((1u << SHIFT) - 1)) - 1;

	if (id >> SHIFT != check->round + 1)
		return; // of a round before; checked then
	if (r->message >> 51)
		check->successors[n] = true;
	else
		check->recipients[n]++;
}

static void end_page(void *arg, int err, unsigned count, uint64_t last)
{
	struct check *check = arg;

	assert_int_equal(err, 0);
	check->page = count;
	check->after = last;
}

static void list_all(struct check *check)
{
	do {
		struct store_filter f = {.any_state = true, .after = check->after};

		store_list(check->s, &f, count_row, end_page, check);
		store_wait(check->s);
	} while (check->page == 1000);
}

static bool body_is_whole(struct store *s, uint64_t id)
{
	struct read_body body = read_body(s, id);

	if (body.fd >= 0)
		close(body.fd);
	return body.err == 0;
}

static void check_batch(struct check *c, unsigned n)
{
	bool there = c->recipients[n] != 0;

	// Both recipients or none; the message or its successor; what was promised is there.
	if (c->recipients[n] == 1 || (there && c->successors[n]) ||
		(promises->stored[n] && !there && !c->successors[n]) ||
		(promises->replaced[n] && !c->successors[n]) ||
		(there && !body_is_whole(c->s, message_id(c->round, n))) ||
		(c->successors[n] && !body_is_whole(c->s, successor_id(c->round, n))))
		c->wrong++;
}

static unsigned files_in_spool(void)
{
	unsigned count = 0;
	char command[300], line[40] = "";
	FILE *p;

	snprintf(command, sizeof(command), "find %s/spool -type f | wc -l", folder);
	p = popen(command, "r");
	if (fgets(line, sizeof(line), p))
		count = (unsigned)atoi(line);
	pclose(p);
	return count;
}

// What the file says. Only when the store is closed: its commit thread uses the connection, to move
// the log, when nobody waits for an answer any more.
static uint64_t read_number(const char *text)
{
	struct sql *db;
	char path[300];
	uint64_t number;

	snprintf(path, sizeof(path), "%s/queue.db", folder);
	assert_int_equal(
		sql_open(&(struct sql_options){.path = path, .words = "the store", .shrink = true}, &db,
			NULL),
		0);
	assert_int_equal(sql_read_number(db, text, &number), 0);
	sql_close(db);
	return number;
}

// Closes the store.
static void compare_totals(struct store *s)
{
	struct store_totals t = totals(s);

	file_sweep_wait(s);
	store_close(s);
	assert_int_equal(t.messages, read_number("SELECT count(*) FROM message"));
	assert_int_equal(t.octets, read_number("SELECT total(size) FROM message"));
	assert_int_equal(t.due, read_number("SELECT count(*) FROM recipient WHERE state = 0"));
	assert_int_equal(t.claimed, 0);
	assert_int_equal(read_number("SELECT count(*) FROM message WHERE id NOT IN "
				     "(SELECT message FROM recipient)"),
		0);
	// After the sweep, one file for each row that names one.
	assert_int_equal(
		files_in_spool(), read_number("SELECT count(*) FROM message WHERE spool <> 0"));
}

static void check_round(unsigned round)
{
	static struct check check;

	check = (struct check){.s = open_store(folder), .round = round};
	list_all(&check);
	for (unsigned n = 0; n < BATCHES; n++)
		check_batch(&check, n);
	assert_int_equal(check.wrong, 0);
	compare_totals(check.s);
}

static void kill_at_random_moments(void **state)
{
	unsigned killed = 0, stored = 0;

	folder = make_folder();
	promises = mmap(
		NULL, sizeof(*promises), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_true(promises != MAP_FAILED);
	srand((unsigned)getpid());
	for (unsigned round = 0; round < ROUNDS; round++) {
		int status;
		pid_t pid;

		memset(promises, 0, sizeof(*promises));
		pid = fork();
		assert_true(pid >= 0);
		if (pid == 0)
			run_child(round);
		// The moment is what is random here, so this one waits for time.
		usleep((useconds_t)(2000 + rand() % 100000));
		kill(pid, SIGKILL);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_true(WIFSIGNALED(status) || WEXITSTATUS(status) == 0);
		killed += WIFSIGNALED(status);
		check_round(round);
		for (unsigned n = 0; n < BATCHES; n++)
			stored += promises->stored[n];
	}
	print_message("%u of %u killed, %u batches were promised\n", killed, ROUNDS, stored);
	munmap(promises, sizeof(*promises));
	remove_folder(folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(kill_at_random_moments),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
