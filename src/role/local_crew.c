// SPDX-License-Identifier: ISC
#include "role/local_crew.h"

#include "base/event.h"
#include "base/file.h"
#include "base/list.h"
#include "base/map.h"
#include "base/memory.h"
#include "base/text.h"
#include "deliver/deliver.h"
#include "role/local_worker.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>

#define IDLE_MS   10000
#define NAME_SIZE 65
#define MARGIN_MS 120000 // for locks and slow disks, beside what a program may take

struct order {
	struct list link;
	struct buf frame;
	int fd;
};

enum seat_state { SEAT_EMPTY, SEAT_WAITING, SEAT_IDLE, SEAT_BUSY };

// A user with something to do, or with a worker.
struct seat {
	struct list link;          // in crew.waiting while WAITING, in crew.idle while IDLE
	struct local_crew *crew;
	enum seat_state state;
	struct list orders;
	struct order *current;     // of BUSY
	struct ipc_channel *channel;
	struct process *process;
	struct wheel_timer timer;  // of IDLE and BUSY
	bool old;                  // by another configuration
	char name[NAME_SIZE];
};

// Counted until it was reaped, whatever became of its seat.
struct process {
	struct list link;
	struct seat *seat;         // NULL: it is only waited for
	pid_t pid;
};

struct local_crew {
	struct local_crew_options o;
	struct map seats;
	struct list waiting, idle, processes;
	unsigned running;
};

struct local_crew *local_crew_create(const struct local_crew_options *o)
{
	struct local_crew *c = mem_alloc(sizeof *c);
	c->o = *o;
	list_init(&c->waiting);
	list_init(&c->idle);
	list_init(&c->processes);
	return c;
}

// ---- orders

static void order_destroy(struct order *order)
{
	buf_finish(&order->frame);
	fd_close(&order->fd);
	mem_free(order);
}

// Answers what no worker will answer: to be tried again. blame as in ipc tried: 1, this user is slow.
static void give_up(struct seat *s, struct order *order, unsigned blame, const char *rule,
	const char *words)
{
	struct deliver_job *job;
	struct ipc_tried m;
	struct buf outcomes = BUF_INIT, frame = BUF_INIT;
	int fd = order->fd;
	order->fd = -1;
	if (deliver_job_create(buf_str(&order->frame), fd, &job)) {
		deliver_job_refuse(buf_str(&order->frame), &m);
		job = NULL;
	} else {
		deliver_job_fail(job, SMTP_TEMPORARY, 451, "4.3.0", "%s: %s", rule, words);
		if (deliver_job_result(job, &m, &outcomes))
			fatal("out of memory");
	}
	m.blame = (uint8_t)blame;
	if (!ipc_encode_tried(&frame, &m))
		s->crew->o.tried(s->crew->o.arg, buf_str(&frame));
	deliver_job_destroy(job);
	buf_finish(&outcomes);
	buf_finish(&frame);
	order_destroy(order);
}

// ---- seats

static void go_on(struct seat *s);

static void leave_list(struct seat *s)
{
	list_remove(&s->link);
}

static void forget_if_empty(struct seat *s)
{
	if (s->state != SEAT_EMPTY || !list_empty(&s->orders))
		return;
	(void)map_remove(&s->crew->seats, str_from(s->name));
	mem_free(s);
}

// Killed, also while it only waits for work: its user may have stopped it, and what never ends takes a
// place from all others.
static void end_worker(struct seat *s)
{
	leave_list(s);
	wheel_clear(s->crew->o.wheel, &s->timer);
	if (s->process)
		(void)kill(s->process->pid, SIGKILL);
	if (s->process)
		s->process->seat = NULL;
	ipc_channel_close(s->channel);
	s->channel = NULL;
	s->process = NULL;
	s->state = SEAT_EMPTY;
}

static void start_waiting(struct local_crew *c);

static void on_timer(struct wheel_timer *timer)
{
	struct seat *s = LIST_ENTRY(timer, struct seat, timer);
	struct order *order = s->current;
	s->current = NULL;
	end_worker(s);
	if (order)
		give_up(s, order, 1, "delivery-timeout",
			TEXT("the delivery took too long and was ended"));
	go_on(s);
}

// ---- workers

// A worker speaks for its own job only: it runs in a user's rights and reads what others wrote.
static bool is_answer_to(const struct order *order, struct str body)
{
	struct ipc_try asked;
	struct ipc_tried m;
	return !ipc_decode_try(buf_str(&order->frame), &asked) && !ipc_decode_tried(body, &m) &&
		m.job == asked.job;
}

static void on_gone(struct ipc_channel *ch, void *arg);

static void on_tried(void *arg, struct str body, int fd)
{
	struct seat *s = arg;
	struct local_crew *c = s->crew;
	fd_close(&fd);
	if (!s->current)
		return;
	if (!is_answer_to(s->current, body)) {
		event_report(EVENT_ERROR, "local", "the worker of \"%s\" answered for another job", s->name);
		on_gone(s->channel, s);
		return;
	}
	order_destroy(s->current);
	s->current = NULL;
	s->state = SEAT_IDLE;
	list_add_last(&c->idle, &s->link);
	wheel_set(c->o.wheel, &s->timer, IDLE_MS);
	c->o.tried(c->o.arg, body);
	go_on(s);
}

static const ipc_handler from_worker[IPC_TYPES] = {[IPC_TYPE_tried] = on_tried};

