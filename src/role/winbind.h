// SPDX-License-Identifier: ISC
// In role checker: Samba's helpers (ntlm_auth) for the dialogues of role auth. A helper serves one
// dialogue at a time, then the next; all are spoken to line by line and never believed to answer.
#ifndef PABAL_ROLE_WINBIND_H
#define PABAL_ROLE_WINBIND_H

#include "net/wheel.h"
#include "role/role.h"

struct winbind;
struct winbind *winbind_create(struct role_context *context, struct wheel *wheel);
void winbind_destroy(struct winbind *w); // ends the helpers; handles close on the loop. NULL is fine
void winbind_ask(struct winbind *w, struct ipc_channel *from, struct str body); // `negotiate`
void winbind_end(struct winbind *w, struct str body);				// `negotiate_end`
void winbind_lost(struct winbind *w); // who asked is gone: helpers in the midst of something end

#endif
