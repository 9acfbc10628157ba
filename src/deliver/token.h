// SPDX-License-Identifier: ISC
// The token file of a route (JSON) and the question that renews its access token (RFC 6749 6), as
// text in and out: no file, network or clock in here.
#ifndef PABAL_DELIVER_TOKEN_H
#define PABAL_DELIVER_TOKEN_H

#include "base/buf.h"
#include "base/error.h"

#define TOKEN_FILE_OCTETS   65536
#define TOKEN_ANSWER_OCTETS 65536
#define TOKEN_EARLY_MS      (2 * 60 * 1000) // renewed so long before its end

// Strings are "" where the file says nothing. Owned by whoever parsed it.
struct token {
	char *access, *refresh, *client_id, *client_secret, *endpoint, *scope;
	uint64_t expires_ms; // 0: not known
	void *file;          // all members, those that are not ours as well
};
// {"access_token":…, "refresh_token":…, "client_id":…, "client_secret":…, "token_endpoint":…
// (or "token_uri"), "scope":…, "expires_at": Unix seconds}. ERR_SYNTAX, ERR_LIMIT with words.
int token_parse(struct str json, struct token *out, struct error *err);
void token_finish(struct token *t); // wipes; all zero is fine
bool token_is_fresh(const struct token *t, uint64_t now_ms); // there is one that has not ended
bool token_can_renew(const struct token *t);
// The body of the POST to the endpoint.
void token_make_question(const struct token *t, struct buf *out);
// Takes the endpoint's answer. ERR_DENIED: refused, with its words; ERR_SYNTAX. Nothing of it in
// the words but "error" and "error_description".
int token_take_answer(struct token *t, unsigned status, struct str body, uint64_t now_ms,
	struct error *err);
void token_render(const struct token *t, struct buf *out); // the file anew

#endif
