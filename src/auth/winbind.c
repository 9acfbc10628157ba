// SPDX-License-Identifier: ISC
#include "auth/winbind.h"

#include "auth/sasl_message.h"
#include "base/memory.h"

#include <stdio.h>

// ---- the helper's lines
// Said with NA, and yet nobody looked at the password.
static bool is_no_answer(struct str reason)
{
	static const char *const words[] = {"NO_LOGON_SERVERS", "DOMAIN_CONTROLLER_NOT_FOUND",
		"IO_TIMEOUT", "PIPE_", "CANT_ACCESS_DOMAIN_INFO", "TRUSTED_RELATIONSHIP_FAILURE",
		"TRUSTED_DOMAIN_FAILURE", "HOST_UNREACHABLE", "NETWORK_UNREACHABLE",
		"CONNECTION_", "NO_TRUST_", "ACCESS_DENIED", "RPC_", "NO_MEMORY",
		"INSUFFICIENT_RESOURCES", "TIME_DIFFERENCE", "CANT_WAIT", "NO_SUCH_DOMAIN"};

	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		if (str_search(reason, str_from(words[i])) >= 0)
			return true;
	return false;
}

static struct str one_word(struct str *rest)
{
	struct str word = STR_EMPTY;

	(void)str_split(rest, ' ', &word);
	return word.len == 1 && word.data[0] == '*' ? STR_EMPTY : word;
}

int auth_winbind_reply_read(struct str line, bool spnego, struct auth_winbind_reply *out)
{
	struct str rest = line, code;

	*out = (struct auth_winbind_reply){.outcome = AUTH_WINBIND_CANNOT};
	if (str_find(line, '\0') >= 0 || !str_split(&rest, ' ', &code))
		return ERR_SYNTAX;
	if (str_equal(code, STR("TT"))) {
		out->outcome = AUTH_WINBIND_CHALLENGE;
		out->token = one_word(&rest);
		return out->token.len ? 0 : ERR_SYNTAX;
	}
	if (str_equal(code, STR("AF"))) {
		out->outcome = AUTH_WINBIND_PROVED;
		if (spnego)
			out->token = one_word(&rest);
		out->name = rest; // names may have blanks
		return rest.len ? 0 : ERR_SYNTAX;
	}
	if (str_equal(code, STR("NA"))) {
		if (str_starts(rest, STR("* ")))
			rest = str_skip(rest, 2);
		out->outcome = is_no_answer(rest) ? AUTH_WINBIND_CANNOT : AUTH_WINBIND_REFUTED;
		out->reason = rest;
		return 0;
	}
	out->reason = rest;
	return str_equal(code, STR("BH")) ? 0 : ERR_SYNTAX;
}

// ---- NTLM (MS-NLMP 2.2.1.3); numbers are little-endian
#define NTLM_HEAD 64

static uint32_t number(struct str s, size_t at, size_t octets)
{
	uint32_t n = 0;

	for (size_t i = octets; i-- > 0;)
		n = n << 8 | (unsigned char)s.data[at + i];
	return n;
}

static int field(struct str message, size_t at, struct str *out)
{
	size_t len = number(message, at, 2), from = number(message, at + 4, 4);

	if (from > message.len || len > message.len - from)
		return ERR_SYNTAX;
	*out = str_slice(message, from, from + len);
	return 0;
}

static size_t put_utf8(uint32_t c, char out[4])
{
	if (c < 0x80) {
		out[0] = (char)c;
		return 1;
	}
	size_t more = c < 0x800 ? 1 : c < 0x10000 ? 2 : 3;
	for (size_t i = more; i > 0; i--, c >>= 6)
		out[i] = (char)(0x80 | (c & 0x3f));
	out[0] = (char)((0xff00u >> (more + 1) & 0xff) | c);
	return more + 1;
}

// Appends UTF-16; what is no character, or a control, makes it no name.
static int add_wide(struct str s, char *out, size_t *used)
{
	for (size_t i = 0; i + 1 < s.len; i += 2) {
		uint32_t c = number(s, i, 2);
		if (c >= 0xd800 && c < 0xdc00 && i + 3 < s.len) {
			uint32_t low = number(s, i + 2, 2);
			if (low < 0xdc00 || low > 0xdfff)
				return ERR_SYNTAX;
			c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
			i += 2;
		}
		if (c < ' ' || c == 0x7f || (c >= 0xd800 && c < 0xe000))
			return ERR_SYNTAX;
		if (*used + 5 > AUTH_NAME_OCTETS)
			return ERR_LIMIT;
		*used += put_utf8(c, out + *used);
	}
	return s.len % 2 ? ERR_SYNTAX : 0;
}

static int add_narrow(struct str s, char *out, size_t *used)
{
	for (size_t i = 0; i < s.len; i++) {
		if (s.data[i] < ' ' || s.data[i] == 0x7f) // of ASCII only; the code page is unknown
			return ERR_SYNTAX;
		if (*used + 2 > AUTH_NAME_OCTETS)
			return ERR_LIMIT;
		out[(*used)++] = s.data[i];
	}
	return 0;
}

