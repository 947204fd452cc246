// check: accept
// The mixer of a MatMul-free layer: norm and quantise, three products, the gated recurrence, the output product.
func.func @mixer(%x: !fidelity.vector<[8 : index], 512 : index, f32, "Hidden", "">,
    %h: !fidelity.state<[8 : index], 512 : index, f32, "Inner", "">,
    %norm: !fidelity.vector<[], 512 : index, f32, "Hidden", "">,
    %wf: !fidelity.ternary<512 : index, 512 : index, "Inner", "Hidden", "compute", "", "">,
    %wc: !fidelity.ternary<512 : index, 512 : index, "Inner", "Hidden", "compute", "", "">,
    %wg: !fidelity.ternary<512 : index, 512 : index, "Inner", "Hidden", "compute", "", "">,
    %wo: !fidelity.ternary<512 : index, 512 : index, "Hidden", "Inner", "compute", "", "">)
    -> (!fidelity.vector<[8 : index], 512 : index, f32, "Hidden", "">, !fidelity.state<[8 : index], 512 : index, f32, "Inner", "">) {
  %q = "fidelity.rms_norm_quantize"(%x, %norm) {eps = 1.0e-6 : f32}
    : (!fidelity.vector<[8 : index], 512 : index, f32, "Hidden", "">, !fidelity.vector<[], 512 : index, f32, "Hidden", "">)
    -> !fidelity.quantized<[8 : index], 512 : index, "Hidden", "">
  %f0 = "fidelity.ternary_linear"(%q, %wf)
    : (!fidelity.quantized<[8 : index], 512 : index, "Hidden", "">, !fidelity.ternary<512 : index, 512 : index, "Inner", "Hidden", "compute", "", "">)
    -> !fidelity.vector<[8 : index], 512 : index, f32, "Inner", "">
  %f = "fidelity.sigmoid"(%f0)
    : (!fidelity.vector<[8 : index], 512 : index, f32, "Inner", "">) -> !fidelity.vector<[8 : index], 512 : index, f32, "Inner", "">
  %c0 = "fidelity.ternary_linear"(%q, %wc)
    : (!fidelity.quantized<[8 : index], 512 : index, "Hidden", "">, !fidelity.ternary<512 : index, 512 : index, "Inner", "Hidden", "compute", "", "">)
    -> !fidelity.vector<[8 : index], 512 : index, f32, "Inner", "">
  %c = "fidelity.silu"(%c0)
    : (!fidelity.vector<[8 : index], 512 : index, f32, "Inner", "">) -> !fidelity.vector<[8 : index], 512 : index, f32, "Inner", "">
  %g0 = "fidelity.ternary_linear"(%q, %wg)
    : (!fidelity.quantized<[8 : index], 512 : index, "Hidden", "">, !fidelity.ternary<512 : index, 512 : index, "Inner", "Hidden", "compute", "", "">)
    -> !fidelity.vector<[8 : index], 512 : index, f32, "Inner", "">
  %g = "fidelity.sigmoid"(%g0)
    : (!fidelity.vector<[8 : index], 512 : index, f32, "Inner", "">) -> !fidelity.vector<[8 : index], 512 : index, f32, "Inner", "">
  %o, %next = "fidelity.mlgru_step"(%h, %f, %c, %g)
    : (!fidelity.state<[8 : index], 512 : index, f32, "Inner", "">, !fidelity.vector<[8 : index], 512 : index, f32, "Inner", "">, !fidelity.vector<[8 : index], 512 : index, f32, "Inner", "">, !fidelity.vector<[8 : index], 512 : index, f32, "Inner", "">)
    -> (!fidelity.vector<[8 : index], 512 : index, f32, "Inner", "">, !fidelity.state<[8 : index], 512 : index, f32, "Inner", "">)
  %p = "fidelity.ternary_linear"(%o, %wo)
    : (!fidelity.vector<[8 : index], 512 : index, f32, "Inner", "">, !fidelity.ternary<512 : index, 512 : index, "Hidden", "Inner", "compute", "", "">)
    -> !fidelity.vector<[8 : index], 512 : index, f32, "Hidden", "">
  %y = "fidelity.residual_add"(%x, %p)
    : (!fidelity.vector<[8 : index], 512 : index, f32, "Hidden", "">, !fidelity.vector<[8 : index], 512 : index, f32, "Hidden", "">)
    -> !fidelity.vector<[8 : index], 512 : index, f32, "Hidden", "">
  return %y, %next : !fidelity.vector<[8 : index], 512 : index, f32, "Hidden", "">, !fidelity.state<[8 : index], 512 : index, f32, "Inner", "">
}
// -----
// check: accept
// An inertial layer: acceleration times time is velocity, velocity times time is way; sizes are symbols.
func.func @inertial(%a: !fidelity.vector<["B"], 3 : index, f32, "World", "m/s^2">, %t: !fidelity.vector<["B"], 3 : index, f32, "World", "s">,
    %v: !fidelity.vector<["B"], 3 : index, f32, "World", "m/s">, %x: !fidelity.vector<["B"], 3 : index, f32, "World", "m">)
    -> (!fidelity.vector<["B"], 3 : index, f32, "World", "m/s">, !fidelity.vector<["B"], 3 : index, f32, "World", "m">) {
  %dv = "fidelity.multiply_units"(%a, %t) {units = #fidelity.product<"m/s^2", "s", "m/s">}
    : (!fidelity.vector<["B"], 3 : index, f32, "World", "m/s^2">, !fidelity.vector<["B"], 3 : index, f32, "World", "s">)
    -> !fidelity.vector<["B"], 3 : index, f32, "World", "m/s">
  %v2 = "fidelity.add"(%v, %dv)
    : (!fidelity.vector<["B"], 3 : index, f32, "World", "m/s">, !fidelity.vector<["B"], 3 : index, f32, "World", "m/s">)
    -> !fidelity.vector<["B"], 3 : index, f32, "World", "m/s">
  %dx = "fidelity.multiply_units"(%v2, %t) {units = #fidelity.product<"m/s", "s", "m">}
    : (!fidelity.vector<["B"], 3 : index, f32, "World", "m/s">, !fidelity.vector<["B"], 3 : index, f32, "World", "s">)
    -> !fidelity.vector<["B"], 3 : index, f32, "World", "m">
  %x2 = "fidelity.add"(%x, %dx)
    : (!fidelity.vector<["B"], 3 : index, f32, "World", "m">, !fidelity.vector<["B"], 3 : index, f32, "World", "m">)
    -> !fidelity.vector<["B"], 3 : index, f32, "World", "m">
  return %v2, %x2 : !fidelity.vector<["B"], 3 : index, f32, "World", "m/s">, !fidelity.vector<["B"], 3 : index, f32, "World", "m">
}
// -----
// check: reject operand `y` has unit "s", expected "m/s" as `x`
// A time added to a velocity.
func.func @wrong(%v: !fidelity.vector<[], 3 : index, f32, "World", "m/s">, %t: !fidelity.vector<[], 3 : index, f32, "World", "s">)
    -> !fidelity.vector<[], 3 : index, f32, "World", "m/s"> {
  %x = "fidelity.add"(%v, %t)
    : (!fidelity.vector<[], 3 : index, f32, "World", "m/s">, !fidelity.vector<[], 3 : index, f32, "World", "s">)
    -> !fidelity.vector<[], 3 : index, f32, "World", "m/s">
  return %x : !fidelity.vector<[], 3 : index, f32, "World", "m/s">
}
// -----
// check: reject operand `weights` has axis `in` "Inner", expected "Hidden" as the axis of `x`; are two operands swapped?
// Two square projections swapped: the sizes fit, the axes do not.
func.func @swapped(%x: !fidelity.vector<[], 512 : index, f32, "Hidden", "">,
    %wo: !fidelity.ternary<512 : index, 512 : index, "Hidden", "Inner", "compute", "", "">)
    -> !fidelity.vector<[], 512 : index, f32, "Inner", ""> {
  %y = "fidelity.ternary_linear"(%x, %wo)
    : (!fidelity.vector<[], 512 : index, f32, "Hidden", "">, !fidelity.ternary<512 : index, 512 : index, "Hidden", "Inner", "compute", "", "">)
    -> !fidelity.vector<[], 512 : index, f32, "Inner", "">
  return %y : !fidelity.vector<[], 512 : index, f32, "Inner", "">
}
