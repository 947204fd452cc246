// check: accept
func.func @f(%x: tensor<3x4xf32>, %y: tensor<3x4xf32>, %s: tensor<f32>) -> tensor<3x4xf32> {
  %0 = "fidelity.divide"(%x, %y) : (tensor<3x4xf32>, tensor<3x4xf32>) -> tensor<3x4xf32>
  %1 = "fidelity.divide"(%0, %s) : (tensor<3x4xf32>, tensor<f32>) -> tensor<3x4xf32>
  return %1 : tensor<3x4xf32>
}
// -----
// check: reject here operand `y` has leading sizes [4, 3], expected [3, 4] as the leading sizes of `x`; operands of one operation have the same leading sizes
func.func @f(%x: tensor<3x4xf32>, %y: tensor<4x3xf32>) -> tensor<3x4xf32> {
  %0 = "fidelity.divide"(%x, %y) : (tensor<3x4xf32>, tensor<4x3xf32>) -> tensor<3x4xf32>
  return %0 : tensor<3x4xf32>
}
// -----
// check: accept
func.func @f(%ids: tensor<2x3xi64>, %w: tensor<5x34xi8> {fidelity.element = ui8}) -> tensor<2x3x32xf32> {
  %0 = "fidelity.block_embedding"(%ids, %w) {format = "q8_0", columns = 32 : i64} : (tensor<2x3xi64>, tensor<5x34xi8>) -> tensor<2x3x32xf32>
  return %0 : tensor<2x3x32xf32>
}
// -----
// check: reject attribute `columns` is missing; add {columns = 8 : index}
func.func @f(%ids: tensor<2x3xi64>, %w: tensor<5x34xi8>) -> tensor<2x3x32xf32> {
  %0 = "fidelity.block_embedding"(%ids, %w) {format = "q8_0"} : (tensor<2x3xi64>, tensor<5x34xi8>) -> tensor<2x3x32xf32>
  return %0 : tensor<2x3x32xf32>
}
// -----
// check: accept
func.func @f(%x: tensor<4x64xf32>, %w: tensor<5x68xi8> {fidelity.element = ui8}) -> tensor<4x5xf32> {
  %0 = "fidelity.block_linear"(%x, %w) {format = "q8_0", columns = 64 : i64} : (tensor<4x64xf32>, tensor<5x68xi8>) -> tensor<4x5xf32>
  return %0 : tensor<4x5xf32>
}
// -----
// check: accept
func.func @f(%x: tensor<2x3x4x8xf32>, %c: tensor<3x4xf32>, %s: tensor<3x4xf32>) -> tensor<2x3x4x8xf32> {
  %0 = "fidelity.rotate"(%x, %c, %s) : (tensor<2x3x4x8xf32>, tensor<3x4xf32>, tensor<3x4xf32>) -> tensor<2x3x4x8xf32>
  return %0 : tensor<2x3x4x8xf32>
}
// -----
// check: reject here operand `sin` has axis-0 size 2, expected 3 as the axis-1 size of `x`; compare the shapes of the parameters with the model's configuration
func.func @f(%x: tensor<2x3x4x8xf32>, %c: tensor<3x4xf32>, %s: tensor<2x4xf32>) -> tensor<2x3x4x8xf32> {
  %0 = "fidelity.rotate"(%x, %c, %s) : (tensor<2x3x4x8xf32>, tensor<3x4xf32>, tensor<2x4xf32>) -> tensor<2x3x4x8xf32>
  return %0 : tensor<2x3x4x8xf32>
}
// -----
// check: accept
func.func @f(%q: tensor<1x2x4x8xf32>, %k: tensor<1x2x2x8xf32>, %v: tensor<1x2x2x8xf32>, %ks: tensor<1x16x2x8xf32>, %vs: tensor<1x16x2x8xf32>, %p: tensor<i64>) -> (tensor<1x2x4x8xf32>, tensor<1x16x2x8xf32>, tensor<1x16x2x8xf32>) {
  %y, %a, %b = "fidelity.cached_attention"(%q, %k, %v, %ks, %vs, %p) {scale = 2.5e-1 : f64} : (tensor<1x2x4x8xf32>, tensor<1x2x2x8xf32>, tensor<1x2x2x8xf32>, tensor<1x16x2x8xf32>, tensor<1x16x2x8xf32>, tensor<i64>) -> (tensor<1x2x4x8xf32>, tensor<1x16x2x8xf32>, tensor<1x16x2x8xf32>)
  return %y, %a, %b : tensor<1x2x4x8xf32>, tensor<1x16x2x8xf32>, tensor<1x16x2x8xf32>
}
// -----
// check: reject attribute `scale` is missing; add {scale = 1.0e-6 : f32}
func.func @f(%q: tensor<1x2x4x8xf32>, %k: tensor<1x2x2x8xf32>, %v: tensor<1x2x2x8xf32>, %ks: tensor<1x16x2x8xf32>, %vs: tensor<1x16x2x8xf32>, %p: tensor<i64>) -> (tensor<1x2x4x8xf32>, tensor<1x16x2x8xf32>, tensor<1x16x2x8xf32>) {
  %y, %a, %b = "fidelity.cached_attention"(%q, %k, %v, %ks, %vs, %p) : (tensor<1x2x4x8xf32>, tensor<1x2x2x8xf32>, tensor<1x2x2x8xf32>, tensor<1x16x2x8xf32>, tensor<1x16x2x8xf32>, tensor<i64>) -> (tensor<1x2x4x8xf32>, tensor<1x16x2x8xf32>, tensor<1x16x2x8xf32>)
  return %y, %a, %b : tensor<1x2x4x8xf32>, tensor<1x16x2x8xf32>, tensor<1x16x2x8xf32>
}
// -----
// check: accept
func.func @f(%h: tensor<2x4x3xf32>, %x: tensor<2x5x4xf32>, %d: tensor<2x5x4xf32>, %a: tensor<4x3xf32>, %b: tensor<2x5x3xf32>, %c: tensor<2x5x3xf32>) -> (tensor<2x5x4xf32>, tensor<2x4x3xf32>) {
  %y, %l = "fidelity.selective_scan"(%h, %x, %d, %a, %b, %c) : (tensor<2x4x3xf32>, tensor<2x5x4xf32>, tensor<2x5x4xf32>, tensor<4x3xf32>, tensor<2x5x3xf32>, tensor<2x5x3xf32>) -> (tensor<2x5x4xf32>, tensor<2x4x3xf32>)
  return %y, %l : tensor<2x5x4xf32>, tensor<2x4x3xf32>
}
// -----
// check: accept
func.func @f(%x: tensor<?x8xf32> {fidelity.sizes = #fidelity.sizes<["T", 8 : index]>}, %w: tensor<8xf32> {fidelity.name = "norm.weight"}) -> (tensor<?x8xf32> {fidelity.name = "y"}, tensor<?xf32>) {
  %y, %r = "fidelity.rms_norm"(%x, %w) {eps = 1.0e-6 : f64} : (tensor<?x8xf32>, tensor<8xf32>) -> (tensor<?x8xf32>, tensor<?xf32>)
  return %y, %r : tensor<?x8xf32>, tensor<?xf32>
}
