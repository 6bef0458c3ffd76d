/* SPDX-License-Identifier: BSD-3-Clause */
/* The fixture of the logger's tests: fake devices, a clock that the test moves, and a real spool. */

#include "tests/unit/daemon/logger/support.h"

#include "common/config/load.h"
#include "common/spool/reader.h"
#include "daemon/logger/status.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

/* ---- a device that says what the test has told it to ---------------------------------------------- */

struct fake {
	struct device device;
	char *log;
};

char log_text[4096];
struct extraction next[2], next_leaving[2];
unsigned int state_changes[2];
int make_error[2], extract_error[2];
bool make_error_once, takes_over[2], made_details[2];
const char *allowed_ip;

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
	struct extraction *one = &next[device->layer], *leaving = &next_leaving[device->layer];

	if (!device->enabled && leaving->flows.n > 0)
		one = leaving;
	*ret_extraction = *one;
	*one = (struct extraction){};
	note(device->layer, "extract");
	return extract_error[device->layer];
}

static void fake_info(struct device *device, struct device_info *ret_info)
{
	*ret_info = (struct device_info){
		.source = SOURCE_STATS, .attachment = "test", .ifindex = device->ops->take_over ? 7 : 0};
}

static int fake_take_over(struct device *device, struct device *from)
{
	device->enabled = true;
	from->enabled = false;
	note(device->layer, "take_over");
	return 0;
}

static int fake_allowed_ips(struct device *device, struct prefix_list *allowed_ips)
{
	struct prefix prefix;

	(void)device;
	if (!allowed_ip)
		return 0;
	ck_assert_int_eq(prefix_parse(allowed_ip, &prefix), 0);
	return prefix_list_add(allowed_ips, &prefix);
}

static const struct device_ops fake_ops = {
	.name = "stats",
	.source = SOURCE_STATS,
	.free = fake_free,
	.set_statistics_enabled = fake_enable,
	.extract_statistics = fake_extract,
	.get_info = fake_info,
	.get_allowed_ips = fake_allowed_ips,
};

static const struct device_ops fake_ops_that_take_over = {
	.name = "stats",
	.source = SOURCE_STATS,
	.free = fake_free,
	.set_statistics_enabled = fake_enable,
	.extract_statistics = fake_extract,
	.get_info = fake_info,
	.take_over = fake_take_over,
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
	made_details[options->layer] = options->details;
	device->ops = takes_over[options->layer] ? &fake_ops_that_take_over : &fake_ops;
	device->layer = options->layer;
	*ret_device = device;
	return 0;
}

static const struct layer_source fake_sources[] = {
	{SOURCE_STATS, fake_new, {LAYER_USE_AUTO, LAYER_USE_AUTO}},
	{SOURCE_NONE, device_none_new, {[LAYER_SOCK] = LAYER_USE_AUTO}},
	{}};

void will_extract(enum device_layer layer, const char *src, const char *dst, uint64_t packets, uint64_t bytes)
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

int64_t wall, boot;

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

char directory[SCRATCH_MAX], spool_directory[96];
struct config *config;
struct spool_writer *spool;
struct logger *logger;

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

struct config *make_config(const char *more)
{
	struct config_error error = {};
	struct config *made = NULL;
	char path[128];
	FILE *file;

	snprintf(path, sizeof(path), "%s/conf", directory);
	file = fopen(path, "we");
	ck_assert_ptr_nonnull(file);
	fprintf(file,
		"[netlogd]\nstate-directory=%s\n[node]\nid=\n[tun]\nsource=stats\nstats-socket=/x\n"
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

void logger_setup(void)
{
	struct spool_writer_options options = {
		.max_size = 64 << 20, .sync_interval = SECOND, .file_mode = 0600};
	char *reason = NULL;

	scratch_make(directory);
	snprintf(spool_directory, sizeof(spool_directory), "%s/spool", directory);
	log_text[0] = '\0';
	memset(next, 0, sizeof(next));
	memset(state_changes, 0, sizeof(state_changes));
	memset(make_error, 0, sizeof(make_error));
	make_error_once = false;
	allowed_ip = NULL;
	memset(extract_error, 0, sizeof(extract_error));
	wall = START;
	boot = 1000 * SECOND;
	config = make_config("");
	options.directory = spool_directory;
	options.upload_directory = directory;
	ck_assert_int_eq(spool_writer_new(&options, &spool_ops, NULL, &spool, &reason), 0);
	open_logger();
}

void logger_teardown(void)
{
	logger_free(logger);
	spool_writer_free(spool);
	config_free(config);
}

void pass(int64_t time)
{
	wall += time;
	boot += time;
}

void start(void)
{
	const char *layer;
	char *reason;

	ck_assert_int_eq(logger_start(logger, NULL, NULL, &layer, &reason), 0);
}

/* All messages in the spool, one per line, without the first "logtail" member. */
char *messages(void)
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

json_int_t status_number(const char *part, const char *member)
{
	json_t *status = logger_status(logger);
	json_int_t value = json_integer_value(json_object_get(json_object_get(status, part), member));

	json_decref(status);
	return value;
}

json_int_t status_packets(const char *layer, const char *counts, const char *member)
{
	json_t *status = logger_status(logger);
	json_t *object = json_object_get(json_object_get(status, layer), counts);
	json_int_t value = json_integer_value(json_object_get(object, member));

	json_decref(status);
	return value;
}

void reload(uint32_t max_flows, enum routes_mode mode)
{
	struct config *old = config;

	config = make_config("");
	config->max_flows = max_flows;
	config->routes_mode = mode;
	ck_assert_int_eq(logger_apply(logger, config, NULL), 0);
	config_free(old);
}

int logger_run_tests(const char *name, const TTest *const *tests)
{
	Suite *suite = suite_create(name);
	TCase *tcase = tcase_create(name);
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(tcase, logger_setup, logger_teardown);
	for (; *tests; tests++)
		tcase_add_test(tcase, *tests);
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
