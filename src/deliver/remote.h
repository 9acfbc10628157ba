// SPDX-License-Identifier: ISC
// SMTP and LMTP to other hosts: finds the hosts (MX, route), keeps and reuses connections, tries
// one host after the other.
#ifndef PABAL_DELIVER_REMOTE_H
#define PABAL_DELIVER_REMOTE_H

#include "config/config.h"
#include "deliver/deliver.h"
#include "net/dns.h"
#include "net/stream.h"

struct remote;
struct remote_options {
	uv_loop_t *loop;
	struct wheel *wheel;
	struct dns_client *dns;
	const struct config *config;
	// A Unix socket of a route (LMTP): asked of master; answered by remote_connected.
	void (*connect)(void *arg, uint64_t request, unsigned route_index);
	// A token for the login of the route with this pattern, another one than `refused` (0: any);
	// answered by remote_token, not from inside.
	void (*token)(void *arg, uint64_t request, const char *pattern, uint64_t refused);
	void (*done)(void *arg, struct deliver_job *job); // exactly once a job; ownership returns
	void *arg;
	uint16_t port;       // of hosts found by MX; 0: 25
	uint64_t connect_ms; // 0: 30 s
};
struct remote *remote_create(const struct remote_options *o);
void remote_set_config(struct remote *r, const struct config *config); // kept connections are closed when idle
void remote_deliver(struct remote *r, struct deliver_job *job);
void remote_connected(struct remote *r, uint64_t request, int fd, const char *why);
// serial names the token; 0: there is none, and why.
void remote_token(struct remote *r, uint64_t request, struct str token, uint64_t serial, const char *why);
void remote_tokens_lost(struct remote *r, const char *why); // nobody will answer what was asked
void remote_destroy(struct remote *r); // open jobs end as temporary
unsigned remote_connections(const struct remote *r);

#endif
