// SPDX-License-Identifier: ISC
// The client against written dialogues. A script is lines:
//   S text     the server says this (lines that follow each other come in one piece,
//              and in a second run octet by octet)
//   C text     the client says exactly this next; a script accounts for all of it
//   ! action   message, body, tls, quit, broken, start, answer, cancel, done, fail
//   A ...      how far logging in has come, with the mechanisms or the challenge
//   W want     what the client wants now
//   R n ...    the result of recipient n: outcome, code, enhanced code, text
//   F ...      the same for the session
//   N yes|no   whether another host may be tried
#include "smtp/client.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

enum { PLAIN = 0, LMTP = 1, AUTHENTICATE = 2 };

struct dialogue {
	const char *name;
	unsigned flags;
	enum smtp_client_tls tls;
	unsigned recipients;		    // 0: one
	struct smtp_client_message message; // sender NULL: kim@example.kr
	const char *script;
};

// Longer than a command may be with it.
#define LONG \
	"01234567890123456789012345678901234567890123456789012345678901234567890123456789" \
	"01234567890123456789012345678901234567890123456789012345678901234567890123456789" \
	"01234567890123456789012345678901234567890123456789012345678901234567890123456789" \
	"01234567890123456789012345678901234567890123456789012345678901234567890123456789" \
	"0123456789012345678901234567890123456789012345678901234567890123456789"
#define LONG64 \
	"MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5" \
	"MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5" \
	"MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5" \
	"MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5" \
	"MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5" \
	"MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5" \
	"MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5"
#define HELLO "S 220 mx.example.org ESMTP\nC EHLO me.example.kr\n"
#define HELLO_ALL                                                                                  \
	HELLO                                                                                      \
	"S 250-mx.example.org\nS 250-PIPELINING\nS 250-SIZE 1000\nS 250-8BITMIME\n"                \
	"S 250-SMTPUTF8\nS 250-DSN\nS 250-ENHANCEDSTATUSCODES\nS 250 CHUNKING\nW ready\n"
#define HELLO_PIPE HELLO "S 250-mx.example.org\nS 250 PIPELINING\nW ready\n"
#define HELLO_BARE HELLO "S 250 mx.example.org\nW ready\n"
#define MAIL	   "C MAIL FROM:<kim@example.kr>\n"
#define RCPT_A	   "C RCPT TO:<a@example.org>\n"
#define RCPT_B	   "C RCPT TO:<b@example.org>\n"
#define RCPT_C	   "C RCPT TO:<c@example.org>\n"
#define GROUP1	   "! message\n" MAIL RCPT_A "C DATA\n"
#define GROUP3	   "! message\n" MAIL RCPT_A RCPT_B RCPT_C "C DATA\n"
#define GO_ON	   "S 354 go on\nW body\n! body\nW reply\n"

