// SPDX-License-Identifier: ISC
// Rates: asks queue whether there is room before a message or a recipient is accepted, gives back
// what came to nothing, and tells with each message what it counts. Only sessions with a rate in
// force come by here.
#include "role/smtpd_internal.h"

#include "base/file.h"
#include "base/memory.h"

// One record; false: it counts nobody here. Amount 0 looks whether one more than those of this
// transaction would pass.
static bool make_record(const struct policy_facts *f, const struct policy_rate *r, uint32_t amount,
	struct buf *list, int *err)
{
	uint64_t mine = amount || r->rate->what != CONFIG_RATE_RECIPIENTS ? 0 : f->recipients_so_far;
	char key[POLICY_RATE_KEY_MAX], words[CONFIG_RATE_TEXT_MAX], where[POLICY_WHERE_MAX];
	if (!policy_rate_key(f, r->rate, key))
		return false;
	struct ipc_rate m = {
		.key = str_from(key),
		.period = (uint8_t)r->rate->period,
		.action = (uint8_t)r->rate->action,
		.most = r->rate->most > mine ? r->rate->most - mine : 0,
		.amount = amount,
		.words = str_from(config_rate_text(r->rate, words)),
		.where = str_from(policy_rate_where(r, where)),
	};
	*err = ipc_list_add_rate(list, &m);
	return true;
}

int smtpd_add_rates(struct buf *list, const struct policy_facts *f)
{
	int err = 0;
	for (unsigned i = 0; !err && f->limits && i < f->limits->rate_count; i++) {
		const struct policy_rate *r = &f->limits->rates[i];
		(void)make_record(f, r, r->rate->what == CONFIG_RATE_MESSAGES ? 1 : f->recipients_so_far,
			list, &err);
	}
	return err;
}

void connection_forget_rates(struct connection *c)
{
	mem_free(c->rates);
	c->rates = NULL;
	c->rate_count = 0;
}

// Those that can refuse, of the kind that is begun now. A rehearsal only looks.
static int list_asked(struct connection *c, struct buf *list)
{
	const struct policy_facts *f = c->facts;
	const struct policy_limits *l = f->limits;
	enum config_rate_what what = f->recipient ? CONFIG_RATE_RECIPIENTS : CONFIG_RATE_MESSAGES;
	int err = 0;
	c->rates = mem_array(l->rate_count, sizeof *c->rates);
	c->rate_count = 0;
	for (unsigned i = 0; !err && i < l->rate_count; i++) {
		const struct policy_rate *r = &l->rates[i];
		if (r->rate->what == what && r->rate->action != CONFIG_RATE_HOLD &&
			make_record(f, r, !c->rehearsal, list, &err))
			c->rates[c->rate_count++] = *r;
	}
	return err;
}

static void known(struct connection *c)
{
	c->facts_need &= ~(unsigned)POLICY_FACT_RATE;
	c->facts->known |= POLICY_FACT_RATE;
	connection_forget_rates(c);
	connection_ask_next_fact(c);
}

void connection_ask_rates(struct connection *c)
{
	struct smtpd *s = c->smtpd;
	struct buf list = BUF_INIT;
	c->facts->rate_full = (struct policy_rate){NULL, NULL};
	c->facts->rate_uncertain = true;
	if (!s->queue || !c->facts->limits || list_asked(c, &list)) {
		buf_finish(&list);
		known(c);
		return;
	}
	struct ipc_rate_query m = {.request = connection_ask(c), .session = c->id, .rates = buf_str(&list)};
	(void)ipc_send_rate_query(s->queue, &m);
	buf_finish(&list);
}

void smtpd_rate_answer(void *arg, struct str body, int fd)
{
	enum { RESERVED, FULL };
	struct ipc_rate_answer m;
	fd_close(&fd);
	if (ipc_decode_rate_answer(body, &m))
		return;
	struct connection *c = smtpd_answered(arg, m.request);
	if (!c || !c->facts)
		return;
	c->facts->rate_uncertain = m.verdict > FULL || (m.verdict == FULL && m.index >= c->rate_count);
	if (m.verdict == FULL && !c->facts->rate_uncertain) {
		c->facts->rate_full = c->rates[m.index];
		c->facts->rate_count = m.count;
		c->facts->rate_left_ms = m.left_ms;
	}
	known(c);
}

void connection_release_rates(void *arg)
{
	struct connection *c = arg;
	struct ipc_rate_release m = {.session = c->id};
	if (c->smtpd->queue)
		(void)ipc_send_rate_release(c->smtpd->queue, &m);
}
