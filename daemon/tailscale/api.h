/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * The local API of tailscaled: HTTP on a Unix socket, by libcurl. What can be asked is asked at the same
 * time, and nothing waits but api_wait(). A socket that somebody else may have made is not talked to.
 */

#include "common/buffer.h"

#include <stdbool.h>
#include <stddef.h>

struct api;

enum api_problem {
	API_FINE,
	API_ABSENT,  /* nobody listens: no tailscaled has counted anything */
	API_REFUSED, /* the socket may be anybody's, or may not be used by us */
	API_SLOW,
	API_LARGE,
	API_BROKEN, /* no answer, or none that can be used */
};

/* "absent", "refused", "slow", "large", "broken" */
const char *api_problem_name(enum api_problem problem);

struct api_answer {
	enum api_problem problem;
	char reason[320];    /* for people, unless it is fine */
	struct buffer *body; /* when it is fine: it may be taken, and another left in its place */
};

enum api_resource { API_STATUS, API_DERP_MAP, API_BUS, N_API_RESOURCES };

struct api_ops {
	void (*answered)(enum api_resource resource, const struct api_answer *answer, void *userdata);
	/* The bus has told of something: what, does not matter. */
	void (*told)(void *userdata);
};

/* path: of the socket. 0 or -ENOMEM. */
int api_new(const char *path, const struct api_ops *ops, void *userdata, struct api **ret_api);
void api_free(struct api *api);

/* What the bus is to tell (ipn.NotifyWatchOpt), from the next time that it is asked. */
void api_set_bus_mask(struct api *api, unsigned int mask);
/*
 * Asks for it, unless that is under way. answered() is called later, from api_wait(); of the bus, when it has
 * ended. 0 or -ENOMEM.
 */
int api_ask(struct api *api, enum api_resource resource);
bool api_is_asking(const struct api *api, enum api_resource resource);
/* Waits until something happens, on `fd` too, for at most so many ms. 0 or -errno. */
int api_wait(struct api *api, int fd, int timeout_ms);
/* Which tailscaled was connected to last: "PID-DEVICE-INODE", the same as long as it runs. "" before. */
const char *api_server(const struct api *api);
