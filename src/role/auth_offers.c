// SPDX-License-Identifier: ISC
#include "role/auth_offers.h"

#include "auth/sasl.h"
#include "base/event.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define SASL_THREADS 8 // some of them wait for answers of sources
#define SECRET_NAME  "sasl-unknown-names"

// Kerberos reads its files by name, and after confinement only those in our folder can be read. The
// files are made there; what is in them is the configuration's.
static bool write_file(const char *path, struct str content)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
	size_t done = 0;

	while (fd >= 0 && done < content.len) {
		ssize_t n = write(fd, content.data + done, content.len - done);
		if (n <= 0)
			break;
		done += (size_t)n;
	}
	bool ok = fd >= 0 && done == content.len;
	if (fd >= 0 && close(fd) < 0)
		ok = false;
	return ok;
}

static bool needs_kerberos(const struct config *c)
{
	char names[AUTH_OFFER_MAX];

	auth_offers_of_library(c, names);
	return strstr(names, "GSS") != NULL;
}

static const char *kerberos_path(const struct config *c, const char *name, char out[1200])
{
	snprintf(out, 1200, "%.*s/auth/%s", STR_ARG(c->state_folder), name);
	return out;
}

// The environment is for the time before there are threads, the files for the one after confinement.
static void name_kerberos_files(const struct config *c)
{
	char path[1200];

	if (setenv("KRB5_CONFIG", kerberos_path(c, "krb5.conf", path), 1) ||
		setenv("KRB5_KTNAME", kerberos_path(c, "gssapi.keytab", path), 1) ||
		setenv("KRB5RCACHENAME", "none:", 1)) // its file could not be written
		fatal("out of memory (Kerberos)");
}

static void write_kerberos_files(const struct config *c)
{
	char path[1200], text[5000];

	snprintf(text, sizeof text,
		"[libdefaults]\n%s%.*s\n dns_lookup_realm = false\n dns_lookup_kdc = false\n"
		" dns_canonicalize_hostname = false\n rdns = false\n",
		c->auth.realm.len ? " default_realm = " : "", STR_ARG(c->auth.realm));
	if (!write_file(kerberos_path(c, "krb5.conf", path), str_from(text)) ||
		!write_file(kerberos_path(c, "gssapi.keytab", path), c->auth.keytab.content))
		event_report(EVENT_ERROR, "auth", "%s cannot be written: GSSAPI will not work", path);
}

void auth_offers_prepare(const struct config *config)
{
	char names[AUTH_OFFER_MAX];
	struct auth_sasl_settings settings = {names, ""};
	struct error err = {0};

	auth_offers_of_library(config, names);
	if (!names[0])
		return;
	if (needs_kerberos(config))
		name_kerberos_files(config);
	if (auth_sasl_load(&settings, &err))
		event_report(EVENT_ERROR, "auth", "%s; not offered: %s", err.text, names);
}

bool auth_offers_need_more(const struct config *old, const struct config *now)
{
	char had[AUTH_OFFER_MAX], names[AUTH_OFFER_MAX];
	struct str rest, one;

	auth_offers_of_library(old, had);
	auth_offers_of_library(now, names);
	rest = str_from(names);
	while (str_split(&rest, ' ', &one)) {
		char name[32];
		if (one.len && str_copy(one, name, sizeof name) && !auth_offers_have(had, name))
			return true;
	}
	return false;
}

static int read_secret(
	struct secrets *secrets, unsigned char out[AUTH_SASL_SECRET], struct error *err)
{
	size_t len = 0;

	if (secrets_meta_get(secrets, STR(SECRET_NAME), out, AUTH_SASL_SECRET, &len) == 0 &&
		len == AUTH_SASL_SECRET)
		return 0;
	mem_random(out, AUTH_SASL_SECRET);
	int result = secrets_meta_set(
		secrets, STR(SECRET_NAME), str_make(out, AUTH_SASL_SECRET));
	return result ? error_set(err, result, TEXT("the stored passwords cannot be written: %s"),
				err_text(result))
		      : 0;
}

int auth_offers_start(struct auth_offer_state *state, uv_loop_t *loop, const struct config *config,
	struct secrets *secrets, struct error *err)
{
	unsigned char secret[AUTH_SASL_SECRET];
	int result = read_secret(secrets, secret, err);

	if (result)
		return result;
	if (needs_kerberos(config))
		write_kerberos_files(config);
	state->facts.available = auth_sasl_has;
	state->config = config;
	// Until it is known whether any of these is enabled.
	uint64_t missing = 0;
	state->facts.scram_missing =
		secrets_without_scram(secrets, NULL, NULL, &missing) || missing > 0;
	if (auth_sasl_library())
		auth_sasl_open(loop, SASL_THREADS, secret);
	mem_wipe(secret, sizeof secret);
	return 0;
}

bool auth_offers_set(
	struct auth_offer_state *state, const struct config *config, bool scram_missing)
{
	bool another = state->config != config || state->facts.scram_missing != scram_missing;

	state->config = config;
	state->facts.scram_missing = scram_missing;
	return another;
}

void auth_offers_stop(void)
{
	auth_sasl_close();
}