// A script reads from top to bottom.
// clang-format off
static const struct dialogue dialogues[] = {
	{"delivers with all extensions", PLAIN, 0, 2,
		{.size = 900, .eightbit = true, .smtputf8 = true, .ret = SMTP_RET_HDRS, .envid = "E1"},
		HELLO_ALL "! message\n"
		"C MAIL FROM:<kim@example.kr> SIZE=900 BODY=8BITMIME SMTPUTF8 RET=HDRS ENVID=E1\n"
		"C RCPT TO:<a@example.org> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;a@example.org\n"
		"C RCPT TO:<b@example.org> NOTIFY=NEVER\nC DATA\nW reply\n"
		"S 250 2.1.0 ok\nS 250 2.1.5 ok\nS 251 2.1.5 ok\n" GO_ON "S 250 2.0.0 queued as X\n"
		"W ready\nR 0 delivered 250 2.0.0 queued as X\nR 1 delivered 250 2.0.0 queued as X\n"
		"N no\n! quit\nC QUIT\nW reply\nS 221 bye\nW close\n"},
	{"leaves out what was not offered", PLAIN, 0, 1,
		{.size = 900, .ret = SMTP_RET_FULL, .envid = "E1"},
		HELLO_PIPE GROUP1 "S 250 ok\nS 250 ok\n" GO_ON "S 250 ok\nW ready\n"
		"R 0 delivered 250 2.0.0 ok\n"},
	{"goes step by step without PIPELINING", PLAIN, 0, 2, {0},
		HELLO_BARE "! message\n" MAIL "S 250 ok\n" RCPT_A "S 250 ok\n" RCPT_B "S 550 no\n"
		"C DATA\n" GO_ON "S 250 ok\nW ready\nR 0 delivered 250 2.0.0 ok\n"
		"R 1 permanent 550 5.0.0 no\nN no\n"},
	{"sends two messages over one connection", PLAIN, 0, 1, {0},
		HELLO_PIPE GROUP1 "S 250 ok\nS 250 ok\n" GO_ON "S 250 one\nW ready\n"
		"R 0 delivered 250 2.0.0 one\n" GROUP1 "S 250 ok\nS 250 ok\n" GO_ON
		"S 250 two\nW ready\nR 0 delivered 250 2.0.0 two\n"},
	// refusals of recipients
	{"delivers to the recipients that were taken", PLAIN, 0, 3, {0},
		HELLO_PIPE GROUP3 "S 250 ok\nS 550 5.1.1 unknown\nS 250 ok\nS 452 4.2.2 full\n" GO_ON
		"S 250 2.6.0 queued\nW ready\nR 0 permanent 550 5.1.1 unknown\n"
		"R 1 delivered 250 2.6.0 queued\nR 2 temporary 452 4.2.2 full\nN no\n"},
	{"gives a refused body to the taken recipients only", PLAIN, 0, 2, {0},
		HELLO_PIPE "! message\n" MAIL RCPT_A RCPT_B "C DATA\n"
		"S 250 ok\nS 550 5.1.1 unknown\nS 250 ok\n" GO_ON "S 554 5.7.1 spam\nW ready\n"
		"R 0 permanent 550 5.1.1 unknown\nR 1 permanent 554 5.7.1 spam\nN no\n"},
	{"sends no body when nobody was taken", PLAIN, 0, 2, {0},
		HELLO_PIPE "! message\n" MAIL RCPT_A RCPT_B "C DATA\n"
		"S 250 ok\nS 550 a\nS 450 b\nS 554 no valid recipients\nC RSET\nW reply\nS 250 ok\n"
		"W ready\nR 0 permanent 550 5.0.0 a\nR 1 temporary 450 4.0.0 b\nN no\n"},
	{"answers a 354 for nobody with a lone dot", PLAIN, 0, 1, {0},
		HELLO_PIPE GROUP1 "S 250 ok\nS 550 no\nS 354 go on\nC .\nW reply\nS 554 nobody\n"
		"C RSET\nS 250 ok\nW ready\nR 0 permanent 550 5.0.0 no\n"},
	{"sends no DATA when nobody was taken, step by step", PLAIN, 0, 1, {0},
		HELLO_BARE "! message\n" MAIL "S 250 ok\n" RCPT_A "S 550 no\nC RSET\nS 250 ok\n"
		"W ready\nR 0 permanent 550 5.0.0 no\n"},
	{"takes 552 to a later recipient as too many", PLAIN, 0, 3, {0},
		HELLO_PIPE GROUP3 "S 250 ok\nS 250 ok\nS 552 too many\nS 552 5.2.2 mailbox full\n"
		GO_ON "S 250 ok\nW ready\nR 0 delivered 250 2.0.0 ok\n"
		"R 1 temporary 552 4.0.0 too many\nR 2 permanent 552 5.2.2 mailbox full\n"},
	{"takes 552 to the first recipient as said", PLAIN, 0, 1, {0},
		HELLO_PIPE GROUP1 "S 250 ok\nS 552 full\nS 503 no\nC RSET\nS 250 ok\nW ready\n"
		"R 0 permanent 552 5.0.0 full\n"},
	// refusals of MAIL and DATA
	{"gives a refused sender to all", PLAIN, 0, 2, {0},
		HELLO_PIPE "! message\n" MAIL RCPT_A RCPT_B "C DATA\n"
		"S 550 5.7.1 not you\nS 503 a\nS 503 b\nS 503 c\nC RSET\nS 250 ok\nW ready\n"
		"R 0 permanent 550 5.7.1 not you\nR 1 permanent 550 5.7.1 not you\nN no\n"},
	{"ends a transaction of a refused sender with a lone dot", PLAIN, 0, 1, {0},
		HELLO_PIPE GROUP1 "S 451 4.3.0 later\nS 250 ok\nS 354 go on\nC .\nS 250 hm\nC RSET\n"
		"S 250 ok\nW ready\nR 0 temporary 451 4.3.0 later\nN yes\n"},
	{"tries another host when MAIL is put off", PLAIN, 0, 1, {0},
		HELLO_BARE "! message\n" MAIL "S 451 4.3.0 later\nW ready\n"
		"R 0 temporary 451 4.3.0 later\nN yes\n"},
	{"puts off when DATA is put off", PLAIN, 0, 1, {0},
		HELLO_PIPE GROUP1 "S 250 ok\nS 250 ok\nS 451 4.3.0 later\nC RSET\nS 250 ok\nW ready\n"
		"R 0 temporary 451 4.3.0 later\nN no\n"},
	{"takes several lines of refusal as one text", PLAIN, 0, 1, {0},
		HELLO_BARE "! message\n" MAIL "S 250 ok\n" RCPT_A
		"S 550-5.7.1 blocked,\nS 550 5.7.1 see\there\nC RSET\nS 250 ok\nW ready\n"
		"R 0 permanent 550 5.7.1 blocked, see here\n"},
	{"does not believe an enhanced code of another class", PLAIN, 0, 1, {0},
		HELLO_BARE "! message\n" MAIL "S 250 ok\n" RCPT_A "S 550 2.1.5 odd\nC RSET\nS 250 ok\n"
		"W ready\nR 0 permanent 550 5.0.0 2.1.5 odd\n"},
	{"keeps results when RSET fails", PLAIN, 0, 1, {0},
		HELLO_BARE "! message\n" MAIL "S 250 ok\n" RCPT_A "S 550 no\nC RSET\nS 500 what\n"
		"W close\nR 0 permanent 550 5.0.0 no\nN no\n"},
	// what is never sent
	{"refuses what is over the announced size", PLAIN, 0, 2, {.size = 1001},
		HELLO_ALL "! message\nW ready\n"
		"R 0 permanent 0 5.3.4 the message is larger than the server takes\n"
		"R 1 permanent 0 5.3.4 the message is larger than the server takes\nN no\n"},
	{"sends what is just as large as announced", PLAIN, 0, 1, {.size = 1000},
		HELLO_ALL "! message\nC MAIL FROM:<kim@example.kr> SIZE=1000\n"
		"C RCPT TO:<a@example.org> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;a@example.org\n"
		"C DATA\n"},
	{"takes SIZE 0 and SIZE alone as no bound", PLAIN, 0, 1, {.size = 5000},
		HELLO "S 250-mx.example.org\nS 250 size 0\nW ready\n! message\n"
		"C MAIL FROM:<kim@example.kr> SIZE=5000\n"},
	{"refuses SMTPUTF8 to a host without", PLAIN, 0, 1, {.smtputf8 = true},
		HELLO_PIPE "! message\nW ready\nR 0 permanent 0 5.6.7 "
		"the message needs SMTPUTF8, which the server does not offer\n"},
	{"sees that a sender needs SMTPUTF8", PLAIN, 0, 1, {.sender = "김@example.kr"},
		HELLO_PIPE "! message\nW ready\nR 0 permanent 0 5.6.7 "
		"the message needs SMTPUTF8, which the server does not offer\n"},
	{"says SMTPUTF8 for a sender that needs it", PLAIN, 0, 1, {.sender = "김@example.kr"},
		HELLO_ALL "! message\nC MAIL FROM:<김@example.kr> SIZE=0 SMTPUTF8\n"
		"C RCPT TO:<a@example.org> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;a@example.org\n"
		"C DATA\n"},
	{"refuses eight bits to a host without", PLAIN, 0, 1, {.eightbit = true},
		HELLO_PIPE "! message\nW ready\nR 0 permanent 0 5.6.3 "
		"the message needs 8BITMIME, which the server does not offer\n"},
	{"never sends a line end in an address", PLAIN, 0, 1,
		{.sender = "kim@example.kr>\r\nRCPT TO:<x@example.kr"},
		HELLO_PIPE "! message\nW ready\n"
		"R 0 permanent 0 5.1.3 an address holds control characters\n"},
	// 421 and broken connections
	{"takes 421 at the banner", PLAIN, 0, 1, {0},
		"S 421 4.3.2 busy\nW close\nF temporary 421 4.3.2 busy\nN yes\n! message\n"
		"R 0 temporary 421 4.3.2 busy\nN yes\n"},
	{"takes 421 at EHLO", PLAIN, 0, 1, {0},
		HELLO "S 421 busy\nW close\nF temporary 421 4.0.0 busy\nN yes\n"},
	{"takes 421 while idle", PLAIN, 0, 1, {0},
		HELLO_PIPE "S 421 4.4.2 idle\nW close\n! message\nR 0 temporary 421 4.4.2 idle\nN yes\n"},
	{"takes 421 in the middle of a group", PLAIN, 0, 3, {0},
		HELLO_PIPE GROUP3 "S 250 ok\nS 550 5.1.1 no\nS 250 ok\nS 421 4.3.2 leaving\nW close\n"
		"R 0 permanent 550 5.1.1 no\nR 1 temporary 421 4.3.2 leaving\n"
		"R 2 temporary 421 4.3.2 leaving\nN yes\n"},
	{"takes 421 for a body", PLAIN, 0, 1, {0},
		HELLO_PIPE GROUP1 "S 250 ok\nS 250 ok\n" GO_ON "S 421 leaving\nW close\n"
		"R 0 temporary 421 4.0.0 leaving\nN yes\n"},
	{"puts off when the connection breaks in a group", PLAIN, 0, 2, {0},
		HELLO_PIPE "! message\n" MAIL RCPT_A RCPT_B "C DATA\nS 250 ok\nS 550 no\n! broken\n"
		"W close\nR 0 permanent 550 5.0.0 no\nR 1 temporary 0 4.4.2 lost\nN yes\n"},
	{"puts off and stays when it breaks after the dot", PLAIN, 0, 1, {0},
		HELLO_PIPE GROUP1 "S 250 ok\nS 250 ok\n" GO_ON "! broken\nW close\n"
		"R 0 temporary 0 4.4.2 lost\nN no\n"},
	{"has a reason when it breaks before the banner", PLAIN, 0, 1, {0},
		"! broken\nW close\nF temporary 0 4.4.2 lost\nN yes\n"},
	// banner and EHLO
	{"leaves a host without mail service", PLAIN, 0, 1, {0},
		"S 554 5.3.2 no mail here\nC QUIT\nW close\nF permanent 554 5.3.2 no mail here\nN yes\n"},
	{"leaves a host that is not ready", PLAIN, 0, 1, {0},
		"S 450 4.3.2 not now\nC QUIT\nW close\nF temporary 450 4.3.2 not now\nN yes\n"},
	{"waits for the last line of a banner", PLAIN, 0, 1, {0},
		"S 220-mx.example.org welcomes\nS 220-you\nW reply\nS 220 \nC EHLO me.example.kr\n"},
	{"falls back to HELO", PLAIN, 0, 1, {.size = 5000},
		HELLO "S 502 unknown\nC HELO me.example.kr\nS 250 hi\nW ready\n! message\n" MAIL
		"S 250 ok\n" RCPT_A "S 250 ok\nC DATA\n" GO_ON "S 250 ok\nW ready\n"
		"R 0 delivered 250 2.0.0 ok\n"},
	{"leaves when HELO is refused too", PLAIN, 0, 1, {0},
		HELLO "S 550 5.7.1 go\nC HELO me.example.kr\nS 550 5.7.1 away\nC QUIT\nW close\n"
		"F permanent 550 5.7.1 away\nN yes\n"},
	{"does not fall back when EHLO is put off", PLAIN, 0, 1, {0},
		HELLO "S 451 4.3.0 later\nC QUIT\nW close\nF temporary 451 4.3.0 later\nN yes\n"},
	// LMTP
	{"gives each LMTP recipient its own reply", LMTP, 0, 3, {0},
		"S 220 lmtp.example.org\nC LHLO me.example.kr\nS 250-hi\nS 250 PIPELINING\n" GROUP3
		"S 250 ok\nS 250 ok\nS 550 5.1.1 unknown\nS 250 ok\n" GO_ON
		"S 250 2.1.5 saved\nW reply\nS 452 4.2.2 full\nW ready\nR 0 delivered 250 2.1.5 saved\n"
		"R 1 permanent 550 5.1.1 unknown\nR 2 temporary 452 4.2.2 full\nN no\n"},
	{"loses only what LMTP had not answered", LMTP, 0, 2, {0},
		"S 220 lmtp.example.org\nC LHLO me.example.kr\nS 250-hi\nS 250 PIPELINING\n! message\n"
		MAIL RCPT_A RCPT_B "C DATA\nS 250 ok\nS 250 ok\nS 250 ok\n" GO_ON
		"S 250 2.1.5 saved\n! broken\nW close\nR 0 delivered 250 2.1.5 saved\n"
		"R 1 temporary 0 4.4.2 lost\nN no\n"},
	{"does not wait for replies to an LMTP body for nobody", LMTP, 0, 1, {0},
		"S 220 lmtp.example.org\nC LHLO me.example.kr\nS 250-hi\nS 250 PIPELINING\n" GROUP1
		"S 250 ok\nS 550 no\nS 354 go on\nC .\nW close\nR 0 permanent 550 5.0.0 no\n"},
	{"does not say HELO to LMTP", LMTP, 0, 1, {0},
		"S 220 lmtp.example.org\nC LHLO me.example.kr\nS 500 what\nC QUIT\nW close\n"
		"F permanent 500 5.0.0 what\n"},
	// TLS
	{"uses STARTTLS when offered and asks again", PLAIN, SMTP_TLS_WHEN_OFFERED, 1, {0},
		HELLO "S 250-hi\nS 250-PIPELINING\nS 250 STARTTLS\nC STARTTLS\nS 220 go\nW tls\n! tls\n"
		"C EHLO me.example.kr\nS 250-hi\nS 250 STARTTLS\nW ready\n! message\n" MAIL},
	{"does not use STARTTLS when told so", PLAIN, SMTP_TLS_NEVER, 1, {0},
		HELLO "S 250-hi\nS 250 STARTTLS\nW ready\n"},
	{"goes on in plain when STARTTLS is refused", PLAIN, SMTP_TLS_WHEN_OFFERED, 1, {0},
		HELLO "S 250-hi\nS 250 STARTTLS\nC STARTTLS\nS 454 4.7.0 not now\nW ready\n"},
	{"leaves when required TLS is refused", PLAIN, SMTP_TLS_REQUIRED, 1, {0},
		HELLO "S 250-hi\nS 250 STARTTLS\nC STARTTLS\nS 454 4.7.0 not now\nC QUIT\nW close\n"
		"F temporary 0 4.7.4 TLS is required, but the server refused STARTTLS\nN yes\n"},
	{"leaves when required TLS is not offered", PLAIN, SMTP_TLS_REQUIRED, 1, {0},
		HELLO "S 250-hi\nS 250 PIPELINING\nC QUIT\nW close\n"
		"F temporary 0 4.7.4 TLS is required, but the server does not offer STARTTLS\nN yes\n"},
	{"does not take octets behind the answer to STARTTLS", PLAIN, SMTP_TLS_WHEN_OFFERED, 1, {0},
		HELLO "S 250-hi\nS 250 STARTTLS\nC STARTTLS\nS 220 go\nS 250 injected\nW close\n"
		"F temporary 0 4.7.0 the server sent plain text behind its answer to STARTTLS\nN yes\n"},
	{"asks for no STARTTLS inside of TLS", PLAIN, SMTP_TLS_IMPLICIT, 1, {0},
		HELLO "S 250-hi\nS 250 STARTTLS\nW ready\n"},
	// AUTH
	{"sends a first response with the command", AUTHENTICATE, SMTP_TLS_IMPLICIT, 1, {0},
		HELLO "S 250-hi\nS 250 AUTH login pLAIN\nW auth\nA begin LOGIN PLAIN\n! start\n"
		"C AUTH PLAIN AGtpbQBzZWNyZXQ=\nS 235 2.7.0 welcome\nW auth\nA accepted\n! done\nW ready\n"},
	{"sends an empty first response", AUTHENTICATE, SMTP_TLS_IMPLICIT, 1, {0},
		HELLO "S 250-hi\nS 250 AUTH EXTERNAL\n! startempty\nC AUTH PLAIN =\nS 235 ok\n! done\nW ready\n"},
	{"sends a long first response when it is asked for", AUTHENTICATE, SMTP_TLS_IMPLICIT, 1, {0},
		HELLO "S 250-hi\nS 250 AUTH PLAIN\n! startlong\nC AUTH PLAIN\nS 334 \nC " LONG64 "\n"
		"S 235 ok\n! done\nW ready\n"},
	{"carries challenges and answers", AUTHENTICATE, SMTP_TLS_IMPLICIT, 1, {0},
		HELLO "S 250-hi\nS 250 AUTH=LOGIN\nW auth\nA begin LOGIN\n! startbare\nC AUTH PLAIN\n"
		"S 334 VXNlcm5hbWU6\nW auth\nA challenge Username:\n! answer\nC YW5zd2Vy\n"
		"S 334 \nA challenge \n! answer\nC YW5zd2Vy\nS 235 ok\n! done\nW ready\n"},
	{"cancels", AUTHENTICATE, SMTP_TLS_IMPLICIT, 1, {0},
		HELLO "S 250-hi\nS 250 AUTH PLAIN\n! startbare\nC AUTH PLAIN\nS 334 AAAA\n! cancel\nC *\n"
		"S 501 5.7.0 so be it\nW auth\nA refused\n! fail\nC QUIT\nW close\nF temporary 0 4.7.8 words\n"},
	{"believes no yes to a cancel", AUTHENTICATE, SMTP_TLS_IMPLICIT, 1, {0},
		HELLO "S 250-hi\nS 250 AUTH PLAIN\n! startbare\nC AUTH PLAIN\nS 334 AAAA\n! cancel\nC *\n"
		"S 235 welcome\nW close\nF temporary 0 4.5.0 the server sent a reply that does not fit here\n"},
	{"answers no challenge after a cancel", AUTHENTICATE, SMTP_TLS_IMPLICIT, 1, {0},
		HELLO "S 250-hi\nS 250 AUTH PLAIN\n! startbare\nC AUTH PLAIN\nS 334 AAAA\n! cancel\nC *\n"
		"S 334 more\nW close\nF temporary 0 4.5.0 the server sent a reply that does not fit here\n"},
	{"takes plain words for an empty challenge", AUTHENTICATE, SMTP_TLS_IMPLICIT, 1, {0},
		HELLO "S 250-hi\nS 250 AUTH PLAIN\n! startbare\nC AUTH PLAIN\nS 334 user name:\n"
		"A challenge \n"},
	{"keeps mail when it is refused", AUTHENTICATE, SMTP_TLS_IMPLICIT, 1, {0},
		HELLO "S 250-hi\nS 250 AUTH PLAIN\n! start\nC AUTH PLAIN AGtpbQBzZWNyZXQ=\n"
		"S 535 5.7.8 wrong\nA refused\n! fail\nC QUIT\nW close\nF temporary 535 4.7.8 words\nN no\n"},
	{"tries again on the same connection", AUTHENTICATE, SMTP_TLS_IMPLICIT, 1, {0},
		HELLO "S 250-hi\nS 250 AUTH PLAIN\n! start\nC AUTH PLAIN AGtpbQBzZWNyZXQ=\n"
		"S 535 5.7.8 wrong\nA refused\n! start\nC AUTH PLAIN AGtpbQBzZWNyZXQ=\nS 235 ok\n! done\n"
		"W ready\n"},
	{"tries the next host after a temporary refusal", AUTHENTICATE, SMTP_TLS_IMPLICIT, 1, {0},
		HELLO "S 250-hi\nS 250 AUTH PLAIN\n! start\nC AUTH PLAIN AGtpbQBzZWNyZXQ=\n"
		"S 454 4.7.0 not now\nA refused\n! fail\nC QUIT\nW close\nF temporary 454 4.7.0 words\nN yes\n"},
	{"authenticates after STARTTLS, not before", AUTHENTICATE, SMTP_TLS_REQUIRED, 1, {0},
		HELLO "S 250-hi\nS 250-AUTH PLAIN\nS 250 STARTTLS\nC STARTTLS\nS 220 go\n! tls\n"
		"C EHLO me.example.kr\nS 250-hi\nS 250 AUTH LOGIN\nW auth\nA begin LOGIN\n"},
	{"knows when no AUTH is offered", AUTHENTICATE, SMTP_TLS_IMPLICIT, 1, {0},
		HELLO "S 250 hi\nW auth\nA begin \n! fail\nC QUIT\nW close\nF temporary 0 4.7.8 words\n"},
	{"leaves who speaks while a token is fetched", AUTHENTICATE, SMTP_TLS_IMPLICIT, 1, {0},
		HELLO "S 250-hi\nS 250 AUTH PLAIN\nW auth\nS 250 hello?\nW close\n"
		"F temporary 0 4.5.0 the server sent a reply that does not fit here\n"},
	// servers out of step
	{"leaves who speaks before EHLO", PLAIN, 0, 1, {0},
		"S 220 mx.example.org\nS 250 hi\nC EHLO me.example.kr\nW close\n"
		"F temporary 0 4.5.0 the server spoke before it was asked\nN yes\n"},
	{"leaves who answers what was not asked yet", PLAIN, 0, 1, {0},
		HELLO_BARE "! message\n" MAIL "S 250 ok\nS 250 ok\n" RCPT_A "W close\n"
		"R 0 temporary 0 4.5.0 the server spoke before it was asked\nN yes\n"},
	{"leaves who speaks while idle", PLAIN, 0, 1, {0},
		HELLO_BARE "S 250 hello?\nW close\n! message\n"
		"R 0 temporary 0 4.5.0 the server sent a reply that does not fit here\n"},
	{"leaves who accepts a body that was not sent", PLAIN, 0, 1, {0},
		HELLO_PIPE GROUP1 "S 250 ok\nS 250 ok\nS 354 go on\nS 250 done\nW close\n"
		"R 0 temporary 0 4.5.0 the server sent a reply that does not fit here\n"},
	{"believes a refusal in the middle of a body", PLAIN, 0, 1, {0},
		HELLO_PIPE GROUP1 "S 250 ok\nS 250 ok\nS 354 go on\nW body\nS 552 5.3.4 too large\n"
		"W close\nR 0 permanent 552 5.3.4 too large\nN no\n"},
	{"leaves who says 250 to DATA", PLAIN, 0, 1, {0},
		HELLO_PIPE GROUP1 "S 250 ok\nS 250 ok\nS 250 ok\nW close\n"
		"R 0 temporary 0 4.5.0 the server sent a reply that does not fit here\n"},
	{"leaves who says 354 to MAIL", PLAIN, 0, 1, {0},
		HELLO_PIPE GROUP1 "S 354 ok\nW close\n"
		"R 0 temporary 0 4.5.0 the server sent a reply that does not fit here\n"},
	{"leaves who speaks no SMTP", PLAIN, 0, 1, {0},
		"S SSH-2.0-OpenSSH_9\nW close\n"
		"F temporary 0 4.5.0 what the server sent is no SMTP reply\nN yes\n"},
	{"leaves who is not done with its banner", PLAIN, 0, 1, {0},
		"S 354 mx.example.org\nW close\n"
		"F temporary 0 4.5.0 the server sent a reply that does not fit here\n"},
	{"leaves who says 354 to STARTTLS", PLAIN, SMTP_TLS_WHEN_OFFERED, 1, {0},
		HELLO "S 250-hi\nS 250 STARTTLS\nC STARTTLS\nS 354 go\nW close\n"
		"F temporary 0 4.5.0 the server sent a reply that does not fit here\n"},
	{"leaves who says 354 to RCPT", PLAIN, 0, 2, {0},
		HELLO_BARE "! message\n" MAIL "S 250 ok\n" RCPT_A "S 250 ok\n" RCPT_B
		"S 354 ok\nW close\n"
		"R 0 temporary 0 4.5.0 the server sent a reply that does not fit here\n"
		"R 1 temporary 0 4.5.0 the server sent a reply that does not fit here\n"},
	{"leaves who says 354 to a body", PLAIN, 0, 1, {0},
		HELLO_PIPE GROUP1 "S 250 ok\nS 250 ok\n" GO_ON "S 354 more\nW close\n"
		"R 0 temporary 0 4.5.0 the server sent a reply that does not fit here\nN no\n"},
	{"takes SIZE of words as no bound", PLAIN, 0, 1, {.size = 5000},
		HELLO "S 250-mx.example.org\nS 250 SIZE big\nW ready\n! message\n"
		"C MAIL FROM:<kim@example.kr> SIZE=5000\n"},
	{"stays put when a reply to the body is no reply", PLAIN, 0, 1, {0},
		HELLO_PIPE GROUP1 "S 250 ok\nS 250 ok\n" GO_ON "S wat\nW close\n"
		"R 0 temporary 0 4.5.0 what the server sent is no SMTP reply\nN no\n"},
};
// clang-format on

