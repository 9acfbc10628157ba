// SPDX-License-Identifier: ISC
// Accounts and their addresses. An account's own name is the first row of the address table.
#include "store/store_internal.h"

#include "base/arena.h"
#include "base/clock.h"
#include "base/memory.h"
#include "store/rows.h"

#define LIST_MAX 1000

struct account_request {
	struct request request;
	struct arena arena;
	struct store_account account; // asked (name), or found
	enum query query;	      // how it is found
	unsigned fields;	      // STORE_SET_*: what is changed
	struct str asked;	      // the name
	uint64_t version;	      // of the directory when it was asked
	store_account_done found;
	store_done done;
	void *arg;
};

static void free_request(struct account_request *a)
{
	arena_finish(&a->arena);
	mem_free(a);
}

static struct account_request *create(const struct request_class *class, struct str name)
{
	struct account_request *a = request_create(sizeof(*a), class);

	a->account.name = arena_str(&a->arena, name);
	return a;
}

// Those that are there of the account's groups.
static int read_groups(struct store *s, struct arena *arena, struct store_account *account)
{
	struct str rest = account->group_names, name;
	struct store_group *groups = NULL;
	int code = 0;

	while (rest.len && code >= 0 && account->group_count < STORE_GROUPS_MAX &&
		str_split(&rest, ' ', &name)) {
		struct sql_statement *q = sql_use(s->db, QUERY_GROUP_GET);

		sql_bind_text(q, 1, name);
		code = sql_step(q);
		if (code != 1)
			continue;
		if (!groups)
			account->groups = groups =
				arena_alloc(arena, STORE_GROUPS_MAX * sizeof(*groups));
		rows_read_group(q, arena, &groups[account->group_count++]);
		sql_end(q);
	}
	return code < 0 ? code : 0;
}

// 1: found and read into out, 0: there is none.
int directory_find_account(struct store *s, enum query query, struct str name, struct arena *arena,
	struct store_account *out)
{
	struct sql_statement *q = sql_use(s->db, query);
	int code;

	sql_bind_text(q, 1, name);
	code = sql_step(q);
	if (code != 1)
		return code;
	rows_read_account(q, arena, out);
	sql_end(q);
	code = read_groups(s, arena, out);
	if (code == 0)
		code = mailboxes_read_domain(s, out->name, &out->domain_quota);
	return code < 0 ? code : 1;
}

// ---------------------------------------------------------------- one account

static int get_run(struct store *s, struct request *r)
{
	struct account_request *a = (struct account_request *)r;
	struct store_account found = {0};
	int code = directory_find_account(s, a->query, a->account.name, &a->arena, &found);

	if (code == 1)
		a->account = found;
	r->err = code == 0 ? ERR_NOT_FOUND : 0;
	return code < 0 ? code : 0;
}

static void get_complete(struct store *s, struct request *r)
{
	struct account_request *a = (struct account_request *)r;
	const struct store_account *account = r->err == 0 ? &a->account : NULL;

	if (r->err == 0 || r->err == ERR_NOT_FOUND)
		known_add(&s->known, a->query, a->asked, a->version, account);
	a->found(a->arg, r->err, account);
	free_request(a);
}

static const struct request_class get_class = {.run = get_run, .complete = get_complete};

// What is known is told from the loop, too, never from here.
static void get(
	struct store *s, enum query query, struct str name, store_account_done done, void *arg)
{
	struct account_request *a = create(&get_class, name);
	const struct store_account *account;

	a->query = query;
	a->asked = a->account.name;
	a->version = s->known.version;
	a->found = done;
	a->arg = arg;
	if (!known_get(&s->known, query, name, &account)) {
		store_request(s, &a->request);
		return;
	}
	if (account)
		rows_copy_account(account, &a->arena, &a->account);
	store_refuse(s, &a->request, account ? 0 : ERR_NOT_FOUND);
}

void store_account_get(struct store *s, struct str name, store_account_done done, void *arg)
{
	get(s, QUERY_ACCOUNT_GET, name, done, arg);
}

void store_address_get(struct store *s, struct str key, store_account_done done, void *arg)
{
	get(s, QUERY_ADDRESS_GET, key, done, arg);
}

// ---------------------------------------------------------------- changing

static void change_complete(struct store *s, struct request *r)
{
	struct account_request *a = (struct account_request *)r;

	known_change_end(&s->known);
	if (a->done)
		a->done(a->arg, r->err);
	free_request(a);
}

static void change(struct store *s, struct account_request *a, store_done done, void *arg)
{
	known_change_begin(&s->known);
	a->done = done;
	a->arg = arg;
	store_request(s, &a->request);
}

static int insert_account(struct store *s, const struct store_account *a)
{
	struct sql_statement *q = sql_use(s->db, QUERY_ACCOUNT_ADD);

	rows_bind_account(q, a);
	return sql_run(q);
}

static int insert_address(struct store *s, struct str name, uint64_t account)
{
	struct sql_statement *q = sql_use(s->db, QUERY_ADDRESS_ADD);

	sql_bind_text(q, 1, name);
	sql_bind_u64(q, 2, account);
	return sql_run(q);
}

