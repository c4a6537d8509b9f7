/*
 * local.c - texts into tokens, tokens into packs, packs through the encoder.
 *
 * A PACK is what one thread works with: ids of several texts end to end and the encoder's scratch,
 * made for the larger of embed.batch_tokens and the model's longest text (about 4 MB for MiniLM at
 * 512). The pumps of embed/batch have one each; who embeds a single text borrows one that is kept
 * for that, and it is made the first time that nobody has one to spare.
 *
 * A TEXT WITHOUT A VECTOR. No word at all; more than half of its tokens unknown (two emoji or two
 * words of Thai are one vector then); longer than the model, unless embed.truncate = head: two
 * prompts that share their first 254 tokens would be the same. A text is not read to its end for
 * that: when its first HEAD_BYTES_A_TOKEN x max_tokens bytes are too long, it is.
 *
 * THE SPACE'S ID covers "local", model, digests of weights and vocabulary, pooling, prefix,
 * max_tokens, takes_heads, special_in_text, precision, LOCAL_ARITHMETIC, ENCODER_ARITHMETIC.
 *
 * THREADS. Any. EMBED_SPARE guards the list of spare packs, nothing is called under it.
 */
#include "embed/local.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/check.h"
#include "base/lock.h"
#include "embed/embedder.h"
#include "embed/model.h"

enum { HEAD_BYTES_A_TOKEN = 64 }; /* far more than a token of real text has */

struct pack {
    struct local *local;
    struct pack *next; /* among the spare */
    struct encoder_scratch *scratch;
    uint32_t *ids;     /* room for tokens_room and one more text */
    uint32_t *lengths; /* [texts_max] */
    uint32_t texts_count, tokens_count;
};

struct local {
    struct model *model;
    struct embed_space space;
    enum encoder_precision precision;
    bool takes_heads;
    uint32_t tokens_room, texts_max; /* of a pack */

    struct lock lock;
    struct pack *spare GUARDED;
};

/* ---- packs ----------------------------------------------------------------------------------- */

static void pack_destroy(void *pack)
{
    struct pack *doomed = pack;
    if (doomed == NULL)
        return;
    encoder_scratch_destroy(&doomed->scratch);
    free(doomed->lengths);
    free(doomed->ids);
    free(doomed);
}

static enum status pack_create(void *context, void **out_pack)
{
    struct local *local = context;
    const uint32_t text_max = model_manifest(local->model)->max_tokens;
    struct pack *pack = calloc(1, sizeof(*pack));
    if (pack == NULL)
        return STATUS_NO_MEMORY;
    enum status status = STATUS_NO_MEMORY;
    pack->local = local;
    pack->ids = calloc((size_t)local->tokens_room + text_max, sizeof(*pack->ids));
    pack->lengths = calloc(local->texts_max, sizeof(*pack->lengths));
    if (pack->ids == NULL || pack->lengths == NULL)
        goto destroy_pack;
    status =
        encoder_scratch_create(model_encoder(local->model), local->tokens_room, &pack->scratch);
    if (status != STATUS_OK)
        goto destroy_pack;
    *out_pack = pack;
    return STATUS_OK;

destroy_pack:
    pack_destroy(pack);
    return status;
}

static enum status borrow(struct local *local, struct pack **out_pack)
{
    lock_acquire(&local->lock);
    struct pack *pack = local->spare;
    if (pack != NULL)
        local->spare = pack->next;
    lock_release(&local->lock);
    if (pack != NULL) {
        *out_pack = pack;
        return STATUS_OK;
    }
    void *made = NULL;
    const enum status status = pack_create(local, &made);
    if (status == STATUS_OK)
        *out_pack = made;
    return status;
}

static void give_back(struct local *local, struct pack *pack)
{
    lock_acquire(&local->lock);
    pack->next = local->spare;
    local->spare = pack;
    lock_release(&local->lock);
}

/* ---- create and destroy ---------------------------------------------------------------------- */

