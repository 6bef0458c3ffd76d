/* SPDX-License-Identifier: BSD-3-Clause */
/* What the suites of netlogctl look back on. */

#include "tests/unit/control/sample_spool.h"

#include "common/buffer.h"
#include "common/message.h"
#include "common/time_text.h"
#include "daemon/spool/writer.h"

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

const char *const sample_spool_messages[SAMPLE_SPOOL_MESSAGES] = {FIRST, SECOND, TEXT, LAST};

#define WINDOW(second)                                                                                       \
	"'logtail':{'client_time':'2026-11-22T20:00:0" second "Z','proc_id':5,'proc_seq':7},"                \
	"'start':'2026-11-22T20:00:0" second "Z','end':'2026-11-22T20:00:0" second ".9Z',"                   \
	"'dstNodes':[{'nodeId':'n2','name':'laptop','addresses':['100.64.0.2']}],"

const char *const sample_spool_details[SAMPLE_SPOOL_DETAILS] = {
	"{" WINDOW("1") "'virtualTraffic':["
			"{'proto':6,'src':'100.64.0.1:8080','dst':'100.64.0.2:443','txPkts':8,'txBytes':900,"
			"'rxPkts':6,'rxBytes':500,'init':'dst','starts':1,'txFlags':26,'rxFlags':26},"
			"{'proto':6,'src':'100.64.0.1:80','dst':'100.64.0.2:50000','rxPkts':1,'rxBytes':40,"
			"'init':'dst','starts':1,'rxFlags':2},"
			"{'proto':6,'src':'100.64.0.1:50001','dst':'100.64.0.3:81','txPkts':1,'txBytes':40,"
			"'rxPkts':1,'rxBytes':40,'init':'src','starts':1,'ends':1,'txFlags':2,'rxFlags':20},"
			"{'proto':17,'src':'100.64.0.1:53','dst':'100.64.0.2:52','rxPkts':3,'rxBytes':90,"
			"'rxDrops':3,'dropReason':'NO_SOCKET'}]}",
	"{" WINDOW("2") "'virtualTraffic':["
			"{'proto':6,'src':'100.64.0.1:8080','dst':'100.64.0.2:443','txPkts':2,'txBytes':100,"
			"'rxPkts':2,'rxBytes':80,'init':'dst','ends':1,'txFlags':17,'rxFlags':17},"
			"{'proto':6,'src':'100.64.0.1:80','dst':'100.64.0.2:50000','txPkts':1,'txBytes':40,"
			"'init':'dst','ends':1,'txFlags':20}]}",
};

struct sample_spool sample_spool_make_of(const char *const *messages, size_t n)
{
	struct sample_spool place = {};
	struct spool_writer_options options = {.max_size = 64 << 20, .file_mode = 0600};
	const struct spool_writer_ops ops = {};
	struct spool_writer *writer;
	char *reason = NULL;

	scratch_make(place.directory);
	snprintf(place.spool, sizeof(place.spool), "%s/spool", place.directory);
	snprintf(place.upload, sizeof(place.upload), "%s/upload", place.directory);
	ck_assert_int_eq(mkdir(place.spool, 0700), 0);
	ck_assert_int_eq(mkdir(place.upload, 0700), 0);
	options.directory = place.spool;
	options.upload_directory = place.upload;
	options.sync_interval = NSEC_PER_SEC;
	ck_assert_int_eq(spool_writer_new(&options, &ops, NULL, &writer, &reason), 0);
	for (size_t i = 0; i < n; i++) {
		_cleanup_free_ char *text = json_text_of(messages[i]);
		struct message message;

		ck_assert_int_eq(message_parse(text, strlen(text), &message), 0);
		ck_assert_int_eq(spool_writer_append(writer, text, strlen(text), message.client_time), 0);
		message_deinit(&message);
	}
	spool_writer_free(writer);
	return place;
}

struct sample_spool sample_spool_make(void)
{
	return sample_spool_make_of(sample_spool_messages, SAMPLE_SPOOL_MESSAGES);
}

void sample_spool_remove(const struct sample_spool *place)
{
	scratch_remove(place->directory);
}

struct run sample_spool_run(const struct sample_spool *place, const char *line)
{
	_cleanup_free_ char *full = NULL;

	ck_assert_int_gt(asprintf(&full, "%s --spool %s", line, place->spool), 0);
	return run_line(NULL, full, NULL);
}

void assert_lines(const struct sample_spool *place, const char *line, unsigned int messages)
{
	_cleanup_run_ struct run run = sample_spool_run(place, line);
	_cleanup_buffer_ struct buffer expected = {};

	for (size_t i = 0; i < SAMPLE_SPOOL_MESSAGES; i++) {
		_cleanup_free_ char *text = json_text_of(sample_spool_messages[i]);

		if (!(messages & (1u << i)))
			continue;
		buffer_append_text(&expected, text);
		buffer_append_char(&expected, '\n');
	}
	buffer_append_char(&expected, '\0');
	ck_assert_int_eq(run.status, CTL_OK);
	ck_assert_msg(strcmp(run.out, expected.data) == 0, "%s gave\n%s", line, run.out);
}
