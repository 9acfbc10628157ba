// SPDX-License-Identifier: ISC
// Reads configuration text by the table of settings. It knows the grammar and
// no setting; it goes on after an error, so that all of them are found.
#include "config/config_internal.h"

#include "base/memory.h"
#include "base/text.h"

#include <stdarg.h>
#include <stdio.h>

// ---- tokens

void config_advance(struct config_parser *p)
{
	config_tokenizer_next(&p->tokenizer, &p->token);
	if (p->token.kind == CONFIG_TOKEN_BAD)
		config_report(p, 'E', config_here(p), "%s", TEXT(p->token.problem));
}

struct config_place config_here(const struct config_parser *p)
{
	return (struct config_place){p->file, p->token.line, p->token.column};
}

static void describe_token(const struct config_token *t, struct buf *out)
{
	static const char *const words[] = {
		[CONFIG_TOKEN_OPEN] = "{",
		[CONFIG_TOKEN_CLOSE] = "}",
		[CONFIG_TOKEN_EOF] = TEXT_MARK("the end of the file"),
	};
	if (t->kind == CONFIG_TOKEN_END)
		buf_add_text(out,
			t->text.len && *t->text.data == ';' ? ";" : TEXT("the end of the line"));
	else if (t->kind == CONFIG_TOKEN_WORD || t->kind == CONFIG_TOKEN_STRING)
		buf_add_format(out, "\"%.*s%s\"", STR_ARG(str_slice(t->text, 0, 80)),
			t->text.len > 80 ? "..." : "");
	else if (t->kind != CONFIG_TOKEN_BAD)
		buf_add_text(out, TEXT(words[t->kind]));
}

// ---- findings

void config_report(
	struct config_parser *p, char severity, struct config_place place, const char *format, ...)
{
	struct buf text = BUF_INIT;
	va_list args;
	va_start(args, format);
	buf_add_vformat(&text, format, args);
	va_end(args);
	config_findings_add(
		p->findings, severity, place.file, place.line, place.column, "%s", buf_cstr(&text));
	buf_finish(&text);
}

const char *config_place_words(struct config_parser *p, struct config_place place)
{
	if (place.file.len == 0)
		return TEXT("the defaults");
	if (p->includes <= 1)
		return arena_format(&p->scratch, TEXT("line %u"), place.line);
	return arena_format(&p->scratch, TEXT("%.*s line %u"), STR_ARG(place.file), place.line);
}

static size_t count_words(const char *const *words)
{
	size_t n = 0;
	while (words && words[n])
		n++;
	return n;
}

void config_report_expected(struct config_parser *p, const struct config_setting *s,
	const struct config_token *t, const char *what)
{
	struct buf expected = BUF_INIT, found = BUF_INIT;
	struct config_place place = {p->file, t->line, t->column};
	const char *near = NULL;
	if (t->kind == CONFIG_TOKEN_BAD) // reported when it was read
		return;
	if (what)
		buf_add_text(&expected, what);
	else
		config_expected(s, &expected);
	describe_token(t, &found);
	if (t->kind == CONFIG_TOKEN_WORD || t->kind == CONFIG_TOKEN_STRING)
		near = config_nearest(t->text, s->words, count_words(s->words));
	if (near)
		config_report(p, 'E', place, TEXT("%s: expected %s, not %s; did you mean \"%s\"?"),
			s->name, buf_cstr(&expected), buf_cstr(&found), near);
	else
		config_report(p, 'E', place, TEXT("%s: expected %s, not %s"), s->name,
			buf_cstr(&expected), buf_cstr(&found));
	buf_finish(&expected);
	buf_finish(&found);
}

// ---- values

bool config_take_value(struct config_parser *p, const struct config_setting *s, bool words,
	struct config_token *out)
{
	*out = p->token;
	if (p->token.kind == CONFIG_TOKEN_STRING || (words && p->token.kind == CONFIG_TOKEN_WORD)) {
		config_advance(p);
		return true;
	}
	config_report_expected(p, s, &p->token, NULL);
	return false;
}

