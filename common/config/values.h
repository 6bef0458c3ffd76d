/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* The values of the configuration file, by type: what a key tells its reader, and the readers. */

#include "common/config/config.h"

#include <stddef.h>

struct config_key;

#define CONFIG_WRONG_MAX 64
/*
 * Reads a text that is not empty into its place in the section's structure. 0; -ENOMEM; -EINVAL if it is not
 * what was expected; -EOPNOTSUPP if nothing implements it yet; -EACCES for http:// to other than loopback
 * addresses, -EILSEQ for a host that is not in ASCII, -EPFNOSUPPORT for one with a zone. A list puts the item
 * that is wrong into ret_wrong, cut to what fits.
 */
typedef int (*config_read_fn)(const struct config_key *key, const char *text, void *section,
			      char ret_wrong[static CONFIG_WRONG_MAX]);

struct config_choice {
	const char *text;
	unsigned int value;
	bool unsupported; /* known, but nothing implements it yet */
};

enum {
	CONFIG_KEY_OPTIONAL = 1 << 0, /* may be empty: no value, zero, an empty list */
	CONFIG_KEY_LIST = 1 << 1,     /* may continue on the next line */
	CONFIG_KEY_SECRET = 1 << 2,   /* its value is not repeated in errors */
};

struct config_key {
	const char *section; /* "upload" for every sink */
	const char *name;
	const char *fallback;	   /* the value when unset; NULL: none, or derived from others */
	const char *fallback_bulk; /* for sinks that send in bulk (clickhouse, otlp), where it differs */
	config_read_fn read;
	size_t offset; /* in struct config or struct sink_config */
	unsigned int flags;
	unsigned int sinks; /* 1 << enum sink_type of those that use it */
	uint64_t min, max;
	const struct config_choice *choices; /* ends with a NULL text */
	const char *expected;		     /* in words, for errors */
};

/* What the file accepts as an interface's name, and as a socket's path. */
bool config_is_interface(const char *text);
bool config_is_socket_path(const char *text);

/* Readers, by the type of what they fill in. */
int config_read_text(const struct config_key *key, const char *text, void *section, char *ret_wrong);
int config_read_name(const struct config_key *key, const char *text, void *section, char *ret_wrong);
int config_read_interface(const struct config_key *key, const char *text, void *section, char *ret_wrong);
int config_read_path(const struct config_key *key, const char *text, void *section, char *ret_wrong);
int config_read_socket_path(const struct config_key *key, const char *text, void *section, char *ret_wrong);
int config_read_loopback(const struct config_key *key, const char *text, void *section, char *ret_wrong);
int config_read_url(const struct config_key *key, const char *text, void *section, char *ret_wrong);
int config_read_bool(const struct config_key *key, const char *text, void *section, char *ret_wrong);
int config_read_u32(const struct config_key *key, const char *text, void *section, char *ret_wrong);
int config_read_u64(const struct config_key *key, const char *text, void *section, char *ret_wrong);
int config_read_size(const struct config_key *key, const char *text, void *section, char *ret_wrong);
int config_read_duration(const struct config_key *key, const char *text, void *section, char *ret_wrong);
int config_read_choice(const struct config_key *key, const char *text, void *section, char *ret_wrong);
int config_read_names(const struct config_key *key, const char *text, void *section, char *ret_wrong);
int config_read_headers(const struct config_key *key, const char *text, void *section, char *ret_wrong);
int config_read_settings(const struct config_key *key, const char *text, void *section, char *ret_wrong);
int config_read_prefixes(const struct config_key *key, const char *text, void *section, char *ret_wrong);
int config_read_addresses(const struct config_key *key, const char *text, void *section, char *ret_wrong);
int config_read_subnet_routes(const struct config_key *key, const char *text, void *section, char *ret_wrong);
/* "auto", "none" or a path: sets wireguard_names, too. */
int config_read_names_file(const struct config_key *key, const char *text, void *section, char *ret_wrong);
int config_read_underlay(const struct config_key *key, const char *text, void *section, char *ret_wrong);
