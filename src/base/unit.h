// SPDX-License-Identifier: ISC
// The one parser and printer of sizes and durations.
#ifndef PABAL_BASE_UNIT_H
#define PABAL_BASE_UNIT_H

#include "base/str.h"

#define UNIT_TEXT_MAX 24

// "10M": octets; suffix K, M, G, T (powers of 1024, either case), none: octets.
int unit_parse_size(struct str s, uint64_t *out_octets);
// "4h", "1h30m", "250ms": milliseconds; suffix ms, s, m, h, d, w; none: seconds.
int unit_parse_duration(struct str s, uint64_t *out_ms);
// The shortest exact text that parses back to the same value.
const char *unit_format_size(uint64_t octets, char out[UNIT_TEXT_MAX]);
const char *unit_format_duration(uint64_t ms, char out[UNIT_TEXT_MAX]);
// Rounded, for people: "1.4G", "3d 4h".
const char *unit_format_size_short(uint64_t octets, char out[UNIT_TEXT_MAX]);
const char *unit_format_duration_short(uint64_t ms, char out[UNIT_TEXT_MAX]);

#endif
