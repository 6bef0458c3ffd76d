/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A classic BPF program (man 7 socket, SO_ATTACH_FILTER; the kernel's
 * Documentation/networking/filter.rst): the kernel sends each notification as a datagram of its own. The
 * program loads in network byte order, netlink is in the host's.
 */

#include "daemon/net/route_filter.h"

#include "common/cleanup.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/if_addr.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#define LOAD_HALF(offset) BPF_STMT(BPF_LD | BPF_H | BPF_ABS, (offset))
#define LOAD_WORD(offset) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (offset))
#define RETURN(length)	  BPF_STMT(BPF_RET | BPF_K, (length))

/* The instruction at this place continues at one of two others. */
#define JUMP(at, test, k, yes, no)                                                                           \
	BPF_JUMP(BPF_JMP | (test) | BPF_K, (k), (uint8_t)((yes) - (at)-1), (uint8_t)((no) - (at)-1))

/* Three instructions: the offset of a route's attribute, 0 if it has none. */
#define FIND_ATTRIBUTE(type)                                                                                 \
	BPF_STMT(BPF_LD | BPF_IMM, NLMSG_HDRLEN + NLMSG_ALIGN(sizeof(struct rtmsg))),                        \
		BPF_STMT(BPF_LDX | BPF_IMM, (type)),                                                         \
		BPF_STMT(BPF_LD | BPF_B | BPF_ABS, (uint32_t)(SKF_AD_OFF + SKF_AD_NLATTR))

_Static_assert(offsetof(struct ifinfomsg, ifi_index) == offsetof(struct ifaddrmsg, ifa_index),
	       "links and addresses have their index in the same place");

/* Where the parts of the program begin. */
enum { INDEX = 6, ROUTE = 8, MULTIPATH = 17, NEXTHOP = 21, ACCEPT = 25, REJECT = 26 };

int route_filter_attach(int fd, unsigned int index, bool every_address)
{
	struct sock_filter code[] = {
		LOAD_HALF(offsetof(struct nlmsghdr, nlmsg_type)),
		JUMP(1, BPF_JEQ, htons(RTM_NEWROUTE), ROUTE, 2),
		JUMP(2, BPF_JEQ, htons(RTM_DELROUTE), ROUTE, 3),
		JUMP(3, BPF_JEQ, htons(RTM_NEWLINK), INDEX, 4),
		JUMP(4, BPF_JEQ, htons(RTM_DELLINK), INDEX, 5),
		JUMP(5, BPF_JEQ, htons(RTM_NEWADDR), every_address ? ACCEPT : INDEX, ACCEPT),
		[INDEX] = LOAD_WORD(NLMSG_HDRLEN + offsetof(struct ifinfomsg, ifi_index)),
		JUMP(7, BPF_JEQ, htonl(index), ACCEPT, REJECT),
		[ROUTE] = LOAD_HALF(offsetof(struct nlmsghdr, nlmsg_flags)),
		JUMP(9, BPF_JSET, htons(NLM_F_REPLACE), ACCEPT, 10),
		FIND_ATTRIBUTE(RTA_OIF),
		JUMP(13, BPF_JEQ, 0, MULTIPATH, 14),
		BPF_STMT(BPF_MISC | BPF_TAX, 0),
		BPF_STMT(BPF_LD | BPF_W | BPF_IND, NLA_HDRLEN),
		JUMP(16, BPF_JEQ, htonl(index), ACCEPT, REJECT),
		[MULTIPATH] = FIND_ATTRIBUTE(RTA_MULTIPATH),
		JUMP(20, BPF_JEQ, 0, NEXTHOP, ACCEPT),
		[NEXTHOP] = FIND_ATTRIBUTE(RTA_NH_ID),
		JUMP(24, BPF_JEQ, 0, REJECT, ACCEPT),
		[ACCEPT] = RETURN(UINT32_MAX),
		[REJECT] = RETURN(0),
	};
	struct sock_fprog program = {.len = ARRAY_SIZE(code), .filter = code};

	return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program)) < 0 ? -errno : 0;
}
