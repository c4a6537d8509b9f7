/*
 * buckets.c - the map of one stripe: 64-byte buckets, one-byte tags, incremental growth.
 *
 * A BUCKET is one cache line, after Valkey 8.1's: a byte of presence bits, seven tags, seven
 * pointers. Its chain bit turns the last pointer into the next bucket. Only the last bucket of a
 * chain has free slots: a removal fills its hole from there. The eight leading bytes are compared
 * at once in a plain register: one path for all machines.
 *
 * THE HASH, 64 bits: the low 8 choose the stripe (table.c), the next 8 are the tag, the top ones
 * the bucket. Top bits, because then bucket i becomes 2i and 2i + 1 when the map doubles: the order
 * of a walk survives growth.
 *
 * GROWTH begins at 0.9 fill. An entry lies in exactly one place: in the old array if its bucket
 * there has not been moved, else in the new one. Moving never allocates, because two halves of a
 * chain never need more extra buckets than the chain had, and those are reused one by one. If the
 * larger array cannot be had, chains grow instead.
 */
#include "storage/buckets.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "storage/entry_block.h"

enum {
    BUCKET_BYTES = 64,
    BUCKET_SLOTS = 7,
    CHAIN_SLOT = 6,
    CHAIN_BIT = 0x80,
    SLOT_BITS = 0x7f,
    BITS_MIN = 3,
    BITS_MAX = 40,
    MOVES_PER_CALL = 4
};

struct bucket {
    uint8_t present; /* bit i: slot i holds an entry; CHAIN_BIT: slot 6 holds the next bucket */
    uint8_t tags[BUCKET_SLOTS];
    void *slots[BUCKET_SLOTS];
};
static_assert(sizeof(struct bucket) == BUCKET_BYTES, "a bucket is a cache line");
static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "tag_matches reads the tags as one word");

struct place { /* where an entry lies */
    struct bucket *bucket;
    unsigned slot;
};

static uint64_t array_count(const struct bucket_array *array)
{
    return (uint64_t)1 << array->bits;
}

static struct bucket *array_at(const struct bucket_array *array, uint64_t hash)
{
    return &array->at[hash >> (64 - array->bits)];
}

static uint8_t tag_of(uint64_t hash)
{
    return (uint8_t)(hash >> 8);
}

static struct bucket *next_of(const struct bucket *bucket)
{
    return (bucket->present & CHAIN_BIT) != 0 ? bucket->slots[CHAIN_SLOT] : NULL;
}

static unsigned slots_of(const struct bucket *bucket)
{
    return bucket->present & SLOT_BITS;
}

/* calloc, because fresh pages of a large array are zero already; one bucket more, to align by hand.
 */
static enum status array_init(struct bucket_array *array, uint32_t bits)
{
    assert(bits >= BITS_MIN);
    if (bits > BITS_MAX)
        return STATUS_NO_MEMORY;
    void *memory = calloc(((size_t)1 << bits) + 1, BUCKET_BYTES);
    if (memory == NULL)
        return STATUS_NO_MEMORY;
    const uintptr_t aligned =
        ((uintptr_t)memory + BUCKET_BYTES - 1) & ~(uintptr_t)(BUCKET_BYTES - 1);
    *array = (struct bucket_array){.memory = memory, .at = (struct bucket *)aligned, .bits = bits};
    return STATUS_OK;
}

static void chain_free(struct bucket *bucket)
{
    while (bucket != NULL) {
        struct bucket *next = next_of(bucket);
        free(bucket);
        bucket = next;
    }
}

static void array_deinit(struct bucket_array *array)
{
    for (uint64_t i = 0; array->at != NULL && i < array_count(array); i++)
        chain_free(next_of(&array->at[i]));
    free(array->memory);
    *array = (struct bucket_array){0};
}

uint64_t buckets_hash(const uint8_t hash_key[16], const uint8_t prefix[BUCKETS_PREFIX_BYTES])
{
    return digest_siphash(hash_key, prefix, BUCKETS_PREFIX_BYTES);
}

enum status buckets_init(struct buckets *buckets, const uint8_t hash_key[16])
{
    *buckets = (struct buckets){0};
    memcpy(buckets->hash_key, hash_key, sizeof(buckets->hash_key));
    return array_init(&buckets->now, BITS_MIN);
}

void buckets_deinit(struct buckets *buckets)
{
    assert(buckets->spares == NULL);
    array_deinit(&buckets->old);
    array_deinit(&buckets->now);
    buckets->entries_count = 0;
}

static bool is_unmoved(const struct buckets *buckets, uint64_t hash)
{
    return buckets->old.at != NULL && hash >> (64 - buckets->old.bits) >= buckets->moved_count;
}

