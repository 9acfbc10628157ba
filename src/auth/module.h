// SPDX-License-Identifier: ISC
// Parts that need a large foreign library are files of their own (pabal-NAME.so), loaded only by the
// role that needs them and only when the configuration names them: no smtpd maps an LDAP library.
#ifndef PABAL_AUTH_MODULE_H
#define PABAL_AUTH_MODULE_H

#include "base/error.h"

// The module's symbol, from the folder of the program or from LIBDIR/pabal; kept loaded for good.
// Before confinement only. NULL with words: no such file, a missing library.
const void *auth_module_symbol(const char *name, const char *symbol, struct error *err);

#endif