struct run {
	const struct dialogue *d;
	struct smtp_client *c;
	struct smtp_client_message message;
	struct smtp_client_recipient recipients[3];
	struct buf sent;     // said by the client, not yet compared
	struct buf incoming; // said by the server, not yet taken
	bool trickle;
};

static void take_output(struct run *r)
{
	struct buf *out = smtp_client_output(r->c);

	buf_add_str(&r->sent, buf_str(out));
	buf_consume(out, buf_len(out));
}

static void feed(struct run *r)
{
	size_t total = buf_len(&r->incoming), len = r->trickle ? 1 : total, used;

	// What the client did not use is given again with what comes next.
	for (; len <= total; len += r->trickle ? 1 : total + 1) {
		struct str some = str_slice(buf_str(&r->incoming), 0, len);
		char *copy = malloc(some.len + 1);

		memcpy(copy, some.data, some.len);
		used = smtp_client_input(r->c, str_make(copy, some.len));
		free(copy);
		assert_true(used <= len);
		buf_consume(&r->incoming, used);
		len -= used;
		total -= used;
	}
	buf_clear(&r->incoming);
	take_output(r);
}

static void expect_said(struct run *r, struct str line)
{
	struct str sent = buf_str(&r->sent);
	ptrdiff_t end = str_search(sent, STR("\r\n"));

	if (end < 0 || !str_equal(str_slice(sent, 0, (size_t)end), line))
		fail_msg("%s: expected '%.*s', the client said '%.*s'", r->d->name, STR_ARG(line),
			STR_ARG(sent));
	buf_consume(&r->sent, (size_t)end + 2);
}

