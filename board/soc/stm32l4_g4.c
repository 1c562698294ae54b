#include "board/soc/stm32l4_g4.h"

/* The order is the reference manuals' (dynamic voltage scaling, read access latency, system clock selection):
 * voltage, wait states, clock; and for a boosted clock HCLK is halved during the first microsecond. */
int l4_g4_clock_init(uint32_t range_1_hz)
{
    int boosted = BOARD_HCLK_HZ > range_1_hz;
    uint32_t at_reset = RCC_CFGR;
    uint32_t buses = apb_code(BOARD_APB1_DIVIDER) << 8 | apb_code(BOARD_APB2_DIVIDER) << 11;

    RCC_APB1ENR1 |= BIT(28);                                            /* PWREN */
    (void)RCC_APB1ENR1;
    set_field(&PWR_CR1, 9u, 3u, 1u);                                    /* VOS: range 1 */
    if (!stm32_wait(&PWR_SR2, BIT(10), 0u, "voltage range 1 was not reached (VOSF)"))
        return 0;
    if (boosted)
        PWR_CR5 &= ~BIT(8);                                             /* R1MODE */

    RCC_CR |= BIT(8);                                                   /* HSION */
    if (!stm32_wait(&RCC_CR, BIT(10), BIT(10), "HSI16 did not start (HSIRDY)"))
        return 0;
    FLASH_ACR = (FLASH_ACR & ~15u) | BOARD_FLASH_LATENCY | BIT(8) | BIT(9) | BIT(10);   /* PRFTEN, ICEN, DCEN */
    if (!stm32_wait(&FLASH_ACR, 15u, BOARD_FLASH_LATENCY, "the flash wait states were not taken (FLASH_ACR)"))
        return 0;

    RCC_PLLCFGR = 2u                                                    /* PLLSRC: HSI16 */
        | (BOARD_PLL_M - 1u) << 4 | BOARD_PLL_N << 8 | BIT(24)          /* PLLREN */
        | (BOARD_PLL_R / 2u - 1u) << 25;
    RCC_CR |= BIT(24);                                                  /* PLLON */
    if (!stm32_wait(&RCC_CR, BIT(25), BIT(25), "the PLL did not lock (PLLRDY)"))
        return 0;

    RCC_CFGR = (boosted ? 8u << 4 : 0u) | buses | 3u;                   /* HPRE, PPRE1, PPRE2, SW: PLL */
    if (!stm32_wait(&RCC_CFGR, 3u << 2, 3u << 2, "the core did not switch to the PLL (SWS)")) {
        RCC_CFGR = at_reset;
        return 0;
    }
    for (volatile uint32_t wait = 100u; wait != 0; wait--)              /* at least 1 us */
        ;
    RCC_CFGR = buses | 3u;
    return 1;
}
