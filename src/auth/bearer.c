// SPDX-License-Identifier: ISC
#include "auth/bearer.h"

#define END '\1' // of a pair, and once more of the message

// ---- pairs
// The scheme is compared without case; RFC 6750 2.1 says what a token may be made of.
static int read_auth(struct str value, struct auth_bearer *out)
{
	struct str scheme = STR("Bearer ");

	if (!str_starts_nocase(value, scheme))
		return ERR_SYNTAX;
	value = str_skip(value, scheme.len);
	while (value.len && value.data[0] == ' ')
		value = str_skip(value, 1);
	if (!value.len || !str_only(value, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
					   "0123456789-._~+/="))
		return ERR_SYNTAX;
	if (value.len > AUTH_SECRET_OCTETS)
		return ERR_LIMIT;
	out->token = value;
	return 0;
}

// user: the key under which the old form has the name; NULL: it is not here.
static int read_pairs(struct str rest, const char *user, struct auth_bearer *out)
{
	struct str pair = {NULL, 0}, key;

	while (str_split(&rest, END, &pair) && pair.len) {
		if (!rest.data || !str_split(&pair, '=', &key) || !key.len || !pair.data)
			return ERR_SYNTAX;
		if (str_equal_nocase(key, STR("auth"))) {
			int err = out->token.len ? ERR_SYNTAX : read_auth(pair, out);
			if (err)
				return err;
		} else if (user && str_equal_nocase(key, str_from(user)) &&
			   !str_copy(pair, out->user, sizeof out->user)) {
			return ERR_SYNTAX;
		}
	}
	// The empty pair is the end of it.
	return out->token.len && pair.data && !pair.len && rest.data && !rest.len ? 0 : ERR_SYNTAX;
}

// ---- gs2-header
// saslname: "," and "=" are written =2C and =3D, and nothing else is.
static bool read_saslname(struct str name, char out[AUTH_NAME_OCTETS])
{
	size_t len = 0;

	while (name.len) {
		char c = name.data[0];
		size_t used = 1;
		if (c == '=') {
			if (!str_starts(name, STR("=2C")) && !str_starts(name, STR("=3D")))
				return false;
			c = name.data[1] == '2' ? ',' : '=';
			used = 3;
		}
		if (c == '\0' || len + 1 >= AUTH_NAME_OCTETS)
			return false;
		out[len++] = c;
		name = str_skip(name, used);
	}
	out[len] = '\0';
	return len > 0;
}

int auth_bearer_read(struct str message, struct auth_bearer *out)
{
	struct str flag, authzid, rest = message;

	*out = (struct auth_bearer){.token = STR_EMPTY};
	if (!str_split(&rest, ',', &flag) || !rest.data || !str_split(&rest, ',', &authzid) ||
		!rest.data || !str_starts(rest, STR("\1")))
		return ERR_SYNTAX;
	if (!str_equal(flag, STR("n")) && !str_equal(flag, STR("y")))
		return ERR_SYNTAX;
	if (authzid.len && (!str_starts(authzid, STR("a=")) ||
				   !read_saslname(str_skip(authzid, 2), out->user)))
		return ERR_SYNTAX;
	return read_pairs(str_skip(rest, 1), NULL, out);
}

int auth_bearer_read_old(struct str message, struct auth_bearer *out)
{
	*out = (struct auth_bearer){.token = STR_EMPTY};
	return read_pairs(message, "user", out);
}
