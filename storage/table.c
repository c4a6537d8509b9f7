/*
 * table.c - the lock-striped table: which stripe, how long it is held, and what happens in a hold.
 *
 * THREADS. Any. One stripe is locked at a time, for a bounded time: at most 32 removals and, in a
 * walk, 64 buckets. Nobody is called back under the lock but `matches`, which reads an entry, and
 * `draw`, which takes JOURNAL.
 *
 * WHY MUTEXES. A map of a million keys spends its time in cache misses, 200 to 400 ns a Get; the
 * lock adds 4 to 60. Reader-writer locks were slower in every round, a spin byte in the bucket
 * hardly faster and invisible to ThreadSanitizer.
 *
 * NOT HERE. Reporting the dead, drawing sequences, and which entries are refused for their size
 * (store.c).
 */
#include "storage/table.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "storage/entry_block.h"
#include "storage/stripe.h"

enum { STRIPES_AUTO_MIN = 16, STRIPES_PER_CORE = 4, CHARGE_PART = 8 };

struct table {
    struct table_options options; /* as created */
    struct stripe *stripes;
};

uint32_t table_stripes_count(const struct store_options *options, uint32_t cores_count)
{
    uint64_t wanted = options->stripes_count;
    if (wanted == 0) {
        wanted = (uint64_t)cores_count * STRIPES_PER_CORE;
        wanted = wanted < STRIPES_AUTO_MIN ? STRIPES_AUTO_MIN : wanted;
    }
    uint32_t count = 1;
    while (count < wanted && count < TABLE_STRIPES_MAX)
        count *= 2;
    while (count > 1 &&
           options->memory_bytes / count / TABLE_ANSWERS_SHARE_MIN < options->answer_max)
        count /= 2;
    while (count > 1 && options->entries_max != 0 &&
           options->entries_max / count < TABLE_ENTRIES_SHARE_MIN)
        count /= 2;
    return count;
}

/* The budgets divided; what is left over of the entries goes to the first stripes, one each. */
static struct stripe_share share_of(const struct table_options *options, uint32_t number)
{
    const uint32_t count = options->stripes_count;
    const uint32_t left_over = options->entries_max % count;
    return (struct stripe_share){.rule = options->rule,
                                 .bytes_max = options->memory_bytes / count,
                                 .entries_max =
                                     options->entries_max / count + (number < left_over ? 1 : 0)};
}

enum status table_create(const struct table_options *options, struct table **out_table)
{
    assert(options->stripes_count > 0);
    assert(options->stripes_count <= TABLE_STRIPES_MAX);
    assert((options->stripes_count & (options->stripes_count - 1)) == 0);
    assert(options->draw != NULL);
    struct table *table = calloc(1, sizeof(*table));
    if (table == NULL)
        return STATUS_NO_MEMORY;
    table->options = *options;
    table->options.stripes_count = 0; /* grows with the stripes that are made */
    const size_t stripes_bytes = sizeof(struct stripe) * options->stripes_count;
    table->stripes = aligned_alloc(STRIPE_ALIGNMENT, stripes_bytes);
    enum status status = STATUS_NO_MEMORY;
    if (table->stripes == NULL)
        goto destroy_table;
    memset(table->stripes, 0, stripes_bytes);
    for (uint32_t i = 0; i < options->stripes_count; i++) {
        table->options.stripes_count++;
        const struct stripe_share share = share_of(options, i);
        status = stripe_init(&table->stripes[i], &share, options->hash_key);
        if (status != STATUS_OK)
            goto destroy_table;
    }
    *out_table = table;
    return STATUS_OK;

destroy_table:
    table_destroy(&table);
    return status;
}

void table_destroy(struct table **table)
{
    struct table *doomed = *table;
    if (doomed == NULL)
        return;
    *table = NULL;
    for (uint32_t i = 0; i < doomed->options.stripes_count; i++)
        stripe_deinit(&doomed->stripes[i]);
    free(doomed->stripes);
    free(doomed);
}

uint64_t table_charge_max(const struct table *table)
{
    return table->stripes[0].share.bytes_max / CHARGE_PART;
}

static uint64_t hash_of(const struct table *table, const struct digest *digest)
{
    return buckets_hash(table->options.hash_key, digest->bytes);
}

