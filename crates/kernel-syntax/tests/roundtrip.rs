//! What is printed parses back to the same text; what is not supported is an error at its place.

use kernel_syntax::{Source, print};

const KERNELS: &str = r#"
axes! { In = 3; Out; }
const EPS: f32 = 1e-6;

#[kernel]
/// y = W x.
fn matvec<I: Axis, O: Axis>(w: &TernaryMatrix<I, O>, x: &Tensor<(I,)>) -> Result<Tensor<(O,)>, AxesError> {
    let mut y = Tensor::<(O,)>::zeros([w.outputs()])?;
    for o in 0..w.outputs() {
        for i in (0..w.inputs()).rev().step_by(1) {
            match w.trit(o, i) {
                1 => y[[o]] += x[[i]],
                -1 => y[[o]] = y[[o]] - x[[i]],
                _ => {}
            }
        }
        y[[o]] *= w.scale_factor();
    }
    Ok(y)
}

#[kernel]
fn fancy(x: &[f32], y: &mut [f32], n: usize) -> (f32, i32) {
    let total: f32 = x.iter().zip(y.iter()).map(|(a, &b)| a * b).sum::<f32>();
    let pair = (1_i32, [0.0_f32; 4]);
    for (i, v) in y.iter_mut().enumerate() {
        if i % 2 == 0 && n >= 3 {
            continue;
        }
        *v = if x[i] > 0.0 { x[i].max(EPS) } else { (-x[i]).exp() };
    }
    y.iter_mut().for_each(|v| *v += 1.0);
    (total, pair.0 as i32)
}

fn not_a_kernel() { loop {} }
"#;

#[test]
fn printed_kernels_parse_back() {
    let source = Source::parse(KERNELS).unwrap();
    assert_eq!(source.axes, [("In".to_string(), Some(3)), ("Out".to_string(), None)]);
    assert_eq!(source.constants[0].name, "EPS");
    assert_eq!(source.functions.len(), 2, "the function without the attribute is none");
    for f in &source.functions {
        let text = print(f);
        let again = Source::parse(&text).unwrap_or_else(|e| panic!("{e}\n{text}"));
        assert_eq!(print(&again.functions[0]), text);
    }
    assert_eq!(source.functions[0].docs, ["y = W x."]);
}

#[test]
fn what_is_not_supported_is_told_at_its_place() {
    for (text, column, says) in [
        ("fn f() { while true {} }", 9, "`for` over a range"),
        ("fn f(x: &[f32]) { x.sort(); }", 20, "the method `sort` is not supported"),
        ("fn f(x: String) {}", 8, "`Tensor<(A, …), T>`"),
        ("fn f(x: f32) { println!(\"x\"); }", 15, "the macro `println!`"),
        ("fn f() { let y = async {}; }", 17, "this expression is not supported"),
        ("fn f(&self) {}", 5, "pass the fields of `self`"),
        ("unsafe fn f() {}", 0, "`unsafe` is not supported"),
        ("fn f(x: f32) { let y = x.field; }", 25, "pass it as a parameter"),
        ("fn f() { for i in 0..3 { break; } }", 25, "use `if` inside it"),
        ("fn f(x: i8) { if let 1 = x {} }", 17, "use `match` on an integer"),
        ("fn f(x: f32) -> f32 { x", 0, ""),
    ] {
        let error = Source::parse(text).unwrap_err();
        assert!(error.message.contains(says), "{text}: {error}");
        if !says.is_empty() {
            assert_eq!((error.span.line, error.span.column), (1, column), "{text}: {error}");
        }
    }
}
