#include "board/soc/stm32f4_f7.h"

/* The order is the reference manuals' (entering over-drive mode): PLL on, over-drive, wait states, prescalers,
 * PLL locked, switch. The regulator's scale can be changed only while the PLL is off, and takes effect with it. */
int f4_f7_clock_init(uint32_t scale, uint32_t overdrive_above_hz, uint32_t accelerators)
{
    uint32_t buses = apb_code(BOARD_APB1_DIVIDER) << 10 | apb_code(BOARD_APB2_DIVIDER) << 13;

    RCC_APB1ENR |= BIT(28);                                             /* PWREN */
    (void)RCC_APB1ENR;
    RCC_CR |= BIT(0);                                                   /* HSION */
    if (!stm32_wait(&RCC_CR, BIT(1), BIT(1), "HSI did not start (HSIRDY)"))
        return 0;
    set_field(&PWR_CR, 14u, 3u, scale);                                 /* VOS */

    set_field(&RCC_PLLCFGR, 0u, 0x3Fu, BOARD_PLL_M);
    set_field(&RCC_PLLCFGR, 6u, 0x1FFu, BOARD_PLL_N);
    set_field(&RCC_PLLCFGR, 16u, 3u, BOARD_PLL_P / 2u - 1u);
    RCC_PLLCFGR &= ~BIT(22);                                            /* PLLSRC: HSI */
    RCC_CR |= BIT(24);                                                  /* PLLON */

    if (BOARD_HCLK_HZ > overdrive_above_hz) {
        PWR_CR |= BIT(16);                                              /* ODEN */
        if (!stm32_wait(&PWR_CSR, BIT(16), BIT(16), "over-drive did not come up (ODRDY)"))
            return 0;
        PWR_CR |= BIT(17);                                              /* ODSWEN */
        if (!stm32_wait(&PWR_CSR, BIT(17), BIT(17), "over-drive did not take over (ODSWRDY)"))
            return 0;
    }
    FLASH_ACR = (FLASH_ACR & ~15u) | BOARD_FLASH_LATENCY | accelerators;
    if (!stm32_wait(&FLASH_ACR, 15u, BOARD_FLASH_LATENCY, "the flash wait states were not taken (FLASH_ACR)"))
        return 0;
    if (!stm32_wait(&RCC_CR, BIT(25), BIT(25), "the PLL did not lock (PLLRDY)"))
        return 0;
    if (!stm32_wait(&PWR_CSR, BIT(14), BIT(14), "the regulator did not reach its scale (VOSRDY)"))
        return 0;

    RCC_CFGR = buses;                                                   /* PPRE1, PPRE2 */
    RCC_CFGR = buses | 2u;                                              /* SW: PLL */
    if (!stm32_wait(&RCC_CFGR, 3u << 2, 2u << 2, "the core did not switch to the PLL (SWS)")) {
        RCC_CFGR = 0u;
        return 0;
    }
    return 1;
}
