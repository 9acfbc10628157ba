// SPDX-License-Identifier: ISC
// Doubly linked list threaded through its members.
#ifndef PABAL_BASE_LIST_H
#define PABAL_BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct list {
	struct list *prev;
	struct list *next;
};

#define LIST_ENTRY(link, type, member) ((type *)((char *)(link) - offsetof(type, member)))
#define LIST_EACH(item, head) \
	for (struct list *item = (head)->next, *item##_next = item->next; item != (head); \
		item = item##_next, item##_next = item->next)

static inline void list_init(struct list *l)
{
	l->prev = l->next = l;
}

static inline bool list_empty(const struct list *l)
{
	return l->next == l;
}

static inline void list_add_last(struct list *head, struct list *item)
{
	item->prev = head->prev;
	item->next = head;
	head->prev->next = item;
	head->prev = item;
}

static inline void list_add_first(struct list *head, struct list *item)
{
	list_add_last(head->next, item);
}

// Safe on an item that is in no list (initialised or removed before).
static inline void list_remove(struct list *item)
{
	item->prev->next = item->next;
	item->next->prev = item->prev;
	list_init(item);
}

#endif
