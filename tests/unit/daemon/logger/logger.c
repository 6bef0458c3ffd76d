/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The logger with devices and clocks of the test's own and a real spool: the order of its steps, what becomes
 * of counts, and every text message that it writes by itself.
 */

#include "daemon/logger/gather.h"
#include "daemon/logger/logger.h"
#include "daemon/logger/status.h"

#include "common/parse.h"
#include "common/spool/reader.h"
#include "daemon/logger/run_mark.h"
#include "daemon/spool/writer.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <string.h>
#include <sys/stat.h>

#define SECOND INT64_C(1000000000)
#define START  (INT64_C(1700000000) * SECOND)

/* ---- a device that says what the test has told it to ---------------------------------------------- */

struct fake {
	struct device device;
	char *log;
};

static char log_text[4096];
static struct extraction next[2]; /* by layer: what the next extraction hands over */
static unsigned int state_changes[2];
static int make_error[2], extract_error[2];
static bool make_error_once;

static void note(enum device_layer layer, const char *what)
{
	size_t n = strlen(log_text);

	snprintf(log_text + n, sizeof(log_text) - n, "%s%s.%s", n ? " " : "",
		 layer == LAYER_TUN ? "tun" : "sock", what);
}

static void fake_free(struct device *device)
{
	free(device);
}

static int fake_enable(struct device *device, bool enabled)
{
	if (device->enabled != enabled)
		state_changes[device->layer]++;
	device->enabled = enabled;
	note(device->layer, enabled ? "enable" : "disable");
	return 0;
}

static int fake_extract(struct device *device, struct extraction *ret_extraction)
{
	*ret_extraction = next[device->layer];
	next[device->layer] = (struct extraction){};
	note(device->layer, "extract");
	return extract_error[device->layer];
}

static void fake_info(struct device *device, struct device_info *ret_info)
{
	(void)device;
	*ret_info = (struct device_info){.source = SOURCE_STATS, .attachment = "test"};
}

static const struct device_ops fake_ops = {
	.name = "stats",
	.source = SOURCE_STATS,
	.free = fake_free,
	.set_statistics_enabled = fake_enable,
	.extract_statistics = fake_extract,
	.get_info = fake_info,
};

static int fake_new(const struct device_options *options, struct device **ret_device, char **ret_reason)
{
	int error = make_error[options->layer];
	struct device *device;

	if (error) {
		if (make_error_once)
			make_error[options->layer] = 0;
		*ret_reason = strdup("the test says no");
		return error;
	}
	device = calloc(1, sizeof(*device));
	ck_assert_ptr_nonnull(device);
	device->ops = &fake_ops;
	device->layer = options->layer;
	*ret_device = device;
	return 0;
}

static const struct layer_source fake_sources[] = {
	{SOURCE_STATS, fake_new, {LAYER_USE_AUTO, LAYER_USE_AUTO}},
	{SOURCE_NONE, device_none_new, {[LAYER_SOCK] = LAYER_USE_AUTO}},
	{}};

static void will_extract(enum device_layer layer, const char *src, const char *dst, uint64_t packets,
			 uint64_t bytes)
{
	struct connection connection = {.proto = layer == LAYER_TUN ? 6 : 0};
	struct counts counts = {.tx_packets = packets, .tx_bytes = bytes};

	ck_assert_int_eq(endpoint_parse(src, &connection.src), 0);
	ck_assert_int_eq(endpoint_parse(dst, &connection.dst), 0);
	ck_assert_int_eq(flows_add(&next[layer].flows, &connection, &counts), 0);
	counts_add(&next[layer].totals, &counts);
	next[layer].has_totals = true;
}

/* ---- the rest of the stage ------------------------------------------------------------------------ */

static int64_t wall, boot;

static int64_t test_wall(void *userdata)
{
	(void)userdata;
	return wall;
}

static int64_t test_boot(void *userdata)
{
	(void)userdata;
	return boot;
}

static const struct clock test_clock = {.wall = test_wall, .boot = test_boot};

static char directory[64], spool_directory[96];
static struct config *config;
static struct spool_writer *spool;
static struct logger *logger;

static void stored(uint64_t sequence, void *userdata)
{
	(void)sequence;
	(void)userdata;
}

static void lost(const struct spool_loss *loss, void *userdata)
{
	(void)loss;
	(void)userdata;
}

static const struct spool_writer_ops spool_ops = {stored, lost};

static struct config *make_config(const char *more)
{
	struct config_error error = {};
	struct config *made = NULL;
	char path[128];
	FILE *file;

