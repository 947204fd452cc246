//! Kernels: Rust functions whose syntax tree is interpreted, raised to known recurrences, and made graph.
