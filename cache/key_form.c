/*
 * key_form.c - what a request asks, before it becomes bytes: one place that knows which field may
 * hold what. A refusal names the field below "identity." as the proto spells it. Nothing here
 * hashes. Owns nothing. Threads: any; what it makes lies in the arena, texts that were canonical
 * stay borrowed.
 */
#include "cache/key_form.h"

#include <math.h>
#include <stdio.h>

#include "base/check.h"
#include "cache/json.h"

enum {
    NAMESPACE_BYTES_MAX = 64,
    MODEL_BYTES_MAX = 256,
    EMBEDDER_BYTES_MAX = 64,
    ITEM_BYTES_MAX = 1024, /* one stop word or context id */
    ATTRIBUTE_NAME_MAX = 64,
    ATTRIBUTE_VALUE_MAX = 1024,
    OVERHEAD_BYTES = 512, /* the mark and the heads of all fields that occur once */
    MESSAGE_HEADS = 7 * KEY_FIELD_HEAD,
};

const struct key_limits key_limits_standard = {
    .prompt_bytes = 256 * 1024,
    .messages_max = 1024,
    .attributes_max = 16,
    .stop_max = 16,
    .context_ids_max = 64,
};

struct maker {
    const struct identity *identity;
    const struct key_limits *limits;
    struct arena *arena;
    struct key_form *form;
    struct failure *failure;
};

/* "messages[3].content"; index < 0: the name alone; part may be "". */
static void field_name(char out_field[FAILURE_FIELD_MAX], const char *list, long index,
                       const char *part)
{
    if (index < 0)
        (void)snprintf(out_field, FAILURE_FIELD_MAX, "%s", list);
    else
        (void)snprintf(out_field, FAILURE_FIELD_MAX, "%s[%ld]%s%s", list, index,
                       part[0] != '\0' ? "." : "", part);
}

static enum status no_memory(struct maker *maker, const char *field)
{
    return failure_set(maker->failure, STATUS_NO_MEMORY, field, "%s",
                       status_text(STATUS_NO_MEMORY));
}

static enum status check_size(struct maker *maker, size_t size_bytes, const char *field)
{
    if (size_bytes <= maker->limits->prompt_bytes)
        return STATUS_OK;
    return failure_set(maker->failure, STATUS_LIMIT_EXCEEDED, field,
                       "at most limits.prompt = %u bytes", maker->limits->prompt_bytes);
}

static enum status take_text(struct maker *maker, struct text text, const char *field,
                             struct text *out_text)
{
    enum status status = check_size(maker, text.length, field);
    if (status != STATUS_OK)
        return status;
    if (text_canonical(text, maker->arena, out_text) != STATUS_OK)
        return no_memory(maker, field);
    maker->form->bytes_max += KEY_FIELD_HEAD + out_text->length;
    return STATUS_OK;
}

static enum status take_texts(struct maker *maker, const struct text *texts, size_t count,
                              const char *list, const struct text **out_texts)
{
    if (count == 0)
        return STATUS_OK;
    struct text *made = arena_calloc(maker->arena, count, sizeof(*made));
    if (made == NULL)
        return no_memory(maker, list);
    for (size_t i = 0; i < count; i++) {
        char field[FAILURE_FIELD_MAX];
        field_name(field, list, (long)i, "");
        if (texts[i].length > ITEM_BYTES_MAX)
            return failure_set(maker->failure, STATUS_LIMIT_EXCEEDED, field, "at most %d bytes",
                               ITEM_BYTES_MAX);
        enum status status = take_text(maker, texts[i], field, &made[i]);
        if (status != STATUS_OK)
            return status;
    }
    *out_texts = made;
    return STATUS_OK;
}

static enum status take_json(struct maker *maker, struct text json, const char *field,
                             struct text *out_json)
{
    if (json.length == 0)
        return STATUS_OK;
    bool has_form = false;
    enum status status = check_size(maker, json.length, field);
    if (status != STATUS_OK)
        return status;
    status = json_canonical(json, maker->arena, out_json, &has_form);
    if (status == STATUS_NO_MEMORY)
        return no_memory(maker, field);
    if (status != STATUS_OK)
        return failure_set(maker->failure, status, field,
                           "not JSON, or nested more than %d levels deep", JSON_DEPTH_MAX);
    assert(has_form || out_json->length == 0);
    maker->form->canonical &= has_form;
    maker->form->bytes_max += KEY_FIELD_HEAD + out_json->length;
    return STATUS_OK;
}

