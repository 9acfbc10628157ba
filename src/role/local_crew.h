// SPDX-License-Identifier: ISC
// The workers of system users: one process a user, started when there is work, kept some seconds, at
// most LOCAL_CREW_MAX at a time, in turns when more wait. One that hangs is ended after its time and
// keeps up nobody but its user.
#ifndef PABAL_ROLE_LOCAL_CREW_H
#define PABAL_ROLE_LOCAL_CREW_H

#include "net/wheel.h"
#include "role/role.h"

#define LOCAL_CREW_MAX 32

struct local_crew;
struct local_crew_options {
	const struct role_context *context;
	struct wheel *wheel;
	void (*tried)(void *arg, struct str frame_body); // exactly one for each try that was given
	void *arg;
};
struct local_crew *local_crew_create(const struct local_crew_options *o);
// The try of one user ("" : alias-user). Takes fd.
void local_crew_give(struct local_crew *c, struct str user, struct str frame_body, int fd);
// A process ended. False: none of these.
bool local_crew_reaped(struct local_crew *c, pid_t pid);
// The configuration changed: workers are started anew, each after what it does now.
void local_crew_renew(struct local_crew *c);

#endif
