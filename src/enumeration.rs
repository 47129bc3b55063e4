//! Enums that come with the list of their values, and a table of what belongs to each.

/// An enum of plain values, `ALL` of them, and `row`: the table that stands beside them.
macro_rules! enumeration {
    (
        $(#[$attribute:meta])*
        $visibility:vis enum $name:ident: $row:ty {
            $($(#[$value_attribute:meta])* $value:ident: $entry:expr,)*
        }
    ) => {
        $(#[$attribute])*
        $visibility enum $name {
            $($(#[$value_attribute])* $value,)*
        }

        impl $name {
            /// All of them.
            pub const ALL: [Self; [$(Self::$value),*].len()] = [$(Self::$value),*];

            const fn row(self) -> $row {
                match self {
                    $(Self::$value => $entry,)*
                }
            }
        }
    };
}
