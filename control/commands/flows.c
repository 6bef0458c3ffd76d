/* SPDX-License-Identifier: BSD-3-Clause */
/* netlogctl flows: who talked to whom, from the local spool. */

#include "control/commands/commands.h"

#include "common/message.h"
#include "common/plural.h"
#include "common/spool/reader.h"
#include "control/flow_table.h"
#include "control/spool_source.h"

#include <errno.h>

struct flows_run {
	struct ctl *ctl;
	struct flow_choice choice;
	struct node_book *book;
	struct flow_sum *sum;
	bool lines;	    /* print the messages, not a sum */
	int64_t start, end; /* of the windows in the sum; as in no message before the first */
	size_t n_bad;
	bool no_memory;
};

/* Whether any entry is wanted; a text is, unless what is wanted is said of entries. */
static bool wants_line(const struct flows_run *run, const struct message *message)
{
	const struct flow_filter *filter = &run->choice.filter;
	struct message_entries entries = message_entries(message);
	enum course how = run->choice.view.how;
	bool any = !flow_filter_chooses(filter) && how == COURSE_UNKNOWN;
	enum traffic_class class;
	struct flow flow;

	if (message->text)
		return any && message->client_time >= filter->since && message->client_time <= filter->until;
	if (!flow_filter_takes_message(filter, message))
		return false;
	if (any)
		return true;
	while (message_entries_next(&entries, &class, &flow) > 0)
		if (flow_filter_takes(filter, class, &flow.connection) &&
		    (how == COURSE_UNKNOWN || course_of(&flow) == how))
			return true;
	return false;
}

static void take_message(struct flows_run *run, const struct spool_message *spooled,
			 const struct message *message)
{
	int n = node_book_learn(run->book, message);

	run->no_memory = n < 0;
	if (run->no_memory)
		return;
	if (run->lines) {
		if (wants_line(run, message)) {
			fwrite(spooled->data, 1, spooled->length, run->ctl->out);
			fputc('\n', run->ctl->out);
		}
		return;
	}
	if (!flow_filter_takes_message(&run->choice.filter, message))
		return;
	n = flow_sum_add(run->sum, message, &run->choice.filter);
	if (n > 0) {
		run->start = MIN(run->start, message->start);
		run->end = MAX(run->end, message->end);
	}
	run->n_bad += n == -EBADMSG;
	run->no_memory = n == -ENOMEM;
}

static bool on_message(const struct spool_message *spooled, void *userdata)
{
	struct flows_run *run = userdata;
	struct message message;

	if (message_parse(spooled->data, spooled->length, &message) < 0) {
		run->n_bad++;
		return true;
	}
	take_message(run, spooled, &message);
	message_deinit(&message);
	return !run->no_memory && !ferror(run->ctl->out);
}

static int print_sum(const struct flows_run *run, const char *path)
{
	const struct flow_row *rows;
	size_t n;

	if (flow_sum_sorted(run->sum, &rows, &n) < 0)
		return ctl_error(run->ctl, "out of memory");
	if (n == 0)
		ctl_note(run->ctl, "no such traffic in %s", path);
	if (run->ctl->json)
		return flow_table_print_json(run->ctl, run->sum, &run->choice, run->start, run->end);
	return n > 0 ? flow_table_print(run->ctl, run->sum, &run->choice, 0, 0, 0) : CTL_OK;
}

int cmd_flows(struct ctl *ctl, int argc, char **argv)
{
	struct flow_options texts = {};
	const struct ctl_option options[] = {
		{.name = "since", .value = &texts.since}, {.name = "until", .value = &texts.until},
		{.name = "class", .value = &texts.class}, {.name = "addr", .value = &texts.addr},
		{.name = "node", .value = &texts.node},	  {.name = "by", .value = &texts.by},
		{.name = "how", .value = &texts.how},	  {.name = "sort", .value = &texts.sort},
		{.name = "limit", .value = &texts.limit}, {.name = "details", .flag = &texts.details},
		{.name = "spool", .value = &texts.spool},
	};
	struct flows_run run = {.ctl = ctl, .start = INT64_MAX, .end = INT64_MIN};
	_cleanup_(node_book_freep) struct node_book *book = NULL;
	_cleanup_(flow_sum_freep) struct flow_sum *sum = NULL;
	_cleanup_free_ char *path = NULL;
	_cleanup_close_ int fd = -1;
	int r;

	if (node_book_new(&book) < 0)
		return ctl_error(ctl, "out of memory");
	r = ctl_options(ctl, argc, argv, options, ARRAY_SIZE(options), 0, 0, NULL);
	if (r == CTL_OK)
		r = flow_options_read(ctl, &texts, book, &run.choice);
	if (r == CTL_OK)
		r = spool_source_open(ctl, texts.spool, &path, &fd);
	if (r == CTL_OK && run.choice.filter.wanted)
		r = spool_source_learn(ctl, path, fd, run.choice.filter.since, book);
	if (r != CTL_OK)
		return r;
	if (flow_sum_new(&run.choice.view, book, &sum) < 0)
		return ctl_error(ctl, "out of memory");
	run.book = book;
	run.sum = sum;
	run.lines = ctl->json && !texts.by;
	r = spool_source_read(ctl, path, fd, run.choice.filter.since, on_message, &run);
	if (r != CTL_OK)
		return r;
	if (run.no_memory)
		return ctl_error(ctl, "out of memory");
	if (run.n_bad > 0)
		ctl_note(ctl, "%zu %s in %s could not be read", run.n_bad,
			 plural(run.n_bad, "message", "messages"), path);
	return run.lines ? CTL_OK : print_sum(&run, path);
}
