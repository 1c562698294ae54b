/* STM32L4 and L4+: clock from HSI16 through the PLL, LPUART1 as console, DWT as counter.
 * Sections are those of RM0432 Rev 9 (STM32L4+); register names are ST's. board.h gives the numbers.
 */
#include "board/soc/hal.h"
#include "target/board.h"

#define REGISTER(address) (*(volatile uint32_t *)(address))
#define BIT(n)            (1u << (n))

#define PWR_CR1  REGISTER(0x40007000u)      /* 5.4 PWR registers */
#define PWR_CR2  REGISTER(0x40007004u)
#define PWR_SR2  REGISTER(0x40007014u)
#define PWR_CR5  REGISTER(0x40007080u)

#define RCC_CR       REGISTER(0x40021000u)  /* 6.4 RCC registers */
#define RCC_CFGR     REGISTER(0x40021008u)
#define RCC_PLLCFGR  REGISTER(0x4002100Cu)
#define RCC_AHB2ENR  REGISTER(0x4002104Cu)
#define RCC_APB1ENR1 REGISTER(0x40021058u)
#define RCC_APB1ENR2 REGISTER(0x4002105Cu)
#define RCC_CCIPR    REGISTER(0x40021088u)

#define FLASH_ACR REGISTER(0x40022000u)     /* 3.7.1 */

#define GPIO(port)    (0x48000000u + 0x400u * (port))   /* 8.4 GPIO registers */
#define GPIO_MODER    0x00u
#define GPIO_OSPEEDR  0x08u
#define GPIO_PUPDR    0x0Cu
#define GPIO_AFR      0x20u
#define PORT_G        6u

#define LPUART1_CR1 REGISTER(0x40008000u)   /* LPUART registers */
#define LPUART1_BRR REGISTER(0x4000800Cu)
#define LPUART1_ISR REGISTER(0x4000801Cu)
#define LPUART1_ICR REGISTER(0x40008020u)
#define LPUART1_RDR REGISTER(0x40008024u)
#define LPUART1_TDR REGISTER(0x40008028u)

#define TIM2_CR1 REGISTER(0x40000000u)      /* general-purpose timer registers */
#define TIM2_EGR REGISTER(0x40000014u)
#define TIM2_CNT REGISTER(0x40000024u)
#define TIM2_PSC REGISTER(0x40000028u)
#define TIM2_ARR REGISTER(0x4000002Cu)

#define DEMCR      REGISTER(0xE000EDFCu)    /* ARMv7-M Architecture Reference Manual, C1.6.5 and C1.8 */
#define DWT_CTRL   REGISTER(0xE0001000u)
#define DWT_CYCCNT REGISTER(0xE0001004u)
#define SYST_CSR   REGISTER(0xE000E010u)    /* the same, B3.3 */
#define SYST_RVR   REGISTER(0xE000E014u)
#define SYST_CVR   REGISTER(0xE000E018u)

#define HSI16_HZ      16000000u
#define PATIENCE      100000u   /* polls: some 50 ms at 16 MHz, far beyond any start-up time in DS12023 */
#define READ_POLLS    (BOARD_HCLK_HZ / 8u)
#define COARSE_CYCLES 65536u    /* TIM2's prescaler */
#define SYSTICK_BITS  24u

static const char *problem = "";
static uint32_t core_hz = 4000000u;     /* MSI, until the PLL takes over */
static uint32_t coarse_mask;            /* all ones when TIM2 counts */
static uint32_t fine_unused_bits;       /* 0 for the 32 bits of DWT_CYCCNT, 8 for the 24 of SysTick */

static int wait_for(volatile uint32_t *reg, uint32_t mask, uint32_t value, const char *what)
{
    for (uint32_t wait = PATIENCE; wait != 0; wait--)
        if ((*reg & mask) == value)
            return 1;
    if (problem[0] == '\0')
        problem = what;                 /* the first failure explains the later ones */
    return 0;
}