static struct stripe *stripe_of(const struct table *table, uint64_t hash)
{
    static_assert(TABLE_STRIPES_MAX == 256, "buckets.c takes the tag from the bits above these");
    return &table->stripes[hash & (table->options.stripes_count - 1)];
}

static enum store_found read_entry(struct stripe *stripe, struct entry *entry, int64_t now_ms,
                                   enum store_touch touch, struct store_hit *out_hit)
    REQUIRES(&stripe->lock)
{
    if (entry_is_expired(entry, now_ms))
        return STORE_PAST_EXPIRY;
    if (touch == STORE_COUNT_HIT) {
        if (entry->hits_count < UINT32_MAX)
            entry->hits_count++;
        entry->last_hit = (uint32_t)now_ms;
        if (!entry->pinned)
            stripe->evict->rule->hit(stripe->evict, entry);
    }
    *out_hit = (struct store_hit){.entry = entry_acquire(entry),
                                  .expires_ms = entry->expires_ms,
                                  .hits_count = entry->hits_count,
                                  .last_hit = entry->last_hit};
    return STORE_FOUND;
}

enum store_found table_find(struct table *table, const struct digest *digest, int64_t now_ms,
                            enum store_touch touch, struct store_hit *out_hit)
{
    const uint64_t hash = hash_of(table, digest);
    struct stripe *stripe = stripe_of(table, hash);
    enum store_found found = STORE_ABSENT;
    lock_acquire(&stripe->lock);
    struct entry *entry = buckets_find(&stripe->buckets, hash, digest);
    if (entry != NULL)
        found = read_entry(stripe, entry, now_ms, touch, out_hit);
    lock_release(&stripe->lock);
    return found;
}

/* Plain entries are not looked into: their bodies are cold, and the lock is held. */
static bool is_accepted(const struct store_look *look, const struct entry *entry)
{
    const bool asks = look->every || (entry_marks(entry) & ENTRY_TIMED) != 0;
    return !asks || look->accepts(look->context, entry, entry->expires_ms);
}

enum store_found table_find_accepted(struct table *table, const struct digest *digest,
                                     int64_t now_ms, const struct store_look *look,
                                     struct store_hit *out_hit)
{
    const uint64_t hash = hash_of(table, digest);
    struct stripe *stripe = stripe_of(table, hash);
    enum store_found found = STORE_ABSENT;
    lock_acquire(&stripe->lock);
    struct entry *entry = buckets_find(&stripe->buckets, hash, digest);
    if (entry != NULL && !entry_is_expired(entry, now_ms) && !is_accepted(look, entry))
        found = STORE_REFUSED;
    else if (entry != NULL)
        found = read_entry(stripe, entry, now_ms, STORE_COUNT_HIT, out_hit);
    lock_release(&stripe->lock);
    return found;
}

enum store_found table_find_prefix(struct table *table, const uint8_t prefix[STORE_PREFIX_BYTES],
                                   int64_t now_ms, struct store_hit *out_hit)
{
    static_assert((int)STORE_PREFIX_BYTES == (int)BUCKETS_PREFIX_BYTES, "hash and prefix agree");
    const uint64_t hash = buckets_hash(table->options.hash_key, prefix);
    struct stripe *stripe = stripe_of(table, hash);
    enum store_found found = STORE_ABSENT;
    lock_acquire(&stripe->lock);
    struct entry *entry = buckets_find_prefix(&stripe->buckets, hash, prefix);
    if (entry != NULL)
        found = read_entry(stripe, entry, now_ms, STORE_PEEK, out_hit);
    lock_release(&stripe->lock);
    return found;
}

static enum store_death death_of(const struct entry *entry, int64_t now_ms, enum store_death living)
{
    return entry_is_expired(entry, now_ms) ? STORE_EXPIRED : living;
}

static void draw_number(const struct table *table, struct table_draw *draw)
{
    assert(draw->sequence == 0);
    table->options.draw(table->options.draw_context, draw);
    assert(draw->sequence != 0);
    assert(draw->ticket == NULL);
}

static void draw_for(const struct table *table, struct table_draw *draw,
                     const struct digest *digest)
{
    draw->digest = digest;
    draw_number(table, draw);
    draw->digest = NULL;
}

