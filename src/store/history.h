// SPDX-License-Identifier: ISC
// history.db: what happened, searchable; bounded by age and size; on its own thread. It never
// delays mail: under load events are dropped and counted.
#ifndef PABAL_STORE_HISTORY_H
#define PABAL_STORE_HISTORY_H

#include "base/error.h"
#include "base/str.h"

#include <uv.h>

struct history;
struct history_options {
	const char *path;
	uint64_t age_ms;   // older rows go
	uint64_t size;     // octets of the file; oldest rows go
	bool create;
};
int history_open(uv_loop_t *loop, const struct history_options *o, struct history **out, struct error *err);
void history_close(struct history *h);
// Queues one event; copies. text: the event as one JSON object. Up to four keys make it findable.
struct history_event {
	uint64_t wall_ms, id;      // id: message or session
	uint64_t session;          // 0: none
	struct str name;           // "accept"
	struct str sender, recipient, account, client;
	struct str json;
};
void history_add(struct history *h, const struct history_event *e);
uint64_t history_dropped(const struct history *h);
struct history_query {
	uint64_t id;               // as id or session: the whole story of both
	struct str address;        // sender, recipient or account
	struct str client;
	struct str name;           // only events of this name
	uint64_t since_ms;
	unsigned limit;            // newest ones, given in order of time
};
// Calls back on the loop: each row's JSON in order of time, then done.
void history_find(struct history *h, const struct history_query *q,
	void (*each)(void *arg, struct str json), void (*done)(void *arg, int err), void *arg);
void history_wait(struct history *h); // as store_wait

#endif
