module @layouts {
  func.func public @main(
    %x: tensor<2x3xf32> {mhlo.layout_mode = "{0,1}"},
    %y: tensor<2x3xf32> {mhlo.layout_mode = "default", jax.buffer_donor = true}
  ) -> (
    tensor<2x3xf32> {mhlo.layout_mode = "{0,1}"},
    tensor<3x2xf32> {mhlo.layout_mode = "auto"},
    tensor<2x3xf32> {mhlo.layout_mode = "{0,1}"},
    tensor<2x3xf32> {mhlo.layout_mode = "{0,1}"}
  ) {
    %sum = stablehlo.add %x, %y : tensor<2x3xf32>
    %transposed = stablehlo.transpose %x, dims = [1, 0] : (tensor<2x3xf32>) -> tensor<3x2xf32>
    return %sum, %transposed, %x, %y : tensor<2x3xf32>, tensor<3x2xf32>, tensor<2x3xf32>, tensor<2x3xf32>
  }
}