static void act(struct run *r, struct str action)
{
	if (str_equal(action, STR("message"))) {
		smtp_client_message(r->c, &r->message);
	} else if (str_equal(action, STR("body"))) {
		smtp_client_body_sent(r->c);
	} else if (str_equal(action, STR("tls"))) {
		smtp_client_tls_done(r->c, true);
		assert_true(smtp_client_tls_active(r->c));
	} else if (str_equal(action, STR("start"))) {
		smtp_client_auth_start(r->c, "PLAIN", STR("\0kim\0secret"));
	} else if (str_equal(action, STR("startempty"))) {
		smtp_client_auth_start(r->c, "PLAIN", STR_EMPTY);
	} else if (str_equal(action, STR("startbare"))) {
		smtp_client_auth_start(r->c, "PLAIN", (struct str){NULL, 0});
	} else if (str_equal(action, STR("startlong"))) {
		smtp_client_auth_start(r->c, "PLAIN", STR(LONG));
	} else if (str_equal(action, STR("answer"))) {
		smtp_client_auth_answer(r->c, STR("answer"));
	} else if (str_equal(action, STR("cancel"))) {
		smtp_client_auth_cancel(r->c);
	} else if (str_equal(action, STR("done"))) {
		smtp_client_auth_done(r->c);
	} else if (str_equal(action, STR("fail"))) {
		smtp_client_auth_fail(r->c, "4.7.8", "words");
	} else if (str_equal(action, STR("quit"))) {
		smtp_client_quit(r->c);
	} else {
		assert_true(str_equal(action, STR("broken")));
		smtp_client_broken(r->c, "4.4.2", "lost");
	}
	take_output(r);
}

