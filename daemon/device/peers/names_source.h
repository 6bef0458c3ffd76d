/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * Follows the file that has the peers' names: it is looked at again and again, and read when it has changed.
 * A file that cannot be read for the moment leaves the names as they were; one that is gone has none.
 */

#include "common/cleanup.h"
#include "daemon/device/peers/names.h"

struct wg_names_source;

struct wg_names_options {
	const char *interface;
	const char *file;   /* NULL: that of wg-quick for the interface, if need be by the broker */
	const char *folder; /* NULL: WG_NAMES_FOLDER */
	const char *broker; /* its socket, NULL: none. It is not asked for `file` */
};

/* 0 or -ENOMEM; -EINVAL: not the name of an interface. */
int wg_names_source_new(const struct wg_names_options *options, struct wg_names_source **ret_source);
void wg_names_source_free(struct wg_names_source *source);
DEFINE_CLEANUP(struct wg_names_source *, wg_names_source_free);

/* Looks at the file. True if names have changed. */
bool wg_names_source_follow(struct wg_names_source *source);
const struct wg_names *wg_names_source_names(const struct wg_names_source *source);
/* Why there are none, or not those of the file as it is ("/etc/wireguard/wg0.conf: ..."); NULL: all is well,
 * also without a file, unless `file` names it. Owned by the source, and valid until it is looked at again. */
const char *wg_names_source_problem(const struct wg_names_source *source);

/* The broker's answer (broker.h) as it arrives. Zero-initialise. */
struct wg_names_answer {
	char line[WG_NAME_MAX + 64];
	size_t length;
	bool done;
	bool unchanged;
	bool has_key;
	uint8_t public_key[WG_PEERS_KEY_SIZE];
	int error;   /* the broker's errno */
	char *token; /* WG_NAMES_TOKEN_MAX bytes of the caller's */
};

/* 0, -ENOMEM, or -EBADMSG for anything that is not such an answer. Call wg_names_sort() when it is done. */
int wg_names_answer_feed(struct wg_names_answer *answer, const char *data, size_t n, struct wg_names *names);
