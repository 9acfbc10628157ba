// SPDX-License-Identifier: ISC
// Cyrus saslauthd. It says yes or no and never why: a name it does not know is a no, too. Where
// another source comes after it, `on-failure continue` is the way on.
#include "auth/source/saslauthd.h"

#include "auth/source/kinds.h"
#include "auth/source/socket.h"
#include "base/text.h"

#define USUAL_PATH  "/run/saslauthd/mux"
#define SOURCE_USER "pabal-source"

#define FIELD_MAX 256  // what saslauthd takes of each
#define REPLY_MAX 1024 // what it says at most

static unsigned gives(const struct config_source *s)
{
	(void)s;
	return AUTH_GIVES_VERIFY;
}

static int add_counted(struct buf *out, struct str field)
{
	char count[2] = {(char)(field.len >> 8), (char)(field.len & 0xff)};
	int err = field.len > FIELD_MAX ? ERR_LIMIT : buf_add(out, count, sizeof count);

	return err ? err : buf_add_str(out, field);
}

int auth_saslauthd_reply_read(struct str octets, enum auth_verdict *out)
{
	size_t len;

	if (octets.len < 2)
		return 0;
	len = (size_t)((unsigned char)octets.data[0] << 8 | (unsigned char)octets.data[1]);
	if (len < 2 || len > REPLY_MAX)
		return ERR_SYNTAX;
	if (octets.len < 2 + len)
		return 0;
	octets = str_slice(octets, 2, 2 + len);
	if (octets.len > 2 && octets.data[2] != ' ' && octets.data[2] != '\0')
		return ERR_SYNTAX;
	if (str_starts(octets, STR("OK")))
		*out = AUTH_YES;
	else if (str_starts(octets, STR("NO")))
		*out = AUTH_NO;
	else
		return ERR_SYNTAX;
	return 1;
}

// The local part and the domain of a name of the default domain, so that saslauthd joins them with
// -r and drops the domain without. Any other domain stays in the login: dropping it would let its
// users pass for ours.
static int make_request(
	const struct config_source *s, const struct auth_question *q, struct buf *out)
{
	struct str login = auth_question_bare(q), realm = s->realm, service = s->service;
	int err;

	if (!realm.len && login.len < q->name.len)
		realm = str_skip(q->name, login.len + 1);
	if (!service.len)
		service = STR("smtp");
	err = add_counted(out, login);
	if (!err)
		err = add_counted(out, q->secret);
	if (!err)
		err = add_counted(out, service);
	return err ? err : add_counted(out, realm);
}

static int ask(const struct config_source *s, struct str request, enum auth_verdict *out,
	struct error *err)
{
	struct auth_socket socket;
	struct buf in = {.limit = 2 + REPLY_MAX};
	struct buf path = BUF_INIT;
	int result = buf_add_str(&path, s->path.len ? s->path : STR(USUAL_PATH)), got = 0;

	if (!result)
		result = auth_socket_open(&socket, buf_cstr(&path), s->timeout, err);
	buf_finish(&path);
	if (result)
		return result;
	result = auth_socket_write(&socket, request, err);
	while (!result && !got) {
		result = auth_socket_read(&socket, &in, err);
		if (!result)
			got = auth_saslauthd_reply_read(buf_str(&in), out);
	}
	if (got < 0)
		result = error_set(err, got, TEXT("what it answered is no answer"));
	auth_socket_close(&socket);
	buf_finish_wipe(&in);
	return result;
}

static void check(const struct config_source *s, void *state, const struct auth_question *q,
	struct auth_answer *out)
{
	struct buf request = {.limit = 4 * (2 + FIELD_MAX)};
	enum auth_verdict verdict = AUTH_CANNOT;
	struct error err;

	(void)state;
	if (q->ask != AUTH_ASK_PASSWORD) {
		auth_answer_set(out, AUTH_CANNOT, TEXT("saslauthd only checks passwords"));
		return;
	}
	if (!auth_question_sound(q) || make_request(s, q, &request))
		auth_answer_set(out, AUTH_NO, TEXT("saslauthd takes 1 to %d octets without NUL"),
			FIELD_MAX);
	else if (ask(s, buf_str(&request), &verdict, &err))
		auth_answer_set(out, AUTH_CANNOT, "saslauthd: %s", err.text);
	else
		auth_answer_set(
			out, verdict, "%s", verdict == AUTH_YES ? "" : TEXT("saslauthd says no"));
	buf_finish_wipe(&request);
}

static void advise(const struct config_source *s, struct config_findings *findings)
{
	char path[4096];

	if (str_copy(s->path.len ? s->path : STR(USUAL_PATH), path, sizeof path))
		auth_socket_advise(s, path, SOURCE_USER, findings);
}

const struct auth_source_kind auth_source_saslauthd = {
	.name = "saslauthd",
	.where = AUTH_IN_SOURCE,
	.gives = gives,
	.check = check,
	.advise = advise,
};
