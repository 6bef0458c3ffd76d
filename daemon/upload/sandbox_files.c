/*
 * Which files the uploader may reach (landlock, https://docs.kernel.org/userspace-api/landlock.html): it
 * writes its own directory and those of file sinks, and reads what it was told to and what finding a server
 * takes. /etc as a whole, because resolv.conf is replaced by another file whenever the network changes.
 */

#include "daemon/upload/sandbox.h"

#include "common/address.h"
#include "common/cleanup.h"
#include "common/config.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Of newer kernels than the build's headers (include/uapi/linux/landlock.h there). */
#define ACCESS_FS_REFER	    (UINT64_C(1) << 13) /* ABI 2 */
#define ACCESS_FS_TRUNCATE  (UINT64_C(1) << 14) /* ABI 3 */
#define ACCESS_FS_IOCTL_DEV (UINT64_C(1) << 15) /* ABI 5 */
#define ACCESS_NET_BIND_TCP (UINT64_C(1) << 0)	/* ABI 4 */
#define RULE_NET_PORT	    2
#define SCOPE_ABSTRACT_UNIX (UINT64_C(1) << 0) /* ABI 6 */
#define SCOPE_SIGNAL	    (UINT64_C(1) << 1)

#define ACCESS_FS_ABI_1 ((UINT64_C(1) << 13) - 1)
#define ACCESS_READ	(LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)
#define ACCESS_WRITE                                                                                         \
	(ACCESS_READ | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_REMOVE_DIR |                       \
	 LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_MAKE_REG |        \
	 ACCESS_FS_REFER | ACCESS_FS_TRUNCATE)

struct ruleset_attributes {
	uint64_t handled_access_fs;
	uint64_t handled_access_net;
	uint64_t scoped;
};

struct net_port_attributes {
	uint64_t allowed_access;
	uint64_t port;
};

/* A path that the configuration needs; a file stands for its directory, since files are replaced. */
struct need {
	const char *path;
	bool is_file;
	bool write;
};

#define NEEDS_MAX 512

struct needs {
	struct need items[NEEDS_MAX];
	size_t n;
};

static void add(struct needs *needs, const char *path, bool is_file, bool write)
{
	if (path && needs->n < NEEDS_MAX)
		needs->items[needs->n++] = (struct need){path, is_file, write};
}

static void collect(const struct config *config, struct needs *needs)
{
	add(needs, config->file, true, false);
	add(needs, config->upload_directory, false, true);
	add(needs, config->spool_directory, false, false);
	add(needs, config->log_id_file, true, true);
	add(needs, config->domain_log_id_file, true, true);
	for (size_t i = 0; i < config->n_sinks; i++) {
		const struct sink_config *sink = &config->sinks[i];

		add(needs, sink->path, true, true);
		add(needs, sink->bearer_token_file, true, false);
		add(needs, sink->password_file, true, false);
		add(needs, sink->ca_file, true, false);
		add(needs, sink->cert_file, true, false);
		add(needs, sink->key_file, true, false);
	}
}

/* Length of the directory's part. */
static size_t directory_length(const struct need *need)
{
	const char *slash = need->is_file ? strrchr(need->path, '/') : NULL;

	if (!need->is_file)
		return strlen(need->path);
	return slash ? MAX((size_t)(slash - need->path), (size_t)1) : 0;
}

static bool covers(const struct need *have, const struct need *wanted)
{
	size_t n = directory_length(have), m = directory_length(wanted);

	if (wanted->write && !have->write)
		return false;
	if (n > m || strncmp(have->path, wanted->path, n) != 0)
		return false;
	return n == m || wanted->path[n] == '/' || n == 1;
}

static uint16_t metrics_port(const struct config *config)
{
	struct endpoint endpoint;

	if (!config->metrics_listen || endpoint_parse(config->metrics_listen, &endpoint) < 0)
		return 0;
	return endpoint.port;
}

bool sandbox_needs_restart(const struct config *old, const struct config *new)
{
	_cleanup_free_ struct needs *have = calloc(1, sizeof(*have)), *want = calloc(1, sizeof(*want));

	if (!have || !want)
		return true;
	collect(old, have);
	collect(new, want);
	for (size_t i = 0; i < want->n; i++) {
		bool covered = false;

		for (size_t j = 0; !covered && j < have->n; j++)
			covered = covers(&have->items[j], &want->items[i]);
		if (!covered)
			return true;
	}
	return metrics_port(new) != 0 && metrics_port(new) != metrics_port(old);
}

