// SPDX-License-Identifier: ISC
// A configuration that was replaced lives on here until its last question is answered: threads and
// kinds hold pointers into it.
#include "role/checks.h"

#include "auth/winbind.h"
#include "auth/wire.h"
#include "base/clock.h"
#include "base/event.h"
#include "base/memory.h"
#include "role/tokens.h"

struct slot { // a source
	const struct config_source *source; // NULL: runs elsewhere
	const struct auth_source_kind *kind;
	void *state;
	char why[200]; // it could not prepare; "" : it could
	unsigned share, running, waiting_count;
	struct list waiting; // struct check_task
};

struct checks_generation {
	struct list link;
	unsigned users;
	struct buf octets; // the copy that config points into
	struct config *config;
	size_t count;
	struct slot slots[CONFIG_SOURCES_MAX];
};

struct checks {
	struct checks_options options;
	struct checks_generation *generation;
	struct list generations; // with those that still have questions
	struct list running;	 // struct check_task
	unsigned running_count;
};

static bool runs_in(const struct config_source *s, bool checker)
{
	const struct auth_source_kind *kind = auth_source_kind_of(s);

	return kind && (kind->where == AUTH_IN_CHECKER) == checker;
}

static bool any_in(const struct config *c, bool checker)
{
	for (size_t i = 0; i < c->auth.source_count; i++)
		if (runs_in(&c->auth.sources[i], checker))
			return true;
	return false;
}

bool checks_needed_source(const struct config *c)
{
	return any_in(c, false) || tokens_needed(c);
}

bool checks_needed_checker(const struct config *c)
{
	return any_in(c, true) || auth_winbind_configured(c);
}

// ---- generations
static void slot_prepare(struct slot *s)
{
	struct error err = {0};

	if (!s->kind->prepare || s->kind->prepare(s->source, &s->state, &err) == 0)
		return;
	(void)str_copy(
		str_slice(str_from(err.text), 0, sizeof s->why - 1), s->why, sizeof s->why);
	event_report(EVENT_ERROR, "auth", "password source \"%.*s\" cannot be used: %s",
		STR_ARG(s->source->name), s->why);
}

static void share_out(struct checks_generation *g)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < g->count; i++)
		sum += g->slots[i].source ? g->slots[i].source->connections : 0;
	for (size_t i = 0; i < g->count; i++) {
		struct slot *s = &g->slots[i];
		uint64_t share = s->source ? s->source->connections : 0;
		if (sum > CHECKS_RUNNING_MAX)
			share = share * CHECKS_RUNNING_MAX / sum;
		s->share = share ? (unsigned)share : 1;
	}
}

static struct checks_generation *generation_create(struct role_context *context, bool checker)
{
	struct checks_generation *g = mem_alloc(sizeof *g);

	g->users = 1;
	if (config_encode(context->config, context->role->config_for, &g->octets) ||
		config_decode(buf_str(&g->octets), &g->config))
		fatal("cannot copy the configuration");
	g->count = g->config->auth.source_count;
	for (size_t i = 0; i < g->count; i++) {
		struct slot *s = &g->slots[i];
		list_init(&s->waiting);
		if (!runs_in(&g->config->auth.sources[i], checker))
			continue;
		s->source = &g->config->auth.sources[i];
		s->kind = auth_source_kind_of(s->source);
		slot_prepare(s);
	}
	share_out(g);
	return g;
}

static void generation_drop(struct checks_generation *g)
{
	if (!g || --g->users)
		return;
	for (size_t i = 0; i < g->count; i++) {
		struct slot *s = &g->slots[i];
		if (s->source && s->kind->finish && !s->why[0])
			s->kind->finish(s->state);
	}
	list_remove(&g->link);
	config_destroy(g->config);
	buf_finish_wipe(&g->octets);
	mem_free(g);
}

void checks_configure(struct checks *c)
{
	struct checks_generation *old = c->generation;

	c->generation = generation_create(c->options.context, c->options.in_checker);
	list_add_last(&c->generations, &c->generation->link);
	generation_drop(old);
}

unsigned checks_at_once(const struct checks *c)
{
	unsigned sum = 0;

	for (size_t i = 0; i < c->generation->count; i++)
		sum += c->generation->slots[i].source ? c->generation->slots[i].share : 0;
	return sum ? sum : 1;
}

unsigned checks_running(const struct checks *c)
{
	return c->running_count;
}

struct checks *checks_create(const struct checks_options *o)
{
	struct checks *c = mem_alloc(sizeof *c);

	c->options = *o;
	list_init(&c->running);
	list_init(&c->generations);
	checks_configure(c);
	return c;
}

// ---- tasks
static struct str keep(struct str s)
{
	return str_make(str_dup(s), s.len);
}

static void drop_string(struct str *s)
{
	mem_wipe((char *)s->data, s->len);
	mem_free((char *)s->data);
}

