/*
 * vocabulary.h - the pieces a model knows and their numbers. A piece begins a word or, written with
 * "##" in front, continues one. Immutable after create: any thread may search.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/digest.h"
#include "base/status.h"
#include "base/text.h"

enum { VOCABULARY_PIECES_MAX = 1 << 20, VOCABULARY_BYTES_MAX = 1 << 26 };

struct vocabulary;

/*
 * lines: one piece a line, its id is the number of the line, from 0; copied. The last line may lack
 * its end. STATUS_WEIGHTS_CORRUPT: an empty or a repeated line (which one), or not UTF-8;
 * STATUS_MODEL_UNSUPPORTED: too many; STATUS_NO_MEMORY.
 */
enum status vocabulary_create(struct text lines, struct vocabulary **out_vocabulary,
                              struct failure *failure);
void vocabulary_destroy(struct vocabulary **vocabulary); /* NULL is fine */

size_t vocabulary_count(const struct vocabulary *vocabulary);
/* The piece with this id, which is below the count, as it is written in its line. */
struct text vocabulary_line(const struct vocabulary *vocabulary, uint32_t id);
/* SHA-256 of all lines, each ended by a line feed: that of the file vocab.txt, if it ends so. */
const struct digest *vocabulary_digest(const struct vocabulary *vocabulary);

/* The id of a piece, as it is written in its line ("##s"). False: there is none. */
bool vocabulary_find(const struct vocabulary *vocabulary, struct text line, uint32_t *out_id);

/*
 * The longest piece that rest begins with: its bytes, 0 if there is none. `continues`: only pieces
 * that continue a word. rest: well-formed UTF-8.
 */
size_t vocabulary_match(const struct vocabulary *vocabulary, struct text rest, bool continues,
                        uint32_t *out_id);
