// SPDX-License-Identifier: ISC
// What `pabal queue`, `pabal account`, `pabal trace` and `pabal status` ask of the queue: handlers
// for the control socket, and the same ones for a command while the server is stopped.
#ifndef PABAL_QUEUE_ADMIN_H
#define PABAL_QUEUE_ADMIN_H

#include "control/control.h"
#include "queue/queue.h"

struct queue_admin {
	struct store *store;
	struct history *history;   // may be NULL
	struct queue *queue;       // NULL when the server is stopped
	const struct config *config;
};
// arg of every handler is a struct queue_admin. Commands and their arguments (all optional unless
// said): "queue list|show|retry|hold|release|delete" {id, sender, recipient, domain, account, state, limit},
// "account list|show" {name}, "account add" {name (required), rights, quota}, "account enable|disable|
// remove" {name (required)}, "account set" {name (required), submit, relay (yes, no, default), from,
// servers, groups, act_as (words), expires, lock, unlock}, "account group add|set" {group (required),
// submit, relay, from, servers}, "account group remove" {group}, "account group list" {},
// "account send-as" {name, add | remove (an address, "@domain", "group:NAME", "<>")}, "address add|remove"
// {name, targets (list)}, "address list" {}, "address show|explain" {name}, "domain alias add" {name, of},
// "domain alias remove" {name}, "domain alias list" {}, "trace" {id | address | client, name, since, limit}, "queue status" {},
// "queue explain" {recipient (required)},
// "quota list" {}, "quota show" {name or domain:NAME}, "quota set" {name, hard, soft, messages,
// messages_soft}, "quota recount" {name; missing: all}, "guard list" {all}, "guard show|release" {subject},
// "guard discard" {subject, return}, "guard allow" {subject, for}, "guard learn" {subject or all, for},
// "guard profile" {subject, profile}, "guard seed" {subject, recipients}.
// "limits" {name, client, server}: rows {limit, value (null: none), unit, where}, then {rate, action,
// where, key, most, used, reserved, left_ms}; without arguments {key, used, reserved, left_ms} of every
// count. "limits reset" {key (required)}.
// Rows: a recipient (list, show), then the message with its headers (show); an account; {"event": …}
// (trace); causes of refusals and deferrals (status, whose numbers are in done).
extern const struct control_handler queue_admin_handlers[];
extern const size_t queue_admin_handler_count;

#endif
