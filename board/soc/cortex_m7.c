/* ARMv7-M Architecture Reference Manual (ARM DDI 0403E), B2.2 and B3.2: caches. */
#include "board/soc/cortex_m7.h"

#define SCB_CCSIDR  REGISTER(0xE000ED80u)
#define SCB_CSSELR  REGISTER(0xE000ED84u)
#define SCB_ICIALLU REGISTER(0xE000EF50u)
#define SCB_DCISW   REGISTER(0xE000EF60u)

static void barrier(void)
{
    __asm volatile("dsb\n\tisb" ::: "memory");
}

void cortex_m7_caches_init(void)
{
    uint32_t size, sets, ways;

    if (SCB_CCR & BIT(16))
        return;                         /* already on: emptying it now would lose what it holds */
    SCB_ICIALLU = 0u;
    barrier();
    SCB_CCR |= BIT(17);                 /* IC */
    barrier();

    /* Out of reset a cache holds anything: declare each line of each way invalid. 32 bytes a line, 4 ways. */
    SCB_CSSELR = 0u;                    /* level 1, data */
    barrier();
    size = SCB_CCSIDR;
    sets = (size >> 13 & 0x7FFFu) + 1u;
    ways = (size >> 3 & 0x3FFu) + 1u;
    for (uint32_t set = 0; set < sets; set++)
        for (uint32_t way = 0; way < ways; way++)
            SCB_DCISW = way << 30 | set << 5;
    barrier();
    SCB_CCR |= BIT(16);                 /* DC */
    barrier();
}
