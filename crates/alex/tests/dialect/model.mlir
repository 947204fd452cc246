// check: accept
func.func @f(%ids: !fidelity.tokens<[8 : index], "Vocab">, %table: !fidelity.matrix<64 : index, 256 : index, f32, "Vocab", "Hidden", "", "m/s">) -> (!fidelity.vector<[8 : index], 256 : index, f32, "Hidden", "m/s">) {
  %x = "fidelity.embedding"(%ids, %table)
    : (!fidelity.tokens<[8 : index], "Vocab">, !fidelity.matrix<64 : index, 256 : index, f32, "Vocab", "Hidden", "", "m/s">)
    -> (!fidelity.vector<[8 : index], 256 : index, f32, "Hidden", "m/s">)
  return %x : !fidelity.vector<[8 : index], 256 : index, f32, "Hidden", "m/s">
}
// -----
// check: reject result `x` has unit "kg", expected "m/s" as the unit `to` of `table`; `fidelity.scale` turns one unit into another, `fidelity.multiply_units` declares a product
func.func @f(%ids: !fidelity.tokens<[8 : index], "Vocab">, %table: !fidelity.matrix<64 : index, 256 : index, f32, "Vocab", "Hidden", "", "m/s">) -> (!fidelity.vector<[8 : index], 256 : index, f32, "Hidden", "kg">) {
  %x = "fidelity.embedding"(%ids, %table)
    : (!fidelity.tokens<[8 : index], "Vocab">, !fidelity.matrix<64 : index, 256 : index, f32, "Vocab", "Hidden", "", "m/s">)
    -> (!fidelity.vector<[8 : index], 256 : index, f32, "Hidden", "kg">)
  return %x : !fidelity.vector<[8 : index], 256 : index, f32, "Hidden", "kg">
}
// -----
// check: reject operand `table` has axis `out` "Swapped", expected "Vocab" as the axis of `ids`; are two operands swapped? `fidelity.rename_axis` says that two axes are one
func.func @f(%ids: !fidelity.tokens<[8 : index], "Vocab">, %table: !fidelity.matrix<64 : index, 256 : index, f32, "Swapped", "Hidden", "", "m/s">) -> (!fidelity.vector<[8 : index], 256 : index, f32, "Hidden", "m/s">) {
  %x = "fidelity.embedding"(%ids, %table)
    : (!fidelity.tokens<[8 : index], "Vocab">, !fidelity.matrix<64 : index, 256 : index, f32, "Swapped", "Hidden", "", "m/s">)
    -> (!fidelity.vector<[8 : index], 256 : index, f32, "Hidden", "m/s">)
  return %x : !fidelity.vector<[8 : index], 256 : index, f32, "Hidden", "m/s">
}
// -----
// check: reject `embedding` has 2 operands, found 1; they are (ids, table)
func.func @f(%ids: !fidelity.tokens<[8 : index], "Vocab">) -> (!fidelity.vector<[8 : index], 256 : index, f32, "Hidden", "m/s">) {
  %x = "fidelity.embedding"(%ids)
    : (!fidelity.tokens<[8 : index], "Vocab">)
    -> (!fidelity.vector<[8 : index], 256 : index, f32, "Hidden", "m/s">)
  return %x : !fidelity.vector<[8 : index], 256 : index, f32, "Hidden", "m/s">
}
// -----
// check: accept
func.func @f(%ids: tensor<?xi64>, %table: tensor<?x?xf32>) -> (tensor<?x?xf32>) {
  %x = "fidelity.embedding"(%ids, %table)
    : (tensor<?xi64>, tensor<?x?xf32>)
    -> (tensor<?x?xf32>)
  return %x : tensor<?x?xf32>
}
// -----
// check: reject here result `x` has axis-1 size 65, expected 64 as the axis-1 size of `table`; compare the shapes of the parameters with the model's configuration
func.func @f(%ids: tensor<?xi64>, %table: tensor<?x64xf32>) -> (tensor<?x65xf32>) {
  %x = "fidelity.embedding"(%ids, %table)
    : (tensor<?xi64>, tensor<?x64xf32>)
    -> (tensor<?x65xf32>)
  return %x : tensor<?x65xf32>
}
// -----
// check: accept
func.func @f(%x: !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">) -> (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">) {
  %y = "fidelity.rope"(%x) {base = 1.0e-6 : f32}
    : (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">)
    -> (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">)
  return %y : !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">
}
// -----
// check: accept
func.func @f(%x: !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">, %positions: !fidelity.tokens<[8 : index], "Position">) -> (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">) {
  %y = "fidelity.rope"(%x, %positions) {base = 1.0e-6 : f32}
    : (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">, !fidelity.tokens<[8 : index], "Position">)
    -> (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">)
  return %y : !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">
}
// -----
// check: reject result `y` has size `len` 100, expected 64 as the size `len` of `x`; compare the shapes of the parameters with the model's configuration
func.func @f(%x: !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">) -> (!fidelity.vector<[8 : index], 100 : index, f32, "Hidden", "m/s">) {
  %y = "fidelity.rope"(%x) {base = 1.0e-6 : f32}
    : (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">)
    -> (!fidelity.vector<[8 : index], 100 : index, f32, "Hidden", "m/s">)
  return %y : !fidelity.vector<[8 : index], 100 : index, f32, "Hidden", "m/s">
}
// -----
// check: reject result `y` has element type f64, expected f32 as the element type of `x`; `fidelity.convert` changes the element type
func.func @f(%x: !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">) -> (!fidelity.vector<[8 : index], 64 : index, f64, "Hidden", "m/s">) {
  %y = "fidelity.rope"(%x) {base = 1.0e-6 : f32}
    : (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">)
    -> (!fidelity.vector<[8 : index], 64 : index, f64, "Hidden", "m/s">)
  return %y : !fidelity.vector<[8 : index], 64 : index, f64, "Hidden", "m/s">
}
// -----
// check: reject attribute `base` is missing; add {base = 1.0e-6 : f32}
func.func @f(%x: !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">) -> (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">) {
  %y = "fidelity.rope"(%x)
    : (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">)
    -> (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">)
  return %y : !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">
}
// -----
// check: accept
func.func @f(%x: tensor<?x?xf32>) -> (tensor<?x?xf32>) {
  %y = "fidelity.rope"(%x) {base = 1.0e-6 : f32}
    : (tensor<?x?xf32>)
    -> (tensor<?x?xf32>)
  return %y : tensor<?x?xf32>
}
// -----
// check: reject here result `y` has axis-1 size 65, expected 64 as the axis-1 size of `x`; compare the shapes of the parameters with the model's configuration
func.func @f(%x: tensor<?x64xf32>) -> (tensor<?x65xf32>) {
  %y = "fidelity.rope"(%x) {base = 1.0e-6 : f32}
    : (tensor<?x64xf32>)
    -> (tensor<?x65xf32>)
  return %y : tensor<?x65xf32>
}
// -----
// check: accept
func.func @f(%query: !fidelity.vector<[8 : index], 256 : index, f32, "Key", "">, %keys: !fidelity.matrix_state<[8 : index], 16 : index, 256 : index, f32, "Time", "Key", "">, %values: !fidelity.matrix_state<[8 : index], 16 : index, 48 : index, f32, "Time", "Value", "m/s">) -> (!fidelity.vector<[8 : index], 48 : index, f32, "Value", "m/s">) {
  %y = "fidelity.attention"(%query, %keys, %values) {scale = 1.0e-6 : f32}
    : (!fidelity.vector<[8 : index], 256 : index, f32, "Key", "">, !fidelity.matrix_state<[8 : index], 16 : index, 256 : index, f32, "Time", "Key", "">, !fidelity.matrix_state<[8 : index], 16 : index, 48 : index, f32, "Time", "Value", "m/s">)
    -> (!fidelity.vector<[8 : index], 48 : index, f32, "Value", "m/s">)
  return %y : !fidelity.vector<[8 : index], 48 : index, f32, "Value", "m/s">
}
// -----
// check: reject operand `query` has unit "kg", `attention` takes a pure number there; divide by a number of that unit first (`fidelity.divide_units`), or scale it away (`fidelity.scale`)
func.func @f(%query: !fidelity.vector<[8 : index], 256 : index, f32, "Key", "kg">, %keys: !fidelity.matrix_state<[8 : index], 16 : index, 256 : index, f32, "Time", "Key", "">, %values: !fidelity.matrix_state<[8 : index], 16 : index, 48 : index, f32, "Time", "Value", "m/s">) -> (!fidelity.vector<[8 : index], 48 : index, f32, "Value", "m/s">) {
  %y = "fidelity.attention"(%query, %keys, %values) {scale = 1.0e-6 : f32}
    : (!fidelity.vector<[8 : index], 256 : index, f32, "Key", "kg">, !fidelity.matrix_state<[8 : index], 16 : index, 256 : index, f32, "Time", "Key", "">, !fidelity.matrix_state<[8 : index], 16 : index, 48 : index, f32, "Time", "Value", "m/s">)
    -> (!fidelity.vector<[8 : index], 48 : index, f32, "Value", "m/s">)
  return %y : !fidelity.vector<[8 : index], 48 : index, f32, "Value", "m/s">
}
// -----
// check: reject result `y` has unit "kg", expected "m/s" as the unit of `values`; `fidelity.scale` turns one unit into another, `fidelity.multiply_units` declares a product
func.func @f(%query: !fidelity.vector<[8 : index], 256 : index, f32, "Key", "">, %keys: !fidelity.matrix_state<[8 : index], 16 : index, 256 : index, f32, "Time", "Key", "">, %values: !fidelity.matrix_state<[8 : index], 16 : index, 48 : index, f32, "Time", "Value", "m/s">) -> (!fidelity.vector<[8 : index], 48 : index, f32, "Value", "kg">) {
  %y = "fidelity.attention"(%query, %keys, %values) {scale = 1.0e-6 : f32}
    : (!fidelity.vector<[8 : index], 256 : index, f32, "Key", "">, !fidelity.matrix_state<[8 : index], 16 : index, 256 : index, f32, "Time", "Key", "">, !fidelity.matrix_state<[8 : index], 16 : index, 48 : index, f32, "Time", "Value", "m/s">)
    -> (!fidelity.vector<[8 : index], 48 : index, f32, "Value", "kg">)
  return %y : !fidelity.vector<[8 : index], 48 : index, f32, "Value", "kg">
}
// -----
// check: reject operand `keys` has axis `column_axis` "Swapped", expected "Key" as the axis of `query`; are two operands swapped? `fidelity.rename_axis` says that two axes are one
func.func @f(%query: !fidelity.vector<[8 : index], 256 : index, f32, "Key", "">, %keys: !fidelity.matrix_state<[8 : index], 16 : index, 256 : index, f32, "Time", "Swapped", "">, %values: !fidelity.matrix_state<[8 : index], 16 : index, 48 : index, f32, "Time", "Value", "m/s">) -> (!fidelity.vector<[8 : index], 48 : index, f32, "Value", "m/s">) {
  %y = "fidelity.attention"(%query, %keys, %values) {scale = 1.0e-6 : f32}
    : (!fidelity.vector<[8 : index], 256 : index, f32, "Key", "">, !fidelity.matrix_state<[8 : index], 16 : index, 256 : index, f32, "Time", "Swapped", "">, !fidelity.matrix_state<[8 : index], 16 : index, 48 : index, f32, "Time", "Value", "m/s">)
    -> (!fidelity.vector<[8 : index], 48 : index, f32, "Value", "m/s">)
  return %y : !fidelity.vector<[8 : index], 48 : index, f32, "Value", "m/s">
}
// -----
// check: reject attribute `scale` is missing; add {scale = 1.0e-6 : f32}
func.func @f(%query: !fidelity.vector<[8 : index], 256 : index, f32, "Key", "">, %keys: !fidelity.matrix_state<[8 : index], 16 : index, 256 : index, f32, "Time", "Key", "">, %values: !fidelity.matrix_state<[8 : index], 16 : index, 48 : index, f32, "Time", "Value", "m/s">) -> (!fidelity.vector<[8 : index], 48 : index, f32, "Value", "m/s">) {
  %y = "fidelity.attention"(%query, %keys, %values)
    : (!fidelity.vector<[8 : index], 256 : index, f32, "Key", "">, !fidelity.matrix_state<[8 : index], 16 : index, 256 : index, f32, "Time", "Key", "">, !fidelity.matrix_state<[8 : index], 16 : index, 48 : index, f32, "Time", "Value", "m/s">)
    -> (!fidelity.vector<[8 : index], 48 : index, f32, "Value", "m/s">)
  return %y : !fidelity.vector<[8 : index], 48 : index, f32, "Value", "m/s">
}
// -----
// check: reject `attention` has 3 operands, found 2; they are (query, keys, values)
func.func @f(%query: !fidelity.vector<[8 : index], 256 : index, f32, "Key", "">, %keys: !fidelity.matrix_state<[8 : index], 16 : index, 256 : index, f32, "Time", "Key", "">) -> (!fidelity.vector<[8 : index], 48 : index, f32, "Value", "m/s">) {
  %y = "fidelity.attention"(%query, %keys) {scale = 1.0e-6 : f32}
    : (!fidelity.vector<[8 : index], 256 : index, f32, "Key", "">, !fidelity.matrix_state<[8 : index], 16 : index, 256 : index, f32, "Time", "Key", "">)
    -> (!fidelity.vector<[8 : index], 48 : index, f32, "Value", "m/s">)
  return %y : !fidelity.vector<[8 : index], 48 : index, f32, "Value", "m/s">
}
// -----
// check: accept
func.func @f(%logits: !fidelity.vector<[8 : index], 64 : index, f32, "Vocab", "">, %labels: !fidelity.tokens<[8 : index], "Vocab">) -> (!fidelity.scalar<[], f32, "">) {
  %loss = "fidelity.cross_entropy"(%logits, %labels)
    : (!fidelity.vector<[8 : index], 64 : index, f32, "Vocab", "">, !fidelity.tokens<[8 : index], "Vocab">)
    -> (!fidelity.scalar<[], f32, "">)
  return %loss : !fidelity.scalar<[], f32, "">
}
// -----
// check: reject operand `logits` has unit "kg", `cross_entropy` takes a pure number there; divide by a number of that unit first (`fidelity.divide_units`), or scale it away (`fidelity.scale`)
func.func @f(%logits: !fidelity.vector<[8 : index], 64 : index, f32, "Vocab", "kg">, %labels: !fidelity.tokens<[8 : index], "Vocab">) -> (!fidelity.scalar<[], f32, "">) {
  %loss = "fidelity.cross_entropy"(%logits, %labels)
    : (!fidelity.vector<[8 : index], 64 : index, f32, "Vocab", "kg">, !fidelity.tokens<[8 : index], "Vocab">)
    -> (!fidelity.scalar<[], f32, "">)
  return %loss : !fidelity.scalar<[], f32, "">
}
// -----
// check: reject result `loss` has element type f64, expected f32 as the element type of `logits`; `fidelity.convert` changes the element type
func.func @f(%logits: !fidelity.vector<[8 : index], 64 : index, f32, "Vocab", "">, %labels: !fidelity.tokens<[8 : index], "Vocab">) -> (!fidelity.scalar<[], f64, "">) {
  %loss = "fidelity.cross_entropy"(%logits, %labels)
    : (!fidelity.vector<[8 : index], 64 : index, f32, "Vocab", "">, !fidelity.tokens<[8 : index], "Vocab">)
    -> (!fidelity.scalar<[], f64, "">)
  return %loss : !fidelity.scalar<[], f64, "">
}
// -----
// check: reject `cross_entropy` has 2 operands, found 1; they are (logits, labels)
func.func @f(%logits: !fidelity.vector<[8 : index], 64 : index, f32, "Vocab", "">) -> (!fidelity.scalar<[], f32, "">) {
  %loss = "fidelity.cross_entropy"(%logits)
    : (!fidelity.vector<[8 : index], 64 : index, f32, "Vocab", "">)
    -> (!fidelity.scalar<[], f32, "">)
  return %loss : !fidelity.scalar<[], f32, "">
}
// -----
// check: accept
func.func @f(%logits: tensor<?x?xf32>, %labels: tensor<?xi64>) -> (tensor<f32>) {
  %loss = "fidelity.cross_entropy"(%logits, %labels)
    : (tensor<?x?xf32>, tensor<?xi64>)
    -> (tensor<f32>)
  return %loss : tensor<f32>
}
// -----
// check: reject here operand `labels` has leading sizes [65], expected [64] as the leading sizes of `logits`; operands of one operation have the same leading sizes
func.func @f(%logits: tensor<64x?xf32>, %labels: tensor<65xi64>) -> (tensor<f32>) {
  %loss = "fidelity.cross_entropy"(%logits, %labels)
    : (tensor<64x?xf32>, tensor<65xi64>)
    -> (tensor<f32>)
  return %loss : tensor<f32>
}
// -----
// check: accept
func.func @f(%logits: !fidelity.vector<[8 : index], 64 : index, f32, "Vocab", "m/s">) -> (!fidelity.tokens<[8 : index], "Vocab">) {
  %ids = "fidelity.argmax"(%logits)
    : (!fidelity.vector<[8 : index], 64 : index, f32, "Vocab", "m/s">)
    -> (!fidelity.tokens<[8 : index], "Vocab">)
  return %ids : !fidelity.tokens<[8 : index], "Vocab">
}
// -----
// check: reject result `ids` has axis "Swapped", expected "Vocab" as the axis of `logits`; are two operands swapped? `fidelity.rename_axis` says that two axes are one
func.func @f(%logits: !fidelity.vector<[8 : index], 64 : index, f32, "Vocab", "m/s">) -> (!fidelity.tokens<[8 : index], "Swapped">) {
  %ids = "fidelity.argmax"(%logits)
    : (!fidelity.vector<[8 : index], 64 : index, f32, "Vocab", "m/s">)
    -> (!fidelity.tokens<[8 : index], "Swapped">)
  return %ids : !fidelity.tokens<[8 : index], "Swapped">
}
// -----
// check: accept
func.func @f(%logits: tensor<?x?xf32>) -> (tensor<?xi64>) {
  %ids = "fidelity.argmax"(%logits)
    : (tensor<?x?xf32>)
    -> (tensor<?xi64>)
  return %ids : tensor<?xi64>
}
// -----
// check: reject here result `ids` has leading sizes [65], expected [64] as the leading sizes of `logits`; operands of one operation have the same leading sizes
func.func @f(%logits: tensor<64x?xf32>) -> (tensor<65xi64>) {
  %ids = "fidelity.argmax"(%logits)
    : (tensor<64x?xf32>)
    -> (tensor<65xi64>)
  return %ids : tensor<65xi64>
}
// -----
// check: accept
func.func @f(%x: !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">) -> (!fidelity.scalar<[8 : index], f32, "m/s">) {
  %y = "fidelity.sum"(%x)
    : (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">)
    -> (!fidelity.scalar<[8 : index], f32, "m/s">)
  return %y : !fidelity.scalar<[8 : index], f32, "m/s">
}
// -----
// check: reject result `y` has element type f64, expected f32 as the element type of `x`; `fidelity.convert` changes the element type
func.func @f(%x: !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">) -> (!fidelity.scalar<[8 : index], f64, "m/s">) {
  %y = "fidelity.sum"(%x)
    : (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">)
    -> (!fidelity.scalar<[8 : index], f64, "m/s">)
  return %y : !fidelity.scalar<[8 : index], f64, "m/s">
}
// -----
// check: accept
func.func @f(%x: tensor<?x?xf32>) -> (tensor<?xf32>) {
  %y = "fidelity.sum"(%x)
    : (tensor<?x?xf32>)
    -> (tensor<?xf32>)
  return %y : tensor<?xf32>
}
// -----
// check: reject here result `y` has leading sizes [65], expected [64] as the leading sizes of `x`; operands of one operation have the same leading sizes
func.func @f(%x: tensor<64x?xf32>) -> (tensor<65xf32>) {
  %y = "fidelity.sum"(%x)
    : (tensor<64x?xf32>)
    -> (tensor<65xf32>)
  return %y : tensor<65xf32>
}
// -----
// check: accept
func.func @f(%x: !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">, %y: !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m">) -> (!fidelity.scalar<[8 : index], f32, "m^2/s">) {
  %z = "fidelity.dot"(%x, %y) {units = #fidelity.product<"m/s", "m", "m^2/s">}
    : (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">, !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m">)
    -> (!fidelity.scalar<[8 : index], f32, "m^2/s">)
  return %z : !fidelity.scalar<[8 : index], f32, "m^2/s">
}
// -----
// check: reject operand `y` has axis "Swapped", expected "Hidden" as the axis of `x`; are two operands swapped? `fidelity.rename_axis` says that two axes are one
func.func @f(%x: !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">, %y: !fidelity.vector<[8 : index], 64 : index, f32, "Swapped", "m">) -> (!fidelity.scalar<[8 : index], f32, "m^2/s">) {
  %z = "fidelity.dot"(%x, %y) {units = #fidelity.product<"m/s", "m", "m^2/s">}
    : (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">, !fidelity.vector<[8 : index], 64 : index, f32, "Swapped", "m">)
    -> (!fidelity.scalar<[8 : index], f32, "m^2/s">)
  return %z : !fidelity.scalar<[8 : index], f32, "m^2/s">
}
// -----
// check: reject attribute `units` is missing; add {units = #fidelity.product<"left", "right", "result">}
func.func @f(%x: !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">, %y: !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m">) -> (!fidelity.scalar<[8 : index], f32, "m^2/s">) {
  %z = "fidelity.dot"(%x, %y)
    : (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">, !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m">)
    -> (!fidelity.scalar<[8 : index], f32, "m^2/s">)
  return %z : !fidelity.scalar<[8 : index], f32, "m^2/s">
}
// -----
// check: reject `dot` has 2 operands, found 1; they are (x, y)
func.func @f(%x: !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">) -> (!fidelity.scalar<[8 : index], f32, "m^2/s">) {
  %z = "fidelity.dot"(%x) {units = #fidelity.product<"m/s", "m", "m^2/s">}
    : (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">)
    -> (!fidelity.scalar<[8 : index], f32, "m^2/s">)
  return %z : !fidelity.scalar<[8 : index], f32, "m^2/s">
}
// -----
// check: accept
func.func @f(%state: !fidelity.state<[8 : index], 64 : index, f32, "Hidden", "m/s">) -> (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">) {
  %x = "fidelity.read_state"(%state)
    : (!fidelity.state<[8 : index], 64 : index, f32, "Hidden", "m/s">)
    -> (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">)
  return %x : !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">
}
// -----
// check: reject result `x` has size `len` 100, expected 64 as the size `len` of `state`; compare the shapes of the parameters with the model's configuration
func.func @f(%state: !fidelity.state<[8 : index], 64 : index, f32, "Hidden", "m/s">) -> (!fidelity.vector<[8 : index], 100 : index, f32, "Hidden", "m/s">) {
  %x = "fidelity.read_state"(%state)
    : (!fidelity.state<[8 : index], 64 : index, f32, "Hidden", "m/s">)
    -> (!fidelity.vector<[8 : index], 100 : index, f32, "Hidden", "m/s">)
  return %x : !fidelity.vector<[8 : index], 100 : index, f32, "Hidden", "m/s">
}
// -----
// check: reject result `x` has element type f64, expected f32 as the element type of `state`; `fidelity.convert` changes the element type
func.func @f(%state: !fidelity.state<[8 : index], 64 : index, f32, "Hidden", "m/s">) -> (!fidelity.vector<[8 : index], 64 : index, f64, "Hidden", "m/s">) {
  %x = "fidelity.read_state"(%state)
    : (!fidelity.state<[8 : index], 64 : index, f32, "Hidden", "m/s">)
    -> (!fidelity.vector<[8 : index], 64 : index, f64, "Hidden", "m/s">)
  return %x : !fidelity.vector<[8 : index], 64 : index, f64, "Hidden", "m/s">
}
// -----
// check: accept
func.func @f(%x: !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">) -> (!fidelity.state<[8 : index], 64 : index, f32, "Hidden", "m/s">) {
  %state = "fidelity.write_state"(%x)
    : (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">)
    -> (!fidelity.state<[8 : index], 64 : index, f32, "Hidden", "m/s">)
  return %state : !fidelity.state<[8 : index], 64 : index, f32, "Hidden", "m/s">
}
// -----
// check: reject result `state` has unit "kg", expected "m/s" as the unit of `x`; `fidelity.scale` turns one unit into another, `fidelity.multiply_units` declares a product
func.func @f(%x: !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">) -> (!fidelity.state<[8 : index], 64 : index, f32, "Hidden", "kg">) {
  %state = "fidelity.write_state"(%x)
    : (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">)
    -> (!fidelity.state<[8 : index], 64 : index, f32, "Hidden", "kg">)
  return %state : !fidelity.state<[8 : index], 64 : index, f32, "Hidden", "kg">
}
// -----
// check: reject result `state` has axis "Swapped", expected "Hidden" as the axis of `x`; are two operands swapped? `fidelity.rename_axis` says that two axes are one
func.func @f(%x: !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">) -> (!fidelity.state<[8 : index], 64 : index, f32, "Swapped", "m/s">) {
  %state = "fidelity.write_state"(%x)
    : (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">)
    -> (!fidelity.state<[8 : index], 64 : index, f32, "Swapped", "m/s">)
  return %state : !fidelity.state<[8 : index], 64 : index, f32, "Swapped", "m/s">
}
// -----
// check: accept
func.func @f(%x: !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">) -> (!fidelity.vector<[8 : index], 64 : index, f32, "Other", "m/s">) {
  %y = "fidelity.rename_axis"(%x)
    : (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">)
    -> (!fidelity.vector<[8 : index], 64 : index, f32, "Other", "m/s">)
  return %y : !fidelity.vector<[8 : index], 64 : index, f32, "Other", "m/s">
}
// -----
// check: reject result `y` has size `len` 100, expected 64 as the size `len` of `x`; compare the shapes of the parameters with the model's configuration
func.func @f(%x: !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">) -> (!fidelity.vector<[8 : index], 100 : index, f32, "Other", "m/s">) {
  %y = "fidelity.rename_axis"(%x)
    : (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">)
    -> (!fidelity.vector<[8 : index], 100 : index, f32, "Other", "m/s">)
  return %y : !fidelity.vector<[8 : index], 100 : index, f32, "Other", "m/s">
}
// -----
// check: reject result `y` has element type f64, expected f32 as the element type of `x`; `fidelity.convert` changes the element type
func.func @f(%x: !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">) -> (!fidelity.vector<[8 : index], 64 : index, f64, "Other", "m/s">) {
  %y = "fidelity.rename_axis"(%x)
    : (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">)
    -> (!fidelity.vector<[8 : index], 64 : index, f64, "Other", "m/s">)
  return %y : !fidelity.vector<[8 : index], 64 : index, f64, "Other", "m/s">
}
// -----
// check: accept
func.func @f(%x: !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">) -> (!fidelity.vector<[8 : index, 8 : index], 8 : index, f32, "Other", "m/s">) {
  %y = "fidelity.split_heads"(%x) {heads = 8 : index}
    : (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">)
    -> (!fidelity.vector<[8 : index, 8 : index], 8 : index, f32, "Other", "m/s">)
  return %y : !fidelity.vector<[8 : index, 8 : index], 8 : index, f32, "Other", "m/s">
}
// -----
// check: reject result `y` has unit "kg", expected "m/s" as the unit of `x`; `fidelity.scale` turns one unit into another, `fidelity.multiply_units` declares a product
func.func @f(%x: !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">) -> (!fidelity.vector<[8 : index, 32 : index], 256 : index, f32, "Other", "kg">) {
  %y = "fidelity.split_heads"(%x) {heads = 8 : index}
    : (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">)
    -> (!fidelity.vector<[8 : index, 32 : index], 256 : index, f32, "Other", "kg">)
  return %y : !fidelity.vector<[8 : index, 32 : index], 256 : index, f32, "Other", "kg">
}
// -----
// check: reject attribute `heads` is missing; add {heads = 8 : index}
func.func @f(%x: !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">) -> (!fidelity.vector<[8 : index, 32 : index], 256 : index, f32, "Other", "m/s">) {
  %y = "fidelity.split_heads"(%x)
    : (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">)
    -> (!fidelity.vector<[8 : index, 32 : index], 256 : index, f32, "Other", "m/s">)
  return %y : !fidelity.vector<[8 : index, 32 : index], 256 : index, f32, "Other", "m/s">
}
// -----
// check: accept
func.func @f(%x: !fidelity.vector<[8 : index, 8 : index], 8 : index, f32, "Other", "m/s">) -> (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">) {
  %y = "fidelity.merge_heads"(%x)
    : (!fidelity.vector<[8 : index, 8 : index], 8 : index, f32, "Other", "m/s">)
    -> (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">)
  return %y : !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">
}
// -----
// check: reject result `y` has element type f64, expected f32 as the element type of `x`; `fidelity.convert` changes the element type
func.func @f(%x: !fidelity.vector<[8 : index, 32 : index], 256 : index, f32, "Other", "m/s">) -> (!fidelity.vector<[8 : index], 64 : index, f64, "Hidden", "m/s">) {
  %y = "fidelity.merge_heads"(%x)
    : (!fidelity.vector<[8 : index, 32 : index], 256 : index, f32, "Other", "m/s">)
    -> (!fidelity.vector<[8 : index], 64 : index, f64, "Hidden", "m/s">)
  return %y : !fidelity.vector<[8 : index], 64 : index, f64, "Hidden", "m/s">
}
