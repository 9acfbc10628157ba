// SPDX-License-Identifier: ISC
#include "base/quota.h"

#include <stddef.h>

#define VALUES(l) {&(l)->octets, &(l)->messages, &(l)->octets_soft, &(l)->messages_soft}
#define VALUE_COUNT 4

void quota_inherit(struct quota_limits *l, const struct quota_limits *from)
{
	uint64_t *const to[] = VALUES(l);
	const uint64_t *const values[] = VALUES(from);

	for (size_t i = 0; i < VALUE_COUNT; i++)
		if (!*to[i])
			*to[i] = *values[i];
}

void quota_resolve(struct quota_limits *l)
{
	uint64_t *const values[] = VALUES(l);

	for (size_t i = 0; i < VALUE_COUNT; i++)
		if (*values[i] >= QUOTA_NONE)
			*values[i] = 0;
}

bool quota_is_limited(const struct quota_limits *l)
{
	return l->octets || l->messages || l->octets_soft || l->messages_soft;
}

static bool is_above(uint64_t now, uint64_t more, uint64_t limit)
{
	return limit && (now > limit || more > limit - now);
}

enum quota_over quota_judge(
	const struct quota_limits *l, const struct quota_usage *now, uint64_t octets)
{
	uint64_t messages = octets != 0;

	if (is_above(now->octets, octets, l->octets) ||
		is_above(now->messages, messages, l->messages))
		return QUOTA_OVER_HARD;
	if (is_above(now->octets, octets, l->octets_soft) ||
		is_above(now->messages, messages, l->messages_soft))
		return QUOTA_OVER_SOFT;
	return QUOTA_FITS;
}
