// SPDX-License-Identifier: ISC
// A message as a mailbox or a program of this system gets it: with the line ends of the system, the
// fields of the last step in front, and quoted where the format needs it.
#ifndef PABAL_DELIVER_COPY_H
#define PABAL_DELIVER_COPY_H

#include "deliver/deliver.h"

struct deliver_copy {
	// Takes all octets, or gives a negative number with errno set.
	int (*write)(void *arg, const void *data, size_t len);
	void *arg;
	const char *address;   // of Delivered-To; NULL: no fields are put in front
	const char *from_line; // "From sender Thu ...\n" in front of all; NULL: none
	// mboxrd: each line that is ">*From " gets one more > (so that no line of a message looks like the
	// beginning of another one), and so does what mbox.c takes for the sign of a torn message.
	bool quote;
};

#define DELIVER_COPY_TORN "Pabal-Torn " // mbox.c

// The whole message; after it, when quote is set, an empty line. 0, or negative with errno set: the body
// cannot be read, is damaged (EBADMSG), or cannot be written.
int deliver_copy(const struct deliver_copy *c, const struct deliver_job *job);
int deliver_copy_to_fd(void *arg, const void *data, size_t len); // a write; arg: int *

// "From SENDER Thu Nov 19 13:02:14 2026\n" (RFC 4155, UTC) for now. Blanks in the sender become -.
void deliver_from_line(const char *sender, char *out, size_t size);

// Whether the message has passed this mailbox before: a field Delivered-To with this address stands in
// its header section (of which the first 256 KiB are looked at).
bool deliver_has_passed(const struct deliver_job *job, const char *address);

#endif
