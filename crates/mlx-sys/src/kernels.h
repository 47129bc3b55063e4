// Loops over elements on the CPU, in a file of their own: compiled for speed, and without MLX's headers.
#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>

namespace jax_mps {

struct Complex {
  float re, im;
};

// An array of the result's shape to read, row-major where there are no strides.
struct Operand {
  const void* data;
  std::vector<int64_t> strides;
};

// Of two operands, element by element. `out` may be the memory of a row-major operand.
using BinaryKernel = void (*)(const Operand& a, const Operand& b, void* out, const std::vector<int>& shape, size_t size);

// (ac - bd) + (ad + bc) i, whatever the parts hold.
void complex_multiply(const Operand& a, const Operand& b, void* out, const std::vector<int>& shape, size_t size);
// By Smith's method; what makes NaN of both parts follows annex G of C23.
void complex_divide(const Operand& a, const Operand& b, void* out, const std::vector<int>& shape, size_t size);
// Rounded to nearest even; a NaN keeps its sign.
void bfloat16_add(const Operand& a, const Operand& b, void* out, const std::vector<int>& shape, size_t size);
void bfloat16_subtract(const Operand& a, const Operand& b, void* out, const std::vector<int>& shape, size_t size);
void bfloat16_multiply(const Operand& a, const Operand& b, void* out, const std::vector<int>& shape, size_t size);
void bfloat16_divide(const Operand& a, const Operand& b, void* out, const std::vector<int>& shape, size_t size);

// |z|, NaN where either part is.
void complex_abs(const Complex* source, float* target, size_t size);
// From 1 on along each row of `length`: the last product, or all of them.
void complex_products(const Complex* source, Complex* target, size_t size, size_t length, bool cumulative);
// Rounded to nearest even; a NaN keeps its sign.
void to_bfloat16(const float* source, uint16_t* target, size_t size);

} // namespace jax_mps
