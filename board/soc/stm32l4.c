/* STM32L47x, L48x (RM0351) and L4+ (RM0432). */
#include "board/soc/stm32l4_g4.h"

#define RANGE_1_HZ 80000000u        /* above it only L4+, with R1MODE = 0 */
#define PORT_G     6u

const struct stm32_family stm32_family = {
    .reset_hz = 4000000u,           /* MSI */
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
    RCC_APB1ENR1 |= BIT(28);        /* PWREN */
    if (BOARD_TX_PORT == PORT_G || BOARD_RX_PORT == PORT_G)
        PWR_CR2 |= BIT(9);          /* IOSV: VddIO2, which supplies PG2 to PG15, is valid */
}
