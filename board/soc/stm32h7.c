/* STM32H742, H743, H753 (RM0433), supplied by their LDO; 480 MHz needs silicon revision V. */
#include "board/soc/cortex_m7.h"
#include "board/soc/stm32.h"

#define PWR_CSR1 REGISTER(0x58024804u)
#define PWR_CR3  REGISTER(0x5802480Cu)
#define PWR_D3CR REGISTER(0x58024818u)

#define RCC_CR        REGISTER(0x58024400u)
#define RCC_CFGR      REGISTER(0x58024410u)
#define RCC_D1CFGR    REGISTER(0x58024418u)
#define RCC_D2CFGR    REGISTER(0x5802441Cu)
#define RCC_D3CFGR    REGISTER(0x58024420u)
#define RCC_PLLCKSELR REGISTER(0x58024428u)
#define RCC_PLLCFGR   REGISTER(0x5802442Cu)
#define RCC_PLL1DIVR  REGISTER(0x58024430u)
#define RCC_AHB4ENR   REGISTER(0x580244E0u)
#define RCC_APB1LENR  REGISTER(0x580244E8u)
#define RCC_APB2ENR   REGISTER(0x580244F0u)
#define RCC_APB4ENR   REGISTER(0x580244F4u)

#define SYSCFG_PWRCR REGISTER(0x5800042Cu)
#define FLASH_ACR    REGISTER(0x52002000u)

#define VOS1_HZ      400000000u         /* of the core; above it with VOS0 */
#define AHB_HZ       (BOARD_HCLK_HZ / BOARD_AHB_DIVIDER)
#define WRHIGHFREQ   (AHB_HZ > 185000000u ? 2u : 1u)
#define PLL_INPUT_HZ (64000000u / BOARD_PLL_M)
#define PLL1RGE      (PLL_INPUT_HZ >= 8000000u ? 3u : PLL_INPUT_HZ >= 4000000u ? 2u : 1u)

const struct stm32_family stm32_family = {
    .reset_hz = 64000000u,              /* HSI */
    .gpio = 0x58020000u,
    .gpio_enable = &RCC_AHB4ENR,
    .timer_enable = &RCC_APB1LENR,
#if defined BOARD_UART_USART1
    .uart = {0x40011000u, &RCC_APB2ENR, 4u, BOARD_AHB_DIVIDER * BOARD_APB2_DIVIDER},
#elif defined BOARD_UART_USART2
    .uart = {0x40004400u, &RCC_APB1LENR, 17u, BOARD_AHB_DIVIDER * BOARD_APB1_DIVIDER},
#else
    .uart = {0x40004800u, &RCC_APB1LENR, 18u, BOARD_AHB_DIVIDER * BOARD_APB1_DIVIDER},     /* USART3 */
#endif
    .flash_acr = &FLASH_ACR,
    .accelerators = {CORTEX_M7_CACHES},
};

static int voltage_init(void)
{
    set_field(&PWR_CR3, 0u, 7u, 2u);                                    /* LDOEN; counts once after power-on */
    if (!stm32_wait(&PWR_CSR1, BIT(13), BIT(13), "the supply is not ready (ACTVOSRDY)"))
        return 0;
    set_field(&PWR_D3CR, 14u, 3u, 3u);                                  /* VOS1, from where VOS0 is reached */
    if (!stm32_wait(&PWR_D3CR, BIT(13), BIT(13), "voltage scale 1 was not reached (VOSRDY)"))
        return 0;
    if (BOARD_HCLK_HZ <= VOS1_HZ)
        return 1;
    RCC_APB4ENR |= BIT(1);                                              /* SYSCFGEN */
    (void)RCC_APB4ENR;
    SYSCFG_PWRCR |= BIT(0);                                             /* ODEN: VOS0 */
    return stm32_wait(&PWR_D3CR, BIT(13), BIT(13), "voltage scale 0 was not reached (VOSRDY)");
}

int stm32_clock_init(void)
{
    if (!voltage_init())
        return 0;
    if (!stm32_wait(&RCC_CR, BIT(2), BIT(2), "HSI did not start (HSIRDY)"))
        return 0;

    set_field(&RCC_PLLCKSELR, 0u, 3u, 0u);                              /* PLLSRC: HSI */
    set_field(&RCC_PLLCKSELR, 4u, 0x3Fu, BOARD_PLL_M);                  /* DIVM1 */
    set_field(&RCC_PLLCFGR, 0u, 0xFu, PLL1RGE << 2);                    /* PLL1VCOSEL: wide; no fraction */
    RCC_PLLCFGR |= BIT(16);                                             /* DIVP1EN */
    set_field(&RCC_PLL1DIVR, 0u, 0xFFFFu, (BOARD_PLL_P - 1u) << 9 | (BOARD_PLL_N - 1u));
    RCC_CR |= BIT(24);                                                  /* PLL1ON */
    if (!stm32_wait(&RCC_CR, BIT(25), BIT(25), "PLL1 did not lock (PLL1RDY)"))
        return 0;

    FLASH_ACR = WRHIGHFREQ << 4 | BOARD_FLASH_LATENCY;
    if (!stm32_wait(&FLASH_ACR, 15u, BOARD_FLASH_LATENCY, "the flash wait states were not taken (FLASH_ACR)"))
        return 0;

    /* APB3 and APB4 (D1PPRE, D3PPRE) run as fast as APB2. */
    RCC_D1CFGR = ahb_code(BOARD_AHB_DIVIDER) | apb_code(BOARD_APB2_DIVIDER) << 4;
    RCC_D2CFGR = apb_code(BOARD_APB1_DIVIDER) << 4 | apb_code(BOARD_APB2_DIVIDER) << 8;
    RCC_D3CFGR = apb_code(BOARD_APB2_DIVIDER) << 4;
    set_field(&RCC_CFGR, 0u, 7u, 3u);                                   /* SW: PLL1 */
    if (!stm32_wait(&RCC_CFGR, 7u << 3, 3u << 3, "the core did not switch to PLL1 (SWS)")) {
        set_field(&RCC_CFGR, 0u, 7u, 0u);
        RCC_D1CFGR = 0u;
        RCC_D2CFGR = 0u;
        RCC_D3CFGR = 0u;
        return 0;
    }
    return 1;
}

void stm32_console_power(void)
{
}
