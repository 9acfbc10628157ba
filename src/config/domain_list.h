// SPDX-License-Identifier: ISC
// Lists of domains as qmail has them: rcpthosts and locals (text, a domain a line), and
// morercpthosts.cdb (the domains are the keys). Pure.
#ifndef PABAL_CONFIG_DOMAIN_LIST_H
#define PABAL_CONFIG_DOMAIN_LIST_H

#include "base/buf.h"
#include "base/error.h"

struct domain_list_sink {
	void *arg;
	// name: normalised, ".name" for everything below it. line: 0 of a .cdb. False: enough.
	bool (*domain)(void *arg, struct str name, unsigned line);
	void (*odd)(void *arg, unsigned line, struct str text); // is no domain and never matches
};

// One entry, as written: ".example.kr" and "*.example.kr" become ".example.kr". ERR_SYNTAX.
#define DOMAIN_ENTRY_MAX 256
int domain_list_entry(struct str text, char out[DOMAIN_ENTRY_MAX + 1]);
// Blank lines and those that begin with "#" say nothing; blanks and a CR around an entry neither.
void domain_list_text(struct str text, const struct domain_list_sink *sink);
int domain_list_cdb(struct str octets, const struct domain_list_sink *sink); // ERR_CORRUPT

#endif
