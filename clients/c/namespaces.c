/*
 * namespaces.c - a namespace's settings as a message, and back. Owns nothing; messages and structs
 * lie in the caller's arena, strings stay the caller's. Threads: any; pure.
 */
#include <string.h>

#include "clients/c/reply.h"
#include "clients/c/request.h"

#define NOT_SET                                                                                    \
    {                                                                                              \
        .min_similarity = -1, .static_threshold = -1, .adaptive_initial = -1, .adaptive_min = -1,  \
        .adaptive_max = -1, .adaptive_step = -1                                                    \
    }

const struct reprise_policy reprise_policy_none = NOT_SET;
const struct reprise_namespace reprise_namespace_none = {.policy = NOT_SET, .temperature_max = -1};

/* protobuf-c's strings are not const; packing only reads them. */
static char *string_of(const char *text)
{
    return (char *)(uintptr_t)(text != NULL ? text : "");
}

/* ---- requests -------------------------------------------------------------------------------- */

static bool sets_adaptive(const struct reprise_policy *policy)
{
    return policy->adaptive_initial >= 0 || policy->adaptive_min >= 0 ||
           policy->adaptive_max >= 0 || policy->adaptive_step >= 0;
}

static Reprise__V1__Adaptive *make_adaptive(const struct reprise_policy *policy,
                                            struct arena *arena)
{
    Reprise__V1__Adaptive *made = arena_alloc(arena, sizeof(*made));
    if (made == NULL)
        return NULL;
    reprise__v1__adaptive__init(made);
    if (policy->adaptive_initial >= 0) {
        made->initial_given_case = REPRISE__V1__ADAPTIVE__INITIAL_GIVEN_INITIAL;
        made->initial = policy->adaptive_initial;
    }
    if (policy->adaptive_min >= 0) {
        made->min_given_case = REPRISE__V1__ADAPTIVE__MIN_GIVEN_MIN;
        made->min = policy->adaptive_min;
    }
    if (policy->adaptive_max >= 0) {
        made->max_given_case = REPRISE__V1__ADAPTIVE__MAX_GIVEN_MAX;
        made->max = policy->adaptive_max;
    }
    if (policy->adaptive_step >= 0) {
        made->step_given_case = REPRISE__V1__ADAPTIVE__STEP_GIVEN_STEP;
        made->step = policy->adaptive_step;
    }
    return made;
}

Reprise__V1__Policy *request_policy(const struct reprise_policy *policy, struct arena *arena)
{
    Reprise__V1__Policy *made = arena_alloc(arena, sizeof(*made));
    if (made == NULL)
        return NULL;
    reprise__v1__policy__init(made);
    made->mode = (Reprise__V1__PolicyMode)policy->mode;
    if (policy->min_similarity >= 0) {
        made->min_similarity_given_case = REPRISE__V1__POLICY__MIN_SIMILARITY_GIVEN_MIN_SIMILARITY;
        made->min_similarity = policy->min_similarity;
    }
    if (policy->static_threshold >= 0) {
        made->static_threshold_given_case =
            REPRISE__V1__POLICY__STATIC_THRESHOLD_GIVEN_STATIC_THRESHOLD;
        made->static_threshold = policy->static_threshold;
    }
    if (policy->names_off) {
        made->guards_off = arena_calloc(arena, 1, sizeof(*made->guards_off));
        if (made->guards_off == NULL)
            return NULL;
        made->guards_off[made->n_guards_off++] = REPRISE__V1__GUARD__GUARD_NAMES;
    }
    if (sets_adaptive(policy)) {
        made->adaptive = make_adaptive(policy, arena);
        if (made->adaptive == NULL)
            return NULL;
    }
    return made;
}

