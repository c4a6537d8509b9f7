/*
 * request.c - plain structs into protocol messages. Owns nothing. Threads: any; pure.
 * Nothing is checked here but memory: what a field may hold is the server's word, given back with
 * the field's name.
 *
 * A function that makes a sub-message returns false only when memory is spent; what was not given
 * stays NULL, so that it is absent on the wire.
 */
#include "clients/c/request.h"

#include "base/check.h"

/* Makes a message of the arena and gives it its initial values. */
#define NEW_MESSAGE(arena, out_message, init)                                                      \
    ((*(out_message) = arena_alloc((arena), sizeof(**(out_message)))) != NULL &&                   \
     (init(*(out_message)), true))

/* protobuf-c's strings are not const; packing only reads them. */
static char *string_of(const char *text)
{
    return (char *)(uintptr_t)(text != NULL ? text : "");
}

static bool copy_strings(const char *const *texts, size_t count, struct arena *arena,
                         char ***out_strings)
{
    if (count == 0)
        return true;
    char **strings = arena_calloc(arena, count, sizeof(*strings));
    if (strings == NULL)
        return false;
    for (size_t i = 0; i < count; i++)
        strings[i] = string_of(texts[i]);
    *out_strings = strings;
    return true;
}

static bool copy_pairs(const struct reprise_pair *pairs, size_t count, struct arena *arena,
                       Reprise__V1__Attribute ***out_attributes)
{
    if (count == 0)
        return true;
    Reprise__V1__Attribute **attributes = arena_calloc(arena, count, sizeof(*attributes));
    if (attributes == NULL)
        return false;
    for (size_t i = 0; i < count; i++) {
        if (!NEW_MESSAGE(arena, &attributes[i], reprise__v1__attribute__init))
            return false;
        attributes[i]->name = string_of(pairs[i].name);
        attributes[i]->value = string_of(pairs[i].value);
    }
    *out_attributes = attributes;
    return true;
}

static bool make_messages(const struct reprise_identity *identity, struct arena *arena,
                          Reprise__V1__Identity *made)
{
    if (identity->messages_count == 0)
        return true;
    made->messages = arena_calloc(arena, identity->messages_count, sizeof(*made->messages));
    if (made->messages == NULL)
        return false;
    for (size_t i = 0; i < identity->messages_count; i++) {
        const struct reprise_message *from = &identity->messages[i];
        Reprise__V1__ChatMessage *message;
        if (!NEW_MESSAGE(arena, &message, reprise__v1__chat_message__init))
            return false;
        message->role = string_of(from->role);
        message->content = string_of(from->content);
        message->content_json = string_of(from->content_json);
        message->name = string_of(from->name);
        message->tool_call_id = string_of(from->tool_call_id);
        message->tool_calls_json = string_of(from->tool_calls_json);
        made->messages[i] = message;
    }
    made->n_messages = identity->messages_count;
    return true;
}

static bool params_are_given(const struct reprise_params *params)
{
    return params->temperature_given || params->top_p_given || params->max_tokens_given ||
           params->seed_given || params->n != 0 || params->stop_count > 0 ||
           params->other_json != NULL;
}

static bool make_params(const struct reprise_params *params, struct arena *arena,
                        Reprise__V1__Params **out_params)
{
    if (!params_are_given(params))
        return true;
    Reprise__V1__Params *made;
    if (!NEW_MESSAGE(arena, &made, reprise__v1__params__init))
        return false;
    if (params->temperature_given) {
        made->temperature_given_case = REPRISE__V1__PARAMS__TEMPERATURE_GIVEN_TEMPERATURE;
        made->temperature = params->temperature;
    }
    if (params->top_p_given) {
        made->top_p_given_case = REPRISE__V1__PARAMS__TOP_P_GIVEN_TOP_P;
        made->top_p = params->top_p;
    }
    if (params->max_tokens_given) {
        made->max_tokens_given_case = REPRISE__V1__PARAMS__MAX_TOKENS_GIVEN_MAX_TOKENS;
        made->max_tokens = params->max_tokens;
    }
    if (params->seed_given) {
        made->seed_given_case = REPRISE__V1__PARAMS__SEED_GIVEN_SEED;
        made->seed = params->seed;
    }
    made->n = params->n;
    made->other_json = string_of(params->other_json);
    made->n_stop = params->stop_count;
    *out_params = made;
    return copy_strings(params->stop, params->stop_count, arena, &made->stop);
}

