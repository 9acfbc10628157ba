// SPDX-License-Identifier: ISC
#include "fixture.h"

#include "base/error.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

static struct fixture_identity authority, ec, rsa, wild, stranger, expired, person;
static struct tls_tickets tickets;

static int set_up(void **state)
{
	authority = fixture_make("EC", "Test Authority", NULL, NULL, 30);
	ec = fixture_make(
		"EC", "mail.example.kr", "DNS:mail.example.kr,DNS:mx.example.kr", &authority, 30);
	rsa = fixture_make(
		"RSA", "mail.example.kr", "DNS:mx.example.kr,DNS:Mail.example.kr", &authority, 20);
	wild = fixture_make("EC", "wild", "DNS:*.example.org", &authority, 30);
	stranger = fixture_make("EC", "stranger", "DNS:mail.example.kr", NULL, 30);
	expired = fixture_make("EC", "expired", "DNS:mail.example.kr", &authority, -2);
	person = fixture_make("EC", "Kim",
		"email:kim@example.kr,DNS:laptop.example.kr,email:kim@example.org", &authority, 30);
	memset(tickets.current, 1, sizeof(tickets.current));
	memset(tickets.previous, 2, sizeof(tickets.previous));
	tls_prepare();
	signal(SIGPIPE, SIG_IGN); // as wheel_create does for streams
	return 0;
}

static int tear_down(void **state)
{
	struct fixture_identity *all[] = {&authority, &ec, &rsa, &wild, &stranger, &expired, &person};

	for (size_t i = 0; i < ARRAY_SIZE(all); i++)
		fixture_finish(all[i]);
	return 0;
}

static struct config_file authority_file(void)
{
	return (struct config_file){STR("/tls/ca.pem"), buf_str(&authority.certificate_pem)};
}

// ---- a handshake between two sessions in this thread
struct meeting {
	SSL *client, *server;
	int sockets[2];
	int client_error, server_error; // of SSL_get_error; 0: done
	char client_words[400], server_words[400];
};

static void meet(struct meeting *m, SSL *client, SSL *server)
{
	memset(m, 0, sizeof(*m));
	m->client = client;
	m->server = server;
	m->client_error = m->server_error = SSL_ERROR_WANT_READ;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, m->sockets), 0);
	assert_int_equal(SSL_set_fd(client, m->sockets[0]), 1);
	assert_int_equal(SSL_set_fd(server, m->sockets[1]), 1);
}

static bool goes_on(int error)
{
	return error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE;
}

static void step(SSL *ssl, int *error, char words[400])
{
	ERR_clear_error();
	errno = 0;
	*error = SSL_get_error(ssl, SSL_do_handshake(ssl));
	if (*error && !goes_on(*error))
		tls_describe_failure(ssl, *error, words, 400);
}

static void shake(struct meeting *m)
{
	char octet;

	for (unsigned i = 0; i < 20 && (goes_on(m->client_error) || goes_on(m->server_error));
		i++) {
		if (goes_on(m->client_error))
			step(m->client, &m->client_error, m->client_words);
		if (goes_on(m->server_error))
			step(m->server, &m->server_error, m->server_words);
	}
	// In TLS 1.3 tickets, and alerts after the client is done, come with the first read.
	if (m->client_error || SSL_read(m->client, &octet, 1) > 0)
		return;
	m->client_error = SSL_get_error(m->client, -1);
	if (goes_on(m->client_error))
		m->client_error = 0;
	else
		tls_describe_failure(
			m->client, m->client_error, m->client_words, sizeof(m->client_words));
}

static void part(struct meeting *m)
{
	SSL_free(m->client);
	SSL_free(m->server);
	close(m->sockets[0]);
	close(m->sockets[1]);
}

static struct tls_server *make_server(const struct config_tls *tls, const char *name)
{
	struct tls_server *server = NULL;
	struct error err = {0};

	if (tls_server_create(tls, str_from(name), &tickets, &server, &err) != 0)
		fail_msg("%s", err.text);
	return server;
}

static struct tls_client *make_client(const struct config_tls *tls)
{
	struct tls_client *client = NULL;
	struct error err = {0};

	if (tls_client_create(tls, &client, &err) != 0)
		fail_msg("%s", err.text);
	return client;
}

