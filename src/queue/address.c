// SPDX-License-Identifier: ISC
// The walk from an address to its ends. Addresses on the way stand in a line; the first is looked
// up, stage by stage, until it is an end or is replaced by what its alias names, at the end of the
// line. Each stage may have to wait for the store; nothing here calls itself.
#include "queue/address_internal.h"

#include "base/error.h"
#include "base/memory.h"
#include "base/text.h"
#include "config/tables.h"

#include <stdio.h>

#define TAGS_MAX 8 // places at which a name is parted from a detail

// ---------------------------------------------------------------- what is told

struct str address_keep(struct address_resolver *r, struct str s)
{
	return arena_str(&r->arena, s);
}

void address_tell(struct address_resolver *r, const struct address_node *n, const char *what,
	struct str to, struct str where)
{
	struct address_answer *a = &r->answer;
	if (!(r->flags & ADDRESS_STEPS))
		return;
	if (a->step_count == r->step_room) {
		r->step_room = r->step_room ? r->step_room * 2 : 16;
		r->steps = mem_resize(r->steps, r->step_room * sizeof *r->steps);
	}
	r->steps[a->step_count++] = (struct address_step){.depth = n->depth,
		.address = n->text,
		.what = what,
		.to = address_keep(r, to),
		.where = address_keep(r, where)};
}

// The first one done with leaves the line.
void address_leave_line(struct address_resolver *r)
{
	r->first = r->first->next;
	if (!r->first)
		r->last = NULL;
}

static void add_end(struct address_resolver *r, const struct address_end *e)
{
	struct address_answer *a = &r->answer;
	if (a->end_count == QUEUE_EXPANSION_MAX) {
		a->too_many = r->stopped = true;
		return;
	}
	if (a->end_count == r->end_room) {
		r->end_room = r->end_room ? r->end_room * 2 : 2;
		r->ends = mem_resize(r->ends, r->end_room * sizeof *r->ends);
	}
	r->ends[a->end_count++] = *e;
	r->good = r->good || e->kind != ADDRESS_ERROR;
	if (r->flags & ADDRESS_UNTIL_TWO && a->end_count > 1 && r->good)
		r->stopped = true;
}

// The same mailbox is reached once, on however many ways.
static bool is_new(struct address_resolver *r, char kind, struct str text, struct address_node *n)
{
	char *key = arena_alloc(&r->arena, text.len + 1);
	key[0] = kind;
	if (text.len)
		memcpy(key + 1, text.data, text.len);
	struct str whole = str_make(key, text.len + 1);
	if (map_get(&r->seen, whole))
		return false;
	map_set(&r->seen, whole, n);
	return true;
}

static void end_at(struct address_resolver *r, struct address_node *n, struct address_end e,
	const char *what, struct str where)
{
	struct str to = e.kind == ADDRESS_ERROR ? e.words : e.address;
	e.owner = n->owner;
	e.reached = n->key;
	e.by_rest = n->by_rest;
	address_tell(r, n, what, to, where);
	address_leave_line(r);
	if (is_new(r, (char)('0' + e.kind), e.kind == ADDRESS_ERROR ? n->text : e.address, n))
		add_end(r, &e);
}

__attribute__((format(printf, 4, 5))) static void fail_at(struct address_resolver *r,
	struct address_node *n, const char *status, const char *format, ...)
{
	char words[SMTP_REPLY_TEXT_MAX];
	va_list args;
	va_start(args, format);
	vsnprintf(words, sizeof words, format, args);
	va_end(args);
	struct address_end e = {.kind = ADDRESS_ERROR,
		.address = n->text,
		.domain = n->domain,
		.status = status,
		.words = address_keep(r, str_from(words))};
	end_at(r, n, e, TEXT_MARK("leads nowhere"), STR_EMPTY);
}

// ---------------------------------------------------------------- the line

struct address_node *address_add_node(
	struct address_resolver *r, struct address_node *parent, struct str text)
{
	struct address_node *n = arena_alloc(&r->arena, sizeof *n);
	n->text = address_keep(r, text);
	n->parent = parent;
	n->depth = parent ? parent->depth + 1 : 0;
	n->by_rest = parent && parent->by_rest;
	n->owner = parent ? parent->owner : STR_EMPTY;
	n->key = n->domain = n->targets = n->detail = n->where = n->base = STR_EMPTY;
	if (r->last)
		r->last->next = n;
	else
		r->first = n;
	r->last = n;
	r->nodes++;
	return n;
}

