// SPDX-License-Identifier: ISC
// Every message between roles, from one definition: the lists below make the structs, the
// encoders, the decoders and the names. A field is u8, u32, u64, str or list (records of
// another definition, walked with ipc_next_NAME). Lengths are checked on decoding; strings
// and lists point into the frame.
#ifndef PABAL_IPC_MESSAGES_H
#define PABAL_IPC_MESSAGES_H

#include "base/buf.h"

#define IPC_VERSION 1u

// ---- records inside lists
#define IPC_FIELDS_recipient(F) /* one recipient of a submission or of a try */ \
	F(u64, id)        /* recipient id; 0 in a submission */ \
	F(str, address) \
	F(str, domain) \
	F(str, orcpt) \
	F(u8, notify) \
	F(u8, hold) \
	F(str, hold_reason) \
	/* of a try in a mailbox: its limits, 0: none (deliver/quota.h) */ \
	F(u64, quota) F(u64, quota_soft) F(u64, quota_messages) F(u64, quota_messages_soft) \
	F(u8, quota_pass) \
	/* of a try at local: enum ipc_target; behind the separator, "news" of kim+news@; the address \
	   as it was accepted, where address is another */ \
	F(u8, kind) F(str, detail) F(str, original)

#define IPC_FIELDS_outcome(F) /* what became of one recipient */ \
	F(u64, id) \
	F(u8, outcome)    /* enum smtp_outcome */ \
	F(u32, code)      /* SMTP code, 0: none */ \
	F(str, enhanced) \
	F(str, text) \
	F(u8, relayed_dsn) /* the next hop takes over DSN duty (RFC 3461 5.2.2) */ \
	F(u8, counted)    /* 1: the mailbox holds this much now */ \
	F(u64, octets) F(u64, messages) \
	F(list, children) /* not empty: expanded into these, whatever outcome says */

#define IPC_FIELDS_child(F) /* what a recipient was expanded into */ \
	F(str, address) F(str, domain) F(str, orcpt) F(u8, notify)

#define IPC_FIELDS_record(F) /* one DNS record */ \
	F(str, rdata)     /* wire form */

#define IPC_FIELDS_rate(F) /* one rate of `limit { rate … }` and what is asked of it (queue/rates.h) */ \
	F(str, key)       /* "account kim@example.kr recipients day" */ \
	F(u8, period)     /* enum config_rate_period */ \
	F(u8, action)     /* enum config_rate_action */ \
	F(u64, most)      /* the limit */ \
	F(u32, amount)    /* messages or recipients; 0: only looked at */ \
	F(str, words)     /* "rate account recipients 1000 per day" */ \
	F(str, where)     /* "limit everywhere pabal.conf:12" */

#define IPC_RECORDS(M) M(recipient) M(outcome) M(child) M(record) M(rate)

// What address of a recipient is, for role local.
enum ipc_target {
	IPC_TARGET_MAILBOX, // the name of an account
	IPC_TARGET_USER,    // USER@DOMAIN: a user of this system
	IPC_TARGET_PROGRAM, // "|command line", of an alias
	IPC_TARGET_FILE,    // "/path", of an alias
};

// ---- messages
// master -> every role
#define IPC_FIELDS_start(F) /* first message: who you are */ \
	F(u32, version) F(u32, index) F(u32, slot) F(u32, node) F(u8, confined) F(str, empty_folder)
#define IPC_FIELDS_config(F) /* descriptor: sealed memfd with the role's part */ \
	F(u64, generation) F(u64, size)
#define IPC_FIELDS_tables(F) /* descriptor, where size is not 0: sealed memfd (config/tables.h). \
		with_config: they belong to the configuration that follows, else to the one in force */ \
	F(u64, generation) F(u64, size) F(u8, with_config)
#define IPC_FIELDS_peer(F) /* descriptor: one end of a channel to another role */ \
	F(str, role) F(u32, index)
#define IPC_FIELDS_listener(F) /* descriptor: a listening socket */ \
	F(u32, server) F(u32, listen)
#define IPC_FIELDS_control(F) /* descriptor: listening control socket; group: who may use it, -1: none */ \
	F(u32, group)
#define IPC_FIELDS_folder(F) /* descriptor: an open folder or socket, by name ("state", "auth-client") */ \
	F(str, name)
