/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * Walks the attributes of netlink messages that may be malformed. Each attribute is checked against its
 * container before it is read, and a value is taken only with its exact size.
 */

#include <errno.h>
#include <libmnl/libmnl.h>
#include <stddef.h>
#include <string.h>

struct netlink_attributes {
	const struct nlattr *next;
	int left;
};

/* The attributes after a message's own header of this many bytes. 0, or -EBADMSG if it is shorter. */
static inline int netlink_attributes_of(const struct nlmsghdr *message, size_t header,
					struct netlink_attributes *ret_attributes)
{
	size_t length = mnl_nlmsg_get_payload_len(message);

	if (length < header)
		return -EBADMSG;
	/* A header at the end of a message may lack its padding. */
	header = MNL_ALIGN(header);
	ret_attributes->next = mnl_nlmsg_get_payload_offset(message, header);
	ret_attributes->left = length > header ? (int)(length - header) : 0;
	return 0;
}

/* The attributes nested in this one. */
static inline struct netlink_attributes netlink_attributes_in(const struct nlattr *attr)
{
	return (struct netlink_attributes){mnl_attr_get_payload(attr), mnl_attr_get_payload_len(attr)};
}

/* 1 with an attribute, 0 at the end, -EBADMSG for one that is longer than its container. */
static inline int netlink_attributes_next(struct netlink_attributes *attributes,
					  const struct nlattr **ret_attr)
{
	const struct nlattr *attr = attributes->next;
	int size;

	if (attributes->left < (int)sizeof(*attr))
		return 0;
	if (!mnl_attr_ok(attr, attributes->left))
		return -EBADMSG;
	size = MNL_ALIGN(attr->nla_len);
	attributes->left -= size;
	attributes->next = (const void *)((const char *)attr + size);
	*ret_attr = attr;
	return 1;
}

/* Copies a payload of exactly this size. 0 or -EBADMSG. */
static inline int netlink_attribute_get(const struct nlattr *attr, void *ret_value, size_t size)
{
	if (mnl_attr_get_payload_len(attr) != size)
		return -EBADMSG;
	memcpy(ret_value, mnl_attr_get_payload(attr), size);
	return 0;
}

/* Copies a text that fits, with or without its final NUL in the attribute. 0 or -EBADMSG. */
static inline int netlink_attribute_get_text(const struct nlattr *attr, char *ret_text, size_t size)
{
	size_t length = strnlen(mnl_attr_get_payload(attr), mnl_attr_get_payload_len(attr));

	if (length >= size)
		return -EBADMSG;
	memcpy(ret_text, mnl_attr_get_payload(attr), length);
	ret_text[length] = '\0';
	return 0;
}
