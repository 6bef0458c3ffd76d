/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * HTML and SVG written directly: a report may be read years later in a browser without a network, so it has
 * no script, no font and no image.
 */

#include "control/html.h"

#include "common/cleanup.h"
#include "common/plural.h"
#include "common/time_text.h"
#include "control/flow_table.h"
#include "control/table.h"
#include "control/units.h"

#define CHART_WIDTH  960
#define CHART_HEIGHT 220
#define CHART_BARS   96

void html_text(FILE *file, const char *text)
{
	_cleanup_free_ char *clean = text_for_terminal(text);

	for (const char *c = clean; c && *c; c++) {
		switch (*c) {
		case '&':
			fputs("&amp;", file);
			break;
		case '<':
			fputs("&lt;", file);
			break;
		case '>':
			fputs("&gt;", file);
			break;
		case '"':
			fputs("&quot;", file);
			break;
		case '\'':
			fputs("&#39;", file);
			break;
		default:
			fputc(*c, file);
		}
	}
}

static const char style[] =
	":root{color-scheme:light dark;--virtual:#2f6fde;--subnet:#2a9d6f;--exit:#d98324;--refused:#c8443c;--line:#8884}"
	"body{font:15px/1.5 system-ui,sans-serif;max-width:75rem;margin:2rem auto;padding:0 1rem}"
	"h1{font-size:1.5rem}h2{font-size:1.15rem;margin-top:2.2rem}"
	"table{border-collapse:collapse;font-variant-numeric:tabular-nums}"
	"th,td{padding:.2rem .8rem;text-align:right;border-bottom:1px solid var(--line)}"
	"th{font-weight:600}td.t,th.t{text-align:left;overflow-wrap:anywhere}"
	".wide{overflow-x:auto}"
	"svg{width:100%;height:auto}svg text{font-size:11px;fill:currentColor}"
	".virtual{fill:var(--virtual);color:var(--virtual)}.subnet{fill:var(--subnet);color:var(--subnet)}"
	".exit{fill:var(--exit);color:var(--exit)}.begun{fill:var(--virtual);color:var(--virtual)}"
	".refused{fill:var(--refused);color:var(--refused)}.note{opacity:.7}";

void html_begin(FILE *file, const char *title)
{
	fputs("<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
	      "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src "
	      "'unsafe-inline'\">\n"
	      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>",
	      file);
	html_text(file, title);
	fprintf(file, "</title>\n<style>%s</style>\n</head>\n<body>\n<h1>", style);
	html_text(file, title);
	fputs("</h1>\n", file);
}

void html_end(FILE *file)
{
	fputs("</body>\n</html>\n", file);
}

/* Which of the columns about how connections went have anything to say. */
struct course_columns {
	bool how, begun, refused, dropped;
};

static struct course_columns course_columns(enum flow_group group, const struct flow_row *rows, size_t n)
{
	bool one = group == FLOW_BY_CONNECTION;
	struct course_columns columns = {};

	for (size_t i = 0; i < n; i++) {
		columns.how = columns.how || (one && flow_row_course(&rows[i]) != COURSE_UNKNOWN);
		columns.begun = columns.begun || (!one && rows[i].starts > 0);
		columns.refused = columns.refused || (!one && rows[i].refused > 0);
		columns.dropped = columns.dropped || rows[i].tx_drops > 0 || rows[i].rx_drops > 0;
	}
	return columns;
}

static void write_count(FILE *file, bool shown, uint64_t count)
{
	char text[UNITS_TEXT_MAX];

	if (shown)
		fprintf(file, "<td>%s</td>", count > 0 ? units_count(count, text) : "");
}

