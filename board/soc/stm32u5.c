/* STM32U575, U585 (RM0456), without TrustZone (TZEN = 0, as they leave the factory). */
#include "board/soc/stm32.h"

#define PWR_VOSR REGISTER(0x4602080Cu)

#define RCC_CR       REGISTER(0x46020C00u)
#define RCC_CFGR1    REGISTER(0x46020C1Cu)
#define RCC_CFGR2    REGISTER(0x46020C20u)
#define RCC_PLL1CFGR REGISTER(0x46020C28u)
#define RCC_PLL1DIVR REGISTER(0x46020C34u)
#define RCC_AHB2ENR1 REGISTER(0x46020C8Cu)
#define RCC_AHB3ENR  REGISTER(0x46020C94u)
#define RCC_APB1ENR1 REGISTER(0x46020C9Cu)
#define RCC_APB2ENR  REGISTER(0x46020CA4u)

#define FLASH_ACR REGISTER(0x40022000u)
#define ICACHE_CR REGISTER(0x40030400u)
#define ICACHE_SR REGISTER(0x40030404u)

#define BOOST_ABOVE_HZ 55000000u        /* the regulator's booster (EPOD) is needed */
#define PLL1RGE        (16000000u / BOARD_PLL_M >= 8000000u ? 3u : 0u)

const struct stm32_family stm32_family = {
    .reset_hz = 4000000u,               /* MSIS */
    .gpio = 0x42020000u,
    .gpio_enable = &RCC_AHB2ENR1,
    .timer_enable = &RCC_APB1ENR1,
#if defined BOARD_UART_USART1
    .uart = {0x40013800u, &RCC_APB2ENR, 14u, BOARD_APB2_DIVIDER},
#elif defined BOARD_UART_USART2
    .uart = {0x40004400u, &RCC_APB1ENR1, 17u, BOARD_APB1_DIVIDER},
#else
    .uart = {0x40004800u, &RCC_APB1ENR1, 18u, BOARD_APB1_DIVIDER},      /* USART3 */
#endif
    .flash_acr = &FLASH_ACR,
    .accelerators = {{"prefetch", &FLASH_ACR, 8u}, {"instruction_cache", &ICACHE_CR, 0u}},
};

int stm32_clock_init(void)
{
    RCC_AHB3ENR |= BIT(2);                                              /* PWREN */
    (void)RCC_AHB3ENR;
    set_field(&PWR_VOSR, 16u, 3u, 3u);                                  /* VOS: range 1 */
    if (!stm32_wait(&PWR_VOSR, BIT(15), BIT(15), "voltage range 1 was not reached (VOSRDY)"))
        return 0;
    RCC_CR |= BIT(8);                                                   /* HSION */
    if (!stm32_wait(&RCC_CR, BIT(10), BIT(10), "HSI16 did not start (HSIRDY)"))
        return 0;

    RCC_PLL1CFGR = 2u | PLL1RGE << 2 | (BOARD_PLL_M - 1u) << 8          /* PLL1SRC: HSI16 */
        | 1u << 12 | BIT(18);                                           /* PLL1MBOOST: / 2, PLL1REN */
    set_field(&RCC_PLL1DIVR, 0u, 0x1FFu, BOARD_PLL_N - 1u);
    set_field(&RCC_PLL1DIVR, 24u, 0x7Fu, BOARD_PLL_R - 1u);
    if (BOARD_HCLK_HZ > BOOST_ABOVE_HZ)
        PWR_VOSR |= BIT(18);                                            /* BOOSTEN */
    RCC_CR |= BIT(24);                                                  /* PLL1ON */
    if (!stm32_wait(&RCC_CR, BIT(25), BIT(25), "PLL1 did not lock (PLL1RDY)"))
        return 0;
    if (BOARD_HCLK_HZ > BOOST_ABOVE_HZ
        && !stm32_wait(&PWR_VOSR, BIT(14), BIT(14), "the regulator's booster is not ready (BOOSTRDY)"))
        return 0;

    FLASH_ACR = (FLASH_ACR & ~15u) | BOARD_FLASH_LATENCY | BIT(8);      /* PRFTEN */
    if (!stm32_wait(&FLASH_ACR, 15u, BOARD_FLASH_LATENCY, "the flash wait states were not taken (FLASH_ACR)"))
        return 0;
    set_field(&RCC_CFGR2, 4u, 7u, apb_code(BOARD_APB1_DIVIDER));        /* PPRE1 */
    set_field(&RCC_CFGR2, 8u, 7u, apb_code(BOARD_APB2_DIVIDER));        /* PPRE2 */
    set_field(&RCC_CFGR1, 0u, 3u, 3u);                                  /* SW: PLL1 */
    if (!stm32_wait(&RCC_CFGR1, 3u << 2, 3u << 2, "the core did not switch to PLL1 (SWS)")) {
        set_field(&RCC_CFGR1, 0u, 3u, 0u);
        set_field(&RCC_CFGR2, 4u, 0x77u, 0u);
        return 0;
    }
    if (stm32_wait(&ICACHE_SR, BIT(0), 0u, "the instruction cache stays busy (BUSYF)"))
        ICACHE_CR |= BIT(0);                                            /* EN */
    return 1;
}

void stm32_console_power(void)
{
}
