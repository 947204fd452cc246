"""Writes vectors.txt: operands and correctly rounded results by MPFR (through gmpy2), an implementation that has
nothing in common with the one under test. Run: `python vectors.py > vectors.txt` with gmpy2 installed.

A line is `format op operands result`; a number is `[-]HEX@E` for HEX * 2^E, or inf, -inf, nan. The formats are f80,
f128 (with their exponent ranges and subnormals), d128 and d192 (that many bits, any exponent). A number in `dd` is
two doubles `hi,lo`, and results have 160 bits.
"""

import random
import gmpy2
from gmpy2 import mpfr

random.seed(20)
FORMATS = {"f80": (64, 16384), "f128": (113, 16384), "d128": (128, None), "d192": (192, None)}
ARITHMETIC = ["add", "sub", "mul", "div"]
UNARY = ["sqrt", "exp", "ln", "tanh", "sin", "cos", "asin", "acos", "atan"]
FUNCTION = {"sqrt": gmpy2.sqrt, "exp": gmpy2.exp, "ln": gmpy2.log, "tanh": gmpy2.tanh, "sin": gmpy2.sin,
            "cos": gmpy2.cos, "asin": gmpy2.asin, "acos": gmpy2.acos, "atan": gmpy2.atan}


def context(bits, emax):
    c = gmpy2.context(precision=bits, round=gmpy2.RoundToNearest)
    if emax:
        c.emax, c.emin, c.subnormalize = emax, 4 - emax - bits, True
    gmpy2.set_context(c)


def show(x):
    if gmpy2.is_nan(x):
        return "nan"
    if gmpy2.is_infinite(x):
        return "-inf" if x < 0 else "inf"
    if x == 0:
        return "-0@0" if gmpy2.is_signed(x) else "0@0"
    m, e = x.as_mantissa_exp()
    return f"{'-' if m < 0 else ''}{abs(int(m)):x}@{int(e)}"


def number(bits, low, high, sign=True):
    m = random.choice([random.getrandbits(bits) | 1, random.getrandbits(20) | 1, (1 << bits) - 1, 1 << (bits - 1)])
    e = random.randint(low, high) - m.bit_length()
    x = gmpy2.mul_2exp(mpfr(m), e) if e >= 0 else gmpy2.div_2exp(mpfr(m), -e)
    return -x if sign and random.random() < 0.5 else x


def main():
    for name, (bits, emax) in FORMATS.items():
        context(bits, emax)
        def put(op, args, result):
            print(name, op, *[show(a) for a in args], show(result))
        for op in ARITHMETIC:
            f = getattr(gmpy2, op)
            for i in range(36):
                a, b = number(bits, -40, 40), number(bits, -40, 40)
                if i % 4 == 0:  # aligned so that sums tie, or nearly
                    b = gmpy2.div_2exp(number(bits, 0, 0), bits - 40 + random.randint(-2, 2))
                    a = number(bits, 40, 40)
                if i % 9 == 1:  # cancellation
                    b = -gmpy2.next_above(a) if op == "add" else gmpy2.next_above(a)
                if emax and i % 6 == 5:  # the ends of the range
                    a = number(bits, emax - 2, emax) if i % 12 == 5 else number(bits, 3 - emax - bits // 2, 8 - emax)
                    b = number(bits, emax - 3, emax) if random.random() < 0.5 else number(bits, -20, 3)
                put(op, (a, b), f(a, b))
        for op in UNARY:
            for i in range(22):
                if op == "sqrt":
                    x = number(bits, -60, 60, False)
                elif op == "ln":
                    x = 1 + number(bits, -60, -2) if i % 3 == 0 else number(bits, -60, 60, False)
                elif op in ("asin", "acos"):
                    x = 1 - number(bits, -40, -2, False) if i % 3 == 0 else number(bits, -30, 0)
                elif op in ("sin", "cos"):
                    x = gmpy2.const_pi() * random.randint(1, 40) / 2 if i % 5 == 0 else number(bits, -30, 12)
                elif op == "exp":
                    x = number(bits, -40, 9)
                else:
                    x = number(bits, -40, 6)
                put(op, (x,), FUNCTION[op](x))
        for i in range(22):
            x, y = number(bits, -6, 6, False), number(bits, -4, 5)
            if i % 3 == 0:
                x, y = number(bits, -6, 6), mpfr(random.randint(-30, 30))
            put("pow", (x, y), x ** y)
    for op in ARITHMETIC + UNARY:
        for i in range(22):
            context(53, None)
            def pair(low, high, sign=True):
                a = number(53, low, high, sign)
                b = number(53, 0, 0)
                b = gmpy2.mul_2exp(b, e) if (e := int(gmpy2.get_exp(a)) - 54) >= 0 else gmpy2.div_2exp(b, -e)
                return a, b
            low, high, sign = {"exp": (-40, 9, True), "ln": (-60, 60, False), "sqrt": (-60, 60, False), "sin": (-30, 12, True),
                               "cos": (-30, 12, True), "asin": (-30, -1, True), "acos": (-30, -1, True),
                               "atan": (-40, 20, True), "tanh": (-40, 6, True)}.get(op, (-40, 40, True))
            args = [pair(low, high, sign) for _ in range(2 if op in ARITHMETIC else 1)]
            if op == "ln" and i % 3 == 0:
                near = pair(-60, -2)
                args = [(mpfr(1), near[0])]
            if op in ("add", "sub") and i % 5 == 0:
                s = -1 if op == "add" else 1
                args[1] = (s * args[0][0], s * gmpy2.next_above(args[0][1]))
            context(400, None)
            exact = [mpfr(a) + mpfr(b) for a, b in args]
            gmpy2.get_context().precision = 160
            r = getattr(gmpy2, op)(*exact) if op in ARITHMETIC else FUNCTION[op](*exact)
            print("dd", op, *[f"{show(a)},{show(b)}" for a, b in args], show(r))


main()
