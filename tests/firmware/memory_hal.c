/* A HAL for tests: the console is memory, the clock stands still but for what the tests let pass. */
#include <string.h>

#include "board/soc/hal.h"
#include "harness/harness.h"

uint64_t test_clock;
static char sent[1 << 20];
static uint32_t sent_count;

void hal_init(void) {}
void hal_write(const char *bytes, uint32_t count)
{
    if (count > sizeof sent - sent_count)
        count = (uint32_t)sizeof sent - sent_count;
    memcpy(sent + sent_count, bytes, count);
    sent_count += count;
}
int hal_read(void) { return -1; }
uint64_t hal_counter(void) { return test_clock += 7u; }     /* a read costs something, as everywhere */
void hal_exit(int status) { (void)status; }

void hal_state(hal_tell tell)
{
    tell("wait_states", 5u);
    tell("prefetch", 1u);
    tell("data_cache", 0u);
    tell("interrupts_masked", 0u);
    tell("systick_interrupt", 1u);
    tell("interrupt", 28u);
    tell("interrupt", 101u);
}

const struct hal_facts *hal_facts(void)
{
    static const struct hal_facts facts = {"test clock", "ticks", 1000000u, "", 1u, NULL, NULL};
    return &facts;
}

void test_feed(const char *bytes, uint32_t count);
uint32_t test_take(char *to, uint32_t most);

void test_feed(const char *bytes, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        harness_byte(bytes[i]);
}

uint32_t test_take(char *to, uint32_t most)
{
    uint32_t count = sent_count < most ? sent_count : most;

    memcpy(to, sent, count);
    memmove(sent, sent + count, sent_count - count);
    sent_count -= count;
    return count;
}
