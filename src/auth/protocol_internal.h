// SPDX-License-Identifier: ISC
// Lines and fields of the Dovecot authentication protocol, shared by both ends. Pure: octets in,
// structs out. Values are escaped on the wire (tab, LF, CR, NUL and the escape itself).
#ifndef PABAL_AUTH_PROTOCOL_INTERNAL_H
#define PABAL_AUTH_PROTOCOL_INTERNAL_H

#include "base/buf.h"
#include "base/ipaddr.h"

#define AUTH_LINE_MAX	   16384 // octets without the line end
#define AUTH_VALUE_MAX	   1024	 // octets of a value that is kept, unescaped
#define AUTH_MECHANISM_MAX 20	 // RFC 4422 3.1
#define AUTH_VERSION_MAJOR 1
#define AUTH_VERSION_MINOR 2
#define AUTH_EXCHANGE_MS   (150 * 1000) // an exchange in which nothing happens for so long is over

// Takes the first line off *octets, without its LF. 1: a line; 0: not whole yet; ERR_LIMIT.
int auth_line_take(struct str *octets, struct str *out_line);
// Takes the next field off *rest; false when there is none left.
bool auth_field_take(struct str *rest, struct str *out_field);
// The value of "key=value" when the field has that key, also of "key" alone (then it is empty).
bool auth_field_is(struct str field, const char *key, struct str *out_value);
// Replaces the escapes and terminates; ERR_LIMIT, ERR_SYNTAX (an unknown escape, NUL or a control
// octet).
int auth_value_read(struct str value, char *out, size_t size);
int auth_value_add(struct buf *out, struct str value); // escaped
int auth_number_read(struct str field, uint32_t *out); // an id; ERR_SYNTAX
bool auth_mechanism_name_ok(struct str name);	       // RFC 4422 3.1

// Octets that a value of the wire cannot hold as they are.
struct auth_line_octets {
	char data[64];
	size_t len;
};

// AUTH, from the field after the word on. ERR_SYNTAX when id or mechanism are none.
struct auth_line_request {
	uint32_t id;
	char mechanism[AUTH_MECHANISM_MAX + 1]; // upper case
	bool secured;
	struct ipaddr client, local;
	uint16_t client_port, local_port;
	char server[256], session[32];
	// Of TLS; sent on the private socket only.
	struct auth_line_octets exporter, end_point, unique; // channel bindings
	bool verified;					     // the client's certificate is good
	char subject[256], mailboxes[512], fingerprint[65];  // of it
	bool has_response;
	struct str response; // base64, points into the line; data NULL: none
};
int auth_line_request_read(struct str fields, struct auth_line_request *out);
int auth_line_request_add(struct buf *out, const struct auth_line_request *r, struct str response,
	bool trusted); // response is raw; ERR_LIMIT

// OK, FAIL, CONT: the first field is the word.
enum auth_line_outcome { AUTH_LINE_OK, AUTH_LINE_FAIL, AUTH_LINE_CONT };
enum { AUTH_LINE_SUBMIT = 1, AUTH_LINE_RELAY = 2, AUTH_LINE_FOREIGN = 4 };
struct auth_line_reply {
	enum auth_line_outcome outcome;
	uint32_t id;
	char user[AUTH_VALUE_MAX];
	char reason[AUTH_VALUE_MAX];
	unsigned rights; // AUTH_LINE_SUBMIT, AUTH_LINE_RELAY
	bool has_rights;
	bool temporary, authz, disabled, expired;
	bool blocked; // on the private socket: the session shall end
	struct str data; // base64 of CONT, points into the line
};
// ERR_SYNTAX: broken; ERR_UNSUPPORTED: not one of the three words.
int auth_line_reply_read(struct str line, struct auth_line_reply *out);
int auth_line_reply_add(
	struct buf *out, const struct auth_line_reply *r, struct str challenge); // raw

// MECH, from the name on.
struct auth_line_mechanism {
	char name[AUTH_MECHANISM_MAX + 1];
	bool plaintext, anonymous, private_;
};
int auth_line_mechanism_read(struct str fields, struct auth_line_mechanism *out);

#endif
