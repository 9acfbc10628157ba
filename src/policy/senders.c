// SPDX-License-Identifier: ISC
// Who may send as whom: in MAIL FROM, and in From: and Sender: (RFC 5322 3.6.2). The strict
// reading: every author must be the account's own; Sender: stands for nobody else.
#include "policy/senders.h"

#include "base/text.h"
#include "policy/policy_internal.h"

#include <stdio.h>

// ---------------------------------------------------------------- ownership

static bool is_account(struct str key, struct str account, struct str default_domain)
{
	ptrdiff_t at;

	if (str_find(account, '@') >= 0)
		return str_equal_nocase(key, account);
	at = str_find_last(key, '@');
	return at >= 0 && default_domain.len && str_equal_nocase(str_slice(key, 0, (size_t)at), account) &&
		str_equal_nocase(str_skip(key, (size_t)at + 1), default_domain);
}

static bool has_word(struct str words, struct str word)
{
	struct str one;

	while (words.len && str_split(&words, ' ', &one))
		if (str_equal(one, word))
			return true;
	return false;
}

static bool is_granted(struct str send_as, struct str key, const struct policy_author *author)
{
	struct str one;
	ptrdiff_t at = str_find_last(key, '@');

	while (send_as.len && str_split(&send_as, ' ', &one)) {
		if (str_equal(one, key))
			return true;
		if (str_starts(one, STR("@")) && at >= 0 && str_equal(one, str_skip(key, (size_t)at)))
			return true;
		if (str_starts(one, STR("group:")) && !author->by_rest &&
			has_word(author->groups, str_skip(one, 6)))
			return true;
	}
	return false;
}

enum policy_owner policy_owner_of(struct str account, struct str default_domain, struct str send_as,
	const struct policy_author *author)
{
	char text[SMTP_ADDRESS_MAX];
	struct str key;

	if (author->address->null)
		return has_word(send_as, STR("<>")) ? POLICY_OWNER_GRANTED : POLICY_OWNER_NO;
	if (author->address->literal || author->address->postmaster)
		return POLICY_OWNER_NO;
	key = str_from(smtp_address_key(author->address, text));
	if (!account.len || !key.len)
		return POLICY_OWNER_NO;
	if (is_account(key, account, default_domain))
		return POLICY_OWNER_SELF;
	// A catch-all makes nobody the owner of what others might be called.
	if (author->target.len && !author->by_rest && is_account(author->target, account, default_domain))
		return POLICY_OWNER_SELF;
	return is_granted(send_as, key, author) ? POLICY_OWNER_GRANTED : POLICY_OWNER_NO;
}

bool policy_send_as_parse(struct str word, char out[POLICY_SEND_AS_MAX])
{
	char domain[DOMAIN_MAX + 1], key[SMTP_ADDRESS_MAX];
	struct smtp_address address;

	if (str_equal(word, STR("<>")))
		return str_copy(word, out, POLICY_SEND_AS_MAX);
	if (str_starts(word, STR("group:"))) {
		struct str name = str_skip(word, 6);

		return name.len && name.len <= 64 &&
			str_only(name, "abcdefghijklmnopqrstuvwxyz0123456789._-") &&
			str_copy(word, out, POLICY_SEND_AS_MAX);
	}
	if (str_starts(word, STR("@"))) {
		if (domain_normalise(str_skip(word, 1), domain))
			return false;
		snprintf(out, POLICY_SEND_AS_MAX, "@%s", domain);
		return true;
	}
	if (smtp_address_parse(word, &address) || address.literal)
		return false;
	// A blank would part it from the next word.
	return str_find(str_from(smtp_address_key(&address, key)), ' ') < 0 &&
		str_copy(str_from(key), out, POLICY_SEND_AS_MAX);
}

// ---------------------------------------------------------------- clients bound to domains

static bool is_bound_to(struct str domains, struct str domain)
{
	struct str one;

	while (domains.len && str_split(&domains, ' ', &one))
		if (one.len && domain_matches(one, domain))
			return true;
	return false;
}

static struct str domain_of(struct str address)
{
	return str_skip(address, (size_t)(str_find_last(address, '@') + 1));
}

// A network that relays without logging in may be bound to the domains it sends from.
static bool binds_client(const struct policy_facts *f)
{
	return !f->account.len && f->client_rule && f->client_rule->senders.len;
}