#define IPC_FIELDS_log(F) /* descriptor: where log lines go from now on */ \
	F(u8, sink) F(u8, json) F(u8, level)
#define IPC_FIELDS_tickets(F) /* secrets of TLS tickets: current and previous, 32 octets each */ \
	F(str, current) F(str, previous)
#define IPC_FIELDS_go(F) /* everything was handed over: confine, then serve */ \
	F(u8, unused)
#define IPC_FIELDS_drain(F) /* take no new work, finish what runs, exit */ \
	F(u64, within_ms)
#define IPC_FIELDS_ping(F) /* answer from your loop, soon */ F(u8, unused)
// role -> master
#define IPC_FIELDS_pong(F) F(u8, unused)
#define IPC_FIELDS_ready(F) F(u64, generation)
#define IPC_FIELDS_failed(F) /* cannot serve with this configuration; words why */ \
	F(u64, generation) F(str, text)
// a confined role asks for a connection to a configured destination
#define IPC_FIELDS_connect(F) \
	F(u64, request) F(str, kind) /* "auth", "lmtp" */ F(u32, index)
#define IPC_FIELDS_connected(F) /* descriptor when err is 0 */ \
	F(u64, request) F(u32, err) F(str, text)
// configuration builder <-> master
#define IPC_FIELDS_read_file(F) F(u64, request) F(str, path) F(u8, secret)
#define IPC_FIELDS_file(F) /* descriptor when err is 0 */ F(u64, request) F(u32, err) F(str, text)
#define IPC_FIELDS_built(F) /* one a role; descriptor: memfd */ F(u32, for_role) F(u64, size)
#define IPC_FIELDS_built_tables(F) /* descriptor: memfd */ F(u64, size)
#define IPC_FIELDS_findings(F) F(u32, errors) F(str, text)

// smtpd <-> queue
#define IPC_FIELDS_client_open(F) /* a connection begins: count it. again: it began long ago, queue is new. \
		peek: count nothing, only tell what would be counted */ \
	F(u64, session) F(str, address) F(u8, again) F(u8, peek)
#define IPC_FIELDS_client_counts(F) /* connections now, and begun in this minute, with this one */ \
	F(u64, session) F(u32, from_address) F(u32, from_network) F(u32, in_all) \
	F(u32, minute_address) F(u32, minute_network) F(u32, minute_all)
#define IPC_FIELDS_client_close(F) F(u64, session)
#define IPC_FIELDS_recipient_query(F) /* size: as declared, 0: not */ F(u64, request) F(str, key) F(u64, size)
#define IPC_FIELDS_recipient_answer(F) /* exists: 0 no, 1 yes, 2 cannot tell now, 3 leads to itself or \
		nowhere. over its quota: 0 no, 1 soft, 2 hard. max_size: octets that it still takes, 0: as \
		many as there are. local_size: octets of one message (limit local-size), 0: any, and who \
		says that */ \
	F(u64, request) F(u8, exists) F(str, account) F(u8, over) F(u64, max_size) \
	F(u64, local_size) F(str, local_size_where)
#define IPC_FIELDS_sender_query(F) /* authors: as whom an account wants to send, an LF between; "" is <> */ \
	F(u64, request) F(str, account) F(str, authors)
#define IPC_FIELDS_sender_answer(F) /* owners: one octet of enum policy_owner for each */ \
	F(u64, request) F(str, owners)
#define IPC_FIELDS_account_query(F) F(u64, request) F(str, name)
#define IPC_FIELDS_account_answer(F) /* state: 0 unknown, 1 enabled, 2 disabled, 3 cannot tell now, \
		4 locked, 5 expired. networks, servers: lines of policy_facts; act_as, groups: names, a space between */ \
	F(u64, request) F(u8, state) F(u32, rights) F(str, name) F(str, networks) F(str, servers) \
	F(str, act_as) F(str, reason) F(str, groups)
#define IPC_FIELDS_account_changed(F) /* queue -> auth, smtpd: forget what you remember */ F(str, name)
#define IPC_FIELDS_store_state(F) /* queue -> smtpd, at once and when it changes: no space for new mail */ \
	F(u8, full)
#define IPC_FIELDS_guard_state(F) /* queue -> smtpd: what is in force for one subject ("account NAME", \
		"client ADDRESS"); action: enum guard_action; all of it after a start */ \
	F(str, subject) F(u8, action) F(u32, slow_ms)