static struct check_task *task_create(struct checks *c, struct ipc_channel *from, unsigned index,
	uint64_t request, const struct auth_question *q)
{
	struct check_task *t = mem_alloc(sizeof *t);
	struct slot *s = &c->generation->slots[index];

	t->checks = c;
	t->generation = c->generation;
	t->generation->users++;
	t->index = index;
	t->request = request;
	t->from = from;
	t->came_ms = clock_monotonic_ms();
	t->source = s->source;
	t->kind = s->kind;
	t->state = s->state;
	t->question = *q;
	t->question.name = keep(q->name);
	t->question.secret = keep(q->secret);
	t->question.challenge = keep(q->challenge);
	t->question.server = keep(q->server);
	t->question.default_domain = t->generation->config->auth.default_domain;
	list_init(&t->link);
	list_init(&t->job.link);
	list_init(&t->own_link);
	return t;
}

static void task_destroy(struct check_task *t)
{
	drop_string(&t->question.name);
	drop_string(&t->question.secret);
	drop_string(&t->question.challenge);
	drop_string(&t->question.server);
	generation_drop(t->generation);
	mem_wipe(&t->answer, sizeof t->answer);
	mem_free(t);
}

static void answer(struct check_task *t)
{
	if (t->from)
		(void)auth_wire_send_answer(t->from, t->request, &t->answer);
	task_destroy(t);
}

static void refuse(struct check_task *t, const char *why)
{
	auth_answer_set(&t->answer, AUTH_CANNOT, "%s", why);
	answer(t);
}

static struct slot *slot_of(struct check_task *t)
{
	return &t->generation->slots[t->index];
}

static void start(struct check_task *t)
{
	slot_of(t)->running++;
	t->checks->running_count++;
	list_add_last(&t->checks->running, &t->link);
	t->checks->options.start(t->checks->options.arg, t);
}

// Who waited for so long that nobody listens any more is not asked for.
static void start_waiting(struct slot *s)
{
	while (!list_empty(&s->waiting) && s->running < s->share) {
		struct check_task *t = LIST_ENTRY(s->waiting.next, struct check_task, link);
		list_remove(&t->link);
		s->waiting_count--;
		if (clock_monotonic_ms() - t->came_ms >= s->source->timeout)
			refuse(t, "too many questions before it took all its time");
		else
			start(t);
	}
}

void checks_done(struct check_task *t)
{
	struct checks_generation *g = t->generation;
	struct slot *s = slot_of(t);

	s->running--;
	t->checks->running_count--;
	list_remove(&t->link);
	g->users++; // the answer may be the last to hold it
	answer(t);
	start_waiting(s);
	generation_drop(g);
}

static int find(const struct checks_generation *g, struct str name)
{
	for (size_t i = 0; i < g->count; i++)
		if (g->slots[i].source && str_equal(g->slots[i].source->name, name))
			return (int)i;
	return -1;
}

// Not even a question, or one for somebody else: auth has a newer configuration than we.
static void refuse_unknown(struct ipc_channel *from, uint64_t request)
{
	struct auth_answer out = {0};

	auth_answer_set(&out, AUTH_CANNOT, "the configuration is being changed");
	(void)auth_wire_send_answer(from, request, &out);
}

void checks_ask(struct checks *c, struct ipc_channel *from, struct str body)
{
	struct ipc_check m;
	struct auth_question q;

	if (ipc_decode_check(body, &m))
		return;
	int index = find(c->generation, m.source);
	if (index < 0 || auth_wire_question(&m, &q)) {
		refuse_unknown(from, m.request);
		return;
	}
	struct slot *s = &c->generation->slots[index];
	struct check_task *t = task_create(c, from, (unsigned)index, m.request, &q);
	if (s->why[0]) {
		refuse(t, s->why);
	} else if (s->running < s->share) {
		start(t);
	} else if (s->waiting_count < CHECKS_WAITING_MAX) {
		list_add_last(&s->waiting, &t->link);
		s->waiting_count++;
	} else {
		refuse(t, "too many questions wait");
	}
}

static void forget_waiting(struct checks_generation *g, const struct ipc_channel *from)
{
	g->users++; // a question may be the last to hold it
	for (size_t i = 0; i < g->count; i++)
		LIST_EACH(link, &g->slots[i].waiting) {
			struct check_task *t = LIST_ENTRY(link, struct check_task, link);
			if (t->from != from)
				continue;
			list_remove(link);
			g->slots[i].waiting_count--;
			task_destroy(t);
		}
	generation_drop(g);
}

void checks_lost(struct checks *c, const struct ipc_channel *from)
{
	LIST_EACH(link, &c->running) {
		struct check_task *t = LIST_ENTRY(link, struct check_task, link);
		t->from = t->from == from ? NULL : t->from;
	}
	LIST_EACH(link, &c->generations)
		forget_waiting(LIST_ENTRY(link, struct checks_generation, link), from);
}
