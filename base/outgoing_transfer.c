/*
 * outgoing_transfer.c - one request on the wire: how libcurl is told, and what is made of its
 * answer. Owns an easy handle a transfer, the request's header lines and the reply while it grows.
 *
 * SAFETY. A body is never decompressed, so reply_max bounds what is held. Protocols other than http
 * and https are refused, redirects are answers. A proxy of the environment is ignored: prompts go
 * where the options say and nowhere else. HTTP/1.1, because one request a connection keeps a slow
 * reply from holding up others, and because every embedding server speaks it.
 * TIME. libcurl's own limits are off: outgoing.c ends what is late, by the clock it was given.
 *
 * Threads: the thread "remote".
 */
#include "base/outgoing_transfer.h"

#include <limits.h>
#include <stdlib.h>

#include "base/check.h"

enum { TRANSFER_MAGIC = 0x7472616e, REPLY_FIRST_BYTES = 16384, RETRY_AFTER_MAX_S = 86400 };

void transfer_init(struct transfer *transfer)
{
    *transfer = (struct transfer){.magic = TRANSFER_MAGIC};
}

void transfer_deinit(struct transfer *transfer)
{
    assert(transfer->magic == TRANSFER_MAGIC);
    assert(transfer->request == NULL);
    transfer->magic = 0;
    curl_easy_cleanup(transfer->easy);
    transfer->easy = NULL;
}

struct transfer *transfer_of(CURL *easy)
{
    char *private = NULL;
    (void)curl_easy_getinfo(easy, CURLINFO_PRIVATE, &private);
    struct transfer *transfer = (struct transfer *)(void *)private;
    assert(transfer != NULL);
    assert(transfer->magic == TRANSFER_MAGIC);
    assert(transfer->easy == easy);
    return transfer;
}

static bool reply_reserve(struct transfer *transfer, size_t needed)
{
    if (needed <= transfer->reply_room)
        return true;
    size_t room = transfer->reply_room == 0 ? REPLY_FIRST_BYTES : transfer->reply_room;
    while (room < needed)
        room *= 2;
    char *grown = realloc(transfer->reply, room);
    if (grown == NULL)
        return false;
    transfer->reply = grown;
    transfer->reply_room = room;
    return true;
}

/* libcurl's write function: fewer bytes taken than came end the transfer. */
static size_t reply_append(char *bytes, size_t one, size_t count, void *argument)
{
    struct transfer *transfer = argument;
    assert(transfer != NULL);
    assert(transfer->magic == TRANSFER_MAGIC);
    assert(one == 1);
    assert(transfer->request != NULL);
    if (count > transfer->request->reply_max - transfer->reply_length) {
        transfer->fault = STATUS_REPLY_TOO_LARGE;
        return 0;
    }
    if (!reply_reserve(transfer, transfer->reply_length + count)) {
        transfer->fault = STATUS_NO_MEMORY;
        return 0;
    }
    memcpy(transfer->reply + transfer->reply_length, bytes, count);
    transfer->reply_length += count;
    return count;
}

#define SET(option, value) (curl_easy_setopt(easy, (option), (value)) == CURLE_OK)

static bool set_safety(CURL *easy, const struct outgoing_settings *settings)
{
    return SET(CURLOPT_PROTOCOLS_STR, "http,https") && SET(CURLOPT_FOLLOWLOCATION, 0L) &&
           SET(CURLOPT_SSL_VERIFYPEER, 1L) && SET(CURLOPT_SSL_VERIFYHOST, 2L) &&
           SET(CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2) && SET(CURLOPT_PROXY, "") &&
           SET(CURLOPT_NETRC, (long)CURL_NETRC_IGNORED) &&
           (settings->ca_file == NULL ||
            (SET(CURLOPT_CAINFO, settings->ca_file) && SET(CURLOPT_CAPATH, (char *)NULL)));
}

/* QUICK_EXIT: a name that cannot be resolved may not hold the thread up once its time is over. */
static bool set_manner(CURL *easy)
{
    return SET(CURLOPT_NOSIGNAL, 1L) && SET(CURLOPT_QUICK_EXIT, 1L) &&
           SET(CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1) &&
           SET(CURLOPT_TCP_KEEPALIVE, 1L) && SET(CURLOPT_USERAGENT, "reprise") &&
           SET(CURLOPT_CONNECTTIMEOUT_MS, (long)INT_MAX) && SET(CURLOPT_TIMEOUT_MS, 0L);
}

static bool set_request(CURL *easy, struct transfer *transfer)
{
    const struct outgoing_request *request = transfer->request;
    return SET(CURLOPT_URL, request->url) && SET(CURLOPT_POST, 1L) &&
           SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->body.length) &&
           SET(CURLOPT_POSTFIELDS, request->body.bytes) &&
           SET(CURLOPT_HTTPHEADER, transfer->headers) && SET(CURLOPT_WRITEFUNCTION, reply_append) &&
           SET(CURLOPT_WRITEDATA, transfer) && SET(CURLOPT_PRIVATE, transfer);
}

