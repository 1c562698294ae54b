/* STM32F76x, F77x (RM0410). Code is fetched over AXI through the core's caches; the flash accelerator serves
 * the ITCM bus, for code linked at 0x00200000. */
#include "board/soc/cortex_m7.h"
#include "board/soc/stm32f4_f7.h"

#define SCALE              3u           /* scale 1 */
#define OVERDRIVE_ABOVE_HZ 180000000u

const struct stm32_family stm32_family = {
    .reset_hz = 16000000u,              /* HSI */
    .gpio = GPIOA_BASE,
    .gpio_enable = &RCC_AHB1ENR,
    .timer_enable = &RCC_APB1ENR,
    .uart = CONSOLE_UART,
    .flash_acr = &FLASH_ACR,
    .accelerators = {
        {"prefetch_of_itcm_bus", &FLASH_ACR, 8u},
        {"art_of_itcm_bus", &FLASH_ACR, 9u},
        CORTEX_M7_CACHES
    },
};

int stm32_clock_init(void)
{
    return f4_f7_clock_init(SCALE, OVERDRIVE_ABOVE_HZ, BIT(8) | BIT(9));               /* PRFTEN, ARTEN */
}

void stm32_console_power(void)
{
}
