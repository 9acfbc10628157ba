// SPDX-License-Identifier: ISC
// The walk from an address to its ends. Addresses on the way stand in a line; the first is looked
// up, stage by stage, until it is an end or is replaced by what its alias names, at the end of the
// line. Each stage may have to wait for the store; nothing here calls itself.
#include "queue/address.h"

#include "base/arena.h"
#include "base/error.h"
#include "base/memory.h"
#include "base/text.h"
#include "config/tables.h"
#include "queue/queue_internal.h"
#include "queue/targets.h"

#include <stdio.h>

#define TAGS_MAX 8 // places at which a name is parted from a detail

struct node {
	struct node *next;     // in the line
	struct node *parent;   // the alias that leads here; NULL: what was asked
	struct str text;       // as written
	struct str key;        // in its own domain, once that is known
	struct str domain;
	struct str owner;
	struct str targets;    // of an alias that was found
	struct str detail;     // cut off behind the separator
	struct str where;      // of targets
	struct str base;       // key whose targets these are
	unsigned depth, tags;
	bool plain;            // aliases do not count
	bool role;             // postmaster, abuse
	bool by_rest;
	bool wrong;            // no address at all
	bool owner_asked;
	uint8_t stage;
};

struct resolver {
	struct queue *queue;
	unsigned flags;
	address_done done;
	void *arg;
	struct arena arena;
	struct node *first, *last;
	unsigned nodes;
	struct map seen;       // keys and ends -> struct node that had it first
	bool waiting, running, stopped;
	bool good;             // an end takes mail
	int err;
	// the answer to the look-up that was made last
	struct {
		enum store_address_kind kind;
		struct str key, name, targets, groups;
		struct quota_limits quota;
		bool user;
	} found;
	struct address_end *ends;
	struct address_step *steps;
	struct address_answer answer;
	unsigned end_room, step_room;
};

enum stage { STAGE_BEGIN, STAGE_EXACT, STAGE_TAG, STAGE_REST, STAGE_USER, STAGE_OWNER };

// ---------------------------------------------------------------- what is told

static struct str keep(struct resolver *r, struct str s)
{
	return arena_str(&r->arena, s);
}

static void tell(struct resolver *r, const struct node *n, const char *what, struct str to, struct str where)
{
	struct address_answer *a = &r->answer;
	if (!(r->flags & ADDRESS_STEPS))
		return;
	if (a->step_count == r->step_room) {
		r->step_room = r->step_room ? r->step_room * 2 : 16;
		r->steps = mem_resize(r->steps, r->step_room * sizeof *r->steps);
	}
	r->steps[a->step_count++] = (struct address_step){.depth = n->depth, .address = n->text,
		.what = what, .to = keep(r, to), .where = keep(r, where)};
}

// The first one done with leaves the line.
static void leave_line(struct resolver *r)
{
	r->first = r->first->next;
	if (!r->first)
		r->last = NULL;
}

static void add_end(struct resolver *r, const struct address_end *e)
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
static bool is_new(struct resolver *r, char kind, struct str text, struct node *n)
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

static void end_at(struct resolver *r, struct node *n, struct address_end e, const char *what, struct str where)
{
	struct str to = e.kind == ADDRESS_ERROR ? e.words : e.address;
	e.owner = n->owner;
	e.reached = n->key;
	e.by_rest = n->by_rest;
	tell(r, n, what, to, where);
	leave_line(r);
	if (is_new(r, (char)('0' + e.kind), e.kind == ADDRESS_ERROR ? n->text : e.address, n))
		add_end(r, &e);
}

__attribute__((format(printf, 4, 5))) static void fail_at(struct resolver *r, struct node *n,
	const char *status, const char *format, ...)
{
	char words[SMTP_REPLY_TEXT_MAX];
	va_list args;
	va_start(args, format);
	vsnprintf(words, sizeof words, format, args);
	va_end(args);
	struct address_end e = {.kind = ADDRESS_ERROR, .address = n->text, .domain = n->domain,
		.status = status, .words = keep(r, str_from(words))};
	end_at(r, n, e, TEXT_MARK("leads nowhere"), STR_EMPTY);
}

// ---------------------------------------------------------------- the line

