/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Secrets from files. The uploader alone handles them, so that the collector, which parses packets and has
 * capabilities, never holds one for longer than it takes to pass it on.
 */

#include "daemon/upload/broker/credentials.h"

#include "common/config/config.h"
#include "common/file.h"
#include "daemon/upload/broker/broker.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#define SECRET_SIZE_MAX 4096
/* Identities kept for later delivery; one is some hundred bytes. */
#define IDENTITIES_MAX 1024
#define DOMAIN_SUFFIX  ".domain"

static int load_id(struct broker *broker, const char *path, struct log_id *ret_private)
{
	_cleanup_close_ int fd = broker_open_log_id(broker, path);

	return fd < 0 ? fd : log_id_read_fd(fd, ret_private);
}

static const char *explain(int error)
{
	switch (error) {
	case -EPERM:
		return "others than its owner may read it (make it mode 0600)";
	case -EINVAL:
		return "it does not hold a private log ID (64 hex digits)";
	default:
		return strerror(-error);
	}
}

static int load_ids(struct credentials *credentials, const struct config *config, char **ret_reason)
{
	int r;

	r = load_id(credentials->broker, config->log_id_file, &credentials->node.private_id);
	if (r < 0) {
		if (asprintf(ret_reason, "log ID file %s: %s", config->log_id_file, explain(r)) < 0)
			*ret_reason = NULL;
		return r;
	}
	log_id_public(&credentials->node.private_id, &credentials->public_id);
	if (!config->domain_log_id_file)
		return 0;
	r = load_id(credentials->broker, config->domain_log_id_file, &credentials->node.domain_private_id);
	if (r < 0) {
		if (asprintf(ret_reason, "domain log ID file %s: %s", config->domain_log_id_file,
			     explain(r)) < 0)
			*ret_reason = NULL;
		return r;
	}
	credentials->node.has_domain = true;
	credentials->configured_domain = credentials->node.domain_private_id;
	log_id_public(&credentials->node.domain_private_id, &credentials->domain_public_id);
	return 0;
}

int credentials_new(const struct config *config, int upload_fd, struct broker *broker,
		    struct credentials **ret_credentials, char **ret_reason)
{
	_cleanup_(credentials_freep) struct credentials *credentials = calloc(1, sizeof(*credentials));
	int r;

	*ret_reason = NULL;
	if (!credentials)
		return -ENOMEM;
	credentials->ids_fd = -1;
	credentials->broker = broker;
	if (mkdirat(upload_fd, "ids", 0700) < 0 && errno != EEXIST) {
		r = -errno;
		if (asprintf(ret_reason, "directory for log IDs: %s", strerror(-r)) < 0)
			*ret_reason = NULL;
		return r;
	}
	credentials->ids_fd = openat(upload_fd, "ids", O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (credentials->ids_fd < 0)
		return -errno;
	r = load_ids(credentials, config, ret_reason);
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

static int parse_private(const char *text, struct log_id *ret_id)
{
	int r;

	r = log_id_parse(text, ret_id);
	if (r < 0)
		return r;
	return log_id_is_private(ret_id) ? 0 : -EINVAL;
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
	credentials->node.domain_private_id = id;
	credentials->node.has_domain = !log_id_is_zero(&id);
	credentials->domain_public_id = (struct log_id){};
	if (credentials->node.has_domain)
		log_id_public(&id, &credentials->domain_public_id);
	log_id_wipe(&id);
	return 0;
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

static bool has_room(int fd)
{
	size_t n = 0;
	int copy = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *directory = copy < 0 ? NULL : fdopendir(copy);

	if (!directory) {
		safe_close(copy);
		return false;
	}
	while (readdir(directory))
		n++;
	closedir(directory);
	return n < IDENTITIES_MAX;
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
	if (!has_room(credentials->ids_fd))
		return -ENOSPC;
	log_id_public(&identity.private_id, &public_id);
	log_id_format(&public_id, name);
	/* The domain first: the identity is complete once its own file is there. */
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

int secret_read_file(struct broker *broker, const char *path, char **ret_secret)
{
	_cleanup_close_ int fd = broker_open_secret(broker, path);
	_cleanup_(secret_freep) char *secret = NULL;
	size_t n = 0;
	mode_t mode = 0;
	int r;

	if (fd < 0)
		return fd;
	r = file_read_fd(fd, SECRET_SIZE_MAX, &secret, &n, &mode);
	if (r < 0)
		return r;
	if (mode & 077)
		return -EPERM;
	if (n > 0 && secret[n - 1] == '\n')
		secret[--n] = '\0';
	if (n > 0 && secret[n - 1] == '\r')
		secret[--n] = '\0';
	if (n == 0)
		return -EINVAL;
	/* It goes into a header line, where a line break would begin the next one. */
	for (size_t i = 0; i < n; i++)
		if ((unsigned char)secret[i] < 0x20 || secret[i] == 0x7f)
			return -EINVAL;
	*ret_secret = TAKE_PTR(secret);
	return 0;
}

void secret_free(char *secret)
{
	if (!secret)
		return;
	explicit_bzero(secret, strlen(secret));
	free(secret);
}
