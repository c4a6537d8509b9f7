/*
 * reply_search.c - the replies of Search and Explain as plain structs. Owns nothing. Threads: any;
 * pure.
 */
#include "clients/c/reply.h"

#include "base/check.h"

const struct reprise_search_reply *reply_search(const Reprise__V1__SearchResponse *message,
                                                struct arena *arena)
{
    struct reprise_search_reply *reply = arena_calloc(arena, 1, sizeof(*reply));
    if (reply == NULL)
        return NULL;
    reply->candidates_count = message->n_candidates;
    reply->scanned = message->scanned;
    return reply_candidates(message->candidates, message->n_candidates, arena, &reply->candidates)
               ? reply
               : NULL;
}

static bool read_fields(const Reprise__V1__ExplainResponse *message, struct arena *arena,
                        struct reprise_explain_reply *reply)
{
    struct reprise_field_diff *fields = arena_calloc(arena, message->n_fields, sizeof(*fields));
    if (fields == NULL)
        return false;
    for (size_t i = 0; i < message->n_fields; i++)
        fields[i] = (struct reprise_field_diff){
            .field = message->fields[i]->field,
            .request_digest = message->fields[i]->request_digest,
            .entry_digest = message->fields[i]->entry_digest,
            .equal = message->fields[i]->equal,
        };
    reply->fields = fields;
    reply->fields_count = message->n_fields;
    return true;
}

const struct reprise_explain_reply *reply_explain(const Reprise__V1__ExplainResponse *message,
                                                  struct arena *arena)
{
    static const Reprise__V1__GetResponse nothing = REPRISE__V1__GET_RESPONSE__INIT;
    struct reprise_explain_reply *reply = arena_calloc(arena, 1, sizeof(*reply));
    if (reply == NULL)
        return NULL;
    *reply = (struct reprise_explain_reply){
        .reason = message->reason,
        .candidates_count = message->n_candidates,
        .scope_key = message->scope_key,
        .compat_key = message->compat_key,
        .exact_key = message->exact_key,
        .canonical = message->canonical.data,
        .canonical_size = message->canonical.len,
        .steps = (const char *const *)message->steps,
        .steps_count = message->n_steps,
        .against_entry_id = message->against_entry_id,
        .against_similarity = message->against_similarity,
    };
    reply->would_be = reply_get(message->would_be != NULL ? message->would_be : &nothing, arena);
    const bool read_all =
        reply->would_be != NULL && read_fields(message, arena, reply) &&
        reply_candidates(message->candidates, message->n_candidates, arena, &reply->candidates);
    return read_all ? reply : NULL;
}
