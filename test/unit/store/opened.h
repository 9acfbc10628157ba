// SPDX-License-Identifier: ISC
// A new store, open, for each test.
#ifndef PABAL_TEST_STORE_OPENED_H
#define PABAL_TEST_STORE_OPENED_H

#include "help.h"

static char *folder;
static struct store *s;

static int set_up(void **state)
{
	folder = make_folder();
	s = open_store(folder);
	return 0;
}

static int tear_down(void **state)
{
	store_close(s);
	remove_folder(folder);
	return 0;
}

#endif
