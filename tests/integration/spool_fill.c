/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Fills a spool for tests of the uploader, with the daemon's own writer: messages of a given size, numbered
 * by proc_seq, so that a test can tell which ones are missing, repeated or out of order.
 *
 *	spool-fill DIRECTORY COUNT [--size BYTES] [--first SEQ] [--max-size BYTES] [--public HEX]
 *		[--upload DIRECTORY --sink NAME]... [--entries N] [--rate PER_SECOND] [--step SECONDS]
 *		[--varied] [--members TEXT] [--lines FILE]
 *
 * --entries: messages of a window with this many connections. --rate: at this speed. --step: each message is
 * this much later than the one before, and the last one is from now. --varied: ports, peers and sizes vary as
 * on a real node, so that messages compress as real ones do. --members: what follows the head of each
 * message, as it is: "virtualTraffic":[...]. --lines: after COUNT such messages, those in a file, one a line,
 * each with its own client_time.
 */

#include "common/buffer.h"
#include "common/cleanup.h"
#include "common/message.h"
#include "common/time_text.h"
#include "daemon/spool/writer.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

struct options {
	const char *directory;
	uint64_t count;
	size_t size;
	uint64_t first;
	uint64_t max_size;
	const char *public_id;
	const char *upload;
	char *sinks[17];
	size_t n_sinks;
	size_t entries;
	uint64_t rate;
	uint64_t step;
	bool varied;
	const char *members;
	const char *lines;
};

static void on_stored(uint64_t sequence, void *userdata)
{
	(void)sequence;
	(void)userdata;
}

static void on_lost(const struct spool_loss *loss, void *userdata)
{
	(void)userdata;
	fprintf(stderr, "lost before the spool: %" PRIu64 "\n", loss->messages);
}

