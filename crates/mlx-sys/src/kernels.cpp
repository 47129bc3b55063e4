// Compiled with -ffp-contract=off: where products overflow must not depend on the processor.
#include "kernels.h"
#include <cmath>
#include <cstring>

namespace jax_mps {
namespace {

struct ComplexProduct {
  Complex operator()(Complex a, Complex b) const {
    return {a.re * b.re - a.im * b.im, a.re * b.im + a.im * b.re};
  }
};

struct ComplexQuotient {
  Complex operator()(Complex a, Complex b) const {
    Complex quotient;
    if (std::fabs(b.re) < std::fabs(b.im)) {
      float ratio = b.re / b.im, scale = b.im + b.re * ratio;
      quotient = {(a.re * ratio + a.im) / scale, (a.im * ratio - a.re) / scale};
    } else {
      float ratio = b.im / b.re, scale = b.re + b.im * ratio;
      quotient = {(a.re + a.im * ratio) / scale, (a.im - a.re * ratio) / scale};
    }
    return std::isnan(quotient.re) && std::isnan(quotient.im) ? special(a, b, quotient) : quotient;
  }

 private:
  // ±1 for an infinity, ±0 for what is finite or NaN.
  static float unit(float x) {
    return std::copysign(std::isinf(x) ? 1.0f : 0.0f, x);
  }