static bool make_identity(const struct reprise_identity *identity, struct arena *arena,
                          Reprise__V1__Identity **out_identity)
{
    Reprise__V1__Identity *made;
    if (!NEW_MESSAGE(arena, &made, reprise__v1__identity__init))
        return false;
    made->namespace_ = string_of(identity->namespace_);
    made->model = string_of(identity->model);
    made->prompt = string_of(identity->prompt);
    made->system_prompt = string_of(identity->system_prompt);
    made->tools_json = string_of(identity->tools_json);
    made->tool_choice_json = string_of(identity->tool_choice_json);
    made->response_format_json = string_of(identity->response_format_json);
    made->embedder = string_of(identity->embedder);
    made->n_attributes = identity->attributes_count;
    made->n_context_ids = identity->context_ids_count;
    *out_identity = made;
    return make_messages(identity, arena, made) &&
           make_params(&identity->params, arena, &made->params) &&
           copy_pairs(identity->attributes, identity->attributes_count, arena, &made->attributes) &&
           copy_strings(identity->context_ids, identity->context_ids_count, arena,
                        &made->context_ids);
}

static bool make_vector(const struct reprise_vector *vector, struct arena *arena,
                        Reprise__V1__Vector **out_vector)
{
    if (vector->numbers == NULL)
        return true;
    Reprise__V1__Vector *made;
    if (!NEW_MESSAGE(arena, &made, reprise__v1__vector__init))
        return false;
    made->f32 = (float *)(uintptr_t)vector->numbers; /* only read */
    made->n_f32 = vector->count;
    *out_vector = made;
    return true;
}

void request_usage(const struct reprise_usage *usage, Reprise__V1__Usage *made)
{
    made->input_tokens = usage->input_tokens;
    made->output_tokens = usage->output_tokens;
    made->cache_read_tokens = usage->cache_read_tokens;
    made->cache_creation_tokens = usage->cache_creation_tokens;
    made->reasoning_tokens = usage->reasoning_tokens;
    made->latency_ms = usage->latency_ms;
    made->nano_usd = usage->nano_usd;
    made->estimated = usage->estimated;
}

static bool make_usage(const struct reprise_usage *usage, struct arena *arena,
                       Reprise__V1__Usage **out_usage)
{
    if (usage == NULL)
        return true;
    Reprise__V1__Usage *made;
    if (!NEW_MESSAGE(arena, &made, reprise__v1__usage__init))
        return false;
    request_usage(usage, made);
    *out_usage = made;
    return true;
}

static bool make_info(const struct reprise_info *info, struct arena *arena,
                      Reprise__V1__AnswerInfo **out_info)
{
    if (info == NULL)
        return true;
    Reprise__V1__AnswerInfo *made;
    if (!NEW_MESSAGE(arena, &made, reprise__v1__answer_info__init))
        return false;
    made->reasoning = string_of(info->reasoning);
    made->refusal = string_of(info->refusal);
    made->tool_calls_json = string_of(info->tool_calls_json);
    made->finish_reason = string_of(info->finish_reason);
    made->upstream_id = string_of(info->upstream_id);
    made->system_fingerprint = string_of(info->system_fingerprint);
    made->created_unix_ms = info->created_unix_ms;
    made->content_type = string_of(info->content_type);
    made->extra_choices_json = string_of(info->extra_choices_json);
    *out_info = made;
    return make_usage(info->usage, arena, &made->usage);
}

