// SPDX-License-Identifier: ISC
// What the checker found, and the nearest known word to one that is unknown.
#include "config/config_internal.h"

#include "base/memory.h"
#include "base/text.h"

#include <stdarg.h>

// Errors beyond these are counted, not kept.
#define FINDINGS_MAX 1000

void config_findings_finish(struct config_findings *f)
{
	arena_finish(&f->arena);
	mem_free(f->items);
	*f = (struct config_findings){0};
}

// Findings are shown on terminals: nothing in them may move the cursor.
static void make_printable(struct buf *b)
{
	bool utf8 = str_is_utf8(buf_str(b));
	for (size_t i = b->start; i < b->end; i++) {
		unsigned char c = (unsigned char)b->data[i];
		if (c < ' ' || c == 0x7f || (c >= 0x80 && !utf8))
			b->data[i] = '?';
	}
}

static struct config_finding *add_finding(struct config_findings *f)
{
	if (f->count == f->size) {
		f->size = f->size ? f->size * 2 : 16;
		f->items = mem_resize(f->items, f->size * sizeof *f->items);
	}
	return &f->items[f->count++];
}

void config_findings_add(struct config_findings *f, char severity, struct str file, unsigned line,
	unsigned column, const char *format, ...)
{
	struct buf text = BUF_INIT;
	va_list args;
	if (severity == 'E')
		f->errors++;
	if (f->count > FINDINGS_MAX)
		return;
	if (f->count == FINDINGS_MAX) {
		*add_finding(f) = (struct config_finding){severity, arena_str(&f->arena, file),
			line, column, str_from(TEXT("there are more findings"))};
		return;
	}
	va_start(args, format);
	buf_add_vformat(&text, format, args);
	va_end(args);
	make_printable(&text);
	*add_finding(f) = (struct config_finding){severity, arena_str(&f->arena, file), line,
		column, arena_str(&f->arena, buf_str(&text))};
	buf_finish(&text);
}

void config_findings_print(const struct config_findings *f, struct buf *out)
{
	for (size_t i = 0; i < f->count; i++) {
		const struct config_finding *item = &f->items[i];
		const char *kind = item->severity == 'E'   ? TEXT("error")
				   : item->severity == 'W' ? TEXT("warning")
							   : TEXT("note");
		if (item->file.len)
			buf_add_format(out, "%.*s:", STR_ARG(item->file));
		if (item->line)
			buf_add_format(out, "%u:%u:", item->line, item->column);
		buf_add_format(out, "%s%s: %.*s\n", item->file.len || item->line ? " " : "", kind,
			STR_ARG(item->text));
	}
}

// Steps (add, drop, change, swap two) from a to b; more than 8 is far away.
static unsigned distance(struct str a, struct str b)
{
	enum { MOST = 40 };
	unsigned rows[3][MOST + 1];
	if (a.len > MOST || b.len > MOST)
		return MOST;
	unsigned *before = rows[0], *last = rows[1], *now = rows[2];
	for (size_t j = 0; j <= b.len; j++)
		before[j] = last[j] = (unsigned)j;
	for (size_t i = 1; i <= a.len; i++) {
		now[0] = (unsigned)i;
		for (size_t j = 1; j <= b.len; j++) {
			bool same = char_lower(a.data[i - 1]) == char_lower(b.data[j - 1]);
			unsigned best = last[j - 1] + !same;
			best = last[j] + 1 < best ? last[j] + 1 : best;
			best = now[j - 1] + 1 < best ? now[j - 1] + 1 : best;
			bool swapped = i > 1 && j > 1 && a.data[i - 1] == b.data[j - 2] &&
				       a.data[i - 2] == b.data[j - 1];
			if (swapped && before[j - 2] + 1 < best)
				best = before[j - 2] + 1;
			now[j] = best;
		}
		unsigned *free_row = before;
		before = last;
		last = now;
		now = free_row;
	}
	return last[b.len];
}

const char *config_nearest(struct str word, const char *const *candidates, size_t count)
{
	const char *best = NULL;
	unsigned least = 0;
	for (size_t i = 0; i < count; i++) {
		unsigned d = distance(word, str_from(candidates[i]));
		if (!best || d < least) {
			best = candidates[i];
			least = d;
		}
	}
	// "lisen" is near "listen"; "frobnicate" is near nothing.
	return best && least <= 1 + strlen(best) / 4 && least < word.len ? best : NULL;
}
