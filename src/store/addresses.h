// SPDX-License-Identifier: ISC
// Where addresses lead: aliases, and domains whose addresses are those of another one. Names and
// targets are checked by whoever adds them (queue/admin_address.c); here they are text.
#ifndef PABAL_STORE_ADDRESSES_H
#define PABAL_STORE_ADDRESSES_H

#include "store/store.h"

#define STORE_TARGETS_MAX (256 * 1024) // octets of the targets of one alias

enum store_address_kind { STORE_ADDRESS_NONE, STORE_ADDRESS_ACCOUNT, STORE_ADDRESS_ALIAS };

// What an address is. Valid during the callback only.
struct store_address {
	enum store_address_kind kind;
	struct str key;                      // as asked, or in the domain that its domain is an alias of
	const struct store_account *account; // of ACCOUNT
	struct str targets;                  // of ALIAS: as in an aliases file, a comma between
};
// err: 0 (also when there is nothing: kind NONE), ERR_SYSTEM, ERR_CORRUPT.
typedef void (*store_address_done)(void *arg, int err, const struct store_address *a);
// key: an address key, or "@domain" for what gets everything else of a domain. An account is found
// before an alias of the same name.
void store_address_find(struct store *s, struct str key, store_address_done done, void *arg);

// ---- aliases. name: address key or "@domain". A change of any is told like one of an account.
struct store_alias {
	struct str name, targets;
	uint64_t changed_ms;
};
typedef void (*store_each_alias)(void *arg, const struct store_alias *a);
// At most limit (1000) behind the name `after`, in order.
void store_alias_list(struct store *s, struct str after, unsigned limit, store_each_alias each,
	store_done done, void *arg);
// One of that name or none (each is not called).
void store_alias_get(struct store *s, struct str name, store_each_alias each, store_done done, void *arg);
// In place of what it was. ERR_EXISTS: an account has the name.
void store_alias_put(struct store *s, const struct store_alias *a, store_done done, void *arg);
void store_alias_remove(struct store *s, struct str name, store_done done, void *arg); // ERR_NOT_FOUND

// ---- domains whose addresses are those of another one: name is the domain, targets the other one.
void store_domain_alias_list(struct store *s, struct str after, unsigned limit, store_each_alias each,
	store_done done, void *arg);
// ERR_EXISTS: the other one is an alias itself, or this one has aliases.
void store_domain_alias_put(struct store *s, const struct store_alias *a, store_done done, void *arg);
void store_domain_alias_remove(struct store *s, struct str name, store_done done, void *arg); // ERR_NOT_FOUND

#endif
