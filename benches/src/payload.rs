//! The values that the loads carry.

use serde::{Deserialize, Serialize};

/// The object of the `obj` scenarios: about 1 KiB of JSON with many small members, as an application's messages have.
/// Members are in the alphabet's order, so that a server which goes through a sorted map gives the same bytes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// A flag.
    pub active: bool,
    /// A nested object.
    pub author: Author,
    /// Nothing, or text.
    pub comment: Option<String>,
    /// A list of objects.
    pub items: Vec<Item>,
    /// Text that carries the sequence number.
    pub seq: String,
    /// A list of text.
    pub tags: Vec<String>,
    /// Text.
    pub title: String,
}

/// Who wrote a [`Record`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Author {
    /// An address.
    pub email: String,
    /// A number.
    pub id: u64,
    /// A name.
    pub name: String,
}

/// One line of a [`Record`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Item {
    /// A number.
    pub count: u32,
    /// A number that may be negative.
    pub delta: i64,
    /// A number.
    pub id: u64,
    /// A name.
    pub name: String,
    /// A number with a fraction.
    pub price: f64,
}

impl Record {
    /// The object that is sent, with `seq` as its sequence number.
    #[must_use]
    pub fn sample(seq: &str) -> Self {
        let item = |i: u64| Item {
            count: 3,
            delta: -17,
            id: 40_000 + i,
            name: format!("article no. {i}"),
            price: 19.25,
        };
        Self {
            active: true,
            author: Author { email: "ada@example.org".to_owned(), id: 1815, name: "Ada Lovelace".to_owned() },
            comment: None,
            items: (0..11).map(item).collect(),
            seq: seq.to_owned(),
            tags: ["first", "second", "third", "fourth"].map(str::to_owned).to_vec(),
            title: "An object of about one kibibyte".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Record;

    #[test]
    fn the_sample_is_a_kibibyte_in_sorted_order() {
        let text = serde_json::to_string(&Record::sample("10000000")).expect("JSON");
        assert!((950..1100).contains(&text.len()), "{} bytes", text.len());
        let value: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!(value.to_string(), text);
    }
}
