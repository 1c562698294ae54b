/* The HAL of the STM32 families: what is left when the clock trees are taken out. */
#include "board/soc/hal.h"
#include "board/soc/cortex_interrupts.h"
#include "board/soc/cortex_m7.h"
#include "board/soc/stm32.h"
#include "board/soc/stm32_counter.h"
#include "board/soc/stm32_uart.h"

#define PATIENCE 100000u    /* polls: over 5 ms at any reset clock, far beyond the start-up times of data sheets */

#define GPIO_MODER   0x00u
#define GPIO_OSPEEDR 0x08u
#define GPIO_PUPDR   0x0Cu
#define GPIO_AFR     0x20u

static const char *problem = "";
static uint32_t core_hz;

int stm32_wait(volatile uint32_t *reg, uint32_t mask, uint32_t value, const char *complaint)
{
    for (uint32_t wait = PATIENCE; wait != 0; wait--)
        if ((*reg & mask) == value)
            return 1;
    if (problem[0] == '\0')
        problem = complaint;            /* the first failure explains the later ones */
    return 0;
}

static void pin_init(uint32_t port, uint32_t pin)
{
    uint32_t base = stm32_family.gpio + 0x400u * port;

    *stm32_family.gpio_enable |= BIT(port);
    (void)*stm32_family.gpio_enable;    /* the clock is there two cycles later */
    set_field(&REGISTER(base + GPIO_AFR + 4u * (pin / 8u)), 4u * (pin % 8u), 15u, BOARD_UART_FUNCTION);
    set_field(&REGISTER(base + GPIO_OSPEEDR), 2u * pin, 3u, 1u);
    set_field(&REGISTER(base + GPIO_PUPDR), 2u * pin, 3u, 1u);         /* an idle line is high */
    set_field(&REGISTER(base + GPIO_MODER), 2u * pin, 3u, 2u);         /* alternate function */
}

void hal_init(void)
{
    int raised = stm32_clock_init();
    uint32_t timer_divider = BOARD_APB1_DIVIDER == 1u ? 1u : BOARD_APB1_DIVIDER / 2u;   /* doubled: TIMPRE = 0 */

#ifdef BOARD_CORTEX_M7
    cortex_m7_caches_init();
#endif
    core_hz = raised ? BOARD_HCLK_HZ : stm32_family.reset_hz;
    stm32_console_power();
    pin_init(BOARD_TX_PORT, BOARD_TX_PIN);
    pin_init(BOARD_RX_PORT, BOARD_RX_PIN);
    stm32_uart_init(raised ? core_hz / stm32_family.uart.bus_divider : core_hz);
    stm32_counter_init(raised ? BOARD_AHB_DIVIDER * timer_divider : 1u);
}

void hal_write(const char *bytes, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        stm32_uart_send((uint8_t)bytes[i]);
}

int hal_read(void)
{
    for (uint32_t wait = core_hz / 32u; wait != 0; wait--) {    /* some 30 cycles each */
        int byte = stm32_uart_receive();

        if (byte >= 0)
            return byte;
    }
    return -1;
}

uint64_t hal_counter(void)
{
    return stm32_counter_read();
}

const struct hal_facts *hal_facts(void)
{
    static struct hal_facts facts;

    facts.counter = stm32_counter_name();
    facts.unit = "cycles";
    facts.counter_hz = core_hz;
    facts.problem = problem;
    facts.boots = startup_boots;
    facts.stack_low = stack_low;
    facts.stack_high = stack_high;
    return &facts;
}

void hal_state(hal_tell tell)
{
    const struct stm32_accelerator *accelerator = stm32_family.accelerators;

    tell("wait_states", *stm32_family.flash_acr & 15u);
    for (; accelerator->name; accelerator++)
        tell(accelerator->name, *accelerator->enable >> accelerator->enable_bit & 1u);
    cortex_interrupts_tell(tell);
}

void hal_exit(int status)
{
    (void)status;
}
