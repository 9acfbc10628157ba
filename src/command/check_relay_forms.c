// SPDX-License-Identifier: ISC
// Forms of a recipient that have made mail servers relay: $own is our end of the connection as a
// literal, $name our host name, $ours a domain of ours, $out one that is nobody's (RFC 2606). Octets
// above 127 are UTF-8: full-width and look-alike letters, dots and signs, and invisible ones.
#include "command/check_relay.h"

#include "base/str.h"

const char *const check_relay_senders[] = {
	"<>", "<spam@$out>", "<postmaster@$ours>", "<spam@$own>", "<spam@$name>",
};
const size_t check_relay_sender_count = ARRAY_SIZE(check_relay_senders);

const char *const check_relay_forms[] = {
	"<relay@$out>", "<relay%$out@$own>", "<relay%$out@$name>", "<\"relay@$out\">",
	"<\"relay%$out\">", "<relay@$out@$own>", "<\"relay@$out\"@$own>", "<relay@$out@$name>",
	"<@$own:relay@$out>", "<@$name:relay@$out>", "<$out!relay>", "<$out!relay@$own>",
	"<$out!relay@$name>", "<relay@$out.>", "<\"relay\"@$out>", "<kim@sub.$ours>",
	"<kim@not$ours>", "<kim@$ours.$out>", "<postmaster@$out>", "<abuse@$out>", "<kim@$name>",
	"<root@localhost>", "<root@localhost.>", "relay@$out", "<relay@$out", "relay@$out>",
	"<<relay@$out>>", "Relay <relay@$out>", "<relay%$out@$ours>", "<\"relay%$out\"@$ours>",
	"<relay%$out%two.$out@$ours>", "<relay%$out%@$ours>", "<\"relay%$out.\"@$ours>",
	"<relay%$out>", "<kim%$ours@$out>", "<\"relay%[192.0.2.25]\"@$ours>", "<$out!relay@$ours>",
	"<\"$out!relay\"@$ours>", "<two.$out!$out!relay@$ours>", "<$out!relay%two.$out@$ours>",
	"<$ours!kim@$out>", "<\"relay@$out\"@$ours>", "<\"relay@$out.\"@$ours>",
	"<\"relay@$out \"@$ours>", "<\" relay@$out\"@$ours>", "<\"<relay@$out>\"@$ours>",
	"<\"\\\"relay@$out\\\"\"@$ours>", "<\"\\\"relay\\\"@$out\"@$ours>",
	"<\"\\\"\\\\\\\"relay\\\\\\\"@$out\\\"\"@$ours>", "<\"relay\\@$out\"@$ours>",
	"<\"@$out:relay\"@$ours>", "<\"@two.$out:relay@$out\"@$ours>", "<\"relay\"@$out@$ours>",
	"<\"relay@$out>\\r\\nRCPT TO:<kim\"@$ours>", "<\"relay@$out,kim\"@$ours>",
	"<\"kim@$ours\"@$out>", "<\"kim@$ours>\"@$out>", "<@$ours:relay@$out>",
	"<@$ours,@$name:relay@$out>", "<@$ours:@$out:relay>", "<@$out@$ours>", "<@$out,kim@$ours>",
	"<@$out:postmaster>", "<@$out:relay%two.$out@$ours>", "<relay@$own>", "<kim@$own>",
	"<kim@[127.0.0.1]>", "<kim@[127.1.2.3]>", "<kim@[0.0.0.0]>", "<kim@[IPv6:::]>",
	"<kim@[IPv6:::1]>", "<kim@[IPv6:::ffff:127.0.0.1]>", "<kim@[::1]>", "<relay@[192.0.2.25]>",
	"<relay@[IPv6:2001:db8::25]>", "<postmaster@[192.0.2.25]>", "<relay@192.0.2.25>",
	"<kim@127.0.0.1>", "<relay@[3221225999]>", "<relay@[0xC0000219]>", "<relay@[$out]>",
	"<relay@[x-tag:$out]>", "<kim@$ours,relay@$out>", "<kim@$ours relay@$out>",
	"<kim@$ours;relay@$out>", "<kim@$ours:relay@$out>", "<kim@$ours><relay@$out>",
	"<kim@$ours>,<relay@$out>", "<kim@$ours> <relay@$out>", "<relay@$out> <kim@$ours>", "<@>",
	"<@$ours>", "<kim@>", "<kim@.>", "<kim>", "<.@$ours>", "<kim@\320\265xample.kr>",
	"<kim@ex\320\260mple.kr>", "<kim@example.\320\272r>", "<kim@example\342\200\244kr>",
	"<kim@$ours\343\200\202$out>", "<relay@elsewhere\343\200\202test>",
	"<relay@\357\275\205lsewhere.test>", "<relay\357\274\240$out@$ours>",
	"<relay\357\274\205$out@$ours>", "<$out\357\274\201relay@$ours>",
	"<relay@$out\357\274\240$ours>", "<\"relay@$out\343\200\202\"@$ours>",
	"<k\321\226m@$ours>", "<kim@\342\200\256$ours>",
};
const size_t check_relay_form_count = ARRAY_SIZE(check_relay_forms);

static size_t add(char *out, size_t at, struct str what)
{
	size_t room = CHECK_RELAY_FORM_MAX - 1 - at;
	size_t len = what.len < room ? what.len : room;

	memcpy(out + at, what.data, len);
	return at + len;
}

const char *check_relay_fill(const char *form, const struct check_relay_names *n,
	char out[CHECK_RELAY_FORM_MAX])
{
	const struct {
		struct str name, value;
	} names[] = {
		{STR("$own"), str_from(n->own)}, {STR("$name"), str_from(n->host)},
		{STR("$ours"), str_from(n->ours)}, {STR("$out"), STR("outside.invalid")},
	};
	struct str rest = str_from(form);
	size_t at = 0;

	while (rest.len) {
		size_t i = 0;

		while (i < ARRAY_SIZE(names) && !str_starts(rest, names[i].name))
			i++;
		at = add(out, at, i < ARRAY_SIZE(names) ? names[i].value : str_slice(rest, 0, 1));
		rest = str_skip(rest, i < ARRAY_SIZE(names) ? names[i].name.len : 1);
	}
	out[at] = '\0';
	return out;
}
