/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * From the file's sections to one structure. What a key may hold is in keys.c; here are defaults that depend
 * on other keys, and what has to fit together.
 */

#include "common/config/load.h"

#include "common/buffer.h"
#include "common/config/file.h"
#include "common/config/keys.h"
#include "common/file.h"
#include "common/owner.h"
#include "common/parse.h"
#include "common/plain_text.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <inttypes.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>

#define SINKS_MAX 64
/* What the spool needs beside a message's own bytes: less than a block of the disk. */
#define MESSAGE_OVERHEAD UINT64_C(4096)

/* The line of each key that is set; 0: it is not. Of one sink, or of all other sections. */
struct written {
	unsigned int lines[CONFIG_KEYS_MAX];
};

struct loader {
	struct config *config;
	struct config_error *error;
	struct written written;
	unsigned int tun_line, sock_line; /* of the sections */
};

static unsigned int line_of(const struct written *written, const char *section, const char *name)
{
	int key = config_key_find(section, name);

	return key < 0 ? 0 : written->lines[key];
}

static int read_value(const struct config_key *key, const char *value, unsigned int line, void *section,
		      struct config_error *error)
{
	char wrong[CONFIG_WRONG_MAX] = "";
	int r;

	r = key->read(key, value, section, wrong);
	if (r == 0 || r == -ENOMEM)
		return r;
	if (r == -EACCES)
		return config_fail(error, line,
				   "%s: http:// is only for loopback addresses: expected https://",
				   key->name);
	if (r == -EILSEQ)
		return config_fail(error, line,
				   "%s: the host's name is not in ASCII: expected its xn-- form (RFC 5891)",
				   key->name);
	if (r == -EPFNOSUPPORT)
		return config_fail(error, line,
				   "%s: an address with a zone (%%) cannot be used: expected a name, or an "
				   "address that is valid on every link",
				   key->name);
	if (key->flags & CONFIG_KEY_SECRET)
		return config_fail(error, line, "%s: expected %s", key->name, key->expected);
	if (r == -EOPNOTSUPP)
		return config_fail(error, line, "%s = %s: not yet supported (expected %s)", key->name, value,
				   key->expected);
	return config_fail(error, line, "%s = %s: expected %s", key->name, *wrong ? wrong : value,
			   key->expected);
}

static int unknown_key(const struct config_section *section, const struct config_entry *entry,
		       struct config_error *error)
{
	_cleanup_buffer_ struct buffer names = {};
	_cleanup_free_ char *text = NULL;

	for (size_t i = 0; i < config_keys_n; i++)
		if (strcmp(config_keys[i].section, section->kind) == 0)
			buffer_printf(&names, "%s%s", names.length ? ", " : "", config_keys[i].name);
	text = buffer_take(&names, NULL);
	if (!text)
		return -ENOMEM;
	return config_fail(error, entry->line, "unknown key \"%s\": expected in [%s] one of %s", entry->key,
			   section->kind, text);
}

/* Where a comment in the shell's style begins, which would be read as part of the value; NULL if none does.
 */
static const char *find_hash(const struct config_key *key, const char *value)
{
	bool is_free = key->read == config_read_headers || key->read == config_read_text;

	for (const char *p = strchr(value, '#'); p; p = strchr(p + 1, '#')) {
		bool behind_blank = p == value || p[-1] == ' ' || p[-1] == '\t';

		/* "X-Team: #1" is a header, and "node #7" a name, like any other. */
		if (behind_blank && (!is_free || p[1] == ' ' || !p[1]))
			return p;
	}
	return NULL;
}

/* Whether a value, or an item of a list, begins with a quotation mark. */
static bool is_quoted(const struct config_key *key, const char *value)
{
	if (*value == '"' || *value == '\'')
		return true;
	for (const char *p = value; key->flags & CONFIG_KEY_LIST && (p = strchr(p, ','));) {
		p += 1 + strspn(p + 1, " \t");
		if (*p == '"' || *p == '\'')
			return true;
	}
	return false;
}

/* What other formats allow and this one does not: it would be taken as it stands, for an interface's name. */
static int check_habits(const struct config_key *key, const struct config_entry *entry,
			struct config_error *error)
{
	const char *hash = find_hash(key, entry->value), *value = entry->value;
	_cleanup_free_ char *without = NULL;
	size_t n = 0;

