// check: accept
func.func @f() -> (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">) {
  %z = "fidelity.zero_vector"()
    : ()
    -> (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">)
  return %z : !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">
}
// -----
// check: accept
func.func @f(%size: index) -> (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">) {
  %z = "fidelity.zero_vector"(%size)
    : (index)
    -> (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">)
  return %z : !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">
}
// -----
// check: reject operand `size` has type !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">, expected index
func.func @f(%extra: !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">) -> (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">) {
  %z = "fidelity.zero_vector"(%extra)
    : (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">)
    -> (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">)
  return %z : !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">
}
// -----
// check: accept
func.func @f(%n: index) -> tensor<?xf32> {
  %z = "fidelity.zero_vector"(%n) : (index) -> tensor<?xf32>
  return %z : tensor<?xf32>
}
// -----
// check: accept
func.func @f(%x: !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">) -> (!fidelity.quantized<[8 : index], 64 : index, "Hidden", "m/s">) {
  %q = "fidelity.quantize_activations"(%x)
    : (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">)
    -> (!fidelity.quantized<[8 : index], 64 : index, "Hidden", "m/s">)
  return %q : !fidelity.quantized<[8 : index], 64 : index, "Hidden", "m/s">
}
// -----
// check: reject result `q` has size `len` 100, expected 64 as the size `len` of `x`; compare the shapes of the parameters with the model's configuration
func.func @f(%x: !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">) -> (!fidelity.quantized<[8 : index], 100 : index, "Hidden", "m/s">) {
  %q = "fidelity.quantize_activations"(%x)
    : (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">)
    -> (!fidelity.quantized<[8 : index], 100 : index, "Hidden", "m/s">)
  return %q : !fidelity.quantized<[8 : index], 100 : index, "Hidden", "m/s">
}
// -----
// check: accept
func.func @f(%x: tensor<?x?xf32>) -> (tensor<?x?xi8>) {
  %q = "fidelity.quantize_activations"(%x)
    : (tensor<?x?xf32>)
    -> (tensor<?x?xi8>)
  return %q : tensor<?x?xi8>
}
// -----
// check: reject here result `q` has axis-1 size 65, expected 64 as the axis-1 size of `x`; compare the shapes of the parameters with the model's configuration
func.func @f(%x: tensor<?x64xf32>) -> (tensor<?x65xi8>) {
  %q = "fidelity.quantize_activations"(%x)
    : (tensor<?x64xf32>)
    -> (tensor<?x65xi8>)
  return %q : tensor<?x65xi8>
}
// -----
// check: accept
func.func @f(%w: !fidelity.matrix<64 : index, 256 : index, f32, "Out", "In", "m/s", "m">) -> (!fidelity.ternary<64 : index, 256 : index, "Out", "In", "compute", "m/s", "m">) {
  %t = "fidelity.quantize_weights"(%w)
    : (!fidelity.matrix<64 : index, 256 : index, f32, "Out", "In", "m/s", "m">)
    -> (!fidelity.ternary<64 : index, 256 : index, "Out", "In", "compute", "m/s", "m">)
  return %t : !fidelity.ternary<64 : index, 256 : index, "Out", "In", "compute", "m/s", "m">
}
// -----
// check: reject result `t` has unit `from` "kg", expected "m/s" as the unit `from` of `w`; `fidelity.scale` turns one unit into another, `fidelity.multiply_units` declares a product
func.func @f(%w: !fidelity.matrix<64 : index, 256 : index, f32, "Out", "In", "m/s", "m">) -> (!fidelity.ternary<64 : index, 256 : index, "Out", "In", "compute", "kg", "m">) {
  %t = "fidelity.quantize_weights"(%w)
    : (!fidelity.matrix<64 : index, 256 : index, f32, "Out", "In", "m/s", "m">)
    -> (!fidelity.ternary<64 : index, 256 : index, "Out", "In", "compute", "kg", "m">)
  return %t : !fidelity.ternary<64 : index, 256 : index, "Out", "In", "compute", "kg", "m">
}
// -----
// check: reject result `t` has axis `out` "Swapped", expected "Out" as the axis `out` of `w`; are two operands swapped? `fidelity.rename_axis` says that two axes are one
func.func @f(%w: !fidelity.matrix<64 : index, 256 : index, f32, "Out", "In", "m/s", "m">) -> (!fidelity.ternary<64 : index, 256 : index, "Swapped", "In", "compute", "m/s", "m">) {
  %t = "fidelity.quantize_weights"(%w)
    : (!fidelity.matrix<64 : index, 256 : index, f32, "Out", "In", "m/s", "m">)
    -> (!fidelity.ternary<64 : index, 256 : index, "Swapped", "In", "compute", "m/s", "m">)
  return %t : !fidelity.ternary<64 : index, 256 : index, "Swapped", "In", "compute", "m/s", "m">
}
// -----
// check: accept
func.func @f(%w: tensor<?x?xf32>) -> (tensor<?x?xi8>) {
  %t = "fidelity.quantize_weights"(%w)
    : (tensor<?x?xf32>)
    -> (tensor<?x?xi8>)
  return %t : tensor<?x?xi8>
}
// -----
// check: reject here result `t` has axis-1 size 65, expected 64 as the axis-1 size of `w`; compare the shapes of the parameters with the model's configuration
func.func @f(%w: tensor<?x64xf32>) -> (tensor<?x65xi8>) {
  %t = "fidelity.quantize_weights"(%w)
    : (tensor<?x64xf32>)
    -> (tensor<?x65xi8>)
  return %t : tensor<?x65xi8>
}
// -----
// check: accept
func.func @f(%q: !fidelity.quantized<[8 : index], 64 : index, "Hidden", "m/s">) -> (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">) {
  %x = "fidelity.dequantize"(%q)
    : (!fidelity.quantized<[8 : index], 64 : index, "Hidden", "m/s">)
    -> (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">)
  return %x : !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">
}
// -----
// check: reject result `x` has size `len` 100, expected 64 as the size `len` of `q`; compare the shapes of the parameters with the model's configuration
func.func @f(%q: !fidelity.quantized<[8 : index], 64 : index, "Hidden", "m/s">) -> (!fidelity.vector<[8 : index], 100 : index, f32, "Hidden", "m/s">) {
  %x = "fidelity.dequantize"(%q)
    : (!fidelity.quantized<[8 : index], 64 : index, "Hidden", "m/s">)
    -> (!fidelity.vector<[8 : index], 100 : index, f32, "Hidden", "m/s">)
  return %x : !fidelity.vector<[8 : index], 100 : index, f32, "Hidden", "m/s">
}
// -----
// check: accept
func.func @f(%w: !fidelity.ternary<64 : index, 256 : index, "Out", "In", "compute", "m/s", "m">) -> (!fidelity.ternary<64 : index, 256 : index, "Out", "In", "interchange", "m/s", "m">) {
  %t = "fidelity.repack"(%w)
    : (!fidelity.ternary<64 : index, 256 : index, "Out", "In", "compute", "m/s", "m">)
    -> (!fidelity.ternary<64 : index, 256 : index, "Out", "In", "interchange", "m/s", "m">)
  return %t : !fidelity.ternary<64 : index, 256 : index, "Out", "In", "interchange", "m/s", "m">
}
// -----
// check: reject result `t` has unit `from` "kg", expected "m/s" as the unit `from` of `w`; `fidelity.scale` turns one unit into another, `fidelity.multiply_units` declares a product
func.func @f(%w: !fidelity.ternary<64 : index, 256 : index, "Out", "In", "compute", "m/s", "m">) -> (!fidelity.ternary<64 : index, 256 : index, "Out", "In", "interchange", "kg", "m">) {
  %t = "fidelity.repack"(%w)
    : (!fidelity.ternary<64 : index, 256 : index, "Out", "In", "compute", "m/s", "m">)
    -> (!fidelity.ternary<64 : index, 256 : index, "Out", "In", "interchange", "kg", "m">)
  return %t : !fidelity.ternary<64 : index, 256 : index, "Out", "In", "interchange", "kg", "m">
}
// -----
// check: reject result `t` has axis `out` "Swapped", expected "Out" as the axis `out` of `w`; are two operands swapped? `fidelity.rename_axis` says that two axes are one
func.func @f(%w: !fidelity.ternary<64 : index, 256 : index, "Out", "In", "compute", "m/s", "m">) -> (!fidelity.ternary<64 : index, 256 : index, "Swapped", "In", "interchange", "m/s", "m">) {
  %t = "fidelity.repack"(%w)
    : (!fidelity.ternary<64 : index, 256 : index, "Out", "In", "compute", "m/s", "m">)
    -> (!fidelity.ternary<64 : index, 256 : index, "Swapped", "In", "interchange", "m/s", "m">)
  return %t : !fidelity.ternary<64 : index, 256 : index, "Swapped", "In", "interchange", "m/s", "m">
}
// -----
// check: accept
func.func @f(%x: !fidelity.vector<[8 : index], 256 : index, f32, "In", "m/s">, %weights: !fidelity.ternary<64 : index, 256 : index, "Out", "In", "compute", "m/s", "m">, %sum: !fidelity.vector<[8 : index], 64 : index, f32, "Out", "m">) -> (!fidelity.vector<[8 : index], 64 : index, f32, "Out", "m">) {
  %y = "fidelity.ternary_accumulate"(%x, %weights, %sum)
    : (!fidelity.vector<[8 : index], 256 : index, f32, "In", "m/s">, !fidelity.ternary<64 : index, 256 : index, "Out", "In", "compute", "m/s", "m">, !fidelity.vector<[8 : index], 64 : index, f32, "Out", "m">)
    -> (!fidelity.vector<[8 : index], 64 : index, f32, "Out", "m">)
  return %y : !fidelity.vector<[8 : index], 64 : index, f32, "Out", "m">
}
// -----
// check: reject operand `weights` has size `in_len` 100, expected 256 as the size `len` of `x`; compare the shapes of the parameters with the model's configuration
func.func @f(%x: !fidelity.vector<[8 : index], 256 : index, f32, "In", "m/s">, %weights: !fidelity.ternary<64 : index, 100 : index, "Out", "In", "compute", "m/s", "m">, %sum: !fidelity.vector<[8 : index], 64 : index, f32, "Out", "m">) -> (!fidelity.vector<[8 : index], 64 : index, f32, "Out", "m">) {
  %y = "fidelity.ternary_accumulate"(%x, %weights, %sum)
    : (!fidelity.vector<[8 : index], 256 : index, f32, "In", "m/s">, !fidelity.ternary<64 : index, 100 : index, "Out", "In", "compute", "m/s", "m">, !fidelity.vector<[8 : index], 64 : index, f32, "Out", "m">)
    -> (!fidelity.vector<[8 : index], 64 : index, f32, "Out", "m">)
  return %y : !fidelity.vector<[8 : index], 64 : index, f32, "Out", "m">
}
// -----
// check: reject result `y` has element type f64, expected f32 as the element type of `x`; `fidelity.convert` changes the element type
func.func @f(%x: !fidelity.vector<[8 : index], 256 : index, f32, "In", "m/s">, %weights: !fidelity.ternary<64 : index, 256 : index, "Out", "In", "compute", "m/s", "m">, %sum: !fidelity.vector<[8 : index], 64 : index, f32, "Out", "m">) -> (!fidelity.vector<[8 : index], 64 : index, f64, "Out", "m">) {
  %y = "fidelity.ternary_accumulate"(%x, %weights, %sum)
    : (!fidelity.vector<[8 : index], 256 : index, f32, "In", "m/s">, !fidelity.ternary<64 : index, 256 : index, "Out", "In", "compute", "m/s", "m">, !fidelity.vector<[8 : index], 64 : index, f32, "Out", "m">)
    -> (!fidelity.vector<[8 : index], 64 : index, f64, "Out", "m">)
  return %y : !fidelity.vector<[8 : index], 64 : index, f64, "Out", "m">
}
// -----
// check: reject `ternary_accumulate` has 3 operands, found 2; they are (x, weights, sum)
func.func @f(%x: !fidelity.vector<[8 : index], 256 : index, f32, "In", "m/s">, %weights: !fidelity.ternary<64 : index, 256 : index, "Out", "In", "compute", "m/s", "m">) -> (!fidelity.vector<[8 : index], 64 : index, f32, "Out", "m">) {
  %y = "fidelity.ternary_accumulate"(%x, %weights)
    : (!fidelity.vector<[8 : index], 256 : index, f32, "In", "m/s">, !fidelity.ternary<64 : index, 256 : index, "Out", "In", "compute", "m/s", "m">)
    -> (!fidelity.vector<[8 : index], 64 : index, f32, "Out", "m">)
  return %y : !fidelity.vector<[8 : index], 64 : index, f32, "Out", "m">
}
// -----
// check: accept
func.func @f(%x: tensor<?x?xf32>, %weights: tensor<?x?xi8>, %sum: tensor<?x?xf32>) -> (tensor<?x?xf32>) {
  %y = "fidelity.ternary_accumulate"(%x, %weights, %sum)
    : (tensor<?x?xf32>, tensor<?x?xi8>, tensor<?x?xf32>)
    -> (tensor<?x?xf32>)
  return %y : tensor<?x?xf32>
}
// -----
// check: reject here result `y` has axis-1 size 65, expected 64 as the axis-0 size of `weights`; compare the shapes of the parameters with the model's configuration
func.func @f(%x: tensor<?x?xf32>, %weights: tensor<64x?xi8>, %sum: tensor<?x?xf32>) -> (tensor<?x65xf32>) {
  %y = "fidelity.ternary_accumulate"(%x, %weights, %sum)
    : (tensor<?x?xf32>, tensor<64x?xi8>, tensor<?x?xf32>)
    -> (tensor<?x65xf32>)
  return %y : tensor<?x65xf32>
}
// -----
// check: accept
func.func @f(%x: !fidelity.vector<[8 : index], 256 : index, f32, "In", "m/s">, %weights: !fidelity.ternary<64 : index, 256 : index, "Out", "In", "compute", "m/s", "m">) -> (!fidelity.vector<[8 : index], 64 : index, f32, "Out", "m">) {
  %y = "fidelity.ternary_linear"(%x, %weights)
    : (!fidelity.vector<[8 : index], 256 : index, f32, "In", "m/s">, !fidelity.ternary<64 : index, 256 : index, "Out", "In", "compute", "m/s", "m">)
    -> (!fidelity.vector<[8 : index], 64 : index, f32, "Out", "m">)
  return %y : !fidelity.vector<[8 : index], 64 : index, f32, "Out", "m">
}
// -----
// check: reject operand `weights` has unit `from` "kg", expected "m/s" as the unit of `x`; `fidelity.scale` turns one unit into another, `fidelity.multiply_units` declares a product
func.func @f(%x: !fidelity.vector<[8 : index], 256 : index, f32, "In", "m/s">, %weights: !fidelity.ternary<64 : index, 256 : index, "Out", "In", "compute", "kg", "m">) -> (!fidelity.vector<[8 : index], 64 : index, f32, "Out", "m">) {
  %y = "fidelity.ternary_linear"(%x, %weights)
    : (!fidelity.vector<[8 : index], 256 : index, f32, "In", "m/s">, !fidelity.ternary<64 : index, 256 : index, "Out", "In", "compute", "kg", "m">)
    -> (!fidelity.vector<[8 : index], 64 : index, f32, "Out", "m">)
  return %y : !fidelity.vector<[8 : index], 64 : index, f32, "Out", "m">
}
// -----
// check: reject operand `weights` has axis `in` "Swapped", expected "In" as the axis of `x`; are two operands swapped? `fidelity.rename_axis` says that two axes are one
func.func @f(%x: !fidelity.vector<[8 : index], 256 : index, f32, "In", "m/s">, %weights: !fidelity.ternary<64 : index, 256 : index, "Out", "Swapped", "compute", "m/s", "m">) -> (!fidelity.vector<[8 : index], 64 : index, f32, "Out", "m">) {
  %y = "fidelity.ternary_linear"(%x, %weights)
    : (!fidelity.vector<[8 : index], 256 : index, f32, "In", "m/s">, !fidelity.ternary<64 : index, 256 : index, "Out", "Swapped", "compute", "m/s", "m">)
    -> (!fidelity.vector<[8 : index], 64 : index, f32, "Out", "m">)
  return %y : !fidelity.vector<[8 : index], 64 : index, f32, "Out", "m">
}
// -----
// check: reject `ternary_linear` has 2 to 3 operands, found 1; they are (x, weights, optional scale)
func.func @f(%x: !fidelity.vector<[8 : index], 256 : index, f32, "In", "m/s">) -> (!fidelity.vector<[8 : index], 64 : index, f32, "Out", "m">) {
  %y = "fidelity.ternary_linear"(%x)
    : (!fidelity.vector<[8 : index], 256 : index, f32, "In", "m/s">)
    -> (!fidelity.vector<[8 : index], 64 : index, f32, "Out", "m">)
  return %y : !fidelity.vector<[8 : index], 64 : index, f32, "Out", "m">
}
// -----
// check: accept
func.func @f(%x: tensor<?x?xf32>, %weights: tensor<?x?xi8>) -> (tensor<?x?xf32>) {
  %y = "fidelity.ternary_linear"(%x, %weights)
    : (tensor<?x?xf32>, tensor<?x?xi8>)
    -> (tensor<?x?xf32>)
  return %y : tensor<?x?xf32>
}
// -----
// check: reject here result `y` has axis-1 size 65, expected 64 as the axis-0 size of `weights`; compare the shapes of the parameters with the model's configuration
func.func @f(%x: tensor<?x?xf32>, %weights: tensor<64x?xi8>) -> (tensor<?x65xf32>) {
  %y = "fidelity.ternary_linear"(%x, %weights)
    : (tensor<?x?xf32>, tensor<64x?xi8>)
    -> (tensor<?x65xf32>)
  return %y : tensor<?x65xf32>
}
// -----
// check: accept
func.func @f(%x: !fidelity.quantized<[8 : index], 256 : index, "In", "m/s">, %weights: !fidelity.ternary<64 : index, 256 : index, "Out", "In", "compute", "m/s", "m">) -> (!fidelity.vector<[8 : index], 64 : index, i32, "Out", "">) {
  %y = "fidelity.ternary_sum"(%x, %weights)
    : (!fidelity.quantized<[8 : index], 256 : index, "In", "m/s">, !fidelity.ternary<64 : index, 256 : index, "Out", "In", "compute", "m/s", "m">)
    -> (!fidelity.vector<[8 : index], 64 : index, i32, "Out", "">)
  return %y : !fidelity.vector<[8 : index], 64 : index, i32, "Out", "">
}
// -----
// check: reject operand `weights` has size `in_len` 100, expected 256 as the size `len` of `x`; compare the shapes of the parameters with the model's configuration
func.func @f(%x: !fidelity.quantized<[8 : index], 256 : index, "In", "m/s">, %weights: !fidelity.ternary<64 : index, 100 : index, "Out", "In", "compute", "m/s", "m">) -> (!fidelity.vector<[8 : index], 64 : index, i32, "Out", "">) {
  %y = "fidelity.ternary_sum"(%x, %weights)
    : (!fidelity.quantized<[8 : index], 256 : index, "In", "m/s">, !fidelity.ternary<64 : index, 100 : index, "Out", "In", "compute", "m/s", "m">)
    -> (!fidelity.vector<[8 : index], 64 : index, i32, "Out", "">)
  return %y : !fidelity.vector<[8 : index], 64 : index, i32, "Out", "">
}
// -----
// check: reject `ternary_sum` has 2 operands, found 1; they are (x, weights)
func.func @f(%x: !fidelity.quantized<[8 : index], 256 : index, "In", "m/s">) -> (!fidelity.vector<[8 : index], 64 : index, i32, "Out", "">) {
  %y = "fidelity.ternary_sum"(%x)
    : (!fidelity.quantized<[8 : index], 256 : index, "In", "m/s">)
    -> (!fidelity.vector<[8 : index], 64 : index, i32, "Out", "">)
  return %y : !fidelity.vector<[8 : index], 64 : index, i32, "Out", "">
}
// -----
// check: accept
func.func @f(%x: tensor<?x?xi8>, %weights: tensor<?x?xi8>) -> (tensor<?x?xi32>) {
  %y = "fidelity.ternary_sum"(%x, %weights)
    : (tensor<?x?xi8>, tensor<?x?xi8>)
    -> (tensor<?x?xi32>)
  return %y : tensor<?x?xi32>
}
// -----
// check: reject here result `y` has axis-1 size 65, expected 64 as the axis-0 size of `weights`; compare the shapes of the parameters with the model's configuration
func.func @f(%x: tensor<?x?xi8>, %weights: tensor<64x?xi8>) -> (tensor<?x65xi32>) {
  %y = "fidelity.ternary_sum"(%x, %weights)
    : (tensor<?x?xi8>, tensor<64x?xi8>)
    -> (tensor<?x65xi32>)
  return %y : tensor<?x65xi32>
}
// -----
// check: accept
func.func @f(%x: !fidelity.vector<[8 : index], 256 : index, f32, "In", "m/s">, %weights: !fidelity.matrix<64 : index, 256 : index, f32, "Out", "In", "m/s", "m">) -> (!fidelity.vector<[8 : index], 64 : index, f32, "Out", "m">) {
  %y = "fidelity.linear"(%x, %weights)
    : (!fidelity.vector<[8 : index], 256 : index, f32, "In", "m/s">, !fidelity.matrix<64 : index, 256 : index, f32, "Out", "In", "m/s", "m">)
    -> (!fidelity.vector<[8 : index], 64 : index, f32, "Out", "m">)
  return %y : !fidelity.vector<[8 : index], 64 : index, f32, "Out", "m">
}
// -----
// check: accept
func.func @f(%x: !fidelity.vector<[8 : index], 256 : index, f32, "In", "m/s">, %weights: !fidelity.matrix<64 : index, 256 : index, f32, "Out", "In", "m/s", "m">, %bias: !fidelity.vector<[], 64 : index, f32, "Out", "m">) -> (!fidelity.vector<[8 : index], 64 : index, f32, "Out", "m">) {
  %y = "fidelity.linear"(%x, %weights, %bias)
    : (!fidelity.vector<[8 : index], 256 : index, f32, "In", "m/s">, !fidelity.matrix<64 : index, 256 : index, f32, "Out", "In", "m/s", "m">, !fidelity.vector<[], 64 : index, f32, "Out", "m">)
    -> (!fidelity.vector<[8 : index], 64 : index, f32, "Out", "m">)
  return %y : !fidelity.vector<[8 : index], 64 : index, f32, "Out", "m">
}
// -----
// check: reject operand `weights` has unit `from` "kg", expected "m/s" as the unit of `x`; `fidelity.scale` turns one unit into another, `fidelity.multiply_units` declares a product
func.func @f(%x: !fidelity.vector<[8 : index], 256 : index, f32, "In", "m/s">, %weights: !fidelity.matrix<64 : index, 256 : index, f32, "Out", "In", "kg", "m">) -> (!fidelity.vector<[8 : index], 64 : index, f32, "Out", "m">) {
  %y = "fidelity.linear"(%x, %weights)
    : (!fidelity.vector<[8 : index], 256 : index, f32, "In", "m/s">, !fidelity.matrix<64 : index, 256 : index, f32, "Out", "In", "kg", "m">)
    -> (!fidelity.vector<[8 : index], 64 : index, f32, "Out", "m">)
  return %y : !fidelity.vector<[8 : index], 64 : index, f32, "Out", "m">
}
// -----
// check: reject operand `weights` has axis `in` "Swapped", expected "In" as the axis of `x`; are two operands swapped? `fidelity.rename_axis` says that two axes are one
func.func @f(%x: !fidelity.vector<[8 : index], 256 : index, f32, "In", "m/s">, %weights: !fidelity.matrix<64 : index, 256 : index, f32, "Out", "Swapped", "m/s", "m">) -> (!fidelity.vector<[8 : index], 64 : index, f32, "Out", "m">) {
  %y = "fidelity.linear"(%x, %weights)
    : (!fidelity.vector<[8 : index], 256 : index, f32, "In", "m/s">, !fidelity.matrix<64 : index, 256 : index, f32, "Out", "Swapped", "m/s", "m">)
    -> (!fidelity.vector<[8 : index], 64 : index, f32, "Out", "m">)
  return %y : !fidelity.vector<[8 : index], 64 : index, f32, "Out", "m">
}
// -----
// check: reject `linear` has 2 to 3 operands, found 1; they are (x, weights, optional bias)
func.func @f(%x: !fidelity.vector<[8 : index], 256 : index, f32, "In", "m/s">) -> (!fidelity.vector<[8 : index], 64 : index, f32, "Out", "m">) {
  %y = "fidelity.linear"(%x)
    : (!fidelity.vector<[8 : index], 256 : index, f32, "In", "m/s">)
    -> (!fidelity.vector<[8 : index], 64 : index, f32, "Out", "m">)
  return %y : !fidelity.vector<[8 : index], 64 : index, f32, "Out", "m">
}
// -----
// check: accept
func.func @f(%x: tensor<?x?xf32>, %weights: tensor<?x?xf32>) -> (tensor<?x?xf32>) {
  %y = "fidelity.linear"(%x, %weights)
    : (tensor<?x?xf32>, tensor<?x?xf32>)
    -> (tensor<?x?xf32>)
  return %y : tensor<?x?xf32>
}
// -----
// check: reject here result `y` has axis-1 size 65, expected 64 as the axis-0 size of `weights`; compare the shapes of the parameters with the model's configuration
func.func @f(%x: tensor<?x?xf32>, %weights: tensor<64x?xf32>) -> (tensor<?x65xf32>) {
  %y = "fidelity.linear"(%x, %weights)
    : (tensor<?x?xf32>, tensor<64x?xf32>)
    -> (tensor<?x65xf32>)
  return %y : tensor<?x65xf32>
}
// -----
// check: accept
func.func @f(%x: !fidelity.vector<[8 : index], 256 : index, f32, "In", "m/s">, %weights: !fidelity.blocks<64 : index, 256 : index, "Out", "In", "q4_k", "m/s", "m">) -> (!fidelity.vector<[8 : index], 64 : index, f32, "Out", "m">) {
  %y = "fidelity.block_linear"(%x, %weights)
    : (!fidelity.vector<[8 : index], 256 : index, f32, "In", "m/s">, !fidelity.blocks<64 : index, 256 : index, "Out", "In", "q4_k", "m/s", "m">)
    -> (!fidelity.vector<[8 : index], 64 : index, f32, "Out", "m">)
  return %y : !fidelity.vector<[8 : index], 64 : index, f32, "Out", "m">
}
// -----
// check: reject operand `weights` has size `in_len` 100, expected 256 as the size `len` of `x`; compare the shapes of the parameters with the model's configuration
func.func @f(%x: !fidelity.vector<[8 : index], 256 : index, f32, "In", "m/s">, %weights: !fidelity.blocks<64 : index, 100 : index, "Out", "In", "q4_k", "m/s", "m">) -> (!fidelity.vector<[8 : index], 64 : index, f32, "Out", "m">) {
  %y = "fidelity.block_linear"(%x, %weights)
    : (!fidelity.vector<[8 : index], 256 : index, f32, "In", "m/s">, !fidelity.blocks<64 : index, 100 : index, "Out", "In", "q4_k", "m/s", "m">)
    -> (!fidelity.vector<[8 : index], 64 : index, f32, "Out", "m">)
  return %y : !fidelity.vector<[8 : index], 64 : index, f32, "Out", "m">
}
// -----
// check: reject result `y` has element type f64, expected f32 as the element type of `x`; `fidelity.convert` changes the element type
func.func @f(%x: !fidelity.vector<[8 : index], 256 : index, f32, "In", "m/s">, %weights: !fidelity.blocks<64 : index, 256 : index, "Out", "In", "q4_k", "m/s", "m">) -> (!fidelity.vector<[8 : index], 64 : index, f64, "Out", "m">) {
  %y = "fidelity.block_linear"(%x, %weights)
    : (!fidelity.vector<[8 : index], 256 : index, f32, "In", "m/s">, !fidelity.blocks<64 : index, 256 : index, "Out", "In", "q4_k", "m/s", "m">)
    -> (!fidelity.vector<[8 : index], 64 : index, f64, "Out", "m">)
  return %y : !fidelity.vector<[8 : index], 64 : index, f64, "Out", "m">
}
// -----
// check: reject `block_linear` has 2 operands, found 1; they are (x, weights)
func.func @f(%x: !fidelity.vector<[8 : index], 256 : index, f32, "In", "m/s">) -> (!fidelity.vector<[8 : index], 64 : index, f32, "Out", "m">) {
  %y = "fidelity.block_linear"(%x)
    : (!fidelity.vector<[8 : index], 256 : index, f32, "In", "m/s">)
    -> (!fidelity.vector<[8 : index], 64 : index, f32, "Out", "m">)
  return %y : !fidelity.vector<[8 : index], 64 : index, f32, "Out", "m">
}
// -----
// check: accept
func.func @f(%x: !fidelity.vector<[8 : index], 256 : index, f32, "In", "m/s">, %table: !fidelity.matrix<64 : index, 256 : index, f32, "Vocab", "In", "m/s", "m">) -> (!fidelity.vector<[8 : index], 64 : index, f32, "Vocab", "m">) {
  %logits = "fidelity.head_product"(%x, %table)
    : (!fidelity.vector<[8 : index], 256 : index, f32, "In", "m/s">, !fidelity.matrix<64 : index, 256 : index, f32, "Vocab", "In", "m/s", "m">)
    -> (!fidelity.vector<[8 : index], 64 : index, f32, "Vocab", "m">)
  return %logits : !fidelity.vector<[8 : index], 64 : index, f32, "Vocab", "m">
}
// -----
// check: reject operand `table` has unit `from` "kg", expected "m/s" as the unit of `x`; `fidelity.scale` turns one unit into another, `fidelity.multiply_units` declares a product
func.func @f(%x: !fidelity.vector<[8 : index], 256 : index, f32, "In", "m/s">, %table: !fidelity.matrix<64 : index, 256 : index, f32, "Vocab", "In", "kg", "m">) -> (!fidelity.vector<[8 : index], 64 : index, f32, "Vocab", "m">) {
  %logits = "fidelity.head_product"(%x, %table)
    : (!fidelity.vector<[8 : index], 256 : index, f32, "In", "m/s">, !fidelity.matrix<64 : index, 256 : index, f32, "Vocab", "In", "kg", "m">)
    -> (!fidelity.vector<[8 : index], 64 : index, f32, "Vocab", "m">)
  return %logits : !fidelity.vector<[8 : index], 64 : index, f32, "Vocab", "m">
}
// -----
// check: reject operand `table` has axis `in` "Swapped", expected "In" as the axis of `x`; are two operands swapped? `fidelity.rename_axis` says that two axes are one
func.func @f(%x: !fidelity.vector<[8 : index], 256 : index, f32, "In", "m/s">, %table: !fidelity.matrix<64 : index, 256 : index, f32, "Vocab", "Swapped", "m/s", "m">) -> (!fidelity.vector<[8 : index], 64 : index, f32, "Vocab", "m">) {
  %logits = "fidelity.head_product"(%x, %table)
    : (!fidelity.vector<[8 : index], 256 : index, f32, "In", "m/s">, !fidelity.matrix<64 : index, 256 : index, f32, "Vocab", "Swapped", "m/s", "m">)
    -> (!fidelity.vector<[8 : index], 64 : index, f32, "Vocab", "m">)
  return %logits : !fidelity.vector<[8 : index], 64 : index, f32, "Vocab", "m">
}
// -----
// check: reject `head_product` has 2 operands, found 1; they are (x, table)
func.func @f(%x: !fidelity.vector<[8 : index], 256 : index, f32, "In", "m/s">) -> (!fidelity.vector<[8 : index], 64 : index, f32, "Vocab", "m">) {
  %logits = "fidelity.head_product"(%x)
    : (!fidelity.vector<[8 : index], 256 : index, f32, "In", "m/s">)
    -> (!fidelity.vector<[8 : index], 64 : index, f32, "Vocab", "m">)
  return %logits : !fidelity.vector<[8 : index], 64 : index, f32, "Vocab", "m">
}
// -----
// check: accept
func.func @f(%x: tensor<?x?xf32>, %table: tensor<?x?xf32>) -> (tensor<?x?xf32>) {
  %logits = "fidelity.head_product"(%x, %table)
    : (tensor<?x?xf32>, tensor<?x?xf32>)
    -> (tensor<?x?xf32>)
  return %logits : tensor<?x?xf32>
}
// -----
// check: reject here result `logits` has axis-1 size 65, expected 64 as the axis-0 size of `table`; compare the shapes of the parameters with the model's configuration
func.func @f(%x: tensor<?x?xf32>, %table: tensor<64x?xf32>) -> (tensor<?x65xf32>) {
  %logits = "fidelity.head_product"(%x, %table)
    : (tensor<?x?xf32>, tensor<64x?xf32>)
    -> (tensor<?x65xf32>)
  return %logits : tensor<?x65xf32>
}
// -----
// check: accept
func.func @f(%x: !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">, %y: !fidelity.vector<[8 : index], 32 : index, f32, "Other", "">) -> (!fidelity.matrix_state<[8 : index], 64 : index, 32 : index, f32, "Hidden", "Other", "m/s">) {
  %z = "fidelity.outer"(%x, %y)
    : (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">, !fidelity.vector<[8 : index], 32 : index, f32, "Other", "">)
    -> (!fidelity.matrix_state<[8 : index], 64 : index, 32 : index, f32, "Hidden", "Other", "m/s">)
  return %z : !fidelity.matrix_state<[8 : index], 64 : index, 32 : index, f32, "Hidden", "Other", "m/s">
}
// -----
// check: reject operand `y` has unit "kg", `outer` takes a pure number there; divide by a number of that unit first (`fidelity.divide_units`), or scale it away (`fidelity.scale`)
func.func @f(%x: !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">, %y: !fidelity.vector<[8 : index], 32 : index, f32, "Other", "kg">) -> (!fidelity.matrix_state<[8 : index], 64 : index, 32 : index, f32, "Hidden", "Other", "m/s">) {
  %z = "fidelity.outer"(%x, %y)
    : (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">, !fidelity.vector<[8 : index], 32 : index, f32, "Other", "kg">)
    -> (!fidelity.matrix_state<[8 : index], 64 : index, 32 : index, f32, "Hidden", "Other", "m/s">)
  return %z : !fidelity.matrix_state<[8 : index], 64 : index, 32 : index, f32, "Hidden", "Other", "m/s">
}
// -----
// check: reject result `z` has size `rows` 100, expected 64 as the size `len` of `x`; compare the shapes of the parameters with the model's configuration
func.func @f(%x: !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">, %y: !fidelity.vector<[8 : index], 32 : index, f32, "Other", "">) -> (!fidelity.matrix_state<[8 : index], 100 : index, 32 : index, f32, "Hidden", "Other", "m/s">) {
  %z = "fidelity.outer"(%x, %y)
    : (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">, !fidelity.vector<[8 : index], 32 : index, f32, "Other", "">)
    -> (!fidelity.matrix_state<[8 : index], 100 : index, 32 : index, f32, "Hidden", "Other", "m/s">)
  return %z : !fidelity.matrix_state<[8 : index], 100 : index, 32 : index, f32, "Hidden", "Other", "m/s">
}
// -----
// check: reject result `z` has element type f64, expected f32 as the element type of `x`; `fidelity.convert` changes the element type
func.func @f(%x: !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">, %y: !fidelity.vector<[8 : index], 32 : index, f32, "Other", "">) -> (!fidelity.matrix_state<[8 : index], 64 : index, 32 : index, f64, "Hidden", "Other", "m/s">) {
  %z = "fidelity.outer"(%x, %y)
    : (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">, !fidelity.vector<[8 : index], 32 : index, f32, "Other", "">)
    -> (!fidelity.matrix_state<[8 : index], 64 : index, 32 : index, f64, "Hidden", "Other", "m/s">)
  return %z : !fidelity.matrix_state<[8 : index], 64 : index, 32 : index, f64, "Hidden", "Other", "m/s">
}
// -----
// check: reject `outer` has 2 operands, found 1; they are (x, y)
func.func @f(%x: !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">) -> (!fidelity.matrix_state<[8 : index], 64 : index, 32 : index, f32, "Hidden", "Other", "m/s">) {
  %z = "fidelity.outer"(%x)
    : (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">)
    -> (!fidelity.matrix_state<[8 : index], 64 : index, 32 : index, f32, "Hidden", "Other", "m/s">)
  return %z : !fidelity.matrix_state<[8 : index], 64 : index, 32 : index, f32, "Hidden", "Other", "m/s">
}
