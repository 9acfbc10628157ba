// SPDX-License-Identifier: ISC
// Tables without a server around them. Commands on standard input, a line each:
//   rules PATH     builds tables of a rules file; answers "errors N" and a line for each finding
//   ask IP [HOST]  answers "none", or "rule NAME ACTION" and what it says, a line each, then "."
// `ask-tables bench RULES DOMAINS` measures building and looking up, and prints a line of numbers.
#include "base/buf.h"
#include "base/clock.h"
#include "base/memory.h"
#include "config/config.h"

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static struct tables *tables;
static struct buf octets;

static size_t build(const struct config *c, struct config_findings *findings)
{
	struct config_reader reader = config_reader_local();
	tables_close(tables);
	tables = NULL;
	buf_clear(&octets);
	if (!tables_build(c, &reader, &octets, findings) && tables_open(buf_str(&octets), &tables))
		fatal("what was built cannot be opened");
	return findings->errors;
}

static void take_rules(struct str path)
{
	struct config c = {.rules = {&path, 1}};
	struct config_findings findings = {0};
	size_t errors = build(&c, &findings);
	printf("errors %zu\n", errors);
	for (size_t i = 0; i < findings.count; i++)
		printf("%c %u %.*s\n", findings.items[i].severity, findings.items[i].line,
			STR_ARG(findings.items[i].text));
	printf(".\n");
	config_findings_finish(&findings);
}

static void ask(struct str address, struct str host)
{
	static const char *const actions[] = {"allow", "relay", "deny"};
	struct client_rule r;
	struct ipaddr a;
	bool needs_host;
	if (ipaddr_parse(address, &a))
		fatal("not an address: %.*s", STR_ARG(address));
	if (!tables || !tables_client_rule(tables, &a, host, &r, &needs_host)) {
		printf("none\n");
		return;
	}
	printf("rule %.*s\n%s\n", STR_ARG(r.name), actions[r.action]);
	if (r.action == CLIENT_RELAY)
		printf("RELAYCLIENT=%.*s\n", STR_ARG(r.relay_suffix));
	if (r.has_databytes)
		printf("DATABYTES=%llu\n", (unsigned long long)r.databytes);
	if (r.has_rblsmtpd)
		printf("RBLSMTPD=%.*s\n", STR_ARG(r.rblsmtpd));
	if (r.has_maxrcpt)
		printf("MAXRCPT=%llu\n", (unsigned long long)r.maxrcpt);
	printf(".\n");
}

// ---- bench

static double seconds(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static char (*make_names(size_t count))[48]
{
	char(*names)[48] = mem_array(count, sizeof *names);
	for (size_t i = 0; i < count; i++)
		snprintf(names[i], sizeof *names, "%zu.dom%zu.example.kr", i % 7, i * 7919 % count);
	return names;
}

static double time_rules(size_t questions)
{
	struct client_rule r;
	bool needs_host;
	size_t found = 0;
	uint32_t state = 1;
	double start = seconds();
	for (size_t i = 0; i < questions; i++) {
		state = state * 1664525 + 1013904223;
		struct ipaddr a = {4, {10, (uint8_t)(state >> 24), (uint8_t)(state >> 16), (uint8_t)(state >> 8)}};
		found += tables_client_rule(tables, &a, STR("mail.example.kr"), &r, &needs_host);
	}
	double took = seconds() - start;
	return found ? took / (double)questions * 1e9 : 0;
}

static double time_domains(size_t questions, size_t domains)
{
	char(*names)[48] = make_names(domains);
	size_t found = 0;
	double start = seconds();
	for (size_t i = 0; i < questions; i++) {
		const char *name = names[i * 104729 % domains];
		found += tables_domain(tables, str_make(name, strlen(name)), NULL, NULL) != TABLES_DOMAIN_NONE;
	}
	double took = seconds() - start;
	mem_free(names);
	return found ? took / (double)questions * 1e9 : 0;
}

static int bench(struct str rules, struct str domains)
{
	struct config c = {.rules = {&rules, 1}, .domain_files = {&domains, 1}};
	struct config_findings findings = {0};
	double start = seconds();
	if (build(&c, &findings))
		fatal("%zu errors", findings.errors);
	double built = seconds() - start;
	size_t count = tables_domain_count(tables);
	// Each process that uses them has this struct, and the octets are there once.
	printf("{\"domains\": %zu, \"octets\": %zu, \"build_seconds\": %.3f, \"rule_ns\": %.0f, "
	       "\"domain_ns\": %.0f}\n",
		count, buf_len(&octets), built, time_rules(1000000), time_domains(1000000, count));
	config_findings_finish(&findings);
	return 0;
}

int main(int argc, char **argv)
{
	static char line[65536];
	if (argc == 4 && !strcmp(argv[1], "bench"))
		return bench(str_from(argv[2]), str_from(argv[3]));
	while (fgets(line, sizeof line, stdin)) {
		struct str rest = str_trim(str_from(line)), verb, word;
		str_split(&rest, ' ', &verb);
		if (str_equal(verb, STR("rules"))) {
			char *path = str_dup(rest);
			take_rules(str_from(path));
			free(path);
		} else if (str_equal(verb, STR("ask")) && str_split(&rest, ' ', &word)) {
			ask(word, rest.data ? rest : STR_EMPTY);
		}
		fflush(stdout);
	}
	tables_close(tables);
	buf_finish(&octets);
	return 0;
}
