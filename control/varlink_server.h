#pragma once

/*
 * A Varlink server on a libevent loop: connections, caps, order of answers, permissions and introspection.
 * Methods never see a socket: they get a call, and answer it now or later.
 *
 * Requests on one connection are answered in order: the next one is read when the current call has been
 * answered in full. A call that its method keeps (varlink_call_ref) is told of the client's end by on_closed.
 */

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct event_base;
struct varlink_call;
struct varlink_server;

enum {
	VARLINK_PUBLIC = 0,
	VARLINK_PRIVILEGED = 1 << 0, /* for operators only, else org.varlink.service.PermissionDenied */
};

struct varlink_method {
	const char *name; /* without the interface */
	unsigned int flags;
	/*
	 * Answers the call with one of varlink_call_reply*(), or takes a reference and answers later.
	 * Parameters are an object (empty if none were sent), borrowed for the time of the call. A negative
	 * return is answered as an internal error by the server.
	 */
	int (*run)(struct varlink_call *call, json_t *parameters, void *userdata);
};

struct varlink_interface {
	const char *name;
	const char *description; /* the interface file's text */
	const struct varlink_method *methods;
	size_t n_methods;
};

struct varlink_server_options {
	const char *vendor, *product, *version, *url; /* for org.varlink.service.GetInfo */
	size_t max_clients;			      /* 0: 64 */
	int idle_in_message_ms; /* 0: 60000; a client silent this long within a message is cut off */
	/* Whether this peer may call privileged methods. */
	bool (*is_operator)(uid_t uid, void *userdata);
	void *userdata; /* passed to the methods too */
};

int varlink_server_new(struct event_base *base, const struct varlink_server_options *options,
		       struct varlink_server **ret_server);
/* Calls still open are closed; held references stay valid until unref'd and answers to them are dropped. */
void varlink_server_free(struct varlink_server *server);
/* The interface must outlive the server. */
int varlink_server_add_interface(struct varlink_server *server, const struct varlink_interface *interface);
/* Takes the listening descriptor (CLOEXEC, NONBLOCK). */
int varlink_server_listen(struct varlink_server *server, int fd);
/* Takes a connected descriptor as one more client (a socketpair to a child). */
int varlink_server_add_connection(struct varlink_server *server, int fd);

struct varlink_call *varlink_call_ref(struct varlink_call *call);
void varlink_call_unref(struct varlink_call *call);
bool varlink_call_wants_more(const struct varlink_call *call);
bool varlink_call_is_closed(const struct varlink_call *call); /* the client has gone */
uid_t varlink_call_peer_uid(const struct varlink_call *call);
/* Bytes queued to the client and not yet taken: a stream that grows past its bound is the method's to end. */
size_t varlink_call_pending(const struct varlink_call *call);
/* Called once if the client goes before the last answer. */
void varlink_call_on_closed(struct varlink_call *call,
			    void (*closed)(struct varlink_call *call, void *userdata), void *userdata);

/* Answers. Each takes the reference to parameters (NULL: empty object). 0 or -errno; after the last one the
 * call is done. */
int varlink_call_reply(struct varlink_call *call, json_t *parameters);
int varlink_call_reply_continues(struct varlink_call *call, json_t *parameters);
int varlink_call_error(struct varlink_call *call, const char *name, json_t *parameters);
/* org.varlink.service.InvalidParameter */
int varlink_call_invalid_parameter(struct varlink_call *call, const char *parameter);
/* As reply_continues, with the parameters as JSON text that is already there (one object). */
int varlink_call_reply_continues_text(struct varlink_call *call, const char *parameters, size_t n);
