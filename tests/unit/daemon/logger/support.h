/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* The logger with devices and clocks of the test's own, and a real spool. */

#include "daemon/logger/logger.h"
#include "daemon/spool/writer.h"
#include "tests/unit/scratch.h"

#include <check.h>
#include <jansson.h>

#define SECOND INT64_C(1000000000)
#define START  (INT64_C(1700000000) * SECOND)

#define STARTED                                                                                                                      \
	"{\"text\":\"netlogd: started, version 0.1.0, tun /x by stats (test), sock /y by stats (test), routes static\","             \
	"\"event\":{\"type\":\"started\",\"version\":\"0.1.0\",\"tun\":{\"device\":\"tun\",\"source\":\"stats\",\"target\":\"/x\"}," \
	"\"sock\":{\"device\":\"sock\",\"source\":\"stats\",\"target\":\"/y\"},\"routes\":\"static\"}}\n"

extern char log_text[4096];		  /* what the devices were told, in order */
extern struct extraction next[2];	  /* by layer: the next extraction */
extern struct extraction next_leaving[2]; /* the same of a device that another one has taken over from */
extern unsigned int state_changes[2];
extern int make_error[2], extract_error[2];
extern bool make_error_once;
extern const char *allowed_ip; /* of a peer, as the sock device knows it; NULL: none */
/* The devices that are made from now on take over from others of their kind on the same interface. */
extern bool takes_over[2];
extern bool made_details[2]; /* whether the device that was made last notes details */
extern int64_t wall, boot;
extern char directory[SCRATCH_MAX], spool_directory[96];
extern struct config *config;
extern struct spool_writer *spool;
extern struct logger *logger;

void logger_setup(void);
void logger_teardown(void);
/* Runs the tests (ended by NULL), each with the fixture. The exit status of main(). */
int logger_run_tests(const char *name, const TTest *const *tests);

/* Adds a connection to the layer's next extraction. */
void will_extract(enum device_layer layer, const char *src, const char *dst, uint64_t packets,
		  uint64_t bytes);
/* The fixture's configuration with more lines. */
struct config *make_config(const char *more);
/* Moves both clocks. */
void pass(int64_t time);
void start(void);
/* Applies the fixture's configuration with another bound and mode. */
void reload(uint32_t max_flows, enum routes_mode mode);
/* All messages in the spool, one per line, without the first "logtail" member. */
char *messages(void);
/* A number in the logger's part of Status. */
json_int_t status_number(const char *part, const char *member);
json_int_t status_packets(const char *layer, const char *counts, const char *member);