static void write_row(FILE *file, enum flow_group group, const struct flow_row *row,
		      const struct course_columns *columns)
{
	_cleanup_free_ char *label = flow_row_label(group, row, true);
	const struct flow flow = flow_row_flow(row);
	const struct flow told = flow_group_has_ends(group) ? course_from_opener(&flow) : flow;
	char text[UNITS_TEXT_MAX];

	fprintf(file, "<tr><td class=\"t\">%s</td>", traffic_class_name(row->class));
	if (group != FLOW_BY_CLASS) {
		fputs("<td class=\"t\">", file);
		html_text(file, label ? label : "");
		fputs("</td>", file);
	}
	fprintf(file, "<td>%s</td>", units_bytes(told.counts.tx_bytes, text));
	fprintf(file, "<td>%s</td>", units_bytes(told.counts.rx_bytes, text));
	fprintf(file, "<td>%s</td>", units_packets(told.counts.tx_packets, told.counts.tx_bytes, text));
	fprintf(file, "<td>%s</td>", units_packets(told.counts.rx_packets, told.counts.rx_bytes, text));
	if (columns->how)
		fprintf(file, "<td class=\"t\">%s</td>", course_name(flow_row_course(row)));
	write_count(file, columns->begun, row->starts);
	write_count(file, columns->refused, row->refused);
	write_count(file, columns->dropped, row->tx_drops + row->rx_drops);
	fputs("</tr>\n", file);
}

void html_rows(FILE *file, const char *heading, enum flow_group group, const struct flow_row *rows, size_t n,
	       size_t limit)
{
	static const char *const who[] = {
		[FLOW_BY_CONNECTION] = "<th class=\"t\">Connection</th>",
		[FLOW_BY_NODE] = "<th class=\"t\">Node</th>",
		[FLOW_BY_PEER] = "<th class=\"t\">Peer</th>",
		[FLOW_BY_PAIR] = "<th class=\"t\">Pair</th>",
		[FLOW_BY_PORT] = "<th class=\"t\">Port</th>",
		[FLOW_BY_CLASS] = "",
		[FLOW_BY_SERVICE] = "<th class=\"t\">Service</th>",
		[FLOW_BY_CLIENT] = "<th class=\"t\">Client</th>",
	};
	struct course_columns columns = course_columns(group, rows, n);
	size_t in_class = 0, hidden = 0;

	fputs("<h2>", file);
	html_text(file, heading);
	/* What has two ends is told from the one that opened it, which may be either. */
	fprintf(file, "</h2>\n<table>\n<tr><th class=\"t\">Class</th>%s%s%s%s%s%s</tr>\n", who[group],
		flow_group_has_ends(group)
			? "<th>Bytes &gt;</th><th>Bytes &lt;</th><th>Packets &gt;</th><th>Packets &lt;</th>"
			: "<th>Sent</th><th>Received</th><th>Packets sent</th><th>Packets received</th>",
		columns.how ? "<th class=\"t\">How</th>" : "", columns.begun ? "<th>Begun</th>" : "",
		columns.refused ? "<th>Refused</th>" : "", columns.dropped ? "<th>Dropped</th>" : "");
	for (size_t i = 0; i < n; i++) {
		in_class = flow_row_place(rows, i, in_class);
		if (in_class > limit)
			hidden++;
		else
			write_row(file, group, &rows[i], &columns);
	}
	fputs("</table>\n", file);
	if (hidden > 0)
		fprintf(file, "<p class=\"note\">… and %zu more</p>\n", hidden);
}

static void write_end(FILE *file, const struct matrix *matrix, size_t i, const char *scope)
{
	char address[ADDRESS_TEXT_MAX];

	fprintf(file, "<th class=\"t\" scope=\"%s\">", scope);
	if (i == matrix->n) {
		fprintf(file, "%llu %s", (unsigned long long)matrix->n_others,
			plural(matrix->n_others, "other", "others"));
	} else if (matrix->ends[i].node) {
		html_text(file, book_node_label(matrix->ends[i].node));
	} else {
		address_format(&matrix->ends[i].address, address);
		html_text(file, address);
	}
	fputs("</th>", file);
}

void html_matrix(FILE *file, const struct matrix *matrix)
{
	size_t n = matrix->n + (matrix->n_others > 0);
	char text[UNITS_TEXT_MAX];

	if (n < 2)
		return;
	fputs("<h2>Who sent to whom</h2>\n<div class=\"wide\"><table>\n<tr><th class=\"t\">From \\ to</th>",
	      file);
	for (size_t to = 0; to < n; to++)
		write_end(file, matrix, to, "col");
	fputs("</tr>\n", file);
	for (size_t from = 0; from < n; from++) {
		fputs("<tr>", file);
		write_end(file, matrix, from, "row");
		for (size_t to = 0; to < n; to++)
			fprintf(file, "<td>%s</td>",
				matrix->bytes[from][to] > 0 ? units_bytes(matrix->bytes[from][to], text)
							    : "");
		fputs("</tr>\n", file);
	}
	fputs("</table></div>\n", file);
}

