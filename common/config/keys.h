/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * Every section and key of the configuration file with its default and range, in one table that serves
 * reading, defaults, error texts and the test of the documentation.
 */

#include "common/config/values.h"

#define CONFIG_KEYS_MAX 64 /* of all sections together */

extern const struct config_key config_keys[];
extern const size_t config_keys_n;

/* The index in the table, or -1. */
int config_key_find(const char *section, const char *name);

/* Text of a source, as in the file and in status ("ebpf"); the other way 0 or -EINVAL. */
const char *device_source_name(enum device_source source);
int device_source_parse(const char *text, enum device_source *ret_source);
/* Texts as in the file and in status. */
const char *sink_type_name(enum sink_type type);
const char *exit_traffic_name(enum exit_traffic exit_traffic);
