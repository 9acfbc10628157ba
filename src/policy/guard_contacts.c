// SPDX-License-Identifier: ISC
// Who was written to before: two filters of hashes, so that a state has one size. The new one takes
// what comes until it is full; then the older is forgotten. Who is met again in the older one moves
// to the newer. Each hash sets bits in one line of the processor's cache (a blocked Bloom filter);
// one in some hundred strangers is taken for known.
#include "policy/guard_internal.h"

#define LINE   64 // octets
#define PROBES 6

static uint8_t *line_of(uint8_t *filter, uint64_t hash)
{
	return filter + (hash >> 56) % (GUARD_CONTACTS / LINE) * LINE;
}

static unsigned probe(uint64_t hash, unsigned n)
{
	return (unsigned)(hash >> (1 + 9 * n)) & (LINE * 8 - 1);
}

static bool has(const uint8_t *filter, uint64_t hash)
{
	const uint8_t *line = line_of((uint8_t *)(uintptr_t)filter, hash);

	for (unsigned n = 0; n < PROBES; n++) {
		unsigned bit = probe(hash, n);

		if (!(line[bit / 8] & 1u << bit % 8))
			return false;
	}
	return true;
}

bool guard_knows(const struct guard_state *s, uint64_t recipient)
{
	return has(s->contacts[0], recipient) || has(s->contacts[1], recipient);
}

void guard_add_contact(struct guard_state *s, uint64_t recipient)
{
	uint8_t *line;

	if (has(s->contacts[0], recipient))
		return;
	if (s->contact_count >= GUARD_CONTACTS_MOST) {
		memcpy(s->contacts[1], s->contacts[0], GUARD_CONTACTS);
		memset(s->contacts[0], 0, GUARD_CONTACTS);
		s->contact_count = 0;
	}
	line = line_of(s->contacts[0], recipient);
	for (unsigned n = 0; n < PROBES; n++) {
		unsigned bit = probe(recipient, n);

		line[bit / 8] |= (uint8_t)(1u << bit % 8);
	}
	s->contact_count++;
}
