// check: accept
func.func @f(%state: !fidelity.state<[8 : index], 64 : index, f32, "Hidden", "m/s">, %input: !fidelity.scalar<[8 : index], f32, "m">, %a: !fidelity.coefficients<64 : index, f32, "Hidden", "m/s", "m/s">, %b: !fidelity.coefficients<64 : index, f32, "Hidden", "m", "m/s">) -> (!fidelity.state<[8 : index], 64 : index, f32, "Hidden", "m/s">) {
  %next = "fidelity.ssm_state_update"(%state, %input, %a, %b)
    : (!fidelity.state<[8 : index], 64 : index, f32, "Hidden", "m/s">, !fidelity.scalar<[8 : index], f32, "m">, !fidelity.coefficients<64 : index, f32, "Hidden", "m/s", "m/s">, !fidelity.coefficients<64 : index, f32, "Hidden", "m", "m/s">)
    -> (!fidelity.state<[8 : index], 64 : index, f32, "Hidden", "m/s">)
  return %next : !fidelity.state<[8 : index], 64 : index, f32, "Hidden", "m/s">
}
// -----
// check: reject result `next` has size `len` 100, expected 64 as the size `len` of `state`; compare the shapes of the parameters with the model's configuration
func.func @f(%state: !fidelity.state<[8 : index], 64 : index, f32, "Hidden", "m/s">, %input: !fidelity.scalar<[8 : index], f32, "m">, %a: !fidelity.coefficients<64 : index, f32, "Hidden", "m/s", "m/s">, %b: !fidelity.coefficients<64 : index, f32, "Hidden", "m", "m/s">) -> (!fidelity.state<[8 : index], 100 : index, f32, "Hidden", "m/s">) {
  %next = "fidelity.ssm_state_update"(%state, %input, %a, %b)
    : (!fidelity.state<[8 : index], 64 : index, f32, "Hidden", "m/s">, !fidelity.scalar<[8 : index], f32, "m">, !fidelity.coefficients<64 : index, f32, "Hidden", "m/s", "m/s">, !fidelity.coefficients<64 : index, f32, "Hidden", "m", "m/s">)
    -> (!fidelity.state<[8 : index], 100 : index, f32, "Hidden", "m/s">)
  return %next : !fidelity.state<[8 : index], 100 : index, f32, "Hidden", "m/s">
}
// -----
// check: reject result `next` has element type f64, expected f32 as the element type of `state`; `fidelity.convert` changes the element type
func.func @f(%state: !fidelity.state<[8 : index], 64 : index, f32, "Hidden", "m/s">, %input: !fidelity.scalar<[8 : index], f32, "m">, %a: !fidelity.coefficients<64 : index, f32, "Hidden", "m/s", "m/s">, %b: !fidelity.coefficients<64 : index, f32, "Hidden", "m", "m/s">) -> (!fidelity.state<[8 : index], 64 : index, f64, "Hidden", "m/s">) {
  %next = "fidelity.ssm_state_update"(%state, %input, %a, %b)
    : (!fidelity.state<[8 : index], 64 : index, f32, "Hidden", "m/s">, !fidelity.scalar<[8 : index], f32, "m">, !fidelity.coefficients<64 : index, f32, "Hidden", "m/s", "m/s">, !fidelity.coefficients<64 : index, f32, "Hidden", "m", "m/s">)
    -> (!fidelity.state<[8 : index], 64 : index, f64, "Hidden", "m/s">)
  return %next : !fidelity.state<[8 : index], 64 : index, f64, "Hidden", "m/s">
}
// -----
// check: reject `ssm.state_update` has 4 operands, found 3; they are (state, input, a, b)
func.func @f(%state: !fidelity.state<[8 : index], 64 : index, f32, "Hidden", "m/s">, %input: !fidelity.scalar<[8 : index], f32, "m">, %a: !fidelity.coefficients<64 : index, f32, "Hidden", "m/s", "m/s">) -> (!fidelity.state<[8 : index], 64 : index, f32, "Hidden", "m/s">) {
  %next = "fidelity.ssm_state_update"(%state, %input, %a)
    : (!fidelity.state<[8 : index], 64 : index, f32, "Hidden", "m/s">, !fidelity.scalar<[8 : index], f32, "m">, !fidelity.coefficients<64 : index, f32, "Hidden", "m/s", "m/s">)
    -> (!fidelity.state<[8 : index], 64 : index, f32, "Hidden", "m/s">)
  return %next : !fidelity.state<[8 : index], 64 : index, f32, "Hidden", "m/s">
}
// -----
// check: accept
func.func @f(%state: tensor<?xf32>, %input: tensor<f32>, %a: tensor<?xf32>, %b: tensor<?xf32>) -> (tensor<?xf32>) {
  %next = "fidelity.ssm_state_update"(%state, %input, %a, %b)
    : (tensor<?xf32>, tensor<f32>, tensor<?xf32>, tensor<?xf32>)
    -> (tensor<?xf32>)
  return %next : tensor<?xf32>
}
// -----
// check: reject here result `next` has axis-0 size 65, expected 64 as the axis-0 size of `state`; compare the shapes of the parameters with the model's configuration
func.func @f(%state: tensor<64xf32>, %input: tensor<f32>, %a: tensor<?xf32>, %b: tensor<?xf32>) -> (tensor<65xf32>) {
  %next = "fidelity.ssm_state_update"(%state, %input, %a, %b)
    : (tensor<64xf32>, tensor<f32>, tensor<?xf32>, tensor<?xf32>)
    -> (tensor<65xf32>)
  return %next : tensor<65xf32>
}
// -----
// check: accept
func.func @f(%state: !fidelity.state<[8 : index], 64 : index, f32, "Hidden", "m/s">, %c: !fidelity.coefficients<64 : index, f32, "Hidden", "m/s", "m^2/s">) -> (!fidelity.scalar<[8 : index], f32, "m^2/s">) {
  %y = "fidelity.ssm_output"(%state, %c)
    : (!fidelity.state<[8 : index], 64 : index, f32, "Hidden", "m/s">, !fidelity.coefficients<64 : index, f32, "Hidden", "m/s", "m^2/s">)
    -> (!fidelity.scalar<[8 : index], f32, "m^2/s">)
  return %y : !fidelity.scalar<[8 : index], f32, "m^2/s">
}
// -----
// check: reject operand `c` has unit `from` "kg", expected "m/s" as the unit of `state`; `fidelity.scale` turns one unit into another, `fidelity.multiply_units` declares a product
func.func @f(%state: !fidelity.state<[8 : index], 64 : index, f32, "Hidden", "m/s">, %c: !fidelity.coefficients<64 : index, f32, "Hidden", "kg", "m^2/s">) -> (!fidelity.scalar<[8 : index], f32, "m^2/s">) {
  %y = "fidelity.ssm_output"(%state, %c)
    : (!fidelity.state<[8 : index], 64 : index, f32, "Hidden", "m/s">, !fidelity.coefficients<64 : index, f32, "Hidden", "kg", "m^2/s">)
    -> (!fidelity.scalar<[8 : index], f32, "m^2/s">)
  return %y : !fidelity.scalar<[8 : index], f32, "m^2/s">
}
// -----
// check: reject operand `c` has axis "Swapped", expected "Hidden" as the axis of `state`; are two operands swapped? `fidelity.rename_axis` says that two axes are one
func.func @f(%state: !fidelity.state<[8 : index], 64 : index, f32, "Hidden", "m/s">, %c: !fidelity.coefficients<64 : index, f32, "Swapped", "m/s", "m^2/s">) -> (!fidelity.scalar<[8 : index], f32, "m^2/s">) {
  %y = "fidelity.ssm_output"(%state, %c)
    : (!fidelity.state<[8 : index], 64 : index, f32, "Hidden", "m/s">, !fidelity.coefficients<64 : index, f32, "Swapped", "m/s", "m^2/s">)
    -> (!fidelity.scalar<[8 : index], f32, "m^2/s">)
  return %y : !fidelity.scalar<[8 : index], f32, "m^2/s">
}
// -----
// check: reject `ssm.output` has 2 operands, found 1; they are (state, c)
func.func @f(%state: !fidelity.state<[8 : index], 64 : index, f32, "Hidden", "m/s">) -> (!fidelity.scalar<[8 : index], f32, "m^2/s">) {
  %y = "fidelity.ssm_output"(%state)
    : (!fidelity.state<[8 : index], 64 : index, f32, "Hidden", "m/s">)
    -> (!fidelity.scalar<[8 : index], f32, "m^2/s">)
  return %y : !fidelity.scalar<[8 : index], f32, "m^2/s">
}
// -----
// check: accept
func.func @f(%state: tensor<?xf32>, %c: tensor<?xf32>) -> (tensor<f32>) {
  %y = "fidelity.ssm_output"(%state, %c)
    : (tensor<?xf32>, tensor<?xf32>)
    -> (tensor<f32>)
  return %y : tensor<f32>
}
// -----
// check: reject here operand `c` has axis-0 size 65, expected 64 as the axis-0 size of `state`; compare the shapes of the parameters with the model's configuration
func.func @f(%state: tensor<64xf32>, %c: tensor<65xf32>) -> (tensor<f32>) {
  %y = "fidelity.ssm_output"(%state, %c)
    : (tensor<64xf32>, tensor<65xf32>)
    -> (tensor<f32>)
  return %y : tensor<f32>
}
// -----
// check: accept
func.func @f(%state: !fidelity.state<[8 : index], 64 : index, f32, "Hidden", "m/s">, %inputs: !fidelity.vector<[8 : index], 16 : index, f32, "Time", "m">, %a: !fidelity.coefficients<64 : index, f32, "Hidden", "m/s", "m/s">, %b: !fidelity.coefficients<64 : index, f32, "Hidden", "m", "m/s">, %c: !fidelity.coefficients<64 : index, f32, "Hidden", "m/s", "m^2/s">) -> (!fidelity.vector<[8 : index], 16 : index, f32, "Time", "m^2/s">, !fidelity.state<[8 : index], 64 : index, f32, "Hidden", "m/s">) {
  %outputs, %last = "fidelity.ssm_scan"(%state, %inputs, %a, %b, %c)
    : (!fidelity.state<[8 : index], 64 : index, f32, "Hidden", "m/s">, !fidelity.vector<[8 : index], 16 : index, f32, "Time", "m">, !fidelity.coefficients<64 : index, f32, "Hidden", "m/s", "m/s">, !fidelity.coefficients<64 : index, f32, "Hidden", "m", "m/s">, !fidelity.coefficients<64 : index, f32, "Hidden", "m/s", "m^2/s">)
    -> (!fidelity.vector<[8 : index], 16 : index, f32, "Time", "m^2/s">, !fidelity.state<[8 : index], 64 : index, f32, "Hidden", "m/s">)
  return %outputs, %last : !fidelity.vector<[8 : index], 16 : index, f32, "Time", "m^2/s">, !fidelity.state<[8 : index], 64 : index, f32, "Hidden", "m/s">
}
// -----
// check: reject result `last` has size `len` 100, expected 64 as the size `len` of `state`; compare the shapes of the parameters with the model's configuration
func.func @f(%state: !fidelity.state<[8 : index], 64 : index, f32, "Hidden", "m/s">, %inputs: !fidelity.vector<[8 : index], 16 : index, f32, "Time", "m">, %a: !fidelity.coefficients<64 : index, f32, "Hidden", "m/s", "m/s">, %b: !fidelity.coefficients<64 : index, f32, "Hidden", "m", "m/s">, %c: !fidelity.coefficients<64 : index, f32, "Hidden", "m/s", "m^2/s">) -> (!fidelity.vector<[8 : index], 16 : index, f32, "Time", "m^2/s">, !fidelity.state<[8 : index], 100 : index, f32, "Hidden", "m/s">) {
  %outputs, %last = "fidelity.ssm_scan"(%state, %inputs, %a, %b, %c)
    : (!fidelity.state<[8 : index], 64 : index, f32, "Hidden", "m/s">, !fidelity.vector<[8 : index], 16 : index, f32, "Time", "m">, !fidelity.coefficients<64 : index, f32, "Hidden", "m/s", "m/s">, !fidelity.coefficients<64 : index, f32, "Hidden", "m", "m/s">, !fidelity.coefficients<64 : index, f32, "Hidden", "m/s", "m^2/s">)
    -> (!fidelity.vector<[8 : index], 16 : index, f32, "Time", "m^2/s">, !fidelity.state<[8 : index], 100 : index, f32, "Hidden", "m/s">)
  return %outputs, %last : !fidelity.vector<[8 : index], 16 : index, f32, "Time", "m^2/s">, !fidelity.state<[8 : index], 100 : index, f32, "Hidden", "m/s">
}
// -----
// check: reject result `last` has element type f64, expected f32 as the element type of `state`; `fidelity.convert` changes the element type
func.func @f(%state: !fidelity.state<[8 : index], 64 : index, f32, "Hidden", "m/s">, %inputs: !fidelity.vector<[8 : index], 16 : index, f32, "Time", "m">, %a: !fidelity.coefficients<64 : index, f32, "Hidden", "m/s", "m/s">, %b: !fidelity.coefficients<64 : index, f32, "Hidden", "m", "m/s">, %c: !fidelity.coefficients<64 : index, f32, "Hidden", "m/s", "m^2/s">) -> (!fidelity.vector<[8 : index], 16 : index, f32, "Time", "m^2/s">, !fidelity.state<[8 : index], 64 : index, f64, "Hidden", "m/s">) {
  %outputs, %last = "fidelity.ssm_scan"(%state, %inputs, %a, %b, %c)
    : (!fidelity.state<[8 : index], 64 : index, f32, "Hidden", "m/s">, !fidelity.vector<[8 : index], 16 : index, f32, "Time", "m">, !fidelity.coefficients<64 : index, f32, "Hidden", "m/s", "m/s">, !fidelity.coefficients<64 : index, f32, "Hidden", "m", "m/s">, !fidelity.coefficients<64 : index, f32, "Hidden", "m/s", "m^2/s">)
    -> (!fidelity.vector<[8 : index], 16 : index, f32, "Time", "m^2/s">, !fidelity.state<[8 : index], 64 : index, f64, "Hidden", "m/s">)
  return %outputs, %last : !fidelity.vector<[8 : index], 16 : index, f32, "Time", "m^2/s">, !fidelity.state<[8 : index], 64 : index, f64, "Hidden", "m/s">
}
// -----
// check: reject `ssm.scan` has 5 operands, found 4; they are (state, inputs, a, b, c)
func.func @f(%state: !fidelity.state<[8 : index], 64 : index, f32, "Hidden", "m/s">, %inputs: !fidelity.vector<[8 : index], 16 : index, f32, "Time", "m">, %a: !fidelity.coefficients<64 : index, f32, "Hidden", "m/s", "m/s">, %b: !fidelity.coefficients<64 : index, f32, "Hidden", "m", "m/s">) -> (!fidelity.vector<[8 : index], 16 : index, f32, "Time", "m^2/s">, !fidelity.state<[8 : index], 64 : index, f32, "Hidden", "m/s">) {
  %outputs, %last = "fidelity.ssm_scan"(%state, %inputs, %a, %b)
    : (!fidelity.state<[8 : index], 64 : index, f32, "Hidden", "m/s">, !fidelity.vector<[8 : index], 16 : index, f32, "Time", "m">, !fidelity.coefficients<64 : index, f32, "Hidden", "m/s", "m/s">, !fidelity.coefficients<64 : index, f32, "Hidden", "m", "m/s">)
    -> (!fidelity.vector<[8 : index], 16 : index, f32, "Time", "m^2/s">, !fidelity.state<[8 : index], 64 : index, f32, "Hidden", "m/s">)
  return %outputs, %last : !fidelity.vector<[8 : index], 16 : index, f32, "Time", "m^2/s">, !fidelity.state<[8 : index], 64 : index, f32, "Hidden", "m/s">
}
// -----
// check: accept
func.func @f(%state: tensor<?xf32>, %inputs: tensor<?xf32>, %a: tensor<?xf32>, %b: tensor<?xf32>, %c: tensor<?xf32>) -> (tensor<?xf32>, tensor<?xf32>) {
  %outputs, %last = "fidelity.ssm_scan"(%state, %inputs, %a, %b, %c)
    : (tensor<?xf32>, tensor<?xf32>, tensor<?xf32>, tensor<?xf32>, tensor<?xf32>)
    -> (tensor<?xf32>, tensor<?xf32>)
  return %outputs, %last : tensor<?xf32>, tensor<?xf32>
}
// -----
// check: reject here result `outputs` has axis-0 size 65, expected 64 as the axis-0 size of `inputs`; compare the shapes of the parameters with the model's configuration
func.func @f(%state: tensor<?xf32>, %inputs: tensor<64xf32>, %a: tensor<?xf32>, %b: tensor<?xf32>, %c: tensor<?xf32>) -> (tensor<65xf32>, tensor<?xf32>) {
  %outputs, %last = "fidelity.ssm_scan"(%state, %inputs, %a, %b, %c)
    : (tensor<?xf32>, tensor<64xf32>, tensor<?xf32>, tensor<?xf32>, tensor<?xf32>)
    -> (tensor<65xf32>, tensor<?xf32>)
  return %outputs, %last : tensor<65xf32>, tensor<?xf32>
}
// -----
// check: accept
func.func @f(%state: !fidelity.matrix_state<[8 : index], 128 : index, 64 : index, f32, "Channel", "Hidden", "m/s">, %x: !fidelity.vector<[8 : index, 32 : index], 128 : index, f32, "Channel", "m/s">, %step: !fidelity.vector<[8 : index, 32 : index], 128 : index, f32, "Channel", "">, %a: !fidelity.matrix<128 : index, 64 : index, f32, "Channel", "Hidden", "m/s", "m/s">, %b: !fidelity.vector<[8 : index, 32 : index], 64 : index, f32, "Hidden", "">, %c: !fidelity.vector<[8 : index, 32 : index], 64 : index, f32, "Hidden", "">) -> (!fidelity.vector<[8 : index, 32 : index], 128 : index, f32, "Channel", "m/s">, !fidelity.matrix_state<[8 : index], 128 : index, 64 : index, f32, "Channel", "Hidden", "m/s">) {
  %y, %last = "fidelity.selective_scan"(%state, %x, %step, %a, %b, %c)
    : (!fidelity.matrix_state<[8 : index], 128 : index, 64 : index, f32, "Channel", "Hidden", "m/s">, !fidelity.vector<[8 : index, 32 : index], 128 : index, f32, "Channel", "m/s">, !fidelity.vector<[8 : index, 32 : index], 128 : index, f32, "Channel", "">, !fidelity.matrix<128 : index, 64 : index, f32, "Channel", "Hidden", "m/s", "m/s">, !fidelity.vector<[8 : index, 32 : index], 64 : index, f32, "Hidden", "">, !fidelity.vector<[8 : index, 32 : index], 64 : index, f32, "Hidden", "">)
    -> (!fidelity.vector<[8 : index, 32 : index], 128 : index, f32, "Channel", "m/s">, !fidelity.matrix_state<[8 : index], 128 : index, 64 : index, f32, "Channel", "Hidden", "m/s">)
  return %y, %last : !fidelity.vector<[8 : index, 32 : index], 128 : index, f32, "Channel", "m/s">, !fidelity.matrix_state<[8 : index], 128 : index, 64 : index, f32, "Channel", "Hidden", "m/s">
}
// -----
// check: reject operand `step` has unit "kg", `selective_scan` takes a pure number there; divide by a number of that unit first (`fidelity.divide_units`), or scale it away (`fidelity.scale`)
func.func @f(%state: !fidelity.matrix_state<[8 : index], 128 : index, 64 : index, f32, "Channel", "Hidden", "m/s">, %x: !fidelity.vector<[8 : index, 32 : index], 128 : index, f32, "Channel", "m/s">, %step: !fidelity.vector<[8 : index, 32 : index], 128 : index, f32, "Channel", "kg">, %a: !fidelity.matrix<128 : index, 64 : index, f32, "Channel", "Hidden", "m/s", "m/s">, %b: !fidelity.vector<[8 : index, 32 : index], 64 : index, f32, "Hidden", "">, %c: !fidelity.vector<[8 : index, 32 : index], 64 : index, f32, "Hidden", "">) -> (!fidelity.vector<[8 : index, 32 : index], 128 : index, f32, "Channel", "m/s">, !fidelity.matrix_state<[8 : index], 128 : index, 64 : index, f32, "Channel", "Hidden", "m/s">) {
  %y, %last = "fidelity.selective_scan"(%state, %x, %step, %a, %b, %c)
    : (!fidelity.matrix_state<[8 : index], 128 : index, 64 : index, f32, "Channel", "Hidden", "m/s">, !fidelity.vector<[8 : index, 32 : index], 128 : index, f32, "Channel", "m/s">, !fidelity.vector<[8 : index, 32 : index], 128 : index, f32, "Channel", "kg">, !fidelity.matrix<128 : index, 64 : index, f32, "Channel", "Hidden", "m/s", "m/s">, !fidelity.vector<[8 : index, 32 : index], 64 : index, f32, "Hidden", "">, !fidelity.vector<[8 : index, 32 : index], 64 : index, f32, "Hidden", "">)
    -> (!fidelity.vector<[8 : index, 32 : index], 128 : index, f32, "Channel", "m/s">, !fidelity.matrix_state<[8 : index], 128 : index, 64 : index, f32, "Channel", "Hidden", "m/s">)
  return %y, %last : !fidelity.vector<[8 : index, 32 : index], 128 : index, f32, "Channel", "m/s">, !fidelity.matrix_state<[8 : index], 128 : index, 64 : index, f32, "Channel", "Hidden", "m/s">
}
// -----
// check: reject result `last` has unit "kg", expected "m/s" as the unit of `state`; `fidelity.scale` turns one unit into another, `fidelity.multiply_units` declares a product
func.func @f(%state: !fidelity.matrix_state<[8 : index], 128 : index, 64 : index, f32, "Channel", "Hidden", "m/s">, %x: !fidelity.vector<[8 : index, 32 : index], 128 : index, f32, "Channel", "m/s">, %step: !fidelity.vector<[8 : index, 32 : index], 128 : index, f32, "Channel", "">, %a: !fidelity.matrix<128 : index, 64 : index, f32, "Channel", "Hidden", "m/s", "m/s">, %b: !fidelity.vector<[8 : index, 32 : index], 64 : index, f32, "Hidden", "">, %c: !fidelity.vector<[8 : index, 32 : index], 64 : index, f32, "Hidden", "">) -> (!fidelity.vector<[8 : index, 32 : index], 128 : index, f32, "Channel", "m/s">, !fidelity.matrix_state<[8 : index], 128 : index, 64 : index, f32, "Channel", "Hidden", "kg">) {
  %y, %last = "fidelity.selective_scan"(%state, %x, %step, %a, %b, %c)
    : (!fidelity.matrix_state<[8 : index], 128 : index, 64 : index, f32, "Channel", "Hidden", "m/s">, !fidelity.vector<[8 : index, 32 : index], 128 : index, f32, "Channel", "m/s">, !fidelity.vector<[8 : index, 32 : index], 128 : index, f32, "Channel", "">, !fidelity.matrix<128 : index, 64 : index, f32, "Channel", "Hidden", "m/s", "m/s">, !fidelity.vector<[8 : index, 32 : index], 64 : index, f32, "Hidden", "">, !fidelity.vector<[8 : index, 32 : index], 64 : index, f32, "Hidden", "">)
    -> (!fidelity.vector<[8 : index, 32 : index], 128 : index, f32, "Channel", "m/s">, !fidelity.matrix_state<[8 : index], 128 : index, 64 : index, f32, "Channel", "Hidden", "kg">)
  return %y, %last : !fidelity.vector<[8 : index, 32 : index], 128 : index, f32, "Channel", "m/s">, !fidelity.matrix_state<[8 : index], 128 : index, 64 : index, f32, "Channel", "Hidden", "kg">
}
// -----
// check: reject result `last` has axis `row_axis` "Swapped", expected "Channel" as the axis `row_axis` of `state`; are two operands swapped? `fidelity.rename_axis` says that two axes are one
func.func @f(%state: !fidelity.matrix_state<[8 : index], 128 : index, 64 : index, f32, "Channel", "Hidden", "m/s">, %x: !fidelity.vector<[8 : index, 32 : index], 128 : index, f32, "Channel", "m/s">, %step: !fidelity.vector<[8 : index, 32 : index], 128 : index, f32, "Channel", "">, %a: !fidelity.matrix<128 : index, 64 : index, f32, "Channel", "Hidden", "m/s", "m/s">, %b: !fidelity.vector<[8 : index, 32 : index], 64 : index, f32, "Hidden", "">, %c: !fidelity.vector<[8 : index, 32 : index], 64 : index, f32, "Hidden", "">) -> (!fidelity.vector<[8 : index, 32 : index], 128 : index, f32, "Channel", "m/s">, !fidelity.matrix_state<[8 : index], 128 : index, 64 : index, f32, "Swapped", "Hidden", "m/s">) {
  %y, %last = "fidelity.selective_scan"(%state, %x, %step, %a, %b, %c)
    : (!fidelity.matrix_state<[8 : index], 128 : index, 64 : index, f32, "Channel", "Hidden", "m/s">, !fidelity.vector<[8 : index, 32 : index], 128 : index, f32, "Channel", "m/s">, !fidelity.vector<[8 : index, 32 : index], 128 : index, f32, "Channel", "">, !fidelity.matrix<128 : index, 64 : index, f32, "Channel", "Hidden", "m/s", "m/s">, !fidelity.vector<[8 : index, 32 : index], 64 : index, f32, "Hidden", "">, !fidelity.vector<[8 : index, 32 : index], 64 : index, f32, "Hidden", "">)
    -> (!fidelity.vector<[8 : index, 32 : index], 128 : index, f32, "Channel", "m/s">, !fidelity.matrix_state<[8 : index], 128 : index, 64 : index, f32, "Swapped", "Hidden", "m/s">)
  return %y, %last : !fidelity.vector<[8 : index, 32 : index], 128 : index, f32, "Channel", "m/s">, !fidelity.matrix_state<[8 : index], 128 : index, 64 : index, f32, "Swapped", "Hidden", "m/s">
}
// -----
// check: reject `selective_scan` has 6 operands, found 5; they are (state, x, step, a, b, c)
func.func @f(%state: !fidelity.matrix_state<[8 : index], 128 : index, 64 : index, f32, "Channel", "Hidden", "m/s">, %x: !fidelity.vector<[8 : index, 32 : index], 128 : index, f32, "Channel", "m/s">, %step: !fidelity.vector<[8 : index, 32 : index], 128 : index, f32, "Channel", "">, %a: !fidelity.matrix<128 : index, 64 : index, f32, "Channel", "Hidden", "m/s", "m/s">, %b: !fidelity.vector<[8 : index, 32 : index], 64 : index, f32, "Hidden", "">) -> (!fidelity.vector<[8 : index, 32 : index], 128 : index, f32, "Channel", "m/s">, !fidelity.matrix_state<[8 : index], 128 : index, 64 : index, f32, "Channel", "Hidden", "m/s">) {
  %y, %last = "fidelity.selective_scan"(%state, %x, %step, %a, %b)
    : (!fidelity.matrix_state<[8 : index], 128 : index, 64 : index, f32, "Channel", "Hidden", "m/s">, !fidelity.vector<[8 : index, 32 : index], 128 : index, f32, "Channel", "m/s">, !fidelity.vector<[8 : index, 32 : index], 128 : index, f32, "Channel", "">, !fidelity.matrix<128 : index, 64 : index, f32, "Channel", "Hidden", "m/s", "m/s">, !fidelity.vector<[8 : index, 32 : index], 64 : index, f32, "Hidden", "">)
    -> (!fidelity.vector<[8 : index, 32 : index], 128 : index, f32, "Channel", "m/s">, !fidelity.matrix_state<[8 : index], 128 : index, 64 : index, f32, "Channel", "Hidden", "m/s">)
  return %y, %last : !fidelity.vector<[8 : index, 32 : index], 128 : index, f32, "Channel", "m/s">, !fidelity.matrix_state<[8 : index], 128 : index, 64 : index, f32, "Channel", "Hidden", "m/s">
}
// -----
// check: accept
func.func @f(%state: !fidelity.state<[8 : index], 64 : index, f32, "Hidden", "m/s">, %decay: !fidelity.vector<[8 : index, 32 : index], 64 : index, f32, "Hidden", "">, %input: !fidelity.vector<[8 : index, 32 : index], 64 : index, f32, "Hidden", "m/s">) -> (!fidelity.vector<[8 : index, 32 : index], 64 : index, f32, "Hidden", "m/s">, !fidelity.state<[8 : index], 64 : index, f32, "Hidden", "m/s">) {
  %states, %last = "fidelity.linear_scan"(%state, %decay, %input)
    : (!fidelity.state<[8 : index], 64 : index, f32, "Hidden", "m/s">, !fidelity.vector<[8 : index, 32 : index], 64 : index, f32, "Hidden", "">, !fidelity.vector<[8 : index, 32 : index], 64 : index, f32, "Hidden", "m/s">)
    -> (!fidelity.vector<[8 : index, 32 : index], 64 : index, f32, "Hidden", "m/s">, !fidelity.state<[8 : index], 64 : index, f32, "Hidden", "m/s">)
  return %states, %last : !fidelity.vector<[8 : index, 32 : index], 64 : index, f32, "Hidden", "m/s">, !fidelity.state<[8 : index], 64 : index, f32, "Hidden", "m/s">
}
// -----
// check: reject operand `decay` has unit "kg", `linear_scan` takes a pure number there; divide by a number of that unit first (`fidelity.divide_units`), or scale it away (`fidelity.scale`)
func.func @f(%state: !fidelity.state<[8 : index], 64 : index, f32, "Hidden", "m/s">, %decay: !fidelity.vector<[8 : index, 32 : index], 64 : index, f32, "Hidden", "kg">, %input: !fidelity.vector<[8 : index, 32 : index], 64 : index, f32, "Hidden", "m/s">) -> (!fidelity.vector<[8 : index, 32 : index], 64 : index, f32, "Hidden", "m/s">, !fidelity.state<[8 : index], 64 : index, f32, "Hidden", "m/s">) {
  %states, %last = "fidelity.linear_scan"(%state, %decay, %input)
    : (!fidelity.state<[8 : index], 64 : index, f32, "Hidden", "m/s">, !fidelity.vector<[8 : index, 32 : index], 64 : index, f32, "Hidden", "kg">, !fidelity.vector<[8 : index, 32 : index], 64 : index, f32, "Hidden", "m/s">)
    -> (!fidelity.vector<[8 : index, 32 : index], 64 : index, f32, "Hidden", "m/s">, !fidelity.state<[8 : index], 64 : index, f32, "Hidden", "m/s">)
  return %states, %last : !fidelity.vector<[8 : index, 32 : index], 64 : index, f32, "Hidden", "m/s">, !fidelity.state<[8 : index], 64 : index, f32, "Hidden", "m/s">
}
// -----
// check: reject result `last` has size `len` 100, expected 64 as the size `len` of `state`; compare the shapes of the parameters with the model's configuration
func.func @f(%state: !fidelity.state<[8 : index], 64 : index, f32, "Hidden", "m/s">, %decay: !fidelity.vector<[8 : index, 32 : index], 64 : index, f32, "Hidden", "">, %input: !fidelity.vector<[8 : index, 32 : index], 64 : index, f32, "Hidden", "m/s">) -> (!fidelity.vector<[8 : index, 32 : index], 64 : index, f32, "Hidden", "m/s">, !fidelity.state<[8 : index], 100 : index, f32, "Hidden", "m/s">) {
  %states, %last = "fidelity.linear_scan"(%state, %decay, %input)
    : (!fidelity.state<[8 : index], 64 : index, f32, "Hidden", "m/s">, !fidelity.vector<[8 : index, 32 : index], 64 : index, f32, "Hidden", "">, !fidelity.vector<[8 : index, 32 : index], 64 : index, f32, "Hidden", "m/s">)
    -> (!fidelity.vector<[8 : index, 32 : index], 64 : index, f32, "Hidden", "m/s">, !fidelity.state<[8 : index], 100 : index, f32, "Hidden", "m/s">)
  return %states, %last : !fidelity.vector<[8 : index, 32 : index], 64 : index, f32, "Hidden", "m/s">, !fidelity.state<[8 : index], 100 : index, f32, "Hidden", "m/s">
}
// -----
// check: reject result `last` has element type f64, expected f32 as the element type of `state`; `fidelity.convert` changes the element type
func.func @f(%state: !fidelity.state<[8 : index], 64 : index, f32, "Hidden", "m/s">, %decay: !fidelity.vector<[8 : index, 32 : index], 64 : index, f32, "Hidden", "">, %input: !fidelity.vector<[8 : index, 32 : index], 64 : index, f32, "Hidden", "m/s">) -> (!fidelity.vector<[8 : index, 32 : index], 64 : index, f32, "Hidden", "m/s">, !fidelity.state<[8 : index], 64 : index, f64, "Hidden", "m/s">) {
  %states, %last = "fidelity.linear_scan"(%state, %decay, %input)
    : (!fidelity.state<[8 : index], 64 : index, f32, "Hidden", "m/s">, !fidelity.vector<[8 : index, 32 : index], 64 : index, f32, "Hidden", "">, !fidelity.vector<[8 : index, 32 : index], 64 : index, f32, "Hidden", "m/s">)
    -> (!fidelity.vector<[8 : index, 32 : index], 64 : index, f32, "Hidden", "m/s">, !fidelity.state<[8 : index], 64 : index, f64, "Hidden", "m/s">)
  return %states, %last : !fidelity.vector<[8 : index, 32 : index], 64 : index, f32, "Hidden", "m/s">, !fidelity.state<[8 : index], 64 : index, f64, "Hidden", "m/s">
}
// -----
// check: reject `linear_scan` has 3 operands, found 2; they are (state, decay, input)
func.func @f(%state: !fidelity.state<[8 : index], 64 : index, f32, "Hidden", "m/s">, %decay: !fidelity.vector<[8 : index, 32 : index], 64 : index, f32, "Hidden", "">) -> (!fidelity.vector<[8 : index, 32 : index], 64 : index, f32, "Hidden", "m/s">, !fidelity.state<[8 : index], 64 : index, f32, "Hidden", "m/s">) {
  %states, %last = "fidelity.linear_scan"(%state, %decay)
    : (!fidelity.state<[8 : index], 64 : index, f32, "Hidden", "m/s">, !fidelity.vector<[8 : index, 32 : index], 64 : index, f32, "Hidden", "">)
    -> (!fidelity.vector<[8 : index, 32 : index], 64 : index, f32, "Hidden", "m/s">, !fidelity.state<[8 : index], 64 : index, f32, "Hidden", "m/s">)
  return %states, %last : !fidelity.vector<[8 : index, 32 : index], 64 : index, f32, "Hidden", "m/s">, !fidelity.state<[8 : index], 64 : index, f32, "Hidden", "m/s">
}
// -----
// check: accept
func.func @f(%state: tensor<?x?xf32>, %decay: tensor<?x?xf32>, %input: tensor<?x?xf32>) -> (tensor<?x?xf32>, tensor<?x?xf32>) {
  %states, %last = "fidelity.linear_scan"(%state, %decay, %input)
    : (tensor<?x?xf32>, tensor<?x?xf32>, tensor<?x?xf32>)
    -> (tensor<?x?xf32>, tensor<?x?xf32>)
  return %states, %last : tensor<?x?xf32>, tensor<?x?xf32>
}
// -----
// check: reject here result `states` has leading sizes [65], expected [64] as the leading sizes of `decay`; operands of one operation have the same leading sizes
func.func @f(%state: tensor<?x?xf32>, %decay: tensor<64x?xf32>, %input: tensor<?x?xf32>) -> (tensor<65x?xf32>, tensor<?x?xf32>) {
  %states, %last = "fidelity.linear_scan"(%state, %decay, %input)
    : (tensor<?x?xf32>, tensor<64x?xf32>, tensor<?x?xf32>)
    -> (tensor<65x?xf32>, tensor<?x?xf32>)
  return %states, %last : tensor<65x?xf32>, tensor<?x?xf32>
}
// -----
// check: accept
func.func @f(%state: !fidelity.state<[8 : index], 64 : index, f32, "Hidden", "m/s">, %forget: !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "">, %candidate: !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">, %gate: !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "">) -> (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">, !fidelity.state<[8 : index], 64 : index, f32, "Hidden", "m/s">) {
  %output, %next = "fidelity.mlgru_step"(%state, %forget, %candidate, %gate)
    : (!fidelity.state<[8 : index], 64 : index, f32, "Hidden", "m/s">, !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "">, !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">, !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "">)
    -> (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">, !fidelity.state<[8 : index], 64 : index, f32, "Hidden", "m/s">)
  return %output, %next : !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">, !fidelity.state<[8 : index], 64 : index, f32, "Hidden", "m/s">
}
// -----
// check: reject operand `forget` has unit "kg", `mlgru.step` takes a pure number there; divide by a number of that unit first (`fidelity.divide_units`), or scale it away (`fidelity.scale`)
func.func @f(%state: !fidelity.state<[8 : index], 64 : index, f32, "Hidden", "m/s">, %forget: !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "kg">, %candidate: !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">, %gate: !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "">) -> (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">, !fidelity.state<[8 : index], 64 : index, f32, "Hidden", "m/s">) {
  %output, %next = "fidelity.mlgru_step"(%state, %forget, %candidate, %gate)
    : (!fidelity.state<[8 : index], 64 : index, f32, "Hidden", "m/s">, !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "kg">, !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">, !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "">)
    -> (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">, !fidelity.state<[8 : index], 64 : index, f32, "Hidden", "m/s">)
  return %output, %next : !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">, !fidelity.state<[8 : index], 64 : index, f32, "Hidden", "m/s">
}
// -----
// check: reject result `next` has unit "kg", expected "m/s" as the unit of `state`; `fidelity.scale` turns one unit into another, `fidelity.multiply_units` declares a product
func.func @f(%state: !fidelity.state<[8 : index], 64 : index, f32, "Hidden", "m/s">, %forget: !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "">, %candidate: !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">, %gate: !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "">) -> (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">, !fidelity.state<[8 : index], 64 : index, f32, "Hidden", "kg">) {
  %output, %next = "fidelity.mlgru_step"(%state, %forget, %candidate, %gate)
    : (!fidelity.state<[8 : index], 64 : index, f32, "Hidden", "m/s">, !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "">, !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">, !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "">)
    -> (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">, !fidelity.state<[8 : index], 64 : index, f32, "Hidden", "kg">)
  return %output, %next : !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">, !fidelity.state<[8 : index], 64 : index, f32, "Hidden", "kg">
}
// -----
// check: reject result `next` has axis "Swapped", expected "Hidden" as the axis of `state`; are two operands swapped? `fidelity.rename_axis` says that two axes are one
func.func @f(%state: !fidelity.state<[8 : index], 64 : index, f32, "Hidden", "m/s">, %forget: !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "">, %candidate: !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">, %gate: !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "">) -> (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">, !fidelity.state<[8 : index], 64 : index, f32, "Swapped", "m/s">) {
  %output, %next = "fidelity.mlgru_step"(%state, %forget, %candidate, %gate)
    : (!fidelity.state<[8 : index], 64 : index, f32, "Hidden", "m/s">, !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "">, !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">, !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "">)
    -> (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">, !fidelity.state<[8 : index], 64 : index, f32, "Swapped", "m/s">)
  return %output, %next : !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">, !fidelity.state<[8 : index], 64 : index, f32, "Swapped", "m/s">
}
// -----
// check: reject `mlgru.step` has 4 operands, found 3; they are (state, forget, candidate, gate)
func.func @f(%state: !fidelity.state<[8 : index], 64 : index, f32, "Hidden", "m/s">, %forget: !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "">, %candidate: !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">) -> (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">, !fidelity.state<[8 : index], 64 : index, f32, "Hidden", "m/s">) {
  %output, %next = "fidelity.mlgru_step"(%state, %forget, %candidate)
    : (!fidelity.state<[8 : index], 64 : index, f32, "Hidden", "m/s">, !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "">, !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">)
    -> (!fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">, !fidelity.state<[8 : index], 64 : index, f32, "Hidden", "m/s">)
  return %output, %next : !fidelity.vector<[8 : index], 64 : index, f32, "Hidden", "m/s">, !fidelity.state<[8 : index], 64 : index, f32, "Hidden", "m/s">
}
// -----
// check: accept
func.func @f(%state: tensor<?x?xf32>, %forget: tensor<?x?xf32>, %candidate: tensor<?x?xf32>, %gate: tensor<?x?xf32>) -> (tensor<?x?xf32>, tensor<?x?xf32>) {
  %output, %next = "fidelity.mlgru_step"(%state, %forget, %candidate, %gate)
    : (tensor<?x?xf32>, tensor<?x?xf32>, tensor<?x?xf32>, tensor<?x?xf32>)
    -> (tensor<?x?xf32>, tensor<?x?xf32>)
  return %output, %next : tensor<?x?xf32>, tensor<?x?xf32>
}
// -----
// check: reject here result `next` has axis-1 size 65, expected 64 as the axis-1 size of `state`; compare the shapes of the parameters with the model's configuration
func.func @f(%state: tensor<?x64xf32>, %forget: tensor<?x?xf32>, %candidate: tensor<?x?xf32>, %gate: tensor<?x?xf32>) -> (tensor<?x?xf32>, tensor<?x65xf32>) {
  %output, %next = "fidelity.mlgru_step"(%state, %forget, %candidate, %gate)
    : (tensor<?x64xf32>, tensor<?x?xf32>, tensor<?x?xf32>, tensor<?x?xf32>)
    -> (tensor<?x?xf32>, tensor<?x65xf32>)
  return %output, %next : tensor<?x?xf32>, tensor<?x65xf32>
}
// -----
// check: accept
func.func @f(%state: !fidelity.state<[8 : index], 64 : index, f32, "Hidden", "m/s">, %forget: !fidelity.vector<[8 : index, 32 : index], 64 : index, f32, "Hidden", "">, %candidate: !fidelity.vector<[8 : index, 32 : index], 64 : index, f32, "Hidden", "m/s">, %gate: !fidelity.vector<[8 : index, 32 : index], 64 : index, f32, "Hidden", "">) -> (!fidelity.vector<[8 : index, 32 : index], 64 : index, f32, "Hidden", "m/s">, !fidelity.state<[8 : index], 64 : index, f32, "Hidden", "m/s">) {
  %outputs, %last = "fidelity.mlgru_scan"(%state, %forget, %candidate, %gate)
    : (!fidelity.state<[8 : index], 64 : index, f32, "Hidden", "m/s">, !fidelity.vector<[8 : index, 32 : index], 64 : index, f32, "Hidden", "">, !fidelity.vector<[8 : index, 32 : index], 64 : index, f32, "Hidden", "m/s">, !fidelity.vector<[8 : index, 32 : index], 64 : index, f32, "Hidden", "">)
    -> (!fidelity.vector<[8 : index, 32 : index], 64 : index, f32, "Hidden", "m/s">, !fidelity.state<[8 : index], 64 : index, f32, "Hidden", "m/s">)
  return %outputs, %last : !fidelity.vector<[8 : index, 32 : index], 64 : index, f32, "Hidden", "m/s">, !fidelity.state<[8 : index], 64 : index, f32, "Hidden", "m/s">
}
// -----
// check: reject operand `forget` has unit "kg", `mlgru.scan` takes a pure number there; divide by a number of that unit first (`fidelity.divide_units`), or scale it away (`fidelity.scale`)
func.func @f(%state: !fidelity.state<[8 : index], 64 : index, f32, "Hidden", "m/s">, %forget: !fidelity.vector<[8 : index, 32 : index], 64 : index, f32, "Hidden", "kg">, %candidate: !fidelity.vector<[8 : index, 32 : index], 64 : index, f32, "Hidden", "m/s">, %gate: !fidelity.vector<[8 : index, 32 : index], 64 : index, f32, "Hidden", "">) -> (!fidelity.vector<[8 : index, 32 : index], 64 : index, f32, "Hidden", "m/s">, !fidelity.state<[8 : index], 64 : index, f32, "Hidden", "m/s">) {
  %outputs, %last = "fidelity.mlgru_scan"(%state, %forget, %candidate, %gate)
    : (!fidelity.state<[8 : index], 64 : index, f32, "Hidden", "m/s">, !fidelity.vector<[8 : index, 32 : index], 64 : index, f32, "Hidden", "kg">, !fidelity.vector<[8 : index, 32 : index], 64 : index, f32, "Hidden", "m/s">, !fidelity.vector<[8 : index, 32 : index], 64 : index, f32, "Hidden", "">)
    -> (!fidelity.vector<[8 : index, 32 : index], 64 : index, f32, "Hidden", "m/s">, !fidelity.state<[8 : index], 64 : index, f32, "Hidden", "m/s">)
  return %outputs, %last : !fidelity.vector<[8 : index, 32 : index], 64 : index, f32, "Hidden", "m/s">, !fidelity.state<[8 : index], 64 : index, f32, "Hidden", "m/s">
}
// -----
// check: reject result `last` has size `len` 100, expected 64 as the size `len` of `state`; compare the shapes of the parameters with the model's configuration
func.func @f(%state: !fidelity.state<[8 : index], 64 : index, f32, "Hidden", "m/s">, %forget: !fidelity.vector<[8 : index, 32 : index], 64 : index, f32, "Hidden", "">, %candidate: !fidelity.vector<[8 : index, 32 : index], 64 : index, f32, "Hidden", "m/s">, %gate: !fidelity.vector<[8 : index, 32 : index], 64 : index, f32, "Hidden", "">) -> (!fidelity.vector<[8 : index, 32 : index], 64 : index, f32, "Hidden", "m/s">, !fidelity.state<[8 : index], 100 : index, f32, "Hidden", "m/s">) {
  %outputs, %last = "fidelity.mlgru_scan"(%state, %forget, %candidate, %gate)
    : (!fidelity.state<[8 : index], 64 : index, f32, "Hidden", "m/s">, !fidelity.vector<[8 : index, 32 : index], 64 : index, f32, "Hidden", "">, !fidelity.vector<[8 : index, 32 : index], 64 : index, f32, "Hidden", "m/s">, !fidelity.vector<[8 : index, 32 : index], 64 : index, f32, "Hidden", "">)
    -> (!fidelity.vector<[8 : index, 32 : index], 64 : index, f32, "Hidden", "m/s">, !fidelity.state<[8 : index], 100 : index, f32, "Hidden", "m/s">)
  return %outputs, %last : !fidelity.vector<[8 : index, 32 : index], 64 : index, f32, "Hidden", "m/s">, !fidelity.state<[8 : index], 100 : index, f32, "Hidden", "m/s">
}
// -----
// check: reject result `last` has element type f64, expected f32 as the element type of `state`; `fidelity.convert` changes the element type
func.func @f(%state: !fidelity.state<[8 : index], 64 : index, f32, "Hidden", "m/s">, %forget: !fidelity.vector<[8 : index, 32 : index], 64 : index, f32, "Hidden", "">, %candidate: !fidelity.vector<[8 : index, 32 : index], 64 : index, f32, "Hidden", "m/s">, %gate: !fidelity.vector<[8 : index, 32 : index], 64 : index, f32, "Hidden", "">) -> (!fidelity.vector<[8 : index, 32 : index], 64 : index, f32, "Hidden", "m/s">, !fidelity.state<[8 : index], 64 : index, f64, "Hidden", "m/s">) {
  %outputs, %last = "fidelity.mlgru_scan"(%state, %forget, %candidate, %gate)
    : (!fidelity.state<[8 : index], 64 : index, f32, "Hidden", "m/s">, !fidelity.vector<[8 : index, 32 : index], 64 : index, f32, "Hidden", "">, !fidelity.vector<[8 : index, 32 : index], 64 : index, f32, "Hidden", "m/s">, !fidelity.vector<[8 : index, 32 : index], 64 : index, f32, "Hidden", "">)
    -> (!fidelity.vector<[8 : index, 32 : index], 64 : index, f32, "Hidden", "m/s">, !fidelity.state<[8 : index], 64 : index, f64, "Hidden", "m/s">)
  return %outputs, %last : !fidelity.vector<[8 : index, 32 : index], 64 : index, f32, "Hidden", "m/s">, !fidelity.state<[8 : index], 64 : index, f64, "Hidden", "m/s">
}
// -----
// check: reject `mlgru.scan` has 4 operands, found 3; they are (state, forget, candidate, gate)
func.func @f(%state: !fidelity.state<[8 : index], 64 : index, f32, "Hidden", "m/s">, %forget: !fidelity.vector<[8 : index, 32 : index], 64 : index, f32, "Hidden", "">, %candidate: !fidelity.vector<[8 : index, 32 : index], 64 : index, f32, "Hidden", "m/s">) -> (!fidelity.vector<[8 : index, 32 : index], 64 : index, f32, "Hidden", "m/s">, !fidelity.state<[8 : index], 64 : index, f32, "Hidden", "m/s">) {
  %outputs, %last = "fidelity.mlgru_scan"(%state, %forget, %candidate)
    : (!fidelity.state<[8 : index], 64 : index, f32, "Hidden", "m/s">, !fidelity.vector<[8 : index, 32 : index], 64 : index, f32, "Hidden", "">, !fidelity.vector<[8 : index, 32 : index], 64 : index, f32, "Hidden", "m/s">)
    -> (!fidelity.vector<[8 : index, 32 : index], 64 : index, f32, "Hidden", "m/s">, !fidelity.state<[8 : index], 64 : index, f32, "Hidden", "m/s">)
  return %outputs, %last : !fidelity.vector<[8 : index, 32 : index], 64 : index, f32, "Hidden", "m/s">, !fidelity.state<[8 : index], 64 : index, f32, "Hidden", "m/s">
}
// -----
// check: accept
func.func @f(%state: tensor<?x?xf32>, %forget: tensor<?x?xf32>, %candidate: tensor<?x?xf32>, %gate: tensor<?x?xf32>) -> (tensor<?x?xf32>, tensor<?x?xf32>) {
  %outputs, %last = "fidelity.mlgru_scan"(%state, %forget, %candidate, %gate)
    : (tensor<?x?xf32>, tensor<?x?xf32>, tensor<?x?xf32>, tensor<?x?xf32>)
    -> (tensor<?x?xf32>, tensor<?x?xf32>)
  return %outputs, %last : tensor<?x?xf32>, tensor<?x?xf32>
}
// -----
// check: reject here result `outputs` has leading sizes [65], expected [64] as the leading sizes of `forget`; operands of one operation have the same leading sizes
func.func @f(%state: tensor<?x?xf32>, %forget: tensor<64x?xf32>, %candidate: tensor<?x?xf32>, %gate: tensor<?x?xf32>) -> (tensor<65x?xf32>, tensor<?x?xf32>) {
  %outputs, %last = "fidelity.mlgru_scan"(%state, %forget, %candidate, %gate)
    : (tensor<?x?xf32>, tensor<64x?xf32>, tensor<?x?xf32>, tensor<?x?xf32>)
    -> (tensor<65x?xf32>, tensor<?x?xf32>)
  return %outputs, %last : tensor<65x?xf32>, tensor<?x?xf32>
}
// -----
// check: accept
func.func @f(%state: !fidelity.matrix_state<[8 : index], 256 : index, 48 : index, f32, "Key", "Value", "m/s">, %normalizer: !fidelity.state<[8 : index], 256 : index, f32, "Key", "">, %key: !fidelity.vector<[8 : index], 256 : index, f32, "Key", "">, %value: !fidelity.vector<[8 : index], 48 : index, f32, "Value", "m/s">) -> (!fidelity.matrix_state<[8 : index], 256 : index, 48 : index, f32, "Key", "Value", "m/s">, !fidelity.state<[8 : index], 256 : index, f32, "Key", "">) {
  %next, %next_normalizer = "fidelity.linear_attention_state_update"(%state, %normalizer, %key, %value)
    : (!fidelity.matrix_state<[8 : index], 256 : index, 48 : index, f32, "Key", "Value", "m/s">, !fidelity.state<[8 : index], 256 : index, f32, "Key", "">, !fidelity.vector<[8 : index], 256 : index, f32, "Key", "">, !fidelity.vector<[8 : index], 48 : index, f32, "Value", "m/s">)
    -> (!fidelity.matrix_state<[8 : index], 256 : index, 48 : index, f32, "Key", "Value", "m/s">, !fidelity.state<[8 : index], 256 : index, f32, "Key", "">)
  return %next, %next_normalizer : !fidelity.matrix_state<[8 : index], 256 : index, 48 : index, f32, "Key", "Value", "m/s">, !fidelity.state<[8 : index], 256 : index, f32, "Key", "">
}
// -----
// check: accept
func.func @f(%state: !fidelity.matrix_state<[8 : index], 256 : index, 48 : index, f32, "Key", "Value", "m/s">, %normalizer: !fidelity.state<[8 : index], 256 : index, f32, "Key", "">, %key: !fidelity.vector<[8 : index], 256 : index, f32, "Key", "">, %value: !fidelity.vector<[8 : index], 48 : index, f32, "Value", "m/s">, %decay: !fidelity.scalar<[8 : index], f32, "">) -> (!fidelity.matrix_state<[8 : index], 256 : index, 48 : index, f32, "Key", "Value", "m/s">, !fidelity.state<[8 : index], 256 : index, f32, "Key", "">) {
  %next, %next_normalizer = "fidelity.linear_attention_state_update"(%state, %normalizer, %key, %value, %decay)
    : (!fidelity.matrix_state<[8 : index], 256 : index, 48 : index, f32, "Key", "Value", "m/s">, !fidelity.state<[8 : index], 256 : index, f32, "Key", "">, !fidelity.vector<[8 : index], 256 : index, f32, "Key", "">, !fidelity.vector<[8 : index], 48 : index, f32, "Value", "m/s">, !fidelity.scalar<[8 : index], f32, "">)
    -> (!fidelity.matrix_state<[8 : index], 256 : index, 48 : index, f32, "Key", "Value", "m/s">, !fidelity.state<[8 : index], 256 : index, f32, "Key", "">)
  return %next, %next_normalizer : !fidelity.matrix_state<[8 : index], 256 : index, 48 : index, f32, "Key", "Value", "m/s">, !fidelity.state<[8 : index], 256 : index, f32, "Key", "">
}
// -----
// check: reject operand `normalizer` has unit "kg", `linear_attention.state_update` takes a pure number there; divide by a number of that unit first (`fidelity.divide_units`), or scale it away (`fidelity.scale`)
func.func @f(%state: !fidelity.matrix_state<[8 : index], 256 : index, 48 : index, f32, "Key", "Value", "m/s">, %normalizer: !fidelity.state<[8 : index], 256 : index, f32, "Key", "kg">, %key: !fidelity.vector<[8 : index], 256 : index, f32, "Key", "">, %value: !fidelity.vector<[8 : index], 48 : index, f32, "Value", "m/s">) -> (!fidelity.matrix_state<[8 : index], 256 : index, 48 : index, f32, "Key", "Value", "m/s">, !fidelity.state<[8 : index], 256 : index, f32, "Key", "">) {
  %next, %next_normalizer = "fidelity.linear_attention_state_update"(%state, %normalizer, %key, %value)
    : (!fidelity.matrix_state<[8 : index], 256 : index, 48 : index, f32, "Key", "Value", "m/s">, !fidelity.state<[8 : index], 256 : index, f32, "Key", "kg">, !fidelity.vector<[8 : index], 256 : index, f32, "Key", "">, !fidelity.vector<[8 : index], 48 : index, f32, "Value", "m/s">)
    -> (!fidelity.matrix_state<[8 : index], 256 : index, 48 : index, f32, "Key", "Value", "m/s">, !fidelity.state<[8 : index], 256 : index, f32, "Key", "">)
  return %next, %next_normalizer : !fidelity.matrix_state<[8 : index], 256 : index, 48 : index, f32, "Key", "Value", "m/s">, !fidelity.state<[8 : index], 256 : index, f32, "Key", "">
}
// -----
// check: reject result `next` has unit "kg", expected "m/s" as the unit of `state`; `fidelity.scale` turns one unit into another, `fidelity.multiply_units` declares a product
func.func @f(%state: !fidelity.matrix_state<[8 : index], 256 : index, 48 : index, f32, "Key", "Value", "m/s">, %normalizer: !fidelity.state<[8 : index], 256 : index, f32, "Key", "">, %key: !fidelity.vector<[8 : index], 256 : index, f32, "Key", "">, %value: !fidelity.vector<[8 : index], 48 : index, f32, "Value", "m/s">) -> (!fidelity.matrix_state<[8 : index], 256 : index, 48 : index, f32, "Key", "Value", "kg">, !fidelity.state<[8 : index], 256 : index, f32, "Key", "">) {
  %next, %next_normalizer = "fidelity.linear_attention_state_update"(%state, %normalizer, %key, %value)
    : (!fidelity.matrix_state<[8 : index], 256 : index, 48 : index, f32, "Key", "Value", "m/s">, !fidelity.state<[8 : index], 256 : index, f32, "Key", "">, !fidelity.vector<[8 : index], 256 : index, f32, "Key", "">, !fidelity.vector<[8 : index], 48 : index, f32, "Value", "m/s">)
    -> (!fidelity.matrix_state<[8 : index], 256 : index, 48 : index, f32, "Key", "Value", "kg">, !fidelity.state<[8 : index], 256 : index, f32, "Key", "">)
  return %next, %next_normalizer : !fidelity.matrix_state<[8 : index], 256 : index, 48 : index, f32, "Key", "Value", "kg">, !fidelity.state<[8 : index], 256 : index, f32, "Key", "">
}
// -----
// check: reject result `next_normalizer` has axis "Swapped", expected "Key" as the axis `row_axis` of `state`; are two operands swapped? `fidelity.rename_axis` says that two axes are one
func.func @f(%state: !fidelity.matrix_state<[8 : index], 256 : index, 48 : index, f32, "Key", "Value", "m/s">, %normalizer: !fidelity.state<[8 : index], 256 : index, f32, "Key", "">, %key: !fidelity.vector<[8 : index], 256 : index, f32, "Key", "">, %value: !fidelity.vector<[8 : index], 48 : index, f32, "Value", "m/s">) -> (!fidelity.matrix_state<[8 : index], 256 : index, 48 : index, f32, "Key", "Value", "m/s">, !fidelity.state<[8 : index], 256 : index, f32, "Swapped", "">) {
  %next, %next_normalizer = "fidelity.linear_attention_state_update"(%state, %normalizer, %key, %value)
    : (!fidelity.matrix_state<[8 : index], 256 : index, 48 : index, f32, "Key", "Value", "m/s">, !fidelity.state<[8 : index], 256 : index, f32, "Key", "">, !fidelity.vector<[8 : index], 256 : index, f32, "Key", "">, !fidelity.vector<[8 : index], 48 : index, f32, "Value", "m/s">)
    -> (!fidelity.matrix_state<[8 : index], 256 : index, 48 : index, f32, "Key", "Value", "m/s">, !fidelity.state<[8 : index], 256 : index, f32, "Swapped", "">)
  return %next, %next_normalizer : !fidelity.matrix_state<[8 : index], 256 : index, 48 : index, f32, "Key", "Value", "m/s">, !fidelity.state<[8 : index], 256 : index, f32, "Swapped", "">
}
// -----
// check: reject `linear_attention.state_update` has 4 to 5 operands, found 3; they are (state, normalizer, key, value, optional decay)
func.func @f(%state: !fidelity.matrix_state<[8 : index], 256 : index, 48 : index, f32, "Key", "Value", "m/s">, %normalizer: !fidelity.state<[8 : index], 256 : index, f32, "Key", "">, %key: !fidelity.vector<[8 : index], 256 : index, f32, "Key", "">) -> (!fidelity.matrix_state<[8 : index], 256 : index, 48 : index, f32, "Key", "Value", "m/s">, !fidelity.state<[8 : index], 256 : index, f32, "Key", "">) {
  %next, %next_normalizer = "fidelity.linear_attention_state_update"(%state, %normalizer, %key)
    : (!fidelity.matrix_state<[8 : index], 256 : index, 48 : index, f32, "Key", "Value", "m/s">, !fidelity.state<[8 : index], 256 : index, f32, "Key", "">, !fidelity.vector<[8 : index], 256 : index, f32, "Key", "">)
    -> (!fidelity.matrix_state<[8 : index], 256 : index, 48 : index, f32, "Key", "Value", "m/s">, !fidelity.state<[8 : index], 256 : index, f32, "Key", "">)
  return %next, %next_normalizer : !fidelity.matrix_state<[8 : index], 256 : index, 48 : index, f32, "Key", "Value", "m/s">, !fidelity.state<[8 : index], 256 : index, f32, "Key", "">
}
// -----
// check: accept
func.func @f(%state: tensor<?x?x?xf32>, %normalizer: tensor<?x?xf32>, %key: tensor<?x?xf32>, %value: tensor<?x?xf32>) -> (tensor<?x?x?xf32>, tensor<?x?xf32>) {
  %next, %next_normalizer = "fidelity.linear_attention_state_update"(%state, %normalizer, %key, %value)
    : (tensor<?x?x?xf32>, tensor<?x?xf32>, tensor<?x?xf32>, tensor<?x?xf32>)
    -> (tensor<?x?x?xf32>, tensor<?x?xf32>)
  return %next, %next_normalizer : tensor<?x?x?xf32>, tensor<?x?xf32>
}
// -----
// check: reject here result `next` has axis-2 size 65, expected 64 as the axis-2 size of `state`; compare the shapes of the parameters with the model's configuration
func.func @f(%state: tensor<?x?x64xf32>, %normalizer: tensor<?x?xf32>, %key: tensor<?x?xf32>, %value: tensor<?x?xf32>) -> (tensor<?x?x65xf32>, tensor<?x?xf32>) {
  %next, %next_normalizer = "fidelity.linear_attention_state_update"(%state, %normalizer, %key, %value)
    : (tensor<?x?x64xf32>, tensor<?x?xf32>, tensor<?x?xf32>, tensor<?x?xf32>)
    -> (tensor<?x?x65xf32>, tensor<?x?xf32>)
  return %next, %next_normalizer : tensor<?x?x65xf32>, tensor<?x?xf32>
}
// -----
// check: accept
func.func @f(%state: !fidelity.matrix_state<[8 : index], 256 : index, 48 : index, f32, "Key", "Value", "m/s">, %normalizer: !fidelity.state<[8 : index], 256 : index, f32, "Key", "">, %query: !fidelity.vector<[8 : index], 256 : index, f32, "Key", "">) -> (!fidelity.vector<[8 : index], 48 : index, f32, "Value", "m/s">) {
  %y = "fidelity.linear_attention_output"(%state, %normalizer, %query) {eps = 1.0e-6 : f32}
    : (!fidelity.matrix_state<[8 : index], 256 : index, 48 : index, f32, "Key", "Value", "m/s">, !fidelity.state<[8 : index], 256 : index, f32, "Key", "">, !fidelity.vector<[8 : index], 256 : index, f32, "Key", "">)
    -> (!fidelity.vector<[8 : index], 48 : index, f32, "Value", "m/s">)
  return %y : !fidelity.vector<[8 : index], 48 : index, f32, "Value", "m/s">
}
// -----
// check: reject operand `normalizer` has unit "kg", `linear_attention.output` takes a pure number there; divide by a number of that unit first (`fidelity.divide_units`), or scale it away (`fidelity.scale`)
func.func @f(%state: !fidelity.matrix_state<[8 : index], 256 : index, 48 : index, f32, "Key", "Value", "m/s">, %normalizer: !fidelity.state<[8 : index], 256 : index, f32, "Key", "kg">, %query: !fidelity.vector<[8 : index], 256 : index, f32, "Key", "">) -> (!fidelity.vector<[8 : index], 48 : index, f32, "Value", "m/s">) {
  %y = "fidelity.linear_attention_output"(%state, %normalizer, %query) {eps = 1.0e-6 : f32}
    : (!fidelity.matrix_state<[8 : index], 256 : index, 48 : index, f32, "Key", "Value", "m/s">, !fidelity.state<[8 : index], 256 : index, f32, "Key", "kg">, !fidelity.vector<[8 : index], 256 : index, f32, "Key", "">)
    -> (!fidelity.vector<[8 : index], 48 : index, f32, "Value", "m/s">)
  return %y : !fidelity.vector<[8 : index], 48 : index, f32, "Value", "m/s">
}
// -----
// check: reject operand `query` has size `len` 100, expected 256 as the size `rows` of `state`; compare the shapes of the parameters with the model's configuration
func.func @f(%state: !fidelity.matrix_state<[8 : index], 256 : index, 48 : index, f32, "Key", "Value", "m/s">, %normalizer: !fidelity.state<[8 : index], 256 : index, f32, "Key", "">, %query: !fidelity.vector<[8 : index], 100 : index, f32, "Key", "">) -> (!fidelity.vector<[8 : index], 48 : index, f32, "Value", "m/s">) {
  %y = "fidelity.linear_attention_output"(%state, %normalizer, %query) {eps = 1.0e-6 : f32}
    : (!fidelity.matrix_state<[8 : index], 256 : index, 48 : index, f32, "Key", "Value", "m/s">, !fidelity.state<[8 : index], 256 : index, f32, "Key", "">, !fidelity.vector<[8 : index], 100 : index, f32, "Key", "">)
    -> (!fidelity.vector<[8 : index], 48 : index, f32, "Value", "m/s">)
  return %y : !fidelity.vector<[8 : index], 48 : index, f32, "Value", "m/s">
}
// -----
// check: reject result `y` has element type f64, expected f32 as the element type of `state`; `fidelity.convert` changes the element type
func.func @f(%state: !fidelity.matrix_state<[8 : index], 256 : index, 48 : index, f32, "Key", "Value", "m/s">, %normalizer: !fidelity.state<[8 : index], 256 : index, f32, "Key", "">, %query: !fidelity.vector<[8 : index], 256 : index, f32, "Key", "">) -> (!fidelity.vector<[8 : index], 48 : index, f64, "Value", "m/s">) {
  %y = "fidelity.linear_attention_output"(%state, %normalizer, %query) {eps = 1.0e-6 : f32}
    : (!fidelity.matrix_state<[8 : index], 256 : index, 48 : index, f32, "Key", "Value", "m/s">, !fidelity.state<[8 : index], 256 : index, f32, "Key", "">, !fidelity.vector<[8 : index], 256 : index, f32, "Key", "">)
    -> (!fidelity.vector<[8 : index], 48 : index, f64, "Value", "m/s">)
  return %y : !fidelity.vector<[8 : index], 48 : index, f64, "Value", "m/s">
}
// -----
// check: reject attribute `eps` is missing; add {eps = 1.0e-6 : f32}
func.func @f(%state: !fidelity.matrix_state<[8 : index], 256 : index, 48 : index, f32, "Key", "Value", "m/s">, %normalizer: !fidelity.state<[8 : index], 256 : index, f32, "Key", "">, %query: !fidelity.vector<[8 : index], 256 : index, f32, "Key", "">) -> (!fidelity.vector<[8 : index], 48 : index, f32, "Value", "m/s">) {
  %y = "fidelity.linear_attention_output"(%state, %normalizer, %query)
    : (!fidelity.matrix_state<[8 : index], 256 : index, 48 : index, f32, "Key", "Value", "m/s">, !fidelity.state<[8 : index], 256 : index, f32, "Key", "">, !fidelity.vector<[8 : index], 256 : index, f32, "Key", "">)
    -> (!fidelity.vector<[8 : index], 48 : index, f32, "Value", "m/s">)
  return %y : !fidelity.vector<[8 : index], 48 : index, f32, "Value", "m/s">
}
// -----
// check: reject `linear_attention.output` has 3 operands, found 2; they are (state, normalizer, query)
func.func @f(%state: !fidelity.matrix_state<[8 : index], 256 : index, 48 : index, f32, "Key", "Value", "m/s">, %normalizer: !fidelity.state<[8 : index], 256 : index, f32, "Key", "">) -> (!fidelity.vector<[8 : index], 48 : index, f32, "Value", "m/s">) {
  %y = "fidelity.linear_attention_output"(%state, %normalizer) {eps = 1.0e-6 : f32}
    : (!fidelity.matrix_state<[8 : index], 256 : index, 48 : index, f32, "Key", "Value", "m/s">, !fidelity.state<[8 : index], 256 : index, f32, "Key", "">)
    -> (!fidelity.vector<[8 : index], 48 : index, f32, "Value", "m/s">)
  return %y : !fidelity.vector<[8 : index], 48 : index, f32, "Value", "m/s">
}
// -----
// check: accept
func.func @f(%state: tensor<?x?x?xf32>, %normalizer: tensor<?x?xf32>, %query: tensor<?x?xf32>) -> (tensor<?x?xf32>) {
  %y = "fidelity.linear_attention_output"(%state, %normalizer, %query) {eps = 1.0e-6 : f32}
    : (tensor<?x?x?xf32>, tensor<?x?xf32>, tensor<?x?xf32>)
    -> (tensor<?x?xf32>)
  return %y : tensor<?x?xf32>
}
// -----
// check: reject here result `y` has axis-1 size 65, expected 64 as the axis-2 size of `state`; compare the shapes of the parameters with the model's configuration
func.func @f(%state: tensor<?x?x64xf32>, %normalizer: tensor<?x?xf32>, %query: tensor<?x?xf32>) -> (tensor<?x65xf32>) {
  %y = "fidelity.linear_attention_output"(%state, %normalizer, %query) {eps = 1.0e-6 : f32}
    : (tensor<?x?x64xf32>, tensor<?x?xf32>, tensor<?x?xf32>)
    -> (tensor<?x65xf32>)
  return %y : tensor<?x65xf32>
}
// -----
// check: accept
func.func @f(%state: !fidelity.matrix_state<[8 : index], 256 : index, 48 : index, f32, "Key", "Value", "m/s">, %normalizer: !fidelity.state<[8 : index], 256 : index, f32, "Key", "">, %query: !fidelity.vector<[8 : index, 32 : index], 256 : index, f32, "Key", "">, %key: !fidelity.vector<[8 : index, 32 : index], 256 : index, f32, "Key", "">, %value: !fidelity.vector<[8 : index, 32 : index], 48 : index, f32, "Value", "m/s">) -> (!fidelity.vector<[8 : index, 32 : index], 48 : index, f32, "Value", "m/s">, !fidelity.matrix_state<[8 : index], 256 : index, 48 : index, f32, "Key", "Value", "m/s">, !fidelity.state<[8 : index], 256 : index, f32, "Key", "">) {
  %outputs, %last, %last_normalizer = "fidelity.linear_attention_scan"(%state, %normalizer, %query, %key, %value) {eps = 1.0e-6 : f32}
    : (!fidelity.matrix_state<[8 : index], 256 : index, 48 : index, f32, "Key", "Value", "m/s">, !fidelity.state<[8 : index], 256 : index, f32, "Key", "">, !fidelity.vector<[8 : index, 32 : index], 256 : index, f32, "Key", "">, !fidelity.vector<[8 : index, 32 : index], 256 : index, f32, "Key", "">, !fidelity.vector<[8 : index, 32 : index], 48 : index, f32, "Value", "m/s">)
    -> (!fidelity.vector<[8 : index, 32 : index], 48 : index, f32, "Value", "m/s">, !fidelity.matrix_state<[8 : index], 256 : index, 48 : index, f32, "Key", "Value", "m/s">, !fidelity.state<[8 : index], 256 : index, f32, "Key", "">)
  return %outputs, %last, %last_normalizer : !fidelity.vector<[8 : index, 32 : index], 48 : index, f32, "Value", "m/s">, !fidelity.matrix_state<[8 : index], 256 : index, 48 : index, f32, "Key", "Value", "m/s">, !fidelity.state<[8 : index], 256 : index, f32, "Key", "">
}
// -----
// check: reject operand `normalizer` has unit "kg", `linear_attention.scan` takes a pure number there; divide by a number of that unit first (`fidelity.divide_units`), or scale it away (`fidelity.scale`)
func.func @f(%state: !fidelity.matrix_state<[8 : index], 256 : index, 48 : index, f32, "Key", "Value", "m/s">, %normalizer: !fidelity.state<[8 : index], 256 : index, f32, "Key", "kg">, %query: !fidelity.vector<[8 : index, 32 : index], 256 : index, f32, "Key", "">, %key: !fidelity.vector<[8 : index, 32 : index], 256 : index, f32, "Key", "">, %value: !fidelity.vector<[8 : index, 32 : index], 48 : index, f32, "Value", "m/s">) -> (!fidelity.vector<[8 : index, 32 : index], 48 : index, f32, "Value", "m/s">, !fidelity.matrix_state<[8 : index], 256 : index, 48 : index, f32, "Key", "Value", "m/s">, !fidelity.state<[8 : index], 256 : index, f32, "Key", "">) {
  %outputs, %last, %last_normalizer = "fidelity.linear_attention_scan"(%state, %normalizer, %query, %key, %value) {eps = 1.0e-6 : f32}
    : (!fidelity.matrix_state<[8 : index], 256 : index, 48 : index, f32, "Key", "Value", "m/s">, !fidelity.state<[8 : index], 256 : index, f32, "Key", "kg">, !fidelity.vector<[8 : index, 32 : index], 256 : index, f32, "Key", "">, !fidelity.vector<[8 : index, 32 : index], 256 : index, f32, "Key", "">, !fidelity.vector<[8 : index, 32 : index], 48 : index, f32, "Value", "m/s">)
    -> (!fidelity.vector<[8 : index, 32 : index], 48 : index, f32, "Value", "m/s">, !fidelity.matrix_state<[8 : index], 256 : index, 48 : index, f32, "Key", "Value", "m/s">, !fidelity.state<[8 : index], 256 : index, f32, "Key", "">)
  return %outputs, %last, %last_normalizer : !fidelity.vector<[8 : index, 32 : index], 48 : index, f32, "Value", "m/s">, !fidelity.matrix_state<[8 : index], 256 : index, 48 : index, f32, "Key", "Value", "m/s">, !fidelity.state<[8 : index], 256 : index, f32, "Key", "">
}
// -----
// check: reject result `last` has unit "kg", expected "m/s" as the unit of `state`; `fidelity.scale` turns one unit into another, `fidelity.multiply_units` declares a product
func.func @f(%state: !fidelity.matrix_state<[8 : index], 256 : index, 48 : index, f32, "Key", "Value", "m/s">, %normalizer: !fidelity.state<[8 : index], 256 : index, f32, "Key", "">, %query: !fidelity.vector<[8 : index, 32 : index], 256 : index, f32, "Key", "">, %key: !fidelity.vector<[8 : index, 32 : index], 256 : index, f32, "Key", "">, %value: !fidelity.vector<[8 : index, 32 : index], 48 : index, f32, "Value", "m/s">) -> (!fidelity.vector<[8 : index, 32 : index], 48 : index, f32, "Value", "m/s">, !fidelity.matrix_state<[8 : index], 256 : index, 48 : index, f32, "Key", "Value", "kg">, !fidelity.state<[8 : index], 256 : index, f32, "Key", "">) {
  %outputs, %last, %last_normalizer = "fidelity.linear_attention_scan"(%state, %normalizer, %query, %key, %value) {eps = 1.0e-6 : f32}
    : (!fidelity.matrix_state<[8 : index], 256 : index, 48 : index, f32, "Key", "Value", "m/s">, !fidelity.state<[8 : index], 256 : index, f32, "Key", "">, !fidelity.vector<[8 : index, 32 : index], 256 : index, f32, "Key", "">, !fidelity.vector<[8 : index, 32 : index], 256 : index, f32, "Key", "">, !fidelity.vector<[8 : index, 32 : index], 48 : index, f32, "Value", "m/s">)
    -> (!fidelity.vector<[8 : index, 32 : index], 48 : index, f32, "Value", "m/s">, !fidelity.matrix_state<[8 : index], 256 : index, 48 : index, f32, "Key", "Value", "kg">, !fidelity.state<[8 : index], 256 : index, f32, "Key", "">)
  return %outputs, %last, %last_normalizer : !fidelity.vector<[8 : index, 32 : index], 48 : index, f32, "Value", "m/s">, !fidelity.matrix_state<[8 : index], 256 : index, 48 : index, f32, "Key", "Value", "kg">, !fidelity.state<[8 : index], 256 : index, f32, "Key", "">
}
// -----
// check: reject result `last_normalizer` has axis "Swapped", expected "Key" as the axis `row_axis` of `state`; are two operands swapped? `fidelity.rename_axis` says that two axes are one
func.func @f(%state: !fidelity.matrix_state<[8 : index], 256 : index, 48 : index, f32, "Key", "Value", "m/s">, %normalizer: !fidelity.state<[8 : index], 256 : index, f32, "Key", "">, %query: !fidelity.vector<[8 : index, 32 : index], 256 : index, f32, "Key", "">, %key: !fidelity.vector<[8 : index, 32 : index], 256 : index, f32, "Key", "">, %value: !fidelity.vector<[8 : index, 32 : index], 48 : index, f32, "Value", "m/s">) -> (!fidelity.vector<[8 : index, 32 : index], 48 : index, f32, "Value", "m/s">, !fidelity.matrix_state<[8 : index], 256 : index, 48 : index, f32, "Key", "Value", "m/s">, !fidelity.state<[8 : index], 256 : index, f32, "Swapped", "">) {
  %outputs, %last, %last_normalizer = "fidelity.linear_attention_scan"(%state, %normalizer, %query, %key, %value) {eps = 1.0e-6 : f32}
    : (!fidelity.matrix_state<[8 : index], 256 : index, 48 : index, f32, "Key", "Value", "m/s">, !fidelity.state<[8 : index], 256 : index, f32, "Key", "">, !fidelity.vector<[8 : index, 32 : index], 256 : index, f32, "Key", "">, !fidelity.vector<[8 : index, 32 : index], 256 : index, f32, "Key", "">, !fidelity.vector<[8 : index, 32 : index], 48 : index, f32, "Value", "m/s">)
    -> (!fidelity.vector<[8 : index, 32 : index], 48 : index, f32, "Value", "m/s">, !fidelity.matrix_state<[8 : index], 256 : index, 48 : index, f32, "Key", "Value", "m/s">, !fidelity.state<[8 : index], 256 : index, f32, "Swapped", "">)
  return %outputs, %last, %last_normalizer : !fidelity.vector<[8 : index, 32 : index], 48 : index, f32, "Value", "m/s">, !fidelity.matrix_state<[8 : index], 256 : index, 48 : index, f32, "Key", "Value", "m/s">, !fidelity.state<[8 : index], 256 : index, f32, "Swapped", "">
}
// -----
// check: reject attribute `eps` is missing; add {eps = 1.0e-6 : f32}
func.func @f(%state: !fidelity.matrix_state<[8 : index], 256 : index, 48 : index, f32, "Key", "Value", "m/s">, %normalizer: !fidelity.state<[8 : index], 256 : index, f32, "Key", "">, %query: !fidelity.vector<[8 : index, 32 : index], 256 : index, f32, "Key", "">, %key: !fidelity.vector<[8 : index, 32 : index], 256 : index, f32, "Key", "">, %value: !fidelity.vector<[8 : index, 32 : index], 48 : index, f32, "Value", "m/s">) -> (!fidelity.vector<[8 : index, 32 : index], 48 : index, f32, "Value", "m/s">, !fidelity.matrix_state<[8 : index], 256 : index, 48 : index, f32, "Key", "Value", "m/s">, !fidelity.state<[8 : index], 256 : index, f32, "Key", "">) {
  %outputs, %last, %last_normalizer = "fidelity.linear_attention_scan"(%state, %normalizer, %query, %key, %value)
    : (!fidelity.matrix_state<[8 : index], 256 : index, 48 : index, f32, "Key", "Value", "m/s">, !fidelity.state<[8 : index], 256 : index, f32, "Key", "">, !fidelity.vector<[8 : index, 32 : index], 256 : index, f32, "Key", "">, !fidelity.vector<[8 : index, 32 : index], 256 : index, f32, "Key", "">, !fidelity.vector<[8 : index, 32 : index], 48 : index, f32, "Value", "m/s">)
    -> (!fidelity.vector<[8 : index, 32 : index], 48 : index, f32, "Value", "m/s">, !fidelity.matrix_state<[8 : index], 256 : index, 48 : index, f32, "Key", "Value", "m/s">, !fidelity.state<[8 : index], 256 : index, f32, "Key", "">)
  return %outputs, %last, %last_normalizer : !fidelity.vector<[8 : index, 32 : index], 48 : index, f32, "Value", "m/s">, !fidelity.matrix_state<[8 : index], 256 : index, 48 : index, f32, "Key", "Value", "m/s">, !fidelity.state<[8 : index], 256 : index, f32, "Key", "">
}
// -----
// check: reject `linear_attention.scan` has 5 operands, found 4; they are (state, normalizer, query, key, value)
func.func @f(%state: !fidelity.matrix_state<[8 : index], 256 : index, 48 : index, f32, "Key", "Value", "m/s">, %normalizer: !fidelity.state<[8 : index], 256 : index, f32, "Key", "">, %query: !fidelity.vector<[8 : index, 32 : index], 256 : index, f32, "Key", "">, %key: !fidelity.vector<[8 : index, 32 : index], 256 : index, f32, "Key", "">) -> (!fidelity.vector<[8 : index, 32 : index], 48 : index, f32, "Value", "m/s">, !fidelity.matrix_state<[8 : index], 256 : index, 48 : index, f32, "Key", "Value", "m/s">, !fidelity.state<[8 : index], 256 : index, f32, "Key", "">) {
  %outputs, %last, %last_normalizer = "fidelity.linear_attention_scan"(%state, %normalizer, %query, %key) {eps = 1.0e-6 : f32}
    : (!fidelity.matrix_state<[8 : index], 256 : index, 48 : index, f32, "Key", "Value", "m/s">, !fidelity.state<[8 : index], 256 : index, f32, "Key", "">, !fidelity.vector<[8 : index, 32 : index], 256 : index, f32, "Key", "">, !fidelity.vector<[8 : index, 32 : index], 256 : index, f32, "Key", "">)
    -> (!fidelity.vector<[8 : index, 32 : index], 48 : index, f32, "Value", "m/s">, !fidelity.matrix_state<[8 : index], 256 : index, 48 : index, f32, "Key", "Value", "m/s">, !fidelity.state<[8 : index], 256 : index, f32, "Key", "">)
  return %outputs, %last, %last_normalizer : !fidelity.vector<[8 : index, 32 : index], 48 : index, f32, "Value", "m/s">, !fidelity.matrix_state<[8 : index], 256 : index, 48 : index, f32, "Key", "Value", "m/s">, !fidelity.state<[8 : index], 256 : index, f32, "Key", "">
}
// -----
// check: accept
func.func @f(%history: !fidelity.matrix_state<[8 : index], 256 : index, 64 : index, f32, "Tap", "Hidden", "m/s">, %x: !fidelity.vector<[8 : index, 32 : index], 64 : index, f32, "Hidden", "m/s">, %kernel: !fidelity.matrix<64 : index, 256 : index, f32, "Hidden", "Tap", "m/s", "m">) -> (!fidelity.vector<[8 : index, 32 : index], 64 : index, f32, "Hidden", "m">, !fidelity.matrix_state<[8 : index], 256 : index, 64 : index, f32, "Tap", "Hidden", "m/s">) {
  %y, %last = "fidelity.short_convolution"(%history, %x, %kernel)
    : (!fidelity.matrix_state<[8 : index], 256 : index, 64 : index, f32, "Tap", "Hidden", "m/s">, !fidelity.vector<[8 : index, 32 : index], 64 : index, f32, "Hidden", "m/s">, !fidelity.matrix<64 : index, 256 : index, f32, "Hidden", "Tap", "m/s", "m">)
    -> (!fidelity.vector<[8 : index, 32 : index], 64 : index, f32, "Hidden", "m">, !fidelity.matrix_state<[8 : index], 256 : index, 64 : index, f32, "Tap", "Hidden", "m/s">)
  return %y, %last : !fidelity.vector<[8 : index, 32 : index], 64 : index, f32, "Hidden", "m">, !fidelity.matrix_state<[8 : index], 256 : index, 64 : index, f32, "Tap", "Hidden", "m/s">
}
// -----
// check: reject result `last` has size `rows` 100, expected 256 as the size `rows` of `history`; compare the shapes of the parameters with the model's configuration
func.func @f(%history: !fidelity.matrix_state<[8 : index], 256 : index, 64 : index, f32, "Tap", "Hidden", "m/s">, %x: !fidelity.vector<[8 : index, 32 : index], 64 : index, f32, "Hidden", "m/s">, %kernel: !fidelity.matrix<64 : index, 256 : index, f32, "Hidden", "Tap", "m/s", "m">) -> (!fidelity.vector<[8 : index, 32 : index], 64 : index, f32, "Hidden", "m">, !fidelity.matrix_state<[8 : index], 100 : index, 64 : index, f32, "Tap", "Hidden", "m/s">) {
  %y, %last = "fidelity.short_convolution"(%history, %x, %kernel)
    : (!fidelity.matrix_state<[8 : index], 256 : index, 64 : index, f32, "Tap", "Hidden", "m/s">, !fidelity.vector<[8 : index, 32 : index], 64 : index, f32, "Hidden", "m/s">, !fidelity.matrix<64 : index, 256 : index, f32, "Hidden", "Tap", "m/s", "m">)
    -> (!fidelity.vector<[8 : index, 32 : index], 64 : index, f32, "Hidden", "m">, !fidelity.matrix_state<[8 : index], 100 : index, 64 : index, f32, "Tap", "Hidden", "m/s">)
  return %y, %last : !fidelity.vector<[8 : index, 32 : index], 64 : index, f32, "Hidden", "m">, !fidelity.matrix_state<[8 : index], 100 : index, 64 : index, f32, "Tap", "Hidden", "m/s">
}
// -----
// check: reject result `last` has element type f64, expected f32 as the element type of `history`; `fidelity.convert` changes the element type
func.func @f(%history: !fidelity.matrix_state<[8 : index], 256 : index, 64 : index, f32, "Tap", "Hidden", "m/s">, %x: !fidelity.vector<[8 : index, 32 : index], 64 : index, f32, "Hidden", "m/s">, %kernel: !fidelity.matrix<64 : index, 256 : index, f32, "Hidden", "Tap", "m/s", "m">) -> (!fidelity.vector<[8 : index, 32 : index], 64 : index, f32, "Hidden", "m">, !fidelity.matrix_state<[8 : index], 256 : index, 64 : index, f64, "Tap", "Hidden", "m/s">) {
  %y, %last = "fidelity.short_convolution"(%history, %x, %kernel)
    : (!fidelity.matrix_state<[8 : index], 256 : index, 64 : index, f32, "Tap", "Hidden", "m/s">, !fidelity.vector<[8 : index, 32 : index], 64 : index, f32, "Hidden", "m/s">, !fidelity.matrix<64 : index, 256 : index, f32, "Hidden", "Tap", "m/s", "m">)
    -> (!fidelity.vector<[8 : index, 32 : index], 64 : index, f32, "Hidden", "m">, !fidelity.matrix_state<[8 : index], 256 : index, 64 : index, f64, "Tap", "Hidden", "m/s">)
  return %y, %last : !fidelity.vector<[8 : index, 32 : index], 64 : index, f32, "Hidden", "m">, !fidelity.matrix_state<[8 : index], 256 : index, 64 : index, f64, "Tap", "Hidden", "m/s">
}
// -----
// check: reject `short_convolution` has 3 operands, found 2; they are (history, x, kernel)
func.func @f(%history: !fidelity.matrix_state<[8 : index], 256 : index, 64 : index, f32, "Tap", "Hidden", "m/s">, %x: !fidelity.vector<[8 : index, 32 : index], 64 : index, f32, "Hidden", "m/s">) -> (!fidelity.vector<[8 : index, 32 : index], 64 : index, f32, "Hidden", "m">, !fidelity.matrix_state<[8 : index], 256 : index, 64 : index, f32, "Tap", "Hidden", "m/s">) {
  %y, %last = "fidelity.short_convolution"(%history, %x)
    : (!fidelity.matrix_state<[8 : index], 256 : index, 64 : index, f32, "Tap", "Hidden", "m/s">, !fidelity.vector<[8 : index, 32 : index], 64 : index, f32, "Hidden", "m/s">)
    -> (!fidelity.vector<[8 : index, 32 : index], 64 : index, f32, "Hidden", "m">, !fidelity.matrix_state<[8 : index], 256 : index, 64 : index, f32, "Tap", "Hidden", "m/s">)
  return %y, %last : !fidelity.vector<[8 : index, 32 : index], 64 : index, f32, "Hidden", "m">, !fidelity.matrix_state<[8 : index], 256 : index, 64 : index, f32, "Tap", "Hidden", "m/s">
}
