// SPDX-License-Identifier: ISC
// The one narrow door to a foreign SASL library: create, step, properties, dispose. The library
// itself is in a module of its own (pabal-sasl.so) that is loaded only when a mechanism needs it;
// like every such library it is one a process, and so is what is declared here.
#ifndef PABAL_AUTH_SASL_H
#define PABAL_AUTH_SASL_H

#include "auth/source.h"
#include "base/list.h"
#include "base/str.h"

#include <uv.h>

// What a name can be checked with. Wiped by its owner.
struct auth_sasl_credentials {
	char clear[512]; // the password; "" : none
	char scram[512]; // keys of the mechanism asked for: "SCRAM-SHA-256$4096:salt$stored:server"
	char otp[128];	 // the state of one-time passwords (otp.h)
};

struct auth_sasl_request {
	const char *mechanism; // without -PLUS it may still have a binding (RFC 5802 6)
	const char *hostname;
	const char *binding_name; // "tls-exporter" ..., "" : none. Both live as long as the dialogue
	struct str binding;
	// Asks, from inside a step and on its thread, what is stored for a name; waits for it. False:
	// that cannot be told now, and the step ends in AUTH_SASL_CANNOT.
	bool (*lookup)(void *arg, struct str name, struct auth_sasl_credentials *out);
	// Keeps a new state of one-time passwords. False: it could not.
	bool (*store)(void *arg, struct str name, const char *otp);
	void *arg;
};

enum auth_sasl_outcome {
	AUTH_SASL_CHALLENGE,
	AUTH_SASL_PROVED, // what is in out goes along as the last challenge
	AUTH_SASL_REFUTED,
	AUTH_SASL_CANNOT,
};

struct auth_sasl_settings {
	const char *mechanisms; // that may be asked for, space-separated
	const char *keytab;	// path of a keytab for GSSAPI; "" : none
};

struct auth_sasl_dialogue;
struct auth_sasl_library {
	// Once, before confinement: opens what it needs and keeps it open. ERR_* with words.
	int (*start)(const struct auth_sasl_settings *settings, struct error *err);
	void (*stop)(void);
	bool (*has)(const char *mechanism); // can be served on this machine, after start
	struct auth_sasl_dialogue *(*create)(const struct auth_sasl_request *r); // copied; NULL: cannot
	// Blocks. response.data NULL: none. *out is the challenge; it lives until the next call.
	enum auth_sasl_outcome (*step)(
		struct auth_sasl_dialogue *d, struct str response, struct str *out);
	// After PROVED: who it is and whom it wants to act for ("": itself), as the client wrote it.
	// After any other outcome: why, for the log (a literal or living as long as d).
	void (*properties)(const struct auth_sasl_dialogue *d, struct str *out_name,
		struct str *out_authzid, const char **out_reason);
	void (*dispose)(struct auth_sasl_dialogue *d);
};

// Loads the module and starts the library with these mechanisms. Before confinement.
int auth_sasl_load(const struct auth_sasl_settings *settings, struct error *err);
// The same with a library at hand (tests). Kept by pointer.
int auth_sasl_start(const struct auth_sasl_library *library,
	const struct auth_sasl_settings *settings, struct error *err);
bool auth_sasl_has(const char *mechanism); // false while nothing is loaded
// The threads for steps. secret: what credentials of unknown names are derived from; it outlives
// this process, so that they stay the same.
#define AUTH_SASL_SECRET 32
void auth_sasl_open(uv_loop_t *loop, unsigned threads, const unsigned char secret[AUTH_SASL_SECRET]);
void auth_sasl_close(void); // waits for steps that run; dialogues must have been disposed of

// ---- for the mechanisms
struct auth_job;
struct auth_pool *auth_sasl_pool(void); // NULL: not open
const struct auth_sasl_library *auth_sasl_library(void);
const unsigned char *auth_sasl_secret(void);
// From a thread: has call(arg) made on the loop.
struct auth_sasl_call {
	struct list link;
	void (*call)(struct auth_sasl_call *c);
};
void auth_sasl_call_on_loop(struct auth_sasl_call *c);
void auth_sasl_take_back(struct auth_sasl_call *c); // on the loop: it is not made, if it was not yet
// What a thread still uses although nobody waits for it: freed with the job's done, or by close.
struct auth_sasl_orphan {
	struct list link;
	void (*free)(struct auth_sasl_orphan *o);
};
void auth_sasl_leave(struct auth_sasl_orphan *o);

#endif
