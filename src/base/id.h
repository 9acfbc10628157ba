// SPDX-License-Identifier: ISC
// 64-bit ids that sort by time: 42 bits milliseconds since 2020-01-01 UTC, 10
// bits source (4 bits node, 6 bits process slot), 11 bits counter. Never 0.
#ifndef PABAL_BASE_ID_H
#define PABAL_BASE_ID_H

#include "base/str.h"

#define ID_TEXT_MAX 14 // 13 characters and NUL

struct id_source {
	uint16_t source;   // node << 6 | slot
	uint64_t last_ms;
	uint16_t counter;
};

void id_source_init(struct id_source *s, unsigned node, unsigned slot); // 0..15, 0..63
// Never repeats within the source, also when the clock steps back.
uint64_t id_next(struct id_source *s);
// Lower-case base32 without i, l, o, u; sorts as the number does.
const char *id_format(uint64_t id, char out[ID_TEXT_MAX]);
int id_parse(struct str s, uint64_t *out_id);
uint64_t id_wall_ms(uint64_t id);
uint64_t id_first_at(uint64_t wall_ms); // no id made at that time or later is lower

#endif
