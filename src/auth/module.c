// SPDX-License-Identifier: ISC
#include "auth/module.h"

#include "base/text.h"

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static void *open_in(const char *folder, const char *name)
{
	char path[4096];
	int n = snprintf(path, sizeof path, "%s/pabal-%s.so", folder, name);

	if (n < 0 || (size_t)n >= sizeof path || access(path, R_OK) < 0)
		return NULL;
	return dlopen(path, RTLD_NOW | RTLD_LOCAL);
}

// A program in a build folder has its modules beside it.
static void *open_beside(const char *name)
{
	char path[4096];
	ssize_t n = readlink("/proc/self/exe", path, sizeof path - 1);

	if (n <= 0)
		return NULL;
	path[n] = '\0';
	char *slash = strrchr(path, '/');
	if (!slash)
		return NULL;
	*slash = '\0';
	return open_in(path, name);
}

const void *auth_module_symbol(const char *name, const char *symbol, struct error *err)
{
	const char *why;
	void *module, *found;

	(void)dlerror();
	module = open_beside(name);
	if (!module)
		module = open_in(PABAL_MODULE_FOLDER, name);
	found = module ? dlsym(module, symbol) : NULL;
	if (found)
		return found;
	why = dlerror();
	error_set(err, ERR_NOT_FOUND, TEXT("pabal-%s.so cannot be loaded: %s"), name,
		why ? why : TEXT("there is no such file beside the program or in " PABAL_MODULE_FOLDER));
	return NULL;
}
