/* The HAL of every STM32 family is stm32.c. A family's own file says where its registers are, and how its
 * clock is raised. Register and field names are ST's; addresses and bits were held against ST's CMSIS device
 * headers. The manuals: RM0351 (L47x), RM0432 (L4+), RM0440 (G4), RM0368 (F401), RM0390 (F446),
 * RM0410 (F76x), RM0433 (H743), RM0456 (U5).
 */
#ifndef STM32_H
#define STM32_H

#include "board/soc/registers.h"
#include "target/board.h"

struct stm32_uart {
    uint32_t base;
    volatile uint32_t *enable;          /* RCC register and bit that clock it */
    uint32_t enable_bit;
    uint32_t bus_divider;               /* core clock / its clock, which is its bus's: no selector is touched */
};

struct stm32_accelerator {
    const char *name;                   /* null: the list ends */
    volatile uint32_t *enable;
    uint32_t enable_bit;
};

struct stm32_family {
    uint32_t reset_hz;                  /* of the core and of every bus, until the PLL takes over */
    uint32_t gpio;                      /* port A; the others follow, 0x400 apart */
    volatile uint32_t *gpio_enable;     /* RCC register, bit n: port n */
    volatile uint32_t *timer_enable;    /* RCC register, bit 0: TIM2 */
    struct stm32_uart uart;
    volatile uint32_t *flash_acr;       /* its field LATENCY is in the lowest four bits */
    struct stm32_accelerator accelerators[5];   /* of instructions and data, to be told of with a measurement */
};

/* From the family's file. */
extern const struct stm32_family stm32_family;
int stm32_clock_init(void);             /* 1: the core runs at BOARD_HCLK_HZ; 0: as after reset, and told why */
void stm32_console_power(void);         /* whatever supply the console's pins need */

/* For the family's file: poll until the bits of `mask` are `value`; if they never are, note it and return 0. */
int stm32_wait(volatile uint32_t *reg, uint32_t mask, uint32_t value, const char *complaint);

/* The codes of bus prescalers of 1, 2, 4, 8 and 16. */
static inline uint32_t apb_code(uint32_t divider)
{
    uint32_t code = 3u;

    while (divider > 1u) {
        divider >>= 1;
        code++;
    }
    return code == 3u ? 0u : code;
}

static inline uint32_t ahb_code(uint32_t divider)
{
    uint32_t code = apb_code(divider);

    return code ? code + 4u : 0u;
}

#endif
