// SPDX-License-Identifier: ISC
// pabal check: is the configuration right, and what is in effect?
#include "base/buf.h"
#include "base/text.h"
#include "command/command.h"
#include "command/options.h"

#include <stdio.h>

static void show(const struct config *c)
{
	struct buf text = BUF_INIT;
	if (config_show(c, &text) == 0)
		fwrite(buf_str(&text).data, 1, buf_len(&text), stdout);
	buf_finish(&text);
}

int command_check(int argc, char **argv)
{
	bool want_show = false;
	const struct option_row rows[] = {{"--show", NULL, &want_show}};
	struct options o;
	if (!options_parse(argc, argv, rows, 1, &o) || o.word_count)
		return COMMAND_USAGE;
	struct config_reader reader = config_reader_local();
	struct config_findings findings = {0};
	struct config *c = config_build(o.config_path, &reader, &findings);
	struct buf text = BUF_INIT;
	config_findings_print(&findings, &text);
	fputs(buf_cstr(&text), stderr);
	bool good = c && !findings.errors;
	if (good && want_show)
		show(c);
	else if (good)
		printf(TEXT("%s is right\n"), o.config_path);
	buf_finish(&text);
	config_findings_finish(&findings);
	config_destroy(c);
	return good ? COMMAND_OK : COMMAND_FAILED;
}

int command_manual(int argc, char **argv)
{
	struct options o;
	if (!options_parse(argc, argv, NULL, 0, &o) || o.word_count != 1)
		return command_usage("manual");
	struct buf text = BUF_INIT;
	int err = config_manual(&text);
	if (!err)
		fwrite(buf_str(&text).data, 1, buf_len(&text), stdout);
	buf_finish(&text);
	return err ? COMMAND_FAILED : COMMAND_OK;
}
