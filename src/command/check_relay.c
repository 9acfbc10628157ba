// SPDX-License-Identifier: ISC
#include "command/check_relay.h"

#include "base/memory.h"
#include "base/text.h"
#include "command/caller.h"
#include "command/command.h"
#include "command/rows.h"
#include "command/safe.h"
#include "command/stranger.h"
#include "config/tables.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#define CLIENTS_MAX 128
#define TRUSTED_MAX 64 // addresses of rules that are tried

// Who asks. An outsider must not relay; of a trusted one it is only told.
struct asker {
	struct ipaddr address;
	const char *who;      // TEXT_MARK: what it is; NULL: an outsider
};

struct relay_check {
	const struct config *config;
	bool json;
	struct asker askers[CLIENTS_MAX];
	size_t asker_count;
	unsigned long questions, accepted; // accepted: of outsiders
	json_t *relays;       // one an asker, server and rule
	json_t *warnings;     // words
};

// ---- who asks
static void add_asker(struct relay_check *k, const struct ipaddr *a, const char *who)
{
	for (size_t i = 0; i < k->asker_count; i++)
		if (ipaddr_equal(&k->askers[i].address, a))
			return;
	if (k->asker_count < CLIENTS_MAX)
		k->askers[k->asker_count++] = (struct asker){*a, who};
}

// Addresses that no real client has (RFC 5737, RFC 3849).
static void add_outsiders(struct relay_check *k)
{
	static const char *const all[] = {"192.0.2.66", "198.51.100.66", "203.0.113.66", "2001:db8::66"};
	struct ipaddr a;
	for (size_t i = 0; i < ARRAY_SIZE(all); i++)
		if (!ipaddr_parse(str_from(all[i]), &a))
			add_asker(k, &a, NULL);
}

static void add_own(struct relay_check *k)
{
	uv_interface_address_t *interfaces;
	int count;
	if (uv_interface_addresses(&interfaces, &count))
		return;
	for (int i = 0; i < count && i < 16; i++) {
		struct ipaddr a;
		uint16_t port;
		ipaddr_from_sockaddr((const struct sockaddr *)&interfaces[i].address, &a, &port);
		if (a.family && !ipaddr_is_loopback(&a))
			add_asker(k, &a, TEXT_MARK("an address of this machine"));
	}
	uv_free_interface_addresses(interfaces, count);
}

static void warn_open(struct relay_check *k, const struct client_rule *r)
{
	char words[1400], where[1100];
	snprintf(where, sizeof where, "%.*s:%u", STR_ARG(r->place.file), r->place.line);
	snprintf(words, sizeof words, TEXT("%s: the rule \"%.*s\" lets every address relay"), where,
		STR_ARG(r->name));
	json_array_append_new(k->warnings, json_string(words));
}

// The one address of a rule, or the first host of its network, where routers and bridges sit.
static struct ipaddr gateway_of(const struct ipnet *n)
{
	struct ipaddr a = n->addr;
	if (n->prefix < (a.family == 4 ? 31 : 127))
		a.octets[a.family == 4 ? 3 : 15] |= 1;
	return a;
}

static void add_rule(struct relay_check *k, const struct client_rule *r)
{
	if (r->action != CLIENT_RELAY)
		return;
	if (r->network.addr.family ? r->network.prefix == 0 : r->name.len <= 1) {
		warn_open(k, r); // "0.0.0.0/0", "::/0", "" or "="
		return;
	}
	struct ipaddr a = gateway_of(&r->network);
	if (a.family && k->asker_count < TRUSTED_MAX)
		add_asker(k, &a, TEXT_MARK("trusted"));
}

static void add_trusted(struct relay_check *k)
{
	struct config_reader local = config_reader_local();
	struct config_findings findings = {0};
	struct buf octets = BUF_INIT;
	struct client_rule r;
	struct tables *t = NULL;
	if (tables_build(k->config, &local, &octets, &findings) == 0 && tables_open(buf_str(&octets), &t) == 0)
		for (size_t i = 0; tables_client_at(t, i, &r); i++)
			add_rule(k, &r);
	tables_close(t);
	buf_finish(&octets);
	config_findings_finish(&findings);
}