static bool copy_tiers(const struct reprise_get_request *request, struct arena *arena,
                       Reprise__V1__GetRequest *made)
{
    if (request->tiers_count == 0)
        return true;
    made->tiers = arena_calloc(arena, request->tiers_count, sizeof(*made->tiers));
    if (made->tiers == NULL)
        return false;
    for (size_t i = 0; i < request->tiers_count; i++)
        made->tiers[i] = (Reprise__V1__Tier)request->tiers[i];
    made->n_tiers = request->tiers_count;
    return true;
}

static bool copy_include(const enum reprise_include *include, size_t count, struct arena *arena,
                         Reprise__V1__Include **out_include)
{
    if (count == 0)
        return true;
    Reprise__V1__Include *made = arena_calloc(arena, count, sizeof(*made));
    if (made == NULL)
        return false;
    for (size_t i = 0; i < count; i++)
        made[i] = (Reprise__V1__Include)include[i];
    *out_include = made;
    return true;
}

/* Nothing is sent of a control in which nothing is given. */
static bool make_control(const struct reprise_cache_control *control, struct arena *arena,
                         Reprise__V1__CacheControl **out_control)
{
    Reprise__V1__CacheControl *made;
    if (!control->no_cache && !control->no_store && !control->only_if_cached && !control->bypass &&
        !control->max_age_given && control->min_fresh_ms == 0 && control->max_stale_ms == 0)
        return true;
    if (!NEW_MESSAGE(arena, &made, reprise__v1__cache_control__init))
        return false;
    made->no_cache = control->no_cache;
    made->no_store = control->no_store;
    made->only_if_cached = control->only_if_cached;
    made->bypass = control->bypass;
    if (control->max_age_given) {
        made->max_age_ms_given_case = REPRISE__V1__CACHE_CONTROL__MAX_AGE_MS_GIVEN_MAX_AGE_MS;
        made->max_age_ms = control->max_age_ms;
    }
    made->min_fresh_ms = control->min_fresh_ms;
    made->max_stale_ms = control->max_stale_ms;
    *out_control = made;
    return true;
}

static bool make_dependencies(const struct reprise_dependency *dependencies, size_t count,
                              struct arena *arena, Reprise__V1__Dependency ***out_list)
{
    Reprise__V1__Dependency **list = arena_calloc(arena, count, sizeof(Reprise__V1__Dependency *));
    if (list == NULL)
        return false;
    for (size_t i = 0; i < count; i++) {
        if (!NEW_MESSAGE(arena, &list[i], reprise__v1__dependency__init))
            return false;
        list[i]->id = string_of(dependencies[i].id);
        list[i]->version = string_of(dependencies[i].version);
    }
    *out_list = list;
    return true;
}

static void copy_life(const struct reprise_set_request *request, Reprise__V1__SetRequest *made)
{
    made->sliding = request->sliding;
    made->sliding_max_ms = request->sliding_max_ms;
    made->stale_while_revalidate_ms = request->stale_while_revalidate_ms;
    made->stale_if_error_ms = request->stale_if_error_ms;
    made->pinned = request->pinned;
    made->if_absent = request->if_absent;
    made->negative = request->negative;
}

static bool make_lease(const struct reprise_get_request *request, struct arena *arena,
                       Reprise__V1__LeaseRequest **out_lease)
{
    if (request->lease == REPRISE_LEASE_NONE)
        return true;
    Reprise__V1__LeaseRequest *made;
    if (!NEW_MESSAGE(arena, &made, reprise__v1__lease_request__init))
        return false;
    made->mode = (Reprise__V1__LeaseMode)request->lease;
    made->wait_ms = request->lease_wait_ms;
    made->hold_ms = request->lease_hold_ms;
    *out_lease = made;
    return true;
}

