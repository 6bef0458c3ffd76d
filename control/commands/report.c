/* SPDX-License-Identifier: BSD-3-Clause */
/* netlogctl report: what flows shows, as one HTML page to keep or to send. */

#include "control/commands/commands.h"

#include "common/buffer.h"
#include "common/file.h"
#include "common/message.h"
#include "common/plural.h"
#include "common/spool/reader.h"
#include "common/time_text.h"
#include "control/flow_options.h"
#include "control/html.h"
#include "control/spool_source.h"

#include <errno.h>
#include <fcntl.h>

#define EVENTS_MAX 500

/* Told from the ends that opened the connections, as far as that is known. */
static const struct {
	enum flow_group group;
	const char *heading;
	size_t limit;
} sections[] = {
	{FLOW_BY_CLASS, "Totals", 1},	     {FLOW_BY_SERVICE, "Top destinations", 25},
	{FLOW_BY_CLIENT, "Top sources", 25}, {FLOW_BY_PAIR, "Top pairs", 25},
	{FLOW_BY_PORT, "Ports", 25},	     {FLOW_BY_CONNECTION, "Connections", 100},
};

#define N_SECTIONS ARRAY_SIZE(sections)

struct report {
	struct ctl *ctl;
	struct flow_filter filter;
	struct node_book *book;
	struct flow_sum *sums[N_SECTIONS];
	struct chart chart;
	char *events[EVENTS_MAX]; /* the newest, as a ring */
	uint64_t n_events;
	uint64_t n_messages, n_bad;
	bool no_memory;
};

/* The bytes of a window and the connections that began in it, for the charts. */
static int add_to_chart(struct report *report, const struct message *message)
{
	struct message_entries entries = message_entries(message);
	uint64_t values[N_CHART_SERIES] = {};
	enum traffic_class class;
	struct flow flow;

	while (message_entries_next(&entries, &class, &flow) > 0) {
		bool refused;

		if (!flow_filter_takes(&report->filter, class, &flow.connection))
			continue;
		refused = flow.details.starts > 0 && course_of(&flow) == COURSE_REFUSED;
		values[class] += flow.counts.tx_bytes + flow.counts.rx_bytes;
		values[refused ? CHART_REFUSED : CHART_BEGUN] += flow.details.starts;
	}
	return chart_add(&report->chart, message->start, message->end, values);
}

/* A text message. */
static int add_event(struct report *report, const struct message *message)
{
	char **event = &report->events[report->n_events % EVENTS_MAX];
	char time[TIME_TEXT_MAX] = "";

	if (message->client_time < report->filter.since || message->client_time > report->filter.until)
		return 0;
	if (message->client_time)
		time_format(message->client_time, time);
	free(*event);
	if (asprintf(event, "%s  %s", time, message->text) < 0) {
		*event = NULL;
		return -ENOMEM;
	}
	report->n_events++;
	return 0;
}

/* Of a message whose end cannot be read, all tables and the charts have the beginning, as flows has. */
static int take_message(struct report *report, const struct message *message)
{
	int r, bad = 0;

	if (message->text)
		return add_event(report, message);
	r = node_book_learn(report->book, message);
	if (r < 0)
		return r;
	if (!flow_filter_takes_message(&report->filter, message))
		return 0;
	for (size_t i = 0; i < N_SECTIONS; i++) {
		r = flow_sum_add(report->sums[i], message, &report->filter);
		if (r == -ENOMEM)
			return r;
		bad = MIN(bad, r);
	}
	report->n_messages++;
	r = add_to_chart(report, message);
	return r < 0 ? r : bad;
}

static bool on_message(const struct spool_message *spooled, void *userdata)
{
	struct report *report = userdata;
	struct message message;
	int r;

	r = message_parse(spooled->data, spooled->length, &message);
	if (r == 0) {
		r = take_message(report, &message);
		message_deinit(&message);
	}
	report->n_bad += r == -EBADMSG;
	report->no_memory = r == -ENOMEM;
	return !report->no_memory;
}

static void write_events(const struct report *report, FILE *file)
{
	uint64_t shown = MIN(report->n_events, EVENTS_MAX);

	if (shown == 0)
		return;
	fputs("<h2>Log</h2>\n<ul>\n", file);
	for (uint64_t i = report->n_events - shown; i < report->n_events; i++) {
		fputs("<li>", file);
		html_text(file, report->events[i % EVENTS_MAX]);
		fputs("</li>\n", file);
	}
	fputs("</ul>\n", file);
	if (shown < report->n_events)
		fprintf(file, "<p class=\"note\">and %llu earlier ones</p>\n",
			(unsigned long long)(report->n_events - shown));
}

