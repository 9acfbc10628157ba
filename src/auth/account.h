// SPDX-License-Identifier: ISC
// What the directory says of an account that has proved who it is.
#ifndef PABAL_AUTH_ACCOUNT_H
#define PABAL_AUTH_ACCOUNT_H

#include "base/ipaddr.h"

enum auth_account_state {
	AUTH_ACCOUNT_NONE,
	AUTH_ACCOUNT_ENABLED,
	AUTH_ACCOUNT_DISABLED,
	AUTH_ACCOUNT_CANNOT_TELL,
	AUTH_ACCOUNT_LOCKED,
	AUTH_ACCOUNT_EXPIRED,
};

// As of ipc account_answer; texts live as long as the call.
struct auth_account {
	int state; // enum auth_account_state
	uint32_t rights;
	struct str name;
	struct str networks, servers; // lines "WHO<tab>words": all must fit
	struct str act_as;	      // key names with a space between
	struct str reason;	      // why it is locked
};

// May it be used from there? *who says it may not: "account", "group staff". server "" : another
// program's, which is no server block of ours.
bool auth_account_fits(const struct auth_account *a, const struct ipaddr *client, struct str server,
	struct str *who);
bool auth_account_may_act_as(const struct auth_account *a, struct str key);

#endif
