/*
 * interval.c - the bounds of Clopper and Pearson, "The use of confidence or fiducial limits
 * illustrated in the case of the binomial", Biometrika 26 (1934), 404-413: quantiles of the beta
 * distribution,
 *
 *     low  = B(miss / 2;     k,     n - k + 1)
 *     high = B(1 - miss / 2; k + 1, n - k)
 *
 * The beta distribution function is DLMF 8.17.22's continued fraction (https://dlmf.nist.gov/8.17),
 * summed as Thompson and Barnett do ("Coulomb and Bessel functions of complex arguments and order",
 * J. Comput. Phys. 64 (1986), 490-509); the quantile is found by halving, since a bound is asked
 * for a hundred times a curve and not a million times. Owns nothing. Threads: any.
 */
#include "trust/interval.h"

#include <math.h>
#include <stdbool.h>

#include "base/check.h"

/* The fraction converges in O(sqrt(max(a, b))) terms: 30,000 for 10^9 trials. */
enum { TERMS_MAX = 200000, HALVINGS = 60 };

static double not_zero(double value)
{
    return fabs(value) < 1e-300 ? 1e-300 : value;
}

/* DLMF 8.17.22; converges fast where x < (a + 1) / (a + b + 2). */
static double beta_fraction(double a, double b, double x)
{
    double numerator = 1;
    double denominator = 1 / not_zero(1 - (a + b) * x / (a + 1));
    double sum = denominator;
    for (int m = 1; m <= TERMS_MAX; m++) {
        const double even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m));
        const double odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1));
        denominator = 1 / not_zero(1 + even * denominator);
        numerator = not_zero(1 + even / numerator);
        sum *= denominator * numerator;
        denominator = 1 / not_zero(1 + odd * denominator);
        numerator = not_zero(1 + odd / numerator);
        const double factor = denominator * numerator;
        sum *= factor;
        if (fabs(factor - 1) < 1e-14)
            break;
    }
    return sum;
}

/* lgamma writes a global sign. */
static double log_gamma(double x)
{
    int sign = 0;
    return lgamma_r(x, &sign);
}

/* I_x(a, b): the share of beta(a, b) below x; a, b > 0. */
static double beta_below(double a, double b, double x)
{
    if (x <= 0 || x >= 1)
        return x <= 0 ? 0 : 1;
    const double log_front =
        a * log(x) + b * log1p(-x) + log_gamma(a + b) - log_gamma(a) - log_gamma(b);
    const double front = exp(log_front);
    if (x < (a + 1) / (a + b + 2))
        return front * beta_fraction(a, b, x) / a;
    return 1 - front * beta_fraction(b, a, 1 - x) / b;
}

static double beta_quantile(double share, double a, double b)
{
    double low = 0, high = 1;
    for (int i = 0; i < HALVINGS; i++) {
        const double middle = (low + high) / 2;
        const bool is_below = beta_below(a, b, middle) < share;
        low = is_below ? middle : low;
        high = is_below ? high : middle;
    }
    return (low + high) / 2;
}

double interval_upper(uint64_t hits, uint64_t trials, double miss)
{
    assert(hits <= trials);
    assert(miss > 0);
    assert(miss < 1);
    if (hits == trials)
        return 1;
    return beta_quantile(1 - miss, (double)hits + 1, (double)(trials - hits));
}

static double interval_lower(uint64_t hits, uint64_t trials, double miss)
{
    if (hits == 0)
        return 0;
    return beta_quantile(miss, (double)hits, (double)(trials - hits) + 1);
}

struct interval interval_of(uint64_t hits, uint64_t trials, double miss)
{
    assert(hits <= trials);
    return (struct interval){
        .low = interval_lower(hits, trials, miss / 2),
        .value = trials > 0 ? (double)hits / (double)trials : 0,
        .high = interval_upper(hits, trials, miss / 2),
    };
}
