/* SPDX-License-Identifier: BSD-3-Clause */
/* Looking back: flows and the spool's commands over a spool that the real writer made. */

#include "control/flow_sum.h"

#include "common/file.h"
#include "common/message.h"
#include "common/time_text.h"
#include "control/html.h"
#include "daemon/spool/writer.h"
#include "tests/unit/control/fake_daemon.h"
#include "tests/unit/control/run_line.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

#define FIRST                                                                                                \
	"{'logtail':{'client_time':'2026-11-22T20:00:05Z','proc_id':5,'proc_seq':1},"                        \
	"'start':'2026-11-22T20:00:00Z','end':'2026-11-22T20:00:05Z',"                                       \
	"'virtualTraffic':[{'proto':6,'src':'100.64.0.1:40000','dst':'100.64.0.2:22','txPkts':10,"           \
	"'txBytes':1000,'rxPkts':5,'rxBytes':500}],"                                                         \
	"'physicalTraffic':[{'proto':0,'src':'100.64.0.2:0','dst':'192.0.2.2:51820','txPkts':12,'txBytes':1500}]}"
#define SECOND                                                                                               \
	"{'logtail':{'client_time':'2026-11-22T20:00:10Z','proc_id':5,'proc_seq':2},"                        \
	"'start':'2026-11-22T20:00:05.000000001Z','end':'2026-11-22T20:00:10Z',"                             \
	"'dstNodes':[{'nodeId':'n2','name':'server','addresses':['100.64.0.2']}],"                           \
	"'virtualTraffic':[{'proto':6,'src':'100.64.0.1:40000','dst':'100.64.0.2:22','txPkts':1,"            \
	"'txBytes':24},{'proto':6,'src':'100.64.0.1:40001','dst':'100.64.0.2:22','rxPkts':1,'rxBytes':40}]," \
	"'subnetTraffic':[{'proto':17,'src':'100.64.0.1:5000','dst':'10.1.0.9:53','txPkts':1,'txBytes':60,"  \
	"'rxPkts':1,'rxBytes':120}]}"
#define TEXT                                                                                                 \
	"{'logtail':{'client_time':'2026-11-22T20:00:12Z','proc_id':5,'proc_seq':3},'text':'netlogd: stopped'}"
#define LAST                                                                                                 \
	"{'logtail':{'client_time':'2026-11-22T20:05:00Z','proc_id':5,'proc_seq':4},"                        \
	"'start':'2026-11-22T20:04:55Z','end':'2026-11-22T20:05:00Z',"                                       \
	"'exitTraffic':[{'proto':0,'src':'','dst':'','txPkts':1,'txBytes':60}]}"

static const char *const messages[] = {FIRST, SECOND, TEXT, LAST};

struct place {
	char directory[32], spool[64], upload[64];
};

static char *json_text_of(const char *text)
{
	json_t *value = json_of(text);
	char *out = json_dumps(value, JSON_COMPACT);

	json_decref(value);
	return out;
}

/* A spool that holds the messages. */
static struct place make_spool(void)
{
	struct place place = {.directory = "/tmp/netlogd-test-XXXXXX"};
	struct spool_writer_options options = {.max_size = 64 << 20, .file_mode = 0600};
	const struct spool_writer_ops ops = {};
	struct spool_writer *writer;
	char *reason = NULL;

	ck_assert_ptr_nonnull(mkdtemp(place.directory));
	snprintf(place.spool, sizeof(place.spool), "%s/spool", place.directory);
	snprintf(place.upload, sizeof(place.upload), "%s/upload", place.directory);
	ck_assert_int_eq(mkdir(place.spool, 0700), 0);
	ck_assert_int_eq(mkdir(place.upload, 0700), 0);
	options.directory = place.spool;
	options.upload_directory = place.upload;
	options.sync_interval = NSEC_PER_SEC;
	ck_assert_int_eq(spool_writer_new(&options, &ops, NULL, &writer, &reason), 0);
	for (size_t i = 0; i < ARRAY_SIZE(messages); i++) {
		_cleanup_free_ char *text = json_text_of(messages[i]);
		struct message message;

		ck_assert_int_eq(message_parse(text, strlen(text), &message), 0);
		ck_assert_int_eq(spool_writer_append(writer, text, strlen(text), message.client_time), 0);
		message_deinit(&message);
	}
	spool_writer_free(writer);
	return place;
}

