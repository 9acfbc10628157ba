// SPDX-License-Identifier: ISC
#include "auth/http.h"

#include "auth/module.h"

const struct auth_http *auth_http_load(struct error *err)
{
	return auth_module_symbol("http", "auth_http_module", err);
}
