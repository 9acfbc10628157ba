// SPDX-License-Identifier: ISC
// Builds configurations from text in memory, for the tests of this room.
#ifndef PABAL_TEST_CONFIG_BUILD_H
#define PABAL_TEST_CONFIG_BUILD_H

#include "base/buf.h"
#include "config/config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#define START                                                                                      \
	"hostname \"mail.example.kr\"\npostmaster \"kim@example.kr\"\ndomains \"example.kr\"\n"

struct memory_file {
	const char *path;
	const char *text;
	bool open_to_others; // reading it as a secret fails
};

struct memory_files {
	const struct memory_file *files;
	size_t count;
};

static inline int memory_read(
	void *arg, const char *path, bool secret, struct buf *out, struct error *err)
{
	const struct memory_files *all = arg;
	for (size_t i = 0; i < all->count; i++) {
		if (strcmp(all->files[i].path, path) != 0)
			continue;
		if (secret && all->files[i].open_to_others)
			return error_set(err, ERR_DENIED, "%s can be read by others", path);
		return buf_add_text(out, all->files[i].text);
	}
	return error_set(err, ERR_NOT_FOUND, "cannot open %s", path);
}

static inline struct config *build_files(
	const struct memory_file *files, size_t count, struct config_findings *findings)
{
	struct memory_files all = {files, count};
	struct config_reader reader = {memory_read, &all};
	return config_build(files[0].path, &reader, findings);
}

static inline struct config *build_text(const char *text, struct config_findings *findings)
{
	struct memory_file file = {"/etc/pabal.conf", text, false};
	return build_files(&file, 1, findings);
}

// Must be without an error.
static inline struct config *build_good(const char *text)
{
	struct config_findings findings = {0};
	struct config *c = build_text(text, &findings);
	if (!c) {
		struct buf out = BUF_INIT;
		config_findings_print(&findings, &out);
		print_error("%s", buf_cstr(&out));
		buf_finish(&out);
	}
	assert_non_null(c);
	config_findings_finish(&findings);
	return c;
}

static inline void assert_str(struct str s, const char *expected)
{
	if (!str_equal(s, str_from(expected)))
		fail_msg("got \"%.*s\", expected \"%s\"", STR_ARG(s), expected);
}

#endif
