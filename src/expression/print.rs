//! Expressions as text, for golden files and dumps.
#![forbid(unsafe_code)]

use std::fmt;

use super::{Expression, Node, Scalar, Value};

impl Value {
    fn print(self, scalar: Scalar, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match scalar {
            Scalar::Bool => write!(formatter, "{}", self.bits != 0),
            _ if scalar.is_integer() => write!(formatter, "{}", self.to_i128(scalar)),
            _ if scalar.is_complex() => {
                write!(formatter, "({:?}, {:?})", self.to_f64(scalar), self.imaginary_to_f64(scalar))
            }
            _ => write!(formatter, "{:?}", self.to_f64(scalar)),
        }
    }
}

impl fmt::Display for Expression {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, &(node, scalar)) in self.nodes.iter().enumerate() {
            write!(formatter, "%{index} = ")?;
            match node {
                Node::Argument(number) => write!(formatter, "argument {number}")?,
                Node::Constant(value) => value.print(scalar, formatter)?,
                Node::Unary(function, a) => write!(formatter, "{function:?} %{a}")?,
                Node::Binary(function, a, b) => write!(formatter, "{function:?} %{a}, %{b}")?,
                Node::Compare(direction, a, b) => write!(formatter, "{direction:?} %{a}, %{b}")?,
                Node::Select(condition, yes, no) => write!(formatter, "Select %{condition}, %{yes}, %{no}")?,
            }
            writeln!(formatter, " : {scalar}")?;
        }
        formatter.write_str("return")?;
        for (index, result) in self.results.iter().enumerate() {
            write!(formatter, "{} %{result}", if index == 0 { "" } else { "," })?;
        }
        writeln!(formatter)
    }
}
