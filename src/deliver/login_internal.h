// SPDX-License-Identifier: ISC
// What login.c (choice and small mechanisms) and scram.c share.
#ifndef PABAL_DELIVER_LOGIN_INTERNAL_H
#define PABAL_DELIVER_LOGIN_INTERNAL_H

#include "deliver/login.h"

enum { LOGIN_BY_PASSWORD = 1, LOGIN_BY_TOKEN = 2, LOGIN_BY_CERTIFICATE = 4 };

struct login_mechanism {
	const char *name;
	unsigned by;
	bool bare;         // gives the secret itself away: TLS only
	bool when_wanted;  // only if the configuration names it
	const char *hash;  // of SCRAM
	bool plus;         // of SCRAM: bound to the channel
	bool (*start)(struct login *l, struct buf *out);
	int (*answer)(struct login *l, struct str challenge, struct buf *out, struct error *err);
};

struct scram {
	struct buf bare;        // client-first-message-bare
	struct buf header;      // gs2-header, then the binding
	char nonce[64];
	unsigned char server_signature[64];
	size_t hash_len;
	unsigned step;
	bool proved;            // the host has shown that it knows the password
};

struct login {
	char *user, *host;
	struct buf password, token, binding;
	bool has_token, secured, certificate;
	char binding_name[32];  // "" : none
	uint16_t port;
	struct str *wanted;
	size_t wanted_count;
	char nonce[64];
	unsigned refused;       // bits of the table
	bool plus_offered;      // by the host, of the mechanism chosen
	bool token_renewed, token_refused;
	const struct login_mechanism *mechanism;
	unsigned step;
	struct scram scram;
};

bool login_scram_start(struct login *l, struct buf *out);
int login_scram_answer(struct login *l, struct str challenge, struct buf *out, struct error *err);
void login_scram_finish(struct login *l);
bool login_may_bind(const struct login *l); // a -PLUS mechanism would be used if it was offered

#endif
