// SPDX-License-Identifier: ISC
// After the last file was read: defaults, values that follow from others, and
// the order in which lookup.c searches.
#include "config/config_internal.h"

#include "base/domain.h"
#include "base/text.h"

#include <stdlib.h>
#include <unistd.h>

// What is served when no server block is written.
static const char standard_servers[] =
	"server \"mx\" { listen \"*:25\" }\n"
	"server \"submission\" { listen \"*:587\" require { tls auth } }\n"
	"server \"submissions\" { listen \"*:465\" tls implicit require { auth } }\n";

// ---- values that follow from others

static struct config_place whole_file(const struct config_parser *p)
{
	return (struct config_place){p->main_file, 0, 0};
}

static bool written(const struct config_parser *p, enum config_block_id block, const char *name)
{
	return config_place_of(&p->single[block], name).line != 0;
}

static void derive_hostname(struct config_parser *p)
{
	char own[256] = "", name[DOMAIN_MAX + 1];
	if (written(p, CONFIG_BLOCK_TOP, "hostname"))
		return;
	bool known = gethostname(own, sizeof own - 1) == 0 && strchr(own, '.') != NULL &&
		     domain_normalise(str_from(own), name) == 0;
	if (known)
		p->config->hostname = config_keep(p, str_from(name));
	else
		config_report(p, 'E', whole_file(p),
			TEXT("hostname is not set, and this machine's name \"%s\" has no domain: "
			     "expected hostname "
			     "\"mail.example.kr\""),
			own);
}

static void derive_rest(struct config_parser *p)
{
	struct config *c = p->config;
	c->postmaster_where = config_place_of(&p->single[CONFIG_BLOCK_TOP], "postmaster");
	if (!c->postmaster_where.line)
		config_report(p, 'E', whole_file(p),
			TEXT("postmaster is not set: expected postmaster \"you@example.kr\""));
	if (!written(p, CONFIG_BLOCK_AUTH, "public-socket"))
		c->auth.public_socket = str_from(
			arena_format(&c->arena, "%.*s/auth-client", STR_ARG(c->run_folder)));
	if (!written(p, CONFIG_BLOCK_AUTH, "default-domain") && c->domains.count)
		c->auth.default_domain = c->domains.items[0];
	if (c->auth.source_count == 0)
		config_read_text(p, STR("auth { source \"accounts\" }"));
	bool any = false;
	for (size_t i = 0; i < c->destination_count; i++)
		any = any || str_equal(c->destinations[i].pattern, STR("*"));
	if (!any)
		config_read_text(p, STR("destination \"*\" { }"));
}

// ---- servers: what was not written is as written outside the block, or the default

static void inherit_settings(struct config_parser *p, const struct config_frame *f, char *server)
{
	for (size_t i = 0; i < f->setting_count; i++) {
		const struct config_setting *s = &f->settings[i];
		if (!s->inherits || f->places[i].line)
			continue;
		const struct config_setting *outer =
			config_setting_find(CONFIG_BLOCK_TOP, str_from(s->name));
		BUG_ON(!outer || outer->size != s->size);
		memcpy(server + s->offset, (char *)p->config + outer->offset, s->size);
	}
}

static void inherit_tls(
	struct config_parser *p, const struct config_frame *f, struct config_tls *tls)
{
	for (size_t i = 0; i < f->setting_count; i++) {
		const struct config_setting *s = &f->settings[i];
		if (f->places[i].line == 0 && s->size)
			memcpy((char *)tls + s->offset, (char *)&p->config->tls + s->offset,
				s->size);
	}
	// Its size is not part of the row.
	if (config_place_of(f, "certificate").line == 0)
		tls->certificate_count = p->config->tls.certificate_count;
}

static void finish_servers(struct config_parser *p)
{
	struct config *c = p->config;
	if (c->server_count == 0)
		config_read_text(p, str_make(standard_servers, sizeof standard_servers - 1));
	for (size_t i = 0; i < c->server_count; i++) {
		inherit_settings(p, &p->servers[i], (char *)&c->servers[i]);
		if (c->servers[i].has_tls)
			inherit_tls(p, &p->server_tls[i], &c->servers[i].tls);
	}
}

// ---- order

static int compare_str(const void *a, const void *b)
{
	return str_compare(*(const struct str *)a, *(const struct str *)b);
}

// Equal patterns stay as written, for the words about them.
static int compare_routes(const void *a, const void *b)
{
	const struct config_route *x = a, *y = b;
	int order = str_compare(x->pattern, y->pattern);
	return order ? order : (x->where.line > y->where.line) - (x->where.line < y->where.line);
}

static int compare_destinations(const void *a, const void *b)
{
	const struct config_destination *x = a, *y = b;
	int order = str_compare(x->pattern, y->pattern);
	return order ? order : (x->where.line > y->where.line) - (x->where.line < y->where.line);
}

static int compare_mailboxes(const void *a, const void *b)
{
	const struct config_mailboxes *x = a, *y = b;
	int order = str_compare(x->pattern, y->pattern);
	return order ? order : (x->where.line > y->where.line) - (x->where.line < y->where.line);
}

static int compare_clients(const void *a, const void *b)
{
	const struct config_client *x = a, *y = b;
	if (x->network.addr.family != y->network.addr.family)
		return x->network.addr.family - y->network.addr.family;
	if (x->network.prefix != y->network.prefix)
		return y->network.prefix - x->network.prefix;
	int order = memcmp(
		x->network.addr.octets, y->network.addr.octets, sizeof x->network.addr.octets);
	if (order)
		return order;
	bool x_denies = x->action == CONFIG_CLIENT_DENY, y_denies = y->action == CONFIG_CLIENT_DENY;
	if (x_denies != y_denies)
		return y_denies - x_denies;
	return (x->line > y->line) - (x->line < y->line);
}

static void sort_unique(struct config_list *l)
{
	size_t kept = 0;
	if (l->count)
		qsort(l->items, l->count, sizeof *l->items, compare_str);
	for (size_t i = 0; i < l->count; i++)
		if (kept == 0 || !str_equal(l->items[kept - 1], l->items[i]))
			l->items[kept++] = l->items[i];
	l->count = kept;
}

void config_sort(struct config *c)
{
	sort_unique(&c->domains);
	sort_unique(&c->relay_domains);
	sort_unique(&c->sources);
	if (c->client_count)
		qsort(c->clients, c->client_count, sizeof *c->clients, compare_clients);
	if (c->route_count)
		qsort(c->routes, c->route_count, sizeof *c->routes, compare_routes);
	if (c->destination_count)
		qsort(c->destinations, c->destination_count, sizeof *c->destinations,
			compare_destinations);
	if (c->mailboxes_count)
		qsort(c->mailboxes, c->mailboxes_count, sizeof *c->mailboxes, compare_mailboxes);
}

void config_finish(struct config_parser *p)
{
	for (enum config_block_id id = 0; id < CONFIG_BLOCK_COUNT; id++)
		if (config_blocks[id].item_size == 0 && id != CONFIG_BLOCK_SERVER_TLS)
			config_apply_standards(p, &p->single[id]);
	config_tls_close(p, &p->single[CONFIG_BLOCK_TLS]);
	derive_hostname(p);
	derive_rest(p);
	finish_servers(p);
	config_sort(p->config);
	config_limit_finish(p);
	config_check_all(p);
	BUG_ON(config_index(p->config) < 0);
}
