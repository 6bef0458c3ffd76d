/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Log IDs from files, and those given to Start. Only the uploader keeps them; the daemon, which parses
 * packets and has capabilities, holds one no longer than it takes to pass it on.
 */

#include "daemon/upload/credentials/credentials.h"

#include "common/config/config.h"
#include "common/file.h"
#include "common/owner.h"
#include "daemon/upload/broker/broker.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#define IDS_DIRECTORY "ids"
/* Identities kept for later delivery; one takes about a hundred bytes. */
#define IDENTITIES_MAX 1024
#define DOMAIN_SUFFIX  ".domain"
/* The domain that was given to Start: this process may end before that run does. */
#define GIVEN_DOMAIN "given" DOMAIN_SUFFIX

static int load_id(struct broker *broker, const char *what, const char *path, struct log_id *ret_private,
		   char **ret_reason)
{
	_cleanup_close_ int fd = broker_open_log_id(broker, path);
	int r = fd < 0 ? fd : log_id_read_fd(fd, ret_private);
	_cleanup_free_ char *error = NULL;
	const char *reason;

	if (r >= 0)
		return r;
	error = owner_error_text(path, r);
	reason = r == -EPERM	? "users other than its owner can read it (set mode 0600)"
		 : r == -EINVAL ? "it does not hold a private log ID (64 hex digits)"
		 : error	? error
				: strerror(-r);
	if (asprintf(ret_reason, "%s %s: %s", what, path, reason) < 0)
		*ret_reason = NULL;
	return r;
}

static int parse_private(const char *text, struct log_id *ret_id)
{
	int r;

	r = log_id_parse(text, ret_id);
	if (r < 0)
		return r;
	return log_id_is_private(ret_id) ? 0 : -EINVAL;
}

static int write_id(int fd, const char *name, const struct log_id *id)
{
	char text[LOG_ID_TEXT_MAX];
	int r;

	log_id_format(id, text);
	text[LOG_ID_TEXT_MAX - 1] = '\n';
	r = file_write_atomic(fd, name, text, sizeof(text), 0600);
	explicit_bzero(text, sizeof(text));
	return r;
}

static int read_id(int fd, const char *name, struct log_id *ret_id)
{
	_cleanup_free_ char *text = NULL;
	size_t n = 0;
	mode_t mode = 0;
	int r;

	r = file_read(fd, name, LOG_ID_TEXT_MAX, &text, &n, &mode);
	if (r < 0)
		return r;
	if (n > 0 && text[n - 1] == '\n')
		text[n - 1] = '\0';
	r = mode & 077 ? -EPERM : parse_private(text, ret_id);
	explicit_bzero(text, n);
	return r;
}

static void use_domain(struct credentials *credentials, const struct log_id *id)
{
	credentials->node.domain_private_id = *id;
	credentials->node.has_domain = !log_id_is_zero(id);
	credentials->domain_public_id = (struct log_id){};
	if (credentials->node.has_domain)
		log_id_public(id, &credentials->domain_public_id);
}

static int load_given_domain(struct credentials *credentials, const struct config *config, char **ret_reason)
{
	struct log_id id = {};
	int r = read_id(credentials->ids_fd, GIVEN_DOMAIN, &id);

	if (r == -ENOENT)
		return 0;
	if (r < 0) {
		if (asprintf(ret_reason,
			     "domain log ID given to Start, %s/" IDS_DIRECTORY "/" GIVEN_DOMAIN ": %s",
			     config->upload_directory, strerror(-r)) < 0)
			*ret_reason = NULL;
		return r;
	}
	use_domain(credentials, &id);
	log_id_wipe(&id);
	return 0;
}

int credentials_new(const struct config *config, int upload_fd, struct broker *broker,
		    struct credentials **ret_credentials, char **ret_reason)
{
	_cleanup_(credentials_freep) struct credentials *credentials = calloc(1, sizeof(*credentials));
	struct log_identity *node;
	int r;

	*ret_reason = NULL;
	if (!credentials)
		return -ENOMEM;
	node = &credentials->node;
	credentials->ids_fd = -1;
	r = make_directory_at(upload_fd, IDS_DIRECTORY, 0700);
	if (r >= 0)
		r = credentials->ids_fd = open_directory_at(upload_fd, IDS_DIRECTORY);
	if (r < 0) {
		_cleanup_free_ char *path = NULL, *error = NULL;

		if (asprintf(&path, "%s/" IDS_DIRECTORY, config->upload_directory) < 0)
			path = NULL;
		error = path ? owner_error_text(path, r) : NULL;
		if (asprintf(ret_reason, "directory for log IDs, %s: %s", path ? path : IDS_DIRECTORY,
			     error ? error : strerror(-r)) < 0)
			*ret_reason = NULL;
		return r;
	}
	r = load_id(broker, "log ID file", config->log_id_file, &node->private_id, ret_reason);
	if (r < 0)
		return r;
	log_id_public(&node->private_id, &credentials->public_id);
	if (config->domain_log_id_file) {
		r = load_id(broker, "domain log ID file", config->domain_log_id_file,
			    &node->domain_private_id, ret_reason);
		if (r < 0)
			return r;
		credentials->configured_domain = node->domain_private_id;
		use_domain(credentials, &credentials->configured_domain);
	}
	r = load_given_domain(credentials, config, ret_reason);
	if (r < 0)
		return r;
	*ret_credentials = TAKE_PTR(credentials);
	return 0;
}

