/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * Private log IDs: the node's, the domain's, and those given to Start. They are read and created here and
 * nowhere else, and wiped.
 */

#include "common/cleanup.h"
#include "common/log_id.h"

#include <stdbool.h>

struct broker;
struct config;

struct log_identity {
	struct log_id private_id;
	bool has_domain;
	struct log_id domain_private_id;
};

struct credentials {
	struct log_identity node;	 /* as configured, except for a domain given to Start */
	struct log_id configured_domain; /* private; zeros: none */
	struct log_id public_id;
	struct log_id domain_public_id; /* zeros: none */
	int ids_fd;			/* <upload>/ids */
};

/*
 * Reads the node's IDs; creates the private one (mode 0600) if its file is missing. 0 or -errno, with a
 * reason that holds no secret (owned by the caller; may be NULL).
 */
int credentials_new(const struct config *config, int upload_fd, struct broker *broker,
		    struct credentials **ret_credentials, char **ret_reason);
/* Wipes all of it. */
void credentials_free(struct credentials *credentials);
DEFINE_CLEANUP(struct credentials *, credentials_free);

/* Exchanges what two hold, for owners of a pointer to one of them. */
void credentials_swap(struct credentials *a, struct credentials *b);

/*
 * The domain's private ID (hex; NULL: the configured one, or none) for what is sent from now on, until the
 * next call; credentials_new() finds it again. 0, -EINVAL, or -errno if it could not be stored.
 */
int credentials_set_domain(struct credentials *credentials, const char *domain_text);
/*
 * Stores an identity that was given to Start in <upload>/ids, so that its messages can also be delivered
 * later. Texts are hex; domain may be NULL. 0, -EINVAL if a text is not a private ID, or -errno.
 */
int credentials_keep(struct credentials *credentials, const char *node_text, const char *domain_text,
		     struct log_id *ret_public_id);
/*
 * The identity of a public ID; zeros stand for the node's own. 0, -ENOENT if it is not known here, or -errno.
 * To be wiped by the caller: log_identity_wipe().
 */
int credentials_find(const struct credentials *credentials, const struct log_id *public_id,
		     struct log_identity *ret_identity);
void log_identity_wipe(struct log_identity *identity);
