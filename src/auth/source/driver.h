// SPDX-License-Identifier: ISC
// A kind of source whose work is done in a module (pabal-NAME.so), which has one symbol,
// auth_source_driver.
#ifndef PABAL_AUTH_SOURCE_DRIVER_H
#define PABAL_AUTH_SOURCE_DRIVER_H

#include "auth/source.h"

// As in struct auth_source_kind.
struct auth_source_driver {
	int (*prepare)(const struct config_source *s, void **state, struct error *err);
	void (*finish)(void *state);
	void (*check)(const struct config_source *s, void *state, const struct auth_question *q,
		struct auth_answer *out);
};
#define AUTH_DRIVER_SYMBOL "auth_source_driver"

// Loads the module of that name (before confinement) and prepares it for s. *state is given back
// with auth_driver_finish (NULL is fine). ERR_NOT_FOUND with words: there is no such module.
int auth_driver_prepare(
	const char *module, const struct config_source *s, void **state, struct error *err);
void auth_driver_finish(void *state);
void auth_driver_check(const struct config_source *s, void *state, const struct auth_question *q,
	struct auth_answer *out);

#endif