static void make_space(struct local *local, const struct local_settings *settings)
{
    const struct manifest *manifest = model_manifest(local->model);
    struct space_name name;
    space_begin(&name);
    space_add_text(&name, TEXT("local"));
    space_add_text(&name, text_of(manifest->model));
    space_add_digest(&name, &manifest->weights.sha256);
    space_add_digest(&name, tokenizer_vocabulary_digest(model_tokenizer(local->model)));
    space_add_number(&name, manifest->pooling == ENCODER_POOL_MEAN ? 0 : 1);
    space_add_text(&name, text_of(manifest->prefix));
    space_add_number(&name, manifest->max_tokens);
    space_add_number(&name, settings->takes_heads);
    space_add_number(&name, settings->special_in_text);
    space_add_number(&name, settings->precision == ENCODER_FP32 ? 0 : 1);
    space_add_number(&name, LOCAL_ARITHMETIC);
    space_add_number(&name, ENCODER_ARITHMETIC);
    local->space = (struct embed_space){
        .id = space_end(&name),
        .dimension = encoder_dimension(model_encoder(local->model)),
        .threshold_default = manifest->threshold_default,
        .min_similarity = manifest->min_similarity,
    };
    char hex[DIGEST_HEX + 1];
    digest_to_hex(&manifest->weights.sha256, hex);
    space_write(local->space.name, sizeof(local->space.name), text_of(manifest->model));
    (void)snprintf(local->space.version, sizeof(local->space.version), "%s-%.8s",
                   local_precision(local), hex);
}

enum status local_create(const struct local_settings *settings, struct local **out_local,
                         struct failure *failure)
{
    assert(settings->batch_max > 0);
    assert(settings->batch_tokens <= ENCODER_TOKENS_MAX);
    struct local *local = calloc(1, sizeof(*local));
    if (local == NULL)
        return failure_set(failure, STATUS_NO_MEMORY, "", "no memory for an embedder");
    lock_init(&local->lock, LOCK_RANK_EMBED_SPARE);
    const struct model_settings model_settings = {
        .folder = settings->folder,
        .verifies_once = settings->verifies_once,
        .special_in_text = settings->special_in_text,
        .precision = settings->precision,
    };
    const enum status status = model_open(&model_settings, &local->model, failure);
    if (status != STATUS_OK)
        goto destroy_local;
    const uint32_t text_max = model_manifest(local->model)->max_tokens;
    local->precision = settings->precision;
    local->takes_heads = settings->takes_heads;
    local->texts_max = settings->batch_max;
    local->tokens_room = settings->batch_tokens > text_max ? settings->batch_tokens : text_max;
    make_space(local, settings);
    *out_local = local;
    return STATUS_OK;

destroy_local:
    local_destroy(&local);
    return status;
}

UNSHARED void local_destroy(struct local **local)
{
    struct local *doomed = *local;
    if (doomed == NULL)
        return;
    *local = NULL;
    while (doomed->spare != NULL) {
        struct pack *pack = doomed->spare;
        doomed->spare = pack->next;
        pack_destroy(pack);
    }
    model_close(&doomed->model);
    lock_deinit(&doomed->lock);
    free(doomed);
}

enum encoder_precision local_precision_here(void)
{
    return encoder_kernels() == &encoder_kernels_scalar ? ENCODER_FP32 : ENCODER_INT8;
}

const struct embed_space *local_space(const struct local *local)
{
    return &local->space;
}

const char *local_precision(const struct local *local)
{
    return local->precision == ENCODER_FP32 ? "fp32" : "int8";
}

const char *local_isa(const struct local *local)
{
    return encoder_isa(model_encoder(local->model));
}

/* ---- texts into tokens ----------------------------------------------------------------------- */

/* The beginning of a very long text, up to a whole code point. */
static struct text head_of(struct text text, size_t max_tokens)
{
    size_t length = max_tokens * HEAD_BYTES_A_TOKEN;
    if (text.length <= length)
        return text;
    while (length > 0 && ((unsigned char)text.bytes[length] & 0xC0) == 0x80)
        length--;
    return (struct text){text.bytes, length};
}

static enum status encode(const struct local *local, struct text text, uint32_t *out_ids,
                          struct tokenizer_result *out_result)
{
    const struct tokenizer *tokenizer = model_tokenizer(local->model);
    const uint32_t max_tokens = model_manifest(local->model)->max_tokens;
    const struct text head = head_of(text, max_tokens);
    enum status status = tokenizer_encode(tokenizer, head, out_ids, max_tokens, out_result);
    if (status == STATUS_OK && head.length < text.length && !out_result->is_too_long)
        status = tokenizer_encode(tokenizer, text, out_ids, max_tokens, out_result);
    return status;
}

