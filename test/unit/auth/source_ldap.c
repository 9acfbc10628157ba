// SPDX-License-Identifier: ISC
// Names in filters and distinguished names.
#include "ask.h"

#include "auth/source/ldap_text.h"
#include "base/buf.h"

static void escapes(int (*escape)(struct buf *, struct str), struct str from, const char *to)
{
	struct buf out = BUF_INIT;

	assert_int_equal(escape(&out, from), 0);
	assert_string_equal(buf_cstr(&out), to);
	buf_finish(&out);
}

static void filters(void **state)
{
	(void)state;
	escapes(auth_ldap_escape_filter, STR("kim@example.kr"), "kim@example.kr");
	escapes(auth_ldap_escape_filter, STR("*)(uid=*"), "\\2a\\29\\28uid=\\2a");
	escapes(auth_ldap_escape_filter, STR("a\\2a"), "a\\5c2a");
	escapes(auth_ldap_escape_filter, STR("a\0b\n"), "a\\00b\\0a");
	escapes(auth_ldap_escape_filter, STR("\xea\xb9\x80"), "\xea\xb9\x80");
}

static void names(void **state)
{
	(void)state;
	escapes(auth_ldap_escape_dn, STR("kim@example.kr"), "kim@example.kr");
	escapes(auth_ldap_escape_dn, STR("a,dc=kr"), "a\\2cdc\\3dkr");
	escapes(auth_ldap_escape_dn, STR("a+b\"c;d<e>f\\"), "a\\2bb\\22c\\3bd\\3ce\\3ef\\5c");
	escapes(auth_ldap_escape_dn, STR(" a b "), "\\20a b\\20");
	escapes(auth_ldap_escape_dn, STR("#a#b"), "\\23a#b");
	escapes(auth_ldap_escape_dn, STR(" "), "\\20");
	escapes(auth_ldap_escape_dn, STR("a\0b"), "a\\00b");
}

static void templates(void **state)
{
	struct buf out = BUF_INIT;
	struct auth_ldap_names n;
	struct error err;

	(void)state;
	auth_ldap_names_set(&n, STR("a*b@example.kr"));
	n.dn = STR("uid=a\\2ab,dc=kr");
	assert_int_equal(auth_ldap_template_fill(STR("(&(mail=%u)(uid=%n)(d=%d)(m=%D)(p=100%%))"),
				 &n, auth_ldap_escape_filter, &out),
		0);
	assert_string_equal(buf_cstr(&out), "(&(mail=a\\2ab@example.kr)(uid=a\\2ab)(d=example.kr)"
					    "(m=uid=a\\5c2ab,dc=kr)(p=100%))");
	buf_clear(&out);
	auth_ldap_names_set(&n, STR("kim"));
	assert_int_equal(
		auth_ldap_template_fill(STR("uid=%n,ou=%d,dc=kr"), &n, auth_ldap_escape_dn, &out),
		0);
	assert_string_equal(buf_cstr(&out), "uid=kim,ou=,dc=kr");
	buf_finish(&out);

	assert_int_equal(auth_ldap_template_check(STR("%u %n %d %%"), "und", &err), 0);
	assert_int_equal(auth_ldap_template_check(STR("%D"), "undD", &err), 0);
	assert_int_equal(auth_ldap_template_check(STR("%D"), "und", &err), ERR_SYNTAX);
	assert_int_equal(auth_ldap_template_check(STR("%s"), "und", &err), ERR_SYNTAX);
	assert_int_equal(auth_ldap_template_check(STR("100%"), "und", &err), ERR_SYNTAX);
}

static void bounds(void **state)
{
	struct buf out = {.limit = 16};
	struct auth_ldap_names n;

	(void)state;
	auth_ldap_names_set(&n, STR("******"));
	assert_int_equal(
		auth_ldap_template_fill(STR("(uid=%u)"), &n, auth_ldap_escape_filter, &out),
		ERR_LIMIT);
	buf_finish(&out);
}

// Before anything is asked: no server is there.
static void refused_at_once(void **state)
{
	const struct auth_source_kind *kind = auth_source_kind_find(STR("ldap"));
	struct config_source s = {.kind = STR("ldap"), .timeout = 1000, .connections = 1};

	(void)state;
	assert_non_null(kind);
	assert_int_equal(verdict_of(kind, &s, "kim@example.kr", ""), AUTH_NO);
	assert_int_equal(verdict_of(kind, &s, "", "secret"), AUTH_UNKNOWN);
	assert_int_equal(verdict_of(kind, &s, "\xff", "secret"), AUTH_UNKNOWN);
}

static void bad_templates(void **state)
{
	const struct auth_source_kind *kind = auth_source_kind_find(STR("ldap"));
	struct config_source s = {.kind = STR("ldap"), .filter = STR("(uid=%x)")};
	struct error err;
	void *made;

	(void)state;
	assert_int_not_equal(kind->prepare(&s, &made, &err), 0);
	assert_non_null(strstr(err.text, "(uid=%x)"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(filters),
		cmocka_unit_test(names),
		cmocka_unit_test(templates),
		cmocka_unit_test(bounds),
		cmocka_unit_test(refused_at_once),
		cmocka_unit_test(bad_templates),
	};

	(void)enter, (void)leave;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