	if (hash && key->flags & CONFIG_KEY_SECRET)
		return config_fail(error, entry->line,
				   "%s: a comment behind a value begins with ';' instead of '#'", key->name);
	if (hash) {
		n = (size_t)(hash - value);
		while (n > 0 && (value[n - 1] == ' ' || value[n - 1] == '\t'))
			n--;
		return config_fail(error, entry->line,
				   "%s = %s: a comment behind a value begins with ';': write %s = %.*s ; %s",
				   key->name, value, key->name, (int)n, value,
				   hash + 1 + strspn(hash + 1, " \t"));
	}
	if (!is_quoted(key, value))
		return 0;
	if (key->flags & CONFIG_KEY_SECRET)
		return config_fail(error, entry->line, "%s: write the value without quotation marks",
				   key->name);
	without = strdup(value);
	if (!without)
		return -ENOMEM;
	for (const char *p = value; *p; p++)
		if (*p != '"' && *p != '\'')
			without[n++] = *p;
	without[n] = '\0';
	return config_fail(error, entry->line, "%s = %s: write it without quotation marks: %s = %s",
			   key->name, value, key->name, without);
}

/* Reads a section's entries into its structure. */
static int read_entries(const struct config_section *section, void *target, struct written *written,
			struct config_error *error)
{
	for (size_t i = 0; i < section->n_entries; i++) {
		const struct config_entry *entry = &section->entries[i];
		int index = config_key_find(section->kind, entry->key);
		const struct config_key *key;
		int r;

		if (index < 0)
			return unknown_key(section, entry, error);
		key = &config_keys[index];
		written->lines[index] = entry->line;
		if (entry->n_lines > 1 && !(key->flags & CONFIG_KEY_LIST))
			return config_fail(error, entry->line + 1,
					   "only a list continues on an indented line, and %s is not one",
					   key->name);
		if (!*entry->value) {
			if (key->flags & CONFIG_KEY_OPTIONAL)
				continue;
			return config_fail(error, entry->line, "%s has no value: expected %s", key->name,
					   key->expected);
		}
		r = check_habits(key, entry, error);
		if (r == 0)
			r = read_value(key, entry->value, entry->line, target, error);
		if (r < 0)
			return r;
	}
	return 0;
}

/* Gives a sink its defaults, and refuses keys that its type does not use. */
static int finish_keys(struct sink_config *sink, const struct written *written, struct config_error *error)
{
	for (size_t i = 0; i < config_keys_n; i++) {
		const struct config_key *key = &config_keys[i];
		const char *fallback = key->fallback;
		int r;

		if (!key->sinks)
			continue;
		if (!(key->sinks & 1U << sink->type)) {
			if (written->lines[i])
				return config_fail(error, written->lines[i], "%s is not for type = %s",
						   key->name, sink_type_name(sink->type));
			continue;
		}
		if (key->fallback_bulk &&
		    (sink->type == SINK_TYPE_CLICKHOUSE || sink->type == SINK_TYPE_OTLP))
			fallback = key->fallback_bulk;
		if (written->lines[i] || !fallback)
			continue;
		r = read_value(key, fallback, sink->line, sink, error);
		if (r < 0)
			return r;
	}
	return 0;
}

/* What keeps lines from being appended to a path, rotated and synced; NULL: nothing that its name tells. */
static const char *find_path_fault(const char *path)
{
	if (path[strlen(path) - 1] == '/')
		return "a directory";
	/* /dev/stdout is another file for each process that opens it. */
	if ((strncmp(path, "/dev/", 5) == 0 && strncmp(path, "/dev/shm/", 9) != 0) ||
	    strncmp(path, "/proc/", 6) == 0)
		return "not a regular file";
	return NULL;
}

#define A_LINES_FILE "expected a file for lines, which is made if it is missing"

/* Only what is certain: that the group could not be looked up says nothing about it. */
static bool group_is_missing(const char *name)
{
	errno = 0;
	return !getgrnam(name) && (errno == 0 || errno == ENOENT || errno == ESRCH);
}

