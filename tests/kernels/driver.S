/* Calls kernels one after the other, as the harness calls layers: a list of function, then ten arguments. */
    .syntax unified
    .thumb
    .text
    .global run_layers
    .thumb_func
    .type run_layers, %function
run_layers:                     /* r0: the list, r1: calls, r2: what is written to harness_layer before each */
    push {r4-r9, lr}
    sub  sp, #28                /* six arguments, aligned */
    mov  r4, r0
    mov  r5, r1
    ldr  r6, =harness_layer
1:  str  r2, [r6]
    mov  r7, r2
    add  r0, r4, #20
    ldm  r0, {r0-r3, r8-r9}
    stm  sp, {r0-r3, r8-r9}
    ldr  r12, [r4]
    add  r0, r4, #4
    ldm  r0, {r0-r3}
    blx  r12
    mov  r2, r7
    adds r4, #44
    subs r5, #1
    bne  1b
    mvn  r2, #0
    str  r2, [r6]
    add  sp, #28
    pop  {r4-r9, pc}
    .ltorg
    .size run_layers, . - run_layers

    .global run_twice
    .thumb_func
    .type run_twice, %function
run_twice:                      /* the same, for what warms up first */
    push {r0-r2, lr}
    bl   run_layers
    pop  {r0-r2}
    bl   run_layers
    pop  {pc}
    .size run_twice, . - run_twice

    .bss
    .align 2
    .global harness_layer
harness_layer:
    .space 4
