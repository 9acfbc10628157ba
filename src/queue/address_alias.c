// SPDX-License-Identifier: ISC
// An alias is replaced by what it names, and has perhaps an owner who is told of failures.
#include "queue/address_internal.h"

#include "base/text.h"
#include "queue/targets.h"

// A target as an address in the domain of the alias. False: it is none.
static bool target_address(struct address_resolver *r, const struct address_node *n,
	const struct target *t, struct smtp_address *out)
{
	struct str text = t->text, name = str_slice(n->key, 0, (size_t)str_find_last(n->key, '@'));
	bool bare = str_find(text, '@') < 0;
	char *whole = t->kind == TARGET_DOMAIN
			      ? arena_format(&r->arena, "%.*s@%.*s", STR_ARG(name), STR_ARG(text))
			      : arena_format(&r->arena, "%.*s%s%.*s", STR_ARG(text),
					bare ? "@" : "", STR_ARG(bare ? n->domain : STR_EMPTY));
	return !smtp_address_parse(str_from(whole), out);
}

// What is left of an :include: is a file that could not be read: nobody knows who else it names, so
// the whole alias waits.
static void wait_for_file(struct address_resolver *r, const struct address_node *n, struct str path)
{
	r->answer.unread = r->stopped = true;
	address_tell(r, n, TEXT_MARK("an included file cannot be read now: mail waits for it"), path,
		n->where);
}

static void add_target(struct address_resolver *r, struct address_node *n, const struct target *t)
{
	struct smtp_address a;
	struct address_node *child;
	if (t->kind == TARGET_INCLUDE) {
		wait_for_file(r, n, t->text);
		return;
	}
	if (t->kind == TARGET_PROGRAM || t->kind == TARGET_FILE) {
		child = address_add_node(r, n, t->text);
		if (t->kind == TARGET_PROGRAM)
			child->text = str_from(arena_format(&r->arena, "|%.*s", STR_ARG(t->text)));
		return;
	}
	child = address_add_node(r, n, t->text);
	if (t->kind == TARGET_WRONG || !target_address(r, n, t, &a)) {
		child->domain = n->domain;
		child->wrong = true;
		return;
	}
	child->text = address_keep(r, str_from(a.text));
	child->domain = address_keep(r, str_from(a.domain));
	child->plain = t->kind == TARGET_PLAIN;
}

static void expand(struct address_resolver *r, struct address_node *n)
{
	struct str rest_of = n->targets;
	struct target t;
	unsigned count = 0;
	r->answer.is_alias = true;
	address_tell(r, n,
		n->by_rest && str_starts(n->base, STR("@")) ? TEXT_MARK("catch-all")
							    : TEXT_MARK("alias"),
		str_slice(n->targets, 0, 1000), n->where);
	address_leave_line(r);
	if (n->depth + 1 > QUEUE_DEPTH_MAX) {
		r->answer.too_many = r->stopped = true;
		return;
	}
	while (queue_target_next(&rest_of, &t)) {
		if (++count > QUEUE_TARGETS_MAX || r->nodes >= QUEUE_EXPANSION_MAX) {
			r->answer.too_many = r->stopped = true;
			return;
		}
		add_target(r, n, &t);
	}
}

// RFC 3461 5.2.7.3: what is sent to a list comes back to who keeps it.
static struct str owner_key(struct address_resolver *r, const struct address_node *n)
{
	struct str key = n->base;
	if (!(r->flags & ADDRESS_OWNERS) || str_starts(key, STR("@")) ||
		str_starts(key, STR("owner-")) || key.len + 6 >= SMTP_ADDRESS_MAX)
		return STR_EMPTY;
	return str_from(arena_format(&r->arena, "owner-%.*s", STR_ARG(key)));
}

void address_owner(struct address_resolver *r, struct address_node *n)
{
	struct address_node file = {0};
	struct str key = owner_key(r, n);
	if (!n->owner_asked) {
		n->owner_asked = true;
		if (key.len) {
			address_look(r, key);
			return;
		}
	} else if (r->found.kind != STORE_ADDRESS_NONE || address_find_in_files(r, &file, key)) {
		n->owner = key;
		address_tell(r, n, TEXT_MARK("list with an owner: failures are told to"), key,
			STR_EMPTY);
	}
	expand(r, n);
}