/* One place stays for the replaced entry. */
static bool may_evict(const struct table_set *set, const struct departed *departed)
{
    return departed->count + 1 < TABLE_REMOVALS_PER_HOLD &&
           (set->graves == NULL || departed->count < set->graves_count);
}

/* False when this hold has removed its share and it is not enough. Of the expired the log knows
 * when, and the one that is replaced has its successor there. */
static bool make_room(const struct table *table, struct stripe *stripe, struct entry **old_entry,
                      struct table_set *set, struct departed *departed) REQUIRES(&stripe->lock)
{
    while (!stripe_fits(stripe, *old_entry, set->entry)) {
        if (!may_evict(set, departed))
            return false;
        struct entry *victim = stripe_evict(stripe);
        const bool is_old = victim == *old_entry;
        const enum store_death why =
            death_of(victim, set->now_ms, is_old ? STORE_REPLACED : STORE_EVICTED);
        if (why == STORE_EVICTED && set->graves != NULL)
            draw_for(table, &set->graves[departed->count], &victim->digest);
        stripe_depart(stripe, victim, why, departed);
        if (is_old)
            *old_entry = NULL;
    }
    return true;
}

static bool is_in_the_way(const struct table_set *set, const struct entry *old_entry)
{
    return set->unless != NULL && old_entry != NULL && !entry_is_expired(old_entry, set->now_ms) &&
           is_accepted(set->unless, old_entry);
}

/* False: a client's pin finds no room. One that comes back from the disk is kept without its pin.
 */
static bool settle_pin(const struct stripe *stripe, const struct entry *old_entry,
                       struct table_set *set) REQUIRES(&stripe->lock)
{
    struct entry *entry = set->entry;
    const bool wanted = (entry_marks(entry) & ENTRY_PINNED) != 0;
    entry->pinned = wanted && stripe_may_pin(stripe, old_entry, entry);
    return entry->pinned == wanted || set->draw == NULL;
}

static bool set_in_hold(const struct table *table, struct stripe *stripe, uint64_t hash,
                        struct table_set *set, struct departed *departed) REQUIRES(&stripe->lock)
{
    struct entry *entry = set->entry;
    struct entry *old_entry = buckets_find(&stripe->buckets, hash, &entry->digest);
    if (set->draw == NULL && old_entry != NULL && old_entry->sequence >= set->back) {
        set->status = STATUS_NOT_FOUND;
        return true;
    }
    if (is_in_the_way(set, old_entry)) {
        set->status = STATUS_ENTRY_EXISTS;
        return true;
    }
    if (!settle_pin(stripe, old_entry, set)) {
        set->status = STATUS_NO_MEMORY;
        return true;
    }
    if (old_entry != NULL && !entry_is_expired(old_entry, set->now_ms))
        set->replaced = true;
    if (!make_room(table, stripe, &old_entry, set, departed))
        return false;
    set->status = STATUS_OK;
    if (old_entry != NULL) {
        set->status = stripe_replace(stripe, hash, old_entry, entry);
        if (set->status == STATUS_OK)
            stripe_depart(stripe, old_entry, death_of(old_entry, set->now_ms, STORE_REPLACED),
                          departed);
    } else {
        set->status = stripe_insert(stripe, hash, entry);
    }
    if (set->status != STATUS_OK)
        return true;
    (void)entry_acquire(entry);
    if (set->draw != NULL)
        draw_number(table, set->draw);
    entry->sequence = set->draw != NULL ? set->draw->sequence : set->back;
    stripe->sets_count += set->draw != NULL ? 1 : 0;
    return true;
}

bool table_set(struct table *table, struct table_set *set, struct departed *departed)
{
    assert(set->entry->sequence == 0);
    assert((set->draw == NULL) == (set->back != 0));
    assert(entry_charge(set->entry) <= table_charge_max(table));
    assert(departed->count == 0);
    const uint64_t hash = hash_of(table, &set->entry->digest);
    struct stripe *stripe = stripe_of(table, hash);
    lock_acquire(&stripe->lock);
    const bool is_done = set_in_hold(table, stripe, hash, set, departed);
    lock_release(&stripe->lock);
    return is_done;
}

