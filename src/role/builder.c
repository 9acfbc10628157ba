// SPDX-License-Identifier: ISC
// A short-lived child without rights that reads and checks the configuration: it asks master for
// each file, and gives back one sealed memfd a role. Whatever a foreign file does to its parser,
// it does it here.
#include "role/master_internal.h"

#include "base/event.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"
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

static int ask_master(void *arg, const char *path, bool secret, struct buf *out, struct error *err)
{
	(void)arg;
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
	int result;
	if (answer.err)
		result = error_set(err, -(int)answer.err, "%.*s", STR_ARG(answer.text));
	else if ((result = fd_read_all(fd, out, SOURCE_MAX)))
		error_set(err, result, TEXT("cannot read %s: %s"), path, err_text(result));
	fd_close(&fd);
	buf_finish(&body);
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

int builder_main(int argc, char **argv)
{
	if (argc < 2)
		return 64;
	signal(SIGPIPE, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	signal(SIGINT, SIG_IGN);
	event_setup("builder", STDERR_FILENO, EVENT_SINK_LINES, EVENT_KEY_VALUE, EVENT_INFO);
	struct error err = {0};
	if (geteuid() == 0) {
		struct confine_user user;
		if (confine_find_user("pabal-config", &user, &err) || confine_become(&user, &err))
			fatal("%s", err.text);
	}
	struct rlimit none = {0, 0};
	if (setrlimit(RLIMIT_CORE, &none) < 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		fatal("cannot confine the configuration builder");

	struct config_reader reader = {.read = ask_master};
	struct config_findings findings = {0};
	struct config *c = config_build(argv[1], &reader, &findings);
	if (c && !findings.errors && config_needs_certificate(c))
		add_self_signed(c, &reader);
	if (c && !findings.errors)
		for (unsigned role = 1; role < CONFIG_FOR_ALL; role <<= 1)
			give_part(c, role);
	give_findings(&findings);
	config_destroy(c);
	config_findings_finish(&findings);
	return 0;
}