  static Complex special(Complex a, Complex b, Complex quotient) {
    if (b.re == 0 && b.im == 0 && !(std::isnan(a.re) && std::isnan(a.im))) {
      float infinity = std::copysign(INFINITY, b.re);
      return {infinity * a.re, infinity * a.im};
    }
    if ((std::isinf(a.re) || std::isinf(a.im)) && std::isfinite(b.re) && std::isfinite(b.im)) {
      float re = unit(a.re), im = unit(a.im);
      return {INFINITY * (re * b.re + im * b.im), INFINITY * (im * b.re - re * b.im)};
    }
    if ((std::isinf(b.re) || std::isinf(b.im)) && std::isfinite(a.re) && std::isfinite(a.im)) {
      float re = unit(b.re), im = unit(b.im);
      return {0.0f * (a.re * re + a.im * im), 0.0f * (a.im * re - a.re * im)};
    }
    return quotient;
  }
};

float widened(uint16_t x) {
  uint32_t bits = static_cast<uint32_t>(x) << 16;
  float wide;
  std::memcpy(&wide, &bits, sizeof(wide));
  return wide;
}

uint16_t rounded(float x) {
  uint32_t bits;
  std::memcpy(&bits, &x, sizeof(bits));
  uint32_t nearest = (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
  uint32_t quiet = bits >> 16 | 0x40;
  return static_cast<uint16_t>((bits & 0x7fffffff) > 0x7f800000 ? quiet : nearest);
}

struct Sum {
  uint16_t operator()(uint16_t a, uint16_t b) const {
    return rounded(widened(a) + widened(b));
  }
};

struct Difference {
  uint16_t operator()(uint16_t a, uint16_t b) const {
    return rounded(widened(a) - widened(b));
  }
};

struct Product {
  uint16_t operator()(uint16_t a, uint16_t b) const {
    return rounded(widened(a) * widened(b));
  }
};

struct Quotient {
  uint16_t operator()(uint16_t a, uint16_t b) const {
    return rounded(widened(a) / widened(b));
  }
};

template <typename T, typename Op>
void row(const T* a, int64_t a_step, const T* b, int64_t b_step, T* out, int64_t length, Op op) {
  // The usual steps as constants, for the compiler to vectorize.
  if (a_step == 1 && b_step == 1) {
    for (int64_t i = 0; i < length; ++i) {
      out[i] = op(a[i], b[i]);
    }
  } else if (a_step == 1 && b_step == 0) {
    for (int64_t i = 0; i < length; ++i) {
      out[i] = op(a[i], b[0]);
    }
  } else if (a_step == 0 && b_step == 1) {
    for (int64_t i = 0; i < length; ++i) {
      out[i] = op(a[0], b[i]);
    }
  } else {
    for (int64_t i = 0; i < length; ++i) {
      out[i] = op(a[i * a_step], b[i * b_step]);
    }
  }
}

// Axes along which both operands are walked evenly make one: a broadcast scalar is one row.
struct Axes {
  std::vector<int64_t> size, a, b;

  Axes(const Operand& a_operand, const Operand& b_operand, const std::vector<int>& shape) {
    int64_t dense = 1;
    for (size_t axis = shape.size(); axis-- > 0;) {
      int64_t length = shape[axis];
      int64_t a_step = a_operand.strides.empty() ? dense : a_operand.strides[axis];
      int64_t b_step = b_operand.strides.empty() ? dense : b_operand.strides[axis];
      dense *= length;
      if (length == 1) {
        continue;
      }
      if (!size.empty() && a_step == a.back() * size.back() && b_step == b.back() * size.back()) {
        size.back() *= length;
        continue;
      }
      size.push_back(length);
      a.push_back(a_step);
      b.push_back(b_step);
    }
    if (size.empty()) {
      size = {1}, a = {1}, b = {1};
    }
  }
};

template <typename T, typename Op>
void combine(const Operand& a, const Operand& b, void* target, const std::vector<int>& shape, size_t size) {
  auto a_row = static_cast<const T*>(a.data), b_row = static_cast<const T*>(b.data);
  auto out = static_cast<T*>(target);
  if (a.strides.empty() && b.strides.empty()) {
    return row(a_row, 1, b_row, 1, out, static_cast<int64_t>(size), Op{});
  }
  // The last axis first.
  Axes axes(a, b, shape);
  std::vector<int64_t> index(axes.size.size(), 0);
  for (T* end = out + size; out != end; out += axes.size[0]) {
    row(a_row, axes.a[0], b_row, axes.b[0], out, axes.size[0], Op{});
    for (size_t axis = 1; axis < index.size(); ++axis) {
      a_row += axes.a[axis];
      b_row += axes.b[axis];
      if (++index[axis] < axes.size[axis]) {
        break;
      }
      a_row -= axes.a[axis] * axes.size[axis];
      b_row -= axes.b[axis] * axes.size[axis];
      index[axis] = 0;
    }
  }
}

} // namespace

void complex_multiply(const Operand& a, const Operand& b, void* out, const std::vector<int>& shape, size_t size) {
  combine<Complex, ComplexProduct>(a, b, out, shape, size);
}

void complex_divide(const Operand& a, const Operand& b, void* out, const std::vector<int>& shape, size_t size) {
  combine<Complex, ComplexQuotient>(a, b, out, shape, size);
}

void bfloat16_add(const Operand& a, const Operand& b, void* out, const std::vector<int>& shape, size_t size) {
  combine<uint16_t, Sum>(a, b, out, shape, size);
}

void bfloat16_subtract(const Operand& a, const Operand& b, void* out, const std::vector<int>& shape, size_t size) {
  combine<uint16_t, Difference>(a, b, out, shape, size);
}

void bfloat16_multiply(const Operand& a, const Operand& b, void* out, const std::vector<int>& shape, size_t size) {
  combine<uint16_t, Product>(a, b, out, shape, size);
}

void bfloat16_divide(const Operand& a, const Operand& b, void* out, const std::vector<int>& shape, size_t size) {
  combine<uint16_t, Quotient>(a, b, out, shape, size);
}

void complex_abs(const Complex* source, float* target, size_t size) {
  for (size_t i = 0; i < size; ++i) {
    auto [re, im] = source[i];
    // C's function takes infinity and NaN for infinity.
    target[i] = std::isnan(re) || std::isnan(im) ? NAN : std::hypot(re, im);
  }
}

void complex_products(const Complex* source, Complex* target, size_t size, size_t length, bool cumulative) {
  for (size_t start = 0; start < size; start += length) {
    Complex product{1, 0};
    for (size_t i = start; i < start + length; ++i) {
      product = ComplexProduct{}(product, source[i]);
      if (cumulative) {
        *target++ = product;
      }
    }
    if (!cumulative) {
      *target++ = product;
    }
  }
}

void to_bfloat16(const float* source, uint16_t* target, size_t size) {
  for (size_t i = 0; i < size; ++i) {
    target[i] = rounded(source[i]);
  }
}

} // namespace jax_mps
