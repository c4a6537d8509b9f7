/*
 * codec_requests.h - requests for the codec's tests to start from, as protobuf-c's structs. They
 * live as long as the test program: each call makes the same ones anew.
 */
#pragma once
#include "codec_support.h"

/* A Get that fills every field. The messages live as long as the test: static. */
static inline Reprise__V1__GetRequest *full_get(void)
{
    static Reprise__V1__ChatMessage first, second, *messages[] = {&first, &second};
    static Reprise__V1__Attribute region, *attributes[] = {&region};
    static Reprise__V1__Params params;
    static Reprise__V1__Identity identity;
    static Reprise__V1__Vector vector;
    static Reprise__V1__GetRequest get;
    static char *stop[] = {"END", ""}, *context_ids[] = {"doc@1", "doc@2"};
    static float numbers[] = {0.5F, -0.25F, 3};
    static Reprise__V1__Tier tiers[] = {REPRISE__V1__TIER__TIER_EXACT,
                                        REPRISE__V1__TIER__TIER_SEMANTIC};
    static Reprise__V1__Include include[] = {REPRISE__V1__INCLUDE__INCLUDE_KEY,
                                             REPRISE__V1__INCLUDE__INCLUDE_CANDIDATES};
    reprise__v1__chat_message__init(&first);
    first.role = "assistant";
    first.content = "I can help.";
    first.tool_calls_json = "[{\"id\":1}]";
    reprise__v1__chat_message__init(&second);
    second.role = "user";
    second.content_json = "[{\"type\":\"text\"}]";
    second.name = "anna";
    second.tool_call_id = "call-7";
    reprise__v1__attribute__init(&region);
    region.name = "region";
    region.value = "eu";
    reprise__v1__params__init(&params);
    params.n = 2;
    params.n_stop = 2;
    params.stop = stop;
    params.other_json = "{\"top_k\":3}";
    reprise__v1__identity__init(&identity);
    identity.namespace_ = "shop";
    identity.model = "m-1";
    identity.prompt = "how?";
    identity.n_messages = 2;
    identity.messages = messages;
    identity.system_prompt = "Be brief.";
    identity.params = &params;
    identity.tools_json = "[]";
    identity.tool_choice_json = "\"auto\"";
    identity.response_format_json = "{}";
    identity.n_attributes = 1;
    identity.attributes = attributes;
    identity.n_context_ids = 2;
    identity.context_ids = context_ids;
    identity.embedder = "mine-3";
    reprise__v1__vector__init(&vector);
    vector.n_f32 = 3;
    vector.f32 = numbers;
    reprise__v1__get_request__init(&get);
    get.identity = &identity;
    get.vector = &vector;
    get.n_tiers = 2;
    get.tiers = tiers;
    get.n_include = 2;
    get.include = include;
    return &get;
}

static inline Reprise__V1__GetRequest *small_get(void)
{
    Reprise__V1__GetRequest *get = full_get();
    Reprise__V1__Identity *identity = get->identity;
    reprise__v1__get_request__init(get);
    reprise__v1__identity__init(identity);
    identity->model = "m";
    identity->prompt = "hi";
    get->identity = identity;
    return get;
}

static inline Reprise__V1__SetRequest *full_set(void)
{
    static Reprise__V1__Usage usage;
    static Reprise__V1__AnswerInfo info;
    static Reprise__V1__Attribute owner, *metadata[] = {&owner};
    static Reprise__V1__SetRequest set;
    static char *tags[] = {"faq", "v2"};
    reprise__v1__usage__init(&usage);
    usage.input_tokens = 12;
    usage.nano_usd = 150;
    reprise__v1__answer_info__init(&info);
    info.finish_reason = "stop";
    info.usage = &usage;
    info.upstream_id = "chatcmpl-1";
    reprise__v1__attribute__init(&owner);
    owner.name = "owner";
    owner.value = "team-a";
    reprise__v1__set_request__init(&set);
    set.identity = full_get()->identity;
    set.info = &info;
    set.n_tags = 2;
    set.tags = tags;
    set.n_metadata = 1;
    set.metadata = metadata;
    set.content = "Under Settings, Security.";
    return &set;
}
