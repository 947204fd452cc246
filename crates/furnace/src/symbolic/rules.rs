//! The rules of the simplifier, as a table.
//!
//! A pattern is written in prefix form: `+ - * / pow neg max min if and or not < <= > >= == !=` and the names of the op
//! table (`exp`, `log`, `sine`, …); `?a` stands for any part. Three kinds:
//!
//! * **exact**: both sides have the same bits in every arithmetic, special values included. Always on. Tested on random
//!   points bit for bit.
//! * **rounding**: the same real number wherever both sides have one, another rounding: sums in another order, `e^a e^b`.
//! * **domain**: one side has a value at points where the other has none; the entry says what is assumed.
//!
//! The last two are for people who want the shortest formula and choose [`Rules::Real`].

/// Which rules a simplification may use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Rules {
    /// Only those that change no bit of the value in any arithmetic.
    #[default]
    Exact,
    /// All that hold for real numbers. The result can round otherwise, and can have a value at points where the
    /// expression as written has none: `x/x` becomes 1.
    Real,
}

/// What a rule preserves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Every bit.
    Exact,
    /// The real number, not its rounding.
    Rounding,
    /// The real number where both sides have one; the text says what that takes.
    Domain(&'static str),
}

/// What has to be known of a part before a rule applies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Guard {
    /// Nothing.
    Always,
    /// `?a` is not known to be 0.
    NotZero,
    /// `?a` is never negative.
    NotNegative,
    /// `?a` is positive.
    Positive,
    /// The exponents `?n` and `?m` are whole numbers.
    Whole,
}

/// A row of the table.
#[derive(Clone, Copy, Debug)]
pub struct Rule {
    /// Its name.
    pub name: &'static str,
    /// The pattern that it finds.
    pub from: &'static str,
    /// What is equal to it.
    pub to: &'static str,
    /// What it preserves.
    pub kind: Kind,
    /// When it applies.
    pub guard: Guard,
}

const fn exact(name: &'static str, from: &'static str, to: &'static str) -> Rule {
    Rule { name, from, to, kind: Kind::Exact, guard: Guard::Always }
}
const fn rounding(name: &'static str, from: &'static str, to: &'static str) -> Rule {
    Rule { name, from, to, kind: Kind::Rounding, guard: Guard::Always }
}
const fn domain(name: &'static str, from: &'static str, to: &'static str, assumes: &'static str) -> Rule {
    Rule { name, from, to, kind: Kind::Domain(assumes), guard: Guard::Always }
}
const fn when(guard: Guard, rule: Rule) -> Rule {
    Rule { guard, ..rule }
}

