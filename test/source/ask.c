// SPDX-License-Identifier: ISC
// A password source without a server around it: `ask-source KIND key=value…` prepares one and
// answers the lines "NUMBER<TAB>ask<TAB>name<TAB>secret" of standard input, each on a thread of its
// own, with "NUMBER<TAB>verdict<TAB>account<TAB>rights<TAB>clear<TAB>scram<TAB>ms<TAB>reason".
#include "auth/source.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/memory.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#define LISTED_MAX    8
#define QUESTIONS_MAX 4096

static struct config_source source = {.timeout = 5000, .connections = 2};
static const struct auth_source_kind *kind;
static void *state;
static struct str default_domain;

// ---- settings
static void set_str(void *to, struct str value)
{
	*(struct str *)to = value;
}

static void set_number(void *to, struct str value)
{
	if (str_to_u64(value, to))
		fatal("not a number: %.*s", STR_ARG(value));
}

static void set_port(void *to, struct str value)
{
	uint64_t number;

	set_number(&number, value);
	*(uint16_t *)to = (uint16_t)number;
}

static void set_bool(void *to, struct str value)
{
	*(bool *)to = str_equal(value, STR("yes"));
}

static void set_file(void *to, struct str value)
{
	struct config_file *file = to;
	struct buf content = BUF_INIT;
	struct error err;

	if (file_read_all(value.data, &content, 1 << 20, &err))
		fatal("%s", err.text);
	buf_cstr(&content);
	*file = (struct config_file){value, buf_str(&content)};
}

static void add_word(void *to, struct str value)
{
	static struct str words[LISTED_MAX];
	struct config_list *list = to;

	if (list->count == LISTED_MAX)
		fatal("too many words");
	words[list->count++] = value;
	list->items = words;
}

static const struct setting {
	const char *name;
	void (*set)(void *to, struct str value);
	void *to;
} settings[] = {
	{"timeout", set_number, &source.timeout},
	{"connections", set_number, &source.connections},
	{"engine", set_str, &source.engine},
	{"path", set_str, &source.path},
	{"user", set_str, &source.user},
	{"service", set_str, &source.service},
	{"realm", set_str, &source.realm},
	{"command", add_word, &source.command},
	{"cram", set_bool, &source.cram},
	{"memory", set_number, &source.memory},
	{"default-domain", set_str, &default_domain},
	{"host", set_str, &source.host},
	{"port", set_port, &source.port},
	{"database", set_str, &source.database},
	{"login", set_str, &source.login},
	{"password-file", set_file, &source.password_file},
	{"query", set_str, &source.query},
	{"table-per-domain", set_bool, &source.table_per_domain},
	{"tls", set_bool, &source.tls},
	{"ca-file", set_file, &source.ca_file},
	{"uris", add_word, &source.uris},
	{"base", set_str, &source.base},
	{"scope", set_str, &source.scope},
	{"filter", set_str, &source.filter},
	{"bind-dn", set_str, &source.bind_dn},
	{"account-attribute", set_str, &source.account_attribute},
	{"group-base", set_str, &source.group_base},
	{"group-filter", set_str, &source.group_filter},
	{"submit-group", set_str, &source.submit_group},
	{"relay-group", set_str, &source.relay_group},
	{"cache", set_number, &source.cache},
	{"issuer", set_str, &source.issuer},
	{"audience", set_str, &source.audience},
	{"introspection", set_str, &source.introspection},
	{"jwks", set_str, &source.jwks},
	{"jwks-file", set_file, &source.jwks_file},
	{"account-claim", set_str, &source.account_claim},
};

static void set(struct str word)
{
	struct str name;

	if (!str_split(&word, '=', &name))
		fatal("KEY=VALUE is expected");
	for (size_t i = 0; i < ARRAY_SIZE(settings); i++)
		if (str_equal(name, str_from(settings[i].name))) {
			settings[i].set(settings[i].to, word);
			return;
		}
	fatal("no setting %.*s", STR_ARG(name));
}

// ---- questions
static void *answer(void *arg)
{
	static const char *const verdicts[] = {"yes", "no", "unknown", "cannot"};
	struct auth_answer *a = mem_alloc(sizeof *a);
	struct str rest = str_from(arg), number = {0}, ask = {0}, name = {0};
	uint64_t start = clock_monotonic_ms();

	if (!str_split(&rest, '\t', &number) || !str_split(&rest, '\t', &ask) ||
		!str_split(&rest, '\t', &name))
		fatal("four fields are expected");
	struct auth_question q = {.name = name,
		.secret = rest,
		.server = STR("submission"),
		.default_domain = default_domain,
		.ask = str_equal(ask, STR("lookup")) ? AUTH_ASK_LOOKUP
		       : str_equal(ask, STR("token")) ? AUTH_ASK_TOKEN
						      : AUTH_ASK_PASSWORD};
	(void)ipaddr_parse(STR("192.0.2.7"), &q.client);
	kind->check(&source, state, &q, a);
	flockfile(stdout);
	printf("%.*s\t%s\t%s\t%s%s%s\t%s\t%s\t%llu\t%s\n", STR_ARG(number), verdicts[a->verdict],
		a->account, a->has_rights ? "rights" : "",
		a->has_rights && a->rights & 1 ? " submit" : "",
		a->has_rights && a->rights & 2 ? " relay" : "", a->clear, a->scram[0],
		(unsigned long long)(clock_monotonic_ms() - start), a->reason);
	fflush(stdout);
	funlockfile(stdout);
	mem_free(a);
	free(arg);
	return NULL;
}

// Ends when all have been answered and each thread has given back what libraries keep for it.
static void answer_lines(void)
{
	static pthread_t threads[QUESTIONS_MAX];
	static char line[8192];
	size_t count = 0;

	while (fgets(line, sizeof line, stdin)) {
		line[strcspn(line, "\n")] = '\0';
		if (count == QUESTIONS_MAX ||
			pthread_create(&threads[count++], NULL, answer, str_dup(str_from(line))))
			fatal("no thread");
	}
	while (count)
		pthread_join(threads[--count], NULL);
}

int main(int argc, char **argv)
{
	struct error err = {0};

	signal(SIGPIPE, SIG_IGN);
	if (argc < 2 || !(kind = auth_source_kind_find(str_from(argv[1]))))
		fatal("usage: ask-source KIND key=value ...");
	source.kind = source.name = str_from(argv[1]);
	for (int i = 2; i < argc; i++)
		set(str_from(argv[i]));
	if (kind->prepare && kind->prepare(&source, &state, &err)) {
		printf("failed\t%s\n", err.text);
		return 1;
	}
	printf("ready\n");
	fflush(stdout);
	answer_lines();
	if (kind->finish)
		kind->finish(state);
	return 0;
}
