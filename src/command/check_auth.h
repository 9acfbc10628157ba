// SPDX-License-Identifier: ISC
// The part of `pabal check` that is about logging in.
#ifndef PABAL_COMMAND_CHECK_AUTH_H
#define PABAL_COMMAND_CHECK_AUTH_H

#include "config/config.h"

// What password sources miss on this machine, the mechanisms that servers leave out and why, and the
// accounts that keep SCRAM from being offered. True: there are such accounts.
bool check_auth(const struct config *c, struct config_findings *findings);
// After that: a table of the sources and one of what servers offer, to standard output.
void check_auth_print(const struct config *c, bool lacking);

#endif
