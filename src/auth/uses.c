// SPDX-License-Identifier: ISC
#include "auth/uses.h"

#include "base/clock.h"
#include "base/event.h"
#include "base/list.h"
#include "base/map.h"
#include "base/memory.h"

struct use {
	struct list link;
	struct str key; // name, NUL, label; behind this struct
	size_t name_len;
	uint64_t when_ms;
	struct ipaddr client;
};

struct auth_uses {
	struct secrets *secrets;
	uv_timer_t *timer; // freed by the loop
	struct map by_key;
	struct list all;
};

static void on_time(uv_timer_t *timer)
{
	auth_uses_write(timer->data);
}

static void free_timer(uv_handle_t *handle)
{
	mem_free(handle);
}

struct auth_uses *auth_uses_create(uv_loop_t *loop, struct secrets *secrets)
{
	struct auth_uses *u = mem_alloc(sizeof *u);

	u->secrets = secrets;
	u->timer = mem_alloc(sizeof *u->timer);
	if (uv_timer_init(loop, u->timer))
		fatal("cannot make a timer");
	u->timer->data = u;
	uv_unref((uv_handle_t *)u->timer);
	list_init(&u->all);
	return u;
}

static void drop(struct auth_uses *u, struct use *use)
{
	(void)map_remove(&u->by_key, use->key);
	list_remove(&use->link);
	mem_free(use);
}

static struct use *make(struct auth_uses *u, struct str name, struct str label)
{
	size_t len = name.len + 1 + label.len;
	struct use *use = mem_alloc(sizeof *use + len);
	char *key = (char *)(use + 1);

	memcpy(key, name.data, name.len);
	if (label.len)
		memcpy(key + name.len + 1, label.data, label.len);
	use->key = str_make(key, len);
	use->name_len = name.len;
	struct use *known = map_get(&u->by_key, use->key);
	if (known) {
		mem_free(use);
		return known;
	}
	map_set(&u->by_key, use->key, use);
	list_add_last(&u->all, &use->link);
	return use;
}

void auth_uses_note(struct auth_uses *u, struct str name, struct str label, const struct ipaddr *client)
{
	struct use *use;

	if (name.len == 0)
		return;
	use = make(u, name, label);
	use->when_ms = clock_wall_ms();
	use->client = *client;
	if (u->by_key.count >= AUTH_USES_MAX)
		auth_uses_write(u);
	else if (!uv_is_active((uv_handle_t *)u->timer))
		uv_timer_start(u->timer, on_time, AUTH_USES_EVERY, 0);
}

void auth_uses_write(struct auth_uses *u)
{
	struct secret_use *uses = mem_array(u->by_key.count + 1, sizeof *uses);
	size_t count = 0;

	LIST_EACH(link, &u->all) {
		struct use *use = LIST_ENTRY(link, struct use, link);
		uses[count++] = (struct secret_use){str_slice(use->key, 0, use->name_len),
			str_skip(use->key, use->name_len + 1), use->when_ms, use->client};
	}
	if (secrets_note_uses(u->secrets, uses, count))
		event_report(EVENT_WARNING, "auth", "the times of the last logins cannot be stored");
	mem_free(uses);
	uv_timer_stop(u->timer);
	LIST_EACH(link, &u->all)
		drop(u, LIST_ENTRY(link, struct use, link));
}

void auth_uses_forget(struct auth_uses *u, struct str name)
{
	LIST_EACH(link, &u->all) {
		struct use *use = LIST_ENTRY(link, struct use, link);
		if (str_equal(str_slice(use->key, 0, use->name_len), name))
			drop(u, use);
	}
}

void auth_uses_destroy(struct auth_uses *u)
{
	if (!u)
		return;
	auth_uses_write(u);
	map_finish(&u->by_key);
	uv_close((uv_handle_t *)u->timer, free_timer);
	mem_free(u);
}
