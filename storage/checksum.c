/*
 * checksum.c - XXH3-128, by the library whose one door this is. A checksum over all that a segment
 * holds, since CRC-32C alone suits records of up to 16 MiB and says nothing of one that is missing.
 *
 * THREADS. One at a time.
 */
#include "storage/checksum.h"

#include <assert.h>
#include <string.h>
#include <xxhash.h>

/* Never completed: the state is the library's, which knows how it is to be aligned. */
static XXH3_state_t *state_of(struct checksum *checksum)
{
    assert(checksum != NULL);
    return (XXH3_state_t *)(void *)checksum;
}

enum status checksum_create(struct checksum **out_checksum)
{
    assert(out_checksum != NULL);
    XXH3_state_t *state = XXH3_createState();
    if (state == NULL)
        return STATUS_NO_MEMORY;
    *out_checksum = (struct checksum *)(void *)state;
    checksum_reset(*out_checksum);
    return STATUS_OK;
}

void checksum_destroy(struct checksum **checksum)
{
    assert(checksum != NULL);
    if (*checksum == NULL)
        return;
    (void)XXH3_freeState(state_of(*checksum));
    *checksum = NULL;
}

void checksum_reset(struct checksum *checksum)
{
    const XXH_errorcode error = XXH3_128bits_reset(state_of(checksum));
    assert(error == XXH_OK);
}

void checksum_add(struct checksum *checksum, const void *bytes, size_t size_bytes)
{
    assert(bytes != NULL || size_bytes == 0);
    const XXH_errorcode error = XXH3_128bits_update(state_of(checksum), bytes, size_bytes);
    assert(error == XXH_OK);
}

void checksum_take(const struct checksum *checksum, uint8_t out_sum[CHECKSUM_BYTES])
{
    XXH128_canonical_t canonical;
    static_assert(sizeof(canonical) == CHECKSUM_BYTES, "the canonical form is the stored one");
    assert(checksum != NULL);
    XXH128_canonicalFromHash(&canonical,
                             XXH3_128bits_digest((const XXH3_state_t *)(const void *)checksum));
    memcpy(out_sum, &canonical, sizeof(canonical));
}