static void copy_numbers(const struct reprise_namespace *settings, Reprise__V1__Namespace *made)
{
    made->ttl_ms = settings->ttl_ms;
    made->ttl_max_ms = settings->ttl_max_ms;
    made->bytes_max = settings->bytes_max;
    made->entries_max = settings->entries_max;
    made->user_turns_max = settings->user_turns_max;
    made->ack = (Reprise__V1__Ack)settings->ack;
    made->index_kind = (Reprise__V1__IndexKind)settings->index_kind;
    made->eviction = (Reprise__V1__Eviction)settings->eviction;
    made->embedder = (Reprise__V1__NamespaceEmbedder)settings->embedder;
    if (settings->temperature_max >= 0) {
        made->temperature_max_given_case =
            REPRISE__V1__NAMESPACE__TEMPERATURE_MAX_GIVEN_TEMPERATURE_MAX;
        made->temperature_max = settings->temperature_max;
    }
    if (settings->ef_search > 0) {
        made->ef_search_given_case = REPRISE__V1__NAMESPACE__EF_SEARCH_GIVEN_EF_SEARCH;
        made->ef_search = settings->ef_search;
    }
    if (settings->nprobe > 0) {
        made->nprobe_given_case = REPRISE__V1__NAMESPACE__NPROBE_GIVEN_NPROBE;
        made->nprobe = settings->nprobe;
    }
}

static Reprise__V1__Namespace *make_namespace(const struct reprise_namespace *settings,
                                              struct arena *arena)
{
    Reprise__V1__Namespace *made = arena_alloc(arena, sizeof(*made));
    if (made == NULL)
        return NULL;
    reprise__v1__namespace__init(made);
    made->name = string_of(settings->name);
    copy_numbers(settings, made);
    made->tiers = arena_calloc(arena, settings->tiers_count + 1, sizeof(*made->tiers));
    made->policy = request_policy(&settings->policy, arena);
    if (made->tiers == NULL || made->policy == NULL)
        return NULL;
    for (size_t i = 0; i < settings->tiers_count; i++)
        made->tiers[made->n_tiers++] = (Reprise__V1__Tier)settings->tiers[i];
    return made;
}

Reprise__V1__CreateNamespaceRequest *
request_create_namespace(const struct reprise_namespace *settings, struct arena *arena)
{
    Reprise__V1__CreateNamespaceRequest *made = arena_alloc(arena, sizeof(*made));
    if (made == NULL)
        return NULL;
    reprise__v1__create_namespace_request__init(made);
    made->namespace_ = make_namespace(settings, arena);
    return made->namespace_ != NULL ? made : NULL;
}

Reprise__V1__UpdateNamespaceRequest *
request_update_namespace(const struct reprise_namespace *settings, const char *const *fields,
                         size_t fields_count, struct arena *arena)
{
    Reprise__V1__UpdateNamespaceRequest *made = arena_alloc(arena, sizeof(*made));
    if (made == NULL)
        return NULL;
    reprise__v1__update_namespace_request__init(made);
    made->namespace_ = make_namespace(settings, arena);
    made->fields = arena_calloc(arena, fields_count + 1, sizeof(*made->fields));
    if (made->namespace_ == NULL || made->fields == NULL)
        return NULL;
    for (size_t i = 0; i < fields_count; i++)
        made->fields[made->n_fields++] = string_of(fields[i]);
    return made;
}

/* ---- replies --------------------------------------------------------------------------------- */

void reply_policy(const Reprise__V1__Policy *message, struct reprise_policy *out_policy)
{
    *out_policy = reprise_policy_none;
    if (message == NULL)
        return;
    out_policy->mode = (enum reprise_mode)message->mode;
    if (message->min_similarity_given_case != 0)
        out_policy->min_similarity = message->min_similarity;
    if (message->static_threshold_given_case != 0)
        out_policy->static_threshold = message->static_threshold;
    out_policy->names_off = message->n_guards_off > 0;
    const Reprise__V1__Adaptive *adaptive = message->adaptive;
    if (adaptive == NULL)
        return;
    if (adaptive->initial_given_case != 0)
        out_policy->adaptive_initial = adaptive->initial;
    if (adaptive->min_given_case != 0)
        out_policy->adaptive_min = adaptive->min;
    if (adaptive->max_given_case != 0)
        out_policy->adaptive_max = adaptive->max;
    if (adaptive->step_given_case != 0)
        out_policy->adaptive_step = adaptive->step;
}