int config_check_files(const struct config *config, struct config_error *error)
{
	if (config->control_group && config->control_group_named && group_is_missing(config->control_group)) {
		error->file = strdup(config->file);
		return config_fail(error, 0, "[netlogd] control-group = %s: there is no such group",
				   config->control_group);
	}
	for (size_t i = 0; i < config->n_sinks; i++) {
		const struct sink_config *sink = &config->sinks[i];
		struct stat st;

		if (sink->type != SINK_TYPE_FILE || stat(sink->path, &st) < 0 || S_ISREG(st.st_mode))
			continue;
		error->file = strdup(config->file);
		return config_fail(error, sink->line, "[upload %s] path = %s: %s: " A_LINES_FILE, sink->name,
				   sink->path, S_ISDIR(st.st_mode) ? "a directory" : "not a regular file");
	}
	return 0;
}

/* The last sink, by itself and against the others. */
static int check_sink(const struct config *config, const struct written *written, struct config_error *error)
{
	const struct sink_config *sink = &config->sinks[config->n_sinks - 1];
	const struct {
		enum sink_type type;
		const char *key;
		const char *value;
	} needs[] = {
		{SINK_TYPE_LOGTAIL, "url", sink->url},	  {SINK_TYPE_LOGTAIL, "collection", sink->collection},
		{SINK_TYPE_CLICKHOUSE, "url", sink->url}, {SINK_TYPE_CLICKHOUSE, "table", sink->table},
		{SINK_TYPE_OTLP, "url", sink->url},	  {SINK_TYPE_FILE, "path", sink->path},
	};
	const char *fault;

	for (size_t i = 0; i < ARRAY_SIZE(needs); i++)
		if (sink->type == needs[i].type && !needs[i].value)
			return config_fail(error, sink->line, "[upload %s] needs %s for type = %s",
					   sink->name, needs[i].key, sink_type_name(sink->type));
	fault = sink->type == SINK_TYPE_FILE ? find_path_fault(sink->path) : NULL;
	if (fault)
		return config_fail(error, line_of(written, "upload", "path"), "path = %s: %s: " A_LINES_FILE,
				   sink->path, fault);
	if (sink->type == SINK_TYPE_LOGTAIL && sink->compression == SINK_COMPRESSION_GZIP)
		return config_fail(error, line_of(written, "upload", "compression"),
				   "compression = gzip: expected auto, zstd or none for type = logtail");
	if (sink->password_file && !sink->user)
		return config_fail(error, line_of(written, "upload", "password-file"),
				   "password-file needs user");
	if (sink->bearer_token_file && sink->user)
		return config_fail(error, line_of(written, "upload", "bearer-token-file"),
				   "expected either bearer-token-file or user, not both");
	if (sink->key_file && !sink->cert_file)
		return config_fail(error, line_of(written, "upload", "key-file"), "key-file needs cert-file");
	/* Two that write one file would rename it under each other's feet. */
	for (size_t i = 0; sink->path && i + 1 < config->n_sinks; i++)
		if (config->sinks[i].path && strcmp(config->sinks[i].path, sink->path) == 0)
			return config_fail(error, line_of(written, "upload", "path"),
					   "path = %s: [upload %s] writes there already", sink->path,
					   config->sinks[i].name);
	return 0;
}

/* A sink's name names its directory, beside which there are others. */
static bool is_sink_name(const char *name)
{
	size_t n = strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-");

	return n >= 1 && n <= 64 && !name[n] && name[0] != '.' && strcmp(name, "ids") != 0 &&
	       strcmp(name, "node.logid") != 0;
}

static int read_sink(struct loader *loader, const struct config_section *section)
{
	struct config *config = loader->config;
	struct written written = {};
	struct sink_config *sinks, *sink;
	int r;

	if (!is_sink_name(section->name))
		return config_fail(
			loader->error, section->line,
			"[upload %s]: expected a name of 1 to 64 letters, digits, '_', '.' and '-', "
			"not beginning with '.', and not \"ids\" or \"node.logid\"",
			section->name);
	if (config->n_sinks == SINKS_MAX)
		return config_fail(loader->error, section->line, "expected at most %d [upload] sections",
				   SINKS_MAX);
	sinks = reallocarray(config->sinks, config->n_sinks + 1, sizeof(*sinks));
	if (!sinks)
		return -ENOMEM;
	config->sinks = sinks;
	sink = &sinks[config->n_sinks++];
	*sink = (struct sink_config){.line = section->line};
	sink->name = strdup(section->name);
	if (!sink->name)
		return -ENOMEM;

	r = read_entries(section, sink, &written, loader->error);
	if (r < 0)
		return r;
	if (!line_of(&written, "upload", "type"))
		return config_fail(loader->error, section->line, "[upload %s] needs type: expected %s",
				   section->name, config_keys[config_key_find("upload", "type")].expected);
	r = finish_keys(sink, &written, loader->error);
	return r < 0 ? r : check_sink(config, &written, loader->error);
}

