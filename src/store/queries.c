// SPDX-License-Identifier: ISC
// The texts of all statements on queue.db. States are numbers of enum recipient_state:
// 0 due, 1 claimed, 2 held. Parameters appear in the order of their numbers.
#include "store/queries.h"

#include "store/rows.h"

const char *const query_texts[QUERY_COUNT] = {
	[QUERY_MESSAGE_ADD] = "INSERT INTO message (" MESSAGE_COLUMNS
			      ", body) VALUES ($1, $2, $3, $4, $5, $6, $7, "
			      "$8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21)",
	[QUERY_MESSAGE_REMOVE] = "DELETE FROM message WHERE id = $1",
	[QUERY_RECIPIENT_ADD] =
		"INSERT INTO recipient (id, message, state, next_ms, owner, tries, depth, parent, "
		"notify, delay_warned, hold, address, domain, orcpt, hold_reason, status, reply, "
		"remote) "
		"VALUES ($1, $2, $3, $4, $5, 0, $6, $7, $8, 0, $9, $10, $11, $12, $13, '', '', '')",
	[QUERY_RECIPIENT_REMOVE] = "DELETE FROM recipient WHERE id = $1",
	[QUERY_RECIPIENT_CLAIM] =
		"UPDATE recipient SET state = 1, owner = $1, next_ms = $2 WHERE id = $3",
	[QUERY_RECIPIENT_RETRY] =
		"UPDATE recipient SET state = $1, next_ms = $2, owner = 0, tries = $3, "
		"delay_warned = $4, status = $5, reply = $6, remote = $7 WHERE id = $8",
	[QUERY_RECIPIENT_MOVE] =
		"UPDATE recipient SET state = $1, next_ms = $2, owner = 0 WHERE id = $3",
	[QUERY_RECIPIENT_SET_HOLD] =
		"UPDATE recipient SET state = $1, hold = $2, hold_reason = $3 WHERE id = $4",
	[QUERY_CLAIMS_RESET] = "UPDATE recipient SET state = $1, next_ms = $2, owner = 0 WHERE "
			       "state = 1 AND hold = $3",
	[QUERY_TOTAL_SET] =
		"UPDATE total SET messages = $1, octets = $2, due = $3, claimed = $4, held = $5 "
		"WHERE id = 1",
	[QUERY_COUNTER_SET] = "INSERT INTO counter (name, start, value) VALUES ($1, $2, $3) "
			      "ON CONFLICT (name, start) DO UPDATE SET value = excluded.value",
	[QUERY_COUNTER_REMOVE] = "DELETE FROM counter WHERE name = $1 AND start = $2",

	[QUERY_PLACE] = "SELECT message, state, hold FROM recipient WHERE id = $1",
	[QUERY_OTHER_RECIPIENT] = "SELECT 1 FROM recipient WHERE message = $1 LIMIT 1",
	[QUERY_MESSAGE_SIZE] = "SELECT size, spool FROM message WHERE id = $1",
	[QUERY_MESSAGE] = "SELECT " MESSAGE_COLUMNS " FROM message WHERE id = $1",
	[QUERY_BODY] = "SELECT size, spool, digest, body FROM message WHERE id = $1",
	[QUERY_DUE] =
		"SELECT " RECIPIENT_COLUMNS " FROM recipient WHERE state = 0 AND next_ms <= $1 "
		"ORDER BY next_ms LIMIT $2",
	[QUERY_NEXT_DUE] = "SELECT next_ms FROM recipient WHERE state = 0 ORDER BY next_ms LIMIT 1",
	[QUERY_RECIPIENTS_AFTER] =
		"SELECT " RECIPIENT_COLUMNS " FROM recipient WHERE id > $1 ORDER BY id",
	[QUERY_RECIPIENTS_OF_MESSAGE] =
		"SELECT " RECIPIENT_COLUMNS " FROM recipient WHERE message = $1 AND id > $2 "
		"ORDER BY id LIMIT $3",
	[QUERY_RECIPIENT] = "SELECT " RECIPIENT_COLUMNS " FROM recipient WHERE id = $1",
	[QUERY_OLDEST] = "SELECT received_ms FROM message ORDER BY id LIMIT 1",
	[QUERY_TOTAL] = "SELECT messages, octets, due, claimed, held FROM total WHERE id = 1",
	[QUERY_COUNTERS] = "SELECT name, start, value FROM counter",
	[QUERY_SPOOL_USED] = "SELECT 1 FROM message WHERE spool = $1 AND spool <> 0",

	[QUERY_ACCOUNT_GET] = "SELECT " ACCOUNT_COLUMNS " FROM account WHERE name = $1",
	[QUERY_ADDRESS_GET] = "SELECT " ACCOUNT_COLUMNS " FROM account "
			      "WHERE id = (SELECT account FROM address WHERE name = $1)",
	[QUERY_ACCOUNT_LIST] =
		"SELECT " ACCOUNT_COLUMNS " FROM account WHERE name > $1 ORDER BY name LIMIT $2",
	[QUERY_ACCOUNT_ADD] =
		"INSERT INTO account (" ACCOUNT_COLUMNS ") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, "
		"$9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19)",
	[QUERY_ADDRESS_ADD] = "INSERT INTO address (name, account) VALUES ($1, $2)",
	[QUERY_ACCOUNT_SET_ENABLED] =
		"UPDATE account SET enabled = $1, changed_ms = $2 WHERE name = $3",
	[QUERY_ACCOUNT_REMOVE] = "DELETE FROM account WHERE id = $1",
	[QUERY_ADDRESS_REMOVE_ALL] = "DELETE FROM address WHERE account = $1",
	[QUERY_ACCOUNT_SET] =
		"UPDATE account SET rights = $1, changed_ms = $2, stated = $3, expires_ms = $4, "
		"locked = $5, lock_reason = $6, networks = $7, servers = $8, group_names = $9, "
		"act_as = $10, send_as = $11 WHERE id = $12",
	[QUERY_ACCOUNT_GROUPS] = "SELECT group_names FROM account WHERE group_names <> ''",
	[QUERY_GROUP_GET] = "SELECT " GROUP_COLUMNS " FROM account_group WHERE name = $1",
	[QUERY_GROUP_LIST] = "SELECT " GROUP_COLUMNS " FROM account_group ORDER BY name LIMIT $1",
	[QUERY_GROUP_PUT] =
		"INSERT INTO account_group (" GROUP_COLUMNS ") VALUES ($1, $2, $3, $4, $5, $6, $7) "
		"ON CONFLICT (name) DO UPDATE SET rights = excluded.rights, "
		"stated = excluded.stated, networks = excluded.networks, "
		"servers = excluded.servers, changed_ms = excluded.changed_ms",
	[QUERY_GROUP_REMOVE] = "DELETE FROM account_group WHERE name = $1",

	[QUERY_ALIAS_GET] = "SELECT name, targets, changed_ms FROM alias WHERE name = $1",
	[QUERY_ALIAS_LIST] =
		"SELECT name, targets, changed_ms FROM alias WHERE name > $1 ORDER BY name LIMIT $2",
	[QUERY_ALIAS_PUT] = "INSERT INTO alias (name, targets, changed_ms) VALUES ($1, $2, $3) "
			    "ON CONFLICT (name) DO UPDATE SET targets = excluded.targets, "
			    "changed_ms = excluded.changed_ms",
	[QUERY_ALIAS_REMOVE] = "DELETE FROM alias WHERE name = $1",
	[QUERY_DOMAIN_ALIAS_GET] = "SELECT alias_of FROM domain WHERE name = $1 AND alias_of <> ''",
	[QUERY_DOMAIN_ALIASED] = "SELECT 1 FROM domain WHERE alias_of = $1 LIMIT 1",
	[QUERY_DOMAIN_ALIAS_LIST] = "SELECT name, alias_of, changed_ms FROM domain "
				    "WHERE alias_of <> '' AND name > $1 ORDER BY name LIMIT $2",
	[QUERY_DOMAIN_ALIAS_PUT] =
		"INSERT INTO domain (name, alias_of, quota, quota_soft, quota_messages, "
		"quota_messages_soft, changed_ms) VALUES ($1, $2, 0, 0, 0, 0, $3) "
		"ON CONFLICT (name) DO UPDATE SET alias_of = excluded.alias_of, "
		"changed_ms = excluded.changed_ms",
	[QUERY_DOMAIN_UNUSED_REMOVE] =
		"DELETE FROM domain WHERE name = $1 AND alias_of = '' AND quota = 0 AND "
		"quota_soft = 0 AND quota_messages = 0 AND quota_messages_soft = 0",

	[QUERY_ACCOUNT_QUOTA_SET] =
		"UPDATE account SET quota = $1, quota_soft = $2, quota_messages = $3, "
		"quota_messages_soft = $4, changed_ms = $5 WHERE name = $6",
	[QUERY_DOMAIN_QUOTA_GET] = "SELECT " QUOTA_COLUMNS " FROM domain WHERE name = $1",
	[QUERY_DOMAIN_QUOTA_PUT] =
		"INSERT INTO domain (" QUOTA_COLUMNS ", changed_ms, name, alias_of) "
		"VALUES ($1, $2, $3, $4, $5, $6, '') ON CONFLICT (name) DO UPDATE SET "
		"quota = excluded.quota, quota_soft = excluded.quota_soft, "
		"quota_messages = excluded.quota_messages, "
		"quota_messages_soft = excluded.quota_messages_soft, "
		"changed_ms = excluded.changed_ms",
	[QUERY_DOMAIN_QUOTA_LIST] =
		"SELECT " QUOTA_COLUMNS ", name FROM domain WHERE (quota <> 0 OR quota_soft <> 0 OR "
		"quota_messages <> 0 OR quota_messages_soft <> 0) AND name > $1 ORDER BY name LIMIT $2",
	[QUERY_MAILBOX_GET] =
		"SELECT octets, messages, counted_ms, warned_ms FROM mailbox WHERE name = $1",
	[QUERY_MAILBOX_PUT] =
		"INSERT INTO mailbox (octets, messages, counted_ms, warned_ms, name) "
		"VALUES ($1, $2, $3, $4, $5) ON CONFLICT (name) DO UPDATE SET "
		"octets = excluded.octets, messages = excluded.messages, "
		"counted_ms = excluded.counted_ms, warned_ms = excluded.warned_ms",
	[QUERY_GUARD_GET] = "SELECT changed_ms, state FROM guard WHERE subject = $1",
	[QUERY_GUARD_LIST] = "SELECT subject, changed_ms, state FROM guard WHERE subject > $1 "
			     "ORDER BY subject LIMIT $2",
	[QUERY_GUARD_PUT] =
		"INSERT INTO guard (subject, changed_ms, state) VALUES ($1, $2, $3) "
		"ON CONFLICT (subject) DO UPDATE SET changed_ms = excluded.changed_ms, "
		"state = excluded.state",
	[QUERY_GUARD_REMOVE] = "DELETE FROM guard WHERE subject = $1",
	[QUERY_GUARD_REMOVE_ACCOUNT] = "DELETE FROM guard WHERE subject = 'account ' || $1",
	[QUERY_PROFILE_GET] = "SELECT profile, created_ms FROM account WHERE name = $1",
	[QUERY_PROFILE_SET] = "UPDATE account SET profile = $1, changed_ms = $2 WHERE name = $3",
	[QUERY_INCIDENT_PUT] =
		"INSERT INTO incident (id, subject, action, started_ms, ended_ms, evidence) "
		"VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (id) DO UPDATE SET "
		"action = excluded.action, ended_ms = excluded.ended_ms, "
		"evidence = excluded.evidence",
	[QUERY_INCIDENT_LIST] =
		"SELECT id, subject, action, started_ms, ended_ms, evidence FROM incident "
		"WHERE ($1 = '' OR subject = $1) AND ($2 = 1 OR ended_ms = 0) "
		"ORDER BY id DESC LIMIT $3",
};
