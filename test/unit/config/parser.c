// SPDX-License-Identifier: ISC
#include "build.h"

#include "base/event.h"

#include <stdio.h>
#include <unistd.h>

// ---- good files

static void test_three_lines_are_enough(void **state)
{
	struct config_findings findings = {0};
	struct config *c = build_text("hostname \"Mail.Example.KR.\"\ndomains { \"Example.kr\" }\n"
				      "postmaster \"Kim@EXAMPLE.kr\"\n",
		&findings);
	assert_non_null(c);
	assert_int_equal(findings.count, 1);
	assert_int_equal(findings.items[0].severity, 'W');
	assert_str(findings.items[0].text,
		"no certificate: a self-signed one for \"mail.example.kr\" is "
		"made at the first start, which mail programs warn about; set tls { certificate "
		"\"PATH\" }");
	config_findings_finish(&findings);

	assert_str(c->hostname, "mail.example.kr");
	assert_str(c->postmaster, "kim@example.kr");
	assert_int_equal(c->domains.count, 1);
	assert_str(c->domains.items[0], "example.kr");
	assert_int_equal(c->server_count, 3);
	const struct config_server *mx = &c->servers[0], *sub = &c->servers[1],
				   *subs = &c->servers[2];
	assert_str(mx->name, "mx");
	assert_int_equal(mx->listen_count, 1);
	assert_int_equal(mx->listens[0].port, 25);
	assert_int_equal(mx->listens[0].address.family, 0);
	assert_int_equal(mx->listens[0].tls, CONFIG_LISTEN_STARTTLS);
	assert_false(mx->require_auth || mx->require_tls || mx->offer_auth || mx->auth_without_tls);
	assert_str(sub->name, "submission");
	assert_int_equal(sub->listens[0].port, 587);
	assert_true(sub->require_tls && sub->require_auth);
	assert_str(subs->name, "submissions");
	assert_int_equal(subs->listens[0].port, 465);
	assert_int_equal(subs->listens[0].tls, CONFIG_LISTEN_IMPLICIT);
	assert_true(subs->require_auth);
	assert_true(config_needs_certificate(c));
	config_destroy(c);
}

#define M60 ((uint64_t)60000)

static void test_defaults(void **state)
{
	struct config *c = build_good(START);
	const struct config_server *s = &c->servers[0];
	const struct {
		uint64_t is, expected;
	} numbers[] = {
		{s->max_message_size, 50 << 20},
		{s->max_recipients, 100},
		{s->max_messages, 100},
		{s->max_errors, 20},
		{s->command_timeout, 5 * M60},
		{s->data_timeout, 3 * M60},
		{s->session_timeout, 30 * M60},
		{c->limits.header_size, 256 << 10},
		{c->limits.body_line, 64 << 10},
		{c->limits.hops, 50},
		{c->limits.connections, 10000},
		{c->limits.connections_address, 20},
		{c->limits.connections_network, 100},
		{c->limits.workers, 0},
		{c->queue.min_free_percent, 5},
		{c->queue.min_free_size, 1 << 30},
		{c->queue.life, 5 * 24 * 60 * M60},
		{c->queue.delay_warning, 240 * M60},
		{c->queue.first_retry, 5 * M60},
		{c->queue.max_retry, 240 * M60},
		{c->queue.hold, 0},
		{c->queue.senders, 0},
		{c->log.level, EVENT_INFO},
		{c->log.json, 0},
		{c->log.to, CONFIG_LOG_STDERR},
		{c->log.history_age, 30 * 24 * 60 * M60},
		{c->log.history_size, 1 << 30},
		{c->resolver.mode, CONFIG_RESOLVER_AUTO},
		{c->tls.min, CONFIG_TLS_1_2},
		{c->tls.request_client_certificate, 0},
		{c->destination_count, 1},
		{c->auth.cache, M60},
	};
	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++)
		if (numbers[i].is != numbers[i].expected)
			fail_msg("number %zu is %llu", i, (unsigned long long)numbers[i].is);
	assert_str(c->state_folder, "/var/lib/pabal");
	assert_str(c->run_folder, "/run/pabal");
	assert_str(c->deliver.way.maildir, "");
	assert_str(c->auth.public_socket, "/run/pabal/auth-client");
	assert_str(c->auth.default_domain, "example.kr");
	assert_int_equal(c->auth.source_count, 1);
	assert_str(c->auth.sources[0].kind, "accounts");
	assert_str(c->auth.sources[0].name, "accounts");
	assert_int_equal(c->auth.sources[0].timeout, 10000);
	assert_int_equal(c->auth.sources[0].cache, M60);
	assert_int_equal(c->auth.sources[0].connections, 4);
	assert_str(c->destinations[0].pattern, "*");
	config_destroy(c);
}

