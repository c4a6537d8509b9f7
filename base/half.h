/* half.h - IEEE 754 half precision and back, round to nearest even. Pure. */
#pragma once
#include <stdint.h>

float half_to_float(uint16_t half);
uint16_t half_from_float(float value);
