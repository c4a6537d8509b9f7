/*
 * config.c - GetConfig and SetConfig. Owns nothing. Threads: as reprise.h says.
 */
#include "clients/c/result.h"
#include "reprise/v1/admin.pb-c.h"

/* protobuf-c's strings are not const; packing only reads them. */
static char *string_of(const char *text)
{
    return (char *)(uintptr_t)(text != NULL ? text : "");
}

static const struct reprise_config_reply *read_options(Reprise__V1__ConfigOption *const *messages,
                                                       size_t count, struct arena *arena)
{
    struct reprise_config_reply *reply = arena_calloc(arena, 1, sizeof(*reply));
    struct reprise_option *options = arena_calloc(arena, count + 1, sizeof(*options));
    if (reply == NULL || options == NULL)
        return NULL;
    for (size_t i = 0; i < count; i++) {
        const Reprise__V1__ConfigOption *message = messages[i];
        options[i] = (struct reprise_option){
            .name = message->name,
            .value = message->value,
            .source = (enum reprise_config_source)message->source,
            .live = message->live != 0,
            .start_value = message->start_value,
            .allowed = message->allowed,
            .meaning = message->meaning,
        };
    }
    *reply = (struct reprise_config_reply){options, count};
    return reply;
}

struct reprise_result *reprise_get_config(struct reprise_client *client, const char *prefix,
                                          const struct reprise_call *call)
{
    struct arena *arena = NULL;
    struct reprise_result *result = result_create(&arena);
    if (result == NULL)
        return result_no_memory(client);
    Reprise__V1__GetConfigRequest message = REPRISE__V1__GET_CONFIG_REQUEST__INIT;
    message.prefix = string_of(prefix);
    const Reprise__V1__GetConfigResponse *reply =
        result_run(client, CHANNEL_GET_CONFIG, &message, call, result);
    if (reply != NULL)
        result->config = read_options(reply->options, reply->n_options, arena);
    return result_settle(client, result, result->config);
}

static Reprise__V1__SetConfigRequest *request_of(const struct reprise_config_change *changes,
                                                 size_t count, bool dry_run, struct arena *arena)
{
    Reprise__V1__SetConfigRequest *message = arena_calloc(arena, 1, sizeof(*message));
    Reprise__V1__ConfigChange *made = arena_calloc(arena, count + 1, sizeof(*made));
    Reprise__V1__ConfigChange **list = arena_calloc(arena, count + 1, sizeof(*list));
    if (message == NULL || made == NULL || list == NULL)
        return NULL;
    for (size_t i = 0; i < count; i++) {
        reprise__v1__config_change__init(&made[i]);
        made[i].name = string_of(changes[i].name);
        made[i].value = string_of(changes[i].value);
        made[i].reset = changes[i].value == NULL;
        list[i] = &made[i];
    }
    reprise__v1__set_config_request__init(message);
    message->changes = list;
    message->n_changes = count;
    message->dry_run = dry_run;
    return message;
}

struct reprise_result *reprise_set_config(struct reprise_client *client,
                                          const struct reprise_config_change *changes, size_t count,
                                          bool dry_run, const struct reprise_call *call)
{
    struct arena *arena = NULL;
    struct reprise_result *result = result_create(&arena);
    if (result == NULL)
        return result_no_memory(client);
    const Reprise__V1__SetConfigResponse *reply = result_run(
        client, CHANNEL_SET_CONFIG, request_of(changes, count, dry_run, arena), call, result);
    if (reply != NULL)
        result->config = read_options(reply->options, reply->n_options, arena);
    return result_settle(client, result, result->config);
}
