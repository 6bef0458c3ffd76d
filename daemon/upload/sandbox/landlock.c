/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Which files the uploader can reach (landlock, https://docs.kernel.org/userspace-api/landlock.html): its own
 * directory, and what is needed to find a server and to verify it, wherever the names of that lead
 * (system_files.c). Everything that the configuration names comes from the broker. A file that is replaced
 * (resolv.conf is, whenever the network changes) is no longer the one that was allowed: the uploader is then
 * restarted. Where nothing would start it again, the directories in which such names lead about are allowed.
 */

#include "daemon/upload/sandbox/landlock.h"

#include "common/address.h"
#include "common/cleanup.h"
#include "common/config/config.h"
#include "daemon/upload/sandbox/system_files.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <netdb.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* From newer kernels than the build's headers (include/uapi/linux/landlock.h). */
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

static uint16_t metrics_port(const struct config *config)
{
	struct endpoint endpoint;

	if (!config->metrics_listen || endpoint_parse(config->metrics_listen, &endpoint) < 0)
		return 0;
	return endpoint.port;
}

bool landlock_needs_restart(const struct config *old, const struct config *new)
{
	/* Files come from the broker, whatever their names are. */
	return metrics_port(new) != 0 && metrics_port(new) != metrics_port(old);
}

static int allow_at(int ruleset_fd, uint64_t handled, int fd, uint64_t access)
{
	struct landlock_path_beneath_attr rule = {.allowed_access = access & handled, .parent_fd = fd};
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISDIR(st.st_mode))
		rule.allowed_access &=
			LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE | ACCESS_FS_TRUNCATE;
	if (syscall(SYS_landlock_add_rule, ruleset_fd, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) < 0)
		return -errno;
	return 0;
}

/*
 * A path that leads to nothing can't be allowed, and is not needed. Links can lead to anything: into a mount
 * whose server is gone, to a name that is too long, to a pipe, for which there are no rules (-EBADFD). One of
 * them must not leave the process without any confinement.
 */
static int allow(int ruleset_fd, uint64_t handled, const char *path, uint64_t access)
{
	_cleanup_close_ int fd = open(path, O_PATH | O_CLOEXEC);
	int r = fd < 0 ? -errno : allow_at(ruleset_fd, handled, fd, access);

	/* -EINVAL would be our own mistake. */
	return r == -ENOMEM || r == -EMFILE || r == -ENFILE || r == -EINVAL ? r : 0;
}

struct allowing {
	int ruleset_fd;
	uint64_t handled;
};

static int allow_named(const char *path, void *userdata)
{
	const struct allowing *allowing = userdata;

	return allow(allowing->ruleset_fd, allowing->handled, path, ACCESS_READ);
}

/* Where the C library is, and with it its modules: not below /usr on systems that keep each package apart. */
static int allow_libraries(int ruleset_fd, uint64_t handled)
{
	_cleanup_free_ char *path = NULL;
	char *slash;
	Dl_info info;

	if (!dladdr((void *)getaddrinfo, &info) || !info.dli_fname)
		return 0;
	path = strdup(info.dli_fname);
	if (!path)
		return -ENOMEM;
	slash = strrchr(path, '/');
	if (!slash || slash == path)
		return 0;
	*slash = '\0';
	return allow(ruleset_fd, handled, path, ACCESS_READ);
}

static int allow_system(int ruleset_fd, uint64_t handled, bool for_good)
{
	/*
	 * Name service modules, certificates, time zones. Directories in which whatever manages the network
	 * keeps replacing the file that /etc/resolv.conf leads to: so no replacement needs a restart.
	 */
	static const char *const readable[] = {
		"/usr",
		"/lib",
		"/lib64",
		"/etc/ld.so.cache",
		"/run/connman",
		"/run/netconfig",
		"/run/resolvconf",
		"/run/systemd/resolve",
		"/run/NetworkManager",
		"/dev/urandom",
		"/dev/random",
		"/proc/self",
		"/proc/sys/net",
		"/proc/sys/vm/overcommit_memory",
	};
	static const char *const about[] = {"/etc", "/run", "/var/lib", "/nix/store", "/gnu/store"};
	struct allowing allowing = {ruleset_fd, handled};
	int r = 0;

	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(readable); i++)
		r = allow(ruleset_fd, handled, readable[i], ACCESS_READ);
	for (size_t i = 0; for_good && r == 0 && i < ARRAY_SIZE(about); i++)
		r = allow(ruleset_fd, handled, about[i], ACCESS_READ);
	if (r == 0)
		r = system_files_visit(true, allow_named, &allowing);
	if (r == 0)
		r = allow_libraries(ruleset_fd, handled);
	if (r == 0)
		r = allow(ruleset_fd, handled, "/dev/null", ACCESS_READ | LANDLOCK_ACCESS_FS_WRITE_FILE);
	return r;
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

int landlock_restrict(const struct config *config, int upload_fd, bool for_good)
{
	long version = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
	struct net_port_attributes port = {ACCESS_NET_BIND_TCP, metrics_port(config)};
	struct ruleset_attributes attributes = {};
	_cleanup_close_ int fd = -1;
	int r;

	if (version < 0)
		return -errno;
	fd = make_ruleset(version, &attributes);
	if (fd < 0)
		return fd;
	r = allow_system(fd, attributes.handled_access_fs, for_good);
	if (r == 0)
		r = allow_at(fd, attributes.handled_access_fs, upload_fd, ACCESS_WRITE);
	if (r < 0)
		return r;
	/* Binding a port is for metrics only. */
	if (attributes.handled_access_net && port.port != 0 &&
	    syscall(SYS_landlock_add_rule, fd, RULE_NET_PORT, &port, 0) < 0)
		return -errno;
	return syscall(SYS_landlock_restrict_self, fd, 0) < 0 ? -errno : 0;
}
