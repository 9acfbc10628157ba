// SPDX-License-Identifier: ISC
#include "auth/source/ca_file.h"

#include "base/file.h"
#include "base/text.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

static int use_system(struct auth_ca_file *f, struct error *err)
{
	static const char *const paths[] = {"/etc/ssl/certs/ca-certificates.crt",
		"/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem"};

	for (size_t i = 0; i < ARRAY_SIZE(paths); i++)
		if (!access(paths[i], R_OK)) {
			snprintf(f->path, sizeof f->path, "%s", paths[i]);
			return 0;
		}
	return error_set(err, ERR_NOT_FOUND,
		TEXT("ca-file is not set, and this system has no certificate authorities of its "
		     "own (package ca-certificates)"));
}

int auth_ca_file_init(struct auth_ca_file *f, const struct config_file *from, struct error *err)
{
	*f = (struct auth_ca_file){.fd = -1};
	if (!from->path.len)
		return use_system(f, err);
	f->fd = memfd_create("pabal-ca", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (f->fd < 0 || fd_write_all(f->fd, from->content.data, from->content.len) ||
		fcntl(f->fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW) < 0) {
		error_system(err, TEXT("cannot keep ca-file in memory"));
		fd_close(&f->fd);
		return err ? err->code : ERR_SYSTEM;
	}
	snprintf(f->path, sizeof f->path, "/proc/self/fd/%d", f->fd);
	return 0;
}

void auth_ca_file_finish(struct auth_ca_file *f)
{
	fd_close(&f->fd);
	f->path[0] = '\0';
}