void config_take_list(struct config_parser *p, const struct config_setting *s,
	void (*add)(struct config_parser *p, const struct config_setting *s,
		const struct config_token *t, void *base),
	void *base)
{
	struct config_token t;
	if (p->token.kind != CONFIG_TOKEN_OPEN) {
		if (!config_take_value(p, s, false, &t))
			return;
		add(p, s, &t, base);
		while (p->token.kind == CONFIG_TOKEN_STRING) {
			t = p->token;
			config_advance(p);
			add(p, s, &t, base);
		}
		return;
	}
	config_advance(p);
	while (p->token.kind != CONFIG_TOKEN_CLOSE && p->token.kind != CONFIG_TOKEN_EOF) {
		t = p->token;
		if (t.kind == CONFIG_TOKEN_STRING)
			add(p, s, &t, base);
		else if (t.kind != CONFIG_TOKEN_END)
			config_report_expected(p, s, &t, NULL);
		config_advance(p);
	}
	if (p->token.kind == CONFIG_TOKEN_CLOSE)
		config_advance(p);
	else
		config_report_expected(p, s, &p->token, "}");
}

struct str config_keep(struct config_parser *p, struct str s)
{
	return arena_str(&p->config->arena, s);
}

bool config_next_is(const struct config_parser *p, const char *word)
{
	return p->token.kind == CONFIG_TOKEN_WORD && str_equal(p->token.text, str_from(word));
}

bool config_at_end(const struct config_parser *p)
{
	return p->token.kind == CONFIG_TOKEN_EOF || p->token.kind == CONFIG_TOKEN_CLOSE;
}

void *config_array_add(struct arena *a, void *items_field, size_t *count, size_t item_size)
{
	void *items;
	memcpy(&items, items_field, sizeof items);
	// Grows when the count reaches a power of two, so no capacity has to be kept.
	if ((*count & (*count - 1)) == 0) {
		void *larger = arena_alloc(a, (*count ? *count * 2 : 1) * item_size);
		if (*count)
			memcpy(larger, items, *count * item_size);
		items = larger;
		memcpy(items_field, &items, sizeof items);
	}
	void *item = (char *)items + (*count)++ * item_size;
	memset(item, 0, item_size);
	return item;
}

// ---- files

struct str config_resolve_path(struct config_parser *p, struct str path)
{
	ptrdiff_t slash = str_find_last(p->file, '/');
	if (path.len == 0 || path.data[0] == '/' || slash < 0)
		return path;
	return str_from(arena_format(&p->scratch, "%.*s/%.*s",
		STR_ARG(str_slice(p->file, 0, (size_t)slash)), STR_ARG(path)));
}

static int read_once(struct config_parser *p, struct str path, bool secret,
	struct config_place place, struct buf *out)
{
	struct error err = {0};
	int result = p->reader->read(p->reader->arg, path.data, secret, out, &err);
	if (result < 0)
		config_report(p, 'E', place, "%s", err.text[0] ? err.text : err_text(result));
	return result;
}

int config_read_file(struct config_parser *p, struct str path, enum config_read how,
	struct config_place place, struct str *out)
{
	struct buf content = BUF_INIT;
	struct str *source = config_array_add(&p->config->arena, &p->config->sources.items,
		&p->config->sources.count, sizeof *source);
	*source = config_keep(p, path);
	int result = read_once(p, *source, how >= CONFIG_READ_SECRET, place, &content);
	bool again = result == 0 && how == CONFIG_READ_PEM &&
		     str_search(buf_str(&content), STR("PRIVATE KEY-----")) >= 0;
	if (again) {
		buf_finish_wipe(&content);
		result = read_once(p, *source, true, place, &content);
	}
	struct str text = buf_str(&content);
	if (how == CONFIG_READ_SECRET_LINE) {
		ptrdiff_t end = str_find(text, '\n');
		text = str_slice(text, 0, end < 0 ? text.len : (size_t)end);
		if (text.len && text.data[text.len - 1] == '\r')
			text.len--;
		if (result == 0 && (text.len == 0 || memchr(text.data, '\0', text.len))) {
			config_report(p, 'E', place,
				TEXT("%.*s: expected a password or pass phrase in its first line"),
				STR_ARG(*source));
			result = ERR_SYNTAX;
		}
	}
	if (result == 0)
		*out = config_keep(p, text);
	buf_finish_wipe(&content);
	return result;
}

// ---- blocks and settings

// To the end of the statement, over blocks that belong to it.
static void skip_statement(struct config_parser *p)
{
	size_t depth = 0;
	while (p->token.kind != CONFIG_TOKEN_EOF) {
		if (p->token.kind == CONFIG_TOKEN_OPEN)
			depth++;
		else if (p->token.kind == CONFIG_TOKEN_CLOSE && depth-- == 0)
			return;
		else if (p->token.kind == CONFIG_TOKEN_END && depth == 0)
			return;
		config_advance(p);
	}
}