static void expect_want(struct run *r, struct str want)
{
	static const char *const names[] = {"reply", "tls", "auth", "ready", "body", "close"};

	if (!str_equal(want, str_from(names[smtp_client_want(r->c)])))
		fail_msg("%s: wants %s, not %.*s", r->d->name, names[smtp_client_want(r->c)],
			STR_ARG(want));
}

static void expect_auth(struct run *r, struct str expected)
{
	static const char *const stages[] = {"begin ", "challenge ", "accepted", "refused"};
	enum smtp_client_auth_stage stage = smtp_client_auth_stage(r->c);
	struct buf said = BUF_INIT;

	buf_add_text(&said, stages[stage]);
	if (stage == SMTP_AUTH_BEGIN)
		buf_add_text(&said, smtp_client_auth_mechanisms(r->c));
	if (stage == SMTP_AUTH_CHALLENGE)
		buf_add_str(&said, smtp_client_auth_challenge(r->c));
	if (!str_equal(buf_str(&said), expected))
		fail_msg("%s: at '%s', not '%.*s'", r->d->name, buf_cstr(&said), STR_ARG(expected));
	buf_finish(&said);
}

static void expect_result(struct run *r, const struct smtp_result *result, struct str expected)
{
	static const char *const outcomes[] = {"delivered", "temporary", "permanent"};
	char text[700];

	sprintf(text, "%s %u %s %s", outcomes[result->outcome], result->code, result->enhanced,
		result->text);
	if (!str_equal(str_from(text), expected))
		fail_msg("%s: result is '%s', not '%.*s'", r->d->name, text, STR_ARG(expected));
}

