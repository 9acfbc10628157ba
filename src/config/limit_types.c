// SPDX-License-Identifier: ISC
// limit "SCOPE" { }: how the label, the values and the rates are read, printed and carried, and what
// becomes of the older spellings of the same limits.
#include "config/config_internal.h"

#include "base/domain.h"
#include "base/text.h"
#include "base/unit.h"

#include <stdlib.h>

// ---- the label

static const char *const scope_words[] = {
	"everywhere", "server", "network", "domain", "group", "account", NULL};

static void expect_label(struct config_parser *p, const struct config_token *t, const char *what)
{
	const struct config_setting words = {.name = "limit"};
	config_report_expected(p, &words, t, what);
}

// "kim@Example.KR" or a bare name, which gets the default domain when that is known.
static bool take_account(struct config_parser *p, struct str key, struct str *out)
{
	char domain[DOMAIN_MAX + 1];
	ptrdiff_t at = str_find_last(key, '@');
	size_t local = at < 0 ? key.len : (size_t)at;
	if (local == 0 || local > 64 || str_find(key, ' ') >= 0 || !str_is_utf8(key) ||
		(at >= 0 && domain_normalise(str_skip(key, local + 1), domain) < 0))
		return false;
	char *text = arena_format(&p->scratch, "%.*s%s%s", (int)local, key.data, at < 0 ? "" : "@",
		at < 0 ? "" : domain);
	str_lower(text, local);
	*out = str_from(text);
	return true;
}

static bool take_domain(struct config_parser *p, struct str key, struct str *out)
{
	char domain[DOMAIN_MAX + 1];
	if (domain_normalise(key, domain) < 0)
		return false;
	*out = config_keep(p, str_from(domain));
	return true;
}

static bool take_network(struct config_parser *p, struct str key, struct str *out)
{
	struct ipnet n;
	char text[IPADDR_TEXT_MAX];
	if (ipnet_parse(key, &n) < 0)
		return false;
	*out = str_from(arena_format(&p->scratch, "%s/%u", ipaddr_format(&n.addr, text), n.prefix));
	return true;
}

