/* SPDX-License-Identifier: BSD-3-Clause */
/* Reads a spool from end to end and counts what is sound and what is not. */

#include "common/spool/check.h"

#include "common/cleanup.h"
#include "common/spool/directory.h"
#include "common/spool/scan.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

struct check {
	spool_found found;
	void *userdata;
	struct spool_report report;
	struct spool_position position; /* after the last message */
	const char *name;		/* of the segment that is read */
};

const char *spool_finding_name(enum spool_finding_kind kind)
{
	static const char *const names[] = {
		[SPOOL_FOUND_DAMAGED_SEGMENT] = "damaged segment",
		[SPOOL_FOUND_DAMAGED_FRAMES] = "damaged frames",
		[SPOOL_FOUND_GAP] = "missing messages",
		[SPOOL_FOUND_TORN_TAIL] = "torn tail",
		[SPOOL_FOUND_LEFTOVER] = "leftover",
	};

	return names[kind];
}

bool spool_report_is_sound(const struct spool_report *report)
{
	return report->damaged_segments == 0 && report->damaged_regions == 0 && report->gaps == 0;
}

static void report(struct check *check, const struct spool_finding *finding)
{
	if (check->found)
		check->found(finding, check->userdata);
}

static void on_damage(uint64_t offset, uint64_t length, void *userdata)
{
	struct check *check = userdata;

	check->report.damaged_regions++;
	check->report.damaged_bytes += length;
	report(check, &(struct spool_finding){.kind = SPOOL_FOUND_DAMAGED_FRAMES,
					      .name = check->name,
					      .offset = offset,
					      .length = length});
}

static void count_frame(struct check *check, const struct spool_header *header,
			const struct spool_frame *frame)
{
	struct spool_position *position = &check->position;
	struct spool_report *counts = &check->report;
	uint64_t before = spool_messages_before(header, frame->sequence);

	if (frame->sequence <= position->sequence) {
		counts->repeated_messages++;
		return;
	}
	/* A loss before the first message could not be seen here. */
	if (position->sequence > 0 && before > position->messages) {
		struct spool_finding gap = {
			.kind = SPOOL_FOUND_GAP,
			.name = check->name,
			.messages = before - position->messages,
			.bytes = frame->bytes_before > position->bytes ? frame->bytes_before - position->bytes
								       : 0,
			.from = position->time,
			.to = frame->time,
		};

		counts->gaps++;
		counts->missing_messages += gap.messages;
		counts->missing_bytes += gap.bytes;
		report(check, &gap);
	}
	if (counts->messages == 0) {
		counts->removed_messages = before;
		counts->removed_bytes = frame->bytes_before;
		counts->first_sequence = frame->sequence;
		counts->first_time = frame->time;
	}
	counts->messages++;
	counts->bytes += frame->length;
	counts->last_sequence = frame->sequence;
	counts->last_time = frame->time;
	position->sequence = frame->sequence;
	position->messages = before + 1;
	position->bytes = frame->bytes_before + frame->length;
	position->time = frame->time;
}

static int check_frames(struct check *check, int fd, const struct spool_header *header, uint64_t size)
{
	struct spool_scan scan;
	struct spool_frame frame;
	const uint8_t *payload;
	char *buffer = NULL;
	size_t buffer_size = 0;
	int r;

	spool_scan_init(&scan, fd, header);
	scan.on_damage = on_damage;
	scan.userdata = check;
	while ((r = spool_scan_next(&scan, &frame, &payload)) > 0) {
		const char *message;

		r = spool_frame_message(&frame, payload, &buffer, &buffer_size, &message);
		if (r == -EBADMSG)
			on_damage(scan.offset - SPOOL_FRAME_SIZE - frame.stored,
				  SPOOL_FRAME_SIZE + (uint64_t)frame.stored, check);
		else if (r < 0)
			break;
		else
			count_frame(check, header, &frame);
	}
	if (r == 0 && scan.offset < size) {
		check->report.torn_tails++;
		check->report.torn_bytes += size - scan.offset;
		report(check, &(struct spool_finding){.kind = SPOOL_FOUND_TORN_TAIL,
						      .name = check->name,
						      .offset = scan.offset,
						      .length = size - scan.offset});
	}
	free(buffer);
	spool_scan_deinit(&scan);
	return r;
}

static int check_segment(struct check *check, int directory_fd, const char *name)
{
	struct spool_finding finding = {.kind = SPOOL_FOUND_DAMAGED_SEGMENT, .name = name};
	struct spool_position *position = &check->position;
	_cleanup_close_ int fd = -1;
	struct spool_header header;
	struct stat st;
	uint64_t size;
	int r;

	check->name = name;
	r = spool_segment_open(directory_fd, name, &header, &size, &fd);
	if (r == 0) {
		check->report.segments++;
		check->report.file_bytes += size;
		/* Totals begin again with a spool that does not continue the previous one. */
		if (!spool_id_equal(&header.spool_id, &position->spool_id) &&
		    !spool_id_equal(&header.previous_id, &position->spool_id))
			*position = (struct spool_position){};
		position->spool_id = header.spool_id;
		spool_id_format(&header.spool_id, check->report.spool_id);
		r = check_frames(check, fd, &header, size);
	} else if (fstatat(directory_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0) {
		finding.length = (uint64_t)st.st_size;
	}
	/* Removed by the daemon in the meantime. */
	if (r == -ENOENT)
		return 0;
	if (r != -EBADMSG && r != -EIO)
		return r;
	finding.error = r;
	check->report.damaged_segments++;
	report(check, &finding);
	return 0;
}

int spool_check(int directory_fd, spool_found found, void *userdata, struct spool_report *ret_report)
{
	_cleanup_spool_listing_ struct spool_listing listing = {};
	struct check check = {.found = found, .userdata = userdata};
	struct stat st;
	int r;

	check.report.in_use = spool_is_locked(directory_fd);
	r = spool_list(directory_fd, &listing);
	for (size_t i = 0; r == 0 && i < listing.n; i++)
		r = check_segment(&check, directory_fd, listing.entries[i].name);
	if (r < 0)
		return r;
	if (fstatat(directory_fd, SPOOL_TEMPORARY_NAME, &st, AT_SYMLINK_NOFOLLOW) == 0) {
		check.report.leftovers++;
		report(&check, &(struct spool_finding){.kind = SPOOL_FOUND_LEFTOVER,
						       .name = SPOOL_TEMPORARY_NAME,
						       .length = (uint64_t)st.st_size});
	} else if (errno != ENOENT) {
		return -errno;
	}
	*ret_report = check.report;
	return 0;
}
