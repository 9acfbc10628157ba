// SPDX-License-Identifier: ISC
// A short-lived child without rights that reads and checks the configuration: it asks master for
// each file, and gives back one sealed memfd a role. Whatever a foreign file does to its parser,
// it does it here. Tables are made by a second kind of it, which is given master's own part of a
// configuration in place of its files, and gives back one memfd.
#include "role/master_internal.h"

#include "base/event.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"
#include "config/gateways.h"
#include "ipc/channel.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#define MASTER_FD 3
#define SOURCE_MAX (64u * 1024 * 1024) // octets of one file

static uint64_t last_request;

// *out_fd is the open file, or -1 with an error.
static int ask_master(const char *path, bool secret, int *out_fd, struct error *err)
{
	struct ipc_read_file ask = {.request = ++last_request, .path = str_from(path), .secret = secret};
	struct buf body = {.limit = IPC_FRAME_MAX};
	unsigned type = 0;
	int fd = -1;
	struct ipc_file answer;
	if (ipc_encode_read_file(&body, &ask) ||
		ipc_send_blocking(MASTER_FD, IPC_TYPE_read_file, buf_str(&body), -1))
		_exit(70);
	buf_clear(&body);
	if (ipc_receive_blocking(MASTER_FD, &type, &body, &fd) || type != IPC_TYPE_file ||
		ipc_decode_file(buf_str(&body), &answer))
		_exit(70);
	int result = 0;
	if (answer.err)
		result = error_set(err, -(int)answer.err, "%.*s", STR_ARG(answer.text));
	else if (fd < 0)
		result = error_set(err, ERR_UNAVAILABLE, TEXT("cannot take over %s"), path);
	buf_finish(&body);
	if (result)
		fd_close(&fd);
	*out_fd = fd;
	return result;
}

static int read_whole(int fd, const char *path, size_t most, struct buf *out, struct error *err)
{
	int result = fd_read_all(fd, out, most);
	return result ? error_set(err, result, TEXT("cannot read %s: %s"), path, err_text(result)) : 0;
}

static int read_source(void *arg, const char *path, bool secret, struct buf *out, struct error *err)
{
	int fd, result = ask_master(path, secret, &fd, err);
	(void)arg;
	if (result)
		return result;
	result = read_whole(fd, path, SOURCE_MAX, out, err);
	fd_close(&fd);
	return result;
}

// Which kind it is master knows by itself.
static int read_table(void *arg, const char *path, enum config_table kind, struct buf *out,
	struct config_look *look, struct error *err)
{
	const uid_t *server = arg;
	int fd, result = ask_master(path, false, &fd, err);
	(void)kind;
	if (result)
		return result;
	result = config_read_table_fd(fd, path, *server, out, look, err);
	fd_close(&fd);
	return result;
}

static int seal(struct str octets)
{
	int fd = memfd_create("pabal-snapshot", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0 || fd_write_all(fd, octets.data, octets.len) ||
		fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL) < 0)
		fatal("cannot make a snapshot");
	return fd;
}

static void give_part(const struct config *c, unsigned for_role)
{
	struct buf part = BUF_INIT, body = BUF_INIT;
	if (config_encode(c, for_role, &part))
		fatal("cannot write the snapshot of role %u", for_role);
	int fd = seal(buf_str(&part));
	struct ipc_built built = {.for_role = for_role, .size = buf_len(&part)};
	if (ipc_encode_built(&body, &built) ||
		ipc_send_blocking(MASTER_FD, IPC_TYPE_built, buf_str(&body), fd))
		_exit(70);
	fd_close(&fd);
	buf_finish_wipe(&part);
	buf_finish(&body);
}

static void give_findings(const struct config_findings *f)
{
	struct buf text = {.limit = IPC_FRAME_MAX / 2}, body = BUF_INIT;
	config_findings_print(f, &text);
	struct ipc_findings m = {.errors = (uint32_t)f->errors, .text = buf_str(&text)};
	if (ipc_encode_findings(&body, &m) ||
		ipc_send_blocking(MASTER_FD, IPC_TYPE_findings, buf_str(&body), -1))
		_exit(70);
	buf_finish(&text);
	buf_finish(&body);
}

// Nobody configured a certificate: the one master made at the first start serves until then.
static void add_self_signed(struct config *c, struct config_reader *reader)
{
	char path[1200];
	struct error err = {0};
	struct buf pem = BUF_INIT;
	snprintf(path, sizeof path, "%.*s/tls/self-signed.pem", STR_ARG(c->state_folder));
	if (!reader->read(reader->arg, path, true, &pem, &err))
		config_fill_certificate(c, str_from(path), buf_str(&pem));
	buf_finish_wipe(&pem);
}

