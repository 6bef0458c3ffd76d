/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * Secrets: the node's private log ID, the domain's, those given to Start, tokens and passwords. They are
 * read and made here and nowhere else, kept no longer than needed, and wiped.
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
	struct log_identity node;	 /* as configured, but for a domain that Start gave */
	struct log_id configured_domain; /* private; zeros: none */
	struct log_id public_id;
	struct log_id domain_public_id; /* zeros: none */
	int ids_fd;			/* <upload>/ids */
	struct broker *broker;		/* borrowed */
};

/*
 * Reads the node's IDs; makes the private one (mode 0600) when its file isn't there. 0 or -errno, with a
 * reason for people that holds no secret (owned by the caller).
 */
int credentials_new(const struct config *config, int upload_fd, struct broker *broker,
		    struct credentials **ret_credentials, char **ret_reason);
/* Wipes all of it. */
void credentials_free(struct credentials *credentials);
DEFINE_CLEANUP(struct credentials *, credentials_free);

/* Exchanges what two hold, for those who keep a pointer to one of them. */
void credentials_swap(struct credentials *a, struct credentials *b);

/*
 * The domain's private ID (hex; NULL: the configured one, or none) for what is sent from now on, until the
 * next call. 0 or -EINVAL.
 */
int credentials_set_domain(struct credentials *credentials, const char *domain_text);
/*
 * Keeps an identity that was given to Start, in <upload>/ids, to deliver its messages later too. Texts are
 * hex; domain may be NULL. 0, -EINVAL when a text is no private ID, or -errno.
 */
int credentials_keep(struct credentials *credentials, const char *node_text, const char *domain_text,
		     struct log_id *ret_public_id);
/*
 * The identity behind a public ID; zeros name the node's own. 0, -ENOENT when it isn't known here, or
 * -errno. To be wiped by the caller: log_identity_wipe().
 */
int credentials_find(const struct credentials *credentials, const struct log_id *public_id,
		     struct log_identity *ret_identity);
void log_identity_wipe(struct log_identity *identity);

/*
 * The first line of a file that only its owner may read, at most 4096 bytes, without the newline. 0, -EPERM
 * if others may read it, -EINVAL when it is empty or holds control characters. Released by secret_free().
 */
int secret_read_file(struct broker *broker, const char *path, char **ret_secret);
/* Overwrites a text and frees it. Takes NULL. */
void secret_free(char *secret);
DEFINE_CLEANUP(char *, secret_free);
