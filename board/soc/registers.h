/* Access to registers. */
#ifndef REGISTERS_H
#define REGISTERS_H

#include <stdint.h>

#define REGISTER(address) (*(volatile uint32_t *)(address))
#define BIT(n)            (1u << (n))

/* Replace the bits of `mask`, which is not shifted yet, by `value`. */
static inline void set_field(volatile uint32_t *reg, uint32_t shift, uint32_t mask, uint32_t value)
{
    *reg = (*reg & ~(mask << shift)) | value << shift;
}

#endif