static void test_everything(void **state)
{
	static const struct memory_file files[] = {
		{"/etc/pabal/pabal.conf",
			"hostname \"mail.example.kr\"; postmaster \"root@elsewhere.kr\" # both on "
			"a line\r\n"
			"domains \"\xed\x95\x9c\xea\xb5\xad.kr\" \"b.kr\"\ndomains { "
			"\"a.kr\"\n\"b.kr\" }\n"
			"state-folder \"state\" run-folder \"/run/x\"\n"
			"max-recipients 7 banner \"hello\"\n"
			"server \"submission\" { listen \"*:587\" tls starttls  require { tls auth "
			"} }\n"
			"server \"mx\" { listen \"192.0.2.1:25\"\n listen \"[2001:db8::1]:2525\" "
			"tls off\n"
			"  auth offer; max-recipients 1000 command-timeout 90s\n"
			"  compat { help-not-implemented }\n"
			"  tls { min 1.3 request-client-certificate yes }\n}\n"
			"include \"clients.conf\"\n"
			"auth { source \"accounts\" socket \"/run/dovecot/auth\" public-socket "
			"\"\" cache 0\n"
			"  default-domain \"b.kr\" public-group \"mail\" }\n"
			"deliver { maildir \"/var/mail/%d/%u/Maildir\"; separator \"+\" }\n"
			"route \"*.Lan.kr\" { lmtp \"/run/dovecot/lmtp\" }\n"
			"route \"*\" { smtp \"smtp.provider.kr:587\" user \"me\" password-file "
			"\"secret\" }\n"
			"route \"x.kr\" { lmtp \"[::1]:2003\" tls never source \"192.0.2.7\" helo "
			"\"out.kr\" }\n"
			"route \"y.kr\" { local }\nroute \"z.kr\" { refuse \"no such place\" }\n"
			"route \"w.kr\" { smtp \"10.0.0.1:465\" }\n"
			"destination \"slow.kr\" { connections 2 messages 5 }\n"
			"resolver { servers \"127.0.0.1:15353\" \"192.0.2.53\"\n"
			"  trust-anchor \"test. IN DS 1 13 2 AB\"; trust-anchor \"t2. IN DS 1 13 2 "
			"AB\" }\n"
			"log { to file \"/var/log/pabal\" format json level debug }\n"
			"queue { hold yes min-free-size 0 }\n",
			false},
		{"/etc/pabal/clients.conf",
			"clients { \"10.1.0.0/16\" deny \"go away\"; \"10.1.2.0/24\" "
			"relay\n\"10.1.2.3\" allow \"10.1.2.4\" deny }\n"
			"relay-from \"192.168.2.0/24\" \"::ffff:192.168.3.1\"\n",
			false},
		{"/etc/pabal/secret", "pass word \r\nsecond line\n", false},
	};
	struct config_findings findings = {0};
	struct config *c = build_files(files, ARRAY_SIZE(files), &findings);
	struct buf out = BUF_INIT;
	config_findings_print(&findings, &out);
	if (!c)
		fail_msg("%s", buf_cstr(&out));
	buf_finish(&out);
	config_findings_finish(&findings);

	assert_int_equal(c->domains.count, 3);
	assert_str(c->domains.items[2], "xn--3e0b707e.kr");
	assert_str(c->state_folder, "/etc/pabal/state");
	assert_int_equal(c->server_count, 2);
	assert_int_equal(c->servers[0].max_recipients, 7);
	assert_str(c->servers[0].banner, "hello");
	const struct config_server *mx = &c->servers[1];
	assert_int_equal(mx->listen_count, 2);
	assert_int_equal(mx->listens[1].address.family, 6);
	assert_int_equal(mx->listens[1].tls, CONFIG_LISTEN_NO_TLS);
	assert_int_equal(mx->max_recipients, 1000);
	assert_int_equal(mx->command_timeout, 90000);
	assert_int_equal(mx->help, CONFIG_HELP_SENDMAIL);
	assert_true(mx->offer_auth && mx->has_tls);
	assert_int_equal(config_server_tls(c, mx)->min, CONFIG_TLS_1_3);
	assert_true(config_server_tls(c, mx)->request_client_certificate);
	assert_str(c->auth.public_socket, "");
	assert_str(c->auth.default_domain, "b.kr");
	assert_int_equal(c->auth.cache, 0);
	assert_str(c->deliver.separator, "+");
	assert_int_equal(c->client_count, 6);
	assert_int_equal(c->clients[0].network.prefix, 32);
	assert_int_equal(c->route_count, 6);
	const struct config_route *all = config_route_for(c, STR("gmail.com"));
	assert_str(all->pattern, "*");
	assert_int_equal(all->tls, CONFIG_ROUTE_TLS_REQUIRED); // a password goes over it
	assert_str(all->password_file.content, "pass word ");
	const struct config_route *lmtp = config_route_for(c, STR("x.kr"));
	assert_int_equal(lmtp->kind, CONFIG_ROUTE_LMTP_HOST);
	assert_str(lmtp->host, "[::1]");
	assert_int_equal(lmtp->port, 2003);
	assert_int_equal(lmtp->source.family, 4);
	assert_int_equal(config_route_for(c, STR("w.kr"))->tls, CONFIG_ROUTE_TLS_IMPLICIT);
	assert_int_equal(config_route_for(c, STR("a.lan.kr"))->kind, CONFIG_ROUTE_LMTP_SOCKET);
	assert_int_equal(config_route_for(c, STR("y.kr"))->kind, CONFIG_ROUTE_LOCAL);
	assert_str(config_route_for(c, STR("z.kr"))->text, "no such place");
	assert_int_equal(config_destination_for(c, STR("slow.kr"))->connections, 2);
	assert_int_equal(config_destination_for(c, STR("fast.kr"))->connections, 20);
	assert_int_equal(c->resolver.mode, CONFIG_RESOLVER_SERVERS);
	assert_str(c->resolver.servers.items[0], "127.0.0.1:15353");
	assert_str(c->resolver.servers.items[1], "192.0.2.53:53");
	assert_int_equal(c->resolver.trust_anchors.count, 2);
	assert_str(c->log.file, "/var/log/pabal");
	assert_true(c->log.json && c->queue.hold);
	struct config_list sources = config_sources(c);
	assert_int_equal(sources.count, 3);
	assert_str(sources.items[0], "/etc/pabal/clients.conf");
	assert_str(sources.items[1], "/etc/pabal/pabal.conf");
	assert_str(sources.items[2], "/etc/pabal/secret");
	config_destroy(c);
}

