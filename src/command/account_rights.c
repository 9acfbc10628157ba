// SPDX-License-Identifier: ISC
// pabal account set, group, app-password, show: what an account may do, and the passwords of its
// programs.
#include "command/account_internal.h"

#include "base/clock.h"
#include "base/memory.h"
#include "base/text.h"
#include "command/caller.h"
#include "command/rows.h"
#include "command/table.h"

#include <stdio.h>
#include <string.h>

static bool is(const char *word, const char *wanted)
{
	return word && !strcmp(word, wanted);
}

// What was said of rights, as the arguments of "account set" and of groups.
static json_t *rights_of(const struct account_words *w, bool group)
{
	const struct {
		const char *key, *value;
		bool of_group;
	} rows[] = {{"submit", w->submit, true}, {"relay", w->relay, true}, {"from", w->from, true},
		{"servers", w->servers, true}, {"groups", w->groups}, {"expires", w->expires},
		{"act_as", w->act_as}, {"lock", w->lock}, {"unlock", w->unlock ? "yes" : NULL}};
	json_t *arguments = json_object();
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		if (rows[i].value && (!group || rows[i].of_group))
			json_object_set_new(arguments, rows[i].key, json_string(rows[i].value));
	return arguments;
}

// Names of server blocks, parted by commas or blanks.
static int check_servers(const struct config *c, const char *words, struct error *err)
{
	struct str rest = str_from(words ? words : "default");
	bool none = str_equal(rest, STR("default")) || str_equal(rest, STR("none"));
	while (rest.len && !none) {
		size_t n = strcspn(rest.data, ", "), i = 0;
		struct str word = str_slice(rest, 0, n);
		rest = str_skip(rest, n + (n < rest.len));
		while (i < c->server_count && !str_equal(c->servers[i].name, word))
			i++;
		if (word.len && i == c->server_count)
			return error_set(err, ERR_SYNTAX,
				TEXT("there is no server \"%.*s\" in the configuration"), STR_ARG(word));
	}
	return 0;
}

// ---- set
static int set_legacy(const struct config *c, const char *name, const char *legacy, struct error *err)
{
	bool on = is(legacy, "on");
	if (!on && !is(legacy, "off"))
		return error_set(err, ERR_SYNTAX, TEXT("--legacy is on or off"));
	int result = on ? account_send_secret(c, "secret seal", "password", name, err) :
		account_call(c, "secret unseal", name, err);
	if (!result && on)
		printf(TEXT("the password of %s is stored so that it can be read again, sealed with the "
			"server's key file; old mechanisms (CRAM-MD5, DIGEST-MD5, NTLM) can use it\n"), name);
	else if (!result)
		printf(TEXT("no recoverable password of %s is stored any more\n"), name);
	return result;
}

static int set_otp(const struct config *c, const char *name, const char *otp, struct error *err)
{
	bool off = is(otp, "off"), md5 = is(otp, "md5");
	if (!off && !md5 && !is(otp, "on") && !is(otp, "sha1"))
		return error_set(err, ERR_SYNTAX, TEXT("--otp is on, sha1, md5 or off"));
	int result = off ? account_call(c, "secret otp remove", name, err) :
		account_send_secret(c, "secret otp", md5 ? "md5" : "sha1", name, err);
	if (!result && off)
		printf(TEXT("%s has no one-time passwords any more\n"), name);
	else if (!result)
		printf(TEXT("%s has new one-time passwords (mechanism OTP), made of this pass phrase; only "
			"the last one is stored\n"), name);
	return result;
}

int account_set(const struct config *c, const char *name, const struct account_words *w, struct error *err)
{
	json_t *arguments = rights_of(w, false);
	bool rights = json_object_size(arguments) > 0;
	int result = 0;
	if (!rights && !w->legacy && !w->otp)
		result = error_set(err, ERR_SYNTAX,
			TEXT("nothing to set; `pabal help account` shows what can be"));
	if (!result && w->lock && w->unlock)
		result = error_set(err, ERR_SYNTAX, TEXT("--lock and --unlock at once"));
	if (!result && w->otp && is(w->legacy, "on"))
		result = error_set(err, ERR_SYNTAX, TEXT("--legacy and --otp one after the other: each asks"));
	if (!result)
		result = check_servers(c, w->servers, err);
	if (!result && !rights) // is there such an account?
		result = account_call(c, "account show", name, err);
	json_object_set_new(arguments, "name", json_string(name));
	if (!result && rights)
		result = caller_run(c, "account set", arguments, NULL, NULL, NULL, err);
	json_decref(arguments);
	if (!result && rights)
		printf(TEXT("account %s changed\n"), name);
	if (!result && w->legacy)
		result = set_legacy(c, name, w->legacy, err);
	return result || !w->otp ? result : set_otp(c, name, w->otp, err);
}

// ---- send-as
static void print_send_as(const json_t *row, void *arg)
{
	const char *words = row_word(row, "send_as");
	(void)arg;
	for (size_t n; *words; words += n + (words[n] == ' ')) {
		n = strcspn(words, " ");
		printf("%.*s\n", (int)n, words);
	}
}

