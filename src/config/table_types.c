// SPDX-License-Identifier: ISC
// The kinds of settings that name tables: rules, domains and their lists, aliases. The files are
// read by tables_build, not here.
#include "config/config_internal.h"

#include "base/text.h"
#include "config/domain_list.h"

#define PATHS_MAX 1000

static void add_path(struct config_parser *p, const struct config_setting *s,
	const struct config_token *t, struct config_list *list)
{
	const struct config_setting path = {.name = s->name, .type = &config_type_path};
	struct str value;
	if (t->text.len == 0 || list->count == PATHS_MAX)
		config_report_expected(p, s, t, TEXT("the path of a file in quotes, at most 1000 of them"));
	else if (config_type_path.normalise(p, &path, t, &value) == 0)
		*(struct str *)config_array_add(
			&p->config->arena, &list->items, &list->count, sizeof value) = config_keep(p, value);
}

static void add_own_path(struct config_parser *p, const struct config_setting *s,
	const struct config_token *t, void *base)
{
	add_path(p, s, t, config_field(s, base));
}

static void parse_paths(struct config_parser *p, const struct config_setting *s, void *base)
{
	config_take_list(p, s, add_own_path, base);
}

// NAME WORD "PATH", a line each: the order counts.
static void show_paths_of(const struct config_setting *s, const char *word,
	const struct config_list *list, unsigned depth, struct buf *out)
{
	for (size_t i = 0; i < list->count; i++) {
		config_show_setting(s, depth, out);
		buf_add_text(out, word);
		config_show_string(list->items[i], out);
		buf_add_char(out, '\n');
	}
}

static void show_paths(
	const struct config_setting *s, const void *base, unsigned depth, struct buf *out)
{
	show_paths_of(s, "", (const struct config_list *)config_field(s, base), depth, out);
}

static void carry_paths(struct config_codec *c, const struct config_setting *s, void *base)
{
	config_carry_list(c, config_field(s, base));
}

// ---- NAME "DOMAIN"..., NAME from "PATH"...: two lists, one behind the other

static void add_domain(struct config_parser *p, const struct config_setting *s,
	const struct config_token *t, void *base)
{
	struct config_list *list = config_field(s, base);
	bool wildcards = s->type == &config_type_relay_domains;
	char name[DOMAIN_ENTRY_MAX + 1];
	if (domain_list_entry(t->text, name) < 0 || (name[0] == '.' && !wildcards))
		config_report_expected(p, s, t, NULL);
	else
		*(struct str *)config_array_add(&p->config->arena, &list->items, &list->count,
			sizeof(struct str)) = config_keep(p, str_from(name));
}

static void add_domain_path(struct config_parser *p, const struct config_setting *s,
	const struct config_token *t, void *base)
{
	add_path(p, s, t, (struct config_list *)config_field(s, base) + 1);
}

static void parse_domains(struct config_parser *p, const struct config_setting *s, void *base)
{
	bool from = config_next_is(p, "from");
	if (from)
		config_advance(p);
	config_take_list(p, s, from ? add_domain_path : add_domain, base);
}

static void show_domains(
	const struct config_setting *s, const void *base, unsigned depth, struct buf *out)
{
	const struct config_list *list = (const struct config_list *)config_field(s, base);
	config_show_list(s, list, depth, out);
	show_paths_of(s, "from ", list + 1, depth, out);
}

static void carry_domains(struct config_codec *c, const struct config_setting *s, void *base)
{
	struct config_list *list = config_field(s, base);
	config_carry_list(c, list);
	config_carry_list(c, list + 1);
}

_Static_assert(offsetof(struct config, domain_files) ==
		       offsetof(struct config, domains) + sizeof(struct config_list) &&
		       offsetof(struct config, relay_domain_files) ==
			       offsetof(struct config, relay_domains) + sizeof(struct config_list),
	"each list is followed by that of its files");

const struct config_type config_type_paths = {TEXT_MARK("the path of a file in quotes"),
	"\"PATH\"...", true, parse_paths, show_paths, carry_paths, NULL};
const struct config_type config_type_domains = {
	TEXT_MARK("domains in quotes, like \"example.kr\", or from and the path of a file with them"),
	"\"DOMAIN\"... | from \"PATH\"", true, parse_domains, show_domains, carry_domains, NULL};
const struct config_type config_type_relay_domains = {
	TEXT_MARK("domains in quotes, like \"example.kr\" or \".example.kr\", or from and the path of "
		  "a file with them"),
	"\"DOMAIN\"... | from \"PATH\"", true, parse_domains, show_domains, carry_domains, NULL};
