// SPDX-License-Identifier: ISC
// Our own accounts as a source: application passwords beside the password, keys for an imported
// hash, what is stored for old mechanisms, last uses.
#include "auth/check.h"

#include "auth/application.h"
#include "auth/password.h"
#include "auth/seal.h"
#include "base/clock.h"
#include "base/event.h"
#include "base/memory.h"

#include <crypt.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#define KIM	 STR("kim@example.kr")
#define PASSWORD STR("correct horse")

struct world {
	uv_loop_t loop;
	char folder[64];
	struct secrets *secrets;
	struct auth_checks *checks;
	struct auth_asker asker;
	enum auth_check_result result;
};

static void put(struct world *w, const struct secret *secret)
{
	assert_int_equal(secrets_set(w->secrets, KIM, secret), 0);
}

static int make(void **state)
{
	struct world *w = mem_alloc(sizeof *w);
	char path[96];
	struct secret secret;

	event_setup("test", open("/dev/null", O_WRONLY), EVENT_SINK_LINES, EVENT_KEY_VALUE, EVENT_ERROR);
	assert_int_equal(uv_loop_init(&w->loop), 0);
	strcpy(w->folder, "/tmp/pabal-check-XXXXXX");
	assert_non_null(mkdtemp(w->folder));
	snprintf(path, sizeof path, "%s/secrets.db", w->folder);
	assert_int_equal(secrets_open(path, true, &w->secrets, NULL), 0);
	assert_int_equal(password_make(PASSWORD, &secret, NULL), 0);
	put(w, &secret);
	w->checks = auth_checks_create(&w->loop, w->secrets, 2);
	*state = w;
	return 0;
}

static int unmake(void **state)
{
	static const char *const names[] = {"secrets.db", "secrets.db-wal", "secrets.db-shm", "legacy.key"};
	struct world *w = *state;
	char path[96];

	auth_checks_destroy(w->checks);
	uv_run(&w->loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&w->loop), 0);
	secrets_close(w->secrets);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		snprintf(path, sizeof path, "%s/%s", w->folder, names[i]);
		(void)unlink(path);
	}
	assert_int_equal(rmdir(w->folder), 0);
	mem_free(w);
	return 0;
}

static void on_done(struct auth_asker *asker, enum auth_check_result result)
{
	((struct world *)((char *)asker - offsetof(struct world, asker)))->result = result;
}

// hashed: how many slow hashes it cost.
static enum auth_check_result ask(struct world *w, struct str name, struct str password,
	const char *client, unsigned long *hashed)
{
	unsigned char key[AUTH_CACHE_KEY];
	unsigned long before = password_operations();

	w->asker = (struct auth_asker){.done = on_done};
	list_init(&w->asker.link);
	assert_int_equal(ipaddr_parse(str_from(client), &w->asker.client), 0);
	auth_checks_key(w->checks, name, password, key);
	w->result = auth_check_start(w->checks, key, name, password, &w->asker);
	while (w->result == AUTH_CHECK_PENDING)
		uv_run(&w->loop, UV_RUN_ONCE);
	if (hashed)
		*hashed = password_operations() - before;
	return w->result;
}

static void add_application(struct world *w, const char *label, const char *networks,
	uint64_t expires_ms, char text[AUTH_APPLICATION_TEXT])
{
	struct secret_application a = {.created_ms = 1, .expires_ms = expires_ms};

	str_copy(str_from(label), a.label, sizeof a.label);
	str_copy(str_from(networks), a.networks, sizeof a.networks);
	assert_int_equal(auth_application_make(w->secrets, KIM, text, a.hash), 0);
	assert_int_equal(secrets_application_add(w->secrets, KIM, &a), 0);
}

