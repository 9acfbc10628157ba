// SPDX-License-Identifier: ISC
// Small mechanisms that need no library: EXTERNAL, ANONYMOUS and CRAM-MD5.
#include "auth/mechanism_rows.h"

#include "auth/name.h"
#include "auth/sasl_message.h"
#include "base/clock.h"
#include "base/memory.h"

#include <inttypes.h>
#include <stdio.h>

// ---- EXTERNAL (RFC 4422 A): who it is the client's certificate says
static bool is_fingerprint(struct str value, struct str fingerprint)
{
	size_t at = 0;

	for (size_t i = 0; i < value.len; i++) {
		if (value.data[i] == ':')
			continue; // as openssl prints it
		if (at >= fingerprint.len || char_lower(value.data[i]) != fingerprint.data[at])
			return false;
		at++;
	}
	return at == fingerprint.len && at > 0;
}

static bool has_mailbox(struct str mailboxes, struct str wanted)
{
	struct str one;

	while (str_split(&mailboxes, ' ', &one))
		if (one.len && str_equal_nocase(one, wanted))
			return true;
	return false;
}

static bool matches(struct str rule, const struct authentication_facts *f)
{
	struct str by, value = rule;

	if (!str_split(&value, ' ', &by) || !value.len)
		return false;
	return str_equal(by, STR("fingerprint")) ? is_fingerprint(value, f->certificate_fingerprint)
	       : str_equal(by, STR("subject"))	 ? str_equal(value, f->certificate_subject)
	       : str_equal(by, STR("email"))	 ? has_mailbox(f->certificate_names, value)
						 : false;
}

// The account that a certificate stands for. Without a line of the configuration: the mailbox that
// it names, the wanted one among several. "": none.
static struct str account_of(
	const struct config *c, const struct authentication_facts *f, struct str wanted)
{
	struct str names = f->certificate_names, first;

	const struct config_list *map = &c->auth.external;

	for (size_t i = 0; i + 1 < map->count; i += 2)
		if (matches(map->items[i], f))
			return map->items[i + 1];
	if (wanted.len && has_mailbox(names, wanted))
		return wanted;
	return str_split(&names, ' ', &first) ? first : STR_EMPTY;
}

static void external_step(struct authentication *x, void *state, struct str response)
{
	const struct authentication_facts *f = authentication_facts(x);
	struct str account;

	(void)state;
	if (!response.data) {
		authentication_challenge(x, STR_EMPTY);
	} else if (response.len > AUTH_NAME_OCTETS || str_find(response, '\0') >= 0) {
		authentication_malformed(x);
	} else if (!f->certificate_fingerprint.len) {
		authentication_refuted(x, response, "no client certificate");
	} else if (!f->certificate_verified) {
		authentication_refuted(x, response, "no authority of ours vouches for the certificate");
	} else {
		account = account_of(authentication_config(x), f, response);
		if (account.len)
			authentication_proved(x, response, account, STR_EMPTY);
		else
			authentication_refuted(x, response, "no account for this certificate");
	}
}

// ---- ANONYMOUS (RFC 4505): the response is a trace that may be anything, and is not kept
static void anonymous_step(struct authentication *x, void *state, struct str response)
{
	(void)state;
	if (!response.data)
		authentication_challenge(x, STR_EMPTY);
	else if (response.len > 255 || !str_is_utf8(response))
		authentication_malformed(x);
	else
		authentication_proved(x, STR_EMPTY, STR("anonymous"), STR_EMPTY);
}

// ---- CRAM-MD5 (RFC 2195)
struct cram {
	bool asked;
	char challenge[128];
};

static void *cram_create(struct authentication *x)
{
	(void)x;
	return mem_alloc(sizeof(struct cram));
}

static void cram_dispose(void *state)
{
	mem_free(state);
}

static void cram_step(struct authentication *x, void *state, struct str response)
{
	struct cram *c = state;
	struct str host = str_slice(authentication_config(x)->hostname, 0, 64), name;
	char digest[AUTH_CRAM_DIGEST + 1];
	uint64_t number;

	if (c->asked) {
		if (auth_cram_response_read(response, &name, digest))
			authentication_malformed(x);
		else
			authentication_check_cram(
				x, name, str_from(digest), str_from(c->challenge));
		mem_wipe(digest, sizeof digest);
	} else if (response.len) {
		authentication_malformed(x); // the server speaks first
	} else {
		mem_random(&number, sizeof number);
		snprintf(c->challenge, sizeof c->challenge, "<%" PRIu64 ".%" PRIu64 "@%.*s>", number,
			clock_wall_ms() / 1000, STR_ARG(host));
		c->asked = true;
		authentication_challenge(x, str_from(c->challenge));
	}
}

const struct auth_mechanism auth_mechanism_external = {
	.name = "EXTERNAL", .needs_tls = true, .private_only = true, .on_request = true,
	.step = external_step};
const struct auth_mechanism auth_mechanism_anonymous = {
	.name = "ANONYMOUS", .private_only = true, .on_request = true, .step = anonymous_step};
const struct auth_mechanism auth_mechanism_cram_md5 = {.name = "CRAM-MD5",
	.needs = AUTH_GIVES_CLEAR | AUTH_GIVES_CRAM,
	.on_request = true,
	.create = cram_create,
	.step = cram_step,
	.dispose = cram_dispose};