static void end_special(struct address_resolver *r, struct address_node *n)
{
	bool program = n->text.data[0] == '|';
	struct address_end e = {.kind = program ? ADDRESS_PROGRAM : ADDRESS_FILE,
		.address = n->text,
		.domain = STR_EMPTY};
	if (!r->queue->config->aliases_programs)
		fail_at(r, n, "5.7.1", "%s",
			program ? TEXT("an alias leads to a program, which aliases-programs does "
				       "not allow")
				: TEXT("an alias leads to a file, which aliases-programs does not "
				       "allow"));
	else
		end_at(r, n, e, program ? TEXT_MARK("program") : TEXT_MARK("file"),
			STR("aliases-programs"));
}

// ---------------------------------------------------------------- look-ups

static void run(struct address_resolver *r);

static void on_found(void *arg, const struct directory_entry *e)
{
	struct address_resolver *r = arg;
	r->waiting = false;
	r->err = e->err;
	r->found.kind = e->kind;
	r->found.key = address_keep(r, e->key);
	r->found.name = address_keep(r, e->name);
	r->found.targets = address_keep(r, e->targets);
	r->found.groups = address_keep(r, e->groups);
	r->found.quota = e->quota;
	if (!r->running)
		run(r);
}

void address_look(struct address_resolver *r, struct str key)
{
	r->waiting = true;
	queue_directory_address(r->queue->directory, key, on_found, r);
}

// In the aliases files: the whole address, then its name alone, which is of every domain of ours.
bool address_find_in_files(struct address_resolver *r, struct address_node *n, struct str key)
{
	const struct tables *t = config_tables(r->queue->config);
	struct tables_alias a;
	ptrdiff_t at = str_find_last(key, '@');
	char where[300];
	if (!t || (!tables_alias(t, key, &a) &&
			  (at <= 0 || !tables_alias(t, str_slice(key, 0, (size_t)at), &a))))
		return false;
	n->targets = address_keep(r, a.targets);
	snprintf(where, sizeof where, "%.*s:%u", STR_ARG(str_slice(a.place.file, 0, 280)),
		a.place.line);
	n->where = address_keep(r, str_from(where));
	return true;
}

// Takes what was looked up: true when the node has become an end or an alias.
static bool take_found(struct address_resolver *r, struct address_node *n, struct str key)
{
	if (r->found.kind == STORE_ADDRESS_ACCOUNT) {
		ptrdiff_t at = str_find_last(r->found.name, '@');
		struct address_end e = {.kind = ADDRESS_MAILBOX,
			.address = r->found.name,
			.domain = str_skip(r->found.name, (size_t)(at + 1)),
			.detail = n->detail,
			.groups = r->found.groups,
			.quota = r->found.quota};
		end_at(r, n, e, TEXT_MARK("mailbox of an account"), STR("store"));
		return true;
	}
	if (n->plain)
		return false;
	if (r->found.kind == STORE_ADDRESS_ALIAS) {
		n->targets = r->found.targets;
		n->where = STR("store");
	} else if (!address_find_in_files(r, n, key)) {
		return false;
	}
	n->base = key;
	n->stage = STAGE_OWNER;
	return true;
}

// ---------------------------------------------------------------- stages: each ends at a look-up
// or an end

// Where its domain is at home. True: the domain is ours, and its addresses are known here.
static bool is_known_here(struct address_resolver *r, struct address_node *n)
{
	const struct config *c = r->queue->config;
	struct route route = queue_route_for(c, n->domain);
	struct address_end e = {.kind = ADDRESS_FOREIGN, .address = n->text, .domain = n->domain};
	if (config_is_local_domain(c, n->domain)) {
		if (!queue_takes_any(c, n->domain))
			return true;
		e.kind = ADDRESS_HOST;
		end_at(r, n, e, TEXT_MARK("whatever it is, its host takes it"),
			STR("route recipients any"));
	} else if (route.kind == ROUTE_LOCAL) {
		return true;
	} else if (route.kind == ROUTE_REFUSE) {
		fail_at(r, n, "5.7.1", "%.*s",
			STR_ARG(route.config->text.len ? route.config->text
						       : STR("mail to this domain is refused")));
	} else {
		end_at(r, n, e, TEXT_MARK("address elsewhere"), STR_EMPTY);
	}
	return false;
}

