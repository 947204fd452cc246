// The derivative of an energy by a length is a force, not a mass; and a quotient needs a named unit.
use axes::units;
use furnace::typed::{self, Q};

units! { Metre: "m"; Second: "s"; Newton: "N"; Joule: "J"; Kilogram: "kg"; }
units! { @relations Newton * Metre = Joule; }

fn energy(x: &Q<Metre>) -> Q<Joule> {
    typed::number::<Newton>(x.storage().cx(), 3.0) * x
}

fn heat(_: &Q<Second>) -> Q<Joule> {
    unimplemented!()
}

fn main() {
    let cx = graph::Cx::eager();
    let x = typed::number::<Metre>(&cx, 2.0);
    let _: Q<Newton> = typed::grad(energy)(&x);
    let _: Q<Kilogram> = typed::grad(energy)(&x);
    let _ = typed::grad(energy)(&typed::number::<Second>(&cx, 2.0));
    let _ = typed::grad(heat);
}
