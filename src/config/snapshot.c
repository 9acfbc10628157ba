// SPDX-License-Identifier: ISC
// One role's part of the configuration as octets and back. One walk over the
// table does both directions, so they cannot disagree. Integers are little-endian;
// a string is its length in 4 octets, its octets and a NUL.
#include "config/config_internal.h"

#include "base/memory.h"

static const char magic[8] = "PABALCF1";

// ---- pieces

static void take(struct config_codec *c, void *out, size_t len)
{
	if (c->corrupt || len > c->rest.len) {
		c->corrupt = true;
		memset(out, 0, len);
		return;
	}
	memcpy(out, c->rest.data, len);
	c->rest = str_skip(c->rest, len);
}

void config_carry_octets(struct config_codec *c, void *data, size_t len)
{
	if (c->mode == CONFIG_ENCODE)
		c->corrupt = c->corrupt || buf_add(c->out, data, len) < 0;
	else if (c->mode == CONFIG_DECODE)
		take(c, data, len);
}

static void carry_number(struct config_codec *c, uint64_t *value, size_t octets)
{
	unsigned char data[8] = {0};
	for (size_t i = 0; i < octets; i++)
		data[i] = (unsigned char)(*value >> (8 * i));
	config_carry_octets(c, data, octets);
	if (c->mode != CONFIG_DECODE)
		return;
	*value = 0;
	for (size_t i = 0; i < octets; i++)
		*value |= (uint64_t)data[i] << (8 * i);
}

void config_carry_u64(struct config_codec *c, uint64_t *value, uint64_t least, uint64_t most)
{
	carry_number(c, value, 8);
	if (c->mode != CONFIG_DECODE || c->corrupt)
		return;
	bool bounded = least || most;
	if (bounded && (*value < least || *value > most)) {
		c->corrupt = true;
		*value = least;
	}
}

void config_carry_u16(struct config_codec *c, uint16_t *value)
{
	uint64_t wide = *value;
	config_carry_u64(c, &wide, 0, 65535);
	*value = (uint16_t)wide;
}

void config_carry_bool(struct config_codec *c, bool *value)
{
	uint64_t wide = *value;
	config_carry_u64(c, &wide, 0, 1);
	*value = wide != 0;
}

void config_carry_enum(struct config_codec *c, void *value, unsigned most)
{
	unsigned narrow;
	memcpy(&narrow, value, sizeof narrow);
	uint64_t wide = narrow;
	config_carry_u64(c, &wide, 0, most);
	narrow = (unsigned)wide;
	memcpy(value, &narrow, sizeof narrow);
}

void config_carry_str(struct config_codec *c, struct str *s)
{
	uint64_t len = s->len;
	char end = '\0';
	carry_number(c, &len, 4);
	if (c->mode == CONFIG_ENCODE) {
		config_carry_octets(c, (void *)s->data, s->len);
		config_carry_octets(c, &end, 1);
		c->corrupt = c->corrupt || s->len > UINT32_MAX;
	} else if (c->mode == CONFIG_DECODE) {
		*s = STR_EMPTY;
		if (c->corrupt || len >= c->rest.len || c->rest.data[len] != '\0') {
			c->corrupt = true;
			return;
		}
		*s = str_slice(c->rest, 0, (size_t)len);
		c->rest = str_skip(c->rest, (size_t)len + 1);
	}
}

void config_carry_array(struct config_codec *c, void *items_field, size_t *count, size_t item_size)
{
	uint64_t number = *count;
	carry_number(c, &number, 4);
	if (c->mode != CONFIG_DECODE)
		return;
	*count = 0;
	void *items = NULL;
	// Each item takes octets, so what is allocated is bounded by what came in.
	if (number > c->rest.len)
		c->corrupt = true;
	if (!c->corrupt && number) {
		items = arena_alloc(c->arena, (size_t)number * item_size);
		*count = (size_t)number;
	}
	memcpy(items_field, &items, sizeof items);
}

void config_carry_list(struct config_codec *c, struct config_list *l)
{
	config_carry_array(c, &l->items, &l->count, sizeof *l->items);
	for (size_t i = 0; i < l->count && !c->corrupt; i++)
		config_carry_str(c, &l->items[i]);
}

void config_carry_file(struct config_codec *c, struct config_file *f, bool visible)
{
	if (c->mode == CONFIG_WIPE) {
		if (f->content.len)
			mem_wipe((void *)f->content.data, f->content.len);
		return;
	}
	struct str content = visible || c->mode == CONFIG_DECODE ? f->content : STR_EMPTY;
	config_carry_str(c, &f->path);
	config_carry_str(c, &content);
	if (c->mode == CONFIG_DECODE)
		f->content = content;
}

void config_carry_ipaddr(struct config_codec *c, struct ipaddr *a)
{
	config_carry_octets(c, &a->family, 1);
	config_carry_octets(c, a->octets, sizeof a->octets);
	if (a->family != 0 && a->family != 4 && a->family != 6) {
		c->corrupt = true;
		a->family = 0;
	}
}

