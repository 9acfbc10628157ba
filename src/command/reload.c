// SPDX-License-Identifier: ISC
// pabal reload and pabal stop.
#include "base/clock.h"
#include "base/text.h"
#include "command/caller.h"
#include "command/command.h"
#include "command/rows.h"

#include <stdio.h>
#include <time.h>

#define STOP_WAIT_MS   120000
#define STOP_STEP_NS   50000000
#define STATUS_TIME_MS 10000

static void print_finding(const json_t *row, void *unused)
{
	(void)unused;
	fprintf(stderr, "%s\n", row_word(row, "finding"));
}

static int reload(const struct config *c, struct error *err)
{
	json_t *done = NULL;
	int result = caller_run(c, "reload", NULL, print_finding, NULL, &done, err);
	if (!result)
		printf(TEXT("configuration generation %lld is in force\n"), row_number(done, "generation"));
	json_decref(done);
	return result;
}

// The process that answers now, 0 when none does.
static long long who_serves(const char *run_folder)
{
	struct error unused;
	json_t *done = NULL;
	if (control_request(run_folder, "status", NULL, NULL, NULL, STATUS_TIME_MS, &done, &unused))
		return 0;
	long long pid = row_number(done, "pid");
	json_decref(done);
	return pid;
}

// Returns when the server is gone: it first ends its sessions and deliveries.
static int stop(const struct config *c, struct error *err)
{
	const struct timespec step = {.tv_nsec = STOP_STEP_NS};
	char folder[1024];
	if (!str_copy(c->run_folder, folder, sizeof folder))
		return error_set(err, ERR_LIMIT, TEXT("the run folder's name is too long for a socket"));
	long long pid = who_serves(folder);
	int result = caller_run(c, "stop", NULL, NULL, NULL, NULL, err);
	if (result)
		return result;
	uint64_t until = clock_monotonic_ms() + STOP_WAIT_MS;
	while (pid && who_serves(folder) == pid) {
		if (clock_monotonic_ms() > until)
			return error_set(err, ERR_TIMEOUT, TEXT("the server was told to stop and still runs"));
		nanosleep(&step, NULL);
	}
	puts(TEXT("stopped"));
	return 0;
}

static int run(int argc, char **argv, int (*action)(const struct config *c, struct error *err))
{
	struct options o;
	struct error err = {0};
	if (!options_parse(argc, argv, NULL, 0, &o) || !options_no_words(&o, argv[0]))
		return COMMAND_USAGE;
	struct config *c = options_config(&o);
	if (!c)
		return COMMAND_CONFIGURATION;
	int result = action(c, &err);
	config_destroy(c);
	return result ? caller_failed(&err) : COMMAND_OK;
}

int command_reload(int argc, char **argv)
{
	return run(argc, argv, reload);
}

int command_stop(int argc, char **argv)
{
	return run(argc, argv, stop);
}