int auth_ntlm_name_read(struct str message, char out[AUTH_NAME_OCTETS])
{
	struct str domain, user;
	size_t used = 0;
	int err;

	out[0] = '\0';
	if (message.len < NTLM_HEAD || !str_starts(message, str_make("NTLMSSP", 8)) ||
		number(message, 8, 4) != 3 || field(message, 28, &domain) ||
		field(message, 36, &user) || user.len == 0)
		return ERR_SYNTAX;
	int (*add)(struct str, char *, size_t *) =
		number(message, 60, 4) & 1 ? add_wide : add_narrow;
	err = add(domain, out, &used);
	if (!err && domain.len)
		out[used++] = '\\'; // there is room: add leaves two octets
	if (!err)
		err = add(user, out, &used);
	out[err ? 0 : used] = '\0';
	return err;
}

// ---- names
bool auth_winbind_configured(const struct config *c)
{
	return c->auth.winbind.helper.count > 0;
}

int auth_winbind_account(const struct config *c, struct str name, char out[AUTH_NAME_OCTETS])
{
	const struct config_list *map = &c->auth.winbind.map;
	ptrdiff_t slash = str_find(name, '\\'), at = str_find_last(name, '@');
	struct str user = name, domain = STR_EMPTY;

	if (slash >= 0) {
		domain = str_slice(name, 0, (size_t)slash);
		user = str_skip(name, (size_t)slash + 1);
	} else if (at >= 0) {
		domain = str_skip(name, (size_t)at + 1);
		user = str_slice(name, 0, (size_t)at);
	}
	// Else "kim@there.example" of a domain of ours would be somebody of another.
	if (user.len == 0 || str_find(user, '@') >= 0)
		return ERR_NOT_FOUND;
	for (size_t i = 0; i + 1 < map->count; i += 2)
		if (domain.len == 0 || str_equal_nocase(map->items[i], domain))
			return auth_domain_name_read(user, map->items[i + 1], out);
	return ERR_NOT_FOUND;
}

// ---- dialogues
struct auth_winbind {
	struct auth_winbind_host host;
	struct list talks; // struct auth_winbind_talk that have begun
	uint64_t last_id;
};

struct auth_winbind *auth_winbind_create(const struct auth_winbind_host *host)
{
	struct auth_winbind *w = mem_alloc(sizeof *w);

	w->host = *host;
	list_init(&w->talks);
	return w;
}

void auth_winbind_destroy(struct auth_winbind *w)
{
	if (!w)
		return;
	LIST_EACH(link, &w->talks)
		auth_winbind_end(LIST_ENTRY(link, struct auth_winbind_talk, link));
	mem_free(w);
}

bool auth_winbind_ask(
	struct auth_winbind *w, struct auth_winbind_talk *t, bool spnego, struct str token)
{
	struct ipc_negotiate m = {.spnego = spnego, .first = !t->begun, .token = token};

	if (!w->host.send)
		return false;
	m.dialogue = t->begun ? t->id : ++w->last_id;
	if (w->host.send(w->host.arg, &m))
		return false;
	if (!t->begun)
		list_add_last(&w->talks, &t->link);
	t->winbind = w;
	t->id = m.dialogue;
	t->begun = t->waits = true;
	return true;
}

// Forgets it here; role checker ends its part when it is told, or when its own end was the last.
static void forget(struct auth_winbind_talk *t)
{
	list_remove(&t->link);
	t->begun = t->waits = false;
}

void auth_winbind_end(struct auth_winbind_talk *t)
{
	struct ipc_negotiate_end m = {.dialogue = t->id};

	if (!t->begun)
		return;
	forget(t);
	t->winbind->host.end(t->winbind->host.arg, &m);
}

void auth_winbind_answer(struct auth_winbind *w, const struct ipc_negotiated *m)
{
	LIST_EACH(link, &w->talks) {
		struct auth_winbind_talk *t = LIST_ENTRY(link, struct auth_winbind_talk, link);
		if (t->id != m->dialogue || !t->waits)
			continue;
		t->waits = false;
		if (m->outcome != AUTH_WINBIND_CHALLENGE)
			forget(t);
		t->answered(t, m);
		return;
	}
}

void auth_winbind_lost(struct auth_winbind *w)
{
	struct ipc_negotiated m = {
		.outcome = AUTH_WINBIND_CANNOT, .reason = STR("the helper's role has ended")};
	struct list gone;

	// What answers may begin others, and end some of these.
	list_init(&gone);
	LIST_EACH(link, &w->talks) {
		list_remove(link);
		list_add_last(&gone, link);
	}
	while (!list_empty(&gone)) {
		struct auth_winbind_talk *t = LIST_ENTRY(gone.next, struct auth_winbind_talk, link);
		bool waits = t->waits;
		forget(t);
		if (waits)
			t->answered(t, &m);
	}
}