/* 5.1.8 dynamic voltage scaling and 6.2.9 system clock selection: to range 1 boost with HCLK halved for the
 * first microsecond. Stays on MSI when anything does not come ready: the console works all the same. */
static void clock_init(void)
{
    RCC_APB1ENR1 |= BIT(28);                                            /* PWREN */
    (void)RCC_APB1ENR1;
    PWR_CR1 = (PWR_CR1 & ~(3u << 9)) | (1u << 9);                       /* VOS: range 1 */
    if (!wait_for(&PWR_SR2, BIT(10), 0u, "voltage range 1 was not reached (VOSF)"))
        return;
    PWR_CR5 &= ~BIT(8);                                                 /* R1MODE: boost */

    RCC_CR |= BIT(8);                                                   /* HSION */
    if (!wait_for(&RCC_CR, BIT(10), BIT(10), "HSI16 did not start (HSIRDY)"))
        return;

    /* 3.3.4: more wait states before the clock rises; then prefetch and both caches. */
    FLASH_ACR = BOARD_FLASH_LATENCY | BIT(8) | BIT(9) | BIT(10);
    if (!wait_for(&FLASH_ACR, 15u, BOARD_FLASH_LATENCY, "the flash wait states were not taken (FLASH_ACR)"))
        return;

    RCC_PLLCFGR = 2u                                                    /* PLLSRC: HSI16 */
        | (BOARD_PLL_M - 1u) << 4 | BOARD_PLL_N << 8 | BIT(24)          /* PLLREN */
        | (BOARD_PLL_R / 2u - 1u) << 25;
    RCC_CR |= BIT(24);                                                  /* PLLON */
    if (!wait_for(&RCC_CR, BIT(25), BIT(25), "the PLL did not lock (PLLRDY)"))
        return;

    RCC_CFGR = 8u << 4 | 3u;                                            /* HPRE: / 2, SW: PLL */
    if (!wait_for(&RCC_CFGR, 3u << 2, 3u << 2, "the core did not switch to the PLL (SWS)"))
        return;
    for (volatile uint32_t wait = 60u; wait != 0; wait--)               /* at least 1 us */
        ;
    RCC_CFGR = 3u;                                                      /* HPRE: / 1 */
    core_hz = BOARD_HCLK_HZ;
}

static void pin_init(uint32_t port, uint32_t pin)
{
    uint32_t base = GPIO(port);
    uint32_t shift = 4u * (pin % 8u);
    volatile uint32_t *function = &REGISTER(base + GPIO_AFR + 4u * (pin / 8u));

    *function = (*function & ~(15u << shift)) | BOARD_UART_FUNCTION << shift;
    REGISTER(base + GPIO_OSPEEDR) |= 1u << (2u * pin);
    REGISTER(base + GPIO_PUPDR) = (REGISTER(base + GPIO_PUPDR) & ~(3u << (2u * pin))) | 1u << (2u * pin);
    REGISTER(base + GPIO_MODER) = (REGISTER(base + GPIO_MODER) & ~(3u << (2u * pin))) | 2u << (2u * pin);
}

/* LPUART1 runs from HSI16, so its baud rate holds whatever became of the PLL. */
static void console_init(void)
{
    RCC_AHB2ENR |= BIT(BOARD_TX_PORT) | BIT(BOARD_RX_PORT);
    if (BOARD_TX_PORT == PORT_G || BOARD_RX_PORT == PORT_G)
        PWR_CR2 |= BIT(9);                                              /* IOSV: VddIO2 is valid */
    pin_init(BOARD_TX_PORT, BOARD_TX_PIN);
    pin_init(BOARD_RX_PORT, BOARD_RX_PIN);

    RCC_CR |= BIT(8);
    wait_for(&RCC_CR, BIT(10), BIT(10), "HSI16 did not start (HSIRDY)");
    RCC_CCIPR = (RCC_CCIPR & ~(3u << 10)) | 2u << 10;                   /* LPUART1SEL: HSI16 */
    RCC_APB1ENR2 |= BIT(0);
    (void)RCC_APB1ENR2;
    LPUART1_CR1 = 0u;
    LPUART1_BRR = (uint32_t)((256ull * HSI16_HZ + BOARD_BAUD / 2u) / BOARD_BAUD);
    LPUART1_CR1 = BIT(29) | BIT(3) | BIT(2) | BIT(0);                   /* FIFOEN, TE, RE, UE */
    wait_for(&LPUART1_ISR, BIT(21) | BIT(22), BIT(21) | BIT(22), "LPUART1 did not answer (TEACK, REACK)");
}