Reprise__V1__GetRequest *request_get(const struct reprise_get_request *request, struct arena *arena)
{
    Reprise__V1__GetRequest *made;
    if (!NEW_MESSAGE(arena, &made, reprise__v1__get_request__init))
        return NULL;
    if (request->min_similarity_given) {
        made->min_similarity_given_case =
            REPRISE__V1__GET_REQUEST__MIN_SIMILARITY_GIVEN_MIN_SIMILARITY;
        made->min_similarity = request->min_similarity;
    }
    bool made_all = make_identity(&request->identity, arena, &made->identity) &&
                    make_vector(&request->vector, arena, &made->vector) &&
                    make_control(&request->cache_control, arena, &made->cache_control) &&
                    make_lease(request, arena, &made->lease) && copy_tiers(request, arena, made) &&
                    copy_include(request->include, request->include_count, arena, &made->include);
    made->n_include = request->include_count;
    return made_all ? made : NULL;
}

Reprise__V1__SearchRequest *request_search(const struct reprise_search_request *request,
                                           struct arena *arena)
{
    Reprise__V1__SearchRequest *made;
    if (!NEW_MESSAGE(arena, &made, reprise__v1__search_request__init))
        return NULL;
    made->top_k = request->top_k;
    made->min_similarity = request->min_similarity;
    made->any_compatibility = request->any_compatibility;
    made->exhaustive = request->exhaustive;
    made->n_include = request->include_count;
    bool made_all = make_identity(&request->identity, arena, &made->identity) &&
                    make_vector(&request->vector, arena, &made->vector) &&
                    copy_include(request->include, request->include_count, arena, &made->include);
    return made_all ? made : NULL;
}

Reprise__V1__ExplainRequest *request_explain(const struct reprise_explain_request *request,
                                             struct arena *arena)
{
    Reprise__V1__ExplainRequest *made;
    if (!NEW_MESSAGE(arena, &made, reprise__v1__explain_request__init))
        return NULL;
    made->against_entry_id = string_of(request->against_entry_id);
    made->request = request_get(&request->get, arena);
    return made->request != NULL ? made : NULL;
}

Reprise__V1__SetRequest *request_set(const struct reprise_set_request *request, struct arena *arena)
{
    Reprise__V1__SetRequest *made;
    if (!NEW_MESSAGE(arena, &made, reprise__v1__set_request__init))
        return NULL;
    if (request->ttl_given) {
        made->ttl_ms_given_case = REPRISE__V1__SET_REQUEST__TTL_MS_GIVEN_TTL_MS;
        made->ttl_ms = request->ttl_ms;
    }
    copy_life(request, made);
    made->ack = (Reprise__V1__Ack)request->ack;
    made->lease_token = string_of(request->lease_token);
    made->n_tags = request->tags_count;
    made->n_metadata = request->metadata_count;
    made->content = string_of(request->content);
    made->blob.data = (uint8_t *)(uintptr_t)request->blob; /* only read */
    made->blob.len = request->blob != NULL ? request->blob_size : 0;
    made->n_depends_on = request->depends_on_count;
    bool made_all = make_identity(&request->identity, arena, &made->identity) &&
                    make_info(request->info, arena, &made->info) &&
                    make_vector(&request->vector, arena, &made->vector) &&
                    make_control(&request->cache_control, arena, &made->cache_control) &&
                    make_dependencies(request->depends_on, request->depends_on_count, arena,
                                      &made->depends_on) &&
                    copy_strings(request->tags, request->tags_count, arena, &made->tags) &&
                    copy_pairs(request->metadata, request->metadata_count, arena, &made->metadata);
    return made_all ? made : NULL;
}

Reprise__V1__BatchGetRequest *request_batch_get(const struct reprise_get_request *requests,
                                                size_t count, struct arena *arena)
{
    Reprise__V1__BatchGetRequest *made;
    if (!NEW_MESSAGE(arena, &made, reprise__v1__batch_get_request__init))
        return NULL;
    made->items = arena_calloc(arena, count, sizeof(*made->items));
    if (made->items == NULL)
        return NULL;
    made->n_items = count;
    for (size_t i = 0; i < count; i++) {
        made->items[i] = request_get(&requests[i], arena);
        if (made->items[i] == NULL)
            return NULL;
    }
    return made;
}

