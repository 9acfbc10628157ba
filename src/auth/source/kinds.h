// SPDX-License-Identifier: ISC
// The rows of source.c, one a file of this folder.
#ifndef PABAL_AUTH_SOURCE_KINDS_H
#define PABAL_AUTH_SOURCE_KINDS_H

#include "auth/source.h"

extern const struct auth_source_kind auth_source_checkpassword, auth_source_dovecot, auth_source_ldap,
	auth_source_oauth, auth_source_pam, auth_source_poppasswd, auth_source_saslauthd, auth_source_sql,
	auth_source_vpopmail, auth_source_vpopmail_sql;

#endif