static bool add_header(struct transfer *transfer, const char *line)
{
    struct curl_slist *longer = curl_slist_append(transfer->headers, line);
    if (longer == NULL)
        return false;
    transfer->headers = longer;
    return true;
}

/* "Expect:" without a value: no round trip before a large body. */
static bool add_headers(struct transfer *transfer)
{
    const struct outgoing_request *request = transfer->request;
    bool is_fine = add_header(transfer, "Expect:");
    for (size_t i = 0; i < request->headers_count && is_fine; i++)
        is_fine = add_header(transfer, request->headers[i]);
    return is_fine;
}

static bool transfer_prepare(struct transfer *transfer, CURLM *multi,
                             const struct outgoing_settings *settings)
{
    if (transfer->easy == NULL)
        transfer->easy = curl_easy_init();
    if (transfer->easy == NULL)
        return false;
    curl_easy_reset(transfer->easy);
    return add_headers(transfer) && set_safety(transfer->easy, settings) &&
           set_manner(transfer->easy) && set_request(transfer->easy, transfer) &&
           curl_multi_add_handle(multi, transfer->easy) == CURLM_OK;
}

/* Frees all but the easy handle. */
static struct outgoing_request *transfer_clear(struct transfer *transfer)
{
    struct outgoing_request *request = transfer->request;
    assert(request != NULL);
    curl_slist_free_all(transfer->headers);
    free(transfer->reply);
    *transfer = (struct transfer){.magic = TRANSFER_MAGIC, .easy = transfer->easy};
    return request;
}

bool transfer_start(struct transfer *transfer, CURLM *multi,
                    const struct outgoing_settings *settings, struct outgoing_request *request)
{
    assert(transfer->magic == TRANSFER_MAGIC);
    assert(transfer->request == NULL);
    transfer->request = request;
    if (transfer_prepare(transfer, multi, settings))
        return true;
    (void)transfer_clear(transfer);
    return false;
}

static enum status status_of(CURLcode code)
{
    if (code == CURLE_OK)
        return STATUS_OK;
    if (code == CURLE_COULDNT_CONNECT || code == CURLE_COULDNT_RESOLVE_HOST ||
        code == CURLE_SSL_CONNECT_ERROR || code == CURLE_PEER_FAILED_VERIFICATION ||
        code == CURLE_SSL_CACERT_BADFILE || code == CURLE_SSL_ISSUER_ERROR)
        return STATUS_UNAVAILABLE;
    if (code == CURLE_OPERATION_TIMEDOUT)
        return STATUS_DEADLINE;
    if (code == CURLE_OUT_OF_MEMORY)
        return STATUS_NO_MEMORY;
    if (code == CURLE_URL_MALFORMAT)
        return STATUS_BAD_OPTION;
    return STATUS_IO_FAILED;
}

static void read_reply_facts(struct transfer *transfer, struct outgoing_request *request)
{
    long code = 0;
    curl_off_t seconds = 0;
    (void)curl_easy_getinfo(transfer->easy, CURLINFO_RESPONSE_CODE, &code);
    (void)curl_easy_getinfo(transfer->easy, CURLINFO_RETRY_AFTER, &seconds);
    request->code = (int)code;
    if (seconds > RETRY_AFTER_MAX_S)
        seconds = RETRY_AFTER_MAX_S;
    request->retry_after_s = seconds > 0 ? (uint32_t)seconds : 0;
}

struct outgoing_request *transfer_complete(struct transfer *transfer, CURLM *multi, CURLcode code,
                                           char **out_reply)
{
    struct outgoing_request *request = transfer->request;
    CURLMcode removed = curl_multi_remove_handle(multi, transfer->easy);
    assert(removed == CURLM_OK);
    request->status = transfer->fault != STATUS_OK ? transfer->fault : status_of(code);
    request->why = request->status == STATUS_REPLY_TOO_LARGE ? "the reply is too long"
                                                             : curl_easy_strerror(code);
    *out_reply = NULL;
    if (request->status == STATUS_OK) {
        read_reply_facts(transfer, request);
        request->reply = (struct text){transfer->reply, transfer->reply_length};
        *out_reply = transfer->reply;
        transfer->reply = NULL;
    }
    return transfer_clear(transfer);
}

struct outgoing_request *transfer_abort(struct transfer *transfer, CURLM *multi)
{
    CURLMcode removed = curl_multi_remove_handle(multi, transfer->easy);
    assert(removed == CURLM_OK);
    return transfer_clear(transfer);
}
