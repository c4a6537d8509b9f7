/*
 * codec_namespace.c - the settings of namespaces, both ways. Owns nothing. Threads: any; all of it
 * works in the caller's arena.
 */
#include "server/codec_internal.h"

#include <assert.h>
#include <math.h>

static const struct field_word {
    const char *word;
    unsigned bit;
} field_words[] = {
    {"tiers", NAMESPACE_TIERS},
    {"policy", NAMESPACE_POLICY},
    {"ttl_ms", NAMESPACE_TTL},
    {"ttl_max_ms", NAMESPACE_TTL_MAX},
    {"bytes_max", NAMESPACE_BYTES_MAX},
    {"entries_max", NAMESPACE_ENTRIES_MAX},
    {"temperature_max", NAMESPACE_TEMPERATURE_MAX},
    {"user_turns_max", NAMESPACE_USER_TURNS_MAX},
    {"ack", NAMESPACE_ACK},
    {"index_kind", NAMESPACE_INDEX_KIND},
    {"ef_search", NAMESPACE_EF_SEARCH},
    {"nprobe", NAMESPACE_NPROBE},
    {"eviction", NAMESPACE_EVICTION},
    {"embedder", NAMESPACE_EMBEDDER},
};

/* ---- read ------------------------------------------------------------------- */

static enum status read_fields(char *const *fields, size_t count, unsigned *out_bits,
                               struct failure *failure)
{
    static const char all[] =
        "tiers, policy, ttl_ms, ttl_max_ms, bytes_max, entries_max, "
        "temperature_max, user_turns_max, ack, index_kind, ef_search, nprobe, "
        "eviction, embedder";
    unsigned bits = 0;
    for (size_t i = 0; i < count; i++) {
        unsigned bit = 0;
        for (size_t k = 0; k < sizeof(field_words) / sizeof(field_words[0]); k++)
            bit |= strcmp(fields[i], field_words[k].word) == 0 ? field_words[k].bit : 0;
        if (bit == 0)
            return failure_set(failure, STATUS_BAD_NAME, "fields", "%s", all);
        bits |= bit;
    }
    if (bits == 0)
        return failure_set(failure, STATUS_BAD_NAME, "fields", "name what changes: %s", all);
    *out_bits = bits;
    return STATUS_OK;
}

static enum status check_name(struct text name, const char *field, struct failure *failure)
{
    if (key_is_namespace(name))
        return STATUS_OK;
    return failure_set(failure, STATUS_BAD_NAME, field,
                       "1 to 64 of the characters A-Z a-z 0-9 . _ -");
}

static enum status read_tiers(const Reprise__V1__Namespace *message, unsigned *out_tiers,
                              struct failure *failure)
{
    for (size_t i = 0; i < message->n_tiers; i++) {
        const int tier = (int)message->tiers[i];
        if (tier != REPRISE__V1__TIER__TIER_EXACT && tier != REPRISE__V1__TIER__TIER_SEMANTIC)
            return failure_set(failure, STATUS_LIMIT_EXCEEDED, "namespace.tiers",
                               "one of TIER_EXACT, TIER_SEMANTIC");
        *out_tiers |= 1u << tier;
    }
    return STATUS_OK;
}

static enum status check_choices(const Reprise__V1__Namespace *message, struct failure *failure)
{
    if ((int)message->index_kind < 0 ||
        (int)message->index_kind > REPRISE__V1__INDEX_KIND__INDEX_KIND_IVF)
        return failure_set(failure, STATUS_LIMIT_EXCEEDED, "namespace.index_kind",
                           "one of INDEX_KIND_AUTO, _FLAT, _HNSW, _IVF, or none");
    if ((int)message->ack < 0 || (int)message->ack > REPRISE__V1__ACK__ACK_SYNCED)
        return failure_set(failure, STATUS_LIMIT_EXCEEDED, "namespace.ack",
                           "one of ACK_MEMORY, ACK_LOGGED, ACK_SYNCED, or none");
    if ((int)message->eviction < 0 ||
        (int)message->eviction > REPRISE__V1__EVICTION__EVICTION_LFU_AGING)
        return failure_set(failure, STATUS_LIMIT_EXCEEDED, "namespace.eviction",
                           "one of EVICTION_S3FIFO, _LRU, _LFU_AGING, or none");
    if ((int)message->embedder < 0 ||
        (int)message->embedder > REPRISE__V1__NAMESPACE_EMBEDDER__NAMESPACE_EMBEDDER_CLIENT)
        return failure_set(failure, STATUS_LIMIT_EXCEEDED, "namespace.embedder",
                           "one of NAMESPACE_EMBEDDER_LEXICAL, _CLIENT, or none");
    if (message->temperature_max_given_case != 0 && isnan(message->temperature_max))
        return failure_set(failure, STATUS_LIMIT_EXCEEDED, "namespace.temperature_max",
                           "a number from 0 to 10");
    return STATUS_OK;
}

