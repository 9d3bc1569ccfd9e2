//! Enums whose raw values are stored in files or in words of shared memory.

#[doc(hidden)]
#[macro_export]
macro_rules! __raw_enum {
    (
        $(#[$meta:meta])*
        $visibility:vis enum $name:ident: $raw:ident {
            $($(#[$doc:meta])* $variant:ident = $value:literal,)*
        }
    ) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr($raw)]
        $visibility enum $name {
            $($(#[$doc])* $variant = $value,)*
        }

        impl $name {
            /// Every variant, in the order of definition.
            #[allow(dead_code, reason = "not every enum is listed")]
            pub const ALL: [$name; [$($value),*].len()] = [$($name::$variant),*];

            /// The variant with this raw value; `None` if the value is not assigned.
            #[inline]
            pub const fn from_raw(raw: $raw) -> Option<$name> {
                match raw {
                    $($value => Some($name::$variant),)*
                    _ => None,
                }
            }
        }
    };
}

/// Defines an enum with stable raw values: `ALL`, every variant in the order of definition, and
/// `from_raw`, which is `None` for a value that is not assigned. `variant as raw` is the way back.
///
/// ```
/// mallook_format::raw_enum! {
///     /// A colour.
///     pub enum Colour: u8 {
///         /// Of a ripe tomato.
///         Red = 1,
///         /// Of a green one.
///         Green = 4,
///     }
/// }
/// assert_eq!(Colour::from_raw(4), Some(Colour::Green));
/// assert_eq!(Colour::from_raw(2), None);
/// assert_eq!(Colour::ALL, [Colour::Red, Colour::Green]);
/// ```
#[doc(inline)]
pub use __raw_enum as raw_enum;
