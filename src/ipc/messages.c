// SPDX-License-Identifier: ISC
// Encoders and decoders of every message, made from the lists in messages.h. Integers are
// little-endian, strings and lists have a 32-bit length in front. No sockets here.
#include "ipc/messages.h"

#include "base/error.h"

// ---- one octet, number or string at a time
static int put_u8(struct buf *out, uint8_t v)
{
	return buf_add_char(out, (char)v);
}

static int put_u32(struct buf *out, uint32_t v)
{
	const uint8_t octets[4] = {
		(uint8_t)v, (uint8_t)(v >> 8), (uint8_t)(v >> 16), (uint8_t)(v >> 24)};

	return buf_add(out, octets, sizeof(octets));
}

static int put_u64(struct buf *out, uint64_t v)
{
	int err = put_u32(out, (uint32_t)v);

	return err ? err : put_u32(out, (uint32_t)(v >> 32));
}

static int put_str(struct buf *out, struct str s)
{
	if (s.len > UINT32_MAX)
		return ERR_LIMIT;
	int err = put_u32(out, (uint32_t)s.len);
	return err || s.len == 0 ? err : buf_add(out, s.data, s.len);
}

static int put_list(struct buf *out, struct str s)
{
	return put_str(out, s);
}

static bool take_octets(struct str *in, size_t len, const uint8_t **out)
{
	if (in->len < len)
		return false;
	*out = (const uint8_t *)in->data;
	in->data += len;
	in->len -= len;
	return true;
}

static bool take_u8(struct str *in, uint8_t *out)
{
	const uint8_t *p;

	if (!take_octets(in, 1, &p))
		return false;
	*out = *p;
	return true;
}

static bool take_u32(struct str *in, uint32_t *out)
{
	const uint8_t *p;

	if (!take_octets(in, 4, &p))
		return false;
	*out = (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
	return true;
}

static bool take_u64(struct str *in, uint64_t *out)
{
	uint32_t low, high;

	if (!take_u32(in, &low) || !take_u32(in, &high))
		return false;
	*out = (uint64_t)high << 32 | low;
	return true;
}

static bool take_str(struct str *in, struct str *out)
{
	const uint8_t *p;
	uint32_t len;

	if (!take_u32(in, &len) || !take_octets(in, len, &p))
		return false;
	*out = str_make(p, len);
	return true;
}

static bool take_list(struct str *in, struct str *out)
{
	return take_str(in, out);
}

// ---- whole messages and records
#define PUT_FIELD(kind, name)                                                                      \
	if (err == 0)                                                                              \
		err = put_##kind(out, m->name);
#define TAKE_FIELD(kind, name) &&take_##kind(in, &out->name)

#define MESSAGE(name)                                                                              \
	int ipc_encode_##name(struct buf *out, const struct ipc_##name *m)                         \
	{                                                                                          \
		size_t before = buf_len(out);                                                      \
		int err = 0;                                                                       \
		IPC_FIELDS_##name(PUT_FIELD) if (err) out->end = out->start + before;              \
		return err;                                                                        \
	}                                                                                          \
	static bool take_fields_##name(struct str *in, struct ipc_##name *out)                     \
	{                                                                                          \
		return true IPC_FIELDS_##name(TAKE_FIELD);                                         \
	}                                                                                          \
	int ipc_decode_##name(struct str body, struct ipc_##name *out)                             \
	{                                                                                          \
		memset(out, 0, sizeof(*out));                                                      \
		return take_fields_##name(&body, out) && body.len == 0 ? 0 : ERR_CORRUPT;          \
	}
IPC_RECORDS(MESSAGE)
IPC_MESSAGES(MESSAGE)

#define RECORD(name)                                                                               \
	int ipc_list_add_##name(struct buf *list, const struct ipc_##name *r)                      \
	{                                                                                          \
		return ipc_encode_##name(list, r);                                                 \
	}                                                                                          \
	bool ipc_next_##name(struct str *list, struct ipc_##name *out, int *err)                   \
	{                                                                                          \
		memset(out, 0, sizeof(*out));                                                      \
		if (list->len == 0)                                                                \
			return false;                                                              \
		if (take_fields_##name(list, out))                                                 \
			return true;                                                               \
		*list = STR_EMPTY;                                                                 \
		if (err)                                                                           \
			*err = ERR_CORRUPT;                                                        \
		return false;                                                                      \
	}
IPC_RECORDS(RECORD)

// ---- tables by type
static const char *const type_names[IPC_TYPES] = {[IPC_TYPE_none] = "none",
#define TYPE_NAME(name) [IPC_TYPE_##name] = #name,
	IPC_MESSAGES(TYPE_NAME)};

const char *ipc_type_name(unsigned type)
{
	return type < IPC_TYPES ? type_names[type] : "unknown";
}

bool ipc_type_is_secret(unsigned type)
{
	return type == IPC_TYPE_check || type == IPC_TYPE_checked || type == IPC_TYPE_token_given ||
	       type == IPC_TYPE_tickets;
}

#define CHECK(name)                                                                                \
	static int check_##name(struct str body)                                                   \
	{                                                                                          \
		struct ipc_##name m;                                                               \
		return ipc_decode_##name(body, &m);                                                \
	}
IPC_MESSAGES(CHECK)

static int (*const checks[IPC_TYPES])(struct str body) = {
#define CHECK_ENTRY(name) [IPC_TYPE_##name] = check_##name,
	IPC_MESSAGES(CHECK_ENTRY)};

int ipc_check(unsigned type, struct str body)
{
	if (type == IPC_TYPE_none || type >= IPC_TYPES)
		return ERR_UNSUPPORTED;
	return checks[type](body);
}
