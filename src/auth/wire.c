// SPDX-License-Identifier: ISC
#include "auth/wire.h"

#include "base/memory.h"

int auth_wire_question(const struct ipc_check *m, struct auth_question *out)
{
	*out = (struct auth_question){.ask = (enum auth_ask)m->ask,
		.name = m->name,
		.secret = m->secret,
		.challenge = m->challenge,
		.server = m->server};
	if (m->ask > AUTH_ASK_TOKEN || m->name.len >= AUTH_NAME_OCTETS ||
		m->secret.len > AUTH_SECRET_OCTETS)
		return ERR_CORRUPT;
	if (m->client.len && ipaddr_parse(m->client, &out->client))
		return ERR_CORRUPT;
	return 0;
}

int auth_wire_answer(const struct ipc_checked *m, struct auth_answer *out)
{
	struct str rest = m->scram, line;
	bool fits;

	mem_wipe(out, sizeof *out);
	out->verdict = (enum auth_verdict)m->verdict;
	out->has_rights = m->has_rights != 0;
	out->rights = m->rights;
	fits = m->verdict <= AUTH_CANNOT &&
	       str_copy(m->account, out->account, sizeof out->account) &&
	       str_copy(m->reason, out->reason, sizeof out->reason) &&
	       str_copy(m->clear, out->clear, sizeof out->clear);
	for (size_t i = 0; fits && i < ARRAY_SIZE(out->scram) && str_split(&rest, '\n', &line); i++)
		fits = str_copy(line, out->scram[i], sizeof out->scram[i]);
	if (fits)
		return 0;
	mem_wipe(out, sizeof *out);
	return ERR_CORRUPT;
}

int auth_wire_send_answer(
	struct ipc_channel *ch, uint64_t request, const struct auth_answer *answer)
{
	struct buf scram = BUF_INIT;
	struct ipc_checked m = {.request = request,
		.verdict = (uint8_t)answer->verdict,
		.account = str_from(answer->account),
		.reason = str_from(answer->reason),
		.has_rights = answer->has_rights,
		.rights = answer->rights,
		.clear = str_from(answer->clear)};
	int err;

	(void)buf_reserve(&scram, sizeof answer->scram + ARRAY_SIZE(answer->scram));
	for (size_t i = 0; i < ARRAY_SIZE(answer->scram); i++)
		buf_add_format(&scram, "%s%s", i ? "\n" : "", answer->scram[i]);
	m.scram = buf_str(&scram);
	err = ipc_send_checked(ch, &m);
	buf_finish_wipe(&scram);
	return err;
}
