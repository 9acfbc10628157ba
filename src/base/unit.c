// SPDX-License-Identifier: ISC
// Sizes and durations as people write them.
#include "base/unit.h"

#include "base/error.h"

#include <inttypes.h>
#include <stdio.h>

// ---- sizes

static const struct {
	char letter;
	unsigned shift;
} size_units[] = {{'T', 40}, {'G', 30}, {'M', 20}, {'K', 10}};

int unit_parse_size(struct str s, uint64_t *out_octets)
{
	struct str digits = s;
	unsigned shift = 0;
	uint64_t value;
	size_t i;

	for (i = 0; s.len && i < ARRAY_SIZE(size_units); i++) {
		if ((s.data[s.len - 1] & ~0x20) != size_units[i].letter)
			continue;
		shift = size_units[i].shift;
		digits.len--;
		break;
	}
	if (digits.len == 0 || !str_only(digits, "0123456789"))
		return ERR_SYNTAX;
	if (str_to_u64(digits, &value) < 0 || value > UINT64_MAX >> shift)
		return ERR_LIMIT;
	*out_octets = value << shift;
	return 0;
}

const char *unit_format_size(uint64_t octets, char out[UNIT_TEXT_MAX])
{
	for (size_t i = 0; octets && i < ARRAY_SIZE(size_units); i++) {
		uint64_t count = octets >> size_units[i].shift;
		if (count << size_units[i].shift == octets) {
			snprintf(out, UNIT_TEXT_MAX, "%" PRIu64 "%c", count, size_units[i].letter);
			return out;
		}
	}
	snprintf(out, UNIT_TEXT_MAX, "%" PRIu64, octets);
	return out;
}

const char *unit_format_size_short(uint64_t octets, char out[UNIT_TEXT_MAX])
{
	for (size_t i = 0; i < ARRAY_SIZE(size_units); i++) {
		unsigned shift = size_units[i].shift;
		uint64_t unit = UINT64_C(1) << shift;
		uint64_t rest = octets & (unit - 1);
		uint64_t tenths = (octets >> shift) * 10 + (rest * 10 + unit / 2) / unit;
		char letter = size_units[i].letter;

		// "1024K" is what 0.9995M and more would be one unit lower.
		if (octets < unit - unit / 2048)
			continue;
		if (tenths < 10)
			tenths = 10;
		if (tenths >= 100)
			snprintf(out, UNIT_TEXT_MAX, "%" PRIu64 "%c",
				(octets >> shift) + (rest >= unit / 2), letter);
		else if (tenths % 10)
			snprintf(out, UNIT_TEXT_MAX, "%u.%u%c", (unsigned)tenths / 10,
				(unsigned)tenths % 10, letter);
		else
			snprintf(out, UNIT_TEXT_MAX, "%u%c", (unsigned)tenths / 10, letter);
		return out;
	}
	snprintf(out, UNIT_TEXT_MAX, "%" PRIu64, octets);
	return out;
}

// ---- durations

#define SECOND UINT64_C(1000)
#define MINUTE (60 * SECOND)
#define HOUR   (60 * MINUTE)
#define DAY    (24 * HOUR)
#define WEEK   (7 * DAY)

static const struct {
	struct str name;
	uint64_t ms;
} duration_units[] = {
	{{"w", 1}, WEEK},
	{{"d", 1}, DAY},
	{{"h", 1}, HOUR},
	{{"m", 1}, MINUTE},
	{{"s", 1}, SECOND},
	{{"ms", 2}, 1},
};
#define DURATION_UNITS ARRAY_SIZE(duration_units)

// Takes the run of octets at the start of *s that are digits, or are not.
static struct str take_run(struct str *s, bool digits)
{
	size_t len = 0;
	struct str run;

	while (len < s->len && (s->data[len] >= '0' && s->data[len] <= '9') == digits)
		len++;
	run = str_slice(*s, 0, len);
	*s = str_skip(*s, len);
	return run;
}