static bool read_namespace(const Reprise__V1__Namespace *message, struct arena *arena,
                           struct reprise_namespace *reply)
{
    enum reprise_tier *tiers = arena_calloc(arena, message->n_tiers + 1, sizeof(*tiers));
    if (tiers == NULL)
        return false;
    for (size_t i = 0; i < message->n_tiers; i++)
        tiers[i] = (enum reprise_tier)message->tiers[i];
    *reply = (struct reprise_namespace){
        .name = message->name,
        .tiers = tiers,
        .tiers_count = message->n_tiers,
        .ttl_ms = message->ttl_ms,
        .ttl_max_ms = message->ttl_max_ms,
        .bytes_max = message->bytes_max,
        .entries_max = message->entries_max,
        .temperature_max = message->temperature_max_given_case != 0 ? message->temperature_max : -1,
        .user_turns_max = message->user_turns_max,
        .ack = (enum reprise_ack)message->ack,
        .index_kind = (enum reprise_index_kind)message->index_kind,
        .eviction = (enum reprise_eviction)message->eviction,
        .embedder = (enum reprise_namespace_embedder)message->embedder,
        .ef_search = message->ef_search_given_case != 0 ? message->ef_search : 0,
        .nprobe = message->nprobe_given_case != 0 ? message->nprobe : 0,
        .version = message->version,
        .entries = message->entries,
        .size_bytes = message->size_bytes,
        .rows = message->rows,
        .degraded = message->degraded,
    };
    reply_policy(message->policy, &reply->policy);
    return true;
}

const struct reprise_namespace *reply_namespace(const Reprise__V1__Namespace *message,
                                                struct arena *arena)
{
    struct reprise_namespace *reply = arena_calloc(arena, 1, sizeof(*reply));
    return reply != NULL && read_namespace(message, arena, reply) ? reply : NULL;
}

const struct reprise_namespaces_reply *
reply_namespaces(const Reprise__V1__ListNamespacesResponse *message, struct arena *arena)
{
    struct reprise_namespaces_reply *reply = arena_calloc(arena, 1, sizeof(*reply));
    struct reprise_namespace *list = arena_calloc(arena, message->n_namespaces + 1, sizeof(*list));
    if (reply == NULL || list == NULL)
        return NULL;
    for (size_t i = 0; i < message->n_namespaces; i++) {
        if (!read_namespace(message->namespaces[i], arena, &list[i]))
            return NULL;
    }
    *reply = (struct reprise_namespaces_reply){list, message->n_namespaces, message->more};
    return reply;
}

const struct reprise_policy_reply *reply_policies(const Reprise__V1__Policy *set,
                                                  const Reprise__V1__Policy *effective,
                                                  uint64_t version, struct arena *arena)
{
    struct reprise_policy_reply *reply = arena_calloc(arena, 1, sizeof(*reply));
    if (reply == NULL)
        return NULL;
    reply_policy(set, &reply->set);
    reply_policy(effective, &reply->effective);
    reply->version = version;
    return reply;
}

const struct reprise_policy_reply *
reply_described(const Reprise__V1__DescribePolicyResponse *message, struct arena *arena)
{
    struct reprise_policy_reply *reply = arena_calloc(arena, 1, sizeof(*reply));
    struct reprise_scope_policy *live = arena_calloc(arena, 1, sizeof(*live));
    if (reply == NULL || live == NULL)
        return NULL;
    reply->set = reprise_policy_none;
    reply_policy(message->effective, &reply->effective);
    reply->version = message->version;
    reply->scopes = message->scopes;
    if (message->live == NULL)
        return reply;
    reply->live = live;
    return reply_scope_policy(message->live, arena, live) ? reply : NULL;
}
