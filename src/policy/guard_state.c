// SPDX-License-Identifier: ISC
// The state as octets: one walk that writes or reads, little-endian. Contacts are written with their
// empty octets counted, as most have few.
#include "policy/guard_internal.h"

#include "base/error.h"

#define VERSION	    1
#define NUMBER_MOST 24000000

struct codec {
	struct buf *out; // NULL: reading
	struct str rest;
	int err;
};

static void carry(struct codec *c, uint64_t *value, unsigned octets)
{
	uint64_t read = 0;

	if (c->out) {
		for (unsigned n = 0; n < octets; n++)
			c->err = c->err ? c->err : buf_add_char(c->out, (char)(*value >> 8 * n));
		return;
	}
	if (c->rest.len < octets) {
		c->err = ERR_CORRUPT;
		return;
	}
	for (unsigned n = 0; n < octets; n++)
		read |= (uint64_t)(unsigned char)c->rest.data[n] << 8 * n;
	c->rest = str_skip(c->rest, octets);
	*value = read;
}

static void carry_u64(struct codec *c, uint64_t *value)
{
	carry(c, value, 8);
}

static void carry_u32(struct codec *c, uint32_t *value)
{
	uint64_t wide = *value;

	carry(c, &wide, 4);
	*value = (uint32_t)wide;
}

static void carry_u16(struct codec *c, uint16_t *value)
{
	uint64_t wide = *value;

	carry(c, &wide, 2);
	*value = (uint16_t)wide;
}

static void carry_numbers(struct codec *c, uint32_t *first, size_t count)
{
	for (size_t n = 0; n < count; n++)
		carry_u32(c, &first[n]);
}

#define NUMBERS(member) (uint32_t *)(void *)&(member), sizeof(member) / (sizeof(uint32_t))

static void carry_head(struct codec *c, struct guard_state *s)
{
	uint64_t action = s->action, held = s->held_today, profile = s->profile;

	carry_u64(c, &s->first_ms);
	carry_u64(c, &s->now_ms);
	carry_u64(c, &s->learn_until_ms);
	carry_u64(c, &s->allowed_until_ms);
	carry(c, &action, 1);
	carry_u64(c, &s->action_ms);
	carry_u64(c, &s->calm_ms);
	carry_u32(c, &s->since_hold);
	carry_u32(c, &s->ten);
	carry_u32(c, &s->hour);
	carry_u32(c, &s->day);
	carry(c, &held, 1);
	carry(c, &profile, 1);
	if (action > GUARD_SUSPEND || held > 1 || profile >= GUARD_PROFILES)
		c->err = ERR_CORRUPT;
	s->profile = c->err ? GUARD_PROFILE_NORMAL : (enum guard_profile)profile;
	s->action = c->err ? GUARD_NONE : (enum guard_action)action;
	s->held_today = held != 0;
}

static void carry_body(struct codec *c, struct guard_body *b)
{
	carry_u64(c, &b->digest);
	carry_u32(c, &b->hour);
	carry_u32(c, &b->count);
}

static void carry_network(struct codec *c, struct guard_network *n)
{
	carry_u64(c, &n->network);
	carry_u32(c, &n->first_hour);
	carry_u32(c, &n->last_hour);
	carry_u32(c, &n->messages);
}

// An empty octet is followed by how many there are.
static void write_filter(struct codec *c, const uint8_t *filter)
{
	for (size_t n = 0; n < GUARD_CONTACTS;) {
		size_t run = 0;

		while (!filter[n + run] && run < 255 && n + run < GUARD_CONTACTS - 1)
			run++;
		run = filter[n] ? 0 : run ? run : 1;
		c->err = c->err ? c->err : buf_add_char(c->out, (char)filter[n]);
		if (run)
			c->err = c->err ? c->err : buf_add_char(c->out, (char)run);
		n += run ? run : 1;
	}
}

