/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * Cleanup attributes: a local that owns something says so where it is declared, and is released on every way
 * out of the function. TAKE_PTR() and TAKE_FD() mark where ownership passes on.
 */

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define _cleanup_(function) __attribute__((cleanup(function)))

/* Declares <name>p(), a cleanup function for a pointer that is released by <function>(pointer). */
#define DEFINE_CLEANUP(type, function)                                                                       \
	static inline void function##p(type *pointer)                                                        \
	{                                                                                                    \
		if (*pointer)                                                                                \
			function(*pointer);                                                                  \
	}                                                                                                    \
	struct cleanup_needs_semicolon

static inline void cleanup_free(void *pointer)
{
	free(*(void **)pointer);
}

/* Closes a descriptor unless it is negative; keeps errno. Returns -1, to be stored in its place. */
int safe_close(int fd);

static inline void cleanup_close(int *fd)
{
	safe_close(*fd);
}

/* Overwrites a secret in place; does nothing with NULL. */
void wipe_text(char *text);
/* Overwrites and frees it. Returns NULL, to be stored in its place. */
char *wipe_free(char *text);

static inline void cleanup_fclose(FILE **file)
{
	if (*file)
		fclose(*file);
}

#define _cleanup_free_	 _cleanup_(cleanup_free)
#define _cleanup_close_	 _cleanup_(cleanup_close)
#define _cleanup_fclose_ _cleanup_(cleanup_fclose)

#define TAKE_PTR(pointer)                                                                                    \
	({                                                                                                   \
		__typeof__(pointer) *take_from_ = &(pointer);                                                \
		__typeof__(pointer) taken_ = *take_from_;                                                    \
		*take_from_ = NULL;                                                                          \
		taken_;                                                                                      \
	})

#define TAKE_FD(fd)                                                                                          \
	({                                                                                                   \
		int *take_from_ = &(fd);                                                                     \
		int taken_ = *take_from_;                                                                    \
		*take_from_ = -1;                                                                            \
		taken_;                                                                                      \
	})

#define ARRAY_SIZE(array) (sizeof(array) / sizeof((array)[0]))
#define MIN(a, b)	  ((a) < (b) ? (a) : (b))
#define MAX(a, b)	  ((a) > (b) ? (a) : (b))
#define _printf_(f, a)	  __attribute__((format(printf, f, a)))
