/* SPDX-License-Identifier: BSD-3-Clause */
/* netlogctl spool: check a spool, export its messages, and repair it. */

#include "control/commands/commands.h"

#include "common/plural.h"
#include "common/spool/reader.h"
#include "common/spool/repair.h"
#include "common/time_text.h"
#include "control/spool_source.h"
#include "control/table.h"
#include "control/units.h"
#include "control/when.h"

#include <errno.h>

struct spool_run {
	struct ctl *ctl;
	json_t *findings; /* for --json */
	size_t n_findings;
	bool repair;
};

static void on_finding(const struct spool_finding *finding, void *userdata)
{
	struct spool_run *run = userdata;
	char bytes[UNITS_TEXT_MAX];
	FILE *out = run->ctl->out;
	enum table_color color = TABLE_YELLOW;

	run->n_findings++;
	if (run->ctl->json) {
		json_array_append_new(
			run->findings,
			json_pack("{ss ss? sI sI sI sI}", "kind", spool_finding_name(finding->kind), "name",
				  finding->name, "offset", (json_int_t)finding->offset, "length",
				  (json_int_t)finding->length, "messages", (json_int_t)finding->messages,
				  "bytes", (json_int_t)finding->bytes));
		return;
	}
	/* Normal after a crash. */
	if (finding->kind == SPOOL_FOUND_TORN_TAIL || finding->kind == SPOOL_FOUND_LEFTOVER)
		color = TABLE_DIM;
	print_color(out, run->ctl->color, color, "%s", spool_finding_name(finding->kind));
	print_color(out, false, TABLE_PLAIN, "  %s", finding->name ? finding->name : "");
	if (finding->kind == SPOOL_FOUND_GAP)
		fprintf(out, ": %llu %s (%s) %s missing before it", (unsigned long long)finding->messages,
			plural(finding->messages, "message", "messages"), units_bytes(finding->bytes, bytes),
			plural(finding->messages, "is", "are"));
	else if (finding->length > 0)
		fprintf(out, ": %s at byte %llu", units_bytes(finding->length, bytes),
			(unsigned long long)finding->offset);
	if (finding->error < 0 && finding->error != -EBADMSG)
		fprintf(out, ": %s", strerror(-finding->error));
	fputc('\n', out);
}

static int print_report_json(struct spool_run *run, const char *path, const struct spool_report *report)
{
	json_auto_t *object = json_pack(
		"{ss ss sb sb sI sI sI sI sI sI sI sI sI sI sI sI sI sI sI sI sO}", "directory", path, "id",
		report->spool_id, "sound", spool_report_is_sound(report), "inUse", report->in_use, "segments",
		(json_int_t)report->segments, "fileBytes", (json_int_t)report->file_bytes, "messages",
		(json_int_t)report->messages, "bytes", (json_int_t)report->bytes, "repeatedMessages",
		(json_int_t)report->repeated_messages, "firstSequence", (json_int_t)report->first_sequence,
		"lastSequence", (json_int_t)report->last_sequence, "damagedSegments",
		(json_int_t)report->damaged_segments, "damagedRegions", (json_int_t)report->damaged_regions,
		"damagedBytes", (json_int_t)report->damaged_bytes, "missingMessages",
		(json_int_t)report->missing_messages, "missingBytes", (json_int_t)report->missing_bytes,
		"tornTails", (json_int_t)report->torn_tails, "leftovers", (json_int_t)report->leftovers,
		"removedMessages", (json_int_t)report->removed_messages, "removedBytes",
		(json_int_t)report->removed_bytes, "findings", run->findings);

	if (!object)
		return ctl_error(run->ctl, "out of memory");
	return ctl_print_json(run->ctl, object);
}

