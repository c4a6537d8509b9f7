/*
 * embedder.c - the table of providers, and what names a space. Owns one small object an embedder.
 * Threads: any may embed at once; what create has written never changes.
 *
 * A SPACE'S ID is the first 8 bytes (little-endian) of SHA-256 over provider, model, version,
 * dimension and revision of the arithmetic, in this order, each behind its length as u32; numbers
 * are u32; all little-endian. 0 stands for "no space" elsewhere, so an id of 0 becomes 1.
 */
#include "embed/embedder.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/digest.h"
#include "embed/lexical.h"

/* clang-format off */
const struct option_row embed_option_rows[] = {
    {"embed.provider", OPTION_CHOICE, "lexical", NULL, NULL, "lexical|none", "provider",
     "Who turns prompts into vectors: lexical needs no weights; none leaves it to the clients."},
};
/* clang-format on */
const size_t embed_option_rows_count = sizeof(embed_option_rows) / sizeof(embed_option_rows[0]);

struct provider {
    const char *name, *model, *version;
    uint32_t dimension, arithmetic;
    float threshold_default, min_similarity;
    enum status (*embed)(struct text text, struct arena *arena, float *out_unit);
};

static const struct provider providers[] = {
    {"lexical", "lexical", LEXICAL_VERSION, LEXICAL_DIMENSION, LEXICAL_ARITHMETIC,
     LEXICAL_THRESHOLD_DEFAULT, LEXICAL_MIN_SIMILARITY, lexical_embed},
};

/* Of vectors whose scale nobody here knows. */
static const float CLIENT_THRESHOLD = 0.95f, CLIENT_MIN_SIMILARITY = 0.0f;

struct embedder {
    const struct provider *provider;
    struct embed_space space;
};

static void add_u32(struct digest_stream *stream, uint32_t value)
{
    uint8_t bytes[4];
    for (int i = 0; i < 4; i++)
        bytes[i] = (uint8_t)(value >> (8 * i));
    digest_stream_add(stream, bytes, sizeof(bytes));
}

static void add_text(struct digest_stream *stream, struct text text)
{
    assert(text.length <= UINT32_MAX);
    add_u32(stream, (uint32_t)text.length);
    digest_stream_add(stream, text.bytes, text.length);
}

static void add_number(struct digest_stream *stream, uint32_t value)
{
    add_u32(stream, sizeof(value));
    add_u32(stream, value);
}

static uint64_t space_id(struct text provider, struct text model, struct text version,
                         uint32_t dimension, uint32_t arithmetic)
{
    struct digest_stream stream;
    digest_stream_init(&stream);
    add_text(&stream, provider);
    add_text(&stream, model);
    add_text(&stream, version);
    add_number(&stream, dimension);
    add_number(&stream, arithmetic);
    struct digest digest = digest_stream_end(&stream);
    uint64_t id = 0;
    for (int i = 7; i >= 0; i--)
        id = id << 8 | digest.bytes[i];
    return id != 0 ? id : 1;
}

/* A name too long is shown up to a whole code point; the id covers all of it. */
static void name_copy(char *out_name, size_t size, struct text name)
{
    size_t length = name.length < size ? name.length : size - 1;
    while (length > 0 && length < name.length && ((unsigned char)name.bytes[length] & 0xC0) == 0x80)
        length--;
    memset(out_name, 0, size);
    if (length > 0)
        memcpy(out_name, name.bytes, length);
    assert(out_name[size - 1] == '\0');
}

static void provider_space(const struct provider *provider, struct embed_space *out_space)
{
    *out_space = (struct embed_space){
        .id = space_id(text_of(provider->name), text_of(provider->model),
                       text_of(provider->version), provider->dimension, provider->arithmetic),
        .dimension = provider->dimension,
        .threshold_default = provider->threshold_default,
        .min_similarity = provider->min_similarity,
    };
    name_copy(out_space->name, sizeof(out_space->name), text_of(provider->model));
    name_copy(out_space->version, sizeof(out_space->version), text_of(provider->version));
}

static const struct provider *provider_find(const char *name)
{
    for (size_t i = 0; i < sizeof(providers) / sizeof(providers[0]); i++) {
        if (strcmp(providers[i].name, name) == 0)
            return &providers[i];
    }
    return NULL;
}

enum status embedder_create(const char *provider, struct embedder **out_embedder)
{
    assert(provider != NULL);
    assert(out_embedder != NULL);
    if (strcmp(provider, "none") == 0) {
        *out_embedder = NULL;
        return STATUS_OK;
    }
    const struct provider *row = provider_find(provider);
    if (row == NULL)
        return STATUS_BAD_OPTION;
    struct embedder *embedder = calloc(1, sizeof(*embedder));
    if (embedder == NULL)
        return STATUS_NO_MEMORY;
    embedder->provider = row;
    provider_space(row, &embedder->space);
    *out_embedder = embedder;
    return STATUS_OK;
}

void embedder_destroy(struct embedder **embedder)
{
    assert(embedder != NULL);
    free(*embedder);
    *embedder = NULL;
}

const struct embed_space *embedder_space(const struct embedder *embedder)
{
    assert(embedder != NULL);
    return &embedder->space;
}

enum status embedder_embed(const struct embedder *embedder, struct text text, struct arena *arena,
                           float *out_unit)
{
    assert(embedder != NULL);
    assert(out_unit != NULL);
    return embedder->provider->embed(text, arena, out_unit);
}

void embed_client_space(struct text name, uint32_t dimension, struct embed_space *out_space)
{
    assert(out_space != NULL);
    assert(dimension > 0);
    *out_space = (struct embed_space){
        .id = space_id(TEXT("client"), name, TEXT(""), dimension, 0),
        .dimension = dimension,
        .threshold_default = CLIENT_THRESHOLD,
        .min_similarity = CLIENT_MIN_SIMILARITY,
    };
    name_copy(out_space->name, sizeof(out_space->name), name);
}
