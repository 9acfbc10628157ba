// SPDX-License-Identifier: ISC
// The client rules: what an address may do.
#include "config/config_internal.h"
#include "config/gateways.h"

#include "base/domain.h"
#include "base/text.h"

// ---- clients { "NETWORK" relay|allow|deny ["TEXT"] [senders { ... }] ... }, relay-from "NETWORK"...

static const char *const client_actions[] = {"relay", "deny", "allow", NULL};

static bool is_range(const struct ipnet *n, const char *text)
{
	struct ipnet range;
	return ipnet_parse(str_from(text), &range) == 0 && range.prefix == n->prefix &&
	       ipaddr_equal(&range.addr, &n->addr);
}

static void check_relay(
	struct config_parser *p, const struct config_token *t, const struct ipnet *n)
{
	struct config_place place = {p->file, t->line, t->column};
	if (n->prefix == 0) {
		config_report(p, 'E', place,
			TEXT("relay for \"%.*s\" makes an open relay: expected your own networks"),
			STR_ARG(t->text));
	} else if (n->prefix < (n->addr.family == 4 ? 8 : 16)) {
		config_report(p, 'W', place,
			TEXT("relay for \"%.*s\": this is a large part of the Internet"),
			STR_ARG(t->text));
	} else if (is_range(n, "10.0.0.0/8") || is_range(n, "172.16.0.0/12") ||
		   is_range(n, "192.168.0.0/16") || is_range(n, "fc00::/7")) {
		config_report(p, 'W', place,
			TEXT("relay for the whole private range \"%.*s\": name only the networks "
			     "you know"),
			STR_ARG(t->text));
	} else if (config_looks_like_gateway(n)) {
		config_report(p, 'W', place,
			TEXT("relay for \"%.*s\": if this is a gateway, a proxy or a container "
			     "bridge, "
			     "everyone behind it may relay"),
			STR_ARG(t->text));
	}
}

static bool parse_network(struct config_parser *p, const struct config_setting *s,
	const struct config_token *t, struct ipnet *out)
{
	if (ipnet_parse(t->text, out) == 0)
		return true;
	config_report_expected(p, s, t, TEXT("a network in quotes, like \"192.168.2.0/24\""));
	return false;
}

struct str config_network_name(struct arena *arena, const struct ipnet *n)
{
	char text[IPADDR_TEXT_MAX];
	ipaddr_format(&n->addr, text);
	if (n->prefix == (n->addr.family == 4 ? 32 : 128))
		return arena_str(arena, str_from(text));
	return str_from(arena_format(arena, "%s/%u", text, n->prefix));
}

static struct config_client *add_client(
	struct config_parser *p, const struct config_token *t, const struct ipnet *network)
{
	struct config *c = p->config;
	struct config_client *client =
		config_array_add(&c->arena, &c->clients, &c->client_count, sizeof *client);
	client->network = *network;
	client->name = config_network_name(&c->arena, network);
	client->senders = STR_EMPTY;
	client->file = p->file;
	client->line = t->line;
	client->text = STR_EMPTY;
	return client;
}

static void add_relay(struct config_parser *p, const struct config_setting *s,
	const struct config_token *t, void *base)
{
	struct ipnet network;
	if (!parse_network(p, s, t, &network))
		return;
	check_relay(p, t, &network);
	add_client(p, t, &network)->action = CONFIG_CLIENT_RELAY;
}

static void parse_relay_from(struct config_parser *p, const struct config_setting *s, void *base)
{
	config_take_list(p, s, add_relay, base);
}

// senders { "example.kr" ... } behind relay or allow: the domains with a space between.
struct senders {
	struct buf domains;
	bool good;
};

static void add_sender(struct config_parser *p, const struct config_setting *s,
	const struct config_token *t, void *base)
{
	struct senders *senders = base;
	char name[DOMAIN_MAX + 1];
	if (domain_normalise(t->text, name) < 0) {
		config_report_expected(p, s, t, TEXT("domains in quotes, like \"example.kr\""));
		senders->good = false;
		return;
	}
	if (buf_len(&senders->domains))
		buf_add_char(&senders->domains, ' ');
	buf_add_text(&senders->domains, name);
}

// False: reported.
static bool take_senders(struct config_parser *p, int action, struct str *out)
{
	const struct config_setting own = {.name = "senders", .type = &config_type_names};
	struct senders senders = {.good = action != CONFIG_CLIENT_DENY};
	if (!config_next_is(p, "senders"))
		return true;
	if (action == CONFIG_CLIENT_DENY)
		config_report(p, 'E', config_here(p),
			TEXT("senders: expected behind relay or allow; who is denied sends nothing"));
	config_advance(p);
	config_take_list(p, &own, add_sender, &senders);
	*out = config_keep(p, buf_str(&senders.domains));
	buf_finish(&senders.domains);
	return senders.good;
}

