// SPDX-License-Identifier: ISC
#include "auth/offers.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static struct str names[6];
static struct config_source sources[3];
static struct config_server server;
static struct config config;

static bool no_ntlm(const char *mechanism)
{
	return strcmp(mechanism, "NTLM") != 0;
}

// kinds and named: space-separated.
static void configure(const char *kinds, const char *named)
{
	struct str rest = str_from(kinds), one;

	server = (struct config_server){.name = STR("submission")};
	config = (struct config){.servers = &server, .server_count = 1};
	config.auth.sources = sources;
	while (str_split(&rest, ' ', &one))
		sources[config.auth.source_count++] =
			(struct config_source){.kind = one, .name = one};
	rest = str_from(named);
	server.mechanisms.items = names;
	while (str_split(&rest, ' ', &one))
		if (one.len)
			names[server.mechanisms.count++] = one;
}

static void what_the_sources_can_serve(void **state)
{
	static const struct {
		const char *kinds, *named;
		bool missing;
		const char *offered, *public;
	} rows[] = {
		{"accounts", "", false, "SCRAM-SHA-256-PLUS SCRAM-SHA-256 PLAIN LOGIN",
			"SCRAM-SHA-256 PLAIN LOGIN"},
		{"accounts", "", true, "PLAIN LOGIN", "PLAIN LOGIN"},
		{"pam", "", false, "PLAIN LOGIN", "PLAIN LOGIN"},
		{"accounts pam", "", false, "PLAIN LOGIN", "PLAIN LOGIN"},
		// Named ones are offered when any source can serve them.
		{"accounts pam", "SCRAM-SHA-256 PLAIN", true, "SCRAM-SHA-256 PLAIN",
			"PLAIN LOGIN"},
		{"pam", "SCRAM-SHA-256 PLAIN", false, "PLAIN", "PLAIN LOGIN"},
		{"accounts", "CRAM-MD5 NTLM EXTERNAL ANONYMOUS", false,
			"EXTERNAL CRAM-MD5 ANONYMOUS", "SCRAM-SHA-256 PLAIN LOGIN"},
		// Tokens go to whom takes them, passwords to the others.
		{"accounts oauth", "", false,
			"SCRAM-SHA-256-PLUS SCRAM-SHA-256 OAUTHBEARER XOAUTH2 PLAIN LOGIN",
			"SCRAM-SHA-256 OAUTHBEARER XOAUTH2 PLAIN LOGIN"},
		{"oauth pam", "", false, "OAUTHBEARER XOAUTH2 PLAIN LOGIN",
			"OAUTHBEARER XOAUTH2 PLAIN LOGIN"},
		{"oauth", "", false, "OAUTHBEARER XOAUTH2", "OAUTHBEARER XOAUTH2"},
		{"oauth", "PLAIN OAUTHBEARER", false, "OAUTHBEARER", "OAUTHBEARER XOAUTH2"},
		{"accounts oauth", "PLAIN", false, "PLAIN",
			"SCRAM-SHA-256 OAUTHBEARER XOAUTH2 PLAIN LOGIN"},
		{"accounts", "PLAIN OAUTHBEARER", false, "PLAIN", "SCRAM-SHA-256 PLAIN LOGIN"},
	};
	struct auth_offer_facts facts = {.available = no_ntlm};
	char list[AUTH_OFFER_MAX];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		configure(rows[i].kinds, rows[i].named);
		facts.scram_missing = rows[i].missing;
		auth_offers(&config, &server, &facts, true, list);
		assert_string_equal(list, rows[i].offered);
		auth_offers(&config, &server, &facts, false, list);
		assert_string_equal(list, "");
		auth_offers_public(&config, &facts, list);
		assert_string_equal(list, rows[i].public);
	}
}

static void without_tls_only_where_it_is_allowed(void **state)
{
	const struct auth_offer_facts facts = {0};
	char list[AUTH_OFFER_MAX];

	(void)state;
	configure("accounts", "");
	server.auth_without_tls = true;
	auth_offers(&config, &server, &facts, false, list);
	assert_string_equal(list, "SCRAM-SHA-256 PLAIN LOGIN");
}

static void servers_ask_their_own_sources(void **state)
{
	static struct str only[] = {{"accounts", 8}};
	const struct auth_offer_facts facts = {0};
	char list[AUTH_OFFER_MAX];

	(void)state;
	configure("accounts pam", "");
	server.sources = (struct config_list){only, 1};
	auth_offers(&config, &server, &facts, true, list);
	assert_string_equal(list, "SCRAM-SHA-256-PLUS SCRAM-SHA-256 PLAIN LOGIN");
}

static void keep_words(void *arg, const char *mechanism, const char *why)
{
	struct {
		char text[1000];
	} *all = arg;
	size_t used = strlen(all->text);

	snprintf(all->text + used, sizeof all->text - used, "%s: %s\n", mechanism, why);
}

static void what_is_left_out_is_explained(void **state)
{
	struct auth_offer_facts facts = {.scram_missing = true, .available = no_ntlm};
	struct {
		char text[1000];
	} all = {""};

	(void)state;
	configure("accounts", "");
	auth_offers_explain(&config, &server, &facts, keep_words, &all);
	assert_non_null(strstr(all.text, "SCRAM-SHA-256: some accounts have no SCRAM keys yet"));
	assert_null(strstr(all.text, "PLAIN:"));
	all.text[0] = '\0';
	configure("pam", "NTLM SCRAM-SHA-256 PLAIN");
	auth_offers_explain(&config, &server, &facts, keep_words, &all);
	assert_string_equal(all.text,
		"SCRAM-SHA-256: a source cannot serve it (pam)\n"
		"NTLM: libsasl2 has no plugin for it on this machine\n");
	all.text[0] = '\0';
	configure("accounts", "SKEY PLAIN");
	auth_offers_explain(&config, &server, &facts, keep_words, &all);
	assert_string_equal(all.text, "SKEY: this version of Pabal does not have it\n");
}

static void the_library_is_needed_for_what_is_offered(void **state)
{
	char list[AUTH_OFFER_MAX];

	(void)state;
	configure("accounts", "");
	auth_offers_of_library(&config, list);
	assert_string_equal(list, "SCRAM-SHA-256");
	configure("pam", "");
	auth_offers_of_library(&config, list);
	assert_string_equal(list, "");
	configure("accounts", "CRAM-MD5 PLAIN EXTERNAL");
	auth_offers_of_library(&config, list);
	assert_string_equal(list, "");
	configure("accounts", "DIGEST-MD5 SCRAM-SHA-1-PLUS");
	auth_offers_of_library(&config, list);
	assert_string_equal(list, "SCRAM-SHA-1 DIGEST-MD5");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_the_sources_can_serve),
		cmocka_unit_test(without_tls_only_where_it_is_allowed),
		cmocka_unit_test(servers_ask_their_own_sources),
		cmocka_unit_test(what_is_left_out_is_explained),
		cmocka_unit_test(the_library_is_needed_for_what_is_offered),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
