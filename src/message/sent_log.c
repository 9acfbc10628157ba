// SPDX-License-Identifier: ISC
// Lines of mail logs. Each server names a message by a word of its own; the sender stands in one line,
// recipients in others.
#include "message/sent.h"

#include "base/map.h"
#include "base/memory.h"
#include "smtp/address.h"

#define ID_MAX	  64
#define LINE_MOST 8192 // octets that are looked at

struct known {
	char id[ID_MAX + 1];
	char from[SMTP_ADDRESS_MAX];
};

struct sent_log {
	struct map senders;   // id -> struct known
	struct known *ring[SENT_MESSAGES];
	unsigned next;
};

struct sent_log *sent_log_create(void)
{
	return mem_alloc(sizeof(struct sent_log));
}

void sent_log_destroy(struct sent_log *l)
{
	if (!l)
		return;
	for (unsigned n = 0; n < SENT_MESSAGES; n++)
		mem_free(l->ring[n]);
	map_finish(&l->senders);
	mem_free(l);
}

// ---------------------------------------------------------------- senders by message

static bool parse(struct str text, struct smtp_address *out)
{
	return text.len && str_find(text, '@') > 0 && smtp_address_parse(text, out) == 0;
}

static void remember(struct sent_log *l, struct str id, struct str from)
{
	struct known **place = &l->ring[l->next++ % SENT_MESSAGES], *k, *old;
	struct smtp_address address;

	if (!id.len || id.len > ID_MAX || !parse(from, &address))
		return;
	if (*place && map_get(&l->senders, str_from((*place)->id)) == *place)
		(void)map_remove(&l->senders, str_from((*place)->id));
	mem_free(*place);
	*place = k = mem_alloc(sizeof(*k));
	str_copy(id, k->id, sizeof(k->id));
	str_copy(str_from(address.text), k->from, sizeof(k->from));
	old = map_set(&l->senders, id, k);
	(void)old; // stays in the ring, which frees it
}

static void tell(struct sent_log *l, struct str id, struct str to, sent_give give, void *arg)
{
	const struct known *k = id.len <= ID_MAX ? map_get(&l->senders, id) : NULL;
	struct smtp_address address;

	if (k && parse(to, &address))
		give(arg, str_from(k->from), str_from(address.text));
}

// ---------------------------------------------------------------- words

static struct str next_word(struct str *rest)
{
	struct str word;

	while (rest->len && rest->data[0] == ' ')
		*rest = str_skip(*rest, 1);
	return str_split(rest, ' ', &word) ? word : STR_EMPTY;
}

// "kim@example.org" of "<kim@example.org>," and the like.
static struct str bare(struct str word)
{
	while (word.len && (word.data[word.len - 1] == ',' || word.data[word.len - 1] == '>'))
		word.len--;
	while (word.len && word.data[0] == '<')
		word = str_skip(word, 1);
	return word;
}

// What follows key, up to a blank or a comma that ends a field; "" when it is not there.
static struct str value_of(struct str line, struct str key)
{
	ptrdiff_t at = str_search(line, key);
	struct str value = at < 0 ? STR_EMPTY : str_skip(line, (size_t)at + key.len);

	for (size_t n = 0; n < value.len; n++)
		if (value.data[n] == ' ' || (value.data[n] == ',' && n + 1 < value.len && value.data[n + 1] == ' '))
			return str_slice(value, 0, n);
	return value;
}

// ---------------------------------------------------------------- Postfix and sendmail
// "… postfix/smtp[7]: 4ABC: to=<lee@example.net>, …", "… sendmail[7]: r12: to=<a@b>,<c@d>, …"

static struct str queue_id(struct str line)
{
	ptrdiff_t at = str_search(line, STR("]: "));
	struct str rest = at < 0 ? STR_EMPTY : str_skip(line, (size_t)at + 3), id;

	return str_split(&rest, ':', &id) && rest.len ? id : STR_EMPTY;
}

static bool take_syslog(struct sent_log *l, struct str line, sent_give give, void *arg)
{
	struct str id = queue_id(line), list, one;

	if (!id.len || str_find(id, ' ') >= 0)
		return false;
	list = value_of(line, STR(" from="));
	if (list.len) {
		remember(l, id, bare(list));
		return true;
	}
	list = value_of(line, STR(" to="));
	if (!list.len)
		return false;
	while (list.len && str_split(&list, ',', &one))
		tell(l, id, bare(one), give, arg);
	return true;
}

// ---------------------------------------------------------------- qmail
// "… info msg 7: bytes 1 from <kim@example.org> qp …", "… starting delivery 1: msg 7 to remote a@b"

static bool take_qmail(struct sent_log *l, struct str line, sent_give give, void *arg)
{
	ptrdiff_t info = str_search(line, STR("info msg ")), start = str_search(line, STR("starting delivery "));
	struct str rest, id;

	if (info >= 0) {
		rest = str_skip(line, (size_t)info + 9);
		if (str_split(&rest, ':', &id))
			remember(l, id, bare(value_of(rest, STR(" from "))));
		return true;
	}
	if (start < 0)
		return false;
	rest = str_skip(line, (size_t)start);
	id = value_of(rest, STR(" msg "));
	tell(l, id, value_of(rest, str_search(rest, STR(" to remote ")) >= 0 ? STR(" to remote ") :
		STR(" to local ")), give, arg);
	return true;
}

// ---------------------------------------------------------------- Exim
// "2026-11-22 10:00:00 1abcDE-000001-Ab <= kim@example.org H=…", "… => lee@example.net R=…"

static void take_exim(struct sent_log *l, struct str line, sent_give give, void *arg)
{
	struct str before = STR_EMPTY, word;

	for (unsigned n = 0; n < 8 && line.len; n++) {
		word = next_word(&line);
		if (str_equal(word, STR("<="))) {
			remember(l, before, bare(next_word(&line)));
			return;
		}
		if (str_equal(word, STR("=>")) || str_equal(word, STR("->"))) {
			struct str first = next_word(&line);

			// "=> name <name@example.org> R=…" for a mailbox of its own
			if (str_find(first, '@') < 0)
				first = next_word(&line);
			tell(l, before, bare(first), give, arg);
			return;
		}
		before = word;
	}
}

void sent_log_line(struct sent_log *l, struct str line, sent_give give, void *arg)
{
	line = str_slice(line, 0, LINE_MOST);
	if (line.len && line.data[line.len - 1] == '\r')
		line.len--;
	if (!take_syslog(l, line, give, arg) && !take_qmail(l, line, give, arg))
		take_exim(l, line, give, arg);
}
