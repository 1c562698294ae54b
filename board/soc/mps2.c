/* ARM MPS2 with the images AN386, AN500 and AN505, as QEMU models them: CMSDK UART 0, timer 0 and dual timer.
 * Registers: Cortex-M System Design Kit TRM (ARM DDI 0479), chapters 4.2 to 4.4; addresses: ARM DAI 0386, 0500
 * and 0505. AN505 starts in the secure state, and uses the secure aliases.
 */
#include "board/soc/cortex_interrupts.h"
#include "board/soc/hal.h"
#include "board/soc/registers.h"
#include "target/board.h"

#ifdef BOARD_CHIP_AN505
#define TIMER     0x50000000u
#define DUALTIMER 0x50002000u
#define UART      0x50200000u
#else
#define TIMER     0x40000000u
#define DUALTIMER 0x40002000u
#define UART      0x40004000u
#endif

#define TIMER_CTRL      REGISTER(TIMER + 0x00u)
#define TIMER_VALUE     REGISTER(TIMER + 0x04u)
#define TIMER_RELOAD    REGISTER(TIMER + 0x08u)
#define DUALTIMER_LOAD  REGISTER(DUALTIMER + 0x00u)
#define DUALTIMER_VALUE REGISTER(DUALTIMER + 0x04u)
#define DUALTIMER_CTRL  REGISTER(DUALTIMER + 0x08u)
#define UART_DATA       REGISTER(UART + 0x00u)
#define UART_STATE      REGISTER(UART + 0x04u)
#define UART_CTRL       REGISTER(UART + 0x08u)
#define UART_BAUDDIV    REGISTER(UART + 0x10u)

#define UART_TX_FULL 1u
#define UART_RX_FULL 2u
#define COARSE_TICKS 256u   /* the dual timer's prescaler */
#define PATIENCE     20000000u

void hal_init(void)
{
    UART_BAUDDIV = BOARD_HCLK_HZ / BOARD_BAUD;
    UART_CTRL = 3u;                 /* transmit and receive */
    (void)UART_DATA;                /* no byte is from before; QEMU looks for input again only after a read */

    /* Both count down and wrap; the slow one extends the 32 bits of the fast one to 40. */
    DUALTIMER_LOAD = 0xFFFFFFFFu;
    DUALTIMER_CTRL = 0x8Au;         /* enabled, free-running, 32 bits, clock / 256 */
    TIMER_RELOAD = 0xFFFFFFFFu;
    TIMER_VALUE = 0xFFFFFFFFu;
    TIMER_CTRL = 1u;
}

void hal_write(const char *bytes, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        for (uint32_t wait = PATIENCE; (UART_STATE & UART_TX_FULL) && wait != 0; wait--)
            ;
        UART_DATA = (uint8_t)bytes[i];
    }
}

int hal_read(void)
{
    for (uint32_t wait = PATIENCE; wait != 0; wait--)
        if (UART_STATE & UART_RX_FULL)
            return (int)(UART_DATA & 0xFFu);
    return -1;
}

uint64_t hal_counter(void)
{
    uint32_t fine = ~TIMER_VALUE;
    uint64_t coarse = (uint64_t)~DUALTIMER_VALUE * COARSE_TICKS;

    /* The count nearest to the coarse one of all those with these low 32 bits: no branch, so that
     * reading always costs the same. */
    return coarse + (uint64_t)(int64_t)(int32_t)(fine - (uint32_t)coarse);
}

const struct hal_facts *hal_facts(void)
{
    static struct hal_facts facts = {
        .counter = "CMSDK timer 0",
        .unit = "ticks",
        .counter_hz = BOARD_HCLK_HZ,
        .problem = "",
        .stack_low = stack_low,
        .stack_high = stack_high,
    };

    facts.boots = startup_boots;
    return &facts;
}

void hal_state(hal_tell tell)
{
    cortex_interrupts_tell(tell);
}

/* SYS_EXIT_EXTENDED: Semihosting for AArch32 and AArch64 (ARM 100863), section 7.11. */
void hal_exit(int status)
{
    uint32_t block[2] = {0x20026u /* ADP_Stopped_ApplicationExit */, (uint32_t)status};
    register uint32_t operation __asm("r0") = 0x20u;
    register void *argument __asm("r1") = block;

    __asm volatile("bkpt 0xAB" : "+r"(operation) : "r"(argument) : "memory");
}
