// SPDX-License-Identifier: ISC
// What pabal-pam.so gives to the program, as the symbol "auth_pam_calls".
#ifndef PABAL_AUTH_SOURCE_PAM_H
#define PABAL_AUTH_SOURCE_PAM_H

#include "auth/source.h"

struct auth_pam_calls {
	void (*check)(const struct config_source *s, const struct auth_question *q,
		struct auth_answer *out);
};
extern const struct auth_pam_calls auth_pam_calls;

#endif
