/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* Command lines: the options of one command, those that all of them take, and the help. */

#include <stdbool.h>
#include <stddef.h>

struct ctl;

struct ctl_option {
	const char *name;   /* without "--" */
	bool *flag;	    /* an option without a value */
	const char **value; /* one with a value; the last one counts */
	/* One with a value that may come more than once: a list that ends with NULL, owned by the caller. */
	char ***list;
};

/*
 * Reads argv[1..] of a command. *ret_arguments: what is not an option, in order, at least min and at most max
 * of them; a list within argv. CTL_OK; CTL_USAGE with a message printed; or -1 if the help was asked for and
 * printed (the command is done, successfully).
 */
int ctl_options(struct ctl *ctl, int argc, char **argv, const struct ctl_option *options, size_t n_options,
		int min, int max, char ***ret_arguments);

/* Reads the options before the command, as above; optind is the command's place in argv. */
int ctl_common_options(struct ctl *ctl, int argc, char **argv);

/* Prints the help of ctl->command or, if that is NULL, of the program. */
void ctl_print_help(const struct ctl *ctl);