static void an_application_password_is_right_as_well(void **state)
{
	struct world *w = *state;
	char text[AUTH_APPLICATION_TEXT], other[AUTH_APPLICATION_TEXT], typed[40] = "", at[IPADDR_TEXT_MAX];
	unsigned long hashed;
	uint64_t when;

	add_application(w, "phone", "", 0, text);
	add_application(w, "desk", "", 0, other);
	assert_string_not_equal(text, other);
	assert_int_equal(strlen(text), 24);
	assert_int_equal(ask(w, KIM, str_from(text), "192.0.2.1", &hashed), AUTH_CHECK_RIGHT);
	assert_int_equal(hashed, 0);
	for (size_t i = 0, n = 0; text[i]; i++) // as a telephone would type it
		if (text[i] != '-')
			typed[n++] = (char)(i ? text[i] : text[i] - 32);
	assert_int_equal(ask(w, KIM, str_from(typed), "192.0.2.1", NULL), AUTH_CHECK_RIGHT);
	assert_int_equal(ask(w, KIM, PASSWORD, "192.0.2.1", NULL), AUTH_CHECK_RIGHT);
	// of that account only, and never of a name that is none
	assert_int_equal(ask(w, STR("lee@example.kr"), str_from(text), "192.0.2.1", &hashed),
		AUTH_CHECK_UNKNOWN);
	assert_int_equal(hashed, 1);
	assert_int_equal(ask(w, STR_EMPTY, str_from(text), "192.0.2.1", NULL), AUTH_CHECK_UNKNOWN);
	assert_int_equal(secrets_last_use(w->secrets, KIM, STR("phone"), &when, at), ERR_NOT_FOUND);
	auth_checks_write_uses(w->checks);
	assert_int_equal(secrets_last_use(w->secrets, KIM, STR("phone"), &when, at), 0);
	assert_string_equal(at, "192.0.2.1");
	assert_int_equal(secrets_last_use(w->secrets, KIM, STR("desk"), &when, at), ERR_NOT_FOUND);
	// taken away: at once
	assert_int_equal(secrets_application_remove(w->secrets, KIM, STR("phone")), 0);
	assert_int_equal(ask(w, KIM, str_from(text), "192.0.2.1", &hashed), AUTH_CHECK_WRONG);
	assert_int_equal(hashed, 1);
	assert_int_equal(ask(w, KIM, str_from(other), "192.0.2.1", NULL), AUTH_CHECK_RIGHT);
}

static void it_holds_where_and_as_long_as_it_may(void **state)
{
	struct world *w = *state;
	char home[AUTH_APPLICATION_TEXT], old[AUTH_APPLICATION_TEXT];
	unsigned long hashed;

	add_application(w, "home", "192.0.2.0/24 2001:db8::/32", 0, home);
	add_application(w, "old", "", clock_wall_ms() - 1, old);
	assert_int_equal(ask(w, KIM, str_from(home), "192.0.2.9", NULL), AUTH_CHECK_RIGHT);
	assert_int_equal(ask(w, KIM, str_from(home), "2001:db8::5", NULL), AUTH_CHECK_RIGHT);
	// costs and looks like any wrong password; the log hears why
	assert_int_equal(ask(w, KIM, str_from(home), "203.0.113.7", &hashed), AUTH_CHECK_WRONG);
	assert_int_equal(hashed, 1);
	assert_string_equal(w->asker.note,
		"the application password \"home\" may not be used from 203.0.113.7");
	assert_int_equal(ask(w, KIM, str_from(old), "192.0.2.9", &hashed), AUTH_CHECK_WRONG);
	assert_int_equal(hashed, 1);
	assert_non_null(strstr(w->asker.note, "\"old\" has expired"));
	assert_int_equal(ask(w, KIM, STR("wrong"), "192.0.2.9", NULL), AUTH_CHECK_WRONG);
	assert_string_equal(w->asker.note, "");
}

static void an_imported_hash_gets_its_keys_at_the_next_login(void **state)
{
	struct world *w = *state;
	struct secret secret = {.changed_ms = 1};
	const char *imported = crypt("correct horse", "$6$saltsalt$");
	uint64_t count;

	str_copy(str_from(imported), secret.hash, sizeof secret.hash);
	put(w, &secret);
	assert_int_equal(ask(w, KIM, STR("wrong"), "192.0.2.1", NULL), AUTH_CHECK_WRONG);
	assert_int_equal(secrets_without_scram(w->secrets, NULL, NULL, &count), 0);
	assert_int_equal(count, 1);
	assert_int_equal(ask(w, KIM, PASSWORD, "192.0.2.1", NULL), AUTH_CHECK_RIGHT);
	assert_int_equal(secrets_without_scram(w->secrets, NULL, NULL, &count), 0);
	assert_int_equal(count, 0);
	assert_int_equal(secrets_get(w->secrets, KIM, &secret), 0);
	assert_string_equal(secret.hash, imported);
	assert_int_equal(strncmp(secret.scram, "SCRAM-SHA-256$4096:", 19), 0);
}

