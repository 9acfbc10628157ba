// SPDX-License-Identifier: ISC
// secrets.db: rights, the lock, values, and that nothing removed stays in the file.
#include "help.h"

#include "store/secrets.h"

#include <fcntl.h>
#include <sys/wait.h>

static char *folder;
static const char *path;

static int set_up(void **state)
{
	static char text[300];

	folder = make_folder();
	snprintf(text, sizeof(text), "%s/secrets.db", folder);
	path = text;
	return 0;
}

static int tear_down(void **state)
{
	remove_folder(folder);
	return 0;
}

static struct secrets *open_secrets(void)
{
	struct secrets *s = NULL;
	struct error err = {.text = ""};
	int code = secrets_open(path, true, &s, &err);

	if (code < 0)
		print_error("%s\n", err.text);
	assert_int_equal(code, 0);
	return s;
}

static void set(struct secrets *s, const char *name, const char *hash)
{
	struct secret secret = {.scram = "SCRAM-SHA-256$4096:salt$stored:server", .changed_ms = 7};

	assert_true(str_copy(str_from(hash), secret.hash, sizeof(secret.hash)));
	assert_int_equal(secrets_set(s, str_from(name), &secret), 0);
}

static void a_secret_comes_back(void **state)
{
	struct secrets *s = open_secrets();
	struct secret secret;

	assert_int_equal(secrets_get(s, STR("kim"), &secret), ERR_NOT_FOUND);
	set(s, "kim", "$y$first");
	set(s, "kim", "$y$second");
	set(s, "lee", "");
	secrets_close(s);
	s = open_secrets();
	assert_int_equal(secrets_get(s, STR("kim"), &secret), 0);
	assert_string_equal(secret.hash, "$y$second");
	assert_string_equal(secret.scram, "SCRAM-SHA-256$4096:salt$stored:server");
	assert_int_equal(secret.changed_ms, 7);
	assert_int_equal(secrets_get(s, STR("lee"), &secret), 0);
	assert_string_equal(secret.hash, "");
	assert_int_equal(secrets_remove(s, STR("kim")), 0);
	assert_int_equal(secrets_remove(s, STR("kim")), ERR_NOT_FOUND);
	assert_int_equal(secrets_get(s, STR("kim"), &secret), ERR_NOT_FOUND);
	secrets_close(s);
	secrets_close(NULL);
}