void credentials_free(struct credentials *credentials)
{
	if (!credentials)
		return;
	safe_close(credentials->ids_fd);
	explicit_bzero(credentials, sizeof(*credentials));
	free(credentials);
}

void credentials_swap(struct credentials *a, struct credentials *b)
{
	struct credentials copy = *a;

	*a = *b;
	*b = copy;
	explicit_bzero(&copy, sizeof(copy));
}

int credentials_set_domain(struct credentials *credentials, const char *domain_text)
{
	struct log_id id = credentials->configured_domain;
	int r = domain_text ? parse_private(domain_text, &id) : 0;

	if (r < 0)
		return r;
	use_domain(credentials, &id);
	if (domain_text)
		r = write_id(credentials->ids_fd, GIVEN_DOMAIN, &id);
	else if (unlinkat(credentials->ids_fd, GIVEN_DOMAIN, 0) < 0 && errno != ENOENT)
		r = -errno;
	log_id_wipe(&id);
	return r;
}

/* 0; -ENOSPC when there are enough of them; or -errno. */
static int check_room(int fd)
{
	size_t n = 0;
	int r, copy = open_directory_at(fd, ".");
	DIR *directory = copy < 0 ? NULL : fdopendir(copy);

	if (!directory) {
		r = copy < 0 ? copy : -errno;
		safe_close(copy);
		return r;
	}
	errno = 0;
	while (readdir(directory))
		n++;
	r = errno != 0 ? -errno : n < IDENTITIES_MAX ? 0 : -ENOSPC;
	closedir(directory);
	return r;
}

int credentials_keep(struct credentials *credentials, const char *node_text, const char *domain_text,
		     struct log_id *ret_public_id)
{
	_cleanup_(log_identity_wipe) struct log_identity identity = {.has_domain = domain_text != NULL};
	char name[LOG_ID_TEXT_MAX + sizeof(DOMAIN_SUFFIX)];
	struct log_id public_id;
	int r;

	r = parse_private(node_text, &identity.private_id);
	if (r == 0 && domain_text)
		r = parse_private(domain_text, &identity.domain_private_id);
	if (r < 0)
		return r;
	if (!domain_text && !log_id_is_zero(&credentials->configured_domain)) {
		identity.domain_private_id = credentials->configured_domain;
		identity.has_domain = true;
	}
	r = check_room(credentials->ids_fd);
	if (r < 0)
		return r;
	log_id_public(&identity.private_id, &public_id);
	log_id_format(&public_id, name);
	/* The domain first: an identity is complete once its own file exists. */
	memcpy(name + LOG_ID_TEXT_MAX - 1, DOMAIN_SUFFIX, sizeof(DOMAIN_SUFFIX));
	if (identity.has_domain)
		r = write_id(credentials->ids_fd, name, &identity.domain_private_id);
	else if (unlinkat(credentials->ids_fd, name, 0) < 0 && errno != ENOENT)
		r = -errno;
	if (r < 0)
		return r;
	name[LOG_ID_TEXT_MAX - 1] = '\0';
	r = write_id(credentials->ids_fd, name, &identity.private_id);
	if (r == 0)
		*ret_public_id = public_id;
	return r;
}

int credentials_find(const struct credentials *credentials, const struct log_id *public_id,
		     struct log_identity *ret_identity)
{
	_cleanup_(log_identity_wipe) struct log_identity identity = {};
	char name[LOG_ID_TEXT_MAX + sizeof(DOMAIN_SUFFIX)];
	int r;

	if (log_id_is_zero(public_id) ||
	    memcmp(public_id, &credentials->public_id, sizeof(*public_id)) == 0) {
		*ret_identity = credentials->node;
		return 0;
	}
	log_id_format(public_id, name);
	r = read_id(credentials->ids_fd, name, &identity.private_id);
	if (r < 0)
		return r;
	memcpy(name + LOG_ID_TEXT_MAX - 1, DOMAIN_SUFFIX, sizeof(DOMAIN_SUFFIX));
	r = read_id(credentials->ids_fd, name, &identity.domain_private_id);
	if (r < 0 && r != -ENOENT)
		return r;
	identity.has_domain = r == 0;
	*ret_identity = identity;
	return 0;
}

void log_identity_wipe(struct log_identity *identity)
{
	explicit_bzero(identity, sizeof(*identity));
}
