/* STM32F401 (RM0368) and STM32F446 (RM0390). */
#include "board/soc/stm32f4_f7.h"

#ifdef BOARD_CHIP_STM32F401
#define SCALE 2u                        /* the highest that it has: up to 84 MHz */
#else
#define SCALE 3u                        /* scale 1 */
#endif
#define OVERDRIVE_ABOVE_HZ 168000000u

const struct stm32_family stm32_family = {
    .reset_hz = 16000000u,              /* HSI */
    .gpio = GPIOA_BASE,
    .gpio_enable = &RCC_AHB1ENR,
    .timer_enable = &RCC_APB1ENR,
    .uart = CONSOLE_UART,
    .flash_acr = &FLASH_ACR,
    .accelerators = {
        {"prefetch", &FLASH_ACR, 8u},
        {"instruction_cache", &FLASH_ACR, 9u},
        {"data_cache", &FLASH_ACR, 10u},
    },
};

int stm32_clock_init(void)
{
    return f4_f7_clock_init(SCALE, OVERDRIVE_ABOVE_HZ, BIT(8) | BIT(9) | BIT(10));     /* PRFTEN, ICEN, DCEN */
}

void stm32_console_power(void)
{
}
