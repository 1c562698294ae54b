/* The inner loop of fully_connected_bytes.c. A step takes 16 instructions and 21 cycles for 16 products. */
#include "fully_connected_macros.h"

    .macro step                         /* STEP_BYTES: no short forms */
    ldr.w   r11, [r0], #4
    ldmia.w r1!, {r6-r9}
    sxtb16  r10, r11, ror #8
    sxtb16  r11, r11
    products
    .endm

    groups  fully_connected_bytes, 4
