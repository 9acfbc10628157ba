// SPDX-License-Identifier: ISC
#include "command/rows.h"

const char *row_word(const json_t *row, const char *key)
{
	const char *text = json_string_value(json_object_get(row, key));
	return text ? text : "";
}

long long row_number(const json_t *row, const char *key)
{
	return json_integer_value(json_object_get(row, key));
}
