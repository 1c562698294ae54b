/* ARMv7-M Architecture Reference Manual (ARM DDI 0403E): B1.4.3 PRIMASK, B3.3.3 SysTick, B3.4 NVIC; the same in
 * ARMv8-M.
 */
#include "board/soc/cortex_interrupts.h"
#include "board/soc/registers.h"

#define ICTR       REGISTER(0xE000E004u)
#define SYST_CSR   REGISTER(0xE000E010u)
#define NVIC_ISER0 0xE000E100u              /* the others follow; a bit that is set is a line that is enabled */

void cortex_interrupts_tell(hal_tell tell)
{
    uint32_t words = (ICTR & 15u) + 1u;     /* INTLINESNUM */
    uint32_t masked;

    __asm volatile("mrs %0, primask" : "=r"(masked));
    tell("interrupts_masked", masked);
    tell("systick_interrupt", SYST_CSR >> 1 & 1u);
    for (uint32_t word = 0; word < words; word++) {
        uint32_t enabled = REGISTER(NVIC_ISER0 + 4u * word);

        for (uint32_t line = 0; line < 32u; line++)
            if (enabled & BIT(line))
                tell("interrupt", 32u * word + line);
    }
}