static void read_filter(struct codec *c, uint8_t *filter)
{
	for (size_t n = 0; n < GUARD_CONTACTS && !c->err;) {
		uint64_t octet = 0, run = 0;

		carry(c, &octet, 1);
		if (!octet)
			carry(c, &run, 1);
		if ((!octet && !run) || n + run > GUARD_CONTACTS)
			c->err = ERR_CORRUPT;
		filter[n] = (uint8_t)octet;
		n += run ? run : 1;
	}
}

static void carry_state(struct codec *c, struct guard_state *s)
{
	carry_head(c, s);
	carry_numbers(c, NUMBERS(s->tens));
	carry_numbers(c, NUMBERS(s->hours));
	for (unsigned n = 0; n < GUARD_BODIES; n++)
		carry_body(c, &s->bodies[n]);
	for (unsigned n = 0; n < GUARD_NETWORKS; n++)
		carry_network(c, &s->networks[n]);
	carry_numbers(c, NUMBERS(s->today));
	carry_numbers(c, NUMBERS(s->usual));
	carry_u32(c, &s->days);
	carry_u32(c, &s->fresh_mean);
	carry_u32(c, &s->refused_mean);
	carry_u32(c, &s->finished_mean);
	carry_u32(c, &s->creep);
	for (size_t n = 0; n < ARRAY_SIZE(s->week); n++)
		carry_u16(c, &s->week[n]);
	carry_u32(c, &s->contact_count);
	for (unsigned n = 0; n < 2; n++) {
		if (c->out)
			write_filter(c, s->contacts[n]);
		else
			read_filter(c, s->contacts[n]);
	}
}

int guard_encode(const struct guard_state *s, struct buf *out)
{
	struct guard_state copy = *s;
	struct codec c = {.out = out};

	_Static_assert(sizeof(struct guard_state) <= GUARD_STATE_MAX, "a state is bounded");
	c.err = buf_add_char(out, VERSION);
	carry_state(&c, &copy);
	return c.err;
}

// Numbers that the code divides by, indexes with or adds up are what they can be.
static bool is_sane(const struct guard_state *s)
{
	const uint32_t *all[] = {(const uint32_t *)&s->today, (const uint32_t *)&s->usual,
		(const uint32_t *)s->tens, (const uint32_t *)s->hours};
	const size_t counts[] = {sizeof(s->today), sizeof(s->usual), sizeof(s->tens), sizeof(s->hours)};

	for (size_t i = 0; i < ARRAY_SIZE(all); i++)
		for (size_t n = 0; n < counts[i] / sizeof(uint32_t); n++)
			if (all[i][n] > NUMBER_MOST)
				return false;
	for (size_t n = 0; n < GUARD_BODIES; n++)
		if (s->bodies[n].count > NUMBER_MOST)
			return false;
	return s->hour == (uint32_t)(s->now_ms / GUARD_HOUR_MS) &&
		s->ten == (uint32_t)(s->now_ms / (10 * GUARD_MINUTE_MS)) &&
		s->day == (uint32_t)(s->now_ms / GUARD_DAY_MS) && s->first_ms <= s->now_ms &&
		s->contact_count <= GUARD_CONTACTS_MOST && s->fresh_mean < UINT32_MAX / 4 &&
		s->creep < UINT32_MAX / 4 && s->refused_mean < UINT32_MAX / 4 &&
		s->finished_mean < UINT32_MAX / 4 && s->days <= GUARD_DAYS_MOST;
}

int guard_decode(struct str octets, struct guard_state *out)
{
	struct codec c = {.rest = octets};
	uint64_t version = 0;

	*out = (struct guard_state){0};
	carry(&c, &version, 1);
	if (!c.err && version != VERSION)
		return ERR_UNSUPPORTED;
	carry_state(&c, out);
	if (!c.err && (c.rest.len || !is_sane(out)))
		c.err = ERR_CORRUPT;
	guard_sum_up(out);
	if (c.err)
		*out = (struct guard_state){0};
	return c.err;
}
