/* EXP, LOG, RSQRT of int16: y = a line between two entries of a table, ties up
 *
 * TFLite keeps the difference of two entries in 16 bits, whatever it is (common.h, LUTLookup).
 */
#include "lookup_int16.h"

void lookup_int16_portable(const struct lookup_int16 *p, const int16_t *x, int16_t *y)
{
    for (int32_t i = 0; i < p->count; i++) {
        const int16_t *entry = p->table + 256 + (x[i] >> 7);
        int16_t slope = (int16_t)(entry[1] - entry[0]);

        y[i] = (int16_t)(entry[0] + ((slope * (x[i] & 127) + 64) >> 7));
    }
}
