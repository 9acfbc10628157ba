// SPDX-License-Identifier: ISC
// The report of pabal explain on a screen of 80 columns.
#include "base/memory.h"
#include "base/text.h"
#include "command/explain_internal.h"
#include "command/rows.h"
#include "command/safe.h"
#include "command/table.h"

#include <stdio.h>
#include <string.h>
#include <wchar.h>

#define WIDTH 80
#define INDENT 18

// Columns of one word, as a terminal shows it; what is not understood counts as one an octet.
static size_t width_of(struct str word)
{
	size_t width = 0;
	mbstate_t state = {0};
	while (word.len) {
		wchar_t c;
		size_t n = mbrtowc(&c, word.data, word.len, &state);
		int w = n - 1 < word.len ? wcwidth(c) : 1;
		if (n - 1 >= word.len) {
			n = 1;
			memset(&state, 0, sizeof state);
		}
		width += w > 0 ? (size_t)w : 0;
		word = str_skip(word, n);
	}
	return width;
}

// From column `at` on; lines that follow begin at INDENT plus hang.
static void print_words(const char *text, size_t at, size_t hang)
{
	char *safe = safe_text(text, false);
	struct str rest = str_from(safe), word;
	bool first = true;
	while (str_split(&rest, ' ', &word)) {
		size_t width = width_of(word);
		if (!first && at + 1 + width > WIDTH) {
			printf("\n%*s", (int)(INDENT + hang), "");
			at = INDENT + hang;
		} else if (!first) {
			putchar(' ');
			at++;
		}
		printf("%.*s", STR_ARG(word));
		at += width;
		first = false;
	}
	putchar('\n');
	mem_free(safe);
}

static void print_line(const char *lead, const char *text)
{
	printf("%*s%s", INDENT, "", lead);
	print_words(text, INDENT + width_of(str_from(lead)), width_of(str_from(lead)));
}

static const char *colour_of(const char *answer)
{
	if (!strcmp(answer, "allow"))
		return "good";
	return !strcmp(answer, "refuse") || !strcmp(answer, "drop") ? "bad" : "bold";
}

// "550 5.7.1 relay-denied: …"
static void reply_of(const json_t *step, struct buf *out)
{
	long long code = row_number(step, "code");
	if (code)
		(void)buf_add_format(out, "%lld ", code);
	if (row_word(step, "status")[0])
		(void)buf_add_format(out, "%s ", row_word(step, "status"));
	(void)buf_add_text(out, row_word(step, "text"));
}

static void print_rule(const json_t *step)
{
	struct buf rule = BUF_INIT;
	const char *name = row_word(step, "rule"), *where = row_word(step, "where");
	if (!row_word(step, "command")[0] || !name[0] || !strcmp(name, "allow"))
		return;
	(void)buf_add_format(&rule, where[0] ? TEXT("%s (%s)") : TEXT("%s (built in)"), name, where);
	print_line(TEXT("rule: "), buf_cstr(&rule));
	buf_finish(&rule);
}

static void print_step(const json_t *step)
{
	static const char *const answers[] = {TEXT_MARK("allow"), TEXT_MARK("hold"), TEXT_MARK("defer"),
		TEXT_MARK("refuse"), TEXT_MARK("drop"), TEXT_MARK("discard")};
	const char *answer = row_word(step, "answer");
	struct buf reply = BUF_INIT;
	json_t *words;
	size_t i;
	for (i = 0; i < ARRAY_SIZE(answers) && strcmp(answers[i], answer); i++)
		;
	printf("%-9s %s%-7s%s ", row_word(step, "step"), table_colour(colour_of(answer)),
		i < ARRAY_SIZE(answers) ? TEXT(answers[i]) : answer, table_colour(""));
	reply_of(step, &reply);
	json_t *notes = json_object_get(step, "notes");
	size_t from = 0;
	if (!buf_len(&reply) && json_array_size(notes)) // then a note begins the line
		(void)buf_add_text(&reply, json_string_value(json_array_get(notes, from++)));
	print_words(buf_cstr(&reply), INDENT, 0);
	buf_finish(&reply);
	for (i = from; i < json_array_size(notes); i++)
		print_line("", json_string_value(json_array_get(notes, i)));
	print_rule(step);
	json_array_foreach(json_object_get(step, "advice"), i, words) {
		if (i == 0)
			print_line("", TEXT("what would change it:"));
		print_line("- ", json_string_value(words));
	}
}

static void print_head(const struct explain *e)
{
	const json_t *r = e->report;
	struct buf head = BUF_INIT;
	const char *account = row_word(r, "account");
	(void)buf_add_format(&head, TEXT("%s to server \"%s\" (port %lld), %s, %s"), row_word(r, "client"),
		row_word(r, "server"), row_number(r, "port"),
		json_is_true(json_object_get(r, "tls")) ? TEXT("under TLS") : TEXT("in clear"),
		account[0] ? TEXT("logged in as ") : TEXT("not logged in"));
	if (account[0])
		(void)buf_add_text(&head, account);
	print_words(buf_cstr(&head), 0, 0);
	buf_finish(&head);
}

void explain_print(const struct explain *e)
{
	const char *recipient = "";
	json_t *step;
	size_t i;
	print_head(e);
	json_array_foreach(e->steps, i, step) {
		const char *now = row_word(step, "recipient");
		if (strcmp(now, recipient))
			print_words(now, 0, 0);
		recipient = now;
		print_step(step);
	}
}
