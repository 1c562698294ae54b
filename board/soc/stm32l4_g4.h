/* What L4, L4+ and G4 have in common: the map of RCC, PWR and FLASH, and the way to a fast clock. */
#ifndef STM32L4_G4_H
#define STM32L4_G4_H

#include "board/soc/stm32.h"

#define PWR_CR1 REGISTER(0x40007000u)
#define PWR_CR2 REGISTER(0x40007004u)
#define PWR_SR2 REGISTER(0x40007014u)
#define PWR_CR5 REGISTER(0x40007080u)

#define RCC_CR       REGISTER(0x40021000u)
#define RCC_CFGR     REGISTER(0x40021008u)
#define RCC_PLLCFGR  REGISTER(0x4002100Cu)
#define RCC_AHB2ENR  REGISTER(0x4002104Cu)
#define RCC_APB1ENR1 REGISTER(0x40021058u)
#define RCC_APB1ENR2 REGISTER(0x4002105Cu)
#define RCC_APB2ENR  REGISTER(0x40021060u)

#define FLASH_ACR REGISTER(0x40022000u)

#define GPIOA_BASE 0x48000000u

#if defined BOARD_UART_LPUART1
#define CONSOLE_UART {0x40008000u, &RCC_APB1ENR2, 0u, BOARD_APB1_DIVIDER}
#elif defined BOARD_UART_USART1
#define CONSOLE_UART {0x40013800u, &RCC_APB2ENR, 14u, BOARD_APB2_DIVIDER}
#elif defined BOARD_UART_USART2
#define CONSOLE_UART {0x40004400u, &RCC_APB1ENR1, 17u, BOARD_APB1_DIVIDER}
#else
#define CONSOLE_UART {0x40004800u, &RCC_APB1ENR1, 18u, BOARD_APB1_DIVIDER}    /* USART3 */
#endif

/* From HSI16 through the PLL to BOARD_HCLK_HZ; above `range_1_hz` with the regulator boosted. */
int l4_g4_clock_init(uint32_t range_1_hz);

#endif