static void remove_directory(const char *path)
{
	DIR *directory = opendir(path);
	struct dirent *entry;

	while (directory && (entry = readdir(directory)))
		if (entry->d_name[0] != '.' || entry->d_name[1] != '\0')
			unlinkat(dirfd(directory), entry->d_name, 0);
	if (directory)
		closedir(directory);
	rmdir(path);
}

static void remove_place(const struct place *place)
{
	char damaged[96];

	snprintf(damaged, sizeof(damaged), "%s/damaged", place->spool);
	remove_directory(damaged);
	remove_directory(place->spool);
	remove_directory(place->upload);
	rmdir(place->directory);
}

/* Runs a command on that spool; the place is removed by the caller. */
static struct run run_on(const struct place *place, const char *line)
{
	_cleanup_free_ char *full = NULL;

	ck_assert_int_gt(asprintf(&full, "%s --spool %s", line, place->spool), 0);
	return run_line(NULL, full, NULL);
}

START_TEST(test_flows)
{
	static const struct {
		const char *line, *out;
	} cases[] = {
		{"flows",
		 "CLASS     CONNECTION                             SENT  RECEIVED  TX PKTS  RX PKTS\n"
		 "virtual   tcp 100.64.0.1:40000 > server:22   1.00 KiB     500 B       11        5\n"
		 "virtual   tcp 100.64.0.1:40001 > server:22        0 B      40 B        0        1\n"
		 "subnet    udp 100.64.0.1:5000 > 10.1.0.9:53      60 B     120 B        1        1\n"
		 "exit      all                                    60 B       0 B        1        0\n"
		 "physical  - 100.64.0.2 > 192.0.2.2:51820     1.46 KiB       0 B       12        0\n"},
		{"flows --by class", "CLASS     TRAFFIC      SENT  RECEIVED  TX PKTS  RX PKTS\n"
				     "virtual   all      1.00 KiB     540 B       11        6\n"
				     "subnet    all          60 B     120 B        1        1\n"
				     "exit      all          60 B       0 B        1        0\n"
				     "physical  all      1.46 KiB       0 B       12        0\n"},
		{"flows --by peer --class virtual",
		 "CLASS    PEER        SENT  RECEIVED  TX PKTS  RX PKTS\n"
		 "virtual  server  1.00 KiB     540 B       11        6\n"},
		{"flows --by peer --class physical",
		 "CLASS     PEER            SENT  RECEIVED  TX PKTS  RX PKTS\n"
		 "physical  100.64.0.2  1.46 KiB       0 B       12        0\n"},
		{"flows --by node --addr 10.0.0.0/8",
		 "CLASS   NODE        SENT  RECEIVED  TX PKTS  RX PKTS\n"
		 "subnet  100.64.0.1  60 B     120 B        1        1\n"},
		{"flows --by port --class virtual",
		 "CLASS    SERVICE      SENT  RECEIVED  TX PKTS  RX PKTS\n"
		 "virtual  tcp/22   1.00 KiB     540 B       11        6\n"},
		{"flows --by class --since 2026-11-22T20:01:00Z",
		 "CLASS  TRAFFIC  SENT  RECEIVED  TX PKTS  RX PKTS\n"
		 "exit   all      60 B       0 B        1        0\n"},
		{"flows --by class --until 2026-11-22T20:00:05Z",
		 "CLASS     TRAFFIC      SENT  RECEIVED  TX PKTS  RX PKTS\n"
		 "virtual   all        1000 B     500 B       10        5\n"
		 "physical  all      1.46 KiB       0 B       12        0\n"},
		{"flows --limit 1 --class virtual",
		 "CLASS    CONNECTION                            SENT  RECEIVED  TX PKTS  RX PKTS\n"
		 "virtual  tcp 100.64.0.1:40000 > server:22  1.00 KiB     500 B       11        5\n"
		 "… and 1 more\n"},
		{"flows --addr 192.0.2.77", ""},
	};
	struct place place = make_spool();
	struct run runs[ARRAY_SIZE(cases)];

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		runs[i] = run_on(&place, cases[i].line);
	remove_place(&place);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		ck_assert_int_eq(runs[i].status, CTL_OK);
		ck_assert_msg(strcmp(runs[i].out, cases[i].out) == 0, "%s gave\n%s", cases[i].line,
			      runs[i].out);
		run_deinit(&runs[i]);
	}
}
END_TEST

