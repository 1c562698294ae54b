/* What F4 and F7 have in common: the map of RCC, PWR and FLASH, and the way to a fast clock. */
#ifndef STM32F4_F7_H
#define STM32F4_F7_H

#include "board/soc/stm32.h"

#define PWR_CR  REGISTER(0x40007000u)       /* PWR_CR1 and PWR_CSR1 on F7 */
#define PWR_CSR REGISTER(0x40007004u)

#define RCC_CR      REGISTER(0x40023800u)
#define RCC_PLLCFGR REGISTER(0x40023804u)
#define RCC_CFGR    REGISTER(0x40023808u)
#define RCC_AHB1ENR REGISTER(0x40023830u)
#define RCC_APB1ENR REGISTER(0x40023840u)
#define RCC_APB2ENR REGISTER(0x40023844u)

#define FLASH_ACR REGISTER(0x40023C00u)

#define GPIOA_BASE 0x40020000u

#if defined BOARD_UART_USART1
#define CONSOLE_UART {0x40011000u, &RCC_APB2ENR, 4u, BOARD_APB2_DIVIDER}
#elif defined BOARD_UART_USART2
#define CONSOLE_UART {0x40004400u, &RCC_APB1ENR, 17u, BOARD_APB1_DIVIDER}
#else
#define CONSOLE_UART {0x40004800u, &RCC_APB1ENR, 18u, BOARD_APB1_DIVIDER}     /* USART3 */
#endif

/* From HSI through the PLL to BOARD_HCLK_HZ. `scale`: field VOS; above `overdrive_above_hz` with over-drive;
 * `accelerators`: bits of FLASH_ACR. */
int f4_f7_clock_init(uint32_t scale, uint32_t overdrive_above_hz, uint32_t accelerators);

#endif
