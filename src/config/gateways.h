// SPDX-License-Identifier: ISC
// Addresses of this machine's surroundings behind which many clients may stand: its default
// gateways, and the bridges of containers. Who trusts such an address trusts everybody behind it.
#ifndef PABAL_CONFIG_GATEWAYS_H
#define PABAL_CONFIG_GATEWAYS_H

#include "config/config.h"

#define GATEWAYS_MAX 64

struct gateway {
	struct ipaddr address;
	bool bridge;           // our own address on a bridge; else a default gateway
	char interface[16];
};

struct gateways {
	struct gateway items[GATEWAYS_MAX]; // more are left out
	size_t count;
	bool container;        // this machine is one: all who come from outside may come from its gateway
};

// From /proc/net/route, /proc/net/ipv6_route and the interfaces of the kernel. Needs no rights, but
// files by name: before confinement. What cannot be read is left out.
void gateways_read(struct gateways *g);
bool gateways_has_default(const struct gateways *g, const struct ipaddr *a);

// Their parts: the text of the kernel's tables of routes.
void gateways_take_routes4(struct gateways *g, struct str text);
void gateways_take_routes6(struct gateways *g, struct str text);

// A single private address that ends in .1 or .254 is mostly a router or a container bridge, behind
// which everybody looks the same.
bool config_looks_like_gateway(const struct ipnet *n);
// Warnings about rules of c (and of its tables, when it uses some) that let such an address or a
// proxy of the configuration relay; notes where the gateway only lies in a network of a rule.
void config_check_gateways(const struct config *c, const struct gateways *g,
	struct config_findings *findings);

#endif
