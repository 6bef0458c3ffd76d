/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Landlock's rules are for files, not for names: a link that is turned to another file, a file that is
 * replaced, and a directory that is made anew are no longer what was allowed. So each name is followed again,
 * by opening it. Watching (inotify) would not do: of a chain of links each part can change; a mount over one
 * of them, another client of a network file system and the lower layers of an overlay cause no event.
 */

#include "daemon/upload/sandbox/system_files.h"

#include "common/cleanup.h"

#include <curl/curl.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Directories of certificates: how far down, and how much of them, is looked at. */
#define DEPTH_MAX   3
#define ENTRIES_MAX 4096

static const char *const names[] = {
	"/etc/resolv.conf",	"/etc/hosts",	  "/etc/nsswitch.conf",	  "/etc/host.conf", "/etc/gai.conf",
	"/etc/services",	"/etc/protocols", "/etc/localtime",	  "/etc/ssl",	    "/etc/pki",
	"/etc/ca-certificates", "/etc/pkcs11",	  "/etc/crypto-policies", "/etc/gnutls",
};

/*
 * What holds or is certificates, in Debian's, Fedora's, SUSE's, Arch's and Alpine's places, and the settings
 * of TLS libraries. In some systems all of their entries are links: to /usr/share, /var/lib/ca-certificates,
 * /etc/static and /nix/store, /usr/local, or wherever an administrator keeps an authority of his own.
 */
static const char *const certificates[] = {
	"/etc/ssl/certs",
	"/etc/ssl/cert.pem",
	"/etc/ssl/ca-bundle.pem",
	"/etc/ssl/openssl.cnf",
	"/etc/pki/tls",
	"/etc/pki/ca-trust/extracted",
	"/etc/ca-certificates/extracted",
	"/etc/crypto-policies/back-ends",
	"/var/lib/ca-certificates",
};

/* Where libcurl as it is patched in some systems looks first. */
static const char *const variables[] = {"SSL_CERT_FILE", "SSL_CERT_DIR", "NIX_SSL_CERT_FILE",
					"CURL_CA_BUNDLE"};

struct walk {
	system_files_fn *visit;
	void *userdata;
	unsigned int left; /* entries that may still be visited */
};

/* A name, and what stands in the directory that it leads to. */
static int visit_tree(struct walk *walk, const char *path, unsigned int depth)
{
	DIR *directory;
	const struct dirent *entry;
	int r = walk->visit(path, walk->userdata);

	directory = r == 0 && depth > 0 ? opendir(path) : NULL;
	if (!directory)
		return r;
	while (r == 0 && walk->left > 0 && (entry = readdir(directory))) {
		_cleanup_free_ char *below = NULL;

		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0 ||
		    entry->d_type == DT_REG)
			continue;
		walk->left--;
		if (asprintf(&below, "%s/%s", path, entry->d_name) < 0) {
			below = NULL;
			r = -ENOMEM;
			break;
		}
		r = visit_tree(walk, below, depth - 1);
	}
	closedir(directory);
	return r;
}

int system_files_visit(bool links, system_files_fn *visit, void *userdata)
{
	const curl_version_info_data *curl = curl_version_info(CURLVERSION_NOW);
	const char *of_curl[] = {curl->cainfo, curl->capath};
	struct walk walk = {visit, userdata, ENTRIES_MAX};
	unsigned int depth = links ? DEPTH_MAX : 0;
	int r = 0;

	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(names); i++)
		r = visit(names[i], userdata);
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(certificates); i++)
		r = visit_tree(&walk, certificates[i], depth);
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(of_curl); i++)
		if (of_curl[i])
			r = visit_tree(&walk, of_curl[i], depth);
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(variables); i++) {
		const char *path = getenv(variables[i]);

		if (path && *path == '/')
			r = visit_tree(&walk, path, depth);
	}
	return r;
}

struct forbidden {
	uint64_t sum;
	char *path; /* the first */
};

/* FNV-1a (RFC 9923): equal sums are no more than a restart that does not happen. */
static uint64_t hash(uint64_t sum, const void *data, size_t size)
{
	for (size_t i = 0; i < size; i++)
		sum = (sum ^ ((const unsigned char *)data)[i]) * UINT64_C(0x100000001b3);
	return sum;
}

static int add_forbidden(const char *path, void *userdata)
{
	struct forbidden *forbidden = userdata;
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	uint64_t sum = UINT64_C(0xcbf29ce484222325);
	struct stat st;

	if (fd >= 0 || errno != EACCES)
		return 0;
	/* Landlock forbids opening; the file's own rights, which nothing here can change, answer this. */
	if (faccessat(AT_FDCWD, path, R_OK, AT_EACCESS) < 0 || stat(path, &st) < 0)
		return 0;
	sum = hash(sum, path, strlen(path));
	sum = hash(sum, &st.st_dev, sizeof(st.st_dev));
	sum = hash(sum, &st.st_ino, sizeof(st.st_ino));
	/* A sum, since a directory's entries come in any order. */
	forbidden->sum += sum | 1;
	if (!forbidden->path)
		forbidden->path = strdup(path);
	return 0;
}

uint64_t system_files_forbidden(bool links, char **ret_path)
{
	struct forbidden forbidden = {};

	(void)system_files_visit(links, add_forbidden, &forbidden);
	if (ret_path)
		*ret_path = TAKE_PTR(forbidden.path);
	free(forbidden.path);
	return forbidden.sum;
}