static struct bucket *home_of(const struct buckets *buckets, uint64_t hash)
{
    return array_at(is_unmoved(buckets, hash) ? &buckets->old : &buckets->now, hash);
}

/*
 * Bit i: slot i is taken and has this tag. The zero-byte test is the exact one (Warren, Hacker's
 * Delight, 6-1: no borrow runs into the next byte); the product gathers the top bit of byte i into
 * bit 56 + i.
 */
static unsigned tag_matches(const struct bucket *bucket, uint8_t tag)
{
    const uint64_t low_bits = 0x7f7f7f7f7f7f7f7fu;
    uint64_t word;
    memcpy(&word, bucket, sizeof(word));
    word ^= 0x0101010101010101u * tag;
    const uint64_t equal = ~(((word & low_bits) + low_bits) | word | low_bits);
    const unsigned bytes = (unsigned)(((equal >> 7) * 0x0102040810204080u) >> 56);
    return (bytes >> 1) & slots_of(bucket);
}

struct entry *buckets_find(const struct buckets *buckets, uint64_t hash,
                           const struct digest *digest)
{
    const uint8_t tag = tag_of(hash);
    for (struct bucket *bucket = home_of(buckets, hash); bucket != NULL; bucket = next_of(bucket)) {
        for (unsigned left = tag_matches(bucket, tag); left != 0; left &= left - 1) {
            struct entry *entry = bucket->slots[__builtin_ctz(left)];
            if (digest_equal(&entry->digest, digest))
                return entry;
        }
    }
    return NULL;
}

struct entry *buckets_find_prefix(const struct buckets *buckets, uint64_t hash,
                                  const uint8_t prefix[BUCKETS_PREFIX_BYTES])
{
    const uint8_t tag = tag_of(hash);
    for (struct bucket *bucket = home_of(buckets, hash); bucket != NULL; bucket = next_of(bucket)) {
        for (unsigned left = tag_matches(bucket, tag); left != 0; left &= left - 1) {
            struct entry *entry = bucket->slots[__builtin_ctz(left)];
            if (memcmp(entry->digest.bytes, prefix, BUCKETS_PREFIX_BYTES) == 0)
                return entry;
        }
    }
    return NULL;
}

static struct place place_of(const struct buckets *buckets, uint64_t hash,
                             const struct entry *entry)
{
    for (struct bucket *bucket = home_of(buckets, hash); bucket != NULL; bucket = next_of(bucket)) {
        for (unsigned left = slots_of(bucket); left != 0; left &= left - 1) {
            const unsigned slot = (unsigned)__builtin_ctz(left);
            if (bucket->slots[slot] == entry)
                return (struct place){bucket, slot};
        }
    }
    return (struct place){NULL, 0};
}

static struct bucket *bucket_take(struct buckets *buckets)
{
    struct bucket *bucket = buckets->spares;
    if (bucket != NULL)
        buckets->spares = bucket->slots[CHAIN_SLOT];
    else
        bucket = aligned_alloc(BUCKET_BYTES, BUCKET_BYTES);
    if (bucket != NULL)
        memset(bucket, 0, sizeof(*bucket));
    return bucket;
}

static void bucket_fill(struct bucket *bucket, unsigned slot, uint8_t tag, void *entry)
{
    assert(slot < BUCKET_SLOTS);
    assert((bucket->present & (1u << slot)) == 0);
    bucket->present |= (uint8_t)(1u << slot);
    bucket->tags[slot] = tag;
    bucket->slots[slot] = entry;
}

/* Gives a full bucket a next one, which takes over the entry of its last slot. */
static struct bucket *bucket_extend(struct buckets *buckets, struct bucket *full)
{
    assert(full->present == SLOT_BITS);
    struct bucket *next = bucket_take(buckets);
    if (next == NULL)
        return NULL;
    bucket_fill(next, 0, full->tags[CHAIN_SLOT], full->slots[CHAIN_SLOT]);
    full->present = (uint8_t)((full->present & ~(1u << CHAIN_SLOT)) | CHAIN_BIT);
    full->slots[CHAIN_SLOT] = next;
    return next;
}

static enum status put(struct buckets *buckets, uint64_t hash, struct entry *entry)
{
    struct bucket *tail = home_of(buckets, hash);
    for (struct bucket *next = next_of(tail); next != NULL; next = next_of(tail))
        tail = next;
    if (tail->present == SLOT_BITS)
        tail = bucket_extend(buckets, tail);
    if (tail == NULL)
        return STATUS_NO_MEMORY;
    bucket_fill(tail, (unsigned)__builtin_ctz(~slots_of(tail)), tag_of(hash), entry);
    return STATUS_OK;
}

