//! Parts of models: tables, positions, attention, losses, and the seams between axes.

use axes::DType;
use graph::{Dim, Var};

use super::{Call, Made, ahead, behind, count, last, one};

pub(super) fn build(call: &Call<'_>) -> Made {
    let x = call.var(0)?;
    match call.name {
        "embedding" => one(call.var(1)?.gather(&x)),
        "rope" => rope(call, &x),
        "attention" => attention(call, &x),
        "cross_entropy" => {
            let (shape, at) = (x.shape(), last(&x)?);
            let rows = count(&shape[..at]);
            let labels = call.var(1)?.reshape(std::slice::from_ref(&rows));
            one(x.reshape(&[rows, shape[at].clone()]).cross_entropy(&labels))
        }
        "argmax" => one(x.argmax(last(&x)?)),
        "sum" => one(x.sum(&[last(&x)?])),
        "dot" => one((&x * &call.var(1)?).sum(&[last(&x)?])),
        "read_state" | "write_state" | "rename_axis" => Ok(call.items.clone()),
        "split_heads" | "merge_heads" => one(x.reshape(&call.result(0)?.shape)),
        _ => call.none(),
    }
}

/// Numbers i and i + n/2 turned by position · base^(−2i/n); without positions, the place along the last leading axis.
fn rope(call: &Call<'_>, x: &Var) -> Made {
    let (shape, at) = (x.shape(), last(x)?);
    let width = shape[at].fixed().filter(|n| n % 2 == 0).ok_or("the width must be known and even")?;
    let (half, base) = (width / 2, call.float("base")?);
    let lead = &shape[..at];
    let positions = if call.has(1) {
        call.var(1)?.convert(x.dtype())
    } else {
        let Some(time) = lead.last() else { return Err("there is no axis of positions".into()) };
        ahead(&call.cx.iota(DType::I64, std::slice::from_ref(time)).convert(x.dtype()), lead)
    };
    let turned: Vec<Dim> = lead.iter().cloned().chain([half.into()]).collect();
    let frequencies: Vec<f64> = (0..half).map(|i| (-base.ln() * i as f64 / half as f64).exp()).collect();
    let frequencies = call.cx.array(x.dtype(), &[half], &frequencies);
    let angles = &behind(&positions, &turned) * &ahead(&frequencies, &turned);
    let (cos, sin) = (angles.cos(), angles.sin());
    let (a, b) = (x.slice_axis(at, 0, half), x.slice_axis(at, half, width));
    let first = &(&a * &cos) - &(&b * &sin);
    let second = &(&b * &cos) + &(&a * &sin);
    one(Var::concatenate(&[&first, &second], at))
}

/// Softmax over all places of a cache. Where there are more rows of queries than caches, row r reads cache r mod their number.
fn attention(call: &Call<'_>, query: &Var) -> Made {
    let (keys, values) = (call.var(1)?, call.var(2)?);
    let (shape, at) = (query.shape(), last(query)?);
    let (k, v) = (keys.shape(), values.shape());
    let [.., time, width] = &k[..] else { return call.none() };
    let caches = count(&k[..k.len() - 2]);
    let rows = count(&shape[..at]);
    let groups = match (rows.fixed(), caches.fixed()) {
        _ if rows == caches => 1,
        (Some(r), Some(c)) if c > 0 && r % c == 0 => r / c,
        _ => return Err(format!("{rows} rows of queries cannot share {caches} caches")),
    };
    let out = v.last().cloned().unwrap_or(Dim::from(1));
    let q = query.reshape(&[groups.into(), caches.clone(), width.clone()]).transpose(&[1, 0, 2]);
    let keys = keys.reshape(&[caches.clone(), time.clone(), width.clone()]);
    let values = values.reshape(&[caches, time.clone(), out.clone()]);
    let scores = q.dot_general(&keys, (&[2], &[2]), (&[0], &[0])) * call.float("scale")?;
    let y = scores.softmax_last().dot_general(&values, (&[2], &[1]), (&[0], &[0]));
    let shape: Vec<Dim> = shape[..at].iter().cloned().chain([out]).collect();
    let made = y.transpose(&[1, 0, 2]).reshape(&shape);
    one(made)
}
