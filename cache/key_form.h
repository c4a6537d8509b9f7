/*
 * key_form.h - an identity in canonical form: names and limits checked, texts in NFC, JSON in RFC
 * 8785, messages sorted into system texts, history and query. key.c turns it into bytes. Threads:
 * any; pure.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cache/key.h"

/* A field's tag and length; every field of the encoding costs this much beside its bytes. */
enum { KEY_FIELD_HEAD = 5 };

struct key_number {
    bool given;
    int64_t value;
};

struct key_form { /* all texts canonical; borrowed or in the arena */
    struct text tenant, namespace_, model, embedder;
    const struct key_attribute *attributes; /* sorted by name */
    size_t attributes_count;
    const struct text *systems; /* system_prompt, then the leading plain system messages */
    size_t systems_count;
    const struct key_message *history;
    size_t history_count;
    struct text tools_json, tool_choice_json, response_format_json;
    struct key_number temperature, top_p, max_tokens, seed, n;
    const struct text *stop;
    size_t stop_count;
    struct text other_json;
    const struct text *context_ids;
    size_t context_ids_count;
    struct text query, query_name, query_content_json;
    bool canonical; /* false: some JSON has no canonical form; the texts are not complete then */
    uint32_t user_turns;
    bool tool_talk;   /* tools are offered, called or answered              */
    size_t bytes_max; /* no encoding of this form is longer                 */
};

enum status key_form_make(const struct identity *identity, const struct key_limits *limits,
                          struct arena *arena, struct key_form *out_form, struct failure *failure);
