/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * A connection as people read it: told from the end that opened it, and how it went in a word. All of it is
 * derived from what a message says of the time it is about. What that does not tell is left out.
 */

#include "common/connection.h"
#include "control/table.h"

enum course {
	COURSE_UNKNOWN,	    /* or just going on: nothing began and nothing ended */
	COURSE_OPENED,	    /* began, was answered, and has not ended */
	COURSE_CLOSED,	    /* by a FIN of both ends */
	COURSE_HALF_CLOSED, /* by a FIN of one end, so far */
	COURSE_RESET,	    /* ended by a RST */
	COURSE_REFUSED,	    /* the SYN was answered by a RST */
	COURSE_HALF_OPEN,   /* the SYN was answered, and nothing followed: a scan, or just begun */
	COURSE_UNANSWERED,  /* nothing came back */
	COURSE_DROPPED,	    /* all that was to be sent, or all that was received, was thrown away here */
	N_COURSES
};

#define COURSE_FLAGS_MAX 18

/*
 * How a flow's connections went, as far as it is the same for all of them. The flow is as messages have it,
 * not turned around.
 */
enum course course_of(const struct flow *flow);

/* "opened", "closed", "half-closed", "reset", "refused", "half-open", "unanswered", "dropped"; "" if unknown.
 */
const char *course_name(enum course course);
/* 0 or -EINVAL. */
int course_parse(const char *text, enum course *ret_course);

/* Yellow for what came to nothing. */
enum table_color course_color(enum course course);

/* Which end opened it is known. */
bool course_has_opener(const struct details *details);
/* The same flow, told from its other end. */
struct flow course_turned(const struct flow *flow);
/*
 * The flow with the end that opened it as the source, and counts, flags and drops such that tx is what the
 * source sent; as it is where the opener is not known.
 */
struct flow course_from_opener(const struct flow *flow);

/* TCP flags as letters, those of the source first: "SFPA/SA", "S/-"; "" for none at all. Returns ret_text. */
char *course_flags(const struct details *details, char ret_text[static COURSE_FLAGS_MAX]);
