// SPDX-License-Identifier: ISC
// Schemas: made, brought forward with a copy first, refused when newer.
#include "help.h"

#include "store/schema.h"

static char *folder;
static char path[300];

static const char *const steps[] = {
	"ALTER TABLE thing ADD COLUMN second INTEGER NOT NULL DEFAULT 2",
	"ALTER TABLE thing ADD COLUMN third INTEGER NOT NULL DEFAULT 3; UPDATE thing SET first = "
	"10",
};
static const char *const bad_steps[] = {
	"ALTER TABLE thing ADD COLUMN second INTEGER NOT NULL DEFAULT 2",
	"UPDATE thing SET first = 10; UPDATE nothing SET first = 10",
};
static const struct schema first = {"the thing", 1, "CREATE TABLE thing (first INTEGER)", NULL};
static const struct schema third = {
	"the thing", 3, "CREATE TABLE thing (first INTEGER, second INTEGER, third INTEGER)", steps};
static const struct schema bad = {"the thing", 3, "", bad_steps};

static int set_up(void **state)
{
	folder = make_folder();
	snprintf(path, sizeof(path), "%s/thing.db", folder);
	return 0;
}

static int tear_down(void **state)
{
	remove_folder(folder);
	return 0;
}

static struct sql *open_file(const char *name)
{
	struct sql *db = NULL;

	assert_int_equal(sql_open(&(struct sql_options){.path = name,
					  .words = "the thing",
					  .create = true,
					  .durable = true},
				 &db, NULL),
		0);
	return db;
}

static uint64_t number(struct sql *db, const char *text)
{
	uint64_t value = 12345;

	sql_read_number(db, text, &value);
	return value;
}

static void make_first(void)
{
	struct sql *db = open_file(path);

	assert_int_equal(schema_prepare(db, &first, path, NULL), 0);
	assert_int_equal(sql_script(db, "INSERT INTO thing VALUES (1)"), 0);
	sql_close(db);
}

static void an_empty_file_gets_the_present_schema(void **state)
{
	struct sql *db = open_file(path);

	assert_int_equal(schema_prepare(db, &third, path, NULL), 0);
	assert_int_equal(number(db, "SELECT number FROM schema_version"), 3);
	assert_int_equal(number(db, "SELECT count(third) FROM thing"), 0);
	assert_int_equal(schema_prepare(db, &third, path, NULL), 0);
	sql_close(db);
	assert_false(file_exists(in_folder(folder, "thing.db.before-3")));
}

static void an_older_one_is_copied_and_brought_forward(void **state)
{
	struct sql *db;

	make_first();
	db = open_file(path);
	assert_int_equal(schema_prepare(db, &third, path, NULL), 0);
	assert_int_equal(number(db, "SELECT number FROM schema_version"), 3);
	assert_int_equal(number(db, "SELECT first * 100 + second * 10 + third FROM thing"), 1023);
	sql_close(db);
	db = open_file(in_folder(folder, "thing.db.before-3"));
	assert_int_equal(number(db, "SELECT number FROM schema_version"), 1);
	assert_int_equal(number(db, "SELECT first FROM thing"), 1);
	sql_close(db);
}

static void a_step_that_fails_changes_nothing(void **state)
{
	struct error err = {.text = ""};
	struct sql *db;

	make_first();
	for (int i = 0; i < 2; i++) {
		db = open_file(path);
		assert_true(schema_prepare(db, &bad, path, &err) < 0);
		assert_non_null(strstr(err.text, "nothing"));
		assert_int_equal(number(db, "SELECT number FROM schema_version"), 1);
		assert_int_equal(number(db, "SELECT first FROM thing"), 1);
		sql_close(db);
	}
	db = open_file(path);
	assert_int_equal(schema_prepare(db, &third, path, NULL), 0);
	sql_close(db);
}

static void without_a_copy_nothing_is_changed(void **state)
{
	struct error err = {.text = ""};
	struct sql *db;

	make_first();
	assert_int_equal(mkdir(in_folder(folder, "thing.db.before-3"), 0700), 0);
	db = open_file(path);
	assert_true(schema_prepare(db, &third, path, &err) < 0);
	assert_non_null(strstr(err.text, "cannot copy"));
	assert_int_equal(number(db, "SELECT number FROM schema_version"), 1);
	sql_close(db);
}

static void a_newer_one_is_refused_with_words(void **state)
{
	struct error err = {.text = ""};
	struct sql *db = open_file(path);

	assert_int_equal(schema_prepare(db, &third, path, NULL), 0);
	assert_int_equal(schema_prepare(db, &first, path, &err), ERR_UNSUPPORTED);
	assert_non_null(strstr(err.text, "newer version"));
	assert_non_null(strstr(err.text, "3"));
	sql_close(db);
}

static void the_stores_refuse_a_newer_one(void **state)
{
	struct store *s = open_store(folder);
	struct error err = {.text = ""};
	struct sql *db;
	char queue[300];

	store_close(s);
	snprintf(queue, sizeof(queue), "%s/queue.db", folder);
	db = open_file(queue);
	assert_int_equal(sql_script(db, "UPDATE schema_version SET number = 999"), 0);
	sql_close(db);
	assert_int_equal(try_open(folder, &s, &err), ERR_UNSUPPORTED);
	assert_non_null(strstr(err.text, "999"));
}

static void another_database_is_refused(void **state)
{
	struct error err = {.text = ""};
	struct sql *db = open_file(path);

	assert_int_equal(sql_script(db, "CREATE TABLE other (x)"), 0);
	assert_int_equal(schema_prepare(db, &first, path, &err), ERR_CORRUPT);
	assert_non_null(strstr(err.text, "some other database"));
	sql_close(db);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(an_empty_file_gets_the_present_schema),
		TEST(an_older_one_is_copied_and_brought_forward),
		TEST(a_step_that_fails_changes_nothing),
		TEST(without_a_copy_nothing_is_changed),
		TEST(a_newer_one_is_refused_with_words),
		TEST(the_stores_refuse_a_newer_one),
		TEST(another_database_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
