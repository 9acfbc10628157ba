// SPDX-License-Identifier: ISC
// The fields From, To, Cc and Bcc of a mail.
#include "message/sent.h"

#include "smtp/address.h"

enum field { FIELD_OTHER, FIELD_FROM, FIELD_TO };

struct mail {
	struct smtp_address from, to;
	unsigned count;
	sent_give give;
	void *arg;
	enum field field;
	unsigned depth;     // of comments
	bool quoted, escaped, literal;
	char token[SMTP_ADDRESS_MAX];
	size_t len;
	bool too_long;
};

static void end_token(struct mail *m)
{
	struct str token = str_make(m->token, m->len);
	bool good = !m->too_long && str_find(token, '@') > 0;

	m->len = 0;
	m->too_long = false;
	if (!good || m->count >= SENT_RECIPIENTS)
		return;
	if (m->field == FIELD_FROM) {
		if (!m->from.text[0] && smtp_address_parse(token, &m->from))
			m->from.text[0] = '\0';
	} else if (smtp_address_parse(token, &m->to) == 0) {
		m->count++;
		m->give(m->arg, str_from(m->from.text), str_from(m->to.text));
	}
}

static bool parts(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n' || c == ',' || c == ';' || c == ':' ||
		c == '<' || c == '>';
}

// Inside a comment or a quoted string nothing is an address.
static bool skipped(struct mail *m, char c)
{
	if (m->escaped) {
		m->escaped = false;
		return true;
	}
	if (c == '\\' && (m->quoted || m->depth)) {
		m->escaped = true;
		return true;
	}
	if (c == '"' && !m->depth) {
		m->quoted = !m->quoted;
		m->too_long = true; // "a b"@example.org is not told
		return true;
	}
	if (c == '(' && !m->quoted)
		m->depth++;
	else if (c == ')' && m->depth)
		m->depth--;
	else
		return m->quoted || m->depth;
	return true;
}

static void take_value(struct mail *m, struct str value)
{
	for (size_t n = 0; n < value.len; n++) {
		char c = value.data[n];

		if (skipped(m, c))
			continue;
		if (parts(c)) {
			end_token(m);
			continue;
		}
		if (m->len == sizeof(m->token))
			m->too_long = true;
		else
			m->token[m->len++] = c;
	}
}

static enum field field_of(struct str name)
{
	if (str_equal_nocase(name, STR("from")))
		return FIELD_FROM;
	return str_equal_nocase(name, STR("to")) || str_equal_nocase(name, STR("cc")) ||
			str_equal_nocase(name, STR("bcc")) ? FIELD_TO : FIELD_OTHER;
}

static void end_field(struct mail *m)
{
	end_token(m);
	m->depth = 0;
	m->quoted = m->escaped = false;
}

// One walk over the section for the fields wanted: From may stand behind To.
static void walk(struct mail *m, struct str octets, enum field wanted)
{
	struct str line, name;

	while (octets.len && str_split(&octets, '\n', &line)) {
		if (line.len && line.data[line.len - 1] == '\r')
			line.len--;
		if (!line.len)
			break;
		if (line.data[0] != ' ' && line.data[0] != '\t') {
			end_field(m);
			m->field = str_split(&line, ':', &name) ? field_of(name) : FIELD_OTHER;
		}
		if (m->field == wanted)
			take_value(m, line);
		if (m->field == wanted)
			end_token(m);
	}
	end_field(m);
}

void sent_read_mail(struct str octets, sent_give give, void *arg)
{
	struct mail m = {.give = give, .arg = arg};

	octets = str_slice(octets, 0, SENT_HEADERS_MAX);
	walk(&m, octets, FIELD_FROM);
	m.field = FIELD_OTHER;
	walk(&m, octets, FIELD_TO);
}
