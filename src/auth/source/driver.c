// SPDX-License-Identifier: ISC
#include "auth/source/driver.h"

#include "auth/module.h"
#include "base/memory.h"

struct loaded {
	const struct auth_source_driver *driver;
	void *state;
};

int auth_driver_prepare(
	const char *module, const struct config_source *s, void **state, struct error *err)
{
	const void *driver = auth_module_symbol(module, AUTH_DRIVER_SYMBOL, err);
	struct loaded *l;
	int result;

	if (!driver)
		return ERR_NOT_FOUND;
	l = mem_alloc(sizeof *l);
	l->driver = driver;
	result = l->driver->prepare(s, &l->state, err);
	if (result)
		mem_free(l);
	else
		*state = l;
	return result;
}

void auth_driver_finish(void *state)
{
	struct loaded *l = state;

	if (!l)
		return;
	l->driver->finish(l->state);
	mem_free(l);
}

void auth_driver_check(const struct config_source *s, void *state, const struct auth_question *q,
	struct auth_answer *out)
{
	struct loaded *l = state;

	l->driver->check(s, l->state, q, out);
}