static void step(struct run *r, struct str line)
{
	struct str rest = str_skip(line, 2);

	if (line.data[0] == 'S') {
		buf_add_str(&r->incoming, rest);
		buf_add_text(&r->incoming, "\r\n");
		return;
	}
	feed(r);
	if (line.data[0] != 'C' && buf_len(&r->sent))
		fail_msg("%s: the client also said '%.*s'", r->d->name, STR_ARG(buf_str(&r->sent)));
	if (line.data[0] == 'C')
		expect_said(r, rest);
	else if (line.data[0] == '!')
		act(r, rest);
	else if (line.data[0] == 'W')
		expect_want(r, rest);
	else if (line.data[0] == 'A')
		expect_auth(r, rest);
	else if (line.data[0] == 'R')
		expect_result(r, &r->recipients[rest.data[0] - '0'].result, str_skip(rest, 2));
	else if (line.data[0] == 'F')
		expect_result(r, smtp_client_failure(r->c), rest);
	else if (smtp_client_try_next_host(r->c) != str_equal(rest, STR("yes")))
		fail_msg("%s: try the next host? not %.*s", r->d->name, STR_ARG(rest));
}

static void run(const struct dialogue *d, bool trickle)
{
	static const char *const addresses[] = {"a@example.org", "b@example.org", "c@example.org"};
	struct smtp_client_options options = {
		.lmtp = d->flags & LMTP,
		.authenticate = d->flags & AUTHENTICATE,
		.tls = d->tls,
		.helo = "me.example.kr",
		.limits = smtp_limits_default,
	};
	struct run r = {.d = d, .trickle = trickle, .message = d->message};
	struct str script = str_from(d->script), line;

	for (unsigned i = 0; i < 3; i++)
		r.recipients[i] =
			(struct smtp_client_recipient){.address = addresses[i], .orcpt = ""};
	r.recipients[0].notify = SMTP_NOTIFY_SUCCESS | SMTP_NOTIFY_FAILURE;
	r.recipients[0].orcpt = "rfc822;a@example.org";
	r.recipients[1].notify = SMTP_NOTIFY_NEVER;
	r.message.recipients = r.recipients;
	r.message.recipient_count = d->recipients ? d->recipients : 1;
	r.message.sender = d->message.sender ? d->message.sender : "kim@example.kr";
	r.message.envid = d->message.envid ? d->message.envid : "";
	r.c = smtp_client_create(&options);
	while (str_split(&script, '\n', &line))
		if (line.len)
			step(&r, line);
	feed(&r);
	if (buf_len(&r.sent))
		fail_msg("%s: the client also said '%.*s'", d->name, STR_ARG(buf_str(&r.sent)));
	smtp_client_destroy(r.c);
	buf_finish(&r.sent);
	buf_finish(&r.incoming);
}

