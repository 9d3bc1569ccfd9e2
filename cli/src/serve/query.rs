//! The question of the page, from the words of an address.

use crate::report::Query;

/// A question.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Question {
    /// The part to show.
    pub query: Query,
    /// Who asks: of several questions of one page, only the last one counts.
    pub page: String,
    /// The state of the traces that the page knows, if it asks whether there is a newer one.
    pub refresh: Option<u64>,
}

/// Reads the words; an error says which one is wrong.
pub fn question(words: &str) -> Result<Question, String> {
    let mut question = Question::default();
    let (mut since, mut until) = (None, None);
    for (name, value) in form_urlencoded::parse(words.as_bytes()) {
        let number = || value.parse::<u64>().map_err(|_| format!("{name}: expected a number"));
        let small = || value.parse::<u32>().map_err(|_| format!("{name}: expected a number"));
        let query = &mut question.query;
        match &*name {
            "from" => since = Some(number()?),
            "to" => until = Some(number()?),
            "find" => query.find = value.into_owned(),
            "function" => query.function = value.into_owned(),
            "thread" => query.thread = Some(small()?),
            "process" => query.process = Some(small()?),
            "skip" => query.skip = small()? as usize,
            "page" => question.page = value.into_owned(),
            "refresh" => question.refresh = Some(number()?),
            _ => return Err(format!("unknown word {:?}", mallook_reader::escape(&name))),
        }
    }
    question.query.range = match (since, until) {
        (Some(since), Some(until)) if since <= until => Some((since, until)),
        (None, None) => None,
        _ => return Err("from and to: expected both, in this order".to_owned()),
    };
    Ok(question)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_an_address() {
        let found = question("from=5&to=9&find=a%20b%26&thread=7&skip=2&page=x").unwrap();
        assert_eq!(found.query.range, Some((5, 9)));
        assert_eq!((found.query.find.as_str(), found.query.thread), ("a b&", Some(7)));
        assert_eq!((found.query.skip, found.page.as_str()), (2, "x"));
        assert_eq!(question(""), Ok(Question::default()));
        for wrong in ["from=1", "from=2&to=1", "from=x&to=1", "thread=-1", "etc=passwd", "skip=1e9"]
        {
            assert!(question(wrong).is_err(), "{wrong}");
        }
    }
}