static void put_all(struct buckets *buckets, const struct bucket *taken)
{
    for (unsigned left = slots_of(taken); left != 0; left &= left - 1) {
        struct entry *entry = taken->slots[__builtin_ctz(left)];
        const uint64_t hash = buckets_hash(buckets->hash_key, entry->digest.bytes);
        const enum status status = put(buckets, hash, entry);
        assert(status == STATUS_OK); /* spares suffice, see the top */
    }
}

static void move_one(struct buckets *buckets)
{
    assert(buckets->spares == NULL);
    struct bucket *head = &buckets->old.at[buckets->moved_count];
    buckets->moved_count++;
    struct bucket taken = *head;
    head->present = 0;
    put_all(buckets, &taken);
    for (struct bucket *next = next_of(&taken); next != NULL; next = next_of(&taken)) {
        taken = *next;
        next->slots[CHAIN_SLOT] = buckets->spares;
        buckets->spares = next;
        put_all(buckets, &taken);
    }
    while (buckets->spares != NULL) {
        struct bucket *spare = buckets->spares;
        buckets->spares = spare->slots[CHAIN_SLOT];
        free(spare);
    }
}

static void move_some(struct buckets *buckets)
{
    for (unsigned i = 0; i < MOVES_PER_CALL && buckets->old.at != NULL; i++) {
        move_one(buckets);
        if (buckets->moved_count == array_count(&buckets->old)) {
            array_deinit(&buckets->old);
            buckets->moved_count = 0;
        }
    }
}

static void grow_if_full(struct buckets *buckets)
{
    const uint64_t slots_count = array_count(&buckets->now) * BUCKET_SLOTS;
    if (buckets->old.at != NULL || buckets->entries_count < slots_count * 9 / 10)
        return;
    struct bucket_array larger;
    if (array_init(&larger, buckets->now.bits + 1) != STATUS_OK)
        return; /* chains grow meanwhile; the next insert asks again */
    assert(buckets->moved_count == 0);
    buckets->old = buckets->now;
    buckets->now = larger;
}

enum status buckets_insert(struct buckets *buckets, uint64_t hash, struct entry *entry)
{
    assert_slow(buckets_find(buckets, hash, &entry->digest) == NULL);
    grow_if_full(buckets);
    move_some(buckets);
    const enum status status = put(buckets, hash, entry);
    if (status == STATUS_OK)
        buckets->entries_count++;
    return status;
}

void buckets_replace(struct buckets *buckets, uint64_t hash, const struct entry *old_entry,
                     struct entry *new_entry)
{
    assert(digest_equal(&old_entry->digest, &new_entry->digest));
    const struct place place = place_of(buckets, hash, old_entry);
    assert(place.bucket != NULL);
    place.bucket->slots[place.slot] = new_entry;
}

/* Takes the last entry out of the chain that begins at `head`; an empty last bucket is unlinked. */
static void *chain_cut(struct bucket *head, uint8_t *out_tag)
{
    struct bucket *before = NULL;
    struct bucket *tail = head;
    for (struct bucket *next = next_of(tail); next != NULL; next = next_of(tail)) {
        before = tail;
        tail = next;
    }
    assert(slots_of(tail) != 0);
    const unsigned slot = 31u - (unsigned)__builtin_clz(slots_of(tail));
    void *entry = tail->slots[slot];
    *out_tag = tail->tags[slot];
    tail->present &= (uint8_t) ~(1u << slot);
    if (tail->present == 0 && before != NULL) {
        before->present &= (uint8_t)~CHAIN_BIT;
        free(tail);
    }
    return entry;
}

void buckets_remove(struct buckets *buckets, uint64_t hash, const struct entry *entry)
{
    assert(buckets->entries_count > 0);
    const struct place hole = place_of(buckets, hash, entry);
    assert(hole.bucket != NULL);
    uint8_t tag = 0;
    void *last = chain_cut(home_of(buckets, hash), &tag);
    if (last != entry) { /* then the hole's bucket is still there, and the last entry fills it */
        hole.bucket->slots[hole.slot] = last;
        hole.bucket->tags[hole.slot] = tag;
    }
    buckets->entries_count--;
    move_some(buckets);
}

uint64_t buckets_width(const struct buckets *buckets, uint64_t position)
{
    const uint32_t bits = is_unmoved(buckets, position) ? buckets->old.bits : buckets->now.bits;
    return (uint64_t)1 << (64 - bits);
}

void buckets_visit(const struct buckets *buckets, uint64_t position, buckets_visitor *visitor,
                   void *context)
{
    /* A walk stands inside an old bucket only after it has seen the first half of it moved. */
    assert(position % buckets_width(buckets, position) == 0);
    for (const struct bucket *bucket = home_of(buckets, position); bucket != NULL;
         bucket = next_of(bucket)) {
        for (unsigned left = slots_of(bucket); left != 0; left &= left - 1)
            visitor(context, bucket->slots[__builtin_ctz(left)]);
    }
}
