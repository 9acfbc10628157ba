// SPDX-License-Identifier: ISC
// What an administrator asks of the guard, and tells it.
#include "queue/admin_internal.h"
#include "queue/guard.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/memory.h"
#include "base/text.h"
#include "base/unit.h"
#include "store/guards.h"

#include <stdio.h>

#define PAGE	      200
#define INCIDENTS     20 // shown of one subject
#define ALLOW_MS      ((uint64_t)24 * 3600 * 1000)
#define SUBJECT_MAX   (SMTP_ADDRESS_MAX + 16)
#define SEED_MAX      2000 // recipients of one request

struct work {
	struct control_call *call;
	struct queue_admin *admin;
	const char *command;
	char subject[SUBJECT_MAX];
	enum guard_sweep_kind sweep;
	enum guard_profile profile;
	uint64_t until_ms, count;
	json_t *arguments;         // of seed; owned
	struct guard_state *state; // of show with the server stopped
	char after[SUBJECT_MAX];
	unsigned page;
	bool all;
};

static void finish(struct work *w, json_t *summary)
{
	control_done(w->call, summary);
	json_decref(w->arguments);
	mem_free(w->state);
	mem_free(w);
}

static void fail(struct work *w, int err)
{
	queue_admin_fail(w->call, err);
	json_decref(w->arguments);
	mem_free(w->state);
	mem_free(w);
}

// ---------------------------------------------------------------- whom

// "kim@example.org", "192.0.2.7", or the whole name "account …", "client …". False: the call failed.
static bool take_subject(struct work *w, const json_t *arguments)
{
	char address_key[SMTP_ADDRESS_MAX], ip_text[IPADDR_TEXT_MAX], text[2 * SMTP_ADDRESS_MAX];
	struct str domain = w->admin->config->auth.default_domain, name;
	struct smtp_address address;
	struct ipaddr ip;
	if (queue_json_argument(arguments, "subject", &name))
		name = STR_EMPTY;
	if (str_starts(name, STR(STORE_SUBJECT_ACCOUNT)))
		name = str_skip(name, sizeof STORE_SUBJECT_ACCOUNT - 1);
	else if (str_starts(name, STR(STORE_SUBJECT_CLIENT)))
		name = str_skip(name, sizeof STORE_SUBJECT_CLIENT - 1);
	if (!ipaddr_parse(name, &ip)) {
		snprintf(w->subject, sizeof w->subject, STORE_SUBJECT_CLIENT "%s", ipaddr_format(&ip, ip_text));
		return true;
	}
	bool bare = str_find(name, '@') < 0 && domain.len;
	snprintf(text, sizeof text, "%.*s%s%.*s", STR_ARG(str_slice(name, 0, SMTP_ADDRESS_MAX)),
		bare ? "@" : "", bare ? (int)domain.len : 0, domain.data ? domain.data : "");
	if (name.len && !smtp_address_parse(str_from(text), &address) && !address.literal) {
		snprintf(w->subject, sizeof w->subject, STORE_SUBJECT_ACCOUNT "%s",
			smtp_address_key(&address, address_key));
		return true;
	}
	control_fail(w->call, "syntax",
		TEXT("\"%.*s\" is neither an account (NAME@DOMAIN) nor the address of a client"),
		STR_ARG(str_slice(name, 0, 200)));
	return false;
}

static struct work *create(struct control_call *call, void *admin, const char *command)
{
	struct work *w = mem_alloc(sizeof *w);
	w->call = call;
	w->admin = admin;
	w->command = command;
	return w;
}

// NULL: the call failed.
static struct work *create_for(struct control_call *call, const json_t *arguments, void *admin,
	const char *command)
{
	struct work *w = create(call, admin, command);
	if (take_subject(w, arguments))
		return w;
	mem_free(w);
	return NULL;
}

static struct guard *guard_of(const struct work *w)
{
	return w->admin->queue ? w->admin->queue->guard : NULL;
}

static void done(struct work *w)
{
	queue_admin_event(w->call, w->command, str_from(w->subject), w->count ? w->count : 1);
	finish(w, json_pack("{s:s, s:o}", "subject", w->subject, "count", queue_json_number(w->count)));
}

// ---------------------------------------------------------------- rows

