/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a frame means to a reader at a position. Messages that come again (written twice after a failed sync)
 * are dropped by their sequence; missing ones are computed from the totals that headers and frames carry, so
 * that a removed segment is known to the byte.
 */

#include "common/spool/reader.h"

#include "common/spool/walk.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

/* A walk that stands before a sequence and knows the totals there. */
struct tally {
	struct spool_walk walk;
	bool begun;
	uint64_t target; /* the sequence */
	bool held;	 /* the frame is at the target or behind it */
	struct spool_frame frame;
	uint64_t messages, bytes;
};

struct spool_reader {
	int directory_fd;
	struct spool_walk walk;
	unsigned int patience; /* the walk's */
	struct spool_position position;
	bool known;	      /* the position is valid: what is missing behind it is a gap */
	uint64_t first;	      /* messages before this sequence are not wanted */
	bool held;	      /* a frame is read but not returned yet */
	uint64_t sought;      /* sequence at which reading began */
	unsigned int entered; /* segments since then */
	struct spool_frame frame;
	const uint8_t *payload;
	uint64_t damaged; /* scan.damaged at the last message */
	char *buffer;	  /* of a decompressed message */
	size_t buffer_size;
	char id[SPOOL_ID_TEXT_MAX];
	struct tally oldest, newest;
};

static void tally_deinit(struct tally *tally)
{
	if (tally->begun)
		spool_walk_deinit(&tally->walk);
	*tally = (struct tally){};
}

void spool_reader_free(struct spool_reader *reader)
{
	if (!reader)
		return;
	spool_walk_deinit(&reader->walk);
	tally_deinit(&reader->oldest);
	tally_deinit(&reader->newest);
	safe_close(reader->directory_fd);
	free(reader->buffer);
	free(reader);
}

/*
 * Moves *at back to the segment with the newest sound header before it: 1; 0 when there is none; -errno.
 * Damaged and unreadable segments are the walk's business.
 */
static int next_older_header(struct spool_reader *reader, const struct spool_listing *listing, size_t *at,
			     struct spool_header *ret_header)
{
	while (*at > 0) {
		_cleanup_close_ int fd = -1;
		int r = spool_segment_open(reader->directory_fd, listing->entries[--*at].name, ret_header,
					   NULL, &fd);

		if (r >= 0)
			return 1;
		if (r != -ENOENT && r != -EBADMSG && r != -EIO)
			return r;
	}
	return 0;
}

int spool_reader_new(int directory_fd, struct spool_reader **ret_reader)
{
	_cleanup_(spool_reader_freep) struct spool_reader *reader = NULL;
	_cleanup_spool_listing_ struct spool_listing listing = {};
	struct spool_header newest;
	size_t at;
	int r;

	reader = calloc(1, sizeof(*reader));
	if (!reader)
		return -ENOMEM;
	reader->directory_fd = -1;
	spool_walk_init(&reader->walk, -1, 0);
	reader->directory_fd = spool_directory_open(directory_fd);
	if (reader->directory_fd < 0)
		return reader->directory_fd;
	spool_walk_init(&reader->walk, reader->directory_fd, 0);
	r = spool_list(reader->directory_fd, &listing);
	if (r < 0)
		return r;
	/* Its id, and whether this program can read it. */
	at = listing.n;
	r = next_older_header(reader, &listing, &at, &newest);
	if (r < 0)
		return r;
	if (r > 0)
		spool_id_format(&newest.spool_id, reader->id);
	*ret_reader = TAKE_PTR(reader);
	return 0;
}

void spool_reader_set_patience(struct spool_reader *reader, unsigned int times)
{
	reader->patience = times;
	reader->walk.patience = times;
}

static void restart(struct spool_reader *reader, uint64_t start)
{
	spool_walk_deinit(&reader->walk);
	spool_walk_init(&reader->walk, reader->directory_fd, start);
	reader->walk.patience = reader->patience;
	reader->held = false;
	reader->damaged = 0;
	reader->sought = start;
	reader->entered = 0;
}

