// SPDX-License-Identifier: ISC
#include "command/table.h"

#include "base/memory.h"
#include "base/str.h"
#include "command/safe.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <wchar.h>

void table_init(struct table *t, size_t columns, const char *const *titles)
{
	*t = (struct table){.columns = columns};
	for (size_t i = 0; i < columns; i++)
		t->titles[i] = titles[i];
}

void table_finish(struct table *t)
{
	for (size_t i = 0; i < t->count; i++)
		mem_free(t->cells[i]);
	mem_free(t->cells);
	*t = (struct table){0};
}

void table_set_right(struct table *t, size_t column)
{
	t->right[column] = true;
}

void table_add(struct table *t, const char *text)
{
	if (t->count == t->size) {
		t->size = t->size ? t->size * 2 : 64;
		t->cells = mem_resize(t->cells, t->size * sizeof *t->cells);
	}
	t->cells[t->count++] = safe_text(text && text[0] ? text : "-", false);
}

// Columns on a terminal; what is no character of the locale counts one an octet.
static size_t width_of(const char *text)
{
	size_t width = 0, left = strlen(text);
	mbstate_t state = {0};
	while (left) {
		wchar_t c;
		size_t n = mbrtowc(&c, text, left, &state);
		if (n == (size_t)-1 || n == (size_t)-2) {
			state = (mbstate_t){0};
			n = 1;
			width++;
		} else {
			int w = wcwidth(c);
			width += w > 0 ? (size_t)w : 0;
		}
		n = n ? n : 1;
		text += n;
		left -= n;
	}
	return width;
}

static void print_cell(const struct table *t, size_t column, const char *text, size_t width)
{
	size_t gap = width - width_of(text);
	bool last = column + 1 == t->columns;
	if (t->right[column])
		printf("%*s%s", (int)gap, "", text);
	else
		printf("%s%*s", text, last ? 0 : (int)gap, "");
	fputs(last ? "\n" : "  ", stdout);
}

void table_print(const struct table *t)
{
	size_t widths[TABLE_COLUMNS_MAX];
	if (!t->count)
		return;
	for (size_t c = 0; c < t->columns; c++)
		widths[c] = width_of(t->titles[c]);
	for (size_t i = 0; i < t->count; i++) {
		size_t w = width_of(t->cells[i]);
		if (w > widths[i % t->columns])
			widths[i % t->columns] = w;
	}
	for (size_t c = 0; c < t->columns; c++)
		print_cell(t, c, t->titles[c], widths[c]);
	for (size_t i = 0; i < t->count; i++)
		print_cell(t, i % t->columns, t->cells[i], widths[i % t->columns]);
}

const char *table_colour(const char *kind)
{
	static const struct {
		const char *kind, *code;
	} codes[] = {{"good", "\033[32m"}, {"bad", "\033[31m"}, {"dim", "\033[2m"}, {"bold", "\033[1m"},
		{"", "\033[0m"}};
	const char *no = getenv("NO_COLOR");
	if (!isatty(STDOUT_FILENO) || (no && no[0]))
		return "";
	for (size_t i = 0; i < ARRAY_SIZE(codes); i++)
		if (!strcmp(codes[i].kind, kind))
			return codes[i].code;
	return "";
}