static struct node *add_node(struct resolver *r, struct node *parent, struct str text)
{
	struct node *n = arena_alloc(&r->arena, sizeof *n);
	n->text = keep(r, text);
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

static void end_special(struct resolver *r, struct node *n)
{
	bool program = n->text.data[0] == '|';
	struct address_end e = {.kind = program ? ADDRESS_PROGRAM : ADDRESS_FILE, .address = n->text,
		.domain = STR_EMPTY};
	if (!r->queue->config->aliases_programs)
		fail_at(r, n, "5.7.1", "%s", program ?
			TEXT("an alias leads to a program, which aliases-programs does not allow") :
			TEXT("an alias leads to a file, which aliases-programs does not allow"));
	else
		end_at(r, n, e, program ? TEXT_MARK("program") : TEXT_MARK("file"), STR("aliases-programs"));
}

// ---------------------------------------------------------------- look-ups

static void run(struct resolver *r);

static void on_found(void *arg, const struct directory_entry *e)
{
	struct resolver *r = arg;
	r->waiting = false;
	r->err = e->err;
	r->found.kind = e->kind;
	r->found.key = keep(r, e->key);
	r->found.name = keep(r, e->name);
	r->found.targets = keep(r, e->targets);
	r->found.groups = keep(r, e->groups);
	r->found.quota = e->quota;
	if (!r->running)
		run(r);
}

static void look(struct resolver *r, struct str key)
{
	r->waiting = true;
	queue_directory_address(r->queue->directory, key, on_found, r);
}

// In the aliases files: the whole address, then its name alone, which is of every domain of ours.
static bool find_in_files(struct resolver *r, struct node *n, struct str key)
{
	const struct tables *t = config_tables(r->queue->config);
	struct tables_alias a;
	ptrdiff_t at = str_find_last(key, '@');
	char where[300];
	if (!t || (!tables_alias(t, key, &a) && (at <= 0 || !tables_alias(t, str_slice(key, 0, (size_t)at), &a))))
		return false;
	n->targets = keep(r, a.targets);
	snprintf(where, sizeof where, "%.*s:%u", STR_ARG(str_slice(a.place.file, 0, 280)), a.place.line);
	n->where = keep(r, str_from(where));
	return true;
}

// Takes what was looked up: true when the node has become an end or an alias.
static bool take_found(struct resolver *r, struct node *n, struct str key)
{
	if (r->found.kind == STORE_ADDRESS_ACCOUNT) {
		ptrdiff_t at = str_find_last(r->found.name, '@');
		struct address_end e = {.kind = ADDRESS_MAILBOX, .address = r->found.name,
			.domain = str_skip(r->found.name, (size_t)(at + 1)), .detail = n->detail,
			.groups = r->found.groups, .quota = r->found.quota};
		end_at(r, n, e, TEXT_MARK("mailbox of an account"), STR("store"));
		return true;
	}
	if (n->plain)
		return false;
	if (r->found.kind == STORE_ADDRESS_ALIAS) {
		n->targets = r->found.targets;
		n->where = STR("store");
	} else if (!find_in_files(r, n, key)) {
		return false;
	}
	n->base = key;
	n->stage = STAGE_OWNER;
	return true;
}

// ---------------------------------------------------------------- stages: each ends at a look-up or an end

// Where its domain is at home. True: the domain is ours, and its addresses are known here.
static bool is_known_here(struct resolver *r, struct node *n)
{
	const struct config *c = r->queue->config;
	struct route route = queue_route_for(c, n->domain);
	struct address_end e = {.kind = ADDRESS_FOREIGN, .address = n->text, .domain = n->domain};
	if (config_is_local_domain(c, n->domain)) {
		if (!queue_takes_any(c, n->domain))
			return true;
		e.kind = ADDRESS_HOST;
		end_at(r, n, e, TEXT_MARK("whatever it is, its host takes it"), STR("route recipients any"));
	} else if (route.kind == ROUTE_LOCAL) {
		return true;
	} else if (route.kind == ROUTE_REFUSE) {
		fail_at(r, n, "5.7.1", "%.*s", STR_ARG(route.config->text.len ? route.config->text :
			STR("mail to this domain is refused")));
	} else {
		end_at(r, n, e, TEXT_MARK("address elsewhere"), STR_EMPTY);
	}
	return false;
}

static void begin(struct resolver *r, struct node *n)
{
	char key[SMTP_ADDRESS_MAX];
	const struct config *c = r->queue->config;
	if (n->text.len && !n->domain.len && (n->text.data[0] == '|' || n->text.data[0] == '/')) {
		end_special(r, n);
		return;
	}
	if (n->wrong) {
		fail_at(r, n, "5.1.3", TEXT("%.*s is no address"), STR_ARG(str_slice(n->text, 0, 200)));
		return;
	}
	n->role = queue_is_role_address(c, n->text, n->domain);
	if (n->role && !config_is_local_domain(c, n->domain)) {
		end_at(r, n, (struct address_end){.kind = ADDRESS_POSTMASTER, .address = n->text,
			.domain = n->domain}, TEXT_MARK("the postmaster"), STR("postmaster"));
		return;
	}
	if (!n->role && !is_known_here(r, n))
		return;
	if (!queue_address_key(n->text, n->domain, key)) {
		fail_at(r, n, "5.1.3", TEXT("%.*s is no address"), STR_ARG(str_slice(n->text, 0, 200)));
		return;
	}
	n->key = keep(r, str_from(key));
	n->stage = STAGE_EXACT;
	look(r, n->key);
}

// Is it an alias that leads here? Then it goes round, unless it names itself: then it means the
// mailbox behind it (kim: kim, lee).
static bool goes_round(struct resolver *r, struct node *n)
{
	for (const struct node *p = n->parent; p; p = p->parent) {
		if (!str_equal(p->key, n->key) || p->plain)
			continue;
		if (p == n->parent && !n->plain && !str_starts(p->base, STR("@"))) {
			n->plain = true;
			return false;
		}
		r->answer.loops++;
		tell(r, n, TEXT_MARK("goes round: this alias is being looked up already"), STR_EMPTY, p->where);
		leave_line(r);
		return true;
	}
	return false;
}

static void next_tag(struct resolver *r, struct node *n);

// The answer is of the address itself: now its domain is known, too.
static void exact(struct resolver *r, struct node *n)
{
	if (!str_equal(n->key, r->found.key)) {
		tell(r, n, TEXT_MARK("the domain is an alias"), r->found.key, STR("store"));
		n->key = r->found.key;
		n->domain = str_skip(n->key, (size_t)str_find_last(n->key, '@') + 1);
		if (!config_is_local_domain(r->queue->config, n->domain)) {
			fail_at(r, n, "5.1.2", TEXT("%.*s, of which its domain is an alias, is not a domain of "
				"this server"), STR_ARG(n->domain));
			return;
		}
		if (!n->role && !is_known_here(r, n))
			return;
	}
	if (goes_round(r, n))
		return;
	if (n->parent && !is_new(r, n->plain ? 'p' : 'k', n->key, n)) {
		tell(r, n, TEXT_MARK("was there already"), STR_EMPTY, STR_EMPTY);
		leave_line(r);
		return;
	}
	if (take_found(r, n, n->key))
		return;
	if (n->role) {
		end_at(r, n, (struct address_end){.kind = ADDRESS_POSTMASTER, .address = n->text,
			.domain = n->domain}, TEXT_MARK("the postmaster"), STR("postmaster"));
		return;
	}
	next_tag(r, n);
}

// The key without what is behind the separator at a place before `before`; "" : there is none.
static struct str cut_key(struct resolver *r, const struct node *n, struct str *detail)
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

static void ask_rest(struct resolver *r, struct node *n)
{
	char key[SMTP_ADDRESS_MAX];
	n->detail = STR_EMPTY;
	if (n->plain) {
		r->found.kind = STORE_ADDRESS_NONE;
		n->stage = STAGE_REST;
		return;
	}
	snprintf(key, sizeof key, "@%.*s", STR_ARG(str_slice(n->domain, 0, DOMAIN_MAX)));
	n->base = keep(r, str_from(key));
	n->stage = STAGE_REST;
	look(r, n->base);
}

static void next_tag(struct resolver *r, struct node *n)
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
	look(r, key);
}

