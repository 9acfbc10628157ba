// SPDX-License-Identifier: ISC
// Fields that we write: Received, Message-ID, Date, Delivered-To, Return-Path.
#ifndef PABAL_MESSAGE_TRACE_H
#define PABAL_MESSAGE_TRACE_H

#include "base/buf.h"
#include "base/ipaddr.h"

struct trace_received {
	struct str helo;            // as the client said it; unprintable octets become '?'
	struct str reverse;         // verified reverse name of the client, "" for unknown
	struct ipaddr client;
	struct str hostname;        // ours
	bool esmtp, tls, auth, utf8;// choose SMTP/ESMTP/ESMTPS/ESMTPA/ESMTPSA, UTF8SMTP… (RFC 3848, 6531)
	struct str tls_version;     // "TLSv1.3"
	struct str tls_cipher;      // "TLS_AES_256_GCM_SHA384"
	unsigned tls_bits;
	uint64_t id;                // session id with which it can be traced
	struct str recipient;       // only when there is exactly one, else ""
	uint64_t wall_ms;
};

// Each appends one whole field that ends with CRLF, or nothing (ERR_LIMIT). Lines have at most
// 78 octets where the words allow it. Octets from the wire that could break or fake a part of
// the field become '?'.

// RFC 5321 4.4. The account's name is not told. client.family 0: no address is told.
int trace_add_received(struct buf *out, const struct trace_received *t);
int trace_add_date(struct buf *out, uint64_t wall_ms);
// "<ID.RANDOM@HOSTNAME>": unique also when one id is used for several messages.
int trace_add_message_id(struct buf *out, uint64_t id, struct str hostname);
int trace_add_delivered_to(struct buf *out, struct str address);
int trace_add_return_path(struct buf *out, struct str sender);

#endif
