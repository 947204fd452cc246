//! The algebra of the recogniser: polynomials over loads, in one normal form.
//!
//! What a kernel computes for one element of its result is a [`Term`]: a polynomial with rational coefficients over
//! [`Atom`]s (elements of arrays, sums over an index, recurrences, functions, choices). Two spellings of one computation
//! become one term, because
//!
//! * a trit satisfies t³ = t, so whatever `match` or `if` makes of it is a polynomial of degree two in it;
//! * products are pushed into sums and sums of sums are one sum over several indices, whose names are canonical;
//! * an index that is cut into blocks is put together again;
//! * exp(a) exp(b) = exp(a + b), and the logistic function and tanh are recognised by what they are made of.
//!
//! Addition is taken as associative and multiplication as distributive. For integers that is exact (where nothing
//! overflows, as Rust checks in debug builds); for floats it is the reassociation that every fast kernel makes, which is
//! why results are compared to 1e-6 there.

mod choice;
mod poly;
mod prove;
mod rat;
mod show;
mod sum;

pub(crate) use poly::{Atom, Fun, Mono, Rec, Term, fresh, reset};
pub(crate) use prove::Ranges;
pub(crate) use rat::Rat;
pub(crate) use show::{Names, with_tanh};
pub(crate) use sum::{blocked, open, open_rec, over, rec, sum};
