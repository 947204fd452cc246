//! Surrogates: value, first and second derivative of each against plain formulas and pinned numbers, at points that tell
//! them apart.

use axes::DType;
use furnace::surrogates::{Curve, Given, Quantised, Surrogate, uniform};
use furnace::{FurnaceError, grad, grads, jvp};
use graph::{Cx, Var};

/// Weights of mean magnitude 1: the scale is 1, so these are the v of the formulas. None is at a kink.
const POINTS: [f64; 14] = [-2.0, -1.4, -0.9, -0.57, -0.44, -0.2, 0.1, 0.3, 0.48, 0.52, 0.8, 1.05, 1.75, 3.49];
/// Stochastic rounding's u, one for each point.
const NOISE: [f64; 14] = [0.1, 0.9, 0.95, 0.5, 0.6, 0.1, 0.95, 0.2, 0.6, 0.3, 0.1, 0.9, 0.5, 0.5];
/// LSQ's step.
const STEP: f64 = 0.8;

fn vector(cx: &Cx, values: &[f64]) -> Var {
    cx.array(DType::F64, &[2, values.len() / 2], values)
}

fn given(w: &Var, knob: Option<f64>) -> Given {
    let cx = w.cx();
    Given { knob: knob.map(|k| cx.scalar(k)), step: Some(cx.scalar(STEP)), noise: Some(vector(cx, &NOISE)) }
}

/// The sum of everything that a surrogate gives, as a function of the weights.
fn total(s: Surrogate, knob: Option<f64>) -> impl Fn(&Var) -> Var {
    move |w| {
        let Quantised { weight, bias } = s.quantise(w, &given(w, knob));
        match bias {
            Some(bias) => weight.sum_all() + bias.sum_all(),
            None => weight.sum_all(),
        }
    }
}

fn numbers(v: &Var) -> Vec<f64> {
    v.array().unwrap_or_else(|e| panic!("{e}")).to_f64()
}

/// Values, first and second derivatives at the points, and the sum of the bias.
fn fingerprint(s: Surrogate, knob: Option<f64>) -> [Vec<f64>; 4] {
    let cx = Cx::eager();
    let w = vector(&cx, &POINTS);
    let made = s.quantise(&w, &given(&w, knob));
    let first = grad(total(s, knob));
    let second = grad(|w: &Var| first(w).sum_all())(&w);
    [numbers(&made.weight), numbers(&first(&w)), numbers(&second), made.bias.map_or(vec![], |b| numbers(&b))]
}

fn trit(v: f64) -> f64 {
    v.round_ties_even().clamp(-1.0, 1.0)
}

/// Two ramps of a width, and their slope.
fn stairs(v: f64, width: f64) -> (f64, f64) {
    let ramp =
        |x: f64| ((x / width).clamp(-0.5, 0.5), if (x / width).abs() < 0.5 { 1.0 / width } else { 0.0 });
    let (a, b) = (ramp(v - 0.5), ramp(v + 0.5));
    (a.0 + b.0, a.1 + b.1)
}

