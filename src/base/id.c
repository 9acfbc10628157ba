// SPDX-License-Identifier: ISC
// Ids that sort by time, and their text.
#include "base/id.h"

#include "base/clock.h"
#include "base/error.h"

#define EPOCH_MS     UINT64_C(1577836800000) // 2020-01-01T00:00:00Z
#define MS_BITS	     42
#define SOURCE_BITS  10
#define COUNTER_BITS 11
#define MS_MAX	     ((UINT64_C(1) << MS_BITS) - 1)
#define COUNTER_MAX  ((1u << COUNTER_BITS) - 1)

#define LETTERS (ID_TEXT_MAX - 1) // 5 bits each, 65 in all

static const char letters[] = "0123456789abcdefghjkmnpqrstvwxyz";

void id_source_init(struct id_source *s, unsigned node, unsigned slot)
{
	BUG_ON(node > 15 || slot > 63);
	*s = (struct id_source){.source = (uint16_t)(node << 6 | slot)};
}

uint64_t id_next(struct id_source *s)
{
	uint64_t wall = clock_wall_ms();
	uint64_t ms = wall > EPOCH_MS ? wall - EPOCH_MS : 1;

	if (ms > s->last_ms) {
		s->last_ms = ms;
		s->counter = 0;
	} else if (s->counter < COUNTER_MAX) {
		s->counter++;
	} else {
		// More than the counter holds in one millisecond, or the clock
		// stepped back: run ahead of it.
		s->last_ms++;
		s->counter = 0;
	}
	BUG_ON(s->last_ms > MS_MAX); // in 2159
	return s->last_ms << (SOURCE_BITS + COUNTER_BITS) | (uint64_t)s->source << COUNTER_BITS |
	       s->counter;
}

const char *id_format(uint64_t id, char out[ID_TEXT_MAX])
{
	for (int i = LETTERS - 1; i >= 0; i--) {
		out[i] = letters[id & 31];
		id >>= 5;
	}
	out[LETTERS] = '\0';
	return out;
}

int id_parse(struct str s, uint64_t *out_id)
{
	uint64_t id = 0;

	if (s.len != LETTERS)
		return ERR_SYNTAX;
	for (size_t i = 0; i < s.len; i++) {
		const char *letter = s.data[i] ? strchr(letters, s.data[i]) : NULL;
		if (!letter || id >> 59)
			return ERR_SYNTAX;
		id = id << 5 | (uint64_t)(letter - letters);
	}
	if (id == 0)
		return ERR_SYNTAX;
	*out_id = id;
	return 0;
}

uint64_t id_wall_ms(uint64_t id)
{
	return (id >> (SOURCE_BITS + COUNTER_BITS)) + EPOCH_MS;
}

uint64_t id_first_at(uint64_t wall_ms)
{
	uint64_t ms = wall_ms > EPOCH_MS ? wall_ms - EPOCH_MS : 0;

	return (ms < MS_MAX ? ms : MS_MAX) << (SOURCE_BITS + COUNTER_BITS);
}
