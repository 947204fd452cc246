//! Calibrates, then shows predicted against measured for the calibration plans.
use fidelity::premapping::calibrate;
fn main() {
    let start = std::time::Instant::now();
    let m = calibrate::measure(2, &mut |s| eprintln!("{s}")).unwrap();
    println!("{}", serde_json::to_string_pretty(&m).unwrap());
    eprintln!("{:.1} s", start.elapsed().as_secs_f64());
}