static int add_run(struct store *s, struct request *r)
{
	struct account_request *a = (struct account_request *)r;
	struct store_account other = {0};
	struct str name = a->account.name;
	int code = directory_find_account(s, QUERY_ACCOUNT_GET, name, &a->arena, &other);

	if (code == 0) // the address of another account?
		code = directory_find_account(s, QUERY_ADDRESS_GET, name, &a->arena, &other);
	if (code == 0)
		code = directory_has_alias(s, name);
	if (code == 1)
		r->err = ERR_EXISTS;
	if (code != 0)
		return code < 0 ? code : 0;
	code = insert_account(s, &a->account);
	return code < 0 ? code : insert_address(s, name, a->account.id);
}

static const struct request_class add_class = {.run = add_run, .complete = change_complete};

void store_account_add(
	struct store *s, const struct store_account *account, store_done done, void *arg)
{
	struct account_request *a = create(&add_class, account->name);

	BUG_ON(account->id == 0 || account->name.len == 0);
	rows_copy_account(account, &a->arena, &a->account);
	change(s, a, done, arg);
}

static int set_enabled_run(struct store *s, struct request *r)
{
	struct account_request *a = (struct account_request *)r;
	struct sql_statement *q = sql_use(s->db, QUERY_ACCOUNT_SET_ENABLED);
	int code;

	sql_bind_u64(q, 1, a->account.enabled);
	sql_bind_u64(q, 2, a->account.changed_ms);
	sql_bind_text(q, 3, a->account.name);
	code = sql_run(q);
	if (code == 0)
		r->err = sql_changed(s->db) ? 0 : ERR_NOT_FOUND;
	return code;
}

static const struct request_class set_enabled_class = {
	.run = set_enabled_run,
	.complete = change_complete,
};

void store_account_set_enabled(
	struct store *s, struct str name, bool enabled, store_done done, void *arg)
{
	struct account_request *a = create(&set_enabled_class, name);

	a->account.enabled = enabled;
	a->account.changed_ms = clock_wall_ms();
	change(s, a, done, arg);
}

static int remove_by_id(struct store *s, enum query query, uint64_t id)
{
	struct sql_statement *q = sql_use(s->db, query);

	sql_bind_u64(q, 1, id);
	return sql_run(q);
}

// Another account of that name is somebody else.
static int forget_guard(struct store *s, struct str name)
{
	struct sql_statement *q = sql_use(s->db, QUERY_GUARD_REMOVE_ACCOUNT);

	sql_bind_text(q, 1, name);
	return sql_run(q);
}

static int remove_run(struct store *s, struct request *r)
{
	struct account_request *a = (struct account_request *)r;
	struct store_account found = {0};
	int code = directory_find_account(s, QUERY_ACCOUNT_GET, a->account.name, &a->arena, &found);

	r->err = code == 0 ? ERR_NOT_FOUND : 0;
	if (code != 1)
		return code;
	code = remove_by_id(s, QUERY_ADDRESS_REMOVE_ALL, found.id);
	if (code == 0)
		code = forget_guard(s, a->account.name);
	return code < 0 ? code : remove_by_id(s, QUERY_ACCOUNT_REMOVE, found.id);
}

static const struct request_class remove_class = {.run = remove_run, .complete = change_complete};

void store_account_remove(struct store *s, struct str name, store_done done, void *arg)
{
	change(s, create(&remove_class, name), done, arg);
}

// ---------------------------------------------------------------- rights

static void set_fields(struct store_account *a, const struct store_account *values, unsigned fields)
{
	uint32_t bits = fields & ACCOUNT_RIGHTS_ALL; // the field of a right is its bit

	a->rights = (a->rights & ~bits) | (values->rights & bits);
	a->stated = (a->stated & ~bits) | (values->stated & bits);
	if (fields & STORE_SET_NETWORKS)
		a->networks = values->networks;
	if (fields & STORE_SET_SERVERS)
		a->servers = values->servers;
	if (fields & STORE_SET_GROUPS)
		a->group_names = values->group_names;
	if (fields & STORE_SET_EXPIRES)
		a->expires_ms = values->expires_ms;
	if (fields & STORE_SET_ACT_AS)
		a->act_as = values->act_as;
	if (fields & STORE_SET_LOCK) {
		a->locked = values->locked;
		a->lock_reason = values->lock_reason;
	}
}

// 1: each group that is named is there.
static int groups_exist(struct store *s, struct str names)
{
	struct str name;
	int code = 1;

	while (names.len && code == 1 && str_split(&names, ' ', &name)) {
		struct sql_statement *q = sql_use(s->db, QUERY_GROUP_GET);

		sql_bind_text(q, 1, name);
		code = sql_step(q);
		if (code == 1)
			sql_end(q);
	}
	return code;
}

