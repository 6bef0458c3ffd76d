/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * netlogctl top: who uses the tunnel now. On a terminal each window replaces the previous one; elsewhere it
 * is a block of lines. A window may come as several messages, one right after the other; it is complete when
 * nothing more comes for a moment.
 */

#include "control/commands/commands.h"

#include "common/message.h"
#include "common/parse.h"
#include "common/time_text.h"
#include "control/daemon_call.h"
#include "control/flow_table.h"
#include "control/table.h"
#include "control/units.h"

#define MOMENT_MS 200

struct top {
	struct ctl *ctl;
	struct flow_choice choice;
	struct node_book *book; /* remembers nodes from window to window */
	struct flow_sum *sum;
	bool pending;	    /* the sum has not been shown yet */
	int64_t start, end; /* of the window in the sum */
	int64_t shown_at;   /* boot time; 0: the page is empty */
	uint64_t windows_left;
	int status;
};

static int print_window_table(struct top *top)
{
	int64_t length = top->end - top->start + 1;
	char start[TIME_TEXT_MAX], duration[UNITS_TEXT_MAX];
	struct ctl *ctl = top->ctl;
	size_t columns, lines;
	int r;

	time_format(top->start, start);
	ctl_terminal_size(ctl, &columns, &lines);
	/* Cursor to the upper left corner, clear the screen. */
	if (ctl->out_is_terminal)
		fputs("\033[H\033[2J", ctl->out);
	print_color(ctl->out, ctl->color, TABLE_BOLD, "%s  %s", start, units_duration(length, duration));
	fputc('\n', ctl->out);
	r = flow_table_print(ctl, top->sum, &top->choice, length, columns, lines > 3 ? lines - 2 : 0);
	if (!ctl->out_is_terminal)
		fputc('\n', ctl->out);
	return r;
}

/* false: that was the last window, or it could not be shown. */
static bool show_window(struct top *top)
{
	if (top->ctl->json)
		top->status = flow_table_print_json(top->ctl, top->sum, &top->choice, top->start, top->end);
	else
		top->status = print_window_table(top);
	top->pending = false;
	top->shown_at = time_now_boot();
	if (fflush(top->ctl->out) != 0)
		return false;
	return top->status == CTL_OK && (top->windows_left == 0 || --top->windows_left > 0);
}

/* Nothing came for a moment: the window is complete, and one that is long past is cleared. */
static bool on_moment(struct top *top)
{
	int64_t length = top->end - top->start;

	if (top->pending)
		return show_window(top);
	if (top->ctl->out_is_terminal && !top->ctl->json && top->shown_at > 0 &&
	    time_now_boot() - top->shown_at > 2 * length + NSEC_PER_SEC) {
		fputs("\033[H\033[2Jno traffic\n", top->ctl->out);
		fflush(top->ctl->out);
		top->shown_at = 0;
	}
	return true;
}

static bool take_message(struct top *top, const struct message *message)
{
	if (!flow_filter_takes_message(&top->choice.filter, message))
		return true;
	if (top->pending && (message->start != top->start || message->end != top->end) && !show_window(top))
		return false;
	if (!top->pending)
		flow_sum_reset(top->sum);
	top->pending = true;
	top->start = message->start;
	top->end = message->end;
	if (node_book_learn(top->book, message) < 0 ||
	    flow_sum_add(top->sum, message, &top->choice.filter) < 0) {
		top->status = ctl_error(top->ctl, "cannot read a message");
		return false;
	}
	return true;
}

static bool on_reply(json_t *parameters, void *userdata)
{
	struct top *top = userdata;
	_cleanup_free_ char *line = NULL;
	struct message message;
	bool go_on;

	if (!parameters)
		return on_moment(top);
	line = json_dumps(json_object_get(parameters, "message"), JSON_COMPACT);
	if (!line || message_parse(line, strlen(line), &message) < 0) {
		top->status = ctl_error(top->ctl, "the daemon sent no message");
		return false;
	}
	go_on = take_message(top, &message);
	message_deinit(&message);
	return go_on;
}

int cmd_top(struct ctl *ctl, int argc, char **argv)
{
	struct flow_options texts = {};
	const char *count = NULL;
	const struct ctl_option options[] = {
		{.name = "by", .value = &texts.by},	  {.name = "class", .value = &texts.class},
		{.name = "addr", .value = &texts.addr},	  {.name = "node", .value = &texts.node},
		{.name = "how", .value = &texts.how},	  {.name = "sort", .value = &texts.sort},
		{.name = "limit", .value = &texts.limit}, {.name = "details", .flag = &texts.details},
		{.name = "count", .value = &count},
	};
	_cleanup_(node_book_freep) struct node_book *book = NULL;
	_cleanup_(flow_sum_freep) struct flow_sum *sum = NULL;
	struct top top = {.ctl = ctl};
	int r;

	if (node_book_new(&book) < 0)
		return ctl_error(ctl, "out of memory");
	r = ctl_options(ctl, argc, argv, options, ARRAY_SIZE(options), 0, 0, NULL);
	if (r == CTL_OK)
		r = flow_options_read(ctl, &texts, book, &top.choice);
	if (r != CTL_OK)
		return r;
	if (count && (parse_u64(count, &top.windows_left) < 0 || top.windows_left == 0))
		return ctl_usage(ctl, "--count: a number of windows");
	if (flow_sum_new(&top.choice.view, book, &sum) < 0)
		return ctl_error(ctl, "out of memory");
	top.book = book;
	top.sum = sum;
	r = ctl_stream(ctl, "Tail", MOMENT_MS, on_reply, &top);
	if (top.pending && r == CTL_OK && top.status == CTL_OK)
		show_window(&top);
	return r != CTL_OK ? r : top.status;
}
