//! The secret in the address: who does not know it is refused.

use subtle::ConstantTimeEq;

/// 128 bits from the system.
pub struct Token(String);

impl Token {
    /// A new one.
    pub fn new() -> Result<Token, getrandom::Error> {
        let mut bytes = [0u8; 16];
        getrandom::fill(&mut bytes)?;
        Ok(Token(bytes.iter().map(|byte| format!("{byte:02x}")).collect()))
    }

    /// It as text.
    pub fn text(&self) -> &str {
        &self.0
    }

    /// The text is it; how long that takes does not tell how much of it is right.
    pub fn is(&self, text: &str) -> bool {
        self.0.as_bytes().ct_eq(text.as_bytes()).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_itself_is_it() {
        let (one, other) = (Token::new().unwrap(), Token::new().unwrap());
        assert_eq!(one.text().len(), 32);
        assert!(one.is(one.text()));
        assert!(!one.is(other.text()) && !one.is("") && !one.is(&one.text()[1..]));
        assert!(!one.is(&format!("{}0", one.text())));
    }
}