bool table_delete(struct table *table, const struct digest *digest,
                  const struct table_delete *delete, struct departed *departed)
{
    const uint64_t hash = hash_of(table, digest);
    struct stripe *stripe = stripe_of(table, hash);
    lock_acquire(&stripe->lock);
    struct entry *entry = buckets_find(&stripe->buckets, hash, digest);
    const bool is_meant =
        entry == NULL || delete->matches == NULL || delete->matches(delete->context, entry);
    if (entry != NULL && is_meant)
        stripe_take_out(stripe, hash, entry, delete->why, departed);
    if (delete->draw != NULL && is_meant && (entry != NULL || delete->why != STORE_EVICTED))
        draw_number(table, delete->draw);
    lock_release(&stripe->lock);
    return entry != NULL && is_meant;
}

bool table_touch(struct table *table, const struct digest *digest, int64_t expires_ms,
                 uint64_t below, struct table_draw *draw)
{
    assert(expires_ms >= 0);
    const uint64_t hash = hash_of(table, digest);
    struct stripe *stripe = stripe_of(table, hash);
    lock_acquire(&stripe->lock);
    struct entry *entry = buckets_find(&stripe->buckets, hash, digest);
    const bool is_meant = entry != NULL && entry->sequence < below;
    if (is_meant)
        entry->expires_ms = expires_ms;
    if (is_meant && draw != NULL)
        draw_number(table, draw);
    lock_release(&stripe->lock);
    return is_meant;
}

bool table_retime(struct table *table, const struct table_retime *retime)
{
    assert(retime->expires_ms >= 0);
    const uint64_t hash = hash_of(table, &retime->entry->digest);
    struct stripe *stripe = stripe_of(table, hash);
    lock_acquire(&stripe->lock);
    struct entry *entry = buckets_find(&stripe->buckets, hash, &retime->entry->digest);
    const bool is_meant = entry == retime->entry;
    const bool changes =
        is_meant && entry->expires_ms != retime->expires_ms &&
        (!retime->only_later || (entry->expires_ms != 0 && entry->expires_ms < retime->expires_ms));
    if (changes)
        entry->expires_ms = retime->expires_ms;
    if (changes && retime->draw != NULL)
        draw_number(table, retime->draw);
    lock_release(&stripe->lock);
    return is_meant;
}

/* What a visitor gathers from one bucket; the map does not change before the visit is over. */
struct gathering {
    const struct table_walk *walk;
    int64_t now_ms;
    struct entry *entries[TABLE_REMOVALS_PER_HOLD];
    size_t entries_count;
    size_t entries_max; /* how many more this hold may remove */
    uint64_t seen_count;
    uint64_t matched_count;
    bool overflowed; /* the bucket holds more: visit it again */
};

static bool is_match(const struct table_walk *walk, const struct entry *entry)
{
    return walk->matches == NULL || walk->matches(walk->context, entry);
}

static void gather(struct gathering *gathering, struct entry *entry)
{
    if (gathering->entries_count == gathering->entries_max) {
        gathering->overflowed = true;
        return;
    }
    gathering->entries[gathering->entries_count] = entry;
    gathering->entries_count++;
}

static void visit_count(void *context, struct entry *entry)
{
    struct gathering *gathering = context;
    if (!entry_is_expired(entry, gathering->now_ms) && is_match(gathering->walk, entry))
        gathering->matched_count++;
}

static void visit_purge(void *context, struct entry *entry)
{
    struct gathering *gathering = context;
    /* When the hold is full the question waits: a yes is removed in the hold in which it is said.
     */
    if (gathering->entries_count == gathering->entries_max)
        gathering->overflowed = true;
    else if (is_match(gathering->walk, entry))
        gather(gathering, entry);
}

static void visit_sweep(void *context, struct entry *entry)
{
    struct gathering *gathering = context;
    gathering->seen_count++;
    if (entry_is_expired(entry, gathering->now_ms))
        gather(gathering, entry);
}

static void take_out_gathered(const struct table *table, struct stripe *stripe,
                              const struct gathering *gathering, enum store_death why,
                              struct departed *departed) REQUIRES(&stripe->lock)
{
    for (size_t i = 0; i < gathering->entries_count; i++)
        stripe_take_out(stripe, hash_of(table, &gathering->entries[i]->digest),
                        gathering->entries[i], why, departed);
}

