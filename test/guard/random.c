// SPDX-License-Identifier: ISC
// Chance from seeds: the same on every machine.
#include "world.h"

#include <math.h>

static uint64_t mix(uint64_t x)
{
	x ^= x >> 30;
	x *= UINT64_C(0xbf58476d1ce4e5b9);
	x ^= x >> 27;
	x *= UINT64_C(0x94d049bb133111eb);
	return x ^ x >> 31;
}

struct chance chance_make(uint64_t seed, uint64_t what)
{
	return (struct chance){mix(seed * UINT64_C(0x9e3779b97f4a7c15) + mix(what + 1))};
}

uint64_t chance_u64(struct chance *c)
{
	c->state += UINT64_C(0x9e3779b97f4a7c15);
	return mix(c->state);
}

unsigned chance_below(struct chance *c, unsigned most)
{
	return most ? (unsigned)(chance_u64(c) >> 33) % most : 0;
}

unsigned chance_range(struct chance *c, unsigned from, unsigned to)
{
	return from + chance_below(c, to - from + 1);
}

static double unit(struct chance *c)
{
	return (double)(chance_u64(c) >> 11) / 9007199254740992.0;
}

bool chance_is(struct chance *c, double probability)
{
	return unit(c) < probability;
}

double chance_exp(struct chance *c, double mean)
{
	return -mean * log(1.0 - unit(c));
}

unsigned chance_poisson(struct chance *c, double mean)
{
	double sum = 0;
	unsigned count = 0;

	if (mean <= 0)
		return 0;
	while ((sum += chance_exp(c, 1.0)) < mean)
		count++;
	return count;
}

double chance_lognormal(struct chance *c, double median, double spread)
{
	double u = unit(c), v = unit(c);

	return median * exp(log(spread) * sqrt(-2.0 * log(1.0 - u)) * cos(6.283185307179586 * v));
}
