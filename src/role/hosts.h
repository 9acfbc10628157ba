// SPDX-License-Identifier: ISC
// /etc/hosts, for names of routes and smart hosts; read again when it changed.
#ifndef PABAL_ROLE_HOSTS_H
#define PABAL_ROLE_HOSTS_H

#include "base/buf.h"

// All zero at start.
struct hosts {
	struct buf text;
	uint64_t inode, changed_ns;
};
void hosts_refresh(struct hosts *h);
// True when the file has the name; appends the addresses of the family (4, 6) as ipc records, none
// when it has only the other family.
bool hosts_lookup(const struct hosts *h, struct str name, int family, struct buf *records);

#endif
