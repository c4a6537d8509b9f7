/*
 * half.c - IEEE 754 binary16 in integer arithmetic (IEEE 754-2008, section 3.6).
 * Half: 1 sign, 5 exponent (bias 15), 10 fraction bits; float: 1, 8 (bias 127), 23. The baseline
 * machine has no conversion instruction, and rounding must not depend on the machine: vectors are
 * kept as halves. Owns nothing. Threads: any.
 */
#include "base/half.h"

#include <string.h>

static uint32_t bits_of(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof(bits));
    return bits;
}

static float float_of(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof(value));
    return value;
}

float half_to_float(uint16_t half)
{
    uint32_t sign = (uint32_t)(half & 0x8000) << 16;
    uint32_t exponent = (half >> 10) & 0x1f;
    uint32_t fraction = half & 0x3ff;
    if (exponent == 0x1f) /* infinite, or not a number */
        return float_of(sign | 0x7f800000 | fraction << 13);
    if (exponent != 0)
        return float_of(sign | (exponent + 127 - 15) << 23 | fraction << 13);
    float tiny = (float)fraction * 0x1p-24f; /* subnormal or zero: exact in a float */
    return float_of(sign | bits_of(tiny));
}

/* Drops `count` low bits (1 to 24), rounding to nearest, a tie to even. */
static uint32_t round_off(uint32_t value, uint32_t count)
{
    uint32_t rest = value & ((1u << count) - 1);
    uint32_t tie = 1u << (count - 1);
    uint32_t kept = value >> count;
    return kept + (rest > tie || (rest == tie && (kept & 1) != 0));
}

uint16_t half_from_float(float value)
{
    uint32_t bits = bits_of(value);
    uint32_t sign = bits >> 16 & 0x8000;
    uint32_t magnitude = bits & 0x7fffffff;
    uint32_t fraction = bits & 0x7fffff;
    if (magnitude > 0x7f800000) /* not a number stays one, and quiet */
        return (uint16_t)(sign | 0x7e00 | fraction >> 13);
    if (magnitude >= 0x477ff000) /* 65520, half way beyond the largest half, and infinity */
        return (uint16_t)(sign | 0x7c00);
    if (magnitude >= 0x38800000) /* 2^-14 and above: normal; a carry moves into the exponent */
        return (uint16_t)(sign | round_off(magnitude - ((127u - 15u) << 23), 13));
    if (magnitude <=
        0x33000000) /* 2^-25 is half way to the smallest subnormal; the tie goes to zero */
        return (uint16_t)sign;
    uint32_t shift = 126 - (magnitude >> 23); /* 14 to 24: to units of 2^-24 */
    return (uint16_t)(sign | round_off(fraction | 0x800000, shift));
}
