// SPDX-License-Identifier: ISC
// Whether a file or folder is the recipient's own and nobody else's: what local delivery may write to,
// and what may tell it what to do. Runs in the recipient's rights; the rules keep other users from
// leading mail to where they like.
#ifndef PABAL_DELIVER_SAFE_H
#define PABAL_DELIVER_SAFE_H

#include "base/error.h"

#include <stdbool.h>
#include <sys/stat.h>
#include <sys/types.h>

struct safe_owner {
	uid_t uid;
	gid_t gid;           // of the user: folders of this group may be writable for it
	gid_t mailbox_group; // the same for the folder of the mboxes; (gid_t)-1: none
};

// Every folder on an absolute path, without its last part: owned by root or the owner, not writable by
// others unless sticky, by a group only when it is root's or one of the owner's above. Symbolic links on
// the way must belong to root or the owner. 0, ERR_DENIED, ERR_NOT_FOUND or ERR_SYSTEM, with words.
int safe_folders(const struct safe_owner *o, const char *path, struct error *err);
// A plain file with one name, of the owner. readable: root's will do as well, and nobody else may write
// to it (files that say what is done with the mail). st is of the open file.
int safe_file(const struct safe_owner *o, const struct stat *st, bool readable, const char *path,
	struct error *err);

// Opens a file that says what is done with the mail, checked as above (folders included), and reads it.
// ERR_NOT_FOUND: there is none. ERR_LIMIT: larger than limit. out_mode: its permissions; may be NULL.
struct buf;
int safe_read(const struct safe_owner *o, const char *path, size_t limit, struct buf *out,
	mode_t *out_mode, struct error *err);

#endif
