// SPDX-License-Identifier: ISC
// STARTTLS (RFC 3207). Everything said in plain is forgotten, HELO and login too; octets that
// came behind the command stay with the host, who drops them.
#include "session/session_internal.h"

#include "base/memory.h"

bool session_tls_offered(const struct session *s)
{
	const struct config_server *server = s->facts.server;

	if (s->tls || s->no_tls)
		return false;
	for (size_t i = 0; i < server->listen_count; i++)
		if (server->listens[i].port == s->local_port &&
			server->listens[i].tls == CONFIG_LISTEN_NO_TLS)
			return false;
	return true;
}

enum reply session_starttls(struct session *s, struct str argument)
{
	if (s->tls)
		return REPLY_TLS_TWICE;
	if (!session_tls_offered(s))
		return REPLY_TLS_NOT_HERE;
	session_answer(s, REPLY_START_TLS);
	session_forget_login(s);
	mem_free(s->helo);
	s->helo = NULL;
	s->esmtp = false;
	session_reset(s);
	s->wait = SESSION_WAIT_TLS;
	s->host->start_tls(s->arg);
	return REPLY_NONE;
}