// A server with ECDSA and RSA for the same names, and one more name; a client that trusts them.
struct both {
	struct config_certificate certificates[3];
	struct config_tls server_tls, client_tls;
	struct tls_server *server;
	struct tls_client *client;
};

static void open_both(struct both *b)
{
	memset(b, 0, sizeof(*b));
	b->certificates[0] = fixture_configured(&ec);
	b->certificates[1] = fixture_configured(&rsa);
	b->certificates[2] = fixture_configured(&wild);
	b->server_tls = (struct config_tls){
		.certificates = b->certificates, .certificate_count = 3, .min = CONFIG_TLS_1_2};
	b->client_tls = (struct config_tls){.ca_file = authority_file(), .min = CONFIG_TLS_1_2};
	b->server = make_server(&b->server_tls, "mx");
	b->client = make_client(&b->client_tls);
}

static void close_both(struct both *b)
{
	tls_server_destroy(b->server);
	tls_client_destroy(b->client);
}

static void client_and_server_agree_and_know_each_other(void **state)
{
	struct tls_facts facts;
	struct meeting m;
	struct both b;

	open_both(&b);
	meet(&m, tls_client_session(b.client, "mail.example.kr", true),
		tls_server_session(b.server));
	shake(&m);
	assert_int_equal(m.client_error, 0);
	assert_int_equal(m.server_error, 0);
	tls_get_facts(m.client, &facts);
	assert_string_equal(facts.version, "TLSv1.3");
	assert_true(facts.verified);
	assert_false(facts.resumed);
	assert_true(facts.bits >= 128);
	assert_string_equal(facts.peer_subject, "CN=mail.example.kr");
	assert_int_equal(strlen(facts.peer_fingerprint), 64);
	tls_get_facts(m.server, &facts);
	assert_false(facts.verified);
	assert_string_equal(facts.peer_subject, "");
	assert_string_equal(facts.peer_fingerprint, "");
	part(&m);
	close_both(&b);
}

static void assert_same(const struct tls_binding *a, const struct tls_binding *b, size_t len)
{
	assert_int_equal(a->len, len);
	assert_int_equal(b->len, len);
	assert_memory_equal(a->octets, b->octets, len);
}

static void both_ends_have_the_same_channel_bindings(void **state)
{
	static const struct {
		int version;
		size_t exporter, unique;
	} rows[] = {{TLS1_3_VERSION, 32, 0}, {TLS1_2_VERSION, 32, 12}};
	struct tls_bindings ours, theirs, before = {0};
	struct meeting m;
	struct both b;

	open_both(&b);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		SSL *client = tls_client_session(b.client, "mail.example.kr", true);
		assert_int_equal(SSL_set_max_proto_version(client, rows[i].version), 1);
		meet(&m, client, tls_server_session(b.server));
		shake(&m);
		assert_int_equal(m.server_error, 0);
		tls_client_get_bindings(m.client, &theirs);
		tls_server_get_bindings(m.server, &ours);
		assert_same(&ours.exporter, &theirs.exporter, rows[i].exporter);
		assert_same(&ours.unique, &theirs.unique, rows[i].unique);
		assert_same(&ours.end_point, &theirs.end_point, 32);
		assert_memory_not_equal(&ours.exporter, &before.exporter, sizeof ours.exporter);
		before = ours;
		part(&m);
	}
	close_both(&b);
}

static void the_kind_of_key_follows_the_client(void **state)
{
	static const struct {
		const char *algorithms;
		int version;
		int kind;
	} rows[] = {
		{"RSA-PSS+SHA256:RSA+SHA256", TLS1_3_VERSION, EVP_PKEY_RSA},
		{"ECDSA+SHA256", TLS1_3_VERSION, EVP_PKEY_EC},
		{"RSA+SHA256", TLS1_2_VERSION, EVP_PKEY_RSA},
		{"ECDSA+SHA256", TLS1_2_VERSION, EVP_PKEY_EC},
		{"ECDSA+SHA256:RSA-PSS+SHA256", TLS1_3_VERSION, EVP_PKEY_EC},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct meeting m;
		struct both b;
		open_both(&b);
		SSL *client = tls_client_session(b.client, "mx.example.kr", false);
		SSL_set_max_proto_version(client, rows[i].version);
		assert_int_equal(SSL_set1_sigalgs_list(client, rows[i].algorithms), 1);
		meet(&m, client, tls_server_session(b.server));
		shake(&m);
		assert_string_equal(m.server_words, "");
		assert_int_equal(m.client_error, 0);
		X509 *shown = SSL_get1_peer_certificate(client);
		assert_int_equal(EVP_PKEY_get_base_id(X509_get0_pubkey(shown)), rows[i].kind);
		X509_free(shown);
		part(&m);
		close_both(&b);
	}
}

