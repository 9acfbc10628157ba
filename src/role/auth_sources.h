// SPDX-License-Identifier: ISC
// How the password sources do, for `pabal status`.
#ifndef PABAL_ROLE_AUTH_SOURCES_H
#define PABAL_ROLE_AUTH_SOURCES_H

#include "control/control.h"

// "auth sources" {}: rows {kind: "skipped-source", source, left_ms} of those that are passed over
// now because they were too slow. arg is a struct auth_admin.
void auth_sources_list(struct control_call *call, const json_t *arguments, void *arg);

#endif
