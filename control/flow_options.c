/* SPDX-License-Identifier: BSD-3-Clause */
/* What flows, report and top take in common, checked in one place. */

#include "control/flow_options.h"

#include "common/parse.h"
#include "common/time_text.h"
#include "control/ctl.h"
#include "control/when.h"

#include <string.h>

/* An address that is too long for one is a mistake, and no node's name; ids may have a slash. */
static bool looks_like_prefix(const char *text)
{
	char address[ADDRESS_TEXT_MAX];
	size_t n = strcspn(text, "/");
	struct address parsed;

	if (n == 0 || text[n] != '/' || n >= sizeof(address))
		return false;
	memcpy(address, text, n);
	address[n] = '\0';
	return address_parse(address, &parsed) == 0;
}

/* --addr and --node. */
static int read_ends(struct ctl *ctl, const struct flow_options *options, struct node_book *book,
		     struct flow_filter *filter)
{
	filter->book = book;
	filter->has_prefix =
		options->addr && *options->addr && prefix_parse(options->addr, &filter->prefix) == 0;
	if (filter->has_prefix)
		filter->prefix = prefix_masked(&filter->prefix);
	else if (options->addr && (!*options->addr || looks_like_prefix(options->addr)))
		return ctl_usage(ctl, "--addr: \"%s\" is not an address, a prefix or a node's name",
				 options->addr);
	else if (options->addr)
		filter->wanted |= node_book_want(book, options->addr);
	if (options->node && !*options->node)
		return ctl_usage(ctl, "--node: a node's name, nodeId or address");
	if (options->node)
		filter->wanted |= node_book_want(book, options->node);
	return CTL_OK;
}

int flow_options_read(struct ctl *ctl, const struct flow_options *options, struct node_book *book,
		      struct flow_choice *ret_choice)
{
	static const char hint[] =
		"like 2026-11-22T20:00:00Z, \"2026-11-22 20:00\" (UTC), today, or 10m (ago)";
	struct flow_choice choice = {
		.filter = {.since = INT64_MIN, .until = INT64_MAX},
		.limit = ctl->out_is_terminal ? 50 : 0,
		.details = options->details,
	};
	struct flow_filter *filter = &choice.filter;
	int64_t now = time_now_wall();
	uint64_t limit;

	if (options->since && when_parse(options->since, now, &filter->since) < 0)
		return ctl_usage(ctl, "--since: \"%s\" is not a time (%s)", options->since, hint);
	if (options->until && when_parse(options->until, now, &filter->until) < 0)
		return ctl_usage(ctl, "--until: \"%s\" is not a time (%s)", options->until, hint);
	if (filter->since > filter->until)
		return ctl_usage(ctl, "--until is before --since");
	filter->has_class = options->class != NULL;
	if (options->class && traffic_class_parse(options->class, &filter->class) < 0)
		return ctl_usage(ctl, "--class: one of virtual, subnet, exit, physical");
	if (read_ends(ctl, options, book, filter) != CTL_OK)
		return CTL_USAGE;
	if (options->by && flow_group_parse(options->by, &choice.view.group) < 0)
		return ctl_usage(ctl,
				 "--by: one of connection, node, peer, pair, client, service, port, class");
	if (options->how && course_parse(options->how, &choice.view.how) < 0)
		return ctl_usage(ctl, "--how: one of opened, closed, half-closed, reset, refused, half-open, "
				      "unanswered, dropped");
	if (options->sort && flow_sort_parse(options->sort, &choice.view.sort) < 0)
		return ctl_usage(ctl, "--sort: one of bytes, packets, begun, refused, dropped");
	if (options->limit && (parse_u64(options->limit, &limit) < 0 || limit > SIZE_MAX))
		return ctl_usage(ctl, "--limit: a number (0 for all)");
	if (options->limit)
		choice.limit = (size_t)limit;
	*ret_choice = choice;
	return CTL_OK;
}
