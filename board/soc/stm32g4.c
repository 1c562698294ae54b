/* STM32G4 (RM0440). */
#include "board/soc/stm32l4_g4.h"

#define RANGE_1_HZ 150000000u       /* above it with R1MODE = 0 */

const struct stm32_family stm32_family = {
    .reset_hz = 16000000u,          /* HSI16 */
    .gpio = GPIOA_BASE,
    .gpio_enable = &RCC_AHB2ENR,
    .timer_enable = &RCC_APB1ENR1,
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
    return l4_g4_clock_init(RANGE_1_HZ);
}

void stm32_console_power(void)
{
}
