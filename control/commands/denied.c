/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * netlogctl denied: who was refused what. Live, window by window, or from the spool when a time is asked for.
 * A window may come as several messages; it is complete when nothing more comes for a moment.
 */

#include "control/commands/commands.h"

#include "common/message.h"
#include "common/parse.h"
#include "common/plural.h"
#include "common/spool/reader.h"
#include "common/time_text.h"
#include "control/daemon_call.h"
#include "control/denied_sum.h"
#include "control/flow_options.h"
#include "control/message_table.h"
#include "control/spool_source.h"
#include "control/table.h"
#include "control/units.h"

#include <errno.h>
#include <string.h>

#define MOMENT_MS 200

struct denied {
	struct ctl *ctl;
	struct flow_choice choice;
	bool resolve;
	struct node_book *book; /* remembers nodes from window to window */
	struct denied_sum *sum;
	bool live, pending; /* pending: the window in the sum has not been shown yet */
	int64_t start, end; /* of the windows in the sum */
	uint64_t windows_left;
	size_t n_bad;
	int status;
};

/* ---- output ---------------------------------------------------------------------------------------- */

static json_t *row_json(const struct denied_row *row)
{
	_cleanup_free_ char *from = endpoint_text(&(struct endpoint){.address = row->from}, NULL);
	_cleanup_free_ char *to = endpoint_text(&row->to, NULL);
	char first[TIME_TEXT_MAX], last[TIME_TEXT_MAX];

	json_t *object;

	if (!from || !to)
		return NULL;
	time_format(row->first, first);
	time_format(row->last, last);
	object = json_pack("{ss si ss ss ss* ss* ss sI sI ss ss}", "class", traffic_class_name(row->class),
			   "proto", (int)row->proto, "from", from, "to", to, "fromName",
			   book_node_name(row->from_node), "toName", book_node_name(row->to_node), "reason",
			   row->reason, "txDrops", (json_int_t)row->sent, "rxDrops",
			   (json_int_t)row->received, "first", first, "last", last);
	if (row->from_node)
		json_object_set_new(object, "fromNode", book_node_json(row->from_node));
	if (row->to_node)
		json_object_set_new(object, "toNode", book_node_json(row->to_node));
	return object;
}

static int print_json(struct denied *denied)
{
	char start[TIME_TEXT_MAX], end[TIME_TEXT_MAX];
	json_auto_t *window = NULL;
	const struct denied_row *row;
	json_t *rows;
	size_t n;

	if (denied_sum_sorted(denied->sum, &row, &n) < 0)
		return ctl_error(denied->ctl, "out of memory");
	rows = json_array();
	for (size_t i = 0; i < n && (denied->choice.limit == 0 || i < denied->choice.limit); i++)
		json_array_append_new(rows, row_json(&row[i]));
	time_format(denied->start, start);
	time_format(denied->end, end);
	window = json_pack("{ss ss so}", "start", start, "end", end, "rows", rows);
	return ctl_print_json(denied->ctl, window);
}

/* What is of a node with several addresses is of none of them: it has the node's name without --resolve too.
 */
static void add_row(struct denied *denied, struct table *table, const struct denied_row *row)
{
	const char *from_label =
		denied->resolve || row->from_several ? book_node_label(row->from_node) : NULL;
	const char *to_label = denied->resolve || row->to_several ? book_node_label(row->to_node) : NULL;
	_cleanup_free_ char *from = endpoint_text(&(struct endpoint){.address = row->from}, from_label);
	_cleanup_free_ char *to = endpoint_text(&row->to, to_label);
	char proto[PROTO_TEXT_MAX], packets[UNITS_TEXT_MAX], last[TIME_TEXT_MAX];

	time_format(row->last - row->last % NSEC_PER_SEC, last);
	table_cell(table, "%s", proto_text(row->proto, proto));
	table_cell(table, "%s", from ? from : "");
	table_cell(table, "%s", to ? to : "");
	table_cell(table, "%s", row->received ? units_count(row->received, packets) : "-");
	table_cell(table, "%s", row->sent ? units_count(row->sent, packets) : "-");
	table_cell(table, "%s", row->reason);
	/* Live, the line above says when. */
	table_cell(table, "%s", denied->live ? "" : last);
}

