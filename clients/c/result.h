/*
 * result.h - what calls of more than one message share with those of one (client.c): results, and
 * the client's channel. Threads: as reprise.h says.
 */
#pragma once
#include "clients/c/channel.h"

/* Empty, with the arena that it owns; NULL when memory is spent. */
struct reprise_result *result_create(struct arena **out_arena);
/* One call; its reply lies in the result's arena. NULL: the result says why not, also where the
 * message is NULL, memory being spent. */
const void *result_run(struct reprise_client *client, enum channel_method method,
                       const void *message, const struct reprise_call *call,
                       struct reprise_result *result);
/* The result as its caller gets it; `read` NULL: the reply could not be read for want of memory. */
struct reprise_result *result_settle(struct reprise_client *client, struct reprise_result *result,
                                     const void *read);
/* What a caller gets then. Counted, like every call that did not end with REPRISE_OK. */
struct reprise_result *result_no_memory(struct reprise_client *client);
void client_count_failure(struct reprise_client *client);
struct channel *client_channel(struct reprise_client *client);
