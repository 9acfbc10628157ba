// SPDX-License-Identifier: ISC
// Who may hide others, and whether a rule trusts him. The kernel's own text is read, nobody else's.
#include "config/gateways.h"

#include "base/buf.h"
#include "base/error.h"
#include "base/file.h"
#include "base/text.h"

#include <ifaddrs.h>
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define ROUTES_MAX   ((size_t)4 << 20) // octets; a router's whole table is not needed
#define TRUSTED_MAX  20                // warnings about single rules
#define ROUTE_GATEWAY 0x0002u          // RTF_GATEWAY of the kernel's <linux/route.h>
#define ROUTE_UP      0x0001u

static void add(struct gateways *g, const struct ipaddr *a, bool bridge, struct str interface)
{
	struct gateway *new = &g->items[g->count];
	for (size_t i = 0; i < g->count; i++)
		if (ipaddr_equal(&g->items[i].address, a))
			return;
	if (g->count == GATEWAYS_MAX)
		return;
	*new = (struct gateway){.address = *a, .bridge = bridge};
	if (!str_copy(interface, new->interface, sizeof new->interface))
		new->interface[0] = '\0';
	g->count++;
}

// ---- routes
static bool take_word(struct str *line, struct str *out)
{
	size_t start = 0, end;
	while (start < line->len && (line->data[start] == ' ' || line->data[start] == '\t'))
		start++;
	for (end = start; end < line->len && line->data[end] != ' ' && line->data[end] != '\t';)
		end++;
	*out = str_slice(*line, start, end);
	*line = str_skip(*line, end);
	return out->len > 0;
}

static bool take_hex(struct str word, uint8_t *out, size_t octets)
{
	if (word.len != 2 * octets)
		return false;
	for (size_t i = 0; i < word.len; i++) {
		char c = char_lower(word.data[i]);
		int digit = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
		if (digit < 0)
			return false;
		out[i / 2] = (uint8_t)(i % 2 ? out[i / 2] | digit : digit << 4);
	}
	return true;
}

static bool is_zero(struct str word)
{
	return word.len && str_only(word, "0");
}

static unsigned flags_of(struct str word)
{
	uint8_t octets[4] = {0};
	char padded[9];
	if (word.len > 8)
		return 0;
	snprintf(padded, sizeof padded, "%.*s%.*s", (int)(8 - word.len), "00000000", STR_ARG(word));
	if (!take_hex(str_from(padded), octets, 4))
		return 0;
	return (unsigned)octets[2] << 8 | octets[3];
}

// Iface Destination Gateway Flags RefCnt Use Metric Mask ...: addresses are the octets in memory, read
// as a number of this machine.
void gateways_take_routes4(struct gateways *g, struct str text)
{
	struct str line, words[8];
	while (str_split(&text, '\n', &line)) {
		struct ipaddr a = {.family = 4};
		uint8_t octets[4];
		size_t n = 0;
		while (n < ARRAY_SIZE(words) && take_word(&line, &words[n]))
			n++;
		if (n < ARRAY_SIZE(words) || !is_zero(words[1]) || !is_zero(words[7]) ||
			!(flags_of(words[3]) & ROUTE_GATEWAY) || !take_hex(words[2], octets, 4))
			continue;
		uint32_t number = (uint32_t)octets[0] << 24 | (uint32_t)octets[1] << 16 |
			(uint32_t)octets[2] << 8 | octets[3];
		memcpy(a.octets, &number, sizeof number);
		add(g, &a, false, words[0]);
	}
}

// Destination length source length gateway metric references use flags interface, all hexadecimal.
void gateways_take_routes6(struct gateways *g, struct str text)
{
	struct str line, words[10];
	while (str_split(&text, '\n', &line)) {
		struct ipaddr a = {.family = 6};
		size_t n = 0;
		while (n < ARRAY_SIZE(words) && take_word(&line, &words[n]))
			n++;
		if (n < ARRAY_SIZE(words) || !is_zero(words[0]) || !is_zero(words[1]) || is_zero(words[4]) ||
			!(flags_of(words[8]) & ROUTE_UP) || !take_hex(words[4], a.octets, 16))
			continue;
		add(g, &a, false, words[9]);
	}
}

// ---- bridges
static bool begins_with(const char *name, const char *start)
{
	return strncmp(name, start, strlen(start)) == 0;
}

// By what drives it, and by the names that container systems give: a veth has addresses, too.
static bool is_bridge(int socket, const char *name)
{
	static const char *const known[] = {"docker", "br-", "lxcbr", "lxdbr", "podman", "cni-podman",
		"virbr", "veth"};
	struct ethtool_drvinfo driver = {.cmd = ETHTOOL_GDRVINFO};
	struct ifreq ask = {.ifr_data = (void *)&driver};
	for (size_t i = 0; i < ARRAY_SIZE(known); i++)
		if (begins_with(name, known[i]))
			return true;
	if (socket < 0 || !str_copy(str_from(name), ask.ifr_name, sizeof ask.ifr_name))
		return false;
	return ioctl(socket, SIOCETHTOOL, &ask) == 0 && !strcmp(driver.driver, "bridge");
}

// A bridge over which the machine itself reaches the world joins it to a network of neighbours.
static bool leads_outside(const struct gateways *g, const char *interface)
{
	for (size_t i = 0; i < g->count; i++)
		if (!g->items[i].bridge && !strcmp(g->items[i].interface, interface))
			return true;
	return false;
}

