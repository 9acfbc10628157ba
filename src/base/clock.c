// SPDX-License-Identifier: ISC
// Reading the two clocks and writing dates. Never looks at the locale.
#include "base/clock.h"

#include "base/error.h"
#include "base/unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

// The end of year 9999: both formats have four digits.
#define LAST_SECOND INT64_C(253402300799)

static uint64_t read_ms(clockid_t which)
{
	struct timespec now = {0};

	clock_gettime(which, &now);
	if (now.tv_sec < 0)
		return 0;
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

uint64_t clock_wall_ms(void)
{
	return read_ms(CLOCK_REALTIME);
}

uint64_t clock_wall_us(void)
{
	struct timespec now;
	clock_gettime(CLOCK_REALTIME, &now);
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

uint64_t clock_monotonic_ms(void)
{
	return read_ms(CLOCK_MONOTONIC);
}

void clock_prepare(void)
{
	tzset();
}

static time_t whole_seconds(uint64_t wall_ms)
{
	uint64_t seconds = wall_ms / 1000;

	return (time_t)(seconds < (uint64_t)LAST_SECOND ? seconds : (uint64_t)LAST_SECOND);
}

const char *clock_format_rfc5322(uint64_t wall_ms, char out[CLOCK_DATE_MAX])
{
	static const char days[7][4] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
	static const char months[12][4] = {
		"Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
	// A day short of the end, so that no zone reaches year 10000.
	time_t last = (time_t)(LAST_SECOND - 86400);
	time_t when = whole_seconds(wall_ms);
	struct tm tm = {0};
	char text[128]; // what the compiler thinks could be needed
	long zone;

	if (when > last)
		when = last;
	localtime_r(&when, &tm);
	zone = tm.tm_gmtoff / 60;
	snprintf(text, sizeof(text), "%s, %d %s %d %02d:%02d:%02d %c%02ld%02ld", days[tm.tm_wday],
		tm.tm_mday, months[tm.tm_mon], tm.tm_year + 1900, tm.tm_hour, tm.tm_min, tm.tm_sec,
		zone < 0 ? '-' : '+', labs(zone) / 60, labs(zone) % 60);
	str_copy(str_from(text), out, CLOCK_DATE_MAX);
	return out;
}

const char *clock_format_rfc3339(uint64_t wall_ms, char out[CLOCK_DATE_MAX])
{
	time_t when = whole_seconds(wall_ms);
	struct tm tm = {0};
	char text[128];

	gmtime_r(&when, &tm);
	snprintf(text, sizeof(text), "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ", tm.tm_year + 1900,
		tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec, (int)(wall_ms % 1000));
	str_copy(str_from(text), out, CLOCK_DATE_MAX);
	return out;
}

static bool take_number(struct str *s, unsigned digits, char end, int *out)
{
	uint64_t value;

	if (s->len < digits || str_to_u64(str_slice(*s, 0, digits), &value))
		return false;
	*out = (int)value;
	*s = str_skip(*s, digits);
	if (!s->len)
		return end == '\0' || end == 'T';
	if (s->data[0] != end)
		return false;
	*s = str_skip(*s, 1);
	return s->len > 0;
}

int clock_parse_date(struct str s, uint64_t now_ms, uint64_t *out_ms)
{
	struct tm tm = {.tm_isdst = -1}, made;
	uint64_t duration;

	if (str_find(s, '-') < 0) {
		if (s.len && char_lower(s.data[s.len - 1]) >= 'a' && !unit_parse_duration(s, &duration) &&
			duration < UINT64_MAX / 4) {
			*out_ms = now_ms + duration;
			return 0;
		}
		return ERR_SYNTAX;
	}
	if (!take_number(&s, 4, '-', &tm.tm_year) || !take_number(&s, 2, '-', &tm.tm_mon) ||
		!take_number(&s, 2, 'T', &tm.tm_mday))
		return ERR_SYNTAX;
	if (s.len && (!take_number(&s, 2, ':', &tm.tm_hour) || !take_number(&s, 2, '\0', &tm.tm_min)))
		return ERR_SYNTAX;
	tm.tm_year -= 1900;
	tm.tm_mon -= 1;
	made = tm;
	time_t seconds = mktime(&made);
	// mktime makes the 3rd of March of the 31st of February.
	if (s.len || seconds < 0 || made.tm_mday != tm.tm_mday || made.tm_mon != tm.tm_mon ||
		made.tm_min != tm.tm_min)
		return ERR_SYNTAX;
	*out_ms = (uint64_t)seconds * 1000;
	return 0;
}
