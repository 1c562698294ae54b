/* The inner loop of fully_connected_pairs.c. A step takes 14 instructions and 20 cycles for 16 products. */
#include "fully_connected_macros.h"

    .macro step                         /* STEP_BYTES: no short forms */
    ldmia.w r1!, {r6-r9}
    ldrd    r10, r11, [r0], #8
    products
    .endm

    groups  fully_connected_pairs, 8
