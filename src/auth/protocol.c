// SPDX-License-Identifier: ISC
// Reading and writing lines of the Dovecot authentication protocol. No sockets, no state.
#include "auth/protocol_internal.h"

#include "base/error.h"

#include <stdlib.h>

#define ESCAPE '\001'

// ---- lines and fields
int auth_line_take(struct str *octets, struct str *out_line)
{
	ptrdiff_t end = str_find(str_slice(*octets, 0, AUTH_LINE_MAX + 1), '\n');

	if (end < 0)
		return octets->len > AUTH_LINE_MAX ? ERR_LIMIT : 0;
	*out_line = str_slice(*octets, 0, (size_t)end);
	*octets = str_skip(*octets, (size_t)end + 1);
	return 1;
}

bool auth_field_take(struct str *rest, struct str *out_field)
{
	return str_split(rest, '\t', out_field);
}

bool auth_field_is(struct str field, const char *key, struct str *out_value)
{
	struct str k = str_from(key);

	if (!str_starts(field, k))
		return false;
	*out_value = str_skip(field, k.len);
	if (out_value->len == 0)
		return true;
	if (out_value->data[0] != '=')
		return false;
	*out_value = str_skip(*out_value, 1);
	return true;
}

// ---- values
static const struct {
	char octet, name;
} escapes[] = {{'\0', '0'}, {ESCAPE, '1'}, {'\t', 't'}, {'\r', 'r'}, {'\n', 'n'}};

int auth_value_add(struct buf *out, struct str value)
{
	int err = 0;

	for (size_t i = 0; i < value.len && !err; i++) {
		char escaped[2] = {ESCAPE, '\0'};
		for (size_t k = 0; k < ARRAY_SIZE(escapes); k++)
			if (escapes[k].octet == value.data[i])
				escaped[1] = escapes[k].name;
		err = escaped[1] ? buf_add(out, escaped, 2) : buf_add_char(out, value.data[i]);
	}
	return err;
}

static int unescape(char name, char *out)
{
	for (size_t k = 0; k < ARRAY_SIZE(escapes); k++)
		if (escapes[k].name == name) {
			*out = escapes[k].octet;
			return 0;
		}
	return ERR_SYNTAX;
}

int auth_value_read(struct str value, char *out, size_t size)
{
	size_t used = 0;
	int err = 0;

	for (size_t i = 0; i < value.len && !err; i++) {
		char c = value.data[i];
		if (c == ESCAPE)
			err = ++i < value.len ? unescape(value.data[i], &c) : ERR_SYNTAX;
		if (!err && ((unsigned char)c < ' ' || c == 0x7f))
			err = ERR_SYNTAX;
		if (!err && used + 1 >= size)
			err = ERR_LIMIT;
		if (!err)
			out[used++] = c;
	}
	out[err ? 0 : used] = '\0';
	return err;
}

int auth_number_read(struct str field, uint32_t *out)
{
	uint64_t value;

	if (str_to_u64(field, &value) || value > UINT32_MAX)
		return ERR_SYNTAX;
	*out = (uint32_t)value;
	return 0;
}

