//! A three-layer language model of the MatMul-free kind, at the size of the golden cases.

use axes::DType;
use graph::{Cx, Dim, Graph, Type, Var};

const HIDDEN: usize = 64;
const VOCABULARY: usize = 256;

struct Model {
    cx: Cx,
    prefix: Vec<String>,
}

impl Model {
    fn parameter(&self, name: &str, shape: &[usize]) -> Var {
        let path = self.prefix.iter().map(String::as_str).chain([name]).collect::<Vec<_>>().join(".");
        self.cx.input(&path, Type::new(DType::F32, shape.iter().copied()))
    }

    fn part<R>(&mut self, name: &str, f: impl FnOnce(&mut Model) -> R) -> R {
        self.prefix.push(name.to_string());
        let cx = self.cx.clone();
        let r = cx.scope(name, || f(self));
        self.prefix.pop();
        r
    }

    fn norm(&mut self, name: &str, x: &Var) -> Var {
        self.part(name, |m| x.rms_norm(&m.parameter("weight", &[HIDDEN]), 1e-6))
    }

    /// Fake quantisation on both sides, straight through.
    fn linear(&mut self, name: &str, x: &Var, out: usize) -> Var {
        self.part(name, |m| {
            let inputs = x.shape().last().and_then(Dim::fixed).unwrap();
            let w = m.parameter("weight", &[out, inputs]);
            let (q, s) = x.quantize_activations("half_even");
            let (t, sw) = w.quantize_weights();
            let quantised = q.ternary_linear(&s, &t, &sw);
            quantised.surrogate(&x.linear(&w))
        })
    }
}

/// tokens i64 (B, T), labels i64 (N = B T) → logits, loss.
pub(crate) fn language_model(layers: usize) -> Graph {
    let cx = Cx::abstract_();
    let mut m = Model { cx: cx.clone(), prefix: vec![] };
    let (b, t) = (Dim::from("B"), Dim::from("T"));
    let n = &b * &t;
    let tokens = cx.input("input_ids", Type::new(DType::I64, [b.clone(), t.clone()]));
    let labels = cx.input("labels", Type::new(DType::I64, [n.clone()]));
    let mut x = m.part("embeddings", |m| m.parameter("weight", &[VOCABULARY, HIDDEN]).gather(&tokens));
    cx.tap("hidden_states.0", &x);
    for layer in 0..layers {
        x = m.part(&format!("layers.{layer}"), |m| {
            let y = m.norm("attn_norm", &x);
            let mixed = m.part("attn", |m| {
                let (i, f, g) = (
                    m.linear("i_proj", &y, HIDDEN),
                    m.linear("f_proj", &y, HIDDEN),
                    m.linear("g_proj", &y, HIDDEN),
                );
                let gate = f.sigmoid();
                let drive = i.silu() * (1.0 - &gate);
                let start = cx.full(&Type::new(DType::F32, [b.clone(), Dim::from(HIDDEN)]), 0.0);
                let h = gate.linear_scan(&drive, &start, false);
                let h = m.norm("g_norm", &h) * g.silu();
                m.linear("o_proj", &h, HIDDEN)
            });
            let x = &x + &mixed;
            let y = m.norm("mlp_norm", &x);
            let mixed = m.part("mlp", |m| {
                let (gate, up) = (m.linear("gate_proj", &y, 2 * HIDDEN), m.linear("up_proj", &y, 2 * HIDDEN));
                m.linear("down_proj", &(gate.silu() * up), HIDDEN)
            });
            &x + &mixed
        });
        cx.tap(&format!("hidden_states.{}", layer + 1), &x);
    }
    let x = m.norm("norm", &x);
    let logits = m.part("lm_head", |m| x.linear(&m.parameter("weight", &[VOCABULARY, HIDDEN])));
    let loss = cx.scope("loss", || logits.reshape(&[n, Dim::from(VOCABULARY)]).cross_entropy(&labels));
    cx.finish(&[("logits", &logits), ("loss", &loss)]).unwrap()
}