static json_t *counts_of(const struct guard_counts *c)
{
	return json_pack("{s:I, s:I, s:I, s:I, s:I}", "messages", (json_int_t)c->messages, "recipients",
		(json_int_t)c->recipients, "new_recipients", (json_int_t)c->fresh, "refused",
		(json_int_t)c->refused, "finished", (json_int_t)c->finished);
}

static json_t *usual_of(const struct guard_state *s)
{
	const struct guard_peaks *u = &s->usual;
	return json_pack("{s:I, s:I, s:I, s:I, s:I, s:f}", "messages", (json_int_t)u->messages, "recipients",
		(json_int_t)u->day, "recipients_an_hour", (json_int_t)u->hour, "new_recipients",
		(json_int_t)u->fresh_day, "new_networks", (json_int_t)u->networks,
		"new_recipients_mean", s->fresh_mean / 256.0);
}

static json_t *row_of(struct str subject, const struct guard_state *s, enum guard_profile profile)
{
	struct guard_counts day = {0};
	for (unsigned n = 0; n < GUARD_HOURS; n++)
		if (clock_wall_ms() < s->now_ms + (uint64_t)24 * 3600 * 1000) {
			day.messages += s->hours[n].messages;
			day.recipients += s->hours[n].recipients;
			day.fresh += s->hours[n].fresh;
			day.refused += s->hours[n].refused;
			day.finished += s->hours[n].finished;
		}
	return json_pack("{s:o, s:s, s:o, s:s, s:o, s:o, s:o, s:I, s:o, s:o}", "subject",
		queue_json_text(subject), "action", guard_action_name(s->action), "since",
		queue_json_number(s->action ? s->action_ms : 0), "profile", guard_profile_name(profile),
		"last", queue_json_number(s->now_ms), "learning_until",
		queue_json_number(s->learning_ms > s->now_ms ? s->learning_ms : 0), "allowed_until",
		queue_json_number(s->allowed_until_ms > s->now_ms ? s->allowed_until_ms : 0), "days",
		(json_int_t)s->days, "day", counts_of(&day), "usual", usual_of(s));
}

static json_t *incident_of(const struct store_incident *i)
{
	json_t *evidence = json_loadb(i->evidence.data, i->evidence.len, 0, NULL);
	return json_pack("{s:o, s:o, s:s, s:o, s:o, s:o}", "incident", queue_json_id(i->id), "subject",
		queue_json_text(i->subject), "action",
		guard_action_name(i->action <= GUARD_SUSPEND ? (enum guard_action)i->action : GUARD_SUSPEND),
		"started", queue_json_number(i->started_ms), "ended", queue_json_number(i->ended_ms),
		"evidence", evidence ? evidence : json_object());
}

// ---------------------------------------------------------------- list

static void list_incident(void *arg, const struct store_incident *i)
{
	struct work *w = arg;
	w->count++;
	control_row(w->call, incident_of(i));
}

static void on_incidents(void *arg, int err)
{
	struct work *w = arg;
	if (err)
		fail(w, err);
	else
		finish(w, json_pack("{s:o}", "count", queue_json_number(w->count)));
}

static void list_state(void *arg, const struct store_guard *g)
{
	struct work *w = arg;
	struct guard_state *s = mem_alloc(sizeof *s);
	w->page++;
	str_copy(g->subject, w->after, sizeof w->after);
	if (!guard_decode(g->state, s)) {
		w->count++;
		control_row(w->call, row_of(g->subject, s, s->profile));
	}
	mem_free(s);
}

static void list_page(void *arg);

static void on_states(void *arg, int err)
{
	struct work *w = arg;
	if (!err && w->page == PAGE && !control_is_gone(w->call))
		control_when_read(w->call, list_page, w);
	else
		on_incidents(w, err);
}

static void list_page(void *arg)
{
	struct work *w = arg;
	w->page = 0;
	store_guard_list(w->admin->store, str_from(w->after), PAGE, list_state, on_states, w);
}

void queue_admin_guard_list(struct control_call *call, const json_t *arguments, void *arg)
{
	struct work *w = create(call, arg, "guard list");
	w->all = json_is_true(json_object_get(arguments, "all"));
	guard_write_all(guard_of(w));
	if (w->all)
		list_page(w);
	else
		store_incident_list(w->admin->store, STR_EMPTY, true, 0, list_incident, on_incidents, w);
}

