// SPDX-License-Identifier: ISC
// A Unix stream socket that is asked and answers within a time limit. Blocks; for pool threads.
#ifndef PABAL_AUTH_SOURCE_SOCKET_H
#define PABAL_AUTH_SOURCE_SOCKET_H

#include "base/buf.h"
#include "base/error.h"
#include "config/config.h"

struct auth_socket {
	int fd;
	uint64_t deadline; // clock_monotonic_ms
};

// On failure *s needs no closing and err says why, with the path.
int auth_socket_open(
	struct auth_socket *s, const char *path, uint64_t timeout_ms, struct error *err);
void auth_socket_close(struct auth_socket *s);
int auth_socket_write(struct auth_socket *s, struct str octets, struct error *err);
// Adds at least one octet and what came with it, within the limit of in. ERR_CLOSED: the other end
// is gone; ERR_TIMEOUT; ERR_LIMIT: in is full.
int auth_socket_read(struct auth_socket *s, struct buf *in, struct error *err);

// What keeps user from path, as a finding that names the group to add him to. Looks only.
void auth_socket_advise(const struct config_source *source, const char *path, const char *user,
	struct config_findings *findings);

#endif