// ---- what relays
static json_t *entry_for(struct relay_check *k, const struct asker *a, const char *server, const char *where)
{
	char text[IPADDR_TEXT_MAX];
	const char *client = ipaddr_format(&a->address, text);
	json_t *one;
	size_t i;
	json_array_foreach(k->relays, i, one)
		if (!strcmp(row_word(one, "client"), client) && !strcmp(row_word(one, "server"), server) &&
			!strcmp(row_word(one, "where"), where))
			return one;
	one = json_pack("{s:s, s:s, s:s, s:s, s:b, s:i}", "client", client, "server", server, "where", where,
		"who", a->who ? TEXT(a->who) : "", "outsider", !a->who, "forms", 0);
	if (!one || json_array_append_new(k->relays, one))
		fatal("out of memory");
	return one;
}

static void note_relay(struct relay_check *k, const struct asker *a, const char *server, const json_t *seen,
	const char *sender, const char *form)
{
	const char *where = row_word(seen, "where");
	json_t *one = entry_for(k, a, server, where[0] ? where : row_word(seen, "rule"));
	if (!a->who)
		k->accepted++;
	if (!row_number(one, "forms")) {
		json_object_set_new(one, "sender", json_string(sender));
		json_object_set_new(one, "recipient", json_string(form));
		json_object_set_new(one, "rule", json_string(row_word(seen, "rule")));
	}
	json_object_set_new(one, "forms", json_integer(row_number(one, "forms") + 1));
}

// ---- questions
struct asking {
	struct relay_check *check;
	const struct asker *asker;
	const struct config_server *server;
	char name[256];            // of the server block
	struct check_relay_names names;
	struct stranger *dialogue;
};

static int say(struct asking *q, struct stranger_answer *a, struct error *err, const char *line)
{
	int result = stranger_send(q->dialogue, str_from(line), err);
	return result ? result : stranger_read(q->dialogue, a, err);
}

// One transaction with all the forms, sent in one go.
static int ask_forms(struct asking *q, const char *sender, struct error *err)
{
	char form[CHECK_RELAY_FORM_MAX];
	struct buf lines = BUF_INIT;
	for (size_t i = 0; i < check_relay_form_count; i++)
		(void)buf_add_format(&lines, "RCPT TO:%s\r\n",
			check_relay_fill(check_relay_forms[i], &q->names, form));
	int result = stranger_send(q->dialogue, buf_str(&lines), err);
	for (size_t i = 0; i < check_relay_form_count && !result; i++) {
		struct stranger_answer a;
		result = stranger_read(q->dialogue, &a, err);
		if (result)
			break;
		q->check->questions++;
		const json_t *local = json_object_get(json_object_get(a.seen, "facts"), "local_domain");
		// Postmaster without a domain or at our own address is ours, and nothing else of that kind.
		if (a.code / 100 == 2 && !json_is_true(local) && strcmp(row_word(a.seen, "rule"), "postmaster"))
			note_relay(q->check, q->asker, q->name, a.seen, sender,
				check_relay_fill(check_relay_forms[i], &q->names, form));
	}
	buf_finish(&lines);
	return result;
}

static int ask_sender(struct asking *q, const char *sender, struct error *err)
{
	char filled[CHECK_RELAY_FORM_MAX], line[CHECK_RELAY_FORM_MAX + 40];
	struct stranger_answer a;
	check_relay_fill(sender, &q->names, filled);
	snprintf(line, sizeof line, "MAIL FROM:%s SMTPUTF8\r\n", filled);
	int result = say(q, &a, err, line);
	q->check->questions++;
	if (!result && a.code / 100 == 2)
		result = ask_forms(q, filled, err);
	if (!result)
		result = say(q, &a, err, "RSET\r\n");
	return result;
}