int unit_parse_duration(struct str s, uint64_t *out_ms)
{
	bool alone = s.len && str_only(s, "0123456789");
	size_t next = 0; // units come from large to small, each once
	uint64_t total = 0;

	if (s.len == 0)
		return ERR_SYNTAX;
	while (s.len) {
		struct str digits = take_run(&s, true);
		struct str name = alone ? STR("s") : take_run(&s, false);
		uint64_t value;

		while (next < DURATION_UNITS && !str_equal(duration_units[next].name, name))
			next++;
		if (digits.len == 0 || next == DURATION_UNITS)
			return ERR_SYNTAX;
		if (str_to_u64(digits, &value) < 0 ||
			__builtin_mul_overflow(value, duration_units[next].ms, &value) ||
			__builtin_add_overflow(total, value, &total))
			return ERR_LIMIT;
		next++;
	}
	*out_ms = total;
	return 0;
}

// Writes ms with only the units whose bits are set; false when it does not
// come out even or does not fit.
static bool format_with(uint64_t ms, unsigned units, char out[UNIT_TEXT_MAX])
{
	size_t len = 0;

	for (size_t i = 0; i < DURATION_UNITS; i++) {
		uint64_t count = ms / duration_units[i].ms;
		int n;

		if (!(units & 1u << i) || count == 0)
			continue;
		n = snprintf(out + len, UNIT_TEXT_MAX - len, "%" PRIu64 "%s", count,
			duration_units[i].name.data);
		if (n < 0 || (size_t)n >= UNIT_TEXT_MAX - len)
			return false;
		len += (size_t)n;
		ms -= count * duration_units[i].ms;
	}
	return ms == 0;
}

const char *unit_format_duration(uint64_t ms, char out[UNIT_TEXT_MAX])
{
	size_t best = UNIT_TEXT_MAX;

	if (ms == 0)
		return memcpy(out, "0s", sizeof("0s"));
	// Six units, so all 63 choices of them are tried.
	for (unsigned units = 1; units < 1u << DURATION_UNITS; units++) {
		char text[UNIT_TEXT_MAX];
		if (format_with(ms, units, text) && strlen(text) < best) {
			best = strlen(text);
			memcpy(out, text, best + 1);
		}
	}
	return out;
}

static uint64_t round_to(uint64_t ms, uint64_t unit)
{
	uint64_t down = ms - ms % unit;

	return ms % unit >= unit / 2 && down <= UINT64_MAX - unit ? down + unit : down;
}

const char *unit_format_duration_short(uint64_t ms, char out[UNIT_TEXT_MAX])
{
	// A row is used from where its smallest part, rounded, reaches its
	// largest: 59.6 s are "1m", but 23h 40m are not "1d".
	static const struct {
		uint64_t large, small, least;
		const char *large_name, *small_name;
	} rows[] = {
		{DAY, HOUR, MINUTE, "d", "h"},
		{HOUR, MINUTE, SECOND, "h", "m"},
		{MINUTE, SECOND, SECOND, "m", "s"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		uint64_t rounded = round_to(ms, rows[i].small);
		uint64_t rest = rounded % rows[i].large;

		if (round_to(ms, rows[i].least) < rows[i].large)
			continue;
		if (rest)
			snprintf(out, UNIT_TEXT_MAX, "%" PRIu64 "%s %u%s", rounded / rows[i].large,
				rows[i].large_name, (unsigned)(rest / rows[i].small),
				rows[i].small_name);
		else
			snprintf(out, UNIT_TEXT_MAX, "%" PRIu64 "%s", rounded / rows[i].large,
				rows[i].large_name);
		return out;
	}
	if (ms < SECOND)
		snprintf(out, UNIT_TEXT_MAX, "%ums", (unsigned)ms);
	else if (ms < 9950 && round_to(ms, 100) % SECOND)
		snprintf(out, UNIT_TEXT_MAX, "%u.%us", (unsigned)(round_to(ms, 100) / SECOND),
			(unsigned)(round_to(ms, 100) % SECOND / 100));
	else
		snprintf(out, UNIT_TEXT_MAX, "%us", (unsigned)(round_to(ms, SECOND) / SECOND));
	return out;
}
