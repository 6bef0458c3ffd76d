/* SPDX-License-Identifier: BSD-3-Clause */
/* netlogctl report: the page, and the file it goes to. */

#include "control/commands/commands.h"

#include "common/file.h"
#include "tests/unit/control/sample_spool.h"

#include <fcntl.h>
#include <sys/stat.h>

START_TEST(test_report)
{
	struct sample_spool place = sample_spool_make();
	_cleanup_free_ char *line = NULL, *file = NULL, *page = NULL;
	struct run printed = sample_spool_run(&place, "report"), written;
	struct stat stat_buffer;

	ck_assert_int_gt(asprintf(&file, "%s/upload/report.html", place.directory), 0);
	ck_assert_int_gt(asprintf(&line, "report --class virtual --output %s", file), 0);
	written = sample_spool_run(&place, line);
	ck_assert_int_eq(written.status, CTL_OK);
	ck_assert_int_eq(stat(file, &stat_buffer), 0);
	ck_assert_int_eq(file_read(AT_FDCWD, file, 1 << 20, &page, NULL, NULL), 0);
	sample_spool_remove(&place);

	ck_assert_int_eq(printed.status, CTL_OK);
	assert_contains(printed.out, "<p>3 messages from 2026-11-22T20:00:00Z to 2026-11-22T20:05:00Z");
	assert_contains(printed.out, "<tr><td class=\"t\">virtual</td><td>1.00 KiB</td><td>540 "
				     "B</td><td>11</td><td>6</td></tr>");
	assert_contains(printed.out, "<td class=\"t\">tcp 100.64.0.1:40000 &lt;&gt; server:22</td>");
	assert_contains(printed.out, "<td class=\"t\">tcp/22</td>");
	/* Bars of 3.1 s: the first window of 5 s is spread over two of them, and so is the last one. */
	assert_contains(printed.out, "<rect class=\"virtual\" x=\"0.00\" y=\"0.00\"");
	assert_contains(printed.out, "<title>virtual 937 B</title>");
	assert_contains(printed.out, "<rect class=\"virtual\" x=\"10.00\"");
	assert_contains(printed.out, "<rect class=\"exit\" x=\"940.00\"");
	assert_contains(printed.out, "<rect class=\"exit\" x=\"950.00\"");
	assert_contains(printed.out, "<li>2026-11-22T20:00:12Z  netlogd: stopped</li>");
	/* Nothing is said of what is not known. */
	ck_assert_ptr_null(strstr(printed.out, ">How<"));
	ck_assert_ptr_null(strstr(printed.out, "egun</"));
	ck_assert_ptr_null(strstr(printed.out, "Dropped</th>"));
	/* Nothing from elsewhere, nothing that runs. */
	ck_assert_ptr_null(strstr(printed.out, "<script"));
	ck_assert_ptr_null(strstr(printed.out, "http:"));
	ck_assert_ptr_null(strstr(printed.out, "https:"));
	ck_assert_int_eq(stat_buffer.st_mode & 07777, 0600);
	ck_assert_ptr_null(strstr(page, "class=\"t\">exit"));
	run_deinit(&printed);
	run_deinit(&written);
}
END_TEST

START_TEST(test_details)
{
	struct sample_spool place = sample_spool_make_of(sample_spool_details, SAMPLE_SPOOL_DETAILS);
	_cleanup_run_ struct run run = sample_spool_run(&place, "report");

	sample_spool_remove(&place);
	ck_assert_int_eq(run.status, CTL_OK);
	/* Told from the opener, whose bytes come first. */
	assert_contains(run.out, "<th>Bytes &gt;</th><th>Bytes &lt;</th><th>Packets &gt;</th><th>Packets &lt;"
				 "</th><th class=\"t\">How</th><th>Dropped</th></tr>\n");
	assert_contains(run.out,
			"<td class=\"t\">tcp laptop:443 &gt; 100.64.0.1:8080</td><td>580 B</td><td>1000 "
			"B</td><td>8</td><td>10</td><td class=\"t\">closed</td><td></td></tr>\n");
	assert_contains(run.out, "<td class=\"t\">refused</td>");
	/* Groups are told from the opener, too, and count. */
	assert_contains(run.out,
			"<h2>Top destinations</h2>\n<table>\n<tr><th class=\"t\">Class</th><th class=\"t\">"
			"Service</th><th>Sent</th>");
	assert_contains(run.out, "<td class=\"t\">tcp 100.64.0.1:8080</td>");
	assert_contains(run.out, "<td class=\"t\">laptop</td>");
	assert_contains(run.out,
			"<th>Packets sent</th><th>Packets received</th><th>Begun</th><th>Refused</th><th>"
			"Dropped</th></tr>\n");
	/* A service is an address with its port; its port alone is something else. */
	assert_contains(run.out,
			"<h2>Ports</h2>\n<table>\n<tr><th class=\"t\">Class</th><th class=\"t\">Port</th>");
	assert_contains(run.out, "<td class=\"t\">tcp/8080</td>");
	assert_contains(run.out, "<td>12</td><td>13</td><td>3</td><td>1</td><td>3</td></tr>\n");
	/* Two connections that began and one that was refused, spread over the first window's bars. */
	assert_contains(run.out, "<h2>Connections begun</h2>\n<p><span class=\"begun\">■</span> begun "
				 "<span class=\"refused\">■</span> refused");
	assert_contains(run.out, "<title>begun 1</title>");
	assert_contains(run.out, "<title>refused 1</title>");
}
END_TEST