bool auth_mechanism_name_ok(struct str name)
{
	return name.len > 0 && name.len <= AUTH_MECHANISM_MAX &&
	       str_only(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_");
}

static int read_mechanism(struct str field, char out[AUTH_MECHANISM_MAX + 1])
{
	if (!str_copy(field, out, AUTH_MECHANISM_MAX + 1))
		return ERR_SYNTAX;
	for (char *c = out; *c; c++)
		if (*c >= 'a' && *c <= 'z')
			*c = (char)(*c - 'a' + 'A');
	return auth_mechanism_name_ok(str_from(out)) ? 0 : ERR_SYNTAX;
}

// ---- AUTH
static void read_address(struct str value, struct ipaddr *out)
{
	if (ipaddr_parse(value, out))
		out->family = 0;
}

static void read_port(struct str value, uint16_t *out)
{
	uint32_t port;

	*out = auth_number_read(value, &port) == 0 && port <= UINT16_MAX ? (uint16_t)port : 0;
}

static void read_octets(struct str value, struct auth_line_octets *out)
{
	struct buf decoded = {.limit = sizeof out->data};

	out->len = 0;
	if (value.len && buf_add_base64_decoded(&decoded, value) == 0 &&
		buf_len(&decoded) <= sizeof out->data) {
		out->len = buf_len(&decoded);
		memcpy(out->data, buf_str(&decoded).data, out->len);
	}
	buf_finish(&decoded);
}

// What only our own smtpd sends; whoever reads it from others does not use it.
static void read_private(struct str field, struct auth_line_request *r)
{
	struct str v;

	if (auth_field_is(field, "x-exporter", &v))
		read_octets(v, &r->exporter);
	else if (auth_field_is(field, "x-end-point", &v))
		read_octets(v, &r->end_point);
	else if (auth_field_is(field, "x-unique", &v))
		read_octets(v, &r->unique);
	else if (auth_field_is(field, "x-verified", &v))
		r->verified = true;
	else if (auth_field_is(field, "x-subject", &v))
		(void)auth_value_read(v, r->subject, sizeof r->subject);
	else if (auth_field_is(field, "x-mailboxes", &v))
		(void)auth_value_read(v, r->mailboxes, sizeof r->mailboxes);
	else if (auth_field_is(field, "x-fingerprint", &v))
		(void)auth_value_read(v, r->fingerprint, sizeof r->fingerprint);
}

static void read_parameter(struct str field, struct auth_line_request *r)
{
	struct str v;

	if (str_starts(field, STR("x-")))
		read_private(field, r);
	else if (auth_field_is(field, "rip", &v))
		read_address(v, &r->client);
	else if (auth_field_is(field, "lip", &v))
		read_address(v, &r->local);
	else if (auth_field_is(field, "rport", &v))
		read_port(v, &r->client_port);
	else if (auth_field_is(field, "lport", &v))
		read_port(v, &r->local_port);
	else if (auth_field_is(field, "secured", &v))
		r->secured = true;
	else if (auth_field_is(field, "server", &v))
		(void)auth_value_read(v, r->server, sizeof r->server);
	else if (auth_field_is(field, "session", &v))
		(void)auth_value_read(v, r->session, sizeof r->session);
}

int auth_line_request_read(struct str fields, struct auth_line_request *out)
{
	struct str field, value;

	*out = (struct auth_line_request){.response = {NULL, 0}};
	if (!auth_field_take(&fields, &field) || auth_number_read(field, &out->id))
		return ERR_SYNTAX;
	if (!auth_field_take(&fields, &field) || read_mechanism(field, out->mechanism))
		return ERR_SYNTAX;
	while (auth_field_take(&fields, &field)) {
		if (auth_field_is(field, "resp", &value)) { // the last one by definition
			// Exim writes the field where its client said nothing, too; what is empty is "=".
			out->has_response = value.len > 0;
			if (out->has_response)
				out->response = str_equal(value, STR("=")) ? STR_EMPTY : value;
			break;
		}
		read_parameter(field, out);
	}
	return 0;
}

static int add_address(struct buf *out, const char *key, const struct ipaddr *a, uint16_t port)
{
	char text[IPADDR_TEXT_MAX];
	int err = 0;

	if (a->family)
		err = buf_add_format(out, "\t%cip=%s", key[0], ipaddr_format(a, text));
	if (!err && port)
		err = buf_add_format(out, "\t%cport=%u", key[0], port);
	return err;
}

static int add_value(struct buf *out, const char *key, const char *value)
{
	int err = 0;

	if (value[0]) {
		err = buf_add_format(out, "\t%s=", key);
		if (!err)
			err = auth_value_add(out, str_from(value));
	}
	return err;
}

static int add_octets(struct buf *out, const char *key, const struct auth_line_octets *o)
{
	int err = 0;

	if (o->len) {
		err = buf_add_format(out, "\t%s=", key);
		if (!err)
			err = buf_add_base64(out, str_make(o->data, o->len));
	}
	return err;
}

static int add_private(struct buf *out, const struct auth_line_request *r)
{
	int err = add_value(out, "server", r->server);

	err = err ? err : add_value(out, "session", r->session);
	err = err ? err : add_octets(out, "x-exporter", &r->exporter);
	err = err ? err : add_octets(out, "x-end-point", &r->end_point);
	err = err ? err : add_octets(out, "x-unique", &r->unique);
	if (!err && r->verified)
		err = buf_add_text(out, "\tx-verified");
	err = err ? err : add_value(out, "x-subject", r->subject);
	err = err ? err : add_value(out, "x-mailboxes", r->mailboxes);
	return err ? err : add_value(out, "x-fingerprint", r->fingerprint);
}

int auth_line_request_add(
	struct buf *out, const struct auth_line_request *r, struct str response, bool trusted)
{
	struct buf line = {.limit = AUTH_LINE_MAX};
	int err = buf_add_format(&line, "AUTH\t%u\t%s\tservice=smtp\tnologin%s", r->id,
		r->mechanism, r->secured ? "\tsecured" : "");

	if (!err)
		err = add_address(&line, "l", &r->local, r->local_port);
	if (!err)
		err = add_address(&line, "r", &r->client, r->client_port);
	if (!err && trusted)
		err = add_private(&line, r);
	if (!err && r->has_response) {
		err = buf_add_text(&line, response.len ? "\tresp=" : "\tresp==");
		if (!err)
			err = buf_add_base64(&line, response);
	}
	if (!err)
		err = buf_add_str(out, buf_str(&line));
	if (!err)
		err = buf_add_char(out, '\n');
	buf_finish_wipe(&line);
	return err;
}

// ---- OK, FAIL, CONT
static const char *const words[] = {
	[AUTH_LINE_OK] = "OK", [AUTH_LINE_FAIL] = "FAIL", [AUTH_LINE_CONT] = "CONT"};

static const char *const right_words[] = {"submit", "relay", "foreign"}; // by bit

static void read_rights(struct str value, struct auth_line_reply *r)
{
	struct str right;

	r->has_rights = true;
	while (str_split(&value, ',', &right))
		for (size_t i = 0; i < ARRAY_SIZE(right_words); i++)
			if (str_equal(right, str_from(right_words[i])))
				r->rights |= 1U << i;
}

static int read_result(struct str field, struct auth_line_reply *r)
{
	struct str v;

	if (auth_field_is(field, "user", &v)) // whoever failed may have tried anything
		return auth_value_read(v, r->user, sizeof r->user) && r->outcome == AUTH_LINE_OK
			       ? ERR_SYNTAX
			       : 0;
	if (auth_field_is(field, "reason", &v)) // only for the log: a broken one is none
		(void)auth_value_read(v, r->reason, sizeof r->reason);
	else if (auth_field_is(field, "rights", &v))
		read_rights(v, r);
	else if (str_equal(field, STR("temp")) || str_equal(field, STR("code=temp_fail")))
		r->temporary = true;
	else if (str_equal(field, STR("authz")) || str_equal(field, STR("code=authz_fail")))
		r->authz = true;
	else if (str_equal(field, STR("user_disabled")) ||
		 str_equal(field, STR("code=user_disabled")))
		r->disabled = true;
	else if (str_equal(field, STR("pass_expired")) ||
		 str_equal(field, STR("code=pass_expired")))
		r->expired = true;
	else if (str_equal(field, STR("x-blocked")))
		r->blocked = true;
	return 0;
}

int auth_line_reply_read(struct str line, struct auth_line_reply *out)
{
	struct str field;
	size_t word = 0;

	*out = (struct auth_line_reply){.data = STR_EMPTY};
	if (!auth_field_take(&line, &field))
		return ERR_UNSUPPORTED;
	while (word < ARRAY_SIZE(words) && !str_equal(field, str_from(words[word])))
		word++;
	if (word == ARRAY_SIZE(words))
		return ERR_UNSUPPORTED;
	out->outcome = (enum auth_line_outcome)word;
	if (!auth_field_take(&line, &field) || auth_number_read(field, &out->id))
		return ERR_SYNTAX;
	if (out->outcome == AUTH_LINE_CONT) {
		if (auth_field_take(&line, &field))
			out->data = field;
		return 0;
	}
	while (auth_field_take(&line, &field))
		if (read_result(field, out))
			return ERR_SYNTAX;
	return out->outcome == AUTH_LINE_OK && !out->user[0] ? ERR_SYNTAX : 0;
}

static int add_flag(struct buf *out, bool is, const char *text)
{
	return is ? buf_add_text(out, text) : 0;
}

static int add_rights(struct buf *out, const struct auth_line_reply *r)
{
	const char *comma = "";
	int err = buf_add_text(out, "\trights=");

	for (size_t i = 0; !err && i < ARRAY_SIZE(right_words); i++) {
		if (!(r->rights & 1U << i))
			continue;
		err = buf_add_format(out, "%s%s", comma, right_words[i]);
		comma = ",";
	}
	return err;
}

int auth_line_reply_add(struct buf *out, const struct auth_line_reply *r, struct str challenge)
{
	int err = buf_add_format(out, "%s\t%u", words[r->outcome], r->id);

	if (!err && r->outcome == AUTH_LINE_CONT) {
		err = buf_add_char(out, '\t');
		if (!err)
			err = buf_add_base64(out, challenge);
	}
	if (!err)
		err = add_value(out, "user", r->user);
	if (!err)
		err = add_value(out, "reason", r->reason);
	if (!err)
		err = add_flag(out, r->temporary, "\ttemp\tcode=temp_fail");
	if (!err)
		err = add_flag(out, r->authz, "\tauthz\tcode=authz_fail");
	if (!err)
		err = add_flag(out, r->disabled, "\tuser_disabled\tcode=user_disabled");
	if (!err)
		err = add_flag(out, r->expired, "\tpass_expired\tcode=pass_expired");
	if (!err)
		err = add_flag(out, r->blocked, "\tx-blocked");
	if (!err && r->has_rights)
		err = add_rights(out, r);
	return err ? err : buf_add_char(out, '\n');
}

// ---- MECH
int auth_line_mechanism_read(struct str fields, struct auth_line_mechanism *out)
{
	struct str field;

	*out = (struct auth_line_mechanism){0};
	if (!auth_field_take(&fields, &field) || read_mechanism(field, out->name))
		return ERR_SYNTAX;
	while (auth_field_take(&fields, &field)) {
		out->plaintext |= str_equal(field, STR("plaintext"));
		out->anonymous |= str_equal(field, STR("anonymous"));
		out->private_ |= str_equal(field, STR("private"));
	}
	return 0;
}
