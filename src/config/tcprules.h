// SPDX-License-Identifier: ISC
// The rules of tcpserver, as text (for tcprules) and as the .cdb that tcprules makes of it: from
// either come the same records. Pure; what a record means is said here too.
#ifndef PABAL_CONFIG_TCPRULES_H
#define PABAL_CONFIG_TCPRULES_H

#include "config/tables.h"

#include "base/buf.h"

#define TCPRULES_LINE_MAX 65536 // octets

// Who gets the records. Strings live for the call.
struct tcprules_sink {
	void *arg;
	// line: 0 of a .cdb. data: "D" for deny, "+NAME=VALUE", each with a NUL at its end. False: enough.
	bool (*record)(void *arg, struct str key, struct str data, unsigned line);
	// Something to tell about a line; severity as of config_finding.
	void (*tell)(void *arg, char severity, unsigned line, const char *words)
		__attribute__((nonnull(4)));
};

// Takes what tcprules takes, as it takes it: ranges, any octet as a quote, and lines without a ":",
// which say nothing. Beyond that: "ADDRESS/LENGTH", IPv6 ("2001:db8::/32:allow", also in
// brackets), a CR before the end of a line. What tcprules refuses is told with 'E', and then the
// next line is read.
void tcprules_text(struct str text, const struct tcprules_sink *sink);
// Every record of a .cdb in its order. ERR_CORRUPT.
int tcprules_cdb(struct str octets, const struct tcprules_sink *sink);

// What a key can match.
enum tcprules_kind {
	TCPRULES_NETWORK, // addresses: "1.2.3.4", "1.2.3.", "10.0.0.0/8", IPv6
	TCPRULES_NAME,	  // "=host", "=.suffix", "=", and "": everybody
	TCPRULES_IDENT,	  // "user@…": asks the client's ident, which is not carried
	TCPRULES_NEVER,	  // what no address or name is ever compared with
};
enum tcprules_kind tcprules_key(struct str key, struct ipnet *out);

bool tcprules_denies(struct str data);
// The variables in data, one a call, from *rest on (data at first): false at the end.
bool tcprules_next(struct str *rest, struct str *out_name, struct str *out_value);

#endif