static int print_table(struct denied *denied)
{
	static const struct table_column columns[] = {
		{"PROTO", TABLE_LEFT},	     {"FROM", TABLE_LEFT},	  {"TO", TABLE_LEFT},
		{"RX DROPPED", TABLE_RIGHT}, {"TX DROPPED", TABLE_RIGHT}, {"REASON", TABLE_LEFT},
		{"LAST", TABLE_LEFT},
	};
	_cleanup_(table_freep) struct table *table = NULL;
	const struct denied_row *rows;
	size_t n, shown;

	if (table_new(columns, ARRAY_SIZE(columns), &table) < 0)
		return ctl_error(denied->ctl, "out of memory");
	if (denied_sum_sorted(denied->sum, &rows, &n) < 0)
		return ctl_error(denied->ctl, "out of memory");
	shown = denied->choice.limit > 0 ? MIN(n, denied->choice.limit) : n;
	for (size_t i = 0; i < shown; i++)
		add_row(denied, table, &rows[i]);
	if (table_print(table, denied->ctl->out, denied->ctl->color, 0) < 0)
		return ctl_error(denied->ctl, "out of memory");
	if (shown < n)
		fprintf(denied->ctl->out, "… and %zu more\n", n - shown);
	if (denied_sum_beyond(denied->sum) > 0)
		ctl_note(denied->ctl, "too many different rows: %llu %s left out (choose a shorter time)",
			 (unsigned long long)denied_sum_beyond(denied->sum),
			 plural(denied_sum_beyond(denied->sum), "entry was", "entries were"));
	return CTL_OK;
}

/* ---- live ------------------------------------------------------------------------------------------ */

/* false: that was the last window, or it could not be shown. */
static bool show_window(struct denied *denied)
{
	struct ctl *ctl = denied->ctl;
	char start[TIME_TEXT_MAX];

	denied->pending = false;
	if (ctl->json) {
		denied->status = print_json(denied);
	} else {
		time_format(denied->start, start);
		print_color(ctl->out, ctl->color, TABLE_BOLD, "%s", start);
		fputc('\n', ctl->out);
		denied->status = print_table(denied);
		fputc('\n', ctl->out);
	}
	if (fflush(ctl->out) != 0)
		return false;
	return denied->status == CTL_OK && (denied->windows_left == 0 || --denied->windows_left > 0);
}

/* Windows without drops show nothing. */
static bool take_live(struct denied *denied, const struct message *message)
{
	int n;

	if (!flow_filter_takes_message(&denied->choice.filter, message))
		return true;
	if (denied->pending && (message->start != denied->start || message->end != denied->end) &&
	    !show_window(denied))
		return false;
	if (!denied->pending)
		denied_sum_reset(denied->sum);
	n = node_book_learn(denied->book, message);
	if (n == 0)
		n = denied_sum_add(denied->sum, message, &denied->choice.filter);
	if (n < 0) {
		denied->status = ctl_error(denied->ctl, "cannot read a message");
		return false;
	}
	denied->pending = denied->pending || n > 0;
	denied->start = message->start;
	denied->end = message->end;
	return true;
}

static bool on_reply(json_t *parameters, void *userdata)
{
	struct denied *denied = userdata;
	_cleanup_free_ char *line = NULL;
	struct message message;
	bool go_on;

	if (!parameters)
		return !denied->pending || show_window(denied);
	line = json_dumps(json_object_get(parameters, "message"), JSON_COMPACT);
	if (!line || message_parse(line, strlen(line), &message) < 0) {
		denied->status = ctl_error(denied->ctl, "the daemon sent no message");
		return false;
	}
	go_on = take_live(denied, &message);
	message_deinit(&message);
	return go_on;
}

/* Says why nothing will be shown, if the daemon does not count dropped packets. */
static void note_not_counting(struct ctl *ctl, const json_t *status)
{
	const json_t *drops = json_object_get(status, "drops");
	const char *state = json_text(drops, "state");

	if (!json_flag(status, "running"))
		ctl_note(ctl, "nothing is counted: the logger is stopped; \"netlogctl start\" starts it");
	else if (!json_is_object(drops))
		ctl_note(ctl, "this daemon does not count dropped packets (another version?)");
	else if (strcmp(state, "off") == 0)
		ctl_note(ctl, "dropped packets are not counted (drops = no)");
	else if (strcmp(state, "unavailable") == 0)
		ctl_note(ctl, "dropped packets are not counted: %s", json_text(drops, "reason"));
	else if (strcmp(state, "waiting") == 0)
		ctl_note(ctl,
			 "dropped packets are not counted: the tun device (source %s) has no interface now "
			 "whose packets it sees",
			 json_text(json_object_get(status, "tun"), "source"));
}

