/* explain_words.h - an explanation in words: its one sentence, and its steps. Inside cache/ only.
 * Threads: any; one at a time an explanation. */
#pragma once
#include "cache/explain.h"

/* Of what has been found. No text of a prompt stands in the words. STATUS_NO_MEMORY. */
enum status explain_in_words(const struct cache *cache, struct cache_explain *explain,
                             int64_t now_ms);
