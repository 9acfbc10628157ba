// SPDX-License-Identifier: ISC
// Size of the header section, number of its fields, and loops: too many hops, or our own Delivered-To of one of the
// recipients.
#include "filter/filter_internal.h"

#include "message/headers.h"

#include "base/map.h"
#include "base/memory.h"
#include "base/text.h"
#include "base/unit.h"
#include "smtp/address.h"

struct stage {
	const struct stage_facts *facts;
	struct headers_reader reader;
	uint64_t hops, fields;
	struct map ours;	     // keys of the recipients whose Delivered-To is ours to judge
	bool ours_filled;	     // only once a Delivered-To was seen
	struct stage_result *result; // during octets and end
};

static struct stage *limits_begin(const struct stage_facts *facts)
{
	struct stage *s = mem_alloc(sizeof(*s));

	s->facts = facts;
	headers_reader_init(&s->reader, STAGE_FIELD_MAX);
	return s;
}

// The form in which addresses are compared; text that is no address compares as it stands.
static struct str address_key(struct str text, char out[SMTP_ADDRESS_MAX])
{
	struct smtp_address address;

	if (smtp_address_parse(text, &address) == 0)
		return str_from(smtp_address_key(&address, out));
	if (!str_copy(text, out, SMTP_ADDRESS_MAX))
		return STR_EMPTY;
	str_lower(out, text.len);
	return str_make(out, text.len);
}

// We write Delivered-To only where we deliver ourselves. A field of another system names an
// address of its own and says nothing about a loop here.
static bool is_delivered_here(const struct config *config, struct str domain)
{
	const struct config_route *route;

	if (config_is_local_domain(config, domain))
		return true;
	route = config_route_for(config, domain);
	return route && route->kind == CONFIG_ROUTE_LOCAL;
}

static void fill_ours(struct stage *s)
{
	char key[SMTP_ADDRESS_MAX];

	for (unsigned i = 0; i < s->facts->recipient_count; i++) {
		const struct envelope_recipient *r = &s->facts->recipients[i];

		if (is_delivered_here(s->facts->config, r->domain))
			map_set(&s->ours, address_key(r->address, key), (void *)r);
	}
	s->ours_filled = true;
}

static void check_delivered_to(struct stage *s, struct str value)
{
	const struct envelope_recipient *found;
	struct buf text = BUF_INIT;
	char key[SMTP_ADDRESS_MAX];

	if (!s->ours_filled)
		fill_ours(s);
	if (s->ours.count == 0)
		return;
	headers_unfold(value, &text);
	found = map_get(&s->ours, address_key(buf_str(&text), key));
	if (found)
		stage_refuse(s->result, 554, "5.4.6", "loop",
			TEXT("mail loop: the message was already delivered to %.*s"),
			STR_ARG(found->address));
	buf_finish(&text);
}

static void see_field(
	void *arg, struct str name, struct str value, uint64_t offset, uint64_t length)
{
	struct stage *s = arg;

	s->fields++;
	if (str_equal_nocase(name, STR("Received"))) {
		if (++s->hops > s->facts->config->limits.hops)
			stage_refuse(s->result, 554, "5.4.6", "hops",
				TEXT("mail loop: the message has passed more than %llu mail "
				     "systems"),
				(unsigned long long)s->facts->config->limits.hops);
	} else if (str_equal_nocase(name, STR("Delivered-To"))) {
		check_delivered_to(s, value);
	}
}

static void reached(struct stage_result *result, enum config_limit_id id, uint64_t count)
{
	result->is_limit = true;
	result->limit_id = id;
	result->count = count;
}

static void check_size(struct stage *s, struct stage_result *result)
{
	uint64_t size = s->facts->header_size ? s->facts->header_size :
		s->facts->config->limits.header_size;
	char most[UNIT_TEXT_MAX];

	if (result->code)
		return;
	if (s->reader.size > size) {
		stage_refuse(result, 552, "5.3.4", "header-size",
			TEXT("the header section of the message is larger than %s"),
			unit_format_size(size, most));
		reached(result, CONFIG_LIMIT_HEADER_SIZE, s->reader.size);
	} else if (s->facts->header_fields && s->fields > s->facts->header_fields) {
		stage_refuse(result, 552, "5.3.4", "header-fields",
			TEXT("the header of the message has more than %llu fields"),
			(unsigned long long)s->facts->header_fields);
		reached(result, CONFIG_LIMIT_HEADER_FIELDS, s->fields);
	}
}

static void limits_octets(struct stage *s, struct str octets, struct stage_result *result)
{
	if (s->reader.done)
		return;
	s->result = result;
	headers_reader_feed(&s->reader, octets, see_field, s);
	check_size(s, result);
}

static void limits_end(struct stage *s, struct stage_result *result)
{
	s->result = result;
	headers_reader_end(&s->reader, see_field, s);
	check_size(s, result);
}

static void limits_destroy(struct stage *s)
{
	if (!s)
		return;
	headers_reader_finish(&s->reader);
	map_finish(&s->ours);
	mem_free(s);
}

const struct stage_class stage_limits = {
	"limits",
	limits_begin,
	limits_octets,
	limits_end,
	limits_destroy,
};