// ---------------------------------------------------------------- show

static void show_incidents(struct work *w)
{
	store_incident_list(w->admin->store, str_from(w->subject), false, INCIDENTS, list_incident,
		on_incidents, w);
}

static void show_subject(void *arg, struct guard_subject *s)
{
	struct work *w = arg;
	if (!s) {
		fail(w, ERR_UNAVAILABLE);
		return;
	}
	struct guard_settings settings = guard_settings_of(s);
	struct guard_verdict v;
	json_t *row = row_of(s->name, &s->state, s->profile);
	guard_look(&s->state, &settings, &v);
	json_object_set_new(row, "now", guard_evidence_json(s, &v));
	control_row(w->call, row);
	show_incidents(w);
}

// The server is stopped: as it was stored.
static void show_stored(void *arg, int err, const struct store_guard *g)
{
	struct work *w = arg;
	enum guard_profile profile;
	w->state = mem_alloc(sizeof *w->state);
	if (err || (g->state.len && (err = guard_decode(g->state, w->state)))) {
		fail(w, err);
		return;
	}
	if (!g->is_account || !guard_profile_parse(g->profile, &profile))
		profile = w->state->profile;
	control_row(w->call, row_of(str_from(w->subject), w->state, profile));
	show_incidents(w);
}

void queue_admin_guard_show(struct control_call *call, const json_t *arguments, void *arg)
{
	struct work *w = create_for(call, arguments, arg, "guard show");
	if (!w)
		return;
	if (guard_of(w))
		guard_find(guard_of(w), str_from(w->subject), show_subject, w);
	else
		store_guard_get(w->admin->store, str_from(w->subject), show_stored, w);
}

// ---------------------------------------------------------------- allow, release, discard

static void let_go(struct guard_subject *s, uint64_t until_ms)
{
	guard_allow(&s->state, clock_wall_ms(), until_ms);
	guard_end_incident(s);
}

static void allow_subject(void *arg, struct guard_subject *s)
{
	struct work *w = arg;
	if (!s) {
		fail(w, ERR_UNAVAILABLE);
		return;
	}
	let_go(s, w->until_ms);
	done(w);
}

// False: the call failed.
static bool take_duration(struct work *w, const json_t *arguments, uint64_t standard)
{
	struct str word;
	uint64_t ms = standard;
	if (queue_json_argument(arguments, "for", &word) || (word.len && unit_parse_duration(word, &ms))) {
		control_fail(w->call, "syntax", TEXT("\"%.*s\" is no time like 12h or 7d"),
			STR_ARG(str_slice(word, 0, 100)));
		return false;
	}
	w->until_ms = clock_wall_ms() + ms;
	return true;
}

void queue_admin_guard_allow(struct control_call *call, const json_t *arguments, void *arg)
{
	struct work *w = create_for(call, arguments, arg, "guard allow");
	if (w && take_duration(w, arguments, ALLOW_MS))
		guard_find(guard_of(w), str_from(w->subject), allow_subject, w);
	else
		mem_free(w);
}

static void on_swept(void *arg, int err, uint64_t count)
{
	struct work *w = arg;
	w->count = count;
	if (err)
		fail(w, err);
	else
		done(w);
}

// What it did was right: it may go on for a day, and what is held goes.
static void release_subject(void *arg, struct guard_subject *s)
{
	struct work *w = arg;
	if (!s) {
		fail(w, ERR_UNAVAILABLE);
		return;
	}
	let_go(s, clock_wall_ms() + ALLOW_MS);
	guard_sweep(s->guard, s->name, GUARD_SWEEP_RELEASE, on_swept, w);
}

void queue_admin_guard_release(struct control_call *call, const json_t *arguments, void *arg)
{
	struct work *w = create_for(call, arguments, arg, "guard release");
	if (w)
		guard_find(guard_of(w), str_from(w->subject), release_subject, w);
}

void queue_admin_guard_discard(struct control_call *call, const json_t *arguments, void *arg)
{
	struct work *w = create_for(call, arguments, arg, "guard discard");
	if (!w)
		return;
	w->sweep = json_is_true(json_object_get(arguments, "return")) ? GUARD_SWEEP_RETURN : GUARD_SWEEP_DISCARD;
	guard_sweep(guard_of(w), str_from(w->subject), w->sweep, on_swept, w);
}

