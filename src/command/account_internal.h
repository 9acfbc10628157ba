// SPDX-License-Identifier: ISC
// What the files of `pabal account` share. name is an account's in key form, or "".
#ifndef PABAL_COMMAND_ACCOUNT_INTERNAL_H
#define PABAL_COMMAND_ACCOUNT_INTERNAL_H

#include "base/error.h"
#include "config/config.h"

#include <jansson.h>

#define ACCOUNT_PASSWORD_MAX 1024

// What the command line said; NULL: not said.
struct account_words {
	const char *submit, *relay, *from, *servers, *groups, *expires, *lock, *legacy, *act_as, *label,
		*otp;
	const char *action; // of group, app-password and send-as: "add"
	const char *group;  // of send-as: the address, domain or group
	bool unlock, hash, json;
};

// A line of the terminal (asked for twice, not shown) or of standard input.
int account_read_password(char out[ACCOUNT_PASSWORD_MAX + 1], struct error *err);
// Reads one and gives it to the command as `key`.
int account_send_secret(const struct config *c, const char *command, const char *key, const char *name,
	struct error *err);
// A command that takes the account's name only.
int account_call(const struct config *c, const char *command, const char *name, struct error *err);

int account_set(const struct config *c, const char *name, const struct account_words *w, struct error *err);
int account_group(const struct config *c, const char *name, const struct account_words *w, struct error *err);
int account_application(const struct config *c, const char *name, const struct account_words *w,
	struct error *err);
int account_send_as(const struct config *c, const char *name, const struct account_words *w,
	struct error *err);
int account_show(const struct config *c, const char *name, const struct account_words *w, struct error *err);

#endif