/// Value, first and second derivative at v with scale 1, written out from the published equations.
fn plain(s: Surrogate, k: f64, v: f64, u: f64) -> [f64; 3] {
    let q = trit(v);
    let inside = |holds: bool| if holds { 1.0 } else { 0.0 };
    match s {
        Surrogate::Ste | Surrogate::Tequila => [q, 1.0, 0.0],
        Surrogate::Clipped => [q, inside(v.abs() <= k), 0.0],
        Surrogate::HardTanh => [q, stairs(v, 2.0 * k).1, 0.0],
        Surrogate::Tanh => {
            let part = |x: f64| {
                let t = (k * x).tanh();
                [k * (1.0 - t * t) / 2.0, -k * k * t * (1.0 - t * t)]
            };
            let (a, b) = (part(v - 0.5), part(v + 0.5));
            [q, a[0] + b[0] + 0.1, a[1] + b[1]]
        }
        Surrogate::Dsq => {
            if v.abs() > 1.0 {
                return [v.signum(), 0.0, 0.0];
            }
            let middle = if v >= 0.0 { 0.5 } else { -0.5 };
            let (t, top) = ((k * (v - middle)).tanh(), (k / 2.0).tanh());
            [middle + t / top / 2.0, k * (1.0 - t * t) / top / 2.0, -k * k * t * (1.0 - t * t) / top]
        }
        Surrogate::Reste => {
            let z = 2.0 * v.abs() - 1.0;
            // S = ½ sign(v) (1 + f(z)): the signs of v cancel in the first derivative and stay in the second.
            let f = match z.abs() {
                a if a > 1.5 => [0.0, 0.0],
                a if a < 0.1 => [0.1f64.powf(1.0 / k - 1.0), 0.0],
                a => [a.powf(1.0 / k - 1.0) / k, (1.0 / k - 1.0) * a.powf(1.0 / k - 2.0) / k * z.signum()],
            };
            [q, f[0], 2.0 * v.signum() * f[1]]
        }
        Surrogate::Softmax => {
            let weight = |level: f64| (-(v - level).powi(2) / k).exp();
            let (down, none, up) = (weight(-1.0), weight(0.0), weight(1.0));
            let z = down + none + up;
            let mean = (up - down) / z;
            let square = (up + down) / z;
            // Cumulants of the level: the derivative with respect to v is 2/τ times the next one.
            let variance = square - mean * mean;
            let third = mean - 3.0 * square * mean + 2.0 * mean.powi(3);
            [mean, 2.0 / k * variance, (2.0 / k).powi(2) * third]
        }
        Surrogate::Lsq => [STEP * trit(v / STEP), inside((v / STEP).abs() <= 1.0), 0.0],
        Surrogate::Ramp => [v + k * (q - v), 1.0, 0.0],
        Surrogate::Trust => [q, inside((v - q).abs() <= k), 0.0],
        Surrogate::Stochastic => [(v + u).floor().clamp(-1.0, 1.0), 1.0, 0.0],
        Surrogate::Proximal => [stairs(v, k).0, 1.0, 0.0],
    }
}

/// A knob in the middle of its range, where no two surrogates agree.
fn middle(s: Surrogate) -> f64 {
    match s {
        Surrogate::Ramp => 0.25,
        Surrogate::Proximal => 0.5,
        Surrogate::Reste => 2.0,
        Surrogate::Softmax => 0.3,
        Surrogate::Dsq => 4.0,
        Surrogate::Tequila => 0.01,
        Surrogate::Trust => 0.4,
        s => s.entry().knob.map_or(0.0, |k| k.from),
    }
}

#[test]
fn each_is_what_its_equations_say() {
    for s in Surrogate::ALL {
        let k = middle(s);
        let [value, first, second, bias] = fingerprint(s, Some(k));
        for (i, (&v, &u)) in POINTS.iter().zip(&NOISE).enumerate() {
            let [q, mut d, dd] = plain(s, k, v, u);
            if s == Surrogate::Tequila && trit(v) == 0.0 {
                d += k; // through the bias
            }
            for (what, a, b) in [("value", value[i], q), ("slope", first[i], d), ("curve", second[i], dd)] {
                assert!((a - b).abs() <= 1e-11 * b.abs().max(1.0), "{s} at {v}: {what} {a}, expected {b}");
            }
        }
        let dead = |row: &[f64]| k * row.iter().filter(|v| trit(**v) == 0.0).sum::<f64>();
        let expected: Vec<f64> = match s {
            Surrogate::Tequila => POINTS.chunks(7).map(dead).collect(),
            _ => vec![],
        };
        assert_eq!(bias.len(), expected.len(), "{s}");
        assert!(bias.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-15), "{s}: {bias:?}");
    }
}

