// SPDX-License-Identifier: ISC
// Runs the stages over one body. After a refusal no stage sees anything more.
#include "filter/stage.h"

#include "filter/filter_internal.h"

#include "base/memory.h"

#include <stdio.h>

#define FIELDS_MAX 65536
#define EDITS_MAX  262144

static const struct stage_class *const classes[] = {
	&stage_limits,
	&stage_submission,
	&stage_senders,
};

struct stage_run {
	struct stage_facts facts;
	struct stage_result result;
	size_t count;
	struct {
		const struct stage_class *class;
		struct stage *stage;
	} stages[ARRAY_SIZE(classes)];
};

void stage_refuse(struct stage_result *result, unsigned code, const char *enhanced,
	const char *rule, const char *format, ...)
{
	va_list args;

	if (result->code)
		return;
	result->code = code;
	snprintf(result->enhanced, sizeof(result->enhanced), "%s", enhanced);
	result->rule = rule;
	va_start(args, format);
	vsnprintf(result->text, sizeof(result->text), format, args);
	va_end(args);
}

struct stage_run *stage_run_create(const struct stage_facts *facts)
{
	struct stage_run *r = mem_alloc(sizeof(*r));

	r->facts = *facts;
	r->result.fields.limit = FIELDS_MAX;
	r->result.edits.limit = EDITS_MAX;
	for (size_t i = 0; i < ARRAY_SIZE(classes); i++) {
		struct stage *stage = classes[i]->begin(&r->facts);

		if (!stage)
			continue;
		r->stages[r->count].class = classes[i];
		r->stages[r->count].stage = stage;
		r->count++;
	}
	return r;
}

void stage_run_octets(struct stage_run *r, struct str octets)
{
	for (size_t i = 0; i < r->count && !r->result.code; i++)
		r->stages[i].class->octets(r->stages[i].stage, octets, &r->result);
}

const struct stage_result *stage_run_end(struct stage_run *r)
{
	for (size_t i = 0; i < r->count && !r->result.code; i++)
		r->stages[i].class->end(r->stages[i].stage, &r->result);
	return &r->result;
}

void stage_run_destroy(struct stage_run *r)
{
	if (!r)
		return;
	for (size_t i = 0; i < r->count; i++)
		r->stages[i].class->destroy(r->stages[i].stage);
	buf_finish(&r->result.fields);
	buf_finish(&r->result.edits);
	buf_finish(&r->result.authors);
	mem_free(r);
}
