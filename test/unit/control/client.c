// SPDX-License-Identifier: ISC
#include "world.h"

#include <pthread.h>

// ---- a server that says what it is told to, whatever it is asked
struct speaker {
	char folder[64], path[80];
	int listen_fd;
	const char *answer;
	size_t times;        // that the answer is said
	bool reads, stays;   // reads the request first; leaves the connection open
	struct buf request;
	int client;
	pthread_t thread;
};

static void read_request(struct speaker *s, int fd)
{
	while (str_find(buf_str(&s->request), '\n') < 0) {
		ssize_t n = read(fd, buf_reserve(&s->request, 4096), 4096);
		if (n <= 0)
			return;
		buf_commit(&s->request, (size_t)n);
	}
}

static void *speak(void *arg)
{
	struct speaker *s = arg;
	s->client = accept(s->listen_fd, NULL, NULL);
	if (s->reads)
		read_request(s, s->client);
	for (size_t i = 0; i < s->times; i++)
		if (send(s->client, s->answer, strlen(s->answer), MSG_NOSIGNAL) < 0)
			break;
	if (!s->stays)
		fd_close(&s->client);
	return NULL;
}

static void speaker_open(struct speaker *s, const char *answer)
{
	struct error err = {0};
	*s = (struct speaker){.answer = answer, .times = 1, .reads = true, .client = -1};
	world_folder(s->folder);
	snprintf(s->path, sizeof s->path, "%s/master.sock", s->folder);
	assert_int_equal(listener_open_unix(s->path, 0600, &s->listen_fd, &err), 0);
	assert_int_equal(fcntl(s->listen_fd, F_SETFL, 0), 0);
}

static void speaker_start(struct speaker *s)
{
	assert_int_equal(pthread_create(&s->thread, NULL, speak, s), 0);
}

static void speaker_close(struct speaker *s)
{
	pthread_join(s->thread, NULL);
	fd_close(&s->client);
	close(s->listen_fd);
	unlink(s->path);
	rmdir(s->folder);
	buf_finish(&s->request);
}

static void note_row(const json_t *row, void *arg)
{
	char *text = json_dumps(row, JSON_COMPACT);
	buf_add_format(arg, "%s ", text);
	free(text);
}

// One question to a speaker that is set up. *out_done may be NULL.
static int question(struct speaker *s, struct buf *rows, json_t **out_done, struct error *err)
{
	json_t *arguments = json_pack("{s:s}", "name", "김");
	speaker_start(s);
	int result = control_request(s->folder, "status", arguments, note_row, rows, 10000, out_done, err);
	json_decref(arguments);
	return result;
}

// ---- answers
static void rows_and_the_end(void **state)
{
	struct speaker s;
	struct buf rows = BUF_INIT;
	struct error err = {0};
	json_t *done = NULL;
	(void)state;
	speaker_open(&s, "{\"row\":{\"n\":1}}\n{\"row\":{\"n\":2}}\n{\"done\":{\"count\":2}}\n{\"row\":{}}\n");
	assert_int_equal(question(&s, &rows, &done, &err), 0);
	assert_string_equal(buf_cstr(&rows), "{\"n\":1} {\"n\":2} ");
	assert_int_equal(json_integer_value(json_object_get(done, "count")), 2);
	speaker_close(&s);
	json_decref(done);
	buf_finish(&rows);
}

static void what_is_asked(void **state)
{
	struct speaker s;
	struct buf rows = BUF_INIT;
	struct error err = {0};
	(void)state;
	speaker_open(&s, "{\"done\":{}}\n");
	assert_int_equal(question(&s, &rows, NULL, &err), 0);
	pthread_join(s.thread, NULL);
	assert_string_equal(buf_cstr(&s.request),
		"{\"version\":1,\"command\":\"status\",\"arguments\":{\"name\":\"김\"}}\n");
	speaker_start(&s); // for speaker_close
	(void)control_request(s.folder, "status", NULL, NULL, NULL, 10000, NULL, &err);
	speaker_close(&s);
	buf_finish(&rows);
}

