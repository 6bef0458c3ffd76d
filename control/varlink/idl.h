/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * Interface descriptions (https://varlink.org/Interface-Definition): the parameters of a method and of its
 * reply are declared once, in the .varlink file, and checked against it. The text is used as it is: no tree
 * is built.
 */

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#define VARLINK_IDL_NAME_MAX 64

/* Whether the text is valid, describes the interface of this name, defines no name twice, and defines every
 * type it uses. 0, or -EINVAL with the offending line (from 1) in *ret_line. */
int varlink_idl_check(const char *text, const char *interface, unsigned int *ret_line);

/* The functions below take only a checked text. */

bool varlink_idl_has_method(const char *text, const char *method);
bool varlink_idl_has_error(const char *text, const char *error);
/*
 * Whether an object fits a method's parameters: all members that are not optional, the right types, nothing
 * unknown. 0, -ENOENT without such a method, or -EINVAL with the name of the first member that is wrong, cut
 * to VARLINK_IDL_NAME_MAX - 1 bytes.
 */
int varlink_idl_check_parameters(const char *text, const char *method, const json_t *parameters,
				 char ret_wrong[static VARLINK_IDL_NAME_MAX]);
/* The same for its reply. */
int varlink_idl_check_reply(const char *text, const char *method, const json_t *parameters,
			    char ret_wrong[static VARLINK_IDL_NAME_MAX]);