// ---- bad files: what people read

// All findings but the one about the missing certificate.
static void findings_as_text(const char *text, struct buf *out)
{
	struct config_findings findings = {0};
	struct config *c = build_text(text, &findings);
	assert_true(findings.errors ? c == NULL : c != NULL);
	for (size_t i = 0; i < findings.count; i++) {
		const struct config_finding *f = &findings.items[i];
		if (str_starts(f->text, STR("no certificate:")))
			continue;
		buf_add_format(out, "%s%c %u:%u %.*s", buf_len(out) ? "\n" : "", f->severity,
			f->line, f->column, STR_ARG(f->text));
	}
	config_findings_finish(&findings);
	config_destroy(c);
}

static void test_findings(void **state)
{
	// clang-format off
	static const struct {
		const char *text, *findings; // text goes behind START, which has three lines
	} cases[] = {
		{"", ""},
		{"lisen \"*:25\"", "E 4:1 unknown setting \"lisen\" in the top level"},
		{"hostnme \"x.y\"", "E 4:1 unknown setting \"hostnme\" in the top level; did you mean \"hostname\"?"},
		{"frobnicate { \"x\" {\n} }\nlog { level infos }",
			"E 4:1 unknown setting \"frobnicate\" in the top level\n"
			"E 6:13 level: expected one of \"debug\", \"info\", \"warning\", \"error\", not \"infos\"; "
			"did you mean \"info\"?"},
		{"listen \"*:25\"", "E 4:1 unknown setting \"listen\" in the top level; it belongs in server"},
		{"server \"a\" { lisen \"*:25\" }\nserver \"b\" { listen \"*:26\" }",
			"E 4:14 unknown setting \"lisen\" in server; did you mean \"listen\"?"},
		{"server \"a\" { }", "E 4:1 server \"a\": expected listen, like listen \"*:25\""},
		{"max-recipients many",
			"E 4:16 max-recipients: expected a number from 1 to 100000, not \"many\""},
		{"max-recipients 0",
			"E 4:16 max-recipients: expected a number from 1 to 100000, not \"0\""},
		{"max-message-size 50X",
			"E 4:18 max-message-size: expected a size like 50M from 1K to 4G, not \"50X\""},
		{"command-timeout",
			"E 4:16 command-timeout: expected a time like 90s, 5m, 4h or 3d from 100ms to 1d, not "
			"the end of the file"},
		{"queue { life\n}",
			"E 4:13 life: expected a time like 90s, 5m, 4h or 3d from 1s to 100d, not the end of the line"},
		{"hostname \"other.kr\"", "E 4:1 hostname is set already in line 1"},
		{"deliver { maildir /x/%u }",
			"E 4:19 maildir: expected a path in quotes, with %u (local part) and perhaps %d (domain) in "
			"it, or one that begins with %h/, not \"/x/%u\"\n"
			"E 4:19 unknown setting \"/x/%u\" in deliver"},
		{"deliver { maildir \"/x/%d\" }",
			"E 4:19 maildir: expected a path in quotes, with %u (local part) and perhaps %d (domain) in "
			"it, or one that begins with %h/, not \"/x/%d\""},
		{"domains \"a..b\" \"c_d.kr\" \"-\"\ndomains { x }",
			"E 4:9 domains: expected domains in quotes, like \"example.kr\", or from and the path of a file with them, not \"a..b\"\n"
			"E 4:25 domains: expected domains in quotes, like \"example.kr\", or from and the path of a file with them, not \"-\"\n"
			"E 5:11 domains: expected domains in quotes, like \"example.kr\", or from and the path of a file with them, not \"x\""},
		{"server { listen \"*:25\" }",
			"E 4:8 server: expected a name in quotes, not {"},
		{"server mx { listen \"*:25\" }",
			"E 4:8 server: expected a name in quotes, not \"mx\""},
		{"server \"a b\" { listen \"*:25\" }",
			"E 4:8 server: expected a name of letters, digits, - and _, not \"a b\""},
		{"server \"a\" listen \"*:25\"",
			"E 4:12 server: expected {, not \"listen\""},
		{"server \"a\" { listen \"*:25\"\nlog { level info\n",
			"E 5:1 unknown setting \"log\" in server; it belongs in the top level\n"
			"E 6:1 expected } for the server block that begins in line 4"},
		{"}", "E 4:1 this } closes nothing"},
		{"\"x\"", "E 4:1 the top level: expected the name of a setting, not \"x\""},
		{"hostname", "E 4:1 hostname is set already in line 1\n"
			"E 4:9 hostname: expected a host name in quotes, like \"mail.example.kr\", not the end of the file"},
		{"log { to \"unfinished }", "E 4:10 this string does not end on its line: expected \"\n"
			"E 4:23 expected } for the log block that begins in line 4"},
		{"server \"a\" { listen \"25\"; listen \"::1:25\"; listen \"*:0\"; listen \"*:65536\" }",
			"E 4:21 listen: expected \"*:PORT\", \"ADDRESS:PORT\" or \"[IPV6]:PORT\", not \"25\"\n"
			"E 4:34 listen: expected \"*:PORT\", \"ADDRESS:PORT\" or \"[IPV6]:PORT\", not \"::1:25\"\n"
			"E 4:51 listen: expected \"*:PORT\", \"ADDRESS:PORT\" or \"[IPV6]:PORT\", not \"*:0\"\n"
			"E 4:65 listen: expected \"*:PORT\", \"ADDRESS:PORT\" or \"[IPV6]:PORT\", not \"*:65536\""},
		{"server \"a\" { listen \"*:25\" tls implicite }",
			"E 4:32 tls: expected one of \"starttls\", \"implicit\", \"off\", not \"implicite\"; did you mean \"implicit\"?"},
		{"server \"a\" { listen \"*:25\" }\nserver \"b\" { listen \"192.0.2.1:25\" }\n",
			"E 5:21 listen: port 25 of this address is taken by server \"a\" in line 4"},
		{"server \"a\" { listen \"0.0.0.0:25\" listen \"[::]:25\" }\n", ""},
		{"server \"a\" { listen \"0.0.0.0:25\" listen \"127.0.0.1:25\" }\n",
			"E 4:41 listen: port 25 of this address is taken by server \"a\" in line 4"},
		{"server \"a\" { listen \"127.0.0.1:25\" listen \"127.0.0.2:25\" }\n", ""},
		{"server \"a\" { listen \"*:25\" }\nserver \"a\" { listen \"*:26\" }\n",
			"E 5:1 server \"a\" is there already in line 4"},
		{"server \"a\" { listen \"*:25\" tls off require tls }",
			"E 4:1 server \"a\" requires TLS and has a listener with tls off"},
		{"server \"a\" { listen \"*:25\" tls off require auth }",
			"E 4:1 server \"a\" requires AUTH and has a listener with tls off, where nobody can log in: "
			"expected auth-without-tls yes"},
		{"server \"a\" { listen \"*:25\" tls off require auth auth-without-tls yes }",
			"W 4:49 auth-without-tls: passwords can be read by everyone on the way"},
		{"server \"a\" { listen \"*:25\" require { tsl } }",
			"E 4:38 require: expected one of \"tls\", \"auth\", not \"tsl\"; did you mean \"tls\"?"},
		{"tls { min 1.0 }",
			"W 4:7 min 1.0: TLS before 1.2 is broken; only for clients that know nothing newer"},
		{"relay-from \"0.0.0.0/0\"",
			"E 4:12 relay for \"0.0.0.0/0\" makes an open relay: expected your own networks"},
		{"clients { \"::/0\" relay }",
			"E 4:11 relay for \"::/0\" makes an open relay: expected your own networks"},
		{"clients { \"::ffff:0.0.0.0/96\" relay }",
			"E 4:11 relay for \"::ffff:0.0.0.0/96\" makes an open relay: expected your own networks"},
		{"clients { \"0.0.0.0/0\" deny \"closed\"\n\"1.2.3.4\" }",
			"E 5:11 clients: expected one of \"relay\", \"deny\", \"allow\", not }"},
		{"clients { \"1.2.3.4/33\" relay\n\"1.2.3.4\" rely \"1.2.3.5\" allow }",
			"E 4:11 clients: expected a network in quotes, like \"192.168.2.0/24\", not \"1.2.3.4/33\"\n"
			"E 5:11 clients: expected one of \"relay\", \"deny\", \"allow\", not \"rely\"; did you mean \"relay\"?"},
		{"clients { 1.2.3.4 relay }",
			"E 4:11 clients: expected a network in quotes, like \"192.168.2.0/24\", not \"1.2.3.4\"\n"
			"E 4:19 clients: expected a network in quotes, like \"192.168.2.0/24\", not \"relay\""},
		{"relay-from \"10.0.0.0/8\"",
			"W 4:12 relay for the whole private range \"10.0.0.0/8\": name only the networks you know"},
		{"relay-from \"172.17.0.1\"",
			"W 4:12 relay for \"172.17.0.1\": if this is a gateway, a proxy or a container bridge, "
			"everyone behind it may relay"},
		{"relay-from \"64.0.0.0/2\"", "W 4:12 relay for \"64.0.0.0/2\": this is a large part of the Internet"},
		{"relay-from \"192.168.2.0/24\"\nclients { \"192.168.2.0/24\" deny }",
			"W 4:1 another rule for this network, in line 5, wins over this one"},
		{"route \"x.kr\" { }", "E 4:1 route \"x.kr\": expected smtp, lmtp, local or refuse"},
		{"route \"x.kr\" { smtp \"a.kr\" lmtp \"/x\" }", "E 4:28 lmtp: this route says smtp already in line 4"},
		{"route \"x.kr\" { smtp \"a.kr\" user \"u\" }", "E 4:28 user: expected password-file or token-file as well"},
		{"route \"x.kr\" { local tls required }", "E 4:22 tls has no meaning in a route that says local"},
		{"route \"x.kr\" { local recipients any }", "E 4:22 recipients has no meaning in a route that says local"},
		{"route \"x.kr\" { lmtp \"/x\" recipients some }",
			"E 4:37 recipients: expected one of \"accounts\", \"any\", not \"some\""},
		{"route \"x.kr\" { lmtp \"/x\" recipients any }\n"
			"route \"Example.kr\" { smtp \"a.kr\" recipients any }",
			"E 4:1 route \"x.kr\": recipients any is for one of domains"},
		{"route \"x.kr\" { local }\nroute \"X.kr\" { local }", "E 5:1 route \"x.kr\" is there already in line 4"},
		{"route \"a b\" { local }", "E 4:7 pattern: expected a domain, \"*.DOMAIN\" or \"*\", not \"a b\""},
		{"route \"x.kr\" { smtp \"a.kr:\" }\nroute \"y.kr\" { smtp }",
			"E 4:21 smtp: expected \"HOST:PORT\" or \"HOST\", not \"a.kr:\"\n"
			"E 5:21 smtp: expected \"HOST:PORT\" or \"HOST\", not }"},
		{"queue { first-retry 5h }", "E 4:9 first-retry is longer than max-retry"},
		{"queue { life 1h }", "W 4:9 delay-warning is not shorter than life: nobody will be warned"},
		{"auth { source \"acounts\" }",
			"E 4:15 source: expected one of \"accounts\", \"pam\", \"saslauthd\", "
			"\"checkpassword\", \"poppasswd\", \"vpopmail\", \"sql\", \"ldap\", \"dovecot\", "
			"\"oauth\", not \"acounts\"; did you mean \"accounts\"?"},
		{"auth { sorce \"accounts\" }", "E 4:8 unknown setting \"sorce\" in auth; did you mean \"source\"?"},
		{"resolver { servers \"dns.example.kr\" }",
			"E 4:20 servers: expected auto, recursion, or addresses in quotes like \"192.0.2.1\" or "
			"\"192.0.2.1:5353\", not \"dns.example.kr\""},
		{"log { to nowhere }", "E 4:10 to: expected stderr, syslog or file \"PATH\", not \"nowhere\""},
		{"banner \"a\\nb\"", "E 4:8 banner: expected a text in quotes, of at most 400 ASCII characters, not \"a?b\""},
		{"include \"/nowhere\"", "E 4:1 cannot open /nowhere"},
		{"include \"/etc/pabal.conf\"", "E 4:1 include: \"/etc/pabal.conf\" is being read already: a loop"},
		{"tls { key \"/x\" }", "E 4:7 key: expected behind the certificate it belongs to"},
		{"tls { certificate \"/x\" }", "E 4:19 cannot open /x"},
		{"max-errors 1; max-errors 2 max-errors 3",
			"E 4:15 max-errors is set already in line 4\nE 4:28 max-errors is set already in line 4"},
	};
	// clang-format on
	int wrong = 0;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct buf text = BUF_INIT, out = BUF_INIT;
		buf_add_format(&text, START "%s", cases[i].text);
		findings_as_text(buf_cstr(&text), &out);
		if (strcmp(buf_cstr(&out), cases[i].findings) != 0) {
			print_error("%s\ngives\n%s\nnot\n%s\n\n", cases[i].text, buf_cstr(&out),
				cases[i].findings);
			wrong++;
		}
		buf_finish(&text);
		buf_finish(&out);
	}
	assert_int_equal(wrong, 0);
}

