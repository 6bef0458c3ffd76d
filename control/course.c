/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The words are those of ss, nmap and the firewalls' manuals; the distinctions those of Zeek's conn_state (S0
 * unanswered, REJ refused, SF closed, RSTO and RSTR reset), without those that need the order of packets,
 * which unions of flags do not have. For the same reason a port that is used again within a window, by an end
 * that had a connection from it before, reads as closed.
 */

#include "control/course.h"

#include "common/cleanup.h"

#include <errno.h>
#include <string.h>

#define PROTO_TCP 6

/* RFC 9293, section 3.1. */
enum { FIN = 0x01, SYN = 0x02, RST = 0x04, ACK = 0x10 };

static const char *const names[N_COURSES] = {
	[COURSE_UNKNOWN] = "",
	[COURSE_OPENED] = "opened",
	[COURSE_CLOSED] = "closed",
	[COURSE_HALF_CLOSED] = "half-closed",
	[COURSE_RESET] = "reset",
	[COURSE_REFUSED] = "refused",
	[COURSE_HALF_OPEN] = "half-open",
	[COURSE_UNANSWERED] = "unanswered",
	[COURSE_DROPPED] = "dropped",
};

const char *course_name(enum course course)
{
	return names[course];
}

int course_parse(const char *text, enum course *ret_course)
{
	for (size_t i = COURSE_UNKNOWN + 1; i < N_COURSES; i++)
		if (strcmp(text, names[i]) == 0) {
			*ret_course = (enum course)i;
			return 0;
		}
	return -EINVAL;
}

enum table_color course_color(enum course course)
{
	switch (course) {
	case COURSE_REFUSED:
	case COURSE_HALF_OPEN:
	case COURSE_UNANSWERED:
	case COURSE_DROPPED:
		return TABLE_YELLOW;
	default:
		return TABLE_PLAIN;
	}
}

bool course_has_opener(const struct details *details)
{
	return details->opener == OPENER_SRC || details->opener == OPENER_DST;
}

struct flow course_turned(const struct flow *flow)
{
	struct flow turned = *flow;

	turned.connection.src = flow->connection.dst;
	turned.connection.dst = flow->connection.src;
	turned.counts = (struct counts){
		.tx_packets = flow->counts.rx_packets,
		.tx_bytes = flow->counts.rx_bytes,
		.rx_packets = flow->counts.tx_packets,
		.rx_bytes = flow->counts.tx_bytes,
	};
	turned.details.tx_flags = flow->details.rx_flags;
	turned.details.rx_flags = flow->details.tx_flags;
	turned.details.tx_drops = flow->details.rx_drops;
	turned.details.rx_drops = flow->details.tx_drops;
	if (course_has_opener(&flow->details))
		turned.details.opener = flow->details.opener == OPENER_SRC ? OPENER_DST : OPENER_SRC;
	return turned;
}

struct flow course_from_opener(const struct flow *flow)
{
	return flow->details.opener == OPENER_DST ? course_turned(flow) : *flow;
}

/*
 * What was to be sent and was dropped is in no count; what was received and dropped is in both. In TCP that
 * has to be the beginning: the kernel also drops what comes after a connection's end, like a last ACK that
 * comes twice.
 */
static bool all_dropped(const struct flow *flow)
{
	const struct details *details = &flow->details;

	if (details->tx_drops > 0 && flow->counts.tx_packets == 0)
		return true;
	if (details->rx_drops == 0 || flow->counts.rx_packets > details->rx_drops)
		return false;
	return flow->connection.proto != PROTO_TCP || details->rx_flags & SYN ||
	       !(details->rx_flags & (ACK | RST));
}

/* How connections ended that did. */
static enum course tcp_end(const struct details *details)
{
	uint8_t both = details->tx_flags & details->rx_flags, any = details->tx_flags | details->rx_flags;

	if (details->starts > 1 && (details->ends < details->starts || (any & (FIN | RST)) == (FIN | RST)))
		return COURSE_UNKNOWN;
	if (both & FIN)
		return COURSE_CLOSED;
	if (any & RST)
		return COURSE_RESET;
	return details->starts <= 1 && any & FIN ? COURSE_HALF_CLOSED : COURSE_UNKNOWN;
}

/* As told from the opener, where that is known. */
static enum course tcp_course(const struct details *details, bool dropped)
{
	uint8_t opener = details->tx_flags, other = details->rx_flags;
	bool only_tried = course_has_opener(details) && (opener & (SYN | ACK)) == SYN;

	if (only_tried && other & RST && !(other & SYN))
		return COURSE_REFUSED;
	if (dropped)
		return COURSE_DROPPED;
	if (only_tried && other & SYN)
		return COURSE_HALF_OPEN;
	if (only_tried)
		return other ? COURSE_UNKNOWN : COURSE_UNANSWERED;
	if (details->ends > 0)
		return tcp_end(details);
	if (details->starts > 0 && (opener & other & (SYN | ACK)) == (SYN | ACK))
		return COURSE_OPENED;
	return COURSE_UNKNOWN;
}

enum course course_of(const struct flow *flow)
{
	struct flow told = course_from_opener(flow);

	if (flow->connection.proto == PROTO_TCP)
		return tcp_course(&told.details, all_dropped(flow));
	if (all_dropped(flow))
		return COURSE_DROPPED;
	if (!course_has_opener(&told.details) || told.details.starts == 0)
		return COURSE_UNKNOWN;
	return told.counts.rx_packets > 0 ? COURSE_OPENED : COURSE_UNANSWERED;
}

static char *add_flags(char *end, uint8_t flags)
{
	static const struct {
		uint8_t flag;
		char letter;
	} letters[] = {{SYN, 'S'}, {FIN, 'F'},	{RST, 'R'},  {0x08, 'P'},
		       {ACK, 'A'}, {0x20, 'U'}, {0x40, 'E'}, {0x80, 'C'}};

	if (!flags)
		*end++ = '-';
	for (size_t i = 0; i < ARRAY_SIZE(letters); i++)
		if (flags & letters[i].flag)
			*end++ = letters[i].letter;
	return end;
}

char *course_flags(const struct details *details, char ret_text[static COURSE_FLAGS_MAX])
{
	char *end = ret_text;

	if (details->tx_flags | details->rx_flags) {
		end = add_flags(end, details->tx_flags);
		*end++ = '/';
		end = add_flags(end, details->rx_flags);
	}
	*end = '\0';
	return ret_text;
}
