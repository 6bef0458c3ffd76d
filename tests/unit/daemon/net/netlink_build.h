/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* A netlink message, built as the kernel would. */

#include <libmnl/libmnl.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct built {
	char data[4096] __attribute__((aligned(8)));
	struct nlmsghdr *message;
};

/* Begins a message; returns its own header, of this size. */
static inline void *build(struct built *built, uint16_t type, size_t header)
{
	memset(built, 0, sizeof(*built));
	built->message = mnl_nlmsg_put_header(built->data);
	built->message->nlmsg_type = type;
	built->message->nlmsg_seq = 7;
	built->message->nlmsg_pid = 42;
	return mnl_nlmsg_put_extra_header(built->message, header);
}
