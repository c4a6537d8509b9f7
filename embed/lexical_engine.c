/*
 * lexical_engine.c - a pack of lexical vectors. A text is embedded when it is added, for that costs
 * a few microseconds; the run only hands out. A text counts as one token.
 * Owns an arena and the vectors of a pack. Threads: a pack is one thread's at a time.
 */
#include "embed/lexical_engine.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "embed/lexical.h"

struct lexical_pack {
    struct arena *arena;
    uint32_t count, texts_max;
    float *units; /* [texts_max][LEXICAL_DIMENSION] */
};

static void pack_destroy(void *pack)
{
    struct lexical_pack *doomed = pack;
    if (doomed == NULL)
        return;
    arena_destroy(&doomed->arena);
    free(doomed->units);
    free(doomed);
}

static enum status pack_create(void *context, void **out_pack)
{
    const uint32_t texts_max = (uint32_t)(uintptr_t)context;
    struct lexical_pack *pack = calloc(1, sizeof(*pack));
    if (pack == NULL)
        return STATUS_NO_MEMORY;
    enum status status = STATUS_NO_MEMORY;
    pack->texts_max = texts_max;
    pack->units = calloc(texts_max, LEXICAL_DIMENSION * sizeof(*pack->units));
    if (pack->units == NULL)
        goto destroy_pack;
    status = arena_create(&pack->arena);
    if (status != STATUS_OK)
        goto destroy_pack;
    *out_pack = pack;
    return STATUS_OK;

destroy_pack:
    pack_destroy(pack);
    return status;
}

static enum status pack_add(void *context, struct text text, uint32_t room,
                            struct batch_added *out_added)
{
    struct lexical_pack *pack = context;
    assert(pack->count < pack->texts_max);
    if (room == 0)
        return STATUS_LIMIT_EXCEEDED;
    const enum status status =
        lexical_embed(text, pack->arena, pack->units + (size_t)pack->count * LEXICAL_DIMENSION);
    arena_reset(pack->arena);
    if (status != STATUS_OK)
        return status;
    pack->count++;
    out_added->tokens = 1;
    return STATUS_OK;
}

static enum status pack_run(void *context, float *out_units)
{
    struct lexical_pack *pack = context;
    assert(pack->count > 0);
    memcpy(out_units, pack->units, pack->count * LEXICAL_DIMENSION * sizeof(*out_units));
    pack->count = 0;
    return STATUS_OK;
}

void lexical_engine(uint32_t texts_max, struct batch_engine *out_engine)
{
    *out_engine = (struct batch_engine){
        .context = (void *)(uintptr_t)texts_max,
        .dimension = LEXICAL_DIMENSION,
        .tokens_max = 1,
        .pack_create = pack_create,
        .pack_destroy = pack_destroy,
        .add = pack_add,
        .run = pack_run,
    };
}
