// SPDX-License-Identifier: ISC
// One-time passwords (RFC 2289): the state that is stored for an account. The password of sequence n
// is a hash taken n times; who knows it cannot make the next one, which has n - 1. Checking what a
// client sends is the SASL library's work (OTP, RFC 2444).
#ifndef PABAL_AUTH_OTP_H
#define PABAL_AUTH_OTP_H

#include "base/error.h"
#include "base/str.h"

#define AUTH_OTP_HASH	    8
#define AUTH_OTP_SEED_MAX   16
#define AUTH_OTP_TEXT	    128 // octets of a state as text, with the NUL
#define AUTH_OTP_FIRST	    500 // sequence of a new state: 499 passwords
#define AUTH_OTP_PHRASE_MIN 10	// RFC 2289 6
#define AUTH_OTP_PHRASE_MAX 63

struct auth_otp {
	char algorithm[8]; // "sha1", "md5"
	unsigned sequence; // of the password that was used last; 1: none is left
	char seed[AUTH_OTP_SEED_MAX + 1];
	unsigned char last[AUTH_OTP_HASH]; // that password
};

// A new state with a new seed. ERR_SYNTAX with words: the phrase is too short, too long, or not ASCII;
// ERR_UNSUPPORTED: the algorithm.
int auth_otp_make(const char *algorithm, struct str phrase, struct auth_otp *out, struct error *err);
// The password of a sequence, for a seed in lower case (RFC 2289 6). ERR_UNSUPPORTED.
int auth_otp_compute(const char *algorithm, struct str seed, struct str phrase, unsigned sequence,
	unsigned char out[AUTH_OTP_HASH]);
// "sha1\t0500\tseed\thash\t00000000000000000000", as libsasl2 has it; the last field is a lock of its
// own that is not kept. ERR_SYNTAX.
int auth_otp_read(const char *text, struct auth_otp *out);
void auth_otp_format(const struct auth_otp *otp, char out[AUTH_OTP_TEXT]);
// May next take the place of was? The password before it, or a start with another seed: never one
// that could make a used password good again.
bool auth_otp_follows(const struct auth_otp *was, const struct auth_otp *next);
unsigned auth_otp_left(const struct auth_otp *otp);

#endif
