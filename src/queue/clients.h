// SPDX-License-Identifier: ISC
// Counts open connections, and those begun in this minute, by address, by network (/24, /64) and in
// all, over every smtpd.
#ifndef PABAL_QUEUE_CLIENTS_H
#define PABAL_QUEUE_CLIENTS_H

#include "base/ipaddr.h"

struct clients;
struct clients_counts {
	uint32_t address, network, all;
	uint32_t minute_address, minute_network, minute_all; // 0 where nobody counts them
};
struct clients *clients_create(void);
void clients_destroy(struct clients *c);
// worker: which smtpd channel; its connections go when it goes. Session ids are unique. minute: its
// number; 0: it does not count as begun now.
void clients_open(struct clients *c, unsigned worker, uint64_t session, const struct ipaddr *a,
	uint32_t minute, struct clients_counts *out);
// What clients_open would tell; changes nothing.
void clients_peek(const struct clients *c, const struct ipaddr *a, uint32_t minute,
	struct clients_counts *out);
void clients_close(struct clients *c, unsigned worker, uint64_t session);
void clients_worker_gone(struct clients *c, unsigned worker);

#endif
