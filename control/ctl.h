/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * What the commands of netlogctl share: the one table of them, options, talking to the daemon, and telling
 * what went wrong. A command prints data on ctl->out, and what it has to say about it on standard error.
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

struct varlink_client;
struct ctl_command;

struct ctl {
	FILE *in;
	FILE *out;
	FILE *err;
	bool out_is_terminal;
	bool color; /* on out */
	const struct ctl_command *command;

	/* Options that every command takes. */
	const char *socket; /* never NULL */
	bool socket_given;
	const char *config; /* never NULL */
	bool config_given;
	bool json;
};

struct ctl_command {
	const char *name;    /* one word or two: "spool check" */
	const char *usage;   /* what follows the name */
	const char *summary; /* one line */
	const char *help;    /* what more there is to say, options above all; or NULL */
	int (*run)(struct ctl *ctl, int argc, char **argv);
};

/* In the order of the help. Ends with an entry without a name. */
extern const struct ctl_command ctl_commands[];

/*
 * Runs a command line (argv[0] is the program). An exit status. in, out, err and what is a terminal are set
 * by the caller.
 */
int ctl_main(struct ctl *ctl, int argc, char **argv);

/* Options of one command. */

struct ctl_option {
	const char *name;   /* without "--" */
	bool *flag;	    /* an option without a value */
	const char **value; /* one with a value; the last one counts */
	/* One with a value that may come more than once: a list that ends with NULL, owned by the caller. */
	char ***list;
};

/*
 * Reads argv[1..] of a command. *ret_arguments: what is no option, in order, at least min and at most max of
 * them; a list within argv. CTL_OK; CTL_USAGE with a message printed; or -1 when help was asked for and
 * printed (the command is done, successfully).
 */
int ctl_options(struct ctl *ctl, int argc, char **argv, const struct ctl_option *options, size_t n_options,
		int min, int max, char ***ret_arguments);

/* "netlogctl: ..." on standard error. ctl_error gives CTL_FAILED, ctl_usage CTL_USAGE with a hint
 * at --help. */
void ctl_note(struct ctl *ctl, const char *format, ...) _printf_(2, 3);
int ctl_error(struct ctl *ctl, const char *format, ...) _printf_(2, 3);
int ctl_usage(struct ctl *ctl, const char *format, ...) _printf_(2, 3);

/* The daemon. */

/* Connects. CTL_OK, or CTL_FAILED with a message that says what to do about it. */
int ctl_connect(struct ctl *ctl, struct varlink_client **ret_client);
/* What a reply's error means, for people. */
int ctl_reply_error(struct ctl *ctl, const char *error, const json_t *parameters);
/*
 * One call of org.netlogd.control's method: takes the reference to parameters. CTL_OK with the reply's
 * parameters, or CTL_FAILED with a message printed.
 */
int ctl_call(struct ctl *ctl, const char *method, json_t *parameters, int timeout_ms,
	     json_t **ret_parameters);

/*
 * A stream of replies ("more"), until it ends or reply() returns false. reply() is called without parameters
 * whenever nothing came for idle_ms (-1: never). CTL_OK, or CTL_FAILED with a message printed, the daemon's
 * end among them.
 */
int ctl_stream(struct ctl *ctl, const char *method, int idle_ms,
	       bool (*reply)(json_t *parameters, void *userdata), void *userdata);

/* Output. */

/* One line of JSON, compact. CTL_OK, or CTL_FAILED when it can't be written. */
int ctl_print_json(struct ctl *ctl, const json_t *value);
/* Columns and lines of the terminal; zeros if out is none. */
void ctl_terminal_size(const struct ctl *ctl, size_t *ret_columns, size_t *ret_lines);
/* Reads a JSON file of at most 64 MiB; "-" is standard input. CTL_OK or CTL_FAILED with a message. */
int ctl_read_json(struct ctl *ctl, const char *path, json_t **ret_value);

/* Members of JSON objects that may be absent. */
const char *json_text(const json_t *object, const char *member); /* "" if absent */
long long json_number(const json_t *object, const char *member); /* 0 if absent */
bool json_flag(const json_t *object, const char *member);