START_TEST(test_lines)
{
	static const struct {
		const char *line;
		unsigned int messages; /* bits */
	} cases[] = {
		{"spool export", 0xf},
		{"spool export --since 2026-11-22T20:00:10Z", 0xe},
		{"spool export --until 2026-11-22T20:00:10Z", 0x3},
		{"flows --json", 0xf},
		{"flows --json --class virtual", 0x3},
		{"flows --json --class subnet", 0x2},
		{"flows --json --addr 192.0.2.2", 0x1},
		{"flows --json --since 2026-11-22T20:00:11Z --until 2026-11-22T20:00:13Z", 0x4},
	};
	struct place place = make_spool();
	struct run runs[ARRAY_SIZE(cases)];

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		runs[i] = run_on(&place, cases[i].line);
	remove_place(&place);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_buffer_ struct buffer expected = {};

		for (size_t j = 0; j < ARRAY_SIZE(messages); j++) {
			_cleanup_free_ char *text = json_text_of(messages[j]);

			if (!(cases[i].messages & (1u << j)))
				continue;
			buffer_append_text(&expected, text);
			buffer_append_char(&expected, '\n');
		}
		buffer_append_char(&expected, '\0');
		ck_assert_int_eq(runs[i].status, CTL_OK);
		ck_assert_msg(strcmp(runs[i].out, expected.data) == 0, "%s gave\n%s", cases[i].line,
			      runs[i].out);
		run_deinit(&runs[i]);
	}
}
END_TEST

/* The daemon behind the socket says where its spool is; without one, the configuration does. */
START_TEST(test_where)
{
	struct place place = make_spool();
	_cleanup_free_ char *status = NULL, *file = NULL, *text = NULL, *line = NULL;
	struct fake_answer answers[] = {{"Status", NULL}};
	struct fake_daemon *daemon;
	struct run asked, configured, nowhere;
	FILE *config;

	ck_assert_int_gt(asprintf(&text, "{'directory':'%s'}", place.spool), 0);
	ck_assert_int_gt(asprintf(&status, "{'status':{'spool':%s}}", text), 0);
	answers[0].parameters = status;
	daemon = fake_daemon_start(answers, 1);
	fake_daemon_unchecked(daemon);
	asked = run_line(fake_daemon_socket(daemon), "flows --by class --class exit", NULL);
	json_decref(fake_daemon_stop(daemon));

	ck_assert_int_gt(asprintf(&file, "%s/upload/n.conf", place.directory), 0);
	config = fopen(file, "w");
	ck_assert_ptr_nonnull(config);
	fprintf(config, "[netlogd]\nstate-directory=%s\n[tun]\nsource=none\n", place.directory);
	fclose(config);
	ck_assert_int_gt(asprintf(&line, "flows --by class --class exit --config %s", file), 0);
	configured = run_line(NULL, line, NULL);
	nowhere = run_line(NULL, "flows --spool /nowhere/spool", NULL);
	remove_place(&place);

	ck_assert_int_eq(asked.status, CTL_OK);
	assert_contains(asked.out, "exit   all      60 B       0 B        1        0\n");
	ck_assert_int_eq(configured.status, CTL_OK);
	ck_assert_str_eq(configured.out, asked.out);
	ck_assert_int_eq(nowhere.status, CTL_FAILED);
	assert_contains(nowhere.err, "spool /nowhere/spool: No such file or directory");
	run_deinit(&asked);
	run_deinit(&configured);
	run_deinit(&nowhere);
}
END_TEST

