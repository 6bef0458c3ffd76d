/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * Long lists as the control interface shows them: a copy of the moment, which is then written item by item,
 * so that neither the logger's thread nor the loop does much work at once.
 */

#include "common/cleanup.h"

#include <stddef.h>

struct buffer;
struct logger;

enum logger_list_kind {
	LOGGER_LIST_ROUTES, /* RouteEntry */
	LOGGER_LIST_PEERS,  /* PeerStatus */
	LOGGER_LIST_NODES,  /* Node */
};

struct logger_list;

/* On the logger's thread. 0 or -ENOMEM. */
int logger_list_new(struct logger *logger, enum logger_list_kind kind, struct logger_list **ret_list);
void logger_list_free(struct logger_list *list);
DEFINE_CLEANUP(struct logger_list *, logger_list_free);

size_t logger_list_length(const struct logger_list *list);
/* Appends item i as a JSON object: one after the other, from the first. */
void logger_list_write(struct logger_list *list, size_t i, struct buffer *text);
