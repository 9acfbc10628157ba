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

void row_set(json_t *arguments, const char *key, const char *value)
{
	if (value && value[0])
		(void)json_object_set_new(arguments, key, json_string(value));
}
