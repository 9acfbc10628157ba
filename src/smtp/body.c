// SPDX-License-Identifier: ISC
// The hot path: octets of a message are looked at in runs (memchr), each octet at
// most once for each of CR, LF and NUL, and given out without being copied.
#include "smtp/body.h"

#include "base/error.h"

// Finds the next c at or behind p; the place is remembered, so that many asks cost
// one pass over the input. end: there is none.
struct finder {
	const char *at;
	char c;
};

static inline const char *next(struct finder *f, const char *p, const char *end)
{
	if (__builtin_expect(!f->at || f->at < p, 1)) {
		f->at = p < end ? memchr(p, f->c, (size_t)(end - p)) : NULL;
		if (!f->at)
			f->at = end;
	}
	return f->at;
}

static const char *least(const char *a, const char *b)
{
	return a < b ? a : b;
}

// ---- decoding DATA

enum data_state { LINE_START, IN_LINE, CR_SEEN, DOT_SEEN, DOT_CR_SEEN, ENDED };

// One call of smtp_data_read.
struct decoder {
	struct smtp_data *d;
	const struct smtp_limits *limits;
	void (*give)(void *arg, struct str octets);
	void *arg;
	const char *p; // next octet to look at
	const char *end;
	const char *run; // first octet looked at and not yet given out
	struct finder cr, lf, nul;
};

static void give_run(struct decoder *x, struct str run)
{
	uint64_t most = x->limits->message_size;
	bool over = most && run.len > most - x->d->size;

	if (x->d->fault)
		return;
	if (over)
		run.len = (size_t)(most - x->d->size);
	x->d->size += run.len;
	if (run.len)
		x->give(x->arg, run);
	if (over)
		x->d->fault = SMTP_BODY_TOO_LARGE;
}

// Gives out what was looked at before `to`.
static void flush(struct decoder *x, const char *to)
{
	if (to > x->run)
		give_run(x, str_make(x->run, (size_t)(to - x->run)));
	x->run = to;
}

// Octets before `at` are good; what follows is not given out any more.
static void fault(struct decoder *x, const char *at, enum smtp_body_fault what)
{
	flush(x, at);
	if (!x->d->fault)
		x->d->fault = what;
	x->d->state = IN_LINE;
}

static void line_start(struct decoder *x)
{
	x->d->line = 0;
	x->d->state = IN_LINE;
	if (*x->p == '.') {
		flush(x, x->p++);
		x->run = x->p;
		x->d->state = DOT_SEEN;
	}
}

// From here to the end of the line, or to what is wrong in it.
static void in_line(struct decoder *x)
{
	const char *lf = next(&x->lf, x->p, x->end), *cr = next(&x->cr, x->p, x->end);
	const char *stop = least(least(lf, cr), next(&x->nul, x->p, x->end));
	size_t room = x->limits->body_line > x->d->line ? x->limits->body_line - x->d->line : 0;

	if ((size_t)(stop - x->p) > room && !x->d->fault)
		fault(x, x->p + room, SMTP_BODY_LONG_LINE);
	x->d->line += (size_t)(stop - x->p);
	x->p = stop;
	if (stop == x->end)
		return;
	x->p++;
	if (stop != cr) {
		fault(x, stop, stop == lf ? SMTP_BODY_BARE : SMTP_BODY_NUL);
	} else if (x->p == x->end) {
		flush(x, stop);
		x->run = x->p;
		x->d->state = CR_SEEN;
	} else if (*x->p == '\n') {
		x->p++;
		x->d->state = LINE_START;
	} else {
		fault(x, stop, SMTP_BODY_BARE);
	}
}

// The input before this one ended in CR.
static void cr_seen(struct decoder *x)
{
	if (*x->p != '\n') {
		fault(x, x->p, SMTP_BODY_BARE);
		return;
	}
	give_run(x, STR("\r\n"));
	x->run = ++x->p;
	x->d->state = LINE_START;
}

// The dot is dropped whatever follows (RFC 5321 4.5.2).
static void dot_seen(struct decoder *x)
{
	x->d->state = *x->p == '\r' ? DOT_CR_SEEN : IN_LINE;
	if (*x->p == '\r')
		x->p++;
	x->run = x->p;
}

static void dot_cr_seen(struct decoder *x)
{
	x->run = x->p;
	if (*x->p != '\n') {
		fault(x, x->p, SMTP_BODY_BARE);
		return;
	}
	x->run = ++x->p;
	x->d->state = ENDED;
}

void smtp_data_init(struct smtp_data *d)
{
	*d = (struct smtp_data){.state = LINE_START};
}

