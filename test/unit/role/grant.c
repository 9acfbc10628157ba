// SPDX-License-Identifier: ISC
#include "role/grant.h"

#include "base/file.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

// A folder "own" with a configuration, and "other" beside it; "own/link" leads to "other/deep".
static char folder[64];

static const char *in_folder(const char *name)
{
	static char paths[4][200];
	static unsigned next;
	char *path = paths[next++ % 4];
	snprintf(path, sizeof paths[0], "%s/%s", folder, name);
	return path;
}

static void remember(struct grant *g, const char *path, const char *text)
{
	FILE *file = tmpfile();
	assert_non_null(file);
	assert_int_equal(fd_write_all(fileno(file), text, strlen(text)), 0);
	assert_int_equal(lseek(fileno(file), 3, SEEK_SET), 3);
	grant_remember(g, path, fileno(file));
	assert_int_equal(lseek(fileno(file), 0, SEEK_CUR), 3); // for whoever gets it
	fclose(file);
}

static void check(struct grant *g, const char *path, bool good)
{
	struct error err = {0};
	int result = grant_check(g, path, &err);
	if ((result == 0) != good)
		fail_msg("%s: %d", path, result);
	if (!good) {
		assert_int_equal(result, ERR_DENIED);
		assert_non_null(strstr(err.text, "no configuration file names it"));
	}
}

static void what_lies_beside(void **state)
{
	static const struct {
		const char *path; // with an o: in the test's folder
		bool good;
	} rows[] = {
		{"own/pabal.conf", true},
		{"own/server.pem", true},
		{"own/conf.d/more.conf", true},
		{"own/conf.d/../server.pem", true},
		{"own/..pem", true},
		{"own/...", true},
		{"own/link/key.pem", true}, // a link in it was made by who may write there
		{"own", false},
		{"ownership/key.pem", false},
		{"other/key.pem", false},
		{"own/../other/key.pem", false},
		{"own/conf.d/../../other/key.pem", false},
		{"own/..", false},
		{"own/link/..", false},
		{"own/link/../key.pem", false}, // the kernel goes to other/key.pem
		{"own/missing/../server.pem", false}, // leads nowhere
		{"/etc/pabal/pabal.conf", true},
		{"/etc/pabal/tls/key.pem", true},
		{"/etc/pabal", false},
		{"/etc/pabal/../shadow", false},
		{"/etc/pabal-other/key.pem", false},
		{"/etc/shadow", false},
		{"/proc/self/fd/4", false},
		{"pabal.conf", false},
		{"", false},
	};
	(void)state;
	struct grant *g = grant_create(in_folder("own/pabal.conf"));
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		check(g, rows[i].path[0] == 'o' ? in_folder(rows[i].path) : rows[i].path, rows[i].good);
	grant_destroy(g);
}

// Then "beside" would be a good part of the machine.
static void a_folder_of_the_whole_system(void **state)
{
	(void)state;
	static const char *const configs[] = {"/etc/pabal.conf", "/pabal.conf"};
	for (size_t i = 0; i < ARRAY_SIZE(configs); i++) {
		struct grant *g = grant_create(configs[i]);
		check(g, configs[i], true);
		check(g, "/etc/shadow", false);
		check(g, "/shadow", false);
		check(g, "/etc/pabal/key.pem", true);
		remember(g, configs[i], "tls { certificate \"mail.pem\" }");
		check(g, i ? "/mail.pem" : "/etc/mail.pem", true);
		grant_destroy(g);
	}
}

static void what_is_named(void **state)
{
	(void)state;
	struct grant *g = grant_create("/srv/mail/pabal.conf");
	check(g, "/etc/ssl/mail.pem", false);
	remember(g, "/srv/mail/pabal.conf",
		"tls { certificate \"/etc/ssl/mail.pem\" }\n"
		"include \"/opt/site/more.conf\" # see /etc/shadow\n"
		"tls { ca-file \"/etc/with \\\"quotes\\\" and \\\\.pem\" }\n"
		"include \"../shared/all.conf\"\n");
	check(g, "/etc/ssl/mail.pem", true);
	check(g, "/etc/ssl/mail.pe", false);
	check(g, "/etc/ssl", false);
	check(g, "/etc/shadow", false);
	check(g, "/etc/with \"quotes\" and \\.pem", true);
	check(g, "/srv/mail/../shared/all.conf", true);
	check(g, "/opt/site/more.conf", true);
	check(g, "/opt/site/key.pem", false);
	// names in an included file start at its own folder
	remember(g, "/opt/site/more.conf", "tls { certificate \"cert.pem\" key \"key.pem\" }");
	check(g, "/opt/site/key.pem", true);
	check(g, "/opt/site/deeper/key.pem", false);
	check(g, "/opt/key.pem", false);
	check(g, "key.pem", false);
	grant_destroy(g);
}

// A certificate comes from others: words in it open nothing.
static void a_certificate_names_nothing(void **state)
{
	(void)state;
	struct grant *g = grant_create("/srv/mail/pabal.conf");
	remember(g, "/srv/mail/cert.pem", "\"/etc/shadow\"\n-----BEGIN CERTIFICATE-----\n");
	check(g, "/etc/shadow", false);
	grant_destroy(g);
}