/* Splitmix64: the same messages in every run. */
static uint64_t scatter(uint64_t *state)
{
	uint64_t value = *state += UINT64_C(0x9e3779b97f4a7c15);

	value = (value ^ value >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	value = (value ^ value >> 27) * UINT64_C(0x94d049bb133111eb);
	return value ^ value >> 31;
}

/* Mostly connections of which both ends are in the window; some long ones, some that are refused, few drops.
 */
static void append_details(struct buffer *message, uint64_t *state)
{
	uint64_t kind = scatter(state) % 100;
	const char *init = scatter(state) % 4 ? "src" : "dst";

	if (kind < 60)
		buffer_printf(message,
			      ",\"init\":\"%s\",\"starts\":1,\"ends\":1,\"txFlags\":27,\"rxFlags\":27", init);
	else if (kind < 90)
		buffer_printf(message, ",\"init\":\"%s\",\"txFlags\":24,\"rxFlags\":24", init);
	else if (kind < 98)
		buffer_printf(message,
			      ",\"init\":\"src\",\"starts\":1,\"ends\":1,\"txFlags\":2,\"rxFlags\":20");
	else
		buffer_printf(
			message,
			",\"init\":\"dst\",\"starts\":1,\"rxFlags\":2,\"rxDrops\":%u,\"dropReason\":\"NETFILTER_DROP\"",
			1 + (unsigned int)(scatter(state) % 3));
}

/* 1 to 2^21 packets, mostly few, of 60 to 1400 bytes. */
static void append_varied(struct buffer *message, uint64_t *state, bool first)
{
	static const unsigned int ports[] = {443, 443, 443, 53, 80, 22, 5432, 8080};
	uint64_t tx = 1 + (scatter(state) & 0x1fffff) / (UINT64_C(1) << scatter(state) % 22);
	uint64_t rx = 1 + tx * (scatter(state) % 20) / 10;
	unsigned int peer = (unsigned int)(scatter(state) % 2000);

	buffer_printf(
		message,
		"%s{\"proto\":%d,\"src\":\"100.64.0.1:%u\",\"dst\":\"100.64.%u.%u:%u\",\"txPkts\":%" PRIu64
		",\"txBytes\":%" PRIu64 ",\"rxPkts\":%" PRIu64 ",\"rxBytes\":%" PRIu64,
		first ? "" : ",", scatter(state) % 5 ? 6 : 17, (unsigned int)(32768 + scatter(state) % 28232),
		1 + peer / 250, peer % 250, ports[scatter(state) % ARRAY_SIZE(ports)], tx,
		tx * (60 + scatter(state) % 1340), rx, rx * (60 + scatter(state) % 1340));
	append_details(message, state);
	buffer_append_char(message, '}');
}

static void append_entries(struct buffer *message, const struct options *options, uint64_t seq)
{
	uint64_t state = seq;

	buffer_append_text(message, ",\"virtualTraffic\":[");
	for (size_t i = 0; options->varied && i < options->entries; i++)
		append_varied(message, &state, i == 0);
	for (size_t i = 0; !options->varied && i < options->entries; i++)
		buffer_printf(
			message,
			"%s{\"proto\":6,\"src\":\"100.64.0.1:%u\",\"dst\":\"100.64.%u.%u:443\",\"txPkts\":%zu,"
			"\"txBytes\":%" PRIu64 ",\"rxPkts\":3,\"rxBytes\":4321}",
			i ? "," : "", (unsigned int)(20000 + i % 40000), (unsigned int)(i / 250 % 250),
			(unsigned int)(i % 250), i + 1, seq * 1000 + i);
	buffer_append_char(message, ']');
}

static void make_message(struct buffer *message, const struct options *options, uint64_t seq, int64_t now)
{
	char client_time[TIME_TEXT_MAX], start[TIME_TEXT_MAX];

	time_format(now, client_time);
	time_format(now - 5 * NSEC_PER_SEC, start);
	buffer_reset(message);
	buffer_printf(message,
		      "{\"logtail\":{\"client_time\":\"%s\",\"proc_id\":4711,\"proc_seq\":%" PRIu64
		      "},\"nodeId\":\"n1\",\"start\":\"%s\",\"end\":\"%s\"",
		      client_time, seq, start, client_time);
	if (options->members)
		buffer_printf(message, ",%s", options->members);
	else if (options->entries > 0)
		append_entries(message, options, seq);
	else if (message->length + 20 < options->size) {
		size_t fill = options->size - message->length - 12;
		char *at;

		buffer_append_text(message, ",\"filler\":\"");
		at = buffer_reserve(message, fill);
		/* Compresses about as well as messages do, unlike one repeated letter. */
		for (size_t i = 0; at && i < fill; i++)
			at[i] = "0123456789abcdef\":,ptxrdsoky{}"[(i * i + seq * (i % 7)) % 30 % 16];
		message->length += at ? fill : 0;
		buffer_append_char(message, '"');
	}
	buffer_append_char(message, '}');
}

static int fill(struct spool_writer *writer, const struct options *options)
{
	_cleanup_buffer_ struct buffer message = {};
	int64_t begin = time_now_boot();
	int r;

	for (uint64_t i = 0; i < options->count; i++) {
		int64_t age = (int64_t)((options->count - 1 - i) * options->step) * NSEC_PER_SEC;
		int64_t now = time_now_wall() - age;

		if (options->rate > 0) {
			int64_t due = begin + (int64_t)(i * NSEC_PER_SEC / options->rate);
			int64_t wait = due - time_now_boot();

			if (wait > 0)
				(void)poll(NULL, 0, (int)(wait / NSEC_PER_MSEC));
		}
		make_message(&message, options, options->first + i, now);
		if (buffer_error(&message) < 0)
			return -ENOMEM;
		r = spool_writer_append(writer, message.data, message.length, now);
		if (r < 0)
			return r;
		/* The queue in memory is bounded, and the test wants everything on disk. */
		if (i % 64 == 63) {
			r = spool_writer_sync(writer, 10000);
			if (r < 0)
				return r;
		}
	}
	return spool_writer_sync(writer, 10000);
}

/* Whole messages from a file. */
static int fill_lines(struct spool_writer *writer, const char *path)
{
	FILE *file = fopen(path, "re");
	_cleanup_free_ char *line = NULL;
	size_t allocated = 0, n = 0;
	ssize_t length;
	int r = 0;

	if (!file)
		return -errno;
	while (r >= 0 && (length = getline(&line, &allocated, file)) > 0) {
		struct message message;

		length -= line[length - 1] == '\n';
		r = message_parse(line, (size_t)length, &message);
		if (r < 0)
			break;
		r = spool_writer_append(writer, line, (size_t)length, message.client_time);
		message_deinit(&message);
		if (r >= 0 && ++n % 16 == 0)
			r = spool_writer_sync(writer, 10000);
	}
	fclose(file);
	return r < 0 ? r : spool_writer_sync(writer, 10000);
}

static void add_sink(struct options *options, char *name)
{
	if (options->n_sinks < 16)
		options->sinks[options->n_sinks++] = name;
}

static int take_option(struct options *options, int c)
{
	switch (c) {
	case 's':
		options->size = strtoull(optarg, NULL, 10);
		break;
	case 'f':
		options->first = strtoull(optarg, NULL, 10);
		break;
	case 'm':
		options->max_size = strtoull(optarg, NULL, 10);
		break;
	case 'p':
		options->public_id = optarg;
		break;
	case 'u':
		options->upload = optarg;
		break;
	case 'k':
		add_sink(options, optarg);
		break;
	case 'e':
		options->entries = strtoull(optarg, NULL, 10);
		break;
	case 'r':
		options->rate = strtoull(optarg, NULL, 10);
		break;
	case 'v':
		options->varied = true;
		break;
	case 'M':
		options->members = optarg;
		break;
	case 'l':
		options->lines = optarg;
		break;
	case 't':
		options->step = strtoull(optarg, NULL, 10);
		break;
	default:
		return -EINVAL;
	}
	return 0;
}

static int parse(int argc, char **argv, struct options *ret_options)
{
	static const struct option names[] = {
		{"size", required_argument, NULL, 's'},
		{"first", required_argument, NULL, 'f'},
		{"max-size", required_argument, NULL, 'm'},
		{"public", required_argument, NULL, 'p'},
		{"upload", required_argument, NULL, 'u'},
		{"sink", required_argument, NULL, 'k'},
		{"entries", required_argument, NULL, 'e'},
		{"rate", required_argument, NULL, 'r'},
		{"step", required_argument, NULL, 't'},
		{"varied", no_argument, NULL, 'v'},
		{"members", required_argument, NULL, 'M'},
		{"lines", required_argument, NULL, 'l'},
		{},
	};
	int c;

	*ret_options = (struct options){.size = 300, .first = 1, .max_size = UINT64_C(4) << 30};
	while ((c = getopt_long(argc, argv, "", names, NULL)) >= 0)
		if (take_option(ret_options, c) < 0)
			return -EINVAL;
	if (argc - optind != 2)
		return -EINVAL;
	ret_options->directory = argv[optind];
	ret_options->count = strtoull(argv[optind + 1], NULL, 10);
	return 0;
}

int main(int argc, char **argv)
{
	static const struct spool_writer_ops ops = {.stored = on_stored, .lost = on_lost};
	struct spool_writer_options writer_options;
	_cleanup_free_ char *reason = NULL;
	struct spool_writer *writer;
	struct options options;
	struct log_id public_id;
	int r;

	if (parse(argc, argv, &options) < 0) {
		fprintf(stderr, "usage: spool-fill DIRECTORY COUNT [options]\n");
		return 2;
	}
	writer_options = (struct spool_writer_options){
		.directory = options.directory,
		.max_size = options.max_size,
		.sync = SPOOL_SYNC_INTERVAL,
		.sync_interval = NSEC_PER_SEC / 10,
		.upload_directory = options.upload ? options.upload : options.directory,
		.sinks = options.sinks,
		.file_mode = 0600,
	};
	r = spool_writer_new(&writer_options, &ops, NULL, &writer, &reason);
	if (r < 0) {
		fprintf(stderr, "%s\n", reason ? reason : strerror(-r));
		return 1;
	}
	if (options.public_id && log_id_parse(options.public_id, &public_id) == 0)
		spool_writer_set_public_id(writer, &public_id);
	r = fill(writer, &options);
	if (r >= 0 && options.lines)
		r = fill_lines(writer, options.lines);
	spool_writer_free(writer);
	if (r < 0)
		fprintf(stderr, "%s\n", strerror(-r));
	return r < 0 ? 1 : 0;
}