/* What isn't there can't be allowed, and is needed by nobody. */
static int allow(int ruleset_fd, uint64_t handled, const char *path, uint64_t access)
{
	_cleanup_close_ int fd = open(path, O_PATH | O_CLOEXEC);
	struct landlock_path_beneath_attr rule = {.allowed_access = access & handled, .parent_fd = fd};
	struct stat st;

	if (fd < 0)
		return errno == ENOENT || errno == ENOTDIR || errno == EACCES ? 0 : -errno;
	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISDIR(st.st_mode))
		rule.allowed_access &=
			LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE | ACCESS_FS_TRUNCATE;
	if (syscall(SYS_landlock_add_rule, ruleset_fd, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) < 0)
		return -errno;
	return 0;
}

static int allow_need(int ruleset_fd, uint64_t handled, const struct need *need)
{
	_cleanup_free_ char *directory = strndup(need->path, directory_length(need));
	char *slash;

	if (!directory)
		return -ENOMEM;
	/* What is only read may be made later, by somebody else: the spool, by a collector that starts
	 * second. */
	while (!need->write && access(directory, F_OK) < 0 && errno == ENOENT &&
	       (slash = strrchr(directory, '/')) && slash > directory)
		*slash = '\0';
	return allow(ruleset_fd, handled, directory[0] ? directory : ".",
		     need->write ? ACCESS_WRITE : ACCESS_READ);
}

static int allow_system(int ruleset_fd, uint64_t handled)
{
	/* Name resolution and its modules, certificates, time zones. */
	static const char *const readable[] = {
		"/etc",
		"/usr",
		"/lib",
		"/lib64",
		"/run/resolvconf",
		"/run/systemd/resolve",
		"/run/NetworkManager",
		"/run/nscd",
		"/run/dbus",
		"/dev/urandom",
		"/dev/random",
		"/proc/self",
		"/proc/sys/net",
		"/proc/sys/vm/overcommit_memory",
	};
	int r = 0;

	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(readable); i++)
		r = allow(ruleset_fd, handled, readable[i], ACCESS_READ);
	if (r == 0)
		r = allow(ruleset_fd, handled, "/dev/null", ACCESS_READ | LANDLOCK_ACCESS_FS_WRITE_FILE);
	return r;
}

/* Binding a port is for metrics only; a kernel without that part of landlock has said so by its version. */
static int allow_port(int ruleset_fd, uint16_t port)
{
	struct net_port_attributes rule = {.allowed_access = ACCESS_NET_BIND_TCP, .port = port};

	if (port == 0)
		return 0;
	return syscall(SYS_landlock_add_rule, ruleset_fd, RULE_NET_PORT, &rule, 0) < 0 ? -errno : 0;
}

static int make_ruleset(long version, struct ruleset_attributes *ret_attributes)
{
	struct ruleset_attributes attributes = {.handled_access_fs = ACCESS_FS_ABI_1};
	size_t size = sizeof(attributes.handled_access_fs);
	long fd;

	if (version >= 2)
		attributes.handled_access_fs |= ACCESS_FS_REFER;
	if (version >= 3)
		attributes.handled_access_fs |= ACCESS_FS_TRUNCATE;
	if (version >= 4) {
		attributes.handled_access_net = ACCESS_NET_BIND_TCP;
		size = offsetof(struct ruleset_attributes, scoped);
	}
	if (version >= 5)
		attributes.handled_access_fs |= ACCESS_FS_IOCTL_DEV;
	if (version >= 6) {
		attributes.scoped = SCOPE_ABSTRACT_UNIX | SCOPE_SIGNAL;
		size = sizeof(attributes);
	}
	fd = syscall(SYS_landlock_create_ruleset, &attributes, size, 0);
	if (fd < 0)
		return -errno;
	*ret_attributes = attributes;
	return (int)fd;
}

int sandbox_restrict_files(const struct config *config)
{
	long version = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
	_cleanup_free_ struct needs *needs = calloc(1, sizeof(*needs));
	struct ruleset_attributes attributes = {};
	_cleanup_close_ int fd = -1;
	int r;

	if (version < 0)
		return -errno;
	if (!needs)
		return -ENOMEM;
	fd = make_ruleset(version, &attributes);
	if (fd < 0)
		return fd;
	collect(config, needs);
	r = allow_system(fd, attributes.handled_access_fs);
	for (size_t i = 0; r == 0 && i < needs->n; i++)
		r = allow_need(fd, attributes.handled_access_fs, &needs->items[i]);
	if (r == 0 && attributes.handled_access_net)
		r = allow_port(fd, metrics_port(config));
	if (r < 0)
		return r;
	return syscall(SYS_landlock_restrict_self, fd, 0) < 0 ? -errno : 0;
}