struct config_place config_place_of(const struct config_frame *f, const char *name)
{
	for (size_t i = 0; i < f->setting_count; i++)
		if (strcmp(f->settings[i].name, name) == 0)
			return f->places[i];
	return (struct config_place){STR_EMPTY, 0, 0};
}

static void frame_init(
	struct config_parser *p, struct config_frame *f, enum config_block_id id, void *base)
{
	f->block = id;
	f->base = base;
	f->settings = config_settings_of(id, &f->setting_count);
	f->places = arena_alloc(&p->scratch, f->setting_count * sizeof *f->places);
	f->where = p->name;
	f->errors = p->findings->errors;
}

static void apply_standard(struct config_parser *p, const struct config_setting *s, void *base)
{
	struct config_tokenizer tokenizer = p->tokenizer;
	struct config_token token = p->token;
	config_tokenizer_init(&p->tokenizer, str_from(s->standard), &p->scratch);
	config_advance(p);
	s->type->parse(p, s, base);
	BUG_ON(p->token.kind != CONFIG_TOKEN_EOF);
	p->tokenizer = tokenizer;
	p->token = token;
}

void config_apply_standards(struct config_parser *p, struct config_frame *f)
{
	struct str file = p->file;
	p->file = STR_EMPTY;
	for (size_t i = 0; i < f->setting_count; i++)
		if (f->places[i].line == 0 && f->settings[i].standard && !f->settings[i].inherits)
			apply_standard(p, &f->settings[i], f->base);
	p->file = file;
}

static void parse_block(struct config_parser *p, struct config_frame *f);

static enum config_block_id find_block(enum config_block_id parent, struct str name)
{
	for (enum config_block_id id = 1; id < CONFIG_BLOCK_COUNT; id++)
		if (config_blocks[id].parent == parent &&
			str_equal(str_from(config_blocks[id].name), name))
			return id;
	return CONFIG_BLOCK_TOP;
}

static const char *block_words(enum config_block_id id)
{
	return id == CONFIG_BLOCK_TOP ? TEXT("the top level") : config_blocks[id].name;
}

// Where else a name would be right.
static const char *home_of(struct str name, enum config_block_id not_in)
{
	for (enum config_block_id id = 0; id < CONFIG_BLOCK_COUNT; id++)
		if (id != not_in &&
			(config_setting_find(id, name) || find_block(id, name) != CONFIG_BLOCK_TOP))
			return block_words(id);
	return NULL;
}

static void report_unknown(struct config_parser *p, const struct config_frame *f)
{
	const char *candidates[64];
	size_t count = 0;
	struct str name = str_slice(p->token.text, 0, 80);
	for (size_t i = 0; i < f->setting_count && count < ARRAY_SIZE(candidates); i++)
		candidates[count++] = f->settings[i].name;
	for (enum config_block_id id = 1; id < CONFIG_BLOCK_COUNT && count < ARRAY_SIZE(candidates);
		id++)
		if (config_blocks[id].parent == f->block)
			candidates[count++] = config_blocks[id].name;
	const char *home = home_of(p->token.text, f->block);
	const char *near = config_nearest(p->token.text, candidates, count);
	if (home)
		config_report(p, 'E', config_here(p),
			TEXT("unknown setting \"%.*s\" in %s; it belongs in %s"), STR_ARG(name),
			block_words(f->block), home);
	else if (near)
		config_report(p, 'E', config_here(p),
			TEXT("unknown setting \"%.*s\" in %s; did you mean \"%s\"?"), STR_ARG(name),
			block_words(f->block), near);
	else
		config_report(p, 'E', config_here(p), TEXT("unknown setting \"%.*s\" in %s"),
			STR_ARG(name), block_words(f->block));
}

static void parse_setting(
	struct config_parser *p, struct config_frame *f, const struct config_setting *s)
{
	struct config_place *place = &f->places[s - f->settings];
	size_t errors = p->findings->errors;
	p->name = config_here(p);
	p->frame = f;
	if (place->line && !s->type->repeats)
		config_report(p, 'E', p->name, TEXT("%s is set already in %s"), s->name,
			config_place_words(p, *place));
	if (place->line == 0)
		*place = p->name;
	config_advance(p);
	s->type->parse(p, s, f->base);
	if (s->check && p->findings->errors == errors)
		s->check(p, s, f->base);
}

