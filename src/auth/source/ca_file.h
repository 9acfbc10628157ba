// SPDX-License-Identifier: ISC
// The certificate authorities of a source as a path, for libraries that take nothing else.
#ifndef PABAL_AUTH_SOURCE_CA_FILE_H
#define PABAL_AUTH_SOURCE_CA_FILE_H

#include "base/error.h"
#include "config/config.h"

struct auth_ca_file {
	char path[64]; // "" : none
	int fd;
};
// The content of this generation (a sealed file without a name), or the system's file where none is
// configured. ERR_NOT_FOUND with words when there is neither.
int auth_ca_file_init(struct auth_ca_file *f, const struct config_file *from, struct error *err);
void auth_ca_file_finish(struct auth_ca_file *f);

#endif