static void names_choose_the_certificate(void **state)
{
	static const struct {
		const char *asked, *subject;
	} rows[] = {
		{"mail.example.kr", "CN=mail.example.kr"},
		{"MX.Example.KR", "CN=mail.example.kr"},
		{"a.example.org", "CN=wild"},
		{"a.b.example.org", "CN=mail.example.kr"}, // a star is one label
		{"example.org", "CN=mail.example.kr"},
		{"unknown.test", "CN=mail.example.kr"},
		{NULL, "CN=mail.example.kr"},
	};
	struct both b;

	open_both(&b);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct tls_facts facts;
		struct meeting m;
		meet(&m, tls_client_session(b.client, rows[i].asked, false),
			tls_server_session(b.server));
		shake(&m);
		tls_get_facts(m.client, &facts);
		assert_string_equal(facts.peer_subject, rows[i].subject);
		part(&m);
	}
	close_both(&b);
}

static void a_session_outlives_its_server(void **state)
{
	struct tls_facts facts;
	struct meeting m;
	struct both b;

	open_both(&b);
	meet(&m, tls_client_session(b.client, "x.example.org", true), tls_server_session(b.server));
	tls_server_destroy(b.server);
	b.server = NULL;
	shake(&m);
	assert_int_equal(m.server_error, 0);
	tls_get_facts(m.client, &facts);
	assert_string_equal(facts.peer_subject, "CN=wild");
	part(&m);
	close_both(&b);
}

static void old_versions_need_the_setting(void **state)
{
	static const struct {
		enum config_tls_version min;
		int client_max;
		const char *version; // "": refused
	} rows[] = {
		{CONFIG_TLS_1_2, TLS1_1_VERSION, ""},
		{CONFIG_TLS_1_2, TLS1_VERSION, ""},
		{CONFIG_TLS_1_3, TLS1_2_VERSION, ""},
		{CONFIG_TLS_1_2, TLS1_2_VERSION, "TLSv1.2"},
		{CONFIG_TLS_1_1, TLS1_1_VERSION, "TLSv1.1"},
		{CONFIG_TLS_1_0, TLS1_VERSION, "TLSv1"},
		{CONFIG_TLS_1_0, TLS1_3_VERSION, "TLSv1.3"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct tls_facts facts;
		struct meeting m;
		struct both b;
		open_both(&b);
		tls_server_destroy(b.server);
		tls_client_destroy(b.client);
		b.server_tls.min = rows[i].min;
		b.client_tls.min = CONFIG_TLS_1_0;
		b.server = make_server(&b.server_tls, "mx");
		b.client = make_client(&b.client_tls);
		SSL *client = tls_client_session(b.client, "mail.example.kr", false);
		SSL_set_max_proto_version(client, rows[i].client_max);
		meet(&m, client, tls_server_session(b.server));
		shake(&m);
		if (*rows[i].version) {
			assert_string_equal(m.server_words, "");
			tls_get_facts(m.server, &facts);
			assert_string_equal(facts.version, rows[i].version);
		} else {
			assert_non_null(strstr(m.server_words, "no common TLS version"));
			assert_non_null(strstr(m.client_words, "no common TLS version"));
		}
		part(&m);
		close_both(&b);
	}
}

// ---- tickets
// Connects twice, the second time with the session of the first; true when it was resumed.
static bool resumes(
	struct tls_client *client, struct tls_server *first, struct tls_server *second, int version)
{
	struct tls_facts facts;
	struct meeting m;

	SSL *ssl = tls_client_session(client, "mail.example.kr", true);
	SSL_set_max_proto_version(ssl, version);
	meet(&m, ssl, tls_server_session(first));
	shake(&m);
	assert_int_equal(m.client_error, 0);
	SSL_SESSION *session = SSL_get1_session(m.client);
	SSL_shutdown(m.client);
	part(&m);
	ssl = tls_client_session(client, "mail.example.kr", true);
	SSL_set_max_proto_version(ssl, version);
	SSL_set_session(ssl, session);
	meet(&m, ssl, tls_server_session(second));
	shake(&m);
	assert_int_equal(m.client_error, 0);
	assert_int_equal(m.server_error, 0);
	tls_get_facts(m.server, &facts);
	part(&m);
	SSL_SESSION_free(session);
	return facts.resumed;
}

static void tickets_work_across_workers_and_not_across_servers(void **state)
{
	static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};
	struct tls_tickets kept = tickets, rotated;
	struct tls_server *worker, *other, *rotating;
	struct both b;

	memset(rotated.current, 9, sizeof(rotated.current));
	memcpy(rotated.previous, kept.current, sizeof(rotated.previous));
	open_both(&b);
	worker = make_server(&b.server_tls, "mx");
	other = make_server(&b.server_tls, "submission");
	for (size_t i = 0; i < ARRAY_SIZE(versions); i++) {
		assert_true(resumes(b.client, b.server, b.server, versions[i]));
		assert_true(resumes(b.client, b.server, worker, versions[i]));
		assert_false(resumes(b.client, b.server, other, versions[i]));
		rotating = make_server(&b.server_tls, "mx");
		tls_server_set_tickets(rotating, &rotated);
		assert_true(resumes(
			b.client, b.server, rotating, versions[i])); // by the previous secret
		memset(rotated.previous, 8, sizeof(rotated.previous));
		tls_server_set_tickets(rotating, &rotated);
		assert_false(resumes(b.client, b.server, rotating, versions[i]));
		memcpy(rotated.previous, kept.current, sizeof(rotated.previous));
		tls_server_destroy(rotating);
	}
	tls_server_destroy(worker);
	tls_server_destroy(other);
	close_both(&b);
}