/// Slopes at −0.57, 0.1, 0.48, 0.8, 1.05 and 3.49, to four digits, at each surrogate's own first knob.
const SLOPES: [(Surrogate, [f64; 6]); 13] = [
    (Surrogate::Ste, [1.0, 1.0, 1.0, 1.0, 1.0, 1.0]),
    (Surrogate::Clipped, [1.0, 1.0, 1.0, 1.0, 1.0, 0.0]),
    (Surrogate::HardTanh, [1.0, 1.0, 1.0, 1.0, 0.0, 0.0]),
    (Surrogate::Tanh, [1.5455, 0.7129, 1.6113, 0.8328, 0.3064, 0.1]),
    (Surrogate::Dsq, [1.2876, 0.7341, 1.3109, 0.9343, 0.0, 0.0]),
    (Surrogate::Reste, [1.0, 1.0, 1.0, 1.0, 1.0, 0.0]),
    (Surrogate::Softmax, [0.7035, 0.8432, 0.744, 0.5812, 0.438, 0.0050]),
    (Surrogate::Lsq, [1.0, 1.0, 1.0, 1.0, 0.0, 0.0]),
    (Surrogate::Ramp, [1.0, 1.0, 1.0, 1.0, 1.0, 1.0]),
    (Surrogate::Tequila, [1.0, 1.001, 1.001, 1.0, 1.0, 1.0]),
    (Surrogate::Trust, [1.0, 1.0, 1.0, 1.0, 1.0, 0.0]),
    (Surrogate::Stochastic, [1.0, 1.0, 1.0, 1.0, 1.0, 1.0]),
    (Surrogate::Proximal, [1.0, 1.0, 1.0, 1.0, 1.0, 1.0]),
];

#[test]
fn slopes_are_the_pinned_ones() {
    for (s, expected) in SLOPES {
        let first = &fingerprint(s, None)[1];
        let found = [3, 6, 8, 10, 11, 13].map(|i| first[i]);
        let near = found.iter().zip(expected).all(|(a, b)| (a - b).abs() <= 6e-5);
        assert!(near, "{s}: {found:.4?}, expected {expected:?}");
    }
}

#[test]
fn no_two_are_alike() {
    for knob in [true, false] {
        let made: Vec<_> = Surrogate::ALL.iter().map(|s| fingerprint(*s, knob.then(|| middle(*s)))).collect();
        for (i, a) in made.iter().enumerate() {
            for (j, b) in made.iter().enumerate().skip(i + 1) {
                let gap = a.iter().flatten().zip(b.iter().flatten()).map(|(x, y)| (x - y).abs());
                let apart = a[3].len() != b[3].len() || gap.fold(0.0, f64::max) > 1e-3;
                assert!(apart, "{} and {} cannot be told apart", Surrogate::ALL[i], Surrogate::ALL[j]);
            }
        }
    }
}

/// w ↦ c w: the same slope, since the quantiser's scale goes along; values times c, curvature over c.
#[test]
fn the_scale_of_the_weights_does_not_matter() {
    for s in Surrogate::ALL.into_iter().filter(|s| *s != Surrogate::Lsq) {
        let [value, first, second, _] = fingerprint(s, Some(middle(s)));
        let cx = Cx::eager();
        let w = vector(&cx, &POINTS.map(|v| v / 40.0));
        let slope = grad(total(s, Some(middle(s))));
        let found = [
            numbers(&s.quantise(&w, &given(&w, Some(middle(s)))).weight),
            numbers(&slope(&w)),
            numbers(&grad(|w: &Var| slope(w).sum_all())(&w)),
        ];
        for (i, (list, factor)) in [(value, 1.0 / 40.0), (first, 1.0), (second, 40.0)].into_iter().enumerate()
        {
            for (a, b) in found[i].iter().zip(list) {
                assert!((a - b * factor).abs() <= 1e-10 * (b * factor).abs().max(1.0), "{s}: {a} {b}");
            }
        }
    }
}

