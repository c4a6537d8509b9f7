/*
 * outgoing.h - HTTP that goes out: one thread named "remote", many requests at a time, connections
 * kept for the next. The one door to libcurl. Plain HTTP/1.1 and HTTPS with the certificate
 * checked; no redirects, no cookies, no proxy from the environment: where a request goes is what
 * its url says. Time is an argument (a clock); chance is not needed.
 *
 * Threads: any may submit, attach, detach and wake. `done`, `run` and `leave` are called on the
 * thread "remote", one at a time and with no lock held; they must not block, for all that goes out
 * waits behind them.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "base/text.h"

struct outgoing;

struct outgoing_settings {
    uint32_t transfers_max;     /* requests on the wire at a time; further ones wait        */
    const char *ca_file;        /* PEM of whom to trust; NULL: what the system trusts       */
    uint64_t (*clock_us)(void); /* monotonic; what deadlines are measured by                */
};

/* One POST. The caller's memory, the outgoing's from submit until done. */
struct outgoing_request {
    const char *url;            /* http: or https:                                          */
    const char *const *headers; /* "Name: value", without line ends                         */
    size_t headers_count;
    struct text body;
    size_t reply_max;     /* bytes; a longer reply is not read to its end                   */
    uint64_t deadline_us; /* of the clock; 0: none                                          */
    void (*done)(struct outgoing_request *request); /* once; may submit the request again   */

    /* What came of it, for done:
     * OK: a whole reply, whatever its code. UNAVAILABLE: no connection. DEADLINE. IO_FAILED: the
     * connection broke or what came was not HTTP. REPLY_TOO_LARGE. CANCELLED: by outgoing_cancel or
     * the end. NO_MEMORY. BAD_OPTION: the url cannot be read. */
    enum status status;
    int code;               /* of HTTP                                                      */
    uint32_t retry_after_s; /* what the reply asks for; 0: nothing                          */
    struct text reply;      /* the body; gone when done returns                             */
    const char *why;        /* a few constant words behind a status that is not OK          */

    struct outgoing_request *next; /* the outgoing's */
};

/* A guest of the thread: what is to be done on it beside requests. The caller's memory while
 * attached. */
struct outgoing_guest {
    /* After every turn of the thread. Returns when it wants to be called again at the latest;
     * UINT64_MAX: when woken. */
    uint64_t (*run)(struct outgoing_guest *guest, uint64_t now_us);
    void (*leave)(struct outgoing_guest *guest); /* the last call; cancels what is under way */

    struct outgoing_guest *next; /* the outgoing's */
};

/* STATUS_NO_MEMORY, or what thread_create says. A ca_file that cannot be read shows at the first
 * request. */
enum status outgoing_create(const struct outgoing_settings *settings,
                            struct outgoing **out_outgoing);
/* Requests under way are CANCELLED. No guest may be attached, nobody may submit any more. NULL is
 * fine. */
void outgoing_destroy(struct outgoing **outgoing);

void outgoing_submit(struct outgoing *outgoing, struct outgoing_request *request);
/* In a guest's run or leave only, of a request that is not done: its done is called with CANCELLED
 * before this returns. */
void outgoing_cancel(struct outgoing *outgoing, struct outgoing_request *request);

void outgoing_attach(struct outgoing *outgoing, struct outgoing_guest *guest);
/* From another thread. When it returns, leave has been called and the guest is the caller's again.
 */
void outgoing_detach(struct outgoing *outgoing, struct outgoing_guest *guest);
/* Guests are run soon, deadlines are looked at: something was handed in, or a test has turned the
 * clock. */
void outgoing_wake(struct outgoing *outgoing);
