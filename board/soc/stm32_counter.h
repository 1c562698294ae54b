/* The core's cycles in 64 bits: DWT_CYCCNT, or SysTick where that does not count, carried on by TIM2. */
#ifndef STM32_COUNTER_H
#define STM32_COUNTER_H

#include <stdint.h>

void stm32_counter_init(uint32_t timer_divider);    /* core clock / clock of TIM2 */
uint64_t stm32_counter_read(void);
const char *stm32_counter_name(void);

#endif