static enum status read_settings(const Reprise__V1__Namespace *message,
                                 struct cache_namespace_settings *settings, struct failure *failure)
{
    *settings = cache_namespace_settings_none;
    settings->ttl_ms = message->ttl_ms;
    settings->ttl_max_ms = message->ttl_max_ms;
    settings->bytes_max = message->bytes_max;
    settings->entries_max = message->entries_max;
    if (message->temperature_max_given_case != 0)
        settings->temperature_max = message->temperature_max;
    settings->user_turns_max = message->user_turns_max;
    settings->ef_search = message->ef_search_given_case != 0 ? message->ef_search : 0;
    settings->nprobe = message->nprobe_given_case != 0 ? message->nprobe : 0;
    enum status status = check_choices(message, failure);
    if (status == STATUS_OK)
        status = read_tiers(message, &settings->tiers, failure);
    if (status == STATUS_OK)
        status = codec_policy(message->policy, "namespace.policy", &settings->policy, failure);
    if (status != STATUS_OK)
        return status;
    settings->ack = (enum journal_ack)message->ack;
    settings->index_kind = (unsigned)message->index_kind;
    settings->eviction = (enum cache_eviction)message->eviction;
    settings->embedder = (enum cache_embedder)message->embedder;
    return STATUS_OK;
}

static enum status read_namespace(const Reprise__V1__Namespace *message,
                                  struct cache_namespace_change *out, struct failure *failure)
{
    const struct text name = text_of(message != NULL ? message->name : "");
    enum status status = check_name(name, "namespace.name", failure);
    if (status != STATUS_OK)
        return status;
    *out = (struct cache_namespace_change){.name = name};
    return read_settings(message, &out->settings, failure);
}

enum status codec_read_create_namespace(struct text bytes, const struct codec_limits *limits,
                                        struct arena *arena, struct cache_namespace_change *out,
                                        struct failure *failure)
{
    ProtobufCMessage *unpacked = NULL;
    enum status status =
        codec_unpack(CODEC_CREATE_NAMESPACE, bytes, limits, arena, &unpacked, failure);
    if (status != STATUS_OK)
        return status;
    status = read_namespace(((const Reprise__V1__CreateNamespaceRequest *)unpacked)->namespace_,
                            out, failure);
    out->fields = NAMESPACE_ALL_FIELDS;
    return status;
}

enum status codec_read_update_namespace(struct text bytes, const struct codec_limits *limits,
                                        struct arena *arena, struct cache_namespace_change *out,
                                        struct failure *failure)
{
    ProtobufCMessage *unpacked = NULL;
    enum status status =
        codec_unpack(CODEC_UPDATE_NAMESPACE, bytes, limits, arena, &unpacked, failure);
    if (status != STATUS_OK)
        return status;
    const Reprise__V1__UpdateNamespaceRequest *message =
        (const Reprise__V1__UpdateNamespaceRequest *)unpacked;
    status = read_namespace(message->namespace_, out, failure);
    if (status == STATUS_OK)
        status = read_fields(message->fields, message->n_fields, &out->fields, failure);
    out->if_version = message->if_version;
    return status;
}

enum status codec_read_get_namespace(struct text bytes, const struct codec_limits *limits,
                                     struct arena *arena, struct text *out_name,
                                     struct failure *failure)
{
    ProtobufCMessage *unpacked = NULL;
    enum status status =
        codec_unpack(CODEC_GET_NAMESPACE, bytes, limits, arena, &unpacked, failure);
    if (status != STATUS_OK)
        return status;
    *out_name = text_of(((const Reprise__V1__GetNamespaceRequest *)unpacked)->name);
    return check_name(*out_name, "name", failure);
}

enum status codec_read_list_namespaces(struct text bytes, const struct codec_limits *limits,
                                       struct arena *arena, struct codec_listing *out,
                                       struct failure *failure)
{
    ProtobufCMessage *unpacked = NULL;
    enum status status =
        codec_unpack(CODEC_LIST_NAMESPACES, bytes, limits, arena, &unpacked, failure);
    if (status != STATUS_OK)
        return status;
    const Reprise__V1__ListNamespacesRequest *message =
        (const Reprise__V1__ListNamespacesRequest *)unpacked;
    if (message->limit > CACHE_NAMESPACES_LISTED_MAX)
        return failure_set(failure, STATUS_LIMIT_EXCEEDED, "limit", "at most %d",
                           CACHE_NAMESPACES_LISTED_MAX);
    out->after = text_of(message->after);
    out->max = message->limit != 0 ? message->limit : CACHE_NAMESPACES_LISTED_MAX;
    return STATUS_OK;
}

enum status codec_read_drop_namespace(struct text bytes, const struct codec_limits *limits,
                                      struct arena *arena, struct codec_drop *out,
                                      struct failure *failure)
{
    ProtobufCMessage *unpacked = NULL;
    enum status status =
        codec_unpack(CODEC_DROP_NAMESPACE, bytes, limits, arena, &unpacked, failure);
    if (status != STATUS_OK)
        return status;
    const Reprise__V1__DropNamespaceRequest *message =
        (const Reprise__V1__DropNamespaceRequest *)unpacked;
    *out = (struct codec_drop){text_of(message->name), text_of(message->confirm)};
    return check_name(out->name, "name", failure);
}

