// SPDX-License-Identifier: ISC
#include "command/caller.h"

#include "base/memory.h"
#include "base/text.h"
#include "command/command.h"
#include "command/safe.h"
#include "queue/admin.h"
#include "role/auth_admin.h"
#include "role/confine.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define ANSWER_TIME_MS 60000

// The files of a stopped server belong to its users; what root made there, they could not open.
static int act_as(const char *user_name, struct error *err)
{
	struct confine_user user;
	if (getuid() != 0)
		return 0;
	int result = confine_find_user(user_name, &user, err);
	if (!result && (setegid(user.gid) < 0 || seteuid(user.uid) < 0))
		result = error_system(err, TEXT("cannot act as %s"), user_name);
	return result;
}

static void act_as_myself(void)
{
	if (getuid() == 0 && (seteuid(0) < 0 || setegid(0) < 0))
		fatal("cannot become root again");
}

// ---- the server's own files
typedef int (*offline_run)(uv_loop_t *loop, const struct config *config, const char *command,
	json_t *arguments, control_on_row on_row, void *arg, json_t **out_done, struct error *err);

static int queue_offline(uv_loop_t *loop, const struct config *config, const char *command,
	json_t *arguments, control_on_row on_row, void *arg, json_t **out_done, struct error *err)
{
	char folder[1100], history_path[1200];
	struct queue_admin admin = {.config = config};
	snprintf(folder, sizeof folder, "%.*s/queue", STR_ARG(config->state_folder));
	snprintf(history_path, sizeof history_path, "%s/history.db", folder);
	struct store_options store = {.folder = folder, .create = true};
	int result = store_open(loop, &store, &admin.store, err);
	if (result)
		return result;
	struct history_options history = {.path = history_path, .create = true,
		.age_ms = config->log.history_age, .size = config->log.history_size};
	if (history_open(loop, &history, &admin.history, NULL))
		admin.history = NULL;
	result = control_local(loop, queue_admin_handlers, queue_admin_handler_count, &admin, command,
		arguments, on_row, arg, out_done, err);
	if (admin.history)
		history_close(admin.history);
	store_close(admin.store);
	return result;
}

static int auth_offline(uv_loop_t *loop, const struct config *config, const char *command,
	json_t *arguments, control_on_row on_row, void *arg, json_t **out_done, struct error *err)
{
	char path[1200];
	struct auth_admin admin = {0};
	snprintf(path, sizeof path, "%.*s/auth/secrets.db", STR_ARG(config->state_folder));
	int result = secrets_open(path, true, &admin.secrets, err);
	if (result)
		return result;
	result = control_local(loop, auth_admin_handlers, auth_admin_handler_count, &admin, command,
		arguments, on_row, arg, out_done, err);
	secrets_close(admin.secrets);
	return result;
}

// A first account may be made before the first start: its folder is not there yet.
static int make_folder(const struct config *config, const char *name, const char *owner, struct error *err)
{
	char path[1100];
	struct confine_user user;
	snprintf(path, sizeof path, "%.*s", STR_ARG(config->state_folder));
	// chmod: whatever the umask of this shell, the server's users have to get through.
	if (mkdir(path, 0755) == 0 ? chmod(path, 0755) < 0 : errno != EEXIST)
		return error_system(err, TEXT("cannot make the folder %s"), path);
	snprintf(path, sizeof path, "%.*s/%s", STR_ARG(config->state_folder), name);
	if (mkdir(path, 0700) < 0)
		return errno == EEXIST ? 0 : error_system(err, TEXT("cannot make the folder %s"), path);
	if (getuid() != 0)
		return 0;
	int result = confine_find_user(owner, &user, err);
	if (!result && lchown(path, user.uid, user.gid) < 0)
		result = error_system(err, TEXT("cannot give %s to %s"), path, owner);
	return result;
}

static int run_offline(const struct config *config, const struct control_command *known,
	json_t *arguments, control_on_row on_row, void *arg, json_t **out_done, struct error *err)
{
	bool queue = !strcmp(known->role, "queue");
	offline_run run = queue ? queue_offline : auth_offline;
	uv_loop_t loop;
	const char *owner = queue ? "pabal-queue" : "pabal-auth";
	int result = make_folder(config, known->role, owner, err);
	if (!result)
		result = act_as(owner, err);
	if (!result && uv_loop_init(&loop))
		result = error_set(err, ERR_SYSTEM, TEXT("cannot make an event loop"));
	if (!result) {
		result = run(&loop, config, known->name, arguments, on_row, arg, out_done, err);
		(void)uv_run(&loop, UV_RUN_DEFAULT); // what was closed finishes closing
		(void)uv_loop_close(&loop);
	}
	act_as_myself();
	return result;
}

int caller_run(const struct config *config, const char *command, json_t *arguments,
	control_on_row on_row, void *arg, json_t **out_done, struct error *err)
{
	const struct control_command *known = control_command_find(command);
	char folder[1024];
	if (!known || !str_copy(config->run_folder, folder, sizeof folder))
		return error_set(err, ERR_UNSUPPORTED, TEXT("there is no command \"%s\""), command);
	int result = control_request(folder, command, arguments, on_row, arg, ANSWER_TIME_MS, out_done,
		err);
	if (result == ERR_CLOSED && known->offline && config->faulty)
		result = error_set(err, ERR_CLOSED, TEXT("no server answers in %s, and the configuration "
			"has errors; `pabal check` shows them"), folder);
	else if (result == ERR_CLOSED && known->offline)
		result = run_offline(config, known, arguments, on_row, arg, out_done, err);
	return result;
}

bool caller_has_store(const struct config *config)
{
	char path[1100];
	snprintf(path, sizeof path, "%.*s/queue", STR_ARG(config->state_folder));
	return access(path, F_OK) == 0;
}

int caller_failed(const struct error *err)
{
	char *words = safe_text(err->text, false);
	fprintf(stderr, "pabal: %s\n", words);
	mem_free(words);
	return err->code == ERR_CLOSED || err->code == ERR_TIMEOUT || err->code == ERR_UNAVAILABLE ?
		COMMAND_UNAVAILABLE : COMMAND_FAILED;
}

void caller_print_json(const json_t *row, void *unused)
{
	(void)unused;
	char *text = json_dumps(row, JSON_COMPACT);
	if (text)
		puts(text);
	free(text);
}
