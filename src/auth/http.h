// SPDX-License-Identifier: ISC
// Questions to web services (tokens) by libcurl, which is a module: only a role that needs it has it.
#ifndef PABAL_AUTH_HTTP_H
#define PABAL_AUTH_HTTP_H

#include "base/buf.h"
#include "base/error.h"

struct auth_http_question {
	const char *url;      // https only, unless plain_ok
	bool plain_ok;        // http to a loopback address as well
	bool post;            // body is sent as a form; else GET
	struct str body;
	const char *user, *password; // Basic authentication; NULL: none
	const char *bearer;   // NULL: none
	struct str ca;        // PEM, whom to trust; "" : the system's
	const char *ca_path;  // NULL or a folder
	uint64_t timeout_ms;  // in all
	size_t limit;         // octets of the answer
};

// A row that the module exports.
struct auth_http {
	// Blocks. No redirect is followed, the certificate and its name are checked. out_status: of the
	// answer, whatever it is. ERR_UNAVAILABLE, ERR_TLS, ERR_TIMEOUT, ERR_LIMIT with words. Threads
	// may call it at the same time.
	int (*ask)(const struct auth_http_question *q, unsigned *out_status, struct buf *out,
		struct error *err);
};
// Loads it; before confinement or where the system's files can be seen. NULL with words.
const struct auth_http *auth_http_load(struct error *err);

#endif
