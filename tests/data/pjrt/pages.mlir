module @pages {
  func.func public @main(%x: tensor<8192xf32> {tf.aliasing_output = 0 : i32}, %y: tensor<8192xf32>) -> tensor<8192xf32> {
    %sum = stablehlo.add %x, %y : tensor<8192xf32>
    %product = stablehlo.multiply %sum, %x : tensor<8192xf32>
    return %product : tensor<8192xf32>
  }
}
