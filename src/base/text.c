// SPDX-License-Identifier: ISC
// The table of texts in other languages, sorted at first use.
#include "base/text.h"

#include "base/str.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

struct entry {
	const char *english;
	const char *korean;
};

#define TEXT_ENTRY(english, korean) {english, korean},
static struct entry entries[] = {
#include "base/texts.def"
};
#undef TEXT_ENTRY

enum language { LANGUAGE_UNSET, LANGUAGE_ENGLISH, LANGUAGE_KOREAN };

static atomic_int chosen = LANGUAGE_UNSET;
static pthread_once_t sorted = PTHREAD_ONCE_INIT;

static int compare_entries(const void *a, const void *b)
{
	return strcmp(((const struct entry *)a)->english, ((const struct entry *)b)->english);
}

static void sort_entries(void)
{
	qsort(entries, ARRAY_SIZE(entries), sizeof(entries[0]), compare_entries);
}

// As setlocale() does it: the first of these that is set and not empty.
static const char *language_of_environment(void)
{
	static const char *const names[] = {"LC_ALL", "LC_MESSAGES", "LANG"};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		const char *value = getenv(names[i]);
		if (value && value[0])
			return value;
	}
	return "en";
}

// "ko", "ko_KR.UTF-8", "ko-KR", but not "kok". What we write is UTF-8, so a
// locale that names another character set gets English.
static bool is_korean(struct str locale)
{
	ptrdiff_t dot = str_find(locale, '.');
	struct str charset = str_skip(locale, dot < 0 ? locale.len : (size_t)dot + 1);
	ptrdiff_t at = str_find(charset, '@');

	if (at >= 0)
		charset = str_slice(charset, 0, (size_t)at);
	if (!str_starts_nocase(locale, STR("ko")))
		return false;
	if (locale.len > 2 && !strchr("_-.@", locale.data[2]))
		return false;
	return charset.len == 0 || str_equal_nocase(charset, STR("UTF-8")) ||
	       str_equal_nocase(charset, STR("utf8"));
}

void text_set_language(const char *language)
{
	bool korean = is_korean(str_from(language ? language : language_of_environment()));

	atomic_store(&chosen, korean ? LANGUAGE_KOREAN : LANGUAGE_ENGLISH);
}

const char *text_lookup(const char *english)
{
	struct entry wanted = {english, NULL};
	const struct entry *found;

	if (atomic_load(&chosen) == LANGUAGE_UNSET)
		text_set_language(NULL);
	if (atomic_load(&chosen) == LANGUAGE_ENGLISH)
		return english;
	pthread_once(&sorted, sort_entries);
	found = bsearch(&wanted, entries, ARRAY_SIZE(entries), sizeof(entries[0]), compare_entries);
	return found ? found->korean : english;
}
