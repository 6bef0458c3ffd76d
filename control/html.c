/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * HTML and SVG written directly: a report may be read years later in a browser without a network, so it has
 * no script, no font and no image.
 */

#include "control/html.h"

#include "common/cleanup.h"
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
	":root{color-scheme:light dark;--virtual:#2f6fde;--subnet:#2a9d6f;--exit:#d98324;--line:#8884}"
	"body{font:15px/1.5 system-ui,sans-serif;max-width:75rem;margin:2rem auto;padding:0 1rem}"
	"h1{font-size:1.5rem}h2{font-size:1.15rem;margin-top:2.2rem}"
	"table{border-collapse:collapse;font-variant-numeric:tabular-nums}"
	"th,td{padding:.2rem .8rem;text-align:right;border-bottom:1px solid var(--line)}"
	"th{font-weight:600}td.t,th.t{text-align:left;overflow-wrap:anywhere}"
	"svg{width:100%;height:auto}svg text{font-size:11px;fill:currentColor}"
	".virtual{fill:var(--virtual);color:var(--virtual)}.subnet{fill:var(--subnet);color:var(--subnet)}"
	".exit{fill:var(--exit);color:var(--exit)}.note{opacity:.7}";

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

static void write_row(FILE *file, enum flow_group group, const struct flow_row *row)
{
	_cleanup_free_ char *label = flow_row_label(group, row, true);
	char text[UNITS_TEXT_MAX];

	fprintf(file, "<tr><td class=\"t\">%s</td>", traffic_class_name(row->class));
	if (group != FLOW_BY_CLASS) {
		fputs("<td class=\"t\">", file);
		html_text(file, label ? label : "");
		fputs("</td>", file);
	}
	fprintf(file, "<td>%s</td>", units_bytes(row->counts.tx_bytes, text));
	fprintf(file, "<td>%s</td>", units_bytes(row->counts.rx_bytes, text));
	fprintf(file, "<td>%s</td>", units_count(row->counts.tx_packets, text));
	fprintf(file, "<td>%s</td></tr>\n", units_count(row->counts.rx_packets, text));
}

void html_rows(FILE *file, const char *heading, enum flow_group group, const struct flow_row *rows, size_t n,
	       size_t limit)
{
	size_t in_class = 0, hidden = 0;

	fputs("<h2>", file);
	html_text(file, heading);
	fprintf(file,
		"</h2>\n<table>\n<tr><th class=\"t\">Class</th>%s<th>Sent</th><th>Received</th>"
		"<th>Packets sent</th><th>received</th></tr>\n",
		group == FLOW_BY_CLASS ? "" : "<th class=\"t\">Who</th>");
	for (size_t i = 0; i < n; i++) {
		in_class = i > 0 && rows[i].class == rows[i - 1].class ? in_class + 1 : 1;
		if (in_class > limit)
			hidden++;
		else
			write_row(file, group, &rows[i]);
	}
	fputs("</table>\n", file);
	if (hidden > 0)
		fprintf(file, "<p class=\"note\">… and %zu more</p>\n", hidden);
}

static void write_bar(FILE *file, const struct chart_bar *bar, double x, double width, uint64_t max)
{
	static const enum traffic_class stacked[] = {CLASS_VIRTUAL, CLASS_SUBNET, CLASS_EXIT};
	double y = CHART_HEIGHT;

	for (size_t i = 0; i < ARRAY_SIZE(stacked); i++) {
		uint64_t bytes = bar->bytes[stacked[i]];
		double height = (double)bytes / (double)max * CHART_HEIGHT;
		char text[UNITS_TEXT_MAX];

		if (bytes == 0)
			continue;
		y -= height;
		fprintf(file,
			"<rect class=\"%s\" x=\"%.2f\" y=\"%.2f\" width=\"%.2f\" "
			"height=\"%.2f\"><title>%s %s</title></rect>\n",
			traffic_class_name(stacked[i]), x, y, width * 0.9, height,
			traffic_class_name(stacked[i]), units_bytes(bytes, text));
	}
}

void html_chart(FILE *file, const struct chart *chart)
{
	char start[TIME_TEXT_MAX], end[TIME_TEXT_MAX], top[UNITS_TEXT_MAX], step[UNITS_TEXT_MAX];
	const double width = (double)CHART_WIDTH / CHART_BARS;
	struct chart_bar bars[CHART_BARS];
	uint64_t max = 0;

	chart_spread(chart, bars, CHART_BARS);
	for (size_t i = 0; i < CHART_BARS; i++)
		max = MAX(max, bars[i].bytes[CLASS_VIRTUAL] + bars[i].bytes[CLASS_SUBNET] +
				       bars[i].bytes[CLASS_EXIT]);
	if (max == 0)
		return;
	time_format(chart->first - chart->first % NSEC_PER_SEC, start);
	time_format(chart->last - chart->last % NSEC_PER_SEC, end);
	fprintf(file,
		"<h2>Over time</h2>\n<p><span class=\"virtual\">■</span> virtual <span class=\"subnet\">■</span> "
		"subnet <span class=\"exit\">■</span> exit; each bar covers %s, the highest %s</p>\n",
		units_duration(chart->last / CHART_BARS - chart->first / CHART_BARS, step),
		units_bytes(max, top));
	fprintf(file, "<svg viewBox=\"0 0 %d %d\" role=\"img\" aria-label=\"bytes over time\">\n",
		CHART_WIDTH, CHART_HEIGHT + 20);
	for (size_t i = 0; i < CHART_BARS; i++)
		write_bar(file, &bars[i], (double)i * width, width, max);
	fprintf(file,
		"<text x=\"0\" y=\"%d\">%s</text><text x=\"%d\" y=\"%d\" text-anchor=\"end\">%s</text>\n</svg>\n",
		CHART_HEIGHT + 15, start, CHART_WIDTH, CHART_HEIGHT + 15, end);
}