static int read_section(struct loader *loader, const struct config_section *section)
{
	size_t i = 0;

	if (strcmp(section->kind, "upload") == 0)
		return read_sink(loader, section);
	while (i < config_keys_n && strcmp(config_keys[i].section, section->kind) != 0)
		i++;
	if (i == config_keys_n || *section->name)
		return config_fail(loader->error, section->line,
				   "unknown section [%s%s%s]: expected one of netlogd, node, tun, sock, "
				   "routes, record, spool, upload NAME",
				   section->kind, *section->name ? " " : "", section->name);
	if (strcmp(section->kind, "tun") == 0)
		loader->tun_line = section->line;
	if (strcmp(section->kind, "sock") == 0)
		loader->sock_line = section->line;
	return read_entries(section, loader->config, &loader->written, loader->error);
}

/* Default texts are read like written ones. */
static int apply_fallbacks(struct loader *loader)
{
	for (size_t i = 0; i < config_keys_n; i++) {
		const struct config_key *key = &config_keys[i];
		int r;

		if (key->sinks || !key->fallback || loader->written.lines[i])
			continue;
		r = read_value(key, key->fallback, 0, loader->config, loader->error);
		if (r < 0)
			return r;
	}
	return 0;
}

static int derive_path(char **path, const char *directory, const char *name)
{
	if (*path)
		return 0;
	if (asprintf(path, "%s/%s", directory, name) < 0) {
		*path = NULL;
		return -ENOMEM;
	}
	return 0;
}

/* The host's name, as far as it can be shown; none if there is none. */
static int derive_node_id(char **ret_id)
{
	char name[HOST_NAME_MAX + 1] = "";

	/* One that is too long is cut, perhaps without an end. */
	(void)gethostname(name, sizeof(name) - 1);
	plain_text_clean(name);
	if (!*name || strcmp(name, "(none)") == 0)
		return 0;
	return text_copy(name, ret_id);
}

/* Defaults made from other values. */
static int derive(struct loader *loader)
{
	struct config *config = loader->config;
	int r = 0;

	if (!line_of(&loader->written, "node", "id"))
		r = derive_node_id(&config->node_id);
	if (r < 0)
		return r;
	r = derive_path(&config->upload_directory, config->state_directory, "upload");
	if (r == 0)
		r = derive_path(&config->spool_directory, config->state_directory, "spool");
	if (r == 0)
		r = derive_path(&config->log_id_file, config->upload_directory, "node.logid");
	if (r < 0)
		return r;
	config->control_group_named =
		config->control_group && line_of(&loader->written, "netlogd", "control-group");
	if (!config->sock.interface && config->tun.interface &&
	    !line_of(&loader->written, "sock", "interface")) {
		config->sock.interface = strdup(config->tun.interface);
		if (!config->sock.interface)
			return -ENOMEM;
	}
	/* Without a section there is no tun device. */
	if (loader->tun_line == 0)
		config->tun.source = SOURCE_NONE;
	if (config->sock.source == SOURCE_AUTO && !config->sock.interface)
		config->sock.source = SOURCE_NONE;
	return 0;
}

/* The key that a device needs and lacks, or NULL. */
static const char *missing_key(const struct device_config *device)
{
	switch (device->source) {
	case SOURCE_NONE:
		return NULL;
	case SOURCE_STATS:
		return device->stats_socket ? NULL : "stats-socket";
	/* With userspace networking it has no interface. */
	case SOURCE_TAILSCALE:
		return NULL;
	default:
		return device->interface ? NULL : "interface";
	}
}

int device_config_check(const char *section, const struct device_config *device, char **ret_reason)
{
	const struct config_key *key = &config_keys[config_key_find(section, "source")];
	const char *source = device_source_name(device->source), *missing = missing_key(device);
	char wrong[CONFIG_WRONG_MAX], *reason = NULL;
	struct config unused;
	int n = 0, r;

	r = key->read(key, source, &unused, wrong);
	if (r < 0)
		n = asprintf(&reason, "source %s: expected %s", source, key->expected);
	else if (missing)
		n = asprintf(&reason, "source %s needs %s, neither given nor configured", source, missing);
	if (n < 0)
		return -ENOMEM;
	if (!reason)
		return 0;
	*ret_reason = reason;
	return -EINVAL;
}

