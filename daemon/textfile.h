/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* The file of metrics-textfile. */

struct daemon;

/*
 * Replaces the file, soon; an error is logged once while it lasts. Takes the text, also when it fails. Not
 * while daemon->textfile_pending. 0, -ENOMEM, or -EAGAIN.
 */
int textfile_write(struct daemon *daemon, char *text);
