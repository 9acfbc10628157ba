// SPDX-License-Identifier: ISC
// What the files that resolve addresses share: the walk, and the addresses on its way.
#ifndef PABAL_QUEUE_ADDRESS_INTERNAL_H
#define PABAL_QUEUE_ADDRESS_INTERNAL_H

#include "base/arena.h"
#include "queue/address.h"
#include "queue/queue_internal.h"

struct address_node {
	struct address_node *next;     // in the line
	struct address_node *parent;   // the alias that leads here; NULL: what was asked
	struct str text;       // as written
	struct str key;        // in its own domain, once that is known
	struct str domain;
	struct str owner;
	struct str targets;    // of an alias that was found
	struct str detail;     // cut off behind the separator
	struct str where;      // of targets
	struct str base;       // key whose targets these are
	unsigned depth, tags;
	bool plain;            // aliases do not count
	bool role;             // postmaster, abuse
	bool by_rest;
	bool wrong;            // no address at all
	bool owner_asked;
	uint8_t stage;
};

struct address_resolver {
	struct queue *queue;
	unsigned flags;
	address_done done;
	void *arg;
	struct arena arena;
	struct address_node *first, *last;
	unsigned nodes;
	struct map seen;       // keys and ends -> struct address_node that had it first
	bool waiting, running, stopped;
	bool good;             // an end takes mail
	int err;
	// the answer to the look-up that was made last
	struct {
		enum store_address_kind kind;
		struct str key, name, targets, groups;
		struct quota_limits quota;
		bool user;
	} found;
	struct address_end *ends;
	struct address_step *steps;
	struct address_answer answer;
	unsigned end_room, step_room;
};

enum address_stage { STAGE_BEGIN, STAGE_EXACT, STAGE_TAG, STAGE_REST, STAGE_USER, STAGE_OWNER };

// ---- address.c
struct str address_keep(struct address_resolver *r, struct str s); // a copy that lives as long as the walk
void address_tell(struct address_resolver *r, const struct address_node *n, const char *what,
	struct str to, struct str where);
void address_leave_line(struct address_resolver *r); // the first one is done with
struct address_node *address_add_node(struct address_resolver *r, struct address_node *parent,
	struct str text);
void address_look(struct address_resolver *r, struct str key); // the answer is r->found
// Finds an alias in the aliases files: fills targets and where of n.
bool address_find_in_files(struct address_resolver *r, struct address_node *n, struct str key);

// ---- address_alias.c: the stage behind an alias that was found: its owner, then what it leads to
void address_owner(struct address_resolver *r, struct address_node *n);

#endif
