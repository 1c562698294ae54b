#ifndef KERNELS_CONCATENATION_H
#define KERNELS_CONCATENATION_H

#include <stdint.h>

struct concatenation {
    int32_t inputs;
    int32_t outer;        /* how often the inputs take turns */
    int32_t pitch;        /* bytes of all inputs in one turn */
    const int32_t *bytes; /* of each input in one turn */
};

/* Behind p the inputs and y, pointers to bytes as const int8_t * and int8_t *; y overlaps none of them. */
void concatenation_portable(const struct concatenation *p, ...);

#endif