static void build_configuration(const char *path, const struct gateways *gateways)
{
	struct config_reader reader = {.read = read_source};
	struct config_findings findings = {0};
	struct config *c = config_build(path, &reader, &findings);
	if (c && !findings.errors && !config_names_tables(c))
		config_check_gateways(c, gateways, &findings);
	if (c && !findings.errors && config_needs_certificate(c))
		add_self_signed(c, &reader);
	if (c && !findings.errors)
		for (unsigned role = 1; role < CONFIG_FOR_ALL; role <<= 1)
			give_part(c, role);
	give_findings(&findings);
	config_destroy(c);
	config_findings_finish(&findings);
}

// ---- tables
static struct config *take_configuration(void)
{
	struct buf body = {.limit = IPC_FRAME_MAX};
	struct ipc_config m;
	struct config *c;
	unsigned type;
	int fd = -1;
	if (ipc_receive_blocking(MASTER_FD, &type, &body, &fd))
		_exit(70);
	if (type != IPC_TYPE_config || ipc_decode_config(buf_str(&body), &m) || fd < 0)
		fatal("master gave no configuration for the tables");
	void *mapping = mmap(NULL, m.size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (mapping == MAP_FAILED || config_decode(str_make(mapping, m.size), &c))
		fatal("cannot read the configuration snapshot");
	fd_close(&fd);
	buf_finish(&body);
	return c; // its strings lie in mapping, which stays
}

static void give_tables(struct str octets)
{
	struct buf body = BUF_INIT;
	struct ipc_built_tables built = {.size = octets.len};
	int fd = seal(octets);
	if (ipc_encode_built_tables(&body, &built) ||
		ipc_send_blocking(MASTER_FD, IPC_TYPE_built_tables, buf_str(&body), fd))
		_exit(70);
	fd_close(&fd);
	buf_finish(&body);
}

// Only now it is known whom all rules together trust.
static void look_for_gateways(struct config *c, struct str octets, const struct gateways *gateways,
	struct config_findings *findings)
{
	struct tables *tables;
	if (tables_open(octets, &tables))
		fatal("the tables that were made cannot be read");
	config_use_tables(c, tables);
	config_check_gateways(c, gateways, findings);
	config_use_tables(c, NULL);
	tables_close(tables);
}

static void build_tables(uid_t server, const struct gateways *gateways)
{
	struct config_reader reader = {.read = read_source, .read_table = read_table, .arg = &server};
	struct config_findings findings = {0};
	struct buf tables = {.limit = TABLES_SIZE_MAX};
	struct config *c = take_configuration();
	if (!tables_build(c, &reader, &tables, &findings)) {
		look_for_gateways(c, buf_str(&tables), gateways, &findings);
		give_tables(buf_str(&tables));
	}
	give_findings(&findings);
	buf_finish(&tables);
	config_findings_finish(&findings);
	config_destroy(c);
}

// Files of tables may come from less trusted hands than those of a configuration: who parses them
// opens nothing by name.
static int confine_builder(bool tables, struct error *err)
{
	struct confine_user user;
	struct rlimit none = {0, 0};
	int result = 0;
	if (geteuid() == 0) {
		result = confine_find_user("pabal-config", &user, err);
		if (!result)
			result = confine_become(&user, err);
	}
	if (!result && (setrlimit(RLIMIT_CORE, &none) < 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0))
		result = error_system(err, TEXT("cannot confine the configuration builder"));
	if (!result && tables && !PABAL_SANITIZED) // the leak checker reads about its own process
		result = confine_renounce(err);
	// The other kind of builder has keys in its memory and the same user.
	if (!result && !PABAL_SANITIZED && prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
		result = error_system(err, TEXT("cannot forbid tracing"));
	return result;
}

int builder_main(int argc, char **argv)
{
	bool tables = argc > 1 && !strcmp(argv[1], "--tables");
	uid_t server = geteuid();
	struct gateways gateways;
	struct error err = {0};
	if (argc < 2)
		return 64;
	signal(SIGPIPE, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	signal(SIGINT, SIG_IGN);
	event_setup("builder", STDERR_FILENO, EVENT_SINK_LINES, EVENT_KEY_VALUE, EVENT_INFO);
	gateways_read(&gateways);
	if (confine_builder(tables, &err))
		fatal("%s", err.text);
	if (tables)
		build_tables(server, &gateways);
	else
		build_configuration(argv[1], &gateways);
	return 0;
}