static int check_counting(struct denied *denied)
{
	json_auto_t *reply = NULL;
	int r = ctl_call(denied->ctl, "Status", NULL, CTL_CALL_TIMEOUT_MS, &reply);

	if (r == CTL_OK)
		note_not_counting(denied->ctl, json_object_get(reply, "status"));
	return r;
}

static int run_live(struct denied *denied)
{
	int r = check_counting(denied);

	if (r == CTL_OK)
		r = ctl_stream(denied->ctl, "Tail", MOMENT_MS, on_reply, denied);
	if (denied->pending && r == CTL_OK && denied->status == CTL_OK)
		show_window(denied);
	return r != CTL_OK ? r : denied->status;
}

/* ---- from the spool -------------------------------------------------------------------------------- */

static bool on_message(const struct spool_message *spooled, void *userdata)
{
	struct denied *denied = userdata;
	struct message message;
	int n;

	if (message_parse(spooled->data, spooled->length, &message) < 0) {
		denied->n_bad++;
		return true;
	}
	n = node_book_learn(denied->book, &message);
	if (n == 0 && flow_filter_takes_message(&denied->choice.filter, &message))
		n = denied_sum_add(denied->sum, &message, &denied->choice.filter);
	if (n > 0) {
		denied->start = denied->pending ? MIN(denied->start, message.start) : message.start;
		denied->end = denied->pending ? MAX(denied->end, message.end) : message.end;
		denied->pending = true;
	}
	denied->n_bad += n == -EBADMSG;
	if (n == -ENOMEM)
		denied->status = ctl_error(denied->ctl, "out of memory");
	message_deinit(&message);
	return denied->status == CTL_OK;
}

static int run_spool(struct denied *denied, const char *spool)
{
	_cleanup_free_ char *path = NULL;
	_cleanup_close_ int fd = -1;
	int r = spool_source_open(denied->ctl, spool, &path, &fd);

	if (r == CTL_OK && denied->choice.filter.wanted)
		r = spool_source_learn(denied->ctl, path, fd, denied->choice.filter.since, denied->book);
	if (r == CTL_OK)
		r = spool_source_read(denied->ctl, path, fd, denied->choice.filter.since, on_message, denied);
	if (r != CTL_OK || denied->status != CTL_OK)
		return r != CTL_OK ? r : denied->status;
	if (denied->n_bad > 0)
		ctl_note(denied->ctl, "%zu %s in %s could not be read", denied->n_bad,
			 plural(denied->n_bad, "message", "messages"), path);
	if (!denied->pending) {
		ctl_note(denied->ctl, "no dropped packets in %s: nothing was dropped, or it was not counted",
			 path);
		return CTL_OK;
	}
	return denied->ctl->json ? print_json(denied) : print_table(denied);
}

int cmd_denied(struct ctl *ctl, int argc, char **argv)
{
	struct flow_options texts = {};
	struct denied denied = {.ctl = ctl};
	const char *count = NULL;
	const struct ctl_option options[] = {
		{.name = "since", .value = &texts.since},     {.name = "until", .value = &texts.until},
		{.name = "class", .value = &texts.class},     {.name = "addr", .value = &texts.addr},
		{.name = "node", .value = &texts.node},	      {.name = "limit", .value = &texts.limit},
		{.name = "spool", .value = &texts.spool},     {.name = "count", .value = &count},
		{.name = "resolve", .flag = &denied.resolve},
	};
	_cleanup_(node_book_freep) struct node_book *book = NULL;
	_cleanup_(denied_sum_freep) struct denied_sum *sum = NULL;
	int r;

	if (node_book_new(&book) < 0)
		return ctl_error(ctl, "out of memory");
	r = ctl_options(ctl, argc, argv, options, ARRAY_SIZE(options), 0, 0, NULL);
	if (r == CTL_OK)
		r = flow_options_read(ctl, &texts, book, &denied.choice);
	if (r != CTL_OK)
		return r;
	denied.live = !texts.since && !texts.until && !texts.spool;
	if (count && (!denied.live || parse_u64(count, &denied.windows_left) < 0 || denied.windows_left == 0))
		return ctl_usage(ctl, "--count: a number of windows, without --since, --until and --spool");
	if (denied_sum_new(book, &sum) < 0)
		return ctl_error(ctl, "out of memory");
	denied.book = book;
	denied.sum = sum;
	return denied.live ? run_live(&denied) : run_spool(&denied, texts.spool);
}
