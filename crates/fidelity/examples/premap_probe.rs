//! Calibrates, then judges.
use fidelity::premapping::{calibrate, judge, rig::Rig, suite};
use std::collections::BTreeMap;
fn main() {
    let start = std::time::Instant::now();
    let rounds = std::env::args().nth(1).and_then(|n| n.parse().ok()).unwrap_or(3);
    let m = calibrate::measure(2, &mut |s| eprintln!("{s}")).unwrap();
    println!("{}", serde_json::to_string(&m).unwrap());
    eprintln!("{:.1} s", start.elapsed().as_secs_f64());
    if std::env::args().nth(2).is_some() {
        let pool = std::sync::Arc::new(engine::pool::Pool::new(1));
        let mut all: BTreeMap<String, (f64, f64, f64, usize)> = BTreeMap::new();
        for j in suite::judged(1).unwrap() {
            let mut rig = Rig::new(&j.case.graph, &j.case.options, &pool).unwrap();
            rig.time(3e-3).unwrap();
            let t = rig.steps(15).unwrap();
            let p = premap::cost::predict(rig.plan(), &m, 1);
            for (k, (s, c)) in rig.plan().steps.iter().zip(&p.steps).enumerate() {
                let name = format!(
                    "{} {:?}",
                    premap::report::names::step(rig.plan(), s),
                    c.kernels.iter().map(|k| k.0.name()).collect::<Vec<_>>()
                );
                let e = all.entry(name).or_default();
                *e = (e.0 + c.time, e.1 + t[k], e.2 + c.fixed, e.3 + 1);
                if std::env::args().nth(2).is_some_and(|f| j.case.name.contains(&f)) {
                    println!(
                        "{} {k} {} {:?} cut {:?} pred {:.0} (c {:.0} m {:.0} f {:.0}) meas {:.0}",
                        j.case.name,
                        premap::report::names::step(rig.plan(), s),
                        c.kernels,
                        c.rounds.iter().map(|r| r.tasks).collect::<Vec<_>>(),
                        c.time,
                        c.compute,
                        c.memory,
                        c.fixed,
                        t[k]
                    );
                }
            }
        }
        let mut rows: Vec<_> = all.into_iter().collect();
        rows.sort_by(|a, b| (b.1.0 - b.1.1).abs().total_cmp(&(a.1.0 - a.1.1).abs()));
        for (n, (p, t, f, c)) in rows {
            println!(
                "{:10.1} pred {:10.1} meas {:6.2} fixed {:8.1} n {c:4} {n}",
                p / 1e3,
                t / 1e3,
                p / t,
                f / 1e3
            );
        }
        return;
    }
    let j = judge::run(&m, rounds, &mut |s| eprintln!("{s}")).unwrap();
    println!("{j}");
    eprintln!("{:.1} s", start.elapsed().as_secs_f64());
}
