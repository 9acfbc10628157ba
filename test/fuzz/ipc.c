// SPDX-License-Identifier: ISC
// Messages from another role: the first octet is the type, the rest the body. What decodes
// encodes to the same octets; what a list holds is walked as every kind of record, and DNS records
// are read as every kind of data.
#include "fuzz.h"

#include "base/error.h"
#include "ipc/messages.h"
#include "net/dns.h"

static void walk_dns(struct str list)
{
	struct ipaddr address;
	struct dns_mx mx;
	struct str rest;
	char name[256];

	for (rest = list; dns_next_mx(&rest, &mx);)
		CHECK(strlen(mx.host) <= 253);
	for (rest = list; dns_next_name(&rest, name);)
		CHECK(strlen(name) <= 253);
	for (rest = list; dns_next_address(&rest, &address);)
		CHECK(address.family == 4 || address.family == 6);
}

// Every record takes octets off the list, so the walk ends.
#define WALK(name)                                                                                 \
	static void walk_##name(struct str list)                                                   \
	{                                                                                          \
		struct buf again = BUF_INIT;                                                       \
		struct ipc_##name record;                                                          \
		struct str rest = list;                                                            \
		int err = 0;                                                                       \
                                                                                                   \
		while (ipc_next_##name(&rest, &record, &err))                                      \
			CHECK(ipc_list_add_##name(&again, &record) == 0);                          \
		CHECK(rest.len == 0);                                                              \
		CHECK(err == 0 || err == ERR_CORRUPT);                                             \
		CHECK(buf_len(&again) <= list.len);                                                \
		CHECK(memcmp(buf_str(&again).data, list.len ? list.data : "", buf_len(&again)) ==  \
			0);                                                                        \
		CHECK(err != 0 || buf_len(&again) == list.len);                                    \
		buf_finish(&again);                                                                \
	}
IPC_RECORDS(WALK)

static void walk(struct str list)
{
#define WALK_ONE(name) walk_##name(list);
	IPC_RECORDS(WALK_ONE)
	walk_dns(list);
}

static void use_u8(uint8_t v)
{
	CHECK(v <= UINT8_MAX);
}

static void use_u32(uint32_t v)
{
	CHECK(v <= UINT32_MAX);
}

static void use_u64(uint64_t v)
{
	CHECK(v <= UINT64_MAX);
}

static void use_str(struct str s)
{
	struct str copy = exact_copy(s); // reads every octet

	free((void *)copy.data);
}

static void use_list(struct str s)
{
	walk(s);
}

#define USE_FIELD(kind, name) use_##kind(m.name);
#define TRY(name)                                                                                  \
	static void try_##name(struct str body)                                                    \
	{                                                                                          \
		struct buf again = BUF_INIT;                                                       \
		struct ipc_##name m;                                                               \
		int err = ipc_decode_##name(body, &m);                                             \
                                                                                                   \
		CHECK(err == 0 || err == ERR_CORRUPT);                                             \
		if (err)                                                                           \
			return;                                                                    \
		IPC_FIELDS_##name(USE_FIELD) CHECK(ipc_encode_##name(&again, &m) == 0);            \
		CHECK(str_equal(buf_str(&again), body));                                           \
		buf_finish(&again);                                                                \
	}
IPC_RECORDS(TRY)
IPC_MESSAGES(TRY)

static void (*const tries[IPC_TYPES])(struct str body) = {
#define TRY_ENTRY(name) [IPC_TYPE_##name] = try_##name,
	IPC_MESSAGES(TRY_ENTRY)};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 1)
		return 0;
	unsigned type = data[0] % IPC_TYPES;
	struct str body = exact_copy(str_make(data + 1, size - 1));
	int err = ipc_check(type, body);

	CHECK(ipc_type_name(data[0]) != NULL);
	CHECK(err == 0 || err == ERR_CORRUPT || (err == ERR_UNSUPPORTED && !tries[type]));
	if (tries[type])
		tries[type](body);
#define TRY_RECORD(name) try_##name(body);
	IPC_RECORDS(TRY_RECORD)
	walk(body);
	free((void *)body.data);
	return 0;
}
