// SPDX-License-Identifier: ISC
// Cuts configuration text into words, strings, braces and ends of statements.
// It knows no setting.
#ifndef PABAL_CONFIG_TOKENIZER_H
#define PABAL_CONFIG_TOKENIZER_H

#include "base/arena.h"
#include "base/str.h"

enum config_token_kind {
	CONFIG_TOKEN_WORD,   // octets up to a space, quote, brace, ';' or '#'
	CONFIG_TOKEN_STRING, // in quotes, escapes resolved: \" \\ \n \t
	CONFIG_TOKEN_OPEN,
	CONFIG_TOKEN_CLOSE,
	CONFIG_TOKEN_END, // newline or ';'
	CONFIG_TOKEN_EOF, // again and again
	CONFIG_TOKEN_BAD, // problem says why; reading goes on behind it
};

struct config_token {
	enum config_token_kind kind;
	struct str text;       // in the input, or in the arena when it had escapes
	const char *problem;   // of BAD
	unsigned line, column; // of its first character, 1-based
};

// A value: copy it to look ahead. The input and the arena are borrowed.
struct config_tokenizer {
	const char *at, *end;
	unsigned line, column; // characters, not octets
	struct arena *arena;
};

void config_tokenizer_init(struct config_tokenizer *t, struct str text, struct arena *arena);
void config_tokenizer_next(struct config_tokenizer *t, struct config_token *out);

#endif
