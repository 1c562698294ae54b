/* Whether an interrupt can come in between: what every core of the M profile says of that. */
#ifndef CORTEX_INTERRUPTS_H
#define CORTEX_INTERRUPTS_H

#include "board/soc/hal.h"

/* `interrupts_masked`, `systick_interrupt`, and an `interrupt` for each line that is enabled. */
void cortex_interrupts_tell(hal_tell tell);

#endif
