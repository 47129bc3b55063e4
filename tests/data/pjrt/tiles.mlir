module @tiles {
  func.func public @main(%x: tensor<8x128xf32> {mhlo.layout_mode = "{1,0:T(8,128)}"}) -> tensor<8x128xf32> {
    return %x : tensor<8x128xf32>
  }
}