static void on_frame(struct ipc_channel *ch, void *arg, unsigned type, struct str body, int fd)
{
	(void)ch;
	(void)ipc_dispatch(from_worker, arg, type, body, fd);
}

static void on_gone(struct ipc_channel *ch, void *arg)
{
	struct seat *s = arg;
	struct order *order = s->current;
	(void)ch;
	s->current = NULL;
	end_worker(s);
	if (order)
		give_up(s, order, 0, "delivery-ended", TEXT("the process that delivers ended"));
	go_on(s);
}

static bool start(struct seat *s)
{
	struct local_crew *c = s->crew;
	struct local_worker worker = {.context = c->o.context, .name = s->name};
	struct process *process;
	pid_t pid;
	int socket;
	if (local_fork(local_worker_user, &worker, &pid, &socket)) {
		event_report(EVENT_ERROR, "local", "cannot start a delivery: %s", strerror(errno));
		return false;
	}
	process = mem_alloc(sizeof *process);
	process->pid = pid;
	process->seat = s;
	list_add_last(&c->processes, &process->link);
	c->running++;
	s->process = process;
	s->old = false;
	s->channel = ipc_channel_open(c->o.context->loop, socket, on_frame, on_gone, s);
	s->state = SEAT_IDLE;
	list_add_last(&c->idle, &s->link);
	return true;
}

static void work(struct seat *s)
{
	struct local_crew *c = s->crew;
	struct order *order = LIST_ENTRY(s->orders.next, struct order, link);
	list_remove(&order->link);
	leave_list(s);
	s->state = SEAT_BUSY;
	s->current = order;
	wheel_set(c->o.wheel, &s->timer, c->o.context->config->deliver.program_timeout + MARGIN_MS);
	// A channel that is gone tells so by itself.
	(void)ipc_channel_send(s->channel, IPC_TYPE_try, buf_str(&order->frame), order->fd);
}

static void wait_in_line(struct seat *s)
{
	s->state = SEAT_WAITING;
	list_add_last(&s->crew->waiting, &s->link);
	if (s->crew->running < LOCAL_CREW_MAX || list_empty(&s->crew->idle))
		return;
	struct seat *other = LIST_ENTRY(s->crew->idle.next, struct seat, link);
	end_worker(other); // one that has nothing to do makes room
	forget_if_empty(other);
}

static void cannot_start(struct seat *s)
{
	while (!list_empty(&s->orders)) {
		struct order *order = LIST_ENTRY(s->orders.next, struct order, link);
		list_remove(&order->link);
		give_up(s, order, 0, "delivery-not-started", TEXT("no process can be started"));
	}
	forget_if_empty(s);
}

static void go_on(struct seat *s)
{
	struct local_crew *c = s->crew;
	bool yields = !list_empty(&c->waiting);
	if (s->state == SEAT_IDLE && (s->old || (yields && !list_empty(&s->orders))))
		end_worker(s);
	if (s->state == SEAT_EMPTY && !list_empty(&s->orders))
		wait_in_line(s);
	else if (s->state == SEAT_IDLE && !list_empty(&s->orders))
		work(s);
	else
		forget_if_empty(s);
	start_waiting(c);
}

static void start_waiting(struct local_crew *c)
{
	while (c->running < LOCAL_CREW_MAX && !list_empty(&c->waiting)) {
		struct seat *s = LIST_ENTRY(c->waiting.next, struct seat, link);
		leave_list(s);
		s->state = SEAT_EMPTY;
		if (start(s))
			work(s);
		else
			cannot_start(s);
	}
}

// ---- from outside

void local_crew_give(struct local_crew *c, struct str user, struct str frame_body, int fd)
{
	char name[NAME_SIZE];
	snprintf(name, sizeof name, "%.*s", STR_ARG(user)); // one that is cut is nobody's, as the worker sees
	struct seat *s = map_get(&c->seats, str_from(name));
	struct order *order = mem_alloc(sizeof *order);
	if (!s) {
		s = mem_alloc(sizeof *s);
		s->crew = c;
		list_init(&s->link);
		list_init(&s->orders);
		wheel_timer_init(&s->timer, on_timer);
		memcpy(s->name, name, sizeof s->name);
		map_set(&c->seats, str_from(s->name), s);
	}
	order->fd = fd;
	if (buf_add_str(&order->frame, frame_body))
		fatal("out of memory");
	list_add_last(&s->orders, &order->link);
	if (s->state != SEAT_BUSY && s->state != SEAT_WAITING)
		go_on(s);
}

bool local_crew_reaped(struct local_crew *c, pid_t pid)
{
	LIST_EACH(link, &c->processes) {
		struct process *p = LIST_ENTRY(link, struct process, link);
		if (p->pid != pid)
			continue;
		list_remove(&p->link);
		if (p->seat) // its channel says so, too
			p->seat->process = NULL;
		mem_free(p);
		c->running--;
		start_waiting(c);
		return true;
	}
	return false;
}

static void renew_one(struct str key, void *value, void *arg)
{
	struct seat *s = value;
	(void)key;
	(void)arg;
	s->old = true;
	if (s->state != SEAT_IDLE)
		return;
	end_worker(s);
	forget_if_empty(s);
}

void local_crew_renew(struct local_crew *c)
{
	map_each(&c->seats, renew_one, NULL);
	start_waiting(c);
}
