/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* A broker with a configuration of two sinks, and files of root and of the uploader's user for it to open. */

#include "common/config/config.h"
#include "daemon/upload/broker/broker.h"
#include "tests/unit/scratch.h"

#define THEIRS 65533 /* the uploader's user */

extern char root[SCRATCH_MAX];
extern struct config config;
extern struct sink_config sinks[2];
extern struct broker *broker;
extern int writer;

void broker_setup(void);
void broker_teardown(void);
void start_broker(void);

/* A path below root; 16 of them stay valid. */
char *path_of(const char *name);
void make_file(const char *name, const char *content, mode_t mode, uid_t owner);
void make_directory(const char *name, mode_t mode, uid_t owner);
void make_link(const char *target, const char *name, uid_t owner);
