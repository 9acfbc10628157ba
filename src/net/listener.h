// SPDX-License-Identifier: ISC
// Listening sockets: made by master, accepted from by every worker.
#ifndef PABAL_NET_LISTENER_H
#define PABAL_NET_LISTENER_H

#include "base/error.h"
#include "base/ipaddr.h"

#include <uv.h>

// A bound, listening TCP socket (SO_REUSEADDR, IPV6_V6ONLY, backlog 4096). When the port is
// taken (ERR_EXISTS), err names process and product that has it (from /proc) and what to do. For
// every address of both families open 0.0.0.0 and ::, one socket each; family 0 is 0.0.0.0.
int listener_open(const struct ipaddr *address, uint16_t port, int *out_fd, struct error *err);
// A listening Unix socket; an old socket file is replaced only when nobody answers on it.
int listener_open_unix(const char *path, unsigned mode, int *out_fd, struct error *err);

// Accepts on a shared socket: one connection an event, so that workers share the load and a
// stopped worker holds none back.
struct listener;
typedef void (*listener_accepted)(void *arg, int fd, const struct ipaddr *peer, uint16_t port);
struct listener *listener_start(uv_loop_t *loop, int fd, listener_accepted accepted, void *arg);
void listener_stop(struct listener *l); // does not close fd; memory is freed from the loop

#endif