bool smtp_data_read(struct smtp_data *d, struct str input, const struct smtp_limits *limits,
	void (*give)(void *arg, struct str octets), void *arg, size_t *out_used)
{
	static void (*const steps[])(struct decoder * x) = {
		[LINE_START] = line_start,
		[IN_LINE] = in_line,
		[CR_SEEN] = cr_seen,
		[DOT_SEEN] = dot_seen,
		[DOT_CR_SEEN] = dot_cr_seen,
	};
	struct decoder x = {
		.d = d,
		.limits = limits,
		.give = give,
		.arg = arg,
		.p = input.data,
		.end = input.data + input.len,
		.run = input.data,
		.cr = {.c = '\r'},
		.lf = {.c = '\n'},
		.nul = {.c = '\0'},
	};

	while (x.p < x.end && d->state != ENDED) {
		if (d->state == IN_LINE)
			in_line(&x);
		else
			steps[d->state](&x);
	}
	flush(&x, x.p);
	*out_used = (size_t)(x.p - input.data);
	return d->state == ENDED;
}

// ---- checking BDAT

void smtp_chunks_init(struct smtp_chunks *c)
{
	*c = (struct smtp_chunks){0};
}

static void chunk_fault(struct smtp_chunks *c, enum smtp_body_fault what)
{
	if (!c->fault)
		c->fault = what;
}

// The octets of one line up to stop, which is the end of the input or a CR, LF or NUL.
static const char *chunk_line(struct smtp_chunks *c, const char *p, const char *stop,
	const char *end, const struct smtp_limits *limits)
{
	if (c->cr && *p != '\n')
		chunk_fault(c, SMTP_BODY_BARE);
	c->line += (size_t)(stop - p);
	if (c->line > limits->body_line)
		chunk_fault(c, SMTP_BODY_LONG_LINE);
	if (stop > p)
		c->cr = false;
	if (stop == end)
		return end;
	if (*stop == '\0')
		chunk_fault(c, SMTP_BODY_NUL);
	if (*stop == '\n' && !c->cr)
		chunk_fault(c, SMTP_BODY_BARE);
	c->line = *stop == '\n' ? 0 : c->line;
	c->cr = *stop == '\r';
	return stop + 1;
}

void smtp_chunks_check(struct smtp_chunks *c, struct str octets, const struct smtp_limits *limits)
{
	struct finder cr = {.c = '\r'}, lf = {.c = '\n'}, nul = {.c = '\0'};
	uint64_t room = limits->message_size > c->size ? limits->message_size - c->size : 0;
	bool over = limits->message_size && octets.len > room;
	// What is wrong before the bound is passed was first.
	const char *p = octets.data, *end = p + (over ? (size_t)room : octets.len);

	while (p < end && !c->fault) {
		const char *stop = least(next(&cr, p, end), next(&lf, p, end));

		p = chunk_line(c, p, least(stop, next(&nul, p, end)), end, limits);
	}
	c->size += octets.len;
	if (over)
		chunk_fault(c, SMTP_BODY_TOO_LARGE);
}

void smtp_chunks_end(struct smtp_chunks *c, struct str *out_tail)
{
	*out_tail = STR_EMPTY;
	if (c->cr)
		chunk_fault(c, SMTP_BODY_BARE);
	if (!c->fault && c->line)
		*out_tail = STR("\r\n");
}

// ---- encoding DATA

void smtp_stuff_init(struct smtp_stuff *s)
{
	*s = (struct smtp_stuff){.line_start = true};
}

// Doubles the dot at p if one must be; *run is what was not yet added.
static int stuff_line_start(struct smtp_stuff *s, const char *p, const char **run, struct buf *out)
{
	const char *from = *run;

	s->line_start = false;
	if (*p != '.')
		return 0;
	*run = p; // the dot itself comes with the run that follows
	int err = buf_add(out, from, (size_t)(p - from));

	return err ? err : buf_add_char(out, '.');
}

int smtp_stuff_write(struct smtp_stuff *s, struct str octets, struct buf *out)
{
	struct finder cr = {.c = '\r'}, lf = {.c = '\n'};
	const char *p = octets.data, *end = p + octets.len, *run = p;
	int err = 0;

	if (!octets.len)
		return 0;
	if (s->cr) { // held back until its LF is there
		if (*p != '\n')
			return ERR_SYNTAX;
		err = buf_add(out, "\r\n", 2);
		run = ++p;
		*s = (struct smtp_stuff){.line_start = true};
	}
	while (p < end && !err) {
		const char *stop = next(&cr, p, end);

		if (s->line_start && (err = stuff_line_start(s, p, &run, out)))
			break;
		if (next(&lf, p, end) < stop)
			return ERR_SYNTAX;
		if (stop == end)
			break;
		if (stop + 1 == end) {
			s->cr = true;
			end = stop;
			break;
		}
		if (stop[1] != '\n')
			return ERR_SYNTAX;
		s->line_start = true;
		p = stop + 2;
	}
	return err ? err : buf_add(out, run, (size_t)(end - run));
}

int smtp_stuff_end(struct smtp_stuff *s, struct buf *out)
{
	if (s->cr)
		return ERR_SYNTAX;
	return buf_add_text(out, s->line_start ? ".\r\n" : "\r\n.\r\n");
}
