// SPDX-License-Identifier: ISC
// The rows of the mechanisms' table, by the file that carries them out.
#ifndef PABAL_AUTH_MECHANISM_ROWS_H
#define PABAL_AUTH_MECHANISM_ROWS_H

#include "auth/mechanism.h"

// ---- mechanism_sasl.c
extern const struct auth_mechanism auth_mechanism_scram_512, auth_mechanism_scram_512_plus;
extern const struct auth_mechanism auth_mechanism_scram_256, auth_mechanism_scram_256_plus;
extern const struct auth_mechanism auth_mechanism_scram_1, auth_mechanism_scram_1_plus;
extern const struct auth_mechanism auth_mechanism_digest_md5, auth_mechanism_ntlm,
	auth_mechanism_otp, auth_mechanism_gssapi, auth_mechanism_gss_spnego;

// ---- mechanism_winbind.c: in place of those above, where the configuration has winbind
extern const struct auth_mechanism auth_mechanism_winbind_ntlm, auth_mechanism_winbind_spnego;

// ---- mechanism_own.c
extern const struct auth_mechanism auth_mechanism_external, auth_mechanism_anonymous,
	auth_mechanism_cram_md5;

// ---- mechanism_oauth.c
extern const struct auth_mechanism auth_mechanism_oauthbearer, auth_mechanism_xoauth2;

// Whether the server this dialogue came to offers mechanisms with channel bindings now.
bool auth_mechanism_offers_binding(const struct authentication *x);

#endif