static void print_report(struct spool_run *run, const char *path, const struct spool_report *report)
{
	char bytes[UNITS_TEXT_MAX], disk[UNITS_TEXT_MAX], first[TIME_TEXT_MAX], last[TIME_TEXT_MAX];
	FILE *out = run->ctl->out;

	print_color(out, false, TABLE_PLAIN, "%s: %llu %s (%s) in %llu %s (%s)", path,
		    (unsigned long long)report->messages, plural(report->messages, "message", "messages"),
		    units_bytes(report->bytes, bytes), (unsigned long long)report->segments,
		    plural(report->segments, "segment", "segments"), units_bytes(report->file_bytes, disk));
	if (report->messages > 0) {
		time_format(report->first_time, first);
		time_format(report->last_time, last);
		fprintf(out, ", from %s to %s", first, last);
	}
	fputs(report->in_use ? "; in use by a daemon\n" : "\n", out);
	if (report->removed_messages > 0)
		fprintf(out,
			"%llu earlier %s (%s) %s no longer in it: removed after \"retain\", or for "
			"\"max-size\"\n",
			(unsigned long long)report->removed_messages,
			plural(report->removed_messages, "message", "messages"),
			units_bytes(report->removed_bytes, bytes),
			plural(report->removed_messages, "is", "are"));
	if (report->gaps > 0)
		fprintf(out, "%llu %s (%s) %s missing\n", (unsigned long long)report->missing_messages,
			plural(report->missing_messages, "message", "messages"),
			units_bytes(report->missing_bytes, bytes),
			plural(report->missing_messages, "is", "are"));
	if (report->damaged_segments + report->damaged_regions > 0)
		fprintf(out, "%llu damaged %s, %llu damaged %s of others (%s)\n",
			(unsigned long long)report->damaged_segments,
			plural(report->damaged_segments, "segment", "segments"),
			(unsigned long long)report->damaged_regions,
			plural(report->damaged_regions, "part", "parts"),
			units_bytes(report->damaged_bytes, disk));
	if (run->repair)
		fputs(run->n_findings > 0 ? "repaired; the damaged parts are kept in damaged/\n"
					  : "nothing to repair\n",
		      out);
	else if (spool_report_is_sound(report))
		fputs("no damage, nothing missing\n", out);
	else if (report->damaged_segments + report->damaged_regions > 0)
		fputs("\"netlogctl spool repair\" moves the damaged parts away (with the daemon stopped)\n",
		      out);
}

static int check(struct ctl *ctl, int argc, char **argv, bool repair)
{
	struct spool_run run = {.ctl = ctl, .repair = repair};
	const char *given = NULL;
	const struct ctl_option options[] = {{.name = "spool", .value = &given}};
	struct spool_report report;
	_cleanup_free_ char *path = NULL;
	_cleanup_close_ int fd = -1;
	char **arguments;
	int r;

	r = ctl_options(ctl, argc, argv, options, ARRAY_SIZE(options), 0, 1, &arguments);
	if (r == CTL_OK)
		r = spool_source_open(ctl, given ? given : arguments[0], &path, &fd);
	if (r != CTL_OK)
		return r;
	run.findings = json_array();
	r = repair ? spool_repair(fd, on_finding, &run, &report) : spool_check(fd, on_finding, &run, &report);
	if (r < 0)
		r = spool_source_error(ctl, path, r);
	else if (ctl->json)
		r = print_report_json(&run, path, &report);
	else
		print_report(&run, path, &report);
	json_decref(run.findings);
	/* Remaining damage is a failure, so that a script need not read the text. */
	if (r == CTL_OK && !repair && !spool_report_is_sound(&report))
		r = CTL_FAILED;
	return r;
}

int cmd_spool_check(struct ctl *ctl, int argc, char **argv)
{
	return check(ctl, argc, argv, false);
}

int cmd_spool_repair(struct ctl *ctl, int argc, char **argv)
{
	return check(ctl, argc, argv, true);
}

struct export_run {
	struct ctl *ctl;
	int64_t until;
};

static bool export_message(const struct spool_message *message, void *userdata)
{
	struct export_run *run = userdata;

	if (message->time > run->until)
		return true;
	fwrite(message->data, 1, message->length, run->ctl->out);
	return putc('\n', run->ctl->out) != EOF;
}

int cmd_spool_export(struct ctl *ctl, int argc, char **argv)
{
	struct export_run run = {.ctl = ctl, .until = INT64_MAX};
	const char *given = NULL, *since = NULL, *until = NULL;
	const struct ctl_option options[] = {
		{.name = "spool", .value = &given},
		{.name = "since", .value = &since},
		{.name = "until", .value = &until},
	};
	int64_t now = time_now_wall(), from = INT64_MIN;
	_cleanup_free_ char *path = NULL;
	_cleanup_close_ int fd = -1;
	char **arguments;
	int r;

	r = ctl_options(ctl, argc, argv, options, ARRAY_SIZE(options), 0, 1, &arguments);
	if (r != CTL_OK)
		return r;
	if ((since && when_parse(since, now, &from) < 0) || (until && when_parse(until, now, &run.until) < 0))
		return ctl_usage(ctl,
				 "--since and --until take a time, like 2026-11-22T20:00:00Z or 10m (ago)");
	r = spool_source_open(ctl, given ? given : arguments[0], &path, &fd);
	if (r != CTL_OK)
		return r;
	return spool_source_read(ctl, path, fd, from, export_message, &run);
}
