// SPDX-License-Identifier: ISC
// pabal explain: what is asked, and the report of it as JSON, from which the screen is made.
#ifndef PABAL_COMMAND_EXPLAIN_INTERNAL_H
#define PABAL_COMMAND_EXPLAIN_INTERNAL_H

#include "command/options.h"
#include "command/stranger.h"

struct explain {
	const struct config *config;
	const char *config_path;
	struct stranger_wish wish;
	const char *sender;
	struct option_values recipients;
	const char *size;        // NULL: not said
	json_t *report;          // owned
	json_t *steps;           // of it
};

// ---- explain.c
// Appends a step: {"step","recipient","answer","rule","where","code","status","text","notes","advice",
// "facts"}. seen: the verdict that the server gave (borrowed); NULL: everything is empty.
json_t *explain_add_step(struct explain *e, const char *name, const char *recipient, const json_t *seen);
void explain_note(json_t *step, const char *format, ...) __attribute__((format(printf, 2, 3)));

// ---- explain_limits.c: size and rates, which are no commands of their own
void explain_size(struct explain *e, const json_t *mail);
void explain_rates(struct explain *e, const json_t *seen, const char *recipient);
void explain_quota(struct explain *e, const json_t *rcpt, const char *recipient);

// ---- explain_route.c: where a recipient that is taken goes
void explain_route(struct explain *e, const json_t *rcpt, const char *recipient);

// ---- explain_print.c
void explain_print(const struct explain *e);

#endif
