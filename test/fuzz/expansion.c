// SPDX-License-Identifier: ISC
// What addresses become, in a store whose aliases the input writes: always an answer, within its
// bounds, and each end reads back to itself. The input: lines "NAME: TARGETS", then the address.
#include "fuzz.h"

#include "base/error.h"
#include "base/event.h"
#include "queue/address.h"
#include "queue/queue_internal.h"
#include "queue/targets.h"
#include "store/addresses.h"

#include <stdlib.h>

static uv_loop_t loop;
static struct store *store;
static struct queue *queue;
static struct id_source ids;
static struct str domains[] = {{"example.kr", 10}, {"example.org", 11}};
static struct config config = {.domains = {domains, 2}, .aliases_programs = true,
	.deliver = {.separator = {"+-", 2}}, .postmaster = {"kim@example.kr", 14}};

static int try(void *arg, enum queue_deliverer kind, unsigned index, const struct ipc_try *t, int fd)
{
	(void)arg;
	(void)kind;
	(void)index;
	(void)t;
	(void)fd;
	return ERR_UNAVAILABLE;
}

static void set_up(void)
{
	static char folder[] = "/tmp/pabal-fuzz-expansion-XXXXXX";
	struct error err = {0};
	struct store_options options = {.folder = folder, .create = true};
	struct store_account kim = {.id = 1, .name = STR("kim@example.kr"), .enabled = true};

	event_setup("fuzz", -1, EVENT_SINK_LINES, EVENT_KEY_VALUE, EVENT_ERROR);
	CHECK(mkdtemp(folder) != NULL);
	uv_loop_init(&loop);
	CHECK(store_open(&loop, &options, &store, &err) == 0);
	store_account_add(store, &kim, NULL, NULL);
	store_wait(store);
	id_source_init(&ids, 0, 1);
	struct queue_options o = {.loop = &loop, .store = store, .config = &config, .ids = &ids, .try = try};
	queue = queue_create(&o);
	// The files are gone with the process.
	char command[100];
	snprintf(command, sizeof command, "rm -rf %s", folder);
	CHECK(system(command) == 0);
}

static void check_targets(struct str list)
{
	struct target t;
	size_t before = list.len + 1;

	while (queue_target_next(&list, &t)) {
		CHECK(list.len < before && t.text.len < TARGET_MAX);
		CHECK(t.kind == TARGET_WRONG || t.text.len > 0);
		before = list.len;
	}
}

static void check(void *arg, const struct address_answer *a)
{
	bool *done = arg;
	char text[1200];

	CHECK(!*done && a->err == 0);
	CHECK(a->end_count <= QUEUE_EXPANSION_MAX);
	CHECK(!a->too_many || a->end_count == 0);
	for (unsigned i = 0; i < a->end_count; i++) {
		const struct address_end *e = &a->ends[i];
		struct str child = queue_address_child(e, text);
		bool special = e->kind == ADDRESS_PROGRAM || e->kind == ADDRESS_FILE;

		CHECK(child.len > 0 || e->kind == ADDRESS_ERROR);
		CHECK(special == (e->domain.len == 0) || e->kind == ADDRESS_ERROR || e->kind == ADDRESS_POSTMASTER);
		CHECK(e->kind == ADDRESS_ERROR || queue_address_is_made(child, e->domain) ==
			(special || e->kind == ADDRESS_USER));
		CHECK((e->kind == ADDRESS_ERROR) == (e->status != NULL));
	}
	*done = true;
}

static void put(struct str line)
{
	char key[SMTP_ADDRESS_MAX];
	ptrdiff_t colon = str_find(line, ':');
	struct smtp_address address;

	if (colon <= 0 || smtp_address_parse(str_slice(line, 0, (size_t)colon), &address))
		return;
	struct store_alias alias = {.name = str_from(smtp_address_key(&address, key)),
		.targets = str_skip(line, (size_t)colon + 1)};
	check_targets(alias.targets);
	store_alias_put(store, &alias, NULL, NULL);
}

static void forget(void *arg, const struct store_alias *a)
{
	(void)arg;
	store_alias_remove(store, a->name, NULL, NULL);
}

static void ignore(void *arg, int err)
{
	(void)arg;
	(void)err;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str rest = str_make(data, size), line;
	struct smtp_address address;
	bool done = false;
	unsigned lines = 0;

	if (!queue)
		set_up();
	if (size > 4096)
		return 0;
	while (rest.len && str_split(&rest, '\n', &line) && rest.data && ++lines < 20)
		put(line);
	if (rest.data || smtp_address_parse(line, &address))
		address = (struct smtp_address){.text = "a@example.kr", .domain = "example.kr", .local = "a"};
	queue_directory_clear(queue->directory);
	queue_address_resolve(queue, str_from(address.text), str_from(address.domain),
		data[0] & 1 ? ADDRESS_STEPS | ADDRESS_OWNERS : ADDRESS_UNTIL_TWO, check, &done);
	for (int i = 0; !done && i < 10000; i++) {
		store_wait(store);
		uv_run(&loop, UV_RUN_NOWAIT);
	}
	CHECK(done);
	store_alias_list(store, STR_EMPTY, 1000, forget, ignore, NULL);
	store_wait(store);
	return 0;
}
