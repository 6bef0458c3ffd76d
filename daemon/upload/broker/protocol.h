/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* What the uploader and its broker say to each other, over common/fd_pass.h. */

/* The first byte of a request; a path follows where one is needed. */
enum broker_request {
	BROKER_REQUEST_CONFIG = 'c',
	BROKER_REQUEST_SECRET = 's',
	BROKER_REQUEST_LOG_ID = 'i',
	BROKER_REQUEST_WRITER = 'w', /* a process of its own for the next two, by a socket to it */
	BROKER_REQUEST_LINES = 'l',
	BROKER_REQUEST_ROTATE = 'r',
	BROKER_REQUEST_SPOOL = 'd',
	BROKER_REQUEST_CONNECT = 'u',
	BROKER_REQUEST_NOTIFY = 'n', /* followed by one of the following, as a digit */
};

/* Notifications for the service manager (sd_notify(3)). */
enum broker_notification { BROKER_NOTIFY_READY, BROKER_NOTIFY_RELOADING, BROKER_NOTIFY_STOPPING };
