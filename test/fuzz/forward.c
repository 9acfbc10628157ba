// SPDX-License-Identifier: ISC
// What a user wrote about his mail: .forward and dot-qmail, whole files.
#include "fuzz.h"
#include "deliver/dotqmail.h"
#include "deliver/forward.h"

static void check_clean(const char *text, size_t most)
{
	size_t len = strlen(text);
	CHECK(len <= most);
	for (size_t i = 0; i < len; i++)
		CHECK((unsigned char)text[i] >= ' ' || text[i] == '\t');
}

static void check_forward(struct str text)
{
	struct forward_entry e;
	size_t before = text.len + 1, entries = 0;
	while (forward_next(&text, &e)) {
		CHECK(text.len < before);
		before = text.len;
		entries++;
		if (e.kind == FORWARD_WRONG)
			continue;
		check_clean(e.text, FORWARD_TEXT_MAX);
		CHECK(e.text[0] && strchr(e.text, '\n') == NULL);
		CHECK((e.kind == FORWARD_FILE) == (e.text[0] == '/') || e.kind == FORWARD_COMMAND ||
			e.kind == FORWARD_INCLUDE || e.kind == FORWARD_KEEP || e.kind == FORWARD_ADDRESS);
	}
	CHECK(text.len == 0);
}

static void check_dotqmail(struct str text)
{
	struct dotqmail_line line;
	bool first = true;
	size_t before = text.len + 1;
	while (dotqmail_next(&text, &first, &line)) {
		CHECK(text.len < before);
		before = text.len;
		check_clean(line.text, DOTQMAIL_LINE_MAX);
		CHECK(line.kind == DOTQMAIL_WRONG || line.text[0]);
		if (line.kind == DOTQMAIL_MAILDIR)
			CHECK(line.text[strlen(line.text) - 1] == '/');
	}
}

static void check_names(struct str extension)
{
	char name[300];
	struct str rest;
	unsigned n = 0;
	while (dotqmail_name(extension, n, name, sizeof name, &rest)) {
		CHECK(!strncmp(name, ".qmail", 6) && !strchr(name, '/') && !strchr(name + 1, '.'));
		CHECK(rest.len <= extension.len);
		CHECK(++n <= extension.len + 2);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str input = exact_copy(str_make(data, size));
	check_forward(input);
	check_dotqmail(input);
	check_names(str_slice(input, 0, 100));
	free((char *)input.data);
	return 0;
}
