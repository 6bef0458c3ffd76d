/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * An entry says where its connection's note is, and entries and notes are in about the same order, so that a
 * drain reads each note once, beside its entry. Of a connection with entries of several CPUs the first that
 * is drained has the note.
 */

#include "daemon/device/notes.h"

#include "daemon/device/control_details.h"
#include "daemon/device/flow_key.h"

#include <string.h>

int notes_init(struct notes *notes, int fd, uint32_t first, uint32_t n)
{
	int r = map_view_init(&notes->view, fd, (uint64_t)first * sizeof(struct control_note),
			      (size_t)n * sizeof(struct control_note));

	if (r < 0)
		return r;
	notes->first = first;
	notes->n = n;
	return 0;
}

void notes_deinit(struct notes *notes)
{
	map_view_deinit(&notes->view);
}

static void take(struct control_note *note, struct details *details)
{
	struct flow_control control;

	control_note_read(note, &control);
	control_details(&control, details);
	memset(note, 0, sizeof(*note));
}

void notes_take(struct notes *notes, uint32_t place, const struct flow_key *key, struct details *details)
{
	struct control_note *all = notes->view.data;
	uint32_t at = place - notes->first;
	struct control_key words;

	if (at >= notes->n)
		return;
	/* An entry that a failed drain has left may name a place that is another's by now. */
	control_key_make(key, &words);
	if (memcmp(&all[at].key, &words, sizeof(words)) == 0)
		take(&all[at], details);
}

void notes_take_rest(struct notes *notes, struct extraction *extraction)
{
	struct control_note *all = notes->view.data;

	for (uint32_t i = 0; i < notes->n; i++) {
		struct flow flow = {};
		struct flow_key key;

		if (!all[i].key.words[0])
			continue;
		control_key_read(&all[i].key, &key);
		flow_key_read(&key, &flow.connection);
		take(&all[i], &flow.details);
		if (extraction_reserve(extraction, 1) < 0)
			extraction->lost_details++;
		else
			extraction->flows.items[extraction->flows.n++] = flow;
	}
}
