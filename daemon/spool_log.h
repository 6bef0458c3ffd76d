/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* What happens to the spool, told when it begins: to the operator in the daemon's log, and as text messages
 * to those who read what is logged. */

struct daemon;
struct spool_loss;

/* What an operator is told of an error of the spool. Static, until the next call of strerror(). */
const char *spool_error_text(int error);
/* The spool's status has changed: its error, or how much of it was removed. */
void spool_log_changed(struct daemon *daemon);
/* Messages were lost before the spool, which works again. */
void spool_log_lost(struct daemon *daemon, const struct spool_loss *loss);
/* Messages were stored: the note of a loss goes once the message that tells it is synced. */
void spool_log_stored(struct daemon *daemon);