static void the_self_signed_certificate(void **state)
{
	(void)state;
	struct grant *g = grant_create("/srv/mail/pabal.conf");
	check(g, "/var/lib/pabal/tls/self-signed.pem", true);
	check(g, "/var/lib/pabal/tls/other.pem", false);
	check(g, "/var/spool/tls/self-signed.pem", false);
	remember(g, "/srv/mail/pabal.conf", "state-folder \"/var/spool\"");
	check(g, "/var/spool/tls/self-signed.pem", true);
	check(g, "/tls/self-signed.pem", false);
	grant_destroy(g);
}

static void check_table(struct grant *g, const char *path, int kind)
{
	struct error err = {0};
	enum config_table found;
	int result = grant_check_table(g, path, &found, &err);
	if ((result == 0) != (kind >= 0) || (kind >= 0 && (int)found != kind))
		fail_msg("%s: %d", path, result);
}

static void remember_aliases(struct grant *g, const char *text, mode_t mode)
{
	FILE *file = tmpfile();
	assert_non_null(file);
	assert_int_equal(fd_write_all(fileno(file), text, strlen(text)), 0);
	assert_int_equal(fchmod(fileno(file), mode), 0);
	grant_remember_aliases(g, "/etc/aliases", fileno(file));
	fclose(file);
}

static void what_tables_may_have(void **state)
{
	static struct str rules[] = {{"/etc/tcp.smtp", 13}}, domains[] = {{"/q/rcpthosts.cdb", 16}},
			  aliases[] = {{"/etc/aliases", 12}};
	struct config c = {.rules = {rules, 1}, .relay_domain_files = {domains, 1}, .aliases = {aliases, 1}};
	struct grant *g = grant_create_for_tables(&c);
	(void)state;
	check_table(g, "/etc/tcp.smtp", CONFIG_TABLE_LIST);
	check_table(g, "/etc/tcp.smtp.cdb", CONFIG_TABLE_LIST);
	check_table(g, "/q/rcpthosts", CONFIG_TABLE_LIST);
	check_table(g, "/etc/aliases", CONFIG_TABLE_ALIASES);
	check_table(g, "/etc/aliases.cdb", -1);
	check_table(g, "/etc/tcp.smtp.cdb.cdb", -1);
	check_table(g, "/etc/pabal/key.pem", -1); // beside the configuration or not
	check_table(g, "etc/tcp.smtp", -1);
	check_table(g, "", -1);
	remember_aliases(g, "a: :include:/lists/a, b\nb: \":include:/lists/b\"\nc: :Include: /lists/c\n"
		"d: x:include:/lists/d,/lists/e\nf: :include:/lists/f", 0644);
	check_table(g, "/lists/a", CONFIG_TABLE_INCLUDE);
	check_table(g, "/lists/b", CONFIG_TABLE_INCLUDE);
	check_table(g, "/lists/c", CONFIG_TABLE_INCLUDE);
	check_table(g, "/lists/f", CONFIG_TABLE_INCLUDE);
	check_table(g, "/lists/e", -1);
	check_table(g, "/lists/", -1);
	check_table(g, "/lists", -1);
	check_table(g, "/etc/shadow", -1);
	remember_aliases(g, "a: :include:/etc/shadow", 0666); // anybody's words
	check_table(g, "/etc/shadow", -1);
	grant_destroy(g);
}

static void check_include(struct grant *g, const char *name, mode_t mode, bool good)
{
	const char *path = in_folder(name);
	struct error err = {0};
	FILE *file = fopen(path, "w");
	assert_non_null(file);
	assert_int_equal(fchmod(fileno(file), mode), 0);
	int result = grant_check_include(g, fileno(file), path, &err);
	if ((result == 0) != good)
		fail_msg("%s %04o: %d", name, (unsigned)mode, result);
	fclose(file);
	unlink(path);
}

// Who may write a list must not have it lead to what only root may read.
static void what_may_be_included(void **state)
{
	struct str aliases = str_from(in_folder("own/aliases"));
	struct config c = {.aliases = {&aliases, 1}};
	struct grant *g = grant_create_for_tables(&c);
	(void)state;
	check_include(g, "other/list", 0644, true);
	check_include(g, "other/list", 0640, false);
	check_include(g, "own/list", 0600, true);
	check_include(g, "own/conf.d/list", 0600, true);
	check_include(g, "own/link/list", 0600, false); // what counts is where it leads
	grant_destroy(g);
}

static int make_folder(void **state)
{
	static const char *const folders[] = {"own", "own/conf.d", "other", "other/deep"};
	(void)state;
	strcpy(folder, "/tmp/pabal-grant.XXXXXX");
	if (!mkdtemp(folder))
		return -1;
	for (size_t i = 0; i < ARRAY_SIZE(folders); i++)
		if (mkdir(in_folder(folders[i]), 0700))
			return -1;
	return symlink("../other/deep", in_folder("own/link"));
}

static int remove_folder(void **state)
{
	(void)state;
	return unlink(in_folder("own/link")) || rmdir(in_folder("own/conf.d")) || rmdir(in_folder("own")) ||
	       rmdir(in_folder("other/deep")) || rmdir(in_folder("other")) || rmdir(folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_lies_beside),
		cmocka_unit_test(a_folder_of_the_whole_system),
		cmocka_unit_test(what_is_named),
		cmocka_unit_test(a_certificate_names_nothing),
		cmocka_unit_test(the_self_signed_certificate),
		cmocka_unit_test(what_tables_may_have),
		cmocka_unit_test(what_may_be_included),
	};
	return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