static void take_bridges(struct gateways *g)
{
	struct ifaddrs *all;
	if (getifaddrs(&all) < 0)
		return;
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	for (const struct ifaddrs *one = all; one; one = one->ifa_next) {
		struct ipaddr a;
		uint16_t port;
		if (!one->ifa_addr || leads_outside(g, one->ifa_name) || !is_bridge(fd, one->ifa_name))
			continue;
		ipaddr_from_sockaddr(one->ifa_addr, &a, &port);
		if (a.family)
			add(g, &a, true, str_from(one->ifa_name));
	}
	fd_close(&fd);
	freeifaddrs(all);
}

void gateways_read(struct gateways *g)
{
	struct buf text = BUF_INIT;
	*g = (struct gateways){
		.container = access("/.dockerenv", F_OK) == 0 || access("/run/.containerenv", F_OK) == 0};
	if (!file_read_all("/proc/net/route", &text, ROUTES_MAX, NULL))
		gateways_take_routes4(g, buf_str(&text));
	buf_clear(&text);
	if (!file_read_all("/proc/net/ipv6_route", &text, ROUTES_MAX, NULL))
		gateways_take_routes6(g, buf_str(&text));
	buf_finish(&text);
	take_bridges(g);
}

bool gateways_has_default(const struct gateways *g, const struct ipaddr *a)
{
	for (size_t i = 0; i < g->count; i++)
		if (!g->items[i].bridge && ipaddr_equal(&g->items[i].address, a))
			return true;
	return false;
}

// ---- rules that trust them
static bool trusts(const struct config *c, const struct ipaddr *a, struct client_rule *out)
{
	bool by_name;
	return config_client_rule(c, a, STR_EMPTY, out, &by_name) && out->action == CLIENT_RELAY;
}

static bool is_single(const struct client_rule *rule)
{
	return rule->network.addr.family &&
		rule->network.prefix == (rule->network.addr.family == 4 ? 32 : 128);
}

static void check_one(const struct config *c, const struct gateways *g, const struct gateway *one,
	struct config_findings *findings)
{
	struct client_rule rule;
	char text[IPADDR_TEXT_MAX];
	if (!trusts(c, &one->address, &rule))
		return;
	ipaddr_format(&one->address, text);
	if (one->bridge)
		config_findings_add(findings, 'W', rule.place.file, rule.place.line, 1,
			TEXT("rule \"%.*s\" lets %s relay, which is this machine's own address on the bridge "
			     "%s: connections that containers or a port forwarding pass on come from there, "
			     "whoever began them"), STR_ARG(rule.name), text, one->interface);
	else if (is_single(&rule) || g->container)
		config_findings_add(findings, 'W', rule.place.file, rule.place.line, 1,
			TEXT("rule \"%.*s\" lets %s relay, which is the default gateway of this machine: when "
			     "it passes connections on under its own address, everybody outside may relay. "
			     "Have it speak the PROXY protocol (proxies), or give it no right"),
			STR_ARG(rule.name), text);
	else
		config_findings_add(findings, 'N', rule.place.file, rule.place.line, 1,
			TEXT("rule \"%.*s\" covers %s, the default gateway of this machine: look that it does "
			     "not pass connections on under its own address"), STR_ARG(rule.name), text);
}

static void check_proxies(const struct config *c, const struct config_server *s,
	struct config_findings *findings)
{
	struct client_rule rule;
	struct ipnet net;
	for (size_t i = 0; i < s->proxies.count; i++)
		if (!ipnet_parse(s->proxies.items[i], &net) && trusts(c, &net.addr, &rule))
			config_findings_add(findings, 'W', rule.place.file, rule.place.line, 1,
				TEXT("rule \"%.*s\" lets %.*s relay, which is one of proxies: whoever it speaks "
				     "for has an address of his own, and where it names none everybody may "
				     "relay"), STR_ARG(rule.name), STR_ARG(s->proxies.items[i]));
}

// The same list may be that of every server.
static bool said_before(const struct config *c, size_t server)
{
	for (size_t i = 0; i < server; i++)
		if (c->servers[i].proxies.items == c->servers[server].proxies.items)
			return true;
	return false;
}

bool config_looks_like_gateway(const struct ipnet *n)
{
	const uint8_t *o = n->addr.octets;
	bool private_net =
		o[0] == 10 || (o[0] == 172 && (o[1] & 0xf0) == 16) || (o[0] == 192 && o[1] == 168);
	return n->addr.family == 4 && n->prefix == 32 && private_net && (o[3] == 1 || o[3] == 254);
}

// What clients { } says was looked at when it was read.
static void check_files(const struct config *c, struct config_findings *findings)
{
	const struct tables *tables = config_tables(c);
	struct client_rule rule;
	unsigned said = 0;
	for (size_t i = 0; tables && said < TRUSTED_MAX && tables_client_at(tables, i, &rule); i++) {
		if (!rule.foreign || rule.action != CLIENT_RELAY || !config_looks_like_gateway(&rule.network))
			continue;
		said++;
		config_findings_add(findings, 'W', rule.place.file, rule.place.line, 1,
			TEXT("rule \"%.*s\" lets one address relay that looks like a gateway's: if it is one, a "
			     "proxy or a container bridge, everyone behind it may relay"),
			STR_ARG(rule.name));
	}
}

void config_check_gateways(const struct config *c, const struct gateways *g,
	struct config_findings *findings)
{
	for (size_t i = 0; i < g->count; i++)
		check_one(c, g, &g->items[i], findings);
	for (size_t i = 0; i < c->server_count; i++)
		if (!said_before(c, i))
			check_proxies(c, &c->servers[i], findings);
	check_files(c, findings);
}