static uint32_t read_fine(void)
{
    return fine_unused_bits ? ~SYST_CVR << 8 : DWT_CYCCNT;
}

static void counter_init(void)
{
    uint32_t before;

    DEMCR |= BIT(24);                                                   /* TRCENA */
    DWT_CYCCNT = 0u;
    DWT_CTRL |= BIT(0);                                                 /* CYCCNTENA */
    RCC_APB1ENR1 |= BIT(0);                                             /* TIM2EN */
    (void)RCC_APB1ENR1;
    TIM2_PSC = COARSE_CYCLES - 1u;
    TIM2_ARR = 0xFFFFFFFFu;
    TIM2_EGR = 1u;                                                      /* load the prescaler */
    TIM2_CR1 = 1u;

    before = DWT_CYCCNT;
    for (volatile uint32_t wait = 16u; wait != 0; wait--)
        ;
    if (DWT_CYCCNT == before) {
        fine_unused_bits = 32u - SYSTICK_BITS;                          /* as in simulators */
        SYST_RVR = 0xFFFFFFu;
        SYST_CVR = 0u;
        SYST_CSR = 5u;                                                  /* the core's clock, no interrupt */
    }
    before = TIM2_CNT;
    for (volatile uint32_t wait = COARSE_CYCLES; wait != 0; wait--)     /* several cycles a turn */
        ;
    if (TIM2_CNT != before)
        coarse_mask = 0xFFFFFFFFu;
}

void hal_init(void)
{
    clock_init();
    console_init();
    counter_init();
}

void hal_write(const char *bytes, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        for (uint32_t wait = PATIENCE; !(LPUART1_ISR & BIT(7)) && wait != 0; wait--)    /* TXFNF */
            ;
        LPUART1_TDR = (uint8_t)bytes[i];
    }
}

int hal_read(void)
{
    for (uint32_t wait = READ_POLLS; wait != 0; wait--) {
        uint32_t state = LPUART1_ISR;

        if (state & BIT(3))
            LPUART1_ICR = BIT(3);       /* overrun: a byte is lost, which the line's CRC will tell */
        if (state & BIT(5))             /* RXFNE */
            return (int)(LPUART1_RDR & 0xFFu);
    }
    return -1;
}

uint64_t hal_counter(void)
{
    uint32_t fine = read_fine();
    uint64_t coarse = (uint64_t)(TIM2_CNT & coarse_mask) * COARSE_CYCLES;
    uint32_t ahead = fine - ((uint32_t)coarse << fine_unused_bits);

    if (coarse_mask == 0u)
        return fine >> fine_unused_bits;
    /* The count nearest to the coarse one of all those with these low bits. */
    return coarse + (uint64_t)(int64_t)((int32_t)ahead >> fine_unused_bits);
}

const struct hal_facts *hal_facts(void)
{
    static struct hal_facts facts;

    facts.counter = fine_unused_bits ? "SysTick" : "DWT CYCCNT";
    facts.unit = "cycles";
    facts.counter_hz = core_hz;
    facts.problem = problem;
    facts.boots = startup_boots;
    facts.stack_low = stack_low;
    facts.stack_high = stack_high;
    return &facts;
}

void hal_exit(int status)
{
    (void)status;
}
