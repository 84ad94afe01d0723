/* Decimal to double. Short numbers are one exact division or product of doubles (W. Clinger 1990); all others are divided as big
 * integers, bit by bit, and rounded once. */
#include "format/number.h"

#include <math.h>
#include <string.h>

enum { MAX_DIGITS = 780 /* 768 decide the rounding of any double; what follows only tells "more" */, WORDS = 130 };

typedef struct decimal {
    uint8_t digit[MAX_DIGITS];
    int n;            /* digits, without leading zeros */
    int64_t exponent; /* of ten, for the integer that the digits are */
    bool more;        /* digits other than zero were left out */
} decimal;

static const char *skip_blanks(const char *c)
{
    while (*c == ' ' || *c == '\t')
        c++;
    return c;
}

static bool is_digit(char c) { return c >= '0' && c <= '9'; }

static void take_digit(decimal *d, int digit)
{
    if (d->n == 0 && digit == 0)
        return;
    if (d->n < MAX_DIGITS) {
        d->digit[d->n++] = (uint8_t)digit;
    } else {
        d->more = d->more || digit;
        d->exponent++;
    }
}

/* Digits, point, exponent. Returns where it ends, or NULL if there is no digit. */
static const char *read_decimal(const char *c, char point, decimal *d)
{
    int64_t seen = 0;
    for (; is_digit(*c); c++, seen++)
        take_digit(d, *c - '0');
    if (*c == point)
        for (c++; is_digit(*c); c++, seen++) {
            take_digit(d, *c - '0');
            d->exponent--;
        }
    if (!seen)
        return NULL;
    if (*c != 'e' && *c != 'E')
        return c;
    bool minus = c[1] == '-';
    c += 1 + (c[1] == '-' || c[1] == '+');
    if (!is_digit(*c))
        return NULL;
    int64_t e = 0;
    for (; is_digit(*c); c++)
        e = e < 100000000 ? e * 10 + (*c - '0') : e;
    d->exponent += minus ? -e : e;
    return c;
}

/* ---- big integers: little-endian words of 32 bits ---- */

typedef struct big {
    uint32_t word[WORDS];
    int n;
} big;

static void multiply_add(big *b, uint32_t factor, uint32_t add)
{
    uint64_t carry = add;
    for (int i = 0; i < b->n; i++) {
        carry += (uint64_t)b->word[i] * factor;
        b->word[i] = (uint32_t)carry;
        carry >>= 32;
    }
    if (carry)
        b->word[b->n++] = (uint32_t)carry;
}

static void multiply_by_ten_to(big *b, int64_t e)
{
    for (; e >= 9; e -= 9)
        multiply_add(b, 1000000000, 0);
    for (; e > 0; e--)
        multiply_add(b, 10, 0);
}

static int bits_of(const big *b)
{
    if (!b->n)
        return 0;
    int bits = 32 * b->n;
    for (uint32_t top = b->word[b->n - 1]; !(top & 0x80000000u); top <<= 1)
        bits--;
    return bits;
}

static void shift_left(big *b, int bits)
{
    int words = bits / 32, rest = bits % 32;
    if (!b->n || !bits)
        return;
    b->word[b->n] = 0;
    for (int i = b->n; i >= 0; i--) {
        uint64_t pair = (uint64_t)b->word[i] << 32 | (i ? b->word[i - 1] : 0);
        b->word[i + words] = (uint32_t)(pair >> (32 - rest));
    }
    memset(b->word, 0, sizeof *b->word * (size_t)words);
    b->n += words + 1;
    while (b->n && !b->word[b->n - 1])
        b->n--;
}

static int compare(const big *a, const big *b)
{
    if (a->n != b->n)
        return a->n < b->n ? -1 : 1;
    for (int i = a->n - 1; i >= 0; i--)
        if (a->word[i] != b->word[i])
            return a->word[i] < b->word[i] ? -1 : 1;
    return 0;
}

static void subtract(big *a, const big *b) /* a >= b */
{
    int64_t borrow = 0;
    for (int i = 0; i < a->n; i++) {
        int64_t t = (int64_t)a->word[i] - (i < b->n ? b->word[i] : 0) + borrow;
        a->word[i] = (uint32_t)t;
        borrow = t < 0 ? -1 : 0;
    }
    while (a->n && !a->word[a->n - 1])
        a->n--;
}

/* The first bits of top / bottom: as many as a double has at that magnitude, and one for rounding. */
static double divide(big *top, big *bottom, bool more)
{
    int scale = bits_of(top) - bits_of(bottom);
    shift_left(scale < 0 ? top : bottom, scale < 0 ? -scale : scale);
    if (compare(top, bottom) < 0) {
        shift_left(top, 1);
        scale--;
    }
    /* now 1 <= top / bottom < 2 and the value is that times 2^scale; the last bit of a double stands for 2^-1074 or more */
    int wanted = scale >= -1022 ? 54 : scale + 1076;
    if (scale > 1024 || wanted < 1)
        return scale > 0 ? HUGE_VAL : 0;
    uint64_t bits = 0;
    for (int i = 0; i < wanted; i++) {
        bool one = compare(top, bottom) >= 0;
        if (one)
            subtract(top, bottom);
        bits = bits << 1 | one;
        shift_left(top, 1);
    }
    bool rest = top->n || more, half = bits & 1;
    bits >>= 1;
    if (half && (rest || (bits & 1)))
        bits++;
    return ldexp((double)bits, scale - wanted + 2);
}