static void test_dialogues(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(dialogues); i++) {
		run(&dialogues[i], false);
		run(&dialogues[i], true);
	}
}

static void test_extensions(void **state)
{
	struct smtp_client_options options = {.helo = "me", .limits = smtp_limits_default};
	struct smtp_client *c = smtp_client_create(&options);
	struct buf *out = smtp_client_output(c);

	smtp_client_input(c, STR("220 mx.example.org ESMTP\r\n"));
	buf_consume(out, buf_len(out));
	smtp_client_input(
		c, STR("250-mx.example.org STARTTLS\r\n250-size 1000 \r\n250-Auth PLAIN\r\n"
		       "250-8BITMIMEX\r\n250-X-NEW 1\r\n250 DSN\r\n"));
	assert_int_equal(
		smtp_client_has(c), SMTP_HAS_ESMTP | SMTP_HAS_SIZE | SMTP_HAS_AUTH | SMTP_HAS_DSN);
	assert_true(smtp_client_size_limit(c) == 1000);
	assert_false(smtp_client_tls_active(c));
	smtp_client_input(c, STR("421 4.4.2 too\x1b long\r\n"));
	assert_string_equal(smtp_client_last_reply(c), "mx.example.org said: 421 4.4.2 too? long");
	smtp_client_destroy(c);
	smtp_client_destroy(NULL);
}

