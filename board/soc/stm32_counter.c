/* TIM2 counts in steps of 65536 cycles, 32 bits of them, on every family: a core at 480 MHz takes days to wrap
 * it. No interrupt is needed, so that none disturbs what is measured.
 * The core's registers: ARMv7-M Architecture Reference Manual (ARM DDI 0403E), B3.3, C1.6.5 and C1.8; the same
 * in ARMv8-M.
 */
#include "board/soc/stm32_counter.h"
#include "board/soc/stm32.h"

#define DEMCR      REGISTER(0xE000EDFCu)
#define DWT_CTRL   REGISTER(0xE0001000u)
#define DWT_CYCCNT REGISTER(0xE0001004u)
#define DWT_LAR    REGISTER(0xE0001FB0u)
#define SYST_CSR   REGISTER(0xE000E010u)
#define SYST_RVR   REGISTER(0xE000E014u)
#define SYST_CVR   REGISTER(0xE000E018u)

#define TIM2_CR1 REGISTER(0x40000000u)
#define TIM2_EGR REGISTER(0x40000014u)
#define TIM2_CNT REGISTER(0x40000024u)
#define TIM2_PSC REGISTER(0x40000028u)
#define TIM2_ARR REGISTER(0x4000002Cu)

#define COARSE_CYCLES 65536u
#define SYSTICK_BITS  24u

static uint32_t coarse_mask;            /* all ones when TIM2 counts */
static uint32_t fine_unused_bits;       /* 0 for the 32 bits of DWT_CYCCNT, 8 for the 24 of SysTick */

static uint32_t read_fine(void)
{
    return fine_unused_bits ? ~SYST_CVR << 8 : DWT_CYCCNT;
}

void stm32_counter_init(uint32_t timer_divider)
{
    uint32_t before;

    DEMCR |= BIT(24);                   /* TRCENA */
#ifdef BOARD_CORTEX_M7
    DWT_LAR = 0xC5ACCE55u;              /* CoreSight's key: without it an M7 ignores writes to the DWT */
#endif
    DWT_CYCCNT = 0u;
    DWT_CTRL |= BIT(0);                 /* CYCCNTENA */
    *stm32_family.timer_enable |= BIT(0);
    (void)*stm32_family.timer_enable;
    TIM2_PSC = COARSE_CYCLES / timer_divider - 1u;
    TIM2_ARR = 0xFFFFFFFFu;
    TIM2_EGR = 1u;                      /* load the prescaler */
    TIM2_CR1 = 1u;

    before = DWT_CYCCNT;
    for (volatile uint32_t wait = 16u; wait != 0; wait--)
        ;
    if (DWT_CYCCNT == before) {
        fine_unused_bits = 32u - SYSTICK_BITS;      /* as in simulators */
        SYST_RVR = 0xFFFFFFu;
        SYST_CVR = 0u;
        SYST_CSR = 5u;                  /* the core's clock, no interrupt */
    }
    before = TIM2_CNT;
    for (volatile uint32_t wait = COARSE_CYCLES; wait != 0; wait--)     /* more than a cycle a turn */
        ;
    if (TIM2_CNT != before)
        coarse_mask = 0xFFFFFFFFu;
}

uint64_t stm32_counter_read(void)
{
    uint32_t fine = read_fine();
    uint64_t coarse = (uint64_t)(TIM2_CNT & coarse_mask) * COARSE_CYCLES;
    uint32_t ahead = fine - ((uint32_t)coarse << fine_unused_bits);

    if (coarse_mask == 0u)
        return fine >> fine_unused_bits;
    /* The count nearest to the coarse one of all those with these low bits. */
    return coarse + (uint64_t)(int64_t)((int32_t)ahead >> fine_unused_bits);
}

const char *stm32_counter_name(void)
{
    return fine_unused_bits ? "SysTick" : "DWT CYCCNT";
}
