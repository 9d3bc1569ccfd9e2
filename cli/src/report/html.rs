//! The page: a file that needs no other one.
//!
//! The data of a trace are in two places: compressed and in base 64, which the page decodes and never takes
//! for HTML, and as escaped text in `<noscript>` and `<title>`. A content security policy allows only the
//! script with its hash, and no loading.

use std::io::Write;
use std::sync::LazyLock;

use anyhow::{Context, Result};
use flate2::Compression;
use flate2::write::DeflateEncoder;
use serde::Serialize;
use sha2::{Digest, Sha256};

/// Columns of the summary for browsers without scripts.
pub const COLUMNS: usize = 120;
/// Bytes of the data at the most.
const MOST: usize = 2_000_000;

const STYLES: [&str; 2] =
    [include_str!("page/vendor/uPlot.min.css"), include_str!("page/style.css")];
const SCRIPTS: [&str; 10] = [
    include_str!("page/vendor/uPlot.iife.min.js"),
    include_str!("page/units.js"),
    include_str!("page/model.js"),
    include_str!("page/compare.js"),
    include_str!("page/serve.js"),
    include_str!("page/chart.js"),
    include_str!("page/table.js"),
    include_str!("page/flame.js"),
    include_str!("page/heat.js"),
    include_str!("page/main.js"),
];
const BODY: &str = include_str!("page/body.html");

/// Styles and scripts as pages have them.
static STYLE: LazyLock<String> = LazyLock::new(|| compact(&STYLES));
static SCRIPT: LazyLock<String> = LazyLock::new(|| compact(&SCRIPTS));

/// The lines of these texts without their indentation, and without those that are comments.
fn compact(texts: &[&str]) -> String {
    let lines = texts.iter().flat_map(|text| text.lines()).map(str::trim);
    let lines = lines.filter(|line| !line.is_empty() && !line.starts_with("//"));
    lines.collect::<Vec<_>>().join("\n")
}

/// A page.
pub struct Page<'a> {
    /// Its title.
    pub title: &'a str,
    /// For browsers without scripts.
    pub text: &'a str,
    /// It asks the server that it comes from for more.
    pub is_served: bool,
}

impl Page<'_> {
    /// The content security policy of the page.
    pub fn policy(&self) -> String {
        let (style, script) = (&*STYLE, &*SCRIPT);
        let connect = if self.is_served { " connect-src 'self';" } else { "" };
        format!(
            "default-src 'none'; script-src '{}'; style-src '{}';{connect} base-uri 'none'; \
             form-action 'none'",
            hash(script),
            hash(style)
        )
    }

    /// The page with this content.
    pub fn html(&self, content: &str) -> String {
        let (style, script) = (&*STYLE, &*SCRIPT);
        let policy = self.policy();
        let title = escape(&mallook_reader::escape(self.title));
        let body = compact(&[BODY]).replace("{{text}}", &escape(self.text));
        format!(
            "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"{policy}\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n\
         <title>{title} - mallook</title>\n<style>{style}</style>\n</head>\n<body>\n{body}\n\
         <script type=\"text/plain\" id=\"data\">{content}</script>\n\
         <script>{script}</script>\n</body>\n</html>\n"
        )
    }
}

/// Data in base 64.
pub fn packed(content: &impl Serialize) -> Result<String> {
    let json = serde_json::to_vec(content).context("cannot write the data")?;
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(&json)?;
    Ok(base64(&encoder.finish()?))
}

/// The same with as many cells as fit; there are `cells`, and `most` are wanted at the most.
pub fn fitted<T: Serialize>(
    cells: usize,
    most: usize,
    data: impl Fn(usize) -> T,
) -> Result<String> {
    let mut most = most.min(cells);
    loop {
        let text = packed(&data(most))?;
        if text.len() <= MOST || most == 0 {
            return Ok(text);
        }
        most = (most as f64 * 0.9 * MOST as f64 / text.len() as f64) as usize;
    }
}

/// Text as HTML.
fn escape(text: &str) -> String {
    let replaced = |character| match character {
        '&' => "&amp;".to_owned(),
        '<' => "&lt;".to_owned(),
        '>' => "&gt;".to_owned(),
        '"' => "&quot;".to_owned(),
        '\'' => "&#39;".to_owned(),
        other => other.to_string(),
    };
    text.chars().map(replaced).collect()
}

/// How a content security policy names a text.
fn hash(text: &str) -> String {
    format!("sha256-{}", base64(&Sha256::digest(text.as_bytes())))
}

/// RFC 4648, with padding.
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let byte = |place: usize| u32::from(group.get(place).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for digit in 0..4 {
            let value = bits >> (18 - 6 * digit) & 63;
            text.push(if digit > group.len() { '=' } else { char::from(DIGITS[value as usize]) });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The test vectors of RFC 4648.
    #[test]
    fn digits() {
        for (text, expected) in
            [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")]
        {
            assert_eq!(base64(text.as_bytes()), expected);
        }
    }

    #[test]
    fn the_code_of_the_page_is_small() {
        let code = STYLE.len() + SCRIPT.len() + compact(&[BODY]).len();
        assert!(code <= 150_000, "{code}");
    }

    /// Nothing in scripts ends them, and nothing is made HTML of text.
    #[test]
    fn scripts_are_harmless() {
        let script = &*SCRIPT;
        assert!(!script.contains("</script") && !script.contains("<!--"));
        for own in &SCRIPTS[1..] {
            for word in ["innerHTML", "outerHTML", "insertAdjacent", "document.write", "eval("] {
                assert!(!own.contains(word), "{word}");
            }
        }
    }
}
