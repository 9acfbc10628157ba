// SPDX-License-Identifier: ISC
// What the files of the administration commands share. arg of each handler is a struct queue_admin.
#ifndef PABAL_QUEUE_ADMIN_INTERNAL_H
#define PABAL_QUEUE_ADMIN_INTERNAL_H

#include "base/arena.h"
#include "queue/admin.h"
#include "smtp/address.h"

// ---- JSON
json_t *queue_json_text(struct str s);  // what is not UTF-8 becomes '?'
json_t *queue_json_id(uint64_t id);     // "" for 0
json_t *queue_json_number(uint64_t n);
// "" when it is missing; ERR_SYNTAX when it is no string.
int queue_json_argument(const json_t *arguments, const char *key, struct str *out);
int queue_json_argument_number(const json_t *arguments, const char *key, uint64_t standard, uint64_t *out);

// ---- which recipients
// Fails the call and returns false when an argument is wrong. Strings live in arena.
bool queue_admin_filter(struct control_call *call, const json_t *arguments, struct arena *arena,
	struct store_filter *out);
bool queue_admin_filter_is_empty(const struct store_filter *f);
json_t *queue_admin_row(const struct store_message *m, const struct store_recipient *r);
const char *queue_admin_state(enum recipient_state state);
// Fails the call with the words of a store's error.
void queue_admin_fail(struct control_call *call, int err);
// The one line that says who did what.
void queue_admin_event(struct control_call *call, const char *command, struct str what, uint64_t count);

// ---- accounts
// The key form of the argument "name"; a bare one belongs to the default domain. Fails the call.
bool queue_admin_take_name(struct control_call *call, const json_t *arguments, const struct config *c,
	char out[SMTP_ADDRESS_MAX]);
// What it may do, and who says so.
void queue_admin_add_rights(json_t *row, const struct store_account *a);

// ---- handlers
void queue_admin_list(struct control_call *call, const json_t *arguments, void *arg);
void queue_admin_show(struct control_call *call, const json_t *arguments, void *arg);
void queue_admin_retry(struct control_call *call, const json_t *arguments, void *arg);
void queue_admin_hold(struct control_call *call, const json_t *arguments, void *arg);
void queue_admin_release(struct control_call *call, const json_t *arguments, void *arg);
void queue_admin_delete(struct control_call *call, const json_t *arguments, void *arg);
void queue_admin_status(struct control_call *call, const json_t *arguments, void *arg);
void queue_admin_explain(struct control_call *call, const json_t *arguments, void *arg);
void queue_admin_guard_list(struct control_call *call, const json_t *arguments, void *arg);
void queue_admin_guard_show(struct control_call *call, const json_t *arguments, void *arg);
void queue_admin_guard_release(struct control_call *call, const json_t *arguments, void *arg);
void queue_admin_guard_discard(struct control_call *call, const json_t *arguments, void *arg);
void queue_admin_guard_allow(struct control_call *call, const json_t *arguments, void *arg);
void queue_admin_guard_learn(struct control_call *call, const json_t *arguments, void *arg);
void queue_admin_guard_profile(struct control_call *call, const json_t *arguments, void *arg);
void queue_admin_guard_seed(struct control_call *call, const json_t *arguments, void *arg);
void queue_admin_limits(struct control_call *call, const json_t *arguments, void *arg);
void queue_admin_limits_reset(struct control_call *call, const json_t *arguments, void *arg);
void queue_admin_trace(struct control_call *call, const json_t *arguments, void *arg);
void queue_admin_account_list(struct control_call *call, const json_t *arguments, void *arg);
void queue_admin_account_show(struct control_call *call, const json_t *arguments, void *arg);
void queue_admin_account_add(struct control_call *call, const json_t *arguments, void *arg);
void queue_admin_account_set(struct control_call *call, const json_t *arguments, void *arg);
void queue_admin_group_add(struct control_call *call, const json_t *arguments, void *arg);
void queue_admin_group_set(struct control_call *call, const json_t *arguments, void *arg);
void queue_admin_group_remove(struct control_call *call, const json_t *arguments, void *arg);
void queue_admin_group_list(struct control_call *call, const json_t *arguments, void *arg);
void queue_admin_address_add(struct control_call *call, const json_t *arguments, void *arg);
void queue_admin_address_remove(struct control_call *call, const json_t *arguments, void *arg);
void queue_admin_address_list(struct control_call *call, const json_t *arguments, void *arg);
void queue_admin_address_show(struct control_call *call, const json_t *arguments, void *arg);
void queue_admin_address_explain(struct control_call *call, const json_t *arguments, void *arg);
void queue_admin_domain_add(struct control_call *call, const json_t *arguments, void *arg);
void queue_admin_domain_remove(struct control_call *call, const json_t *arguments, void *arg);
void queue_admin_domain_list(struct control_call *call, const json_t *arguments, void *arg);
void queue_admin_account_send_as(struct control_call *call, const json_t *arguments, void *arg);
void queue_admin_account_enable(struct control_call *call, const json_t *arguments, void *arg);
void queue_admin_account_disable(struct control_call *call, const json_t *arguments, void *arg);
void queue_admin_account_remove(struct control_call *call, const json_t *arguments, void *arg);
void queue_admin_quota_list(struct control_call *call, const json_t *arguments, void *arg);
void queue_admin_quota_show(struct control_call *call, const json_t *arguments, void *arg);
void queue_admin_quota_set(struct control_call *call, const json_t *arguments, void *arg);
void queue_admin_quota_recount(struct control_call *call, const json_t *arguments, void *arg);

#endif
