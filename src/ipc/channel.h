// SPDX-License-Identifier: ISC
// One connection between two roles: frames and descriptors over a Unix stream socket,
// many frames a system call in both directions.
#ifndef PABAL_IPC_CHANNEL_H
#define PABAL_IPC_CHANNEL_H

#include "base/error.h"
#include "ipc/messages.h"

#include <uv.h>

#define IPC_FRAME_MAX ((size_t)1024 * 1024) // a body of 64 KiB, headers and 1000 recipients fit
#define IPC_UNSENT_MAX ((size_t)64 * 1024 * 1024)

struct ipc_channel;

// A frame arrived. fd is -1 or a descriptor that now belongs to the callee; -1 also when one was
// sent and this process had no number free for it. Closing the channel inside the callback is
// allowed.
typedef void (*ipc_on_frame)(struct ipc_channel *ch, void *arg, unsigned type, struct str body, int fd);
// The other end is gone or broke the protocol: the descriptor is closed, sending gives ERR_CLOSED,
// and the owner still has to call ipc_channel_close (here or later). Called once, from the loop,
// after every frame that had arrived; not after ipc_channel_close by our own side.
typedef void (*ipc_on_close)(struct ipc_channel *ch, void *arg);

// Takes fd (non-blocking from now on). The channel lives until ipc_channel_close; its memory
// is freed from the loop after that.
struct ipc_channel *ipc_channel_open(uv_loop_t *loop, int fd, ipc_on_frame on_frame,
	ipc_on_close on_close, void *arg);
void ipc_channel_close(struct ipc_channel *ch); // NULL is fine; unsent frames are dropped
void *ipc_channel_arg(const struct ipc_channel *ch);
// Queues a frame; all frames of one loop turn go out together, and an event with the next other
// frame or 20 ms later. fd: -1, or a descriptor that is
// duplicated (the caller keeps its own). ERR_LIMIT: body too large; ERR_CLOSED; ERR_SYSTEM: no
// descriptor left; ERR_FULL: the peer does not read and IPC_UNSENT_MAX octets wait.
int ipc_channel_send(struct ipc_channel *ch, unsigned type, struct str body, int fd);
void ipc_channel_flush(struct ipc_channel *ch); // now, as far as the socket takes it
size_t ipc_channel_unsent(const struct ipc_channel *ch); // octets waiting: for back-pressure
// Stops and starts reading (a slow consumer pushes back on its peer).
void ipc_channel_pause(struct ipc_channel *ch, bool paused);
// Blocking helpers for the start of a role, before it has a loop: reads or writes exactly one
// frame and nothing of the next. *out_fd is -1 when none came. ERR_CLOSED, ERR_CORRUPT, ERR_LIMIT.
int ipc_receive_blocking(int socket, unsigned *out_type, struct buf *body, int *out_fd);
int ipc_send_blocking(int socket, unsigned type, struct str body, int fd);

// ipc_send_NAME(channel, &message) and ipc_send_NAME_fd(channel, &message, fd).
#define IPC_SEND_PROTOTYPES(name) \
	int ipc_send_##name(struct ipc_channel *ch, const struct ipc_##name *m); \
	int ipc_send_##name##_fd(struct ipc_channel *ch, const struct ipc_##name *m, int fd);
IPC_MESSAGES(IPC_SEND_PROTOTYPES)
#undef IPC_SEND_PROTOTYPES

// Dispatch: a table indexed by type. A frame without a handler gives ERR_UNSUPPORTED, one whose body
// does not decode ERR_CORRUPT; fd is closed then, and the caller closes the channel (a peer role
// that speaks out of turn is broken). A handler owns fd and may rely on the body to decode.
typedef void (*ipc_handler)(void *arg, struct str body, int fd);
int ipc_dispatch(const ipc_handler table[IPC_TYPES], void *arg, unsigned type, struct str body, int fd);

#endif
