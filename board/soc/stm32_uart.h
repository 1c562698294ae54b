/* The UART of stm32_family, polled. */
#ifndef STM32_UART_H
#define STM32_UART_H

#include <stdint.h>

void stm32_uart_init(uint32_t clock_hz);    /* of the UART; BOARD_BAUD, 8 data bits, no parity, 1 stop bit */
void stm32_uart_send(uint8_t byte);         /* waits for room, for at most some ten bytes' time */
int stm32_uart_receive(void);               /* -1 when no byte is there */

#endif