static void test_missing(void **state)
{
	struct buf out = BUF_INIT;
	findings_as_text("hostname \"mail.example.kr\"", &out);
	assert_string_equal(buf_cstr(&out),
		"E 0:0 postmaster is not set: expected postmaster \"you@example.kr\"\n"
		"W 0:0 domains is not set: no mail is delivered here");
	buf_clear(&out);
	findings_as_text("hostname \"mail\" domains \"a.kr\" postmaster \"kim\"", &out);
	assert_string_equal(buf_cstr(&out),
		"W 1:1 hostname \"mail\" has no dot: many servers refuse mail "
		"from such a name\nE 1:43 postmaster: expected an address in quotes, like "
		"\"kim@example.kr\", "
		"not \"kim\"");
	buf_finish(&out);
}

static void test_own_name(void **state)
{
	char own[256] = "";
	struct buf out = BUF_INIT, wanted = BUF_INIT;
	gethostname(own, sizeof own - 1);
	findings_as_text("postmaster \"kim@a.kr\" domains \"a.kr\"", &out);
	if (!strchr(own, '.'))
		buf_add_format(&wanted,
			"E 0:0 hostname is not set, and this machine's name \"%s\" has no "
			"domain: expected hostname \"mail.example.kr\"",
			own);
	assert_string_equal(buf_cstr(&out), buf_cstr(&wanted));
	buf_finish(&out);
	buf_finish(&wanted);
}