static bool take_word(struct config_parser *p, struct str key, struct str *out)
{
	*out = key;
	return key.len && key.len <= 64 && str_only(key,
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.");
}

static bool take_key(struct config_parser *p, unsigned scope, struct str key, struct str *out)
{
	switch (scope) {
	case CONFIG_SCOPE_EVERYWHERE:
		*out = STR_EMPTY;
		return key.len == 0;
	case CONFIG_SCOPE_NETWORK:
		return take_network(p, key, out);
	case CONFIG_SCOPE_DOMAIN:
		return take_domain(p, key, out);
	case CONFIG_SCOPE_ACCOUNT:
		return take_account(p, key, out);
	default:
		return take_word(p, key, out);
	}
}

int config_open_limit(struct config_parser *p, const struct config_token *t, struct str *out)
{
	static const char *const keys[] = {[CONFIG_SCOPE_EVERYWHERE] = TEXT_MARK("nothing behind it"),
		[CONFIG_SCOPE_SERVER] = TEXT_MARK("the name of a server behind it"),
		[CONFIG_SCOPE_NETWORK] = TEXT_MARK("a network like 192.0.2.0/24 behind it"),
		[CONFIG_SCOPE_DOMAIN] = TEXT_MARK("a domain behind it"),
		[CONFIG_SCOPE_GROUP] = TEXT_MARK("the name of a group behind it"),
		[CONFIG_SCOPE_ACCOUNT] = TEXT_MARK("the name of an account behind it")};
	const struct config_setting choice = {
		.name = "limit", .type = &config_type_choice, .words = scope_words};
	struct str rest = t->text, word, key;
	(void)str_split(&rest, ' ', &word);
	int scope = config_choice_of(&choice, word);
	*out = STR_EMPTY;
	if (scope < 0) {
		expect_label(p, t, TEXT("everywhere, or one of server, network, domain, group and "
					"account and its name"));
		return ERR_SYNTAX;
	}
	if (!take_key(p, (unsigned)scope, str_trim(rest.data ? rest : STR_EMPTY), &key)) {
		expect_label(p, t, TEXT(keys[scope]));
		return ERR_SYNTAX;
	}
	*out = str_from(arena_format(&p->scratch, "%s%s%.*s", scope_words[scope],
		key.len ? " " : "", STR_ARG(key)));
	return 0;
}

// ---- values

static unsigned id_of(const struct config_setting *s)
{
	return (unsigned)((s->offset - offsetof(struct config_limit, value)) / sizeof(uint64_t));
}

static int parse_amount(const struct config_limit_kind *k, struct str text, uint64_t *out)
{
	int err;
	if (k->may_be_none && str_equal(text, STR("none"))) {
		*out = CONFIG_LIMIT_NONE;
		return 0;
	}
	if (k->unit == CONFIG_UNIT_size)
		err = unit_parse_size(text, out);
	else if (k->unit == CONFIG_UNIT_duration)
		err = unit_parse_duration(text, out);
	else
		err = str_to_u64(text, out);
	return err < 0 ? err : *out < k->least || *out > k->most ? ERR_LIMIT : 0;
}

static void parse_limit(struct config_parser *p, const struct config_setting *s, void *base)
{
	const struct config_limit_kind *k = &config_limit_kinds[id_of(s)];
	struct config_limit *l = base;
	struct buf what = BUF_INIT;
	struct config_token t;
	if (!config_take_value(p, s, true, &t))
		return;
	if (parse_amount(k, t.text, &l->value[id_of(s)]) < 0) {
		l->value[id_of(s)] = 0;
		config_expected(s, &what);
		if (k->may_be_none)
			buf_add_text(&what, TEXT(", or none"));
		config_report_expected(p, s, &t, buf_cstr(&what));
		buf_finish(&what);
	}
	l->line[id_of(s)] = p->name.line;
}

void config_limit_show_value(enum config_limit_id id, uint64_t value, struct buf *out)
{
	char text[UNIT_TEXT_MAX];
	if (value == CONFIG_LIMIT_NONE)
		buf_add_text(out, "none");
	else if (config_limit_kinds[id].unit == CONFIG_UNIT_size)
		buf_add_text(out, unit_format_size(value, text));
	else if (config_limit_kinds[id].unit == CONFIG_UNIT_duration)
		buf_add_text(out, unit_format_duration(value, text));
	else
		buf_add_format(out, "%llu", (unsigned long long)value);
}

// ---- the table of the manual

static void add_scopes(unsigned scopes, struct buf *out);

int config_limit_manual(struct buf *out)
{
	int err = buf_add_text(out, "| setting | what it bounds | scopes | default | also written as | reply | rule |\n"
				    "|---|---|---|---|---|---|---|\n");
	for (unsigned id = 0; !err && id < CONFIG_LIMITS; id++) {
		const struct config_limit_kind *k = &config_limit_kinds[id];
		struct buf scopes = BUF_INIT, standard = BUF_INIT;
		if (k->scopes == CONFIG_SCOPES_ALL)
			buf_add_text(&scopes, "all");
		else
			add_scopes(k->scopes, &scopes);
		config_limit_show_value((enum config_limit_id)id,
			k->standard ? k->standard : CONFIG_LIMIT_NONE, &standard);
		buf_add_format(out, "| `%s` | %s | %s | %s | %s%s%s |", k->name, k->help, buf_cstr(&scopes),
			buf_cstr(&standard), k->spelled ? "`" : "", k->spelled ? k->spelled : "",
			k->spelled ? "`" : "");
		if (k->code)
			err = buf_add_format(out, " %u %s | `%s` |\n", k->code, k->enhanced, k->rule);
		else
			err = buf_add_text(out, " none: it goes by way of a file | |\n");
		buf_finish(&scopes);
		buf_finish(&standard);
	}
	return err;
}

static void show_limit(
	const struct config_setting *s, const void *base, unsigned depth, struct buf *out)
{
	const struct config_limit *l = base;
	if (!l->value[id_of(s)])
		return;
	config_show_setting(s, depth, out);
	config_limit_show_value((enum config_limit_id)id_of(s), l->value[id_of(s)], out);
	buf_add_char(out, '\n');
}

static void carry_limit(struct config_codec *c, const struct config_setting *s, void *base)
{
	struct config_limit *l = base;
	config_carry_u64(c, &l->value[id_of(s)], 0, 0);
}

const struct config_type config_type_limit_number = {
	TEXT_MARK("a number"), "NUMBER", false, parse_limit, show_limit, carry_limit, NULL};
const struct config_type config_type_limit_size = {TEXT_MARK("a size like 50M"), "SIZE", false,
	parse_limit, show_limit, carry_limit, NULL};
const struct config_type config_type_limit_duration = {TEXT_MARK("a time like 90s, 5m, 4h or 3d"),
	"TIME", false, parse_limit, show_limit, carry_limit, NULL};

// ---- rate SUBJECT WHAT COUNT per PERIOD [ACTION]

static const char *const subjects[] = {"account", "client", "domain", NULL};
static const char *const whats[] = {"messages", "recipients", NULL};
static const char *const pers[] = {"per", NULL};
static const char *const periods[] = {"minute", "hour", "day", NULL};
static const char *const actions[] = {"defer", "refuse", "hold", NULL};

// The next word as one of these; -1: reported.
static int take_choice(struct config_parser *p, const char *const *words)
{
	const struct config_setting choice = {
		.name = "rate", .type = &config_type_choice, .words = words};
	struct config_token t;
	if (!config_take_value(p, &choice, true, &t))
		return -1;
	int found = config_choice_of(&choice, t.text);
	if (found < 0)
		config_report_expected(p, &choice, &t, NULL);
	return found;
}

static bool take_count(struct config_parser *p, const struct config_setting *s, uint64_t *out)
{
	struct config_token t;
	if (!config_take_value(p, s, true, &t))
		return false;
	if (str_equal(t.text, STR("none"))) {
		*out = CONFIG_LIMIT_NONE;
		return true;
	}
	if (str_to_u64(t.text, out) == 0 && *out >= 1 && *out <= 1000000000)
		return true;
	config_report_expected(p, s, &t, TEXT("a number from 1 to 1000000000, or none"));
	return false;
}

static void parse_rate(struct config_parser *p, const struct config_setting *s, void *base)
{
	struct config_limit *l = base;
	struct config_rate r = {.line = p->name.line};
	int subject = take_choice(p, subjects);
	int what = subject < 0 ? -1 : take_choice(p, whats);
	if (what < 0 || !take_count(p, s, &r.most) || take_choice(p, pers) < 0)
		return;
	int period = take_choice(p, periods);
	int action = CONFIG_RATE_DEFER;
	if (period >= 0 && p->token.kind == CONFIG_TOKEN_WORD && r.most != CONFIG_LIMIT_NONE &&
		config_choice_of(&(struct config_setting){.words = actions}, p->token.text) >= 0)
		action = take_choice(p, actions);
	if (period < 0)
		return;
	r.subject = (enum config_rate_subject)subject;
	r.what = (enum config_rate_what)what;
	r.period = (enum config_rate_period)period;
	r.action = (enum config_rate_action)action;
	for (size_t i = 0; i < l->rate_count; i++)
		if (config_rate_index(&l->rates[i]) == config_rate_index(&r)) {
			config_report(p, 'E', p->name, TEXT("this rate is set already in line %u"),
				l->rates[i].line);
			return;
		}
	*(struct config_rate *)config_array_add(
		&p->config->arena, &l->rates, &l->rate_count, sizeof r) = r;
}

static void show_rates(
	const struct config_setting *s, const void *base, unsigned depth, struct buf *out)
{
	const struct config_limit *l = base;
	char text[CONFIG_RATE_TEXT_MAX];
	for (size_t i = 0; i < l->rate_count; i++) {
		const struct config_rate *r = &l->rates[i];
		config_show_indent(depth, out);
		buf_add_text(out, config_rate_text(r, text));
		if (r->most != CONFIG_LIMIT_NONE)
			buf_add_format(out, " %s", actions[r->action]);
		buf_add_char(out, '\n');
	}
}

static void carry_rates(struct config_codec *c, const struct config_setting *s, void *base)
{
	struct config_limit *l = base;
	config_carry_array(c, &l->rates, &l->rate_count, sizeof *l->rates);
	c->corrupt = c->corrupt || l->rate_count > CONFIG_RATES;
	for (size_t i = 0; i < l->rate_count && !c->corrupt; i++) {
		struct config_rate *r = &l->rates[i];
		config_carry_enum(c, &r->subject, CONFIG_RATE_SUBJECTS - 1);
		config_carry_enum(c, &r->what, CONFIG_RATE_WHATS - 1);
		config_carry_enum(c, &r->period, CONFIG_RATE_PERIODS - 1);
		config_carry_enum(c, &r->action, CONFIG_RATE_ACTIONS - 1);
		config_carry_u64(c, &r->most, 1, CONFIG_LIMIT_NONE);
	}
}

const struct config_type config_type_rate = {
	TEXT_MARK("a rate like account recipients 1000 per day"),
	"account|client|domain messages|recipients COUNT per minute|hour|day [defer|refuse|hold]", true,
	parse_rate, show_rates, carry_rates, NULL};

// ---- the end of a block

static void add_scopes(unsigned scopes, struct buf *out)
{
	for (unsigned s = CONFIG_SCOPES; s-- > 0;)
		if (scopes & 1u << s)
			buf_add_format(out, "%s%s", buf_len(out) ? ", " : "", scope_words[s]);
}

void config_limit_close(struct config_parser *p, const struct config_frame *f)
{
	struct config_limit *l = (struct config_limit *)f->base;
	l->file = p->file;
	if (!l->label.len || config_limit_read_label(l) < 0)
		return;
	for (unsigned id = 0; id < CONFIG_LIMITS; id++) {
		const struct config_limit_kind *k = &config_limit_kinds[id];
		struct buf scopes = BUF_INIT;
		if (!l->value[id] || k->scopes & 1u << l->scope)
			continue;
		add_scopes(k->scopes, &scopes);
		config_report(p, 'E', config_place_of(f, k->name),
			TEXT("%s cannot be limited for one %s; it belongs in limit of: %s"), k->name,
			scope_words[l->scope], buf_cstr(&scopes));
		buf_finish(&scopes);
		l->value[id] = 0;
	}
}

// ---- after the last file: the older spellings, and what is in force for everybody

// Where `max-recipients` and the like of a frame put their value, and where it was written.
static uint64_t *spelled_value(const struct config_frame *f, unsigned id, struct config_place *place)
{
	const char *name = config_limit_kinds[id].spelled;
	const struct config_setting *s = name ? config_setting_find(f->block, str_from(name)) : NULL;
	if (!s)
		return NULL;
	*place = config_place_of(f, name);
	return config_field(s, f->base);
}

static void add_spelled(struct config_parser *p, const struct config_frame *f, struct str label)
{
	for (unsigned id = 0; id < CONFIG_LIMITS; id++) {
		struct config_place place;
		uint64_t *value = spelled_value(f, id, &place);
		if (!value || !place.line)
			continue;
		struct config_limit *l = config_array_add(&p->config->arena, &p->config->limit_spelled,
			&p->config->limit_spelled_count, sizeof *l);
		*l = (struct config_limit){.label = label, .file = place.file, .where = place};
		l->value[id] = *value;
		l->line[id] = place.line;
	}
}

static struct config_limit *find_block(struct config *c, struct str label)
{
	for (size_t i = 0; i < c->limit_block_count; i++)
		if (str_equal(c->limit_blocks[i].label, label))
			return &c->limit_blocks[i];
	return NULL;
}

// Two spellings of one value in one scope.
static void check_spelled(struct config_parser *p)
{
	struct config *c = p->config;
	for (size_t i = 0; i < c->limit_spelled_count; i++) {
		const struct config_limit *l = &c->limit_spelled[i];
		const struct config_limit *b = find_block(c, l->label);
		for (unsigned id = 0; b && id < CONFIG_LIMITS; id++)
			if (l->value[id] && b->value[id])
				config_report(p, 'E', l->where,
					TEXT("%s says the same as limit \"%.*s\" in %s; write one of them"),
					config_limit_kinds[id].spelled, STR_ARG(l->label),
					config_place_words(p, (struct config_place){
						b->file, b->line[id], 1}));
	}
}

// A value that a block says for everybody, or for a server, also stands where it is looked for when
// nobody thinks of blocks.
static void put_in_force(const struct config_frame *f, const struct config_limit *block,
	uint32_t *by_block)
{
	for (unsigned id = 0; block && id < CONFIG_LIMITS; id++) {
		struct config_place place;
		uint64_t *value = spelled_value(f, id, &place);
		if (!value || !block->value[id] || place.line)
			continue;
		*value = block->value[id];
		*by_block |= 1u << id;
	}
}

bool config_limit_is_by_block(enum config_block_id block, const struct config_setting *s, const void *base)
{
	const struct config *c = base;
	const struct config_server *server = base;
	uint32_t by_block = 0;
	if (block == CONFIG_BLOCK_SERVER)
		by_block = server->limits_by_block;
	else if (block == CONFIG_BLOCK_TOP || block == CONFIG_BLOCK_LIMITS)
		by_block = c->server_defaults.limits_by_block;
	for (unsigned id = 0; by_block && id < CONFIG_LIMITS; id++)
		if (by_block & 1u << id && config_limit_kinds[id].spelled &&
			!strcmp(config_limit_kinds[id].spelled, s->name))
			return true;
	return false;
}

static void check_label(struct config_parser *p, struct config_limit *l)
{
	struct config *c = p->config;
	bool found = false;
	if (config_limit_read_label(l) < 0) // reported
		l->label = STR("everywhere");
	(void)config_limit_read_label(l);
	if (l->scope == CONFIG_SCOPE_ACCOUNT && str_find(l->key, '@') < 0) {
		l->label = str_from(arena_format(&c->arena, "%.*s@%.*s", STR_ARG(l->label),
			STR_ARG(c->auth.default_domain)));
		(void)config_limit_read_label(l);
	}
	for (size_t i = 0; i < c->server_count; i++)
		found = found || str_equal(c->servers[i].name, l->key);
	if (l->scope == CONFIG_SCOPE_SERVER && !found)
		config_report(p, 'E', l->where, TEXT("limit \"%.*s\": there is no server \"%.*s\""),
			STR_ARG(l->label), STR_ARG(l->key));
}

static int compare_blocks(const void *a, const void *b)
{
	const struct config_limit *x = a, *y = b;
	int order = config_limit_compare(x, y);
	return order ? order : (x->where.line > y->where.line) - (x->where.line < y->where.line);
}

void config_limit_sort(struct config *c)
{
	if (c->limit_block_count)
		qsort(c->limit_blocks, c->limit_block_count, sizeof *c->limit_blocks, compare_blocks);
}

static void check_twice(struct config_parser *p)
{
	const struct config *c = p->config;
	for (size_t i = 1; i < c->limit_block_count; i++) {
		const struct config_limit *a = &c->limit_blocks[i - 1], *b = &c->limit_blocks[i];
		if (!a->where.line || !b->where.line || config_limit_compare(a, b) != 0)
			continue;
		config_report(p, 'E', b->where, TEXT("limit \"%.*s\" is there already in %s"),
			STR_ARG(b->label), config_place_words(p, a->where));
	}
}

void config_limit_finish(struct config_parser *p)
{
	struct config *c = p->config;
	for (size_t i = 0; i < c->limit_block_count; i++)
		check_label(p, &c->limit_blocks[i]);
	add_spelled(p, &p->single[CONFIG_BLOCK_TOP], STR("everywhere"));
	add_spelled(p, &p->single[CONFIG_BLOCK_LIMITS], STR("everywhere"));
	const struct config_limit *everywhere = find_block(c, STR("everywhere"));
	put_in_force(&p->single[CONFIG_BLOCK_TOP], everywhere, &c->server_defaults.limits_by_block);
	put_in_force(&p->single[CONFIG_BLOCK_LIMITS], everywhere, &c->server_defaults.limits_by_block);
	for (size_t i = 0; i < c->server_count; i++) {
		if (!c->servers[i].name.len) // reported
			continue;
		struct str label = str_from(arena_format(&c->arena, "server %.*s",
			STR_ARG(c->servers[i].name)));
		struct config_frame frame = p->servers[i];
		frame.base = (char *)&c->servers[i];
		add_spelled(p, &frame, label);
		put_in_force(&frame, everywhere, &c->servers[i].limits_by_block);
		put_in_force(&frame, find_block(c, label), &c->servers[i].limits_by_block);
	}
	check_spelled(p);
	config_limit_sort(c);
	check_twice(p);
}

// ---- what the rows do not carry: where it was written, and the older spellings

static void carry_line(struct config_codec *c, uint32_t *line)
{
	uint64_t wide = *line;
	config_carry_u64(c, &wide, 0, UINT32_MAX);
	*line = (uint32_t)wide;
}

static void carry_places(struct config_codec *c, struct config_limit *l)
{
	config_carry_str(c, &l->file);
	for (unsigned id = 0; id < CONFIG_LIMITS && !c->corrupt; id++)
		carry_line(c, &l->line[id]);
	for (size_t i = 0; i < l->rate_count && !c->corrupt; i++)
		carry_line(c, &l->rates[i].line);
}

void config_carry_limits(struct config_codec *c, struct config *config)
{
	for (size_t i = 0; i < config->limit_block_count && !c->corrupt; i++)
		carry_places(c, &config->limit_blocks[i]);
	config_carry_array(c, &config->limit_spelled, &config->limit_spelled_count,
		sizeof *config->limit_spelled);
	for (size_t i = 0; i < config->limit_spelled_count && !c->corrupt; i++) {
		struct config_limit *l = &config->limit_spelled[i];
		config_carry_str(c, &l->label);
		for (unsigned id = 0; id < CONFIG_LIMITS && !c->corrupt; id++)
			config_carry_u64(c, &l->value[id], 0, 0);
		carry_places(c, l);
	}
}