static void sessions_checked_against_other_authorities_are_not_resumed(void **state)
{
	struct tls_server *with, *without;
	struct both b;

	open_both(&b);
	without = make_server(&b.server_tls, "same");
	b.server_tls.request_client_certificate = true;
	b.server_tls.ca_file = authority_file();
	with = make_server(&b.server_tls, "same");
	assert_true(resumes(b.client, with, with, TLS1_3_VERSION));
	assert_false(resumes(b.client, without, with, TLS1_3_VERSION));
	assert_false(resumes(b.client, without, with, TLS1_2_VERSION));
	tls_server_destroy(with);
	tls_server_destroy(without);
	close_both(&b);
}

// ---- who is it
static void client_certificates_are_judged_not_required(void **state)
{
	const struct {
		const struct fixture_identity *shown;
		const char *subject;
		bool verified;
		const char *mailboxes;
	} rows[] = {
		{&ec, "CN=mail.example.kr", true, ""},
		{&person, "CN=Kim", true, "kim@example.kr kim@example.org"},
		{&stranger, "CN=stranger", false, ""},
		{&expired, "CN=expired", false, ""},
		{NULL, "", false, ""},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct tls_facts facts;
		struct meeting m;
		struct both b;
		open_both(&b);
		tls_server_destroy(b.server);
		tls_client_destroy(b.client);
		b.server_tls.request_client_certificate = true;
		b.server_tls.ca_file = authority_file();
		if (rows[i].shown) {
			b.client_tls.client_certificate =
				fixture_configured(rows[i].shown).certificate;
			b.client_tls.client_key = fixture_configured(rows[i].shown).key;
		}
		b.server = make_server(&b.server_tls, "mx");
		b.client = make_client(&b.client_tls);
		meet(&m, tls_client_session(b.client, "mail.example.kr", true),
			tls_server_session(b.server));
		shake(&m);
		assert_int_equal(m.client_error, 0);
		assert_int_equal(m.server_error, 0);
		assert_int_equal(sk_X509_NAME_num(SSL_get0_peer_CA_list(m.client)), 1);
		tls_get_facts(m.server, &facts);
		assert_string_equal(facts.peer_subject, rows[i].subject);
		assert_int_equal(facts.verified, rows[i].verified);
		assert_string_equal(facts.peer_mailboxes, rows[i].mailboxes);
		part(&m);
		close_both(&b);
	}
}