// ---------------------------------------------------------------- learn

static void learn_subject(void *arg, struct guard_subject *s)
{
	struct work *w = arg;
	if (!s) {
		fail(w, ERR_UNAVAILABLE);
		return;
	}
	guard_learn(&s->state, clock_wall_ms(), w->until_ms);
	guard_mark(s);
	done(w);
}

void queue_admin_guard_learn(struct control_call *call, const json_t *arguments, void *arg)
{
	bool all = json_is_true(json_object_get(arguments, "all"));
	struct work *w = all ? create(call, arg, "guard learn") :
		create_for(call, arguments, arg, "guard learn");
	if (!w || !take_duration(w, arguments, w->admin->config->guard.learn)) {
		mem_free(w);
		return;
	}
	if (!all) {
		guard_find(guard_of(w), str_from(w->subject), learn_subject, w);
		return;
	}
	guard_of(w)->learn_until_ms = w->until_ms;
	guard_write_own(guard_of(w));
	snprintf(w->subject, sizeof w->subject, "all");
	done(w);
}

// ---------------------------------------------------------------- profile

static void set_profile(struct guard_subject *s, enum guard_profile profile)
{
	s->profile = s->state.profile = profile;
	if (profile != GUARD_PROFILE_NORMAL && s->state.action) {
		guard_allow(&s->state, clock_wall_ms(), clock_wall_ms());
		guard_end_incident(s);
	}
	s->written_ms = 0;
	guard_mark(s);
}

static void on_profile_stored(void *arg, int err)
{
	struct work *w = arg;
	struct guard_subject *s = guard_get(guard_of(w), str_from(w->subject));
	if (err == ERR_NOT_FOUND)
		err = 0; // an account of another directory: its state keeps the profile
	if (s && !err)
		set_profile(s, w->profile);
	if (err)
		fail(w, err);
	else
		done(w);
}

static void profile_subject(void *arg, struct guard_subject *s)
{
	struct work *w = arg;
	if (!s)
		fail(w, ERR_UNAVAILABLE);
	else if (s->is_account)
		store_profile_set(w->admin->store, str_skip(s->name, sizeof STORE_SUBJECT_ACCOUNT - 1),
			str_from(guard_profile_name(w->profile)), on_profile_stored, w);
	else
		on_profile_stored(w, 0);
}

void queue_admin_guard_profile(struct control_call *call, const json_t *arguments, void *arg)
{
	struct work *w = create_for(call, arguments, arg, "guard profile");
	struct str word;
	if (!w)
		return;
	if (queue_json_argument(arguments, "profile", &word) || !word.len ||
		!guard_profile_parse(word, &w->profile)) {
		control_fail(call, "syntax", "%s", TEXT("a profile is normal, bulk or off"));
		mem_free(w);
		return;
	}
	guard_find(guard_of(w), str_from(w->subject), profile_subject, w);
}

// ---------------------------------------------------------------- seed

static void seed_subject(void *arg, struct guard_subject *s)
{
	struct work *w = arg;
	const json_t *list = json_object_get(w->arguments, "recipients"), *one;
	struct smtp_address address;
	size_t n;
	if (!s) {
		fail(w, ERR_UNAVAILABLE);
		return;
	}
	json_array_foreach(list, n, one) {
		struct str text = str_make(json_string_value(one), json_string_length(one));
		if (!text.len || smtp_address_parse(text, &address))
			continue;
		guard_add_contact(&s->state, guard_hash(s->guard, str_from(address.text),
			str_from(address.domain)));
		w->count++;
	}
	guard_mark(s);
	done(w);
}

void queue_admin_guard_seed(struct control_call *call, const json_t *arguments, void *arg)
{
	struct work *w = create_for(call, arguments, arg, "guard seed");
	const json_t *list = json_object_get(arguments, "recipients");
	if (!w)
		return;
	if (!json_is_array(list) || json_array_size(list) > SEED_MAX) {
		control_fail(call, "syntax", "%s", TEXT("a list of recipients is needed"));
		mem_free(w);
		return;
	}
	w->arguments = json_deep_copy(arguments);
	guard_find(guard_of(w), str_from(w->subject), seed_subject, w);
}