static int check_device(const struct loader *loader, const char *section, const struct device_config *device,
			unsigned int section_line)
{
	unsigned int line = line_of(&loader->written, section, "source");
	const char *key = missing_key(device);

	if (!key)
		return 0;
	return config_fail(loader->error, line ? line : section_line, "[%s] needs %s for source = %s",
			   section, key, device_source_name(device->source));
}

/* Whether a path is the directory or below it. */
static bool is_within(const char *path, const char *directory)
{
	size_t n = strlen(directory);

	while (n > 0 && directory[n - 1] == '/')
		n--;
	return strncmp(path, directory, n) == 0 && (path[n] == '/' || path[n] == '\0');
}

/* The spool never splits a message, and a window that needs more than one is split before. */
static int check_message_size(const struct loader *loader)
{
	const struct config *config = loader->config;
	uint64_t usable = config_spool_usable(config->spool_max_size);
	unsigned int line = line_of(&loader->written, "record", "max-message-size");

	if (config->max_message_size + MESSAGE_OVERHEAD <= usable)
		return 0;
	if (line == 0)
		line = line_of(&loader->written, "spool", "max-size");
	return config_fail(loader->error, line,
			   "max-message-size = %" PRIu64
			   "K does not fit into the spool: with [spool] max-size = "
			   "%" PRIu64 "K expected at most %" PRIu64 "K",
			   config->max_message_size / 1024, config->spool_max_size / 1024,
			   (usable - MESSAGE_OVERHEAD) / 1024);
}

static int check(const struct loader *loader)
{
	const struct config *config = loader->config;
	const char *slash = strrchr(config->control_socket, '/');
	int r;

	if (strcmp(slash, "/upload.sock") == 0 || strcmp(slash, "/") == 0)
		return config_fail(loader->error, line_of(&loader->written, "netlogd", "control-socket"),
				   "control-socket: expected a file name other than upload.sock, which is "
				   "the uploader's");
	/* The upload directory belongs to the uploader's user, with all that the daemon makes in it. */
	if (is_within(config->spool_directory, config->upload_directory) ||
	    is_within(config->upload_directory, config->spool_directory))
		return config_fail(loader->error, line_of(&loader->written, "spool", "directory"),
				   "expected the spool and the uploader in different directories, neither "
				   "within the other");
	if (is_within(config->state_directory, config->upload_directory))
		return config_fail(loader->error, line_of(&loader->written, "netlogd", "upload-directory"),
				   "expected a directory that does not contain the state directory");
	r = check_message_size(loader);
	if (r < 0)
		return r;
	if (config->fold_ports && !config->details)
		return config_fail(loader->error, line_of(&loader->written, "record", "fold-ports"),
				   "fold-ports = yes: expected details = yes too: only they tell which end "
				   "opened a connection");
	/* Each reply would hold the counts of one layer, and be logged as the other's half of the time. */
	if (config->tun.source == SOURCE_STATS && config->sock.source == SOURCE_STATS &&
	    config->tun.stats_socket && config->sock.stats_socket &&
	    strcmp(config->tun.stats_socket, config->sock.stats_socket) == 0)
		return config_fail(
			loader->error, line_of(&loader->written, "sock", "stats-socket"),
			"stats-socket = %s: expected another socket than that of [tun]: each device "
			"has counts of its own",
			config->sock.stats_socket);
	if (config->sock.source == SOURCE_TAILSCALE && !config->tailscale_socket &&
	    !config->sock.stats_socket)
		return config_fail(loader->error, line_of(&loader->written, "node", "tailscale-socket"),
				   "[sock] source = tailscale needs [node] tailscale-socket");
	r = check_device(loader, "tun", &config->tun, loader->tun_line);
	return r < 0 ? r : check_device(loader, "sock", &config->sock, loader->sock_line);
}

int config_parse(const char *file, const char *text, size_t size, struct config **ret_config,
		 struct config_error *ret_error)
{
	_cleanup_(config_freep) struct config *config = calloc(1, sizeof(*config));
	struct config_error error = {.file = strdup(file)};
	struct loader loader = {.config = config, .error = &error};
	struct config_sections sections = {};
	int r = -ENOMEM;

