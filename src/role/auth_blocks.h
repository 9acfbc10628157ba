// SPDX-License-Identifier: ISC
// `pabal auth blocks`: who is not looked at now for guessing, and letting somebody in again.
#ifndef PABAL_ROLE_AUTH_BLOCKS_H
#define PABAL_ROLE_AUTH_BLOCKS_H

#include "control/control.h"

// arg is a struct auth_admin. "auth blocks list" {count}: rows {scope, account, network, count,
// left_ms}; count true: none, the summary's number only. "auth blocks clear" {which}: an address, a
// network or a name; without it all. The summary of both: {count}.
void auth_blocks_list(struct control_call *call, const json_t *arguments, void *arg);
void auth_blocks_clear(struct control_call *call, const json_t *arguments, void *arg);

#endif
