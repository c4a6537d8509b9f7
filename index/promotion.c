/*
 * promotion.c - when a scan becomes a graph.
 *
 * THE RULE. With H seconds to live and L lookups a second, L H lookups are going to come.
 * Promote from 16,384 rows on when L H > 3 Q; always from 131,072 on. Three times, because the
 * rate may fall and a build takes a core from others. Beside a graph the flat rows are added to
 * it: each costs b once and saves c a lookup, so L H > 3 b / c, and always from 16,384 flat rows.
 * Limits in rows are for 384 dimensions; a row twice as long costs twice.
 *
 * Measured on a Zen 4 core: c 12 ns, T 71 us, b 122 us at 100,000 rows; Q is then about 10,000.
 */
#include "index/promotion.h"

#include <assert.h>

enum { SAFETY = 3 };

static uint64_t scaled(uint64_t rows, uint32_t dimension)
{
    assert(dimension > 0);
    return rows * PROMOTION_DIMENSION / dimension;
}

static double lookups_to_come(const struct promotion *promotion)
{
    const double horizon_s = promotion->horizon_s < PROMOTION_HORIZON_S_MAX
                                 ? promotion->horizon_s
                                 : PROMOTION_HORIZON_S_MAX;
    return promotion->lookups_s * horizon_s;
}

bool promotion_is_due(const struct promotion *promotion)
{
    assert(promotion->lookups_s >= 0);
    assert(promotion->horizon_s >= 0);
    assert(promotion->flat_row_ns > 0);
    const double coming = lookups_to_come(promotion), b = promotion->build_row_ns;
    const uint64_t rows = promotion->rows_flat;
    const uint64_t rows_min = scaled(PROMOTION_ROWS_MIN, promotion->dimension);
    if (promotion->has_graph)
        return rows >= rows_min || coming * promotion->flat_row_ns > SAFETY * b;
    if (rows < rows_min)
        return false;
    if (rows >= scaled(PROMOTION_ROWS_ALWAYS, promotion->dimension))
        return true;
    const double lookup_ns =
        PROMOTION_LOOKUP_NS * ((double)promotion->dimension / PROMOTION_DIMENSION);
    const double saved_ns = promotion->flat_row_ns * (double)rows - lookup_ns;
    return saved_ns > 0 && coming * saved_ns > SAFETY * b * (double)rows;
}

bool promotion_is_near(const struct promotion *promotion)
{
    return promotion->has_graph ||
           promotion->rows_flat >= scaled(PROMOTION_ROWS_MIN, promotion->dimension);
}
