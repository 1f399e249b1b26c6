// SPDX-License-Identifier: Apache-2.0
// Checks an implementation of HiF8 in C, the one below, against the conformance vectors.
//   cc -o check_vectors check_vectors.c && ./check_vectors FOLDER
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

struct format {
    int exponent_width, fraction_width;
};
static const struct format FP32 = {8, 23}, FP16 = {5, 10}, BF16 = {8, 7};

enum rounding { TA, HR, HR_KEEP_EXACT };

// Joins sign, exponent and a significand of n fraction bits, the hidden one included.
static unsigned join(unsigned sign, int exponent, unsigned significand, int n)
{
    if (significand >> (n + 1)) {  // a carry out of it
        exponent++;
        significand = 1u << n;
    }
    unsigned size = abs(exponent), negative = exponent < 0, code;
    unsigned mantissa = significand == 1u << n ? 0 : significand & ((1u << n) - 1);
    if (exponent < -15)
        code = exponent + 23;
    else if (exponent > 15 || (exponent == 15 && mantissa))
        code = 0x6F;
    else if (size >= 8)
        code = 0x60 | negative << 4 | (size & 7) << 1 | mantissa;
    else if (size >= 4)
        code = 0x40 | negative << 4 | (size & 3) << 2 | mantissa;
    else if (size >= 2)
        code = 0x20 | negative << 4 | (size & 1) << 3 | mantissa;
    else if (size == 1)
        code = 0x10 | negative << 3 | mantissa;
    else
        code = 0x08 | mantissa;
    return sign << 7 | code;
}

static unsigned encode(const struct format *f, uint32_t x, enum rounding rounding)
{
    int w = f->exponent_width, m = f->fraction_width, bias = (1 << (w - 1)) - 1;
    unsigned sign = x >> (w + m) & 1;
    int biased = x >> m & ((1u << w) - 1);
    uint32_t raw = x & ((1u << m) - 1), significand = biased ? raw | 1u << m : raw;
    int exponent = (biased ? biased : 1) - bias;
    if (biased == (1 << w) - 1)
        return raw ? 0x80 : sign << 7 | 0x6F;
    if (significand == 0)
        return 0x00;
    for (; !(significand >> m); exponent--)
        significand <<= 1;
    if (exponent < -23)
        return 0x00;
    if (exponent > 15 || (exponent == 15 && significand >> (m - 2) > 4))  // 1.25 * 2^15
        return sign << 7 | 0x6F;

    int size = abs(exponent);
    int n = exponent < -22 ? -1 : exponent < -15 ? 0 : size >= 8 ? 1 : size >= 4 ? 2 : 3;
    int compared = rounding == TA || size < 4 ? 1 : m == 23 ? 14 : 2;
    uint32_t found = significand >> (m - n - compared) & ((1u << compared) - 1);
    uint32_t threshold = compared == 1 ? 1 : compared == 14 ? raw & 0x3FFF : (raw & 1) << 1 | 1;
    if (rounding == HR_KEEP_EXACT && threshold == 0)
        threshold = 1;
    unsigned kept = (significand >> (m - n)) + (found >= threshold);
    if (n < 0)  // below the smallest value: it or zero
        return kept ? sign << 7 | 0x01 : 0x00;
    return join(sign, exponent, kept, n);
}

static unsigned with_options(unsigned code, int saturate, int nan_to_zero)
{
    if (code == 0x80 && nan_to_zero)
        code = 0x00;
    if ((code & 0x7F) == 0x6F && saturate)
        code--;
    return code;
}

struct fields {
    unsigned sign, exponent, significand, zero, inf, nan;  // exponent: 8 bits, two's complement
};

