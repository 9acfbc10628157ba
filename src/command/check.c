// SPDX-License-Identifier: ISC
// pabal check: is the configuration right, and what is in effect?
#include "auth/winbind.h"
#include "base/buf.h"
#include "base/file.h"
#include "base/text.h"
#include "command/caller.h"
#include "command/check_auth.h"
#include "command/check_relay.h"
#include "command/command.h"
#include "config/limits.h"
#include "command/options.h"
#include "config/gateways.h"
#include "role/grant.h"
#include "role/master.h"
#include "smtp/address.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct strict_reader {
	struct config_reader local;
	struct grant *grant; // of tables
};

// As the server would read it: also its rights have to be right.
static int read_strictly(void *arg, const char *path, bool secret, struct buf *out, struct error *err)
{
	const struct strict_reader *strict = arg;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (fd < 0)
		return error_system(err, TEXT("cannot open %s"), path);
	int result = snapshot_check_rights(fd, path, secret, err);
	fd_close(&fd);
	return result ? result : strict->local.read(strict->local.arg, path, secret, out, err);
}

static int read_table_strictly(void *arg, const char *path, enum config_table kind, struct buf *out,
	struct config_look *look, struct error *err)
{
	struct strict_reader *strict = arg;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (fd < 0)
		return error_system(err, TEXT("cannot open %s"), path);
	int result = kind == CONFIG_TABLE_ALIASES ? snapshot_check_rights(fd, path, false, err)
						  : snapshot_check_table(fd, path, err);
	if (!result && kind == CONFIG_TABLE_INCLUDE)
		result = grant_check_include(strict->grant, fd, path, err);
	if (!result)
		result = config_read_table_fd(fd, path, geteuid(), out, look, err);
	fd_close(&fd);
	return result;
}

static bool show(const struct config *c)
{
	struct buf text = BUF_INIT;
	bool good = config_show(c, &text) == 0;
	if (good)
		fwrite(buf_str(&text).data, 1, buf_len(&text), stdout);
	buf_finish(&text);
	return good;
}

static void count_row(const json_t *row, void *found)
{
	(void)row;
	*(bool *)found = true;
}

// Mail for postmaster is always accepted, so somebody has to get it.
static void check_postmaster(const struct config *c, struct config_findings *findings)
{
	const struct config_place *at = &c->postmaster_where;
	char name[SMTP_ADDRESS_MAX];
	struct smtp_address address;
	struct error err = {0};
	bool found = false;
	if (smtp_address_parse(c->postmaster, &address) ||
		!config_is_local_domain(c, str_from(address.domain)))
		return; // elsewhere: nobody here can tell
	smtp_address_key(&address, name);
	if (!caller_has_store(c)) {
		config_findings_add(findings, 'W', at->file, at->line, at->column,
			TEXT("no accounts yet: postmaster is %s; `pabal account add %s` makes it"), name, name);
		return;
	}
	json_t *arguments = json_pack("{s:s}", "name", name);
	int result = caller_run(c, "account show", arguments, count_row, &found, NULL, &err);
	json_decref(arguments);
	if (result == ERR_NOT_FOUND || (!result && !found))
		config_findings_add(findings, 'E', at->file, at->line, at->column,
			TEXT("postmaster is %s and there is no such account; `pabal account add %s` makes it"),
			name, name);
	else if (result)
		config_findings_add(findings, 'N', at->file, at->line, at->column,
			TEXT("whether postmaster %s exists cannot be told: %s"), name, err.text);
}

static void check_winbind(const struct config *c, struct config_findings *findings)
{
	char path[1024], group[64];
	struct str where = STR_EMPTY;

	if (!auth_winbind_configured(c))
		return;
	if (!str_copy(c->auth.winbind.helper.items[0], path, sizeof path) || access(path, X_OK) < 0)
		config_findings_add(findings, 'W', where, 0, 0,
			TEXT("winbind: the helper %.*s cannot be run: %s"),
			STR_ARG(c->auth.winbind.helper.items[0]), strerror(errno));
	if (!str_copy(c->auth.winbind.group, group, sizeof group) || !getgrnam(group))
		config_findings_add(findings, 'W', where, 0, 0,
			TEXT("winbind: the system has no group \"%.*s\"; without it the helper cannot "
			     "reach winbindd"),
			STR_ARG(c->auth.winbind.group));
}

static int ask_relay(const struct options *o)
{
	struct config *c = options_config(o);
	if (!c)
		return COMMAND_CONFIGURATION;
	int status = check_relay(c, o->json);
	config_destroy(c);
	return status;
}

// Reads what the configuration names, so that it is found out, and lets it be asked.
static struct tables *check_tables(struct config *c, struct strict_reader *strict,
	struct buf *octets, struct config_findings *findings)
{
	struct config_reader reader = {read_strictly, strict, read_table_strictly};
	struct tables *tables = NULL;
	strict->grant = grant_create_for_tables(c);
	if (!tables_build(c, &reader, octets, findings) && !tables_open(buf_str(octets), &tables))
		config_use_tables(c, tables);
	return tables;
}

int command_check(int argc, char **argv)
{
	bool want_show = false, want_relay = false, lacking = false;
	const struct option_row rows[] = {{"--show", NULL, &want_show}, {"--relay", NULL, &want_relay}};
	struct options o;
	if (!options_parse(argc, argv, rows, ARRAY_SIZE(rows), &o) || !options_no_words(&o, argv[0]))
		return COMMAND_USAGE;
	if (want_relay)
		return ask_relay(&o);
	struct strict_reader strict = {.local = config_reader_local()};
	struct config_reader reader = {read_strictly, &strict};
	struct config_findings findings = {0};
	struct buf octets = BUF_INIT;
	struct config *c = config_build(o.config_path, &reader, &findings);
	struct tables *tables = c ? check_tables(c, &strict, &octets, &findings) : NULL;
	if (c && !findings.errors) {
		struct gateways gateways;
		gateways_read(&gateways);
		config_check_gateways(c, &gateways, &findings);
		check_postmaster(c, &findings);
		lacking = check_auth(c, &findings);
		check_winbind(c, &findings);
	}
	struct buf text = BUF_INIT;
	config_findings_print(&findings, &text);
	fputs(buf_cstr(&text), stderr);
	bool good = c && !findings.errors;
	if (good && want_show) {
		good = show(c);
	} else if (good) {
		check_auth_print(c, lacking);
		printf(TEXT("%s is right\n"), o.config_path);
	}
	buf_finish(&text);
	config_findings_finish(&findings);
	config_destroy(c);
	tables_close(tables);
	buf_finish(&octets);
	grant_destroy(strict.grant);
	return good ? COMMAND_OK : COMMAND_FAILED;
}

int command_manual(int argc, char **argv)
{
	struct options o;
	if (!options_parse(argc, argv, NULL, 0, &o))
		return COMMAND_USAGE;
	bool limits = o.word_count == 1 && !strcmp(o.words[0], "limits");
	if (o.word_count != 1 || (!limits && strcmp(o.words[0], "settings")))
		return command_usage("manual");
	struct buf text = BUF_INIT;
	int err = limits ? config_limit_manual(&text) : config_manual(&text);
	if (!err)
		fwrite(buf_str(&text).data, 1, buf_len(&text), stdout);
	buf_finish(&text);
	return err ? COMMAND_FAILED : COMMAND_OK;
}
