// SPDX-License-Identifier: ISC
// How full a mailbox may be and how full it is: numbers only. Who counts is deliver/quota.h, who
// decides where they come from queue/quota.h.
#ifndef PABAL_BASE_QUOTA_H
#define PABAL_BASE_QUOTA_H

#include <stdbool.h>
#include <stdint.h>

// 0: no limit. Where limits are written down (account, domain): 0: not said here, and QUOTA_NONE: no
// limit, whatever less special places say.
struct quota_limits {
	uint64_t octets, messages;           // hard
	uint64_t octets_soft, messages_soft; // above it the owner is warned
	bool pass;                           // counted, but nothing is kept out: the postmaster
};
#define QUOTA_NONE ((uint64_t)INT64_MAX)

struct quota_usage {
	uint64_t octets, messages;
};

enum quota_over { QUOTA_FITS, QUOTA_OVER_SOFT, QUOTA_OVER_HARD };

// What l does not say it takes from the less special one, value by value.
void quota_inherit(struct quota_limits *l, const struct quota_limits *from);
// QUOTA_NONE becomes 0: the limits in force.
void quota_resolve(struct quota_limits *l);
bool quota_is_limited(const struct quota_limits *l);
// Where a mailbox stands with one more message of this many octets; 0: as it is now. `pass` is not
// looked at. l: in force.
enum quota_over quota_judge(const struct quota_limits *l, const struct quota_usage *now,
	uint64_t octets);

#endif
