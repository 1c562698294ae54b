/* GNU as: how a file of this folder begins, and a function in a section of its own, which goes to RAM with the rest of
 * the hot code, and which the linker leaves out where nothing names it. */
#ifndef KERNELS_ROUTINE_H
#define KERNELS_ROUTINE_H

    .syntax unified
    .thumb

    .macro routine name
    .section .ramcode.\name, "ax", %progbits
    .balign 4
    .global \name
    .thumb_func
    .type  \name, %function
\name:
    .endm

#endif