/* Flips a byte in the middle of the only segment. */
static void damage(const struct place *place)
{
	DIR *directory = opendir(place->spool);
	struct dirent *entry;
	char byte;
	int fd = -1;

	ck_assert_ptr_nonnull(directory);
	while ((entry = readdir(directory)))
		if (strstr(entry->d_name, ".seg"))
			fd = openat(dirfd(directory), entry->d_name, O_RDWR | O_CLOEXEC);
	closedir(directory);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(pread(fd, &byte, 1, 750), 1);
	byte ^= 0x55;
	ck_assert_int_eq(pwrite(fd, &byte, 1, 750), 1);
	safe_close(fd);
}

START_TEST(test_check_and_repair)
{
	struct place place = make_spool();
	struct run sound = run_on(&place, "spool check"), damaged, json, repaired, after, flows;

	damage(&place);
	damaged = run_on(&place, "spool check");
	json = run_on(&place, "spool check --json");
	repaired = run_on(&place, "spool repair");
	after = run_on(&place, "spool check");
	flows = run_on(&place, "flows --by class");
	remove_place(&place);

	ck_assert_int_eq(sound.status, CTL_OK);
	assert_contains(sound.out, ": 4 messages (");
	assert_contains(sound.out, "from 2026-11-22T20:00:05Z to 2026-11-22T20:05:00Z\nall is sound\n");
	ck_assert_int_eq(damaged.status, CTL_FAILED);
	assert_contains(damaged.out, "1 messages (");
	assert_contains(damaged.out, "\"netlogctl spool repair\"");
	ck_assert_int_eq(json.status, CTL_FAILED);
	assert_contains(json.out, "\"sound\":false");
	assert_contains(json.out, "\"missingMessages\":1");
	ck_assert_int_eq(repaired.status, CTL_OK);
	assert_contains(repaired.out, "mended; what was damaged is kept in damaged/\n");
	/* What is lost stays lost, and is told. */
	ck_assert_int_eq(after.status, CTL_FAILED);
	assert_contains(after.out, ": 3 messages (");
	ck_assert_ptr_null(strstr(after.out, "damaged parts"));
	assert_contains(flows.err, "1 messages are missing here");
	assert_contains(flows.out, "virtual   all        1000 B     500 B       10        5\n");
	run_deinit(&sound);
	run_deinit(&damaged);
	run_deinit(&json);
	run_deinit(&repaired);
	run_deinit(&after);
	run_deinit(&flows);
}
END_TEST