static void without_tag(struct resolver *r, struct node *n)
{
	struct str key = n->base;
	// The account is told as an end at once; say first what was cut off.
	if (r->found.kind != STORE_ADDRESS_NONE)
		tell(r, n, TEXT_MARK("without its detail"), key, STR("deliver separator"));
	if (!take_found(r, n, key))
		next_tag(r, n);
}

// ---- users of the system

static void on_user(void *arg, uint8_t exists)
{
	struct resolver *r = arg;
	r->waiting = false;
	r->err = exists > 1 ? ERR_UNAVAILABLE : 0;
	r->found.user = exists == 1;
	if (!r->running)
		run(r);
}

static void ask_user(struct resolver *r, struct node *n)
{
	r->waiting = true;
	queue_user(r->queue, str_slice(n->base, 0, (size_t)str_find_last(n->base, '@')), on_user, r);
}

static void rest(struct resolver *r, struct node *n)
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
static void user(struct resolver *r, struct node *n)
{
	struct address_end e = {.kind = ADDRESS_USER, .address = n->base, .domain = n->domain,
		.detail = n->detail};
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
		fail_at(r, n, "5.1.1", TEXT("there is no %.*s here"), STR_ARG(str_slice(n->text, 0, 200)));
	}
}

// ---------------------------------------------------------------- aliases