static int update_account(struct store *s, const struct store_account *a)
{
	struct sql_statement *q = sql_use(s->db, QUERY_ACCOUNT_SET);

	sql_bind_u64(q, 1, a->rights);
	sql_bind_u64(q, 2, a->changed_ms);
	sql_bind_u64(q, 3, a->stated);
	sql_bind_u64(q, 4, a->expires_ms);
	sql_bind_u64(q, 5, a->locked);
	sql_bind_text(q, 6, a->lock_reason);
	sql_bind_text(q, 7, a->networks);
	sql_bind_text(q, 8, a->servers);
	sql_bind_text(q, 9, a->group_names);
	sql_bind_text(q, 10, a->act_as);
	sql_bind_text(q, 11, a->send_as);
	sql_bind_u64(q, 12, a->id);
	return sql_run(q);
}

// The words without this one, and with it at the end when it is to be added.
static int change_words(struct arena *arena, struct str *words, struct str word, bool add)
{
	struct buf list = {.limit = STORE_WORDS_MAX};
	struct str rest = *words, one;
	bool found = false;
	int err = 0;

	while (!err && rest.len && str_split(&rest, ' ', &one)) {
		found = found || str_equal(one, word);
		if (!str_equal(one, word) || add)
			err = buf_add_format(&list, "%s%.*s", buf_len(&list) ? " " : "", STR_ARG(one));
	}
	if (!err && found == add)
		err = add ? ERR_EXISTS : ERR_DENIED;
	if (!err && add)
		err = buf_add_format(&list, "%s%.*s", buf_len(&list) ? " " : "", STR_ARG(word));
	if (!err)
		*words = arena_str(arena, buf_str(&list));
	buf_finish(&list);
	return err;
}

static int set_run(struct store *s, struct request *r)
{
	struct account_request *a = (struct account_request *)r;
	struct store_account found = {0};
	int code = directory_find_account(s, QUERY_ACCOUNT_GET, a->account.name, &a->arena, &found);

	r->err = code == 0 ? ERR_NOT_FOUND : 0;
	if (code != 1)
		return code;
	if (a->fields & STORE_SET_GROUPS) {
		code = groups_exist(s, a->account.group_names);
		r->err = code == 0 ? ERR_UNSUPPORTED : 0;
		if (code != 1)
			return code;
	}
	set_fields(&found, &a->account, a->fields);
	if (a->fields & (STORE_ADD_SEND_AS | STORE_REMOVE_SEND_AS))
		r->err = change_words(&a->arena, &found.send_as, a->account.send_as,
			a->fields & STORE_ADD_SEND_AS);
	if (r->err)
		return 0;
	found.changed_ms = a->account.changed_ms;
	return update_account(s, &found);
}

static const struct request_class set_class = {.run = set_run, .complete = change_complete};

void store_account_set(struct store *s, const struct store_account *values, unsigned fields,
	store_done done, void *arg)
{
	struct account_request *a = create(&set_class, values->name);

	rows_copy_account(values, &a->arena, &a->account);
	a->account.changed_ms = clock_wall_ms();
	a->fields = fields;
	change(s, a, done, arg);
}

// ---------------------------------------------------------------- listing

struct account_list {
	struct request request;
	struct arena keys, arena;
	struct str after;
	unsigned limit, count;
	struct store_account *accounts; // room for limit
	store_each_account each;
	store_done done;
	void *arg;
};

static void list_forget(struct request *r)
{
	struct account_list *l = (struct account_list *)r;

	arena_finish(&l->arena);
	l->count = 0;
}

static int list_run(struct store *s, struct request *r)
{
	struct account_list *l = (struct account_list *)r;
	struct sql_statement *q = sql_use(s->db, QUERY_ACCOUNT_LIST);
	int code;

	sql_bind_text(q, 1, l->after);
	sql_bind_u64(q, 2, l->limit);
	while ((code = sql_step(q)) == 1)
		rows_read_account(q, &l->arena, &l->accounts[l->count++]);
	for (unsigned i = 0; i < l->count && code == 0; i++)
		code = read_groups(s, &l->arena, &l->accounts[i]);
	return code;
}

static void list_complete(struct store *s, struct request *r)
{
	struct account_list *l = (struct account_list *)r;

	for (unsigned i = 0; i < l->count && r->err == 0; i++)
		l->each(l->arg, &l->accounts[i]);
	l->done(l->arg, r->err);
	arena_finish(&l->arena);
	arena_finish(&l->keys);
	mem_free(l->accounts);
	mem_free(l);
}

static const struct request_class list_class = {
	.run = list_run,
	.forget = list_forget,
	.complete = list_complete,
};

void store_account_list(struct store *s, struct str after, unsigned limit, store_each_account each,
	store_done done, void *arg)
{
	struct account_list *l = request_create(sizeof(*l), &list_class);

	l->after = arena_str(&l->keys, after);
	l->limit = limit > 0 && limit < LIST_MAX ? limit : LIST_MAX;
	l->accounts = mem_array(l->limit, sizeof(l->accounts[0]));
	l->each = each;
	l->done = done;
	l->arg = arg;
	store_request(s, &l->request);
}
