// SPDX-License-Identifier: ISC
#include "role/grant.h"

#include "base/buf.h"
#include "base/memory.h"
#include "base/text.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define TEXTS_MAX    2000 // files
#define TEXT_OCTETS  ((size_t)64 << 20) // of all files
#define USUAL_FOLDER "/etc/pabal"
#define USUAL_STATE  "/var/lib/pabal"
#define SELF_SIGNED  "/tls/self-signed.pem"

struct named_in {
	char *path;
	struct buf text;
};

struct grant {
	char *config_path;
	struct str folder; // of config_path, without a slash at its end
	struct buf lists, aliases; // of tables: names, a NUL behind each
	struct named_in texts[TEXTS_MAX];
	size_t count, octets;
};

static struct str folder_of(const char *path)
{
	ptrdiff_t slash = str_find_last(str_from(path), '/');
	return str_make(path, slash > 0 ? (size_t)slash : 0);
}

struct grant *grant_create(const char *config_path)
{
	struct grant *g = mem_alloc(sizeof *g);
	g->config_path = str_dup(str_from(config_path));
	g->folder = folder_of(g->config_path);
	return g;
}

static void add_names(struct buf *out, const struct config_list *names)
{
	for (size_t i = 0; i < names->count; i++) {
		(void)buf_add_str(out, names->items[i]);
		(void)buf_add_char(out, '\0');
	}
}

struct grant *grant_create_for_tables(const struct config *config)
{
	struct grant *g = mem_alloc(sizeof *g);
	add_names(&g->lists, &config->rules);
	add_names(&g->lists, &config->domain_files);
	add_names(&g->lists, &config->relay_domain_files);
	add_names(&g->aliases, &config->aliases);
	return g;
}

void grant_destroy(struct grant *g)
{
	if (!g)
		return;
	for (size_t i = 0; i < g->count; i++) {
		mem_free(g->texts[i].path);
		buf_finish_wipe(&g->texts[i].text);
	}
	buf_finish(&g->lists);
	buf_finish(&g->aliases);
	mem_free(g->config_path);
	mem_free(g);
}

// ---- folders
static bool lies_in(const char *path, struct str folder)
{
	return str_starts(str_from(path), folder) && path[folder.len] == '/';
}

// The last "..", as a whole name; NULL: none.
static const char *last_dots(const char *path)
{
	const char *last = NULL;
	for (const char *p = path; (p = strstr(p, "/..")); p++)
		if (p[3] == '/' || p[3] == '\0')
			last = p;
	return last;
}

// Where ".." leads depends on symbolic links before it: the kernel says it. The rest stays as it is.
static bool resolve_dots(const char *path, char out[PATH_MAX])
{
	const char *dots = last_dots(path);
	char upto[PATH_MAX];
	if (!dots)
		return str_copy(str_from(path), out, PATH_MAX);
	if (!str_copy(str_make(path, (size_t)(dots - path) + 3), upto, sizeof upto) ||
		!realpath(upto, out))
		return false;
	size_t len = strcmp(out, "/") ? strlen(out) : 0;
	return str_copy(str_from(dots + 3), out + len, PATH_MAX - len);
}

static bool is_in_folder(const struct grant *g, const char *path)
{
	char real[PATH_MAX];
	if (!resolve_dots(path, real))
		return false;
	// What shares its folder with the whole system has no folder of its own.
	bool own = g->folder.len && !str_equal(g->folder, STR("/etc"));
	return lies_in(real, STR(USUAL_FOLDER)) || (own && lies_in(real, g->folder));
}

// ---- names
static bool stands_in(struct str text, struct str name)
{
	struct buf quoted = BUF_INIT;
	(void)buf_add_char(&quoted, '"');
	for (size_t i = 0; i < name.len; i++) {
		if (strchr("\"\\", name.data[i]))
			(void)buf_add_char(&quoted, '\\');
		(void)buf_add_char(&quoted, name.data[i]);
	}
	(void)buf_add_char(&quoted, '"');
	bool found = memmem(text.data, text.len, buf_str(&quoted).data, buf_len(&quoted)) != NULL;
	buf_finish(&quoted);
	return found;
}

static bool is_named(const struct grant *g, struct str path)
{
	for (size_t i = 0; i < g->count; i++) {
		struct str text = buf_str(&g->texts[i].text), folder = folder_of(g->texts[i].path);
		if (stands_in(text, path))
			return true;
		if (path.len > folder.len + 1 && str_starts(path, folder) && path.data[folder.len] == '/' &&
			stands_in(text, str_skip(path, folder.len + 1)))
			return true;
	}
	return false;
}

// Made by master where no certificate is configured, in a folder that may be the usual one.
static bool is_self_signed(const struct grant *g, struct str path)
{
	struct str end = STR(SELF_SIGNED);
	if (path.len <= end.len || !str_equal(str_skip(path, path.len - end.len), end))
		return false;
	struct str state = str_slice(path, 0, path.len - end.len);
	return str_equal(state, STR(USUAL_STATE)) || is_named(g, state);
}

int grant_check(const struct grant *g, const char *path, struct error *err)
{
	struct str name = str_from(path);
	if (path[0] == '/' && (!strcmp(path, g->config_path) || is_in_folder(g, path) ||
		is_named(g, name) || is_self_signed(g, name)))
		return 0;
	return error_set(err, ERR_DENIED, TEXT("%s is not opened: it lies neither beside the "
		"configuration nor in " USUAL_FOLDER ", and no configuration file names it"), path);
}

