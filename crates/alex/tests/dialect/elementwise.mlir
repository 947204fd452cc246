// check: accept
func.func @f(%x: !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "">) -> (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "">) {
  %y = "fidelity.sigmoid"(%x)
    : (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "">)
    -> (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "">)
  return %y : !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "">
}
// -----
// check: reject operand `x` has unit "kg", `sigmoid` takes a pure number there; divide by a number of that unit first (`fidelity.divide_units`), or scale it away (`fidelity.scale`)
func.func @f(%x: !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "kg">) -> (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "">) {
  %y = "fidelity.sigmoid"(%x)
    : (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "kg">)
    -> (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "">)
  return %y : !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "">
}
// -----
// check: reject result `y` has element type f64, expected f32 as `x`; `fidelity.convert` changes the element type
func.func @f(%x: !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "">) -> (!fidelity.vector<[8 : index], 64 : index, f64, "Hidden", "">) {
  %y = "fidelity.sigmoid"(%x)
    : (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "">)
    -> (!fidelity.vector<[8 : index], 64 : index, f64, "Hidden", "">)
  return %y : !fidelity.vector<[8 : index], 64 : index, f64, "Hidden", "">
}
// -----
// check: accept
func.func @f(%x: tensor<?xf32>) -> (tensor<?xf32>) {
  %y = "fidelity.sigmoid"(%x)
    : (tensor<?xf32>)
    -> (tensor<?xf32>)
  return %y : tensor<?xf32>
}
// -----
// check: reject here result `y` has leading sizes [65], expected [64] as the leading sizes of `x`; operands of one operation have the same leading sizes
func.func @f(%x: tensor<64xf32>) -> (tensor<65xf32>) {
  %y = "fidelity.sigmoid"(%x)
    : (tensor<64xf32>)
    -> (tensor<65xf32>)
  return %y : tensor<65xf32>
}
// -----
// check: accept
func.func @f(%x: !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "">) -> (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "">) {
  %y = "fidelity.tanh"(%x)
    : (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "">)
    -> (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "">)
  return %y : !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "">
}
// -----
// check: reject operand `x` has unit "kg", `tanh` takes a pure number there; divide by a number of that unit first (`fidelity.divide_units`), or scale it away (`fidelity.scale`)
func.func @f(%x: !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "kg">) -> (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "">) {
  %y = "fidelity.tanh"(%x)
    : (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "kg">)
    -> (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "">)
  return %y : !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "">
}
// -----
// check: reject result `y` has element type f64, expected f32 as `x`; `fidelity.convert` changes the element type
func.func @f(%x: !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "">) -> (!fidelity.vector<[8 : index], 64 : index, f64, "Hidden", "">) {
  %y = "fidelity.tanh"(%x)
    : (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "">)
    -> (!fidelity.vector<[8 : index], 64 : index, f64, "Hidden", "">)
  return %y : !fidelity.vector<[8 : index], 64 : index, f64, "Hidden", "">
}
// -----
// check: accept
func.func @f(%x: tensor<?xf32>) -> (tensor<?xf32>) {
  %y = "fidelity.tanh"(%x)
    : (tensor<?xf32>)
    -> (tensor<?xf32>)
  return %y : tensor<?xf32>
}
// -----
// check: reject here result `y` has leading sizes [65], expected [64] as the leading sizes of `x`; operands of one operation have the same leading sizes
func.func @f(%x: tensor<64xf32>) -> (tensor<65xf32>) {
  %y = "fidelity.tanh"(%x)
    : (tensor<64xf32>)
    -> (tensor<65xf32>)
  return %y : tensor<65xf32>
}
// -----
// check: accept
func.func @f(%x: !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "">) -> (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "">) {
  %y = "fidelity.silu"(%x)
    : (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "">)
    -> (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "">)
  return %y : !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "">
}
// -----
// check: reject operand `x` has unit "kg", `silu` takes a pure number there; divide by a number of that unit first (`fidelity.divide_units`), or scale it away (`fidelity.scale`)
func.func @f(%x: !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "kg">) -> (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "">) {
  %y = "fidelity.silu"(%x)
    : (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "kg">)
    -> (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "">)
  return %y : !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "">
}
// -----
// check: reject result `y` has element type f64, expected f32 as `x`; `fidelity.convert` changes the element type
func.func @f(%x: !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "">) -> (!fidelity.vector<[8 : index], 64 : index, f64, "Hidden", "">) {
  %y = "fidelity.silu"(%x)
    : (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "">)
    -> (!fidelity.vector<[8 : index], 64 : index, f64, "Hidden", "">)
  return %y : !fidelity.vector<[8 : index], 64 : index, f64, "Hidden", "">
}
// -----
// check: accept
func.func @f(%x: tensor<?xf32>) -> (tensor<?xf32>) {
  %y = "fidelity.silu"(%x)
    : (tensor<?xf32>)
    -> (tensor<?xf32>)
  return %y : tensor<?xf32>
}
// -----
// check: reject here result `y` has leading sizes [65], expected [64] as the leading sizes of `x`; operands of one operation have the same leading sizes
func.func @f(%x: tensor<64xf32>) -> (tensor<65xf32>) {
  %y = "fidelity.silu"(%x)
    : (tensor<64xf32>)
    -> (tensor<65xf32>)
  return %y : tensor<65xf32>
}
// -----
// check: accept
func.func @f(%x: !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "">) -> (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "">) {
  %y = "fidelity.gelu"(%x)
    : (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "">)
    -> (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "">)
  return %y : !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "">
}
// -----
// check: reject operand `x` has unit "kg", `gelu` takes a pure number there; divide by a number of that unit first (`fidelity.divide_units`), or scale it away (`fidelity.scale`)
func.func @f(%x: !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "kg">) -> (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "">) {
  %y = "fidelity.gelu"(%x)
    : (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "kg">)
    -> (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "">)
  return %y : !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "">
}
// -----
// check: reject result `y` has element type f64, expected f32 as `x`; `fidelity.convert` changes the element type
func.func @f(%x: !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "">) -> (!fidelity.vector<[8 : index], 64 : index, f64, "Hidden", "">) {
  %y = "fidelity.gelu"(%x)
    : (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "">)
    -> (!fidelity.vector<[8 : index], 64 : index, f64, "Hidden", "">)
  return %y : !fidelity.vector<[8 : index], 64 : index, f64, "Hidden", "">
}
// -----
// check: accept
func.func @f(%x: tensor<?xf32>) -> (tensor<?xf32>) {
  %y = "fidelity.gelu"(%x)
    : (tensor<?xf32>)
    -> (tensor<?xf32>)
  return %y : tensor<?xf32>
}
// -----
// check: reject here result `y` has leading sizes [65], expected [64] as the leading sizes of `x`; operands of one operation have the same leading sizes
func.func @f(%x: tensor<64xf32>) -> (tensor<65xf32>) {
  %y = "fidelity.gelu"(%x)
    : (tensor<64xf32>)
    -> (tensor<65xf32>)
  return %y : tensor<65xf32>
}
// -----
// check: accept
func.func @f(%x: !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "">) -> (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "">) {
  %y = "fidelity.exp"(%x)
    : (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "">)
    -> (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "">)
  return %y : !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "">
}
// -----
// check: reject operand `x` has unit "kg", `exp` takes a pure number there; divide by a number of that unit first (`fidelity.divide_units`), or scale it away (`fidelity.scale`)
func.func @f(%x: !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "kg">) -> (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "">) {
  %y = "fidelity.exp"(%x)
    : (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "kg">)
    -> (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "">)
  return %y : !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "">
}
// -----
// check: reject result `y` has element type f64, expected f32 as `x`; `fidelity.convert` changes the element type
func.func @f(%x: !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "">) -> (!fidelity.vector<[8 : index], 64 : index, f64, "Hidden", "">) {
  %y = "fidelity.exp"(%x)
    : (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "">)
    -> (!fidelity.vector<[8 : index], 64 : index, f64, "Hidden", "">)
  return %y : !fidelity.vector<[8 : index], 64 : index, f64, "Hidden", "">
}
// -----
// check: accept
func.func @f(%x: tensor<?xf32>) -> (tensor<?xf32>) {
  %y = "fidelity.exp"(%x)
    : (tensor<?xf32>)
    -> (tensor<?xf32>)
  return %y : tensor<?xf32>
}
// -----
// check: reject here result `y` has leading sizes [65], expected [64] as the leading sizes of `x`; operands of one operation have the same leading sizes
func.func @f(%x: tensor<64xf32>) -> (tensor<65xf32>) {
  %y = "fidelity.exp"(%x)
    : (tensor<64xf32>)
    -> (tensor<65xf32>)
  return %y : tensor<65xf32>
}
// -----
// check: accept
func.func @f(%x: !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "">) -> (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "">) {
  %y = "fidelity.log"(%x)
    : (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "">)
    -> (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "">)
  return %y : !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "">
}
// -----
// check: reject operand `x` has unit "kg", `log` takes a pure number there; divide by a number of that unit first (`fidelity.divide_units`), or scale it away (`fidelity.scale`)
func.func @f(%x: !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "kg">) -> (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "">) {
  %y = "fidelity.log"(%x)
    : (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "kg">)
    -> (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "">)
  return %y : !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "">
}
// -----
// check: reject result `y` has element type f64, expected f32 as `x`; `fidelity.convert` changes the element type
func.func @f(%x: !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "">) -> (!fidelity.vector<[8 : index], 64 : index, f64, "Hidden", "">) {
  %y = "fidelity.log"(%x)
    : (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "">)
    -> (!fidelity.vector<[8 : index], 64 : index, f64, "Hidden", "">)
  return %y : !fidelity.vector<[8 : index], 64 : index, f64, "Hidden", "">
}
// -----
// check: accept
func.func @f(%x: tensor<?xf32>) -> (tensor<?xf32>) {
  %y = "fidelity.log"(%x)
    : (tensor<?xf32>)
    -> (tensor<?xf32>)
  return %y : tensor<?xf32>
}
// -----
// check: reject here result `y` has leading sizes [65], expected [64] as the leading sizes of `x`; operands of one operation have the same leading sizes
func.func @f(%x: tensor<64xf32>) -> (tensor<65xf32>) {
  %y = "fidelity.log"(%x)
    : (tensor<64xf32>)
    -> (tensor<65xf32>)
  return %y : tensor<65xf32>
}
// -----
// check: accept
func.func @f(%x: !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "">) -> (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "">) {
  %y = "fidelity.softplus"(%x)
    : (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "">)
    -> (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "">)
  return %y : !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "">
}
// -----
// check: reject operand `x` has unit "kg", `softplus` takes a pure number there; divide by a number of that unit first (`fidelity.divide_units`), or scale it away (`fidelity.scale`)
func.func @f(%x: !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "kg">) -> (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "">) {
  %y = "fidelity.softplus"(%x)
    : (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "kg">)
    -> (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "">)
  return %y : !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "">
}
// -----
// check: reject result `y` has element type f64, expected f32 as `x`; `fidelity.convert` changes the element type
func.func @f(%x: !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "">) -> (!fidelity.vector<[8 : index], 64 : index, f64, "Hidden", "">) {
  %y = "fidelity.softplus"(%x)
    : (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "">)
    -> (!fidelity.vector<[8 : index], 64 : index, f64, "Hidden", "">)
  return %y : !fidelity.vector<[8 : index], 64 : index, f64, "Hidden", "">
}
// -----
// check: accept
func.func @f(%x: tensor<?xf32>) -> (tensor<?xf32>) {
  %y = "fidelity.softplus"(%x)
    : (tensor<?xf32>)
    -> (tensor<?xf32>)
  return %y : tensor<?xf32>
}
// -----
// check: reject here result `y` has leading sizes [65], expected [64] as the leading sizes of `x`; operands of one operation have the same leading sizes
func.func @f(%x: tensor<64xf32>) -> (tensor<65xf32>) {
  %y = "fidelity.softplus"(%x)
    : (tensor<64xf32>)
    -> (tensor<65xf32>)
  return %y : tensor<65xf32>
}
// -----
// check: accept
func.func @f(%x: !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "">) -> (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "">) {
  %y = "fidelity.complement"(%x)
    : (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "">)
    -> (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "">)
  return %y : !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "">
}
// -----
// check: reject operand `x` has unit "kg", `complement` takes a pure number there; divide by a number of that unit first (`fidelity.divide_units`), or scale it away (`fidelity.scale`)
func.func @f(%x: !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "kg">) -> (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "">) {
  %y = "fidelity.complement"(%x)
    : (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "kg">)
    -> (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "">)
  return %y : !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "">
}
// -----
// check: reject result `y` has element type f64, expected f32 as `x`; `fidelity.convert` changes the element type
func.func @f(%x: !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "">) -> (!fidelity.vector<[8 : index], 64 : index, f64, "Hidden", "">) {
  %y = "fidelity.complement"(%x)
    : (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "">)
    -> (!fidelity.vector<[8 : index], 64 : index, f64, "Hidden", "">)
  return %y : !fidelity.vector<[8 : index], 64 : index, f64, "Hidden", "">
}
// -----
// check: accept
func.func @f(%x: tensor<?xf32>) -> (tensor<?xf32>) {
  %y = "fidelity.complement"(%x)
    : (tensor<?xf32>)
    -> (tensor<?xf32>)
  return %y : tensor<?xf32>
}
// -----
// check: reject here result `y` has leading sizes [65], expected [64] as the leading sizes of `x`; operands of one operation have the same leading sizes
func.func @f(%x: tensor<64xf32>) -> (tensor<65xf32>) {
  %y = "fidelity.complement"(%x)
    : (tensor<64xf32>)
    -> (tensor<65xf32>)
  return %y : tensor<65xf32>
}
// -----
// check: accept
func.func @f(%x: !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">) -> (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">) {
  %y = "fidelity.negate"(%x)
    : (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">)
    -> (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">)
  return %y : !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">
}
// -----
// check: reject result `y` has element type f64, expected f32 as `x`; `fidelity.convert` changes the element type
func.func @f(%x: !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">) -> (!fidelity.vector<[8 : index], 64 : index, f64, "Hidden", "m/s">) {
  %y = "fidelity.negate"(%x)
    : (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">)
    -> (!fidelity.vector<[8 : index], 64 : index, f64, "Hidden", "m/s">)
  return %y : !fidelity.vector<[8 : index], 64 : index, f64, "Hidden", "m/s">
}
// -----
// check: accept
func.func @f(%x: tensor<?xf32>) -> (tensor<?xf32>) {
  %y = "fidelity.negate"(%x)
    : (tensor<?xf32>)
    -> (tensor<?xf32>)
  return %y : tensor<?xf32>
}
// -----
// check: reject here result `y` has leading sizes [65], expected [64] as the leading sizes of `x`; operands of one operation have the same leading sizes
func.func @f(%x: tensor<64xf32>) -> (tensor<65xf32>) {
  %y = "fidelity.negate"(%x)
    : (tensor<64xf32>)
    -> (tensor<65xf32>)
  return %y : tensor<65xf32>
}
// -----
// check: accept
func.func @f(%x: !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">) -> (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">) {
  %y = "fidelity.relu"(%x)
    : (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">)
    -> (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">)
  return %y : !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">
}
// -----
// check: reject result `y` has element type f64, expected f32 as `x`; `fidelity.convert` changes the element type
func.func @f(%x: !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">) -> (!fidelity.vector<[8 : index], 64 : index, f64, "Hidden", "m/s">) {
  %y = "fidelity.relu"(%x)
    : (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">)
    -> (!fidelity.vector<[8 : index], 64 : index, f64, "Hidden", "m/s">)
  return %y : !fidelity.vector<[8 : index], 64 : index, f64, "Hidden", "m/s">
}
// -----
// check: accept
func.func @f(%x: tensor<?xf32>) -> (tensor<?xf32>) {
  %y = "fidelity.relu"(%x)
    : (tensor<?xf32>)
    -> (tensor<?xf32>)
  return %y : tensor<?xf32>
}
// -----
// check: reject here result `y` has leading sizes [65], expected [64] as the leading sizes of `x`; operands of one operation have the same leading sizes
func.func @f(%x: tensor<64xf32>) -> (tensor<65xf32>) {
  %y = "fidelity.relu"(%x)
    : (tensor<64xf32>)
    -> (tensor<65xf32>)
  return %y : tensor<65xf32>
}
// -----
// check: accept
func.func @f(%x: !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">, %y: !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">) -> (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">) {
  %z = "fidelity.add"(%x, %y)
    : (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">, !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">)
    -> (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">)
  return %z : !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">
}
// -----
// check: reject result `z` has element type f64, expected f32 as `x`; `fidelity.convert` changes the element type
func.func @f(%x: !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">, %y: !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">) -> (!fidelity.vector<[8 : index], 64 : index, f64, "Hidden", "m/s">) {
  %z = "fidelity.add"(%x, %y)
    : (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">, !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">)
    -> (!fidelity.vector<[8 : index], 64 : index, f64, "Hidden", "m/s">)
  return %z : !fidelity.vector<[8 : index], 64 : index, f64, "Hidden", "m/s">
}
// -----
// check: reject operand `y` has unit "kg", expected "m/s" as `x`; `fidelity.scale` turns one unit into another, `fidelity.multiply_units` declares a product
func.func @f(%x: !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">, %y: !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "kg">) -> (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">) {
  %z = "fidelity.add"(%x, %y)
    : (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">, !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "kg">)
    -> (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">)
  return %z : !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">
}
// -----
// check: reject `add` has 2 operands, found 1; they are (x, y)
func.func @f(%x: !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">) -> (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">) {
  %z = "fidelity.add"(%x)
    : (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">)
    -> (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">)
  return %z : !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">
}
// -----
// check: accept
func.func @f(%x: tensor<?xf32>, %y: tensor<?xf32>) -> (tensor<?xf32>) {
  %z = "fidelity.add"(%x, %y)
    : (tensor<?xf32>, tensor<?xf32>)
    -> (tensor<?xf32>)
  return %z : tensor<?xf32>
}
// -----
// check: reject here result `z` has leading sizes [65], expected [64] as the leading sizes of `x`; operands of one operation have the same leading sizes
func.func @f(%x: tensor<64xf32>, %y: tensor<?xf32>) -> (tensor<65xf32>) {
  %z = "fidelity.add"(%x, %y)
    : (tensor<64xf32>, tensor<?xf32>)
    -> (tensor<65xf32>)
  return %z : tensor<65xf32>
}
// -----
// check: accept
func.func @f(%x: !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">, %y: !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">) -> (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">) {
  %z = "fidelity.subtract"(%x, %y)
    : (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">, !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">)
    -> (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">)
  return %z : !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">
}
// -----
// check: reject result `z` has element type f64, expected f32 as `x`; `fidelity.convert` changes the element type
func.func @f(%x: !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">, %y: !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">) -> (!fidelity.vector<[8 : index], 64 : index, f64, "Hidden", "m/s">) {
  %z = "fidelity.subtract"(%x, %y)
    : (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">, !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">)
    -> (!fidelity.vector<[8 : index], 64 : index, f64, "Hidden", "m/s">)
  return %z : !fidelity.vector<[8 : index], 64 : index, f64, "Hidden", "m/s">
}
// -----
// check: reject operand `y` has unit "kg", expected "m/s" as `x`; `fidelity.scale` turns one unit into another, `fidelity.multiply_units` declares a product
func.func @f(%x: !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">, %y: !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "kg">) -> (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">) {
  %z = "fidelity.subtract"(%x, %y)
    : (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">, !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "kg">)
    -> (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">)
  return %z : !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">
}
// -----
// check: reject `subtract` has 2 operands, found 1; they are (x, y)
func.func @f(%x: !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">) -> (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">) {
  %z = "fidelity.subtract"(%x)
    : (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">)
    -> (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">)
  return %z : !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">
}
// -----
// check: accept
func.func @f(%x: tensor<?xf32>, %y: tensor<?xf32>) -> (tensor<?xf32>) {
  %z = "fidelity.subtract"(%x, %y)
    : (tensor<?xf32>, tensor<?xf32>)
    -> (tensor<?xf32>)
  return %z : tensor<?xf32>
}
// -----
// check: reject here result `z` has leading sizes [65], expected [64] as the leading sizes of `x`; operands of one operation have the same leading sizes
func.func @f(%x: tensor<64xf32>, %y: tensor<?xf32>) -> (tensor<65xf32>) {
  %z = "fidelity.subtract"(%x, %y)
    : (tensor<64xf32>, tensor<?xf32>)
    -> (tensor<65xf32>)
  return %z : tensor<65xf32>
}
// -----
// check: accept
func.func @f(%x: !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">, %y: !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">) -> (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">) {
  %z = "fidelity.maximum"(%x, %y)
    : (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">, !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">)
    -> (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">)
  return %z : !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">
}
// -----
// check: reject result `z` has element type f64, expected f32 as `x`; `fidelity.convert` changes the element type
func.func @f(%x: !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">, %y: !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">) -> (!fidelity.vector<[8 : index], 64 : index, f64, "Hidden", "m/s">) {
  %z = "fidelity.maximum"(%x, %y)
    : (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">, !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">)
    -> (!fidelity.vector<[8 : index], 64 : index, f64, "Hidden", "m/s">)
  return %z : !fidelity.vector<[8 : index], 64 : index, f64, "Hidden", "m/s">
}
// -----
// check: reject operand `y` has unit "kg", expected "m/s" as `x`; `fidelity.scale` turns one unit into another, `fidelity.multiply_units` declares a product
func.func @f(%x: !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">, %y: !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "kg">) -> (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">) {
  %z = "fidelity.maximum"(%x, %y)
    : (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">, !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "kg">)
    -> (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">)
  return %z : !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">
}
// -----
// check: reject `maximum` has 2 operands, found 1; they are (x, y)
func.func @f(%x: !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">) -> (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">) {
  %z = "fidelity.maximum"(%x)
    : (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">)
    -> (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">)
  return %z : !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">
}
// -----
// check: accept
func.func @f(%x: tensor<?xf32>, %y: tensor<?xf32>) -> (tensor<?xf32>) {
  %z = "fidelity.maximum"(%x, %y)
    : (tensor<?xf32>, tensor<?xf32>)
    -> (tensor<?xf32>)
  return %z : tensor<?xf32>
}
// -----
// check: reject here result `z` has leading sizes [65], expected [64] as the leading sizes of `x`; operands of one operation have the same leading sizes
func.func @f(%x: tensor<64xf32>, %y: tensor<?xf32>) -> (tensor<65xf32>) {
  %z = "fidelity.maximum"(%x, %y)
    : (tensor<64xf32>, tensor<?xf32>)
    -> (tensor<65xf32>)
  return %z : tensor<65xf32>
}
// -----
// check: accept
func.func @f(%x: !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">, %y: !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">) -> (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">) {
  %z = "fidelity.minimum"(%x, %y)
    : (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">, !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">)
    -> (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">)
  return %z : !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">
}
// -----
// check: reject result `z` has element type f64, expected f32 as `x`; `fidelity.convert` changes the element type
func.func @f(%x: !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">, %y: !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">) -> (!fidelity.vector<[8 : index], 64 : index, f64, "Hidden", "m/s">) {
  %z = "fidelity.minimum"(%x, %y)
    : (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">, !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">)
    -> (!fidelity.vector<[8 : index], 64 : index, f64, "Hidden", "m/s">)
  return %z : !fidelity.vector<[8 : index], 64 : index, f64, "Hidden", "m/s">
}
// -----
// check: reject operand `y` has unit "kg", expected "m/s" as `x`; `fidelity.scale` turns one unit into another, `fidelity.multiply_units` declares a product
func.func @f(%x: !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">, %y: !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "kg">) -> (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">) {
  %z = "fidelity.minimum"(%x, %y)
    : (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">, !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "kg">)
    -> (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">)
  return %z : !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">
}
// -----
// check: reject `minimum` has 2 operands, found 1; they are (x, y)
func.func @f(%x: !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">) -> (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">) {
  %z = "fidelity.minimum"(%x)
    : (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">)
    -> (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">)
  return %z : !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">
}
// -----
// check: accept
func.func @f(%x: tensor<?xf32>, %y: tensor<?xf32>) -> (tensor<?xf32>) {
  %z = "fidelity.minimum"(%x, %y)
    : (tensor<?xf32>, tensor<?xf32>)
    -> (tensor<?xf32>)
  return %z : tensor<?xf32>
}
// -----
// check: reject here result `z` has leading sizes [65], expected [64] as the leading sizes of `x`; operands of one operation have the same leading sizes
func.func @f(%x: tensor<64xf32>, %y: tensor<?xf32>) -> (tensor<65xf32>) {
  %z = "fidelity.minimum"(%x, %y)
    : (tensor<64xf32>, tensor<?xf32>)
    -> (tensor<65xf32>)
  return %z : tensor<65xf32>
}
// -----
// check: accept
func.func @f(%x: !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">, %branch: !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">) -> (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">) {
  %y = "fidelity.residual_add"(%x, %branch)
    : (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">, !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">)
    -> (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">)
  return %y : !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">
}
// -----
// check: reject result `y` has element type f64, expected f32 as `x`; `fidelity.convert` changes the element type
func.func @f(%x: !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">, %branch: !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">) -> (!fidelity.vector<[8 : index], 64 : index, f64, "Hidden", "m/s">) {
  %y = "fidelity.residual_add"(%x, %branch)
    : (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">, !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">)
    -> (!fidelity.vector<[8 : index], 64 : index, f64, "Hidden", "m/s">)
  return %y : !fidelity.vector<[8 : index], 64 : index, f64, "Hidden", "m/s">
}
// -----
// check: reject operand `branch` has unit "kg", expected "m/s" as `x`; `fidelity.scale` turns one unit into another, `fidelity.multiply_units` declares a product
func.func @f(%x: !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">, %branch: !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "kg">) -> (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">) {
  %y = "fidelity.residual_add"(%x, %branch)
    : (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">, !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "kg">)
    -> (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">)
  return %y : !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">
}
// -----
// check: reject `residual_add` has 2 operands, found 1; they are (x, branch)
func.func @f(%x: !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">) -> (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">) {
  %y = "fidelity.residual_add"(%x)
    : (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">)
    -> (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">)
  return %y : !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">
}
// -----
// check: accept
func.func @f(%x: tensor<?xf32>, %branch: tensor<?xf32>) -> (tensor<?xf32>) {
  %y = "fidelity.residual_add"(%x, %branch)
    : (tensor<?xf32>, tensor<?xf32>)
    -> (tensor<?xf32>)
  return %y : tensor<?xf32>
}
// -----
// check: reject here result `y` has leading sizes [65], expected [64] as the leading sizes of `x`; operands of one operation have the same leading sizes
func.func @f(%x: tensor<64xf32>, %branch: tensor<?xf32>) -> (tensor<65xf32>) {
  %y = "fidelity.residual_add"(%x, %branch)
    : (tensor<64xf32>, tensor<?xf32>)
    -> (tensor<65xf32>)
  return %y : tensor<65xf32>
}
// -----
// check: accept
func.func @f(%x: !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">, %y: !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "">) -> (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">) {
  %z = "fidelity.multiply"(%x, %y)
    : (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">, !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "">)
    -> (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">)
  return %z : !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">
}
// -----
// check: reject operand `y` has unit "kg", `multiply` takes a pure number there; divide by a number of that unit first (`fidelity.divide_units`), or scale it away (`fidelity.scale`)
func.func @f(%x: !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">, %y: !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "kg">) -> (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">) {
  %z = "fidelity.multiply"(%x, %y)
    : (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">, !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "kg">)
    -> (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">)
  return %z : !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">
}
// -----
// check: reject result `z` has unit "kg", expected "m/s" as the unit of `x`; `fidelity.scale` turns one unit into another, `fidelity.multiply_units` declares a product
func.func @f(%x: !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">, %y: !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "">) -> (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "kg">) {
  %z = "fidelity.multiply"(%x, %y)
    : (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">, !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "">)
    -> (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "kg">)
  return %z : !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "kg">
}
// -----
// check: reject result `z` has axis "Swapped", expected "Hidden" as the axis of `x`; are two operands swapped? `fidelity.rename_axis` says that two axes are one
func.func @f(%x: !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">, %y: !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "">) -> (!fidelity.vector<[8 : index], 64 : index, f32, "Swapped", "m/s">) {
  %z = "fidelity.multiply"(%x, %y)
    : (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">, !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "">)
    -> (!fidelity.vector<[8 : index], 64 : index, f32, "Swapped", "m/s">)
  return %z : !fidelity.vector<[8 : index], 64 : index, f32, "Swapped", "m/s">
}
// -----
// check: reject `multiply` has 2 operands, found 1; they are (x, y)
func.func @f(%x: !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">) -> (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">) {
  %z = "fidelity.multiply"(%x)
    : (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">)
    -> (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">)
  return %z : !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">
}
// -----
// check: accept
func.func @f(%x: tensor<?xf32>, %y: tensor<?xf32>) -> (tensor<?xf32>) {
  %z = "fidelity.multiply"(%x, %y)
    : (tensor<?xf32>, tensor<?xf32>)
    -> (tensor<?xf32>)
  return %z : tensor<?xf32>
}
// -----
// check: reject here result `z` has leading sizes [65], expected [64] as the leading sizes of `x`; operands of one operation have the same leading sizes
func.func @f(%x: tensor<64xf32>, %y: tensor<?xf32>) -> (tensor<65xf32>) {
  %z = "fidelity.multiply"(%x, %y)
    : (tensor<64xf32>, tensor<?xf32>)
    -> (tensor<65xf32>)
  return %z : tensor<65xf32>
}
// -----
// check: accept
func.func @f(%x: !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">, %y: !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m">) -> (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m^2/s">) {
  %z = "fidelity.multiply_units"(%x, %y) {units = #fidelity.product<"m/s", "m", "m^2/s">}
    : (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">, !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m">)
    -> (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m^2/s">)
  return %z : !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m^2/s">
}
// -----
// check: reject result `z` has size `len` 100, expected 64 as the size `len` of `x`; compare the shapes of the parameters with the model's configuration
func.func @f(%x: !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">, %y: !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m">) -> (!fidelity.vector<[8 : index], 100 : index, f32, "Hidden", "m^2/s">) {
  %z = "fidelity.multiply_units"(%x, %y) {units = #fidelity.product<"m/s", "m", "m^2/s">}
    : (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">, !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m">)
    -> (!fidelity.vector<[8 : index], 100 : index, f32, "Hidden", "m^2/s">)
  return %z : !fidelity.vector<[8 : index], 100 : index, f32, "Hidden", "m^2/s">
}
// -----
// check: reject result `z` has element type f64, expected f32 as the element type of `x`; `fidelity.convert` changes the element type
func.func @f(%x: !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">, %y: !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m">) -> (!fidelity.vector<[8 : index], 64 : index, f64, "Hidden", "m^2/s">) {
  %z = "fidelity.multiply_units"(%x, %y) {units = #fidelity.product<"m/s", "m", "m^2/s">}
    : (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">, !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m">)
    -> (!fidelity.vector<[8 : index], 64 : index, f64, "Hidden", "m^2/s">)
  return %z : !fidelity.vector<[8 : index], 64 : index, f64, "Hidden", "m^2/s">
}
// -----
// check: reject attribute `units` is missing; add {units = #fidelity.product<"left", "right", "result">}
func.func @f(%x: !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">, %y: !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m">) -> (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m^2/s">) {
  %z = "fidelity.multiply_units"(%x, %y)
    : (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">, !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m">)
    -> (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m^2/s">)
  return %z : !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m^2/s">
}
// -----
// check: reject `multiply_units` has 2 operands, found 1; they are (x, y)
func.func @f(%x: !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">) -> (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m^2/s">) {
  %z = "fidelity.multiply_units"(%x) {units = #fidelity.product<"m/s", "m", "m^2/s">}
    : (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">)
    -> (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m^2/s">)
  return %z : !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m^2/s">
}
// -----
// check: accept
func.func @f(%x: !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m^2/s">, %y: !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m">) -> (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">) {
  %z = "fidelity.divide_units"(%x, %y) {units = #fidelity.product<"m/s", "m", "m^2/s">}
    : (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m^2/s">, !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m">)
    -> (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">)
  return %z : !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">
}
// -----
// check: reject result `z` has axis "Swapped", expected "Hidden" as the axis of `x`; are two operands swapped? `fidelity.rename_axis` says that two axes are one
func.func @f(%x: !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m^2/s">, %y: !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m">) -> (!fidelity.vector<[8 : index], 64 : index, f32, "Swapped", "m/s">) {
  %z = "fidelity.divide_units"(%x, %y) {units = #fidelity.product<"m/s", "m", "m^2/s">}
    : (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m^2/s">, !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m">)
    -> (!fidelity.vector<[8 : index], 64 : index, f32, "Swapped", "m/s">)
  return %z : !fidelity.vector<[8 : index], 64 : index, f32, "Swapped", "m/s">
}
// -----
// check: reject attribute `units` is missing; add {units = #fidelity.product<"left", "right", "result">}
func.func @f(%x: !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m^2/s">, %y: !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m">) -> (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">) {
  %z = "fidelity.divide_units"(%x, %y)
    : (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m^2/s">, !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m">)
    -> (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">)
  return %z : !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">
}
// -----
// check: reject `divide_units` has 2 operands, found 1; they are (x, y)
func.func @f(%x: !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m^2/s">) -> (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">) {
  %z = "fidelity.divide_units"(%x) {units = #fidelity.product<"m/s", "m", "m^2/s">}
    : (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m^2/s">)
    -> (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">)
  return %z : !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">
}
// -----
// check: accept
func.func @f(%gate: !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "">, %x: !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">) -> (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">) {
  %y = "fidelity.gate"(%gate, %x)
    : (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "">, !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">)
    -> (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">)
  return %y : !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">
}
// -----
// check: reject operand `gate` has unit "kg", `gate` takes a pure number there; divide by a number of that unit first (`fidelity.divide_units`), or scale it away (`fidelity.scale`)
func.func @f(%gate: !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "kg">, %x: !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">) -> (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">) {
  %y = "fidelity.gate"(%gate, %x)
    : (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "kg">, !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">)
    -> (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">)
  return %y : !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">
}
// -----
// check: reject result `y` has size `len` 100, expected 64 as the size `len` of `gate`; compare the shapes of the parameters with the model's configuration
func.func @f(%gate: !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "">, %x: !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">) -> (!fidelity.vector<[8 : index], 100 : index, f32, "Hidden", "m/s">) {
  %y = "fidelity.gate"(%gate, %x)
    : (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "">, !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">)
    -> (!fidelity.vector<[8 : index], 100 : index, f32, "Hidden", "m/s">)
  return %y : !fidelity.vector<[8 : index], 100 : index, f32, "Hidden", "m/s">
}
// -----
// check: reject result `y` has element type f64, expected f32 as the element type of `gate`; `fidelity.convert` changes the element type
func.func @f(%gate: !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "">, %x: !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">) -> (!fidelity.vector<[8 : index], 64 : index, f64, "Hidden", "m/s">) {
  %y = "fidelity.gate"(%gate, %x)
    : (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "">, !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">)
    -> (!fidelity.vector<[8 : index], 64 : index, f64, "Hidden", "m/s">)
  return %y : !fidelity.vector<[8 : index], 64 : index, f64, "Hidden", "m/s">
}
// -----
// check: reject `gate` has 2 operands, found 1; they are (gate, x)
func.func @f(%gate: !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "">) -> (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">) {
  %y = "fidelity.gate"(%gate)
    : (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "">)
    -> (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">)
  return %y : !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">
}
// -----
// check: accept
func.func @f(%gate: tensor<?xf32>, %x: tensor<?xf32>) -> (tensor<?xf32>) {
  %y = "fidelity.gate"(%gate, %x)
    : (tensor<?xf32>, tensor<?xf32>)
    -> (tensor<?xf32>)
  return %y : tensor<?xf32>
}
// -----
// check: reject here result `y` has leading sizes [65], expected [64] as the leading sizes of `gate`; operands of one operation have the same leading sizes
func.func @f(%gate: tensor<64xf32>, %x: tensor<?xf32>) -> (tensor<65xf32>) {
  %y = "fidelity.gate"(%gate, %x)
    : (tensor<64xf32>, tensor<?xf32>)
    -> (tensor<65xf32>)
  return %y : tensor<65xf32>
}
// -----
// check: accept
func.func @f(%gate: !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "">, %up: !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">) -> (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">) {
  %y = "fidelity.swiglu"(%gate, %up)
    : (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "">, !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">)
    -> (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">)
  return %y : !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">
}
// -----
// check: reject operand `gate` has unit "kg", `swiglu` takes a pure number there; divide by a number of that unit first (`fidelity.divide_units`), or scale it away (`fidelity.scale`)
func.func @f(%gate: !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "kg">, %up: !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">) -> (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">) {
  %y = "fidelity.swiglu"(%gate, %up)
    : (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "kg">, !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">)
    -> (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">)
  return %y : !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">
}
// -----
// check: reject result `y` has unit "kg", expected "m/s" as the unit of `up`; `fidelity.scale` turns one unit into another, `fidelity.multiply_units` declares a product
func.func @f(%gate: !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "">, %up: !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">) -> (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "kg">) {
  %y = "fidelity.swiglu"(%gate, %up)
    : (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "">, !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">)
    -> (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "kg">)
  return %y : !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "kg">
}
// -----
// check: reject result `y` has axis "Swapped", expected "Hidden" as the axis of `gate`; are two operands swapped? `fidelity.rename_axis` says that two axes are one
func.func @f(%gate: !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "">, %up: !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">) -> (!fidelity.vector<[8 : index], 64 : index, f32, "Swapped", "m/s">) {
  %y = "fidelity.swiglu"(%gate, %up)
    : (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "">, !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">)
    -> (!fidelity.vector<[8 : index], 64 : index, f32, "Swapped", "m/s">)
  return %y : !fidelity.vector<[8 : index], 64 : index, f32, "Swapped", "m/s">
}
// -----
// check: reject `swiglu` has 2 operands, found 1; they are (gate, up)
func.func @f(%gate: !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "">) -> (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">) {
  %y = "fidelity.swiglu"(%gate)
    : (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "">)
    -> (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">)
  return %y : !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">
}
// -----
// check: accept
func.func @f(%gate: tensor<?xf32>, %up: tensor<?xf32>) -> (tensor<?xf32>) {
  %y = "fidelity.swiglu"(%gate, %up)
    : (tensor<?xf32>, tensor<?xf32>)
    -> (tensor<?xf32>)
  return %y : tensor<?xf32>
}
// -----
// check: reject here result `y` has leading sizes [65], expected [64] as the leading sizes of `gate`; operands of one operation have the same leading sizes
func.func @f(%gate: tensor<64xf32>, %up: tensor<?xf32>) -> (tensor<65xf32>) {
  %y = "fidelity.swiglu"(%gate, %up)
    : (tensor<64xf32>, tensor<?xf32>)
    -> (tensor<65xf32>)
  return %y : tensor<65xf32>
}
// -----
// check: accept
func.func @f(%gate: !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "">, %up: !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">) -> (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">) {
  %y = "fidelity.relu2_glu"(%gate, %up)
    : (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "">, !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">)
    -> (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">)
  return %y : !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">
}
// -----
// check: reject operand `gate` has unit "kg", `relu2_glu` takes a pure number there; divide by a number of that unit first (`fidelity.divide_units`), or scale it away (`fidelity.scale`)
func.func @f(%gate: !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "kg">, %up: !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">) -> (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">) {
  %y = "fidelity.relu2_glu"(%gate, %up)
    : (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "kg">, !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">)
    -> (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">)
  return %y : !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">
}
// -----
// check: reject result `y` has size `len` 100, expected 64 as the size `len` of `gate`; compare the shapes of the parameters with the model's configuration
func.func @f(%gate: !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "">, %up: !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">) -> (!fidelity.vector<[8 : index], 100 : index, f32, "Hidden", "m/s">) {
  %y = "fidelity.relu2_glu"(%gate, %up)
    : (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "">, !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">)
    -> (!fidelity.vector<[8 : index], 100 : index, f32, "Hidden", "m/s">)
  return %y : !fidelity.vector<[8 : index], 100 : index, f32, "Hidden", "m/s">
}
// -----
// check: reject result `y` has element type f64, expected f32 as the element type of `gate`; `fidelity.convert` changes the element type
func.func @f(%gate: !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "">, %up: !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">) -> (!fidelity.vector<[8 : index], 64 : index, f64, "Hidden", "m/s">) {
  %y = "fidelity.relu2_glu"(%gate, %up)
    : (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "">, !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">)
    -> (!fidelity.vector<[8 : index], 64 : index, f64, "Hidden", "m/s">)
  return %y : !fidelity.vector<[8 : index], 64 : index, f64, "Hidden", "m/s">
}
// -----
// check: reject `relu2_glu` has 2 operands, found 1; they are (gate, up)
func.func @f(%gate: !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "">) -> (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">) {
  %y = "fidelity.relu2_glu"(%gate)
    : (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "">)
    -> (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">)
  return %y : !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">
}
// -----
// check: accept
func.func @f(%x: !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">, %factor: !fidelity.factor<f32, "m/s", "m">) -> (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m">) {
  %y = "fidelity.scale"(%x, %factor)
    : (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">, !fidelity.factor<f32, "m/s", "m">)
    -> (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m">)
  return %y : !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m">
}
// -----
// check: reject operand `factor` has unit `from` "kg", expected "m/s" as the unit of `x`; `fidelity.scale` turns one unit into another, `fidelity.multiply_units` declares a product
func.func @f(%x: !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">, %factor: !fidelity.factor<f32, "kg", "m">) -> (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m">) {
  %y = "fidelity.scale"(%x, %factor)
    : (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">, !fidelity.factor<f32, "kg", "m">)
    -> (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m">)
  return %y : !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m">
}
// -----
// check: reject result `y` has axis "Swapped", expected "Hidden" as the axis of `x`; are two operands swapped? `fidelity.rename_axis` says that two axes are one
func.func @f(%x: !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">, %factor: !fidelity.factor<f32, "m/s", "m">) -> (!fidelity.vector<[8 : index], 64 : index, f32, "Swapped", "m">) {
  %y = "fidelity.scale"(%x, %factor)
    : (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">, !fidelity.factor<f32, "m/s", "m">)
    -> (!fidelity.vector<[8 : index], 64 : index, f32, "Swapped", "m">)
  return %y : !fidelity.vector<[8 : index], 64 : index, f32, "Swapped", "m">
}
// -----
// check: reject `scale` has 2 operands, found 1; they are (x, factor)
func.func @f(%x: !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">) -> (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m">) {
  %y = "fidelity.scale"(%x)
    : (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">)
    -> (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m">)
  return %y : !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m">
}
// -----
// check: accept
func.func @f(%x: tensor<?xf32>, %factor: tensor<f32>) -> (tensor<?xf32>) {
  %y = "fidelity.scale"(%x, %factor)
    : (tensor<?xf32>, tensor<f32>)
    -> (tensor<?xf32>)
  return %y : tensor<?xf32>
}
// -----
// check: reject here result `y` has leading sizes [65], expected [64] as the leading sizes of `x`; operands of one operation have the same leading sizes
func.func @f(%x: tensor<64xf32>, %factor: tensor<f32>) -> (tensor<65xf32>) {
  %y = "fidelity.scale"(%x, %factor)
    : (tensor<64xf32>, tensor<f32>)
    -> (tensor<65xf32>)
  return %y : tensor<65xf32>
}
// -----
// check: accept
func.func @f(%x: !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">, %bias: !fidelity.vector<[], 64 : index, f32, "Hidden", "m/s">) -> (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">) {
  %y = "fidelity.bias_add"(%x, %bias)
    : (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">, !fidelity.vector<[], 64 : index, f32, "Hidden", "m/s">)
    -> (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">)
  return %y : !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">
}
// -----
// check: reject result `y` has size `len` 100, expected 64 as the size `len` of `x`; compare the shapes of the parameters with the model's configuration
func.func @f(%x: !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">, %bias: !fidelity.vector<[], 64 : index, f32, "Hidden", "m/s">) -> (!fidelity.vector<[8 : index], 100 : index, f32, "Hidden", "m/s">) {
  %y = "fidelity.bias_add"(%x, %bias)
    : (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">, !fidelity.vector<[], 64 : index, f32, "Hidden", "m/s">)
    -> (!fidelity.vector<[8 : index], 100 : index, f32, "Hidden", "m/s">)
  return %y : !fidelity.vector<[8 : index], 100 : index, f32, "Hidden", "m/s">
}
// -----
// check: reject result `y` has element type f64, expected f32 as the element type of `x`; `fidelity.convert` changes the element type
func.func @f(%x: !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">, %bias: !fidelity.vector<[], 64 : index, f32, "Hidden", "m/s">) -> (!fidelity.vector<[8 : index], 64 : index, f64, "Hidden", "m/s">) {
  %y = "fidelity.bias_add"(%x, %bias)
    : (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">, !fidelity.vector<[], 64 : index, f32, "Hidden", "m/s">)
    -> (!fidelity.vector<[8 : index], 64 : index, f64, "Hidden", "m/s">)
  return %y : !fidelity.vector<[8 : index], 64 : index, f64, "Hidden", "m/s">
}
// -----
// check: reject `bias_add` has 2 operands, found 1; they are (x, bias)
func.func @f(%x: !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">) -> (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">) {
  %y = "fidelity.bias_add"(%x)
    : (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">)
    -> (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">)
  return %y : !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">
}
// -----
// check: accept
func.func @f(%x: !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">) -> (!fidelity.vector<[8 : index], 64 : index, f64, "Hidden", "m/s">) {
  %y = "fidelity.convert"(%x)
    : (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">)
    -> (!fidelity.vector<[8 : index], 64 : index, f64, "Hidden", "m/s">)
  return %y : !fidelity.vector<[8 : index], 64 : index, f64, "Hidden", "m/s">
}
// -----
// check: reject result `y` has unit "kg", expected "m/s" as the unit of `x`; `fidelity.scale` turns one unit into another, `fidelity.multiply_units` declares a product
func.func @f(%x: !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">) -> (!fidelity.vector<[8 : index], 64 : index, f64, "Hidden", "kg">) {
  %y = "fidelity.convert"(%x)
    : (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">)
    -> (!fidelity.vector<[8 : index], 64 : index, f64, "Hidden", "kg">)
  return %y : !fidelity.vector<[8 : index], 64 : index, f64, "Hidden", "kg">
}
// -----
// check: reject result `y` has axis "Swapped", expected "Hidden" as the axis of `x`; are two operands swapped? `fidelity.rename_axis` says that two axes are one
func.func @f(%x: !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">) -> (!fidelity.vector<[8 : index], 64 : index, f64, "Swapped", "m/s">) {
  %y = "fidelity.convert"(%x)
    : (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">)
    -> (!fidelity.vector<[8 : index], 64 : index, f64, "Swapped", "m/s">)
  return %y : !fidelity.vector<[8 : index], 64 : index, f64, "Swapped", "m/s">
}
// -----
// check: accept
func.func @f(%x: tensor<?xf32>) -> (tensor<?xf64>) {
  %y = "fidelity.convert"(%x)
    : (tensor<?xf32>)
    -> (tensor<?xf64>)
  return %y : tensor<?xf64>
}
// -----
// check: reject here result `y` has leading sizes [65], expected [64] as the leading sizes of `x`; operands of one operation have the same leading sizes
func.func @f(%x: tensor<64xf32>) -> (tensor<65xf64>) {
  %y = "fidelity.convert"(%x)
    : (tensor<64xf32>)
    -> (tensor<65xf64>)
  return %y : tensor<65xf64>
}
