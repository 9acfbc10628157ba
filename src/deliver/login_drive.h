// SPDX-License-Identifier: ISC
// Brings together a login and the SMTP dialogue it happens in, and finds the words when it fails.
#ifndef PABAL_DELIVER_LOGIN_DRIVE_H
#define PABAL_DELIVER_LOGIN_DRIVE_H

#include "deliver/login.h"
#include "smtp/client.h"

struct login_drive {
	struct login *login;  // owned
	char *route;          // the pattern, for words; owned
	uint64_t serial;      // of the token in use; 0: none yet
	bool waits;           // for a token
	struct error given_up; // why we said * to the host; code 0: not
};

// Takes over from *options; login and route exist until finish.
void login_drive_init(struct login_drive *d, const struct login_options *options, const char *route);
void login_drive_finish(struct login_drive *d); // all zero is fine
// Does what is next in SMTP_WANT_AUTH. True: a token is needed, other than d->serial:
// login_drive_token follows.
bool login_drive_step(struct login_drive *d, struct smtp_client *c);
// serial 0: there is none, and why.
void login_drive_token(struct login_drive *d, struct smtp_client *c, struct str token, uint64_t serial,
	const char *why);

#endif