/* ---- scope ----------------------------------------------------------------------------------- */

bool key_is_namespace(struct text name)
{
    if (name.length == 0 || name.length > NAMESPACE_BYTES_MAX)
        return false;
    for (size_t i = 0; i < name.length; i++) {
        const char c = name.bytes[i];
        const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        if (!letter && !(c >= '0' && c <= '9') && c != '.' && c != '_' && c != '-')
            return false;
    }
    return true;
}

static struct text or_default(struct text name)
{
    return name.length > 0 ? name : TEXT("default");
}

static enum status take_names(struct maker *maker)
{
    const struct identity *identity = maker->identity;
    struct key_form *form = maker->form;
    form->tenant = or_default(identity->tenant);
    form->namespace_ = or_default(identity->namespace_);
    if (!key_is_namespace(form->namespace_))
        return failure_set(maker->failure, STATUS_BAD_NAME, "namespace",
                           "1 to %d of the characters A-Z a-z 0-9 . _ -", NAMESPACE_BYTES_MAX);
    if (identity->model.length == 0 || identity->model.length > MODEL_BYTES_MAX)
        return failure_set(maker->failure, STATUS_BAD_NAME, "model", "required, at most %d bytes",
                           MODEL_BYTES_MAX);
    if (identity->embedder.length > EMBEDDER_BYTES_MAX)
        return failure_set(maker->failure, STATUS_BAD_NAME, "embedder", "at most %d bytes",
                           EMBEDDER_BYTES_MAX);
    form->bytes_max += form->namespace_.length;
    enum status status = take_text(maker, form->tenant, "tenant", &form->tenant);
    if (status == STATUS_OK)
        status = take_text(maker, identity->model, "model", &form->model);
    if (status == STATUS_OK)
        status = take_text(maker, identity->embedder, "embedder", &form->embedder);
    return status;
}

static int text_order(struct text a, struct text b)
{
    const size_t common = a.length < b.length ? a.length : b.length;
    const int order = common > 0 ? memcmp(a.bytes, b.bytes, common) : 0;
    return order != 0 ? order : (a.length > b.length) - (a.length < b.length);
}

static enum status take_attribute(struct maker *maker, size_t i, struct key_attribute *out_made)
{
    char field[FAILURE_FIELD_MAX];
    const struct key_attribute *given = &maker->identity->attributes[i];
    field_name(field, "attributes", (long)i, "name");
    if (given->name.length == 0 || given->name.length > ATTRIBUTE_NAME_MAX)
        return failure_set(maker->failure, STATUS_BAD_NAME, field, "1 to %d bytes",
                           ATTRIBUTE_NAME_MAX);
    enum status status = take_text(maker, given->name, field, &out_made->name);
    if (status != STATUS_OK)
        return status;
    field_name(field, "attributes", (long)i, "value");
    if (given->value.length > ATTRIBUTE_VALUE_MAX)
        return failure_set(maker->failure, STATUS_LIMIT_EXCEEDED, field, "at most %d bytes",
                           ATTRIBUTE_VALUE_MAX);
    maker->form->bytes_max += KEY_FIELD_HEAD;
    return take_text(maker, given->value, field, &out_made->value);
}

