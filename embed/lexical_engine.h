/*
 * lexical_engine.h - lexical vectors as an engine of embed/batch. Threads: any.
 */
#pragma once
#include "embed/batch.h"

/* texts_max: of one pack. */
void lexical_engine(uint32_t texts_max, struct batch_engine *out_engine);