// ---- the walk

static void carry_inner(struct config_codec *c, enum config_block_id id, char *base)
{
	const struct config_block *b = &config_blocks[id];
	if (b->item_size == 0) {
		uint64_t present = b->present ? *(bool *)(base + b->present) : 1;
		if (b->present)
			config_carry_u64(c, &present, 0, 1);
		if (b->present)
			*(bool *)(base + b->present) = present != 0;
		if (present)
			config_carry_block(c, id, base + b->offset);
		return;
	}
	size_t *count = (size_t *)(base + b->count);
	config_carry_array(c, base + b->items, count, b->item_size);
	char *items = *(char **)(base + b->items);
	for (size_t i = 0; i < *count && !c->corrupt; i++) {
		config_carry_str(c, (struct str *)(items + i * b->item_size));
		config_carry_block(c, id, items + i * b->item_size);
	}
}

void config_carry_block(struct config_codec *c, enum config_block_id id, void *base)
{
	size_t count;
	const struct config_setting *s = config_settings_of(id, &count);
	for (size_t i = 0; i < count && !c->corrupt; i++)
		if (s[i].type->carry && (s[i].roles & c->roles))
			s[i].type->carry(c, &s[i], base);
	for (enum config_block_id inner = 1; inner < CONFIG_BLOCK_COUNT && !c->corrupt; inner++)
		if (config_blocks[inner].parent == id && (config_blocks[inner].roles & c->roles))
			carry_inner(c, inner, base);
}

// ---- the table's shape, so that a snapshot of another build is not misread

static uint64_t mix(uint64_t hash, const char *text)
{
	for (; *text; text++)
		hash = (hash ^ (unsigned char)*text) * 0x100000001b3;
	return (hash ^ '/') * 0x100000001b3;
}

static uint64_t table_shape(void)
{
	uint64_t hash = mix(0xcbf29ce484222325, PABAL_VERSION);
	for (enum config_block_id id = 0; id < CONFIG_BLOCK_COUNT; id++) {
		size_t count;
		const struct config_setting *s = config_settings_of(id, &count);
		for (size_t i = 0; i < count; i++) {
			hash = mix(hash, s[i].name);
			hash = mix(hash, s[i].type->syntax);
			hash = (hash ^ s[i].roles ^ (uint64_t)s[i].secret_for << 32) *
			       0x100000001b3;
		}
	}
	return hash;
}

static void carry_all(struct config_codec *c, struct config *config)
{
	uint64_t shape = table_shape();
	char name[sizeof magic];
	memcpy(name, magic, sizeof name);
	config_carry_octets(c, name, sizeof name);
	config_carry_u64(c, &shape, 0, 0);
	if (c->mode == CONFIG_DECODE &&
		(memcmp(name, magic, sizeof name) != 0 || shape != table_shape()))
		c->corrupt = true;
	uint64_t roles = c->roles;
	carry_number(c, &roles, 4);
	c->roles = (unsigned)roles;
	config_carry_u64(c, &config->generation, 0, 0);
	if (!c->corrupt)
		config_carry_block(c, CONFIG_BLOCK_TOP, config);
	if (!c->corrupt &&
		(c->roles & (CONFIG_FOR_MASTER | CONFIG_FOR_SMTPD | CONFIG_FOR_QUEUE)))
		config_carry_limits(c, config);
	if (!c->corrupt && (c->roles & CONFIG_FOR_MASTER))
		config_carry_list(c, &config->sources);
}

int config_encode(const struct config *config, unsigned for_role, struct buf *out)
{
	struct config_codec c = {.mode = CONFIG_ENCODE, .roles = for_role, .out = out};
	size_t before = out->end;
	// The codec writes to a configuration only when it decodes.
	carry_all(&c, (struct config *)config);
	if (!c.corrupt)
		return 0;
	out->end = before;
	return ERR_LIMIT;
}

int config_decode(struct str octets, struct config **out)
{
	struct config *config = mem_alloc(sizeof *config);
	struct config_codec c = {.mode = CONFIG_DECODE, .rest = octets, .arena = &config->arena};
	config->mapped = true;
	carry_all(&c, config);
	if (c.corrupt || c.rest.len || config_index(config) < 0) {
		config_destroy(config);
		*out = NULL;
		return ERR_CORRUPT;
	}
	*out = config;
	return 0;
}

void config_destroy(struct config *config)
{
	struct config_codec c = {.mode = CONFIG_WIPE, .roles = CONFIG_FOR_ALL};
	if (!config)
		return;
	if (!config->mapped)
		config_carry_block(&c, CONFIG_BLOCK_TOP, config);
	arena_finish(&config->arena);
	mem_free(config);
}

struct config_list config_sources(const struct config *c)
{
	return c->sources;
}