Reprise__V1__BatchSetRequest *request_batch_set(const struct reprise_set_request *requests,
                                                size_t count, struct arena *arena)
{
    Reprise__V1__BatchSetRequest *made;
    if (!NEW_MESSAGE(arena, &made, reprise__v1__batch_set_request__init))
        return NULL;
    made->items = arena_calloc(arena, count, sizeof(*made->items));
    if (made->items == NULL)
        return NULL;
    made->n_items = count;
    for (size_t i = 0; i < count; i++) {
        made->items[i] = request_set(&requests[i], arena);
        if (made->items[i] == NULL)
            return NULL;
    }
    return made;
}

Reprise__V1__DeleteRequest *request_delete(const struct reprise_delete_request *request,
                                           struct arena *arena)
{
    Reprise__V1__DeleteRequest *made;
    if (!NEW_MESSAGE(arena, &made, reprise__v1__delete_request__init))
        return NULL;
    made->namespace_ = string_of(request->namespace_);
    made->n_entry_ids = request->entry_ids_count;
    bool made_all =
        copy_strings(request->entry_ids, request->entry_ids_count, arena, &made->entry_ids) &&
        (request->identity == NULL || make_identity(request->identity, arena, &made->identity));
    return made_all ? made : NULL;
}

Reprise__V1__InvalidateRequest *request_invalidate(const struct reprise_invalidate_request *request,
                                                   struct arena *arena)
{
    Reprise__V1__InvalidateRequest *made;
    if (!NEW_MESSAGE(arena, &made, reprise__v1__invalidate_request__init))
        return NULL;
    if (!NEW_MESSAGE(arena, &made->selector, reprise__v1__selector__init))
        return NULL;
    made->dry_run = request->dry_run;
    made->make_stale = request->make_stale;
    made->confirm = string_of(request->confirm);
    made->selector->depends_on_id = string_of(request->depends_on_id);
    made->selector->depends_on_version_not = string_of(request->depends_on_version_not);
    made->selector->namespace_ = string_of(request->namespace_);
    made->selector->model = string_of(request->model);
    made->selector->created_before_unix_ms = request->created_before_unix_ms;
    made->selector->n_tags = request->tags_count;
    return copy_strings(request->tags, request->tags_count, arena, &made->selector->tags) ? made
                                                                                          : NULL;
}

Reprise__V1__TouchRequest *request_touch(const struct reprise_touch_request *request,
                                         struct arena *arena)
{
    Reprise__V1__TouchRequest *made;
    if (!NEW_MESSAGE(arena, &made, reprise__v1__touch_request__init))
        return NULL;
    made->namespace_ = string_of(request->namespace_);
    made->n_entry_ids = request->entry_ids_count;
    if (request->ttl_given) {
        made->ttl_ms_given_case = REPRISE__V1__TOUCH_REQUEST__TTL_MS_GIVEN_TTL_MS;
        made->ttl_ms = request->ttl_ms;
    }
    return copy_strings(request->entry_ids, request->entry_ids_count, arena, &made->entry_ids)
               ? made
               : NULL;
}

Reprise__V1__ScrollRequest *request_scroll(const struct reprise_scroll_request *request,
                                           struct arena *arena)
{
    Reprise__V1__ScrollRequest *made;
    Reprise__V1__Selector *selector;
    if (!NEW_MESSAGE(arena, &made, reprise__v1__scroll_request__init) ||
        !NEW_MESSAGE(arena, &selector, reprise__v1__selector__init))
        return NULL;
    made->selector = selector;
    made->limit = request->limit;
    made->cursor = string_of(request->cursor);
    made->answers = request->answers;
    made->vectors = request->vectors;
    selector->namespace_ = string_of(request->namespace_);
    selector->model = string_of(request->model);
    selector->n_tags = request->tags_count;
    selector->created_before_unix_ms = request->created_before_unix_ms;
    return copy_strings(request->tags, request->tags_count, arena, &selector->tags) ? made : NULL;
}

