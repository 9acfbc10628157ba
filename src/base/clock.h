// SPDX-License-Identifier: ISC
// Time: the wall clock for people and files, the monotonic one for waiting.
#ifndef PABAL_BASE_CLOCK_H
#define PABAL_BASE_CLOCK_H

#include "base/str.h"

uint64_t clock_wall_ms(void);      // since 1970, UTC
uint64_t clock_wall_us(void);      // the same in microseconds
uint64_t clock_monotonic_ms(void);
#define CLOCK_DATE_MAX 40
// RFC 5322 3.3 date-time in local time with numeric zone: "Sun, 22 Nov 2026 10:00:00 +0900".
const char *clock_format_rfc5322(uint64_t wall_ms, char out[CLOCK_DATE_MAX]);
// RFC 3339 UTC with milliseconds: "2026-11-22T01:00:00.123Z".
const char *clock_format_rfc3339(uint64_t wall_ms, char out[CLOCK_DATE_MAX]);
// "2026-12-31" or "2026-12-31T18:00" in local time, or a duration from now ("30d"). ERR_SYNTAX.
int clock_parse_date(struct str s, uint64_t now_ms, uint64_t *out_ms);
// Loads the time zone while files can still be opened.
void clock_prepare(void);

#endif
