// SPDX-License-Identifier: ISC
// Blocks of memory cut from the front, freed together.
#include "base/arena.h"

#include "base/error.h"
#include "base/memory.h"

#include <stdarg.h>
#include <stdio.h>

#define BLOCK_SIZE 4000 // with its head and malloc's own, within a page

struct arena_block {
	struct arena_block *next;
	size_t size;
	size_t used;
	max_align_t data[]; // keeps the content aligned for any type
};

void arena_finish(struct arena *a)
{
	struct arena_block *block = a->blocks;

	while (block) {
		struct arena_block *next = block->next;
		mem_free(block);
		block = next;
	}
	a->blocks = NULL;
	a->used = 0;
}

static struct arena_block *add_block(struct arena *a, size_t size)
{
	bool large = size > BLOCK_SIZE / 4;
	size_t data_size = large ? size : BLOCK_SIZE;
	struct arena_block *block;

	if (data_size > SIZE_MAX / 2)
		fatal("out of memory (%zu octets)", data_size);
	block = mem_alloc(sizeof(*block) + data_size);
	block->size = data_size;
	// A large piece gets a block of its own behind the one being cut, so
	// that the rest of that one is not lost.
	if (large && a->blocks) {
		block->next = a->blocks->next;
		a->blocks->next = block;
	} else {
		block->next = a->blocks;
		a->blocks = block;
	}
	return block;
}

// align is a power of two. Blocks come zeroed and no octet is handed out twice.
static void *take(struct arena *a, size_t size, size_t align)
{
	struct arena_block *block = a->blocks;
	size_t from = block ? (block->used + align - 1) & ~(align - 1) : 0;

	if (a->limit && (a->used > a->limit || size > a->limit - a->used))
		return NULL;
	if (!block || from > block->size || size > block->size - from) {
		block = add_block(a, size);
		from = 0;
	}
	block->used = from + size;
	a->used += size;
	return (char *)block->data + from;
}

void *arena_alloc(struct arena *a, size_t size)
{
	return take(a, size ? size : 1, _Alignof(max_align_t));
}

struct str arena_str(struct arena *a, struct str s)
{
	char *copy = s.len < SIZE_MAX ? take(a, s.len + 1, 1) : NULL;

	if (!copy)
		return (struct str){NULL, 0};
	if (s.len)
		memcpy(copy, s.data, s.len);
	return (struct str){copy, s.len};
}

char *arena_format(struct arena *a, const char *format, ...)
{
	va_list args;
	int wanted;
	char *text;

	va_start(args, format);
	wanted = vsnprintf(NULL, 0, format, args);
	va_end(args);
	if (wanted < 0)
		return NULL;
	text = take(a, (size_t)wanted + 1, 1);
	if (!text)
		return NULL;
	va_start(args, format);
	vsnprintf(text, (size_t)wanted + 1, format, args);
	va_end(args);
	return text;
}
