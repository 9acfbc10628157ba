// SPDX-License-Identifier: ISC
// What tcprules of ucspi-tcp makes of a text was found by asking it; test_tcprules.py asks it again.
#include "config/tcprules.h"

#include "base/cdb.h"
#include "base/text.h"

#include <stdio.h>

// ---- what a key can match

// A number as tcpserver writes it in an address: no zero in front. The octets used, 0: none.
static size_t take_octet(struct str s, uint8_t *out)
{
	unsigned value = 0;
	size_t n = 0;
	while (n < s.len && n < 3 && s.data[n] >= '0' && s.data[n] <= '9')
		value = value * 10 + (unsigned)(s.data[n++] - '0');
	if (n == 0 || value > 255 || (n > 1 && s.data[0] == '0'))
		return 0;
	*out = (uint8_t)value;
	return n;
}

// "1.2.3.4", or one to three numbers with a dot behind each.
static bool dotted(struct str s, struct ipnet *out)
{
	*out = (struct ipnet){.addr.family = 4};
	for (unsigned i = 0; i < 4; i++) {
		size_t n = take_octet(s, &out->addr.octets[i]);
		s = str_skip(s, n);
		if (n == 0)
			return false;
		out->prefix = (uint8_t)(8 * (i + 1));
		if (i == 3)
			return s.len == 0;
		if (s.len == 0 || s.data[0] != '.')
			return false;
		s = str_skip(s, 1);
		if (s.len == 0)
			return true;
	}
	return false;
}

// "[2001:db8::]/32" is "2001:db8::/32".
static bool with_length(struct str s, struct ipnet *out)
{
	char text[IPADDR_TEXT_MAX + 8];
	struct buf plain = BUF_INIT;
	ptrdiff_t end = str_find(s, ']');
	if (s.len == 0 || s.len >= sizeof text)
		return false;
	if (s.data[0] == '[' && end > 0) {
		buf_add_str(&plain, str_slice(s, 1, (size_t)end));
		buf_add_str(&plain, str_skip(s, (size_t)end + 1));
	} else {
		buf_add_str(&plain, s);
	}
	bool good = (str_find(s, '/') >= 0 || str_find(s, ':') >= 0) &&
		    ipnet_parse(buf_str(&plain), out) == 0;
	buf_finish(&plain);
	return good;
}

enum tcprules_kind tcprules_key(struct str key, struct ipnet *out)
{
	if (key.len == 0 || key.data[0] == '=')
		return TCPRULES_NAME;
	if (dotted(key, out) || with_length(key, out))
		return TCPRULES_NETWORK;
	return str_find(key, '@') >= 0 ? TCPRULES_IDENT : TCPRULES_NEVER;
}

// ---- what a record says

// What is behind the last NUL says nothing.
static bool next_item(struct str *rest, struct str *out)
{
	ptrdiff_t end = str_find(*rest, '\0');
	if (end < 0)
		return false;
	*out = str_slice(*rest, 0, (size_t)end);
	*rest = str_skip(*rest, (size_t)end + 1);
	return true;
}

bool tcprules_denies(struct str data)
{
	struct str item;
	while (next_item(&data, &item))
		if (item.len && item.data[0] == 'D')
			return true;
	return false;
}

bool tcprules_next(struct str *rest, struct str *out_name, struct str *out_value)
{
	struct str item;
	while (next_item(rest, &item)) {
		ptrdiff_t equals = str_find(item, '=');
		if (item.len && item.data[0] == '+' && equals > 0) {
			*out_name = str_slice(item, 1, (size_t)equals);
			*out_value = str_skip(item, (size_t)equals + 1);
			return true;
		}
	}
	return false;
}

// ---- text

struct reader {
	const struct tcprules_sink *sink;
	unsigned line;
	struct buf data; // of the record being read
	struct buf key;
	bool enough;
};

static void complain(struct reader *r, const char *words)
{
	r->sink->tell(r->sink->arg, 'E', r->line, words);
}

