// SPDX-License-Identifier: ISC
// pabal check --relay: is the running server an open relay? It is asked, as clients from outside, on
// every server block, with every form of a recipient that is known to fool mail servers.
#ifndef PABAL_COMMAND_CHECK_RELAY_H
#define PABAL_COMMAND_CHECK_RELAY_H

#include "config/config.h"

// Prints what it found and returns the exit status: 0 no outsider relays, 1 one does, 69 when nobody
// answers.
int check_relay(const struct config *c, bool json);

// ---- check_relay_forms.c
#define CHECK_RELAY_FORM_MAX 256
struct check_relay_names {
	char own[64];       // our end of the connection, as an address literal
	char host[256];     // our name
	char ours[256];     // a domain of ours
};
extern const char *const check_relay_senders[], *const check_relay_forms[];
extern const size_t check_relay_sender_count, check_relay_form_count;
// Fills the names into a form and returns out.
const char *check_relay_fill(const char *form, const struct check_relay_names *n,
	char out[CHECK_RELAY_FORM_MAX]);

#endif