/* Insertion sort: there are at most a few. Names are compared as canonical bytes. */
static enum status take_attributes(struct maker *maker)
{
    const size_t count = maker->identity->attributes_count;
    if (count > maker->limits->attributes_max)
        return failure_set(maker->failure, STATUS_LIMIT_EXCEEDED, "attributes", "at most %u",
                           maker->limits->attributes_max);
    if (count == 0)
        return STATUS_OK;
    struct key_attribute *sorted = arena_calloc(maker->arena, count, sizeof(*sorted));
    if (sorted == NULL)
        return no_memory(maker, "attributes");
    for (size_t i = 0; i < count; i++) {
        struct key_attribute made;
        enum status status = take_attribute(maker, i, &made);
        if (status != STATUS_OK)
            return status;
        size_t at = i;
        for (; at > 0 && text_order(sorted[at - 1].name, made.name) >= 0; at--) {
            if (text_equal(sorted[at - 1].name, made.name)) {
                char field[FAILURE_FIELD_MAX];
                field_name(field, "attributes", (long)i, "name");
                return failure_set(maker->failure, STATUS_BAD_NAME, field, "a repeated name");
            }
            sorted[at] = sorted[at - 1];
        }
        sorted[at] = made;
    }
    assert(maker->form->attributes_count == 0);
    maker->form->attributes = sorted;
    maker->form->attributes_count = count;
    return STATUS_OK;
}

/* ---- messages -------------------------------------------------------------------------------- */

static bool is_role(struct text role)
{
    static const char *const roles[] = {"user", "assistant", "system", "tool", "developer"};
    for (size_t i = 0; i < sizeof(roles) / sizeof(roles[0]); i++) {
        if (text_equal(role, text_of(roles[i])))
            return true;
    }
    return false;
}

/* One that says nothing but its text. Only such messages join system_prompt: whatever else a
 * message carries must not be lost. */
static bool is_plain_system(const struct key_message *message)
{
    return (text_equal(message->role, TEXT("system")) ||
            text_equal(message->role, TEXT("developer"))) &&
           message->content_json.length == 0 && message->name.length == 0 &&
           message->tool_call_id.length == 0 && message->tool_calls_json.length == 0;
}

static bool is_query(const struct key_message *message)
{
    return text_equal(message->role, TEXT("user")) && message->tool_call_id.length == 0 &&
           message->tool_calls_json.length == 0;
}

static enum status check_message(struct maker *maker, const struct key_message *message, long i)
{
    char field[FAILURE_FIELD_MAX];
    field_name(field, "messages", i, "role");
    if (!is_role(message->role))
        return failure_set(maker->failure, STATUS_BAD_NAME, field,
                           "one of system, developer, user, assistant, tool");
    field_name(field, "messages", i, "content_json");
    if (message->content.length > 0 && message->content_json.length > 0)
        return failure_set(maker->failure, STATUS_AMBIGUOUS_INPUT, field,
                           "content or content_json, not both");
    enum status status = check_size(maker, message->content_json.length, field);
    field_name(field, "messages", i, "content");
    return status == STATUS_OK ? check_size(maker, message->content.length, field) : status;
}

static enum status take_message(struct maker *maker, const struct key_message *given, long i,
                                struct key_message *out_made)
{
    char field[FAILURE_FIELD_MAX];
    maker->form->bytes_max += MESSAGE_HEADS;
    *out_made = (struct key_message){0};
    field_name(field, "messages", i, "content");
    enum status status = take_text(maker, given->role, field, &out_made->role);
    if (status == STATUS_OK)
        status = take_text(maker, given->content, field, &out_made->content);
    if (status == STATUS_OK)
        status = take_text(maker, given->name, field, &out_made->name);
    if (status == STATUS_OK)
        status = take_text(maker, given->tool_call_id, field, &out_made->tool_call_id);
    field_name(field, "messages", i, "content_json");
    if (status == STATUS_OK)
        status = take_json(maker, given->content_json, field, &out_made->content_json);
    field_name(field, "messages", i, "tool_calls_json");
    if (status == STATUS_OK)
        status = take_json(maker, given->tool_calls_json, field, &out_made->tool_calls_json);
    return status;
}

