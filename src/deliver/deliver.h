// SPDX-License-Identifier: ISC
// What every deliverer gets and gives: one message, some recipients, one result each.
#ifndef PABAL_DELIVER_DELIVER_H
#define PABAL_DELIVER_DELIVER_H

#include "deliver/quota.h"
#include "ipc/messages.h"
#include "message/edit.h"
#include "smtp/client.h"

#define DELIVER_RECIPIENTS_MAX 1000

struct deliver_recipient {
	uint64_t id;
	const char *address, *domain, *orcpt;
	unsigned notify;
	struct smtp_result result; // filled before done
	bool relayed_dsn;
	struct quota_limits quota; // of the mailbox
	struct quota_usage usage;  // after the try, when counted
	bool counted;
	// at role local
	enum ipc_target kind;
	const char *detail;        // of a subaddress, "" : none
	const char *original;      // address as it was accepted
	struct buf children;       // ipc child records: it was expanded into these
};

// One try. Owned by whoever made it (deliver_job_create); everything in it lives until destroy.
struct deliver_job {
	uint64_t job, message;
	const char *destination; // domain or route key
	unsigned route;          // index in config->routes + 1; 0: by MX
	const char *sender, *envid;
	unsigned ret;
	bool smtputf8, eightbit;
	struct str headers, edits;
	uint64_t size;           // of the stored body
	struct str body;         // inline octets, or
	int body_fd;             // spool file (-1: inline)
	struct deliver_recipient *recipients;
	unsigned recipient_count;
	// results about the try as a whole
	char remote[300];        // host [address]
	char tls[100];
	unsigned blame;          // ipc tried.blame
	uint64_t started_ms;
	void *owner;
};

// From an IPC try frame (copies). Takes fd. ERR_CORRUPT.
int deliver_job_create(struct str frame_body, int fd, struct deliver_job **out);
// The answer to a frame that deliver_job_create refused: no result for anybody, which the queue
// takes for a temporary failure.
void deliver_job_refuse(struct str frame_body, struct ipc_tried *out);
void deliver_job_destroy(struct deliver_job *j);
// Sets the result of every recipient without one.
void deliver_job_fail(struct deliver_job *j, enum smtp_outcome outcome, unsigned code,
	const char *enhanced, const char *format, ...) __attribute__((format(printf, 5, 6)));
// Encodes the `tried` message.
int deliver_job_result(const struct deliver_job *j, struct ipc_tried *out, struct buf *outcomes);

#endif