static void test_printed(void **state)
{
	struct config_findings findings = {0};
	struct buf out = BUF_INIT;
	assert_null(build_text(START "max-errors x\ntls { min 1.1 }", &findings));
	config_findings_print(&findings, &out);
	assert_true(
		str_starts(buf_str(&out), STR("/etc/pabal.conf:4:12: error: max-errors: expected a "
					      "number from 1 to 100000, not "
					      "\"x\"\n/etc/pabal.conf:5:7: warning: min 1.1: ")));
	buf_finish(&out);
	config_findings_finish(&findings);
	// Nothing that a file says moves the cursor of a terminal.
	config_findings_add(&findings, 'N', STR("f"), 0, 0, "a\033[2J\xff%s", "b");
	assert_str(findings.items[0].text, "a?[2J?b");
	config_findings_finish(&findings);
}

static void test_many_errors(void **state)
{
	struct buf text = BUF_INIT;
	struct config_findings findings = {0};
	for (int i = 0; i < 5000; i++)
		buf_add_format(&text, "nonsense-%d\n", i);
	assert_null(build_text(buf_cstr(&text), &findings));
	assert_in_range(findings.errors, 5000, 5010);
	assert_int_equal(findings.count, 1001);
	assert_str(findings.items[1000].text, "there are more findings");
	config_findings_finish(&findings);
	buf_finish(&text);
}