#define IPC_FIELDS_spool_open(F) F(u64, request)
#define IPC_FIELDS_spool_file(F) /* descriptor when err is 0 */ F(u64, request) F(u32, err) F(u64, spool)
#define IPC_FIELDS_submit(F) /* a whole message; spool != 0: the body is in that file (synced) */ \
	F(u64, request) F(u64, session) F(str, sender) F(str, account) F(str, client) F(str, server) \
	F(str, helo) F(str, envid) F(u8, ret) F(u8, smtputf8) F(u8, eightbit) F(u64, received_ms) \
	F(u64, size) F(str, digest) F(str, headers) F(str, edits) F(str, labels) \
	F(list, recipients) F(u64, spool) F(str, body) \
	F(list, rates)    /* every rate in force, with what this message counts in it */ \
	F(u8, by_rule)    /* nobody logged in, and the client may relay by its address */
#define IPC_FIELDS_rate_query(F) /* reserve for the transaction of this session: all of them or none */ \
	F(u64, request) F(u64, session) F(list, rates)
#define IPC_FIELDS_rate_answer(F) /* verdict: 0 reserved, 1 one of them is full, 2 cannot tell now. index: \
		which one, from 0; count: what it stands at; left_ms: when it begins anew */ \
	F(u64, request) F(u8, verdict) F(u32, index) F(u64, count) F(u64, left_ms)
#define IPC_FIELDS_rate_release(F) /* the transaction ended without a message: give back */ F(u64, session)
#define IPC_FIELDS_submitted(F) /* err 0: on stable storage */ \
	F(u64, request) F(u32, err) F(u64, message)
// every role -> queue: one event for the history (JSON) and its keys
#define IPC_FIELDS_event(F) \
	F(u64, wall_ms) F(u64, id) F(u64, session) F(str, name) F(str, sender) F(str, recipient) \
	F(str, account) F(str, client) F(str, json)

// queue <-> sender, queue <-> local
#define IPC_FIELDS_try(F) /* deliver; descriptor: the spool file when spool is 1 */ \
	F(u64, job) F(u64, message) F(str, destination) /* domain or route key */ \
	F(u32, route) /* index in the configuration + 1; 0: by MX */ \
	F(str, sender) F(str, envid) F(u8, ret) F(u8, smtputf8) F(u8, eightbit) F(u64, size) \
	F(str, digest) F(str, headers) F(str, edits) F(list, recipients) F(u8, spool) F(str, body)
#define IPC_FIELDS_tried(F) /* exactly one for each try */ \
	F(u64, job) F(str, remote) /* host and address that answered, "" : none */ \
	F(str, tls) /* version and cipher, "" : plain */ F(u32, ms) F(list, outcomes) \
	F(u8, blame) /* 0: the mail, 1: the connection (destination is slowed), 2: our own network \
		(port 25 blocked, DNS dead): nobody is blamed */
#define IPC_FIELDS_usage_query(F) /* how full is this mailbox? anew: counted; else as maildirsize says */ \
	F(u64, request) F(u8, anew) F(str, address) F(u64, quota) F(u64, quota_soft) F(u64, quota_messages) \
	F(u64, quota_messages_soft)
#define IPC_FIELDS_usage_answer(F) /* err: 0, or why it could not be counted */ \
	F(u64, request) F(u32, err) F(u64, octets) F(u64, messages)

// queue <-> local: is this a user of the system that gets mail? exists: 0 no, 1 yes, 2 cannot tell now
#define IPC_FIELDS_user_query(F) F(u64, request) F(str, name)
#define IPC_FIELDS_user_answer(F) F(u64, request) F(u8, exists)

// auth <-> source, auth <-> checker: auth/source.h tells what is asked and answered
#define IPC_FIELDS_check(F) /* source: its name, as an index would change at a reload */ \
	F(u64, request) F(str, source) F(u8, ask) F(str, name) F(str, secret) F(str, challenge) \
	F(str, client) F(str, server)
#define IPC_FIELDS_checked(F) \
	F(u64, request) F(u8, verdict) F(str, account) F(str, reason) F(u8, has_rights) F(u32, rights) \
	F(str, clear) F(str, scram) /* one a line */