static struct fields decode(unsigned code)
{
    unsigned rest = code & 0x7F, significand;
    int exponent;
    if (rest >= 0x60) {
        exponent = (rest & 0x10 ? -1 : 1) * (int)(8 + (rest >> 1 & 7));
        significand = 8 + (rest & 1) * 4;
    } else if (rest >= 0x40) {
        exponent = (rest & 0x10 ? -1 : 1) * (int)(4 + (rest >> 2 & 3));
        significand = 8 + (rest & 3) * 2;
    } else if (rest >= 0x20) {
        exponent = (rest & 0x10 ? -1 : 1) * (int)(2 + (rest >> 3 & 1));
        significand = 8 + (rest & 7);
    } else if (rest >= 0x08) {
        exponent = rest < 0x10 ? 0 : rest & 0x08 ? -1 : 1;
        significand = 8 + (rest & 7);
    } else {
        exponent = (int)rest - 23;
        significand = rest ? 8 : 0;
    }
    struct fields fields = {code >> 7,    (unsigned)exponent & 0xFF, significand, code == 0x00,
                            rest == 0x6F, code == 0x80};
    return fields;
}

static unsigned long word(const struct format *f, const struct fields *v)
{
    int w = f->exponent_width, m = f->fraction_width, bias = (1 << (w - 1)) - 1;
    int exponent = (int)(v->exponent ^ 0x80) - 0x80 + bias;
    unsigned long infinity = ((1ul << w) - 1) << m, sign = (unsigned long)v->sign << (w + m);
    unsigned long significand = (unsigned long)v->significand << (m - 3);
    if (v->nan)
        return infinity | 1ul << (m - 1);
    if (v->inf)
        return sign | infinity;
    if (v->zero)
        return 0;
    if (exponent < 1)  // subnormal
        return sign | significand >> (1 - exponent);
    return sign | (unsigned long)exponent << m | (significand & ((1ul << m) - 1));
}

static long total, wrong;

// Calls `check` with every row of a file, and counts what it says; the file must have all its rows.
static void check_file(const char *folder, const char *name, const struct format *f,
                       int (*check)(const struct format *, const char *, long))
{
    char path[4096], line[256];
    long announced = 0, rows = 0;
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "r");
    if (!file) {
        perror(path);
        exit(2);
    }
    while (fgets(line, sizeof line, file)) {
        if (line[0] == '/') {
            sscanf(line, "// %ld rows of", &announced);
        } else if (!check(f, line, rows++)) {
            wrong++;
            printf("%s: %s", name, line);
        }
    }
    if (rows == 0 || rows != announced) {
        wrong++;
        printf("%s: %ld rows of %ld\n", name, rows, announced);
    }
    total += rows;
    fclose(file);
}

static int check_decode(const struct format *f, const char *line, long row)
{
    unsigned code, w32, w16, wb16;
    struct fields v, got;
    (void)f;
    if (sscanf(line, "%x_%x_%x_%x_%x_%x_%x_%x_%x_%x", &code, &v.sign, &v.exponent, &v.significand,
               &v.zero, &v.inf, &v.nan, &w32, &w16, &wb16) != 10)
        return 0;
    got = decode(code);
    return code == row && got.sign == v.sign && got.exponent == v.exponent &&
           got.significand == v.significand && got.zero == v.zero && got.inf == v.inf &&
           got.nan == v.nan && word(&FP32, &got) == w32 && word(&FP16, &got) == w16 &&
           word(&BF16, &got) == wb16;
}

static int check_encode(const struct format *f, const char *line, long row)
{
    unsigned x, codes[3];
    if (sscanf(line, "%x_%x_%x_%x", &x, codes, codes + 1, codes + 2) != 4)
        return 0;
    if (f != &FP32 && x != row)  // every word of 16 bits, in order
        return 0;
    for (int mode = TA; mode <= HR_KEEP_EXACT; mode++)
        for (int option = 0; option < 4; option++) {
            unsigned code = encode(f, x, (enum rounding)mode);
            if (with_options(code, option >> 1, option & 1) != (codes[mode] >> 8 * option & 0xFF))
                return 0;
        }
    return 1;
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "usage: %s FOLDER\n", argv[0]);
        return 2;
    }
    check_file(argv[1], "decode.hex", NULL, check_decode);
    check_file(argv[1], "encode_fp16.hex", &FP16, check_encode);
    check_file(argv[1], "encode_bf16.hex", &BF16, check_encode);
    check_file(argv[1], "encode_fp32.hex", &FP32, check_encode);
    printf("%s: %ld rows, %ld wrong\n", wrong ? "FAIL" : "PASS", total, wrong);
    return wrong != 0;
}
