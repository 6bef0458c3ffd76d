/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Times and their text. Own arithmetic instead of gmtime_r() and strftime(): it depends on neither locale nor
 * time zone files, and reading is strict. Days are counted in years that begin in March, which puts the leap
 * day last.
 */

#include "common/time_text.h"
#include "common/decimal.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <time.h>

static int64_t now(clockid_t clock)
{
	struct timespec time = {};

	clock_gettime(clock, &time);
	return (int64_t)time.tv_sec * NSEC_PER_SEC + time.tv_nsec;
}

int64_t time_now_wall(void)
{
	return now(CLOCK_REALTIME);
}

int64_t time_now_boot(void)
{
	return now(CLOCK_BOOTTIME);
}

#define DAYS_TO_1970 719468 /* from 0000-03-01 */
#define DAYS_PER_ERA 146097 /* 400 years */
#define SECS_PER_DAY 86400

/* Years 0 and later only, which is all that nanoseconds in 64 bits can hold. */
static void date_from_days(int64_t days, unsigned int *ret_year, unsigned int *ret_month,
			   unsigned int *ret_day)
{
	unsigned int shifted = (unsigned int)(days + DAYS_TO_1970);
	unsigned int era = shifted / DAYS_PER_ERA, day_of_era = shifted % DAYS_PER_ERA;
	unsigned int year_of_era =
		(day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
	unsigned int day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
	unsigned int month = (5 * day_of_year + 2) / 153; /* 0 is March */

	*ret_day = day_of_year - (153 * month + 2) / 5 + 1;
	*ret_month = month < 10 ? month + 3 : month - 9;
	*ret_year = era * 400 + year_of_era + (month >= 10);
}

static int64_t days_from_date(unsigned int year, unsigned int month, unsigned int day)
{
	unsigned int shifted_year = year - (month <= 2), shifted_month = (month + 9) % 12;
	unsigned int era = shifted_year / 400, year_of_era = shifted_year % 400;
	unsigned int day_of_year = (153 * shifted_month + 2) / 5 + day - 1;
	unsigned int day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;

	return (int64_t)era * DAYS_PER_ERA + day_of_era - DAYS_TO_1970;
}

static char *write_pair(char *p, unsigned int value, char after)
{
	memcpy(p, decimal_pairs + 2 * (size_t)value, 2);
	p[2] = after;
	return p + 3;
}

size_t time_format(int64_t wall, char *ret_text)
{
	int64_t seconds = wall / NSEC_PER_SEC;
	int64_t fraction = wall % NSEC_PER_SEC;
	unsigned int year, month, day, second_of_day;
	int64_t days;
	char *p = ret_text;

	if (fraction < 0) {
		fraction += NSEC_PER_SEC;
		seconds--;
	}
	days = seconds / SECS_PER_DAY;
	if (seconds % SECS_PER_DAY < 0)
		days--;
	second_of_day = (unsigned int)(seconds - days * SECS_PER_DAY);
	date_from_days(days, &year, &month, &day);

	memcpy(p, decimal_pairs + 2 * (size_t)(year / 100), 2);
	p = write_pair(p + 2, year % 100, '-');
	p = write_pair(p, month, '-');
	p = write_pair(p, day, 'T');
	p = write_pair(p, second_of_day / 3600, ':');
	p = write_pair(p, second_of_day / 60 % 60, ':');
	p = write_pair(p, second_of_day % 60, '.');
	for (int64_t unit = NSEC_PER_SEC / 10; fraction; unit /= 10) {
		*p++ = (char)('0' + fraction / unit);
		fraction %= unit;
	}
	if (p[-1] == '.')
		p--;
	*p++ = 'Z';
	*p = '\0';
	return (size_t)(p - ret_text);
}

/* Exactly n digits, then the given character unless it is 0; else NULL. Returns the rest. */
static const char *read_digits(const char *p, unsigned int n, char after, unsigned int *ret_value)
{
	unsigned int value = 0;

	for (; n > 0; n--, p++) {
		if (*p < '0' || *p > '9')
			return NULL;
		value = value * 10 + (unsigned int)(*p - '0');
	}
	if (after) {
		if (*p != after)
			return NULL;
		p++;
	}
	*ret_value = value;
	return p;
}

static bool date_is_valid(unsigned int year, unsigned int month, unsigned int day)
{
	static const uint8_t days[12] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	unsigned int leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);

	if (month < 1 || month > 12 || day < 1)
		return false;
	return day <= days[month - 1] + (month == 2 ? leap : 0);
}

/* ".7", or nothing. */
static const char *read_fraction(const char *p, int64_t *ret_ns)
{
	int64_t unit = NSEC_PER_SEC, ns = 0;

	if (*p != '.') {
		*ret_ns = 0;
		return p;
	}
	for (p++; *p >= '0' && *p <= '9'; p++) {
		unit /= 10;
		if (unit == 0)
			return NULL;
		ns += unit * (*p - '0');
	}
	if (unit == NSEC_PER_SEC)
		return NULL;
	*ret_ns = ns;
	return p;
}

/* "Z", "+02:00", "-00:30" and then the end. */
static int read_offset(const char *p, int64_t *ret_seconds)
{
	unsigned int hours, minutes;
	char sign = *p;

	if ((sign == 'Z' || sign == 'z') && !p[1]) {
		*ret_seconds = 0;
		return 0;
	}
	if (sign != '+' && sign != '-')
		return -EINVAL;
	p = read_digits(p + 1, 2, ':', &hours);
	if (p)
		p = read_digits(p, 2, 0, &minutes);
	if (!p || *p || hours > 23 || minutes > 59)
		return -EINVAL;
	*ret_seconds = (int64_t)(hours * 3600 + minutes * 60) * (sign == '-' ? -1 : 1);
	return 0;
}

int time_parse(const char *text, int64_t *ret_wall)
{
	unsigned int year, month, day, hour, minute, second;
	int64_t ns, offset, seconds, wall;
	const char *p = text;

	p = read_digits(p, 4, '-', &year);
	p = p ? read_digits(p, 2, '-', &month) : NULL;
	p = p ? read_digits(p, 2, 0, &day) : NULL;
	if (!p || (*p != 'T' && *p != 't'))
		return -EINVAL;
	p = read_digits(p + 1, 2, ':', &hour);
	p = p ? read_digits(p, 2, ':', &minute) : NULL;
	p = p ? read_digits(p, 2, 0, &second) : NULL;
	p = p ? read_fraction(p, &ns) : NULL;
	if (!p || read_offset(p, &offset) < 0)
		return -EINVAL;
	/* A leap second has no number in Unix time. */
	if (!date_is_valid(year, month, day) || hour > 23 || minute > 59 || second > 59)
		return -EINVAL;
	if (year < 1)
		return -EINVAL;
	seconds = days_from_date(year, month, day) * SECS_PER_DAY +
		  (int64_t)(hour * 3600 + minute * 60 + second) - offset;
	if (seconds < 0 && ns) {
		/* Toward zero, so that the first representable second does not overflow on the way. */
		seconds++;
		ns -= NSEC_PER_SEC;
	}
	if (__builtin_mul_overflow(seconds, NSEC_PER_SEC, &wall) || __builtin_add_overflow(wall, ns, &wall))
		return -EINVAL;
	*ret_wall = wall;
	return 0;
}
