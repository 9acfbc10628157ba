// SPDX-License-Identifier: ISC
// What the commands about addresses share: a call that is being answered.
#ifndef PABAL_QUEUE_ADMIN_ADDRESS_H
#define PABAL_QUEUE_ADMIN_ADDRESS_H

#include "queue/admin_internal.h"
#include "store/addresses.h"

#define ADMIN_PAGE 500 // rows asked of the store at once

typedef void (*admin_lister)(struct store *s, struct str after, unsigned limit, store_each_alias each,
	store_done done, void *arg);

struct address_call {
	struct control_call *call;
	struct queue_admin *admin;
	const char *command;
	char name[SMTP_ADDRESS_MAX]; // of the alias, the domain or the account
	struct buf targets;          // as they will be
	json_t *wanted;              // argument "targets"
	bool removes, found;
	// of a listing
	admin_lister list;
	char after[SMTP_ADDRESS_MAX];
	unsigned page;
	uint64_t count;
};

struct address_call *admin_address_create(struct control_call *call, void *admin, const char *command);
void admin_address_destroy(struct address_call *r);
// Fails the call; false.
bool admin_address_fail(struct address_call *r, const char *code, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
// It was changed: says so to whom it concerns, and to the caller.
void admin_address_done(struct address_call *r);
// Fails the call when the domain is not one of this server.
bool admin_address_is_ours(struct address_call *r, struct str domain);
// Answers with every row that list has, page after page.
void admin_address_list(struct control_call *call, void *admin, const char *command, admin_lister list);

#endif