/* ---- written ---------------------------------------------------------------- */

static enum status fill_tiers(unsigned tiers, struct arena *arena, Reprise__V1__Namespace *message)
{
    if (tiers == 0)
        return STATUS_OK;
    message->tiers = arena_calloc(arena, 2, sizeof(*message->tiers));
    if (message->tiers == NULL)
        return STATUS_NO_MEMORY;
    for (int tier = CACHE_TIER_EXACT; tier <= CACHE_TIER_SEMANTIC; tier++) {
        if ((tiers & 1u << tier) != 0)
            message->tiers[message->n_tiers++] = (Reprise__V1__Tier)tier;
    }
    return STATUS_OK;
}

static void fill_numbers(const struct cache_namespace_view *view, Reprise__V1__Namespace *message)
{
    const struct cache_namespace_settings *settings = &view->settings;
    message->ttl_ms = settings->ttl_ms;
    message->ttl_max_ms = settings->ttl_max_ms;
    message->bytes_max = settings->bytes_max;
    message->entries_max = settings->entries_max;
    message->user_turns_max = settings->user_turns_max;
    message->ack = (Reprise__V1__Ack)settings->ack;
    message->index_kind = (Reprise__V1__IndexKind)settings->index_kind;
    message->eviction = (Reprise__V1__Eviction)settings->eviction;
    message->embedder = (Reprise__V1__NamespaceEmbedder)settings->embedder;
    message->version = view->version;
    message->entries = view->entries;
    message->size_bytes = view->size_bytes;
    message->rows = view->rows;
    if (!isnan(settings->temperature_max)) {
        message->temperature_max_given_case =
            REPRISE__V1__NAMESPACE__TEMPERATURE_MAX_GIVEN_TEMPERATURE_MAX;
        message->temperature_max = settings->temperature_max;
    }
    if (settings->ef_search > 0) {
        message->ef_search_given_case = REPRISE__V1__NAMESPACE__EF_SEARCH_GIVEN_EF_SEARCH;
        message->ef_search = settings->ef_search;
    }
    if (settings->nprobe > 0) {
        message->nprobe_given_case = REPRISE__V1__NAMESPACE__NPROBE_GIVEN_NPROBE;
        message->nprobe = settings->nprobe;
    }
}

static enum status fill_namespace(const struct cache_namespace_view *view, struct arena *arena,
                                  Reprise__V1__Namespace *message)
{
    reprise__v1__namespace__init(message);
    message->name = codec_string(view->name, arena);
    if (message->name == NULL)
        return STATUS_NO_MEMORY;
    message->degraded = codec_string(view->degraded, arena);
    if (message->degraded == NULL)
        return STATUS_NO_MEMORY;
    fill_numbers(view, message);
    enum status status = fill_tiers(view->settings.tiers, arena, message);
    if (status == STATUS_OK && !policy_wishes_equal(&view->settings.policy, &policy_wishes_none))
        status = codec_fill_policy(&view->settings.policy, arena, &message->policy);
    return status;
}

enum status codec_write_namespace(const struct cache_namespace_view *view, struct arena *arena,
                                  struct codec_reply *out)
{
    Reprise__V1__Namespace namespace_;
    Reprise__V1__GetNamespaceResponse message = REPRISE__V1__GET_NAMESPACE_RESPONSE__INIT;
    message.namespace_ = &namespace_;
    const enum status status = fill_namespace(view, arena, &namespace_);
    return status != STATUS_OK ? status : codec_reply_pack(&message.base, arena, out);
}

enum status codec_write_list_namespaces(const struct cache_namespace_view *views, size_t count,
                                        bool more, const struct codec_limits *limits,
                                        struct arena *arena, struct codec_reply *out,
                                        struct failure *failure)
{
    assert(count <= CACHE_NAMESPACES_LISTED_MAX);
    Reprise__V1__Namespace *messages = arena_calloc(arena, count + 1, sizeof(*messages));
    Reprise__V1__Namespace **list = arena_calloc(arena, count + 1, sizeof(*list));
    if (messages == NULL || list == NULL)
        return STATUS_NO_MEMORY;
    for (size_t i = 0; i < count; i++) {
        list[i] = &messages[i];
        const enum status status = fill_namespace(&views[i], arena, list[i]);
        if (status != STATUS_OK)
            return status;
    }
    Reprise__V1__ListNamespacesResponse message = REPRISE__V1__LIST_NAMESPACES_RESPONSE__INIT;
    message.n_namespaces = count;
    message.namespaces = list;
    message.more = more;
    const enum status status = codec_reply_pack(&message.base, arena, out);
    return status != STATUS_OK ? status : codec_reply_fits(out, limits, failure);
}

enum status codec_write_drop_namespace(uint64_t removed, struct arena *arena,
                                       struct codec_reply *out)
{
    Reprise__V1__DropNamespaceResponse message = REPRISE__V1__DROP_NAMESPACE_RESPONSE__INIT;
    message.removed = removed;
    return codec_reply_pack(&message.base, arena, out);
}