/* Whether these tokens are worth a vector. */
static enum status judge(const struct local *local, const struct tokenizer_result *result)
{
    assert(result->total >= 2); /* [CLS] and [SEP] */
    const size_t words = result->total - 2;
    if (words == 0 || 2 * result->unknown > words)
        return STATUS_NOT_FOUND;
    if (result->is_too_long && !local->takes_heads)
        return STATUS_TEXT_TOO_LONG;
    return STATUS_OK;
}

/* [CLS] text [SEP] becomes [CLS] prefix text [SEP]; the text was written behind the gap. */
static void put_prefix(const struct model *model, uint32_t *ids)
{
    uint32_t count = 0;
    const uint32_t *prefix = model_prefix(model, &count);
    ids[0] = ids[count];
    memcpy(ids + 1, prefix, count * sizeof(*ids));
}

static enum status pack_add(void *context, struct text text, uint32_t room,
                            struct batch_added *out_added)
{
    struct pack *pack = context;
    const struct local *local = pack->local;
    assert(pack->texts_count < local->texts_max);
    assert(pack->tokens_count <= local->tokens_room);
    uint32_t *ids = pack->ids + pack->tokens_count, prefix_count = 0;
    (void)model_prefix(local->model, &prefix_count);
    struct tokenizer_result result;
    enum status status = encode(local, text, ids + prefix_count, &result);
    if (status == STATUS_OK) {
        out_added->unknown = (uint32_t)result.unknown;
        status = judge(local, &result);
    }
    if (status != STATUS_OK)
        return status;
    const uint32_t tokens = (uint32_t)result.written + prefix_count;
    if (tokens > room || tokens > local->tokens_room - pack->tokens_count)
        return STATUS_LIMIT_EXCEEDED;
    put_prefix(local->model, ids);
    pack->lengths[pack->texts_count++] = tokens;
    pack->tokens_count += tokens;
    out_added->tokens = tokens;
    return STATUS_OK;
}

enum status local_tokens(const struct local *local, struct text text, struct arena *arena,
                         struct embedder_tokens *out_tokens)
{
    const uint32_t max_tokens = model_manifest(local->model)->max_tokens;
    uint32_t prefix_count = 0;
    (void)model_prefix(local->model, &prefix_count);
    const size_t room = (size_t)max_tokens + prefix_count;
    uint32_t *ids = arena_calloc(arena, room, sizeof(*ids));
    struct text *pieces = arena_calloc(arena, room, sizeof(*pieces));
    if (ids == NULL || pieces == NULL)
        return STATUS_NO_MEMORY;
    struct tokenizer_result result;
    const enum status status = encode(local, text, ids + prefix_count, &result);
    if (status != STATUS_OK)
        return status;
    put_prefix(local->model, ids);
    const size_t count = result.written + prefix_count;
    for (size_t i = 0; i < count; i++)
        pieces[i] = tokenizer_piece(model_tokenizer(local->model), ids[i]);
    *out_tokens = (struct embedder_tokens){.ids = ids,
                                           .pieces = pieces,
                                           .count = count,
                                           .unknown = result.unknown,
                                           .is_head = result.is_too_long};
    return STATUS_OK;
}

/* ---- tokens into vectors --------------------------------------------------------------------- */

static enum status pack_run(void *context, float *out_units)
{
    struct pack *pack = context;
    assert(pack->texts_count > 0);
    const enum status status = encoder_run(model_encoder(pack->local->model), pack->scratch,
                                           pack->ids, pack->lengths, pack->texts_count, out_units);
    assert(status != STATUS_LIMIT_EXCEEDED);
    pack->texts_count = pack->tokens_count = 0;
    return status;
}

enum status local_embed(struct local *local, struct text text, float *out_unit)
{
    struct pack *pack = NULL;
    enum status status = borrow(local, &pack);
    if (status != STATUS_OK)
        return status;
    struct batch_added added = {.tokens = 0};
    status = pack_add(pack, text, UINT32_MAX, &added);
    if (status == STATUS_OK)
        status = pack_run(pack, out_unit);
    give_back(local, pack);
    return status;
}

void local_engine(struct local *local, struct batch_engine *out_engine)
{
    *out_engine = (struct batch_engine){
        .context = local,
        .dimension = local->space.dimension,
        .tokens_max = model_manifest(local->model)->max_tokens,
        .pack_create = pack_create,
        .pack_destroy = pack_destroy,
        .add = pack_add,
        .run = pack_run,
    };
}
