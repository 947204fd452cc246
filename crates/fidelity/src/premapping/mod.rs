//! What the pre-mapping decides, made visible and predictable: plans shown, machines calibrated, predictions judged, and
//! what each optimisation is worth.

pub mod calibrate;
pub mod judge;
pub mod kernels;
pub mod rig;
pub mod suite;
pub mod worth;
