// SPDX-License-Identifier: ISC
// Where it is used from, and bodies that come again and again.
#include "policy/guard_internal.h"

#include <stdio.h>

#define HOUR	    1u
#define DAY	    (24 * HOUR)
#define SAME_MOST   1000000 // more are as good
#define YOUNG_HOURS (14 * DAY) // a network counts as known after that
#define AGE_HOURS   (90 * DAY) // and is forgotten after that without use

uint64_t guard_network_of(const struct ipaddr *address)
{
	unsigned octets = address->family == 4 ? 3 : 6;
	uint64_t network = 0;

	for (unsigned n = 0; n < octets; n++)
		network = network << 8 | address->octets[n];
	return (uint64_t)address->family << 56 | network;
}

const char *guard_network_format(uint64_t network, char out[IPADDR_TEXT_MAX + 4])
{
	unsigned octets = network >> 56 == 4 ? 3 : 6;
	struct ipaddr a = {.family = octets == 3 ? 4 : 6};
	char text[IPADDR_TEXT_MAX];

	for (unsigned n = 0; n < octets; n++)
		a.octets[n] = (uint8_t)(network >> 8 * (octets - 1 - n));
	snprintf(out, IPADDR_TEXT_MAX + 4, "%s/%u", ipaddr_format(&a, text), octets * 8);
	return out;
}

// /16 or /32: what lies in one of these may be one provider's, whose clients wander.
static uint64_t wide(uint64_t network)
{
	return network >> 56 == 4 ? network >> 8 : network >> 16;
}

static bool is_within(const struct guard_state *s, uint32_t hour, uint32_t hours)
{
	return s->hour - hour < hours;
}

static bool seen_lately(const struct guard_state *s, const struct guard_network *n)
{
	return n->network && is_within(s, n->last_hour, AGE_HOURS);
}

// A free place; else that of a stranger, so that a thief's networks do not drive out the owner's.
static struct guard_network *place_for(struct guard_state *s)
{
	struct guard_network *oldest = &s->networks[0], *stranger = NULL;

	for (unsigned i = 0; i < GUARD_NETWORKS; i++) {
		struct guard_network *n = &s->networks[i];

		if (!seen_lately(s, n))
			return n;
		if (n->last_hour < oldest->last_hour)
			oldest = n;
		if (is_within(s, n->first_hour, DAY) && (!stranger || n->messages < stranger->messages))
			stranger = n;
	}
	return stranger ? stranger : oldest;
}

bool guard_note_network(struct guard_state *s, uint64_t network)
{
	struct guard_network *found = NULL;
	bool near = false;

	for (unsigned i = 0; i < GUARD_NETWORKS; i++) {
		struct guard_network *n = &s->networks[i];

		if (!seen_lately(s, n))
			continue;
		if (n->network == network)
			found = n;
		near = near || (wide(n->network) == wide(network) &&
				       !is_within(s, n->first_hour, YOUNG_HOURS));
	}
	if (!found) {
		found = place_for(s);
		*found = (struct guard_network){.network = network, .first_hour = s->hour};
	}
	found->last_hour = s->hour;
	if (found->messages < UINT32_MAX)
		found->messages++;
	// Of somebody who is new himself every network is.
	return !near && is_within(s, found->first_hour, YOUNG_HOURS) &&
		s->now_ms - s->first_ms >= YOUNG_HOURS * GUARD_HOUR_MS;
}

uint32_t guard_new_networks(const struct guard_state *s)
{
	uint64_t found[GUARD_NETWORKS];
	uint32_t count = 0;

	for (unsigned i = 0; i < GUARD_NETWORKS; i++) {
		const struct guard_network *n = &s->networks[i];
		bool again = false;

		if (!n->network || !is_within(s, n->first_hour, DAY))
			continue;
		for (uint32_t k = 0; k < count; k++)
			again = again || found[k] == wide(n->network);
		if (!again)
			found[count++] = wide(n->network);
	}
	return count;
}

uint32_t guard_note_body(struct guard_state *s, uint64_t digest)
{
	struct guard_body *place = &s->bodies[0];

	for (unsigned i = 0; i < GUARD_BODIES; i++) {
		struct guard_body *b = &s->bodies[i];

		if (b->count && b->digest == digest && is_within(s, b->hour, DAY)) {
			b->hour = s->hour;
			b->count += b->count < SAME_MOST;
			return b->count;
		}
		if (!is_within(s, b->hour, DAY))
			b->count = 0;
		if (b->count < place->count || (b->count == place->count && b->hour < place->hour))
			place = b;
	}
	*place = (struct guard_body){.digest = digest, .hour = s->hour, .count = 1};
	return 1;
}

uint32_t guard_same_bodies(const struct guard_state *s)
{
	uint32_t most = 0;

	for (unsigned i = 0; i < GUARD_BODIES; i++)
		if (is_within(s, s->bodies[i].hour, DAY) && s->bodies[i].count > most)
			most = s->bodies[i].count;
	return most;
}