static int list_send_as(const struct config *c, const char *name, bool json, struct error *err)
{
	json_t *arguments = json_pack("{s:s}", "name", name);
	int result = caller_run(c, "account show", arguments, json ? caller_print_json : print_send_as, NULL,
		NULL, err);
	json_decref(arguments);
	return result;
}

int account_send_as(const struct config *c, const char *name, const struct account_words *w, struct error *err)
{
	bool add = is(w->action, "add");
	if (is(w->action, "list") && !w->group)
		return list_send_as(c, name, w->json, err);
	if ((!add && !is(w->action, "remove")) || !w->group)
		return error_set(err, ERR_SYNTAX,
			TEXT("say send-as NAME add or remove with an address, or send-as NAME list"));
	json_t *arguments = json_pack("{s:s, s:s}", "name", name, w->action, w->group);
	int result = arguments ? caller_run(c, "account send-as", arguments, NULL, NULL, NULL, err) :
		error_set(err, ERR_SYNTAX, TEXT("the words must be UTF-8"));
	json_decref(arguments);
	if (!result)
		printf(add ? TEXT("%s may send as %s\n") : TEXT("%s may not send as %s any more\n"), name,
			w->group);
	return result;
}

// ---- groups
static void add_group(const json_t *row, void *arg)
{
	static const char *const keys[] = {"group", "submit", "relay", "from", "servers"};
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
		table_add(arg, row_word(row, keys[i]));
}

static int list_groups(const struct config *c, bool json, struct error *err)
{
	struct table t;
	const char *const titles[] = {TEXT("GROUP"), TEXT("SUBMIT"), TEXT("RELAY"), TEXT("FROM"),
		TEXT("SERVERS")};
	json_t *arguments = json_object();
	table_init(&t, ARRAY_SIZE(titles), titles);
	int result = caller_run(c, "account group list", arguments, json ? caller_print_json : add_group,
		&t, NULL, err);
	json_decref(arguments);
	if (!result && !json && t.count)
		table_print(&t);
	else if (!result && !json)
		puts(TEXT("no groups yet: `pabal account group add NAME` makes one"));
	table_finish(&t);
	return result;
}

int account_group(const struct config *c, const char *name, const struct account_words *w, struct error *err)
{
	static const struct {
		const char *action, *command, *done; // TEXT_MARK
	} rows[] = {{"add", "account group add", TEXT_MARK("made: group")},
		{"set", "account group set", TEXT_MARK("changed: group")},
		{"remove", "account group remove", TEXT_MARK("removed: group")}};
	(void)name;
	if (is(w->action, "list") && !w->group)
		return list_groups(c, w->json, err);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		if (!is(w->action, rows[i].action) || !w->group)
			continue;
		int result = check_servers(c, w->servers, err);
		if (result)
			return result;
		json_t *arguments = rights_of(w, true);
		json_object_set_new(arguments, "group", json_string(w->group));
		result = caller_run(c, rows[i].command, arguments, NULL, NULL, NULL, err);
		json_decref(arguments);
		if (!result)
			printf("%s %s\n", TEXT(rows[i].done), w->group);
		return result;
	}
	return error_set(err, ERR_SYNTAX, TEXT("say group add, set or remove with a name, or group list"));
}

// ---- application passwords
static const char *time_text(long long ms, const char *none, char out[CLOCK_DATE_MAX])
{
	return ms > 0 ? clock_format_rfc3339((uint64_t)ms, out) : none;
}

static void add_application(const json_t *row, void *arg)
{
	char text[CLOCK_DATE_MAX];
	const char *from = row_word(row, "from");
	table_add(arg, row_word(row, "label"));
	table_add(arg, from[0] ? from : TEXT("anywhere"));
	table_add(arg, time_text(row_number(row, "expires"), TEXT("never"), text));
	table_add(arg, time_text(row_number(row, "last_use"), TEXT("never"), text));
	table_add(arg, row_word(row, "last_client"));
}

static void init_table(struct table *t)
{
	const char *const titles[] = {TEXT("LABEL"), TEXT("FROM"), TEXT("EXPIRES"), TEXT("LAST USE"),
		TEXT("CLIENT")};
	table_init(t, ARRAY_SIZE(titles), titles);
}

static int list_applications(const struct config *c, json_t *arguments, bool json, struct error *err)
{
	struct table t;
	init_table(&t);
	int result = caller_run(c, "application list", arguments,
		json ? caller_print_json : add_application, &t, NULL, err);
	if (!result && !json && t.count)
		table_print(&t);
	else if (!result && !json)
		puts(TEXT("no application passwords"));
	table_finish(&t);
	return result;
}

static int add_password(const struct config *c, json_t *arguments, bool json, struct error *err)
{
	json_t *done = NULL;
	int result = caller_run(c, "application add", arguments, NULL, NULL, &done, err);
	if (!result && json)
		caller_print_json(done, NULL);
	else if (!result)
		printf(TEXT("%s\nThis password is shown once. It works beside the account's own, for PLAIN and "
			"LOGIN under TLS;\ndashes and the case of letters do not matter.\n"),
			row_word(done, "password"));
	control_wipe(done);
	json_decref(done);
	return result;
}

