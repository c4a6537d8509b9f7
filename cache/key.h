/*
 * key.h - identity: what is asked, canonically encoded and hashed. Three parts that are never
 * mixed: scope selects the partition, compatibility must be equal for a semantic hit, the query is
 * compared by meaning. The encoding is version 1 and for ever (docs/identity.md;
 * proto/key-vectors.json has vectors for other implementations). Threads: any; pure.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/digest.h"
#include "base/status.h"
#include "base/text.h"

struct key_message {
    struct text role, content, content_json, name, tool_call_id, tool_calls_json;
};

struct key_attribute {
    struct text name, value;
};

struct key_params {
    bool temperature_given, top_p_given, max_tokens_given, seed_given;
    double temperature, top_p;
    uint32_t max_tokens;
    int64_t seed;
    uint32_t n; /* 0 and 1 are the same */
    const struct text *stop;
    size_t stop_count;
    struct text other_json;
};

struct identity { /* texts are clean UTF-8 without NUL (codec_check has seen them); all borrowed */
    struct text tenant, namespace_, model, prompt, system_prompt, embedder;
    const struct key_message *messages;
    size_t messages_count;
    struct key_params params;
    struct text tools_json, tool_choice_json, response_format_json;
    const struct key_attribute *attributes;
    size_t attributes_count;
    const struct text *context_ids;
    size_t context_ids_count;
};

struct key_limits {        /* from the options limits.* */
    uint32_t prompt_bytes; /* of the query or of any one message */
    uint32_t messages_max, attributes_max, stop_max, context_ids_max;
};
extern const struct key_limits key_limits_standard;

enum { KEY_SCOPE_MAX = 4096 };

struct key {
    struct digest scope, compatibility, exact;
    struct text namespace_; /* "default" if it was empty; in the arena or borrowed */
    struct text query;   /* canonical text of the last user message; empty: exact tier only      */
    bool canonical;      /* false: JSON without canonical form; neither tier may use this request,
                            and the digests are zero                                          */
    bool semantic;       /* comparable, temperature <= 0 and one user turn                        */
    bool comparable;     /* query present, no tools, plain text: a namespace may allow the rest   */
    int64_t temperature; /* millionths; 0 if none was given */
    uint32_t user_turns;
    struct text scope_bytes,
        compatibility_bytes, /* what key_complete hashes; in the arena, "" if not canonical */
        query_bytes;
};

/*
 * Checks names and limits, canonicalises and hashes. Everything it makes lies in the arena. On
 * failure `failure` names the field below "identity.". STATUS_BAD_NAME, EMPTY_PROMPT,
 * AMBIGUOUS_INPUT, BAD_JSON, SCOPE_TOO_LONG, LIMIT_EXCEEDED, NO_MEMORY.
 */
enum status key_make(const struct identity *identity, const struct key_limits *limits,
                     struct arena *arena, struct key *out_key, struct failure *failure);

/*
 * The same in two steps: key_make_exact leaves the digests of scope and compatibility zero, and
 * key_complete, once and while the arena lives, adds them. An exact hit needs neither, and they are
 * half of the hashing.
 */
enum status key_make_exact(const struct identity *identity, const struct key_limits *limits,
                           struct arena *arena, struct key *out_key, struct failure *failure);
void key_complete(struct key *key);

/* Of a tenant's namespace: SHA-256 of tenant, a zero byte, name. An entry bears the first half, and
 * one record drops all that do. */
struct digest key_owner(struct text tenant, struct text namespace_);

/* 1 to 64 of [A-Za-z0-9._-]. */
bool key_is_namespace(struct text name);

/* The canonical bytes: "reprise/1" scope compat query. For `reprise encode` and the tests. */
enum status key_canonical(const struct identity *identity, const struct key_limits *limits,
                          struct arena *arena, struct text *out_bytes, struct failure *failure);
