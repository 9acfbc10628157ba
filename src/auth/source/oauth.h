// SPDX-License-Identifier: ISC
// The kind "oauth" is a module (pabal-oauth.so), which has this one symbol.
#ifndef PABAL_AUTH_SOURCE_OAUTH_H
#define PABAL_AUTH_SOURCE_OAUTH_H

#include "auth/source.h"

// As in struct auth_source_kind.
struct auth_oauth_driver {
	int (*prepare)(const struct config_source *s, void **state, struct error *err);
	void (*finish)(void *state);
	void (*check)(const struct config_source *s, void *state, const struct auth_question *q,
		struct auth_answer *out);
};
#define AUTH_OAUTH_SYMBOL "auth_oauth_driver"

#endif
