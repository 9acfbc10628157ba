// SPDX-License-Identifier: ISC
// A small disk, whatever the real one is: the store keeps little in reserve and moves its log
// often.
#undef _FILE_OFFSET_BITS // each call has one name here

#include <string.h>
#include <sys/statvfs.h>

#define DISK_OCTETS (16UL * 1024 * 1024)
#define DISK_BLOCK  4096

int fstatvfs(int fd, struct statvfs *out)
{
	memset(out, 0, sizeof(*out));
	out->f_bsize = out->f_frsize = DISK_BLOCK;
	out->f_blocks = DISK_OCTETS / DISK_BLOCK;
	out->f_bfree = out->f_bavail = out->f_blocks / 4 * 3;
	return 0;
}

int fstatvfs64(int fd, struct statvfs64 *out)
{
	return fstatvfs(fd, (struct statvfs *)out);
}