static void begin(struct address_resolver *r, struct address_node *n)
{
	char key[SMTP_ADDRESS_MAX];
	const struct config *c = r->queue->config;
	if (n->text.len && !n->domain.len && (n->text.data[0] == '|' || n->text.data[0] == '/')) {
		end_special(r, n);
		return;
	}
	if (n->wrong) {
		fail_at(r, n, "5.1.3", TEXT("%.*s is no address"),
			STR_ARG(str_slice(n->text, 0, 200)));
		return;
	}
	n->role = queue_is_role_address(c, n->text, n->domain);
	if (n->role && !config_is_local_domain(c, n->domain)) {
		end_at(r, n,
			(struct address_end){.kind = ADDRESS_POSTMASTER,
				.address = n->text,
				.domain = n->domain},
			TEXT_MARK("the postmaster"), STR("postmaster"));
		return;
	}
	if (!n->role && !is_known_here(r, n))
		return;
	if (!queue_address_key(n->text, n->domain, key)) {
		fail_at(r, n, "5.1.3", TEXT("%.*s is no address"),
			STR_ARG(str_slice(n->text, 0, 200)));
		return;
	}
	n->key = address_keep(r, str_from(key));
	n->stage = STAGE_EXACT;
	address_look(r, n->key);
}

// Is it an alias that leads here? Then it goes round, unless it names itself: then it means the
// mailbox behind it (kim: kim, lee).
static bool goes_round(struct address_resolver *r, struct address_node *n)
{
	for (const struct address_node *p = n->parent; p; p = p->parent) {
		if (!str_equal(p->key, n->key) || p->plain)
			continue;
		if (p == n->parent && !n->plain && !str_starts(p->base, STR("@"))) {
			n->plain = true;
			return false;
		}
		r->answer.loops++;
		address_tell(r, n, TEXT_MARK("goes round: this alias is being looked up already"),
			STR_EMPTY, p->where);
		address_leave_line(r);
		return true;
	}
	return false;
}

static void next_tag(struct address_resolver *r, struct address_node *n);

// The answer is of the address itself: now its domain is known, too.
static void exact(struct address_resolver *r, struct address_node *n)
{
	if (!str_equal(n->key, r->found.key)) {
		address_tell(r, n, TEXT_MARK("the domain is an alias"), r->found.key, STR("store"));
		n->key = r->found.key;
		n->domain = str_skip(n->key, (size_t)str_find_last(n->key, '@') + 1);
		if (!config_is_local_domain(r->queue->config, n->domain)) {
			fail_at(r, n, "5.1.2",
				TEXT("%.*s, of which its domain is an alias, is not a domain of "
				     "this server"),
				STR_ARG(n->domain));
			return;
		}
		if (!n->role && !is_known_here(r, n))
			return;
	}
	if (goes_round(r, n))
		return;
	if (n->parent && !is_new(r, n->plain ? 'p' : 'k', n->key, n)) {
		address_tell(r, n, TEXT_MARK("was there already"), STR_EMPTY, STR_EMPTY);
		address_leave_line(r);
		return;
	}
	if (take_found(r, n, n->key))
		return;
	if (n->role) {
		end_at(r, n,
			(struct address_end){.kind = ADDRESS_POSTMASTER,
				.address = n->text,
				.domain = n->domain},
			TEXT_MARK("the postmaster"), STR("postmaster"));
		return;
	}
	next_tag(r, n);
}

// The key without what is behind the separator at a place before `before`; "" : there is none.
static struct str cut_key(
	struct address_resolver *r, const struct address_node *n, struct str *detail)
{
	struct str separators = r->queue->config->deliver.separator;
	size_t at = (size_t)str_find_last(n->key, '@');
	size_t before = n->detail.len || n->tags ? at - 1 - n->detail.len : at;
	if (n->tags == TAGS_MAX || !separators.len)
		return STR_EMPTY;
	while (before-- > 1) {
		if (str_find(separators, n->key.data[before]) < 0)
			continue;
		*detail = str_slice(n->key, before + 1, at);
		return str_from(arena_format(&r->arena, "%.*s%.*s", (int)before, n->key.data,
			STR_ARG(str_skip(n->key, at))));
	}
	return STR_EMPTY;
}

static void ask_rest(struct address_resolver *r, struct address_node *n)
{
	char key[SMTP_ADDRESS_MAX];
	n->detail = STR_EMPTY;
	if (n->plain) {
		r->found.kind = STORE_ADDRESS_NONE;
		n->stage = STAGE_REST;
		return;
	}
	snprintf(key, sizeof key, "@%.*s", STR_ARG(str_slice(n->domain, 0, DOMAIN_MAX)));
	n->base = address_keep(r, str_from(key));
	n->stage = STAGE_REST;
	address_look(r, n->base);
}

static void next_tag(struct address_resolver *r, struct address_node *n)
{
	struct str detail = STR_EMPTY, key = cut_key(r, n, &detail);
	if (!key.len) {
		ask_rest(r, n);
		return;
	}
	n->tags++;
	n->detail = detail;
	n->base = key;
	n->stage = STAGE_TAG;
	address_look(r, key);
}

