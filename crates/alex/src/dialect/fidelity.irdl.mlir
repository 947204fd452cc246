// The `fidelity` dialect in IRDL, written from the table in `dialect/table`: do not edit. To use it:
//   mlir-opt-22 --irdl-file=fidelity.irdl.mlir FILE.mlir
// Names of operations have underscores where they are spoken of with dots: `ssm.state_update` is
// `fidelity.ssm_state_update`, since IRDL allows no dots.
irdl.dialect @fidelity {
  // Numbers along a named axis: one such vector for each position of the leading axes, `[]` for a single one. Parameters of a model, and activations.
  irdl.type @vector {
    %0 = irdl.base "#builtin.array"
    %1 = irdl.base "#builtin.integer"
    %2 = irdl.base "#builtin.string"
    %3 = irdl.any_of(%1, %2)
    %4 = irdl.is f16
    %5 = irdl.is bf16
    %6 = irdl.is f32
    %7 = irdl.is f64
    %8 = irdl.is f80
    %9 = irdl.is f128
    %10 = irdl.is i8
    %11 = irdl.is i16
    %12 = irdl.is i32
    %13 = irdl.is i64
    %14 = irdl.is i1
    %15 = irdl.any_of(%4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14)
    %16 = irdl.base "#builtin.string"
    %17 = irdl.base "#builtin.string"
    irdl.parameters(lead: %0, len: %3, elem: %15, axis: %16, unit: %17)
  }
  // Activations as int8 with one scale for each position of the leading axes: `x = q / s`, in the unit of what was quantised.
  irdl.type @quantized {
    %0 = irdl.base "#builtin.array"
    %1 = irdl.base "#builtin.integer"
    %2 = irdl.base "#builtin.string"
    %3 = irdl.any_of(%1, %2)
    %4 = irdl.base "#builtin.string"
    %5 = irdl.base "#builtin.string"
    irdl.parameters(lead: %0, len: %3, axis: %4, unit: %5)
  }
  // A matrix of −1, 0, +1 with its scale, output-major, which turns vectors over axis `in` in unit `from` into vectors over axis `out` in unit `to`.
  irdl.type @ternary {
    %0 = irdl.base "#builtin.integer"
    %1 = irdl.base "#builtin.string"
    %2 = irdl.any_of(%0, %1)
    %3 = irdl.base "#builtin.integer"
    %4 = irdl.base "#builtin.string"
    %5 = irdl.any_of(%3, %4)
    %6 = irdl.base "#builtin.string"
    %7 = irdl.base "#builtin.string"
    %8 = irdl.is "bytes"
    %9 = irdl.is "compute"
    %10 = irdl.is "interchange"
    %11 = irdl.is "storage"
    %12 = irdl.any_of(%8, %9, %10, %11)
    %13 = irdl.base "#builtin.string"
    %14 = irdl.base "#builtin.string"
    irdl.parameters(out_len: %2, in_len: %5, out: %6, in: %7, layout: %12, from: %13, to: %14)
  }
  // A dense matrix, output-major, which turns vectors over axis `in` in unit `from` into vectors over axis `out` in unit `to`.
  irdl.type @matrix {
    %0 = irdl.base "#builtin.integer"
    %1 = irdl.base "#builtin.string"
    %2 = irdl.any_of(%0, %1)
    %3 = irdl.base "#builtin.integer"
    %4 = irdl.base "#builtin.string"
    %5 = irdl.any_of(%3, %4)
    %6 = irdl.is f16
    %7 = irdl.is bf16
    %8 = irdl.is f32
    %9 = irdl.is f64
    %10 = irdl.is f80
    %11 = irdl.is f128
    %12 = irdl.is i8
    %13 = irdl.is i16
    %14 = irdl.is i32
    %15 = irdl.is i64
    %16 = irdl.is i1
    %17 = irdl.any_of(%6, %7, %8, %9, %10, %11, %12, %13, %14, %15, %16)
    %18 = irdl.base "#builtin.string"
    %19 = irdl.base "#builtin.string"
    %20 = irdl.base "#builtin.string"
    %21 = irdl.base "#builtin.string"
    irdl.parameters(out_len: %2, in_len: %5, elem: %17, out: %18, in: %19, from: %20, to: %21)
  }
  // A matrix quantised in blocks, by the name of its format, such as `q4_k`.
  irdl.type @blocks {
    %0 = irdl.base "#builtin.integer"
    %1 = irdl.base "#builtin.string"
    %2 = irdl.any_of(%0, %1)
    %3 = irdl.base "#builtin.integer"
    %4 = irdl.base "#builtin.string"
    %5 = irdl.any_of(%3, %4)
    %6 = irdl.base "#builtin.string"
    %7 = irdl.base "#builtin.string"
    %8 = irdl.base "#builtin.string"
    %9 = irdl.base "#builtin.string"
    %10 = irdl.base "#builtin.string"
    irdl.parameters(out_len: %2, in_len: %5, out: %6, in: %7, format: %8, from: %9, to: %10)
  }
  // One number for each position of an axis, which turns unit `from` into unit `to`: the A, B and C of a diagonal state space.
  irdl.type @coefficients {
    %0 = irdl.base "#builtin.integer"
    %1 = irdl.base "#builtin.string"
    %2 = irdl.any_of(%0, %1)
    %3 = irdl.is f16
    %4 = irdl.is bf16
    %5 = irdl.is f32
    %6 = irdl.is f64
    %7 = irdl.is f80
    %8 = irdl.is f128
    %9 = irdl.is i8
    %10 = irdl.is i16
    %11 = irdl.is i32
    %12 = irdl.is i64
    %13 = irdl.is i1
    %14 = irdl.any_of(%3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13)
    %15 = irdl.base "#builtin.string"
    %16 = irdl.base "#builtin.string"
    %17 = irdl.base "#builtin.string"
    irdl.parameters(len: %2, elem: %14, axis: %15, from: %16, to: %17)
  }
  // One number that turns unit `from` into unit `to`.
  irdl.type @factor {
    %0 = irdl.is f16
    %1 = irdl.is bf16
    %2 = irdl.is f32
    %3 = irdl.is f64
    %4 = irdl.is f80
    %5 = irdl.is f128
    %6 = irdl.is i8
    %7 = irdl.is i16
    %8 = irdl.is i32
    %9 = irdl.is i64
    %10 = irdl.is i1
    %11 = irdl.any_of(%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10)
    %12 = irdl.base "#builtin.string"
    %13 = irdl.base "#builtin.string"
    irdl.parameters(elem: %11, from: %12, to: %13)
  }
  // One number for each position of the leading axes.
  irdl.type @scalar {
    %0 = irdl.base "#builtin.array"
    %1 = irdl.is f16
    %2 = irdl.is bf16
    %3 = irdl.is f32
    %4 = irdl.is f64
    %5 = irdl.is f80
    %6 = irdl.is f128
    %7 = irdl.is i8
    %8 = irdl.is i16
    %9 = irdl.is i32
    %10 = irdl.is i64
    %11 = irdl.is i1
    %12 = irdl.any_of(%1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11)
    %13 = irdl.base "#builtin.string"
    irdl.parameters(lead: %0, elem: %12, unit: %13)
  }
  // What a recurrence keeps from one step to the next: one number for each position of an axis.
  irdl.type @state {
    %0 = irdl.base "#builtin.array"
    %1 = irdl.base "#builtin.integer"
    %2 = irdl.base "#builtin.string"
    %3 = irdl.any_of(%1, %2)
    %4 = irdl.is f16
    %5 = irdl.is bf16
    %6 = irdl.is f32
    %7 = irdl.is f64
    %8 = irdl.is f80
    %9 = irdl.is f128
    %10 = irdl.is i8
    %11 = irdl.is i16
    %12 = irdl.is i32
    %13 = irdl.is i64
    %14 = irdl.is i1
    %15 = irdl.any_of(%4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14)
    %16 = irdl.base "#builtin.string"
    %17 = irdl.base "#builtin.string"
    irdl.parameters(lead: %0, len: %3, elem: %15, axis: %16, unit: %17)
  }
  // What a recurrence keeps: a matrix, such as the sum of outer products of keys and values.
  irdl.type @matrix_state {
    %0 = irdl.base "#builtin.array"
    %1 = irdl.base "#builtin.integer"
    %2 = irdl.base "#builtin.string"
    %3 = irdl.any_of(%1, %2)
    %4 = irdl.base "#builtin.integer"
    %5 = irdl.base "#builtin.string"
    %6 = irdl.any_of(%4, %5)
    %7 = irdl.is f16
    %8 = irdl.is bf16
    %9 = irdl.is f32
    %10 = irdl.is f64
    %11 = irdl.is f80
    %12 = irdl.is f128
    %13 = irdl.is i8
    %14 = irdl.is i16
    %15 = irdl.is i32
    %16 = irdl.is i64
    %17 = irdl.is i1
    %18 = irdl.any_of(%7, %8, %9, %10, %11, %12, %13, %14, %15, %16, %17)
    %19 = irdl.base "#builtin.string"
    %20 = irdl.base "#builtin.string"
    %21 = irdl.base "#builtin.string"
    irdl.parameters(lead: %0, rows: %3, columns: %6, elem: %18, row_axis: %19, column_axis: %20, unit: %21)
  }
  // Positions in a named axis, such as token ids in a vocabulary.
  irdl.type @tokens {
    %0 = irdl.base "#builtin.array"
    %1 = irdl.base "#builtin.string"
    irdl.parameters(lead: %0, axis: %1)
  }
  // A declared product of units: `left` times `right` is `result`. Units are names; a relation between them is declared where it is used, as in the crate `axes`.
  irdl.attribute @product {
    %0 = irdl.base "#builtin.string"
    %1 = irdl.base "#builtin.string"
    %2 = irdl.base "#builtin.string"
    irdl.parameters(left: %0, right: %1, result: %2)
  }
  // Sizes of axes: numbers, or polynomials in named symbols as strings (`"B"`, `"4*T+1"`). The types of tensors have `?` where a size is a symbol; `fidelity.sizes` on an argument names it.
  irdl.attribute @sizes {
    %0 = irdl.base "#builtin.array"
    irdl.parameters(sizes: %0)
  }
  // zero_vector(optional size: index) -> (z: vector<L, N, E, A, U> | state<L, N, E, A, U> | matrix_state<L, N, M, E, A, B, U> | tensor<S.., E>)
  irdl.operation @zero_vector {
    %0 = irdl.is index
    %L = irdl.any
    %N = irdl.any
    %E = irdl.any
    %A = irdl.any
    %U = irdl.any
    %1 = irdl.parametric @fidelity::@vector<%L, %N, %E, %A, %U>
    %2 = irdl.parametric @fidelity::@state<%L, %N, %E, %A, %U>
    %M = irdl.any
    %B = irdl.any
    %3 = irdl.parametric @fidelity::@matrix_state<%L, %N, %M, %E, %A, %B, %U>
    %4 = irdl.base "!builtin.tensor"
    %5 = irdl.any_of(%1, %2, %3, %4)
    irdl.operands(size: optional %0)
    irdl.results(z: %5)
  }
  // quantize_activations(x: vector<L, N, E, A, U> | tensor<L.., N, E>) -> (q: quantized<L, N, A, U> | tensor<L.., N, i8>, optional scale: tensor<L.., E>) where E: float
  irdl.operation @quantize_activations {
    %0 = irdl.is f16
    %1 = irdl.is bf16
    %2 = irdl.is f32
    %3 = irdl.is f64
    %4 = irdl.is f80
    %5 = irdl.is f128
    %E = irdl.any_of(%0, %1, %2, %3, %4, %5)
    %L = irdl.any
    %N = irdl.any
    %A = irdl.any
    %U = irdl.any
    %6 = irdl.parametric @fidelity::@vector<%L, %N, %E, %A, %U>
    %7 = irdl.base "!builtin.tensor"
    %8 = irdl.any_of(%6, %7)
    %9 = irdl.parametric @fidelity::@quantized<%L, %N, %A, %U>
    %10 = irdl.base "!builtin.tensor"
    %11 = irdl.any_of(%9, %10)
    %12 = irdl.base "!builtin.tensor"
    irdl.operands(x: %8)
    irdl.results(q: %11, scale: optional %12)
  }
  // quantize_weights(w: matrix<N, K, E, Out, In, U, V> | tensor<N, K, E>) -> (t: ternary<N, K, Out, In, P, U, V> | tensor<N, K, i8>, optional factor: tensor<E>) where E: float
  irdl.operation @quantize_weights {
    %0 = irdl.is f16
    %1 = irdl.is bf16
    %2 = irdl.is f32
    %3 = irdl.is f64
    %4 = irdl.is f80
    %5 = irdl.is f128
    %E = irdl.any_of(%0, %1, %2, %3, %4, %5)
    %N = irdl.any
    %K = irdl.any
    %Out = irdl.any
    %In = irdl.any
    %U = irdl.any
    %V = irdl.any
    %6 = irdl.parametric @fidelity::@matrix<%N, %K, %E, %Out, %In, %U, %V>
    %7 = irdl.base "!builtin.tensor"
    %8 = irdl.any_of(%6, %7)
    %P = irdl.any
    %9 = irdl.parametric @fidelity::@ternary<%N, %K, %Out, %In, %P, %U, %V>
    %10 = irdl.base "!builtin.tensor"
    %11 = irdl.any_of(%9, %10)
    %12 = irdl.base "!builtin.tensor"
    irdl.operands(w: %8)
    irdl.results(t: %11, factor: optional %12)
  }
  // dequantize(q: quantized<L, N, A, U>) -> (x: vector<L, N, E, A, U>) where E: float
  irdl.operation @dequantize {
    %0 = irdl.is f16
    %1 = irdl.is bf16
    %2 = irdl.is f32
    %3 = irdl.is f64
    %4 = irdl.is f80
    %5 = irdl.is f128
    %E = irdl.any_of(%0, %1, %2, %3, %4, %5)
    %L = irdl.any
    %N = irdl.any
    %A = irdl.any
    %U = irdl.any
    %6 = irdl.parametric @fidelity::@quantized<%L, %N, %A, %U>
    %7 = irdl.parametric @fidelity::@vector<%L, %N, %E, %A, %U>
    irdl.operands(q: %6)
    irdl.results(x: %7)
  }
  // repack(w: ternary<N, K, Out, In, P, U, V>) -> (t: ternary<N, K, Out, In, Q, U, V>)
  irdl.operation @repack {
    %N = irdl.any
    %K = irdl.any
    %Out = irdl.any
    %In = irdl.any
    %P = irdl.any
    %U = irdl.any
    %V = irdl.any
    %0 = irdl.parametric @fidelity::@ternary<%N, %K, %Out, %In, %P, %U, %V>
    %Q = irdl.any
    %1 = irdl.parametric @fidelity::@ternary<%N, %K, %Out, %In, %Q, %U, %V>
    irdl.operands(w: %0)
    irdl.results(t: %1)
  }
  // ternary_accumulate(x: vector<L, K, E, In, U> | quantized<L, K, In, U> | tensor<L.., K, E>, weights: ternary<N, K, Out, In, P, U, V> | tensor<N, K, i8>, sum: vector<L, N, E, Out, V> | tensor<L.., N, E>) -> (y: vector<L, N, E, Out, V> | tensor<L.., N, E>) where E: float
  irdl.operation @ternary_accumulate {
    %0 = irdl.is f16
    %1 = irdl.is bf16
    %2 = irdl.is f32
    %3 = irdl.is f64
    %4 = irdl.is f80
    %5 = irdl.is f128
    %E = irdl.any_of(%0, %1, %2, %3, %4, %5)
    %L = irdl.any
    %K = irdl.any
    %In = irdl.any
    %U = irdl.any
    %6 = irdl.parametric @fidelity::@vector<%L, %K, %E, %In, %U>
    %7 = irdl.parametric @fidelity::@quantized<%L, %K, %In, %U>
    %8 = irdl.base "!builtin.tensor"
    %9 = irdl.any_of(%6, %7, %8)
    %N = irdl.any
    %Out = irdl.any
    %P = irdl.any
    %V = irdl.any
    %10 = irdl.parametric @fidelity::@ternary<%N, %K, %Out, %In, %P, %U, %V>
    %11 = irdl.base "!builtin.tensor"
    %12 = irdl.any_of(%10, %11)
    %13 = irdl.parametric @fidelity::@vector<%L, %N, %E, %Out, %V>
    %14 = irdl.base "!builtin.tensor"
    %15 = irdl.any_of(%13, %14)
    %16 = irdl.parametric @fidelity::@vector<%L, %N, %E, %Out, %V>
    %17 = irdl.base "!builtin.tensor"
    %18 = irdl.any_of(%16, %17)
    irdl.operands(x: %9, weights: %12, sum: %15)
    irdl.results(y: %18)
  }
  // ternary_linear(x: vector<L, K, E, In, U> | quantized<L, K, In, U> | tensor<L.., K, E>, weights: ternary<N, K, Out, In, P, U, V> | tensor<N, K, i8>, optional scale: tensor<E>) -> (y: vector<L, N, E, Out, V> | tensor<L.., N, E>) where E: float
  irdl.operation @ternary_linear {
    %0 = irdl.is f16
    %1 = irdl.is bf16
    %2 = irdl.is f32
    %3 = irdl.is f64
    %4 = irdl.is f80
    %5 = irdl.is f128
    %E = irdl.any_of(%0, %1, %2, %3, %4, %5)
    %L = irdl.any
    %K = irdl.any
    %In = irdl.any
    %U = irdl.any
    %6 = irdl.parametric @fidelity::@vector<%L, %K, %E, %In, %U>
    %7 = irdl.parametric @fidelity::@quantized<%L, %K, %In, %U>
    %8 = irdl.base "!builtin.tensor"
    %9 = irdl.any_of(%6, %7, %8)
    %N = irdl.any
    %Out = irdl.any
    %P = irdl.any
    %V = irdl.any
    %10 = irdl.parametric @fidelity::@ternary<%N, %K, %Out, %In, %P, %U, %V>
    %11 = irdl.base "!builtin.tensor"
    %12 = irdl.any_of(%10, %11)
    %13 = irdl.base "!builtin.tensor"
    %14 = irdl.parametric @fidelity::@vector<%L, %N, %E, %Out, %V>
    %15 = irdl.base "!builtin.tensor"
    %16 = irdl.any_of(%14, %15)
    irdl.operands(x: %9, weights: %12, scale: optional %13)
    irdl.results(y: %16)
  }
  // ternary_product(q: tensor<L.., K, i8>, scale: tensor<L.., E>, weights: tensor<N, K, i8>, weight_scale: tensor<E>) -> (y: tensor<L.., N, E>) where E: float
  irdl.operation @ternary_product {
    %0 = irdl.is f16
    %1 = irdl.is bf16
    %2 = irdl.is f32
    %3 = irdl.is f64
    %4 = irdl.is f80
    %5 = irdl.is f128
    %E = irdl.any_of(%0, %1, %2, %3, %4, %5)
    %6 = irdl.base "!builtin.tensor"
    %7 = irdl.base "!builtin.tensor"
    %8 = irdl.base "!builtin.tensor"
    %9 = irdl.base "!builtin.tensor"
    %10 = irdl.base "!builtin.tensor"
    irdl.operands(q: %6, scale: %7, weights: %8, weight_scale: %9)
    irdl.results(y: %10)
  }
  // ternary_sum(x: quantized<L, K, In, U> | tensor<L.., K, i8>, weights: ternary<N, K, Out, In, P, U, V> | tensor<N, K, i8>) -> (y: vector<L, N, i32, Out, ""> | tensor<L.., N, i32>)
  irdl.operation @ternary_sum {
    %L = irdl.any
    %K = irdl.any
    %In = irdl.any
    %U = irdl.any
    %0 = irdl.parametric @fidelity::@quantized<%L, %K, %In, %U>
    %1 = irdl.base "!builtin.tensor"
    %2 = irdl.any_of(%0, %1)
    %N = irdl.any
    %Out = irdl.any
    %P = irdl.any
    %V = irdl.any
    %3 = irdl.parametric @fidelity::@ternary<%N, %K, %Out, %In, %P, %U, %V>
    %4 = irdl.base "!builtin.tensor"
    %5 = irdl.any_of(%3, %4)
    %6 = irdl.is i32
    %7 = irdl.is ""
    %8 = irdl.parametric @fidelity::@vector<%L, %N, %6, %Out, %7>
    %9 = irdl.base "!builtin.tensor"
    %10 = irdl.any_of(%8, %9)
    irdl.operands(x: %2, weights: %5)
    irdl.results(y: %10)
  }
  // linear(x: vector<L, K, E, In, U> | tensor<L.., K, E>, weights: matrix<N, K, E, Out, In, U, V> | tensor<N, K, E>, optional bias: vector<[], N, E, Out, V> | tensor<N, E>) -> (y: vector<L, N, E, Out, V> | tensor<L.., N, E>) where E: float
  irdl.operation @linear {
    %0 = irdl.is f16
    %1 = irdl.is bf16
    %2 = irdl.is f32
    %3 = irdl.is f64
    %4 = irdl.is f80
    %5 = irdl.is f128
    %E = irdl.any_of(%0, %1, %2, %3, %4, %5)
    %L = irdl.any
    %K = irdl.any
    %In = irdl.any
    %U = irdl.any
    %6 = irdl.parametric @fidelity::@vector<%L, %K, %E, %In, %U>
    %7 = irdl.base "!builtin.tensor"
    %8 = irdl.any_of(%6, %7)
    %N = irdl.any
    %Out = irdl.any
    %V = irdl.any
    %9 = irdl.parametric @fidelity::@matrix<%N, %K, %E, %Out, %In, %U, %V>
    %10 = irdl.base "!builtin.tensor"
    %11 = irdl.any_of(%9, %10)
    %12 = irdl.is []
    %13 = irdl.parametric @fidelity::@vector<%12, %N, %E, %Out, %V>
    %14 = irdl.base "!builtin.tensor"
    %15 = irdl.any_of(%13, %14)
    %16 = irdl.parametric @fidelity::@vector<%L, %N, %E, %Out, %V>
    %17 = irdl.base "!builtin.tensor"
    %18 = irdl.any_of(%16, %17)
    irdl.operands(x: %8, weights: %11, bias: optional %15)
    irdl.results(y: %18)
  }
  // block_linear(x: vector<L, K, E, In, U> | tensor<L.., K, E>, weights: blocks<N, K, Out, In, F, U, V> | tensor<N, R, i8>) -> (y: vector<L, N, E, Out, V> | tensor<L.., N, E>) where E: float
  irdl.operation @block_linear {
    %0 = irdl.is f16
    %1 = irdl.is bf16
    %2 = irdl.is f32
    %3 = irdl.is f64
    %4 = irdl.is f80
    %5 = irdl.is f128
    %E = irdl.any_of(%0, %1, %2, %3, %4, %5)
    %L = irdl.any
    %K = irdl.any
    %In = irdl.any
    %U = irdl.any
    %6 = irdl.parametric @fidelity::@vector<%L, %K, %E, %In, %U>
    %7 = irdl.base "!builtin.tensor"
    %8 = irdl.any_of(%6, %7)
    %N = irdl.any
    %Out = irdl.any
    %F = irdl.any
    %V = irdl.any
    %9 = irdl.parametric @fidelity::@blocks<%N, %K, %Out, %In, %F, %U, %V>
    %10 = irdl.base "!builtin.tensor"
    %11 = irdl.any_of(%9, %10)
    %12 = irdl.parametric @fidelity::@vector<%L, %N, %E, %Out, %V>
    %13 = irdl.base "!builtin.tensor"
    %14 = irdl.any_of(%12, %13)
    irdl.operands(x: %8, weights: %11)
    irdl.results(y: %14)
  }
  // head_product(x: vector<L, K, E, In, U> | tensor<L.., K, E>, table: matrix<N, K, E, Vocab, In, U, V> | tensor<N, K, E>) -> (logits: vector<L, N, E, Vocab, V> | tensor<L.., N, E>) where E: float
  irdl.operation @head_product {
    %0 = irdl.is f16
    %1 = irdl.is bf16
    %2 = irdl.is f32
    %3 = irdl.is f64
    %4 = irdl.is f80
    %5 = irdl.is f128
    %E = irdl.any_of(%0, %1, %2, %3, %4, %5)
    %L = irdl.any
    %K = irdl.any
    %In = irdl.any
    %U = irdl.any
    %6 = irdl.parametric @fidelity::@vector<%L, %K, %E, %In, %U>
    %7 = irdl.base "!builtin.tensor"
    %8 = irdl.any_of(%6, %7)
    %N = irdl.any
    %Vocab = irdl.any
    %V = irdl.any
    %9 = irdl.parametric @fidelity::@matrix<%N, %K, %E, %Vocab, %In, %U, %V>
    %10 = irdl.base "!builtin.tensor"
    %11 = irdl.any_of(%9, %10)
    %12 = irdl.parametric @fidelity::@vector<%L, %N, %E, %Vocab, %V>
    %13 = irdl.base "!builtin.tensor"
    %14 = irdl.any_of(%12, %13)
    irdl.operands(x: %8, table: %11)
    irdl.results(logits: %14)
  }
  // outer(x: vector<L, N, E, A, U>, y: vector<L, M, E, B, "">) -> (z: matrix_state<L, N, M, E, A, B, U>) where E: float
  irdl.operation @outer {
    %0 = irdl.is f16
    %1 = irdl.is bf16
    %2 = irdl.is f32
    %3 = irdl.is f64
    %4 = irdl.is f80
    %5 = irdl.is f128
    %E = irdl.any_of(%0, %1, %2, %3, %4, %5)
    %L = irdl.any
    %N = irdl.any
    %A = irdl.any
    %U = irdl.any
    %6 = irdl.parametric @fidelity::@vector<%L, %N, %E, %A, %U>
    %M = irdl.any
    %B = irdl.any
    %7 = irdl.is ""
    %8 = irdl.parametric @fidelity::@vector<%L, %M, %E, %B, %7>
    %9 = irdl.parametric @fidelity::@matrix_state<%L, %N, %M, %E, %A, %B, %U>
    irdl.operands(x: %6, y: %8)
    irdl.results(z: %9)
  }
  // rms_norm(x: vector<L, N, E, A, U> | tensor<L.., N, E>, weight: vector<[], N, E, A, V> | tensor<N, E>) {eps: float} -> (y: vector<L, N, E, A, V> | tensor<L.., N, E>, optional rstd: tensor<L.., E>) where E: float
  irdl.operation @rms_norm {
    %0 = irdl.is f16
    %1 = irdl.is bf16
    %2 = irdl.is f32
    %3 = irdl.is f64
    %4 = irdl.is f80
    %5 = irdl.is f128
    %E = irdl.any_of(%0, %1, %2, %3, %4, %5)
    %L = irdl.any
    %N = irdl.any
    %A = irdl.any
    %U = irdl.any
    %6 = irdl.parametric @fidelity::@vector<%L, %N, %E, %A, %U>
    %7 = irdl.base "!builtin.tensor"
    %8 = irdl.any_of(%6, %7)
    %9 = irdl.is []
    %V = irdl.any
    %10 = irdl.parametric @fidelity::@vector<%9, %N, %E, %A, %V>
    %11 = irdl.base "!builtin.tensor"
    %12 = irdl.any_of(%10, %11)
    %13 = irdl.parametric @fidelity::@vector<%L, %N, %E, %A, %V>
    %14 = irdl.base "!builtin.tensor"
    %15 = irdl.any_of(%13, %14)
    %16 = irdl.base "!builtin.tensor"
    %17 = irdl.base "#builtin.float"
    irdl.operands(x: %8, weight: %12)
    irdl.attributes { "eps" = %17 }
    irdl.results(y: %15, rstd: optional %16)
  }
  // rms_normalize(x: vector<L, N, E, A, U> | tensor<L.., N, E>) {eps: float} -> (y: vector<L, N, E, A, ""> | tensor<L.., N, E>) where E: float
  irdl.operation @rms_normalize {
    %0 = irdl.is f16
    %1 = irdl.is bf16
    %2 = irdl.is f32
    %3 = irdl.is f64
    %4 = irdl.is f80
    %5 = irdl.is f128
    %E = irdl.any_of(%0, %1, %2, %3, %4, %5)
    %L = irdl.any
    %N = irdl.any
    %A = irdl.any
    %U = irdl.any
    %6 = irdl.parametric @fidelity::@vector<%L, %N, %E, %A, %U>
    %7 = irdl.base "!builtin.tensor"
    %8 = irdl.any_of(%6, %7)
    %9 = irdl.is ""
    %10 = irdl.parametric @fidelity::@vector<%L, %N, %E, %A, %9>
    %11 = irdl.base "!builtin.tensor"
    %12 = irdl.any_of(%10, %11)
    %13 = irdl.base "#builtin.float"
    irdl.operands(x: %8)
    irdl.attributes { "eps" = %13 }
    irdl.results(y: %12)
  }
  // layer_norm(x: vector<L, N, E, A, U> | tensor<L.., N, E>, weight: vector<[], N, E, A, V> | tensor<N, E>, optional bias: vector<[], N, E, A, V> | tensor<N, E>) {eps: float} -> (y: vector<L, N, E, A, V> | tensor<L.., N, E>) where E: float
  irdl.operation @layer_norm {
    %0 = irdl.is f16
    %1 = irdl.is bf16
    %2 = irdl.is f32
    %3 = irdl.is f64
    %4 = irdl.is f80
    %5 = irdl.is f128
    %E = irdl.any_of(%0, %1, %2, %3, %4, %5)
    %L = irdl.any
    %N = irdl.any
    %A = irdl.any
    %U = irdl.any
    %6 = irdl.parametric @fidelity::@vector<%L, %N, %E, %A, %U>
    %7 = irdl.base "!builtin.tensor"
    %8 = irdl.any_of(%6, %7)
    %9 = irdl.is []
    %V = irdl.any
    %10 = irdl.parametric @fidelity::@vector<%9, %N, %E, %A, %V>
    %11 = irdl.base "!builtin.tensor"
    %12 = irdl.any_of(%10, %11)
    %13 = irdl.is []
    %14 = irdl.parametric @fidelity::@vector<%13, %N, %E, %A, %V>
    %15 = irdl.base "!builtin.tensor"
    %16 = irdl.any_of(%14, %15)
    %17 = irdl.parametric @fidelity::@vector<%L, %N, %E, %A, %V>
    %18 = irdl.base "!builtin.tensor"
    %19 = irdl.any_of(%17, %18)
    %20 = irdl.base "#builtin.float"
    irdl.operands(x: %8, weight: %12, bias: optional %16)
    irdl.attributes { "eps" = %20 }
    irdl.results(y: %19)
  }
  // rms_norm_quantize(x: vector<L, N, E, A, U>, weight: vector<[], N, E, A, V>) {eps: float} -> (q: quantized<L, N, A, V>) where E: float
  irdl.operation @rms_norm_quantize {
    %0 = irdl.is f16
    %1 = irdl.is bf16
    %2 = irdl.is f32
    %3 = irdl.is f64
    %4 = irdl.is f80
    %5 = irdl.is f128
    %E = irdl.any_of(%0, %1, %2, %3, %4, %5)
    %L = irdl.any
    %N = irdl.any
    %A = irdl.any
    %U = irdl.any
    %6 = irdl.parametric @fidelity::@vector<%L, %N, %E, %A, %U>
    %7 = irdl.is []
    %V = irdl.any
    %8 = irdl.parametric @fidelity::@vector<%7, %N, %E, %A, %V>
    %9 = irdl.parametric @fidelity::@quantized<%L, %N, %A, %V>
    %10 = irdl.base "#builtin.float"
    irdl.operands(x: %6, weight: %8)
    irdl.attributes { "eps" = %10 }
    irdl.results(q: %9)
  }
  // softmax(x: vector<L, N, E, A, ""> | tensor<L.., N, E>) -> (y: vector<L, N, E, A, ""> | tensor<L.., N, E>) where E: float
  irdl.operation @softmax {
    %0 = irdl.is f16
    %1 = irdl.is bf16
    %2 = irdl.is f32
    %3 = irdl.is f64
    %4 = irdl.is f80
    %5 = irdl.is f128
    %E = irdl.any_of(%0, %1, %2, %3, %4, %5)
    %L = irdl.any
    %N = irdl.any
    %A = irdl.any
    %6 = irdl.is ""
    %7 = irdl.parametric @fidelity::@vector<%L, %N, %E, %A, %6>
    %8 = irdl.base "!builtin.tensor"
    %9 = irdl.any_of(%7, %8)
    %10 = irdl.is ""
    %11 = irdl.parametric @fidelity::@vector<%L, %N, %E, %A, %10>
    %12 = irdl.base "!builtin.tensor"
    %13 = irdl.any_of(%11, %12)
    irdl.operands(x: %9)
    irdl.results(y: %13)
  }
  // sigmoid(x: T | tensor<S.., E>) -> (y: T | tensor<S.., E>) where T: vector<_, _, _, _, ""> | state<_, _, _, _, ""> | scalar<_, _, "">
  irdl.operation @sigmoid {
    %0 = irdl.any
    %1 = irdl.any
    %2 = irdl.any
    %3 = irdl.any
    %4 = irdl.is ""
    %5 = irdl.parametric @fidelity::@vector<%0, %1, %2, %3, %4>
    %6 = irdl.any
    %7 = irdl.any
    %8 = irdl.any
    %9 = irdl.any
    %10 = irdl.is ""
    %11 = irdl.parametric @fidelity::@state<%6, %7, %8, %9, %10>
    %12 = irdl.any
    %13 = irdl.any
    %14 = irdl.is ""
    %15 = irdl.parametric @fidelity::@scalar<%12, %13, %14>
    %T = irdl.any_of(%5, %11, %15)
    %16 = irdl.base "!builtin.tensor"
    %17 = irdl.any_of(%T, %16)
    %18 = irdl.base "!builtin.tensor"
    %19 = irdl.any_of(%T, %18)
    irdl.operands(x: %17)
    irdl.results(y: %19)
  }
  // tanh(x: T | tensor<S.., E>) -> (y: T | tensor<S.., E>) where T: vector<_, _, _, _, ""> | state<_, _, _, _, ""> | scalar<_, _, "">
  irdl.operation @tanh {
    %0 = irdl.any
    %1 = irdl.any
    %2 = irdl.any
    %3 = irdl.any
    %4 = irdl.is ""
    %5 = irdl.parametric @fidelity::@vector<%0, %1, %2, %3, %4>
    %6 = irdl.any
    %7 = irdl.any
    %8 = irdl.any
    %9 = irdl.any
    %10 = irdl.is ""
    %11 = irdl.parametric @fidelity::@state<%6, %7, %8, %9, %10>
    %12 = irdl.any
    %13 = irdl.any
    %14 = irdl.is ""
    %15 = irdl.parametric @fidelity::@scalar<%12, %13, %14>
    %T = irdl.any_of(%5, %11, %15)
    %16 = irdl.base "!builtin.tensor"
    %17 = irdl.any_of(%T, %16)
    %18 = irdl.base "!builtin.tensor"
    %19 = irdl.any_of(%T, %18)
    irdl.operands(x: %17)
    irdl.results(y: %19)
  }
  // silu(x: T | tensor<S.., E>) -> (y: T | tensor<S.., E>) where T: vector<_, _, _, _, ""> | state<_, _, _, _, ""> | scalar<_, _, "">
  irdl.operation @silu {
    %0 = irdl.any
    %1 = irdl.any
    %2 = irdl.any
    %3 = irdl.any
    %4 = irdl.is ""
    %5 = irdl.parametric @fidelity::@vector<%0, %1, %2, %3, %4>
    %6 = irdl.any
    %7 = irdl.any
    %8 = irdl.any
    %9 = irdl.any
    %10 = irdl.is ""
    %11 = irdl.parametric @fidelity::@state<%6, %7, %8, %9, %10>
    %12 = irdl.any
    %13 = irdl.any
    %14 = irdl.is ""
    %15 = irdl.parametric @fidelity::@scalar<%12, %13, %14>
    %T = irdl.any_of(%5, %11, %15)
    %16 = irdl.base "!builtin.tensor"
    %17 = irdl.any_of(%T, %16)
    %18 = irdl.base "!builtin.tensor"
    %19 = irdl.any_of(%T, %18)
    irdl.operands(x: %17)
    irdl.results(y: %19)
  }
  // gelu(x: T | tensor<S.., E>) -> (y: T | tensor<S.., E>) where T: vector<_, _, _, _, ""> | state<_, _, _, _, ""> | scalar<_, _, "">
  irdl.operation @gelu {
    %0 = irdl.any
    %1 = irdl.any
    %2 = irdl.any
    %3 = irdl.any
    %4 = irdl.is ""
    %5 = irdl.parametric @fidelity::@vector<%0, %1, %2, %3, %4>
    %6 = irdl.any
    %7 = irdl.any
    %8 = irdl.any
    %9 = irdl.any
    %10 = irdl.is ""
    %11 = irdl.parametric @fidelity::@state<%6, %7, %8, %9, %10>
    %12 = irdl.any
    %13 = irdl.any
    %14 = irdl.is ""
    %15 = irdl.parametric @fidelity::@scalar<%12, %13, %14>
    %T = irdl.any_of(%5, %11, %15)
    %16 = irdl.base "!builtin.tensor"
    %17 = irdl.any_of(%T, %16)
    %18 = irdl.base "!builtin.tensor"
    %19 = irdl.any_of(%T, %18)
    irdl.operands(x: %17)
    irdl.results(y: %19)
  }
  // exp(x: T | tensor<S.., E>) -> (y: T | tensor<S.., E>) where T: vector<_, _, _, _, ""> | state<_, _, _, _, ""> | scalar<_, _, "">
  irdl.operation @exp {
    %0 = irdl.any
    %1 = irdl.any
    %2 = irdl.any
    %3 = irdl.any
    %4 = irdl.is ""
    %5 = irdl.parametric @fidelity::@vector<%0, %1, %2, %3, %4>
    %6 = irdl.any
    %7 = irdl.any
    %8 = irdl.any
    %9 = irdl.any
    %10 = irdl.is ""
    %11 = irdl.parametric @fidelity::@state<%6, %7, %8, %9, %10>
    %12 = irdl.any
    %13 = irdl.any
    %14 = irdl.is ""
    %15 = irdl.parametric @fidelity::@scalar<%12, %13, %14>
    %T = irdl.any_of(%5, %11, %15)
    %16 = irdl.base "!builtin.tensor"
    %17 = irdl.any_of(%T, %16)
    %18 = irdl.base "!builtin.tensor"
    %19 = irdl.any_of(%T, %18)
    irdl.operands(x: %17)
    irdl.results(y: %19)
  }
  // log(x: T | tensor<S.., E>) -> (y: T | tensor<S.., E>) where T: vector<_, _, _, _, ""> | state<_, _, _, _, ""> | scalar<_, _, "">
  irdl.operation @log {
    %0 = irdl.any
    %1 = irdl.any
    %2 = irdl.any
    %3 = irdl.any
    %4 = irdl.is ""
    %5 = irdl.parametric @fidelity::@vector<%0, %1, %2, %3, %4>
    %6 = irdl.any
    %7 = irdl.any
    %8 = irdl.any
    %9 = irdl.any
    %10 = irdl.is ""
    %11 = irdl.parametric @fidelity::@state<%6, %7, %8, %9, %10>
    %12 = irdl.any
    %13 = irdl.any
    %14 = irdl.is ""
    %15 = irdl.parametric @fidelity::@scalar<%12, %13, %14>
    %T = irdl.any_of(%5, %11, %15)
    %16 = irdl.base "!builtin.tensor"
    %17 = irdl.any_of(%T, %16)
    %18 = irdl.base "!builtin.tensor"
    %19 = irdl.any_of(%T, %18)
    irdl.operands(x: %17)
    irdl.results(y: %19)
  }
  // softplus(x: T | tensor<S.., E>) -> (y: T | tensor<S.., E>) where T: vector<_, _, _, _, ""> | state<_, _, _, _, ""> | scalar<_, _, "">
  irdl.operation @softplus {
    %0 = irdl.any
    %1 = irdl.any
    %2 = irdl.any
    %3 = irdl.any
    %4 = irdl.is ""
    %5 = irdl.parametric @fidelity::@vector<%0, %1, %2, %3, %4>
    %6 = irdl.any
    %7 = irdl.any
    %8 = irdl.any
    %9 = irdl.any
    %10 = irdl.is ""
    %11 = irdl.parametric @fidelity::@state<%6, %7, %8, %9, %10>
    %12 = irdl.any
    %13 = irdl.any
    %14 = irdl.is ""
    %15 = irdl.parametric @fidelity::@scalar<%12, %13, %14>
    %T = irdl.any_of(%5, %11, %15)
    %16 = irdl.base "!builtin.tensor"
    %17 = irdl.any_of(%T, %16)
    %18 = irdl.base "!builtin.tensor"
    %19 = irdl.any_of(%T, %18)
    irdl.operands(x: %17)
    irdl.results(y: %19)
  }
  // complement(x: T | tensor<S.., E>) -> (y: T | tensor<S.., E>) where T: vector<_, _, _, _, ""> | state<_, _, _, _, ""> | scalar<_, _, "">
  irdl.operation @complement {
    %0 = irdl.any
    %1 = irdl.any
    %2 = irdl.any
    %3 = irdl.any
    %4 = irdl.is ""
    %5 = irdl.parametric @fidelity::@vector<%0, %1, %2, %3, %4>
    %6 = irdl.any
    %7 = irdl.any
    %8 = irdl.any
    %9 = irdl.any
    %10 = irdl.is ""
    %11 = irdl.parametric @fidelity::@state<%6, %7, %8, %9, %10>
    %12 = irdl.any
    %13 = irdl.any
    %14 = irdl.is ""
    %15 = irdl.parametric @fidelity::@scalar<%12, %13, %14>
    %T = irdl.any_of(%5, %11, %15)
    %16 = irdl.base "!builtin.tensor"
    %17 = irdl.any_of(%T, %16)
    %18 = irdl.base "!builtin.tensor"
    %19 = irdl.any_of(%T, %18)
    irdl.operands(x: %17)
    irdl.results(y: %19)
  }
  // negate(x: T | tensor<S.., E>) -> (y: T | tensor<S.., E>) where T: vector<_, _, _, _, _> | state<_, _, _, _, _> | scalar<_, _, _>
  irdl.operation @negate {
    %0 = irdl.any
    %1 = irdl.any
    %2 = irdl.any
    %3 = irdl.any
    %4 = irdl.any
    %5 = irdl.parametric @fidelity::@vector<%0, %1, %2, %3, %4>
    %6 = irdl.any
    %7 = irdl.any
    %8 = irdl.any
    %9 = irdl.any
    %10 = irdl.any
    %11 = irdl.parametric @fidelity::@state<%6, %7, %8, %9, %10>
    %12 = irdl.any
    %13 = irdl.any
    %14 = irdl.any
    %15 = irdl.parametric @fidelity::@scalar<%12, %13, %14>
    %T = irdl.any_of(%5, %11, %15)
    %16 = irdl.base "!builtin.tensor"
    %17 = irdl.any_of(%T, %16)
    %18 = irdl.base "!builtin.tensor"
    %19 = irdl.any_of(%T, %18)
    irdl.operands(x: %17)
    irdl.results(y: %19)
  }
  // relu(x: T | tensor<S.., E>) -> (y: T | tensor<S.., E>) where T: vector<_, _, _, _, _> | state<_, _, _, _, _> | scalar<_, _, _>
  irdl.operation @relu {
    %0 = irdl.any
    %1 = irdl.any
    %2 = irdl.any
    %3 = irdl.any
    %4 = irdl.any
    %5 = irdl.parametric @fidelity::@vector<%0, %1, %2, %3, %4>
    %6 = irdl.any
    %7 = irdl.any
    %8 = irdl.any
    %9 = irdl.any
    %10 = irdl.any
    %11 = irdl.parametric @fidelity::@state<%6, %7, %8, %9, %10>
    %12 = irdl.any
    %13 = irdl.any
    %14 = irdl.any
    %15 = irdl.parametric @fidelity::@scalar<%12, %13, %14>
    %T = irdl.any_of(%5, %11, %15)
    %16 = irdl.base "!builtin.tensor"
    %17 = irdl.any_of(%T, %16)
    %18 = irdl.base "!builtin.tensor"
    %19 = irdl.any_of(%T, %18)
    irdl.operands(x: %17)
    irdl.results(y: %19)
  }
  // add(x: T | tensor<E> | tensor<S.., E>, y: T | tensor<E> | tensor<S.., E>) -> (z: T | tensor<S.., E>) where T: vector<_, _, _, _, _> | state<_, _, _, _, _> | matrix_state<_, _, _, _, _, _, _> | scalar<_, _, _>
  irdl.operation @add {
    %0 = irdl.any
    %1 = irdl.any
    %2 = irdl.any
    %3 = irdl.any
    %4 = irdl.any
    %5 = irdl.parametric @fidelity::@vector<%0, %1, %2, %3, %4>
    %6 = irdl.any
    %7 = irdl.any
    %8 = irdl.any
    %9 = irdl.any
    %10 = irdl.any
    %11 = irdl.parametric @fidelity::@state<%6, %7, %8, %9, %10>
    %12 = irdl.any
    %13 = irdl.any
    %14 = irdl.any
    %15 = irdl.any
    %16 = irdl.any
    %17 = irdl.any
    %18 = irdl.any
    %19 = irdl.parametric @fidelity::@matrix_state<%12, %13, %14, %15, %16, %17, %18>
    %20 = irdl.any
    %21 = irdl.any
    %22 = irdl.any
    %23 = irdl.parametric @fidelity::@scalar<%20, %21, %22>
    %T = irdl.any_of(%5, %11, %19, %23)
    %24 = irdl.base "!builtin.tensor"
    %25 = irdl.any_of(%T, %24)
    %26 = irdl.base "!builtin.tensor"
    %27 = irdl.any_of(%T, %26)
    %28 = irdl.base "!builtin.tensor"
    %29 = irdl.any_of(%T, %28)
    irdl.operands(x: %25, y: %27)
    irdl.results(z: %29)
  }
  // subtract(x: T | tensor<E> | tensor<S.., E>, y: T | tensor<E> | tensor<S.., E>) -> (z: T | tensor<S.., E>) where T: vector<_, _, _, _, _> | state<_, _, _, _, _> | matrix_state<_, _, _, _, _, _, _> | scalar<_, _, _>
  irdl.operation @subtract {
    %0 = irdl.any
    %1 = irdl.any
    %2 = irdl.any
    %3 = irdl.any
    %4 = irdl.any
    %5 = irdl.parametric @fidelity::@vector<%0, %1, %2, %3, %4>
    %6 = irdl.any
    %7 = irdl.any
    %8 = irdl.any
    %9 = irdl.any
    %10 = irdl.any
    %11 = irdl.parametric @fidelity::@state<%6, %7, %8, %9, %10>
    %12 = irdl.any
    %13 = irdl.any
    %14 = irdl.any
    %15 = irdl.any
    %16 = irdl.any
    %17 = irdl.any
    %18 = irdl.any
    %19 = irdl.parametric @fidelity::@matrix_state<%12, %13, %14, %15, %16, %17, %18>
    %20 = irdl.any
    %21 = irdl.any
    %22 = irdl.any
    %23 = irdl.parametric @fidelity::@scalar<%20, %21, %22>
    %T = irdl.any_of(%5, %11, %19, %23)
    %24 = irdl.base "!builtin.tensor"
    %25 = irdl.any_of(%T, %24)
    %26 = irdl.base "!builtin.tensor"
    %27 = irdl.any_of(%T, %26)
    %28 = irdl.base "!builtin.tensor"
    %29 = irdl.any_of(%T, %28)
    irdl.operands(x: %25, y: %27)
    irdl.results(z: %29)
  }
  // maximum(x: T | tensor<E> | tensor<S.., E>, y: T | tensor<E> | tensor<S.., E>) -> (z: T | tensor<S.., E>) where T: vector<_, _, _, _, _> | state<_, _, _, _, _> | matrix_state<_, _, _, _, _, _, _> | scalar<_, _, _>
  irdl.operation @maximum {
    %0 = irdl.any
    %1 = irdl.any
    %2 = irdl.any
    %3 = irdl.any
    %4 = irdl.any
    %5 = irdl.parametric @fidelity::@vector<%0, %1, %2, %3, %4>
    %6 = irdl.any
    %7 = irdl.any
    %8 = irdl.any
    %9 = irdl.any
    %10 = irdl.any
    %11 = irdl.parametric @fidelity::@state<%6, %7, %8, %9, %10>
    %12 = irdl.any
    %13 = irdl.any
    %14 = irdl.any
    %15 = irdl.any
    %16 = irdl.any
    %17 = irdl.any
    %18 = irdl.any
    %19 = irdl.parametric @fidelity::@matrix_state<%12, %13, %14, %15, %16, %17, %18>
    %20 = irdl.any
    %21 = irdl.any
    %22 = irdl.any
    %23 = irdl.parametric @fidelity::@scalar<%20, %21, %22>
    %T = irdl.any_of(%5, %11, %19, %23)
    %24 = irdl.base "!builtin.tensor"
    %25 = irdl.any_of(%T, %24)
    %26 = irdl.base "!builtin.tensor"
    %27 = irdl.any_of(%T, %26)
    %28 = irdl.base "!builtin.tensor"
    %29 = irdl.any_of(%T, %28)
    irdl.operands(x: %25, y: %27)
    irdl.results(z: %29)
  }
  // minimum(x: T | tensor<E> | tensor<S.., E>, y: T | tensor<E> | tensor<S.., E>) -> (z: T | tensor<S.., E>) where T: vector<_, _, _, _, _> | state<_, _, _, _, _> | matrix_state<_, _, _, _, _, _, _> | scalar<_, _, _>
  irdl.operation @minimum {
    %0 = irdl.any
    %1 = irdl.any
    %2 = irdl.any
    %3 = irdl.any
    %4 = irdl.any
    %5 = irdl.parametric @fidelity::@vector<%0, %1, %2, %3, %4>
    %6 = irdl.any
    %7 = irdl.any
    %8 = irdl.any
    %9 = irdl.any
    %10 = irdl.any
    %11 = irdl.parametric @fidelity::@state<%6, %7, %8, %9, %10>
    %12 = irdl.any
    %13 = irdl.any
    %14 = irdl.any
    %15 = irdl.any
    %16 = irdl.any
    %17 = irdl.any
    %18 = irdl.any
    %19 = irdl.parametric @fidelity::@matrix_state<%12, %13, %14, %15, %16, %17, %18>
    %20 = irdl.any
    %21 = irdl.any
    %22 = irdl.any
    %23 = irdl.parametric @fidelity::@scalar<%20, %21, %22>
    %T = irdl.any_of(%5, %11, %19, %23)
    %24 = irdl.base "!builtin.tensor"
    %25 = irdl.any_of(%T, %24)
    %26 = irdl.base "!builtin.tensor"
    %27 = irdl.any_of(%T, %26)
    %28 = irdl.base "!builtin.tensor"
    %29 = irdl.any_of(%T, %28)
    irdl.operands(x: %25, y: %27)
    irdl.results(z: %29)
  }
  // divide(x: tensor<E> | tensor<S.., E>, y: tensor<E> | tensor<S.., E>) -> (z: tensor<S.., E>)
  irdl.operation @divide {
    %0 = irdl.base "!builtin.tensor"
    %1 = irdl.base "!builtin.tensor"
    %2 = irdl.base "!builtin.tensor"
    irdl.operands(x: %0, y: %1)
    irdl.results(z: %2)
  }
  // residual_add(x: T | tensor<S.., E>, branch: T | tensor<S.., E>) -> (y: T | tensor<S.., E>) where T: vector<_, _, _, _, _>
  irdl.operation @residual_add {
    %0 = irdl.any
    %1 = irdl.any
    %2 = irdl.any
    %3 = irdl.any
    %4 = irdl.any
    %T = irdl.parametric @fidelity::@vector<%0, %1, %2, %3, %4>
    %5 = irdl.base "!builtin.tensor"
    %6 = irdl.any_of(%T, %5)
    %7 = irdl.base "!builtin.tensor"
    %8 = irdl.any_of(%T, %7)
    %9 = irdl.base "!builtin.tensor"
    %10 = irdl.any_of(%T, %9)
    irdl.operands(x: %6, branch: %8)
    irdl.results(y: %10)
  }
  // multiply(x: vector<L, N, E, A, U> | state<L, N, E, A, U> | tensor<E> | tensor<S.., E>, y: vector<L, N, E, A, ""> | tensor<E> | tensor<S.., E>) -> (z: vector<L, N, E, A, U> | tensor<S.., E>)
  irdl.operation @multiply {
    %L = irdl.any
    %N = irdl.any
    %E = irdl.any
    %A = irdl.any
    %U = irdl.any
    %0 = irdl.parametric @fidelity::@vector<%L, %N, %E, %A, %U>
    %1 = irdl.parametric @fidelity::@state<%L, %N, %E, %A, %U>
    %2 = irdl.base "!builtin.tensor"
    %3 = irdl.any_of(%0, %1, %2)
    %4 = irdl.is ""
    %5 = irdl.parametric @fidelity::@vector<%L, %N, %E, %A, %4>
    %6 = irdl.base "!builtin.tensor"
    %7 = irdl.any_of(%5, %6)
    %8 = irdl.parametric @fidelity::@vector<%L, %N, %E, %A, %U>
    %9 = irdl.base "!builtin.tensor"
    %10 = irdl.any_of(%8, %9)
    irdl.operands(x: %3, y: %7)
    irdl.results(z: %10)
  }
  // multiply_units(x: vector<L, N, E, A, U>, y: vector<L, N, E, A, V>) {units: product<U, V, W>} -> (z: vector<L, N, E, A, W>)
  irdl.operation @multiply_units {
    %L = irdl.any
    %N = irdl.any
    %E = irdl.any
    %A = irdl.any
    %U = irdl.any
    %0 = irdl.parametric @fidelity::@vector<%L, %N, %E, %A, %U>
    %V = irdl.any
    %1 = irdl.parametric @fidelity::@vector<%L, %N, %E, %A, %V>
    %W = irdl.any
    %2 = irdl.parametric @fidelity::@vector<%L, %N, %E, %A, %W>
    %3 = irdl.parametric @fidelity::@product<%U, %V, %W>
    irdl.operands(x: %0, y: %1)
    irdl.attributes { "units" = %3 }
    irdl.results(z: %2)
  }
  // divide_units(x: vector<L, N, E, A, W>, y: vector<L, N, E, A, V>) {units: product<U, V, W>} -> (z: vector<L, N, E, A, U>)
  irdl.operation @divide_units {
    %L = irdl.any
    %N = irdl.any
    %E = irdl.any
    %A = irdl.any
    %W = irdl.any
    %0 = irdl.parametric @fidelity::@vector<%L, %N, %E, %A, %W>
    %V = irdl.any
    %1 = irdl.parametric @fidelity::@vector<%L, %N, %E, %A, %V>
    %U = irdl.any
    %2 = irdl.parametric @fidelity::@vector<%L, %N, %E, %A, %U>
    %3 = irdl.parametric @fidelity::@product<%U, %V, %W>
    irdl.operands(x: %0, y: %1)
    irdl.attributes { "units" = %3 }
    irdl.results(z: %2)
  }
  // gate(gate: vector<L, N, E, A, ""> | tensor<S.., E>, x: vector<L, N, E, A, U> | tensor<S.., E>) -> (y: vector<L, N, E, A, U> | tensor<S.., E>)
  irdl.operation @gate {
    %L = irdl.any
    %N = irdl.any
    %E = irdl.any
    %A = irdl.any
    %0 = irdl.is ""
    %1 = irdl.parametric @fidelity::@vector<%L, %N, %E, %A, %0>
    %2 = irdl.base "!builtin.tensor"
    %3 = irdl.any_of(%1, %2)
    %U = irdl.any
    %4 = irdl.parametric @fidelity::@vector<%L, %N, %E, %A, %U>
    %5 = irdl.base "!builtin.tensor"
    %6 = irdl.any_of(%4, %5)
    %7 = irdl.parametric @fidelity::@vector<%L, %N, %E, %A, %U>
    %8 = irdl.base "!builtin.tensor"
    %9 = irdl.any_of(%7, %8)
    irdl.operands(gate: %3, x: %6)
    irdl.results(y: %9)
  }
  // swiglu(gate: vector<L, N, E, A, ""> | tensor<S.., E>, up: vector<L, N, E, A, U> | tensor<S.., E>) -> (y: vector<L, N, E, A, U> | tensor<S.., E>)
  irdl.operation @swiglu {
    %L = irdl.any
    %N = irdl.any
    %E = irdl.any
    %A = irdl.any
    %0 = irdl.is ""
    %1 = irdl.parametric @fidelity::@vector<%L, %N, %E, %A, %0>
    %2 = irdl.base "!builtin.tensor"
    %3 = irdl.any_of(%1, %2)
    %U = irdl.any
    %4 = irdl.parametric @fidelity::@vector<%L, %N, %E, %A, %U>
    %5 = irdl.base "!builtin.tensor"
    %6 = irdl.any_of(%4, %5)
    %7 = irdl.parametric @fidelity::@vector<%L, %N, %E, %A, %U>
    %8 = irdl.base "!builtin.tensor"
    %9 = irdl.any_of(%7, %8)
    irdl.operands(gate: %3, up: %6)
    irdl.results(y: %9)
  }
  // relu2_glu(gate: vector<L, N, E, A, "">, up: vector<L, N, E, A, U>) -> (y: vector<L, N, E, A, U>)
  irdl.operation @relu2_glu {
    %L = irdl.any
    %N = irdl.any
    %E = irdl.any
    %A = irdl.any
    %0 = irdl.is ""
    %1 = irdl.parametric @fidelity::@vector<%L, %N, %E, %A, %0>
    %U = irdl.any
    %2 = irdl.parametric @fidelity::@vector<%L, %N, %E, %A, %U>
    %3 = irdl.parametric @fidelity::@vector<%L, %N, %E, %A, %U>
    irdl.operands(gate: %1, up: %2)
    irdl.results(y: %3)
  }
  // scale(x: vector<L, N, E, A, U> | tensor<S.., E>, factor: factor<E, U, V> | tensor<E>) -> (y: vector<L, N, E, A, V> | tensor<S.., E>)
  irdl.operation @scale {
    %L = irdl.any
    %N = irdl.any
    %E = irdl.any
    %A = irdl.any
    %U = irdl.any
    %0 = irdl.parametric @fidelity::@vector<%L, %N, %E, %A, %U>
    %1 = irdl.base "!builtin.tensor"
    %2 = irdl.any_of(%0, %1)
    %V = irdl.any
    %3 = irdl.parametric @fidelity::@factor<%E, %U, %V>
    %4 = irdl.base "!builtin.tensor"
    %5 = irdl.any_of(%3, %4)
    %6 = irdl.parametric @fidelity::@vector<%L, %N, %E, %A, %V>
    %7 = irdl.base "!builtin.tensor"
    %8 = irdl.any_of(%6, %7)
    irdl.operands(x: %2, factor: %5)
    irdl.results(y: %8)
  }
  // bias_add(x: vector<L, N, E, A, U>, bias: vector<[], N, E, A, U>) -> (y: vector<L, N, E, A, U>)
  irdl.operation @bias_add {
    %L = irdl.any
    %N = irdl.any
    %E = irdl.any
    %A = irdl.any
    %U = irdl.any
    %0 = irdl.parametric @fidelity::@vector<%L, %N, %E, %A, %U>
    %1 = irdl.is []
    %2 = irdl.parametric @fidelity::@vector<%1, %N, %E, %A, %U>
    %3 = irdl.parametric @fidelity::@vector<%L, %N, %E, %A, %U>
    irdl.operands(x: %0, bias: %2)
    irdl.results(y: %3)
  }
  // convert(x: vector<L, N, E, A, U> | tensor<S.., E>) -> (y: vector<L, N, F, A, U> | tensor<S.., F>)
  irdl.operation @convert {
    %L = irdl.any
    %N = irdl.any
    %E = irdl.any
    %A = irdl.any
    %U = irdl.any
    %0 = irdl.parametric @fidelity::@vector<%L, %N, %E, %A, %U>
    %1 = irdl.base "!builtin.tensor"
    %2 = irdl.any_of(%0, %1)
    %F = irdl.any
    %3 = irdl.parametric @fidelity::@vector<%L, %N, %F, %A, %U>
    %4 = irdl.base "!builtin.tensor"
    %5 = irdl.any_of(%3, %4)
    irdl.operands(x: %2)
    irdl.results(y: %5)
  }
  // ssm.state_update(state: state<L, N, E, A, U> | tensor<N, E>, input: scalar<L, E, V> | tensor<E>, a: coefficients<N, E, A, U, U> | tensor<N, E>, b: coefficients<N, E, A, V, U> | tensor<N, E>) -> (next: state<L, N, E, A, U> | tensor<N, E>) where E: float
  irdl.operation @ssm_state_update {
    %0 = irdl.is f16
    %1 = irdl.is bf16
    %2 = irdl.is f32
    %3 = irdl.is f64
    %4 = irdl.is f80
    %5 = irdl.is f128
    %E = irdl.any_of(%0, %1, %2, %3, %4, %5)
    %L = irdl.any
    %N = irdl.any
    %A = irdl.any
    %U = irdl.any
    %6 = irdl.parametric @fidelity::@state<%L, %N, %E, %A, %U>
    %7 = irdl.base "!builtin.tensor"
    %8 = irdl.any_of(%6, %7)
    %V = irdl.any
    %9 = irdl.parametric @fidelity::@scalar<%L, %E, %V>
    %10 = irdl.base "!builtin.tensor"
    %11 = irdl.any_of(%9, %10)
    %12 = irdl.parametric @fidelity::@coefficients<%N, %E, %A, %U, %U>
    %13 = irdl.base "!builtin.tensor"
    %14 = irdl.any_of(%12, %13)
    %15 = irdl.parametric @fidelity::@coefficients<%N, %E, %A, %V, %U>
    %16 = irdl.base "!builtin.tensor"
    %17 = irdl.any_of(%15, %16)
    %18 = irdl.parametric @fidelity::@state<%L, %N, %E, %A, %U>
    %19 = irdl.base "!builtin.tensor"
    %20 = irdl.any_of(%18, %19)
    irdl.operands(state: %8, input: %11, a: %14, b: %17)
    irdl.results(next: %20)
  }
  // ssm.output(state: state<L, N, E, A, U> | tensor<N, E>, c: coefficients<N, E, A, U, W> | tensor<N, E>) -> (y: scalar<L, E, W> | tensor<E>) where E: float
  irdl.operation @ssm_output {
    %0 = irdl.is f16
    %1 = irdl.is bf16
    %2 = irdl.is f32
    %3 = irdl.is f64
    %4 = irdl.is f80
    %5 = irdl.is f128
    %E = irdl.any_of(%0, %1, %2, %3, %4, %5)
    %L = irdl.any
    %N = irdl.any
    %A = irdl.any
    %U = irdl.any
    %6 = irdl.parametric @fidelity::@state<%L, %N, %E, %A, %U>
    %7 = irdl.base "!builtin.tensor"
    %8 = irdl.any_of(%6, %7)
    %W = irdl.any
    %9 = irdl.parametric @fidelity::@coefficients<%N, %E, %A, %U, %W>
    %10 = irdl.base "!builtin.tensor"
    %11 = irdl.any_of(%9, %10)
    %12 = irdl.parametric @fidelity::@scalar<%L, %E, %W>
    %13 = irdl.base "!builtin.tensor"
    %14 = irdl.any_of(%12, %13)
    irdl.operands(state: %8, c: %11)
    irdl.results(y: %14)
  }
  // ssm.scan(state: state<L, N, E, A, U> | tensor<N, E>, inputs: vector<L, T, E, Time, V> | tensor<T, E>, a: coefficients<N, E, A, U, U> | tensor<N, E>, b: coefficients<N, E, A, V, U> | tensor<N, E>, c: coefficients<N, E, A, U, W> | tensor<N, E>) -> (outputs: vector<L, T, E, Time, W> | tensor<T, E>, last: state<L, N, E, A, U> | tensor<N, E>) where E: float
  irdl.operation @ssm_scan {
    %0 = irdl.is f16
    %1 = irdl.is bf16
    %2 = irdl.is f32
    %3 = irdl.is f64
    %4 = irdl.is f80
    %5 = irdl.is f128
    %E = irdl.any_of(%0, %1, %2, %3, %4, %5)
    %L = irdl.any
    %N = irdl.any
    %A = irdl.any
    %U = irdl.any
    %6 = irdl.parametric @fidelity::@state<%L, %N, %E, %A, %U>
    %7 = irdl.base "!builtin.tensor"
    %8 = irdl.any_of(%6, %7)
    %T = irdl.any
    %Time = irdl.any
    %V = irdl.any
    %9 = irdl.parametric @fidelity::@vector<%L, %T, %E, %Time, %V>
    %10 = irdl.base "!builtin.tensor"
    %11 = irdl.any_of(%9, %10)
    %12 = irdl.parametric @fidelity::@coefficients<%N, %E, %A, %U, %U>
    %13 = irdl.base "!builtin.tensor"
    %14 = irdl.any_of(%12, %13)
    %15 = irdl.parametric @fidelity::@coefficients<%N, %E, %A, %V, %U>
    %16 = irdl.base "!builtin.tensor"
    %17 = irdl.any_of(%15, %16)
    %W = irdl.any
    %18 = irdl.parametric @fidelity::@coefficients<%N, %E, %A, %U, %W>
    %19 = irdl.base "!builtin.tensor"
    %20 = irdl.any_of(%18, %19)
    %21 = irdl.parametric @fidelity::@vector<%L, %T, %E, %Time, %W>
    %22 = irdl.base "!builtin.tensor"
    %23 = irdl.any_of(%21, %22)
    %24 = irdl.parametric @fidelity::@state<%L, %N, %E, %A, %U>
    %25 = irdl.base "!builtin.tensor"
    %26 = irdl.any_of(%24, %25)
    irdl.operands(state: %8, inputs: %11, a: %14, b: %17, c: %20)
    irdl.results(outputs: %23, last: %26)
  }
  // selective_scan(state: matrix_state<L, D, N, E, Channel, A, U> | tensor<L.., D, N, E>, x: vector<M, D, E, Channel, U> | tensor<M.., D, E>, step: vector<M, D, E, Channel, ""> | tensor<M.., D, E>, a: matrix<D, N, E, Channel, A, U, U> | tensor<D, N, E>, b: vector<M, N, E, A, ""> | tensor<M.., N, E>, c: vector<M, N, E, A, ""> | tensor<M.., N, E>) -> (y: vector<M, D, E, Channel, U> | tensor<M.., D, E>, last: matrix_state<L, D, N, E, Channel, A, U> | tensor<L.., D, N, E>, optional borders: tensor<L.., R, D, E>) where E: float
  irdl.operation @selective_scan {
    %0 = irdl.is f16
    %1 = irdl.is bf16
    %2 = irdl.is f32
    %3 = irdl.is f64
    %4 = irdl.is f80
    %5 = irdl.is f128
    %E = irdl.any_of(%0, %1, %2, %3, %4, %5)
    %L = irdl.any
    %D = irdl.any
    %N = irdl.any
    %Channel = irdl.any
    %A = irdl.any
    %U = irdl.any
    %6 = irdl.parametric @fidelity::@matrix_state<%L, %D, %N, %E, %Channel, %A, %U>
    %7 = irdl.base "!builtin.tensor"
    %8 = irdl.any_of(%6, %7)
    %M = irdl.any
    %9 = irdl.parametric @fidelity::@vector<%M, %D, %E, %Channel, %U>
    %10 = irdl.base "!builtin.tensor"
    %11 = irdl.any_of(%9, %10)
    %12 = irdl.is ""
    %13 = irdl.parametric @fidelity::@vector<%M, %D, %E, %Channel, %12>
    %14 = irdl.base "!builtin.tensor"
    %15 = irdl.any_of(%13, %14)
    %16 = irdl.parametric @fidelity::@matrix<%D, %N, %E, %Channel, %A, %U, %U>
    %17 = irdl.base "!builtin.tensor"
    %18 = irdl.any_of(%16, %17)
    %19 = irdl.is ""
    %20 = irdl.parametric @fidelity::@vector<%M, %N, %E, %A, %19>
    %21 = irdl.base "!builtin.tensor"
    %22 = irdl.any_of(%20, %21)
    %23 = irdl.is ""
    %24 = irdl.parametric @fidelity::@vector<%M, %N, %E, %A, %23>
    %25 = irdl.base "!builtin.tensor"
    %26 = irdl.any_of(%24, %25)
    %27 = irdl.parametric @fidelity::@vector<%M, %D, %E, %Channel, %U>
    %28 = irdl.base "!builtin.tensor"
    %29 = irdl.any_of(%27, %28)
    %30 = irdl.parametric @fidelity::@matrix_state<%L, %D, %N, %E, %Channel, %A, %U>
    %31 = irdl.base "!builtin.tensor"
    %32 = irdl.any_of(%30, %31)
    %33 = irdl.base "!builtin.tensor"
    irdl.operands(state: %8, x: %11, step: %15, a: %18, b: %22, c: %26)
    irdl.results(y: %29, last: %32, borders: optional %33)
  }
  // linear_scan(state: state<L, N, E, A, U> | tensor<L.., N, E>, decay: vector<M, N, E, A, ""> | tensor<M.., N, E>, input: vector<M, N, E, A, U> | tensor<M.., N, E>) -> (states: vector<M, N, E, A, U> | tensor<M.., N, E>, last: state<L, N, E, A, U> | tensor<L.., N, E>) where E: float
  irdl.operation @linear_scan {
    %0 = irdl.is f16
    %1 = irdl.is bf16
    %2 = irdl.is f32
    %3 = irdl.is f64
    %4 = irdl.is f80
    %5 = irdl.is f128
    %E = irdl.any_of(%0, %1, %2, %3, %4, %5)
    %L = irdl.any
    %N = irdl.any
    %A = irdl.any
    %U = irdl.any
    %6 = irdl.parametric @fidelity::@state<%L, %N, %E, %A, %U>
    %7 = irdl.base "!builtin.tensor"
    %8 = irdl.any_of(%6, %7)
    %M = irdl.any
    %9 = irdl.is ""
    %10 = irdl.parametric @fidelity::@vector<%M, %N, %E, %A, %9>
    %11 = irdl.base "!builtin.tensor"
    %12 = irdl.any_of(%10, %11)
    %13 = irdl.parametric @fidelity::@vector<%M, %N, %E, %A, %U>
    %14 = irdl.base "!builtin.tensor"
    %15 = irdl.any_of(%13, %14)
    %16 = irdl.parametric @fidelity::@vector<%M, %N, %E, %A, %U>
    %17 = irdl.base "!builtin.tensor"
    %18 = irdl.any_of(%16, %17)
    %19 = irdl.parametric @fidelity::@state<%L, %N, %E, %A, %U>
    %20 = irdl.base "!builtin.tensor"
    %21 = irdl.any_of(%19, %20)
    irdl.operands(state: %8, decay: %12, input: %15)
    irdl.results(states: %18, last: %21)
  }
  // mlgru.step(state: state<L, N, E, A, U> | tensor<L.., N, E>, forget: vector<L, N, E, A, ""> | tensor<L.., N, E>, candidate: vector<L, N, E, A, U> | tensor<L.., N, E>, gate: vector<L, N, E, A, ""> | tensor<L.., N, E>) -> (output: vector<L, N, E, A, U> | tensor<L.., N, E>, next: state<L, N, E, A, U> | tensor<L.., N, E>) where E: float
  irdl.operation @mlgru_step {
    %0 = irdl.is f16
    %1 = irdl.is bf16
    %2 = irdl.is f32
    %3 = irdl.is f64
    %4 = irdl.is f80
    %5 = irdl.is f128
    %E = irdl.any_of(%0, %1, %2, %3, %4, %5)
    %L = irdl.any
    %N = irdl.any
    %A = irdl.any
    %U = irdl.any
    %6 = irdl.parametric @fidelity::@state<%L, %N, %E, %A, %U>
    %7 = irdl.base "!builtin.tensor"
    %8 = irdl.any_of(%6, %7)
    %9 = irdl.is ""
    %10 = irdl.parametric @fidelity::@vector<%L, %N, %E, %A, %9>
    %11 = irdl.base "!builtin.tensor"
    %12 = irdl.any_of(%10, %11)
    %13 = irdl.parametric @fidelity::@vector<%L, %N, %E, %A, %U>
    %14 = irdl.base "!builtin.tensor"
    %15 = irdl.any_of(%13, %14)
    %16 = irdl.is ""
    %17 = irdl.parametric @fidelity::@vector<%L, %N, %E, %A, %16>
    %18 = irdl.base "!builtin.tensor"
    %19 = irdl.any_of(%17, %18)
    %20 = irdl.parametric @fidelity::@vector<%L, %N, %E, %A, %U>
    %21 = irdl.base "!builtin.tensor"
    %22 = irdl.any_of(%20, %21)
    %23 = irdl.parametric @fidelity::@state<%L, %N, %E, %A, %U>
    %24 = irdl.base "!builtin.tensor"
    %25 = irdl.any_of(%23, %24)
    irdl.operands(state: %8, forget: %12, candidate: %15, gate: %19)
    irdl.results(output: %22, next: %25)
  }
  // mlgru.scan(state: state<L, N, E, A, U> | tensor<L.., N, E>, forget: vector<M, N, E, A, ""> | tensor<M.., N, E>, candidate: vector<M, N, E, A, U> | tensor<M.., N, E>, gate: vector<M, N, E, A, ""> | tensor<M.., N, E>) -> (outputs: vector<M, N, E, A, U> | tensor<M.., N, E>, last: state<L, N, E, A, U> | tensor<L.., N, E>) where E: float
  irdl.operation @mlgru_scan {
    %0 = irdl.is f16
    %1 = irdl.is bf16
    %2 = irdl.is f32
    %3 = irdl.is f64
    %4 = irdl.is f80
    %5 = irdl.is f128
    %E = irdl.any_of(%0, %1, %2, %3, %4, %5)
    %L = irdl.any
    %N = irdl.any
    %A = irdl.any
    %U = irdl.any
    %6 = irdl.parametric @fidelity::@state<%L, %N, %E, %A, %U>
    %7 = irdl.base "!builtin.tensor"
    %8 = irdl.any_of(%6, %7)
    %M = irdl.any
    %9 = irdl.is ""
    %10 = irdl.parametric @fidelity::@vector<%M, %N, %E, %A, %9>
    %11 = irdl.base "!builtin.tensor"
    %12 = irdl.any_of(%10, %11)
    %13 = irdl.parametric @fidelity::@vector<%M, %N, %E, %A, %U>
    %14 = irdl.base "!builtin.tensor"
    %15 = irdl.any_of(%13, %14)
    %16 = irdl.is ""
    %17 = irdl.parametric @fidelity::@vector<%M, %N, %E, %A, %16>
    %18 = irdl.base "!builtin.tensor"
    %19 = irdl.any_of(%17, %18)
    %20 = irdl.parametric @fidelity::@vector<%M, %N, %E, %A, %U>
    %21 = irdl.base "!builtin.tensor"
    %22 = irdl.any_of(%20, %21)
    %23 = irdl.parametric @fidelity::@state<%L, %N, %E, %A, %U>
    %24 = irdl.base "!builtin.tensor"
    %25 = irdl.any_of(%23, %24)
    irdl.operands(state: %8, forget: %12, candidate: %15, gate: %19)
    irdl.results(outputs: %22, last: %25)
  }
  // linear_attention.state_update(state: matrix_state<L, K, V, E, Key, Val, U> | tensor<L.., K, V, E>, normalizer: state<L, K, E, Key, ""> | tensor<L.., K, E>, key: vector<L, K, E, Key, ""> | tensor<L.., K, E>, value: vector<L, V, E, Val, U> | tensor<L.., V, E>, optional decay: scalar<L, E, ""> | tensor<L.., E>) -> (next: matrix_state<L, K, V, E, Key, Val, U> | tensor<L.., K, V, E>, next_normalizer: state<L, K, E, Key, ""> | tensor<L.., K, E>) where E: float
  irdl.operation @linear_attention_state_update {
    %0 = irdl.is f16
    %1 = irdl.is bf16
    %2 = irdl.is f32
    %3 = irdl.is f64
    %4 = irdl.is f80
    %5 = irdl.is f128
    %E = irdl.any_of(%0, %1, %2, %3, %4, %5)
    %L = irdl.any
    %K = irdl.any
    %V = irdl.any
    %Key = irdl.any
    %Val = irdl.any
    %U = irdl.any
    %6 = irdl.parametric @fidelity::@matrix_state<%L, %K, %V, %E, %Key, %Val, %U>
    %7 = irdl.base "!builtin.tensor"
    %8 = irdl.any_of(%6, %7)
    %9 = irdl.is ""
    %10 = irdl.parametric @fidelity::@state<%L, %K, %E, %Key, %9>
    %11 = irdl.base "!builtin.tensor"
    %12 = irdl.any_of(%10, %11)
    %13 = irdl.is ""
    %14 = irdl.parametric @fidelity::@vector<%L, %K, %E, %Key, %13>
    %15 = irdl.base "!builtin.tensor"
    %16 = irdl.any_of(%14, %15)
    %17 = irdl.parametric @fidelity::@vector<%L, %V, %E, %Val, %U>
    %18 = irdl.base "!builtin.tensor"
    %19 = irdl.any_of(%17, %18)
    %20 = irdl.is ""
    %21 = irdl.parametric @fidelity::@scalar<%L, %E, %20>
    %22 = irdl.base "!builtin.tensor"
    %23 = irdl.any_of(%21, %22)
    %24 = irdl.parametric @fidelity::@matrix_state<%L, %K, %V, %E, %Key, %Val, %U>
    %25 = irdl.base "!builtin.tensor"
    %26 = irdl.any_of(%24, %25)
    %27 = irdl.is ""
    %28 = irdl.parametric @fidelity::@state<%L, %K, %E, %Key, %27>
    %29 = irdl.base "!builtin.tensor"
    %30 = irdl.any_of(%28, %29)
    irdl.operands(state: %8, normalizer: %12, key: %16, value: %19, decay: optional %23)
    irdl.results(next: %26, next_normalizer: %30)
  }
  // linear_attention.output(state: matrix_state<L, K, V, E, Key, Val, U> | tensor<L.., K, V, E>, normalizer: state<L, K, E, Key, ""> | tensor<L.., K, E>, query: vector<L, K, E, Key, ""> | tensor<L.., K, E>) {eps: float} -> (y: vector<L, V, E, Val, U> | tensor<L.., V, E>) where E: float
  irdl.operation @linear_attention_output {
    %0 = irdl.is f16
    %1 = irdl.is bf16
    %2 = irdl.is f32
    %3 = irdl.is f64
    %4 = irdl.is f80
    %5 = irdl.is f128
    %E = irdl.any_of(%0, %1, %2, %3, %4, %5)
    %L = irdl.any
    %K = irdl.any
    %V = irdl.any
    %Key = irdl.any
    %Val = irdl.any
    %U = irdl.any
    %6 = irdl.parametric @fidelity::@matrix_state<%L, %K, %V, %E, %Key, %Val, %U>
    %7 = irdl.base "!builtin.tensor"
    %8 = irdl.any_of(%6, %7)
    %9 = irdl.is ""
    %10 = irdl.parametric @fidelity::@state<%L, %K, %E, %Key, %9>
    %11 = irdl.base "!builtin.tensor"
    %12 = irdl.any_of(%10, %11)
    %13 = irdl.is ""
    %14 = irdl.parametric @fidelity::@vector<%L, %K, %E, %Key, %13>
    %15 = irdl.base "!builtin.tensor"
    %16 = irdl.any_of(%14, %15)
    %17 = irdl.parametric @fidelity::@vector<%L, %V, %E, %Val, %U>
    %18 = irdl.base "!builtin.tensor"
    %19 = irdl.any_of(%17, %18)
    %20 = irdl.base "#builtin.float"
    irdl.operands(state: %8, normalizer: %12, query: %16)
    irdl.attributes { "eps" = %20 }
    irdl.results(y: %19)
  }
  // linear_attention.scan(state: matrix_state<L, K, V, E, Key, Val, U>, normalizer: state<L, K, E, Key, "">, query: vector<M, K, E, Key, "">, key: vector<M, K, E, Key, "">, value: vector<M, V, E, Val, U>) {eps: float} -> (outputs: vector<M, V, E, Val, U>, last: matrix_state<L, K, V, E, Key, Val, U>, last_normalizer: state<L, K, E, Key, "">) where E: float
  irdl.operation @linear_attention_scan {
    %0 = irdl.is f16
    %1 = irdl.is bf16
    %2 = irdl.is f32
    %3 = irdl.is f64
    %4 = irdl.is f80
    %5 = irdl.is f128
    %E = irdl.any_of(%0, %1, %2, %3, %4, %5)
    %L = irdl.any
    %K = irdl.any
    %V = irdl.any
    %Key = irdl.any
    %Val = irdl.any
    %U = irdl.any
    %6 = irdl.parametric @fidelity::@matrix_state<%L, %K, %V, %E, %Key, %Val, %U>
    %7 = irdl.is ""
    %8 = irdl.parametric @fidelity::@state<%L, %K, %E, %Key, %7>
    %M = irdl.any
    %9 = irdl.is ""
    %10 = irdl.parametric @fidelity::@vector<%M, %K, %E, %Key, %9>
    %11 = irdl.is ""
    %12 = irdl.parametric @fidelity::@vector<%M, %K, %E, %Key, %11>
    %13 = irdl.parametric @fidelity::@vector<%M, %V, %E, %Val, %U>
    %14 = irdl.parametric @fidelity::@vector<%M, %V, %E, %Val, %U>
    %15 = irdl.parametric @fidelity::@matrix_state<%L, %K, %V, %E, %Key, %Val, %U>
    %16 = irdl.is ""
    %17 = irdl.parametric @fidelity::@state<%L, %K, %E, %Key, %16>
    %18 = irdl.base "#builtin.float"
    irdl.operands(state: %6, normalizer: %8, query: %10, key: %12, value: %13)
    irdl.attributes { "eps" = %18 }
    irdl.results(outputs: %14, last: %15, last_normalizer: %17)
  }
  // short_convolution(history: matrix_state<L, K, N, E, Tap, A, U>, x: vector<M, N, E, A, U>, kernel: matrix<N, K, E, A, Tap, U, V>) -> (y: vector<M, N, E, A, V>, last: matrix_state<L, K, N, E, Tap, A, U>) where E: float
  irdl.operation @short_convolution {
    %0 = irdl.is f16
    %1 = irdl.is bf16
    %2 = irdl.is f32
    %3 = irdl.is f64
    %4 = irdl.is f80
    %5 = irdl.is f128
    %E = irdl.any_of(%0, %1, %2, %3, %4, %5)
    %L = irdl.any
    %K = irdl.any
    %N = irdl.any
    %Tap = irdl.any
    %A = irdl.any
    %U = irdl.any
    %6 = irdl.parametric @fidelity::@matrix_state<%L, %K, %N, %E, %Tap, %A, %U>
    %M = irdl.any
    %7 = irdl.parametric @fidelity::@vector<%M, %N, %E, %A, %U>
    %V = irdl.any
    %8 = irdl.parametric @fidelity::@matrix<%N, %K, %E, %A, %Tap, %U, %V>
    %9 = irdl.parametric @fidelity::@vector<%M, %N, %E, %A, %V>
    %10 = irdl.parametric @fidelity::@matrix_state<%L, %K, %N, %E, %Tap, %A, %U>
    irdl.operands(history: %6, x: %7, kernel: %8)
    irdl.results(y: %9, last: %10)
  }
  // embedding(ids: tokens<L, Vocab> | tensor<L.., i64>, table: matrix<N, K, E, Vocab, Hidden, F, U> | tensor<N, K, E>) -> (x: vector<L, K, E, Hidden, U> | tensor<L.., K, E>)
  irdl.operation @embedding {
    %L = irdl.any
    %Vocab = irdl.any
    %0 = irdl.parametric @fidelity::@tokens<%L, %Vocab>
    %1 = irdl.base "!builtin.tensor"
    %2 = irdl.any_of(%0, %1)
    %N = irdl.any
    %K = irdl.any
    %E = irdl.any
    %Hidden = irdl.any
    %F = irdl.any
    %U = irdl.any
    %3 = irdl.parametric @fidelity::@matrix<%N, %K, %E, %Vocab, %Hidden, %F, %U>
    %4 = irdl.base "!builtin.tensor"
    %5 = irdl.any_of(%3, %4)
    %6 = irdl.parametric @fidelity::@vector<%L, %K, %E, %Hidden, %U>
    %7 = irdl.base "!builtin.tensor"
    %8 = irdl.any_of(%6, %7)
    irdl.operands(ids: %2, table: %5)
    irdl.results(x: %8)
  }
  // rope(x: vector<L, N, E, A, U> | tensor<L.., N, E>, optional positions: tokens<L, P> | tensor<L.., i64>) {base: float} -> (y: vector<L, N, E, A, U> | tensor<L.., N, E>) where E: float
  irdl.operation @rope {
    %0 = irdl.is f16
    %1 = irdl.is bf16
    %2 = irdl.is f32
    %3 = irdl.is f64
    %4 = irdl.is f80
    %5 = irdl.is f128
    %E = irdl.any_of(%0, %1, %2, %3, %4, %5)
    %L = irdl.any
    %N = irdl.any
    %A = irdl.any
    %U = irdl.any
    %6 = irdl.parametric @fidelity::@vector<%L, %N, %E, %A, %U>
    %7 = irdl.base "!builtin.tensor"
    %8 = irdl.any_of(%6, %7)
    %P = irdl.any
    %9 = irdl.parametric @fidelity::@tokens<%L, %P>
    %10 = irdl.base "!builtin.tensor"
    %11 = irdl.any_of(%9, %10)
    %12 = irdl.parametric @fidelity::@vector<%L, %N, %E, %A, %U>
    %13 = irdl.base "!builtin.tensor"
    %14 = irdl.any_of(%12, %13)
    %15 = irdl.base "#builtin.float"
    irdl.operands(x: %8, positions: optional %11)
    irdl.attributes { "base" = %15 }
    irdl.results(y: %14)
  }
  // attention(query: vector<L, K, E, Key, "">, keys: matrix_state<C, T, K, E, Time, Key, "">, values: matrix_state<C, T, V, E, Time, Val, U>) {scale: float} -> (y: vector<L, V, E, Val, U>) where E: float
  irdl.operation @attention {
    %0 = irdl.is f16
    %1 = irdl.is bf16
    %2 = irdl.is f32
    %3 = irdl.is f64
    %4 = irdl.is f80
    %5 = irdl.is f128
    %E = irdl.any_of(%0, %1, %2, %3, %4, %5)
    %L = irdl.any
    %K = irdl.any
    %Key = irdl.any
    %6 = irdl.is ""
    %7 = irdl.parametric @fidelity::@vector<%L, %K, %E, %Key, %6>
    %C = irdl.any
    %T = irdl.any
    %Time = irdl.any
    %8 = irdl.is ""
    %9 = irdl.parametric @fidelity::@matrix_state<%C, %T, %K, %E, %Time, %Key, %8>
    %V = irdl.any
    %Val = irdl.any
    %U = irdl.any
    %10 = irdl.parametric @fidelity::@matrix_state<%C, %T, %V, %E, %Time, %Val, %U>
    %11 = irdl.parametric @fidelity::@vector<%L, %V, %E, %Val, %U>
    %12 = irdl.base "#builtin.float"
    irdl.operands(query: %7, keys: %9, values: %10)
    irdl.attributes { "scale" = %12 }
    irdl.results(y: %11)
  }
  // block_embedding(ids: tensor<L.., i64>, table: tensor<N, R, i8>) {format: string, columns: integer} -> (x: tensor<L.., K, E>) where E: float
  irdl.operation @block_embedding {
    %0 = irdl.is f16
    %1 = irdl.is bf16
    %2 = irdl.is f32
    %3 = irdl.is f64
    %4 = irdl.is f80
    %5 = irdl.is f128
    %E = irdl.any_of(%0, %1, %2, %3, %4, %5)
    %6 = irdl.base "!builtin.tensor"
    %7 = irdl.base "!builtin.tensor"
    %8 = irdl.base "!builtin.tensor"
    %9 = irdl.base "#builtin.string"
    %10 = irdl.base "#builtin.integer"
    irdl.operands(ids: %6, table: %7)
    irdl.attributes { "format" = %9, "columns" = %10 }
    irdl.results(x: %8)
  }
  // rotate(x: tensor<B, T, H, D, E>, cos: tensor<T, F, E>, sin: tensor<T, F, E>) -> (y: tensor<B, T, H, D, E>) where E: float
  irdl.operation @rotate {
    %0 = irdl.is f16
    %1 = irdl.is bf16
    %2 = irdl.is f32
    %3 = irdl.is f64
    %4 = irdl.is f80
    %5 = irdl.is f128
    %E = irdl.any_of(%0, %1, %2, %3, %4, %5)
    %6 = irdl.base "!builtin.tensor"
    %7 = irdl.base "!builtin.tensor"
    %8 = irdl.base "!builtin.tensor"
    %9 = irdl.base "!builtin.tensor"
    irdl.operands(x: %6, cos: %7, sin: %8)
    irdl.results(y: %9)
  }
  // cached_attention(query: tensor<B, T, H, D, E>, key: tensor<B, T, G, D, E>, value: tensor<B, T, G, D, E>, keys: tensor<B, S, G, D, E>, values: tensor<B, S, G, D, E>, position: tensor<i64>) {scale: float} -> (y: tensor<B, T, H, D, E>, next_keys: tensor<B, S, G, D, E>, next_values: tensor<B, S, G, D, E>) where E: float
  irdl.operation @cached_attention {
    %0 = irdl.is f16
    %1 = irdl.is bf16
    %2 = irdl.is f32
    %3 = irdl.is f64
    %4 = irdl.is f80
    %5 = irdl.is f128
    %E = irdl.any_of(%0, %1, %2, %3, %4, %5)
    %6 = irdl.base "!builtin.tensor"
    %7 = irdl.base "!builtin.tensor"
    %8 = irdl.base "!builtin.tensor"
    %9 = irdl.base "!builtin.tensor"
    %10 = irdl.base "!builtin.tensor"
    %11 = irdl.base "!builtin.tensor"
    %12 = irdl.base "!builtin.tensor"
    %13 = irdl.base "!builtin.tensor"
    %14 = irdl.base "!builtin.tensor"
    %15 = irdl.base "#builtin.float"
    irdl.operands(query: %6, key: %7, value: %8, keys: %9, values: %10, position: %11)
    irdl.attributes { "scale" = %15 }
    irdl.results(y: %12, next_keys: %13, next_values: %14)
  }
  // cross_entropy(logits: vector<L, N, E, Vocab, ""> | tensor<L.., N, E>, labels: tokens<L, Vocab> | tensor<L.., i64>) -> (loss: scalar<[], E, ""> | tensor<E>, optional log_sums: tensor<L.., E>) where E: float
  irdl.operation @cross_entropy {
    %0 = irdl.is f16
    %1 = irdl.is bf16
    %2 = irdl.is f32
    %3 = irdl.is f64
    %4 = irdl.is f80
    %5 = irdl.is f128
    %E = irdl.any_of(%0, %1, %2, %3, %4, %5)
    %L = irdl.any
    %N = irdl.any
    %Vocab = irdl.any
    %6 = irdl.is ""
    %7 = irdl.parametric @fidelity::@vector<%L, %N, %E, %Vocab, %6>
    %8 = irdl.base "!builtin.tensor"
    %9 = irdl.any_of(%7, %8)
    %10 = irdl.parametric @fidelity::@tokens<%L, %Vocab>
    %11 = irdl.base "!builtin.tensor"
    %12 = irdl.any_of(%10, %11)
    %13 = irdl.is []
    %14 = irdl.is ""
    %15 = irdl.parametric @fidelity::@scalar<%13, %E, %14>
    %16 = irdl.base "!builtin.tensor"
    %17 = irdl.any_of(%15, %16)
    %18 = irdl.base "!builtin.tensor"
    irdl.operands(logits: %9, labels: %12)
    irdl.results(loss: %17, log_sums: optional %18)
  }
  // argmax(logits: vector<L, N, E, Vocab, U> | tensor<L.., N, E>) -> (ids: tokens<L, Vocab> | tensor<L.., i64>)
  irdl.operation @argmax {
    %L = irdl.any
    %N = irdl.any
    %E = irdl.any
    %Vocab = irdl.any
    %U = irdl.any
    %0 = irdl.parametric @fidelity::@vector<%L, %N, %E, %Vocab, %U>
    %1 = irdl.base "!builtin.tensor"
    %2 = irdl.any_of(%0, %1)
    %3 = irdl.parametric @fidelity::@tokens<%L, %Vocab>
    %4 = irdl.base "!builtin.tensor"
    %5 = irdl.any_of(%3, %4)
    irdl.operands(logits: %2)
    irdl.results(ids: %5)
  }
  // sum(x: vector<L, N, E, A, U> | tensor<L.., N, E>) -> (y: scalar<L, E, U> | tensor<L.., E>)
  irdl.operation @sum {
    %L = irdl.any
    %N = irdl.any
    %E = irdl.any
    %A = irdl.any
    %U = irdl.any
    %0 = irdl.parametric @fidelity::@vector<%L, %N, %E, %A, %U>
    %1 = irdl.base "!builtin.tensor"
    %2 = irdl.any_of(%0, %1)
    %3 = irdl.parametric @fidelity::@scalar<%L, %E, %U>
    %4 = irdl.base "!builtin.tensor"
    %5 = irdl.any_of(%3, %4)
    irdl.operands(x: %2)
    irdl.results(y: %5)
  }
  // dot(x: vector<L, N, E, A, U>, y: vector<L, N, E, A, V>) {units: product<U, V, W>} -> (z: scalar<L, E, W>)
  irdl.operation @dot {
    %L = irdl.any
    %N = irdl.any
    %E = irdl.any
    %A = irdl.any
    %U = irdl.any
    %0 = irdl.parametric @fidelity::@vector<%L, %N, %E, %A, %U>
    %V = irdl.any
    %1 = irdl.parametric @fidelity::@vector<%L, %N, %E, %A, %V>
    %W = irdl.any
    %2 = irdl.parametric @fidelity::@scalar<%L, %E, %W>
    %3 = irdl.parametric @fidelity::@product<%U, %V, %W>
    irdl.operands(x: %0, y: %1)
    irdl.attributes { "units" = %3 }
    irdl.results(z: %2)
  }
  // read_state(state: state<L, N, E, A, U>) -> (x: vector<L, N, E, A, U>)
  irdl.operation @read_state {
    %L = irdl.any
    %N = irdl.any
    %E = irdl.any
    %A = irdl.any
    %U = irdl.any
    %0 = irdl.parametric @fidelity::@state<%L, %N, %E, %A, %U>
    %1 = irdl.parametric @fidelity::@vector<%L, %N, %E, %A, %U>
    irdl.operands(state: %0)
    irdl.results(x: %1)
  }
  // write_state(x: vector<L, N, E, A, U>) -> (state: state<L, N, E, A, U>)
  irdl.operation @write_state {
    %L = irdl.any
    %N = irdl.any
    %E = irdl.any
    %A = irdl.any
    %U = irdl.any
    %0 = irdl.parametric @fidelity::@vector<%L, %N, %E, %A, %U>
    %1 = irdl.parametric @fidelity::@state<%L, %N, %E, %A, %U>
    irdl.operands(x: %0)
    irdl.results(state: %1)
  }
  // rename_axis(x: vector<L, N, E, A, U>) -> (y: vector<L, N, E, B, U>)
  irdl.operation @rename_axis {
    %L = irdl.any
    %N = irdl.any
    %E = irdl.any
    %A = irdl.any
    %U = irdl.any
    %0 = irdl.parametric @fidelity::@vector<%L, %N, %E, %A, %U>
    %B = irdl.any
    %1 = irdl.parametric @fidelity::@vector<%L, %N, %E, %B, %U>
    irdl.operands(x: %0)
    irdl.results(y: %1)
  }
  // split_heads(x: vector<L, N, E, A, U>) {heads: integer} -> (y: vector<M, K, E, B, U>)
  irdl.operation @split_heads {
    %L = irdl.any
    %N = irdl.any
    %E = irdl.any
    %A = irdl.any
    %U = irdl.any
    %0 = irdl.parametric @fidelity::@vector<%L, %N, %E, %A, %U>
    %M = irdl.any
    %K = irdl.any
    %B = irdl.any
    %1 = irdl.parametric @fidelity::@vector<%M, %K, %E, %B, %U>
    %2 = irdl.base "#builtin.integer"
    irdl.operands(x: %0)
    irdl.attributes { "heads" = %2 }
    irdl.results(y: %1)
  }
  // merge_heads(x: vector<M, K, E, B, U>) -> (y: vector<L, N, E, A, U>)
  irdl.operation @merge_heads {
    %M = irdl.any
    %K = irdl.any
    %E = irdl.any
    %B = irdl.any
    %U = irdl.any
    %0 = irdl.parametric @fidelity::@vector<%M, %K, %E, %B, %U>
    %L = irdl.any
    %N = irdl.any
    %A = irdl.any
    %1 = irdl.parametric @fidelity::@vector<%L, %N, %E, %A, %U>
    irdl.operands(x: %0)
    irdl.results(y: %1)
  }
}