static void all_rights_but_ours_are_refused(void **state)
{
	static const mode_t modes[] = {0640, 0604, 0660, 0666, 0601};
	struct secrets *s = open_secrets();
	struct error err;
	struct stat st;

	set(s, "kim", "$y$hash");
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(stat(in_folder(folder, "secrets.db-wal"), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	secrets_close(s);
	for (size_t i = 0; i < ARRAY_SIZE(modes); i++) {
		assert_int_equal(chmod(path, modes[i]), 0);
		assert_int_equal(secrets_open(path, true, &s, &err), ERR_DENIED);
		assert_non_null(strstr(err.text, "0600"));
	}
	assert_int_equal(chmod(path, 0600), 0);
	secrets_close(open_secrets());
}

static void links_and_foreign_files_are_refused(void **state)
{
	const char *link = in_folder(folder, "link.db");
	struct secrets *s;
	struct error err = {.text = ""};

	secrets_close(open_secrets());
	assert_int_equal(symlink(path, link), 0);
	assert_int_equal(secrets_open(link, true, &s, &err), ERR_DENIED);
	assert_int_equal(secrets_open(folder, true, &s, &err), ERR_DENIED);
	assert_int_equal(
		secrets_open(in_folder(folder, "none.db"), false, &s, &err), ERR_NOT_FOUND);
	if (geteuid() == 0) {
		assert_int_equal(chown(path, 12345, 12345), 0);
		assert_int_equal(secrets_open(path, true, &s, &err), ERR_DENIED);
		assert_non_null(strstr(err.text, "12345"));
	} else {
		print_message("not root: a file of another user is not tested\n");
	}
}

static void two_cannot_have_it(void **state)
{
	struct secrets *s = open_secrets();
	int status;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		struct secrets *second;
		struct error err = {.text = ""};
		int code = secrets_open(path, true, &second, &err);

		_exit(code == ERR_DENIED && strstr(err.text, "in use by another process") ? 0 : 1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	secrets_close(s);
}

static bool file_has(const char *name, const char *octets)
{
	static char content[1 << 20];
	int fd = open(name, O_RDONLY);
	ssize_t n = fd >= 0 ? read(fd, content, sizeof(content)) : 0;

	if (fd >= 0)
		close(fd);
	return n > 0 && memmem(content, (size_t)n, octets, strlen(octets)) != NULL;
}

static void what_is_removed_is_overwritten(void **state)
{
	struct secrets *s = open_secrets();

	set(s, "kim", "$y$old-hash-of-kim");
	set(s, "lee", "$y$hash-of-lee");
	secrets_close(s);
	assert_true(file_has(path, "old-hash-of-kim"));
	s = open_secrets();
	set(s, "kim", "$y$new-hash-of-kim");
	assert_int_equal(secrets_remove(s, STR("lee")), 0);
	assert_false(file_has(in_folder(folder, "secrets.db-wal"), "hash-of"));
	// The file is read only after it was closed: reading and closing it would lose the lock.
	secrets_close(s);
	assert_false(file_has(path, "old-hash-of-kim"));
	assert_false(file_has(path, "hash-of-lee"));
	assert_true(file_has(path, "new-hash-of-kim"));
}

struct sweep {
	struct secrets *s;
	unsigned count;
};

static void remove_each(void *arg, struct str name)
{
	struct sweep *sweep = arg;

	sweep->count++;
	if (!str_equal(name, STR("b")))
		assert_int_equal(secrets_remove(sweep->s, name), 0);
}

static void names_can_be_removed_while_they_are_told(void **state)
{
	struct sweep sweep = {.s = open_secrets()};
	struct secret secret;

	set(sweep.s, "c", "");
	set(sweep.s, "a", "");
	set(sweep.s, "b", "");
	assert_int_equal(secrets_each(sweep.s, remove_each, &sweep), 0);
	assert_int_equal(sweep.count, 3);
	assert_int_equal(secrets_get(sweep.s, STR("a"), &secret), ERR_NOT_FOUND);
	assert_int_equal(secrets_get(sweep.s, STR("b"), &secret), 0);
	secrets_close(sweep.s);
}

// ---- applications, last uses, values, the key

static void note_application(void *arg, const struct secret_application *a)
{
	char *text = arg;
	size_t len = strlen(text);

	snprintf(text + len, 200 - len, "%s(%s,%u) ", a->label, a->networks, a->hash[0]);
}

static void application_passwords_go_with_their_account(void **state)
{
	struct secrets *s = open_secrets();
	struct secret_application a = {.label = "phone", .hash = {7}, .networks = "192.0.2.0/24"};
	struct secret_use uses[] = {{STR("kim"), STR("phone"), 5, {4, {192, 0, 2, 1}}},
		{STR("kim"), STR_EMPTY, 6, {0}}};
	char text[200] = "", client[IPADDR_TEXT_MAX];
	uint64_t when;

	set(s, "kim", "$y$hash");
	assert_int_equal(secrets_application_add(s, STR("kim"), &a), 0);
	assert_int_equal(secrets_application_add(s, STR("kim"), &a), ERR_EXISTS);
	a = (struct secret_application){.label = "desk"};
	assert_int_equal(secrets_application_add(s, STR("kim"), &a), 0);
	assert_int_equal(secrets_application_each(s, STR("kim"), note_application, text), 0);
	assert_string_equal(text, "desk(,0) phone(192.0.2.0/24,7) ");
	assert_int_equal(secrets_last_use(s, STR("kim"), STR("phone"), &when, client), ERR_NOT_FOUND);
	assert_int_equal(secrets_note_uses(s, uses, 2), 0);
	assert_int_equal(secrets_note_uses(s, uses, 0), 0);
	assert_int_equal(secrets_last_use(s, STR("kim"), STR("phone"), &when, client), 0);
	assert_int_equal(when, 5);
	assert_string_equal(client, "192.0.2.1");
	assert_int_equal(secrets_last_use(s, STR("kim"), STR(""), &when, client), 0);
	assert_string_equal(client, "");
	assert_int_equal(secrets_application_remove(s, STR("kim"), STR("desk")), 0);
	assert_int_equal(secrets_application_remove(s, STR("kim"), STR("desk")), ERR_NOT_FOUND);
	assert_int_equal(secrets_remove(s, STR("kim")), 0);
	text[0] = '\0';
	assert_int_equal(secrets_application_each(s, STR("kim"), note_application, text), 0);
	assert_string_equal(text, "");
	assert_int_equal(secrets_last_use(s, STR("kim"), STR("phone"), &when, client), ERR_NOT_FOUND);
	secrets_close(s);
}

static void who_lacks_scram_keys_is_told(void **state)
{
	struct secrets *s = open_secrets();
	struct secret imported = {.hash = "$6$salt$hash", .changed_ms = 1};
	uint64_t count;

	set(s, "kim", "$y$hash");
	assert_int_equal(secrets_without_scram(s, NULL, NULL, &count), 0);
	assert_int_equal(count, 0);
	assert_int_equal(secrets_set(s, STR("lee"), &imported), 0);
	assert_int_equal(secrets_without_scram(s, NULL, NULL, &count), 0);
	assert_int_equal(count, 1);
	secrets_close(s);
}

static void our_own_values_and_the_key_stay(void **state)
{
	struct secrets *s = open_secrets();
	unsigned char key[SECRETS_KEY], again[SECRETS_KEY], none[SECRETS_KEY] = {0};
	char value[8], file[300];
	struct error err;
	size_t len;
	struct stat st;

	assert_int_equal(secrets_meta_get(s, STR("a"), value, sizeof value, &len), ERR_NOT_FOUND);
	assert_int_equal(secrets_meta_set(s, STR("a"), STR("one")), 0);
	assert_int_equal(secrets_meta_set(s, STR("a"), STR("second")), 0);
	assert_int_equal(secrets_key(s, false, key, &err), ERR_NOT_FOUND);
	assert_int_equal(secrets_key(s, true, key, &err), 0);
	assert_memory_not_equal(key, none, sizeof key);
	secrets_close(s);
	s = open_secrets();
	assert_int_equal(secrets_meta_get(s, STR("a"), value, sizeof value, &len), 0);
	assert_int_equal(len, 6);
	assert_memory_equal(value, "second", 6);
	assert_int_equal(secrets_meta_get(s, STR("a"), value, 5, &len), ERR_LIMIT);
	assert_int_equal(secrets_key(s, true, again, &err), 0);
	assert_memory_equal(key, again, sizeof key);
	secrets_close(s);
	snprintf(file, sizeof file, "%s/legacy.key", folder);
	assert_int_equal(stat(file, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(chmod(file, 0640), 0);
	s = open_secrets();
	assert_int_equal(secrets_key(s, true, again, &err), ERR_DENIED);
	secrets_close(s);
}

static void a_state_is_replaced_once(void **state)
{
	struct secrets *s = open_secrets();
	char found[SECRETS_OTP];

	(void)state;
	assert_int_equal(secrets_otp_get(s, STR("kim"), found), ERR_NOT_FOUND);
	assert_string_equal(found, "");
	assert_int_equal(secrets_otp_replace(s, STR("kim"), "", "one"), ERR_NOT_FOUND);
	assert_int_equal(secrets_otp_set(s, STR("kim"), "one"), 0);
	assert_int_equal(secrets_otp_set(s, STR("lee"), "one"), 0);
	assert_int_equal(secrets_otp_replace(s, STR("kim"), "one", "two"), 0);
	assert_int_equal(secrets_otp_replace(s, STR("kim"), "one", "two"), ERR_NOT_FOUND);
	secrets_close(s);
	s = open_secrets();
	assert_int_equal(secrets_otp_get(s, STR("kim"), found), 0);
	assert_string_equal(found, "two");
	assert_int_equal(secrets_otp_remove(s, STR("kim")), 0);
	assert_int_equal(secrets_otp_remove(s, STR("kim")), ERR_NOT_FOUND);
	assert_int_equal(secrets_remove(s, STR("lee")), 0); // with its account
	assert_int_equal(secrets_otp_get(s, STR("lee"), found), ERR_NOT_FOUND);
	secrets_close(s);
}

static void note_place(void *arg, const struct secret_place *p)
{
	char *text = arg;
	size_t used = strlen(text);

	snprintf(text + used, 200 - used, "%.*s[%.*s]", STR_ARG(p->name), STR_ARG(p->addresses));
}

static void only_the_last_places_are_kept(void **state)
{
	struct secrets *s = open_secrets();
	const struct secret_place places[] = {{STR("kim"), STR("192.0.2.1 2001:db8::"), 30},
		{STR("lee"), STR("192.0.2.2"), 10}, {STR("park"), STR("192.0.2.3"), 20}};
	const struct secret_place again = {STR("park"), STR("192.0.2.4"), 40};
	char text[200] = "";

	assert_int_equal(secrets_places_set(s, places, 3, 2), 0);
	assert_int_equal(secrets_places_set(s, &again, 1, 2), 0);
	secrets_close(s);
	s = open_secrets();
	assert_int_equal(secrets_places_each(s, 100, note_place, text), 0);
	assert_string_equal(text, "kim[192.0.2.1 2001:db8::]park[192.0.2.4]");
	text[0] = '\0';
	assert_int_equal(secrets_places_each(s, 1, note_place, text), 0);
	assert_string_equal(text, "park[192.0.2.4]");
	set(s, "park", "$y$hash");
	assert_int_equal(secrets_remove(s, STR("park")), 0);
	text[0] = '\0';
	assert_int_equal(secrets_places_each(s, 100, note_place, text), 0);
	assert_string_equal(text, "kim[192.0.2.1 2001:db8::]");
	secrets_close(s);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_secret_comes_back),
		TEST(all_rights_but_ours_are_refused),
		TEST(links_and_foreign_files_are_refused),
		TEST(two_cannot_have_it),
		TEST(what_is_removed_is_overwritten),
		TEST(names_can_be_removed_while_they_are_told),
		TEST(application_passwords_go_with_their_account),
		TEST(who_lacks_scram_keys_is_told),
		TEST(our_own_values_and_the_key_stay),
		TEST(a_state_is_replaced_once),
		TEST(only_the_last_places_are_kept),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
