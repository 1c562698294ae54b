/* USART and LPUART. F4 has the older kind, with other offsets; the flags have the same places in both. */
#include "board/soc/stm32_uart.h"
#include "board/soc/stm32.h"

#ifdef BOARD_SOC_STM32F4
#define STATE  0x00u                /* USART_SR */
#define RDR    0x04u                /* USART_DR */
#define TDR    0x04u
#define BRR    0x08u
#define CR1    0x0Cu
#define CR1_UE BIT(13)
#else
#define CR1    0x00u
#define BRR    0x0Cu
#define STATE  0x1Cu                /* USART_ISR */
#define ICR    0x20u
#define RDR    0x24u
#define TDR    0x28u
#define CR1_UE BIT(0)
#endif
#define CR1_RE BIT(2)
#define CR1_TE BIT(3)
#ifdef BOARD_UART_FIFO
#define CR1_FIFOEN BIT(29)
#else
#define CR1_FIFOEN 0u
#endif

#define ORE  BIT(3)
#define RXNE BIT(5)
#define TXE  BIT(7)
#define ACKNOWLEDGED (BIT(21) | BIT(22))    /* TEACK, REACK */

#define SEND_POLLS (BOARD_HCLK_HZ / BOARD_BAUD * 100u)  /* at least a cycle each: the time of some ten bytes */

#define UART(offset) REGISTER(stm32_family.uart.base + (offset))

void stm32_uart_init(uint32_t clock_hz)
{
    *stm32_family.uart.enable |= BIT(stm32_family.uart.enable_bit);
    (void)*stm32_family.uart.enable;
    UART(CR1) = 0u;
#ifdef BOARD_UART_LPUART1
    /* 256 * clock / baud, to the nearest, without a division of 64 bits. */
    UART(BRR) = clock_hz / BOARD_BAUD * 256u + (clock_hz % BOARD_BAUD * 256u + BOARD_BAUD / 2u) / BOARD_BAUD;
#else
    UART(BRR) = (clock_hz + BOARD_BAUD / 2u) / BOARD_BAUD;
#endif
    UART(CR1) = CR1_FIFOEN | CR1_TE | CR1_RE | CR1_UE;
#ifdef ICR
    stm32_wait(&UART(STATE), ACKNOWLEDGED, ACKNOWLEDGED, "the UART did not answer (TEACK, REACK)");
#endif
}

void stm32_uart_send(uint8_t byte)
{
    for (uint32_t wait = SEND_POLLS; !(UART(STATE) & TXE) && wait != 0; wait--)
        ;
    UART(TDR) = byte;
}

int stm32_uart_receive(void)
{
    uint32_t state = UART(STATE);

#ifdef ICR
    if (state & ORE)
        UART(ICR) = ORE;            /* overrun: a byte is lost, which the line's CRC will tell */
    return state & RXNE ? (int)(UART(RDR) & 0xFFu) : -1;
#else
    return state & (RXNE | ORE) ? (int)(UART(RDR) & 0xFFu) : -1;    /* reading the byte clears an overrun too */
#endif
}