/// d²/dv² Q(v)² = 2 S'² + 2 Q S'', by reverse over reverse and by forward over reverse.
#[test]
fn they_nest_inside_products() {
    for s in Surrogate::ALL {
        let k = middle(s);
        let cx = Cx::eager();
        let w = vector(&cx, &POINTS);
        let loss = |w: &Var| s.quantise(w, &given(w, Some(k))).weight.square().sum_all();
        let slope = grad(loss);
        let reverse = numbers(&grad(|w: &Var| slope(w).sum_all())(&w));
        let ones = w.full_like(1.0);
        let forward = numbers(&jvp(|x| vec![slope(&x[0])], &[&w], &[&ones]).1[0]);
        for (i, (&v, &u)) in POINTS.iter().zip(&NOISE).enumerate() {
            let [q, d, dd] = plain(s, k, v, u);
            let expected = 2.0 * d * d + 2.0 * q * dd;
            for found in [reverse[i], forward[i]] {
                assert!((found - expected).abs() <= 1e-10 * expected.abs().max(1.0), "{s} at {v}: {found}");
            }
        }
    }
}

/// Where the value is the stand-in, its differences are the slope.
#[test]
fn soft_values_have_their_own_slopes() {
    for s in [Surrogate::Dsq, Surrogate::Softmax] {
        let (k, h) = (middle(s), 1e-6);
        for v in POINTS {
            let difference = (plain(s, k, v + h, 0.0)[0] - plain(s, k, v - h, 0.0)[0]) / (2.0 * h);
            assert!((difference - plain(s, k, v, 0.0)[1]).abs() < 1e-7, "{s} at {v}");
        }
    }
}

#[test]
fn schedules_end_at_the_quantiser() {
    for (s, k) in [
        (Surrogate::Ramp, 1.0),
        (Surrogate::Proximal, 1e-4),
        (Surrogate::Softmax, 1e-3),
        (Surrogate::Dsq, 1e3),
    ] {
        let value = &fingerprint(s, Some(k))[0];
        let near = value.iter().zip(POINTS).all(|(a, v)| (a - trit(v)).abs() < 1e-12);
        assert!(near, "{s}: {value:?}");
    }
    let begins = &fingerprint(Surrogate::Ramp, None)[0];
    assert!(
        begins.iter().zip(POINTS).all(|(a, v)| (a - v).abs() < 1e-15),
        "λ = 0 is the weights: {begins:?}"
    );
}

/// Third derivatives, which only a smooth stand-in has.
#[test]
fn tanh_has_a_third_derivative() {
    let cx = Cx::eager();
    let w = vector(&cx, &POINTS);
    let first = grad(total(Surrogate::Tanh, Some(3.0)));
    let second = grad(|w: &Var| first(w).sum_all());
    let third = numbers(&grad(|w: &Var| second(w).sum_all())(&w));
    for (a, v) in third.iter().zip(POINTS) {
        let part = |x: f64| {
            let t = (3.0 * x).tanh();
            let c = 1.0 - t * t;
            0.5 * 27.0 * c * (6.0 * t * t - 2.0)
        };
        let expected = part(v - 0.5) + part(v + 0.5);
        assert!((a - expected).abs() < 1e-10, "at {v}: {a}, expected {expected}");
    }
}

/// Esser et al., equation 3, times their gradient scale 1/√N.
#[test]
fn the_learned_step_has_its_published_gradient() {
    let cx = Cx::eager();
    let w = vector(&cx, &POINTS);
    let step = cx.scalar(STEP);
    let loss = |xs: &[Var]| {
        let given = Given { step: Some(xs[1].clone()), ..Given::default() };
        Surrogate::Lsq.quantise(&xs[0], &given).weight.sum_all()
    };
    let (_, made) = grads(loss, &[&w, &step]);
    let each = |v: f64| match v / STEP {
        x if x.abs() > 1.0 => x.signum(),
        x => x.round_ties_even() - x,
    };
    let expected = POINTS.iter().map(|v| each(*v)).sum::<f64>() / (POINTS.len() as f64).sqrt();
    assert!((made[1].val() - expected).abs() < 1e-12, "{} and {expected}", made[1].val());
}

