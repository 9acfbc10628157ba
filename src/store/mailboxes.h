// SPDX-License-Identifier: ISC
// Quotas of accounts and domains, and how full mailboxes were when they were counted last. What is
// remembered of a mailbox may be lost; the mailbox itself is the truth.
#ifndef PABAL_STORE_MAILBOXES_H
#define PABAL_STORE_MAILBOXES_H

#include "store/store.h"

struct store_mailbox {
	struct str name;                 // of the account
	struct quota_limits own, domain; // as written down: 0 is not said, QUOTA_NONE no limit
	struct quota_usage usage;
	uint64_t counted_ms;             // 0: never
	uint64_t warned_ms;              // when its owner was warned last; 0: never
};
// What the account itself says.
struct quota_limits store_account_quota(const struct store_account *a);

// ERR_NOT_FOUND: there is no such account; then usage and times are of the mailbox all the same.
// Valid during the callback only.
typedef void (*store_mailbox_done)(void *arg, int err, const struct store_mailbox *m);
void store_mailbox_get(struct store *s, struct str name, store_mailbox_done done, void *arg);
// At most limit (1000) accounts behind the name `after`, in order.
typedef void (*store_each_mailbox)(void *arg, const struct store_mailbox *m);
void store_mailbox_list(struct store *s, struct str after, unsigned limit, store_each_mailbox each,
	store_done done, void *arg);
// Usage and times of up to STORE_MAILBOXES_MAX of them, together.
#define STORE_MAILBOXES_MAX 1000
void store_mailbox_put(struct store *s, const struct store_mailbox *rows, unsigned count,
	store_done done, void *arg);

// Which values are set.
enum { STORE_QUOTA_OCTETS = 1, STORE_QUOTA_SOFT = 2, STORE_QUOTA_MESSAGES = 4,
	STORE_QUOTA_MESSAGES_SOFT = 8 };
void store_account_set_quota(struct store *s, struct str name, const struct quota_limits *values,
	unsigned which, store_done done, void *arg); // ERR_NOT_FOUND
void store_domain_set_quota(struct store *s, struct str domain, const struct quota_limits *values,
	unsigned which, store_done done, void *arg);
// Domains that say something: name is the domain, `domain` what it says. As store_mailbox_list.
void store_domain_quota_list(struct store *s, struct str after, unsigned limit,
	store_each_mailbox each, store_done done, void *arg);

#endif
