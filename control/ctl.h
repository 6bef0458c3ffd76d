/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * What every command of netlogctl gets: where to print, the options that all of them take, and ways to report
 * an error and to read and write JSON. Data goes to ctl->out, everything else to ctl->err.
 */

#include "common/cleanup.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#define CTL_DEFAULT_SOCKET  "/run/netlogd/control.sock"
#define CTL_DEFAULT_CONFIG  "/etc/netlogd/netlogd.conf"
#define CTL_CALL_TIMEOUT_MS 30000

/* Exit statuses. */
enum { CTL_OK = 0, CTL_FAILED = 1, CTL_USAGE = 2 };

struct config_error;
struct log_id;
struct ctl;

struct ctl_command {
	const char *name;    /* one word or two: "spool check" */
	const char *usage;   /* what follows the name */
	const char *summary; /* one line */
	const char *help;    /* the rest, options above all; or NULL */
	int (*run)(struct ctl *ctl, int argc, char **argv);
};

struct ctl {
	FILE *in;
	FILE *out;
	FILE *err;
	bool out_is_terminal;
	bool color; /* on out */
	/* In the order of the help; the last entry has no name. */
	const struct ctl_command *commands;
	const struct ctl_command *command; /* the one that runs, or NULL */

	/* Options that every command takes. */
	const char *socket; /* never NULL */
	bool socket_given;
	const char *config; /* never NULL */
	bool config_given;
	bool json;
};

/*
 * "netlogctl: ..." on standard error. ctl_error returns CTL_FAILED; ctl_usage returns CTL_USAGE and points to
 * --help.
 */
void ctl_note(struct ctl *ctl, const char *format, ...) _printf_(2, 3);
int ctl_error(struct ctl *ctl, const char *format, ...) _printf_(2, 3);
int ctl_usage(struct ctl *ctl, const char *format, ...) _printf_(2, 3);

/* The same for what is wrong with a file, with its line if it has one; "after" follows the reason. */
int ctl_config_error(struct ctl *ctl, const struct config_error *error, const char *after);

/* Columns and lines of the terminal that ctl->out is; zeros: it is none, or does not say. */
void ctl_terminal_size(const struct ctl *ctl, size_t *ret_columns, size_t *ret_lines);

/* Prints a value as one compact line. CTL_OK, or CTL_FAILED if it cannot be written. */
int ctl_print_json(struct ctl *ctl, const json_t *value);

/* Reads a JSON file of at most 64 MiB; "-" is standard input. CTL_OK, or CTL_FAILED with a message. */
int ctl_read_json(struct ctl *ctl, const char *path, json_t **ret_value);
/* Reads the file of a private log ID: a secret, to be wiped. CTL_OK, or CTL_FAILED with a message. */
int ctl_read_log_id(struct ctl *ctl, const char *path, struct log_id *ret_private_id);

/* Members of JSON objects that may be absent. */
const char *json_text(const json_t *object, const char *member); /* "" if absent */
long long json_number(const json_t *object, const char *member); /* 0 if absent */
bool json_flag(const json_t *object, const char *member);