// A server that never stops talking is left; nothing grows with what it says.
static void test_endless_reply(void **state)
{
	struct smtp_client_options options = {.helo = "me", .limits = smtp_limits_default};
	struct smtp_client *c = smtp_client_create(&options);

	for (unsigned i = 0; i < options.limits.reply_lines; i++) {
		assert_int_equal(smtp_client_want(c), SMTP_WANT_REPLY);
		assert_int_equal(smtp_client_input(c, STR("220-more\r\n")), 10);
	}
	smtp_client_input(c, STR("220-more\r\n"));
	assert_int_equal(smtp_client_want(c), SMTP_WANT_CLOSE);
	assert_int_equal(smtp_client_failure(c)->outcome, SMTP_TEMPORARY);
	smtp_client_destroy(c);
}

// A password once sent is not to be found in the memory of the output.
static void test_password_is_wiped(void **state)
{
	struct smtp_client_options options = {.helo = "me",
		.limits = smtp_limits_default,
		.tls = SMTP_TLS_IMPLICIT,
		.authenticate = true};
	struct smtp_client *c = smtp_client_create(&options);
	struct buf *out = smtp_client_output(c);

	smtp_client_input(c, STR("220 mx\r\n"));
	buf_consume(out, buf_len(out));
	smtp_client_input(c, STR("250-mx\r\n250 AUTH PLAIN\r\n"));
	smtp_client_auth_start(c, "PLAIN", STR("\0kim\0secret"));
	buf_consume(out, buf_len(out));
	smtp_client_input(c, STR("235 ok\r\n"));
	smtp_client_auth_done(c);
	assert_int_equal(smtp_client_want(c), SMTP_WANT_READY);
	if (out->data)
		assert_int_equal(
			str_search(str_make(out->data, out->size), STR("AGtpbQBzZWNyZXQ=")), -1);
	smtp_client_destroy(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_dialogues),
		cmocka_unit_test(test_extensions),
		cmocka_unit_test(test_endless_reply),
		cmocka_unit_test(test_password_is_wiped),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
