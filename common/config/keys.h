/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * What may stand in the configuration file: every section and key with its default and range, in one table
 * from which reading, defaults, error texts and the documentation's test are made.
 */

#include "common/config/config.h"

#include <stddef.h>

struct config_key;

/*
 * Reads a text that is not empty into its place in the section's structure. 0, -ENOMEM, -EINVAL if it is not
 * what was expected, -EOPNOTSUPP if nothing implements it yet. A list puts the item that is wrong into
 * ret_wrong, cut to what fits.
 */
#define CONFIG_WRONG_MAX 64
typedef int (*config_read_fn)(const struct config_key *key, const char *text, void *section,
			      char ret_wrong[static CONFIG_WRONG_MAX]);

struct config_choice {
	const char *text;
	unsigned int value;
	bool unsupported; /* known, but nothing implements it yet */
};

enum {
	CONFIG_OPTIONAL = 1 << 0, /* may be written empty: no value, zero, an empty list */
	CONFIG_LIST = 1 << 1,	  /* may go on in the next line */
	CONFIG_SECRET = 1 << 2,	  /* its value is repeated in no error */
};

struct config_key {
	const char *section; /* "upload" for every sink */
	const char *name;
	const char *fallback;	   /* the value if it is not written; NULL: none, or made from others */
	const char *fallback_bulk; /* the same for sinks that gather (clickhouse, otlp), where it differs */
	config_read_fn read;
	size_t offset; /* in struct config or struct sink_config */
	unsigned int flags;
	unsigned int sinks; /* 1 << enum sink_type of those that use it */
	uint64_t min, max;
	const struct config_choice *choices; /* ends with a NULL text */
	const char *expected;		     /* in words, for errors */
};

#define CONFIG_KEYS_MAX 64 /* of all sections together */

extern const struct config_key config_keys[];
extern const size_t config_keys_n;

/* The index in the table, or -1. */
int config_key_find(const char *section, const char *name);

/* Readers, by the type of what they fill in. */
int config_read_text(const struct config_key *, const char *, void *, char *);
int config_read_name(const struct config_key *, const char *, void *, char *);
int config_read_interface(const struct config_key *, const char *, void *, char *);
int config_read_path(const struct config_key *, const char *, void *, char *);
int config_read_socket_path(const struct config_key *, const char *, void *, char *);
int config_read_loopback(const struct config_key *, const char *, void *, char *);
int config_read_url(const struct config_key *, const char *, void *, char *);
int config_read_bool(const struct config_key *, const char *, void *, char *);
int config_read_u32(const struct config_key *, const char *, void *, char *);
int config_read_u64(const struct config_key *, const char *, void *, char *);
int config_read_size(const struct config_key *, const char *, void *, char *);
int config_read_duration(const struct config_key *, const char *, void *, char *);
int config_read_choice(const struct config_key *, const char *, void *, char *);
int config_read_names(const struct config_key *, const char *, void *, char *);
int config_read_headers(const struct config_key *, const char *, void *, char *);
int config_read_settings(const struct config_key *, const char *, void *, char *);
int config_read_prefixes(const struct config_key *, const char *, void *, char *);
int config_read_addresses(const struct config_key *, const char *, void *, char *);
int config_read_subnet_routes(const struct config_key *, const char *, void *, char *);
int config_read_underlay(const struct config_key *, const char *, void *, char *);