int spool_reader_seek(struct spool_reader *reader, uint64_t sequence)
{
	restart(reader, sequence);
	reader->position = (struct spool_position){};
	reader->known = false;
	reader->first = sequence;
	return 0;
}

int spool_reader_seek_position(struct spool_reader *reader, const struct spool_position *position)
{
	const struct spool_id *id = &position->spool_id;
	_cleanup_spool_listing_ struct spool_listing listing = {};
	struct spool_header header;
	bool exists;
	size_t at;
	int r;

	if (spool_id_is_zero(id))
		return spool_reader_seek(reader, 0);
	r = spool_list(reader->directory_fd, &listing);
	if (r < 0)
		return r;
	/* Does any segment belong to this spool, or to the one that continues it? */
	exists = listing.n == 0;
	at = listing.n;
	while (!exists && (r = next_older_header(reader, &listing, &at, &header)) > 0)
		exists = spool_id_equal(&header.spool_id, id) || spool_id_equal(&header.previous_id, id);
	if (r < 0)
		return r;
	restart(reader, exists ? position->sequence + 1 : 0);
	reader->position = *position;
	reader->known = true;
	reader->first = 0;
	spool_id_format(&position->spool_id, reader->id);
	return 0;
}

static struct spool_position position_after(const struct spool_reader *reader)
{
	const struct spool_header *header = &reader->walk.scan.header;

	return (struct spool_position){
		.spool_id = header->spool_id,
		.sequence = reader->frame.sequence,
		.messages = spool_messages_before(header, reader->frame.sequence) + 1,
		.bytes = reader->frame.bytes_before + reader->frame.length,
		.time = reader->frame.time,
	};
}

/* Messages before the held frame, since the spool was made. */
static uint64_t messages_before(const struct spool_reader *reader)
{
	return spool_messages_before(&reader->walk.scan.header, reader->frame.sequence);
}

/* Describes what is missing before the held frame, and moves the position behind it. */
static void take_gap(struct spool_reader *reader, struct spool_gap *ret_gap)
{
	struct spool_position *position = &reader->position;
	uint64_t before = messages_before(reader);
	uint64_t bytes = reader->frame.bytes_before;

	*ret_gap = (struct spool_gap){
		.messages = before - position->messages,
		.bytes = bytes > position->bytes ? bytes - position->bytes : 0,
		.from = position->time,
		.to = reader->frame.time,
		.damaged = reader->walk.unusable || reader->walk.scan.damaged > reader->damaged,
	};
	position->sequence = reader->frame.sequence - 1;
	position->messages = before;
	position->bytes = bytes;
	position->time = reader->frame.time;
	ret_gap->position = *position;
}

/* Another segment: true when it belongs to another spool than the previous one. */
static bool enter_segment(struct spool_reader *reader)
{
	const struct spool_header *header = &reader->walk.scan.header;
	struct spool_position *position = &reader->position;
	bool first = spool_id_is_zero(&position->spool_id);

	reader->entered++;
	reader->damaged = 0;
	spool_id_format(&header->spool_id, reader->id);
	if (spool_id_equal(&header->spool_id, &position->spool_id))
		return false;
	/* A spool that continues another also continues its totals; else they begin again. */
	if (!spool_id_equal(&header->previous_id, &position->spool_id))
		*position = (struct spool_position){};
	position->spool_id = header->spool_id;
	/* What is missing here, no other spool holds. */
	if (!first)
		reader->walk.further_back = true;
	return !first;
}

/* Reads until a wanted frame is held: SPOOL_READ_MESSAGE, or what came instead. */
static int hold_frame(struct spool_reader *reader)
{
	while (!reader->held) {
		int r = spool_walk_next(&reader->walk, &reader->frame, &reader->payload);

		if (r <= 0)
			return r;
		if (r == SPOOL_WALK_SEGMENT) {
			if (enter_segment(reader))
				return SPOOL_READ_NEW_SPOOL;
			continue;
		}
		if (reader->frame.sequence <= reader->position.sequence)
			continue;
		if (reader->frame.sequence < reader->first) {
			reader->position = position_after(reader);
			reader->known = true;
			continue;
		}
		reader->held = true;
	}
	return SPOOL_READ_MESSAGE;
}

