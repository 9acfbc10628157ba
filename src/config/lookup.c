// SPDX-License-Identifier: ISC
// The questions asked for each connection and recipient. The arrays are sorted
// (finish.c), so each answer is a few binary searches.
#include "config/config_internal.h"

#include "base/domain.h"

// ---- the index of client rules

static bool same_group(const struct config_client *a, const struct config_client *b)
{
	return a->network.addr.family == b->network.addr.family &&
	       a->network.prefix == b->network.prefix;
}

static int compare_address(const struct ipaddr *a, const struct ipaddr *b)
{
	return memcmp(a->octets, b->octets, sizeof a->octets);
}

static bool clients_in_order(const struct config_client *a, const struct config_client *b)
{
	if (a->network.addr.family != b->network.addr.family)
		return a->network.addr.family < b->network.addr.family;
	if (a->network.prefix != b->network.prefix)
		return a->network.prefix > b->network.prefix;
	int order = compare_address(&a->network.addr, &b->network.addr);
	if (order)
		return order < 0;
	return a->action == CONFIG_CLIENT_DENY || b->action != CONFIG_CLIENT_DENY;
}

static bool strings_in_order(const char *items, size_t count, size_t size)
{
	for (size_t i = 1; i < count; i++)
		if (str_compare(*(const struct str *)(items + (i - 1) * size),
			    *(const struct str *)(items + i * size)) > 0)
			return false;
	return true;
}

int config_index(struct config *c)
{
	c->client_groups = NULL;
	c->client_group_count = 0;
	for (size_t i = 0; i < c->client_count; i++) {
		const struct config_client *client = &c->clients[i];
		if (i && !clients_in_order(client - 1, client))
			return ERR_CORRUPT;
		if (i == 0 || !same_group(client - 1, client)) {
			struct config_client_group *g = config_array_add(
				&c->arena, &c->client_groups, &c->client_group_count, sizeof *g);
			*g = (struct config_client_group){
				client->network.addr.family, client->network.prefix, i, 0};
		}
		c->client_groups[c->client_group_count - 1].count++;
	}
	bool sorted =
		strings_in_order((const char *)c->domains.items, c->domains.count,
			sizeof *c->domains.items) &&
		strings_in_order((const char *)c->relay_domains.items, c->relay_domains.count,
			sizeof *c->relay_domains.items) &&
		strings_in_order((const char *)c->routes, c->route_count, sizeof *c->routes) &&
		strings_in_order((const char *)c->destinations, c->destination_count,
			sizeof *c->destinations) &&
		strings_in_order((const char *)c->mailboxes, c->mailboxes_count,
			sizeof *c->mailboxes);
	return sorted ? config_limit_index(c) : ERR_CORRUPT;
}

static const struct config_client *find_client(const struct config *c, const struct ipaddr *address)
{
	for (size_t i = 0; i < c->client_group_count; i++) {
		const struct config_client_group *g = &c->client_groups[i];
		if (g->family != address->family)
			continue;
		struct ipnet wanted = ipaddr_network(address, g->prefix);
		size_t low = g->first, high = g->first + g->count;
		while (low < high) { // the first one that is not less
			size_t middle = low + (high - low) / 2;
			if (compare_address(&c->clients[middle].network.addr, &wanted.addr) < 0)
				low = middle + 1;
			else
				high = middle;
		}
		if (low < g->first + g->count &&
			compare_address(&c->clients[low].network.addr, &wanted.addr) == 0)
			return &c->clients[low];
	}
	return NULL;
}

static enum client_action action_of(const struct config_client *client)
{
	return client->action == CONFIG_CLIENT_DENY    ? CLIENT_DENY
	       : client->action == CONFIG_CLIENT_RELAY ? CLIENT_RELAY
						       : CLIENT_ALLOW;
}

bool config_client_rule(const struct config *c, const struct ipaddr *address, struct str host,
	struct client_rule *out, bool *out_needs_host)
{
	*out_needs_host = false;
	if (c->tables)
		return tables_client_rule(c->tables, address, host, out, out_needs_host);
	const struct config_client *found = find_client(c, address);
	if (found)
		*out = (struct client_rule){.action = action_of(found), .text = found->text,
			.relay_suffix = STR_EMPTY, .rblsmtpd = STR_EMPTY, .senders = found->senders,
			.name = found->name, .network = found->network,
			.place = {found->file, found->line}};
	return found != NULL;
}

// ---- names

// The item whose first member is this string, or NULL.
static const void *find(const void *items, size_t count, size_t size, struct str key)
{
	size_t low = 0, high = count;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		const void *item = (const char *)items + middle * size;
		int order = str_compare(*(const struct str *)item, key);
		if (order == 0)
			return item;
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return NULL;
}

void config_use_tables(struct config *c, const struct tables *t)
{
	c->tables = t;
}

bool config_names_tables(const struct config *c)
{
	return c->rules.count || c->domain_files.count || c->relay_domain_files.count || c->aliases.count;
}

const struct tables *config_tables(const struct config *c)
{
	return c->tables;
}

enum tables_domain config_domain(const struct config *c, struct str normalised_domain,
	struct tables_place *out_place, struct str *out_entry)
{
	if (c->tables)
		return tables_domain(c->tables, normalised_domain, out_place, out_entry);
	const struct config_list *local = &c->domains, *relay = &c->relay_domains;
	const struct str *found =
		find(local->items, local->count, sizeof *local->items, normalised_domain);
	enum tables_domain what = found ? TABLES_DOMAIN_LOCAL : TABLES_DOMAIN_NONE;
	for (size_t i = 0; i < normalised_domain.len && relay->count && !found; i++)
		if (i == 0 || normalised_domain.data[i] == '.')
			found = find(relay->items, relay->count, sizeof *relay->items,
				str_skip(normalised_domain, i));
	if (out_place)
		*out_place = (struct tables_place){STR_EMPTY, 0};
	if (out_entry)
		*out_entry = found ? *found : STR_EMPTY;
	return found && !what ? TABLES_DOMAIN_RELAY : what;
}

