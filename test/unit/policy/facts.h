// SPDX-License-Identifier: ISC
// A small house to judge in: three servers, two domains, one account, and facts about them.
#ifndef PABAL_TEST_POLICY_FACTS_H
#define PABAL_TEST_POLICY_FACTS_H

#include "policy/policy.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define LIT(literal) {"" literal, sizeof(literal) - 1}

enum { SERVER_MX, SERVER_OFFERING, SERVER_SUBMISSION, SERVERS };

static struct str house_domains[] = {LIT("example.org"), LIT("xn--bcher-kva.example")};
static struct config_listen house_listens[] = {
	{.port = 25}, {.port = 2525}, {.port = 587},
	{.address = {4, {192, 0, 2, 25}}, .port = 26},
};
static struct config_server house_servers[SERVERS] = {
	[SERVER_MX] = {.name = LIT("mx"), .listens = &house_listens[0], .listen_count = 1},
	[SERVER_OFFERING] = {.name = LIT("offering"), .listens = &house_listens[3], .listen_count = 1,
		.offer_auth = true},
	[SERVER_SUBMISSION] = {.name = LIT("submission"), .listens = &house_listens[2],
		.listen_count = 1, .require_auth = true, .require_tls = true},
};
static struct config house = {
	.hostname = LIT("mail.example.org"),
	.domains = {house_domains, ARRAY_SIZE(house_domains)},
	.servers = house_servers,
	.server_count = SERVERS,
};

static inline struct policy_facts house_facts(int server, struct smtp_address *recipient)
{
	house_servers[server].max_recipients = 100;
	house_servers[server].max_messages = 100;
	house_servers[server].max_message_size = 10000;
	return (struct policy_facts){
		.config = &house,
		.server = &house_servers[server],
		.client = {4, {203, 0, 113, 7}},
		.local = {4, {192, 0, 2, 1}},
		.account = STR_EMPTY,
		.recipient = recipient,
		.tls = true,
	};
}

#endif
