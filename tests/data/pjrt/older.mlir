module @older {
  func.func public @main(%x: tensor<3x2xf32>, %rows: tensor<2x1xi32>) -> tensor<3x2xf32> {
    %named = "stablehlo.gather"(%x, %rows) <{dimension_numbers = #stablehlo.gather<offset_dims = [1], collapsed_slice_dims = [0], start_index_map = [0], index_vector_dim = 1>, slice_sizes = array<i64: 1, 2>}> : (tensor<3x2xf32>, tensor<2x1xi32>) -> tensor<2x2xf32>
    %products = stablehlo.dot_general %named, %named, contracting_dims = [1] x [1] : (tensor<2x2xf32>, tensor<2x2xf32>) -> tensor<2x2xf32>
    %sums = "stablehlo.scatter"(%x, %rows, %products) <{scatter_dimension_numbers = #stablehlo.scatter<update_window_dims = [1], inserted_window_dims = [0], scatter_dims_to_operand_dims = [0], index_vector_dim = 1>}> ({
    ^bb0(%one: tensor<f32>, %other: tensor<f32>):
      %sum = stablehlo.add %one, %other : tensor<f32>
      stablehlo.return %sum : tensor<f32>
    }) : (tensor<3x2xf32>, tensor<2x1xi32>, tensor<2x2xf32>) -> tensor<3x2xf32>
    %root = stablehlo.sqrt %x : tensor<3x2xf32>
    %result = stablehlo.add %sums, %root : tensor<3x2xf32>
    return %result : tensor<3x2xf32>
  }
}
