// SPDX-License-Identifier: ISC
#include "auth/cram.h"

#include "base/memory.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>

#define MD5_OCTETS 16

static void add_hex(const unsigned char *octets, char *out)
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < MD5_OCTETS; i++) {
		*out++ = digits[octets[i] >> 4];
		*out++ = digits[octets[i] & 15];
	}
}

bool auth_cram_matches(struct str password, struct str challenge, struct str digest)
{
	unsigned char octets[EVP_MAX_MD_SIZE];
	char own[2 * MD5_OCTETS], sent[2 * MD5_OCTETS];
	unsigned len = 0;
	bool made = HMAC(EVP_md5(), password.data, (int)password.len,
			    (const unsigned char *)challenge.data, challenge.len, octets, &len) &&
		    len == MD5_OCTETS;

	if (!made || digest.len != sizeof sent)
		return false;
	add_hex(octets, own);
	memcpy(sent, digest.data, sizeof sent);
	str_lower(sent, sizeof sent);
	bool same = mem_equal_secret(own, sent, sizeof own);
	mem_wipe(own, sizeof own);
	mem_wipe(octets, sizeof octets);
	return same;
}
