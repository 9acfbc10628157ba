// SPDX-License-Identifier: ISC
// What vpopmail stores of a user, in files and in tables.
#ifndef PABAL_AUTH_SOURCE_VPOPMAIL_H
#define PABAL_AUTH_SOURCE_VPOPMAIL_H

#include "auth/source.h"

// Flags of pw_gid.
enum {
	AUTH_VPOPMAIL_NO_RELAY = 0x20,
	AUTH_VPOPMAIL_NO_SMTP = 0x800,
	AUTH_VPOPMAIL_OVERRIDE = 0x2000, // the limits of the domain are not for him
};

#define AUTH_VPOPMAIL_LINE 2048 // octets of a line or record

struct auth_vpopmail_user {
	char hash[256];	 // crypt(3); "" : nobody can log in by it
	char clear[256]; // the password itself; "" : not stored
	uint32_t flags;
};

// The fields of a line of vpasswd behind "NAME:", which are the value in vpasswd.cdb: hash, uid,
// flags, gecos, folder, quota and perhaps the password itself. ERR_SYNTAX.
int auth_vpopmail_user_read(struct str fields, struct auth_vpopmail_user *out);
// The fields of that name in the text of vpasswd; ERR_NOT_FOUND, then *out_any are those of the
// first who has a hash.
int auth_vpopmail_find(
	struct str file, struct str name, struct str *out_fields, struct str *out_any);
// The flags that .qmailadmin-limits, given as text, sets for the users of its domain.
uint32_t auth_vpopmail_limits_read(struct str text);
// Password and flags; the answer has the rights. limits: of the domain.
void auth_vpopmail_user_check(const struct auth_vpopmail_user *u, uint32_t limits,
	struct str secret, struct auth_answer *out);
void auth_vpopmail_user_lookup(
	const struct auth_vpopmail_user *u, uint32_t limits, struct auth_answer *out);

#endif
