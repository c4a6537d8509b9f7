/*
 * codec_policies.c - GetPolicy, SetPolicy, DescribePolicy, both ways. Owns nothing. Threads: any;
 * all of it works in the caller's arena.
 */
#include "server/codec_internal.h"

enum status codec_policy_scope(const Reprise__V1__PolicyScope *message, struct arena *arena,
                               struct cache_policy_scope *out, struct failure *failure)
{
    *out = (struct cache_policy_scope){.tenant = {NULL, 0}};
    if (message == NULL)
        return STATUS_OK;
    out->namespace_ = text_of(message->namespace_);
    out->model = text_of(message->model);
    out->embedder = text_of(message->embedder);
    out->attributes_count = message->n_attributes;
    if (out->namespace_.length > 0 && !key_is_namespace(out->namespace_))
        return failure_set(failure, STATUS_BAD_NAME, "scope.namespace",
                           "1 to 64 of the characters A-Z a-z 0-9 . _ -");
    if (codec_attributes(message->attributes, message->n_attributes, arena, &out->attributes) !=
        STATUS_OK)
        return codec_spent(failure);
    return STATUS_OK;
}

static const Reprise__V1__PolicyScope *scope_of(enum codec_message type,
                                                const ProtobufCMessage *message)
{
    if (type == CODEC_GET_POLICY)
        return ((const Reprise__V1__GetPolicyRequest *)message)->scope;
    if (type == CODEC_DESCRIBE_POLICY)
        return ((const Reprise__V1__DescribePolicyRequest *)message)->scope;
    assert(type == CODEC_SHADOW_REPORT);
    return ((const Reprise__V1__GetShadowReportRequest *)message)->scope;
}

enum status codec_read_policy_scope(enum codec_message type, struct text bytes,
                                    const struct codec_limits *limits, struct arena *arena,
                                    struct cache_policy_scope *out, struct failure *failure)
{
    ProtobufCMessage *unpacked = NULL;
    enum status status = codec_unpack(type, bytes, limits, arena, &unpacked, failure);
    if (status != STATUS_OK)
        return status;
    return codec_policy_scope(scope_of(type, unpacked), arena, out, failure);
}

enum status codec_read_set_policy(struct text bytes, const struct codec_limits *limits,
                                  struct arena *arena, struct cache_namespace_change *out,
                                  struct failure *failure)
{
    ProtobufCMessage *unpacked = NULL;
    struct cache_policy_scope scope;
    enum status status = codec_unpack(CODEC_SET_POLICY, bytes, limits, arena, &unpacked, failure);
    if (status != STATUS_OK)
        return status;
    const Reprise__V1__SetPolicyRequest *message = (const Reprise__V1__SetPolicyRequest *)unpacked;
    status = codec_policy_scope(message->scope, arena, &scope, failure);
    if (status != STATUS_OK)
        return status;
    status = cache_check_whole_namespace(&scope, failure);
    if (status != STATUS_OK)
        return status;
    if (scope.embedder.length > 0)
        return failure_set(failure, STATUS_LIMIT_EXCEEDED, "scope.embedder",
                           "a policy belongs to a whole namespace: leave it out");
    *out = (struct cache_namespace_change){
        .name = scope.namespace_.length > 0 ? scope.namespace_ : TEXT("default"),
        .fields = NAMESPACE_POLICY,
        .if_version = message->if_version,
        .settings = cache_namespace_settings_none,
    };
    return codec_policy(message->policy, "policy", &out->settings.policy, failure);
}

enum status codec_write_get_policy(const struct cache_policy_view *view, struct arena *arena,
                                   struct codec_reply *out)
{
    Reprise__V1__GetPolicyResponse message = REPRISE__V1__GET_POLICY_RESPONSE__INIT;
    enum status status = codec_fill_policy(&view->set, arena, &message.set);
    if (status == STATUS_OK)
        status = codec_fill_policy(&view->effective, arena, &message.effective);
    message.version = view->version;
    return status != STATUS_OK ? status : codec_reply_pack(&message.base, arena, out);
}

enum status codec_write_set_policy(const struct cache_policy_view *view, struct arena *arena,
                                   struct codec_reply *out)
{
    Reprise__V1__SetPolicyResponse message = REPRISE__V1__SET_POLICY_RESPONSE__INIT;
    const enum status status = codec_fill_policy(&view->effective, arena, &message.effective);
    message.version = view->version;
    return status != STATUS_OK ? status : codec_reply_pack(&message.base, arena, out);
}

enum status codec_write_describe_policy(const struct cache_policy_view *view, struct arena *arena,
                                        struct codec_reply *out)
{
    Reprise__V1__EmbedderInfo embedder;
    Reprise__V1__DescribePolicyResponse message = REPRISE__V1__DESCRIBE_POLICY_RESPONSE__INIT;
    enum status status = codec_fill_policy(&view->effective, arena, &message.effective);
    message.version = view->version;
    message.scopes = view->scopes_count;
    if (status == STATUS_OK && view->is_live) {
        message.live = codec_scope_policy(&view->live, arena);
        status = message.live != NULL ? STATUS_OK : STATUS_NO_MEMORY;
    }
    if (status == STATUS_OK && view->embedder != NULL) {
        message.embedder = &embedder;
        status = codec_embedder(view->embedder, arena, &embedder);
    }
    return status != STATUS_OK ? status : codec_reply_pack(&message.base, arena, out);
}
