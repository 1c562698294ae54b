/* One count for the whole process: virtual boards run one after the other. */
#ifndef COUNT_H
#define COUNT_H

#include <stdint.h>

void count_reset(void);

/* Memory that code may lie in; 0 when there are too many regions. */
int count_region(uint32_t origin, uint32_t bytes, const uint8_t *memory);

/* Unicorn's callback for UC_HOOK_BLOCK. */
void count_block(void *engine, uint64_t address, uint32_t bytes, void *context);

/* Instructions so far, the one at `pc`, which is under way, included. */
uint64_t count_until(uint32_t pc);

#endif