// ---- tables
static bool has_name(const struct buf *names, struct str name)
{
	struct str rest = buf_str(names), one;
	while (str_split(&rest, '\0', &one))
		if (one.len && str_equal(one, name))
			return true;
	return false;
}

// The text and the .cdb that was made of it: they are compared by their times.
static bool is_beside_list(const struct grant *g, struct str name)
{
	struct str end = STR(".cdb");
	bool is_cdb = name.len > end.len && str_equal(str_skip(name, name.len - end.len), end);
	if (is_cdb)
		return has_name(&g->lists, str_slice(name, 0, name.len - end.len));
	struct buf cdb = BUF_INIT;
	bool found = !buf_add_str(&cdb, name) && !buf_add_str(&cdb, end) && has_name(&g->lists, buf_str(&cdb));
	buf_finish(&cdb);
	return found;
}

// Is it ":include:", perhaps with blanks, that ends the text?
static bool ends_with_include(struct str text)
{
	while (text.len && strchr(" \t", text.data[text.len - 1]))
		text.len--;
	return str_ends_nocase(text, STR(":include:"));
}

// `:include:PATH`, up to a blank, a comma, a quote or the end of the line.
static bool includes(struct str text, struct str path)
{
	const char *end = text.data + text.len, *found;
	for (struct str rest = text; path.len &&
		(found = memmem(rest.data, rest.len, path.data, path.len));
		rest = str_make(found + 1, (size_t)(end - found) - 1)) {
		const char *behind = found + path.len;
		if ((behind == end || strchr(" \t\r\n,\"", *behind)) &&
			ends_with_include(str_make(text.data, (size_t)(found - text.data))))
			return true;
	}
	return false;
}

static bool is_included(const struct grant *g, struct str name)
{
	for (size_t i = 0; i < g->count; i++)
		if (includes(buf_str(&g->texts[i].text), name))
			return true;
	return false;
}

int grant_check_table(const struct grant *g, const char *path, enum config_table *out_kind,
	struct error *err)
{
	struct str name = str_from(path);
	if (path[0] == '/' && has_name(&g->aliases, name)) // first: it needs more
		*out_kind = CONFIG_TABLE_ALIASES;
	else if (path[0] == '/' && (has_name(&g->lists, name) || is_beside_list(g, name)))
		*out_kind = CONFIG_TABLE_LIST;
	else if (path[0] == '/' && is_included(g, name))
		*out_kind = CONFIG_TABLE_INCLUDE;
	else
		return error_set(err, ERR_DENIED, TEXT("%s is not opened: the configuration names no "
			"such file for rules, domains or aliases"), path);
	return 0;
}

// Under which name a file is open, without links on the way; names may change, this does not.
static bool name_of_open(int fd, char out[PATH_MAX])
{
	char link[64];
	snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
	ssize_t len = readlink(link, out, PATH_MAX - 1);
	out[len > 0 ? len : 0] = '\0';
	return len > 0;
}

// In a folder of aliases, if that is a folder of its own.
static bool lies_beside_aliases(const struct grant *g, int fd)
{
	char real[PATH_MAX], name[PATH_MAX];
	struct str rest = buf_str(&g->aliases), one;
	if (!name_of_open(fd, real))
		return false;
	while (str_split(&rest, '\0', &one)) {
		struct str folder = str_copy(one, name, sizeof name) ? folder_of(name) : STR_EMPTY;
		if (folder.len && !str_equal(folder, STR("/etc")) && lies_in(real, folder))
			return true;
	}
	return false;
}

int grant_check_include(const struct grant *g, int fd, const char *path, struct error *err)
{
	struct stat st;
	if (fstat(fd, &st) < 0)
		return error_system(err, TEXT("cannot look at %s"), path);
	bool ours = st.st_uid == 0 || st.st_uid == geteuid();
	if ((st.st_mode & S_IROTH) || (ours && lies_beside_aliases(g, fd)))
		return 0;
	return error_set(err, ERR_DENIED,
		TEXT("%s is included by aliases and not everybody can read it: chmod o+r %s, or put it "
		     "into the folder of the aliases"), path, path);
}

void grant_remember_aliases(struct grant *g, const char *path, int fd)
{
	struct stat st;
	bool ours = fstat(fd, &st) == 0 && (st.st_uid == 0 || st.st_uid == geteuid());
	if (ours && !(st.st_mode & S_IWOTH))
		grant_remember(g, path, fd);
}

static bool read_text(int fd, struct buf *out)
{
	for (;;) {
		char *space = buf_reserve(out, 65536);
		if (!space)
			return false;
		// Not read(): whoever gets the file begins at its start.
		ssize_t n = pread(fd, space, 65536, (off_t)buf_len(out));
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n == 0;
		buf_commit(out, (size_t)n);
	}
}

void grant_remember(struct grant *g, const char *path, int fd)
{
	if (g->count == TEXTS_MAX)
		return;
	for (size_t i = 0; i < g->count; i++)
		if (!strcmp(g->texts[i].path, path))
			return;
	struct buf text = {.limit = TEXT_OCTETS - g->octets};
	if (!read_text(fd, &text) || str_search(buf_str(&text), STR("-----BEGIN ")) >= 0) {
		buf_finish_wipe(&text);
		return;
	}
	g->octets += buf_len(&text);
	g->texts[g->count++] = (struct named_in){.path = str_dup(str_from(path)), .text = text};
}
