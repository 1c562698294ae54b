/* What only a Cortex-M7 has. */
#ifndef CORTEX_M7_H
#define CORTEX_M7_H

#include "board/soc/registers.h"

#define SCB_CCR REGISTER(0xE000ED14u)

/* The first-level caches, as accelerators of stm32.h: bits IC and DC. */
#define CORTEX_M7_CACHES {"instruction_cache", &SCB_CCR, 17u}, {"data_cache", &SCB_CCR, 16u}

void cortex_m7_caches_init(void);   /* both emptied and on */

#endif