static double slow(const decimal *d)
{
    big top = { .n = 0 }, bottom = { .word = { 1 }, .n = 1 };
    if (d->exponent + d->n > 310)
        return HUGE_VAL;
    if (d->exponent + d->n < -326)
        return 0;
    for (int i = 0; i < d->n; i++)
        multiply_add(&top, 10, d->digit[i]);
    multiply_by_ten_to(d->exponent < 0 ? &bottom : &top, d->exponent < 0 ? -d->exponent : d->exponent);
    return divide(&top, &bottom, d->more);
}

static double value_of(const decimal *d)
{
    static const double ten_to[] = { 1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
                                     1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22 };
    if (!d->n)
        return 0;
    uint64_t whole = 0;
    if (d->n > 19 || d->exponent < -22 || d->exponent > 22)
        return slow(d);
    for (int i = 0; i < d->n; i++)
        whole = whole * 10 + d->digit[i];
    if (whole > (uint64_t)1 << 53)
        return slow(d);
    return d->exponent < 0 ? (double)whole / ten_to[-d->exponent] : (double)whole * ten_to[d->exponent];
}

/* ---- */

static const char *skip_word(const char *text, const char *word)
{
    for (; *word; text++, word++)
        if ((*text | 0x20) != *word)
            return NULL;
    return text;
}

static const char *read_special(const char *c, double *value)
{
    const char *end = skip_word(c, "infinity");
    end = end ? end : skip_word(c, "inf");
    *value = HUGE_VAL;
    if (!end && (end = skip_word(c, "nan")))
        *value = (double)NAN;
    return end;
}

bool grd_parse_number(const char *text, char point, double *value)
{
    decimal d;
    d.n = 0; /* the digits need no clearing */
    d.exponent = 0;
    d.more = false;
    const char *c = skip_blanks(text);
    bool minus = *c == '-';
    double v;
    c += *c == '-' || *c == '+';
    const char *end = read_decimal(c, point, &d);
    if (end)
        v = value_of(&d);
    else if (!(end = read_special(c, &v)))
        return false;
    if (*skip_blanks(end))
        return false;
    *value = minus ? -v : v;
    return true;
}

bool grd_parse_integer(const char *text, int64_t *value)
{
    const char *c = skip_blanks(text);
    bool minus = *c == '-';
    uint64_t v = 0, limit = (uint64_t)INT64_MAX + minus;
    c += *c == '-' || *c == '+';
    if (!is_digit(*c))
        return false;
    for (; is_digit(*c); c++) {
        unsigned digit = (unsigned)(*c - '0');
        if (v > (limit - digit) / 10)
            return false;
        v = v * 10 + digit;
    }
    if (*skip_blanks(c))
        return false;
    *value = minus ? (int64_t)(0 - v) : (int64_t)v;
    return true;
}

/* ---- dates ---- */

static const char *read_part(const char *c, int least, int most, int *value)
{
    int n = 0;
    for (*value = 0; is_digit(c[n]) && n < most; n++)
        *value = *value * 10 + (c[n] - '0');
    return n >= least && !is_digit(c[n]) ? c + n : NULL;
}

static bool is_day(int month, int day) { return month >= 1 && month <= 12 && day >= 1 && day <= 31; }

/* Nothing, or a time of day such as 12:30 or 12:30:59.5Z. */
static bool is_time(const char *c)
{
    int hour, minute;
    if (!*c)
        return true;
    if (*c != ' ' && *c != 'T')
        return false;
    c = skip_blanks(c + 1);
    if (!*c)
        return true;
    c = read_part(c, 1, 2, &hour);
    return c && *c == ':' && read_part(c + 1, 2, 2, &minute) && hour < 25 && minute < 60;
}

grd_date_order grd_parse_date(const char *text)
{
    int a, b, c;
    const char *at = read_part(skip_blanks(text), 1, 4, &a), *first = skip_blanks(text);
    if (!at || (*at != '-' && *at != '/' && *at != '.'))
        return GRD_DATE_NONE;
    bool year_first = at - first == 4;
    char mark = *at;
    at = read_part(at + 1, 1, 2, &b);
    if (!at || *at != mark)
        return GRD_DATE_NONE;
    at = read_part(at + 1, year_first ? 1 : 2, year_first ? 2 : 4, &c);
    if (!at || !is_time(at))
        return GRD_DATE_NONE;
    if (year_first)
        return mark != '.' && is_day(b, c) ? GRD_DATE_YMD : GRD_DATE_NONE;
    if (mark == '.' && is_day(b, a))
        return GRD_DATE_DMY;
    return mark == '/' && is_day(a, b) ? GRD_DATE_MDY : GRD_DATE_NONE;
}
