// SPDX-License-Identifier: ISC
// Connections to a database or directory that the threads of a source share. What a connection is,
// its owner knows.
#ifndef PABAL_AUTH_SOURCE_CONNECTIONS_H
#define PABAL_AUTH_SOURCE_CONNECTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// Thread-safe. most: how many are out at the same time, and how many are kept; at least 1.
struct auth_connections;
struct auth_connections *auth_connections_create(uint64_t most, void (*close)(void *connection));
void auth_connections_destroy(struct auth_connections *c); // closes those kept; none may be out

// The right to one connection, waited for until the deadline (clock_monotonic_ms): false when all
// were out. *out: the one given back last, or NULL: the caller opens one.
bool auth_connections_take(struct auth_connections *c, uint64_t deadline, void **out);
// Gives the right back, and the connection (NULL: it is gone).
void auth_connections_give(struct auth_connections *c, void *connection);
// Closes those kept: the server was restarted, they are all of its old life.
void auth_connections_forget(struct auth_connections *c);

#endif