/* Moves on by a bucket, into the next stripe after the last; true then. */
static bool walk_on(struct table_walk *walk, uint64_t width)
{
    walk->position += width;
    if (walk->position == 0)
        walk->stripe++;
    return walk->position == 0;
}

static void count_in_hold(struct stripe *stripe, struct table_walk *walk) REQUIRES(&stripe->lock)
{
    bool is_over = false;
    for (uint32_t i = 0; i < TABLE_BUCKETS_PER_HOLD && !is_over; i++) {
        struct gathering gathering = {.walk = walk, .now_ms = walk->now_ms};
        const uint64_t width = buckets_width(&stripe->buckets, walk->position);
        buckets_visit(&stripe->buckets, walk->position, visit_count, &gathering);
        walk->matched_count += gathering.matched_count;
        is_over = walk_on(walk, width);
    }
}

bool table_count(struct table *table, struct table_walk *walk)
{
    assert(walk->stripe < table->options.stripes_count);
    struct stripe *stripe = &table->stripes[walk->stripe];
    lock_acquire(&stripe->lock);
    count_in_hold(stripe, walk);
    lock_release(&stripe->lock);
    return walk->stripe == table->options.stripes_count;
}

static void purge_in_hold(const struct table *table, struct stripe *stripe, struct table_walk *walk,
                          struct departed *departed) REQUIRES(&stripe->lock)
{
    bool is_over = false;
    for (uint32_t i = 0; i < TABLE_BUCKETS_PER_HOLD && !is_over; i++) {
        struct gathering gathering = {.walk = walk,
                                      .entries_max = TABLE_REMOVALS_PER_HOLD - departed->count};
        const uint64_t width = buckets_width(&stripe->buckets, walk->position);
        buckets_visit(&stripe->buckets, walk->position, visit_purge, &gathering);
        for (size_t k = 0; k < gathering.entries_count && walk->draws != NULL; k++)
            draw_for(table, &walk->draws[departed->count + k], &gathering.entries[k]->digest);
        take_out_gathered(table, stripe, &gathering, STORE_PURGED, departed);
        walk->matched_count += gathering.entries_count;
        if (gathering.overflowed)
            return;
        is_over = walk_on(walk, width);
    }
}

bool table_purge(struct table *table, struct table_walk *walk, struct departed *departed)
{
    assert(walk->stripe < table->options.stripes_count);
    assert(departed->count == 0);
    struct stripe *stripe = &table->stripes[walk->stripe];
    lock_acquire(&stripe->lock);
    purge_in_hold(table, stripe, walk, departed);
    lock_release(&stripe->lock);
    return walk->stripe == table->options.stripes_count;
}

/* Entries of one stripe from a position on, with a reference each. */
struct handful {
    struct entry **entries;
    uint32_t count, max;
    bool overflowed;
};

static void visit_hand_out(void *context, struct entry *entry)
{
    struct handful *handful = context;
    if (handful->count == handful->max) {
        handful->overflowed = true;
        return;
    }
    handful->entries[handful->count] = entry_acquire(entry);
    handful->count++;
}

/* Whole buckets only; returns the position of the first that did not fit, 0 after the last. */
static uint64_t hand_out(struct stripe *stripe, uint64_t position, struct handful *handful)
    REQUIRES(&stripe->lock)
{
    for (uint32_t i = 0; i < TABLE_BUCKETS_PER_HOLD; i++) {
        const uint32_t count_before = handful->count;
        buckets_visit(&stripe->buckets, position, visit_hand_out, handful);
        if (handful->overflowed) {
            assert(count_before > 0); /* a bucket of 64 equal prefixes cannot be made */
            while (handful->count > count_before)
                entry_release(handful->entries[--handful->count]);
            return position;
        }
        position += buckets_width(&stripe->buckets, position);
        if (position == 0)
            return 0;
    }
    return position;
}

uint32_t table_next_entries(struct table *table, uint64_t *cursor, struct entry **out_entries,
                            uint32_t entries_max)
{
    assert(entries_max >= TABLE_HANDFUL_MIN);
    /* A bucket's position ends in zeros, so there is room for the stripe. */
    const uint64_t stripe_mask = TABLE_STRIPES_MAX - 1;
    uint64_t number = *cursor & stripe_mask;
    assert(number < table->options.stripes_count);
    struct handful handful = {.entries = out_entries, .max = entries_max};
    struct stripe *stripe = &table->stripes[number];
    lock_acquire(&stripe->lock);
    const uint64_t position = hand_out(stripe, *cursor & ~stripe_mask, &handful);
    lock_release(&stripe->lock);
    assert((position & stripe_mask) == 0);
    if (position == 0)
        number = number + 1 == table->options.stripes_count ? 0 : number + 1;
    *cursor = position | number;
    return handful.count;
}