	if (config && error.file)
		config->file = strdup(file);
	if (config && config->file)
		r = config_sections_parse(text, size, &sections, &error);
	for (size_t i = 0; r == 0 && i < sections.n; i++)
		r = read_section(&loader, &sections.items[i]);
	config_sections_deinit(&sections);
	if (r == 0)
		r = apply_fallbacks(&loader);
	if (r == 0)
		r = derive(&loader);
	if (r == 0)
		r = check(&loader);
	if (r < 0) {
		if (!error.reason)
			error.reason = strdup(strerror(-r));
		*ret_error = error;
		return r;
	}
	config_error_deinit(&error);
	*ret_config = TAKE_PTR(config);
	return 0;
}

/* 0, or -errno with *ret_error filled in. */
static int read_file(const char *file, char **ret_text, size_t *ret_size, struct config_error *ret_error)
{
	int r = file_read(AT_FDCWD, file, CONFIG_FILE_SIZE_MAX, ret_text, ret_size, NULL);

	if (r < 0) {
		struct config_error error = {.file = strdup(file)};
		_cleanup_free_ char *reason = owner_error_text(file, r);

		if (r == -EFBIG)
			config_fail(&error, 0, "larger than %d bytes", CONFIG_FILE_SIZE_MAX);
		else
			config_fail(&error, 0, "cannot be read: %s",
				    r == -EINVAL ? "not a regular file"
				    : reason	 ? reason
						 : strerror(-r));
		*ret_error = error;
	}
	return r;
}

int config_load(const char *file, struct config **ret_config, struct config_error *ret_error)
{
	_cleanup_free_ char *text = NULL;
	size_t size = 0;
	int r = read_file(file, &text, &size, ret_error);

	return r < 0 ? r : config_parse(file, text, size, ret_config, ret_error);
}

/* The length of the lines before one. */
static size_t length_before(const char *text, size_t size, unsigned int line)
{
	const char *end = text;

	while (line-- > 1 && (end = memchr(end, '\n', size - (size_t)(end - text))))
		end++;
	return end ? (size_t)(end - text) : size;
}

static const struct config_entry *find_entry(const struct config_sections *sections, const char *kind,
					     const char *key)
{
	for (size_t i = 0; i < sections->n; i++)
		for (size_t j = 0; j < sections->items[i].n_entries; j++)
			if (strcmp(sections->items[i].kind, kind) == 0 &&
			    strcmp(sections->items[i].entries[j].key, key) == 0)
				return &sections->items[i].entries[j];
	return NULL;
}

/*
 * The path that the text gives or, where it gives none, the default one; NULL if that is wrong itself. Behind
 * a line that is neither section nor entry nothing is certain: the path counts only if it stands before.
 */
char *config_find_control_socket(const char *text, size_t size)
{
	const struct config_key *key = &config_keys[config_key_find("netlogd", "control-socket")];
	_cleanup_(config_error_deinit) struct config_error error = {};
	struct config_section section = {.kind = (char *)"netlogd", .n_entries = 1};
	struct config_sections sections = {};
	const struct config_entry *entry;
	struct written written = {};
	struct config config = {};
	bool whole;

	whole = config_sections_parse(text, size, &sections, &error) == 0;
	if (!whole)
		(void)config_sections_parse(text, length_before(text, size, error.line), &sections, &error);
	entry = find_entry(&sections, "netlogd", key->name);
	section.entries = (struct config_entry *)entry;
	if (entry)
		(void)read_entries(&section, &config, &written, &error);
	else if (whole)
		config.control_socket = strdup(key->fallback);
	config_sections_deinit(&sections);
	return config.control_socket;
}

int config_load_control_socket(const char *file, char **ret_path, struct config_error *ret_error)
{
	_cleanup_(config_freep) struct config *config = NULL;
	_cleanup_free_ char *text = NULL;
	size_t size = 0;
	char *path;
	int r;

	r = read_file(file, &text, &size, ret_error);
	if (r < 0)
		return r;
	r = config_parse(file, text, size, &config, ret_error);
	path = r == 0 ? TAKE_PTR(config->control_socket) : config_find_control_socket(text, size);
	if (!path)
		return r;
	*ret_path = path;
	return 0;
}
