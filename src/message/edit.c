// SPDX-License-Identifier: ISC
// Encoding of an edit, all numbers little-endian:
//   8 offset | 8 remove | 4 length of insert | insert | 4 length of insert again
// The second length lets edit_add find the last edit without walking all of them.
#include "message/edit.h"

#include "base/error.h"

#define EDIT_HEAD  20
#define EDIT_TAIL  4
#define EDIT_FIXED (EDIT_HEAD + EDIT_TAIL)

static void put_number(char *out, uint64_t value, int octets)
{
	for (int i = 0; i < octets; i++)
		out[i] = (char)(value >> (8 * i));
}

static uint64_t get_number(const char *data, int octets)
{
	uint64_t value = 0;

	for (int i = octets; i-- > 0;)
		value = value << 8 | (uint8_t)data[i];
	return value;
}

// Where the last edit ends in the body; 0 when there is none.
static int last_end(struct str edits, uint64_t *out_end)
{
	uint64_t insert;
	const char *head;

	*out_end = 0;
	if (edits.len == 0)
		return 0;
	if (edits.len < EDIT_FIXED)
		return ERR_CORRUPT;
	insert = get_number(edits.data + edits.len - EDIT_TAIL, 4);
	if (insert > edits.len - EDIT_FIXED)
		return ERR_CORRUPT;
	head = edits.data + edits.len - EDIT_FIXED - insert;
	*out_end = get_number(head, 8) + get_number(head + 8, 8);
	return 0;
}

int edit_add(struct buf *edits, const struct edit *e)
{
	uint64_t end;
	char *out;
	int err = last_end(buf_str(edits), &end);

	if (err)
		return err;
	if (e->offset < end || e->offset + e->remove < e->offset)
		return ERR_SYNTAX;
	if (e->insert.len > UINT32_MAX)
		return ERR_LIMIT;
	out = buf_reserve(edits, EDIT_FIXED + e->insert.len);
	if (!out)
		return ERR_LIMIT;
	put_number(out, e->offset, 8);
	put_number(out + 8, e->remove, 8);
	put_number(out + 16, e->insert.len, 4);
	if (e->insert.len > 0)
		memcpy(out + EDIT_HEAD, e->insert.data, e->insert.len);
	put_number(out + EDIT_HEAD + e->insert.len, e->insert.len, 4);
	buf_commit(edits, EDIT_FIXED + e->insert.len);
	return 0;
}

bool edit_next(struct str *cursor, struct edit *out, int *err)
{
	uint64_t insert;

	*err = 0;
	if (cursor->len == 0)
		return false;
	*err = ERR_CORRUPT;
	if (cursor->len < EDIT_FIXED)
		return false;
	insert = get_number(cursor->data + 16, 4);
	if (insert > cursor->len - EDIT_FIXED ||
		get_number(cursor->data + EDIT_HEAD + insert, 4) != insert)
		return false;
	*err = 0;
	out->offset = get_number(cursor->data, 8);
	out->remove = get_number(cursor->data + 8, 8);
	out->insert = str_make(cursor->data + EDIT_HEAD, insert);
	*cursor = str_skip(*cursor, EDIT_FIXED + insert);
	return true;
}

// Checks all edits against each other and the body, and counts what they change.
static int measure(struct render *r)
{
	struct str cursor = r->edits;
	struct edit e;
	uint64_t end = 0;
	int err;

	r->size = r->headers.len + r->body_size;
	while (edit_next(&cursor, &e, &err)) {
		if (e.offset < end || e.offset > r->body_size || e.remove > r->body_size - e.offset)
			return ERR_CORRUPT;
		end = e.offset + e.remove;
		r->size += e.insert.len;
		r->size -= e.remove;
	}
	return err;
}

static void load_next(struct render *r)
{
	int err;

	r->has_next = edit_next(&r->edits, &r->next, &err);
	BUG_ON(err != 0); // measure() has walked them all
}

int render_init(struct render *r, struct str headers, struct str edits, uint64_t body_size)
{
	int err;

	*r = (struct render){.headers = headers, .edits = edits, .body_size = body_size};
	err = measure(r);
	if (err)
		return err;
	load_next(r);
	return 0;
}

uint64_t render_size(const struct render *r)
{
	return r->size;
}

// The next literal that is due at r->position; empty when body octets come first.
static struct str take_literal(struct render *r)
{
	struct str literal = STR_EMPTY;

	if (!r->headers_done) {
		r->headers_done = true;
		return r->headers;
	}
	if (r->has_next && r->next.offset == r->position) {
		literal = r->next.insert;
		r->position += r->next.remove;
		load_next(r);
	}
	return literal;
}

bool render_next(struct render *r, struct str *out_literal, uint64_t *out_body_offset,
	uint64_t *out_body_len)
{
	do {
		*out_literal = take_literal(r);
		*out_body_offset = r->position;
		*out_body_len = (r->has_next ? r->next.offset : r->body_size) - r->position;
	} while (out_literal->len == 0 && *out_body_len == 0 && r->has_next);
	return out_literal->len > 0 || *out_body_len > 0;
}

void render_advance(struct render *r, uint64_t body_octets)
{
	BUG_ON(body_octets > (r->has_next ? r->next.offset : r->body_size) - r->position);
	r->position += body_octets;
}
