// check: accept
// The ternary product of the article. `ternary_accumulate` gives its sum: tensors are values.
func.func @ternary(%input: tensor<?xf32>, %weights: tensor<?x?xi8>, %m_dim: index) -> tensor<?xf32> {
  %result = "fidelity.zero_vector"(%m_dim) : (index) -> tensor<?xf32>
  %sum = "fidelity.ternary_accumulate"(%input, %weights, %result) {
    matmul_free = true
  } : (tensor<?xf32>, tensor<?x?xi8>, tensor<?xf32>) -> tensor<?xf32>
  return %sum : tensor<?xf32>
}
// -----
// check: reject `ternary_accumulate` has 1 results, found 0
// As it stands in the article: a tensor cannot be written.
func.func @ternary(%input: tensor<?xf32>, %weights: tensor<?x?xi8>, %result: tensor<?xf32>) {
  "fidelity.ternary_accumulate"(%input, %weights, %result) {
    matmul_free = true
  } : (tensor<?xf32>, tensor<?x?xi8>, tensor<?xf32>) -> ()
  return
}
// -----
// check: accept
// The state space of the article.
func.func @ssm(%state: tensor<?xf32>, %input: tensor<f32>, %A: tensor<?xf32>, %B: tensor<?xf32>, %C: tensor<?xf32>)
    -> (tensor<?xf32>, tensor<f32>) {
  %new_state = "fidelity.ssm_state_update"(%state, %input, %A, %B) :
    (tensor<?xf32>, tensor<f32>, tensor<?xf32>, tensor<?xf32>) -> tensor<?xf32>
  %output = "fidelity.ssm_output"(%new_state, %C) :
    (tensor<?xf32>, tensor<?xf32>) -> tensor<f32>
  return %new_state, %output : tensor<?xf32>, tensor<f32>
}
// -----
// check: accept here
// With the names as they are spoken: our parser takes dots, MLIR's definition of dialects does not.
func.func @ssm(%state: tensor<?xf32>, %input: tensor<f32>, %A: tensor<?xf32>, %B: tensor<?xf32>, %C: tensor<?xf32>)
    -> (tensor<?xf32>, tensor<f32>) {
  %new_state = "fidelity.ssm.state_update"(%state, %input, %A, %B) :
    (tensor<?xf32>, tensor<f32>, tensor<?xf32>, tensor<?xf32>) -> tensor<?xf32>
  %output = "fidelity.ssm.output"(%new_state, %C) :
    (tensor<?xf32>, tensor<?xf32>) -> tensor<f32>
  return %new_state, %output : tensor<?xf32>, tensor<f32>
}
// -----
// check: accept
// The gated recurrence of the article, each value named once.
func.func @mlgru(%input: tensor<?xf32>, %forget_weights: tensor<?x?xi8>, %candidate_weights: tensor<?x?xi8>,
    %hidden_state: tensor<?xf32>) -> tensor<?xf32> {
  %one = "arith.constant"() {value = dense<1.0> : tensor<f32>} : () -> tensor<f32>
  %forget_sum = "fidelity.ternary_linear"(%input, %forget_weights) : (tensor<?xf32>, tensor<?x?xi8>) -> tensor<?xf32>
  %forget = "fidelity.sigmoid"(%forget_sum) : (tensor<?xf32>) -> tensor<?xf32>
  %candidate_sum = "fidelity.ternary_linear"(%input, %candidate_weights) : (tensor<?xf32>, tensor<?x?xi8>) -> tensor<?xf32>
  %candidate = "fidelity.tanh"(%candidate_sum) : (tensor<?xf32>) -> tensor<?xf32>
  %complement = "fidelity.subtract"(%one, %forget) : (tensor<f32>, tensor<?xf32>) -> tensor<?xf32>
  %weighted_state = "fidelity.multiply"(%forget, %hidden_state) : (tensor<?xf32>, tensor<?xf32>) -> tensor<?xf32>
  %weighted_candidate = "fidelity.multiply"(%complement, %candidate) : (tensor<?xf32>, tensor<?xf32>) -> tensor<?xf32>
  %new_hidden = "fidelity.add"(%weighted_state, %weighted_candidate) : (tensor<?xf32>, tensor<?xf32>) -> tensor<?xf32>
  return %new_hidden : tensor<?xf32>
}
// -----
// check: reject %forget is defined already
// As it stands in the article.
func.func @mlgru(%input: tensor<?xf32>, %forget_weights: tensor<?x?xi8>) -> tensor<?xf32> {
  %forget = "fidelity.ternary_linear"(%input, %forget_weights) : (tensor<?xf32>, tensor<?x?xi8>) -> tensor<?xf32>
  %forget = "fidelity.sigmoid"(%forget) : (tensor<?xf32>) -> tensor<?xf32>
  return %forget : tensor<?xf32>
}
// -----
// check: reject here operand `b` has axis-0 size 65, expected 64 as the axis-0 size of `state`
func.func @ssm(%state: tensor<64xf32>, %input: tensor<f32>, %A: tensor<?xf32>, %B: tensor<65xf32>) -> tensor<?xf32> {
  %next = "fidelity.ssm_state_update"(%state, %input, %A, %B) :
    (tensor<64xf32>, tensor<f32>, tensor<?xf32>, tensor<65xf32>) -> tensor<?xf32>
  return %next : tensor<?xf32>
}
// -----
// check: reject there is no operation `ternary_linar` in the dialect; did you mean `ternary_linear`?
func.func @f(%x: tensor<?xf32>, %w: tensor<?x?xi8>) -> tensor<?xf32> {
  %y = "fidelity.ternary_linar"(%x, %w) : (tensor<?xf32>, tensor<?x?xi8>) -> tensor<?xf32>
  return %y : tensor<?xf32>
}
