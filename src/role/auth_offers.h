// SPDX-License-Identifier: ISC
// What role auth knows of the mechanisms it can serve: the library, when one is needed, the secret
// that unknown names are derived from, and whether all accounts have SCRAM keys.
#ifndef PABAL_ROLE_AUTH_OFFERS_H
#define PABAL_ROLE_AUTH_OFFERS_H

#include "auth/offers.h"
#include "base/error.h"
#include "store/secrets.h"

#include <uv.h>

// Before confinement and threads: loads the library if the configuration needs it. That it cannot be
// loaded is reported, and what needs it is not offered.
void auth_offers_prepare(const struct config *config);
// Whether the new configuration names a mechanism of the library that was not loaded for the old one:
// plugins cannot be loaded after confinement.
bool auth_offers_need_more(const struct config *old, const struct config *now);
// ERR_* with words: the store cannot keep our secret.
int auth_offers_start(struct auth_offer_state *state, uv_loop_t *loop, const struct config *config,
	struct secrets *secrets, struct error *err);
// scram_missing: an account that may log in has no SCRAM keys (auth_lacking.h). True: what is offered
// may be another.
bool auth_offers_set(
	struct auth_offer_state *state, const struct config *config, bool scram_missing);
void auth_offers_stop(void);

#endif
