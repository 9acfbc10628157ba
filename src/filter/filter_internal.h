// SPDX-License-Identifier: ISC
// Shared by the stages of this folder. Each stage's file defines a struct stage of its own.
#ifndef PABAL_FILTER_FILTER_INTERNAL_H
#define PABAL_FILTER_FILTER_INTERNAL_H

#include "filter/stage.h"

// Longest part of a field that a stage looks at: a name, an address.
#define STAGE_FIELD_MAX 1024

extern const struct stage_class stage_limits;
extern const struct stage_class stage_submission;
extern const struct stage_class stage_senders;

// Sets the refusal unless there is one already. rule is a literal.
void stage_refuse(struct stage_result *result, unsigned code, const char *enhanced,
	const char *rule, const char *format, ...) __attribute__((format(printf, 5, 6)));

#endif
