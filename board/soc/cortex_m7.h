/* What only a Cortex-M7 has. */
#ifndef CORTEX_M7_H
#define CORTEX_M7_H

void cortex_m7_caches_init(void);   /* both first-level caches emptied and on */

#endif