// A target as an address in the domain of the alias. False: it is none.
static bool target_address(struct resolver *r, const struct node *n, const struct target *t,
	struct smtp_address *out)
{
	struct str text = t->text, name = str_slice(n->key, 0, (size_t)str_find_last(n->key, '@'));
	bool bare = str_find(text, '@') < 0;
	char *whole = t->kind == TARGET_DOMAIN ?
		arena_format(&r->arena, "%.*s@%.*s", STR_ARG(name), STR_ARG(text)) :
		arena_format(&r->arena, "%.*s%s%.*s", STR_ARG(text), bare ? "@" : "",
			STR_ARG(bare ? n->domain : STR_EMPTY));
	return !smtp_address_parse(str_from(whole), out);
}

static void add_target(struct resolver *r, struct node *n, const struct target *t)
{
	struct smtp_address a;
	struct node *child;
	if (t->kind == TARGET_PROGRAM || t->kind == TARGET_FILE) {
		child = add_node(r, n, t->text);
		if (t->kind == TARGET_PROGRAM)
			child->text = str_from(arena_format(&r->arena, "|%.*s", STR_ARG(t->text)));
		return;
	}
	child = add_node(r, n, t->text);
	if (t->kind == TARGET_INCLUDE || t->kind == TARGET_WRONG || !target_address(r, n, t, &a)) {
		child->domain = n->domain;
		child->wrong = true;
		if (t->kind == TARGET_INCLUDE)
			child->text = str_from(arena_format(&r->arena, ":include:%.*s", STR_ARG(t->text)));
		return;
	}
	child->text = keep(r, str_from(a.text));
	child->domain = keep(r, str_from(a.domain));
	child->plain = t->kind == TARGET_PLAIN;
}

static void expand(struct resolver *r, struct node *n)
{
	struct str rest_of = n->targets;
	struct target t;
	unsigned count = 0;
	r->answer.is_alias = true;
	tell(r, n, n->by_rest && str_starts(n->base, STR("@")) ? TEXT_MARK("catch-all") : TEXT_MARK("alias"),
		str_slice(n->targets, 0, 1000), n->where);
	leave_line(r);
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
static struct str owner_key(struct resolver *r, const struct node *n)
{
	struct str key = n->base;
	if (!(r->flags & ADDRESS_OWNERS) || str_starts(key, STR("@")) || str_starts(key, STR("owner-")) ||
		key.len + 6 >= SMTP_ADDRESS_MAX)
		return STR_EMPTY;
	return str_from(arena_format(&r->arena, "owner-%.*s", STR_ARG(key)));
}

static void owner(struct resolver *r, struct node *n)
{
	struct node file = {0};
	struct str key = owner_key(r, n);
	if (!n->owner_asked) {
		n->owner_asked = true;
		if (key.len) {
			look(r, key);
			return;
		}
	} else if (r->found.kind != STORE_ADDRESS_NONE || find_in_files(r, &file, key)) {
		n->owner = key;
		tell(r, n, TEXT_MARK("list with an owner: failures are told to"), key, STR_EMPTY);
	}
	expand(r, n);
}

// ---------------------------------------------------------------- running

static void (*const stages[])(struct resolver *r, struct node *n) = {
	[STAGE_BEGIN] = begin,
	[STAGE_EXACT] = exact,
	[STAGE_TAG] = without_tag,
	[STAGE_REST] = rest,
	[STAGE_USER] = user,
	[STAGE_OWNER] = owner,
};

static void finish(struct resolver *r)
{
	r->answer.err = r->err == ERR_NOT_FOUND ? 0 : r->err;
	r->answer.ends = r->ends;
	r->answer.steps = r->steps;
	if (r->answer.too_many)
		r->answer.end_count = 0;
	r->done(r->arg, &r->answer);
	mem_free(r->ends);
	mem_free(r->steps);
	map_finish(&r->seen);
	arena_finish(&r->arena);
	mem_free(r);
}

static void run(struct resolver *r)
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
	struct resolver *r = mem_alloc(sizeof *r);
	r->queue = q;
	r->flags = flags;
	r->done = done;
	r->arg = arg;
	r->found.key = r->found.name = r->found.targets = r->found.groups = STR_EMPTY;
	bool plain = address.len && address.data[0] == '\\';
	struct node *n = add_node(r, NULL, str_skip(address, plain));
	n->plain = plain;
	n->domain = keep(r, domain);
	run(r);
}

// ---------------------------------------------------------------- ends as recipients of their own

bool queue_address_is_made(struct str address, struct str domain)
{
	return address.len && (address.data[0] == '\\' ||
		(!domain.len && (address.data[0] == '|' || address.data[0] == '/')));
}

struct str queue_address_child(const struct address_end *e, char out[1200])
{
	int n = snprintf(out, 1200, "%s%.*s", e->kind == ADDRESS_USER ? "\\" : "",
		STR_ARG(str_slice(e->address, 0, 1100)));
	return str_make(out, n > 0 ? (size_t)n : 0);
}
