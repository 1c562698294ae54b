#include "board/soc/hal.h"
#include "harness/harness.h"

int main(void)
{
    hal_init();
    harness_start();
    for (;;) {
        int byte = hal_read();

        if (byte >= 0)
            harness_byte((char)byte);
    }
}
