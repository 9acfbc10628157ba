// SPDX-License-Identifier: ISC
// A file in the format of /etc/aliases (sendmail, Postfix): which name stands for which targets.
// Pure; what a target means is not looked at, but for :include: whose content is put in its place.
#ifndef PABAL_CONFIG_ALIASES_FILE_H
#define PABAL_CONFIG_ALIASES_FILE_H

#include "config/tables.h"

#include "base/buf.h"

#define ALIASES_NAME_MAX 320 // octets
#define ALIASES_INCLUDE_SIZE_MAX ((size_t)1 << 20)

struct aliases_sink {
	void *arg;
	// name: lower case, without quotes. targets: on one line, ", " between. False: enough.
	bool (*alias)(void *arg, struct str name, struct str targets, unsigned line);
	// Content of an :include: file. *out_trusted: it belongs to who may write the aliases, so
	// that programs, files and further includes in it count.
	int (*include)(void *arg, const char *path, struct buf *out, bool *out_trusted,
		struct error *err);
	void (*tell)(void *arg, char severity, struct str file, unsigned line, const char *words);
};

// NAME: TARGET, TARGET... with continuation lines (that begin with a blank, or after a "\" at the
// end), comments and names in quotes. What is wrong in the file itself or in a trusted include is
// told with 'E'. An include that cannot be read stays ":include:PATH" among the targets, told
// with 'W': mail to such an alias has to wait.
void aliases_file_text(struct str text, struct str file, const struct aliases_sink *sink);

#endif