int account_application(const struct config *c, const char *name, const struct account_words *w,
	struct error *err)
{
	json_t *arguments = json_pack("{s:s, s:s, s:s, s:s}", "name", name, "label",
		w->label ? w->label : "", "from", w->from ? w->from : "", "expires",
		w->expires ? w->expires : "");
	int result = arguments ? account_call(c, "account show", name, err) :
		error_set(err, ERR_SYNTAX, TEXT("the words must be UTF-8"));
	if (result)
		; // there is no such account
	else if (is(w->action, "add"))
		result = add_password(c, arguments, w->json, err);
	else if (is(w->action, "list"))
		result = list_applications(c, arguments, w->json, err);
	else if (is(w->action, "remove"))
		result = caller_run(c, "application remove", arguments, NULL, NULL, NULL, err);
	else
		result = error_set(err, ERR_SYNTAX, TEXT("say app-password add, list or remove"));
	json_decref(arguments);
	if (!result && is(w->action, "remove"))
		printf(TEXT("application password \"%s\" of %s removed\n"), w->label, name);
	return result;
}

// ---- show
static void merge_row(const json_t *row, void *arg)
{
	json_object_update(arg, (json_t *)row);
}

static void print_limit(const char *title, const json_t *list)
{
	size_t i;
	json_t *row;
	if (!json_array_size(list))
		printf("%-15s%s\n", title, TEXT("anywhere"));
	json_array_foreach(list, i, row)
		printf("%-15s%s (%s)\n", i ? "" : title, row_word(row, "words"), row_word(row, "by"));
}

static void print_words(const char *title, const char *words)
{
	if (words[0])
		printf("%-15s%s\n", title, words);
}

static void print_state(const json_t *row)
{
	const char *lock = row_word(row, "lock");
	bool locked = !strcmp(row_word(row, "state"), "locked");
	char text[CLOCK_DATE_MAX];
	printf("%-15s%s%s%s\n", TEXT("state"), TEXT(row_word(row, "state")), locked && lock[0] ? ": " : "",
		locked ? lock : "");
	print_words(TEXT("expires"), time_text(row_number(row, "expires"), "", text));
	printf("%-15s%s (%s)\n", TEXT("submit"), TEXT(row_word(row, "submit")), row_word(row, "submit_by"));
	printf("%-15s%s (%s)\n", TEXT("relay"), TEXT(row_word(row, "relay")), row_word(row, "relay_by"));
	print_limit(TEXT("from"), json_object_get(row, "from"));
	print_limit(TEXT("servers"), json_object_get(row, "servers"));
	print_words(TEXT("groups"), row_word(row, "groups"));
	print_words(TEXT("may act as"), row_word(row, "act_as"));
	print_words(TEXT("may send as"), row_word(row, "send_as"));
}

#define OTP_FEW 10

static void print_otp(const json_t *row)
{
	long long left = row_number(row, "otp_left");
	if (!row_word(row, "otp")[0])
		return;
	printf(TEXT("%-15s%s, %lld left\n"), TEXT("one-time"), row_word(row, "otp"), left);
	if (left < OTP_FEW)
		printf(TEXT("%-15swarning: few are left; `pabal account set %s --otp on` makes new ones\n"),
			"", row_word(row, "name"));
}

static void print_secrets(const json_t *row)
{
	const json_t *list = json_object_get(row, "applications");
	char text[CLOCK_DATE_MAX];
	size_t i;
	json_t *one;
	struct table t;
	printf("%-15s%s%s%s\n", TEXT("password"), row_word(row, "password"),
		json_is_true(json_object_get(row, "scram")) ? TEXT(", SCRAM keys") : "",
		json_is_true(json_object_get(row, "legacy")) ? TEXT(", recoverable (legacy on)") : "");
	print_otp(row);
	printf("%-15s%s %s\n", TEXT("last login"), time_text(row_number(row, "last_use"), TEXT("never"), text),
		row_word(row, "last_client"));
	if (!json_array_size(list))
		return;
	printf("%s\n", TEXT("application passwords"));
	init_table(&t);
	json_array_foreach(list, i, one)
		add_application(one, &t);
	table_print(&t);
	table_finish(&t);
}

int account_show(const struct config *c, const char *name, const struct account_words *w, struct error *err)
{
	json_t *row = json_object(), *arguments = json_pack("{s:s}", "name", name);
	int result = caller_run(c, "account show", arguments, merge_row, row, NULL, err);
	if (!result)
		result = caller_run(c, "secret show", arguments, merge_row, row, NULL, err);
	if (!result && w->json) {
		caller_print_json(row, NULL);
	} else if (!result) {
		printf("%-15s%s\n", TEXT("account"), row_word(row, "name"));
		print_state(row);
		print_secrets(row);
	}
	json_decref(arguments);
	json_decref(row);
	return result;
}