int spool_reader_next(struct spool_reader *reader, struct spool_message *ret_message,
		      struct spool_gap *ret_gap)
{
	for (;;) {
		const char *data;
		int r = hold_frame(reader);

		if (r != SPOOL_READ_MESSAGE)
			return r;
		r = spool_frame_message(&reader->frame, reader->payload, &reader->buffer,
					&reader->buffer_size, &data);
		if (r == -EBADMSG) {
			/* Then it is missing before the next one. */
			reader->walk.scan.damaged++;
			reader->held = false;
			continue;
		}
		if (r < 0)
			return r;
		if (reader->known && messages_before(reader) > reader->position.messages) {
			/*
			 * Near the start, what is missing may be at the end of the segment before: it could
			 * not be synced, and the run that wrote it again was stopped before its end. Begin
			 * there, once.
			 */
			if (reader->entered <= 2 && !reader->walk.further_back) {
				restart(reader, reader->sought);
				reader->walk.further_back = true;
				continue;
			}
			take_gap(reader, ret_gap);
			return SPOOL_READ_GAP;
		}
		reader->held = false;
		reader->known = true;
		reader->walk.unusable = false;
		reader->damaged = reader->walk.scan.damaged;
		reader->position = position_after(reader);
		*ret_message = (struct spool_message){
			.sequence = reader->frame.sequence,
			.time = reader->frame.time,
			.data = data,
			.length = reader->frame.length,
			.public_id = reader->walk.scan.header.public_id,
			.position = reader->position,
		};
		return SPOOL_READ_MESSAGE;
	}
}

const char *spool_reader_id(const struct spool_reader *reader)
{
	return reader->id;
}

/* Moves a tally to the first message with at least this sequence. 0 or -errno. */
static int tally_advance(struct tally *tally, int directory_fd, uint64_t sequence)
{
	if (!tally->begun) {
		spool_walk_init(&tally->walk, directory_fd, sequence);
		tally->begun = true;
	}
	tally->target = sequence;
	while (!tally->held || tally->frame.sequence < sequence) {
		const struct spool_header *header = &tally->walk.scan.header;
		const uint8_t *payload;
		int r;

		if (tally->held) {
			tally->messages = spool_messages_before(header, tally->frame.sequence) + 1;
			tally->bytes = tally->frame.bytes_before + tally->frame.length;
			tally->held = false;
		}
		r = spool_walk_next(&tally->walk, &tally->frame, &payload);
		if (r <= 0)
			return r;
		if (r == SPOOL_WALK_FRAME) {
			tally->held = true;
		} else {
			tally->messages = header->messages_before;
			tally->bytes = header->bytes_before;
		}
	}
	tally->messages = spool_messages_before(&tally->walk.scan.header, tally->frame.sequence);
	tally->bytes = tally->frame.bytes_before;
	return 0;
}

int spool_reader_backlog(struct spool_reader *reader, uint64_t sequence, uint64_t *ret_messages,
			 uint64_t *ret_bytes, int64_t *ret_oldest)
{
	struct tally *oldest = &reader->oldest, *newest = &reader->newest;
	struct stat st;
	int r;

	/* Begin again also when the segment that it stands in is gone, and with it what was to be counted. */
	if (sequence < oldest->target ||
	    (oldest->held && fstat(oldest->walk.fd, &st) == 0 && st.st_nlink == 0))
		tally_deinit(oldest);
	r = tally_advance(oldest, reader->directory_fd, sequence);
	if (r < 0)
		return r;
	r = tally_advance(newest, reader->directory_fd, UINT64_MAX);
	if (r < 0)
		return r;
	*ret_oldest = oldest->held ? oldest->frame.time : 0;
	*ret_messages = newest->messages > oldest->messages ? newest->messages - oldest->messages : 0;
	*ret_bytes = newest->bytes > oldest->bytes ? newest->bytes - oldest->bytes : 0;
	return 0;
}