static void give(struct reader *r, struct str key)
{
	if (!r->enough)
		r->enough = !r->sink->record(r->sink->arg, key, buf_str(&r->data), r->line);
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

// Digits only; more of them than fit wrap around, as in tcprules.
static bool take_number(struct str s, uint64_t *out)
{
	*out = 0;
	for (size_t i = 0; i < s.len; i++) {
		if (s.data[i] < '0' || s.data[i] > '9')
			return false;
		*out = *out * 10 + (uint64_t)(s.data[i] - '0');
	}
	return true;
}

// "1.2.3-5.": the numbers around the first "-" are the first and the last; what is around them stays.
static void give_range(struct reader *r, struct str key, size_t dash)
{
	ptrdiff_t dot = str_find_last(str_slice(key, 0, dash), '.');
	struct str head = str_slice(key, 0, (size_t)(dot + 1));
	struct str tail = str_skip(key, dash + 1);
	uint64_t first, last;
	dot = str_find(tail, '.');
	struct str last_text = str_slice(tail, 0, dot < 0 ? tail.len : (size_t)dot);
	tail = str_skip(tail, last_text.len);
	if (!take_number(str_slice(key, head.len, dash), &first) || !take_number(last_text, &last)) {
		complain(r, TEXT("expected a range of numbers like 1.2.3.4-9 or 1.2.3-5."));
		return;
	}
	for (uint64_t n = first; n <= (last > 255 ? 255 : last) && !r->enough; n++) {
		buf_clear(&r->key);
		buf_add_format(&r->key, "%.*s%llu", STR_ARG(head), (unsigned long long)n);
		buf_add_str(&r->key, tail);
		give(r, buf_str(&r->key));
	}
}

static void give_key(struct reader *r, struct str key)
{
	ptrdiff_t dash = str_find(key, '-');
	if (dash < 0 || str_find(key, '=') >= 0 || str_find(key, '@') >= 0)
		give(r, key);
	else
		give_range(r, key, (size_t)dash);
}

// ,NAME=QvalueQ with any octet as Q. Empty words: it was good.
static const char *take_variables(struct reader *r, struct str s)
{
	while (s.len) {
		ptrdiff_t equals = str_find(s, '=');
		if (s.data[0] != ',')
			return TEXT("expected a comma and NAME=\"VALUE\" behind the instruction");
		if (equals < 0 || (size_t)equals + 1 == s.len)
			return TEXT("expected NAME=\"VALUE\" behind the comma");
		struct str name = str_slice(s, 1, (size_t)equals);
		char quote = s.data[equals + 1];
		s = str_skip(s, (size_t)equals + 2);
		ptrdiff_t end = str_find(s, quote);
		if (end < 0)
			return TEXT("expected the character before the value behind it again");
		buf_add_char(&r->data, '+');
		buf_add_str(&r->data, name);
		buf_add_char(&r->data, '=');
		buf_add_str(&r->data, str_slice(s, 0, (size_t)end));
		buf_add_char(&r->data, '\0');
		s = str_skip(s, (size_t)end + 1);
	}
	return NULL;
}

// The octets of the instruction at the start of s, 0: none.
static size_t instruction(struct str s)
{
	return str_starts(s, STR("deny")) ? 4 : str_starts(s, STR("allow")) ? 5 : 0;
}

// Where the ":" is that ends an IPv6 address; -1: there is none. tcprules refuses such lines.
static ptrdiff_t end_of_ipv6(struct str line)
{
	struct ipnet net;
	for (size_t i = 0; i < line.len && i < IPADDR_TEXT_MAX + 8; i++)
		if (line.data[i] == ':' && instruction(str_skip(line, i + 1)) &&
			with_length(str_slice(line, 0, i), &net))
			return (ptrdiff_t)i;
	return -1;
}

static void read_line(struct reader *r, struct str line)
{
	if (line.len && line.data[0] == '#')
		return;
	while (line.len && (is_blank(line.data[line.len - 1]) || line.data[line.len - 1] == '\r'))
		line.len--;
	ptrdiff_t colon = str_find(line, ':');
	if (line.len == 0)
		return;
	if (colon < 0) {
		if (!is_blank(line.data[0]))
			r->sink->tell(r->sink->arg, 'W', r->line,
				TEXT("a line without \":\" says nothing: expected "
				     "ADDRESS:allow or ADDRESS:deny"));
		return;
	}
	struct str rest = str_skip(line, (size_t)colon + 1);
	if (!instruction(rest) && (colon = end_of_ipv6(line)) >= 0)
		rest = str_skip(line, (size_t)colon + 1);
	size_t word = instruction(rest);
	if (!word) {
		complain(r, TEXT("expected allow or deny behind the \":\""));
		return;
	}
	buf_clear(&r->data);
	if (rest.data[0] == 'd')
		buf_add(&r->data, "D", 2);
	const char *wrong = take_variables(r, str_skip(rest, word));
	if (wrong)
		complain(r, wrong);
	else
		give_key(r, str_slice(line, 0, (size_t)colon));
}

void tcprules_text(struct str text, const struct tcprules_sink *sink)
{
	struct reader r = {.sink = sink};
	struct str line;
	while (!r.enough && text.len && str_split(&text, '\n', &line)) {
		r.line++;
		if (line.len > TCPRULES_LINE_MAX)
			complain(&r, TEXT("the line is longer than 64K"));
		else
			read_line(&r, line);
	}
	buf_finish(&r.data);
	buf_finish(&r.key);
}

// ---- .cdb

int tcprules_cdb(struct str octets, const struct tcprules_sink *sink)
{
	struct cdb cdb;
	struct buf key = BUF_INIT, data = BUF_INIT;
	uint64_t position = 0;
	int err = cdb_open_memory(&cdb, octets);
	while (!err && !(err = cdb_next(&cdb, &position, TCPRULES_LINE_MAX, &key, &data)))
		if (!sink->record(sink->arg, buf_str(&key), buf_str(&data), 0))
			break;
	buf_finish(&key);
	buf_finish(&data);
	return !err || err == ERR_NOT_FOUND ? 0 : ERR_CORRUPT;
}
