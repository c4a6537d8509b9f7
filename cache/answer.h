/*
 * answer.h - what an entry carries beside prompt and answer: whose it is, its tags, the packed
 * AnswerInfo, metadata. cache/'s own encoding of the block that storage/ keeps without looking
 * inside. Threads: any; pure.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/status.h"
#include "base/text.h"
#include "cache/freshness.h"
#include "cache/key.h"

struct answer_parts {
    struct text tenant, namespace_, model;
    const struct text *tags;
    size_t tags_count;
    const struct key_attribute *depends_on; /* id and version */
    size_t depends_on_count;
    const struct key_attribute *metadata;
    size_t metadata_count;
    struct text info;   /* packed AnswerInfo, opaque here */
    bool has_fields;    /* `fields` is known, be it empty              */
    struct text fields; /* sums of the identity's parts; cache/fields.h */
    bool opaque;        /* the answer is a blob           */
    struct freshness freshness;
};

/* In the arena. STATUS_NO_MEMORY. Lengths are within the limits of a Set (fill.c has checked). */
enum status answer_pack(const struct answer_parts *parts, struct arena *arena,
                        struct text *out_block);

struct answer_view { /* all borrowed from the block */
    struct text tenant, namespace_, model;
    struct text tags;       /* packed; read with answer_next_tag            */
    struct text metadata;   /* packed; read with answer_next_attribute      */
    struct text depends_on; /* the same */
    struct text info;
    bool has_fields; /* not of what older versions stored */
    struct text fields;
    bool opaque;
    struct freshness freshness;
};

/* Whether a block that comes from a disk is one of ours, to the last of its tags and attributes. */
bool answer_is_whole(struct text block);

/* The block is one of ours (asserted: it has never left memory, or answer_is_whole). */
void answer_view_read(struct text block, struct answer_view *out_view);

/* Takes the first one off *packed; false when none is left. */
bool answer_next_tag(struct text *packed, struct text *out_tag);
bool answer_next_attribute(struct text *packed, struct key_attribute *out_attribute);
