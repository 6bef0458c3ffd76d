/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * Questions that are answered with descriptors (SCM_RIGHTS, unix(7)), on a socket of sequenced packets: how
 * a process without rights gets what another one opens for it. One question at a time on a socket.
 */

#include <stddef.h>

#define FD_PASS_MAX	     2	  /* descriptors in an answer */
#define FD_PASS_QUESTION_MAX 4200 /* bytes: a path, and what is to be done with it */

/*
 * Asks, and waits for the answer: its result, 0 or more, with the descriptors that came with it
 * (close-on-exec; -1 where fewer came); -errno as answered; -EMFILE without room for them; -EPIPE when nobody
 * answers any more. After an error of the socket it is shut down, so that no answer is taken for another.
 */
int fd_ask(int socket_fd, const void *question, size_t size, int ret_fds[static FD_PASS_MAX]);

/* The next question, which ends with a NUL that is not counted: its size; 0 when nobody asks any more;
 * -errno. */
int fd_next_question(int socket_fd, char ret_question[static FD_PASS_QUESTION_MAX + 1]);
/* Answers it. The descriptors stay the caller's; those that are -1 are left out. 0 or -errno. */
int fd_answer(int socket_fd, int result, const int fds[static FD_PASS_MAX]);
