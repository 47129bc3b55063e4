module @all_ops attributes {mhlo.num_partitions = 2 : i32, mhlo.num_replicas = 1 : i32, a.unit, a.float = 1.5 : f32, a.double = 0.1 : f64, a.neg = -3 : i8, a.list = [1, "two", true, @sum], a.type = tensor<?x3xf8E4M3FN>, a.dict = {x = dense<[1, 2]> : tensor<2xi16>, y = array<i64: 1, -2>}, a.bools = array<i1: true, false>, a.floats = array<f32: 1.0, 2.5>, a.index = 3 : index, a.big = 18446744073709551615 : ui64, a.bf = 1.5 : bf16, a.f8 = 0.5 : f8E5M2} {
  func.func public @main(%f: tensor<4x4xf32>, %i: tensor<4x4xi32>, %b: tensor<4x4xi1>, %c: tensor<4x4xcomplex<f32>>, %s: tensor<f32>, %si: tensor<i32>, %u: tensor<4x4xui8>, %token: !stablehlo.token) -> (tensor<4x4xf32>, !stablehlo.token) {
    %0 = stablehlo.abs %f : tensor<4x4xf32>
    %1 = stablehlo.cbrt %f : tensor<4x4xf32>
    %2 = stablehlo.ceil %f : tensor<4x4xf32>
    %3 = stablehlo.count_leading_zeros %i : tensor<4x4xi32>
    %4 = stablehlo.cosine %f : tensor<4x4xf32>
    // Since 1.9.0.
    %5 = stablehlo.exponential %f {result_accuracy = #stablehlo.result_accuracy<atol = 1.000000e-05, rtol = 0.000000e+00, ulps = 1, mode = #stablehlo.result_accuracy_mode<TOLERANCE>>} : tensor<4x4xf32>
    // Since 1.10.0.
    %6 = stablehlo.exponential_minus_one %f {result_accuracy = #stablehlo.result_accuracy<mode = #stablehlo.result_accuracy_mode<HIGHEST>>} : tensor<4x4xf32>
    %7 = stablehlo.floor %f : tensor<4x4xf32>
    %8 = stablehlo.imag %c : (tensor<4x4xcomplex<f32>>) -> tensor<4x4xf32>
    %9 = stablehlo.is_finite %f : (tensor<4x4xf32>) -> tensor<4x4xi1>
    %10 = stablehlo.log %f : tensor<4x4xf32>
    %11 = stablehlo.log_plus_one %f : tensor<4x4xf32>
    %12 = stablehlo.logistic %f : tensor<4x4xf32>
    %13 = stablehlo.negate %f : tensor<4x4xf32>
    %14 = stablehlo.not %i : tensor<4x4xi32>
    %15 = stablehlo.popcnt %i : tensor<4x4xi32>
    %16 = stablehlo.real %c : (tensor<4x4xcomplex<f32>>) -> tensor<4x4xf32>
    %17 = stablehlo.round_nearest_afz %f : tensor<4x4xf32>
    %18 = stablehlo.round_nearest_even %f : tensor<4x4xf32>
    %19 = stablehlo.rsqrt %f : tensor<4x4xf32>
    %20 = stablehlo.sign %f : tensor<4x4xf32>
    %21 = stablehlo.sine %f : tensor<4x4xf32>
    %22 = stablehlo.sqrt %f : tensor<4x4xf32>
    // Since 1.4.0.
    %23 = stablehlo.tan %f : tensor<4x4xf32>
    %24 = stablehlo.tanh %f : tensor<4x4xf32>
    %25 = stablehlo.add %f, %f : tensor<4x4xf32>
    %26 = stablehlo.and %i, %i : tensor<4x4xi32>
    %27 = stablehlo.atan2 %f, %f : tensor<4x4xf32>
    %28 = stablehlo.complex %f, %f : tensor<4x4xcomplex<f32>>
    %29 = stablehlo.divide %f, %f : tensor<4x4xf32>
    %30 = stablehlo.maximum %f, %f : tensor<4x4xf32>
    %31 = stablehlo.minimum %f, %f : tensor<4x4xf32>
    %32 = stablehlo.multiply %f, %f : tensor<4x4xf32>
    %33 = stablehlo.or %i, %i : tensor<4x4xi32>
    %34 = stablehlo.power %f, %f : tensor<4x4xf32>
    %35 = stablehlo.remainder %f, %f : tensor<4x4xf32>
    %36 = stablehlo.shift_left %i, %i : tensor<4x4xi32>
    %37 = stablehlo.shift_right_arithmetic %i, %i : tensor<4x4xi32>
    %38 = stablehlo.shift_right_logical %u, %u : tensor<4x4xui8>
    %39 = stablehlo.subtract %f, %f : tensor<4x4xf32>
    %40 = stablehlo.xor %b, %b : tensor<4x4xi1>
    %41 = stablehlo.compare EQ, %f, %f, TOTALORDER : (tensor<4x4xf32>, tensor<4x4xf32>) -> tensor<4x4xi1>
    %42 = stablehlo.compare NE, %f, %f : (tensor<4x4xf32>, tensor<4x4xf32>) -> tensor<4x4xi1>
    %43 = stablehlo.compare GE, %i, %i, SIGNED : (tensor<4x4xi32>, tensor<4x4xi32>) -> tensor<4x4xi1>
    %44 = stablehlo.compare GT, %u, %u, UNSIGNED : (tensor<4x4xui8>, tensor<4x4xui8>) -> tensor<4x4xi1>
    %45 = stablehlo.compare LE, %f, %f, FLOAT : (tensor<4x4xf32>, tensor<4x4xf32>) -> tensor<4x4xi1>
    %46 = stablehlo.compare LT, %f, %f : (tensor<4x4xf32>, tensor<4x4xf32>) -> tensor<4x4xi1>
    %47 = stablehlo.select %b, %f, %f : tensor<4x4xi1>, tensor<4x4xf32>
    %48 = stablehlo.clamp %s, %f, %s : (tensor<f32>, tensor<4x4xf32>, tensor<f32>) -> tensor<4x4xf32>
    %49 = stablehlo.convert %f : (tensor<4x4xf32>) -> tensor<4x4xbf16>
    %50 = stablehlo.bitcast_convert %f : (tensor<4x4xf32>) -> tensor<4x4xi32>
    %51 = stablehlo.reduce_precision %f, format = e5m2 : tensor<4x4xf32>
    %52 = stablehlo.iota dim = 1 : tensor<4x4xi64>
    %53 = stablehlo.broadcast_in_dim %f, dims = [2, 0] : (tensor<4x4xf32>) -> tensor<4x3x4xf32>
    %54 = stablehlo.broadcast %f, sizes = [2, 3] : (tensor<4x4xf32>) -> tensor<2x3x4x4xf32>
    %55 = stablehlo.reshape %f : (tensor<4x4xf32>) -> tensor<16xf32>
    %56 = stablehlo.transpose %f, dims = [1, 0] : (tensor<4x4xf32>) -> tensor<4x4xf32>
    %57 = stablehlo.reverse %f, dims = [1] : tensor<4x4xf32>
    %58 = stablehlo.slice %f [0:4:2, 1:3] : (tensor<4x4xf32>) -> tensor<2x2xf32>
    %59 = stablehlo.pad %f, %s, low = [0, -1], high = [2, 1], interior = [0, 1] : (tensor<4x4xf32>, tensor<f32>) -> tensor<6x7xf32>
    %60 = stablehlo.concatenate %f, %f, dim = 1 : (tensor<4x4xf32>, tensor<4x4xf32>) -> tensor<4x8xf32>
    %61 = stablehlo.dynamic_slice %f, %si, %si, sizes = [1, 2] : (tensor<4x4xf32>, tensor<i32>, tensor<i32>) -> tensor<1x2xf32>
    %62 = stablehlo.dynamic_update_slice %f, %61, %si, %si : (tensor<4x4xf32>, tensor<1x2xf32>, tensor<i32>, tensor<i32>) -> tensor<4x4xf32>
    %idx = stablehlo.constant dense<[[0, 1], [2, 3]]> : tensor<2x2xi64>
    %63 = "stablehlo.gather"(%f, %idx) <{dimension_numbers = #stablehlo.gather<offset_dims = [1], collapsed_slice_dims = [0], start_index_map = [0, 1], index_vector_dim = 1>, indices_are_sorted = true, slice_sizes = array<i64: 1, 2>}> : (tensor<4x4xf32>, tensor<2x2xi64>) -> tensor<2x2xf32>
    %bidx = stablehlo.iota dim = 0 : tensor<4x1xi64>
    // Since 1.1.0.
    %64 = "stablehlo.gather"(%f, %bidx) <{dimension_numbers = #stablehlo.gather<offset_dims = [], collapsed_slice_dims = [1], operand_batching_dims = [0], start_indices_batching_dims = [0], start_index_map = [1], index_vector_dim = 1>, slice_sizes = array<i64: 1, 1>}> : (tensor<4x4xf32>, tensor<4x1xi64>) -> tensor<4xf32>
    // Since 1.1.0.
    %65 = "stablehlo.scatter"(%f, %bidx, %64) <{scatter_dimension_numbers = #stablehlo.scatter<update_window_dims = [], inserted_window_dims = [1], input_batching_dims = [0], scatter_indices_batching_dims = [0], scatter_dims_to_operand_dims = [1], index_vector_dim = 1>, unique_indices = true}> ({
    ^bb0(%x: tensor<f32>, %y: tensor<f32>):
      %z = stablehlo.add %x, %y : tensor<f32>
      stablehlo.return %z : tensor<f32>
    }) : (tensor<4x4xf32>, tensor<4x1xi64>, tensor<4xf32>) -> tensor<4x4xf32>
    %66 = "stablehlo.torch_index_select"(%f, %si) <{dim = 0 : i64, batch_dims = 0 : i64}> : (tensor<4x4xf32>, tensor<i32>) -> tensor<4xf32>
    %67 = stablehlo.dot_general %f, %f, batching_dims = [0] x [0], contracting_dims = [1] x [1], precision = [HIGH, HIGHEST] : (tensor<4x4xf32>, tensor<4x4xf32>) -> tensor<4xf32>
    // Since 1.6.0.
    %68 = stablehlo.dot_general %f, %f, contracting_dims = [1] x [0], algorithm = <lhs_precision_type = tf32, rhs_precision_type = tf32, accumulation_type = f32, lhs_component_count = 1, rhs_component_count = 1, num_primitive_operations = 3, allow_imprecise_accumulation = false> : (tensor<4x4xf32>, tensor<4x4xf32>) -> tensor<4x4xf32>
    %69 = stablehlo.dot %f, %f, precision = [DEFAULT, DEFAULT] : (tensor<4x4xf32>, tensor<4x4xf32>) -> tensor<4x4xf32>
    %70 = "stablehlo.einsum"(%f, %f) <{einsum_config = "ij,jk->ik"}> : (tensor<4x4xf32>, tensor<4x4xf32>) -> tensor<4x4xf32>
    %71 = "stablehlo.unary_einsum"(%f) <{einsum_config = "ij->ji"}> : (tensor<4x4xf32>) -> tensor<4x4xf32>
    %img = stablehlo.constant dense<1.0> : tensor<2x9x8x4xf32>
    %ker = stablehlo.constant dense<[[[[1.0, 2.0], [3.0, 4.0]]]]> : tensor<1x1x2x2xf32>
    %72 = stablehlo.convolution(%img, %ker) dim_numbers = [b, 0, 1, f]x[0, 1, i, o]->[f, b, 1, 0], window = {stride = [2, 1], pad = [[-1, 2], [0, 0]], lhs_dilate = [1, 2], rhs_dilate = [3, 1], reverse = [true, false]} {batch_group_count = 1 : i64, feature_group_count = 2 : i64, precision_config = [#stablehlo<precision HIGH>, #stablehlo<precision DEFAULT>]} : (tensor<2x9x8x4xf32>, tensor<1x1x2x2xf32>) -> tensor<2x2x15x5xf32>
    %73 = stablehlo.reduce(%f init: %s) applies stablehlo.maximum across dimensions = [1] : (tensor<4x4xf32>, tensor<f32>) -> tensor<4xf32>
    %74 = "stablehlo.reduce_window"(%f, %s) <{window_dimensions = array<i64: 2, 1>, window_strides = array<i64: 2, 1>, base_dilations = array<i64: 1, 2>, window_dilations = array<i64: 2, 1>, padding = dense<[[0, 1], [2, 0]]> : tensor<2x2xi64>}> ({
    ^bb0(%x: tensor<f32>, %y: tensor<f32>):
      %z = stablehlo.add %x, %y : tensor<f32>
      stablehlo.return %z : tensor<f32>
    }) : (tensor<4x4xf32>, tensor<f32>) -> tensor<2x9xf32>
    %75 = "stablehlo.select_and_scatter"(%f, %58, %s) <{window_dimensions = array<i64: 2, 2>, window_strides = array<i64: 2, 2>, padding = dense<0> : tensor<2x2xi64>}> ({
    ^bb0(%x: tensor<f32>, %y: tensor<f32>):
      %z = stablehlo.compare GE, %x, %y : (tensor<f32>, tensor<f32>) -> tensor<i1>
      stablehlo.return %z : tensor<i1>
    }, {
    ^bb0(%x: tensor<f32>, %y: tensor<f32>):
      %z = stablehlo.add %x, %y : tensor<f32>
      stablehlo.return %z : tensor<f32>
    }) : (tensor<4x4xf32>, tensor<2x2xf32>, tensor<f32>) -> tensor<4x4xf32>
    %76:2 = "stablehlo.sort"(%f, %i) <{dimension = -1 : i64, is_stable = true}> ({
    ^bb0(%x: tensor<f32>, %y: tensor<f32>, %p: tensor<i32>, %q: tensor<i32>):
      %z = stablehlo.compare LT, %x, %y, TOTALORDER : (tensor<f32>, tensor<f32>) -> tensor<i1>
      stablehlo.return %z : tensor<i1>
    }) : (tensor<4x4xf32>, tensor<4x4xi32>) -> (tensor<4x4xf32>, tensor<4x4xi32>)
    %77 = "stablehlo.map"(%f, %f) <{dimensions = array<i64: 0, 1>}> ({
    ^bb0(%x: tensor<f32>, %y: tensor<f32>):
      %z = stablehlo.multiply %x, %y : tensor<f32>
      stablehlo.return %z : tensor<f32>
    }) : (tensor<4x4xf32>, tensor<4x4xf32>) -> tensor<4x4xf32>
    %78:2 = "stablehlo.while"(%f, %si) ({
    ^bb0(%x: tensor<4x4xf32>, %y: tensor<i32>):
      %z = stablehlo.compare LT, %y, %si, SIGNED : (tensor<i32>, tensor<i32>) -> tensor<i1>
      stablehlo.return %z : tensor<i1>
    }, {
    ^bb0(%x: tensor<4x4xf32>, %y: tensor<i32>):
      %z = stablehlo.add %y, %si : tensor<i32>
      stablehlo.return %x, %z : tensor<4x4xf32>, tensor<i32>
    }) : (tensor<4x4xf32>, tensor<i32>) -> (tensor<4x4xf32>, tensor<i32>)
    %pred = stablehlo.constant dense<true> : tensor<i1>
    %79 = "stablehlo.if"(%pred) ({
      stablehlo.return %f : tensor<4x4xf32>
    }, {
      stablehlo.return %0 : tensor<4x4xf32>
    }) : (tensor<i1>) -> tensor<4x4xf32>
    %80 = "stablehlo.case"(%si) ({
      stablehlo.return %f : tensor<4x4xf32>
    }, {
      stablehlo.return %0 : tensor<4x4xf32>
    }, {
      stablehlo.return %1 : tensor<4x4xf32>
    }) : (tensor<i32>) -> tensor<4x4xf32>
    %81 = func.call @helper(%f) : (tensor<4x4xf32>) -> tensor<4x4xf32>
    // Since 0.19.0.
    %82 = stablehlo.composite "my.composite" %f {composite_attributes = {axis = 1 : i64, name = "n\22m\\"}, decomposition = @helper, version = 3 : i32} : (tensor<4x4xf32>) -> tensor<4x4xf32>
    // Since 1.3.0.
    %83:2 = stablehlo.custom_call @target(%f, %i) {api_version = 4 : i32, backend_config = {a = 1 : i64, b = "x", c = dense<[1.5, 2.5]> : tensor<2xf32>}, called_computations = [@sum], has_side_effect = true, operand_layouts = [dense<[1, 0]> : tensor<2xindex>, dense<[0, 1]> : tensor<2xindex>], result_layouts = [dense<[0, 1]> : tensor<2xindex>, dense<[1, 0]> : tensor<2xindex>], output_operand_aliases = [#stablehlo.output_operand_alias<output_tuple_indices = [0], operand_index = 0, operand_tuple_indices = []>], mhlo.frontend_attributes = {k = "v"}} : (tensor<4x4xf32>, tensor<4x4xi32>) -> (tensor<4x4xf32>, tensor<4x4xi32>)
    %84 = stablehlo.custom_call @old(%f) {backend_config = "opaque", api_version = 2 : i32} : (tensor<4x4xf32>) -> tensor<4x4xf32>
    %85 = stablehlo.tuple %f, %i : tuple<tensor<4x4xf32>, tensor<4x4xi32>>
    %86 = stablehlo.get_tuple_element %85[1] : (tuple<tensor<4x4xf32>, tensor<4x4xi32>>) -> tensor<4x4xi32>
    %87 = stablehlo.create_token : !stablehlo.token
    %88 = stablehlo.after_all %token, %87 : !stablehlo.token
    %89:2 = stablehlo.optimization_barrier %f, %i : tensor<4x4xf32>, tensor<4x4xi32>
    %90 = "stablehlo.all_gather"(%f) <{all_gather_dim = 1 : i64, channel_handle = #stablehlo.channel_handle<handle = 5, type = 0>, replica_groups = dense<[[0, 1]]> : tensor<1x2xi64>, use_global_device_ids}> : (tensor<4x4xf32>) -> tensor<4x8xf32>
    // Since 1.5.0.
    %91:2 = "stablehlo.all_reduce"(%f, %f) <{replica_groups = dense<[[0], [1]]> : tensor<2x1xi64>}> ({
    ^bb0(%x: tensor<f32>, %y: tensor<f32>):
      %z = stablehlo.add %x, %y : tensor<f32>
      stablehlo.return %z : tensor<f32>
    }) : (tensor<4x4xf32>, tensor<4x4xf32>) -> (tensor<4x4xf32>, tensor<4x4xf32>)
    %92 = "stablehlo.all_to_all"(%f) <{split_dimension = 0 : i64, concat_dimension = 1 : i64, split_count = 2 : i64, replica_groups = dense<[[0, 1]]> : tensor<1x2xi64>}> : (tensor<4x4xf32>) -> tensor<2x8xf32>
    %93 = "stablehlo.reduce_scatter"(%f) <{scatter_dimension = 0 : i64, replica_groups = dense<[[0, 1]]> : tensor<1x2xi64>, channel_handle = #stablehlo.channel_handle<handle = 2, type = 0>}> ({
    ^bb0(%x: tensor<f32>, %y: tensor<f32>):
      %z = stablehlo.add %x, %y : tensor<f32>
      stablehlo.return %z : tensor<f32>
    }) : (tensor<4x4xf32>) -> tensor<2x4xf32>
    // Since 0.16.0.
    %94 = "stablehlo.collective_broadcast"(%f) <{replica_groups = dense<[[1, 0]]> : tensor<1x2xi64>, channel_handle = #stablehlo.channel_handle<handle = 3, type = 0>}> : (tensor<4x4xf32>) -> tensor<4x4xf32>
    %95 = "stablehlo.collective_permute"(%f) <{source_target_pairs = dense<[[0, 1], [1, 0]]> : tensor<2x2xi64>}> : (tensor<4x4xf32>) -> tensor<4x4xf32>
    %96 = "stablehlo.cross-replica-sum"(%f) <{replica_groups = dense<[[0, 1]]> : tensor<1x2xi64>}> : (tensor<4x4xf32>) -> tensor<4x4xf32>
    %97 = stablehlo.partition_id : tensor<ui32>
    %98 = stablehlo.replica_id : tensor<ui32>
    %99 = "stablehlo.send"(%f, %token) <{channel_handle = #stablehlo.channel_handle<handle = 1, type = 2>, is_host_transfer = true}> {mhlo.frontend_attributes = {_xla_host_transfer_rendezvous = "r"}} : (tensor<4x4xf32>, !stablehlo.token) -> !stablehlo.token
    %100:2 = "stablehlo.recv"(%99) <{channel_handle = #stablehlo.channel_handle<handle = 2, type = 3>, is_host_transfer = true}> : (!stablehlo.token) -> (tensor<4x4xf32>, !stablehlo.token)
    // Since 1.12.0.
    %101:2 = "stablehlo.recv"(%99) <{channel_handle = #stablehlo.channel_handle<handle = 4, type = 1>, is_host_transfer = false, source_target_pairs = dense<[[0, 1], [1, 0]]> : tensor<2x2xi64>}> : (!stablehlo.token) -> (tensor<4x4xf32>, !stablehlo.token)
    %102:2 = "stablehlo.infeed"(%token) <{infeed_config = "in", layout = [[0, 1]]}> : (!stablehlo.token) -> (tensor<4x4xf32>, !stablehlo.token)
    %103 = "stablehlo.outfeed"(%f, %token) <{outfeed_config = "out"}> : (tensor<4x4xf32>, !stablehlo.token) -> !stablehlo.token
    %104 = stablehlo.get_dimension_size %f, dim = 1 : (tensor<4x4xf32>) -> tensor<i32>
    %105 = "stablehlo.set_dimension_size"(%f, %si) <{dimension = 1 : i64}> : (tensor<4x4xf32>, tensor<i32>) -> tensor<4x?xf32, #stablehlo.bounds<?, 4>>
    %shape = stablehlo.constant dense<[2, 8]> : tensor<2xi64>
    %106 = stablehlo.dynamic_reshape %f, %shape : (tensor<4x4xf32>, tensor<2xi64>) -> tensor<?x?xf32>
    %107 = stablehlo.dynamic_iota %shape, dim = 1 : (tensor<2xi64>) -> tensor<?x?xi32>
    %shape3 = stablehlo.constant dense<[2, 4, 4]> : tensor<3xi64>
    %108 = "stablehlo.dynamic_broadcast_in_dim"(%f, %shape3) <{broadcast_dimensions = array<i64: 1, 2>, known_nonexpanding_dimensions = array<i64: 0, 1>}> : (tensor<4x4xf32>, tensor<3xi64>) -> tensor<?x?x?xf32>
    %109 = stablehlo.dynamic_pad %f, %s, %shape, %shape, %shape : (tensor<4x4xf32>, tensor<f32>, tensor<2xi64>, tensor<2xi64>, tensor<2xi64>) -> tensor<?x?xf32>
    %110 = "stablehlo.real_dynamic_slice"(%f, %shape, %shape, %shape) : (tensor<4x4xf32>, tensor<2xi64>, tensor<2xi64>, tensor<2xi64>) -> tensor<?x?xf32>
    %sizes = stablehlo.constant dense<[1, 2]> : tensor<2xi64>
    %111 = "stablehlo.dynamic_gather"(%f, %idx, %sizes) <{dimension_numbers = #stablehlo.gather<offset_dims = [1], collapsed_slice_dims = [0], start_index_map = [0, 1], index_vector_dim = 1>}> : (tensor<4x4xf32>, tensor<2x2xi64>, tensor<2xi64>) -> tensor<2x2xf32>
    %112 = "stablehlo.dynamic_conv"(%img, %ker, %idx) <{dimension_numbers = #stablehlo.conv<[b, 0, 1, f]x[0, 1, i, o]->[b, 0, 1, f]>, feature_group_count = 2 : i64, batch_group_count = 1 : i64}> : (tensor<2x9x8x4xf32>, tensor<1x1x2x2xf32>, tensor<2x2xi64>) -> tensor<?x?x?x?xf32>
    %key = stablehlo.constant dense<[1, 2]> : tensor<2xui64>
    %113:2 = stablehlo.rng_bit_generator %key, algorithm = PHILOX : (tensor<2xui64>) -> (tensor<2xui64>, tensor<4xui32>)
    %114 = stablehlo.rng %s, %s, %shape, distribution = NORMAL : (tensor<f32>, tensor<f32>, tensor<2xi64>) -> tensor<2x8xf32>
    %115 = stablehlo.rng %s, %s, %shape, distribution = UNIFORM : (tensor<f32>, tensor<f32>, tensor<2xi64>) -> tensor<2x8xf32>
    %116 = stablehlo.fft %c, type = IFFT, length = [4] : (tensor<4x4xcomplex<f32>>) -> tensor<4x4xcomplex<f32>>
    %117 = stablehlo.fft %f, type = RFFT, length = [4] : (tensor<4x4xf32>) -> tensor<4x3xcomplex<f32>>
    %118 = stablehlo.cholesky %f, lower = true : tensor<4x4xf32>
    %119 = "stablehlo.triangular_solve"(%f, %f) <{left_side = true, lower = false, transpose_a = #stablehlo<transpose ADJOINT>, unit_diagonal = true}> : (tensor<4x4xf32>, tensor<4x4xf32>) -> tensor<4x4xf32>
    %v = stablehlo.constant dense<[1.0, 2.0, 3.0, 4.0]> : tensor<4xf32>
    %120:3 = "stablehlo.batch_norm_training"(%f, %v, %v) <{epsilon = 1.000000e-03 : f32, feature_index = 1 : i64}> : (tensor<4x4xf32>, tensor<4xf32>, tensor<4xf32>) -> (tensor<4x4xf32>, tensor<4xf32>, tensor<4xf32>)
    %121 = "stablehlo.batch_norm_inference"(%f, %v, %v, %v, %v) <{epsilon = 2.000000e-03 : f32, feature_index = 0 : i64}> : (tensor<4x4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>) -> tensor<4x4xf32>
    %122:3 = "stablehlo.batch_norm_grad"(%f, %v, %v, %v, %f) <{epsilon = 3.000000e-03 : f32, feature_index = 1 : i64}> : (tensor<4x4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4x4xf32>) -> (tensor<4x4xf32>, tensor<4xf32>, tensor<4xf32>)
    %123 = stablehlo.exponential %f : tensor<4x4xf32>
    %124 = stablehlo.exponential_minus_one %f : tensor<4x4xf32>
    %125:2 = "stablehlo.scatter"(%f, %0, %idx, %63, %63) <{scatter_dimension_numbers = #stablehlo.scatter<update_window_dims = [1], inserted_window_dims = [0], scatter_dims_to_operand_dims = [0, 1], index_vector_dim = 1>, indices_are_sorted = true}> ({
    ^bb0(%x: tensor<f32>, %y: tensor<f32>, %p: tensor<f32>, %q: tensor<f32>):
      %z = stablehlo.add %x, %p : tensor<f32>
      stablehlo.return %z, %q : tensor<f32>, tensor<f32>
    }) : (tensor<4x4xf32>, tensor<4x4xf32>, tensor<2x2xi64>, tensor<2x2xf32>, tensor<2x2xf32>) -> (tensor<4x4xf32>, tensor<4x4xf32>)
    %126 = "stablehlo.all_reduce"(%f) <{replica_groups = dense<[[0, 1]]> : tensor<1x2xi64>, channel_handle = #stablehlo.channel_handle<handle = 7, type = 0>, use_global_device_ids}> ({
    ^bb0(%x: tensor<f32>, %y: tensor<f32>):
      %z = stablehlo.add %x, %y : tensor<f32>
      stablehlo.return %z : tensor<f32>
    }) : (tensor<4x4xf32>) -> tensor<4x4xf32>
    return %0, %103 : tensor<4x4xf32>, !stablehlo.token
  }
  func.func private @helper(%x: tensor<4x4xf32> {jax.arg_info = "x", tf.aliasing_output = 0 : i32}) -> (tensor<4x4xf32> {jax.result_info = ""}) attributes {some.attribute = "s"} {
    return %x : tensor<4x4xf32>
  }
  func.func private @sum(%x: tensor<f32>, %y: tensor<f32>) -> tensor<f32> {
    %0 = stablehlo.add %x, %y : tensor<f32>
    return %0 : tensor<f32>
  }
  func.func @constants() {
    %0 = stablehlo.constant dense<[true, false, true, true, false, false, true, true, true]> : tensor<9xi1>
    %1 = stablehlo.constant dense<true> : tensor<100xi1>
    %2 = stablehlo.constant dense<false> : tensor<3x3xi1>
    %3 = stablehlo.constant dense<[true, true, true, true, true, true, true, true]> : tensor<8xi1>
    %4 = stablehlo.constant dense<[-8, 7, -1, 0]> : tensor<4xi4>
    %5 = stablehlo.constant dense<[15, 7, 0]> : tensor<3xui4>
    // Since 1.2.0.
    %6 = stablehlo.constant dense<[-2, 1]> : tensor<2xi2>
    // Since 1.2.0.
    %7 = stablehlo.constant dense<[3, 1]> : tensor<2xui2>
    %8 = stablehlo.constant dense<[-128, 127]> : tensor<2xi8>
    %9 = stablehlo.constant dense<[0, 255]> : tensor<2xui8>
    %10 = stablehlo.constant dense<[-32768, 7]> : tensor<2xi16>
    %11 = stablehlo.constant dense<65535> : tensor<2xui16>
    %12 = stablehlo.constant dense<[4294967295, 0]> : tensor<2xui32>
    %13 = stablehlo.constant dense<[-9223372036854775808, 9223372036854775807]> : tensor<2xi64>
    %14 = stablehlo.constant dense<[18446744073709551615]> : tensor<1xui64>
    %15 = stablehlo.constant dense<[0x7F80, 0xFFC0, 0x8000, 0x0001]> : tensor<4xbf16>
    %16 = stablehlo.constant dense<[0x7C00, 0x3C01]> : tensor<2xf16>
    %17 = stablehlo.constant dense<[0x7FC00000, 0xFF800000, 0x80000000, 0x3DCCCCCD]> : tensor<4xf32>
    %18 = stablehlo.constant dense<[0.1, -1.0e300]> : tensor<2xf64>
    %19 = stablehlo.constant dense<[(1.0, -2.0), (0.0, 0.5)]> : tensor<2xcomplex<f32>>
    %20 = stablehlo.constant dense<(0.1, 2.0)> : tensor<2xcomplex<f64>>
    %21 = stablehlo.constant dense<[0.5, 448.0]> : tensor<2xf8E4M3FN>
    %22 = stablehlo.constant dense<[0.5, 2.0]> : tensor<2xf8E5M2>
    // Since 0.10.0.
    %23 = stablehlo.constant dense<[0.5, 2.0]> : tensor<2xf8E4M3FNUZ>
    // Since 0.10.0.
    %24 = stablehlo.constant dense<[0.5, 2.0]> : tensor<2xf8E5M2FNUZ>
    // Since 0.11.0.
    %25 = stablehlo.constant dense<[0.5, 2.0]> : tensor<2xf8E4M3B11FNUZ>
    // Since 1.7.0.
    %26 = stablehlo.constant dense<[0.5, 2.0]> : tensor<2xf8E3M4>
    // Since 1.7.0.
    %27 = stablehlo.constant dense<[0.5, 2.0]> : tensor<2xf8E4M3>
    // Since 1.8.0.
    %28 = stablehlo.constant dense<[0.5, 2.0]> : tensor<2xf8E8M0FNU>
    // Since 1.8.0.
    %29 = stablehlo.constant dense<[0.5, -6.0]> : tensor<2xf4E2M1FN>
    // Since 1.8.0.
    %30 = stablehlo.constant dense<[0.5, -7.5]> : tensor<2xf6E2M3FN>
    // Since 1.8.0.
    %31 = stablehlo.constant dense<[0.5, -28.0]> : tensor<2xf6E3M2FN>
    %32 = stablehlo.constant dense<> : tensor<0x3xf32>
    %33 = stablehlo.constant dense<1> : tensor<1x1xi32>
    %34 = stablehlo.constant dense<[[[1, 2], [3, 4]], [[5, 6], [7, 8]]]> : tensor<2x2x2xi32>
    %35 = stablehlo.constant dense<0x7FC00001> : tensor<8xf32>
    return
  }
}