#define TO(dst, tx, rx) "{'proto':6,'src':'100.64.0.1:9','dst':'" dst "','txBytes':" #tx ",'rxBytes':" #rx "}"

/* A node with two addresses has one row and one column. */
START_TEST(test_matrix)
{
	static const char *const message =
		"{'logtail':{'client_time':'2026-11-22T20:00:05Z','proc_id':5,'proc_seq':1},"
		"'start':'2026-11-22T20:00:00Z','end':'2026-11-22T20:00:05Z',"
		"'srcNode':{'nodeId':'n1','name':'gate','addresses':['100.64.0.1']},"
		"'dstNodes':[{'nodeId':'n2','name':'<b>','addresses':['100.64.0.2','fd00::2']}],"
		"'virtualTraffic':[" TO("100.64.0.2:22", 100, 1) "," TO(
			"[fd00::2]:22", 200,
			2) "],"
			   "'subnetTraffic':[" TO(
				   "10.1.0.9:53", 60,
				   7) "],"
				      "'exitTraffic':[{'proto':0,'src':'','dst':'','txBytes':60}],"
				      "'physicalTraffic':[{'proto':0,'src':'100.64.0.2:0','dst':'192.0.2.2:51820','txBytes':1500}]}";
	struct sample_spool place = sample_spool_make_of(&message, 1);
	_cleanup_run_ struct run run = sample_spool_run(&place, "report");

	sample_spool_remove(&place);
	ck_assert_int_eq(run.status, CTL_OK);
	assert_contains(run.out, "<h2>Top pairs</h2>");
	assert_contains(run.out, "<td class=\"t\">gate &lt;&gt; &lt;b&gt;</td><td>300 B</td><td>3 B</td>");
	assert_contains(
		run.out,
		"<tr><th class=\"t\">From \\ to</th><th class=\"t\" scope=\"col\">gate</th>"
		"<th class=\"t\" scope=\"col\">&lt;b&gt;</th><th class=\"t\" scope=\"col\">10.1.0.9</th></tr>\n"
		"<tr><th class=\"t\" scope=\"row\">gate</th><td></td><td>300 B</td><td>60 B</td></tr>\n"
		"<tr><th class=\"t\" scope=\"row\">&lt;b&gt;</th><td>3 B</td><td></td><td></td></tr>\n"
		"<tr><th class=\"t\" scope=\"row\">10.1.0.9</th><td>7 B</td><td></td><td></td></tr>\n"
		"</table>");
}
END_TEST

/* What could be read of a message is in all tables alike. */
START_TEST(test_unreadable_end)
{
	static const char *const message =
		"{'logtail':{'client_time':'2026-11-22T20:00:05Z','proc_id':5,'proc_seq':1},"
		"'start':'2026-11-22T20:00:00Z','end':'2026-11-22T20:00:05Z','virtualTraffic':["
		"{'proto':6,'src':'100.64.0.1:40000','dst':'100.64.0.2:22','txBytes':1000},"
		"{'proto':6,'src':'100.64.0.1:40000','dst':'100.64.0.2:23','starts':'many'}]}";
	struct sample_spool place = sample_spool_make_of(&message, 1);
	struct run run = sample_spool_run(&place, "report");
	size_t n = 0;

	sample_spool_remove(&place);
	ck_assert_int_eq(run.status, CTL_OK);
	assert_contains(run.out, "<p>1 message from ");
	assert_contains(run.out, "1 message could not be read.");
	for (const char *c = run.out; (c = strstr(c, "<td>1000 B</td>")); c++)
		n++;
	/* Of the sections, and in the matrix. */
	ck_assert_uint_eq(n, 7);
	run_deinit(&run);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {test_report, test_details, test_matrix, test_unreadable_end};

	return run_suite("report", tests, ARRAY_SIZE(tests));
}