static bool make_entry(const struct reprise_stored *entry, struct arena *arena,
                       Reprise__V1__Entry **out_entry)
{
    Reprise__V1__Entry *made;
    const struct reprise_identity identity = {.namespace_ = entry->namespace_,
                                              .model = entry->model,
                                              .prompt = entry->prompt,
                                              .embedder = entry->embedder,
                                              .attributes = entry->attributes,
                                              .attributes_count = entry->attributes_count};
    if (!NEW_MESSAGE(arena, &made, reprise__v1__entry__init))
        return false;
    made->entry_id = string_of(entry->entry_id);
    made->created_unix_ms = entry->created_unix_ms;
    made->expires_unix_ms = entry->expires_unix_ms;
    made->scope_id = string_of(entry->scope_id);
    made->compat_id = string_of(entry->compat_id);
    made->space_id = string_of(entry->space_id);
    made->field_sums.data = (uint8_t *)(uintptr_t)entry->field_sums; /* only read */
    made->field_sums.len = entry->field_sums_size;
    made->content = string_of(entry->content);
    made->blob.data = (uint8_t *)(uintptr_t)entry->blob; /* only read */
    made->blob.len = entry->blob_size;
    made->n_tags = entry->tags_count;
    made->n_metadata = entry->metadata_count;
    made->n_depends_on = entry->depends_on_count;
    made->pinned = entry->pinned;
    made->negative = entry->negative;
    made->ttl_ms = entry->ttl_ms;
    made->sliding_max_ms = entry->sliding_max_ms;
    made->stale_while_revalidate_ms = entry->stale_while_revalidate_ms;
    made->stale_if_error_ms = entry->stale_if_error_ms;
    *out_entry = made;
    return make_identity(&identity, arena, &made->identity) &&
           make_vector(&entry->vector, arena, &made->vector) &&
           make_info(entry->info, arena, &made->info) &&
           copy_strings(entry->tags, entry->tags_count, arena, &made->tags) &&
           make_dependencies(entry->depends_on, entry->depends_on_count, arena,
                             &made->depends_on) &&
           copy_pairs(entry->metadata, entry->metadata_count, arena, &made->metadata);
}

Reprise__V1__ImportRequest *request_import(const struct reprise_stored *entries, size_t count,
                                           struct arena *arena)
{
    Reprise__V1__ImportRequest *made;
    if (!NEW_MESSAGE(arena, &made, reprise__v1__import_request__init))
        return NULL;
    made->entries = arena_calloc(arena, count, sizeof(*made->entries));
    if (made->entries == NULL)
        return NULL;
    for (size_t i = 0; i < count; i++) {
        if (!make_entry(&entries[i], arena, &made->entries[i]))
            return NULL;
    }
    made->n_entries = count;
    return made;
}

Reprise__V1__ReportRequest *request_report(const struct reprise_report_request *request,
                                           struct arena *arena)
{
    Reprise__V1__ReportRequest *made;
    if (!NEW_MESSAGE(arena, &made, reprise__v1__report_request__init))
        return NULL;
    made->decision_token = string_of(request->decision_token);
    made->verdict = (Reprise__V1__Verdict)request->verdict;
    made->source = (Reprise__V1__VerdictSource)request->source;
    made->reporter = string_of(request->reporter);
    made->feedback_id = string_of(request->feedback_id);
    return made;
}

Reprise__V1__BatchReportRequest *
request_batch_report(const struct reprise_report_request *requests, size_t count,
                     struct arena *arena)
{
    Reprise__V1__BatchReportRequest *made;
    if (!NEW_MESSAGE(arena, &made, reprise__v1__batch_report_request__init))
        return NULL;
    made->items = arena_calloc(arena, count + 1, sizeof(*made->items));
    if (made->items == NULL)
        return NULL;
    for (size_t i = 0; i < count; i++) {
        made->items[i] = request_report(&requests[i], arena);
        if (made->items[i] == NULL)
            return NULL;
    }
    made->n_items = count;
    return made;
}