static void test_includes(void **state)
{
	static const struct memory_file loop[] = {{"/a", START "include \"b\"", false},
		{"/b", "include \"c\"\n", false}, {"/c", "\n include \"/b\"\n", false}};
	struct config_findings findings = {0};
	assert_null(build_files(loop, 3, &findings));
	assert_int_equal(findings.errors, 1);
	assert_str(findings.items[0].file, "/c");
	assert_int_equal(findings.items[0].line, 2);
	config_findings_finish(&findings);

	// An error in an included file names that file; blocks may be written in parts.
	static const struct memory_file parts[] = {
		{"/a", START "log { level info }\ninclude \"b\"\nqueue { life 1d }", false},
		{"/b", "log { level debug }\nqueue { life 2x; hold yes }", false}};
	assert_null(build_files(parts, 2, &findings));
	struct buf out = BUF_INIT;
	config_findings_print(&findings, &out);
	assert_true(str_starts(
		buf_str(&out), STR("/b:1:7: error: level is set already in /a line 4\n"
				   "/b:2:14: error: life: expected a time like 90s, 5m, 4h or 3d "
				   "from 1s to 100d, not \"2x\"\n"
				   "/a:6:9: error: life is set already in /b line 2\n")));
	buf_finish(&out);
	config_findings_finish(&findings);

	// Not deeper than the bound.
	struct memory_file deep[20];
	char names[20][16], texts[20][32];
	for (int i = 0; i < 20; i++) {
		snprintf(names[i], sizeof names[i], "/f%d", i);
		snprintf(texts[i], sizeof texts[i], "include \"/f%d\"", i + 1);
		deep[i] = (struct memory_file){names[i], texts[i], false};
	}
	assert_null(build_files(deep, 20, &findings));
	assert_str(findings.items[0].text, "include: at most 8 files in one another, 1000 in all");
	config_findings_finish(&findings);
}