// auth -> checker: the next step of a dialogue that winbind's helper carries out (auth/winbind.h)
#define IPC_FIELDS_negotiate(F) F(u64, dialogue) F(u8, spnego) F(u8, first) F(str, token)
#define IPC_FIELDS_negotiate_end(F) F(u64, dialogue)
// checker -> auth; outcome: enum auth_winbind_outcome
#define IPC_FIELDS_negotiated(F) \
	F(u64, dialogue) F(u8, outcome) F(str, token) F(str, name) F(str, reason)

// sender -> source
#define IPC_FIELDS_token_wanted(F) /* for the login of a route; not the one with this serial, 0: any */ \
	F(u64, request) F(str, pattern) F(u64, refused)
#define IPC_FIELDS_token_given(F) /* serial names the token; 0: there is none, and why */ \
	F(u64, request) F(str, token) F(u64, serial) F(str, text)

// sender -> resolver
#define IPC_FIELDS_resolve(F) F(u64, request) F(str, name) F(u32, rrtype)
#define IPC_FIELDS_resolved(F) /* status: enum dns_status of net/dns.h */ \
	F(u64, request) F(u8, status) F(u8, secure) F(u32, ttl) F(list, records)
// resolver -> master (for status)
#define IPC_FIELDS_dns_mode(F) F(str, mode)

#define IPC_MESSAGES(M) \
	M(start) M(config) M(tables) M(peer) M(listener) M(control) M(folder) M(log) M(tickets) M(go) M(drain) \
	M(ready) M(failed) M(connect) M(connected) M(read_file) M(file) M(built) M(built_tables) M(findings) \
	M(client_open) M(client_counts) M(client_close) M(recipient_query) M(recipient_answer) \
	M(account_query) M(account_answer) M(account_changed) M(guard_state) M(store_state) \
	M(sender_query) M(sender_answer) \
	M(rate_query) M(rate_answer) M(rate_release) M(spool_open) M(spool_file) M(submit) \
	M(submitted) M(event) M(try) M(tried) M(resolve) M(resolved) M(dns_mode) M(ping) M(pong) M(check) M(checked) \
	M(token_wanted) M(token_given) M(usage_query) M(usage_answer) M(user_query) M(user_answer) M(negotiate) M(negotiated) M(negotiate_end)

// ---- generated from here on
typedef uint8_t ipc_u8;
typedef uint32_t ipc_u32;
typedef uint64_t ipc_u64;
typedef struct str ipc_str;
typedef struct str ipc_list; // encoded records

enum ipc_type {
#define IPC_ENUM(name) IPC_TYPE_##name,
	IPC_TYPE_none, IPC_MESSAGES(IPC_ENUM) IPC_TYPES
#undef IPC_ENUM
};

#define IPC_STRUCT_FIELD(kind, name) ipc_##kind name;
#define IPC_STRUCT(name) struct ipc_##name { IPC_FIELDS_##name(IPC_STRUCT_FIELD) };
IPC_RECORDS(IPC_STRUCT)
IPC_MESSAGES(IPC_STRUCT)
#undef IPC_STRUCT

// Appends the body of the message; ERR_LIMIT. Decodes a whole body: ERR_CORRUPT when it is
// short, long, or a string passes its end.
#define IPC_PROTOTYPES(name) \
	int ipc_encode_##name(struct buf *out, const struct ipc_##name *m); \
	int ipc_decode_##name(struct str body, struct ipc_##name *out);
IPC_MESSAGES(IPC_PROTOTYPES)
IPC_RECORDS(IPC_PROTOTYPES)
#undef IPC_PROTOTYPES
// Appends one record to a list being built; takes the next one off *list (false at the end or
// when the rest is corrupt, then *err is set).
#define IPC_LIST_PROTOTYPES(name) \
	int ipc_list_add_##name(struct buf *list, const struct ipc_##name *r); \
	bool ipc_next_##name(struct str *list, struct ipc_##name *out, int *err);
IPC_RECORDS(IPC_LIST_PROTOTYPES)
#undef IPC_LIST_PROTOTYPES

const char *ipc_type_name(unsigned type);
// Whether such a message may hold passwords, tokens or keys: channels wipe what it leaves behind.
bool ipc_type_is_secret(unsigned type);
// Whether the body decodes as that type: 0, ERR_CORRUPT, ERR_UNSUPPORTED (no such type). What a
// list holds is checked where it is walked.
int ipc_check(unsigned type, struct str body);

#endif