/* 0; -ENOMEM, and then nothing is written. */
static int write_page(struct report *report, const char *path, FILE *file)
{
	char first[TIME_TEXT_MAX], last[TIME_TEXT_MAX], now[TIME_TEXT_MAX];
	const struct flow_row *rows[N_SECTIONS];
	struct matrix matrix = {};
	size_t n[N_SECTIONS];
	int r;

	for (size_t i = 0; i < N_SECTIONS; i++) {
		r = flow_sum_sorted(report->sums[i], &rows[i], &n[i]);
		if (r == 0 && sections[i].group == FLOW_BY_PAIR)
			r = matrix_make(rows[i], n[i], &matrix);
		if (r < 0)
			return r;
	}
	time_format(report->chart.first, first);
	time_format(report->chart.last, last);
	time_format(time_now_wall(), now);
	html_begin(file, "netlogd report");
	fprintf(file, "<p>%llu %s from %s to %s, spool <code>", (unsigned long long)report->n_messages,
		plural(report->n_messages, "message", "messages"), report->n_messages ? first : "–",
		report->n_messages ? last : "–");
	html_text(file, path);
	fprintf(file,
		"</code>; written %s. Physical traffic carries the other classes: do not add it to them.</p>\n",
		now);
	if (report->n_bad > 0)
		fprintf(file, "<p class=\"note\">%llu %s could not be read.</p>\n",
			(unsigned long long)report->n_bad, plural(report->n_bad, "message", "messages"));
	if (report->n_messages > 0)
		html_chart(file, &report->chart);
	for (size_t i = 0; i < N_SECTIONS; i++) {
		html_rows(file, sections[i].heading, sections[i].group, rows[i], n[i], sections[i].limit);
		if (sections[i].group == FLOW_BY_PAIR)
			html_matrix(file, &matrix);
	}
	write_events(report, file);
	html_end(file);
	return 0;
}

/* Writes the whole file or none; output "-" or NULL is standard output. */
static int write_report(struct report *report, const char *path, const char *output)
{
	_cleanup_free_ char *page = NULL;
	struct ctl *ctl = report->ctl;
	FILE *file;
	size_t n;
	int r;

	if (!output || strcmp(output, "-") == 0)
		return write_page(report, path, ctl->out) < 0 ? ctl_error(ctl, "out of memory") : CTL_OK;
	file = open_memstream(&page, &n);
	if (!file)
		return ctl_error(ctl, "out of memory");
	r = write_page(report, path, file);
	if (fclose(file) != 0 || r < 0)
		return ctl_error(ctl, "out of memory");
	/* It says who talked to whom: private. */
	r = file_write_atomic(AT_FDCWD, output, page, n, 0600);
	if (r < 0)
		return ctl_error(ctl, "%s: %s", output, strerror(-r));
	ctl_note(ctl, "%s written", output);
	return CTL_OK;
}

static void report_deinit(struct report *report)
{
	for (size_t i = 0; i < N_SECTIONS; i++)
		flow_sum_free(report->sums[i]);
	node_book_free(report->book);
	for (size_t i = 0; i < EVENTS_MAX; i++)
		free(report->events[i]);
	chart_deinit(&report->chart);
}

int cmd_report(struct ctl *ctl, int argc, char **argv)
{
	struct flow_options texts = {};
	const char *output = NULL;
	const struct ctl_option options[] = {
		{.name = "since", .value = &texts.since}, {.name = "until", .value = &texts.until},
		{.name = "class", .value = &texts.class}, {.name = "addr", .value = &texts.addr},
		{.name = "node", .value = &texts.node},	  {.name = "spool", .value = &texts.spool},
		{.name = "output", .value = &output},
	};
	_cleanup_(report_deinit) struct report report = {.ctl = ctl};
	_cleanup_free_ char *path = NULL;
	_cleanup_close_ int fd = -1;
	struct flow_choice choice;
	int r;

	if (node_book_new(&report.book) < 0)
		return ctl_error(ctl, "out of memory");
	r = ctl_options(ctl, argc, argv, options, ARRAY_SIZE(options), 0, 0, NULL);
	if (r == CTL_OK)
		r = flow_options_read(ctl, &texts, report.book, &choice);
	if (r != CTL_OK)
		return r;
	if (!output && ctl->out_is_terminal)
		return ctl_usage(ctl, "not printing HTML to a terminal; use --output FILE");
	report.filter = choice.filter;
	r = spool_source_open(ctl, texts.spool, &path, &fd);
	if (r == CTL_OK && report.filter.wanted)
		r = spool_source_learn(ctl, path, fd, report.filter.since, report.book);
	if (r != CTL_OK)
		return r;
	for (size_t i = 0; i < N_SECTIONS; i++)
		if (flow_sum_new(&(struct flow_view){.group = sections[i].group}, report.book,
				 &report.sums[i]) < 0)
			return ctl_error(ctl, "out of memory");
	r = spool_source_read(ctl, path, fd, report.filter.since, on_message, &report);
	if (r != CTL_OK)
		return r;
	if (report.no_memory)
		return ctl_error(ctl, "out of memory");
	return write_report(&report, path, output);
}