static int ask_all(struct asking *q, struct error *err)
{
	struct stranger_wish w = {.client = q->asker->address, .server = q->server->name,
		.tls = q->server->require_tls, .brief = true};
	struct stranger_answer a;
	(void)ipaddr_parse(w.client.family == 4 ? STR("127.0.0.1") : STR("::1"), &w.local);
	int result = stranger_open(q->check->config, &w, &q->dialogue, &a, err);
	if (result)
		return result;
	q->check->questions++;
	if (a.code / 100 == 2)
		result = say(q, &a, err, "EHLO outside.invalid\r\n");
	for (size_t i = 0; i < check_relay_sender_count && !result && a.code / 100 == 2; i++)
		result = ask_sender(q, check_relay_senders[i], err);
	stranger_close(q->dialogue);
	return result;
}

static void set_names(struct asking *q)
{
	const struct config *c = q->check->config;
	struct str ours = c->domains.count ? c->domains.items[0] : c->hostname;
	struct ipaddr own;
	(void)ipaddr_parse(q->asker->address.family == 4 ? STR("127.0.0.1") : STR("::1"), &own);
	(void)ipaddr_format_literal(&own, q->names.own);
	(void)str_copy(c->hostname, q->names.host, sizeof q->names.host);
	(void)str_copy(ours, q->names.ours, sizeof q->names.ours);
	(void)str_copy(q->server->name, q->name, sizeof q->name);
}

static int ask_everywhere(struct relay_check *k, struct error *err)
{
	int result = 0;
	for (size_t s = 0; s < k->config->server_count && !result; s++)
		for (size_t i = 0; i < k->asker_count && !result; i++) {
			struct asking q = {.check = k, .asker = &k->askers[i],
				.server = &k->config->servers[s]};
			set_names(&q);
			if (q.server->listen_count)
				result = ask_all(&q, err);
		}
	return result;
}

// ---- the report
static void print_relay(const json_t *one)
{
	char *form = safe_text(row_word(one, "recipient"), false);
	bool outsider = json_is_true(json_object_get(one, "outsider"));
	if (outsider)
		printf(TEXT("OPEN RELAY: server \"%s\" takes %s from %s, by %s"), row_word(one, "server"), form,
			row_word(one, "client"), row_word(one, "where"));
	else
		printf(TEXT("as %s (%s) on server \"%s\": relays, by %s"), row_word(one, "client"),
			row_word(one, "who"), row_word(one, "server"), row_word(one, "where"));
	if (outsider && row_number(one, "forms") > 1)
		printf(TEXT(" (and %lld more forms)"), row_number(one, "forms") - 1);
	putchar('\n');
	mem_free(form);
}

static void print_report(const struct relay_check *k)
{
	json_t *one;
	size_t i;
	json_array_foreach(k->warnings, i, one)
		printf(TEXT("warning: %s\n"), json_string_value(one));
	json_array_foreach(k->relays, i, one)
		print_relay(one);
	if (k->accepted)
		printf(TEXT("open relay: %lu questions, %lu accepted\n"), k->questions, k->accepted);
	else
		printf(TEXT("no open relay: %lu questions, 0 accepted\n"), k->questions);
}

static void print_json(const struct relay_check *k)
{
	json_t *report = json_pack("{s:b, s:I, s:I, s:O, s:O}", "open_relay", k->accepted > 0, "questions",
		(json_int_t)k->questions, "accepted", (json_int_t)k->accepted, "relays", k->relays,
		"warnings", k->warnings);
	caller_print_json(report, NULL);
	json_decref(report);
}

int check_relay(const struct config *c, bool json)
{
	struct relay_check k = {.config = c, .json = json, .relays = json_array(), .warnings = json_array()};
	struct error err = {0};
	add_outsiders(&k);
	add_own(&k);
	add_trusted(&k);
	int result = ask_everywhere(&k, &err);
	if (result)
		(void)caller_failed(&err);
	else if (json)
		print_json(&k);
	else
		print_report(&k);
	json_decref(k.relays);
	json_decref(k.warnings);
	return result ? COMMAND_UNAVAILABLE : k.accepted ? COMMAND_FAILED : COMMAND_OK;
}