/* The texts of list 1: system_prompt, then `leading` messages. */
static enum status take_systems(struct maker *maker, size_t leading)
{
    const struct identity *identity = maker->identity;
    const size_t count = (identity->system_prompt.length > 0 ? 1 : 0) + leading;
    if (count == 0)
        return STATUS_OK;
    struct text *systems = arena_calloc(maker->arena, count, sizeof(*systems));
    if (systems == NULL)
        return no_memory(maker, "system_prompt");
    size_t used = 0;
    enum status status = STATUS_OK;
    if (identity->system_prompt.length > 0)
        status = take_text(maker, identity->system_prompt, "system_prompt", &systems[used++]);
    for (size_t i = 0; i < leading && status == STATUS_OK; i++)
        status = take_text(maker, identity->messages[i].content, "messages", &systems[used++]);
    assert(used == count || status != STATUS_OK);
    maker->form->systems = systems;
    maker->form->systems_count = count;
    return status;
}

static enum status take_history(struct maker *maker, size_t from, size_t to)
{
    assert(from <= to);
    assert(to <= maker->identity->messages_count);
    if (from == to)
        return STATUS_OK;
    struct key_message *history = arena_calloc(maker->arena, to - from, sizeof(*history));
    if (history == NULL)
        return no_memory(maker, "messages");
    for (size_t i = from; i < to; i++) {
        enum status status =
            take_message(maker, &maker->identity->messages[i], (long)i, &history[i - from]);
        if (status != STATUS_OK)
            return status;
    }
    maker->form->history = history;
    maker->form->history_count = to - from;
    return STATUS_OK;
}

static enum status take_query(struct maker *maker, size_t last)
{
    char field[FAILURE_FIELD_MAX];
    assert(last + 1 == maker->identity->messages_count);
    const struct key_message *given = &maker->identity->messages[last];
    field_name(field, "messages", (long)last, "content");
    if (given->content.length == 0 && given->content_json.length == 0)
        return failure_set(maker->failure, STATUS_EMPTY_PROMPT, field,
                           "the last user message is empty");
    struct key_message made;
    enum status status = take_message(maker, given, (long)last, &made);
    if (status != STATUS_OK)
        return status;
    maker->form->query = made.content;
    maker->form->query_name = made.name;
    maker->form->query_content_json = made.content_json;
    return STATUS_OK;
}

static enum status take_messages(struct maker *maker)
{
    const struct identity *identity = maker->identity;
    const size_t count = identity->messages_count;
    if (count > maker->limits->messages_max)
        return failure_set(maker->failure, STATUS_LIMIT_EXCEEDED, "messages", "at most %u",
                           maker->limits->messages_max);
    size_t leading = 0;
    for (size_t i = 0; i < count; i++) {
        const struct key_message *message = &identity->messages[i];
        enum status status = check_message(maker, message, (long)i);
        if (status != STATUS_OK)
            return status;
        if (leading == i && is_plain_system(message))
            leading++;
        maker->form->user_turns += text_equal(message->role, TEXT("user"));
        maker->form->tool_talk |= text_equal(message->role, TEXT("tool")) ||
                                  message->tool_call_id.length > 0 ||
                                  message->tool_calls_json.length > 0;
    }
    assert(leading <= count);
    const bool has_query = leading < count && is_query(&identity->messages[count - 1]);
    enum status status = take_systems(maker, leading);
    if (status == STATUS_OK)
        status = take_history(maker, leading, has_query ? count - 1 : count);
    if (status == STATUS_OK && has_query)
        status = take_query(maker, count - 1);
    return status;
}

static enum status take_prompt(struct maker *maker)
{
    maker->form->user_turns = 1;
    enum status status = check_size(maker, maker->identity->prompt.length, "prompt");
    if (status == STATUS_OK)
        status = take_systems(maker, 0);
    if (status == STATUS_OK)
        status = take_text(maker, maker->identity->prompt, "prompt", &maker->form->query);
    return status;
}

static enum status take_conversation(struct maker *maker)
{
    const struct identity *identity = maker->identity;
    if (identity->prompt.length > 0 && identity->messages_count > 0)
        return failure_set(maker->failure, STATUS_AMBIGUOUS_INPUT, "prompt",
                           "prompt or messages, not both");
    if (identity->prompt.length == 0 && identity->messages_count == 0)
        return failure_set(maker->failure, STATUS_EMPTY_PROMPT, "prompt", "%s",
                           status_text(STATUS_EMPTY_PROMPT));
    enum status status = check_size(maker, identity->system_prompt.length, "system_prompt");
    if (status != STATUS_OK)
        return status;
    return identity->messages_count > 0 ? take_messages(maker) : take_prompt(maker);
}

