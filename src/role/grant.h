// SPDX-License-Identifier: ISC
// Which files the configuration builder may have: a builder that was taken over by a file it
// parses must not choose what master opens. Nothing is parsed here; names are compared.
#ifndef PABAL_ROLE_GRANT_H
#define PABAL_ROLE_GRANT_H

#include "base/error.h"

struct grant;
// Owned by the caller. config_path is absolute, without symbolic links.
struct grant *grant_create(const char *config_path);
void grant_destroy(struct grant *g); // NULL is fine

// 0 for the configuration itself, for what lies in its folder or in /etc/pabal, for what a file
// given to grant_remember names in quotes (absolute, or as seen from that file's folder), and for
// the self-signed certificate of a state folder that is the usual one or named so. Symbolic links
// are not looked at: who may make one there may write the configuration. ERR_DENIED with words.
int grant_check(const struct grant *g, const char *path, struct error *err);
// Keeps the text of a file that was given, as it may name others; fd stays where it is. One with
// something in PEM form is no configuration and names nothing.
void grant_remember(struct grant *g, const char *path, int fd);

#endif
