//! The tokens of a source, as far as the law of the modules needs them.

/// Identifiers, `::` and single characters, without comments and the contents of literals.
pub fn tokens(source: &str) -> Vec<String> {
    let text: Vec<char> = source.chars().collect();
    let starts =
        |at: usize, word: &str| word.chars().zip(at..).all(|(c, i)| text.get(i) == Some(&c));
    let until = |from: usize, end: &str| {
        (from..text.len()).find(|&at| starts(at, end)).map_or(text.len(), |at| at + end.len())
    };
    let is_word = |c: &char| c.is_alphanumeric() || *c == '_';
    let (mut tokens, mut at) = (Vec::new(), 0);
    while at < text.len() {
        if starts(at, "//") {
            at = until(at, "\n");
        } else if starts(at, "/*") {
            at = until(at, "*/");
        } else if starts(at, "r\"") || starts(at, "r#\"") {
            at = if starts(at, "r\"") { until(at + 2, "\"") } else { until(at + 3, "\"#") };
        } else if text[at] == '"' {
            at += 1;
            while at < text.len() && text[at] != '"' {
                at += if text[at] == '\\' { 2 } else { 1 };
            }
            at += 1;
        } else if text[at] == '\'' && text.get(at + 1) == Some(&'\\') {
            at = until(at + 3, "'");
        } else if text[at] == '\'' && text.get(at + 2) == Some(&'\'') {
            at += 3;
        } else if is_word(&text[at]) {
            let word: String = text[at..].iter().take_while(|c| is_word(c)).collect();
            at += word.chars().count();
            tokens.push(word);
        } else if starts(at, "::") {
            tokens.push("::".to_owned());
            at += 2;
        } else {
            if !text[at].is_whitespace() {
                tokens.push(text[at].to_string());
            }
            at += 1;
        }
    }
    tokens
}

/// The end of what the bracket at this place encloses.
pub fn closing(tokens: &[String], open: usize) -> usize {
    let mut depth = 0;
    for (at, token) in tokens.iter().enumerate().skip(open) {
        match token.as_str() {
            "{" | "(" | "[" => depth += 1,
            "}" | ")" | "]" => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return at + 1;
        }
    }
    tokens.len()
}

/// Leaves out the items that are there for tests only.
pub fn without_tests(tokens: Vec<String>) -> Vec<String> {
    let is = |at: usize, word: &str| tokens.get(at).is_some_and(|token| token == word);
    let (mut kept, mut at) = (Vec::new(), 0);
    while at < tokens.len() {
        let end = if is(at, "#") && is(at + 1, "[") { closing(&tokens, at + 1) } else { at };
        let attribute = tokens[at..end].concat();
        if !attribute.starts_with("#[cfg(")
            || !tokens[at..end].iter().any(|token| token == "test")
            || attribute.contains("not(test")
        {
            kept.extend_from_slice(&tokens[at..end.max(at + 1)]);
            at = end.max(at + 1);
            continue;
        }
        at = end;
        while is(at, "#") {
            at = closing(&tokens, at + 1);
        }
        // An item ends with a semicolon, or with a block unless it imports.
        let imports = is(at, "use");
        while at < tokens.len() && !is(at, ";") {
            let block = is(at, "{");
            at = if ["{", "(", "["].iter().any(|open| is(at, open)) {
                closing(&tokens, at)
            } else {
                at + 1
            };
            if block && !imports {
                break;
            }
        }
        at += usize::from(is(at, ";"));
    }
    kept
}

/// The paths of a tree that continues at `at`, each with the `prefix`; returns its end.
pub fn paths(
    tokens: &[String],
    mut at: usize,
    mut prefix: Vec<String>,
    all: &mut Vec<Vec<String>>,
) -> usize {
    let token = |at: usize| tokens.get(at).map_or("", String::as_str);
    while token(at) == "::" {
        at += 1;
        if token(at) == "{" {
            let end = closing(tokens, at);
            at += 1;
            while at + 1 < end {
                let first = Vec::from_iter(prefix.iter().cloned().chain([tokens[at].clone()]));
                at = paths(tokens, at + 1, first, all).max(at + 1);
                while at + 1 < end && token(at) != "," {
                    at += 1;
                }
                at += 1;
            }
            return end;
        }
        prefix.push(token(at).to_owned());
        at += 1;
    }
    all.push(prefix);
    at
}
