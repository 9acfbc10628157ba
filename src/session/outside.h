// SPDX-License-Identifier: ISC
// The private socket of smtpd, RUN_FOLDER/smtpd-private: root, the server's own user and members of
// the group pabal-admin ask there what a client from anywhere would be told. It takes a PROXY header
// of version 2 (net/proxy.h) with the client's address and port and the server's, where
// 0 stands for the first listener of the server block; then SMTP, in which the
// session is a rehearsal (session/session.h): only HELO, EHLO, MAIL, RCPT, RSET, NOOP and QUIT lead
// anywhere, and nothing is ever accepted for delivery.
//
// With OUTSIDE_TLV_EXPLAIN every reply is followed by one line of JSON, which begins with "{" and so is
// no line of a reply:
//   {"step":"rcpt","kind":"refuse","rule":"relay-denied","where":"clients /etc/pabal/pabal.conf:7",
//    "code":550,"status":"5.7.1","text":"relay-denied: …","facts":{…}}
// code 0: no reply, the connection is closed without a word. kind: allow, hold, defer, refuse, drop
// (and the end), discard. where: "" when the rule is built in. facts: what was known when it was
// decided, as role/smtpd_explain.c writes it. A header that is not understood is answered 501 and the
// end.
#ifndef PABAL_SESSION_OUTSIDE_H
#define PABAL_SESSION_OUTSIDE_H

#define OUTSIDE_SOCKET "smtpd-private"

// Custom types of a PROXY header (0xE0 to 0xEF); each at most once.
enum {
	OUTSIDE_TLV_SERVER = 0xe0,  // name of the server block; none: the one that takes mail from outside,
	                            // with an account the one that asks for a login
	OUTSIDE_TLV_TLS = 0xe1,     // empty: as if under TLS
	OUTSIDE_TLV_ACCOUNT = 0xe2, // as if this account had logged in; only together with explain
	OUTSIDE_TLV_EXPLAIN = 0xe3, // a line of JSON behind each reply; "brief": with "recipient" and
	                            // "local_domain" of the facts alone; else empty
	OUTSIDE_TLV_VOUCHED = 0xe4, // empty: where our directory does not know the account, another
	                            // password source does
};

#endif
