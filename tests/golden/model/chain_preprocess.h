/* chain: from bytes and real numbers to the model's input, and from its output to scores.
 * Generated; to change how it looks, edit firmware_templates/model/preprocess.h.j2.
 * Functions that are not called take no flash.
 *
 * input: x, int8_t[1][4][4][2]:
 *   real    = number, what the samples hold
 *   The samples are no bytes, so nobody knows what a byte becomes. With samples that are, and --preprocess where
 *   they are not divided by 255, functions for bytes stand here as well.
 *   integer = round(real / 0.0500000007f) + 3, ties away from zero, held within -128 to 127
 *   Example: the real number 0.25 becomes 8.
 *
 * output: net/pool/MaxPool, int8_t[1][2][2][3]:
 *   real    = 0.0399999991f * (integer + 5)
 *   Example: 64 is 2.75999999f, or 2760 thousandths.
 */
#ifndef GENERATED_CHAIN_PREPROCESS_H
#define GENERATED_CHAIN_PREPROCESS_H

#include <stdint.h>

/* A real number as an element of the input. Not a number becomes -128. */
static inline int8_t chain_input_quantize(float real)
{
    const float reach = 1024.0f; /* beyond it all saturates, and an int32_t holds it */
    float quotient = real / 0.0500000007f, rest;
    int32_t whole;

    if (!(quotient > -reach)) /* also where it is not a number */
        quotient = -reach;
    if (quotient > reach)
        quotient = reach;
    whole = (int32_t)quotient;
    rest = quotient - (float)whole;
    whole += (rest >= 0.5f) - (rest <= -0.5f) + 3;
    return (int8_t)(whole < -128 ? -128 : whole > 127 ? 127 : whole);
}

/* The real number that an element of the output stands for. */
static inline float chain_output_score(int8_t integer)
{
    return 0.0399999991f * (float)(integer + 5);
}

/* The same in thousandths, for a core without an FPU: the exact value, rounded to the nearest, ties up. */
static inline int32_t chain_output_permille(int8_t integer)
{
    return (int32_t)(((int64_t)(integer + 5) * 671088625 + 8388608) >> 24);
}

#endif
