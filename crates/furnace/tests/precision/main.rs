//! The scalars against results of MPFR (`vectors.txt`, made by `vectors.py`), and against each other.

mod choice;
mod intervals;
mod real;
mod vectors;