/* A part of each bar, from below. */
struct part {
	unsigned int series; /* enum traffic_class or chart_series */
	const char *name;    /* and its style */
};

struct bars {
	const char *heading, *label;
	const char *(*text)(uint64_t value, char *ret_text);
	const struct part *parts;
	size_t n_parts;
};

static uint64_t height_of(const struct bars *bars, const struct chart_bar *bar)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < bars->n_parts; i++)
		sum += bar->values[bars->parts[i].series];
	return sum;
}

static void write_bar(FILE *file, const struct bars *bars, const struct chart_bar *bar, double x,
		      double width, uint64_t max)
{
	double y = CHART_HEIGHT;

	for (size_t i = 0; i < bars->n_parts; i++) {
		uint64_t value = bar->values[bars->parts[i].series];
		double height = (double)value / (double)max * CHART_HEIGHT;
		char text[UNITS_TEXT_MAX];

		if (value == 0)
			continue;
		y -= height;
		fprintf(file,
			"<rect class=\"%s\" x=\"%.2f\" y=\"%.2f\" width=\"%.2f\" "
			"height=\"%.2f\"><title>%s %s</title></rect>\n",
			bars->parts[i].name, x, y, width * 0.9, height, bars->parts[i].name,
			bars->text(value, text));
	}
}

static void write_bars(FILE *file, const struct chart *chart, const struct bars *bars,
		       const struct chart_bar *values)
{
	char start[TIME_TEXT_MAX], end[TIME_TEXT_MAX], top[UNITS_TEXT_MAX], step[UNITS_TEXT_MAX];
	const double width = (double)CHART_WIDTH / CHART_BARS;
	uint64_t max = 0;

	for (size_t i = 0; i < CHART_BARS; i++)
		max = MAX(max, height_of(bars, &values[i]));
	if (max == 0)
		return;
	time_format(chart->first - chart->first % NSEC_PER_SEC, start);
	time_format(chart->last - chart->last % NSEC_PER_SEC, end);
	fprintf(file, "<h2>%s</h2>\n<p>", bars->heading);
	for (size_t i = 0; i < bars->n_parts; i++)
		fprintf(file, "<span class=\"%s\">■</span> %s ", bars->parts[i].name, bars->parts[i].name);
	fprintf(file, "– each bar covers %s, the highest %s</p>\n",
		units_duration(chart->last / CHART_BARS - chart->first / CHART_BARS, step),
		bars->text(max, top));
	fprintf(file, "<svg viewBox=\"0 0 %d %d\" role=\"img\" aria-label=\"%s\">\n", CHART_WIDTH,
		CHART_HEIGHT + 20, bars->label);
	for (size_t i = 0; i < CHART_BARS; i++)
		write_bar(file, bars, &values[i], (double)i * width, width, max);
	fprintf(file,
		"<text x=\"0\" y=\"%d\">%s</text><text x=\"%d\" y=\"%d\" text-anchor=\"end\">%s</text>\n</svg>\n",
		CHART_HEIGHT + 15, start, CHART_WIDTH, CHART_HEIGHT + 15, end);
}

void html_chart(FILE *file, const struct chart *chart)
{
	static const struct part classes[] = {
		{CLASS_VIRTUAL, "virtual"}, {CLASS_SUBNET, "subnet"}, {CLASS_EXIT, "exit"}};
	static const struct part connections[] = {{CHART_BEGUN, "begun"}, {CHART_REFUSED, "refused"}};
	static const struct bars charts[] = {
		{"Over time", "bytes over time", units_bytes, classes, ARRAY_SIZE(classes)},
		{"Connections begun", "connections begun over time", units_count, connections,
		 ARRAY_SIZE(connections)},
	};
	struct chart_bar values[CHART_BARS];

	chart_spread(chart, values, CHART_BARS);
	for (size_t i = 0; i < ARRAY_SIZE(charts); i++)
		write_bars(file, chart, &charts[i], values);
}