#[test]
fn stochastic_rounding_is_unbiased_within_the_levels() {
    let cx = Cx::eager();
    let w = vector(&cx, &POINTS);
    let rounds = 2000;
    let mut mean = vec![0.0; POINTS.len()];
    for key in 0..rounds {
        let key = cx.full(&graph::Type::scalar(DType::I64), f64::from(key));
        let noise = uniform(&w, &key);
        assert!(numbers(&noise).iter().all(|u| (0.0..1.0).contains(u)));
        let given = Given { noise: Some(noise), ..Given::default() };
        let value = numbers(&Surrogate::Stochastic.quantise(&w, &given).weight);
        mean.iter_mut().zip(value).for_each(|(m, v)| *m += v / f64::from(rounds));
    }
    for (m, v) in mean.iter().zip(POINTS) {
        let expected = v.clamp(-1.0, 1.0);
        assert!((m - expected).abs() < 0.05, "{v}: mean {m}, expected {expected}");
    }
}

#[test]
fn entries_are_complete_and_names_are_found() {
    for s in Surrogate::ALL {
        let entry = s.entry();
        assert_eq!(entry.name.parse::<Surrogate>().unwrap(), s);
        assert!(entry.equation.len() > 10 && entry.source.len() > 10, "{s}");
        if let Some(knob) = entry.knob {
            assert!(knob.range.contains(knob.from), "{s}");
            knob.with(None, None, None).unwrap();
        }
    }
    let error = "straight".parse::<Surrogate>().unwrap_err();
    assert!(matches!(&error, FurnaceError::Unknown { name, .. } if name == "straight"));
    let told = error.to_string();
    assert!(Surrogate::ALL.iter().all(|s| told.contains(s.entry().name)), "{told}");
}

#[test]
fn knobs_refuse_what_is_out_of_range() {
    let knob = |s: Surrogate| s.entry().knob.unwrap();
    let told = knob(Surrogate::Ramp).with(None, Some(1.5), None).unwrap_err();
    assert!(told.contains("to") && told.contains("1.5") && told.contains("from 0 to 1"), "{told}");
    let told = knob(Surrogate::Softmax).with(None, Some(0.0), None).unwrap_err();
    assert!(told.contains("temperature") && told.contains("above 0"), "{told}");
    assert!(knob(Surrogate::Softmax).with(None, None, Some(2.0)).unwrap_err().contains("share"));
    assert!(knob(Surrogate::Reste).with(Some(0.5), None, None).unwrap_err().contains("at least 1"));
    assert!(knob(Surrogate::Clipped).with(Some(f64::NAN), None, None).is_err());
    // A constant becomes a schedule when it is given an end, and stays one when only its value is given.
    let constant = knob(Surrogate::Clipped).with(Some(2.0), None, None).unwrap();
    assert_eq!((constant.curve, constant.at(0.0), constant.at(1.0)), (Curve::Constant, 2.0, 2.0));
    let moving = knob(Surrogate::Tanh).with(Some(1.0), Some(5.0), Some(0.5)).unwrap();
    assert_eq!([0.0, 0.25, 0.5, 1.0].map(|p| moving.at(p)), [1.0, 3.0, 5.0, 5.0]);
    let softmax = knob(Surrogate::Softmax);
    assert!((softmax.at(0.4) - 0.1).abs() < 1e-12 && (softmax.at(0.9) - 0.01).abs() < 1e-12);
}

#[test]
fn what_is_missing_is_named() {
    for (s, part) in [(Surrogate::Lsq, "step"), (Surrogate::Stochastic, "noise")] {
        let cx = Cx::eager();
        let w = vector(&cx, &POINTS);
        s.quantise(&w, &Given::default());
        let told = cx.error().expect("an error").to_string();
        assert!(told.contains(s.entry().name) && told.contains(part), "{told}");
    }
}