static struct auth_answer look_up(struct world *w, struct str name, unsigned gives)
{
	struct auth_answer a;

	auth_accounts_lookup(w->secrets, name, gives, &a);
	return a;
}

static void only_what_was_sealed_can_be_read(void **state)
{
	struct world *w = *state;
	struct secret secret, other;
	struct auth_answer a = look_up(w, KIM, AUTH_GIVES_CLEAR);

	assert_int_equal(a.verdict, AUTH_NO);
	assert_non_null(strstr(a.reason, "pabal account set kim@example.kr --legacy on"));
	assert_string_equal(a.clear, "");
	assert_int_equal(look_up(w, STR("lee@example.kr"), AUTH_GIVES_CLEAR).verdict, AUTH_UNKNOWN);
	a = look_up(w, KIM, AUTH_GIVES_SCRAM);
	assert_int_equal(a.verdict, AUTH_YES);
	assert_int_equal(strncmp(a.scram[0], "SCRAM-SHA-256$", 14), 0);
	assert_string_equal(a.clear, "");

	assert_int_equal(secrets_get(w->secrets, KIM, &secret), 0);
	assert_int_equal(auth_seal_put(w->secrets, KIM, PASSWORD, &secret, NULL), 0);
	put(w, &secret);
	a = look_up(w, KIM, AUTH_GIVES_CLEAR);
	assert_int_equal(a.verdict, AUTH_YES);
	assert_string_equal(a.clear, "correct horse");
	assert_string_equal(a.scram[0], "");
	a = look_up(w, KIM, AUTH_GIVES_CLEAR | AUTH_GIVES_SCRAM);
	assert_string_equal(a.clear, "correct horse");
	assert_string_not_equal(a.scram[0], "");
	// neither octets of another account nor changed ones open
	assert_int_equal(secrets_set(w->secrets, STR("lee@example.kr"), &secret), 0);
	assert_int_equal(look_up(w, STR("lee@example.kr"), AUTH_GIVES_CLEAR).verdict, AUTH_NO);
	other = secret;
	other.sealed[40] ^= 1;
	put(w, &other);
	assert_int_equal(look_up(w, KIM, AUTH_GIVES_CLEAR).verdict, AUTH_NO);
	other = secret;
	other.sealed_len = 10;
	put(w, &other);
	assert_int_equal(look_up(w, KIM, AUTH_GIVES_CLEAR).verdict, AUTH_NO);
	assert_null(memmem(secret.sealed, secret.sealed_len, "correct", 7));
}

static void the_last_login_is_noted(void **state)
{
	struct world *w = *state;
	struct ipaddr client = {4, {192, 0, 2, 7}};
	char at[IPADDR_TEXT_MAX];
	uint64_t when;

	auth_checks_note_login(w->checks, KIM, &client);
	auth_checks_note_login(w->checks, KIM, &client);
	auth_checks_note_login(w->checks, STR("gone@example.kr"), &client);
	auth_checks_forget(w->checks, STR("gone@example.kr")); // removed: nothing of it is written
	auth_checks_write_uses(w->checks);
	assert_int_equal(secrets_last_use(w->secrets, KIM, STR_EMPTY, &when, at), 0);
	assert_true(when + 60000 > clock_wall_ms());
	assert_string_equal(at, "192.0.2.7");
	assert_int_equal(
		secrets_last_use(w->secrets, STR("gone@example.kr"), STR_EMPTY, &when, at), ERR_NOT_FOUND);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, make, unmake)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(an_application_password_is_right_as_well),
		TEST(it_holds_where_and_as_long_as_it_may),
		TEST(an_imported_hash_gets_its_keys_at_the_next_login),
		TEST(only_what_was_sealed_can_be_read),
		TEST(the_last_login_is_noted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
