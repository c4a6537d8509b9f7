/*
 * checksum.h - the XXH3-128 that a compacted segment ends in, taken of its records as they come.
 * Threads: one at a time.
 */
#pragma once
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

enum { CHECKSUM_BYTES = 16 };

struct checksum;

enum status checksum_create(struct checksum **out_checksum); /* of no bytes yet */
void checksum_destroy(struct checksum **checksum);           /* NULL is fine    */
void checksum_reset(struct checksum *checksum);              /* of no bytes     */
void checksum_add(struct checksum *checksum, const void *bytes, size_t size_bytes);
/* Of all bytes so far, in canonical form, which is the same on every machine; more may follow. */
void checksum_take(const struct checksum *checksum, uint8_t out_sum[CHECKSUM_BYTES]);
