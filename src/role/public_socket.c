// SPDX-License-Identifier: ISC
// The socket on which other programs check passwords: opened at the start, and moved, given to
// another group or removed by a reload. Role auth accepts on it.
#include "role/master_internal.h"

#include "base/event.h"
#include "base/file.h"
#include "base/text.h"
#include "ipc/channel.h"
#include "net/listener.h"

#include <errno.h>
#include <grp.h>
#include <unistd.h>

static struct public_socket described(const struct config *config)
{
	struct public_socket s = {.fd = -1};
	str_copy(config->auth.public_socket, s.path, sizeof s.path);
	str_copy(config->auth.public_group, s.group, sizeof s.group);
	return s;
}

int public_socket_prepare(struct master *m, const struct config *config, struct error *err)
{
	struct str path = config->auth.public_socket;
	m->next_public = described(config);
	if (path.len >= sizeof m->next_public.path)
		return error_set(err, ERR_LIMIT, TEXT("the path of public-socket is too long: %.*s"),
			STR_ARG(path));
	if (path.len == 0 || (m->public.fd >= 0 && !strcmp(m->public.path, m->next_public.path)))
		return 0;
	return listener_open_unix(m->next_public.path, 0660, &m->next_public.fd, err);
}

static void close_and_remove(struct public_socket *s)
{
	if (s->fd < 0)
		return;
	(void)unlink(s->path);
	fd_close(&s->fd);
}

void public_socket_abandon(struct master *m)
{
	close_and_remove(&m->next_public);
}

void public_socket_close(struct master *m)
{
	close_and_remove(&m->public);
}

static void give_to_group(const struct public_socket *s)
{
	const struct group *group = s->group[0] ? getgrnam(s->group) : NULL;
	if (s->group[0] && !group)
		event_report(EVENT_WARNING, "config", "there is no group %s: nobody gets the right to use %s",
			s->group, s->path);
	// Also back to our own, when the setting was taken away.
	if (chown(s->path, (uid_t)-1, group ? group->gr_gid : getegid()) < 0)
		event_report(EVENT_WARNING, "config", "cannot give %s to group %s: %s", s->path, s->group,
			strerror(errno));
}

void public_socket_send(struct master *m, struct child *c)
{
	struct ipc_folder folder = {.name = STR("auth-client")};
	if (m->public.fd >= 0)
		(void)ipc_send_folder_fd(c->channel, &folder, m->public.fd);
}

void public_socket_take(struct master *m)
{
	struct public_socket *now = &m->public, *next = &m->next_public;
	struct child *auth = family_child(m, "auth", 0);
	if (next->fd < 0 && next->path[0]) { // the same one
		if (strcmp(now->group, next->group)) {
			memcpy(now->group, next->group, sizeof now->group);
			give_to_group(now);
		}
		return;
	}
	close_and_remove(now);
	*now = *next;
	next->fd = -1;
	if (now->fd < 0)
		return; // auth sees that in its configuration
	if (now->group[0])
		give_to_group(now);
	if (auth && auth->channel)
		public_socket_send(m, auth);
}