// True when v was set.
static bool client_refused(const struct policy_facts *f, struct str author, const char *field,
	struct policy_verdict *v)
{
	if (!author.len || is_bound_to(f->client_rule->senders, domain_of(author)))
		return false; // <> is for reports of a server behind us
	policy_verdict_set(v, POLICY_RULE_SENDER_DOMAIN,
		TEXT("%s<%.*s> is of a domain that your address may not send from; it may from: %.*s"), field,
		STR_ARG(str_slice(author, 0, 160)), STR_ARG(str_slice(f->client_rule->senders, 0, 100)));
	policy_verdict_cite(v, f->client_rule);
	return true;
}

// ---------------------------------------------------------------- MAIL

static void refuse_author(const struct policy_facts *f, struct str author, const char *field,
	struct policy_verdict *v)
{
	if (!author.len)
		policy_verdict_set(v, POLICY_RULE_NULL_SENDER,
			TEXT("mail of %.*s needs a sender; `pabal account send-as %.*s add \"<>\"` allows this"),
			STR_ARG(f->account), STR_ARG(f->account));
	else
		policy_verdict_set(v, POLICY_RULE_SENDER_NOT_YOURS,
			TEXT("%s<%.*s> is not an address of %.*s; the administrator can grant it: pabal account "
			     "send-as %.*s add %.*s"),
			field, STR_ARG(str_slice(author, 0, 120)), STR_ARG(str_slice(f->account, 0, 80)),
			STR_ARG(str_slice(f->account, 0, 80)), STR_ARG(str_slice(author, 0, 120)));
	policy_verdict_cite_words(v, "senders of server ", f->server->name);
}

static char owner_at(const struct policy_facts *f, size_t number)
{
	return number < f->owners.len ? f->owners.data[number] : POLICY_OWNER_UNKNOWN;
}

// True when v was set.
static bool owner_refused(const struct policy_facts *f, size_t number, struct str author,
	const char *field, struct policy_verdict *v)
{
	char owner = owner_at(f, number);

	if (owner == POLICY_OWNER_SELF || owner == POLICY_OWNER_GRANTED)
		return false;
	if (owner == POLICY_OWNER_NO)
		refuse_author(f, author, field, v);
	else
		policy_verdict_set(v, POLICY_RULE_SENDER_UNKNOWN,
			TEXT("whether you may send as %s<%.*s> cannot be looked up now; try again"), field,
			STR_ARG(str_slice(author, 0, 160)));
	return true;
}

bool policy_sender_refused(const struct policy_facts *f, struct policy_verdict *v)
{
	struct str sender = str_from(f->sender ? f->sender->text : "");

	if (binds_client(f))
		return client_refused(f, sender, "", v);
	if (!f->account.len || f->server->senders == CONFIG_SENDERS_ANY)
		return false;
	return owner_refused(f, 0, sender, "", v);
}

// ---------------------------------------------------------------- From: and Sender:

bool policy_wants_authors(const struct policy_facts *f)
{
	return binds_client(f) || (f->account.len && f->server->senders >= CONFIG_SENDERS_RELAXED);
}

static void check_bound(const struct policy_facts *f, struct policy_verdict *v)
{
	struct str rest = f->authors, author;
	unsigned number = 0;

	while (rest.len && str_split(&rest, '\n', &author))
		if (client_refused(f, author, number++ < f->author_count ? "From: " : "Sender: ", v))
			return;
	policy_verdict_set(v, POLICY_RULE_ALLOW, NULL);
}

// Is one of the authors the account's own, and Sender: as well?
static bool sends_for_others(const struct policy_facts *f)
{
	bool author = false, sender = false;

	for (size_t i = 0; i < f->owners.len; i++) {
		bool own = owner_at(f, i) == POLICY_OWNER_SELF || owner_at(f, i) == POLICY_OWNER_GRANTED;

		author = author || (i < f->author_count && own);
		sender = sender || (i >= f->author_count && own);
	}
	return author && sender;
}

void policy_body(const struct policy_facts *f, struct policy_verdict *v)
{
	struct str rest = f->authors, author;
	size_t number = 0;
	bool lenient;

	if (binds_client(f)) {
		check_bound(f, v);
		return;
	}
	if (!(f->known & POLICY_FACT_SENDER)) {
		policy_verdict_need(v, POLICY_FACT_SENDER);
		return;
	}
	lenient = f->server->senders == CONFIG_SENDERS_RELAXED && f->author_count > 1 && sends_for_others(f);
	for (; rest.len && str_split(&rest, '\n', &author); number++) {
		bool from = number < f->author_count;

		if (from && lenient)
			continue;
		if (owner_refused(f, number, author, from ? "From: " : "Sender: ", v))
			return;
	}
	policy_verdict_set(v, POLICY_RULE_ALLOW, NULL);
}
