// SPDX-License-Identifier: ISC
#include "role/outside_wish.h"

#include "base/error.h"
#include "base/text.h"
#include "session/outside.h"
#include "smtp/address.h"

static const char *take_tlv(struct outside_wish *w, uint8_t type, struct str value)
{
	bool *const flags[] = {&w->named, &w->tls, &w->logged_in, &w->explain, &w->vouched};
	size_t i = (size_t)type - OUTSIDE_TLV_SERVER;
	if (type < OUTSIDE_TLV_SERVER || i >= ARRAY_SIZE(flags))
		return NULL; // of no matter here
	if (*flags[i])
		return TEXT("a wish is said twice");
	*flags[i] = true;
	if (type == OUTSIDE_TLV_SERVER)
		w->server = value;
	else if (type == OUTSIDE_TLV_ACCOUNT)
		w->account = value;
	else if (type == OUTSIDE_TLV_EXPLAIN && str_equal(value, STR("brief")))
		w->brief = true;
	else if (value.len)
		return TEXT("a wish without value has one");
	return NULL;
}

// NULL: it is a wish that can be fulfilled.
static const char *read_wish(struct outside_wish *w)
{
	struct str rest = w->header.tlvs, value;
	const char *why = NULL;
	uint8_t type;
	if (w->header.version != 2 || w->header.local)
		return TEXT("a PROXY header of version 2 with addresses is expected");
	while (!why && proxy_next_tlv(&rest, &type, &value))
		why = take_tlv(w, type, value);
	if (why)
		return why;
	if (w->logged_in && !w->explain)
		return TEXT("a login is taken for granted only where nothing but an explanation is wanted");
	if (w->logged_in && (!w->account.len || w->account.len >= SMTP_ADDRESS_MAX ||
		!str_is_utf8(w->account) || memchr(w->account.data, 0, w->account.len)))
		return TEXT("this is no name of an account");
	return NULL;
}

int outside_wish_read(struct str octets, struct outside_wish *out, size_t *used, const char **why)
{
	*out = (struct outside_wish){0};
	int result = proxy_parse(octets, &out->header, used);
	if (result) {
		*why = out->header.why;
		return result;
	}
	*why = read_wish(out);
	return *why ? ERR_SYNTAX : 0;
}
