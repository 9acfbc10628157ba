// SPDX-License-Identifier: ISC
// Which mechanisms a server offers: those that all its password sources can serve, or those that its
// configuration names, as far as any of them can. Those for tokens are offered when any source takes
// tokens; sources that take nothing else forbid none of the others. Pure: configuration in, names out.
#ifndef PABAL_AUTH_OFFERS_H
#define PABAL_AUTH_OFFERS_H

#include "auth/mechanism.h"

#define AUTH_OFFER_MAX 512 // octets of a list of names, with the NUL

// What is not in the configuration.
struct auth_offer_facts {
	bool scram_missing; // some account has a password and no SCRAM keys
	bool (*available)(const char *mechanism); // whether the library here has it; NULL: all
};

// Both as they are now, for those who ask later; owned by role auth.
struct auth_offer_state {
	const struct config *config;
	struct auth_offer_facts facts;
};

// Space-separated, strongest first; without TLS only where the configuration allows it.
void auth_offers(const struct config *c, const struct config_server *s,
	const struct auth_offer_facts *f, bool tls, char out[AUTH_OFFER_MAX]);
// For other programs on the public socket, who name no server: what all sources can serve and every
// server may, without channel bindings.
void auth_offers_public(const struct config *c, const struct auth_offer_facts *f,
	char out[AUTH_OFFER_MAX]);
// What may be used: by the block of that name, or with "" or an unknown one as on the public socket.
void auth_offers_for(const struct auth_offer_state *state, struct str server, bool tls,
	char out[AUTH_OFFER_MAX]);
// Is it among them? Without case.
bool auth_offers_have(const char *list, const char *mechanism);
// Whether any of a list binds to the channel.
bool auth_offers_binding(const char *list);

// Tells of each mechanism of the default wish or named, and not offered after TLS, why.
void auth_offers_explain(const struct config *c, const struct config_server *s,
	const struct auth_offer_facts *f,
	void (*each)(void *arg, const char *mechanism, const char *why), void *arg);

// The names that the library of sasl.h has to serve for this configuration; "" : it is not needed.
void auth_offers_of_library(const struct config *c, char out[AUTH_OFFER_MAX]);

#endif