uint64_t table_cursor(const struct table *table, const struct digest *digest)
{
    return hash_of(table, digest);
}

/* Sorted by insertion: a handful. Those before `from` are let go; returns how many are left. */
static uint32_t sort_from(const struct table *table, uint64_t from, struct entry **entries,
                          uint32_t count)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < count; i++) {
        struct entry *entry = entries[i];
        const uint64_t hash = hash_of(table, entry_digest(entry));
        if (hash < from) {
            entry_release(entry);
            continue;
        }
        uint32_t at = kept++;
        for (; at > 0 && hash_of(table, entry_digest(entries[at - 1])) > hash; at--)
            entries[at] = entries[at - 1];
        entries[at] = entry;
    }
    return kept;
}

uint32_t table_scan(struct table *table, uint64_t *cursor, struct entry **out_entries,
                    uint32_t entries_max)
{
    assert(entries_max >= TABLE_HANDFUL_MIN);
    const uint64_t from = *cursor;
    const uint64_t number = from & (table->options.stripes_count - 1); /* a hash's low bits */
    struct handful handful = {.entries = out_entries, .max = entries_max};
    struct stripe *stripe = &table->stripes[number];
    lock_acquire(&stripe->lock);
    const uint64_t within = from % buckets_width(&stripe->buckets, from);
    const uint64_t position = hand_out(stripe, from - within, &handful);
    lock_release(&stripe->lock);
    if (position != 0)
        *cursor = position | number;
    else
        *cursor = number + 1 == table->options.stripes_count ? 0 : number + 1;
    return sort_from(table, from, out_entries, handful.count);
}

/* True when the hand has done this tick. */
static bool sweep_in_hold(const struct table *table, struct stripe *stripe, int64_t now_ms,
                          struct departed *departed) REQUIRES(&stripe->lock)
{
    struct hand *hand = &stripe->hand;
    for (uint32_t i = 0; i < TABLE_BUCKETS_PER_HOLD; i++) {
        const uint64_t width = buckets_width(&stripe->buckets, hand->position);
        if (!hand_reaches(hand, width))
            return true;
        struct gathering gathering = {.now_ms = now_ms,
                                      .entries_max = TABLE_REMOVALS_PER_HOLD - departed->count};
        buckets_visit(&stripe->buckets, hand->position, visit_sweep, &gathering);
        take_out_gathered(table, stripe, &gathering, STORE_EXPIRED, departed);
        if (gathering.overflowed) {
            hand_see(hand, gathering.entries_count, gathering.entries_count);
            return false;
        }
        hand_see(hand, gathering.seen_count, gathering.entries_count);
        hand_pass(hand, width);
    }
    return false;
}

bool table_sweep(struct table *table, struct table_sweep *sweep, struct departed *departed)
{
    assert(sweep->stripe < table->options.stripes_count);
    assert(departed->count == 0);
    struct stripe *stripe = &table->stripes[sweep->stripe];
    lock_acquire(&stripe->lock);
    if (!sweep->begun)
        hand_begin(&stripe->hand);
    const bool is_done = sweep_in_hold(table, stripe, sweep->now_ms, departed);
    if (is_done)
        hand_end(&stripe->hand);
    lock_release(&stripe->lock);
    sweep->begun = !is_done;
    sweep->stripe += is_done ? 1 : 0;
    return sweep->stripe == table->options.stripes_count;
}

void table_stats(struct table *table, struct store_stats *out_stats)
{
    struct store_stats stats = {.entries_max = table->options.entries_max,
                                .sequence = out_stats->sequence};
    for (uint32_t i = 0; i < table->options.stripes_count; i++) {
        struct stripe *stripe = &table->stripes[i];
        lock_acquire(&stripe->lock);
        stripe_add_stats(stripe, &stats);
        lock_release(&stripe->lock);
    }
    *out_stats = stats;
}
