/*
 * names.c - enum values as the protocol spells them, without the prefix that every value of an enum
 * carries. The names come from the compiled contract itself, so that they cannot fall behind it.
 * Threads: any; constant.
 */
#include <string.h>

#include "base/check.h"
#include "clients/c/reprise.h"
#include "grpc/health/v1/health.pb-c.h"
#include "reprise/v1/admin.pb-c.h"
#include "reprise/v1/cache.pb-c.h"
#include "reprise/v1/feedback.pb-c.h"

static const char *name_of(const ProtobufCEnumDescriptor *descriptor, int number,
                           const char *prefix)
{
    const ProtobufCEnumValue *value = protobuf_c_enum_descriptor_get_value(descriptor, number);
    if (value == NULL)
        return "UNRECOGNIZED";
    size_t length = strlen(prefix);
    assert(strncmp(value->name, prefix, length) == 0);
    return value->name + length;
}

const char *reprise_tier_name(enum reprise_tier tier)
{
    return name_of(&reprise__v1__tier__descriptor, (int)tier, "TIER_");
}

const char *reprise_miss_reason_name(enum reprise_miss_reason reason)
{
    return name_of(&reprise__v1__miss_reason__descriptor, (int)reason, "MISS_REASON_");
}

const char *reprise_guard_name(enum reprise_guard guard)
{
    return name_of(&reprise__v1__guard__descriptor, (int)guard, "GUARD_");
}

const char *reprise_include_name(enum reprise_include include)
{
    return name_of(&reprise__v1__include__descriptor, (int)include, "INCLUDE_");
}

const char *reprise_skip_name(enum reprise_skip skip)
{
    return name_of(&reprise__v1__set_skip__descriptor, (int)skip, "SET_SKIP_");
}

const char *reprise_ack_name(enum reprise_ack ack)
{
    return name_of(&reprise__v1__ack__descriptor, (int)ack, "ACK_");
}

const char *reprise_watched_result_name(enum reprise_watched_result result)
{
    return name_of(&reprise__v1__decision_result__descriptor, (int)result, "DECISION_RESULT_");
}

const char *reprise_config_source_name(enum reprise_config_source source)
{
    return name_of(&reprise__v1__config_source__descriptor, (int)source, "CONFIG_SOURCE_");
}

const char *reprise_index_kind_name(enum reprise_index_kind kind)
{
    return name_of(&reprise__v1__index_kind__descriptor, (int)kind, "INDEX_KIND_");
}

const char *reprise_eviction_name(enum reprise_eviction eviction)
{
    return name_of(&reprise__v1__eviction__descriptor, (int)eviction, "EVICTION_");
}

const char *reprise_namespace_embedder_name(enum reprise_namespace_embedder embedder)
{
    return name_of(&reprise__v1__namespace_embedder__descriptor, (int)embedder,
                   "NAMESPACE_EMBEDDER_");
}

const char *reprise_outcome_name(enum reprise_outcome outcome)
{
    return name_of(&reprise__v1__report_outcome__descriptor, (int)outcome, "REPORT_OUTCOME_");
}

const char *reprise_mode_name(enum reprise_mode mode)
{
    return name_of(&reprise__v1__policy_mode__descriptor, (int)mode, "POLICY_MODE_");
}

const char *reprise_health_name(enum reprise_health health)
{
    return name_of(&grpc__health__v1__health_check_response__serving_status__descriptor,
                   (int)health, "");
}

/* gRPC's codes are no protocol enum; the order is that of its specification. */
const char *reprise_code_name(enum reprise_code code)
{
    static const char *const names[] = {
        "OK",
        "CANCELLED",
        "UNKNOWN",
        "INVALID_ARGUMENT",
        "DEADLINE_EXCEEDED",
        "NOT_FOUND",
        "ALREADY_EXISTS",
        "PERMISSION_DENIED",
        "RESOURCE_EXHAUSTED",
        "FAILED_PRECONDITION",
        "ABORTED",
        "OUT_OF_RANGE",
        "UNIMPLEMENTED",
        "INTERNAL",
        "UNAVAILABLE",
        "DATA_LOSS",
        "UNAUTHENTICATED",
    };
    size_t index = (size_t)code;
    return index < sizeof(names) / sizeof(names[0]) ? names[index] : "UNRECOGNIZED";
}