static void servers_are_checked_when_asked(void **state)
{
	const struct {
		const struct fixture_identity *shown;
		const char *host;
		const char *words; // NULL: good
	} rows[] = {
		{&ec, "mail.example.kr", NULL},
		{&wild, "a.example.org", NULL},
		{&ec, "other.example.kr", "mismatch"},
		{&wild, "a.b.example.org", "mismatch"},
		{&stranger, "mail.example.kr", "self-signed"},
		{&expired, "mail.example.kr", "expired"},
		{&ec, "192.0.2.1", "mismatch"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		for (unsigned verify = 0; verify < 2; verify++) {
			struct config_certificate c = fixture_configured(rows[i].shown);
			struct config_tls tls = {
				.certificates = &c, .certificate_count = 1, .min = CONFIG_TLS_1_2};
			struct tls_server *server = make_server(&tls, "mx");
			struct tls_facts facts;
			struct meeting m;
			struct both b;
			open_both(&b);
			meet(&m, tls_client_session(b.client, rows[i].host, verify),
				tls_server_session(server));
			shake(&m);
			if (verify && rows[i].words) {
				assert_int_not_equal(m.client_error, 0);
				assert_non_null(
					strstr(m.client_words, "the certificate is not good"));
				if (!strstr(m.client_words, rows[i].words))
					fail_msg("%s", m.client_words);
			} else {
				assert_int_equal(m.client_error, 0);
				tls_get_facts(m.client, &facts);
				assert_int_equal(facts.verified, !rows[i].words);
			}
			part(&m);
			close_both(&b);
			tls_server_destroy(server);
		}
}

// ---- words
static void failures_have_plain_words(void **state)
{
	struct meeting m;
	struct both b;

	open_both(&b);
	// No cipher in common.
	SSL *client = tls_client_session(b.client, "mail.example.kr", false);
	SSL_set_max_proto_version(client, TLS1_2_VERSION);
	SSL_set_cipher_list(client, "AES128-SHA:CAMELLIA128-SHA@SECLEVEL=0");
	SSL *server = tls_server_session(b.server);
	SSL_set_cipher_list(server, "ECDHE+AESGCM");
	meet(&m, client, server);
	shake(&m);
	assert_non_null(
		strstr(m.server_words, "no shared cipher: the other side has only AES128-SHA"));
	assert_non_null(strstr(m.client_words, "found no cipher"));
	part(&m);
	// Plain text in either direction.
	meet(&m, tls_client_session(b.client, NULL, false), tls_server_session(b.server));
	assert_int_equal(write(m.sockets[0], "EHLO example.kr\r\n", 17), 17);
	step(m.server, &m.server_error, m.server_words);
	assert_non_null(strstr(m.server_words, "plain text"));
	part(&m);
	meet(&m, tls_client_session(b.client, NULL, false), tls_server_session(b.server));
	assert_int_equal(write(m.sockets[1], "220 mail.example.kr ESMTP\r\n", 27), 27);
	step(m.client, &m.client_error, m.client_words);
	assert_non_null(strstr(m.client_words, "plain text"));
	part(&m);
	// The peer goes away.
	meet(&m, tls_client_session(b.client, NULL, false), tls_server_session(b.server));
	shutdown(m.sockets[0], SHUT_RDWR);
	step(m.server, &m.server_error, m.server_words);
	assert_non_null(strstr(m.server_words, "closed the connection"));
	part(&m);
	// The client does not trust us.
	struct config_certificate c = fixture_configured(&stranger);
	struct config_tls tls = {.certificates = &c, .certificate_count = 1, .min = CONFIG_TLS_1_2};
	struct tls_server *untrusted = make_server(&tls, "mx");
	client = tls_client_session(b.client, "mail.example.kr", true);
	SSL_set_max_proto_version(client, TLS1_2_VERSION);
	meet(&m, client, tls_server_session(untrusted));
	shake(&m);
	assert_non_null(strstr(m.server_words, "does not trust our certificate"));
	part(&m);
	tls_server_destroy(untrusted);
	close_both(&b);
}

static void bad_settings_are_explained(void **state)
{
	struct buf sealed = BUF_INIT;
	BIO *bio = BIO_new(BIO_s_mem());
	struct tls_server *server;
	struct error err;

	PEM_write_bio_PKCS8PrivateKey(
		bio, ec.key, EVP_aes_128_cbc(), NULL, 0, NULL, (char *)"open sesame");
	fixture_pem(bio, &sealed);
	const struct {
		struct config_certificate c;
		const char *words; // NULL: good
	} rows[] = {
		{{{STR("c"), STR("nothing")}, {STR("k"), buf_str(&ec.key_pem)}, {{0}}},
			"c holds no certificate"},
		{{{STR("c"), buf_str(&ec.certificate_pem)}, {STR("k"), STR("nothing")}, {{0}}},
			"k holds no private key"},
		{{{STR("c"), buf_str(&ec.certificate_pem)}, {{0}}, {{0}}},
			"c holds no private key"},
		{{{STR("c"), buf_str(&ec.certificate_pem)}, {STR("k"), buf_str(&rsa.key_pem)},
			 {{0}}},
			"the key in k does not belong to the certificate in c"},
		{{{STR("c"), buf_str(&ec.certificate_pem)}, {STR("k"), buf_str(&sealed)}, {{0}}},
			"the key in k has a pass phrase, and none is configured"},
		{{{STR("c"), buf_str(&ec.certificate_pem)}, {STR("k"), buf_str(&sealed)},
			 {STR("p"), STR("wrong\n")}},
			"with the pass phrase in p"},
		{{{STR("c"), buf_str(&ec.certificate_pem)}, {STR("k"), buf_str(&sealed)},
			 {STR("p"), STR("open sesame\nignored\n")}},
			NULL},
	};
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct config_certificate c = rows[i].c;
		struct config_tls tls = {
			.certificates = &c, .certificate_count = 1, .min = CONFIG_TLS_1_2};
		memset(&err, 0, sizeof(err));
		int result = tls_server_create(&tls, STR("mx"), &tickets, &server, &err);
		assert_int_equal(result, rows[i].words ? ERR_TLS : 0);
		if (rows[i].words && !strstr(err.text, rows[i].words))
			fail_msg("%s", err.text);
		tls_server_destroy(server);
	}
	struct config_tls none = {.min = CONFIG_TLS_1_2};
	assert_int_equal(tls_server_create(&none, STR("mx"), &tickets, &server, &err), ERR_TLS);
	struct config_tls bad_ca = {.ca_file = {STR("ca"), STR("nothing")}, .min = CONFIG_TLS_1_2};
	struct tls_client *client;
	assert_int_equal(tls_client_create(&bad_ca, &client, &err), ERR_TLS);
	assert_non_null(strstr(err.text, "ca holds no certificates"));
	buf_finish(&sealed);
}

static void key_and_chain_may_be_in_one_file(void **state)
{
	struct buf one = BUF_INIT;
	struct tls_server *server;
	struct error err = {0};

	buf_add_str(&one, buf_str(&ec.certificate_pem));
	buf_add_str(&one, buf_str(&ec.key_pem));
	buf_add_str(&one, buf_str(&authority.certificate_pem));
	struct config_certificate c = {.certificate = {STR("one.pem"), buf_str(&one)}};
	struct config_tls tls = {.certificates = &c, .certificate_count = 1, .min = CONFIG_TLS_1_2};
	if (tls_server_create(&tls, STR("mx"), &tickets, &server, &err) != 0)
		fail_msg("%s", err.text);
	struct both b;
	struct meeting m;
	open_both(&b);
	meet(&m, tls_client_session(b.client, "mail.example.kr", true), tls_server_session(server));
	shake(&m);
	assert_int_equal(m.client_error, 0);
	assert_int_equal(sk_X509_num(SSL_get_peer_cert_chain(m.client)), 2);
	part(&m);
	close_both(&b);
	tls_server_destroy(server);
	buf_finish(&one);
}

static void alpn_smtp_is_agreed_and_others_are_passed_over(void **state)
{
	static const struct {
		const char *offer;
		unsigned len;
		const char *chosen;
	} rows[] = {{"\4smtp", 5, "smtp"}, {"\2h2\4smtp", 8, "smtp"}, {"\2h2", 3, ""}};
	struct both b;

	open_both(&b);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const unsigned char *chosen;
		unsigned len;
		struct meeting m;
		SSL *client = tls_client_session(b.client, "mail.example.kr", true);
		SSL_set_alpn_protos(client, (const unsigned char *)rows[i].offer, rows[i].len);
		meet(&m, client, tls_server_session(b.server));
		shake(&m);
		assert_int_equal(m.client_error, 0);
		SSL_get0_alpn_selected(client, &chosen, &len);
		assert_true(str_equal(str_make(chosen, len), str_from(rows[i].chosen)));
		part(&m);
	}
	close_both(&b);
}

