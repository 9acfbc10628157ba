// SPDX-License-Identifier: ISC
// The whole of our privilege separation on one screen.
#include "role/roles.h"

#include "role/checks.h"
#include "session/outside.h"

#define PEERS(...) (const char *const[]){__VA_ARGS__, NULL}

const struct role roles[] = {
	{
		.name = "queue", .user = "pabal-queue", .root = ROLE_ROOT_STATE,
		.count = ROLE_ONE, .config_for = CONFIG_FOR_QUEUE, .control = "queue.sock", .tables = true,
		ROLE_QUEUE_CALLS,
	},
	{
		.name = "auth", .user = "pabal-auth", .root = ROLE_ROOT_STATE,
		.count = ROLE_ONE, .config_for = CONFIG_FOR_AUTH, .control = "auth.sock", .tables = true,
		.peers = PEERS("queue"), .folder = "auth-client",
		ROLE_AUTH_CALLS,
	},
	{
		.name = "source", .user = "pabal-source", .root = ROLE_ROOT_HOST, .keeps_groups = true,
		.count = ROLE_ONE, .config_for = CONFIG_FOR_SOURCE, .needed = checks_needed_source,
		.peers = PEERS("auth"),
		ROLE_SOURCE_CALLS,
	},
	{
		.name = "checker", .root = ROLE_ROOT_HOST, .keeps_root = true,
		.count = ROLE_ONE, .config_for = CONFIG_FOR_CHECKER, .needed = checks_needed_checker,
		.peers = PEERS("auth"),
		ROLE_CHECKER_CALLS,
	},
	{
		.name = "resolver", .user = "pabal-dns", .root = ROLE_ROOT_HOST,
		.count = ROLE_ONE, .config_for = CONFIG_FOR_RESOLVER,
		.peers = PEERS("queue"),
		ROLE_RESOLVER_CALLS,
	},
	{
		.name = "local", .user = "pabal-mail", .root = ROLE_ROOT_HOST, .keeps_root = true,
		.count = ROLE_ONE, .config_for = CONFIG_FOR_LOCAL, .tables = true,
		.peers = PEERS("queue"),
		ROLE_LOCAL_CALLS,
	},
	{
		.name = "sender", .user = "pabal-sender", .root = ROLE_ROOT_EMPTY,
		.count = ROLE_PER_CORE_SENDER, .config_for = CONFIG_FOR_SENDER,
		.peers = PEERS("queue", "resolver", "source"),
		ROLE_SENDER_CALLS,
	},
	{
		.name = "smtpd", .user = "pabal-smtpd", .root = ROLE_ROOT_EMPTY,
		.count = ROLE_PER_CORE_SMTPD, .config_for = CONFIG_FOR_SMTPD, .generations = true,
		.listeners = true, .tickets = true, .tables = true, .control = OUTSIDE_SOCKET,
		.peers = PEERS("queue", "auth", "resolver"),
		ROLE_SMTPD_CALLS,
	},
};
const size_t role_count = ARRAY_SIZE(roles);

const struct role *role_find(const char *name)
{
	for (size_t i = 0; i < role_count; i++)
		if (!strcmp(roles[i].name, name))
			return &roles[i];
	return NULL;
}
