// SPDX-License-Identifier: ISC
// Body stages: what every body passes on its way in. A stage looks at the octets and
// may refuse, hold or add fields and edits; it never rewrites what is stored.
#ifndef PABAL_FILTER_STAGE_H
#define PABAL_FILTER_STAGE_H

#include "config/config.h"
#include "config/limits.h"
#include "message/envelope.h"
#include "base/buf.h"

// What stages know of the message; const for them.
struct stage_facts {
	const struct config *config;
	const struct config_server *server;
	bool authors;               // gather who From: and Sender: say it is from
	struct str sender;          // of MAIL, "" for <>: the From: of a submission that has none
	bool submission;            // from an authenticated client: RFC 6409 fix-up applies
	uint64_t header_size;       // octets; 0: as the configuration says for everybody
	uint64_t header_fields;     // 0: any number
	uint64_t id;                // message or session id, for a Message-ID of ours
	uint64_t wall_ms;
	const struct envelope_recipient *recipients;
	unsigned recipient_count;
};

// What stages decided, all together. The first refusal stands.
struct stage_result {
	unsigned code;              // 0: accepted
	char enhanced[12];
	char text[256];             // of the refusal
	const char *rule;           // "hops", "header-size", "header-fields", "header-from"
	bool is_limit;              // it was this one that was reached, and how far it was passed
	enum config_limit_id limit_id;
	uint64_t count;
	bool hold;
	char hold_reason[128];
	struct buf fields;          // added in front, behind our Received
	struct buf edits;           // message/edit.h
	struct buf authors;         // addresses of From:, then of Sender:, an LF between
	unsigned author_count;      // of From:
};

struct stage;                    // one stage at work on one body
struct stage_class {
	const char *name;
	// NULL when the stage does not apply to this message.
	struct stage *(*begin)(const struct stage_facts *facts);
	void (*octets)(struct stage *s, struct str octets, struct stage_result *result);
	void (*end)(struct stage *s, struct stage_result *result);
	void (*destroy)(struct stage *s);
};

#define STAGE_AUTHORS_MAX 100 // addresses in result.authors

// The stages in order; the table is in stage.c: limits (sizes, hops), submission, senders.
struct stage_run;
struct stage_run *stage_run_create(const struct stage_facts *facts);
void stage_run_octets(struct stage_run *r, struct str octets);
// Borrowed; valid until destroy.
const struct stage_result *stage_run_end(struct stage_run *r);
void stage_run_destroy(struct stage_run *r);

#endif
