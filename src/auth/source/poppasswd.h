// SPDX-License-Identifier: ISC
// The file of poppasswd (and cmd5checkpw): a line each, NAME:PASSWORD. Lines that begin with # and
// empty ones are none. PASSWORD is a crypt(3) or argon2id hash when it begins with "$" or
// "{CRYPT}", "!" or "*" for nobody, and else the password itself; "{PLAIN}" says so.
#ifndef PABAL_AUTH_SOURCE_POPPASSWD_H
#define PABAL_AUTH_SOURCE_POPPASSWD_H

#include "auth/source.h"

#define AUTH_POPPASSWD_OCTETS (4 << 20) // of the file
#define AUTH_POPPASSWD_LINE   1024

struct auth_poppasswd {
	bool found;
	bool locked;	  // nobody can log in by it
	struct str clear; // data NULL: it is a hash
	char hash[512];	  // wiped by its owner
};

// What one of the names has (they are compared as they are); not found: hash is that of somebody
// else, if there is any, so that a check against it costs the same.
void auth_poppasswd_find(
	struct str file, struct str name, struct str bare, struct auth_poppasswd *out);
// The value of a field as above.
void auth_poppasswd_value_read(struct str value, struct auth_poppasswd *out);
// 0 right, ERR_DENIED, ERR_UNSUPPORTED. Not found: takes as long, and is ERR_NOT_FOUND.
int auth_poppasswd_check(const struct auth_poppasswd *stored, struct str secret);

#endif