// A command finds the server that runs, whatever was written into the file since.
static void test_anyway(void **state)
{
	static const struct memory_file file = {"/a",
		"run-folder \"/run/here\"\nhostnam \"x\"\nstate-folder 7\nqueue { life x }\n"};
	struct memory_files all = {&file, 1};
	struct config_reader reader = {memory_read, &all};
	struct config_findings findings = {0};
	struct config *c = config_build_anyway("/a", &reader, &findings);
	assert_non_null(c);
	assert_true(c->faulty);
	assert_true(findings.errors >= 3);
	assert_str(c->run_folder, "/run/here");
	assert_str(c->state_folder, "");
	assert_int_equal(c->queue.max_retry, 4 * 60 * M60);
	config_destroy(c);
	assert_null(config_build_anyway("/nowhere", &reader, &findings));
	config_findings_finish(&findings);
	c = build_good(START);
	assert_false(c->faulty);
	config_destroy(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_three_lines_are_enough),
		cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_everything),
		cmocka_unit_test(test_findings),
		cmocka_unit_test(test_missing),
		cmocka_unit_test(test_own_name),
		cmocka_unit_test(test_printed),
		cmocka_unit_test(test_many_errors),
		cmocka_unit_test(test_includes),
		cmocka_unit_test(test_anyway),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