START_TEST(test_report)
{
	struct place place = make_spool();
	_cleanup_free_ char *line = NULL, *file = NULL, *page = NULL;
	struct run printed = run_on(&place, "report"), written;
	struct stat stat_buffer;

	ck_assert_int_gt(asprintf(&file, "%s/upload/report.html", place.directory), 0);
	ck_assert_int_gt(asprintf(&line, "report --class virtual --output %s", file), 0);
	written = run_on(&place, line);
	ck_assert_int_eq(written.status, CTL_OK);
	ck_assert_int_eq(stat(file, &stat_buffer), 0);
	ck_assert_int_eq(file_read(AT_FDCWD, file, 1 << 20, &page, NULL, NULL), 0);
	remove_place(&place);

	ck_assert_int_eq(printed.status, CTL_OK);
	assert_contains(printed.out, "<p>3 messages from 2026-11-22T20:00:00Z to 2026-11-22T20:05:00Z");
	assert_contains(printed.out, "<tr><td class=\"t\">virtual</td><td>1.00 KiB</td><td>540 "
				     "B</td><td>11</td><td>6</td></tr>");
	assert_contains(printed.out, "<td class=\"t\">tcp 100.64.0.1:40000 &gt; server:22</td>");
	assert_contains(printed.out, "<td class=\"t\">tcp/22</td>");
	/* Of 96 bars for 300 s: windows that end after 5 s and 10 s, and at the end. */
	assert_contains(printed.out, "<rect class=\"virtual\" x=\"10.00\"");
	assert_contains(printed.out, "<rect class=\"exit\" x=\"950.00\"");
	assert_contains(printed.out, "<li>2026-11-22T20:00:12Z  netlogd: stopped</li>");
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

START_TEST(test_html_text)
{
	_cleanup_free_ char *text = NULL;
	size_t n;
	FILE *file = open_memstream(&text, &n);

	html_text(file, "<b onclick='x'>\"a\" & b</b>\033");
	fclose(file);
	ck_assert_str_eq(text, "&lt;b onclick=&#39;x&#39;&gt;&quot;a&quot; &amp; b&lt;/b&gt;?");
}
END_TEST

START_TEST(test_usage)
{
	static const char *const lines[] = {
		"flows --since x",
		"flows --until 25:00",
		"flows --class none",
		"flows --addr 10.0.0.0/x",
		"flows --by day",
		"flows --limit some",
		"flows here",
		"flows --since now --until 1h",
		"spool export --since x",
		"spool check a b",
	};

	for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
		_cleanup_run_ struct run run = run_line(NULL, lines[i], NULL);

		ck_assert_msg(run.status == CTL_USAGE, "%s: %d", lines[i], run.status);
		ck_assert_str_eq(run.out, "");
	}
}
END_TEST

/* Many rows: the hash grows, is sorted and added to again, and nothing is lost. */
START_TEST(test_sum_grows)
{
	const struct flow_filter all = {.since = INT64_MIN, .until = INT64_MAX};
	const struct flow_row *rows;
	struct flow_sum *sum;
	uint64_t bytes = 0;
	size_t n;

	ck_assert_int_eq(flow_sum_new(FLOW_BY_CONNECTION, &sum), 0);
	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < 5000; i++) {
			_cleanup_free_ char *text = NULL;
			struct message message;

			ck_assert_int_gt(
				asprintf(
					&text,
					"{\"start\":\"2026-11-22T20:00:00Z\",\"end\":\"2026-11-22T20:00:05Z\","
					"\"virtualTraffic\":[{\"proto\":6,\"src\":\"100.64.0.1:%d\","
					"\"dst\":\"100.64.0.2:22\",\"txBytes\":%d}]}",
					i + 1, i + 1),
				0);
			ck_assert_int_eq(message_parse(text, strlen(text), &message), 0);
			ck_assert_int_eq(flow_sum_add(sum, &message, &all), 1);
			message_deinit(&message);
		}
		rows = flow_sum_sorted(sum, &n);
		ck_assert_uint_eq(n, 5000);
		ck_assert_uint_eq(rows[0].counts.tx_bytes, 5000u * (unsigned int)(round + 1));
		ck_assert_uint_eq(rows[4999].counts.tx_bytes, (unsigned int)round + 1);
	}
	for (size_t i = 0; i < n; i++)
		bytes += rows[i].counts.tx_bytes;
	ck_assert_uint_eq(bytes, 3u * 5000 * 5001 / 2);
	flow_sum_free(sum);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		test_flows,  test_lines,     test_where, test_check_and_repair,
		test_report, test_html_text, test_usage, test_sum_grows,
	};

	return run_suite("flows", tests, ARRAY_SIZE(tests));
}
