// SPDX-License-Identifier: ISC
// Lines of the Dovecot authentication protocol: what is read can be written again, and reads back to
// the same; nothing that came escaped gets out with control octets in it.
#include "fuzz.h"
#include "auth/protocol_internal.h"
#include "base/error.h"

static void check_value(const char *value)
{
	CHECK(!has_control(str_from(value)));
}

static void check_request(struct str fields)
{
	struct auth_line_request r, again;
	struct buf decoded = {0}, line = {0};

	if (auth_line_request_read(fields, &r))
		return;
	CHECK(auth_mechanism_name_ok(str_from(r.mechanism)));
	CHECK(!r.has_response || r.response.data);
	check_value(r.server);
	check_value(r.session);
	if (r.has_response && r.response.len && buf_add_base64_decoded(&decoded, r.response)) {
		buf_finish(&decoded);
		return;
	}
	if (auth_line_request_add(&line, &r, buf_str(&decoded), true) == 0) {
		struct str rest = buf_str(&line), text;
		CHECK(auth_line_take(&rest, &text) == 1 && rest.len == 0);
		CHECK(auth_line_request_read(str_skip(text, 5), &again) == 0);
		CHECK(again.id == r.id && !strcmp(again.mechanism, r.mechanism));
		CHECK(again.secured == r.secured && again.has_response == r.has_response);
		CHECK(!strcmp(again.server, r.server) && !strcmp(again.session, r.session));
		CHECK(ipaddr_equal(&again.client, &r.client) && again.client_port == r.client_port);
		CHECK(!r.has_response || str_equal(again.response, r.response));
	}
	buf_finish(&decoded);
	buf_finish(&line);
}

static void check_reply(struct str text)
{
	struct auth_line_reply r, again;
	struct buf decoded = {0}, line = {0};

	if (auth_line_reply_read(text, &r))
		return;
	check_value(r.user);
	check_value(r.reason);
	CHECK(r.outcome != AUTH_LINE_OK || r.user[0]);
	if (r.outcome == AUTH_LINE_CONT && r.data.len && buf_add_base64_decoded(&decoded, r.data)) {
		buf_finish(&decoded);
		return;
	}
	CHECK(auth_line_reply_add(&line, &r, buf_str(&decoded)) == 0);
	struct str rest = buf_str(&line), again_text;
	CHECK(auth_line_take(&rest, &again_text) == 1 && rest.len == 0);
	CHECK(auth_line_reply_read(again_text, &again) == 0);
	CHECK(again.outcome == r.outcome && again.id == r.id);
	CHECK(!strcmp(again.user, r.user) && !strcmp(again.reason, r.reason));
	CHECK(again.has_rights == r.has_rights && again.rights == r.rights);
	CHECK(again.temporary == r.temporary && again.disabled == r.disabled);
	CHECK(r.outcome != AUTH_LINE_CONT || str_equal(again.data, r.data));
	buf_finish(&decoded);
	buf_finish(&line);
}

static void check_mechanism(struct str fields)
{
	struct auth_line_mechanism m;

	if (auth_line_mechanism_read(fields, &m) == 0)
		CHECK(auth_mechanism_name_ok(str_from(m.name)));
}

static void check_escapes(struct str text)
{
	struct buf line = {0};
	char out[AUTH_VALUE_MAX];
	struct str value;

	CHECK(auth_value_add(&line, text) == 0);
	CHECK(str_find(buf_str(&line), '\t') < 0 && str_find(buf_str(&line), '\n') < 0);
	if (auth_value_read(buf_str(&line), out, sizeof out) == 0)
		CHECK(str_equal(str_from(out), text));
	CHECK(!auth_field_is(text, "user", &value) || str_starts(text, STR("user")));
	buf_finish(&line);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str input = exact_copy(str_make(data, size)), rest = input, line, word;
	int got;

	while ((got = auth_line_take(&rest, &line)) == 1) {
		struct str copy = exact_copy(line), fields = copy;
		CHECK(line.len <= AUTH_LINE_MAX && str_find(line, '\n') < 0);
		check_escapes(copy);
		check_reply(copy);
		if (auth_field_take(&fields, &word)) {
			check_request(fields.data ? fields : STR_EMPTY);
			check_mechanism(fields.data ? fields : STR_EMPTY);
		}
		free((char *)copy.data);
	}
	CHECK(got == 0 || (got == ERR_LIMIT && rest.len > AUTH_LINE_MAX));
	free((char *)input.data);
	return 0;
}
