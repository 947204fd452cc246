// check: accept
func.func @f(%x: !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">, %weight: !fidelity.vector<[], 64 : index, f32, "Hidden", "m">) -> (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m">) {
  %y = "fidelity.rms_norm"(%x, %weight) {eps = 1.0e-6 : f32}
    : (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">, !fidelity.vector<[], 64 : index, f32, "Hidden", "m">)
    -> (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m">)
  return %y : !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m">
}
// -----
// check: reject result `y` has unit "kg", expected "m" as the unit of `weight`; `fidelity.scale` turns one unit into another, `fidelity.multiply_units` declares a product
func.func @f(%x: !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">, %weight: !fidelity.vector<[], 64 : index, f32, "Hidden", "m">) -> (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "kg">) {
  %y = "fidelity.rms_norm"(%x, %weight) {eps = 1.0e-6 : f32}
    : (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">, !fidelity.vector<[], 64 : index, f32, "Hidden", "m">)
    -> (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "kg">)
  return %y : !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "kg">
}
// -----
// check: reject result `y` has axis "Swapped", expected "Hidden" as the axis of `x`; are two operands swapped? `fidelity.rename_axis` says that two axes are one
func.func @f(%x: !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">, %weight: !fidelity.vector<[], 64 : index, f32, "Hidden", "m">) -> (!fidelity.vector<[8 : index], 64 : index, f32, "Swapped", "m">) {
  %y = "fidelity.rms_norm"(%x, %weight) {eps = 1.0e-6 : f32}
    : (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">, !fidelity.vector<[], 64 : index, f32, "Hidden", "m">)
    -> (!fidelity.vector<[8 : index], 64 : index, f32, "Swapped", "m">)
  return %y : !fidelity.vector<[8 : index], 64 : index, f32, "Swapped", "m">
}
// -----
// check: reject attribute `eps` is missing; add {eps = 1.0e-6 : f32}
func.func @f(%x: !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">, %weight: !fidelity.vector<[], 64 : index, f32, "Hidden", "m">) -> (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m">) {
  %y = "fidelity.rms_norm"(%x, %weight)
    : (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">, !fidelity.vector<[], 64 : index, f32, "Hidden", "m">)
    -> (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m">)
  return %y : !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m">
}
// -----
// check: reject `rms_norm` has 2 operands, found 1; they are (x, weight)
func.func @f(%x: !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">) -> (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m">) {
  %y = "fidelity.rms_norm"(%x) {eps = 1.0e-6 : f32}
    : (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">)
    -> (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m">)
  return %y : !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m">
}
// -----
// check: accept
func.func @f(%x: tensor<?x?xf32>, %weight: tensor<?xf32>) -> (tensor<?x?xf32>) {
  %y = "fidelity.rms_norm"(%x, %weight) {eps = 1.0e-6 : f32}
    : (tensor<?x?xf32>, tensor<?xf32>)
    -> (tensor<?x?xf32>)
  return %y : tensor<?x?xf32>
}
// -----
// check: reject here result `y` has axis-1 size 65, expected 64 as the axis-1 size of `x`; compare the shapes of the parameters with the model's configuration
func.func @f(%x: tensor<?x64xf32>, %weight: tensor<?xf32>) -> (tensor<?x65xf32>) {
  %y = "fidelity.rms_norm"(%x, %weight) {eps = 1.0e-6 : f32}
    : (tensor<?x64xf32>, tensor<?xf32>)
    -> (tensor<?x65xf32>)
  return %y : tensor<?x65xf32>
}
// -----
// check: accept
func.func @f(%x: !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">) -> (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "">) {
  %y = "fidelity.rms_normalize"(%x) {eps = 1.0e-6 : f32}
    : (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">)
    -> (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "">)
  return %y : !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "">
}
// -----
// check: reject result `y` has size `len` 100, expected 64 as the size `len` of `x`; compare the shapes of the parameters with the model's configuration
func.func @f(%x: !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">) -> (!fidelity.vector<[8 : index], 100 : index, f32, "Hidden", "">) {
  %y = "fidelity.rms_normalize"(%x) {eps = 1.0e-6 : f32}
    : (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">)
    -> (!fidelity.vector<[8 : index], 100 : index, f32, "Hidden", "">)
  return %y : !fidelity.vector<[8 : index], 100 : index, f32, "Hidden", "">
}
// -----
// check: reject result `y` has element type f64, expected f32 as the element type of `x`; `fidelity.convert` changes the element type
func.func @f(%x: !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">) -> (!fidelity.vector<[8 : index], 64 : index, f64, "Hidden", "">) {
  %y = "fidelity.rms_normalize"(%x) {eps = 1.0e-6 : f32}
    : (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">)
    -> (!fidelity.vector<[8 : index], 64 : index, f64, "Hidden", "">)
  return %y : !fidelity.vector<[8 : index], 64 : index, f64, "Hidden", "">
}
// -----
// check: reject attribute `eps` is missing; add {eps = 1.0e-6 : f32}
func.func @f(%x: !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">) -> (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "">) {
  %y = "fidelity.rms_normalize"(%x)
    : (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">)
    -> (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "">)
  return %y : !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "">
}
// -----
// check: accept
func.func @f(%x: tensor<?x?xf32>) -> (tensor<?x?xf32>) {
  %y = "fidelity.rms_normalize"(%x) {eps = 1.0e-6 : f32}
    : (tensor<?x?xf32>)
    -> (tensor<?x?xf32>)
  return %y : tensor<?x?xf32>
}
// -----
// check: reject here result `y` has axis-1 size 65, expected 64 as the axis-1 size of `x`; compare the shapes of the parameters with the model's configuration
func.func @f(%x: tensor<?x64xf32>) -> (tensor<?x65xf32>) {
  %y = "fidelity.rms_normalize"(%x) {eps = 1.0e-6 : f32}
    : (tensor<?x64xf32>)
    -> (tensor<?x65xf32>)
  return %y : tensor<?x65xf32>
}
// -----
// check: accept
func.func @f(%x: !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">, %weight: !fidelity.vector<[], 64 : index, f32, "Hidden", "m">) -> (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m">) {
  %y = "fidelity.layer_norm"(%x, %weight) {eps = 1.0e-6 : f32}
    : (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">, !fidelity.vector<[], 64 : index, f32, "Hidden", "m">)
    -> (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m">)
  return %y : !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m">
}
// -----
// check: accept
func.func @f(%x: !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">, %weight: !fidelity.vector<[], 64 : index, f32, "Hidden", "m">, %bias: !fidelity.vector<[], 64 : index, f32, "Hidden", "m">) -> (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m">) {
  %y = "fidelity.layer_norm"(%x, %weight, %bias) {eps = 1.0e-6 : f32}
    : (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">, !fidelity.vector<[], 64 : index, f32, "Hidden", "m">, !fidelity.vector<[], 64 : index, f32, "Hidden", "m">)
    -> (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m">)
  return %y : !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m">
}
// -----
// check: reject result `y` has unit "kg", expected "m" as the unit of `weight`; `fidelity.scale` turns one unit into another, `fidelity.multiply_units` declares a product
func.func @f(%x: !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">, %weight: !fidelity.vector<[], 64 : index, f32, "Hidden", "m">) -> (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "kg">) {
  %y = "fidelity.layer_norm"(%x, %weight) {eps = 1.0e-6 : f32}
    : (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">, !fidelity.vector<[], 64 : index, f32, "Hidden", "m">)
    -> (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "kg">)
  return %y : !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "kg">
}
// -----
// check: reject result `y` has axis "Swapped", expected "Hidden" as the axis of `x`; are two operands swapped? `fidelity.rename_axis` says that two axes are one
func.func @f(%x: !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">, %weight: !fidelity.vector<[], 64 : index, f32, "Hidden", "m">) -> (!fidelity.vector<[8 : index], 64 : index, f32, "Swapped", "m">) {
  %y = "fidelity.layer_norm"(%x, %weight) {eps = 1.0e-6 : f32}
    : (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">, !fidelity.vector<[], 64 : index, f32, "Hidden", "m">)
    -> (!fidelity.vector<[8 : index], 64 : index, f32, "Swapped", "m">)
  return %y : !fidelity.vector<[8 : index], 64 : index, f32, "Swapped", "m">
}
// -----
// check: reject attribute `eps` is missing; add {eps = 1.0e-6 : f32}
func.func @f(%x: !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">, %weight: !fidelity.vector<[], 64 : index, f32, "Hidden", "m">) -> (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m">) {
  %y = "fidelity.layer_norm"(%x, %weight)
    : (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">, !fidelity.vector<[], 64 : index, f32, "Hidden", "m">)
    -> (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m">)
  return %y : !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m">
}
// -----
// check: reject `layer_norm` has 2 to 3 operands, found 1; they are (x, weight, optional bias)
func.func @f(%x: !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">) -> (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m">) {
  %y = "fidelity.layer_norm"(%x) {eps = 1.0e-6 : f32}
    : (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">)
    -> (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m">)
  return %y : !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m">
}
// -----
// check: accept
func.func @f(%x: tensor<?x?xf32>, %weight: tensor<?xf32>) -> (tensor<?x?xf32>) {
  %y = "fidelity.layer_norm"(%x, %weight) {eps = 1.0e-6 : f32}
    : (tensor<?x?xf32>, tensor<?xf32>)
    -> (tensor<?x?xf32>)
  return %y : tensor<?x?xf32>
}
// -----
// check: reject here result `y` has axis-1 size 65, expected 64 as the axis-1 size of `x`; compare the shapes of the parameters with the model's configuration
func.func @f(%x: tensor<?x64xf32>, %weight: tensor<?xf32>) -> (tensor<?x65xf32>) {
  %y = "fidelity.layer_norm"(%x, %weight) {eps = 1.0e-6 : f32}
    : (tensor<?x64xf32>, tensor<?xf32>)
    -> (tensor<?x65xf32>)
  return %y : tensor<?x65xf32>
}
// -----
// check: accept
func.func @f(%x: !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">, %weight: !fidelity.vector<[], 64 : index, f32, "Hidden", "m">) -> (!fidelity.quantized<[8 : index], 64 : index, "Hidden", "m">) {
  %q = "fidelity.rms_norm_quantize"(%x, %weight) {eps = 1.0e-6 : f32}
    : (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">, !fidelity.vector<[], 64 : index, f32, "Hidden", "m">)
    -> (!fidelity.quantized<[8 : index], 64 : index, "Hidden", "m">)
  return %q : !fidelity.quantized<[8 : index], 64 : index, "Hidden", "m">
}
// -----
// check: reject result `q` has size `len` 100, expected 64 as the size `len` of `x`; compare the shapes of the parameters with the model's configuration
func.func @f(%x: !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">, %weight: !fidelity.vector<[], 64 : index, f32, "Hidden", "m">) -> (!fidelity.quantized<[8 : index], 100 : index, "Hidden", "m">) {
  %q = "fidelity.rms_norm_quantize"(%x, %weight) {eps = 1.0e-6 : f32}
    : (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">, !fidelity.vector<[], 64 : index, f32, "Hidden", "m">)
    -> (!fidelity.quantized<[8 : index], 100 : index, "Hidden", "m">)
  return %q : !fidelity.quantized<[8 : index], 100 : index, "Hidden", "m">
}
// -----
// check: reject operand `weight` has element type f64, expected f32 as the element type of `x`; `fidelity.convert` changes the element type
func.func @f(%x: !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">, %weight: !fidelity.vector<[], 64 : index, f64, "Hidden", "m">) -> (!fidelity.quantized<[8 : index], 64 : index, "Hidden", "m">) {
  %q = "fidelity.rms_norm_quantize"(%x, %weight) {eps = 1.0e-6 : f32}
    : (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">, !fidelity.vector<[], 64 : index, f64, "Hidden", "m">)
    -> (!fidelity.quantized<[8 : index], 64 : index, "Hidden", "m">)
  return %q : !fidelity.quantized<[8 : index], 64 : index, "Hidden", "m">
}
// -----
// check: reject attribute `eps` is missing; add {eps = 1.0e-6 : f32}
func.func @f(%x: !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">, %weight: !fidelity.vector<[], 64 : index, f32, "Hidden", "m">) -> (!fidelity.quantized<[8 : index], 64 : index, "Hidden", "m">) {
  %q = "fidelity.rms_norm_quantize"(%x, %weight)
    : (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">, !fidelity.vector<[], 64 : index, f32, "Hidden", "m">)
    -> (!fidelity.quantized<[8 : index], 64 : index, "Hidden", "m">)
  return %q : !fidelity.quantized<[8 : index], 64 : index, "Hidden", "m">
}
// -----
// check: reject `rms_norm_quantize` has 2 operands, found 1; they are (x, weight)
func.func @f(%x: !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">) -> (!fidelity.quantized<[8 : index], 64 : index, "Hidden", "m">) {
  %q = "fidelity.rms_norm_quantize"(%x) {eps = 1.0e-6 : f32}
    : (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">)
    -> (!fidelity.quantized<[8 : index], 64 : index, "Hidden", "m">)
  return %q : !fidelity.quantized<[8 : index], 64 : index, "Hidden", "m">
}
// -----
// check: accept
func.func @f(%x: !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "">) -> (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "">) {
  %y = "fidelity.softmax"(%x)
    : (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "">)
    -> (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "">)
  return %y : !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "">
}
// -----
// check: reject operand `x` has unit "kg", `softmax` takes a pure number there; divide by a number of that unit first (`fidelity.divide_units`), or scale it away (`fidelity.scale`)
func.func @f(%x: !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "kg">) -> (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "">) {
  %y = "fidelity.softmax"(%x)
    : (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "kg">)
    -> (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "">)
  return %y : !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "">
}
// -----
// check: reject result `y` has axis "Swapped", expected "Hidden" as the axis of `x`; are two operands swapped? `fidelity.rename_axis` says that two axes are one
func.func @f(%x: !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "">) -> (!fidelity.vector<[8 : index], 64 : index, f32, "Swapped", "">) {
  %y = "fidelity.softmax"(%x)
    : (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "">)
    -> (!fidelity.vector<[8 : index], 64 : index, f32, "Swapped", "">)
  return %y : !fidelity.vector<[8 : index], 64 : index, f32, "Swapped", "">
}
// -----
// check: accept
func.func @f(%x: tensor<?x?xf32>) -> (tensor<?x?xf32>) {
  %y = "fidelity.softmax"(%x)
    : (tensor<?x?xf32>)
    -> (tensor<?x?xf32>)
  return %y : tensor<?x?xf32>
}
// -----
// check: reject here result `y` has axis-1 size 65, expected 64 as the axis-1 size of `x`; compare the shapes of the parameters with the model's configuration
func.func @f(%x: tensor<?x64xf32>) -> (tensor<?x65xf32>) {
  %y = "fidelity.softmax"(%x)
    : (tensor<?x64xf32>)
    -> (tensor<?x65xf32>)
  return %y : tensor<?x65xf32>
}
