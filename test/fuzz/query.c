// SPDX-License-Identifier: ISC
// A query with parameters: the text keeps all but these, and as many places as there are values.
#include "auth/source/sql_query.h"
#include "fuzz.h"

static void translate(struct str written, enum auth_sql_style style)
{
	struct auth_sql_query q;
	struct error err;

	if (auth_sql_query_make(written, style, &q, &err)) {
		CHECK(!q.text || q.count <= AUTH_SQL_VALUES_MAX);
		auth_sql_query_finish(&q);
		return;
	}
	CHECK(q.count <= AUTH_SQL_VALUES_MAX);
	for (unsigned i = 0; i < q.count; i++) {
		CHECK(q.order[i] < AUTH_SQL_PARAMETERS);
		for (unsigned j = 0; j < i && style != AUTH_SQL_POSITION; j++)
			CHECK(q.order[i] != q.order[j]);
	}
	if (!q.count)
		CHECK(str_equal(str_from(q.text), str_trim(written)));
	else
		CHECK(str_find(str_from(q.text), style == AUTH_SQL_DOLLAR ? '$' : '?') >= 0);
	// What was made holds no parameter any more, whatever it is taken for.
	if (!q.count) {
		struct auth_sql_query again;
		CHECK(auth_sql_query_make(str_from(q.text), style, &again, &err) == 0);
		CHECK(again.count == 0);
		auth_sql_query_finish(&again);
	}
	auth_sql_query_finish(&q);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str written = exact_copy(str_make(data, size));

	for (int style = AUTH_SQL_DOLLAR; style <= AUTH_SQL_POSITION; style++)
		translate(written, (enum auth_sql_style)style);
	(void)auth_sql_query_names(written, STR("scram"));
	free((char *)written.data);
	return 0;
}