/// Every rule.
pub const TABLE: &[Rule] = &[
    // Order and signs.
    exact("commute +", "(+ ?a ?b)", "(+ ?b ?a)"),
    exact("commute *", "(* ?a ?b)", "(* ?b ?a)"),
    exact("neg neg", "(neg (neg ?a))", "?a"),
    exact("+ neg", "(+ ?a (neg ?b))", "(- ?a ?b)"),
    exact("- neg", "(- ?a (neg ?b))", "(+ ?a ?b)"),
    exact("neg out of *", "(* (neg ?a) ?b)", "(neg (* ?a ?b))"),
    exact("neg into *", "(neg (* ?a ?b))", "(* (neg ?a) ?b)"),
    exact("neg out of / above", "(/ (neg ?a) ?b)", "(neg (/ ?a ?b))"),
    exact("neg out of / below", "(/ ?a (neg ?b))", "(neg (/ ?a ?b))"),
    exact("neg into /", "(neg (/ ?a ?b))", "(/ (neg ?a) ?b)"),
    exact("abs neg", "(abs (neg ?a))", "(abs ?a)"),
    exact("cos neg", "(cosine (neg ?a))", "(cosine ?a)"),
    exact("sin neg", "(sine (neg ?a))", "(neg (sine ?a))"),
    exact("tanh neg", "(tanh (neg ?a))", "(neg (tanh ?a))"),
    // Neutral elements. x + 0 is absent: it turns -0 into 0; x * 0 too: it hides NaN.
    exact("* 1", "(* 1 ?a)", "?a"),
    exact("* -1", "(* -1 ?a)", "(neg ?a)"),
    exact("/ 1", "(/ ?a 1)", "?a"),
    exact("/ -1", "(/ ?a -1)", "(neg ?a)"),
    exact("- 0", "(- ?a 0)", "?a"),
    exact("^ 1", "(pow ?a 1)", "?a"),
    exact("^ 0", "(pow ?a 0)", "1"),
    exact("twice", "(+ ?a ?a)", "(* 2 ?a)"),
    exact("/ 2", "(/ ?a 2)", "(* 0.5 ?a)"),
    exact("* 2 / 2", "(* 0.5 (* 2 ?a))", "(/ (* 2 ?a) 2)"),
    // Absolute values, steps.
    exact("abs abs", "(abs (abs ?a))", "(abs ?a)"),
    exact("abs square", "(abs (* ?a ?a))", "(* ?a ?a)"),
    exact("abs * abs", "(* (abs ?a) (abs ?b))", "(abs (* ?a ?b))"),
    exact("abs / abs", "(/ (abs ?a) (abs ?b))", "(abs (/ ?a ?b))"),
    exact("relu abs", "(relu (abs ?a))", "(abs ?a)"),
    exact("relu relu", "(relu (relu ?a))", "(relu ?a)"),
    exact("relu square", "(relu (* ?a ?a))", "(* ?a ?a)"),
    exact("floor floor", "(floor (floor ?a))", "(floor ?a)"),
    exact("max same", "(max ?a ?a)", "?a"),
    exact("min same", "(min ?a ?a)", "?a"),
    // Pieces. Only the one that holds has to have a value.
    exact("if same", "(if ?c ?a ?a)", "?a"),
    exact("if not", "(if (not ?c) ?a ?b)", "(if ?c ?b ?a)"),
    exact("if true", "(if true ?a ?b)", "?a"),
    exact("if false", "(if false ?a ?b)", "?b"),
    exact("if if above", "(if ?c (if ?c ?a ?b) ?d)", "(if ?c ?a ?d)"),
    exact("if if below", "(if ?c ?a (if ?c ?b ?d))", "(if ?c ?a ?d)"),
    exact("+ of pieces", "(+ (if ?c ?a ?b) (if ?c ?d ?e))", "(if ?c (+ ?a ?d) (+ ?b ?e))"),
    exact("- of pieces", "(- (if ?c ?a ?b) (if ?c ?d ?e))", "(if ?c (- ?a ?d) (- ?b ?e))"),
    exact("* of pieces", "(* (if ?c ?a ?b) (if ?c ?d ?e))", "(if ?c (* ?a ?d) (* ?b ?e))"),
    exact("/ of pieces", "(/ (if ?c ?a ?b) (if ?c ?d ?e))", "(if ?c (/ ?a ?d) (/ ?b ?e))"),
    exact("* into pieces", "(* (if ?c ?a ?b) ?d)", "(if ?c (* ?a ?d) (* ?b ?d))"),
    exact("/ into pieces", "(/ (if ?c ?a ?b) ?d)", "(if ?c (/ ?a ?d) (/ ?b ?d))"),
    exact("+ into pieces", "(+ (if ?c ?a ?b) ?d)", "(if ?c (+ ?a ?d) (+ ?b ?d))"),
    exact("neg of pieces", "(neg (if ?c ?a ?b))", "(if ?c (neg ?a) (neg ?b))"),
    exact("- into pieces", "(- (if ?c ?a ?b) ?d)", "(if ?c (- ?a ?d) (- ?b ?d))"),
    // Conditions.
    exact("not not", "(not (not ?c))", "?c"),
    exact("and same", "(and ?c ?c)", "?c"),
    exact("or same", "(or ?c ?c)", "?c"),
    exact("> as <", "(> ?a ?b)", "(< ?b ?a)"),
    exact(">= as <=", "(>= ?a ?b)", "(<= ?b ?a)"),
    exact("< as >", "(< ?a ?b)", "(> ?b ?a)"),
    exact("<= as >=", "(<= ?a ?b)", "(>= ?b ?a)"),
    exact("never <", "(< ?a ?a)", "false"),
    // Sums in another order.
    rounding("+ left", "(+ ?a (+ ?b ?c))", "(+ (+ ?a ?b) ?c)"),
    rounding("+ right", "(+ (+ ?a ?b) ?c)", "(+ ?a (+ ?b ?c))"),
    rounding("- as +", "(- ?a ?b)", "(+ ?a (neg ?b))"),
    rounding("neg -", "(neg (- ?a ?b))", "(- ?b ?a)"),
    rounding("neg +", "(neg (+ ?a ?b))", "(- (neg ?a) ?b)"),
    rounding("+ 0", "(+ ?a 0)", "?a"),
    rounding("0 -", "(- 0 ?a)", "(neg ?a)"),
    domain("* 0", "(* 0 ?a)", "0", "the other factor is finite"),
    when(Guard::NotZero, domain("0 /", "(/ 0 ?a)", "0", "the divisor is not 0")),
    domain("- same", "(- ?a ?a)", "0", "the part is finite"),
    // Products in another order.
    rounding("* left", "(* ?a (* ?b ?c))", "(* (* ?a ?b) ?c)"),
    rounding("* right", "(* (* ?a ?b) ?c)", "(* ?a (* ?b ?c))"),
    rounding("distribute", "(* ?a (+ ?b ?c))", "(+ (* ?a ?b) (* ?a ?c))"),
    rounding("distribute -", "(* ?a (- ?b ?c))", "(- (* ?a ?b) (* ?a ?c))"),
    rounding("factor", "(+ (* ?a ?b) (* ?a ?c))", "(* ?a (+ ?b ?c))"),
    rounding("factor -", "(- (* ?a ?b) (* ?a ?c))", "(* ?a (- ?b ?c))"),
    rounding("factor 1", "(+ ?a (* ?a ?b))", "(* ?a (+ 1 ?b))"),
    rounding("factor 1 -", "(- ?a (* ?a ?b))", "(* ?a (- 1 ?b))"),
    rounding("factor - 1", "(- (* ?a ?b) ?a)", "(* ?a (- ?b 1))"),
    // Quotients.
    rounding("/ /", "(/ (/ ?a ?b) ?c)", "(/ ?a (* ?b ?c))"),
    domain("/ / below", "(/ ?a (/ ?b ?c))", "(/ (* ?a ?c) ?b)", "the inner divisor is not 0"),
    rounding("* of /", "(* ?a (/ ?b ?c))", "(/ (* ?a ?b) ?c)"),
    rounding("/ of *", "(/ (* ?a ?b) ?c)", "(* ?a (/ ?b ?c))"),
    rounding("+ over one", "(+ (/ ?a ?c) (/ ?b ?c))", "(/ (+ ?a ?b) ?c)"),
    rounding("- over one", "(- (/ ?a ?c) (/ ?b ?c))", "(/ (- ?a ?b) ?c)"),
    rounding("+ over", "(+ ?a (/ ?b ?c))", "(/ (+ (* ?a ?c) ?b) ?c)"),
    rounding("- over", "(- ?a (/ ?b ?c))", "(/ (- (* ?a ?c) ?b) ?c)"),
    rounding("over -", "(- (/ ?b ?c) ?a)", "(/ (- ?b (* ?a ?c)) ?c)"),
    when(Guard::NotZero, domain("/ same", "(/ ?a ?a)", "1", "the part is neither 0 nor infinite")),
    when(Guard::NotZero, domain("cancel", "(/ (* ?a ?b) ?a)", "?b", "the cancelled factor is not 0")),
    when(
        Guard::NotZero,
        domain("cancel below", "(/ ?a (* ?a ?b))", "(/ 1 ?b)", "the cancelled factor is not 0"),
    ),
    when(
        Guard::NotZero,
        domain("cancel both", "(/ (* ?a ?b) (* ?a ?c))", "(/ ?b ?c)", "the cancelled factor is not 0"),
    ),
    // Powers and roots.
    rounding("square", "(* ?a ?a)", "(pow ?a 2)"),
    rounding("square as *", "(pow ?a 2)", "(* ?a ?a)"),
    domain(
        "* of ^",
        "(* ?a (pow ?a ?n))",
        "(pow ?a (+ ?n 1))",
        "the base is not 0, or the exponent not below 0",
    ),
    domain(
        "^ * ^",
        "(* (pow ?a ?n) (pow ?a ?m))",
        "(pow ?a (+ ?n ?m))",
        "the base is not 0, or no exponent below 0",
    ),
    when(
        Guard::NotZero,
        domain("^ / ^", "(/ (pow ?a ?n) (pow ?a ?m))", "(pow ?a (- ?n ?m))", "the base is not 0"),
    ),
    when(Guard::NotZero, domain("^ /", "(/ (pow ?a ?n) ?a)", "(pow ?a (- ?n 1))", "the base is not 0")),
    when(Guard::NotZero, domain("/ ^", "(/ ?a (pow ?a ?n))", "(pow ?a (- 1 ?n))", "the base is not 0")),
    rounding("^ -1", "(pow ?a -1)", "(/ 1 ?a)"),
    rounding("1 / ^", "(/ ?b (pow ?a ?n))", "(* ?b (pow ?a (neg ?n)))"),
    rounding("^ neg", "(pow ?a (neg ?n))", "(/ 1 (pow ?a ?n))"),
    when(Guard::Whole, rounding("^ ^", "(pow (pow ?a ?m) ?n)", "(pow ?a (* ?m ?n))")),
    when(Guard::Whole, rounding("^ of neg squared", "(pow (neg ?a) 2)", "(pow ?a 2)")),
    rounding("^ 0.5", "(pow ?a 0.5)", "(sqrt ?a)"),
    rounding("sqrt square", "(sqrt (* ?a ?a))", "(abs ?a)"),
    domain("sqrt * sqrt", "(* (sqrt ?a) (sqrt ?a))", "?a", "the part under the root is not negative"),
    when(
        Guard::NotZero,
        domain("/ sqrt", "(/ ?a (sqrt ?a))", "(sqrt ?a)", "the part under the root is positive"),
    ),
    domain("sqrt of *", "(* (sqrt ?a) (sqrt ?b))", "(sqrt (* ?a ?b))", "both parts are not negative"),
    when(Guard::NotNegative, rounding("abs of +", "(abs ?a)", "?a")),
    when(Guard::NotNegative, rounding("relu of +", "(relu ?a)", "?a")),
    when(Guard::Positive, rounding("sign of +", "(sign ?a)", "1")),
    rounding("a sign a", "(* ?a (sign ?a))", "(abs ?a)"),
    rounding("abs sign", "(* (abs ?a) (sign ?a))", "?a"),
    when(Guard::NotZero, domain("sign sign", "(* (sign ?a) (sign ?a))", "1", "the part is not 0")),
    when(Guard::NotZero, domain("abs over", "(/ (abs ?a) ?a)", "(sign ?a)", "the part is not 0")),
    // Exponentials and logarithms.
    rounding("e^ e^", "(* (exp ?a) (exp ?b))", "(exp (+ ?a ?b))"),
    rounding("e^ / e^", "(/ (exp ?a) (exp ?b))", "(exp (- ?a ?b))"),
    rounding("1 / e^", "(/ ?b (exp ?a))", "(* ?b (exp (neg ?a)))"),
    rounding("e^ neg", "(exp (neg ?a))", "(/ 1 (exp ?a))"),
    rounding("e^ ^", "(pow (exp ?a) ?n)", "(exp (* ?n ?a))"),
    rounding("e^ twice", "(exp (* 2 ?a))", "(pow (exp ?a) 2)"),
    rounding("log e^", "(log (exp ?a))", "?a"),
    domain("e^ log", "(exp (log ?a))", "?a", "the part is positive"),
    domain("e^ n log", "(exp (* ?n (log ?a)))", "(pow ?a ?n)", "the base is positive"),
    domain("log *", "(+ (log ?a) (log ?b))", "(log (* ?a ?b))", "both parts are positive"),
    domain("log /", "(- (log ?a) (log ?b))", "(log (/ ?a ?b))", "both parts are positive"),
    domain("log ^", "(log (pow ?a ?n))", "(* ?n (log ?a))", "the base is positive"),
    domain("log sqrt", "(log (sqrt ?a))", "(* 0.5 (log ?a))", "the part is positive"),
    // Trigonometric and hyperbolic functions, the logistic function.
    rounding("sin² + cos²", "(+ (* (sine ?a) (sine ?a)) (* (cosine ?a) (cosine ?a)))", "1"),
    rounding("1 - sin²", "(- 1 (* (sine ?a) (sine ?a)))", "(* (cosine ?a) (cosine ?a))"),
    rounding("1 - cos²", "(- 1 (* (cosine ?a) (cosine ?a)))", "(* (sine ?a) (sine ?a))"),
    rounding("2 sin cos", "(* 2 (* (sine ?a) (cosine ?a)))", "(sine (* 2 ?a))"),
    rounding("1 - logistic", "(- 1 (sigmoid ?a))", "(sigmoid (neg ?a))"),
    rounding("logistic neg", "(sigmoid (neg ?a))", "(- 1 (sigmoid ?a))"),
    rounding("logistic", "(/ 1 (+ 1 (exp (neg ?a))))", "(sigmoid ?a)"),
    rounding("logistic of e^", "(/ (exp ?a) (+ 1 (exp ?a)))", "(sigmoid ?a)"),
    rounding("a logistic", "(* ?a (sigmoid ?a))", "(silu ?a)"),
    rounding("silu", "(silu ?a)", "(* ?a (sigmoid ?a))"),
];

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn names_are_unique_and_every_kind_has_rules() {
        let names: BTreeSet<_> = TABLE.iter().map(|r| r.name).collect();
        assert_eq!(names.len(), TABLE.len());
        for kind in [Kind::Exact, Kind::Rounding] {
            assert!(TABLE.iter().filter(|r| r.kind == kind).count() > 20);
        }
    }
}