static void without_tag(struct address_resolver *r, struct address_node *n)
{
	struct str key = n->base;
	// The account is told as an end at once; say first what was cut off.
	if (r->found.kind != STORE_ADDRESS_NONE)
		address_tell(r, n, TEXT_MARK("without its detail"), key, STR("deliver separator"));
	if (!take_found(r, n, key))
		next_tag(r, n);
}

// ---- users of the system

static void on_user(void *arg, uint8_t exists)
{
	struct address_resolver *r = arg;
	r->waiting = false;
	r->err = exists > 1 ? ERR_UNAVAILABLE : 0;
	r->found.user = exists == 1;
	if (!r->running)
		run(r);
}

static void ask_user(struct address_resolver *r, struct address_node *n)
{
	r->waiting = true;
	queue_user(
		r->queue, str_slice(n->base, 0, (size_t)str_find_last(n->base, '@')), on_user, r);
}

static void rest(struct address_resolver *r, struct address_node *n)
{
	if (!n->plain && take_found(r, n, n->base)) {
		n->by_rest = true;
		return;
	}
	n->stage = STAGE_USER;
	n->base = n->key;
	n->tags = 0;
	n->detail = STR_EMPTY;
	r->found.user = false;
	if (config_has_system_users(r->queue->config, n->domain))
		ask_user(r, n);
	else
		n->tags = TAGS_MAX;
}

// As with accounts: the whole name, then what is before a separator.
static void user(struct address_resolver *r, struct address_node *n)
{
	struct address_end e = {
		.kind = ADDRESS_USER, .address = n->base, .domain = n->domain, .detail = n->detail};
	struct str detail = STR_EMPTY, key = STR_EMPTY;
	if (r->found.user) {
		end_at(r, n, e, TEXT_MARK("user of this system"), STR("deliver system-users"));
		return;
	}
	if (n->tags < TAGS_MAX)
		key = cut_key(r, n, &detail);
	if (key.len) {
		n->tags++;
		n->detail = detail;
		n->base = key;
		ask_user(r, n);
	} else {
		fail_at(r, n, "5.1.1", TEXT("there is no %.*s here"),
			STR_ARG(str_slice(n->text, 0, 200)));
	}
}

// ---------------------------------------------------------------- running

static void (*const stages[])(struct address_resolver *r, struct address_node *n) = {
	[STAGE_BEGIN] = begin,
	[STAGE_EXACT] = exact,
	[STAGE_TAG] = without_tag,
	[STAGE_REST] = rest,
	[STAGE_USER] = user,
	[STAGE_OWNER] = address_owner,
};

static void finish(struct address_resolver *r)
{
	r->answer.err = r->err == ERR_NOT_FOUND ? 0 : r->err;
	r->answer.ends = r->ends;
	r->answer.steps = r->steps;
	if (r->answer.too_many || r->answer.unread)
		r->answer.end_count = 0;
	r->done(r->arg, &r->answer);
	mem_free(r->ends);
	mem_free(r->steps);
	map_finish(&r->seen);
	arena_finish(&r->arena);
	mem_free(r);
}

static void run(struct address_resolver *r)
{
	r->running = true;
	while (!r->waiting && r->first && !r->stopped && (!r->err || r->err == ERR_NOT_FOUND))
		stages[r->first->stage](r, r->first);
	r->running = false;
	if (!r->waiting)
		finish(r);
}

void queue_address_resolve(struct queue *q, struct str address, struct str domain, unsigned flags,
	address_done done, void *arg)
{
	struct address_resolver *r = mem_alloc(sizeof *r);
	r->queue = q;
	r->flags = flags;
	r->done = done;
	r->arg = arg;
	r->found.key = r->found.name = r->found.targets = r->found.groups = STR_EMPTY;
	bool plain = !(flags & ADDRESS_KEY) && address.len && address.data[0] == '\\';
	struct address_node *n = address_add_node(r, NULL, str_skip(address, plain));
	n->plain = plain;
	n->domain = address_keep(r, domain);
	run(r);
}

// ---------------------------------------------------------------- ends as recipients of their own

bool queue_address_is_made(struct str address, struct str domain)
{
	return address.len &&
	       (address.data[0] == '\\' ||
		       (!domain.len && (address.data[0] == '|' || address.data[0] == '/')));
}

struct str queue_address_child(const struct address_end *e, char out[1200])
{
	int n = snprintf(out, 1200, "%s%.*s", e->kind == ADDRESS_USER ? "\\" : "",
		STR_ARG(str_slice(e->address, 0, 1100)));
	return str_make(out, n > 0 ? (size_t)n : 0);
}
