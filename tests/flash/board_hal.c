/* A board for tests: its serial line is standard input and output, its clock the computer's, as cycles.
 * BOARD_PROBLEM is what its start-up complains of; BOARD_RUNS_AT its clock where it is not the board's;
 * BOARD_WITHOUT_PREFETCH and BOARD_INTERRUPT what its registers say. */
#define _POSIX_C_SOURCE 200809L

#include "board/soc/hal.h"
#include "target/board.h"

#include <stdlib.h>
#include <time.h>
#include <unistd.h>

void hal_init(void)
{
}

void hal_write(const char *bytes, uint32_t count)
{
    while (count != 0) {
        ssize_t sent = write(1, bytes, count);

        if (sent <= 0)
            exit(0);
        bytes += sent;
        count -= (uint32_t)sent;
    }
}

int hal_read(void)
{
    unsigned char byte;

    if (read(0, &byte, 1) != 1)
        exit(0);
    return byte;
}

static uint32_t core_hz(void)
{
    const char *other = getenv("BOARD_RUNS_AT");

    return other ? (uint32_t)strtoul(other, NULL, 10) : BOARD_HCLK_HZ;
}

uint64_t hal_counter(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return ((uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec) / 1000u * (core_hz() / 1000000u);
}

const struct hal_facts *hal_facts(void)
{
    static struct hal_facts facts = {.counter = "DWT CYCCNT", .unit = "cycles", .boots = 1};
    const char *problem = getenv("BOARD_PROBLEM");

    facts.problem = problem ? problem : "";
    facts.counter_hz = core_hz();
    return &facts;
}

void hal_state(hal_tell tell)
{
    tell("wait_states", BOARD_FLASH_LATENCY);
    tell("prefetch", getenv("BOARD_WITHOUT_PREFETCH") == NULL);
    tell("interrupts_masked", 0u);
    tell("systick_interrupt", 0u);
    if (getenv("BOARD_INTERRUPT"))
        tell("interrupt", (uint32_t)strtoul(getenv("BOARD_INTERRUPT"), NULL, 10));
}

void hal_exit(int status)
{
    exit(status);
}