// ---- making and looking
static void a_self_signed_certificate_serves(void **state)
{
	struct buf certificate = BUF_INIT, key = BUF_INIT;
	struct error err = {0};
	char names[100];
	int days;

	assert_int_equal(
		tls_make_self_signed(STR("mail.example.kr"), 90, &certificate, &key, &err), 0);
	assert_int_equal(
		tls_certificate_days(buf_str(&certificate), &days, names, sizeof(names)), 0);
	assert_true(days == 90 || days == 89);
	assert_string_equal(names, "mail.example.kr");
	struct config_certificate c = {
		.certificate = {STR("c"), buf_str(&certificate)}, .key = {STR("k"), buf_str(&key)}};
	struct config_tls tls = {.certificates = &c, .certificate_count = 1, .min = CONFIG_TLS_1_2};
	tls_server_destroy(make_server(&tls, "mx"));
	assert_int_equal(
		tls_make_self_signed(STR("a,DNS:b"), 90, &certificate, &key, &err), ERR_SYNTAX);
	assert_int_equal(tls_make_self_signed(STR_EMPTY, 90, &certificate, &key, &err), ERR_SYNTAX);
	buf_finish(&certificate);
	buf_finish(&key);
}

static void days_are_those_of_the_first_to_end(void **state)
{
	struct buf chain = BUF_INIT;
	char names[100], small[20];
	int days;

	buf_add_str(&chain, buf_str(&rsa.certificate_pem));
	buf_add_str(&chain, buf_str(&authority.certificate_pem));
	assert_int_equal(tls_certificate_days(buf_str(&chain), &days, names, sizeof(names)), 0);
	assert_int_equal(days, 20);
	assert_string_equal(names, "mx.example.kr, mail.example.kr");
	assert_int_equal(tls_certificate_days(buf_str(&chain), &days, small, sizeof(small)), 0);
	assert_string_equal(small, "mx.example.kr");
	assert_int_equal(tls_certificate_days(
				 buf_str(&expired.certificate_pem), &days, names, sizeof(names)),
		0);
	assert_true(days < 0);
	assert_int_equal(
		tls_certificate_days(STR("nothing"), &days, names, sizeof(names)), ERR_CORRUPT);
	buf_finish(&chain);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(client_and_server_agree_and_know_each_other),
		cmocka_unit_test(both_ends_have_the_same_channel_bindings),
		cmocka_unit_test(the_kind_of_key_follows_the_client),
		cmocka_unit_test(names_choose_the_certificate),
		cmocka_unit_test(a_session_outlives_its_server),
		cmocka_unit_test(old_versions_need_the_setting),
		cmocka_unit_test(tickets_work_across_workers_and_not_across_servers),
		cmocka_unit_test(sessions_checked_against_other_authorities_are_not_resumed),
		cmocka_unit_test(client_certificates_are_judged_not_required),
		cmocka_unit_test(servers_are_checked_when_asked),
		cmocka_unit_test(failures_have_plain_words),
		cmocka_unit_test(bad_settings_are_explained),
		cmocka_unit_test(key_and_chain_may_be_in_one_file),
		cmocka_unit_test(alpn_smtp_is_agreed_and_others_are_passed_over),
		cmocka_unit_test(a_self_signed_certificate_serves),
		cmocka_unit_test(days_are_those_of_the_first_to_end),
	};
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