static void errors_keep_code_and_words(void **state)
{
	static const struct {
		const char *code;
		int err;
	} rows[] = {{"not-found", ERR_NOT_FOUND}, {"exists", ERR_EXISTS}, {"syntax", ERR_SYNTAX},
		{"unknown", ERR_UNSUPPORTED}, {"busy", ERR_UNAVAILABLE}, {"full", ERR_FULL},
		{"refused", ERR_DENIED}, {"what", ERR_DENIED}};
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct speaker s;
		struct buf out = BUF_INIT;
		struct error err = {0};
		json_t *done = NULL;
		char answer[128];
		snprintf(answer, sizeof answer, "{\"row\":{}}\n{\"error\":{\"code\":\"%s\",\"text\":\"%s 안 됨\"}}\n",
			rows[i].code, rows[i].code);
		speaker_open(&s, answer);
		assert_int_equal(question(&s, &out, &done, &err), rows[i].err);
		assert_null(done);
		assert_int_equal(err.code, rows[i].err);
		assert_non_null(strstr(err.text, "안 됨"));
		speaker_close(&s);
		buf_finish(&out);
	}
}

static void an_answer_without_an_end(void **state)
{
	// Not ERR_CLOSED: that would say that the server is stopped, and its files free to change.
	static const char *const answers[] = {"", "{\"row\":{}}\n", "{\"done\":{}}", "nonsense\n\n[]\nnull\n",
		"{\"done\":{}\n"};
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(answers); i++) {
		struct speaker s;
		struct buf out = BUF_INIT;
		struct error err = {0};
		json_t *done = NULL;
		speaker_open(&s, answers[i]);
		assert_int_equal(question(&s, &out, &done, &err), ERR_UNAVAILABLE);
		assert_null(done);
		assert_non_null(strstr(err.text, "mid answer"));
		speaker_close(&s);
		buf_finish(&out);
	}
}

static void an_answer_before_the_question(void **state)
{
	(void)state;
	for (int i = 0; i < 20; i++) { // closed before, while or after we write
		struct speaker s;
		struct buf out = BUF_INIT;
		struct error err = {0};
		speaker_open(&s, "{\"error\":{\"code\":\"busy\",\"text\":\"too many\"}}\n");
		s.reads = false;
		assert_int_equal(question(&s, &out, NULL, &err), ERR_UNAVAILABLE);
		assert_string_equal(err.text, "too many");
		speaker_close(&s);
		buf_finish(&out);
	}
}

static void an_answer_that_never_comes(void **state)
{
	struct speaker s;
	struct error err = {0};
	(void)state;
	speaker_open(&s, "{\"row\":{}}\n");
	s.stays = true;
	speaker_start(&s);
	assert_int_equal(control_request(s.folder, "status", NULL, NULL, NULL, 50, NULL, &err), ERR_TIMEOUT);
	assert_non_null(strstr(err.text, "does not answer"));
	speaker_close(&s);
}

static void a_line_without_end(void **state)
{
	static char text[65536];
	struct speaker s;
	struct buf out = BUF_INIT;
	struct error err = {0};
	(void)state;
	memset(text, 'x', sizeof text - 1);
	speaker_open(&s, text);
	s.times = 300;
	assert_int_equal(question(&s, &out, NULL, &err), ERR_LIMIT);
	speaker_close(&s);
	buf_finish(&out);
}

// ---- nobody there
static void nobody_serves(void **state)
{
	char folder[64], path[80];
	struct error err = {0};
	struct sockaddr_un at = {.sun_family = AF_UNIX};
	(void)state;
	world_folder(folder);
	snprintf(path, sizeof path, "%s/master.sock", folder);
	assert_int_equal(control_request(folder, "status", NULL, NULL, NULL, 1000, NULL, &err), ERR_CLOSED);
	assert_non_null(strstr(err.text, "the server is not running"));
	assert_non_null(strstr(err.text, path));
	// The socket file of one that was killed.
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	strcpy(at.sun_path, path);
	assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof at), 0);
	close(fd);
	assert_int_equal(control_request(folder, "status", NULL, NULL, NULL, 1000, NULL, &err), ERR_CLOSED);
	unlink(path);
	rmdir(folder);
	assert_int_equal(control_request("/nowhere", "queue list", NULL, NULL, NULL, 1000, NULL, &err),
		ERR_CLOSED);
}

