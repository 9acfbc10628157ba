// SPDX-License-Identifier: ISC
// Configuration text: whatever it says, it is refused with findings or gives a
// configuration that shows, encodes and decodes to the same. Input that begins
// with a snapshot's mark is also decoded as it is.
#include "fuzz.h"

#include "config/config.h"

// Every file but the configuration itself has this content.
static const char other_file[] =
#include "../unit/config/certificate.inc"
	;

static int read_file(void *arg, const char *path, bool secret, struct buf *out, struct error *err)
{
	if (strcmp(path, "/etc/pabal.conf") == 0)
		return buf_add_str(out, *(const struct str *)arg);
	if (strstr(path, "missing"))
		return error_set(err, ERR_NOT_FOUND, "cannot open %s", path);
	if (strstr(path, "include"))
		return buf_add_text(out, "log { level debug }\nqueue {");
	return buf_add_text(out, other_file);
}

static struct config *build(struct str text)
{
	struct config_reader reader = {read_file, &text};
	struct config_findings findings = {0};
	struct buf printed = BUF_INIT;
	struct config *c = config_build("/etc/pabal.conf", &reader, &findings);
	config_findings_print(&findings, &printed);
	CHECK((c == NULL) == (findings.errors > 0));
	for (size_t i = 0; i < findings.count; i++)
		CHECK(!has_control(findings.items[i].text) && findings.items[i].text.len);
	buf_finish(&printed);
	config_findings_finish(&findings);
	return c;
}

static void ask(const struct config *c)
{
	struct ipaddr a = {4, {10, 1, 2, 3}};
	struct client_rule rule;
	bool needs_host;
	bool any = config_client_rule(c, &a, STR_EMPTY, &rule, &needs_host);
	// The same as looking at every rule in their order.
	const struct config_client *first = NULL;
	for (size_t i = 0; i < c->client_count && !first; i++)
		if (ipnet_contains(&c->clients[i].network, &a))
			first = &c->clients[i];
	CHECK(any == (first != NULL) && (!any || rule.place.line == first->line));
	for (size_t i = 0; i < c->domains.count; i++)
		CHECK(config_is_local_domain(c, c->domains.items[i]));
	config_route_for(c, STR("a.b.example.kr"));
	config_destination_for(c, STR("a.b.example.kr"));
	config_needs_certificate(c);
}

static void check_round_trips(struct config *c)
{
	struct buf shown = BUF_INIT, shown_again = BUF_INIT, octets = BUF_INIT, names = BUF_INIT;
	struct config *again, *decoded;
	config_show(c, &shown);
	again = build(buf_str(&shown));
	CHECK(again);
	config_show(again, &shown_again);
	CHECK(str_equal(buf_str(&shown), buf_str(&shown_again)));
	for (unsigned role = 1; role < CONFIG_FOR_ALL; role <<= 1) {
		buf_clear(&octets);
		CHECK(config_encode(c, role, &octets) == 0);
		CHECK(config_decode(buf_str(&octets), &decoded) == 0);
		ask(decoded);
		config_destroy(decoded);
	}
	buf_clear(&octets);
	CHECK(config_encode(c, CONFIG_FOR_ALL, &octets) == 0);
	CHECK(config_decode(buf_str(&octets), &decoded) == 0);
	CHECK(config_diff(c, decoded, &names) == 0 && buf_len(&names) == 0);
	config_destroy(decoded);
	config_destroy(again);
	buf_finish(&shown);
	buf_finish(&shown_again);
	buf_finish(&octets);
	buf_finish(&names);
}

// The first octets say of which build a snapshot is; kept input would soon be of none.
#define HEAD 16

static void make_current(char *snapshot)
{
	static char head[HEAD];
	if (!head[0]) {
		struct buf octets = BUF_INIT;
		struct config *c = build(STR("hostname \"a.kr\" postmaster \"a@a.kr\""));
		CHECK(config_encode(c, CONFIG_FOR_ALL, &octets) == 0);
		memcpy(head, octets.data + octets.start, HEAD);
		buf_finish(&octets);
		config_destroy(c);
	}
	memcpy(snapshot, head, HEAD);
}

static void decode(struct str input)
{
	struct str copy = exact_copy(input);
	if (copy.len > HEAD)
		make_current((char *)copy.data);
	struct buf shown = BUF_INIT;
	struct config *c;
	if (config_decode(copy, &c) == 0) {
		ask(c);
		config_show(c, &shown);
		config_destroy(c);
	} else {
		CHECK(c == NULL);
	}
	buf_finish(&shown);
	free((char *)copy.data);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str input = str_make(data, size);
	if (str_starts(input, STR("PABALCF"))) {
		decode(input);
		return 0;
	}
	struct config *c = build(input);
	if (c) {
		ask(c);
		check_round_trips(c);
	}
	config_destroy(c);
	return 0;
}
