/*
 * tokenizer_json.h - a tokenizer from a model's tokenizer.json, for models that bring no vocab.txt.
 * Threads: any.
 */
#pragma once
#include "embed/tokenizer.h"

/*
 * As tokenizer_create, with model.vocab of the file. STATUS_MODEL_UNSUPPORTED and the key: the file
 * asks for another tokenizer than this one. STATUS_WEIGHTS_CORRUPT: it is not JSON, or the ids of
 * its vocabulary are not 0, 1, 2 and so on, each once. What it says of truncation and padding is
 * ignored.
 */
enum status tokenizer_create_from_json(struct text json, const struct tokenizer_options *options,
                                       struct tokenizer **out_tokenizer, struct failure *failure);