bool config_is_local_domain(const struct config *c, struct str normalised_domain)
{
	return config_domain(c, normalised_domain, NULL, NULL) == TABLES_DOMAIN_LOCAL;
}

bool config_is_relay_domain(const struct config *c, struct str normalised_domain)
{
	return config_domain(c, normalised_domain, NULL, NULL) == TABLES_DOMAIN_RELAY;
}

// The name itself, then "*.PARENT" from the longest parent on, then "*".
static const void *find_pattern(const void *items, size_t count, size_t size, struct str name)
{
	char key[2 + DOMAIN_MAX + 1] = "*.";
	const void *found = count ? find(items, count, size, name) : NULL;
	struct str rest = name, label;
	if (count == 0 || name.len > DOMAIN_MAX)
		return NULL;
	while (!found && str_split(&rest, '.', &label) && rest.data) {
		if (rest.len == 0)
			break;
		memcpy(key + 2, rest.data, rest.len);
		found = find(items, count, size, str_make(key, rest.len + 2));
	}
	return found ? found : find(items, count, size, STR("*"));
}

const struct config_route *config_route_for(const struct config *c, struct str normalised_domain)
{
	return find_pattern(c->routes, c->route_count, sizeof *c->routes, normalised_domain);
}

const struct config_destination *config_destination_for(
	const struct config *c, struct str normalised_host)
{
	return find_pattern(
		c->destinations, c->destination_count, sizeof *c->destinations, normalised_host);
}

// ---- mailboxes

static const struct config_way *way_for(const struct config *c, struct str domain)
{
	const struct config_mailboxes *found = find_pattern(
		c->mailboxes, c->mailboxes_count, sizeof *c->mailboxes, domain);
	return found ? &found->way : &c->deliver.way;
}

// A home folder is what a virtual mailbox has not.
static bool names_home(struct str pattern)
{
	return str_search(pattern, STR("%h")) >= 0;
}

static bool take_way(const struct config_way *w, bool of_user, struct config_delivery *out)
{
	if (w->maildir.len && (of_user || !names_home(w->maildir)))
		*out = (struct config_delivery){CONFIG_DELIVER_MAILDIR, .path = w->maildir};
	else if (w->mbox.len && (of_user || !names_home(w->mbox)))
		*out = (struct config_delivery){CONFIG_DELIVER_MBOX, .path = w->mbox};
	else if (w->program.count)
		*out = (struct config_delivery){CONFIG_DELIVER_PROGRAM, .program = w->program};
	else
		return false;
	return true;
}

static enum config_forward forward_of(const struct config *c, const struct config_way *w)
{
	struct str word = w->forward_files.len ? w->forward_files : c->deliver.way.forward_files;
	if (str_equal(word, STR("qmail")))
		return CONFIG_FORWARD_QMAIL;
	return str_equal(word, STR("none")) ? CONFIG_FORWARD_NONE : CONFIG_FORWARD_SENDMAIL;
}

struct config_delivery config_delivery_for(
	const struct config *c, struct str normalised_domain, bool of_system_user)
{
	const struct config_way *way = way_for(c, normalised_domain);
	struct config_delivery d = {.kind = CONFIG_DELIVER_MAILDIR,
		.path = of_system_user ? STR("%h/Maildir") : STR_EMPTY};
	if (!take_way(way, of_system_user, &d))
		(void)take_way(&c->deliver.way, of_system_user, &d);
	if (of_system_user)
		d.forward = forward_of(c, way);
	return d;
}

bool config_has_system_users(const struct config *c, struct str normalised_domain)
{
	struct str word = way_for(c, normalised_domain)->system_users;
	return str_equal(word.len ? word : c->deliver.way.system_users, STR("yes"));
}

bool config_delivers_as_users(const struct config *c)
{
	bool any = c->aliases_programs || str_equal(c->deliver.way.system_users, STR("yes"));
	for (size_t i = 0; i < c->mailboxes_count; i++)
		any = any || str_equal(c->mailboxes[i].way.system_users, STR("yes"));
	return any;
}

// ---- certificates

const struct config_tls *config_server_tls(const struct config *c, const struct config_server *s)
{
	return s->has_tls ? &s->tls : &c->tls;
}

bool config_needs_certificate(const struct config *c)
{
	for (size_t i = 0; i < c->server_count; i++) {
		const struct config_server *s = &c->servers[i];
		for (size_t j = 0; j < s->listen_count; j++)
			if (s->listens[j].tls != CONFIG_LISTEN_NO_TLS &&
				config_server_tls(c, s)->certificate_count == 0)
				return true;
	}
	return false;
}

void config_fill_certificate(struct config *c, struct str path, struct str pem)
{
	struct config_certificate *own = arena_alloc(&c->arena, sizeof *own);
	own->certificate.path = arena_str(&c->arena, path);
	own->certificate.content = arena_str(&c->arena, pem);
	own->key = own->pass_phrase = (struct config_file){STR_EMPTY, STR_EMPTY};
	for (size_t i = 0; i <= c->server_count; i++) {
		struct config_tls *tls = i == c->server_count ? &c->tls : &c->servers[i].tls;
		if (tls->certificate_count || (i < c->server_count && !c->servers[i].has_tls))
			continue;
		tls->certificates = own;
		tls->certificate_count = 1;
	}
}