// The frame of a block's new or only instance; NULL when it cannot be.
static struct config_frame *open_single(struct config_parser *p, struct config_frame *parent,
	enum config_block_id id, struct config_frame *own)
{
	const struct config_block *b = &config_blocks[id];
	struct config_frame *f = &p->single[id];
	if (id == CONFIG_BLOCK_SERVER_TLS) {
		f = own;
		if (*(bool *)(parent->base + b->present))
			config_report(p, 'E', p->name, TEXT("a second %s block in this %s"),
				b->name, config_blocks[parent->block].name);
		frame_init(p, f, id, parent->base + b->offset);
	}
	if (b->present)
		*(bool *)(parent->base + b->present) = true;
	f->where = p->name;
	return f;
}

static struct config_frame *open_repeated(struct config_parser *p, struct config_frame *parent,
	enum config_block_id id, struct config_frame *own)
{
	const struct config_block *b = &config_blocks[id];
	size_t *count = (size_t *)(parent->base + b->count);
	struct str label = STR_EMPTY;
	if (p->token.kind != CONFIG_TOKEN_STRING) {
		struct config_setting words = {.name = b->name};
		config_report_expected(p, &words, &p->token, TEXT(b->label));
		if (p->token.kind == CONFIG_TOKEN_WORD || p->token.kind == CONFIG_TOKEN_BAD)
			config_advance(p);
	} else {
		b->open(p, &p->token, &label);
		config_advance(p);
	}
	if (*count >= b->most) {
		config_report(p, 'E', p->name, TEXT("more than %zu %s blocks"), b->most, b->name);
		return NULL;
	}
	char *item =
		config_array_add(&p->config->arena, parent->base + b->items, count, b->item_size);
	*(struct str *)item = config_keep(p, label);
	*(struct config_place *)(item + b->where) = p->name;
	frame_init(p, own, id, item);
	if (id == CONFIG_BLOCK_SERVER)
		config_array_add(
			&p->scratch, &p->server_tls, &p->server_tls_frames, sizeof *p->server_tls);
	return own;
}

static void close_block(struct config_parser *p, struct config_frame *f)
{
	const struct config_block *b = &config_blocks[f->block];
	if (f->block == CONFIG_BLOCK_SERVER) {
		struct config_frame *kept =
			config_array_add(&p->scratch, &p->servers, &p->server_frames, sizeof *kept);
		*kept = *f;
	}
	if (f->block == CONFIG_BLOCK_SERVER_TLS)
		p->server_tls[p->server_tls_frames - 1] = *f;
	if (b->item_size)
		config_apply_standards(p, f);
	// Single blocks are closed at the end of the last file: they may be written in parts.
	if (b->close && (b->item_size || f->block == CONFIG_BLOCK_SERVER_TLS))
		b->close(p, f);
}

// The braces of an item, or nothing where they may be left out.
static void parse_item(struct config_parser *p, struct config_frame *parent,
	enum config_block_id id)
{
	struct config_frame own;
	struct config_frame *f = open_repeated(p, parent, id, &own);
	if (!f) {
		skip_statement(p);
		return;
	}
	if (p->token.kind == CONFIG_TOKEN_OPEN) {
		config_advance(p);
		parse_block(p, f);
	}
	close_block(p, f);
}

// "A" "B", or { "A" "B" }, or "A" { settings }.
static void parse_bare(struct config_parser *p, struct config_frame *parent, enum config_block_id id)
{
	if (p->token.kind != CONFIG_TOKEN_OPEN) {
		do {
			parse_item(p, parent, id);
		} while (p->token.kind == CONFIG_TOKEN_STRING);
		return;
	}
	config_advance(p);
	while (!config_at_end(p))
		if (p->token.kind == CONFIG_TOKEN_END)
			config_advance(p);
		else
			parse_item(p, parent, id);
	if (p->token.kind == CONFIG_TOKEN_CLOSE)
		config_advance(p);
}

static void parse_inner_block(
	struct config_parser *p, struct config_frame *parent, enum config_block_id id)
{
	const struct config_block *b = &config_blocks[id];
	struct config_frame own;
	p->name = config_here(p);
	config_advance(p);
	if (b->bare) {
		parse_bare(p, parent, id);
		return;
	}
	struct config_frame *f = b->item_size ? open_repeated(p, parent, id, &own)
					      : open_single(p, parent, id, &own);
	if (!f || p->token.kind != CONFIG_TOKEN_OPEN) {
		struct config_setting words = {.name = b->name};
		if (f)
			config_report_expected(p, &words, &p->token, "{");
		skip_statement(p);
	} else {
		config_advance(p);
		parse_block(p, f);
	}
	if (f)
		close_block(p, f);
}