// One rule; the parser stands at its network.
static void parse_client(struct config_parser *p, const struct config_setting *s)
{
	const struct config_setting action = {
		.name = s->name, .type = &config_type_choice, .words = client_actions};
	const struct config_setting text = {.name = "deny", .type = &config_type_text};
	struct config_token net, word, reason;
	struct ipnet network;
	if (!config_take_value(p, s, false, &net)) {
		config_advance(p);
		return;
	}
	bool good = parse_network(p, s, &net, &network);
	if (!config_take_value(p, &action, true, &word))
		return;
	int found = config_choice_of(&action, word.text);
	if (found < 0)
		config_report_expected(p, &action, &word, NULL);
	struct str denied = STR_EMPTY;
	// A string here is the text of a deny, unless an action follows it.
	if (found == CONFIG_CLIENT_DENY && p->token.kind == CONFIG_TOKEN_STRING) {
		struct config_tokenizer ahead = p->tokenizer;
		config_tokenizer_next(&ahead, &reason);
		if (reason.kind != CONFIG_TOKEN_WORD && config_take_value(p, &text, false, &reason))
			if (config_type_text.normalise(p, &text, &reason, &denied) < 0)
				good = false;
	}
	struct str senders = STR_EMPTY;
	if (!take_senders(p, found, &senders) || !good || found < 0)
		return;
	if (found == CONFIG_CLIENT_RELAY)
		check_relay(p, &net, &network);
	struct config_client *client = add_client(p, &net, &network);
	client->action = (enum config_client_action)found;
	client->text = config_keep(p, denied);
	client->senders = senders;
}

static void parse_clients(struct config_parser *p, const struct config_setting *s, void *base)
{
	if (p->token.kind != CONFIG_TOKEN_OPEN) {
		config_report_expected(
			p, s, &p->token, TEXT("{ and rules like \"192.168.2.0/24\" relay"));
		return;
	}
	config_advance(p);
	while (!config_at_end(p)) {
		if (p->token.kind == CONFIG_TOKEN_END)
			config_advance(p);
		else
			parse_client(p, s);
	}
	if (p->token.kind == CONFIG_TOKEN_CLOSE)
		config_advance(p);
	else
		config_report_expected(p, s, &p->token, "}");
}

static void show_senders(struct str senders, struct buf *out)
{
	struct str domain;
	if (senders.len == 0)
		return;
	buf_add_text(out, " senders {");
	while (str_split(&senders, ' ', &domain)) {
		buf_add_char(out, ' ');
		config_show_string(domain, out);
	}
	buf_add_text(out, " }");
}

static void show_clients(
	const struct config_setting *s, const void *base, unsigned depth, struct buf *out)
{
	const struct config *c = base;
	char text[IPADDR_TEXT_MAX];
	if (c->client_count == 0)
		return;
	config_show_setting(s, depth, out);
	buf_add_text(out, "{\n");
	for (size_t i = 0; i < c->client_count; i++) {
		const struct config_client *client = &c->clients[i];
		config_show_indent(depth + 1, out);
		buf_add_format(out, "\"%s/%u\" %s", ipaddr_format(&client->network.addr, text),
			client->network.prefix, client_actions[client->action]);
		if (client->text.len) {
			buf_add_char(out, ' ');
			config_show_string(client->text, out);
		}
		show_senders(client->senders, out);
		buf_add_char(out, '\n');
	}
	config_show_indent(depth, out);
	buf_add_text(out, "}\n");
}

static void carry_clients(struct config_codec *c, const struct config_setting *s, void *base)
{
	struct config *config = base;
	config_carry_array(c, &config->clients, &config->client_count, sizeof *config->clients);
	for (size_t i = 0; i < config->client_count && !c->corrupt; i++) {
		struct config_client *client = &config->clients[i];
		uint64_t prefix = client->network.prefix, line = client->line;
		config_carry_ipaddr(c, &client->network.addr);
		config_carry_u64(c, &prefix, 0, client->network.addr.family == 4 ? 32 : 128);
		config_carry_enum(c, &client->action, CONFIG_CLIENT_ALLOW);
		config_carry_str(c, &client->text);
		config_carry_str(c, &client->senders);
		config_carry_str(c, &client->file);
		config_carry_u64(c, &line, 0, UINT32_MAX);
		client->network.prefix = (uint8_t)prefix;
		client->line = (unsigned)line;
		c->corrupt = c->corrupt || client->network.addr.family == 0;
		if (c->mode == CONFIG_DECODE)
			client->name = config_network_name(c->arena, &client->network);
	}
}

const struct config_type config_type_clients = {
	TEXT_MARK("a network in quotes, like \"192.168.2.0/24\""),
	"{ \"NETWORK\" relay|allow|deny [\"TEXT\"] [senders { \"DOMAIN\" ... }] ... }", true, parse_clients, show_clients,
	carry_clients, NULL};
const struct config_type config_type_relay_from = {
	TEXT_MARK("networks in quotes, like \"192.168.2.0/24\""), "\"NETWORK\"...", true,
	parse_relay_from, NULL, NULL, NULL};
