// SPDX-License-Identifier: ISC
// The functions that stand behind the rows of the role table, one file a role.
#ifndef PABAL_ROLE_ROLES_H
#define PABAL_ROLE_ROLES_H

#include "role/auth_offers.h"
#include "role/role.h"

#define ROLE_PROTOTYPES(name) \
	int role_##name##_prepare(struct role_context *c, struct error *err); \
	int role_##name##_start(struct role_context *c, struct error *err); \
	void role_##name##_peer(struct role_context *c, const char *peer, unsigned index, int fd); \
	void role_##name##_listener(struct role_context *c, unsigned server, unsigned listen, int fd); \
	void role_##name##_control(struct role_context *c, int fd); \
	void role_##name##_folder(struct role_context *c, const char *name_, int fd); \
	void role_##name##_tickets(struct role_context *c, const uint8_t current[32], \
		const uint8_t previous[32]); \
	void role_##name##_connected(struct role_context *c, uint64_t request, int fd, const char *why); \
	void role_##name##_configured(struct role_context *c, const struct config *old); \
	void role_##name##_drain(struct role_context *c, uint64_t within_ms);
ROLE_PROTOTYPES(queue)
ROLE_PROTOTYPES(auth)
ROLE_PROTOTYPES(source)
ROLE_PROTOTYPES(checker)
ROLE_PROTOTYPES(resolver)
ROLE_PROTOTYPES(local)
ROLE_PROTOTYPES(sender)
ROLE_PROTOTYPES(smtpd)
bool role_local_anew(const struct config *old, const struct config *now);

#define ROLE_CALLS(n) \
	.prepare = role_##n##_prepare, .start = role_##n##_start, .peer = role_##n##_peer, \
	.configured = role_##n##_configured, .drain = role_##n##_drain

#define ROLE_QUEUE_CALLS ROLE_CALLS(queue), .control_socket = role_queue_control
#define ROLE_AUTH_CALLS \
	ROLE_CALLS(auth), .control_socket = role_auth_control, .folder_given = role_auth_folder, \
	.anew = auth_offers_need_more
#define ROLE_SOURCE_CALLS ROLE_CALLS(source)
#define ROLE_CHECKER_CALLS ROLE_CALLS(checker)
#define ROLE_RESOLVER_CALLS ROLE_CALLS(resolver)
#define ROLE_LOCAL_CALLS ROLE_CALLS(local), .anew = role_local_anew
#define ROLE_SENDER_CALLS ROLE_CALLS(sender), .connected = role_sender_connected
#define ROLE_SMTPD_CALLS \
	ROLE_CALLS(smtpd), .listener = role_smtpd_listener, .ticket_secrets = role_smtpd_tickets, \
	.connected = role_smtpd_connected, .control_socket = role_smtpd_control

#endif