	snprintf(path, sizeof(path), "%s/conf", directory);
	file = fopen(path, "we");
	ck_assert_ptr_nonnull(file);
	fprintf(file,
		"[netlogd]\nstate-directory=%s\n[tun]\nsource=stats\nstats-socket=/x\n"
		"[sock]\nsource=stats\nstats-socket=/y\n[routes]\nmode=static\nlocal-addr=100.64.0.1\n"
		"route=100.64.0.2,10.0.0.0/8\n%s",
		directory, more);
	fclose(file);
	ck_assert_msg(config_load(path, &made, &error) == 0, "%u: %s", error.line, error.reason);
	return made;
}

static void open_logger(void)
{
	struct logger_options options = {.clock = &test_clock,
					 .spool = spool,
					 .config = config,
					 .proc_id = 77,
					 .sources = fake_sources};

	ck_assert_int_eq(logger_new(&options, &logger), 0);
}

static void setup(void)
{
	struct spool_writer_options options = {
		.max_size = 64 << 20, .sync_interval = SECOND, .file_mode = 0600};
	char *reason = NULL;

	strcpy(directory, "/tmp/nl-logger-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(directory));
	snprintf(spool_directory, sizeof(spool_directory), "%s/spool", directory);
	log_text[0] = '\0';
	memset(next, 0, sizeof(next));
	memset(state_changes, 0, sizeof(state_changes));
	memset(make_error, 0, sizeof(make_error));
	make_error_once = false;
	memset(extract_error, 0, sizeof(extract_error));
	wall = START;
	boot = 1000 * SECOND;
	config = make_config("");
	options.directory = spool_directory;
	options.upload_directory = directory;
	ck_assert_int_eq(spool_writer_new(&options, &spool_ops, NULL, &spool, &reason), 0);
	open_logger();
}

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *walk)
{
	(void)status;
	(void)type;
	(void)walk;
	return remove(path);
}

