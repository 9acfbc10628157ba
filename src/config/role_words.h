// SPDX-License-Identifier: ISC
// The roles in short, for the tables of settings and blocks.
#ifndef PABAL_CONFIG_ROLE_WORDS_H
#define PABAL_CONFIG_ROLE_WORDS_H

#include "config/config.h"

#define MASTER	 CONFIG_FOR_MASTER
#define SMTPD	 CONFIG_FOR_SMTPD
#define AUTH	 CONFIG_FOR_AUTH
#define QUEUE	 CONFIG_FOR_QUEUE
#define SENDER	 CONFIG_FOR_SENDER
#define RESOLVER CONFIG_FOR_RESOLVER
#define LOCAL	 CONFIG_FOR_LOCAL
#define SOURCE	 CONFIG_FOR_SOURCE
#define CHECKER	 CONFIG_FOR_CHECKER
#define ALL	 CONFIG_FOR_ALL

#define FOREIGN (MASTER | AUTH | SOURCE | CHECKER)

#endif
