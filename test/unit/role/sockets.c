// SPDX-License-Identifier: ISC
#include "role/master_internal.h"

#include "base/file.h"
#include "base/memory.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[64];

static struct master *master_create(void)
{
	struct master *m = mem_alloc(sizeof *m);
	m->log_fd = STDERR_FILENO;
	m->state_lock = -1; // not as root: the users of the roles may not be there
	return m;
}

static void master_destroy(struct master *m)
{
	for (size_t i = 0; i < m->socket_count; i++)
		fd_close(&m->sockets[i].fd);
	mem_free(m->sockets);
	fd_close(&m->state_lock);
	mem_free(m);
}

// ---- folders
static void folders_and_their_rights(void **state)
{
	static const struct {
		const char *below;
		unsigned mode;
	} rows[] = {{"state", 0755}, {"state/empty", 0755}, {"state/tls", 0755}, {"state/queue", 0700},
		{"state/auth", 0700}, {"state/mail", 0700}, {"run", 0755}};
	char path[100], run[100], at[200];
	struct error err = {0};
	(void)state;
	snprintf(path, sizeof path, "%s/state", folder);
	snprintf(run, sizeof run, "%s/run", folder);
	struct config config = {.state_folder = str_from(path), .run_folder = str_from(run)};
	struct master *m = master_create();
	mode_t before = umask(022);
	assert_int_equal(sockets_make_folders(m, &config, &err), 0);
	assert_int_equal(sockets_make_folders(m, &config, &err), 0); // as at a reload
	umask(before);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct stat st;
		snprintf(at, sizeof at, "%s/%s", folder, rows[i].below);
		assert_int_equal(stat(at, &st), 0);
		assert_int_equal(st.st_mode & 07777, rows[i].mode);
	}
	master_destroy(m);
}

static void one_server_a_state_folder(void **state)
{
	char path[100], run[100];
	struct error err = {0};
	(void)state;
	snprintf(path, sizeof path, "%s/state", folder);
	snprintf(run, sizeof run, "%s/run", folder);
	struct config config = {.state_folder = str_from(path), .run_folder = str_from(run)};
	struct master *first = master_create(), *second = master_create();
	// A lock that anybody may take must not keep the server from starting.
	int anybody = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(flock(anybody, LOCK_EX | LOCK_NB), 0);
	assert_int_equal(sockets_make_folders(first, &config, &err), 0);
	assert_int_equal(sockets_make_folders(second, &config, &err), ERR_EXISTS);
	assert_non_null(strstr(err.text, "another server runs on the folder"));
	assert_non_null(strstr(err.text, path));
	assert_null(strstr(err.text, "queue"));
	master_destroy(first);
	assert_int_equal(sockets_make_folders(second, &config, &err), 0);
	master_destroy(second);
	close(anybody);
}

// ---- listening sockets
static struct config one_server(struct config_server *server, struct config_listen *listens, size_t count)
{
	*server = (struct config_server){.name = STR("mx"), .listens = listens, .listen_count = count};
	return (struct config){.servers = server, .server_count = 1};
}

// A port that was free a moment ago.
static uint16_t free_port(void)
{
	struct ipaddr address = {4, {127, 0, 0, 1}}, at;
	struct sockaddr_storage bound;
	socklen_t len = sizeof bound;
	uint16_t port;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	socklen_t size = ipaddr_to_sockaddr(&address, 0, &bound);
	assert_int_equal(bind(fd, (struct sockaddr *)&bound, size), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&bound, &len), 0);
	ipaddr_from_sockaddr((struct sockaddr *)&bound, &at, &port);
	close(fd);
	return port;
}

static void sockets_stay_over_generations(void **state)
{
	struct config_listen listens[2] = {{.address = {4, {127, 0, 0, 1}}, .port = free_port()},
		{.address = {4, {127, 0, 0, 2}}, .port = free_port()}};
	struct config_server server;
	struct config both = one_server(&server, listens, 2);
	struct error err = {0};
	struct master *m = master_create();
	(void)state;
	assert_int_equal(sockets_open_all(m, &both, &err), 0);
	sockets_close_unwanted(m);
	assert_int_equal(m->socket_count, 2);
	int first = m->sockets[0].fd;
	struct config one = one_server(&server, listens, 1);
	assert_int_equal(sockets_open_all(m, &one, &err), 0);
	assert_int_equal(m->socket_count, 2); // until the new generation is sure
	sockets_close_unwanted(m);
	assert_int_equal(m->socket_count, 1);
	assert_int_equal(m->sockets[0].fd, first);
	master_destroy(m);
}

static void a_port_that_is_taken(void **state)
{
	struct config_listen listens[2] = {{.address = {4, {127, 0, 0, 1}}, .port = free_port()},
		{.address = {4, {127, 0, 0, 1}}, .port = free_port()}};
	struct config_server server;
	struct error err = {0};
	struct master *m = master_create(), *other = master_create();
	(void)state;
	struct config taken = one_server(&server, listens + 1, 1);
	assert_int_equal(sockets_open_all(other, &taken, &err), 0);
	struct config both = one_server(&server, listens, 2);
	assert_int_equal(sockets_open_all(m, &both, &err), ERR_EXISTS);
	assert_non_null(strstr(err.text, "is taken by"));
	master_destroy(other);
	master_destroy(m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(folders_and_their_rights),
		cmocka_unit_test(one_server_a_state_folder),
		cmocka_unit_test(sockets_stay_over_generations),
		cmocka_unit_test(a_port_that_is_taken),
	};
	strcpy(folder, "/tmp/pabal-sockets.XXXXXX");
	if (!mkdtemp(folder))
		return 1;
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	static const char *const made[] = {"state/empty", "state/tls", "state/queue", "state/auth", "state/mail",
		"state", "run", ""};
	for (size_t i = 0; i < ARRAY_SIZE(made); i++) {
		char path[100];
		snprintf(path, sizeof path, "%s/%s", folder, made[i]);
		rmdir(path);
	}
	return failed;
}