static void what_cannot_be_asked(void **state)
{
	char folder[200];
	struct error err = {0};
	(void)state;
	memset(folder, 'a', sizeof folder - 1);
	folder[0] = '/';
	folder[sizeof folder - 1] = '\0';
	assert_int_equal(control_request(folder, "status", NULL, NULL, NULL, 1000, NULL, &err), ERR_LIMIT);
	assert_int_equal(control_request("/", "eat", NULL, NULL, NULL, 1000, NULL, &err), ERR_UNSUPPORTED);
	assert_non_null(strstr(err.text, "\"eat\""));
}

// ---- without a server
struct later {
	uv_timer_t timer;
	struct control_call *call;
	unsigned left;
};

static void give_next(void *arg);

static void on_later(uv_timer_t *timer)
{
	struct later *l = timer->data;
	control_row(l->call, json_pack("{s:i}", "left", (int)l->left));
	control_when_read(l->call, give_next, l);
}

static void give_next(void *arg)
{
	struct later *l = arg;
	assert_false(control_is_gone(l->call));
	if (l->left-- > 0) {
		uv_timer_start(&l->timer, on_later, 1, 0);
		return;
	}
	control_done(l->call, json_pack("{s:i}", "uid", (int)control_peer_uid(l->call)));
	uv_close((uv_handle_t *)&l->timer, NULL);
}

static void run_later(struct control_call *call, const json_t *arguments, void *arg)
{
	struct later *l = arg;
	(void)arguments;
	l->call = call;
	l->left = 3;
	give_next(l);
}

static void run_never(struct control_call *call, const json_t *arguments, void *arg)
{
	(void)call;
	(void)arguments;
	(void)arg;
}

static void run_refuse(struct control_call *call, const json_t *arguments, void *arg)
{
	(void)arg;
	control_fail(call, "exists", "%s is there",
		json_string_value(json_object_get(arguments, "name")));
}

static const struct control_handler handlers[] = {{"later", run_later}, {"never", run_never},
	{"refuse", run_refuse}};

static void in_this_process(void **state)
{
	uv_loop_t loop;
	struct later later = {0};
	struct buf rows = BUF_INIT;
	struct error err = {0};
	json_t *done = NULL, *arguments = json_pack("{s:s}", "name", "김");
	(void)state;
	uv_loop_init(&loop);
	uv_timer_init(&loop, &later.timer);
	later.timer.data = &later;
	assert_int_equal(control_local(&loop, handlers, 3, &later, "later", NULL, note_row, &rows, &done,
		&err), 0);
	assert_string_equal(buf_cstr(&rows), "{\"left\":2} {\"left\":1} {\"left\":0} ");
	assert_int_equal(json_integer_value(json_object_get(done, "uid")), getuid());
	json_decref(done);
	assert_int_equal(control_local(&loop, handlers, 3, NULL, "refuse", arguments, NULL, NULL, NULL, &err),
		ERR_EXISTS);
	assert_string_equal(err.text, "김 is there");
	assert_int_equal(control_local(&loop, handlers, 3, NULL, "eat", NULL, NULL, NULL, NULL, &err),
		ERR_UNSUPPORTED);
	assert_int_equal(control_local(&loop, handlers, 3, NULL, "never", NULL, NULL, NULL, NULL, &err),
		ERR_UNAVAILABLE);
	uv_run(&loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&loop), 0);
	json_decref(arguments);
	buf_finish(&rows);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rows_and_the_end),
		cmocka_unit_test(what_is_asked),
		cmocka_unit_test(errors_keep_code_and_words),
		cmocka_unit_test(an_answer_without_an_end),
		cmocka_unit_test(an_answer_before_the_question),
		cmocka_unit_test(an_answer_that_never_comes),
		cmocka_unit_test(a_line_without_end),
		cmocka_unit_test(nobody_serves),
		cmocka_unit_test(what_cannot_be_asked),
		cmocka_unit_test(in_this_process),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
