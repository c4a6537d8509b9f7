/*
 * expiry.c - the sweeping hand's gear. At speed 1 a turn takes 600 ticks, 60 s at ten ticks a
 * second. A tick that finds more than a twentieth of the entries it saw expired doubles the speed,
 * any other halves it, within 1 and 32; a tick too short to reach a bucket says nothing and leaves
 * it. Hence no entry is held for more than one turn after its end, and expired bytes are at most
 * what expires in one turn.
 *
 * Why no timer wheel or heap: they have to be sized, kept in step with each change of an entry and
 * rebuilt at a start; the hand costs 20 to 40 ns an entry visited and keeps nothing (README.md,
 * rule 5).
 */
#include "storage/expiry.h"

#include <assert.h>

static const uint64_t tick_width = UINT64_MAX / EXPIRY_TURN_TICKS + 1;

void hand_init(struct hand *hand)
{
    *hand = (struct hand){.speed = 1};
}

void hand_begin(struct hand *hand)
{
    assert(hand->speed >= 1);
    assert(hand->speed <= EXPIRY_SPEED_MAX);
    assert(hand->owed_width <= UINT64_MAX - tick_width * EXPIRY_SPEED_MAX);
    hand->owed_width += tick_width * hand->speed;
    hand->entries_seen = 0;
    hand->entries_expired = 0;
    hand->buckets_seen = 0;
}

bool hand_reaches(const struct hand *hand, uint64_t width)
{
    assert(width > 0);
    return hand->owed_width >= width;
}

void hand_see(struct hand *hand, uint64_t entries_seen, uint64_t entries_expired)
{
    assert(entries_expired <= entries_seen);
    hand->entries_seen += entries_seen;
    hand->entries_expired += entries_expired;
}

void hand_pass(struct hand *hand, uint64_t width)
{
    assert(hand_reaches(hand, width));
    hand->owed_width -= width;
    hand->position += width; /* wraps to 0 after a turn */
    hand->buckets_seen++;
}

void hand_end(struct hand *hand)
{
    if (hand->buckets_seen == 0)
        return;
    if (hand->entries_expired * 20 > hand->entries_seen)
        hand->speed = hand->speed < EXPIRY_SPEED_MAX ? hand->speed * 2 : EXPIRY_SPEED_MAX;
    else
        hand->speed = hand->speed > 1 ? hand->speed / 2 : 1;
}
