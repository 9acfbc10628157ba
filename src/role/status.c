// SPDX-License-Identifier: ISC
// What master answers on its control socket: the state of the family, reload and stop.
#include "role/master_internal.h"

#include "base/clock.h"
#include "base/event.h"
#include "base/text.h"

#include <signal.h>
#include <unistd.h>

// Names of files may hold any octets.
static json_t *text_of(struct str s)
{
	json_t *text = json_stringn(s.data, s.len);
	return text ? text : json_string("?");
}

static const char *const state_names[] = {
	[CHILD_STARTING] = TEXT_MARK("starting"), [CHILD_READY] = TEXT_MARK("ready"),
	[CHILD_DRAINING] = TEXT_MARK("draining")};

static json_t *role_row(const struct child *c)
{
	return json_pack("{s:s, s:s, s:i, s:i, s:s, s:I, s:i, s:I}", "kind", "role", "role",
		c->role->name, "index", (int)c->index, "pid", (int)c->pid, "state",
		state_names[c->state], "uptime_ms",
		(json_int_t)(clock_monotonic_ms() - c->started_ms), "restarts",
		c->place ? (int)c->place->restarts : 0, "generation", (json_int_t)c->generation);
}

static void give_missing(struct control_call *call, const struct place *p)
{
	control_row(call, json_pack("{s:s, s:s, s:i, s:s, s:i}", "kind", "role", "role", p->role->name,
		"index", (int)p->index, "state", TEXT_MARK("down"), "restarts", (int)p->restarts));
}

static void give_certificate(struct control_call *call, struct str server,
	const struct config_certificate *certificate)
{
	int days;
	char names[512];
	if (tls_certificate_days(certificate->certificate.content, &days, names, sizeof names))
		return;
	control_row(call, json_pack("{s:s, s:o, s:o, s:i, s:o}", "kind", "certificate", "server",
		text_of(server), "file", text_of(certificate->certificate.path), "days", days,
		"names", text_of(str_from(names))));
}

static void give_certificates(struct control_call *call, const struct config *config)
{
	for (size_t i = 0; i < config->tls.certificate_count; i++)
		give_certificate(call, STR_EMPTY, &config->tls.certificates[i]);
	for (size_t s = 0; s < config->server_count; s++) {
		const struct config_server *server = &config->servers[s];
		for (size_t i = 0; server->has_tls && i < server->tls.certificate_count; i++)
			give_certificate(call, server->name, &server->tls.certificates[i]);
	}
}

static void give_listeners(struct control_call *call, const struct config *config)
{
	static const char *const tls_names[] = {[CONFIG_LISTEN_STARTTLS] = "starttls",
		[CONFIG_LISTEN_IMPLICIT] = "implicit", [CONFIG_LISTEN_NO_TLS] = "off"};
	char address[IPADDR_TEXT_MAX];
	for (size_t s = 0; s < config->server_count; s++)
		for (size_t l = 0; l < config->servers[s].listen_count; l++) {
			const struct config_listen *listen = &config->servers[s].listens[l];
			control_row(call, json_pack("{s:s, s:o, s:s, s:i, s:s}", "kind", "listener",
				"server", text_of(config->servers[s].name), "address",
				listen->address.family ? ipaddr_format(&listen->address, address) : "*",
				"port", (int)listen->port, "tls", tls_names[listen->tls]));
		}
}

static void run_status(struct control_call *call, const json_t *arguments, void *arg)
{
	struct master *m = arg;
	const struct config *config = m->snapshot->config;
	(void)arguments;
	LIST_EACH(link, &m->children)
		control_row(call, role_row(LIST_ENTRY(link, struct child, link)));
	for (size_t i = 0; i < m->place_count; i++)
		if (!m->places[i].child && family_needs(&m->places[i]))
			give_missing(call, &m->places[i]);
	give_listeners(call, config);
	give_certificates(call, config);
	json_t *tables = follow_status(m);
	if (tables)
		control_row(call, tables);
	control_done(call, json_pack("{s:b, s:s, s:I, s:o, s:s, s:I, s:I, s:i, s:o, s:o}",
		"ready", family_ready(m), "version", PABAL_VERSION, "generation",
		(json_int_t)m->snapshot->generation, "configuration", text_of(str_from(m->config_path)), "dns", m->dns_mode,
		"started_ms", (json_int_t)m->started_ms, "reloaded_ms", (json_int_t)m->last_reload_ms,
		"pid", (int)getpid(), "reload_error", text_of(str_from(m->last_reload)), "hostname",
		text_of(config->hostname)));
}

static void run_reload(struct control_call *call, const json_t *arguments, void *arg)
{
	struct master *m = arg;
	(void)arguments;
	if (m->reload_call) {
		control_fail(call, "busy", TEXT("a reload is under way"));
		return;
	}
	m->reload_call = call;
	master_reload(m, "asked for");
}

static void run_stop(struct control_call *call, const json_t *arguments, void *arg)
{
	(void)arguments;
	(void)arg;
	control_done(call, NULL);
	kill(getpid(), SIGTERM);
}

const struct control_handler master_handlers[] = {
	{"status", run_status},
	{"reload", run_reload},
	{"stop", run_stop},
};
const size_t master_handler_count = ARRAY_SIZE(master_handlers);
