// SPDX-License-Identifier: ISC
// Opening and closing: the lock, folders given either way, a loop, wrong files.
#include "help.h"

#include <fcntl.h>
#include <sys/wait.h>

static char *folder;

static int set_up(void **state)
{
	folder = make_folder();
	return 0;
}

static int tear_down(void **state)
{
	remove_folder(folder);
	return 0;
}

// 0, or the error; tells the words.
static int open_in_child(char *words, size_t size)
{
	int pipe_fds[2], status;
	ssize_t n;
	pid_t pid;

	assert_int_equal(pipe(pipe_fds), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		struct error err = {.text = ""};
		struct store *s;
		int code = try_open(folder, &s, &err);

		if (write(pipe_fds[1], err.text, strlen(err.text)) < 0)
			_exit(99);
		_exit(-code);
	}
	close(pipe_fds[1]);
	n = read(pipe_fds[0], words, size - 1);
	words[n > 0 ? n : 0] = '\0';
	close(pipe_fds[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return -WEXITSTATUS(status);
}

static void a_second_opener_is_refused(void **state)
{
	struct store *s = open_store(folder), *second;
	struct error err;
	char words[ERROR_TEXT_MAX];

	assert_int_equal(open_in_child(words, sizeof(words)), ERR_DENIED);
	assert_non_null(strstr(words, "in use by another process"));
	assert_non_null(strstr(words, "queue.db"));
	assert_int_equal(try_open(folder, &second, &err), ERR_DENIED);
	// The refused ones left the lock where it was.
	assert_int_equal(open_in_child(words, sizeof(words)), ERR_DENIED);
	assert_int_equal(put(s, 10, 11), 0);
	store_close(s);
	store_close(open_store(folder));
}

static void nothing_is_made_unasked(void **state)
{
	struct store *s;
	struct error err = {.text = ""};

	assert_int_equal(store_open(NULL, &(struct store_options){.folder = folder}, &s, &err),
		ERR_NOT_FOUND);
	assert_non_null(strstr(err.text, "queue.db"));
	assert_false(file_exists(in_folder(folder, "queue.db")));
	assert_int_equal(
		store_open(NULL, &(struct store_options){.folder = in_folder(folder, "missing")},
			&s, &err),
		ERR_NOT_FOUND);
}

static void a_folder_can_be_given_open(void **state)
{
	int fd = open(folder, O_RDONLY | O_DIRECTORY);
	struct store_options options = {.folder_fd = fd, .create = true};
	struct store *s;

	assert_int_equal(store_open(NULL, &options, &s, NULL), 0);
	close(fd);
	assert_int_equal(put(s, 10, 11), 0);
	store_close(s);
	s = open_store(folder);
	assert_int_equal(look(s, 11).count, 1);
	store_close(s);
}

static void files_are_ours_alone(void **state)
{
	struct store *s = open_store(in_folder(folder, "made"));
	struct stat st;

	assert_int_equal(put(s, 10, 11), 0);
	assert_int_equal(stat(in_folder(folder, "made"), &st), 0);
	assert_int_equal(st.st_mode & 0777, 0700);
	assert_int_equal(stat(in_folder(folder, "made/queue.db"), &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(stat(in_folder(folder, "made/queue.db-wal"), &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_false(file_exists(in_folder(folder, "made/queue.db-shm")));
	store_close(s);
}

static void another_file_is_refused(void **state)
{
	struct error err = {.text = ""};
	struct store *s;
	FILE *file = fopen(in_folder(folder, "queue.db"), "w");

	for (int i = 0; i < 1000; i++)
		fputs("this is no database\n", file);
	fclose(file);
	assert_int_equal(try_open(folder, &s, &err), ERR_CORRUPT);
	assert_non_null(strstr(err.text, "damaged or no database"));
}

static void disk_numbers(void **state)
{
	struct store *s = open_store(folder);
	uint64_t octets = 0;
	unsigned percent = 101;

	assert_int_equal(store_disk_free(s, &octets, &percent), 0);
	assert_true(octets > 0);
	assert_true(percent <= 100);
	store_close(s);
}

// ---- with a loop

struct chain {
	struct store *s;
	unsigned left;
	bool claim_refused;
};

static void next_in_chain(void *arg, int err)
{
	struct chain *chain = arg;
	struct store_batch *b;

	assert_int_equal(err, 0);
	if (chain->left == 0)
		return;
	b = store_batch_create();
	add_message(b, 1000 + chain->left, &(struct to){.id = 5000 + chain->left}, 1);
	chain->left--;
	store_apply(chain->s, b, next_in_chain, chain);
}

static void a_loop_runs_as_long_as_there_is_work(void **state)
{
	struct chain chain = {.left = 20};
	uv_loop_t loop;

	uv_loop_init(&loop);
	assert_int_equal(
		store_open(&loop, &(struct store_options){.folder = folder, .create = true},
			&chain.s, NULL),
		0);
	next_in_chain(&chain, 0);
	uv_run(&loop, UV_RUN_DEFAULT); // ends by itself
	assert_int_equal(chain.left, 0);
	assert_int_equal(store_pending(chain.s), 0);
	assert_int_equal(totals(chain.s).messages, 20);
	store_close(chain.s);
	uv_run(&loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&loop), 0);
}

static void refused(void *arg, int err, unsigned count, uint64_t next_ms)
{
	assert_int_equal(err, ERR_CLOSED);
	((struct chain *)arg)->claim_refused = true;
}

static void claim_at_the_end(void *arg, int err)
{
	struct chain *chain = arg;

	next_in_chain(arg, err);
	store_claim_due(chain->s, 5, 10, see, refused, chain);
}

static void closing_ends_what_was_begun(void **state)
{
	struct chain chain = {.s = open_store(folder), .left = 5};
	struct store_batch *b = store_batch_create();
	struct store *s;

	add_message(b, 10, &(struct to){.id = 11}, 1);
	store_apply(chain.s, b, claim_at_the_end, &chain);
	store_close(chain.s); // the completions ask for more: batches are done, claims refused
	assert_int_equal(chain.left, 0);
	assert_true(chain.claim_refused);
	s = open_store(folder);
	assert_int_equal(totals(s).messages, 6);
	assert_int_equal(totals(s).claimed, 0);
	store_close(s);
	store_close(NULL);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_second_opener_is_refused),
		TEST(nothing_is_made_unasked),
		TEST(a_folder_can_be_given_open),
		TEST(files_are_ours_alone),
		TEST(another_file_is_refused),
		TEST(disk_numbers),
		TEST(a_loop_runs_as_long_as_there_is_work),
		TEST(closing_ends_what_was_begun),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