/* ---- parameters and the rest ----------------------------------------------------------------- */

/* Millionths, so that a client's float 0.7f and double 0.7 are the same request. */
static enum status take_millionths(struct maker *maker, bool given, double value, const char *field,
                                   struct key_number *out_number)
{
    if (!given)
        return STATUS_OK;
    if (!(value >= 0 && value <= 10))
        return failure_set(maker->failure, STATUS_LIMIT_EXCEEDED, field, "a number from 0 to 10");
    *out_number = (struct key_number){true, (int64_t)floor(value * 1e6 + 0.5)};
    return STATUS_OK;
}

static enum status take_params(struct maker *maker)
{
    const struct key_params *params = &maker->identity->params;
    struct key_form *form = maker->form;
    form->max_tokens = (struct key_number){params->max_tokens_given, params->max_tokens};
    form->seed = (struct key_number){params->seed_given, params->seed};
    form->n = (struct key_number){params->n > 1, params->n};
    if (params->stop_count > maker->limits->stop_max)
        return failure_set(maker->failure, STATUS_LIMIT_EXCEEDED, "params.stop", "at most %u",
                           maker->limits->stop_max);
    enum status status = take_millionths(maker, params->temperature_given, params->temperature,
                                         "params.temperature", &form->temperature);
    if (status == STATUS_OK)
        status = take_millionths(maker, params->top_p_given, params->top_p, "params.top_p",
                                 &form->top_p);
    form->stop_count = params->stop_count;
    if (status == STATUS_OK)
        status = take_texts(maker, params->stop, params->stop_count, "params.stop", &form->stop);
    if (status == STATUS_OK)
        status = take_json(maker, params->other_json, "params.other_json", &form->other_json);
    if (status == STATUS_OK && form->other_json.length > 0 && form->other_json.bytes[0] != '{')
        status =
            failure_set(maker->failure, STATUS_BAD_JSON, "params.other_json", "one JSON object");
    return status;
}

static enum status take_rest(struct maker *maker)
{
    const struct identity *identity = maker->identity;
    struct key_form *form = maker->form;
    if (identity->context_ids_count > maker->limits->context_ids_max)
        return failure_set(maker->failure, STATUS_LIMIT_EXCEEDED, "context_ids", "at most %u",
                           maker->limits->context_ids_max);
    form->tool_talk |= identity->tools_json.length > 0;
    form->context_ids_count = identity->context_ids_count;
    enum status status = take_json(maker, identity->tools_json, "tools_json", &form->tools_json);
    if (status == STATUS_OK)
        status = take_json(maker, identity->tool_choice_json, "tool_choice_json",
                           &form->tool_choice_json);
    if (status == STATUS_OK)
        status = take_json(maker, identity->response_format_json, "response_format_json",
                           &form->response_format_json);
    if (status == STATUS_OK)
        status = take_texts(maker, identity->context_ids, identity->context_ids_count,
                            "context_ids", &form->context_ids);
    return status;
}

enum status key_form_make(const struct identity *identity, const struct key_limits *limits,
                          struct arena *arena, struct key_form *out_form, struct failure *failure)
{
    assert(identity != NULL);
    assert(limits != NULL);
    assert(arena != NULL);
    assert(out_form != NULL);
    *out_form = (struct key_form){.canonical = true, .bytes_max = OVERHEAD_BYTES};
    struct maker maker = {identity, limits, arena, out_form, failure};
    enum status status = take_names(&maker);
    if (status == STATUS_OK)
        status = take_attributes(&maker);
    if (status == STATUS_OK)
        status = take_conversation(&maker);
    if (status == STATUS_OK)
        status = take_params(&maker);
    if (status == STATUS_OK)
        status = take_rest(&maker);
    if (status == STATUS_OK && out_form->bytes_max > INT32_MAX)
        status = failure_set(failure, STATUS_LIMIT_EXCEEDED, "", "the identity is over 2 GiB");
    return status;
}
