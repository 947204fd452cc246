//! The scalars against results of MPFR (`vectors.txt`, made by `vectors.py`), and against each other.

mod real;
mod vectors;
