// SPDX-License-Identifier: ISC
// Where a domain goes: a route of the configuration, our own mailboxes, or its MX. Looked up
// afresh at every try.
#include "queue/queue_internal.h"

#include "smtp/address.h"

#include <stdio.h>

// A local domain is delivered here unless a route names that very domain (its mailboxes are kept
// behind LMTP): a wildcard is about mail that goes out.
struct route queue_route_for(const struct config *c, struct str domain)
{
	static const enum route_kind kinds[] = {
		[CONFIG_ROUTE_SMTP] = ROUTE_HOST,
		[CONFIG_ROUTE_LMTP_SOCKET] = ROUTE_HOST,
		[CONFIG_ROUTE_LMTP_HOST] = ROUTE_HOST,
		[CONFIG_ROUTE_LOCAL] = ROUTE_LOCAL,
		[CONFIG_ROUTE_REFUSE] = ROUTE_REFUSE,
	};
	const struct config_route *found = config_route_for(c, domain);
	if (config_is_local_domain(c, domain) && (!found || !str_equal(found->pattern, domain)))
		return (struct route){.kind = ROUTE_LOCAL};
	if (!found)
		return (struct route){.kind = ROUTE_MX};
	return (struct route){.kind = kinds[found->kind], .config = found,
		.number = (unsigned)(found - c->routes) + 1};
}

bool queue_takes_any(const struct config *c, struct str domain)
{
	struct route r = queue_route_for(c, domain);
	return r.kind == ROUTE_HOST && r.config->recipients == CONFIG_RECIPIENTS_ANY;
}

// Everything a host of a route takes goes to one destination; MX and mailboxes are one a domain.
struct str queue_route_key(const struct route *r, struct str domain, char out[ROUTE_KEY_MAX])
{
	static const char kinds[] = {[ROUTE_MX] = 'm', [ROUTE_HOST] = 'r', [ROUTE_LOCAL] = 'l',
		[ROUTE_REFUSE] = 'x', [ROUTE_USER] = 'u'};
	struct str name = r->kind == ROUTE_HOST ? r->config->pattern : domain;
	name = str_slice(name, 0, ROUTE_KEY_MAX - 3);
	int n = snprintf(out, ROUTE_KEY_MAX, "%c:%.*s", kinds[r->kind], STR_ARG(name));
	return str_make(out, n > 0 ? (size_t)n : 0);
}

struct route queue_route_of_user(void)
{
	return (struct route){.kind = ROUTE_USER};
}

// ---- postmaster and abuse
static bool is_own_literal(struct str domain)
{
	struct str inside = str_slice(domain, 1, domain.len ? domain.len - 1 : 0);
	struct ipaddr ip, own;
	uv_interface_address_t *interfaces;
	int count;
	bool found = false;
	if (!domain.len || domain.data[0] != '[')
		return false;
	if (str_starts_nocase(inside, STR("IPv6:")))
		inside = str_skip(inside, 5);
	if (ipaddr_parse(inside, &ip) || uv_interface_addresses(&interfaces, &count))
		return false;
	for (int i = 0; i < count && !found; i++) {
		uint16_t port;
		ipaddr_from_sockaddr((const struct sockaddr *)&interfaces[i].address, &own, &port);
		found = ipaddr_equal(&own, &ip);
	}
	uv_free_interface_addresses(interfaces, count);
	return found;
}

bool queue_is_role_address(const struct config *c, struct str address, struct str domain)
{
	ptrdiff_t at = str_find_last(address, '@');
	struct str local = str_slice(address, 0, at < 0 ? address.len : (size_t)at);
	bool postmaster = str_equal_nocase(local, STR("postmaster"));
	if (!postmaster && !str_equal_nocase(local, STR("abuse")))
		return false;
	if (at < 0)
		return postmaster;
	return config_is_local_domain(c, domain) || (postmaster && is_own_literal(domain));
}

bool queue_address_key(struct str address, struct str domain, char out[SMTP_ADDRESS_MAX])
{
	struct smtp_address parsed;
	ptrdiff_t at = str_find_last(address, '@');
	if (at > 0 && address.data[0] != '"' && (size_t)at + 1 + domain.len < SMTP_ADDRESS_MAX) {
		memcpy(out, address.data, (size_t)at);
		str_lower(out, (size_t)at);
		out[at] = '@';
		memcpy(out + at + 1, domain.data, domain.len);
		out[(size_t)at + 1 + domain.len] = '\0';
		return true;
	}
	if (smtp_address_parse(address, &parsed))
		return false;
	smtp_address_key(&parsed, out);
	return true;
}
