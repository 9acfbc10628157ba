// SPDX-License-Identifier: ISC
// Reading the JSON rows of answers.
#ifndef PABAL_COMMAND_ROWS_H
#define PABAL_COMMAND_ROWS_H

#include <jansson.h>

// The text of a key, "" when it is missing or no text.
const char *row_word(const json_t *row, const char *key);
// The number of a key, 0 when it is missing or no number.
long long row_number(const json_t *row, const char *key);

#endif