static void parse_statement(struct config_parser *p, struct config_frame *f)
{
	const struct config_setting *s = config_setting_find(f->block, p->token.text);
	if (s) {
		parse_setting(p, f, s);
		return;
	}
	enum config_block_id id = find_block(f->block, p->token.text);
	if (id != CONFIG_BLOCK_TOP) {
		parse_inner_block(p, f, id);
		return;
	}
	report_unknown(p, f);
	config_advance(p);
	skip_statement(p);
}

// Statements up to the } of the block, which it takes, or the end of the file.
static void parse_block(struct config_parser *p, struct config_frame *f)
{
	const struct config_setting words = {.name = config_blocks[f->block].name};
	for (;;) {
		switch (p->token.kind) {
		case CONFIG_TOKEN_EOF:
			if (f->block != CONFIG_BLOCK_TOP)
				config_report(p, 'E', config_here(p),
					TEXT("expected } for the %s block that begins in line %u"),
					words.name, f->where.line);
			return;
		case CONFIG_TOKEN_CLOSE:
			if (f->block != CONFIG_BLOCK_TOP) {
				config_advance(p);
				return;
			}
			config_report(p, 'E', config_here(p), TEXT("this } closes nothing"));
			config_advance(p);
			break;
		case CONFIG_TOKEN_WORD:
			parse_statement(p, f);
			break;
		case CONFIG_TOKEN_END:
		case CONFIG_TOKEN_BAD:
			config_advance(p);
			break;
		default: {
			const struct config_setting top = {.name = block_words(f->block)};
			config_report_expected(p, &top, &p->token, TEXT("the name of a setting"));
			skip_statement(p);
		}
		}
	}
}

// ---- files and the whole

// Parses text with the state of another file put aside.
static void parse_text(struct config_parser *p, struct str file, struct str text)
{
	struct config_tokenizer tokenizer = p->tokenizer;
	struct config_token token = p->token;
	struct str outer = p->file;
	p->file = file;
	config_tokenizer_init(&p->tokenizer, text, &p->scratch);
	config_advance(p);
	parse_block(p, &p->single[CONFIG_BLOCK_TOP]);
	p->file = outer;
	p->token = token;
	p->tokenizer = tokenizer;
}

void config_read_text(struct config_parser *p, struct str text)
{
	parse_text(p, STR_EMPTY, text);
}

void config_include(struct config_parser *p, struct str path)
{
	struct config_place place = p->name;
	struct str text;
	for (size_t i = 0; i < p->depth; i++) {
		if (!str_equal(p->included[i].file, path))
			continue;
		config_report(p, 'E', place,
			TEXT("include: \"%.*s\" is being read already: a loop"), STR_ARG(path));
		return;
	}
	if (p->depth == CONFIG_INCLUDE_DEPTH || p->includes == CONFIG_INCLUDE_MAX) {
		config_report(p, 'E', place,
			TEXT("include: at most %d files in one another, %d in all"),
			CONFIG_INCLUDE_DEPTH, CONFIG_INCLUDE_MAX);
		return;
	}
	path = config_keep(p, path);
	if (config_read_file(p, path, CONFIG_READ_PLAIN, place, &text) < 0)
		return;
	p->includes++;
	p->included[p->depth++].file = path;
	parse_text(p, path, text);
	p->depth--;
}

static void parser_init(struct config_parser *p)
{
	struct config *c = p->config;
	p->name = (struct config_place){STR_EMPTY, 0, 0};
	for (enum config_block_id id = 0; id < CONFIG_BLOCK_COUNT; id++) {
		const struct config_block *b = &config_blocks[id];
		if (b->item_size == 0 && id != CONFIG_BLOCK_SERVER_TLS)
			frame_init(p, &p->single[id], id, (char *)c + b->offset);
	}
}

struct config *config_build_anyway(
	const char *path, const struct config_reader *reader, struct config_findings *findings)
{
	struct config_parser p = {.config = mem_alloc(sizeof *p.config),
		.reader = reader,
		.findings = findings,
		.file = STR_EMPTY,
		.main_file = str_from(path)};
	size_t errors = findings->errors;
	parser_init(&p);
	config_include(&p, str_from(path));
	if (p.includes)
		config_finish(&p);
	arena_finish(&p.scratch);
	p.config->faulty = findings->errors > errors;
	if (!p.includes) {
		config_destroy(p.config);
		return NULL;
	}
	return p.config;
}

struct config *config_build(
	const char *path, const struct config_reader *reader, struct config_findings *findings)
{
	struct config *c = config_build_anyway(path, reader, findings);
	if (!c || !c->faulty)
		return c;
	config_destroy(c);
	return NULL;
}
