// SPDX-License-Identifier: ISC
// Which files the configuration builder may have: a builder that was taken over by a file it
// parses must not choose what master opens. Nothing is parsed here; names are compared.
#ifndef PABAL_ROLE_GRANT_H
#define PABAL_ROLE_GRANT_H

#include "base/error.h"
#include "config/config.h"

struct grant;
// Owned by the caller. config_path is absolute, without symbolic links.
struct grant *grant_create(const char *config_path);
// For a builder that makes nothing but tables: it may have the files of tables that the
// configuration in force names, and no other.
struct grant *grant_create_for_tables(const struct config *config);
void grant_destroy(struct grant *g); // NULL is fine

// 0 for the configuration itself, for what lies in its folder or in /etc/pabal, for what a file
// given to grant_remember names in quotes (absolute, or as seen from that file's folder), and for
// the self-signed certificate of a state folder that is the usual one or named so. Symbolic links
// are not looked at: who may make one there may write the configuration. ERR_DENIED with words.
int grant_check(const struct grant *g, const char *path, struct error *err);
// The same of a grant for tables: a list (rules, domains) or what lies beside it with or without
// .cdb, an aliases file, or what a file given to grant_remember includes. *out_kind: what it may
// be opened as, which is not for the builder to say.
int grant_check_table(const struct grant *g, const char *path, enum config_table *out_kind,
	struct error *err);
// What is opened as an include: what leads to it may be in the hands of any user, so it must be what
// everybody can read, or a file of root's (or of the server's user) in the folder of the aliases.
int grant_check_include(const struct grant *g, int fd, const char *path, struct error *err);
// As grant_remember, for aliases and what they include; of a file of another user nothing is kept.
void grant_remember_aliases(struct grant *g, const char *path, int fd);
// Keeps the text of a file that was given, as it may name others; fd stays where it is. One with
// something in PEM form is no configuration and names nothing.
void grant_remember(struct grant *g, const char *path, int fd);

#endif
