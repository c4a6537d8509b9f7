/*
 * outgoing_transfer.h - one request on the wire: between outgoing.c and this room only.
 * Threads: the thread "remote" alone; init and deinit also while it does not run.
 */
#pragma once
#include <curl/curl.h>

#include "base/outgoing.h"

struct transfer {
    uint32_t magic;
    CURL *easy; /* NULL until first used; then kept */
    struct curl_slist *headers;
    struct outgoing_request *request; /* NULL: free */
    char *reply;
    size_t reply_length, reply_room;
    enum status fault; /* why our own callback ended it; OK: it did not */
};

void transfer_init(struct transfer *transfer);
void transfer_deinit(struct transfer *transfer);

/* Of a free one. False: memory is spent, and it is free again. */
bool transfer_start(struct transfer *transfer, CURLM *multi,
                    const struct outgoing_settings *settings, struct outgoing_request *request);

/* The transfer that libcurl means. */
struct transfer *transfer_of(CURL *easy);

/*
 * libcurl is done with it, or is told to be. The transfer is free when these return; the request
 * has its status but is not told yet. out_reply: what request->reply lies in; the caller frees it.
 */
struct outgoing_request *transfer_complete(struct transfer *transfer, CURLM *multi, CURLcode code,
                                           char **out_reply);
struct outgoing_request *transfer_abort(struct transfer *transfer, CURLM *multi);
