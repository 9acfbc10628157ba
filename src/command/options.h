// SPDX-License-Identifier: ISC
// Options every subcommand shares, and finding the server they talk to.
#ifndef PABAL_COMMAND_OPTIONS_H
#define PABAL_COMMAND_OPTIONS_H

#include "config/config.h"

#define OPTIONS_WORDS_MAX 64
#define OPTIONS_CONFIG "/etc/pabal/pabal.conf"

// One option with a value ("--sender A") or a flag.
struct option_row {
	const char *name;      // "--sender"
	const char **value;    // set for options with a value, else
	bool *flag;
	struct option_values *values; // for one that may come several times, in place of value
};

struct option_values {
	const char *items[64];
	unsigned count;
};

struct options {
	const char *config_path;
	bool json;
	const char *words[OPTIONS_WORDS_MAX];  // what is no option
	unsigned word_count;
};

// Takes -c, --json and the rows ("--since 2h" or "--since=2h"); after "--" all is words. Prints the
// usage of argv[0] and returns false when it does not fit.
bool options_parse(int argc, char **argv, const struct option_row *rows, size_t row_count,
	struct options *out);
// For commands that take no words: false after saying so.
bool options_no_words(const struct options *o, const char *command);
// Reads the configuration for its folders and domains. With errors it still leads to the server
// that runs on the one before; NULL: there is no such file, which was said on stderr.
struct config *options_config(const struct options *o);

#endif
