/*
 * codec_config.c - GetConfig and SetConfig, both ways. Owns nothing. Threads: any; all of it works
 * in the caller's arena.
 */
#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "base/option_value.h"
#include "server/codec_internal.h"
#include "server/live.h"

/* Field numbers of proto/reprise/v1/admin.proto. */
enum {
    CONFIG_OPTIONS = 1,
    OPTION_NAME = 1,
    OPTION_VALUE = 2,
    OPTION_SOURCE = 3,
    OPTION_IS_LIVE = 4,
    OPTION_START_VALUE = 5,
    OPTION_ALLOWED = 6,
    OPTION_MEANING = 7,
};

enum { OPTION_BYTES = 256 }; /* about one row */

/* ---- Requests --------------------------------------------------------------- */

enum status codec_read_get_config(struct text bytes, const struct codec_limits *limits,
                                  struct arena *arena, struct text *out_prefix,
                                  struct failure *failure)
{
    ProtobufCMessage *unpacked = NULL;
    enum status status = codec_unpack(CODEC_GET_CONFIG, bytes, limits, arena, &unpacked, failure);
    if (status != STATUS_OK)
        return status;
    *out_prefix = text_of(((const Reprise__V1__GetConfigRequest *)unpacked)->prefix);
    return STATUS_OK;
}

static enum status read_change(const struct codec_config *config, size_t index,
                               const Reprise__V1__ConfigChange *message, struct failure *failure)
{
    char field[FAILURE_FIELD_MAX];
    (void)snprintf(field, sizeof(field), "changes[%zu]", index);
    if (message->reset && message->value[0] != '\0')
        return failure_set(failure, STATUS_AMBIGUOUS_INPUT, field, "a value, or reset");
    for (size_t i = 0; i < index; i++) {
        if (strcmp(config->changes[i].name, message->name) == 0)
            return failure_set(failure, STATUS_BAD_NAME, field, "it is named twice");
    }
    config->changes[index] = (struct live_change){
        .name = message->name,
        .value = message->reset ? NULL : message->value,
    };
    return STATUS_OK;
}

enum status codec_read_set_config(struct text bytes, const struct codec_limits *limits,
                                  struct arena *arena, struct codec_config *out,
                                  struct failure *failure)
{
    ProtobufCMessage *unpacked = NULL;
    enum status status = codec_unpack(CODEC_SET_CONFIG, bytes, limits, arena, &unpacked, failure);
    if (status != STATUS_OK)
        return status;
    const Reprise__V1__SetConfigRequest *message = (const Reprise__V1__SetConfigRequest *)unpacked;
    struct codec_config config = {.count = message->n_changes, .dry_run = message->dry_run != 0};
    if (config.count == 0)
        return failure_set(failure, STATUS_LIMIT_EXCEEDED, "changes", "1 to %d of them",
                           CODEC_CHANGES_MAX);
    config.changes = arena_calloc(arena, config.count, sizeof(config.changes[0]));
    if (config.changes == NULL)
        return codec_spent(failure);
    for (size_t i = 0; i < config.count && status == STATUS_OK; i++)
        status = read_change(&config, i, message->changes[i], failure);
    if (status == STATUS_OK)
        *out = config;
    return status;
}

/* ---- Replies ---------------------------------------------------------------- */

static Reprise__V1__ConfigSource source_of(enum option_source source)
{
    switch (source) {
    case OPTION_BY_DEFAULT:
        return REPRISE__V1__CONFIG_SOURCE__CONFIG_SOURCE_DEFAULT;
    case OPTION_BY_FILE:
        return REPRISE__V1__CONFIG_SOURCE__CONFIG_SOURCE_FILE;
    case OPTION_BY_ENVIRONMENT:
        return REPRISE__V1__CONFIG_SOURCE__CONFIG_SOURCE_ENVIRONMENT;
    case OPTION_BY_FLAG:
        return REPRISE__V1__CONFIG_SOURCE__CONFIG_SOURCE_FLAG;
    case OPTION_AT_RUN_TIME:
        return REPRISE__V1__CONFIG_SOURCE__CONFIG_SOURCE_RUN_TIME;
    }
    assert(!"an option of no known source");
    return REPRISE__V1__CONFIG_SOURCE__CONFIG_SOURCE_UNSPECIFIED;
}

static void put_option(struct wire *wire, const struct option_view *view)
{
    char shown[OPTION_SHOWN_MAX], range[OPTION_RANGE_MAX];
    option_value_range(view->row, range);
    const struct wire_inner inner = wire_begin(wire, CONFIG_OPTIONS, OPTION_BYTES);
    wire_text(wire, OPTION_NAME, text_of(view->row->name));
    wire_text(wire, OPTION_VALUE, text_of(option_show(view->value, shown)));
    wire_uint(wire, OPTION_SOURCE, (uint64_t)source_of(view->source));
    wire_uint(wire, OPTION_IS_LIVE, option_is_live(view->row));
    wire_text(wire, OPTION_START_VALUE, text_of(option_show(view->start, shown)));
    wire_text(wire, OPTION_ALLOWED, text_of(range));
    wire_text(wire, OPTION_MEANING, text_of(view->row->meaning));
    wire_end(wire, inner);
}

static bool begins_with(const char *name, struct text prefix)
{
    return strncmp(name, prefix.bytes, prefix.length) == 0;
}

enum status codec_write_get_config(const struct options *options, struct text prefix,
                                   struct arena *arena, struct codec_reply *out,
                                   struct failure *failure)
{
    struct wire wire;
    const size_t count = options_count(options);
    wire_init(&wire, arena, count * OPTION_BYTES);
    for (size_t i = 0; i < count; i++) {
        const struct option_view view = options_view(options, i);
        if (prefix.length == 0 || begins_with(view.row->name, prefix))
            put_option(&wire, &view);
    }
    if (wire.length == 0 && !wire.spent)
        return failure_set(failure, STATUS_NOT_FOUND, "prefix", "no option's name begins so");
    *out = (struct codec_reply){.tail_entry = NULL};
    return wire_done(&wire, &out->head);
}

/* In the order in which they were named. */
enum status codec_write_set_config(const struct options *options, const struct codec_config *config,
                                   struct arena *arena, struct codec_reply *out)
{
    struct wire wire;
    wire_init(&wire, arena, config->count * OPTION_BYTES);
    for (size_t i = 0; i < config->count; i++) {
        for (size_t place = 0; place < options_count(options); place++) {
            const struct option_view view = options_view(options, place);
            if (strcmp(view.row->name, config->changes[i].name) == 0)
                put_option(&wire, &view);
        }
    }
    *out = (struct codec_reply){.tail_entry = NULL};
    return wire_done(&wire, &out->head);
}
