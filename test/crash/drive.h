// SPDX-License-Identifier: ISC
// Gives a store a mixture of all that may be asked of it, many requests at a time, and notes what
// was asked and answered when.
#ifndef PABAL_CRASH_DRIVE_H
#define PABAL_CRASH_DRIVE_H

#include "truth.h"

// Adds to h: a start of the store in folder, `asks` requests, a stop, and the same again
// `starts` times in all. Ends the program when an answer is not the right one.
void drive(struct history *h, const char *folder, unsigned starts, unsigned asks, uint64_t seed);

#endif
