/* chain: int8 inference in C. Generated; to change how it looks, edit firmware_templates/model/model.h.j2.
 *
 *     chain_init();                        once
 *     int8_t *in = chain_input();         fill 32 bytes, int8_t[1][4][4][2]
 *     chain_run();
 *     const int8_t *out = chain_output();  read 12 bytes, int8_t[1][2][2][3]
 *
 * One arena of 44 bytes holds every activation, the input among them: a run overwrites it, so fill it
 * before each. No heap, no stdio; not reentrant, since the arena is one.
 * chain_preprocess.h makes inputs of bytes and real numbers, and scores of outputs. */
#ifndef GENERATED_CHAIN_H
#define GENERATED_CHAIN_H

#include <stdint.h>

#include "harness/model.h"

#define CHAIN_ARENA_BYTES 44u
#define CHAIN_LAYERS 1u

#define CHAIN_INPUT_BYTES 32u
/* real = scale * (integer - zero point) */
#define CHAIN_INPUT_SCALE 0.0500000007f
#define CHAIN_INPUT_ZERO_POINT (3)

#define CHAIN_OUTPUT_BYTES 12u
/* real = scale * (integer - zero point) */
#define CHAIN_OUTPUT_SCALE 0.0399999991f
#define CHAIN_OUTPUT_ZERO_POINT (-5)

#ifdef __cplusplus
extern "C" {
#endif

void chain_init(void);
int8_t *chain_input(void);
const int8_t *chain_output(void);
void chain_run(void);

/* The same, layer by layer, for a harness that measures. */
extern const struct model chain_model;

#ifdef __cplusplus
}
#endif

#endif
