/* SPDX-License-Identifier: BSD-3-Clause */
/* The log: one write() per line, so that lines of several threads and processes never mix. */

#include "common/log.h"
#include "common/cleanup.h"
#include "common/plain_text.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>

#define LINE_MAX_BYTES 1024

static _Atomic(enum log_level) current_level = LOG_LEVEL_INFO;

static const struct {
	enum log_level level;
	const char *name;
} levels[] = {
	{LOG_LEVEL_ERROR, "error"},
	{LOG_LEVEL_WARNING, "warning"},
	{LOG_LEVEL_INFO, "info"},
	{LOG_LEVEL_DEBUG, "debug"},
};

void log_set_level(enum log_level level)
{
	atomic_store_explicit(&current_level, level, memory_order_relaxed);
}

enum log_level log_get_level(void)
{
	return atomic_load_explicit(&current_level, memory_order_relaxed);
}

int log_level_parse(const char *text, enum log_level *ret_level)
{
	for (size_t i = 0; i < ARRAY_SIZE(levels); i++)
		if (strcmp(text, levels[i].name) == 0) {
			*ret_level = levels[i].level;
			return 0;
		}
	return -EINVAL;
}

const char *log_level_name(enum log_level level)
{
	for (size_t i = 0; i < ARRAY_SIZE(levels); i++)
		if (level == levels[i].level)
			return levels[i].name;
	return "";
}

/*
 * JOURNAL_STREAM holds the device and inode of the journal (systemd.exec(5)). Checked for each line, since
 * standard error may be redirected later.
 */
static bool stderr_is_journal(void)
{
	const char *stream = getenv("JOURNAL_STREAM");
	unsigned long long device, inode;
	struct stat status;

	if (!stream || sscanf(stream, "%llu:%llu", &device, &inode) != 2)
		return false;
	if (fstat(STDERR_FILENO, &status) < 0)
		return false;
	return status.st_dev == device && status.st_ino == inode;
}

void log_write(enum log_level level, const char *format, ...)
{
	char line[LINE_MAX_BYTES];
	int saved_errno = errno;
	va_list arguments;
	size_t prefix, n;
	int r;

	if (level > log_get_level())
		return;
	if (stderr_is_journal())
		r = snprintf(line, sizeof(line), "<%d>", (int)level);
	else
		r = snprintf(line, sizeof(line), "%s: %s: ", program_invocation_short_name,
			     log_level_name(level));
	prefix = r < 0 ? 0 : MIN((size_t)r, sizeof(line) / 2);

	errno = saved_errno; /* for %m */
	va_start(arguments, format);
	r = vsnprintf(line + prefix, sizeof(line) - prefix, format, arguments);
	va_end(arguments);
	n = prefix + (r < 0 ? 0 : MIN((size_t)r, sizeof(line) - prefix - 1));
	/* What clients, servers and files say is in it. */
	line[n] = '\0';
	n = prefix + plain_text_clean(line + prefix);
	line[n++] = '\n';
	while (write(STDERR_FILENO, line, n) < 0 && errno == EINTR)
		;
	errno = saved_errno;
}
