// SPDX-License-Identifier: ISC
#include "deliver/mbox_torn.h"

#include "base/str.h"
#include "deliver/copy.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#define STEP     65536
#define OVERLAP  64 // longer than a mark with the line end before it
#define LOOK_MAX ((uint64_t)256 * 1024 * 1024)

void mbox_torn_sign(uint64_t offset, char *out, size_t len)
{
	char sign[64];
	int n = snprintf(sign, sizeof sign, DELIVER_COPY_TORN "%016llx", (unsigned long long)offset);
	memset(out, ' ', len);
	memcpy(out, sign, (size_t)n < len ? (size_t)n : len);
	out[len - 1] = '\n';
}

// Does a line that begins at data[at] say that it is the sign of this offset? At the end of the file the
// sign itself may be torn.
static bool is_sign(struct str s, size_t at, uint64_t offset)
{
	size_t word = sizeof DELIVER_COPY_TORN - 1, whole = word + 16, here = s.len - at;
	char sign[MBOX_FROM_LEAST + 1];
	mbox_torn_sign(offset, sign, sizeof sign);
	if (here <= word)
		return false;
	return str_starts(str_skip(s, at), str_make(sign, here < whole ? here : whole));
}

enum found { FOUND_NOTHING, FOUND_MESSAGE, FOUND_SIGN };

// The last line in s that begins a message. offset: of s in the file.
static enum found find_last(struct str s, uint64_t offset, uint64_t *out_at)
{
	for (size_t at = s.len; at-- > 0;) {
		bool starts = at ? s.data[at - 1] == '\n' : offset == 0;
		if (!starts || (s.data[at] != 'F' && s.data[at] != DELIVER_COPY_TORN[0]))
			continue;
		bool after_empty = offset + at == 0 || (at > 1 && s.data[at - 2] == '\n');
		*out_at = offset + at;
		if (is_sign(s, at, offset + at))
			return FOUND_SIGN;
		if (after_empty && str_starts(str_skip(s, at), STR("From ")))
			return FOUND_MESSAGE;
	}
	return FOUND_NOTHING;
}

static int read_at(int fd, char *out, size_t len, uint64_t offset)
{
	size_t done = 0;
	while (done < len) {
		ssize_t n = pread(fd, out + done, len - done, (off_t)(offset + done));
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			errno = n < 0 ? errno : EIO;
			return ERR_SYSTEM;
		}
		done += (size_t)n;
	}
	return 0;
}

int mbox_torn_find(int fd, uint64_t size, uint64_t *out_size)
{
	char space[STEP + OVERLAP];
	uint64_t end = size, least = size > LOOK_MAX ? size - LOOK_MAX : 0, at;
	enum found found = FOUND_NOTHING;
	*out_size = size;
	while (end > least && !found) {
		uint64_t from = end - least > STEP ? end - STEP : least;
		// With what follows, for a mark over the border, and the line end before it.
		size_t len = (size_t)((size - from < STEP + OVERLAP ? size - from : STEP + OVERLAP));
		if (read_at(fd, space, len, from))
			return ERR_SYSTEM;
		found = find_last(str_make(space, len), from, &at);
		end = from + (from > least ? 2 : 0); // two octets before a line are looked at
		if (from == least)
			break;
	}
	if (found == FOUND_SIGN)
		*out_size = at;
	return 0;
}