static void teardown(void)
{
	logger_free(logger);
	spool_writer_free(spool);
	config_free(config);
	nftw(directory, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static void pass(int64_t time)
{
	wall += time;
	boot += time;
}

static void start(void)
{
	const char *layer;
	char *reason;

	ck_assert_int_eq(logger_start(logger, NULL, NULL, &layer, &reason), 0);
}

/* All messages in the spool, one per line, without the first "logtail" member. */
static char *messages(void)
{
	static char text[65536];
	int fd = open(spool_directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct spool_reader *reader;
	struct spool_message message;
	struct spool_gap gap;
	size_t n = 0;

	ck_assert_int_eq(spool_writer_sync(spool, 5000), 0);
	ck_assert_int_eq(spool_reader_new(fd, &reader), 0);
	ck_assert_int_eq(spool_reader_seek(reader, 0), 0);
	text[0] = '\0';
	for (;;) {
		int r = spool_reader_next(reader, &message, &gap);
		const char *end;

		if (r == SPOOL_READ_NEW_SPOOL)
			continue;
		if (r != SPOOL_READ_MESSAGE)
			break;
		end = memchr(message.data, '}', message.length);
		ck_assert_ptr_nonnull(end);
		n += (size_t)snprintf(text + n, sizeof(text) - n, "{%.*s\n",
				      (int)(message.length - (size_t)(end + 2 - message.data)), end + 2);
	}
	spool_reader_free(reader);
	close(fd);
	return text;
}

#define STARTED                                                                                              \
	"{\"text\":\"netlogd: started, version 0.1.0, tun /x by stats (test), sock /y by stats (test), routes static\"}\n"

/* ---- tests ---------------------------------------------------------------------------------------- */

START_TEST(test_start_and_stop_order)
{
	start();
	ck_assert_str_eq(log_text, "tun.enable tun.extract sock.enable sock.extract");
	log_text[0] = '\0';
	logger_stop(logger);
	ck_assert_str_eq(log_text, "tun.disable tun.extract sock.extract sock.disable");
	ck_assert_str_eq(messages(), STARTED "{\"text\":\"netlogd: stopped\"}\n");
}
END_TEST

START_TEST(test_ten_starts_and_stops)
{
	const char *layer;
	char *reason;

	for (int i = 0; i < 10; i++) {
		start();
		ck_assert_int_eq(logger_start(logger, NULL, NULL, &layer, &reason), -EALREADY);
		logger_stop(logger);
		logger_stop(logger);
	}
	ck_assert_uint_eq(state_changes[LAYER_TUN], 20);
	ck_assert_uint_eq(state_changes[LAYER_SOCK], 20);
}
END_TEST

START_TEST(test_what_was_held_before_the_start_is_thrown_away)
{
	will_extract(LAYER_TUN, "100.64.0.1:1", "100.64.0.2:2", 5, 500);
	will_extract(LAYER_SOCK, "100.64.0.2:0", "192.0.2.1:51820", 5, 500);
	start();
	extraction_deinit(&next[0]);
	pass(5 * SECOND);
	logger_end_window(logger);
	ck_assert_str_eq(messages(), STARTED);
}
END_TEST

START_TEST(test_window)
{
	start();
	will_extract(LAYER_TUN, "100.64.0.1:1", "100.64.0.2:2", 5, 500);
	will_extract(LAYER_SOCK, "100.64.0.2:0", "192.0.2.1:51820", 6, 660);
	pass(5 * SECOND);
	logger_end_window(logger);
	ck_assert_str_eq(messages(), STARTED
			 "{\"start\":\"2023-11-14T22:13:20Z\",\"end\":\"2023-11-14T22:13:25Z\","
			 "\"virtualTraffic\":[{\"proto\":6,\"src\":\"100.64.0.1:1\",\"dst\":\"100.64.0.2:2\","
			 "\"txPkts\":5,\"txBytes\":500}],"
			 "\"physicalTraffic\":[{\"proto\":0,\"src\":\"100.64.0.2:0\","
			 "\"dst\":\"192.0.2.1:51820\",\"txPkts\":6,\"txBytes\":660}]}\n");
	pass(5 * SECOND);
	will_extract(LAYER_TUN, "100.64.0.1:1", "100.64.0.2:2", 1, 50);
	logger_end_window(logger);
	ck_assert_ptr_nonnull(strstr(messages(), "\"start\":\"2023-11-14T22:13:25.000000001Z\","
						 "\"end\":\"2023-11-14T22:13:30Z\""));
}
END_TEST

static void reconfigure(const char *route)
{
	struct route_lists lists = {};
	struct prefix prefix;

	ck_assert_int_eq(prefix_parse(route, &prefix), 0);
	ck_assert_int_eq(prefix_list_add(&lists.routes, &prefix), 0);
	ck_assert_int_eq(logger_reconfigure(logger, &lists), 0);
	route_lists_deinit(&lists);
}

START_TEST(test_route_change_in_the_middle)
{
	start();
	will_extract(LAYER_TUN, "100.64.0.1:1", "10.1.1.1:2", 5, 500);
	pass(SECOND);
	log_text[0] = '\0';
	reconfigure("172.16.0.0/12");
	ck_assert_str_eq(log_text, "tun.extract sock.extract");
	will_extract(LAYER_TUN, "100.64.0.1:1", "10.1.1.1:2", 3, 300); /* the old route still classifies */
	will_extract(LAYER_TUN, "100.64.0.1:1", "172.16.0.9:2", 1, 100);
	pass(SECOND);
	logger_end_window(logger);
	ck_assert_str_eq(messages(), STARTED
			 "{\"start\":\"2023-11-14T22:13:20Z\",\"end\":\"2023-11-14T22:13:22Z\","
			 "\"subnetTraffic\":[{\"proto\":6,\"src\":\"100.64.0.1:1\",\"dst\":\"10.1.1.1:2\","
			 "\"txPkts\":8,\"txBytes\":800},"
			 "{\"proto\":6,\"src\":\"100.64.0.1:1\",\"dst\":\"172.16.0.9:2\","
			 "\"txPkts\":1,\"txBytes\":100}]}\n");
	/* And through the window after it. */
	for (int window = 0; window < 2; window++) {
		will_extract(LAYER_TUN, "100.64.0.1:1", "10.1.1.1:2", 3, 300);
		logger_end_window(logger);
		ck_assert_int_eq(strstr(messages(), "exitTraffic") != NULL, window);
	}
}
END_TEST

START_TEST(test_clock_step_is_told_in_between)
{
	start();
	will_extract(LAYER_TUN, "100.64.0.1:1", "100.64.0.2:2", 5, 500);
	pass(5 * SECOND);
	wall += 100 * SECOND;
	logger_end_window(logger);
	will_extract(LAYER_TUN, "100.64.0.1:1", "100.64.0.2:2", 1, 100);
	pass(5 * SECOND);
	logger_end_window(logger);
	const char *text = messages();
	const char *first = strstr(text, "\"end\":\"2023-11-14T22:13:25Z\"");
	const char *step = strstr(text, "netlogd: the wall clock stepped by +100.000 s");
	const char *second =
		strstr(text, "\"start\":\"2023-11-14T22:15:05Z\",\"end\":\"2023-11-14T22:15:10Z\"");

	ck_assert_ptr_nonnull(first);
	ck_assert_ptr_nonnull(step);
	ck_assert_ptr_nonnull(second);
	ck_assert(first < step && step < second);
}
END_TEST

START_TEST(test_end_without_a_stop_is_told_once)
{
	run_mark_set(directory, true);
	start();
	ck_assert_ptr_nonnull(strstr(messages(), "previous run did not shut down cleanly"));
	logger_stop(logger);
	ck_assert(!run_mark_is_set(directory));
	start();
	ck_assert_ptr_null(strstr(strstr(messages(), "stopped"), "shut down cleanly"));
	ck_assert(run_mark_is_set(directory));
}
END_TEST

START_TEST(test_heartbeat)
{
	start();
	pass(899 * SECOND);
	logger_end_window(logger);
	ck_assert_str_eq(messages(), STARTED);
	pass(SECOND);
	logger_end_window(logger);
	ck_assert_str_eq(messages(), STARTED "{\"text\":\"netlogd: running, nothing logged for 900 s\"}\n");
	pass(899 * SECOND);
	logger_end_window(logger);
	ck_assert_str_eq(messages(), STARTED "{\"text\":\"netlogd: running, nothing logged for 900 s\"}\n");
}
END_TEST

static json_int_t status_number(const char *part, const char *member)
{
	json_t *status = logger_status(logger);
	json_int_t value = json_integer_value(json_object_get(json_object_get(status, part), member));

	json_decref(status);
	return value;
}

static json_int_t status_packets(const char *layer, const char *counts, const char *member)
{
	json_t *status = logger_status(logger);
	json_t *object = json_object_get(json_object_get(status, layer), counts);
	json_int_t value = json_integer_value(json_object_get(object, member));

	json_decref(status);
	return value;
}

START_TEST(test_conservation_is_checked)
{
	start();
	will_extract(LAYER_TUN, "100.64.0.1:1", "100.64.0.2:2", 5, 500);
	logger_end_window(logger);
	ck_assert_int_eq(status_number("record", "conservationFailures"), 0);
	will_extract(LAYER_TUN, "100.64.0.1:1", "100.64.0.2:2", 5, 500);
	next[LAYER_TUN].totals.tx_packets++;
	logger_end_window(logger);
	ck_assert_int_eq(status_number("record", "conservationFailures"), 1);
	ck_assert_int_eq(status_number("tun", "conservationFailures"), 1);
	ck_assert_int_eq(status_number("sock", "conservationFailures"), 0);
}
END_TEST

START_TEST(test_ignored_and_overflow_count_for_conservation)
{
	start();
	will_extract(LAYER_TUN, "100.64.0.1:1", "100.100.100.100:53", 5, 500);
	next[LAYER_TUN].overflow = (struct counts){.rx_packets = 12, .rx_bytes = 768};
	counts_add(&next[LAYER_TUN].totals, &next[LAYER_TUN].overflow);
	pass(SECOND);
	logger_end_window(logger);
	ck_assert_int_eq(status_number("record", "conservationFailures"), 0);
	ck_assert_str_eq(messages(),
			 STARTED "{\"start\":\"2023-11-14T22:13:20Z\",\"end\":\"2023-11-14T22:13:21Z\","
				 "\"overflow\":{\"tun\":{\"rxPkts\":12,\"rxBytes\":768}}}\n");
	ck_assert_int_eq(status_packets("tun", "overflow", "rxPkts"), 12);
}
END_TEST

START_TEST(test_unknown_counts_for_conservation)
{
	start();
	will_extract(LAYER_SOCK, "100.64.0.2:0", "192.0.2.1:51820", 6, 660);
	next[LAYER_SOCK].unknown = (struct counts){.rx_packets = 7, .rx_bytes = 70};
	counts_add(&next[LAYER_SOCK].totals, &next[LAYER_SOCK].unknown);
	next[LAYER_SOCK].inexact = (struct counts){.tx_packets = 2, .tx_bytes = 220};
	pass(SECOND);
	logger_end_window(logger);
	ck_assert_int_eq(status_number("record", "conservationFailures"), 0);
	ck_assert_int_eq(status_packets("sock", "unknown", "rxPkts"), 7);
	ck_assert_int_eq(status_packets("sock", "inexact", "txPkts"), 2);
	ck_assert_int_eq(status_packets("sock", "totals", "rxPkts"), 7);
	ck_assert_int_eq(status_packets("sock", "totals", "txPkts"), 6);
}
END_TEST

/* What a kernel drops has no size. */
START_TEST(test_conservation_in_packets_only)
{
	start();
	for (int window = 0; window < 2; window++) {
		will_extract(LAYER_TUN, "100.64.0.1:1", "100.64.0.2:2", 5, 500);
		next[LAYER_TUN].totals.tx_bytes += 10;
		next[LAYER_TUN].totals.tx_packets += (uint64_t)window;
		next[LAYER_TUN].packets_only = true;
		logger_end_window(logger);
		ck_assert_int_eq(status_number("tun", "conservationFailures"), window);
	}
}
END_TEST

static void reload(uint32_t max_flows)
{
	struct config *old = config;

	config = make_config("");
	config->max_flows = max_flows;
	ck_assert_int_eq(logger_apply(logger, config, NULL), 0);
	config_free(old);
}

/* What a window can't hold, of either device, by the bound that holds since the reload. */
START_TEST(test_connections_beyond_the_bound)
{
	start();
	reload(1);
	pass(SECOND);
	for (int half = 0; half < 2; half++) {
		will_extract(LAYER_TUN, "100.64.0.1:1", half ? "100.64.0.2:3" : "100.64.0.2:2", 5, 500);
		will_extract(LAYER_SOCK, "100.64.0.2:0", half ? "192.0.2.2:1" : "192.0.2.1:1", 6, 660);
		if (half == 0)
			gather_counts(logger);
	}
	logger_end_window(logger);
	ck_assert_ptr_nonnull(strstr(messages(), "\"overflow\":{\"tun\":{\"txPkts\":5,\"txBytes\":500},"
						 "\"sock\":{\"txPkts\":6,\"txBytes\":660}}"));
	ck_assert_int_eq(status_packets("tun", "overflow", "txPkts"), 5);
	ck_assert_int_eq(status_packets("sock", "overflow", "txPkts"), 6);
	ck_assert_int_eq(status_number("record", "conservationFailures"), 0);
}
END_TEST

START_TEST(test_device_that_is_gone)
{
	start();
	will_extract(LAYER_TUN, "100.64.0.1:1", "100.64.0.2:2", 5, 500);
	extract_error[LAYER_TUN] = -ENODEV;
	log_text[0] = '\0';
	pass(SECOND);
	logger_end_window(logger);
	/* What came since the window's end is taken before it is closed; then it is made anew. */
	ck_assert_str_eq(log_text, "tun.extract sock.extract tun.extract sock.extract tun.enable");
	ck_assert_ptr_nonnull(strstr(messages(), "\"txPkts\":5"));
	ck_assert_ptr_nonnull(strstr(messages(), "device lost: tun /x"));
	ck_assert_ptr_nonnull(strstr(messages(), "device back: tun /x by stats (test)"));
	ck_assert_int_eq(status_number("tun", "errors"), 0);
}
END_TEST

START_TEST(test_failing_extraction_is_counted)
{
	start();
	/* A device may have had more of them than the one that it returns, or leave the counting to others.
	 */
	extract_error[LAYER_SOCK] = extract_error[LAYER_TUN] = -EIO;
	next[LAYER_SOCK].errors = 3;
	logger_end_window(logger);
	ck_assert_int_eq(status_number("sock", "errors"), 3);
	ck_assert_int_eq(status_number("tun", "errors"), 1);
}
END_TEST

START_TEST(test_device_that_does_not_work)
{
	const char *layer = NULL;
	char *reason = NULL;

	make_error[LAYER_SOCK] = -EPERM;
	ck_assert_int_eq(logger_start(logger, NULL, NULL, &layer, &reason), -EPERM);
	ck_assert_str_eq(layer, "sock");
	ck_assert_str_eq(reason, "stats: the test says no");
	free(reason);
	ck_assert(!logger_is_running(logger));
	/* The one that came first does not go on counting. */
	ck_assert_str_eq(log_text, "tun.enable tun.extract tun.disable");
	ck_assert_int_eq(logger_start_anyway(logger), 0);
	ck_assert(logger_is_running(logger));
	make_error[LAYER_SOCK] = 0;
	log_text[0] = '\0';
	logger_end_window(logger);
	ck_assert_str_eq(log_text, "tun.extract sock.enable");
	ck_assert_ptr_nonnull(strstr(messages(), "device found: sock /y by stats (test)"));
}
END_TEST

START_TEST(test_auto_takes_a_better_source_when_it_comes)
{
	make_error[LAYER_SOCK] = -EOPNOTSUPP;
	config->sock.source = SOURCE_AUTO;
	start();
	logger_end_window(logger);
	ck_assert_ptr_nonnull(strstr(messages(), "sock none"));
	make_error[LAYER_SOCK] = 0;
	logger_end_window(logger);
	ck_assert_ptr_nonnull(strstr(messages(), "device found: sock /y by stats (test)"));
	will_extract(LAYER_SOCK, "100.64.0.2:0", "192.0.2.1:51820", 6, 660);
	logger_end_window(logger);
	ck_assert_ptr_nonnull(strstr(messages(), "\"txBytes\":660"));
}
END_TEST

START_TEST(test_reload_exchanges_a_changed_device_at_a_windows_end)
{
	struct config *old = config;

	start();
	will_extract(LAYER_TUN, "100.64.0.1:1", "100.64.0.2:2", 5, 500);
	config = make_config("[record]\nperiod=1s\n");
	free(config->tun.stats_socket);
	config->tun.stats_socket = strdup("/z");
	log_text[0] = '\0';
	pass(SECOND);
	ck_assert_int_eq(logger_apply(logger, config, NULL), 0);
	config_free(old);
	/* The new one counts before the old one ends. Each of the two ends of counting takes the old one's
	 * counts and throws away the new one's. */
	ck_assert_str_eq(log_text, "tun.enable tun.extract tun.extract sock.extract "
				   "tun.extract tun.extract sock.extract tun.disable");
	ck_assert_ptr_nonnull(strstr(messages(), "\"txPkts\":5"));
	ck_assert_ptr_nonnull(strstr(messages(), "device changed: tun /z by stats (test)"));
}
END_TEST

/* A VPN that is asked by both has one set of counts: nothing is thrown away, and it is not told to stop. */
START_TEST(test_reload_asks_the_same_vpn)
{
	start();
	will_extract(LAYER_TUN, "100.64.0.1:1", "100.64.0.2:2", 5, 500);
	log_text[0] = '\0';
	pass(SECOND);
	reload(100);
	ck_assert_str_eq(log_text,
			 "tun.enable sock.enable tun.extract sock.extract tun.extract sock.extract");
	ck_assert_ptr_nonnull(strstr(messages(), "\"txPkts\":5"));
}
END_TEST

/* For what was too much beside the old device there may be room without it. */
START_TEST(test_reload_tries_again_without_the_old_device)
{
	start();
	make_error[LAYER_TUN] = -ENOMEM;
	make_error_once = true;
	reload(100);
	ck_assert_ptr_nonnull(strstr(messages(), "device changed: tun /x by stats (test)"));
	ck_assert_int_eq(status_number("tun", "maxFlows"), 100);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("logger");
	TCase *tcase = tcase_create("logger");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, test_start_and_stop_order);
	tcase_add_test(tcase, test_ten_starts_and_stops);
	tcase_add_test(tcase, test_what_was_held_before_the_start_is_thrown_away);
	tcase_add_test(tcase, test_window);
	tcase_add_test(tcase, test_route_change_in_the_middle);
	tcase_add_test(tcase, test_clock_step_is_told_in_between);
	tcase_add_test(tcase, test_end_without_a_stop_is_told_once);
	tcase_add_test(tcase, test_heartbeat);
	tcase_add_test(tcase, test_conservation_is_checked);
	tcase_add_test(tcase, test_ignored_and_overflow_count_for_conservation);
	tcase_add_test(tcase, test_unknown_counts_for_conservation);
	tcase_add_test(tcase, test_conservation_in_packets_only);
	tcase_add_test(tcase, test_connections_beyond_the_bound);
	tcase_add_test(tcase, test_device_that_is_gone);
	tcase_add_test(tcase, test_failing_extraction_is_counted);
	tcase_add_test(tcase, test_device_that_does_not_work);
	tcase_add_test(tcase, test_auto_takes_a_better_source_when_it_comes);
	tcase_add_test(tcase, test_reload_exchanges_a_changed_device_at_a_windows_end);
	tcase_add_test(tcase, test_reload_asks_the_same_vpn);
	tcase_add_test(tcase, test_reload_tries_again_without_the_old_device);
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
