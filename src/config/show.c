// SPDX-License-Identifier: ISC
// The effective configuration as text, and what differs between two.
#include "config/config_internal.h"

#include "base/text.h"

void config_show_indent(unsigned depth, struct buf *out)
{
	while (depth--)
		buf_add_char(out, '\t');
}

void config_show_setting(const struct config_setting *s, unsigned depth, struct buf *out)
{
	config_show_indent(depth, out);
	buf_add_format(out, "%s ", s->name);
}

void config_show_string(struct str s, struct buf *out)
{
	buf_add_char(out, '"');
	for (size_t i = 0; i < s.len; i++) {
		char c = s.data[i];
		if (c == '"' || c == '\\')
			buf_add_char(out, '\\');
		if (c == '\n' || c == '\t')
			buf_add_text(out, c == '\n' ? "\\n" : "\\t");
		else
			buf_add_char(out, c);
	}
	buf_add_char(out, '"');
}

// name ["label"] { settings and inner blocks }
static void show_inner(enum config_block_id id, const void *base, unsigned depth, struct buf *out)
{
	const struct config_block *b = &config_blocks[id];
	struct buf inside = BUF_INIT;
	config_show_block(id, base, depth + 1, &inside);
	if (buf_len(&inside) || b->item_size) {
		buf_add_char(out, '\n');
		config_show_indent(depth, out);
		buf_add_format(out, "%s ", b->name);
		if (b->item_size) {
			config_show_string(*(const struct str *)base, out);
			buf_add_char(out, ' ');
		}
		buf_add_text(out, "{\n");
		buf_add_str(out, buf_str(&inside));
		config_show_indent(depth, out);
		buf_add_text(out, "}\n");
	}
	buf_finish(&inside);
}

void config_show_block(enum config_block_id id, const void *base, unsigned depth, struct buf *out)
{
	size_t count;
	const struct config_setting *s = config_settings_of(id, &count);
	for (size_t i = 0; i < count; i++)
		if (s[i].type->show && !config_limit_is_by_block(id, &s[i], base) &&
			(!config_blocks[id].takes || config_blocks[id].takes(&s[i], base)))
			s[i].type->show(&s[i], base, depth, out);
	for (enum config_block_id inner = 1; inner < CONFIG_BLOCK_COUNT; inner++) {
		const struct config_block *b = &config_blocks[inner];
		const char *at = base;
		if (b->parent != id)
			continue;
		if (b->item_size == 0) {
			if (!b->present || *(const bool *)(at + b->present))
				show_inner(inner, at + b->offset, depth, out);
			continue;
		}
		const char *items = *(const char *const *)(at + b->items);
		for (size_t i = 0; i < *(const size_t *)(at + b->count); i++)
			show_inner(inner, items + i * b->item_size, depth, out);
	}
}

int config_show(const struct config *c, struct buf *out)
{
	config_show_block(CONFIG_BLOCK_TOP, c, 0, out);
	return 0;
}

// ---- comparing two: a setting differs when it encodes differently

struct difference {
	struct buf *names;
	char strongest;
};

static void add_difference(struct difference *d, const char *block, const char *name, char reload)
{
	static const char order[] = "lsr";
	if (!d->strongest || strchr(order, reload) > strchr(order, d->strongest))
		d->strongest = reload;
	buf_add_format(d->names, "%s%s%s%s", buf_len(d->names) ? "," : "", block ? block : "",
		block && name ? "." : "", name ? name : "");
}

static bool setting_differs(const struct config_setting *s, const void *a, const void *b)
{
	struct buf octets[2] = {BUF_INIT, BUF_INIT};
	struct config_codec codec[2] = {
		{.mode = CONFIG_ENCODE, .roles = CONFIG_FOR_ALL, .out = &octets[0]},
		{.mode = CONFIG_ENCODE, .roles = CONFIG_FOR_ALL, .out = &octets[1]}};
	s->type->carry(&codec[0], s, (void *)a);
	s->type->carry(&codec[1], s, (void *)b);
	bool differs = !str_equal(buf_str(&octets[0]), buf_str(&octets[1]));
	buf_finish_wipe(&octets[0]);
	buf_finish_wipe(&octets[1]);
	return differs;
}

// The instances of a block in both, n of them, each size apart.
static void diff_settings(
	struct difference *d, enum config_block_id id, const char *a, const char *b, size_t n)
{
	size_t count, size = config_blocks[id].item_size;
	const struct config_setting *s = config_settings_of(id, &count);
	for (size_t i = 0; i < count; i++)
		for (size_t j = 0; s[i].type->carry && j < n; j++)
			if (setting_differs(&s[i], a + j * size, b + j * size)) {
				add_difference(d, config_blocks[id].name, s[i].name, s[i].reload);
				break;
			}
}

static void diff_server_tls(
	struct difference *d, const struct config_server *a, const struct config_server *b)
{
	if (a->has_tls != b->has_tls)
		add_difference(d, "server", "tls", 's');
	else if (a->has_tls)
		diff_settings(d, CONFIG_BLOCK_SERVER_TLS, (const char *)&a->tls,
			(const char *)&b->tls, 1);
}

static void diff_repeated(
	struct difference *d, enum config_block_id id, const char *a, const char *b)
{
	const struct config_block *block = &config_blocks[id];
	size_t n = *(const size_t *)(a + block->count);
	const char *x = *(const char *const *)(a + block->items);
	const char *y = *(const char *const *)(b + block->items);
	bool same = n == *(const size_t *)(b + block->count);
	for (size_t i = 0; same && i < n; i++)
		same = str_equal(*(const struct str *)(x + i * block->item_size),
			*(const struct str *)(y + i * block->item_size));
	if (!same) {
		add_difference(d, block->name, NULL, block->reload);
		return;
	}
	diff_settings(d, id, x, y, n);
	for (size_t i = 0; id == CONFIG_BLOCK_SERVER && i < n; i++)
		diff_server_tls(d, (const struct config_server *)x + i,
			(const struct config_server *)y + i);
}

// Those of the file itself and those inside a block that exists once.
static void diff_blocks(struct difference *d, enum config_block_id parent, const char *a,
	const char *b)
{
	for (enum config_block_id id = 1; id < CONFIG_BLOCK_COUNT; id++) {
		const struct config_block *block = &config_blocks[id];
		if (block->parent != parent)
			continue;
		if (block->item_size) {
			diff_repeated(d, id, a, b);
			continue;
		}
		diff_settings(d, id, a + block->offset, b + block->offset, 1);
		diff_blocks(d, id, a + block->offset, b + block->offset);
	}
}

char config_diff(const struct config *a, const struct config *b, struct buf *out_names)
{
	struct difference d = {.names = out_names};
	diff_settings(&d, CONFIG_BLOCK_TOP, (const char *)a, (const char *)b, 1);
	diff_blocks(&d, CONFIG_BLOCK_TOP, (const char *)a, (const char *)b);
	return d.strongest;
}
