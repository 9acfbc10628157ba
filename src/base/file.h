// SPDX-License-Identifier: ISC
// Files: whole reads and writes, syncing, names that are safe in a path.
#ifndef PABAL_BASE_FILE_H
#define PABAL_BASE_FILE_H

#include "base/buf.h"
#include "base/error.h"

// Closes if fd >= 0 and sets *fd to -1; errno is kept.
void fd_close(int *fd);
int fd_set_cloexec(int fd, bool on);
int fd_set_nonblocking(int fd);
// Writes all of it, through EINTR; ERR_FULL when the device is full.
int fd_write_all(int fd, const void *data, size_t len);
int fd_sync(int fd); // fsync, through EINTR
// Reads until end or limit octets (ERR_LIMIT when there is more).
int fd_read_all(int fd, struct buf *out, size_t limit);
int file_read_all(const char *path, struct buf *out, size_t limit, struct error *err);
// Writes to a temporary file beside path, syncs it, renames it over path, syncs the folder.
int file_replace(const char *path, struct str content, unsigned mode, struct error *err);
int file_sync_folder_of(const char *path);
// The part of a mailbox path made from a local part or domain (design: names):
// lower-cased, NFC, every octet outside [a-z0-9._+@=-], a leading dot and the
// names "." and ".." percent-encoded. ERR_LIMIT over 255 octets, ERR_SYNTAX
// when empty or not UTF-8.
int file_name_encode(struct str name, struct buf *out);
// mkdir -p below an open folder, without following links. mode as mkdir.
int file_make_folders(int at, const char *path, unsigned mode);
// openat2 with RESOLVE_BENEATH|RESOLVE_NO_SYMLINKS and O_CLOEXEC.
int file_open_beneath(int at, const char *path, int flags, unsigned mode);

#endif
